//! A peer's ICE candidates (RFC 8839 §5.1), in a description and as it finds them (RFC 8840), for a full agent of ours.
//!
//! What is read is what a check of ours could go to: UDP, component 1 (RTP and RTCP are on one port), an address and no name. Browsers hide
//! addresses behind names of mDNS (`.local`), which only their own network can resolve; their checks show where they are.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::address;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub address: SocketAddr,
    /// 1 to 2^31 - 1 (RFC 8445 §5.1.2).
    pub priority: u32,
}

impl Candidate {
    /// Most of a peer's that are taken (RFC 8445 §6.1.2.5 has us set a limit; browsers have one for each interface and server).
    pub const MOST: usize = 32;

    /// The value of `a=candidate`; `None` if it is no place for a check.
    pub(super) fn read(value: &str) -> Option<Candidate> {
        let mut words = value.split_ascii_whitespace();
        let [_foundation, component, transport, priority, address, port] = std::array::from_fn(|_| words.next());
        if component? != "1" || !transport?.eq_ignore_ascii_case("udp") || words.next()? != "typ" {
            return None;
        }
        let priority = priority?.parse::<u32>().ok().filter(|p| (1..1 << 31).contains(p))?;
        let address = address?.parse::<IpAddr>().ok()?.to_canonical();
        let port = port?.parse::<u16>().ok().filter(|port| *port != 0)?;
        Some(Candidate { address: SocketAddr::new(address, port), priority }).filter(|_| address::is_fit(address))
    }

    /// Makes a pair with ours (RFC 8445 §6.1.2.2). Nobody has us send to this machine itself, unless that is where the leg is.
    pub(super) fn pairs_with(&self, ours: IpAddr) -> bool {
        let theirs = self.address.ip();
        let is_link_local = match theirs {
            IpAddr::V4(_) => false,
            // It says not which link.
            IpAddr::V6(a) => a.is_unicast_link_local(),
        };
        theirs.is_ipv4() == ours.is_ipv4() && !is_link_local && (!theirs.is_loopback() || ours.is_loopback())
    }
}

pub type Candidates = ArrayVec<Candidate, { Candidate::MOST }>;

/// Adds those that are not there yet, as far as there is room; what came in.
pub(super) fn add(to: &mut Candidates, all: impl IntoIterator<Item = Candidate>) -> Vec<Candidate> {
    let mut new = Vec::new();
    for candidate in all {
        if to.iter().all(|c| c.address != candidate.address) && to.try_push(candidate).is_ok() {
            new.push(candidate);
        }
    }
    new
}

/// A part of a description with candidates (`application/trickle-ice-sdpfrag`, RFC 8840 §9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fragment {
    /// Of the generation that they belong to.
    pub ufrag: Option<String>,
    pub candidates: Candidates,
}

impl Fragment {
    /// What it says of the line with this `a=mid`; of any line where ours has none, or shares its port with others.
    pub fn parse(body: &[u8], mid: Option<&str>) -> Fragment {
        let text = String::from_utf8_lossy(body);
        let mut fragment = Fragment::default();
        let mut is_ours = true;
        for line in text.lines().map(str::trim) {
            if line.starts_with("m=") {
                is_ours = true;
            } else if let Some(value) = line.strip_prefix("a=mid:") {
                is_ours = mid.is_none_or(|mid| mid == value);
            } else if let Some(value) = line.strip_prefix("a=ice-ufrag:").filter(|_| is_ours) {
                fragment.ufrag.get_or_insert_with(|| value.chars().take(256).collect());
            } else if let Some(value) = line.strip_prefix("a=candidate:").filter(|_| is_ours) {
                add(&mut fragment.candidates, Candidate::read(value));
            }
        }
        fragment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_candidate_is_an_address_for_component_1_over_udp() {
        let read = Candidate::read("1 1 udp 2113937151 192.0.2.1 51000 typ host generation 0 network-id 1");
        assert_eq!(read, Some(Candidate { address: "192.0.2.1:51000".parse().unwrap(), priority: 2_113_937_151 }));
        assert!(Candidate::read("x/+9 1 UDP 1 2001:db8::1 1 typ srflx raddr 10.0.0.1 rport 9").is_some());
        for bad in [
            "",
            "1 1 udp 2113937151 4d0c.local 51000 typ host",
            "1 2 udp 2113937151 192.0.2.1 51000 typ host",
            "1 1 tcp 2113937151 192.0.2.1 9 typ host tcptype active",
            "1 1 udp 0 192.0.2.1 51000 typ host",
            "1 1 udp 2147483648 192.0.2.1 51000 typ host",
            "1 1 udp -1 192.0.2.1 51000 typ host",
            "1 1 udp 1 192.0.2.1 0 typ host",
            "1 1 udp 1 192.0.2.1 65536 typ host",
            "1 1 udp 1 192.0.2.1 51000",
            "1 1 udp 1 0.0.0.0 51000 typ host",
            "1 1 udp 1 224.0.0.1 51000 typ host",
            "1 1 udp 1 255.255.255.255 51000 typ host",
            "1 1 udp 1 ff02::1 51000 typ host",
            "1 1 udp 1 :: 51000 typ host",
            "1 1 udp 1 ::ffff:224.0.0.1 51000 typ host",
        ] {
            assert_eq!(Candidate::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn nobody_has_us_send_to_ourselves_or_to_another_family() {
        for (theirs, ours, pairs) in [
            ("192.0.2.1", "192.0.2.9", true),
            ("127.0.0.1", "192.0.2.9", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("192.0.2.1", "127.0.0.1", true),
            ("::1", "2001:db8::9", false),
            ("2001:db8::1", "2001:db8::9", true),
            ("fe80::1", "2001:db8::9", false),
            ("2001:db8::1", "192.0.2.9", false),
        ] {
            let candidate = Candidate { address: SocketAddr::new(at(theirs), 9_000), priority: 1 };
            assert_eq!(candidate.pairs_with(at(ours)), pairs, "{theirs} {ours}");
        }
    }

    #[test]
    fn a_fragment_is_read_for_our_line_and_no_further_than_there_is_room() {
        let text = "a=ice-ufrag:T5Qx\r\na=ice-pwd:6Fv1oCzJ0mIYq7Y6x6w2uR9s\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 2000 typ host\r\na=end-of-candidates\r\n";
        let ports = |mid| Fragment::parse(text.as_bytes(), mid).candidates.iter().map(|c| c.address.port()).collect::<Vec<_>>();
        assert_eq!((ports(Some("0")), ports(Some("1")), ports(None)), (vec![1_000], vec![2_000], vec![1_000, 2_000]));
        assert_eq!(Fragment::parse(text.as_bytes(), Some("0")).ufrag.as_deref(), Some("T5Qx"));
        let many: String = (1..=100).map(|n| format!("a=candidate:1 1 udp 1 192.0.2.1 {n} typ host\r\n")).collect();
        assert_eq!(Fragment::parse(many.as_bytes(), None).candidates.len(), Candidate::MOST);
    }

    proptest::proptest! {
        #[test]
        fn no_fragment_makes_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            Fragment::parse(&body, Some("0"));
            Candidate::read(&String::from_utf8_lossy(&body));
        }
    }
}
