//! Comfort noise (RFC 3389): a level and, if the sender likes, a spectrum, from which the listener makes the noise of the other room.

use super::Undecodable;

/// Coefficients of the spectrum that are used; more are left out, as §3 permits.
const ORDER: usize = 10;
/// Magnitude of 0 dBov: the loudest square wave (§3.1).
const OVERLOAD: f32 = 32_767.0;
/// Share of a change of level that happens in a sample, so that none is heard as a click.
const SWIFTNESS: f32 = 1.0 / 128.0;
/// No coefficient is nearer to one: such a filter rings for ever.
const STEEPEST: f32 = 0.98;

/// Makes noise like what was last described.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Amplitude of the noise that is filtered, wanted and now.
    wanted: f32,
    gain: f32,
    /// Reflection coefficients of the all-pole filter and its state.
    reflection: [f32; ORDER],
    state: [f32; ORDER + 1],
    chance: u32,
}

impl ComfortNoise {
    /// Silent until something is heard. The same seed gives the same noise.
    pub fn new(seed: u32) -> ComfortNoise {
        ComfortNoise { wanted: 0.0, gain: 0.0, reflection: [0.0; ORDER], state: [0.0; ORDER + 1], chance: seed }
    }

    /// A payload of comfort noise: what is made from here on is like it.
    pub fn hear(&mut self, payload: &[u8]) -> Result<(), Undecodable> {
        let (level, spectrum) = payload.split_first().ok_or(Undecodable::Empty)?;
        self.reflection = [0.0; ORDER];
        for (k, n) in self.reflection.iter_mut().zip(spectrum) {
            // 255 is reserved (§3.2).
            let n = f32::from(*n.min(&254));
            *k = (258.0 * (n - 127.0) / 32_768.0).clamp(-STEEPEST, STEEPEST);
        }
        let loudness = OVERLOAD * 10f32.powf(-f32::from(level & 0x7f) / 20.0);
        let lost: f32 = self.reflection.iter().map(|k| 1.0 - k * k).product();
        // Chance is spread evenly, so its amplitude is its power's root of three.
        self.wanted = loudness * lost.sqrt() * 3f32.sqrt();
        Ok(())
    }

    /// Appends so many samples.
    pub fn generate(&mut self, samples: usize, out: &mut Vec<i16>) {
        out.extend((0..samples).map(|_| {
            self.gain += (self.wanted - self.gain) * SWIFTNESS;
            self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut forward = self.gain * ((self.chance >> 8) as f32 / (1u32 << 23) as f32 - 1.0);
            for i in (0..ORDER).rev() {
                forward -= self.reflection[i] * self.state[i];
                self.state[i + 1] = self.state[i] + self.reflection[i] * forward;
            }
            self.state[0] = forward;
            forward as i16
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(pcm: &[i16]) -> f32 {
        (pcm.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / pcm.len() as f32).sqrt()
    }

    fn made(payload: &[u8]) -> Vec<i16> {
        let mut noise = ComfortNoise::new(1);
        noise.hear(payload).unwrap();
        let mut out = Vec::new();
        noise.generate(8_000, &mut out);
        out.split_off(2_000)
    }

    #[test]
    fn noise_has_the_level_that_is_asked_for() {
        for level in [20u8, 30, 40, 50, 60] {
            for spectrum in [&[][..], &[60], &[40, 160, 110], &[127; 10]] {
                let wanted = 32_767.0 * 10f32.powf(-f32::from(level) / 20.0);
                let got = rms(&made(&[&[level], spectrum].concat()));
                assert!((20.0 * (got / wanted).log10()).abs() < 1.0, "{level} {spectrum:?}: {got} for {wanted}");
            }
        }
        assert!(rms(&made(&[127])) < 1.0);
    }

    #[test]
    fn any_payload_makes_a_noise_that_ends() {
        for byte in 0..=255u8 {
            let mut noise = ComfortNoise::new(7);
            noise.hear(&[byte; 40]).unwrap();
            let mut out = Vec::new();
            noise.generate(4_000, &mut out);
            noise.hear(&[127]).unwrap();
            noise.generate(8_000, &mut out);
            assert!(rms(&out[11_000..]) < 100.0, "{byte}: {}", rms(&out[11_000..]));
        }
        assert_eq!(ComfortNoise::new(7).hear(&[]), Err(Undecodable::Empty));
    }
}
