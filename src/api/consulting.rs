//! A consultation within a call, step by step.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::conversations::{conversation, dialled, done};
use super::guard::{Me, Who};
use super::problem::Problem;
use super::{Api, Shared};
use crate::switch::Command;
use crate::switch::command::ConsultStep;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Consult {
    /// Rings a phone, an agent (staff number, or `phone:` and a number) or a number outside, with the rights of whom the customer talks to.
    to: String,
}

/// Whom the customer talks to asks somebody else, whom only that one hears; the customer waits with music. For phones with one line: one with
/// two transfers by itself.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/consult", tag = "conversations", params(("id" = String, Path)),
    request_body = Consult, responses((status = 204, description = "It rings: `call.consulted` tells what comes of it."),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn consult(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Consult>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    done(&shared, &who, Command::Consult { conversation, to: dialled("to", wanted.to)? }).await
}

/// From who is consulted to the customer, or back; the other one waits with music.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/swap", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody is consulted, or has answered.")))]
pub(super) async fn swap(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    step(&shared, &who, &id, ConsultStep::Swap).await
}

/// All three talk with each other.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/join", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody is consulted, or has answered.")))]
pub(super) async fn join(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    step(&shared, &who, &id, ConsultStep::Join).await
}

/// The customer gets who is consulted, and who has consulted is let go. Before the answer it needs the right to transfer blind; if nobody
/// answers then, the customer comes back.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/complete", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody is consulted.")))]
pub(super) async fn complete(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    step(&shared, &who, &id, ConsultStep::Complete).await
}

/// Who is consulted is let go, and who has consulted is with the customer again.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/cancel", tag = "conversations", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody is consulted.")))]
pub(super) async fn cancel(State(shared): Api, Extension(who): Me, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    step(&shared, &who, &id, ConsultStep::Cancel).await
}

async fn step(shared: &Shared, who: &Who, id: &str, step: ConsultStep) -> Result<StatusCode, Problem> {
    done(shared, who, Command::Consultation { conversation: conversation(id)?, step }).await
}
