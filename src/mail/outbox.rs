//! What is to be mailed, what came of it, and how far in the event log that was looked for: all in the index, all that has changed in one
//! commit.
//!
//! ```text
//! voicemail.left ──> waits ──the server has it──> taken ──voicemail.mailed in the log──> gone
//!                      │                             └── where the message goes with it: told ──voicemail.deleted──> gone
//!                      └──given up──> gave up ──voicemail.mail_failed in the log──> gone
//! ```
//! An entry stays until the log has all that is to be told of it, so a start after a kill tells the rest, and tells nothing twice. What the
//! index does not take stays to be written with whatever is written next, and the position with it: a kill before that finds the events
//! again from an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::event::{MailFailed, Mailed, Voicemail};
use crate::ids::{Number, RecordingId};
use crate::store::database::{Change, Database, DatabaseError, Order, Tree};

/// Stands among the checkpoints: the last number of the log that was looked at.
const POSITION: &[u8] = b"mail";

/// Entries that wait for an index that takes nothing: then the log, which has them, is read no further.
const MOST_UNWRITTEN: usize = 1_000;

/// A mail that is to be sent, or of which is to be told what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
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
    /// Once there is one, it is not sent any more.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The mail server has it. `delete`: the message goes with it.
    Taken {
        mailed: Mailed,
        delete: bool,
        told: bool,
    },
    GaveUp(MailFailed),
}

impl Entry {
    pub fn new(left: &Voicemail, at: Wall) -> Entry {
        Entry {
            mailbox: left.mailbox.clone(),
            recording: left.recording,
            caller: left.caller.clone(),
            duration_ms: left.duration_ms,
            left_at: at,
            attempts: 0,
            next_at: at,
            outcome: None,
        }
    }
}

/// No more than there are messages in mailboxes.
pub struct Outbox {
    entries: BTreeMap<RecordingId, Entry>,
    /// Of which the index says something else, or nothing.
    unwritten: BTreeSet<RecordingId>,
    position: u64,
    /// What the index says of it.
    kept: u64,
}

impl Outbox {
    /// `last` is where the log ends: a first start begins there.
    pub fn open(database: &dyn Database, last: u64) -> Result<Outbox, DatabaseError> {
        let kept = database.get(Tree::Checkpoints, POSITION)?;
        let kept = kept.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk::<8>()?)));
        let mut entries = BTreeMap::new();
        for (_, value) in database.page(Tree::Outbox, &[], None, Order::Ascending, usize::MAX)? {
            match serde_json::from_slice::<Entry>(&value) {
                Ok(one) => drop(entries.insert(one.recording, one)),
                Err(error) => tracing::error!(%error, "a mail that was to be sent can't be read, and is forgotten"),
            }
        }
        let position = kept.unwrap_or(last);
        let mut outbox = Outbox { entries, unwritten: BTreeSet::new(), position, kept: position };
        outbox.hurry();
        if kept.is_none() {
            database.commit(&outbox.changes())?;
            database.flush()?;
        }
        Ok(outbox)
    }

    /// The last event that was looked at.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Events since the position was written.
    pub fn behind(&self) -> u64 {
        self.position.saturating_sub(self.kept)
    }

    /// Something is to be written.
    pub fn is_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// It has no room for more before something is written.
    pub fn is_full(&self) -> bool {
        self.unwritten.len() >= MOST_UNWRITTEN
    }

    /// A mail waits to be sent.
    pub fn waits(&self) -> bool {
        self.entries.values().any(|entry| entry.outcome.is_none())
    }

    /// The log ends before the position: it begins anew.
    pub fn rewind(&mut self, last: u64) {
        self.position = last;
    }

    /// An event was looked at.
    pub fn looked_at(&mut self, sequence: u64) {
        self.position = self.position.max(sequence);
    }

    /// A message is to be mailed. One that is there already was looked at before a kill.
    pub fn wants(&mut self, wanted: Entry) {
        if !self.entries.contains_key(&wanted.recording) {
            self.put(wanted);
        }
    }

    /// A later attempt, or what came of it.
    pub fn put(&mut self, entry: Entry) {
        self.unwritten.insert(entry.recording);
        self.entries.insert(entry.recording, entry);
    }

    /// There is nothing more to do or to tell.
    pub fn remove(&mut self, recording: RecordingId) {
        if self.entries.remove(&recording).is_some() {
            self.unwritten.insert(recording);
        }
    }

    /// The log has it that a message was mailed. `delete` is for one whose entry does not know: its index was in trouble then.
    pub fn mailed(&mut self, told_of: &Mailed, delete: bool) {
        let Some(entry) = self.entries.get_mut(&told_of.recording) else { return };
        let delete = match &entry.outcome {
            Some(Outcome::Taken { delete, .. }) => *delete,
            Some(Outcome::GaveUp(_)) | None => delete,
        };
        if !delete {
            return self.remove(told_of.recording);
        }
        entry.outcome = Some(Outcome::Taken { mailed: told_of.clone(), delete, told: true });
        self.unwritten.insert(told_of.recording);
    }

    /// The log has it that a mail failed.
    pub fn failed(&mut self, told_of: &MailFailed) {
        if told_of.gives_up {
            self.remove(told_of.recording);
        }
    }

    /// The log has it that a message is gone.
    pub fn deleted(&mut self, recording: RecordingId) {
        let Some(entry) = self.entries.get_mut(&recording) else { return };
        match &mut entry.outcome {
            // That it was mailed, or was not, is yet to be told.
            Some(Outcome::Taken { told: false, delete, .. }) => {
                *delete = false;
                self.unwritten.insert(recording);
            }
            Some(Outcome::GaveUp(_)) => {}
            Some(Outcome::Taken { told: true, .. }) | None => self.remove(recording),
        }
    }

    /// What a kill kept from being told, or from being done.
    pub fn untold(&self) -> Vec<Entry> {
        self.entries.values().filter(|entry| entry.outcome.is_some()).cloned().collect()
    }

    /// When the next one is to be tried.
    pub fn due(&self) -> Option<Wall> {
        self.waiting().map(|one| one.next_at).min()
    }

    /// All of them now: what was wrong may be mended.
    pub fn hurry(&mut self) {
        for one in self.entries.values_mut() {
            one.next_at = one.left_at;
        }
    }

    /// The one that is due first, if it is.
    pub fn next(&self, now: Wall) -> Option<Entry> {
        self.waiting().filter(|one| one.next_at <= now).min_by_key(|one| one.next_at).cloned()
    }

    fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.outcome.is_none())
    }

    /// What the index is to take, all or nothing.
    pub fn changes(&self) -> Vec<Change> {
        let of = |id: &RecordingId| match self.entries.get(id) {
            // A struct of text and numbers has a JSON form.
            Some(entry) => Change::Put(Tree::Outbox, id.to_bytes().to_vec(), serde_json::to_vec(entry).unwrap_or_default()),
            None => Change::Remove(Tree::Outbox, id.to_bytes().to_vec()),
        };
        let mut changes: Vec<Change> = self.unwritten.iter().map(of).collect();
        changes.push(Change::Put(Tree::Checkpoints, POSITION.to_vec(), self.position.to_be_bytes().to_vec()));
        changes
    }

    /// It has taken them; nothing has changed since.
    pub fn written(&mut self) {
        self.unwritten.clear();
        self.kept = self.position;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::database::Memory;

    fn left(n: u64) -> Entry {
        let recording = RecordingId::from_parts(n, 0);
        let (customer_e164, called_e164) = (None, None);
        let caller = "210".to_owned();
        let data = Voicemail { mailbox: "201".into(), recording, caller, customer_e164, called_e164, duration_ms: 2_000 };
        Entry::new(&data, Wall::from_micros(n as i64 * 1_000_000))
    }

    fn mailed(n: u64) -> Mailed {
        Mailed { mailbox: "201".into(), recording: RecordingId::from_parts(n, 0), to: "a@example.com".to_owned(), attached: true }
    }

    fn keep(outbox: &mut Outbox, database: &Memory) {
        database.commit(&outbox.changes()).unwrap();
        outbox.written();
    }

    #[test]
    fn what_was_not_sent_is_there_after_a_kill_and_what_was_is_not() {
        let database = Memory::default();
        let open = || Outbox::open(&database, 10).unwrap();
        let mut outbox = open();
        assert_eq!((outbox.position(), outbox.due()), (10, None), "what was before the first start is not sent");
        outbox.looked_at(11);
        assert_eq!((outbox.is_unwritten(), outbox.behind()), (false, 1));
        for (n, sequence) in [(1, 12), (2, 13)] {
            outbox.wants(left(n));
            outbox.looked_at(sequence);
            keep(&mut outbox, &database);
        }
        outbox.looked_at(14);
        let now = Wall::from_micros(5_000_000);
        assert_eq!(outbox.next(now), Some(left(1)));

        let mut outbox = open();
        assert_eq!(outbox.position(), 13);
        // Looked at again: one wish, and one that waits for its second attempt is not begun anew.
        let later = Entry { attempts: 1, next_at: now + Duration::from_secs(60), ..left(1) };
        outbox.put(later.clone());
        outbox.wants(left(1));
        assert_eq!(outbox.next(now), Some(left(2)));
        outbox.remove(left(2).recording);
        assert_eq!((outbox.next(now), outbox.due()), (None, Some(later.next_at)));
        keep(&mut outbox, &database);
        assert_eq!(open().next(now), Some(Entry { next_at: later.left_at, ..later }), "a start tries at once");
    }

    #[test]
    fn what_the_index_did_not_take_is_written_with_the_next_and_the_position_never_without_it() {
        let database = Memory::default();
        let mut outbox = Outbox::open(&database, 10).unwrap();
        outbox.wants(left(1));
        outbox.looked_at(11);
        // It was refused. What follows goes through.
        outbox.looked_at(2_011);
        outbox.wants(left(2));
        keep(&mut outbox, &database);
        let found = Outbox::open(&database, 0).unwrap();
        assert_eq!((found.position(), found.entries.len(), found.is_unwritten()), (2_011, 2, false));
        let mut outbox = found;
        for n in 3..3 + MOST_UNWRITTEN as u64 {
            assert!(!outbox.is_full());
            outbox.wants(left(n));
        }
        assert!(outbox.is_full());
    }

    #[test]
    fn an_entry_stays_until_the_log_has_all_that_is_to_be_told_of_it() {
        let taken = |n, delete| Entry { outcome: Some(Outcome::Taken { mailed: mailed(n), delete, told: false }), ..left(n) };
        let failed = MailFailed {
            mailbox: "201".into(),
            recording: left(3).recording,
            to: String::new(),
            reason: String::new(),
            attempts: 1,
            gives_up: true,
        };
        let mut outbox = Outbox::open(&Memory::default(), 10).unwrap();
        for entry in
            [taken(1, false), taken(2, true), Entry { outcome: Some(Outcome::GaveUp(failed.clone())), ..left(3) }, left(4)]
        {
            outbox.put(entry);
        }
        let there = |outbox: &Outbox| outbox.entries.keys().map(|id| id.timestamp_ms()).collect::<Vec<_>>();
        assert!(outbox.waits() && outbox.untold().len() == 3);
        outbox.mailed(&mailed(1), true);
        outbox.mailed(&mailed(2), false);
        assert_eq!(there(&outbox), [2, 3, 4]);
        let still = &outbox.untold()[0];
        assert!(matches!(&still.outcome, Some(Outcome::Taken { told: true, .. })), "it is yet to go");
        outbox.failed(&MailFailed { gives_up: false, ..failed.clone() });
        outbox.failed(&failed);
        // Deleted before it could be sent.
        outbox.deleted(left(4).recording);
        assert_eq!((there(&outbox), outbox.waits()), (vec![2], false));
        outbox.deleted(left(2).recording);
        assert_eq!(there(&outbox), [0; 0]);
        // Its owner was quicker: that it was mailed is told all the same.
        outbox.put(taken(5, true));
        outbox.deleted(left(5).recording);
        assert_eq!(there(&outbox), [5]);
        outbox.mailed(&mailed(5), true);
        assert_eq!(there(&outbox), [0; 0]);
    }
}
