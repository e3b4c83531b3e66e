//! Where agents work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{Number, StaffNumber, TeamName};

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
