//! What a leg is sent where it is not relayed: a sum of voices, or a clip, encoded for it.

use crate::clock::Mono;
use crate::codec::{Codec, Encoder, Resampler};

use super::limiter::Limiter;
use super::play::Play;
use super::voice::{Voice, samples};

/// Of clips, in Hz.
pub const CLIPS: u32 = 8_000;

/// What Opus aims at, in bits a second: at first and where nothing is lost, and at the least.
const BITRATES: std::ops::RangeInclusive<u32> = 12_000..=32_000;
/// Shares of packets that are lost: above the one, less is sent; below the other, more again. Between them nothing changes (as the
/// controllers of WebRTC have it: most networks lose this much without being full).
const TOO_MUCH_LOST: f32 = 0.1;
const LITTLE_LOST: f32 = 0.02;

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
    /// The share of packets that the peer loses, as far as it has said.
    loss: f32,
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
            loss: 0.0,
        }
    }

    /// The same for sound of another rate: what the peer's reports have said of its network holds on.
    pub fn at(&self, rate: u32, dtx: bool) -> Blend {
        let mut blend = Blend::new(self.codec, rate, dtx);
        (blend.bitrate, blend.loss) = (self.bitrate, self.loss);
        blend.encoder.set_bitrate(self.bitrate);
        blend.encoder.set_loss(self.loss);
        blend
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// What the encoder aims at, in bits a second, where it has a choice.
    #[cfg(test)]
    pub fn bitrate(&self) -> u32 {
        self.bitrate
    }

    /// Whether silence need not be sent.
    pub fn set_dtx(&mut self, on: bool) {
        self.encoder.set_dtx(on);
    }

    /// The share of our packets that the peer has lost lately, 0 to 1, as its reports say: Opus protects itself against it, and sends less
    /// where the network is full.
    pub fn set_loss(&mut self, share: f32) {
        self.loss = share;
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

    /// Adds a voice, from frame `first` of the grid on. `without_tones`: but for keys in the sound, which are sent as events.
    pub fn add(&mut self, voice: &mut Voice, first: u64, now: Mono, without_tones: bool) {
        let rate = self.rate;
        let is_left_out = without_tones && voice.has_tone(now);
        for (n, sum) in (first..).zip(self.sum.chunks_mut(samples(rate))) {
            // Its time goes on all the same.
            voice.add(n, rate, now, if is_left_out { &mut [] } else { sum });
        }
    }

    /// The packet; `None` where nothing is to be sent.
    pub fn packet(&mut self) -> Option<&[u8]> {
        self.pcm.clear();
        self.limiter.process(&self.sum, &mut self.pcm);
        self.encode()
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
                blend.packet().map_or(0, <[u8]>::len)
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
        let mut wider = blend.at(16_000, false);
        assert_eq!((wider.rate(), wider.bitrate, wider.loss), (16_000, 12_000, 0.05));
        wider.set_loss(0.5);
        assert_eq!(wider.bitrate, 12_000);
        (0..20).for_each(|_| blend.set_loss(0.0));
        assert_eq!(blend.bitrate, 32_000);
    }
}
