//! INVITE client transaction (RFC 3261 §17.1.1, with Accepted and timer M of RFC 6026 §7.2).
//!
//! The rule: the request is repeated (timer A, doubling without a cap) until any response or timer B; a 3xx–6xx is acknowledged here,
//! again for each repeat of it until timer D; a 2xx is acknowledged by the core, whose ACK is kept by To tag and sent again for each
//! repeated 2xx until timer M. A cancelled INVITE waits 64·T1 for its final response (§9.1).
//!
//! The drawing, which a test walks. `resend` and `end` are the state's two timers; `+s` sends, `+t` tells the owner:
//!
//! ```text
//!             1xx            2xx           fail             resend     end            acked     cancelled   error
//! Calling     Proceeding+t   Accepted+t    Completed+s+t    Calling+s  Terminated+t   Calling   Calling     Terminated+t
//! Proceeding  Proceeding+t   Accepted+t    Completed+s+t    Proceeding Proceeding     Proceeding Cancelled Proceeding
//! Cancelled   Cancelled+t    Accepted+t    Completed+s+t    Cancelled  Terminated+t   Cancelled Cancelled   Cancelled
//! Completed   Completed      Completed     Completed+s      Completed  Terminated     Completed Completed   Terminated
//! Accepted    Accepted       Accepted+t    Accepted         Accepted   Terminated     Accepted  Accepted    Accepted
//! Terminated  Terminated     Terminated    Terminated       Terminated Terminated     Terminated Terminated Terminated
//! ```
//!
//! A transport error after a provisional response is no end: the answer may come by another way, and the peer's own timers run.

use std::time::Duration;

use bytes::Bytes;

use super::effects::Effects;
use super::timers::{D, GIVE_UP, Resend, Wire, earlier, lingers};
use crate::clock::Mono;
use crate::sip::{Flow, Headers, Message};

/// 2xx from so many forks are acknowledged by one transaction; further ones are dropped, and their callee gives up by itself.
pub const MAX_FORKS: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub enum ClientInvite {
    /// No response yet. `resend` is timer A, `gives_up` timer B.
    Calling {
        request: Bytes,
        resend: Option<Resend>,
        gives_up: Mono,
    },
    /// A 1xx came. No timer: how long a phone may ring is the core's affair.
    Proceeding,
    /// A CANCEL was sent; the final response is due.
    Cancelled {
        gives_up: Mono,
    },
    /// A 3xx–6xx came and was acknowledged; `ends` is timer D.
    Completed {
        ack: Bytes,
        ends: Mono,
    },
    /// A 2xx came; `ends` is timer M.
    Accepted {
        forks: Vec<Fork>,
        ends: Mono,
    },
    Terminated,
}

/// One callee's 2xx, by its To tag, and the core's ACK to it once there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    pub tag: Bytes,
    pub ack: Option<(Flow, Bytes)>,
}

#[derive(Clone, Debug)]
pub enum Event {
    Provisional,
    Success {
        tag: Bytes,
    },
    /// 3xx–6xx, with the ACK that it gets.
    Failure {
        ack: Bytes,
    },
    /// The core sent this ACK to the 2xx with this tag.
    Acked {
        tag: Bytes,
        flow: Flow,
        ack: Bytes,
    },
    CancelSent,
    Undeliverable,
    Tick,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The response is for the core.
    Deliver,
    /// A 2xx again: its ACK goes out again.
    AckAgain(Flow, Bytes),
    TimedOut,
    Unreachable,
}

impl ClientInvite {
    pub fn start(request: Bytes, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        let state = ClientInvite::Calling { request: request.clone(), resend: Resend::over(wire, now), gives_up: now + GIVE_UP };
        (state, Effects::send(request))
    }

    pub fn deadline(&self) -> Option<Mono> {
        match self {
            ClientInvite::Calling { resend, gives_up, .. } => Some(earlier(*resend, *gives_up)),
            ClientInvite::Cancelled { gives_up } => Some(*gives_up),
            ClientInvite::Completed { ends, .. } | ClientInvite::Accepted { ends, .. } => Some(lingers(*ends)),
            ClientInvite::Proceeding | ClientInvite::Terminated => None,
        }
    }

    pub fn handle(self, event: Event, wire: Wire, now: Mono) -> (Self, Effects<Notice>) {
        use ClientInvite::{Accepted, Calling, Cancelled, Completed, Proceeding, Terminated};
        match (self, event) {
            (Calling { .. } | Proceeding, Event::Provisional) => (Proceeding, Effects::tell(Notice::Deliver)),
            (state @ Cancelled { .. }, Event::Provisional) => (state, Effects::tell(Notice::Deliver)),

            (Calling { .. } | Proceeding | Cancelled { .. }, Event::Success { tag }) => {
                (Accepted { forks: vec![Fork { tag, ack: None }], ends: now + GIVE_UP }, Effects::tell(Notice::Deliver))
            }
            (Accepted { forks, ends }, Event::Success { tag }) => repeated(forks, ends, tag),

            (Calling { .. } | Proceeding | Cancelled { .. }, Event::Failure { ack }) => {
                let effects = Effects::both(ack.clone(), Notice::Deliver);
                match wire.linger(D) {
                    Duration::ZERO => (Terminated, effects),
                    wait => (Completed { ack, ends: now + wait }, effects),
                }
            }
            // The ACK as it was first: a repeat with another tag is the work of a broken forking proxy.
            (Completed { ack, ends }, Event::Failure { .. }) => (Completed { ack: ack.clone(), ends }, Effects::send(ack)),

            (Accepted { mut forks, ends }, Event::Acked { tag, flow, ack }) => {
                if let Some(fork) = forks.iter_mut().find(|f| f.tag == tag) {
                    fork.ack = Some((flow, ack));
                }
                (Accepted { forks, ends }, Effects::none())
            }

            (Proceeding, Event::CancelSent) => (Cancelled { gives_up: now + GIVE_UP }, Effects::none()),

            (Calling { request, resend, gives_up }, Event::Tick) => {
                if gives_up <= now {
                    return (Terminated, Effects::tell(Notice::TimedOut));
                }
                match resend {
                    Some(due) if due.at <= now => {
                        let resend = Some(due.next(now, Duration::MAX));
                        (Calling { request: request.clone(), resend, gives_up }, Effects::send(request))
                    }
                    Some(_) | None => (Calling { request, resend, gives_up }, Effects::none()),
                }
            }
            (Cancelled { gives_up }, Event::Tick) if gives_up <= now => (Terminated, Effects::tell(Notice::TimedOut)),
            (Completed { ends, .. } | Accepted { ends, .. }, Event::Tick) if ends <= now => (Terminated, Effects::none()),

            (Calling { .. }, Event::Undeliverable) => (Terminated, Effects::tell(Notice::Unreachable)),
            // The core has its final response; only the ACK found no way.
            (Completed { .. }, Event::Undeliverable) => (Terminated, Effects::none()),

            // Nothing to do.
            (state @ (Calling { .. } | Proceeding | Cancelled { .. } | Completed { .. } | Terminated), Event::Acked { .. })
            | (
                state @ (Calling { .. } | Cancelled { .. } | Completed { .. } | Accepted { .. } | Terminated),
                Event::CancelSent,
            )
            | (state @ (Completed { .. } | Accepted { .. } | Terminated), Event::Provisional)
            | (state @ (Completed { .. } | Terminated), Event::Success { .. })
            | (state @ (Accepted { .. } | Terminated), Event::Failure { .. })
            | (state @ (Proceeding | Cancelled { .. } | Completed { .. } | Accepted { .. } | Terminated), Event::Tick)
            | (state @ (Proceeding | Cancelled { .. } | Accepted { .. } | Terminated), Event::Undeliverable) => {
                (state, Effects::none())
            }
        }
    }
}

/// See [`Transactions::rerouted`](super::Transactions::rerouted): repeats of an ACK go by the new way.
pub fn acks_rerouted(forks: &mut [Fork], is_gone: &dyn Fn(&Flow) -> bool, request: &dyn Fn(&Headers, Flow) -> Option<Flow>) {
    for (flow, ack) in forks.iter_mut().filter_map(|fork| fork.ack.as_mut()) {
        if is_gone(flow)
            && let Ok(Message::Request(ack)) = Message::from_bytes(ack.clone())
            && let Some(to) = request(&ack.headers, *flow)
        {
            *flow = to;
        }
    }
}

/// A 2xx in Accepted: of a fork that is known (ACK again, if the core gave one yet), or of a new one.
fn repeated(mut forks: Vec<Fork>, ends: Mono, tag: Bytes) -> (ClientInvite, Effects<Notice>) {
    let effects = match forks.iter().find(|f| f.tag == tag) {
        Some(Fork { ack: Some((flow, ack)), .. }) => Effects::tell(Notice::AckAgain(*flow, ack.clone())),
        Some(Fork { ack: None, .. }) => Effects::none(),
        None if forks.len() < MAX_FORKS => {
            forks.push(Fork { tag, ack: None });
            Effects::tell(Notice::Deliver)
        }
        None => Effects::none(),
    };
    (ClientInvite::Accepted { forks, ends }, effects)
}
