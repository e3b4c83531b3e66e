//! What supervisors do with those who wait in a queue: look, send elsewhere, serve sooner or later, give to one agent.
//!
//! Who is moved to another queue stands there as one who came when it came here. Who is sent to a phone has its place again if nobody
//! answers there.

use std::time::Duration;

use super::Switch;
use super::command::{CallerView, Refusal};
use super::hub::Cx;
use super::queueing::millis;
use crate::acd::{Entry, Pin, Stay};
use crate::clock::Now;
use crate::config::Place;
use crate::conversation::{Conversation, Otherwise, Stage};
use crate::event::{By, Kind, LeftWhy, QueueLeft};
use crate::ids::{QueueName, StaffNumber};

/// So long a caller who was given to an agent waits for that one alone: by feel, a call and a half.
const AGENTS_OWN: Duration = Duration::from_secs(5 * 60);

impl Switch {
    /// In the order of service, callbacks among them.
    pub(super) fn callers(&self, queue: &QueueName, now: Now) -> Result<Vec<CallerView>, Refusal> {
        let line = self.hub.acd.queue(queue, &self.view(), now).map_err(|_| Refusal::NoQueue(queue.clone()))?.waiting;
        let number = |entry: Entry| match entry {
            Entry::Caller(id) => self.conversations.get(&id).map(|conv| conv.customer_number.clone()),
            Entry::Callback(id) => self.hub.callbacks.book.get(id).map(|callback| callback.number.clone()),
        };
        let view = |(at, waiting): (usize, crate::acd::WaitingView)| CallerView {
            position: u32::try_from(at + 1).unwrap_or(u32::MAX),
            conversation: waiting.entry.conversation(),
            callback: match waiting.entry {
                Entry::Callback(id) => Some(id),
                Entry::Caller(_) => None,
            },
            number: number(waiting.entry).unwrap_or_default(),
            waited_ms: millis(waiting.waited),
            priority: waiting.priority,
            agent: waiting.agent,
            offered_to: waiting.offered_to,
        };
        Ok(line.into_iter().enumerate().map(view).collect())
    }
}

impl Cx<'_> {
    /// A caller who waits. Nothing is done of what is asked, where a part of it can not be.
    pub fn move_caller(
        &mut self,
        conv: &mut Conversation,
        to: Option<Place>,
        priority: Option<i8>,
        agent: Option<StaffNumber>,
        by: By,
    ) -> Result<(), Refusal> {
        let queue = match &conv.stage {
            Stage::Queue { queue, .. } => queue.clone(),
            Stage::Arranging(_) => return Err(Refusal::WrongState("it is being asked about a callback")),
            _ => return Err(Refusal::WrongState("it waits in no queue")),
        };
        if priority.is_some_and(|priority| !(-9..=9).contains(&priority)) {
            return Err(Refusal::BadValue("a priority is from -9 to 9"));
        }
        let wanted = match &to {
            Some(Place::Queue(queue)) => Some(queue.clone()),
            None => Some(queue.clone()),
            Some(_) if priority.is_some() || agent.is_some() => {
                return Err(Refusal::BadValue("a priority and an agent are for who waits in a queue"));
            }
            Some(place) => {
                self.leads_somewhere(place)?;
                None
            }
        };
        let wants = wanted.as_ref().map(|queue| self.hub.acd.wants_in(queue).ok_or_else(|| Refusal::NoQueue(queue.clone())));
        let wants = wants.transpose()?;
        if let (Some(agent), Some(queue)) = (&agent, &wanted)
            && !self.hub.acd.serves(agent, queue)
        {
            return Err(Refusal::NoMember(agent.clone(), queue.clone()));
        }
        if let Some(place) = to.filter(|to| *to != Place::Queue(queue.clone())) {
            self.sent_elsewhere(conv, &place, wants, by)?;
        }
        let until = self.now.mono + AGENTS_OWN;
        let asks = |wants: &mut crate::acd::Wants| {
            wants.priority = priority.unwrap_or(wants.priority);
            wants.pinned = agent.map(|agent| Pin { agent, until }).or_else(|| wants.pinned.take());
        };
        // It may have found an agent already, or nobody to wait for.
        let _: Option<()> = self.hub.acd.ask_otherwise(conv.id, asks, self.now);
        if let Stage::Queue { announcer: Some(announcer), .. } = &mut conv.stage {
            announcer.moved();
        }
        self.hub.stirred = true;
        Ok(())
    }

    fn leads_somewhere(&self, place: &Place) -> Result<(), Refusal> {
        match place {
            Place::Phone(number) if !self.hub.registrar.is_registered(number) => Err(Refusal::NoPhone(number.to_string())),
            Place::Menu(menu) if !self.hub.graphs.contains_key(menu) => Err(Refusal::NotDiallable(place.to_string())),
            Place::Phone(_) | Place::Menu(_) => Ok(()),
            Place::Queue(_) | Place::Voicemail(_) | Place::Callback(_) | Place::Number(_) | Place::Hangup => {
                Err(Refusal::BadValue("who waits is sent to a queue, a phone or a menu"))
            }
        }
    }

    fn sent_elsewhere(
        &mut self,
        conv: &mut Conversation,
        place: &Place,
        wants: Option<crate::acd::Wants>,
        by: By,
    ) -> Result<(), Refusal> {
        let stay = self.hub.acd.pull(conv.id, self.now).ok_or(Refusal::WrongState("it waits in no queue"))?;
        let (to, why) = (Some(place.to_string()), Some(LeftWhy::Moved));
        let data = QueueLeft { to, why, by: Some(by), ..QueueLeft::of(stay.queue.clone(), millis(stay.waited)) };
        self.tell(Some(conv.id), Kind::QueueLeft(data));
        conv.stage = Stage::Routing;
        match (place, wants) {
            (Place::Queue(queue), Some(wants)) => self.enter_queue_again(conv, &Stay { queue: queue.clone(), wants, ..stay }),
            (Place::Phone(number), _) => self.ring_back(conv, number, Otherwise::Queue(Box::new(stay))),
            (place, _) => self.go(conv, place),
        }
        Ok(())
    }
}
