//! What is said of a call: what came of it, and notes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{QueueName, StaffNumber};

/// What came of a call, as one of its queue's dispositions. A later one counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallDisposed {
    pub disposition: String,
    /// Whose call it was.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallNoted {
    pub text: String,
    /// Whose call it was, or is.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    pub by: By,
}
