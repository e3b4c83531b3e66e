//! Customers who are to be called back, kept in the index as a fold of the log: what the core takes over at its start.
//!
//! One row each, callback id -> [`Callback`] as JSON. A kill costs none that the log has, and brings none back that the log says is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conversations::FoldError;
use super::database::{Change, Database, DatabaseError, Order, Tree};
use super::folds::{Fed, Fold, Host};
use super::log::Log;
use crate::acd::{Book, Callback};
use crate::clock::Wall;
use crate::event::{Event, Kind};
use crate::ids::CallbackId;

/// So many events of other things are read again at a start, at most, for each second that the last run wrote nothing.
const PASSED: u32 = 10_000;

/// A handle; clones are the same.
#[derive(Clone)]
pub struct Callbacks(Host<Kept>);

impl Callbacks {
    pub fn open(database: Arc<dyn Database>) -> Result<Callbacks, DatabaseError> {
        Host::open(database).map(Callbacks)
    }

    /// For the store to feed.
    pub fn fed(&self) -> Arc<dyn Fed> {
        Arc::new(self.0.clone())
    }

    /// See [`Host::not_beyond`].
    pub fn not_beyond(&self, last: u64) {
        self.0.not_beyond(last);
    }

    /// Folds what the log has beyond the index.
    pub fn catch_up(&self, log: &Log) -> Result<(), FoldError> {
        self.0.catch_up(log)
    }

    /// All that are not over, in the order in which they were wished for.
    pub fn all(&self) -> Vec<Callback> {
        let (all, _unwritten) = self.0.with(|kept| kept.book.all().cloned().collect());
        all
    }
}

/// The fold.
#[derive(Default)]
struct Kept {
    book: Book,
    /// Whose rows are behind.
    changed: BTreeSet<CallbackId>,
    /// Events since the place in the log was written.
    passed: u32,
}

impl Fold for Kept {
    const NAME: &'static str = "callbacks";
    const VERSION: u32 = 1;

    fn load(database: &dyn Database) -> Result<Option<Self>, DatabaseError> {
        let mut book = Book::default();
        for (_, row) in database.page(Tree::Callbacks, &[], None, Order::Ascending, usize::MAX)? {
            match serde_json::from_slice::<Callback>(&row) {
                Ok(callback) => book.put(callback),
                Err(error) => {
                    tracing::warn!(%error, "a callback can't be read, and all are folded again");
                    return Ok(None);
                }
            }
        }
        Ok(Some(Kept { book, ..Kept::default() }))
    }

    fn clear(database: &dyn Database, _from: Option<Wall>) -> Result<(), DatabaseError> {
        let rows = database.page(Tree::Callbacks, &[], None, Order::Ascending, usize::MAX)?;
        let gone: Vec<Change> = rows.into_iter().map(|(key, _)| Change::Remove(Tree::Callbacks, key)).collect();
        database.commit(&gone)?;
        database.flush()
    }

    fn take(&mut self, event: &Event) {
        self.passed = self.passed.saturating_add(1);
        if let Kind::QueueCallback(told) = &event.kind {
            self.book.apply(event.at, told);
            self.changed.insert(told.callback);
        }
    }

    fn waiting(&self) -> usize {
        self.changed.len()
    }

    /// Those that have changed, as they are now; none at all: over.
    type Outgoing = Vec<(CallbackId, Option<Callback>)>;

    fn outgoing(&mut self) -> Option<Self::Outgoing> {
        // With nothing but the place in the log, too: a start is not to read a year of events of other things.
        if self.changed.is_empty() && self.passed < PASSED {
            return None;
        }
        self.passed = 0;
        Some(std::mem::take(&mut self.changed).into_iter().map(|id| (id, self.book.get(id).cloned())).collect())
    }

    fn changes(changed: &Self::Outgoing, _: &dyn Database) -> Result<Vec<Change>, DatabaseError> {
        let one = |(id, callback): &(CallbackId, Option<Callback>)| {
            let key = id.to_bytes().to_vec();
            let Some(callback) = callback else { return Ok(Change::Remove(Tree::Callbacks, key)) };
            let row = serde_json::to_vec(callback);
            let row = row.map_err(|error| DatabaseError::Row { tree: Tree::Callbacks.name(), error })?;
            Ok(Change::Put(Tree::Callbacks, key, row))
        };
        changed.iter().map(one).collect()
    }

    fn written(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;
    use crate::event::{CallbackChange, QueueCallback};
    use crate::route::Side;
    use crate::store::database::Memory;
    use crate::store::disk::RealDisk;
    use crate::store::log::LogOptions;

    fn event(n: u128, change: CallbackChange) -> Event {
        let told = QueueCallback {
            callback: CallbackId::from_parts(1, n),
            change,
            queue: "support".into(),
            number: n.to_string(),
            number_e164: None,
            created_at: Some(Wall::from_micros(5)),
            arrived_at: Some(Wall::from_micros(3)),
            due_at: None,
            next_at: None,
            owner: None,
            attempts: 0,
            conversation: None,
            cause: None,
            by: Side::Customer,
        };
        Event { at: Wall::from_micros(9), conversation: None, kind: Kind::QueueCallback(told) }
    }

    #[test]
    fn those_that_are_not_over_are_there_whether_the_index_has_kept_up_or_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let log =
            Log::open(&folder.path().join("events"), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        use CallbackChange::{Cancelled, Created, Due};
        log.append([event(1, Created), event(2, Created), event(3, Created), event(1, Due), event(2, Cancelled)]);
        log.close();
        let log =
            Log::open(&folder.path().join("events"), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        let there = |database: &Arc<Memory>| {
            let callbacks = Callbacks::open(database.clone()).unwrap();
            callbacks.catch_up(&log).unwrap();
            callbacks.all().into_iter().map(|callback| callback.number).collect::<Vec<_>>()
        };
        let database = Arc::new(Memory::default());
        assert_eq!(there(&database), ["1", "3"]);
        assert_eq!(there(&database), ["1", "3"], "from the rows");
        assert_eq!(there(&Arc::new(Memory::default())), ["1", "3"], "from the log");
    }
}
