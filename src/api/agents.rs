//! Agents: what they are, and what they want.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;

use super::guard::{Me, Who};
use super::problem::Problem;
use super::rights::{May, Rights};
use super::{Api, List, Shared};
use crate::event::Membership;
use crate::ids::{Number, StaffNumber};
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

/// The agents that one sees, with the states that follow from what they want, their phones and their calls.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", responses((status = 200, body = List<AgentView>)))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
) -> Result<Json<List<AgentView>>, Problem> {
    let mut agents = all(&shared, &who).await?;
    agents.retain(|agent| rights.sees_agent(&StaffNumber::new(agent.staff_number.as_str())));
    Ok(Json(List::whole(agents)))
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
    changed(&shared, &who, &agent, Command::SetAgent { agent: agent.clone(), state: wish.state, reason }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Desk {
    /// Where the agent works from here on; absent: at the phones of the configuration.
    #[serde(default)]
    phone: Option<String>,
}

/// The agent works at that phone, and whoever worked there does no more. A call goes on where it is, and a wrap-up keeps its end. The phone is
/// one that the user may see; at any other the agent logs in by code and PIN.
#[utoipa::path(post, path = "/api/v1/agents/{staff_number}/login", tag = "agents", request_body = Desk,
    params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The agent has no phone to go back to.")))]
pub(super) async fn log_in(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(staff_number): Path<String>,
    Json(desk): Json<Desk>,
) -> Result<Json<AgentView>, Problem> {
    let agent = StaffNumber::new(staff_number);
    let phone = desk.phone.filter(|phone| !phone.is_empty()).map(Number::new);
    // Whose desk it is may see and control its calls: elsewhere the agent proves itself there, with the PIN.
    if let Some(phone) = &phone {
        rights.phone(phone.as_str())?;
    }
    changed(&shared, &who, &agent, Command::LogIn { agent: agent.clone(), phone }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Longer {
    /// Seconds, 1 to 3,600.
    extend_s: u32,
}

/// The wrap-up that runs ends so much later, as far as the queue lets it (`wrap_up_most`).
#[utoipa::path(post, path = "/api/v1/agents/{staff_number}/wrapup", tag = "agents", request_body = Longer,
    params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none, or it is as long as it may be."),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn wrap_up(
    State(shared): Api,
    Extension(who): Me,
    Path(staff_number): Path<String>,
    Json(longer): Json<Longer>,
) -> Result<Json<AgentView>, Problem> {
    let agent = StaffNumber::new(staff_number);
    changed(&shared, &who, &agent, Command::ExtendWrapUp { agent: agent.clone(), seconds: longer.extend_s }).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Queues {
    /// All of them; none: the agent is offered nothing.
    queues: Vec<Membership>,
}

/// The agent works for these queues from now on, whatever the configuration says, also after a reload and a restart. An offer that rings and a
/// call go on. A supervisor names queues that agents of the own teams have by the configuration.
#[utoipa::path(put, path = "/api/v1/agents/{staff_number}/queues", tag = "agents", request_body = Queues,
    params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn put_into(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(staff_number): Path<String>,
    Json(wanted): Json<Queues>,
) -> Result<Json<AgentView>, Problem> {
    let agent = StaffNumber::new(staff_number);
    for one in &wanted.queues {
        rights.queue(&one.queue)?;
    }
    changed(&shared, &who, &agent, Command::PutInto { agent: agent.clone(), queues: Some(wanted.queues) }).await
}

/// The agent works for the queues of the configuration again.
#[utoipa::path(delete, path = "/api/v1/agents/{staff_number}/queues", tag = "agents", params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn put_back(
    State(shared): Api,
    Extension(who): Me,
    Path(staff_number): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    let agent = StaffNumber::new(staff_number);
    changed(&shared, &who, &agent, Command::PutInto { agent: agent.clone(), queues: None }).await
}

/// The agent works nowhere, and is `offline` until the next login.
#[utoipa::path(post, path = "/api/v1/agents/{staff_number}/logout", tag = "agents", params(("staff_number" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn log_out(
    State(shared): Api,
    Extension(who): Me,
    Path(staff_number): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    let agent = StaffNumber::new(staff_number);
    changed(&shared, &who, &agent, Command::LogOut { agent: agent.clone() }).await
}

async fn changed(shared: &Shared, who: &Who, agent: &StaffNumber, command: Command) -> Result<Json<AgentView>, Problem> {
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Done => {}
        _ => return Err(Problem::mismatch()),
    }
    let view = all(shared, who).await?.into_iter().find(|a| a.staff_number == agent.as_str());
    // Between the two questions a reload may have taken the agent away.
    view.map(Json).ok_or_else(|| Refusal::NoAgent(agent.clone()).into())
}

/// Whether a call may be begun from a phone: one of an agent who is seen, or at which such a one works now.
pub(super) async fn works_at(shared: &Shared, who: &Who, rights: &Rights, phone: &str) -> Result<(), Problem> {
    let refused = match rights.phone(phone) {
        Ok(()) => return Ok(()),
        Err(problem) => problem,
    };
    let works_there = |agent: &AgentView| {
        agent.phones.iter().any(|own| own == phone) && rights.sees_agent(&StaffNumber::new(agent.staff_number.as_str()))
    };
    match all(shared, who).await {
        Ok(agents) if agents.iter().any(works_there) => Ok(()),
        Ok(_) | Err(_) => Err(refused),
    }
}

async fn all(shared: &Shared, who: &Who) -> Result<Vec<AgentView>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Agents).await? {
        Answer::Agents(all) => Ok(all),
        _ => Err(Problem::mismatch()),
    }
}
