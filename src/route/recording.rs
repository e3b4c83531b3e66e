//! Whether a conversation is recorded, and by which rule: what `recording.decided` says.

use serde::{Deserialize, Serialize};

use crate::config::{Config, Inbound, Outbound, Pattern};

/// Who called whom, from the centre's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

/// The rule by which the conversation was routed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule<'a> {
    Inbound(&'a Inbound),
    Outbound(&'a Outbound),
    Emergency,
    /// From phone to phone, queue or menu.
    Internal,
}

impl Rule<'_> {
    pub fn direction(&self) -> Direction {
        match self {
            Rule::Inbound(_) => Direction::Inbound,
            Rule::Outbound(_) | Rule::Emergency => Direction::Outbound,
            Rule::Internal => Direction::Internal,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub record: bool,
    /// `inbound default`, `inbound +4930* record=false` … for people who ask why.
    pub rule: String,
}

/// Decides once, when the conversation is routed. A later reload does not change it.
pub fn recording(config: &Config, rule: Rule<'_>) -> Decision {
    let recording = &config.recording;
    match rule {
        Rule::Inbound(r) => decide("inbound", &r.number, r.record, recording.inbound),
        Rule::Outbound(r) => decide("outbound", &r.pattern, r.record, recording.outbound),
        Rule::Emergency => Decision { record: recording.outbound, rule: "emergency".to_owned() },
        Rule::Internal => Decision { record: recording.internal, rule: "internal default".to_owned() },
    }
}

fn decide(direction: &str, pattern: &Pattern, own: Option<bool>, default: bool) -> Decision {
    match own {
        None => Decision { record: default, rule: format!("{direction} default") },
        Some(record) => {
            let pattern = match pattern {
                Pattern::Exact(p) => p.clone(),
                Pattern::Prefix(p) => format!("{p}*"),
            };
            Decision { record, rule: format!("{direction} {pattern} record={record}") }
        }
    }
}
