//! A leg whose words somebody hears decoded: its playout, and what it gives at the rates that the listeners need.
//!
//! Listeners ask for frames of a common grid of 10 ms ([`number`]), so several of them share one decoding and one resampling a rate,
//! whatever their own pace is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Mono;
use crate::codec::{Codec, Resampler};
use crate::rtp::Fields;

use super::playout::Playout;

/// A frame of the grid.
pub const GRID: Duration = Duration::from_millis(10);
/// What lies between a packet's beginning and its end, and as much again for the listeners' own pace.
const PACKET: Duration = Duration::from_millis(40);
/// Resampled frames that are kept for a listener of another pace: 80 ms, more than the longest packet.
const KEPT: usize = 8;

/// The frame of the grid in which a moment lies.
pub fn number(at: Mono) -> u64 {
    at.as_micros() / GRID.as_micros() as u64
}

/// Samples of a frame at this rate.
pub fn samples(rate: u32) -> usize {
    rate as usize / 100
}

#[derive(Debug)]
pub struct Voice {
    codec: Codec,
    /// Of what is decoded, in Hz.
    rate: u32,
    pub playout: Playout,
    rates: Vec<Resampled>,
    /// Until then what is played may be a key in the sound.
    tone_until: Option<Mono>,
}

#[derive(Debug)]
struct Resampled {
    rate: u32,
    resampler: Resampler,
    frames: VecDeque<(u64, Vec<i16>)>,
}

impl Voice {
    /// Decoded at `rate`, as [`Codec::rate_for`] has it.
    pub fn new(codec: Codec, rate: u32) -> Voice {
        Voice { codec, rate, playout: Playout::at(codec, rate), rates: Vec::new(), tone_until: None }
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// It has had something to decode.
    pub fn is_under_way(&self) -> bool {
        self.playout.counts().received > 0
    }

    /// A packet of sound that was accepted; `false`: it came too late to be played.
    pub fn packet(&mut self, fields: &Fields, payload: &[u8], now: Mono) -> bool {
        let late = self.playout.counts().late;
        self.playout.packet(fields, payload, now);
        self.playout.counts().late == late
    }

    /// The last packet was of a key in the sound, or may have been the beginning of one. It is played after the playout's delay.
    pub fn hold_tone(&mut self, now: Mono) {
        self.tone_until = Some(now + Duration::from_millis(self.playout.counts().delay_ms.into()) + PACKET);
    }

    /// What is played now may be a key in the sound.
    pub fn has_tone(&self, now: Mono) -> bool {
        self.tone_until.is_some_and(|until| now < until)
    }

    /// Adds frame `n` at `rate` to a sum of [`samples`].
    pub fn add(&mut self, n: u64, rate: u32, now: Mono, sum: &mut [i32]) {
        let frame: &[i16] = if rate == self.rate {
            self.playout.frame(n, now)
        } else {
            let from = self.rate;
            let at = self.rates.iter().position(|r| r.rate == rate).unwrap_or_else(|| {
                let resampler = Resampler::new(from, rate);
                self.rates.push(Resampled { rate, resampler, frames: VecDeque::with_capacity(KEPT) });
                self.rates.len() - 1
            });
            let Some(resampled) = self.rates.get_mut(at) else { return };
            resampled.frame(n, now, &mut self.playout)
        };
        for (sum, sample) in sum.iter_mut().zip(frame) {
            *sum += i32::from(*sample);
        }
    }
}

impl Resampled {
    fn frame(&mut self, n: u64, now: Mono, playout: &mut Playout) -> &[i16] {
        let known = self.frames.iter().position(|(number, _)| *number == n);
        let at = known.unwrap_or_else(|| {
            let mut room =
                if self.frames.len() == KEPT { self.frames.pop_front().map(|f| f.1) } else { None }.unwrap_or_default();
            room.clear();
            self.resampler.process(playout.frame(n, now), &mut room);
            self.frames.push_back((n, room));
            self.frames.len() - 1
        });
        self.frames.get(at).map_or(&[], |(_, samples)| samples)
    }
}
