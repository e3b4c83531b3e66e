//! Who commanded what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{Number, StaffNumber};

/// Somebody commanded something that changes what is, by the API or by a code of a phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditCommanded {
    pub by: By,
    /// Whose code it was.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Number>,
    /// Who works there.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    /// `hangup`, `set_agent`: the command's name.
    pub command: String,
    /// What it asked for, by its own names; without secrets, and without keys that are sent into a call.
    #[schema(value_type = Object)]
    pub asked: serde_json::Value,
    pub outcome: AuditOutcome,
    /// Of one that was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// Taken and carried out; what takes its time has begun.
    Done,
    Refused,
}
