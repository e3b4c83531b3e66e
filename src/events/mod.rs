//! Readers of the event log: `GET /api/v1/events` as Server-Sent Events, `/api/v1/events/ws` as WebSocket; and what they get, described in
//! AsyncAPI at `/api/v1/asyncapi.json`.
//!
//! Rules kept:
//! - A reader says after which event it goes on: `since`, or `Last-Event-ID`, which wins; 0 is from the very first, neither is from now
//!   on. Between two connections nothing is lost or repeated. A number that is no longer kept is 410 with the first that is.
//! - The log never waits for a reader. Who falls too far behind is cut, and resumes by number; over
//!   WebSocket also who does not take what is sent for `websocket::PATIENCE`.
//! - Each reader costs bounded memory, and there are at most [`MOST_READERS`].
//!
//! Who may read is not decided here: the server puts these routes behind the API's guard.

mod asyncapi;
mod filter;
mod request;
mod sse;
mod websocket;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

pub use asyncapi::{asyncapi, description};
pub use filter::{BadFilter, Filter};

use crate::store::log::Log;

/// Readers at once; more get 503. A wallboard in each team, a few programs and a browser tab an agent fit many times.
pub const MOST_READERS: usize = 500;

/// What a reader's handler needs.
#[derive(Clone)]
struct Feed {
    log: Log,
    /// CloudEvents `source`.
    source: Arc<str>,
    seats: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// Both routes. `domain` names this switch in each event's `source`. When `stop` becomes true, readers get what is durable by then and
/// are let go: without it they would keep a server that waits for its connections from ever stopping.
pub fn router(log: Log, domain: &str, stop: watch::Receiver<bool>) -> Router {
    let feed = Feed { log, source: format!("/cordboard/{domain}").into(), seats: Arc::new(Semaphore::new(MOST_READERS)), stop };
    Router::new().route("/api/v1/events", get(sse::stream)).route("/api/v1/events/ws", get(websocket::upgrade)).with_state(feed)
}
