//! Figures of the past: what the event log is folded into, over periods of a calendar.

pub mod period;
