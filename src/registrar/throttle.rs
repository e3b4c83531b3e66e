//! Wrong passwords, counted by source and by source and user, so that guessing is slow and a mistyped password in one phone does not lock
//! out the others behind the same address, nor itself for good.
//!
//! A challenge is no failure: only a digest that was computed and is wrong counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Mono;
use crate::sip::{Flow, Transport};

/// Failures are counted over this long, and a source that is over its limit waits until it has passed.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Of one source for one user: a phone with a wrong password tries a few times a minute.
const PER_USER: u32 = 10;
/// Of one source: an office of a hundred phones after somebody changed all passwords.
const PER_SOURCE: u32 = 200;
/// Beyond it the longest known is forgotten: an attacker with so many addresses is not slowed by counting.
const MAX_KNOWN: usize = 8_192;

#[derive(Default)]
pub struct Throttle {
    failures: BTreeMap<(IpAddr, Option<Vec<u8>>), Failures>,
}

/// Where a digest came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub address: IpAddr,
    /// A proxy stands there, with everybody behind it: counted by user alone, so that no one of them locks all others out.
    pub is_shared: bool,
}

impl Source {
    pub fn of(flow: &Flow) -> Source {
        let address = flow.remote.ip();
        Source { address, is_shared: matches!(flow.transport, Transport::Ws | Transport::Wss) && address.is_loopback() }
    }
}

struct Failures {
    since: Mono,
    count: u32,
}

impl Throttle {
    /// How long this source must wait before this user's password is looked at again.
    pub fn wait(&self, source: Source, user: &[u8], now: Mono) -> Option<Duration> {
        let Source { address, is_shared } = source;
        let over = |key: (IpAddr, Option<Vec<u8>>), limit: u32| {
            let failures = self.failures.get(&key).filter(|f| f.count >= limit && f.since + WINDOW > now)?;
            Some((failures.since + WINDOW).since(now))
        };
        let all = if is_shared { None } else { over((address, None), PER_SOURCE) };
        all.into_iter().chain(over((address, Some(short(user))), PER_USER)).max()
    }

    pub fn failed(&mut self, source: Source, user: &[u8], now: Mono) {
        for key in [(source.address, None), (source.address, Some(short(user)))] {
            if self.failures.len() >= MAX_KNOWN && !self.failures.contains_key(&key) {
                self.make_room(now);
            }
            let failures = self.failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if failures.since + WINDOW <= now {
                *failures = Failures { since: now, count: 0 };
            }
            failures.count += 1;
        }
    }

    fn make_room(&mut self, now: Mono) {
        self.failures.retain(|_, f| f.since + WINDOW > now);
        if self.failures.len() >= MAX_KNOWN {
            let oldest = self.failures.iter().min_by_key(|(_, f)| f.since).map(|(key, _)| key.clone());
            oldest.map(|key| self.failures.remove(&key));
        }
    }
}

/// A name as long as a datagram is not worth keeping whole.
fn short(user: &[u8]) -> Vec<u8> {
    user.get(..64).unwrap_or(user).to_vec()
}
