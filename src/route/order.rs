//! The order in which equals are tried: by priority, and within one by chance and weight (RFC 2782, "Usage rules").

use crate::chance::Chance;

/// Lower is tried first.
pub type Priority = u32;
/// The share of one among those of its priority; 0 is nearly never first.
pub type Weight = u16;

/// Draws an order; what is tried first within a priority is so as often as its weight says.
pub fn order<T>(all: Vec<T>, rank: impl Fn(&T) -> (Priority, Weight), chance: &mut Chance) -> Vec<T> {
    // With the weights of 0 in front they have their small chance, that of a draw of 0.
    let mut left = all;
    left.sort_by_key(|one| {
        let (priority, weight) = rank(one);
        (priority, weight != 0)
    });
    let mut drawn = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let priority = rank(first).0;
        let equals = left.iter().take_while(|one| rank(one).0 == priority).map(|one| u64::from(rank(one).1));
        let sums: Vec<u64> = equals
            .scan(0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let most = sums.last().copied().unwrap_or(0);
        // A lone one needs no chance: what is drawn later does not hang on it.
        let draw = if sums.len() == 1 { 0 } else { chance.below(most + 1) };
        let at = sums.iter().position(|sum| *sum >= draw).unwrap_or(0);
        drawn.push(left.remove(at));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nobody_is_lost_and_priorities_never_mix(all in proptest::collection::vec((0u32..4, 0u16..50), 0..12), seed: u8) {
            let numbered: Vec<(usize, (u32, u16))> = all.iter().copied().enumerate().collect();
            let mut chance = Chance::seeded([seed; 32]);
            let drawn = order(numbered.clone(), |one| one.1, &mut chance);
            let priorities: Vec<u32> = drawn.iter().map(|one| one.1.0).collect();
            prop_assert!(priorities.is_sorted());
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, numbered.clone());
            let again = order(numbered, |one| one.1, &mut Chance::seeded([seed; 32]));
            prop_assert_eq!(drawn, again);
        }

        #[test]
        fn who_is_first_is_so_as_often_as_its_weight_says(weights in proptest::collection::vec(1u16..20, 2..5), seed: u8) {
            const DRAWS: u32 = 2_000;
            let mut chance = Chance::seeded([seed; 32]);
            let mut firsts: BTreeMap<usize, u32> = BTreeMap::new();
            for _ in 0..DRAWS {
                let all: Vec<(usize, u16)> = weights.iter().copied().enumerate().collect();
                let drawn = order(all, |one| (7, one.1), &mut chance);
                *firsts.entry(drawn[0].0).or_default() += 1;
            }
            let sum: u16 = weights.iter().sum();
            for (i, weight) in weights.iter().enumerate() {
                let wanted = f64::from(*weight) / f64::from(sum);
                let was = f64::from(firsts.get(&i).copied().unwrap_or(0)) / f64::from(DRAWS);
                // The draw is from 0 to the sum, both included, so the first has a little more: RFC 2782 says so.
                prop_assert!((was - wanted).abs() < 0.06 + 1.0 / f64::from(sum), "{weights:?}: {i} {was} {wanted}");
            }
        }
    }

    #[test]
    fn a_weight_of_nothing_is_seldom_first_and_never_lost() {
        let mut chance = Chance::seeded([1; 32]);
        let mut firsts = 0;
        for _ in 0..1_000 {
            let drawn = order(vec![("zero", 0), ("big", 99)], |one| (0, one.1), &mut chance);
            assert_eq!(drawn.len(), 2);
            firsts += u32::from(drawn[0].0 == "zero");
        }
        assert!((1..40).contains(&firsts), "{firsts}");
    }
}
