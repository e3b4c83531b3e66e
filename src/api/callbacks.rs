//! Customers who are to be called back.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::conversations::{conversation, dialled, done, row, shortened};
use super::guard::{Me, Who};
use super::problem::Problem;
use super::rights::{May, Rights};
use super::{Api, List, Shared};
use crate::clock::Wall;
use crate::config::Role;
use crate::ids::{CallbackId, QueueName, StaffNumber};
use crate::switch::command::CallbackView;
use crate::switch::{Answer, Command, Refusal};

/// Those of the queues that one works in, or whose agents one sees, in the order in which they were wished for.
#[utoipa::path(get, path = "/api/v1/callbacks", tag = "queues", responses((status = 200, body = List<CallbackView>)))]
pub(super) async fn list(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
) -> Result<Json<List<CallbackView>>, Problem> {
    let mut callbacks = all(&shared, &who).await?;
    callbacks.retain(|callback| rights.serves_queue(&callback.queue));
    Ok(Json(List::whole(callbacks)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// In whose line it is, and by whose rules the customer is called.
    queue: String,
    /// The customer's, as the network writes it, or in E.164.
    number: String,
    /// Not before, RFC 3339, within 30 days; absent: as soon as it is its turn.
    #[serde(default)]
    due_at: Option<String>,
    /// Staff number: for a quarter of an hour it is this agent's alone, then everybody's of the queue. An agent owns only what is the own.
    #[serde(default)]
    owner: Option<String>,
    /// What it is about.
    #[serde(default)]
    conversation: Option<String>,
}

/// Somebody is to be called back. A customer whom this queue is to call already has that callback, and it is the answer; an appointment, which has a due
/// time, stands beside it.
#[utoipa::path(post, path = "/api/v1/callbacks", tag = "queues", request_body = Wish, responses((status = 201, body = CallbackView),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "There are as many as there may be, or another queue is to call this customer."),
    (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Json(wish): Json<Wish>,
) -> Result<(StatusCode, Json<CallbackView>), Problem> {
    let queue = QueueName::new(wish.queue);
    if !rights.serves_queue(&queue) {
        return Err(Problem::new(403, format!("queue {} is none of yours", shortened(queue.as_str()))));
    }
    let number = dialled("number", wish.number)?;
    let owner = wish.owner.map(StaffNumber::new);
    if rights.role == Role::Agent && owner.is_some() && owner != rights.agent {
        return Err(Problem::new(403, "an agent can be the owner of the own callbacks only"));
    }
    if let Some(owner) = owner.as_ref().filter(|owner| !rights.sees_agent(owner)) {
        return Err(Problem::new(403, format!("agent {} is none of yours", shortened(owner.as_str()))));
    }
    let due_at = wish.due_at.map(|at| {
        let bad = || Problem::new(422, "due_at is a time such as 2026-11-24T10:00:00Z");
        Wall::parse_rfc3339(&at).ok_or_else(bad)
    });
    let due_at = due_at.transpose()?;
    let about = match wish.conversation {
        Some(id) => {
            let id = conversation(&id)?;
            let row = row(&shared, id).await?.ok_or_else(|| Problem::new(404, format!("there is no conversation {id}")))?;
            if !rights.sees_call(&row) {
                return Err(Problem::new(403, format!("conversation {id} is none of yours")));
            }
            Some(id)
        }
        None => None,
    };
    let command = Command::CallBack { queue, number, due_at, owner, conversation: about };
    match shared.parts.core.ask(&who.0, command).await? {
        Answer::Callback(view) => Ok((StatusCode::CREATED, Json(*view))),
        _ => Err(Problem::mismatch()),
    }
}

/// Nobody is called back; a call to the customer that goes on is ended as other calls are.
#[utoipa::path(delete, path = "/api/v1/callbacks/{id}", tag = "queues", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The customer is being called.")))]
pub(super) async fn cancel(
    State(shared): Api,
    Extension(who): Me,
    Extension(rights): May,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: CallbackId = id.parse().map_err(|_| Problem::new(404, format!("`{}` is no callback's id", shortened(&id))))?;
    let there = all(&shared, &who).await?.into_iter().find(|callback| callback.id == id.to_string());
    let callback = there.ok_or_else(|| Problem::from(Refusal::NoCallback(id)))?;
    if !is_own(&rights, &callback) {
        return Err(Problem::new(403, format!("callback {id} is none of yours")));
    }
    done(&shared, &who, Command::CancelCallback { id }).await
}

fn is_own(rights: &Rights, callback: &CallbackView) -> bool {
    match rights.role {
        Role::Agent => rights.agent.as_ref().is_some_and(|agent| callback.owner.as_deref() == Some(agent.as_str())),
        Role::Supervisor | Role::Manager | Role::Admin => rights.sees_queue(&callback.queue),
    }
}

async fn all(shared: &Shared, who: &Who) -> Result<Vec<CallbackView>, Problem> {
    match shared.parts.core.ask(&who.0, Command::Callbacks).await? {
        Answer::Callbacks(all) => Ok(all),
        _ => Err(Problem::mismatch()),
    }
}
