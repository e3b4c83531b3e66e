//! Offers, and what the acd asks its owner to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AgentState;
use super::entry::{Arrival, Entry};
use super::line::Left;
use super::skills::Wants;
use crate::clock::Mono;
use crate::config::Place;
use crate::ids::{Number, QueueName, StaffNumber};

/// Unique in this process, never reused: a late report of an ended offer finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OfferId(pub u64);

/// A queue's lease on an agent. An entry has several at a time where its queue rings several agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub id: OfferId,
    pub entry: Entry,
    pub queue: QueueName,
    /// What the agent's phone shows as display name.
    pub title: String,
    pub agent: StaffNumber,
    /// The phones that ring, at least one: those of the agent that were registered when the offer began, whatever a reload or a login says
    /// later.
    pub phones: Vec<Number>,
    pub began: Mono,
    /// The lease ends here; the phone is not to ring longer.
    pub until: Mono,
    /// How long the entry had waited when the offer began.
    pub waited: Duration,
}

/// What the phone's side reports when an offer comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The phone gave up before our deadline: 408, 480.
    NoAnswer,
    /// 486: on a call that we do not see, or set to do-not-disturb.
    Busy,
    /// 603, or the agent pressed "reject".
    Declined,
    /// No contact took the INVITE.
    Unreachable,
    /// The phone answered with something that cannot be used (no common codec, broken SDP), or hung up as it answered.
    Failed,
}

/// Why an offer ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferEnd {
    NoAnswer,
    Busy,
    Declined,
    Unreachable,
    Failed,
    /// The caller hung up, or went elsewhere.
    CallerLeft,
    /// Another agent who was offered the same took it.
    Taken,
    /// The agent paused or went offline while the phone rang.
    AgentLeft,
    /// The phone's registration ended.
    Unregistered,
    /// The phone is on another call meanwhile.
    OtherCall,
}

impl OfferEnd {
    /// Counts as unanswered: `queue.unanswered` is told, and the agent rests.
    pub fn unanswered(self) -> bool {
        match self {
            OfferEnd::NoAnswer | OfferEnd::Busy | OfferEnd::Declined | OfferEnd::Unreachable | OfferEnd::Failed => true,
            OfferEnd::CallerLeft | OfferEnd::Taken | OfferEnd::AgentLeft | OfferEnd::Unregistered | OfferEnd::OtherCall => false,
        }
    }
}

impl From<Why> for OfferEnd {
    fn from(why: Why) -> Self {
        match why {
            Why::NoAnswer => OfferEnd::NoAnswer,
            Why::Busy => OfferEnd::Busy,
            Why::Declined => OfferEnd::Declined,
            Why::Unreachable => OfferEnd::Unreachable,
            Why::Failed => OfferEnd::Failed,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverflowWhy {
    MaxWait,
    /// None of the queue's agents is logged in, and the queue has a place for that.
    NoAgents,
    /// A reload took the queue away.
    QueueRemoved,
}

/// What the owner is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ring the phone, showing the customer's number and `title`; report [`answered`](super::Acd::answered) or
    /// [`declined`](super::Acd::declined).
    Offer(Offer),
    /// The offer is over without an answer: if the phone still rings, it is to stop. Reports about it are late from here on.
    OfferEnded { offer: Offer, end: OfferEnd, rang: Duration },
    /// The entry has left the queue and goes on to `to`.
    Overflow { entry: Entry, queue: QueueName, to: Place, why: OverflowWhy, waited: Duration },
    /// The floor no longer knows this caller, and nobody said that it left.
    Vanished(Left),
    /// The wrap-up is over and something is owed: the agent wants a pause from here on, which outlives the process as any wish does.
    Owing { agent: StaffNumber },
    /// What was last told of this agent is no longer so.
    AgentChanged { agent: StaffNumber, from: AgentState, to: AgentState },
}

/// A caller's stay in a queue, as it was when an agent took the call: for when it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    pub queue: QueueName,
    /// For the order of service.
    pub arrived: Arrival,
    /// What it asked of an agent.
    pub wants: Wants,
    /// The caller's whole wait in this queue, with that of stays before.
    pub waited: Duration,
}

/// An offer that was taken: bridge these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub offer: Offer,
    /// The caller's, which ends with it.
    pub stay: Stay,
    pub rang: Duration,
    /// Since when the agent whose offer it was had been idle.
    pub idle_since: Mono,
}
