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
        let queue = conv.queue.clone().filter(|_| !is_over);
        let Some(rules) = queue.and_then(|queue| config.queues.get(&queue)) else { return false };
        let agent = conv.leg(leaving).and_then(|leg| self.agent_of(leg));
        let customer = conv.other(leaving).filter(|id| conv.leg(*id).is_some_and(|leg| leg.is_answered()));
        let menu = rules.survey.as_ref().filter(|menu| self.hub.graphs.contains_key(*menu));
        let (Some(menu), Some(agent), Some(customer)) = (menu, agent, customer) else { return false };
        // The same customer is asked once.
        if conv.surveyed.is_some() {
            return false;
        }
        conv.surveyed = Some(Surveyed { agent, queue: rules.name.clone() });
        if let Some(leg) = conv.legs.get_mut(&leaving) {
            leg.cause = Some(cause);
            leg.call.ended_by_peer();
        }
        self.unbridge(conv);
        conv.subject = customer;
        self.record_without(conv, leaving);
        if !rules.survey_recorded {
            self.stop_recording(conv);
        }
        self.enter_menu(conv, menu);
        true
    }

    /// An answer, of a customer whom an agent has left to it, or of any caller of the menu.
    pub fn answers_survey(&mut self, conv: &Conversation, survey: MenuName, question: String, score: u8, scale: u8) {
        let of = conv.surveyed.as_ref();
        let data = CallSurveyed {
            survey,
            question,
            score,
            scale,
            agent: of.map(|of| of.agent.clone()),
            queue: of.map(|of| of.queue.clone()),
        };
        self.tell(Some(conv.id), Kind::CallSurveyed(data));
    }
}
