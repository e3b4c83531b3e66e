//! Two phones at a media worker. Each says what it was given in packets of 20 ms, by a clock of its own, through a network that loses by a
//! seed, and keeps what it is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cordboard::clock::{Mono, System};
use cordboard::codec::{Codec, Decoder, Encoder};
use cordboard::ids::{LegId, RecordingId};
use cordboard::media::{Clips, Command, Datagram, Frame, Lease, Port, Report, Session, Settings, Sink, Slot, Source, Worker};
use cordboard::media_engine::browser::{BROWSER, Identity, Peers};
use cordboard::recorder::timeline::Timeline;
use cordboard::rtp::srtp::{GROWTH, Inbound, Master, Outbound, Pair, Suite};
use cordboard::rtp::{Fields, HEADER, Packet, rtcp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::tab::Tab;

pub const A: usize = 0;
pub const B: usize = 1;

/// Of a packet that a phone says.
const PACKET_US: u64 = 20_000;
/// When calls begin.
pub const START: Mono = Mono::from_millis(1_000);

/// Samples at the codec's rate in packets of 20 ms.
pub fn encoded(codec: Codec, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec);
    let packet = |pcm: &[i16]| {
        let mut payload = Vec::new();
        assert!(encoder.encode(pcm, &mut payload), "silence is sent too");
        payload
    };
    pcm.chunks_exact(codec.sample_rate() as usize / 50).map(packet).collect()
}

pub fn decoded<'a>(codec: Codec, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<i16> {
    let (mut decoder, mut out) = (Decoder::new(codec), Vec::new());
    for payload in payloads {
        decoder.decode(payload, &mut out).unwrap_or_else(|e| panic!("{e}"));
    }
    out
}

/// A phone.
pub struct Phone {
    codec: Codec,
    /// What it says, over and over.
    says: Vec<Vec<u8>>,
    /// By how much its clock is fast.
    ppm: i64,
    /// The share of its packets that do not arrive.
    loss: f64,
    suite: Option<Suite>,
    in_a_browser: bool,
    said: u64,
    /// What it was sent, in order.
    pub heard: Vec<(Fields, Vec<u8>)>,
    ends: Option<(Outbound, Inbound)>,
    tab: Option<Tab>,
}

impl Phone {
    pub fn new(codec: Codec, says: Vec<Vec<u8>>) -> Phone {
        let (suite, ends, tab) = (None, None, None);
        Phone { codec, says, ppm: 0, loss: 0.0, suite, in_a_browser: false, said: 0, heard: Vec::new(), ends, tab }
    }

    pub fn fast_by(self, ppm: i64) -> Phone {
        Phone { ppm, ..self }
    }

    pub fn losing(self, loss: f64) -> Phone {
        Phone { loss, ..self }
    }

    /// With SDES-SRTP.
    pub fn encrypted(self, suite: Suite) -> Phone {
        Phone { suite: Some(suite), ..self }
    }

    /// With DTLS-SRTP, as a page.
    pub fn in_a_browser(self) -> Phone {
        Phone { in_a_browser: true, ..self }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// When it says packet `n`, after its first.
    pub fn says_at(&self, n: u64) -> Duration {
        let us = (n * PACKET_US) as i64;
        Duration::from_micros((us - us * self.ppm / 1_000_000).unsigned_abs())
    }

    /// All that it was sent, decoded.
    pub fn samples(&self) -> Vec<i16> {
        decoded(self.codec, self.heard.iter().map(|(_, payload)| &payload[..]))
    }

    fn hears(&mut self, datagram: &[u8], now: Mono) {
        if let Some(tab) = &mut self.tab {
            return self.heard.extend(tab.hear(datagram, now));
        }
        let mut bytes = datagram.to_vec();
        let length = match &mut self.ends {
            Some((_, inbound)) => inbound.rtp(&mut bytes).unwrap_or_else(|e| panic!("not for this phone: {e}")),
            None => bytes.len(),
        };
        let packet = Packet::parse(&bytes[..length]).unwrap_or_else(|e| panic!("{e}"));
        self.heard.push((packet.fields(), packet.payload().to_vec()));
    }

    /// The next packet, as it goes out.
    fn next(&mut self, ssrc: u32, now: Mono) -> Vec<u8> {
        let n = self.said;
        self.said += 1;
        let payload = &self.says[n as usize % self.says.len()];
        let mut header = [0; HEADER];
        let fields = Fields {
            marker: n == 0,
            payload_type: self.codec.payload_type(),
            // From anywhere, so that numbers wrap within ten minutes (RFC 3550 §5.1).
            sequence: (n as u16).wrapping_add(60_000),
            timestamp: (n as u32).wrapping_mul(self.codec.clock_rate() / 50).wrapping_add(u32::MAX - 1_000_000),
            ssrc,
        };
        if let Some(tab) = &mut self.tab {
            return tab.say(fields, payload, now);
        }
        fields.write(&mut header);
        let mut bytes = [&header[..], payload].concat();
        if let Some((outbound, _)) = &mut self.ends {
            let length = bytes.len();
            bytes.resize(length + GROWTH, 0);
            let sealed = outbound.rtp(&mut bytes, length).unwrap_or_else(|e| panic!("{e}"));
            bytes.truncate(sealed);
        }
        bytes
    }
}

/// What a worker does, in order.
#[derive(Default)]
pub struct Out {
    pub sent: Vec<(LegId, Port, SocketAddr, Vec<u8>)>,
    pub frames: Vec<Frame>,
    pub reports: Vec<Report>,
}

impl Sink for Out {
    fn send(&mut self, _: Slot, leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]) {
        self.sent.push((leg, port, to, datagram.to_vec()));
    }

    fn tap(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    fn report(&mut self, report: Report) {
        self.reports.push(report);
    }
}

pub fn leg(phone: usize) -> LegId {
    LegId(phone as u64 + 1)
}

/// Where a phone sends from and listens.
pub fn address(phone: usize, port: Port) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, phone as u8 + 1], if port == Port::Rtp { 5_004 } else { 5_005 }))
}

pub fn ssrc(phone: usize) -> u32 {
    phone as u32 * 1_000 + 7
}

fn master(suite: Suite, byte: u8) -> Master {
    let bytes = vec![byte; suite.key_length() + suite.salt_length()];
    Master::new(suite, &bytes).unwrap_or_else(|| panic!("a key of {suite:?}"))
}

/// The switch's ends of those legs that are pages.
struct Browsers {
    identity: Arc<Identity>,
    clock: System,
    peers: Peers,
}

impl Browsers {
    fn new() -> Browsers {
        let identity = Arc::new(Identity::new().unwrap_or_else(|e| panic!("{e}")));
        let clock = System::start();
        Browsers { peers: Peers::new(identity.clone(), clock), identity, clock }
    }
}

/// Two phones that hear each other, recorded at the first one.
pub struct Call {
    pub worker: Worker,
    browsers: Browsers,
    clips: Clips,
    pub out: Out,
    pub now: Mono,
    pub phones: [Phone; 2],
    chance: ChaCha8Rng,
    timeline: Timeline,
    /// Interleaved: what the first phone said, and what it heard.
    recorded: Vec<i16>,
    drained: Mono,
    /// Every datagram that went out, RTP and RTCP.
    pub wire: Vec<(Port, SocketAddr, Vec<u8>)>,
    keeps_wire: bool,
}

impl Call {
    pub fn new(phones: [Phone; 2]) -> Call {
        let settings = Settings {
            missing_after: Duration::from_secs(3),
            dead_after: Duration::from_secs(30),
            country: *b"DE",
            degraded_below: 1.0,
            seed: 5,
        };
        let mut call = Call {
            worker: Worker::new(settings),
            browsers: Browsers::new(),
            clips: Clips::new(BTreeMap::new(), None),
            out: Out::default(),
            now: START,
            phones,
            chance: ChaCha8Rng::seed_from_u64(11),
            timeline: Timeline::new(START, 8_000),
            recorded: Vec::new(),
            drained: START,
            wire: Vec::new(),
            keeps_wire: false,
        };
        for phone in [A, B] {
            call.command(Command::Open { leg: leg(phone), lease: Lease { worker: 0, port: 20_000 + phone as u16 * 2 } });
            if call.phones[phone].in_a_browser {
                call.shake_hands(phone);
            }
            call.agree(phone);
        }
        for (phone, other) in [(A, B), (B, A)] {
            call.command(Command::Hear { leg: leg(phone), source: Source::Leg(leg(other)) });
            call.report(phone);
        }
        call.command(Command::Tap { leg: leg(A), recording: RecordingId::from_parts(1, 1) });
        call
    }

    /// Keeps every datagram that goes out.
    pub fn keeping_the_wire(self) -> Call {
        Call { keeps_wire: true, ..self }
    }

    pub fn command(&mut self, command: Command) {
        self.worker.handle(command, &self.clips, self.now, &mut self.out);
    }

    /// A page's handshake, which is over when the call begins, so that all phones begin to speak at the same time.
    fn shake_hands(&mut self, phone: usize) {
        let Browsers { identity, clock, peers } = &mut self.browsers;
        let (mut tab, mut peer) = Tab::call(identity, *clock, address(phone, Port::Rtp), self.phones[phone].codec, ssrc(phone));
        let through = tab.connect(&mut peer, Mono::ZERO);
        assert!(through < START, "{through:?}");
        let slot = self.worker.slot(leg(phone)).unwrap_or_else(|| panic!("no leg"));
        peers.put(slot, leg(phone), Box::new(peer));
        self.phones[phone].tab = Some(tab);
    }

    /// An offer and its answer: the first, or another one with the same outcome.
    pub fn agree(&mut self, phone: usize) {
        let Phone { codec, suite, .. } = self.phones[phone];
        let srtp = suite.map(|suite| Pair { ours: master(suite, 100 + phone as u8), theirs: master(suite, 1 + phone as u8) });
        if let (Some(pair), None) = (&srtp, &self.phones[phone].ends) {
            self.phones[phone].ends = Some((Outbound::new(&pair.theirs), Inbound::new(&pair.ours)));
        }
        let mut session = Session { srtp, ..Session::plain(codec, address(phone, Port::Rtp)) };
        let Some(tab) = &self.phones[phone].tab else { return self.command(Command::Agree { leg: leg(phone), session }) };
        // As a worker's thread does.
        session.dtls = Some(Box::new(tab.terms.clone()));
        let slot = self.worker.slot(leg(phone)).unwrap_or_else(|| panic!("no leg"));
        self.browsers.peers.agree(slot, leg(phone), &mut session, self.now);
        self.command(Command::Agree { leg: leg(phone), session });
        if let Some(keys) = self.browsers.peers.doings(slot).and_then(|doings| doings.keys) {
            self.worker.key(slot, keys);
        }
    }

    /// A phone's first report, before it says anything. A page reports when it wants to.
    fn report(&mut self, phone: usize) {
        if self.phones[phone].in_a_browser {
            return;
        }
        let mut bytes = rtcp::compound(ssrc(phone), None, None, "phone", false).to_vec();
        if let Some((outbound, _)) = &mut self.phones[phone].ends {
            let length = bytes.len();
            bytes.resize(length + GROWTH, 0);
            let sealed = outbound.rtcp(&mut bytes, length).unwrap_or_else(|e| panic!("{e}"));
            bytes.truncate(sealed);
        }
        self.receive(address(phone, Port::Rtcp), phone, Port::Rtcp, &bytes);
    }

    /// A datagram at a phone's leg. Whether it was passed on.
    pub fn receive(&mut self, from: SocketAddr, phone: usize, port: Port, datagram: &[u8]) -> bool {
        let Some(slot) = self.worker.slot(leg(phone)) else { return false };
        let (from, port) = match self.browsers.peers.has(slot) {
            // Nobody but a stranger sends to the port that would be RTCP's.
            true if port == Port::Rtcp => return false,
            true => match self.browsers.peers.receive(slot, from, datagram, self.now) {
                Some(port) => (BROWSER, port),
                None => return false,
            },
            false => (from, port),
        };
        let mut buffer = [datagram, &[0xee; GROWTH]].concat();
        let length = datagram.len();
        let forward = self.worker.receive(slot, port, from, Datagram { buffer: &mut buffer, length }, self.now, &mut self.out);
        if let Some(f) = forward {
            self.out.sent.push((f.leg, Port::Rtp, f.to, buffer[f.start..f.start + f.len].to_vec()));
        }
        self.settle();
        forward.is_some()
    }

    /// What the worker has done reaches phones and recorder.
    fn settle(&mut self) {
        for (of, mut port, mut to, bytes) in std::mem::take(&mut self.out.sent) {
            if let Some(slot) = self.worker.slot(of).filter(|slot| self.browsers.peers.has(*slot)) {
                let Some(target) = self.browsers.peers.target(slot) else { continue };
                (port, to) = (Port::Rtp, target);
            }
            if port == Port::Rtp
                && let Some(phone) = [A, B].into_iter().find(|phone| address(*phone, Port::Rtp) == to)
            {
                self.phones[phone].hears(&bytes, self.now);
            }
            if self.keeps_wire {
                self.wire.push((port, to, bytes));
            }
        }
        for frame in std::mem::take(&mut self.out.frames) {
            self.timeline.push(&frame);
        }
        // As the recorder's writer does.
        if self.now.since(self.drained) >= Duration::from_millis(200) {
            self.drained = self.now;
            while self.timeline.drain(self.now, &mut self.recorded) {}
        }
    }

    /// For so long; `between` is asked before each packet of a phone.
    pub fn run_with(&mut self, time: Duration, mut between: impl FnMut(&mut Call)) {
        let end = self.now + time;
        loop {
            let says = |phone: usize| (START + self.phones[phone].says_at(self.phones[phone].said), Some(phone));
            let timer = self.worker.deadline().map(|at| (at, None));
            let Some((at, who)) =
                [says(A), says(B)].into_iter().chain(timer).min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(at);
            match who {
                None => self.worker.tick(self.now, &mut self.out),
                Some(phone) => {
                    between(self);
                    let packet = self.phones[phone].next(ssrc(phone), self.now);
                    let lost = f64::from(self.chance.next_u32()) < self.phones[phone].loss * f64::from(u32::MAX);
                    if !lost {
                        self.receive(address(phone, Port::Rtp), phone, Port::Rtp, &packet);
                    }
                }
            }
            self.settle();
        }
        self.now = end;
    }

    pub fn run(&mut self, time: Duration) {
        self.run_with(time, |_| {});
    }

    /// The recording up to now: left and right.
    pub fn recording(&mut self) -> [Vec<i16>; 2] {
        let mut all = std::mem::take(&mut self.recorded);
        self.timeline.finish(self.now, &mut all);
        [0, 1].map(|side| all.iter().skip(side).step_by(2).copied().collect())
    }

    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}
