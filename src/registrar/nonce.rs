//! Nonces that prove themselves, and how often each was used.
//!
//! A nonce is its time of birth, chance, and a keyed hash of both, so a challenge costs no memory and a flood of strangers fills nothing.
//! Only one that a right digest was made with is remembered, with the counts used so far, until it is too old anyway. The key is
//! chance of this process: after a restart every nonce is strange, and the phone gets a new one with `stale`.

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
/// Nonces in use at once. A phone has one or two; beyond it all are forgotten, and phones challenged anew.
const MAX_USED: usize = 16_384;

pub struct Nonces {
    key: [u8; 32],
    used: BTreeMap<Bytes, Uses>,
}

struct Uses {
    born: Mono,
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
        Nonces { key: chance.bytes(), used: BTreeMap::new() }
    }

    pub fn issue(&self, chance: &mut Chance, now: Mono) -> Bytes {
        let front = format!("{:016x}{:016x}", now.as_micros(), chance.next_u64());
        let proof = self.proof(front.as_bytes());
        Bytes::from(front + &proof)
    }

    pub fn check(&self, nonce: &[u8], now: Mono) -> Freshness {
        let Some((front, proof)) = nonce.split_at_checked(32) else { return Freshness::Strange };
        if !same(self.proof(front).as_bytes(), proof) {
            return Freshness::Strange;
        }
        match born(front) {
            Some(born) if born + NONCE_LIFE > now && born <= now => Freshness::Fresh,
            Some(_) | None => Freshness::Old,
        }
    }

    /// Uses count `nc` of a fresh nonce, for a digest that was right; `None` is the form without counts, good for one use. False if that
    /// was used already.
    pub fn spend(&mut self, nonce: &Bytes, nc: Option<u32>, now: Mono) -> bool {
        let nc = nc.unwrap_or(1);
        if nc == 0 {
            return false;
        }
        if let Some(uses) = self.used.get_mut(nonce) {
            return uses.spend(nc);
        }
        if self.used.len() >= MAX_USED {
            self.forget_all();
        }
        let born = nonce.get(..32).and_then(born).unwrap_or(now);
        self.used.insert(Bytes::copy_from_slice(nonce), Uses { born, highest: nc, seen: 1 });
        true
    }

    pub fn expire(&mut self, now: Mono) {
        self.used.retain(|_, uses| uses.born + NONCE_LIFE > now);
    }

    /// A nonce whose uses are forgotten must not be good again, so the key changes and all of them are strange.
    fn forget_all(&mut self) {
        self.used.clear();
        let next = Algorithm::Sha256.hash(&[&self.key, b"next"]);
        for (byte, new) in self.key.iter_mut().zip(next.as_bytes()) {
            *byte ^= new;
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

fn born(front: &[u8]) -> Option<Mono> {
    let hex = std::str::from_utf8(front.get(..16)?).ok()?;
    u64::from_str_radix(hex, 16).ok().map(Mono::from_micros)
}
