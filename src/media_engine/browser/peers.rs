//! The browsers among a worker's legs, by slot.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::{Mono, System};
use crate::ids::LegId;
use crate::media::{Broken, Port, Session, Slot};
use crate::rtp::srtp::Pair;
use crate::sdp::Candidate;

use super::{Identity, Peer};

/// Where all that a browser sends comes from, to a worker: ICE has proved it, wherever that is.
pub const BROWSER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9);

struct Entry {
    slot: Slot,
    leg: LegId,
    peer: Box<Peer>,
}

/// What is to be done for a peer: datagrams that are sent from the leg's socket, and why it is over, if it is.
pub struct Doings {
    pub slot: Slot,
    pub leg: LegId,
    pub send: Vec<(SocketAddr, Bytes)>,
    /// The worker is to encrypt under these from now on.
    pub keys: Option<Pair>,
    pub broken: Option<Broken>,
}

pub struct Peers {
    identity: Arc<Identity>,
    clock: System,
    /// By the index of the slot, as a worker's legs lie.
    entries: Vec<Option<Entry>>,
    /// No deadline is before this.
    due: Option<Mono>,
}

impl Peers {
    pub fn new(identity: Arc<Identity>, clock: System) -> Peers {
        Peers { identity, clock, entries: Vec::new(), due: None }
    }

    fn entry(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.index as usize)?.as_mut().filter(|e| e.slot == slot)
    }

    /// The leg in this slot is a browser.
    pub fn has(&self, slot: Slot) -> bool {
        self.entries.get(slot.index as usize).and_then(Option::as_ref).is_some_and(|e| e.slot == slot)
    }

    /// An agreement with a browser: its end begins, or goes on by new terms. The session is made what a worker is to know.
    pub fn agree(&mut self, slot: Slot, leg: LegId, session: &mut Session, now: Mono) {
        let Some(terms) = session.dtls.take() else { return };
        (session.remote, session.remote_rtcp) = (Some(BROWSER), Some(BROWSER));
        session.srtp = self.entry(slot).and_then(|entry| entry.peer.keys().cloned());
        let agreed = match self.entry(slot) {
            Some(entry) => entry.peer.agree(*terms, now),
            None => Peer::new(&self.identity, self.clock, *terms).map(|peer| self.put(slot, leg, Box::new(peer))),
        };
        if let Err(error) = agreed {
            // The leg stays silent both ways, and ends as one that does.
            tracing::error!(%leg, %error, "a browser's leg has no way to speak");
            (session.remote, session.remote_rtcp, session.send, session.receive) = (None, None, false, false);
        }
        self.hasten(slot);
    }

    /// It has found more candidates.
    pub fn trickle(&mut self, slot: Slot, candidates: &[Candidate], now: Mono) {
        if let Some(entry) = self.entry(slot) {
            entry.peer.trickle(candidates, now);
        }
        self.hasten(slot);
    }

    pub fn put(&mut self, slot: Slot, leg: LegId, peer: Box<Peer>) {
        let index = slot.index as usize;
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        if let Some(place) = self.entries.get_mut(index) {
            *place = Some(Entry { slot, leg, peer });
        }
        self.hasten(slot);
    }

    /// The leg goes on elsewhere, or is gone.
    pub fn take(&mut self, slot: Slot) -> Option<Box<Peer>> {
        self.entry(slot)?;
        self.entries.get_mut(slot.index as usize)?.take().map(|e| e.peer)
    }

    /// A datagram on a browser's socket: one for the worker, or `None`.
    pub fn receive(&mut self, slot: Slot, from: SocketAddr, datagram: &[u8], now: Mono) -> Option<Port> {
        self.entry(slot)?.peer.receive(from, datagram, now)
    }

    /// Where the worker's packets for this browser go.
    pub fn target(&self, slot: Slot) -> Option<SocketAddr> {
        self.entries.get(slot.index as usize)?.as_ref().filter(|e| e.slot == slot)?.peer.target()
    }

    /// What a datagram or an agreement has led to; nothing, mostly.
    pub fn doings(&mut self, slot: Slot) -> Option<Doings> {
        let entry = self.entry(slot)?;
        let doings = entry.doings();
        self.hasten(slot);
        doings
    }

    /// The leg ends: its goodbye.
    pub fn close(&mut self, slot: Slot, now: Mono) -> Option<Doings> {
        let leg = self.entry(slot)?.leg;
        let mut peer = self.take(slot)?;
        peer.close(now);
        Entry { slot, leg, peer }.doings()
    }

    /// Does what is due, of all. One that panics over it is broken, and no other.
    pub fn tick(&mut self, now: Mono) -> Vec<Doings> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let mut all = Vec::new();
        self.due = None;
        for entry in self.entries.iter_mut().flatten() {
            if entry.peer.deadline().is_some_and(|due| due <= now) {
                if catch_unwind(AssertUnwindSafe(|| entry.peer.tick(now))).is_err() {
                    entry.peer.give_up();
                }
                all.extend(entry.doings());
            }
            self.due = self.due.into_iter().chain(entry.peer.deadline()).min();
        }
        all
    }

    /// When [`Peers::tick`] is due next, or before.
    pub fn deadline(&self) -> Option<Mono> {
        self.due
    }

    /// Its deadline may have come nearer.
    fn hasten(&mut self, slot: Slot) {
        let due = self.entry(slot).and_then(|e| e.peer.deadline());
        self.due = self.due.into_iter().chain(due).min();
    }
}

impl Entry {
    fn doings(&mut self) -> Option<Doings> {
        let send: Vec<_> = std::iter::from_fn(|| self.peer.transmit()).collect();
        let (keys, broken) = (self.peer.new_keys(), self.peer.broken());
        let is_any = !send.is_empty() || keys.is_some() || broken.is_some();
        is_any.then_some(Doings { slot: self.slot, leg: self.leg, send, keys, broken })
    }
}
