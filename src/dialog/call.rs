//! A leg's INVITE usage, as callee or caller.
//!
//! ```text
//! callee: Invited ──answer──▶ Answered ──acked──▶ Confirmed ──hang_up──▶ Leaving ──answered, or the peer's BYE──▶ Over
//!            └─refuse/CANCEL─▶ Over   └─hang_up─▶ (BYE waits for the ACK, §15) ─▶ Over
//! caller: Inviting ──2xx──▶ Confirmed ─────────────────────────▶ Over
//!            ├─3xx–6xx, nothing reached─▶ Over
//!            └─hang_up─▶ Cancelled ──2xx: ACK and BYE──▶ Over
//! ```
//!
//! In `Leaving` our BYE is on its way: the peer's own, if they cross, is answered as one of a dialog that we know.
//!
//! A re-INVITE of the peer is answered within `Confirmed`; until its ACK another one gets 491. The media side (offer and answer) is
//! the owner's.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::dialog::{address_of, said};
use super::early::Early;
use super::{Dialog, Moved, NoDialog, Reach};
use crate::sip::{Flow, HeaderName, Headers, Method, NameAddr, Reason, Request, Response, SipUri, Status, Uri, is_private};
use crate::transaction::TransactionId;

/// What finds a call for an in-dialog request: Call-ID and our tag. Ours alone is unique, and an early dialog has no other tag yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub call_id: Bytes,
    pub tag: Bytes,
}

/// What we say of ourselves in a leg: tag and Contact, for its whole life.
#[derive(Clone, Debug)]
pub struct Own {
    pub tag: String,
    pub contact: NameAddr,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub(super) own: Own,
    key: Key,
    pub(super) reach: Reach,
    /// The peer sent the INVITE.
    peer_invited: bool,
    /// The tag of the peer that rings, by the first response that had one.
    pub(super) early_tag: Option<Bytes>,
    /// Contact and Record-Route of that one's responses, as far as it has said them.
    pub(super) early_names: Headers,
    /// CSeq of the peer's last request before the answer: its INVITE's, or one in the early dialog. `None` until it has sent one.
    pub(super) early_cseq: Option<u32>,
    /// Early dialogs of our INVITE in which a reliable provisional response was acknowledged: a fork has several.
    pub(super) early: Vec<Early>,
    /// Tags of the forks that have lost, with the numbers of our last requests to them, the PRACKs.
    lost_forks: Vec<(Bytes, u32)>,
    /// An INVITE of ours within the dialog that has no final answer.
    reinvite: Option<Reinvite>,
    pub(super) state: State,
}

/// An INVITE that waits for its final response: the peer's to us, or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    Theirs(TransactionId),
    Ours(TransactionId),
}

#[derive(Clone, Debug)]
struct Reinvite {
    cseq: u32,
    /// What it went out with: its ACK has the same.
    credentials: Headers,
    /// While somebody waits for its answer.
    transaction: Option<TransactionId>,
}

impl Reinvite {
    fn of(request: &Request, transaction: Option<TransactionId>) -> Option<Reinvite> {
        let cseq = request.headers.cseq().ok()?.number;
        let mut credentials = Headers::with_capacity(0);
        credentials.copy_credentials(&request.headers);
        Some(Reinvite { cseq, credentials, transaction })
    }
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Invited {
        transaction: TransactionId,
        invite: Box<Request>,
        flow: Flow,
    },
    Answered {
        transaction: TransactionId,
        dialog: Box<Dialog>,
        /// A BYE is to follow the ACK.
        leaving: Option<Option<Reason>>,
    },
    Inviting {
        transaction: TransactionId,
        invite: Box<Request>,
        flow: Flow,
    },
    Cancelled {
        invite: Box<Request>,
        flow: Flow,
    },
    Confirmed {
        dialog: Box<Dialog>,
        /// A re-INVITE of the peer that we answered with 2xx and that is not acknowledged yet.
        unacked: Option<TransactionId>,
    },
    /// Our BYE is out, and not answered.
    Leaving {
        dialog: Box<Dialog>,
    },
    Over,
}

/// What is to be sent so that a leg ends.
#[allow(clippy::large_enum_variant, reason = "returned and matched at once, never stored")]
#[derive(Debug)]
pub enum Hangup {
    /// Final response in the INVITE's server transaction.
    Refuse(TransactionId, Response),
    /// CANCEL of our INVITE.
    Cancel(TransactionId),
    /// In the dialog, this way.
    Bye(Request, Flow),
    /// Nothing now; [`Call::acked`] or [`Call::unacked`] gives the BYE.
    AfterAck,
    /// It is over already.
    Nothing,
}

/// What a final answer to our INVITE made of it.
#[allow(clippy::large_enum_variant, reason = "returned and matched at once, never stored")]
#[derive(Debug)]
pub enum Progress {
    /// Send this ACK that way; the dialog stands.
    Established { ack: Request, to: Flow },
    /// We had given up: send the ACK, then the BYE.
    TooLate { ack: Request, bye: Request, to: Flow },
    /// A 2xx that makes no dialog (no tag, no Contact): nothing can be sent.
    Unusable(NoDialog),
    /// Not for this state.
    Ignored,
}

impl Call {
    /// The peer invites us.
    pub fn invited(transaction: TransactionId, invite: Request, flow: Flow, reach: Reach, own: Own) -> Call {
        let key = Key { call_id: invite.headers.call_id().cloned().unwrap_or_default(), tag: Bytes::from(own.tag.clone()) };
        Call {
            own,
            key,
            reach,
            peer_invited: true,
            early_tag: None,
            early_names: Headers::with_capacity(0),
            early_cseq: invite.headers.cseq().ok().map(|c| c.number),
            early: Vec::new(),
            lost_forks: Vec::new(),
            reinvite: None,
            state: State::Invited { transaction, invite: Box::new(invite), flow },
        }
    }

    /// We invite the peer: `invite` is what was handed to the transaction, its From carrying our tag.
    pub fn inviting(transaction: TransactionId, invite: Request, flow: Flow, reach: Reach, own: Own) -> Call {
        let key = Key { call_id: invite.headers.call_id().cloned().unwrap_or_default(), tag: Bytes::from(own.tag.clone()) };
        Call {
            own,
            key,
            reach,
            peer_invited: false,
            early_tag: None,
            early_names: Headers::with_capacity(0),
            early_cseq: None,
            early: Vec::new(),
            lost_forks: Vec::new(),
            reinvite: None,
            state: State::Inviting { transaction, invite: Box::new(invite), flow },
        }
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    pub fn own(&self) -> &Own {
        &self.own
    }

    /// The INVITE waits for our final response.
    pub fn is_invited(&self) -> bool {
        matches!(self.state, State::Invited { .. })
    }

    /// The INVITE that waits for our final response is this transaction's.
    pub fn is_invited_in(&self, id: TransactionId) -> bool {
        matches!(&self.state, State::Invited { transaction, .. } if *transaction == id)
    }

    /// Our INVITE waits for a final response.
    pub fn is_inviting(&self) -> bool {
        matches!(self.state, State::Inviting { .. })
    }

    /// A 2xx has passed, in either direction, and the call is not over.
    pub fn is_answered(&self) -> bool {
        matches!(self.state, State::Answered { .. } | State::Confirmed { .. })
    }

    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The INVITE that began it, while it is not answered.
    pub fn invite(&self) -> Option<&Request> {
        match &self.state {
            State::Invited { invite, .. } | State::Inviting { invite, .. } | State::Cancelled { invite, .. } => Some(invite),
            State::Answered { .. } | State::Confirmed { .. } | State::Leaving { .. } | State::Over => None,
        }
    }

    /// Who sent the INVITE: the peer, or we.
    pub fn is_callers(&self) -> bool {
        self.peer_invited
    }

    /// The peer's tag, as far as it is known.
    pub fn peer_tag(&self) -> Option<Bytes> {
        match &self.state {
            State::Invited { invite, .. } => invite.headers.from_tag().ok()?,
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => {
                Some(Bytes::copy_from_slice(dialog.remote_tag()))
            }
            State::Inviting { .. } | State::Cancelled { .. } | State::Over => self.early_tag.clone(),
        }
    }

    fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match &mut self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } => Some(dialog),
            State::Invited { .. } | State::Inviting { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => {
                None
            }
        }
    }

    /// Where the peer is heard, or is called.
    pub fn flow(&self) -> Option<&Flow> {
        match &self.state {
            State::Invited { flow, .. } | State::Inviting { flow, .. } | State::Cancelled { flow, .. } => Some(flow),
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => Some(dialog.flow()),
            State::Over => None,
        }
    }

    /// A response to the INVITE that waits, with our tag and Contact.
    pub fn provisional(&self, status: Status) -> Option<(TransactionId, Response)> {
        match &self.state {
            State::Invited { transaction, invite, .. } => {
                let mut response = invite.response_with_tag(status, &self.own.tag);
                response.headers.push(HeaderName::Contact, &self.own.contact);
                Some((*transaction, response))
            }
            State::Answered { .. }
            | State::Inviting { .. }
            | State::Cancelled { .. }
            | State::Confirmed { .. }
            | State::Leaving { .. }
            | State::Over => None,
        }
    }

    /// 183 with a body: media before the answer.
    pub fn progress(&self, body: Bytes) -> Option<(TransactionId, Response)> {
        let (transaction, mut response) = self.provisional(Status::SESSION_PROGRESS)?;
        describe(&mut response, body);
        Some((transaction, response))
    }

    /// 200 with a body. The transaction repeats it until [`Call::acked`].
    pub fn answer(&mut self, body: Bytes) -> Result<Option<(TransactionId, Response)>, NoDialog> {
        let State::Invited { transaction, invite, flow } = &self.state else { return Ok(None) };
        let mut dialog = Dialog::accepted(invite, &self.own.tag, *flow, self.reach)?;
        dialog.peer_counts_from(self.early_cseq);
        let mut response = invite.response_with_tag(Status::OK, &self.own.tag);
        response.headers.push(HeaderName::Contact, &self.own.contact);
        describe(&mut response, body);
        let transaction = *transaction;
        self.state = State::Answered { transaction, dialog: Box::new(dialog), leaving: None };
        Ok(Some((transaction, response)))
    }

    /// The ACK to our 2xx came, of the first INVITE or of a re-INVITE: its transaction, and the BYE that waited for it.
    pub fn acked(&mut self) -> (Option<TransactionId>, Option<(Request, Flow)>) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Answered { transaction, dialog, leaving } => match leaving {
                Some(reason) => (Some(transaction), Some(self.leave(dialog, reason))),
                None => {
                    self.state = State::Confirmed { dialog, unacked: None };
                    (Some(transaction), None)
                }
            },
            State::Confirmed { dialog, unacked } => {
                self.state = State::Confirmed { dialog, unacked: None };
                (unacked, None)
            }
            other @ (State::Invited { .. }
            | State::Inviting { .. }
            | State::Cancelled { .. }
            | State::Leaving { .. }
            | State::Over) => {
                self.state = other;
                (None, None)
            }
        }
    }

    /// The peer never acknowledged our 2xx (§13.3.1.4): the session is to be ended with this BYE.
    pub fn unacked(&mut self) -> Option<(Request, Flow)> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Answered { dialog, leaving, .. } => Some(self.leave(dialog, leaving.flatten())),
            State::Confirmed { dialog, unacked: Some(_) } => Some(self.leave(dialog, None)),
            other @ (State::Confirmed { .. }
            | State::Invited { .. }
            | State::Inviting { .. }
            | State::Cancelled { .. }
            | State::Leaving { .. }
            | State::Over) => {
                self.state = other;
                None
            }
        }
    }

    /// The server transaction whose 2xx is not acknowledged yet.
    pub fn awaits_ack_of(&self) -> Option<TransactionId> {
        match &self.state {
            State::Answered { transaction, .. } => Some(*transaction),
            State::Confirmed { unacked, .. } => *unacked,
            State::Invited { .. } | State::Inviting { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => {
                None
            }
        }
    }

    /// A request of ours once more, after a refusal that it can be mended for (§8.1.3.5, §22.2): the same Call-ID, the next CSeq. Its way;
    /// nothing where there is no use for it any more.
    pub fn again(&mut self, request: &mut Request) -> Option<Flow> {
        let to = self.goes_again_to(request)?;
        request.headers.remove(&HeaderName::Via);
        let method = request.method.clone();
        let number = match &mut self.state {
            State::Inviting { invite, .. } if method == Method::Invite => invite.headers.cseq().ok()?.number.checked_add(1)?,
            State::Inviting { .. } => {
                let tag = request.headers.to_tag().ok()??;
                self.early.iter_mut().find(|e| e.dialog.remote_tag() == tag)?.dialog.next_cseq()
            }
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => dialog.next_cseq(),
            State::Invited { .. } | State::Cancelled { .. } | State::Over => return None,
        };
        request.headers.set(HeaderName::CSeq, crate::sip::CSeq::new(number, method));
        Some(to)
    }

    /// Where [`again`](Call::again) would send it.
    pub fn goes_again_to(&self, request: &Request) -> Option<Flow> {
        match &self.state {
            State::Inviting { flow, .. } if request.method == Method::Invite => Some(*flow),
            State::Inviting { .. } => {
                let tag = request.headers.to_tag().ok()??;
                self.early.iter().find(|e| e.dialog.remote_tag() == tag).map(|e| e.dialog.next_hop())
            }
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } => Some(dialog.next_hop()),
            State::Leaving { dialog } if request.method == Method::Bye => Some(dialog.next_hop()),
            State::Invited { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => None,
        }
    }

    /// It is on its way in this transaction.
    pub fn sent_again(&mut self, transaction: TransactionId, request: Request, to: Flow) {
        if request.method != Method::Invite {
            return;
        }
        match &mut self.state {
            State::Inviting { transaction: current, invite, flow } => {
                self.early.clear();
                (self.early_tag, self.early_cseq) = (None, None);
                self.early_names = Headers::with_capacity(0);
                (*current, **invite, *flow) = (transaction, request, to);
            }
            State::Answered { .. } | State::Confirmed { .. } => {
                self.reinvite = Reinvite::of(&request, Some(transaction));
            }
            State::Invited { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => {}
        }
    }

    /// Where our requests to another fork than the one that was taken have got to, if it had any: its BYE goes on from there.
    pub fn fork_counted_to(&self, tag: &[u8]) -> Option<u32> {
        self.lost_forks.iter().find(|(fork, _)| fork == tag).map(|(_, cseq)| *cseq)
    }

    /// A 2xx to our INVITE.
    pub fn established(&mut self, response: &Response, heard_on: Flow) -> Progress {
        let (invite, flow, wanted) = match &self.state {
            State::Inviting { invite, flow, .. } => (invite, flow, true),
            State::Cancelled { invite, flow } => (invite, flow, false),
            State::Invited { .. } | State::Answered { .. } | State::Confirmed { .. } | State::Leaving { .. } | State::Over => {
                return Progress::Ignored;
            }
        };
        let cseq = invite.headers.cseq().map_or(1, |c| c.number);
        // A response over UDP comes from where requests reach the peer; over a stream the connection is what counts.
        let flow = if heard_on.transport == flow.transport { heard_on } else { *flow };
        match Dialog::answered(invite, response, flow, self.reach) {
            Ok(mut dialog) => {
                // Its requests go on counting where the PRACKs of the early dialog have got to.
                if let Some(early) = self.early.iter().find(|e| e.dialog.remote_tag() == dialog.remote_tag()) {
                    dialog.count_from(early.dialog.local_cseq());
                    dialog.peer_counts_from(early.dialog.remote_cseq());
                }
                if self.early_tag.as_deref() == Some(dialog.remote_tag()) {
                    dialog.peer_counts_from(self.early_cseq);
                }
                let others = std::mem::take(&mut self.early).into_iter().map(|early| early.dialog);
                let others = others.filter(|other| other.remote_tag() != dialog.remote_tag());
                self.lost_forks = others.map(|other| (Bytes::copy_from_slice(other.remote_tag()), other.local_cseq())).collect();
                let (mut ack, to) = (dialog.ack(cseq), dialog.next_hop());
                ack.headers.copy_credentials(&invite.headers);
                if wanted {
                    self.state = State::Confirmed { dialog: Box::new(dialog), unacked: None };
                    Progress::Established { ack, to }
                } else {
                    let (bye, to) = self.leave(Box::new(dialog), None);
                    Progress::TooLate { ack, bye, to }
                }
            }
            Err(why) => {
                self.state = State::Over;
                Progress::Unusable(why)
            }
        }
    }

    /// A refusal of our INVITE, or nothing came: whether that ended it now.
    pub fn failed(&mut self) -> bool {
        match &self.state {
            State::Inviting { .. } | State::Cancelled { .. } => {
                self.state = State::Over;
                true
            }
            State::Invited { .. } | State::Answered { .. } | State::Confirmed { .. } | State::Leaving { .. } | State::Over => {
                false
            }
        }
    }

    /// The peer's CANCEL of its INVITE: the 487 that is due.
    pub fn cancelled(&mut self) -> Option<(TransactionId, Response)> {
        let due = match &self.state {
            State::Invited { transaction, invite, .. } => {
                Some((*transaction, invite.response_with_tag(Status::REQUEST_TERMINATED, &self.own.tag)))
            }
            State::Answered { .. }
            | State::Inviting { .. }
            | State::Cancelled { .. }
            | State::Confirmed { .. }
            | State::Leaving { .. }
            | State::Over => None,
        };
        if due.is_some() {
            self.state = State::Over;
        }
        due
    }

    /// A request of the peer within the dialog: whose it is and its order are checked here.
    pub fn receive(&mut self, request: &Request, flow: Flow) -> Result<(), Status> {
        let dialog = match &mut self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } => dialog,
            // All that may still come is a BYE that crossed ours.
            State::Leaving { dialog } if request.method == Method::Bye => dialog,
            State::Invited { .. } | State::Inviting { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => {
                return Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST);
            }
        };
        if !dialog.owns(request) {
            return Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST);
        }
        dialog.receive(request, flow)
    }

    /// The peer's tag is this dialog's: for requests that change nothing else, such as ACK.
    pub fn owns(&self, request: &Request) -> bool {
        self.dialog().is_some_and(|dialog| dialog.owns(request))
    }

    /// Where requests of the dialog would go without the flow that there is, as far as the peer has said it; nothing where there is no
    /// dialog, and no INVITE of the peer that may become one.
    pub fn place(&self) -> Option<Option<SocketAddr>> {
        match &self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => Some(dialog.place()),
            State::Invited { invite, flow, .. } => {
                Dialog::accepted(invite, &self.own.tag, *flow, self.reach).ok().map(|dialog| dialog.place())
            }
            State::Inviting { .. } | State::Cancelled { .. } | State::Over => None,
        }
    }

    /// The flow is gone, and this is the way to the peer now.
    pub fn goes_by(&mut self, way: Flow) {
        match &mut self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => dialog.goes_by(way),
            State::Invited { flow, .. } => *flow = way,
            State::Inviting { .. } | State::Cancelled { .. } | State::Over => {}
        }
    }

    /// Whether the peer has said that it is at this address: by its Contact, or as one of the hosts on the way to it; of an early dialog in
    /// the INVITE, or in the responses to it. By itself, or by a name that stands for it ([`Call::hosts`]), as far as those are `resolved`.
    /// A private address that a peer on the public network names may be anybody's.
    pub fn names(&self, ip: IpAddr, resolved: &BTreeSet<IpAddr>) -> bool {
        let Some(flow) = self.flow() else { return false };
        let is_of_the_peer = !is_private(ip) || is_private(flow.remote.ip());
        let is_there = |uri: &Uri| address_of(uri, flow.transport).is_some_and(|at| at.ip().to_canonical() == ip);
        is_of_the_peer && (resolved.contains(&ip) || self.said().iter().any(is_there))
    }

    /// Where the peer has said that it is by a host name: what would have to be resolved (RFC 3263 §4).
    pub fn hosts(&self) -> Vec<SipUri> {
        let said = self.said();
        said.iter().filter_map(Uri::sip).filter(|uri| uri.host.ip().is_none()).cloned().collect()
    }

    fn said(&self) -> Vec<Uri> {
        match &self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => {
                dialog.said().collect()
            }
            State::Invited { invite, .. } => said(&invite.headers),
            State::Inviting { .. } => {
                let early = self.early.iter().flat_map(|early| early.dialog.said());
                said(&self.early_names).into_iter().chain(early).collect()
            }
            State::Cancelled { .. } | State::Over => Vec::new(),
        }
    }

    /// The dialog, once there is one: also while our BYE is out.
    fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Answered { dialog, .. } | State::Confirmed { dialog, .. } | State::Leaving { dialog } => Some(dialog),
            State::Invited { .. } | State::Inviting { .. } | State::Cancelled { .. } | State::Over => None,
        }
    }

    /// Whether a re-INVITE may be answered, or sent, now, or collides (§14.1, §14.2).
    pub fn takes_reinvite(&self) -> Result<(), Status> {
        match &self.state {
            State::Confirmed { .. } if self.reinvite.is_some() => Err(Status::REQUEST_PENDING),
            State::Confirmed { unacked: None, .. } => Ok(()),
            State::Confirmed { unacked: Some(_), .. } | State::Answered { .. } => Err(Status::REQUEST_PENDING),
            State::Invited { .. } | State::Inviting { .. } | State::Cancelled { .. } | State::Leaving { .. } | State::Over => {
                Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST)
            }
        }
    }

    /// 200 to a re-INVITE, with a body.
    pub fn accept_reinvite(&mut self, transaction: TransactionId, reinvite: &Request, body: Bytes) -> Response {
        if let State::Confirmed { unacked, .. } = &mut self.state {
            *unacked = Some(transaction);
        }
        let mut response = reinvite.response(Status::OK);
        response.headers.push(HeaderName::Contact, &self.own.contact);
        describe(&mut response, body);
        response
    }

    /// 200 to an UPDATE, with a body if it brought an offer (RFC 3311 §5.2).
    pub fn accept_update(&self, update: &Request, body: Bytes) -> Response {
        let mut response = update.response(Status::OK);
        response.headers.push(HeaderName::Contact, &self.own.contact);
        describe(&mut response, body);
        response
    }

    /// A request of ours within the dialog (NOTIFY, INFO …), and its way; nothing while there is no dialog.
    pub fn request(&mut self, method: Method) -> Option<(Request, Flow)> {
        let contact = self.own.contact.clone();
        let dialog = self.dialog_mut()?;
        let mut request = dialog.request(method);
        request.headers.push(HeaderName::Contact, &contact);
        Some((request, dialog.next_hop()))
    }

    /// It is on its way in this transaction.
    pub fn reinvite_sent(&mut self, transaction: TransactionId) {
        if let Some(reinvite) = &mut self.reinvite {
            reinvite.transaction = Some(transaction);
        }
    }

    /// It is not waited for any more: what has said 100 and nothing more is to be cancelled.
    pub fn give_up_reinvite(&mut self) -> Option<TransactionId> {
        self.reinvite.as_mut()?.transaction.take()
    }

    /// An INVITE of ours within the dialog has no final answer yet.
    pub fn has_reinvited(&self) -> bool {
        self.reinvite.is_some()
    }

    /// An INVITE of ours within the dialog, with an offer.
    pub fn reinvite(&mut self, offer: Bytes) -> Option<(Request, Flow)> {
        self.takes_reinvite().ok()?;
        let (mut request, to) = self.request(Method::Invite)?;
        request.headers.push(HeaderName::ContentType, "application/sdp");
        request.body = offer;
        self.reinvite = Reinvite::of(&request, None);
        Some((request, to))
    }

    /// The final answer to it; a 2xx's is acknowledged so.
    pub fn reinvite_answered(&mut self, status: Status) -> Option<(Request, Flow)> {
        let Reinvite { cseq, credentials, .. } = self.reinvite.take().filter(|_| status.is_success())?;
        // Also when our BYE has crossed it: without an ACK the peer would repeat its 2xx.
        let (State::Confirmed { dialog, .. } | State::Leaving { dialog }) = &self.state else { return None };
        let mut ack = dialog.ack(cseq);
        ack.headers.copy_credentials(&credentials);
        Some((ack, dialog.next_hop()))
    }

    /// See [`Dialog::device_moved`]. Transactions of INVITEs that are not through move too: they come back.
    pub fn device_moved(&mut self, moved: &Moved) -> Vec<Pending> {
        let own = self.reinvite.as_ref().and_then(|reinvite| reinvite.transaction);
        match &mut self.state {
            State::Answered { transaction, dialog, .. } => match dialog.device_moved(moved) {
                true => vec![Pending::Theirs(*transaction)],
                false => Vec::new(),
            },
            State::Confirmed { dialog, unacked } => match dialog.device_moved(moved) {
                true => unacked.map(Pending::Theirs).into_iter().chain(own.map(Pending::Ours)).collect(),
                false => Vec::new(),
            },
            State::Invited { transaction, invite, flow } => {
                let contact = invite.headers.contact().ok().flatten().and_then(|contact| moved.takes(&contact.uri, flow));
                let Some(contact) = contact.filter(|_| self.reach == Reach::Flow) else { return Vec::new() };
                invite.headers.set(HeaderName::Contact, NameAddr::new(contact));
                *flow = moved.flow;
                vec![Pending::Theirs(*transaction)]
            }
            State::Inviting { transaction, invite, flow } => {
                let contact = moved.takes(&invite.uri, flow).filter(|_| self.reach == Reach::Flow);
                let Some(contact) = contact else { return Vec::new() };
                invite.uri = contact;
                *flow = moved.flow;
                for early in &mut self.early {
                    early.dialog.device_moved(moved);
                }
                vec![Pending::Ours(*transaction)]
            }
            State::Cancelled { .. } | State::Leaving { .. } | State::Over => Vec::new(),
        }
    }

    /// Ends it from our side, whatever it is in. `status` answers an INVITE that still waits; `reason` is a Reason header (RFC 3326).
    pub fn hang_up(&mut self, status: Status, reason: Option<Reason>) -> Hangup {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Invited { transaction, invite, .. } => {
                let mut response = invite.response_with_tag(status, &self.own.tag);
                if let Some(reason) = &reason {
                    response.headers.push(HeaderName::Reason, reason);
                }
                Hangup::Refuse(transaction, response)
            }
            State::Answered { transaction, dialog, .. } => {
                self.state = State::Answered { transaction, dialog, leaving: Some(reason) };
                Hangup::AfterAck
            }
            State::Inviting { transaction, invite, flow } => {
                self.state = State::Cancelled { invite, flow };
                Hangup::Cancel(transaction)
            }
            State::Cancelled { invite, flow } => {
                self.state = State::Cancelled { invite, flow };
                Hangup::Nothing
            }
            State::Confirmed { dialog, .. } => {
                let (bye, to) = self.leave(dialog, reason);
                Hangup::Bye(bye, to)
            }
            State::Leaving { dialog } => {
                self.state = State::Leaving { dialog };
                Hangup::Nothing
            }
            State::Over => Hangup::Nothing,
        }
    }

    /// The peer's BYE was taken, or ours is answered, or will not be.
    pub fn ended_by_peer(&mut self) {
        self.state = State::Over;
    }

    fn leave(&mut self, mut dialog: Box<Dialog>, reason: Option<Reason>) -> (Request, Flow) {
        let bye = bye(&mut dialog, reason);
        self.state = State::Leaving { dialog };
        bye
    }
}

fn bye(dialog: &mut Dialog, reason: Option<Reason>) -> (Request, Flow) {
    let mut bye = dialog.request(Method::Bye);
    if let Some(reason) = &reason {
        bye.headers.push(HeaderName::Reason, reason);
    }
    (bye, dialog.next_hop())
}

fn describe(response: &mut Response, body: Bytes) {
    if !body.is_empty() {
        response.headers.push(HeaderName::ContentType, "application/sdp");
        response.body = body;
    }
}
