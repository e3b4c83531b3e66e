//! Sessions that are kept alive by refreshing them (RFC 4028), by the peer or by us, and that end when nobody does.

use std::time::Duration;

use super::hub::{Cx, Purpose};
use crate::clock::Mono;
use crate::conversation::{Conversation, InfoKeys};
use crate::dialog::{Asked, MIN_SE, Session, SessionTimer};
use crate::ids::LegId;
use crate::route::Cause;
use crate::sdp::{Description, Direction};
use crate::sip::{HeaderName, Method, Request, Response, Status};
use crate::transaction::TransactionId;

/// A refresh that could not be sent, or was refused for a reason that may pass, is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

impl Cx<'_> {
    /// A re-INVITE or UPDATE that was taken: the time runs anew, or no more if it asks for none (§10).
    pub fn refreshed(&mut self, conv: &mut Conversation, id: LegId, request: &Request, response: &mut Response) {
        let timer = match Asked::by(request) {
            Asked::Timer(timer) => Some(timer),
            Asked::Nothing | Asked::TooShort => None,
        };
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.session = granted(timer, response, self.now.mono);
        }
    }

    /// The refusal of an interval that is too short, with the shortest that we take (§6).
    pub fn too_short(&self, mut response: Response) -> Response {
        debug_assert_eq!(response.status, Status::SESSION_INTERVAL_TOO_SMALL);
        response.headers.push(HeaderName::MinSe, MIN_SE);
        response
    }

    /// The 2xx to our INVITE: what timer its session has.
    pub fn session_begins(&mut self, conv: &mut Conversation, id: LegId, response: &Response) {
        let now = self.now.mono;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.session = SessionTimer::granted_by(response).map(|timer| timer.begin(now));
        leg.takes_update = response.headers.lists(&HeaderName::Allow, "UPDATE");
        leg.info = InfoKeys::of(&response.headers);
    }

    /// Our INVITE asked for an interval that is too short for the peer (422): once more with its own.
    pub fn asks_again(&mut self, conv: &mut Conversation, id: LegId, refusal: &Response) -> bool {
        let Some(leg) = conv.legs.get_mut(&id) else { return false };
        let Some(sent) = leg.call.invite().filter(|_| leg.call.is_inviting()).cloned() else { return false };
        let longer = |again: &mut Request| SessionTimer::ask_again(again, refusal).is_some();
        self.again(&mut leg.call, sent, Purpose::Invite(id), longer).is_some()
    }

    /// Sessions that are to be refreshed by us are; those that nobody has refreshed in time are over.
    pub fn sessions_due(&mut self, conv: &mut Conversation) {
        let now = self.now.mono;
        let due: Vec<LegId> =
            conv.legs.values().filter(|l| l.session.is_some_and(|s| s.deadline() <= now)).map(|l| l.id).collect();
        for id in due {
            let Some(leg) = conv.legs.get_mut(&id) else { continue };
            let Some(session) = &mut leg.session else { continue };
            if session.until <= now {
                leg.session = None;
                if leg.is_answered() {
                    self.count("sip_sessions_expired_total");
                    self.leg_fails(conv, id, Cause::Lost);
                }
                continue;
            }
            session.refresh_at = None;
            if leg.is_answered() {
                self.refresh(conv, id);
            }
        }
    }

    /// Without a description where the peer takes UPDATE; else an INVITE that says what is agreed on already.
    fn refresh(&mut self, conv: &mut Conversation, id: LegId) {
        let later = self.now.mono + AGAIN;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let Some(timer) = leg.session.map(|s| s.timer) else { return };
        let request = match leg.takes_update {
            true => leg.call.request(Method::Update),
            // Another INVITE is under way: after it.
            false if leg.call.takes_reinvite().is_err() => None,
            false => {
                let agreed = leg.negotiation.agreed().cloned();
                let direction = agreed.as_ref().map_or(Direction::SendRecv, |a| Direction::of(a.send, a.receive));
                let body = leg.negotiation.offer(&self.codecs(agreed.map(|a| a.codec)), direction);
                leg.call.reinvite(body)
            }
        };
        match request {
            Some((mut request, to)) => {
                timer.refresh(&mut request);
                let transaction = self.request(request, to, Purpose::Refresh(id));
                if let Some(leg) = conv.legs.get_mut(&id) {
                    leg.call.reinvite_sent(transaction);
                }
            }
            None => {
                if let Some(session) = &mut leg.session {
                    session.refresh_at = Some(later);
                }
            }
        }
    }

    /// What the peer says to our refresh.
    pub fn refresh_answered(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, response: &Response) {
        if response.status.is_provisional() {
            return;
        }
        let now = self.now.mono;
        let is_invite = response.headers.cseq().is_ok_and(|c| c.method == Method::Invite);
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let was_held = leg.is_holding();
        let ack = if is_invite { leg.call.reinvite_answered(response.status) } else { None };
        if let Some((ack, to)) = ack {
            self.ack(transaction, &ack, to);
        }
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if !leg.is_live() {
            return;
        }
        if response.status.is_success() {
            leg.session = SessionTimer::granted_by(response).map(|timer| timer.begin(now));
            if is_invite {
                let answered = Description::parse(&response.body).ok().and_then(|d| leg.negotiation.answered(&d).ok());
                match answered {
                    Some(agreed) => self.agreed(conv, id, agreed, was_held),
                    None => leg.negotiation.withdraw(),
                }
            }
            return;
        }
        if is_invite {
            leg.negotiation.withdraw();
        }
        // RFC 3261 §14.1: the one who owns the Call-ID waits longer.
        let glare = match leg.call.is_callers() {
            true => self.hub.chance.below(200) * 10,
            false => 2_100 + self.hub.chance.below(190) * 10,
        };
        let Some(session) = &mut leg.session else { return };
        match response.status {
            // The dialog is gone (§10, RFC 5057 §5.1).
            Status::CALL_TRANSACTION_DOES_NOT_EXIST | Status::REQUEST_TIMEOUT => self.leg_fails(conv, id, Cause::Lost),
            Status::REQUEST_PENDING => session.refresh_at = Some(now + Duration::from_millis(glare)),
            Status::SESSION_INTERVAL_TOO_SMALL => {
                if let Some(slower) = session.timer.slower(response) {
                    *session = Session { timer: slower, refresh_at: Some(now), until: session.until };
                }
            }
            // It said that it takes UPDATE, and does not.
            Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED if !is_invite => {
                session.refresh_at = Some(now);
                leg.takes_update = false;
            }
            // Whatever it has against the refresh, it is there and knows the call. It may say when to ask again, as it does where offers
            // cross (RFC 3311 §5.2): for it the session still ends when it would have.
            _ => {
                let until = session.until;
                *session = session.timer.begin(now);
                if let Ok(Some(seconds)) = response.headers.retry_after() {
                    let wanted = now + Duration::from_secs(seconds.max(1).into());
                    session.refresh_at = session.refresh_at.map(|at| at.min(wanted));
                    session.until = until;
                }
            }
        }
    }

    /// Our refresh has no answer and will have none.
    pub fn refresh_failed(&mut self, conv: &mut Conversation, id: LegId, cause: Cause) {
        let again = self.now.mono + AGAIN;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if leg.call.has_reinvited() {
            leg.call.reinvite_answered(Status::REQUEST_TIMEOUT);
            leg.negotiation.withdraw();
        }
        if !leg.is_answered() {
            return;
        }
        match (cause, &mut leg.session) {
            // The phone may come by another connection yet.
            (Cause::Unreachable, Some(session)) => session.refresh_at = Some(again),
            (_, Some(_)) => self.leg_fails(conv, id, Cause::Lost),
            (_, None) => {}
        }
    }
}

/// Says in a 2xx what is granted, and begins it.
pub(super) fn granted(timer: Option<SessionTimer>, response: &mut Response, now: Mono) -> Option<Session> {
    let timer = timer?;
    timer.grant(response);
    Some(timer.begin(now))
}
