//! Who may not try PINs for a while.
//!
//! Wrong PINs are counted by mailbox and by where they come from, over all calls; [`Rules::failures`] of them within [`Rules::lasts`] lock
//! the one or the other out for that long. A mailbox that is locked is locked for others than its own phone, so that nobody can keep its
//! owner from it; that phone has the count of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Trier;
use crate::clock::{Mono, Now, Wall};
use crate::ids::Number;

/// Mailboxes and sources that are counted at once. Beyond it the one that was quiet for longest is forgotten.
const MOST: usize = 4_096;

/// Whom a count or a lock is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    Mailbox(Number),
    /// `phone:201`, or `trunk:carrier/+4930123456`.
    Source(String),
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Whom::Mailbox(number) => write!(f, "mailbox:{number}"),
            Whom::Source(source) => f.write_str(source),
        }
    }
}

/// When, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Wrong PINs; zero locks nobody.
    pub failures: u32,
    pub lasts: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub failures: u32,
    pub since: Wall,
    pub until: Wall,
}

#[derive(Debug)]
struct Count {
    failures: u32,
    last: Mono,
    /// Until then, once it is one.
    lock: Option<(Mono, Lock)>,
}

#[derive(Debug, Default)]
pub struct Locks {
    counts: BTreeMap<Whom, Count>,
    /// When each lock ends, the first one first: asked for at each input.
    ends: BTreeSet<(Mono, Whom)>,
}

impl Locks {
    /// Whether this source may not try PINs of this mailbox now.
    pub fn is_locked(&self, who: &Trier, now: Mono) -> bool {
        let is = |whom: &Whom| self.counts.get(whom).and_then(|c| c.lock.as_ref()).is_some_and(|(until, _)| now < *until);
        is(&Whom::Source(who.source.clone())) || (!who.own && is(&Whom::Mailbox(who.mailbox.clone())))
    }

    /// A wrong PIN: who is locked out by it.
    pub fn failed(&mut self, who: &Trier, rules: Rules, now: Now) -> Vec<(Whom, Lock)> {
        let mut locked = Vec::new();
        for whom in [Whom::Mailbox(who.mailbox.clone()), Whom::Source(who.source.clone())] {
            // The owner's slips are no attack on the mailbox.
            if who.own && matches!(whom, Whom::Mailbox(_)) {
                continue;
            }
            if self.counts.len() >= MOST && !self.counts.contains_key(&whom) {
                let quietest = self.counts.iter().min_by_key(|(_, count)| count.last).map(|(whom, _)| whom.clone());
                if let Some(whom) = quietest {
                    self.forget(&whom);
                }
            }
            let count = self.counts.entry(whom.clone()).or_insert(Count { failures: 0, last: now.mono, lock: None });
            if now.mono.since(count.last) >= rules.lasts {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last = now.mono;
            if rules.failures > 0 && count.failures >= rules.failures && count.lock.is_none() {
                let lock = Lock { failures: count.failures, since: now.wall, until: now.wall + rules.lasts };
                let end = now.mono + rules.lasts;
                count.lock = Some((end, lock));
                self.ends.insert((end, whom.clone()));
                locked.push((whom, lock));
            }
        }
        locked
    }

    /// The right PIN: what this source tried before were slips.
    pub fn succeeded(&mut self, who: &Trier) {
        let source = Whom::Source(who.source.clone());
        if self.counts.get(&source).is_some_and(|count| count.lock.is_none()) {
            self.forget(&source);
        }
    }

    /// False where there was none.
    pub fn lift(&mut self, whom: &Whom) -> bool {
        let locked = self.counts.get(whom).is_some_and(|count| count.lock.is_some());
        if locked {
            self.forget(whom);
        }
        locked
    }

    /// Those whose time is over.
    pub fn expire(&mut self, now: Mono) -> Vec<Whom> {
        let mut over = Vec::new();
        while let Some((_, whom)) = self.ends.first().filter(|(end, _)| *end <= now).cloned() {
            self.forget(&whom);
            over.push(whom);
        }
        over
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.ends.first().map(|(end, _)| *end)
    }

    fn forget(&mut self, whom: &Whom) {
        if let Some(Count { lock: Some((end, _)), .. }) = self.counts.remove(whom) {
            self.ends.remove(&(end, whom.clone()));
        }
    }

    pub fn all(&self) -> impl Iterator<Item = (&Whom, &Lock)> {
        self.counts.iter().filter_map(|(whom, count)| Some((whom, &count.lock.as_ref()?.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { failures: 3, lasts: Duration::from_secs(60) };

    fn now(s: u64) -> Now {
        Now { mono: Mono::from_millis(s * 1_000), wall: Wall::from_micros(s as i64 * 1_000_000) }
    }

    fn of(mailbox: &str, source: &str, own: bool) -> Trier {
        Trier { mailbox: mailbox.into(), source: source.to_owned(), own }
    }

    #[test]
    fn guesses_from_many_sources_lock_the_mailbox_and_from_one_the_source() {
        let mut locks = Locks::default();
        for (n, source) in ["phone:210", "phone:211"].into_iter().enumerate() {
            assert!(locks.failed(&of("201", source, false), RULES, now(n as u64)).is_empty());
        }
        let third = locks.failed(&of("201", "phone:212", false), RULES, now(2));
        assert_eq!(third.iter().map(|(whom, _)| whom.to_string()).collect::<Vec<_>>(), ["mailbox:201"]);
        assert!(locks.is_locked(&of("201", "phone:213", false), now(3).mono));
        assert!(!locks.is_locked(&of("201", "phone:201", true), now(3).mono), "its owner");
        assert!(!locks.is_locked(&of("202", "phone:212", false), now(3).mono));
        for mailbox in ["203", "204"] {
            locks.failed(&of(mailbox, "phone:212", false), RULES, now(4));
        }
        assert!(locks.is_locked(&of("205", "phone:212", false), now(5).mono));
        assert_eq!(locks.all().count(), 2);
        assert_eq!(locks.expire(now(62).mono), [Whom::Mailbox("201".into())]);
        assert!(!locks.is_locked(&of("201", "phone:213", false), now(62).mono));
        assert!(locks.lift(&Whom::Source("phone:212".to_owned())) && !locks.lift(&Whom::Source("phone:212".to_owned())));
    }

    #[test]
    fn slips_are_forgotten_by_time_and_by_the_right_pin_and_all_is_bounded() {
        let mut locks = Locks::default();
        let owner = of("201", "phone:201", true);
        for s in [0, 1] {
            assert!(locks.failed(&owner, RULES, now(s)).is_empty());
        }
        locks.succeeded(&owner);
        for s in [2, 3, 64] {
            assert!(locks.failed(&owner, RULES, now(s)).is_empty(), "{s}");
        }
        for n in 0..2 * MOST as u64 {
            locks.failed(&of("201", &format!("trunk:t/{n}"), false), Rules { failures: 0, ..RULES }, now(100));
        }
        assert_eq!((locks.counts.len(), locks.all().count()), (MOST, 0));
        // Locks that others push out are no longer waited for.
        for n in 0..2 * MOST as u64 {
            locks.failed(&of("202", &format!("trunk:u/{n}"), false), Rules { failures: 1, ..RULES }, now(200 + n));
        }
        assert_eq!((locks.all().count(), locks.ends.len()), (MOST, MOST));
        assert_eq!(locks.deadline(), locks.ends.first().map(|(end, _)| *end));
        while let Some(at) = locks.deadline() {
            assert!(!locks.expire(at).is_empty());
        }
        assert_eq!((locks.all().count(), locks.ends.len(), locks.counts.len()), (0, 0, 0));
    }
}
