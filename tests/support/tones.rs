//! An ear: which party's tone is on which channel of a WAV, by half second, and how loud everything else is.
//!
//! Each party speaks a tone of its own, so crossed, missing and mixed channels show at once. A tone counts as present above
//! -40 dBFS in a Hann window of half a second: neighbours 50 Hz apart and G.711's own noise stay far below that.

use std::f64::consts::TAU;
use std::fmt;
use std::path::Path;

/// dBFS (of a sine's peak) from which a tone counts as present.
const PRESENT_DB: f64 = -40.0;
/// Anything fainter is silence to us; also what "nothing at all" reads as.
const FLOOR_DB: f64 = -100.0;

/// Bytes before the samples of a WAV that has a format and a data chunk and nothing else.
const PLAIN_HEADER: usize = 44;

/// A WAV in memory, one vector a channel, samples from -1 to 1.
pub struct Audio {
    pub rate: u32,
    pub channels: Vec<Vec<f64>>,
}

/// What half a second of a channel holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Half {
    /// Which of the tones asked for, as indices.
    pub tones: Vec<usize>,
    /// Level of everything together, dBFS of a sine's peak.
    pub level_db: f64,
    /// Level of what is left without the tones asked for.
    pub other_db: f64,
}

impl Half {
    pub fn is_silent(&self) -> bool {
        self.level_db < PRESENT_DB
    }

    /// This tone, no other of the tones asked for, and nothing else within 20 dB of it.
    pub fn is_only(&self, tone: usize) -> bool {
        self.tones == [tone] && self.other_db < self.level_db - 20.0
    }
}

impl Audio {
    #[track_caller]
    pub fn read(path: &Path) -> Audio {
        Audio::try_read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn try_read(path: &Path) -> Result<Audio, hound::Error> {
        let mut wav = hound::WavReader::open(path)?;
        let spec = wav.spec();
        let samples: Vec<f64> = match spec.sample_format {
            hound::SampleFormat::Int => {
                let full = f64::from(1u32 << (spec.bits_per_sample - 1));
                wav.samples::<i32>().map(|s| s.map(|s| f64::from(s) / full)).collect::<Result<_, _>>()?
            }
            hound::SampleFormat::Float => wav.samples::<f32>().map(|s| s.map(f64::from)).collect::<Result<_, _>>()?,
        };
        let count = usize::from(spec.channels);
        let channels = (0..count).map(|c| samples.iter().skip(c).step_by(count).copied().collect()).collect();
        Ok(Audio { rate: spec.sample_rate, channels })
    }

    /// 16-bit mono whose header is not to be believed (linphonec counts 44 bytes too many): whatever follows it is samples. While it is
    /// still written and all zeroes, it is taken for 8 kHz.
    pub fn by_file_length(path: &Path) -> Option<Audio> {
        let bytes = std::fs::read(path).ok()?;
        let rate = Some(u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?)).filter(|rate| *rate > 0).unwrap_or(8_000);
        let samples = bytes.get(PLAIN_HEADER..)?.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0);
        Some(Audio { rate, channels: vec![samples.collect()] })
    }

    /// What has so many times 8 kHz, whatever its header says, at 8 kHz: each as many samples are their mean.
    pub fn thinned(self, by: usize) -> Audio {
        let thin = |samples: &Vec<f64>| samples.chunks_exact(by).map(|part| part.iter().sum::<f64>() / by as f64).collect();
        Audio { rate: 8_000, channels: self.channels.iter().map(thin).collect() }
    }

    /// No length in the header yet: it is still being written.
    pub fn header_is_empty(path: &Path) -> bool {
        std::fs::read(path).is_ok_and(|bytes| bytes.get(PLAIN_HEADER - 4..PLAIN_HEADER).is_none_or(|length| length == [0; 4]))
    }

    pub fn seconds(&self) -> f64 {
        self.channels.first().map_or(0.0, |c| c.len() as f64 / f64::from(self.rate))
    }

    /// What each half second of a channel holds; a rest shorter than that is left out.
    pub fn halves(&self, channel: usize, tones: &[f64]) -> Vec<Half> {
        let length = self.rate as usize / 2;
        self.channels[channel].chunks_exact(length).map(|samples| half(samples, f64::from(self.rate), tones)).collect()
    }

    /// The picture that a person looks at: one row a channel, a letter a tone, `.` silence, `?` something else.
    pub fn picture<'a>(&'a self, tones: &'a [f64]) -> Picture<'a> {
        Picture { audio: self, tones }
    }
}

fn half(samples: &[f64], rate: f64, tones: &[f64]) -> Half {
    let n = samples.len() as f64;
    let windowed: Vec<f64> =
        samples.iter().enumerate().map(|(i, s)| s * (0.5 - 0.5 * (TAU * i as f64 / (n - 1.0)).cos())).collect();
    // A Hann window's sum is n/2, its sum of squares 3n/8.
    let amplitudes: Vec<f64> = tones.iter().map(|hz| 2.0 * strength(&windowed, *hz, rate) / (n / 2.0)).collect();
    let power: f64 = windowed.iter().map(|s| s * s).sum::<f64>() / (3.0 * n / 8.0);
    let of_tones: f64 = amplitudes.iter().map(|a| a * a / 2.0).sum();
    Half {
        tones: (0..tones.len()).filter(|i| decibel(amplitudes[*i]) > PRESENT_DB).collect(),
        level_db: decibel((2.0 * power).sqrt()),
        other_db: decibel((2.0 * (power - of_tones).max(0.0)).sqrt()),
    }
}

/// Magnitude of one frequency (Goertzel's recurrence).
fn strength(samples: &[f64], hz: f64, rate: f64) -> f64 {
    let w = TAU * hz / rate;
    let factor = 2.0 * w.cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        (before, last) = (last, sample + factor * last - before);
    }
    (before * before + last * last - factor * before * last).max(0.0).sqrt()
}

fn decibel(amplitude: f64) -> f64 {
    if amplitude > 0.0 { (20.0 * amplitude.log10()).max(FLOOR_DB) } else { FLOOR_DB }
}

pub struct Picture<'a> {
    audio: &'a Audio,
    tones: &'a [f64],
}

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for channel in 0..self.audio.channels.len() {
            write!(f, "ch{channel}:")?;
            for half in self.audio.halves(channel, self.tones) {
                let letters: String = half.tones.iter().map(|i| char::from(b'A' + *i as u8)).collect();
                let other = if half.other_db > PRESENT_DB && half.other_db > half.level_db - 20.0 { "?" } else { "" };
                write!(f, " {}{other}", if letters.is_empty() && other.is_empty() { "." } else { &letters })?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Samples of a sine at -6 dBFS, for a source file or a packet.
pub fn sine(hz: f64, rate: u32, from: usize, count: usize) -> impl Iterator<Item = i16> {
    (from..from + count).map(move |i| ((TAU * hz * i as f64 / f64::from(rate)).sin() * 16_384.0) as i16)
}

/// Writes an 8 kHz mono sine, what a phone says.
pub fn write_sine(path: &Path, hz: f64, seconds: u32) {
    write_wav(path, sine(hz, 8_000, 0, seconds as usize * 8_000));
}

/// Writes samples at 8 kHz, mono.
pub fn write_wav(path: &Path, samples: impl Iterator<Item = i16>) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 8_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut wav = hound::WavWriter::create(path, spec).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for sample in samples {
        wav.write_sample(sample).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    wav.finalize().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(left: impl Iterator<Item = i16>, right: impl Iterator<Item = i16>) -> Audio {
        let channel = |c: Box<dyn Iterator<Item = i16> + '_>| c.map(|s| f64::from(s) / 32_768.0).collect();
        Audio { rate: 8_000, channels: vec![channel(Box::new(left)), channel(Box::new(right))] }
    }

    #[test]
    fn each_tone_is_heard_on_its_own_channel_and_its_level_is_right() {
        let heard = audio(sine(440.0, 8_000, 0, 8_000), sine(1_000.0, 8_000, 0, 8_000));
        for (channel, tone) in [(0, 0), (1, 1)] {
            for half in heard.halves(channel, &[440.0, 1_000.0]) {
                assert!(half.is_only(tone), "{half:?}");
                assert!((half.level_db + 6.02).abs() < 0.1, "{half:?}");
            }
        }
        assert_eq!(heard.picture(&[440.0, 1_000.0]).to_string(), "ch0: A A\nch1: B B\n");
    }

    #[test]
    fn a_mixture_a_stranger_and_silence_are_told_apart() {
        let mixed = sine(440.0, 8_000, 0, 4_000).zip(sine(1_000.0, 8_000, 0, 4_000)).map(|(a, b)| a / 2 + b / 2);
        let heard = audio(mixed.chain(std::iter::repeat_n(0, 4_000)), sine(700.0, 8_000, 0, 8_000));
        assert_eq!(heard.picture(&[440.0, 1_000.0]).to_string(), "ch0: AB .\nch1: ? ?\n");
        assert!(heard.halves(0, &[440.0])[1].is_silent());
        assert!(!heard.halves(1, &[440.0])[0].is_only(0));
    }
}
