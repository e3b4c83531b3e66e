//! Reads sounds from WAV files: mono or stereo, 8 to 32 bit or float, any rate; they are mixed to mono at 8 kHz.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::media::{Clip, ClipName, Clips};

/// Longest prompt or music: ten minutes.
const LONGEST: usize = 600 * 8_000;

/// Longest message: what `[voicemail] longest` may be, and a little.
const LONGEST_MESSAGE: u64 = 31 * 60 * 8_000;

/// A file that is no sound for us.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: hound::Error },
    #[error("{}: longer than {seconds} s", path.display())]
    TooLong { path: PathBuf, seconds: u64 },
    #[error("{}: rate {rate} Hz", path.display())]
    Rate { path: PathBuf, rate: u32 },
}

/// Reads the prompts (`<language>/<prompt>` each, under `folder`) and the music on hold (built-in where there is none). What cannot be
/// read is left out and told: playing it then reports it as missing.
pub fn load<'a>(
    folder: &Path,
    prompts: impl IntoIterator<Item = &'a str>,
    hold_music: Option<&Path>,
) -> (Clips, Vec<SoundError>) {
    let (mut clips, mut errors) = (BTreeMap::new(), Vec::new());
    for name in prompts {
        match read(&folder.join(name).with_added_extension("wav")) {
            Ok(clip) => drop(clips.insert(ClipName(name.into()), Arc::new(clip))),
            Err(error) => errors.push(error),
        }
    }
    let music = hold_music.and_then(|path| read(path).map_err(|e| errors.push(e)).ok());
    (Clips::new(clips, music.map(Arc::new)), errors)
}

/// Reads one file.
pub fn read(path: &Path) -> Result<Clip, SoundError> {
    read_as(path, |frame| frame.iter().sum::<f32>() / frame.len().max(1) as f32)
}

/// Reads what somebody has sent, no longer than so many seconds.
pub fn parse(bytes: &[u8], seconds: u32) -> Result<Clip, SoundError> {
    let path = Path::new("the file");
    let wav = hound::WavReader::new(bytes).map_err(|error| SoundError::Unreadable { path: path.to_owned(), error })?;
    let mono = |frame: &[f32]| frame.iter().sum::<f32>() / frame.len().max(1) as f32;
    read_from(wav, path, u64::from(seconds) * 8_000, mono)
}

/// Reads the first channel of a file: what was said, of a recording.
pub fn read_left(path: &Path) -> Result<Clip, SoundError> {
    let unreadable = |error| SoundError::Unreadable { path: path.to_owned(), error };
    let mut wav = hound::WavReader::open(path).map_err(unreadable)?;
    let spec = wav.spec();
    // As the recorder writes them: half an hour is taken as it is, without a copy in another form.
    if spec.sample_rate == 8_000
        && spec.sample_format == hound::SampleFormat::Int
        && spec.bits_per_sample == 16
        && u64::from(wav.duration()) <= LONGEST_MESSAGE
    {
        let left = wav.samples::<i16>().step_by(usize::from(spec.channels.max(1)));
        return Ok(Clip::new(left.collect::<Result<Vec<i16>, _>>().map_err(unreadable)?));
    }
    read_from(wav, path, LONGEST_MESSAGE, |frame| frame.first().copied().unwrap_or(0.0))
}

/// As a file: mono, 16 bit, 8 kHz.
pub fn to_wav(clip: &Clip) -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec { channels: 1, sample_rate: 8_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut wav = hound::WavWriter::new(&mut bytes, spec)?;
    for sample in clip.pcm() {
        wav.write_sample(*sample)?;
    }
    wav.finalize()?;
    Ok(bytes.into_inner())
}

fn read_as(path: &Path, mono: impl Fn(&[f32]) -> f32) -> Result<Clip, SoundError> {
    let unreadable = |error| SoundError::Unreadable { path: path.to_owned(), error };
    read_from(hound::WavReader::open(path).map_err(unreadable)?, path, LONGEST as u64, mono)
}

fn read_from<R: Read>(
    mut wav: hound::WavReader<R>,
    path: &Path,
    longest: u64,
    mono: impl Fn(&[f32]) -> f32,
) -> Result<Clip, SoundError> {
    let unreadable = |error| SoundError::Unreadable { path: path.to_owned(), error };
    let spec = wav.spec();
    if !(4_000..=192_000).contains(&spec.sample_rate) {
        return Err(SoundError::Rate { path: path.to_owned(), rate: spec.sample_rate });
    }
    if u64::from(wav.duration()) * 8_000 > longest * u64::from(spec.sample_rate) {
        return Err(SoundError::TooLong { path: path.to_owned(), seconds: longest / 8_000 });
    }
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => wav.samples::<f32>().collect::<Result<_, _>>().map_err(unreadable)?,
        hound::SampleFormat::Int => {
            let full = (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            wav.samples::<i32>().map(|s| s.map(|s| s as f32 / full)).collect::<Result<_, _>>().map_err(unreadable)?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mono: Vec<f32> = samples.chunks(channels).map(mono).collect();
    Ok(Clip::new(to_8_khz(&mono, spec.sample_rate)))
}

/// Half width of the filter, in its zero crossings: 8 keep what is above 4 kHz 50 dB down.
const CROSSINGS: f64 = 8.0;

/// Windowed-sinc resampling: slow, but done once, at start.
fn to_8_khz(samples: &[f32], rate: u32) -> Vec<i16> {
    let scale = |s: f64| (s * 32_767.0).clamp(-32_768.0, 32_767.0) as i16;
    if rate == 8_000 {
        return samples.iter().map(|s| scale(f64::from(*s))).collect();
    }
    let step = f64::from(rate) / 8_000.0;
    // Of the lower of both rates: the filter's cut.
    let cut = (1.0 / step).min(1.0) * 0.95;
    let reach = CROSSINGS / cut;
    let count = (samples.len() as f64 / step) as usize;
    (0..count)
        .map(|n| {
            let centre = n as f64 * step;
            let from = (centre - reach).ceil().max(0.0) as usize;
            let to = ((centre + reach) as usize).min(samples.len().saturating_sub(1));
            let sum: f64 = (from..=to)
                .map(|i| {
                    let x = i as f64 - centre;
                    let window = 0.5 + 0.5 * (std::f64::consts::PI * x / reach).cos();
                    let sinc =
                        if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x * cut).sin() / (std::f64::consts::PI * x * cut) };
                    f64::from(samples[i]) * cut * sinc * window
                })
                .sum();
            scale(sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, rate: u32, channels: u16, hz: f32) {
        let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut wav = hound::WavWriter::create(path, spec).unwrap();
        for n in 0..rate {
            let s = (10_000.0 * (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin()) as i16;
            for _ in 0..channels {
                wav.write_sample(s).unwrap();
            }
        }
        wav.finalize().unwrap();
    }

    #[test]
    fn files_of_any_rate_sound_the_same_at_8_khz() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("en")).unwrap();
        for (name, rate, channels) in [("a", 8_000, 1), ("b", 44_100, 2), ("c", 16_000, 1), ("d.x", 22_050, 1)] {
            write(&folder.path().join(format!("en/{name}.wav")), rate, channels, 1_000.0);
        }
        std::fs::write(folder.path().join("en/bad.wav"), b"no sound").unwrap();
        let names = ["en/a", "en/b", "en/c", "en/d.x", "en/bad", "en/none"];
        let (clips, errors) = load(folder.path(), names, None);
        assert_eq!(errors.len(), 2, "{errors:?}");
        let pcm = |n: &str| clips.prompt(&ClipName(n.into())).unwrap().pcm().to_vec();
        let first = pcm("en/a");
        assert_eq!(first.len(), 8_000);
        for name in ["en/b", "en/c", "en/d.x"] {
            let other = pcm(name);
            assert!((7_999..=8_000).contains(&other.len()));
            let worst = (100..7_900).map(|i| (i32::from(first[i]) - i32::from(other[i])).abs()).max();
            assert!(worst.is_some_and(|w| w < 300), "{name}: {worst:?}");
        }
        assert_eq!(clips.music().len(), 48 * 8_000);
    }

    #[test]
    fn what_is_above_4_khz_does_not_fold_down() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("high.wav"), 16_000, 1, 5_500.0);
        let clip = read(&folder.path().join("high.wav")).unwrap();
        assert!(clip.pcm()[100..7_900].iter().all(|s| s.unsigned_abs() < 200));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let clip = Clip::new((0..4_000).map(|n| (n * 7 % 3_000) as i16).collect::<Vec<i16>>());
        let read = parse(&to_wav(&clip).unwrap(), 1).unwrap();
        let off = read.pcm().iter().zip(clip.pcm()).map(|(read, was)| read.abs_diff(*was)).max();
        assert!(read.len() == clip.len() && off <= Some(1), "{off:?}");
    }
}
