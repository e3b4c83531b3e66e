//! Opus (RFC 6716, RFC 7587).

/// Longest packet, in samples at 48 kHz: 120 ms (RFC 6716 §3.2.5).
const LONGEST: usize = 5_760;

/// How long a packet is, in samples at 48 kHz, by its first bytes (RFC 6716 §3.1, §3.2); 0 where it can't be one.
pub fn duration(payload: &[u8]) -> usize {
    let Some(toc) = payload.first() else { return 0 };
    let frame = match toc >> 3 {
        // SILK alone: 10, 20, 40, 60 ms.
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        // CELT alone: 2.5, 5, 10, 20 ms.
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(0, |count| usize::from(count & 0x3f)),
    };
    Some(frame * frames).filter(|samples| *samples <= LONGEST).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6716 table 2 and §3.2.5.
    #[test]
    fn a_packet_says_how_long_it_is() {
        for (packet, samples) in [
            (&[][..], 0),
            (&[0x08, 1, 2], 960),
            (&[0x18], 2_880),
            (&[0x19], 5_760),
            (&[0x61], 960),
            (&[0x80], 120),
            (&[0xfc, 9], 960),
            (&[0xfb, 6], 5_760),
            (&[0xfb, 7], 0),
            (&[0xfb], 0),
            (&[0xfb, 0xc2], 1_920),
        ] {
            assert_eq!(duration(packet), samples, "{packet:x?}");
        }
    }
}
