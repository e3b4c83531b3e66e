//! The trees in memory: for tests, and for looking at sidecars without touching the index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Change, Database, DatabaseError, Entry, Order, Tree};

type Trees = BTreeMap<Tree, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Default)]
pub struct Memory(Mutex<Trees>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Trees> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Memory {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        Ok(self.lock().get(&tree).and_then(|t| t.get(key)).cloned())
    }

    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let trees = self.lock();
        let Some(entries) = trees.get(&tree) else { return Ok(Vec::new()) };
        let range = entries.range::<[u8], _>((Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded)));
        let own = |(k, v): (&Vec<u8>, &Vec<u8>)| (k.clone(), v.clone());
        Ok(match order {
            Order::Ascending => range.take(most).map(own).collect(),
            Order::Descending => range.rev().take(most).map(own).collect(),
        })
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        let mut trees = self.lock();
        for change in changes {
            match change {
                Change::Put(tree, key, value) => drop(trees.entry(*tree).or_default().insert(key.clone(), value.clone())),
                Change::Remove(tree, key) => drop(trees.entry(*tree).or_default().remove(key)),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        Ok(())
    }
}
