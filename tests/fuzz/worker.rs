//! Datagrams at the ports of a media worker's legs: from the phone, from a stranger, to RTP and RTCP, of legs that are relayed, decoded and
//! encrypted, and of a browser.
//!
//! Oracles beyond "no panic": nothing goes to anybody but the phones and, where the worker said that it listens to it, the sender;
//! what a stranger sends once the phones have spoken goes nowhere and into no recording; nothing unauthentic passes an encrypted leg, or
//! ends or moves a browser's; afterwards the phones hear each other as before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cordboard::clock::{Mono, System};
use cordboard::codec::Codec;
use cordboard::ids::{LegId, RecordingId};
use cordboard::media::{Clips, Command, Datagram, Frame, Lease, Port, Report, Session, Settings, Sink, Slot, Source, Worker};
use cordboard::media_engine::browser::{BROWSER, Identity, Peer, Peers};
use cordboard::rtp::srtp::{GROWTH, Master, Pair, Suite};
use cordboard::rtp::{Fields, HEADER, rtcp};

use super::Target;
use super::tab::Tab;

/// Relayed; decoded; encrypted, whose key no input has; a page with a phone.
const CALLS: [[Codec; 2]; 4] =
    [[Codec::Pcma, Codec::Pcma], [Codec::Pcma, Codec::L16], [Codec::Pcma, Codec::Pcma], [Codec::Pcma, Codec::Pcma]];
const ENCRYPTED: usize = 2;
const PAGE: usize = 3;
const SSRC: u32 = 7;
/// Longer than what is read from a socket.
const LONGEST: usize = 2_048;

#[derive(Default)]
struct Out {
    sent: Vec<SocketAddr>,
    taped: usize,
    latched: Vec<SocketAddr>,
}

impl Sink for Out {
    fn send(&mut self, _: Slot, _: LegId, _: Port, to: SocketAddr, _: &[u8]) {
        self.sent.push(to);
    }

    fn tap(&mut self, _: Frame) {
        self.taped += 1;
    }

    fn report(&mut self, report: Report) {
        if let Report::Latched { address, .. } = report {
            self.latched.push(address);
        }
    }
}

/// One worker for all inputs, with new legs for each: its tones are made but once, and so is the page's handshake.
struct Rig {
    worker: Worker,
    peers: Peers,
    tab: Tab,
    /// The switch's end of the page's leg, between two calls.
    peer: Option<Box<Peer>>,
    clips: Clips,
    now: Mono,
    out: Out,
}

pub struct Garbage(Mutex<Option<Rig>>);

impl Garbage {
    pub const fn new() -> Garbage {
        Garbage(Mutex::new(None))
    }
}

fn leg(phone: usize) -> LegId {
    LegId(phone as u64 + 1)
}

fn address(phone: usize, port: Port) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, phone as u8 + 1], if port == Port::Rtp { 5_004 } else { 5_005 }))
}

fn stranger() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 66], 666))
}

fn fields(codec: Codec, sequence: u16) -> Fields {
    let timestamp = u32::from(sequence) * codec.clock_rate() / 50;
    Fields { marker: false, payload_type: codec.payload_type(), sequence, timestamp, ssrc: SSRC }
}

fn packet(codec: Codec, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER];
    fields(codec, sequence).write(&mut header);
    [&header[..], payload].concat()
}

fn payload(codec: Codec) -> Vec<u8> {
    vec![0x55; if codec == Codec::L16 { 640 } else { 160 }]
}

impl Rig {
    fn new() -> Rig {
        let settings = Settings {
            missing_after: Duration::from_secs(3),
            dead_after: Duration::from_secs(30),
            country: *b"DE",
            degraded_below: 3.6,
            seed: 1,
        };
        let identity = Arc::new(Identity::new().unwrap_or_else(|e| panic!("{e}")));
        let clock = System::start();
        let (mut tab, mut peer) = Tab::call(&identity, clock, address(0, Port::Rtp), CALLS[PAGE][0], SSRC);
        let now = tab.connect(&mut peer, Mono::ZERO);
        Rig {
            worker: Worker::new(settings),
            peers: Peers::new(identity, clock),
            tab,
            peer: Some(Box::new(peer)),
            clips: Clips::new(BTreeMap::new(), None),
            now,
            out: Out::default(),
        }
    }

    fn command(&mut self, command: Command) {
        self.worker.handle(command, &self.clips, self.now, &mut self.out);
    }

    /// Two phones that hear each other, recorded at the first.
    fn call(&mut self, which: usize) {
        for phone in [0, 1] {
            self.command(Command::Open { leg: leg(phone), lease: Lease { worker: 0, port: 20_000 } });
            let codec = CALLS[which][phone];
            let key = |byte: u8| Master::new(Suite::AesCm80, &[byte; 30]);
            let keys = (key(1 + phone as u8), key(3 + phone as u8));
            let srtp = keys.0.zip(keys.1).filter(|_| which == ENCRYPTED).map(|(ours, theirs)| Pair { ours, theirs });
            let mut session = Session { srtp, ..Session::plain(codec, address(phone, Port::Rtp)) };
            let page = self.worker.slot(leg(phone)).filter(|_| which == PAGE && phone == 0);
            if let Some(slot) = page
                && let Some(peer) = self.peer.take()
            {
                self.peers.put(slot, leg(phone), peer);
                session.dtls = Some(Box::new(self.tab.terms.clone()));
                self.peers.agree(slot, leg(phone), &mut session, self.now);
            }
            self.command(Command::Agree { leg: leg(phone), session });
            // Once; to the calls that follow it brings them.
            if let Some((slot, keys)) = page.and_then(|slot| Some((slot, self.peers.doings(slot)?.keys?))) {
                self.worker.key(slot, keys);
            }
        }
        for (phone, other) in [(0, 1), (1, 0)] {
            self.command(Command::Hear { leg: leg(phone), source: Source::Leg(leg(other)) });
        }
        self.command(Command::Tap { leg: leg(0), recording: RecordingId::from_parts(1, 1) });
    }

    fn receive(&mut self, from: SocketAddr, phone: usize, port: Port, datagram: &[u8]) -> bool {
        let Some(slot) = self.worker.slot(leg(phone)) else { return false };
        let length = datagram.len().min(LONGEST);
        let (port, from) = match (self.peers.has(slot), port) {
            (false, _) => (port, from),
            // A page has one port.
            (true, Port::Rtcp) => return false,
            (true, Port::Rtp) => {
                let heard = self.peers.receive(slot, from, &datagram[..length], self.now);
                if let Some(doings) = self.peers.doings(slot) {
                    assert!(doings.broken.is_none() && doings.keys.is_none(), "{:?}", doings.broken);
                    self.out.sent.extend(doings.send.iter().map(|(to, _)| *to));
                }
                match heard {
                    Some(port) => (port, BROWSER),
                    None => return false,
                }
            }
        };
        let mut buffer = [&datagram[..length], &[0xee; GROWTH]].concat();
        let forward = self.worker.receive(slot, port, from, Datagram { buffer: &mut buffer, length }, self.now, &mut self.out);
        if let Some(forward) = forward {
            assert!(forward.start + forward.len <= buffer.len());
            self.out.sent.push(forward.to);
        }
        forward.is_some()
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.worker.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.worker.tick(self.now, &mut self.out);
        }
        self.now = end;
    }

    /// Each says a packet that nobody could take for old, and 40 ms go by: who of them was sent something.
    fn talk(&mut self, which: usize, sequence: u16) -> [bool; 2] {
        for phone in [0, 1] {
            let codec = CALLS[which][phone];
            for n in 0..2 {
                let (number, sound) = (sequence + n, payload(codec));
                let packet = match which == PAGE && phone == 0 {
                    true => self.tab.say(fields(codec, number), &sound, self.now),
                    false => packet(codec, number, &sound),
                };
                self.receive(address(phone, Port::Rtp), phone, Port::Rtp, &packet);
            }
        }
        self.run(40);
        [0, 1].map(|phone| self.out.sent.contains(&if which == PAGE && phone == 0 { BROWSER } else { address(phone, Port::Rtp) }))
    }
}

impl Target for Garbage {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds: Vec<Vec<u8>> = [Codec::Pcma, Codec::L16].map(|codec| packet(codec, 3, &payload(codec))).into();
        seeds.push(packet(Codec::Pcmu, 4, &[0xff; 160]));
        let mut event = packet(Codec::Pcma, 5, &[5, 0x8a, 3, 0x20]);
        event[1] = 101;
        let mut noise = packet(Codec::Pcma, 6, &[40, 1, 2, 3]);
        noise[1] = 13;
        seeds.extend([event, noise]);
        let block = rtcp::Block { ssrc: 1, fraction_lost: 20, lost: 9, extended_newest: 70_000, ..rtcp::Block::default() };
        let sender = rtcp::Sender { ntp: 1 << 60, timestamp: 5, packets: 9, octets: 99 };
        seeds.push(rtcp::compound(SSRC, Some(sender), Some(block), "phone", true).to_vec());
        // STUN (RFC 5389 §6), a record of DTLS (RFC 6347 §4.1).
        seeds.push([&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12], &[0, 6, 0, 4, b'a', b':', b'b', b'c']].concat());
        seeds.push([&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 20, 1, 0, 0, 8, 0, 0][..], &[9; 16]].concat());
        seeds
    }

    /// Legs are opened, and talk, and are closed.
    fn cost(&self) -> u64 {
        8
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        let mut place = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Taken out, so that after a panic nobody goes on with it.
        let mut rig = place.take().unwrap_or_else(Rig::new);
        let which = chance as usize % CALLS.len();
        let phone = (chance >> 8) as usize % 2;
        let port = if chance >> 16 & 1 == 0 { Port::Rtp } else { Port::Rtcp };
        let is_stranger = chance >> 24 & 1 == 0;
        // The keys of the leg are no input's.
        let is_secret = which == ENCRYPTED || (which == PAGE && phone == 0);
        let has_begun = which >= ENCRYPTED || chance >> 32 & 1 == 0;
        let from = if is_stranger { stranger() } else { address(phone, port) };
        rig.call(which);
        if has_begun {
            rig.talk(which, 1);
        }
        rig.out = Out::default();
        let passed = rig.receive(from, phone, port, input);
        let taped = rig.out.taped;
        if is_secret || (is_stranger && has_begun) {
            assert!(!passed && taped == 0, "it went through");
        }
        rig.run(100);
        let may = |to: &SocketAddr| to.ip() != stranger().ip() || rig.out.latched.iter().any(|l| l.ip() == to.ip());
        assert!(rig.out.sent.iter().all(may), "{:?}", rig.out.sent);
        assert!(rig.out.latched.is_empty() || (is_stranger && !has_begun), "{:?}", rig.out.latched);
        // Another source's numbers, so that whatever the input's were they are none of these.
        if which != ENCRYPTED {
            rig.out = Out::default();
            // A time of its own begins after two packets in a row (RFC 3550 appendix A.1).
            rig.talk(which, 30_000);
            assert_eq!(rig.talk(which, 30_002), [true; 2], "they hear each other no more");
        }
        if let Some(slot) = rig.worker.slot(leg(0)).filter(|slot| rig.peers.has(*slot)) {
            assert_eq!(rig.peers.target(slot), Some(address(0, Port::Rtp)), "the page is sent its sound elsewhere");
            rig.peer = rig.peers.take(slot);
        }
        for phone in [0, 1] {
            rig.command(Command::Close { leg: leg(phone) });
        }
        assert_eq!(rig.worker.legs(), 0);
        rig.out = Out::default();
        *place = Some(rig);
        let is_looked_at = |first: &u8| first >> 6 == 2 || (which == PAGE && *first < 64);
        passed || taped > 0 || (is_secret && input.first().is_some_and(is_looked_at))
    }
}
