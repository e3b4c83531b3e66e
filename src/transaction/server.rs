//! Requests that come in, and the responses that go out to them.

use bytes::Bytes;

use super::effects::Effects;
use super::key::{self, Key};
use super::server_invite::{self, ServerInvite};
use super::server_non_invite::{self, ServerNonInvite};
use super::table::{
    Expired, Expiry, MAX_INITIAL, MAX_SERVERS, MAX_URGENT, Record, Sending, ServerMachine, TransactionId, Transactions,
};
use super::timers::Wire;
use crate::clock::Mono;
use crate::sip::{ConnectionId, Flow, HeaderName, Method, Request, Response, Status, Via};

/// Seconds after which a peer may try again when there are too many transactions: most of them end within timer J.
const RETRY_AFTER: u32 = 32;

/// What a message that came in means to the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A request of a new transaction: it wants a final response by [`Transactions::respond`]. Its top Via says where it came from.
    New { id: TransactionId, request: Request, flow: Flow },
    /// The peer gives up this INVITE, which has no final response yet: it wants a 487. The CANCEL itself is answered already.
    Cancel { invite: TransactionId, request: Request, flow: Flow },
    /// An ACK to a 2xx. `invite` is the transaction while it is remembered; later ones, and strays, come without. Repeats come again.
    Ack { invite: Option<TransactionId>, request: Request, flow: Flow },
    /// A response for the core: each 1xx, the first final one, each 2xx to INVITE with a To tag of its own.
    /// With a challenge comes the request that it is for, without Via: it may be sent again with credentials.
    Response { id: TransactionId, response: Response, flow: Flow, challenged: Option<Box<Request>> },
    /// A response to nothing that we know.
    Stray { response: Response, flow: Flow },
    /// Answered here: 481 to a CANCEL of nothing, 482 to a merged request, 503 to one too many.
    Answered(Status),
    /// A repeat, or an ACK or response that only the transaction wanted.
    Absorbed,
}

pub(super) struct Server {
    pub machine: ServerMachine,
    pub keys: Vec<Key>,
    /// The one among `keys` that merged requests are found by.
    merged: Option<Key>,
    /// Where responses go.
    reply: Flow,
    source: Flow,
    wire: Wire,
    /// To tag of the responses so far.
    tag: Option<Bytes>,
    way: Way,
}

/// Where a stream's responses go when its connection is gone (§18.2.2 has the Via's port, where no phone behind NAT listens).
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As far as is known the connection stands, and there is no other.
    Only,
    /// The device has come by this flow since.
    Also(Flow),
    /// The connection is gone.
    Lost,
}

impl Transactions {
    /// Takes a request. The top Via gets `received` and `rport` written down; responses go where they and RFC 3261 §18.2.2 say: over UDP
    /// to the source, over a stream on its connection, and if that is gone to a new one to the Via's port.
    pub fn receive_request(&mut self, request: Request, flow: Flow, now: Mono, out: &mut Vec<Sending>) -> Received {
        self.receive(request, flow, MAX_INITIAL, now, out)
    }

    /// The same of a call for help, which has room where others have none.
    pub fn receive_urgent(&mut self, request: Request, flow: Flow, now: Mono, out: &mut Vec<Sending>) -> Received {
        self.receive(request, flow, MAX_URGENT, now, out)
    }

    /// Whether this is a repetition of a request that has come already.
    pub fn has_begun(&self, request: &Request) -> bool {
        Key::of_server(request, &request.method).is_some_and(|key| self.by_key.contains_key(&key))
    }

    /// Whether there is no room for requests outside of dialogs but those for help.
    pub fn is_full(&self) -> bool {
        self.servers >= MAX_INITIAL
    }

    fn receive(&mut self, mut request: Request, flow: Flow, room: usize, now: Mono, out: &mut Vec<Sending>) -> Received {
        let via = request.headers.stamped(flow.remote);
        let reply = reply_hop(via.as_ref(), flow);
        if request.method == Method::Ack {
            return self.receive_ack(request, flow, now, out);
        }
        let key = via.and_then(|via| Key::of_server_by(&via, &request, &request.method));
        let Some(key) = key else { return Received::Absorbed };
        if let Some(&id) = self.by_key.get(&key) {
            self.repeated(id, now, out);
            return Received::Absorbed;
        }

        let initial = request.method != Method::Cancel && key::is_initial(&request);
        if self.servers >= if initial { room } else { MAX_SERVERS } {
            let mut response = request.response_with_tag(Status::SERVICE_UNAVAILABLE, key.tag());
            response.headers.push(HeaderName::RetryAfter, RETRY_AFTER);
            out.push(Sending { to: reply, bytes: response.to_bytes(), report: None });
            return Received::Answered(Status::SERVICE_UNAVAILABLE);
        }

        if request.method == Method::Cancel {
            return self.receive_cancel(request, key, reply, flow, now, out);
        }

        let merge = Key::of_merged(&request);
        if merge.as_ref().is_some_and(|m| self.by_key.contains_key(m)) {
            let tag = key.tag();
            let id = self.open(&request, key, reply, flow, now);
            self.respond(id, &request.response_with_tag(Status::LOOP_DETECTED, tag), now, out);
            return Received::Answered(Status::LOOP_DETECTED);
        }

        let id = self.open(&request, key, reply, flow, now);
        if let Some(merge) = merge {
            if let Some(server) = self.server_mut(id) {
                server.merged = Some(merge.clone());
            }
            self.index(merge, id);
        }
        Received::New { id, request, flow }
    }

    /// Sends a response in a server transaction. After a final response, and for one that is over, it does nothing.
    pub fn respond(&mut self, id: TransactionId, response: &Response, now: Mono, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        let (status, bytes) = (response.status, response.to_bytes());
        if let Ok(Some(tag)) = response.headers.to_tag() {
            server.tag = Some(tag);
        }
        // A request that was refused may come again with a credential, and sloppy peers count up neither CSeq nor From tag then.
        let merged = if status.is_failure() { server.merged.take() } else { None };
        let invite = match &server.machine {
            ServerMachine::Invite(_) => {
                let event = if status.is_provisional() {
                    server_invite::Event::Provisional(bytes)
                } else if status.is_success() {
                    server_invite::Event::Success(bytes)
                } else {
                    server_invite::Event::Failure(bytes)
                };
                server.invite(event, now, out);
                true
            }
            ServerMachine::Other(_) => {
                let event = match status.is_provisional() {
                    true => server_non_invite::Event::Provisional(bytes),
                    false => server_non_invite::Event::Final(bytes),
                };
                server.other(event, now, out);
                false
            }
        };
        if let Some(key) = merged {
            self.unindex(&key, id);
        }
        if invite
            && status.is_success()
            && let Some(key) = Key::of_accepted(&response.headers)
        {
            self.index(key, id);
        }
        self.settle(id);
    }

    /// Sends a final response once and forgets the request: a repeat is answered anew (RFC 3261 §8.2.7). For answers to peers that have
    /// proven nothing, so that a flood of theirs fills no table, and an answer to a forged address goes there once. The To tag must be
    /// the same for each repeat: [`tag`](Transactions::tag).
    pub fn respond_stateless(&mut self, id: TransactionId, response: &Response, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        out.push(Sending { to: server.reply, bytes: response.to_bytes(), report: None });
        self.remove(id);
    }

    /// A To tag that is the same for each repeat of the transaction's request.
    pub fn tag(&self, id: TransactionId) -> String {
        match self.records.get(&id) {
            Some(Record::Server(server)) => server.keys.first().map(Key::tag).unwrap_or_default(),
            Some(Record::Client(_)) | None => String::new(),
        }
    }

    /// Whether the transaction still waits for its final response.
    pub fn is_unanswered(&self, id: TransactionId) -> bool {
        match self.records.get(&id) {
            Some(Record::Server(server)) => server.is_unanswered(),
            Some(Record::Client(_)) | None => false,
        }
    }

    fn open(&mut self, request: &Request, key: Key, reply: Flow, flow: Flow, now: Mono) -> TransactionId {
        let machine = match request.method {
            Method::Invite => ServerMachine::Invite(ServerInvite::start(request.response(Status::TRYING).to_bytes(), now)),
            _ => ServerMachine::Other(ServerNonInvite::start()),
        };
        let wire = Wire::of(flow.transport);
        let server =
            Server { machine, keys: Vec::with_capacity(3), merged: None, reply, source: flow, wire, tag: None, way: Way::Only };
        let id = self.insert(Record::Server(Box::new(server)));
        self.index(key, id);
        self.settle(id);
        id
    }

    fn repeated(&mut self, id: TransactionId, now: Mono, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        match &server.machine {
            ServerMachine::Invite(_) => drop(server.invite(server_invite::Event::Repeat, now, out)),
            ServerMachine::Other(_) => server.other(server_non_invite::Event::Repeat, now, out),
        }
        self.settle(id);
    }

    /// The device that sent the request is reached by this flow now: responses go there as soon as their connection is gone, with the last
    /// one, which may have gone with it.
    pub fn sender_moved(&mut self, id: TransactionId, flow: Flow, now: Mono, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        if server.reply.connection.is_none() || server.reply.connection == flow.connection {
            return;
        }
        // Its CANCEL comes by the new one.
        server.source = flow;
        match server.way {
            Way::Lost => self.answer_by(id, flow, now, out),
            Way::Only | Way::Also(_) => server.way = Way::Also(flow),
        }
    }

    pub(super) fn servers_lose(&mut self, connection: ConnectionId, now: Mono, out: &mut Vec<Sending>) {
        let mut moved = Vec::new();
        for (id, record) in &mut self.records {
            let Record::Server(server) = record else { continue };
            if let Way::Also(flow) = server.way
                && flow.connection == Some(connection)
            {
                server.way = Way::Only;
            }
            if server.reply.connection == Some(connection) {
                match server.way {
                    Way::Also(flow) => moved.push((*id, flow)),
                    Way::Only | Way::Lost => server.way = Way::Lost,
                }
            }
        }
        for (id, flow) in moved {
            self.answer_by(id, flow, now, out);
        }
    }

    pub(super) fn servers_rerouted(
        &mut self,
        is_gone: &dyn Fn(&Flow) -> bool,
        response: &dyn Fn(Flow) -> Option<Flow>,
        now: Mono,
        out: &mut Vec<Sending>,
    ) {
        let on_it = |record: &Record| match record {
            Record::Server(server) if is_gone(&server.reply) => response(server.reply),
            Record::Server(_) | Record::Client(_) => None,
        };
        let moved: Vec<_> = self.records.iter().filter_map(|(id, record)| Some((*id, on_it(record)?))).collect();
        for (id, to) in moved {
            self.answer_by(id, to, now, out);
        }
    }

    /// Those whose connection is gone, and whose sender has come by another.
    pub(super) fn lost_senders_found(&mut self, is_there: &dyn Fn(&Flow) -> bool, flow: Flow, now: Mono, out: &mut Vec<Sending>) {
        let is_its = |record: &Record| match record {
            Record::Server(server) => matches!(server.way, Way::Lost) && is_there(&server.reply),
            Record::Client(_) => false,
        };
        let found: Vec<_> = self.records.iter().filter(|(_, record)| is_its(record)).map(|(id, _)| *id).collect();
        for id in found {
            self.answer_by(id, flow, now, out);
        }
    }

    fn answer_by(&mut self, id: TransactionId, flow: Flow, now: Mono, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        (server.reply, server.source, server.way) = (flow, flow, Way::Only);
        // Of others than INVITEs the sender asks again itself, if the answer was lost.
        if matches!(server.machine, ServerMachine::Invite(_)) {
            self.repeated(id, now, out);
        }
    }

    fn receive_ack(&mut self, request: Request, flow: Flow, now: Mono, out: &mut Vec<Sending>) -> Received {
        // By branch: an ACK to a failure, or one to a 2xx from a peer that did not make a new branch. By dialog: one to a 2xx.
        let by_branch = Key::of_server(&request, &Method::Invite).and_then(|key| self.by_key.get(&key).copied());
        let by_dialog = || Key::of_accepted(&request.headers).and_then(|key| self.by_key.get(&key).copied());
        let Some(id) = by_branch.or_else(by_dialog) else { return Received::Ack { invite: None, request, flow } };
        let notice = self.server_mut(id).and_then(|server| server.invite(server_invite::Event::Ack, now, out));
        self.settle(id);
        match notice {
            Some(server_invite::Notice::Acked) => Received::Ack { invite: Some(id), request, flow },
            Some(server_invite::Notice::NoAckToSuccess | server_invite::Notice::NoAckToFailure) | None => Received::Absorbed,
        }
    }

    /// §9.2. A CANCEL comes the way that its INVITE came (§9.1), so one from another address is somebody else's guess.
    fn receive_cancel(
        &mut self,
        request: Request,
        key: Key,
        reply: Flow,
        flow: Flow,
        now: Mono,
        out: &mut Vec<Sending>,
    ) -> Received {
        let invite = Key::of_server(&request, &Method::Invite).and_then(|key| self.by_key.get(&key).copied());
        let found = invite.and_then(|id| match self.records.get(&id) {
            Some(Record::Server(server)) if server.source.remote.ip() == flow.remote.ip() => {
                Some((id, server.tag.clone(), server.is_unanswered()))
            }
            Some(Record::Server(_) | Record::Client(_)) | None => None,
        });
        let own_tag = Bytes::from(key.tag());
        match found {
            Some((invite, tag, unanswered)) => {
                let id = self.open(&request, key, reply, flow, now);
                let response = request.response_with_tag(Status::OK, tag.unwrap_or(own_tag));
                self.respond(id, &response, now, out);
                if unanswered { Received::Cancel { invite, request, flow } } else { Received::Absorbed }
            }
            None => {
                // Without a transaction: a stranger's guess must not swallow the real one, which has the same branch.
                let status = Status::CALL_TRANSACTION_DOES_NOT_EXIST;
                out.push(Sending { to: reply, bytes: request.response_with_tag(status, own_tag).to_bytes(), report: None });
                Received::Answered(status)
            }
        }
    }

    pub(super) fn tick_server(&mut self, id: TransactionId, now: Mono, expired: &mut Vec<Expired>, out: &mut Vec<Sending>) {
        let Some(server) = self.server_mut(id) else { return };
        match &server.machine {
            ServerMachine::Invite(_) => match server.invite(server_invite::Event::Tick, now, out) {
                Some(server_invite::Notice::NoAckToSuccess) => expired.push(Expired { id, what: Expiry::NoAckToSuccess }),
                Some(server_invite::Notice::NoAckToFailure) => expired.push(Expired { id, what: Expiry::NoAckToFailure }),
                Some(server_invite::Notice::Acked) | None => {}
            },
            ServerMachine::Other(_) => server.other(server_non_invite::Event::Tick, now, out),
        }
        self.settle(id);
    }
}

impl Server {
    fn is_unanswered(&self) -> bool {
        match &self.machine {
            ServerMachine::Invite(m) => matches!(m, ServerInvite::Arrived { .. } | ServerInvite::Proceeding { .. }),
            ServerMachine::Other(m) => matches!(m, ServerNonInvite::Trying | ServerNonInvite::Proceeding { .. }),
        }
    }

    /// Moves an INVITE's machine; of another one it leaves the state as it is.
    fn invite(&mut self, event: server_invite::Event, now: Mono, out: &mut Vec<Sending>) -> Option<server_invite::Notice> {
        match std::mem::replace(&mut self.machine, ServerMachine::Other(ServerNonInvite::Terminated)) {
            ServerMachine::Invite(machine) => {
                let (machine, Effects { send, tell }) = machine.handle(event, self.wire, now);
                self.machine = ServerMachine::Invite(machine);
                out.extend(send.map(|bytes| Sending { to: self.reply, bytes, report: None }));
                tell
            }
            other @ ServerMachine::Other(_) => {
                self.machine = other;
                None
            }
        }
    }

    fn other(&mut self, event: server_non_invite::Event, now: Mono, out: &mut Vec<Sending>) {
        match std::mem::replace(&mut self.machine, ServerMachine::Other(ServerNonInvite::Terminated)) {
            ServerMachine::Other(machine) => {
                let (machine, Effects { send, tell: _ }) = machine.handle(event, self.wire, now);
                self.machine = ServerMachine::Other(machine);
                out.extend(send.map(|bytes| Sending { to: self.reply, bytes, report: None }));
            }
            invite @ ServerMachine::Invite(_) => self.machine = invite,
        }
    }
}

/// By the top Via, stamped. Over a stream the connection is the way, and the address is where the driver connects to if it is gone.
fn reply_hop(via: Option<&Via>, flow: Flow) -> Flow {
    let remote = match (via, flow.connection) {
        // `rport` of a stream is a port that nobody listens on.
        (Some(via), Some(_)) => {
            let port = via.sent_by.port.unwrap_or_else(|| flow.transport.default_port());
            std::net::SocketAddr::new(flow.remote.ip(), port)
        }
        (Some(via), None) => via.reply_address(flow.remote),
        (None, _) => flow.remote,
    };
    Flow { transport: flow.transport, local: flow.local, remote, connection: flow.connection }
}
