//! The ports of one worker: drawn at random, bound in pairs ahead of need, drained after a call.
//!
//! ```text
//! free ──bind──> leased ──Open──> open ──Close──> draining ──5 s──> closed, in quarantine ──10 s──> free
//!   └──in use by another program──> in quarantine
//! ```
//!
//! A port that a call has just left is still sent to by its peer. Draining, it is read to nothing; in quarantine it is closed, so that
//! the peer is told so; only then may another call have it. So no call inherits a stranger's sound.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::clock::Mono;
use crate::ids::LegId;
use crate::media::{Lease, Port, Slot};

use super::sys::{Inbox, Network};

/// Pairs that are bound and waiting, so that a call never waits for a socket: more than calls begin in the time that the core takes to
/// hear of new ones, besides those that are kept for emergency calls.
pub const AHEAD: usize = 48;
/// They are bound in bunches of so many, so that the core hears of new ones once in a few calls.
const BUNCH: usize = 8;
/// A closed leg's sockets read to nothing for this long: a peer stops sending within a round trip of its BYE.
pub const DRAIN: Duration = Duration::from_secs(5);
/// And their ports rest for this long more.
pub const QUARANTINE: Duration = Duration::from_secs(10);
/// Draining and resting are looked at this often, all that is due at once.
const ROUND: Duration = Duration::from_millis(500);
/// Bytes that a socket may hold: 200 ms of 50 packets a second are 10, and the kernel counts each as about 1 kB; the rest is room for
/// a stall of the thread.
const RECEIVE_BUFFER: usize = 128 * 1_024;
/// Datagrams that a lease is emptied of at most: its buffer holds fewer, and a flood must not hold up the thread.
const STALE: usize = 512;
/// Pairs that are tried at once when ports turn out to be in use by others.
const TRIES: usize = 16;

/// What a pair of sockets is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Leased,
    Open { slot: Slot, leg: LegId },
    Draining { until: Mono },
}

/// An even port for RTP and the odd one above for RTCP.
pub struct Pair {
    pub port: u16,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub used: Use,
    /// Under which its sockets are watched here.
    watch: Watch,
}

/// Names a pair among all that a worker has had: what still comes under an earlier one is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    index: u32,
    generation: u32,
}

impl Pair {
    pub fn socket(&self, port: Port) -> &UdpSocket {
        match port {
            Port::Rtp => &self.rtp,
            Port::Rtcp => &self.rtcp,
        }
    }

    fn unwatch(&self, network: &mut Network) {
        for kind in [Port::Rtp, Port::Rtcp] {
            network.unwatch(self.socket(kind), self.watch.token(kind));
        }
    }
}

/// Generations of watches; a token has 62 bits.
const GENERATIONS: u32 = 1 << 29;

impl Watch {
    /// Names one of the pair's sockets.
    fn token(self, port: Port) -> u64 {
        u64::from(self.generation % GENERATIONS) << 33 | u64::from(self.index) << 1 | u64::from(port == Port::Rtcp)
    }

    fn of_token(token: u64) -> (Watch, Port) {
        let port = if token & 1 == 0 { Port::Rtp } else { Port::Rtcp };
        (Watch { index: (token >> 1) as u32, generation: (token >> 33) as u32 }, port)
    }
}

/// All ports of one worker.
pub struct Ports {
    worker: u8,
    listen: IpAddr,
    free: Vec<u16>,
    resting: VecDeque<(Mono, u16)>,
    /// By index, which tokens hold.
    pairs: Vec<Option<Pair>>,
    generation: u32,
    empty: Vec<usize>,
    /// Pair of an open leg, by the index of its slot.
    by_slot: Vec<Option<usize>>,
    draining: VecDeque<(Mono, usize)>,
    leased: usize,
    chance: ChaCha8Rng,
}

impl Ports {
    /// Of all even ports whose odd one is in the range too, every `workers`th.
    pub fn new(worker: u8, workers: u8, listen: IpAddr, range: &RangeInclusive<u16>, seed: u64) -> Ports {
        let even = range.clone().filter(|p| p % 2 == 0 && *p < *range.end());
        let free = even.skip(usize::from(worker)).step_by(usize::from(workers.max(1))).collect();
        Ports {
            worker,
            listen,
            free,
            resting: VecDeque::new(),
            pairs: Vec::new(),
            generation: 0,
            empty: Vec::new(),
            by_slot: Vec::new(),
            draining: VecDeque::new(),
            leased: 0,
            chance: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub fn worker(&self) -> u8 {
        self.worker
    }

    /// The range has no pair for this worker.
    pub fn is_empty(&self) -> bool {
        self.free.is_empty() && self.resting.is_empty() && self.pairs.is_empty()
    }

    /// Binds pairs, if a bunch of them is missing, until enough are ahead or none is free; the new leases. The error is of the last pair
    /// that could not be bound, for a start that gets none at all.
    pub fn replenish(&mut self, now: Mono) -> (Vec<Lease>, Option<io::Error>) {
        let (mut leases, mut error, mut tries) = (Vec::new(), None, 0);
        if !self.are_wanted() {
            return (leases, error);
        }
        while self.leased < AHEAD && !self.free.is_empty() && tries < TRIES {
            let at = self.chance.next_u32() as usize % self.free.len();
            let port = self.free.swap_remove(at);
            match bind(self.listen, port) {
                Ok((rtp, rtcp)) => {
                    self.put(Pair { port, rtp, rtcp, used: Use::Leased, watch: Watch::default() });
                    self.leased += 1;
                    leases.push(Lease { worker: self.worker, port });
                }
                Err(e) => {
                    error = Some(e);
                    tries += 1;
                    self.resting.push_back((now + QUARANTINE, port));
                }
            }
        }
        (leases, error)
    }

    fn are_wanted(&self) -> bool {
        self.leased + BUNCH <= AHEAD
    }

    fn put(&mut self, mut pair: Pair) -> usize {
        let index = self.empty.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            self.pairs.len() - 1
        });
        self.generation = (self.generation + 1) % GENERATIONS;
        pair.watch = Watch { index: index as u32, generation: self.generation };
        self.pairs[index] = Some(pair);
        index
    }

    /// A leg takes its lease. What strangers have sent there meanwhile is thrown away.
    pub fn open(&mut self, port: u16, slot: Slot, leg: LegId, network: &mut Network, inbox: &mut Inbox) -> io::Result<()> {
        let leased = |p: &Option<Pair>| p.as_ref().is_some_and(|p| p.port == port && p.used == Use::Leased);
        let index = self.pairs.iter().position(leased).ok_or(io::ErrorKind::NotFound)?;
        let Some(pair) = &mut self.pairs[index] else { return Err(io::ErrorKind::NotFound.into()) };
        for kind in [Port::Rtp, Port::Rtcp] {
            let _ = (0..STALE).take_while(|_| inbox.receive(pair.socket(kind).as_fd())).count();
            network.watch(pair.socket(kind), pair.watch.token(kind))?;
        }
        pair.used = Use::Open { slot, leg };
        self.leased -= 1;
        self.belongs(slot, index);
        Ok(())
    }

    /// A leg has ended.
    pub fn drain(&mut self, slot: Slot, now: Mono) {
        let Some(index) = self.by_slot.get_mut(slot.index as usize).and_then(Option::take) else { return };
        if let Some(pair) = self.pairs.get_mut(index).and_then(Option::as_mut) {
            pair.used = Use::Draining { until: now + DRAIN };
            self.draining.push_back((now + DRAIN, index));
        }
    }

    /// Sockets that have no leg.
    pub fn drain_pair(&mut self, mut pair: Pair, now: Mono) {
        pair.used = Use::Draining { until: now + DRAIN };
        let index = self.put(pair);
        self.draining.push_back((now + DRAIN, index));
    }

    /// No more is read of an open leg's sockets; what has come can still be asked for.
    pub fn unwatch(&self, slot: Slot, network: &mut Network) {
        if let Some(pair) = self.of_slot(slot) {
            pair.unwatch(network);
        }
    }

    /// An open leg's sockets, which nobody watches any more, for another worker: its port is that worker's from here on.
    pub fn take(&mut self, slot: Slot) -> Option<Pair> {
        let index = self.by_slot.get_mut(slot.index as usize).and_then(Option::take)?;
        let pair = self.pairs.get_mut(index).and_then(Option::take)?;
        self.empty.push(index);
        Some(pair)
    }

    /// Sockets that another worker has handed over.
    pub fn adopt(&mut self, mut pair: Pair, slot: Slot, leg: LegId, network: &mut Network) -> io::Result<()> {
        pair.used = Use::Open { slot, leg };
        let index = self.put(pair);
        self.belongs(slot, index);
        let Some(pair) = self.pair(index) else { return Err(io::ErrorKind::NotFound.into()) };
        [Port::Rtp, Port::Rtcp].into_iter().try_for_each(|kind| network.watch(pair.socket(kind), pair.watch.token(kind)))
    }

    fn belongs(&mut self, slot: Slot, index: usize) {
        let at = slot.index as usize;
        if self.by_slot.len() <= at {
            self.by_slot.resize(at + 1, None);
        }
        self.by_slot[at] = Some(index);
    }

    /// Closes what has drained and frees what has rested. `true`: there are free ports again, and some are wanted.
    pub fn tick(&mut self, now: Mono, network: &mut Network) -> bool {
        while let Some((at, index)) = self.draining.front().copied()
            && at <= now
        {
            self.draining.pop_front();
            if let Some(pair) = self.pairs.get_mut(index).and_then(Option::take) {
                pair.unwatch(network);
                self.resting.push_back((now + QUARANTINE, pair.port));
                self.empty.push(index);
            }
        }
        let before = self.free.len();
        while let Some((at, port)) = self.resting.front().copied()
            && at <= now
        {
            self.resting.pop_front();
            self.free.push(port);
        }
        self.free.len() > before && self.are_wanted()
    }

    pub fn deadline(&self) -> Option<Mono> {
        let drained = self.draining.front().map(|(at, _)| *at);
        let rested = self.resting.front().map(|(at, _)| *at);
        let round = ROUND.as_micros() as u64;
        [drained, rested].into_iter().flatten().min().map(|at| Mono::from_micros(at.as_micros().div_ceil(round) * round))
    }

    fn pair(&self, index: usize) -> Option<&Pair> {
        self.pairs.get(index)?.as_ref()
    }

    /// The socket that is watched under this token.
    pub fn of_token(&self, token: u64) -> Option<(&Pair, Port)> {
        let (watch, port) = Watch::of_token(token);
        let pair = self.pair(watch.index as usize).filter(|pair| pair.watch == watch)?;
        Some((pair, port))
    }

    /// The sockets of an open leg.
    pub fn of_slot(&self, slot: Slot) -> Option<&Pair> {
        self.pair((*self.by_slot.get(slot.index as usize)?)?)
    }
}

fn bind(listen: IpAddr, port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
    let one = |port| -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::new(listen, port))?;
        socket.set_nonblocking(true)?;
        // A smaller buffer than asked for is no reason to refuse calls.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        Ok(socket)
    };
    Ok((one(port)?, one(port + 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn workers_share_the_range_without_overlap() {
        let ports = |worker| {
            let mut p = Ports::new(worker, 3, LOCAL, &(30_001..=30_013), 1).free;
            p.sort_unstable();
            p
        };
        assert_eq!((ports(0), ports(1), ports(2)), (vec![30_002, 30_008], vec![30_004, 30_010], vec![30_006, 30_012]));
    }

    #[test]
    fn a_port_drains_and_rests_before_it_is_leased_again() {
        let range = 31_500..=31_503;
        let mut ports = Ports::new(0, 1, LOCAL, &range, 1);
        let (mut network, mut inbox) = (Network::epoll().unwrap(), Inbox::new());
        let (leases, error) = ports.replenish(Mono::ZERO);
        assert!(leases.len() == 2 && error.is_none(), "{error:?}");
        let (slot, leg) = (Slot { index: 3, generation: 1 }, LegId(1));
        let port = leases[0].port;
        // What came before the leg is thrown away.
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"early", (LOCAL, port)).unwrap();
        ports.open(port, slot, leg, &mut network, &mut inbox).unwrap();
        assert!(ports.open(port, slot, leg, &mut network, &mut inbox).is_err());
        network.wait(Duration::ZERO);
        assert_eq!(network.next(&mut inbox), None);
        stranger.send_to(b"now", (LOCAL, port + 1)).unwrap();
        network.wait(Duration::from_secs(5));
        let token = network.next(&mut inbox).unwrap();
        assert!(ports.of_token(token).is_some_and(|(pair, kind)| (pair.port, kind) == (port, Port::Rtcp)));
        assert!(ports.of_token(token ^ 1 << 33).is_none(), "of an earlier pair in its place");
        assert_eq!(ports.of_slot(slot).unwrap().used, Use::Open { slot, leg });
        ports.drain(slot, Mono::ZERO);
        assert!(ports.of_slot(slot).is_none());
        assert!(ports.replenish(Mono::ZERO).0.is_empty(), "the other one is leased, this one drains");
        assert!(!ports.tick(Mono::from_millis(4_999), &mut network));
        assert!(UdpSocket::bind((LOCAL, port)).is_err());
        ports.tick(Mono::from_millis(5_000), &mut network);
        assert!(UdpSocket::bind((LOCAL, port)).is_ok());
        assert!(!ports.tick(Mono::from_millis(14_999), &mut network) && ports.tick(Mono::from_millis(15_000), &mut network));
        assert_eq!(ports.replenish(Mono::from_millis(15_000)).0, [Lease { worker: 0, port }]);
    }

    #[test]
    fn a_port_that_another_program_has_is_passed_over() {
        let taken = UdpSocket::bind((LOCAL, 31_601)).unwrap();
        let mut ports = Ports::new(0, 1, LOCAL, &(31_600..=31_603), 1);
        let (leases, _) = ports.replenish(Mono::ZERO);
        assert_eq!(leases, [Lease { worker: 0, port: 31_602 }]);
        drop(taken);
        assert!(ports.tick(Mono::from_millis(10_000), &mut Network::epoll().unwrap()));
        assert_eq!(ports.replenish(Mono::from_millis(10_000)).0.len(), 1);
    }
}
