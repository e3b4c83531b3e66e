//! What a leg's media is like: what came of the peer's over all its sources, and what the peer says of ours.

use crate::clock::Mono;
use crate::codec::Codec;
use crate::rtp::xr::{UNAVAILABLE, VoipMetrics};
use crate::rtp::{Reception, Spread, Verdict};

use super::Quality;
use super::rating::{self, Score};

/// Counts of a leg, from its first packet to its last.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    source: Option<Reception>,
    /// Of sources that were before it.
    expected_before: u64,
    received_before: u64,
    spread_before: Spread,
    /// A jitter buffer tells what it discards.
    buffered: bool,
    /// From strangers.
    pub refused: u64,
    pub remote: Remote,
    pub round_trip_ms: Option<f32>,
    /// The lowest score of an interval, either way.
    pub worst: Option<f32>,
}

/// What the peer's reports say of what we send it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remote {
    /// The share of our packets that it lost, 0 to 1: since the start, and in its last interval.
    pub loss: Option<f32>,
    pub loss_lately: f32,
    pub jitter_ms: Option<f32>,
    /// Since the start.
    pub voip: Option<VoipMetrics>,
}

impl Incoming {
    /// Takes an accepted packet. `timestamp` is `None` where it says nothing about delay; `clock_rate` is that of the timestamps, in Hz.
    #[inline]
    pub fn packet(&mut self, ssrc: u32, clock_rate: u32, sequence: u16, timestamp: Option<u32>, now: Mono) -> Verdict {
        if let Some(source) = &mut self.source
            && source.ssrc == ssrc
            && source.clock_rate() == clock_rate
        {
            return source.packet(sequence, timestamp, now);
        }
        if let Some(old) = &self.source {
            self.expected_before += old.expected();
            self.received_before += old.received();
            self.spread_before = self.spread_before.plus(&old.spread());
        }
        let source = self.source.insert(Reception::new(ssrc, clock_rate, sequence));
        source.estimates_discards = !self.buffered;
        source.packet(sequence, timestamp, now)
    }

    /// Whether a jitter buffer of ours hears this leg: from then on only what it says it discards counts as such.
    pub fn buffered(&mut self, on: bool) {
        self.buffered = on;
        if let Some(source) = &mut self.source {
            source.estimates_discards = !on;
        }
    }

    /// A jitter buffer of ours had no use any more for this packet of the source that is heard.
    pub fn discarded(&mut self, ssrc: u32, sequence: u16) {
        if let Some(source) = self.source.as_mut().filter(|s| s.ssrc == ssrc) {
            source.discarded(sequence);
        }
    }

    pub fn source(&mut self) -> Option<&mut Reception> {
        self.source.as_mut()
    }

    /// Whether any packet was ever accepted.
    pub fn has_heard(&self) -> bool {
        self.source.is_some()
    }

    /// How loss is spread, over all sources.
    pub fn spread(&self) -> Spread {
        self.source.as_ref().map_or(self.spread_before, |s| self.spread_before.plus(&s.spread()))
    }

    /// What is heard of the peer, as far as `spread` tells; `None` where that is nothing.
    pub fn score(&self, codec: Codec, spread: &Spread) -> Option<Score> {
        let source = self.source.as_ref().filter(|_| spread.packets > 0)?;
        let delay_ms = rating::delay_ms(self.round_trip_ms, source.packet_ms(), source.jitter_ms());
        Some(rating::score(codec, spread.loss(), spread.burst_ratio(), delay_ms))
    }

    /// What the peer hears, by its reports: lately, or since the start. `None` where it has not said.
    pub fn remote_score(&self, codec: Codec, lately: bool) -> Option<Score> {
        let loss = self.remote.loss?;
        if let (false, Some(voip)) = (lately, self.remote.voip)
            && voip.r_factor <= 100
        {
            let r = f32::from(voip.r_factor);
            let score = Score::of(r);
            let known = (10..=50).contains(&voip.mos_cq) && voip.mos_cq != UNAVAILABLE;
            return Some(if known { Score { mos: f32::from(voip.mos_cq) / 10.0, ..score } } else { score });
        }
        let delay_ms = rating::delay_ms(self.round_trip_ms, 20.0, self.remote.jitter_ms.unwrap_or_default());
        Some(rating::score(codec, if lately { self.remote.loss_lately } else { loss }, 1.0, delay_ms))
    }

    pub fn quality(&self, codec: Option<Codec>, packets_sent: u64) -> Quality {
        let (expected, received, jitter_ms, packet_ms) =
            self.source.as_ref().map_or((0, 0, 0.0, 0.0), |s| (s.expected(), s.received(), s.jitter_ms(), s.packet_ms()));
        let packets_received = self.received_before + received;
        let spread = self.spread();
        let score = codec.and_then(|c| self.score(c, &spread));
        let remote = codec.and_then(|c| self.remote_score(c, false));
        let scores = [self.worst, score.map(|s| s.mos), remote.map(|s| s.mos)];
        Quality {
            packets_received,
            packets_sent,
            packets_lost: (self.expected_before + expected) as i64 - packets_received as i64,
            packets_discarded: spread.discarded,
            jitter_ms,
            burst_density: spread.burst_density(),
            burst_ms: spread.burst_length() * packet_ms,
            gap_density: spread.gap_density(),
            gap_ms: spread.gap_length() * packet_ms,
            rating: score.map(|s| s.r),
            mos: score.map(|s| s.mos),
            remote_loss: self.remote.loss,
            remote_jitter_ms: self.remote.jitter_ms,
            remote_rating: remote.map(|s| s.r),
            remote_mos: remote.map(|s| s.mos),
            worst_mos: scores.into_iter().flatten().reduce(f32::min),
            round_trip_ms: self.round_trip_ms,
            refused: self.refused,
            encrypted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_summed_over_sources() {
        let mut s = Incoming::default();
        for n in [1, 2, 4] {
            s.packet(7, 8_000, n, None, Mono::ZERO);
        }
        for n in [60_000, 60_003] {
            s.packet(8, 8_000, n, None, Mono::ZERO);
        }
        let q = s.quality(Some(Codec::Pcma), 11);
        assert_eq!((q.packets_received, q.packets_lost, q.packets_sent), (5, 3, 11));
        assert_eq!((s.spread().packets, s.spread().lost), (8, 3));
        assert!(q.mos.unwrap() < 2.5 && q.worst_mos == q.mos && q.remote_mos.is_none(), "{q:?}");
    }

    #[test]
    fn a_leg_that_nobody_spoke_on_is_not_rated() {
        let q = Incoming::default().quality(Some(Codec::Pcmu), 100);
        assert_eq!((q.mos, q.rating, q.remote_mos, q.worst_mos, q.gap_ms), (None, None, None, None, 0.0));
    }

    #[test]
    fn the_buffers_word_counts_in_place_of_the_estimate() {
        let mut s = Incoming::default();
        let say = |s: &mut Incoming, n: u16, late: u64| {
            s.packet(7, 8_000, n, Some(u32::from(n) * 160), Mono::from_millis(u64::from(n) * 20 + late));
        };
        say(&mut s, 0, 0);
        say(&mut s, 1, 500);
        assert_eq!(s.quality(None, 0).packets_discarded, 1);
        s.buffered(true);
        say(&mut s, 2, 500);
        say(&mut s, 3, 0);
        s.discarded(7, 3);
        s.discarded(8, 2);
        assert_eq!(s.quality(None, 0).packets_discarded, 2);
    }

    #[test]
    fn the_peers_own_rating_is_believed() {
        let mut s = Incoming::default();
        s.remote.loss = Some(0.0);
        let q = s.quality(Some(Codec::Pcmu), 1);
        assert!(q.remote_mos.unwrap() > 4.3);
        let voip = VoipMetrics { r_factor: 60, mos_cq: 31, ..VoipMetrics::default() };
        s.remote.voip = Some(voip);
        let q = s.quality(Some(Codec::Pcmu), 1);
        assert_eq!((q.remote_rating, q.remote_mos, q.worst_mos), (Some(60.0), Some(3.1), Some(3.1)));
        s.remote.voip = Some(VoipMetrics { mos_cq: UNAVAILABLE, ..voip });
        assert!((s.quality(Some(Codec::Pcmu), 1).remote_mos.unwrap() - 3.1).abs() < 0.05);
        s.remote.voip = Some(VoipMetrics { r_factor: UNAVAILABLE, ..voip });
        assert!(s.quality(Some(Codec::Pcmu), 1).remote_mos.unwrap() > 4.3);
    }
}
