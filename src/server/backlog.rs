//! How long an input waits in the core's queue, measured on one at a time.
//!
//! The last input in the queue is watched: when as many were taken as stood before it, and it, the time since is its delay. Then the next
//! one is watched. This costs a number and a look at the clock for each input, and inputs need no time stamp.

use std::time::Duration;

use crate::clock::Mono;

#[derive(Default)]
pub struct Backlog {
    watched: Option<Watched>,
}

struct Watched {
    since: Mono,
    /// Inputs to take until it is taken.
    left: usize,
}

impl Backlog {
    /// An input was taken, and so many wait still. The delay, where one was measured to its end.
    pub fn taken(&mut self, waiting: usize, now: Mono) -> Option<Duration> {
        match &mut self.watched {
            Some(watched) if watched.left > 1 => {
                watched.left -= 1;
                None
            }
            Some(watched) => {
                let delay = now.since(watched.since);
                self.watched = None;
                Some(delay)
            }
            None if waiting == 0 => Some(Duration::ZERO),
            None => {
                self.watched = Some(Watched { since: now, left: waiting });
                None
            }
        }
    }

    /// Nothing waits: whatever is taken next has not.
    pub fn is_empty_now(&mut self) {
        self.watched = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_that_of_the_input_that_stood_last() {
        let mut backlog = Backlog::default();
        let at = Mono::from_millis;
        assert_eq!(backlog.taken(0, at(0)), Some(Duration::ZERO));
        assert_eq!(backlog.taken(3, at(10)), None, "three wait; the third is watched");
        assert_eq!(backlog.taken(5, at(20)), None);
        assert_eq!(backlog.taken(6, at(30)), None);
        assert_eq!(backlog.taken(7, at(40)), Some(Duration::from_millis(30)));
        assert_eq!(backlog.taken(1, at(50)), None);
        backlog.is_empty_now();
        assert_eq!(backlog.taken(0, at(5_000)), Some(Duration::ZERO));
    }
}
