//! Queues as they are now.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::conversations::{conversation, done};
use super::guard::Me;
use super::problem::Problem;
use super::rights::May;
use super::{Api, List};
use crate::clock::Wall;
use crate::config::Place;
use crate::ids::{QueueName, StaffNumber};
use crate::switch::command::{CallerView, QueueView};
use crate::switch::{Answer, Command};

/// Of the queues that one sees: who waits, who works, and the service level with its formula.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", responses((status = 200, body = List<QueueView>)))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
) -> Result<Json<List<QueueView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Queues).await? {
        Answer::Queues(mut all) => {
            all.retain(|queue| rights.sees_queue(&queue.name));
            Ok(Json(List::whole(all)))
        }
        _ => Err(Problem::mismatch()),
    }
}

/// Those who wait, in the order of service.
#[utoipa::path(get, path = "/api/v1/queues/{name}/callers", tag = "queues", params(("name" = String, Path)),
    responses((status = 200, body = List<CallerView>), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn callers(
    State(shared): Api,
    Extension(who): Me,
    Path(name): Path<String>,
) -> Result<Json<List<CallerView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Callers { queue: QueueName::new(name) }).await? {
        Answer::Callers(callers) => Ok(Json(List::whole(callers))),
        _ => Err(Problem::mismatch()),
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    /// `queue:NAME`, where it stands as one who came when it came; `phone:NUMBER`, from where it comes back if nobody answers; `menu:NAME`.
    #[serde(default)]
    to: Option<String>,
    /// -9 to 9, in place of the queue's; each step is worth a minute of waiting.
    #[serde(default)]
    priority: Option<i8>,
    /// Staff number: for five minutes it waits for this agent alone, who is of the queue.
    #[serde(default)]
    agent: Option<String>,
}

/// A caller who waits goes elsewhere, is served sooner or later, or is given to one agent.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/move", tag = "queues", params(("id" = String, Path)), request_body = Move,
    responses((status = 204), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It does not wait."),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn move_caller(
    State(shared): Api,
    Extension(who): Me,
    Path(id): Path<String>,
    Json(wanted): Json<Move>,
) -> Result<StatusCode, Problem> {
    let conversation = conversation(&id)?;
    if wanted.to.is_none() && wanted.priority.is_none() && wanted.agent.is_none() {
        return Err(Problem::new(422, "say where to, a priority or an agent"));
    }
    let to = wanted.to.map(|to| to.parse::<Place>().map_err(|error| Problem::new(422, error.to_string()))).transpose()?;
    let (priority, agent) = (wanted.priority, wanted.agent.map(StaffNumber::new));
    done(&shared, &who, Command::MoveCaller { conversation, to, priority, agent }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct News {
    /// `outage` in each caller's language, or `de/outage` in that one.
    prompt: String,
    /// Not from then on, RFC 3339; absent: until it is taken back.
    #[serde(default)]
    until: Option<String>,
}

/// Who waits hears this prompt now, who comes hears it first, each once; also after a restart. It stands in `announcement` of the queue.
#[utoipa::path(put, path = "/api/v1/queues/{name}/announcement", tag = "queues", params(("name" = String, Path)), request_body = News,
    responses((status = 204), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn announce(
    State(shared): Api,
    Extension(who): Me,
    Path(name): Path<String>,
    Json(news): Json<News>,
) -> Result<StatusCode, Problem> {
    let bad = || Problem::new(422, "until is a time such as 2026-11-24T10:00:00Z");
    let until = news.until.map(|at| Wall::parse_rfc3339(&at).ok_or_else(bad)).transpose()?;
    done(&shared, &who, Command::Announce { queue: QueueName::new(name), prompt: Some(news.prompt), until }).await
}

/// It is told no more.
#[utoipa::path(delete, path = "/api/v1/queues/{name}/announcement", tag = "queues", params(("name" = String, Path)),
    responses((status = 204), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn announce_no_more(
    State(shared): Api,
    Extension(who): Me,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    done(&shared, &who, Command::Announce { queue: QueueName::new(name), prompt: None, until: None }).await
}
