//! What the core and the media path cost, without sockets: `what<TAB>figure` lines for `scripts/bench`.
//!
//! The first figures are of ten minutes of a recorded call: its 60,000 packets go through latch, relay, tap and the recorder's pure
//! part, on a virtual clock. The second are of calls that are set up and ended through the core alone: every input that a call's messages
//! are (parsing included), and nothing of the peers. CPU is this thread's, as the system counts it.

#![allow(clippy::indexing_slicing, reason = "a bench that asks for what it did not make is broken")]
#![allow(dead_code, reason = "the simulation is the scenarios', and this uses a part of it")]

mod cpu;
#[path = "../scenario/sim/mod.rs"]
mod sim;

use std::time::Duration;

use cordboard::clock::{Mono, Wall};
use cordboard::codec::Codec;
use cordboard::ids::{LegId, RecordingId};
use cordboard::media::{Command, Datagram, Frame, Lease, Port, Report, Session, Settings, Sink, Slot, Source, Worker};
use cordboard::recorder::timeline::Timeline;
use cordboard::rtp::{Fields, HEADER};

use cpu::cpu;
use sim::Sim;
use sim::ua::OnInvite;

/// Ten minutes of two directions at 50 packets a second.
const PACKETS: u64 = 60_000;
const CALLS: u32 = 2_000;

fn main() {
    let relayed = ten_minutes(false);
    let recorded = ten_minutes(true);
    println!("relayed_10min_cpu_ms\t{:.2}", relayed.as_secs_f64() * 1e3);
    println!("relayed_ns_per_packet\t{:.0}", relayed.as_nanos() as f64 / PACKETS as f64);
    println!("recorded_10min_cpu_ms\t{:.2}", recorded.as_secs_f64() * 1e3);
    println!("recorded_ns_per_packet\t{:.0}", recorded.as_nanos() as f64 / PACKETS as f64);
    let (inside, inside_inputs) = calls("210");
    println!("call_inside_cpu_us\t{:.1}", inside.as_secs_f64() * 1e6 / f64::from(CALLS));
    println!("call_inside_inputs\t{:.1}", inside_inputs as f64 / f64::from(CALLS));
    let (queued, queued_inputs) = calls("601");
    println!("call_queued_cpu_us\t{:.1}", queued.as_secs_f64() * 1e6 / f64::from(CALLS));
    println!("call_queued_inputs\t{:.1}", queued_inputs as f64 / f64::from(CALLS));
}

struct Tap(Timeline);

impl Sink for Tap {
    fn send(&mut self, _slot: Slot, _leg: LegId, _port: Port, _to: std::net::SocketAddr, _datagram: &[u8]) {}

    fn tap(&mut self, frame: Frame) {
        self.0.push(&frame);
    }

    fn report(&mut self, _report: Report) {}
}

fn ten_minutes(record: bool) -> Duration {
    let settings = Settings {
        missing_after: Duration::from_secs(3),
        dead_after: Duration::from_secs(30),
        country: *b"DE",
        degraded_below: 3.6,
        seed: 1,
    };
    let mut worker = Worker::new(settings);
    let clips = sim::audio::clips(&[]);
    let mut now = Mono::from_millis(1_000);
    let mut sink = Tap(Timeline::new(now, 8_000));
    let legs = [LegId(1), LegId(2)];
    let remotes: [std::net::SocketAddr; 2] = [([10, 0, 0, 2], 4_000).into(), ([10, 0, 0, 3], 4_000).into()];
    for (i, leg) in legs.into_iter().enumerate() {
        let session = Session { remote_rtcp: None, ..Session::plain(Codec::Pcmu, remotes[i]) };
        worker.handle(Command::Open { leg, lease: Lease { worker: 0, port: 20_000 } }, &clips, now, &mut sink);
        worker.handle(Command::Agree { leg, session }, &clips, now, &mut sink);
    }
    for (leg, other) in [(legs[0], legs[1]), (legs[1], legs[0])] {
        worker.handle(Command::Hear { leg, source: Source::Leg(other) }, &clips, now, &mut sink);
    }
    if record {
        let recording = cordboard::chance::Chance::seeded([1; 32]).recording(Wall::default());
        tap(&mut worker, &clips, legs[0], recording, now, &mut sink);
    }
    let slots = legs.map(|leg| worker.slot(leg).unwrap_or_else(|| panic!("no slot")));
    let mut samples = Vec::new();
    let mut datagram = [0u8; HEADER + 160];
    let (mut forwarded, began) = (0u64, cpu());
    for nth in 0..PACKETS / 2 {
        for side in 0..2 {
            let fields = Fields {
                marker: nth == 0,
                payload_type: 0,
                sequence: nth as u16,
                timestamp: nth as u32 * 160,
                ssrc: side as u32 + 7,
            };
            if let Some(header) = datagram.first_chunk_mut() {
                fields.write(header);
            }
            let datagram = Datagram { length: datagram.len(), buffer: &mut datagram };
            forwarded += u64::from(worker.receive(slots[side], Port::Rtp, remotes[side], datagram, now, &mut sink).is_some());
        }
        now += Duration::from_millis(20);
        if worker.deadline().is_some_and(|at| at <= now) {
            worker.tick(now, &mut sink);
        }
        // As the writer does: every 200 ms.
        if record && nth % 10 == 9 {
            samples.clear();
            sink.0.drain(now, &mut samples);
        }
    }
    let took = cpu() - began;
    assert_eq!(forwarded, PACKETS, "every packet is relayed");
    took
}

fn tap(worker: &mut Worker, clips: &cordboard::media::Clips, leg: LegId, recording: RecordingId, now: Mono, sink: &mut Tap) {
    worker.handle(Command::Tap { leg, recording }, clips, now, sink);
}

/// Calls one after another from a phone, answered at once and hung up after two seconds: what the core spent, and how many inputs.
fn calls(number: &str) -> (Duration, u64) {
    let mut sim = Sim::new(1);
    let caller = sim.phone("202");
    let callee = sim.phone(if number == "601" { "201" } else { number });
    sim.set(callee, OnInvite::Answer(Duration::from_millis(100)));
    for at in [caller, callee] {
        sim.act(at, |ua, _| ua.mute = true);
    }
    let before = sim.inputs;
    sim.core_cpu = Some((cpu, Duration::ZERO));
    for _ in 0..CALLS {
        sim.act(caller, |c, now| {
            c.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        sim.run_for(Duration::from_secs(2));
        sim.act(caller, |c, now| c.hang_up(now));
        // Wrap-up passes, and so do the transactions' timers: they are part of what a call costs.
        sim.run_for(Duration::from_secs(40));
        for at in [caller, callee] {
            sim.act(at, |ua, _| ua.forget());
        }
        sim.forget();
    }
    let spent = sim.core_cpu.map_or(Duration::ZERO, |(_, spent)| spent);
    (spent, sim.inputs - before)
}
