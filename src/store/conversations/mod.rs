//! Conversations as rows: a fold of the event log, kept in the index with the place in the log that it is folded up to.
//!
//! A durable event changes its row in memory at once, on the log's thread and before followers hear of it: whoever is told of an event
//! finds it in the row. About once a second what has changed is written, rows and checkpoint in one transaction, so after a kill the
//! fold goes on exactly where the index is. Rows that the log no longer reaches stay as they are.
//!
//! ```text
//! log ──take──> rows in memory: live ones, and those that the index has not yet ──commit, 1/s──> index
//!   └─────catch_up: what was not taken, at start and after trouble with the index ─────┘
//! ```

mod fold;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fold::apply;
pub use row::{
    Conversation, Disposition, Ended, Interval, Leg, Marker, Note, OfferOutcome, QueueOutcome, Recorded, RecordingOutcome,
    RecordingRef, Span, SurveyAnswer,
};

use super::database::{Change, Database, DatabaseError, Descending, Order, Tree};
use super::log::{Log, LogError, Reader, Stored};
use super::recordings::{same_number, untold_key};
use crate::acd::{PastEnd, PastStay};
use crate::clock::Wall;
use crate::event::Kind;
use crate::ids::{ConversationId, RecordingId};
use crate::quality::standards::Trial;
use crate::switch::input::OpenConversation;

/// Version of [`apply`]: rows of another version are folded anew from what the log keeps.
const FOLD: u32 = 1;

const CHECKPOINT: &[u8] = b"conversations";

/// Events that are caught up on in one transaction.
const BATCH: usize = 512;

/// Rows that wait for an index that can't be written: some tens of megabytes. What comes after is left to the log.
const MOST_CHANGED: usize = 20_000;

/// Items a page at most.
pub const MOST_PER_PAGE: usize = 1_000;

const PER_PAGE: usize = 50;

/// Rows that one page of a search by number reads at most: some 100 ms.
const MOST_ROWS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A handle; clones are the same rows.
#[derive(Clone)]
pub struct Conversations {
    database: Arc<dyn Database>,
    ahead: Arc<Mutex<Ahead>>,
}

/// What memory knows beyond the index.
#[derive(Default)]
struct Ahead {
    /// Last number that is folded.
    position: u64,
    /// Conversations without an end, and those that have changed since the index was written.
    rows: BTreeMap<ConversationId, Conversation>,
    /// Of each of them what it says about the service standards.
    trials: BTreeMap<ConversationId, Trial>,
    changed: BTreeSet<ConversationId>,
    /// Recordings whose end was told.
    announced: Vec<RecordingId>,
    /// Messages of which was told that they are heard, or gone.
    told: Vec<(RecordingId, bool)>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Conversation>,
    /// Cursor of the next page, or `None` at the end.
    pub next: Option<ConversationId>,
}

impl Conversations {
    /// The rows of an index, as far as they are folded there.
    pub fn open(database: Arc<dyn Database>) -> Result<Self, DatabaseError> {
        let mut ahead = Ahead { position: checkpoint(&*database)?, ..Ahead::default() };
        for (key, _) in database.page(Tree::LiveConversations, &[], None, Order::Ascending, usize::MAX)? {
            let Some(bytes) = database.get(Tree::Conversations, &key)? else { continue };
            match read(&bytes) {
                Ok(row) => {
                    ahead.trials.insert(row.id, trial(&*database, row.id)?.unwrap_or_default());
                    ahead.rows.insert(row.id, row);
                }
                Err(error) => tracing::warn!(%error, "a conversation is passed over"),
            }
        }
        Ok(Conversations { database, ahead: Arc::new(Mutex::new(ahead)) })
    }

    pub fn row(&self, id: ConversationId) -> Result<Option<Conversation>, DatabaseError> {
        let ahead = self.ahead().rows.get(&id).cloned();
        if ahead.is_some() { Ok(ahead) } else { self.indexed(id) }
    }

    /// What a conversation says about the service standards; `None` where there is nothing to judge, or no such conversation.
    pub fn trial(&self, id: ConversationId) -> Result<Option<Trial>, DatabaseError> {
        let ahead = self.ahead().trials.get(&id).cloned();
        if ahead.is_some() { Ok(ahead) } else { trial(&*self.database, id) }
    }

    /// The same of all from `from` on and before `before`, newest first, until `visit` has enough (`false`) or was shown `most`. `Some`: the
    /// last that it was shown, where there may be more.
    pub fn trials(
        &self,
        from: ConversationId,
        before: ConversationId,
        most: usize,
        mut visit: impl FnMut(ConversationId, &Trial) -> bool,
    ) -> Result<Option<ConversationId>, DatabaseError> {
        if from >= before {
            return Ok(None);
        }
        let mut ahead: BTreeMap<ConversationId, Trial> = {
            let ahead = self.ahead();
            let judged = ahead.trials.range(from..before).filter(|(_, trial)| !trial.is_empty());
            judged.map(|(id, trial)| (*id, trial.clone())).collect()
        };
        let mut walk = Descending::new(&*self.database, Tree::Standards, Vec::new(), Some(before.to_bytes().to_vec()));
        let mut shown = 0;
        let mut show = |id: ConversationId, trial: &Trial| {
            shown += 1;
            visit(id, trial) && shown < most
        };
        loop {
            let next = walk.next()?.and_then(|(key, value)| Some((ConversationId::from_bytes(*key.last_chunk()?), value)));
            let next = next.filter(|(id, _)| *id >= from);
            let mut is_shown = false;
            while let Some(newest) = ahead.last_entry()
                && next.as_ref().is_none_or(|(id, _)| newest.key() >= id)
            {
                let (id, trial) = newest.remove_entry();
                is_shown |= next.as_ref().is_some_and(|(next, _)| *next == id);
                if !show(id, &trial) {
                    return Ok(Some(id));
                }
            }
            let Some((id, value)) = next else { return Ok(None) };
            // One bad row must not hide the others.
            let kept = serde_json::from_slice::<Trial>(&value).ok().filter(|trial| !is_shown && !trial.is_empty());
            if let Some(trial) = kept
                && !show(id, &trial)
            {
                return Ok(Some(id));
            }
        }
    }

    /// Newest first, without consultations that have become part of another, only those without an end where `live`; `limit` of 0 is 50, at most [`MOST_PER_PAGE`].
    ///
    /// `number`: only those whose customer's number, as given or in E.164, ends so; a page that looked through [`MOST_ROWS`] rows for it
    /// is short, and has a next one.
    pub fn list(
        &self,
        live: bool,
        number: Option<&str>,
        limit: usize,
        cursor: Option<ConversationId>,
    ) -> Result<Page, DatabaseError> {
        let is_wanted = |row: &Conversation| {
            let has =
                |n: &str| same_number(&row.customer_number, n) || row.customer_e164.as_ref().is_some_and(|e| same_number(e, n));
            row.merged_into.is_none() && number.is_none_or(has)
        };
        let limit = if limit == 0 { PER_PAGE } else { limit.min(MOST_PER_PAGE) };
        // One more than asked for, to know whether there is another page.
        let most = limit + 1;
        let mut rows: BTreeMap<ConversationId, Conversation> = {
            let ahead = self.ahead();
            let below = (Bound::Unbounded, cursor.map_or(Bound::Unbounded, Bound::Excluded));
            let wanted = ahead.rows.range(below).rev().filter(|(_, row)| (!live || row.is_live()) && is_wanted(row));
            wanted.take(most).map(|(id, row)| (*id, row.clone())).collect()
        };
        let mut stopped = None;
        if !live {
            let mut looked = 0;
            let mut walk =
                Descending::new(&*self.database, Tree::Conversations, Vec::new(), cursor.map(|c| c.to_bytes().to_vec()));
            let mut indexed = 0;
            while indexed < most
                && let Some((key, value)) = walk.next()?
            {
                looked += 1;
                if number.is_some() && looked == MOST_ROWS {
                    stopped = key.last_chunk::<16>().map(|id| ConversationId::from_bytes(*id));
                }
                // One bad row must not hide the others.
                // What was merged meanwhile is known in memory first.
                if let Ok(row) = read(&value)
                    && is_wanted(&row)
                    && self.ahead().rows.get(&row.id).is_none_or(|row| row.merged_into.is_none())
                {
                    indexed += 1;
                    rows.entry(row.id).or_insert(row);
                }
                if stopped.is_some() {
                    break;
                }
            }
        }
        if let Some(stopped) = stopped
            && rows.len() <= limit
        {
            rows.retain(|id, _| *id >= stopped);
            return Ok(Page { items: rows.into_values().rev().collect(), next: Some(stopped) });
        }
        let more = rows.len() > limit;
        let items: Vec<Conversation> = rows.into_values().rev().take(limit).collect();
        Ok(Page { next: if more { items.last().map(|row| row.id) } else { None }, items })
    }

    /// Stays in queues that are over, of conversations that began since then. One that became part of another goes on there.
    pub fn queue_stays(&self, since: Wall) -> Result<Vec<PastStay>, DatabaseError> {
        let mut stays = Vec::new();
        let mut add = |row: &Conversation| {
            let counts = |stay: &PastStay| row.merged_into.is_none() || stay.how != PastEnd::Moved;
            stays.extend(row.intervals.iter().filter_map(Interval::queue_stay).filter(counts));
        };
        let ahead: BTreeSet<ConversationId> = {
            let ahead = self.ahead();
            ahead.rows.values().filter(|row| row.started_at >= since).for_each(&mut add);
            ahead.rows.keys().copied().collect()
        };
        let mut walk = Descending::new(&*self.database, Tree::Conversations, Vec::new(), None);
        while let Some((_, value)) = walk.next()? {
            // One bad row must not hide the others.
            let Ok(row) = read(&value) else { continue };
            if row.started_at < since {
                break;
            }
            if !ahead.contains(&row.id) {
                add(&row);
            }
        }
        Ok(stays)
    }

    /// Conversations that the log, as far as it is folded, shows without an end; oldest first.
    pub fn unended(&self) -> Vec<OpenConversation> {
        self.ahead().rows.values().filter(|row| row.is_live()).map(Conversation::open).collect()
    }

    /// The conversation that a recording is of, as the log tells: for a WAV file that lost its sidecar. Looks from the newest down.
    pub fn of_recording(&self, recording: RecordingId) -> Result<Option<Conversation>, DatabaseError> {
        let has = |row: &Conversation| row.recordings.iter().any(|r| r.id == recording);
        if let Some(row) = self.ahead().rows.values().find(|row| has(row)) {
            return Ok(Some(row.clone()));
        }
        // A recording begins after its conversation, so its id is the later one; clocks set back are covered by looking on a little.
        let latest = ConversationId::from_parts((recording.timestamp_ms() + 3_600_000).min((1 << 48) - 1), u128::MAX);
        let mut walk = Descending::new(&*self.database, Tree::Conversations, Vec::new(), Some(latest.to_bytes().to_vec()));
        for _ in 0..100_000 {
            let Some((_, value)) = walk.next()? else { break };
            if let Ok(row) = read(&value)
                && has(&row)
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Last number that is folded.
    pub fn position(&self) -> u64 {
        self.ahead().position
    }

    /// Folds the events that have become durable. Those that do not follow on what is folded, and all while too much waits for an
    /// index that can't be written, are left to [`catch_up`](Conversations::catch_up). Quick, and can't fail: the log's thread calls it.
    pub fn take<'a>(&self, events: impl IntoIterator<Item = &'a Stored>) {
        let mut ahead = self.ahead();
        for stored in events {
            if stored.sequence <= ahead.position {
                continue;
            }
            if stored.sequence != ahead.position + 1 || ahead.changed.len() >= MOST_CHANGED {
                return;
            }
            if let Err(error) = ahead.take(stored, |id| self.whole(id)) {
                tracing::warn!(%error, sequence = stored.sequence, "events are folded later");
                return;
            }
        }
    }

    /// Folds what the log has and nobody gave to [`take`](Conversations::take), and writes it.
    pub fn catch_up(&self, log: &Log) -> Result<(), FoldError> {
        while self.position() < log.last() {
            let mut reader = self.reader(log)?;
            let mut events = Vec::new();
            while events.len() < BATCH
                && let Some(stored) = reader.next()?
            {
                events.push(stored);
            }
            let mut ahead = self.ahead();
            for stored in &events {
                if stored.sequence > ahead.position {
                    ahead.take(stored, |id| self.whole(id))?;
                }
            }
            // Numbers that are damaged or of a newer version have no event.
            ahead.position = ahead.position.max(reader.position());
            drop(ahead);
            self.commit()?;
        }
        Ok(())
    }

    /// Writes what has changed into the index. On failure all of it still counts as changed.
    pub fn commit(&self) -> Result<(), DatabaseError> {
        let (mut changes, written, announced, told) = {
            let ahead = self.ahead();
            if ahead.changed.is_empty() && ahead.announced.is_empty() && ahead.told.is_empty() {
                return Ok(());
            }
            let mut changes = Vec::with_capacity(3 * ahead.changed.len() + ahead.announced.len() + 1);
            let mut written = Vec::with_capacity(ahead.changed.len());
            for row in ahead.changed.iter().filter_map(|id| ahead.rows.get(id)) {
                let key = row.id.to_bytes().to_vec();
                changes.push(match row.is_live() {
                    true => Change::Put(Tree::LiveConversations, key.clone(), Vec::new()),
                    false => Change::Remove(Tree::LiveConversations, key.clone()),
                });
                let value =
                    serde_json::to_vec(row).map_err(|error| DatabaseError::Row { tree: Tree::Conversations.name(), error })?;
                changes.push(Change::Put(Tree::Conversations, key.clone(), value));
                // While it lives something to judge may come.
                changes.push(match ahead.trials.get(&row.id).filter(|trial| row.is_live() || !trial.is_empty()) {
                    Some(trial) => {
                        let of_trial = |error| DatabaseError::Row { tree: Tree::Standards.name(), error };
                        Change::Put(Tree::Standards, key, serde_json::to_vec(trial).map_err(of_trial)?)
                    }
                    None => Change::Remove(Tree::Standards, key),
                });
                written.push((row.id, row.sequence));
            }
            let checkpoint = [&FOLD.to_be_bytes()[..], &ahead.position.to_be_bytes()[..]].concat();
            changes.push(Change::Put(Tree::Checkpoints, CHECKPOINT.to_vec(), checkpoint));
            (changes, written, ahead.announced.clone(), ahead.told.clone())
        };
        changes.extend(told.iter().map(|(recording, gone)| Change::Remove(Tree::Untold, untold_key(*recording, *gone))));
        changes.extend(announced.iter().map(|r| Change::Remove(Tree::Unannounced, r.to_bytes().to_vec())));
        self.database.commit(&changes)?;
        // Not before it is durable: a disk that fills up loses what was committed, and the log is read from the checkpoint only.
        self.database.flush()?;
        let mut ahead = self.ahead();
        ahead.announced.drain(..announced.len());
        ahead.told.drain(..told.len());
        for (id, sequence) in written {
            // What came meanwhile is for the next time.
            let Some(row) = ahead.rows.get(&id).filter(|row| row.sequence == sequence) else { continue };
            let live = row.is_live();
            ahead.changed.remove(&id);
            if !live {
                ahead.rows.remove(&id);
                ahead.trials.remove(&id);
            }
        }
        Ok(())
    }

    fn indexed(&self, id: ConversationId) -> Result<Option<Conversation>, DatabaseError> {
        self.database.get(Tree::Conversations, &id.to_bytes())?.map(|bytes| read(&bytes)).transpose()
    }

    /// With its trial.
    fn whole(&self, id: ConversationId) -> Result<Option<(Conversation, Trial)>, DatabaseError> {
        let Some(row) = self.indexed(id)? else { return Ok(None) };
        Ok(Some((row, trial(&*self.database, id)?.unwrap_or_default())))
    }

    /// A reader that stands where the fold is.
    fn reader(&self, log: &Log) -> Result<Reader, FoldError> {
        match log.since(self.position()) {
            Ok(reader) => Ok(reader),
            Err(LogError::Gone { first_kept }) => {
                tracing::warn!(first_kept, "conversations are folded from the first event that is kept");
                Ok(log.since(first_kept.saturating_sub(1))?)
            }
            Err(error @ (LogError::Ahead { .. } | LogError::TooSlow | LogError::Closed | LogError::Io { .. })) => {
                Err(error.into())
            }
        }
    }

    /// The log was cut or replaced under the index: its numbers go on from `last`. Rows without an end are to hear of theirs, whatever
    /// number it will have.
    pub fn not_beyond(&self, last: u64) {
        let mut ahead = self.ahead();
        ahead.position = ahead.position.min(last);
        for row in ahead.rows.values_mut() {
            row.sequence = row.sequence.min(last);
        }
        for trial in ahead.trials.values_mut() {
            trial.not_beyond(last);
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ahead {
    /// Nothing is changed where the row can't be had.
    fn take(
        &mut self,
        stored: &Stored,
        indexed: impl FnOnce(ConversationId) -> Result<Option<(Conversation, Trial)>, DatabaseError>,
    ) -> Result<(), DatabaseError> {
        if let Some(id) = stored.event.conversation {
            let (row, mut trial) = match self.rows.remove(&id) {
                Some(row) => (Some(row), self.trials.remove(&id).unwrap_or_default()),
                None if matches!(stored.event.kind, Kind::CallStarted(_)) => (None, Trial::default()),
                // Its end is written already, and this comes after it.
                None => match indexed(id) {
                    // One bad row must not stop the others.
                    Err(DatabaseError::Row { .. }) => (None, Trial::default()),
                    known => known?.map_or_else(|| (None, Trial::default()), |(row, trial)| (Some(row), trial)),
                },
            };
            if let Some(row) = apply(row, stored) {
                trial.take(stored.sequence, &stored.event);
                self.rows.insert(id, row);
                self.trials.insert(id, trial);
                self.changed.insert(id);
            }
        }
        self.position = stored.sequence;
        self.announced.extend(announced(&stored.event.kind));
        self.told.extend(told(&stored.event.kind));
        Ok(())
    }
}

fn checkpoint(database: &dyn Database) -> Result<u64, DatabaseError> {
    let Some(bytes) = database.get(Tree::Checkpoints, CHECKPOINT)? else { return Ok(0) };
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<8>()) {
        (Some(version), Some(sequence)) if bytes.len() == 12 && u32::from_be_bytes(*version) == FOLD => {
            Ok(u64::from_be_bytes(*sequence))
        }
        _ => Ok(0),
    }
}

/// The recording whose end an event tells.
fn announced(kind: &Kind) -> Option<RecordingId> {
    match kind {
        Kind::RecordingFinished(r) | Kind::RecordingRepaired(r) => Some(r.recording),
        _ => None,
    }
}

/// What an event tells of a message, and whether that is its end.
fn told(kind: &Kind) -> Option<(RecordingId, bool)> {
    match kind {
        Kind::VoicemailHeard(message) => Some((message.recording, false)),
        Kind::VoicemailDeleted(message) => Some((message.recording, true)),
        _ => None,
    }
}

/// A bad one is none: what it said is judged no more, and nothing else is lost.
fn trial(database: &dyn Database, id: ConversationId) -> Result<Option<Trial>, DatabaseError> {
    Ok(database.get(Tree::Standards, &id.to_bytes())?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
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
