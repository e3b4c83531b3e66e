//! The durable event log: the truth that every figure is folded from.
//!
//! Append-only segment files under `recordings/events/`. [`Log::append`] never waits and never fails; one thread gives each event its
//! sequence number, writes a batch, makes it durable, and only then shows it to readers. The sequence has no gap and never starts
//! again: not over restarts, and not when the end of the last file is torn.
//!
//! ```text
//! append ──> inbox (bounded) ──> writer: number, write, fdatasync ──> fold ──> broadcast ──> Follow (live; cut when too slow)
//!                                           │
//!                                           └─> segments ──> Reader (from any kept number)
//! ```
//!
//! | trouble | what happens |
//! |---|---|
//! | torn tail | cut at open: what a kill or power cut left half written was shown to nobody |
//! | damage elsewhere | stepped over and reported; its numbers are not given again |
//! | disk full | a reserve file is given back to the disk; then events wait in the inbox; then they are counted, and the count becomes one `log.lost` in their place |
//! | reader too old | [`LogError::Gone`] with the first number that is kept |
//! | reader too slow | [`LogError::TooSlow`]; the log never waits |

mod cloud;
mod follow;
mod frame;
mod inbox;
mod reader;
mod reserve;
mod segment;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::broadcast;

use cloud::cloud_event;
pub use cloud::{TYPE_PREFIX, type_of};
pub use follow::Follow;
pub use inbox::BACKLOG;
pub use reader::Reader;
pub use segment::{Damage, Segment};

use super::Health;
use super::disk::Disk;
use super::thread::{PANICKED, watched};
use crate::clock::System;
use crate::event::Event;

/// What is done with each batch of events as soon as it is durable.
type Fold = Box<dyn Fn(&[Arc<Stored>]) + Send + Sync>;

/// An event with its number.
#[derive(Clone, Debug)]
pub struct Stored {
    /// From 1, without gaps.
    pub sequence: u64,
    pub event: Event,
    /// Printed once for all who read it.
    line: OnceLock<Arc<str>>,
}

impl Stored {
    pub fn new(sequence: u64, event: Event) -> Stored {
        Stored { sequence, event, line: OnceLock::new() }
    }

    /// As [`cloud_event`] prints it; `source` is the same for all who ask, as long as the process lives.
    pub fn line(&self, source: &str) -> Arc<str> {
        self.line.get_or_init(|| cloud_event(self, source).into()).clone()
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Stored) -> bool {
        (self.sequence, &self.event) == (other.sequence, &other.event)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("events before {first_kept} are no longer kept")]
    Gone { first_kept: u64 },
    #[error("the log ends at {last}")]
    Ahead { last: u64 },
    #[error("this reader fell more than {LIVE} events behind")]
    TooSlow,
    #[error("the log is closed")]
    Closed,
    #[error("event log: {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// Events that a live follower may be behind before it is cut. At 15 events/s that is more than four minutes; it resumes by number.
pub const LIVE: usize = 4_096;

/// Sizes; the defaults are what a centre of 100 agents wants.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A new segment begins after this many bytes. 16 MiB are some 40,000 events: a reader that starts in the middle of one skips
    /// them in a few milliseconds, and retention takes off a small part at a time.
    pub segment_bytes: u64,
    /// All segments together; the oldest ones go. 4 GiB are some ten million events: half a year of 100 agents.
    pub retain_bytes: u64,
    /// Given back to a full disk. 16 MiB are hours of events.
    pub reserve_bytes: u64,
    pub backlog: usize,
    /// Between two attempts at a disk that takes nothing.
    pub retry: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions {
            segment_bytes: 16 << 20,
            retain_bytes: 4 << 30,
            reserve_bytes: 16 << 20,
            backlog: BACKLOG,
            retry: Duration::from_secs(1),
        }
    }
}

/// A handle; clones are the same log. [`Log::close`] writes what waits and ends the thread.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What the writer and its readers share. Nobody holds a lock while touching the disk, but for the list of segments, whose lock is
/// held to copy it.
struct Shared {
    inbox: inbox::Inbox,
    /// Last number that is durable; 0 before the first.
    durable: AtomicU64,
    segments: RwLock<Vec<Segment>>,
    live: broadcast::Sender<Arc<Stored>>,
    /// Hears each batch before the followers.
    fold: OnceLock<Fold>,
    /// Signalled when `durable` grows; the gate guards nothing but the moment between looking and waiting.
    grown: Condvar,
    grown_gate: Mutex<()>,
}

impl Log {
    /// Opens or creates the log in `folder`, repairs its end, and starts its thread. `clock` stamps `log.lost`; `health` hears of
    /// trouble with part `event_log`.
    ///
    /// # Errors
    /// [`LogError::Io`] where the folder can't be read, or its last segment not be repaired.
    pub fn open(folder: &Path, options: LogOptions, disk: Arc<dyn Disk>, clock: System, health: Health) -> Result<Log, LogError> {
        let (live, _) = broadcast::channel(LIVE);
        let shared = Arc::new(Shared {
            inbox: inbox::Inbox::new(options.backlog),
            durable: AtomicU64::new(0),
            segments: RwLock::default(),
            live,
            fold: OnceLock::new(),
            grown: Condvar::new(),
            grown_gate: Mutex::default(),
        });
        let ill = health.clone();
        let writer = writer::Writer::open(folder, options, disk, clock, health, shared.clone())?;
        let thread = watched("event-log", move || writer.run(), move || ill("event_log", Some(PANICKED)))
            .map_err(|error| LogError::Io { path: folder.to_owned(), error })?;
        Ok(Log { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// From here on `fold` is given each batch, in order, on the log's thread, before followers are. Once: a second one is not heard.
    pub fn on_durable(&self, fold: impl Fn(&[Arc<Stored>]) + Send + Sync + 'static) {
        let _ = self.shared.fold.set(Box::new(fold));
    }

    /// Hands events over in their order. Never waits and never fails: see the table above.
    pub fn append(&self, events: impl IntoIterator<Item = Event>) {
        self.shared.inbox.push(events);
    }

    /// Last number that is durable.
    pub fn last(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// The oldest number that is kept.
    pub fn first_kept(&self) -> u64 {
        self.shared.first_kept()
    }

    /// Waits, for `patience` at most, until more than `sequence` is durable, and says whether it is. For readers in threads.
    pub fn wait_past(&self, sequence: u64, patience: Duration) -> bool {
        let gate = self.shared.grown_gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waited =
            self.shared.grown.wait_timeout_while(gate, patience, |()| self.last() <= sequence && !self.shared.inbox.is_closed());
        drop(waited);
        self.last() > sequence
    }

    /// Events that wait to become durable.
    pub fn waiting(&self) -> usize {
        self.shared.inbox.len()
    }

    /// Reads what is durable after `sequence` (0: from the very first), as far as the log goes at each call.
    ///
    /// # Errors
    /// [`LogError::Gone`], [`LogError::Ahead`].
    pub fn since(&self, sequence: u64) -> Result<Reader, LogError> {
        Reader::since(self.shared.clone(), sequence)
    }

    /// What follows after `sequence`, or from now on, for as long as it is awaited.
    ///
    /// # Errors
    /// [`LogError::Gone`], [`LogError::Ahead`].
    pub fn follow(&self, sequence: Option<u64>) -> Result<Follow, LogError> {
        Follow::new(self.shared.clone(), sequence)
    }

    /// Makes all that was appended durable, as far as the disk takes it, and ends the thread. Later appends go nowhere.
    pub fn close(&self) {
        self.shared.inbox.close();
        self.shared.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the event log's thread has panicked");
        }
    }
}

impl Shared {
    /// Lets threads in [`Log::wait_past`] look again.
    fn wake(&self) {
        drop(self.grown_gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.grown.notify_all();
    }

    fn first_kept(&self) -> u64 {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).first().map_or(1, |s| s.first)
    }
}

#[cfg(test)]
mod tests;
