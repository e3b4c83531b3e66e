//! The same events over WebSocket (RFC 6455): one text message an event. What the client says is not listened to, but for closing.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{self, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Feed;
use super::request::{Cut, LetGo, Query, Subscription};
use crate::store::log::LogError;

/// A message that the client's side does not take for this long ends the connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A ping this often; a client from which nothing came for two of them is gone.
const PING: Duration = Duration::from_secs(20);

/// A client has nothing to say to us but control frames (at most 125 bytes).
const LARGEST_FROM_CLIENT: usize = 4_096;

pub(super) async fn upgrade(
    State(feed): State<Feed>,
    extract::Query(query): extract::Query<Query>,
    let_go: LetGo,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    // Before the upgrade, so that 400 and 410 are plain HTTP.
    match Subscription::open(&feed, &query, &headers, let_go) {
        Ok(subscription) => upgrade
            .read_buffer_size(LARGEST_FROM_CLIENT)
            .max_message_size(LARGEST_FROM_CLIENT)
            .max_frame_size(LARGEST_FROM_CLIENT)
            .on_upgrade(move |socket| run(socket, subscription)),
        Err(refusal) => refusal,
    }
}

async fn run(mut socket: WebSocket, mut subscription: Subscription) {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    loop {
        let send = tokio::select! {
            next = subscription.next() => match next {
                Ok((_, json)) => Message::text(&*json),
                Err(error) => {
                    tracing::info!(%error, "a reader of events is cut");
                    let _ = timeout(PATIENCE, socket.send(Message::Close(Some(closing(&error))))).await;
                    return;
                }
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                    silent = 0;
                    continue;
                }
            },
            _ = pings.tick() => {
                silent += 1;
                if silent > 3 {
                    return;
                }
                Message::Ping(Default::default())
            }
        };
        match timeout(PATIENCE, socket.send(send)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn closing(cut: &Cut) -> CloseFrame {
    let (code, reason) = match cut {
        Cut::LetGo => (close_code::POLICY, "what you may read has changed; log in again"),
        Cut::Log(LogError::TooSlow | LogError::Gone { .. }) => (close_code::POLICY, "too slow; resume by number"),
        Cut::Log(LogError::Closed) => (close_code::AWAY, "the switch is stopping"),
        Cut::Log(LogError::Ahead { .. } | LogError::Io { .. }) => (close_code::ERROR, "the event log can't be read"),
    };
    CloseFrame { code, reason: reason.into() }
}
