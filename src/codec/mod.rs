//! Codecs: one file each and one row in a table.
//!
//! | codec | sound | payload | RTP clock |
//! |---|---|---|---|
//! | PCMU, PCMA ([`G711`]) | 8 kHz | a byte a sample, no state: tables | 8000 |
//! | G722 | 16 kHz | a byte for two samples, at 64 kbit/s | 8000, by an old mistake (RFC 3551 §4.5.2) |
//! | opus | up to 48 kHz | what the encoder finds enough (RFC 6716) | 48000 (RFC 7587) |
//! | L16 | 16 kHz | two bytes a sample, the high one first (RFC 3551 §4.5.11) | 16000 |
//!
//! All are mono. L16 is there for tests: it loses nothing. [`Decoder`] and [`Encoder`] are one stream's state each, [`Resampler`] stands between
//! two sample rates.

mod comfort_noise;
mod conceal;
mod decoder;
mod encoder;
mod g711;
mod g722;
mod opus;
mod pcma;
mod pcmu;
mod resample;

use serde::{Deserialize, Serialize};

use crate::config;

pub use comfort_noise::ComfortNoise;
pub use conceal::Concealer;
pub use decoder::{Decoder, Undecodable};
pub use encoder::Encoder;
pub use g711::G711;
pub use resample::Resampler;

/// A codec that a leg can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus (RFC 6716).
    Opus,
    /// Samples as they are, at 16 kHz.
    L16,
}

/// What the rest of the program asks about a codec.
struct Row {
    /// Static payload type (RFC 3551 §6), or the dynamic one that we give it.
    payload_type: u8,
    /// Encoding name in `a=rtpmap`, compared without case.
    name: &'static str,
    /// RTP clock in Hz.
    clock_rate: u32,
    /// Of the sound, in Hz.
    sample_rate: u32,
    /// As `a=rtpmap` says it.
    channels: u8,
}

const PCMU: Row = Row { payload_type: 0, name: "PCMU", clock_rate: 8_000, sample_rate: 8_000, channels: 1 };
const PCMA: Row = Row { payload_type: 8, name: "PCMA", clock_rate: 8_000, sample_rate: 8_000, channels: 1 };
const G722: Row = Row { payload_type: 9, name: "G722", clock_rate: 8_000, sample_rate: 16_000, channels: 1 };
/// It says two channels whatever is sent (RFC 7587 §7).
const OPUS: Row = Row { payload_type: 111, name: "opus", clock_rate: 48_000, sample_rate: 48_000, channels: 2 };
const L16: Row = Row { payload_type: 118, name: "L16", clock_rate: 16_000, sample_rate: 16_000, channels: 1 };

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, Codec::L16];

    const fn row(self) -> &'static Row {
        match self {
            Codec::Pcmu => &PCMU,
            Codec::Pcma => &PCMA,
            Codec::G722 => &G722,
            Codec::Opus => &OPUS,
            Codec::L16 => &L16,
        }
    }

    /// The static payload type (RFC 3551 §6), or the dynamic one that our offers give it.
    pub const fn payload_type(self) -> u8 {
        self.row().payload_type
    }

    /// Encoding name, as in `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// RTP clock in Hz.
    pub const fn clock_rate(self) -> u32 {
        self.row().clock_rate
    }

    /// Samples a second of what is decoded and encoded.
    pub const fn sample_rate(self) -> u32 {
        self.row().sample_rate
    }

    /// As `a=rtpmap` says it; the sound is mono.
    pub const fn channels(self) -> u8 {
        self.row().channels
    }

    /// The rate at which it is worth encoding sound that was sampled at `rate` at most: one that this codec can work at.
    pub const fn rate_for(self, rate: u32) -> u32 {
        match (self, rate) {
            (Codec::Opus, ..=8_000) => 8_000,
            (Codec::Opus, ..=16_000) => 16_000,
            (Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16, _) => self.sample_rate(),
        }
    }

    /// The law, where it is G.711.
    pub const fn g711(self) -> Option<G711> {
        match self {
            Codec::Pcmu => Some(G711::Pcmu),
            Codec::Pcma => Some(G711::Pcma),
            Codec::G722 | Codec::Opus | Codec::L16 => None,
        }
    }

    /// The codec that a static payload type means.
    pub const fn from_payload_type(payload_type: u8) -> Option<Codec> {
        match payload_type {
            0 => Some(Codec::Pcmu),
            8 => Some(Codec::Pcma),
            9 => Some(Codec::G722),
            _ => None,
        }
    }

    /// The codec that `a=rtpmap:… name/rate[/channels]` means.
    pub fn named(name: &str, clock_rate: u32, channels: u8) -> Option<Codec> {
        let means = |c: &Codec| c.clock_rate() == clock_rate && c.channels() == channels && c.name().eq_ignore_ascii_case(name);
        Codec::ALL.into_iter().find(means)
    }
}

impl Codec {
    /// The packet length to send where `wanted` is asked for, in ms: a whole ten from 10 to 60 that the codec has (RFC 6716 §2.1.4).
    pub const fn packet_ms(self, wanted: u8) -> u8 {
        match (self, wanted / 10) {
            (_, 0 | 1) => 10,
            (_, 2) | (Codec::Opus, 3) => 20,
            (_, 3) => 30,
            (_, 4) | (Codec::Opus, 5) => 40,
            (_, 5) => 50,
            (_, 6..) => 60,
        }
    }

    /// RTP clock ticks that a payload of sound lasts.
    #[inline]
    pub fn ticks(self, payload: &[u8]) -> u32 {
        let samples = match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len(),
            Codec::Opus => opus::duration(payload),
            Codec::L16 => payload.len() / 2,
        };
        u32::try_from(samples).unwrap_or(u32::MAX)
    }
}

impl From<config::Codec> for Codec {
    fn from(codec: config::Codec) -> Codec {
        match codec {
            config::Codec::Pcma => Codec::Pcma,
            config::Codec::Pcmu => Codec::Pcmu,
            config::Codec::G722 => Codec::G722,
            config::Codec::Opus => Codec::Opus,
            config::Codec::L16 => Codec::L16,
        }
    }
}

#[cfg(test)]
mod quality;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_payload_types_are_those_of_rfc_3551() {
        assert_eq!(Codec::named("pcmu", 8_000, 1), Some(Codec::Pcmu));
        assert_eq!(Codec::named("PCMU", 16_000, 1), None);
        assert_eq!(Codec::named("G722", 8_000, 1), Some(Codec::G722));
        assert_eq!(Codec::named("OPUS", 48_000, 2), Some(Codec::Opus));
        assert_eq!((Codec::named("opus", 48_000, 1), Codec::named("L16", 44_100, 2)), (None, None));
        for codec in Codec::ALL {
            let number = codec.payload_type();
            assert_eq!(Codec::from_payload_type(number), Some(codec).filter(|_| number < 96));
            assert_eq!(codec.g711().map(Codec::from), Some(codec).filter(|_| matches!(codec, Codec::Pcma | Codec::Pcmu)));
        }
    }
}
