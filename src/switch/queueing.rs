//! Queues: callers in, offers to phones, and what the acd decides carried out.

use std::time::Duration;

use super::hub::Cx;
use crate::acd::{self, Announcer, NotEntered, OfferEnd, OfferId, OverflowWhy, Stay, Why};
use crate::config::Place;
use crate::conversation::{Conversation, Role, Stage};
use crate::event::{Kind, LeftWhy, QueueAnswered, QueueEntered, QueueLeft, QueueOffered, QueueUnanswered};
use crate::ids::{LegId, QueueName, StaffNumber};
use crate::media::Audio;
use crate::route::{self, Cause};
use crate::sip::{Reason, Status};

/// Queues in a row that do not take a caller.
const MOST_TURNS: u8 = 8;

pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

impl Cx<'_> {
    pub fn enter_queue(&mut self, conv: &mut Conversation, queue: &QueueName) {
        self.waits_in(conv, queue, None);
    }

    /// An agent had the call and sent it on, nobody took it, and that one does not take it back.
    pub fn enter_queue_again(&mut self, conv: &mut Conversation, stay: &Stay) {
        self.waits_in(conv, &stay.queue, Some(stay));
    }

    fn waits_in(&mut self, conv: &mut Conversation, queue: &QueueName, stay: Option<&Stay>) {
        if stay.is_none()
            && let Err(error) = self.hub.acd.admits(queue, self.now)
        {
            return self.turned_away(conv, queue, error);
        }
        conv.turned_away = 0;
        // Before the answer, with which a recording would begin.
        self.queue_decides(conv, queue);
        if !self.answer(conv) {
            return;
        }
        let own = stay.is_none().then(|| self.called_back_itself(conv, queue)).flatten();
        let entered = match stay {
            Some(stay) => self.hub.acd.enter_again(stay, conv.id, self.now),
            None => {
                let arrived = own.map_or_else(|| self.now.mono.into(), |at| acd::Arrival::at_wall(at, self.now));
                self.hub.acd.enter(queue, acd::Arriving::new(conv.id, arrived), self.now)
            }
        };
        match entered {
            Ok(entered) => {
                self.unpark(conv);
                self.waits(conv, queue);
                conv.came_at = own.or_else(|| Some(self.now.wall - stay.map_or(Duration::ZERO, |stay| stay.waited)));
                let position = u32::try_from(entered.position).unwrap_or(u32::MAX);
                let waited_before_ms = stay.map_or(0, |stay| millis(stay.waited));
                self.tell(Some(conv.id), Kind::QueueEntered(QueueEntered { queue: queue.clone(), position, waited_before_ms }));
                self.describe(conv);
                self.hub.stirred = true;
            }
            // A reload took it away between the check and now.
            Err(_) => self.fail(conv, Cause::NotFound, None),
        }
    }

    /// In the line, with music.
    pub fn waits(&mut self, conv: &mut Conversation, queue: &QueueName) {
        let rules = self.hub.config.queues.get(queue).and_then(|queue| queue.announce.as_ref());
        let announcer = rules.map(|rules| Box::new(Announcer::new(rules, self.now.mono)));
        conv.stage = Stage::Queue { queue: queue.clone(), announcer, play: None, offers_at: self.offers_callback_at(queue) };
        conv.queue = Some(queue.clone());
        conv.stay = None;
        if !self.hears_news(conv) {
            self.play(conv, conv.subject, Audio::Music(self.music_of(conv)));
        }
    }

    /// It may not even wait, and goes where the queue wants it then. Queues that send a caller in a circle are left at last.
    fn turned_away(&mut self, conv: &mut Conversation, queue: &QueueName, error: NotEntered) {
        let (to, why) = match error {
            NotEntered::NoSuchQueue(_) => return self.fail(conv, Cause::NotFound, None),
            NotEntered::Full(to) => (to, LeftWhy::Length),
            NotEntered::NoAgents(to) => (to, LeftWhy::NoAgents),
        };
        conv.turned_away += 1;
        let to = if conv.turned_away > MOST_TURNS { Place::Hangup } else { to };
        self.leaves_for(conv, queue.clone(), &to, why, Duration::ZERO);
    }

    /// Whether who waits in it is recorded, where the queue has a word of its own.
    pub fn queue_decides(&mut self, conv: &mut Conversation, queue: &QueueName) {
        if let Some(decision) = self.hub.config.queues.get(queue).and_then(route::recording_in) {
            self.decide_anew(conv, decision);
        }
    }

    /// The acd leases an agent for this caller.
    pub fn offer(&mut self, conv: &mut Conversation, offer: &acd::Offer) {
        let data = QueueOffered {
            queue: offer.queue.clone(),
            agent: offer.agent.clone(),
            phone: offer.phones.first().cloned().unwrap_or_else(|| "".into()),
            phones: offer.phones.clone(),
            waited_ms: millis(offer.waited),
            rings_for_ms: millis(offer.until.since(offer.began)),
            callback: None,
            answer_within_ms: self.hub.config.queues.get(&offer.queue).map(|queue| millis(queue.answer_within())),
        };
        self.tell(Some(conv.id), Kind::QueueOffered(data));
        let role = Role::Agent { agent: offer.agent.clone(), offer: offer.id };
        let (shows, _) = self.shown_to_phone(conv);
        let mut rings = false;
        for phone in &offer.phones {
            rings |= !conv.is_ending() && self.ring_phone(conv, phone, &role, &shows, Some(&offer.title));
        }
        if !rings {
            self.hub.acd.declined(offer.id, Why::Unreachable, self.now);
            self.hub.stirred = true;
        }
    }

    /// The agent's phone was answered: if the lease still holds, the two are bridged.
    pub fn agent_answered(&mut self, conv: &mut Conversation, id: LegId, agent: &StaffNumber, offer: OfferId) {
        if let Some(calling) = conv.callback.clone().filter(|calling| calling.offer == offer) {
            return self.agent_is_there(conv, id, agent, &calling);
        }
        let phone = conv.leg(id).and_then(|leg| leg.peer.phone()).cloned();
        let answered = match &conv.stage {
            Stage::Queue { .. } => phone.and_then(|phone| self.hub.acd.answered(offer, &phone, conv.id, self.now)),
            _ => None,
        };
        let Some(answered) = answered else {
            return self.release(conv, id, Cause::Cancelled, Status::REQUEST_TERMINATED, None);
        };
        self.hub.stirred = true;
        self.stop_ringing(conv, Some(id));
        let data = QueueAnswered {
            queue: answered.offer.queue.clone(),
            agent: agent.clone(),
            waited_ms: millis(answered.stay.waited),
            rang_ms: millis(answered.rang),
            threshold_ms: self.threshold_ms(&answered.offer.queue),
            callback: None,
        };
        self.tell(Some(conv.id), Kind::QueueAnswered(data));
        self.has_called_itself(conv);
        conv.stay = Some(Box::new(answered.stay));
        self.bridge(conv, id);
        // The queue is new, even if the agent is not.
        self.describe(conv);
    }

    /// What an answer in this queue is judged by from now on.
    pub fn threshold_ms(&self, queue: &QueueName) -> Option<u64> {
        self.hub.config.queues.get(queue).map(|rules| millis(rules.service_level))
    }

    /// One contact of the agent's phone refused; the offer fails with the last of them, or at once where it refused for all.
    pub fn offer_refused(&mut self, conv: &mut Conversation, offer: OfferId, cause: Cause, for_all: bool) {
        let rings = |role: &Role| matches!(role, Role::Agent { offer: o, .. } if *o == offer);
        if !for_all && conv.legs.values().any(|l| l.is_live() && rings(&l.role)) {
            return;
        }
        let why = match cause {
            Cause::Busy => Why::Busy,
            Cause::Declined => Why::Declined,
            Cause::NoAnswer | Cause::Unavailable => Why::NoAnswer,
            Cause::Unreachable | Cause::Timeout | Cause::NotFound => Why::Unreachable,
            _ => Why::Failed,
        };
        self.hub.acd.declined(offer, why, self.now);
        self.hub.stirred = true;
    }

    /// The lease is over without an answer: whatever rings for it stops.
    pub fn offer_ended(&mut self, conv: &mut Conversation, offer: &acd::Offer, end: OfferEnd, rang: Duration) {
        let ringing =
            conv.legs.values().filter(|l| matches!(&l.role, Role::Agent { offer: o, .. } if *o == offer.id) && l.is_live());
        let legs: Vec<LegId> = ringing.map(|l| l.id).collect();
        // No missed call where the agent could not have taken it.
        let reason = (!end.unanswered()).then(|| Reason::sip(Status::OK, "Call completed elsewhere"));
        for id in legs {
            self.release(conv, id, Cause::NoAnswer, Status::REQUEST_TERMINATED, reason.clone());
        }
        if end.unanswered() {
            let cause = match end {
                OfferEnd::Busy => Cause::Busy,
                OfferEnd::Declined => Cause::Declined,
                OfferEnd::Unreachable => Cause::Unreachable,
                OfferEnd::Failed => Cause::PeerFault,
                OfferEnd::NoAnswer
                | OfferEnd::CallerLeft
                | OfferEnd::Taken
                | OfferEnd::AgentLeft
                | OfferEnd::Unregistered
                | OfferEnd::OtherCall => Cause::NoAnswer,
            };
            let data = QueueUnanswered { queue: offer.queue.clone(), agent: offer.agent.clone(), rang_ms: millis(rang), cause };
            self.tell(Some(conv.id), Kind::QueueUnanswered(data));
        }
    }

    /// The acd sends a caller on.
    pub fn overflow(&mut self, conv: &mut Conversation, queue: QueueName, to: &Place, why: OverflowWhy, waited: Duration) {
        if !matches!(conv.stage, Stage::Queue { .. } | Stage::Arranging(_)) {
            return;
        }
        let why = match why {
            OverflowWhy::MaxWait => LeftWhy::MaxWait,
            OverflowWhy::NoAgents => LeftWhy::NoAgents,
            OverflowWhy::QueueRemoved => LeftWhy::QueueRemoved,
        };
        self.leaves_for(conv, queue, to, why, waited);
    }

    fn leaves_for(&mut self, conv: &mut Conversation, queue: QueueName, to: &Place, why: LeftWhy, waited: Duration) {
        let to_place = Some(format!("overflow {to}"));
        let data = QueueLeft { to: to_place, why: Some(why), ..QueueLeft::of(queue, millis(waited)) };
        self.tell(Some(conv.id), Kind::QueueLeft(data));
        conv.stage = Stage::Routing;
        match to {
            // One that was to leave its slot for this queue has it still, unless it waited here.
            Place::Hangup if self.stays_in_slot(conv, Cause::NoAnswer) => {}
            Place::Hangup => self.announce(conv, "queue-no-agent", Place::Hangup, Cause::NoAnswer),
            place => self.go(conv, place),
        }
    }
}
