//! The clock of a hold: how long a queue's customer has waited for its agent.
//!
//! It runs from `call.held` to `call.resumed`, however the hold was asked for, a consultation included. When it is time the event tells, and
//! a beep tells the agent where the hold is a command's; a phone that holds by itself is sent nothing that it would play.

use super::hub::Cx;
use super::queueing::millis;
use crate::clock::Mono;
use crate::conversation::{Conversation, Hold, Leg};
use crate::event::{By, CallHeldLong, Kind, LegAction};
use crate::ids::LegId;

impl Cx<'_> {
    /// Tells that a leg has the others on hold, or no more.
    pub fn tell_hold(&mut self, conv: &mut Conversation, leg: LegId, held: bool, by: By) {
        let agent = conv.leg(leg).and_then(|l| self.agent_of(l));
        let data = LegAction { leg, agent, by };
        self.tell(Some(conv.id), if held { Kind::CallHeld(data) } else { Kind::CallResumed(data) });
        if held && conv.second() == Some(leg) {
            self.hold_begins(conv, leg);
        } else if conv.hold.as_ref().is_some_and(|hold| hold.leg == leg) {
            conv.hold = None;
        }
        self.measure_talk(conv);
    }

    fn hold_begins(&mut self, conv: &mut Conversation, leg: LegId) {
        let rules = conv.served_by().and_then(|queue| self.hub.config.queues.get(queue));
        let Some(rules) = rules else { return };
        let since = self.now.mono;
        let (reminds_at, limit) = (rules.hold_reminder.map(|after| since + after), rules.hold_limit);
        if reminds_at.is_some() || limit.is_some() {
            conv.hold = Some(Hold { leg, since, reminds_at, overdue_at: limit.map(|after| since + after), limit });
        }
    }

    /// It is time to remind the agent, or more than that.
    pub fn hold_due(&mut self, conv: &mut Conversation) {
        let now = self.now.mono;
        let is_due = |at: &mut Mono| *at <= now;
        let Some(hold) = conv.hold.as_mut().filter(|_| conv.end.is_none()) else { return };
        let reminds = hold.reminds_at.take_if(is_due).is_some();
        let is_overdue = hold.overdue_at.take_if(is_due).is_some();
        let (leg, held_ms, limit_ms) = (hold.leg, millis(now.since(hold.since)), hold.limit.map(millis));
        if !(reminds || is_overdue) {
            return;
        }
        let agent = conv.leg(leg).and_then(|l| self.agent_of(l));
        let data = CallHeldLong { leg, agent, queue: conv.queue.clone(), held_ms, limit_ms };
        self.tell(Some(conv.id), if is_overdue { Kind::CallHoldOverdue(data) } else { Kind::CallHoldReminder(data) });
        if conv.held_by_command && !conv.leg(leg).is_some_and(Leg::is_holding) {
            self.beep(conv, leg);
        }
    }
}
