//! Who is offered to whom: a pure function from who waits and who is free to pairs.
//!
//! One number orders everybody, for each pair of a waiting entry and an agent that fits it:
//!
//! ```text
//! key = arrived − priority · PRIORITY_STEP + (rank of the queue at the agent − 1) · RANK_STEP
//!               − preferred skills that the agent has · PREFER_STEP
//! ```
//!
//! Of all pairs of who waits without an offer and who is free, that with the smallest key is made first; of two at the same key that of
//! who was here first; of an entry's agents at the same key the queue's [strategy](super::strategy) picks. That is repeated until no
//! pair fits any more. Whoever is free then rings beside others for the entries that ring already, where the strategy asks for it: all
//! of them for a ring-all, the next for a progressive one whose step has come.
//!
//! What follows from it, each a property test:
//! - No free agent who fits stands by while somebody waits without an offer.
//! - An agent goes to the smallest key of all who fit it. So nobody starves: who waits is overtaken only by who came later by less than
//!   the difference in priority, rank and preferred skills is worth in time, and that is bounded.
//! - At equal priority, rank and preference it is strictly by arrival, over all queues that share agents.
//! - Nobody rings beside others for one entry while another waits alone that it fits.
//!
//! An entry fits an agent of its queue who has all required skills at their levels after the steps of relaxing that are due; one that is
//! pinned fits that agent alone, for the time of the pin. Whether an agent is free (registered, idle, not leaving) and whether an entry
//! may be offered yet is the caller's to know: others are not given.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::Arrival;
use super::queue::Ticket;
use super::skills::{Levels, Wants};
use super::strategy::{Candidate, Pick, Turn, pick};
use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::Strategy;
use crate::ids::{Number, QueueName, StaffNumber};

/// One step of priority stands for so much earlier an arrival. Chosen by feel: nine steps are nine minutes.
pub const PRIORITY_STEP: Duration = Duration::from_secs(60);
/// A queue of the next rank at an agent stands back there as if its callers had come so much later. By feel.
pub const RANK_STEP: Duration = Duration::from_secs(60);
/// Each preferred skill that an agent has draws it as if the caller had come so much earlier. By feel: it decides between callers who
/// came together, and moves nobody far.
pub const PREFER_STEP: Duration = Duration::from_secs(15);

/// A waiting entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker<'a> {
    pub queue: &'a QueueName,
    pub ticket: Ticket,
    pub wants: &'a Wants,
    /// Its whole wait, for the steps of relaxing.
    pub waited: Duration,
    /// Phones ring for it already.
    pub ring: Option<Ring>,
}

/// Phones that ring for an entry, from the first until nobody rings any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub since: Mono,
    /// Offers made in it, those that have ended too.
    pub offers: u32,
}

impl Ring {
    /// Offers that a progressive ring is to have made by now.
    fn due(self, step: Duration, now: Mono) -> u32 {
        let steps = now.since(self.since).as_micros().checked_div(step.as_micros()).unwrap_or(u128::MAX);
        u32::try_from(steps).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// When the next step of a progressive ring is, after `now`.
    pub(super) fn next_step(self, step: Duration, now: Mono) -> Mono {
        self.since + step.saturating_mul(self.due(step, now))
    }
}

/// A free agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free<'a> {
    pub staff_number: &'a StaffNumber,
    pub skills: &'a Levels,
    /// One call at a time at each: two agents may share a phone (shifts).
    pub phones: &'a [Number],
    pub idle_since: Mono,
    pub calls_today: u32,
    pub talk_today: Duration,
}

/// A queue, as far as it decides who is offered.
#[derive(Debug)]
pub(super) struct Service<'a> {
    pub strategy: Strategy,
    /// Of a progressive ring.
    pub ring_step: Duration,
    pub members: &'a BTreeMap<StaffNumber, Member>,
    pub turn: &'a mut Turn,
}

/// An agent's membership of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// In the queue's list, from 0.
    pub place: usize,
    /// Of the queue at this agent: 1 is served first.
    pub rank: u8,
    /// Share of a weighted strategy.
    pub weight: u32,
}

/// To be offered, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub queue: QueueName,
    pub ticket: Ticket,
    pub agent: StaffNumber,
}

/// Pairs as the module says. `free` names each agent once; an entry whose queue is not in `services` is left where it is.
pub(super) fn matched<'a>(
    seekers: &[Seeker<'a>],
    free: Vec<Free<'a>>,
    services: &mut BTreeMap<&'a QueueName, Service<'a>>,
    chance: &mut Chance,
    now: Mono,
) -> Vec<Pair> {
    let mut run = Matching { free, services, now, pairs: Vec::new() };
    let mut line: Vec<&Seeker<'a>> = seekers.iter().filter(|s| s.ring.is_none()).collect();
    let mut ringing: Vec<(Seeker<'a>, Ring)> = seekers.iter().filter_map(|s| Some((*s, s.ring?))).collect();
    while let Some((key, seeker)) = run.first(&mut line) {
        let offers = run.serve(seeker, key, chance);
        ringing.push((*seeker, Ring { since: now, offers }));
        line.retain(|other| other.ticket != seeker.ticket);
    }
    ringing.sort_by_key(|(seeker, _)| order(seeker.ticket, seeker.wants));
    for (seeker, ring) in &ringing {
        run.ring_on(seeker, *ring);
    }
    run.pairs
}

impl Seeker<'_> {
    /// Less than its key at no agent.
    fn least_key(&self) -> Arrival {
        let preferred = i64::try_from(self.wants.preferred.len()).unwrap_or(i64::MAX);
        self.key_at(1, preferred)
    }

    fn key_at(&self, rank: u8, preferred: i64) -> Arrival {
        let (key, _) = order(self.ticket, self.wants);
        key.ahead_by(RANK_STEP, 1 - i64::from(rank)).ahead_by(PREFER_STEP, preferred)
    }
}

/// Of service, as far as it does not hang on the agent: the line of one queue.
pub(super) fn order(ticket: Ticket, wants: &Wants) -> (Arrival, u64) {
    (ticket.arrived.ahead_by(PRIORITY_STEP, i64::from(wants.priority)), ticket.nth)
}

/// One run of it.
struct Matching<'a, 'm> {
    free: Vec<Free<'a>>,
    services: &'m mut BTreeMap<&'a QueueName, Service<'a>>,
    now: Mono,
    pairs: Vec<Pair>,
}

impl<'a> Matching<'a, '_> {
    /// Who is served next, and at which key. Whom nobody free fits is put out of the line: nobody becomes free meanwhile.
    fn first<'s>(&self, line: &mut Vec<&'s Seeker<'a>>) -> Option<(Arrival, &'s Seeker<'a>)> {
        let mut best: Option<(Arrival, &'s Seeker<'a>)> = None;
        line.retain(|seeker| {
            if best.is_some_and(|(key, _)| seeker.least_key() > key) {
                return true;
            }
            let Some(key) = self.free.iter().filter_map(|agent| self.key(seeker, agent)).min() else { return false };
            if best.is_none_or(|(least, first)| (key, seeker.ticket.nth) < (least, first.ticket.nth)) {
                best = Some((key, *seeker));
            }
            true
        });
        best
    }

    /// `None` if the two do not fit.
    fn key(&self, seeker: &Seeker<'_>, agent: &Free<'_>) -> Option<Arrival> {
        let member = self.services.get(seeker.queue)?.members.get(agent.staff_number)?;
        let fits = seeker.wants.are_met_by(agent.staff_number, agent.skills, seeker.waited, self.now);
        fits.then(|| seeker.key_at(member.rank, i64::from(seeker.wants.preferred_of(agent.skills))))
    }

    /// Pairs the entry with whom its queue picks of the agents at this key; tells with how many.
    fn serve(&mut self, seeker: &Seeker<'a>, key: Arrival, chance: &mut Chance) -> u32 {
        let mut near: Vec<Free<'a>> = self.free.iter().filter(|agent| self.key(seeker, agent) == Some(key)).copied().collect();
        near.sort_by_key(|agent| (agent.idle_since, agent.staff_number));
        let Some(service) = self.services.get_mut(seeker.queue) else { return 0 };
        let members = service.members;
        let candidates: Vec<Candidate<'_>> = near.iter().filter_map(|agent| agent.candidate(members)).collect();
        let picked = match pick(service.strategy, &candidates, service.turn, chance) {
            None => Vec::new(),
            Some(Pick::One(index) | Pick::Next(index)) => near.get(index).copied().into_iter().collect(),
            Some(Pick::All) => near,
        };
        let before = self.pairs.len();
        for agent in picked {
            self.pair(seeker, &agent);
        }
        u32::try_from(self.pairs.len() - before).unwrap_or(u32::MAX)
    }

    /// More phones for an entry that rings already.
    fn ring_on(&mut self, seeker: &Seeker<'a>, ring: Ring) {
        let Some(service) = self.services.get(seeker.queue) else { return };
        let more = match service.strategy {
            Strategy::RingAll => u32::MAX,
            Strategy::Progressive => ring.due(service.ring_step, self.now).saturating_sub(ring.offers),
            Strategy::LongestIdle
            | Strategy::FewestCalls
            | Strategy::LeastTalk
            | Strategy::RoundRobin
            | Strategy::Fixed
            | Strategy::Random
            | Strategy::Weighted => return,
        };
        for _ in 0..more {
            let fitting = self.free.iter().filter_map(|agent| Some((self.key(seeker, agent)?, agent)));
            let next = fitting.min_by_key(|(key, agent)| (*key, agent.idle_since, agent.staff_number));
            let Some(agent) = next.map(|(_, agent)| *agent) else { return };
            self.pair(seeker, &agent);
        }
    }

    /// The agent is free no more, nor is who shares a phone with it. One who is not free is left alone.
    fn pair(&mut self, seeker: &Seeker<'_>, agent: &Free<'_>) {
        if !self.free.iter().any(|free| free.staff_number == agent.staff_number) {
            return;
        }
        self.free.retain(|free| {
            free.staff_number != agent.staff_number && !free.phones.iter().any(|phone| agent.phones.contains(phone))
        });
        self.pairs.push(Pair { queue: seeker.queue.clone(), ticket: seeker.ticket, agent: agent.staff_number.clone() });
    }
}

impl<'a> Free<'a> {
    fn candidate(&self, members: &BTreeMap<StaffNumber, Member>) -> Option<Candidate<'a>> {
        let Member { place, weight, .. } = *members.get(self.staff_number)?;
        Some(Candidate {
            staff_number: self.staff_number,
            idle_since: self.idle_since,
            calls_today: self.calls_today,
            talk_today: self.talk_today,
            place,
            weight,
        })
    }
}

#[cfg(test)]
mod tests;
