//! Phones that have promised to be heard (RFC 5626 §4.4): who is silent for longer is told to the core, once.
//!
//! Ten thousand phones with a keep-alive every 25 s are 400 datagrams a second that mean nothing. So each costs a look into a table here,
//! and the core hears of those that do not come. Time is counted in calls of [`KeepAlives::renew`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// In renewals, of which there are four a second: a minute. Two keep-alives of a phone that heeds `Flow-Timer: 25` may be lost, or one
/// with all its repeats.
const PATIENCE: u32 = 240;
/// Between two looks at all, likewise.
const LOOK: u32 = 16;
/// Watched at once; registered phones alone are. Beyond it a phone's silence is noticed at the next call only.
const MOST: usize = 65_536;
/// In one report; the others come with the next.
const MOST_AT_ONCE: usize = 512;

#[derive(Debug, Default)]
pub struct KeepAlives {
    any: AtomicBool,
    now: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each was heard last.
    watched: HashMap<SocketAddr, u32>,
    silent: Vec<SocketAddr>,
}

impl KeepAlives {
    /// Is to be heard from now on. Again and again it is the same.
    pub fn watch(&self, remote: SocketAddr) {
        let mut state = self.state();
        if state.watched.len() < MOST || state.watched.contains_key(&remote) {
            state.watched.insert(remote, self.now.load(Ordering::Relaxed));
            self.any.store(true, Ordering::Relaxed);
        }
    }

    /// Anything came from there.
    pub fn heard(&self, remote: SocketAddr) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let now = self.now.load(Ordering::Relaxed);
        if let Some(last) = self.state().watched.get_mut(&remote) {
            *last = now;
        }
    }

    /// A quarter of a second has gone by.
    pub fn renew(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !now.is_multiple_of(LOOK) || !self.any.load(Ordering::Relaxed) {
            return;
        }
        let State { watched, silent } = &mut *self.state();
        watched.retain(|remote, last| {
            let is_heard = now.wrapping_sub(*last) < PATIENCE;
            if !is_heard {
                silent.push(*remote);
            }
            is_heard
        });
        self.any.store(!watched.is_empty(), Ordering::Relaxed);
    }

    pub fn is_any_silent(&self) -> bool {
        !self.state().silent.is_empty()
    }

    /// Who has fallen silent, and is not watched any more until it is said anew.
    pub fn take_silent(&self) -> Vec<SocketAddr> {
        let silent = &mut self.state().silent;
        let left = silent.len().saturating_sub(MOST_AT_ONCE);
        silent.split_off(left)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_heard_is_not_told_of_and_who_is_not_is_told_of_once() {
        let (heard, silent) = (SocketAddr::from(([10, 0, 0, 1], 5060)), SocketAddr::from(([10, 0, 0, 2], 5060)));
        let all = KeepAlives::default();
        all.watch(heard);
        all.watch(silent);
        // A stranger's is nothing.
        all.heard(SocketAddr::from(([10, 0, 0, 3], 5060)));
        for round in 0..4 * PATIENCE {
            all.renew();
            if round % 100 == 0 {
                all.heard(heard);
            }
            if round == PATIENCE - LOOK {
                assert!(!all.is_any_silent(), "it has time yet");
            }
        }
        assert_eq!(all.take_silent(), [silent]);
        assert!(!all.is_any_silent());
        all.watch(silent);
        for _ in 0..2 * PATIENCE {
            all.renew();
        }
        assert_eq!(all.take_silent().len(), 2, "again when it is awaited anew, and the other one has stopped");
    }
}
