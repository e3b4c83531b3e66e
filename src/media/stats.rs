//! What a leg's incoming media was like, over all its sources.

use crate::clock::Mono;
use crate::rtp::{Reception, Verdict};

use super::Quality;

/// Counts of a leg, from its first packet to its last.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    source: Option<Reception>,
    /// Of sources that were before it.
    expected_before: u64,
    received_before: u64,
    /// From strangers.
    pub refused: u64,
    pub remote_loss: Option<f32>,
    pub round_trip_ms: Option<f32>,
}

impl Incoming {
    /// Takes an accepted packet. `timestamp` is `None` where it says nothing about delay.
    #[inline]
    pub fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: Option<u32>, now: Mono) -> Verdict {
        if let Some(source) = &mut self.source
            && source.ssrc == ssrc
        {
            return source.packet(sequence, timestamp, now);
        }
        if let Some(old) = &self.source {
            self.expected_before += old.expected();
            self.received_before += old.received();
        }
        // 8 kHz is the clock of G.711 and of telephone-event beside it.
        let source = self.source.insert(Reception::new(ssrc, 8_000, sequence));
        source.packet(sequence, timestamp, now)
    }

    pub fn source(&mut self) -> Option<&mut Reception> {
        self.source.as_mut()
    }

    pub fn quality(&self, packets_sent: u64) -> Quality {
        let (expected, received, jitter_ms) =
            self.source.as_ref().map_or((0, 0, 0.0), |s| (s.expected(), s.received(), s.jitter_ms()));
        let packets_received = self.received_before + received;
        Quality {
            packets_received,
            packets_sent,
            packets_lost: (self.expected_before + expected) as i64 - packets_received as i64,
            jitter_ms,
            remote_loss: self.remote_loss,
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
            s.packet(7, n, None, Mono::ZERO);
        }
        for n in [60_000, 60_003] {
            s.packet(8, n, None, Mono::ZERO);
        }
        let q = s.quality(11);
        assert_eq!((q.packets_received, q.packets_lost, q.packets_sent), (5, 3, 11));
    }
}
