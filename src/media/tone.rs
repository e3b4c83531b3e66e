//! Ringback and busy tone of a country (ITU-T E.180 and its supplement 2).

use std::f32::consts::TAU;

use super::Clip;

/// One tone: its frequencies in Hz (0: one frequency only) and its cadence in ms, on and off in turn.
struct Tone {
    hz: [f32; 2],
    cadence_ms: &'static [u32],
}

struct Country {
    codes: &'static [&'static [u8; 2]],
    ringback: Tone,
    busy: Tone,
}

const fn tone(hz: [f32; 2], cadence_ms: &'static [u32]) -> Tone {
    Tone { hz, cadence_ms }
}

/// E.180 recommends 425 Hz; so it is for a country that is not in the list.
const OTHERS: Country =
    Country { codes: &[], ringback: tone([425.0, 0.0], &[1_000, 4_000]), busy: tone([425.0, 0.0], &[500, 500]) };

const COUNTRIES: &[Country] = &[
    Country { codes: &[b"DE"], ringback: tone([425.0, 0.0], &[1_000, 4_000]), busy: tone([425.0, 0.0], &[480, 480]) },
    Country { codes: &[b"AT"], ringback: tone([420.0, 0.0], &[1_000, 5_000]), busy: tone([420.0, 0.0], &[400, 400]) },
    Country { codes: &[b"US", b"CA"], ringback: tone([440.0, 480.0], &[2_000, 4_000]), busy: tone([480.0, 620.0], &[500, 500]) },
    Country {
        codes: &[b"GB", b"UK", b"IE"],
        ringback: tone([400.0, 450.0], &[400, 200, 400, 2_000]),
        busy: tone([400.0, 0.0], &[375, 375]),
    },
    Country { codes: &[b"FR"], ringback: tone([440.0, 0.0], &[1_500, 3_500]), busy: tone([440.0, 0.0], &[500, 500]) },
    Country { codes: &[b"ES"], ringback: tone([425.0, 0.0], &[1_500, 3_000]), busy: tone([425.0, 0.0], &[200, 200]) },
    Country { codes: &[b"IT"], ringback: tone([425.0, 0.0], &[1_000, 4_000]), busy: tone([425.0, 0.0], &[500, 500]) },
    Country { codes: &[b"SE"], ringback: tone([425.0, 0.0], &[1_000, 5_000]), busy: tone([425.0, 0.0], &[250, 250]) },
    Country { codes: &[b"UA"], ringback: tone([425.0, 0.0], &[1_000, 4_000]), busy: tone([425.0, 0.0], &[350, 350]) },
    Country { codes: &[b"CN"], ringback: tone([450.0, 0.0], &[1_000, 4_000]), busy: tone([450.0, 0.0], &[350, 350]) },
];

/// Peak of all frequencies together: about -13 dBm0, the middle of what E.180 allows.
const PEAK: f32 = 5_100.0;

fn of(country: [u8; 2]) -> &'static Country {
    COUNTRIES.iter().find(|c| c.codes.contains(&&country)).unwrap_or(&OTHERS)
}

/// One whole cadence, to be played in a loop.
pub fn ringback(country: [u8; 2]) -> Clip {
    of(country).ringback.synthesise()
}

/// One whole cadence, to be played in a loop.
pub fn busy(country: [u8; 2]) -> Clip {
    of(country).busy.synthesise()
}

impl Tone {
    fn synthesise(&self) -> Clip {
        let count = if self.hz[1] > 0.0 { 2.0 } else { 1.0 };
        let mut pcm = Vec::new();
        for (i, ms) in self.cadence_ms.iter().enumerate() {
            for n in 0..ms * 8 {
                let t = n as f32 / 8_000.0;
                let on = if i % 2 == 0 { PEAK / count } else { 0.0 };
                let wave: f32 = self.hz.iter().map(|hz| (TAU * hz * t).sin()).sum();
                pcm.push((on * wave) as i16);
            }
        }
        Clip::new(pcm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cadence_ends_in_a_pause_and_is_whole_packets_of_10_ms() {
        for c in COUNTRIES.iter().chain([&OTHERS]) {
            for t in [&c.ringback, &c.busy] {
                assert!(t.cadence_ms.len() % 2 == 0);
                let clip = t.synthesise();
                assert_eq!(clip.len() as u32, t.cadence_ms.iter().sum::<u32>() * 8);
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
}
