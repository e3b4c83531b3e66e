//! The database on sled 0.34.
//!
//! What is known of it: 20 of 20 rounds of `kill -9` without loss of what was flushed; its default cache is 1 GiB; upstream has open
//! reports of corruption, and some of them panic while opening. And after one failed write (a full disk) it refuses everything until
//! it is opened anew. So: a small cache; opening is guarded, and a damaged index is put aside, to be rebuilt from the recordings; after
//! a fault the database is closed and opened again at the next use. What was committed but not flushed is then gone, and its owner, who
//! was told so by the failed flush, does it again.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::sled::transaction::{ConflictableTransactionError, TransactionError, Transactional, TransactionalTree};

use super::{Change, Database, DatabaseError, Entry, Order, Tree};
use crate::clock::{Mono, System};

/// What is written again and again (rows of live calls, registrations) is well below that. What is read is read page by page, and the
/// operating system's cache has those.
const CACHE_BYTES: u64 = 1 << 20;

/// Between two attempts to open it again after a fault.
const REOPEN: Duration = Duration::from_secs(1);

pub struct SledDatabase {
    folder: PathBuf,
    clock: System,
    state: RwLock<State>,
}

enum State {
    Open(Open),
    Closed { since: Mono },
}

struct Open {
    db: ::sled::Db,
    trees: Vec<::sled::Tree>,
}

/// A database, and whether it had to begin anew.
pub struct Opened {
    pub database: SledDatabase,
    /// There was none, or the old one was damaged and has been put aside under this name.
    pub fresh: bool,
    pub put_aside: Option<PathBuf>,
}

impl SledDatabase {
    /// # Errors
    /// [`DatabaseError::Locked`] where another process has it open; [`DatabaseError::Io`].
    pub fn open(folder: &Path, clock: System) -> Result<Opened, DatabaseError> {
        let fresh = !folder.join("db").exists();
        let opened = |open, fresh, put_aside| Opened {
            database: SledDatabase { folder: folder.to_owned(), clock, state: RwLock::new(State::Open(open)) },
            fresh,
            put_aside,
        };
        match open(folder, clock) {
            Ok(open) => Ok(opened(open, fresh, None)),
            Err(DatabaseError::Damaged { reason }) => {
                let aside = put_aside(folder).map_err(DatabaseError::Io)?;
                tracing::error!(reason, put_aside = %aside.display(), "the index is damaged and begins anew");
                Ok(opened(open(folder, clock)?, true, Some(aside)))
            }
            Err(
                error @ (DatabaseError::Io(_) | DatabaseError::Locked { .. } | DatabaseError::Closed | DatabaseError::Row { .. }),
            ) => Err(error),
        }
    }

    fn with<T>(&self, work: impl Fn(&Open) -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        let done = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(open) => guarded(|| work(open)),
                State::Closed { .. } => Err(DatabaseError::Closed),
            }
        };
        match done {
            Err(DatabaseError::Closed) => {}
            Err(DatabaseError::Io(_) | DatabaseError::Damaged { .. }) => {
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                if matches!(&*state, State::Open(_)) {
                    *state = State::Closed { since: self.clock.mono() };
                }
                return done;
            }
            Ok(_) | Err(DatabaseError::Row { .. } | DatabaseError::Locked { .. }) => return done,
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Closed { since } = &*state {
            let now = self.clock.mono();
            if now.since(*since) < REOPEN {
                return Err(DatabaseError::Closed);
            }
            match open(&self.folder, self.clock) {
                Ok(open) => *state = State::Open(open),
                Err(error) => {
                    *state = State::Closed { since: now };
                    return Err(error);
                }
            }
        }
        match &*state {
            State::Open(open) => guarded(|| work(open)),
            State::Closed { .. } => Err(DatabaseError::Closed),
        }
    }
}

/// sled panics on some damage instead of saying so.
fn guarded<T>(work: impl FnOnce() -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DatabaseError::Damaged { reason: "sled panicked" }))
}

impl Open {
    fn tree(&self, tree: Tree) -> &::sled::Tree {
        // `open` opens them all, in the order of the enum.
        &self.trees[tree as usize]
    }
}

impl Database for SledDatabase {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.with(|open| Ok(open.tree(tree).get(key).map_err(from_sled)?.map(|v| v.to_vec())))
    }

    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(Vec::new()); // sled panics on an upside-down range.
        }
        let own =
            |entry: ::sled::Result<(::sled::IVec, ::sled::IVec)>| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).map_err(from_sled);
        self.with(|open| {
            let range = match to {
                Some(to) => open.tree(tree).range(from..to),
                None => open.tree(tree).range(from..),
            };
            match order {
                Order::Ascending => range.take(most).map(own).collect(),
                Order::Descending => range.rev().take(most).map(own).collect(),
            }
        })
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut used: Vec<Tree> = changes.iter().map(Change::tree).collect();
        used.sort_unstable();
        used.dedup();
        self.with(|open| {
            let trees: Vec<&::sled::Tree> = used.iter().map(|t| open.tree(*t)).collect();
            let done = trees[..].transaction(|trees: &Vec<TransactionalTree>| {
                for change in changes {
                    // Every tree of a change is among `used`.
                    let Ok(at) = used.binary_search(&change.tree()) else { continue };
                    match change {
                        Change::Put(_, key, value) => trees[at].insert(key.as_slice(), value.as_slice())?,
                        Change::Remove(_, key) => trees[at].remove(key.as_slice())?,
                    };
                }
                Ok::<(), ConflictableTransactionError<()>>(())
            });
            match done {
                Ok(()) | Err(TransactionError::Abort(())) => Ok(()), // Nothing aborts it.
                Err(TransactionError::Storage(error)) => Err(from_sled(error)),
            }
        })
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        // Opened anew it would be durable, but without what was to be made so.
        if matches!(&*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Closed { .. }) {
            return Err(DatabaseError::Closed);
        }
        self.with(|open| open.db.flush().map(drop).map_err(from_sled))
    }
}

/// sled lets go of its files a moment after it was dropped: its threads may still be at their last write. Whoever opens it again at once
/// (after a fault, or a restart) waits so long.
const LET_GO: Duration = Duration::from_millis(250);

fn open(folder: &Path, clock: System) -> Result<Open, DatabaseError> {
    let until = clock.mono() + LET_GO;
    loop {
        match open_now(folder) {
            Err(DatabaseError::Locked { .. }) if clock.mono() < until => {
                #[allow(clippy::disallowed_methods, reason = "nothing tells when the lock is free")]
                std::thread::sleep(LET_GO / 20);
            }
            done => return done,
        }
    }
}

fn open_now(folder: &Path) -> Result<Open, DatabaseError> {
    let attempt = || -> ::sled::Result<Open> {
        let db = ::sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()?;
        let trees = Tree::ALL.iter().map(|t| db.open_tree(t.name())).collect::<::sled::Result<_>>()?;
        Ok(Open { db, trees })
    };
    match std::panic::catch_unwind(attempt) {
        Ok(Ok(open)) => Ok(open),
        Ok(Err(::sled::Error::Io(error))) if error.to_string().starts_with("could not acquire lock") => {
            Err(DatabaseError::Locked { path: folder.to_owned() })
        }
        Ok(Err(error)) => Err(from_sled(error)),
        Err(_) => Err(DatabaseError::Damaged { reason: "sled panicked while opening it" }),
    }
}

fn from_sled(error: ::sled::Error) -> DatabaseError {
    match error {
        ::sled::Error::Io(error) => DatabaseError::Io(error),
        ::sled::Error::Corruption { .. } => DatabaseError::Damaged { reason: "corruption" },
        ::sled::Error::ReportableBug(_) => DatabaseError::Damaged { reason: "a bug of sled" },
        ::sled::Error::Unsupported(_) => DatabaseError::Damaged { reason: "an unsupported format" },
        ::sled::Error::CollectionNotFound(_) => DatabaseError::Damaged { reason: "a tree is missing" },
    }
}

/// `index` becomes `index.damaged-1`, or the next number that is free.
fn put_aside(folder: &Path) -> std::io::Result<PathBuf> {
    for n in 1u32.. {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!(".damaged-{n}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            std::fs::rename(folder, &aside)?;
            return Ok(aside);
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}
