//! From tapped packets to samples: the pure part of the recorder.
//!
//! The rule it keeps: sample `n` of a channel belongs to the moment `n / 8000` s after the start, so a recording is exactly as long as
//! the clock says, and both sides stay together. Packets are placed by RTP time; a source's first packet, and each that follows a
//! change of SSRC or a break of the source's clock, anchors that time to its arrival. What was not received is silence: counted as
//! concealed where the sequence numbers say that it was lost, not counted where the source was only quiet.
//!
//! ```text
//!  frames ──> [ decode ] ──> [ place by RTP time in a ring of one second ] ──> samples older than HOLD_BACK ──> interleaved
//!                 │ its place was written already
//!                 └─> behind: is the source's clock slow, or the packet late? decided within DECIDE
//! ```
//!
//! G.711 is decoded as it comes. The other codecs are one stream each ([`Voice`]), which is decoded in the order of its sequence numbers:
//! what comes too early waits for what is missing, for at most [`PATIENCE`].
//!
//! Memory is a ring a side and a few packets; nothing grows with the length of a call.

use std::time::Duration;

use super::voice::{Voice, samples_of};
use crate::clock::Mono;
use crate::codec::Codec;
use crate::media::{Frame, LONGEST_PAYLOAD, Side};
use crate::rtp::{sequence_gap, timestamp_gap};

/// Samples a second.
pub const RATE: u32 = 8_000;
/// Packets may be this late without being lost to the recording. What a kill of the process costs is this and the writer's interval.
pub const HOLD_BACK: Duration = Duration::from_millis(200);
/// RTP time and arrival that differ by more than this for a whole second anchor anew: the source's clock drifts (50 ppm make 60 ms in
/// 20 minutes), or its first packet was late.
pub const TOLERANCE: Duration = Duration::from_millis(60);
/// A source whose packets are too late for this long has a clock that stood still (some phones stop it on hold). Less than
/// [`HOLD_BACK`], so that the places of what was kept meanwhile are not yet written.
const DECIDE: Duration = Duration::from_millis(160);
/// RTP time this far ahead of arrival is a jump of the source's clock.
const AHEAD: i64 = RATE as i64 / 2;
/// Samples of a side that can wait: hold-back, jump and the longest packet, to a power of two.
const RING: usize = 8_192;
/// Packets kept until it is clear why they are behind: 160 ms of 10 ms packets.
const BEHIND: usize = 16;
/// A packet of a codec that has state waits so long for those before it. What comes later than that is lost, so it is well below
/// [`HOLD_BACK`].
const PATIENCE: Duration = Duration::from_millis(100);
/// Packets that wait: [`PATIENCE`] of 10 ms packets and some more. When there are more, the first is not waited for any longer.
const WAITING: usize = 16;
/// Stands in the ring for "nothing came"; a sample that is as low is put one step higher.
const EMPTY: i16 = i16::MIN;
/// Most samples that one call gives: 8 s, 256 KB.
const MOST: usize = RING * 8;

/// What a side lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Silence in place of lost or late packets.
    pub concealed_ms: u64,
    /// Packets that came after their place was written.
    pub late: u64,
    /// New time lines after the first: changes of source, and breaks of its clock.
    pub anchors: u64,
}

/// Both sides of a recording, from its start.
#[derive(Debug)]
pub struct Timeline {
    start: Mono,
    /// Samples given so far, of each channel.
    written: i64,
    said: Track,
    heard: Track,
    /// Given up by the rings because a frame needed the room, and not yet asked for.
    ready: Vec<i16>,
}

impl Timeline {
    pub fn new(start: Mono) -> Timeline {
        Timeline { start, written: 0, said: Track::new(), heard: Track::new(), ready: Vec::new() }
    }

    /// Takes a frame. Frames come about in the order of their `at`.
    pub fn push(&mut self, frame: &Frame) {
        let arrived = self.samples_at(frame.at);
        // Whoever drains regularly never sees this: it makes room after the writer was blocked.
        let complete = arrived - ticks(HOLD_BACK);
        if complete > self.written + (RING / 4) as i64 {
            let mut ready = std::mem::take(&mut self.ready);
            self.give(complete, usize::MAX, &mut ready);
            self.ready = ready;
        }
        let track = match frame.side {
            Side::Said => &mut self.said,
            Side::Heard => &mut self.heard,
        };
        track.push(frame, arrived, self.written);
    }

    /// Appends interleaved samples (said, heard) that are complete at `now`. `true`: there are more than one call gives.
    pub fn drain(&mut self, now: Mono, out: &mut Vec<i16>) -> bool {
        out.append(&mut self.ready);
        let arrived = self.samples_at(now);
        for track in [&mut self.said, &mut self.heard] {
            track.release(arrived, self.written);
        }
        let complete = arrived - ticks(HOLD_BACK);
        self.give(complete, MOST, out);
        self.written < complete
    }

    /// Appends all up to the recording's end, padded or cut to it.
    pub fn finish(&mut self, at: Mono, out: &mut Vec<i16>) {
        out.append(&mut self.ready);
        for track in [&mut self.said, &mut self.heard] {
            track.release_all(self.written);
        }
        self.give(self.samples_at(at), usize::MAX, out);
        for track in [&mut self.said, &mut self.heard] {
            track.give_up_behind();
        }
    }

    /// Samples given so far, of each channel.
    pub fn samples(&self) -> u64 {
        self.written.unsigned_abs()
    }

    pub fn losses(&self, side: Side) -> Losses {
        let track = match side {
            Side::Said => &self.said,
            Side::Heard => &self.heard,
        };
        Losses { concealed_ms: track.concealed.max(0).unsigned_abs() / 8, ..track.losses }
    }

    fn samples_at(&self, at: Mono) -> i64 {
        ticks(at.since(self.start))
    }

    fn give(&mut self, until: i64, most: usize, out: &mut Vec<i16>) {
        let count = usize::try_from(until - self.written).unwrap_or(0).min(most);
        out.reserve(count * 2);
        let mut left = count;
        while left > 0 {
            let from = self.written as usize % RING;
            let run = left.min(RING - from);
            let sides = self.said.ring[from..from + run].iter_mut().zip(&mut self.heard.ring[from..from + run]);
            for (said, heard) in sides {
                let take = |s: &mut i16| match std::mem::replace(s, EMPTY) {
                    EMPTY => 0,
                    sample => sample,
                };
                out.extend([take(said), take(heard)]);
            }
            self.written += run as i64;
            left -= run;
        }
    }
}

fn ticks(d: Duration) -> i64 {
    i64::try_from(d.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(i64::MAX / 4)
}

/// How a source's time lies on the recording's: moved on with each newest packet, so that wraps do no harm.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: u32,
    codec: Codec,
    sequence: u16,
    timestamp: u32,
    /// Where the newest packet begins.
    at: i64,
    /// In samples.
    length: i64,
    drift: Drift,
}

/// The least and the most by which arrival was after RTP time since `since`.
#[derive(Clone, Copy, Debug)]
struct Drift {
    since: i64,
    least: i64,
    most: i64,
}

impl Drift {
    fn new(since: i64) -> Drift {
        Drift { since, least: i64::MAX, most: i64::MIN }
    }
}

/// A frame whose place was written before it came.
#[derive(Debug)]
struct Behind {
    arrived: i64,
    timestamp: u32,
    sound: Sound,
}

/// A frame that came before its turn.
#[derive(Debug)]
struct Early {
    arrived: i64,
    frame: Frame,
}

/// What a frame holds.
#[derive(Debug, Default)]
struct Sound {
    samples: Vec<i16>,
    /// By how much the samples begin before their frame does: what the change of rate holds back.
    back: i64,
    /// How long the frame is, in samples.
    length: i64,
}

/// One side.
#[derive(Debug)]
struct Track {
    ring: Box<[i16; RING]>,
    anchor: Option<Anchor>,
    behind: Vec<Behind>,
    /// By sequence number.
    early: Vec<Early>,
    voice: Option<Box<Voice>>,
    /// Lent out, to allocate nothing a frame.
    spare: Vec<i16>,
    losses: Losses,
    /// In samples; a late packet that still finds its place takes from it.
    concealed: i64,
}

impl Track {
    fn new() -> Track {
        Track {
            ring: Box::new([EMPTY; RING]),
            anchor: None,
            behind: Vec::new(),
            early: Vec::new(),
            voice: None,
            spare: Vec::new(),
            losses: Losses::default(),
            concealed: 0,
        }
    }

    /// Takes a frame, or keeps it until its turn.
    fn push(&mut self, frame: &Frame, arrived: i64, written: i64) {
        let gap = self.anchor_of(frame).map_or(1, |a| sequence_gap(a.sequence, frame.sequence));
        if frame.codec.g711().is_some() || self.early.first().is_some_and(|e| e.frame.ssrc != frame.ssrc) {
            self.release_all(written);
        }
        if frame.codec.g711().is_some() || gap <= 1 {
            self.take(frame, arrived, written);
        } else {
            let place = self.early.partition_point(|e| sequence_gap(e.frame.sequence, frame.sequence) > 0);
            if self.early.get(place).is_none_or(|e| e.frame.sequence != frame.sequence) {
                self.early.insert(place, Early { arrived, frame: frame.clone() });
            }
        }
        self.release(arrived, written);
    }

    /// Takes those that have waited whose turn it is, or that nobody waits for any longer.
    fn release(&mut self, now: i64, written: i64) {
        while let Some(first) = self.early.first() {
            let turn = self.anchor_of(&first.frame).is_none_or(|a| sequence_gap(a.sequence, first.frame.sequence) <= 1);
            let waited = self.early.iter().any(|e| now - e.arrived >= ticks(PATIENCE));
            if !turn && !waited && self.early.len() <= WAITING {
                return;
            }
            let first = self.early.remove(0);
            self.take(&first.frame, first.arrived, written);
        }
    }

    fn release_all(&mut self, written: i64) {
        for early in std::mem::take(&mut self.early) {
            self.take(&early.frame, early.arrived, written);
        }
    }

    /// The time line that a frame is on. Both laws of G.711 are on one.
    fn anchor_of(&self, frame: &Frame) -> Option<Anchor> {
        let same = |codec: Codec| codec == frame.codec || (codec.g711().is_some() && frame.codec.g711().is_some());
        self.anchor.filter(|a| a.ssrc == frame.ssrc && same(a.codec))
    }

    fn take(&mut self, frame: &Frame, arrived: i64, written: i64) {
        let Some(anchor) = self.anchor_of(frame) else {
            self.voice = None;
            let sound = self.decode(frame);
            self.anchor_anew(frame, &sound, arrived, written);
            return self.spare = sound.samples;
        };
        let gap = sequence_gap(anchor.sequence, frame.sequence);
        let at = anchor.at + samples_of(frame.codec, timestamp_gap(anchor.timestamp, frame.timestamp));
        if frame.codec.g711().is_none() && gap <= 0 {
            // Its turn is over: what was lost with it is counted already.
            self.losses.late += u64::from(gap < 0 && !frame.payload.is_empty());
            return;
        }
        if gap > 0 && !frame.payload.is_empty() {
            self.rest_of_voice(&anchor, at, written);
        }
        let sound = self.decode(frame);
        let spare = self.place_frame(frame, sound, anchor, (gap, at), arrived, written);
        self.spare = spare.unwrap_or_default();
    }

    /// The samples of a frame. One that can't be decoded is silent, and counts as lost.
    fn decode(&mut self, frame: &Frame) -> Sound {
        let mut samples = std::mem::take(&mut self.spare);
        samples.clear();
        if frame.payload.is_empty() {
            return Sound { samples, ..Sound::default() };
        }
        if let Some(law) = frame.codec.g711() {
            law.decode_all(&frame.payload, &mut samples);
            let length = samples.len() as i64;
            return Sound { samples, back: 0, length };
        }
        let length = samples_of(frame.codec, i32::try_from(frame.codec.ticks(&frame.payload)).unwrap_or(0));
        let voice = self.voice.get_or_insert_with(|| Box::new(Voice::new(frame.codec, RATE)));
        let back = voice.behind();
        if voice.decode(&frame.payload, &mut samples).is_err() {
            self.concealed += length;
        }
        Sound { samples, back, length }
    }

    /// Before a pause in a voice, what the change of rate holds back of it.
    fn rest_of_voice(&mut self, anchor: &Anchor, at: i64, written: i64) {
        let end = anchor.at + anchor.length;
        let Some(voice) = self.voice.as_mut().filter(|_| at - end >= i64::from(RATE / 50)) else { return };
        let from = end - voice.behind();
        let mut samples = std::mem::take(&mut self.spare);
        samples.clear();
        voice.rest(&mut samples);
        self.place(from, &samples, written);
        self.spare = samples;
    }

    /// Puts a frame where it belongs. Gives back what its samples were in.
    fn place_frame(
        &mut self,
        frame: &Frame,
        sound: Sound,
        mut anchor: Anchor,
        (gap, at): (i16, i64),
        arrived: i64,
        written: i64,
    ) -> Option<Vec<i16>> {
        if gap <= 0 {
            // Doubled or out of order: only what is still missing of it is taken.
            if gap < 0 && sound.length > 0 {
                self.fill_in(at, &sound.samples, written);
            }
            return Some(sound.samples);
        }
        if sound.length == 0 {
            // A key press or comfort noise: heard of, but no sound.
            anchor.sequence = frame.sequence;
            self.anchor = Some(anchor);
            return Some(sound.samples);
        }
        if at - arrived > AHEAD {
            self.anchor_anew(frame, &sound, arrived, written);
            return Some(sound.samples);
        }
        if at + sound.length <= written {
            self.fall_behind(frame, sound, arrived, written);
            return None;
        }
        self.give_up_behind();
        self.count_hole(&anchor, gap, at, sound.length);
        anchor.sequence = frame.sequence;
        anchor.timestamp = frame.timestamp;
        anchor.at = at;
        anchor.length = sound.length;
        self.place(at - sound.back, &sound.samples, written);
        self.follow_drift(&mut anchor, arrived);
        self.anchor = Some(anchor);
        Some(sound.samples)
    }

    fn anchor_anew(&mut self, frame: &Frame, sound: &Sound, arrived: i64, written: i64) {
        self.give_up_behind();
        if self.anchor.is_some() {
            self.losses.anchors += 1;
        }
        if sound.length == 0 {
            // No sound has come of this source; its time is anchored by the first that does.
            return;
        }
        self.set_anchor(frame, arrived.max(written), sound.length);
        self.place(arrived.max(written) - sound.back, &sound.samples, written);
    }

    fn set_anchor(&mut self, frame: &Frame, at: i64, length: i64) {
        self.anchor = Some(Anchor {
            ssrc: frame.ssrc,
            codec: frame.codec,
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            at,
            length,
            drift: Drift::new(at),
        });
    }

    /// The place was written, though the packet is the newest. Either it came late (then the next ones are in time again), or the
    /// source's clock stood still (then they are all behind, and belong where they arrived).
    fn fall_behind(&mut self, frame: &Frame, sound: Sound, arrived: i64, written: i64) {
        if self.behind.len() == BEHIND {
            self.behind.remove(0);
            self.late(sound.length);
        }
        let length = sound.length;
        self.behind.push(Behind { arrived, timestamp: frame.timestamp, sound });
        let Some(first) = self.behind.first() else { return };
        let (began, base) = (first.arrived, first.timestamp);
        if let Some(anchor) = &mut self.anchor {
            // The sequence goes on, and time with it, so that the next packet is judged by the same clock.
            anchor.at += samples_of(frame.codec, timestamp_gap(anchor.timestamp, frame.timestamp));
            anchor.sequence = frame.sequence;
            anchor.timestamp = frame.timestamp;
        }
        if arrived - began < ticks(DECIDE) {
            return;
        }
        self.losses.anchors += 1;
        let began = began.max(written);
        for kept in std::mem::take(&mut self.behind) {
            let at = began + samples_of(frame.codec, timestamp_gap(base, kept.timestamp));
            self.place(at - kept.sound.back, &kept.sound.samples, written);
        }
        self.set_anchor(frame, began + samples_of(frame.codec, timestamp_gap(base, frame.timestamp)), length);
    }

    fn give_up_behind(&mut self) {
        for kept in std::mem::take(&mut self.behind) {
            self.late(kept.sound.length);
        }
    }

    fn late(&mut self, samples: i64) {
        self.losses.late += 1;
        self.concealed += samples;
    }

    /// A hole in time with a hole in the numbers is loss; with numbers that follow on it is a source that was quiet.
    fn count_hole(&mut self, before: &Anchor, gap: i16, at: i64, length: i64) {
        let hole = at - (before.at + before.length);
        let missing = i64::from(gap - 1);
        if hole > 0 && missing > 0 {
            self.concealed += hole.min(missing * length.max(before.length));
        } else if hole > 0 && before.length == LONGEST_PAYLOAD as i64 {
            // The tap cut a packet that was longer than it copies.
            self.concealed += hole.min(before.length);
        }
    }

    /// Out of order: what of it has a place yet.
    fn fill_in(&mut self, at: i64, samples: &[i16], written: i64) {
        if at + samples.len() as i64 <= written {
            // Concealed already, when the numbers left it out.
            self.losses.late += 1;
        } else {
            self.concealed -= self.place(at, samples, written);
        }
    }

    /// Puts samples where nothing is yet; how many that were.
    fn place(&mut self, at: i64, samples: &[i16], written: i64) -> i64 {
        let mut placed = 0;
        for (place, sample) in (at..).zip(samples) {
            if place < written || place >= written + RING as i64 {
                continue;
            }
            let slot = &mut self.ring[place as usize % RING];
            if *slot == EMPTY {
                *slot = (*sample).max(EMPTY + 1);
                placed += 1;
            }
        }
        placed
    }

    /// Moves the anchor when a whole second agrees that the source's clock is off.
    fn follow_drift(&mut self, anchor: &mut Anchor, arrived: i64) {
        let after = arrived - anchor.at;
        let drift = &mut anchor.drift;
        drift.least = drift.least.min(after);
        drift.most = drift.most.max(after);
        if arrived - drift.since < i64::from(RATE) {
            return;
        }
        let tolerance = ticks(TOLERANCE);
        let shift = match (drift.least, drift.most) {
            (least, _) if least > tolerance => least,
            (_, most) if most < -tolerance => most,
            _ => 0,
        };
        if shift != 0 {
            anchor.at += shift;
            self.losses.anchors += 1;
        }
        anchor.drift = Drift::new(arrived);
    }
}

#[cfg(test)]
mod tests {
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
        let mut t = Timeline::new(Mono::ZERO);
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
            let mut t = Timeline::new(Mono::ZERO);
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
            assert!(far > 0 && far <= ticks(TOLERANCE) + 160, "{far}");
            let losses = t.losses(Side::Said);
            assert_eq!((losses.late, losses.concealed_ms), (0, 0));
            // 1.4 s in all, by 60 ms each.
            assert!((minutes * 10 / 15..minutes * 10 / 8).contains(&(losses.anchors as u32)), "{losses:?}");
        }
    }

    #[test]
    fn a_writer_that_was_blocked_gets_everything_after() {
        let s = Source::new(Side::Said);
        let mut t = Timeline::new(Mono::ZERO);
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
        let mut t = Timeline::new(Mono::ZERO);
        let mut out = Vec::new();
        assert!(t.drain(Mono::from_millis(3_600_000), &mut out));
        assert_eq!(out.len(), MOST * 2);
        assert_eq!(t.samples(), MOST as u64);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        /// Whatever the numbers say: no panic, and the recording is as long as the clock says.
        #[test]
        fn any_frames_give_the_exact_length(
            frames in proptest::collection::vec((0u64..400, 0u32..3, proptest::num::u16::ANY, proptest::num::u32::ANY, 0usize..480), 0..100),
        ) {
            let mut t = Timeline::new(Mono::from_millis(50));
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
}
