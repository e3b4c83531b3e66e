//! Limits of the service standards, as resolved.

use std::time::Duration;

/// What is asked of an agent in a call with a customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Standards {
    /// An offer is to be answered within so many ring cycles.
    pub rings: u32,
    /// The longest hold.
    pub hold: Duration,
    /// The longest time muted without being on hold.
    pub mute: Duration,
    /// The longest time in which nobody talks.
    pub silence: Duration,
    /// The longest that an agent may talk into what the customer says.
    pub overtalk: Duration,
    /// Least and most of what the customer hears of the agent, in dB below full scale.
    pub level: [f32; 2],
    /// Least and most that the agent has of all talk, 0 to 1; not judged where it is `None`.
    pub talk_share: Option<[f32; 2]>,
}

/// Three rings and a minute of hold, as agents are taught; the others by feel.
impl Default for Standards {
    fn default() -> Self {
        Standards {
            rings: 3,
            hold: Duration::from_secs(60),
            mute: Duration::from_secs(10),
            silence: Duration::from_secs(8),
            overtalk: Duration::from_secs(2),
            level: [-35.0, -10.0],
            talk_share: None,
        }
    }
}
