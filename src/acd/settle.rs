//! One step of the acd: what is due ends, what the floor contradicts ends, then callers and agents are matched.

use std::collections::{BTreeMap, BTreeSet};

use super::agent::{Agent, AgentState, StateKind, Taken, Wanted, Work};
use super::entry::Entry;
use super::line::{Acd, Elsewhere, Floor, day_in};
use super::matching::{Free, Pair, Ring, Seeker, Service, matched};
use super::offer::{Action, Offer, OfferEnd, OfferId, OverflowWhy};
use super::queue::{Queue, Waiting};
use super::wrapping::{WrapUp, over};
use crate::clock::Now;
use crate::ids::{QueueName, StaffNumber};

impl Acd {
    /// Brings everything to where nothing more is due at `now`. To be called after every change here or on the floor that concerns a
    /// phone of an agent or a waiting caller, and at [`Acd::deadline`]; calling it more often changes nothing.
    pub fn settle(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        self.drop_vanished(floor, now);
        self.end_calls(floor, now);
        self.end_offers(floor, now);
        self.end_rests(floor, now);
        self.note_staff(floor, now);
        self.overflow(now);
        out.append(&mut self.pending);
        self.offer(floor, now, out);
        self.tell(floor, now, out);
        self.forget();
    }

    /// Callers whose conversation is gone without a word: a fault elsewhere must not leave a ghost in the line.
    fn drop_vanished(&mut self, floor: &impl Floor, now: Now) {
        let is_gone = |entry: &Entry| entry.conversation().is_some_and(|caller| !floor.present(caller));
        let gone: Vec<Entry> = self.places.keys().copied().filter(is_gone).collect();
        for entry in gone {
            if let Some(left) = self.abandon(entry, now) {
                self.pending.push(Action::Vanished(left));
            }
        }
    }

    fn end_calls(&mut self, floor: &impl Floor, now: Now) {
        for agent in self.agents.values_mut() {
            if let Work::Talking { caller, queue, phone, since, after } = &agent.work
                && !floor.talks(phone, *caller)
            {
                agent.today.count_talk(now.mono.since(*since), day_in(&self.time_zone, now));
                agent.work = Work::WrapUp(WrapUp::after(*caller, queue.clone(), *after, now));
            }
        }
    }

    fn end_offers(&mut self, floor: &impl Floor, now: Now) {
        let mut ended: Vec<(StaffNumber, OfferEnd)> = Vec::new();
        for agent in self.agents.values() {
            let Work::Offered { offer, .. } = &agent.work else { continue };
            let end = if offer.phones.iter().any(|phone| floor.elsewhere(phone) == Elsewhere::Talks) {
                OfferEnd::OtherCall
            } else if !offer.phones.iter().any(|phone| floor.registered(phone)) {
                OfferEnd::Unregistered
            } else if offer.until <= now.mono {
                OfferEnd::NoAnswer
            } else {
                continue;
            };
            ended.push((agent.staff_number.clone(), end));
        }
        for (agent, end) in ended {
            self.end_offer(&agent, end, now);
        }
    }

    /// Wrap-ups and rests that are over. An agent who comes back from another call, or whose phone comes back, is idle from now: the
    /// line of the idle is for those who stood in it.
    fn end_rests(&mut self, floor: &impl Floor, now: Now) {
        let taken = self.taken();
        for agent in self.agents.values_mut() {
            match &agent.work {
                Work::WrapUp(wrap_up) if wrap_up.until() <= now.mono => over(agent, &mut self.pending),
                Work::Resting { until } if *until <= now.mono => agent.work = Work::Idle { since: *until },
                Work::WrapUp(_) | Work::Resting { .. } | Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } => {}
            }
            let was_away = matches!(agent.told, AgentState::Busy | AgentState::NotRegistered);
            if was_away && matches!(agent.work, Work::Idle { .. }) && here(agent, floor, &taken) {
                agent.work = Work::Idle { since: now.mono };
            }
        }
    }

    fn note_staff(&mut self, floor: &impl Floor, now: Now) {
        let Acd { queues, agents, .. } = self;
        let is_there = |agent: &Agent| !agent.leaving && agent.wanted != Wanted::Offline && agent.is_registered(floor);
        for queue in queues.values_mut() {
            let is_staffed = queue.members.keys().filter_map(|member| agents.get(member)).any(is_there);
            queue.unstaffed_since = if is_staffed { None } else { queue.unstaffed_since.or(Some(now.mono)) };
        }
    }

    /// Who has waited too long, or for nobody, or waits in a queue that is gone. A caller for whom a phone rings is left there until the offer ends:
    /// the agent may be reaching for it.
    fn overflow(&mut self, now: Now) {
        let offered = self.offered();
        let mut over: Vec<(Entry, OverflowWhy)> = Vec::new();
        for queue in self.queues.values() {
            let gives_up = queue.rules.overflow_no_agents.is_some();
            let may_go = |w: &&Waiting| !offered.contains(&w.entry) && (queue.draining || !w.held);
            for waiting in queue.waiting.values().filter(may_go) {
                if queue.draining {
                    over.push((waiting.entry, OverflowWhy::QueueRemoved));
                } else if matches!(waiting.entry, Entry::Caller(_)) && gives_up && queue.is_unstaffed(now) {
                    over.push((waiting.entry, OverflowWhy::NoAgents));
                } else if waiting.overflow_at.is_some_and(|at| at <= now.mono) {
                    over.push((waiting.entry, OverflowWhy::MaxWait));
                }
            }
        }
        for (entry, why) in over {
            let Some(left) = self.withdraw(entry, now) else { continue };
            let Some(rules) = self.queues.get(&left.queue).map(|q| &q.rules) else { continue };
            let to = match why {
                OverflowWhy::NoAgents => rules.overflow_no_agents.as_ref().unwrap_or(&rules.overflow).clone(),
                OverflowWhy::MaxWait | OverflowWhy::QueueRemoved => rules.overflow.clone(),
            };
            self.pending.push(Action::Overflow { entry, queue: left.queue, to, why, waited: left.waited });
        }
    }

    fn offer(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        let offered = self.offered();
        for waiting in self.queues.values_mut().flat_map(|q| q.waiting.values_mut()) {
            waiting.ring = waiting.ring.filter(|_| offered.contains(&waiting.entry));
        }
        for pair in self.pairs(floor, now) {
            if let Some(offer) = self.begin(&pair, floor, now) {
                out.push(Action::Offer(offer));
            }
        }
        for queue in self.queues.values_mut() {
            queue.look_ahead(now);
            let somebody = queue.waiting.values().any(|w| matches!(w.entry, Entry::Caller(_)));
            queue.pace.waits(somebody, now.mono);
        }
    }

    fn pairs(&mut self, floor: &impl Floor, now: Now) -> Vec<Pair> {
        if self.places.is_empty() {
            return Vec::new();
        }
        let (taken, today) = (self.taken(), self.today(now));
        let free: Vec<Free<'_>> = self.agents.values().filter_map(|agent| agent.free(floor, &taken, today)).collect();
        if free.is_empty() {
            return Vec::new();
        }
        let mut seekers: Vec<Seeker<'_>> = Vec::new();
        let mut services: BTreeMap<&QueueName, Service<'_>> = BTreeMap::new();
        for (name, queue) in self.queues.iter_mut().filter(|(_, queue)| !queue.draining) {
            let Queue { rules, members, waiting, turn, .. } = queue;
            let seeking = waiting.iter().filter(|(_, waiting)| waiting.seeks(now) && may_be_called(waiting.entry, floor));
            seekers.extend(seeking.map(|(ticket, waiting)| waiting.seeker(name, *ticket, now)));
            services.insert(name, Service { strategy: rules.strategy, ring_step: rules.ring_step, members, turn });
        }
        matched(&seekers, free, &mut services, &mut self.chance, now.mono)
    }

    /// The lease of an agent who is idle.
    fn begin(&mut self, pair: &Pair, floor: &impl Floor, now: Now) -> Option<Offer> {
        let queue = self.queues.get_mut(&pair.queue)?;
        let waiting = queue.waiting.get_mut(&pair.ticket)?;
        let agent = self.agents.get_mut(&pair.agent)?;
        let Work::Idle { since: idle_since } = agent.work else { return None };
        let ring = waiting.ring.unwrap_or(Ring { since: now.mono, offers: 0 });
        waiting.ring = Some(Ring { offers: ring.offers.saturating_add(1), ..ring });
        let offer = Offer {
            id: OfferId(self.next_offer),
            entry: waiting.entry,
            queue: pair.queue.clone(),
            title: queue.rules.title.clone(),
            agent: pair.agent.clone(),
            phones: agent.phones().iter().filter(|phone| floor.registered(phone)).cloned().collect(),
            began: now.mono,
            until: now.mono + queue.rules.offer_lasts(),
            waited: waiting.waited(now),
        };
        self.next_offer += 1;
        agent.work = Work::Offered { offer: offer.clone(), idle_since };
        Some(offer)
    }

    pub(super) fn taken(&self) -> Taken {
        let of = |a: &Agent| a.work.phones().iter().map(|phone| (phone.clone(), a.staff_number.clone())).collect::<Vec<_>>();
        self.agents.values().flat_map(of).collect()
    }

    /// Entries for which a phone rings.
    pub(super) fn offered(&self) -> BTreeSet<Entry> {
        let entry = |a: &Agent| match &a.work {
            Work::Offered { offer, .. } => Some(offer.entry),
            Work::Idle { .. } | Work::Talking { .. } | Work::WrapUp(_) | Work::Resting { .. } => None,
        };
        self.agents.values().filter_map(entry).collect()
    }

    fn tell(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        let taken = self.taken();
        for agent in self.agents.values_mut() {
            let state = if agent.is_done() { AgentState::Offline } else { agent.state(floor, &taken) };
            if state == agent.told {
                continue;
            }
            // Ready for another reason of the clock is not news.
            let news = state.kind() != agent.told.kind() || state.kind() != StateKind::Ready;
            let from = std::mem::replace(&mut agent.told, state.clone());
            if news {
                agent.told_at = now;
                out.push(Action::AgentChanged { agent: agent.staff_number.clone(), from, to: state });
            }
        }
    }

    /// Agents and queues that a reload took away and that have nothing left to do.
    fn forget(&mut self) {
        self.agents.retain(|_, a| !a.is_done());
        let agents = &self.agents;
        let in_use =
            |name: &QueueName| agents.values().any(|a| matches!(&a.work, Work::Offered { offer, .. } if offer.queue == *name));
        self.queues.retain(|name, q| !q.draining || !q.waiting.is_empty() || in_use(name));
    }
}

fn may_be_called(entry: Entry, floor: &impl Floor) -> bool {
    match entry {
        Entry::Caller(_) => true,
        Entry::Callback(callback) => floor.may_be_called(callback),
    }
}

fn here(agent: &Agent, floor: &impl Floor, taken: &Taken) -> bool {
    agent.is_registered(floor) && !agent.is_elsewhere(floor, taken)
}

impl Agent {
    /// `None` if nothing can be offered to this agent now.
    fn free(&self, floor: &impl Floor, taken: &Taken, today: Option<jiff::civil::Date>) -> Option<Free<'_>> {
        let Work::Idle { since } = self.work else { return None };
        if self.leaving || self.wanted != Wanted::Ready || !here(self, floor, taken) {
            return None;
        }
        let (calls_today, talk_today) = self.today.so_far(today);
        Some(Free {
            staff_number: &self.staff_number,
            skills: &self.skills,
            phones: self.phones(),
            idle_since: since,
            calls_today,
            talk_today,
        })
    }

    /// Taken away by a reload, and nothing runs any more.
    fn is_done(&self) -> bool {
        self.leaving
            && match &self.work {
                Work::Offered { .. } | Work::Talking { .. } => false,
                Work::Idle { .. } | Work::WrapUp(_) | Work::Resting { .. } => true,
            }
    }
}
