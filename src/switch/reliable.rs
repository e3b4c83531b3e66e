//! Reliable provisional responses (RFC 3262), in both roles.

use super::hub::{ALLOW, Cx, Purpose};
use crate::conversation::Conversation;
use crate::dialog::Provisional;
use crate::dialog::reliable::Overdue;
use crate::event::By;
use crate::ids::LegId;
use crate::route::Cause;
use crate::sip::{Flow, HeaderName, Request, Response, Status};
use crate::transaction::TransactionId;

impl Cx<'_> {
    /// Sends a provisional response, as reliably as the caller wants it.
    pub fn provisional(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, response: Response) {
        let now = self.now.mono;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let mut response = response;
        // Whether an UPDATE may come before the 2xx (RFC 3311 §5.1).
        response.headers.push(HeaderName::Allow, ALLOW);
        if let Some(response) = leg.provisionals.provisional(transaction, response, now) {
            self.respond(transaction, &response);
        }
    }

    /// The caller's acknowledgement. An offer in it (§5) is answered as an UPDATE's.
    pub fn pracked(&mut self, conv: &mut Conversation, id: LegId, transaction: TransactionId, request: &Request, flow: Flow) {
        let now = self.now.mono;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let in_order = match leg.call.is_invited() {
            true => leg.call.receive_early(request, flow),
            false => leg.call.receive(request, flow),
        };
        let next = in_order.and_then(|()| {
            let unknown = |_| Status::CALL_TRANSACTION_DOES_NOT_EXIST;
            let next = leg.provisionals.acknowledged(request, now).map_err(unknown)?;
            leg.call.acknowledged_early(request);
            Ok(next)
        });
        let next = match next {
            Ok(next) => next,
            Err(status) => return self.respond(transaction, &request.response(status)),
        };
        let mut response = request.response(Status::OK);
        if !request.body.is_empty() {
            let answered = match conv.leg(id).is_none_or(|leg| leg.is_answered() || leg.has_described()) {
                true => self.renegotiate(conv, id, &request.body),
                // The INVITE's own offer has no answer yet.
                false => Err(super::bridging::Refused(Status::NOT_ACCEPTABLE_HERE)),
            };
            match answered {
                Ok(body) => {
                    if let Some(leg) = conv.legs.get_mut(&id).filter(|leg| leg.call.is_invited()) {
                        leg.early = Some(bytes::Bytes::new());
                    }
                    response.headers.push(HeaderName::ContentType, "application/sdp");
                    response.body = body;
                }
                Err(refused) => response = request.response(refused.0),
            }
        }
        self.respond(transaction, &response);
        if let Some((transaction, response)) = next {
            self.respond(transaction, &response);
        }
    }

    /// What was not acknowledged is sent again, or given up.
    pub fn provisionals_due(&mut self, conv: &mut Conversation) {
        let now = self.now.mono;
        let due: Vec<LegId> =
            conv.legs.values().filter(|l| l.provisionals.deadline().is_some_and(|at| at <= now)).map(|l| l.id).collect();
        for id in due {
            let overdue = conv.legs.get_mut(&id).and_then(|leg| leg.provisionals.overdue(now));
            match overdue {
                Some(Overdue::Resend(transaction, response)) => self.respond(transaction, &response),
                Some(Overdue::Lost(Some((transaction, response)))) => self.respond(transaction, &response),
                // §3: the INVITE is refused.
                Some(Overdue::Lost(None)) if conv.subject == id => {
                    self.end_with(conv, Cause::Lost, Some(Status::SERVER_TIME_OUT), By::Switch);
                }
                Some(Overdue::Lost(None)) | None => {}
            }
        }
    }

    /// A provisional response to an INVITE of ours: acknowledged if its sender wants it so. Whether anything is to be made of it.
    pub fn provisional_came(&mut self, conv: &mut Conversation, id: LegId, response: &Response, flow: Flow) -> bool {
        let Some(leg) = conv.legs.get_mut(&id) else { return false };
        match leg.call.provisional_came(response, flow) {
            Provisional::Plain => true,
            Provisional::Reliable(prack, to) => {
                self.request(prack, to, Purpose::Told(id));
                true
            }
            Provisional::OutOfOrder => false,
        }
    }
}
