use super::*;
use crate::codec::{Codec, G711};
use crate::ids::RecordingId;
use crate::media::Payload;

/// A packet of 20 ms whose samples all have the level that its number names.
struct Source {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    side: Side,
}

impl Source {
    fn new(side: Side) -> Source {
        Source { ssrc: 1, sequence: 65_530, timestamp: u32::MAX - 500, side }
    }

    /// The `n`th packet, arriving at `us`.
    fn frame(&self, n: u32, us: u64) -> Frame {
        self.frame_at(n, n * 160, us)
    }

    fn frame_at(&self, n: u32, ticks: u32, us: u64) -> Frame {
        Frame {
            recording: RecordingId::from_parts(0, 0),
            side: self.side,
            at: Mono::from_micros(us),
            ssrc: self.ssrc,
            sequence: self.sequence.wrapping_add(n as u16),
            timestamp: self.timestamp.wrapping_add(ticks),
            codec: Codec::Pcmu,
            payload: Payload::from(&[level(n); 160][..]),
        }
    }
}

/// A byte for each packet number, never silence.
fn level(n: u32) -> u8 {
    (n % 100) as u8
}

fn channel(out: &[i16], right: bool) -> Vec<i16> {
    out.iter().skip(usize::from(right)).step_by(2).copied().collect()
}

fn packets(samples: &[i16]) -> Vec<Option<u32>> {
    samples
        .chunks(160)
        .map(|c| (0..100).find(|n| c.iter().all(|s| *s == G711::Pcmu.decode(level(*n)))).filter(|_| c[0] != 0))
        .collect()
}

/// Plays frames in order of arrival, draining every 100 ms; the whole recording.
fn record(mut frames: Vec<Frame>, end_us: u64) -> (Timeline, Vec<i16>) {
    frames.sort_by_key(|f| f.at);
    let mut t = Timeline::new(Mono::ZERO, NARROW);
    let mut out = Vec::new();
    let mut drained = 0;
    for f in &frames {
        while drained + 100_000 <= f.at.as_micros() {
            drained += 100_000;
            assert!(!t.drain(Mono::from_micros(drained), &mut out));
        }
        t.push(f);
    }
    while t.drain(Mono::from_micros(end_us), &mut out) {}
    t.finish(Mono::from_micros(end_us), &mut out);
    assert_eq!(out.len() as u64, end_us * 8 / 1_000 * 2, "exactly as long as the clock says");
    (t, out)
}

const MS: u64 = 1_000;

#[test]
fn both_sides_lie_where_they_were_heard() {
    let (said, heard) = (Source::new(Side::Said), Source::new(Side::Heard));
    let mut frames: Vec<_> = (0..50).map(|n| said.frame(n, u64::from(n) * 20 * MS)).collect();
    frames.extend((0..20).map(|n| heard.frame(n, (400 + u64::from(n) * 20) * MS)));
    let (t, out) = record(frames, 1_010 * MS);
    let left = packets(&channel(&out, false)[..8_000]);
    assert_eq!(left, (0..50).map(Some).collect::<Vec<_>>());
    let right = packets(&channel(&out, true)[..8_000]);
    assert_eq!(right[..20], [None; 20]);
    assert_eq!(right[20..40], (0..20).map(Some).collect::<Vec<_>>());
    assert_eq!(right[40..], [None; 10]);
    assert_eq!((t.losses(Side::Said), t.losses(Side::Heard)), (Losses::default(), Losses::default()));
}

#[test]
fn loss_is_silence_in_its_place_and_counted() {
    let s = Source::new(Side::Said);
    let frames = (0..50).filter(|n| ![10, 20, 21, 30].contains(n)).map(|n| s.frame(n, u64::from(n) * 20 * MS)).collect();
    let (t, out) = record(frames, 1_000 * MS);
    let got = packets(&channel(&out, false));
    for n in 0..50 {
        assert_eq!(got[n as usize], (![10, 20, 21, 30].contains(&n)).then_some(n));
    }
    assert_eq!(t.losses(Side::Said), Losses { concealed_ms: 80, late: 0, anchors: 0 });
}

#[test]
fn reordered_doubled_and_jittery_packets_find_their_place() {
    let s = Source::new(Side::Said);
    let mut frames = Vec::new();
    for n in 0..200u32 {
        let jitter = u64::from(n * 7_919 % 150) * MS;
        frames.push(s.frame(n, u64::from(n) * 20 * MS + if n == 0 { 0 } else { jitter }));
        if n % 5 == 0 {
            frames.push(s.frame(n, u64::from(n) * 20 * MS + 90 * MS));
        }
    }
    let (t, out) = record(frames, 4_200 * MS);
    assert_eq!(packets(&channel(&out, false))[..200], (0..200).map(|n| Some(n % 100)).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said), Losses::default());
}

#[test]
fn a_packet_that_comes_after_its_place_was_written_is_counted() {
    let s = Source::new(Side::Said);
    let mut frames: Vec<_> = (0..100).filter(|n| *n != 10).map(|n| s.frame(n, u64::from(n) * 20 * MS)).collect();
    frames.push(s.frame(10, 700 * MS));
    let (t, _) = record(frames, 2_000 * MS);
    assert_eq!(t.losses(Side::Said), Losses { concealed_ms: 20, late: 1, anchors: 0 });
}

#[test]
fn a_stall_of_the_network_loses_what_is_late_and_keeps_the_time_line() {
    let s = Source::new(Side::Said);
    // 500 to 1000 ms arrive at once at 1000 ms.
    let arrive = |n: u32| (u64::from(n) * 20 * MS).max(if (25..50).contains(&n) { 1_000 * MS } else { 0 });
    let (t, out) = record((0..100).map(|n| s.frame(n, arrive(n))).collect(), 2_000 * MS);
    let got = packets(&channel(&out, false));
    assert_eq!(got[..25], (0..25).map(Some).collect::<Vec<_>>());
    assert_eq!(got[40..], (40..100).map(Some).collect::<Vec<_>>());
    let losses = t.losses(Side::Said);
    assert_eq!((losses.late, losses.concealed_ms, losses.anchors), (15, 300, 0));
}

#[test]
fn a_source_that_was_quiet_lost_nothing() {
    let s = Source::new(Side::Said);
    // Numbers follow on, time jumps by 3 s.
    let mut frames: Vec<_> = (0..20).map(|n| s.frame(n, u64::from(n) * 20 * MS)).collect();
    frames.extend((20..40).map(|n| s.frame_at(n, n * 160 + 24_000, u64::from(n) * 20 * MS + 3_000 * MS)));
    let (t, out) = record(frames, 4_000 * MS);
    assert_eq!(packets(&channel(&out, false))[170..190], (20..40).map(Some).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said), Losses::default());
}

#[test]
fn key_presses_are_silence_but_no_loss() {
    let s = Source::new(Side::Said);
    let mut frames: Vec<_> = (0..50).map(|n| s.frame(n, u64::from(n) * 20 * MS)).collect();
    for f in &mut frames[10..20] {
        f.payload = Payload::from(&[][..]);
        f.timestamp = s.timestamp.wrapping_add(1_600);
    }
    let (t, out) = record(frames, 1_000 * MS);
    let got = packets(&channel(&out, false));
    assert_eq!((got[9], got[10], got[19], got[20]), (Some(9), None, None, Some(20)));
    assert_eq!(t.losses(Side::Said), Losses::default());
}

#[test]
fn a_change_of_source_anchors_at_its_arrival() {
    let s = Source::new(Side::Said);
    let other = Source { ssrc: 2, sequence: 7, timestamp: 123, side: Side::Said };
    let mut frames: Vec<_> = (0..20).map(|n| s.frame(n, u64::from(n) * 20 * MS)).collect();
    frames.extend((0..20).map(|n| other.frame(n, 500 * MS + u64::from(n) * 20 * MS)));
    let (t, out) = record(frames, 1_000 * MS);
    assert_eq!(packets(&channel(&out, false))[25..45], (0..20).map(Some).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said), Losses { anchors: 1, ..Losses::default() });
}

#[test]
fn a_clock_that_stood_still_on_hold_loses_nothing() {
    let s = Source::new(Side::Said);
    // 10 s of hold in which timestamps and numbers stood still.
    let pause = |n: u32| if n >= 20 { 10_000 * MS } else { 0 };
    let frames = (0..60).map(|n| s.frame(n, u64::from(n) * 20 * MS + pause(n))).collect();
    let (t, out) = record(frames, 11_500 * MS);
    let left = channel(&out, false);
    assert_eq!(packets(&left[83_200..]).iter().flatten().copied().collect::<Vec<_>>()[..40], (20..60).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said), Losses { anchors: 1, ..Losses::default() });
}

#[test]
fn a_clock_that_jumps_ahead_is_anchored_anew() {
    let s = Source::new(Side::Said);
    let jump = |n: u32| if n >= 20 { 1_000_000_000 } else { 0 };
    let frames = (0..40).map(|n| s.frame_at(n, n * 160 + jump(n), u64::from(n) * 20 * MS)).collect();
    let (t, out) = record(frames, 800 * MS);
    assert_eq!(packets(&channel(&out, false)), (0..40).map(Some).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said).anchors, 1);
}

/// As far as four hours of 100 ppm drift apart, in 24 minutes; numbers wrap, and the timestamp too. Three minutes of a fast clock.
#[test]
fn hours_of_drift_stay_within_the_tolerance() {
    for (drift_ppm, minutes) in [(-1_000i64, 24u32), (1_000, 3)] {
        let s = Source { timestamp: u32::MAX - 1_000_000, ..Source::new(Side::Said) };
        let at = |n: u32| i64::from(n) * (20_000 * (1_000_000 + drift_ppm)) / 1_000_000;
        let mut t = Timeline::new(Mono::ZERO, NARROW);
        let mut out = Vec::new();
        let mut far = 0;
        for n in 0..minutes * 60 * 50 {
            t.push(&s.frame(n, at(n) as u64));
            if n % 50 == 49 {
                out.clear();
                t.drain(Mono::from_micros(at(n) as u64), &mut out);
                // Where a packet of the last second lies, against where it arrived; levels repeat every 2 s.
                let level = G711::Pcmu.decode(level(n - 25));
                if let Some(found) = out.chunks(2).position(|x| x[0] == level) {
                    let lies = t.samples() as i64 - out.len() as i64 / 2 + found as i64;
                    far = far.max((lies - at(n - 25) * 8 / 1_000).abs());
                }
            }
        }
        assert!(far > 0 && far <= ticks(TOLERANCE, NARROW) + 160, "{far}");
        let losses = t.losses(Side::Said);
        assert_eq!((losses.late, losses.concealed_ms), (0, 0));
        // 1.4 s in all, by 60 ms each.
        assert!((minutes * 10 / 15..minutes * 10 / 8).contains(&(losses.anchors as u32)), "{losses:?}");
    }
}

#[test]
fn a_writer_that_was_blocked_gets_everything_after() {
    let s = Source::new(Side::Said);
    let mut t = Timeline::new(Mono::ZERO, NARROW);
    for n in 0..500 {
        t.push(&s.frame(n, u64::from(n) * 20 * MS));
    }
    let mut out = Vec::new();
    t.finish(Mono::from_millis(10_000), &mut out);
    assert_eq!(packets(&channel(&out, false)), (0..500).map(|n| Some(n % 100)).collect::<Vec<_>>());
    assert_eq!(t.losses(Side::Said), Losses::default());
}

#[test]
fn one_call_gives_no_more_than_eight_seconds() {
    let mut t = Timeline::new(Mono::ZERO, NARROW);
    let mut out = Vec::new();
    assert!(t.drain(Mono::from_millis(3_600_000), &mut out));
    assert_eq!(out.len(), MOST * RING * 2);
    assert_eq!(t.samples(), (MOST * RING) as u64);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever the numbers say: no panic, and the recording is as long as the clock says.
    #[test]
    fn any_frames_give_the_exact_length(
        frames in proptest::collection::vec((0u64..400, 0u32..3, proptest::num::u16::ANY, proptest::num::u32::ANY, 0usize..480), 0..100),
    ) {
        let mut t = Timeline::new(Mono::from_millis(50), NARROW);
        let mut out = Vec::new();
        let mut at = 0;
        for (step, ssrc, sequence, timestamp, length) in frames {
            at += step;
            let mut f = Source::new(Side::Said).frame(0, at * MS);
            f.ssrc = ssrc;
            f.sequence = sequence % 50;
            f.timestamp = timestamp % 200_000;
            f.payload = Payload::from(&vec![7; length][..]);
            t.push(&f);
            if step % 3 == 0 {
                while t.drain(Mono::from_millis(at), &mut out) {}
            }
        }
        t.finish(Mono::from_millis(at + 1_000), &mut out);
        proptest::prop_assert_eq!(out.len() as u64, (at + 950) * 8 * 2);
    }
}

/// For 1.5 s nothing is read, and then all at once: the sockets have kept it. Time has stood still meanwhile for whoever drains.
#[test]
fn what_was_read_late_all_at_once_is_in_its_place() {
    for first_late in [40, 50, 51] {
        let s = Source::new(Side::Heard);
        let mut t = Timeline::new(Mono::ZERO, NARROW);
        let mut out = Vec::new();
        for n in 0..first_late {
            t.push(&s.frame(n, u64::from(n) * 20 * MS));
            assert!(!t.drain(Mono::from_micros(u64::from(n) * 20 * MS), &mut out));
        }
        let late = u64::from(first_late + 75) * 20 * MS;
        assert!(!t.is_behind(Mono::from_micros(late)));
        for n in first_late..first_late + 75 {
            t.push(&s.frame(n, late));
        }
        assert_eq!(t.heard.ring.len(), 2 * RING, "it has grown to what waits");
        for n in first_late + 75..300 {
            let at = Mono::from_micros(u64::from(n) * 20 * MS);
            t.push(&s.frame(n, u64::from(n) * 20 * MS));
            assert!(!t.drain(at, &mut out));
        }
        assert_eq!((t.said.ring.len(), t.heard.ring.len()), (RING, RING), "and has shrunk");
        t.finish(Mono::from_micros(6_000 * MS), &mut out);
        assert_eq!(packets(&channel(&out, true)), (0..300).map(|n| Some(n % 100)).collect::<Vec<_>>(), "{first_late}");
        assert_eq!(t.losses(Side::Heard), Losses::default());
    }
}

/// A source's first packets were read late, all at once, as where a call was answered while the machine stood still.
#[test]
fn the_beginning_of_a_source_that_was_read_late_is_where_it_was_said() {
    for late in [5, 20, 35, 60] {
        let s = Source::new(Side::Heard);
        let mut t = Timeline::new(Mono::ZERO, NARROW);
        let mut out = Vec::new();
        // What time has passed is known while nothing was read: a second.
        t.drain(Mono::from_micros(1_000 * MS), &mut out);
        let read = (1_000 + u64::from(late) * 20) * MS;
        for n in 0..late {
            t.push(&s.frame(n, read));
        }
        for n in late..300 {
            let at = (1_000 + u64::from(n) * 20) * MS;
            t.push(&s.frame(n, at));
            t.drain(Mono::from_micros(at), &mut out);
        }
        t.finish(Mono::from_micros(7_100 * MS), &mut out);
        let heard: Vec<_> = packets(&channel(&out, true)).into_iter().flatten().collect();
        assert_eq!(heard, (0..300).map(|n| n % 100).collect::<Vec<_>>(), "{late}: {:?}", t.losses(Side::Heard));
        let begins = channel(&out, true).iter().position(|s| *s != 0).unwrap() as u64 / 8;
        assert!(begins.abs_diff(1_000) <= 80, "{late}: {begins} ms");
    }
}
