//! A call as somebody describes it, and the path that it took.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;

use crate::clock::{Mono, Wall};
use crate::config::Config;
use crate::config::units::duration;

/// Between two keys that were written together.
const BETWEEN_KEYS: Duration = Duration::from_millis(400);

/// More keys than anybody presses; a bound for what one call does.
const MOST_KEYS: usize = 200;

/// Who calls, whom, when, and what it keys.
#[derive(Clone, Debug)]
pub struct Described {
    pub to: String,
    pub from: String,
    pub at: Wall,
    pub keys: Vec<Key>,
    /// What servers answer to lookups, in order: JSON. Further ones are not reached.
    pub answers: Vec<String>,
}

/// A key, so long after the call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub key: char,
    pub after: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCall {
    #[error("`{0}` are no keys with their time: write them as \"1@3s 42#@9s\", counted from the answer")]
    Keys(String),
    #[error("`{0}` is no time: write 2026-12-25T10:00, in the time of the site")]
    Time(String),
    #[error("no [[inbound]] takes `{0}` from any trunk")]
    NotTaken(String),
    #[error("`{0}` is no number that can call or be called")]
    Number(String),
}

/// `"1@3s 42#@9s"`: keys written together follow one another.
pub fn keys(text: &str) -> Result<Vec<Key>, BadCall> {
    let bad = || BadCall::Keys(text.to_owned());
    let mut all = Vec::new();
    for part in text.split_whitespace() {
        let (keys, after) = part.split_once('@').filter(|(keys, after)| !keys.is_empty() && !after.is_empty()).ok_or_else(bad)?;
        let after = duration(after).map_err(|_| bad())?;
        for (nth, key) in (0u32..).zip(keys.chars()) {
            let key = key.to_ascii_uppercase();
            if !matches!(key, '0'..='9' | '*' | '#' | 'A'..='D') || all.len() >= MOST_KEYS {
                return Err(bad());
            }
            all.push(Key { key, after: after + BETWEEN_KEYS * nth });
        }
    }
    all.sort_by_key(|key| key.after);
    Ok(all)
}

/// In the time of the site.
pub fn moment(text: &str, config: &Config) -> Result<Wall, BadCall> {
    let bad = || BadCall::Time(text.to_owned());
    let local: DateTime = text.parse().map_err(|_| bad())?;
    let moment = config.site.time_zone.to_ambiguous_timestamp(local).compatible().map_err(|_| bad())?;
    Ok(Wall::from_micros(moment.as_microsecond()))
}

/// Where a call came, and what it heard and did there.
#[derive(Clone, Debug, Default)]
pub struct Path(pub Vec<Step>);

#[derive(Clone, Debug)]
pub struct Step {
    /// Since the call began.
    pub at: Duration,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Answered,
    /// A place, as menus name it: `menu:main`, `node:top`, `queue:support`, `phone:201`, `hangup`.
    Place(String),
    Said(Vec<String>),
    /// `x` where the menu masks it.
    Key(String),
    LookedUp(String),
    TakenBy(String),
    Ended(String),
    /// Nothing more happens.
    Waits,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.1} s  ", self.at.as_secs_f64())?;
        match &self.what {
            What::Answered => f.write_str("answered"),
            What::Place(place) => f.write_str(place),
            What::Said(clips) => write!(f, "  says {}", clips.join(" ")),
            What::Key(key) => write!(f, "  key {key}"),
            What::LookedUp(outcome) => write!(f, "  lookup: {outcome}"),
            What::TakenBy(who) => write!(f, "answered by {who}"),
            What::Ended(cause) => write!(f, "ended: {cause}"),
            What::Waits => f.write_str("waits"),
        }
    }
}

impl Path {
    pub(super) fn step(&mut self, began: Mono, now: Mono, what: What) {
        self.0.push(Step { at: now.since(began), what });
    }

    /// Places in their order.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|step| match &step.what {
            What::Place(place) => Some(place.as_str()),
            _ => None,
        })
    }

    /// The first of these that the call did not come to, in this order; it may come to others between them.
    pub fn misses<'e>(&self, expected: &'e [String]) -> Option<&'e str> {
        let mut places = self.places();
        expected.iter().find(|wanted| !places.any(|place| place == wanted.as_str())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_times() {
        let read = keys("1@3s 42#@500ms").expect("keys");
        let told: Vec<(char, u128)> = read.iter().map(|key| (key.key, key.after.as_millis())).collect();
        assert_eq!(told, [('4', 500), ('2', 900), ('#', 1_300), ('1', 3_000)]);
        assert_eq!(keys(""), Ok(Vec::new()));
        for bad in ["1", "1@", "x@1s", "1@soon", "@"] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_misses_the_first_place_that_it_did_not_come_to() {
        let step = |place: &str| Step { at: Duration::ZERO, what: What::Place(place.to_owned()) };
        let path = Path(["menu:main", "node:top", "queue:support"].map(step).to_vec());
        let expected = |all: &[&str]| all.iter().map(|place| (*place).to_owned()).collect::<Vec<String>>();
        assert_eq!(path.misses(&expected(&["menu:main", "queue:support"])), None);
        assert_eq!(path.misses(&expected(&["queue:support", "menu:main"])), Some("menu:main"));
    }
}
