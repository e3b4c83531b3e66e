//! The switch without a network, without sound and in no time: what `cordboard simulate` walks a described call with.
//!
//! The core is the real one, with the real configuration and menus, on a virtual clock that jumps from one thing that is due to the next.
//! Around it nothing is real: [`peer`]s answer at once and lose nothing, [`media`] plays prompts as long as their clips are without a
//! sample, servers answer lookups as the call's description says. Everything is decided by seed and description, so a call takes the same
//! path each time.

mod call;
mod media;
mod peer;
mod scenario;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

pub use call::{BadCall, Described, Key, Path, Step, What, keys, moment};
use media::SilentMedia;
use peer::{Caller, Peers};
pub use scenario::{Checked, check};

use crate::clock::{Mono, Now, Wall};
use crate::config::Config;
use crate::event::{Event, Kind};
use crate::ids::{ConversationId, Number, TrunkName};
use crate::ivr;
use crate::media::{Clips, Lease};
use crate::registrar::Binding;
use crate::route;
use crate::sip::{self, Flow, Message, Transport};
use crate::switch::input::{RecorderReport, Recovered};
use crate::switch::output::{RecorderCommand, Resolved, Server};
use crate::switch::{Input, Output, Switch};

/// Ports of the only media worker; a call takes one, and one for each phone that rings.
const PORTS: u16 = 256;

/// Phones ring so long before somebody answers.
pub const RINGS: Duration = Duration::from_secs(4);

/// A call that does nothing more, its keys pressed, is looked at for so long: past every wait of a menu.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// More inputs than any call brings about; a bound for what goes round.
const MOST_INPUTS: u32 = 100_000;

/// Of a simulation.
pub struct Simulation {
    switch: Switch,
    config: Config,
    now: Now,
    began: Mono,
    media: SilentMedia,
    peers: Peers,
    caller: Option<Caller>,
    /// The first conversation is the call.
    conversation: Option<ConversationId>,
    answers: VecDeque<String>,
    /// Where the switch listens.
    local: SocketAddr,
    todo: VecDeque<Input>,
    path: Path,
    inputs: u32,
}

impl Simulation {
    /// `answers_after`: whether agents are at their phones, and how long those ring; without, no phone is registered.
    pub fn new(config: &Config, clips: Clips, at: Wall, answers_after: Option<Duration>) -> Simulation {
        let now = Now { mono: Mono::from_millis(1_000), wall: at };
        let local = config.sip.udp.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 5_060)));
        let ip = if local.ip().is_unspecified() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { local.ip() };
        let mut simulation = Simulation {
            switch: Switch::new([7; 32], config.clone()),
            config: config.clone(),
            now,
            began: now.mono,
            media: SilentMedia::new(clips),
            peers: Peers::new(answers_after),
            caller: None,
            conversation: None,
            answers: VecDeque::new(),
            local: SocketAddr::new(ip, local.port()),
            todo: VecDeque::new(),
            path: Path::default(),
            inputs: 0,
        };
        let phones: BTreeSet<Number> = config.agents.values().flat_map(|agent| agent.phones.iter().cloned()).collect();
        let registrations = match answers_after {
            Some(_) => {
                phones.into_iter().zip(0u16..).map(|(phone, nth)| (phone.clone(), simulation.binding(&phone, nth))).collect()
            }
            None => Vec::new(),
        };
        simulation.todo.push_back(Input::Started(Box::new(Recovered { registrations, ..Recovered::default() })));
        simulation.todo.push_back(Input::Ports((0..PORTS).map(|n| Lease { worker: 0, port: 20_000 + 2 * n }).collect()));
        simulation.work();
        simulation
    }

    /// Walks a call to where it ends, is answered by somebody, or nothing more happens.
    pub fn call(mut self, described: &Described) -> Result<Path, BadCall> {
        let (trunk, at) = self.trunk_of(&described.to).ok_or_else(|| BadCall::NotTaken(described.to.clone()))?;
        let caller = Caller::new(at, self.local, &described.from, &described.to, 1);
        let caller = caller.ok_or_else(|| BadCall::Number(described.from.clone()))?;
        self.answers = described.answers.iter().cloned().collect();
        self.began = self.now.mono;
        let invite = caller.invite.clone();
        self.caller = Some(caller);
        tracing::debug!(%trunk, "a simulated call");
        self.receive(Message::Request(invite), at);
        self.work();
        let mut keys: VecDeque<Key> = described.keys.iter().copied().collect();
        let mut answered = None;
        let mut last = self.now.mono;
        while !self.is_over() {
            if self.caller.as_ref().is_some_and(|caller| caller.is_up) && answered.is_none() {
                answered = Some(self.now.mono);
                last = self.now.mono;
            }
            let key_at = answered.and_then(|answered| Some(answered + keys.front()?.after));
            let next = [self.switch.deadline(), self.media.deadline(), self.peers.deadline(), key_at].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= last + PATIENCE) else {
                self.step(What::Waits);
                break;
            };
            self.now = self.now + next.since(self.now.mono);
            if key_at.is_some_and(|at| at <= self.now.mono)
                && let Some(Key { key, .. }) = keys.pop_front()
            {
                last = self.now.mono;
                let report = self.media.first().and_then(|leg| self.media.key(leg, key));
                self.todo.extend(report.map(Input::Media));
            }
            self.todo.extend(self.media.ended(self.now.mono).into_iter().map(Input::Media));
            for (at, message) in self.peers.answered(self.now.mono) {
                self.receive(message, at);
            }
            self.todo.push_back(Input::Tick);
            self.work();
        }
        if let Some(status) = self.caller.as_ref().and_then(|caller| caller.refused).filter(|_| self.path.0.is_empty()) {
            self.step(What::Ended(format!("refused with {status}")));
        } else if self.inputs >= MOST_INPUTS {
            self.step(What::Ended("it goes round and round".to_owned()));
        }
        Ok(self.path)
    }

    /// Ended, or somebody talks with the caller.
    fn is_over(&self) -> bool {
        let ends = |step: &Step| matches!(step.what, What::Ended(_) | What::TakenBy(_) | What::Waits);
        self.path.0.iter().any(ends) || self.inputs >= MOST_INPUTS || self.caller.as_ref().is_none_or(|c| c.refused.is_some())
    }

    /// A trunk with a rule for this number, and where it calls from.
    fn trunk_of(&self, number: &str) -> Option<(TrunkName, SocketAddr)> {
        let mut trunks = self.config.trunks.values().zip(0u8..);
        let (trunk, nth) = trunks.find(|(trunk, _)| route::inbound(&self.config, trunk, number).is_some())?;
        Some((trunk.name.clone(), peer_of(&trunk.peer.host, trunk.peer.port, nth)))
    }

    fn binding(&self, phone: &Number, nth: u16) -> Binding {
        let at = SocketAddr::from(([192, 0, 2, 200], 10_000 + nth));
        Binding {
            contact: Bytes::from(format!("sip:{phone}@{at}")),
            flow: self.flow(at),
            user_agent: None,
            call_id: Bytes::from(format!("{phone}@simulation")),
            cseq: 1,
            expires_at: Wall::from_micros(self.now.wall.as_micros().saturating_add(86_400_000_000)),
            q: 1_000,
            path: Vec::new(),
            device: None,
            reported: None,
        }
    }

    fn flow(&self, remote: SocketAddr) -> Flow {
        Flow { transport: Transport::Udp, local: self.local, remote, connection: None }
    }

    fn receive(&mut self, message: Message, from: SocketAddr) {
        // As bytes, so that nothing comes that could not have come over a wire.
        if let Ok(message) = sip::parse_datagram(&message.to_bytes()) {
            self.todo.push_back(Input::Sip { flow: self.flow(from), message });
        }
    }

    /// Until nothing is left to do now.
    fn work(&mut self) {
        let mut out = Vec::new();
        while let Some(input) = self.todo.pop_front() {
            self.inputs += 1;
            if self.inputs > MOST_INPUTS {
                return;
            }
            self.switch.handle(input, self.now, &mut out);
            for output in out.drain(..) {
                self.carry_out(output);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Sip { to, bytes, .. } => self.sent(&bytes, to.remote),
            Output::Media { command, .. } => {
                let effect = self.media.command(command, self.now.mono);
                if !effect.said.is_empty() {
                    self.step(What::Said(effect.said));
                }
                self.todo.extend(effect.reports.into_iter().map(Input::Media));
                self.todo.extend(effect.free.map(|lease| Input::Ports(vec![lease])));
            }
            Output::Resolve { query, wanted } => {
                let nth = self.config.trunks.values().position(|trunk| trunk.peer.host == wanted.host).unwrap_or(0);
                let transport = wanted.transports.first().copied().unwrap_or(Transport::Udp);
                let remote = peer_of(&wanted.host, wanted.port, u8::try_from(nth).unwrap_or(0));
                let addresses = vec![Resolved { remote, local: self.local.ip(), connection: None }];
                let servers = vec![Server { transport, priority: 0, weight: 0, addresses }];
                self.todo.push_back(Input::Resolved { query, servers, whole: true, ttl: Duration::from_secs(3_600) });
            }
            Output::Recorder(RecorderCommand::Begin { about, .. }) => {
                let (conversation, recording) = (about.conversation, about.recording);
                self.todo.push_back(Input::Recorder(RecorderReport::Started { conversation, recording }));
            }
            Output::Lookup { conversation, nth, request } => {
                let answer = self.answers.pop_front();
                let found = answer.map(|answer| ivr::found(answer.as_bytes(), &request.wanted));
                let outcome = match found {
                    Some(Some(values)) => ivr::Outcome::Found(values),
                    Some(None) => ivr::Outcome::Garbage,
                    None => ivr::Outcome::Unreachable,
                };
                self.todo.push_back(Input::LookedUp { conversation, nth, outcome });
            }
            Output::Fetch { leg, recording, .. } => self.todo.push_back(Input::Fetched { leg, recording, there: false }),
            Output::KeepPrompt { leg, prompt, recording } => {
                self.todo.push_back(Input::PromptKept { leg, prompt, recording, kept: false });
            }
            Output::Event(event) => self.happened(&event),
            // Nothing outlives a simulation, and nobody else is there.
            Output::CallId { .. }
            | Output::Bans(_)
            | Output::Known(_)
            | Output::Watch(_)
            | Output::Recorder(_)
            | Output::Registration(_)
            | Output::AgentWish { .. }
            | Output::Subscription { .. }
            | Output::PhoneSettings { .. }
            | Output::QueueNews { .. }
            | Output::Minutes { .. }
            | Output::Reply { .. } => {}
        }
    }

    fn sent(&mut self, bytes: &[u8], to: SocketAddr) {
        let Ok(message) = sip::parse_datagram(bytes) else { return };
        let back = match &message {
            Message::Request(request) => self.peers.asked(request, to, self.now.mono),
            Message::Response(response) => {
                let caller = self.caller.as_mut().filter(|caller| caller.at == to);
                caller.and_then(|caller| caller.told(response)).into_iter().collect()
            }
        };
        for message in back {
            self.receive(message, to);
        }
    }

    fn step(&mut self, what: What) {
        self.path.step(self.began, self.now.mono, what);
    }

    fn happened(&mut self, event: &Event) {
        if self.caller.is_none() || event.conversation.is_none() {
            return;
        }
        if self.conversation.is_none() {
            self.conversation = event.conversation;
        }
        if self.conversation != event.conversation {
            return;
        }
        match &event.kind {
            Kind::CallAnswered(_) => self.step(What::Answered),
            Kind::MenuEntered(entered) => {
                let menu = format!("menu:{}", entered.menu);
                let is_new = self.path.places().filter(|place| !place.starts_with("node:")).last() != Some(menu.as_str());
                if is_new {
                    self.step(What::Place(menu));
                }
                self.step(What::Place(format!("node:{}", entered.node)));
            }
            Kind::MenuDigit(digit) => self.step(What::Key(digit.digit.clone())),
            Kind::MenuLookedUp(looked_up) => self.step(What::LookedUp(looked_up.outcome.clone())),
            Kind::MenuLeft(left) if !left.to.starts_with("node:") && !left.to.starts_with("menu:") => {
                self.step(What::Place(left.to.clone()));
            }
            Kind::QueueEntered(entered) => {
                let queue = format!("queue:{}", entered.queue);
                if self.path.places().last() != Some(queue.as_str()) {
                    self.step(What::Place(queue));
                }
            }
            Kind::QueueAnswered(answered) => self.step(What::TakenBy(format!("agent {}", answered.agent))),
            Kind::CallBridged(_) if !self.is_over() => self.step(What::TakenBy("a phone".to_owned())),
            Kind::CallEnded(ended) => self.step(What::Ended(ended.cause.to_string())),
            _ => {}
        }
    }
}

/// The address of a trunk, or one that stands for its name.
fn peer_of(host: &str, port: Option<u16>, nth: u8) -> SocketAddr {
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    SocketAddr::new(literal.unwrap_or_else(|| IpAddr::from([192, 0, 2, nth])), port.unwrap_or(5_060))
}
