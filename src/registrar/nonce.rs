//! Nonces that prove themselves, and how often each was used.
//!
//! A nonce is its time of birth, chance, and a keyed hash of both, so a challenge costs no memory and a flood of strangers fills nothing.
//! Only one that a right digest was made with is remembered, with the counts used so far, until it is too old anyway. The key is
//! chance of this process: after a restart every nonce is strange, and the phone gets a new one with `stale`. So it is with those that
//! were born up to one whose uses had to be forgotten, for they might be good twice.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::chance::Chance;
use crate::clock::Mono;
use crate::sip::{Algorithm, same};

/// How long a challenge may be answered. Long enough for a person who types a password, short enough to be worth nothing to a thief;
/// chosen by feel.
pub const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Counts behind the highest one that may still come, once each: phones with several requests in flight over UDP get out of order.
const WINDOW: u32 = 64;
/// Octets of a nonce before its proof.
const FRONT: usize = 32;
/// Nonces in use at once: ten thousand phones that take a new one every five minutes, with room for their calls. Beyond it the oldest is
/// forgotten.
const MAX_USED: usize = 32_768;

pub struct Nonces {
    key: [u8; 32],
    /// By [front](front_of), so in the order of birth.
    used: BTreeMap<u128, Uses>,
    /// None that was born before is good.
    since: Mono,
}

struct Uses {
    highest: u32,
    /// Bit n: `highest - n` was used.
    seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Ours, but too old.
    Old,
    /// Not of this process, or made up.
    Strange,
}

impl Nonces {
    pub fn new(chance: &mut Chance) -> Nonces {
        Nonces { key: chance.bytes(), used: BTreeMap::new(), since: Mono::ZERO }
    }

    pub fn issue(&self, chance: &mut Chance, now: Mono) -> Bytes {
        let front = format!("{:016x}{:016x}", now.as_micros(), chance.next_u64());
        let proof = self.proof(front.as_bytes());
        Bytes::from(front + &proof)
    }

    pub fn check(&self, nonce: &[u8], now: Mono) -> Freshness {
        let Some((front, proof)) = nonce.split_at_checked(FRONT) else { return Freshness::Strange };
        if !same(self.proof(front).as_bytes(), proof) {
            return Freshness::Strange;
        }
        match front_of(nonce).map(born) {
            Some(born) if born + NONCE_LIFE > now && born <= now && born >= self.since => Freshness::Fresh,
            Some(_) | None => Freshness::Old,
        }
    }

    /// Uses count `nc` of a fresh nonce, for a digest that was right; `None` is the form without counts, good for one use. False if that
    /// was used already.
    pub fn spend(&mut self, nonce: &[u8], nc: Option<u32>) -> bool {
        let nc = nc.unwrap_or(1);
        let Some(front) = front_of(nonce).filter(|_| nc > 0) else { return false };
        if let Some(uses) = self.used.get_mut(&front) {
            return uses.spend(nc);
        }
        self.used.insert(front, Uses { highest: nc, seen: 1 });
        if self.used.len() > MAX_USED
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.since = born(oldest) + Duration::from_micros(1);
        }
        true
    }

    pub fn expire(&mut self, now: Mono) {
        while let Some(oldest) = self.used.first_entry().filter(|oldest| born(*oldest.key()) + NONCE_LIFE <= now) {
            oldest.remove();
        }
    }

    fn proof(&self, front: &[u8]) -> String {
        let mut proof = Algorithm::Sha256.hash(&[&self.key, front, &self.key]);
        proof.truncate(32);
        proof
    }
}

impl Uses {
    fn spend(&mut self, nc: u32) -> bool {
        if nc > self.highest {
            let ahead = nc - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            self.highest = nc;
            return true;
        }
        let behind = self.highest - nc;
        let bit = if behind < WINDOW { 1u64 << behind } else { return false };
        let first = self.seen & bit == 0;
        self.seen |= bit;
        first
    }
}

/// Its time of birth in the upper half, chance in the lower.
fn front_of(nonce: &[u8]) -> Option<u128> {
    u128::from_str_radix(std::str::from_utf8(nonce.get(..FRONT)?).ok()?, 16).ok()
}

fn born(front: u128) -> Mono {
    Mono::from_micros((front >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten_and_can_not_be_used_again() {
        let mut chance = Chance::seeded([7; 32]);
        let mut nonces = Nonces::new(&mut chance);
        let at = |n: usize| Mono::from_millis(1_000 + u64::try_from(n).unwrap());
        let all: Vec<Bytes> = (0..=MAX_USED).map(|n| nonces.issue(&mut chance, at(n))).collect();
        let now = at(MAX_USED);
        for nonce in &all {
            assert_eq!(nonces.check(nonce, now), Freshness::Fresh);
            assert!(nonces.spend(nonce, Some(1)));
        }
        assert_eq!(nonces.used.len(), MAX_USED);
        assert_eq!(nonces.check(&all[0], now), Freshness::Old, "its uses are forgotten");
        for nonce in [&all[1], all.last().unwrap()] {
            assert_eq!(nonces.check(nonce, now), Freshness::Fresh);
            assert!(!nonces.spend(nonce, Some(1)), "used");
            assert!(nonces.spend(nonce, Some(2)));
        }
    }

    #[test]
    fn uses_are_forgotten_with_the_nonce_and_not_before() {
        let mut chance = Chance::seeded([7; 32]);
        let mut nonces = Nonces::new(&mut chance);
        let (first, second) = (Mono::from_millis(1_000), Mono::from_millis(2_000));
        for born in [first, second] {
            let nonce = nonces.issue(&mut chance, born);
            assert!(nonces.spend(&nonce, None));
        }
        nonces.expire(first + NONCE_LIFE - Duration::from_micros(1));
        assert_eq!(nonces.used.len(), 2);
        nonces.expire(first + NONCE_LIFE);
        assert_eq!(nonces.used.len(), 1);
        nonces.expire(second + NONCE_LIFE);
        assert!(nonces.used.is_empty());
        assert!(!nonces.spend(b"short", None));
    }
}
