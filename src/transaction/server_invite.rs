//! INVITE server transaction (RFC 3261 §17.2.1, with Accepted and timer L of RFC 6026 §7.1).
//!
//! The rule: a repeated INVITE gets the last provisional response again; a 3xx–6xx is repeated (timer G) until its ACK or timer H; a 2xx
//! is repeated from T1, doubling to T2, until its ACK or for 64·T1, over any transport (§13.3.1.4). RFC 6026 leaves that last one to
//! the user of the transaction; it is done here so that dialogs need no timer for it. If the core says nothing for 200 ms, the 100 goes
//! out by itself.
//!
//! The drawing, which a test walks. `resend` and `end` are the state's two timers (in Arrived, `end` is the 100); `+s` sends, `+t` tells
//! the owner:
//!
//! ```text
//!             repeat          1xx              2xx           fail           ack           resend        end
//! Arrived     Arrived         Proceeding+s     Unacked+s     Completed+s    Arrived       Arrived       Proceeding+s
//! Proceeding  Proceeding+s    Proceeding+s     Unacked+s     Completed+s    Proceeding    Proceeding    Proceeding
//! Unacked     Unacked         Unacked          Unacked       Unacked        Accepted+t    Unacked+s     Terminated+t
//! Accepted    Accepted        Accepted         Accepted      Accepted       Accepted+t    Accepted      Terminated
//! Completed   Completed+s     Completed        Completed     Completed      Confirmed     Completed+s   Terminated+t
//! Confirmed   Confirmed       Confirmed        Confirmed     Confirmed      Confirmed     Confirmed     Terminated
//! Terminated  Terminated      Terminated       Terminated    Terminated     Terminated    Terminated    Terminated
//! ```
//!
//! A response that found no way is not reported here and would change nothing (RFC 6026): the INVITE comes again, or timers end it.

use std::time::Duration;

use bytes::Bytes;

use super::effects::Effects;
use super::timers::{GIVE_UP, Resend, T2, T4, TRYING, Wire, earlier, lingers};
use crate::clock::Mono;

#[derive(Clone, Debug, PartialEq)]
pub enum ServerInvite {
    /// No response yet; `trying` (100) goes out at `trying_at`.
    Arrived {
        trying: Bytes,
        trying_at: Mono,
    },
    /// 1xx sent, `last` the latest.
    Proceeding {
        last: Bytes,
    },
    /// 2xx sent, and again until its ACK; repeated INVITEs are swallowed. `ends` is timer L.
    Unacked {
        response: Bytes,
        resend: Resend,
        ends: Mono,
    },
    /// The 2xx was acknowledged; repeats are swallowed until timer L.
    Accepted {
        ends: Mono,
    },
    /// 3xx–6xx sent, and again (timer G, not over a reliable transport) until the ACK, or until timer H gives up.
    Completed {
        response: Bytes,
        resend: Option<Resend>,
        gives_up: Mono,
    },
    /// The ACK came; repeats of it are swallowed until timer I.
    Confirmed {
        ends: Mono,
    },
    Terminated,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// The INVITE again.
    Repeat,
    /// The core's responses.
    Provisional(Bytes),
    Success(Bytes),
    Failure(Bytes),
    Ack,
    Tick,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An ACK to the 2xx, for the core.
    Acked,
    /// The 2xx was never acknowledged.
    NoAckToSuccess,
    /// The 3xx–6xx was never acknowledged.
    NoAckToFailure,
}

impl ServerInvite {
    pub fn start(trying: Bytes, now: Mono) -> Self {
        ServerInvite::Arrived { trying, trying_at: now + TRYING }
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self {
            ServerInvite::Arrived { trying_at, .. } => Some(*trying_at),
            ServerInvite::Unacked { resend, ends, .. } => Some(earlier(Some(*resend), *ends)),
            ServerInvite::Completed { resend, gives_up, .. } => Some(earlier(*resend, *gives_up)),
            ServerInvite::Accepted { ends } | ServerInvite::Confirmed { ends } => Some(lingers(*ends)),
            ServerInvite::Proceeding { .. } | ServerInvite::Terminated => None,
        }
    }

    pub fn handle(self, event: Event, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        use ServerInvite::{Accepted, Arrived, Completed, Confirmed, Proceeding, Terminated, Unacked};
        match (self, event) {
            (Arrived { .. } | Proceeding { .. }, Event::Provisional(last)) => {
                (Proceeding { last: last.clone() }, Effects::send(last))
            }
            (Arrived { .. } | Proceeding { .. }, Event::Success(response)) => {
                let state = Unacked { response: response.clone(), resend: Resend::first(now), ends: now + GIVE_UP };
                (state, Effects::send(response))
            }
            (Arrived { .. } | Proceeding { .. }, Event::Failure(response)) => {
                let resend = Resend::over(wire, now);
                (Completed { response: response.clone(), resend, gives_up: now + GIVE_UP }, Effects::send(response))
            }
            (Arrived { trying, trying_at }, Event::Tick) if trying_at <= now => {
                (Proceeding { last: trying.clone() }, Effects::send(trying))
            }

            (Proceeding { last }, Event::Repeat) => (Proceeding { last: last.clone() }, Effects::send(last)),
            (Completed { response, resend, gives_up }, Event::Repeat) => {
                (Completed { response: response.clone(), resend, gives_up }, Effects::send(response))
            }

            (Unacked { ends, .. } | Accepted { ends }, Event::Ack) => (Accepted { ends }, Effects::tell(Notice::Acked)),
            (Unacked { ends, .. }, Event::Tick) if ends <= now => (Terminated, Effects::tell(Notice::NoAckToSuccess)),
            (Unacked { response, resend, ends }, Event::Tick) if resend.at <= now => {
                (Unacked { response: response.clone(), resend: resend.next(now, T2), ends }, Effects::send(response))
            }

            (Completed { .. }, Event::Ack) => match wire.linger(T4) {
                Duration::ZERO => (Terminated, Effects::none()),
                wait => (Confirmed { ends: now + wait }, Effects::none()),
            },
            (Completed { gives_up, .. }, Event::Tick) if gives_up <= now => (Terminated, Effects::tell(Notice::NoAckToFailure)),
            (Completed { response, resend: Some(due), gives_up }, Event::Tick) if due.at <= now => {
                let resend = Some(due.next(now, T2));
                (Completed { response: response.clone(), resend, gives_up }, Effects::send(response))
            }

            (Accepted { ends } | Confirmed { ends }, Event::Tick) if ends <= now => (Terminated, Effects::none()),

            // Nothing to do.
            (state @ (Arrived { .. } | Unacked { .. } | Accepted { .. } | Confirmed { .. } | Terminated), Event::Repeat)
            | (
                state @ (Unacked { .. } | Accepted { .. } | Completed { .. } | Confirmed { .. } | Terminated),
                Event::Provisional(_) | Event::Success(_) | Event::Failure(_),
            )
            | (state @ (Arrived { .. } | Proceeding { .. } | Confirmed { .. } | Terminated), Event::Ack)
            | (
                state @ (Arrived { .. }
                | Proceeding { .. }
                | Unacked { .. }
                | Accepted { .. }
                | Completed { .. }
                | Confirmed { .. }
                | Terminated),
                Event::Tick,
            ) => (state, Effects::none()),
        }
    }
}
