//! The engine with real sockets on loopback. Waits are reads with a deadline.

mod browsers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::*;
use crate::codec::{Codec, G711};
use crate::config::{Advertised, Country};
use crate::ids::{LegId, RecordingId};
use crate::media::{Audio, Clip, ClipName, PlayId, Session, Side, Source};
use crate::rtp::{Fields, HEADER, Packet};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Outs {
    reports: SyncSender<Report>,
    leases: SyncSender<Vec<Lease>>,
    frames: SyncSender<Frame>,
    again: SyncSender<()>,
    /// A frame of this recording is more than the recorder can bear.
    fatal: RecordingId,
}

impl Outlets for Outs {
    fn report(&self, report: Report) {
        self.reports.try_send(report).unwrap();
    }

    fn leases(&self, leases: Vec<Lease>) {
        self.leases.try_send(leases).unwrap();
    }

    fn again(&self) {
        // One is as good as many.
        let _ = self.again.try_send(());
    }

    fn tap(&self, frame: Frame) -> bool {
        assert_ne!(frame.recording, self.fatal, "a panic that the test wants");
        self.frames.try_send(frame).is_ok()
    }
}

struct Running {
    engine: Engine,
    reports: Receiver<Report>,
    leases: Receiver<Vec<Lease>>,
    frames: Receiver<Frame>,
    again: Receiver<()>,
    ready: Vec<Lease>,
}

fn recording(n: u128) -> RecordingId {
    RecordingId::from_parts(1, n)
}

fn config(ports: std::ops::RangeInclusive<u16>, workers: u8) -> config::Media {
    config::Media {
        listen: LOCAL,
        advertise: Advertised::default(),
        ports,
        workers,
        io: config::MediaIo::Auto,
        missing_after: Duration::from_secs(3),
        dead_after: Duration::from_secs(30),
        degraded_below: 3.6,
        hold_music: None,
        tones: None,
        codecs: config::Codec::DEFAULT.to_vec(),
        srtp: Default::default(),
        ice: Default::default(),
    }
}

fn clips() -> Clips {
    let clip = Arc::new(Clip::new(vec![8_000; 1_600]));
    Clips::new([(ClipName("en/welcome".into()), clip.clone())].into(), Some(clip))
}

/// epoll, and io_uring where there is any.
fn ways() -> impl Iterator<Item = config::MediaIo> {
    [config::MediaIo::Epoll].into_iter().chain(Network::try_ring().is_ok().then_some(config::MediaIo::IoUring))
}

fn run(ports: std::ops::RangeInclusive<u16>, workers: u8) -> Running {
    run_by(config::MediaIo::Auto, ports, workers)
}

fn run_by(io: config::MediaIo, ports: std::ops::RangeInclusive<u16>, workers: u8) -> Running {
    let (reports, leases, frames) = (sync_channel(100), sync_channel(100), sync_channel(40));
    let again = sync_channel(1);
    let outs = Outs { reports: reports.0, leases: leases.0, frames: frames.0, again: again.0, fatal: recording(666) };
    let config = config::Media { io, ..config(ports, workers) };
    let engine = start(&config, Country(*b"DE"), &clips(), System::start(), 1, &outs).unwrap();
    Running { engine, reports: reports.1, leases: leases.1, frames: frames.1, again: again.1, ready: Vec::new() }
}

impl Running {
    fn lease(&mut self, worker: u8) -> Lease {
        loop {
            if let Some(at) = self.ready.iter().position(|l| l.worker == worker) {
                return self.ready.remove(at);
            }
            self.ready.extend(self.leases.recv_timeout(PATIENCE).unwrap());
        }
    }

    fn command(&mut self, command: Command) {
        self.engine.command(0, command).unwrap();
        self.engine.wake();
    }

    /// A leg whose peer is a new socket.
    fn leg(&mut self, id: u64) -> Peer {
        let lease = self.lease(0);
        self.peer_of(id, 0, lease)
    }

    fn peer_of(&mut self, id: u64, worker: u8, lease: Lease) -> Peer {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let leg = LegId(id);
        self.engine.command(worker, Command::Open { leg, lease }).unwrap();
        // No report is heard for sound.
        let session = Session { remote_rtcp: None, ..Session::plain(Codec::Pcmu, socket.local_addr().unwrap()) };
        self.engine.command(worker, Command::Agree { leg, session }).unwrap();
        self.engine.wake();
        Peer { leg, socket, to: SocketAddr::new(LOCAL, lease.port), sequence: 0 }
    }

    fn bridge(&mut self, a: &Peer, b: &Peer) {
        self.command(Command::Hear { leg: a.leg, source: Source::Leg(b.leg) });
        self.command(Command::Hear { leg: b.leg, source: Source::Leg(a.leg) });
    }

    fn report(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).unwrap()
    }
}

struct Peer {
    leg: LegId,
    socket: UdpSocket,
    to: SocketAddr,
    sequence: u16,
}

impl Peer {
    fn say(&mut self, byte: u8) {
        self.say_from(byte, None);
    }

    fn say_from(&mut self, byte: u8, other: Option<&UdpSocket>) {
        self.sequence += 1;
        let mut header = [0; HEADER];
        let timestamp = u32::from(self.sequence) * 160;
        Fields { marker: false, payload_type: 0, sequence: self.sequence, timestamp, ssrc: self.leg.0 as u32 }.write(&mut header);
        let bytes = [&header[..], &[byte; 160]].concat();
        other.unwrap_or(&self.socket).send_to(&bytes, self.to).unwrap();
    }

    /// The next packet: numbers, first byte of sound, sender.
    fn hear(&self) -> (Fields, u8, SocketAddr) {
        let mut bytes = [0; 2_000];
        let (n, from) = self.socket.recv_from(&mut bytes).unwrap();
        let packet = Packet::parse(&bytes[..n]).unwrap();
        (packet.fields(), packet.payload()[0], from)
    }

    /// Says until it is heard at the other end: what crosses with the commands is lost.
    fn reach(&mut self, other: &Peer) {
        other.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut bytes = [0; 2_000];
        let reached = (0..500).any(|_| {
            self.say(1);
            other.socket.recv(&mut bytes).is_ok()
        });
        while other.socket.recv(&mut bytes).is_ok() {}
        other.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(reached);
    }
}

#[test]
fn two_peers_hear_each_other_and_a_stranger_is_not_heard() {
    ways().for_each(|io| two_peers_hear_each_other(run_by(io, 28_000..=28_099, 2)));
}

fn two_peers_hear_each_other(mut r: Running) {
    let (mut a, mut b) = (r.leg(1), r.leg(2));
    r.bridge(&a, &b);
    a.reach(&b);
    b.reach(&a);
    let stranger = UdpSocket::bind((LOCAL, 0)).unwrap();
    a.say_from(9, Some(&stranger));
    for n in 10..60 {
        a.say(n);
    }
    let heard: Vec<_> = (10..60).map(|_| b.hear()).collect();
    assert_eq!(heard.iter().map(|h| h.1).collect::<Vec<_>>(), (10..60).collect::<Vec<_>>());
    assert!(heard.iter().all(|h| h.2 == b.to && h.0.ssrc == heard[0].0.ssrc && h.0.ssrc != 1));
    r.command(Command::Close { leg: a.leg });
    let Report::Closed { leg: LegId(1), quality } = r.report() else { panic!() };
    assert_eq!(quality.refused, 1);
    assert!(quality.packets_received >= 51 && quality.packets_lost == 1, "{quality:?}");
    assert!(r.engine.counters().received.load(Relaxed) >= 52);
}

#[test]
fn a_prompt_arrives_whole_and_is_tapped() {
    let mut r = run(28_100..=28_199, 1);
    let a = r.leg(1);
    r.command(Command::Tap { leg: a.leg, recording: recording(1) });
    let audio = Audio::Prompt(vec![ClipName("en/welcome".into())]);
    r.command(Command::Hear { leg: a.leg, source: Source::Play(PlayId(3), audio) });
    let heard: Vec<_> = (0..10).map(|_| a.hear()).collect();
    assert!(heard.iter().all(|h| h.1 == G711::Pcmu.encode(8_000)));
    assert!(heard.windows(2).all(|w| w[1].0.timestamp.wrapping_sub(w[0].0.timestamp) == 160));
    assert_eq!(r.report(), Report::PlayEnded { leg: a.leg, play: PlayId(3) });
    let frames: Vec<_> = r.frames.try_iter().collect();
    assert!(frames.len() == 10 && frames.iter().all(|f| f.side == Side::Heard && f.recording == recording(1)));
    let took = frames[9].at.since(frames[0].at);
    assert!(took >= Duration::from_millis(178), "paced, not in a burst: {took:?}");
}

#[test]
fn frames_that_the_recorder_has_no_room_for_are_reported() {
    let mut r = run(28_200..=28_299, 1);
    let a = r.leg(1);
    r.command(Command::Tap { leg: a.leg, recording: recording(1) });
    r.command(Command::Hear { leg: a.leg, source: Source::Play(PlayId(1), Audio::Music(None)) });
    for _ in 0..50 {
        a.hear();
    }
    r.command(Command::Untap { leg: a.leg });
    let mut lost = 0;
    while lost + 40 < 50 {
        let Report::TapOverflow { leg: LegId(1), recording: of, frames } = r.report() else { panic!() };
        assert_eq!(of, recording(1));
        lost += frames;
    }
    assert_eq!(r.frames.try_iter().count(), 40);
}

#[test]
fn a_panic_ends_its_leg_and_no_other() {
    let mut r = run(28_300..=28_399, 1);
    let (mut a, mut b, mut c) = (r.leg(1), r.leg(2), r.leg(3));
    r.bridge(&a, &b);
    a.reach(&b);
    r.command(Command::Tap { leg: a.leg, recording: recording(666) });
    let mut reports = Vec::new();
    while reports.len() < 2 {
        a.say(1);
        reports.extend(r.reports.recv_timeout(Duration::from_millis(20)));
    }
    assert!(matches!(reports[..], [Report::Dead { leg: LegId(1) }, Report::Closed { leg: LegId(1), .. }]), "{reports:?}");
    r.bridge(&b, &c);
    b.reach(&c);
    c.reach(&b);
    assert_eq!(r.engine.counters().panics.load(Relaxed), 1);
}

#[test]
fn a_leg_on_a_port_that_was_not_leased_is_dead_at_once() {
    let mut r = run(28_400..=28_499, 1);
    r.command(Command::Open { leg: LegId(1), lease: Lease { worker: 0, port: 28_398 } });
    assert_eq!(r.report(), Report::Dead { leg: LegId(1) });
    assert!(matches!(r.report(), Report::Closed { leg: LegId(1), .. }));
    assert!(r.engine.command(1, Command::Close { leg: LegId(1) }).is_err(), "there is no second worker");
}

#[test]
fn leases_are_made_up_for_as_they_are_used_until_the_range_is() {
    let mut r = run(28_500..=28_599, 1);
    let first = r.leases.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first.len(), 48);
    r.ready = first;
    let mut ports: Vec<u16> = (0..50).map(|n| r.leg(n).to.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, (28_500..28_600).step_by(2).collect::<Vec<_>>());
    assert!(r.ready.is_empty() && r.leases.try_recv().is_err());
}

#[test]
fn without_ports_there_is_no_start() {
    let outs = {
        let (reports, leases, frames) = (sync_channel(1).0, sync_channel(1).0, sync_channel(1).0);
        Outs { reports, leases, frames, again: sync_channel(1).0, fatal: recording(666) }
    };
    let start = |config| start(&config, Country(*b"DE"), &clips(), System::start(), 1, &outs).map(|_| ());
    assert!(matches!(start(config(28_601..=28_602, 1)), Err(StartError::RangeTooSmall { .. })));
    let _taken = UdpSocket::bind((LOCAL, 28_604)).unwrap();
    assert!(matches!(start(config(28_604..=28_605, 1)), Err(StartError::NoPort { .. })));
}

#[test]
fn what_could_not_be_taken_is_asked_for_again_though_nothing_happens() {
    let r = run(28_900..=28_919, 1);
    for _ in 0..2 {
        r.again.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_leg_goes_on_in_another_worker_with_its_port_and_its_peer_hears_whom_it_is_joined_with() {
    ways().for_each(|io| goes_on_in_another_worker(run_by(io, 33_700..=33_760, 2)));
}

fn goes_on_in_another_worker(mut running: Running) {
    let mut a = running.leg(1);
    let lease = running.lease(1);
    let mut b = running.peer_of(2, 1, lease);
    // A leg that is expected takes commands before it is there.
    running.engine.command(1, Command::Expect { leg: a.leg }).unwrap();
    running.engine.command(1, Command::Hear { leg: a.leg, source: Source::Leg(b.leg) }).unwrap();
    running.engine.command(1, Command::Hear { leg: b.leg, source: Source::Leg(a.leg) }).unwrap();
    running.engine.command(0, Command::HandOver { leg: a.leg, to: 1 }).unwrap();
    running.engine.wake();
    a.reach(&b);
    b.reach(&a);
    a.say(7);
    assert_eq!(b.hear().1, 7);
    assert_eq!(running.engine.counters().legs().collect::<Vec<_>>(), [0, 2]);
    // It ends there, and a leg that is nowhere is not waited for.
    running.engine.command(1, Command::Expect { leg: LegId(99) }).unwrap();
    running.engine.command(0, Command::HandOver { leg: LegId(99), to: 1 }).unwrap();
    running.engine.command(1, Command::Close { leg: a.leg }).unwrap();
    running.engine.wake();
    let closed = running.report();
    assert!(matches!(closed, Report::Closed { leg, quality } if leg == a.leg && quality.packets_received >= 2), "{closed:?}");
}
