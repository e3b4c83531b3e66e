//! One worker's thread: a loop around a [`media::Worker`].
//!
//! Each round: wait for datagrams, a command or a deadline; receive, relay and answer; carry out commands; do what is due. The worker
//! decides everything; the thread only owns sockets and calls. A panic over a datagram, a command or a timer ends the leg that it was for
//! (reported dead), and no other.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

use crate::clock::{Mono, System};
use crate::ids::{LegId, RecordingId};
use crate::media::{Clip, ClipName, Clips, Command, Datagram, Forward, Frame, Moving, Port, Quality, Report, Sink, Slot, Worker};

use super::browser::{BROWSER, Doings, Peer, Peers};
use super::ports::{Pair, Ports, Use};
use super::sys::{Inbox, Network, Tally, Wake};
use super::{Counters, Outlets, Share};

/// Deadlines are met to this, so that what is due within one millisecond is done in one round.
const ROUND_US: u64 = 1_000;
/// Datagrams of one round; what is left is the next one's, after orders and timers.
const IN_A_ROUND: usize = 128;
/// Phones send as often; a thread that comes round less often has more of a socket to read than a round takes.
const ROUND_AT_LEAST: Duration = Duration::from_millis(20);
/// How often a thread that records comes round, whatever comes: the recorder waits for what it has not read.
const ROUND_WHILE_RECORDING: Duration = Duration::from_millis(40);
/// Rounds that came in time for so long have read each socket many times, though one is flooded and never dry.
const IN_TIME: Duration = Duration::from_millis(500);
/// Orders wait so long at most for what came before them to be read.
const ORDERS_WAIT: Duration = Duration::from_millis(200);
/// How often a recorder that is too slow is told of.
const OVERFLOW_EVERY: Duration = Duration::from_secs(1);
/// A leg that another thread has no room for is offered to it again for so long, and so often; then it ends here, with its port.
const OFFERED_FOR: Duration = Duration::from_secs(2);
const OFFERED_EVERY: Duration = Duration::from_millis(10);

/// What the engine tells a thread, or one thread another.
#[allow(clippy::large_enum_variant, reason = "nearly all of them are commands")]
pub enum Order {
    Command(Command),
    Clips(Clips),
    /// A sound for one leg.
    Bring(LegId, ClipName, Arc<Clip>),
    /// A leg of another worker with its sockets, and what is below its RTP where it is a browser.
    Adopt(Moving, Pair, Option<Box<Peer>>),
    /// The leg that was to come has ended before.
    ExpectNoMore(LegId),
}

/// Another worker's thread.
pub struct Neighbour {
    pub orders: SyncSender<Order>,
    pub wake: Arc<Wake>,
}

pub struct WorkerThread<O: Outlets> {
    pub worker: Worker,
    pub clips: Clips,
    pub clock: System,
    pub orders: Receiver<Order>,
    pub wake: Arc<Wake>,
    /// All workers' threads by number, this one among them.
    pub neighbours: Arc<[Neighbour]>,
    pub doors: Doors<O>,
    pub inbox: Inbox,
    /// What other threads had no room for. As many as legs are moved by in [`OFFERED_FOR`].
    pub offered: VecDeque<Offered>,
    pub lag: Lag,
    /// Orders may be there.
    pub is_told: bool,
}

/// What the recorder is told of a thread that runs no more: nothing of it is to be waited for.
struct Gone<O: Outlets>(O, u8);

impl<O: Outlets> Drop for Gone<O> {
    fn drop(&mut self) {
        self.0.read_until(self.1, None);
    }
}

/// Whether datagrams wait that this thread has not read.
///
/// Each round reads a datagram of each socket that has one, so a thread that comes round more often than they are sent leaves none. One that
/// was kept from it (by a long round, or the whole machine stood still) has to find nothing in all sockets once, to know.
#[derive(Debug)]
pub struct Lag {
    last_round: Mono,
    /// It has been late, or had more to read than a round takes, and found something in each round since.
    is_late: bool,
    /// When it turned out so.
    late_since: Mono,
    /// When it last was.
    late_at: Mono,
    read_until: Mono,
}

impl Lag {
    pub fn new(now: Mono) -> Lag {
        Lag { last_round: now, is_late: false, late_since: now, late_at: now, read_until: now }
    }

    /// A round begins at `now`.
    fn begin(&mut self, now: Mono) {
        let is_late = now.since(self.last_round) > ROUND_AT_LEAST;
        self.last_round = now;
        if is_late {
            self.late();
        }
    }

    /// All that the round's wait has brought is read: so many datagrams.
    fn read_all(&mut self, datagrams: usize) {
        // In the round in which it turned out to be late the wait may have ended without a look at the sockets: a process that was stopped
        // comes back from it interrupted.
        let is_first = self.late_at == self.last_round;
        let is_dry = datagrams == 0 || self.last_round.since(self.late_at) > IN_TIME;
        self.is_late &= is_first || !is_dry;
        if !self.is_late {
            self.read_until = self.last_round;
        }
    }

    /// There was more than is read in a round.
    fn read_some(&mut self) {
        self.late();
    }

    fn late(&mut self) {
        if !self.is_late {
            self.late_since = self.last_round;
        }
        self.is_late = true;
        self.late_at = self.last_round;
    }

    /// What came before an order that is there now may be unread.
    fn is_behind_orders(&self) -> bool {
        self.is_late && self.last_round.since(self.late_since) <= ORDERS_WAIT
    }
}

/// An order that another thread has not taken yet.
pub struct Offered {
    to: u8,
    order: Order,
    until: Mono,
}

/// The worker's [`Sink`]: sockets and outlets.
pub struct Doors<O: Outlets> {
    /// Goes before the sockets of the ports, which it has requests for.
    pub network: Network,
    pub ports: Ports,
    pub outlets: O,
    pub counters: Arc<Counters>,
    /// Frames that the recorder did not take, by recording, since the last report.
    pub overflow: BTreeMap<RecordingId, Tapped>,
    pub peers: Peers,
}

/// A recording that is under way.
pub struct Tapped {
    pub leg: LegId,
    pub dropped: u64,
}

impl<O: Outlets> Sink for Doors<O> {
    fn send(&mut self, slot: Slot, _leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]) {
        self.put(slot, port, to, datagram);
    }

    fn tap(&mut self, frame: Frame) {
        let recording = frame.recording;
        if !self.outlets.tap(frame) {
            self.counters.tap_dropped.fetch_add(1, Relaxed);
            if let Some(tapped) = self.overflow.get_mut(&recording) {
                tapped.dropped += 1;
            }
        }
    }

    fn report(&mut self, report: Report) {
        self.outlets.report(report);
    }
}

impl<O: Outlets> Doors<O> {
    /// Sends what a leg is to hear or to be told: to a browser where ICE says, from the one port that it knows.
    fn put(&mut self, slot: Slot, port: Port, to: SocketAddr, datagram: &[u8]) {
        if !self.peers.has(slot) {
            self.send_from(slot, port, to, datagram);
        } else if let Some(to) = self.peers.target(slot) {
            self.send_from(slot, Port::Rtp, to, datagram);
        }
    }

    fn carry_out(&mut self, worker: &mut Worker, doings: Doings) {
        let Doings { slot, leg, send, keys, broken } = doings;
        if let Some(keys) = keys {
            worker.key(slot, keys);
        }
        for (to, bytes) in send {
            self.send_from(slot, Port::Rtp, to, &bytes);
        }
        if let Some(why) = broken {
            self.outlets.report(Report::Broken { leg, why });
        }
    }

    /// Sends from a leg's socket. What the kernel has no room for is lost, as on any network, and counted.
    fn send_from(&mut self, slot: Slot, port: Port, to: SocketAddr, datagram: &[u8]) {
        if let Some(pair) = self.ports.of_slot(slot) {
            self.network.send(pair.socket(port).as_fd(), to, datagram);
        }
    }

    fn count_sent(&mut self) {
        let Tally { sent, dropped } = self.network.tally();
        self.counters.sent.fetch_add(sent, Relaxed);
        self.counters.send_dropped.fetch_add(dropped, Relaxed);
    }

    pub fn replenish(&mut self, now: Mono) {
        let (leases, error) = self.ports.replenish(now);
        if let Some(error) = error {
            tracing::debug!(%error, "a media port is in use by another program");
        }
        if !leases.is_empty() {
            self.outlets.leases(leases);
        }
    }

    fn report_overflow(&mut self) {
        for (recording, tapped) in &mut self.overflow {
            let frames = std::mem::take(&mut tapped.dropped);
            if frames > 0 {
                self.outlets.report(Report::TapOverflow { leg: tapped.leg, recording: *recording, frames });
            }
        }
    }

    fn untap(&mut self, leg: LegId) {
        self.report_overflow();
        self.overflow.retain(|_, t| t.leg != leg);
    }
}

impl<O: Outlets> WorkerThread<O> {
    /// Runs until the engine is gone.
    pub fn run(mut self) {
        if let Err(error) = self.doors.network.begin(&self.wake) {
            tracing::error!(%error, "a media worker cannot begin");
            return;
        }
        let _gone = Gone(self.doors.outlets.clone(), self.doors.ports.worker());
        let mut overflow_at = self.clock.mono() + OVERFLOW_EVERY;
        loop {
            let timeout = self.timeout(overflow_at);
            self.doors.network.wait(timeout);
            let now = self.clock.mono();
            if let Some(share) = self.share() {
                share.beat.store(now.as_micros(), Relaxed);
            }
            self.lag.begin(now);
            self.receive_some(now);
            if self.doors.network.woken() {
                self.wake.clear();
                if self.doors.counters.stop.load(Relaxed) {
                    return;
                }
                self.is_told = true;
            }
            // What came before the end of a recording is of the recording.
            let recording = !self.doors.overflow.is_empty();
            if self.is_told && !(recording && self.lag.is_behind_orders()) {
                self.is_told = false;
                self.take_orders(now);
            }
            self.offer_again(now);
            let recording = !self.doors.overflow.is_empty();
            self.doors.outlets.read_until(self.doors.ports.worker(), recording.then_some(self.lag.read_until));
            let (worker, doors) = (&mut self.worker, &mut self.doors);
            if catch_unwind(AssertUnwindSafe(|| worker.tick(now, doors))).is_err() {
                // The timer that did it is out of the heap, so the others go on with the next round.
                match self.worker.interrupted() {
                    Some(leg) => self.evict(leg, now),
                    None => drop(self.doors.counters.panics.fetch_add(1, Relaxed)),
                }
            }
            for doings in self.doors.peers.tick(now) {
                self.doors.carry_out(&mut self.worker, doings);
            }
            let Doors { ports, network, .. } = &mut self.doors;
            if ports.tick(now, network) {
                self.doors.replenish(now);
            }
            self.doors.count_sent();
            if now >= overflow_at {
                self.doors.report_overflow();
                self.doors.outlets.again();
                overflow_at = now + OVERFLOW_EVERY;
            }
        }
    }

    fn timeout(&self, overflow_at: Mono) -> Duration {
        let due = [self.worker.deadline(), self.doors.ports.deadline(), self.doors.peers.deadline(), Some(overflow_at)];
        let next = due.into_iter().flatten().min().unwrap_or(overflow_at);
        let rounded = Mono::from_micros(next.as_micros().div_ceil(ROUND_US) * ROUND_US);
        let mut idle = rounded.since(self.clock.mono());
        if !self.offered.is_empty() {
            idle = idle.min(OFFERED_EVERY);
        }
        if !self.doors.overflow.is_empty() {
            idle = if self.lag.is_late { Duration::ZERO } else { idle.min(ROUND_WHILE_RECORDING) };
        }
        idle
    }

    fn take_orders(&mut self, now: Mono) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Command(command) => self.obey(command, now),
                Order::Clips(clips) => self.clips = clips,
                Order::Bring(leg, name, clip) => self.worker.bring(leg, name, clip),
                Order::Adopt(moving, pair, peer) => self.adopt(moving, pair, peer, now),
                Order::ExpectNoMore(leg) => self.worker.expect_no_more(leg),
            }
        }
    }

    /// The leg goes on in another thread.
    fn hand_over(&mut self, leg: LegId, to: u8, now: Mono) {
        if usize::from(to) == usize::from(self.doors.ports.worker()) {
            return;
        }
        let slot = self.worker.slot(leg);
        if let Some(slot) = slot {
            self.doors.ports.unwatch(slot, &mut self.doors.network);
            // What has come goes by this worker.
            self.receive_all(now);
        }
        let pair = slot.and_then(|slot| self.doors.ports.take(slot));
        let peer = slot.and_then(|slot| self.doors.peers.take(slot));
        self.doors.untap(leg);
        let order = match (self.worker.hand_over(leg, now), pair) {
            (Some(moving), Some(pair)) => Order::Adopt(moving, pair, peer),
            _ => Order::ExpectNoMore(leg),
        };
        self.offer(Offered { to, order, until: now + OFFERED_FOR }, now);
        self.count_legs();
    }

    /// Gives it to the thread, or keeps it for later.
    fn offer(&mut self, offered: Offered, now: Mono) {
        let Offered { to, order, until } = offered;
        let refused = match self.neighbours.get(usize::from(to)) {
            Some(neighbour) => {
                let refused = neighbour.orders.try_send(order).err();
                neighbour.wake.wake();
                refused.map(|(TrySendError::Full(order) | TrySendError::Disconnected(order))| order)
            }
            None => Some(order),
        };
        match refused {
            None => {}
            Some(order) if until > now => self.offered.push_back(Offered { to, order, until }),
            Some(Order::Adopt(moving, pair, peer)) => self.keep(moving, pair, peer, to, now),
            // What waits for the leg there gives up by itself.
            Some(_) => {}
        }
    }

    fn offer_again(&mut self, now: Mono) {
        for offered in std::mem::take(&mut self.offered) {
            self.offer(offered, now);
        }
    }

    /// The other thread is stuck: the leg ends where it was, so that its port is drained and leased again.
    fn keep(&mut self, moving: Moving, pair: Pair, peer: Option<Box<Peer>>, to: u8, now: Mono) {
        let leg = moving.leg();
        tracing::error!(%leg, to, "a media worker does not take a leg");
        match self.worker.adopt(moving, now) {
            Some(slot) => {
                if let Some(peer) = peer {
                    self.doors.peers.put(slot, leg, peer);
                }
                // What can't be watched any more is drained all the same.
                drop(self.doors.ports.adopt(pair, slot, leg, &mut self.doors.network));
            }
            None => self.doors.ports.drain_pair(pair, now),
        }
        self.evict(leg, now);
    }

    fn adopt(&mut self, moving: Moving, pair: Pair, peer: Option<Box<Peer>>, now: Mono) {
        let leg = moving.leg();
        if let Some(recording) = moving.recording() {
            self.doors.overflow.insert(recording, Tapped { leg, dropped: 0 });
            // Its socket comes with what waits in it.
            self.lag.read_some();
        }
        let slot = self.worker.adopt(moving, now);
        if let (Some(slot), Some(peer)) = (slot, peer) {
            self.doors.peers.put(slot, leg, peer);
        }
        let opened = match slot {
            Some(slot) => self.doors.ports.adopt(pair, slot, leg, &mut self.doors.network),
            None => {
                self.doors.ports.drain_pair(pair, now);
                Err(std::io::ErrorKind::NotFound.into())
            }
        };
        if let Err(error) = opened {
            tracing::error!(%leg, %error, "a leg's port cannot be taken over");
            self.evict(leg, now);
        }
        for command in self.worker.arrived(leg) {
            self.obey(command, now);
        }
        self.count_legs();
    }

    fn obey(&mut self, mut command: Command, now: Mono) {
        let leg = command.leg();
        if let Command::HandOver { to, .. } = command
            && !self.worker.expects(leg)
        {
            return self.hand_over(leg, to, now);
        }
        let closing = self.worker.slot(leg).filter(|_| matches!(command, Command::Close { .. } | Command::Open { .. }));
        let opening = match &command {
            Command::Open { lease, .. } => Some(lease.port),
            Command::Tap { recording, .. } => {
                self.doors.overflow.insert(*recording, Tapped { leg, dropped: 0 });
                None
            }
            Command::Untap { .. } | Command::Close { .. } => {
                self.doors.untap(leg);
                None
            }
            Command::Agree { .. }
            | Command::Hear { .. }
            | Command::Listen { .. }
            | Command::Press { .. }
            | Command::Trickle { .. }
            | Command::HandOver { .. }
            | Command::Expect { .. } => None,
        };
        let (worker, clips, doors) = (&mut self.worker, &self.clips, &mut self.doors);
        let carried_out = catch_unwind(AssertUnwindSafe(|| {
            // One that is expected from elsewhere is told when it is here.
            match (&mut command, worker.slot(leg)) {
                (Command::Agree { session, .. }, Some(slot)) => doors.peers.agree(slot, leg, session, now),
                (Command::Trickle { candidates, .. }, Some(slot)) => doors.peers.trickle(slot, candidates, now),
                _ => {}
            }
            let slot = worker.slot(leg);
            worker.handle(command, clips, now, doors);
            if let Some(doings) = slot.and_then(|slot| doors.peers.doings(slot)) {
                doors.carry_out(worker, doings);
            }
        }));
        if carried_out.is_err() {
            self.evict(leg, now);
        }
        if let Some(slot) = closing {
            self.part(slot, now);
        }
        if let Some(port) = opening {
            self.open(leg, port, now);
        }
        self.count_legs();
    }

    /// A leg that is gone: a browser is told, and its port drains.
    fn part(&mut self, slot: Slot, now: Mono) {
        let doors = &mut self.doors;
        if let Ok(Some(doings)) = catch_unwind(AssertUnwindSafe(|| doors.peers.close(slot, now))) {
            doors.carry_out(&mut self.worker, doings);
        }
        doors.ports.drain(slot, now);
    }

    fn count_legs(&self) {
        if let Some(share) = self.share() {
            share.legs.store(self.worker.legs() as u64, Relaxed);
        }
    }

    fn share(&self) -> Option<&Share> {
        self.doors.counters.workers.get(usize::from(self.doors.ports.worker()))
    }

    fn open(&mut self, leg: LegId, port: u16, now: Mono) {
        let Some(slot) = self.worker.slot(leg) else { return };
        if let Err(error) = self.doors.ports.open(port, slot, leg, &mut self.doors.network, &mut self.inbox) {
            tracing::error!(%leg, port, %error, "a leg's port cannot be opened");
            self.evict(leg, now);
        }
        self.doors.replenish(now);
    }

    /// Of what has come, as much as keeps nobody waiting for his timer.
    fn receive_some(&mut self, now: Mono) {
        for nth in 0..IN_A_ROUND {
            match self.doors.network.next(&mut self.inbox) {
                Some(token) => self.receive(token, now),
                None if self.doors.network.has_more() => break,
                None => return self.lag.read_all(nth),
            }
        }
        self.lag.read_some();
    }

    fn receive_all(&mut self, now: Mono) {
        while let Some(token) = self.doors.network.next(&mut self.inbox) {
            self.receive(token, now);
        }
    }

    /// One datagram of a socket; if there are more, they come behind those that wait already.
    fn receive(&mut self, token: u64, now: Mono) {
        let Some((pair, port)) = self.doors.ports.of_token(token) else { return };
        if !self.doors.network.read(pair.socket(port), &mut self.inbox) {
            return;
        }
        // Others are read to nothing.
        let Use::Open { slot, leg } = pair.used else { return };
        self.doors.counters.received.fetch_add(1, Relaxed);
        let (worker, doors) = (&mut self.worker, &mut self.doors);
        let Some((from, datagram)) = self.inbox.get() else { return };
        let taken = catch_unwind(AssertUnwindSafe(|| match doors.peers.has(slot) {
            true => hear(worker, doors, slot, port, (from, datagram), now),
            false => worker.receive(slot, port, from, datagram, now, doors),
        }));
        match taken {
            Ok(Some(forward)) => doors.put(forward.slot, Port::Rtp, forward.to, self.inbox.part(forward.start, forward.len)),
            Ok(None) => {}
            Err(_) => self.evict(leg, now),
        }
    }

    /// Ends a leg that cannot go on.
    fn evict(&mut self, leg: LegId, now: Mono) {
        self.doors.counters.panics.fetch_add(1, Relaxed);
        let slot = self.worker.slot(leg);
        let (worker, doors) = (&mut self.worker, &mut self.doors);
        if catch_unwind(AssertUnwindSafe(|| worker.evict(leg, now, doors))).is_err() || slot.is_none() {
            self.doors.report(Report::Dead { leg });
            self.doors.report(Report::Closed { leg, quality: Quality::default() });
        }
        if let Some(slot) = slot {
            self.part(slot, now);
        }
        self.doors.untap(leg);
        self.count_legs();
    }
}

/// A datagram on a browser's port. Nobody but a stranger sends to the port that would be RTCP's.
fn hear<O: Outlets>(
    worker: &mut Worker,
    doors: &mut Doors<O>,
    slot: Slot,
    port: Port,
    (from, datagram): (SocketAddr, Datagram<'_>),
    now: Mono,
) -> Option<Forward> {
    if port == Port::Rtcp {
        return None;
    }
    match doors.peers.receive(slot, from, datagram.buffer.get(..datagram.length)?, now) {
        Some(port) => worker.receive(slot, port, BROWSER, datagram, now, doors),
        None => {
            let doings = doors.peers.doings(slot)?;
            doors.carry_out(worker, doings);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::media::{Lease, Settings};
    use crate::media_engine::browser::Identity;
    use crate::media_engine::ports::{DRAIN, QUARANTINE};

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[derive(Clone, Default)]
    struct Outs(Arc<Mutex<RefCell<Vec<Report>>>>);

    impl Outlets for Outs {
        fn report(&self, report: Report) {
            self.0.lock().unwrap().borrow_mut().push(report);
        }

        fn leases(&self, _: Vec<Lease>) {}

        fn tap(&self, _: Frame) -> bool {
            true
        }
    }

    /// Two workers' threads that do not run: what the first one gives the second waits in a queue with room for one.
    fn pair(range: std::ops::RangeInclusive<u16>) -> [WorkerThread<Outs>; 2] {
        let mut inlets = Vec::new();
        let mut neighbours = Vec::new();
        for _ in 0..2 {
            let (orders, inlet) = sync_channel(1);
            let wake = Arc::new(Wake::new().unwrap());
            inlets.push((inlet, wake.clone()));
            neighbours.push(Neighbour { orders, wake });
        }
        let neighbours: Arc<[Neighbour]> = neighbours.into();
        let identity = Arc::new(Identity::new().unwrap());
        let counters = Arc::new(Counters::default());
        let mut inlets = inlets.into_iter();
        [0, 1].map(|worker| {
            let (orders, wake) = inlets.next().unwrap();
            let mut ports = Ports::new(worker, 2, LOCAL, &range, 1);
            ports.replenish(Mono::ZERO);
            let settings = Settings {
                missing_after: Duration::from_secs(3),
                dead_after: Duration::from_secs(30),
                country: *b"DE",
                degraded_below: 3.6,
                seed: 1,
            };
            let counters = counters.clone();
            let clock = System::start();
            let peers = Peers::new(identity.clone(), clock);
            WorkerThread {
                worker: Worker::new(settings),
                clips: Clips::new(BTreeMap::new(), None),
                clock,
                orders,
                wake,
                neighbours: neighbours.clone(),
                doors: Doors {
                    ports,
                    network: Network::epoll().unwrap(),
                    outlets: Outs::default(),
                    counters,
                    overflow: BTreeMap::new(),
                    peers,
                },
                inbox: Inbox::new(),
                offered: VecDeque::new(),
                lag: Lag::new(Mono::ZERO),
                is_told: false,
            }
        })
    }

    #[test]
    fn a_thread_that_was_kept_from_its_sockets_has_to_find_them_empty_once() {
        let at = Mono::from_millis;
        let mut lag = Lag::new(at(100));
        lag.begin(at(110));
        lag.read_all(3);
        assert_eq!((lag.read_until, lag.is_late), (at(110), false));
        // The process is stopped, and its wait is interrupted.
        lag.begin(at(400));
        lag.read_all(0);
        assert_eq!((lag.read_until, lag.is_late), (at(110), true));
        // Of each socket one datagram is read, and more may wait.
        lag.begin(at(401));
        lag.read_all(3);
        lag.begin(at(401));
        lag.read_some();
        lag.begin(at(402));
        lag.read_all(1);
        assert_eq!((lag.read_until, lag.is_late), (at(110), true));
        lag.begin(at(403));
        lag.read_all(0);
        assert_eq!((lag.read_until, lag.is_late), (at(403), false));
        lag.begin(at(404));
        lag.read_all(2);
        assert_eq!(lag.read_until, at(404));
        // More than a round takes.
        lag.begin(at(405));
        lag.read_some();
        lag.begin(at(406));
        lag.read_all(9);
        assert_eq!((lag.read_until, lag.is_behind_orders()), (at(404), true));
        // One socket is never dry, and orders wait for it no longer than for any.
        for ms in 407..900 {
            lag.begin(at(ms));
            lag.read_all(9);
        }
        assert_eq!((lag.read_until, lag.is_late, lag.is_behind_orders()), (at(404), true, false));
        for ms in 900..910 {
            lag.begin(at(ms));
            lag.read_all(9);
        }
        assert_eq!((lag.read_until, lag.is_late), (at(909), false), "its neighbours' time goes on");
    }

    /// The port pair is bound by somebody.
    fn is_bound(port: u16) -> bool {
        UdpSocket::bind((LOCAL, port)).is_err()
    }

    #[test]
    fn a_leg_that_another_thread_has_no_room_for_goes_there_when_it_has() {
        let [mut first, mut second] = pair(33_900..=33_903);
        let (leg, port, now) = (LegId(1), 33_900, Mono::ZERO);
        first.obey(Command::Open { leg, lease: Lease { worker: 0, port } }, now);
        second.obey(Command::Expect { leg }, now);
        first.neighbours[1].orders.try_send(Order::Clips(Clips::new(BTreeMap::new(), None))).ok().unwrap();
        first.obey(Command::HandOver { leg, to: 1 }, now);
        assert_eq!((first.offered.len(), first.worker.legs()), (1, 0));
        first.offer_again(now + OFFERED_EVERY);
        assert_eq!(first.offered.len(), 1);
        second.take_orders(now + OFFERED_EVERY);
        first.offer_again(now + OFFERED_EVERY * 2);
        assert!(first.offered.is_empty());
        second.take_orders(now + OFFERED_EVERY * 2);
        assert!(second.worker.slot(leg).is_some() && is_bound(port));
    }

    #[test]
    fn a_leg_that_another_thread_never_takes_ends_and_its_port_is_leased_again() {
        let [mut first, mut second] = pair(33_910..=33_913);
        let (leg, port, now) = (LegId(1), 33_910, Mono::ZERO);
        first.obey(Command::Open { leg, lease: Lease { worker: 0, port } }, now);
        second.obey(Command::Expect { leg }, now);
        first.neighbours[1].orders.try_send(Order::Clips(Clips::new(BTreeMap::new(), None))).ok().unwrap();
        first.obey(Command::HandOver { leg, to: 1 }, now);
        first.offer_again(now + OFFERED_FOR);
        assert!(first.offered.is_empty() && first.worker.legs() == 0);
        let told = first.doors.outlets.0.lock().unwrap().take();
        assert!(matches!(told[..], [Report::Dead { .. }, Report::Closed { .. }]), "{told:?}");
        assert!(is_bound(port), "it drains");
        let Doors { ports, network, .. } = &mut first.doors;
        ports.tick(now + OFFERED_FOR + DRAIN, network);
        assert!(!is_bound(port));
        let Doors { ports, network, .. } = &mut first.doors;
        ports.tick(now + OFFERED_FOR + DRAIN + QUARANTINE, network);
        assert_eq!(first.doors.ports.replenish(now).0, [Lease { worker: 0, port }]);

        // And the other one waits for it no longer than that.
        second.obey(Command::Close { leg }, now);
        let gives_up = second.worker.deadline().unwrap();
        assert!(gives_up > now + OFFERED_FOR && gives_up <= now + OFFERED_FOR * 3);
        second.worker.tick(gives_up, &mut second.doors);
        assert!(!second.worker.expects(leg) && second.worker.deadline().is_none());
        let told = second.doors.outlets.0.lock().unwrap().take();
        assert!(matches!(told[..], [Report::Dead { .. }, Report::Closed { .. }]), "{told:?}");
    }
}
