//! All state but the conversations, and the small things that every part of the core does with it: send, number, lease, tell.
//!
//! The conversations stand apart so that a function can hold one of them and the hub at once ([`Cx`]); what spans several is done in
//! `Switch`, after the one at hand is put back.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::acd::{Acd, Elsewhere, Floor};
use crate::chance::Chance;
use crate::clock::{Mono, Now};
use crate::config::{Advertise, Carrier, Config};
use crate::conversation::{Conversation, Leg, Peer, Role};
use crate::dialog::{Call, Key, Moved};
use crate::ids::{CallbackId, ConversationId, LegId, MenuName, Number, RecordingId, StaffNumber, TrunkName};
use crate::ivr::Graph;
use crate::media::{self, Lease};
use crate::registrar::answers::Answers;
use crate::registrar::bans::Bans;
use crate::registrar::{Outward, Registrar};
use crate::route::class::Ledger;
use crate::route::{self, Conditions, Forwarding, Hosts};
use crate::sdp::Fingerprint;
use crate::sip::{Flow, HostPort, Method, NameAddr, Reason, Request, Response, SipUri, Status, Transport};
use crate::transaction::{self, Sending, TransactionId, Transactions};
use crate::voicemail::{self, Locks, Mailboxes, Message};

use super::callbacks::{self, Callbacks};
use super::dead_flows::{self, Doubts};
use super::door::Strike;
use super::edge::Ways;
use super::gateways::Unresolved;
use super::greeting::{GreetingChange, Take};
use super::mailbox::Keeping;
use super::messages::Messages;
use super::output::{QueryId, Server};
use super::pickup::Joining;
use super::presence::{Presence, SubscriptionId};
use super::withdrawing::Withdrawn;
use super::{Event, Output};
use crate::event::{By, Kind};

/// What we understand, for Allow (§20.5).
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, REFER, NOTIFY, UPDATE, PRACK, SUBSCRIBE, MESSAGE";
pub(super) const AGENT: &str = concat!("Cordboard/", env!("CARGO_PKG_VERSION"));

pub(super) struct Hub {
    pub config: Arc<Config>,
    pub graphs: BTreeMap<MenuName, Arc<Graph>>,
    pub chance: Chance,
    /// What keys of SRTP are drawn from, and nothing else.
    pub keys: Chance,
    pub transactions: Transactions,
    pub registrar: Registrar,
    pub bans: Bans,
    /// What those who have proven nothing got beyond what they have sent.
    pub grown: Answers,
    /// How long the request at hand is at least, in octets.
    pub asked: usize,
    /// Phones that may be there no more.
    pub doubts: Doubts,
    pub ledger: Ledger,
    /// Connections of edge proxies.
    pub ways: Ways,
    /// When the minutes of calls that go on are kept next.
    pub minutes_at: Option<Mono>,
    pub outward: BTreeMap<TrunkName, Outward>,
    /// Registrations that a reload has ended, until they are taken back.
    pub withdrawn: BTreeMap<u64, Withdrawn>,
    pub conditions: Conditions,
    pub acd: Acd,
    pub index: Index,
    pub presence: Presence,
    /// What a client transaction was for.
    pub purposes: BTreeMap<TransactionId, Purpose>,
    /// How many challenges a request has answered already, where it has any; goes with its purpose.
    pub answers: BTreeMap<TransactionId, u8>,
    /// Legs of conversations that are gone, whose SIP has an end to find yet.
    pub departing: BTreeMap<LegId, Departing>,
    pub ports: BTreeMap<u8, VecDeque<Lease>>,
    /// What browsers' legs show.
    pub certificate: Option<Fingerprint>,
    /// Where calls of a trunk may come from: what `sources` says.
    pub hosts: Hosts,
    /// Addresses of each trunk, with since when its name does not stand for them any more.
    pub sources: BTreeMap<TrunkName, BTreeMap<IpAddr, Option<Mono>>>,
    /// Of each trunk, in the order in which they are asked when it is not for a call.
    pub servers: BTreeMap<TrunkName, Vec<Server>>,
    pub lookups: BTreeMap<TrunkName, Lookup>,
    /// Requests within dialogs of trunks whose sender may be at a name.
    pub unresolved: BTreeMap<LegId, Unresolved>,
    /// Devices that have come by another way in this input while their phone has calls or subscriptions.
    pub moved: Vec<(Number, Moved)>,
    /// Devices that name themselves and are not registered any more, of phones that have calls: by number, instance and contact, how they
    /// were reached.
    pub gone: BTreeMap<(Number, String, Bytes), Flow>,
    /// Phones that have parked a call in this input and do not know in which slot.
    pub to_tell: Vec<(Number, Number)>,
    pub messages_relayed: Messages,
    /// An INVITE of this input that is for a call which is there already.
    pub joining: Option<Joining>,
    /// A leg of this conversation whose phone has pressed the key code of a conference in this input.
    pub conferring: Option<(ConversationId, LegId)>,
    pub next_leg: u64,
    pub next_number: u64,
    pub draining: bool,
    /// What phones' users have set, where it is not the default.
    pub forwarding: BTreeMap<Number, Forwarding>,
    pub mailboxes: Mailboxes,
    /// Messages that the recorder has not finished, with the mailboxes that they are for. One that never is counts as one until the end:
    /// no mailbox has more of both than it may.
    pub leaving: BTreeMap<RecordingId, (Number, Message)>,
    /// Messages that were heard or deleted, and who waits until that is durable.
    pub keeping: BTreeMap<RecordingId, Keeping>,
    /// Whose wrap-up is kept with the wish: at most all agents.
    pub wrapping_up: BTreeSet<StaffNumber>,
    /// Customers who are to be called back: at most a thousand.
    pub callbacks: Callbacks,
    /// What those who wait are told.
    pub news: super::news::AllNews,
    /// Who set what an agent wants: at most one an agent.
    pub wished_by: BTreeMap<StaffNumber, By>,
    pub locks: Locks,
    /// What mailboxes say to callers, where it is not the standard greeting.
    pub greetings: BTreeMap<Number, RecordingId>,
    /// Greetings that are being recorded by phone.
    pub takes: BTreeMap<RecordingId, Take>,
    /// Takes of prompts that are being recorded, and who speaks.
    pub prompt_takes: BTreeMap<RecordingId, LegId>,
    /// Greetings that are to count, and do when that is durable.
    pub pending: BTreeMap<RecordingId, GreetingChange>,
    /// Greetings that go.
    pub dropping: BTreeMap<RecordingId, GreetingChange>,
    pub degraded: BTreeMap<String, String>,
    pub counters: BTreeMap<String, u64>,
    /// The acd has something to reconsider.
    pub stirred: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Invite(LegId),
    /// NOTIFY of a transfer, PRACK: what comes back changes nothing, but that it may be asked for again with credentials.
    Told(LegId),
    /// INFO with a key.
    Key(LegId),
    /// The last NOTIFY of a subscription, or the BYE to a fork that nobody wants: what comes back changes nothing.
    InDialog,
    /// UPDATE or re-INVITE that keeps a session alive.
    Refresh(LegId),
    /// OPTIONS to a leg that holds, and is not heard therefore: whether it is there still.
    Probe(LegId),
    /// Whatever comes back, or nothing: the leg is over then.
    Bye(LegId),
    Register(TrunkName, SocketAddr),
    /// Takes a registration back that a reload has ended.
    Withdraw(u64),
    /// OPTIONS to a trunk: whether it is there.
    Options(TrunkName, SocketAddr),
    /// OPTIONS to a phone that may be there no more.
    Doubt(dead_flows::Name),
    /// NOTIFY of a subscription.
    Notify(SubscriptionId),
    /// A text that is given on: the sender's transaction.
    Message(TransactionId),
}

/// What a port is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    AnyCall,
    /// An emergency call.
    Help,
}

impl For {
    pub fn call(is_for_help: bool) -> For {
        if is_for_help { For::Help } else { For::AnyCall }
    }
}

/// Asking for a trunk's servers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lookup {
    /// The question that is out.
    pub query: Option<QueryId>,
    /// When it is asked next.
    pub at: Mono,
    /// Failures in a row.
    pub failures: u32,
    /// When the servers that are known were found.
    pub found: Mono,
}

/// A leg without a conversation.
#[derive(Debug)]
pub(super) struct Departing {
    pub call: Call,
    pub peer: Peer,
    /// Forgotten then, whatever the peer does: longer than any transaction lives.
    pub until: Mono,
}

/// Finds legs. Derived from the conversations; rebuilt after a fault.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub legs: BTreeMap<LegId, At>,
    pub keys: BTreeMap<Key, LegId>,
    phones: BTreeMap<Number, BTreeSet<LegId>>,
    /// Who waits in which park slot.
    pub parked: BTreeMap<Number, ConversationId>,
    /// Numbers whose legs may have changed in this input.
    pub touched: BTreeSet<Number>,
}

/// What the recorder has done, for the phone that waits for it.
#[derive(Debug)]
pub enum Told {
    Mailbox(voicemail::Event),
    Studio(voicemail::studio::Event),
}

/// What the index knows of a live leg.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub conversation: ConversationId,
    pub peer: Peer,
    /// Of the media.
    pub worker: u8,
    /// Belongs to an offer of the acd.
    pub offered: bool,
    /// Is rung by us and not answered.
    pub rings: bool,
    /// Over, but for what SIP and media have yet to say.
    pub over: bool,
}

impl Index {
    pub fn put(&mut self, conversation: ConversationId, leg: &Leg) {
        let offered = match leg.role {
            Role::Agent { .. } => true,
            Role::Caller | Role::Callee | Role::Guest(_) => false,
        };
        self.keys.insert(leg.call.key().clone(), leg.id);
        if let Peer::Phone(number) = &leg.peer {
            self.phones.entry(number.clone()).or_default().insert(leg.id);
            self.touched.insert(number.clone());
        }
        let (peer, worker, rings) = (leg.peer.clone(), leg.lease.worker, leg.call.is_inviting());
        self.legs.insert(leg.id, At { conversation, peer, worker, offered, rings, over: false });
    }

    pub fn answered(&mut self, leg: LegId) {
        if let Some(at) = self.legs.get_mut(&leg) {
            at.rings = false;
        }
    }

    /// The leg is over as far as conversations and agents are concerned; its key still finds it.
    pub fn release(&mut self, leg: LegId) {
        let Some(at) = self.legs.get_mut(&leg) else { return };
        at.over = true;
        if let Peer::Phone(number) = &at.peer {
            self.touched.insert(number.clone());
        }
        if let Peer::Phone(number) = &at.peer
            && let Some(legs) = self.phones.get_mut(number)
        {
            legs.remove(&leg);
            if legs.is_empty() {
                self.phones.remove(number);
            }
        }
    }

    pub fn forget(&mut self, leg: LegId, key: &Key) {
        self.release(leg);
        self.legs.remove(&leg);
        if self.keys.get(key) == Some(&leg) {
            self.keys.remove(key);
        }
    }

    pub fn has_phone(&self, phone: &Number) -> bool {
        self.phones.contains_key(phone)
    }

    pub fn of_phone(&self, phone: &Number) -> impl Iterator<Item = (LegId, &At)> {
        self.phones.get(phone).into_iter().flatten().filter_map(|id| Some((*id, self.legs.get(id)?)))
    }

    /// How many legs each worker has that has some.
    fn legs_by_worker(&self) -> BTreeMap<u8, usize> {
        let mut legs = BTreeMap::new();
        for at in self.legs.values() {
            *legs.entry(at.worker).or_default() += 1;
        }
        legs
    }

    /// What a phone does beside what it was offered.
    pub fn elsewhere(&self, phone: &Number) -> Elsewhere {
        let own = self.of_phone(phone).filter(|(_, at)| !at.offered);
        own.map(|(_, at)| if at.rings { Elsewhere::Rings } else { Elsewhere::Talks }).max().unwrap_or(Elsewhere::Nothing)
    }

    pub fn calls_on(&self, trunk: &TrunkName) -> u32 {
        let on = |at: &&At| !at.over && matches!(&at.peer, Peer::Trunk(t) if t == trunk);
        u32::try_from(self.legs.values().filter(on).count()).unwrap_or(u32::MAX)
    }
}

/// What the acd asks of the rest.
pub(super) struct View<'a> {
    pub index: &'a Index,
    pub registrar: &'a Registrar,
    pub conversations: &'a BTreeMap<ConversationId, Conversation>,
    pub callbacks: &'a Callbacks,
    pub draining: bool,
    /// Numbers of who is in a call, once somebody has asked.
    pub customers: OnceCell<callbacks::Customers>,
}

impl<'a> View<'a> {
    pub fn of(hub: &'a Hub, conversations: &'a BTreeMap<ConversationId, Conversation>) -> View<'a> {
        let Hub { index, registrar, callbacks, draining, .. } = hub;
        View { index, registrar, conversations, callbacks, draining: *draining, customers: OnceCell::new() }
    }
}

impl Floor for View<'_> {
    fn registered(&self, phone: &Number) -> bool {
        self.registrar.is_registered(phone)
    }

    fn elsewhere(&self, phone: &Number) -> Elsewhere {
        self.index.elsewhere(phone)
    }

    fn talks(&self, phone: &Number, caller: ConversationId) -> bool {
        self.index.of_phone(phone).any(|(_, at)| at.conversation == caller)
    }

    fn present(&self, caller: ConversationId) -> bool {
        self.conversations.get(&caller).is_some_and(|c| !c.is_ending())
    }

    fn may_be_called(&self, callback: CallbackId) -> bool {
        let Some(callback) = self.callbacks.book.get(callback).filter(|_| !self.draining) else { return false };
        let customers = || callbacks::customers(self.conversations.values(), &self.callbacks.book);
        !callbacks::is_elsewhere(callback, self.customers.get_or_init(customers))
    }
}

/// The hub, the time, and where outputs go: what every step works with.
pub(super) struct Cx<'a> {
    pub hub: &'a mut Hub,
    pub now: Now,
    pub out: &'a mut Vec<Output>,
}

impl Hub {
    /// An INVITE to an emergency number, however the outside is reached.
    pub fn is_for_help(&self, request: &Request) -> bool {
        let Some(uri) = request.uri.sip().filter(|_| request.method == Method::Invite) else { return false };
        let user = uri.user_unescaped().unwrap_or_default();
        std::str::from_utf8(&user).is_ok_and(|number| route::emergency(&self.config, number).is_some())
    }
}

impl Cx<'_> {
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.hub.config)
    }

    pub fn count(&mut self, name: impl Into<String>) {
        *self.hub.counters.entry(name.into()).or_insert(0) += 1;
    }

    pub fn count_many(&mut self, name: &str, many: u64) {
        *self.hub.counters.entry(name.to_owned()).or_insert(0) += many;
    }

    pub fn tell(&mut self, conversation: Option<ConversationId>, kind: Kind) {
        self.out.push(Output::Event(Event { at: self.now.wall, conversation, kind }));
    }

    pub fn media(&mut self, worker: u8, command: media::Command) {
        self.out.push(Output::Media { worker, command });
    }

    /// A leg that has come into being: it can be found, and whoever keeps the signalling knows whose it is.
    pub fn put(&mut self, conversation: ConversationId, leg: &Leg) {
        self.hub.index.put(conversation, leg);
        self.out.push(Output::CallId { call_id: leg.call.key().call_id.clone(), conversation });
    }

    pub fn next_number(&mut self) -> u64 {
        self.hub.next_number += 1;
        self.hub.next_number
    }

    pub fn sends(&mut self, sends: Vec<Sending>) {
        self.out.extend(sends.into_iter().map(|s| Output::Sip { to: s.to, bytes: s.bytes, report: s.report }));
    }

    pub fn respond(&mut self, transaction: TransactionId, response: &Response) {
        let mut sends = Vec::new();
        self.hub.transactions.respond(transaction, response, self.now.mono, &mut sends);
        self.sends(sends);
    }

    /// Answers a request of a peer that has proven nothing, and forgets it.
    pub fn respond_stateless(&mut self, transaction: TransactionId, response: &Response) {
        let mut sends = self.stateless(transaction, response);
        // A 401 here is a challenge; that of a wrong digest is counted where it is found wrong.
        if response.status.is_failure() && response.status != Status::UNAUTHORIZED {
            for sending in &sends {
                let from = self.hub.from(&response.headers, sending.to);
                self.strike(&from, Strike::Refused);
            }
        }
        sends.retain_mut(|sending| self.may_grow(sending, response) || self.shortened(sending, response));
        self.sends(sends);
    }

    /// The same to one who is known: it counts as nothing against where it is.
    pub fn respond_stateless_to_known(&mut self, transaction: TransactionId, response: &Response) {
        let sends = self.stateless(transaction, response);
        self.sends(sends);
    }

    fn stateless(&mut self, transaction: TransactionId, response: &Response) -> Vec<Sending> {
        let mut sends = Vec::new();
        self.hub.transactions.respond_stateless(transaction, response, &mut sends);
        sends
    }

    fn target(&self, flow: Flow) -> transaction::Target {
        transaction::Target { flow, sent_by: self.sent_by(&flow) }
    }

    /// A request of ours in a client transaction.
    pub fn request(&mut self, request: Request, to: Flow, purpose: Purpose) -> TransactionId {
        let branch = self.hub.chance.branch();
        let mut sends = Vec::new();
        let to = self.hub.way(&request, to);
        let tcp = self.also_by_tcp(&to).map(|flow| self.target(flow));
        let target = self.target(to);
        let id = self.hub.transactions.request(request, target, tcp, &branch, self.now.mono, &mut sends);
        self.sends(sends);
        self.hub.purposes.insert(id, purpose);
        id
    }

    /// An ACK to a 2xx: no transaction of its own (§13.2.2.4); the INVITE's repeats it with each repeat of the 2xx.
    pub fn ack(&mut self, transaction: TransactionId, ack: &Request, to: Flow) {
        let branch = self.hub.chance.branch();
        let target = self.target(self.hub.way(ack, to));
        let mut sends = Vec::new();
        self.hub.transactions.ack(transaction, ack, &target, &branch, self.now.mono, &mut sends);
        self.sends(sends);
    }

    pub fn cancel(&mut self, transaction: TransactionId, reason: Option<Reason>) {
        let mut sends = Vec::new();
        self.hub.transactions.cancel(transaction, reason, self.now.mono, &mut sends);
        self.sends(sends);
    }

    /// A request that outgrows a datagram goes there by TCP (§18.1.1), if the peer has it.
    fn also_by_tcp(&self, to: &Flow) -> Option<Flow> {
        if to.transport != Transport::Udp || self.hub.config.sip.tcp.is_empty() {
            return None;
        }
        let takes = self.hub.config.trunks.values().any(|t| {
            t.peer.transport == Carrier::Tcp && self.hub.hosts.get(&t.name).is_some_and(|all| all.contains(&to.remote.ip()))
        });
        takes.then_some(Flow { transport: Transport::Tcp, connection: None, ..*to })
    }

    /// What our Via and Contact say on this flow: where the peer reaches us.
    pub fn sent_by(&self, flow: &Flow) -> HostPort {
        let ip = match self.hub.config.sip.advertise.towards(flow.remote.ip()) {
            Advertise::Fixed(ip) => ip,
            Advertise::Auto => flow.local.ip(),
        };
        let listeners: &[std::net::SocketAddr] = match flow.transport {
            Transport::Udp => &self.hub.config.sip.udp,
            Transport::Tcp => &self.hub.config.sip.tcp,
            Transport::Tls => &self.hub.config.sip.tls,
            // The HTTP listener's port, which is the flow's own: a browser opens every connection.
            Transport::Ws | Transport::Wss => &[],
        };
        // A connection that we opened has a port of chance; requests to us go to the listener.
        let port = match listeners.iter().find(|l| l.port() == flow.local.port()).or_else(|| listeners.first()) {
            Some(listener) => listener.port(),
            None => flow.local.port(),
        };
        HostPort { host: ip.into(), port: Some(port) }
    }

    pub fn contact(&self, user: &str, flow: &Flow) -> NameAddr {
        let at = self.sent_by(flow);
        let uri = SipUri::new(user, at.host, at.port);
        NameAddr::new(if flow.transport == Transport::Udp { uri } else { uri.with_transport(flow.transport) })
    }

    /// Where our audio goes in a description that is sent on this flow.
    pub fn media_address(&self, flow: &Flow) -> IpAddr {
        match self.hub.config.media.advertise.towards(flow.remote.ip()) {
            Advertise::Fixed(ip) => ip,
            Advertise::Auto if self.hub.config.media.listen.is_unspecified() => flow.local.ip(),
            Advertise::Auto => self.hub.config.media.listen,
        }
    }

    /// A port of this worker, which a new leg gets at once. The last ones are for emergency calls
    /// ([`Media::kept_for_help`](crate::config::Media::kept_for_help)).
    pub fn lease(&mut self, worker: u8, purpose: For) -> Option<Lease> {
        let kept = self.kept(For::AnyCall);
        let ports = self.hub.ports.get_mut(&worker)?;
        if ports.len() <= kept {
            match purpose {
                For::AnyCall => return None,
                For::Help => *self.hub.counters.entry("media_kept_ports_used_total".to_owned()).or_insert(0) += 1,
            }
        }
        ports.pop_front()
    }

    /// The worker with the fewest legs, of those that have a port for this; of equals the first. One that has far fewer ports in waiting
    /// than another does not bind new ones: it stands still, or its range is used up.
    pub fn idlest_worker(&self, purpose: For) -> Option<u8> {
        let fullest = self.hub.ports.values().map(VecDeque::len).max().unwrap_or(0);
        let kept = self.kept(purpose).max(fullest / 2);
        let room = |kept: usize| self.hub.ports.iter().filter(move |(_, ports)| ports.len() > kept).map(|(worker, _)| *worker);
        let legs = self.hub.index.legs_by_worker();
        room(kept).min_by_key(|worker| legs.get(worker).copied().unwrap_or(0))
    }

    fn kept(&self, purpose: For) -> usize {
        match purpose {
            // As many workers as have brought ports: how many there are without being configured is the machine's, and no journal's.
            For::AnyCall => self.hub.config.media.kept_for_help(self.hub.ports.len()),
            For::Help => 0,
        }
    }

    pub fn next_leg(&mut self) -> LegId {
        self.hub.next_leg += 1;
        LegId(self.hub.next_leg)
    }
}

/// `sip_requests_total{method="INVITE"}`; an unknown method counts as `other`, so that a scanner cannot make labels.
pub(super) fn method_label(method: &Method) -> &str {
    if method.is_known() { method.as_str() } else { "other" }
}
