//! Stretches of time, and what is left of some without others.

use serde::{Deserialize, Serialize};

use crate::clock::Wall;

/// From, until; empty where `to` is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub from: Wall,
    pub to: Wall,
}

impl Span {
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    pub fn ms(self) -> u64 {
        u64::try_from(self.to.since(self.from).as_millis()).unwrap_or(u64::MAX)
    }

    pub fn and(self, other: Span) -> Option<Span> {
        let both = Span { from: self.from.max(other.from), to: self.to.min(other.to) };
        (!both.is_empty()).then_some(both)
    }

    /// What is left of it.
    pub fn without<'a>(self, others: impl IntoIterator<Item = &'a Span>) -> Vec<Span> {
        let mut left = vec![self];
        for other in others.into_iter().filter(|other| !other.is_empty()) {
            left = left
                .into_iter()
                .flat_map(|span| {
                    let before = Span { from: span.from, to: span.to.min(other.from) };
                    let after = Span { from: span.from.max(other.to), to: span.to };
                    [before, after]
                })
                .collect();
        }
        left.retain(|span| !span.is_empty());
        left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: i64, to: i64) -> Span {
        Span { from: Wall::from_micros(from), to: Wall::from_micros(to) }
    }

    proptest! {
        #[test]
        fn each_moment_is_left_unless_one_of_the_others_has_it(
            whole in (0..60i64, 0..60i64),
            others in prop::collection::vec((0..60i64, 0..60i64), 0..6),
        ) {
            let others: Vec<Span> = others.into_iter().map(|(from, to)| span(from, to)).collect();
            let whole = span(whole.0, whole.1);
            let left = whole.without(&others);
            for moment in 0..60 {
                let moment = span(moment, moment + 1);
                let expected = whole.and(moment).is_some() && others.iter().all(|o| o.and(moment).is_none());
                prop_assert_eq!(left.iter().filter(|l| l.and(moment).is_some()).count(), usize::from(expected));
            }
            prop_assert!(left.is_sorted_by(|a, b| a.to <= b.from));
        }
    }
}
