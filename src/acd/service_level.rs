//! The figures of a queue's day.
//!
//! A [`Tally`] counts how callers left the queue, in whole milliseconds as their events tell of it, so that it and what is folded from the
//! event log ([`report`](crate::report)) cannot differ.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::ids::QueueName;
use crate::report::{Formula, Waits};

/// How the callers of one queue fared since `day` began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The site's calendar day, `2026-11-22`; `None` before anything was counted.
    pub day: Option<jiff::civil::Date>,
    /// Callers who came.
    pub entered: u64,
    pub answered: u64,
    pub answered_in_time: u64,
    /// Callers who hung up while they waited.
    pub abandoned: u64,
    pub abandoned_in_time: u64,
    pub abandoned_short: u64,
    /// Callers who went elsewhere: overflow, transfer, removed queue.
    pub moved: u64,
    /// Sum of the waits of the answered.
    pub answered_wait: Duration,
}

/// A caller's stay in a queue that is over, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStay {
    pub queue: QueueName,
    pub ended: Wall,
    pub how: PastEnd,
    pub waited: Duration,
    /// Of it, before it came back from an agent.
    pub before: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastEnd {
    Answered,
    Abandoned,
    Moved,
}

impl Tally {
    /// One that an earlier process counted, by the thresholds of now.
    pub fn count_past(&mut self, past: &PastStay, threshold: Duration, short: Duration) {
        self.count_entered();
        match past.how {
            PastEnd::Answered => self.count_answered(past.waited, past.before, threshold),
            PastEnd::Abandoned => self.count_abandoned(past.waited, threshold, short),
            PastEnd::Moved => self.count_moved(),
        }
    }

    /// Starts anew when the day is another. `None` (no calendar) keeps counting.
    pub fn turn_to(&mut self, today: Option<jiff::civil::Date>) {
        if today.is_some() && self.day != today {
            *self = Tally { day: today, ..Tally::default() };
        }
    }

    pub fn count_entered(&mut self) {
        self.entered += 1;
    }

    /// One who has come back waited `before` of it until an earlier answer, which has counted it: in the sum each second stands once.
    pub fn count_answered(&mut self, wait: Duration, before: Duration, threshold: Duration) {
        self.answered += 1;
        self.answered_wait = self.answered_wait.saturating_add(wait.saturating_sub(before));
        if is_within(wait, threshold) {
            self.answered_in_time += 1;
        }
    }

    pub fn count_abandoned(&mut self, wait: Duration, threshold: Duration, short: Duration) {
        self.abandoned += 1;
        if is_within(wait, threshold) {
            self.abandoned_in_time += 1;
        }
        if is_within(wait, short) {
            self.abandoned_short += 1;
        }
    }

    pub fn count_moved(&mut self) {
        self.moved += 1;
    }

    /// 0.0..=1.0; `None` while there is nothing to divide by.
    pub fn service_level(&self, formula: Formula) -> Option<f64> {
        formula.of(Waits {
            answered: self.answered,
            answered_in_time: self.answered_in_time,
            abandoned: self.abandoned,
            abandoned_in_time: self.abandoned_in_time,
            abandoned_short: self.abandoned_short,
        })
    }

    /// Average speed of answer: total wait of the answered / answered.
    pub fn average_wait(&self) -> Option<Duration> {
        let answered = u32::try_from(self.answered).ok().filter(|n| *n > 0)?;
        Some(self.answered_wait / answered)
    }
}

/// By the milliseconds that an event tells.
fn is_within(wait: Duration, threshold: Duration) -> bool {
    wait.as_millis() <= threshold.as_millis()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wait_of_exactly_the_threshold_is_in_time() {
        let s = Duration::from_secs;
        let mut tally = Tally::default();
        tally.count_answered(s(20), s(0), s(20));
        tally.count_answered(s(20) + Duration::from_millis(1), s(0), s(20));
        tally.count_abandoned(s(5), s(20), s(5));
        assert_eq!((tally.answered_in_time, tally.abandoned_in_time, tally.abandoned_short), (1, 1, 1));
        assert_eq!(tally.average_wait(), Some(Duration::from_micros(20_000_500)));
    }

    #[test]
    fn an_empty_queue_has_no_service_level() {
        assert!(Formula::ALL.iter().all(|f| Tally::default().service_level(*f).is_none()));
        assert_eq!(Tally::default().average_wait(), None);
    }
    /// A caller's wait in ms, and whether it ended with an answer.
    fn callers() -> impl Strategy<Value = Vec<(u64, bool)>> {
        prop::collection::vec((0..60_000u64, any::<bool>()), 1..200)
    }

    proptest! {
        #[test]
        fn every_formula_gives_a_share_and_the_default_is_the_strictest(callers in callers(), t in 0..40_000u64, short in 0..40_000u64) {
            let ms = Duration::from_millis;
            // Short is no longer than T.
            let (threshold, short) = (ms(t), ms(short.min(t)));
            let mut tally = Tally::default();
            for (wait, answered) in &callers {
                tally.count_entered();
                match answered {
                    true => tally.count_answered(ms(*wait), ms(0), threshold),
                    false => tally.count_abandoned(ms(*wait), threshold, short),
                }
            }
            prop_assert_eq!(tally.answered + tally.abandoned, tally.entered);
            let levels: Vec<Option<f64>> = Formula::ALL.iter().map(|f| tally.service_level(*f)).collect();
            prop_assert!(levels.iter().flatten().all(|level| (0.0..=1.0).contains(level)), "{:?}", levels);
            let [f1, f2, Some(f3), f4, f5] = levels[..] else { panic!("somebody came: {levels:?}") };
            for other in [f1, f2, f4, f5].into_iter().flatten() {
                prop_assert!(other >= f3, "{:?}", levels);
            }
            prop_assert!(f1 >= f5, "short abandons are among those within T: {:?}", levels);
        }
    }
}
