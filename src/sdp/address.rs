//! Addresses of `c=` and `a=rtcp`, and which of them we would send to.

use std::net::{IpAddr, Ipv4Addr};

/// The address of a connection line as far as it is one: without TTL and count (`224.2.1.1/127/3`). A host name is none: resolving it
/// would make the core wait, and no phone sends one.
pub fn parse(text: &str) -> Option<IpAddr> {
    let text = text.split('/').next()?;
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    text.parse::<IpAddr>().ok().map(|a| a.to_canonical())
}

/// We may send there: one host, and not everybody.
pub fn is_fit(address: IpAddr) -> bool {
    match address {
        // 0.0.0.0/8 is "this network"; 240.0.0.0/4 is reserved, and its last address is broadcast.
        IpAddr::V4(a) => a.octets()[0] != 0 && !a.is_multicast() && a.octets()[0] < 240 && a != Ipv4Addr::BROADCAST,
        IpAddr::V6(a) => !a.is_unspecified() && !a.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_one_host_are_fit() {
        for (text, fit) in [
            ("192.0.2.1", true),
            ("127.0.0.1", true),
            ("2001:db8::1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("224.2.1.1/127", false),
            ("239.255.255.255", false),
            ("255.255.255.255", false),
            ("250.1.1.1", false),
            ("::", false),
            ("ff02::1", false),
            ("::ffff:224.0.0.1", false),
            ("::ffff:192.0.2.1", true),
        ] {
            assert_eq!(parse(text).map(is_fit), Some(fit), "{text}");
        }
        assert_eq!(parse("phone.example"), None);
    }
}
