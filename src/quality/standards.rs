//! Which service standards a conversation kept: a fold of its events, then verdicts with their evidence.
//!
//! [`Trial::take`] gathers, event after event and without any limit; [`Trial::verdicts`] judges what is there by the limits that it is
//! handed, so whoever keeps verdicts keeps them with the limits of that day, and gathering anew gives the same. Only agents are judged,
//! only in calls with a party outside, and of their sound only what lies within their bridges and outside hold, pauses of the recording
//! and what is played into the call.
//!
//! | standard | [`Rule`] | from | can be |
//! |---|---|---|---|
//! | S1 answer within three rings | `answer` | `queue.answered`, `queue.unanswered` | kept, violated; unknown where the phone did not ring as it should |
//! | S2 state the staff number | `greeting` | first words of the agent | unknown, with the second to listen to |
//! | S3 hold no longer than a minute | `hold` | `call.held`, `call.resumed` | kept, violated |
//! | S4 ask before hold, thank after | `hold_words` | the same | unknown, with the seconds |
//! | S5 mute is not hold | `mute` | `call.muted` outside hold | kept, violated |
//! | S6 transfer with consent | `transfer_words` | `call.transferred` | unknown, with the second |
//! | S7 let go after the target has answered | `transfer` | `call.transferred`, `call.bridged` | kept, violated; not asked of transfers to a queue, menu or park slot |
//! | S9 the customer hangs up first | `hang_up` | `call.ended` | kept, violated; unknown where a program or the switch did |
//! | S11 no long silence | `silence` | `recording.measured` | kept, violated |
//! | S11 no interrupting | `overtalk` | the same | kept, violated where the agent began it |
//! | S12 neither loud nor faint | `level` | the same | kept, violated; unknown of who hardly spoke |
//! | S12 who talks how much | `talk_share` | the same | where limits are given, the same |
//!
//! The others leave nothing in these events: S8, S10 and S13 to S17 are kept by what the switch offers and asks for.

mod judge;
mod spans;
#[cfg(test)]
mod tests;
mod trial;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::trial::Trial;
use crate::ids::{QueueName, RecordingId, StaffNumber};

/// A service standard, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Standard {
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
    S7,
    S9,
    S11,
    S12,
}

/// What is asked of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Ms that the phone rang.
    Answer,
    /// Ms from the bridge to the agent's first words.
    Greeting,
    /// Ms of one hold.
    Hold,
    /// Ms of the same.
    HoldWords,
    /// Ms that the customer heard nothing of the agent without being on hold, at a stretch.
    Mute,
    TransferWords,
    /// Ms from letting go to the target's answer.
    Transfer,
    HangUp,
    /// Ms of one silence; of none too long, of the longest.
    Silence,
    /// Ms of one overtalk that the agent began; of none too long, of the longest.
    Overtalk,
    /// What the customer heard of the agent, in dB below full scale.
    Level,
    /// The agent's part of all talk, 0 to 1.
    TalkShare,
}

impl Rule {
    pub const ALL: [Rule; 12] = [
        Rule::Answer,
        Rule::Greeting,
        Rule::Hold,
        Rule::HoldWords,
        Rule::Mute,
        Rule::TransferWords,
        Rule::Transfer,
        Rule::HangUp,
        Rule::Silence,
        Rule::Overtalk,
        Rule::Level,
        Rule::TalkShare,
    ];

    pub fn standard(self) -> Standard {
        match self {
            Rule::Answer => Standard::S1,
            Rule::Greeting => Standard::S2,
            Rule::Hold => Standard::S3,
            Rule::HoldWords => Standard::S4,
            Rule::Mute => Standard::S5,
            Rule::TransferWords => Standard::S6,
            Rule::Transfer => Standard::S7,
            Rule::HangUp => Standard::S9,
            Rule::Silence | Rule::Overtalk => Standard::S11,
            Rule::Level | Rule::TalkShare => Standard::S12,
        }
    }
}

/// What is allowed: a queue's.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Rings of an offer times their cycle.
    pub answer: Duration,
    pub hold: Duration,
    pub mute: Duration,
    pub silence: Duration,
    pub overtalk: Duration,
    /// Least and most, in dB below full scale.
    pub level_dbfs: [f32; 2],
    /// Least and most, 0 to 1; not judged where it is `None`.
    pub talk_share: Option<[f32; 2]>,
}

/// Three rings of five seconds and a minute of hold, as agents are taught; the others by feel.
impl Default for Limits {
    fn default() -> Self {
        Limits {
            answer: Duration::from_secs(15),
            hold: Duration::from_secs(60),
            mute: Duration::from_secs(10),
            silence: Duration::from_secs(8),
            overtalk: Duration::from_secs(2),
            level_dbfs: [-35.0, -10.0],
            talk_share: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Kept,
    Violated,
    /// A person has to listen.
    Unknown,
}

/// One rule, one agent, one occasion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub standard: Standard,
    pub rule: Rule,
    pub outcome: Outcome,
    /// In the unit of the rule.
    pub value: Option<f64>,
    /// The limits that it was judged by, likewise.
    pub least: Option<f64>,
    pub most: Option<f64>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    /// That gave the call to the agent.
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    pub evidence: Evidence,
}

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Of the events.
    pub sequences: Vec<u64>,
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    /// Where in the recording to listen, in ms. Measured where there is a sound to it within 150 ms; else as exact as the events.
    pub at_ms: Vec<u64>,
}
