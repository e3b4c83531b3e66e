//! Frames: length and CRC-32 of the payload, then CRC-32 of these two, each as four bytes with the lowest first; then the payload:
//! MessagePack with the names of fields. What is torn or rotten is found before it is read; a rotten length would else look like a file that
//! was torn there, and what follows be missed.

use super::Record;

const HEAD: usize = 12;

/// A longer payload is none of ours: an input holds at most a datagram, or a configuration.
const MAX_PAYLOAD: usize = 64 << 20;

/// A message and what stands around it.
const USUAL: usize = 2_048;

pub fn encode(record: &Record<'_>) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut frame = Vec::with_capacity(USUAL);
    frame.extend_from_slice(&[0; HEAD]);
    rmp_serde::encode::write_named(&mut frame, record)?;
    let (head, payload) = frame.split_at_mut(HEAD);
    head[..4].copy_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[4..8].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let sum = crc32fast::hash(&head[..8]);
    head[8..].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// What stands at the front of the bytes.
pub enum Next {
    /// With the bytes that it takes up.
    Record(Box<Record<'static>>, usize),
    /// Nothing, or the beginning of a frame only.
    Torn,
    /// A frame of which a sum is wrong.
    Rotten,
    /// A whole frame that we can't read.
    Unreadable(rmp_serde::decode::Error),
}

pub fn decode(bytes: &[u8]) -> Next {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Next::Torn };
    let [l0, l1, l2, l3, c0, c1, c2, c3, h0, h1, h2, h3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if crc32fast::hash(&head[..8]) != u32::from_le_bytes([h0, h1, h2, h3]) || length > MAX_PAYLOAD {
        return Next::Rotten;
    }
    let Some(payload) = rest.get(..length) else { return Next::Torn };
    if crc32fast::hash(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Next::Rotten;
    }
    match rmp_serde::from_slice(payload) {
        Ok(record) => Next::Record(Box::new(record), HEAD + length),
        Err(error) => Next::Unreadable(error),
    }
}
