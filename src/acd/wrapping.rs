//! Wrap-up: how long it lasts, what the agent owes before it ends, and how it is made longer.
//!
//! A wrap-up has an end, which the agent can move on as far as the queue's `wrap_up_most`. Where the queue asks for a disposition or a note
//! and the agent has given none, it lasts until then; after that the agent is paused, for that reason, until somebody wishes otherwise: no
//! state of an agent lasts without a deadline or a wish. What is owed may be given while the call goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agent::{Agent, Wanted, Work};
use super::line::{Acd, NoSuchAgent};
use super::offer::Action;
use crate::clock::{Mono, Now, Wall};
use crate::config;
use crate::ids::{ConversationId, QueueName, StaffNumber};

/// What of a call's notes is still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owes {
    pub disposition: bool,
    pub note: bool,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debt {
    Disposition,
    Note,
}

impl Owes {
    fn anything(self) -> bool {
        self.disposition || self.note
    }

    fn given(&mut self, debt: Debt) {
        match debt {
            Debt::Disposition => self.disposition = false,
            Debt::Note => self.note = false,
        }
    }

    /// Of the pause that comes of it.
    fn reason(self) -> &'static str {
        if self.disposition { "disposition" } else { "note" }
    }
}

/// What follows a call, by the queue's rules when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct After {
    pub wrap_up: Duration,
    pub most: Duration,
    pub owes: Owes,
}

impl After {
    pub(super) fn of(rules: &config::Queue) -> After {
        let owes = Owes { disposition: rules.disposition_required, note: rules.notes_required };
        After { wrap_up: rules.wrap_up, most: rules.wrap_up_most.max(rules.wrap_up), owes }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrapUp {
    pub queue: QueueName,
    pub call: ConversationId,
    ends: Mono,
    most: Mono,
    owes: Owes,
}

impl WrapUp {
    pub(super) fn after(call: ConversationId, queue: QueueName, after: After, now: Now) -> WrapUp {
        WrapUp { queue, call, ends: now.mono + after.wrap_up, most: now.mono + after.most, owes: after.owes }
    }

    /// It lasts so long, if nothing happens.
    pub(super) fn until(&self) -> Mono {
        if self.owes.anything() { self.most } else { self.ends }
    }

    pub(super) fn owes_anything(&self) -> bool {
        self.owes.anything()
    }

    fn given(&mut self, debt: Debt, now: Now) {
        self.owes.given(debt);
        // It has lasted on for that alone.
        self.ends = self.ends.max(now.mono);
    }
}

/// A wrap-up as it outlives the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapping {
    pub queue: QueueName,
    pub call: ConversationId,
    pub ends: Wall,
    pub most: Wall,
    #[serde(default)]
    pub owes: Owes,
}

/// Why a wrap-up is not made longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    #[error(transparent)]
    NoSuchAgent(#[from] NoSuchAgent),
    #[error("the agent is not in wrap-up")]
    NotWrappingUp,
    #[error("it lasts as long already as the queue lets it")]
    AtMost,
}

impl Acd {
    /// The wrap-up that runs ends so much later, as far as the queue lets it. Returns its end.
    pub fn extend(&mut self, agent: &StaffNumber, by: Duration, now: Now) -> Result<Wall, NotExtended> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else {
            return Err(NoSuchAgent(agent.clone()).into());
        };
        let Work::WrapUp(wrap_up) = &mut person.work else { return Err(NotExtended::NotWrappingUp) };
        if wrap_up.ends >= wrap_up.most {
            return Err(NotExtended::AtMost);
        }
        wrap_up.ends = (wrap_up.ends + by).min(wrap_up.most);
        Ok(now.wall + wrap_up.until().since(now.mono))
    }

    /// Who talks or wraps up in this conversation (this one, if one is named), and for which queue; of several, one who still owes something
    /// for it.
    pub fn works_on(&self, call: ConversationId, agent: Option<&StaffNumber>) -> Option<(&StaffNumber, &QueueName)> {
        let named = self.agents.values().filter(|a| agent.is_none_or(|agent| a.staff_number == *agent));
        let working = named.filter_map(|a| match &a.work {
            Work::Talking { caller, queue, after, .. } if *caller == call => Some((&a.staff_number, queue, after.owes)),
            Work::WrapUp(wrap_up) if wrap_up.call == call => Some((&a.staff_number, &wrap_up.queue, wrap_up.owes)),
            Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } | Work::WrapUp(_) | Work::Resting { .. } => None,
        });
        working.min_by_key(|(.., owes)| !owes.anything()).map(|(agent, queue, _)| (agent, queue))
    }

    /// The agent has given what was owed for the call at hand.
    pub fn given(&mut self, agent: &StaffNumber, debt: Debt, now: Now) {
        match self.agents.get_mut(agent).map(|a| &mut a.work) {
            Some(Work::Talking { after, .. }) => after.owes.given(debt),
            Some(Work::WrapUp(wrap_up)) => wrap_up.given(debt, now),
            Some(Work::Idle { .. } | Work::Offered { .. } | Work::Resting { .. }) | None => {}
        }
    }

    pub fn wrapping_of(&self, agent: &StaffNumber, now: Now) -> Option<Wrapping> {
        let Work::WrapUp(WrapUp { queue, call, ends, most, owes }) = &self.agents.get(agent)?.work else { return None };
        // One that has run out before this moment is over anyway.
        let wall = |at: Mono| now.wall + at.since(now.mono);
        Some(Wrapping { queue: queue.clone(), call: *call, ends: wall(*ends), most: wall(*most), owes: *owes })
    }

    /// A wrap-up of the last run goes on to its end, but no longer than one of its queue: the clock may have been set meanwhile.
    pub(super) fn resume(&mut self, agent: &StaffNumber, wrapping: Wrapping, now: Now) {
        let Some(agent) = self.agents.get_mut(agent) else { return };
        let Wrapping { queue, call, ends, most, owes } = wrapping;
        let Some(after) = self.queues.get(&queue).map(|queue| After::of(&queue.rules)) else { return };
        let mono = |at: Wall| now.mono + at.since(now.wall).min(after.most);
        agent.work = Work::WrapUp(WrapUp { queue, call, ends: mono(ends), most: mono(most), owes });
    }
}

/// Its time is over. Who still owes something takes no call before it is given, or somebody lets it be.
pub(super) fn over(agent: &mut Agent, pending: &mut Vec<Action>) {
    let Work::WrapUp(wrap_up) = &agent.work else { return };
    let (until, owes) = (wrap_up.until(), wrap_up.owes);
    if owes.anything() && agent.wanted == Wanted::Ready {
        agent.wanted = Wanted::Paused { reason: Some(owes.reason().to_owned()) };
        pending.push(Action::Owing { agent: agent.staff_number.clone() });
    }
    agent.work = Work::Idle { since: until };
}
