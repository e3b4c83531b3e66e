//! The SIP messages of a conversation, and those of none: as JSON, as a ladder to read, as a capture.

mod pcap;
mod text;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::conversations::{blocking, conversation, row, shortened};
use super::problem::Problem;
use super::{Api, List, Shared};
use crate::ids::ConversationId;
use crate::store::ladders::Message;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Shape {
    /// `json`, or `text` for a ladder with a column for each peer; absent: by the header Accept, JSON without it.
    format: Option<String>,
}

impl Shape {
    fn is_text(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        match self.format.as_deref() {
            Some("text") => Ok(true),
            Some("json") => Ok(false),
            Some(other) => Err(Problem::bad(format!("`{}` is no format: json or text", shortened(other)))),
            None => {
                let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
                Ok(accept.trim_start().to_ascii_lowercase().starts_with("text/plain"))
            }
        }
    }
}

/// The SIP messages of a conversation, of all its legs, in the order in which the switch took and sent them; secrets are taken out. Empty
/// where none are kept: `[sip] ladder = 0`, older than `ladder_kept`, or lived when the switch was killed.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/ladder", tag = "conversations", params(("id" = String, Path), Shape),
    responses((status = 200, content((List<Message> = "application/json"), (String = "text/plain"))),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(shared): Api,
    Path(id): Path<String>,
    Query(shape): Query<Shape>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_text = shape.is_text(&headers)?;
    let (id, messages) = of(&shared, &id).await?;
    Ok(printed(is_text, &format!("conversation {id}"), messages))
}

/// The same as a capture for Wireshark or tshark (libpcap's format, raw IP). The packets are made here: each message is one UDP datagram
/// between the addresses that it went between, whatever its transport was. A message that was too long to be kept whole is marked as
/// captured in part.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/ladder.pcap", tag = "conversations", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn pcap(State(shared): Api, Path(id): Path<String>) -> Result<Response, Problem> {
    let (id, messages) = of(&shared, &id).await?;
    Ok(capture(&id.to_string(), &messages))
}

/// The last SIP messages that belong to no conversation: registrations, probes, strangers. Oldest first; not kept beyond the process.
#[utoipa::path(get, path = "/api/v1/signalling", tag = "health", params(Shape),
    responses((status = 200, content((List<Message> = "application/json"), (String = "text/plain"))),
        (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn strays(State(shared): Api, Query(shape): Query<Shape>, headers: HeaderMap) -> Result<Response, Problem> {
    let is_text = shape.is_text(&headers)?;
    Ok(printed(is_text, "no conversation", last(&shared).await?))
}

/// The same as a capture, made as a conversation's.
#[utoipa::path(get, path = "/api/v1/signalling.pcap", tag = "health",
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap")))]
pub(super) async fn strays_pcap(State(shared): Api) -> Result<Response, Problem> {
    Ok(capture("signalling", &last(&shared).await?))
}

async fn of(shared: &Shared, id: &str) -> Result<(ConversationId, Vec<Message>), Problem> {
    let id = conversation(id)?;
    let ladders = shared.parts.ladders.clone();
    let messages = blocking(move || ladders.of(id)).await??;
    // A call that was refused at once, or begins just now, may have messages before it has a row.
    if messages.is_empty() && row(shared, id).await?.is_none() {
        return Err(Problem::new(404, format!("there is no conversation {id}")));
    }
    Ok((id, messages))
}

async fn last(shared: &Shared) -> Result<Vec<Message>, Problem> {
    let ladders = shared.parts.ladders.clone();
    blocking(move || ladders.strays()).await
}

fn printed(is_text: bool, of: &str, messages: Vec<Message>) -> Response {
    if is_text {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text::ladder(of, &messages)).into_response()
    } else {
        Json(List::whole(messages)).into_response()
    }
}

fn capture(name: &str, messages: &[Message]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.pcap\"")),
    ];
    (headers, pcap::capture(messages)).into_response()
}
