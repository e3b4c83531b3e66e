//! Calls: their beginning and end, who talks with whom, where they go.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{By, StandardLimits};
use crate::ids::{ConversationId, LegId, Number, QueueName, StaffNumber, TrunkName};
use crate::media::Quality;
use crate::route::{Cause, Direction};

/// First INVITE of a conversation. Of one that a kill left only a recording of, told by the next start: with the time of the recording's
/// beginning, and leg 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallStarted {
    pub direction: Direction,
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub trunk: Option<TrunkName>,
    #[schema(value_type = Option<String>)]
    pub phone: Option<Number>,
    /// The outside party's number; on an internal call the caller's extension.
    pub customer_number: String,
    /// As the caller dialled it.
    pub called: String,
    /// The customer's number in E.164 with its plus; absent of an extension, and of what is no number of the network.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The number called, likewise; of an outbound call the one that goes to the trunk.
    #[serde(default)]
    pub called_e164: Option<String>,
}

/// 180/183 or 2xx on the customer's leg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallProgress {
    #[schema(value_type = u64)]
    pub leg: LegId,
}

/// Two legs hear each other from here, or no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bridge {
    /// The customer's leg first.
    #[schema(value_type = Vec<u64>)]
    pub legs: [LegId; 2],
    /// The phone of the second leg, where it is one.
    #[schema(value_type = Option<String>)]
    pub phone: Option<Number>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    /// The agent at the first leg: of an internal call, whose customer is a colleague.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_agent: Option<StaffNumber>,
    /// What the call is to be like, where the configuration says otherwise than by default; of an agent, on `call.bridged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Box<StandardLimits>>,
}

/// A leg put the other on hold, or took it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegAction {
    /// The leg that held or resumed.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

/// A hold of a queue's customer that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallHeldLong {
    /// The leg that holds.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    /// So far.
    pub held_ms: u64,
    /// `hold_limit` of the queue; absent where it has none. What a hold is judged by is in its `standards`.
    pub limit_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// The leg that transferred the other away.
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub by: By,
    /// Number or place.
    pub to: String,
    pub outcome: TransferOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferOutcome {
    /// The transferrer has let go; the target is being called.
    Started,
    Completed,
    /// The target did not take it, and `Started` is undone where the transferrer is still there; or the call ended before it could.
    Failed,
}

/// By call forwarding, or a 3xx of the phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallForwarded {
    /// The phone that was called.
    #[schema(value_type = String)]
    pub phone: Number,
    /// As dialled for it.
    pub to: String,
    pub reason: crate::route::Why,
}

/// An attended transfer is complete: whom the consultation was with is in the conversation that it was about. The consultation ends with
/// cause `transferred`; its recording, if it has one, is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallMerged {
    /// Goes on, with the legs of both but the transferrer's.
    #[schema(value_type = String)]
    pub parent: ConversationId,
    /// The consultation.
    #[schema(value_type = String)]
    pub child: ConversationId,
    /// The transferrer's leg in the parent.
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallParked {
    /// The leg that waits.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub slot: Number,
    /// Who parked it, or who has it now.
    #[schema(value_type = String)]
    pub phone: Number,
}

/// A parked call that nobody has fetched, once for each step of its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallParkReturned {
    /// The leg that waits.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub slot: Number,
    /// Who parked it, and is rung; on `answered` who has it now.
    #[schema(value_type = String)]
    pub phone: Number,
    /// How often it has rung there since it was parked, this time included.
    pub returns: u32,
    pub outcome: ParkReturn,
    /// The place, on `overflow` and `overflow_failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why not, on `unanswered` and `overflow_failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParkReturn {
    /// At the phone that parked it. One of the next two follows, or `call.ended`.
    Ringing,
    /// By that phone, or who picked it up from there, or who dialled the slot meanwhile. `call.bridged` follows.
    Answered,
    /// It waits on in its slot, unless `overflow` follows at once.
    Unanswered,
    /// It goes to `[park] overflow`, and has its slot until it has been taken there.
    Overflow,
    /// Not taken there: it waits on in its slot.
    OverflowFailed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallPickedUp {
    /// The leg of who took it.
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// Who took it.
    #[schema(value_type = String)]
    pub phone: Number,
    /// The number that rang.
    #[schema(value_type = String)]
    pub from: Number,
}

/// A phone of an internal call was transferred to a number outside, and it answered there. A `recording.decided` follows: the outbound
/// rule's word counts from here on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallWentOutside {
    /// The customer's leg.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub trunk: TrunkName,
    /// The outside party's number.
    pub customer_number: String,
    /// The same in E.164, where it has that form.
    #[serde(default)]
    pub customer_e164: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallEnded {
    pub cause: Cause,
    /// The final SIP status on the customer's leg, where there was one.
    pub status: Option<u16>,
    /// Which side ended first (S9).
    pub by: By,
    /// From the customer's answer to the end; absent if never answered.
    pub answered_ms: Option<u64>,
    /// Sum of the bridges.
    pub talk_ms: u64,
    pub legs: Vec<LegSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegSummary {
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// `phone:201` or `trunk:carrier`.
    pub peer: String,
    pub cause: Cause,
    /// The final status of its INVITE.
    pub status: Option<u16>,
    pub quality: Option<Quality>,
    /// Who hung it up: the one at its other end, as `customer` or `phone` (S9). Absent where the switch ended it, for whatever reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}
