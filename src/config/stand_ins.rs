//! What stands for digits that are keyed at a masked node of a menu, where something is kept of them: a journal.
//!
//! Each is a 0, but for the last one of digits that the node knows (`exact`): that is which of them it is, 1 to 9. A configuration that is
//! kept with the journal has them in that form too ([`Source::redacted`](super::Source::redacted)), so that a replay takes the same way out
//! of the node as the run did, and nobody reads there what was keyed. Known digits beyond nine that begin alike have no form of their own: a
//! replay takes them for wrong ones.

use std::collections::{BTreeMap, BTreeSet};

const MOST: u8 = 9;

/// Of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandIns {
    /// Known digits, and what stands for the last one.
    last: BTreeMap<String, char>,
}

impl StandIns {
    /// `known` are strings of digits, each once.
    pub fn of<'a>(known: impl Iterator<Item = &'a str>) -> StandIns {
        let mut known: Vec<&str> = known.collect();
        // What others begin with comes first.
        known.sort_by_key(|digits| (digits.len(), *digits));
        let mut all = StandIns::default();
        let mut used: BTreeMap<String, u8> = BTreeMap::new();
        for digits in known {
            let Some((at, _)) = digits.char_indices().next_back() else { continue };
            let (before, _) = digits.split_at(at);
            let count = used.entry(all.digits(before)).or_default();
            *count = count.saturating_add(1);
            if *count <= MOST {
                all.last.insert(digits.to_owned(), char::from(b'0' + *count));
            }
        }
        all
    }

    /// What stands for a key that comes behind these digits. Keys that are no digits say nothing, and are kept.
    pub fn key(&self, before: &str, key: char) -> char {
        match key {
            '0'..='9' => self.last.get(&format!("{before}{key}")).copied().unwrap_or('0'),
            other => other,
        }
    }

    /// What these digits are kept as.
    pub fn digits(&self, digits: &str) -> String {
        digits.char_indices().map(|(at, key)| self.key(digits.get(..at).unwrap_or_default(), key)).collect()
    }

    /// The form that known digits have in a configuration that is kept; each another one.
    pub fn known<'a>(&self, known: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
        let (named, nameless): (Vec<&str>, Vec<&str>) = known.partition(|digits| self.last.contains_key(*digits));
        let mut all: BTreeMap<String, String> = named.into_iter().map(|one| (one.to_owned(), self.digits(one))).collect();
        let mut taken: BTreeSet<String> = all.values().cloned().collect();
        for one in nameless {
            // From the other end, where nothing that is keyed is kept as.
            let mut free = (0..1_000_u32).map(|n| format!("{n:0>width$}", width = one.len()));
            let nines = |text: String| text.bytes().map(|digit| char::from(b'0' + b'9' - digit)).collect::<String>();
            let form = free.by_ref().map(nines).find(|form| form.len() == one.len() && !taken.contains(form));
            if let Some(form) = form {
                taken.insert(form.clone());
                all.insert(one.to_owned(), form);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_what_is_known_has_its_own_and_all_else_is_zeros() {
        let known = ["4711", "4712", "47", "471", "0815", "9"];
        let all = StandIns::of(known.into_iter());
        let kept = |digits: &str| all.digits(digits);
        let forms: BTreeSet<String> = known.iter().map(|digits| kept(digits)).collect();
        assert_eq!(forms.len(), known.len());
        for (digits, form) in [("9", "1"), ("47", "01"), ("471", "011"), ("0815", "0001"), ("4711", "0111"), ("4712", "0112")] {
            assert_eq!(kept(digits), form, "{digits}");
        }
        for unknown in ["1", "4", "0000", "4713", "47110", "91"] {
            assert!(!forms.contains(&kept(unknown)), "{unknown}: {}", kept(unknown));
            assert_eq!(kept(unknown).len(), unknown.len());
        }
        assert_eq!((all.key("471", '#'), all.key("471", '*')), ('#', '*'));
    }

    #[test]
    fn more_than_nine_have_forms_that_differ_and_that_no_key_is_kept_as() {
        let known: Vec<String> = (10..40).map(|n| n.to_string()).collect();
        let known = || known.iter().map(String::as_str);
        let all = StandIns::of(known());
        let forms = all.known(known());
        assert_eq!(forms.values().collect::<BTreeSet<_>>().len(), 30);
        assert!(forms.values().all(|form| form.len() == 2));
        let nameless = forms.iter().filter(|(digits, form)| all.digits(digits) != **form);
        assert_eq!(nameless.map(|(digits, _)| all.digits(digits)).collect::<BTreeSet<_>>(), ["00".to_owned()].into());
    }
}
