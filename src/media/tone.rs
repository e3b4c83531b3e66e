//! Ringback and busy tone of a country as clips.

use std::f32::consts::TAU;

use crate::config::{Country, Sound, Tone};

use super::Clip;

/// Peak of all that sounds together: about -13 dBm0, the middle of what E.180 allows.
const PEAK: f32 = 5_100.0;

/// How deep a tone that swells falls: to a tenth of its peak and less.
const DEPTH: f32 = 0.9;

/// One whole cadence, to be played in a loop.
pub fn ringback(country: [u8; 2]) -> Clip {
    synthesise(&Country(country).tones().ringback)
}

/// One whole cadence, to be played in a loop.
pub fn busy(country: [u8; 2]) -> Clip {
    synthesise(&Country(country).tones().busy)
}

fn synthesise(tone: &Tone) -> Clip {
    let mut pcm = Vec::new();
    for (i, ms) in tone.cadence_ms.iter().enumerate() {
        let is_on = i % 2 == 0;
        pcm.extend((0..ms * 8).map(|n| if is_on { (PEAK * at(tone.sound, n as f32 / 8_000.0)) as i16 } else { 0 }));
    }
    Clip::new(pcm)
}

/// From -1 to 1, `t` seconds after it began.
fn at(sound: Sound, t: f32) -> f32 {
    let sine = |hz: f32| (TAU * hz * t).sin();
    match sound {
        Sound::One(hz) => sine(hz),
        Sound::Both(one, other) => (sine(one) + sine(other)) / 2.0,
        Sound::Swelling(hz, by) => sine(hz) * (1.0 + DEPTH * sine(by)) / (1.0 + DEPTH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some that have each kind of sound, and one that is in no table.
    const SOME: [&[u8; 2]; 8] = [b"DE", b"US", b"GB", b"JP", b"IN", b"HK", b"HU", b"XX"];

    #[test]
    fn every_cadence_ends_in_a_pause_and_is_whole_packets_of_10_ms() {
        for country in SOME {
            let tones = Country(*country).tones();
            for (tone, clip) in [(tones.ringback, ringback(*country)), (tones.busy, busy(*country))] {
                assert!(tone.cadence_ms.len() % 2 == 0 && tone.cadence_ms.iter().sum::<u32>() % 10 == 0);
                assert_eq!(clip.len() as u128, tone.cycle().as_millis() * 8);
                let loudest = clip.pcm().iter().map(|s| s.unsigned_abs()).max();
                assert!(loudest.is_some_and(|l| (4_000..=5_100).contains(&l)), "{loudest:?}");
                assert_eq!(clip.pcm().last(), Some(&0));
            }
        }
    }

    #[test]
    fn a_country_has_its_own_cadence() {
        assert_eq!(ringback(*b"US").len(), 48_000);
        assert_eq!(ringback(*b"GB").len(), 24_000);
        assert_eq!(busy(*b"DE").len(), 7_680);
        assert_eq!(ringback(*b"XX").len(), 40_000);
    }

    #[test]
    fn a_tone_that_swells_is_quiet_in_between() {
        // India: 25 times a second.
        let clip = ringback(*b"IN");
        let loudest = |from: usize| clip.pcm()[from..from + 20].iter().map(|s| s.unsigned_abs()).max();
        assert!(loudest(70) > Some(4_500) && loudest(230) < Some(500), "{:?} {:?}", loudest(70), loudest(230));
    }
}
