//! The one use of STUN on a SIP port: a phone asks by a binding request whether its flow is alive, and which address it has outside of its
//! NAT (RFC 5626 §4.4.2, RFC 8489). The answer is 12 or 24 octets longer than the shortest question, so nobody is flooded with it.

use std::net::{IpAddr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
/// Attributes from here on may be passed over by who does not know them.
const OPTIONAL: u16 = 0x8000;

/// Whether a datagram is STUN: no SIP message begins with a zero bit pair, and the cookie is where it has to be (RFC 8489 §5).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first >> 6 == 0) && datagram.get(4..8) == Some(&COOKIE)
}

/// What a binding request from there is answered with; nothing to anything else.
pub fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_be_bytes([*header.get(2)?, *header.get(3)?]));
    if header.get(..2)? != BINDING_REQUEST || length != attributes.len() || !all_optional(attributes) {
        return None;
    }
    let ids = header.get(4..)?;
    let address: Vec<u8> = match from.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = if from.is_ipv4() { 1 } else { 2 };
    let mut out = Vec::with_capacity(HEADER + 8 + address.len());
    out.extend(BINDING_SUCCESS);
    out.extend(u16::try_from(8 + address.len()).ok()?.to_be_bytes());
    out.extend(ids);
    out.extend(XOR_MAPPED_ADDRESS);
    out.extend(u16::try_from(4 + address.len()).ok()?.to_be_bytes());
    out.extend([0, family]);
    // Cookie and transaction id are the pad, so that a NAT which rewrites what looks like an address does not find it (§14.2).
    out.extend(from.port().to_be_bytes().iter().zip(ids).map(|(octet, pad)| octet ^ pad));
    out.extend(address.iter().zip(ids).map(|(octet, pad)| octet ^ pad));
    Some(out)
}

/// An attribute that must be understood and is not would want an error with a list (§6.3.1); phones that keep a flow alive send none.
fn all_optional(mut attributes: &[u8]) -> bool {
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        let [kind_high, kind_low, high, low] = *head;
        let padded = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
        if u16::from_be_bytes([kind_high, kind_low]) < OPTIONAL {
            return false;
        }
        let Some(rest) = rest.get(padded..) else { return false };
        attributes = rest;
    }
    attributes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.2 and §2.3 with the request's transaction id; their further attributes left out.
    const ID: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).expect("short").to_be_bytes();
        [&BINDING_REQUEST[..], &length, &COOKIE, &ID, attributes].concat()
    }

    #[test]
    fn the_address_of_who_asks_is_written_as_in_rfc_5769() {
        let four = answer(&request(&[]), "192.0.2.1:32853".parse().expect("address")).expect("an answer");
        assert_eq!(four[..4], [1, 1, 0, 12]);
        assert_eq!(four[4..20], [&COOKIE[..], &ID].concat());
        assert_eq!(four[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let six = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().expect("address");
        let six = answer(&request(&[]), six).expect("an answer");
        let expected = [0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9];
        assert_eq!(six[20..28], [0, 0x20, 0, 20, 0, 2, 0xa1, 0x47]);
        assert_eq!(six[28..], expected);
    }

    #[test]
    fn what_is_no_such_question_is_not_answered() {
        let from = "192.0.2.1:1".parse().expect("address");
        // SOFTWARE and FINGERPRINT may be passed over.
        let optional = [&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0][..], &[0x80, 0x28, 0, 4, 1, 2, 3, 4]].concat();
        assert!(answer(&request(&optional), from).is_some());
        // CHANGE-REQUEST; a length that is not so; one that runs out.
        assert_eq!(answer(&request(&[0, 3, 0, 4, 0, 0, 0, 6]), from), None);
        assert_eq!(answer(&request(&[0x80, 0x22, 0, 9, 1, 2, 3, 4]), from), None);
        let mut odd = request(&[]);
        odd[3] = 4;
        assert_eq!(answer(&odd, from), None);
        let mut response = request(&[]);
        response[0] = 1;
        assert_eq!(answer(&response, from), None);
        for length in 0..HEADER {
            assert_eq!(answer(&request(&[])[..length], from), None);
        }
        assert!(is_stun(&request(&[])) && !is_stun(b"INVITE sip:1@x SIP/2.0") && !is_stun(b"") && !is_stun(b"\0\x01"));
    }
}
