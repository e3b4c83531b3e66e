//! What a leg is sent, as one continuous RTP stream: one SSRC, sequence and timestamps without a seam, whatever feeds it (a prompt,
//! music, one agent, then another).
//!
//! Packets of a peer keep their distances: what is lost on the way in is a gap on the way out, a late packet stays late. At each
//! change of source the stream goes on one packet later, at the time that has passed, with the marker bit (RFC 3550 §5.1, RFC 3551
//! §4.1). What is left out on purpose (telephone-event to a peer that has none, comfort noise) leaves no gap, so that it is not taken
//! for loss.

use crate::clock::Mono;
use crate::ids::LegId;
use crate::rtp::{Fields, is_newer, is_newer_timestamp, sequence_gap, timestamp_gap};

use super::PlayId;

/// A source whose time jumps by more seconds than this against its arrival has begun anew, though under the same SSRC: above any jitter.
const JUMP: u32 = 2;

/// Packets by which the start of a splice follows its newest packet: more than any reordering.
const FOLLOW: i16 = 4_096;

/// Ticks of a clock in a time.
pub fn ticks(clock_rate: u32, later: Mono, earlier: Mono) -> u32 {
    (later.since(earlier).as_micros() * u128::from(clock_rate) / 1_000_000) as u32
}

/// How a source's numbers become ours.
#[derive(Clone, Copy, Debug)]
struct Splice {
    leg: LegId,
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Packets before this one, in the source's numbers, are from before the splice. Follows at a distance, so that it is never half
    /// the numbers' circle behind.
    first: u16,
}

#[derive(Clone, Copy, Debug)]
enum Feed {
    Nothing,
    Leg(Splice),
    Own(Own),
}

/// Sound that is encoded here, packet by packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Play(PlayId),
    /// What others say, decoded and summed. Who they are may change: the stream goes on.
    Mix,
    /// Keys as tones.
    Keys,
}

/// What a packet to relay is, as far as its time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sound of this many ticks.
    Sound(u32),
    /// telephone-event: its timestamp stays where the press began.
    Event,
}

/// The stream that a leg is sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub ssrc: u32,
    next_sequence: u16,
    /// Of the newest packet, with its length in ticks and when it was sent.
    timestamp: u32,
    length: u32,
    sent_at: Option<Mono>,
    feed: Feed,
    /// Of timestamps, in Hz.
    clock_rate: u32,
    pub packets: u64,
    pub octets: u64,
}

impl Outgoing {
    /// First sequence number and timestamp are chance (RFC 3550 §5.1).
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Outgoing {
        Outgoing {
            ssrc,
            next_sequence: sequence,
            timestamp,
            length: 0,
            sent_at: None,
            feed: Feed::Nothing,
            clock_rate: 8_000,
            packets: 0,
            octets: 0,
        }
    }

    /// The stream goes on by the clock of another codec, with the next packet of whatever feeds it. Timestamps lose their meaning across
    /// the change (RFC 7160 §4 would have a new SSRC; phones follow the payload type).
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate {
            self.clock_rate = clock_rate;
            self.feed = Feed::Nothing;
            self.length = 0;
        }
    }

    /// The numbers that a packet of `leg` gets, `None` if it is from before the splice. `packet` says the payload type as it shall be.
    #[inline]
    pub fn relay(&mut self, leg: LegId, packet: &Fields, kind: Kind, restarted: bool, now: Mono) -> Option<Fields> {
        let known = match self.feed {
            Feed::Leg(s) if s.leg == leg && s.ssrc == packet.ssrc && !restarted && !self.has_jumped(&s, packet, kind, now) => {
                Some(s)
            }
            Feed::Leg(_) | Feed::Nothing | Feed::Own(_) => None,
        };
        let (splice, marker) = match known {
            Some(splice) => (splice, packet.marker),
            None => {
                let splice = Splice {
                    leg,
                    ssrc: packet.ssrc,
                    sequence_offset: self.next_sequence.wrapping_sub(packet.sequence),
                    timestamp_offset: self.time_for_new(now).wrapping_sub(packet.timestamp),
                    first: packet.sequence,
                };
                self.feed = Feed::Leg(splice);
                (splice, true)
            }
        };
        let since = sequence_gap(splice.first, packet.sequence);
        if since < 0 {
            return None;
        }
        if since > 2 * FOLLOW
            && let Feed::Leg(splice) = &mut self.feed
        {
            splice.first = splice.first.wrapping_add(FOLLOW as u16);
        }
        let sequence = packet.sequence.wrapping_add(splice.sequence_offset);
        let timestamp = packet.timestamp.wrapping_add(splice.timestamp_offset);
        self.note(sequence, timestamp, kind, now);
        Some(Fields { marker, payload_type: packet.payload_type, sequence, timestamp, ssrc: self.ssrc })
    }

    /// A packet of the source is left out: the following close up.
    pub fn skip(&mut self, leg: LegId, ssrc: u32, sequence: u16) {
        if let Feed::Leg(s) = &mut self.feed
            && s.leg == leg
            && s.ssrc == ssrc
        {
            let newest = self.next_sequence.wrapping_sub(1).wrapping_sub(s.sequence_offset);
            if is_newer(newest, sequence) {
                s.sequence_offset = s.sequence_offset.wrapping_sub(1);
                s.first = sequence.wrapping_add(1);
            }
        }
    }

    /// The source pauses, or changes: what comes next begins anew, even if it has the same numbers.
    pub fn splice_anew(&mut self) {
        self.feed = Feed::Nothing;
    }

    /// The numbers of the next packet of our own, of `length` ticks. `late`: the pace was lost, time has passed.
    pub fn own(&mut self, own: Own, payload_type: u8, length: u32, late: bool, now: Mono) -> Fields {
        let goes_on = !late && matches!(self.feed, Feed::Own(before) if before == own);
        let timestamp = if goes_on { self.timestamp.wrapping_add(self.length) } else { self.time_for_new(now) };
        let sequence = self.next_sequence;
        self.feed = Feed::Own(own);
        self.note(sequence, timestamp, Kind::Sound(length), now);
        Fields { marker: !goes_on, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    /// The numbers of a telephone-event packet of our own: `began` is what this gave for the first of the press.
    pub fn event(&mut self, payload_type: u8, began: Option<u32>, now: Mono) -> Fields {
        let timestamp = began.unwrap_or_else(|| self.time_for_new(now));
        let sequence = self.next_sequence;
        self.feed = Feed::Nothing;
        self.note(sequence, timestamp, Kind::Event, now);
        Fields { marker: began.is_none(), payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    /// A packet went out.
    #[inline]
    pub fn sent(&mut self, payload: usize) {
        self.packets += 1;
        self.octets += payload as u64;
    }

    /// The timestamp that belongs to `now`, for a sender report.
    pub fn timestamp_at(&self, now: Mono) -> u32 {
        self.timestamp.wrapping_add(self.sent_at.map_or(0, |at| ticks(self.clock_rate, now, at)))
    }

    /// Where a new source's time begins: after the last packet, and after the time that has passed.
    fn time_for_new(&self, now: Mono) -> u32 {
        self.timestamp.wrapping_add(self.sent_at.map_or(0, |at| ticks(self.clock_rate, now, at).max(self.length)))
    }

    fn has_jumped(&self, splice: &Splice, packet: &Fields, kind: Kind, now: Mono) -> bool {
        let timestamp = packet.timestamp.wrapping_add(splice.timestamp_offset);
        let sequence = packet.sequence.wrapping_add(splice.sequence_offset);
        let newest = self.next_sequence.wrapping_sub(1);
        match (kind, self.sent_at) {
            (Kind::Sound(_), Some(at)) if is_newer(newest, sequence) => {
                let due = self.timestamp.wrapping_add(ticks(self.clock_rate, now, at));
                timestamp_gap(due, timestamp).checked_abs().is_none_or(|gap| gap.unsigned_abs() > self.clock_rate * JUMP)
            }
            (Kind::Sound(_) | Kind::Event, _) => false,
        }
    }

    fn note(&mut self, sequence: u16, timestamp: u32, kind: Kind, now: Mono) {
        let newest = self.next_sequence.wrapping_sub(1);
        if is_newer(newest, sequence) || self.sent_at.is_none() {
            self.next_sequence = sequence.wrapping_add(1);
        }
        if self.sent_at.is_none() || is_newer_timestamp(self.timestamp, timestamp) {
            self.timestamp = timestamp;
            self.length = match kind {
                Kind::Sound(length) => length,
                Kind::Event => 0,
            };
            self.sent_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LegId = LegId(1);
    const B: LegId = LegId(2);
    const SOUND: Kind = Kind::Sound(160);

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Fields {
        Fields { marker: false, payload_type: 0, sequence, timestamp, ssrc }
    }

    fn numbers(f: Option<Fields>) -> Option<(u16, u32, bool)> {
        f.map(|f| (f.sequence, f.timestamp, f.marker))
    }

    fn ms(n: u64) -> Mono {
        Mono::from_millis(n)
    }

    #[test]
    fn loss_and_reordering_keep_their_distances() {
        let mut out = Outgoing::new(9, 65_534, 1_000);
        let mut go = |s: u16, t: u32, at| numbers(out.relay(A, &packet(5, s, t), SOUND, false, ms(at)));
        assert_eq!(go(100, 7_000, 0), Some((65_534, 1_000, true)));
        assert_eq!(go(101, 7_160, 20), Some((65_535, 1_160, false)));
        assert_eq!(go(104, 7_640, 80), Some((2, 1_640, false)));
        assert_eq!(go(103, 7_480, 81), Some((1, 1_480, false)));
        assert_eq!(go(99, 6_840, 82), None, "from before the splice");
        assert_eq!(go(105, 7_800, 100), Some((3, 1_800, false)));
    }

    #[test]
    fn from_prompt_to_agent_to_music_to_another_agent_is_one_stream() {
        let mut out = Outgoing::new(9, 10, 0);
        let one = out.own(Own::Play(PlayId(1)), 0, 160, false, ms(0));
        let two = out.own(Own::Play(PlayId(1)), 0, 160, false, ms(20));
        assert_eq!((one.sequence, one.timestamp, one.marker), (10, 0, true));
        assert_eq!((two.sequence, two.timestamp, two.marker), (11, 160, false));
        // 100 ms later an agent.
        let three = numbers(out.relay(A, &packet(5, 40_000, 77), SOUND, false, ms(120)));
        assert_eq!(three, Some((12, 960, true)));
        assert_eq!(numbers(out.relay(A, &packet(5, 40_001, 237), SOUND, false, ms(140))), Some((13, 1_120, false)));
        // Music at once: not before the last packet is over.
        let music = out.own(Own::Play(PlayId(2)), 0, 160, false, ms(141));
        assert_eq!((music.sequence, music.timestamp, music.marker), (14, 1_280, true));
        assert_eq!(numbers(out.relay(B, &packet(6, 3, 99_999), SOUND, false, ms(161))), Some((15, 1_440, true)));
        // The same phone with a new SSRC.
        assert_eq!(numbers(out.relay(B, &packet(7, 500, 1), SOUND, false, ms(181))), Some((16, 1_600, true)));
    }

    #[test]
    fn a_source_whose_clock_jumps_is_spliced_anew() {
        let mut out = Outgoing::new(9, 10, 0);
        out.relay(A, &packet(5, 1, 0), SOUND, false, ms(0));
        let jumped = numbers(out.relay(A, &packet(5, 2, 3_000_000_000), SOUND, false, ms(20)));
        assert_eq!(jumped, Some((11, 160, true)));
        let restarted = numbers(out.relay(A, &packet(5, 60_000, 3_000_000_160), SOUND, true, ms(40)));
        assert_eq!(restarted, Some((12, 320, true)));
        // Five seconds of a sender that is silent in pauses are no jump.
        assert_eq!(numbers(out.relay(A, &packet(5, 60_001, 3_000_040_160), SOUND, false, ms(5_040))), Some((13, 40_320, false)));
    }

    #[test]
    fn a_long_key_press_does_not_move_time() {
        let mut out = Outgoing::new(9, 10, 0);
        out.relay(A, &packet(5, 1, 0), SOUND, false, ms(0));
        for i in 0..250u16 {
            let f = out.relay(A, &packet(5, 2 + i, 160), Kind::Event, false, ms(20 + u64::from(i) * 20)).unwrap();
            assert_eq!((f.sequence, f.timestamp), (11 + i, 160));
        }
        let after = out.relay(A, &packet(5, 252, 40_160), SOUND, false, ms(5_020));
        assert_eq!(numbers(after), Some((261, 40_160, false)));
    }

    #[test]
    fn an_hour_long_call_is_relayed_to_its_end() {
        let mut out = Outgoing::new(9, 10, 0);
        for n in 0..180_000u32 {
            let at = ms(u64::from(n) * 20);
            let f = numbers(out.relay(A, &packet(5, n as u16, n * 160), SOUND, false, at));
            assert_eq!(f, Some((10u16.wrapping_add(n as u16), n * 160, n == 0)));
        }
    }

    #[test]
    fn what_is_left_out_leaves_no_gap_and_loss_still_does() {
        let mut out = Outgoing::new(9, 10, 0);
        let mut sequences = Vec::new();
        for s in [1u16, 2, 3, 5, 6] {
            if s == 2 || s == 5 {
                out.skip(A, 5, s);
            } else {
                sequences
                    .push(out.relay(A, &packet(5, s, u32::from(s) * 160), SOUND, false, ms(u64::from(s) * 20)).unwrap().sequence);
            }
        }
        // 2 and 5 were left out, 4 was lost.
        assert_eq!(sequences, [10, 11, 13]);
    }
}
