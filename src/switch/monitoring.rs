//! Supervisors: they listen to a conversation, whisper to its agent, barge in, or take it over.
//!
//! A supervisor's leg is a guest of the conversation: it is rung, and when it answers it hears. How it is heard changes while it is there,
//! by the same command; it ends when the supervisor hangs up, or with the conversation. Whatever becomes of it, the call does not notice:
//! the customer's recording has what the customer said and heard, and a supervisor only where it spoke to the customer. What a supervisor
//! says and hears is recorded apart, where the configuration wants that.

use super::guests::Found;
use super::hub::Cx;
use super::input::Actor;
use super::output::{About, RecorderCommand};
use super::{Output, Refusal};
use crate::conversation::{Conversation, Guest, GuestId, GuestSeat, NARROW, Role, Supervised, Supervision, Whereabouts};
use crate::event::{By, CallMonitored, Kind, MonitorChange, MonitorMode};
use crate::ids::{LegId, Number, RecordingId, StaffNumber};
use crate::media::Command;
use crate::route::Cause;
use crate::sip::Status;

/// Supervisors of one conversation: a team leader, a trainer and a trainee, and one more.
const MOST_SUPERVISORS: usize = 4;

impl Cx<'_> {
    /// `who`: a phone's number, or the staff number of somebody who works at one.
    pub fn monitor_by_command(
        &mut self,
        conv: &mut Conversation,
        who: &str,
        mode: MonitorMode,
        by: &Actor,
    ) -> Result<(), Refusal> {
        let by = By::Api(by.0.clone());
        let phone = self.phone_of(who).ok_or_else(|| Refusal::NoParty(who.to_owned()))?;
        if conv.second().is_none() {
            return Err(Refusal::WrongState("nobody is connected"));
        }
        let seat = seat(mode);
        let watches = |guest: &Guest| guest.supervises() && guest.to == phone.as_str();
        if let Some((id, guest)) = conv.guests.iter_mut().find(|(_, guest)| watches(guest)) {
            let id = *id;
            if std::mem::replace(&mut guest.seat, seat) == seat || guest.leg().is_none() {
                return Ok(());
            }
            guest.by = by.clone();
            match mode {
                MonitorMode::TakeOver => self.succeeds(conv, id, by),
                MonitorMode::Listen | MonitorMode::Whisper | MonitorMode::Barge => self.mode_changed(conv, id),
            }
            return Ok(());
        }
        if conv.legs.values().any(|leg| leg.is_live() && leg.peer.phone() == Some(&phone)) {
            return Err(Refusal::WrongState("that phone is in the conversation already"));
        }
        if !self.hub.registrar.is_registered(&phone) {
            return Err(Refusal::NoPhone(phone.to_string()));
        }
        if conv.guests.values().filter(|guest| guest.supervises()).count() >= MOST_SUPERVISORS {
            return Err(Refusal::TooMany("supervisors in a conversation"));
        }
        match self.ring_guest(conv, seat, phone.to_string(), by, Found::Phone(phone)) {
            Some(_) => Ok(()),
            None => Err(Refusal::Unreachable(who.to_owned())),
        }
    }

    fn phone_of(&self, who: &str) -> Option<Number> {
        let config = &self.hub.config;
        let agent = || self.hub.acd.phones_of(&StaffNumber::from(who)).first().cloned();
        config.phones.get(who).map(|phone| phone.number.clone()).or_else(agent)
    }

    fn mode_changed(&mut self, conv: &Conversation, id: GuestId) {
        if let Some(guest) = conv.guests.get(&id) {
            self.monitored(conv, guest, MonitorChange::Changed);
        }
    }

    /// All who are there, with the customer's recording.
    pub fn record_supervisors(&mut self, conv: &mut Conversation) {
        let all: Vec<GuestId> = conv.guests.keys().copied().collect();
        for id in all {
            self.record_supervisor(conv, id);
        }
    }

    /// What the supervisor says and hears, in a recording of its own, where the configuration wants it and the customer is recorded.
    pub fn record_supervisor(&mut self, conv: &mut Conversation, id: GuestId) {
        let wanted = self.hub.config.recording.supervisors && conv.recording.is_some();
        let Some(guest) = conv.guests.get(&id).filter(|guest| wanted && guest.supervises()) else { return };
        let Some(leg) = guest.leg().filter(|leg| !conv.supervised.contains_key(leg)) else { return };
        let supervisor = self.hub.acd.agent_at(&Number::from(guest.to.as_str())).cloned();
        let recording = self.hub.chance.recording(self.now.wall);
        let track = Supervised { recording, since: self.now.wall, supervisor };
        let about = self.about_supervision(conv, &track);
        conv.supervised.insert(leg, track);
        let at = self.now.mono;
        self.out.push(Output::Recorder(RecorderCommand::Begin { at, about }));
        if conv.pause.is_some() {
            self.out.push(Output::Recorder(RecorderCommand::Pause { recording, at }));
        }
        self.media(conv.worker, Command::Tap { leg, recording });
    }

    fn about_supervision(&self, conv: &Conversation, track: &Supervised) -> About {
        About {
            started_at: track.since,
            agents: track.supervisor.iter().cloned().collect(),
            paused_ms: 0,
            sample_rate: NARROW,
            supervises: true,
            ..self.about(conv, track.recording)
        }
    }

    /// The customer is in these, too, and has refused, or could not be told; as with its own recording, the log knows it first.
    pub fn supervision_refused(&mut self, conv: &mut Conversation, told: impl Fn(RecordingId) -> Kind) {
        for track in conv.supervised.values() {
            self.tell(Some(conv.id), told(track.recording));
            let about = self.about_supervision(conv, track);
            self.out.push(Output::Recorder(RecorderCommand::Describe(about)));
        }
        self.end_of_supervision(conv, None);
    }

    /// Of one supervisor, or of all.
    pub fn end_of_supervision(&mut self, conv: &mut Conversation, of: Option<LegId>) {
        let at = self.now.mono;
        let ends: Vec<LegId> = conv.supervised.keys().copied().filter(|leg| of.is_none_or(|of| of == *leg)).collect();
        for leg in ends {
            if let Some(Supervised { recording, .. }) = conv.supervised.remove(&leg) {
                conv.has_recorded(recording);
                self.media(conv.worker, Command::Untap { leg });
                self.out.push(Output::Recorder(RecorderCommand::End { recording, at }));
            }
        }
    }

    /// The supervisor has the agent's place from here; the agent's leg goes.
    pub fn succeeds(&mut self, conv: &mut Conversation, id: GuestId, by: By) {
        let pair = conv.second().and_then(|second| Some((second, conv.other(second)?)));
        let Some((second, partner)) = pair else {
            // The agent has sent the customer elsewhere meanwhile.
            if let Some(guest) = conv.guests.get_mut(&id) {
                guest.seat = GuestSeat::Supervisor(Supervision::Listen);
            }
            return self.mode_changed(conv, id);
        };
        let Some(guest) = conv.guests.remove(&id) else { return };
        let Some(leg) = guest.leg() else { return };
        self.monitored(conv, &Guest { seat: GuestSeat::Successor, by, ..guest }, MonitorChange::TookOver);
        self.end_of_supervision(conv, Some(leg));
        self.unbridge(conv);
        let with = self.takes_place(conv, second, leg, partner);
        if let Some(leg) = conv.legs.get_mut(&leg) {
            leg.role = Role::Callee;
        }
        self.bridge(conv, with);
        self.release(conv, second, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
    }

    pub fn monitored(&mut self, conv: &Conversation, guest: &Guest, change: MonitorChange) {
        let mode = match guest.seat {
            GuestSeat::Supervisor(Supervision::Listen) => MonitorMode::Listen,
            GuestSeat::Supervisor(Supervision::Whisper) => MonitorMode::Whisper,
            GuestSeat::Supervisor(Supervision::Barge) => MonitorMode::Barge,
            GuestSeat::Successor | GuestSeat::Party | GuestSeat::Consulted { .. } => MonitorMode::TakeOver,
        };
        let phone = Number::from(guest.to.as_str());
        let cause = match (&guest.at, change) {
            (Whereabouts::Rings(ringing), MonitorChange::Failed) => Some(ringing.cause),
            (_, _) => None,
        };
        let data = CallMonitored {
            change,
            mode,
            leg: guest.leg(),
            supervisor: self.hub.acd.agent_at(&phone).cloned(),
            phone,
            by: guest.by.clone(),
            cause,
        };
        self.tell(Some(conv.id), Kind::CallMonitored(data));
    }
}

fn seat(mode: MonitorMode) -> GuestSeat {
    match mode {
        MonitorMode::Listen => GuestSeat::Supervisor(Supervision::Listen),
        MonitorMode::Whisper => GuestSeat::Supervisor(Supervision::Whisper),
        MonitorMode::Barge => GuestSeat::Supervisor(Supervision::Barge),
        MonitorMode::TakeOver => GuestSeat::Successor,
    }
}
