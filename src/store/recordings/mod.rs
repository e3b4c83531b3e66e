//! Recordings: rows, their indices, and where their files lie.
//!
//! A row, and every index entry that leads to it, change in one transaction. The row is also the sidecar that lies beside the WAV, so
//! the whole index can be built again from the files.

pub mod folder;
mod number;
pub mod peaks;
pub mod row;
mod search;

use std::sync::Arc;

pub use folder::Folder;
pub use number::{digits, same_number};
pub use row::{Kind, Recording, State};
pub use search::{Filter, MOST_PER_PAGE, Page};

use super::database::{Change, Database, DatabaseError, Order, Tree, behind, named};
use crate::event::Voicemail;
use crate::ids::{Number, RecordingId};
use crate::switch::input::Untold;
use crate::voicemail::Message;

/// Stands among the checkpoints once the index has every recording.
const WHOLE: &[u8] = b"recordings_whole";

/// What mailboxes say to callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greetings {
    /// Oldest first in each mailbox: more than one where a kill came between a new one and the end of the old.
    pub kept: Vec<(Number, RecordingId)>,
    /// Never became one: the process ended while they were spoken, or before whoever sent them was answered.
    pub unkept: Vec<RecordingId>,
}

/// The table of recordings.
#[derive(Clone)]
pub struct Recordings {
    database: Arc<dyn Database>,
}

impl Recordings {
    pub fn new(database: Arc<dyn Database>) -> Self {
        Recordings { database }
    }

    pub fn row(&self, id: RecordingId) -> Result<Option<Recording>, DatabaseError> {
        self.database.get(Tree::Recordings, &id.to_bytes())?.map(|bytes| read(&bytes)).transpose()
    }

    /// Newest first; see [`Filter`].
    pub fn search(&self, filter: &Filter) -> Result<Page, DatabaseError> {
        search::search(&*self.database, filter)
    }

    /// Writes a row and its index entries together, replacing what was there. Durable after [`Recordings::flush`].
    ///
    /// `announced` says that the event log knows how it ended, or that this is for nobody to hear (a rebuild).
    pub fn put(&self, row: &Recording, announced: bool) -> Result<(), DatabaseError> {
        self.put_with(row, announced, Vec::new())
    }

    /// A message is heard, and that is to be told.
    pub fn hear(&self, row: &Recording, announced: bool) -> Result<(), DatabaseError> {
        self.put_with(row, announced, untold(row, false))
    }

    fn put_with(&self, row: &Recording, announced: bool, more: Vec<Change>) -> Result<(), DatabaseError> {
        let id = row.id.to_bytes();
        let value = serde_json::to_vec(row).map_err(|error| DatabaseError::Row { tree: Tree::Recordings.name(), error })?;
        let mut changes = match self.row(row.id) {
            Ok(Some(old)) => self.entries_gone(&old, Some(row))?,
            // A row that can't be read is written over; `rebuild` takes away what it may have left in the indices.
            Ok(None) | Err(DatabaseError::Row { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        changes.extend(more);
        changes.extend(entries(row).into_iter().map(|(tree, key)| Change::Put(tree, key, Vec::new())));
        changes.push(Change::Put(Tree::Recordings, id.to_vec(), value));
        changes.push(match announced {
            true => Change::Remove(Tree::Unannounced, id.to_vec()),
            false => Change::Put(Tree::Unannounced, id.to_vec(), Vec::new()),
        });
        self.database.commit(&changes)
    }

    /// Takes a row out, and the customer's number with the last row that had it.
    pub fn remove(&self, id: RecordingId) -> Result<(), DatabaseError> {
        self.remove_and(id, false)
    }

    /// The same of a message, which is to be told.
    pub fn delete(&self, id: RecordingId) -> Result<(), DatabaseError> {
        self.remove_and(id, true)
    }

    fn remove_and(&self, id: RecordingId, tell: bool) -> Result<(), DatabaseError> {
        let mut changes = match self.row(id) {
            Ok(Some(old)) => {
                let mut changes = self.entries_gone(&old, None)?;
                changes.extend(untold(&old, true).into_iter().filter(|_| tell));
                changes
            }
            // A rebuild may have left it out, and what is not told of it never will be.
            Ok(None) => Vec::new(),
            // It goes all the same; `rebuild` takes away what it may have left in the indices.
            Err(DatabaseError::Row { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        changes.push(Change::Remove(Tree::Recordings, id.to_bytes().to_vec()));
        changes.push(Change::Remove(Tree::Unannounced, id.to_bytes().to_vec()));
        self.database.commit(&changes)
    }

    /// What was done with messages and the event log has not heard of: heard before gone.
    pub fn untold(&self) -> Result<Vec<Untold>, DatabaseError> {
        let found = self.database.page(Tree::Untold, &[], None, Order::Ascending, usize::MAX)?;
        let one = |(key, value): &(Vec<u8>, Vec<u8>)| {
            Some(Untold { gone: *key.last()? == 1, message: serde_json::from_slice(value).ok()? })
        };
        Ok(found.iter().filter_map(one).collect())
    }

    /// Every message in a mailbox, oldest first in each. One that is being recorded is none yet.
    pub fn messages(&self) -> Result<Vec<(Number, Message)>, DatabaseError> {
        let found = self.database.page(Tree::RecordingsByMailbox, &[], None, Order::Ascending, usize::MAX)?;
        let mut messages = Vec::with_capacity(found.len());
        for id in found.iter().filter_map(|(key, _)| id_at_end(key)) {
            match self.row(id) {
                Ok(Some(row)) => messages.extend(row.message()),
                Ok(None) => {}
                // One bad row must not keep the switch from starting; `verify` names it.
                Err(error @ DatabaseError::Row { .. }) => tracing::error!(recording = %id, %error, "row can't be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }

    pub fn greetings(&self) -> Result<Greetings, DatabaseError> {
        let found = self.database.page(Tree::RecordingsByMailbox, &[], None, Order::Ascending, usize::MAX)?;
        let mut greetings = Greetings::default();
        for id in found.iter().filter_map(|(key, _)| id_at_end(key)) {
            let Ok(Some(row)) = self.row(id) else { continue };
            match (row.kind, row.mailbox) {
                (Kind::Greeting, Some(mailbox)) if row.kept => greetings.kept.push((mailbox, id)),
                // One that can't be repaired yet is tried again at the next start.
                (Kind::Greeting, _) if row.state != State::Recording => greetings.unkept.push(id),
                (Kind::Greeting | Kind::Conversation | Kind::Voicemail | Kind::Supervisor | Kind::Prompt, _) => {}
            }
        }
        Ok(greetings)
    }

    /// Recordings that began and whose end the event log has not heard of, oldest first.
    pub fn unannounced(&self) -> Result<Vec<RecordingId>, DatabaseError> {
        let found = self.database.page(Tree::Unannounced, &[], None, Order::Ascending, usize::MAX)?;
        Ok(found.iter().filter_map(|(key, _)| id_at_end(key)).collect())
    }

    /// Whether the index has what the files have: a new one has not, nor one whose rebuild was interrupted.
    pub fn is_whole(&self) -> Result<bool, DatabaseError> {
        Ok(self.database.get(Tree::Checkpoints, WHOLE)?.is_some())
    }

    /// A rebuild is done.
    pub fn set_whole(&self) -> Result<(), DatabaseError> {
        self.database.commit(&[Change::Put(Tree::Checkpoints, WHOLE.to_vec(), Vec::new())])?;
        self.database.flush()
    }

    /// Empties rows and indices, for a rebuild. What the log has not heard of is nowhere else, and stays: a rebuild may be interrupted.
    pub fn clear(&self) -> Result<(), DatabaseError> {
        self.database.commit(&[Change::Remove(Tree::Checkpoints, WHOLE.to_vec())])?;
        let trees = [
            Tree::Recordings,
            Tree::RecordingsByAgent,
            Tree::RecordingsByQueue,
            Tree::RecordingsByMailbox,
            Tree::RecordingsByNumber,
            Tree::Numbers,
        ];
        for tree in trees {
            loop {
                let page = self.database.page(tree, &[], None, Order::Ascending, 1_000)?;
                if page.is_empty() {
                    break;
                }
                let changes: Vec<Change> = page.into_iter().map(|(key, _)| Change::Remove(tree, key)).collect();
                self.database.commit(&changes)?;
            }
        }
        Ok(())
    }

    pub fn flush(&self) -> Result<(), DatabaseError> {
        self.database.flush()
    }

    /// Index entries of `old` that `new` does not have.
    fn entries_gone(&self, old: &Recording, new: Option<&Recording>) -> Result<Vec<Change>, DatabaseError> {
        let kept = new.map(entries).unwrap_or_default();
        let mut gone = Vec::new();
        for (tree, key) in entries(old) {
            if kept.contains(&(tree, key.clone())) {
                continue;
            }
            if tree == Tree::Numbers && self.has_other(old, &key)? {
                continue;
            }
            gone.push(Change::Remove(tree, key));
        }
        Ok(gone)
    }

    /// A number stays known while another row has it.
    fn has_other(&self, old: &Recording, reversed: &[u8]) -> Result<bool, DatabaseError> {
        let number = numbers(old).into_iter().find(|number| number::reversed(number) == reversed);
        let Some(number) = number else { return Ok(false) };
        let prefix = named(&number);
        let rows = self.database.page(Tree::RecordingsByNumber, &prefix, behind(&prefix).as_deref(), Order::Ascending, 2)?;
        Ok(rows.len() > 1)
    }
}

/// The key that an event about a message takes out of [`Tree::Untold`].
pub fn untold_key(recording: RecordingId, gone: bool) -> Vec<u8> {
    let mut key = recording.to_bytes().to_vec();
    key.push(u8::from(gone));
    key
}

fn untold(row: &Recording, gone: bool) -> Vec<Change> {
    let Some((mailbox, message)) = row.message() else { return Vec::new() };
    let data = Voicemail {
        mailbox,
        recording: row.id,
        caller: message.caller,
        customer_e164: message.customer_e164,
        called_e164: message.called_e164,
        duration_ms: message.duration_ms,
    };
    // A struct of text and numbers has a JSON form.
    let data = serde_json::to_vec(&data).unwrap_or_default();
    vec![Change::Put(Tree::Untold, untold_key(row.id, gone), data)]
}

/// Where a row is found, but for itself.
fn entries(row: &Recording) -> Vec<(Tree, Vec<u8>)> {
    let with_id = |mut key: Vec<u8>| {
        key.extend_from_slice(&row.id.to_bytes());
        key
    };
    let mut entries = Vec::with_capacity(8);
    for number in numbers(row) {
        entries.push((Tree::RecordingsByNumber, with_id(named(&number))));
        entries.push((Tree::Numbers, number::reversed(&number)));
    }
    entries.extend(row.agents.iter().map(|a| (Tree::RecordingsByAgent, with_id(named(a.as_str())))));
    entries.extend(row.mailbox.iter().map(|m| (Tree::RecordingsByMailbox, with_id(named(m.as_str())))));
    entries.extend(row.queue.iter().map(|q| (Tree::RecordingsByQueue, with_id(named(q.as_str())))));
    entries
}

/// The customer's number as it was given, and in E.164 where that has other digits.
fn numbers(row: &Recording) -> Vec<String> {
    let mut numbers = vec![digits(&row.customer_number)];
    let e164 = row.customer_e164.as_deref().map(digits);
    numbers.extend(e164.filter(|number| *number != numbers[0]));
    numbers
}

fn read(bytes: &[u8]) -> Result<Recording, DatabaseError> {
    serde_json::from_slice(bytes).map_err(|error| DatabaseError::Row { tree: Tree::Recordings.name(), error })
}

/// The id that a key ends with.
fn id_at_end(key: &[u8]) -> Option<RecordingId> {
    key.last_chunk::<16>().map(|bytes| RecordingId::from_bytes(*bytes))
}

#[cfg(test)]
mod tests;
