//! Row and event to row: pure, and the same whether events come live or a year later.

use super::row::{
    Conversation, Disposition, Ended, Interval, Leg, MOST_BEFORE_OFFERS, MOST_INTERVALS, MOST_NOTES, Marker, Note, OfferOutcome,
    QueueOutcome, Recorded, RecordingOutcome, RecordingRef, Span, SurveyAnswer,
};
use crate::clock::Wall;
use crate::event::{
    Bridge, CallConsulted, CallEnded, CallMonitored, CallStarted, ConferenceChange, ConsultChange, Direction, Kind,
    MonitorChange, TransferOutcome,
};
use crate::ids::{LegId, RecordingId};
use crate::store::log::Stored;

/// The row after an event of its conversation. `None` where there is no row yet and the event begins none (its `call.started` is lost
/// or no longer kept): a row without a beginning would say wrong things.
pub fn apply(row: Option<Conversation>, stored: &Stored) -> Option<Conversation> {
    let at = stored.event.at;
    let mut row = match (row, &stored.event.kind, stored.event.conversation) {
        (Some(row), ..) => row,
        (None, Kind::CallStarted(started), Some(id)) => Conversation::new(id, at, started),
        (None, ..) => return None,
    };
    // A fold that is repeated from an older checkpoint meets events that the row has had.
    if stored.sequence <= row.sequence {
        return Some(row);
    }
    row.sequence = stored.sequence;
    row.last_at = row.last_at.max(at);
    row.take(at, &stored.event.kind);
    Some(row)
}

/// The last ones stay.
fn push<T>(all: &mut Vec<T>, one: T) {
    if all.len() >= MOST_NOTES {
        all.remove(0);
    }
    all.push(one);
}

impl Conversation {
    fn new(id: crate::ids::ConversationId, at: Wall, started: &CallStarted) -> Self {
        let peer = match (&started.trunk, &started.phone) {
            (Some(trunk), _) => format!("trunk:{trunk}"),
            (None, Some(phone)) => format!("phone:{phone}"),
            (None, None) => String::new(),
        };
        Conversation {
            id,
            started_at: at,
            answered_at: None,
            direction: started.direction,
            customer_number: started.customer_number.clone(),
            called: started.called.clone(),
            customer_e164: started.customer_e164.clone(),
            called_e164: started.called_e164.clone(),
            trunk: started.trunk.clone(),
            phone: started.phone.clone(),
            ended: None,
            legs: vec![Leg { leg: started.leg, peer, agent: None, cause: None, status: None, quality: None, by: None }],
            intervals: Vec::new(),
            intervals_dropped: 0,
            agents: Vec::new(),
            queues: Vec::new(),
            recorded: None,
            recordings: Vec::new(),
            children: Vec::new(),
            merged_into: None,
            dispositions: Vec::new(),
            notes: Vec::new(),
            markers: Vec::new(),
            tags: Vec::new(),
            surveys: Vec::new(),
            talk_ms: 0,
            last_at: at,
            sequence: 0,
        }
    }

    fn take(&mut self, at: Wall, kind: &Kind) {
        match kind {
            Kind::CallStarted(_)
            | Kind::CallPlayed(_)
            | Kind::CallHoldReminder(_)
            | Kind::CallHoldOverdue(_)
            | Kind::CallRinging(_)
            | Kind::CallPickedUp(_)
            | Kind::CallParked(_)
            | Kind::CallRetrieved(_)
            | Kind::CallParkReturned(_) => {}
            Kind::CallAnswered(_) => self.answered_at = self.answered_at.or(Some(at)),
            Kind::CallBridged(bridge) => self.bridged(at, bridge),
            // There is one at a time; which of the two is named first may have changed meanwhile.
            Kind::CallUnbridged(_) => {
                let ended = self.close(at, |s| matches!(s, Span::Bridge { .. }), |_| {});
                self.talk_ms += ended;
            }
            Kind::CallHeld(hold) => {
                self.open_interval(at, Span::Hold { leg: hold.leg, agent: hold.agent.clone(), by: hold.by.clone() });
            }
            Kind::CallResumed(hold) => {
                self.close(at, |s| matches!(s, Span::Hold { leg, .. } if *leg == hold.leg), |_| {});
            }
            Kind::CallTransferred(t) => match t.outcome {
                TransferOutcome::Started => self.open_interval(
                    at,
                    Span::Transfer { leg: t.leg, by: t.by.clone(), to_place: t.to.clone(), outcome: t.outcome },
                ),
                TransferOutcome::Completed | TransferOutcome::Failed => {
                    let done = |span: &mut Span| {
                        if let Span::Transfer { outcome, .. } = span {
                            *outcome = t.outcome;
                        }
                    };
                    self.close(at, |s| matches!(s, Span::Transfer { leg, .. } if *leg == t.leg), done);
                }
            },
            Kind::CallConferenced(c) => match (c.change, c.leg) {
                (ConferenceChange::Joined, Some(leg)) => {
                    self.open_interval(at, Span::Conference { leg, to_place: c.to.clone(), by: c.by.clone() });
                }
                (ConferenceChange::Left, Some(party)) => {
                    self.close(at, |s| matches!(s, Span::Conference { leg, .. } if *leg == party), |_| {});
                }
                (ConferenceChange::Ringing | ConferenceChange::Failed | ConferenceChange::Joined | ConferenceChange::Left, _) => {
                }
            },
            Kind::CallConsulted(c) => self.consulted(at, c),
            Kind::CallMonitored(m) => self.monitored(at, m),
            Kind::CallMuted(m) if m.muted => {
                self.open_interval(at, Span::Mute { leg: m.leg, agent: m.agent.clone(), by: m.by.clone() });
            }
            Kind::CallMuted(m) => {
                self.close(at, |s| matches!(s, Span::Mute { leg, .. } if *leg == m.leg), |_| {});
            }
            Kind::CallForwarded(f) => {
                self.open_interval(at, Span::Forward { phone: f.phone.clone(), to_place: f.to.clone(), reason: f.reason });
                self.close(at, |s| matches!(s, Span::Forward { .. }), |_| {});
            }
            Kind::CallMerged(merged) if merged.child == self.id => self.merged_into = Some(merged.parent),
            Kind::CallMerged(merged) => {
                if !self.children.contains(&merged.child) {
                    self.children.push(merged.child);
                }
            }
            Kind::CallWentOutside(went) => {
                self.direction = Direction::Outbound;
                self.customer_number.clone_from(&went.customer_number);
                self.customer_e164.clone_from(&went.customer_e164);
                self.called_e164.clone_from(&went.customer_e164);
                self.trunk = Some(went.trunk.clone());
                self.leg(went.leg, &format!("trunk:{}", went.trunk));
            }
            Kind::CallEnded(ended) => self.end(at, ended),

            Kind::MenuEntered(m) => {
                // From node to node of one menu is one stay.
                let stays = |i: &Interval| i.to.is_none() && matches!(&i.span, Span::Menu { menu, .. } if *menu == m.menu);
                if !self.intervals.iter().any(stays) {
                    let (menu, language) = (m.menu.clone(), m.language.clone());
                    self.open_interval(at, Span::Menu { menu, language, digits: String::new(), left_to: None });
                }
            }
            Kind::MenuDigit(m) => {
                for interval in self.intervals.iter_mut().rev().filter(|i| i.to.is_none()) {
                    if let Span::Menu { menu, digits, .. } = &mut interval.span
                        && *menu == m.menu
                        && digits.len() < 200
                    {
                        digits.push_str(&m.digit);
                        break;
                    }
                }
            }
            Kind::MenuLeft(m) => {
                let led = |span: &mut Span| {
                    if let Span::Menu { left_to, .. } = span {
                        *left_to = Some(m.to.clone());
                    }
                };
                self.close(at, |s| matches!(s, Span::Menu { menu, .. } if *menu == m.menu), led);
            }

            Kind::QueueEntered(q) => {
                if !self.queues.contains(&q.queue) {
                    self.queues.push(q.queue.clone());
                }
                let queue = q.queue.clone();
                let (outcome, waited_before_ms) = (QueueOutcome::Waiting, q.waited_before_ms);
                self.open_interval(at, Span::Queue { queue, outcome, waited_ms: None, waited_before_ms });
            }
            Kind::QueueOffered(q) => {
                // The place that its customer has kept is of the call in which that was wished for.
                if q.callback.is_some() && !self.queues.contains(&q.queue) {
                    self.queues.push(q.queue.clone());
                }
                let (queue, agent, phone) = (q.queue.clone(), q.agent.clone(), q.phone.clone());
                self.open_interval(at, Span::Offer { queue, agent, phone, outcome: OfferOutcome::Ringing, rang_ms: None });
            }
            Kind::QueueUnanswered(q) => self.offer_ended(at, &q.agent, OfferOutcome::Unanswered, q.rang_ms),
            Kind::QueueAnswered(q) => {
                self.offer_ended(at, &q.agent, OfferOutcome::Answered, q.rang_ms);
                self.queue_ended(at, &q.queue, QueueOutcome::Answered, q.waited_ms);
                self.agent(&q.agent);
            }
            Kind::CallDisposed(d) => {
                let (disposition, agent, by) = (d.disposition.clone(), d.agent.clone(), d.by.clone());
                push(&mut self.dispositions, Disposition { at, disposition, agent, by });
            }
            Kind::CallNoted(n) => {
                push(&mut self.notes, Note { at, text: n.text.clone(), agent: n.agent.clone(), by: n.by.clone() })
            }
            Kind::CallTagged(t) => {
                for tag in &t.tags {
                    if !self.tags.contains(tag) {
                        push(&mut self.tags, tag.clone());
                    }
                }
            }
            Kind::CallMarked(m) => {
                let (recording, at_ms, text) = (m.recording, m.at_ms, m.text.clone());
                push(&mut self.markers, Marker { at, recording, at_ms, text, agent: m.agent.clone(), by: m.by.clone() });
            }
            Kind::CallSurveyed(s) => {
                let (survey, question, agent) = (s.survey.clone(), s.question.clone(), s.agent.clone());
                push(&mut self.surveys, SurveyAnswer { at, survey, question, score: s.score, scale: s.scale, agent });
            }
            Kind::QueueAbandoned(q) => self.queue_ended(at, &q.queue, QueueOutcome::Abandoned, q.waited_ms),
            Kind::QueueLeft(q) => self.queue_ended(at, &q.queue, QueueOutcome::Left, q.waited_ms),

            Kind::RecordingDecided(r) => self.recorded = Some(Recorded { record: r.record, rule: r.rule.clone() }),
            Kind::RecordingStarted(r) => self.recording_is(r.recording, RecordingOutcome::Recording),
            Kind::RecordingGap(r) => self.recording(r.recording).gap_ms += r.gap_ms,
            Kind::RecordingPaused(r) => {
                self.open_interval(at, Span::RecordingPaused { recording: r.recording, by: r.by.clone() });
            }
            Kind::RecordingResumed(r) => self.recorded_on(at, r.recording),
            Kind::RecordingRefused(r) | Kind::RecordingDiscarded(r) => {
                self.recorded_on(at, r.recording);
                self.recording_is(r.recording, RecordingOutcome::Refused);
            }
            Kind::RecordingNotAnnounced(r) => self.recording_is(r.recording, RecordingOutcome::Refused),
            Kind::RecordingFinished(r) => {
                self.recorded_on(at, r.recording);
                self.recording_is(r.recording, RecordingOutcome::Finished);
            }
            Kind::RecordingRepaired(r) => {
                self.recorded_on(at, r.recording);
                self.recording_is(r.recording, RecordingOutcome::Repaired);
            }
            // Its verdicts stand apart.
            Kind::RecordingMeasured(_) => {}
            Kind::RecordingFailed(r) => self.recording_is(r.recording, RecordingOutcome::Failed),

            Kind::MediaMissing(m) => {
                self.open_interval(at, Span::MediaMissing { leg: m.leg, peer: m.peer.clone(), cause: m.cause });
            }
            Kind::MediaPresent(m) => {
                let of_it = |s: &Span| matches!(s, Span::MediaMissing { leg, cause, .. } if *leg == m.leg && *cause == m.cause);
                self.close(at, of_it, |_| {});
            }
            Kind::MediaDegraded(m) => {
                self.leg(m.leg, &m.peer).quality = Some(m.quality);
                self.open_interval(at, Span::MediaDegraded { leg: m.leg, peer: m.peer.clone(), way: m.way, mos: m.mos });
            }
            Kind::MediaRecovered(m) => {
                self.leg(m.leg, &m.peer).quality = Some(m.quality);
                self.close(at, |s| matches!(s, Span::MediaDegraded { leg, .. } if *leg == m.leg), |_| {});
            }
            // The leg's end is the end of what it suffered from.
            Kind::MediaQuality(m) => {
                self.leg(m.leg, &m.peer).quality = Some(m.quality);
                let suffered =
                    |s: &Span| matches!(s, Span::MediaMissing { leg, .. } | Span::MediaDegraded { leg, .. } if *leg == m.leg);
                self.close(at, suffered, |_| {});
            }

            // An agent's state is told with the conversation that caused it, and is not part of it.
            Kind::AgentReady(_)
            | Kind::MenuLookedUp(_)
            | Kind::AgentPaused(_)
            | Kind::PromptRecorded(_)
            | Kind::VoicemailLeft(_)
            | Kind::VoicemailHeard(_)
            | Kind::VoicemailDeleted(_)
            | Kind::VoicemailGreeting(_)
            | Kind::VoicemailMailed(_)
            | Kind::VoicemailMailFailed(_)
            | Kind::VoicemailLocked(_)
            | Kind::VoicemailUnlocked(_)
            | Kind::AgentWrapup(_)
            | Kind::AgentOffline(_)
            | Kind::AgentRinging(_)
            | Kind::AgentTalking(_)
            | Kind::AgentBusy(_)
            | Kind::AgentUnanswered(_)
            | Kind::AgentUnregistered(_)
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
            | Kind::AgentLoggedIn(_)
            | Kind::AgentLoggedOut(_)
            | Kind::AgentQueues(_)
            | Kind::AuditCommanded(_)
            | Kind::QueueCallback(_)
            | Kind::LogLost(_)
            | Kind::ConfigReloaded(_)
            | Kind::SystemStarted(_)
            | Kind::SystemDegraded(_)
            | Kind::SystemRecovered(_)
            | Kind::SystemStopping(_) => {}
        }
    }

    /// A pause of it ends, if there is one.
    fn recorded_on(&mut self, at: Wall, of: RecordingId) {
        self.close(at, |s| matches!(s, Span::RecordingPaused { recording, .. } if *recording == of), |_| {});
    }

    fn consulted(&mut self, at: Wall, c: &CallConsulted) {
        let done = |span: &mut Span| {
            if let Span::Consultation { outcome, consulted, answered, .. } = span {
                *outcome = c.change;
                *answered |= matches!(c.change, ConsultChange::Answered | ConsultChange::Swapped | ConsultChange::Joined);
                *consulted = consulted.take().or_else(|| c.consulted.clone());
            }
        };
        match c.change {
            ConsultChange::Ringing => {
                let (leg, agent, to_place) = (c.asks, c.agent.clone(), c.to.clone());
                let (consulted, outcome, by) = (c.consulted.clone(), c.change, c.by.clone());
                self.open_interval(at, Span::Consultation { leg, agent, to_place, consulted, answered: false, outcome, by });
            }
            ConsultChange::Answered | ConsultChange::Swapped => {
                for interval in self.intervals.iter_mut().filter(|i| i.to.is_none()) {
                    done(&mut interval.span);
                }
            }
            ConsultChange::Failed | ConsultChange::Joined | ConsultChange::Completed | ConsultChange::Cancelled => {
                self.close(at, |s| matches!(s, Span::Consultation { .. }), done);
            }
        }
    }

    /// One interval for each mode that a supervisor was in.
    fn monitored(&mut self, at: Wall, m: &CallMonitored) {
        let Some(leg) = m.leg else { return };
        self.close(at, |s| matches!(s, Span::Monitor { leg: watches, .. } if *watches == leg), |_| {});
        match m.change {
            MonitorChange::Started | MonitorChange::Changed => {
                let (phone, supervisor) = (m.phone.clone(), m.supervisor.clone());
                self.open_interval(at, Span::Monitor { leg, phone, supervisor, mode: m.mode, by: m.by.clone() });
            }
            MonitorChange::Ringing | MonitorChange::Failed | MonitorChange::TookOver | MonitorChange::Ended => {}
        }
    }

    fn bridged(&mut self, at: Wall, bridge: &Bridge) {
        let peer = bridge.phone.as_ref().map(|p| format!("phone:{p}")).unwrap_or_default();
        let leg = self.leg(bridge.legs[1], &peer);
        leg.agent = leg.agent.take().or_else(|| bridge.agent.clone());
        for agent in [&bridge.customer_agent, &bridge.agent].into_iter().flatten() {
            self.agent(agent);
        }
        let (phone, agent) = (bridge.phone.clone(), bridge.agent.clone());
        self.open_interval(at, Span::Bridge { legs: bridge.legs, phone, agent });
    }

    fn end(&mut self, at: Wall, ended: &CallEnded) {
        for interval in self.intervals.iter_mut().filter(|i| i.to.is_none()) {
            interval.to = Some(at.max(interval.from));
            if let Span::Offer { outcome: outcome @ OfferOutcome::Ringing, .. } = &mut interval.span {
                *outcome = OfferOutcome::Withdrawn;
            }
        }
        self.talk_ms = ended.talk_ms;
        for summary in &ended.legs {
            let leg = self.leg(summary.leg, &summary.peer);
            leg.peer.clone_from(&summary.peer);
            leg.cause = Some(summary.cause);
            leg.status = summary.status;
            leg.quality = summary.quality.or(leg.quality);
            leg.by.clone_from(&summary.by);
        }
        self.ended =
            Some(Ended { at, cause: ended.cause, status: ended.status, by: ended.by.clone(), answered_ms: ended.answered_ms });
    }

    fn offer_ended(&mut self, at: Wall, to: &crate::ids::StaffNumber, how: OfferOutcome, rang: u64) {
        let done = |span: &mut Span| {
            if let Span::Offer { outcome, rang_ms, .. } = span {
                *outcome = how;
                *rang_ms = Some(rang);
            }
        };
        self.close(at, |s| matches!(s, Span::Offer { agent, .. } if agent == to), done);
    }

    fn queue_ended(&mut self, at: Wall, name: &crate::ids::QueueName, how: QueueOutcome, waited: u64) {
        let withdrawn = |span: &mut Span| {
            if let Span::Offer { outcome, .. } = span {
                *outcome = OfferOutcome::Withdrawn;
            }
        };
        self.close(at, |s| matches!(s, Span::Offer { queue, .. } if queue == name), withdrawn);
        let done = |span: &mut Span| {
            if let Span::Queue { outcome, waited_ms, .. } = span {
                *outcome = how;
                *waited_ms = Some(waited);
            }
        };
        self.close(at, |s| matches!(s, Span::Queue { queue, .. } if queue == name), done);
    }

    fn open_interval(&mut self, at: Wall, span: Span) {
        let most = if matches!(span, Span::Offer { .. }) { MOST_BEFORE_OFFERS } else { MOST_INTERVALS };
        if self.intervals.len() >= most {
            self.intervals_dropped += 1;
        } else {
            self.intervals.push(Interval { from: at, to: None, span });
        }
    }

    /// Ends the intervals that `which` names, and says how many ms they lasted.
    fn close(&mut self, at: Wall, which: impl Fn(&Span) -> bool, done: impl Fn(&mut Span)) -> u64 {
        let mut lasted = 0;
        for interval in self.intervals.iter_mut().filter(|i| i.to.is_none() && which(&i.span)) {
            interval.to = Some(at.max(interval.from));
            lasted += at.since(interval.from).as_millis() as u64;
            done(&mut interval.span);
        }
        lasted
    }

    fn agent(&mut self, agent: &crate::ids::StaffNumber) {
        if !self.agents.contains(agent) {
            self.agents.push(agent.clone());
        }
    }

    fn leg(&mut self, leg: LegId, peer: &str) -> &mut Leg {
        let at = self.legs.iter().position(|l| l.leg == leg).unwrap_or_else(|| {
            self.legs.push(Leg { leg, peer: peer.to_owned(), agent: None, cause: None, status: None, quality: None, by: None });
            self.legs.len() - 1
        });
        &mut self.legs[at]
    }

    /// What was refused stays so, whatever the recorder, which is behind the log, says of it later: a start asks this row what must not
    /// be kept.
    fn recording_is(&mut self, id: RecordingId, state: RecordingOutcome) {
        let recording = self.recording(id);
        if recording.state != RecordingOutcome::Refused {
            recording.state = state;
        }
    }

    fn recording(&mut self, id: RecordingId) -> &mut RecordingRef {
        let at = self.recordings.iter().position(|r| r.id == id).unwrap_or_else(|| {
            self.recordings.push(RecordingRef { id, state: RecordingOutcome::Recording, gap_ms: 0 });
            self.recordings.len() - 1
        });
        &mut self.recordings[at]
    }
}
