//! A media peer of our own making, for SIPp's side of a call: speaks a tone as PCMU every 20 ms, presses digits as RFC 4733 events when
//! told to, and keeps what it hears. SIPp itself can only play files, and needs raw sockets (root) for it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::tones::{Audio, sine};

pub const PTIME: Duration = Duration::from_millis(20);
/// Samples a packet at 8 kHz.
pub const SAMPLES: usize = 160;
/// The dynamic payload type that our SDP gives telephone-event.
pub const EVENT_PAYLOAD: u8 = 101;

/// Packets of one direction: a tone, interrupted by digits. Pure; each call of [`Voice::tick`] is 20 ms.
pub struct Voice {
    hz: f64,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    first: bool,
    digits: VecDeque<u8>,
    pressed: Option<Pressed>,
}

struct Pressed {
    event: u8,
    packet: u16,
}

impl Voice {
    /// `ssrc` also seeds the sequence number and the timestamp, which start anywhere (RFC 3550 §5.1).
    pub fn new(hz: f64, ssrc: u32) -> Voice {
        let (sequence, timestamp) = ((ssrc >> 3) as u16, ssrc.wrapping_mul(2_654_435_761));
        Voice { hz, ssrc, sequence, timestamp, first: true, digits: VecDeque::new(), pressed: None }
    }

    /// Puts digits in the queue: each 100 ms long with as much pause after it.
    pub fn press(&mut self, digits: &str) {
        self.digits.extend(digits.bytes().filter_map(|b| b"0123456789*#ABCD".iter().position(|d| *d == b)).map(|d| d as u8));
    }

    /// The packets of the next 20 ms: one, or three at the end of a digit (its last one is repeated, RFC 4733 §2.5.1.4).
    pub fn tick(&mut self) -> Vec<Vec<u8>> {
        if self.pressed.is_none() {
            self.pressed = self.digits.pop_front().map(|event| Pressed { event, packet: 0 });
        }
        match self.pressed.take() {
            Some(Pressed { event, packet }) if packet < 5 => {
                let last = packet == 4;
                let duration = (packet + 1) * SAMPLES as u16;
                let payload = [event, if last { 0x8a } else { 0x0a }, (duration >> 8) as u8, duration as u8];
                let packets = (0..if last { 3 } else { 1 }).map(|_| self.packet(EVENT_PAYLOAD, packet == 0, &payload)).collect();
                self.pressed = Some(Pressed { event, packet: packet + 1 });
                packets
            }
            Some(Pressed { event, packet }) => {
                if packet == 5 {
                    self.timestamp = self.timestamp.wrapping_add(5 * SAMPLES as u32);
                }
                self.pressed = (packet < 9).then_some(Pressed { event, packet: packet + 1 });
                vec![self.audio()]
            }
            None => vec![self.audio()],
        }
    }

    fn audio(&mut self) -> Vec<u8> {
        let from = self.timestamp as usize % 8_000; // whole periods a second, so the tone has no step
        let payload: Vec<u8> = sine(self.hz, 8_000, from, SAMPLES).map(ulaw).collect();
        let packet = self.packet(0, self.first, &payload);
        self.first = false;
        self.timestamp = self.timestamp.wrapping_add(SAMPLES as u32);
        packet
    }

    fn packet(&mut self, payload_type: u8, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type | if marker { 0x80 } else { 0 }];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }
}

/// What a [`Peer`] has heard so far.
#[derive(Clone, Default)]
pub struct Heard {
    pub packets: u64,
    pub samples: Vec<i16>,
    pub digits: String,
    pub from: Option<SocketAddr>,
    source: Option<(u32, u32, usize)>, // SSRC, its first timestamp, where that stands in `samples`
    last_event: Option<u32>,
}

impl Heard {
    pub fn audio(&self) -> Audio {
        Audio { rate: 8_000, channels: vec![self.samples.iter().map(|s| f64::from(*s) / 32_768.0).collect()] }
    }

    fn take(&mut self, packet: &[u8], from: SocketAddr) {
        if packet.len() < 12 || packet[0] >> 6 != 2 {
            return;
        }
        let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (payload_type, timestamp, ssrc) = (packet[1] & 0x7f, word(4), word(8));
        let header = 12 + 4 * usize::from(packet[0] & 0x0f);
        let Some(payload) = packet.get(header..) else { return };
        self.from = Some(from);
        match (payload_type, payload) {
            (0 | 8, payload) => {
                self.packets += 1;
                let (_, start, place) = *match &mut self.source {
                    Some(source) if source.0 == ssrc => source,
                    source => source.insert((ssrc, timestamp, self.samples.len())),
                };
                let offset = timestamp.wrapping_sub(start) as usize;
                if offset > 8_000 * 3_600 {
                    return; // from before its own start
                }
                let at = place + offset;
                if self.samples.len() < at + payload.len() {
                    self.samples.resize(at + payload.len(), 0);
                }
                let decode = if payload_type == 0 { linear_of_ulaw } else { linear_of_alaw };
                for (sample, byte) in self.samples[at..].iter_mut().zip(payload) {
                    *sample = decode(*byte);
                }
            }
            (EVENT_PAYLOAD, [event, ..]) if self.last_event != Some(timestamp) => {
                self.last_event = Some(timestamp);
                self.digits.extend(b"0123456789*#ABCD".get(usize::from(*event)).map(|b| char::from(*b)));
            }
            _ => {}
        }
    }
}

enum Order {
    SendTo(SocketAddr),
    Press(String),
    Mute,
}

/// A socket and a thread that speaks and hears. Silent until it knows where to.
pub struct Peer {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// On a free port of 127.0.0.1.
    pub fn start(hz: f64) -> Peer {
        Peer::at("127.0.0.1", hz)
    }

    /// On a free port of this loopback address.
    pub fn at(host: &str, hz: f64) -> Peer {
        let port = *super::ports::range(2).start();
        let socket = UdpSocket::bind((host, port)).unwrap_or_else(|e| panic!("RTP port {host}:{port}: {e}"));
        let address = socket.local_addr().unwrap_or_else(|e| panic!("RTP port {host}:{port}: {e}"));
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (orders, inbox) = sync_channel(64); // full: the test waits, which is fine
        let kept = heard.clone();
        let thread = std::thread::spawn(move || run(&socket, Voice::new(hz, u32::from(port) << 8 | 0x5a), &inbox, &kept));
        Peer { address, heard, orders: Some(orders), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on speaks to this address (what the other side's SDP says).
    pub fn send_to(&self, to: SocketAddr) {
        self.order(Order::SendTo(to));
    }

    pub fn press(&self, digits: &str) {
        self.order(Order::Press(digits.to_owned()));
    }

    /// Sends nothing more, and goes on hearing.
    pub fn mute(&self) {
        self.order(Order::Mute);
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            orders.send(order).unwrap_or_else(|_| panic!("the media peer's thread is gone"));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(socket: &UdpSocket, mut voice: Voice, inbox: &Receiver<Order>, heard: &Mutex<Heard>) {
    let mut to = None;
    let mut next = Instant::now();
    let mut buffer = [0; 2_048];
    loop {
        loop {
            match inbox.try_recv() {
                Ok(Order::SendTo(address)) => to = Some(address),
                Ok(Order::Press(digits)) => voice.press(&digits),
                Ok(Order::Mute) => to = None,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() {
            next += PTIME;
            if let Some(to) = to {
                for packet in voice.tick() {
                    let _ = socket.send_to(&packet, to); // the other side may be gone already
                }
            }
            continue;
        }
        let _ = socket.set_read_timeout(Some(left));
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(&buffer[..length], from);
            }
            // A port unreachable of an earlier packet, or the time for the next one.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused) => {}
            Err(e) => panic!("RTP socket: {e}"),
        }
    }
}

/// ITU-T G.711 µ-law: sign, segment, four bits of step.
pub fn ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let segment = 24 - (magnitude as u32).leading_zeros() as i32; // the top bit is 7 to 14
    let step = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | (segment << 4) as u8 | step as u8)
}

fn linear_of_ulaw(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = (((i32::from(byte & 0x0f) << 3) + 132) << ((byte >> 4) & 7)) - 132;
    (if byte & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

fn linear_of_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (segment, step) = (i32::from((byte >> 4) & 7), i32::from(byte & 0x0f) << 4);
    let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    (if byte & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_comes_back_within_its_step() {
        for sample in (-32_000..32_000).step_by(37) {
            let back = i32::from(linear_of_ulaw(ulaw(sample)));
            let allowed = (i32::from(sample).abs() + 132) / 30 + 4;
            assert!((back - i32::from(sample)).abs() <= allowed, "{sample} became {back}");
        }
        assert_eq!((ulaw(0), linear_of_ulaw(0xff)), (0xff, 0));
    }

    #[test]
    fn a_voice_speaks_its_tone_and_presses_digits_in_between() {
        let mut voice = Voice::new(440.0, 7);
        let mut heard = Heard::default();
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        for tick in 0..100 {
            if tick == 50 {
                voice.press("1#");
            }
            for packet in voice.tick() {
                heard.take(&packet, from);
            }
        }
        assert_eq!(heard.digits, "1#");
        assert!(heard.audio().halves(0, &[440.0])[0].is_only(0));
        assert_eq!(heard.samples.len(), 100 * SAMPLES);
    }
}
