//! Whom a leg listens to: symmetric RTP without open doors.
//!
//! The description's address is preferred, because signalling vouches for it. Where another source (a phone behind NAT) is heard
//! first, it is latched on and locked, so that who comes later neither hears nor is heard. The description's address takes the lock
//! back whenever it speaks: a stranger who won the race at the start loses it to the true peer; the other way round a lock on the
//! description's address yields to nobody. Each agreement unlocks, since a re-INVITE may have moved the peer; for the moment until
//! its next packet, whom we heard before goes first. Without a re-INVITE only a source that carries on the same SSRC after a silence
//! takes over (a NAT that changed its mapping).
//!
//! | state | packet from | outcome |
//! |---|---|---|
//! | open | the description's address | locked |
//! | open, description as before | whom we heard before | locked |
//! | open, description as before | another, while the one before was just heard | refused, whatever its SSRC: that can be forged |
//! | open, description moved | whom we heard before, for a moment | refused: a straggler |
//! | open | anybody else | locked, reported |
//! | locked | the lock's | accepted |
//! | locked | the description's address | locked there |
//! | locked | another, with the lock's SSRC, after silence | locked there, reported |
//! | locked | anybody else | refused |
//!
//! Only packets that are whole and of an agreed payload type are shown to a latch.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Mono;

/// After this long without a packet, the same SSRC may come from elsewhere. Chosen by feel: longer than any jitter, shorter than a
/// listener's patience.
pub const SILENCE: Duration = Duration::from_secs(2);
/// After an agreement, whom we heard before goes first for this long: ten packets and a round trip.
pub const GRACE: Duration = Duration::from_millis(250);
/// After the description moved, packets from the old place are stragglers for this long.
pub const STRAGGLERS: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// Accepted, and from now on the only source: media comes from another address than the description says.
    Latched,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lock {
    source: SocketAddr,
    ssrc: u32,
    heard: Mono,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Agreed, and nobody was heard ever.
    New,
    /// Agreed anew: `moved` if the description now names another address.
    Reopened {
        before: Lock,
        moved: bool,
        at: Mono,
    },
    Locked(Lock),
}

/// A leg's RTP latch.
#[derive(Clone, Debug)]
pub struct Latch {
    described: Option<SocketAddr>,
    state: State,
}

impl Latch {
    /// For a leg's first agreement.
    pub fn new(described: Option<SocketAddr>) -> Latch {
        Latch { described, state: State::New }
    }

    /// A further agreement. `described` is `None` for hold by 0.0.0.0, which moves nobody.
    pub fn agree(&mut self, described: Option<SocketAddr>, now: Mono) {
        let moved_now = described.is_some() && self.described.is_some() && described != self.described;
        let (before, moved) = match self.state {
            State::New => (None, false),
            // Moved away and back before a packet came: moved all the same, so that the straggler rule holds.
            State::Reopened { before, moved, .. } => (Some(before), moved || moved_now),
            State::Locked(lock) => (Some(lock), moved_now),
        };
        self.described = described.or(self.described);
        self.state = match before {
            None => State::New,
            Some(before) => State::Reopened { before, moved, at: now },
        };
    }

    /// Where to send.
    #[inline]
    pub fn target(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Locked(lock) => Some(lock.source),
            State::Reopened { before, moved: false, .. } => Some(before.source),
            State::Reopened { moved: true, .. } | State::New => self.described,
        }
    }

    /// Whether media comes from where the description says, or nothing has come.
    pub fn is_as_described(&self) -> bool {
        self.target() == self.described
    }

    pub fn is_locked_on(&self, source: SocketAddr) -> bool {
        matches!(&self.state, State::Locked(lock) if lock.source == source)
    }

    #[inline]
    pub fn check(&mut self, from: SocketAddr, ssrc: u32, now: Mono) -> Verdict {
        if let State::Locked(lock) = &mut self.state
            && lock.source == from
        {
            lock.ssrc = ssrc;
            lock.heard = now;
            return Verdict::Accepted;
        }
        self.check_other(from, ssrc, now)
    }

    fn check_other(&mut self, from: SocketAddr, ssrc: u32, now: Mono) -> Verdict {
        let verdict = match self.state {
            _ if self.described == Some(from) => Verdict::Accepted,
            State::New => Verdict::Latched,
            State::Reopened { before, moved: false, at } => {
                let silent = now.since(at.max(before.heard)) >= GRACE;
                match before.source == from {
                    true => Verdict::Accepted,
                    false if silent => Verdict::Latched,
                    false => Verdict::Refused,
                }
            }
            State::Reopened { before, moved: true, at } => {
                let straggler = before.source == from && now.since(at) < STRAGGLERS;
                if straggler { Verdict::Refused } else { Verdict::Latched }
            }
            State::Locked(lock) => {
                let carries_on = lock.ssrc == ssrc && now.since(lock.heard) >= SILENCE;
                if carries_on { Verdict::Latched } else { Verdict::Refused }
            }
        };
        match verdict {
            Verdict::Accepted | Verdict::Latched => self.state = State::Locked(Lock { source: from, ssrc, heard: now }),
            Verdict::Refused => {}
        }
        verdict
    }
}

/// A leg's RTCP latch: tied to where its RTP comes from, since a report alone proves nobody.
#[derive(Clone, Debug)]
pub struct RtcpLatch {
    described: Option<SocketAddr>,
    locked: Option<SocketAddr>,
}

impl RtcpLatch {
    pub fn new(described: Option<SocketAddr>) -> RtcpLatch {
        RtcpLatch { described, locked: None }
    }

    /// A further agreement. Where media comes from as described and that has not changed, so does the lock's owner stay.
    pub fn agree(&mut self, described: Option<SocketAddr>, rtp: &Latch) {
        let moved = described.is_some() && described != self.described;
        if moved || !rtp.is_as_described() {
            self.locked = None;
        }
        self.described = described.or(self.described);
    }

    /// The described address, as long as RTP does not come from elsewhere; else the first port of the host that RTP comes from.
    pub fn check(&mut self, from: SocketAddr, rtp: &Latch) -> bool {
        let fits = match self.locked {
            Some(locked) => from == locked,
            None if rtp.is_as_described() => Some(from) == self.described || rtp.target().is_some_and(|t| t.ip() == from.ip()),
            None => rtp.target().is_some_and(|t| t.ip() == from.ip()),
        };
        if fits {
            self.locked = Some(from);
        }
        fits
    }

    /// Where our reports go: to the described address, whoever on that host sends us some; elsewhere when RTP comes from elsewhere.
    pub fn target(&self, rtp: &Latch) -> Option<SocketAddr> {
        let above = || rtp.target().and_then(|t| Some(SocketAddr::new(t.ip(), t.port().checked_add(1)?)));
        match self.locked {
            _ if rtp.is_as_described() => self.described.or(self.locked),
            Some(locked) => Some(locked),
            None => above(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    const PHONE: u16 = 5_004;
    const NAT: u16 = 40_000;
    const STRANGER: u16 = 666;
    const PHONE_SSRC: u32 = 1;
    const STRANGER_SSRC: u32 = 2;

    fn ms(ms: u64) -> Mono {
        Mono::from_millis(ms)
    }

    use Verdict::*;

    #[test]
    fn a_stranger_is_refused_once_the_described_address_was_heard() {
        let mut l = Latch::new(Some(at(PHONE)));
        assert_eq!(l.check(at(PHONE), PHONE_SSRC, ms(0)), Accepted);
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(1)), Refused);
        // Not even with a forged SSRC while the phone speaks, nor with another after silence.
        assert_eq!(l.check(at(STRANGER), PHONE_SSRC, ms(1_000)), Refused);
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(60_000)), Refused);
        assert_eq!(l.target(), Some(at(PHONE)));
    }

    #[test]
    fn the_first_other_source_latches_and_is_locked() {
        let mut l = Latch::new(Some(at(PHONE)));
        assert_eq!(l.target(), Some(at(PHONE)));
        assert_eq!(l.check(at(NAT), PHONE_SSRC, ms(0)), Latched);
        assert_eq!(l.check(at(NAT), PHONE_SSRC, ms(20)), Accepted);
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(21)), Refused);
        assert_eq!(l.target(), Some(at(NAT)));
    }

    #[test]
    fn a_stranger_who_won_the_race_loses_it_to_the_described_address() {
        let mut l = Latch::new(Some(at(PHONE)));
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(0)), Latched);
        assert_eq!(l.check(at(PHONE), PHONE_SSRC, ms(5)), Accepted);
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(6)), Refused);
    }

    #[test]
    fn a_changed_nat_mapping_is_followed_after_silence_with_the_same_ssrc() {
        let mut l = Latch::new(None);
        l.check(at(NAT), PHONE_SSRC, ms(0));
        assert_eq!(l.check(at(NAT + 1), PHONE_SSRC, ms(1_999)), Refused);
        assert_eq!(l.check(at(NAT + 1), STRANGER_SSRC, ms(2_500)), Refused);
        assert_eq!(l.check(at(NAT + 1), PHONE_SSRC, ms(2_500)), Latched);
        assert_eq!(l.target(), Some(at(NAT + 1)));
    }

    #[test]
    fn an_agreement_unlocks_but_whom_we_heard_goes_first() {
        let mut l = Latch::new(Some(at(PHONE)));
        l.check(at(NAT), PHONE_SSRC, ms(0));
        l.agree(Some(at(PHONE)), ms(10));
        assert_eq!(l.target(), Some(at(NAT)), "music on hold goes on through the NAT");
        assert_eq!(l.check(at(STRANGER), STRANGER_SSRC, ms(20)), Refused);
        assert_eq!(l.check(at(STRANGER), PHONE_SSRC, ms(25)), Refused, "an SSRC can be forged");
        assert_eq!(l.check(at(NAT + 1), PHONE_SSRC, ms(260)), Latched, "a new mapping");
        l.agree(Some(at(PHONE)), ms(270));
        assert_eq!(l.check(at(NAT + 2), 77, ms(520)), Latched, "a phone that restarted its stream");
    }

    #[test]
    fn a_moved_description_is_followed_and_stragglers_do_not_latch() {
        let mut l = Latch::new(Some(at(PHONE)));
        l.check(at(PHONE), PHONE_SSRC, ms(0));
        l.agree(Some(at(7_000)), ms(10));
        assert_eq!(l.target(), Some(at(7_000)));
        assert_eq!(l.check(at(PHONE), PHONE_SSRC, ms(15)), Refused);
        assert_eq!(l.check(at(NAT), 9, ms(30)), Latched);
        assert_eq!(l.check(at(7_000), 9, ms(40)), Accepted);
    }

    #[test]
    fn hold_by_zero_address_keeps_the_peer() {
        let mut l = Latch::new(Some(at(PHONE)));
        l.check(at(PHONE), PHONE_SSRC, ms(0));
        l.agree(None, ms(10));
        assert_eq!(l.target(), Some(at(PHONE)));
        l.agree(Some(at(PHONE)), ms(20));
        assert_eq!(l.check(at(PHONE), PHONE_SSRC, ms(30)), Accepted);
    }

    #[test]
    fn rtcp_is_taken_from_the_host_of_rtp_and_goes_there() {
        let elsewhere = SocketAddr::from(([198, 51, 100, 1], 5_005));
        let mut rtp = Latch::new(Some(at(PHONE)));
        let mut l = RtcpLatch::new(Some(at(PHONE + 1)));
        assert!(!l.check(elsewhere, &rtp));
        assert_eq!(l.target(&rtp), Some(at(PHONE + 1)));
        assert!(l.check(at(PHONE + 1), &rtp));
        assert!(!l.check(at(STRANGER), &rtp), "one port of it, not any");
        l.agree(Some(at(PHONE + 1)), &rtp);
        assert!(!l.check(at(STRANGER), &rtp), "nor after an agreement that moved nobody");
        // One who has not sent any may from another port, and gets ours where it said.
        l.agree(Some(at(PHONE + 3)), &rtp);
        assert!(l.check(at(STRANGER), &rtp));
        assert_eq!(l.target(&rtp), Some(at(PHONE + 3)));
        // RTP latched elsewhere: the described RTCP address hears nothing any more.
        let mut l = RtcpLatch::new(Some(at(PHONE + 1)));
        let nat = SocketAddr::from(([203, 0, 113, 1], NAT));
        rtp.check(nat, PHONE_SSRC, ms(0));
        assert_eq!(l.target(&rtp), Some(SocketAddr::from(([203, 0, 113, 1], NAT + 1))));
        assert!(!l.check(at(PHONE + 1), &rtp));
        assert!(l.check(SocketAddr::from(([203, 0, 113, 1], 41_234)), &rtp));
    }
}
