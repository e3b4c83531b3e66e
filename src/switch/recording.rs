//! The decision to record, and what the recorder is told.

use super::Output;
use super::event::{Kind, RecordingDecided};
use super::hub::Cx;
use super::output::{About, RecorderCommand};
use crate::clock::Mono;
use crate::conversation::Conversation;
use crate::ids::{LegId, Number, RecordingId};
use crate::media::Command;

impl Cx<'_> {
    pub fn decided(&mut self, conv: &Conversation) {
        let data = RecordingDecided { record: conv.rule.record, rule: conv.rule.rule.clone() };
        self.tell(Some(conv.id), Kind::RecordingDecided(data));
    }

    /// From the customer's answer on, at the customer's leg: who is at the other end may change, the recording does not.
    pub fn record(&mut self, conv: &mut Conversation, customer: LegId) {
        if !conv.rule.record || conv.recording.is_some() {
            return;
        }
        let recording = self.hub.chance.recording(self.now.wall);
        conv.tapped = customer;
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        let about = self.about(conv, recording);
        self.out.push(Output::Recorder(RecorderCommand::Begin { at: self.now.mono, about }));
        self.media(conv.worker, Command::Tap { leg: customer, recording });
    }

    /// What the subject says from here on is a recording of its own, for a mailbox: a message, or what it says to callers. One of the
    /// conversation, if it runs, ends here. Silence ends it, where the configuration says so.
    pub fn record_for(&mut self, conv: &mut Conversation, mailbox: &Number, greeting: bool) -> About {
        self.stop_recording(conv);
        let recording = self.hub.chance.recording(self.now.wall);
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        conv.tapped = conv.subject;
        conv.mailbox = Some(mailbox.clone());
        let about = About { greeting, ..self.about(conv, recording) };
        self.out.push(Output::Recorder(RecorderCommand::Begin { at: self.now.mono, about: about.clone() }));
        self.media(conv.worker, Command::Tap { leg: conv.subject, recording });
        let quiet = Some(self.hub.config.voicemail.silence).filter(|silence| !silence.is_zero());
        self.media(conv.worker, Command::Listen { leg: conv.subject, quiet });
        about
    }

    /// An internal call's recording ends where an outside party comes in: left is the customer in every file, and whether the customer
    /// is recorded is another rule's to say.
    pub fn stop_recording(&mut self, conv: &mut Conversation) {
        self.stop_recording_at(conv, self.now.mono);
    }

    /// With its last sample in the past.
    pub fn stop_recording_at(&mut self, conv: &mut Conversation, at: Mono) {
        conv.mailbox = None;
        if let Some(recording) = conv.recording.take() {
            self.media(conv.worker, Command::Untap { leg: conv.tapped });
            self.out.push(Output::Recorder(RecorderCommand::End { recording, at }));
        }
    }

    /// A leg leaves whose side was recorded: from here it is the subject's, in the same recording.
    pub fn record_without(&mut self, conv: &mut Conversation, leaving: LegId) {
        if conv.caller == leaving {
            conv.caller = conv.subject;
        }
        if let (Some(recording), true) = (conv.recording, conv.tapped == leaving) {
            self.media(conv.worker, Command::Untap { leg: leaving });
            self.media(conv.worker, Command::Tap { leg: conv.subject, recording });
            conv.tapped = conv.subject;
        }
    }

    /// And it is back.
    pub fn record_with(&mut self, conv: &mut Conversation, back: LegId) {
        let left = std::mem::replace(&mut conv.caller, back);
        if let (Some(recording), true) = (conv.recording, conv.tapped == left) {
            self.media(conv.worker, Command::Untap { leg: left });
            self.media(conv.worker, Command::Tap { leg: back, recording });
            conv.tapped = back;
        }
    }

    /// What is known by now: the index finds the recording by it.
    pub fn describe(&mut self, conv: &Conversation) {
        if let Some(recording) = conv.recording {
            let about = self.about(conv, recording);
            self.out.push(Output::Recorder(RecorderCommand::Describe(about)));
        }
    }

    pub fn about(&self, conv: &Conversation, recording: RecordingId) -> About {
        About {
            recording,
            conversation: conv.id,
            started_at: conv.recording_from.unwrap_or(self.now.wall),
            direction: conv.direction,
            customer_number: speaker(conv),
            called: conv.called.clone(),
            customer_e164: conv.customer_e164.clone().filter(|_| speaks(conv).is_none()),
            called_e164: conv.called_e164.clone(),
            agents: conv.agents.clone(),
            queue: conv.queue.clone(),
            rule: conv.rule.rule.clone(),
            mailbox: conv.mailbox.clone(),
            greeting: self.hub.takes.contains_key(&recording),
        }
    }
}

/// Whose voice is on the left: the customer's, and in a message that of a phone that was sent there.
fn speaker(conv: &Conversation) -> String {
    speaks(conv).map_or_else(|| conv.customer_number.clone(), ToString::to_string)
}

/// The phone that leaves a message.
fn speaks(conv: &Conversation) -> Option<&Number> {
    conv.leg(conv.subject).and_then(|leg| leg.peer.phone()).filter(|_| conv.mailbox.is_some())
}
