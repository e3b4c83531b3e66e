//! Folds of the event log that are kept in the index beside the conversations: each with its own checkpoint and version.
//!
//! A fold is given every durable event in its order, once. What it makes of them is written about once a second, with the place in the log
//! that it is folded up to, in one transaction: after a kill it goes on exactly where the index is. Where the index could not be
//! written, what was in memory is dropped, read again from there, and folded again from the log: sums are added to, so nothing may be written
//! twice. One of another version, or whose rows are gone, is folded anew from what the log keeps; what the log no longer reaches stays.
//!
//! ```text
//! log ──take──> Fold in memory ──commit, 1/s──> index
//!   └──catch_up: at start, and after trouble ──┘
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::conversations::FoldError;
use super::database::{Change, Database, DatabaseError, Tree};
use super::log::{Log, LogError, Reader, Stored};
use crate::clock::Wall;
use crate::event::Event;

/// Events that are caught up on in one transaction.
const BATCH: usize = 4_096;

/// Changes that wait for an index that can't be written: some tens of megabytes. What comes after is left to the log.
const MOST_WAITING: usize = 100_000;

/// What is made of events.
pub trait Fold: Default + Send + 'static {
    /// Of its checkpoint: never changed.
    const NAME: &'static str;
    /// One of another version is folded anew.
    const VERSION: u32;

    /// As it was written; `None` where it is not all there.
    fn load(database: &dyn Database) -> Result<Option<Self>, DatabaseError>;

    /// Takes what there is of it out of the index, but for what is of before `from`, the first moment that the log still tells of;
    /// nothing of that where it tells of nothing.
    fn clear(database: &dyn Database, from: Option<Wall>) -> Result<(), DatabaseError>;

    /// Quick, and can't fail: the log's thread calls it.
    fn take(&mut self, event: &Event);

    /// How much waits to be written.
    fn waiting(&self) -> usize;

    /// What is taken out of memory to be written.
    type Outgoing: Send;

    /// What has changed since this was asked last; `None`: nothing that has to be written. Quick: the log's thread waits.
    fn outgoing(&mut self) -> Option<Self::Outgoing>;

    /// As changes of the index, which is read for them; nobody waits but who reads what is written.
    fn changes(outgoing: &Self::Outgoing, database: &dyn Database) -> Result<Vec<Change>, DatabaseError>;

    /// The last changes are in the index.
    fn written(&mut self);
}

/// A fold with its place in the log. A handle; clones are the same one.
pub struct Host<F> {
    database: Arc<dyn Database>,
    ahead: Arc<Mutex<Ahead<F>>>,
    /// Held to write by who writes the index, so that who reads index and memory sees no sum twice, or not at all.
    writing: Arc<RwLock<()>>,
}

impl<F> Clone for Host<F> {
    fn clone(&self) -> Self {
        Host { database: self.database.clone(), ahead: self.ahead.clone(), writing: self.writing.clone() }
    }
}

struct Ahead<F> {
    fold: F,
    /// Last number that is folded.
    position: u64,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Whole,
    /// What the index has of it is to go first.
    Anew,
    /// The index could not be written, and is to be read again.
    Lost,
}

/// What the store does with each of its folds, whichever it is.
pub trait Fed: Send + Sync {
    /// Folds the events that have become durable; those that do not follow on what is folded are left to `catch_up`.
    fn take(&self, events: &[Arc<Stored>]);

    /// Writes what has changed.
    fn commit(&self) -> Result<(), DatabaseError>;

    /// Folds what the log has and nobody gave to `take`, and writes it.
    fn catch_up(&self, log: &Log) -> Result<(), FoldError>;
}

impl<F: Fold> Host<F> {
    /// As far as it is folded in the index.
    pub fn open(database: Arc<dyn Database>) -> Result<Self, DatabaseError> {
        let ahead = Ahead::read(&*database)?;
        Ok(Host { database, ahead: Arc::new(Mutex::new(ahead)), writing: Arc::default() })
    }

    /// The log was cut or replaced under the index: its numbers go on from `last`.
    pub fn not_beyond(&self, last: u64) {
        let mut ahead = self.ahead();
        ahead.position = ahead.position.min(last);
    }

    /// Last number that is folded.
    pub fn position(&self) -> u64 {
        self.ahead().position
    }

    pub fn database(&self) -> &dyn Database {
        &*self.database
    }

    /// What `look` takes out of memory. As long as the guard is there, the index is not written.
    pub fn with<T>(&self, look: impl FnOnce(&F) -> T) -> (T, RwLockReadGuard<'_, ()>) {
        let unwritten = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        (look(&self.ahead().fold), unwritten)
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead<F>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stand(&self, log: &Log) -> Result<(), FoldError> {
        let standing = self.ahead().standing;
        match standing {
            Standing::Whole => {}
            Standing::Lost => {
                let mut read = Ahead::<F>::read(&*self.database)?;
                read.position = read.position.min(log.last());
                *self.ahead() = read;
                return self.stand_anew(log);
            }
            Standing::Anew => return self.stand_anew(log),
        }
        Ok(())
    }

    fn stand_anew(&self, log: &Log) -> Result<(), FoldError> {
        if self.ahead().standing != Standing::Anew {
            return Ok(());
        }
        let first = reader(log, 0)?.next()?.map(|stored| stored.event.at);
        F::clear(&*self.database, first)?;
        *self.ahead() = Ahead { fold: F::default(), position: 0, standing: Standing::Whole };
        Ok(())
    }
}

impl<F: Fold> Fed for Host<F> {
    fn take(&self, events: &[Arc<Stored>]) {
        let mut ahead = self.ahead();
        for stored in events {
            if stored.sequence <= ahead.position {
                continue;
            }
            let follows = stored.sequence == ahead.position + 1 && ahead.standing == Standing::Whole;
            if !follows || ahead.fold.waiting() >= MOST_WAITING {
                return;
            }
            ahead.take(stored);
        }
    }

    fn commit(&self) -> Result<(), DatabaseError> {
        let _writing = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let (outgoing, position) = {
            let mut ahead = self.ahead();
            if ahead.standing != Standing::Whole {
                return Ok(());
            }
            let Some(outgoing) = ahead.fold.outgoing() else { return Ok(()) };
            (outgoing, ahead.position)
        };
        let written = F::changes(&outgoing, &*self.database).and_then(|mut changes| {
            let checkpoint = [&F::VERSION.to_be_bytes()[..], &position.to_be_bytes()[..]].concat();
            changes.push(Change::Put(Tree::Checkpoints, F::NAME.as_bytes().to_vec(), checkpoint));
            // Not before it is durable: a disk that fills up loses what was committed.
            self.database.commit(&changes)?;
            self.database.flush()
        });
        let mut ahead = self.ahead();
        match written {
            Ok(()) => ahead.fold.written(),
            // Whether it was written is not known: the index says.
            Err(_) => *ahead = Ahead { fold: F::default(), position: ahead.position, standing: Standing::Lost },
        }
        written
    }

    fn catch_up(&self, log: &Log) -> Result<(), FoldError> {
        self.stand(log)?;
        while self.position() < log.last() {
            let mut reader = reader(log, self.position())?;
            let mut events = Vec::new();
            while events.len() < BATCH
                && let Some(stored) = reader.next()?
            {
                events.push(stored);
            }
            let mut ahead = self.ahead();
            for stored in &events {
                if stored.sequence > ahead.position {
                    ahead.take(stored);
                }
            }
            // Numbers that are damaged or of a newer version have no event.
            ahead.position = ahead.position.max(reader.position());
            drop(ahead);
            self.commit()?;
        }
        Ok(())
    }
}

impl<F: Fold> Ahead<F> {
    fn read(database: &dyn Database) -> Result<Self, DatabaseError> {
        let checkpoint = database.get(Tree::Checkpoints, F::NAME.as_bytes())?;
        let position = checkpoint.as_deref().and_then(|bytes| {
            let (version, sequence) = bytes.split_first_chunk::<4>()?;
            let sequence = <[u8; 8]>::try_from(sequence).ok()?;
            (u32::from_be_bytes(*version) == F::VERSION).then(|| u64::from_be_bytes(sequence))
        });
        let kept = position.map(|position| Ok((position, F::load(database)?))).transpose()?;
        Ok(match kept {
            Some((position, Some(fold))) => Ahead { fold, position, standing: Standing::Whole },
            Some((_, None)) | None => Ahead { fold: F::default(), position: 0, standing: Standing::Anew },
        })
    }

    fn take(&mut self, stored: &Stored) {
        self.fold.take(&stored.event);
        self.position = stored.sequence;
    }
}

/// A reader behind `position`, or at the first event that is kept.
fn reader(log: &Log, position: u64) -> Result<Reader, FoldError> {
    match log.since(position) {
        Err(LogError::Gone { first_kept }) => {
            tracing::warn!(first_kept, "figures are folded from the first event that is kept");
            Ok(log.since(first_kept.saturating_sub(1))?)
        }
        other => Ok(other?),
    }
}
