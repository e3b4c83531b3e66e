//! Keys as tones in the sound (ITU-T Q.23, Q.24), for legs that have no telephone-event.
//!
//! Eight Goertzel filters over blocks of 12.75 ms, of which one begins every half block. A block is a key when one low and one high
//! tone stand out of their groups, are loud enough, differ by no more than the permitted twist, and hold most of the block's energy:
//! speech nearly never does, because its energy is spread over harmonics (talk-off). Four like blocks in a row begin a press, four
//! without it end it. So tones of 40 ms are always seen and of 23 ms never, a pause of 40 ms always ends a press and a gap of 10 ms
//! never does (blocks wholly inside 320 samples: four; blocks of which 184 samples fill four fifths: three).

/// Samples of a block at 8 kHz: the usual length, whose bins (78 Hz) tell the eight tones apart.
const BLOCK: usize = 102;
const TONES: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Least energy of a tone in its bin: an amplitude of 600, about -32 dBm0 (Q.24: -25 must be heard).
const LEAST: f32 = (600.0 * BLOCK as f32 / 2.0) * (600.0 * BLOCK as f32 / 2.0);
/// The high tone may be up to 4 dB above the low one, and 8 dB below (Q.24 annex A, with a margin of a dB against rounding).
const TWIST_HIGH: f32 = 3.16;
const TWIST_LOW: f32 = 7.94;
/// A tone stands out of its group by 8 dB.
const PEAK: f32 = 6.3;
/// The share of the block's energy that the two tones hold at least. Pure tones within 1.5 % of their frequency have 0.85 and more.
const SHARE: f32 = 0.77;

/// The two frequencies of a key, in Hz (ITU-T Q.23); `None`: it is none.
pub fn frequencies(digit: char) -> Option<(f32, f32)> {
    let at = KEYS.as_flattened().iter().position(|key| *key == digit.to_ascii_uppercase())?;
    Some((*TONES.get(at / 4)?, *TONES.get(4 + at % 4)?))
}

/// A key, heard whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone {
    pub digit: char,
    /// In samples, to the length of a block.
    pub duration: u32,
}

/// Blocks in a row that begin a press, and that end it.
const ENOUGH: u32 = 4;

/// Listens to one leg.
#[derive(Clone, Debug)]
pub struct Detector {
    coefficients: [f32; 8],
    /// The block that ends next, and the one that began half a block later.
    blocks: [Block; 2],
    /// Samples since the last block ended.
    filled: usize,
    state: State,
    /// What the last blocks were, and how many in a row.
    run: (Option<char>, u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    s1: [f32; 8],
    s2: [f32; 8],
    energy: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silent,
    /// `steps`: half blocks since it began; `misses`: the last of them without the key.
    Pressed {
        digit: char,
        steps: u32,
        misses: u32,
    },
}

impl Default for Detector {
    fn default() -> Self {
        Detector {
            coefficients: TONES.map(|hz| 2.0 * (std::f32::consts::TAU * hz / 8_000.0).cos()),
            blocks: [Block::default(); 2],
            filled: 0,
            state: State::Silent,
            run: (None, 0),
        }
    }
}

impl Detector {
    /// Takes samples at 8 kHz; calls `ended` for each press that they end.
    pub fn samples(&mut self, samples: impl Iterator<Item = i16>, mut ended: impl FnMut(Tone)) {
        for sample in samples {
            let x = f32::from(sample);
            for block in &mut self.blocks {
                block.take(x, &self.coefficients);
            }
            self.filled += 1;
            if self.filled == BLOCK / 2 {
                let key = self.blocks[0].key(&self.coefficients);
                self.blocks = [self.blocks[1], Block::default()];
                self.filled = 0;
                if let Some(tone) = self.step(key) {
                    ended(tone);
                }
            }
        }
    }

    /// The key that is pressed now.
    pub fn pressed(&self) -> Option<char> {
        match self.state {
            State::Pressed { digit, .. } => Some(digit),
            State::Silent => None,
        }
    }

    /// The last blocks may have been the beginning of a key that is not pressed yet: two in a row were.
    pub fn suspects(&self) -> bool {
        self.pressed().is_none() && self.run.0.is_some() && self.run.1 >= 2
    }

    /// The stream has ended: so has a press.
    pub fn interrupted(&mut self) -> Option<Tone> {
        let state = std::mem::take(self).state;
        match state {
            State::Silent => None,
            State::Pressed { digit, steps, misses } => Some(tone(digit, steps - misses)),
        }
    }

    fn step(&mut self, key: Option<char>) -> Option<Tone> {
        self.run = if self.run.0 == key { (key, self.run.1 + 1) } else { (key, 1) };
        let begun = key.filter(|_| self.run.1 == ENOUGH);
        match self.state {
            State::Silent => {
                if let Some(digit) = begun {
                    self.state = State::Pressed { digit, steps: ENOUGH, misses: 0 };
                }
                None
            }
            State::Pressed { digit, steps, misses } => {
                let misses = if key == Some(digit) { 0 } else { misses + 1 };
                if misses < ENOUGH {
                    self.state = State::Pressed { digit, steps: steps + 1, misses };
                    return None;
                }
                self.state = begun.map_or(State::Silent, |digit| State::Pressed { digit, steps: ENOUGH, misses: 0 });
                Some(tone(digit, steps + 1 - misses))
            }
        }
    }
}

impl Block {
    #[inline]
    fn take(&mut self, x: f32, coefficients: &[f32; 8]) {
        self.energy += x * x;
        for ((s1, s2), c) in self.s1.iter_mut().zip(&mut self.s2).zip(coefficients) {
            let s = x + c * *s1 - *s2;
            *s2 = *s1;
            *s1 = s;
        }
    }

    /// The key that the block holds.
    fn key(&self, coefficients: &[f32; 8]) -> Option<char> {
        let mut power = [0f32; 8];
        for (i, p) in power.iter_mut().enumerate() {
            *p = self.s1[i] * self.s1[i] + self.s2[i] * self.s2[i] - coefficients[i] * self.s1[i] * self.s2[i];
        }
        let (row, low) = strongest(&power[..4])?;
        let (column, high) = strongest(&power[4..])?;
        let whole = self.energy * BLOCK as f32 / 2.0;
        let fits =
            low >= LEAST && high >= LEAST && high <= low * TWIST_HIGH && low <= high * TWIST_LOW && low + high >= whole * SHARE;
        fits.then_some(KEYS[row][column])
    }
}

/// The first step is a whole block, each further one half a block more.
fn tone(digit: char, steps: u32) -> Tone {
    Tone { digit, duration: (steps + 1) * BLOCK as u32 / 2 }
}

/// The strongest of a group, where it stands out of the others.
fn strongest(group: &[f32]) -> Option<(usize, f32)> {
    let (at, most) = group.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let alone = group.iter().enumerate().all(|(i, p)| i == at || p * PEAK <= most);
    (alone && most > 0.0).then_some((at, most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::G711;

    struct Tones {
        pcm: Vec<i16>,
    }

    impl Tones {
        fn new(offset: usize) -> Tones {
            Tones { pcm: vec![0; offset] }
        }

        /// `low` and `high` are amplitudes, `detune` a factor of both frequencies.
        fn key(mut self, digit: char, ms: usize, low: f32, high: f32, detune: f32) -> Tones {
            let (row, column) = (0..16).map(|i| (i / 4, i % 4)).find(|(r, c)| KEYS[*r][*c] == digit).unwrap();
            for n in 0..ms * 8 {
                let t = std::f32::consts::TAU * n as f32 / 8_000.0 * detune;
                self.pcm.push((low * (TONES[row] * t).sin() + high * (TONES[4 + column] * t).sin()) as i16);
            }
            self
        }

        fn pause(mut self, ms: usize) -> Tones {
            self.pcm.extend(vec![0; ms * 8]);
            self
        }

        fn heard(self) -> String {
            let mut out = String::new();
            let mut d = Detector::default();
            for packet in self.pause(60).pcm.chunks(160) {
                d.samples(packet.iter().map(|s| G711::Pcma.decode(G711::Pcma.encode(*s))), |t| out.push(t.digit));
            }
            out
        }
    }

    const LOUD: f32 = 6_000.0;

    #[test]
    fn all_keys_of_40_ms_are_heard_at_any_offset() {
        for offset in [0, 13, 51, 77, 101] {
            let mut t = Tones::new(offset);
            for digit in "1234567890*#ABCD".chars() {
                t = t.key(digit, 40, LOUD, LOUD, 1.0).pause(40);
            }
            assert_eq!(t.heard(), "1234567890*#ABCD", "offset {offset}");
        }
    }

    #[test]
    fn the_same_key_twice_is_two_and_a_long_press_is_one() {
        let t = Tones::new(7).key('5', 80, LOUD, LOUD, 1.0).pause(45).key('5', 80, LOUD, LOUD, 1.0).pause(45);
        assert_eq!(t.key('5', 2_000, LOUD, LOUD, 1.0).heard(), "555");
        // A drop-out of 10 ms does not double it.
        assert_eq!(Tones::new(3).key('5', 60, LOUD, LOUD, 1.0).pause(10).key('5', 60, LOUD, LOUD, 1.0).heard(), "5");
    }

    #[test]
    fn tones_of_23_ms_are_no_keys() {
        for offset in (0..102).step_by(10) {
            assert_eq!(Tones::new(offset).key('8', 23, LOUD, LOUD, 1.0).heard(), "", "offset {offset}");
        }
    }

    /// Q.24: up to 1.5 % must be heard.
    #[test]
    fn tones_are_heard_within_the_tolerance_of_frequency() {
        for digit in "1590#D".chars() {
            for detune in [0.985, 1.015] {
                assert_eq!(Tones::new(11).key(digit, 60, LOUD, LOUD, detune).heard(), digit.to_string(), "{digit} {detune}");
            }
        }
    }

    #[test]
    fn twist_and_level_are_judged() {
        let db = |d: f32| 10f32.powf(d / 20.0);
        assert_eq!(Tones::new(5).key('6', 60, LOUD, LOUD * db(3.5), 1.0).heard(), "6");
        assert_eq!(Tones::new(5).key('6', 60, LOUD, LOUD * db(-7.5), 1.0).heard(), "6");
        assert_eq!(Tones::new(5).key('6', 60, LOUD, LOUD * db(9.0), 1.0).heard(), "");
        assert_eq!(Tones::new(5).key('6', 60, LOUD, LOUD * db(-14.0), 1.0).heard(), "");
        // -25 dBm0 a tone is heard, -40 not.
        assert_eq!(Tones::new(5).key('6', 60, 1_280.0, 1_280.0, 1.0).heard(), "6");
        assert_eq!(Tones::new(5).key('6', 60, 230.0, 230.0, 1.0).heard(), "");
    }

    #[test]
    fn one_tone_noise_and_vowels_are_no_keys() {
        assert_eq!(Tones::new(0).key('1', 500, LOUD, 0.0, 1.0).heard(), "");
        let mut seed = 1u32;
        let noise = (0..80_000).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 18) as i16 - 8_192
        });
        assert_eq!(Tones { pcm: noise.collect() }.heard(), "");
        // Vowels: harmonics of a gliding voice, louder at two formants.
        for formants in
            [[730.0, 1_090.0, 2_440.0], [660.0, 1_720.0, 2_410.0], [850.0, 1_610.0, 2_900.0], [640.0, 1_190.0, 2_390.0]]
        {
            let pcm = (0..80_000).map(|n| {
                let t = n as f32 / 8_000.0;
                let phase = std::f32::consts::TAU * (90.0 * t + 6.0 * t * t);
                let pitch = 90.0 + 12.0 * t;
                let wave: f32 = (1..20u8)
                    .map(|h| {
                        let hz = f32::from(h) * pitch;
                        let gain: f32 = formants.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 80.0_f32).powi(2))).sum();
                        gain * (f32::from(h) * phase).sin()
                    })
                    .sum();
                (wave * 5_000.0) as i16
            });
            assert_eq!(Tones { pcm: pcm.collect() }.heard(), "", "{formants:?}");
        }
    }
}
