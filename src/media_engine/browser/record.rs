//! DTLS records (RFC 6347 §4.1), as far as they are looked at before the crate (0.21.1) reads them.
//!
//! It keeps the pieces of handshake messages until it can join them, and joins them by a recursion as deep as there are pieces, each of
//! which it searches for among all. What a datagram can bring of them is therefore counted here.

/// Type, version, epoch, sequence number, length.
const HEADER: usize = 13;
/// Type, length, sequence number, offset and length of the piece (RFC 6347 §4.2.2).
const PIECE_HEADER: usize = 12;
/// Content type (RFC 5246 §6.2.1).
pub const HANDSHAKE: u8 = 22;

/// Those of a datagram, with their headers, up to the first that is cut off.
pub fn records(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u16::from_be_bytes(*datagram.get(HEADER - 2..)?.first_chunk()?);
        let (record, rest) = datagram.split_at_checked(HEADER + usize::from(length))?;
        datagram = rest;
        Some(record)
    })
}

pub fn is_handshake(record: &[u8]) -> bool {
    record.first() == Some(&HANDSHAKE)
}

/// Of a later epoch than the first.
pub fn is_encrypted(record: &[u8]) -> bool {
    record.get(3..5).is_some_and(|epoch| epoch != [0, 0])
}

/// Pieces of handshake messages that the crate may find in it; one for a record of another type.
pub fn pieces(record: &[u8]) -> usize {
    let mut rest = record.get(HEADER..).unwrap_or_default();
    if !is_handshake(record) {
        return 1;
    }
    if is_encrypted(record) {
        return rest.len().div_ceil(PIECE_HEADER);
    }
    let mut pieces = 1;
    // It takes the length of the message for that of the piece.
    while let Some([_, high, middle, low]) = rest.first_chunk() {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        rest = rest.get(PIECE_HEADER + length..).unwrap_or_default();
        pieces += 1;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_counted_as_the_crate_takes_them() {
        let piece = |length: u8| [[1, 0, 0, length].as_slice(), &[0; 8]].concat();
        let record =
            |epoch: u8, body: &[u8]| [&[22, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 1, 0, body.len() as u8][..], body].concat();
        for (epoch, body, most) in [
            (0, piece(0).repeat(7), 8),
            (0, [piece(30), vec![0; 30], piece(0)].concat(), 3),
            (0, [piece(200), vec![0; 30]].concat(), 2),
            (1, vec![0; 40], 4),
        ] {
            assert_eq!(pieces(&record(epoch, &body)), most);
        }
        let both = [record(0, &piece(0)), record(1, &[0; 40])].concat();
        assert_eq!(records(&both).map(is_encrypted).collect::<Vec<_>>(), [false, true]);
        assert_eq!(records(&both[..both.len() - 1]).count(), 1, "the second is cut off");
        assert_eq!(pieces(&[20, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let count = records(&bytes).inspect(|record| assert!(pieces(record) > 0)).count();
            proptest::prop_assert!(count <= bytes.len() / HEADER);
        }
    }
}
