//! What is said of a call, while it goes on and afterwards.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::conversations::{conversation, done, row};
use super::guard::Me;
use super::problem::Problem;
use super::rights::{May, Rights};
use super::{Api, Shared};
use crate::config::Role;
use crate::ids::{ConversationId, StaffNumber};
use crate::switch::Command;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Disposition {
    /// One of the queue's.
    disposition: String,
}

/// What came of a call. Where the queue wants it of its agents, the wrap-up ends with it.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/disposition", tag = "conversations", params(("id" = String, Path)),
    request_body = Disposition, responses((status = 204, description = "`call.disposed` tells."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The queue has no such disposition.")))]
pub(super) async fn dispose(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(given): Json<Disposition>,
) -> Result<StatusCode, Problem> {
    let conversation = known(&shared, &id).await?;
    done(&shared, &who, Command::Dispose { conversation, agent: own(rights), disposition: given.disposition }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// 1 to 2,000 characters.
    text: String,
}

/// A note on a call.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/note", tag = "conversations", params(("id" = String, Path)),
    request_body = Note, responses((status = 204, description = "`call.noted` tells."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn note(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(given): Json<Note>,
) -> Result<StatusCode, Problem> {
    let conversation = known(&shared, &id).await?;
    done(&shared, &who, Command::Note { conversation, agent: own(rights), text: given.text }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tags {
    /// 1 to 10, each of 1 to 40 characters.
    tags: Vec<String>,
}

/// Words on a call, beside those that it has.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/tags", tag = "conversations", params(("id" = String, Path)),
    request_body = Tags, responses((status = 204, description = "`call.tagged` tells."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn tag(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(given): Json<Tags>,
) -> Result<StatusCode, Problem> {
    let conversation = known(&shared, &id).await?;
    done(&shared, &who, Command::Tag { conversation, agent: own(rights), tags: given.tags }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Marker {
    /// A line of at most 200 characters.
    text: Option<String>,
}

/// Marks this moment of a live call, for whoever listens to its recording.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/marker", tag = "conversations", params(("id" = String, Path)),
    request_body = Marker, responses((status = 204, description = "`call.marked` tells."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn mark(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
    Json(given): Json<Marker>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::Mark { conversation, agent: own(rights), text: given.text }).await
}

/// An agent speaks of the own work; anybody above for whoever works on the call.
fn own(rights: Rights) -> Option<StaffNumber> {
    rights.agent.filter(|_| rights.role == Role::Agent)
}

/// The core knows only the calls that live.
async fn known(shared: &Shared, id: &str) -> Result<ConversationId, Problem> {
    let id = conversation(id)?;
    row(shared, id).await?.map(|_| id).ok_or_else(|| Problem::new(404, format!("there is no conversation {id}")))
}
