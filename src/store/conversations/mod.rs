//! Conversations as rows: a fold of the event log, kept in the index with the place in the log that it is folded up to.
//!
//! Rows and the checkpoint change in one transaction, so after a kill the fold goes on exactly where the rows are. Rows that the log no
//! longer reaches stay as they are.

mod fold;
mod row;

use std::sync::Arc;

pub use fold::apply;
pub use row::{Conversation, Ended, Interval, Leg, OfferOutcome, QueueOutcome, Recorded, RecordingOutcome, RecordingRef, Span};

use super::database::{Change, Database, DatabaseError, Descending, Order, Tree};
use super::log::{Log, LogError, Reader, Stored};
use crate::clock::Wall;
use crate::ids::{ConversationId, RecordingId};
use crate::switch::event::Kind;
use crate::switch::input::OpenConversation;

/// Version of [`apply`]: rows of another version are folded anew from what the log keeps.
const FOLD: u32 = 1;

const CHECKPOINT: &[u8] = b"conversations";

/// Events folded in one transaction.
const BATCH: usize = 512;

/// Items a page at most.
pub const MOST_PER_PAGE: usize = 1_000;

const PER_PAGE: usize = 50;

#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[derive(Clone)]
pub struct Conversations {
    database: Arc<dyn Database>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Conversation>,
    /// Cursor of the next page, or `None` at the end.
    pub next: Option<ConversationId>,
}

impl Conversations {
    pub fn new(database: Arc<dyn Database>) -> Self {
        Conversations { database }
    }

    pub fn row(&self, id: ConversationId) -> Result<Option<Conversation>, DatabaseError> {
        self.database.get(Tree::Conversations, &id.to_bytes())?.map(|bytes| read(&bytes)).transpose()
    }

    /// Newest first, only those without an end where `live`; `limit` of 0 is 50, at most [`MOST_PER_PAGE`].
    pub fn list(&self, live: bool, limit: usize, cursor: Option<ConversationId>) -> Result<Page, DatabaseError> {
        let limit = if limit == 0 { PER_PAGE } else { limit.min(MOST_PER_PAGE) };
        let tree = if live { Tree::LiveConversations } else { Tree::Conversations };
        let mut walk = Descending::new(&*self.database, tree, Vec::new(), cursor.map(|c| c.to_bytes().to_vec()));
        let mut items: Vec<Conversation> = Vec::new();
        while let Some((key, value)) = walk.next()? {
            if items.len() == limit {
                return Ok(Page { next: items.last().map(|c| c.id), items });
            }
            let value = if live { self.database.get(Tree::Conversations, &key)? } else { Some(value) };
            // `Err`: one bad row must not hide the others. `None`: it ended between the two reads.
            if let Some(row) = value.and_then(|v| read(&v).ok()) {
                items.push(row);
            }
        }
        Ok(Page { items, next: None })
    }

    /// Conversations that the log, as far as it is folded, shows without an end; oldest first.
    pub fn open(&self) -> Result<Vec<OpenConversation>, DatabaseError> {
        let live = self.database.page(Tree::LiveConversations, &[], None, Order::Ascending, usize::MAX)?;
        let mut open = Vec::with_capacity(live.len());
        for (key, _) in live {
            if let Some(bytes) = self.database.get(Tree::Conversations, &key)? {
                open.push(read(&bytes)?.open());
            }
        }
        Ok(open)
    }

    /// The conversation that a recording is of, as the log tells: for a WAV file that lost its sidecar. Looks from the newest down.
    pub fn of_recording(&self, recording: RecordingId) -> Result<Option<Conversation>, DatabaseError> {
        // A recording begins after its conversation, so its id is the later one; clocks set back are covered by looking on a little.
        let latest = ConversationId::from_parts((recording.timestamp_ms() + 3_600_000).min((1 << 48) - 1), u128::MAX);
        let mut walk = Descending::new(&*self.database, Tree::Conversations, Vec::new(), Some(latest.to_bytes().to_vec()));
        for _ in 0..100_000 {
            let Some((_, value)) = walk.next()? else { break };
            if let Ok(row) = read(&value)
                && row.recordings.iter().any(|r| r.id == recording)
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Up to where the log is folded.
    pub fn checkpoint(&self) -> Result<u64, DatabaseError> {
        let Some(bytes) = self.database.get(Tree::Checkpoints, CHECKPOINT)? else { return Ok(0) };
        match (bytes.first_chunk::<4>(), bytes.last_chunk::<8>()) {
            (Some(version), Some(sequence)) if bytes.len() == 12 && u32::from_be_bytes(*version) == FOLD => {
                Ok(u64::from_be_bytes(*sequence))
            }
            _ => Ok(0),
        }
    }

    /// A reader that stands where the fold is.
    pub fn reader(&self, log: &Log) -> Result<Reader, FoldError> {
        match log.since(self.checkpoint()?) {
            Ok(reader) => Ok(reader),
            Err(LogError::Gone { first_kept }) => {
                tracing::warn!(first_kept, "conversations are folded from the first event that is kept");
                Ok(log.since(first_kept.saturating_sub(1))?)
            }
            // The log was cut or replaced under the index.
            Err(LogError::Ahead { last }) => Ok(log.since(last)?),
            Err(error @ (LogError::TooSlow | LogError::Closed | LogError::Io { .. })) => Err(error.into()),
        }
    }

    /// Folds the next events that are durable, at most a batch. Returns how many there were; 0 is the end of the log for now.
    pub fn fold(&self, reader: &mut Reader) -> Result<usize, FoldError> {
        let mut events = Vec::new();
        while events.len() < BATCH {
            match reader.next()? {
                Some(stored) => events.push(stored),
                None => break,
            }
        }
        self.fold_events(&events, reader.position())?;
        Ok(events.len())
    }

    fn fold_events(&self, events: &[Stored], position: u64) -> Result<(), DatabaseError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut rows = std::collections::BTreeMap::<ConversationId, Option<Conversation>>::new();
        let mut changes = Vec::new();
        for stored in events {
            if let Some(recording) = announced(&stored.event.kind) {
                changes.push(Change::Remove(Tree::Unannounced, recording.to_bytes().to_vec()));
            }
            let Some(id) = stored.event.conversation else { continue };
            let row = match rows.remove(&id) {
                Some(row) => row,
                None => match self.row(id) {
                    Ok(row) => row,
                    Err(DatabaseError::Row { .. }) => None,
                    Err(error) => return Err(error),
                },
            };
            rows.insert(id, apply(row, stored));
        }
        for (id, row) in rows {
            let Some(row) = row else { continue };
            let key = id.to_bytes().to_vec();
            changes.push(match row.is_live() {
                true => Change::Put(Tree::LiveConversations, key.clone(), Vec::new()),
                false => Change::Remove(Tree::LiveConversations, key.clone()),
            });
            let value =
                serde_json::to_vec(&row).map_err(|error| DatabaseError::Row { tree: Tree::Conversations.name(), error })?;
            changes.push(Change::Put(Tree::Conversations, key, value));
        }
        let checkpoint = [&FOLD.to_be_bytes()[..], &position.to_be_bytes()[..]].concat();
        changes.push(Change::Put(Tree::Checkpoints, CHECKPOINT.to_vec(), checkpoint));
        self.database.commit(&changes)
    }
}

/// The recording whose end an event tells.
fn announced(kind: &Kind) -> Option<RecordingId> {
    match kind {
        Kind::RecordingFinished(r) | Kind::RecordingRepaired(r) => Some(r.recording),
        _ => None,
    }
}

fn read(bytes: &[u8]) -> Result<Conversation, DatabaseError> {
    serde_json::from_slice(bytes).map_err(|error| DatabaseError::Row { tree: Tree::Conversations.name(), error })
}

impl Conversation {
    /// As the core wants it after a restart.
    fn open(&self) -> OpenConversation {
        let so_far = |from: Wall, to: Option<Wall>| to.unwrap_or(self.last_at).since(from).as_millis() as u64;
        OpenConversation {
            conversation: self.id,
            started_at: self.started_at,
            answered_at: self.answered_at,
            talk_ms: self.intervals.iter().filter(|i| matches!(i.span, Span::Bridge { .. })).map(|i| so_far(i.from, i.to)).sum(),
            last_at: self.last_at,
        }
    }
}

#[cfg(test)]
mod tests;
