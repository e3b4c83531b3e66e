//! How long callers are willing to wait, of which those who were answered have shown a part only.
//!
//! A [`Curve`] is the estimate of E. L. Kaplan and P. Meier ("Nonparametric estimation from incomplete observations", JASA 53, 1958):
//! whoever was answered, or went elsewhere, would have waited longer, nobody knows how much (a censored observation). It says nothing
//! beyond the longest wait that was seen; from there on callers give up at the rate at which they did all day (abandoned / total wait),
//! which is the estimate of Erlang A's patience too.
//!
//! A replay of a day draws from it the patience of those who were answered. What is drawn is longer than what they have waited already,
//! always, so a replay in which nothing was changed answers the same callers.

use std::time::Duration;

use crate::chance::Chance;

/// One caller's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    pub waited: Duration,
    pub ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The caller hung up.
    GaveUp,
    /// Answered, or sent elsewhere: the patience was longer.
    Otherwise,
}

/// The share of callers who are still willing to wait after so long.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Each wait after which somebody gave up, ascending.
    steps: Vec<Step>,
    /// The longest wait of all: the steps say nothing beyond it.
    seen: Duration,
    /// Callers who give up a second beyond that; `None` if nobody ever did.
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    at: Duration,
    /// From then on, 0 to 1.
    patient: f64,
}

impl Curve {
    /// The order of the waits does not matter. Takes the time of sorting them.
    pub fn fit(waits: impl IntoIterator<Item = Observed>) -> Curve {
        let mut waits: Vec<Observed> = waits.into_iter().collect();
        waits.sort_unstable_by_key(|w| w.waited);
        let mut steps: Vec<Step> = Vec::new();
        let (mut waiting, mut patient, mut gave_up_in_all) = (waits.len(), 1.0, 0usize);
        for together in waits.chunk_by(|a, b| a.waited == b.waited) {
            let gave_up = together.iter().filter(|w| w.ended == Ended::GaveUp).count();
            // Who was answered at the very moment at which another gave up was still waiting then.
            if let (Some(first), 1..) = (together.first(), gave_up) {
                patient *= (waiting - gave_up) as f64 / waiting as f64;
                steps.push(Step { at: first.waited, patient });
            }
            waiting -= together.len();
            gave_up_in_all += gave_up;
        }
        let total: f64 = waits.iter().map(|w| w.waited.as_secs_f64()).sum();
        let rate = match gave_up_in_all {
            0 => None,
            // Callers who all hung up at once have waited for a microsecond each.
            n => Some(n as f64 / total.max(n as f64 * 1e-6)),
        };
        Curve { steps, seen: waits.last().map_or(Duration::ZERO, |w| w.waited), rate }
    }

    /// The share of callers, 0 to 1, who are willing to wait for longer than `wait`.
    pub fn patient(&self, wait: Duration) -> f64 {
        let known = self.steps.partition_point(|step| step.at <= wait);
        let patient = known.checked_sub(1).and_then(|last| self.steps.get(last)).map_or(1.0, |step| step.patient);
        match self.rate {
            Some(rate) if wait > self.seen => patient * (-rate * (wait - self.seen).as_secs_f64()).exp(),
            Some(_) | None => patient,
        }
    }

    /// The patience of a caller who has waited for `after` already: longer than that. `None` is one who never gives up, which all are
    /// where nobody ever has.
    ///
    /// The same `seed` gives the same patience, whichever other callers there are: make it of the day's seed and the caller's id. One
    /// number is drawn, so another curve makes callers more or less patient, and does not shuffle them.
    pub fn draw(&self, after: Duration, seed: [u8; 32]) -> Option<Duration> {
        let rate = self.rate?;
        let chance = between_0_and_1(Chance::seeded(seed).next_u64());
        let left = chance * self.patient(after);
        let (from, to_go) = if after < self.seen {
            let ahead = self.steps.get(self.steps.partition_point(|step| step.at <= after)..)?;
            // The curve falls, so all before this one are above what is left.
            if let Some(step) = ahead.get(ahead.partition_point(|step| step.patient > left)) {
                return Some(step.at);
            }
            (self.seen, self.patient(self.seen) / left)
        } else {
            // At a constant rate it is all the same how long somebody has waited.
            (after, 1.0 / chance)
        };
        // Whole microseconds, as clocks have, rounded away from the wait that is over; the conversion stops at what a u64 can hold.
        let more = (to_go.ln() / rate * 1e6).ceil().max(1.0) as u64;
        Some(from.saturating_add(Duration::from_micros(more)))
    }
}

/// 52 random bits as one of the numbers halfway between neighbours of 0, 2⁻⁵², 2·2⁻⁵² … 1: never 0, never 1.
fn between_0_and_1(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gave_up(seconds: u64) -> Observed {
        Observed { waited: s(seconds), ended: Ended::GaveUp }
    }

    fn answered(seconds: u64) -> Observed {
        Observed { waited: s(seconds), ended: Ended::Otherwise }
    }

    fn seed(of: u64) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&of.to_be_bytes());
        seed
    }

    // By hand. Ten callers: at 5 s one of ten gives up (9/10); two are answered; at 10 s two of seven (5/7), one is answered then too,
    // and was waiting until then; at 30 s one of four (3/4); at 40 s one is answered; at 60 s one of two (1/2); at 90 s the last is answered.
    fn ten() -> [Observed; 10] {
        [
            answered(40),
            gave_up(10),
            answered(7),
            gave_up(60),
            gave_up(5),
            answered(10),
            gave_up(30),
            answered(8),
            gave_up(10),
            answered(90),
        ]
    }

    #[test]
    fn the_curve_of_a_small_table_is_that_by_hand() {
        let curve = Curve::fit(ten());
        let rate = 5.0 / 270.0;
        for (seconds, expected) in [
            (0, 1.0),
            (4, 1.0),
            (5, 0.9),
            (9, 0.9),
            (10, 0.9 * 5.0 / 7.0),
            (30, 0.9 * 5.0 / 7.0 * 3.0 / 4.0),
            (59, 0.9 * 5.0 / 7.0 * 3.0 / 4.0),
            (60, 0.9 * 5.0 / 7.0 * 3.0 / 4.0 / 2.0),
            (90, 0.9 * 5.0 / 7.0 * 3.0 / 4.0 / 2.0),
            (100, 0.9 * 5.0 / 7.0 * 3.0 / 4.0 / 2.0 * (-10.0f64 * rate).exp()),
        ] {
            assert!((curve.patient(s(seconds)) - expected).abs() < 1e-12, "{seconds} s: {}", curve.patient(s(seconds)));
        }
    }

    #[test]
    fn where_nobody_was_answered_it_is_the_plain_distribution() {
        let curve = Curve::fit([3, 1, 4, 2].map(gave_up));
        assert_eq!([0, 1, 2, 3, 4, 5].map(|t| curve.patient(s(t))), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]);
        // Who has waited as long as anybody, or longer, gives up in the end all the same, however long that was.
        let more = |after: u64, caller| curve.draw(s(after), seed(caller)).unwrap() - s(after);
        assert!((0..100).all(|caller| more(4, caller) == more(500, caller)));
        let mean = (0..10_000).map(|caller| more(4, caller).as_secs_f64()).sum::<f64>() / 10_000.0;
        assert!((mean - 2.5).abs() < 0.125, "four gave up in ten seconds: {mean}");
    }

    #[test]
    fn where_nobody_gave_up_nobody_ever_does() {
        for curve in [Curve::fit([]), Curve::fit([answered(5), answered(500)])] {
            assert_eq!((curve.patient(s(0)), curve.patient(s(86_400))), (1.0, 1.0));
            assert!((0..100).all(|n| curve.draw(s(n), seed(n)).is_none()));
        }
    }

    #[test]
    fn callers_who_hung_up_at_once_leave_a_curve() {
        let curve = Curve::fit([gave_up(0), gave_up(0)]);
        assert_eq!(curve.patient(s(0)), 0.0);
        for caller in 0..100 {
            let drawn = curve.draw(s(0), seed(caller)).unwrap();
            assert!(drawn > s(0) && drawn < Duration::from_millis(1), "{drawn:?}");
        }
    }

    #[test]
    fn the_same_seed_is_the_same_caller() {
        let curve = Curve::fit(ten());
        assert_eq!(curve.draw(s(8), seed(3)), curve.draw(s(8), seed(3)));
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|n| curve.draw(s(0), seed(n))).collect();
        assert!(drawn.len() > 10, "{drawn:?}");
    }

    /// As many give up between two waits as the curve says, of those who have waited for the first.
    #[test]
    fn what_is_drawn_follows_the_curve() {
        let curve = Curve::fit(ten());
        const CALLERS: u64 = 20_000;
        for after in [0, 7, 10, 59, 60, 120] {
            let drawn: Vec<Duration> = (0..CALLERS).map(|n| curve.draw(s(after), seed(n)).unwrap()).collect();
            for later in [9, 10, 29, 30, 60, 89, 95, 150, 300].into_iter().filter(|t| *t > after) {
                let share = drawn.iter().filter(|d| **d > s(later)).count() as f64 / CALLERS as f64;
                let expected = curve.patient(s(later)) / curve.patient(s(after));
                // Five standard deviations of a share at most.
                assert!(
                    (share - expected).abs() < 2.5 / (CALLERS as f64).sqrt(),
                    "{after} to {later} s: {share}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn exponential_patience_is_found_again() {
        // Patience with a mean of 120 s, answers after up to 60 s: most are never seen to give up.
        let callers: Vec<Observed> = (0..50_000)
            .map(|n| {
                let mut chance = Chance::seeded(seed(n));
                let patience = -120.0 * between_0_and_1(chance.next_u64()).ln();
                let wait = 60.0 * between_0_and_1(chance.next_u64());
                let ended = if patience < wait { Ended::GaveUp } else { Ended::Otherwise };
                Observed { waited: Duration::from_secs_f64(patience.min(wait)), ended }
            })
            .collect();
        let curve = Curve::fit(callers);
        for t in [5, 15, 30, 45, 90, 240] {
            let expected = (-(t as f64) / 120.0).exp();
            assert!((curve.patient(s(t)) - expected).abs() < 0.02, "{t} s: {}, not {expected}", curve.patient(s(t)));
        }
    }

    fn waits() -> impl Strategy<Value = Vec<Observed>> {
        let one = (0..120_000_000u64, any::<bool>(), any::<bool>()).prop_map(|(us, coarse, gave_up)| Observed {
            // Many of the same length, too.
            waited: Duration::from_micros(if coarse { us / 10_000_000 * 10_000_000 } else { us }),
            ended: if gave_up { Ended::GaveUp } else { Ended::Otherwise },
        });
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn what_is_drawn_is_longer_than_what_was_waited(waits in waits(), after in 0..200_000_000u64, of in any::<u64>()) {
            let curve = Curve::fit(waits.iter().copied());
            let gave_up = waits.iter().any(|w| w.ended == Ended::GaveUp);
            // Also after each wait that was seen, to the microsecond: that is when a replay asks.
            let asked = waits.iter().map(|w| w.waited).chain([Duration::from_micros(after), Duration::MAX - s(1)]);
            for after in asked {
                let drawn = curve.draw(after, seed(of));
                prop_assert_eq!(drawn.is_some(), gave_up);
                prop_assert!(drawn.is_none_or(|d| d > after), "{:?} {:?}", after, drawn);
            }
        }

        #[test]
        fn the_curve_falls_from_one_and_forgets_the_order(mut waits in waits(), of in any::<u64>()) {
            let curve = Curve::fit(waits.iter().copied());
            let shares: Vec<f64> = (0..300).map(|t| curve.patient(s(t))).collect();
            prop_assert!(shares.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
            let count = waits.len().max(1);
            waits.rotate_left((of >> 32) as usize % count);
            waits.reverse();
            prop_assert_eq!(Curve::fit(waits).steps, curve.steps);
        }

        #[test]
        fn patience_drawn_anew_after_part_of_it_comes_from_the_same_steps(waits in waits(), of in any::<u64>()) {
            let curve = Curve::fit(waits.iter().copied());
            let Some(drawn) = curve.draw(s(0), seed(of)) else { return Ok(()) };
            let seen = curve.steps.iter().any(|step| step.at == drawn);
            prop_assert!(seen || drawn > curve.seen, "{drawn:?}");
        }
    }
}
