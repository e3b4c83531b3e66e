//! A caller leaves a message; its owner is told of it by a lamp, and hears or deletes it by the API or by phone.
//!
//! A message is a recording of its own, from the tone on: a recording of the conversation, if one runs, ends there. It is in the mailbox
//! when the recorder says that it is durable.

use std::time::Duration;

use super::command::{MessageView, Refusal};
use super::event::{By, Kind, Voicemail};
use super::hub::Cx;
use super::output::{RecorderCommand, recorded};
use super::{Input, Output, Switch};
use crate::config::Place;
use crate::conversation::{Conversation, Said, Stage};
use crate::ids::{Number, RecordingId};
use crate::media::{Audio, ClipName, Command, PlayId, Report};
use crate::route::{Cause, Decision};
use crate::sip::{Message as Sip, Method};
use crate::voicemail::{Action, Event, MOST_MESSAGES, Mailboxes, Message, Session};

/// A greeting whose end nobody reports is over by then.
const LONGEST_GREETING: Duration = Duration::from_secs(60);

/// Then it is enough: what a person listens to on a phone.
const LONGEST_MESSAGE: Duration = Duration::from_secs(180);

/// In ms. Who hangs up at the tone has left no message.
pub(super) const SHORTEST_MESSAGE: u64 = 1_000;

impl Switch {
    /// Whether an input is a key of somebody's PIN: nothing that is kept may say which.
    pub fn is_of_a_pin(&self, input: &Input) -> bool {
        let leg = match input {
            Input::Media(Report::Digit { leg, .. }) => Some(*leg),
            Input::Sip { message: Sip::Request(request), .. } if request.method == Method::Info => self.leg_of(request),
            _ => None,
        };
        let conversation = leg.and_then(|leg| self.conversation_of(leg)).and_then(|id| self.conversations.get(&id));
        conversation.is_some_and(|conv| match &conv.stage {
            Stage::Listening { session, .. } => session.asks_for_pin(),
            _ => false,
        })
    }
}

impl Cx<'_> {
    /// The subject hears the greeting of a number's mailbox, then says what is to be said.
    pub fn leave_message(&mut self, conv: &mut Conversation, number: &Number) {
        let has_mailbox = self.hub.config.phones.get(number).is_some_and(|phone| phone.voicemail);
        let waiting = self.hub.leaving.values().filter(|(mailbox, _)| mailbox == number).count();
        if !has_mailbox || self.hub.mailboxes.of(number).len() + waiting >= MOST_MESSAGES {
            return self.announce(conv, "no-voicemail", Place::Hangup, Cause::Unavailable);
        }
        if conv.answered.is_none() {
            // The greeting alone is no conversation.
            conv.rule = Decision { record: false, rule: format!("voicemail:{number}") };
            self.decided(conv);
        }
        if !self.answer(conv) {
            return;
        }
        self.greet(conv, number.clone(), &["voicemail-greeting", "beep"]);
    }

    fn greet(&mut self, conv: &mut Conversation, mailbox: Number, prompts: &[&str]) {
        let clips = prompts.iter().map(|prompt| ClipName(self.spoken(&conv.language, prompt).into())).collect();
        let play = self.play(conv, conv.subject, Audio::Prompt(clips));
        conv.stage = Stage::Leaving { mailbox, said: Said::Nothing { play }, until: self.now.mono + LONGEST_GREETING };
    }

    /// The tone was heard: from here on it counts.
    pub fn greeted(&mut self, conv: &mut Conversation) {
        let Stage::Leaving { mailbox, said: Said::Nothing { .. }, .. } = &conv.stage else { return };
        let mailbox = mailbox.clone();
        self.stop_recording(conv);
        let recording = self.hub.chance.recording(self.now.wall);
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        conv.tapped = conv.subject;
        conv.mailbox = Some(mailbox.clone());
        let about = self.about(conv, recording);
        let message = Message {
            recording,
            conversation: conv.id,
            caller: about.customer_number.clone(),
            started_at: self.now.wall,
            duration_ms: 0,
            heard: false,
        };
        self.hub.leaving.insert(recording, (mailbox.clone(), message));
        self.out.push(Output::Recorder(RecorderCommand::Begin { at: self.now.mono, about }));
        self.media(conv.worker, Command::Tap { leg: conv.subject, recording });
        conv.stage = Stage::Leaving { mailbox, said: Said::Something, until: self.now.mono + LONGEST_MESSAGE };
    }

    /// A hash ends the greeting, then the message.
    pub fn leaving_digit(&mut self, conv: &mut Conversation, digit: char) {
        let Stage::Leaving { mailbox, said, .. } = &conv.stage else { return };
        match (digit, said) {
            ('#', Said::Nothing { .. }) => self.greet(conv, mailbox.clone(), &["beep"]),
            ('#', Said::Something) => self.said(conv),
            _ => {}
        }
    }

    pub fn leaving_expired(&mut self, conv: &mut Conversation) {
        let Stage::Leaving { said, .. } = &conv.stage else { return };
        match said {
            Said::Nothing { .. } => self.greeted(conv),
            Said::Something => self.said(conv),
        }
    }

    fn said(&mut self, conv: &mut Conversation) {
        self.stop_recording(conv);
        self.announce(conv, "goodbye", Place::Hangup, Cause::Normal);
    }

    /// A recording is durable. If it is a message, its mailbox has it from here.
    pub fn message_left(&mut self, recording: RecordingId, duration_ms: u64) {
        let Some((mailbox, message)) = self.hub.leaving.remove(&recording) else { return };
        if duration_ms < SHORTEST_MESSAGE {
            self.count("messages_too_short_total");
            self.out.push(Output::Recorder(RecorderCommand::Discard { recording }));
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

    pub fn hear_message(&mut self, number: &Number, recording: RecordingId) -> Result<(), Refusal> {
        let was_new = self.messages_of(number)?.of(number).iter().any(|m| m.recording == recording && !m.heard);
        let message = self.hub.mailboxes.hear(number, recording).ok_or(Refusal::NoMessage(recording))?;
        if was_new {
            self.out.push(Output::Recorder(RecorderCommand::Heard { recording }));
            self.tell(None, Kind::VoicemailHeard(told(number, &message)));
            self.light(number);
        }
        Ok(())
    }

    pub fn delete_message(&mut self, number: &Number, recording: RecordingId) -> Result<(), Refusal> {
        self.messages_of(number)?;
        let message = self.hub.mailboxes.remove(number, recording).ok_or(Refusal::NoMessage(recording))?;
        self.out.push(Output::Recorder(RecorderCommand::Discard { recording }));
        self.tell(None, Kind::VoicemailDeleted(told(number, &message)));
        self.light(number);
        Ok(())
    }

    /// All mailboxes, of which this number has one; or had, and messages are left.
    fn messages_of(&self, number: &Number) -> Result<&Mailboxes, Refusal> {
        let phone = self.hub.config.phones.get(number);
        let has_mailbox = phone.is_some_and(|p| p.voicemail) || !self.hub.mailboxes.of(number).is_empty();
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
        let Some(phone) = config.phones.get(number).filter(|phone| phone.voicemail) else {
            return self.fail(conv, Cause::NotFound, None);
        };
        if !self.answer(conv) {
            return;
        }
        let mut actions = Vec::new();
        let session = Session::start(phone.pin.expose(), self.hub.mailboxes.of(number), self.now.mono, &mut actions);
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
                Action::PlayMessage(recording) => self.play_in_mailbox(conv, vec![recorded(recording)]),
                Action::Fetch(recording) => {
                    // Nothing that ends now is waited for.
                    self.silence(conv, conv.subject);
                    self.listening_to(conv, PlayId(0));
                    self.out.push(Output::Fetch { worker: conv.worker, leg: conv.subject, recording });
                }
                // Gone meanwhile, by the API: all the better.
                Action::Heard(recording) => drop(self.hear_message(&mailbox, recording)),
                Action::Delete(recording) => drop(self.delete_message(&mailbox, recording)),
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

    fn clips(&self, conv: &Conversation, prompts: &[String]) -> Vec<ClipName> {
        prompts.iter().map(|prompt| ClipName(self.spoken(&conv.language, prompt).into())).collect()
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

fn told(mailbox: &Number, message: &Message) -> Voicemail {
    Voicemail {
        mailbox: mailbox.clone(),
        recording: message.recording,
        caller: message.caller.clone(),
        duration_ms: message.duration_ms,
    }
}
