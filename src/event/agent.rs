//! Where agents work, and for whom.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{Number, QueueName, StaffNumber, TeamName};

/// An agent has logged in, or out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentLogin {
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    /// Where the agent works from here on; none: nowhere.
    #[schema(value_type = Vec<String>)]
    pub phones: Vec<Number>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    pub by: By,
    /// The agent whose login has taken the phone.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<StaffNumber>,
}

/// An agent works for other queues from here on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentQueues {
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// All of them; none: the agent is offered nothing.
    pub queues: Vec<Membership>,
    /// They are those of the configuration again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub as_configured: bool,
    pub by: By,
}

/// An agent's place in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// 1 to 9: callers of a queue of the next rank stand back at this agent as if they had come a minute later.
    #[serde(default = "one")]
    #[schema(default = 1, minimum = 1, maximum = 9)]
    pub rank: u8,
    /// 1 to 100: the agent's share where the queue's strategy is `weighted`.
    #[serde(default = "one_share")]
    #[schema(default = 1, minimum = 1, maximum = 100)]
    pub weight: u32,
}

fn one() -> u8 {
    1
}

fn one_share() -> u32 {
    1
}
