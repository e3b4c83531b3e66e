//! Where a number leads, through which trunk, and what a failure on one side means for the other.
//!
//! Pure questions to the configuration; nothing is remembered here but how each trunk is ([`Condition`]). Whether a trunk has room, and
//! what a host name resolves to, are arguments. Rules kept:
//!
//! - A number is compared as it was written, or as another spelling of the same number (`+49`, `0049`, separators). What is dialled
//!   outside is what the outbound rule says; a number that no rule takes as dialled is compared in its one normal form ([`normal`])
//!   with the patterns that begin with a plus, and nothing else is guessed.
//! - Outside is a right: of a phone (`outside`), of a trunk's caller (`transit`). Everything else is inside or refused.
//! - The caller's side learns the cause of the callee's side ([`Cause`]), not its reason phrase.

mod cause;
pub mod class;
mod condition;
mod dial;
mod forwarding;
mod inbound;
mod number;
mod order;
mod recording;
mod side;

#[cfg(test)]
mod tests;

pub use cause::Cause;
pub use condition::{Condition, Conditions, PROBED_REST, SILENT_REST, State, Trouble, TroubleKind};
pub use dial::{Attempt, Caller, Code, OWN_MAILBOX, Outside, Refusal, Target, dial, emergency, forward, go, has_room, hidden};
pub use forwarding::{Diverted, Forwarding, MOST_FORWARDS, When, Why};
pub use inbound::{Hosts, addresses, has_address, identify, inbound, is_called};
pub use number::{is_ordinary, national, normal, on_trunk, spellings, tidy};
pub use order::order;
pub use recording::{Decision, Direction, Rule, recording, recording_by, recording_in};
pub use side::Side;
