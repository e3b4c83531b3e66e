//! Transactions (RFC 3261 §17, RFC 6026): a request, its repeats, its responses and theirs.
//!
//! [`Transactions`] owns all of them; the four machines are pure states that `handle(self, event, …)` consumes, one file each. The rules:
//! what comes twice reaches the core once; what may be lost is sent again until it is answered or given up; every transaction ends by
//! itself, and there are never more than a named number of them.
//!
//! | who | owns |
//! |---|---|
//! | here | branches and matching, repeats, 100 after 200 ms, ACK to 3xx–6xx, CANCEL's own transaction, repeats of 2xx and of its ACK, UDP after TCP failed |
//! | the core | tags, the ACK to a 2xx, what a response means, how long a phone may ring |
//! | the driver | bytes on the wire, connections, saying that something could not be sent |

mod client;
mod client_invite;
mod client_non_invite;
mod effects;
mod key;
mod server;
mod server_invite;
mod server_non_invite;
mod table;
mod timers;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

pub use client::{Target, Undelivered};
pub use server::Received;
pub use table::{Expired, Expiry, SendId, Sending, TransactionId, Transactions};
pub use timers::{D, GIVE_UP, T1, T2, T4, TRYING, Wire};
