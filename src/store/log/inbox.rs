//! Events on their way to the log's thread, and the backlog while the disk takes none.
//!
//! One bounded queue serves as both. Whoever appends never waits: when the queue is full the event is counted, and the count takes
//! the place in the order where the events are missing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::switch::Event;

/// Events that wait for the disk: about 20 MB, and the busiest hour of 100 agents (some 15 events/s) with the disk full throughout.
/// When full, newer events are dropped and counted; `log.lost` says how many once the disk is back.
pub const BACKLOG: usize = 65_536;

/// Most that one write takes. A batch this long is some 400 KB: one write and one sync for all of it.
pub const BATCH: usize = 1_024;

#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Event(Event),
    /// Here stood so many events.
    Lost(u64),
}

pub struct Inbox {
    state: Mutex<State>,
    came: Condvar,
    bound: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Dropped since the queue was last not full.
    lost: u64,
    /// The log's thread sleeps and has to be woken.
    asleep: bool,
    closed: bool,
}

impl Inbox {
    pub fn new(bound: usize) -> Self {
        Inbox { state: Mutex::default(), came: Condvar::new(), bound: bound.max(1) }
    }

    /// Never waits for the disk.
    pub fn push(&self, events: impl IntoIterator<Item = Event>) {
        let mut state = self.lock();
        for event in events {
            if state.queue.len() >= self.bound {
                state.lost += 1;
                continue;
            }
            if state.lost > 0 {
                let lost = std::mem::take(&mut state.lost);
                state.queue.push_back(Entry::Lost(lost));
            }
            state.queue.push_back(Entry::Event(event));
        }
        let wake = state.asleep && (!state.queue.is_empty() || state.lost > 0);
        drop(state);
        if wake {
            self.came.notify_one();
        }
    }

    /// Moves what waits into the empty `batch`, up to [`BATCH`]; waits for it at most `patience`, and from then on for `company` to come
    /// to a first event. `false` when closed and empty.
    pub fn take(&self, batch: &mut Vec<Entry>, patience: Duration, company: impl FnOnce() -> Duration) -> bool {
        let mut state = self.lock();
        if state.queue.is_empty() && state.lost == 0 && !state.closed {
            state.asleep = true;
            let waited = self.came.wait_timeout_while(state, patience, |s| s.queue.is_empty() && s.lost == 0 && !s.closed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.asleep = false;
        }
        let waited = self
            .came
            .wait_timeout_while(state, company(), |s| s.queue.len() < BATCH && !s.closed && (!s.queue.is_empty() || s.lost > 0));
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let room = BATCH.min(state.queue.len());
        batch.extend(state.queue.drain(..room));
        if state.queue.is_empty() && state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            batch.push(Entry::Lost(lost));
        }
        !(state.closed && batch.is_empty() && state.queue.is_empty())
    }

    /// Waits for `patience`, or until closed. For the thread between two attempts at a full disk.
    pub fn rest(&self, patience: Duration) {
        let state = self.lock();
        drop(self.came.wait_timeout_while(state, patience, |s| !s.closed));
    }

    /// Nothing more is to come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
