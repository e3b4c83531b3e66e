//! Queues as they are now.

use axum::extract::State;
use axum::{Extension, Json};

use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::switch::command::QueueView;
use crate::switch::{Answer, Command};

/// Who waits, who works, and the service level with its formula.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", responses((status = 200, body = List<QueueView>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Result<Json<List<QueueView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Queues).await? {
        Answer::Queues(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}
