//! A queue: its rules, its agents, and who waits in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::agent::Agent;
use super::entry::{Arrival, Entry};
use super::expected::Pace;
use super::matching::{Member, Ring, Seeker, order};
use super::service_level::Tally;
use super::skills::Wants;
use super::strategy::Turn;
use crate::clock::{Mono, Now};
use crate::config;
use crate::ids::{QueueName, StaffNumber};

/// Who arrived first, and of two at the same moment who entered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub arrived: Arrival,
    pub nth: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub entry: Entry,
    /// When this queue was entered.
    pub entered: Now,
    /// What it has waited here before, and brings when it comes back.
    pub before: Duration,
    pub wants: Wants,
    /// Holds its place, and is offered to nobody before.
    pub not_before: Option<Mono>,
    /// It is asked something else at this moment, and is offered to nobody.
    pub held: bool,
    /// When the caller goes to the overflow, by the rule that held at entering.
    pub overflow_at: Option<Mono>,
    /// While a phone rings for it.
    pub ring: Option<Ring>,
    /// When matching may come out otherwise for it by time alone; as of the last step.
    pub looks_at: Option<Mono>,
}

impl Waiting {
    /// So far, with what it brings.
    pub(super) fn waited(&self, now: Now) -> Duration {
        self.before + now.mono.since(self.entered.mono)
    }

    /// May have (more) agents: it is not held back, and not on its way to the overflow.
    pub(super) fn seeks(&self, now: Now) -> bool {
        !self.held && self.not_before.is_none_or(|at| at <= now.mono) && self.overflow_at.is_none_or(|at| at > now.mono)
    }

    pub(super) fn seeker<'a>(&'a self, queue: &'a QueueName, ticket: Ticket, now: Now) -> Seeker<'a> {
        Seeker { queue, ticket, wants: &self.wants, waited: self.waited(now), ring: self.ring }
    }

    /// The next step of relaxing, of a progressive ring, the end of a pin or of its being held back.
    fn next_look(&self, rules: &config::Queue, now: Now) -> Option<Mono> {
        let waited = self.waited(now);
        let relaxed = self.wants.relaxes_after(waited).map(|after| now.mono + after.saturating_sub(waited));
        let is_progressive = rules.strategy == config::Strategy::Progressive;
        let step = self.ring.filter(|_| is_progressive).map(|ring| ring.next_step(rules.ring_step, now.mono));
        let pinned = self.wants.pin_at(now.mono).map(|pin| pin.until);
        let held = self.not_before.filter(|at| *at > now.mono);
        // A step that rounding has made due at once is due a moment later: a deadline that stands still would be a hang.
        [relaxed, step, pinned, held].into_iter().flatten().min().map(|at| at.max(now.mono + Duration::from_micros(1)))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub rules: config::Queue,
    pub members: BTreeMap<StaffNumber, Member>,
    pub waiting: BTreeMap<Ticket, Waiting>,
    pub turn: Turn,
    pub tally: Tally,
    /// A reload took the queue away: nobody enters, who waits goes to the overflow.
    pub draining: bool,
    /// Since when none of its agents is logged in with a phone that is registered.
    pub unstaffed_since: Option<Mono>,
    pub pace: Pace,
}

/// A phone that starts anew, or an agent who changes desks, is not the end of the shift.
const UNSTAFFED: Duration = Duration::from_secs(10);

impl Queue {
    pub(super) fn new(rules: &config::Queue, tally: Tally, now: Mono) -> Self {
        Queue {
            rules: rules.clone(),
            members: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turn: Turn::default(),
            tally,
            draining: false,
            unstaffed_since: None,
            pace: Pace::new(now),
        }
    }

    /// Long enough that it is no moment between two phones.
    pub(super) fn is_unstaffed(&self, now: Now) -> bool {
        self.unstaffed_since.is_some_and(|since| since + UNSTAFFED <= now.mono)
    }

    /// When those who wait are sent on for want of agents; not those for whom a phone rings, as [`Acd::settle`](super::Acd::settle)
    /// leaves them there.
    pub(super) fn gives_up_at(&self, offered: &BTreeSet<Entry>) -> Option<Mono> {
        let goes = |w: &Waiting| matches!(w.entry, Entry::Caller(_)) && !w.held && !offered.contains(&w.entry);
        let is_asked = self.rules.overflow_no_agents.is_some() && self.waiting.values().any(goes);
        self.unstaffed_since.filter(|_| is_asked).map(|since| since + UNSTAFFED)
    }

    pub(super) fn adopt(&mut self, rules: &config::Queue) {
        if rules.strategy != self.rules.strategy {
            self.turn = Turn::default();
        }
        self.rules = rules.clone();
        self.draining = false;
    }

    /// Takes who works for it: its agents of the configuration, but for those whom a supervisor has put elsewhere, and behind them in
    /// its line those who were put here.
    pub(super) fn staff(&mut self, agents: &BTreeMap<StaffNumber, Agent>) {
        let mut members = members(&self.rules);
        let moved = agents.values().filter_map(|agent| Some((&agent.staff_number, agent.put_into.as_ref()?)));
        for (nth, (agent, queues)) in moved.enumerate() {
            let place = members.remove(agent).map_or(self.rules.agents.len() + nth, |member| member.place);
            if let Some(config::Standing { rank, weight }) = queues.get(&self.rules.name).copied() {
                members.insert(agent.clone(), Member { place, rank, weight });
            }
        }
        self.turn.keep(|agent| members.contains_key(agent));
        self.members = members;
    }

    /// In the figures of the day. A callback is in none of them: they are of those who wait at the phone.
    pub(super) fn count(&mut self, entry: Entry, today: Option<jiff::civil::Date>, count: impl FnOnce(&mut Tally)) {
        self.tally.turn_to(today);
        match entry {
            Entry::Caller(_) => count(&mut self.tally),
            Entry::Callback(_) => {}
        }
    }

    /// One of those who wait at the phone is out of the line.
    pub(super) fn departed(&mut self, entry: Entry, now: Now) {
        match entry {
            Entry::Caller(_) => self.pace.departed(now.mono),
            Entry::Callback(_) => {}
        }
    }

    /// In the order of service.
    pub(super) fn line(&self) -> Vec<&Waiting> {
        let mut line: Vec<_> = self.waiting.iter().collect();
        line.sort_by_key(|(ticket, waiting)| order(**ticket, &waiting.wants));
        line.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// How many are served before this one, and itself.
    pub(super) fn position(&self, ticket: Ticket) -> Option<usize> {
        self.ahead(ticket, |_| true)
    }

    /// The same without those whose time has not come.
    pub(super) fn position_at(&self, ticket: Ticket, now: Mono) -> Option<usize> {
        self.ahead(ticket, |waiting| waiting.not_before.is_none_or(|at| at <= now))
    }

    fn ahead(&self, ticket: Ticket, counts: impl Fn(&Waiting) -> bool) -> Option<usize> {
        let mine = order(ticket, &self.waiting.get(&ticket)?.wants);
        let is_ahead = |at: Ticket, waiting: &Waiting| order(at, &waiting.wants) <= mine && (at == ticket || counts(waiting));
        Some(self.waiting.iter().filter(|(at, waiting)| is_ahead(**at, waiting)).count())
    }

    pub(super) fn look_ahead(&mut self, now: Now) {
        for waiting in self.waiting.values_mut() {
            waiting.looks_at = waiting.next_look(&self.rules, now);
        }
    }
}

fn members(rules: &config::Queue) -> BTreeMap<StaffNumber, Member> {
    let one = |(place, agent): (usize, &StaffNumber)| {
        let config::Standing { rank, weight } = rules.standing.get(agent).copied().unwrap_or_default();
        (agent.clone(), Member { place, rank, weight })
    };
    rules.agents.iter().enumerate().map(one).collect()
}
