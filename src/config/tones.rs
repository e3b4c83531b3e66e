//! Ringback and busy tone of a country: what sounds, and its cadence.
//!
//! Values are those of the ITU's list "Various tones used in national networks" (supplement 2 to recommendation E.180, and its later
//! edition in the annex of Operational Bulletin 781), but for Great Britain (BT SIN 350), Australia (ACIF S002), New Zealand (Telecom TNA 102),
//! Singapore (IDA TS PSTN 1) and Russia (GOST 45.223). A country that is not in the table has what E.180 recommends: 425 Hz, 1 s of 5, and
//! half a second of one.

use std::time::Duration;

use super::Country;

/// What sounds while a tone is on, in Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sound {
    One(f32),
    /// Both at the same level.
    Both(f32, f32),
    /// The first rises and falls as often as the second says.
    Swelling(f32, f32),
}

/// A sound and its cadence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    pub sound: Sound,
    /// On and off in turn, beginning with on.
    pub cadence_ms: &'static [u32],
}

impl Tone {
    /// From one beginning to the next.
    pub fn cycle(&self) -> Duration {
        Duration::from_millis(self.cadence_ms.iter().map(|ms| u64::from(*ms)).sum())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tones {
    pub ringback: Tone,
    pub busy: Tone,
}

/// Codes of countries, separated by spaces, their ringback and their busy tone.
type Row = (&'static str, Tone, Tone);

const fn tone(sound: Sound, cadence_ms: &'static [u32]) -> Tone {
    Tone { sound, cadence_ms }
}

use Sound::{Both, One, Swelling};

const TABLE: &[Row] = &[
    ("BG CH DK ID IT NL NO PL VE", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[500, 500])),
    ("DE", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[480, 480])),
    ("EE FI GR", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[300, 300])),
    ("LT RU UA", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[350, 350])),
    ("CZ", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[330, 330])),
    ("BR MX", tone(One(425.0), &[1_000, 4_000]), tone(One(425.0), &[250, 250])),
    ("HU", tone(One(425.0), &[1_250, 3_750]), tone(One(425.0), &[300, 300])),
    ("BE", tone(One(425.0), &[1_000, 3_000]), tone(One(425.0), &[500, 500])),
    ("ES", tone(One(425.0), &[1_500, 3_000]), tone(One(425.0), &[200, 200])),
    ("SE", tone(One(425.0), &[1_000, 5_000]), tone(One(425.0), &[250, 250])),
    ("PT", tone(One(425.0), &[1_000, 5_000]), tone(One(425.0), &[500, 500])),
    ("AT", tone(One(420.0), &[1_000, 5_000]), tone(One(420.0), &[400, 400])),
    ("FR", tone(One(440.0), &[1_500, 3_500]), tone(One(440.0), &[500, 500])),
    ("TR", tone(One(450.0), &[2_000, 4_000]), tone(One(450.0), &[500, 500])),
    ("CN", tone(One(450.0), &[1_000, 4_000]), tone(One(450.0), &[350, 350])),
    ("IL", tone(One(414.0), &[1_000, 3_000]), tone(One(414.0), &[500, 500])),
    ("CL", tone(One(400.0), &[1_000, 3_000]), tone(One(400.0), &[500, 500])),
    ("TH", tone(One(420.0), &[1_000, 5_000]), tone(One(400.0), &[500, 500])),
    ("US CA PR", tone(Both(440.0, 480.0), &[2_000, 4_000]), tone(Both(480.0, 620.0), &[500, 500])),
    ("KR TW", tone(Both(440.0, 480.0), &[1_000, 2_000]), tone(Both(480.0, 620.0), &[500, 500])),
    ("HK", tone(Both(440.0, 480.0), &[400, 200, 400, 3_000]), tone(Both(480.0, 620.0), &[500, 500])),
    ("PH", tone(Both(425.0, 480.0), &[1_000, 4_000]), tone(Both(480.0, 620.0), &[500, 500])),
    ("GB IE", tone(Both(400.0, 450.0), &[400, 200, 400, 2_000]), tone(One(400.0), &[375, 375])),
    ("NZ", tone(Both(400.0, 450.0), &[400, 200, 400, 2_000]), tone(One(400.0), &[500, 500])),
    ("AU", tone(Both(413.0, 438.0), &[400, 200, 400, 2_000]), tone(One(425.0), &[375, 375])),
    ("MY", tone(One(425.0), &[400, 200, 400, 2_000]), tone(One(425.0), &[500, 500])),
    ("IN", tone(Swelling(400.0, 25.0), &[400, 200, 400, 2_000]), tone(One(400.0), &[750, 750])),
    ("SG", tone(Swelling(425.0, 24.0), &[400, 200, 400, 2_000]), tone(One(425.0), &[750, 750])),
    ("ZA", tone(Swelling(400.0, 33.0), &[400, 200, 400, 2_000]), tone(One(400.0), &[500, 500])),
    ("JP", tone(Swelling(400.0, 16.0), &[1_000, 2_000]), tone(One(400.0), &[500, 500])),
];

const RECOMMENDED: Tones = Tones { ringback: tone(One(425.0), &[1_000, 4_000]), busy: tone(One(425.0), &[500, 500]) };

impl Country {
    /// Its own tones, where they are known.
    pub fn own_tones(self) -> Option<Tones> {
        let has = |codes: &str| codes.split(' ').any(|code| code.as_bytes() == self.0);
        let row = TABLE.iter().find(|(codes, ..)| has(codes));
        row.map(|(_, ringback, busy)| Tones { ringback: *ringback, busy: *busy })
    }

    /// Its own tones, or those that E.180 recommends.
    pub fn tones(self) -> Tones {
        self.own_tones().unwrap_or(RECOMMENDED)
    }

    /// Length of one ring, tone and pause together: the one of its ringback tone.
    pub fn ring_cycle(self) -> Duration {
        self.tones().ringback.cycle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_in_one_row_and_is_one() {
        let codes: Vec<&str> = TABLE.iter().flat_map(|(codes, ..)| codes.split(' ')).collect();
        for (n, code) in codes.iter().enumerate() {
            assert!(code.parse::<Country>().is_ok() && !codes[..n].contains(code), "{code}");
        }
    }

    #[test]
    fn a_ring_is_as_long_as_the_country_has_it() {
        let of = |code: &str| code.parse::<Country>().expect("a country").ring_cycle().as_millis();
        let known = [("US", 6_000), ("SE", 6_000), ("GB", 3_000), ("JP", 3_000), ("HK", 4_000), ("ES", 4_500), ("BE", 4_000)];
        for (code, ms) in known.into_iter().chain([("DE", 5_000), ("UA", 5_000), ("FR", 5_000), ("RO", 5_000)]) {
            assert_eq!(of(code), ms, "{code}");
        }
    }
}
