//! An agent: what the person wants, what the acd has given, and what follows from both.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::line::{Elsewhere, Floor};
use super::offer::Offer;
use super::skills::Levels;
use super::wrapping::{After, WrapUp};
use crate::clock::{Mono, Now};
use crate::config::Standing;
use crate::ids::{ConversationId, Number, QueueName, StaffNumber};

/// What the agent set, by API or feature code. The only thing about an agent that outlives the process.
///
/// A new agent is `Ready`: in a small centre the phone's registration is the login. While the phone is not registered the state is
/// `unregistered`, so nothing is offered to an empty desk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Wanted {
    #[default]
    Ready,
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Offline,
}

/// What an agent is at a moment. Never stored; see the order in `derive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentState {
    Offline,
    Paused {
        reason: Option<String>,
    },
    /// Wants to work, but the phone is not there.
    NotRegistered,
    /// Idle since then; the longest idle is offered next.
    Ready {
        since: Mono,
    },
    Offered {
        entry: Entry,
        queue: QueueName,
        until: Mono,
    },
    Talking {
        caller: ConversationId,
        queue: QueueName,
        since: Mono,
    },
    /// The phone is on a call that is not a queue's.
    Busy,
    WrapUp {
        queue: QueueName,
        until: Mono,
    },
    /// Let an offer pass, and is spared until then.
    Unanswered {
        until: Mono,
    },
}

/// [`AgentState`] without its data: for counting and for the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    Offline,
    Paused,
    #[serde(rename = "unregistered")]
    NotRegistered,
    Ready,
    #[serde(rename = "ringing")]
    Offered,
    Talking,
    Busy,
    #[serde(rename = "wrapup")]
    WrapUp,
    Unanswered,
}

impl AgentState {
    pub fn kind(&self) -> StateKind {
        match self {
            AgentState::Offline => StateKind::Offline,
            AgentState::Paused { .. } => StateKind::Paused,
            AgentState::NotRegistered => StateKind::NotRegistered,
            AgentState::Ready { .. } => StateKind::Ready,
            AgentState::Offered { .. } => StateKind::Offered,
            AgentState::Talking { .. } => StateKind::Talking,
            AgentState::Busy => StateKind::Busy,
            AgentState::WrapUp { .. } => StateKind::WrapUp,
            AgentState::Unanswered { .. } => StateKind::Unanswered,
        }
    }
}

impl StateKind {
    pub fn label(self) -> &'static str {
        match self {
            StateKind::Offline => "offline",
            StateKind::Paused => "paused",
            StateKind::NotRegistered => "unregistered",
            StateKind::Ready => "ready",
            StateKind::Offered => "ringing",
            StateKind::Talking => "talking",
            StateKind::Busy => "busy",
            StateKind::WrapUp => "wrapup",
            StateKind::Unanswered => "unanswered",
        }
    }
}

/// What the acd has given this agent to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Idle {
        since: Mono,
    },
    /// `idle_since` is the place in the line of the idle, kept if the offer ends by no fault of the agent.
    Offered {
        offer: Offer,
        idle_since: Mono,
    },
    /// What follows is what the queue said when the call began.
    Talking {
        caller: ConversationId,
        queue: QueueName,
        phone: Number,
        since: Mono,
        after: After,
    },
    WrapUp(WrapUp),
    Resting {
        until: Mono,
    },
}

impl Work {
    /// The phones that an offer or a call of a queue occupies.
    pub(super) fn phones(&self) -> &[Number] {
        match self {
            Work::Offered { offer, .. } => &offer.phones,
            Work::Talking { phone, .. } => std::slice::from_ref(phone),
            Work::Idle { .. } | Work::WrapUp(_) | Work::Resting { .. } => &[],
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Work::Offered { offer, .. } => Some(offer.until),
            Work::WrapUp(wrap_up) => Some(wrap_up.until()),
            Work::Resting { until } => Some(*until),
            Work::Idle { .. } | Work::Talking { .. } => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub staff_number: StaffNumber,
    pub name: String,
    /// Phones of the configuration.
    pub home: Vec<Number>,
    /// Where the agent has logged in instead, or what a colleague's login has left; none at all: logged out.
    pub desk: Option<Vec<Number>>,
    /// The queues that a supervisor has put the agent into, instead of those of the configuration.
    pub put_into: Option<BTreeMap<QueueName, Standing>>,
    pub skills: Levels,
    pub wanted: Wanted,
    pub work: Work,
    pub today: Today,
    /// A reload took the agent away: what runs ends as it would, nothing new begins.
    pub leaving: bool,
    /// What was last told. A memory of speech, not of state: only differences to it are told.
    pub told: AgentState,
    pub told_at: Now,
}

impl Agent {
    /// Where the next offer rings: all of them that are registered, and the first to answer has it.
    pub(super) fn phones(&self) -> &[Number] {
        self.desk.as_deref().unwrap_or(&self.home)
    }

    /// Works at none of these any more; whether any was the agent's.
    pub(super) fn leaves(&mut self, phones: &[Number]) -> bool {
        let is_lost = |phone: &Number| phones.contains(phone);
        if !self.phones().iter().any(is_lost) {
            return false;
        }
        self.desk = Some(self.phones().iter().filter(|phone| !is_lost(phone)).cloned().collect());
        true
    }

    pub(super) fn is_registered(&self, floor: &impl Floor) -> bool {
        self.phones().iter().any(|phone| floor.registered(phone))
    }

    /// From the strongest claim on the agent's time to the weakest. Wrap-up stands above a pause, so that a pause asked for during the
    /// call begins after it; "offline" stands above both: who went home does not wrap up.
    ///
    /// `taken` are the phones that offers and calls of queues occupy, and whose they are.
    pub(super) fn state(&self, floor: &impl Floor, taken: &Taken) -> AgentState {
        let given = match &self.work {
            Work::Talking { caller, queue, since, .. } => {
                return AgentState::Talking { caller: *caller, queue: queue.clone(), since: *since };
            }
            Work::Offered { offer, .. } => {
                return AgentState::Offered { entry: offer.entry, queue: offer.queue.clone(), until: offer.until };
            }
            Work::WrapUp(wrap_up) => AgentState::WrapUp { queue: wrap_up.queue.clone(), until: wrap_up.until() },
            Work::Resting { until } => AgentState::Unanswered { until: *until },
            Work::Idle { since } => AgentState::Ready { since: *since },
        };
        match (&self.wanted, given) {
            (Wanted::Offline, _) => AgentState::Offline,
            // Logged out: there is no desk to be ready, paused or in wrap-up at.
            (Wanted::Ready | Wanted::Paused { .. }, _) if self.phones().is_empty() => AgentState::Offline,
            (Wanted::Ready | Wanted::Paused { .. }, given @ AgentState::WrapUp { .. }) => given,
            (Wanted::Paused { reason }, _) => AgentState::Paused { reason: reason.clone() },
            (Wanted::Ready, _) if self.is_elsewhere(floor, taken) => AgentState::Busy,
            (Wanted::Ready, _) if !self.is_registered(floor) => AgentState::NotRegistered,
            (Wanted::Ready, given) => given,
        }
    }

    /// On a call that is not this agent's of a queue, at any of the phones: one of its own, or a colleague's who works at the same phone.
    pub(super) fn is_elsewhere(&self, floor: &impl Floor, taken: &Taken) -> bool {
        let is_in_use = |phone: &Number| {
            taken.get(phone).is_some_and(|who| *who != self.staff_number) || floor.elsewhere(phone) != Elsewhere::Nothing
        };
        self.phones().iter().any(is_in_use)
    }
}

/// An agent's calls of queues on one day of the site, for the strategies that spread work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Today {
    day: Option<jiff::civil::Date>,
    calls: u32,
    /// Of calls that are over. One over midnight is of the day on which it ended.
    talk: Duration,
    /// Calls that are over.
    ended: u32,
}

impl Today {
    /// Calls that are over, and the talk of them all.
    pub(super) fn ended(self, today: Option<jiff::civil::Date>) -> (u32, Duration) {
        let Today { ended, talk, .. } = self.turned_to(today);
        (ended, talk)
    }

    /// Calls and talk so far.
    pub(super) fn so_far(self, today: Option<jiff::civil::Date>) -> (u32, Duration) {
        let Today { calls, talk, .. } = self.turned_to(today);
        (calls, talk)
    }

    pub(super) fn count_call(&mut self, today: Option<jiff::civil::Date>) {
        *self = self.turned_to(today);
        self.calls = self.calls.saturating_add(1);
    }

    pub(super) fn count_talk(&mut self, talk: Duration, today: Option<jiff::civil::Date>) {
        *self = self.turned_to(today);
        self.talk = self.talk.saturating_add(talk);
        self.ended = self.ended.saturating_add(1);
    }

    /// Anew when the day is another. `None` (no calendar) keeps counting.
    fn turned_to(self, today: Option<jiff::civil::Date>) -> Today {
        if today.is_some() && self.day != today { Today { day: today, ..Today::default() } } else { self }
    }
}

/// Phones that offers and calls of queues occupy, with the agent who has each.
pub(super) type Taken = BTreeMap<Number, StaffNumber>;
