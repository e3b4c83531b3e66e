//! A call centre in a test: the core, its media workers and its recorder on a virtual clock, with simulated phones and trunks on a
//! simulated network that loses, delays, reorders and repeats by a seed.
//!
//! Everything that the core sends is carried out here as the drivers would, but in virtual time: a day of calls takes seconds. The peers
//! ([`ua`]) are written on `sip`'s message type alone and keep their own simple timers, so that a fault in the core's transactions is
//! not hidden by the same fault on the other side.

pub mod audio;
mod deaf;
pub mod invariants;
pub mod looking;
pub mod network;
mod recorder;
pub mod ua;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::{Mono, Now, Wall};
use cordboard::config::{Config, File, Source};
use cordboard::event::Event;
use cordboard::ids::{ConversationId, LegId, RecordingId};
use cordboard::media::{self, Clips, Datagram, Lease, Port, Worker};
use cordboard::sip::{self, Flow};
use cordboard::switch::input::{Actor, OpenConversation, Recovered};
use cordboard::switch::journal::{Ended, Journal};
use cordboard::switch::output::{Banned, Known, Resolved, Server, Ticket, Wanted};
use cordboard::switch::{Answer, Command, Input, Output, Switch, guarded};

use audio::Loudspeaker;
use invariants::Seen;
use network::{Network, Parcel};
pub use recorder::Recorded;
use ua::{OnInvite, Ua};

pub const SWITCH: &str = "10.0.0.1:5060";
/// The first port that the media workers have, and how many pairs of ports: enough for any scenario.
const FIRST_PORT: u16 = 20_000;
const PAIRS: u16 = 2_000;
/// A worker wakes at this pace when something plays; the simulation looks at its deadline besides.
const START: Wall = Wall::from_micros(1_795_338_000_000_000);

pub struct Sim {
    pub switch: Switch,
    pub now: Now,
    pub network: Network,
    pub uas: BTreeMap<SocketAddr, Ua>,
    /// Host → signalling address of the peer that it is.
    hosts: BTreeMap<IpAddr, SocketAddr>,
    /// Two, as on the smallest machine: what joins two conversations may have to move legs.
    workers: [Worker; 2],
    /// Media workers have no time: they take commands, and say and notice nothing, but that a prompt has ended ([`Sim::plays`]). For days of
    /// signalling.
    pub deaf: bool,
    /// Where they are deaf: what a leg is told, and until when.
    plays: BTreeMap<LegId, (Mono, media::PlayId)>,
    /// What agents and customers sound like is measured: it costs more than all else, so only where a scenario wants to know.
    pub measures: bool,
    /// The disk hangs: what is done to messages is not done, and not reported.
    pub hung: bool,
    settings: media::Settings,
    /// What workers have of sounds.
    pub clips: Clips,
    legs: BTreeMap<u16, LegId>,
    ports: BTreeMap<LegId, u16>,
    pairs: u16,
    /// Which worker has a leg.
    at_worker: BTreeMap<LegId, u8>,
    pub recordings: BTreeMap<RecordingId, Recorded>,
    pub events: Vec<Event>,
    /// What they say of the present.
    pub seen: Seen,
    /// Keys that media has told of, and whether a journal would have hidden which.
    pub keys: Vec<(char, bool)>,
    /// Whose dialogs are whose.
    pub call_ids: BTreeMap<String, ConversationId>,
    pub bans: Vec<Banned>,
    /// Addresses that the transports know, with how many bindings.
    pub known: BTreeMap<SocketAddr, usize>,
    /// How often the transports were told.
    pub known_changes: usize,
    /// Whose keep-alives are awaited, each time that it was said.
    pub watched: Vec<SocketAddr>,
    answers: BTreeMap<Ticket, Answer>,
    next_ticket: u64,
    /// Every byte that the core sent, in order: two runs with the same seed have the same.
    pub trace: Vec<Bytes>,
    /// Which way each of it went.
    pub ways: Vec<Flow>,
    pub inputs: u64,
    pub packets: u64,
    /// Ports whose drivers refuse to send: transport errors.
    pub unreachable: BTreeSet<SocketAddr>,
    /// Peers behind a NAT: their own address, and the one that the switch sees of their signalling. Nothing else leads to them.
    pub behind: BTreeMap<SocketAddr, SocketAddr>,
    /// What DNS says of names of trunks.
    pub names: BTreeMap<String, Vec<Server>>,
    /// Some question of each chain has no answer.
    pub dns_fails: bool,
    /// No look-up comes to an end.
    pub dns_hangs: bool,
    pub asked: Vec<Wanted>,
    /// Our address that routes to every peer, where it is not the switch's first.
    pub local: Option<IpAddr>,
    /// By which connection everything comes, where there is one.
    pub connection: Option<sip::ConnectionId>,
    /// What each open leg was told last that it hears, and whose it is.
    pub hears: BTreeMap<LegId, media::Source>,
    /// The candidates that legs were told of behind their agreement.
    pub trickled: Vec<cordboard::sdp::Candidate>,
    pub peers: BTreeMap<LegId, SocketAddr>,
    /// The clips of each prompt, as they were begun.
    pub said: Vec<String>,
    /// What menus want to know, until a scenario takes it and answers.
    pub lookups: Vec<(ConversationId, u32, cordboard::ivr::Request)>,
    /// Prompts that were recorded by phone.
    pub prompts: BTreeMap<String, Vec<i16>>,
    pub registrations: BTreeMap<(String, String), cordboard::registrar::Binding>,
    wishes: BTreeMap<cordboard::ids::StaffNumber, Bytes>,
    settings_of: BTreeMap<cordboard::ids::Number, Bytes>,
    restarts: u8,
    /// Subscriptions that outlive a process.
    pub subscriptions: BTreeMap<Bytes, Bytes>,
    minutes: BTreeMap<cordboard::ids::Number, Bytes>,
    news: BTreeMap<cordboard::ids::QueueName, Bytes>,
    /// Whose datagrams look as somebody else's.
    pub forges: BTreeMap<SocketAddr, SocketAddr>,
    /// What a restart reads, where it is not the centre.
    pub source: Option<Source>,
    /// Where a bench counts what the core (parsing included) spends: its clock, and the sum.
    pub core_cpu: Option<(fn() -> Duration, Duration)>,
    out: Vec<Output>,
    /// As the driver writes it, where a scenario wants one.
    journal: Option<(Journal, Vec<u8>)>,
}

/// A small centre: phones 201–204 with agents 1001–1004, queues support and sales, a menu, one trunk.
pub fn centre() -> Source {
    let menu = File { path: "menus/main.toml".into(), text: include_str!("main.toml").into() };
    let prompts = ["welcome", "closed", "invalid", "no-voicemail", "queue-no-agent", "unavailable"];
    let prompts = prompts
        .iter()
        .chain(&[
            "voicemail-greeting",
            "beep",
            "goodbye",
            "error",
            "voicemail-pin",
            "voicemail-new",
            "voicemail-old",
            "voicemail-none",
            "voicemail-options",
            "voicemail-deleted",
            "voicemail-end",
            "digit-0",
            "digit-1",
            "digit-2",
            "digit-7",
            "parked",
            "voicemail-locked",
            "voicemail-main",
            "voicemail-from",
            "voicemail-hidden",
            "voicemail-greeting-options",
            "voicemail-greeting-record",
            "voicemail-greeting-saved",
            "voicemail-greeting-standard",
            "agent-ready",
            "agent-paused",
            "agent-offline",
            "forwarding-on",
            "forwarding-off",
            "prompt-record",
            "prompt-options",
            "prompt-saved",
        ])
        .map(|p| format!("en/{p}"))
        .collect();
    Source {
        main: File { path: "cordboard.toml".into(), text: include_str!("centre.toml").into() },
        secrets: None,
        menus: vec![menu],
        prompts,
    }
}

impl Sim {
    pub fn new(seed: u8) -> Sim {
        Sim::with(seed, centre())
    }

    pub fn with(seed: u8, source: Source) -> Sim {
        Sim::of([seed; 32], u64::from(seed), source, PAIRS, false)
    }

    /// One of 2^64: for runs of thousands.
    pub fn seeded(seed: u64, source: Source) -> Sim {
        Sim::of(seed_of(seed), seed, source, PAIRS, false)
    }

    /// The media workers have so many pairs of ports, half of them each.
    pub fn with_pairs(seed: u8, source: Source, pairs: u16) -> Sim {
        Sim::of([seed; 32], u64::from(seed), source, pairs, false)
    }

    /// With a journal of the whole run, as the driver writes it.
    pub fn with_journal(seed: u8, source: Source) -> Sim {
        Sim::of([seed; 32], u64::from(seed), source, PAIRS, true)
    }

    fn of(seed: [u8; 32], of_media: u64, source: Source, pairs: u16, is_noted: bool) -> Sim {
        let config = match Config::resolve(&source) {
            Ok(config) => config,
            Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        };
        let settings = media::Settings {
            missing_after: config.media.missing_after,
            dead_after: config.media.dead_after,
            degraded_below: config.media.degraded_below,
            country: *b"DE",
            seed: of_media,
        };
        let clips = audio::clips(&source.prompts);
        let journal = is_noted.then(|| Journal::begin(seed, &source, [9; 32]));
        let mut sim = Sim {
            journal,
            switch: Switch::new(seed, config).with_secret_keys(seed.map(|byte| byte.wrapping_add(1))),
            now: Now { mono: Mono::from_millis(1_000), wall: START },
            network: Network::new(seed),
            uas: BTreeMap::new(),
            hosts: BTreeMap::new(),
            workers: workers(&settings),
            deaf: false,
            plays: BTreeMap::new(),
            seen: Seen::default(),
            measures: false,
            hung: false,
            settings,
            clips,
            legs: BTreeMap::new(),
            pairs,
            ports: BTreeMap::new(),
            at_worker: BTreeMap::new(),
            recordings: BTreeMap::new(),
            events: Vec::new(),
            keys: Vec::new(),
            answers: BTreeMap::new(),
            next_ticket: 0,
            trace: Vec::new(),
            ways: Vec::new(),
            inputs: 0,
            packets: 0,
            call_ids: BTreeMap::new(),
            bans: Vec::new(),
            known: BTreeMap::new(),
            known_changes: 0,
            watched: Vec::new(),
            unreachable: BTreeSet::new(),
            behind: BTreeMap::new(),
            names: BTreeMap::new(),
            dns_fails: false,
            dns_hangs: false,
            asked: Vec::new(),
            local: None,
            connection: None,
            hears: BTreeMap::new(),
            trickled: Vec::new(),
            peers: BTreeMap::new(),
            said: Vec::new(),
            lookups: Vec::new(),
            prompts: BTreeMap::new(),
            registrations: BTreeMap::new(),
            wishes: BTreeMap::new(),
            settings_of: BTreeMap::new(),
            restarts: 0,
            subscriptions: BTreeMap::new(),
            minutes: BTreeMap::new(),
            news: BTreeMap::new(),
            source: None,
            forges: BTreeMap::new(),
            core_cpu: None,
            out: Vec::new(),
        };
        sim.input(Input::Started(Box::default()));
        sim.input(Input::Ports(leases(pairs)));
        sim
    }

    /// The journal, with its end.
    pub fn journal(&mut self) -> Vec<u8> {
        let (mut journal, mut written) = self.journal.take().expect("a journal");
        written.extend(journal.end(Ended::Stopped));
        written
    }

    /// Another process on what the last one left on disk.
    pub fn restart(&mut self, open: Vec<OpenConversation>) {
        self.restart_with(Recovered { open, ..Recovered::default() });
    }

    /// The same, where the recorder has found something.
    pub fn restart_with(&mut self, found: Recovered) {
        let source = self.source.clone().unwrap_or_else(centre);
        let config = Config::resolve(&source).unwrap_or_else(|_| panic!("the centre's configuration"));
        // No process has the chance of another: branches and tags would be taken for repeats.
        self.restarts += 1;
        self.switch = Switch::new([8 + self.restarts; 32], config);
        self.workers = workers(&self.settings);
        self.legs.clear();
        self.ports.clear();
        self.at_worker.clear();
        self.hears.clear();
        self.peers.clear();
        let wishes = self.wishes.clone().into_iter().collect();
        let minutes = self.minutes.clone().into_iter().collect();
        let news = self.news.clone().into_iter().collect();
        let phones = self.settings_of.clone().into_iter().collect();
        let message = |(id, recorded): (&RecordingId, &Recorded)| {
            let message = cordboard::voicemail::Message {
                recording: *id,
                conversation: recorded.conversation,
                caller: recorded.about.customer_number.clone(),
                customer_e164: recorded.about.customer_e164.clone(),
                called_e164: recorded.about.called_e164.clone(),
                started_at: recorded.about.started_at,
                duration_ms: recorded.samples.len() as u64 / 2 / 8,
                heard: recorded.heard,
            };
            let mailbox = recorded.ended.and(recorded.about.mailbox.clone()).filter(|_| !recorded.about.greeting);
            mailbox.map(|mailbox| (mailbox, message))
        };
        // One that a kill cut short is repaired before anything runs, and so is as whole as any.
        let of = |kept: bool| self.recordings.iter().filter(move |(_, r)| r.about.greeting && r.kept == kept);
        let greetings = of(true).filter_map(|(id, r)| Some((r.about.mailbox.clone()?, *id))).collect();
        let unkept = of(false).map(|(id, _)| *id).collect();
        let messages = self.recordings.iter().filter_map(message).collect();
        let registrations = self.registrations.iter().map(|((number, _), b)| (number.as_str().into(), b.clone())).collect();
        let subscriptions = self.subscriptions.values().cloned().collect();
        self.input(Input::Started(Box::new(Recovered {
            registrations,
            wishes,
            phones,
            subscriptions,
            minutes,
            news,
            messages,
            greetings,
            unkept,
            ..found
        })));
        self.input(Input::Ports(leases(self.pairs)));
    }

    /// A phone or trunk of the simulation; its audio is a byte of its own, so that it is known when it is heard.
    pub fn add(&mut self, ua: Ua) -> SocketAddr {
        let at = ua.at;
        self.hosts.insert(at.ip(), at);
        self.uas.insert(at, ua);
        at
    }

    /// A phone that is registered, and answers after two seconds.
    pub fn phone(&mut self, number: &str) -> SocketAddr {
        let last = number.parse::<u16>().map_or(1, |n| (n % 250) as u8);
        self.phone_at(number, [10, 1, 0, last])
    }

    /// The same number on another device.
    pub fn phone_at(&mut self, number: &str, ip: [u8; 4]) -> SocketAddr {
        let at = self.add(Ua::phone(number, ip.into()));
        self.act(at, |ua, now| ua.register(now));
        self.run_until(&format!("{number} is registered"), |sim| sim.uas[&at].registered);
        at
    }

    pub fn trunk(&mut self) -> SocketAddr {
        self.add(Ua::trunk([10, 2, 0, 1].into()))
    }

    pub fn act(&mut self, at: SocketAddr, act: impl FnOnce(&mut Ua, Mono)) {
        let now = self.now.mono;
        if let Some(ua) = self.uas.get_mut(&at) {
            act(ua, now);
        }
        self.collect(at);
    }

    pub fn set(&mut self, at: SocketAddr, what: OnInvite) {
        self.act(at, |ua, _| ua.on_invite = what);
    }

    pub fn ua(&self, at: SocketAddr) -> &Ua {
        &self.uas[&at]
    }

    /// Asks the core as the API would.
    pub fn ask(&mut self, command: Command) -> Answer {
        self.ask_later(command).unwrap_or_else(|| panic!("no answer"))
    }

    /// Of a command whose answer may have to wait for the disk.
    pub fn ask_later(&mut self, command: Command) -> Option<Answer> {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.input(Input::Command { ticket, by: Actor("admin".into()), command });
        self.answers.remove(&ticket)
    }

    pub fn reload(&mut self, source: Source) {
        self.input(Input::Configured { by: Actor("SIGHUP".into()), source: Box::new(source) });
    }

    /// Runs until the condition holds; ten virtual minutes without it fail the test.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, condition: impl Fn(&Sim) -> bool) {
        let limit = self.now.mono + Duration::from_secs(600);
        while !condition(self) {
            if self.now.mono >= limit {
                panic!("never: {what}\n{}", self.story());
            }
            self.step(limit);
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let limit = self.now.mono + time;
        while self.now.mono < limit {
            self.step(limit);
        }
    }

    /// To the next thing that is due, at most to `limit`.
    fn step(&mut self, limit: Mono) {
        let next = [
            self.switch.deadline(),
            self.workers.iter().filter(|_| !self.deaf).filter_map(Worker::deadline).min(),
            self.network.next(),
            self.uas.values().filter_map(Ua::deadline).min(),
            self.plays.values().map(|(until, _)| *until).min(),
            Some(limit),
        ];
        let at = next.into_iter().flatten().min().unwrap_or(limit).max(self.now.mono);
        let ahead = at.since(self.now.mono);
        self.now = self.now + ahead;
        for n in 0..self.workers.len() {
            if !self.deaf && self.workers[n].deadline().is_some_and(|d| d <= at) {
                let mut speaker = Loudspeaker::default();
                self.workers[n].tick(at, &mut speaker);
                self.heard(speaker);
            }
        }
        let ended =
            self.plays.extract_if(.., |_, (until, _)| *until <= at).map(|(leg, (_, play))| (leg, play)).collect::<Vec<_>>();
        for (leg, play) in ended {
            self.input(Input::Media(media::Report::PlayEnded { leg, play }));
        }
        while let Some((to, parcel)) = self.network.due(at) {
            self.deliver(to, parcel);
        }
        let due: Vec<SocketAddr> = self.uas.values().filter(|u| u.deadline().is_some_and(|d| d <= at)).map(|u| u.at).collect();
        for ua in due {
            self.act(ua, |ua, now| ua.due(now));
        }
        if self.switch.deadline().is_some_and(|d| d <= at) {
            self.input(Input::Tick);
        }
        for recorded in self.recordings.values_mut().filter(|r| r.ended.is_none() && !self.deaf) {
            recorded.drain(at);
        }
    }

    fn deliver(&mut self, to: SocketAddr, parcel: Parcel) {
        match parcel {
            Parcel::Sip { from, bytes, transport } => {
                let from = self.forges.get(&from).copied().unwrap_or(from);
                if to.to_string() == SWITCH {
                    let flow = Flow { transport, local: to, remote: from, connection: self.connection };
                    match self.counted(|_| sip::parse_datagram(&bytes)) {
                        Ok(message) => self.input(Input::Sip { flow, message }),
                        Err(malformed) => {
                            if let Some(reply) = malformed.reply {
                                self.network.send(
                                    to,
                                    from,
                                    Parcel::Sip { from: to, bytes: reply.to_bytes(), transport },
                                    self.now.mono,
                                );
                            }
                        }
                    }
                } else {
                    self.act(to, |ua, now| ua.receive(&bytes, now));
                }
            }
            Parcel::Rtp { from, mut bytes, rtcp } => {
                if let Some(&leg) = self.legs.get(&(to.port() & !1)).filter(|_| to.ip() == switch().ip()) {
                    self.packets += 1;
                    let port = if rtcp { Port::Rtcp } else { Port::Rtp };
                    let worker = &mut self.workers[usize::from(self.at_worker[&leg])];
                    let Some(slot) = worker.slot(leg) else { return };
                    let mut speaker = Loudspeaker::default();
                    let now = self.now.mono;
                    let length = bytes.len();
                    bytes.extend([0; 32]);
                    let datagram = Datagram { buffer: &mut bytes, length };
                    if let Some(forward) = worker.receive(slot, port, from, datagram, now, &mut speaker) {
                        let packet = bytes[forward.start..forward.start + forward.len].to_vec();
                        speaker.sent.push((forward.leg, port, forward.to, packet));
                    }
                    self.heard(speaker);
                } else if let Some(ua) = self.hosts.get(&to.ip()).and_then(|at| self.uas.get_mut(at)) {
                    ua.hear(to, &bytes, rtcp, self.now.mono);
                }
            }
        }
    }

    /// What the media worker did.
    fn heard(&mut self, speaker: Loudspeaker) {
        for (leg, port, to, packet) in speaker.sent {
            let Some(&own) = self.ports.get(&leg) else { continue };
            let rtcp = port == Port::Rtcp;
            let from = SocketAddr::new(switch().ip(), own + u16::from(rtcp));
            self.network.send(from, to, Parcel::Rtp { from, bytes: packet, rtcp }, self.now.mono);
        }
        for frame in speaker.frames {
            if let Some(recorded) = self.recordings.get_mut(&frame.recording) {
                recorded.timeline.push(&frame);
            }
        }
        for report in speaker.reports {
            self.input(Input::Media(report));
        }
    }

    pub fn input(&mut self, input: Input) {
        self.inputs += 1;
        if let Input::Media(media::Report::Digit { digit, .. }) = &input {
            self.keys.push((*digit, self.switch.hidden_key(&input, self.now).is_some()));
        }
        if let Some((journal, written)) = &mut self.journal {
            written.extend(match self.switch.hidden_key(&input, self.now) {
                Some(instead) => journal.hidden_key(self.now, &input, instead),
                None => journal.input(self.now, &input),
            });
        }
        let mut out = std::mem::take(&mut self.out);
        let handled = self.counted(|sim| guarded(&mut sim.switch, input, sim.now, &mut out));
        if let Err(fault) = handled {
            panic!("the core panicked in {fault:?}\n{}", self.story());
        }
        if let Some((journal, written)) = &mut self.journal {
            written.extend(journal.outputs(&out, self.switch.digest_was_right()));
        }
        let mut later = Vec::new();
        for output in out.drain(..) {
            self.carry_out(output, &mut later);
        }
        self.out = out;
        for input in later {
            self.input(input);
        }
    }

    fn counted<R>(&mut self, act: impl FnOnce(&mut Sim) -> R) -> R {
        let Some((clock, _)) = self.core_cpu else { return act(self) };
        let before = clock();
        let result = act(self);
        let took = clock().saturating_sub(before);
        if let Some((_, spent)) = &mut self.core_cpu {
            *spent += took;
        }
        result
    }

    fn carry_out(&mut self, output: Output, later: &mut Vec<Input>) {
        match output {
            Output::Sip { to, bytes, report } => {
                self.trace.push(bytes.clone());
                self.ways.push(to);
                if self.unreachable.contains(&to.remote) {
                    later.extend(report.map(|report| Input::Undeliverable { report, why: None }));
                } else {
                    let parcel = Parcel::Sip { from: switch(), bytes, transport: to.transport };
                    let inside = self.behind.iter().find(|(_, seen)| **seen == to.remote).map(|(inside, _)| *inside);
                    if inside.is_some() || !self.behind.contains_key(&to.remote) {
                        self.network.send(switch(), inside.unwrap_or(to.remote), parcel, self.now.mono);
                    }
                }
            }
            Output::CallId { call_id, conversation } => {
                self.call_ids.insert(String::from_utf8_lossy(&call_id).into_owned(), conversation);
            }
            Output::Resolve { query, wanted } => {
                let servers = match wanted.host.parse::<IpAddr>() {
                    Ok(ip) => {
                        let transport = wanted.transports[0];
                        let remote = SocketAddr::new(ip, wanted.port.unwrap_or(transport.default_port()));
                        vec![server(transport, 0, 0, remote)]
                    }
                    Err(_) => self.names.get(&wanted.host).cloned().unwrap_or_default(),
                };
                let mut servers: Vec<Server> = servers;
                for address in servers.iter_mut().flat_map(|s| &mut s.addresses) {
                    address.local = self.local.unwrap_or(address.local);
                }
                self.asked.push(wanted);
                if self.dns_hangs {
                    return;
                }
                later.push(Input::Resolved { query, servers, whole: !self.dns_fails, ttl: Duration::from_secs(60) });
            }
            Output::Bans(bans) => self.bans = bans,
            Output::Known(known) => self.know(known),
            Output::Watch(remote) => self.watched.push(remote),
            Output::Media { worker, command } => self.media(worker, command, later),
            Output::Recorder(command) => self.record(command, later),
            Output::Fetch { worker, leg, recording } => {
                let there = self
                    .recordings
                    .get(&recording)
                    .map(|recorded| recorded.samples.iter().step_by(2).copied().collect::<Vec<i16>>());
                if let Some(left) = &there {
                    let clip = std::sync::Arc::new(media::Clip::new(left.clone()));
                    self.workers[usize::from(worker)].bring(leg, cordboard::switch::output::recorded(recording), clip);
                }
                later.push(Input::Fetched { leg, recording, there: there.is_some() });
            }
            Output::KeepPrompt { leg, prompt, recording } => {
                let said = self.recordings.get(&recording).map(|r| r.samples.iter().step_by(2).copied().collect());
                let kept = !self.hung && said.is_some();
                self.prompts.extend(said.filter(|_| kept).map(|said| (prompt.clone(), said)));
                later.push(Input::PromptKept { leg, prompt, recording, kept });
            }
            Output::Lookup { conversation, nth, request } => self.lookups.push((conversation, nth, *request)),
            Output::Event(event) => {
                self.seen.take(&event);
                self.events.push(event);
            }
            Output::Registration(change) => match change {
                cordboard::switch::output::RegistrationChange::Put(number, binding)
                | cordboard::switch::output::RegistrationChange::Refresh(number, binding) => {
                    self.registrations.insert((number.to_string(), binding.key()), *binding);
                }
                cordboard::switch::output::RegistrationChange::Remove(number, contact) => {
                    self.registrations.remove(&(number.to_string(), contact));
                }
            },
            Output::Subscription { key, kept } => {
                self.subscriptions.remove(&key);
                if !kept.is_empty() {
                    self.subscriptions.insert(key, kept);
                }
            }
            Output::PhoneSettings { phone, settings } => {
                self.settings_of.retain(|known, _| *known != phone);
                if !settings.is_empty() {
                    self.settings_of.insert(phone, settings);
                }
            }
            Output::QueueNews { queue, news } => {
                self.news.retain(|known, _| *known != queue);
                if !news.is_empty() {
                    self.news.insert(queue, news);
                }
            }
            Output::Minutes { phone, spent } => {
                self.minutes.insert(phone, spent);
            }
            Output::AgentWish { agent, wish } => {
                self.wishes.insert(agent, wish);
            }
            Output::Reply { ticket, answer } => {
                self.answers.insert(ticket, answer);
            }
        }
    }

    fn know(&mut self, known: Known) {
        self.known_changes += 1;
        match known {
            Known::All(all) => {
                self.known.clear();
                for address in all {
                    *self.known.entry(address).or_default() += 1;
                }
            }
            Known::Added(address) => *self.known.entry(address).or_default() += 1,
            Known::Gone(address) => {
                let bindings = self.known.entry(address).or_default();
                *bindings = bindings.saturating_sub(1);
                self.known.retain(|_, bindings| *bindings > 0);
            }
        }
    }

    fn media(&mut self, worker: u8, command: media::Command, later: &mut Vec<Input>) {
        let now = self.now.mono;
        self.overhear(&command);
        match &command {
            media::Command::Open { leg, lease } => {
                assert_eq!(lease.worker, worker, "{leg} has a port of another worker");
                assert!(self.legs.insert(lease.port, *leg).is_none(), "port {} leased twice", lease.port);
                self.ports.insert(*leg, lease.port);
                self.at_worker.insert(*leg, worker);
            }
            media::Command::Close { leg } => {
                if let Some(port) = self.ports.get(leg) {
                    self.legs.remove(port);
                    later.push(Input::Ports(vec![Lease { worker, port: *port }]));
                }
            }
            media::Command::HandOver { leg, to } => {
                let moving =
                    self.workers[usize::from(worker)].hand_over(*leg, now).unwrap_or_else(|| panic!("{leg} is not there"));
                self.at_worker.insert(*leg, *to);
                self.workers[usize::from(*to)].adopt(moving, now);
                for command in self.workers[usize::from(*to)].arrived(*leg) {
                    self.media(*to, command, later);
                }
                return;
            }
            media::Command::Hear { source: media::Source::Play(_, media::Audio::Prompt(clips)), .. } => {
                let names: Vec<&str> = clips.iter().map(|clip| &*clip.0).collect();
                self.said.push(names.join(" "));
            }
            media::Command::Agree { .. }
            | media::Command::Hear { .. }
            | media::Command::Tap { .. }
            | media::Command::Untap { .. }
            | media::Command::Listen { .. }
            | media::Command::Press { .. }
            | media::Command::Trickle { .. }
            | media::Command::Expect { .. } => {}
        }
        if self.deaf {
            self.play(&command);
        }
        let mut speaker = Loudspeaker::default();
        self.workers[usize::from(worker)].handle(command, &self.clips, now, &mut speaker);
        later.extend(std::mem::take(&mut speaker.reports).into_iter().map(Input::Media));
        self.heard(speaker);
    }

    /// What a peer wants sent.
    fn collect(&mut self, at: SocketAddr) {
        let Some(ua) = self.uas.get_mut(&at) else { return };
        let seen = self.behind.get(&at).copied();
        for (to, mut parcel) in ua.take_parcels() {
            if let (Some(seen), Parcel::Sip { from, .. }) = (seen, &mut parcel) {
                *from = seen;
            }
            self.network.send(at, to, parcel, self.now.mono);
        }
    }
}

/// All octets of a seed, as chance is seeded.
pub fn seed_of(seed: u64) -> [u8; 32] {
    let octets = seed.to_le_bytes();
    std::array::from_fn(|i| octets[i % octets.len()])
}

fn workers(settings: &media::Settings) -> [Worker; 2] {
    [0, 1].map(|n| Worker::new(media::Settings { seed: settings.seed.wrapping_add(n), ..settings.clone() }))
}

/// Every other port pair is the second worker's.
fn leases(pairs: u16) -> Vec<Lease> {
    (0..pairs).map(|n| Lease { worker: (n % 2) as u8, port: FIRST_PORT + 2 * n }).collect()
}

/// As an SRV record with one address.
pub fn server(transport: sip::Transport, priority: u32, weight: u16, remote: SocketAddr) -> Server {
    Server { transport, priority, weight, addresses: vec![Resolved { remote, local: switch().ip(), connection: None }] }
}

pub fn switch() -> SocketAddr {
    SWITCH.parse().unwrap_or_else(|_| unreachable!())
}

pub fn kind_name(event: &Event) -> String {
    let value = serde_json::to_value(&event.kind).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}
