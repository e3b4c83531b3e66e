//! What one source's packets tell: sequence validation (RFC 3550 A.1), loss (A.3), interarrival jitter (A.8), bursts (RFC 3611 §4.7.2),
//! and which packets come too late for a jitter buffer.
//!
//! Where no jitter buffer is (packets are relayed), lateness is judged against one that might be at the listener's: the least delay of
//! late, plus [`BUFFER_MS`]. Where there is one, it tells what it discards, and the estimate is off.
//!
//! One departure: the first packet counts at once instead of being on probation, because the latch has already decided that the
//! source is the peer, and the first syllable should not be lost.

use std::time::Duration;

use crate::clock::Mono;

use super::bursts::{Bursts, Spread};
use super::sequence::{sequence_gap, timestamp_gap};

/// A gap up to this many packets is loss (RFC 3550 A.1).
const MAX_DROPOUT: i16 = 3_000;
/// A packet up to this many behind is late, not a restart (RFC 3550 A.1).
const MAX_MISORDER: i16 = 100;

/// What a jitter buffer of a phone can wait for a packet, in ms. Chosen by feel: most adapt up to this, few beyond.
pub const BUFFER_MS: u32 = 100;
/// So many late packets in a row mean that the way has become longer: a jitter buffer goes along, and so does the estimate.
const LONGER: u8 = 10;
/// After a pause as long as this the delay is measured anew: the sender's clock may have stood still.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest packet, in ms, whose length is believed.
const LONGEST_PACKET_MS: u32 = 120;

/// What a sequence number means for its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In order, or after a gap.
    Next,
    /// The first packet, or the second in a row after a jump: the source began anew.
    Restarted,
    /// Behind the newest: reordered or doubled.
    Late,
    /// Far from everything. Not counted and not to be used; if the next one follows on it, the source has restarted.
    Stray,
}

/// Statistics of a source, from its first packet.
#[derive(Clone, Debug)]
pub struct Reception {
    pub ssrc: u32,
    /// Clock of the timestamps, in Hz.
    clock_rate: u32,
    newest: u16,
    /// Counts in 65,536 how often the sequence wrapped.
    cycles: u32,
    base: u16,
    /// The number that would follow on the last stray one.
    after_stray: Option<u16>,
    received: u64,
    /// Of runs before a restart.
    expected_before: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Arrival less timestamp, in ticks, wrapping.
    transit: Option<u32>,
    /// In ticks, times 16.
    jitter: u32,
    bursts: Bursts,
    /// No jitter buffer tells what it discards.
    pub estimates_discards: bool,
    /// The least transit of late, with when the last packet came, and how many in a row were too late.
    least: Option<(u32, Mono)>,
    late_in_row: u8,
    /// Of the newest packet; and the length of one, in ticks.
    timestamp: Option<u32>,
    packet_ticks: u32,
}

impl Reception {
    /// From a source's first packet, which is to be given to [`Reception::packet`] like all others.
    pub fn new(ssrc: u32, clock_rate: u32, first: u16) -> Reception {
        Reception {
            ssrc,
            clock_rate,
            newest: first.wrapping_sub(1),
            cycles: 0,
            base: first,
            after_stray: Some(first),
            received: 0,
            expected_before: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter: 0,
            bursts: Bursts::default(),
            estimates_discards: true,
            least: None,
            late_in_row: 0,
            timestamp: None,
            packet_ticks: 0,
        }
    }

    /// Takes a packet. `timestamp` is `None` for packets whose time says nothing about delay (telephone-event repeats its first one).
    pub fn packet(&mut self, sequence: u16, timestamp: Option<u32>, now: Mono) -> Verdict {
        let before = self.newest;
        let verdict = self.sequence(sequence);
        let gap = sequence_gap(before, sequence);
        let behind = match verdict {
            Verdict::Stray => return verdict,
            Verdict::Next => {
                self.bursts.newest(gap.unsigned_abs().into());
                0
            }
            Verdict::Restarted => {
                self.bursts.restart();
                self.bursts.newest(1);
                self.least = None;
                self.timestamp = None;
                0
            }
            Verdict::Late => {
                let behind = gap.unsigned_abs().into();
                self.bursts.late(behind);
                behind
            }
        };
        self.received += 1;
        if let Some(timestamp) = timestamp {
            let transit = self.timing(timestamp, now);
            if self.estimates_discards && self.is_too_late(transit, now) {
                self.bursts.discard(behind);
            }
            if verdict == Verdict::Next && gap == 1 {
                self.measure_packet(timestamp);
            }
            if verdict != Verdict::Late {
                self.timestamp = Some(timestamp);
            }
        }
        verdict
    }

    /// A jitter buffer had no use for this packet any more.
    pub fn discarded(&mut self, sequence: u16) {
        let behind = sequence_gap(sequence, self.newest);
        if let Ok(behind) = u32::try_from(behind) {
            self.bursts.discard(behind);
        }
    }

    fn measure_packet(&mut self, timestamp: u32) {
        let ticks = self.timestamp.map_or(0, |last| timestamp_gap(last, timestamp));
        let longest = self.clock_rate / 1_000 * LONGEST_PACKET_MS;
        // A pause (silence suppression) is longer than a packet.
        if let Ok(ticks @ 1..) = u32::try_from(ticks)
            && ticks <= longest
        {
            self.packet_ticks = ticks;
        }
    }

    /// Whether a jitter buffer could not have waited for a packet of this transit.
    fn is_too_late(&mut self, transit: u32, now: Mono) -> bool {
        let Some((least, last)) = self.least else {
            self.least = Some((transit, now));
            return false;
        };
        let over = timestamp_gap(least, transit);
        let late = over > (self.clock_rate / 1_000 * BUFFER_MS) as i32;
        self.late_in_row = if late { self.late_in_row.saturating_add(1) } else { 0 };
        let least = if over < 0 || self.late_in_row >= LONGER || now.since(last) >= PAUSE {
            self.late_in_row = 0;
            transit
        } else {
            // Follows a clock that is slower than ours: within some seconds, which is far slower than jitter.
            least.wrapping_add((over >> 8) as u32)
        };
        self.least = Some((least, now));
        late && now.since(last) < PAUSE
    }

    fn sequence(&mut self, sequence: u16) -> Verdict {
        let gap = sequence_gap(self.newest, sequence);
        if self.after_stray == Some(sequence) {
            if self.received > 0 {
                self.expected_before += self.expected_now();
            }
            self.base = sequence;
            self.newest = sequence;
            self.cycles = 0;
            self.after_stray = None;
            self.transit = None;
            return Verdict::Restarted;
        }
        if (1..MAX_DROPOUT).contains(&gap) {
            if sequence < self.newest {
                self.cycles = self.cycles.wrapping_add(1);
            }
            self.newest = sequence;
            self.after_stray = None;
            Verdict::Next
        } else if (-MAX_MISORDER..=0).contains(&gap) {
            Verdict::Late
        } else {
            self.after_stray = Some(sequence.wrapping_add(1));
            Verdict::Stray
        }
    }

    /// Counts jitter; the packet's transit: arrival less timestamp, in ticks.
    fn timing(&mut self, timestamp: u32, now: Mono) -> u32 {
        let ticks = (u128::from(now.as_micros()) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = ticks.wrapping_sub(timestamp);
        if let Some(last) = self.transit {
            // A jump of more than 10 s is a new time base, not jitter.
            let d = (transit.wrapping_sub(last) as i32).unsigned_abs();
            if d < self.clock_rate * 10 {
                self.jitter = self.jitter + d - ((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
        transit
    }

    /// Clock of the timestamps, in Hz.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// How loss is spread, over all runs.
    pub fn spread(&self) -> Spread {
        self.bursts.spread()
    }

    /// The length of a packet, in ms; 20 until it is known.
    pub fn packet_ms(&self) -> f32 {
        if self.packet_ticks == 0 { 20.0 } else { self.packet_ticks as f32 * 1_000.0 / self.clock_rate as f32 }
    }

    fn expected_now(&self) -> u64 {
        ((u64::from(self.cycles) << 16) + u64::from(self.newest) + 1).saturating_sub(u64::from(self.base))
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that the sequence numbers tell of.
    pub fn expected(&self) -> u64 {
        if self.received == 0 { 0 } else { self.expected_before + self.expected_now() }
    }

    /// Extended highest sequence number, as a report block wants it.
    pub fn extended_newest(&self) -> u32 {
        (self.cycles << 16) | u32::from(self.newest)
    }

    /// Interarrival jitter in ticks.
    pub fn jitter(&self) -> u32 {
        self.jitter >> 4
    }

    pub fn jitter_ms(&self) -> f32 {
        self.jitter as f32 / 16.0 * 1_000.0 / self.clock_rate as f32
    }

    /// Cumulative loss, clamped to the 24 bits of a report block; negative where packets came twice.
    pub fn lost(&self) -> i32 {
        let lost = self.expected() as i64 - self.received as i64;
        lost.clamp(-0x80_0000, 0x7f_ffff) as i32
    }

    /// The share lost since the last call, in 256ths (A.3).
    pub fn fraction_lost(&mut self) -> u8 {
        let (expected, received) = (self.expected(), self.received);
        let expected_now = expected - self.expected_prior.min(expected);
        let received_now = received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = received;
        if expected_now <= received_now { 0 } else { ((expected_now - received_now) * 256 / expected_now).min(255) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(numbers: &[u16]) -> (Reception, Vec<Verdict>) {
        let mut r = Reception::new(1, 8_000, numbers[0]);
        let verdicts = numbers.iter().map(|n| r.packet(*n, None, Mono::ZERO)).collect();
        (r, verdicts)
    }

    #[test]
    fn loss_reordering_and_doubles_are_counted_over_the_wrap() {
        let (mut r, verdicts) = run(&[65_533, 65_534, 0, 65_535, 3, 3, 4]);
        use Verdict::*;
        assert_eq!(verdicts, [Restarted, Next, Next, Late, Next, Late, Next]);
        // 65533..=4 are 8; 7 came, one of them twice: 1 and 2 are missing.
        assert_eq!((r.expected(), r.received(), r.lost()), (8, 7, 1));
        assert_eq!(r.fraction_lost(), 32);
        assert_eq!(r.fraction_lost(), 0);
        assert_eq!(r.extended_newest(), 0x1_0004);
    }

    #[test]
    fn a_far_number_is_stray_until_the_next_follows_on_it() {
        use Verdict::*;
        let (r, verdicts) = run(&[10, 11, 40_000, 12, 50_000, 50_001, 50_002]);
        assert_eq!(verdicts, [Restarted, Next, Stray, Next, Stray, Restarted, Next]);
        assert_eq!((r.expected(), r.received(), r.lost()), (5, 5, 0));
    }

    /// A packet of 20 ms each, `late` of them as many ms late.
    fn paced(late: &[u64]) -> Reception {
        let mut r = Reception::new(1, 16_000, 0);
        for (i, late) in late.iter().enumerate() {
            r.packet(i as u16, Some(i as u32 * 320), Mono::from_millis(i as u64 * 20 + late));
        }
        r
    }

    #[test]
    fn what_a_jitter_buffer_could_not_wait_for_counts_as_discarded() {
        let mut late = vec![3; 200];
        for i in [50, 51, 120] {
            late[i] = 150;
        }
        late[160] = 90;
        let r = paced(&late);
        assert_eq!((r.spread().discarded, r.spread().lost, r.packet_ms()), (3, 0, 20.0));
        let mut buffered = Reception { estimates_discards: false, ..Reception::new(1, 16_000, 0) };
        for (i, late) in late.iter().enumerate() {
            buffered.packet(i as u16, Some(i as u32 * 320), Mono::from_millis(i as u64 * 20 + late));
        }
        assert_eq!(buffered.spread().discarded, 0);
        buffered.discarded(198);
        buffered.discarded(198);
        buffered.discarded(900);
        assert_eq!(buffered.spread().discarded, 1);
    }

    #[test]
    fn a_longer_way_a_slow_clock_and_a_pause_are_gone_along_with() {
        let longer: Vec<u64> = (0..500).map(|i| if i < 100 { 0 } else { 200 }).collect();
        assert_eq!(paced(&longer).spread().discarded, u64::from(LONGER));
        // 1,000 ppm: 200 ms in 10,000 packets.
        let slow: Vec<u64> = (0..10_000).map(|i| i / 50).collect();
        assert_eq!(paced(&slow).spread().discarded, 0);
        let pause: Vec<u64> = (0..200).map(|i| if i < 100 { 0 } else { 5_000 }).collect();
        assert_eq!(paced(&pause).spread().discarded, 0);
    }

    #[test]
    fn even_pace_has_no_jitter_and_uneven_pace_has_its_mean() {
        let mut r = Reception::new(1, 8_000, 0);
        for i in 0..200u32 {
            r.packet(i as u16, Some((u32::MAX - 800).wrapping_add(i * 160)), Mono::from_millis(u64::from(i) * 20));
        }
        assert_eq!(r.jitter(), 0);
        for i in 200..1_000u32 {
            let late = if i % 2 == 0 { 5 } else { 0 };
            r.packet(i as u16, Some((u32::MAX - 800).wrapping_add(i * 160)), Mono::from_millis(u64::from(i) * 20 + late));
        }
        assert!((4.5..5.5).contains(&r.jitter_ms()), "{}", r.jitter_ms());
    }
}
