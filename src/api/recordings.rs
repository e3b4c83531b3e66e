//! Recordings: search, row, audio.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::conversations::{blocking, page_size, shortened};
use super::problem::Problem;
use super::range::{Part, part};
use super::rights::May;
use super::{Api, List, Shared};
use crate::clock::Wall;
use crate::ids::{QueueName, RecordingId, StaffNumber};
use crate::route::Direction;
use crate::store::recordings::peaks::Waveform;
use crate::store::recordings::{Filter, Kind, MOST_PER_PAGE, Recording};

/// Values of a waveform: twice as many as a wide screen has pixels to draw it in, and the most that one may ask for.
const DRAWN: usize = 2_000;
const MOST_DRAWN: usize = 20_000;

/// Bytes read and sent at once: 2 s of audio.
const CHUNK: u64 = 64 * 1024;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Staff number.
    agent: Option<String>,
    /// The last queue.
    queue: Option<String>,
    /// The customer's number in any spelling, E.164 among them, or its last digits.
    number: Option<String>,
    /// `inbound`, `outbound`, `internal`.
    direction: Option<String>,
    /// `conversation` (where absent), `voicemail`: a message in a mailbox, `greeting`: what a mailbox says, `supervisor`, `prompt`, `all`.
    kind: Option<String>,
    /// Began at or after: RFC 3339.
    from: Option<String>,
    /// Began before: RFC 3339.
    to: Option<String>,
    /// Shortest length in seconds.
    min_s: Option<u64>,
    /// Longest length in seconds.
    max_s: Option<u64>,
    /// Items a page, 1 to 1,000; 50 where absent.
    limit: Option<usize>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

impl Search {
    fn filter(self) -> Result<Filter, Problem> {
        let given = |text: Option<String>| text.filter(|t| !t.is_empty());
        // A `+` in a query stands for a blank: an unescaped `+01:00` comes as ` 01:00`.
        let time = |name: &str, text: Option<String>| match given(text) {
            None => Ok(None),
            Some(text) => Wall::parse_rfc3339(&text.replace(' ', "+"))
                .or_else(|| Wall::parse_rfc3339(&text))
                .map(Some)
                .ok_or_else(|| Problem::bad(format!("`{name}` is no time of RFC 3339, such as 2026-11-22T09:00:00Z"))),
        };
        Ok(Filter {
            agent: given(self.agent).map(StaffNumber::new),
            queue: given(self.queue).map(QueueName::new),
            number: given(self.number),
            direction: match given(self.direction).as_deref() {
                None => None,
                Some("inbound") => Some(Direction::Inbound),
                Some("outbound") => Some(Direction::Outbound),
                Some("internal") => Some(Direction::Internal),
                Some(other) => return Err(Problem::bad(format!("`{}` is no direction", shortened(other)))),
            },
            kind: match given(self.kind).as_deref() {
                None | Some("conversation") => Some(Kind::Conversation),
                Some("voicemail") => Some(Kind::Voicemail),
                Some("greeting") => Some(Kind::Greeting),
                Some("supervisor") => Some(Kind::Supervisor),
                Some("prompt") => Some(Kind::Prompt),
                Some("all") => None,
                Some(other) => return Err(Problem::bad(format!("`{}` is no kind of recording", shortened(other)))),
            },
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            min_s: self.min_s,
            max_s: self.max_s,
            limit: page_size(self.limit, MOST_PER_PAGE)?,
            cursor: match given(self.cursor) {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| Problem::bad("the cursor is none of ours"))?),
            },
        })
    }
}

/// Those that one may hear, newest first; everything given must hold. A page has `limit` items, unless none follow.
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(Search),
    responses((status = 200, body = List<Recording>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(shared): Api,
    Extension(rights): May,
    Query(search): Query<Search>,
) -> Result<Json<List<Recording>>, Problem> {
    let mut filter = search.filter()?;
    let wanted = filter.per_page();
    let mut items = Vec::new();
    // A search that finds little lets others at the thread now and then, and goes on for as long as its client waits.
    let next = loop {
        let recordings = shared.parts.recordings.clone();
        filter.limit = wanted - items.len();
        let part = filter.clone();
        let page = blocking(move || recordings.search(&part)).await??;
        // What was refused is there only until the disk lets it go.
        items.extend(page.items.into_iter().filter(|row| !row.refused && rights.sees_recording(row)));
        match page.next {
            Some(next) if items.len() < wanted => filter.cursor = Some(next),
            next => break next,
        }
    };
    Ok(Json(List { items, next: next.map(|id| id.to_string()) }))
}

#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = Recording), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(shared): Api, Path(id): Path<String>) -> Result<Json<Recording>, Problem> {
    Ok(Json(row(&shared, &id).await?))
}

/// The WAV file: left what the customer said, right what the customer heard. A recording that still runs is sent as far as it is.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/audio", tag = "recordings", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav"), (status = 206, body = Vec<u8>, content_type = "audio/wav"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn audio(State(shared): Api, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let row = row(&shared, &id).await?;
    // The path is made from the identifier as parsed, never from text that came.
    let path = shared.parts.folder.audio(row.id);
    let opened = blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length))
    })
    .await?;
    let (file, length) = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::new(404, "the recording's file is gone"),
        _ => {
            tracing::error!(recording = %row.id, %error, "a recording can't be read");
            Problem::unavailable("the recording can't be read now")
        }
    })?;
    // Only a file that does not change any more has a name for its content.
    let etag = row.sha256.as_ref().and_then(|sha| HeaderValue::from_str(&format!("\"{sha}\"")).ok());
    let of_this = match (headers.get(header::IF_RANGE), &etag) {
        (None, _) => true,
        (Some(condition), Some(etag)) => condition == etag,
        (Some(_), None) => false,
    };
    let range = headers.get(header::RANGE).filter(|_| of_this).and_then(|r| r.to_str().ok());
    let (status, from, bytes) = match part(range, length) {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Slice { from, bytes } => (StatusCode::PARTIAL_CONTENT, from, bytes),
        Part::None => {
            let mut refusal = Problem::new(416, format!("the file has {length} bytes")).into_response();
            refusal.headers_mut().insert(header::CONTENT_RANGE, content_range(&format!("bytes */{length}"))?);
            return Ok(refusal);
        }
    };
    let mut response = (status, Body::from_stream(chunks(Arc::new(file), from, bytes))).into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    out.insert(header::CONTENT_LENGTH, bytes.into());
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(name) = HeaderValue::from_str(&format!("inline; filename=\"{}.wav\"", row.id)) {
        out.insert(header::CONTENT_DISPOSITION, name);
    }
    if let Some(etag) = etag {
        out.insert(header::ETAG, etag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        out.insert(header::CONTENT_RANGE, content_range(&format!("bytes {from}-{}/{length}", from + bytes - 1))?);
    }
    Ok(response)
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Drawn {
    /// Most values a channel, 1 to 20,000; 2,000 where absent. Each stands for as many of the 100 a second as it takes.
    values: Option<usize>,
}

/// The waveform, for drawing. Of a recording that still runs it is up to ten seconds behind.
#[utoipa::path(get, path = "/api/v1/recordings/{id}/peaks", tag = "recordings", params(("id" = String, Path), Drawn),
    responses((status = 200, body = Waveform), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "No such recording, or nothing is drawn of it.")))]
pub(super) async fn peaks(
    State(shared): Api,
    Path(id): Path<String>,
    Query(wanted): Query<Drawn>,
) -> Result<Json<Waveform>, Problem> {
    let values = wanted.values.unwrap_or(DRAWN);
    if !(1..=MOST_DRAWN).contains(&values) {
        return Err(Problem::bad(format!("values is 1 to {MOST_DRAWN}")));
    }
    let row = row(&shared, &id).await?;
    let path = shared.parts.folder.drawing(row.id);
    let read = blocking(move || std::fs::read(path)).await?;
    match read.as_deref().map(Waveform::read) {
        Ok(Some(waveform)) => Ok(Json(waveform.at_most(values))),
        Ok(None) => Err(Problem::new(404, "nothing is drawn of this recording")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Problem::new(404, "nothing is drawn of this recording")),
        Err(error) => {
            tracing::error!(recording = %row.id, %error, "a waveform can't be read");
            Err(Problem::unavailable("the waveform can't be read now"))
        }
    }
}

fn content_range(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::new(500, "the range can't be written"))
}

async fn row(shared: &Shared, id: &str) -> Result<Recording, Problem> {
    let id: RecordingId = id.parse().map_err(|_| Problem::new(404, format!("`{}` is no recording's id", shortened(id))))?;
    let recordings = shared.parts.recordings.clone();
    let row = blocking(move || recordings.row(id)).await??;
    // One that the customer refused is on its way out.
    row.filter(|row| !row.refused).ok_or_else(|| Problem::new(404, format!("there is no recording {id}")))
}

/// The file in pieces, each read when the one before is on its way. A file that is shorter than promised breaks the connection, which is
/// what its reader must hear.
fn chunks(file: Arc<File>, from: u64, bytes: u64) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold((file, from, bytes), |(file, at, left)| async move {
        if left == 0 {
            return None;
        }
        let size = left.min(CHUNK);
        let reader = file.clone();
        let read = spawn_blocking(move || {
            let mut buffer = vec![0; usize::try_from(size).unwrap_or(0)];
            reader.read_exact_at(&mut buffer, at).map(|()| Bytes::from(buffer))
        });
        match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(chunk) => Some((Ok(chunk), (file, at + size, left - size))),
            Err(error) => Some((Err(error), (file, at, 0))),
        }
    })
}
