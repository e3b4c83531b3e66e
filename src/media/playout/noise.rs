//! What is heard while a sender is silent: noise of the level that it said (RFC 3389 §3.1), or nothing.

/// Of a payload: the level and as much of the spectrum as anybody sends.
pub const MOST_BYTES: usize = 32;

/// Full scale is 0 dBov: the power of a square wave (RFC 3389 §3.1).
const FULL_SCALE: f32 = 32_767.0;

#[derive(Clone, Debug)]
pub struct Noise {
    /// Root of the mean square; zero is silence.
    level: f32,
    state: u32,
}

impl Default for Noise {
    fn default() -> Noise {
        Noise { level: 0.0, state: 0x2545_f491 }
    }
}

impl Noise {
    /// From a payload of comfort noise. Its spectrum is left out: what matters is that the line does not sound dead.
    pub fn set(&mut self, payload: &[u8]) {
        // Seven bits, in -dBov; the eighth must be ignored.
        self.level = payload.first().map_or(0.0, |byte| FULL_SCALE * 10f32.powf(-f32::from(byte & 0x7f) / 20.0));
    }

    pub fn silence(&mut self) {
        self.level = 0.0;
    }

    pub fn fill(&mut self, out: &mut [i16]) {
        if self.level < 0.5 {
            out.fill(0);
            return;
        }
        // Uniform between -√3 and √3 times the level has that mean square.
        let scale = self.level * 3f32.sqrt() / i32::MAX as f32;
        for sample in out {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            *sample = (self.state as i32 as f32 * scale) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_level_that_was_said() {
        let mut noise = Noise::default();
        let mut out = [1; 8_000];
        noise.fill(&mut out);
        assert!(out.iter().all(|s| *s == 0));
        for level in [30u8, 50, 70] {
            noise.set(&[level | 0x80, 10, 20]);
            noise.fill(&mut out);
            let power: f32 = out.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / out.len() as f32;
            let heard = -10.0 * (power / FULL_SCALE.powi(2)).log10();
            assert!((heard - f32::from(level)).abs() < 0.5, "{level}: {heard}");
        }
    }
}
