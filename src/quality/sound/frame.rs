//! From samples to the power of each frame of 20 ms, of both channels at once.
//!
//! What has no voice in it is taken out first: the mean, and what goes with 50 Hz, of which a frame has one whole turn. Sums over the frame do
//! that, which cost a fraction of a filter: each sample stands for itself, so eight are taken at a time.

use std::f32::consts::TAU;

use super::PER_SECOND;

/// Samples of a frame that stay within so many steps are no sound: digital silence, in A-law too, whose zero is 8 (ITU-T G.711).
const STEPS_OF_NOTHING: f32 = 16.0;

/// Samples taken at a time, four of each channel in turn.
const LANES: usize = 8;

/// Samples of a frame that is not complete, and what a frame is compared with.
#[derive(Debug)]
pub(super) struct Frame {
    /// Of both channels in turn, as all here.
    samples: Vec<f32>,
    /// How many make a frame.
    whole: usize,
    /// A turn in a frame, each value twice.
    sine: Vec<f32>,
    cosine: Vec<f32>,
}

impl Frame {
    pub fn new(rate: u32) -> Frame {
        let samples = (rate / PER_SECOND).max(1) as usize;
        let turn = |n: usize| TAU * (n / 2) as f32 / samples as f32;
        Frame {
            samples: Vec::with_capacity(2 * samples),
            whole: 2 * samples,
            sine: (0..2 * samples).map(|n| turn(n).sin()).collect(),
            cosine: (0..2 * samples).map(|n| turn(n).cos()).collect(),
        }
    }

    /// Takes of the samples what completes a frame, and gives its mean power, full scale 1.0; `None` of a channel without sound. Nothing, when
    /// all were taken and it is not complete.
    pub fn fill(&mut self, samples: &mut &[i16]) -> Option<[Option<f32>; 2]> {
        let (now, later) = samples.split_at(samples.len().min(self.whole - self.samples.len()));
        self.samples.extend(now.iter().copied().map(f32::from));
        *samples = later;
        if self.samples.len() < self.whole {
            return None;
        }
        let powers = self.powers();
        self.samples.clear();
        Some(powers)
    }

    fn powers(&self) -> [Option<f32>; 2] {
        let (samples, count) = (&self.samples[..], (self.whole / 2) as f32);
        let (low, high) = (fold(samples, f32::MAX, f32::min), fold(samples, f32::MIN, f32::max));
        let (low, high) = (ends(low, f32::min), ends(high, f32::max));
        let add = |a: f32, b: f32| a + b;
        let dot = |with: &[f32]| ends(products(samples, with), add);
        let (sum, square) = (ends(fold(samples, 0.0, add), add), dot(samples));
        let (sine, cosine) = (dot(&self.sine), dot(&self.cosine));
        [0, 1].map(|side| {
            let of = |both: [f32; 2]| if side == 0 { both[0] } else { both[1] };
            if of(high) - of(low) <= STEPS_OF_NOTHING {
                return None;
            }
            let turns = of(sine).powi(2) + of(cosine).powi(2);
            let energy = of(square) - (of(sum).powi(2) + 2.0 * turns) / count;
            Some((energy / count).max(0.0) / (32_768.0 * 32_768.0))
        })
    }
}

/// Lane by lane: what one instruction does for all lanes.
fn fold(samples: &[f32], first: f32, join: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [first; LANES];
    let (chunks, few) = samples.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, *sample);
        }
    }
    for (lane, sample) in lanes.iter_mut().zip(few) {
        *lane = join(*lane, *sample);
    }
    lanes
}

fn products(samples: &[f32], with: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    let ((chunks, few), (others, fewer)) = (samples.as_chunks::<LANES>(), with.as_chunks::<LANES>());
    for (chunk, other) in chunks.iter().zip(others) {
        for ((lane, sample), other) in lanes.iter_mut().zip(chunk).zip(other) {
            *lane += sample * other;
        }
    }
    for ((lane, sample), other) in lanes.iter_mut().zip(few).zip(fewer) {
        *lane += sample * other;
    }
    lanes
}

/// Of lanes that are of both channels in turn, each channel's.
fn ends(lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> [f32; 2] {
    let [a, b, c, d, e, f, g, h] = lanes;
    [join(join(a, c), join(e, g)), join(join(b, d), join(f, h))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of both sides, of functions of the time in s.
    fn frame(rate: u32, said: impl Fn(f32) -> f32, heard: impl Fn(f32) -> f32) -> [Option<f32>; 2] {
        let samples: Vec<i16> = (0..rate / PER_SECOND)
            .flat_map(|n| [said(n as f32 / rate as f32), heard(n as f32 / rate as f32)])
            .map(|sample| (sample * 32_767.0) as i16)
            .collect();
        let mut frame = Frame::new(rate);
        let (first, later) = samples.split_at(samples.len() / 3);
        assert_eq!(frame.fill(&mut &first[..]), None);
        let mut later = later;
        let powers = frame.fill(&mut later);
        assert!(later.is_empty());
        powers.expect("a whole frame")
    }

    #[test]
    fn power_is_that_of_a_voice_without_hum_and_without_what_the_line_adds_to_all() {
        let tone = |hz: f32, level: f32| move |t: f32| level * (TAU * hz * t).sin();
        for rate in [8_000, 16_000, 9_050] {
            let [said, heard] = frame(rate, tone(400.0, 0.5), |t| tone(400.0, 0.5)(t) + 0.2 + tone(50.0, 0.25)(t));
            let (said, heard) = (said.unwrap(), heard.unwrap());
            assert!((said - 0.125).abs() < 0.001 && (heard - 0.125).abs() < 0.001, "{rate}: {said} {heard}");
            let [hum, nothing] = frame(rate, tone(50.0, 0.3), |_| 0.000_3);
            assert!(hum.unwrap() < 1e-6 && nothing.is_none(), "{rate}: {hum:?} {nothing:?}");
        }
    }
}
