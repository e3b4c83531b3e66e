//! A caller leaves a message; its owner is told of it by a lamp, and hears or deletes it by the API or by phone.
//!
//! A message is a recording of its own, from the tone on: a recording of the conversation, if one runs, ends there. It is in the mailbox
//! when the recorder says that it is durable. So it is with what becomes of it: it is heard or gone here at once, but the event, the answer
//! to the API and the prompt that says so wait until the recorder has it on disk. What was said outlives a kill; an event that a kill
//! cost is told by the next start.

use std::time::Duration;

use super::Output;
use super::command::{Answer, MailboxLockView, MessageView, Refusal};
use super::hub::Cx;
use super::output::{RecorderCommand, Ticket, recorded};
use super::queueing::millis;
use crate::clock::Mono;
use crate::config::Place;
use crate::conversation::{Back, Conversation, Peer, Said, Stage};
use crate::event::{By, Kind, MailFailed, Mailed, Voicemail, VoicemailLock, VoicemailUnlock};
use crate::ids::{LegId, Number, RecordingId};
use crate::ivr;
use crate::media::{Audio, ClipName, Command, PlayId};
use crate::route::{Cause, Decision};
use crate::voicemail::{Action, Event, Lock, MOST_MESSAGES, Mailboxes, Message, Rules, Session, Trier, Whom, studio};

/// A greeting whose end nobody reports is over by then.
const LONGEST_GREETING: Duration = Duration::from_secs(60);

/// Of the silence that ends a message, so much stays.
const KEPT_SILENCE: Duration = Duration::from_millis(500);

/// Who wants to know that a change of a message is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    Nobody,
    /// A command of the API.
    Ticket(Ticket),
    /// The phone that listens.
    Leg(LegId),
}

/// What was done with a message and is not durable yet.
#[derive(Debug)]
pub(super) struct Keeping {
    mailbox: Number,
    message: Message,
    heard: bool,
    deleted: bool,
    waits: Vec<Waits>,
}

impl Cx<'_> {
    /// The subject hears the greeting of a mailbox, then says what is to be said.
    pub fn leave_message(&mut self, conv: &mut Conversation, number: &Number) {
        if !self.takes_messages(number) {
            return match self.stays_in_slot(conv, Cause::Unavailable) {
                true => {}
                false => self.announce(conv, "no-voicemail", Place::Hangup, Cause::Unavailable),
            };
        }
        self.unpark(conv);
        if conv.answered.is_none() {
            // The greeting alone is no conversation.
            conv.rule = Decision::never(format!("voicemail:{number}"));
            self.decided(conv);
        }
        if !self.answer(conv) {
            return;
        }
        self.speak_language_of(conv, number);
        self.greet_with(conv, number.clone(), Vec::new(), None);
    }

    /// From a menu, with its greeting instead, if it has one; and back to it, if it wants to go on.
    pub fn deposit(&mut self, conv: &mut Conversation, number: Number, greeting: Vec<ClipName>, back: Option<Box<Back>>) {
        if !self.takes_messages(&number) {
            return match back {
                Some(back) => self.back_to_menu(conv, *back, ivr::Deposit::Full),
                None => self.announce(conv, "no-voicemail", Place::Hangup, Cause::Unavailable),
            };
        }
        self.speak_language_of(conv, &number);
        self.greet_with(conv, number, greeting, back);
    }

    /// There is a mailbox, and room in it.
    pub fn takes_messages(&self, number: &Number) -> bool {
        let waiting = self.hub.leaving.values().filter(|(mailbox, _)| mailbox == number).count();
        self.hub.config.mailboxes.contains_key(number) && self.hub.mailboxes.of(number).len() + waiting < MOST_MESSAGES
    }

    /// To who has chosen none.
    fn speak_language_of(&self, conv: &mut Conversation, number: &Number) {
        let language = self.hub.config.mailboxes.get(number).and_then(|mailbox| mailbox.language.clone());
        if let Some(language) = language.filter(|_| conv.language.is_empty()) {
            conv.language = language;
        }
    }

    pub fn greet(&mut self, conv: &mut Conversation, mailbox: Number, clips: Vec<ClipName>, back: Option<Box<Back>>) {
        let play = self.play(conv, conv.subject, Audio::Prompt(clips));
        conv.stage = Stage::Leaving { mailbox, said: Said::Nothing { play }, back, until: self.now.mono + LONGEST_GREETING };
    }

    /// The tone was heard: from here on it counts.
    pub fn greeted(&mut self, conv: &mut Conversation) {
        let Stage::Leaving { mailbox, said, until, .. } = &mut conv.stage else { return };
        let Said::Nothing { .. } = said else { return };
        *said = Said::Something;
        *until = self.now.mono + self.hub.config.voicemail.longest;
        let mailbox = mailbox.clone();
        let about = self.record_for(conv, &mailbox, false);
        let message = Message {
            recording: about.recording,
            conversation: conv.id,
            caller: about.customer_number,
            customer_e164: about.customer_e164,
            called_e164: about.called_e164,
            started_at: self.now.wall,
            duration_ms: 0,
            heard: false,
        };
        self.hub.leaving.insert(about.recording, (mailbox, message));
    }

    /// A hash ends the greeting, then the message.
    pub fn leaving_digit(&mut self, conv: &mut Conversation, digit: char) {
        let Stage::Leaving { said, back, mailbox, .. } = &mut conv.stage else { return };
        match (digit, said) {
            ('#', Said::Nothing { .. } | Said::Waiting) => {
                let (mailbox, back) = (mailbox.clone(), back.take());
                let clips = self.clips(conv, &["beep"]);
                self.greet(conv, mailbox, clips, back);
            }
            ('#', Said::Something) => self.said(conv, self.now.mono, true),
            _ => {}
        }
    }

    pub fn leaving_expired(&mut self, conv: &mut Conversation) {
        let Stage::Leaving { said, .. } = &conv.stage else { return };
        match said {
            Said::Nothing { .. } => self.greeted(conv),
            // The disk is in trouble.
            Said::Waiting => self.greeting_waited_for(conv, None),
            Said::Something => self.said(conv, self.now.mono, false),
        }
    }

    /// The message is over since then, but for a moment that sounds like an end.
    pub fn fell_silent(&mut self, conv: &mut Conversation, leg: LegId, since: Mono) {
        if let Stage::Leaving { said: Said::Something, .. } = &conv.stage
            && conv.subject == leg
        {
            self.said(conv, self.now.mono.min(since + KEPT_SILENCE), false);
        } else if conv.subject == leg {
            self.listening_event(conv, Event::Silence(since));
            self.studio_event(conv, studio::Event::Silence(since));
        }
    }

    fn said(&mut self, conv: &mut Conversation, at: Mono, by_key: bool) {
        self.stop_recording_at(conv, at);
        self.media(conv.worker, Command::Listen { leg: conv.subject, quiet: None });
        let Stage::Leaving { back, .. } = &mut conv.stage else { return };
        match back.take() {
            Some(back) => {
                // What the conversation's rule says holds again.
                if let Some(customer) = conv.customer() {
                    self.record(conv, customer);
                }
                self.back_to_menu(conv, *back, ivr::Deposit::Over { by_key });
            }
            None => self.announce(conv, "goodbye", Place::Hangup, Cause::Normal),
        }
    }

    fn back_to_menu(&mut self, conv: &mut Conversation, back: Back, what: ivr::Deposit) {
        let Back { menu, node, session } = back;
        conv.stage = Stage::Menu { menu, node, session, play: PlayId(0) };
        self.menu_event(conv, ivr::Event::Deposited(what));
    }

    /// A recording is durable. If it is a message, its mailbox has it from here.
    pub fn message_left(&mut self, recording: RecordingId, duration_ms: u64) {
        let Some((mailbox, message)) = self.hub.leaving.remove(&recording) else { return };
        if duration_ms < millis(self.hub.config.voicemail.shortest) {
            self.count("messages_too_short_total");
            self.out.push(Output::Recorder(RecorderCommand::Discard { recording, told: false }));
            return;
        }
        let message = Message { duration_ms, ..message };
        self.tell(Some(message.conversation), Kind::VoicemailLeft(told(&mailbox, &message)));
        self.hub.mailboxes.put(mailbox.clone(), message);
        self.light(&mailbox);
    }

    /// A kill had interrupted a recording, which is whole again. If it is a message, it is in its mailbox already.
    pub fn message_repaired(&mut self, recording: RecordingId) {
        let boxes = &self.hub.mailboxes;
        let mut all = boxes.numbers().flat_map(|number| boxes.of(number).iter().map(move |message| (number, message)));
        let Some((mailbox, message)) = all.find(|(_, message)| message.recording == recording) else { return };
        let (conversation, data) = (message.conversation, told(mailbox, message));
        drop(all);
        self.tell(Some(conversation), Kind::VoicemailLeft(data));
    }

    /// A message is with its owner. Where that is enough (`delete`), it goes. `told`: the log had it before the last start.
    pub fn mailed(&mut self, data: Mailed, delete: bool, told: bool) {
        let (number, recording) = (data.mailbox.clone(), data.recording);
        if !told {
            self.count("mails_sent_total");
            self.tell(None, Kind::VoicemailMailed(data));
        }
        if delete {
            // Its owner may have been quicker.
            drop(self.delete_message(&number, recording, Waits::Nobody));
        }
    }

    pub fn mail_failed(&mut self, data: MailFailed) {
        self.count(format!("mails_failed_total{{given_up=\"{}\"}}", data.gives_up));
        self.tell(None, Kind::VoicemailMailFailed(data));
    }

    /// All messages for a number, oldest first.
    pub fn mailbox(&mut self, number: &Number) -> Result<Vec<MessageView>, Refusal> {
        let view = |m: &Message| MessageView {
            id: m.recording,
            conversation: m.conversation,
            caller: m.caller.clone(),
            started_at: m.started_at.to_string(),
            duration_ms: m.duration_ms,
            heard: m.heard,
        };
        Ok(self.messages_of(number)?.of(number).iter().map(view).collect())
    }

    /// True where it was heard before, and that is durable: nobody has to wait.
    pub fn hear_message(&mut self, number: &Number, recording: RecordingId, waits: Waits) -> Result<bool, Refusal> {
        let was_new = self.messages_of(number)?.of(number).iter().any(|m| m.recording == recording && !m.heard);
        let message = self.hub.mailboxes.hear(number, recording).ok_or(Refusal::NoMessage(recording))?;
        if was_new {
            self.out.push(Output::Recorder(RecorderCommand::Heard { recording }));
            self.keeping(number, &message).heard = true;
            self.light(number);
        }
        let Some(keeping) = self.hub.keeping.get_mut(&recording) else { return Ok(true) };
        keeping.waits.push(waits);
        Ok(false)
    }

    pub fn delete_message(&mut self, number: &Number, recording: RecordingId, waits: Waits) -> Result<(), Refusal> {
        self.messages_of(number)?;
        let message = self.hub.mailboxes.remove(number, recording).ok_or(Refusal::NoMessage(recording))?;
        self.out.push(Output::Recorder(RecorderCommand::Discard { recording, told: true }));
        let keeping = self.keeping(number, &message);
        keeping.deleted = true;
        keeping.waits.push(waits);
        self.light(number);
        Ok(())
    }

    fn keeping(&mut self, mailbox: &Number, message: &Message) -> &mut Keeping {
        self.hub.keeping.entry(message.recording).or_insert_with(|| Keeping {
            mailbox: mailbox.clone(),
            message: message.clone(),
            heard: false,
            deleted: false,
            waits: Vec::new(),
        })
    }

    /// It is durable that a message was heard, or is gone. What comes back is the leg that waits to hear that it is gone.
    pub fn message_kept(&mut self, recording: RecordingId, gone: bool) -> Option<(LegId, Event)> {
        if gone && self.hub.dropping.contains_key(&recording) {
            return self.greeting_gone(recording);
        }
        if !gone && self.hub.pending.contains_key(&recording) {
            return self.greeting_kept(recording);
        }
        let keeping = self.hub.keeping.get_mut(&recording)?;
        let (heard, deleted) = (std::mem::take(&mut keeping.heard), keeping.deleted && gone);
        let data = told(&keeping.mailbox, &keeping.message);
        // One that was marked as heard and deleted at once may have been on its way twice: who waits for its end waits on.
        let waits = if keeping.deleted && !gone { Vec::new() } else { std::mem::take(&mut keeping.waits) };
        if deleted || !keeping.deleted {
            self.hub.keeping.remove(&recording);
        }
        if heard {
            self.tell(None, Kind::VoicemailHeard(data.clone()));
        }
        if deleted {
            self.tell(None, Kind::VoicemailDeleted(data));
        }
        let mut leg = None;
        for waits in waits {
            match waits {
                Waits::Nobody => {}
                Waits::Ticket(ticket) => self.out.push(Output::Reply { ticket, answer: Answer::Done }),
                Waits::Leg(id) => leg = Some(id),
            }
        }
        leg.filter(|_| deleted).map(|leg| (leg, Event::Deleted(recording)))
    }

    /// All mailboxes, of which this number has one; or had, and messages are left.
    fn messages_of(&self, number: &Number) -> Result<&Mailboxes, Refusal> {
        let has_mailbox = self.hub.config.mailboxes.contains_key(number) || !self.hub.mailboxes.of(number).is_empty();
        if has_mailbox { Ok(&self.hub.mailboxes) } else { Err(Refusal::NoMailbox(number.clone())) }
    }

    /// The message lamp of every phone with messages.
    pub fn all_lights(&mut self) {
        let numbers: Vec<Number> = self.hub.mailboxes.numbers().cloned().collect();
        for number in numbers {
            self.light(&number);
        }
    }

    fn light(&mut self, number: &Number) {
        self.hub.presence.mailbox_changed(number);
    }
}

impl Cx<'_> {
    /// The owner of a mailbox calls it.
    pub fn listen(&mut self, conv: &mut Conversation, number: &Number) {
        let config = self.config();
        let Some(mailbox) = config.mailboxes.get(number) else { return self.fail(conv, Cause::NotFound, None) };
        if !self.answer(conv) {
            return;
        }
        conv.keys_are_secret = true;
        self.speak_language_of(conv, number);
        if self.hub.locks.is_locked(&trier(conv, number), self.now.mono) {
            self.count("mailbox_calls_locked_out_total");
            return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
        }
        let mut actions = Vec::new();
        let greeting = self.hub.greetings.get(number).copied();
        let session = Session::start(mailbox.pin.expose(), self.hub.mailboxes.of(number), greeting, self.now.mono, &mut actions);
        conv.stage = Stage::Listening { mailbox: number.clone(), session, play: PlayId(0) };
        self.listening_actions(conv, actions);
    }

    pub fn listening_event(&mut self, conv: &mut Conversation, event: Event) {
        let Stage::Listening { session, .. } = &mut conv.stage else { return };
        let mut actions = Vec::new();
        session.handle(event, self.now.mono, &mut actions);
        self.listening_actions(conv, actions);
    }

    fn listening_actions(&mut self, conv: &mut Conversation, actions: Vec<Action>) {
        for action in actions {
            let Stage::Listening { mailbox, .. } = &conv.stage else { return };
            let mailbox = mailbox.clone();
            match action {
                Action::Play(prompts) => {
                    let clips = self.clips(conv, &prompts);
                    self.play_in_mailbox(conv, clips);
                }
                Action::PlayMessage(prompts, recording) => {
                    let mut clips = self.clips(conv, &prompts);
                    clips.push(recorded(recording));
                    self.play_in_mailbox(conv, clips);
                }
                Action::Fetch(recording) => {
                    // Nothing that ends now is waited for.
                    self.silence(conv, conv.subject);
                    self.listening_to(conv, PlayId(0));
                    self.out.push(Output::Fetch { worker: conv.worker, leg: conv.subject, recording });
                }
                // Gone meanwhile, by the API: all the better.
                Action::Heard(recording) => drop(self.hear_message(&mailbox, recording, Waits::Nobody)),
                Action::Delete(recording) => {
                    if self.delete_message(&mailbox, recording, Waits::Leg(conv.subject)).is_err() {
                        self.listening_event(conv, Event::Deleted(recording));
                    }
                }
                Action::TakeGreeting => self.take_greeting(conv, &mailbox),
                Action::GreetingSaid { silent_since } => self.greeting_said(conv, silent_since),
                Action::DropGreeting => {
                    if !self.drop_greeting(&mailbox, By::Phone, Waits::Leg(conv.subject)) {
                        self.listening_event(conv, Event::GreetingGone);
                    }
                }
                Action::Wrong => {
                    self.count("mailbox_pins_wrong_total");
                    if self.wrong_pin(conv, &mailbox) {
                        return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
                    }
                }
                Action::Opened => {
                    let who = trier(conv, &mailbox);
                    // Calls that stood at the prompt when it was locked guess no further.
                    if self.hub.locks.is_locked(&who, self.now.mono) {
                        return self.announce(conv, "voicemail-locked", Place::Hangup, Cause::Forbidden);
                    }
                    self.hub.locks.succeeded(&who);
                    conv.keys_are_secret = false;
                }
                Action::Refused => self.count("mailbox_pins_refused_total"),
                Action::Over(prompts) if prompts.is_empty() => return self.end(conv, Cause::Normal, By::Switch),
                Action::Over(prompts) => {
                    let clips = self.clips(conv, &prompts);
                    let play = self.play(conv, conv.subject, Audio::Prompt(clips));
                    let until = self.now.mono + LONGEST_GREETING;
                    conv.stage = Stage::Announcing { play, until, then: Place::Hangup, cause: Cause::Normal };
                    return;
                }
            }
        }
    }

    /// Whether that was one too many.
    pub fn wrong_pin(&mut self, conv: &Conversation, mailbox: &Number) -> bool {
        let who = trier(conv, mailbox);
        let voicemail = &self.hub.config.voicemail;
        let rules = Rules { failures: voicemail.pin_failures, lasts: voicemail.pin_lock };
        for (locked, lock) in self.hub.locks.failed(&who, rules, self.now) {
            self.count("mailbox_locks_total");
            let data = VoicemailLock {
                locked: locked.to_string(),
                mailbox: mailbox.clone(),
                source: who.source.clone(),
                failures: lock.failures,
                until: lock.until.to_string(),
            };
            self.tell(None, Kind::VoicemailLocked(data));
        }
        self.hub.locks.is_locked(&who, self.now.mono)
    }

    pub fn mailbox_locks(&self) -> Vec<MailboxLockView> {
        let view = |(whom, lock): (&Whom, &Lock)| MailboxLockView {
            locked: whom.to_string(),
            failures: lock.failures,
            since: lock.since.to_string(),
            until: lock.until.to_string(),
        };
        self.hub.locks.all().map(view).collect()
    }

    /// False where it is not locked.
    pub fn lift_mailbox_lock(&mut self, locked: &str, by: By) -> bool {
        let Some(whom) = self.hub.locks.all().map(|(whom, _)| whom).find(|whom| whom.to_string() == locked).cloned() else {
            return false;
        };
        self.hub.locks.lift(&whom);
        self.tell(None, Kind::VoicemailUnlocked(VoicemailUnlock { locked: whom.to_string(), by }));
        true
    }

    pub fn mailbox_locks_due(&mut self) {
        for whom in self.hub.locks.expire(self.now.mono) {
            self.tell(None, Kind::VoicemailUnlocked(VoicemailUnlock { locked: whom.to_string(), by: By::Switch }));
        }
    }

    pub fn clips(&self, conv: &Conversation, prompts: &[impl AsRef<str>]) -> Vec<ClipName> {
        prompts.iter().map(|prompt| ClipName(self.spoken(&conv.language, prompt.as_ref()).into())).collect()
    }

    fn play_in_mailbox(&mut self, conv: &mut Conversation, clips: Vec<ClipName>) {
        let started = self.play(conv, conv.subject, Audio::Prompt(clips));
        self.listening_to(conv, started);
    }

    fn listening_to(&self, conv: &mut Conversation, started: PlayId) {
        if let Stage::Listening { play, .. } = &mut conv.stage {
            *play = started;
        }
    }
}

/// Who listens, or tries to.
pub(super) fn trier(conv: &Conversation, mailbox: &Number) -> Trier {
    let peer = conv.leg(conv.subject).map_or(&conv.origin, |leg| &leg.peer);
    let source = match peer {
        Peer::Phone(_) => peer.to_string(),
        // All the world comes by a trunk; its numbers are as good as nothing, but better than none.
        Peer::Trunk(_) => format!("{peer}/{}", conv.customer_number),
    };
    Trier { mailbox: mailbox.clone(), source, own: peer.phone() == Some(mailbox) }
}

fn told(mailbox: &Number, message: &Message) -> Voicemail {
    Voicemail {
        mailbox: mailbox.clone(),
        recording: message.recording,
        caller: message.caller.clone(),
        customer_e164: message.customer_e164.clone(),
        called_e164: message.called_e164.clone(),
        duration_ms: message.duration_ms,
    }
}
