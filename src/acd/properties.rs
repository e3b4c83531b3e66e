//! Random events, and what must hold after each.
//!
//! The harness plays the core: it keeps its own book of who waits, rings and talks, written only from what it did and what the acd told
//! it, and after every step compares the book with the acd.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{Hall, agent, at, caller, config, queue, s};
use super::*;
use crate::chance::Chance;
use crate::clock::{Mono, Now};
use crate::config::{self, Config, Place};
use crate::ids::{CallbackId, ConversationId, Number, QueueName, StaffNumber};

const QUEUES: [&str; 3] = ["a", "b", "c"];
const AGENTS: [&str; 4] = ["1", "2", "3", "4"];
/// Agents 3 and 4 share a phone.
const PHONES: [&str; 3] = ["201", "202", "203"];

#[derive(Clone, Debug)]
enum Happening {
    Enter {
        queue: usize,
        back_s: u64,
        wants: Wants,
    },
    /// Before the process began, perhaps, and held back for a while.
    Callback {
        queue: usize,
        back_s: u64,
        due_s: u64,
    },
    Abandon(usize),
    Withdraw(usize),
    /// The conversation is gone and nobody says so.
    Vanish(usize),
    Register(usize, bool),
    Elsewhere(usize, Elsewhere),
    Set(usize, Wanted),
    Answer(usize),
    AnswerAndCancel(usize),
    Decline(usize, Why),
    /// A phone reports on an offer that is long over.
    Late(u64),
    Hangup(usize),
    Reload {
        queues: u8,
        members: [u8; 3],
        agents: u8,
        max_wait: bool,
        swap: bool,
        strategies: [config::Strategy; 3],
    },
    /// An agent is put into these queues, by their bits; or back.
    PutInto(usize, Option<u8>),
    Time(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let elsewhere = prop_oneof![Just(Elsewhere::Nothing), Just(Elsewhere::Rings), Just(Elsewhere::Talks)];
    let wanted = prop_oneof![
        3 => Just(Wanted::Ready),
        1 => Just(Wanted::Paused { reason: None }),
        1 => Just(Wanted::Offline)
    ];
    let why = prop_oneof![Just(Why::NoAnswer), Just(Why::Busy), Just(Why::Declined), Just(Why::Unreachable), Just(Why::Failed)];
    prop_oneof![
        8 => (0..3usize, 0..30u64, wants()).prop_map(|(queue, back_s, wants)| Happening::Enter { queue, back_s, wants }),
        2 => (0..3usize, 0..200u64, 0..40u64).prop_map(|(queue, back_s, due_s)| Happening::Callback { queue, back_s, due_s }),
        2 => any::<usize>().prop_map(Happening::Abandon),
        1 => any::<usize>().prop_map(Happening::Withdraw),
        1 => any::<usize>().prop_map(Happening::Vanish),
        3 => (0..3usize, prop::bool::weighted(0.7)).prop_map(|(p, r)| Happening::Register(p, r)),
        3 => (0..3usize, elsewhere).prop_map(|(p, e)| Happening::Elsewhere(p, e)),
        4 => (0..4usize, wanted).prop_map(|(a, w)| Happening::Set(a, w)),
        6 => any::<usize>().prop_map(Happening::Answer),
        2 => any::<usize>().prop_map(Happening::AnswerAndCancel),
        3 => (any::<usize>(), why).prop_map(|(n, w)| Happening::Decline(n, w)),
        1 => (0..50u64).prop_map(Happening::Late),
        5 => any::<usize>().prop_map(Happening::Hangup),
        1 => (1..8u8, any::<[u8; 3]>(), any::<u8>(), any::<bool>(), any::<bool>(), strategies()).prop_map(
            |(queues, members, agents, max_wait, swap, strategies)| {
                Happening::Reload { queues, members, agents, max_wait, swap, strategies }
            }
        ),
        2 => (0..4usize, prop::option::weighted(0.7, 0..8u8)).prop_map(|(a, queues)| Happening::PutInto(a, queues)),
        6 => (0..40u64).prop_map(Happening::Time),
    ]
}

fn strategies() -> impl Strategy<Value = [config::Strategy; 3]> {
    use config::Strategy as S;
    let all = [
        S::LongestIdle,
        S::FewestCalls,
        S::LeastTalk,
        S::RoundRobin,
        S::RingAll,
        S::Progressive,
        S::Fixed,
        S::Random,
        S::Weighted,
    ];
    prop::array::uniform3(0..all.len()).prop_map(move |nth| nth.map(|n| all[n]))
}

/// Most ask for nothing.
fn wants() -> impl Strategy<Value = Wants> {
    let required = (2..4u8, 0..30u64).prop_map(|(required, after)| {
        let level = |level: u8| Levels::from([("de".into(), level)]);
        let relax = vec![Relax { after: s(after), skills: level(1) }, Relax { after: s(after + 10), skills: Levels::new() }];
        Wants { required: level(required), relax, ..Wants::default() }
    });
    prop_oneof![
        5 => Just(Wants::default()),
        1 => (-1..3i8).prop_map(|priority| Wants { priority, ..Wants::default() }),
        1 => (0..4usize, 0..60u64).prop_map(|(n, until)| {
            Wants { pinned: Some(Pin { agent: AGENTS[n].into(), until: at(until).mono }), ..Wants::default() }
        }),
        1 => required,
    ]
}

fn rules(queues: u8, members: [u8; 3], agents: u8, max_wait: bool, swap: bool, strategies: [config::Strategy; 3]) -> Config {
    let staff: Vec<&str> = AGENTS.iter().enumerate().filter(|(i, _)| agents & (1 << i) != 0).map(|(_, a)| *a).collect();
    let all = QUEUES.iter().enumerate().filter(|(i, _)| queues & (1 << i) != 0).map(|(i, name)| {
        let of: Vec<&str> =
            AGENTS.iter().enumerate().filter(|(j, a)| members[i] & (1 << j) != 0 && staff.contains(a)).map(|(_, a)| *a).collect();
        let mut q = queue(name, &of);
        q.max_wait = max_wait.then(|| s(40));
        q.overflow = Place::Hangup;
        q.overflow_no_agents = max_wait.then_some(Place::Hangup);
        q.wrap_up = s(if swap { 0 } else { 10 });
        q.strategy = strategies[i];
        q
    });
    let phone = |a: &str| match (a, swap) {
        ("1", false) | ("2", true) => PHONES[0],
        ("2", false) | ("1", true) => PHONES[1],
        _ => PHONES[2],
    };
    let person = |a: &&str| {
        let level = level_of(a);
        config::Agent { skills: (level > 0).then(|| ("de".to_owned(), level)).into_iter().collect(), ..agent(a, phone(a)) }
    };
    config(all.collect(), staff.iter().map(person).collect())
}

/// What agents know of German.
fn level_of(agent: &str) -> u8 {
    match agent {
        "1" => 1,
        "3" => 3,
        _ => 0,
    }
}

/// An entry in the harness's book.
struct Waits {
    queue: QueueName,
    entered: Mono,
    arrived: Arrival,
    nth: u64,
    wants: Wants,
    not_before: Mono,
}

impl Waits {
    /// In µs: a minute a step of priority.
    fn order(&self) -> (i64, u64) {
        (self.arrived.as_micros() - i64::from(self.wants.priority) * 60_000_000, self.nth)
    }

    /// By what it asks, written once more.
    fn takes(&self, agent: &str, now: Mono) -> bool {
        if self.not_before > now {
            return false;
        }
        if let Some(pin) = self.wants.pinned.as_ref().filter(|pin| pin.until > now) {
            return pin.agent.as_str() == agent;
        }
        let waited = now.since(self.entered);
        let relaxed = self.wants.relax.iter().filter(|step| step.after <= waited);
        let least = relaxed.map(|step| step.skills.get("de").copied().unwrap_or(0)).min().unwrap_or(5);
        let required = self.wants.required.get("de").copied().unwrap_or(0).min(least);
        level_of(agent) >= required
    }
}

struct Harness {
    acd: Acd,
    hall: Hall,
    config: Config,
    second: u64,
    next: u64,
    waiting: BTreeMap<Entry, Waits>,
    ringing: BTreeMap<OfferId, Offer>,
    /// Answered since the last step: what rings for these beside ends as taken.
    taken: BTreeSet<Entry>,
    talking: BTreeMap<Number, ConversationId>,
    /// The queues that agents were put into.
    put_into: BTreeMap<StaffNumber, BTreeSet<QueueName>>,
    wrap_ups: BTreeMap<StaffNumber, Mono>,
    states: BTreeMap<StaffNumber, StateKind>,
}

impl Harness {
    fn new(strategies: [config::Strategy; 3]) -> Self {
        let config = rules(7, [0b0011, 0b0110, 0b1111], 0b1111, false, false, strategies);
        let hall = Hall { registered: PHONES.iter().map(|p| (*p).into()).collect(), ..Hall::default() };
        let acd = Acd::new(&config, Snapshot::default(), Chance::seeded([5; 32]), at(0));
        let mut h = Harness {
            acd,
            hall,
            config,
            second: 0,
            next: 0,
            waiting: BTreeMap::new(),
            ringing: BTreeMap::new(),
            taken: BTreeSet::new(),
            talking: BTreeMap::new(),
            put_into: BTreeMap::new(),
            wrap_ups: BTreeMap::new(),
            states: BTreeMap::new(),
        };
        h.settle();
        h
    }

    fn now(&self) -> Now {
        at(self.second)
    }

    fn nth_waiting(&self, n: usize) -> Option<Entry> {
        (!self.waiting.is_empty()).then(|| *self.waiting.keys().nth(n % self.waiting.len()).unwrap())
    }

    fn nth_offer(&self, n: usize) -> Option<Offer> {
        (!self.ringing.is_empty()).then(|| self.ringing.values().nth(n % self.ringing.len()).unwrap().clone())
    }

    fn happen(&mut self, what: Happening) {
        let now = self.now();
        match what {
            Happening::Enter { queue, back_s, wants } => {
                let arrived = at(self.second.saturating_sub(back_s)).mono;
                self.enter(queue, Arriving { wants, ..Arriving::new(caller(self.next), arrived) });
            }
            Happening::Callback { queue, back_s, due_s } => {
                let callback = CallbackId::from_parts(self.next, 0);
                let arrived = Arrival::at_wall(now.wall - s(back_s), now);
                let not_before = Some(at(self.second + due_s).mono);
                self.enter(queue, Arriving { not_before, ..Arriving::new(callback, arrived) });
            }
            Happening::Abandon(n) => {
                if let Some(id) = self.nth_waiting(n) {
                    assert!(self.acd.abandon(id, now).is_some());
                    self.waiting.remove(&id);
                }
            }
            Happening::Withdraw(n) => {
                if let Some(id) = self.nth_waiting(n) {
                    assert!(self.acd.withdraw(id, now).is_some());
                    self.waiting.remove(&id);
                }
            }
            Happening::Vanish(n) => {
                if let Some(id) = self.nth_waiting(n).and_then(Entry::conversation) {
                    self.hall.gone.insert(id);
                }
            }
            Happening::Register(p, true) => {
                self.hall.registered.insert(PHONES[p].into());
            }
            Happening::Register(p, false) => {
                self.hall.registered.remove(PHONES[p]);
            }
            Happening::Elsewhere(p, e) => {
                self.hall.elsewhere.insert(PHONES[p].into(), e);
            }
            Happening::Set(a, wanted) => {
                let known = self.config.agents.contains_key(AGENTS[a]);
                assert_eq!(self.acd.set(&AGENTS[a].into(), wanted, now).is_ok(), known);
                if known {
                    self.wrap_ups.remove(AGENTS[a]);
                }
            }
            Happening::Answer(n) => {
                if let Some(offer) = self.nth_offer(n) {
                    let call = self.call_of(offer.entry);
                    self.hall.talks.insert((offer.phones[0].clone(), call));
                    let answered = self.acd.answered(offer.id, &offer.phones[0], call, now);
                    assert_eq!(answered.map(|a| a.offer), Some(offer.clone()));
                    self.ringing.remove(&offer.id);
                    self.waiting.remove(&offer.entry);
                    self.taken.insert(offer.entry);
                    assert_eq!(self.talking.insert(offer.phones[0].clone(), call), None, "two calls on one phone");
                }
            }
            Happening::AnswerAndCancel(n) => {
                if let Some(offer) = self.nth_offer(n) {
                    assert!(self.acd.answered(offer.id, &offer.phones[0], self.call_of(offer.entry), now).is_some());
                    self.ringing.remove(&offer.id);
                    self.waiting.remove(&offer.entry);
                    self.taken.insert(offer.entry);
                }
            }
            Happening::Decline(n, why) => {
                if let Some(offer) = self.nth_offer(n) {
                    self.acd.declined(offer.id, why, now);
                }
            }
            Happening::Late(id) => {
                let id = OfferId(id);
                if !self.ringing.contains_key(&id) {
                    assert_eq!(self.acd.answered(id, &"201".into(), caller(0), now), None);
                    self.acd.declined(id, Why::NoAnswer, now);
                }
            }
            Happening::Hangup(n) => {
                if !self.talking.is_empty() {
                    let (phone, id) = self.talking.iter().nth(n % self.talking.len()).map(|(p, c)| (p.clone(), *c)).unwrap();
                    self.talking.remove(&phone);
                    self.hall.talks.remove(&(phone, id));
                }
            }
            Happening::Reload { queues, members, agents, max_wait, swap, strategies } => {
                self.config = rules(queues, members, agents, max_wait, swap, strategies);
                self.acd.reconfigure(&self.config, now);
                let (queues, agents) = (&self.config.queues, &self.config.agents);
                self.put_into.retain(|_, put| {
                    let was_nowhere = put.is_empty();
                    put.retain(|queue| queues.contains_key(queue));
                    was_nowhere || !put.is_empty()
                });
                self.put_into.retain(|agent, _| agents.contains_key(agent));
            }
            Happening::PutInto(a, queues) => {
                let agent = StaffNumber::from(AGENTS[a]);
                let of = |queues: u8| QUEUES.iter().enumerate().filter(move |(i, _)| queues & (1 << i) != 0);
                let there = |name: &&str| self.config.queues.contains_key(*name);
                let put = queues.map(|queues| of(queues).map(|(_, name)| *name).filter(there).map(QueueName::from).collect());
                let put: Option<BTreeSet<QueueName>> = put;
                let standings =
                    put.as_ref().map(|put| put.iter().map(|queue| (queue.clone(), config::Standing::default())).collect());
                let known = self.config.agents.contains_key(&agent);
                assert_eq!(self.acd.put_into(&agent, standings).is_ok(), known);
                if known {
                    self.put_into.remove(&agent);
                    self.put_into.extend(put.map(|put| (agent, put)));
                }
            }
            // Later in the same way as a driver: never past a deadline without a step at it.
            Happening::Time(seconds) => {
                let end = self.second + seconds;
                while let Some(due) = self.acd.deadline().map(|d| d.as_micros().div_ceil(1_000_000)).filter(|d| *d <= end) {
                    self.second = due.max(self.second);
                    self.settle();
                }
                self.second = end;
            }
        }
    }

    fn enter(&mut self, queue: usize, who: Arriving) {
        let (queue, now): (QueueName, _) = (QUEUES[queue].into(), self.now());
        let entered = self.acd.enter(&queue, who.clone(), now);
        assert_eq!(entered.is_ok(), self.config.queues.contains_key(&queue));
        let Arriving { entry, arrived, wants, not_before } = who;
        if let Ok(Entered { position }) = entered {
            let not_before = not_before.unwrap_or_default();
            self.waiting
                .insert(entry, Waits { queue: queue.clone(), entered: now.mono, arrived, nth: self.next, wants, not_before });
            let mine = self.waiting[&entry].order();
            let ahead = self.waiting.values().filter(|w| w.queue == queue && w.order() <= mine);
            assert_eq!(position, ahead.count());
        }
        self.next += 1;
    }

    /// The conversation in which an agent answers.
    fn call_of(&self, entry: Entry) -> ConversationId {
        match entry {
            Entry::Caller(caller) => caller,
            Entry::Callback(callback) => caller(1_000_000 + callback.timestamp_ms()),
        }
    }

    fn settle(&mut self) {
        let now = self.now();
        let mut out = Vec::new();
        self.acd.settle(&self.hall, now, &mut out);
        for action in out {
            match action {
                Action::Offer(offer) => {
                    assert!(
                        self.ringing.values().all(|o| o.agent != offer.agent && o.phones != offer.phones),
                        "two offers: {offer:?}"
                    );
                    let strategy = self.config.queues[&offer.queue].strategy;
                    let several = matches!(strategy, config::Strategy::RingAll | config::Strategy::Progressive);
                    assert!(several || self.ringing.values().all(|o| o.entry != offer.entry), "one entry offered twice");
                    assert!(self.waiting[&offer.entry].takes(offer.agent.as_str(), now.mono), "not what it asks for: {offer:?}");
                    assert!(!self.talking.contains_key(&offer.phones[0]), "an offer to a phone that talks");
                    assert!(
                        self.hall.registered.contains(&offer.phones[0])
                            && self.hall.elsewhere(&offer.phones[0]) == Elsewhere::Nothing
                    );
                    assert!(self.works_for(&offer.agent, &offer.queue), "not an agent of the queue");
                    assert_eq!(self.waiting[&offer.entry].queue, offer.queue);
                    self.ringing.insert(offer.id, offer);
                }
                Action::OfferEnded { offer, end, .. } => {
                    assert_eq!(end == OfferEnd::Taken, self.taken.contains(&offer.entry), "{end:?}");
                    assert_eq!(self.ringing.remove(&offer.id), Some(offer), "the end of an offer that did not ring");
                }
                Action::Overflow { entry, .. } => assert!(self.waiting.remove(&entry).is_some(), "overflow of a ghost"),
                Action::Owing { agent } => panic!("no queue here asks {agent} for anything"),
                Action::Vanished(left) => assert!(self.waiting.remove(&left.entry).is_some(), "a ghost vanished"),
                Action::AgentChanged { agent, from, to } => {
                    assert_ne!(from, to);
                    let before = self.states.insert(agent.clone(), to.kind()).unwrap_or(StateKind::Offline);
                    assert_eq!(before, from.kind(), "changes of {agent} do not join");
                    if let AgentState::WrapUp { until, .. } = to {
                        self.wrap_ups.insert(agent, until);
                    } else {
                        self.wrap_ups.remove(&agent);
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        let now = self.now();
        // What is told and what is asked agree.
        for view in self.acd.agents(&self.hall) {
            let told = self.states.get(&view.staff_number).copied().unwrap_or(StateKind::Offline);
            assert_eq!(view.state.kind(), told, "{} was told otherwise", view.staff_number);
            if let AgentState::WrapUp { until, .. } = view.state {
                assert_eq!(self.wrap_ups.get(&view.staff_number), Some(&until), "a wrap-up was moved");
            }
        }
        // No ghosts, on either side.
        let queues = self.acd.queues(&self.hall, now);
        let waits: BTreeSet<Entry> = queues.iter().flat_map(|q| q.waiting.iter().map(|w| w.entry)).collect();
        assert_eq!(waits, self.waiting.keys().copied().collect(), "who waits");
        assert!(waits.iter().filter_map(|e| e.conversation()).all(|c| !self.hall.gone.contains(&c)));
        let rings: BTreeSet<(Entry, StaffNumber)> = queues
            .iter()
            .flat_map(|q| q.waiting.iter())
            .flat_map(|w| w.offered_to.iter().map(|agent| (w.entry, agent.clone())))
            .collect();
        assert_eq!(rings, self.ringing.values().map(|o| (o.entry, o.agent.clone())).collect(), "who is offered");
        let rung: BTreeSet<Entry> = rings.iter().map(|(entry, _)| *entry).collect();
        for q in &queues {
            let running = self.ringing.values().any(|o| o.queue == q.name);
            assert!(self.config.queues.contains_key(&q.name) || running, "a removed queue stays");
            let line: Vec<(i64, u64)> = q.waiting.iter().map(|w| self.waiting[&w.entry].order()).collect();
            assert!(line.is_sorted(), "not in the order of service");
        }
        // Every offer has an end ahead, and nothing due is left.
        assert!(self.ringing.values().all(|o| o.until > now.mono), "an offer outlives its lease");
        assert!(self.acd.deadline().is_none_or(|d| d > now.mono), "something due is left");
        // No idle fitting agent while a caller waits without an offer; and who is offered came before all who are not.
        let ready = |a: &StaffNumber| self.states.get(a) == Some(&StateKind::Ready);
        for (id, waits) in self.waiting.iter().filter(|(id, _)| !rung.contains(*id)) {
            assert!(self.config.queues.contains_key(&waits.queue), "{id:?} waits in a removed queue");
            let stands_by = |a: &&StaffNumber| ready(a) && self.works_for(a, &waits.queue) && waits.takes(a.as_str(), now.mono);
            assert_eq!(self.config.agents.keys().find(stands_by), None, "idle while {id:?} waits");
        }
        self.taken.clear();
        // Asking again changes nothing.
        let mut again = Vec::new();
        self.acd.settle(&self.hall, now, &mut again);
        assert_eq!(again, []);
    }

    fn works_for(&self, agent: &StaffNumber, queue: &QueueName) -> bool {
        let configured = || self.config.queues.get(queue).is_some_and(|q| q.agents.contains(agent));
        self.put_into.get(agent).map_or_else(configured, |put| put.contains(queue))
    }

    /// Of the offers made in one step, nobody was passed over who comes first and could have had the same agent.
    fn check_order(&self, before: &BTreeSet<OfferId>) {
        let now = self.now().mono;
        for offer in self.ringing.values().filter(|o| !before.contains(&o.id)) {
            let mine = &self.waiting[&offer.entry];
            for (id, other) in &self.waiting {
                let earlier = other.order() < mine.order();
                let fits = self.works_for(&offer.agent, &other.queue) && other.takes(offer.agent.as_str(), now);
                let rung = self.ringing.values().any(|o| o.entry == *id);
                assert!(!(earlier && fits) || rung, "{id:?} was passed over");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_stuck_doubled_or_forgotten(
        strategies in strategies(), events in prop::collection::vec(happening(), 1..120),
    ) {
        let mut h = Harness::new(strategies);
        for event in events {
            let before: BTreeSet<OfferId> = h.ringing.keys().copied().collect();
            let time = matches!(event, Happening::Time(_));
            h.happen(event);
            h.settle();
            h.check();
            if !time {
                h.check_order(&before);
            }
        }
        // Everybody goes home: in the end nothing rings, waits or runs, without anybody's help.
        for id in h.waiting.keys().copied().collect::<Vec<_>>() {
            match id {
                Entry::Caller(caller) => {
                    h.hall.gone.insert(caller);
                }
                Entry::Callback(_) => {
                    h.acd.withdraw(id, h.now());
                    h.waiting.remove(&id);
                }
            }
        }
        h.hall.talks.clear();
        h.talking.clear();
        h.hall.elsewhere.clear();
        h.hall.registered = PHONES.iter().map(|p| (*p).into()).collect();
        h.settle();
        h.happen(Happening::Time(120));
        h.settle();
        h.check();
        prop_assert!(h.ringing.is_empty() && h.waiting.is_empty() && h.acd.deadline().is_none());
        for view in h.acd.agents(&h.hall) {
            let rest = match view.wanted {
                Wanted::Ready => StateKind::Ready,
                Wanted::Paused { .. } => StateKind::Paused,
                Wanted::Offline => StateKind::Offline,
            };
            prop_assert_eq!(view.state.kind(), rest);
        }
    }
}
