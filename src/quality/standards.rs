//! Which service standards a conversation kept: a fold of its events, then verdicts with their evidence.
//!
//! [`Trial::take`] gathers, event after event, with the limits of that day that they tell; [`Trial::verdicts`] judges what is there by
//! them, so that a change of the configuration changes no verdict of before. Only agents are judged,
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
//! The others leave nothing in these events that would tell: [`UNJUDGED`].

mod judge;
mod spans;
#[cfg(test)]
mod tests;
mod trial;

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

/// The standards that no rule is of, and why.
pub const UNJUDGED: [(&str, &str); 7] = [
    ("S8", "whether the next agent has read notes and reason leaves no trace"),
    ("S10", "whether a call back was offered is a matter of words"),
    ("S13", "what an agent owes after a call keeps it in wrap-up, and pauses it at the end: see agent.wrapup and agent.paused"),
    ("S14", "what an agent's screen shows leaves no trace"),
    ("S15", "what an agent reads before dialling leaves no trace"),
    ("S16", "who is to be treated specially is in no event"),
    ("S17", "kept by calendars, not by agents"),
];

impl Rule {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Kept,
    Violated,
    Unknown,
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is about words: a person has to listen there.
    NeedsListening,
    /// The talk was not recorded, or its measures are not there: a pause, a kill, a recording that the customer did not want.
    NotMeasured,
    /// Less than 3 s of the agent's talk; for the share of talk, less than 20 s of both.
    LittleTalk,
    /// It rang at no phone: the agent's was not there, was busy, or the caller went first.
    PhoneFailed,
    /// Neither side hung up: a program, the switch, or the network ended the call.
    NobodyHungUp,
    /// The agent went first, as is wanted in a queue that leaves its customers to a survey.
    LeftToSurvey,
    /// There are more than are listed, and those within this talk may be among the others.
    TooMany,
}

/// One rule, one agent, one occasion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub standard: Standard,
    pub rule: Rule,
    pub outcome: Outcome,
    /// Of what is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
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
