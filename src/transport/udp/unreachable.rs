//! What ICMP says of requests that were sent: "nobody listens there" ends a transaction at once instead of after 32 s (RFC 3261 §18.4).
//!
//! Linux keeps ICMP errors in the socket's error queue, with the start of the datagram that they are about. Anybody can forge an ICMP
//! message, so one is believed only if it quotes the request up to the end of the branch in its Via, which cannot be guessed. A peer that
//! quotes less (8 octets are all that RFC 792 demands) is found out by the transaction's timer.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use bytes::Bytes;
use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef};

use super::system::Octets;
use crate::transaction::SendId;

/// Requests that an ICMP error may still come for. It comes within the round trip, or from a router after the 3 s of ARP.
const REMEMBERED: usize = 512;
/// The start line and the top Via are well within it; Linux quotes 548 octets.
const QUOTE: usize = 1_024;

/// The last requests that somebody wants a report on.
#[derive(Debug, Default)]
pub struct Sent(VecDeque<Request>);

#[derive(Debug)]
struct Request {
    remote: SocketAddr,
    /// The datagram to the end of its branch.
    proof: Bytes,
    report: SendId,
}

impl Sent {
    pub fn remember(&mut self, remote: SocketAddr, datagram: &Bytes, report: SendId) {
        let Some(end) = end_of_branch(datagram) else { return };
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Request { remote, proof: datagram.slice(..end), report });
    }

    /// Takes out what this error is about: the request, and its repetitions.
    pub fn failed(&mut self, error: &Unreachable) -> Option<SendId> {
        let is_meant = |sent: &Request| sent.remote == error.remote && error.quote.starts_with(&sent.proof);
        let report = self.0.iter().find(|sent| is_meant(sent)).map(|sent| sent.report)?;
        self.0.retain(|sent| sent.report != report && !is_meant(sent));
        Some(report)
    }

    pub fn forget(&mut self, report: SendId) {
        self.0.retain(|sent| sent.report != report);
    }
}

fn end_of_branch(datagram: &[u8]) -> Option<usize> {
    let within = &datagram[..datagram.len().min(QUOTE)];
    let start = memchr::memmem::find(within, b";branch=")? + b";branch=".len();
    let length = within[start..].iter().position(|b| b";, \t\r\n".contains(b))?;
    (length > crate::sip::MAGIC_COOKIE.len()).then_some(start + length)
}

/// An ICMP error that RFC 3261 §18.4 wants told: host, network, port or protocol unreachable, or a parameter problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Where the datagram was sent to.
    pub remote: SocketAddr,
    /// Its start.
    pub quote: Vec<u8>,
}

/// What the error queue gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    Unreachable(Unreachable),
    /// Time exceeded and the like: ignored.
    Other,
    Empty,
}

/// Takes one error off the queue.
pub fn next(socket: &impl AsFd, is_v4: bool) -> io::Result<Drained> {
    let any = if is_v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Its length is that of the family's address, which is what the kernel fills in.
    let mut name = SockAddr::from(SocketAddr::new(any, 0));
    let mut quote = Octets::<QUOTE>::zeroed();
    let mut control = Octets::<512>::zeroed();
    let received = {
        let mut buffers = [MaybeUninitSlice::new(quote.for_kernel())];
        let mut header = MsgHdrMut::new().with_addr(&mut name).with_buffers(&mut buffers).with_control(control.for_kernel());
        SockRef::from(socket)
            .recvmsg(&mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
            .map(|length| (length, header.control_len()))
    };
    let (length, control_length) = match received {
        Ok(received) => received,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Drained::Empty),
        Err(e) => return Err(e),
    };
    let quote = quote.read(length);
    let control = control.read(control_length);
    Ok(match name.as_socket() {
        Some(remote) if is_unreachable(&control) => Drained::Unreachable(Unreachable { remote, quote }),
        Some(_) | None => Drained::Other,
    })
}

/// Looks for the `sock_extended_err` in the control messages: `cmsghdr` (length, level, type) and behind it errno (u32), origin, type and
/// code (u8 each); see ip(7) and RFC 792, RFC 4443 for the types.
fn is_unreachable(mut control: &[u8]) -> bool {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    while let Some(header) = control.get(..HEADER) {
        let word = size_of::<usize>();
        let length = header.get(..word).and_then(|b| b.try_into().ok()).map_or(0, usize::from_ne_bytes);
        let int = |at: usize| header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
        let (level, kind) = (int(word), int(word + 4));
        let Some(data) = control.get(HEADER..length) else { return false };
        if matches!((level, kind), (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)) {
            return match data.get(4..7) {
                // Destination unreachable but for "fragmentation needed", and parameter problem.
                Some([libc::SO_EE_ORIGIN_ICMP, kind, code]) => (*kind == 3 && *code != 4) || *kind == 12,
                Some([libc::SO_EE_ORIGIN_ICMP6, kind, _]) => *kind == 1 || *kind == 4,
                Some(_) | None => false,
            };
        }
        control = control.get(length.next_multiple_of(word)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(branch: &str) -> Bytes {
        format!("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;rport;branch={branch}\r\nTo: <sip:a@b>\r\n\r\n").into()
    }

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn an_error_ends_the_request_that_it_quotes_and_no_other() {
        let mut sent = Sent::default();
        for (n, branch) in ["z9hG4bKone", "z9hG4bKtwo", "z9hG4bKtwo"].into_iter().enumerate() {
            sent.remember(at(1), &invite(branch), SendId(n.min(1) as u64));
        }
        let error = |port, quote: &[u8]| Unreachable { remote: at(port), quote: quote.to_vec() };
        assert_eq!(sent.failed(&error(2, &invite("z9hG4bKtwo"))), None, "another destination");
        assert_eq!(
            sent.failed(&error(1, b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;rport;branch=z9hG4bKt")),
            None,
            "cut short"
        );
        assert_eq!(sent.failed(&error(1, &invite("z9hG4bKtwo"))), Some(SendId(1)));
        assert_eq!(sent.failed(&error(1, &invite("z9hG4bKtwo"))), None, "told once");
        assert_eq!(sent.failed(&error(1, &invite("z9hG4bKone"))), Some(SendId(0)));
    }

    #[test]
    fn memory_of_requests_is_bounded_and_takes_none_without_a_branch() {
        let mut sent = Sent::default();
        for n in 0..2 * REMEMBERED as u64 {
            sent.remember(at(1), &invite(&format!("z9hG4bK{n}")), SendId(n));
            sent.remember(at(1), &invite(""), SendId(n));
        }
        assert_eq!(sent.0.len(), REMEMBERED);
    }

    #[test]
    fn control_messages_that_are_cut_off_or_odd_say_nothing() {
        for octets in [&[][..], &[0; 16], &[0xff; 16], &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0], &[1; 100]] {
            assert!(!is_unreachable(octets));
        }
    }
}
