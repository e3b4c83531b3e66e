//! Datagrams at the switch's end of a browser's leg: before, amid and after its handshake, from a stranger, from the page's own address, and
//! as what the page itself says, spoilt.
//!
//! Oracles beyond "no panic": a stranger is answered nothing and changes nothing; whatever is sent goes to the page; what is kept is
//! bounded; a page that nobody forges gets through and is heard and hears; nothing that is not under its keys ends a handshake that is
//! over; and where a forger in the page's place has spoilt one that is not, the page's next call gets through.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::{Mono, System};
use cordboard::codec::Codec;
use cordboard::ids::LegId;
use cordboard::media::{Broken, Port, Slot};
use cordboard::media_engine::browser::{Identity, Peers};
use cordboard::rtp::srtp::{GROWTH, Inbound, Outbound, Pair};
use cordboard::rtp::{Fields, HEADER, Packet};

use super::Target;
use super::heap;
use super::tab::Tab;

const SLOT: Slot = Slot { index: 0, generation: 1 };
const SSRC: u32 = 7;
const STEP: Duration = Duration::from_millis(10);
/// A page that is not through by then was kept from it.
const THROUGH: Duration = Duration::from_secs(5);
/// As often as an input comes where it is to fill the memory, and what it may fill: what a handshake may bring at most, and room around it.
const FLOOD: u64 = 1_000;
const MOST_KEPT: isize = 1 << 20;
/// Datagrams in answer to one.
const MOST_ANSWERS: usize = 8;

pub struct Datagrams(OnceLock<Arc<Identity>>);

impl Datagrams {
    pub const fn new() -> Datagrams {
        Datagrams(OnceLock::new())
    }

    fn identity(&self) -> &Arc<Identity> {
        self.0.get_or_init(|| Arc::new(Identity::new().unwrap_or_else(|e| panic!("{e}"))))
    }
}

fn page() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5_004))
}

fn stranger() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 66], 666))
}

/// Whose the input is.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Stranger,
    /// In the page's place.
    Forger,
    /// The page's own datagram, in which the input's first octets are mixed.
    Spoilt,
}

/// A page and the switch's end of its leg.
struct Call {
    tab: Tab,
    peers: Peers,
    now: Mono,
    /// What was sent and nobody has heard yet.
    out: Vec<(SocketAddr, Bytes)>,
    keys: Option<Pair>,
    broken: Option<Broken>,
    /// Datagrams that the page has sent.
    said: u64,
}

impl Call {
    fn new(identity: &Arc<Identity>) -> Call {
        let clock = System::start();
        let (tab, peer) = Tab::call(identity, clock, page(), Codec::Pcma, SSRC);
        let mut peers = Peers::new(identity.clone(), clock);
        peers.put(SLOT, LegId(1), Box::new(peer));
        Call { tab, peers, now: Mono::ZERO, out: Vec::new(), keys: None, broken: None, said: 0 }
    }

    fn is_through(&self) -> bool {
        self.tab.page.is_connected() && self.keys.is_some()
    }

    /// Goes on until the handshake is over, one way or the other. `strike` is asked before each datagram of the page.
    fn shake_hands(&mut self, mut strike: impl FnMut(&mut End<'_>, &[u8], u64, Mono)) {
        let Call { tab, peers, now, out, keys, broken, said } = self;
        let mut end = End { peers, out, keys, broken };
        while !(tab.page.is_connected() && end.keys.is_some()) && now.since(Mono::ZERO) < THROUGH {
            *now += STEP;
            let at = *now;
            tab.work(at, &mut |datagram| {
                match datagram {
                    Some(datagram) => {
                        strike(&mut end, datagram, *said, at);
                        *said += 1;
                        end.receive(page(), datagram, at);
                    }
                    None => {
                        for doings in end.peers.tick(at) {
                            end.carry_out(doings);
                        }
                    }
                }
                std::mem::take(end.out)
            });
        }
    }

    fn end(&mut self) -> End<'_> {
        End { peers: &mut self.peers, out: &mut self.out, keys: &mut self.keys, broken: &mut self.broken }
    }

    fn assert_both_hear(&mut self) {
        let Some(keys) = self.keys.clone() else { panic!("no keys") };
        let payload = [0x55; 160];
        let fields = Fields { marker: false, payload_type: Codec::Pcma.payload_type(), sequence: 1, timestamp: 160, ssrc: SSRC };
        let mut said = self.tab.say(fields, &payload, self.now);
        assert_eq!(self.peers.receive(SLOT, page(), &said, self.now), Some(Port::Rtp));
        let length = Inbound::new(&keys.theirs).rtp(&mut said).unwrap_or_else(|e| panic!("the page is not heard: {e}"));
        assert_eq!(Packet::parse(&said[..length]).map(|packet| packet.fields()).ok(), Some(fields));

        assert_eq!(self.peers.target(SLOT), Some(page()));
        let mut bytes = [[0; HEADER].as_slice(), &payload, &[0; GROWTH]].concat();
        let ours = Fields { ssrc: 9, ..fields };
        if let Some(header) = bytes.first_chunk_mut() {
            ours.write(header);
        }
        let length = Outbound::new(&keys.ours).rtp(&mut bytes, HEADER + payload.len()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(self.tab.hear(&bytes[..length], self.now), Some((ours, payload.to_vec())), "the page hears nothing");
    }
}

/// The switch's end alone.
struct End<'a> {
    peers: &'a mut Peers,
    out: &'a mut Vec<(SocketAddr, Bytes)>,
    keys: &'a mut Option<Pair>,
    broken: &'a mut Option<Broken>,
}

impl End<'_> {
    fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Mono) -> Option<Port> {
        let port = self.peers.receive(SLOT, from, datagram, now);
        if let Some(doings) = self.peers.doings(SLOT) {
            self.carry_out(doings);
        }
        port
    }

    fn carry_out(&mut self, doings: cordboard::media_engine::browser::Doings) {
        assert!(doings.send.iter().all(|(to, _)| *to == page()), "{:?}", doings.send);
        self.out.extend(doings.send);
        if doings.keys.is_some() {
            *self.keys = doings.keys;
        }
        if doings.broken.is_some() {
            *self.broken = doings.broken;
        }
    }

    /// The input comes so many times; whether it did anything.
    fn strike(&mut self, whose: Whose, input: &[u8], times: u64, now: Mono) -> bool {
        let (keyed, broken) = (self.keys.is_some(), *self.broken);
        let source = if whose == Whose::Stranger { stranger() } else { page() };
        let (before, mut acted) = (heap::live(), false);
        for _ in 0..times {
            let answers = self.out.len();
            let port = self.receive(source, input, now);
            let answered = self.out.len() - answers;
            acted |= answered > 0 || port.is_some() || *self.broken != broken;
            assert!(answered <= MOST_ANSWERS, "{answered} answers");
            assert!(port.is_none() || (keyed && whose != Whose::Stranger), "media without keys");
            // More than one is lost on its way.
            self.out.truncate(answers + if times == 1 { answered } else { 0 });
        }
        assert!(heap::live() - before < MOST_KEPT, "{} octets are kept", heap::live() - before);
        assert!(self.keys.is_some() == keyed || whose == Whose::Spoilt, "an input brought keys");
        assert!(whose != Whose::Stranger || !acted, "a stranger was answered or heard");
        assert!(!keyed || *self.broken == broken, "without keys a leg was ended: {:?}", self.broken);
        acted
    }
}

/// A handshake's records with one piece of a message each, and one record with as many as fit.
fn pieces() -> [Vec<u8>; 2] {
    let piece = |n: u8| [1, 0, 0, 0, 0, 0, 0, 0, n, 0, 0, 1];
    let record = |sequence: u8, body: &[u8]| {
        let length = (body.len() as u16).to_be_bytes();
        [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, sequence][..], &length, body].concat()
    };
    let all: Vec<u8> = (0..150).flat_map(piece).collect();
    [(0..60).flat_map(|n| record(n, &piece(n))).collect(), record(99, &all)]
}

impl Target for Datagrams {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        let mut call = Call::new(self.identity());
        call.shake_hands(|_, datagram, _, _| seeds.push(datagram.to_vec()));
        assert!(call.is_through());
        let fields = Fields { marker: false, payload_type: 8, sequence: 1, timestamp: 160, ssrc: SSRC };
        seeds.push(call.tab.say(fields, &[0x55; 160], call.now));
        seeds.extend(pieces());
        // Plain alerts: handshake_failure and close_notify; records of the epoch to come and of one beyond it; ChangeCipherSpec.
        let head = |kind: u8, epoch: u8| [kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9, 0];
        seeds.extend([&[2, 40][..], &[1, 0]].map(|alert| [&head(21, 0)[..], &[2], alert].concat()));
        seeds.extend([1, 2].map(|epoch| [&head(22, epoch)[..], &[40], &[epoch; 40]].concat()));
        seeds.push([&head(20, 0)[..], &[1, 1]].concat());
        seeds
    }

    /// Each is a handshake or two.
    fn cost(&self) -> u64 {
        64
    }

    fn run(&self, input: &[u8], chance: u64) -> bool {
        // Longer ones are not read from a socket.
        let input = &input[..input.len().min(2_048)];
        let whose = [Whose::Stranger, Whose::Forger, Whose::Spoilt][chance as usize % 3];
        // A page says fewer than ten datagrams until it is through.
        let place = (chance >> 8) % 12;
        let times = if (chance >> 16).is_multiple_of(16) { FLOOD } else { 1 + (chance >> 24) % 2 };
        let mut call = Call::new(self.identity());
        let mut acted = false;
        call.shake_hands(|end, datagram, said, now| {
            let spoilt = spoil(datagram, input, chance >> 32);
            let bytes = if whose == Whose::Spoilt { &spoilt } else { input };
            if said == place && bytes != datagram {
                acted = end.strike(whose, bytes, times, now);
            }
        });
        if call.is_through() {
            if call.said <= place {
                let now = call.now;
                acted = call.end().strike(whose, input, times, now);
            }
            assert_eq!(call.broken, None);
            call.assert_both_hear();
        } else {
            assert!(whose != Whose::Stranger, "a stranger has kept the page from its call");
            let mut call = Call::new(self.identity());
            call.shake_hands(|_, _, _, _| {});
            assert!(call.is_through(), "{:?}", call.broken);
        }
        acted || (input.get(1) == Some(&0xfe) && input.len() > 13)
    }
}

/// The first octets of the input are mixed into the page's datagram.
fn spoil(datagram: &[u8], input: &[u8], at: u64) -> Vec<u8> {
    let mut spoilt = datagram.to_vec();
    let length = spoilt.len().max(1);
    for (n, octet) in input.iter().take(8).enumerate() {
        if let Some(place) = spoilt.get_mut((at as usize % length + n) % length) {
            *place ^= octet;
        }
    }
    spoilt
}
