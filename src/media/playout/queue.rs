//! Packets that wait for their turn, in the order of their sequence numbers, and what is known of those that came.

use std::collections::VecDeque;

use crate::rtp::{self, Fields};

/// Packets that wait at most: a second of the shortest ones. The oldest gives way.
pub const MOST_PACKETS: usize = 100;
/// Payload of a packet at most; 60 ms of L16 at 16 kHz are 1,920 bytes.
pub const MOST_BYTES: usize = 2_048;
/// A gap up to this many packets is loss (RFC 3550 A.1).
const MAX_DROPOUT: i16 = 3_000;
/// A packet up to this many behind is late, not a new beginning (RFC 3550 A.1).
const MAX_MISORDER: i16 = 100;

/// What a packet brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sound,
    /// The sender is silent from here on: noise parameters (RFC 3389).
    Noise,
    /// It takes a sequence number and has no sound: a key press (RFC 4733), or nothing at all.
    Event,
}

/// A packet in the queue. Numbers do not wrap.
#[derive(Debug)]
pub struct Waiting {
    pub sequence: i64,
    /// In ticks of the codec's RTP clock.
    pub timestamp: i64,
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// What a packet's numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In order, or after a gap, or into one.
    At {
        sequence: i64,
        timestamp: i64,
        reordered: bool,
    },
    /// Its turn is over.
    Late {
        timestamp: i64,
    },
    Duplicate,
    /// The source counts anew from here.
    Anew,
    /// Far from all others, and the first one there: most likely damaged.
    Stray,
}

/// Numbers of the source that is being played.
#[derive(Debug)]
struct Source {
    ssrc: u32,
    newest: i64,
    timestamp: i64,
    /// Bit `n`: the packet `n` before the newest has come.
    seen: u128,
    /// The newest whose turn is over.
    passed: Option<i64>,
    /// The number that would follow on the last stray one.
    after_stray: Option<u16>,
}

#[derive(Debug, Default)]
pub struct Queue {
    packets: VecDeque<Waiting>,
    source: Option<Source>,
    /// Buffers of packets that were played, for those to come.
    spare: Vec<Vec<u8>>,
}

impl Queue {
    /// Where a packet belongs. Says only, changes nothing but what is remembered of strays.
    pub fn place(&mut self, fields: &Fields) -> Place {
        let Some(source) = &mut self.source else { return Place::Anew };
        if source.ssrc != fields.ssrc {
            return Place::Anew;
        }
        let gap = rtp::sequence_gap(source.newest as u16, fields.sequence);
        if !(-MAX_MISORDER..MAX_DROPOUT).contains(&gap) {
            if source.after_stray == Some(fields.sequence) {
                return Place::Anew;
            }
            source.after_stray = Some(fields.sequence.wrapping_add(1));
            return Place::Stray;
        }
        source.after_stray = None;
        let sequence = source.newest + i64::from(gap);
        let timestamp = source.timestamp + i64::from(rtp::timestamp_gap(source.timestamp as u32, fields.timestamp));
        if gap <= 0 && source.seen & (1 << -gap) != 0 {
            Place::Duplicate
        } else if source.passed.is_some_and(|passed| sequence <= passed) {
            Place::Late { timestamp }
        } else {
            Place::At { sequence, timestamp, reordered: gap < 0 }
        }
    }

    /// Forgets everything and takes the numbers of this packet, which is to be put in next.
    pub fn restart(&mut self, fields: &Fields) -> (i64, i64) {
        while self.pop().is_some() {}
        let (sequence, timestamp) = (i64::from(fields.sequence), i64::from(fields.timestamp));
        self.source = Some(Source { ssrc: fields.ssrc, newest: sequence, timestamp, seen: 0, passed: None, after_stray: None });
        (sequence, timestamp)
    }

    /// Remembers that this one came. Time goes on with sound and noise alone, whose timestamps are checked against their arrival: what an
    /// event's says may be anything, and must not add up.
    pub fn seen(&mut self, kind: Kind, fields: &Fields) {
        let Some(source) = &mut self.source else { return };
        let gap = rtp::sequence_gap(source.newest as u16, fields.sequence);
        if gap > 0 {
            source.seen = source.seen.checked_shl(gap.unsigned_abs().into()).unwrap_or(0) | 1;
            source.newest += i64::from(gap);
            if kind != Kind::Event {
                source.timestamp += i64::from(rtp::timestamp_gap(source.timestamp as u32, fields.timestamp));
            }
        } else {
            source.seen |= 1u128.checked_shl(gap.unsigned_abs().into()).unwrap_or(0);
        }
    }

    /// Puts a packet in its place. What had to give way is returned: the oldest.
    pub fn insert(&mut self, sequence: i64, timestamp: i64, kind: Kind, payload: &[u8]) -> Option<Kind> {
        let mut gone = None;
        if self.packets.len() >= MOST_PACKETS {
            if self.first().is_some_and(|first| sequence < first.sequence) {
                return Some(kind);
            }
            gone = self.pop();
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(&payload[..payload.len().min(MOST_BYTES)]);
        let index = self.packets.iter().rposition(|p| p.sequence < sequence).map_or(0, |before| before + 1);
        self.packets.insert(index, Waiting { sequence, timestamp, kind, payload: bytes });
        gone
    }

    pub fn first(&self) -> Option<&Waiting> {
        self.packets.front()
    }

    pub fn last(&self) -> Option<&Waiting> {
        self.packets.back()
    }

    /// How many numbers are missing before the first packet. None are before the very first.
    pub fn missing(&self) -> u64 {
        match (self.source.as_ref().and_then(|source| source.passed), self.packets.front()) {
            (Some(passed), Some(first)) => u64::try_from(first.sequence - passed - 1).unwrap_or(0),
            (None, _) | (_, None) => 0,
        }
    }

    /// The turn of those that are missing before the first packet is over; how many they are.
    pub fn pass_missing(&mut self) -> u64 {
        let missing = self.missing();
        if let (Some(source), Some(first)) = (&mut self.source, self.packets.front()) {
            source.passed = source.passed.map(|passed| passed.max(first.sequence - 1));
        }
        missing
    }

    /// Takes the first packet out for [`Queue::done`]; the turn of all up to it is over.
    pub fn take(&mut self) -> Option<Waiting> {
        let first = self.packets.pop_front()?;
        if let Some(source) = &mut self.source {
            source.passed = Some(source.passed.map_or(first.sequence, |passed| passed.max(first.sequence)));
        }
        Some(first)
    }

    /// Gives a packet's buffer back.
    pub fn done(&mut self, packet: Waiting) {
        if self.spare.len() < SPARE {
            self.spare.push(packet.payload);
        }
    }

    /// Drops the first packet.
    pub fn pop(&mut self) -> Option<Kind> {
        let first = self.take()?;
        let kind = first.kind;
        self.done(first);
        Some(kind)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Packets with sound that wait.
    pub fn sounds(&self) -> u64 {
        self.packets.iter().filter(|p| p.kind == Kind::Sound).count() as u64
    }
}

/// Empty buffers that are kept: what waits on a usual network.
const SPARE: usize = 4;
