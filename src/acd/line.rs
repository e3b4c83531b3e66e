//! The acd itself and what its owner tells it: callers enter and leave, agents set themselves, offers are answered or not.
//!
//! What these change is acted upon by [`Acd::settle`], which the owner calls after them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Snapshot;
use super::agent::{Agent, AgentState, Today, Wanted, Work};
use super::entry::{Arrival, Entry};
use super::offer::{Action, Answered, OfferEnd, OfferId, Stay, Why};
use super::queue::{Queue, Ticket, Waiting};
use super::service_level::Tally;
use super::skills::{Levels, Wants, levels};
use super::wrapping::After;
use crate::chance::Chance;
use crate::clock::{Mono, Now};
use crate::config::{Config, Place, Standing};
use crate::ids::{CallbackId, ConversationId, Number, QueueName, StaffNumber};

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
    /// The customer of a callback may be rung now: nobody talks to the customer, and calls are still made.
    fn may_be_called(&self, _callback: CallbackId) -> bool {
        true
    }
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
    /// Where each entry stands; the place itself is in the queue.
    pub(super) places: BTreeMap<Entry, (QueueName, Ticket)>,
    pub(super) time_zone: jiff::tz::TimeZone,
    /// For the strategies alone: what is drawn elsewhere must not change who is picked, or no day could be run again.
    pub(super) chance: Chance,
    pub(super) pending: Vec<Action>,
    next_ticket: u64,
    pub(super) next_offer: u64,
}

/// Who takes a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arriving {
    pub entry: Entry,
    /// Decides the order: the moment of entering, or an earlier one that is brought along. A later one counts as the moment of entering,
    /// or as `not_before`.
    pub arrived: Arrival,
    /// Beside what the queue wants for all.
    pub wants: Wants,
    /// Holds its place, and is offered to nobody before.
    pub not_before: Option<Mono>,
}

impl Arriving {
    /// One who asks for nothing but an agent.
    pub fn new(entry: impl Into<Entry>, arrived: impl Into<Arrival>) -> Self {
        Arriving { entry: entry.into(), arrived: arrived.into(), wants: Wants::default(), not_before: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// 1 is the next to be served.
    pub position: usize,
}

/// How somebody's stay in a queue went who was not answered there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub entry: Entry,
    pub queue: QueueName,
    pub waited: Duration,
    /// Hung up within the queue's `short_abandon`.
    pub short: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue `{0}`")]
pub struct NoSuchQueue(pub QueueName);

/// Why somebody can't take a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    #[error(transparent)]
    NoSuchQueue(#[from] NoSuchQueue),
    /// As many wait as may: it is to go there.
    #[error("the queue is full")]
    Full(Place),
    /// Nobody is there who could answer: it is to go there.
    #[error("none of the queue's agents is logged in")]
    NoAgents(Place),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent {0}")]
pub struct NoSuchAgent(pub StaffNumber);

/// Without queues that are gone. With none of them left, the agent is again where the configuration says: nobody has put anybody nowhere.
fn still_there(mut queues: BTreeMap<QueueName, Standing>, config: &Config) -> Option<BTreeMap<QueueName, Standing>> {
    let was_nowhere = queues.is_empty();
    queues.retain(|name, _| config.queues.contains_key(name));
    (was_nowhere || !queues.is_empty()).then_some(queues)
}

impl Acd {
    /// All agents as in `snapshot`, and ready where it does not know them. The same `chance` and the same calls give the same offers.
    pub fn new(config: &Config, snapshot: Snapshot, chance: Chance, now: Now) -> Self {
        let mut acd = Acd {
            queues: BTreeMap::new(),
            agents: BTreeMap::new(),
            places: BTreeMap::new(),
            time_zone: config.site.time_zone.clone(),
            chance,
            pending: Vec::new(),
            next_ticket: 0,
            next_offer: 0,
        };
        acd.reconfigure(config, now);
        for (staff_number, wanted) in snapshot.wanted {
            acd.recall(&staff_number, wanted);
        }
        for (staff_number, mut desk) in snapshot.desks {
            desk.retain(|phone| config.phones.contains_key(phone));
            if let Some(agent) = acd.agents.get_mut(&staff_number) {
                agent.desk = Some(desk);
            }
        }
        acd.clear_desks();
        for (staff_number, queues) in snapshot.put_into {
            if let Some(agent) = acd.agents.get_mut(&staff_number) {
                agent.put_into = still_there(queues, config);
            }
        }
        acd.staff_queues();
        for (staff_number, wrapping) in snapshot.wrap_ups {
            acd.resume(&staff_number, wrapping, now);
        }
        for (name, tally) in snapshot.tallies {
            if let Some(queue) = acd.queues.get_mut(&name) {
                queue.tally = tally;
            }
        }
        let today = acd.today(now);
        let zone = acd.time_zone.clone();
        for past in snapshot.past.iter().filter(|past| day_in(&zone, Now { wall: past.ended, ..now }) == today) {
            if let Some(queue) = acd.queues.get_mut(&past.queue) {
                queue.tally.turn_to(today);
                queue.tally.count_past(past, queue.rules.service_level, queue.rules.short_abandon);
            }
        }
        acd
    }

    /// Anew, with what the last run left. To be called before anybody has entered.
    pub fn restart(&mut self, config: &Config, snapshot: Snapshot, now: Now) {
        *self = Acd::new(config, snapshot, self.chance.clone(), now);
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
            desks: self
                .agents
                .iter()
                .filter(|(_, a)| !a.leaving)
                .filter_map(|(k, a)| Some((k.clone(), a.desk.clone()?)))
                .collect(),
            put_into: self
                .agents
                .iter()
                .filter(|(_, a)| !a.leaving)
                .filter_map(|(k, a)| Some((k.clone(), a.put_into.clone()?)))
                .collect(),
            // By the wall's clock, which is the owner's to keep: see `Acd::wrapping_of`.
            wrap_ups: BTreeMap::new(),
            tallies: self.queues.iter().filter(|(_, q)| !q.draining).map(|(k, q)| (k.clone(), q.tally.clone())).collect(),
            past: Vec::new(),
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
                    self.queues.insert(name.clone(), Queue::new(rules, Tally::default(), now.mono));
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
                home: Vec::new(),
                desk: None,
                put_into: None,
                skills: Levels::new(),
                wanted: Wanted::default(),
                work: Work::Idle { since: now.mono },
                today: Today::default(),
                leaving: false,
                told: AgentState::Offline,
                told_at: now,
            });
            agent.name.clone_from(&given.name);
            agent.home.clone_from(&given.phones);
            if let Some(desk) = &mut agent.desk {
                desk.retain(|phone| config.phones.contains_key(phone));
            }
            agent.put_into = agent.put_into.take().and_then(|queues| still_there(queues, config));
            agent.skills = levels(&given.skills);
        }
        for (staff_number, agent) in &mut self.agents {
            agent.leaving = !config.agents.contains_key(staff_number);
            if agent.leaving {
                agent.put_into = None;
            }
        }
        self.clear_desks();
        self.staff_queues();
    }

    fn staff_queues(&mut self) {
        for queue in self.queues.values_mut() {
            queue.staff(&self.agents);
        }
    }

    /// The agent works for these queues from here on, or (`None`) for those of the configuration. A queue that there is not counts for
    /// nothing. An offer that rings and a call go on.
    pub fn put_into(&mut self, agent: &StaffNumber, queues: Option<BTreeMap<QueueName, Standing>>) -> Result<(), NoSuchAgent> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else { return Err(NoSuchAgent(agent.clone())) };
        person.put_into = queues;
        self.staff_queues();
        Ok(())
    }

    /// A phone at which somebody has logged in is at nobody's home meanwhile.
    fn clear_desks(&mut self) {
        let logged_in = |a: &Agent| a.desk.as_ref().filter(|_| !a.leaving).map(|desk| (a.staff_number.clone(), desk.clone()));
        let desks: Vec<(StaffNumber, Vec<Number>)> = self.agents.values().filter_map(logged_in).collect();
        for (who, desk) in desks {
            for agent in self.agents.values_mut().filter(|a| a.desk.is_none() && a.staff_number != who) {
                agent.leaves(&desk);
            }
        }
    }

    /// The agent works at this phone from here on, or where the configuration says. Whoever worked there does no more; they are returned.
    /// An offer that rings elsewhere is taken back, a call goes on where it is, and a wrap-up keeps its end. Who was offline is ready.
    pub fn log_in(&mut self, agent: &StaffNumber, desk: Option<Number>, now: Now) -> Result<Vec<StaffNumber>, NoSuchAgent> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else { return Err(NoSuchAgent(agent.clone())) };
        let (before, was_offline) = (person.phones().to_vec(), person.wanted == Wanted::Offline);
        person.desk = desk.map(|phone| vec![phone]).filter(|desk| *desk != person.home);
        let phones = person.phones().to_vec();
        if was_offline {
            person.wanted = Wanted::Ready;
        }
        if (was_offline || before != phones) && matches!(person.work, Work::Idle { .. }) {
            person.work = Work::Idle { since: now.mono };
        }
        if before != phones {
            self.end_offer(agent, OfferEnd::AgentLeft, now);
        }
        let mut out = Vec::new();
        for other in self.agents.values_mut().filter(|a| !a.leaving && a.staff_number != *agent) {
            if other.leaves(&phones) {
                out.push(other.staff_number.clone());
            }
        }
        for other in &out {
            self.stop_ringing_at(other, &phones, now);
        }
        Ok(out)
    }

    /// The agent works nowhere from here on, until the next login.
    pub fn log_out(&mut self, agent: &StaffNumber, now: Now) -> Result<(), NoSuchAgent> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else { return Err(NoSuchAgent(agent.clone())) };
        person.desk = Some(Vec::new());
        self.end_offer(agent, OfferEnd::AgentLeft, now);
        Ok(())
    }

    /// An offer that rings at a phone which is another's now.
    fn stop_ringing_at(&mut self, agent: &StaffNumber, phones: &[Number], now: Now) {
        let work = self.agents.get(agent).map(|a| &a.work);
        if matches!(work, Some(Work::Offered { offer, .. }) if offer.phones.iter().any(|phone| phones.contains(phone))) {
            self.end_offer(agent, OfferEnd::AgentLeft, now);
        }
    }

    /// Whether somebody who comes now may take a place. A callback always may: it has waited already.
    pub fn admits(&self, queue: &QueueName, now: Now) -> Result<(), NotEntered> {
        let line = self.queues.get(queue).filter(|q| !q.draining).ok_or_else(|| NoSuchQueue(queue.clone()))?;
        let callers = || line.waiting.values().filter(|w| matches!(w.entry, Entry::Caller(_))).count();
        if line.rules.max_length.is_some_and(|most| callers() >= most as usize) {
            return Err(NotEntered::Full(line.rules.overflow_full.clone()));
        }
        match &line.rules.overflow_no_agents {
            Some(to) if line.is_unstaffed(now) => Err(NotEntered::NoAgents(to.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Somebody takes a place, and wants what the queue wants for all, by the rules that hold now, beside its own. Who waits elsewhere
    /// already leaves there.
    pub fn enter(&mut self, queue: &QueueName, who: Arriving, now: Now) -> Result<Entered, NoSuchQueue> {
        let wants = self.queues.get(queue).map_or_else(Wants::default, |queue| Wants::of(&queue.rules));
        self.join(queue, Arriving { wants: wants.and(who.wants), ..who }, Duration::ZERO, now)
    }

    /// A caller whom an agent had, and nobody has any more, takes the place again that it had among those who wait, with the time that it
    /// waited then. `max_wait` is for a stay: who has waited nearly as long is not sent away for that a colleague did not answer.
    pub fn enter_again(&mut self, stay: &Stay, caller: ConversationId, now: Now) -> Result<Entered, NoSuchQueue> {
        let who = Arriving { wants: stay.wants.clone(), ..Arriving::new(caller, stay.arrived) };
        self.join(&stay.queue, who, stay.waited, now)
    }

    fn join(&mut self, queue: &QueueName, who: Arriving, before: Duration, now: Now) -> Result<Entered, NoSuchQueue> {
        if self.queues.get(queue).is_none_or(|q| q.draining) {
            return Err(NoSuchQueue(queue.clone()));
        }
        let Arriving { entry, arrived, wants, not_before } = who;
        self.withdraw(entry, now);
        let latest = not_before.map_or(now.mono, |at| at.max(now.mono));
        let ticket = Ticket { arrived: arrived.min(latest.into()), nth: self.next_ticket };
        self.next_ticket += 1;
        let today = self.today(now);
        let Some(line) = self.queues.get_mut(queue) else { return Err(NoSuchQueue(queue.clone())) };
        let overflow_at = match entry {
            Entry::Caller(_) => line.rules.max_wait.map(|most| now.mono + most),
            // Nobody is there to be sent on.
            Entry::Callback(_) => None,
        };
        line.count(entry, today, Tally::count_entered);
        let waiting =
            Waiting { entry, entered: now, before, wants, not_before, overflow_at, held: false, ring: None, looks_at: None };
        line.waiting.insert(ticket, waiting);
        self.places.insert(entry, (queue.clone(), ticket));
        Ok(Entered { position: self.position(entry).map_or(1, |(_, position)| position) })
    }

    /// The caller hung up. `None` if this one does not wait.
    pub fn abandon(&mut self, entry: impl Into<Entry>, now: Now) -> Option<Left> {
        let today = self.today(now);
        let left = self.take_out(entry.into(), now)?;
        if let Some(queue) = self.queues.get_mut(&left.queue) {
            let (threshold, short) = (queue.rules.service_level, queue.rules.short_abandon);
            queue.count(left.entry, today, |tally| tally.count_abandoned(left.waited, threshold, short));
        }
        Some(left)
    }

    /// It goes elsewhere without being answered here: transfer, callback, another queue. `None` if it does not wait.
    pub fn withdraw(&mut self, entry: impl Into<Entry>, now: Now) -> Option<Left> {
        let today = self.today(now);
        let left = self.take_out(entry.into(), now)?;
        if let Some(queue) = self.queues.get_mut(&left.queue) {
            queue.count(left.entry, today, Tally::count_moved);
        }
        Some(left)
    }

    /// The caller is asked something else meanwhile: it keeps its place, is offered to nobody, and goes to no overflow, unless its queue
    /// goes. An offer that rings for it ends.
    pub fn hold(&mut self, entry: impl Into<Entry>, now: Now) {
        let entry = entry.into();
        let Some(waiting) = self.waiting_mut(entry) else { return };
        waiting.held = true;
        for agent in self.rung_for(entry) {
            self.end_offer(&agent, OfferEnd::CallerLeft, now);
        }
    }

    /// It waits as before.
    pub fn unhold(&mut self, entry: impl Into<Entry>) {
        if let Some(waiting) = self.waiting_mut(entry.into()) {
            waiting.held = false;
        }
    }

    fn waiting_mut(&mut self, entry: Entry) -> Option<&mut Waiting> {
        let (name, ticket) = self.places.get(&entry)?;
        self.queues.get_mut(name)?.waiting.get_mut(ticket)
    }

    /// As [`withdraw`](Acd::withdraw), and what it needs to wait elsewhere, or here again, as long as it has.
    pub fn pull(&mut self, caller: ConversationId, now: Now) -> Option<Stay> {
        let (_, ticket) = *self.places.get(&caller.into())?;
        let wants = self.waiting_mut(caller.into())?.wants.clone();
        let left = self.withdraw(caller, now)?;
        Some(Stay { queue: left.queue, arrived: ticket.arrived, wants, waited: left.waited })
    }

    /// What a queue asks for all its callers.
    pub fn wants_in(&self, queue: &QueueName) -> Option<Wants> {
        self.queues.get(queue).filter(|queue| !queue.draining).map(|queue| Wants::of(&queue.rules))
    }

    /// Whether the agent is one of the queue's.
    pub fn serves(&self, agent: &StaffNumber, queue: &QueueName) -> bool {
        self.queues.get(queue).is_some_and(|queue| queue.members.contains_key(agent))
    }

    /// Whether one of the queue's agents works at the phone.
    pub fn serves_at(&self, phone: &Number, queue: &QueueName) -> bool {
        let works_there = |agent: &StaffNumber| self.agents.get(agent).is_some_and(|agent| agent.phones().contains(phone));
        self.queues.get(queue).is_some_and(|queue| queue.members.keys().any(works_there))
    }

    /// Changes what a caller who waits asks for. Offers that ring for it at agents whom it does not fit any more end. `None` if it does not
    /// wait.
    pub fn ask_otherwise(&mut self, caller: ConversationId, change: impl FnOnce(&mut Wants), now: Now) -> Option<()> {
        let entry = caller.into();
        let waiting = self.waiting_mut(entry)?;
        change(&mut waiting.wants);
        let (wants, waited) = (waiting.wants.clone(), waiting.waited(now));
        for agent in self.rung_for(entry) {
            let fits = self.agents.get(&agent).is_some_and(|a| wants.are_met_by(&agent, &a.skills, waited, now.mono));
            if !fits {
                self.end_offer(&agent, OfferEnd::CallerLeft, now);
            }
        }
        Some(())
    }

    /// One conversation has become part of another: its place in a line (unless the other has one), the offers that ring for it and the
    /// call that an agent has with it are the other's from here on.
    pub fn merged(&mut self, child: ConversationId, into: ConversationId, now: Now) {
        let (from, to) = (Entry::Caller(child), Entry::Caller(into));
        if self.places.contains_key(&to) {
            self.withdraw(from, now);
        } else if let Some((name, ticket)) = self.places.remove(&from) {
            if let Some(waiting) = self.queues.get_mut(&name).and_then(|q| q.waiting.get_mut(&ticket)) {
                waiting.entry = to;
            }
            self.places.insert(to, (name, ticket));
        }
        for agent in self.agents.values_mut() {
            match &mut agent.work {
                Work::Offered { offer, .. } if offer.entry == from => offer.entry = to,
                Work::Talking { caller, .. } if *caller == child => *caller = into,
                Work::WrapUp(wrap_up) if wrap_up.call == child => wrap_up.call = into,
                Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } | Work::WrapUp(_) | Work::Resting { .. } => {}
            }
        }
    }

    /// How long an entry has waited; `None` if it does not wait.
    pub fn waited(&self, entry: impl Into<Entry>, now: Now) -> Option<Duration> {
        let (name, ticket) = self.places.get(&entry.into())?;
        self.queues.get(name)?.waiting.get(ticket).map(|w| w.waited(now))
    }

    /// What the agent wants from now on. It ends a running rest, a wrap-up in which nothing is owed, and an offer that rings unless the agent stays ready; during
    /// a call it takes effect after it.
    pub fn set(&mut self, agent: &StaffNumber, wanted: Wanted, now: Now) -> Result<(), NoSuchAgent> {
        let Some(person) = self.agents.get_mut(agent).filter(|a| !a.leaving) else { return Err(NoSuchAgent(agent.clone())) };
        let was_ready = person.wanted == Wanted::Ready;
        let is_ready = wanted == Wanted::Ready;
        person.wanted = wanted;
        match &person.work {
            // Only who goes home leaves it owed.
            Work::WrapUp(wrap_up) if wrap_up.owes_anything() && person.wanted != Wanted::Offline => {}
            Work::WrapUp(_) | Work::Resting { .. } => person.work = Work::Idle { since: now.mono },
            Work::Idle { .. } if is_ready && !was_ready => person.work = Work::Idle { since: now.mono },
            Work::Offered { .. } if !is_ready => self.end_offer(agent, OfferEnd::AgentLeft, now),
            Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } => {}
        }
        Ok(())
    }

    /// One of the offer's phones was answered, in conversation `call`. Whoever else was offered the same is free again as if it had not rung.
    /// `None`: the offer has ended before, the phone is to be hung up.
    pub fn answered(&mut self, offer: OfferId, phone: &Number, call: ConversationId, now: Now) -> Option<Answered> {
        let agent = self.offered_agent(offer)?;
        self.serve(&agent, (&agent, phone), call, now)
    }

    /// A colleague takes the call that an offer rings for, at `phone`: it is that one's now, with wrap-up and all, and whoever was offered
    /// it is idle as before. `None`: the offer has ended before, or the colleague has a call of a queue, or owes something for one.
    pub fn picked_up(
        &mut self,
        offer: OfferId,
        by: &StaffNumber,
        phone: &Number,
        call: ConversationId,
        now: Now,
    ) -> Option<Answered> {
        let is_free = |agent: &Agent| match &agent.work {
            Work::Talking { .. } => false,
            Work::WrapUp(wrap_up) => !wrap_up.owes_anything(),
            Work::Idle { .. } | Work::Offered { .. } | Work::Resting { .. } => true,
        };
        let offered = self.offered_agent(offer).filter(|offered| offered != by)?;
        self.agents.get(by).filter(|agent| is_free(agent))?;
        self.serve(&offered, (by, phone), call, now)
    }

    /// The entry that `offered` is offered leaves the line, and is that one's call or a colleague's.
    fn serve(
        &mut self,
        offered: &StaffNumber,
        (by, phone): (&StaffNumber, &Number),
        call: ConversationId,
        now: Now,
    ) -> Option<Answered> {
        let today = self.today(now);
        let Work::Offered { offer, idle_since } = self.agents.get(offered)?.work.clone() else { return None };
        let queue = self.queues.get_mut(&offer.queue)?;
        let (_, ticket) = self.places.get(&offer.entry)?;
        let (ticket, waiting) = queue.waiting.remove_entry(ticket)?;
        queue.departed(offer.entry, now);
        self.places.remove(&offer.entry);
        let waited = waiting.waited(now);
        let (service_level, after) = (queue.rules.service_level, After::of(&queue.rules));
        queue.count(offer.entry, today, |tally| tally.count_answered(waited, waiting.before, service_level));
        if let Some(rung) = self.agents.get_mut(offered) {
            rung.work = Work::Idle { since: idle_since };
        }
        for sibling in self.rung_for(offer.entry) {
            self.end_offer(&sibling, OfferEnd::Taken, now);
        }
        // What rings for a colleague beside it has to look for somebody else.
        self.end_offer(by, OfferEnd::OtherCall, now);
        let person = self.agents.get_mut(by)?;
        person.today.count_call(today);
        person.work = Work::Talking { caller: call, queue: offer.queue.clone(), phone: phone.clone(), since: now.mono, after };
        let rang = now.mono.since(offer.began);
        let stay = Stay { queue: offer.queue.clone(), arrived: ticket.arrived, wants: waiting.wants, waited };
        Some(Answered { offer, stay, rang, idle_since })
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
        let waiting = || self.queues.values().flat_map(|q| q.waiting.values());
        let overflows = waiting().filter(|w| !w.held && !offered.contains(&w.entry)).filter_map(|w| w.overflow_at);
        let unstaffed = self.queues.values().filter_map(|queue| queue.gives_up_at(&offered));
        work.chain(overflows).chain(unstaffed).chain(waiting().filter_map(|w| w.looks_at)).min()
    }

    /// Agents whose phones ring for an entry.
    pub(super) fn rung_for(&self, entry: Entry) -> Vec<StaffNumber> {
        let rung = self.agents.values().filter(|a| matches!(&a.work, Work::Offered { offer, .. } if offer.entry == entry));
        rung.map(|a| a.staff_number.clone()).collect()
    }

    fn offered_agent(&self, id: OfferId) -> Option<StaffNumber> {
        let holds = |a: &&Agent| matches!(&a.work, Work::Offered { offer, .. } if offer.id == id);
        self.agents.values().find(holds).map(|a| a.staff_number.clone())
    }

    /// Ends the agent's offer, if there is one; the entry keeps the place.
    pub(super) fn end_offer(&mut self, agent: &StaffNumber, end: OfferEnd, now: Now) {
        let Some(person) = self.agents.get_mut(agent) else { return };
        let Work::Offered { offer, idle_since } = &person.work else { return };
        let (offer, idle_since) = (offer.clone(), *idle_since);
        let rest = self.queues.get(&offer.queue).map_or(LEAST_REST, |q| q.rules.rest_after_unanswered.max(LEAST_REST));
        person.work = if end.unanswered() { Work::Resting { until: now.mono + rest } } else { Work::Idle { since: idle_since } };
        let rang = now.mono.since(offer.began);
        self.pending.push(Action::OfferEnded { offer, end, rang });
    }

    /// Takes an entry out of the line, with the offers that ring for it.
    pub(super) fn take_out(&mut self, entry: Entry, now: Now) -> Option<Left> {
        let (name, ticket) = self.places.remove(&entry)?;
        let queue = self.queues.get_mut(&name)?;
        let waiting = queue.waiting.remove(&ticket)?;
        queue.departed(entry, now);
        let waited = waiting.waited(now);
        let short = waited <= queue.rules.short_abandon;
        for agent in self.rung_for(entry) {
            self.end_offer(&agent, OfferEnd::CallerLeft, now);
        }
        Some(Left { entry, queue: name, waited, short })
    }

    pub(super) fn today(&self, now: Now) -> Option<jiff::civil::Date> {
        day_in(&self.time_zone, now)
    }
}

pub(super) fn day_in(time_zone: &jiff::tz::TimeZone, now: Now) -> Option<jiff::civil::Date> {
    now.wall.timestamp().map(|t| time_zone.to_datetime(t).date())
}
