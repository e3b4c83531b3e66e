//! What is said of a call: what came of it, notes, and what the customer thought of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{MenuName, QueueName, RecordingId, StaffNumber};

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

/// A caller's answer to one question of a menu.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallSurveyed {
    /// The menu.
    #[schema(value_type = String)]
    pub survey: MenuName,
    /// As the menu names it.
    pub question: String,
    /// From 1, the worst.
    pub score: u8,
    /// To this.
    pub scale: u8,
    /// Who has had the call and left the customer to the survey; absent of a menu that the caller came to otherwise.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
}

/// Words on a call, beside those that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallTagged {
    pub tags: Vec<String>,
    /// Whose call it was, or is.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

/// A moment of a call, for whoever listens to its recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallMarked {
    /// The recording that the moment is in; absent of a call that is not recorded.
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    /// From its beginning.
    pub at_ms: Option<u64>,
    pub text: Option<String>,
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    pub by: By,
}
