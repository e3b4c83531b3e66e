//! Sources that are not listened to for a while, because of how much of what they send is refused.
//!
//! A ban is for a rate, not for a mistake: more than [`PER_SECOND`] refused or malformed messages in each of [`SECONDS`] seconds on end. No
//! phone and no office comes near it, and a challenge is no refusal. Whoever holds a binding is spared on its own flow, and trunks are
//! spared altogether (by who asks).
//!
//! The address of a datagram may be forged, that of a connection not ([`Proof`]). So the two are counted apart, and a ban for datagrams
//! ends at datagrams: who comes by TCP, TLS or WebSocket from there is served. And it does not shut all out: the transports let a trickle
//! through, shared out by ports, and whatever answers a challenge that we sent there, so that a phone which is new there may be challenged,
//! answer (which a forger who does not hear the challenge can't), be registered, and from then on spared.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Now, Wall};
use crate::sip::{Flow, Transport};

/// Refused or malformed messages in a second that are still borne. A phone with a wrong password makes some in a minute.
pub const PER_SECOND: u32 = 20;
/// Seconds on end with more than that.
pub const SECONDS: u32 = 5;
/// Sources whose rates are known. Beyond it the one that was quiet for longest is forgotten.
const MAX_KNOWN: usize = 4_096;
/// Bans at once. Beyond it the one that would end first ends.
pub const MAX_BANS: usize = 1_024;

const SECOND: Duration = Duration::from_secs(1);

/// Who a message is put down to: an IPv4 address, an IPv6 network of 64 bits (as its first address: one host has all of it). Nobody where
/// all browsers behind a proxy on this machine have one address.
pub fn source(flow: &Flow) -> Option<IpAddr> {
    let address = flow.remote.ip().to_canonical();
    if matches!(flow.transport, Transport::Ws | Transport::Wss) && address.is_loopback() {
        return None;
    }
    Some(network(address))
}

/// What is known of where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Proof {
    /// The address may be anybody's.
    Datagram,
    /// Somebody there has answered our side of a handshake.
    Connection,
}

pub fn proof(flow: &Flow) -> Proof {
    if flow.transport.is_reliable() { Proof::Connection } else { Proof::Datagram }
}

/// The address that bans know this one by.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    pub since: Wall,
    pub until: Wall,
    /// A ban for datagrams is one of datagrams alone.
    pub proof: Proof,
    ends: Mono,
}

#[derive(Default)]
pub struct Bans {
    rates: BTreeMap<(IpAddr, Proof), Rate>,
    bans: BTreeMap<IpAddr, Ban>,
}

/// Of one source, in seconds that begin with its first message.
struct Rate {
    second: Mono,
    count: u32,
    /// Seconds before this one, on end, that were over the limit.
    over: u32,
}

impl Bans {
    /// So many more messages of a source came to nothing. True where that makes it one to ban.
    pub fn refused(&mut self, source: IpAddr, proof: Proof, count: u32, now: Mono) -> bool {
        let source = (source, proof);
        if self.rates.len() >= MAX_KNOWN && !self.rates.contains_key(&source) {
            let quietest = self.rates.iter().min_by_key(|(_, rate)| rate.second).map(|(address, _)| *address);
            quietest.map(|address| self.rates.remove(&address));
        }
        let rate = self.rates.entry(source).or_insert(Rate { second: now, count: 0, over: 0 });
        let next = rate.second + SECOND;
        if now >= next {
            let goes_on = now < next + SECOND && rate.count > PER_SECOND;
            *rate = if goes_on {
                Rate { second: next, count: 0, over: rate.over + 1 }
            } else {
                Rate { second: now, count: 0, over: 0 }
            };
        }
        rate.count = rate.count.saturating_add(count);
        rate.over + 1 >= SECONDS && rate.count > PER_SECOND
    }

    /// Whether this source is over the limit in this second.
    pub fn is_over(&self, source: IpAddr, proof: Proof) -> bool {
        self.rates.get(&(source, proof)).is_some_and(|rate| rate.count > PER_SECOND)
    }

    /// Returns the one that had to end for it.
    pub fn ban(&mut self, source: IpAddr, proof: Proof, length: Duration, now: Now) -> Option<IpAddr> {
        self.rates.remove(&(source, proof));
        let full = self.bans.len() >= MAX_BANS && !self.bans.contains_key(&source);
        let first = self.bans.iter().min_by_key(|(_, ban)| ban.ends).map(|(address, _)| *address).filter(|_| full);
        if let Some(first) = first {
            self.bans.remove(&first);
        }
        self.bans.insert(source, Ban { since: now.wall, until: now.wall + length, proof, ends: now.mono + length });
        first
    }

    /// False where there was none.
    pub fn lift(&mut self, source: IpAddr) -> bool {
        self.bans.remove(&source).is_some()
    }

    /// Those whose time is over.
    pub fn expire(&mut self, now: Mono) -> Vec<IpAddr> {
        if self.deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let over: Vec<IpAddr> = self.bans.iter().filter(|(_, ban)| ban.ends <= now).map(|(address, _)| *address).collect();
        self.bans.retain(|_, ban| ban.ends > now);
        over
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.bans.values().map(|ban| ban.ends).min()
    }

    /// Whether there is a ban that holds for what comes so.
    pub fn is_banned(&self, source: IpAddr, proof: Proof) -> bool {
        self.bans.get(&source).is_some_and(|ban| ban.proof >= proof)
    }

    pub fn is_listed(&self, source: IpAddr) -> bool {
        self.bans.contains_key(&source)
    }

    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    pub fn all(&self) -> impl Iterator<Item = (IpAddr, &Ban)> {
        self.bans.iter().map(|(address, ban)| (*address, ban))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn now(ms: u64) -> Now {
        Now { mono: Mono::from_millis(ms), wall: Wall::from_micros(ms as i64 * 1_000) }
    }

    /// When a source that sends so many a second in each of these seconds is to be banned, in ms.
    fn banned_at(rates: &[u64]) -> Option<u64> {
        let mut bans = Bans::default();
        let times = rates.iter().zip(0..).flat_map(|(rate, second)| (0..*rate).map(move |n| second * 1_000 + n * 1_000 / rate));
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        times.into_iter().find(|ms| bans.refused(at(1), Proof::Datagram, 1, Mono::from_millis(*ms)))
    }

    #[test]
    fn only_a_rate_over_twenty_a_second_for_five_seconds_on_end_is_banned() {
        assert_eq!(banned_at(&[20; 60]), None);
        assert!(banned_at(&[21; 5]).is_some_and(|ms| (4_900..5_000).contains(&ms)));
        assert!(banned_at(&[500; 5]).is_some_and(|ms| (4_000..4_100).contains(&ms)));
        assert_eq!(banned_at(&[500, 500, 500, 500]), None);
        assert_eq!(banned_at(&[500, 500, 500, 500, 3, 500, 500, 500, 500]), None, "a pause begins anew");
        assert_eq!(banned_at(&[0, 100, 0, 100, 0, 100, 0, 100, 0, 100, 0, 100]), None);
    }

    #[test]
    fn a_ban_ends_and_what_is_known_is_bounded() {
        let mut bans = Bans::default();
        for n in 0..2 * MAX_KNOWN as u32 {
            bans.refused(at(n), Proof::Datagram, 1, Mono::from_millis(u64::from(n)));
        }
        assert_eq!(bans.rates.len(), MAX_KNOWN);
        for n in 0..MAX_BANS as u32 + 1 {
            let gone = bans.ban(at(n), Proof::Datagram, Duration::from_secs(10), now(u64::from(n)));
            assert_eq!(gone, (n == MAX_BANS as u32).then(|| at(0)));
        }
        assert_eq!(bans.expire(Mono::from_millis(10_002)), [at(1), at(2)]);
        assert!(!bans.is_listed(at(2)) && bans.is_listed(at(3)));
        assert!(bans.lift(at(3)) && !bans.lift(at(3)));
    }

    #[test]
    fn a_ban_for_datagrams_is_none_for_connections() {
        let mut bans = Bans::default();
        bans.ban(at(1), Proof::Datagram, SECOND, now(0));
        assert!(bans.is_banned(at(1), Proof::Datagram) && !bans.is_banned(at(1), Proof::Connection));
        bans.ban(at(1), Proof::Connection, SECOND, now(0));
        assert!(bans.is_banned(at(1), Proof::Datagram) && bans.is_banned(at(1), Proof::Connection));
        for n in 0..100 {
            bans.refused(at(2), Proof::Datagram, 1, Mono::from_millis(n));
        }
        assert!(bans.is_over(at(2), Proof::Datagram) && !bans.is_over(at(2), Proof::Connection));
    }

    #[test]
    fn browsers_behind_a_proxy_here_are_nobody_and_a_v6_host_is_its_network() {
        let flow = |transport, remote: &str| {
            let local = "127.0.0.1:5060".parse().expect("address");
            Flow { transport, local, remote: remote.parse().expect("address"), connection: None }
        };
        let address = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(source(&flow(Transport::Ws, "127.0.0.1:9")), None);
        assert_eq!(source(&flow(Transport::Udp, "127.0.0.1:9")), address("127.0.0.1"));
        assert_eq!(source(&flow(Transport::Udp, "[2001:db8::1:2:3:4]:9")), address("2001:db8::"));
        assert_eq!(source(&flow(Transport::Udp, "[::ffff:192.0.2.1]:9")), address("192.0.2.1"));
    }
}
