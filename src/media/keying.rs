//! Keys that a leg is sent: as telephone-event (RFC 4733) where that was agreed, else as tones in the sound (ITU-T Q.23).
//!
//! A key is either ordered with its length ([`Keying::order`]) or passed on while somebody presses it ([`Keying::hold`],
//! [`Keying::release`]). In both cases it is cut into steps of 20 ms; after it nothing is pressed for a while, so that two like keys are
//! two. While a key sounds, nothing else is sent to the leg.

use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::time::Duration;

use crate::clock::Mono;
use crate::rtp::Event;

use super::Key;

/// The pace of packets while a key is pressed (RFC 4733 §2.5.1.2: that of the sound beside it).
pub const STEP: Duration = Duration::from_millis(20);
/// The end of a press is told this often (§2.5.1.4).
const ENDS: u8 = 3;
/// Between two keys. ITU-T Q.24 has 40 ms as the shortest pause that must be seen.
const PAUSE: Duration = Duration::from_millis(60);
/// The shortest press that is sent: Q.24 has 40 ms as the shortest that must be heard.
const SHORTEST: Duration = Duration::from_millis(60);
/// The longest: one whose release was lost ends.
const LONGEST: Duration = Duration::from_secs(5);
/// Keys that wait. More than anybody dials; what comes beyond is left out.
const MOST: usize = 64;
/// Minus dBm0 of an event (RFC 4733 §2.3.4): what most phones send.
const VOLUME: u8 = 10;
/// Amplitude of each of a tone's two frequencies: -10 dBm0 for both, from full scale at +3.17 dBm0.
const LEVEL: f32 = 5_000.0;

/// The keys of one leg.
#[derive(Clone, Debug, Default)]
pub struct Keying {
    waiting: VecDeque<Key>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Idle,
    Pressed(Pressed),
    Pause {
        until: Mono,
    },
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    digit: char,
    began: Mono,
    /// When it is let go: `None` while somebody holds it.
    until: Option<Mono>,
    /// Its first packet went.
    told: bool,
    ends: u8,
}

/// What is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `pressed` so far; its last packets say `end`.
    Key {
        digit: char,
        pressed: Duration,
        first: bool,
        end: bool,
    },
    Pause,
    /// No key is left.
    Done,
}

impl Keying {
    pub fn order(&mut self, keys: impl IntoIterator<Item = Key>) {
        let room = MOST.saturating_sub(self.waiting.len());
        self.waiting.extend(keys.into_iter().filter(|k| Event::code_of(k.digit).is_some()).take(room));
    }

    /// Somebody presses a key: it begins behind what is under way.
    pub fn hold(&mut self, digit: char, now: Mono) {
        match self.state {
            State::Idle => {
                self.state = State::Pressed(Pressed { digit, began: now, until: None, told: false, ends: 0 });
            }
            State::Pressed(_) | State::Pause { .. } => {
                self.order([Key { digit, duration_ms: SHORTEST.as_millis() as u16 }]);
            }
        }
    }

    /// The key that is held is let go.
    pub fn release(&mut self, digit: char, now: Mono) {
        if let State::Pressed(pressed) = &mut self.state
            && pressed.until.is_none()
            && pressed.digit == digit
        {
            pressed.until = Some(now.max(pressed.began + SHORTEST));
        }
    }

    /// A key is being sent: nothing else is.
    pub fn is_sounding(&self) -> bool {
        matches!(self.state, State::Pressed(_))
    }

    /// Every [`STEP`].
    pub fn step(&mut self, now: Mono) -> Step {
        if let State::Pause { until } = self.state
            && now >= until
        {
            self.state = State::Idle;
        }
        if let (State::Idle, Some(key)) = (self.state, self.waiting.front()) {
            let length = Duration::from_millis(key.duration_ms.into()).clamp(SHORTEST, LONGEST);
            self.state =
                State::Pressed(Pressed { digit: key.digit, began: now, until: Some(now + length), told: false, ends: 0 });
            self.waiting.pop_front();
        }
        match &mut self.state {
            State::Idle => Step::Done,
            State::Pause { .. } => Step::Pause,
            State::Pressed(pressed) => {
                let limit = pressed.began + LONGEST;
                let until = pressed.until.unwrap_or(limit).min(limit);
                let end = now >= until;
                let first = !std::mem::replace(&mut pressed.told, true);
                let step = Step::Key { digit: pressed.digit, pressed: now.min(until).since(pressed.began), first, end };
                if end {
                    pressed.ends += 1;
                    if pressed.ends == ENDS {
                        self.state = State::Pause { until: now + PAUSE };
                    }
                }
                step
            }
        }
    }
}

/// The telephone-event of a step, with its duration in ticks; one that is longer than its field says so by the largest.
pub fn event(digit: char, pressed: Duration, end: bool, clock_rate: u32) -> Event {
    let ticks = pressed.max(STEP).as_micros() * u128::from(clock_rate) / 1_000_000;
    Event {
        code: Event::code_of(digit).unwrap_or_default(),
        end,
        volume: VOLUME,
        duration: u16::try_from(ticks).unwrap_or(u16::MAX),
    }
}

/// 20 ms of a key as sound at this rate, from `pressed` into it on.
pub fn tone(digit: char, pressed: Duration, rate: u32, out: &mut Vec<i16>) {
    let Some((low, high)) = super::dtmf::frequencies(digit) else { return };
    let first = (pressed.as_micros() * u128::from(rate) / 1_000_000) as u32;
    for n in 0..rate / 50 {
        // The two tones are whole cycles of a second, so that a second is as far as time has to be counted.
        let t = ((first + n) % rate) as f32 / rate as f32;
        // A beginning without a click.
        let attack = ((first + n) as f32 / (rate as f32 * 0.002)).min(1.0);
        out.push((LEVEL * attack * ((TAU * low * t).sin() + (TAU * high * t).sin())) as i16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono::from_millis(n)
    }

    /// Steps until done: at which time which digit, and whether it was an end.
    fn run(keying: &mut Keying, from: u64) -> Vec<(u64, char, u64, bool)> {
        let mut out = Vec::new();
        for at in (from..).step_by(20).take(1_000) {
            match keying.step(ms(at)) {
                Step::Key { digit, pressed, end, .. } => out.push((at, digit, pressed.as_millis() as u64, end)),
                Step::Pause => {}
                Step::Done => break,
            }
        }
        out
    }

    #[test]
    fn a_key_has_its_length_three_ends_and_a_pause_behind_it() {
        let mut k = Keying::default();
        k.order([Key { digit: '5', duration_ms: 100 }, Key { digit: '5', duration_ms: 0 }, Key { digit: 'x', duration_ms: 100 }]);
        let steps = run(&mut k, 1_000);
        let five = |at, pressed, end| (at, '5', pressed, end);
        assert_eq!(steps[..6], [0, 20, 40, 60, 80, 100].map(|n| five(1_000 + n, n, n == 100)));
        assert_eq!(steps[6..8], [five(1_120, 100, true), five(1_140, 100, true)]);
        assert_eq!(steps[8], five(1_200, 0, false), "60 ms after the last end");
        assert_eq!(steps.last(), Some(&five(1_300, 60, true)));
        assert!(!k.is_sounding());
    }

    #[test]
    fn a_held_key_lasts_until_it_is_let_go_and_not_for_ever() {
        let mut k = Keying::default();
        k.hold('#', ms(0));
        assert!(k.is_sounding());
        for at in (0..200).step_by(20) {
            assert!(matches!(k.step(ms(at)), Step::Key { digit: '#', end: false, .. }));
        }
        k.release('1', ms(190));
        k.release('#', ms(195));
        assert_eq!(run(&mut k, 200).iter().map(|s| (s.2, s.3)).collect::<Vec<_>>(), [(195, true); 3]);
        let mut lost = Keying::default();
        lost.hold('1', ms(0));
        assert_eq!(run(&mut lost, 0).last().map(|s| s.2), Some(5_000));
    }

    #[test]
    fn keys_pressed_faster_than_they_are_sent_come_one_after_another_and_are_bounded() {
        let mut k = Keying::default();
        for (i, digit) in "123".chars().enumerate() {
            k.hold(digit, ms(i as u64 * 10));
            k.release(digit, ms(i as u64 * 10 + 5));
        }
        let mut digits: Vec<char> = run(&mut k, 20).iter().map(|s| s.1).collect();
        digits.dedup();
        assert_eq!(digits, ['1', '2', '3']);
        k.order((0..1_000).map(|_| Key { digit: '1', duration_ms: 60 }));
        assert_eq!(k.waiting.len(), MOST);
    }

    #[test]
    fn its_own_detector_hears_the_tones_at_their_level() {
        for digit in "1234567890*#ABCD".chars() {
            let (mut pcm, mut heard) = (Vec::new(), String::new());
            for n in 0..5 {
                tone(digit, STEP * n, 8_000, &mut pcm);
            }
            pcm.extend([0; 640]);
            super::super::dtmf::Detector::default().samples(pcm.into_iter(), |t| heard.push(t.digit));
            assert_eq!(heard, digit.to_string());
        }
    }

    #[test]
    fn an_event_counts_in_its_clock() {
        assert_eq!(event('#', Duration::from_millis(100), true, 8_000).to_bytes(), [11, 0x8a, 0x03, 0x20]);
        assert_eq!(event('0', Duration::from_secs(3), false, 48_000).duration, u16::MAX);
        assert_eq!(event('0', Duration::ZERO, false, 48_000).duration, 960);
    }
}
