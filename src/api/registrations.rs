//! Phones that are there.

use axum::extract::State;
use axum::{Extension, Json};

use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::switch::command::RegistrationView;
use crate::switch::{Answer, Command};

/// All bindings, a row each.
#[utoipa::path(get, path = "/api/v1/registrations", tag = "phones", responses((status = 200, body = List<RegistrationView>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Result<Json<List<RegistrationView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Registrations).await? {
        Answer::Registrations(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}
