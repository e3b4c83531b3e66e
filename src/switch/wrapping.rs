//! After a call: what came of it, notes, and a wrap-up that is to last longer.
//!
//! All of it may come while the call goes on and after its end; what an agent owes of it ends the wrap-up with it. A wrap-up outlives the
//! process with the agent's wish.

use std::time::Duration;

use super::command::Refusal;
use super::hub::Cx;
use super::{Output, Switch};
use crate::acd::{Debt, NotExtended};
use crate::clock::Now;
use crate::conversation::Conversation;
use crate::event::{By, CallDisposed, CallNoted, Kind};
use crate::ids::{ConversationId, LegId, QueueName, StaffNumber};

/// The longest note, in characters: a page.
const LONGEST_NOTE: usize = 2_000;

/// By so much at most a wrap-up is made longer at once; the queue has its own limit for all of it.
const LONGEST_STEP: u32 = 3_600;

impl Switch {
    pub(super) fn dispose(
        &mut self,
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        disposition: String,
        by: By,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let (whose, queue) = self.worked_on(conversation, agent.as_ref());
        let config = &self.hub.config;
        let among = |queue: &crate::config::Queue| queue.disposition.contains(&disposition);
        let is_known = match queue.as_ref().and_then(|queue| config.queues.get(queue)) {
            Some(queue) => among(queue),
            // A call of another day, or of no queue.
            None => config.queues.values().any(among),
        };
        if !is_known {
            return Err(Refusal::NoDisposition(disposition));
        }
        let mut cx = self.cx(now, out);
        cx.given(whose.as_ref(), Debt::Disposition);
        let data = CallDisposed { disposition, agent: whose.or(agent), queue, by };
        cx.tell(Some(conversation), Kind::CallDisposed(data));
        Ok(())
    }

    pub(super) fn note(
        &mut self,
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        text: String,
        by: By,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.trim().is_empty() || text.chars().count() > LONGEST_NOTE || text.chars().any(is_odd) {
            return Err(Refusal::BadValue("a note has 1 to 2,000 characters"));
        }
        let (whose, _) = self.worked_on(conversation, agent.as_ref());
        let mut cx = self.cx(now, out);
        cx.given(whose.as_ref(), Debt::Note);
        cx.tell(Some(conversation), Kind::CallNoted(CallNoted { text, agent: whose.or(agent), by }));
        Ok(())
    }

    /// Whose call it is, or was until just now, and for which queue.
    pub(super) fn worked_on(
        &self,
        call: ConversationId,
        agent: Option<&StaffNumber>,
    ) -> (Option<StaffNumber>, Option<QueueName>) {
        let works = self.hub.acd.works_on(call, agent).map(|(agent, queue)| (agent.clone(), queue.clone()));
        let live = self.conversations.get(&call).and_then(|conv| conv.queue.clone());
        match works {
            Some((agent, queue)) => (Some(agent), Some(queue)),
            None => (None, live),
        }
    }
}

impl Cx<'_> {
    fn given(&mut self, agent: Option<&StaffNumber>, debt: Debt) {
        let Some(agent) = agent else { return };
        self.hub.acd.given(agent, debt, self.now);
        self.hub.stirred = true;
        self.keep_wrap_up(agent);
    }

    /// What came of the call, by its place among the queue's dispositions, from 1.
    pub fn disposed_by_key(&mut self, conv: &Conversation, leg: LegId, nth: usize, by: By) -> Result<(), Refusal> {
        let config = self.config();
        let queue = conv.queue.clone();
        let all = queue.as_ref().and_then(|queue| config.queues.get(queue)).map(|queue| &queue.disposition);
        let chosen = nth.checked_sub(1).and_then(|at| all?.get(at).cloned());
        let disposition = chosen.ok_or_else(|| Refusal::NoDisposition(nth.to_string()))?;
        let agent = conv.leg(leg).and_then(|leg| self.agent_of(leg));
        self.given(agent.as_ref(), Debt::Disposition);
        self.tell(Some(conv.id), Kind::CallDisposed(CallDisposed { disposition, agent, queue, by }));
        Ok(())
    }

    /// A wrap-up that has begun, changed or ended is kept, or no more.
    pub fn keep_wrap_up(&mut self, agent: &StaffNumber) {
        if self.hub.wrapping_up.contains(agent) || self.hub.acd.wrapping_of(agent, self.now).is_some() {
            self.keep_wish(agent);
        }
    }

    /// The agent is paused for what it owes.
    pub fn owing(&mut self, agent: &StaffNumber) {
        self.hub.wished_by.insert(agent.clone(), By::Switch);
        self.keep_wish(agent);
    }

    pub fn extend_wrap_up(&mut self, agent: &StaffNumber, seconds: u32) -> Result<(), Refusal> {
        if !(1..=LONGEST_STEP).contains(&seconds) {
            return Err(Refusal::BadValue("extend_s is 1 to 3600"));
        }
        let by = Duration::from_secs(seconds.into());
        match self.hub.acd.extend(agent, by, self.now) {
            Ok(_) => {}
            Err(NotExtended::NoSuchAgent(error)) => return Err(Refusal::NoAgent(error.0)),
            Err(NotExtended::NotWrappingUp) => return Err(Refusal::WrongState("the agent is not in wrap-up")),
            Err(NotExtended::AtMost) => return Err(Refusal::WrongState("it lasts as long already as the queue lets it")),
        }
        self.hub.stirred = true;
        self.keep_wrap_up(agent);
        Ok(())
    }
}
