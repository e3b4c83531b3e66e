//! What a call was to be like, by the configuration of then.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Standards;

/// Limits of the service standards. Told with what they are for, so that a later change of the configuration does not change what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StandardLimits {
    /// The longest hold.
    pub hold_ms: u64,
    /// The longest time muted without being on hold.
    pub mute_ms: u64,
    /// The longest time in which nobody talks.
    pub silence_ms: u64,
    /// The longest that an agent may talk into what the customer says.
    pub overtalk_ms: u64,
    /// Least and most of what the customer hears of the agent, in dB below full scale.
    pub level_dbfs: [f32; 2],
    /// Least and most that the agent has of all talk, 0 to 1; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talk_share: Option<[f32; 2]>,
}

impl From<&Standards> for StandardLimits {
    fn from(standards: &Standards) -> Self {
        let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        StandardLimits {
            hold_ms: ms(standards.hold),
            mute_ms: ms(standards.mute),
            silence_ms: ms(standards.silence),
            overtalk_ms: ms(standards.overtalk),
            level_dbfs: standards.level,
            talk_share: standards.talk_share,
        }
    }
}

impl Default for StandardLimits {
    fn default() -> Self {
        StandardLimits::from(&Standards::default())
    }
}
