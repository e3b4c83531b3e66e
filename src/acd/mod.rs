//! Queues, agents and offers: who waits, who works, who is rung for whom.
//!
//! | fact | its one owner |
//! |---|---|
//! | that a caller or a callback waits, since when, in which queue, what for | `Queue::waiting` here |
//! | what an agent wants (ready, paused, offline), where the agent has logged in, and which queues a supervisor has put the agent into | `Agent::wanted`, `Agent::desk`, `Agent::put_into` here; kept over a restart by a [`Snapshot`] |
//! | that an agent is offered, talks, wraps up or rests | `Agent::work` here; an offer exists only there |
//! | that a phone is registered, is on another call, still talks to the caller | the [`Floor`], asked at each step, never copied |
//! | what is known of a callback | its events, which make the [`Book`] |
//! | what an agent is | nobody: [`Acd::agent_state`] derives it |
//!
//! Rules kept, each by a property test over random events:
//! - An offer is a lease: it ends by its deadline even if nobody reports anything. The caller keeps the place in the line; the agent
//!   rests (`unanswered`) and comes back by itself, at the end of the line of the idle.
//! - No agent, and no phone, has two offers or calls of queues; no idle fitting agent stands by while a caller waits without an offer.
//! - Callers are served in the order of their arrival, over all queues that an agent works in, as far as `matching` has no reason
//!   against it (priority, rank, preferred skills), and that is worth a bounded time. Ties go by who was here first.
//! - A caller rings at one agent, or at several where its queue's strategy says so. Of several the first to answer has it; the others'
//!   offers end with that, and none of them rests for it.
//! - Wrap-up and rest are deadlines, set once; the agent alone can move the end of a wrap-up (`wrapping`). A reload of the configuration moves no deadline and ends no offer.
//!
//! An agent's life, as derived; `Offline`, `Paused`, `NotRegistered` and `Busy` cover the idle states while they hold:
//!
//! ```text
//!            offer                 answered             call over
//!   Ready ----------> Offered ----------------> Talking ----------> WrapUp
//!     ^                  | not answered                               |
//!     |                  v                                            |
//!     +---------- Unanswered <- deadline                     deadline |
//!     +---------------------------------------------------------------+
//! ```
//!
//! Nothing happens between steps: after any change, and when [`Acd::deadline`] is reached, the owner calls [`Acd::settle`].

mod agent;
mod announcer;
mod callback;
mod entry;
mod expected;
mod line;
mod matching;
mod offer;
mod queue;
mod service_level;
mod settle;
mod skills;
mod strategy;
mod view;
mod wrapping;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use agent::{AgentState, StateKind, Wanted};
pub use announcer::{Announcer, Part, Seen};
pub use callback::{Book, Callback, CallbackState};
pub use entry::{Arrival, Entry};
pub use expected::{Pace, Said, Staff, expected_wait};
pub use line::{Acd, Arriving, Elsewhere, Entered, Floor, Left, NoSuchAgent, NoSuchQueue, NotEntered};
pub use offer::{Action, Answered, Offer, OfferEnd, OfferId, OverflowWhy, Stay, Why};
pub use service_level::{PastEnd, PastStay, Tally};
pub use skills::{Levels, Pin, Relax, Wants};
pub use view::{AgentView, QueueView, WaitingView};
pub use wrapping::{Debt, NotExtended, Owes, Wrapping};

use crate::config::Standing;
use crate::ids::{Number, QueueName, StaffNumber};

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub wanted: BTreeMap<StaffNumber, Wanted>,
    /// Where agents work instead of where the configuration says; nowhere at all: logged out.
    #[serde(default)]
    pub desks: BTreeMap<StaffNumber, Vec<Number>>,
    /// The queues that agents were put into, instead of those of the configuration.
    #[serde(default)]
    pub put_into: BTreeMap<StaffNumber, BTreeMap<QueueName, Standing>>,
    #[serde(default)]
    pub wrap_ups: BTreeMap<StaffNumber, Wrapping>,
    pub tallies: BTreeMap<QueueName, Tally>,
    /// Stays that those do not count yet; of them the ones that ended on this day are.
    #[serde(default)]
    pub past: Vec<PastStay>,
}
