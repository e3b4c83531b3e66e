//! One worker's thread: an epoll loop around a [`media::Worker`].
//!
//! Each round: wait for datagrams, a command or a deadline; carry out commands; receive, relay and answer; do what is due. The worker
//! decides everything; the thread only owns sockets and calls. A panic over a datagram or a command ends the leg that it was for
//! (reported dead), and no other.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::clock::{Mono, System};
use crate::ids::{LegId, RecordingId};
use crate::media::{Clip, ClipName, Clips, Command, Forward, Frame, Moving, Port, Quality, Report, Sink, Slot, Worker};

use super::ports::{Pair, Ports, Use, of_token};
use super::sys::{BATCH, Inbox, Outgoing, Poll, Wake, send};
use super::{Counters, Outlets};

/// Names the wake-up to epoll.
const WAKE: u64 = u64::MAX;
/// Deadlines are met to this, so that what is due within one millisecond is done in one round.
const ROUND_US: u64 = 1_000;
/// How often a recorder that is too slow is told of.
const OVERFLOW_EVERY: Duration = Duration::from_secs(1);
/// Batches read from one socket in one round, so that a flood on one port does not starve the others.
const BATCHES: usize = 4;

/// What the engine tells a thread, or one thread another.
pub enum Order {
    Command(Command),
    Clips(Clips),
    /// A sound for one leg.
    Bring(LegId, ClipName, Arc<Clip>),
    /// A leg of another worker with its sockets.
    Adopt(Moving, Pair),
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
    pub stop: Arc<AtomicBool>,
    pub poll: Poll,
    pub doors: Doors<O>,
    pub inbox: Inbox,
}

/// The worker's [`Sink`]: sockets and outlets.
pub struct Doors<O: Outlets> {
    pub ports: Ports,
    pub outlets: O,
    pub counters: Arc<Counters>,
    /// Frames that the recorder did not take, by recording, since the last report.
    pub overflow: BTreeMap<RecordingId, Tapped>,
}

/// A recording that is under way.
pub struct Tapped {
    pub leg: LegId,
    pub dropped: u64,
}

impl<O: Outlets> Sink for Doors<O> {
    fn send(&mut self, slot: Slot, _leg: LegId, port: Port, to: std::net::SocketAddr, datagram: &[u8]) {
        self.put(slot, port, &[Outgoing { to, bytes: datagram }]);
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
    /// Sends from a leg's socket. What the kernel has no room for is lost, as on any network, and counted.
    fn put(&self, slot: Slot, port: Port, datagrams: &[Outgoing<'_>]) {
        let taken = match self.ports.of_slot(slot) {
            Some(pair) => send(pair.socket(port).as_fd(), datagrams).unwrap_or(0),
            None => 0,
        };
        self.counters.sent.fetch_add(taken as u64, Relaxed);
        if taken < datagrams.len() {
            self.counters.send_dropped.fetch_add((datagrams.len() - taken) as u64, Relaxed);
        }
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
        if let Err(error) = self.poll.add(&*self.wake, WAKE) {
            tracing::error!(%error, "a media worker cannot be woken");
            return;
        }
        let mut overflow_at = self.clock.mono() + OVERFLOW_EVERY;
        loop {
            let timeout = self.timeout(overflow_at);
            let tokens = self.poll.wait(Some(timeout));
            let now = self.clock.mono();
            for token in tokens {
                if token == WAKE {
                    self.wake.clear();
                    if self.stop.load(Relaxed) {
                        return;
                    }
                    self.take_orders(now);
                } else {
                    self.receive(token, now);
                }
            }
            let (worker, doors) = (&mut self.worker, &mut self.doors);
            if catch_unwind(AssertUnwindSafe(|| worker.tick(now, doors))).is_err() {
                // The timer that did it is out of the heap, so the others go on with the next round.
                self.doors.counters.panics.fetch_add(1, Relaxed);
            }
            if self.doors.ports.tick(now) {
                self.doors.replenish(now);
            }
            if now >= overflow_at {
                self.doors.report_overflow();
                self.doors.outlets.again();
                overflow_at = now + OVERFLOW_EVERY;
            }
        }
    }

    fn timeout(&self, overflow_at: Mono) -> Duration {
        let due = [self.worker.deadline(), self.doors.ports.deadline(), Some(overflow_at)];
        let next = due.into_iter().flatten().min().unwrap_or(overflow_at);
        let rounded = Mono::from_micros(next.as_micros().div_ceil(ROUND_US) * ROUND_US);
        rounded.since(self.clock.mono())
    }

    fn take_orders(&mut self, now: Mono) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Command(command) => self.obey(command, now),
                Order::Clips(clips) => self.clips = clips,
                Order::Bring(leg, name, clip) => self.worker.bring(leg, name, clip),
                Order::Adopt(moving, pair) => self.adopt(moving, pair, now),
                Order::ExpectNoMore(leg) => self.worker.expect_no_more(leg),
            }
        }
    }

    /// The leg goes on in another thread.
    fn hand_over(&mut self, leg: LegId, to: u8, now: Mono) {
        if usize::from(to) == usize::from(self.doors.ports.worker()) {
            return;
        }
        let pair = self.worker.slot(leg).and_then(|slot| self.doors.ports.take(slot, &self.poll));
        self.doors.untap(leg);
        let order = match (self.worker.hand_over(leg), pair) {
            (Some(moving), Some(pair)) => Order::Adopt(moving, pair),
            _ => Order::ExpectNoMore(leg),
        };
        let lost = matches!(order, Order::Adopt(..));
        let taken = self.neighbours.get(usize::from(to)).is_some_and(|n| {
            let taken = n.orders.try_send(order).is_ok();
            n.wake.wake();
            taken
        });
        // The other thread is stuck: the leg is gone with its sockets.
        if !taken && lost {
            tracing::error!(%leg, to, "a media worker does not take a leg");
            self.evict(leg, now);
        }
        self.count_legs();
    }

    fn adopt(&mut self, moving: Moving, pair: Pair, now: Mono) {
        let leg = moving.leg();
        if let Some(recording) = moving.recording() {
            self.doors.overflow.insert(recording, Tapped { leg, dropped: 0 });
        }
        let slot = self.worker.adopt(moving, now);
        let opened = match slot {
            Some(slot) => self.doors.ports.adopt(pair, slot, leg, &self.poll),
            None => Err(std::io::ErrorKind::NotFound.into()),
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

    fn obey(&mut self, command: Command, now: Mono) {
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
            Command::Agree { .. } | Command::Hear { .. } | Command::HandOver { .. } | Command::Expect { .. } => None,
        };
        let (worker, clips, doors) = (&mut self.worker, &self.clips, &mut self.doors);
        if catch_unwind(AssertUnwindSafe(|| worker.handle(command, clips, now, doors))).is_err() {
            self.evict(leg, now);
        }
        if let Some(slot) = closing {
            self.doors.ports.drain(slot, now);
        }
        if let Some(port) = opening {
            self.open(leg, port, now);
        }
        self.count_legs();
    }

    fn count_legs(&self) {
        if let Some(legs) = self.doors.counters.legs.get(usize::from(self.doors.ports.worker())) {
            legs.store(self.worker.legs() as u64, Relaxed);
        }
    }

    fn open(&mut self, leg: LegId, port: u16, now: Mono) {
        let Some(slot) = self.worker.slot(leg) else { return };
        if let Err(error) = self.doors.ports.open(port, slot, leg, &self.poll, &mut self.inbox) {
            tracing::error!(%leg, port, %error, "a leg's port cannot be opened");
            self.evict(leg, now);
        }
        self.doors.replenish(now);
    }

    fn receive(&mut self, token: u64, now: Mono) {
        let (index, port) = of_token(token);
        for _ in 0..BATCHES {
            let Some(pair) = self.doors.ports.pair(index) else { return };
            let count = self.inbox.receive(pair.socket(port).as_fd());
            let slot = match pair.used {
                Use::Open { slot, .. } => slot,
                // Read to nothing.
                Use::Draining { .. } | Use::Leased if count == BATCH => continue,
                Use::Draining { .. } | Use::Leased => return,
            };
            self.doors.counters.received.fetch_add(count as u64, Relaxed);
            if !self.take(slot, port, count, now) || count < BATCH {
                return;
            }
        }
    }

    /// The datagrams in the inbox. `false`: the leg is gone.
    fn take(&mut self, slot: Slot, port: Port, count: usize, now: Mono) -> bool {
        let mut forwards: ArrayVec<(usize, Forward), BATCH> = ArrayVec::new();
        for i in 0..count {
            let (worker, doors, inbox) = (&mut self.worker, &mut self.doors, &mut self.inbox);
            let Some((from, bytes)) = inbox.get(i) else { continue };
            match catch_unwind(AssertUnwindSafe(|| worker.receive(slot, port, from, bytes, now, doors))) {
                Ok(Some(forward)) => forwards.push((i, forward)),
                Ok(None) => {}
                Err(_) => {
                    if let Some(Use::Open { leg, .. }) = self.doors.ports.of_slot(slot).map(|p| p.used) {
                        self.evict(leg, now);
                    }
                    return false;
                }
            }
        }
        // All datagrams of a socket have one listener, so they go out in one call.
        let mut rest = &forwards[..];
        while let Some((_, first)) = rest.first() {
            let alike = rest.iter().take_while(|(_, f)| f.slot == first.slot).count();
            let (batch, others) = rest.split_at(alike);
            let out: ArrayVec<Outgoing<'_>, BATCH> =
                batch.iter().map(|(i, f)| Outgoing { to: f.to, bytes: self.inbox.part(*i, f.start, f.len) }).collect();
            self.doors.put(first.slot, Port::Rtp, &out);
            rest = others;
        }
        true
    }

    /// Ends a leg that cannot go on.
    fn evict(&mut self, leg: LegId, now: Mono) {
        self.doors.counters.panics.fetch_add(1, Relaxed);
        let slot = self.worker.slot(leg);
        let (worker, doors) = (&mut self.worker, &mut self.doors);
        if catch_unwind(AssertUnwindSafe(|| worker.evict(leg, doors))).is_err() || slot.is_none() {
            self.doors.report(Report::Dead { leg });
            self.doors.report(Report::Closed { leg, quality: Quality::default() });
        }
        if let Some(slot) = slot {
            self.doors.ports.drain(slot, now);
        }
        self.doors.untap(leg);
        self.count_legs();
    }
}
