//! An RTP packet where it lies (RFC 3550 §5.1).

use std::ops::Range;

/// Bytes of the fixed header.
pub const HEADER: usize = 12;

/// Not an RTP packet, or one whose lengths do not fit its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed RTP packet")]
pub struct Malformed;

/// The fields of the fixed header that a sender chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Fields {
    /// A plain header: version 2, no padding, extension or contributing sources.
    pub fn write(&self, out: &mut [u8; HEADER]) {
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// A checked view of a packet. `B` is `&[u8]`, or `&mut [u8]` to rewrite it in place.
#[derive(Debug)]
pub struct Packet<B> {
    bytes: B,
    payload: Range<usize>,
}

impl<B: AsRef<[u8]>> Packet<B> {
    /// Checks version and lengths: contributing sources, extension and padding must fit. An empty payload is allowed (some phones
    /// send such as keep-alive).
    pub fn parse(bytes: B) -> Result<Packet<B>, Malformed> {
        let b = bytes.as_ref();
        if b.len() < HEADER || b[0] >> 6 != 2 {
            return Err(Malformed);
        }
        let mut start = HEADER + usize::from(b[0] & 0x0f) * 4;
        let mut end = b.len();
        if b[0] & 0x10 != 0 {
            let length = b.get(start + 2..start + 4).ok_or(Malformed)?;
            start += 4 + usize::from(u16::from_be_bytes([length[0], length[1]])) * 4;
        }
        if b[0] & 0x20 != 0 {
            let padding = usize::from(b[end - 1]);
            if padding == 0 || padding > end - HEADER {
                return Err(Malformed);
            }
            end -= padding;
        }
        if start > end {
            return Err(Malformed);
        }
        Ok(Packet { bytes, payload: start..end })
    }

    pub fn marker(&self) -> bool {
        self.bytes.as_ref()[1] & 0x80 != 0
    }

    pub fn payload_type(&self) -> u8 {
        self.bytes.as_ref()[1] & 0x7f
    }

    pub fn sequence(&self) -> u16 {
        let b = self.bytes.as_ref();
        u16::from_be_bytes([b[2], b[3]])
    }

    pub fn timestamp(&self) -> u32 {
        let b = self.bytes.as_ref();
        u32::from_be_bytes([b[4], b[5], b[6], b[7]])
    }

    pub fn ssrc(&self) -> u32 {
        let b = self.bytes.as_ref();
        u32::from_be_bytes([b[8], b[9], b[10], b[11]])
    }

    pub fn fields(&self) -> Fields {
        Fields {
            marker: self.marker(),
            payload_type: self.payload_type(),
            sequence: self.sequence(),
            timestamp: self.timestamp(),
            ssrc: self.ssrc(),
        }
    }

    pub fn payload(&self) -> &[u8] {
        &self.bytes.as_ref()[self.payload.clone()]
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Packet<B> {
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.bytes.as_mut()[self.payload.clone()]
    }

    /// Puts a plain header of `fields` right before the payload, so that contributing sources, extension and padding (none of which
    /// the other side negotiated) are left out without moving a byte of sound. The range is the packet to send.
    pub fn rewrite(&mut self, fields: &Fields) -> Range<usize> {
        let start = self.payload.start - HEADER;
        if let Some(header) = self.bytes.as_mut()[start..].first_chunk_mut::<HEADER>() {
            fields.write(header);
        }
        start..self.payload.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields { marker: true, payload_type: 8, sequence: 0xfffe, timestamp: 0xdead_beef, ssrc: 0x0102_0304 };

    fn plain(payload: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER];
        FIELDS.write(&mut header);
        [&header[..], payload].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = plain(b"sound");
        let p = Packet::parse(&bytes[..]).unwrap();
        assert_eq!(p.fields(), FIELDS);
        assert_eq!(p.payload(), b"sound");
    }

    #[test]
    fn sources_extension_and_padding_are_not_payload() {
        let mut bytes = plain(b"");
        bytes[0] |= 0x10 | 0x20 | 2;
        bytes.extend([0; 8]); // two contributing sources
        bytes.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // extension of one word
        bytes.extend(b"sound");
        bytes.extend([0, 0, 3]);
        let mut p = Packet::parse(&mut bytes[..]).unwrap();
        assert_eq!(p.payload(), b"sound");
        let range = p.rewrite(&FIELDS);
        assert_eq!(&bytes[range], plain(b"sound"));
    }

    #[test]
    fn lengths_that_do_not_fit_are_malformed() {
        let version = |v: u8| [&[v << 6][..], &[0; 20]].concat();
        let mut padded = plain(b"abc");
        padded[0] |= 0x20;
        let with = |last: u8| [&padded[..14], &[last]].concat();
        let mut sources = plain(b"abc");
        sources[0] |= 0x0f;
        let mut extension = plain(&[0, 0, 0xff, 0xff]);
        extension[0] |= 0x10;
        let mut cut = plain(&[0, 0]);
        cut[0] |= 0x10;
        for bytes in [vec![], vec![0x80; 11], version(0), version(1), version(3), with(0), with(4), sources, extension, cut] {
            assert_eq!(Packet::parse(&bytes[..]).map(|_| ()), Err(Malformed), "{bytes:02x?}");
        }
        assert!(Packet::parse(&with(3)[..]).is_ok_and(|p| p.payload().is_empty()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80), first in 0x80u8..0xc0) {
            if let Some(b) = bytes.first_mut() { *b = first; }
            let length = bytes.len();
            if let Ok(mut p) = Packet::parse(&mut bytes[..]) {
                let _ = p.payload().len() + p.payload_mut().len();
                let range = p.rewrite(&FIELDS);
                proptest::prop_assert!(range.end <= length && range.len() >= HEADER);
            }
        }
    }
}
