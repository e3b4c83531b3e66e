//! A browser's leg below its RTP: ICE and DTLS on the leg's own socket (RFC 8834, RFC 8835). The only module that names `rtc`, the
//! sans-I/O core of `webrtc`.
//!
//! | what | whose |
//! |---|---|
//! | which address is believed, what is checked and nominated, consent | `ice`, lite or full, over `stun` |
//! | certificate, DTLS association, keys | `handshake`, over `rtc::dtls`; `record` guards it |
//! | which legs of a worker are browsers | `peers` |
//! | packets encrypted and decrypted under those keys, who hears whom, RTCP, digits, silence | `media::Worker`, as for any leg |
//! | descriptions | `sdp`, in the core |
//!
//! [`Peer`] is a plain value: the thread brings datagrams and time and sends what [`Peer::transmit`] yields. What it needs to begin is in
//! [`IceDtls`], which the core has when offer and answer are through, so a browser's call waits for nothing of the media engine.
//!
//! The layers of `rtc` below its `RTCPeerConnection`, and not that itself (0.21.1): it writes descriptions of its own, which answer a
//! hold wrongly, pair telephone-event with another clock than the codec's and repeat our candidate; it tells nobody of a close_notify
//! or of RTCP, drops DTLS that comes before a nomination, and allocates for each packet several times. It is the peer in the tests.

mod handshake;
mod ice;
mod peers;
mod record;
mod stun;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::shared::error::Error;

use crate::clock::{Mono, System};
use crate::media::{Broken, Port};
use crate::rtp::srtp::Pair;
use crate::sdp::{Candidate, IceDtls};

use handshake::{Handshake, Progress};
use ice::Ice;

pub use handshake::{Identity, NoIdentity};
pub use peers::{BROWSER, Doings, Peers};

/// From the first check to the keys: as long as a caller may be made to wait for sound, and as long as consent.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// The other end of a browser's leg.
pub struct Peer {
    identity: Arc<Identity>,
    clock: System,
    terms: IceDtls,
    ice: Ice,
    handshake: Handshake,
    /// When there must be keys, if there are none yet: from the first check on. Who sends none is a leg without media, to its worker.
    keys_due: Option<Mono>,
    keys: Option<Pair>,
    /// The worker does not have them yet.
    are_new: bool,
    out: VecDeque<(SocketAddr, Bytes)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// To be told.
    Broken(Broken),
    Over,
}

/// The layers of a leg cannot be set up for these terms.
#[derive(Debug, thiserror::Error)]
#[error("a browser's leg cannot be set up: {0}")]
pub struct CannotOpen(Error);

impl Peer {
    /// `clock` turns times into the instants that the crate counts in; it is never asked for the time.
    pub fn new(identity: &Arc<Identity>, clock: System, terms: IceDtls) -> Result<Peer, CannotOpen> {
        Ok(Peer {
            ice: Ice::new(&terms, identity.provider()),
            handshake: Handshake::new(identity, terms.fingerprint, terms.role).map_err(CannotOpen)?,
            identity: identity.clone(),
            clock,
            terms,
            keys_due: None,
            keys: None,
            are_new: false,
            out: VecDeque::new(),
            state: State::Open,
        })
    }

    /// A further offer and answer. New credentials are an ICE restart; another certificate or role is another DTLS association, and what
    /// was agreed before is good for media until that has keys.
    pub fn agree(&mut self, terms: IceDtls, now: Mono) -> Result<(), CannotOpen> {
        self.ice.agree(&terms, self.identity.provider());
        if (terms.fingerprint, terms.role) != (self.terms.fingerprint, self.terms.role) {
            self.handshake = Handshake::new(&self.identity, terms.fingerprint, terms.role).map_err(CannotOpen)?;
            self.keys_due = None;
            self.reach(now);
        }
        self.terms = terms;
        self.check(now);
        Ok(())
    }

    /// It has found more candidates.
    pub fn trickle(&mut self, candidates: &[Candidate], now: Mono) {
        self.ice.trickle(candidates);
        self.check(now);
    }

    /// The check that is due.
    fn check(&mut self, now: Mono) {
        if let Some((to, check)) = self.ice.check(now, self.identity.provider()) {
            self.out.push_back((to, check.into()));
        }
    }

    /// A datagram on the leg's socket. One that may be media is left to the worker, which decrypts it: to which of the ports it would have
    /// come, were the two not one (RFC 5761). All else is taken here.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Mono) -> Option<Port> {
        if self.state != State::Open {
            return None;
        }
        // Told apart by the first byte (RFC 7983 §7).
        match *datagram.first()? {
            _ if stun::is_stun(datagram) => {
                let answer = self.ice.receive(from, datagram, now, self.identity.provider());
                self.out.extend(answer.map(|answer| (from, answer.into())));
                self.check(now);
                self.reach(now);
                None
            }
            20..=63 if self.ice.is_valid(from) => {
                let progress = self.handshake.receive(datagram, self.instant(now));
                self.advance(progress);
                None
            }
            128..=191 if self.ice.is_valid(from) => {
                let is_control = (192..=223).contains(datagram.get(1)?);
                self.keys.as_ref()?;
                Some(if is_control { Port::Rtcp } else { Port::Rtp })
            }
            _ => None,
        }
    }

    /// There may be a way to the peer now: the first check has come, or the first answer to ours.
    fn reach(&mut self, now: Mono) {
        if self.ice.target().is_some() && self.keys_due.is_none() {
            self.keys_due = Some(now + HANDSHAKE);
            self.handshake.again();
            let progress = self.handshake.reachable(self.instant(now));
            self.advance(progress);
        }
    }

    fn advance(&mut self, progress: Progress) {
        match progress {
            Progress::Nothing => {}
            Progress::Keyed(keys) => (self.keys, self.are_new) = (Some(*keys), true),
            Progress::Closed => self.state = State::Broken(Broken::Closed),
            Progress::Stranger => self.state = State::Broken(Broken::Fingerprint),
            Progress::Failed => self.state = State::Broken(Broken::Handshake),
        }
        self.flush();
    }

    /// What DTLS has to say goes where media goes.
    fn flush(&mut self) {
        while let Some(message) = self.handshake.transmit() {
            if let Some(to) = self.ice.target() {
                self.out.push_back((to, message));
            }
        }
    }

    /// Where the worker's packets go. `None`: it has no keys for them yet, or nobody consents to hear them.
    pub fn target(&self) -> Option<SocketAddr> {
        self.ice.target().filter(|_| self.state == State::Open && self.keys.is_some() && !self.are_new)
    }

    /// What the worker encrypts under, as far as there is something.
    pub fn keys(&self) -> Option<&Pair> {
        self.keys.as_ref()
    }

    /// Keys that the worker does not have yet; told once.
    pub fn new_keys(&mut self) -> Option<Pair> {
        self.keys.clone().filter(|_| std::mem::take(&mut self.are_new))
    }

    /// The next datagram that is to be sent from the leg's socket.
    pub fn transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        self.out.pop_front()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Mono) {
        if self.state != State::Open {
            return;
        }
        let is_past = |due: Option<Mono>| due.is_some_and(|due| due <= now);
        if is_past(self.ice.expires()) {
            self.state = State::Broken(Broken::Consent);
        } else if self.keys.is_none() && is_past(self.keys_due) {
            self.state = State::Broken(Broken::Handshake);
        } else {
            self.check(now);
            let progress = self.handshake.tick(self.instant(now));
            self.advance(progress);
        }
    }

    /// It has gone wrong in a way that nobody knows.
    pub fn give_up(&mut self) {
        self.state = State::Broken(Broken::Handshake);
    }

    /// When [`Peer::tick`] is due next.
    pub fn deadline(&self) -> Option<Mono> {
        if self.state != State::Open {
            return None;
        }
        let keys = self.keys_due.filter(|_| self.keys.is_none());
        let flight = self.handshake.deadline().map(|at| self.mono(at));
        [self.ice.deadline(), self.ice.expires(), keys, flight].into_iter().flatten().min()
    }

    /// Why the leg cannot go on; told once.
    pub fn broken(&mut self) -> Option<Broken> {
        match self.state {
            State::Broken(why) => {
                self.state = State::Over;
                Some(why)
            }
            State::Open | State::Over => None,
        }
    }

    /// Says goodbye (close_notify), which the browser shows within a round trip; without it, it would wait for its checks to fail.
    pub fn close(&mut self, now: Mono) {
        self.handshake.close(self.instant(now));
        self.flush();
        self.state = State::Over;
    }

    fn instant(&self, at: Mono) -> Instant {
        self.clock.instant(at)
    }

    fn mono(&self, at: Instant) -> Mono {
        let since = at.saturating_duration_since(self.clock.instant(Mono::ZERO));
        Mono::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
pub(super) mod page;
#[cfg(test)]
mod tests;
