//! What a leg is sent where it is not relayed: a sum of voices, or a clip, encoded for it.

use crate::clock::Mono;
use crate::codec::{Codec, Encoder, Resampler};

use super::limiter::Limiter;
use super::play::Play;
use super::voice::{Voice, samples};

/// Of clips, in Hz.
const CLIPS: u32 = 8_000;

/// The encoded side of one leg.
#[derive(Debug)]
pub struct Blend {
    codec: Codec,
    encoder: Encoder,
    limiter: Limiter,
    /// From a clip's rate to the codec's, where they differ.
    clips: Option<Resampler>,
    sum: Vec<i32>,
    pcm: Vec<i16>,
    payload: Vec<u8>,
}

impl Blend {
    /// `dtx`: silence need not be sent.
    pub fn new(codec: Codec, dtx: bool) -> Blend {
        let mut encoder = Encoder::new(codec);
        encoder.set_dtx(dtx);
        Blend {
            codec,
            encoder,
            limiter: Limiter::new(codec.sample_rate()),
            clips: (codec.sample_rate() != CLIPS).then(|| Resampler::new(CLIPS, codec.sample_rate())),
            sum: Vec::new(),
            pcm: Vec::new(),
            payload: Vec::new(),
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
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
        self.sum.resize(frames * samples(self.codec.sample_rate()), 0);
    }

    /// Adds a voice, from frame `first` of the grid on.
    pub fn add(&mut self, voice: &mut Voice, first: u64, now: Mono) {
        let rate = self.codec.sample_rate();
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
        super::keying::tone(digit, pressed, self.codec.sample_rate(), &mut self.pcm);
        self.encode()
    }

    fn encode(&mut self) -> Option<&[u8]> {
        self.payload.clear();
        self.encoder.encode(&self.pcm, &mut self.payload).then_some(&self.payload[..])
    }
}
