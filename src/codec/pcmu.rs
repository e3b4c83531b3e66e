//! µ-law (ITU-T G.711 §2, table 2), as 16-bit samples: the 14 bits of the standard times four.

/// Bias that makes the segments powers of two, at 14 bits.
const BIAS: u16 = 33;

pub const fn encode(sample: i16) -> u8 {
    // One's complement for negative values keeps the two halves symmetric, as the reference (G.191) has it.
    let magnitude = (if sample < 0 { !sample } else { sample } as u16 >> 2) + BIAS;
    let magnitude = if magnitude > 0x1fff { 0x1fff } else { magnitude };
    // The highest bit set is bit 5 (segment 0) to bit 12 (segment 7).
    let segment = 15 - magnitude.leading_zeros() as u16 - 5;
    let step = (magnitude >> (segment + 1)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

const fn decode(byte: u8) -> i16 {
    let byte = !byte;
    let segment = (byte >> 4) & 7;
    let magnitude = (((byte & 0x0f) as i16 * 2 + BIAS as i16) << segment) - BIAS as i16;
    if byte & 0x80 != 0 { -magnitude * 4 } else { magnitude * 4 }
}

pub static DECODE: [i16; 256] = TABLE;

const TABLE: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = decode(i as u8);
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// G.711 table 2: the ends of the range, the segments' edges, zero.
    #[test]
    fn known_values_decode() {
        for (byte, sample) in [
            (0x00, -32_124),
            (0x80, 32_124),
            (0x0f, -16_764),
            (0x8f, 16_764),
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 8),
            (0xf0, 120),
            (0xef, 132),
        ] {
            assert_eq!(DECODE[byte], sample, "{byte:#x}");
        }
    }

    #[test]
    fn the_digital_milliwatt_encodes_to_its_bytes() {
        // G.711 table 6: 1 kHz at 0 dBm0 as eight bytes over and over.
        let milliwatt: [u8; 8] = [0x1e, 0x0b, 0x0b, 0x1e, 0x9e, 0x8b, 0x8b, 0x9e];
        let samples = milliwatt.map(|b| DECODE[usize::from(b)]);
        assert_eq!(samples.map(encode), milliwatt);
        assert_eq!(samples[1], -samples[5]);
    }
}
