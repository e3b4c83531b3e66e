//! Ten minutes of a call whose phones lose 3 % of their packets and have clocks that are 100 ppm fast and slow: as much sound comes out as
//! time has passed, on the wire and in the recording, and nothing has moved by its end.

use std::time::Duration;

use cordboard::codec::Codec;
use cordboard::media::Side;
use cordboard::rtp::Fields;

use super::rig::{A, B, Call, Phone, decoded, encoded};

const TEN_MINUTES: Duration = Duration::from_secs(600);
/// A phone beeps for 200 ms every two seconds.
const BEEP_EVERY_MS: usize = 2_000;
const BEEP_MS: usize = 200;
/// Packets in which a phone's pattern comes once.
const PATTERN: u64 = (BEEP_EVERY_MS / 20) as u64;
/// A beep is loud, and all else is silence.
const LOUD: i16 = 2_000;

/// A beep at the end of each two seconds.
fn beeps(codec: Codec) -> Vec<Vec<u8>> {
    let rate = codec.sample_rate() as usize;
    let pcm: Vec<i16> = (0..rate * BEEP_EVERY_MS / 1_000)
        .map(|n| {
            let loud = n >= rate * (BEEP_EVERY_MS - BEEP_MS) / 1_000;
            let wave = (std::f32::consts::TAU * 500.0 * n as f32 / rate as f32).sin();
            if loud { (wave * 10_000.0) as i16 } else { 0 }
        })
        .collect();
    encoded(codec, &pcm)
}

/// Where the last whole beep begins, in ms.
fn last_beep(samples: &[i16], rate: usize) -> f64 {
    // In steps of 5 ms; a beep follows a second of silence.
    let step = rate / 200;
    let loud: Vec<bool> =
        samples.chunks_exact(step).map(|part| part.iter().any(|s| s.unsigned_abs() >= LOUD.unsigned_abs())).collect();
    let begins = |n: usize| n >= 200 && loud[n] && !loud[n - 200..n].iter().any(|l| *l);
    let at = (0..loud.len().saturating_sub(40)).rev().find(|n| begins(*n)).unwrap_or_else(|| panic!("no beep"));
    at as f64 * 5.0
}

/// By how much a phone's last beep, which stands there, is later than it was said, in ms; one is said every two seconds.
fn late_by(phone: &Phone, stands: f64) -> f64 {
    let first = PATTERN - (BEEP_MS / 20) as u64;
    let said = (0..).map(|n| phone.says_at(first + n * PATTERN).as_secs_f64() * 1_000.0);
    stands - said.take_while(|at| *at <= stands + 500.0).last().unwrap_or(0.0)
}

/// How long the packets last that a phone was sent, and how many were left out between them.
fn length(heard: &[(Fields, Vec<u8>)], codec: Codec) -> (Duration, usize) {
    let ticks: u64 = heard.iter().map(|(_, payload)| u64::from(codec.ticks(payload))).sum();
    let step = |pair: &[(Fields, Vec<u8>)]| usize::from(pair[1].0.sequence.wrapping_sub(pair[0].0.sequence)).saturating_sub(1);
    let missing = heard.windows(2).map(step).sum();
    (Duration::from_micros(ticks * 1_000_000 / u64::from(codec.clock_rate())), missing)
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1_000.0
}

/// Both ways decoded and encoded anew, or relayed where the codecs are the same.
fn holds_for(of_a: Codec, of_b: Codec, time: Duration) {
    let phones =
        [Phone::new(of_a, beeps(of_a)).fast_by(100).losing(0.03), Phone::new(of_b, beeps(of_b)).fast_by(-100).losing(0.03)];
    let mut call = Call::new(phones);
    call.run(time);
    let name = format!("{of_a:?} {of_b:?}");

    let recording = call.recording();
    let wanted = time.as_millis() as i64 * 8;
    for side in &recording {
        assert!((side.len() as i64 - wanted).abs() <= 160, "{name}: {} samples for {wanted}", side.len());
    }
    for (side, samples, of) in [(Side::Said, &recording[0], A), (Side::Heard, &recording[1], B)] {
        let stands = last_beep(samples, 8_000);
        let late = late_by(&call.phones[of], stands);
        // The right side has what was decoded for the phone, which waits for late packets.
        assert!(
            (-80.0..=300.0).contains(&late) && stands > ms(time) - 3_000.0,
            "{name}: {side:?}: {late} ms late at {stands} ms"
        );
    }
    if of_a.g711().is_some() {
        let concealed = call.timeline().losses(Side::Said).concealed_ms as f64 / ms(time);
        assert!((0.02..0.04).contains(&concealed), "{name}: {concealed} of what was said is missing");
    }

    for (phone, other) in [(A, B), (B, A)] {
        let heard = &call.phones[phone].heard;
        let codec = call.phones[phone].codec();
        let (length, missing) = length(heard, codec);
        let samples = decoded(codec, heard.iter().map(|(_, payload)| &payload[..]));
        assert_eq!(samples.len() as u128, length.as_micros() * u128::from(codec.sample_rate()) / 1_000_000, "{name}");
        if of_a == of_b {
            // As the other one's clock said, less what was lost.
            let whole = ms(length) + missing as f64 * 20.0;
            let clock = ms(time) * if other == A { 1.000_1 } else { 0.999_9 };
            assert!((whole - clock).abs() <= 40.0, "{name}: {whole} ms for {clock}");
            assert!((0.02..0.04).contains(&(missing as f64 * 20.0 / clock)), "{name}: {missing}");
        } else {
            assert!((ms(length) - ms(time)).abs() <= 20.0 && missing == 0, "{name}: {length:?}, {missing} missing");
            let stands = last_beep(&samples, codec.sample_rate() as usize);
            let late = late_by(&call.phones[other], stands);
            assert!(
                (-20.0..=300.0).contains(&late) && stands > ms(time) - 3_000.0,
                "{name}: heard {late} ms late at {stands} ms"
            );
        }
    }
}

#[test]
fn ten_minutes_that_are_decoded_are_ten_minutes() {
    holds_for(Codec::Pcma, Codec::L16, TEN_MINUTES);
}

#[test]
fn ten_minutes_that_are_relayed_are_ten_minutes() {
    holds_for(Codec::Pcma, Codec::Pcma, TEN_MINUTES);
}

#[test]
fn opus_and_g722_keep_time_as_well() {
    holds_for(Codec::Opus, Codec::G722, Duration::from_secs(30));
}
