//! The address that peers are told is ours: one for all, or by the network that the peer is in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::units::Told;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advertise {
    /// The local address that routes to the peer.
    #[default]
    Auto,
    Fixed(IpAddr),
}

/// What is told to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// The longest prefix first.
    networks: Vec<(Network, Advertise)>,
    otherwise: Advertise,
}

impl Advertised {
    /// The longest prefix that the peer is in decides.
    pub fn towards(&self, peer: IpAddr) -> Advertise {
        self.networks.iter().find(|(network, _)| network.contains(peer)).map_or(self.otherwise, |(_, told)| *told)
    }

    /// Every address that is told to anybody.
    pub fn fixed(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.networks.iter().map(|(_, told)| *told).chain([self.otherwise]);
        all.filter_map(|told| match told {
            Advertise::Fixed(ip) => Some(ip),
            Advertise::Auto => None,
        })
    }
}

impl From<Advertise> for Advertised {
    fn from(otherwise: Advertise) -> Advertised {
        Advertised { networks: Vec::new(), otherwise }
    }
}

/// `10.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let bits = bits.unwrap_or(width(address));
        let network = Network { address, bits };
        // What stands behind the prefix would be a slip of one of the two.
        let whole = bits <= width(address) && network.prefix(address) == value(address);
        whole.then_some(network)
    }

    /// The first one; of a network of one, it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_ipv4() == self.address.is_ipv4() && self.prefix(peer) == value(self.address)
    }

    fn prefix(&self, ip: IpAddr) -> u128 {
        let host = u32::from(width(ip).saturating_sub(self.bits));
        value(ip) & u128::MAX.checked_shl(host).unwrap_or(0)
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn value(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

const OTHERWISE: &str = "default";

/// `"auto"`, an address, or a table of networks with either.
impl<'de> Deserialize<'de> for Advertised {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Advertised;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"auto\", an address, or a table such as { \"10.0.0.0/8\" = \"auto\", \"default\" = \"203.0.113.7\" }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Advertised, E> {
                Ok(Told::deserialize(text.into_deserializer())?.0.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Advertised, A::Error> {
                let mut told = Advertised::default();
                let mut seen = BTreeMap::new();
                while let Some((name, Told(to))) = map.next_entry::<String, Told>()? {
                    if name == OTHERWISE {
                        told.otherwise = to;
                        continue;
                    }
                    let network = Network::parse(&name).ok_or_else(|| de::Error::custom(NoNetwork(name.clone())))?;
                    if let Some(first) = seen.insert((network.address, network.bits), name.clone()) {
                        return Err(de::Error::custom(SameNetwork(name, first)));
                    }
                    told.networks.push((network, to));
                }
                told.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.bits));
                Ok(told)
            }
        }
        d.deserialize_any(Either)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no network: write \"10.0.0.0/8\", \"2001:db8::/32\", one address, or \"default\" for all others")]
struct NoNetwork(String);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is the same network as `{1}`")]
struct SameNetwork(String, String);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Advertised, String> {
        #[derive(serde::Deserialize)]
        struct Table {
            advertise: Advertised,
        }
        toml::from_str::<Table>(toml).map(|t| t.advertise).map_err(|e| e.message().to_owned())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_longest_prefix_decides_and_the_default_is_for_all_others() {
        let told = read(
            "advertise = { '10.0.0.0/8' = 'auto', '10.7.0.0/16' = '10.7.0.1', '2001:db8::/32' = '2001:db8::5', \
             '192.0.2.9' = '192.0.2.1', default = '203.0.113.7' }",
        )
        .expect("reads");
        let fixed = |text: &str| Advertise::Fixed(ip(text));
        for (peer, expected) in [
            ("10.1.2.3", Advertise::Auto),
            ("10.7.2.3", fixed("10.7.0.1")),
            ("::ffff:10.7.2.3", fixed("10.7.0.1")),
            ("192.0.2.9", fixed("192.0.2.1")),
            ("192.0.2.10", fixed("203.0.113.7")),
            ("2001:db8:1::1", fixed("2001:db8::5")),
            ("2001:db9::1", fixed("203.0.113.7")),
        ] {
            assert_eq!(told.towards(ip(peer)), expected, "{peer}");
        }
        assert_eq!(told.fixed().count(), 4);
        assert_eq!(read("advertise = 'auto'").expect("reads").towards(ip("10.0.0.1")), Advertise::Auto);
        assert_eq!(read("advertise = '192.0.2.1'").expect("reads").towards(ip("10.0.0.1")), fixed("192.0.2.1"));
        let all = read("advertise = { '0.0.0.0/0' = '192.0.2.1' }").expect("reads");
        assert_eq!((all.towards(ip("10.0.0.1")), all.towards(ip("::1"))), (fixed("192.0.2.1"), Advertise::Auto));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0/8", "x", "", "::1/129", "10.0.0.0/", "/8"] {
            let said = read(&format!("advertise = {{ '{text}' = 'auto' }}")).expect_err(text);
            assert!(said.contains("is no network: write"), "{text}: {said}");
        }
        let twice = read("advertise = { '::1/128' = 'auto', '0:0::1' = 'auto' }").expect_err("twice");
        assert!(twice.contains("is the same network as"), "{twice}");
        assert!(read("advertise = { default = '0.0.0.0' }").expect_err("no address").contains("is neither"));
        assert!(read("advertise = 7").expect_err("no text").contains("or a table such as"));
    }
}
