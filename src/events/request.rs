//! What both ways of reading ask: from where, and which.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Feed, Filter};
use crate::store::log::{Follow, LogError, Stored};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Becomes true when this reader is to be let go of: whoever stands before these routes says so.
pub(super) type LetGo = Option<Extension<watch::Receiver<bool>>>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    /// As text: a number that is none is refused by us, with its name.
    since: Option<String>,
    types: Option<String>,
    conversation: Option<String>,
}

/// Why a reader is cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("what it may read has changed")]
    LetGo,
}

/// A reader at its place in the log.
pub(super) struct Subscription {
    follow: Follow,
    filter: Filter,
    source: Arc<str>,
    stop: watch::Receiver<bool>,
    let_go: Option<watch::Receiver<bool>>,
    _seat: OwnedSemaphorePermit,
}

impl Subscription {
    /// # Errors
    /// The response that says what was wrong with the request.
    #[allow(clippy::result_large_err, reason = "the error is the response itself, made once a connection")]
    pub(super) fn open(feed: &Feed, query: &Query, headers: &HeaderMap, let_go: LetGo) -> Result<Subscription, Response> {
        let let_go = let_go.map(|Extension(let_go)| let_go);
        let bad = |what: String| refuse(StatusCode::BAD_REQUEST, &what, None);
        let last = headers.get(LAST_EVENT_ID).map(|v| v.to_str().unwrap_or("?").trim()).filter(|v| !v.is_empty());
        let after = match last.or(query.since.as_deref().filter(|s| !s.is_empty())) {
            Some(text) => Some(text.parse::<u64>().map_err(|_| bad(format!("`{text}` is no number of an event")))?),
            None => None,
        };
        let filter = Filter::parse(query.types.as_deref(), query.conversation.as_deref()).map_err(|e| bad(e.to_string()))?;
        let seat = feed
            .seats
            .clone()
            .try_acquire_owned()
            .map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "too many readers of events are connected", None))?;
        let follow = feed.log.follow(after).map_err(|error| match error {
            LogError::Gone { first_kept } => refuse(StatusCode::GONE, &error.to_string(), Some(("first", first_kept))),
            LogError::Ahead { last } => refuse(StatusCode::BAD_REQUEST, &error.to_string(), Some(("last", last))),
            LogError::TooSlow | LogError::Closed => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), None),
            LogError::Io { .. } => {
                tracing::error!(%error, "events can't be read");
                refuse(StatusCode::SERVICE_UNAVAILABLE, "the event log can't be read now", None)
            }
        })?;
        Ok(Subscription { follow, filter, source: feed.source.clone(), stop: feed.stop.clone(), let_go, _seat: seat })
    }

    /// The next event that is wanted, with its line of JSON.
    pub(super) async fn next(&mut self) -> Result<(Arc<Stored>, Arc<str>), Cut> {
        // A long stretch that the filter drops must not keep other tasks of this thread waiting.
        let mut dropped = 0_u32;
        loop {
            let let_go = async {
                match &mut self.let_go {
                    Some(let_go) => drop(let_go.wait_for(|gone| *gone).await),
                    None => std::future::pending().await,
                }
            };
            let stored = tokio::select! {
                biased;
                () = let_go => return Err(Cut::LetGo),
                // What is there is given out before the stop is looked at.
                next = self.follow.next() => next?,
                // Also when nobody is left who could say it.
                _ = self.stop.wait_for(|stop| *stop) => return Err(LogError::Closed.into()),
            };
            let json = stored.line(&self.source);
            if self.filter.passes(&stored, &json) {
                return Ok((stored, json));
            }
            dropped += 1;
            if dropped.is_multiple_of(256) {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Problem details (RFC 9457).
fn refuse(status: StatusCode, detail: &str, extra: Option<(&str, u64)>) -> Response {
    let mut problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let (Some((name, value)), Some(fields)) = (extra, problem.as_object_mut()) {
        fields.insert(name.to_owned(), value.into());
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}
