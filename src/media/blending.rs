//! Which legs are decoded and encoded, and what their timers do: the next packet of a blend, the next step of a key.

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::codec::Codec;
use crate::ids::LegId;
use crate::rtp::srtp::GROWTH;
use crate::rtp::{Fields, HEADER, Press};

use super::blend::{Blend, CLIPS};
use super::due::LATE;
use super::keying::{self, Step};
use super::leg::{Hears, Leg};
use super::relay::Own;
use super::voice::{GRID, Voice, number};
use super::worker::Timer;
use super::{Key, Port, Report, Side, Sink, Slot, Worker, tap};

/// The longest payload that is encoded here: 60 ms of L16.
const PAYLOAD: usize = 1_920;

/// What a leg's packet says anew of keys.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    pub released: Option<char>,
    pub pressed: Option<char>,
    /// Presses of which only the end was seen.
    pub whole: ArrayVec<Press, 2>,
    /// In Hz: of the telephone-event packet that says it, if one does.
    pub clock_rate: Option<u32>,
    /// It is a tone in the sound: who has no telephone-event hears it there.
    pub in_sound: bool,
    /// The packet is of such a tone, or may be the beginning of one: who is sent the key as an event is not to hear it.
    pub suspected: bool,
}

impl Keyed {
    pub fn is_nothing(&self) -> bool {
        self.released.is_none() && self.pressed.is_none() && self.whole.is_empty()
    }
}

/// Whether packets of one codec may go out as another's by a change of each byte at most.
pub fn is_relayed(speaks: Codec, listens: Codec) -> bool {
    speaks == listens || (speaks.g711().is_some() && listens.g711().is_some())
}

impl Worker {
    /// Decides anew how a leg is sent what it hears, relayed or encoded here, and whether those whom it hears are decoded.
    pub(super) fn settle(&mut self, index: u32, now: Mono) {
        let Some(leg) = self.leg_at(index) else { return };
        let slot = leg.slot;
        let session = leg.path.as_ref().map(|path| (path.session.codec, path.session.dtx));
        let wanted = session.filter(|(codec, _)| self.is_encoded(leg, *codec));
        let heard = self.heard_rate(leg);
        let Some(leg) = self.leg_at_mut(index) else { return };
        match wanted {
            Some((codec, dtx)) => {
                let rate = codec.rate_for(heard);
                match &mut leg.blend {
                    // One that could do with less goes on as it is: an encoder that begins anew is heard.
                    Some(blend) if blend.codec() == codec && blend.rate() >= rate => blend.set_dtx(dtx),
                    Some(blend) if blend.codec() == codec => **blend = blend.at(rate, dtx),
                    Some(_) | None => leg.blend = Some(Box::new(Blend::new(codec, rate, dtx))),
                }
                if leg.due.play.is_none() {
                    self.schedule(slot, Timer::Play, now);
                }
            }
            None => {
                if leg.blend.take().is_some() && matches!(leg.hears, Hears::Legs(_)) {
                    leg.due.play = None;
                }
            }
        }
        let speakers: ArrayVec<u32, 32> =
            self.leg_at(index).map(|leg| leg.hears.speakers().take(32).collect()).unwrap_or_default();
        speakers.into_iter().for_each(|speaker| self.settle_voice(speaker));
    }

    /// A leg is another than its listeners have known: it is there, or has another codec.
    pub(super) fn settle_listeners(&mut self, index: u32, now: Mono) {
        let listeners = self.leg_at(index).map(|leg| leg.listeners.clone()).unwrap_or_default();
        listeners.into_iter().for_each(|listener| self.settle(listener, now));
    }

    /// A leg is decoded while somebody hears it so.
    pub(super) fn settle_voice(&mut self, index: u32) {
        let Some(leg) = self.leg_at(index) else { return };
        let blended = |l: &u32| self.leg_at(*l)?.blend.as_ref().map(|blend| blend.rate());
        let wanted = leg.listeners.iter().filter_map(blended).max();
        let Some(leg) = self.leg_at_mut(index) else { return };
        let speaks = leg.speaks;
        match (wanted.map(|rate| speaks.rate_for(rate)), &leg.voice) {
            (None, _) => leg.voice = None,
            (Some(rate), Some(voice)) if voice.codec() == speaks && voice.rate() >= rate => {}
            // Those who hear it go on hearing it, at its rate: a jitter buffer that begins anew is heard by them all.
            (Some(_), Some(voice)) if voice.codec() == speaks && voice.is_under_way() => {}
            (Some(rate), _) => leg.voice = Some(Box::new(Voice::new(speaks, rate))),
        }
        // What comes too late is what the playout says, where there is one.
        leg.incoming.buffered(wanted.is_some());
    }

    /// The highest rate of sound that a leg may hear, in Hz.
    fn heard_rate(&self, leg: &Leg) -> u32 {
        let speaks = |index| self.leg_at(index).map(|speaker| speaker.speaks.sample_rate());
        leg.hears.speakers().filter_map(speaks).max().unwrap_or(CLIPS)
    }

    fn is_encoded(&self, leg: &Leg, codec: Codec) -> bool {
        match &leg.hears {
            Hears::Nothing => false,
            Hears::Play(_) => codec.g711().is_none(),
            Hears::Legs(_) => {
                let mut speakers = leg.hears.speakers();
                match (speakers.next(), speakers.next()) {
                    (None, _) => false,
                    (Some(one), None) => self.leg_at(one).is_some_and(|s| s.path.is_some() && !is_relayed(s.speaks, codec)),
                    (Some(_), Some(_)) => true,
                }
            }
        }
    }

    pub(super) fn blend_due(&mut self, slot: Slot, due: Mono, now: Mono, out: &mut impl Sink) {
        let Some(leg) = self.leg_in(slot) else { return };
        let Some(path) = &leg.path else { return };
        let (session, target) = (&path.session, path.rtp.target());
        let (codec, payload_type, has_events) = (session.codec, session.payload_type, session.telephone_event.is_some());
        let count = usize::from(codec.packet_ms(session.ptime_ms) / 10);
        let sends = session.send;
        let target = target.filter(|_| sends);
        let sounding = leg.keying.as_ref().is_some_and(|k| k.is_sounding());
        let Some(mut blend) = leg.blend.take() else { return };
        let mut hears = std::mem::replace(&mut leg.hears, Hears::Nothing);
        let late = now.since(due) > LATE;
        let from = if late { now } else { due };
        let (own, goes_on, payload) = match &mut hears {
            Hears::Nothing => (Own::Mix, false, None),
            // A peer that is answered where it sends from, and has not sent yet: it misses nothing.
            Hears::Play(play) if sends && target.is_none() => (Own::Play(play.id), true, None),
            Hears::Play(play) if !sends || sounding => (Own::Play(play.id), play.tape.pass(count * 80), None),
            Hears::Play(play) => {
                let (goes_on, payload) = blend.play(play, count);
                (Own::Play(play.id), goes_on, payload)
            }
            Hears::Legs(_) => {
                blend.begin(count);
                for speaker in hears.speakers() {
                    if let Some(voice) = self.leg_at_mut(speaker).and_then(|leg| leg.voice.as_mut()) {
                        blend.add(voice, number(from), now, has_events);
                    }
                }
                // What is not sent is not encoded either: the peer's decoder knows only what it gets.
                let payload = if sounding || target.is_none() { None } else { blend.packet() };
                (Own::Mix, true, payload)
            }
        };
        let length = (count as u64 * GRID.as_millis() as u64 * u64::from(codec.clock_rate()) / 1_000) as u32;
        let sent = target.zip(payload);
        if let (Some(leg), Some((to, payload))) = (self.leg_in(slot), sent) {
            send(leg, to, own, payload_type, codec, payload, (length, late), now, out);
        } else if !sounding && let Some(leg) = self.leg_in(slot) {
            // Time passes without a packet: the next one says so.
            leg.outgoing.splice_anew();
        }
        let Some(leg) = self.leg_in(slot) else { return };
        if goes_on {
            (leg.blend, leg.hears) = (Some(blend), hears);
            self.schedule(slot, Timer::Play, from + GRID * count as u32);
        } else if let Hears::Play(play) = hears {
            out.report(Report::PlayEnded { leg: leg.id, play: play.id });
        }
    }

    /// Keys that a leg is to be sent.
    pub(super) fn press(&mut self, id: LegId, keys: Vec<Key>, now: Mono) {
        let Some(slot) = self.slot(id) else { return };
        let Some(leg) = self.leg_in(slot) else { return };
        leg.keying.get_or_insert_default().order(keys);
        self.begin_keying(slot, now);
    }

    /// A key that a leg presses, for those who hear it and are not relayed its packets.
    pub(super) fn pass_keys(&mut self, index: u32, keyed: Keyed, now: Mono) {
        if keyed.is_nothing() {
            return;
        }
        let listeners = self.leg_at(index).map(|leg| leg.listeners.clone()).unwrap_or_default();
        for listener in listeners {
            let Some(leg) = self.leg_at_mut(listener) else { continue };
            let Some(path) = leg.path.as_ref().filter(|path| !path.session.keys_by_signalling) else { continue };
            let event = path.session.telephone_event;
            if keyed.in_sound && event.is_none() {
                continue;
            }
            if !keyed.in_sound
                && leg.blend.is_none()
                && event.is_some_and(|(_, clock)| keyed.clock_rate.is_none_or(|rate| rate == clock))
            {
                // It is relayed the packets. What was held for it before it was ends all the same.
                if let (Some(digit), Some(keying)) = (keyed.released, leg.keying.as_mut()) {
                    keying.release(digit, now);
                }
                continue;
            }
            let (slot, keying) = (leg.slot, leg.keying.get_or_insert_default());
            if let Some(digit) = keyed.released {
                keying.release(digit, now);
            }
            keying.order(keyed.whole.iter().map(|press| Key { digit: press.digit, duration_ms: 0 }));
            if let Some(digit) = keyed.pressed {
                keying.hold(digit, now);
            }
            self.begin_keying(slot, now);
        }
    }

    /// A leg hears these no more: a key that one of them holds is let go.
    pub(super) fn let_go(&mut self, listener: u32, speakers: impl Iterator<Item = u32>, now: Mono) {
        for speaker in speakers {
            let in_sound = |leg: &Leg| leg.in_band.as_ref().and_then(|detector| detector.pressed());
            let pressed = self.leg_at(speaker).and_then(|leg| leg.digits.pressed().or_else(|| in_sound(leg)));
            if let (Some(digit), Some(leg)) = (pressed, self.leg_at_mut(listener))
                && let Some(keying) = leg.keying.as_mut()
            {
                keying.release(digit, now);
            }
        }
    }

    fn begin_keying(&mut self, slot: Slot, now: Mono) {
        if self.leg_in(slot).is_some_and(|leg| leg.due.key.is_none()) {
            self.schedule(slot, Timer::Key, now);
        }
    }

    pub(super) fn key_due(&mut self, slot: Slot, due: Mono, now: Mono, out: &mut impl Sink) {
        let Some(leg) = self.leg_in(slot) else { return };
        let (Some(keying), Some(path)) = (leg.keying.as_mut(), &leg.path) else { return };
        let session = &path.session;
        let (codec, payload_type, event, dtx) = (session.codec, session.payload_type, session.telephone_event, session.dtx);
        let target = path.rtp.target().filter(|_| session.send);
        let late = now.since(due) > LATE;
        let from = if late { now } else { due };
        match keying.step(from) {
            Step::Done => {
                (leg.keying, leg.tones, leg.key_began) = (None, None, None);
                return;
            }
            // Nothing of two tones may touch in time.
            Step::Pause => leg.outgoing.splice_anew(),
            Step::Key { digit, pressed, first, end } => match (target, event) {
                (None, _) => {}
                (Some(to), Some((event, clock))) => {
                    send_event(leg, to, (event, codec), keying::event(digit, pressed, end, clock), first, now, out)
                }
                // A tone has no end of its own.
                (Some(_), None) if end => {}
                (Some(to), None) => {
                    // By the encoder that the peer's decoder has heard so far.
                    let (mut blend, mut tones) = (leg.blend.take(), leg.tones.take());
                    let encoder = match &mut blend {
                        Some(blend) => blend,
                        None => tones.get_or_insert_with(|| Box::new(Blend::new(codec, codec.rate_for(CLIPS), dtx))),
                    };
                    if let Some(payload) = encoder.tone(digit, pressed) {
                        let length = codec.clock_rate() / 50;
                        send(leg, to, Own::Keys, payload_type, codec, payload, (length, late), now, out);
                    }
                    (leg.blend, leg.tones) = (blend, tones);
                }
            },
        }
        self.schedule(slot, Timer::Key, from + keying::STEP);
    }
}

/// A packet of our own, `length` ticks long.
#[allow(clippy::too_many_arguments, reason = "a packet has as many parts")]
fn send(
    leg: &mut Leg,
    to: std::net::SocketAddr,
    own: Own,
    payload_type: u8,
    codec: Codec,
    payload: &[u8],
    (length, late): (u32, bool),
    now: Mono,
    out: &mut impl Sink,
) {
    let mut packet = [0; HEADER + PAYLOAD + GROWTH];
    let length_of_packet = HEADER + payload.len();
    let Some(bytes) = packet.get_mut(..length_of_packet) else { return };
    let fields = leg.outgoing.own(own, payload_type, length, late, now);
    put(bytes, &fields, payload);
    leg.outgoing.sent(payload.len());
    if let Some(recording) = leg.recording {
        out.tap(tap::frame(recording, Side::Heard, &fields, codec, payload, now));
    }
    emit(leg, to, &mut packet, length_of_packet, out);
}

fn send_event(
    leg: &mut Leg,
    to: std::net::SocketAddr,
    (payload_type, codec): (u8, Codec),
    event: crate::rtp::Event,
    first: bool,
    now: Mono,
    out: &mut impl Sink,
) {
    let began = leg.key_began.filter(|_| !first);
    let fields = leg.outgoing.event(payload_type, began, now);
    leg.key_began = Some(fields.timestamp);
    let payload = event.to_bytes();
    let mut packet = [0; HEADER + 4 + GROWTH];
    put(&mut packet[..HEADER + 4], &fields, &payload);
    leg.outgoing.sent(payload.len());
    if let Some(recording) = leg.recording {
        out.tap(tap::frame(recording, Side::Heard, &fields, codec, &[], now));
    }
    emit(leg, to, &mut packet, HEADER + 4, out);
}

/// Sends a packet, encrypted where that is agreed: `packet` has room behind its length for it.
fn emit(leg: &mut Leg, to: std::net::SocketAddr, packet: &mut [u8], length: usize, out: &mut impl Sink) {
    let secure = leg.path.as_mut().and_then(|path| path.secure.as_mut());
    let length = match secure {
        Some(secure) => secure.seal(Port::Rtp, packet, length),
        None => Some(length),
    };
    if let Some(sealed) = length.and_then(|length| packet.get(..length)) {
        out.send(leg.slot, leg.id, Port::Rtp, to, sealed);
    }
}

fn put(packet: &mut [u8], fields: &Fields, payload: &[u8]) {
    let Some((header, rest)) = packet.split_first_chunk_mut() else { return };
    fields.write(header);
    rest.copy_from_slice(payload);
}
