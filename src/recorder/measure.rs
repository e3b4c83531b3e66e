//! What a recording sounds like while agents and customers talk, measured from the samples on their way to the file: no second read.

use std::time::Duration;

use crate::clock::Mono;
use crate::event::Sound;
use crate::quality::sound::{Least, Meter};

/// A recording's meter, driven by the clock of the core. Told of a change within the time that the time line holds samples back, it is to
/// the sample.
pub struct Measure {
    meter: Meter,
    began: Mono,
    rate: u32,
    is_talk: bool,
    is_paused: bool,
}

impl Measure {
    /// Of a recording whose sample 0 is at `began`. Nobody talks yet.
    pub fn new(began: Mono, rate: u32) -> Measure {
        let mut meter = Meter::new(rate, Least::default());
        meter.rest_from(0);
        Measure { meter, began, rate, is_talk: false, is_paused: false }
    }

    /// From `at` on an agent and the customer talk; one more agent, where they did already. Or they do no longer.
    pub fn talk(&mut self, at: Mono, is_talk: bool) {
        let (changes, sample) = (is_talk || self.is_talk, self.sample(at));
        self.is_talk = is_talk;
        if changes && !self.is_paused {
            self.turn(sample, is_talk);
        }
    }

    /// What is recorded from `at` on is silence on purpose; or no longer.
    pub fn pause(&mut self, at: Mono, is_paused: bool) {
        if std::mem::replace(&mut self.is_paused, is_paused) != is_paused && self.is_talk {
            self.turn(self.sample(at), !is_paused);
        }
    }

    /// Samples that follow those before: what the customer said and heard, in turn.
    pub fn push(&mut self, interleaved: &[i16]) {
        self.meter.push(interleaved);
    }

    /// `None`, where nobody talked.
    pub fn finish(self) -> Option<Sound> {
        let sound = self.meter.finish();
        (!sound.parts.is_empty()).then_some(sound)
    }

    fn turn(&mut self, sample: u64, listens: bool) {
        if listens { self.meter.listen_from(sample) } else { self.meter.rest_from(sample) }
    }

    fn sample(&self, at: Mono) -> u64 {
        let since: Duration = at.since(self.began);
        u64::try_from(since.as_micros() * u128::from(self.rate) / 1_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a voice for every character: `v` on the left, `.` nobody.
    fn push(measure: &mut Measure, seconds: &str) {
        for second in seconds.chars() {
            let sample = |n: u32| {
                let loud = if n % 2_000 < 1_200 { 9_000.0 } else { 900.0 };
                (loud * (n as f32 * 0.7).sin()) as i16
            };
            let samples: Vec<i16> = (0..8_000u32).flat_map(|n| [if second == 'v' { sample(n) } else { 0 }, 0]).collect();
            measure.push(&samples);
        }
    }

    fn at(ms: u64) -> Mono {
        Mono::from_millis(100_000 + ms)
    }

    fn parts(measure: Measure) -> Vec<(u64, u64, bool)> {
        let parts = measure.finish().map(|sound| sound.parts).unwrap_or_default();
        parts.iter().map(|part| (part.at_ms, part.length_ms, part.talk_ms[0] > 0)).collect()
    }

    #[test]
    fn only_what_agents_talk_is_measured_each_talk_by_itself() {
        let mut measure = Measure::new(at(0), 8_000);
        push(&mut measure, "vv");
        measure.talk(at(3_000), true);
        push(&mut measure, "v..");
        measure.talk(at(6_000), false);
        measure.talk(at(6_000), true);
        push(&mut measure, "...vv");
        measure.talk(at(11_000), false);
        measure.talk(at(11_500), false);
        push(&mut measure, "vv");
        assert_eq!(parts(measure), [(3_000, 3_000, false), (6_000, 5_000, true)]);
        let mut measure = Measure::new(at(0), 8_000);
        push(&mut measure, "vv");
        assert_eq!(parts(measure), []);
    }

    #[test]
    fn a_pause_is_no_talk_and_no_silence_whatever_changes_in_it() {
        let mut measure = Measure::new(at(0), 8_000);
        measure.talk(at(0), true);
        measure.pause(at(3_000), true);
        push(&mut measure, ".v.v.");
        measure.talk(at(5_500), false);
        measure.talk(at(5_600), true);
        measure.pause(at(6_000), false);
        push(&mut measure, "v.v.");
        assert_eq!(parts(measure), [(0, 3_000, true), (6_000, 3_000, true)]);
    }
}
