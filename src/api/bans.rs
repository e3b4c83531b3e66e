//! Sources that are shut out.

use std::net::IpAddr;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::conversations::{done, shortened};
use super::guard::Me;
use super::problem::Problem;
use super::{Api, List};
use crate::switch::command::BanView;
use crate::switch::{Answer, Command};

/// Sources whose SIP messages are not listened to for a while, since too much of what they sent was refused.
#[utoipa::path(get, path = "/api/v1/bans", tag = "guard", responses((status = 200, body = List<BanView>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Result<Json<List<BanView>>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Bans).await? {
        Answer::Bans(all) => Ok(Json(List::whole(all))),
        _ => Err(Problem::mismatch()),
    }
}

/// Lifts one. Who goes on as before is banned anew.
#[utoipa::path(delete, path = "/api/v1/bans/{address}", tag = "guard", params(("address" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn lift(State(shared): Api, Extension(who): Me, Path(address): Path<String>) -> Result<StatusCode, Problem> {
    let parsed: Result<IpAddr, _> = address.parse();
    let address = parsed.map_err(|_| Problem::new(404, format!("`{}` is no address", shortened(&address))))?;
    done(&shared, &who, Command::LiftBan { address }).await
}
