//! Wrong passwords, counted by source and by source and user, so that guessing is slow and a mistyped password in one phone does not lock
//! out the others behind the same address, nor itself for good.
//!
//! Behind an edge proxy of our own, a source is what that reports (`[sip] proxies`).
//!
//! A challenge is no failure: only a digest that was computed and is wrong counts.
//!
//! | wrong digests in a minute | from | wait out the minute |
//! |---|---|---|
//! | [`PER_USER`] for one user | one source | that source with that user |
//! | [`PER_SOURCE`] for whomever | one source | that source |
//! | [`PER_USER_ANYWHERE`] for one user | any sources | that user, but from where it proved itself last: a phone is not locked out by strangers |
//! | [`PER_USER`] for one user | the flow that it is registered on | that flow; nothing else holds for it |

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::From;
use crate::clock::Mono;
use crate::sip::Transport;

/// Failures are counted over this long, and a source that is over its limit waits until it has passed.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Of one source for one user: a phone with a wrong password tries a few times a minute.
const PER_USER: u32 = 10;
/// Of one source: an office of a hundred phones after somebody changed all passwords.
const PER_SOURCE: u32 = 200;
/// For one user from wherever it comes. Several devices of one number with an old password stay below it.
const PER_USER_ANYWHERE: u32 = 60;
/// Sources with wrong digests for one user within [`GUESSING`]: more than the devices that a person forgot to give a new password.
pub const GUESSING_SOURCES: usize = 3;
/// An alarm counts over this long, and is told once in it for each reason.
pub const GUESSING: Duration = Duration::from_secs(600);
/// Sources that an alarm names.
const MOST_SOURCES: usize = 16;
/// Beyond it the longest known is forgotten: an attacker with so many addresses is not slowed by counting.
const MAX_KNOWN: usize = 8_192;

/// Address; port, where it is a registered flow's; user, or all of them.
type Key = (IpAddr, Option<u16>, Option<Vec<u8>>);

#[derive(Default)]
pub struct Throttle {
    failures: BTreeMap<Key, Failures>,
    guessed: BTreeMap<Vec<u8>, Guessed>,
    /// Where each user has proven itself last. Real users alone, so their number bounds it.
    proven: BTreeMap<Vec<u8>, IpAddr>,
}

/// Wrong digests for one user, from anywhere.
struct Guessed {
    since: Mono,
    minute: Failures,
    count: u32,
    sources: BTreeSet<IpAddr>,
    /// That one source has reached its limit; that several have tried.
    told: [bool; 2],
}

/// Somebody tries a user's passwords: one source until it must wait, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub user: String,
    pub sources: Vec<IpAddr>,
    /// Since the first that is counted, at most [`GUESSING`] ago.
    pub failures: u32,
}

/// Where a digest came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub address: IpAddr,
    /// A proxy stands there, with everybody behind it: counted by user alone, so that no one of them locks all others out.
    pub is_shared: bool,
    /// Of the very flow that the user is registered on: nobody's failures but its own count there, so that who guesses behind the same
    /// address does not keep the phone from calling. Under a forged address it is still counted, by itself.
    pub port: Option<u16>,
}

impl Source {
    /// `is_registered`: the user holds a binding on this flow.
    pub fn of(from: &From, is_registered: bool) -> Source {
        let (address, port) = (from.source().ip(), from.source().port());
        let behind_web_proxy = matches!(from.flow.transport, Transport::Ws | Transport::Wss) && address.is_loopback();
        // A proxy that does not say whom it speaks for stands for all.
        let is_shared = behind_web_proxy || from.is_proxied && from.reported.is_none();
        Source { address, port: is_registered.then_some(port), is_shared }
    }
}

struct Failures {
    since: Mono,
    count: u32,
}

impl Throttle {
    /// How long this source must wait before this user's password is looked at again.
    pub fn wait(&self, source: Source, user: &[u8], now: Mono) -> Option<Duration> {
        let Source { address, is_shared, port } = source;
        let over = |key: Key, limit: u32| {
            let failures = self.failures.get(&key).filter(|f| f.count >= limit && f.since + WINDOW > now)?;
            Some((failures.since + WINDOW).since(now))
        };
        if port.is_some() {
            return over((address, port, Some(short(user))), PER_USER);
        }
        let all = if is_shared { None } else { over((address, None, None), PER_SOURCE) };
        let user = short(user);
        let anywhere = self.guessed.get(&user).map(|guessed| &guessed.minute);
        let anywhere = anywhere.filter(|f| f.count >= PER_USER_ANYWHERE && f.since + WINDOW > now);
        let anywhere = anywhere.filter(|_| self.proven.get(&user) != Some(&address)).map(|f| (f.since + WINDOW).since(now));
        all.into_iter().chain(over((address, None, Some(user)), PER_USER)).chain(anywhere).max()
    }

    /// A right digest.
    pub fn proven(&mut self, source: Source, user: &[u8]) {
        self.proven.insert(short(user), source.address);
    }

    /// A wrong digest.
    pub fn failed(&mut self, source: Source, user: &[u8], now: Mono) -> Option<Alarm> {
        let Source { address, port, .. } = source;
        let all = port.is_none().then_some((address, None, None));
        for key in all.into_iter().chain([(address, port, Some(short(user)))]) {
            if self.failures.len() >= MAX_KNOWN && !self.failures.contains_key(&key) {
                self.make_room(now);
            }
            let failures = self.failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if failures.since + WINDOW <= now {
                *failures = Failures { since: now, count: 0 };
            }
            failures.count += 1;
        }
        self.guessed(source, user, now)
    }

    fn guessed(&mut self, source: Source, user: &[u8], now: Mono) -> Option<Alarm> {
        let key = short(user);
        let here = self.failures.get(&(source.address, source.port, Some(key.clone()))).map_or(0, |f| f.count);
        if self.guessed.len() >= MAX_KNOWN && !self.guessed.contains_key(&key) {
            let oldest = self.guessed.iter().min_by_key(|(_, g)| g.since).map(|(key, _)| key.clone());
            oldest.map(|key| self.guessed.remove(&key));
        }
        let fresh = || Guessed {
            since: now,
            minute: Failures { since: now, count: 0 },
            count: 0,
            sources: BTreeSet::new(),
            told: [false; 2],
        };
        let guessed = self.guessed.entry(key).or_insert_with(fresh);
        if guessed.since + GUESSING <= now {
            *guessed = fresh();
        }
        if guessed.minute.since + WINDOW <= now {
            guessed.minute = Failures { since: now, count: 0 };
        }
        guessed.minute.count += 1;
        guessed.count += 1;
        if guessed.sources.len() < MOST_SOURCES {
            guessed.sources.insert(source.address);
        }
        let reached = [here >= PER_USER, guessed.sources.len() >= GUESSING_SOURCES];
        let told = guessed.told;
        guessed.told = [told[0] || reached[0], told[1] || reached[1]];
        (guessed.told != told).then(|| Alarm {
            user: String::from_utf8_lossy(user.get(..64).unwrap_or(user)).into_owned(),
            sources: guessed.sources.iter().copied().collect(),
            failures: guessed.count,
        })
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
