//! Who waits, and since when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Mono, Now, Wall};
use crate::ids::{CallbackId, ConversationId};

/// What has a place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Somebody who hears the music.
    Caller(ConversationId),
    /// Somebody who has hung up, and whose place waits on.
    Callback(CallbackId),
}

impl Entry {
    /// The call that waits; a callback has none before an agent is there for it.
    pub fn conversation(self) -> Option<ConversationId> {
        match self {
            Entry::Caller(conversation) => Some(conversation),
            Entry::Callback(_) => None,
        }
    }
}

impl From<ConversationId> for Entry {
    fn from(conversation: ConversationId) -> Self {
        Entry::Caller(conversation)
    }
}

impl From<CallbackId> for Entry {
    fn from(callback: CallbackId) -> Self {
        Entry::Callback(callback)
    }
}

/// When somebody came, for the order of service: microseconds on [`Mono`]'s scale, and before its zero too. `Mono` starts with the
/// process and never goes below zero, so by it all who came before a restart, or with a lead in the first minutes, would tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arrival(i64);

impl Arrival {
    /// Of a moment that is known by the clock on the wall: of the last run, perhaps.
    pub fn at_wall(at: Wall, now: Now) -> Self {
        let ago = now.wall.as_micros().saturating_sub(at.as_micros());
        Arrival(Arrival::from(now.mono).0.saturating_sub(ago))
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// So much sooner, `times` over; later if that is negative. Saturates.
    pub(super) fn ahead_by(self, step: Duration, times: i64) -> Self {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        Arrival(self.0.saturating_sub(step.saturating_mul(times)))
    }
}

impl From<Mono> for Arrival {
    fn from(at: Mono) -> Self {
        Arrival(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_before_the_process_keeps_the_order_of_coming() {
        let now = Now { mono: Mono::from_millis(2_000), wall: Wall::from_micros(1_795_338_000_000_000) };
        let before = |seconds| Arrival::at_wall(now.wall - Duration::from_secs(seconds), now);
        assert!(before(3_600) < before(3_599) && before(3_599) < Arrival::from(Mono::ZERO));
        assert_eq!(before(1), Arrival::from(Mono::from_millis(1_000)));
        assert_eq!(before(0).ahead_by(Duration::from_secs(1), -2), Arrival::from(Mono::from_millis(4_000)));
    }

    #[test]
    fn no_time_is_too_far_away() {
        let now = Now { mono: Mono::from_micros(u64::MAX), wall: Wall::from_micros(i64::MAX) };
        let far = Arrival::at_wall(Wall::from_micros(i64::MIN), now);
        assert_eq!(far.ahead_by(Duration::MAX, i64::MAX), Arrival(-i64::MAX));
        assert_eq!(far.ahead_by(Duration::MAX, i64::MIN), Arrival(i64::MAX));
    }
}
