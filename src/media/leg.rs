//! A leg's media: its agreement, its latches, what it hears and who hears it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::{LegId, RecordingId};
use crate::rtp::{COMFORT_NOISE, DigitDetector, srtp};

use super::absence::{Clues, Sounds};
use super::blend::Blend;
use super::ear::Ear;
use super::keying::Keying;
use super::latch::{Latch, RtcpLatch};
use super::play::Play;
use super::rating::Watch;
use super::relay::Outgoing;
use super::rtcp::Control;
use super::secure::Secure;
use super::stats::Incoming;
use super::voice::Voice;
use super::worker::{Settings, Slot, Timer};
use super::{Absence, Clip, ClipName, Quality, Session, dtmf};

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
    /// The codec of what it says: that of its last packet of sound, or the agreed one.
    pub speaks: Codec,
    /// Packets of another codec in a row.
    pub others: u8,
    /// Where a listener needs its words decoded.
    pub voice: Option<Box<Voice>>,
    /// Where what it hears is encoded here.
    pub blend: Option<Box<Blend>>,
    /// Keys that it is being sent.
    pub keying: Option<Box<Keying>>,
    /// Makes them tones, where nothing else is encoded here.
    pub tones: Option<Box<Blend>>,
    /// The timestamp of the one that it is being sent by telephone-event.
    pub key_began: Option<u32>,
    pub recording: Option<RecordingId>,
    pub digits: DigitDetector,
    /// Of the key that it pressed last, in Hz.
    pub digits_clock: u32,
    /// Listens for keys in the sound, where telephone-event was not negotiated.
    pub in_band: Option<Box<dtmf::Detector>>,
    /// Where the switch listens itself.
    pub ear: Option<Box<Ear>>,
    pub presence: Presence,
    /// Somebody waits for it to fall silent.
    pub quiet: Option<Quiet>,
    pub control: Control,
    pub watch: Watch,
    pub clues: Clues,
    pub sounds: Sounds,
    /// A sound of its own, brought for it alone.
    pub brought: Option<(ClipName, Arc<Clip>)>,
    /// Where this leg left the music.
    pub music_at: usize,
    pub due: Due,
}

impl Leg {
    /// What its media has been like so far.
    pub fn quality(&self) -> Quality {
        let encrypted = self.path.as_ref().is_some_and(|p| p.secure.is_some());
        Quality { encrypted, ..self.incoming.quality(self.path.as_ref().map(|p| p.session.codec), self.outgoing.packets) }
    }
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
    Legs(Vec<Heard>),
    Play(Play),
}

/// One of those whom a leg hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub leg: LegId,
    /// `None` while that leg is not open.
    pub index: Option<u32>,
}

impl Hears {
    /// Indices of the open legs among those who are heard.
    pub fn speakers(&self) -> impl Iterator<Item = u32> {
        let legs = match self {
            Hears::Legs(legs) => legs.as_slice(),
            Hears::Nothing | Hears::Play(_) => &[],
        };
        legs.iter().filter_map(|heard| heard.index)
    }
}

/// What a payload type means on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Sound(Codec),
    /// Of telephone-event at this clock rate, in Hz.
    Event(u32),
    /// Noise parameters; nobody negotiated them, so they end here.
    ComfortNoise,
}

impl Path {
    pub fn new(session: Session) -> Path {
        let secure = session.srtp.as_ref().map(|pair| Box::new(Secure::new(pair.clone())));
        Path { rtp: Latch::new(session.remote), rtcp: RtcpLatch::new(session.remote_rtcp), secure, session }
    }

    /// A further agreement; whether it is another one.
    pub fn agree(&mut self, session: Session, now: Mono) -> bool {
        self.rtcp.agree(session.remote_rtcp, &self.rtp);
        self.rtp.agree(session.remote, now);
        match (&mut self.secure, &session.srtp) {
            (Some(secure), Some(pair)) => secure.agree(pair),
            (secure, pair) => *secure = pair.as_ref().map(|pair| Box::new(Secure::new(pair.clone()))),
        }
        let changed = self.session != session;
        self.session = session;
        changed
    }

    /// Encrypted from now on, under these keys.
    pub fn key(&mut self, pair: srtp::Pair) {
        match &mut self.secure {
            Some(secure) => secure.agree(&pair),
            none => *none = Some(Box::new(Secure::new(pair.clone()))),
        }
        self.session.srtp = Some(pair);
    }

    /// What a payload type means, and whether it is agreed to the letter. Either G.711 by its fixed number is taken as well: some peers
    /// answer with one and send the other. It convinces no latch.
    #[inline]
    pub fn meaning(&self, payload_type: u8) -> Option<(Meaning, bool)> {
        let s = &self.session;
        if let Some((_, codec)) = s.receives.iter().find(|(number, _)| *number == payload_type) {
            Some((Meaning::Sound(*codec), true))
        } else if let Some((_, clock_rate)) =
            s.telephone_events_in.iter().chain(&s.telephone_event).find(|(number, _)| *number == payload_type)
        {
            Some((Meaning::Event(*clock_rate), true))
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

/// No sample of silence is above this: the least steps of G.711 about zero.
const LEAST_SOUND: u16 = 16;

/// Whether a packet is nothing but silence, as no microphone gives it. Told of G.711 alone: others would have to be decoded for it.
pub fn is_silence(codec: Codec, payload: &[u8]) -> bool {
    codec.g711().is_some_and(|law| payload.iter().all(|b| law.decode(*b).unsigned_abs() <= LEAST_SOUND))
}

/// When each of a leg's timers is due. An entry of the worker's heap that does not agree is stale.
#[derive(Clone, Copy, Debug, Default)]
pub struct Due {
    pub play: Option<Mono>,
    pub report: Option<Mono>,
    pub check: Option<Mono>,
    pub digit: Option<Mono>,
    pub quiet: Option<Mono>,
    pub key: Option<Mono>,
}

impl Due {
    pub fn of(&mut self, timer: Timer) -> &mut Option<Mono> {
        match timer {
            Timer::Play => &mut self.play,
            Timer::Report => &mut self.report,
            Timer::Check => &mut self.check,
            Timer::Digit => &mut self.digit,
            Timer::Quiet => &mut self.quiet,
            Timer::Key => &mut self.key,
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
    /// Told, with this as the cause.
    missing: Option<Absence>,
    dead: bool,
}

/// What a check finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Missing(Absence),
    Dead,
}

impl Presence {
    pub fn new(now: Mono) -> Presence {
        Presence { heard: now, alive: now, missing: None, dead: false }
    }

    /// Time counts from here: an agreement may have ended a hold.
    pub fn agree(&mut self, now: Mono) {
        self.heard = now;
        self.alive = now;
        // One that was silent before its call was answered is judged from the answer on.
        self.dead = false;
    }

    /// An RTP packet came: why they were missing, if they were.
    #[inline]
    pub fn heard(&mut self, now: Mono) -> Option<Absence> {
        self.heard = now;
        self.alive = now;
        self.missing.take()
    }

    /// An RTCP packet came.
    pub fn alive(&mut self, now: Mono) {
        self.alive = now;
    }

    /// `ever`: some packet was accepted before.
    pub fn check(&mut self, settings: &Settings, clues: &Clues, ever: bool, now: Mono) -> Option<Finding> {
        if !self.dead && now.since(self.alive) >= settings.dead_after {
            self.dead = true;
            Some(Finding::Dead)
        } else if self.missing.is_none() && now.since(self.heard) >= settings.missing_after {
            let cause = clues.cause(ever, self.heard, self.alive);
            self.missing = Some(cause);
            Some(Finding::Missing(cause))
        } else {
            None
        }
    }

    /// When the next check may find something; packets until then move it. While packets are missing it looks every second, because
    /// what brings them back does not move the timer.
    pub fn deadline(&self, settings: &Settings, now: Mono) -> Mono {
        let missing = if self.missing.is_some() { now + Duration::from_secs(1) } else { self.heard + settings.missing_after };
        if self.dead { missing } else { missing.min(self.alive + settings.dead_after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_keep_a_leg_alive_but_do_not_hide_missing_sound() {
        let settings = Settings {
            missing_after: Duration::from_secs(3),
            dead_after: Duration::from_secs(30),
            country: *b"DE",
            seed: 0,
            degraded_below: 3.6,
        };
        let mut p = Presence::new(Mono::ZERO);
        let s = |s: u64| Mono::from_millis(s * 1_000);
        let check = |p: &mut Presence, at| p.check(&settings, &Clues::default(), false, s(at));
        assert_eq!(check(&mut p, 2), None);
        assert_eq!(p.deadline(&settings, s(2)), s(3));
        assert_eq!(check(&mut p, 3), Some(Finding::Missing(Absence::NeverCame)));
        assert_eq!(check(&mut p, 4), None);
        p.alive(s(20));
        assert_eq!(check(&mut p, 30), None);
        assert_eq!((p.deadline(&settings, s(30)), p.deadline(&settings, s(49))), (s(31), s(50)));
        assert_eq!(check(&mut p, 50), Some(Finding::Dead));
        assert_eq!(check(&mut p, 51), None);
        assert!(p.heard(s(52)).is_some() && p.heard(s(53)).is_none());
        p.agree(s(61));
        assert_eq!((check(&mut p, 63), check(&mut p, 64)), (None, Some(Finding::Missing(Absence::NeverCame))));
    }
}
