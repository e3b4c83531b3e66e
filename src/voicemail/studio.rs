//! A prompt is recorded by phone: spoken, heard, and kept, or spoken again.
//!
//! ```text
//!    ┌────────────────────────── 2, too short ─────────────────────────┐
//!    v                                                                 │
//! Telling ──played──> Speaking ──#, silence, long enough──> Saving ──> Fetching ──> Hearing ──> Choosing ──1──> Keeping ──> the end
//!                                                                         ^                       │
//!                                                                         └────────── 3 ──────────┘
//! ```
//! The keys work while the take is played, too. A take that nobody has decided on is thrown away by whoever ends the session.

use std::time::Duration;

use crate::clock::Mono;
use crate::ids::RecordingId;

/// For a choice, and for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// No prompt of the system's own is longer; in case that its end is never reported.
const LONGEST_PLAY: Duration = Duration::from_secs(60);

/// Nobody listens to a longer prompt.
const LONGEST: Duration = Duration::from_secs(300);

/// The choice is said so often before nobody is thought to be there.
const SAID: usize = 3;

/// Wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prompts of the system's own, one after another.
    Play(&'static [&'static str]),
    /// What is said from here on is the prompt.
    Take,
    /// It is said, silent since then; [`Event::Saved`] answers.
    Said {
        silent_since: Option<Mono>,
    },
    /// Have the take's audio ready; [`Event::Fetched`] answers.
    Fetch(RecordingId),
    /// It is ready: play it.
    PlayTake(RecordingId),
    /// Menus are to play it from now on, and the take goes; [`Event::Kept`] answers.
    Keep(RecordingId),
    Discard(RecordingId),
    /// Say this, and hang up.
    Over(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Digit(char),
    PlayEnded,
    /// Nothing is heard of the phone since then.
    Silence(Mono),
    /// The take is a file; none: it was too short, or could not be written.
    Saved(Option<RecordingId>),
    Fetched(RecordingId, bool),
    /// Whether it is the prompt now.
    Kept(bool),
    Deadline,
}

/// One call of somebody who records.
#[derive(Debug)]
pub struct Studio {
    state: State,
    take: Option<RecordingId>,
    until: Mono,
}

#[derive(Debug)]
enum State {
    /// What is to be done is said, and the tone.
    Telling,
    Speaking,
    Saving,
    Fetching,
    Hearing,
    /// The choice was said so often.
    Choosing {
        said: usize,
    },
    Keeping,
    Over,
}

impl Studio {
    pub fn start(now: Mono, out: &mut Vec<Action>) -> Studio {
        let mut studio = Studio { state: State::Telling, take: None, until: now };
        studio.tell(now, out);
        studio
    }

    /// When it wants to hear `Event::Deadline`.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Over => None,
            State::Telling
            | State::Speaking
            | State::Saving
            | State::Fetching
            | State::Hearing
            | State::Choosing { .. }
            | State::Keeping => Some(self.until),
        }
    }

    /// What was spoken and not decided on.
    pub fn undecided(&self) -> Option<RecordingId> {
        self.take.filter(|_| !matches!(self.state, State::Keeping | State::Over))
    }

    pub fn handle(&mut self, event: Event, now: Mono, out: &mut Vec<Action>) {
        if event == Event::Deadline && now < self.until {
            return;
        }
        match (&mut self.state, event) {
            (State::Telling, Event::PlayEnded | Event::Deadline) => {
                out.push(Action::Take);
                self.to(State::Speaking, LONGEST, now);
            }
            (State::Speaking, Event::Digit('#') | Event::Deadline) => self.said(None, now, out),
            (State::Speaking, Event::Silence(since)) => self.said(Some(since), now, out),
            (State::Saving, Event::Saved(Some(take))) => {
                self.take = Some(take);
                self.fetch(take, now, out);
            }
            (State::Saving, Event::Saved(None)) => self.tell(now, out),
            // The disk is in trouble.
            (State::Saving | State::Fetching | State::Keeping, Event::Deadline) => self.over("error", out),
            (State::Fetching, Event::Fetched(take, there)) if self.take == Some(take) => match there {
                true => {
                    out.push(Action::PlayTake(take));
                    self.to(State::Hearing, LONGEST + PATIENCE, now);
                }
                false => self.over("error", out),
            },
            (State::Hearing, Event::PlayEnded | Event::Deadline) => self.choose(1, now, out),
            (State::Choosing { said }, Event::Deadline) => match *said {
                SAID.. => self.over("goodbye", out),
                said => self.choose(said + 1, now, out),
            },
            // The time for a choice runs from its end.
            (State::Choosing { .. }, Event::PlayEnded) => self.until = now + PATIENCE,
            (State::Hearing | State::Choosing { .. }, Event::Digit('1')) => {
                out.extend(self.take.map(Action::Keep));
                self.to(State::Keeping, 3 * PATIENCE, now);
            }
            (State::Hearing | State::Choosing { .. }, Event::Digit('2')) => {
                out.extend(self.take.take().map(Action::Discard));
                self.tell(now, out);
            }
            (State::Hearing | State::Choosing { .. }, Event::Digit('3')) => {
                if let Some(take) = self.take {
                    self.fetch(take, now, out);
                }
            }
            (State::Keeping, Event::Kept(kept)) => {
                self.take = None;
                self.over(if kept { "prompt-saved" } else { "error" }, out);
            }
            (
                State::Telling
                | State::Speaking
                | State::Saving
                | State::Fetching
                | State::Hearing
                | State::Choosing { .. }
                | State::Keeping
                | State::Over,
                _,
            ) => {}
        }
    }

    fn to(&mut self, state: State, patience: Duration, now: Mono) {
        self.state = state;
        self.until = now + patience;
    }

    fn tell(&mut self, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Play(&["prompt-record", "beep"]));
        self.to(State::Telling, LONGEST_PLAY, now);
    }

    fn said(&mut self, silent_since: Option<Mono>, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Said { silent_since });
        self.to(State::Saving, PATIENCE, now);
    }

    fn fetch(&mut self, take: RecordingId, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Fetch(take));
        self.to(State::Fetching, PATIENCE, now);
    }

    fn choose(&mut self, said: usize, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Play(&["prompt-options"]));
        self.to(State::Choosing { said }, LONGEST_PLAY, now);
    }

    fn over(&mut self, say: &'static str, out: &mut Vec<Action>) {
        out.extend(self.take.take().map(Action::Discard));
        out.push(Action::Over(say));
        self.state = State::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take() -> RecordingId {
        RecordingId::from_parts(7, 7)
    }

    fn run(studio: &mut Studio, events: &[Event], seconds: u64) -> Vec<Action> {
        let mut out = Vec::new();
        for event in events {
            studio.handle(*event, Mono::from_millis(seconds * 1_000), &mut out);
        }
        out
    }

    fn heard() -> Studio {
        let mut studio = Studio::start(Mono::ZERO, &mut Vec::new());
        let done =
            [Event::PlayEnded, Event::Digit('#'), Event::Saved(Some(take())), Event::Fetched(take(), true), Event::PlayEnded];
        let out = run(&mut studio, &done, 1);
        let said = Action::Said { silent_since: None };
        let all = [Action::Take, said, Action::Fetch(take()), Action::PlayTake(take()), Action::Play(&["prompt-options"])];
        assert_eq!(out, all);
        studio
    }

    #[test]
    fn what_is_spoken_is_heard_and_kept_or_spoken_again() {
        let mut studio = heard();
        assert_eq!(studio.undecided(), Some(take()));
        assert_eq!(
            run(&mut studio, &[Event::Digit('3'), Event::Fetched(take(), true)], 2),
            [Action::Fetch(take()), Action::PlayTake(take())]
        );
        let again = run(&mut studio, &[Event::Digit('2')], 3);
        assert_eq!(again, [Action::Discard(take()), Action::Play(&["prompt-record", "beep"])]);
        assert_eq!(studio.undecided(), None);
        let mut studio = heard();
        assert_eq!(run(&mut studio, &[Event::Digit('1'), Event::Digit('2')], 2), [Action::Keep(take())], "decided");
        assert_eq!(studio.undecided(), None);
        assert_eq!(run(&mut studio, &[Event::Kept(true)], 3), [Action::Over("prompt-saved")]);
        assert_eq!(studio.deadline(), None);
    }

    #[test]
    fn what_is_too_short_is_spoken_again_and_silence_ends_a_take() {
        let mut studio = Studio::start(Mono::ZERO, &mut Vec::new());
        let since = Mono::from_millis(900);
        let out = run(&mut studio, &[Event::PlayEnded, Event::Silence(since), Event::Saved(None)], 1);
        let said = Action::Said { silent_since: Some(since) };
        assert_eq!(out, [Action::Take, said, Action::Play(&["prompt-record", "beep"])]);
    }

    #[test]
    fn nobody_there_and_a_disk_in_trouble_end_it_with_nothing_left() {
        let mut studio = heard();
        for said in 2..=3 {
            assert_eq!(run(&mut studio, &[Event::PlayEnded], said * 100), [], "{said}");
            assert_eq!(run(&mut studio, &[Event::Deadline], said * 100 + 50), [Action::Play(&["prompt-options"])]);
        }
        assert_eq!(run(&mut studio, &[Event::Deadline], 1_000), [Action::Discard(take()), Action::Over("goodbye")]);
        let mut studio = heard();
        let out = run(&mut studio, &[Event::Digit('1'), Event::Kept(false)], 2);
        assert_eq!(out, [Action::Keep(take()), Action::Over("error")]);
        let mut studio = heard();
        run(&mut studio, &[Event::Digit('3')], 2);
        assert_eq!(run(&mut studio, &[Event::Deadline], 2), [], "not yet");
        assert_eq!(run(&mut studio, &[Event::Deadline], 100), [Action::Discard(take()), Action::Over("error")]);
    }
}
