//! How long a waiting caller has still to wait, from what was measured.
//!
//! While somebody waited in a queue during the last [`WINDOW`], callers left its head at some pace: the place in the line, divided by that
//! pace, is the wait. A queue that nobody has left lately has only its agents to go by: the place in the line, times the mean handling
//! time, divided by those who work. Without either nothing is said.
//!
//! What a caller is told is in whole minutes, rounded up, and goes down no faster than the clock: who was told ten minutes is not told
//! four a minute later, for the queue may slow down again.

use std::time::Duration;

use crate::clock::Mono;

/// What is measured is what happened so long ago at most. Long enough for some calls to end, short enough to follow the day; by feel.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// The window moves by this much at once.
const SLICE: Duration = Duration::from_secs(15);
const SLICES: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// How fast a queue's line moves, over the last [`WINDOW`]. Its size does not grow.
#[derive(Clone, Debug)]
pub struct Pace {
    slices: [Slice; SLICES],
    /// Up to where it is measured.
    at: Mono,
    somebody_waits: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Counted from the clock's zero; of another number, it is of an earlier round and counts for nothing.
    number: u64,
    departures: u32,
    /// In which somebody waited.
    waited: Duration,
}

impl Pace {
    /// Of a queue in which nobody waits.
    pub fn new(now: Mono) -> Self {
        Pace { slices: [Slice::default(); SLICES], at: now, somebody_waits: false }
    }

    /// To be told whenever the line becomes empty, or ceases to be.
    pub fn waits(&mut self, somebody: bool, now: Mono) {
        self.measure(now);
        self.somebody_waits = somebody;
    }

    /// Somebody left the line who had stood in it: answered, given up or sent on. Whoever stood behind is nearer by one.
    pub fn departed(&mut self, now: Mono) {
        self.measure(now);
        let slice = self.slice(number(now));
        slice.departures = slice.departures.saturating_add(1);
    }

    /// Departures, and the time in which somebody waited.
    fn measured(&self, now: Mono) -> (u32, Duration) {
        let mut upto = self.clone();
        upto.measure(now);
        let newest = number(now);
        let lately = upto.slices.iter().filter(|slice| slice.number <= newest && newest - slice.number < SLICES as u64);
        lately.fold((0, Duration::ZERO), |(departures, waited), slice| {
            (slice.departures.saturating_add(departures), waited + slice.waited)
        })
    }

    fn measure(&mut self, now: Mono) {
        if self.somebody_waits {
            // What is older than the window counts for nothing.
            let mut from = self.at.max(now - WINDOW);
            while from < now {
                let end = now.min(start(number(from) + 1));
                self.slice(number(from)).waited += end.since(from);
                from = end;
            }
        }
        self.at = self.at.max(now);
    }

    fn slice(&mut self, number: u64) -> &mut Slice {
        let index = usize::try_from(number % SLICES as u64).unwrap_or(0);
        // The remainder is a place in the array.
        let slice = &mut self.slices[index % SLICES];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice
    }
}

fn number(at: Mono) -> u64 {
    at.as_micros() / SLICE_MICROS
}

fn start(number: u64) -> Mono {
    Mono::from_micros(number.saturating_mul(SLICE_MICROS))
}

const SLICE_MICROS: u64 = SLICE.as_secs() * 1_000_000;

/// Who works for a queue, for when nobody has left it lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staff {
    /// Agents who fit and are free or talk.
    pub working: u32,
    /// Mean of talk, hold and wrap-up of a call; `None` where none is over yet.
    pub handling: Option<Duration>,
}

/// The wait still to come of who stands at `position` (1 is the next), or `None` where nothing tells it.
pub fn expected_wait(position: u32, pace: &Pace, staff: Staff, now: Mono) -> Option<Duration> {
    let (departures, waited) = pace.measured(now);
    if departures > 0 && waited > Duration::ZERO {
        return Some(waited.saturating_mul(position) / departures);
    }
    let handling = staff.handling?.saturating_mul(position);
    handling.checked_div(staff.working)
}

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    pub minutes: u32,
    pub at: Mono,
}

impl Said {
    /// What to tell now: rounded up, one minute at least, and no less than what was told before without the time that has gone since.
    pub fn of(expected: Duration, before: Option<Said>, now: Mono) -> Said {
        let left = before.map_or(Duration::ZERO, |said| MINUTE.saturating_mul(said.minutes).saturating_sub(now.since(said.at)));
        let minutes = expected.max(left).as_nanos().div_ceil(MINUTE.as_nanos()).max(1);
        Said { minutes: u32::try_from(minutes).unwrap_or(u32::MAX), at: now }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOBODY: Staff = Staff { working: 0, handling: None };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_place_divided_by_the_pace_is_the_wait() {
        let mut pace = Pace::new(at(0));
        pace.waits(true, at(100));
        for n in 1..=6 {
            pace.departed(at(100 + n * 20));
        }
        // Six in 120 s in which somebody waited; the quiet ones before and after say nothing.
        pace.waits(false, at(220));
        assert_eq!(expected_wait(3, &pace, NOBODY, at(400)), Some(s(60)));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut pace = Pace::new(at(0));
        pace.waits(true, at(30));
        pace.departed(at(40));
        assert_eq!(expected_wait(1, &pace, NOBODY, at(60)), Some(s(30)));
        assert!(expected_wait(1, &pace, NOBODY, at(60 + 15 * 60)).is_none(), "somebody waits still, and nobody has left lately");
        pace.departed(at(5_000));
        let wait = expected_wait(1, &pace, NOBODY, at(5_000)).unwrap();
        assert!(wait <= WINDOW && wait > WINDOW - s(15), "{wait:?}");
    }

    #[test]
    fn without_departures_the_agents_are_what_there_is_to_go_by() {
        let pace = Pace::new(at(0));
        let staff = Staff { working: 4, handling: Some(s(240)) };
        assert_eq!(expected_wait(6, &pace, staff, at(10)), Some(s(360)));
        assert_eq!(expected_wait(6, &pace, Staff { working: 0, ..staff }, at(10)), None);
        assert_eq!(expected_wait(6, &pace, Staff { handling: None, ..staff }, at(10)), None);
    }

    #[test]
    fn minutes_are_rounded_up_and_never_less_than_promised_before() {
        let first = Said::of(s(541), None, at(0));
        assert_eq!(first.minutes, 10);
        assert_eq!(Said::of(s(200), Some(first), at(60)).minutes, 9);
        assert_eq!(Said::of(s(200), Some(first), at(61)).minutes, 9, "8:59 are left of it");
        assert_eq!(Said::of(s(900), Some(first), at(60)).minutes, 15, "more is said as it is");
        assert_eq!(Said::of(s(0), Some(first), at(3_600)).minutes, 1);
    }

    proptest! {
        #[test]
        fn waits_grow_with_the_place(
            events in prop::collection::vec((0..90u64, 0..3u8), 0..60), ask in 0..2_000u64, place in 1..50u32, working in 0..9u32,
        ) {
            let mut pace = Pace::new(at(0));
            let mut second = 0;
            for (after, what) in events {
                second += after;
                match what {
                    0 => pace.waits(true, at(second)),
                    1 => pace.waits(false, at(second)),
                    _ => pace.departed(at(second)),
                }
            }
            let now = at(second + ask);
            let (_, waited) = pace.measured(now);
            prop_assert!(waited <= WINDOW, "{:?}", waited);
            let staff = Staff { working, handling: Some(s(100)) };
            let (near, far) = (expected_wait(place, &pace, staff, now), expected_wait(place + 1, &pace, staff, now));
            prop_assert_eq!(near.is_some(), far.is_some());
            prop_assert!(near <= far);
        }

        /// Whatever the estimates do: what is told, less the time gone, never falls short of what was told before.
        #[test]
        fn no_promise_is_taken_back(estimates in prop::collection::vec((0..4_000u64, 0..200u64), 1..20)) {
            let (mut second, mut before) = (0, None::<Said>);
            for (estimate, after) in estimates {
                second += after;
                let now = Said::of(s(estimate), before, at(second));
                prop_assert!(u64::from(now.minutes) * 60 >= estimate && now.minutes >= 1);
                if let Some(before) = before {
                    prop_assert!(now.at + s(u64::from(now.minutes) * 60) >= before.at + s(u64::from(before.minutes) * 60));
                }
                before = Some(now);
            }
        }
    }
}
