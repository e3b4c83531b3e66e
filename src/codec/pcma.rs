//! A-law (ITU-T G.711 §2, table 1), as 16-bit samples: the 13 bits of the standard times eight.

/// Every second bit is inverted on the line.
const INVERT: u8 = 0x55;

pub const fn encode(sample: i16) -> u8 {
    let mut step = (if sample < 0 { !sample } else { sample }) as u16 >> 4;
    if step > 15 {
        let mut segment = 1;
        while step > 31 {
            step >>= 1;
            segment += 1;
        }
        step = step - 16 + (segment << 4);
    }
    let sign = if sample < 0 { 0 } else { 0x80 };
    (step as u8 | sign) ^ INVERT
}

const fn decode(byte: u8) -> i16 {
    let byte = byte ^ INVERT;
    let segment = (byte >> 4) & 7;
    let step = (byte & 0x0f) as i16;
    let magnitude = match segment {
        0 => step * 16 + 8,
        _ => ((step + 16) * 16 + 8) << (segment - 1),
    };
    if byte & 0x80 != 0 { magnitude } else { -magnitude }
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

    /// G.711 table 1: the ends of the range, the segments' edges, the two smallest values.
    #[test]
    fn known_values_decode() {
        for (byte, sample) in [(0xaa, 32_256), (0x2a, -32_256), (0xd5, 8), (0x55, -8), (0xd4, 24), (0xc5, 264), (0xda, 248)] {
            assert_eq!(DECODE[byte], sample, "{byte:#x}");
        }
    }

    #[test]
    fn the_digital_milliwatt_encodes_to_its_bytes() {
        // G.711 table 5.
        let milliwatt: [u8; 8] = [0x34, 0x21, 0x21, 0x34, 0xb4, 0xa1, 0xa1, 0xb4];
        assert_eq!(milliwatt.map(|b| encode(DECODE[usize::from(b)])), milliwatt);
    }
}
