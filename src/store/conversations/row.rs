//! One row a conversation.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::acd::{PastEnd, PastStay};
use crate::clock::Wall;
use crate::event::{By, ConsultChange, Direction, MissingCause, MonitorMode, TransferOutcome};
use crate::ids::{ConversationId, LegId, MenuName, Number, QueueName, RecordingId, StaffNumber, TrunkName};
use crate::media::{Quality, Way};
use crate::route::Cause;
use crate::store::rfc3339;

/// Intervals that a row holds. Later ones are counted only.
pub const MOST_INTERVALS: usize = 400;
/// Offers are written until a row has so many intervals: of a caller whom agent after agent lets ring for an hour, the talk at last is
/// told all the same.
pub const MOST_BEFORE_OFFERS: usize = 200;

/// Notes that a row holds, and dispositions.
pub const MOST_NOTES: usize = 50;

/// Fields are only ever added, and then with `#[serde(default)]`, or the fold's version is raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    #[schema(value_type = String)]
    pub id: ConversationId,
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub started_at: Wall,
    /// The customer's leg was answered (by a menu counts), or answered us.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>)]
    pub answered_at: Option<Wall>,
    pub direction: Direction,
    /// The outside party's number; on an internal call the caller's extension.
    pub customer_number: String,
    /// As dialled.
    pub called: String,
    /// The customer's number in E.164 with its plus; absent of an extension, and of what is no number of the network.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The number called, likewise; of an outbound call the one that goes to the trunk.
    #[serde(default)]
    pub called_e164: Option<String>,
    #[schema(value_type = Option<String>)]
    pub trunk: Option<TrunkName>,
    /// The phone that began it.
    #[schema(value_type = Option<String>)]
    pub phone: Option<Number>,
    /// Absent while it lives.
    pub ended: Option<Ended>,
    /// Known from the bridges while it lives; all of them, with their ends, afterwards.
    pub legs: Vec<Leg>,
    /// What the customer went through, in order of their beginnings.
    pub intervals: Vec<Interval>,
    /// Intervals beyond those kept.
    #[serde(default)]
    pub intervals_dropped: u64,
    /// In the order in which they came.
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<StaffNumber>,
    /// In the order in which they were entered.
    #[schema(value_type = Vec<String>)]
    pub queues: Vec<QueueName>,
    /// Whether it is recorded, and by which rule.
    pub recorded: Option<Recorded>,
    pub recordings: Vec<RecordingRef>,
    /// Consultations that have become part of it; their recordings are theirs.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub children: Vec<ConversationId>,
    /// It was a consultation and has become part of that conversation: lists leave it out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub merged_into: Option<ConversationId>,
    /// What came of it, and what was noted, in order; the last [`MOST_NOTES`] of each.
    #[serde(default)]
    pub dispositions: Vec<Disposition>,
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Moments that were marked, likewise, and words on the whole, each once.
    #[serde(default)]
    pub markers: Vec<Marker>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// What the customer answered after the call, likewise.
    #[serde(default)]
    pub surveys: Vec<SurveyAnswer>,
    /// Sum of the bridges that have ended; all of them afterwards.
    pub talk_ms: u64,
    /// The last thing that is known of it.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub last_at: Wall,
    /// Sequence of that event.
    pub sequence: u64,
}

impl Conversation {
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Disposition {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub at: Wall,
    pub disposition: String,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub at: Wall,
    pub text: String,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Marker {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub at: Wall,
    /// The recording that it is in, and where.
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    pub at_ms: Option<u64>,
    pub text: Option<String>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurveyAnswer {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub at: Wall,
    #[schema(value_type = String)]
    pub survey: MenuName,
    pub question: String,
    /// 1 to `scale`.
    pub score: u8,
    pub scale: u8,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub at: Wall,
    pub cause: Cause,
    /// The final SIP status on the customer's leg, where there was one.
    pub status: Option<u16>,
    /// Which side ended first.
    pub by: By,
    /// From the customer's answer to the end; absent if never answered.
    pub answered_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Leg {
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// `phone:201` or `trunk:carrier`.
    pub peer: String,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    /// Absent while the conversation lives.
    pub cause: Option<Cause>,
    /// The final status of its INVITE.
    pub status: Option<u16>,
    /// When it last fell or recovered; at its end, over all of it.
    pub quality: Option<Quality>,
    /// Who hung it up, where the switch did not.
    #[serde(default)]
    pub by: Option<By>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Interval {
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub from: Wall,
    /// Absent while it lasts. Equal to `from` for what takes no time.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>)]
    pub to: Option<Wall>,
    #[serde(flatten)]
    pub span: Span,
}

impl Interval {
    /// Of a stay in a queue that is over, how it went.
    pub fn queue_stay(&self) -> Option<PastStay> {
        let Span::Queue { queue, outcome, waited_ms, waited_before_ms } = &self.span else { return None };
        let how = match outcome {
            QueueOutcome::Answered => PastEnd::Answered,
            QueueOutcome::Abandoned => PastEnd::Abandoned,
            QueueOutcome::Left => PastEnd::Moved,
            QueueOutcome::Waiting => return None,
        };
        Some(PastStay {
            queue: queue.clone(),
            ended: self.to?,
            how,
            waited: Duration::from_millis((*waited_ms)?),
            before: Duration::from_millis(*waited_before_ms),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Span {
    /// In a menu, at one node after another.
    Menu {
        #[schema(value_type = String)]
        menu: MenuName,
        language: String,
        /// Keys pressed, `x` where masked.
        digits: String,
        /// Where it led.
        left_to: Option<String>,
    },
    /// Waiting in a queue, offers included.
    Queue {
        #[schema(value_type = String)]
        queue: QueueName,
        outcome: QueueOutcome,
        /// With what it had waited there before.
        waited_ms: Option<u64>,
        /// Of one who came back from a transfer that nobody took.
        #[serde(default)]
        waited_before_ms: u64,
    },
    /// Ringing at an agent's phone.
    Offer {
        #[schema(value_type = String)]
        queue: QueueName,
        #[schema(value_type = String)]
        agent: StaffNumber,
        #[schema(value_type = String)]
        phone: Number,
        outcome: OfferOutcome,
        rang_ms: Option<u64>,
    },
    /// Two legs hear each other: talk time.
    Bridge {
        #[schema(value_type = Vec<u64>)]
        legs: [LegId; 2],
        #[schema(value_type = Option<String>)]
        phone: Option<Number>,
        #[schema(value_type = Option<String>)]
        agent: Option<StaffNumber>,
    },
    /// On hold.
    Hold {
        #[schema(value_type = u64)]
        leg: LegId,
        #[schema(value_type = Option<String>)]
        agent: Option<StaffNumber>,
        by: By,
    },
    /// From the transfer's beginning to its outcome.
    Transfer {
        #[schema(value_type = u64)]
        leg: LegId,
        by: By,
        to_place: String,
        outcome: TransferOutcome,
    },
    /// A further party talks with the others. One that was among them from the beginning and left has no such interval.
    Conference {
        #[schema(value_type = u64)]
        leg: LegId,
        to_place: String,
        by: By,
    },
    /// Somebody is consulted, from the ringing on.
    Consultation {
        /// The leg that asks.
        #[schema(value_type = u64)]
        leg: LegId,
        #[schema(value_type = Option<String>)]
        agent: Option<StaffNumber>,
        to_place: String,
        /// Who is asked, where it is an agent.
        #[schema(value_type = Option<String>)]
        consulted: Option<StaffNumber>,
        #[serde(default)]
        answered: bool,
        /// The last step of it.
        outcome: ConsultChange,
        by: By,
    },
    /// A supervisor is there, in one mode.
    Monitor {
        #[schema(value_type = u64)]
        leg: LegId,
        #[schema(value_type = String)]
        phone: Number,
        #[schema(value_type = Option<String>)]
        supervisor: Option<StaffNumber>,
        mode: MonitorMode,
        by: By,
    },
    /// What a leg says is heard by nobody.
    Mute {
        #[schema(value_type = u64)]
        leg: LegId,
        #[schema(value_type = Option<String>)]
        agent: Option<StaffNumber>,
        by: By,
    },
    /// Its recording is silent on purpose.
    RecordingPaused {
        #[schema(value_type = String)]
        recording: RecordingId,
        by: By,
    },
    /// A phone did not take the call; it takes no time.
    Forward {
        #[schema(value_type = String)]
        phone: Number,
        to_place: String,
        reason: crate::route::Why,
    },
    /// A leg was not heard that should be, or did not hear.
    MediaMissing {
        #[schema(value_type = u64)]
        leg: LegId,
        peer: String,
        #[serde(default)]
        cause: Option<MissingCause>,
    },
    /// A leg sounded bad: its score when it began.
    MediaDegraded {
        #[schema(value_type = u64)]
        leg: LegId,
        peer: String,
        way: Option<Way>,
        mos: f32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueOutcome {
    Waiting,
    Answered,
    Abandoned,
    /// Went elsewhere: overflow, transfer.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferOutcome {
    Ringing,
    Answered,
    Unanswered,
    /// The caller was gone first, or the conversation ended.
    Withdrawn,
}

/// The decision to record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recorded {
    pub record: bool,
    pub rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingRef {
    #[schema(value_type = String)]
    pub id: RecordingId,
    pub state: RecordingOutcome,
    /// Audio that did not reach the file, in ms.
    pub gap_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingOutcome {
    Recording,
    Finished,
    Repaired,
    /// The customer did not want it, or could not be told of it: nothing of it is kept.
    Refused,
    /// It could not be written; it is still tried, and may turn out finished.
    Failed,
}
