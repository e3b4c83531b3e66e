//! A moment as RFC 3339 text in JSON, for `#[serde(with = …)]`.

use serde::{Deserialize, Deserializer, Serializer};

use crate::clock::Wall;

pub fn serialize<S: Serializer>(at: &Wall, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(at)
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Wall, D::Error> {
    read(&String::deserialize(d)?)
}

fn read<E: serde::de::Error>(text: &str) -> Result<Wall, E> {
    Wall::parse_rfc3339(text).ok_or_else(|| E::custom("not an RFC 3339 time"))
}

/// To the microsecond.
pub mod micros {
    use super::*;

    pub use super::deserialize;

    pub fn serialize<S: Serializer>(at: &Wall, s: S) -> Result<S::Ok, S::Error> {
        match at.timestamp() {
            Some(t) => s.collect_str(&format_args!("{t:.6}")),
            None => s.collect_str(at),
        }
    }
}

/// The same where there may be none.
pub mod option {
    use super::*;

    pub fn serialize<S: Serializer>(at: &Option<Wall>, s: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => s.collect_str(at),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Wall>, D::Error> {
        Option::<String>::deserialize(d)?.map(|text| read(&text)).transpose()
    }
}
