//! A mixer's sum brought back to 16 bits without clipping.
//!
//! The gain falls at once when a sample would be too loud, and rises slowly after that, so what is heard is the same sound, a little
//! quieter for a while. It looks nowhere ahead and delays nothing. Up to [`THRESHOLD`] every sample passes as it is.

/// Full scale less a little, so that rounding never clips: -0.1 dBFS.
const THRESHOLD: i32 = 32_390;
/// The gain stays where it is for so long after the last sample that was too loud: longer than the period of the lowest voice and than
/// the beat of two, so that it does not follow the wave itself, which is what distortion is. Chosen by measurement of two tones.
const HOLD_MS: u32 = 60;
/// Time in which the gain comes back by 1 - 1/e after that. Short enough that nobody stays quiet after somebody else's laughter. Chosen by
/// feel.
const RELEASE_MS: f32 = 200.0;
/// What is missing to a gain of one and does not matter: half a step of the loudest sample.
const NOTHING: f32 = 0.5 / 32_768.0;

/// A sample that needs so much of what is missing is as loud as the one before it: the peaks of a tone are not all at the same place
/// between samples.
const NEARLY: f32 = 0.95;

/// Holds one listener's gain.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// One less the gain.
    missing: f32,
    /// What is left of it a sample later.
    left: f32,
    hold: u32,
    /// Samples until the gain may rise.
    held: u32,
}

impl Limiter {
    pub fn new(sample_rate: u32) -> Limiter {
        let left = (-1_000.0 / (RELEASE_MS * sample_rate as f32)).exp();
        Limiter { missing: 0.0, left, hold: sample_rate / 1_000 * HOLD_MS, held: 0 }
    }

    /// Appends the sum, sample for sample.
    pub fn process(&mut self, sum: &[i32], out: &mut Vec<i16>) {
        let loudest = sum.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        if self.missing < NOTHING && loudest <= THRESHOLD.unsigned_abs() {
            self.missing = 0.0;
            out.extend(sum.iter().map(|s| *s as i16));
            return;
        }
        out.extend(sum.iter().map(|s| {
            let sample = *s as f32;
            let needed = 1.0 - THRESHOLD as f32 / sample.abs().max(THRESHOLD as f32);
            if needed > 0.0 && needed > self.missing * NEARLY {
                self.missing = self.missing.max(needed);
                self.held = self.hold;
            } else if self.held > 0 {
                self.held -= 1;
            } else {
                self.missing = (self.missing * self.left).max(needed);
            }
            // The clamp is for the rounding of a gain that is next to nothing.
            (sample * (1.0 - self.missing)).clamp(-(THRESHOLD as f32), THRESHOLD as f32) as i16
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, dbfs: f32, rate: u32, samples: usize) -> Vec<i32> {
        let peak = 32_768.0 * 10f32.powf(dbfs / 20.0);
        (0..samples).map(|i| ((i as f32 * hz / rate as f32 * std::f32::consts::TAU).sin() * peak) as i32).collect()
    }

    fn sum(parts: &[Vec<i32>]) -> Vec<i32> {
        (0..parts[0].len()).map(|i| parts.iter().map(|p| p[i]).sum()).collect()
    }

    fn limited(sum: &[i32], rate: u32) -> Vec<i16> {
        let mut limiter = Limiter::new(rate);
        let mut out = Vec::new();
        for frame in sum.chunks(rate as usize / 50) {
            limiter.process(frame, &mut out);
        }
        out
    }

    /// Power that is not in these tones, below the power of all, in dB. Over whole periods of each.
    fn distortion_db(out: &[i16], hz: &[f32], rate: u32) -> f32 {
        let mut rest: Vec<f64> = out.iter().map(|s| f64::from(*s)).collect();
        let all: f64 = rest.iter().map(|s| s * s).sum();
        for hz in hz {
            let turn = |i: usize| i as f64 * f64::from(*hz) / f64::from(rate) * std::f64::consts::TAU;
            let n = rest.len() as f64 / 2.0;
            let sine = rest.iter().enumerate().map(|(i, s)| s * turn(i).sin()).sum::<f64>() / n;
            let cosine = rest.iter().enumerate().map(|(i, s)| s * turn(i).cos()).sum::<f64>() / n;
            for (i, s) in rest.iter_mut().enumerate() {
                *s -= sine * turn(i).sin() + cosine * turn(i).cos();
            }
        }
        (10.0 * (rest.iter().map(|s| s * s).sum::<f64>() / all).log10()) as f32
    }

    #[test]
    fn what_is_not_too_loud_passes_as_it_is() {
        let quiet = sum(&[tone(300.0, -9.0, 8_000, 8_000), tone(440.0, -9.0, 8_000, 8_000)]);
        assert!(limited(&quiet, 8_000).iter().zip(&quiet).all(|(a, b)| i32::from(*a) == *b));
        assert!(distortion_db(&limited(&quiet, 8_000), &[300.0, 440.0], 8_000) < -80.0);
    }

    #[test]
    fn nothing_clips_however_loud_it_is() {
        for level in [0.0, 6.0, 20.0, 60.0] {
            let loud = sum(&[tone(300.0, level, 16_000, 16_000), tone(440.0, level, 16_000, 16_000)]);
            let out = limited(&loud, 16_000);
            assert!(out.iter().all(|s| i32::from(s.unsigned_abs()) <= THRESHOLD));
            // And it is still loud.
            assert!(out[8_000..].iter().any(|s| s.unsigned_abs() > 30_000));
        }
        assert!(limited(&[i32::MIN, i32::MAX, 0], 8_000).iter().all(|s| i32::from(s.unsigned_abs()) <= THRESHOLD));
    }

    #[test]
    fn loud_voices_together_are_quieter_and_not_torn() {
        for rate in [8_000, 16_000, 48_000] {
            for (level, floor) in [(-9.0, -75.0), (-5.0, -75.0), (-3.0, -75.0), (0.0, -75.0)] {
                let samples = rate as usize;
                let loud = sum(&[tone(300.0, level, rate, samples * 2), tone(440.0, level, rate, samples * 2)]);
                let out = limited(&loud, rate);
                let heard = distortion_db(&out[samples..], &[300.0, 440.0], rate);
                assert!(heard < floor, "{rate} {level}: {heard}");
            }
        }
    }

    #[test]
    fn the_gain_comes_back() {
        let mut sound = tone(300.0, 6.0, 8_000, 800);
        sound.extend(tone(300.0, -20.0, 8_000, 24_000));
        let out = limited(&sound, 8_000);
        assert!(out[20_000..].iter().zip(&sound[20_000..]).all(|(a, b)| i32::from(*a) == *b));
        // No step on the way back: nothing is farther from its neighbours than the tone is.
        assert!(out[800..].windows(2).all(|w| (i32::from(w[1]) - i32::from(w[0])).abs() < 800));
    }
}
