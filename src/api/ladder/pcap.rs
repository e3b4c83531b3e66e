//! A capture of messages: libpcap's classic format with raw IP (LINKTYPE_RAW).
//!
//! The switch sees messages, not packets, so each message becomes one UDP datagram between its two addresses, as HEP and sngrep do it; so
//! are those that went over TCP, TLS or WebSocket. Lengths and checksums are right. Where octets at the end of a message were not kept,
//! the packet is as long as it was and captured in part, without a checksum, which nobody could make.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::store::ladders::{Message, Way};

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const HOPS: u8 = 64;
/// The longest payload of a datagram over IPv4; what is longer was no datagram, and its end is left out.
const LONGEST: usize = 65_507;

pub fn capture(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + messages.len() * 1_024);
    // Version 2.4, UTC, no claim of accuracy, no packet is longer.
    for word in [MAGIC_MICROSECONDS, 0x0004_0002, 0, 0, 0x0004_0000, LINKTYPE_RAW] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for message in messages {
        let (from, to) = match message.way {
            Way::Received => (message.remote, message.local),
            Way::Sent => (message.local, message.remote),
        };
        let mut payload = message.octets();
        payload.truncate(LONGEST);
        let whole = (payload.len() + message.cut_octets as usize).min(LONGEST);
        let packet = packet(from, to, &payload, whole);
        let micros = u64::try_from(message.at.as_micros()).unwrap_or(0);
        // Seconds end in 2106.
        let words = [
            u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX),
            (micros % 1_000_000) as u32,
            packet.len() as u32,
            (packet.len() + whole - payload.len()) as u32,
        ];
        for word in words {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&packet);
    }
    out
}

/// IP and UDP headers for `whole` octets, and the first of them.
fn packet(from: SocketAddr, to: SocketAddr, payload: &[u8], whole: usize) -> Vec<u8> {
    let udp_length = (8 + whole) as u16;
    let mut udp = Vec::with_capacity(8 + payload.len());
    udp.extend_from_slice(&from.port().to_be_bytes());
    udp.extend_from_slice(&to.port().to_be_bytes());
    udp.extend_from_slice(&udp_length.to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let (addresses, mut out) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let mut head = vec![0x45, 0];
            head.extend_from_slice(&(20 + udp_length).to_be_bytes());
            head.extend_from_slice(&[0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            head.extend_from_slice(&addresses);
            let sum = checksum(&[&head]).to_be_bytes();
            if let Some(field) = head.get_mut(10..12) {
                field.copy_from_slice(&sum);
            }
            (addresses, head)
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => Ipv6Addr::octets(&ip),
            };
            let addresses = [octets(from), octets(to)].concat();
            let mut head = vec![0x60, 0, 0, 0];
            head.extend_from_slice(&udp_length.to_be_bytes());
            head.extend_from_slice(&[UDP, HOPS]);
            head.extend_from_slice(&addresses);
            (addresses, head)
        }
    };
    if payload.len() == whole {
        let sum = match checksum(&[&addresses, &[0, UDP], &udp_length.to_be_bytes(), &udp]) {
            // Zero would say that there is none (RFC 768).
            0 => u16::MAX,
            sum => sum,
        };
        if let Some(field) = udp.get_mut(6..8) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
    out.extend_from_slice(&udp);
    out
}

/// RFC 1071. Each part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 =
        words.map(|w| u64::from(w.first().copied().unwrap_or(0)) << 8 | u64::from(w.get(1).copied().unwrap_or(0))).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn sums_over_what_was_made_come_out_even() {
        for (from, to) in [("127.0.0.1:5060", "192.0.2.7:40000"), ("[2001:db8::1]:5060", "[::1]:1"), ("[::1]:5060", "10.0.0.1:5")]
        {
            for payload in [&b"OPTIONS sip:a SIP/2.0"[..], b"odd", b""] {
                let packet = packet(at(from), at(to), payload, payload.len());
                let (head, udp) = packet.split_at(packet.len() - 8 - payload.len());
                let addresses = if head.len() == 20 { &head[12..] } else { &head[8..] };
                if head.len() == 20 {
                    assert_eq!(checksum(&[head]), 0);
                    assert_eq!(usize::from(u16::from_be_bytes([head[2], head[3]])), packet.len());
                }
                let length = (udp.len() as u16).to_be_bytes();
                assert_eq!(checksum(&[addresses, &[0, UDP], &length, udp]), 0, "{from} {to}");
            }
        }
    }
}
