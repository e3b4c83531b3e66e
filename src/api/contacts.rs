//! Who customers are.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::conversations::{blocking, page_size, shortened};
use super::problem::Problem;
use super::rights::May;
use super::{Api, List, Shared};
use crate::route::normal;
use crate::store::contacts::{BadLine, Contact, Imported, NotImported, Said, Untaken};
use crate::store::conversations::Conversation;
use crate::store::database::DatabaseError;

/// Contacts of a page.
const MOST_PER_PAGE: usize = 1_000;
const USUAL_PER_PAGE: usize = 50;

/// Conversations that are shown with a contact.
const EARLIER: usize = 20;
/// They are looked for in so many pages of so many calls of that number.
const PAGES: usize = 5;
const A_PAGE: usize = 100;

/// Octets of a list: 160 a contact, of as many as there may be.
const LARGEST_LIST: usize = 32 * 1_024 * 1_024;

/// For a list to come, by feel: over a line of 5 Mbit/s.
const LONGEST_UPLOAD: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of those that have this tag.
    tag: Option<String>,
    /// Items a page, 1 to 1,000; 50 where absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// By number.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "contacts", params(Wanted),
    responses((status = 200, body = List<Contact>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(State(shared): Api, Query(wanted): Query<Wanted>) -> Result<Json<List<Contact>>, Problem> {
    let limit = match page_size(wanted.limit, MOST_PER_PAGE)? {
        0 => USUAL_PER_PAGE,
        limit => limit,
    };
    let after = wanted.cursor.filter(|cursor| !cursor.is_empty());
    let tag = wanted.tag.filter(|tag| !tag.is_empty());
    let mut found = shared.parts.contacts.list(tag.as_deref(), after.as_deref(), limit + 1);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.number.clone());
    Ok(Json(List { items: found.iter().map(|one| Contact::clone(one)).collect(), next }))
}

/// A contact, and what was before.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Known {
    #[serde(flatten)]
    contact: Contact,
    /// The last conversations with that number that one sees, newest first.
    earlier: Vec<Conversation>,
}

/// Whose number it is, in any spelling, with the last conversations.
#[utoipa::path(get, path = "/api/v1/contacts/{number}", tag = "contacts", params(("number" = String, Path)),
    responses((status = 200, body = Known), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(shared): Api, Extension(rights): May, Path(number): Path<String>) -> Result<Json<Known>, Problem> {
    let number = parsed(&shared, &number)?;
    let contact = shared.parts.contacts.of(&number).ok_or_else(|| nobody(&number))?;
    let conversations = shared.parts.conversations.clone();
    let country = shared.parts.config.borrow().site.country;
    let earlier = move || {
        // A list knows numbers by their ends: one who calls from a longer number with the same end is somebody else.
        let is_its = |row: &Conversation| match &row.customer_e164 {
            Some(e164) => *e164 == number,
            None => normal(&row.customer_number, country).as_ref() == Some(&number),
        };
        let (mut earlier, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = conversations.list(false, Some(&number), A_PAGE, cursor)?;
            earlier.extend(page.items.into_iter().filter(|row| is_its(row) && rights.sees_call(row)));
            cursor = page.next;
            if earlier.len() >= EARLIER || cursor.is_none() {
                break;
            }
        }
        earlier.truncate(EARLIER);
        Ok::<_, DatabaseError>(earlier)
    };
    let earlier = blocking(earlier).await??;
    Ok(Json(Known { contact: Contact::clone(&contact), earlier }))
}

/// Says who it is; what is left out is empty.
#[utoipa::path(put, path = "/api/v1/contacts/{number}", tag = "contacts", params(("number" = String, Path)), request_body = Said,
    responses((status = 204), (status = 201, description = "It is new."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn put(State(shared): Api, Path(number): Path<String>, Json(said): Json<Said>) -> Result<StatusCode, Problem> {
    let number = parsed(&shared, &number)?;
    let (contacts, now) = (shared.parts.contacts.clone(), shared.parts.clock.now().wall);
    let country = shared.parts.config.borrow().site.country;
    match blocking(move || contacts.put(&number, said, country, now)).await?? {
        Ok(true) => Ok(StatusCode::CREATED),
        Ok(false) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Problem::new(422, error.to_string())),
    }
}

/// Forgets a contact; conversations with the number stay.
#[utoipa::path(delete, path = "/api/v1/contacts/{number}", tag = "contacts", params(("number" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn forget(State(shared): Api, Path(number): Path<String>) -> Result<StatusCode, Problem> {
    let number = parsed(&shared, &number)?;
    let (contacts, wanted) = (shared.parts.contacts.clone(), number.clone());
    match blocking(move || contacts.remove(&wanted)).await?? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(nobody(&number)),
    }
}

/// Lines of a list that are no contacts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct NotTaken {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// At most a hundred.
    lines: Vec<BadLine>,
}

/// A list as CSV, UTF-8, `,` or `;` between fields: columns `number` and any of `name`, `tags` (spaces between), `language`, `notes`. All of it is
/// taken or nothing; contacts that it does not name stay, and so does what it has no column for.
#[utoipa::path(post, path = "/api/v1/contacts/import", tag = "contacts", request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Imported), (status = 422, body = NotTaken, content_type = "application/problem+json"),
        (status = 408, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn import(State(shared): Api, body: Body) -> Result<Response, Problem> {
    let body = match timeout(LONGEST_UPLOAD, to_bytes(body, LARGEST_LIST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(Problem::new(413, "the list is larger than 32 MB, or broke off")),
        Err(_) => return Err(Problem::new(408, "the list took too long")),
    };
    let (contacts, now) = (shared.parts.contacts.clone(), shared.parts.clock.now().wall);
    let country = shared.parts.config.borrow().site.country;
    match blocking(move || contacts.import(&body, country, now)).await? {
        Ok(imported) => Ok(Json(imported).into_response()),
        Err(NotImported::Database(error)) => Err(error.into()),
        Err(NotImported::Lines(lines)) => {
            let detail = format!("{} lines cannot be taken; nothing was", lines.len());
            let body = NotTaken { kind: "about:blank", title: "the list was not taken", status: 422, detail, lines };
            let headers = [(header::CONTENT_TYPE, "application/problem+json")];
            Ok((StatusCode::UNPROCESSABLE_ENTITY, headers, Json(body)).into_response())
        }
    }
}

/// All of them as CSV, as an import takes it.
#[utoipa::path(get, path = "/api/v1/contacts.csv", tag = "contacts", responses((status = 200, body = str, content_type = "text/csv")))]
pub(super) async fn export(State(shared): Api) -> Result<Response, Problem> {
    let contacts = shared.parts.contacts.clone();
    let text = blocking(move || contacts.export()).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"contacts.csv\""),
    ];
    Ok((headers, text).into_response())
}

fn parsed(shared: &Shared, number: &str) -> Result<String, Problem> {
    let country = shared.parts.config.borrow().site.country;
    normal(number, country).ok_or_else(|| Problem::new(404, Untaken::Number(shortened(number)).to_string()))
}

fn nobody(number: &str) -> Problem {
    Problem::new(404, format!("nobody is known by {number}"))
}
