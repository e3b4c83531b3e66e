//! Guessing of passwords and tokens is slowed down, by address and by user.
//!
//! After a few failures each further attempt waits: it is refused unheard until some time has passed. The limit by user is wider and short,
//! so that somebody who guesses from many addresses does not keep the real one out for good.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Mono;

/// Failures are forgotten after this long.
const WINDOW: Duration = Duration::from_secs(60);

/// Failures of one address in a window.
const BY_ADDRESS: u32 = 10;

/// Failures for one user in a window, from wherever.
const BY_USER: u32 = 30;

/// Addresses and users remembered; beyond, the oldest is forgotten. An attacker with more addresses meets the limit by user.
const MOST: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(IpAddr),
    User(String),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Mono,
    count: u32,
}

#[derive(Default)]
pub(super) struct Throttle(Mutex<BTreeMap<Key, Failures>>);

impl Throttle {
    /// `Err`: how long nothing more is heard from there.
    pub fn check(&self, from: IpAddr, user: Option<&str>, now: Mono) -> Result<(), Duration> {
        let failures = self.lock();
        let left = |key: &Key, most: u32| {
            let f = failures.get(key).filter(|f| f.count >= most)?;
            Some(WINDOW.saturating_sub(now.since(f.since))).filter(|left| !left.is_zero())
        };
        let address = left(&Key::Address(network(from)), BY_ADDRESS);
        let user = user.and_then(|u| left(&Key::User(shortened(u)), BY_USER));
        address.max(user).map_or(Ok(()), Err)
    }

    pub fn failed(&self, from: IpAddr, user: Option<&str>, now: Mono) {
        let mut failures = self.lock();
        for key in [Some(Key::Address(network(from))), user.map(|u| Key::User(shortened(u)))].into_iter().flatten() {
            if failures.len() >= MOST && !failures.contains_key(&key) {
                failures.retain(|_, f| now.since(f.since) < WINDOW);
                if failures.len() >= MOST
                    && let Some(oldest) = failures.iter().min_by_key(|(_, f)| f.since).map(|(k, _)| k.clone())
                {
                    failures.remove(&oldest);
                }
            }
            let entry = failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if now.since(entry.since) >= WINDOW {
                *entry = Failures { since: now, count: 0 };
            }
            entry.count += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer of a provider has a /64 of IPv6 to choose addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !(u128::from(u64::MAX))).into()),
    }
}

fn shortened(user: &str) -> String {
    user.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono::from_millis(s * 1_000)
    }

    #[test]
    fn an_address_is_slowed_after_ten_failures_and_heard_again_after_a_minute() {
        let throttle = Throttle::default();
        let (bad, good): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..BY_ADDRESS {
            assert_eq!(throttle.check(bad, Some("ann"), at(5)), Ok(()));
            throttle.failed(bad, Some("ann"), at(5));
        }
        assert_eq!(throttle.check(bad, None, at(15)), Err(Duration::from_secs(50)));
        assert_eq!(throttle.check(good, Some("ann"), at(15)), Ok(()), "the real one still comes in");
        assert_eq!(throttle.check(bad, Some("ann"), at(65)), Ok(()));
        throttle.failed(bad, Some("ann"), at(65));
        assert_eq!(throttle.check(bad, Some("ann"), at(66)), Ok(()));
    }

    #[test]
    fn a_user_who_is_guessed_from_many_addresses_is_slowed_too() {
        let throttle = Throttle::default();
        for n in 0..BY_USER {
            throttle.failed(IpAddr::from([10, 0, 0, n as u8]), Some("ann"), at(0));
        }
        assert!(throttle.check("10.9.9.9".parse().unwrap(), Some("ann"), at(1)).is_err());
        assert!(throttle.check("10.9.9.9".parse().unwrap(), Some("bob"), at(1)).is_ok());
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let other: IpAddr = "2001:db8::2".parse().unwrap();
        for _ in 0..BY_ADDRESS {
            throttle.failed(one, None, at(0));
        }
        assert!(throttle.check(other, None, at(1)).is_err(), "the same /64");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for n in 0..(MOST as u32 + 100) {
            throttle.failed(IpAddr::from(n.to_be_bytes()), None, at(u64::from(n) / 1_000));
        }
        assert!(throttle.lock().len() <= MOST);
    }
}
