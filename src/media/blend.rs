//! What a leg is sent where it is not relayed: a sum of voices, or a clip, encoded for it.

use crate::clock::Mono;
use crate::codec::{Codec, Encoder, Resampler};

use super::limiter::Limiter;
use super::play::Play;
use super::voice::{Voice, samples};

/// Of clips, in Hz.
pub const CLIPS: u32 = 8_000;

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

    /// The share of our packets that the peer has lost lately, 0 to 1: an encoder may protect itself against it.
    pub fn set_loss(&mut self, share: f32) {
        self.encoder.set_loss(share);
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

    /// The packet; `None` where the encoder has nothing to say (DTX).
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
