//! One key press out of many telephone-event packets (RFC 4733 §2.5).
//!
//! A press is many packets with one timestamp: updates with growing duration, then the end, three times. Any of them may be lost,
//! doubled or late. The rules: a new timestamp is a new press, even of the same key; the end is reported once; where the end is lost,
//! the next press or a pause ends it. Two habits of real senders are known: a press longer than 65,535 ticks goes on under a new
//! timestamp (§2.5.1.3), and some old gateways count the timestamp up in every packet of a press.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::clock::Mono;

use super::event::Event;
use super::sequence::timestamp_gap;

/// A press whose packets stop coming has ended: three packets at the usual 50 ms (§2.5.1.2 resends every packetization period).
const SILENCE: Duration = Duration::from_millis(150);
/// Within this long after the end, an end packet of the same key with another timestamp is a repeat of it: nobody lets go, presses and
/// lets go again that fast.
const REPEAT: Duration = Duration::from_millis(60);

/// 60 ms at the fastest clock that telephone-event has here.
const SLACK: u16 = 2_880;

/// A key that was pressed and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    pub digit: char,
    /// In clock ticks.
    pub duration: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    event: u8,
    timestamp: u32,
    /// Of the newest packet.
    duration: u16,
    /// Of earlier segments of the same press.
    before: u32,
    seen: Mono,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Pressed(Key),
    /// Reported.
    Released(Key),
}

/// Reports each press once, at its end.
#[derive(Clone, Debug, Default)]
pub struct DigitDetector {
    state: State,
}

impl DigitDetector {
    /// Takes a packet: what it ends (an earlier press whose end was lost, this press, or both).
    pub fn packet(&mut self, event: Event, timestamp: u32, marker: bool, now: Mono) -> ArrayVec<Press, 2> {
        let mut ended = ArrayVec::new();
        let fresh = Key { event: event.code, timestamp, duration: event.duration, before: 0, seen: now };
        let key = match self.state {
            State::Idle => fresh,
            State::Pressed(key) => match relation(&key, &event, timestamp, marker) {
                Relation::Older => return ended,
                Relation::Same => Key { duration: key.duration.max(event.duration), seen: now, ..key },
                Relation::Segment => Key { before: key.before + u32::from(key.duration), ..fresh },
                Relation::Counting => Key { timestamp, duration: event.duration, seen: now, ..key },
                Relation::Other => {
                    ended.extend(press(&key));
                    fresh
                }
            },
            State::Released(key) => match relation(&key, &event, timestamp, marker) {
                Relation::Older | Relation::Same => return ended,
                Relation::Segment | Relation::Counting if event.end && now.since(key.seen) < REPEAT => return ended,
                Relation::Segment | Relation::Counting | Relation::Other => fresh,
            },
        };
        self.state = if event.end {
            ended.extend(press(&key));
            State::Released(key)
        } else {
            State::Pressed(key)
        };
        ended
    }

    /// The key that is pressed now.
    pub fn pressed(&self) -> Option<char> {
        match self.state {
            State::Pressed(key) => press(&key).map(|press| press.digit),
            State::Released(_) | State::Idle => None,
        }
    }

    /// Ends a press whose packets have stopped.
    pub fn tick(&mut self, now: Mono) -> Option<Press> {
        match self.state {
            State::Pressed(key) if now.since(key.seen) >= SILENCE => {
                self.state = State::Released(key);
                press(&key)
            }
            State::Pressed(_) | State::Released(_) | State::Idle => None,
        }
    }

    /// When [`DigitDetector::tick`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Pressed(key) => Some(key.seen + SILENCE),
            State::Released(_) | State::Idle => None,
        }
    }
}

fn press(key: &Key) -> Option<Press> {
    let event = Event { code: key.event, end: true, volume: 0, duration: key.duration };
    event.digit().map(|digit| Press { digit, duration: key.before + u32::from(key.duration) })
}

/// What a packet is to the press that was seen last.
enum Relation {
    Same,
    /// Of an earlier press.
    Older,
    /// The same press goes on under a new timestamp, because its duration was full.
    Segment,
    /// The same press, from a sender that counts the timestamp up.
    Counting,
    Other,
}

fn relation(key: &Key, event: &Event, timestamp: u32, marker: bool) -> Relation {
    let gap = timestamp_gap(key.timestamp, timestamp);
    if gap == 0 && key.event == event.code {
        return Relation::Same;
    }
    if gap < 0 {
        return Relation::Older;
    }
    if marker || key.event != event.code {
        return Relation::Other;
    }
    // A segment is full at 0xffff; senders stop up to one packet of 60 ms earlier, at 48 kHz.
    if key.duration > 0xffff - SLACK && (gap - i32::from(key.duration)).abs() <= i32::from(SLACK) {
        return Relation::Segment;
    }
    if event.duration > key.duration && gap <= i32::from(event.duration - key.duration) + 160
        || event.end && event.duration == key.duration
    {
        return Relation::Counting;
    }
    Relation::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        detector: DigitDetector,
        pressed: String,
        durations: Vec<u32>,
        now: Mono,
    }

    impl Line {
        fn new() -> Line {
            Line { detector: DigitDetector::default(), pressed: String::new(), durations: Vec::new(), now: Mono::ZERO }
        }

        fn packet(&mut self, digit: char, timestamp: u32, duration: u16, end: bool, marker: bool) {
            self.now += Duration::from_millis(20);
            let event = Event { code: Event::code_of(digit).unwrap(), end, volume: 10, duration };
            for p in self.detector.packet(event, timestamp, marker, self.now) {
                self.pressed.push(p.digit);
                self.durations.push(p.duration);
            }
        }

        fn press(&mut self, digit: char, timestamp: u32) {
            for i in 1..=4u16 {
                self.packet(digit, timestamp, i * 160, false, i == 1);
            }
            for _ in 0..3 {
                self.packet(digit, timestamp, 800, true, false);
            }
        }
    }

    #[test]
    fn a_press_of_seven_packets_is_one_digit() {
        let mut line = Line::new();
        line.press('5', 1_000);
        assert_eq!((line.pressed.as_str(), &line.durations[..]), ("5", &[800][..]));
    }

    #[test]
    fn the_same_key_twice_is_two_digits_even_without_markers() {
        let mut line = Line::new();
        line.press('1', 1_000);
        for i in 1..=4u16 {
            line.packet('1', 3_000, i * 160, false, false);
        }
        line.packet('1', 3_000, 800, true, false);
        assert_eq!(line.pressed, "11");
    }

    #[test]
    fn doubled_and_late_packets_add_nothing() {
        let mut line = Line::new();
        line.press('1', 1_000);
        line.packet('1', 1_000, 320, false, false);
        line.press('2', 5_000);
        line.packet('1', 1_000, 800, true, false);
        line.packet('2', 5_000, 160, false, true);
        assert_eq!(line.pressed, "12");
    }

    #[test]
    fn a_lost_end_is_made_up_by_the_next_press_or_by_silence() {
        let mut line = Line::new();
        line.packet('1', 1_000, 160, false, true);
        line.packet('1', 1_000, 320, false, false);
        line.press('2', 5_000);
        assert_eq!(line.pressed, "12");
        line.packet('3', 9_000, 160, false, true);
        assert_eq!(line.detector.tick(line.now + Duration::from_millis(149)), None);
        let due = line.detector.deadline().unwrap();
        assert_eq!(line.detector.tick(due), Some(Press { digit: '3', duration: 160 }));
        // Its end comes after all: nothing new.
        line.packet('3', 9_000, 800, true, false);
        assert_eq!((line.pressed.as_str(), line.detector.deadline()), ("12", None));
    }

    #[test]
    fn a_press_of_which_only_an_end_packet_came_counts() {
        let mut line = Line::new();
        line.packet('#', 1_000, 800, true, false);
        assert_eq!(line.pressed, "#");
    }

    /// RFC 4733 §2.5.1.3.
    #[test]
    fn a_key_held_for_twelve_seconds_is_one_press() {
        let mut line = Line::new();
        line.packet('0', 1_000, 160, false, true);
        line.packet('0', 1_000, 0xffff, false, false);
        line.packet('0', 1_000 + 0xffff, 160, false, false);
        line.packet('0', 1_000 + 0xffff, 30_000, true, false);
        assert_eq!((line.pressed.as_str(), line.durations[0]), ("0", 0xffff + 30_000));
    }

    #[test]
    fn a_gateway_that_counts_timestamps_up_presses_once() {
        let mut line = Line::new();
        for i in 1..=5u16 {
            line.packet('7', 1_000 + u32::from(i) * 160, i * 160, false, i == 1);
        }
        for i in 6..=8 {
            line.packet('7', 1_000 + i * 160, 960, true, false);
        }
        assert_eq!(line.pressed, "7");
    }

    #[test]
    fn a_hook_flash_is_no_digit() {
        let mut detector = DigitDetector::default();
        let flash = Event { code: 16, end: true, volume: 0, duration: 800 };
        assert!(detector.packet(flash, 1, true, Mono::ZERO).is_empty());
    }
}
