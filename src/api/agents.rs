//! Agents: what they are, and what they want.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;

use super::guard::{Me, Who};
use super::problem::Problem;
use super::{Api, List, Shared};
use crate::ids::StaffNumber;
use crate::switch::command::{AgentView, WantedState};
use crate::switch::{Answer, Command, Refusal};

/// A reason is shown on wallboards: a few words.
const LONGEST_REASON: usize = 100;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Wish {
    state: WantedState,
    /// Of a pause.
    #[serde(default)]
    reason: Option<String>,
}

/// All agents with the states that follow from what they want, their phones and their calls.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", responses((status = 200, body = List<AgentView>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Result<Json<List<AgentView>>, Problem> {
    Ok(Json(List::whole(all(&shared, &who).await?)))
}

/// Sets what the agent wants; the rest is derived. During a call it takes effect after it.
#[utoipa::path(post, path = "/api/v1/agents/{staff_number}/state", tag = "agents", request_body = Wish,
    params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn set(
    State(shared): Api,
    Extension(who): Me,
    Path(staff_number): Path<String>,
    Json(wish): Json<Wish>,
) -> Result<Json<AgentView>, Problem> {
    let reason = wish.reason.filter(|r| !r.is_empty());
    if reason.as_ref().is_some_and(|r| r.chars().count() > LONGEST_REASON || r.chars().any(char::is_control)) {
        return Err(Problem::new(422, format!("a reason is one line of at most {LONGEST_REASON} characters")));
    }
    if reason.is_some() && wish.state != WantedState::Paused {
        return Err(Problem::new(422, "only a pause has a reason"));
    }
    let agent = StaffNumber::new(staff_number);
    let command = Command::SetAgent { agent: agent.clone(), state: wish.state, reason };
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Done => {}
        _ => return Err(Problem::mismatch()),
    }
    let view = all(&shared, &who).await?.into_iter().find(|a| a.staff_number == agent.as_str());
    // Between the two questions a reload may have taken the agent away.
    view.map(Json).ok_or_else(|| Refusal::NoAgent(agent).into())
}

async fn all(shared: &Shared, who: &Who) -> Result<Vec<AgentView>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Agents).await? {
        Answer::Agents(all) => Ok(all),
        _ => Err(Problem::mismatch()),
    }
}
