//! What a packet of 20 ms costs in each codec, each way, and 10 ms of each change of rate: `cargo bench --bench codecs`.
//!
//! Times are of one core, of a voice that never pauses. The figure beside each is how many such streams a core carries.

use std::hint::black_box;
use std::time::Instant;

use cordboard::codec::{Codec, Decoder, Encoder, Resampler};

/// Packets that are timed: a minute.
const PACKETS: usize = 3_000;

fn voice(rate: u32) -> Vec<i16> {
    let sample = |n: u32| {
        let t = n as f32 / rate as f32;
        let wave: f32 = (1..20u8)
            .map(|h| {
                let hz = f32::from(h) * 140.0;
                (std::f32::consts::TAU * hz * t).sin() / (1.0 + ((hz - 600.0) / 300.0).powi(2))
            })
            .sum();
        (wave * 4_000.0 * (1.0 + (std::f32::consts::TAU * 3.0 * t).sin())) as i16
    };
    (0..rate * 2).map(sample).collect()
}

/// Prints the time of one of `count`.
fn line(what: &str, count: usize, packet_ms: f64, work: impl FnOnce()) {
    #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
    let now = Instant::now;
    let begin = now();
    work();
    let us = begin.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("{what:<28} {us:>8.2} µs {:>8.0} streams", packet_ms * 1_000.0 / us);
}

fn main() {
    for codec in Codec::ALL {
        let pcm = voice(codec.sample_rate());
        let frame = codec.sample_rate() as usize / 50;
        let frames: Vec<&[i16]> = pcm.chunks_exact(frame).collect();
        let (mut encoder, mut payloads) = (Encoder::new(codec), Vec::with_capacity(PACKETS));
        line(&format!("{} encode", codec.name()), PACKETS, 20.0, || {
            for n in 0..PACKETS {
                let mut payload = Vec::with_capacity(1_500);
                encoder.encode(frames[n % frames.len()], &mut payload);
                payloads.push(payload);
            }
        });
        let bytes: usize = payloads.iter().map(Vec::len).sum();
        let (mut decoder, mut out) = (Decoder::new(codec), Vec::with_capacity(frame));
        line(&format!("{} decode", codec.name()), PACKETS, 20.0, || {
            for payload in &payloads {
                out.clear();
                let _ = black_box(decoder.decode(payload, &mut out));
            }
        });
        line(&format!("{} conceal 1 in 3", codec.name()), PACKETS, 20.0, || {
            for (n, payload) in payloads.iter().enumerate() {
                out.clear();
                if n % 3 == 1 {
                    decoder.conceal(frame, None, &mut out);
                } else {
                    let _ = black_box(decoder.decode(payload, &mut out));
                }
            }
        });
        println!("{:<28} {:>8.1} kbit/s", format!("{} payload", codec.name()), bytes as f64 * 8.0 / (PACKETS as f64 * 20.0));
    }
    for from in [8_000, 16_000, 48_000] {
        for to in [8_000, 16_000, 48_000].into_iter().filter(|to| *to != from) {
            let pcm = voice(from);
            let frames: Vec<&[i16]> = pcm.chunks_exact(from as usize / 100).collect();
            let (mut resampler, mut out) = (Resampler::new(from, to), Vec::with_capacity(480));
            line(&format!("{from} to {to} Hz"), PACKETS, 10.0, || {
                for n in 0..PACKETS {
                    out.clear();
                    resampler.process(frames[n % frames.len()], &mut out);
                    black_box(&out);
                }
            });
        }
    }
}
