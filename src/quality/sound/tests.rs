//! Phrases of the shipped prompts, which espeak-ng spoke, between silence, in noise and over music.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::chance::Chance;
use crate::media::Clips;

const RATE: usize = 8_000;
/// Phrases without a pause of 300 ms in them, in each of the languages.
const PHRASES: [&str; 4] = ["welcome", "extension", "invalid", "unavailable"];
const LANGUAGES: [&str; 6] = ["de", "en", "it", "sv", "uk", "zh"];
/// What a boundary may be off, and the lengths between two.
const OFF_MS: u64 = 100;

/// A mono channel in the making, full scale 1.0.
#[derive(Clone)]
struct Track(Vec<f32>);

impl Track {
    fn silence(seconds: f32) -> Track {
        Track(vec![0.0; (seconds * RATE as f32) as usize])
    }

    fn add(&mut self, at_ms: u64, sound: &[f32]) {
        let from = at_ms as usize * RATE / 1_000;
        for (here, sample) in self.0[from..].iter_mut().zip(sound) {
            *here += sample;
        }
    }
}

fn ms(samples: usize) -> u64 {
    (samples * 1_000 / RATE) as u64
}

/// A phrase from its first loud moment to its last, its talk at so many dB below full scale.
fn phrase(name: &str, db: f32) -> Vec<f32> {
    let path = format!("{}/config/prompts/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut wav = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let samples: Vec<f32> = wav.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    let powers: Vec<f32> = samples.chunks(80).map(power).collect();
    let talk = |powers: &[f32], least: f32| -> Vec<f32> { powers.iter().copied().filter(|p| *p > least).collect() };
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    let spoken = talk(&powers, loudest * 1e-3);
    let mean = spoken.iter().sum::<f32>() / spoken.len() as f32;
    // What is more than 10 dB below the rest no rule can find in noise that is as loud.
    let from = powers.iter().position(|p| *p > mean * 0.1).unwrap() * 80;
    let to = powers.iter().rposition(|p| *p > mean * 0.1).unwrap() * 80 + 80;
    let gain = (10f32.powf(db / 10.0) / mean).sqrt();
    samples[from..to.min(samples.len())].iter().map(|s| s * gain).collect()
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32
}

/// Noise of a room, more of it below than above, so many dB below full scale.
fn noise(seconds: f32, db: f32, seed: u8) -> Vec<f32> {
    let mut chance = Chance::seeded([seed; 32]);
    let mut slow = 0.0;
    let samples: Vec<f32> = (0..(seconds * RATE as f32) as usize)
        .map(|_| {
            let white = (chance.below(1 << 20) as f32 + chance.below(1 << 20) as f32) / (1 << 20) as f32 - 1.0;
            slow = 0.8 * slow + white;
            slow
        })
        .collect();
    let gain = (10f32.powf(db / 10.0) / power(&samples)).sqrt();
    samples.iter().map(|s| s * gain).collect()
}

fn music(seconds: f32) -> Vec<f32> {
    let clips = Clips::new(BTreeMap::new(), None);
    let pcm = clips.music().pcm();
    (0..(seconds * RATE as f32) as usize).map(|n| f32::from(pcm[n % pcm.len()]) / 32_768.0).collect()
}

fn interleaved(said: &Track, heard: &Track) -> Vec<i16> {
    let sample = |s: &f32| (s * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
    said.0.iter().zip(&heard.0).flat_map(|(a, b)| [sample(a), sample(b)]).collect()
}

fn listen(said: &Track, heard: &Track, least: Least) -> Sound {
    let mut meter = Meter::new(RATE as u32, least);
    meter.push(&interleaved(said, heard));
    meter.finish()
}

fn least(silence_ms: u64, overtalk_ms: u64) -> Least {
    Least { silence: Duration::from_millis(silence_ms), overtalk: Duration::from_millis(overtalk_ms) }
}

#[track_caller]
fn near(found: u64, planted: u64, what: &str) {
    assert!(found.abs_diff(planted) <= OFF_MS, "{what}: found {found} ms, planted {planted} ms");
}

#[test]
fn phrases_in_six_languages_begin_and_end_where_they_do_in_quiet_and_in_noise() {
    for (seed, noise_db) in [None, Some(-46.0), Some(-41.0), Some(-36.0)].into_iter().enumerate() {
        for language in LANGUAGES {
            let phrases: Vec<Vec<f32>> = PHRASES.iter().map(|name| phrase(&format!("{language}/{name}"), -26.0)).collect();
            let mut said = Track::silence(40.0);
            if let Some(db) = noise_db {
                said.add(0, &noise(40.0, db, seed as u8));
            }
            let mut at = 2_000;
            let mut planted = vec![];
            let mut begun = 0;
            for phrase in &phrases {
                planted.push((begun, at));
                said.add(at, phrase);
                begun = at + ms(phrase.len());
                at = begun + 1_700;
            }
            planted.push((begun, 40_000));
            let sound = listen(&said, &Track::silence(40.0), least(1_000, 500));
            let what = format!("{language}, noise {noise_db:?}");
            let found: Vec<(u64, u64)> = sound.silences.iter().map(|s| (s.at_ms, s.at_ms + s.length_ms)).collect();
            assert_eq!(found.len(), planted.len(), "{what}: found {found:?}, planted {planted:?}");
            for ((from, to), (planted_from, planted_to)) in found.iter().zip(&planted) {
                near(*from, *planted_from, &format!("{what}, end of talk"));
                near(*to, *planted_to, &format!("{what}, beginning of talk"));
            }
            near(sound.parts[0].first_ms[0].unwrap(), 2_000, &what);
            assert_eq!((sound.parts[0].talk_ms[1], sound.parts[0].first_ms[1]), (0, None), "{what}");
        }
    }
}

#[test]
fn levels_are_those_of_the_talk_alone() {
    for db in [-45.0, -35.0, -26.0, -15.0] {
        let mut heard = Track::silence(30.0);
        heard.add(0, &noise(30.0, db - 25.0, 9));
        for (n, name) in PHRASES.iter().enumerate() {
            heard.add(1_000 + 7_000 * n as u64, &phrase(&format!("en/{name}"), db));
        }
        let sound = listen(&Track::silence(30.0), &heard, Least::default());
        let found = sound.parts[0].level_dbfs[1].unwrap();
        // Pauses within the phrases count, and the high pass takes some.
        assert!((found - db).abs() < 0.5, "{found} for {db}");
        assert_eq!(sound.parts[0].level_dbfs[0], None);
    }
}

#[test]
fn music_noise_and_tones_are_no_talk() {
    let quiet = Track::silence(60.0);
    for (what, sound) in [
        ("music", music(60.0)),
        ("noise", noise(60.0, -30.0, 1)),
        ("a busy tone", (0..RATE * 60).map(|n| if n / 4_000 % 2 == 0 { (n as f32 * 0.334).sin() * 0.1 } else { 0.0 }).collect()),
        ("a dial tone", (0..RATE * 60).map(|n| (n as f32 * 0.334).sin() * 0.1).collect()),
    ] {
        let mut heard = quiet.clone();
        heard.add(0, &sound);
        let found = listen(&quiet, &heard, Least::default());
        assert!(found.parts[0].talk_ms[1] < 600, "{what}: {:?}", found.parts[0]);
    }
}

#[test]
fn noise_that_begins_or_ends_within_a_call_is_no_talk_and_words_in_it_are() {
    let mut said = Track::silence(40.0);
    said.add(0, &noise(40.0, -60.0, 2));
    said.add(10_000, &noise(15.0, -36.0, 3));
    let words = phrase("en/extension", -22.0);
    for at in [4_000, 15_000, 30_000] {
        said.add(at, &words);
    }
    let found = listen(&said, &Track::silence(40.0), least(1_000, 500));
    let edges: Vec<u64> = found.silences.iter().flat_map(|s| [s.at_ms, s.at_ms + s.length_ms]).collect();
    let length = ms(words.len());
    let planted = [0, 4_000, 4_000 + length, 15_000, 15_000 + length, 30_000, 30_000 + length, 40_000];
    assert_eq!(edges.len(), planted.len(), "{edges:?}");
    for (found, planted) in edges.into_iter().zip(planted) {
        near(found, planted, "an edge");
    }
}

#[test]
fn overtalk_is_found_with_who_interrupted() {
    let long = phrase("en/recorded", -26.0);
    let word = phrase("en/invalid", -24.0);
    for (by, at, other_at) in [(Some(By::Phone), 2_000, 3_000), (Some(By::Customer), 3_000, 2_000)] {
        let (mut said, mut heard) = (Track::silence(20.0), Track::silence(20.0));
        said.add(at, if by == Some(By::Phone) { &long } else { &word });
        heard.add(other_at, if by == Some(By::Phone) { &word } else { &long });
        let found = listen(&said, &heard, least(3_000, 1_000));
        assert_eq!((found.overtalks.len(), found.overtalks_count), (1, 1), "{found:?}");
        assert_eq!(found.overtalks[0].by, by);
        near(found.overtalks[0].at_ms, 3_000, "overtalk");
        assert!(found.overtalks[0].length_ms > 1_000 && found.overtalks[0].length_ms <= ms(word.len()) + OFF_MS, "{found:?}");
    }
}

#[test]
fn an_echo_is_not_the_other_side_and_a_faint_voice_is() {
    let words = phrase("en/menu", -20.0);
    let (mut said, mut heard) = (Track::silence(20.0), Track::silence(20.0));
    heard.add(2_000, &words);
    let echo: Vec<f32> = words.iter().map(|s| s * 0.04).collect();
    said.add(2_060, &echo);
    let found = listen(&said, &heard, least(3_000, 200));
    assert_eq!((found.parts[0].talk_ms[0], found.overtalks_count), (0, 0), "{found:?}");
    said.add(12_000, &phrase("en/welcome", -46.0));
    let found = listen(&said, &heard, least(3_000, 200));
    near(found.parts[0].first_ms[0].unwrap(), 12_000, "the faint voice");
}

#[test]
fn what_is_not_to_be_judged_is_nobodys_silence_and_nobodys_talk() {
    let (mut said, mut heard) = (Track::silence(60.0), Track::silence(60.0));
    said.add(1_000, &phrase("en/welcome", -26.0));
    heard.add(10_000, &music(30.0));
    heard.add(20_000, &phrase("en/menu", -15.0));
    heard.add(42_000, &phrase("en/goodbye", -26.0));
    let samples = interleaved(&said, &heard);
    let mut meter = Meter::new(RATE as u32, least(3_000, 500));
    // On hold from 8 to 40 s; told a little before it comes, as the recorder is behind the core.
    meter.push(&samples[..2 * RATE * 7]);
    meter.rest_from(8 * RATE as u64);
    meter.push(&samples[2 * RATE * 7..2 * RATE * 39]);
    meter.listen_from(40 * RATE as u64);
    meter.push(&samples[2 * RATE * 39..]);
    let found = meter.finish();
    let parts: Vec<(u64, u64)> = found.parts.iter().map(|p| (p.at_ms, p.length_ms)).collect();
    assert_eq!(parts, [(0, 8_000), (40_000, 20_000)]);
    assert_eq!((found.parts[0].talk_ms[1], found.parts[1].talk_ms[0]), (0, 0));
    near(found.parts[1].first_ms[1].unwrap(), 42_000, "first words after the hold");
    assert!(found.silences.iter().all(|s| s.at_ms + s.length_ms <= 8_000 || s.at_ms >= 40_000), "{:?}", found.silences);
    assert_eq!(found.silences.len(), 2);
}

#[test]
fn a_wide_recording_is_measured_as_a_narrow_one() {
    let path = format!("{}/tests/data/speech.wav", env!("CARGO_MANIFEST_DIR"));
    let mut wav = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(wav.spec().sample_rate, 16_000);
    let wide: Vec<i16> = wav.samples::<i16>().map(Result::unwrap).collect();
    let stereo = |mono: &[i16]| mono.iter().flat_map(|s| [*s, 0]).collect::<Vec<i16>>();
    let narrow: Vec<i16> = wide.chunks_exact(2).map(|pair| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16).collect();
    let [a, b] = [(16_000, stereo(&wide)), (8_000, stereo(&narrow))].map(|(rate, samples)| {
        let mut meter = Meter::new(rate, least(500, 500));
        meter.push(&samples);
        meter.finish()
    });
    assert_eq!(a.silences.len(), b.silences.len(), "{a:?} {b:?}");
    near(a.parts[0].talk_ms[0], b.parts[0].talk_ms[0], "talk");
    assert!((a.parts[0].level_dbfs[0].unwrap() - b.parts[0].level_dbfs[0].unwrap()).abs() < 1.0);
}

#[test]
fn the_longest_are_listed_and_all_are_counted() {
    let word = phrase("en/digit-6", -26.0);
    let mut said = Track::silence(400.0);
    let mut at = 0;
    for n in 0..80 {
        said.add(at, &word);
        at += ms(word.len()) + 1_200 + (n * 37 % 80) * 40;
    }
    let found = listen(&said, &Track::silence(400.0), least(1_000, 500));
    assert_eq!((found.silences.len(), found.silences_count), (MOST, 80));
    assert!(found.silences.is_sorted_by_key(|s| s.at_ms));
    assert!(found.silences.iter().all(|s| s.length_ms > 2_000), "{:?}", found.silences);
}

fn noisy_words() -> impl Strategy<Value = Vec<i16>> {
    let stretch = (1..4_000usize, prop_oneof![Just(0i32), Just(12), Just(300), Just(9_000), Just(32_767)], any::<u8>());
    prop::collection::vec((stretch.clone(), stretch), 1..40).prop_map(|stretches| {
        let mut samples = vec![];
        for ((length, said, seed), (_, heard, _)) in stretches {
            let mut chance = Chance::seeded([seed; 32]);
            for _ in 0..length {
                let mut draw = |most: i32| (chance.below(2 * most as u64 + 1) as i32 - most) as i16;
                samples.extend([draw(said), draw(heard)]);
            }
        }
        samples
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn in_whatever_pieces_it_comes_it_is_the_same(samples in noisy_words(), piece in 1..5_000usize) {
        let mut whole = Meter::new(RATE as u32, least(500, 100));
        whole.push(&samples);
        let mut pieces = Meter::new(RATE as u32, least(500, 100));
        for piece in samples.chunks(piece * 2) {
            pieces.push(piece);
        }
        prop_assert_eq!(pieces.finish(), whole.finish());
    }

    #[test]
    fn the_figures_of_a_part_agree(samples in noisy_words(), turns in prop::collection::vec((0..160_000u64, any::<bool>()), 0..20)) {
        let mut meter = Meter::new(RATE as u32, least(20, 20));
        for (at, listens) in turns {
            if listens { meter.listen_from(at) } else { meter.rest_from(at) }
        }
        for piece in samples.chunks(1_600) {
            meter.push(piece);
            let held = meter.part.as_ref().map_or(0, |p| p.talks.iter().map(|t| t.decided.len()).max().unwrap_or(0));
            prop_assert!(held <= 200);
        }
        let sound = meter.finish();
        let length = samples.len() as u64 / 2 / 8;
        for part in &sound.parts {
            prop_assert!(part.at_ms + part.length_ms <= length);
            prop_assert!(part.talk_ms[0].max(part.talk_ms[1]) <= part.length_ms);
            prop_assert!(part.overtalk_ms <= part.talk_ms[0].min(part.talk_ms[1]));
            for side in 0..2 {
                prop_assert_eq!(part.talk_ms[side] > 0, part.first_ms[side].is_some());
                prop_assert_eq!(part.talk_ms[side] > 0, part.level_dbfs[side].is_some());
                prop_assert!(part.level_dbfs[side].is_none_or(|db| (-60.0..=1.0).contains(&db)));
            }
        }
        prop_assert!(sound.parts.is_sorted_by(|a, b| a.at_ms + a.length_ms <= b.at_ms));
        let kept = |list: &[(u64, u64)]| list.iter().all(|(at, length)| *length >= 20 && at + length <= samples.len() as u64 / 16);
        prop_assert!(kept(&sound.silences.iter().map(|s| (s.at_ms, s.length_ms)).collect::<Vec<_>>()));
        prop_assert!(kept(&sound.overtalks.iter().map(|s| (s.at_ms, s.length_ms)).collect::<Vec<_>>()));
        let both: u64 = sound.parts.iter().map(|p| p.overtalk_ms).sum();
        prop_assert!(sound.overtalks_count > MOST as u64 || both == sound.overtalks.iter().map(|o| o.length_ms).sum::<u64>());
    }
}
