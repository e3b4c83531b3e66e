//! When a waiting caller is told something, and what: place in the line, expected wait, words of comfort. Between announcements the
//! music plays; who plays it, and who turns a place into clips of a language, is not here.
//!
//! ```text
//!            due                  ended
//!   Music ---------> Announcing ---------> Music, due again after `every`
//!     |  nothing to say                      ^
//!     +--------------------------------------+
//! ```
//!
//! Rules kept:
//! - Never two announcements at once: nothing is due before the end of the last has been told, and the music has `every` between two.
//! - The place that is said never goes up. Where it does in truth (somebody of a higher priority has come, or somebody has come back), it
//!   is left out until it is as low as what was said, unless the caller itself has been [moved](Announcer::moved).
//! - The expected wait goes down no faster than the clock ([`Said::of`]).

use std::time::Duration;

use super::expected::Said;
use crate::clock::Mono;
use crate::config::Announcements;

/// What there is to say at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// 1 is the next to be served.
    pub position: u32,
    /// See [`expected_wait`](super::expected_wait).
    pub expected: Option<Duration>,
}

/// A part of an announcement, to be said in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// "You are number … in the line."
    Position(u32),
    /// "We expect to answer in … minutes."
    Minutes(u32),
    /// This prompt.
    Comfort(String),
}

/// Of one caller in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcer {
    at: At,
    /// The lowest place that was said.
    position: Option<u32>,
    minutes: Option<Said>,
    /// Prompts of comfort so far.
    comforted: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Music { until: Mono },
    Announcing,
}

impl Announcer {
    /// Of who enters now.
    pub fn new(rules: &Announcements, now: Mono) -> Self {
        Announcer { at: At::Music { until: now + rules.first }, position: None, minutes: None, comforted: 0 }
    }

    /// When something may be due. `None` while an announcement plays: its end is told.
    pub fn deadline(&self) -> Option<Mono> {
        match self.at {
            At::Music { until } => Some(until),
            At::Announcing => None,
        }
    }

    /// What to say now; nothing where nothing is due, or there is nothing to say. After anything but nothing [`Announcer::ended`] is
    /// to be told.
    pub fn due(&mut self, rules: &Announcements, seen: Seen, now: Mono) -> Vec<Part> {
        match self.at {
            At::Music { until } if until <= now => {}
            At::Music { .. } | At::Announcing => return Vec::new(),
        }
        let mut parts = Vec::new();
        if rules.position && self.position.is_none_or(|before| seen.position <= before) {
            self.position = Some(seen.position);
            parts.push(Part::Position(seen.position));
        }
        if let Some(wait) = seen.expected.filter(|_| rules.expected) {
            let said = Said::of(wait, self.minutes, now);
            self.minutes = Some(said);
            parts.push(Part::Minutes(said.minutes));
        }
        let turn = self.comforted.checked_rem(rules.comfort.len()).unwrap_or(0);
        if let Some(prompt) = rules.comfort.get(turn) {
            self.comforted = self.comforted.wrapping_add(1);
            parts.push(Part::Comfort(prompt.clone()));
        }
        self.at = if parts.is_empty() { At::Music { until: now + rules.every } } else { At::Announcing };
        parts
    }

    /// The announcement is over, or broken off: the music plays.
    pub fn ended(&mut self, rules: &Announcements, now: Mono) {
        match self.at {
            At::Announcing => self.at = At::Music { until: now + rules.every },
            At::Music { .. } => {}
        }
    }

    /// A person has given the caller another place or priority: what was said of the old one binds no more.
    pub fn moved(&mut self) {
        self.position = None;
        self.minutes = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    fn rules() -> Announcements {
        Announcements { first: s(10), every: s(45), position: true, expected: true, comfort: vec!["wait".into(), "soon".into()] }
    }

    fn comfort(prompt: &str) -> Part {
        Part::Comfort(prompt.into())
    }

    #[test]
    fn announcements_come_at_their_times_and_comfort_in_turn() {
        let rules = rules();
        let mut announcer = Announcer::new(&rules, at(5));
        let seen = Seen { position: 3, expected: Some(s(100)) };
        assert_eq!((announcer.deadline(), announcer.due(&rules, seen, at(14))), (Some(at(15)), vec![]));
        assert_eq!(announcer.due(&rules, seen, at(15)), [Part::Position(3), Part::Minutes(2), comfort("wait")]);
        assert_eq!((announcer.deadline(), announcer.due(&rules, seen, at(99))), (None, vec![]), "one at a time");
        announcer.ended(&rules, at(22));
        announcer.ended(&rules, at(30));
        assert_eq!(announcer.deadline(), Some(at(67)), "a second end moves nothing");
        let seen = Seen { position: 1, expected: None };
        assert_eq!(announcer.due(&rules, seen, at(67)), [Part::Position(1), comfort("soon")]);
        announcer.ended(&rules, at(70));
        assert_eq!(announcer.due(&rules, seen, at(115)).last(), Some(&comfort("wait")));
    }

    #[test]
    fn a_place_that_has_gone_up_is_not_said_unless_the_caller_was_moved() {
        let rules = Announcements { comfort: vec![], expected: false, ..rules() };
        let mut announcer = Announcer::new(&rules, at(0));
        let mut say = |position, second, moved| {
            if moved {
                announcer.moved();
            }
            let parts = announcer.due(&rules, Seen { position, expected: None }, at(second));
            announcer.ended(&rules, at(second));
            parts
        };
        assert_eq!(say(2, 10, false), [Part::Position(2)]);
        assert_eq!(say(3, 55, false), []);
        assert_eq!(say(2, 100, false), [Part::Position(2)]);
        assert_eq!(say(7, 145, true), [Part::Position(7)]);
    }

    #[test]
    fn with_nothing_to_say_the_music_goes_on() {
        let rules = Announcements { position: false, comfort: vec![], ..rules() };
        let mut announcer = Announcer::new(&rules, at(0));
        assert_eq!(announcer.due(&rules, Seen { position: 1, expected: None }, at(10)), []);
        assert_eq!(announcer.deadline(), Some(at(55)));
    }

    proptest! {
        /// A caller's whole wait, with ends that come late or never.
        #[test]
        fn never_two_at_once_and_no_place_goes_up(
            steps in prop::collection::vec((0..40u64, 1..9u32, prop::option::of(0..900u64), 0..4u8), 1..80),
            position in any::<bool>(), expected in any::<bool>(), comfort in 0..3usize,
        ) {
            let comfort = (0..comfort).map(|n| n.to_string()).collect();
            let rules = Announcements { position, expected, comfort, ..rules() };
            let mut announcer = Announcer::new(&rules, at(0));
            let (mut second, mut plays, mut earliest) = (0, false, 10);
            let (mut lowest, mut promised) = (u32::MAX, Mono::ZERO);
            for (after, place, wait, what) in steps {
                second += after;
                match what {
                    0 => {
                        if plays {
                            earliest = second + 45;
                        }
                        plays = false;
                        announcer.ended(&rules, at(second));
                    }
                    1 if after % 8 == 0 => {
                        (lowest, promised) = (u32::MAX, Mono::ZERO);
                        announcer.moved();
                    }
                    _ => {}
                }
                let due = announcer.deadline().is_some_and(|due| due <= at(second));
                prop_assert!(!due || (!plays && second >= earliest));
                let parts = announcer.due(&rules, Seen { position: place, expected: wait.map(s) }, at(second));
                prop_assert!(parts.is_empty() || due, "said before its time");
                for part in &parts {
                    match part {
                        Part::Position(said) => {
                            prop_assert!(rules.position && *said == place && *said <= lowest);
                            lowest = *said;
                        }
                        Part::Minutes(minutes) => {
                            let end = at(second) + s(u64::from(*minutes) * 60);
                            prop_assert!(rules.expected && end >= promised);
                            promised = end;
                        }
                        Part::Comfort(prompt) => prop_assert!(rules.comfort.contains(prompt)),
                    }
                }
                plays |= !parts.is_empty();
                prop_assert_eq!(plays, announcer.deadline().is_none());
                prop_assert!(announcer.deadline().is_none_or(|next| next > at(second)), "due at once again");
            }
        }
    }
}
