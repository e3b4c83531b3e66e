//! Ways out of a node: to another node, to a place outside the menu, to a number made of what was keyed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::config::{BadPlace, Place};

/// As given: `node:x`, a place, or `number:` with `{digits}` or another stored name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GivenExit {
    Node(String),
    Place(Place),
    Dial(Template),
}

/// A node, by its place in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) usize);

/// As resolved, with the line that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) to: To,
    pub(super) line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Node(NodeId),
    Leave(Place),
    Dial(Template),
}

/// `number:` and what follows it: digits, and names of what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Digits(String),
    Stored(String),
}

impl Template {
    /// Names that it takes its digits from.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Digits(_) => None,
            Part::Stored(name) => Some(name.as_str()),
        })
    }

    /// The number; `None` where something was never stored, or nothing was keyed.
    pub(super) fn fill(&self, stored: &BTreeMap<String, String>) -> Option<String> {
        let mut number = String::new();
        for part in &self.0 {
            match part {
                Part::Digits(digits) => number.push_str(digits),
                Part::Stored(name) => number.push_str(stored.get(name)?),
            }
        }
        (!number.is_empty()).then_some(number)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("number:")?;
        self.0.iter().try_for_each(|part| match part {
            Part::Digits(digits) => f.write_str(digits),
            Part::Stored(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum BadExit {
    #[error(
        "`{0}` is not a place to go: write node:, menu:, queue:, phone:, voicemail:, callback:, number: and a name, or hangup"
    )]
    Place(String),
    #[error("`{0}` is no number to dial: write number: and digits, with {{digits}} or another stored name among them")]
    Template(String),
}

impl std::str::FromStr for GivenExit {
    type Err = BadExit;

    fn from_str(text: &str) -> Result<Self, BadExit> {
        if let Some(node) = text.strip_prefix("node:").filter(|n| !n.is_empty()) {
            return Ok(GivenExit::Node(node.to_owned()));
        }
        match text.strip_prefix("number:") {
            Some(number) if number.contains(['{', '}']) => {
                template(number).map(GivenExit::Dial).ok_or_else(|| BadExit::Template(text.to_owned()))
            }
            Some(_) | None => text.parse().map(GivenExit::Place).map_err(|BadPlace(text)| BadExit::Place(text)),
        }
    }
}

fn template(text: &str) -> Option<Template> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}')?;
            let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            parts.push(Part::Stored(named.then(|| name.to_owned())?));
            rest = after;
        } else {
            let (digits, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            let dialled =
                digits.bytes().enumerate().all(|(i, b)| b.is_ascii_digit() || (b == b'+' && i == 0 && parts.is_empty()));
            parts.push(Part::Digits(dialled.then(|| digits.to_owned())?));
            rest = after;
        }
    }
    Some(Template(parts))
}

impl<'de> Deserialize<'de> for GivenExit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_made_of_what_was_keyed() {
        let GivenExit::Dial(template) = "number:+49{digits}0".parse().unwrap() else { panic!("no template") };
        assert_eq!(template.to_string(), "number:+49{digits}0");
        let stored = BTreeMap::from([("digits".to_owned(), "301".to_owned())]);
        assert_eq!(template.fill(&stored), Some("+493010".to_owned()));
        assert_eq!(template.fill(&BTreeMap::new()), None);
        for text in
            ["number:{", "number:}", "number:{}", "number:{a b}", "number:1+{digits}", "number:a{digits}", "node:", "x", "queue:"]
        {
            assert!(text.parse::<GivenExit>().is_err(), "{text}");
        }
    }
}
