//! The core: one owner of every transaction, dialog, conversation, queue, agent and registration.
//!
//! [`Input`] comes in with the time, [`Output`]s go out; there is nothing else. See DESIGN in the README for why it is one value and not
//! an actor a call.

pub mod command;
pub mod event;
pub mod input;
pub mod output;

pub use command::{Answer, Command, Refusal};
pub use event::{Event, Kind};
pub use input::Input;
pub use output::Output;
