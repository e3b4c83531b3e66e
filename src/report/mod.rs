//! Figures of the past: what the event log is folded into, over periods of a calendar.
//!
//! ```text
//! event ──Book──> Fact ──> Cell of (queue, agent or trunk; quarter of an hour)
//!                    └───> Cell of the same and the conversation: what is listed behind a figure
//! ```
//!
//! Live, after a restart and a year later the same functions count the same events, so that no two figures differ. Rules kept:
//! - A count stands in the quarter in which its event happened; how long a caller was talked to, held and wrapped up after, in the quarter in
//!   which the agent took the call, so that the average handling time of a quarter is that of its own calls.
//! - A fact is counted for each of queue, agent and trunk that it is of.
//! - What a kill cut short ends with the last event before the next start: what came later nobody knows. Who waited then is `lost`, neither
//!   answered nor abandoned.
//! - Answers and abandonments are judged by the thresholds that their events bring.

mod book;
mod cell;
mod fact;
pub mod period;
mod service_level;

pub use book::{Book, Head, Keep, Shift, Stay};
pub use cell::{Cell, Figures, METRICS};
pub use fact::{Dimension, Fact, Of, State, What};
pub use service_level::{Formula, Waits};

#[cfg(test)]
mod tests;
