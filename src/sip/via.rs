//! Via (RFC 3261 §20.42, §18.2; `rport` of RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::error::Syntax;
use super::flow::Transport;
use super::flow::is_private;
use super::host::{self, Host, HostPort};
use super::params::Params;
use super::text::{self, Token};

/// What a branch begins with when it is unique, as RFC 3261 demands and RFC 2543 did not (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

#[derive(Clone, PartialEq, Eq)]
pub struct Via {
    /// As written; a proxy before us may have used one that we lack.
    protocol: Token,
    pub sent_by: HostPort,
    pub params: Params,
}

impl Via {
    pub fn new(transport: Transport, sent_by: impl Into<HostPort>, branch: impl AsRef<[u8]>) -> Via {
        let mut params = Params::default();
        params.set_as_written("branch", branch.as_ref());
        Via { protocol: Token::literal(transport.as_str()), sent_by: sent_by.into(), params }
    }

    pub fn parse(value: impl Into<Bytes>) -> Result<Via, Syntax> {
        let src = value.into();
        Via::parse_in(&src, &src)
    }

    /// `part` lies in `src`.
    pub(super) fn parse_in(src: &Bytes, part: &[u8]) -> Result<Via, Syntax> {
        let part = text::trim(part);
        let (name, rest) = text::split_once(part, b'/').ok_or(Syntax::Protocol)?;
        let (version, rest) = text::split_once(rest, b'/').ok_or(Syntax::Protocol)?;
        if !text::trim(name).eq_ignore_ascii_case(b"SIP") || text::trim(version) != b"2.0" {
            return Err(Syntax::Protocol);
        }
        let rest = text::trim(rest);
        let end = rest.iter().position(|b| b" \t".contains(b)).ok_or(Syntax::Protocol)?;
        let protocol = Token::new(src.slice_ref(&rest[..end])).ok_or(Syntax::Protocol)?;
        let rest = text::trim(&rest[end..]);
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let sent_by = HostPort::parse(src, text::trim(&rest[..end]))?;
        Ok(Via { protocol, sent_by, params: Params::parse_header(src, &rest[end..])? })
    }

    /// `None` for a transport that we lack.
    pub fn transport(&self) -> Option<Transport> {
        Transport::parse(self.protocol.as_bytes())
    }

    pub fn branch(&self) -> Option<&[u8]> {
        self.params.get("branch")
    }

    /// A branch that alone identifies the transaction; without one, RFC 2543's rules do.
    pub fn has_unique_branch(&self) -> bool {
        self.branch().is_some_and(|b| {
            b.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()))
                && b.len() > MAGIC_COOKIE.len()
        })
    }

    /// With or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.unquoted("received")?;
        let bare = value.strip_prefix(b"[").and_then(|v| v.strip_suffix(b"]")).unwrap_or(&value);
        std::str::from_utf8(bare).ok()?.parse().ok().or_else(|| host::parse_v6(bare).map(IpAddr::V6))
    }

    /// `Some(None)` if it is asked for, `Some(Some(port))` if it is filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.has("rport").then(|| self.params.number("rport").and_then(|n| u16::try_from(n).ok()))
    }

    pub fn maddr(&self) -> Option<Host> {
        let value = Bytes::copy_from_slice(self.params.get("maddr")?);
        Host::parse(&value, &value).ok()
    }

    pub fn ttl(&self) -> Option<u8> {
        self.params.number("ttl").and_then(|n| u8::try_from(n).ok())
    }

    /// Writes down where the request really came from (§18.2.1, RFC 3581 §4): `received` where the address is not that of `sent-by` or
    /// `rport` was asked for, and `rport` where it was. What the peer itself claims for them is overwritten or removed.
    pub fn stamp(&mut self, source: SocketAddr) {
        let asked = self.params.has("rport");
        if asked {
            self.params.set("rport", source.port().to_string());
        }
        if asked || self.sent_by.host.ip() != Some(source.ip()) {
            self.params.set("received", source.ip().to_string());
        } else {
            self.params.remove("received");
        }
    }

    /// Where a response goes over an unreliable transport (§18.2.2 without `maddr`, which only multicast needs and which would let a
    /// peer aim us at others; RFC 3581 §4), once [`stamped`](Via::stamp) with `source`.
    ///
    /// A peer that calls itself by a private address and is heard from another one is behind a NAT, which lets in what comes to the port
    /// that it made for this flow and nothing else: that port then, whether `rport` was asked for or not.
    pub fn reply_address(&self, source: SocketAddr) -> SocketAddr {
        let behind_nat = self.sent_by.host.ip().is_some_and(|own| own != source.ip() && is_private(own));
        let port = match self.rport() {
            Some(_) => source.port(),
            None if behind_nat => source.port(),
            None => self.sent_by.port.unwrap_or_else(|| self.transport().unwrap_or(Transport::Udp).default_port()),
        };
        SocketAddr::new(source.ip(), port)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0/");
        out.extend_from_slice(self.protocol.as_bytes());
        out.push(b' ');
        self.sent_by.write(out);
        self.params.write(out);
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(96);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Via {
        Via::parse(Bytes::from_static(text.as_bytes())).expect(text)
    }

    #[test]
    fn space_and_case_of_the_grammar_are_read() {
        let via = read("SIP  / 2.0\t / TCP     spindle.example.com   ;\tbranch  =   z9hG4bK9ikj8  ;rport");
        assert_eq!(via.to_string(), "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8;rport");
        assert_eq!(via.transport(), Some(Transport::Tcp));
        assert_eq!(via.rport(), Some(None));
        assert!(via.has_unique_branch());
        assert!(!read("SIP/2.0/UDP a;branch=z9hG4bK").has_unique_branch());
        assert_eq!(read("SIP/2.0/UNKNOWN a:1").transport(), None);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/7.0/UDP a",
            "HTTP/2.0/UDP a",
            "SIP/2.0/UDP a;;",
            "SIP/2.0/U DP a;b",
            "SIP/2.0/UDP ::1",
            "SIP//UDP a",
        ] {
            assert!(Via::parse(bad).is_err(), "{bad}");
        }
    }

    /// RFC 5118 §4.5.
    #[test]
    fn received_is_read_with_and_without_brackets() {
        let expected = "2001:db8::9:255".parse().ok();
        assert_eq!(read("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9").received(), expected);
        let bare = read("SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9");
        assert_eq!(bare.received(), expected);
        assert_eq!(bare.branch(), Some(&b"z9"[..]));
    }

    /// RFC 3581 §4 and §5.
    #[test]
    fn the_source_is_written_down_and_answered() {
        let source = "192.0.2.1:9988".parse().expect("address");
        let mut via = read("SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff");
        via.stamp(source);
        assert_eq!(via.to_string(), "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;branch=z9hG4bKkjshdyff;received=192.0.2.1");
        assert_eq!(via.reply_address(source), source);

        let mut lying = read("SIP/2.0/UDP 192.0.2.1;received=203.0.113.9;branch=z9hG4bK1");
        lying.stamp(source);
        assert_eq!(lying.to_string(), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
        assert_eq!(lying.reply_address(source), "192.0.2.1:5060".parse::<SocketAddr>().expect("address"));

        // Behind a NAT, though it does not ask; and one with a private network of its own, where ports are what they say.
        for own in ["10.1.1.1:4540", "100.64.0.1:4540", "192.168.1.9"] {
            let mut silent = Via::parse(format!("SIP/2.0/UDP {own};branch=z9hG4bK1")).expect(own);
            silent.stamp(source);
            assert_eq!(silent.reply_address(source), source, "{own}");
        }
        let inside: SocketAddr = "10.1.1.1:9988".parse().expect("address");
        let mut near = read("SIP/2.0/UDP 10.1.1.1:4540;branch=z9hG4bK1");
        near.stamp(inside);
        assert_eq!(near.reply_address(inside), "10.1.1.1:4540".parse::<SocketAddr>().expect("address"));

        let mut v6 = read("SIP/2.0/UDP a;rport");
        v6.stamp("[2001:db8::1]:7".parse().expect("address"));
        assert_eq!(v6.to_string(), "SIP/2.0/UDP a;rport=7;received=2001:db8::1");
    }
}
