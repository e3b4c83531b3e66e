//! Which trunk a source is, and where a number that a trunk calls leads.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::number::spellings;
use crate::config::{Carrier, Config, Inbound, Trunk};
use crate::ids::TrunkName;

/// The addresses of each trunk whose peer is given by name. One that is missing matches nobody.
pub type Hosts = BTreeMap<TrunkName, Vec<IpAddr>>;

/// The trunk whose peer this is. A peer given with a port is that port alone, without one any port of the address; the closer match
/// wins. Over TCP and TLS a peer calls from a port of chance, so there its address is enough, unless the trunk is configured for UDP.
pub fn identify<'a>(config: &'a Config, source: SocketAddr, over_tcp: bool, hosts: &Hosts) -> Option<&'a Trunk> {
    whose(config, source, over_tcp, hosts).into_iter().next()
}

/// Of several trunks with one peer, as two accounts at a carrier are, the one that is called: the account that the carrier has put into
/// the Request-URI, which is the Contact that we have registered for it (RFC 3261 §10, §16.5), else whichever has a rule for the number.
/// An account without one leaves the number to the others.
pub fn is_called<'a>(config: &'a Config, source: SocketAddr, over_tcp: bool, hosts: &Hosts, called: &str) -> Option<&'a Trunk> {
    let all = whose(config, source, over_tcp, hosts);
    // What one trunk alone may have sent needs no choice.
    if all.len() < 2 {
        return all.into_iter().next();
    }
    let with_rule: Vec<&Trunk> = all.iter().copied().filter(|trunk| inbound(config, trunk, called).is_some()).collect();
    let by_account = |trunks: &[&'a Trunk]| trunks.iter().copied().find(|trunk| trunk.user.as_deref() == Some(called));
    by_account(&with_rule).or(with_rule.first().copied()).or_else(|| by_account(&all)).or(all.first().copied())
}

/// The closest first.
fn whose<'a>(config: &'a Config, source: SocketAddr, over_tcp: bool, hosts: &Hosts) -> Vec<&'a Trunk> {
    let ip = source.ip().to_canonical();
    let is_its_port = |trunk: &&Trunk| trunk.peer.port == Some(source.port());
    let may_be = |trunk: &&Trunk| trunk.peer.port.is_none() || (over_tcp && trunk.peer.transport != Carrier::Udp);
    let at_address = config.trunks.values().filter(|trunk| has_address(trunk, ip, hosts));
    let (exact, others): (Vec<_>, Vec<_>) = at_address.partition(is_its_port);
    exact.into_iter().chain(others.into_iter().filter(may_be)).collect()
}

/// All addresses of trunks, as far as their names are known.
pub fn addresses<'a>(config: &'a Config, hosts: &'a Hosts) -> impl Iterator<Item = IpAddr> + 'a {
    config.trunks.values().flat_map(|trunk| {
        let host = trunk.peer.host.as_str();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let named = hosts.get(&trunk.name).into_iter().flatten().copied();
        literal.into_iter().chain(named).map(|address| address.to_canonical())
    })
}

/// Whether a trunk's peer is there, by its address or by what its name stands for.
pub fn has_address(trunk: &Trunk, ip: IpAddr, hosts: &Hosts) -> bool {
    let (host, ip) = (trunk.peer.host.as_str(), ip.to_canonical());
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(own) => own.to_canonical() == ip,
        Err(_) => hosts.get(&trunk.name).is_some_and(|all| all.iter().any(|a| a.to_canonical() == ip)),
    }
}

/// The rule for a number that a trunk calls: the longest match over the spellings of the number; of equally long ones the spelling that
/// is nearer to what came.
pub fn inbound<'a>(config: &'a Config, trunk: &Trunk, number: &str) -> Option<&'a Inbound> {
    let best = |spelling: &str| {
        config
            .inbound
            .iter()
            .filter(|rule| rule.trunk == trunk.name)
            .filter_map(|rule| Some((rule.number.matches(spelling)?, rule)))
            .max_by_key(|(length, _)| *length)
    };
    let all = spellings(number, config.site.country);
    // A catch-all `*` matches any spelling and must not hide a real match of another one.
    let matched = all.iter().filter_map(|s| best(s)).fold(None, |best: Option<(usize, &Inbound)>, found| match best {
        Some(known) if known.0 >= found.0 => Some(known),
        Some(_) | None => Some(found),
    });
    matched.map(|(_, rule)| rule)
}
