//! How well customers are served: what a call sounded like, and which of the service standards it kept.
//!
//! [`sound`] listens to the two channels of a recording while it is written and says who talked when, how loud, when nobody did and when
//! both did. [`standards`] folds the events of one conversation, that measurement among them, to verdicts with their evidence. Neither
//! knows a file, a thread or the configuration: samples, events and limits are handed to them.

pub mod sound;
pub mod standards;
