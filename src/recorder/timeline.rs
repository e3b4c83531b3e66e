//! From tapped packets to samples: the pure part of the recorder.
//!
//! The rule it keeps: sample `n` of a channel belongs to the moment `n / rate` s after the start, so a recording is exactly as long as
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
//! G.711 is decoded as it comes, where the recording has its rate. All else is one stream each ([`Voice`]), which is decoded in the order
//! of its sequence numbers: what comes too early waits for what is missing, for at most [`PATIENCE`].
//!
//! Memory is a ring a side and a few packets; nothing grows with the length of a call. Where frames are late all together, because workers
//! or the writer stood still, the rings grow to hold that moment, and shrink when it has passed.

use std::time::Duration;

use super::hushed::Hushed;
use super::voice::{Voice, samples_of};
use crate::clock::Mono;
use crate::codec::Codec;
use crate::media::{Frame, LONGEST_PAYLOAD, Side};
use crate::rtp::{sequence_gap, timestamp_gap};

/// Samples a second of a recording, but for one in which more can be heard.
pub const NARROW: u32 = 8_000;
/// Packets may be this late without being lost to the recording. What a kill of the process costs is this and the writer's interval.
pub const HOLD_BACK: Duration = Duration::from_millis(200);
/// RTP time and arrival that differ by more than this for a whole second anchor anew: the source's clock drifts (50 ppm make 60 ms in
/// 20 minutes), or its first packet was late.
pub const TOLERANCE: Duration = Duration::from_millis(60);
/// A source whose packets are too late for this long has a clock that stood still (some phones stop it on hold). Less than
/// [`HOLD_BACK`], so that the places of what was kept meanwhile are not yet written.
const DECIDE: Duration = Duration::from_millis(160);
/// So few packets say nothing of a source's clock: half a second of the usual ones.
const ENOUGH: u32 = 25;
/// RTP time this far ahead of arrival is a jump of the source's clock.
const AHEAD: Duration = Duration::from_millis(500);
/// No codec's packets are longer (Opus has 120 ms at most).
const LONGEST_FRAME: Duration = Duration::from_millis(120);
/// Samples of a side that can wait, at [`NARROW`]: hold-back, jump and the longest packet, to a power of two.
const RING: usize = 8_192;
/// A ring grows to so many times that, 4 s.
const GROWS: usize = 4;
/// Packets kept until it is clear why they are behind: 160 ms of 10 ms packets.
const BEHIND: usize = 16;
/// A packet of a codec that has state waits so long for those before it. What comes later than that is lost, so it is well below
/// [`HOLD_BACK`].
const PATIENCE: Duration = Duration::from_millis(100);
/// Packets that wait: [`PATIENCE`] of 10 ms packets and some more. When there are more, the first is not waited for any longer.
const WAITING: usize = 16;
/// Stands in the ring for "nothing came"; a sample that is as low is put one step higher.
const EMPTY: i16 = i16::MIN;
/// Most that one call gives, in rings: 8 s, 256 KB at [`NARROW`].
const MOST: usize = 8;

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
    rate: u32,
    /// Samples given so far, of each channel.
    written: i64,
    said: Track,
    heard: Track,
    /// Given up by the rings because a frame needed the room, and not yet asked for.
    ready: Vec<i16>,
    hushed: Hushed,
}

impl Timeline {
    /// At so many samples a second: 8,000 or 16,000.
    pub fn new(start: Mono, rate: u32) -> Timeline {
        Timeline {
            start,
            rate,
            written: 0,
            said: Track::new(rate),
            heard: Track::new(rate),
            ready: Vec::new(),
            hushed: Hushed::default(),
        }
    }

    /// Both sides are silent from `at` on, whatever comes, or from what is given already. Told within [`HOLD_BACK`] it is to the sample.
    pub fn hush(&mut self, at: Mono) {
        self.hushed.begin(self.samples_at(at));
    }

    /// Until `at` they are.
    pub fn unhush(&mut self, at: Mono) {
        self.hushed.end(self.samples_at(at));
    }

    /// More has become complete by `at` than can wait: it is to be drained first, or [`Timeline::push`] keeps all of it.
    pub fn is_behind(&self, at: Mono) -> bool {
        self.room_for(self.samples_at(at)) > most_room(self.rate)
    }

    /// Takes a frame. Frames come about in the order of their `at`.
    pub fn push(&mut self, frame: &Frame) {
        let arrived = self.samples_at(frame.at);
        // Whoever drains as often as the rings hold never sees this.
        if self.room_for(arrived) > most_room(self.rate) {
            let mut ready = std::mem::take(&mut self.ready);
            self.give(arrived - ticks(HOLD_BACK, self.rate), usize::MAX, &mut ready);
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
        out.append(&mut std::mem::take(&mut self.ready));
        let arrived = self.samples_at(now);
        for track in [&mut self.said, &mut self.heard] {
            track.release(arrived, self.written);
        }
        let complete = arrived - ticks(HOLD_BACK, self.rate);
        self.give(complete, MOST * room(self.rate), out);
        for track in [&mut self.said, &mut self.heard] {
            track.shrink(self.written);
        }
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
        Losses { concealed_ms: track.concealed.max(0).unsigned_abs() * 1_000 / u64::from(self.rate), ..track.losses }
    }

    fn samples_at(&self, at: Mono) -> i64 {
        ticks(at.since(self.start), self.rate)
    }

    /// Samples that the rings have to hold for a frame that arrived then: the time that is not written, a jump, and the frame.
    fn room_for(&self, arrived: i64) -> i64 {
        arrived - self.written + ticks(AHEAD, self.rate) + ticks(LONGEST_FRAME, self.rate)
    }

    fn give(&mut self, until: i64, most: usize, out: &mut Vec<i16>) {
        let count = usize::try_from(until - self.written).unwrap_or(0).min(most);
        out.reserve(count * 2);
        let (begin, first) = (out.len(), self.written);
        let mut left = count;
        while left > 0 {
            let (said, heard) = (self.said.from(self.written), self.heard.from(self.written));
            let run = left.min(said.len()).min(heard.len());
            for (said, heard) in said[..run].iter_mut().zip(&mut heard[..run]) {
                let take = |s: &mut i16| match std::mem::replace(s, EMPTY) {
                    EMPTY => 0,
                    sample => sample,
                };
                out.extend([take(said), take(heard)]);
            }
            self.written += run as i64;
            left -= run;
        }
        self.hushed.apply(first, &mut out[begin..]);
    }
}

/// Samples that a ring usually holds.
fn room(rate: u32) -> usize {
    RING * (rate / NARROW).max(1) as usize
}

/// And at most.
fn most_room(rate: u32) -> i64 {
    (GROWS * room(rate)) as i64
}

fn ticks(d: Duration, rate: u32) -> i64 {
    i64::try_from(d.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(i64::MAX / 4)
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
    /// Where the first packet begins, and when that was read.
    first: (i64, i64),
    drift: Drift,
}

/// The least and the most by which arrival was after RTP time since `since`. Where they are far apart, packets were read late and all at
/// once, which says nothing of a clock.
#[derive(Clone, Copy, Debug)]
struct Drift {
    since: i64,
    /// Arrivals.
    count: u32,
    least: i64,
    most: i64,
}

impl Drift {
    fn new(since: i64) -> Drift {
        Drift { since, count: 0, least: i64::MAX, most: i64::MIN }
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
    rate: u32,
    ring: Box<[i16]>,
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
    fn new(rate: u32) -> Track {
        Track {
            rate,
            ring: vec![EMPTY; room(rate)].into(),
            anchor: None,
            behind: Vec::new(),
            early: Vec::new(),
            voice: None,
            spare: Vec::new(),
            losses: Losses::default(),
            concealed: 0,
        }
    }

    fn ticks(&self, d: Duration) -> i64 {
        ticks(d, self.rate)
    }

    /// The samples of the ring from there on, to where it turns.
    fn from(&mut self, place: i64) -> &mut [i16] {
        let mask = self.ring.len() - 1;
        &mut self.ring[place as usize & mask..]
    }

    /// Makes the ring hold so many samples, a power of two, of those from `written` on.
    fn resize(&mut self, length: usize, written: i64) {
        let (old, new) = (self.ring.len() - 1, length - 1);
        let mut ring = vec![EMPTY; length].into_boxed_slice();
        for place in (written..).take(length.min(self.ring.len())) {
            ring[place as usize & new] = self.ring[place as usize & old];
        }
        self.ring = ring;
    }

    /// Gives back the memory of a moment that has passed.
    fn shrink(&mut self, written: i64) {
        let least = room(self.rate);
        let mask = self.ring.len() - 1;
        let is_empty = |place: i64| self.ring[place as usize & mask] == EMPTY;
        if self.ring.len() > least && (written..).take(self.ring.len()).skip(least).all(is_empty) {
            self.resize(least, written);
        }
    }

    /// It is decoded sample by sample, each in its place, whatever came before.
    fn is_plain(&self, codec: Codec) -> bool {
        codec.g711().is_some() && self.rate == codec.sample_rate()
    }

    /// Takes a frame, or keeps it until its turn.
    fn push(&mut self, frame: &Frame, arrived: i64, written: i64) {
        let gap = self.anchor_of(frame).map_or(1, |a| sequence_gap(a.sequence, frame.sequence));
        let is_plain = self.is_plain(frame.codec);
        if is_plain || self.early.first().is_some_and(|e| e.frame.ssrc != frame.ssrc) {
            self.release_all(written);
        }
        if is_plain || gap <= 1 {
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
            let waited = self.early.iter().any(|e| now - e.arrived >= self.ticks(PATIENCE));
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

    /// The time line that a frame is on. Both laws of G.711 are on one, where they are decoded as they come.
    fn anchor_of(&self, frame: &Frame) -> Option<Anchor> {
        let same = |codec: Codec| codec == frame.codec || (self.is_plain(codec) && self.is_plain(frame.codec));
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
        let at = anchor.at + self.samples_of(frame.codec, timestamp_gap(anchor.timestamp, frame.timestamp));
        if !self.is_plain(frame.codec) && gap <= 0 {
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
        if let Some(law) = frame.codec.g711().filter(|_| self.is_plain(frame.codec)) {
            law.decode_all(&frame.payload, &mut samples);
            let length = samples.len() as i64;
            return Sound { samples, back: 0, length };
        }
        let length = self.samples_of(frame.codec, i32::try_from(frame.codec.ticks(&frame.payload)).unwrap_or(0));
        let rate = self.rate;
        let voice = self.voice.get_or_insert_with(|| Box::new(Voice::new(frame.codec, rate)));
        let back = voice.behind();
        if voice.decode(&frame.payload, &mut samples).is_err() {
            self.concealed += length;
        }
        Sound { samples, back, length }
    }

    /// Before a pause in a voice, what the change of rate holds back of it.
    fn rest_of_voice(&mut self, anchor: &Anchor, at: i64, written: i64) {
        let end = anchor.at + anchor.length;
        let Some(voice) = self.voice.as_mut().filter(|_| at - end >= i64::from(self.rate / 50)) else { return };
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
                self.fill_in(at, &sound.samples, arrived, written);
            }
            return Some(sound.samples);
        }
        if sound.length == 0 {
            // A key press or comfort noise: heard of, but no sound.
            anchor.sequence = frame.sequence;
            self.anchor = Some(anchor);
            return Some(sound.samples);
        }
        let at = at - self.settle(&mut anchor, at, arrived, written);
        if at - arrived > self.ticks(AHEAD) {
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

    /// A packet can't come before it is spoken. Where the first ones of a source do, by RTP time, they were read late and all at once: what
    /// is placed of it moves back, at most to what is written. By how much it does.
    fn settle(&mut self, anchor: &mut Anchor, at: i64, arrived: i64, written: i64) -> i64 {
        let (began, read) = anchor.first;
        let is_new = arrived - read < i64::from(self.rate);
        let by = (at - arrived).min(began - written);
        if !is_new || at - arrived <= self.ticks(TOLERANCE) || by <= 0 {
            return 0;
        }
        let mask = self.ring.len() - 1;
        for place in began..(anchor.at + anchor.length).min(written + self.ring.len() as i64) {
            let sample = std::mem::replace(&mut self.ring[place as usize & mask], EMPTY);
            let slot = &mut self.ring[(place - by) as usize & mask];
            if *slot == EMPTY {
                *slot = sample;
            }
        }
        anchor.first.0 -= by;
        anchor.at -= by;
        by
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
        let at = arrived.max(written);
        self.set_anchor(frame, at, sound.length, (at - sound.back, arrived));
        self.place(at - sound.back, &sound.samples, written);
    }

    fn set_anchor(&mut self, frame: &Frame, at: i64, length: i64, first: (i64, i64)) {
        self.anchor = Some(Anchor {
            ssrc: frame.ssrc,
            codec: frame.codec,
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            at,
            length,
            first,
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
        let (length, rate) = (sound.length, self.rate);
        self.behind.push(Behind { arrived, timestamp: frame.timestamp, sound });
        let Some(first) = self.behind.first() else { return };
        let (began, base) = (first.arrived, first.timestamp);
        if let Some(anchor) = &mut self.anchor {
            // The sequence goes on, and time with it, so that the next packet is judged by the same clock.
            anchor.at += samples_of(frame.codec, timestamp_gap(anchor.timestamp, frame.timestamp), rate);
            anchor.sequence = frame.sequence;
            anchor.timestamp = frame.timestamp;
        }
        if arrived - began < self.ticks(DECIDE) {
            return;
        }
        self.losses.anchors += 1;
        let began = began.max(written);
        for kept in std::mem::take(&mut self.behind) {
            let at = began + samples_of(frame.codec, timestamp_gap(base, kept.timestamp), rate);
            self.place(at - kept.sound.back, &kept.sound.samples, written);
        }
        let at = began + samples_of(frame.codec, timestamp_gap(base, frame.timestamp), rate);
        self.set_anchor(frame, at, length, (began, arrived));
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
    fn fill_in(&mut self, at: i64, samples: &[i16], arrived: i64, written: i64) {
        if at - arrived > self.ticks(AHEAD) {
            // Its time is none of this source's.
            self.losses.late += 1;
        } else if at + samples.len() as i64 <= written {
            // Concealed already, when the numbers left it out.
            self.losses.late += 1;
        } else {
            self.concealed -= self.place(at, samples, written);
        }
    }

    /// Samples of the recording that so many ticks of a codec's RTP clock last.
    fn samples_of(&self, codec: Codec, ticks: i32) -> i64 {
        samples_of(codec, ticks, self.rate)
    }

    /// Puts samples where nothing is yet; how many that were.
    fn place(&mut self, at: i64, samples: &[i16], written: i64) -> i64 {
        let end = at + samples.len() as i64 - written;
        if end > self.ring.len() as i64 {
            self.resize((end.min(most_room(self.rate)) as usize).next_power_of_two(), written);
        }
        // Its length is a power of two, and this is done for every sample.
        let (room, mask) = (self.ring.len() as i64, self.ring.len() - 1);
        let mut placed = 0;
        for (place, sample) in (at..).zip(samples) {
            if place < written || place >= written + room {
                continue;
            }
            let slot = &mut self.ring[place as usize & mask];
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
        let tolerance = self.ticks(TOLERANCE);
        let spread = self.ticks(HOLD_BACK);
        let drift = &mut anchor.drift;
        drift.count += 1;
        drift.least = drift.least.min(after);
        drift.most = drift.most.max(after);
        if arrived - drift.since < i64::from(self.rate) || drift.count < ENOUGH {
            return;
        }
        let shift = match (drift.least, drift.most) {
            (least, most) if most - least > spread => 0,
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
mod tests;
