//! What is left of a sound after each codec, between each two, and after loss. Floors are a little below what was measured.

use std::f64::consts::TAU;

use super::*;

/// Samples are compared at this rate.
const FINE: u32 = 48_000;

fn tone(rate: u32, hz: f64, ms: usize) -> Vec<i16> {
    let count = rate as usize * ms / 1_000;
    (0..count).map(|n| (8_000.0 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as i16).collect()
}

/// A voice that glides from 110 to 170 Hz through three vowels, with pauses: harmonics up to 3,400 Hz under formants.
fn voice(rate: u32, ms: usize) -> Vec<i16> {
    let vowels = [[730.0, 1_090.0, 2_440.0], [270.0, 2_290.0, 3_010.0], [570.0, 840.0, 2_410.0]];
    let count = rate as usize * ms / 1_000;
    let time = |n: usize| n as f64 / f64::from(rate);
    let mut out = Vec::with_capacity(count);
    // The harmonics' gains are looked up each 5 ms, and go straight from one to the next in between.
    let step = rate as usize / 200;
    for start in (0..count).step_by(step) {
        let pitch = |n: usize| 140.0 + 30.0 * (time(n) * 2.1).sin();
        let formants = vowels[(time(start) * 3.0) as usize % 3];
        let gain = |hz: f64| -> f64 { formants.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 90.0_f64).powi(2))).sum() };
        let (from, to) = (pitch(start), pitch(start + step));
        let harmonics = (1..24u8).map(f64::from).filter(|h| h * from < 3_400.0);
        let gains: Vec<[f64; 2]> = harmonics.map(|h| [gain(h * from), gain(h * to)]).collect();
        out.extend((start..count.min(start + step)).map(|n| {
            let (t, part) = (time(n), (n - start) as f64 / step as f64);
            let phase = TAU * (140.0 * t - 30.0 / 2.1 * (t * 2.1).cos());
            let syllable = (TAU * 1.5 * t).sin().max(0.0).sqrt();
            // sin (h + 1)x = 2 cos x · sin hx - sin (h - 1)x
            let (twice, mut before, mut last, mut wave) = (2.0 * phase.cos(), 0.0, phase.sin(), 0.0);
            for [from, to] in &gains {
                wave += (from + (to - from) * part) * last;
                (before, last) = (last, twice * last - before);
            }
            (wave * syllable * 6_000.0) as i16
        }));
    }
    out
}

fn power(pcm: &[i16]) -> f64 {
    pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// In packets of 20 ms.
fn encoded(encoder: &mut Encoder, codec: Codec, pcm: &[i16]) -> Vec<Option<Vec<u8>>> {
    let packet = |pcm| {
        let mut payload = Vec::new();
        encoder.encode(pcm, &mut payload).then_some(payload)
    };
    pcm.chunks_exact(codec.sample_rate() as usize / 50).map(packet).collect()
}

fn decoded(codec: Codec, packets: &[Option<Vec<u8>>]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec);
    let frame = codec.sample_rate() as usize / 50;
    let mut out = Vec::new();
    for payload in packets {
        match payload {
            Some(payload) => assert_eq!(decoder.decode(payload, &mut out), Ok(frame)),
            None => decoder.conceal(frame, None, &mut out),
        }
    }
    out
}

fn through(codec: Codec, pcm: &[i16]) -> Vec<i16> {
    decoded(codec, &encoded(&mut Encoder::new(codec), codec, pcm))
}

fn resampled(pcm: &[i16], from: u32, to: u32) -> Vec<i16> {
    let mut out = Vec::new();
    Resampler::new(from, to).process(pcm, &mut out);
    out
}

/// To another codec as a transcoded call goes: what one codec has left of a sound, through the next one.
fn onward(from: Codec, to: Codec, left: &[i16]) -> Vec<i16> {
    through(to, &resampled(left, from.sample_rate(), to.sample_rate()))
}

/// Signal to noise in dB, whatever the level, of `heard` that is so many samples later than `said`.
fn fidelity(said: &[i16], heard: &[i16], delay: usize) -> f64 {
    let (mut product, mut before, mut after) = (0.0, 0.0, 0.0);
    for (a, b) in said.iter().zip(&heard[delay..]) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        before += a * a;
        after += b * b;
    }
    let likeness = product * product / (before * after);
    db(likeness / (1.0 - likeness).max(1e-12))
}

/// Energy at a frequency, as a share of all.
fn share_at(pcm: &[i16], rate: u32, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, s) in pcm.iter().enumerate() {
        let angle = TAU * hz * n as f64 / f64::from(rate);
        re += f64::from(*s) * angle.cos();
        im += f64::from(*s) * angle.sin();
    }
    2.0 * (re * re + im * im) / pcm.len() as f64 / pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>()
}

/// What a codec delays, at [`FINE`].
fn delay(codec: Codec) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::L16 => 0,
        Codec::G722 => g722::AHEAD * 3,
        // As measured; libopus itself says 312.
        Codec::Opus => 309,
    }
}

#[test]
fn a_tone_keeps_its_pitch_and_level_between_any_two_codecs() {
    for from in Codec::ALL {
        let left = through(from, &tone(from.sample_rate(), 1_000.0, 1_000));
        for to in Codec::ALL {
            let heard = onward(from, to, &left);
            let rate = to.sample_rate();
            let steady = &heard[rate as usize / 2..];
            let (share, change) = (share_at(steady, rate, 1_000.0), db(power(steady) / 32e6));
            assert!(share > 0.998, "{from:?} {to:?}: {share}");
            assert!(change.abs() < 0.5, "{from:?} {to:?}: {change} dB");
        }
    }
}

#[test]
fn a_voice_is_the_same_voice_after_any_two_codecs() {
    let original = voice(FINE, 1_500);
    for from in Codec::ALL {
        let left = through(from, &voice(from.sample_rate(), 1_500));
        for to in Codec::ALL {
            let heard = resampled(&onward(from, to, &left), to.sample_rate(), FINE);
            let steps = [from.sample_rate(), to.sample_rate(), FINE];
            let between = steps.windows(2).filter(|pair| pair[0] != pair[1]).count() * FINE as usize / 200;
            let at = between + delay(from) + delay(to);
            let snr = fidelity(&original, &heard, at);
            let change = db(power(&heard[at..]) / power(&original[..original.len() - at]));
            let floor = match [from, to].iter().filter(|c| **c == Codec::Opus).count() {
                0 => 30.0,
                1 => 12.0,
                _ => 7.0,
            };
            assert!(snr > floor, "{from:?} {to:?}: {snr} dB");
            assert!(change.abs() < 1.0, "{from:?} {to:?}: {change} dB");
        }
    }
}

#[test]
fn a_resampler_keeps_the_telephone_band_and_lets_nothing_fold_back() {
    for (from, to) in [(8_000, 16_000), (8_000, 48_000), (16_000, 48_000), (16_000, 8_000), (48_000, 8_000), (48_000, 16_000)] {
        for hz in [50.0, 300.0, 1_000.0, 3_400.0, 3_600.0] {
            let heard = &resampled(&tone(from, hz, 500), from, to)[to as usize / 4..];
            let change = db(power(heard) / 32e6);
            assert!(change.abs() < 0.1 && share_at(heard, to, hz) > 0.9999, "{from} {to} {hz}: {change}");
        }
        if to == 8_000 {
            for hz in [4_300.0, 5_000.0, 7_000.0] {
                let heard = &resampled(&tone(from, hz, 500), from, to)[to as usize / 4..];
                assert!(power(heard) / 32e6 < 1e-8, "{from} {to} {hz}");
            }
        }
        let resampler = Resampler::new(from, to);
        assert_eq!(resampler.delay_samples(), to as usize / 200);
        let snr = fidelity(&voice(to, 500), &resampled(&voice(from, 500), from, to), resampler.delay_samples());
        assert!(snr > 60.0, "{from} {to}: {snr} dB");
    }
}

#[test]
fn a_resampler_gives_a_frame_for_each_frame_however_it_comes() {
    for (from, to) in [(8_000u32, 48_000u32), (48_000, 8_000), (16_000, 8_000), (16_000, 16_000)] {
        let (ins, outs) = (from as usize / 100, to as usize / 100);
        let (mut whole, mut odd) = (Resampler::new(from, to), Resampler::new(from, to));
        let pcm = voice(from, 400);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (n, frame) in pcm.chunks(ins).enumerate() {
            whole.process(frame, &mut a);
            assert_eq!(a.len(), (n + 1) * outs);
        }
        for piece in pcm.chunks(37) {
            odd.process(piece, &mut b);
        }
        assert_eq!(a, b, "{from} {to}");
    }
}

/// 3 packets in 10 lost, one at a time: by how much it is better to conceal than to be silent, in what was lost and just after it.
#[test]
fn what_is_concealed_is_nearer_to_what_was_lost_than_silence() {
    for codec in Codec::ALL {
        let frame = codec.sample_rate() as usize / 50;
        let mut encoder = Encoder::new(codec);
        encoder.set_loss(0.3);
        let packets = encoded(&mut encoder, codec, &voice(codec.sample_rate(), 3_000));
        let whole = decoded(codec, &packets);
        let mut decoder = Decoder::new(codec);
        let (mut noise, mut signal, mut out) = (0.0, 0.0, Vec::new());
        for (n, payload) in packets.iter().enumerate() {
            out.clear();
            let next = || packets.get(n + 1).and_then(Option::as_deref);
            match payload {
                Some(payload) if n % 3 != 1 => drop(decoder.decode(payload, &mut out)),
                Some(_) => decoder.conceal(frame, next(), &mut out),
                None => decoder.conceal(frame, None, &mut out),
            }
            let right = &whole[n * frame..][..frame];
            if n % 3 != 0 {
                noise += out.iter().zip(right).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
            }
            if n % 3 == 1 {
                signal += power(right) * frame as f64;
            }
        }
        assert!(signal > noise, "{codec:?}");
    }
}

#[test]
fn a_loss_begins_and_ends_without_a_click_and_fades_to_silence() {
    for codec in [Codec::Pcma, Codec::L16] {
        let rate = codec.sample_rate();
        let frame = rate as usize / 50;
        let packets = encoded(&mut Encoder::new(codec), codec, &tone(rate, 210.0, 1_000));
        let mut decoder = Decoder::new(codec);
        let mut out = Vec::new();
        for (n, payload) in packets.iter().enumerate() {
            match payload {
                Some(payload) if !(20..25).contains(&n) => drop(decoder.decode(payload, &mut out)),
                _ => decoder.conceal(frame, None, &mut out),
            }
        }
        let steepest = |pcm: &[i16]| pcm.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap_or(0);
        let usual = steepest(&out[..20 * frame]);
        assert!(steepest(&out) < usual * 3 / 2, "{codec:?}: {} beside {usual}", steepest(&out));
        assert!(out[23 * frame..25 * frame].iter().all(|s| *s == 0), "{codec:?}");
        assert!(power(&out[20 * frame..21 * frame]) > 20e6, "{codec:?}");
        assert_eq!(out.len(), 50 * frame);
    }
}

#[test]
fn opus_has_a_copy_of_what_was_lost() {
    let said = voice(FINE, 2_000);
    let mut encoder = Encoder::new(Codec::Opus);
    encoder.set_loss(0.25);
    let packets = encoded(&mut encoder, Codec::Opus, &said);
    let whole = decoded(Codec::Opus, &packets);
    let lost_power = |copies: bool| {
        let mut decoder = Decoder::new(Codec::Opus);
        let (mut noise, mut out) = (0.0, Vec::new());
        for (n, payload) in packets.iter().enumerate() {
            out.clear();
            match payload {
                Some(payload) if n % 4 != 2 => drop(decoder.decode(payload, &mut out)),
                _ => {
                    let next = packets.get(n + 1).and_then(Option::as_deref).filter(|_| copies);
                    decoder.conceal(960, next, &mut out);
                    noise += out.iter().zip(&whole[n * 960..]).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
                }
            }
        }
        noise
    };
    let (with, without) = (lost_power(true), lost_power(false));
    assert!(with * 2.0 < without, "{with} {without}");
}

#[test]
fn opus_sends_little_of_silence_where_that_is_asked_for_and_all_of_a_steady_tone() {
    let sent = |pcm: &[i16], dtx| {
        let mut encoder = Encoder::new(Codec::Opus);
        encoder.set_dtx(dtx);
        encoded(&mut encoder, Codec::Opus, pcm).iter().flatten().count()
    };
    assert_eq!(sent(&tone(FINE, 425.0, 2_000), true), 100);
    let silent = vec![0; 96_000];
    assert!(sent(&silent, true) < 30, "{}", sent(&silent, true));
    assert_eq!(sent(&silent, false), 100, "who has not asked for it is sent all");
}

#[test]
fn opus_keeps_to_the_bitrate() {
    for bits in [12_000, 24_000, 48_000] {
        let mut encoder = Encoder::new(Codec::Opus);
        encoder.set_bitrate(bits);
        let packets = encoded(&mut encoder, Codec::Opus, &voice(FINE, 3_000));
        let bytes: usize = packets.iter().flatten().map(Vec::len).sum();
        let got = bytes as f64 * 8.0 / 3.0;
        assert!(got < f64::from(bits) * 1.2, "{bits}: {got}");
    }
}

/// To the sample, with packets of each length that each codec has.
#[test]
fn as_much_time_comes_out_as_goes_in() {
    for codec in Codec::ALL {
        let rate = codec.sample_rate() as usize;
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let pcm = tone(codec.sample_rate(), 500.0, 60);
        let (mut payload, mut out, mut total, mut ticks, mut ms) = (Vec::new(), Vec::new(), 0, 0u64, 0usize);
        let lengths = [10u8, 20, 30, 40, 50, 60].map(|wanted| usize::from(codec.packet_ms(wanted)));
        // Less of those that cost a hundred times as much.
        let end = if matches!(codec, Codec::Opus | Codec::G722) { 30_000 } else { 600_000 };
        for length in lengths.into_iter().cycle() {
            if ms >= end {
                break;
            }
            payload.clear();
            out.clear();
            assert!(encoder.encode(&pcm[..rate / 1_000 * length], &mut payload), "{codec:?} {length}");
            total += decoder.decode(&payload, &mut out).unwrap();
            ticks += u64::from(codec.ticks(&payload));
            ms += length;
        }
        assert_eq!(total, rate / 1_000 * ms, "{codec:?}");
        assert_eq!(ticks, u64::from(codec.clock_rate()) * ms as u64 / 1_000, "{codec:?}");
    }
}

#[test]
fn what_is_no_payload_is_undecodable() {
    for codec in Codec::ALL {
        let mut out = vec![7];
        assert_eq!(Decoder::new(codec).decode(&[], &mut out), Err(Undecodable::Empty));
        assert_eq!(out, [7]);
    }
    let mut out = Vec::new();
    assert_eq!(Decoder::new(Codec::L16).decode(&[1; 641], &mut out), Err(Undecodable::Ragged { bytes: 641 }));
    // 63 frames of 20 ms are longer than a packet may be.
    assert_eq!(Decoder::new(Codec::Opus).decode(&[0xfb, 63, 1, 2], &mut out), Err(Undecodable::NotOpus { bytes: 4 }));
    // Two frames of equal length in an odd number of bytes.
    assert_eq!(Decoder::new(Codec::Opus).decode(&[0xf9, 1, 2], &mut out).map(drop), Ok(()));
    assert_eq!(Decoder::new(Codec::Opus).decode(&[0xf9, 1], &mut out), Err(Undecodable::NotOpus { bytes: 2 }));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    /// Whatever is received and lost: no panic, and as many samples as it says.
    #[test]
    fn any_payloads_and_losses_are_survived(
        codec in 0usize..5,
        steps in proptest::collection::vec(
            (proptest::bool::ANY, 1usize..3_000, proptest::collection::vec(proptest::num::u8::ANY, 0..1_500)),
            1..8,
        ),
    ) {
        let codec = Codec::ALL[codec];
        let mut decoder = Decoder::new(codec);
        for (lost, samples, payload) in steps {
            let mut out = vec![1];
            if lost {
                decoder.conceal(samples, Some(&payload), &mut out);
                proptest::prop_assert_eq!(out.len(), samples + 1);
            } else {
                let got = decoder.decode(&payload, &mut out);
                proptest::prop_assert_eq!(out.len(), 1 + got.unwrap_or(0));
                if let Ok(got) = got {
                    let said = codec.ticks(&payload) as usize * codec.sample_rate() as usize / codec.clock_rate() as usize;
                    proptest::prop_assert_eq!(got, said);
                }
            }
        }
    }
}
