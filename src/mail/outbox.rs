//! What is to be mailed, and how far in the event log that was looked for: both in the index, both changed in one commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::ids::{Number, RecordingId};
use crate::store::database::{Change, Database, DatabaseError, Order, Tree};
use crate::switch::event::Voicemail;

/// Stands among the checkpoints: the last number of the log that was looked at.
const POSITION: &[u8] = b"mail";

/// A mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub mailbox: Number,
    pub recording: RecordingId,
    pub caller: String,
    pub duration_ms: u64,
    #[serde(with = "crate::store::rfc3339")]
    pub left_at: Wall,
    /// That have failed.
    pub attempts: u32,
    #[serde(with = "crate::store::rfc3339")]
    pub next_at: Wall,
}

impl Waiting {
    pub fn new(left: &Voicemail, at: Wall) -> Waiting {
        Waiting {
            mailbox: left.mailbox.clone(),
            recording: left.recording,
            caller: left.caller.clone(),
            duration_ms: left.duration_ms,
            left_at: at,
            attempts: 0,
            next_at: at,
        }
    }
}

/// No more than there are messages in mailboxes.
pub struct Outbox {
    database: Arc<dyn Database>,
    waiting: BTreeMap<RecordingId, Waiting>,
    position: u64,
    /// What the index says of it.
    kept: u64,
}

impl Outbox {
    /// `last` is where the log ends: a first start begins there.
    pub fn open(database: Arc<dyn Database>, last: u64) -> Result<Outbox, DatabaseError> {
        let kept = database.get(Tree::Checkpoints, POSITION)?;
        let position = kept.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk::<8>()?))).unwrap_or(last);
        let mut waiting = BTreeMap::new();
        for (_, value) in database.page(Tree::Outbox, &[], None, Order::Ascending, usize::MAX)? {
            match serde_json::from_slice::<Waiting>(&value) {
                Ok(one) => drop(waiting.insert(one.recording, one)),
                Err(error) => tracing::error!(%error, "a mail that was to be sent can't be read, and is forgotten"),
            }
        }
        let mut outbox = Outbox { database, waiting, position, kept: position };
        outbox.hurry();
        outbox.keep(Vec::new())?;
        Ok(outbox)
    }

    /// The last event that was looked at.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The same, as a start would find it.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// The log ends before the position: it begins anew.
    pub fn rewind(&mut self, last: u64) {
        self.position = last;
    }

    /// An event was looked at. What is wanted waits in memory even where the index does not take it.
    pub fn take(&mut self, sequence: u64, wanted: Option<Waiting>, keep: bool) -> Result<(), DatabaseError> {
        self.position = self.position.max(sequence);
        let mut changes = Vec::new();
        // One that waits already was looked at before a kill.
        if let Some(wanted) = wanted.filter(|wanted| !self.waiting.contains_key(&wanted.recording)) {
            changes.push(put(&wanted));
            self.waiting.insert(wanted.recording, wanted);
        }
        if keep { self.keep(changes) } else { Ok(()) }
    }

    pub fn put_off(&mut self, later: Waiting) -> Result<(), DatabaseError> {
        let change = put(&later);
        self.waiting.insert(later.recording, later);
        self.keep(vec![change])
    }

    pub fn done(&mut self, waiting: &Waiting) -> Result<(), DatabaseError> {
        self.waiting.remove(&waiting.recording);
        self.keep(vec![Change::Remove(Tree::Outbox, waiting.recording.to_bytes().to_vec())])
    }

    /// When the next one is to be tried.
    pub fn due(&self) -> Option<Wall> {
        self.waiting.values().map(|one| one.next_at).min()
    }

    /// All of them now: what was wrong may be mended.
    pub fn hurry(&mut self) {
        for one in self.waiting.values_mut() {
            one.next_at = one.left_at;
        }
    }

    /// The one that is due first, if it is.
    pub fn next(&self, now: Wall) -> Option<Waiting> {
        self.waiting.values().filter(|one| one.next_at <= now).min_by_key(|one| one.next_at).cloned()
    }

    fn keep(&mut self, mut changes: Vec<Change>) -> Result<(), DatabaseError> {
        changes.push(Change::Put(Tree::Checkpoints, POSITION.to_vec(), self.position.to_be_bytes().to_vec()));
        self.database.commit(&changes)?;
        self.database.flush()?;
        self.kept = self.position;
        Ok(())
    }
}

fn put(waiting: &Waiting) -> Change {
    // A struct of text and numbers has a JSON form.
    let value = serde_json::to_vec(waiting).unwrap_or_default();
    Change::Put(Tree::Outbox, waiting.recording.to_bytes().to_vec(), value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::database::Memory;

    fn left(n: u64) -> Waiting {
        let recording = RecordingId::from_parts(n, 0);
        let data = Voicemail { mailbox: "201".into(), recording, caller: "210".into(), duration_ms: 2_000 };
        Waiting::new(&data, Wall::from_micros(n as i64 * 1_000_000))
    }

    #[test]
    fn what_was_not_sent_is_there_after_a_kill_and_what_was_is_not() {
        let database: Arc<dyn Database> = Arc::new(Memory::default());
        let open = || Outbox::open(database.clone(), 10).unwrap();
        let mut outbox = open();
        assert_eq!((outbox.position(), outbox.due()), (10, None), "what was before the first start is not sent");
        outbox.take(11, None, false).unwrap();
        outbox.take(12, Some(left(1)), true).unwrap();
        outbox.take(13, Some(left(2)), true).unwrap();
        outbox.take(14, None, false).unwrap();
        let now = Wall::from_micros(5_000_000);
        assert_eq!(outbox.next(now), Some(left(1)));

        let mut outbox = open();
        assert_eq!(outbox.position(), 13);
        // Looked at again: one wish, and one that waits for its second attempt is not begun anew.
        let later = Waiting { attempts: 1, next_at: now + Duration::from_secs(60), ..left(1) };
        outbox.put_off(later.clone()).unwrap();
        outbox.take(12, Some(left(1)), true).unwrap();
        assert_eq!(outbox.next(now), Some(left(2)));
        outbox.done(&left(2)).unwrap();
        assert_eq!((outbox.next(now), outbox.due()), (None, Some(later.next_at)));
        assert_eq!(open().next(now), Some(Waiting { next_at: later.left_at, ..later }), "a start tries at once");
    }
}
