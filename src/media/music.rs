//! The built-in music on hold: quiet broken chords, made here, so that it is nobody's.
//!
//! Sixteen bars of four chords (C, A minor, F, G with their sevenths) as plucked tones that die away, the last into the first, so
//! that the loop has no seam. Kept between 200 and 1,000 Hz, where G.711 sounds best.

use std::f32::consts::TAU;

/// In Hz.
const RATE: usize = 8_000;
/// A quaver at 80 beats a minute, in samples.
const NOTE: usize = 3_000;
/// How long a tone rings on, in samples.
const RING: usize = 9_000;
/// MIDI numbers: each bar's chord, upwards and down again.
const BARS: [[u8; 8]; 8] = [
    [60, 64, 67, 71, 72, 71, 67, 64],
    [57, 60, 64, 67, 69, 67, 64, 60],
    [53, 57, 60, 64, 65, 64, 60, 57],
    [55, 59, 62, 65, 67, 65, 62, 59],
    [60, 67, 64, 71, 76, 71, 67, 64],
    [57, 64, 60, 67, 72, 67, 64, 60],
    [53, 60, 57, 64, 69, 64, 60, 57],
    [55, 62, 59, 65, 71, 65, 62, 59],
];
/// Peak of one tone: about -21 dBm0, so that three that overlap stay under speech.
const PEAK: f32 = 2_400.0;

/// 48 seconds at 8 kHz: the eight bars twice, the second time an octave of sparkle added.
pub fn built_in() -> Vec<i16> {
    let notes = BARS.len() * 8;
    let length = notes * NOTE * 2;
    let mut mix = vec![0f32; length];
    for round in 0..2 {
        for (i, key) in BARS.iter().flatten().enumerate() {
            let start = (round * notes + i) * NOTE;
            pluck(&mut mix, start, *key, PEAK);
            if round == 1 && i % 4 == 0 {
                pluck(&mut mix, start + NOTE / 2, *key + 12, PEAK / 3.0);
            }
        }
    }
    mix.into_iter().map(|s| s as i16).collect()
}

fn pluck(mix: &mut [f32], start: usize, key: u8, peak: f32) {
    let hz = 440.0 * 2f32.powf((f32::from(key) - 69.0) / 12.0);
    let length = mix.len();
    for n in 0..RING {
        let t = n as f32 / RATE as f32;
        let attack = (n as f32 / 80.0).min(1.0);
        let release = ((RING - n) as f32 / 400.0).min(1.0);
        let tone = (TAU * hz * t).sin() + 0.3 * (TAU * 2.0 * hz * t).sin() * (-6.0 * t).exp();
        mix[(start + n) % length] += peak * attack * release * (-2.5 * t).exp() * tone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_48_seconds_never_clipped_and_never_silent_for_long() {
        let music = built_in();
        assert_eq!(music.len(), 48 * RATE);
        assert!(music.iter().all(|s| s.unsigned_abs() < 12_000));
        for (i, second) in music.chunks(RATE).enumerate() {
            let power = second.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / RATE as f64;
            assert!(power.sqrt() > 300.0, "second {i}: {}", power.sqrt());
        }
        assert_eq!(music, built_in());
    }
}
