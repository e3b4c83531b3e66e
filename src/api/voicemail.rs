//! Mailboxes: the messages for a number, heard or not.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::conversations::{done, shortened};
use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::ids::{Number, RecordingId};
use crate::switch::command::{MailboxLockView, MessageView};
use crate::switch::{Answer, Command};

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
    done(&shared, &who, Command::LiftMailboxLock { locked: shortened(&locked) }).await
}

fn parsed(id: &str) -> Result<RecordingId, Problem> {
    id.parse().map_err(|_| Problem::new(404, format!("`{}` is no message's id", shortened(id))))
}
