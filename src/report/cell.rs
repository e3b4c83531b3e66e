//! Sums of facts, and the averages and shares that follow from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use super::service_level::{Formula, Waits};

/// One line a field: its documentation, and its name in the API, in CSV and on disk. The first list has what adds up; the second what a
/// conversation cannot be listed for, since it is of agents' time.
macro_rules! cell {
    ($($(#[$doc:meta])* $field:ident,)* ; $($(#[$state_doc:meta])* $state:ident,)*) => {
        /// What happened in a time. Fields are only ever added.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Cell {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_zero")] pub $field: u64,)*
            $($(#[$state_doc])* #[serde(skip_serializing_if = "is_zero")] pub $state: u64,)*
            /// The longest wait that ended, in any way. It does not add up: it is the longest of all.
            #[serde(skip_serializing_if = "is_zero")]
            pub longest_wait_ms: u64,
        }

        /// The figures that conversations are listed for. Each is the sum over those that are listed, `longest_wait_ms` their maximum.
        pub const METRICS: &[&str] = &[$(stringify!($field),)* "longest_wait_ms"];

        impl Cell {
            /// Adds what happened in another time, or to another conversation.
            pub fn add(&mut self, other: &Cell) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
                $(self.$state = self.$state.saturating_add(other.$state);)*
                self.longest_wait_ms = self.longest_wait_ms.max(other.longest_wait_ms);
            }

            /// Of the figures of [`METRICS`] the one of that name.
            pub fn metric(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($field) => Some(self.$field),)*
                    "longest_wait_ms" => Some(self.longest_wait_ms),
                    _ => None,
                }
            }
        }

        /// What happened in a time, and what follows from it. Times are in milliseconds, shares from 0 to 1 and absent where there is
        /// nothing to divide by.
        #[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
        pub struct Figures {
            $($(#[$doc])* pub $field: u64,)*
            /// The longest wait that ended, in any way.
            pub longest_wait_ms: u64,
            $($(#[$state_doc])* pub $state: u64,)*
            /// Answered and abandoned.
            pub offered: u64,
            /// By each of the five formulas, by their names.
            #[schema(value_type = BTreeMap<String, f64>)]
            pub service_level: BTreeMap<Formula, Option<f64>>,
            /// Average speed of answer: waits of the answered / answered.
            pub asa_ms: Option<u64>,
            /// Average handling time: (talk + hold + wrap-up) / (answered + called back).
            pub aht_ms: Option<u64>,
            /// Abandoned / offered.
            pub abandonment: Option<f64>,
            /// (talking + wrap-up) / (talking + wrap-up + ready + ringing), of the time that agents were in these states.
            pub occupancy: Option<f64>,
            /// Mean score of the answers to surveys. Questions of different scales are not told apart.
            pub survey_mean: Option<f64>,
        }

        impl Figures {
            pub fn of(cell: &Cell) -> Figures {
                let waits = cell.waits();
                let offered = cell.answered.saturating_add(cell.abandoned);
                let handled = cell.talk_ms.saturating_add(cell.hold_ms).saturating_add(cell.wrapup_ms);
                let occupied = cell.talking_ms.saturating_add(cell.in_wrapup_ms);
                let idle = cell.ready_ms.saturating_add(cell.ringing_ms);
                Figures {
                    $($field: cell.$field,)*
                    longest_wait_ms: cell.longest_wait_ms,
                    $($state: cell.$state,)*
                    offered,
                    service_level: Formula::ALL.iter().map(|formula| (*formula, formula.of(waits))).collect(),
                    asa_ms: cell.waited_ms.checked_div(cell.answered),
                    aht_ms: handled.checked_div(cell.answered.saturating_add(cell.called_back)),
                    abandonment: share(cell.abandoned, offered),
                    occupancy: share(occupied, occupied.saturating_add(idle)),
                    survey_mean: share(cell.survey_points, cell.surveyed),
                }
            }

            /// Names of the columns of [`columns`](Figures::columns).
            pub const COLUMNS: &[&str] = &[
                $(stringify!($field),)*
                "longest_wait_ms",
                $(stringify!($state),)*
                "offered",
                "service_level_f1",
                "service_level_f2",
                "service_level_f3",
                "service_level_f4",
                "service_level_f5",
                "asa_ms",
                "aht_ms",
                "abandonment",
                "occupancy",
                "survey_mean",
            ];

            /// As text, empty where there is nothing to divide by.
            pub fn columns(&self) -> Vec<String> {
                let share = |share: Option<f64>| share.map(|share| format!("{share:.4}")).unwrap_or_default();
                let ms = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
                let mut all = vec![
                    $(self.$field.to_string(),)*
                    self.longest_wait_ms.to_string(),
                    $(self.$state.to_string(),)*
                    self.offered.to_string(),
                ];
                all.extend(Formula::ALL.iter().map(|formula| share(self.service_level.get(formula).copied().flatten())));
                all.extend([ms(self.asa_ms), ms(self.aht_ms), share(self.abandonment), share(self.occupancy), share(self.survey_mean)]);
                all
            }
        }
    };
}

cell! {
    /// Callers who got a place in a queue; who came back after a transfer that nobody took, again.
    entered,
    /// By an agent.
    answered,
    /// Of them, within the queue's `service_level`.
    answered_in_time,
    /// Callers who hung up while they waited.
    abandoned,
    /// Of them, within the queue's `service_level`.
    abandoned_in_time,
    /// Of them, within the queue's `short_abandon`.
    abandoned_short,
    /// Callers who went elsewhere: overflow, pick-up, by command.
    left,
    /// Callers who asked to be called back: neither answered nor abandoned.
    callbacks,
    /// Customers who were called back, and talked with an agent.
    called_back,
    /// Callers who were not let in: too many waited, or nobody was logged in.
    turned_away,
    /// Callers whose wait ended with the switch: power, a kill.
    lost,
    /// Sum of the waits of the answered.
    waited_ms,
    /// Phones rung for a caller of a queue.
    rung,
    /// Of them, those that did not answer.
    unanswered,
    /// Talk in calls that a queue gave, without holds.
    talk_ms,
    /// The customer on hold in calls that a queue gave.
    hold_ms,
    /// After calls that a queue gave.
    wrapup_ms,
    /// Calls sent on that were taken there.
    transfers,
    /// Answers to the questions of surveys.
    surveyed,
    /// Sum of their scores.
    survey_points,
    /// Calls that no queue gave, inside, in or out.
    direct_calls,
    /// Talk in those.
    direct_talk_ms,
    /// Hold in those.
    direct_hold_ms,
    /// Calls from outside.
    inbound,
    /// Calls to outside.
    outbound,
    /// Calls answered, by a menu too.
    connected,
    /// From the beginnings of calls to their ends.
    line_ms,
    ;
    /// Agents ready.
    ready_ms,
    /// Agents' phones ringing for a queue.
    ringing_ms,
    /// Agents in calls of a queue, holds included.
    talking_ms,
    /// Agents in wrap-up.
    in_wrapup_ms,
    /// Agents in other calls.
    busy_ms,
    paused_ms,
    /// Agents spared after a call that they let pass.
    resting_ms,
    /// Agents who want to work, and whose phones are not there.
    unregistered_ms,
    offline_ms,
}

impl Cell {
    pub fn count(&mut self, fact: &Fact) {
        fact.add_to(self);
    }

    pub fn waits(&self) -> Waits {
        Waits {
            answered: self.answered,
            answered_in_time: self.answered_in_time,
            abandoned: self.abandoned,
            abandoned_in_time: self.abandoned_in_time,
            abandoned_short: self.abandoned_short,
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
