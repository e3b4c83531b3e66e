//! Codecs: one file each and one row in a table.
//!
//! All of them so far are G.711: a byte a sample at 8 kHz, so that bytes, samples and RTP clock ticks are the same number.

mod pcma;
mod pcmu;

use serde::{Deserialize, Serialize};

/// A codec that a leg can speak. Its static payload type (RFC 3551 §6) is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
}

/// What the rest of the program asks about a codec.
struct Row {
    /// Static payload type (RFC 3551 §6).
    payload_type: u8,
    /// Encoding name in `a=rtpmap`, compared without case.
    name: &'static str,
    /// RTP clock in Hz.
    clock_rate: u32,
    /// The byte that decodes to (nearly) zero.
    silence: u8,
    decode: &'static [i16; 256],
    encode: fn(i16) -> u8,
}

const PCMU: Row =
    Row { payload_type: 0, name: "PCMU", clock_rate: 8_000, silence: 0xff, decode: &pcmu::DECODE, encode: pcmu::encode };
const PCMA: Row =
    Row { payload_type: 8, name: "PCMA", clock_rate: 8_000, silence: 0xd5, decode: &pcma::DECODE, encode: pcma::encode };

impl Codec {
    pub const ALL: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    const fn row(self) -> &'static Row {
        match self {
            Codec::Pcmu => &PCMU,
            Codec::Pcma => &PCMA,
        }
    }

    pub const fn payload_type(self) -> u8 {
        self.row().payload_type
    }

    pub const fn name(self) -> &'static str {
        self.row().name
    }

    pub const fn clock_rate(self) -> u32 {
        self.row().clock_rate
    }

    /// The byte to fill with where nothing is heard.
    pub const fn silence(self) -> u8 {
        self.row().silence
    }

    /// The codec that a static payload type means.
    pub const fn from_payload_type(payload_type: u8) -> Option<Codec> {
        match payload_type {
            0 => Some(Codec::Pcmu),
            8 => Some(Codec::Pcma),
            _ => None,
        }
    }

    /// The codec that `a=rtpmap:… name/rate` means.
    pub fn named(name: &str, clock_rate: u32) -> Option<Codec> {
        Codec::ALL.into_iter().find(|c| c.clock_rate() == clock_rate && c.name().eq_ignore_ascii_case(name))
    }

    /// One byte to one sample, 16 bit.
    #[inline]
    pub fn decode(self, byte: u8) -> i16 {
        self.row().decode[usize::from(byte)]
    }

    #[inline]
    pub fn encode(self, sample: i16) -> u8 {
        (self.row().encode)(sample)
    }

    /// All bytes decoded into `out`, as far as it reaches; how many samples that were.
    pub fn decode_into(self, bytes: &[u8], out: &mut [i16]) -> usize {
        let table = self.row().decode;
        for (o, b) in out.iter_mut().zip(bytes) {
            *o = table[usize::from(*b)];
        }
        bytes.len().min(out.len())
    }

    pub fn encode_all(self, samples: &[i16]) -> Box<[u8]> {
        samples.iter().map(|s| self.encode(*s)).collect()
    }

    /// Rewrites a payload of `self` as one of `to`, in place, by table.
    pub fn transcode(self, to: Codec, payload: &mut [u8]) {
        let table = match (self, to) {
            (Codec::Pcmu, Codec::Pcma) => &PCMU_TO_PCMA,
            (Codec::Pcma, Codec::Pcmu) => &PCMA_TO_PCMU,
            (Codec::Pcmu, Codec::Pcmu) | (Codec::Pcma, Codec::Pcma) => return,
        };
        for byte in payload {
            *byte = table[usize::from(*byte)];
        }
    }
}

/// G.711 §3 has tables of its own for this; they differ from "decode, then encode" in single steps of the quietest segments, which
/// nobody hears, and are not computable.
const PCMU_TO_PCMA: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = pcma::encode(pcmu::DECODE[i]);
        i += 1;
    }
    table
};

const PCMA_TO_PCMU: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = pcmu::encode(pcma::DECODE[i]);
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_decoded_and_encoded_is_the_same_byte() {
        for codec in Codec::ALL {
            for byte in 0..=255u8 {
                let again = codec.encode(codec.decode(byte));
                // µ-law has two zeros, 0x7f and 0xff, which decode alike.
                let expected = if codec == Codec::Pcmu && byte == 0x7f { 0xff } else { byte };
                assert_eq!(again, expected, "{codec:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn encoding_is_monotonic_and_within_half_a_step() {
        for codec in Codec::ALL {
            let mut last = i16::MIN;
            for sample in i16::MIN..=i16::MAX {
                let heard = codec.decode(codec.encode(sample));
                assert!(heard >= last, "{codec:?} falls at {sample}");
                last = heard;
                let error = (i32::from(heard) - i32::from(sample)).abs();
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= step, "{codec:?} {sample} is heard as {heard}");
            }
        }
    }

    #[test]
    fn transcoding_keeps_the_sound_and_silence() {
        for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
            for byte in 0..=255u8 {
                let mut payload = [byte];
                from.transcode(to, &mut payload);
                let (before, after) = (i32::from(from.decode(byte)), i32::from(to.decode(payload[0])));
                assert!((before - after).abs() <= (before.abs() / 16).max(16), "{from:?} {byte:#x}: {before} {after}");
            }
        }
        assert_eq!(Codec::Pcmu.decode(Codec::Pcmu.silence()), 0);
        assert_eq!(Codec::Pcma.decode(Codec::Pcma.silence()), 8);
    }

    #[test]
    fn names_and_payload_types_are_those_of_rfc_3551() {
        assert_eq!(Codec::named("pcmu", 8_000), Some(Codec::Pcmu));
        assert_eq!(Codec::named("PCMU", 16_000), None);
        assert_eq!(Codec::named("G722", 8_000), None);
        for codec in Codec::ALL {
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
        }
    }
}
