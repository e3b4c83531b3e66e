//! The owner of a mailbox on the phone: PIN, how many messages there are, then one after another.
//!
//! ```text
//! PIN ──right──> counts ──> fetch ──> message ──> choice ──9──> the next one, or the end
//!  │ wrong, three times       ^                     │ 1: again; 7: deleted, then the next one
//!  └──> the end               └─────────────────────┘
//! ```
//! 0 leads from any choice to the greeting: 1 records one (a hash, silence or a minute ends it), 2 plays it, 3 takes it back, * returns to
//! the messages. Who has heard all messages, or has none, is told of that once more before the end.
//!
//! Before a message is said whose it is, but not when it is played again. The new ones come first, and within new and old the oldest. A message that was played to its end, or passed by 9, is heard. The keys work
//! while the message plays, too. That a message is deleted is said when it is.

use std::collections::VecDeque;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::Message;
use crate::clock::Mono;
use crate::ids::RecordingId;

/// Wrong PINs that one call may give.
const TRIES: usize = 3;

/// Digits that a PIN has at most; more are not remembered.
const MOST_DIGITS: usize = 16;

/// Between two digits of the PIN, and for a choice.
const PATIENCE: Duration = Duration::from_secs(10);

/// No prompts are longer, nor is what is said before a message; in case that its end is never reported.
const LONGEST_PLAY: Duration = Duration::from_secs(240);

/// Nobody listens to a longer greeting.
const LONGEST_GREETING: Duration = Duration::from_secs(60);

/// The choice is said so often before nobody is thought to be there.
const SAID: usize = 3;

/// Wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Prompts of the system's own, one after another.
    Play(Vec<String>),
    /// Have a message's audio ready; [`Event::Fetched`] answers.
    Fetch(RecordingId),
    /// It is ready: play it, after these prompts.
    PlayMessage(Vec<String>, RecordingId),
    Heard(RecordingId),
    Delete(RecordingId),
    /// What is said from here on is the greeting.
    TakeGreeting,
    /// It is said; [`Event::GreetingSaved`] answers.
    GreetingSaid {
        silent_since: Option<Mono>,
    },
    /// Callers are to hear the standard one; [`Event::GreetingGone`] answers.
    DropGreeting,
    /// A wrong PIN, and after three of them in one call: they end it.
    Wrong,
    Refused,
    /// The PIN was right.
    Opened,
    /// Say this, and hang up.
    Over(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Digit(char),
    PlayEnded,
    /// The message is gone for good.
    Deleted(RecordingId),
    /// Nothing is heard of the phone since then.
    Silence(Mono),
    /// The greeting that callers hear from now on; none: it was too short.
    GreetingSaved(Option<RecordingId>),
    /// They hear the standard one.
    GreetingGone,
    /// Whether the message can be played.
    Fetched(RecordingId, bool),
    Deadline,
}

/// One call of an owner.
#[derive(Debug)]
pub struct Session {
    pin: String,
    /// That are not yet dealt with, the current one first.
    left: VecDeque<Left>,
    new: usize,
    /// What callers hear, where it is not the standard greeting.
    greeting: Option<RecordingId>,
    state: State,
    until: Mono,
}

#[derive(Debug)]
struct Left {
    recording: RecordingId,
    /// Empty, if hidden.
    caller: String,
    lasts: Duration,
}

#[derive(Debug)]
enum State {
    Pin {
        digits: String,
        wrong: usize,
    },
    /// Counts, or that something was deleted; the current message comes next.
    Saying,
    Fetching,
    Playing,
    /// A message goes; it is said when it is gone, if anything is to be said.
    Deleting {
        id: RecordingId,
        then: &'static str,
    },
    /// The choice was said so often.
    Choosing {
        said: usize,
    },
    /// There is nothing more to hear but one's greeting.
    Idle,
    /// What is to become of the greeting.
    Greeting {
        said: usize,
    },
    /// It is read from the disk.
    GreetingFetching(RecordingId),
    GreetingPlaying,
    /// What is to be done is said, and the tone.
    GreetingTone,
    GreetingSpeaking,
    GreetingSaving,
    GreetingDropping,
    Over,
}

impl Session {
    pub fn start(pin: &str, messages: &[Message], greeting: Option<RecordingId>, now: Mono, out: &mut Vec<Action>) -> Session {
        let new = messages.iter().filter(|m| !m.heard);
        let old = messages.iter().filter(|m| m.heard);
        let mut session = Session {
            pin: pin.to_owned(),
            left: new
                .clone()
                .chain(old)
                .map(|m| Left { recording: m.recording, caller: m.caller.clone(), lasts: Duration::from_millis(m.duration_ms) })
                .collect(),
            new: new.count(),
            greeting,
            state: State::Pin { digits: String::new(), wrong: 0 },
            until: now + LONGEST_PLAY,
        };
        session.say(&["voicemail-pin"], 3 * PATIENCE, now, out);
        session
    }

    /// When it wants to hear `Event::Deadline`.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Over => None,
            State::Pin { .. }
            | State::Saying
            | State::Fetching
            | State::Playing
            | State::Deleting { .. }
            | State::Idle
            | State::Greeting { .. }
            | State::GreetingFetching(_)
            | State::GreetingPlaying
            | State::GreetingTone
            | State::GreetingSpeaking
            | State::GreetingSaving
            | State::GreetingDropping
            | State::Choosing { .. } => Some(self.until),
        }
    }

    pub fn handle(&mut self, event: Event, now: Mono, out: &mut Vec<Action>) {
        if event == Event::Deadline && now < self.until {
            return;
        }
        match (&mut self.state, event) {
            (State::Pin { digits, .. }, Event::Digit(digit @ '0'..='9')) => {
                if digits.len() < MOST_DIGITS {
                    digits.push(digit);
                }
                self.until = now + PATIENCE;
            }
            (State::Pin { digits, .. }, Event::Digit('*')) => digits.clear(),
            (State::Pin { .. }, Event::Digit('#') | Event::Deadline) => self.judge(now, out),
            (State::Saying, Event::PlayEnded | Event::Digit(_) | Event::Deadline) => self.fetch(now, out),
            (State::Fetching, Event::Fetched(id, there)) if self.left.front().is_some_and(|left| left.recording == id) => {
                match there {
                    true => self.play(true, now, out),
                    // Whatever keeps it from being read may be over another time: it stays, and the next one is heard.
                    false => {
                        self.left.pop_front();
                        self.say(&["error"], LONGEST_PLAY, now, out);
                        self.state = State::Saying;
                    }
                }
            }
            (State::Fetching, Event::Deadline) => self.over(&["error"], out),
            (State::Playing, Event::PlayEnded | Event::Deadline) => {
                out.extend(self.current().map(Action::Heard));
                self.choose(1, now, out);
            }
            (State::Playing | State::Choosing { .. }, Event::Digit('1')) => self.play(false, now, out),
            (State::Playing | State::Choosing { .. }, Event::Digit('7')) => {
                self.delete("voicemail-deleted", now, out);
            }
            (State::Deleting { id, then }, Event::Deleted(gone)) if *id == gone => {
                let then = *then;
                self.say(&[then], LONGEST_PLAY, now, out);
                self.state = State::Saying;
            }
            // The disk is in trouble: what will become of it can't be said.
            (State::Deleting { .. }, Event::Deadline) => {
                self.say(&["error"], LONGEST_PLAY, now, out);
                self.state = State::Saying;
            }
            (State::Playing | State::Choosing { .. }, Event::Digit('9')) => {
                out.extend(self.left.pop_front().map(|left| Action::Heard(left.recording)));
                self.fetch(now, out);
            }
            (State::Playing | State::Choosing { .. } | State::Idle, Event::Digit('0')) => self.choose_greeting(1, now, out),
            (State::Idle, Event::Deadline) => self.over(&[], out),
            (State::Greeting { .. } | State::GreetingPlaying, Event::Digit('1')) => {
                self.say(&["voicemail-greeting-record", "beep"], LONGEST_PLAY, now, out);
                self.state = State::GreetingTone;
            }
            (State::Greeting { .. } | State::GreetingPlaying, Event::Digit('2')) => match self.greeting {
                Some(id) => {
                    out.push(Action::Fetch(id));
                    self.state = State::GreetingFetching(id);
                    self.until = now + PATIENCE;
                }
                None => {
                    self.say(&["voicemail-greeting"], LONGEST_PLAY, now, out);
                    self.state = State::GreetingPlaying;
                }
            },
            (State::GreetingFetching(id), Event::Fetched(fetched, true)) if *id == fetched => {
                out.push(Action::PlayMessage(Vec::new(), fetched));
                self.state = State::GreetingPlaying;
                self.until = now + LONGEST_PLAY;
            }
            (State::Greeting { .. } | State::GreetingPlaying, Event::Digit('3')) => {
                out.push(Action::DropGreeting);
                self.state = State::GreetingDropping;
                self.until = now + PATIENCE;
            }
            (State::Greeting { .. } | State::GreetingPlaying, Event::Digit('*')) => self.fetch(now, out),
            (State::GreetingPlaying, Event::PlayEnded | Event::Deadline) => self.choose_greeting(1, now, out),
            // It can't be read, kept or taken back.
            (State::GreetingFetching(_), Event::Fetched(_, false))
            | (State::GreetingFetching(_) | State::GreetingSaving | State::GreetingDropping, Event::Deadline) => {
                self.say(&["error"], LONGEST_PLAY, now, out);
                self.state = State::GreetingPlaying;
            }
            (State::GreetingTone, Event::PlayEnded | Event::Deadline) => {
                out.push(Action::TakeGreeting);
                self.state = State::GreetingSpeaking;
                self.until = now + LONGEST_GREETING;
            }
            (State::GreetingSpeaking, Event::Digit('#') | Event::Deadline) => self.greeting_said(None, now, out),
            (State::GreetingSpeaking, Event::Silence(since)) => self.greeting_said(Some(since), now, out),
            (State::GreetingSaving, Event::GreetingSaved(saved)) => {
                self.greeting = saved.or(self.greeting);
                let said = if saved.is_some() { "voicemail-greeting-saved" } else { "error" };
                self.say(&[said], LONGEST_PLAY, now, out);
                self.state = State::GreetingPlaying;
            }
            (State::GreetingDropping, Event::GreetingGone) => {
                self.greeting = None;
                self.say(&["voicemail-greeting-standard"], LONGEST_PLAY, now, out);
                self.state = State::GreetingPlaying;
            }
            (State::Greeting { said }, Event::Deadline) if *said < SAID => {
                let said = *said + 1;
                self.choose_greeting(said, now, out);
            }
            (State::Greeting { .. }, Event::Deadline) => self.over(&[], out),
            (State::Choosing { said }, Event::Deadline) if *said < SAID => {
                let said = *said + 1;
                self.choose(said, now, out);
            }
            (State::Choosing { .. }, Event::Deadline) => self.over(&[], out),
            (State::Pin { .. } | State::Choosing { .. } | State::Fetching | State::Over, Event::PlayEnded)
            | (State::Playing | State::Choosing { .. } | State::Pin { .. } | State::Fetching | State::Over, Event::Digit(_))
            | (State::Deleting { .. }, Event::PlayEnded | Event::Digit(_))
            | (
                State::Idle
                | State::Greeting { .. }
                | State::GreetingFetching(_)
                | State::GreetingSpeaking
                | State::GreetingSaving
                | State::GreetingDropping,
                Event::PlayEnded,
            )
            | (
                State::Idle
                | State::Greeting { .. }
                | State::GreetingFetching(_)
                | State::GreetingPlaying
                | State::GreetingTone
                | State::GreetingSpeaking
                | State::GreetingSaving
                | State::GreetingDropping,
                Event::Digit(_),
            )
            | (_, Event::Fetched(..) | Event::Deleted(_) | Event::Silence(_) | Event::GreetingSaved(_) | Event::GreetingGone)
            | (State::Over, Event::Deadline) => {}
        }
    }

    fn judge(&mut self, now: Mono, out: &mut Vec<Action>) {
        let State::Pin { digits, wrong } = &mut self.state else { return };
        if is_same(digits, &self.pin) {
            out.push(Action::Opened);
            return self.count(now, out);
        }
        digits.clear();
        *wrong += 1;
        out.push(Action::Wrong);
        if *wrong < TRIES {
            return self.say(&["invalid", "voicemail-pin"], 3 * PATIENCE, now, out);
        }
        out.push(Action::Refused);
        self.over(&["invalid"], out);
    }

    fn count(&mut self, now: Mono, out: &mut Vec<Action>) {
        let (new, old) = (self.new, self.left.len() - self.new);
        if self.left.is_empty() {
            return self.idle("voicemail-none", now, out);
        }
        let mut prompts = Vec::new();
        for (what, count) in [("voicemail-new", new), ("voicemail-old", old)].into_iter().filter(|(_, count)| *count > 0) {
            prompts.push(what.to_owned());
            prompts.extend(count.to_string().chars().map(|digit| format!("digit-{digit}")));
        }
        out.push(Action::Play(prompts));
        self.state = State::Saying;
        self.until = now + LONGEST_PLAY;
    }

    /// The current message, or the end.
    fn fetch(&mut self, now: Mono, out: &mut Vec<Action>) {
        let Some(id) = self.current() else { return self.idle("voicemail-end", now, out) };
        out.push(Action::Fetch(id));
        self.state = State::Fetching;
        self.until = now + PATIENCE;
    }

    /// No more messages: there is the greeting yet.
    fn idle(&mut self, why: &str, now: Mono, out: &mut Vec<Action>) {
        // With the time that saying it takes.
        self.say(&[why, "voicemail-main"], PATIENCE + Duration::from_secs(4), now, out);
        self.state = State::Idle;
    }

    fn choose_greeting(&mut self, said: usize, now: Mono, out: &mut Vec<Action>) {
        // With the time that saying it takes.
        self.say(&["voicemail-greeting-options"], 3 * PATIENCE, now, out);
        self.state = State::Greeting { said };
    }

    fn greeting_said(&mut self, silent_since: Option<Mono>, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::GreetingSaid { silent_since });
        self.state = State::GreetingSaving;
        self.until = now + PATIENCE;
    }

    fn delete(&mut self, then: &'static str, now: Mono, out: &mut Vec<Action>) {
        let Some(Left { recording: id, .. }) = self.left.pop_front() else { return };
        out.push(Action::Delete(id));
        self.state = State::Deleting { id, then };
        self.until = now + PATIENCE;
    }

    fn current(&self) -> Option<RecordingId> {
        self.left.front().map(|left| left.recording)
    }

    fn play(&mut self, says_whose: bool, now: Mono, out: &mut Vec<Action>) {
        let Some(Left { recording, caller, lasts }) = self.left.front() else { return };
        out.push(Action::PlayMessage(if says_whose { whose(caller) } else { Vec::new() }, *recording));
        self.until = now + *lasts + LONGEST_PLAY;
        self.state = State::Playing;
    }

    fn choose(&mut self, said: usize, now: Mono, out: &mut Vec<Action>) {
        // With the time that saying it takes.
        self.say(&["voicemail-options"], 2 * PATIENCE, now, out);
        self.state = State::Choosing { said };
    }

    fn say(&mut self, prompts: &[&str], patience: Duration, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Play(prompts.iter().map(|&p| p.to_owned()).collect()));
        self.until = now + patience;
    }

    fn over(&mut self, prompts: &[&str], out: &mut Vec<Action>) {
        out.push(Action::Over(prompts.iter().map(|&p| p.to_owned()).collect()));
        self.state = State::Over;
    }
}

/// What is said of who has left a message: the number, digit by digit.
fn whose(caller: &str) -> Vec<String> {
    let digits: Vec<String> = caller.chars().filter(char::is_ascii_digit).map(|digit| format!("digit-{digit}")).collect();
    match digits.is_empty() {
        true => vec!["voicemail-hidden".to_owned()],
        false => [vec!["voicemail-from".to_owned()], digits].concat(),
    }
}

/// Whether two PINs are the same, in a time that says nothing of them. An empty one opens nothing.
pub fn is_same(given: &str, pin: &str) -> bool {
    // Of one length, which is therefore not told either.
    let padded = |text: &str| {
        let mut bytes = [0; MOST_DIGITS + 1];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        bytes
    };
    bool::from(padded(given).ct_eq(&padded(pin))) & !pin.is_empty()
}
