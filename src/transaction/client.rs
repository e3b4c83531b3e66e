//! Requests that go out, and the responses that come in to them.

use bytes::Bytes;

use super::client_invite::{self, ClientInvite};
use super::client_non_invite::{self, ClientNonInvite};
use super::effects::Effects;
use super::key::{self, Key};
use super::server::Received;
use super::table::{ClientMachine, Expired, Expiry, Record, SendId, Sending, TransactionId, Transactions};
use super::timers::Wire;
use crate::clock::Mono;
use crate::sip::{
    CSeq, ConnectionId, Flow, HeaderName, Headers, HostPort, Message, Method, Reason, Request, Response, Status, Via,
};

/// A longer request goes over a congestion-controlled transport where the peer has one (§18.1.1).
const MAX_DATAGRAM: usize = 1_300;
/// Hops that an ACK or CANCEL may take (§8.1.1.6).
const MAX_FORWARDS: u32 = 70;

/// Where a request goes, and what its Via tells the peer to answer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub flow: Flow,
    /// Address and port that we listen on, as the peer sees them.
    pub sent_by: HostPort,
}

/// A request that found no way to its peer. As good as a 503 (§8.1.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    pub id: TransactionId,
}

pub(super) struct Client {
    pub machine: ClientMachine,
    pub keys: Vec<Key>,
    to: Flow,
    wire: Wire,
    branch: Bytes,
    /// As sent, with its Via: what ACK, CANCEL and a second attempt are made from. `None` once a final response came: what lingers for
    /// half a minute after a call is to be small.
    request: Option<Request>,
    /// Where to try if the stream that it was put on for its length can't be had.
    fallback: Option<Target>,
    /// How often it went out by another way than the first. What is said of an earlier one is of no matter.
    attempt: u8,
    /// The connection that is open to where it was sent without the name of one: an INVITE's last response came by it. A CANCEL goes by
    /// the same, and is lost with it.
    by: Option<ConnectionId>,
    purpose: Purpose,
}

#[derive(Clone, Debug)]
enum Purpose {
    /// The core's. An INVITE may be cancelled, which has to wait for a provisional response (§9.1).
    Core { cancel: CancelWish },
    /// A CANCEL: nobody waits for its response.
    Cancel,
}

#[derive(Clone, Debug)]
enum CancelWish {
    None,
    Waiting { reason: Option<Reason> },
    Sent,
}

impl Transactions {
    /// Sends a request in a client transaction of its own. The top Via is put on here: `branch` is the core's chance with the magic cookie,
    /// and `rport` asks for RFC 3581. A request that is too long for a datagram goes to `tcp` where there is one, and to
    /// `to` after all if that can't be reached. An ACK is none: see [`ack`](Transactions::ack).
    pub fn request(
        &mut self,
        request: Request,
        to: Target,
        tcp: Option<Target>,
        branch: &str,
        now: Mono,
        out: &mut Vec<Sending>,
    ) -> TransactionId {
        let branch = Bytes::from(branch.to_owned());
        let mut sent = with_via(&request, &to, &branch);
        let mut bytes = sent.to_bytes();
        let (mut target, mut fallback) = (to, None);
        if let Some(tcp) = tcp
            && !target.flow.transport.is_reliable()
            && bytes.len() > MAX_DATAGRAM
        {
            sent = with_via(&request, &tcp, &branch);
            bytes = sent.to_bytes();
            fallback = Some(std::mem::replace(&mut target, tcp));
        }
        let purpose = Purpose::Core { cancel: CancelWish::None };
        self.start(sent, bytes, target.flow, branch, fallback, purpose, now, out)
    }

    /// Sends the core's ACK to the 2xx with the same To tag, and keeps it: each repeat of that 2xx gets it again. Works without the
    /// transaction too, for a 2xx that came when it was over.
    pub fn ack(&mut self, invite: TransactionId, ack: &Request, to: &Target, branch: &str, now: Mono, out: &mut Vec<Sending>) {
        let bytes = with_via(ack, to, &Bytes::from(branch.to_owned())).to_bytes();
        out.push(Sending { to: to.flow, bytes: bytes.clone(), report: None });
        let Ok(callee) = ack.headers.to() else { return };
        let tag = Bytes::copy_from_slice(callee.tag().unwrap_or_default());
        if let Some(client) = self.client_mut(invite) {
            client.invite(client_invite::Event::Acked { tag, flow: to.flow, ack: bytes }, SendId::new(invite, 0), now, out);
            self.settle(invite);
        }
    }

    /// The ACK that a 2xx to this INVITE has had, while it is remembered: that of a further one needs the same credentials (§22.1).
    pub fn acknowledged_by(&self, invite: TransactionId) -> Option<Request> {
        let Some(Record::Client(client)) = self.records.get(&invite) else { return None };
        let ClientMachine::Invite(ClientInvite::Accepted { forks, .. }) = &client.machine else { return None };
        let (_, ack) = forks.iter().find_map(|fork| fork.ack.clone())?;
        match Message::from_bytes(ack) {
            Ok(Message::Request(ack)) => Some(ack),
            Ok(Message::Response(_)) | Err(_) => None,
        }
    }

    /// Gives up an INVITE: CANCEL now if a provisional response came, with the first one if none did yet, never if a final one did. The
    /// INVITE still gets its final response (487 as a rule, a 2xx if they crossed), or expires 64·T1 after the CANCEL.
    pub fn cancel(&mut self, id: TransactionId, reason: Option<Reason>, now: Mono, out: &mut Vec<Sending>) {
        let Some(client) = self.client_mut(id) else { return };
        let (ClientMachine::Invite(machine), Purpose::Core { cancel: wish @ CancelWish::None }) =
            (&client.machine, &mut client.purpose)
        else {
            return;
        };
        match machine {
            ClientInvite::Calling { .. } => *wish = CancelWish::Waiting { reason },
            ClientInvite::Proceeding => {
                *wish = CancelWish::Waiting { reason };
                self.send_cancel(id, now, out);
            }
            ClientInvite::Cancelled { .. }
            | ClientInvite::Completed { .. }
            | ClientInvite::Accepted { .. }
            | ClientInvite::Terminated => {}
        }
    }

    /// Takes a response.
    pub fn receive_response(&mut self, response: Response, flow: Flow, now: Mono, out: &mut Vec<Sending>) -> Received {
        let id = match Key::of_response(&response) {
            Some(key) if !key::has_more_vias(&response.headers) => self.by_key.get(&key).copied(),
            Some(_) | None => None,
        };
        let Some((id, client)) = id.and_then(|id| Some((id, self.client_mut(id)?))) else {
            return Received::Stray { response, flow };
        };
        client.by = flow.connection.filter(|_| client.to.connection != flow.connection);
        let status = response.status;
        let report = SendId::new(id, 0);
        let is_final = !status.is_provisional();
        let (deliver, cancel) = match &client.machine {
            ClientMachine::Invite(_) => {
                let event = if status.is_provisional() {
                    client_invite::Event::Provisional
                } else if status.is_success() {
                    client_invite::Event::Success { tag: response.headers.to_tag().ok().flatten().unwrap_or_default() }
                } else {
                    client_invite::Event::Failure { ack: client.ack_failure(&response) }
                };
                let told = client.invite(event, report, now, out);
                (told == Some(client_invite::Notice::Deliver), client.must_cancel())
            }
            ClientMachine::Other(_) => {
                let event = match status.is_provisional() {
                    true => client_non_invite::Event::Provisional,
                    false => client_non_invite::Event::Final,
                };
                let told = client.other(event, report, now, out);
                (told == Some(client_non_invite::Notice::Deliver) && matches!(client.purpose, Purpose::Core { .. }), false)
            }
        };
        let mut challenged = None;
        if is_final {
            let asks = matches!(status, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED);
            challenged = client.request.take().filter(|_| asks && deliver).map(Box::new);
        }
        if let Some(request) = &mut challenged {
            request.headers.remove_top_via();
        }
        self.settle(id);
        if cancel {
            self.send_cancel(id, now, out);
        }
        if deliver { Received::Response { id, response, flow, challenged } } else { Received::Absorbed }
    }

    /// The driver could not send this request. `None` if that is no matter: it went on by UDP, or was answered, or nobody waits.
    pub fn undeliverable(&mut self, report: SendId, now: Mono, out: &mut Vec<Sending>) -> Option<Undelivered> {
        let (id, attempt) = report.parts();
        let client = self.client_mut(id)?;
        if attempt != client.attempt {
            return None;
        }
        self.failed(id, now, out)
    }

    /// A connection is gone, and with it every request on it that has no response at all: it may never have arrived.
    pub fn connection_closed(&mut self, connection: ConnectionId, now: Mono, out: &mut Vec<Sending>) -> Vec<Undelivered> {
        self.servers_lose(connection, now, out);
        let on_it = |record: &Record| match record {
            Record::Client(client) => [client.to.connection, client.by].contains(&Some(connection)) && client.is_unheard(),
            Record::Server(_) => false,
        };
        let lost: Vec<TransactionId> = self.records.iter().filter(|(_, r)| on_it(r)).map(|(id, _)| *id).collect();
        lost.into_iter().filter_map(|id| self.failed(id, now, out)).collect()
    }

    /// The device that an INVITE rings at is reached by this flow now: a CANCEL, or the ACK of its refusal, goes there. One that nothing has
    /// been heard of yet may never have arrived, and is left to fail.
    pub fn receiver_moved(&mut self, id: TransactionId, flow: Flow) {
        if let Some(client) = self.client_mut(id).filter(|client| client.to.connection.is_some() && !client.is_unheard()) {
            client.to = flow;
        }
    }

    /// Where a request of ours went that the driver could not send, if that was a connection.
    pub fn connection_of(&self, report: SendId) -> Option<ConnectionId> {
        match self.records.get(&report.parts().0) {
            Some(Record::Client(client)) if client.attempt == report.parts().1 => client.to.connection,
            Some(Record::Client(_) | Record::Server(_)) | None => None,
        }
    }

    /// A flow is gone, or as good as gone, of a peer that is reached otherwise: what is not through goes on by another. What may have been
    /// lost is said again, in the same transaction: a peer that has heard it takes it for a repeat. `is_gone` knows the flow; `request`
    /// and `response` give the new one, by the headers of what goes there and by the old one; nothing where there is none.
    pub fn rerouted(
        &mut self,
        is_gone: &dyn Fn(&Flow) -> bool,
        request: &dyn Fn(&Headers, Flow) -> Option<Flow>,
        response: &dyn Fn(Flow) -> Option<Flow>,
        now: Mono,
        out: &mut Vec<Sending>,
    ) {
        self.servers_rerouted(is_gone, response, now, out);
        for (id, record) in &mut self.records {
            let Record::Client(client) = record else { continue };
            if let ClientMachine::Invite(ClientInvite::Accepted { forks, .. }) = &mut client.machine {
                client_invite::acks_rerouted(forks, is_gone, request);
            }
            if !is_gone(&client.to) {
                continue;
            }
            let Some(sent) = &client.request else { continue };
            let Some(to) = request(&sent.headers, client.to) else { continue };
            client.to = to;
            if client.is_unheard() {
                client.attempt = client.attempt.wrapping_add(1);
                out.push(Sending { to, bytes: sent.to_bytes(), report: Some(SendId::new(*id, client.attempt)) });
            }
        }
    }

    /// A peer all of whose connections were gone has come by this one: what is not through goes on by it.
    pub fn way_opened(&mut self, flow: Flow, now: Mono, out: &mut Vec<Sending>) {
        let is_there = |to: &Flow| (to.remote.ip(), to.transport) == (flow.remote.ip(), flow.transport);
        for record in self.records.values_mut() {
            let Record::Client(client) = record else { continue };
            // What is heard by it may be the answer to what has opened it: that is not said again.
            if client.to.connection.is_none() && is_there(&client.to) && !client.is_unheard() {
                client.to = flow;
            }
            if let ClientMachine::Invite(ClientInvite::Accepted { forks, .. }) = &mut client.machine {
                let acks = forks.iter_mut().filter_map(|fork| fork.ack.as_mut());
                acks.filter(|(to, _)| to.connection.is_none() && is_there(to)).for_each(|(to, _)| *to = flow);
            }
        }
        self.lost_senders_found(&is_there, flow, now, out);
    }

    fn failed(&mut self, id: TransactionId, now: Mono, out: &mut Vec<Sending>) -> Option<Undelivered> {
        let client = self.client_mut(id)?;
        if client.is_unheard()
            && let Some(target) = client.fallback.take()
        {
            client.retry(target, id, now, out);
            self.settle(id);
            return None;
        }
        if client.cancels_anew() {
            out.push(client.again(id));
            return None;
        }
        let unreachable = match &client.machine {
            ClientMachine::Invite(_) => {
                let told = client.invite(client_invite::Event::Undeliverable, SendId::new(id, 0), now, out);
                told == Some(client_invite::Notice::Unreachable)
            }
            ClientMachine::Other(_) => {
                let told = client.other(client_non_invite::Event::Undeliverable, SendId::new(id, 0), now, out);
                told == Some(client_non_invite::Notice::Unreachable)
            }
        };
        let awaited = matches!(client.purpose, Purpose::Core { .. });
        self.settle(id);
        (unreachable && awaited).then_some(Undelivered { id })
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the one record that is made here")]
    fn start(
        &mut self,
        request: Request,
        bytes: Bytes,
        to: Flow,
        branch: Bytes,
        fallback: Option<Target>,
        purpose: Purpose,
        now: Mono,
        out: &mut Vec<Sending>,
    ) -> TransactionId {
        let wire = Wire::of(to.transport);
        let key = Key::of_client(&branch, &request.method);
        let (machine, send) = begin(&request.method, bytes, wire, now);
        let client = Client {
            machine,
            keys: Vec::with_capacity(1),
            to,
            wire,
            branch,
            request: Some(request),
            fallback,
            attempt: 0,
            by: None,
            purpose,
        };
        let attempt = client.attempt;
        let id = self.insert(Record::Client(Box::new(client)));
        self.index(key, id);
        out.extend(send.map(|bytes| Sending { to, bytes, report: Some(SendId::new(id, attempt)) }));
        self.settle(id);
        id
    }

    fn send_cancel(&mut self, id: TransactionId, now: Mono, out: &mut Vec<Sending>) {
        let Some(client) = self.client_mut(id) else { return };
        let Purpose::Core { cancel } = &mut client.purpose else { return };
        let CancelWish::Waiting { reason } = std::mem::replace(cancel, CancelWish::Sent) else { return };
        client.invite(client_invite::Event::CancelSent, SendId::new(id, 0), now, out);
        let Some(mut request) = client.follow_up(Method::Cancel) else { return };
        if let Some(reason) = reason {
            request.headers.push(HeaderName::Reason, reason);
        }
        let (to, by, branch) = (client.to, client.by, client.branch.clone());
        self.settle(id);
        let bytes = request.to_bytes();
        let cancel = self.start(request, bytes, to, branch, None, Purpose::Cancel, now, out);
        if let Some(cancel) = self.client_mut(cancel) {
            cancel.by = by;
        }
    }

    pub(super) fn tick_client(&mut self, id: TransactionId, now: Mono, expired: &mut Vec<Expired>, out: &mut Vec<Sending>) {
        let Some(client) = self.client_mut(id) else { return };
        let report = SendId::new(id, client.attempt);
        let timed_out = match &client.machine {
            ClientMachine::Invite(_) => {
                client.invite(client_invite::Event::Tick, report, now, out) == Some(client_invite::Notice::TimedOut)
            }
            ClientMachine::Other(_) => {
                client.other(client_non_invite::Event::Tick, report, now, out) == Some(client_non_invite::Notice::TimedOut)
            }
        };
        if timed_out && matches!(client.purpose, Purpose::Core { .. }) {
            expired.push(Expired { id, what: Expiry::NoResponse });
        }
        self.settle(id);
    }
}

impl Client {
    fn is_unheard(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(m) => matches!(m, ClientInvite::Calling { .. }),
            ClientMachine::Other(m) => matches!(m, ClientNonInvite::Trying { .. }),
        }
    }

    fn must_cancel(&self) -> bool {
        matches!(self.machine, ClientMachine::Invite(ClientInvite::Proceeding))
            && matches!(self.purpose, Purpose::Core { cancel: CancelWish::Waiting { .. } })
    }

    /// A CANCEL that was lost with a connection, which the next one to the same place may not be (§18.1.1): once. Without it a callee rings
    /// on for nobody.
    fn cancels_anew(&self) -> bool {
        matches!(self.purpose, Purpose::Cancel) && self.to.transport.is_reliable() && self.is_unheard() && self.attempt == 0
    }

    /// In the same transaction: who has heard it takes it for a repeat.
    fn again(&mut self, id: TransactionId) -> Sending {
        self.attempt = self.attempt.wrapping_add(1);
        self.by = None;
        let bytes = self.request.as_ref().map(Request::to_bytes).unwrap_or_default();
        Sending { to: self.to, bytes, report: Some(SendId::new(id, self.attempt)) }
    }

    /// The same request, anew, by another way; its timers start again.
    fn retry(&mut self, target: Target, id: TransactionId, now: Mono, out: &mut Vec<Sending>) {
        let Some(mut request) = self.request.take() else { return };
        request.headers.remove_top_via();
        let request = with_via(&request, &target, &self.branch);
        self.attempt = self.attempt.wrapping_add(1);
        self.to = target.flow;
        self.wire = Wire::of(target.flow.transport);
        let (machine, send) = begin(&request.method, request.to_bytes(), self.wire, now);
        self.request = Some(request);
        self.machine = machine;
        out.extend(send.map(|bytes| Sending { to: self.to, bytes, report: Some(SendId::new(id, self.attempt)) }));
    }

    /// ACK and CANCEL (§17.1.1.3, §9.1): Request-URI, From, Call-ID, Route, the top Via and the number of CSeq are the INVITE's; To is
    /// too, until the ACK gets that of the response.
    fn follow_up(&self, method: Method) -> Option<Request> {
        let sent = self.request.as_ref()?;
        let invite = &sent.headers;
        let mut request = Request::new(method.clone(), sent.uri.clone());
        if let Ok(via) = invite.via() {
            request.headers.push_via(&via);
        }
        for name in [HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
            request.headers.copy(&name, invite);
        }
        if let Ok(cseq) = invite.cseq() {
            request.headers.push(HeaderName::CSeq, CSeq::new(cseq.number, method));
        }
        request.headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
        Some(request)
    }

    /// Empty after a final response: the machine has its ACK then.
    fn ack_failure(&self, response: &Response) -> Bytes {
        let Some(mut ack) = self.follow_up(Method::Ack) else { return Bytes::new() };
        if let Some(to) = response.headers.get(&HeaderName::To) {
            ack.headers.set(HeaderName::To, to);
        }
        ack.to_bytes()
    }

    /// Moves an INVITE's machine; of another one it leaves the state as it is. Only the request itself is reported on, not an ACK.
    fn invite(
        &mut self,
        event: client_invite::Event,
        report: SendId,
        now: Mono,
        out: &mut Vec<Sending>,
    ) -> Option<client_invite::Notice> {
        match std::mem::replace(&mut self.machine, ClientMachine::Other(ClientNonInvite::Terminated)) {
            ClientMachine::Invite(machine) => {
                let is_tick = matches!(event, client_invite::Event::Tick);
                let (machine, Effects { send, tell }) = machine.handle(event, self.wire, now);
                self.machine = ClientMachine::Invite(machine);
                out.extend(send.map(|bytes| Sending { to: self.to, bytes, report: is_tick.then_some(report) }));
                match tell {
                    Some(client_invite::Notice::AckAgain(flow, bytes)) => {
                        out.push(Sending { to: flow, bytes, report: None });
                        None
                    }
                    tell => tell,
                }
            }
            other @ ClientMachine::Other(_) => {
                self.machine = other;
                None
            }
        }
    }

    fn other(
        &mut self,
        event: client_non_invite::Event,
        report: SendId,
        now: Mono,
        out: &mut Vec<Sending>,
    ) -> Option<client_non_invite::Notice> {
        match std::mem::replace(&mut self.machine, ClientMachine::Other(ClientNonInvite::Terminated)) {
            ClientMachine::Other(machine) => {
                let (machine, Effects { send, tell }) = machine.handle(event, self.wire, now);
                self.machine = ClientMachine::Other(machine);
                out.extend(send.map(|bytes| Sending { to: self.to, bytes, report: Some(report) }));
                tell
            }
            invite @ ClientMachine::Invite(_) => {
                self.machine = invite;
                None
            }
        }
    }
}

fn begin(method: &Method, bytes: Bytes, wire: Wire, now: Mono) -> (ClientMachine, Option<Bytes>) {
    if *method == Method::Invite {
        let (machine, effects) = ClientInvite::start(bytes, wire, now);
        (ClientMachine::Invite(machine), effects.send)
    } else {
        let (machine, effects) = ClientNonInvite::start(bytes, wire, now);
        (ClientMachine::Other(machine), effects.send)
    }
}

fn with_via(request: &Request, target: &Target, branch: &Bytes) -> Request {
    let mut via = Via::new(target.flow.transport, target.sent_by.clone(), branch);
    via.params.set_flag("rport");
    let mut headers = Headers::with_capacity(request.headers.len() + 1);
    headers.push_via(&via);
    for (name, value) in request.headers.iter() {
        headers.push(name.clone(), value);
    }
    Request { headers, method: request.method.clone(), uri: request.uri.clone(), body: request.body.clone() }
}
