//! Speech between every two codecs, plain and encrypted, judged by PESQ (ITU-T P.862, P.862.2) against the codecs alone.
//!
//! | | |
//! |---|---|
//! | alone | speech encoded and decoded by the first codec, brought to the second one's rate, encoded and decoded by that |
//! | call | what the second phone hears of the first one through the worker |
//! | SDES | the same packets come where both phones are encrypted under keys of their descriptions |
//! | DTLS | the same where both are pages (`rtc`'s peer connections), under the keys of their handshakes with the switch |
//! | PESQ | by both against the speech itself: wide band where both codecs are, else narrow band |
//!
//! Both phones speak at the same time, each its own sentence first; then each says a tone.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cordboard::codec::{Codec, Resampler};
use cordboard::rtp::srtp::Suite;

use super::rig::{A, B, Call, Phone, decoded, encoded};
use super::skip::skipped;
use super::tones::Audio;

const TONES: [f64; 2] = [440.0, 1_000.0];
const TONE: Duration = Duration::from_millis(1_600);
/// Of `speech.wav`.
const RATE: u32 = 16_000;
/// By how much a call may be worse than its codecs.
const WORSE: f64 = 0.1;
const ALIKE: f64 = 0.99;

/// What a phone says: speech in which the two sentences change places for the second phone.
fn speech(phone: usize) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/speech.wav");
    let mut wav = hound::WavReader::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(wav.spec().sample_rate, RATE);
    let mut pcm: Vec<i16> = wav.samples::<i16>().map(|s| s.unwrap_or_else(|e| panic!("{}: {e}", path.display()))).collect();
    // Whole packets.
    pcm.truncate(pcm.len() / 320 * 320);
    if phone == B {
        pcm.rotate_left(RATE as usize * 4);
    }
    pcm
}

fn tone(phone: usize) -> Vec<i16> {
    let sample = |n: u128| (8_000.0 * (std::f64::consts::TAU * TONES[phone] * n as f64 / f64::from(RATE)).sin()) as i16;
    (0..TONE.as_millis() * u128::from(RATE) / 1_000).map(sample).collect()
}

fn resampled(pcm: &[i16], from: u32, to: u32) -> Vec<i16> {
    let mut out = Vec::new();
    Resampler::new(from, to).process(pcm, &mut out);
    out
}

/// What a phone says in a codec.
fn packets(codec: Codec, phone: usize) -> Vec<Vec<u8>> {
    let pcm = [speech(phone), tone(phone)].concat();
    encoded(codec, &resampled(&pcm, RATE, codec.sample_rate()))
}

/// What is heard of these packets where nothing is between the codecs.
fn alone(from: Codec, to: Codec, packets: &[Vec<u8>]) -> Vec<i16> {
    let once = decoded(from, packets.iter().map(Vec::as_slice));
    if from == to {
        return once;
    }
    let again = encoded(to, &resampled(&once, from.sample_rate(), to.sample_rate()));
    decoded(to, again.iter().map(Vec::as_slice))
}

/// One way of a call.
struct Cell {
    from: Codec,
    to: Codec,
    alone: Vec<i16>,
    call: Vec<i16>,
    /// The same packets came under keys of SDES, and of DTLS.
    encrypted: [bool; 2],
}

fn call(codecs: [Codec; 2], said: &[Vec<Vec<u8>>; 2], packets: u64, keyed: impl Fn(usize, Phone) -> Phone) -> Call {
    let phone = |n: usize| keyed(n, Phone::new(codecs[n], said[n].clone()));
    let mut call = Call::new([phone(A), phone(B)]);
    call.run(Duration::from_millis(20 * packets - 10));
    call
}

/// Both ways of a pair of codecs.
fn pair(of_a: Codec, of_b: Codec) -> Vec<Cell> {
    let codecs = [of_a, of_b];
    let said = [packets(of_a, A), packets(of_b, B)];
    // Nobody begins anew what he said.
    let plain = call(codecs, &said, said[A].len().min(said[B].len()) as u64, |_, phone| phone);
    // Any two suites; and for as long as it takes to see that nothing but encryption is new.
    let sdes = call(codecs, &said, 100, |n, phone| phone.encrypted([Suite::AesCm80, Suite::Aes256Gcm][n]));
    let dtls = call(codecs, &said, 100, |_, phone| phone.in_a_browser());
    let ways = if of_a == of_b { &[(A, B)][..] } else { &[(A, B), (B, A)] };
    ways.iter()
        .map(|(from, to)| {
            let samples = plain.phones[*to].samples();
            let audio = Audio {
                rate: codecs[*to].sample_rate(),
                channels: vec![samples.iter().map(|s| f64::from(*s) / 32_768.0).collect()],
            };
            let halves = audio.halves(0, &TONES);
            let last = &halves[halves.len() - 2];
            assert!(last.is_only(*from), "{:?} hears of {:?}: {last:?}", codecs[*to], codecs[*from]);
            Cell {
                from: codecs[*from],
                to: codecs[*to],
                alone: alone(codecs[*from], codecs[*to], &said[*from]),
                encrypted: [&sdes, &dtls].map(|secret| {
                    let heard = &secret.phones[*to].heard;
                    plain.phones[*to].heard.starts_with(heard) && heard.len() > 90
                }),
                call: samples,
            }
        })
        .collect()
}

/// How alike two pieces of sound are that begin together, from -1 to 1.
fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (aa * bb).sqrt()
}

/// For PESQ: the speech alone, at 8 or 16 kHz, of what begins with it.
struct Sounds {
    folder: tempfile::TempDir,
    orders: String,
}

impl Sounds {
    fn new() -> Sounds {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap_or_else(|e| panic!("a folder: {e}"));
        Sounds { folder, orders: String::new() }
    }

    fn write(&self, name: &str, pcm: &[i16]) -> PathBuf {
        let path = self.folder.path().join(name);
        let bytes: Vec<u8> = pcm.iter().flat_map(|s| s.to_le_bytes()).collect();
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    fn order(&mut self, name: &str, rate: u32, speech: &[i16], heard: &[i16], heard_rate: u32) {
        let reference = self.write(&format!("{name}.said"), &resampled(speech, RATE, rate));
        let mut heard = resampled(heard, heard_rate, rate);
        heard.truncate((speech.len() as u64 * u64::from(rate) / u64::from(RATE)) as usize);
        let heard = self.write(&format!("{name}.heard"), &heard);
        let _ = writeln!(self.orders, "{rate}\t{}\t{}", reference.display(), heard.display());
    }

    /// A score an order.
    fn scores(&self, python: &Path) -> Vec<f64> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/judge.py");
        let mut child = Command::new(python)
            .arg(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", python.display()));
        if let Some(mut orders) = child.stdin.take() {
            orders.write_all(self.orders.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", script.display()));
        }
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("{}: {e}", script.display()));
        assert!(output.status.success(), "{}: {}", script.display(), output.status);
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().map(|line| line.parse().unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }
}

/// Two threads, since two cores are what a small machine has.
fn all_pairs() -> Vec<Cell> {
    let pairs: Vec<(Codec, Codec)> =
        Codec::ALL.iter().enumerate().flat_map(|(n, a)| Codec::ALL[n..].iter().map(|b| (*a, *b))).collect();
    let share = |n: usize| -> Vec<Cell> { pairs.iter().skip(n).step_by(2).flat_map(|(a, b)| pair(*a, *b)).collect() };
    std::thread::scope(|threads| {
        let other = threads.spawn(|| share(1));
        let mut cells = share(0);
        cells.extend(other.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        cells
    })
}

#[test]
fn speech_is_as_good_as_its_codecs_between_any_two_and_encrypted_too() {
    let mut cells = all_pairs();
    cells.sort_by_key(|cell| (cell.from, cell.to));
    let wide = |codec: Codec| codec.sample_rate() >= RATE;
    let mut sounds = Sounds::new();
    let said = [speech(A), speech(B)];
    for (n, cell) in cells.iter().enumerate() {
        let rate = if wide(cell.from) && wide(cell.to) { 16_000 } else { 8_000 };
        // The smaller codec is the first phone's.
        let speech = &said[if cell.from <= cell.to { A } else { B }];
        for (what, heard) in [("alone", &cell.alone), ("call", &cell.call)] {
            sounds.order(&format!("{n}-{what}"), rate, speech, heard, cell.to.sample_rate());
        }
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/venv/bin/python");
    let scores = if python.exists() {
        sounds.scores(&python)
    } else {
        skipped("PESQ", "tests/audio/venv is not there (scripts/setup test makes it)");
        Vec::new()
    };
    let mut table = format!(
        "\n{:16} {:>6} {:>6} {:>6} {:>6} {:>12} {:>5}\n",
        "speech", "alone", "call", "SDES", "DTLS", "correlation", "band"
    );
    let mut failures = Vec::new();
    for (n, cell) in cells.iter().enumerate() {
        let name = format!("{} → {}", cell.from.name(), cell.to.name());
        let score = |at: usize| scores.get(2 * n + at).copied();
        let (alone, call) = (score(0), score(1));
        let alike = (cell.from == cell.to).then(|| correlation(&cell.alone, &cell.call));
        let band = if wide(cell.from) && wide(cell.to) { "wide" } else { "narrow" };
        let shown = |x: Option<f64>, digits: usize| x.map_or("-".to_owned(), |x| format!("{x:.digits$}"));
        let [sdes, dtls] = cell.encrypted.map(|same| if same { "same" } else { "OTHER" });
        let (alone_shown, call_shown, alike_shown) = (shown(alone, 3), shown(call, 3), shown(alike, 5));
        let _ = writeln!(table, "{name:16} {alone_shown:>6} {call_shown:>6} {sdes:>6} {dtls:>6} {alike_shown:>12} {band:>6}");
        if alone.zip(call).is_some_and(|(alone, call)| call < alone - WORSE)
            || alike.is_some_and(|a| a < ALIKE)
            || cell.encrypted != [true; 2]
        {
            failures.push(name);
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "worse than the codecs alone: {failures:?}\n{table}");
}
