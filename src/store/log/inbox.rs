//! Events on their way to the log's thread, and the backlog while the disk takes none.
//!
//! One bounded queue serves as both. Whoever appends never waits: when the queue is full the event is counted, and the count takes
//! the place in the order where the events are missing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::Event;

/// Events that wait for the disk: about 20 MB, and the busiest hour of 100 agents (some 15 events/s) with the disk full throughout.
/// When full, newer events are dropped and counted; `log.lost` says how many once the disk is back.
pub const BACKLOG: usize = 65_536;

/// How long events that nobody is in a hurry for wait for company, if none comes that somebody is: phones that register after a power cut
/// share four syncs a second.
const UNHURRIED: Duration = Duration::from_millis(250);

/// Most that one write takes. A batch this long is some 400 KB: one write and one sync for all of it.
pub const BATCH: usize = 1_024;

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly every entry is an event")]
pub enum Entry {
    Event(Event),
    /// Here stood so many events.
    Lost(u64),
}

pub struct Inbox {
    state: Mutex<State>,
    came: Condvar,
    bound: usize,
    unhurried: Duration,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Dropped since the queue was last not full.
    lost: u64,
    /// Something that waits is to be heard of soon.
    hurried: bool,
    /// What the log's thread is to be woken for.
    sleeps: Sleeps,
    closed: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Sleeps {
    /// It is awake, or wakes by itself.
    #[default]
    No,
    UntilAnything,
    UntilHurried,
}

impl State {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.lost == 0
    }

    fn is_idle(&mut self) -> bool {
        self.is_empty() && !self.closed
    }

    /// What has come can wait.
    fn is_unhurried(&mut self) -> bool {
        !self.hurried && self.lost == 0 && self.queue.len() < BATCH && !self.closed
    }
}

impl Inbox {
    pub fn new(bound: usize) -> Self {
        Inbox { state: Mutex::default(), came: Condvar::new(), bound: bound.max(1), unhurried: UNHURRIED }
    }

    /// Never waits for the disk.
    pub fn push(&self, events: impl IntoIterator<Item = Event>) {
        let mut state = self.lock();
        for event in events {
            state.hurried |= event.kind.is_hurried();
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
        let wake = match state.sleeps {
            Sleeps::No => false,
            Sleeps::UntilAnything => !state.is_empty(),
            Sleeps::UntilHurried => !state.is_unhurried(),
        };
        drop(state);
        if wake {
            self.came.notify_one();
        }
    }

    /// Moves what waits into the empty `batch`, up to [`BATCH`]; waits for it at most `patience`, and from then on for `company` to come
    /// to a first event that somebody is in a hurry for. `false` when closed and empty.
    pub fn take(&self, batch: &mut Vec<Entry>, patience: Duration, company: impl FnOnce() -> Duration) -> bool {
        let mut state = self.lock();
        if state.is_idle() {
            state = self.sleep(state, Sleeps::UntilAnything, patience, State::is_idle);
        }
        if !state.is_empty() && state.is_unhurried() {
            state = self.sleep(state, Sleeps::UntilHurried, self.unhurried, State::is_unhurried);
        }
        if state.hurried {
            let more = |s: &mut State| s.queue.len() < BATCH && !s.closed && !s.is_empty();
            state = self.sleep(state, Sleeps::No, company(), more);
        }
        let room = BATCH.min(state.queue.len());
        batch.extend(state.queue.drain(..room));
        if state.queue.is_empty() && state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            batch.push(Entry::Lost(lost));
        }
        state.hurried &= !state.is_empty();
        !(state.closed && batch.is_empty() && state.queue.is_empty())
    }

    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        sleeps: Sleeps,
        patience: Duration,
        until: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        state.sleeps = sleeps;
        let (mut state, _) = self.came.wait_timeout_while(state, patience, until).unwrap_or_else(PoisonError::into_inner);
        state.sleeps = Sleeps::No;
        state
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, System, Wall};
    use crate::event::{By, GuardLifted, Kind, Registration};

    fn event(kind: Kind) -> Event {
        Event { at: Wall::from_micros(0), conversation: None, kind }
    }

    fn registered() -> Event {
        event(Kind::RegistrationAdded(Registration {
            number: "201".into(),
            contact: "sip:201@192.0.2.9".into(),
            transport: "udp".into(),
            user_agent: None,
            source: "192.0.2.9:5060".into(),
            reason: None,
        }))
    }

    fn lifted() -> Event {
        event(Kind::GuardLifted(GuardLifted { address: "192.0.2.1".into(), by: By::Switch }))
    }

    #[test]
    fn what_nobody_is_in_a_hurry_for_goes_with_the_first_that_somebody_is() {
        let inbox = Inbox { unhurried: Duration::from_secs(3_600), ..Inbox::new(10) };
        let batch = std::thread::scope(|scope| {
            let taking = scope.spawn(|| {
                let mut batch = Vec::new();
                inbox.take(&mut batch, Duration::from_secs(3_600), || Duration::ZERO);
                batch
            });
            inbox.push([registered()]);
            let clock = System::start();
            while inbox.lock().sleeps != Sleeps::UntilHurried {
                assert!(clock.mono() < Mono::from_millis(20_000), "it does not wait");
                std::thread::yield_now();
            }
            inbox.push([lifted()]);
            taking.join().unwrap()
        });
        assert_eq!(batch, [Entry::Event(registered()), Entry::Event(lifted())]);
        assert!(!inbox.lock().hurried);
    }

    #[test]
    fn it_goes_alone_where_none_comes_and_at_the_end() {
        let inbox = Inbox { unhurried: Duration::from_millis(1), ..Inbox::new(10) };
        let mut batch = Vec::new();
        inbox.push([registered()]);
        assert!(inbox.take(&mut batch, Duration::ZERO, || unreachable!("nobody is in a hurry")));
        assert_eq!(batch.len(), 1);

        let inbox = Inbox { unhurried: Duration::from_secs(3_600), ..Inbox::new(10) };
        inbox.push([registered()]);
        inbox.close();
        batch.clear();
        assert!(inbox.take(&mut batch, Duration::ZERO, || Duration::ZERO));
        assert_eq!(batch.len(), 1);
        batch.clear();
        assert!(!inbox.take(&mut batch, Duration::ZERO, || Duration::ZERO));
    }
}
