//! Server-Sent Events (WHATWG HTML §9.2): `id:` is the sequence, `event:` is left out so that one `onmessage` hears all.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{self, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::Feed;
use super::request::{LetGo, Query, Subscription};

/// A comment after this long without an event, so that proxies and both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a browser waits before it resumes.
const RETRY: Duration = Duration::from_secs(2);

pub(super) async fn stream(
    State(feed): State<Feed>,
    extract::Query(query): extract::Query<Query>,
    let_go: LetGo,
    headers: HeaderMap,
) -> Response {
    let subscription = match Subscription::open(&feed, &query, &headers, let_go) {
        Ok(subscription) => subscription,
        Err(refusal) => return refusal,
    };
    let first = stream::once(async { Ok::<_, Infallible>(Event::default().retry(RETRY)) });
    // The end of the stream is how a reader is cut: its client connects again, with the last id that it has seen.
    let events = stream::unfold(subscription, |mut subscription| async move {
        match subscription.next().await {
            Ok((stored, json)) => Some((Ok(Event::default().id(stored.sequence.to_string()).data(json)), subscription)),
            Err(error) => {
                tracing::info!(%error, "a reader of events is cut");
                None
            }
        }
    });
    let sse =
        Sse::new(stream::StreamExt::chain(first, events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("still here"));
    // X-Accel-Buffering: nginx would hold events back otherwise.
    ([(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")], sse).into_response()
}
