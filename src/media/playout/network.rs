//! A sender and a network on virtual time, for tests: packets with their arrivals, drawn from a seed.

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::clock::Mono;
use crate::codec::{Codec, Encoder};
use crate::rtp::{COMFORT_NOISE, Fields};

use super::{Counts, Playout};

/// The payload type of key presses here.
pub const EVENT: u8 = 101;

#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: u64,
    pub fields: Fields,
    pub payload: Vec<u8>,
}

/// What the network does to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    pub seed: u64,
    /// In percent.
    pub loss: f64,
    /// How many are lost in a row.
    pub burst: u64,
    /// Delay is even between zero and this.
    pub jitter_ms: u64,
    /// In percent: packets that take `spike_ms` more.
    pub spikes: f64,
    pub spike_ms: u64,
    /// In percent.
    pub doubled: f64,
    /// Packets never overtake each other, as on most networks.
    pub ordered: bool,
}

impl Network {
    /// Sent packets, with when they were sent in µs, as they arrive.
    pub fn carry(&self, sent: Vec<(u64, Fields, Vec<u8>)>) -> Vec<Arrival> {
        let mut chance = ChaCha8Rng::seed_from_u64(self.seed);
        let mut percent = move || chance.next_u32() as f64 / f64::from(u32::MAX) * 100.0;
        let mut arrivals = Vec::new();
        let (mut losing, mut newest) = (0, 0);
        for (at, fields, payload) in sent {
            if losing == 0 && percent() < self.loss / self.burst.max(1) as f64 {
                losing = self.burst.max(1);
            }
            let mut at = at + 30_000 + (percent() / 100.0 * self.jitter_ms as f64 * 1_000.0) as u64;
            if percent() < self.spikes {
                at += self.spike_ms * 1_000;
            }
            let doubled = percent() < self.doubled;
            if losing > 0 {
                losing -= 1;
                continue;
            }
            if self.ordered {
                at = at.max(newest);
            }
            newest = newest.max(at);
            if doubled {
                arrivals.push(Arrival { at: at + 3_000, fields, payload: payload.clone() });
            }
            arrivals.push(Arrival { at, fields, payload });
        }
        arrivals.sort_by_key(|a| a.at);
        arrivals
    }
}

/// A phone that says a sound, packet by packet.
pub struct Sender {
    pub codec: Codec,
    pub encoder: Encoder,
    pub ptime_ms: u64,
    /// How much faster its clock is than ours.
    pub ppm: f64,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Our time of the next packet, in µs.
    pub at: f64,
    /// Samples said.
    pub said: u64,
}

impl Sender {
    pub fn new(codec: Codec) -> Sender {
        // Both numbers wrap within the first seconds.
        Sender {
            codec,
            encoder: Encoder::new(codec),
            ptime_ms: 20,
            ppm: 0.0,
            ssrc: 7,
            sequence: 65_500,
            timestamp: u32::MAX - 9_000,
            at: 1_000_000.0,
            said: 0,
        }
    }

    pub fn rate(&self) -> u32 {
        self.codec.sample_rate()
    }

    /// The next packet's place in the numbers and in time.
    pub fn next(&mut self) -> (u64, Fields) {
        let fields = Fields {
            marker: false,
            payload_type: self.codec.payload_type(),
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let at = self.at as u64;
        self.pause(self.ptime_ms);
        (at, fields)
    }

    /// Time passes without a packet.
    pub fn pause(&mut self, ms: u64) {
        self.timestamp = self.timestamp.wrapping_add((u64::from(self.codec.clock_rate()) * ms / 1_000) as u32);
        self.at += ms as f64 * 1_000.0 / (1.0 + self.ppm / 1e6);
    }

    /// A tone for so long.
    pub fn tone(&mut self, hz: f64, amplitude: f64, ms: u64) -> Vec<(u64, Fields, Vec<u8>)> {
        self.say(ms, |seconds| (seconds * hz * std::f64::consts::TAU).sin() * amplitude)
    }

    /// Something like speech: a voice with overtones in syllables, half a second of it in each second.
    pub fn speech(&mut self, ms: u64) -> Vec<(u64, Fields, Vec<u8>)> {
        self.say(ms, |seconds| {
            let syllable = (seconds * 8.0 * std::f64::consts::PI).sin().abs() * if seconds.fract() < 0.5 { 4_000.0 } else { 0.0 };
            let phase = (seconds * 140.0 + (seconds * 3.0).sin() * 4.0) * std::f64::consts::TAU;
            syllable * (1..8).map(|n| (phase * f64::from(n)).sin() / f64::from(n)).sum::<f64>()
        })
    }

    /// What `sound` says at each moment, in packets; silence that an encoder leaves out is left out.
    fn say(&mut self, ms: u64, sound: impl Fn(f64) -> f64) -> Vec<(u64, Fields, Vec<u8>)> {
        (0..ms / self.ptime_ms)
            .filter_map(|_| {
                let rate = f64::from(self.rate());
                let samples = u64::from(self.rate()) * self.ptime_ms / 1_000;
                let sound: Vec<i16> = (self.said..self.said + samples).map(|i| sound(i as f64 / rate) as i16).collect();
                self.said += samples;
                let mut payload = Vec::new();
                if !self.encoder.encode(&sound, &mut payload) {
                    self.pause(self.ptime_ms);
                    return None;
                }
                let (at, fields) = self.next();
                Some((at, fields, payload))
            })
            .collect()
    }
}

/// A listener on the grid.
pub struct Listener {
    pub playout: Playout,
    coming: VecDeque<Arrival>,
    pub n: u64,
    pub heard: Vec<i16>,
    /// Delay at each frame, in ms, from when sound was first heard.
    pub delays: Vec<u32>,
    /// Frames that are asked for at once.
    pub at_once: u64,
}

impl Listener {
    pub fn new(codec: Codec) -> Listener {
        Listener {
            playout: Playout::at(codec, codec.sample_rate()),
            coming: VecDeque::new(),
            n: 100,
            heard: Vec::new(),
            delays: Vec::new(),
            at_once: 2,
        }
    }

    /// Asks for frames until `until` ms, while these and earlier ones arrive.
    pub fn hear(&mut self, arrivals: &[Arrival], until: u64) {
        self.coming.extend(arrivals.iter().cloned());
        while self.n * 10 < until {
            let now = self.n * 10_000 + 3_700;
            self.arrive(now);
            for _ in 0..self.at_once {
                self.heard.extend_from_slice(self.playout.frame(self.n, Mono::from_micros(now)));
                self.n += 1;
                if self.playout.counts().played > 0 {
                    self.delays.push(self.playout.counts().delay_ms);
                }
            }
        }
    }

    /// What comes until `now`, in µs, arrives.
    pub fn arrive(&mut self, now: u64) {
        while let Some(a) = self.coming.pop_front_if(|a| a.at <= now) {
            let at = Mono::from_micros(a.at);
            match a.fields.payload_type {
                COMFORT_NOISE => self.playout.comfort_noise(&a.fields, &a.payload, at),
                EVENT => self.playout.event(&a.fields, at),
                _ => self.playout.packet(&a.fields, &a.payload, at),
            }
        }
    }

    pub fn counts(&self) -> Counts {
        let c = self.playout.counts();
        let waiting = self.playout.waiting();
        assert_eq!(c.received, c.played + c.late + c.duplicates + c.discarded + waiting, "{c:?} and {waiting} wait");
        c
    }
}

/// The largest step that a tone of this frequency does not explain, as a share of its amplitude: `x[n] = 2 cos(w) x[n-1] - x[n-2]` holds for
/// every pure tone, and an edge of the height `h` breaks it by about `h`.
pub fn worst_click(sound: &[i16], hz: f64, rate: u32, amplitude: f64) -> f64 {
    let c = 2.0 * (hz / f64::from(rate) * std::f64::consts::TAU).cos();
    sound.windows(3).map(|w| (f64::from(w[2]) - c * f64::from(w[1]) + f64::from(w[0])).abs() / amplitude).fold(0.0, f64::max)
}

/// The frequency of a tone by its zero crossings.
pub fn pitch(sound: &[i16], rate: u32) -> f64 {
    let crossings: Vec<usize> = (1..sound.len()).filter(|i| sound[i - 1] < 0 && sound[*i] >= 0).collect();
    match (crossings.first(), crossings.last()) {
        (Some(first), Some(last)) if last > first => (crossings.len() - 1) as f64 * f64::from(rate) / (last - first) as f64,
        _ => 0.0,
    }
}
