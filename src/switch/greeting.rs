//! What a mailbox says to callers: the standard greeting, or a recording of its owner's, made by phone or brought by the API.
//!
//! A greeting is a recording of its own kind, which is its whole state on disk: the last one of a mailbox that is marked as kept is the one
//! that callers hear. It is marked when its owner has ended it by a key, by silence or by its length, or has sent all of it; what is not,
//! because it was broken off, is too short, or the process ended, is thrown away, at the next start at the latest.
//!
//! ```text
//! spoken, or sent ──whole──> Keep to the recorder ──durable──> callers hear it; told; the old one goes
//!        └──broken off, too short, a kill──> discarded, and the old one stays
//! ```
//! One of a mailbox that is not in the configuration any more stays for when it is again.

use std::time::Duration;

use super::Output;
use super::command::Answer;
use super::hub::Cx;
use super::mailbox::Waits;
use super::output::{RecorderCommand, recorded};
use super::queueing::millis;
use crate::clock::Mono;
use crate::conversation::{Back, Conversation, Said, Stage};
use crate::event::{By, Greeting, Kind};
use crate::ids::{LegId, Number, RecordingId};
use crate::media::{ClipName, Command};
use crate::voicemail::{Event, studio};

/// To be read from the disk; then callers hear the standard greeting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Of the silence that ends a greeting, or a prompt, so much stays.
pub(super) const KEPT_SILENCE: Duration = Duration::from_millis(300);

/// A greeting that is being recorded.
#[derive(Debug)]
pub(super) struct Take {
    mailbox: Number,
    leg: LegId,
    /// Its owner has ended it, and did not hang up.
    keep: bool,
}

/// A greeting that is to count, or to go, and who waits for that.
#[derive(Debug)]
pub(super) struct GreetingChange {
    mailbox: Number,
    by: By,
    waits: Waits,
}

impl Cx<'_> {
    /// The subject hears these clips, or the mailbox's greeting where there are none; then the tone.
    pub fn greet_with(&mut self, conv: &mut Conversation, mailbox: Number, clips: Vec<ClipName>, back: Option<Box<Back>>) {
        if clips.is_empty()
            && let Some(recording) = self.hub.greetings.get(&mailbox).copied()
        {
            self.silence(conv, conv.subject);
            conv.stage = Stage::Leaving { mailbox, said: Said::Waiting, back, until: self.now.mono + PATIENCE };
            self.out.push(Output::Fetch { worker: conv.worker, leg: conv.subject, recording });
            return;
        }
        let mut clips = if clips.is_empty() { self.clips(conv, &["voicemail-greeting"]) } else { clips };
        clips.extend(self.clips(conv, &["beep"]));
        self.greet(conv, mailbox, clips, back);
    }

    /// A recording can be played to the subject, or can't.
    pub fn fetched(&mut self, conv: &mut Conversation, recording: RecordingId, there: bool) {
        if let Stage::Leaving { said: Said::Waiting, .. } = &conv.stage {
            let own = there.then(|| recorded(recording));
            return self.greeting_waited_for(conv, own);
        }
        self.listening_event(conv, Event::Fetched(recording, there));
        self.studio_event(conv, studio::Event::Fetched(recording, there));
    }

    /// Plays it, or the standard one.
    pub fn greeting_waited_for(&mut self, conv: &mut Conversation, own: Option<ClipName>) {
        let Stage::Leaving { mailbox, back, .. } = &mut conv.stage else { return };
        let (mailbox, back) = (mailbox.clone(), back.take());
        let mut clips = own.map_or_else(|| self.clips(conv, &["voicemail-greeting"]), |clip| vec![clip]);
        clips.extend(self.clips(conv, &["beep"]));
        self.greet(conv, mailbox, clips, back);
    }

    /// The owner of a mailbox speaks after the tone.
    pub fn take_greeting(&mut self, conv: &mut Conversation, mailbox: &Number) {
        let about = self.record_for(conv, mailbox, true);
        self.hub.takes.insert(about.recording, Take { mailbox: mailbox.clone(), leg: conv.subject, keep: false });
    }

    /// It is said; silent since then.
    pub fn greeting_said(&mut self, conv: &mut Conversation, silent_since: Option<Mono>) {
        let take = conv.recording.and_then(|recording| self.hub.takes.get_mut(&recording));
        let is_written = take.map(|take| take.keep = true).is_some();
        self.media(conv.worker, Command::Listen { leg: conv.subject, quiet: None });
        let end = silent_since.map_or(self.now.mono, |since| self.now.mono.min(since + KEPT_SILENCE));
        self.stop_recording_at(conv, end);
        if !is_written {
            self.listening_event(conv, Event::GreetingSaved(None));
        }
    }

    /// A recording is durable. If it is a whole take of a greeting, it is to be kept.
    pub fn greeting_left(&mut self, recording: RecordingId, duration_ms: u64) -> Option<(LegId, Event)> {
        let take = self.hub.takes.remove(&recording)?;
        let is_good = take.keep && duration_ms >= millis(self.hub.config.voicemail.shortest);
        if is_good {
            self.keep_greeting(take.mailbox, recording, By::Phone, Waits::Leg(take.leg));
            return None;
        }
        self.discard_greeting(recording);
        Some((take.leg, Event::GreetingSaved(None)))
    }

    /// Callers hear it as soon as that outlives a kill.
    pub fn keep_greeting(&mut self, mailbox: Number, recording: RecordingId, by: By, waits: Waits) {
        self.hub.pending.insert(recording, GreetingChange { mailbox, by, waits });
        self.out.push(Output::Recorder(RecorderCommand::Keep { recording }));
    }

    /// It is durable that a recording is a greeting, if it was to be one: callers hear it from here, and the old one goes.
    pub fn greeting_kept(&mut self, recording: RecordingId) -> Option<(LegId, Event)> {
        let GreetingChange { mailbox, by, waits } = self.hub.pending.remove(&recording)?;
        if let Some(old) = self.hub.greetings.insert(mailbox.clone(), recording) {
            self.discard_greeting(old);
        }
        self.tell(None, Kind::VoicemailGreeting(Greeting { mailbox, recording: Some(recording), by }));
        self.waited_for(waits, Event::GreetingSaved(Some(recording)))
    }

    /// It was none, or is none any more.
    pub fn discard_greeting(&mut self, recording: RecordingId) {
        self.out.push(Output::Recorder(RecorderCommand::Discard { recording, told: false }));
    }

    /// A take can't be written: it is none, whatever comes of the file. Who speaks it hears of that at its end.
    pub fn take_failed(&mut self, recording: RecordingId) {
        self.hub.takes.remove(&recording);
    }

    /// False where callers hear the standard one anyway. It is told when it is durable.
    pub fn drop_greeting(&mut self, mailbox: &Number, by: By, waits: Waits) -> bool {
        let Some(recording) = self.hub.greetings.remove(mailbox) else { return false };
        self.discard_greeting(recording);
        self.hub.dropping.insert(recording, GreetingChange { mailbox: mailbox.clone(), by, waits });
        true
    }

    /// A greeting is gone for good, if that recording was one.
    pub fn greeting_gone(&mut self, recording: RecordingId) -> Option<(LegId, Event)> {
        let GreetingChange { mailbox, by, waits } = self.hub.dropping.remove(&recording)?;
        self.tell(None, Kind::VoicemailGreeting(Greeting { mailbox, recording: None, by }));
        self.waited_for(waits, Event::GreetingGone)
    }

    /// Answers the API; what comes back is the leg that waits.
    fn waited_for(&mut self, waits: Waits, event: Event) -> Option<(LegId, Event)> {
        match waits {
            Waits::Nobody => None,
            Waits::Ticket(ticket) => {
                self.out.push(Output::Reply { ticket, answer: Answer::Done });
                None
            }
            Waits::Leg(leg) => Some((leg, event)),
        }
    }

    /// A mailbox is in the configuration, or one has been whose greeting is kept.
    pub fn has_greeting(&self, mailbox: &Number) -> bool {
        self.hub.config.mailboxes.contains_key(mailbox) || self.hub.greetings.contains_key(mailbox)
    }

    /// What the last run left: of several the last one counts.
    pub fn restore_greetings(&mut self, greetings: Vec<(Number, RecordingId)>, unkept: Vec<RecordingId>) {
        for (mailbox, recording) in greetings {
            if let Some(old) = self.hub.greetings.insert(mailbox, recording) {
                self.discard_greeting(old);
            }
        }
        for recording in unkept {
            self.discard_greeting(recording);
        }
    }
}
