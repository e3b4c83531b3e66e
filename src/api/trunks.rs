//! Trunks as they are now.

use axum::extract::State;
use axum::{Extension, Json};

use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::switch::command::TrunkView;
use crate::switch::{Answer, Command};

/// Which are up, which are down and why, and how many calls each has.
#[utoipa::path(get, path = "/api/v1/trunks", tag = "trunks", responses((status = 200, body = List<TrunkView>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Result<Json<List<TrunkView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Trunks).await? {
        Answer::Trunks(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}
