//! Requests of a peer within a leg's dialog.

use std::collections::BTreeSet;

use super::attended::Attended;
use super::hub::{ALLOW, Cx};
use super::keys::{duration, keyed};
use super::pressing::Via;
use crate::conversation::{Conversation, Refer, Said, Stage, Transferring};
use crate::dialog::Asked;
use crate::event::By;
use crate::ids::LegId;
use crate::ivr;
use crate::media::{self, Key, PlayId};
use crate::route::Cause;
use crate::sdp::Description;
use crate::sip::{Flow, HeaderName, Method, Request, Response, Status};
use crate::transaction::TransactionId;
use crate::voicemail;

impl Cx<'_> {
    /// What comes back is a wish that spans two conversations.
    pub fn in_dialog(
        &mut self,
        conv: &mut Conversation,
        id: LegId,
        transaction: TransactionId,
        request: &Request,
        flow: Flow,
    ) -> Option<Attended> {
        let leg = conv.legs.get_mut(&id)?;
        if request.method == Method::Prack {
            self.pracked(conv, id, transaction, request, flow);
            return None;
        }
        if matches!(request.method, Method::Update | Method::Bye) && leg.call.owns_early(request) {
            self.early_request(conv, id, transaction, request, flow);
            return None;
        }
        if request.method == Method::Invite
            && let Err(status) = leg.call.takes_reinvite()
        {
            self.respond(transaction, &request.response(status));
            return None;
        }
        if let Err(status) = leg.call.receive(request, flow) {
            let response = self.refusal(request, status);
            self.respond(transaction, &response);
            return None;
        }
        if matches!(request.method, Method::Invite | Method::Update) && Asked::by(request) == Asked::TooShort {
            let response = self.too_short(request.response(Status::SESSION_INTERVAL_TOO_SMALL));
            self.respond(transaction, &response);
            return None;
        }
        match request.method {
            Method::Invite => self.reinvited(conv, id, transaction, request),
            Method::Update => self.updated(conv, id, transaction, request),
            Method::Bye => {
                self.respond(transaction, &request.response(Status::OK));
                self.left(conv, id, Cause::Normal);
            }
            Method::Info => self.info(conv, id, transaction, request),
            Method::Refer => return self.referred(conv, id, transaction, request),
            Method::Options => {
                let mut response = request.response(Status::OK);
                response.headers.push(HeaderName::Allow, ALLOW);
                self.respond(transaction, &response);
            }
            Method::Notify => self.respond(transaction, &request.response(Status::OK)),
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Subscribe
            | Method::Prack
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {
                let status = if request.method.is_known() { Status::METHOD_NOT_ALLOWED } else { Status::NOT_IMPLEMENTED };
                let mut response = request.response(status);
                response.headers.push(HeaderName::Allow, ALLOW);
                self.respond(transaction, &response);
            }
        }
        None
    }

    /// In a dialog that is early: a caller may end it by BYE (RFC 3261 §15) as by CANCEL; an UPDATE is a sign of life, or a further offer.
    fn early_request(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request, flow: Flow) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let is_invited = leg.call.is_invited();
        if let Err(status) = leg.call.receive_early(request, flow) {
            let response = self.refusal(request, status);
            return self.respond(transaction, &response);
        }
        match request.method {
            Method::Update if Asked::by(request) == Asked::TooShort => {
                let response = self.too_short(request.response(Status::SESSION_INTERVAL_TOO_SMALL));
                self.respond(transaction, &response);
            }
            Method::Update => self.early_update(conv, id, transaction, request),
            Method::Bye if is_invited => {
                self.respond(transaction, &request.response(Status::OK));
                self.cancelled(conv, id);
            }
            _ => self.respond(transaction, &request.response(Status::CALL_TRANSACTION_DOES_NOT_EXIST)),
        }
    }

    /// An offer in it is answered where the INVITE's own has its answer, reliably (RFC 3311 §5.2). Before that it collides: with our
    /// answer that is due, so that the peer may try again soon, or with our offer.
    fn early_update(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request) {
        let Some(leg) = conv.leg(id) else { return };
        let is_invited = leg.call.is_invited();
        let owes_answer = is_invited && leg.call.invite().is_some_and(|invite| !invite.body.is_empty());
        let answer = match (request.body.is_empty(), leg.has_described()) {
            (true, _) => Ok(bytes::Bytes::new()),
            // One of them is heard; what the others would have is settled when one of them answers.
            (false, _) if leg.call.is_of_another_fork(request) => Err(Status::NOT_ACCEPTABLE_HERE),
            (false, true) => self.renegotiate(conv, id, &request.body).map_err(|refused| refused.0),
            (false, false) if owes_answer => Err(Status::SERVER_INTERNAL_ERROR),
            (false, false) => Err(Status::REQUEST_PENDING),
        };
        let response = match answer {
            Ok(body) => {
                let Some(leg) = conv.legs.get_mut(&id) else { return };
                leg.call.early_target(request);
                // The 2xx is not to repeat what holds no more.
                if is_invited && !body.is_empty() {
                    leg.early = Some(bytes::Bytes::new());
                }
                leg.call.accept_update(request, body)
            }
            Err(status) => self.refusal(request, status),
        };
        self.respond(transaction, &response);
    }

    /// With 500, for what is out of order, the time after which it may be asked again: up to ten seconds (RFC 3261 §14.2, RFC 3311 §5.2).
    fn refusal(&mut self, request: &Request, status: Status) -> Response {
        let mut response = request.response(status);
        if status == Status::SERVER_INTERNAL_ERROR {
            response.headers.push(HeaderName::RetryAfter, self.hub.chance.below(10) as u32);
        }
        response
    }

    fn reinvited(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request) {
        match self.renegotiate(conv, id, &request.body) {
            Ok(body) => {
                let Some(leg) = conv.legs.get_mut(&id) else { return };
                let mut response = leg.call.accept_reinvite(transaction, request, body);
                self.refreshed(conv, id, request, &mut response);
                self.respond(transaction, &response);
            }
            Err(refused) => self.respond(transaction, &request.response(refused.0)),
        }
    }

    /// RFC 3311: a re-INVITE's offer without its ACK, or a mere sign of life.
    fn updated(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request) {
        let answer = match request.body.is_empty() {
            true => Ok(bytes::Bytes::new()),
            // Glare with an INVITE of the peer that is not through yet (§5.2).
            false => match conv.leg(id).map(|leg| leg.call.takes_reinvite()) {
                Some(Err(status)) => Err(status),
                Some(Ok(())) | None => self.renegotiate(conv, id, &request.body).map_err(|refused| refused.0),
            },
        };
        match answer {
            Ok(body) => {
                let Some(leg) = conv.legs.get_mut(&id) else { return };
                let mut response = leg.call.accept_update(request, body);
                self.refreshed(conv, id, request, &mut response);
                self.respond(transaction, &response);
            }
            Err(status) => self.respond(transaction, &request.response(status)),
        }
    }

    /// The ACK to a 2xx of ours; a late offer's answer comes in it.
    pub fn acked(&mut self, conv: &mut Conversation, id: LegId, invite: Option<TransactionId>, request: &Request, flow: Flow) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if !leg.call.owns(request) {
            return;
        }
        // That answer says where audio goes. An ACK can't be challenged; the right one comes yet. Nor can it wait until it is known what the
        // names of a carrier's gateway stand for: it is believed.
        let may_be_there = leg.peer.is_trunk() && !leg.call.hosts().is_empty();
        if leg.negotiation.is_open() && !may_be_there && !self.is_there(leg, request, flow, &BTreeSet::new()) {
            return self.count("sip_foreign_requests_total{proven=\"false\"}");
        }
        let awaited = leg.call.awaits_ack_of();
        // An ACK of the first INVITE that comes again is none of the re-INVITE's.
        if invite.is_some() && awaited.is_some() && invite != awaited {
            return;
        }
        let first = awaited.is_some();
        let (_, bye) = leg.call.acked();
        if let Some((bye, to)) = bye {
            self.request(bye, to, super::hub::Purpose::Bye(id));
            return self.sweep(conv, id);
        }
        if !first || !leg.negotiation.is_open() || !leg.is_live() {
            return;
        }
        let was_held = leg.is_holding();
        let answer = Description::parse(&request.body).ok().and_then(|d| leg.negotiation.answered(&d).ok());
        match answer {
            Some(agreed) => self.agreed(conv, id, agreed, was_held),
            // Our offer without an answer: there is no session to have (§13.2.1).
            None => {
                leg.negotiation.withdraw();
                if leg.negotiation.agreed().is_none() {
                    self.leg_fails(conv, id, Cause::NotAcceptable);
                }
            }
        }
    }

    /// A peer never acknowledged our 2xx.
    pub fn unacked(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if let Some((bye, to)) = leg.call.unacked() {
            self.request(bye, to, super::hub::Purpose::Bye(id));
        }
        if leg.is_live() {
            self.left(conv, id, Cause::Lost);
        } else {
            self.sweep(conv, id);
        }
    }

    /// A leg is gone by its peer's will, or is dead: what that means for the conversation.
    pub fn left(&mut self, conv: &mut Conversation, id: LegId, cause: Cause) {
        let by = if cause == Cause::Normal { self.side(conv, id) } else { By::Switch };
        if let Some(leg) = conv.legs.get_mut(&id).filter(|leg| leg.is_live() && cause == Cause::Normal) {
            leg.hung_up_by = Some(by.clone());
        }
        self.carries_on(conv, id, cause, by.clone());
        if self.surveys(conv, id, cause) {
            self.ended_by_peer(conv, id, cause);
            return self.sweep(conv, id);
        }
        let bridged = conv.other(id).is_some();
        let is_subject = conv.subject == id;
        if conv.is_ending() || !(bridged || is_subject) {
            // A transferrer who hangs up, a loser of a fork, the second BYE of two that crossed.
            self.ended_by_peer(conv, id, cause);
            return self.sweep(conv, id);
        }
        // Before the leg is ended, so that the end knows the customer and its status.
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.cause = Some(cause);
            leg.call.ended_by_peer();
        }
        self.end(conv, cause, by);
    }

    /// A leg can't go on, by our judgement: it is told, and the conversation with it.
    pub fn leg_fails(&mut self, conv: &mut Conversation, id: LegId, cause: Cause) {
        self.leg_ends(conv, id, cause, By::Switch);
    }

    pub fn leg_ends(&mut self, conv: &mut Conversation, id: LegId, cause: Cause, by: By) {
        self.carries_on(conv, id, cause, by.clone());
        let matters = conv.subject == id || conv.other(id).is_some();
        if matters {
            self.end(conv, cause, by);
        } else {
            self.release(conv, id, cause, Status::TEMPORARILY_UNAVAILABLE, None);
        }
    }

    /// A browser's further candidates (RFC 8840), of which a lite agent needs none, or a digit as `application/dtmf-relay` (`Signal=5`) or
    /// `application/dtmf` (`5`): no standard, but every desk phone can send it.
    fn info(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request) {
        let kind = request.headers.content_type().ok().flatten();
        match &kind {
            Some(k) if k.is("application", "dtmf-relay") || k.is("application", "dtmf") => {}
            Some(k) if k.is("application", "trickle-ice-sdpfrag") => {
                if let Some(leg) = conv.legs.get_mut(&id) {
                    let candidates = leg.negotiation.trickle(&request.body);
                    if !candidates.is_empty() {
                        self.media(conv.worker, media::Command::Trickle { leg: id, candidates });
                    }
                }
                return self.respond(transaction, &request.response(Status::OK));
            }
            Some(_) => {
                let mut response = request.response(Status::UNSUPPORTED_MEDIA_TYPE);
                response
                    .headers
                    .push(HeaderName::Accept, "application/dtmf-relay, application/dtmf, application/trickle-ice-sdpfrag");
                return self.respond(transaction, &response);
            }
            // An empty INFO asks whether the dialog lives.
            None if request.body.is_empty() => return self.respond(transaction, &request.response(Status::OK)),
            None => {}
        }
        match keyed(request) {
            Some(digit) => {
                self.respond(transaction, &request.response(Status::OK));
                self.pass_key(conv, id, Key { digit, duration_ms: duration(request) }, Via::Info);
                self.digit(conv, id, digit);
            }
            None => self.respond(transaction, &request.response(Status::BAD_REQUEST)),
        }
    }

    pub fn digit(&mut self, conv: &mut Conversation, id: LegId, digit: char) {
        conv.forwards = 0;
        if self.refuses_recording(conv, id, digit) {
            return;
        }
        self.code_pressed(conv, id, digit);
        if conv.subject == id {
            // One of them takes it: a key that leads somewhere is no key for what is there.
            match &conv.stage {
                Stage::Leaving { .. } => self.leaving_digit(conv, digit),
                Stage::Listening { .. } => self.listening_event(conv, voicemail::Event::Digit(digit)),
                Stage::Studio { .. } => self.studio_event(conv, voicemail::studio::Event::Digit(digit)),
                Stage::LoggingIn { .. } => self.pin_digit(conv, digit),
                Stage::Queue { .. } => self.queue_digit(conv, digit),
                Stage::Arranging(_) => self.arranging_digit(conv, digit),
                _ => self.menu_event(conv, ivr::Event::Digit(digit)),
            }
        }
    }

    pub fn play_ended(&mut self, conv: &mut Conversation, leg: LegId, play: PlayId) {
        if self.played(conv, leg, play) {
            if let Some(announced) = conv.announced.as_mut().filter(|announced| announced.play == Some(play)) {
                announced.play = None;
            }
            return;
        }
        match &conv.stage {
            Stage::Menu { play: current, .. } if *current == play => self.menu_event(conv, ivr::Event::PlayEnded),
            Stage::Announcing { play: current, .. } if *current == play => self.announced(conv),
            Stage::Offering { play: current, .. } if *current == play => self.slot_said(conv),
            Stage::Queue { play: Some(current), .. } if *current == play => self.announced_in_queue(conv),
            Stage::Listening { play: current, .. } if *current == play => {
                self.listening_event(conv, voicemail::Event::PlayEnded);
            }
            Stage::Studio { play: current, .. } if *current == play => {
                self.studio_event(conv, voicemail::studio::Event::PlayEnded);
            }
            Stage::Leaving { said: Said::Nothing { play: current }, .. } if *current == play => self.greeted(conv),
            _ => {}
        }
    }

    fn referred(
        &mut self,
        conv: &mut Conversation,
        id: LegId,
        transaction: TransactionId,
        request: &Request,
    ) -> Option<Attended> {
        match self.refer_of(conv, id, request) {
            Ok((cseq, referred)) => {
                let refer = Refer { on: id, cseq };
                let mut response = request.response(Status::ACCEPTED);
                if let Some(leg) = conv.leg(id) {
                    response.headers.push(HeaderName::Contact, &leg.call.own().contact);
                }
                self.respond(transaction, &response);
                match referred {
                    Referred::To { target, other, to } => {
                        let by = self.side(conv, id);
                        self.transfer(conv, other, target, Transferring::of(conv, id, Some(refer), by, to));
                        None
                    }
                    Referred::Call(replaces) => {
                        self.notify(conv, Some(refer), super::transfer::Notice::Trying);
                        Some(Attended { refer, replaces })
                    }
                }
            }
            Err(status) => {
                self.respond(transaction, &request.response(status));
                None
            }
        }
    }

    /// What a REFER asks for, with its number, or why it is refused.
    fn refer_of(&mut self, conv: &Conversation, id: LegId, request: &Request) -> Result<(u32, Referred), Status> {
        let number = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let target = request.headers.refer_to().ok().flatten().ok_or(Status::BAD_REQUEST)?;
        let replaces = match target.uri.sip() {
            Some(uri) => crate::sip::Replaces::of_refer_to(uri).map_err(|_| Status::BAD_REQUEST)?,
            None => None,
        };
        if let Some(replaces) = replaces {
            return match self.is_obeyed(conv, id) {
                true => Ok((number, Referred::Call(replaces))),
                false => Err(Status::FORBIDDEN),
            };
        }
        let to = target.uri.dialled().ok_or(Status::UNSUPPORTED_URI_SCHEME)?;
        let (target, other) = self.may_transfer(conv, id, &to, true).map_err(|(status, _)| status)?;
        Ok((number, Referred::To { target, other, to }))
    }
}

/// What a REFER asks for.
enum Referred {
    /// A blind transfer.
    To { target: crate::route::Target, other: LegId, to: String },
    /// An attended one: the other call of its sender.
    Call(crate::sip::Replaces),
}
