//! Identifiers and names, one type each, so that a staff number cannot be dialled by mistake.
//!
//! Conversations and recordings are ULIDs: unique over restarts, and sorted by the time they began. A [`LegId`] is a counter of this
//! process; what outlives the process names a leg together with its conversation. Names come from the configuration and are compared
//! byte for byte.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// From a time in milliseconds since 1970 and 80 bits of chance (the rest of `random` is dropped).
            pub fn from_parts(ms: u64, random: u128) -> Self {
                $name(Ulid::from_parts(ms, random))
            }

            /// Big-endian, so that keys sort by time.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(Ulid::from_bytes(bytes))
            }

            /// When it was made, in milliseconds since 1970.
            pub fn timestamp_ms(self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(s: &str) -> Result<Self, BadId> {
                Ulid::from_string(s).map($name).map_err(|_| BadId)
            }
        }
    };
}

ulid_id!(
    /// A customer's whole stay, from the first INVITE to the last BYE.
    ConversationId
);
ulid_id!(
    /// One stereo WAV with its row and sidecar.
    RecordingId
);
ulid_id!(
    /// A wish to be called back, from the wish until it is done or given up.
    CallbackId
);

/// Not an identifier of ours (26 characters of Crockford's base 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier")]
pub struct BadId;

/// One SIP dialog with its media. Unique in this process, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegId(pub u64);

impl LegId {
    /// No leg has this number: who stands for the caller before any leg is there.
    pub const NOBODY: LegId = LegId(0);
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg-{}", self.0)
    }
}

impl fmt::Debug for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(s: impl Into<Arc<str>>) -> Self {
                $name(s.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(s: &str) -> Self {
                $name(s.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The extension that a phone registers as and is dialled by.
    Number
);
name!(
    /// An agent: the number that the person states to customers. Not a thing to dial.
    StaffNumber
);
name!(
    /// Agents under one leader, by its configured name.
    TeamName
);
name!(
    /// A queue, by its configured name.
    QueueName
);
name!(
    /// A trunk, by its configured name.
    TrunkName
);
name!(
    /// A menu, by its configured name.
    MenuName
);
name!(
    /// A skill of agents, by its configured name: a language, a product.
    Skill
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_print_what_they_read() {
        let a = ConversationId::from_parts(1_000, u128::MAX);
        let b = ConversationId::from_parts(1_001, 0);
        assert!(a < b && a.to_bytes() < b.to_bytes());
        assert_eq!(a.to_string().parse(), Ok(a));
        assert_eq!("no".parse::<RecordingId>(), Err(BadId));
    }
}
