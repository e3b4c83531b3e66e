//! Which agent of a queue has the next caller: one pure function a strategy.
//!
//! | strategy | who |
//! |---|---|
//! | longest idle | who has been idle for longest |
//! | fewest calls | who has had the fewest calls of queues today |
//! | least talk | who has talked least in calls of queues today |
//! | round robin | whose last turn is longest ago, in the order of the list before the first |
//! | fixed | who stands first in the queue's list |
//! | random | anybody, each as likely |
//! | weighted | anybody, in shares that are exact: of so many offers as the weights sum up to, each has its weight |
//! | progressive | who has been idle for longest, and one more after each step while nobody answers |
//! | ring all | all of them at once |
//!
//! The candidates are free, fit, and equally near to the caller (`matching`): who is not free is passed over and nothing is kept for it,
//! but a turn. What else is equal goes by the longer idle, then by staff number, so the order of the slice never matters. Turns and
//! shares are those of what was *offered*: an agent who lets a call pass has had its turn.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::Strategy;
use crate::ids::StaffNumber;

/// An agent who could have the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub staff_number: &'a StaffNumber,
    pub idle_since: Mono,
    /// Calls of queues since the site's midnight.
    pub calls_today: u32,
    /// In these, from answer to end; of those that are over.
    pub talk_today: Duration,
    /// In the queue's list, from 0.
    pub place: usize,
    /// Its share; 0 counts as 1.
    pub weight: u32,
}

/// Indices of the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// This one alone.
    One(usize),
    /// This one now, others beside it as time goes.
    Next(usize),
    All,
}

/// What a queue remembers of its picks. Starts anew with a new strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Turns so far.
    turns: u64,
    /// Which turn each had last, counted from 1.
    last: BTreeMap<StaffNumber, u64>,
    /// What each is owed, in weights: grows by its own with each pick that it could have had, falls by all of theirs with one that it
    /// has. The sum over all stays zero, and no credit grows without bound.
    credit: BTreeMap<StaffNumber, i64>,
}

impl Turn {
    /// Forgets who is no member any more.
    pub(super) fn keep(&mut self, is_member: impl Fn(&StaffNumber) -> bool) {
        self.last.retain(|agent, _| is_member(agent));
        self.credit.retain(|agent, _| is_member(agent));
    }
}

/// `None` without candidates.
pub(super) fn pick(strategy: Strategy, candidates: &[Candidate<'_>], turn: &mut Turn, chance: &mut Chance) -> Option<Pick> {
    match strategy {
        Strategy::LongestIdle => longest_idle(candidates).map(Pick::One),
        Strategy::FewestCalls => least(candidates, |c| c.calls_today).map(Pick::One),
        Strategy::LeastTalk => least(candidates, |c| c.talk_today).map(Pick::One),
        Strategy::RoundRobin => round_robin(candidates, turn).map(Pick::One),
        Strategy::Fixed => least(candidates, |c| c.place).map(Pick::One),
        Strategy::Random => random(candidates, chance).map(Pick::One),
        Strategy::Weighted => weighted(candidates, turn).map(Pick::One),
        Strategy::Progressive => longest_idle(candidates).map(Pick::Next),
        Strategy::RingAll => (!candidates.is_empty()).then_some(Pick::All),
    }
}

fn longest_idle(candidates: &[Candidate<'_>]) -> Option<usize> {
    least(candidates, |_| ())
}

/// The first by this measure, then by idle time and staff number.
fn least<M: Ord>(candidates: &[Candidate<'_>], measure: impl Fn(&Candidate<'_>) -> M) -> Option<usize> {
    let order = |c: &Candidate<'_>| (measure(c), c.idle_since);
    let all = candidates.iter().enumerate();
    all.min_by(|(_, a), (_, b)| order(a).cmp(&order(b)).then_with(|| a.staff_number.cmp(b.staff_number))).map(|(index, _)| index)
}

fn round_robin(candidates: &[Candidate<'_>], turn: &mut Turn) -> Option<usize> {
    let index = least(candidates, |c| (turn.last.get(c.staff_number).copied(), c.place))?;
    turn.turns += 1;
    turn.last.insert(candidates.get(index)?.staff_number.clone(), turn.turns);
    Some(index)
}

/// From the candidates in the order of their numbers, so that the slice's order draws nobody else.
fn random(candidates: &[Candidate<'_>], chance: &mut Chance) -> Option<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| candidates.get(*index).map(|c| c.staff_number));
    let most = u64::try_from(order.len()).ok().filter(|most| *most > 0)?;
    order.get(usize::try_from(chance.below(most)).ok()?).copied()
}

/// Smooth weighted round robin, as web servers spread requests: with weights 5, 1 and 1 the picks are a a b a c a a, and not five of
/// the one in a row. After as many picks as the weights sum up to, all credits are what they were.
fn weighted(candidates: &[Candidate<'_>], turn: &mut Turn) -> Option<usize> {
    let mut all: i64 = 0;
    for candidate in candidates {
        let weight = i64::from(candidate.weight.max(1));
        all = all.saturating_add(weight);
        let credit = turn.credit.entry(candidate.staff_number.clone()).or_insert(0);
        *credit = credit.saturating_add(weight);
    }
    let index = least(candidates, |c| Reverse(turn.credit.get(c.staff_number).copied()))?;
    let credit = turn.credit.get_mut(candidates.get(index)?.staff_number)?;
    *credit = credit.saturating_sub(all);
    Some(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::*;

    const ALL: [Strategy; 9] = [
        Strategy::LongestIdle,
        Strategy::FewestCalls,
        Strategy::LeastTalk,
        Strategy::RoundRobin,
        Strategy::RingAll,
        Strategy::Progressive,
        Strategy::Fixed,
        Strategy::Random,
        Strategy::Weighted,
    ];

    /// An agent of a test, by number.
    #[derive(Clone, Debug)]
    struct Person {
        staff_number: StaffNumber,
        idle_since: Mono,
        calls_today: u32,
        talk_today: Duration,
        place: usize,
        weight: u32,
    }

    impl Person {
        fn candidate(&self) -> Candidate<'_> {
            let Person { staff_number, idle_since, calls_today, talk_today, place, weight } = self;
            Candidate {
                staff_number,
                idle_since: *idle_since,
                calls_today: *calls_today,
                talk_today: *talk_today,
                place: *place,
                weight: *weight,
            }
        }
    }

    fn chance() -> Chance {
        Chance::seeded([7; 32])
    }

    /// Small ranges, so that ties are common. The list's order is not that of the numbers.
    fn people(least: usize) -> impl Generator<Value = Vec<Person>> {
        prop::collection::vec((0..4u64, 0..3u32, 0..3u64, 1..6u32), least..7).prop_map(|given| {
            let one = |(n, (idle, calls, talk, weight)): (usize, (u64, u32, u64, u32))| Person {
                staff_number: StaffNumber::new(format!("10{n}")),
                idle_since: Mono::from_millis(idle),
                calls_today: calls,
                talk_today: Duration::from_secs(talk),
                place: (n * 5 + 3) % 7,
                weight,
            };
            given.into_iter().enumerate().map(one).collect()
        })
    }

    fn candidates<'a>(people: impl IntoIterator<Item = &'a Person>) -> Vec<Candidate<'a>> {
        people.into_iter().map(Person::candidate).collect()
    }

    fn picked(strategy: Strategy, of: &[Candidate<'_>], turn: &mut Turn, chance: &mut Chance) -> Vec<StaffNumber> {
        let mut picked: Vec<StaffNumber> = match pick(strategy, of, turn, chance) {
            None => Vec::new(),
            Some(Pick::One(index) | Pick::Next(index)) => vec![of[index].staff_number.clone()],
            Some(Pick::All) => of.iter().map(|c| c.staff_number.clone()).collect(),
        };
        picked.sort();
        picked
    }

    #[test]
    fn without_candidates_nobody_is_picked() {
        for strategy in ALL {
            assert_eq!(pick(strategy, &[], &mut Turn::default(), &mut chance()), None);
        }
    }

    #[test]
    fn shares_are_mixed_and_not_in_rows() {
        let person = |n: usize, weight| Person {
            staff_number: StaffNumber::from(["a", "b", "c"][n]),
            idle_since: Mono::ZERO,
            calls_today: 0,
            talk_today: Duration::ZERO,
            place: n,
            weight,
        };
        let people = [person(0, 5), person(1, 1), person(2, 1)];
        let (of, mut turn) = (candidates(&people), Turn::default());
        let mut order = String::new();
        for _ in 0..7 {
            order.push_str(picked(Strategy::Weighted, &of, &mut turn, &mut chance())[0].as_str());
        }
        assert_eq!((order.as_str(), &turn.credit.values().sum::<i64>()), ("aabacaa", &0));
    }

    #[test]
    fn who_was_busy_at_its_turn_has_it_as_soon_as_it_is_free() {
        let people: Vec<Person> = (0..3)
            .map(|n| Person {
                staff_number: StaffNumber::new(n.to_string()),
                idle_since: Mono::ZERO,
                calls_today: 0,
                talk_today: Duration::ZERO,
                place: n,
                weight: 1,
            })
            .collect();
        let (mut turn, mut chance) = (Turn::default(), chance());
        let mut next = |present: &[usize]| {
            let of = candidates(present.iter().map(|n| &people[*n]));
            picked(Strategy::RoundRobin, &of, &mut turn, &mut chance)[0].to_string()
        };
        assert_eq!(
            [next(&[0, 1, 2]), next(&[0, 2]), next(&[0, 2]), next(&[0, 1, 2]), next(&[0, 1, 2])],
            ["0", "2", "0", "1", "2"]
        );
    }

    proptest! {
        #[test]
        fn picks_are_candidates_and_the_order_of_the_slice_changes_nothing(
            people in people(1), shuffle in any::<u64>(), rounds in 1..8usize,
        ) {
            for strategy in ALL {
                let straight = candidates(&people);
                let mut other = straight.clone();
                let places = other.len();
                other.rotate_left(usize::try_from(shuffle % 7).unwrap() % places);
                if shuffle & 8 != 0 { other.reverse(); }
                let (mut turns, mut chances) = ([Turn::default(), Turn::default()], [chance(), chance()]);
                for _ in 0..rounds {
                    let a = picked(strategy, &straight, &mut turns[0], &mut chances[0]);
                    let b = picked(strategy, &other, &mut turns[1], &mut chances[1]);
                    prop_assert!(!a.is_empty() && a.iter().all(|a| people.iter().any(|p| p.staff_number == *a)));
                    prop_assert_eq!(a, b, "{:?}", strategy);
                }
                prop_assert_eq!(&turns[0], &turns[1]);
            }
        }

        #[test]
        fn nobody_better_by_the_strategys_measure_is_passed_over(people in people(1)) {
            let measure = |strategy, p: &Person| match strategy {
                Strategy::LongestIdle | Strategy::Progressive => (p.idle_since.as_micros(), 0),
                Strategy::FewestCalls => (u64::from(p.calls_today), p.idle_since.as_micros()),
                Strategy::LeastTalk => (p.talk_today.as_secs(), p.idle_since.as_micros()),
                Strategy::Fixed => (p.place as u64, 0),
                Strategy::RoundRobin | Strategy::RingAll | Strategy::Random | Strategy::Weighted => (0, 0),
            };
            for strategy in ALL {
                let taken = picked(strategy, &candidates(&people), &mut Turn::default(), &mut chance());
                let of = |agent: &StaffNumber| people.iter().find(|p| p.staff_number == *agent).unwrap();
                for person in &people {
                    prop_assert!(taken.iter().all(|t| measure(strategy, of(t)) <= measure(strategy, person)), "{:?}", strategy);
                }
            }
        }

        #[test]
        fn ring_all_picks_all_and_the_others_one(people in people(1)) {
            for strategy in ALL {
                let taken = picked(strategy, &candidates(&people), &mut Turn::default(), &mut chance());
                prop_assert_eq!(taken.len(), if strategy == Strategy::RingAll { people.len() } else { 1 });
            }
        }

        /// With all free, each so many picks as there are agents visit each once, from wherever the turn stands.
        #[test]
        fn round_robin_visits_each_once_a_turn(people in people(1), before in 0..9usize) {
            let (of, mut turn, mut chance) = (candidates(&people), Turn::default(), chance());
            for _ in 0..before {
                picked(Strategy::RoundRobin, &of, &mut turn, &mut chance);
            }
            let mut round: Vec<_> = of.iter().flat_map(|_| picked(Strategy::RoundRobin, &of, &mut turn, &mut chance)).collect();
            round.sort();
            prop_assert_eq!(round, people.iter().map(|p| p.staff_number.clone()).collect::<Vec<_>>());
        }

        /// And whoever is free or not: between two turns of one agent everybody who was free at both, and between, has had one.
        #[test]
        fn round_robin_forgets_nobody(people in people(2), present in prop::collection::vec(1..64u8, 1..40)) {
            let (mut turn, mut chance) = (Turn::default(), chance());
            let mut passed: BTreeMap<StaffNumber, Vec<StaffNumber>> = BTreeMap::new();
            for bits in present {
                let is_here = |n: usize| bits & (1 << (n % 6)) != 0;
                let here: Vec<&Person> = people.iter().enumerate().filter(|(n, _)| is_here(*n)).map(|(_, p)| p).collect();
                let of = candidates(here.iter().copied());
                let Some(taken) = picked(Strategy::RoundRobin, &of, &mut turn, &mut chance).pop() else { continue };
                passed.remove(&taken);
                for person in &here {
                    if person.staff_number != taken {
                        let over = passed.entry(person.staff_number.clone()).or_default();
                        prop_assert!(!over.contains(&taken), "{} twice while {} stood by", taken, person.staff_number);
                        over.push(taken.clone());
                    }
                }
            }
        }

        #[test]
        fn weights_are_exact_shares(people in people(1), rounds in 1..4u32) {
            let (of, mut turn, mut chance) = (candidates(&people), Turn::default(), chance());
            let all: u32 = people.iter().map(|p| p.weight).sum();
            let mut had: BTreeMap<StaffNumber, u32> = BTreeMap::new();
            for _ in 0..all * rounds {
                for agent in picked(Strategy::Weighted, &of, &mut turn, &mut chance) {
                    *had.entry(agent).or_insert(0) += 1;
                }
            }
            for person in &people {
                prop_assert_eq!(had.get(&person.staff_number).copied(), Some(person.weight * rounds));
            }
            prop_assert!(turn.credit.values().all(|credit| *credit == 0));
        }

        /// Whoever comes and goes, nobody's credit or debt is more than all agents can add up.
        #[test]
        fn no_credit_grows_without_bound(people in people(2), present in prop::collection::vec(1..64u8, 1..400)) {
            let (mut turn, mut chance) = (Turn::default(), chance());
            let all: i64 = people.iter().map(|p| i64::from(p.weight)).sum();
            let most = all * i64::try_from(people.len()).unwrap();
            for bits in present {
                let here = people.iter().enumerate().filter(|(n, _)| bits & (1 << (n % 6)) != 0).map(|(_, p)| p);
                picked(Strategy::Weighted, &candidates(here), &mut turn, &mut chance);
                prop_assert_eq!(turn.credit.values().sum::<i64>(), 0);
                prop_assert!(turn.credit.values().all(|credit| credit.abs() <= most), "{:?}", turn);
            }
        }

        #[test]
        fn the_same_seed_gives_the_same_picks(people in people(1), seed in any::<[u8; 32]>()) {
            let of = candidates(&people);
            let run = || {
                let (mut turn, mut chance) = (Turn::default(), Chance::seeded(seed));
                (0..20).map(|_| picked(Strategy::Random, &of, &mut turn, &mut chance)).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(), run());
        }
    }

    #[test]
    fn random_is_fair_to_all() {
        let people: Vec<Person> = (0..4)
            .map(|n| Person {
                staff_number: StaffNumber::new(n.to_string()),
                idle_since: Mono::from_millis(n),
                calls_today: 0,
                talk_today: Duration::ZERO,
                place: 0,
                weight: 1,
            })
            .collect();
        let (of, mut turn, mut chance) = (candidates(&people), Turn::default(), chance());
        let mut had = BTreeMap::new();
        for _ in 0..4_000 {
            *had.entry(picked(Strategy::Random, &of, &mut turn, &mut chance)).or_insert(0) += 1;
        }
        // Five standard deviations of a count of 4,000 tries at a quarter.
        assert!(had.len() == 4 && had.values().all(|n: &i32| (n - 1_000).abs() < 137), "{had:?}");
    }
}
