//! Teams, as they are configured.

use axum::{Extension, Json};
use serde::Serialize;

use super::List;
use super::rights::May;
use crate::config::Team;
use crate::ids::TeamName;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct TeamView {
    name: String,
    /// Staff number.
    leader: Option<String>,
    /// Staff numbers.
    agents: Vec<String>,
    /// Whom it works for.
    client: Option<String>,
}

/// The teams that one supervises; a manager sees all.
#[utoipa::path(get, path = "/api/v1/teams", tag = "agents", responses((status = 200, body = List<TeamView>)))]
pub(super) async fn list(Extension(rights): May) -> Json<List<TeamView>> {
    let one = |(name, team): (&TeamName, &Team)| TeamView {
        name: name.to_string(),
        leader: team.leader.as_ref().map(ToString::to_string),
        agents: team.agents.iter().map(ToString::to_string).collect(),
        client: team.client.clone(),
    };
    Json(List::whole(rights.teams().map(one).collect()))
}
