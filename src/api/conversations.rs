//! Conversations: the rows, and control of the live ones.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::guard::{Me, Who};
use super::problem::Problem;
use super::rights::{self, May};
use super::{Api, List, Shared, agents};
use crate::ids::ConversationId;
use crate::store::conversations::{Conversation, MOST_PER_PAGE, Page};
use crate::switch::{Answer, Command};

/// After this long a conversation's first event is on the disk, or the disk is in trouble.
const NEW_MS: u64 = 1_000;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A second of looking; also the end for an identifier that says it is of the future.
const MOST_LOOKS: u32 = 50;

/// Items of a page where nothing is said of it; as the store has it.
const USUAL_PER_PAGE: usize = 50;

/// Pages of the store that are looked through at once for somebody who sees few rows; then the page is short, and has a next one.
const MOST_PAGES: usize = 20;

/// Longest number or address that is taken to be dialled.
const LONGEST_NUMBER: usize = 128;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `live`, or absent for all.
    state: Option<String>,
    /// The customer's number in any spelling, E.164 among them, or its last digits.
    number: Option<String>,
    /// Items a page, 1 to 1,000; 50 where absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Those that one sees, newest first, one row a conversation.
#[utoipa::path(get, path = "/api/v1/conversations", tag = "conversations", params(Wanted),
    responses((status = 200, body = List<Conversation>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(shared): Api,
    Extension(rights): May,
    Query(wanted): Query<Wanted>,
) -> Result<Json<List<Conversation>>, Problem> {
    let live = match wanted.state.as_deref() {
        None | Some("") => false,
        Some("live") => true,
        Some(other) => return Err(Problem::bad(format!("`{}` is no state: live, or nothing for all", shortened(other)))),
    };
    let limit = page_size(wanted.limit, MOST_PER_PAGE)?;
    let mut cursor: Option<ConversationId> = match wanted.cursor.as_deref().filter(|c| !c.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| Problem::bad("the cursor is none of ours"))?),
        None => None,
    };
    let number = wanted.number.filter(|number| !number.trim().is_empty());
    if rights.sees_all() {
        let page = rows(&shared, live, number, limit, cursor).await?;
        return Ok(Json(List { items: page.items, next: page.next.map(|id| id.to_string()) }));
    }
    let wanted = if limit == 0 { USUAL_PER_PAGE } else { limit };
    let mut items: Vec<Conversation> = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = rows(&shared, live, number.clone(), MOST_PER_PAGE, cursor).await?;
        for row in page.items.into_iter().filter(|row| rights.sees_call(row)) {
            if items.len() == wanted {
                let next = items.last().map(|last| last.id.to_string());
                return Ok(Json(List { items, next }));
            }
            items.push(row);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(Json(List { items, next: cursor.map(|id| id.to_string()) }))
}

async fn rows(
    shared: &Shared,
    live: bool,
    number: Option<String>,
    limit: usize,
    cursor: Option<ConversationId>,
) -> Result<Page, Problem> {
    let conversations = shared.parts.conversations.clone();
    Ok(blocking(move || conversations.list(live, number.as_deref(), limit, cursor)).await??)
}

/// One conversation with its legs and intervals: menus, queue waits, offers, bridges, holds, transfers.
#[utoipa::path(get, path = "/api/v1/conversations/{id}", tag = "conversations", params(("id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(shared): Api, Path(id): Path<String>) -> Result<Json<Conversation>, Problem> {
    let id = conversation(&id)?;
    let row = row(&shared, id).await?;
    row.map(Json).ok_or_else(|| Problem::new(404, format!("there is no conversation {id}")))
}

/// The row, waited for if the conversation has only just begun: its first event may be on its way to the disk, and who has originated a
/// call asks for it at once.
pub(super) async fn row(shared: &Shared, id: ConversationId) -> Result<Option<Conversation>, Problem> {
    let mut pace = interval(LOOK_AGAIN);
    for _ in 0..MOST_LOOKS {
        pace.tick().await;
        let conversations = shared.parts.conversations.clone();
        let row = blocking(move || conversations.row(id)).await??;
        let now = u64::try_from(shared.parts.clock.now().wall.as_millis()).unwrap_or(0);
        if row.is_some() || now > id.timestamp_ms().saturating_add(NEW_MS) {
            return Ok(row);
        }
    }
    Ok(None)
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Originate {
    /// The phone that rings first.
    from: String,
    /// Dialled as if from there, when it has answered.
    to: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Started {
    /// Its row appears as soon as its first event is durable.
    conversation: String,
}

/// Rings a phone, and when it answers dials for it.
#[utoipa::path(post, path = "/api/v1/conversations", tag = "conversations", request_body = Originate,
    responses((status = 201, body = Started), (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn originate(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Json(call): Json<Originate>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Started>), Problem> {
    agents::works_at(&shared, &who, &rights, &call.from).await?;
    let command = Command::Originate { from: dialled("from", call.from)?, to: dialled("to", call.to)? };
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Started(id) => {
            let address = format!("/api/v1/conversations/{id}");
            Ok((StatusCode::CREATED, [(header::LOCATION, address)], Json(Started { conversation: id.to_string() })))
        }
        _ => Err(Problem::mismatch()),
    }
}

/// Ends it, for all its legs.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/hangup", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn hangup(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::Hangup { conversation }).await
}

/// The customer hears music until resumed.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/hold", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn hold(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::Hold { conversation }).await
}

/// Ends a hold.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/resume", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resume(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::Resume { conversation }).await
}

/// One of the two.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    /// Blind: a number to dial, or a place (`queue:support`, `menu:main`, `phone:201`, `number:030123`).
    to: Option<String>,
    /// Attended: the conversation that the same phone has with whom it asked.
    consultation: Option<String>,
}

/// Blind: the customer's other party is let go, and `to` is dialled. Attended: that party's two calls become this conversation.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/transfer", tag = "conversations", params(("id" = String, Path)),
    request_body = Transfer, responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn transfer(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(transfer): Json<Transfer>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    let command = match (transfer.to, transfer.consultation) {
        (Some(to), None) => Command::Transfer { conversation, to: dialled("to", to)? },
        (None, Some(consultation)) => {
            let consultation = self::conversation(&consultation)?;
            rights::controls(&shared, &rights, consultation).await?;
            Command::Join { conversation, consultation }
        }
        (Some(_), Some(_)) | (None, None) => return Err(Problem::new(422, "one of `to` and `consultation` is needed")),
    };
    done(&shared, &who, command).await
}

pub(super) async fn done(shared: &Shared, who: &Who, command: Command) -> Result<StatusCode, Problem> {
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Done => Ok(StatusCode::NO_CONTENT),
        _ => Err(Problem::mismatch()),
    }
}

pub(super) fn conversation(id: &str) -> Result<ConversationId, Problem> {
    id.parse().map_err(|_| Problem::new(404, format!("`{}` is no conversation's id", shortened(id))))
}

/// Something to dial: one line, printable, not too long. What it means is the core's to say.
pub(super) fn dialled(name: &str, number: String) -> Result<String, Problem> {
    let fits = !number.trim().is_empty() && number.len() <= LONGEST_NUMBER && !number.chars().any(char::is_control);
    if fits { Ok(number) } else { Err(Problem::new(422, format!("`{name}` is nothing to dial"))) }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// 0 leaves the choice to the store.
pub(super) fn page_size(limit: Option<usize>, most: usize) -> Result<usize, Problem> {
    match limit {
        None => Ok(0),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(_) => Err(Problem::bad(format!("limit is 1 to {most}"))),
    }
}

/// The index is read on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "reading the store failed");
        Problem::new(500, "reading the store failed")
    })
}
