//! Queues and the states of their agents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::clock::Wall;
use crate::ids::{CallbackId, ConversationId, Number, QueueName, StaffNumber, TeamName};
use crate::route::Cause;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// 1 is next.
    pub position: u32,
    /// Of one who comes back from a transfer that nobody took: what it waited here before. It has its place by that time again, and
    /// `waited_ms` of what follows counts it.
    #[serde(default)]
    pub waited_before_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueOffered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    #[schema(value_type = String)]
    pub phone: Number,
    /// All that ring, `phone` among them.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    pub phones: Vec<Number>,
    /// How long the caller has waited so far.
    pub waited_ms: u64,
    /// The offer ends by itself after this long.
    pub rings_for_ms: u64,
    /// Of a customer who is to be called back.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackId>,
    /// It is to be answered within this. Absent in logs from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_within_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueUnanswered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    /// How long it rang.
    pub rang_ms: u64,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueAnswered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    pub waited_ms: u64,
    /// How long this offer rang (S1).
    pub rang_ms: u64,
    /// The queue's `service_level` of then: what this wait is judged by. Absent in logs from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_ms: Option<u64>,
    /// Of a customer who is to be called back, and is dialled now: it counts for no service level.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueLeft {
    #[schema(value_type = String)]
    pub queue: QueueName,
    pub waited_ms: u64,
    /// Where to, on `queue.left`: `overflow hangup`, `transfer` …
    pub to: Option<String>,
    /// Of `queue.left` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<LeftWhy>,
    /// The queue's `service_level` of then, on `queue.abandoned`: what this wait is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_ms: Option<u64>,
    /// The queue's `short_abandon` of then, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_ms: Option<u64>,
    /// Who had it end, of a call that `ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

impl QueueLeft {
    /// With nothing said but whom it is of.
    pub fn of(queue: QueueName, waited_ms: u64) -> Self {
        QueueLeft { queue, waited_ms, to: None, why: None, threshold_ms: None, short_ms: None, by: None }
    }
}

/// Why a caller who waited does so no more, without having been answered by an agent or having hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftWhy {
    /// As long as the queue lets callers wait: it goes to the overflow.
    MaxWait,
    /// As many waited already as may. It has not entered.
    Length,
    /// None of the queue's agents is logged in. Who finds it so when it comes has not entered.
    NoAgents,
    /// A reload took the queue away.
    QueueRemoved,
    /// A consultation that waited there became part of the conversation that it was about.
    Merged,
    /// Another phone than the agent's took the call.
    PickedUp,
    /// It is called back.
    Callback,
    /// A supervisor has sent it elsewhere.
    Moved,
    /// The call was ended by somebody else than the caller: by command, or since the switch stops.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentState {
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    /// The first of the phones; empty where the agent is logged out.
    #[schema(value_type = String)]
    pub phone: Number,
    /// Where the agent works.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    pub phones: Vec<Number>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// Who set it: of a pause, and of `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Of the call that is offered, talked in or wrapped up.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// In wrap-up: until a disposition, a note, or both have been given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub owes: bool,
    /// Why paused.
    pub reason: Option<String>,
    /// When wrap-up or rest ends by itself.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub until: Option<Wall>,
}
