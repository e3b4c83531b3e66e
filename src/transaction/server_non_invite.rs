//! Server transaction of everything but INVITE and ACK (RFC 3261 §17.2.2).
//!
//! The rule: a repeated request gets the last response again, the final one until timer J; what the core says after its final response
//! is dropped.
//!
//! The drawing, which a test walks. `end` is the state's timer; `+s` sends:
//!
//! ```text
//!             repeat         1xx            final         end
//! Trying      Trying         Proceeding+s   Completed+s   Trying
//! Proceeding  Proceeding+s   Proceeding+s   Completed+s   Proceeding
//! Completed   Completed+s    Completed      Completed     Terminated
//! Terminated  Terminated     Terminated     Terminated    Terminated
//! ```

use std::time::Duration;

use bytes::Bytes;

use super::effects::Effects;
use super::timers::{GIVE_UP, Wire, lingers};
use crate::clock::Mono;

#[derive(Clone, Debug, PartialEq)]
pub enum ServerNonInvite {
    Trying,
    Proceeding {
        last: Bytes,
    },
    /// `ends` is timer J.
    Completed {
        response: Bytes,
        ends: Mono,
    },
    Terminated,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// The request again.
    Repeat,
    /// The core's responses.
    Provisional(Bytes),
    Final(Bytes),
    Tick,
}

/// This machine has nothing to tell its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {}

impl ServerNonInvite {
    pub fn start() -> Self {
        ServerNonInvite::Trying
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self {
            ServerNonInvite::Completed { ends, .. } => Some(lingers(*ends)),
            ServerNonInvite::Trying | ServerNonInvite::Proceeding { .. } | ServerNonInvite::Terminated => None,
        }
    }

    pub fn handle(self, event: Event, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        use ServerNonInvite::{Completed, Proceeding, Terminated, Trying};
        match (self, event) {
            (Trying | Proceeding { .. }, Event::Provisional(last)) => (Proceeding { last: last.clone() }, Effects::send(last)),
            (Trying | Proceeding { .. }, Event::Final(response)) => match wire.linger(GIVE_UP) {
                Duration::ZERO => (Terminated, Effects::send(response)),
                wait => (Completed { response: response.clone(), ends: now + wait }, Effects::send(response)),
            },
            (Proceeding { last }, Event::Repeat) => (Proceeding { last: last.clone() }, Effects::send(last)),
            (Completed { response, ends }, Event::Repeat) => {
                (Completed { response: response.clone(), ends }, Effects::send(response))
            }
            (Completed { ends, .. }, Event::Tick) if ends <= now => (Terminated, Effects::none()),

            // Nothing to do.
            (state @ (Trying | Terminated), Event::Repeat)
            | (state @ (Completed { .. } | Terminated), Event::Provisional(_) | Event::Final(_))
            | (state @ (Trying | Proceeding { .. } | Completed { .. } | Terminated), Event::Tick) => (state, Effects::none()),
        }
    }
}
