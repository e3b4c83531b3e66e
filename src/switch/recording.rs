//! The decision to record, and what the recorder is told: from when to when, and what of it is to be silent.

use std::time::Duration;

use super::hub::Cx;
use super::output::{About, RecorderCommand};
use super::queueing::millis;
use super::{Output, Refusal};
use crate::clock::Mono;
use crate::config::RecordingRate;
use crate::conversation::{Conversation, Leg, NARROW, Pause, Stage};
use crate::event::{By, Kind, RecordingDecided, RecordingPaused, RecordingResumed, StandardLimits};
use crate::ids::{LegId, Number, RecordingId};
use crate::media::Command;
use crate::route::Decision;

/// Stands behind a rule's name where somebody has asked.
const ON_DEMAND: &str = ", on demand";

/// Samples a second of a recording in which all of a wideband call can be heard.
const WIDE: u32 = 16_000;

impl Cx<'_> {
    pub fn decided(&mut self, conv: &Conversation) {
        let Decision { record, on_demand, rule } = conv.rule.clone();
        let data = RecordingDecided { record, on_demand, rule };
        self.tell(Some(conv.id), Kind::RecordingDecided(data));
    }

    /// From the customer's answer on, at the customer's leg: who is at the other end may change, the recording does not.
    pub fn record(&mut self, conv: &mut Conversation, customer: LegId) {
        if !conv.rule.record || conv.unrecorded.is_some() || conv.recording.is_some() {
            return;
        }
        let recording = self.hub.chance.recording(self.now.wall);
        conv.tapped = customer;
        conv.recording_rate = self.recording_rate(conv, customer);
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        conv.paused = Duration::ZERO;
        let about = self.about(conv, recording);
        self.out.push(Output::Recorder(RecorderCommand::Begin { at: self.now.mono, about }));
        self.media(conv.worker, Command::Tap { leg: customer, recording });
        self.record_supervisors(conv);
        self.measure_talk(conv);
    }

    /// Whether an agent and the customer talk from here on: what that sounds like is measured. Asked where a bridge or a hold begins or
    /// ends, since each talk is measured by itself.
    pub fn measure_talk(&mut self, conv: &Conversation) {
        let Some(recording) = conv.recording.filter(|_| conv.mailbox.is_none()) else { return };
        let is_agents = conv.second().and_then(|leg| conv.leg(leg)).is_some_and(|leg| self.agent_of(leg).is_some());
        let holds = |leg: &LegId| conv.leg(*leg).is_some_and(Leg::is_holding);
        let is_talk = is_agents && !conv.held_by_command && !conv.talkers().iter().any(holds);
        self.out.push(Output::Recorder(RecorderCommand::Listen { recording, at: self.now.mono, is_talk }));
    }

    /// What is asked of an agent in it by now, where that is not what it is by default.
    pub fn standards_of(&self, conv: &Conversation) -> Option<StandardLimits> {
        let config = &self.hub.config;
        let of_queue = conv.queue.as_ref().and_then(|queue| config.queues.get(queue)).map(|queue| &queue.standards);
        let limits = StandardLimits::from(of_queue.unwrap_or(&config.standards));
        (limits != StandardLimits::default()).then_some(limits)
    }

    fn recording_rate(&self, conv: &Conversation, customer: LegId) -> u32 {
        let codec = || conv.leg(customer).and_then(|leg| leg.negotiation.agreed()).map(|agreed| agreed.codec);
        match self.hub.config.recording.sample_rate {
            RecordingRate::Narrow => NARROW,
            RecordingRate::Wide => WIDE,
            RecordingRate::Auto => codec().filter(|codec| codec.sample_rate() > NARROW).map_or(NARROW, |_| WIDE),
        }
    }

    /// It is another one's to decide from here on, and what runs by then goes on only where that one wants it.
    pub fn decide_anew(&mut self, conv: &mut Conversation, decision: Decision) {
        // What somebody has asked for goes on where anybody may.
        let goes_on = conv.rule.on_demand && decision.on_demand && conv.rule.record && conv.recording.is_some();
        if conv.unrecorded.is_some() || goes_on || conv.rule == decision {
            return;
        }
        conv.rule = decision;
        self.decided(conv);
        let customer = conv.customer().filter(|_| conv.answered.is_some() && conv.mailbox.is_none());
        match (conv.rule.record, customer) {
            (true, Some(customer)) => self.record_and_say(conv, customer),
            (false, Some(_)) => self.stop_recording(conv),
            (_, None) => {}
        }
    }

    fn record_and_say(&mut self, conv: &mut Conversation, customer: LegId) {
        self.record(conv, customer);
        self.describe(conv);
        self.announce_recording(conv);
    }

    /// The recording begins where the rule leaves that to people, or goes on after a pause. Of one that runs nothing changes.
    pub fn record_on_demand(&mut self, conv: &mut Conversation, by: By) -> Result<(), Refusal> {
        if conv.recording.is_some() {
            return self.resume_recording(conv, by);
        }
        if !conv.rule.on_demand || conv.unrecorded.is_some() {
            return Err(Refusal::WrongState("by its rule it is not recorded"));
        }
        if conv.answered.is_none() {
            return Err(Refusal::WrongState("the customer is not there"));
        }
        let rule = format!("{}{ON_DEMAND}", undecorated(&conv.rule.rule));
        let decision = Decision { record: true, on_demand: true, rule };
        match conv.customer() {
            // It was asked for before, and has ended with a leg.
            Some(customer) if conv.rule == decision => self.record_and_say(conv, customer),
            Some(_) | None => self.decide_anew(conv, decision),
        }
        Ok(())
    }

    /// What the subject says from here on is a recording of its own, for a mailbox: a message, or what it says to callers. One of the
    /// conversation, if it runs, ends here. Silence ends it, where the configuration says so.
    pub fn record_for(&mut self, conv: &mut Conversation, mailbox: &Number, greeting: bool) -> About {
        self.stop_recording(conv);
        let recording = self.hub.chance.recording(self.now.wall);
        conv.recording = Some(recording);
        conv.recording_from = Some(self.now.wall);
        conv.paused = Duration::ZERO;
        conv.tapped = conv.subject;
        conv.recording_rate = NARROW;
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
        self.end_of_recording(conv, at);
        let is_message = conv.mailbox.take().is_some();
        if conv.recording.take().is_some() {
            // Theirs lasts no longer than the customer's.
            if !is_message {
                self.end_of_supervision(conv, None);
            }
            self.media(conv.worker, Command::Untap { leg: conv.tapped });
        }
    }

    /// Its last sample is at `at`; one that is silent then stays so.
    pub fn end_of_recording(&mut self, conv: &mut Conversation, at: Mono) {
        let Some(recording) = conv.recording else { return };
        if let Some(pause) = conv.pause.take() {
            conv.paused += at.since(pause.since);
            self.describe(conv);
        }
        self.out.push(Output::Recorder(RecorderCommand::End { recording, at }));
        if conv.mailbox.is_none() && !self.hub.prompt_takes.contains_key(&recording) {
            conv.has_recorded(recording);
        }
    }

    /// What the file has from here on is silence, for as long as the configuration lets it. Of one that is silent already nothing changes.
    pub fn pause_recording(&mut self, conv: &mut Conversation, by: By) -> Result<(), Refusal> {
        let recording = running(conv)?;
        if conv.pause.is_some() {
            return Ok(());
        }
        let until = self.now.mono + self.hub.config.recording.longest_pause;
        self.pause_until(conv, recording, until, by);
        Ok(())
    }

    fn pause_until(&mut self, conv: &mut Conversation, recording: RecordingId, until: Mono, by: By) {
        let at = self.now.mono;
        conv.pause = Some(Pause { since: at, until });
        for recording in all(conv, recording) {
            self.out.push(Output::Recorder(RecorderCommand::Pause { recording, at }));
        }
        self.count("recording_pauses_total");
        let data = RecordingPaused { recording, by, until: Some(self.now.wall + until.since(at)) };
        self.tell(Some(conv.id), Kind::RecordingPaused(data));
    }

    /// A pause of the recording before holds for this one, too, and ends when it was to end.
    pub fn stays_paused(&mut self, conv: &mut Conversation, pause: Option<Pause>) {
        let runs = running(conv).ok().filter(|_| conv.pause.is_none());
        if let (Some(recording), Some(pause)) = (runs, pause) {
            self.pause_until(conv, recording, pause.until, By::Switch);
        }
    }

    /// The end of a pause.
    pub fn resume_recording(&mut self, conv: &mut Conversation, by: By) -> Result<(), Refusal> {
        let recording = running(conv)?;
        let Some(pause) = conv.pause.take() else { return Ok(()) };
        let lasted = self.now.mono.since(pause.since);
        conv.paused += lasted;
        let at = self.now.mono;
        for recording in all(conv, recording) {
            self.out.push(Output::Recorder(RecorderCommand::Resume { recording, at }));
        }
        let data = RecordingResumed { recording, by, paused_ms: millis(lasted) };
        self.tell(Some(conv.id), Kind::RecordingResumed(data));
        self.describe(conv);
        Ok(())
    }

    /// A pause has lasted for as long as it may.
    pub fn pause_is_over(&mut self, conv: &mut Conversation) {
        if !conv.is_ending() && conv.pause.is_some_and(|pause| pause.until <= self.now.mono) {
            drop(self.resume_recording(conv, By::Switch));
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
            paused_ms: millis(conv.paused),
            sample_rate: conv.recording_rate,
            refused: conv.unrecorded.is_some() && conv.mailbox.is_none(),
            supervises: false,
            prompt: self.hub.prompt_takes.contains_key(&recording),
            mailbox: conv.mailbox.clone(),
            greeting: self.hub.takes.contains_key(&recording),
        }
    }
}

/// The recording of a conversation; a message's, or a prompt's, is its speaker's own, from tone to silence.
fn running(conv: &Conversation) -> Result<RecordingId, Refusal> {
    let is_own = conv.mailbox.is_some() || matches!(conv.stage, Stage::Studio { .. });
    conv.recording.filter(|_| !is_own).ok_or(Refusal::WrongState("it is not recorded"))
}

/// A rule's name without what was asked for in a call.
pub(super) fn undecorated(rule: &str) -> &str {
    rule.strip_suffix(ON_DEMAND).unwrap_or(rule)
}

/// That, and those of supervisors, in which the customer is heard.
fn all(conv: &Conversation, recording: RecordingId) -> Vec<RecordingId> {
    conv.supervised.values().map(|track| track.recording).chain([recording]).collect()
}

/// Whose voice is on the left: the customer's, and in a message that of a phone that was sent there.
fn speaker(conv: &Conversation) -> String {
    speaks(conv).map_or_else(|| conv.customer_number.clone(), ToString::to_string)
}

/// The phone that leaves a message.
fn speaks(conv: &Conversation) -> Option<&Number> {
    conv.leg(conv.subject).and_then(|leg| leg.peer.phone()).filter(|_| conv.mailbox.is_some())
}
