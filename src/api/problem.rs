//! Problem details for HTTP (RFC 9457): every error of this interface, whoever found it.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Of a framework's plain text, this much becomes the detail.
const LONGEST_DETAIL: usize = 2_048;

/// What went wrong, for programs (`status`) and people (`detail`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    /// `about:blank`: the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    pub status: u16,
    detail: String,
    /// Seconds after which another attempt makes sense.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let title = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
        Problem { kind: "about:blank", title, status, detail: detail.into(), retry_after_s: None }
    }

    pub fn bad(detail: impl Into<String>) -> Self {
        Problem::new(400, detail)
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Problem { retry_after_s: Some(1), ..Problem::new(503, detail) }
    }

    pub fn too_many(detail: impl Into<String>, retry_after_s: u64) -> Self {
        Problem { retry_after_s: Some(retry_after_s), ..Problem::new(429, detail) }
    }

    /// An answer of another kind than the question: a fault of ours.
    pub fn mismatch() -> Self {
        tracing::error!("the core answered another question than was asked");
        Problem::new(500, "the switch answered another question")
    }
}

impl From<crate::store::database::DatabaseError> for Problem {
    fn from(error: crate::store::database::DatabaseError) -> Problem {
        tracing::error!(%error, "the index can't be read");
        Problem::unavailable("the index can't be read now")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cordboard\""));
        }
        response
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(404, "there is nothing at this address")
}

/// Turns errors that did not come as a problem (the framework's 404, 405, 413, 415, 422 …) into one, keeping their headers.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    // What is JSON was written by us: a problem, or a state such as readiness.
    let told = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| *t == MEDIA_TYPE || *t == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || told {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, LONGEST_DETAIL).await.unwrap_or_default();
    let detail = match (std::str::from_utf8(&text), status) {
        (Ok(text), _) if !text.is_empty() => text.to_owned(),
        (_, StatusCode::METHOD_NOT_ALLOWED) => "this address does not know the method".to_owned(),
        (_, StatusCode::PAYLOAD_TOO_LARGE) => "the body is too large".to_owned(),
        (Ok(_) | Err(_), _) => status.canonical_reason().unwrap_or("Error").to_owned(),
    };
    let problem = Problem::new(status.as_u16(), detail);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}
