//! From a sum to samples that do not clip.
//!
//! Where a sum would pass the ceiling, its gain falls before the peak and rises slowly after it, so that two who talk at once are a
//! little quieter for a moment instead of distorted. It looks ahead only within the piece that it is given: no delay is added.

/// Peaks are kept to this: 1 dB below the largest sample.
const CEILING: f32 = 29_200.0;
/// The gain falls from 1 to nothing in this many seconds at the fastest, where the peak is not at once.
const ATTACK: f32 = 0.002;
/// And rises from nothing to 1.
const RELEASE: f32 = 0.4;

#[derive(Clone, Debug)]
pub struct Limiter {
    gain: f32,
    gains: Vec<f32>,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter { gain: 1.0, gains: Vec::new() }
    }
}

impl Limiter {
    /// Appends the sum as samples at this rate.
    pub fn limit(&mut self, sum: &[i32], rate: u32, out: &mut Vec<i16>) {
        let peak = sum.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0) as f32;
        if peak <= CEILING && self.gain >= 1.0 {
            out.extend(sum.iter().map(|s| *s as i16));
            return;
        }
        let (fall, rise) = (1.0 / (ATTACK * rate as f32), 1.0 / (RELEASE * rate as f32));
        self.gains.clear();
        self.gains.extend(sum.iter().map(|s| (CEILING / (s.unsigned_abs() as f32).max(1.0)).min(1.0)));
        let mut after = 1.0f32;
        for gain in self.gains.iter_mut().rev() {
            *gain = gain.min(after + fall);
            after = *gain;
        }
        let mut before = self.gain;
        for (gain, sample) in self.gains.iter().zip(sum) {
            before = gain.min(before + rise);
            out.push((*sample as f32 * before) as i16);
        }
        self.gain = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f32, peak: f32, n: usize) -> f32 {
        peak * (std::f32::consts::TAU * hz * n as f32 / 8_000.0).sin()
    }

    #[test]
    fn what_is_below_the_ceiling_is_untouched() {
        let sum: Vec<i32> = (0..800).map(|n| sine(440.0, 20_000.0, n) as i32).collect();
        let mut out = Vec::new();
        Limiter::default().limit(&sum, 8_000, &mut out);
        assert!(out.iter().zip(&sum).all(|(o, s)| i32::from(*o) == *s));
    }

    #[test]
    fn two_loud_tones_are_quieter_and_not_clipped_and_come_back() {
        let mut limiter = Limiter::default();
        let mut out = Vec::new();
        for piece in 0..100 {
            let loud = (20..60).contains(&piece);
            let sum: Vec<i32> = (piece * 80..(piece + 1) * 80)
                .map(|n| (sine(440.0, 20_000.0, n) + if loud { sine(1_000.0, 20_000.0, n) } else { 0.0 }) as i32)
                .collect();
            limiter.limit(&sum, 8_000, &mut out);
        }
        assert!(out.iter().all(|s| s.unsigned_abs() <= 29_201));
        // Steady state: the sum's power, less only by the gain; distortion would put power elsewhere.
        let power = |hz: f32| {
            let part = &out[2_400..4_800];
            let (mut re, mut im) = (0f64, 0f64);
            for (n, s) in part.iter().enumerate() {
                let a = f64::from(std::f32::consts::TAU * hz * n as f32 / 8_000.0);
                re += f64::from(*s) * a.cos();
                im += f64::from(*s) * a.sin();
            }
            ((re * re + im * im).sqrt() * 2.0 / part.len() as f64) as f32
        };
        let (low, high) = (power(440.0), power(1_000.0));
        assert!((0.9..1.1).contains(&(low / high)), "{low} {high}");
        assert!(low > 13_000.0, "{low}");
        for harmonic in [1_560.0, 1_880.0, 2_440.0, 120.0] {
            assert!(power(harmonic) < low / 30.0, "{harmonic}: {} of {low}", power(harmonic));
        }
        // 0.4 s later it is as loud as ever.
        let end: i16 = out[7_600..].iter().map(|s| s.saturating_abs()).max().unwrap();
        assert!(end > 19_000, "{end}");
    }

    #[test]
    fn the_largest_sum_of_many_is_kept_below_the_ceiling_from_its_first_sample() {
        let mut out = Vec::new();
        Limiter::default().limit(&[32_767 * 16, -32_768 * 16, i32::MAX, i32::MIN, 0], 8_000, &mut out);
        assert!(out.iter().all(|s| s.unsigned_abs() <= 29_201), "{out:?}");
    }
}
