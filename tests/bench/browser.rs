//! What a packet costs between two browsers that talk through a media worker, beside the bare crate that does the same: rows for
//! `scripts/bench`.
//!
//! On either side stand pages with sockets and DTLS keys of their own, two in a call, each of which sends 50 packets a second. Every one is
//! received, decrypted, encrypted for the other page and sent. CPU is that of the one thread that does it, as the scheduler counts it,
//! a packet that a page has heard. The bare crate is the whole peer connection of `rtc`, ICE-lite and without RTCP reports, all on one
//! socket; a machine's speed moves both alike, so what is judged is brought to what the crate took where the goal was set.

#![allow(clippy::indexing_slicing, reason = "a bench that asks for what it did not make is broken")]
#![allow(clippy::disallowed_methods, reason = "packets are sent when they are due, and the bare crate's thread is nobody else's")]

#[allow(dead_code, reason = "the page is the media engine's tests', and this uses a part of it")]
#[allow(clippy::unwrap_used, reason = "it is made for tests")]
#[path = "../../src/media_engine/browser/page.rs"]
mod page;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cordboard::clock::{Mono, System};
use cordboard::codec::Codec;
use cordboard::config;
use cordboard::ids::LegId;
use cordboard::media::{Clips, Command, Frame, Lease, Report, Session, Source};
use cordboard::media_engine::{self, Engine, Outlets};
// The page names them as its crate's.
use cordboard::sdp::{DtlsRole, IceCredentials, IceDtls};
use cordboard::{codec, sdp};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use page::{Page, described, theirs};

/// On either side: as many as the goal was measured with.
const PAGES: usize = 50;
/// What a packet may cost, in µs, and what it cost the bare crate where that was set.
const GOAL_US: f64 = 14.0;
const BARE_US: f64 = 12.8;
/// Pages do what they have to do a fifth of them at a time, every 4 ms, so that a packet seldom comes alone.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(20 / TURNS as u64);
/// Rounds of either side, of which the middle one counts, and how long each is.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);
/// What is on its way arrives.
const DRAIN: Duration = Duration::from_millis(200);
/// For all to connect.
const PATIENCE: Duration = Duration::from_secs(30);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Names of the threads that are measured.
const WORKER: &str = "media-0";
const BARE: &str = "bare";

/// Where the media worker's leases go; nobody listens to the rest.
#[derive(Clone)]
struct Outs(SyncSender<Vec<Lease>>);

impl Outlets for Outs {
    fn report(&self, report: Report) {
        if let Report::Broken { leg, why } = report {
            eprintln!("{leg} is broken: {why:?}");
        }
    }

    fn leases(&self, leases: Vec<Lease>) {
        // As large as the whole range of ports.
        let _ = self.0.try_send(leases);
    }

    fn tap(&self, _frame: Frame) -> bool {
        true
    }
}

/// A page with its socket.
struct Tab {
    page: Page,
    socket: UdpSocket,
    /// To be sent at the end of the turn.
    out: Vec<(SocketAddr, BytesMut)>,
    said: u64,
    heard: u64,
}

impl Tab {
    fn new(now: Instant) -> Tab {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap_or_else(|e| panic!("no socket: {e}"));
        let local = socket.set_nonblocking(true).and_then(|()| socket.local_addr()).unwrap_or_else(|e| panic!("no socket: {e}"));
        Tab { page: Page::new(local, now), socket, out: Vec::new(), said: 0, heard: 0 }
    }

    fn turn(&mut self, now: Instant, talks: bool) {
        let mut bytes = [0; 2_048];
        while let Ok((len, from)) = self.socket.recv_from(&mut bytes) {
            self.page.hear(from, now, &bytes[..len]);
        }
        self.heard +=
            self.page.heard.drain(..).filter(|packet| packet.payload.len() == 160 && packet.payload[0] == 0x55).count() as u64;
        let _ = self.page.pc.handle_timeout(now);
        self.page.notice();
        if talks {
            self.page.say(now, 0x55);
            self.said += 1;
        }
        while let Some(transmit) = self.page.pc.poll_write() {
            self.out.push((transmit.transport.peer_addr, transmit.message));
        }
    }

    fn flush(&mut self) {
        for (to, message) in self.out.drain(..) {
            let _ = self.socket.send_to(&message, to);
        }
    }
}

/// Pages that all talk through one thread.
struct Side {
    thread: &'static str,
    tabs: Vec<Tab>,
}

impl Side {
    fn is_connected(&self) -> bool {
        self.tabs.iter().all(|tab| tab.page.is_connected())
    }

    fn counts(&self) -> (u64, u64) {
        (self.tabs.iter().map(|tab| tab.said).sum(), self.tabs.iter().map(|tab| tab.heard).sum())
    }
}

/// Both sides, which are kept alive while one of them talks.
struct Load {
    clock: System,
    sides: [Side; 2],
    turn: usize,
    due: Mono,
}

impl Load {
    fn turns(&mut self, talks: Option<usize>) {
        let now = self.clock.mono();
        if self.due > now {
            std::thread::sleep(self.due.since(now));
        }
        self.due += TURN;
        self.turn = (self.turn + 1) % TURNS;
        let (at, turn) = (self.clock.instant(self.clock.mono()), self.turn);
        for (nth, side) in self.sides.iter_mut().enumerate() {
            let mut tabs: Vec<&mut Tab> = side.tabs.iter_mut().skip(turn).step_by(TURNS).collect();
            tabs.iter_mut().for_each(|tab| tab.turn(at, talks == Some(nth)));
            tabs.iter_mut().for_each(|tab| tab.flush());
        }
    }

    fn drive(&mut self, talks: Option<usize>, long: Duration) {
        let until = self.clock.mono() + long;
        while self.clock.mono() < until {
            self.turns(talks);
        }
    }

    fn connect(&mut self) {
        let until = self.clock.mono() + PATIENCE;
        while !self.sides.iter().all(Side::is_connected) {
            self.turns(None);
            let are = |side: &Side| side.tabs.iter().filter(|tab| tab.page.is_connected()).count();
            assert!(self.clock.mono() < until, "connected: {:?} of {PAGES}", self.sides.each_ref().map(are));
        }
    }

    /// CPU of that side's thread a packet that it passes on, in µs.
    fn measure(&mut self, nth: usize) -> f64 {
        self.drive(Some(nth), ROUND / 10);
        self.drive(None, DRAIN);
        let (thread, (said, heard)) = (self.sides[nth].thread, self.sides[nth].counts());
        let spent = cpu_of(thread);
        self.drive(Some(nth), ROUND);
        self.drive(None, DRAIN);
        let spent = cpu_of(thread) - spent;
        let (said, heard) = (self.sides[nth].counts().0 - said, self.sides[nth].counts().1 - heard);
        assert!(heard <= said && heard * 100 > said * 99, "{thread}: {heard} of {said} packets are heard");
        spent.as_secs_f64() * 1e6 / heard as f64
    }
}

/// CPU that the thread of that name has had.
fn cpu_of(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap_or_else(|e| panic!("no threads: {e}"));
    let is_it =
        |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
    let task = tasks.flatten().find(is_it).unwrap_or_else(|| panic!("no thread {name}"));
    let spent = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_else(|e| panic!("no schedstat: {e}"));
    let ns = spent.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or_else(|| panic!("no time in {spent:?}")))
}

/// The media engine with a leg for each page, two and two in a call.
fn through_a_worker(clock: System) -> (Engine, Side) {
    let config = config::Media {
        listen: LOCAL,
        advertise: config::Advertised::default(),
        ports: 36_000..=36_399,
        workers: 1,
        io: Default::default(),
        missing_after: Duration::from_secs(3),
        dead_after: Duration::from_secs(30),
        degraded_below: 3.6,
        hold_music: None,
        tones: None,
        codecs: config::Codec::DEFAULT.to_vec(),
        srtp: Default::default(),
        ice: Default::default(),
    };
    let (outs, leases) = sync_channel(400);
    let clips = Clips::new(Default::default(), None);
    let engine = media_engine::start(&config, config::Country(*b"DE"), &clips, clock, 1, &Outs(outs));
    let mut engine = engine.unwrap_or_else(|e| panic!("no media engine: {e}"));
    let mut ready = Vec::new();
    let tabs = (0..PAGES as u64).map(|id| leg(&mut engine, LegId(id), next(&mut ready, &leases), clock)).collect();
    for id in 0..PAGES as u64 {
        command(&mut engine, Command::Hear { leg: LegId(id), source: Source::Leg(LegId(id ^ 1)) });
    }
    (engine, Side { thread: WORKER, tabs })
}

fn next(ready: &mut Vec<Lease>, leases: &Receiver<Vec<Lease>>) -> Lease {
    loop {
        match ready.pop() {
            Some(lease) => return lease,
            None => ready.extend(leases.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no port: {e}"))),
        }
    }
}

fn command(engine: &mut Engine, command: Command) {
    engine.command(0, command).unwrap_or_else(|e| panic!("{e}"));
    engine.wake();
}

/// A page's leg, and the page.
fn leg(engine: &mut Engine, leg: LegId, lease: Lease, clock: System) -> Tab {
    let now = clock.instant(clock.mono());
    let mut tab = Tab::new(now);
    let (theirs, fingerprint) = theirs(&tab.page.offer(now));
    let ours = IceCredentials::of_chance(&[leg.0 as u8; 24]);
    tab.page.answered(now, described(Codec::Pcmu, (LOCAL, lease.port).into(), &ours, engine.fingerprint(), "passive"));
    let dtls = Some(Box::new(IceDtls { ours, theirs, fingerprint, role: DtlsRole::Server, full: None }));
    // The peer's address is ICE's to find.
    let plain = Session::plain(Codec::Pcmu, (LOCAL, 0).into());
    let session = Session { remote: None, remote_rtcp: None, dtls, ..plain };
    command(engine, Command::Open { leg, lease });
    command(engine, Command::Agree { leg, session });
    tab
}

/// The bare crate: a peer connection for each page, and what one hears, the other one of the call is sent.
struct Bare {
    clock: System,
    socket: UdpSocket,
    local: SocketAddr,
    connections: Vec<Page>,
    due: Vec<Option<Instant>>,
    pages: BTreeMap<SocketAddr, usize>,
}

impl Bare {
    fn new(clock: System) -> (Bare, Side) {
        let now = clock.instant(clock.mono());
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap_or_else(|e| panic!("no socket: {e}"));
        socket.set_read_timeout(Some(TURN)).unwrap_or_else(|e| panic!("no timeout: {e}"));
        let local = socket.local_addr().unwrap_or_else(|e| panic!("no address: {e}"));
        let mut bare = Bare { clock, socket, local, connections: Vec::new(), due: Vec::new(), pages: BTreeMap::new() };
        let tabs = (0..PAGES).map(|nth| bare.connection(nth, now)).collect();
        (bare, Side { thread: BARE, tabs })
    }

    fn connection(&mut self, nth: usize, now: Instant) -> Tab {
        let mut tab = Tab::new(now);
        let settings = SettingEngineBuilder::new().with_lite(true).with_answering_dtls_role(RTCDtlsRole::Server).build();
        let mut connection = Page::made(Codec::Pcmu, 0x2222_0000 + nth as u32, self.local, now, settings, false);
        let answer = connection.answer(now, tab.page.offer(now));
        tab.page.answered(now, answer);
        let address = tab.socket.local_addr().unwrap_or_else(|e| panic!("no address: {e}"));
        self.pages.insert(address, nth);
        self.connections.push(connection);
        self.due.push(Some(now));
        tab
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut bytes = [0; 2_048];
        while !stop.load(Relaxed) {
            let came = self.socket.recv_from(&mut bytes);
            let now = self.clock.instant(self.clock.mono());
            if let Ok((len, from)) = came {
                self.take(from, &bytes[..len], now);
            }
            for nth in 0..PAGES {
                if self.due[nth].is_some_and(|due| due <= now) {
                    let _ = self.connections[nth].pc.handle_timeout(now);
                    self.drain(nth);
                }
            }
        }
    }

    fn take(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(nth) = self.pages.get(&from).copied() else { return };
        let transport =
            TransportContext { local_addr: self.local, peer_addr: from, transport_protocol: TransportProtocol::UDP, ecn: None };
        let _ = self.connections[nth].pc.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
        while let Some(payload) = self.heard(nth) {
            if self.connections[nth].is_connected() {
                self.connections[nth].say_in(now, payload);
            }
        }
        self.drain(nth);
    }

    fn heard(&mut self, nth: usize) -> Option<Bytes> {
        loop {
            if let RTCMessage::RtpPacket(_, packet) = self.connections[nth].pc.poll_read()?.message {
                return Some(packet.payload);
            }
        }
    }

    fn drain(&mut self, nth: usize) {
        let connection = &mut self.connections[nth];
        while let Some(transmit) = connection.pc.poll_write() {
            let _ = self.socket.send_to(&transmit.message, transmit.transport.peer_addr);
        }
        connection.notice();
        self.due[nth] = connection.pc.poll_timeout();
    }
}

fn main() {
    let clock = System::start();
    let (engine, ours) = through_a_worker(clock);
    let (bare, theirs) = Bare::new(clock);
    let stop = Arc::new(AtomicBool::new(false));
    let ends = stop.clone();
    let thread = std::thread::Builder::new().name(BARE.to_owned()).spawn(move || bare.run(&ends));
    let thread = thread.unwrap_or_else(|e| panic!("no thread: {e}"));
    let mut load = Load { clock, sides: [ours, theirs], turn: 0, due: clock.mono() };
    load.connect();
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (load.measure(0), load.measure(1))).collect();
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (us, bare) = rounds[ROUNDS / 2];
    stop.store(true, Relaxed);
    drop((engine, thread.join()));
    println!(
        "a packet between {PAGES} browsers\t{us:.2} µs here, the bare crate {bare:.2} µs\t{:.3}\t{GOAL_US}\t µs where the crate takes {BARE_US}",
        us / bare * BARE_US
    );
}
