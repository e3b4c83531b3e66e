//! The core: one owner of every transaction, dialog, conversation, queue, agent and registration.
//!
//! [`Input`] comes in with the time, [`Output`]s go out; there is nothing else. [`Switch::handle`] takes one input to its end;
//! [`Switch::deadline`] says when it wants a [`Input::Tick`]. The driver must deliver inputs in the order in which they came, and
//! outputs in the order in which they stand.
//!
//! | what | file |
//! |---|---|
//! | state but conversations, and what every step does with it | `hub` |
//! | requests outside of dialogs, within one, responses | `incoming`, `in_dialog`, `dialling` |
//! | requests of ours that are sent once more, with credentials or otherwise | `challenges` |
//! | where a subject goes | `routing`, `menu`, `queueing`, `dialling`, `transfer`, `attended`, `forwarding` |
//! | who hears whom | `bridging` |
//! | further parties, supervisors, and what both have in common | `conference`, `monitoring`, `guests` |
//! | mute, and what is played into a call | `playing` |
//! | a call that rings elsewhere, or waits in a slot, is taken | `pickup`, `parking` |
//! | the end | `ending` |
//! | the API, and the record of what it and codes command | `commands`, `audit` |
//! | names of trunks, registrations there | `trunks`, `withdrawing` |
//! | devices and trunks that change their connection, proxies of ours, gateways of carriers | `follow`, `edge`, `gateways` |
//! | phones that fell silent | `dead_flows` |
//! | where agents work, and their logins | `desk` |
//! | what comes of a call, and wrap-up | `wrapping` |
//! | customers who are called back, and callers who ask for it | `callbacks`, `arranging` |
//! | who is shut out | `door` |
//! | lamps and other subscriptions, texts between phones | `presence`, `messages` |
//! | what a phone may do | `classes` |
//! | what is heard, and how well | `hearing` |
//! | keys, which of them nothing may keep, and to whom they go on | `keys`, `pressing` |
//! | messages that callers leave, and what they hear before | `mailbox`, `greeting` |
//!
//! A panic in `handle` is caught by the driver, which then calls [`Switch::recover`]: the conversation that was at hand ends, its
//! outputs are discarded, the indices are built anew.

mod announcing;
mod arranging;
mod attended;
mod audit;
mod bridging;
mod callbacks;
mod challenges;
mod classes;
mod codes_in_call;
pub mod command;
mod commands;
mod conference;
mod consent;
mod consulting;
mod dead_flows;
mod desk;
mod dialling;
mod door;
mod due;
mod edge;
mod encryption;
mod ending;
mod finding;
mod follow;
mod forks;
mod forwarding;
mod gateways;
mod greeting;
mod guard;
mod guests;
mod handling;
mod hearing;
mod holding;
mod hub;
mod identity;
mod in_dialog;
mod incoming;
pub mod input;
pub mod journal;
mod keys;
mod mailbox;
mod marking;
mod menu;
mod messages;
mod monitoring;
mod news;
mod outgoing;
pub mod output;
mod parking;
mod pickup;
mod playing;
mod presence;
mod pressing;
mod probing;
mod queueing;
mod recording;
mod reliable;
mod reports;
mod responses;
mod routing;
mod sessions;
mod settling;
mod studio;
mod surveying;
mod transfer;
mod trunks;
mod withdrawing;
mod wrapping;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use command::{Answer, Command, Refusal};
pub use guard::{Fault, guarded};
pub use input::Input;
pub use output::Output;

use crate::acd::{self, Acd};
use crate::chance::Chance;
use crate::clock::{Mono, Now};
use crate::config::Config;
use crate::conversation::Conversation;
use crate::event::Event;
use crate::ids::{ConversationId, LegId};
use crate::ivr;
use crate::registrar::Registrar;
use crate::registrar::answers::Answers;
use crate::registrar::bans::Bans;
use crate::route::Cause;
use crate::route::class::Ledger;
use crate::sip::{Flow, Message, Request};
use crate::transaction::{Expired, Received, TransactionId, Transactions};
use crate::voicemail::{Locks, Mailboxes};
use door::Strike;
use hub::{Cx, Hub, Index, Purpose};

pub struct Switch {
    hub: Hub,
    conversations: BTreeMap<ConversationId, Conversation>,
    /// When each conversation wants to be looked at.
    timers: BTreeSet<(Mono, ConversationId)>,
    armed: BTreeMap<ConversationId, Mono>,
    /// The conversation that the input at hand belongs to.
    at_hand: Option<ConversationId>,
    /// Outputs of this input that no fault at hand can have spoilt.
    whole: usize,
    /// What the acd wants done and has noted as done: a fault over one of them must not lose the others.
    actions: VecDeque<acd::Action>,
    /// Requests that came to nothing, and 2xx that nobody acknowledged: likewise.
    expired: VecDeque<Expired>,
    unreachable: VecDeque<TransactionId>,
}

impl Switch {
    /// With menus that were checked before; one with faults is left out, and who is sent there gets 404.
    pub fn new(seed: [u8; 32], config: Config) -> Switch {
        let graphs = ivr::graphs(&config).unwrap_or_default();
        let mut chance = Chance::seeded(seed);
        let registrar = Registrar::new(&config, &mut chance);
        let outward = trunks::outward(&config, &mut chance);
        let conditions = trunks::conditions(&config);
        let lookups = trunks::lookups(&config);
        // Chance of its own: what packets make us draw is not to change who is picked.
        let picks = Chance::seeded(seed.map(|byte| byte ^ 0x55));
        let acd = Acd::new(&config, acd::Snapshot::default(), picks, Now::default());
        Switch {
            hub: Hub {
                config: Arc::new(config),
                graphs,
                chance,
                keys: Chance::seeded(seed.map(|byte| !byte)),
                transactions: Transactions::new(),
                registrar,
                bans: Bans::default(),
                grown: Answers::default(),
                asked: 0,
                doubts: dead_flows::Doubts::default(),
                ledger: Ledger::default(),
                ways: edge::Ways::default(),
                minutes_at: None,
                outward,
                withdrawn: BTreeMap::new(),
                conditions,
                acd,
                index: Index::default(),
                presence: presence::Presence::default(),
                purposes: BTreeMap::new(),
                answers: BTreeMap::new(),
                departing: BTreeMap::new(),
                ports: BTreeMap::new(),
                certificate: None,
                hosts: BTreeMap::new(),
                sources: BTreeMap::new(),
                servers: BTreeMap::new(),
                lookups,
                unresolved: BTreeMap::new(),
                moved: Vec::new(),
                gone: BTreeMap::new(),
                to_tell: Vec::new(),
                messages_relayed: messages::Messages::default(),
                joining: None,
                conferring: None,
                next_leg: 0,
                next_number: 0,
                draining: false,
                forwarding: BTreeMap::new(),
                mailboxes: Mailboxes::default(),
                leaving: BTreeMap::new(),
                keeping: BTreeMap::new(),
                locks: Locks::default(),
                wished_by: BTreeMap::new(),
                news: news::AllNews::default(),
                wrapping_up: BTreeSet::new(),
                callbacks: callbacks::Callbacks::default(),
                greetings: BTreeMap::new(),
                takes: BTreeMap::new(),
                prompt_takes: BTreeMap::new(),
                pending: BTreeMap::new(),
                dropping: BTreeMap::new(),
                degraded: BTreeMap::new(),
                counters: BTreeMap::new(),
                stirred: true,
            },
            conversations: BTreeMap::new(),
            timers: BTreeSet::new(),
            armed: BTreeMap::new(),
            at_hand: None,
            whole: 0,
            actions: VecDeque::new(),
            expired: VecDeque::new(),
            unreachable: VecDeque::new(),
        }
    }

    /// Takes one input to its end. Never blocks, never does I/O, reads no clock, draws chance only from its seeded generator.
    pub fn handle(&mut self, input: Input, now: Now, out: &mut Vec<Output>) {
        self.at_hand = None;
        self.whole = out.len();
        match input {
            Input::Started(recovered) => self.started(*recovered, now, out),
            Input::Sip { flow, message } => self.sip(message, flow, now, out),
            Input::Undeliverable { report, why } => {
                let connection = self.hub.transactions.connection_of(report);
                self.cx(now, out).way_failed(report);
                // It was lost before it is said to be closed.
                if let Some(connection) = connection {
                    self.trunks_lose(connection, now, out);
                }
                let mut cx = self.cx(now, out);
                let mut sends = Vec::new();
                let lost = cx.hub.transactions.undeliverable(report, now.mono, &mut sends);
                cx.sends(sends);
                if let Some(lost) = lost {
                    self.failed(lost.id, Cause::Unreachable, why, now, out);
                }
            }
            Input::ConnectionClosed { connection } => {
                self.cx(now, out).way_lost(connection);
                self.trunks_lose(connection, now, out);
                let mut cx = self.cx(now, out);
                let mut sends = Vec::new();
                let lost = cx.hub.transactions.connection_closed(connection, now.mono, &mut sends);
                cx.sends(sends);
                let mut changes = Vec::new();
                cx.hub.registrar.connection_closed(connection, &mut changes);
                // Before its bindings end: there is nobody to be told of that.
                let config = cx.config();
                cx.hub.presence.connection_closed(connection, |address| config.sip.is_proxy(address));
                cx.bindings_changed(changes);
                cx.trunk_connection_lost(connection);
                self.flow_lost(connection, now, out);
                self.unreachable.extend(lost.into_iter().map(|lost| lost.id));
            }
            Input::Silent { remotes } => self.cx(now, out).fell_silent_on(&remotes),
            Input::Malformed { sources } => self.cx(now, out).malformed(sources),
            Input::Resolved { query, servers, whole, ttl } => {
                if !self.host_resolved(query, &servers, now, out) {
                    let mut cx = self.cx(now, out);
                    cx.resolved(query, servers, whole, ttl);
                    cx.trunks_are_not_banned();
                }
            }
            Input::Ports(leases) => {
                for lease in leases {
                    self.hub.ports.entry(lease.worker).or_default().push_back(lease);
                }
            }
            Input::Certificate(fingerprint) => self.hub.certificate = Some(fingerprint),
            Input::Media(report) => self.media(report, now, out),
            Input::Recorder(report) => {
                let told = self.cx(now, out).recorder(report);
                if let Some((leg, event)) = told
                    && let Some(conversation) = self.conversation_of(leg)
                {
                    self.with(conversation, now, out, |cx, conv| match event {
                        hub::Told::Mailbox(event) => cx.listening_event(conv, event),
                        hub::Told::Studio(event) => cx.studio_event(conv, event),
                    });
                }
            }
            Input::PromptKept { leg, prompt, recording, kept } => self.prompt_kept(leg, prompt, recording, kept, now, out),
            Input::Command { ticket, by, command } => match self.command(ticket, &by, command, now, out) {
                Answer::Later => {}
                answer => out.push(Output::Reply { ticket, answer }),
            },
            Input::Configured { by, source } => self.configured(&by, &source, now, out),
            Input::Health { part, trouble } => self.cx(now, out).health(part, trouble),
            Input::Fetched { leg, recording, there } => {
                if let Some(conversation) = self.conversation_of(leg) {
                    self.with(conversation, now, out, |cx, conv| cx.fetched(conv, recording, there));
                }
            }
            Input::LookedUp { conversation, nth, outcome } => self.looked_up(conversation, nth, outcome, now, out),
            Input::Mailed { mailed, delete, told } => self.cx(now, out).mailed(mailed, delete, told),
            Input::MailFailed(data) => self.cx(now, out).mail_failed(data),
            Input::Drain => self.drain(now, out),
            Input::Halt => self.halt(now, out),
            Input::Tick => {}
        }
        self.confer_by_key(now, out);
        self.follow(now, out);
        self.due(now, out);
        self.tell_parkers(now, out);
        self.call_customers(now, out);
        self.settle(now, out);
        self.lamps(now, out);
    }

    /// Nothing waits for an answer any more: no conversation, no leg that says goodbye.
    pub fn is_quiet(&self) -> bool {
        let awaited = |purpose: &Purpose| !matches!(purpose, Purpose::Options(..) | Purpose::Doubt(_));
        self.conversations.is_empty() && self.hub.departing.is_empty() && !self.hub.purposes.values().any(awaited)
    }

    /// Whether a digest was right that the inputs had since this was asked last.
    pub fn digest_was_right(&mut self) -> bool {
        self.hub.registrar.digest_was_right()
    }

    /// Conversations that are not over yet.
    pub fn live(&self) -> usize {
        self.conversations.len()
    }

    /// What is kept for calls beside the conversations themselves: legs, dialogs that find their end, requests without an answer, timers.
    /// Zero when all calls are over and their transactions too: whatever leaks shows here.
    pub fn residue(&self) -> usize {
        let hub = &self.hub;
        hub.index.legs.len()
            + hub.index.keys.len()
            + hub.departing.len()
            + hub.unresolved.len()
            + hub.purposes.len()
            + hub.answers.len()
            + hub.presence.len()
            + hub.messages_relayed.len()
            + hub.ledger.open()
            + hub.takes.len()
            + hub.prompt_takes.len()
            + hub.pending.len()
            + self.timers.len()
            + self.armed.len()
    }

    fn cx<'a>(&'a mut self, now: Now, out: &'a mut Vec<Output>) -> Cx<'a> {
        Cx { hub: &mut self.hub, now, out }
    }

    /// Does something with one conversation, and what follows from it for its timer and its end.
    fn with<R>(
        &mut self,
        id: ConversationId,
        now: Now,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Cx<'_>, &mut Conversation) -> R,
    ) -> Option<R> {
        self.at_hand = Some(id);
        let conv = self.conversations.get_mut(&id)?;
        let mut cx = Cx { hub: &mut self.hub, now, out };
        let result = act(&mut cx, conv);
        if !cx.hub.presence.is_empty() {
            cx.hub.index.touched.extend(conv.legs.values().filter_map(|leg| leg.peer.phone().cloned()));
        }
        cx.tune(conv);
        let over = cx.finish(conv);
        let deadline = conv.deadline();
        if over {
            self.conversations.remove(&id);
            self.arm(id, None);
        } else {
            self.arm(id, deadline);
        }
        self.at_hand = None;
        self.whole = out.len();
        Some(result)
    }

    fn arm(&mut self, id: ConversationId, at: Option<Mono>) {
        if self.armed.get(&id).copied() == at {
            return;
        }
        if let Some(old) = self.armed.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(at) = at {
            self.armed.insert(id, at);
            self.timers.insert((at, id));
        }
    }

    fn adopt(&mut self, conv: Conversation, now: Now, out: &mut Vec<Output>) {
        let id = conv.id;
        self.conversations.insert(id, conv);
        self.with(id, now, out, |_, _| ());
    }

    fn conversation_of(&self, leg: LegId) -> Option<ConversationId> {
        self.hub.index.legs.get(&leg).map(|at| at.conversation)
    }

    fn sip(&mut self, message: Message, flow: Flow, now: Now, out: &mut Vec<Output>) {
        let mut sends = Vec::new();
        self.cx(now, out).note_way(&flow);
        self.hub.doubts.heard(flow.remote, now.mono);
        let received = match message {
            Message::Request(request) => {
                let label = format!("sip_requests_total{{method=\"{}\"}}", hub::method_label(&request.method));
                *self.hub.counters.entry(label).or_insert(0) += 1;
                if self.hub.transactions.is_full() && self.hub.is_for_help(&request) {
                    self.hub.transactions.receive_urgent(request, flow, now.mono, &mut sends)
                } else {
                    self.hub.transactions.receive_request(request, flow, now.mono, &mut sends)
                }
            }
            Message::Response(response) => self.hub.transactions.receive_response(response, flow, now.mono, &mut sends),
        };
        self.cx(now, out).sends(sends);
        match received {
            Received::New { id, request, flow } => self.requested(id, request, flow, now, out),
            Received::Cancel { invite, request, .. } => {
                if let Some(leg) = self.leg_invited_in(invite, &request)
                    && let Some(conversation) = self.conversation_of(leg)
                {
                    self.with(conversation, now, out, |cx, conv| cx.cancelled(conv, leg));
                }
            }
            Received::Ack { invite, request, flow } => self.acknowledged(invite, &request, flow, now, out),
            Received::Response { id, response, flow, challenged } => {
                let answered = match (challenged, self.hub.purposes.get(&id).cloned()) {
                    (Some(sent), Some(purpose)) => self.challenged(id, *sent, purpose, &response, flow, now, out),
                    (_, _) => false,
                };
                if !answered {
                    self.responded(id, &response, flow, now, out);
                }
            }
            Received::Stray { flow, .. } => {
                let mut cx = self.cx(now, out);
                cx.count("sip_stray_responses_total");
                // The Vias below ours are whatever its sender likes.
                let from = cx.hub.from(&crate::sip::Headers::with_capacity(0), flow);
                cx.strike(&from, Strike::Stray);
            }
            Received::Answered(status) => {
                // Of what came by a proxy of ours nobody knows here whose it was.
                let from = self.hub.from(&crate::sip::Headers::with_capacity(0), flow);
                self.cx(now, out).strike(&from, Strike::Refused);
                self.cx(now, out).count(format!("sip_refused_total{{status=\"{}\"}}", status.code()));
            }
            Received::Absorbed => {}
        }
    }

    fn requested(&mut self, id: TransactionId, request: Request, flow: Flow, now: Now, out: &mut Vec<Output>) {
        self.hub.asked = request.least_len();
        let in_dialog = request.headers.to_tag().is_ok_and(|tag| tag.is_some());
        if !in_dialog {
            if self.cx(now, out).is_shut_out(id, &request, flow) {
                return;
            }
            let returns = self.returned(&request);
            let conv = self.cx(now, out).out_of_dialog(id, request, flow, returns);
            if let Some(conv) = conv {
                self.adopt(conv, now, out);
            }
            if let Some(joining) = self.hub.joining.take() {
                self.join(joining, now, out);
            }
            return;
        }
        self.within_dialog(id, request, flow, None, now, out);
    }

    fn acknowledged(&mut self, invite: Option<TransactionId>, request: &Request, flow: Flow, now: Now, out: &mut Vec<Output>) {
        let Some(leg) = self.leg_of(request) else { return };
        if let Some(conversation) = self.conversation_of(leg) {
            self.with(conversation, now, out, |cx, conv| cx.acked(conv, leg, invite, request, flow));
            return;
        }
        let mut cx = self.cx(now, out);
        if let Some(departing) = cx.hub.departing.get_mut(&leg)
            && departing.call.owns(request)
            && let (_, Some((bye, to))) = departing.call.acked()
        {
            cx.request(bye, to, Purpose::Bye(leg));
        }
    }
}
