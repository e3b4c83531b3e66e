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
//! | the API | `commands` |
//! | names of trunks, registrations there | `trunks`, `withdrawing` |
//! | devices and trunks that change their connection, proxies of ours, gateways of carriers | `follow`, `edge`, `gateways` |
//! | phones that fell silent | `dead_flows` |
//! | who is shut out | `door` |
//! | lamps and other subscriptions, texts between phones | `presence`, `messages` |
//! | what a phone may do | `classes` |
//! | what is heard, and how well | `hearing` |
//! | keys, which of them nothing may keep, and to whom they go on | `keys`, `pressing` |
//! | messages that callers leave, and what they hear before | `mailbox`, `greeting` |
//!
//! A panic in `handle` is caught by the driver, which then calls [`Switch::recover`]: the conversation that was at hand ends, its
//! outputs are discarded, the indices are built anew.

mod attended;
mod bridging;
mod challenges;
mod classes;
mod codes_in_call;
pub mod command;
mod commands;
mod conference;
mod consent;
mod dead_flows;
mod dialling;
mod door;
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
mod hearing;
mod hub;
mod identity;
mod in_dialog;
mod incoming;
pub mod input;
pub mod journal;
mod keys;
mod mailbox;
mod menu;
mod messages;
mod monitoring;
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
mod routing;
mod sessions;
mod studio;
mod transfer;
mod trunks;
mod withdrawing;

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
use crate::conversation::{Conversation, Stage};
use crate::event::{self, Event, Kind};
use crate::ids::{ConversationId, LegId};
use crate::ivr;
use crate::media::{Key, Report};
use crate::registrar::Registrar;
use crate::registrar::answers::Answers;
use crate::registrar::bans::Bans;
use crate::route::Cause;
use crate::route::class::Ledger;
use crate::sip::{Flow, Message, Request, Response, Status};
use crate::transaction::{Expired, Expiry, Received, TransactionId, Transactions};
use crate::voicemail::{self, Locks, Mailboxes};
use door::Strike;
use hub::{Cx, Hub, Index, Purpose, View};
use pressing::Via;

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
        let acd = Acd::new(&config, acd::Snapshot::default(), Now::default());
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
        self.settle(now, out);
        self.lamps(now, out);
    }

    /// When it wants to be called next, if nothing happens before.
    pub fn deadline(&self) -> Option<Mono> {
        // What a fault has interrupted goes on at once.
        let interrupted = !(self.actions.is_empty() && self.expired.is_empty() && self.unreachable.is_empty());
        let conversations = self.timers.first().map(|(at, _)| *at);
        let departing = self.hub.departing.values().map(|d| d.until).min();
        [
            conversations,
            departing,
            self.hub.transactions.deadline(),
            self.hub.registrar.deadline(),
            self.hub.bans.deadline(),
            self.hub.doubts.deadline(),
            self.hub.locks.deadline(),
            self.hub.minutes_at,
            self.hub.presence.deadline(),
            self.hub.messages_relayed.deadline(),
            self.hub.outward.values().filter_map(|o| o.deadline()).min(),
            self.hub.conditions.values().filter_map(|c| c.deadline()).min(),
            self.hub.acd.deadline(),
            self.hub.lookups.values().map(|l| l.at).min(),
            self.hub.unresolved.values().map(|waiting| waiting.until).min(),
            interrupted.then_some(Mono::ZERO),
        ]
        .into_iter()
        .flatten()
        .min()
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

    fn responded(&mut self, id: TransactionId, response: &Response, flow: Flow, now: Now, out: &mut Vec<Output>) {
        let Some(purpose) = self.hub.purposes.get(&id).cloned() else {
            // Its INVITE has its answer already, or it would have a purpose.
            return self.forked(id, response, flow, now, out);
        };
        if response.status.is_final() {
            self.hub.purposes.remove(&id);
            self.hub.answers.remove(&id);
        }
        match purpose {
            Purpose::Invite(leg) => match self.conversation_of(leg) {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.invite_answered(conv, leg, id, response, flow));
                }
                None => self.cx(now, out).departing_answered(leg, id, response, flow),
            },
            Purpose::Told(_) | Purpose::InDialog => {}
            Purpose::Key(leg) if response.status.is_final() => self.key_told(leg, Some(response.status), now, out),
            Purpose::Key(_) => {}
            Purpose::Notify(id) if response.status.is_final() => {
                let retry_after = response.headers.retry_after().ok().flatten();
                self.cx(now, out).notify_answered(id, response.status, retry_after);
            }
            Purpose::Notify(_) => {}
            Purpose::Message(sender) if response.status.is_final() => {
                self.cx(now, out).message_answered(sender, response.status);
            }
            Purpose::Message(_) => {}
            Purpose::Refresh(leg) => {
                if let Some(conversation) = self.conversation_of(leg) {
                    self.with(conversation, now, out, |cx, conv| cx.refresh_answered(conv, leg, id, response));
                }
            }
            Purpose::Probe(leg) => self.probed(leg, response.status, now, out),
            Purpose::Bye(leg) if response.status.is_final() => self.bye_done(leg, now, out),
            Purpose::Bye(_) => {}
            Purpose::Register(trunk, at) => self.cx(now, out).registered_there(&trunk, at, response, flow),
            Purpose::Withdraw(id) if response.status.is_final() => self.cx(now, out).withdraw_answered(id, Some(response)),
            Purpose::Withdraw(_) => {}
            Purpose::Options(trunk, at) => self.cx(now, out).trunk_answered(&trunk, at, response.status),
            Purpose::Doubt(name) => self.cx(now, out).doubt_answered(&name, response.status),
        }
    }

    /// Our BYE has its answer, or will have none.
    fn bye_done(&mut self, leg: LegId, now: Now, out: &mut Vec<Output>) {
        if let Some(conversation) = self.conversation_of(leg) {
            self.with(conversation, now, out, |cx, conv| {
                if let Some(leg) = conv.legs.get_mut(&leg) {
                    leg.call.ended_by_peer();
                }
                cx.sweep(conv, leg);
            });
        } else if let Some(departing) = self.hub.departing.get_mut(&leg) {
            departing.call.ended_by_peer();
        }
    }

    fn key_told(&mut self, leg: LegId, status: Option<Status>, now: Now, out: &mut Vec<Output>) {
        if let Some(conversation) = self.conversation_of(leg) {
            self.with(conversation, now, out, |cx, conv| cx.key_told(conv, leg, status));
        }
    }

    /// What came of a probe.
    fn probed(&mut self, leg: LegId, status: Status, now: Now, out: &mut Vec<Output>) {
        if status.is_final()
            && let Some(conversation) = self.conversation_of(leg)
        {
            self.with(conversation, now, out, |cx, conv| cx.probed(conv, leg, status));
        }
    }

    /// A request of ours has no answer and will have none.
    fn failed(&mut self, id: TransactionId, cause: Cause, why: Option<String>, now: Now, out: &mut Vec<Output>) {
        self.hub.answers.remove(&id);
        self.doubt_receiver(id, now, out);
        match self.hub.purposes.remove(&id) {
            Some(Purpose::Invite(leg)) => match self.conversation_of(leg) {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.invite_failed(conv, leg, cause));
                }
                None => {
                    if let Some(departing) = self.hub.departing.get_mut(&leg) {
                        departing.call.failed();
                    }
                }
            },
            Some(Purpose::Register(trunk, at)) => self.cx(now, out).unregistered_there(&trunk, at),
            Some(Purpose::Withdraw(id)) => self.cx(now, out).withdraw_answered(id, None),
            Some(Purpose::Options(trunk, at)) => self.cx(now, out).trunk_silent(&trunk, at, cause, why),
            Some(Purpose::Doubt(name)) => self.cx(now, out).doubt_unanswered(&name, cause),
            Some(Purpose::Bye(leg)) => self.bye_done(leg, now, out),
            Some(Purpose::Probe(leg)) => match (cause, self.conversation_of(leg)) {
                (Cause::Unreachable, Some(conversation)) => {
                    self.with(conversation, now, out, |cx, conv| cx.probe_found_no_way(conv, leg));
                }
                (_, _) => self.probed(leg, Status::REQUEST_TIMEOUT, now, out),
            },
            Some(Purpose::Notify(id)) if cause == Cause::Unreachable => self.cx(now, out).notify_found_no_way(id),
            Some(Purpose::Notify(id)) => self.cx(now, out).notify_answered(id, Status::REQUEST_TIMEOUT, None),
            Some(Purpose::Message(sender)) => self.cx(now, out).message_answered(sender, Status::REQUEST_TIMEOUT),
            Some(Purpose::Refresh(leg)) => {
                if let Some(conversation) = self.conversation_of(leg) {
                    self.with(conversation, now, out, |cx, conv| cx.refresh_failed(conv, leg, cause));
                }
            }
            Some(Purpose::Key(leg)) => self.key_told(leg, None, now, out),
            Some(Purpose::Told(_) | Purpose::InDialog) | None => {}
        }
    }

    fn media(&mut self, report: Report, now: Now, out: &mut Vec<Output>) {
        let leg = report.leg();
        let Some(conversation) = self.conversation_of(leg) else { return };
        self.with(conversation, now, out, |cx, conv| cx.reported(conv, leg, report));
    }

    /// Whatever time has brought.
    fn due(&mut self, now: Now, out: &mut Vec<Output>) {
        let (mut expired, mut sends) = (Vec::new(), Vec::new());
        self.hub.transactions.tick(now.mono, &mut expired, &mut sends);
        self.cx(now, out).sends(sends);
        self.expired.extend(expired);
        self.whole = out.len();
        while let Some(id) = self.unreachable.pop_front() {
            self.failed(id, Cause::Unreachable, None, now, out);
            self.whole = out.len();
        }
        while let Some(Expired { id, what }) = self.expired.pop_front() {
            match what {
                Expiry::NoResponse => self.failed(id, Cause::Timeout, None, now, out),
                Expiry::NoAckToSuccess => self.unacknowledged(id, now, out),
                Expiry::NoAckToFailure => self.cx(now, out).count("sip_unacknowledged_total"),
            }
            self.whole = out.len();
        }
        let mut changes = Vec::new();
        self.hub.registrar.expire(now, &mut changes);
        self.cx(now, out).bindings_changed(changes);
        self.cx(now, out).trunks_due();
        self.cx(now, out).bans_due();
        self.cx(now, out).doubts_due();
        self.cx(now, out).mailbox_locks_due();
        self.cx(now, out).minutes_due();
        self.cx(now, out).presence_due();
        self.cx(now, out).messages_due();
        self.names_due(now, out);
        // Expired bindings and trunks: no conversation's, and said once.
        self.whole = out.len();
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, id));
            self.armed.remove(&id);
            self.with(id, now, out, |cx, conv| cx.deadline_came(conv));
        }
        let over: Vec<LegId> =
            self.hub.departing.iter().filter(|(_, d)| d.until <= now.mono || d.call.is_over()).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(departing) = self.hub.departing.remove(&id) {
                self.hub.index.forget(id, departing.call.key());
            }
        }
    }

    fn unacknowledged(&mut self, transaction: TransactionId, now: Now, out: &mut Vec<Output>) {
        let awaits = |call: &crate::dialog::Call| call.awaits_ack_of() == Some(transaction);
        let live = self.conversations.values().flat_map(|c| c.legs.values().map(move |l| (c.id, l)));
        let found = live.into_iter().find(|(_, l)| awaits(&l.call)).map(|(c, l)| (c, l.id));
        if let Some((conversation, leg)) = found {
            self.with(conversation, now, out, |cx, conv| cx.unacked(conv, leg));
            return;
        }
        let mut cx = self.cx(now, out);
        let departing = cx.hub.departing.iter_mut().find(|(_, d)| awaits(&d.call));
        if let Some((leg, (bye, to))) = departing.and_then(|(leg, d)| Some((*leg, d.call.unacked()?))) {
            cx.request(bye, to, Purpose::Bye(leg));
        }
    }

    /// What the acd makes of what has changed, until nothing changes any more.
    fn settle(&mut self, now: Now, out: &mut Vec<Output>) {
        // Each round ends an offer or begins one, and both are finite: an agent rests after each that came to nothing. The bound only
        // keeps a fault from becoming a hang.
        for _ in 0..10_000 {
            while let Some(action) = self.actions.pop_front() {
                match action {
                    acd::Action::Offer(offer) => {
                        self.with(offer.caller, now, out, |cx, conv| cx.offer(conv, &offer));
                    }
                    acd::Action::OfferEnded { offer, end, rang } => {
                        self.with(offer.caller, now, out, |cx, conv| cx.offer_ended(conv, &offer, end, rang));
                    }
                    acd::Action::Overflow { caller, queue, to, waited, .. } => {
                        self.with(caller, now, out, |cx, conv| cx.overflow(conv, queue, &to, waited));
                    }
                    acd::Action::Vanished(_) => self.cx(now, out).count("acd_vanished_total"),
                    acd::Action::AgentChanged { agent, to, .. } => self.cx(now, out).agent_changed(agent, to),
                }
                self.whole = out.len();
            }
            let due = self.hub.acd.deadline().is_some_and(|at| at <= now.mono);
            if !std::mem::take(&mut self.hub.stirred) && !due {
                return;
            }
            let mut actions = Vec::new();
            let view = View { index: &self.hub.index, registrar: &self.hub.registrar, conversations: &self.conversations };
            self.hub.acd.settle(&view, now, &mut actions);
            self.actions.extend(actions);
        }
        *self.hub.counters.entry("acd_unsettled_total".to_owned()).or_insert(0) += 1;
    }
}

impl Cx<'_> {
    /// A conversation's deadline has come.
    fn deadline_came(&mut self, conv: &mut Conversation) {
        self.pause_is_over(conv);
        self.lets_go(conv);
        self.probe(conv);
        self.sessions_due(conv);
        self.provisionals_due(conv);
        self.guests_due(conv);
        if conv.is_ending() {
            return;
        }
        let now = self.now.mono;
        match &conv.stage {
            Stage::Menu { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.menu_event(conv, ivr::Event::Deadline);
            }
            Stage::Dialling(dialling) if dialling.until.is_some_and(|at| at <= now) => self.dialling_expired(conv),
            Stage::Announcing { until, .. } if *until <= now => self.announced(conv),
            Stage::Parked { until } if *until <= now => self.parked_too_long(conv),
            Stage::Offering { until, .. } if *until <= now => self.end(conv, Cause::Normal, event::By::Switch),
            Stage::Leaving { until, .. } if *until <= now => self.leaving_expired(conv),
            Stage::Listening { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.listening_event(conv, voicemail::Event::Deadline);
            }
            Stage::Studio { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.studio_event(conv, voicemail::studio::Event::Deadline);
            }
            Stage::Originating { until, .. } if *until <= now => self.end(conv, Cause::NoAnswer, event::By::Switch),
            Stage::Menu { .. }
            | Stage::Dialling(_)
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::Routing
            | Stage::Queue { .. }
            | Stage::Bridged { .. }
            | Stage::Ending => {}
        }
    }

    /// What a media worker says of a leg.
    fn reported(&mut self, conv: &mut Conversation, id: LegId, report: Report) {
        use event::RecordingGap;
        match report {
            Report::Digit { digit, duration_ms, via, .. } => {
                let duration_ms = u16::try_from(duration_ms).unwrap_or(u16::MAX);
                self.pass_key(conv, id, Key { digit, duration_ms }, Via::Media(via));
                self.digit(conv, id, digit);
            }
            Report::PlayEnded { play, .. } => self.play_ended(conv, id, play),
            Report::ClipMissing { play, clip, .. } => self.clip_is_missing(conv, play, &clip),
            Report::Missing { cause, .. } => self.absent(conv, id, cause, true),
            Report::Present { cause, .. } => self.absent(conv, id, cause, false),
            Report::Degraded { mos, way, quality, .. } => self.scored(conv, id, mos, Some(way), quality),
            Report::Recovered { mos, quality, .. } => self.scored(conv, id, mos, None, quality),
            // What is agreed on before the answer binds nobody to speak.
            Report::Dead { .. } if conv.leg(id).is_some_and(|l| l.is_live() && !l.is_answered()) => {}
            Report::Dead { .. } => self.leg_fails(conv, id, Cause::NoMedia),
            Report::Broken { why, .. } => self.browser_lost(conv, id, why),
            Report::Latched { .. } => {}
            Report::Silence { since, .. } => self.fell_silent(conv, id, since),
            Report::Closed { quality, .. } => self.closed(conv, id, quality),
            Report::TapOverflow { recording, frames, .. } => {
                // 20 ms a frame, the length that nearly every peer sends.
                let data = RecordingGap { recording, reason: "queue_full".to_owned(), gap_ms: frames * 20 };
                self.tell(Some(conv.id), Kind::RecordingGap(data));
            }
        }
    }
}
