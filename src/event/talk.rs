//! What happens to a call beside its two parties: conferences, supervisors, mute, what is played into it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{LegId, Number, StaffNumber};
use crate::route::Cause;

/// What a supervisor does in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MonitorMode {
    /// Hears all, and is heard by nobody.
    Listen,
    /// And is heard by the agent alone.
    Whisper,
    /// And is heard by all.
    Barge,
    /// Has the agent's place, who leaves.
    TakeOver,
}

/// One step of a party of a conference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallConferenced {
    pub change: ConferenceChange,
    /// The party's leg, once it has answered.
    #[schema(value_type = Option<u64>)]
    pub leg: Option<LegId>,
    /// As asked for; of one that was in the call from its beginning, `phone:201` or `trunk:carrier`.
    pub to: String,
    /// All who talk with each other now, the customer's leg first.
    #[schema(value_type = Vec<u64>)]
    pub legs: Vec<LegId>,
    /// Who asked for it; on `left`, who left.
    pub by: By,
    /// Why not, on `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConferenceChange {
    /// One of the next two follows, or `call.ended`.
    Ringing,
    Failed,
    Joined,
    /// The others go on.
    Left,
}

/// One step of a consultation within a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallConsulted {
    pub change: ConsultChange,
    /// The leg of who is consulted, once it has answered.
    #[schema(value_type = Option<u64>)]
    pub leg: Option<LegId>,
    /// As asked for.
    pub to: String,
    /// The leg that asks: whom the customer talks to.
    #[schema(value_type = u64)]
    pub asks: LegId,
    /// Who asks.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<StaffNumber>,
    /// Who is asked, where it is an agent.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consulted: Option<StaffNumber>,
    /// Whose doing it is.
    pub by: By,
    /// Why not, on `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsultChange {
    /// The customer waits: `call.held` follows, and `call.resumed` when it does no more. One of the next two follows, or one of the last two.
    Ringing,
    Failed,
    /// The two hear each other.
    Answered,
    /// Who asks is with the customer again, or with whom it asks.
    Swapped,
    /// All talk with each other: `call.conferenced` tells the rest.
    Joined,
    /// The customer is given to whom it asks: `call.transferred` tells the rest.
    Completed,
    /// It is over without that, by whoever: by command, because one of them has hung up, or with the bridge.
    Cancelled,
}

/// One step of a supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallMonitored {
    pub change: MonitorChange,
    pub mode: MonitorMode,
    /// The supervisor's leg, once it has answered.
    #[schema(value_type = Option<u64>)]
    pub leg: Option<LegId>,
    #[schema(value_type = String)]
    pub phone: Number,
    /// Who works at that phone.
    #[schema(value_type = Option<String>)]
    pub supervisor: Option<StaffNumber>,
    /// Who gave the command.
    pub by: By,
    /// Why not, on `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MonitorChange {
    /// `started`, `took_over` or `failed` follows, or `call.ended`.
    Ringing,
    Failed,
    Started,
    /// Another mode.
    Changed,
    /// It has the agent's place from here on: `call.unbridged` and `call.bridged` follow, and this conversation's supervisor it is no more.
    TookOver,
    /// It has hung up, or is lost; where the conversation ends first, `call.ended` tells instead.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallMuted {
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub muted: bool,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallPlayed {
    /// The one that hears it.
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub change: PlayChange,
    /// `en/welcome`, or a tone: `music`, `ringback`, `busy`.
    pub sound: String,
    pub by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlayChange {
    Started,
    /// To its end.
    Ended,
    /// Before that: by command, by another one, or with the bridge.
    Stopped,
}
