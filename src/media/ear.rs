//! What the switch itself listens to on a leg: keys in its sound, and whether anybody speaks. Packets are heard as they come.

use arrayvec::ArrayVec;

use crate::clock::Mono;
use crate::codec::{Codec, Decoder, Resampler};
use crate::rtp::Press;

use super::Sink;
use super::blending::Keyed;
use super::leg::Leg;
use super::voice::samples;
use super::worker::tone_report;

/// Of what is listened to, in Hz.
const RATE: u32 = 8_000;

/// Mean magnitude of a packet's samples that may be speech: 44 dB below the loudest that G.711 has. Speech is above -35 dB, a quiet room
/// and comfort noise below -55; in a car nobody is ever silent, and a message ends otherwise.
const LOUD: u32 = 200;

#[derive(Debug)]
pub struct Ear {
    codec: Codec,
    /// Of what is decoded, in Hz.
    rate: u32,
    decoder: Decoder,
    resampler: Option<Resampler>,
    decoded: Vec<i16>,
    heard: Vec<i16>,
}

impl Ear {
    fn new(codec: Codec) -> Ear {
        let rate = codec.rate_for(RATE);
        Ear {
            codec,
            rate,
            decoder: Decoder::at(codec, rate),
            resampler: (rate != RATE).then(|| Resampler::new(rate, RATE)),
            decoded: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// A packet's samples at 8 kHz; nothing of one that cannot be decoded.
    fn hear(&mut self, payload: &[u8]) -> &[i16] {
        self.decoded.clear();
        self.heard.clear();
        if self.decoder.decode(payload, &mut self.decoded).is_err() {
            return &[];
        }
        let Some(resampler) = &mut self.resampler else { return &self.decoded };
        for frame in self.decoded.chunks_exact(samples(self.rate)) {
            resampler.process(frame, &mut self.heard);
        }
        &self.heard
    }
}

/// Listens to a packet of a leg, where anybody wants to know. `late`: it came after the next ones; one or two that are missing are bridged
/// by the detector's patience.
pub fn listen(leg: &mut Leg, codec: Codec, payload: &[u8], late: bool, now: Mono, keyed: &mut Keyed, out: &mut impl Sink) {
    if late || (leg.in_band.is_none() && leg.quiet.is_none()) {
        return;
    }
    if leg.ear.as_ref().is_none_or(|ear| ear.codec != codec) {
        leg.ear = Some(Box::new(Ear::new(codec)));
    }
    let (Some(ear), id) = (leg.ear.as_mut(), leg.id) else { return };
    let heard = ear.hear(payload);
    if let Some(detector) = leg.in_band.as_mut() {
        let before = detector.pressed();
        let mut ended: ArrayVec<Press, 8> = ArrayVec::new();
        detector.samples(heard.iter().copied(), |tone| {
            out.report(tone_report(id, tone));
            // A packet has no room for more; what it would have is in the sound.
            let _ = ended.try_push(Press { digit: tone.digit, duration: tone.duration });
        });
        // One that was being pressed is let go first.
        let released = before.filter(|_| !ended.is_empty());
        *keyed = Keyed {
            released,
            whole: ended.into_iter().skip(usize::from(released.is_some())).take(2).collect(),
            pressed: detector.pressed().filter(|_| before.is_none() || released.is_some()),
            in_sound: true,
            suspected: detector.suspects() || detector.pressed().is_some(),
            clock_rate: None,
        };
    }
    if let Some(quiet) = leg.quiet.as_mut()
        && is_loud(heard)
    {
        quiet.since = now;
    }
}

fn is_loud(heard: &[i16]) -> bool {
    let sum: u64 = heard.iter().map(|s| u64::from(s.unsigned_abs())).sum();
    !heard.is_empty() && sum >= u64::from(LOUD) * heard.len() as u64
}
