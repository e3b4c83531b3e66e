//! One thing that counts, as an event or a few of them tell it.

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use crate::clock::Wall;
use crate::ids::{ConversationId, QueueName, StaffNumber, TrunkName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The quarter that it is counted in is that of this moment.
    pub at: Wall,
    pub of: Of,
    pub what: What,
}

/// Whom it is of. It counts for each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// Absent where it is of none: an agent's state.
    pub conversation: Option<ConversationId>,
    pub queue: Option<QueueName>,
    pub agent: Option<StaffNumber>,
    pub trunk: Option<TrunkName>,
}

/// What figures are asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Queue,
    Agent,
    Trunk,
}

impl Dimension {
    pub const ALL: [Dimension; 3] = [Dimension::Queue, Dimension::Agent, Dimension::Trunk];

    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Queue => "queue",
            Dimension::Agent => "agent",
            Dimension::Trunk => "trunk",
        }
    }
}

impl Of {
    /// For whom of this dimension it counts.
    pub fn name(&self, by: Dimension) -> Option<&str> {
        match by {
            Dimension::Queue => self.queue.as_ref().map(QueueName::as_str),
            Dimension::Agent => self.agent.as_ref().map(StaffNumber::as_str),
            Dimension::Trunk => self.trunk.as_ref().map(TrunkName::as_str),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A caller has a place in a queue. Once more, if it comes back.
    Entered,
    /// `before_ms` of the wait were counted with an earlier answer.
    Answered {
        waited_ms: u64,
        before_ms: u64,
        in_time: bool,
    },
    /// The caller hung up while it waited.
    Abandoned {
        waited_ms: u64,
        in_time: bool,
        short: bool,
    },
    /// It went elsewhere: overflow, transfer, by command.
    Left {
        waited_ms: u64,
    },
    /// It has asked to be called back.
    Callback,
    /// And was: customer and agent talk.
    CalledBack,
    /// It was not let in: too many waited, or nobody was there.
    TurnedAway,
    /// A kill ended the wait.
    Lost,
    /// A phone was rung for a caller.
    Rung,
    /// And was not answered.
    Unanswered,
    /// A call that no queue gave.
    Direct,
    /// Two heard each other; holds are not in it.
    Talk {
        ms: u64,
    },
    Hold {
        ms: u64,
    },
    WrapUp {
        ms: u64,
    },
    /// The agent sent the call on, and it was taken there.
    Transfer,
    /// A customer has answered a question of a survey.
    Surveyed {
        score: u8,
    },
    /// A call came from outside, or went there.
    Call {
        outbound: bool,
    },
    /// It was answered, if by a menu.
    Connected,
    /// From its beginning to its end.
    Line {
        ms: u64,
    },
    /// An agent was in a state.
    State {
        state: State,
        ms: u64,
    },
}

/// States of agents, as their events name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ready,
    Ringing,
    Talking,
    WrapUp,
    Busy,
    Paused,
    Unanswered,
    Unregistered,
    Offline,
}

impl Fact {
    /// Adds it. Talk and hold of calls that no queue gave are counted apart.
    pub fn add_to(&self, cell: &mut Cell) {
        let of_queue = self.of.queue.is_some();
        match self.what {
            What::Entered => cell.entered += 1,
            What::Answered { waited_ms, before_ms, in_time } => {
                cell.answered += 1;
                cell.answered_in_time += u64::from(in_time);
                cell.waited_ms = cell.waited_ms.saturating_add(waited_ms.saturating_sub(before_ms));
                cell.longest_wait_ms = cell.longest_wait_ms.max(waited_ms);
            }
            What::Abandoned { waited_ms, in_time, short } => {
                cell.abandoned += 1;
                cell.abandoned_in_time += u64::from(in_time);
                cell.abandoned_short += u64::from(short);
                cell.longest_wait_ms = cell.longest_wait_ms.max(waited_ms);
            }
            What::Left { waited_ms } => {
                cell.left += 1;
                cell.longest_wait_ms = cell.longest_wait_ms.max(waited_ms);
            }
            What::Callback => cell.callbacks += 1,
            What::CalledBack => cell.called_back += 1,
            What::TurnedAway => cell.turned_away += 1,
            What::Lost => cell.lost += 1,
            What::Rung => cell.rung += 1,
            What::Unanswered => cell.unanswered += 1,
            What::Direct => cell.direct_calls += 1,
            What::Talk { ms } if of_queue => cell.talk_ms = cell.talk_ms.saturating_add(ms),
            What::Hold { ms } if of_queue => cell.hold_ms = cell.hold_ms.saturating_add(ms),
            What::Talk { ms } => cell.direct_talk_ms = cell.direct_talk_ms.saturating_add(ms),
            What::Hold { ms } => cell.direct_hold_ms = cell.direct_hold_ms.saturating_add(ms),
            What::WrapUp { ms } => cell.wrapup_ms = cell.wrapup_ms.saturating_add(ms),
            What::Transfer => cell.transfers += 1,
            What::Surveyed { score } => {
                cell.surveyed += 1;
                cell.survey_points += u64::from(score);
            }
            What::Call { outbound: false } => cell.inbound += 1,
            What::Call { outbound: true } => cell.outbound += 1,
            What::Connected => cell.connected += 1,
            What::Line { ms } => cell.line_ms = cell.line_ms.saturating_add(ms),
            What::State { state, ms } => {
                let sum = match state {
                    State::Ready => &mut cell.ready_ms,
                    State::Ringing => &mut cell.ringing_ms,
                    State::Talking => &mut cell.talking_ms,
                    State::WrapUp => &mut cell.in_wrapup_ms,
                    State::Busy => &mut cell.busy_ms,
                    State::Paused => &mut cell.paused_ms,
                    State::Unanswered => &mut cell.resting_ms,
                    State::Unregistered => &mut cell.unregistered_ms,
                    State::Offline => &mut cell.offline_ms,
                };
                *sum = sum.saturating_add(ms);
            }
        }
    }
}
