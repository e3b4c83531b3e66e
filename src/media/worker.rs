//! The legs of one worker thread as a plain value.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Mono;
use crate::ids::LegId;

use super::{Clips, Command, Frame, Report};

/// What all legs of a worker share.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub missing_after: Duration,
    pub dead_after: Duration,
    /// ISO 3166 alpha-2: the tones' cadence.
    pub country: [u8; 2],
    /// For SSRCs, first sequence numbers and timestamps.
    pub seed: u64,
}

/// Which of a leg's two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    Rtp,
    Rtcp,
}

/// Where a leg lies in its worker: found without a search, and never taken for a later leg in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub index: u32,
    pub generation: u32,
}

/// A received datagram that goes on: send `datagram[start..start + len]` from the socket of `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub slot: Slot,
    pub leg: LegId,
    pub to: SocketAddr,
    pub start: usize,
    pub len: usize,
}

/// Where a worker's doings go. The driver's sink has sockets and channels, a test's has vectors.
pub trait Sink {
    fn send(&mut self, slot: Slot, leg: LegId, port: Port, to: SocketAddr, datagram: &[u8]);
    fn tap(&mut self, frame: Frame);
    fn report(&mut self, report: Report);
}

/// The legs of one worker. Pure: the driver brings commands, packets and time.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
}

impl Worker {
    pub fn new(settings: Settings) -> Worker {
        Worker { settings }
    }

    /// The slot of an open leg.
    pub fn slot(&self, leg: LegId) -> Option<Slot> {
        let _ = (leg, &self.settings);
        None
    }

    pub fn handle(&mut self, command: Command, clips: &Clips, now: Mono, out: &mut impl Sink) {
        let _ = (command, clips, now, out);
    }

    /// A datagram on a leg's port. What is relayed is rewritten in place and returned; no allocation, and no copy but the tap's.
    pub fn receive(
        &mut self,
        slot: Slot,
        port: Port,
        from: SocketAddr,
        datagram: &mut [u8],
        now: Mono,
        out: &mut impl Sink,
    ) -> Option<Forward> {
        let _ = (slot, port, from, datagram, now, out);
        None
    }

    /// Does what is due: plays, reports, checks for silence.
    pub fn tick(&mut self, clips: &Clips, now: Mono, out: &mut impl Sink) {
        let _ = (clips, now, out);
    }

    /// When `tick` is due next.
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
}
