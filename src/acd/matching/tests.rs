use std::collections::BTreeSet;

use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy as Generator};

use super::super::skills::tests::{levels, some_wants};
use super::super::skills::{Pin, Relax};
use super::*;
use crate::ids::Skill;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NOW: Mono = Mono::from_millis(600_000);

/// Who waits, owned.
#[derive(Clone, Debug)]
struct Waiter {
    queue: QueueName,
    ticket: Ticket,
    wants: Wants,
    waited: Duration,
    ring: Option<Ring>,
}

#[derive(Clone, Debug)]
struct Person {
    staff_number: StaffNumber,
    skills: Levels,
    phones: Vec<Number>,
    idle_since: Mono,
}

#[derive(Clone, Debug)]
struct Line {
    strategy: Strategy,
    members: BTreeMap<StaffNumber, Member>,
    turn: Turn,
}

#[derive(Clone, Debug)]
struct Hall {
    queues: BTreeMap<QueueName, Line>,
    people: Vec<Person>,
    line: Vec<Waiter>,
}

impl Hall {
    /// Agents "1", "2" … in one queue "q", each at a phone of its own, idle in the order of their numbers.
    fn of(agents: u64, strategy: Strategy) -> Hall {
        let mut hall = Hall { queues: BTreeMap::new(), people: Vec::new(), line: Vec::new() };
        for n in 1..=agents {
            hall.people.push(Person {
                staff_number: n.to_string().as_str().into(),
                skills: Levels::new(),
                phones: vec![(200 + n).to_string().as_str().into()],
                idle_since: Mono::from_millis(n),
            });
        }
        hall.queue("q", strategy, &hall.people.iter().map(|p| (p.staff_number.clone(), 1)).collect::<Vec<_>>());
        hall
    }

    fn queue(&mut self, name: &str, strategy: Strategy, ranks: &[(StaffNumber, u8)]) {
        let member =
            |(place, (agent, rank)): (usize, &(StaffNumber, u8))| (agent.clone(), Member { place, rank: *rank, weight: 1 });
        let members = ranks.iter().enumerate().map(member).collect();
        self.queues.insert(name.into(), Line { strategy, members, turn: Turn::default() });
    }

    /// Who came `ago` seconds ago; its number is its place in the order of coming in.
    fn waits(&mut self, queue: &str, ago: u64, wants: Wants) -> u64 {
        let nth = self.line.len() as u64;
        let ticket = Ticket { arrived: Arrival::from(NOW).ahead_by(s(1), ago as i64), nth };
        self.line.push(Waiter { queue: queue.into(), ticket, wants, waited: s(ago), ring: None });
        nth
    }

    fn run(&mut self) -> Vec<(u64, String)> {
        self.pairs(false).into_iter().map(|(n, agent)| (n, agent.to_string())).collect()
    }

    /// Of entry and agent; with all slices turned round where `turned`, which is to change nothing.
    fn pairs(&mut self, turned: bool) -> Vec<(u64, StaffNumber)> {
        let Hall { queues, people, line } = self;
        let mut services: BTreeMap<&QueueName, Service<'_>> = queues
            .iter_mut()
            .map(|(name, q)| (name, Service { strategy: q.strategy, ring_step: s(5), members: &q.members, turn: &mut q.turn }))
            .collect();
        let mut seekers: Vec<Seeker<'_>> = line
            .iter()
            .map(|w| Seeker { queue: &w.queue, ticket: w.ticket, wants: &w.wants, waited: w.waited, ring: w.ring })
            .collect();
        let mut free: Vec<Free<'_>> = people
            .iter()
            .map(|p| Free {
                staff_number: &p.staff_number,
                skills: &p.skills,
                phones: &p.phones,
                idle_since: p.idle_since,
                calls_today: 0,
                talk_today: Duration::ZERO,
            })
            .collect();
        if turned {
            seekers.reverse();
            free.reverse();
        }
        let pairs = matched(&seekers, free, &mut services, &mut Chance::seeded([3; 32]), NOW);
        pairs.into_iter().map(|pair| (pair.ticket.nth, pair.agent)).collect()
    }

    fn waiter(&self, nth: u64) -> &Waiter {
        self.line.iter().find(|w| w.ticket.nth == nth).unwrap()
    }

    fn person(&self, agent: &StaffNumber) -> &Person {
        self.people.iter().find(|p| p.staff_number == *agent).unwrap()
    }

    /// The formula, written once more: µs, and `None` if they do not fit.
    fn key(&self, w: &Waiter, agent: &StaffNumber) -> Option<i64> {
        let member = self.queues[&w.queue].members.get(agent)?;
        let has = &self.person(agent).skills;
        if !w.wants.are_met_by(agent, has, w.waited, NOW) {
            return None;
        }
        let (step, prefer) = (60_000_000, 15_000_000);
        let worth = i64::from(w.wants.priority) * step + i64::from(w.wants.preferred_of(has)) * prefer;
        Some(w.ticket.arrived.as_micros() - worth + (i64::from(member.rank) - 1) * step)
    }
}

fn prioritised(priority: i8) -> Wants {
    Wants { priority, ..Wants::default() }
}

#[test]
fn the_first_who_came_has_the_agent_who_is_idle_for_longest() {
    let mut hall = Hall::of(2, Strategy::LongestIdle);
    for ago in [5, 30, 20] {
        hall.waits("q", ago, Wants::default());
    }
    assert_eq!(hall.run(), [(1, "1".to_owned()), (2, "2".to_owned())]);
}

#[test]
fn a_step_of_priority_is_worth_a_minute_and_no_more() {
    for (priority, ago, first) in [(0, 59, 0), (1, 59, 1), (1, 61, 0), (2, 61, 1), (-1, 0, 0)] {
        let mut hall = Hall::of(1, Strategy::LongestIdle);
        hall.waits("q", ago, Wants::default());
        hall.waits("q", 0, prioritised(priority));
        assert_eq!(hall.run(), [(first, "1".to_owned())], "priority {priority}, {ago} s later");
    }
}

#[test]
fn a_second_queue_of_an_agent_waits_a_minute_longer() {
    for (ago, first) in [(59, 1), (61, 0)] {
        let mut hall = Hall::of(1, Strategy::LongestIdle);
        hall.queue("second", Strategy::LongestIdle, &[("1".into(), 2)]);
        hall.waits("second", ago, Wants::default());
        hall.waits("q", 0, Wants::default());
        assert_eq!(hall.run(), [(first, "1".to_owned())], "{ago} s later");
    }
}

#[test]
fn a_preferred_skill_finds_its_agent_and_none_that_is_missing_delays() {
    let mut hall = Hall::of(2, Strategy::LongestIdle);
    hall.people[1].skills = levels(&[("vip", 1)]);
    hall.waits("q", 1, Wants { preferred: levels(&[("vip", 1)]), ..Wants::default() });
    assert_eq!(hall.run(), [(0, "2".to_owned())], "though 1 is idle for longer");
    hall.people[1].skills.clear();
    assert_eq!(hall.run(), [(0, "1".to_owned())]);
}

#[test]
fn a_required_skill_that_nobody_free_has_holds_nobody_else_up() {
    let mut hall = Hall::of(1, Strategy::LongestIdle);
    let relax = vec![Relax { after: s(90), skills: Levels::new() }];
    hall.waits("q", 80, Wants { required: levels(&[("de", 1)]), relax, ..Wants::default() });
    hall.waits("q", 5, Wants::default());
    assert_eq!(hall.run(), [(1, "1".to_owned())]);
    hall.line[0].waited = s(90);
    assert_eq!(hall.run(), [(0, "1".to_owned())], "relaxed, and first again by its arrival");
}

#[test]
fn who_is_pinned_goes_to_that_agent_alone_for_as_long_as_the_pin_holds() {
    let mut hall = Hall::of(2, Strategy::LongestIdle);
    hall.waits("q", 5, Wants { pinned: Some(Pin { agent: "2".into(), until: NOW + s(1) }), ..Wants::default() });
    assert_eq!(hall.run(), [(0, "2".to_owned())]);
    hall.line[0].wants.pinned = Some(Pin { agent: "2".into(), until: NOW });
    assert_eq!(hall.run(), [(0, "1".to_owned())]);
}

#[test]
fn two_agents_at_one_phone_have_one_call() {
    for strategy in [Strategy::LongestIdle, Strategy::RingAll] {
        let mut hall = Hall::of(2, strategy);
        hall.people[1].phones = hall.people[0].phones.clone();
        hall.waits("q", 5, Wants::default());
        hall.waits("q", 4, Wants::default());
        assert_eq!(hall.run(), [(0, "1".to_owned())]);
    }
}

#[test]
fn a_ring_all_rings_everybody_whom_no_other_waits_for() {
    let mut hall = Hall::of(3, Strategy::RingAll);
    hall.queue("other", Strategy::LongestIdle, &[("3".into(), 1)]);
    hall.queue("q", Strategy::RingAll, &[("1".into(), 1), ("2".into(), 2), ("3".into(), 3)]);
    hall.waits("q", 100, Wants::default());
    hall.waits("other", 1, Wants::default());
    assert_eq!(hall.run(), [(0, "1".to_owned()), (1, "3".to_owned()), (0, "2".to_owned())]);
}

#[test]
fn who_becomes_free_joins_a_ring_all_unless_somebody_waits_alone() {
    let mut hall = Hall::of(1, Strategy::RingAll);
    hall.waits("q", 100, Wants::default());
    hall.line[0].ring = Some(Ring { since: NOW - s(3), offers: 4 });
    assert_eq!(hall.run(), [(0, "1".to_owned())]);
    hall.waits("q", 1, Wants::default());
    assert_eq!(hall.run(), [(1, "1".to_owned())]);
}

#[test]
fn a_progressive_ring_grows_by_one_a_step() {
    let mut hall = Hall::of(4, Strategy::Progressive);
    hall.waits("q", 20, Wants::default());
    assert_eq!(hall.run(), [(0, "1".to_owned())]);
    for (since, offers, more) in [(4, 1, 0), (5, 1, 1), (9, 2, 0), (10, 2, 1), (14, 1, 2), (60, 3, 4)] {
        let ring = Ring { since: NOW - s(since), offers };
        hall.line[0].ring = Some(ring);
        assert_eq!(hall.run().len(), more, "after {since} s with {offers}");
        let next = ring.next_step(s(5), NOW);
        assert!(next > NOW && next <= NOW + s(5) && next.since(ring.since).as_secs().is_multiple_of(5));
    }
    let never = Ring { since: NOW, offers: 1 };
    assert_eq!((never.due(Duration::ZERO, NOW), never.due(s(1), Mono::ZERO)), (u32::MAX, 1));
}

#[test]
fn an_entry_of_no_queue_is_left_alone() {
    let mut hall = Hall::of(1, Strategy::LongestIdle);
    hall.waits("gone", 20, Wants::default());
    hall.line.push(Waiter { ring: Some(Ring { since: NOW, offers: 1 }), ..hall.line[0].clone() });
    hall.line[1].ticket.nth = 1;
    assert_eq!(hall.run(), []);
}

fn strategies() -> impl Generator<Value = Strategy> {
    prop_oneof![
        1 => Just(Strategy::LongestIdle),
        1 => Just(Strategy::RoundRobin),
        1 => Just(Strategy::Random),
        1 => Just(Strategy::Weighted),
        2 => Just(Strategy::RingAll),
        2 => Just(Strategy::Progressive),
    ]
}

const QUEUES: [&str; 3] = ["a", "b", "c"];

fn halls() -> impl Generator<Value = Hall> {
    let skills = prop::collection::btree_map((0..3usize).prop_map(|n| Skill::from(["de", "uk", "vip"][n])), 1..6u8, 0..4);
    // Six agents at five phones.
    let person = (skills, 0..5u64, 0..4u64);
    let people = prop::collection::vec(person, 0..7).prop_map(|given| {
        let one = |(n, (skills, phone, idle)): (usize, (Levels, u64, u64))| Person {
            staff_number: StaffNumber::new(n.to_string()),
            skills,
            phones: vec![(200 + phone).to_string().as_str().into()],
            idle_since: Mono::from_millis(idle),
        };
        given.into_iter().enumerate().map(one).collect::<Vec<_>>()
    });
    let member = (0..6usize, 1..4u8, 1..3u32);
    let queue = (strategies(), prop::collection::vec(member, 0..7));
    // Plain wants are common, so that many fit.
    let wants = prop_oneof![some_wants(), (-2..3i8).prop_map(prioritised), Just(Wants::default())];
    let pin = prop::option::weighted(0.1, (0..6usize, 599..602u64));
    let ring = prop::option::weighted(0.3, (0..20u64, 1..4u32));
    let waiter = (0..3usize, 0..300u64, wants, pin, ring);
    (people, prop::collection::vec(queue, 3), prop::collection::vec(waiter, 0..9)).prop_map(|(people, queues, line)| {
        let mut hall = Hall { queues: BTreeMap::new(), people, line: Vec::new() };
        for (name, (strategy, members)) in QUEUES.iter().zip(queues) {
            let member = |(place, (n, rank, weight)): (usize, (usize, u8, u32))| {
                (StaffNumber::new(n.to_string()), Member { place, rank, weight })
            };
            let members = members.into_iter().enumerate().map(member).collect();
            hall.queues.insert((*name).into(), Line { strategy, members, turn: Turn::default() });
        }
        for (queue, ago, mut wants, pin, ring) in line {
            wants.pinned =
                pin.map(|(n, until)| Pin { agent: StaffNumber::new(n.to_string()), until: Mono::from_millis(until * 1_000) });
            let nth = hall.waits(QUEUES[queue], ago, wants);
            let ring = ring.map(|(since, offers)| Ring { since: NOW - s(since), offers });
            hall.line[usize::try_from(nth).unwrap()].ring = ring;
        }
        hall
    })
}

proptest! {
    #[test]
    fn every_pair_fits_and_nobody_has_two(hall in halls()) {
        let pairs = hall.clone().pairs(false);
        let agents: BTreeSet<&StaffNumber> = pairs.iter().map(|(_, agent)| agent).collect();
        let phones: BTreeSet<&Number> = pairs.iter().flat_map(|(_, agent)| &hall.person(agent).phones).collect();
        prop_assert!(agents.len() == pairs.len() && phones.len() == pairs.len(), "{:?}", pairs);
        for (nth, agent) in &pairs {
            let waiter = hall.waiter(*nth);
            prop_assert!(hall.key(waiter, agent).is_some(), "{} at {}", nth, agent);
            let alone = !matches!(hall.queues[&waiter.queue].strategy, Strategy::RingAll | Strategy::Progressive);
            let many = pairs.iter().filter(|(other, _)| other == nth).count();
            prop_assert!(!alone || (many == 1 && waiter.ring.is_none()), "{} rings {}", nth, many);
        }
    }

    #[test]
    fn no_free_agent_who_fits_stands_by(hall in halls()) {
        let pairs = hall.clone().pairs(false);
        let rung = |phones: &[Number]| pairs.iter().any(|(_, a)| hall.person(a).phones.iter().any(|p| phones.contains(p)));
        for waiter in &hall.line {
            let strategy = hall.queues[&waiter.queue].strategy;
            let rings = waiter.ring.is_some() || pairs.iter().any(|(nth, _)| *nth == waiter.ticket.nth);
            if rings && strategy != Strategy::RingAll {
                continue;
            }
            for person in hall.people.iter().filter(|p| !rung(&p.phones)) {
                prop_assert_eq!(hall.key(waiter, &person.staff_number), None, "{} idle, {} alone", person.staff_number, waiter.ticket.nth);
            }
        }
    }

    /// An agent goes to the smallest key of all who wait alone; beside others only where nobody is left alone that it fits.
    #[test]
    fn nobody_is_passed_over(hall in halls()) {
        let pairs = hall.clone().pairs(false);
        let mut served: BTreeMap<u64, i64> = BTreeMap::new();
        for (nth, agent) in &pairs {
            let waiter = hall.waiter(*nth);
            let key = hall.key(waiter, agent).unwrap();
            let first = *served.entry(*nth).or_insert(key);
            let joins = waiter.ring.is_some() || key != first;
            for other in &hall.line {
                let Some(theirs) = hall.key(other, agent) else { continue };
                let alone = other.ring.is_none() && !served.contains_key(&other.ticket.nth);
                prop_assert!(!(alone && joins), "{} rings on at {}, {} waits", nth, agent, other.ticket.nth);
                prop_assert!(!alone || (key, *nth) < (theirs, other.ticket.nth), "{} before {}", nth, other.ticket.nth);
            }
        }
    }

    /// In time: who is served at an agent and came later than another whom it fits came later by no more than what it is worth more.
    #[test]
    fn overtaking_is_bounded_by_what_the_difference_is_worth(hall in halls()) {
        let pairs = hall.clone().pairs(false);
        let rank = |w: &Waiter, agent: &StaffNumber| i64::from(hall.queues[&w.queue].members[agent].rank);
        for (at, (nth, agent)) in pairs.iter().enumerate() {
            let waiter = hall.waiter(*nth);
            let alone = |w: &Waiter| w.ring.is_none() && pairs[..=at].iter().all(|(n, _)| *n != w.ticket.nth);
            for other in hall.line.iter().filter(|other| alone(other) && hall.key(other, agent).is_some()) {
                let later = waiter.ticket.arrived.as_micros() - other.ticket.arrived.as_micros();
                let priority = i64::from(waiter.wants.priority) - i64::from(other.wants.priority);
                let has = &hall.person(agent).skills;
                let preferred = i64::from(waiter.wants.preferred_of(has)) - i64::from(other.wants.preferred_of(has));
                let worth = priority * 60 + (rank(other, agent) - rank(waiter, agent)) * 60 + preferred * 15;
                prop_assert!(later <= worth * 1_000_000, "{} came {} µs later, and is worth {} s", nth, later, worth);
            }
        }
    }

    #[test]
    fn the_order_in_which_it_is_asked_changes_nothing(hall in halls()) {
        let (mut one, mut two) = (hall.clone(), hall);
        prop_assert_eq!(one.pairs(false), two.pairs(true));
        prop_assert_eq!(one.queues["a"].turn.clone(), two.queues["a"].turn.clone());
    }

    #[test]
    fn a_progressive_ring_has_no_more_phones_than_steps(hall in halls()) {
        let pairs = hall.clone().pairs(false);
        for waiter in hall.line.iter().filter(|w| hall.queues[&w.queue].strategy == Strategy::Progressive) {
            let more = pairs.iter().filter(|(nth, _)| *nth == waiter.ticket.nth).count();
            let steps = waiter.ring.map_or(1, |ring| NOW.since(ring.since).as_secs() / 5 + 1);
            let before = waiter.ring.map_or(0, |ring| u64::from(ring.offers));
            prop_assert!(more as u64 <= steps.saturating_sub(before));
        }
    }
}
