//! What a leg is sent where it is not relayed: a sum of voices, or a clip, encoded for it.

use crate::clock::Mono;
use crate::codec::{Codec, Encoder, Resampler, describe_noise};

use super::limiter::Limiter;
use super::play::Play;
use super::voice::{Voice, samples};

/// Of clips, in Hz.
pub const CLIPS: u32 = 8_000;

/// Magnitude up to which a packet is silence that need not be sent: 42 dB below the loudest, as for Opus.
const QUIET: u16 = 260;
/// Silence is sent for so many ms before noise stands for it, so that no word loses its end (RFC 3389 leaves it open; 200 ms is what voice
/// activity detectors hold on).
const HANGOVER_MS: u32 = 200;
/// Noise is described anew so often, so that what is lost of it is not missed for long, and that ways through NAT stay open.
const DESCRIBED_EVERY_MS: u32 = 400;

/// What Opus aims at, in bits a second: at first and where nothing is lost, and at the least.
const BITRATES: std::ops::RangeInclusive<u32> = 12_000..=32_000;
/// Shares of packets that are lost: above the one, less is sent; below the other, more again. Between them nothing changes (as the
/// controllers of WebRTC have it: most networks lose this much without being full).
const TOO_MUCH_LOST: f32 = 0.1;
const LITTLE_LOST: f32 = 0.02;

/// What there is to send.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Sound(&'a [u8]),
    /// Parameters of comfort noise (RFC 3389).
    Noise(&'a [u8]),
    Nothing,
}

/// The encoded side of one leg.
#[derive(Debug)]
pub struct Blend {
    codec: Codec,
    /// Of what is summed and encoded, in Hz.
    rate: u32,
    encoder: Encoder,
    limiter: Limiter,
    /// From a clip's rate to the codec's, where they differ.
    clips: Option<Resampler>,
    sum: Vec<i32>,
    pcm: Vec<i16>,
    payload: Vec<u8>,
    bitrate: u32,
    /// For how long it has been silent, in ms, as far as noise may stand for that.
    silent_ms: u32,
}

impl Blend {
    /// `rate`: of the sound, as [`Codec::rate_for`] has it. `dtx`: silence need not be sent.
    pub fn new(codec: Codec, rate: u32, dtx: bool) -> Blend {
        let mut encoder = Encoder::at(codec, rate);
        encoder.set_dtx(dtx);
        Blend {
            codec,
            rate,
            encoder,
            limiter: Limiter::new(rate),
            clips: (rate != CLIPS).then(|| Resampler::new(CLIPS, rate)),
            sum: Vec::new(),
            pcm: Vec::new(),
            payload: Vec::new(),
            bitrate: *BITRATES.end(),
            silent_ms: 0,
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Whether silence need not be sent.
    pub fn set_dtx(&mut self, on: bool) {
        self.encoder.set_dtx(on);
    }

    /// The share of our packets that the peer has lost lately, 0 to 1, as its reports say: Opus protects itself against it, and sends less
    /// where the network is full.
    pub fn set_loss(&mut self, share: f32) {
        self.encoder.set_loss(share);
        let bitrate = if share > TOO_MUCH_LOST {
            self.bitrate as f32 * (1.0 - share.min(1.0) / 2.0)
        } else if share < LITTLE_LOST {
            self.bitrate as f32 * 1.1
        } else {
            return;
        };
        self.bitrate = (bitrate as u32).clamp(*BITRATES.start(), *BITRATES.end());
        self.encoder.set_bitrate(self.bitrate);
    }

    /// Begins a packet of `frames` of the grid.
    pub fn begin(&mut self, frames: usize) {
        self.sum.clear();
        self.sum.resize(frames * samples(self.rate), 0);
    }

    /// Adds a voice, from frame `first` of the grid on.
    pub fn add(&mut self, voice: &mut Voice, first: u64, now: Mono) {
        let rate = self.rate;
        for (n, sum) in (first..).zip(self.sum.chunks_mut(samples(rate))) {
            voice.add(n, rate, now, sum);
        }
    }

    /// The packet. `noise`: the peer takes comfort noise where nobody speaks.
    pub fn packet(&mut self, noise: bool) -> Packet<'_> {
        self.pcm.clear();
        self.limiter.process(&self.sum, &mut self.pcm);
        if noise && self.pcm.iter().all(|sample| sample.unsigned_abs() <= QUIET) {
            let length_ms = (self.pcm.len() / samples(self.rate)) as u32 * 10;
            let before = self.silent_ms;
            self.silent_ms = self.silent_ms.saturating_add(length_ms);
            if let Some(since) = before.checked_sub(HANGOVER_MS) {
                // It is one packet that tells of each of these times.
                if since % DESCRIBED_EVERY_MS >= length_ms {
                    return Packet::Nothing;
                }
                self.payload.clear();
                self.payload.extend(describe_noise(&self.pcm));
                return Packet::Noise(&self.payload);
            }
        } else {
            self.silent_ms = 0;
        }
        self.encode().map_or(Packet::Nothing, Packet::Sound)
    }

    /// The packet of a play, of `frames` of the grid: whether it goes on, and what there is to send.
    pub fn play(&mut self, play: &mut Play, frames: usize) -> (bool, Option<&[u8]>) {
        let mut clip = vec![0; frames * samples(CLIPS)];
        if !play.read_samples(&mut clip) {
            return (false, None);
        }
        self.pcm.clear();
        match &mut self.clips {
            Some(resampler) => clip.chunks(samples(CLIPS)).for_each(|frame| resampler.process(frame, &mut self.pcm)),
            None => self.pcm.extend_from_slice(&clip),
        }
        (true, self.encode())
    }

    /// 20 ms of a key.
    pub fn tone(&mut self, digit: char, pressed: std::time::Duration) -> Option<&[u8]> {
        self.pcm.clear();
        super::keying::tone(digit, pressed, self.rate, &mut self.pcm);
        self.encode()
    }

    fn encode(&mut self) -> Option<&[u8]> {
        self.payload.clear();
        self.encoder.encode(&self.pcm, &mut self.payload).then_some(&self.payload[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_stands_for_silence_that_lasts_where_it_is_taken() {
        let mut blend = Blend::new(Codec::Pcma, 8_000, false);
        let mut kinds = |noise: bool, level: i32, packets: usize| -> String {
            let one = |_| {
                blend.begin(2);
                blend.sum.fill(level);
                match blend.packet(noise) {
                    Packet::Sound(payload) => {
                        assert_eq!(payload.len(), 160);
                        's'
                    }
                    // The level of a square wave of 100, in dB below the overload.
                    Packet::Noise(payload) => {
                        assert!(payload[0].abs_diff(if level == 0 { 127 } else { 50 }) <= 1, "{payload:?}");
                        'n'
                    }
                    Packet::Nothing => '-',
                }
            };
            (0..packets).map(one).collect()
        };
        assert_eq!(kinds(false, 0, 60), "s".repeat(60));
        let pause = "s".repeat(10) + &("n".to_owned() + &"-".repeat(19)).repeat(2);
        assert_eq!(kinds(true, 100, 50), pause);
        assert_eq!(kinds(true, 5_000, 3), "sss", "at once");
        assert_eq!(kinds(true, 0, 50), pause, "and again only after a while");
    }

    #[test]
    fn opus_sends_less_where_much_is_lost_and_more_again() {
        let mut blend = Blend::new(Codec::Opus, 48_000, false);
        let mut chance = 1u32;
        let mut bytes = |blend: &mut Blend| -> usize {
            let packet = |_| {
                blend.begin(2);
                for sample in &mut blend.sum {
                    chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *sample = (chance >> 18) as i32 - 8_192;
                }
                match blend.packet(false) {
                    Packet::Sound(payload) => payload.len(),
                    Packet::Noise(_) | Packet::Nothing => 0,
                }
            };
            (0..50).map(packet).sum()
        };
        let whole = bytes(&mut blend);
        (0..10).for_each(|_| blend.set_loss(0.3));
        assert_eq!(blend.bitrate, 12_000);
        let poor = bytes(&mut blend);
        assert!(poor * 3 < whole * 2, "{poor} of {whole}");
        blend.set_loss(0.05);
        assert_eq!(blend.bitrate, 12_000, "neither");
        (0..20).for_each(|_| blend.set_loss(0.0));
        assert_eq!(blend.bitrate, 32_000);
    }
}
