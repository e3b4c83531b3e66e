//! Queues as they are now.

use axum::extract::State;
use axum::{Extension, Json};

use super::guard::Me;
use super::problem::Problem;
use super::rights::May;
use super::{Api, List};
use crate::switch::command::QueueView;
use crate::switch::{Answer, Command};

/// Of the queues that one sees: who waits, who works, and the service level with its formula.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", responses((status = 200, body = List<QueueView>)))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
) -> Result<Json<List<QueueView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Queues).await? {
        Answer::Queues(mut all) => {
            all.retain(|queue| rights.sees_queue(&queue.name));
            Ok(Json(List::whole(all)))
        }
        _ => Err(Problem::mismatch()),
    }
}
