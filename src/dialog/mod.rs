//! SIP dialogs (RFC 3261 §12) and the INVITE usage of them (§13–§15).
//!
//! [`Dialog`] is who talks to whom, in what order and by which way. [`Call`] is a leg's INVITE usage: its state says what may be sent
//! now, and every method gives the message to send. Neither sends, waits or repeats anything: transactions do that, and the switch
//! carries messages between the two. [`Subscription`] is the other usage: somebody watches something of ours (RFC 6665).

mod call;
#[allow(clippy::module_inception, reason = "the RFC's word for it")]
mod dialog;
mod early;
pub mod reliable;
mod session_timer;
mod subscription;

pub use call::{Call, Hangup, Key, Own, Pending, Progress};
pub use dialog::{Dialog, MAX_FORWARDS, Moved, NoDialog, Reach};
pub use early::Provisional;
pub use reliable::Provisionals;
pub use session_timer::{Asked, MIN_SE, Session, SessionTimer};
pub use subscription::{Ending, Kept, MIN_EXPIRES, Subscription, Then, Wish};
