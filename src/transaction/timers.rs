//! The timers of RFC 3261 §17 (Table 4), with L and M of RFC 6026: their values, and the growing gap between repeats.
//!
//! Over a reliable transport nothing is repeated except a 2xx to INVITE (§13.3.1.4), and the states that only wait for repeats of the
//! peer end at once. T1, T2 and T4 are the RFC's defaults and not configurable: peers count on them.

use std::time::Duration;

use crate::clock::Mono;
use crate::sip::Transport;

/// Estimate of the round trip.
pub const T1: Duration = Duration::from_millis(500);
/// Longest gap between repeats of a request that is not INVITE, and of responses to INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// Longest time that a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J, L and M, and how long a cancelled INVITE waits for its final response (§9.1).
pub const GIVE_UP: Duration = Duration::from_secs(32);
/// Timer D: at least 32 s (§17.1.1.2).
pub const D: Duration = Duration::from_secs(32);
/// A server sends 100 (Trying) by itself if the core gave no response to an INVITE for this long (§17.2.1).
pub const TRYING: Duration = Duration::from_millis(200);

/// What only lingers ends on a multiple of this. The RFC's times are the least, nobody sees the difference, and many that end together
/// wake the switch once.
const GRAIN_US: u64 = 250_000;

/// When what lingers until `ends` is looked at: then or a little later.
pub(super) fn lingers(ends: Mono) -> Mono {
    Mono::from_micros(ends.as_micros().div_ceil(GRAIN_US).saturating_mul(GRAIN_US))
}

/// What a transaction needs to know of its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Unreliable,
    Reliable,
}

impl Wire {
    pub fn of(transport: Transport) -> Wire {
        if transport.is_reliable() { Wire::Reliable } else { Wire::Unreliable }
    }

    /// `wait` where messages may come twice, nothing where they can't (timers D, I, J, K).
    pub fn linger(self, wait: Duration) -> Duration {
        match self {
            Wire::Unreliable => wait,
            Wire::Reliable => Duration::ZERO,
        }
    }
}

/// When a message is sent again, and how long after that once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    pub at: Mono,
    pub gap: Duration,
}

impl Resend {
    /// The first repeat comes T1 after the message.
    pub fn first(now: Mono) -> Resend {
        Resend { at: now + T1, gap: T1 }
    }

    /// Only where messages can be lost.
    pub fn over(wire: Wire, now: Mono) -> Option<Resend> {
        match wire {
            Wire::Unreliable => Some(Resend::first(now)),
            Wire::Reliable => None,
        }
    }

    /// After a repeat at `now`: twice the gap, at most `cap`. A tick that came late shifts the next one instead of making a burst.
    pub fn next(self, now: Mono, cap: Duration) -> Resend {
        let gap = (self.gap * 2).min(cap);
        let planned = self.at + gap;
        Resend { at: if planned > now { planned } else { now + gap }, gap }
    }

    /// After a repeat at `now`: `gap` from here on (timer E in Proceeding).
    pub fn steady(self, now: Mono, gap: Duration) -> Resend {
        let planned = self.at + gap;
        Resend { at: if planned > now { planned } else { now + gap }, gap }
    }
}

/// The earlier of an optional repeat and an end.
pub(super) fn earlier(resend: Option<Resend>, end: Mono) -> Mono {
    match resend {
        Some(r) if r.at < end => r.at,
        Some(_) | None => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_timers_are_64_times_t1() {
        assert_eq!(GIVE_UP, T1 * 64);
    }

    #[test]
    fn gaps_double_up_to_the_cap_and_a_late_tick_makes_no_burst() {
        let mut resend = Resend::first(Mono::ZERO);
        let mut at = Vec::new();
        for _ in 0..6 {
            at.push(resend.at.as_micros() / 1_000);
            resend = resend.next(resend.at, T2);
        }
        assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500, 15_500]);
        let late = Resend::first(Mono::ZERO).next(Mono::from_millis(60_000), T2);
        assert_eq!(late.at, Mono::from_millis(61_000));
    }
}
