//! A call before its answer: early dialogs (RFC 3261 §12.1), of the peer that calls, or of those that ring.
//!
//! Call-ID and tags of it can be overheard as later ones can. What a request there may change is asked of [`Call::owns_early`]; from where
//! it may come, of [`Call::names`].

use bytes::Bytes;

use super::Dialog;
use super::call::{Call, State};
use super::reliable::rseq;
use crate::sip::{Flow, HeaderName, Method, Request, Response, Status};

/// A fork's branches that are told apart; a phone rings a handful of devices.
const MOST_EARLY: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Early {
    pub dialog: Dialog,
    /// RSeq of the last response that was taken (RFC 3262 §4).
    rseq: u32,
    /// The answer to our offer: the first description that came in it.
    answer: Option<Bytes>,
}

/// What a provisional response to our INVITE is.
#[allow(clippy::large_enum_variant, reason = "returned and matched at once, never stored")]
#[derive(Debug)]
pub enum Provisional {
    Plain,
    /// Send this PRACK that way.
    Reliable(Request, Flow),
    /// It came before, or one before it has not come: nothing is made of it.
    OutOfOrder,
}

impl Call {
    /// A request of the peer in an early dialog, by its tag.
    pub fn owns_early(&self, request: &Request) -> bool {
        let from = request.headers.from_tag().ok().flatten();
        let is_its = from.is_some() && (self.is_invited() || self.is_inviting()) && self.peer_tag() == from;
        is_its || self.is_of_another_fork(request)
    }

    /// It is of an early dialog of our INVITE, but not of the first one, whose description is heard.
    pub fn is_of_another_fork(&self, request: &Request) -> bool {
        let Ok(Some(from)) = request.headers.from_tag() else { return false };
        self.is_inviting() && self.peer_tag().as_ref() != Some(&from) && self.early.iter().any(|e| e.dialog.remote_tag() == from)
    }

    /// A request of the peer in an early dialog: whose it is and its order are checked here (§12.2.2). Of PRACKs the order says RAck: one
    /// that was overtaken on its way is as good as any, and counts when that is found right ([`acknowledged_early`](Call::acknowledged_early)).
    pub fn receive_early(&mut self, request: &Request, flow: Flow) -> Result<(), Status> {
        if !self.owns_early(request) {
            return Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST);
        }
        if self.is_of_another_fork(request) {
            let from = request.headers.from_tag().ok().flatten().unwrap_or_default();
            let early = self.early.iter_mut().find(|e| e.dialog.remote_tag() == from);
            return early.map_or(Ok(()), |early| early.dialog.receive(request, flow));
        }
        let number = request.headers.cseq().map_err(|e| e.status())?.number;
        if request.method == Method::Prack {
            return Ok(());
        }
        if self.early_cseq.is_some_and(|last| number <= last) {
            return Err(Status::SERVER_INTERNAL_ERROR);
        }
        self.early_cseq = Some(number);
        Ok(())
    }

    /// This PRACK of the caller is for a response of ours that waited for it: what comes after it has a higher number.
    pub fn acknowledged_early(&mut self, prack: &Request) {
        if self.is_invited()
            && let Ok(cseq) = prack.headers.cseq()
        {
            self.early_cseq = self.early_cseq.max(Some(cseq.number));
        }
    }

    /// A provisional response to our INVITE.
    pub fn rings(&mut self, response: &Response) {
        let tag = response.headers.to_tag().ok().flatten();
        if self.early_tag.is_none() {
            self.early_tag.clone_from(&tag);
        }
        if tag.is_none() || tag != self.early_tag {
            return;
        }
        for name in [HeaderName::Contact, HeaderName::RecordRoute] {
            if response.headers.contains(&name) {
                self.early_names.remove(&name);
                self.early_names.copy(&name, &response.headers);
            }
        }
    }

    /// A provisional response to our INVITE, which its sender may want acknowledged (RFC 3262 §4).
    pub fn provisional_came(&mut self, response: &Response, heard_on: Flow) -> Provisional {
        let State::Inviting { invite, flow, .. } = &self.state else { return Provisional::OutOfOrder };
        let Some(rseq) = rseq(response) else { return Provisional::Plain };
        let flow = if heard_on.transport == flow.transport { heard_on } else { *flow };
        // Without a tag there is no dialog to send it in.
        let Ok(dialog) = Dialog::answered(invite, response, flow, self.reach) else { return Provisional::Plain };
        let cseq = invite.headers.cseq().map_or(1, |c| c.number);
        let known = self.early.iter().position(|e| e.dialog.remote_tag() == dialog.remote_tag());
        let at = known.unwrap_or(self.early.len());
        if known.is_none() {
            if at >= MOST_EARLY {
                return Provisional::Plain;
            }
            self.early.push(Early { dialog, rseq: rseq.wrapping_sub(1), answer: None });
        }
        let Some(early) = self.early.get_mut(at) else { return Provisional::Plain };
        if rseq != early.rseq.wrapping_add(1) {
            return Provisional::OutOfOrder;
        }
        early.rseq = rseq;
        if early.answer.is_none() && !response.body.is_empty() {
            early.answer = Some(response.body.clone());
        }
        let mut prack = early.dialog.request(Method::Prack);
        prack.headers.push(HeaderName::RAck, format!("{rseq} {cseq} INVITE"));
        Provisional::Reliable(prack, early.dialog.next_hop())
    }

    /// What the sender of a 2xx to our INVITE has answered in a reliable response, where that is another one than whom we have heard: its 2xx
    /// need not say it again (RFC 3262 §5).
    pub fn answer_of_another_fork(&self, response: &Response) -> Option<Bytes> {
        let tag = response.headers.to_tag().ok()??;
        let early = self.early.iter().find(|e| e.dialog.remote_tag() == tag && self.early_tag.as_ref() != Some(&tag))?;
        early.answer.clone()
    }

    /// A request of the caller in the early dialog has said where it is reached from now on (RFC 3311 §5.2: a target refresh).
    pub fn early_target(&mut self, request: &Request) {
        if let (State::Invited { invite, .. }, Some(contact)) = (&mut self.state, request.headers.get(&HeaderName::Contact)) {
            invite.headers.set(HeaderName::Contact, contact);
        }
    }
}
