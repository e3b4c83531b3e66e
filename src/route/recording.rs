//! Whether a conversation is recorded, and by which rule: what `recording.decided` says.

use serde::{Deserialize, Serialize};

use crate::config::{Config, Inbound, Outbound, Pattern, Queue, Record};
use crate::ids::TrunkName;

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
    /// Not by itself: it begins when somebody asks for it.
    #[serde(default)]
    pub on_demand: bool,
    /// `inbound default`, `inbound +4930* record=false` … for people who ask why.
    pub rule: String,
}

impl Decision {
    pub fn new(record: Record, rule: String) -> Decision {
        Decision { record: record == Record::Always, on_demand: record == Record::OnDemand, rule }
    }

    /// There is nothing to record, whoever asks.
    pub fn never(rule: String) -> Decision {
        Decision::new(Record::Never, rule)
    }
}

/// Decides when the conversation is routed; of an outbound one, by what its first trunk says, until one has taken it ([`recording_by`]). A
/// later reload does not change it.
pub fn recording(config: &Config, rule: Rule<'_>) -> Decision {
    let recording = &config.recording;
    match rule {
        Rule::Inbound(r) => decide("inbound", &r.number, r.record, of_trunk(config, &r.trunk), recording.inbound),
        Rule::Outbound(r) => match r.trunks.iter().min_by_key(|choice| choice.priority) {
            Some(first) => recording_by(config, rule, &first.trunk),
            None => decide("outbound", &r.pattern, r.record, None, recording.outbound),
        },
        Rule::Emergency => Decision::new(recording.outbound, "emergency".to_owned()),
        Rule::Internal => Decision::new(recording.internal, "internal default".to_owned()),
    }
}

/// Decides once one of the rule's trunks, among which calls are shared, has the call.
pub fn recording_by(config: &Config, rule: Rule<'_>, trunk: &TrunkName) -> Decision {
    match rule {
        Rule::Outbound(r) => decide("outbound", &r.pattern, r.record, of_trunk(config, trunk), config.recording.outbound),
        Rule::Inbound(_) | Rule::Emergency | Rule::Internal => recording(config, rule),
    }
}

fn of_trunk(config: &Config, name: &TrunkName) -> Option<(TrunkName, Record)> {
    let record = config.trunks.get(name)?.record?;
    Some((name.clone(), record))
}

/// A queue's own decision, from when the caller enters it.
pub fn recording_in(queue: &Queue) -> Option<Decision> {
    queue.record.map(|record| Decision::new(record, format!("queue {} record={record}", queue.name)))
}

/// The rule's own word goes before its trunk's, and that before the default.
fn decide(
    direction: &str,
    pattern: &Pattern,
    own: Option<Record>,
    of_trunk: Option<(TrunkName, Record)>,
    default: Record,
) -> Decision {
    match (own, of_trunk) {
        (Some(record), _) => {
            let pattern = match pattern {
                Pattern::Exact(p) => p.clone(),
                Pattern::Prefix(p) => format!("{p}*"),
            };
            Decision::new(record, format!("{direction} {pattern} record={record}"))
        }
        (None, Some((trunk, record))) => Decision::new(record, format!("trunk {trunk} record={record}")),
        (None, None) => Decision::new(default, format!("{direction} default")),
    }
}
