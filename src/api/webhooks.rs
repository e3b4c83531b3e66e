//! How far the programs are that are sent events.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::conversations::shortened;
use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::event::By;

/// Behind which event one is to go on, if not where it was, and who said so.
type Resume = dyn Fn(String, Option<u64>, By) -> BoxFuture<'static, Result<(), NotResumed>> + Send + Sync;

/// What the server lends of its webhooks.
#[derive(Clone)]
pub struct Hooks {
    pub list: Arc<dyn Fn() -> Vec<WebhookView> + Send + Sync>,
    /// By name.
    pub resume: Arc<Resume>,
}

/// Why a webhook was not resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResumed {
    Unknown,
    Ahead { last: u64 },
    Busy,
}

/// A webhook, its address but for host and port left out: it may be a secret.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct WebhookView {
    pub name: String,
    /// Host and port.
    pub server: String,
    /// Empty: all.
    pub types: Vec<String>,
    /// `idle` (waits for events), `sending`, `waiting` (for another attempt) or `off` (the receiver said 410).
    pub state: &'static str,
    /// Sequence of the last event that was delivered or not wanted.
    pub after: u64,
    /// Events in the log behind that one.
    pub behind: u64,
    /// Why the last attempt failed.
    pub trouble: Option<String>,
    /// RFC 3339, UTC: the next attempt.
    pub next_at: Option<String>,
    /// Events that were taken since the start.
    pub events: u64,
    /// Requests that were taken since the start.
    pub taken: u64,
    /// Requests that were not.
    pub failed: u64,
}

/// Who is sent events, and how far each is.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", responses((status = 200, body = List<WebhookView>)))]
pub(super) async fn list(State(shared): Api) -> Json<List<WebhookView>> {
    Json(List::whole((shared.parts.hooks.list)()))
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resumption {
    /// It goes on behind this event: events are sent again, or left out. Absent: where it was.
    since: Option<u64>,
}

/// Tries at once, also where the receiver had said that it is gone. The body may be left out.
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/resume", tag = "webhooks", params(("name" = String, Path)),
    request_body = Resumption, responses((status = 204, description = "`webhook.resumed` tells."),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "`since` is behind the log's end."),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn resume(
    State(shared): Api,
    Extension(who): Me,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let given: Resumption = if body.is_empty() {
        Resumption::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))?
    };
    let shown = shortened(&name);
    match (shared.parts.hooks.resume)(name, given.since, By::Api(who.0.clone())).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotResumed::Unknown) => Err(Problem::new(404, format!("there is no webhook `{shown}`"))),
        Err(NotResumed::Ahead { last }) => Err(Problem::bad(format!("the log ends at {last}"))),
        Err(NotResumed::Busy) => Err(Problem::unavailable("it is being resumed, or ended")),
    }
}
