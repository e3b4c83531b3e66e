//! What a recording sounds like, measured while it is written.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::clock::Wall;
use crate::ids::RecordingId;

/// Told behind `recording.finished` or `recording.repaired`. All `at_ms` count from the beginning of the recording; where there are two
/// numbers, the first is of what the customer said (left), the second of what the customer heard (right).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingMeasured {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// When its first sample was. RFC 3339.
    #[schema(value_type = String)]
    #[serde(with = "rfc3339")]
    pub started_at: Wall,
    pub sound: Sound,
}

/// How both sides talked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sound {
    /// The stretches that were listened to, at most 50, in the order of time.
    pub parts: Vec<Part>,
    /// Further ones.
    #[serde(default)]
    pub parts_dropped: u64,
    /// Where for long nobody talked: the longest 50, in the order of time.
    pub silences: Vec<Silence>,
    /// All of them.
    pub silences_count: u64,
    /// Where both talked: the longest 50, in the order of time.
    pub overtalks: Vec<Overtalk>,
    /// All of them.
    pub overtalks_count: u64,
}

/// A stretch of a recording without pause, gap or what is not to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub at_ms: u64,
    pub length_ms: u64,
    /// How long each talked.
    pub talk_ms: [u64; 2],
    /// How long both did.
    pub overtalk_ms: u64,
    /// Mean power of each one's talk in dB below full scale (dBov, ITU-T G.100.1: a sine of full scale has -3.01); absent of one that did
    /// not talk.
    pub level_dbfs: [Option<f32>; 2],
    /// When each began to talk; absent likewise.
    pub first_ms: [Option<u64>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Silence {
    pub at_ms: u64,
    pub length_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overtalk {
    pub at_ms: u64,
    pub length_ms: u64,
    /// Who began while the other one talked; absent where both began at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// `Wall` as RFC 3339 text.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Wall;

    pub fn serialize<S: Serializer>(at: &Wall, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Wall, D::Error> {
        Wall::parse_rfc3339(&String::deserialize(d)?).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}
