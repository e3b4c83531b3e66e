//! The legs of one worker thread as a plain value: commands and timers.
//!
//! Legs lie in a slab, so that a packet finds its leg by index. Timers lie in one heap; an entry counts only if the leg still says the
//! same time, so moving a timer costs nothing but a stale entry that is thrown away when it comes up. What they do is in `due`, what
//! happens to a packet in `receive`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::{LegId, RecordingId};
use crate::rtp::{DigitDetector, Press, srtp};

use super::absence::{Clues, Sounds};
use super::leg::{Due, Heard, Hears, Leg, Path, Presence, Quiet};
use super::play::{Play, Tape};
use super::rating::Watch;
use super::relay::Outgoing;
use super::rtcp::{self, Control};
use super::stats::Incoming;
use super::{Audio, Clip, ClipName, Clips, Command, DigitVia, Frame, PlayId, Quality, Report, Session, Source, dtmf, tone};

/// A leg that another worker is to hand over is waited for so long: longer than that worker tries to.
const EXPECTED_FOR: Duration = Duration::from_secs(5);

/// Commands that wait for it: what a leg is told in that time, many times over. Beyond it the leg is given up.
const MOST_WAITING: usize = 64;

/// What all legs of a worker share.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub missing_after: Duration,
    pub dead_after: Duration,
    /// ISO 3166 alpha-2: the tones' cadence.
    pub country: [u8; 2],
    /// A leg whose opinion score falls below this is told of; 1 tells of none.
    pub degraded_below: f32,
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

/// A received datagram that goes on: send `buffer[start..start + len]` of it from the RTP socket of `slot`.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Play,
    Report,
    Check,
    Digit,
    Quiet,
    Key,
}

/// A leg between two workers.
#[derive(Debug)]
pub struct Moving(Box<Leg>);

impl Moving {
    pub fn leg(&self) -> LegId {
        self.0.id
    }

    /// The recording that has its audio.
    pub fn recording(&self) -> Option<RecordingId> {
        self.0.recording
    }
}

/// A leg that is not here yet.
#[derive(Debug)]
struct Expected {
    until: Mono,
    waiting: Vec<Command>,
}

#[derive(Debug, Default)]
pub(super) struct Place {
    pub generation: u32,
    pub leg: Option<Leg>,
}

/// The legs of one worker. Pure: the driver brings commands, packets and time.
#[derive(Debug)]
pub struct Worker {
    pub(super) settings: Settings,
    pub(super) places: Vec<Place>,
    free: Vec<u32>,
    by_id: BTreeMap<LegId, u32>,
    /// Legs that another worker hands over, with the commands that have come for them.
    expected: BTreeMap<LegId, Expected>,
    timers: BinaryHeap<Reverse<(Mono, Slot, Timer)>>,
    chance: ChaCha8Rng,
    ringback: Arc<Clip>,
    busy: Arc<Clip>,
    /// Whose timer is being served.
    at_hand: Option<LegId>,
}

impl Worker {
    pub fn new(settings: Settings) -> Worker {
        Worker {
            chance: ChaCha8Rng::seed_from_u64(settings.seed),
            ringback: Arc::new(tone::ringback(settings.country)),
            busy: Arc::new(tone::busy(settings.country)),
            places: Vec::new(),
            free: Vec::new(),
            by_id: BTreeMap::new(),
            expected: BTreeMap::new(),
            timers: BinaryHeap::new(),
            at_hand: None,
            settings,
        }
    }

    /// The slot of an open leg.
    pub fn slot(&self, leg: LegId) -> Option<Slot> {
        let index = *self.by_id.get(&leg)?;
        self.leg_at(index).map(|l| l.slot)
    }

    /// Open legs.
    pub fn legs(&self) -> usize {
        self.by_id.len()
    }

    /// Carries out a command. One for a leg that is not open does nothing: it has crossed with the leg's end.
    pub fn handle(&mut self, command: Command, clips: &Clips, now: Mono, out: &mut impl Sink) {
        if let Some(expected) = self.expected.get_mut(&command.leg()) {
            if expected.waiting.len() >= MOST_WAITING {
                expected.until = now;
            } else {
                expected.waiting.push(command);
            }
            return;
        }
        match command {
            Command::Open { leg, lease: _ } => {
                if self.by_id.contains_key(&leg) {
                    self.close(leg, now, out);
                }
                self.open(leg, now);
            }
            Command::Agree { leg, session } => self.agree(leg, session, now),
            Command::Hear { leg, source } => self.hear(leg, source, clips, now, out),
            Command::Tap { leg, recording } => self.set_tap(leg, Some(recording)),
            Command::Untap { leg } => self.set_tap(leg, None),
            Command::Listen { leg, quiet } => self.listen(leg, quiet, now),
            Command::Press { leg, keys } => self.press(leg, keys, now),
            Command::Expect { leg } => {
                self.expected.insert(leg, Expected { until: now + EXPECTED_FOR, waiting: Vec::new() });
            }
            // The driver's: it has the other worker ([`Worker::hand_over`]), and what is below a browser's RTP.
            Command::HandOver { .. } | Command::Trickle { .. } => {}
            Command::Close { leg } => self.close(leg, now, out),
        }
    }

    /// A leg that agrees on its keys by itself has them: from now on it is encrypted under these.
    pub fn key(&mut self, slot: Slot, keys: srtp::Pair) {
        if let Some(path) = self.leg_in(slot).and_then(|leg| leg.path.as_mut()) {
            path.key(keys);
        }
    }

    /// Takes a leg out, for another worker to [`adopt`](Worker::adopt); nothing if it is not here.
    pub fn hand_over(&mut self, leg: LegId, now: Mono) -> Option<Moving> {
        self.remove(leg, now).map(|leg| Moving(Box::new(leg)))
    }

    /// A leg that another worker has handed over. What it was told meanwhile is due now ([`Worker::arrived`]).
    pub fn adopt(&mut self, moving: Moving, now: Mono) -> Option<Slot> {
        let mut leg = *moving.0;
        let mut due = std::mem::take(&mut leg.due);
        // Whatever it had to play ended when it was handed over.
        due.play = None;
        leg.presence.agree(now);
        let slot = self.put(leg)?;
        self.settle_listeners(slot.index, now);
        for timer in [Timer::Report, Timer::Check, Timer::Digit, Timer::Quiet, Timer::Key] {
            if let Some(at) = *due.of(timer) {
                self.schedule(slot, timer, at);
            }
        }
        Some(slot)
    }

    /// Another worker is to hand this leg over.
    pub fn expects(&self, leg: LegId) -> bool {
        self.expected.contains_key(&leg)
    }

    /// The commands that have come for a leg before the leg itself, in order.
    pub fn arrived(&mut self, leg: LegId) -> Vec<Command> {
        self.expected.remove(&leg).map(|expected| expected.waiting).unwrap_or_default()
    }

    /// The leg that was expected has ended where it was, and was reported there.
    pub fn expect_no_more(&mut self, leg: LegId) {
        self.expected.remove(&leg);
    }

    /// Does what is due: plays, reports, checks for silence.
    pub fn tick(&mut self, now: Mono, out: &mut impl Sink) {
        self.expected.retain(|leg, expected| {
            let waits = expected.until > now;
            if !waits {
                out.report(Report::Dead { leg: *leg });
                out.report(Report::Closed { leg: *leg, quality: Quality::default() });
            }
            waits
        });
        while let Some(Reverse((at, slot, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(leg) = self.leg_in(slot) else { continue };
            let (id, due) = (leg.id, leg.due.of(timer));
            if *due != Some(at) {
                continue;
            }
            *due = None;
            self.at_hand = Some(id);
            match timer {
                Timer::Play => self.play_due(slot, at, now, out),
                Timer::Report => self.report_due(slot, now, out),
                Timer::Check => self.check_due(slot, now, out),
                Timer::Digit => self.digit_due(slot, now, out),
                Timer::Quiet => self.quiet_due(slot, now, out),
                Timer::Key => self.key_due(slot, at, now, out),
            }
        }
        self.at_hand = None;
        // Nobody is to be woken for a leg that is gone.
        while let Some(Reverse((at, slot, timer))) = self.timers.peek().copied()
            && self.due(slot, timer) != Some(at)
        {
            self.timers.pop();
        }
    }

    /// When `tick` is due next.
    pub fn deadline(&self) -> Option<Mono> {
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        timer.into_iter().chain(self.expected.values().map(|expected| expected.until)).min()
    }

    /// The leg over whose timer [`Worker::tick`] has not come to its end: it panicked.
    pub fn interrupted(&mut self) -> Option<LegId> {
        self.at_hand.take()
    }

    /// Ends a leg that the driver caught panicking: it is dropped as it is, without a word on the wire.
    pub fn evict(&mut self, leg: LegId, now: Mono, out: &mut impl Sink) {
        let Some(index) = self.by_id.get(&leg).copied() else { return };
        if let Some(leg) = self.remove(leg, now) {
            out.report(Report::Dead { leg: leg.id });
            out.report(Report::Closed { leg: leg.id, quality: leg.quality() });
        }
        // What it heard may have been taken out when it panicked. Whoever gets its place must not hear those in its stead.
        for speaker in 0..self.places.len() as u32 {
            let Some(leg) = self.leg_at_mut(speaker).filter(|leg| leg.listeners.contains(&index)) else { continue };
            leg.listeners.retain(|listener| *listener != index);
            self.settle_voice(speaker);
        }
    }

    pub(super) fn leg_at(&self, index: u32) -> Option<&Leg> {
        self.places.get(index as usize)?.leg.as_ref()
    }

    pub(super) fn leg_at_mut(&mut self, index: u32) -> Option<&mut Leg> {
        self.places.get_mut(index as usize)?.leg.as_mut()
    }

    pub(super) fn leg_in(&mut self, slot: Slot) -> Option<&mut Leg> {
        self.leg_at_mut(slot.index).filter(|l| l.slot == slot)
    }

    fn leg_by_id(&mut self, leg: LegId) -> Option<&mut Leg> {
        let index = *self.by_id.get(&leg)?;
        self.leg_at_mut(index)
    }

    fn open(&mut self, id: LegId, now: Mono) {
        // The lower half, so that what is lost at the start hides no rollover from SRTP (RFC 3711 §3.3.1).
        let (sequence, cname) = (self.chance.next_u32() as u16 & 0x7fff, format!("{:016x}", self.chance.next_u64()));
        let outgoing = Outgoing::new(self.chance.next_u32(), sequence, self.chance.next_u32());
        let slot = self.put(Leg {
            id,
            slot: Slot { index: 0, generation: 0 },
            path: None,
            incoming: Incoming::default(),
            outgoing,
            hears: Hears::Nothing,
            listeners: Vec::new(),
            speaks: Codec::Pcma,
            others: 0,
            voice: None,
            blend: None,
            keying: None,
            tones: None,
            key_began: None,
            recording: None,
            digits: DigitDetector::default(),
            digits_clock: 8_000,
            in_band: None,
            ear: None,
            presence: Presence::new(now),
            quiet: None,
            control: Control::new(cname, sequence),
            watch: Watch::default(),
            clues: Clues::default(),
            sounds: Sounds::default(),
            brought: None,
            music_at: 0,
            due: Due::default(),
        });
        if let Some(slot) = slot {
            self.settle_listeners(slot.index, now);
        }
    }

    /// Gives a leg its place.
    fn put(&mut self, mut leg: Leg) -> Option<Slot> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let place = self.places.get_mut(index as usize)?;
        place.generation = place.generation.wrapping_add(1);
        let (id, slot) = (leg.id, Slot { index, generation: place.generation });
        leg.slot = slot;
        leg.listeners.clear();
        place.leg = Some(leg);
        self.by_id.insert(id, index);
        self.join_those_who_wait_for(id, index);
        Some(slot)
    }

    /// A leg may be told to hear another one before that is open.
    fn join_those_who_wait_for(&mut self, id: LegId, index: u32) {
        let mut waiting = Vec::new();
        for leg in self.places.iter_mut().filter_map(|p| p.leg.as_mut()) {
            if let Hears::Legs(legs) = &mut leg.hears
                && let Some(heard) = legs.iter_mut().find(|heard| heard.leg == id)
            {
                heard.index = Some(index);
                waiting.push(leg.slot.index);
            }
        }
        if let Some(leg) = self.leg_at_mut(index) {
            leg.listeners = waiting;
        }
    }

    fn agree(&mut self, id: LegId, session: Session, now: Mono) {
        let Some(leg) = self.leg_by_id(id) else { return };
        let keys_go_by = |session: &Session| (session.codec.clock_rate(), session.telephone_event);
        let before = leg.path.as_ref().map(|path| keys_go_by(&path.session));
        let has_events = session.telephone_event.is_some() || !session.telephone_events_in.is_empty();
        let changed = match &mut leg.path {
            None => {
                leg.path = Some(Path::new(session));
                true
            }
            Some(path) => path.agree(session, now),
        };
        leg.in_band = match has_events {
            true => None,
            false => leg.in_band.take().or_else(|| Some(Box::default())),
        };
        if changed && let Some(path) = &leg.path {
            if !path.session.receives.iter().any(|(_, codec)| *codec == leg.speaks) {
                leg.speaks = path.session.codec;
            }
            leg.outgoing.set_clock_rate(path.session.codec.clock_rate());
            leg.tones = None;
            // A key that is being sent goes on as the event that it has begun as, where the numbers allow it.
            if before != Some(keys_go_by(&path.session)) {
                leg.key_began = None;
            }
        }
        leg.presence.agree(now);
        let (slot, due, presence) = (leg.slot, leg.due, leg.presence);
        let waits_for_keys = leg.keying.is_some() && due.key.is_none();
        let plays = matches!(leg.hears, Hears::Play(_));
        let check = presence.deadline(&self.settings, now);
        if changed {
            self.splice_listeners(slot.index);
            self.settle(slot.index, now);
            self.settle_listeners(slot.index, now);
        }
        if due.check.is_none() {
            self.schedule(slot, Timer::Check, check);
        }
        if due.report.is_none() {
            self.schedule_report(slot, now);
        }
        if plays && due.play.is_none() {
            self.schedule(slot, Timer::Play, now);
        }
        // They were pressed before there was anywhere to send them.
        if waits_for_keys {
            self.schedule(slot, Timer::Key, now);
        }
    }

    /// What they hear of this leg begins anew after a pause that we do not want to be counted as loss.
    fn splice_listeners(&mut self, index: u32) {
        let listeners = self.leg_at(index).map(|l| l.listeners.clone()).unwrap_or_default();
        for listener in listeners {
            if let Some(leg) = self.leg_at_mut(listener) {
                leg.outgoing.splice_anew();
            }
        }
    }

    fn set_tap(&mut self, id: LegId, recording: Option<RecordingId>) {
        if let Some(leg) = self.leg_by_id(id) {
            leg.recording = recording;
        }
    }

    fn listen(&mut self, id: LegId, quiet: Option<Duration>, now: Mono) {
        let Some(leg) = self.leg_by_id(id) else { return };
        leg.quiet = quiet.map(|after| Quiet { after, since: now });
        leg.due.quiet = None;
        let slot = leg.slot;
        if let Some(after) = quiet {
            self.schedule(slot, Timer::Quiet, now + after);
        }
    }

    fn hear(&mut self, id: LegId, source: Source, clips: &Clips, now: Mono, out: &mut impl Sink) {
        let Some(slot) = self.slot(id) else { return };
        let left = self.leave_source(slot.index);
        self.let_go(slot.index, left.speakers(), now);
        let hears = match source {
            Source::Nothing => Hears::Nothing,
            Source::Leg(other) => self.hear_legs(slot.index, vec![other]),
            Source::Mix(others) => self.hear_legs(slot.index, others),
            Source::Play(play, audio) => {
                let music_at = self.leg_in(slot).map_or(0, |l| l.music_at);
                let tape = self.tape(id, play, audio, music_at, clips, out);
                let under = match &left {
                    Hears::Play(play) => play.under(),
                    Hears::Nothing | Hears::Legs(_) => None,
                };
                Hears::Play(Play::new(play, tape, under))
            }
        };
        let plays = matches!(hears, Hears::Play(_));
        let mixed = matches!(hears, Hears::Legs(_)) && matches!(left, Hears::Legs(_));
        let Some(leg) = self.leg_in(slot) else { return };
        leg.hears = hears;
        // One who hears others in a mix already goes on at its pace.
        if !mixed {
            leg.due.play = None;
            leg.outgoing.splice_anew();
        }
        if plays && leg.path.is_some() {
            self.schedule(slot, Timer::Play, now);
        }
        self.settle(slot.index, now);
        left.speakers().for_each(|speaker| self.settle_voice(speaker));
    }

    fn hear_legs(&mut self, listener: u32, mut legs: Vec<LegId>) -> Hears {
        legs.sort_unstable();
        legs.dedup();
        let mut heard = Vec::with_capacity(legs.len());
        for leg in legs {
            let index = self.by_id.get(&leg).copied();
            // Nobody hears himself.
            if index == Some(listener) {
                continue;
            }
            if let Some(speaker) = index.and_then(|i| self.leg_at_mut(i)) {
                speaker.listeners.push(listener);
            }
            heard.push(Heard { leg, index });
        }
        Hears::Legs(heard)
    }

    /// A sound that this leg alone may be told to play, instead of the one that it had.
    pub fn bring(&mut self, leg: LegId, name: ClipName, clip: Arc<Clip>) {
        if let Some(leg) = self.leg_by_id(leg) {
            leg.brought = Some((name, clip));
        }
    }

    fn brought(&self, leg: LegId, name: &ClipName) -> Option<&Arc<Clip>> {
        let leg = self.leg_at(*self.by_id.get(&leg)?)?;
        leg.brought.as_ref().filter(|(brought, _)| brought == name).map(|(_, clip)| clip)
    }

    fn tape(&self, leg: LegId, play: PlayId, audio: Audio, music_at: usize, clips: &Clips, out: &mut impl Sink) -> Tape {
        match audio {
            Audio::Prompt(names) => {
                let mut found = std::collections::VecDeque::with_capacity(names.len());
                for clip in names {
                    let own = || self.brought(leg, &clip);
                    match clips.prompt(&clip).or_else(own) {
                        Some(sound) => found.push_back(sound.clone()),
                        None => out.report(Report::ClipMissing { leg, play, clip }),
                    }
                }
                Tape::Once { clips: found, at: 0 }
            }
            Audio::Music(own) => {
                let found = own.as_ref().and_then(|name| clips.prompt(name)).filter(|clip| !clip.is_empty()).cloned();
                if let Some(clip) = own.filter(|_| found.is_none()) {
                    out.report(Report::ClipMissing { leg, play, clip });
                }
                let clip = found.unwrap_or_else(|| clips.music().clone());
                // Where another one was left may be beyond its end.
                let at = music_at % clip.len().max(1);
                Tape::Loop { clip, at, music: true }
            }
            Audio::Ringback => Tape::Loop { clip: self.ringback.clone(), at: 0, music: false },
            Audio::Busy => Tape::Loop { clip: self.busy.clone(), at: 0, music: false },
        }
    }

    /// Ends what a leg hears; what that was.
    fn leave_source(&mut self, index: u32) -> Hears {
        let Some(leg) = self.leg_at_mut(index) else { return Hears::Nothing };
        let left = std::mem::replace(&mut leg.hears, Hears::Nothing);
        if let Hears::Play(Play { tape: Tape::Loop { at, music: true, .. }, .. }) = &left {
            leg.music_at = *at;
        }
        for speaker in left.speakers() {
            if let Some(speaker) = self.leg_at_mut(speaker) {
                speaker.listeners.retain(|l| *l != index);
            }
        }
        left
    }

    fn close(&mut self, id: LegId, now: Mono, out: &mut impl Sink) {
        let Some(mut leg) = self.remove(id, now) else { return };
        if let Some((to, bytes)) = rtcp::report(&mut leg, true, now) {
            out.send(leg.slot, id, Port::Rtcp, to, &bytes);
        }
        if let Some(tone) = leg.in_band.as_mut().and_then(|d| d.interrupted()) {
            out.report(tone_report(id, tone));
        }
        out.report(Report::Closed { leg: id, quality: leg.quality() });
    }

    fn remove(&mut self, id: LegId, now: Mono) -> Option<Leg> {
        let index = self.by_id.remove(&id)?;
        let left = self.leave_source(index);
        // It may go on elsewhere, where nobody would let go of the key that it is being sent.
        self.let_go(index, left.speakers(), now);
        let listeners = self.leg_at(index).map(|leg| leg.listeners.clone()).unwrap_or_default();
        listeners.iter().for_each(|listener| self.let_go(*listener, std::iter::once(index), now));
        left.speakers().for_each(|speaker| self.settle_voice(speaker));
        let mut leg = self.places.get_mut(index as usize)?.leg.take()?;
        (leg.voice, leg.blend) = (None, None);
        for listener in &leg.listeners {
            if let Some(Leg { hears: Hears::Legs(legs), .. }) = self.leg_at_mut(*listener) {
                legs.retain(|heard| heard.leg != id);
            }
            self.settle(*listener, now);
        }
        self.free.push(index);
        Some(leg)
    }

    fn due(&mut self, slot: Slot, timer: Timer) -> Option<Mono> {
        *self.leg_in(slot)?.due.of(timer)
    }

    pub(super) fn schedule(&mut self, slot: Slot, timer: Timer, at: Mono) {
        let Some(leg) = self.leg_in(slot) else { return };
        *leg.due.of(timer) = Some(at);
        self.timers.push(Reverse((at, slot, timer)));
    }

    /// Half to one and a half of the interval from now (RFC 3550 §6.2).
    pub(super) fn schedule_report(&mut self, slot: Slot, now: Mono) {
        let us = rtcp::INTERVAL.as_micros() as u64;
        let wait = us / 2 + u64::from(self.chance.next_u32()) % us;
        self.schedule(slot, Timer::Report, now + Duration::from_micros(wait));
    }

    pub(super) fn schedule_digit(&mut self, slot: Slot) {
        let Some(leg) = self.leg_in(slot) else { return };
        if leg.due.digit.is_none()
            && let Some(at) = leg.digits.deadline()
        {
            self.schedule(slot, Timer::Digit, at);
        }
    }
}

/// `clock_rate` is that of its telephone-event.
pub(super) fn press_report(leg: LegId, press: Press, clock_rate: u32) -> Report {
    let duration_ms = (u64::from(press.duration) * 1_000 / u64::from(clock_rate.max(1))) as u32;
    Report::Digit { leg, digit: press.digit, duration_ms, via: DigitVia::Rfc4733 }
}

/// Of a detector at 8 kHz.
pub(super) fn tone_report(leg: LegId, tone: dtmf::Tone) -> Report {
    Report::Digit { leg, digit: tone.digit, duration_ms: tone.duration / 8, via: DigitVia::InBand }
}
