//! The acd itself and what its owner tells it: callers enter and leave, agents set themselves, offers are answered or not.
//!
//! What these change is acted upon by [`Acd::settle`], which the owner calls after them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Snapshot;
use super::agent::{Agent, AgentState, Wanted, Work};
use super::offer::{Action, Answered, OfferEnd, OfferId, Stay, Why};
use super::queue::{Queue, Ticket, Waiting};
use super::service_level::Tally;
use crate::clock::{Mono, Now};
use crate::config::Config;
use crate::ids::{ConversationId, Number, QueueName, StaffNumber};

/// Least rest after an unanswered offer. With none, a phone that refuses at once would be offered the same caller without end.
pub(super) const LEAST_REST: Duration = Duration::from_secs(1);

/// What the acd does not own, and asks for at each step.
pub trait Floor {
    /// The phone has a binding.
    fn registered(&self, phone: &Number) -> bool;
    /// What the phone does beside offers of the acd and the calls that came of them.
    fn elsewhere(&self, phone: &Number) -> Elsewhere;
    /// The phone still has a leg, talking or on hold, in this caller's conversation.
    fn talks(&self, phone: &Number, caller: ConversationId) -> bool;
    /// The caller's conversation still exists and has the caller.
    fn present(&self, caller: ConversationId) -> bool;
}

/// Calls of a phone that are not the acd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elsewhere {
    Nothing,
    /// Somebody dialled it: nothing new is offered, but an offer that rings beside it goes on.
    Rings,
    /// It dials, talks or holds: an offer that rings is taken back.
    Talks,
}

#[derive(Clone, Debug)]
pub struct Acd {
    pub(super) queues: BTreeMap<QueueName, Queue>,
    pub(super) agents: BTreeMap<StaffNumber, Agent>,
    /// Where each waiting caller stands; the place itself is in the queue.
    pub(super) places: BTreeMap<ConversationId, (QueueName, Ticket)>,
    pub(super) time_zone: jiff::tz::TimeZone,
    pub(super) pending: Vec<Action>,
    next_ticket: u64,
    pub(super) next_offer: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// 1 is the next to be served.
    pub position: usize,
}

/// How somebody's stay in a queue went who was not answered there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub caller: ConversationId,
    pub queue: QueueName,
    pub waited: Duration,
    /// Hung up within the queue's `short_abandon`.
    pub short: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue `{0}`")]
pub struct NoSuchQueue(pub QueueName);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent {0}")]
pub struct NoSuchAgent(pub StaffNumber);

impl Acd {
    /// All agents as in `snapshot`, and ready where it does not know them.
    pub fn new(config: &Config, snapshot: Snapshot, now: Now) -> Self {
        let mut acd = Acd {
            queues: BTreeMap::new(),
            agents: BTreeMap::new(),
            places: BTreeMap::new(),
            time_zone: config.site.time_zone.clone(),
            pending: Vec::new(),
            next_ticket: 0,
            next_offer: 0,
        };
        acd.reconfigure(config, now);
        for (staff_number, wanted) in snapshot.wanted {
            acd.recall(&staff_number, wanted);
        }
        for (name, tally) in snapshot.tallies {
            if let Some(queue) = acd.queues.get_mut(&name) {
                queue.tally = tally;
            }
        }
        acd
    }

    /// What an agent wanted in the last run. Of an agent who is gone, nothing is kept.
    pub fn recall(&mut self, agent: &StaffNumber, wanted: Wanted) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.wanted = wanted;
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            wanted: self.agents.iter().filter(|(_, a)| !a.leaving).map(|(k, a)| (k.clone(), a.wanted.clone())).collect(),
            tallies: self.queues.iter().filter(|(_, q)| !q.draining).map(|(k, q)| (k.clone(), q.tally.clone())).collect(),
        }
    }

    /// Takes new rules. Running offers, calls, wrap-ups and rests go on as they were; who waits in a queue that is gone goes to the
    /// overflow that it had, after a running offer has ended.
    pub fn reconfigure(&mut self, config: &Config, now: Now) {
        self.time_zone = config.site.time_zone.clone();
        for (name, rules) in &config.queues {
            match self.queues.get_mut(name) {
                Some(queue) => queue.adopt(rules),
                None => {
                    self.queues.insert(name.clone(), Queue::new(rules, Tally::default()));
                }
            }
        }
        for (name, queue) in &mut self.queues {
            queue.draining = !config.queues.contains_key(name);
        }
        for (staff_number, given) in &config.agents {
            let agent = self.agents.entry(staff_number.clone()).or_insert_with(|| Agent {
                staff_number: staff_number.clone(),
                name: String::new(),
                phone: given.phone.clone(),
                wanted: Wanted::default(),
                work: Work::Idle { since: now.mono },
                leaving: false,
                told: AgentState::Offline,
                told_at: now,
            });
            agent.name.clone_from(&given.name);
            agent.phone = given.phone.clone();
        }
        for (staff_number, agent) in &mut self.agents {
            agent.leaving = !config.agents.contains_key(staff_number);
        }
    }

    /// A caller takes a place. `arrived` decides the order: the moment of entering, or an earlier one that a caller brings from another
    /// queue. Who waits elsewhere already leaves there.
    pub fn enter(&mut self, queue: &QueueName, caller: ConversationId, arrived: Mono, now: Now) -> Result<Entered, NoSuchQueue> {
        self.join(queue, caller, arrived, Duration::ZERO, now)
    }

    /// A caller whom an agent had, and nobody has any more, takes the place again that it had among those who wait, with the time that it
    /// waited then. `max_wait` is for a stay: who has waited nearly as long is not sent away for that a colleague did not answer.
    pub fn enter_again(&mut self, stay: &Stay, caller: ConversationId, now: Now) -> Result<Entered, NoSuchQueue> {
        self.join(&stay.queue, caller, stay.arrived, stay.waited, now)
    }

    fn join(
        &mut self,
        queue: &QueueName,
        caller: ConversationId,
        arrived: Mono,
        before: Duration,
        now: Now,
    ) -> Result<Entered, NoSuchQueue> {
        if self.queues.get(queue).is_none_or(|q| q.draining) {
            return Err(NoSuchQueue(queue.clone()));
        }
        self.withdraw(caller, now);
        let ticket = Ticket { arrived: arrived.min(now.mono), nth: self.next_ticket };
        self.next_ticket += 1;
        let today = self.today(now);
        let Some(line) = self.queues.get_mut(queue) else { return Err(NoSuchQueue(queue.clone())) };
        line.tally.turn_to(today);
        line.tally.count_entered();
        let overflow_at = line.rules.max_wait.map(|most| now.mono + most);
        line.waiting.insert(ticket, Waiting { caller, entered: now, before, overflow_at });
        self.places.insert(caller, (queue.clone(), ticket));
        Ok(Entered { position: self.position(caller).map_or(1, |(_, position)| position) })
    }

    /// The caller hung up. `None` if this caller does not wait.
    pub fn abandon(&mut self, caller: ConversationId, now: Now) -> Option<Left> {
        let today = self.today(now);
        let left = self.take_out(caller, now)?;
        if let Some(queue) = self.queues.get_mut(&left.queue) {
            let (threshold, short) = (queue.rules.service_level, queue.rules.short_abandon);
            queue.tally.turn_to(today);
            queue.tally.count_abandoned(left.waited, threshold, short);
        }
        Some(left)
    }

    /// The caller goes elsewhere without being answered here: transfer, callback, another queue. `None` if this caller does not wait.
    pub fn withdraw(&mut self, caller: ConversationId, now: Now) -> Option<Left> {
        let today = self.today(now);
        let left = self.take_out(caller, now)?;
        if let Some(queue) = self.queues.get_mut(&left.queue) {
            queue.tally.turn_to(today);
            queue.tally.count_moved();
        }
        Some(left)
    }

    /// One conversation has become part of another: its place in a line (unless the other has one), the offers that ring for it and the
    /// call that an agent has with it are the other's from here on.
    pub fn merged(&mut self, child: ConversationId, into: ConversationId, now: Now) {
        if self.places.contains_key(&into) {
            self.withdraw(child, now);
        } else if let Some((name, ticket)) = self.places.remove(&child) {
            if let Some(waiting) = self.queues.get_mut(&name).and_then(|q| q.waiting.get_mut(&ticket)) {
                waiting.caller = into;
            }
            self.places.insert(into, (name, ticket));
        }
        for agent in self.agents.values_mut() {
            match &mut agent.work {
                Work::Offered { offer, .. } if offer.caller == child => offer.caller = into,
                Work::Talking { caller, .. } if *caller == child => *caller = into,
                Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } | Work::WrapUp { .. } | Work::Resting { .. } => {}
            }
        }
    }

    /// How long a caller has waited; `None` if it does not wait.
    pub fn waited(&self, caller: ConversationId, now: Now) -> Option<Duration> {
        let (name, ticket) = self.places.get(&caller)?;
        self.queues.get(name)?.waiting.get(ticket).map(|w| w.waited(now))
    }

    /// What the agent wants from now on. It ends a running wrap-up or rest, and an offer that rings unless the agent stays ready; during
    /// a call it takes effect after it.
    pub fn set(&mut self, agent: &StaffNumber, wanted: Wanted, now: Now) -> Result<(), NoSuchAgent> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else { return Err(NoSuchAgent(agent.clone())) };
        let was_ready = person.wanted == Wanted::Ready;
        let is_ready = wanted == Wanted::Ready;
        person.wanted = wanted;
        match &person.work {
            Work::WrapUp { .. } | Work::Resting { .. } => person.work = Work::Idle { since: now.mono },
            Work::Idle { .. } if is_ready && !was_ready => person.work = Work::Idle { since: now.mono },
            Work::Offered { .. } if !is_ready => self.end_offer(agent, OfferEnd::AgentLeft, now),
            Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } => {}
        }
        Ok(())
    }

    /// The phone was answered. `None`: the offer has ended before, the phone is to be hung up.
    pub fn answered(&mut self, offer: OfferId, now: Now) -> Option<Answered> {
        let today = self.today(now);
        let agent = self.offered_agent(offer)?;
        let person = self.agents.get_mut(&agent)?;
        let Work::Offered { offer, idle_since } = &person.work else { return None };
        let (offer, idle_since) = (offer.clone(), *idle_since);
        let (_, ticket) = self.places.remove(&offer.caller)?;
        let queue = self.queues.get_mut(&offer.queue)?;
        let waiting = queue.waiting.remove(&ticket)?;
        let waited = waiting.waited(now);
        queue.tally.turn_to(today);
        queue.tally.count_answered(waited, waiting.before, queue.rules.service_level);
        person.work = Work::Talking {
            caller: offer.caller,
            queue: offer.queue.clone(),
            phone: offer.phone.clone(),
            since: now.mono,
            wrap_up: queue.rules.wrap_up,
        };
        let rang = now.mono.since(offer.began);
        let stay = Stay { queue: offer.queue.clone(), arrived: ticket.arrived, waited };
        Some(Answered { offer, stay, rang, idle_since })
    }

    /// A colleague takes the call that an offer rings for: it is that one's now, with wrap-up and all, and who was offered it is idle as
    /// before. `None`: the offer has ended before, or the colleague has a call of a queue.
    pub fn picked_up(&mut self, offer: OfferId, by: &StaffNumber, phone: &Number, now: Now) -> Option<Answered> {
        let is_free = |agent: &Agent| !matches!(agent.work, Work::Talking { .. });
        let offered = self.offered_agent(offer).filter(|offered| offered != by)?;
        self.agents.get(by).filter(|agent| is_free(agent))?;
        let answered = self.answered(offer, now)?;
        let rung = self.agents.get_mut(&offered)?;
        let Work::Talking { caller, queue, since, wrap_up, .. } = rung.work.clone() else { return None };
        rung.work = Work::Idle { since: answered.idle_since };
        // What rings for the colleague has to look for somebody else.
        self.end_offer(by, OfferEnd::OtherCall, now);
        let taker = self.agents.get_mut(by)?;
        taker.work = Work::Talking { caller, queue, phone: phone.clone(), since, wrap_up };
        Some(answered)
    }

    /// The phone will not be answered. Of an offer that has ended already, nothing is changed.
    pub fn declined(&mut self, offer: OfferId, why: Why, now: Now) {
        if let Some(agent) = self.offered_agent(offer) {
            self.end_offer(&agent, why.into(), now);
        }
    }

    /// When something is due, if nothing happens before.
    pub fn deadline(&self) -> Option<Mono> {
        let work = self.agents.values().filter_map(|a| a.work.deadline());
        let offered = self.offered();
        let waiting = self.queues.values().flat_map(|q| q.waiting.values());
        work.chain(waiting.filter(|w| !offered.contains(&w.caller)).filter_map(|w| w.overflow_at)).min()
    }

    fn offered_agent(&self, id: OfferId) -> Option<StaffNumber> {
        let holds = |a: &&Agent| matches!(&a.work, Work::Offered { offer, .. } if offer.id == id);
        self.agents.values().find(holds).map(|a| a.staff_number.clone())
    }

    /// Ends the agent's offer; the caller keeps the place.
    pub(super) fn end_offer(&mut self, agent: &StaffNumber, end: OfferEnd, now: Now) {
        let Some(person) = self.agents.get_mut(agent) else { return };
        let Work::Offered { offer, idle_since } = &person.work else { return };
        let (offer, idle_since) = (offer.clone(), *idle_since);
        let rest = self.queues.get(&offer.queue).map_or(LEAST_REST, |q| q.rules.rest_after_unanswered.max(LEAST_REST));
        person.work = if end.unanswered() { Work::Resting { until: now.mono + rest } } else { Work::Idle { since: idle_since } };
        let rang = now.mono.since(offer.began);
        self.pending.push(Action::OfferEnded { offer, end, rang });
    }

    /// Takes a waiting caller out of the line, with the offer that rings for it.
    pub(super) fn take_out(&mut self, caller: ConversationId, now: Now) -> Option<Left> {
        let (name, ticket) = self.places.remove(&caller)?;
        let queue = self.queues.get_mut(&name)?;
        let waiting = queue.waiting.remove(&ticket)?;
        let waited = waiting.waited(now);
        let short = waited <= queue.rules.short_abandon;
        let ringing = self.agents.values().find(|a| matches!(&a.work, Work::Offered { offer, .. } if offer.caller == caller));
        if let Some(agent) = ringing.map(|a| a.staff_number.clone()) {
            self.end_offer(&agent, OfferEnd::CallerLeft, now);
        }
        Some(Left { caller, queue: name, waited, short })
    }

    pub(super) fn today(&self, now: Now) -> Option<jiff::civil::Date> {
        now.wall.timestamp().map(|t| self.time_zone.to_datetime(t).date())
    }
}
