//! Client transaction of everything but INVITE (RFC 3261 §17.1.2).
//!
//! The rule: the request is repeated (timer E, doubling up to T2; every T2 once a 1xx came) until the final response or timer F, and
//! repeats of the final response are swallowed until timer K.
//!
//! The drawing, which a test walks. `resend` and `end` are the state's two timers; `+s` sends, `+t` tells the owner:
//!
//! ```text
//!             1xx            final         resend        end            error
//! Trying      Proceeding+t   Completed+t   Trying+s      Terminated+t   Terminated+t
//! Proceeding  Proceeding+t   Completed+t   Proceeding+s  Terminated+t   Proceeding
//! Completed   Completed      Completed     Completed     Terminated     Completed
//! Terminated  Terminated     Terminated    Terminated    Terminated     Terminated
//! ```

use std::time::Duration;

use bytes::Bytes;

use super::effects::Effects;
use super::timers::{GIVE_UP, Resend, T2, T4, Wire, earlier, lingers};
use crate::clock::Mono;

#[derive(Clone, Debug, PartialEq)]
pub enum ClientNonInvite {
    /// No response yet. `resend` is timer E, `gives_up` timer F.
    Trying {
        request: Bytes,
        resend: Option<Resend>,
        gives_up: Mono,
    },
    /// A 1xx came: repeated more slowly, timer F runs on.
    Proceeding {
        request: Bytes,
        resend: Option<Resend>,
        gives_up: Mono,
    },
    /// `ends` is timer K.
    Completed {
        ends: Mono,
    },
    Terminated,
}

#[derive(Clone, Debug)]
pub enum Event {
    Provisional,
    Final,
    Undeliverable,
    Tick,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The response is for the core.
    Deliver,
    TimedOut,
    Unreachable,
}

impl ClientNonInvite {
    pub fn start(request: Bytes, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        let state =
            ClientNonInvite::Trying { request: request.clone(), resend: Resend::over(wire, now), gives_up: now + GIVE_UP };
        (state, Effects::send(request))
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self {
            ClientNonInvite::Trying { resend, gives_up, .. } | ClientNonInvite::Proceeding { resend, gives_up, .. } => {
                Some(earlier(*resend, *gives_up))
            }
            ClientNonInvite::Completed { ends } => Some(lingers(*ends)),
            ClientNonInvite::Terminated => None,
        }
    }

    pub fn handle(self, event: Event, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        use ClientNonInvite::{Completed, Proceeding, Terminated, Trying};
        match (self, event) {
            (Trying { request, resend, gives_up } | Proceeding { request, resend, gives_up }, Event::Provisional) => {
                (Proceeding { request, resend, gives_up }, Effects::tell(Notice::Deliver))
            }
            (Trying { .. } | Proceeding { .. }, Event::Final) => {
                let state = match wire.linger(T4) {
                    Duration::ZERO => Terminated,
                    wait => Completed { ends: now + wait },
                };
                (state, Effects::tell(Notice::Deliver))
            }

            (Trying { gives_up, .. } | Proceeding { gives_up, .. }, Event::Tick) if gives_up <= now => {
                (Terminated, Effects::tell(Notice::TimedOut))
            }
            (Trying { request, resend: Some(due), gives_up }, Event::Tick) if due.at <= now => {
                let resend = Some(due.next(now, T2));
                (Trying { request: request.clone(), resend, gives_up }, Effects::send(request))
            }
            (Proceeding { request, resend: Some(due), gives_up }, Event::Tick) if due.at <= now => {
                let resend = Some(due.steady(now, T2));
                (Proceeding { request: request.clone(), resend, gives_up }, Effects::send(request))
            }
            (Completed { ends }, Event::Tick) if ends <= now => (Terminated, Effects::none()),

            (Trying { .. }, Event::Undeliverable) => (Terminated, Effects::tell(Notice::Unreachable)),

            // Nothing to do.
            (state @ (Completed { .. } | Terminated), Event::Provisional | Event::Final)
            | (state @ (Trying { .. } | Proceeding { .. } | Completed { .. } | Terminated), Event::Tick)
            | (state @ (Proceeding { .. } | Completed { .. } | Terminated), Event::Undeliverable) => (state, Effects::none()),
        }
    }
}
