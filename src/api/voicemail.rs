//! Mailboxes: the messages for a number, heard or not, and what callers hear.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::conversations::{done, shortened};
use super::guard::Me;
use super::problem::Problem;
use super::{Api, List, NotImported};
use crate::ids::{Number, RecordingId};
use crate::switch::command::{GreetingView, MailboxLockView, MessageView};
use crate::switch::{Answer, Command};

/// A minute at the best rate that anybody records speech at.
const LARGEST_GREETING: usize = 4 << 20;

/// For all of it to come.
const LONGEST_UPLOAD: Duration = Duration::from_secs(60);

/// The messages for a number, oldest first. Their audio is at `/api/v1/recordings/{id}/audio`: left is what the caller said.
#[utoipa::path(get, path = "/api/v1/voicemail/{number}", tag = "voicemail", params(("number" = String, Path)),
    responses((status = 200, body = List<MessageView>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
) -> Result<Json<List<MessageView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Mailbox { number: Number::new(number) }).await? {
        Answer::Messages(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}

/// Marks a message as heard: it is not new any more.
#[utoipa::path(post, path = "/api/v1/voicemail/{number}/{id}/heard", tag = "voicemail",
    params(("number" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn heard(
    State(shared): Api,
    Extension(who): Me,
    Path((number, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let recording = parsed(&id)?;
    done(&shared, &who, Command::HearMessage { number: Number::new(number), recording }).await
}

/// Deletes a message and its audio.
#[utoipa::path(delete, path = "/api/v1/voicemail/{number}/{id}", tag = "voicemail",
    params(("number" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn discard(
    State(shared): Api,
    Extension(who): Me,
    Path((number, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let recording = parsed(&id)?;
    done(&shared, &who, Command::DeleteMessage { number: Number::new(number), recording }).await
}

/// What a mailbox says to callers.
#[utoipa::path(get, path = "/api/v1/voicemail/{number}/greeting", tag = "voicemail", params(("number" = String, Path)),
    responses((status = 200, body = GreetingView), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn greeting(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
) -> Result<Json<GreetingView>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Greeting { number: Number::new(number) }).await? {
        Answer::Greeting(view) => Ok(Json(view)),
        _ => Err(Problem::mismatch()),
    }
}

/// A greeting of its own: a WAV file (PCM of 8 to 32 bits or float, any rate, at least `[voicemail] shortest`, at most a minute and 4 MB), which
/// callers hear from here on.
#[utoipa::path(put, path = "/api/v1/voicemail/{number}/greeting", tag = "voicemail", params(("number" = String, Path)),
    request_body(content = String, content_type = "audio/wav"),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 408, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 500, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn set_greeting(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let number = Number::new(number);
    // Before anything is kept for it.
    shared.parts.core.ask(&who.0, Command::Greeting { number: number.clone() }).await?;
    let bytes = match timeout(LONGEST_UPLOAD, to_bytes(body, LARGEST_GREETING)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(Problem::new(413, "the file is larger than 4 MB, or broke off")),
        Err(_) => return Err(Problem::new(408, "the file took too long")),
    };
    let (import, mailbox) = (shared.parts.import.clone(), number.clone());
    let recording = match spawn_blocking(move || import(mailbox, &bytes)).await {
        Ok(Ok(recording)) => recording,
        Ok(Err(error @ (NotImported::Unplayable(_) | NotImported::TooShort { .. }))) => {
            return Err(Problem::new(422, error.to_string()));
        }
        Ok(Err(error @ NotImported::Disk(_))) => {
            tracing::error!(%error, "a greeting can't be kept");
            return Err(Problem::unavailable("the file can't be kept now"));
        }
        Err(_) => return Err(Problem::mismatch()),
    };
    done(&shared, &who, Command::SetGreeting { number, recording }).await
}

/// Callers hear the standard greeting again.
#[utoipa::path(delete, path = "/api/v1/voicemail/{number}/greeting", tag = "voicemail", params(("number" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn drop_greeting(
    State(shared): Api,
    Extension(who): Me,
    Path(number): Path<String>,
) -> Result<StatusCode, Problem> {
    done(&shared, &who, Command::DropGreeting { number: Number::new(number) }).await
}

/// Mailboxes and sources that PINs were tried at or from too often: for a while no more of them are listened to.
#[utoipa::path(get, path = "/api/v1/mailbox-locks", tag = "voicemail", responses((status = 200, body = List<MailboxLockView>)))]
pub(super) async fn locks(State(shared): Api, Extension(who): Me) -> Result<Json<List<MailboxLockView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::MailboxLocks).await? {
        Answer::MailboxLocks(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}

/// Lifts one, named as it is listed: `mailbox:201`.
#[utoipa::path(delete, path = "/api/v1/mailbox-locks/{locked}", tag = "voicemail", params(("locked" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn lift_lock(State(shared): Api, Extension(who): Me, Path(locked): Path<String>) -> Result<StatusCode, Problem> {
    done(&shared, &who, Command::LiftMailboxLock { locked }).await
}

fn parsed(id: &str) -> Result<RecordingId, Problem> {
    id.parse().map_err(|_| Problem::new(404, format!("`{}` is no message's id", shortened(id))))
}
