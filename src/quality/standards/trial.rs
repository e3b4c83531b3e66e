//! What the events of one conversation say about the standards.

use serde::{Deserialize, Serialize};

use super::spans::Span;
use crate::clock::Wall;
use crate::event::{
    Bridge, By, CallConferenced, CallEnded, CallMonitored, CallMuted, ConferenceChange, Event, Kind, LegAction, MonitorChange,
    MonitorMode, PlayChange, RecordingMeasured, StandardLimits, Transfer, TransferOutcome,
};
use crate::ids::{LegId, QueueName, RecordingId, StaffNumber};
use crate::route::{Cause, Direction};

/// Occasions of a kind that are gathered; a customer whom nobody answers for hours has no more. Later ones are not judged.
const MOST: usize = 400;

/// One conversation, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Of the last event.
    sequence: u64,
    pub(super) direction: Option<Direction>,
    /// A consultation that has become part of another conversation: it is judged there.
    pub(super) merged: bool,
    /// Offers that ring: to whom, by which event, and how long they may.
    offers: Vec<(StaffNumber, u64, Option<u64>)>,
    pub(super) rings: Vec<Rang>,
    /// Which queue gave the call to which agent.
    answered: Vec<(StaffNumber, QueueName)>,
    pub(super) bridges: Vec<Bridged>,
    pub(super) holds: Vec<Quiet>,
    pub(super) mutes: Vec<Quiet>,
    /// What was played into the call, and pauses of recordings: from, until, of which leg or recording.
    plays: Vec<(LegId, Open)>,
    /// Others than agent and customer who were heard, likewise.
    others: Vec<(LegId, Open)>,
    pauses: Vec<(RecordingId, Open)>,
    pub(super) transfers: Vec<Moved>,
    pub(super) ended: Option<Ended>,
    /// The customer went on to somewhere else after the last bridge.
    pub(super) moved_on: bool,
    /// Its agent went first, and it to a menu, which nobody had sent it to.
    #[serde(default)]
    pub(super) surveyed: bool,
    /// The event by which it left others who talked on.
    #[serde(default)]
    pub(super) customer_left: Option<u64>,
    /// Lengths of recordings, in ms.
    pub(super) lengths: Vec<(RecordingId, u64)>,
    /// With the numbers of their events.
    pub(super) sounds: Vec<(u64, RecordingMeasured)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    from: Wall,
    to: Option<Wall>,
}

/// An offer that has come to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rang {
    pub agent: StaffNumber,
    pub queue: QueueName,
    pub rang_ms: u64,
    /// It was to be answered within this.
    pub within_ms: Option<u64>,
    pub end: RangEnd,
    pub sequences: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RangEnd {
    Answered,
    /// It rang to its end, or was refused.
    LeftAlone,
    /// The phone could not.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bridged {
    pub sequence: u64,
    pub from: Wall,
    /// `None` while it lasts.
    pub to: Option<Wall>,
    pub legs: [LegId; 2],
    pub agent: Option<StaffNumber>,
    pub queue: Option<QueueName>,
    /// `None`: the default's.
    pub limits: Option<Box<StandardLimits>>,
}

/// A hold or mute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Quiet {
    pub leg: LegId,
    pub from: Wall,
    pub to: Option<Wall>,
    pub sequences: Vec<u64>,
    /// In [`Trial::bridges`].
    pub bridge: usize,
    /// The customer's own.
    pub by_customer: bool,
}

/// The agent has let go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub at: Wall,
    pub to: String,
    /// In [`Trial::bridges`].
    pub bridge: usize,
    pub sequences: Vec<u64>,
    pub end: MovedEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MovedEnd {
    Pending,
    /// So many ms later.
    Answered(u64),
    Failed(u64),
    /// A queue, a menu, a park slot: nobody is to answer there before.
    Place,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub sequence: u64,
    pub at: Wall,
    pub by: By,
    pub cause: Cause,
}

impl Trial {
    /// The next event of the conversation. One that it had already changes nothing.
    pub fn take(&mut self, sequence: u64, event: &Event) {
        if sequence <= self.sequence {
            return;
        }
        self.sequence = sequence;
        let at = event.at;
        match &event.kind {
            Kind::CallStarted(started) => self.direction = Some(started.direction),
            Kind::CallWentOutside(_) => self.direction = Some(Direction::Outbound),
            Kind::CallBridged(bridge) => self.bridged(sequence, at, bridge),
            Kind::CallUnbridged(_) => self.unbridged(at),
            Kind::CallHeld(hold) => self.held(sequence, at, hold),
            Kind::CallResumed(hold) => close(&mut self.holds, hold.leg, sequence, at),
            Kind::CallMuted(mute) => self.muted(sequence, at, mute),
            Kind::CallTransferred(transfer) => self.transferred(sequence, at, transfer),
            Kind::CallMerged(merged) => self.merged |= event.conversation == Some(merged.child),
            Kind::CallPlayed(played) => match played.change {
                PlayChange::Started => keep(&mut self.plays, (played.leg, Open { from: at, to: None })),
                PlayChange::Ended | PlayChange::Stopped => end(&mut self.plays, played.leg, at),
            },
            Kind::CallEnded(ended) => self.ended(sequence, at, ended),

            Kind::MenuEntered(_) if !self.moved_on && self.bridges.last().is_some_and(|b| b.to == Some(at)) => {
                self.surveyed = true
            }
            // The survey's menu leads on.
            Kind::MenuEntered(_) if self.surveyed => {}
            Kind::QueueEntered(_) | Kind::MenuEntered(_) | Kind::CallParked(_) => self.moved_to_place(at),
            Kind::QueueOffered(offer) => {
                self.offers.retain(|(agent, ..)| *agent != offer.agent);
                keep(&mut self.offers, (offer.agent.clone(), sequence, offer.answer_within_ms));
            }
            Kind::QueueAnswered(q) => {
                self.rang(sequence, &q.agent, &q.queue, q.rang_ms, RangEnd::Answered);
                self.answered.retain(|(agent, _)| *agent != q.agent);
                keep(&mut self.answered, (q.agent.clone(), q.queue.clone()));
            }
            Kind::QueueUnanswered(q) => {
                let end = match q.cause {
                    Cause::NoAnswer | Cause::Declined => RangEnd::LeftAlone,
                    _ => RangEnd::Failed,
                };
                self.rang(sequence, &q.agent, &q.queue, q.rang_ms, end);
            }

            Kind::RecordingPaused(r) => keep(&mut self.pauses, (r.recording, Open { from: at, to: None })),
            Kind::RecordingResumed(r) => end(&mut self.pauses, r.recording, at),
            Kind::RecordingFinished(r) | Kind::RecordingRepaired(r) => {
                end(&mut self.pauses, r.recording, at);
                keep(&mut self.lengths, (r.recording, r.duration_ms));
            }
            Kind::RecordingMeasured(measured) => {
                // A start after a kill tells again.
                self.forget(measured.recording);
                keep(&mut self.sounds, (sequence, measured.clone()));
            }
            // Nothing of it may be used.
            Kind::RecordingRefused(r) | Kind::RecordingDiscarded(r) => self.forget(r.recording),
            Kind::RecordingNotAnnounced(r) => self.forget(r.recording),
            Kind::CallConferenced(party) => self.conferenced(sequence, at, party),
            Kind::CallMonitored(supervisor) => self.monitored(at, supervisor),

            Kind::CallRinging(_)
            | Kind::CallAnswered(_)
            | Kind::CallForwarded(_)
            | Kind::CallPickedUp(_)
            | Kind::CallRetrieved(_)
            | Kind::CallParkReturned(_)
            | Kind::CallDisposed(_)
            | Kind::CallNoted(_)
            | Kind::CallTagged(_)
            | Kind::CallMarked(_)
            | Kind::CallHoldReminder(_)
            | Kind::CallHoldOverdue(_)
            | Kind::CallConsulted(_)
            | Kind::CallSurveyed(_)
            | Kind::MenuDigit(_)
            | Kind::MenuLeft(_)
            | Kind::MenuLookedUp(_)
            | Kind::QueueAbandoned(_)
            | Kind::QueueLeft(_)
            | Kind::QueueCallback(_)
            | Kind::RecordingDecided(_)
            | Kind::RecordingStarted(_)
            | Kind::RecordingGap(_)
            | Kind::RecordingFailed(_)
            | Kind::MediaMissing(_)
            | Kind::MediaPresent(_)
            | Kind::MediaQuality(_)
            | Kind::MediaDegraded(_)
            | Kind::MediaRecovered(_)
            | Kind::AgentReady(_)
            | Kind::AgentPaused(_)
            | Kind::AgentWrapup(_)
            | Kind::AgentOffline(_)
            | Kind::AgentRinging(_)
            | Kind::AgentTalking(_)
            | Kind::AgentBusy(_)
            | Kind::AgentUnanswered(_)
            | Kind::AgentUnregistered(_)
            | Kind::AgentLoggedIn(_)
            | Kind::AgentLoggedOut(_)
            | Kind::AgentQueues(_)
            | Kind::AuditCommanded(_)
            | Kind::PromptRecorded(_)
            | Kind::VoicemailLeft(_)
            | Kind::VoicemailHeard(_)
            | Kind::VoicemailDeleted(_)
            | Kind::VoicemailGreeting(_)
            | Kind::VoicemailMailed(_)
            | Kind::VoicemailMailFailed(_)
            | Kind::VoicemailLocked(_)
            | Kind::VoicemailUnlocked(_)
            | Kind::RegistrationAdded(_)
            | Kind::RegistrationRemoved(_)
            | Kind::RegistrationExpired(_)
            | Kind::TrunkUp(_)
            | Kind::TrunkDown(_)
            | Kind::TrunkRegistrationFailed(_)
            | Kind::ClassRefused(_)
            | Kind::GuardBanned(_)
            | Kind::GuardLifted(_)
            | Kind::GuardAlarm(_)
            | Kind::WebhookLost(_)
            | Kind::WebhookOff(_)
            | Kind::WebhookResumed(_)
            | Kind::LogLost(_)
            | Kind::ConfigReloaded(_)
            | Kind::SystemStarted(_)
            | Kind::SystemDegraded(_)
            | Kind::SystemRecovered(_)
            | Kind::SystemStopping(_) => {}
        }
    }

    /// The log was cut: its numbers go on from `last`, and what comes then is new.
    pub fn not_beyond(&mut self, last: u64) {
        self.sequence = self.sequence.min(last);
    }

    /// Nothing in it that could be judged.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty() && self.bridges.iter().all(|bridge| bridge.agent.is_none())
    }

    /// Where nobody is to talk, or others do: what was played, conferences, supervisors who spoke, and pauses of that recording.
    pub(super) fn apart(&self, recording: RecordingId) -> Vec<Span> {
        let last = self.ended.as_ref().map_or(Wall::from_micros(i64::MAX), |ended| ended.at);
        let span = |open: &Open| Span { from: open.from, to: open.to.unwrap_or(last) };
        let plays = self.plays.iter().chain(&self.others).map(|(_, open)| span(open));
        plays.chain(self.pauses.iter().filter(|(of, _)| *of == recording).map(|(_, open)| span(open))).collect()
    }

    fn bridged(&mut self, sequence: u64, at: Wall, bridge: &Bridge) {
        self.unbridged(at);
        if let Some(moved) = self.transfers.last_mut().filter(|m| m.end == MovedEnd::Pending) {
            moved.end = MovedEnd::Answered(ms(moved.at, at));
            moved.sequences.push(sequence);
        }
        let gave = |agent: &StaffNumber| self.answered.iter().find(|(a, _)| a == agent).map(|(_, queue)| queue.clone());
        let queue = bridge.agent.as_ref().and_then(gave);
        (self.moved_on, self.surveyed) = (false, false);
        let agent = bridge.agent.clone().filter(|_| self.customer_left.is_none());
        keep(
            &mut self.bridges,
            Bridged { sequence, from: at, to: None, legs: bridge.legs, agent, queue, limits: bridge.limits.clone() },
        );
    }

    fn unbridged(&mut self, at: Wall) {
        if let Some(bridge) = self.bridges.last_mut().filter(|b| b.to.is_none()) {
            bridge.to = Some(at.max(bridge.from));
        }
        for quiet in self.holds.iter_mut().chain(&mut self.mutes).filter(|q| q.to.is_none()) {
            quiet.to = Some(at.max(quiet.from));
        }
    }

    fn held(&mut self, sequence: u64, at: Wall, hold: &LegAction) {
        if let Some(quiet) = self.quiet(sequence, at, hold.leg) {
            keep(&mut self.holds, quiet);
        }
    }

    fn muted(&mut self, sequence: u64, at: Wall, mute: &CallMuted) {
        if !mute.muted {
            close(&mut self.mutes, mute.leg, sequence, at);
        } else if let Some(quiet) = self.quiet(sequence, at, mute.leg) {
            keep(&mut self.mutes, quiet);
        }
    }

    /// `None` where nobody talks.
    fn quiet(&self, sequence: u64, at: Wall, leg: LegId) -> Option<Quiet> {
        let open = self.bridges.last().filter(|b| b.to.is_none())?;
        let by_customer = open.legs[0] == leg;
        Some(Quiet { leg, from: at, to: None, sequences: vec![sequence], bridge: self.bridges.len() - 1, by_customer })
    }

    fn transferred(&mut self, sequence: u64, at: Wall, transfer: &Transfer) {
        match transfer.outcome {
            TransferOutcome::Started => {
                self.moved_on = true;
                let Some(bridge) = self.bridges.len().checked_sub(1) else { return };
                // The customer's phone may send the agent elsewhere: no standard of ours.
                if self.bridges.last().is_some_and(|b| b.legs[0] == transfer.leg) {
                    return;
                }
                let to = transfer.to.clone();
                keep(&mut self.transfers, Moved { at, to, bridge, sequences: vec![sequence], end: MovedEnd::Pending });
            }
            TransferOutcome::Completed | TransferOutcome::Failed => {
                let Some(moved) = self.transfers.last_mut().filter(|m| m.end == MovedEnd::Pending) else { return };
                let passed = ms(moved.at, at);
                let is_complete = transfer.outcome == TransferOutcome::Completed;
                moved.end = if is_complete { MovedEnd::Answered(passed) } else { MovedEnd::Failed(passed) };
                moved.sequences.push(sequence);
            }
        }
    }

    /// Told at the moment of the transfer, where that is where it went; later, it went on to there from who did not answer.
    fn moved_to_place(&mut self, at: Wall) {
        self.moved_on = true;
        if let Some(moved) = self.transfers.last_mut().filter(|m| m.end == MovedEnd::Pending && m.at == at) {
            moved.end = MovedEnd::Place;
        }
    }

    fn rang(&mut self, sequence: u64, agent: &StaffNumber, queue: &QueueName, rang_ms: u64, end: RangEnd) {
        let offered = self.offers.iter().position(|(a, ..)| a == agent).map(|n| self.offers.remove(n));
        let within_ms = offered.as_ref().and_then(|(_, _, within_ms)| *within_ms);
        let sequences = offered.into_iter().map(|(_, offered, _)| offered).chain([sequence]).collect();
        keep(&mut self.rings, Rang { agent: agent.clone(), queue: queue.clone(), rang_ms, within_ms, end, sequences });
    }

    fn forget(&mut self, recording: RecordingId) {
        self.sounds.retain(|(_, sound)| sound.recording != recording);
    }

    fn conferenced(&mut self, sequence: u64, at: Wall, party: &CallConferenced) {
        let Some(leg) = party.leg else { return };
        match party.change {
            ConferenceChange::Joined => keep(&mut self.others, (leg, Open { from: at, to: None })),
            ConferenceChange::Left => {
                end(&mut self.others, leg, at);
                self.customer_leaves(sequence, at, leg);
            }
            ConferenceChange::Ringing | ConferenceChange::Failed => {}
        }
    }

    /// Told when those who are left are bridged already: their talk is with no customer.
    fn customer_leaves(&mut self, sequence: u64, at: Wall, leg: LegId) {
        let with = |bridge: &Bridged| bridge.legs[0] == leg;
        let [.., before, last] = self.bridges.as_mut_slice() else { return };
        if self.customer_left.is_none() && with(before) && !with(last) && last.from == at {
            last.agent = None;
            self.customer_left = Some(sequence);
        }
    }

    /// The customer hears one who barges in.
    fn monitored(&mut self, at: Wall, supervisor: &CallMonitored) {
        let Some(leg) = supervisor.leg else { return };
        end(&mut self.others, leg, at);
        let speaks = matches!(supervisor.change, MonitorChange::Started | MonitorChange::Changed);
        if speaks && supervisor.mode == MonitorMode::Barge {
            keep(&mut self.others, (leg, Open { from: at, to: None }));
        }
    }

    fn ended(&mut self, sequence: u64, at: Wall, ended: &CallEnded) {
        self.unbridged(at);
        if let Some(moved) = self.transfers.last_mut().filter(|m| m.end == MovedEnd::Pending) {
            moved.end = MovedEnd::Failed(ms(moved.at, at));
            moved.sequences.push(sequence);
        }
        self.ended = Some(Ended { sequence, at, by: ended.by.clone(), cause: ended.cause });
    }
}

fn ms(from: Wall, to: Wall) -> u64 {
    Span { from, to }.ms()
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST {
        list.push(item);
    }
}

fn close(list: &mut [Quiet], leg: LegId, sequence: u64, at: Wall) {
    for quiet in list.iter_mut().filter(|q| q.leg == leg && q.to.is_none()) {
        quiet.to = Some(at.max(quiet.from));
        quiet.sequences.push(sequence);
    }
}

fn end<T: PartialEq>(list: &mut [(T, Open)], of: T, at: Wall) {
    for (_, open) in list.iter_mut().filter(|(what, open)| *what == of && open.to.is_none()) {
        open.to = Some(at.max(open.from));
    }
}
