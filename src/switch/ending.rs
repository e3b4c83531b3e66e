//! The end of legs and of conversations.
//!
//! A leg ends in three steps: it is decided (`cause`), its SIP is told (CANCEL, BYE, a refusal) and its media closed. A conversation is
//! over when its end is decided and every leg's media has reported (or a deadline has passed); then `call.ended` is told, and what SIP
//! still has to finish goes on as a `Departing` leg.

use std::time::Duration;

use super::hub::{Cx, Departing, Purpose};
use super::queueing::millis;
use super::transfer::Notice;
use crate::acd;
use crate::conversation::{Conversation, End, Gone, Stage, Transferring};
use crate::dialog::Hangup;
use crate::event::{By, CallEnded, Kind, LeftWhy, LegSummary, MenuLeft, QueueLeft, Transfer, TransferOutcome};
use crate::ids::LegId;
use crate::media::{Command, Quality};
use crate::route::{Cause, Direction};
use crate::sip::{HeaderName, Reason, Response, Status};

/// A worker answers `Close` within a tick; a stalled one must not keep a conversation open.
const CLOSE_REPORT: Duration = Duration::from_secs(2);

/// Longer than any INVITE transaction lives (64·T1 = 32 s, twice: a CANCEL whose 487 is lost).
const DEPARTING: Duration = Duration::from_secs(70);

impl Cx<'_> {
    /// Decides the end of a conversation; the first decision stands.
    pub fn end(&mut self, conv: &mut Conversation, cause: Cause, by: By) {
        self.end_with(conv, cause, None, by);
    }

    /// As `end`, with the status that an unanswered caller gets.
    pub fn end_with(&mut self, conv: &mut Conversation, cause: Cause, status: Option<Status>, by: By) {
        if conv.is_ending() {
            return;
        }
        let customer = conv.customer();
        self.leave_stage(conv, cause, &by);
        self.callback_ends(conv, cause);
        self.unpark(conv);
        conv.stage = Stage::Ending;
        // That they go is told with the end.
        conv.guests.clear();
        let legs: Vec<LegId> = conv.legs.keys().copied().collect();
        let status = status.unwrap_or_else(|| Status::new(cause.to_status()).unwrap_or(Status::TEMPORARILY_UNAVAILABLE));
        for id in legs {
            self.release(conv, id, cause, status, None);
        }
        self.end_of_recording(conv, self.now.mono);
        self.end_of_supervision(conv, None);
        let status = customer.and_then(|id| conv.leg(id)).and_then(|l| l.status).or_else(|| {
            conv.legs.values().filter(|l| conv.direction != Direction::Outbound || l.peer.is_trunk()).find_map(|l| l.status)
        });
        conv.end = Some(End { cause, by, status, gives_up: self.now.mono + CLOSE_REPORT, at: self.now.mono });
        self.hub.stirred = true;
    }

    /// What a stage owes the log when the conversation leaves it by ending.
    fn leave_stage(&mut self, conv: &mut Conversation, cause: Cause, by: &By) {
        match &mut conv.stage {
            // Whoever transferred is told that nothing comes of it (RFC 3515 §2.4.5: the last NOTIFY ends the subscription).
            Stage::Dialling(dialling) => {
                if let Some(Transferring { from, refer, by, to, .. }) = dialling.transfer.take() {
                    self.notify(conv, refer, Notice::Failed(Status::REQUEST_TERMINATED));
                    let data = Transfer { leg: from, by, to, outcome: TransferOutcome::Failed };
                    self.tell(Some(conv.id), Kind::CallTransferred(data));
                }
            }
            Stage::Bridged { .. } => self.unbridge(conv),
            Stage::Menu { menu, node, .. } => {
                let to = if *by == By::Customer { "caller hung up".to_owned() } else { cause.to_string() };
                let kind = Kind::MenuLeft(MenuLeft { menu: menu.clone(), node: node.clone(), to });
                self.tell(Some(conv.id), kind);
            }
            Stage::Queue { .. } | Stage::Arranging(_) => {
                // Who gives up has abandoned; whom we send away has not.
                let is_ours = matches!(cause, Cause::Api | Cause::Shutdown | Cause::Fault | Cause::Transferred);
                let acd = &mut self.hub.acd;
                let left = if is_ours { acd.withdraw(conv.id, self.now) } else { acd.abandon(conv.id, self.now) };
                if let Some(acd::Left { queue, waited, .. }) = left {
                    let (why, by) = if is_ours { (Some(LeftWhy::Ended), Some(by.clone())) } else { (None, None) };
                    let rules = self.hub.config.queues.get(&queue).filter(|_| !is_ours);
                    let threshold_ms = rules.map(|rules| millis(rules.service_level));
                    let short_ms = rules.map(|rules| millis(rules.short_abandon));
                    let data = QueueLeft { queue, waited_ms: millis(waited), to: None, why, by, threshold_ms, short_ms };
                    self.tell(Some(conv.id), if is_ours { Kind::QueueLeft(data) } else { Kind::QueueAbandoned(data) });
                }
            }
            Stage::Studio { session, .. } => {
                if let Some(take) = session.undecided() {
                    self.discard_greeting(take);
                }
            }
            Stage::Routing
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::LoggingIn { .. }
            | Stage::Ending => {}
        }
    }

    /// Ends one leg from our side. `status` answers its INVITE, if that still waits.
    pub fn release(&mut self, conv: &mut Conversation, id: LegId, cause: Cause, status: Status, reason: Option<Reason>) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if leg.cause.is_none() {
            leg.cause = Some(cause);
        }
        let hangup = leg.call.hang_up(status, reason.clone());
        if let Hangup::Refuse(_, response) = &hangup {
            leg.status = Some(response.status.code());
        }
        // A 2xx that waits for a PRACK goes first: the BYE follows its ACK.
        // Where the peer has ended the call meanwhile, its INVITE has no answer yet.
        if let Some((transaction, held)) = leg.provisionals.stop() {
            let response = if matches!(hangup, Hangup::AfterAck) { held } else { terminated(held) };
            self.respond(transaction, &response);
        }
        // What has said 100 and nothing more is not waited for.
        if let Some(refresh) = conv.legs.get_mut(&id).and_then(|leg| leg.call.give_up_reinvite()) {
            self.cancel(refresh, None);
        }
        self.carry_out(id, hangup, reason);
        self.close(conv, id);
    }

    /// A leg that the peer ended.
    pub fn ended_by_peer(&mut self, conv: &mut Conversation, id: LegId, cause: Cause) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if leg.cause.is_none() {
            leg.cause = Some(cause);
        }
        let held = leg.provisionals.stop();
        leg.call.ended_by_peer();
        if let Some((transaction, held)) = held {
            self.respond(transaction, &terminated(held));
        }
        self.close(conv, id);
    }

    fn close(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if !leg.closed {
            leg.closed = true;
            self.media(conv.worker, Command::Close { leg: id });
        }
        // It may be the customer's of a conversation that goes on without.
        if conv.recording.is_some() && conv.tapped == id && !matches!(conv.stage, Stage::Ending) {
            self.stop_recording(conv);
        }
        self.stop_playing(conv, id, &By::Switch);
        self.hub.index.release(id);
        self.guest_gone(conv, id);
        self.parker_gone(conv, id);
        self.paid(id);
        self.hub.stirred = true;
    }

    pub fn carry_out(&mut self, leg: LegId, hangup: Hangup, reason: Option<Reason>) {
        match hangup {
            Hangup::Refuse(transaction, response) => self.respond(transaction, &response),
            Hangup::Cancel(transaction) => self.cancel(transaction, reason),
            Hangup::Bye(bye, to) => {
                self.request(bye, to, Purpose::Bye(leg));
            }
            Hangup::AfterAck | Hangup::Nothing => {}
        }
    }

    /// A worker's last word on a leg.
    pub fn closed(&mut self, conv: &mut Conversation, id: LegId, quality: Quality) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.quality = Some(quality);
        if let Some(leg) = conv.leg(id) {
            self.measured(conv, leg, quality);
        }
        self.sweep(conv, id);
    }

    /// Forgets a leg that is over in every respect: a queue that rings agents for an hour must not pile up legs.
    pub fn sweep(&mut self, conv: &mut Conversation, id: LegId) {
        let done = conv.leg(id).is_some_and(|l| l.call.is_over() && l.closed && l.quality.is_some());
        if done && let Some(leg) = conv.legs.remove(&id) {
            self.hub.index.forget(id, leg.call.key());
            conv.remember(Gone::of(&leg));
        }
    }

    /// Whether everything is in that `call.ended` tells; then it is told, and SIP's unfinished business goes on without the conversation.
    pub fn finish(&mut self, conv: &mut Conversation) -> bool {
        let Some(end) = conv.end.clone() else { return false };
        let waiting = conv.legs.values().any(|l| l.quality.is_none());
        if waiting && self.now.mono < end.gives_up {
            return false;
        }
        for (id, leg) in std::mem::take(&mut conv.legs) {
            conv.remember(Gone::of(&leg));
            let key = leg.call.key().clone();
            self.hub.index.forget(id, &key);
            if !leg.call.is_over() {
                self.hub.index.keys.insert(key, id);
                self.hub.departing.insert(id, Departing { call: leg.call, peer: leg.peer, until: self.now.mono + DEPARTING });
            }
        }
        let legs = conv.gone.iter().map(|g| LegSummary {
            leg: g.leg,
            peer: g.peer.to_string(),
            cause: g.cause,
            status: g.status,
            quality: g.quality,
            by: g.by.clone(),
        });
        let ended = CallEnded {
            cause: end.cause,
            status: end.status,
            by: end.by,
            answered_ms: conv.answered.map(|at| millis(end.at.since(at))),
            talk_ms: millis(conv.talked),
            legs: legs.collect(),
        };
        self.tell(Some(conv.id), Kind::CallEnded(ended));
        true
    }
}

/// 487 in the place of a 2xx that was not sent.
pub(super) fn terminated(held: Response) -> Response {
    let mut response = Response { status: Status::REQUEST_TERMINATED, ..held };
    for name in [HeaderName::Contact, HeaderName::ContentType, HeaderName::Require, HeaderName::SessionExpires] {
        response.headers.remove(&name);
    }
    response.body = bytes::Bytes::new();
    response
}
