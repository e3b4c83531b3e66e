//! From frames that stand above their floor to talk: what is too short is a click, what is too even a tone, and a short pause belongs to
//! what is said around it.
//!
//! ```text
//!             ONSET in a row: from the first above of the last LEAD
//! Silent ─────────────────────────────────────────────────────────> Speaking ──┐
//!   ^                                                                │   ^     │ every JUDGED frames
//!   └────────────────────────────────────────────────────────────────┘   └─────┘
//!                   HANGOVER not above             too even: what goes on is of the tone
//! ```

use std::collections::VecDeque;

/// So many frames (of 20 ms) in a row begin talk. Keys that are struck are shorter.
const ONSET: usize = 3;
/// Of so many before, those in a row included, the first that stood above is the beginning: a consonant, a closure, then the vowel.
const LEAD: usize = 8;
/// So many below end it: 300 ms. It ended where they began.
const HANGOVER: usize = 15;
/// What is shorter is no word.
const SHORTEST: usize = 5;
/// What lasts so long is judged before it has ended: 2 s. So long, at most, a decision is open.
const JUDGED: usize = 100;
/// What is shorter than 400 ms is not asked whether it is even: a drawn vowel is.
const EVEN_FROM: usize = 20;
/// Tones and noises of a machine stay within this, leaving out the loudest and the quietest fifth of their frames; in dB, between white
/// noise and speech in noise. Chosen by the phrases of the tests.
const EVEN_DB: f32 = 2.5;

/// How a frame stands to its floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    Not,
    /// Enough to go on.
    Somewhat,
    /// Enough to begin.
    Clearly,
}

/// A frame that is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decided {
    pub talks: bool,
    pub power: f32,
}

#[derive(Debug)]
pub(super) struct Talk {
    state: State,
    /// Frames that are not decided.
    open: VecDeque<Open>,
    pub decided: VecDeque<Decided>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    power: f32,
    is_above: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many of the last frames stood above, the first of them clearly.
    Silent { row: usize },
    /// The last `below` of those that are open do not.
    Speaking { below: usize, accepted: bool, after: After },
}

/// What went before without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// Of which a short rest is no word either.
    Tone,
}

impl Talk {
    pub fn new() -> Talk {
        Talk { state: State::Silent { row: 0 }, open: VecDeque::new(), decided: VecDeque::new() }
    }

    pub fn push(&mut self, power: f32, above: Above) {
        self.open.push_back(Open { power, is_above: above != Above::Not });
        self.state = match (self.state, above) {
            (State::Silent { row }, Above::Clearly) => self.silent(row + 1),
            (State::Silent { row }, Above::Somewhat) => self.silent(if row > 0 { row + 1 } else { 0 }),
            (State::Silent { .. }, Above::Not) => self.silent(0),
            (State::Speaking { below, accepted, after }, Above::Not) if below + 1 < HANGOVER => {
                // Behind a tone nothing has begun yet.
                if after == After::Tone && self.open.len() == 1 {
                    self.decide(1, false);
                }
                State::Speaking { below: below + 1, accepted, after }
            }
            (State::Speaking { below, accepted, after }, Above::Not) => {
                self.end(below + 1, accepted, after);
                State::Silent { row: 0 }
            }
            (State::Speaking { accepted: true, .. }, Above::Somewhat | Above::Clearly) => {
                self.decide(self.open.len(), true);
                State::Speaking { below: 0, accepted: true, after: After::Nothing }
            }
            (State::Speaking { after, .. }, Above::Somewhat | Above::Clearly) if self.open.len() < JUDGED => {
                State::Speaking { below: 0, accepted: false, after }
            }
            (State::Speaking { .. }, Above::Somewhat | Above::Clearly) => {
                let accepted = !self.is_even(self.open.len());
                self.decide(self.open.len(), accepted);
                State::Speaking { below: 0, accepted, after: if accepted { After::Nothing } else { After::Tone } }
            }
        };
    }

    fn silent(&mut self, row: usize) -> State {
        if row < ONSET {
            self.decide(self.open.len().saturating_sub(LEAD - 1), false);
            return State::Silent { row };
        }
        let before = self.open.iter().take_while(|frame| !frame.is_above).count();
        self.decide(before, false);
        State::Speaking { below: 0, accepted: false, after: After::Nothing }
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        match std::mem::replace(&mut self.state, State::Silent { row: 0 }) {
            State::Silent { .. } => self.decide(self.open.len(), false),
            State::Speaking { below, accepted, after } => self.end(below, accepted, after),
        }
    }

    fn end(&mut self, below: usize, accepted: bool, after: After) {
        let length = self.open.len().saturating_sub(below);
        let shortest = if after == After::Tone { EVEN_FROM } else { SHORTEST };
        let talks = accepted || length >= shortest && !self.is_even(length);
        self.decide(length, talks);
        self.decide(below, false);
    }

    fn decide(&mut self, frames: usize, talks: bool) {
        let frames = frames.min(self.open.len());
        self.decided.extend(self.open.drain(..frames).map(|frame| Decided { talks, power: frame.power }));
    }

    /// Whether the first frames that are open are as loud all the time, as no word is.
    fn is_even(&self, frames: usize) -> bool {
        if frames < EVEN_FROM {
            return false;
        }
        let mut sorted: Vec<f32> = self.open.iter().take(frames).map(|frame| frame.power).collect();
        sorted.sort_by(f32::total_cmp);
        let fifth = sorted.len() / 5;
        match (sorted.get(fifth), sorted.get(sorted.len() - 1 - fifth)) {
            (Some(quiet), Some(loud)) => 10.0 * (loud / quiet.max(f32::MIN_POSITIVE)).log10() < EVEN_DB,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames as letters: `.` not above, `-` somewhat, `#` clearly; powers vary as those of words, or do not.
    fn talk(frames: &str, even: bool) -> String {
        let mut talk = Talk::new();
        for (n, frame) in frames.chars().enumerate() {
            let above = match frame {
                '.' => Above::Not,
                '-' => Above::Somewhat,
                _ => Above::Clearly,
            };
            talk.push(if even || n % 2 == 0 { 0.1 } else { 0.01 }, above);
        }
        talk.finish();
        talk.decided.iter().map(|d| if d.talks { '#' } else { '.' }).collect()
    }

    #[test]
    fn clicks_and_what_never_stands_clear_are_no_talk() {
        assert_eq!(talk("..##....##.....", false), "...............");
        assert_eq!(talk("------------", false), "............");
        assert_eq!(talk("..####..........", false), "................");
    }

    #[test]
    fn talk_goes_from_its_first_frame_to_its_last_and_over_short_pauses() {
        let pause = ".".repeat(HANGOVER - 1);
        let spoken = format!("..#####{pause}-#...");
        assert_eq!(talk(&spoken, false), format!("..#####{}##...", "#".repeat(HANGOVER - 1)));
        // What stood above shortly before belongs to it.
        assert_eq!(talk("#.....-.#.###.###....", false), "......###########....");
        let longer = ".".repeat(HANGOVER);
        assert_eq!(talk(&format!("#####{longer}#####"), false), format!("#####{longer}#####"));
    }

    #[test]
    fn what_is_even_is_a_tone_however_long_and_words_after_it_are_heard() {
        for length in [EVEN_FROM, JUDGED - 1, JUDGED, 7 * JUDGED + 13] {
            assert_eq!(talk(&"#".repeat(length), true), ".".repeat(length), "{length}");
        }
        assert_eq!(talk(&"#".repeat(EVEN_FROM - 1), true), "#".repeat(EVEN_FROM - 1));
        assert_eq!(talk(&"#".repeat(5 * JUDGED), false), "#".repeat(5 * JUDGED));
    }

    proptest! {
        #[test]
        fn every_frame_is_decided_once_and_soon(above in prop::collection::vec(0..3u8, 0..800), even in any::<bool>()) {
            let mut talk = Talk::new();
            for (n, above) in above.iter().enumerate() {
                let power = if even { 0.1 } else { n as f32 };
                talk.push(power, [Above::Not, Above::Somewhat, Above::Clearly][usize::from(*above)]);
                prop_assert!(talk.open.len() < JUDGED + HANGOVER);
                prop_assert_eq!(talk.open.len() + talk.decided.len(), n + 1);
            }
            talk.finish();
            prop_assert_eq!(talk.decided.len(), above.len());
            // No talk begins on a frame that was not above.
            let mut began = (0..above.len()).filter(|n| talk.decided[*n].talks && (*n == 0 || !talk.decided[n - 1].talks));
            prop_assert!(began.all(|n| above[n] > 0));
        }
    }
}
