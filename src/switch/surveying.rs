//! After the call: an agent who hangs up first leaves the customer to the survey of the queue, a menu.
//!
//! For the agent the call is over then, and its wrap-up begins; the conversation goes on, and so does the recording, unless the queue says
//! that a survey is not recorded. Who hangs up before the agent is asked nothing.

use super::hub::Cx;
use crate::conversation::{Conversation, Surveyed};
use crate::event::{CallSurveyed, Kind};
use crate::ids::{LegId, MenuName};
use crate::route::Cause;

impl Cx<'_> {
    /// A leg has hung up: whether the customer is asked how it was, instead of being hung up on.
    pub fn surveys(&mut self, conv: &mut Conversation, leaving: LegId, cause: Cause) -> bool {
        let config = self.config();
        let is_over = cause != Cause::Normal || conv.is_ending() || self.hub.draining || conv.second() != Some(leaving);
        let queue = conv.served_by().cloned().filter(|_| !is_over);
        let Some(rules) = queue.and_then(|queue| config.queues.get(&queue)) else { return false };
        let agent = conv.leg(leaving).and_then(|leg| self.agent_of(leg));
        let customer = conv.other(leaving).filter(|id| conv.leg(*id).is_some_and(|leg| leg.is_answered()));
        let menu = rules.survey.as_ref().filter(|menu| self.hub.graphs.contains_key(*menu));
        let (Some(menu), Some(agent), Some(customer)) = (menu, agent, customer) else { return false };
        // The same customer is asked once.
        if conv.surveyed.is_some() {
            return false;
        }
        let stopped_recording = !rules.survey_recorded && conv.recording.is_some();
        conv.surveyed = Some(Surveyed { about: Some((agent, rules.name.clone())), stopped_recording });
        if let Some(leg) = conv.legs.get_mut(&leaving) {
            leg.cause = Some(cause);
            leg.call.ended_by_peer();
        }
        self.nobody_joins(conv);
        self.unbridge(conv);
        conv.subject = customer;
        self.record_without(conv, leaving);
        if !rules.survey_recorded {
            self.stop_recording(conv);
        }
        self.enter_menu(conv, menu);
        true
    }

    /// Somebody talks to the customer again: what is answered later is not about who went before, and what the rule says holds again.
    pub fn talks_after_survey(&mut self, conv: &mut Conversation) {
        let Some(surveyed) = &mut conv.surveyed else { return };
        surveyed.about = None;
        if std::mem::take(&mut surveyed.stopped_recording)
            && let Some(customer) = conv.customer()
        {
            self.record(conv, customer);
        }
    }

    /// An answer, of a customer whom an agent has left to it, or of any caller of the menu.
    pub fn answers_survey(&mut self, conv: &Conversation, survey: MenuName, question: String, score: u8, scale: u8) {
        let of = conv.surveyed.as_ref().and_then(|surveyed| surveyed.about.as_ref());
        let data = CallSurveyed {
            survey,
            question,
            score,
            scale,
            agent: of.map(|(agent, _)| agent.clone()),
            queue: of.map(|(_, queue)| queue.clone()),
        };
        self.tell(Some(conv.id), Kind::CallSurveyed(data));
    }
}
