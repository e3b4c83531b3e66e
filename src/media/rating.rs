//! How a leg is rated while it runs: at each report the interval since the last one, both ways, by the E-model.
//!
//! A leg that falls below the threshold is told of at once, one that recovers after [`GOOD_IN_ROW`] intervals that are better by
//! [`CLEARLY`], so that one which wavers does not fill the log.

use crate::codec::Codec;
use crate::rtp::Spread;
use crate::rtp::e_model::{self, Impairment, Path};
use crate::rtp::reception::BUFFER_MS;

use super::Way;
use super::stats::Incoming;

/// An interval with fewer packets says little: a second of them.
const LEAST_PACKETS: u64 = 50;

/// A score must be so much above the threshold to count as good again.
const CLEARLY: f32 = 0.2;

/// So many good intervals make a leg good again: ten seconds, about.
const GOOD_IN_ROW: u8 = 2;

/// R of the E-model, and the opinion score that it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub r: f32,
    pub mos: f32,
}

impl Score {
    pub fn of(r: f32) -> Score {
        Score { r, mos: e_model::mos(r) }
    }
}

/// How a codec bears it. Gaps are taken to be concealed, as nearly all phones do.
fn impairment(codec: Codec) -> Impairment {
    match codec {
        Codec::Pcmu | Codec::Pcma => Impairment::G711,
        Codec::G722 => Impairment::G722,
        Codec::Opus => Impairment::OPUS,
        Codec::L16 => Impairment::LINEAR,
    }
}

/// From mouth to ear, about: half the round trip, a packet that is filled, and a jitter buffer of twice the jitter but at least a packet.
pub fn delay_ms(round_trip_ms: Option<f32>, packet_ms: f32, jitter_ms: f32) -> f32 {
    let most = BUFFER_MS as f32;
    round_trip_ms.unwrap_or_default() / 2.0 + packet_ms + (2.0 * jitter_ms).clamp(packet_ms.min(most), most)
}

pub fn score(codec: Codec, loss: f32, burst_ratio: f32, delay_ms: f32) -> Score {
    Score::of(e_model::rating(impairment(codec), Path { delay_ms, loss, burst_ratio }))
}

/// What an interval shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// It fell below the threshold: to this, this way.
    Degraded {
        mos: f32,
        way: Way,
    },
    Recovered {
        mos: f32,
    },
}

/// What intervals have shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Up to the last interval.
    spread: Spread,
    /// The peer has reported since the last interval.
    pub reported: bool,
    degraded: bool,
    good_in_row: u8,
}

impl Watch {
    /// Rates the interval that ends now.
    pub fn rate(&mut self, incoming: &mut Incoming, codec: Codec, degraded_below: f32) -> Option<Change> {
        let spread = incoming.spread();
        let interval = spread.since(&self.spread);
        let enough = interval.packets >= LEAST_PACKETS;
        if enough {
            self.spread = spread;
        }
        let from = enough.then(|| incoming.score(codec, &interval)).flatten().map(|s| (s.mos, Way::FromPeer));
        let reported = std::mem::take(&mut self.reported);
        let to = reported.then(|| incoming.remote_score(codec, true)).flatten().map(|s| (s.mos, Way::ToPeer));
        let (mos, way) = from.into_iter().chain(to).reduce(|a, b| if b.0 < a.0 { b } else { a })?;
        incoming.worst = Some(incoming.worst.map_or(mos, |worst| worst.min(mos)));
        self.judge(mos, way, degraded_below)
    }

    fn judge(&mut self, mos: f32, way: Way, degraded_below: f32) -> Option<Change> {
        if mos < degraded_below {
            self.good_in_row = 0;
            if !self.degraded {
                self.degraded = true;
                return Some(Change::Degraded { mos, way });
            }
        } else if self.degraded && mos >= degraded_below + CLEARLY {
            self.good_in_row += 1;
            if self.good_in_row >= GOOD_IN_ROW {
                self.good_in_row = 0;
                self.degraded = false;
                return Some(Change::Recovered { mos });
            }
        } else {
            self.good_in_row = 0;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mono;

    /// Five seconds of packets, of which every `nth` is lost.
    fn interval(incoming: &mut Incoming, at: &mut u16, nth: u16) {
        for _ in 0..250 {
            *at += 1;
            if nth == 0 || !at.is_multiple_of(nth) {
                let n = *at;
                incoming.packet(7, 8_000, n, Some(u32::from(n) * 160), Mono::from_millis(u64::from(n) * 20));
            }
        }
    }

    #[test]
    fn a_leg_that_falls_is_told_at_once_and_one_that_recovers_after_two_good_intervals() {
        let (mut incoming, mut at, mut watch) = (Incoming::default(), 0, Watch::default());
        let mut go = |nth| {
            interval(&mut incoming, &mut at, nth);
            watch.rate(&mut incoming, Codec::Pcma, 3.6)
        };
        assert_eq!((go(0), go(0)), (None, None));
        let Some(Change::Degraded { mos, way: Way::FromPeer }) = go(5) else { panic!() };
        assert!((2.0..3.0).contains(&mos), "{mos}");
        assert_eq!((go(5), go(0), go(5)), (None, None, None), "one good interval is not enough");
        assert_eq!(go(0), None);
        assert!(matches!(go(0), Some(Change::Recovered { mos }) if mos > 4.2));
        assert_eq!(go(0), None);
        let q = incoming.quality(Some(Codec::Pcma), 0);
        assert!(q.worst_mos.unwrap() < 3.0 && q.mos.unwrap() > q.worst_mos.unwrap(), "{q:?}");
    }

    #[test]
    fn too_few_packets_are_counted_with_those_that_follow() {
        let (mut incoming, mut watch) = (Incoming::default(), Watch::default());
        for n in 0..40 {
            incoming.packet(7, 8_000, n, None, Mono::ZERO);
        }
        assert_eq!(watch.rate(&mut incoming, Codec::Pcmu, 3.6), None);
        for n in 70..80 {
            incoming.packet(7, 8_000, n, None, Mono::ZERO);
        }
        assert!(matches!(watch.rate(&mut incoming, Codec::Pcmu, 3.6), Some(Change::Degraded { .. })));
    }

    #[test]
    fn what_the_peer_reports_counts_as_well() {
        let (mut incoming, mut watch) = (Incoming::default(), Watch::default());
        incoming.remote.loss = Some(0.01);
        incoming.remote.loss_lately = 0.2;
        assert_eq!(watch.rate(&mut incoming, Codec::Pcmu, 3.6), None, "it was told before");
        watch.reported = true;
        assert!(matches!(watch.rate(&mut incoming, Codec::Pcmu, 3.6), Some(Change::Degraded { way: Way::ToPeer, .. })));
        assert_eq!(watch.rate(&mut incoming, Codec::Pcmu, 3.6), None);
    }

    #[test]
    fn delay_is_of_the_network_the_packet_and_the_buffer() {
        assert_eq!(delay_ms(None, 20.0, 0.0), 40.0);
        assert_eq!(delay_ms(Some(100.0), 20.0, 30.0), 130.0);
        assert_eq!(delay_ms(Some(0.0), 60.0, 500.0), 160.0);
        assert_eq!(delay_ms(None, 120.0, 0.0), 220.0);
    }
}
