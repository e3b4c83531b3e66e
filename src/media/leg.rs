//! A leg's media: its agreement, its latches, what it hears and who hears it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::{LegId, RecordingId};
use crate::rtp::{COMFORT_NOISE, DigitDetector};

use super::latch::{Latch, RtcpLatch};
use super::play::Play;
use super::relay::Outgoing;
use super::rtcp::Control;
use super::secure::Secure;
use super::stats::Incoming;
use super::worker::{Settings, Slot, Timer};
use super::{Clip, ClipName, Quality, Session, dtmf};

/// A leg from `Open` to `Close`.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    pub slot: Slot,
    /// Since the first agreement.
    pub path: Option<Path>,
    pub incoming: Incoming,
    pub outgoing: Outgoing,
    pub hears: Hears,
    /// Indices of the legs that hear this one.
    pub listeners: Vec<u32>,
    pub recording: Option<RecordingId>,
    pub digits: DigitDetector,
    /// Listens for keys in the sound, where telephone-event was not negotiated.
    pub in_band: Option<Box<dtmf::Detector>>,
    pub presence: Presence,
    /// Somebody waits for it to fall silent.
    pub quiet: Option<Quiet>,
    pub control: Control,
    /// A sound of its own, brought for it alone.
    pub brought: Option<(ClipName, Arc<Clip>)>,
    /// Where this leg left the music.
    pub music_at: usize,
    pub due: Due,
}

/// What was agreed, and whom we listen to by it.
#[derive(Debug)]
pub struct Path {
    pub session: Session,
    pub rtp: Latch,
    pub rtcp: RtcpLatch,
    /// Where the session is encrypted.
    pub secure: Option<Box<Secure>>,
}

/// What a leg hears.
#[derive(Debug)]
pub enum Hears {
    Nothing,
    /// `index` is `None` while that leg is not open.
    Leg {
        leg: LegId,
        index: Option<u32>,
    },
    Play(Play),
}

/// What a payload type means on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Sound(Codec),
    Event,
    /// Noise parameters; nobody negotiated them, so they end here.
    ComfortNoise,
}

impl Leg {
    /// What its media was like until now.
    pub fn quality(&self) -> Quality {
        let encrypted = self.path.as_ref().is_some_and(|p| p.secure.is_some());
        Quality { encrypted, ..self.incoming.quality(self.outgoing.packets) }
    }
}

impl Path {
    pub fn new(session: Session) -> Path {
        let secure = session.srtp.as_ref().map(|pair| Box::new(Secure::new(pair.clone())));
        Path { rtp: Latch::new(session.remote), rtcp: RtcpLatch::new(session.remote_rtcp), secure, session }
    }

    /// A further agreement; whether it is another one.
    pub fn agree(&mut self, session: Session, now: Mono) -> bool {
        self.rtp.agree(session.remote, now);
        self.rtcp.agree(session.remote_rtcp);
        match (&mut self.secure, &session.srtp) {
            (Some(secure), Some(pair)) => secure.agree(pair),
            (secure, pair) => *secure = pair.as_ref().map(|pair| Box::new(Secure::new(pair.clone()))),
        }
        let changed = self.session != session;
        self.session = session;
        changed
    }

    /// What a payload type means, and whether it is agreed to the letter. The other G.711 is taken as well, since our offer had it; it
    /// convinces no latch.
    #[inline]
    pub fn meaning(&self, payload_type: u8) -> Option<(Meaning, bool)> {
        let s = &self.session;
        if payload_type == s.payload_type {
            Some((Meaning::Sound(s.codec), true))
        } else if Some(payload_type) == s.telephone_event || Some(payload_type) == s.telephone_event_in {
            Some((Meaning::Event, true))
        } else if payload_type == COMFORT_NOISE {
            Some((Meaning::ComfortNoise, false))
        } else {
            Codec::from_payload_type(payload_type).map(|c| (Meaning::Sound(c), false))
        }
    }
}

/// How long a leg has been silent.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    pub after: Duration,
    /// The last packet that may have been speech.
    pub since: Mono,
}

/// Mean magnitude of a packet's samples that may be speech: 44 dB below the loudest that G.711 has. Speech is above -35 dB, a quiet room
/// and comfort noise below -55; in a car nobody is ever silent, and a message ends otherwise.
const LOUD: u32 = 200;

/// Whether a packet may be speech.
pub fn is_loud(codec: Codec, payload: &[u8]) -> bool {
    let sum: u32 = payload.iter().map(|b| u32::from(codec.decode(*b).unsigned_abs())).sum();
    sum >= LOUD * u32::try_from(payload.len().max(1)).unwrap_or(u32::MAX)
}

/// When each of a leg's timers is due. An entry of the worker's heap that does not agree is stale.
#[derive(Clone, Copy, Debug, Default)]
pub struct Due {
    pub play: Option<Mono>,
    pub report: Option<Mono>,
    pub check: Option<Mono>,
    pub digit: Option<Mono>,
    pub quiet: Option<Mono>,
}

impl Due {
    pub fn of(&mut self, timer: Timer) -> &mut Option<Mono> {
        match timer {
            Timer::Play => &mut self.play,
            Timer::Report => &mut self.report,
            Timer::Check => &mut self.check,
            Timer::Digit => &mut self.digit,
            Timer::Quiet => &mut self.quiet,
        }
    }
}

/// Whether the peer is still there.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    /// Last RTP packet, or the agreement.
    heard: Mono,
    /// Last RTP or RTCP packet, or the agreement.
    alive: Mono,
    missing: bool,
    dead: bool,
}

/// What a check finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Missing,
    Dead,
}

impl Presence {
    pub fn new(now: Mono) -> Presence {
        Presence { heard: now, alive: now, missing: false, dead: false }
    }

    /// Time counts from here: an agreement may have ended a hold.
    pub fn agree(&mut self, now: Mono) {
        self.heard = now;
        self.alive = now;
        // One that was silent before its call was answered is judged from the answer on.
        self.dead = false;
    }

    /// An RTP packet came: `true` if they were missing.
    #[inline]
    pub fn heard(&mut self, now: Mono) -> bool {
        self.heard = now;
        self.alive = now;
        std::mem::take(&mut self.missing)
    }

    /// An RTCP packet came.
    pub fn alive(&mut self, now: Mono) {
        self.alive = now;
    }

    pub fn check(&mut self, settings: &Settings, now: Mono) -> Option<Finding> {
        if !self.dead && now.since(self.alive) >= settings.dead_after {
            self.dead = true;
            Some(Finding::Dead)
        } else if !self.missing && now.since(self.heard) >= settings.missing_after {
            self.missing = true;
            Some(Finding::Missing)
        } else {
            None
        }
    }

    /// When the next check may find something; packets until then move it. While packets are missing it looks every second, because
    /// what brings them back does not move the timer.
    pub fn deadline(&self, settings: &Settings, now: Mono) -> Mono {
        let missing = if self.missing { now + Duration::from_secs(1) } else { self.heard + settings.missing_after };
        if self.dead { missing } else { missing.min(self.alive + settings.dead_after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_keep_a_leg_alive_but_do_not_hide_missing_sound() {
        let settings =
            Settings { missing_after: Duration::from_secs(3), dead_after: Duration::from_secs(30), country: *b"DE", seed: 0 };
        let mut p = Presence::new(Mono::ZERO);
        let s = |s: u64| Mono::from_millis(s * 1_000);
        assert_eq!(p.check(&settings, s(2)), None);
        assert_eq!(p.deadline(&settings, s(2)), s(3));
        assert_eq!(p.check(&settings, s(3)), Some(Finding::Missing));
        assert_eq!(p.check(&settings, s(4)), None);
        p.alive(s(20));
        assert_eq!(p.check(&settings, s(30)), None);
        assert_eq!((p.deadline(&settings, s(30)), p.deadline(&settings, s(49))), (s(31), s(50)));
        assert_eq!(p.check(&settings, s(50)), Some(Finding::Dead));
        assert_eq!(p.check(&settings, s(51)), None);
        assert!(p.heard(s(52)) && !p.heard(s(53)));
    }
}
