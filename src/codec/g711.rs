//! G.711: a byte a sample at 8 kHz, so that bytes, samples and RTP clock ticks are the same number. Without state: a table each way.

use serde::{Deserialize, Serialize};

use super::{Codec, pcma, pcmu};

/// One of the two laws of ITU-T G.711.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum G711 {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

impl From<G711> for Codec {
    fn from(law: G711) -> Codec {
        match law {
            G711::Pcmu => Codec::Pcmu,
            G711::Pcma => Codec::Pcma,
        }
    }
}

impl G711 {
    pub const ALL: [G711; 2] = [G711::Pcmu, G711::Pcma];

    /// The law that a static payload type means (RFC 3551 §6).
    pub const fn from_payload_type(payload_type: u8) -> Option<G711> {
        match payload_type {
            0 => Some(G711::Pcmu),
            8 => Some(G711::Pcma),
            _ => None,
        }
    }

    const fn table(self) -> &'static [i16; 256] {
        match self {
            G711::Pcmu => &pcmu::DECODE,
            G711::Pcma => &pcma::DECODE,
        }
    }

    /// The byte to fill with where nothing is heard: it decodes to (nearly) zero.
    pub const fn silence(self) -> u8 {
        match self {
            G711::Pcmu => 0xff,
            G711::Pcma => 0xd5,
        }
    }

    /// One byte to one sample, 16 bit.
    #[inline]
    pub fn decode(self, byte: u8) -> i16 {
        self.table()[usize::from(byte)]
    }

    #[inline]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            G711::Pcmu => pcmu::encode(sample),
            G711::Pcma => pcma::encode(sample),
        }
    }

    /// Appends a sample for each byte.
    pub fn decode_all(self, bytes: &[u8], out: &mut Vec<i16>) {
        let table = self.table();
        out.extend(bytes.iter().map(|b| table[usize::from(*b)]));
    }

    pub fn encode_all(self, samples: &[i16]) -> Box<[u8]> {
        samples.iter().map(|s| self.encode(*s)).collect()
    }

    /// Rewrites a payload of `self` as one of `to`, in place, by table.
    pub fn transcode(self, to: G711, payload: &mut [u8]) {
        let table = match (self, to) {
            (G711::Pcmu, G711::Pcma) => &PCMU_TO_PCMA,
            (G711::Pcma, G711::Pcmu) => &PCMA_TO_PCMU,
            (G711::Pcmu, G711::Pcmu) | (G711::Pcma, G711::Pcma) => return,
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
        for law in G711::ALL {
            for byte in 0..=255u8 {
                let again = law.encode(law.decode(byte));
                // µ-law has two zeros, 0x7f and 0xff, which decode alike.
                let expected = if law == G711::Pcmu && byte == 0x7f { 0xff } else { byte };
                assert_eq!(again, expected, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn encoding_is_monotonic_and_within_half_a_step() {
        for law in G711::ALL {
            let mut last = i16::MIN;
            for sample in i16::MIN..=i16::MAX {
                let heard = law.decode(law.encode(sample));
                assert!(heard >= last, "{law:?} falls at {sample}");
                last = heard;
                let error = (i32::from(heard) - i32::from(sample)).abs();
                let step = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= step, "{law:?} {sample} is heard as {heard}");
            }
        }
    }

    #[test]
    fn transcoding_keeps_the_sound_and_silence() {
        for (from, to) in [(G711::Pcmu, G711::Pcma), (G711::Pcma, G711::Pcmu)] {
            for byte in 0..=255u8 {
                let mut payload = [byte];
                from.transcode(to, &mut payload);
                let (before, after) = (i32::from(from.decode(byte)), i32::from(to.decode(payload[0])));
                assert!((before - after).abs() <= (before.abs() / 16).max(16), "{from:?} {byte:#x}: {before} {after}");
            }
        }
        assert_eq!(G711::Pcmu.decode(G711::Pcmu.silence()), 0);
        assert_eq!(G711::Pcma.decode(G711::Pcma.silence()), 8);
    }
}
