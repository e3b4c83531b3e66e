//! Phones: who they are, and what becomes of the calls that they do not take.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::guard::{Me, Who};
use super::problem::Problem;
use super::rights::May;
use super::{Api, List, Shared};
use crate::ids::Number;
use crate::route::Forwarding;
use crate::switch::command::PhoneView;
use crate::switch::{Answer, Command, Refusal};

/// The phones of the configuration that one sees, registered or not.
#[utoipa::path(get, path = "/api/v1/phones", tag = "phones", responses((status = 200, body = List<PhoneView>)))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
) -> Result<Json<List<PhoneView>>, Problem> {
    let mut phones = all(&shared, &who).await?;
    phones.retain(|phone| rights.sees_phone(&Number::new(phone.number.as_str())));
    Ok(Json(List::whole(phones)))
}

/// Where a phone's calls go.
#[utoipa::path(get, path = "/api/v1/phones/{number}/forwarding", tag = "phones", params(("number" = String, Path)),
    responses((status = 200, body = Forwarding), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn forwarding(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
) -> Result<Json<Forwarding>, Problem> {
    let phone = all(&shared, &who).await?.into_iter().find(|p| p.number == number);
    phone.map(|p| Json(p.forwarding)).ok_or_else(|| Refusal::UnknownPhone(Number::new(number)).into())
}

/// Sets all of it: what is left out is off. It outlives a restart.
#[utoipa::path(put, path = "/api/v1/phones/{number}/forwarding", tag = "phones", params(("number" = String, Path)),
    request_body = Forwarding, responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn set_forwarding(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
    Json(forwarding): Json<Forwarding>,
) -> Result<StatusCode, Problem> {
    let command = Command::SetForwarding { phone: Number::new(number), forwarding };
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Done => Ok(StatusCode::NO_CONTENT),
        _ => Err(Problem::mismatch()),
    }
}

async fn all(shared: &Shared, who: &Who) -> Result<Vec<PhoneView>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Phones).await? {
        Answer::Phones(all) => Ok(all),
        _ => Err(Problem::mismatch()),
    }
}
