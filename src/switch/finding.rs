//! Whose a message is: the leg, and the call of ours that has come back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;

use super::incoming::Returned;
use super::{Output, Switch};
use crate::clock::Now;
use crate::conversation::Leg;
use crate::dialog::Key;
use crate::ids::LegId;
use crate::sip::{Flow, Method, Request, Status};
use crate::transaction::TransactionId;

impl Switch {
    /// A request with a tag in To. `resolved`: what the host names of its dialog stand for, once they were asked for.
    pub(super) fn within_dialog(
        &mut self,
        id: TransactionId,
        request: Request,
        flow: Flow,
        resolved: Option<&BTreeSet<IpAddr>>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.hub.asked = request.least_len();
        if request.method == Method::Subscribe
            && let Some(subscription) = self.hub.presence.find(&request)
        {
            return self.cx(now, out).resubscribed(subscription, id, &request, flow);
        }
        let leg = self.leg_of(&request);
        match leg.and_then(|leg| Some((leg, self.conversation_of(leg)?))) {
            Some((leg, conversation)) => {
                let wish = self.with(conversation, now, out, |cx, conv| {
                    match cx.is_of_the_leg(conv, leg, id, &request, flow, resolved) {
                        true => cx.in_dialog(conv, leg, id, &request, flow),
                        false => None,
                    }
                });
                if let Some(Some(wish)) = wish {
                    self.attended(conversation, wish, now, out);
                }
            }
            None => {
                let mut cx = self.cx(now, out);
                let there = flow.remote.ip().to_canonical();
                let departing = leg.and_then(|leg| cx.hub.departing.get_mut(&leg));
                let nothing = BTreeSet::new();
                let names = resolved.unwrap_or(&nothing);
                let is_known = departing.as_ref().is_some_and(|d| d.call.owns(&request) && d.call.names(there, names));
                // A BYE that crosses ours is answered kindly; anything else is late.
                let status = match departing {
                    Some(departing) if request.method == Method::Bye && departing.call.owns(&request) => {
                        departing.call.ended_by_peer();
                        Status::OK
                    }
                    Some(_) | None => Status::CALL_TRANSACTION_DOES_NOT_EXIST,
                };
                let response = request.response(status);
                match is_known {
                    true => cx.respond_stateless_to_known(id, &response),
                    false => cx.respond_stateless(id, &response),
                }
            }
        }
    }

    /// The call of ours that an INVITE is, where it has come back.
    pub(super) fn returned(&self, request: &Request) -> Option<Returned> {
        let call_id = request.headers.call_id().ok()?.clone();
        let tag = request.headers.from_tag().ok()??;
        let leg = *self.hub.index.keys.get(&Key { call_id, tag })?;
        let conversation = self.conversations.get(&self.conversation_of(leg)?)?;
        let sent = conversation.leg(leg)?.call.invite()?;
        Some(Returned { number: sent.uri.dialled()?, diverted: conversation.diverted.clone() })
    }

    /// The leg that a request within a dialog belongs to: by Call-ID and our tag.
    pub(super) fn leg_of(&self, request: &Request) -> Option<LegId> {
        let call_id = request.headers.call_id().ok()?.clone();
        let tag = request.headers.to_tag().ok()??;
        self.hub.index.keys.get(&Key { call_id, tag }).copied()
    }

    /// The leg whose INVITE this transaction is. The CANCEL has its Call-ID, but not our tag yet.
    pub(super) fn leg_invited_in(&self, invite: TransactionId, cancel: &Request) -> Option<LegId> {
        let call_id = cancel.headers.call_id().ok()?.clone();
        let from = Key { call_id: call_id.clone(), tag: Bytes::new() };
        let candidates = self.hub.index.keys.range(from..).take_while(|(key, _)| key.call_id == call_id);
        candidates.map(|(_, leg)| *leg).find(|leg| {
            let conversation = self.conversation_of(*leg).and_then(|c| self.conversations.get(&c));
            let unanswered = |l: &Leg| {
                l.call.is_invited_in(invite) || l.call.awaits_ack_of() == Some(invite) && l.provisionals.holds_success()
            };
            conversation.and_then(|c| c.leg(*leg)).is_some_and(unanswered)
        })
    }
}
