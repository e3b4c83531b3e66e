//! `host` and `host:port` of RFC 3261 §25.1, with the IPv6 leniency of RFC 5118 §4.10.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::Bytes;

use super::error::Syntax;
use super::text::{self, Ascii};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    Ip(IpAddr),
    /// As written; [`equivalent`](Host::equivalent) ignores case.
    Name(Ascii),
}

impl Host {
    /// A name, an IPv4 address, or an IPv6 address with or without its brackets.
    pub fn new(text: &str) -> Option<Host> {
        if let Ok(ip) = text.parse() {
            return Some(Host::Ip(ip));
        }
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Host::parse(&bytes, &bytes).ok()
    }

    /// IPv6 must be in brackets here. `part` lies in `src`.
    pub(super) fn parse(src: &Bytes, part: &[u8]) -> Result<Host, Syntax> {
        if let [b'[', inner @ .., b']'] = part {
            return parse_v6(inner).map(|ip| Host::Ip(IpAddr::V6(ip))).ok_or(Syntax::Host);
        }
        if part.is_empty() || !text::all(part, text::HOST) {
            return Err(Syntax::Host);
        }
        if part[0].is_ascii_digit()
            && let Some(ip) = std::str::from_utf8(part).ok().and_then(|s| s.parse().ok())
        {
            return Ok(Host::Ip(IpAddr::V4(ip)));
        }
        Ascii::new(src.slice_ref(part)).map(Host::Name).ok_or(Syntax::Host)
    }

    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// The same address, or the same name in any case.
    pub fn equivalent(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Ip(a), Host::Ip(b)) => a == b,
            (Host::Name(a), Host::Name(b)) => a.as_bytes().eq_ignore_ascii_case(b.as_bytes()),
            (Host::Ip(_), Host::Name(_)) | (Host::Name(_), Host::Ip(_)) => false,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Host::Ip(IpAddr::V4(ip)) => {
                for (i, octet) in ip.octets().into_iter().enumerate() {
                    if i > 0 {
                        out.push(b'.');
                    }
                    text::write_number(out, octet.into());
                }
            }
            // Writing to a Vec cannot fail.
            Host::Ip(IpAddr::V6(ip)) => drop(write!(out, "[{ip}]")),
            Host::Name(name) => out.extend_from_slice(name.as_bytes()),
        }
    }
}

/// An IPv6 address without brackets. RFC 5118 §4.10: three colons, from an error in RFC 3261's grammar, mean two.
pub(super) fn parse_v6(bytes: &[u8]) -> Option<Ipv6Addr> {
    let text = std::str::from_utf8(bytes).ok()?;
    match text.parse() {
        Ok(ip) => Some(ip),
        Err(_) if text.len() < 64 && text.contains(":::") => text.replacen(":::", "::", 1).parse().ok(),
        Err(_) => None,
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Host {
        Host::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// `host [":" port]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    pub host: Host,
    pub port: Option<u16>,
}

impl HostPort {
    pub(super) fn parse(src: &Bytes, part: &[u8]) -> Result<HostPort, Syntax> {
        let end_of_host = match part.first() {
            Some(b'[') => memchr::memchr(b']', part).ok_or(Syntax::Host)? + 1,
            _ => memchr::memchr(b':', part).unwrap_or(part.len()),
        };
        // Space around the colon is legal in a Via (§25.1 COLON), and nobody writes it elsewhere.
        let host = Host::parse(src, text::trim(&part[..end_of_host]))?;
        let port = match text::trim(&part[end_of_host..]) {
            [] => None,
            [b':', digits @ ..] => {
                let port = text::number(text::trim(digits)).and_then(|n| u16::try_from(n).ok()).ok_or(Syntax::Port)?;
                Some(port)
            }
            _ => return Err(Syntax::Host),
        };
        Ok(HostPort { host, port })
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        self.host.write(out);
        if let Some(port) = self.port {
            out.push(b':');
            text::write_number(out, port.into());
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> HostPort {
        HostPort { host: Host::Ip(addr.ip()), port: Some(addr.port()) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_port(text: &'static str) -> Result<String, Syntax> {
        let bytes = Bytes::from_static(text.as_bytes());
        HostPort::parse(&bytes, &bytes).map(|h| h.to_string())
    }

    #[test]
    fn addresses_and_names_are_read_with_their_ports() {
        for same in ["192.0.2.1:5060", "192.0.2.1", "[2001:db8::1]:5060", "[2001:db8::1]", "sip_1.example-x.com:1", "localhost"] {
            assert_eq!(host_port(same).as_deref(), Ok(same));
        }
        assert_eq!(host_port("[2001:db8:::192.0.2.1]:1").as_deref(), Ok("[2001:db8::c000:201]:1"));
        assert_eq!(host_port("example.com : 5060").as_deref(), Ok("example.com:5060"));
    }

    #[test]
    fn a_port_is_never_taken_from_an_address_without_brackets() {
        assert_eq!(host_port("2001:db8::1"), Err(Syntax::Port));
        assert_eq!(host_port("a:65536"), Err(Syntax::Port));
        assert_eq!(host_port("a:"), Err(Syntax::Port));
        assert_eq!(host_port("[::1"), Err(Syntax::Host));
        assert_eq!(host_port("[::1]x"), Err(Syntax::Host));
        assert_eq!(host_port(""), Err(Syntax::Host));
        assert_eq!(host_port("a b"), Err(Syntax::Host));
    }
}
