//! One event as bytes in a segment: its head, then the event as JSON.
//!
//! ```text
//! 0        4        8                16               24          24+len
//! | len LE | crc LE | sequence LE    | durable LE     | JSON ...  |
//! ```
//! The CRC-32 (IEEE) covers everything but itself. `durable` is the last sequence that was durable when this frame was written. It
//! is what tells a torn tail from damage: events that a later frame calls durable were there once and may have been seen, so their
//! numbers are never given again.

/// Bytes before the JSON.
pub const HEAD: usize = 24;

/// An event beyond this is not written (chosen by feel: the largest real one, `call.ended` with many legs, is some 20 KB). It
/// also bounds what damage in a length field can make a reader believe.
pub const MAX_PAYLOAD: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub sequence: u64,
    /// See the module.
    pub durable: u64,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes in a segment.
    pub fn size(&self) -> usize {
        HEAD + self.payload.len()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    Frame(Frame<'a>),
    /// So far it could be a frame; this many bytes would be all of it.
    Short(usize),
    Bad,
}

pub fn append(out: &mut Vec<u8>, frame: Frame<'_>) {
    let start = out.len();
    // MAX_PAYLOAD is below u32::MAX, and the writer keeps to it.
    out.extend_from_slice(&(frame.payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&frame.sequence.to_le_bytes());
    out.extend_from_slice(&frame.durable.to_le_bytes());
    out.extend_from_slice(frame.payload);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the frame that `bytes` begin with.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let (Some(len), Some(crc), Some(sequence), Some(durable)) =
        (le_u32(bytes, 0), le_u32(bytes, 4), le_u64(bytes, 8), le_u64(bytes, 16))
    else {
        return Parsed::Short(HEAD);
    };
    let len = len as usize;
    if len == 0 || len > MAX_PAYLOAD || sequence == 0 || durable >= sequence {
        return Parsed::Bad;
    }
    let Some(whole) = bytes.get(..HEAD + len) else {
        return Parsed::Short(HEAD + len);
    };
    if checksum(whole) != crc {
        return Parsed::Bad;
    }
    Parsed::Frame(Frame { sequence, durable, payload: &whole[HEAD..] })
}

/// The next place after damage at which a whole frame stands whose number lies above `after` and below `before`.
pub fn resync(bytes: &[u8], after: u64, before: u64) -> Option<usize> {
    (1..bytes.len().saturating_sub(HEAD)).find(|&at| match le_u64(bytes, at + 8) {
        Some(sequence) if after < sequence && sequence < before => matches!(parse(&bytes[at..]), Parsed::Frame(_)),
        Some(_) | None => false,
    })
}

fn checksum(frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[..4]);
    crc.update(&frame[8..]);
    crc.finalize()
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn le_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, Frame { sequence, durable: sequence - 1, payload });
        out
    }

    #[test]
    fn a_frame_reads_back_and_every_flipped_bit_is_noticed() {
        let bytes = frame(7, b"{\"a\":1}");
        assert_eq!(parse(&bytes), Parsed::Frame(Frame { sequence: 7, durable: 6, payload: b"{\"a\":1}" }));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&bad), Parsed::Frame(_)), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(matches!(parse(&bytes[..cut]), Parsed::Short(_)), "cut at {cut}");
        }
        assert_eq!(parse(&[0; 64]), Parsed::Bad);
    }

    #[test]
    fn reading_goes_on_at_the_first_whole_frame_after_damage() {
        let mut bytes = frame(1, b"first");
        bytes[10] ^= 0xff;
        let second = bytes.len();
        bytes.extend(frame(2, b"second"));
        assert_eq!(resync(&bytes, 0, u64::MAX), Some(second));
        assert_eq!(resync(&bytes, 2, u64::MAX), None, "numbers that were read already are not taken again");
    }
}
