//! Time as values. The core never asks what time it is: every input brings a [`Now`].
//!
//! [`Mono`] orders and measures (it never jumps, and starts near zero with the process); [`Wall`] names a moment for people and for
//! what outlives the process. [`System`] is the one reader of the operating system's clock in the whole crate (`clippy.toml` bans the
//! others), so a test or a replay that feeds its own `Now` controls time completely.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the process's monotonic clock, in microseconds since the clock was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(u64);

impl Mono {
    pub const ZERO: Mono = Mono(0);

    pub const fn from_micros(us: u64) -> Self {
        Mono(us)
    }

    pub const fn from_millis(ms: u64) -> Self {
        Mono(ms * 1_000)
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Mono) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Mono;

    /// Saturates: a timeout of centuries is "never", not a panic.
    fn add(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Mono {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Mono {
    type Output = Mono;

    fn sub(self, d: Duration) -> Mono {
        Mono(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A moment of civil time: microseconds since 1970-01-01T00:00:00Z. Time zones are applied at the edge, never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(i64);

impl Wall {
    pub const fn from_micros(us: i64) -> Self {
        Wall(us)
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Wall) -> Duration {
        let us = self.0.saturating_sub(earlier.0);
        Duration::from_micros(if us > 0 { us as u64 } else { 0 })
    }

    /// For calendar questions (opening hours, file names). `None` outside the years that jiff knows.
    pub fn timestamp(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_microsecond(self.0).ok()
    }

    /// Reads what [`Display`](fmt::Display) prints, and any other RFC 3339 time.
    pub fn parse_rfc3339(text: &str) -> Option<Wall> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Wall(t.as_microsecond()))
    }
}

impl Add<Duration> for Wall {
    type Output = Wall;

    fn add(self, d: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Wall {
    type Output = Wall;

    fn sub(self, d: Duration) -> Wall {
        Wall(self.0.saturating_sub(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// UTC, RFC 3339, milliseconds: `2026-11-22T09:00:00.000Z`.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(t) => write!(f, "{t:.3}"),
            None => write!(f, "@{}us", self.0),
        }
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

impl Add<Duration> for Now {
    type Output = Now;

    fn add(self, d: Duration) -> Now {
        Now { mono: self.mono + d, wall: self.wall + d }
    }
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct System {
    started: std::time::Instant,
}

impl System {
    #[allow(clippy::disallowed_methods, reason = "the one reader of the clock")]
    pub fn start() -> Self {
        System { started: std::time::Instant::now() }
    }

    #[allow(clippy::disallowed_methods, reason = "the one reader of the clock")]
    pub fn now(&self) -> Now {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
        Now { mono: self.mono(), wall: Wall(wall) }
    }

    #[allow(clippy::disallowed_methods, reason = "the one reader of the clock")]
    pub fn mono(&self) -> Mono {
        Mono(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The instant that tokio's timers want for a deadline of the core.
    pub fn instant(&self, at: Mono) -> std::time::Instant {
        self.started + Duration::from_micros(at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_prints_rfc3339_with_milliseconds_and_reads_it_back() {
        let w = Wall::from_micros(1_795_338_000_123_000);
        assert_eq!(w.to_string(), "2026-11-22T09:00:00.123Z");
        assert_eq!(Wall::parse_rfc3339("2026-11-22T09:00:00.123Z"), Some(w));
        assert_eq!(Wall::parse_rfc3339("2026-11-22T10:00:00.123+01:00"), Some(w));
    }

    #[test]
    fn differences_never_go_below_zero() {
        assert_eq!(Mono::from_millis(1).since(Mono::from_millis(5)), Duration::ZERO);
        assert_eq!(Wall::from_micros(1).since(Wall::from_micros(5)), Duration::ZERO);
    }
}
