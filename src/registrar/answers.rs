//! What is said to sources that have proven nothing, beyond what they have sent.
//!
//! The address of a datagram may be forged, and a challenge is longer than a REGISTER in its shortest form: whoever sends many of those in
//! the name of somebody has us flood him, and neither a challenge nor a 200 to OPTIONS is a refusal that a ban would come of. So what
//! answers are longer than their requests is counted by source, and over [`BURST`] at once, or [`PER_SECOND`] for ever, requests get no
//! answer there but one that is no longer than they are. Most phones' REGISTERs are as long as a challenge with one algorithm, and a phone
//! repeats its request for half a minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Mono;

/// Octets. Six hundred phones behind one NAT after a power cut, with the shortest requests that there are; others cost less or nothing.
pub const BURST: u64 = 128 << 10;
/// Octets: 40 challenges a second to the shortest requests.
pub const PER_SECOND: u64 = 8 << 10;
/// Sources that are known. Beyond it all begin anew: who has made as many up has sent more than he can have sent back.
const MAX_KNOWN: usize = 4_096;

#[derive(Debug, Default)]
pub struct Answers {
    owed: BTreeMap<IpAddr, (u64, Mono)>,
}

impl Answers {
    /// Whether an answer may go to this source that is so many octets longer than what it answers.
    pub fn may_grow(&mut self, source: IpAddr, octets: usize, now: Mono) -> bool {
        if self.owed.len() >= MAX_KNOWN && !self.owed.contains_key(&source) {
            self.owed.clear();
        }
        let (owed, since) = self.owed.entry(source).or_insert((0, now));
        let gone: Duration = now.since(*since);
        let paid = gone.as_millis().saturating_mul(u128::from(PER_SECOND)) / 1_000;
        let left = owed.saturating_sub(u64::try_from(paid).unwrap_or(u64::MAX));
        let next = left.saturating_add(octets as u64);
        if next > BURST {
            return false;
        }
        (*owed, *since) = (next, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_gets_a_burst_and_then_what_it_is_due() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut answers = Answers::default();
        let start = Mono::from_millis(1_000);
        let all = (0..10_000).filter(|_| answers.may_grow(one, 200, start)).count();
        assert_eq!(all as u64, BURST / 200);
        assert!(answers.may_grow(other, 200, start), "each has its own");
        let later = start + Duration::from_secs(10);
        let all = (0..10_000).filter(|_| answers.may_grow(one, 200, later)).count();
        assert!((PER_SECOND * 10 / 200).abs_diff(all as u64) <= 1, "{all}");
    }
}
