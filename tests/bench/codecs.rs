//! What a packet of 20 ms costs in each codec, each way, 10 ms of each change of rate, 20 ms of a recording to measure, and a call between
//! two codecs through a media worker: rows for `scripts/bench`.
//!
//! CPU is this thread's, of a voice that never pauses. The figure beside each is how many such streams a core carries. A call's cost is
//! compared with that of its codecs alone, the other one's G.711 and the changes of rate left out: that is what nobody can do without.

#![allow(clippy::indexing_slicing, reason = "a bench that asks for what it did not make is broken")]

mod cpu;

use std::hint::black_box;
use std::time::Duration;

use cordboard::clock::Mono;
use cordboard::codec::{Codec, Decoder, Encoder, Resampler};
use cordboard::ids::LegId;
use cordboard::media::{Clips, Command, Datagram, Frame, Lease, Port, Report, Session, Settings, Sink, Slot, Source, Worker};
use cordboard::recorder::measure::Measure;
use cordboard::rtp::{Fields, HEADER};

use cpu::cpu;

/// What a call between Opus and PCMU may cost beside Opus alone.
const OPUS_TO_CODEC: f64 = 1.15;
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

/// What one of `count` takes, in µs.
fn each(count: usize, work: impl FnOnce()) -> f64 {
    let began = cpu();
    work();
    (cpu() - began).as_secs_f64() * 1e6 / count as f64
}

fn line(what: &str, count: usize, packet_ms: f64, work: impl FnOnce()) {
    let us = each(count, work);
    println!("{what}\t{us:.2} µs, {:.0} streams", packet_ms * 1_000.0 / us);
}

struct Sent(u64);

impl Sink for Sent {
    fn send(&mut self, _slot: Slot, _leg: LegId, _port: Port, _to: std::net::SocketAddr, _datagram: &[u8]) {
        self.0 += 1;
    }

    fn tap(&mut self, _frame: Frame) {}

    fn report(&mut self, _report: Report) {}
}

fn encoded(codec: Codec) -> Vec<Vec<u8>> {
    let (pcm, mut encoder) = (voice(codec.sample_rate()), Encoder::new(codec));
    let payload = |frame: &[i16]| {
        let mut payload = Vec::with_capacity(1_500);
        encoder.encode(frame, &mut payload);
        payload
    };
    pcm.chunks_exact(codec.sample_rate() as usize / 50).map(payload).collect()
}

/// A minute of a call between two codecs through a worker, a packet of each side every 20 ms: µs a packet of either side.
fn call(codecs: [Codec; 2], streams: &[Vec<Vec<u8>>; 2]) -> f64 {
    let settings = Settings {
        missing_after: Duration::from_secs(3),
        dead_after: Duration::from_secs(30),
        country: *b"DE",
        degraded_below: 3.6,
        seed: 1,
    };
    let (mut worker, clips, mut sink) = (Worker::new(settings), Clips::new(Default::default(), None), Sent(0));
    let (mut now, legs) = (Mono::from_millis(1_000), [LegId(1), LegId(2)]);
    let remotes: [std::net::SocketAddr; 2] = [([10, 0, 0, 2], 4_000).into(), ([10, 0, 0, 3], 4_000).into()];
    for (i, leg) in legs.into_iter().enumerate() {
        let session = Session { remote_rtcp: None, ..Session::plain(codecs[i], remotes[i]) };
        worker.handle(Command::Open { leg, lease: Lease { worker: 0, port: 20_000 + 2 * i as u16 } }, &clips, now, &mut sink);
        worker.handle(Command::Agree { leg, session }, &clips, now, &mut sink);
    }
    for (leg, other) in [(legs[0], legs[1]), (legs[1], legs[0])] {
        worker.handle(Command::Hear { leg, source: Source::Leg(other) }, &clips, now, &mut sink);
    }
    let slots = legs.map(|leg| worker.slot(leg).unwrap_or_else(|| panic!("no slot")));
    let mut buffer = [0u8; 2_048];
    let us = each(2 * PACKETS, || {
        for nth in 0..PACKETS {
            for side in 0..2 {
                let payload = &streams[side][nth % streams[side].len()];
                let fields = Fields {
                    marker: nth == 0,
                    payload_type: codecs[side].payload_type(),
                    sequence: nth as u16,
                    timestamp: nth as u32 * codecs[side].clock_rate() / 50,
                    ssrc: side as u32 + 7,
                };
                if let Some(header) = buffer.first_chunk_mut() {
                    fields.write(header);
                }
                buffer[HEADER..HEADER + payload.len()].copy_from_slice(payload);
                let datagram = Datagram { length: HEADER + payload.len(), buffer: &mut buffer };
                worker.receive(slots[side], Port::Rtp, remotes[side], datagram, now, &mut sink);
            }
            let next = now + Duration::from_millis(20);
            while let Some(due) = worker.deadline().filter(|at| *at < next) {
                now = due.max(now);
                worker.tick(now, &mut sink);
            }
            now = next;
        }
    });
    assert!(sink.0 > 2 * PACKETS as u64 * 9 / 10, "both sides are heard: {} packets", sink.0);
    us
}

/// Of one codec, decoding and encoding sound of a rate: µs a packet of either.
fn alone(codec: Codec, rate: u32, stream: &[Vec<u8>]) -> f64 {
    let (pcm, frame) = (voice(rate), rate as usize / 50);
    let frames: Vec<&[i16]> = pcm.chunks_exact(frame).collect();
    let (mut decoder, mut encoder) = (Decoder::at(codec, rate), Encoder::at(codec, rate));
    let (mut out, mut payload) = (Vec::with_capacity(frame), Vec::with_capacity(1_500));
    each(2 * PACKETS, || {
        for n in 0..PACKETS {
            out.clear();
            let _ = black_box(decoder.decode(&stream[n % stream.len()], &mut out));
            payload.clear();
            black_box(encoder.encode(frames[n % frames.len()], &mut payload));
        }
    })
}

/// Rounds of calls and codecs alone, of which the middle one counts: a shared machine's figures wander.
const ROUNDS: usize = 5;

fn between(one: Codec, other: Codec, goal: Option<f64>) {
    let streams = [encoded(one), encoded(other)];
    let rate = one.rate_for(other.sample_rate());
    let mut rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (call([one, other], &streams), alone(one, rate, &streams[0]))).collect();
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (whole, codec) = rounds[ROUNDS / 2];
    let (name, full) = (one.name(), alone(one, one.sample_rate(), &streams[0]));
    let row = format!(
        "call of {name} with {}, a packet\t{whole:.2} µs, {codec:.2} µs of it {name} alone at {rate} Hz ({full:.2} µs at {} Hz)",
        other.name(),
        one.sample_rate()
    );
    match goal {
        Some(goal) => println!("{row}\t{:.3}\t{goal}\t × the codec", whole / codec),
        None => println!("{row}"),
    }
}

/// What a recording's sound costs to measure, of both sides.
fn measuring(rate: u32) {
    let samples: Vec<i16> = voice(rate).iter().flat_map(|sample| [*sample, sample / 2]).collect();
    let frames: Vec<&[i16]> = samples.chunks_exact(rate as usize / 50 * 2).collect();
    let mut measure = Measure::new(Mono::ZERO, rate);
    measure.talk(Mono::ZERO, true);
    line(&format!("measuring a recording of {rate} Hz"), PACKETS, 20.0, || {
        for n in 0..PACKETS {
            measure.push(frames[n % frames.len()]);
        }
    });
    black_box(measure.finish());
}

fn main() {
    [8_000, 16_000].into_iter().for_each(measuring);
    between(Codec::Opus, Codec::Pcmu, Some(OPUS_TO_CODEC));
    between(Codec::Opus, Codec::G722, None);
    between(Codec::G722, Codec::Pcma, None);
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
        println!("{} payload\t{:.1} kbit/s", codec.name(), bytes as f64 * 8.0 / (PACKETS as f64 * 20.0));
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
