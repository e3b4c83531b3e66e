//! What becomes of a recording.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::clock::Wall;
use crate::ids::RecordingId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingDecided {
    pub record: bool,
    /// Not by itself, but when somebody asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
    /// The rule that decided: `inbound default`, `inbound +4930… record = false`; `…, on demand` when somebody has asked for it.
    pub rule: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingStarted {
    #[schema(value_type = String)]
    pub recording: RecordingId,
}

/// Audio that did not reach the file, filled with silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingGap {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// `queue_full`: the recorder did not keep up. `disk`: a write failed.
    pub reason: String,
    pub gap_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingFinished {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    pub duration_ms: u64,
    pub bytes: u64,
    pub sha256: String,
    /// Silence that stands for packets which never came, left and right, in ms.
    pub lost_ms: [u64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingFailed {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingPaused {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    pub by: By,
    /// It goes on by itself then.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub until: Option<Wall>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingResumed {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// `switch`: it was paused for as long as may be.
    pub by: By,
    /// How long the silence is.
    pub paused_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingRefused {
    #[schema(value_type = String)]
    pub recording: RecordingId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordingNotAnnounced {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// What was to say that it is recorded.
    pub prompt: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptRecorded {
    /// `<language>/<name>`
    pub prompt: String,
    pub by: By,
}
