//! What lies on disk: the event log, and an index of what it and the recordings tell.
//!
//! ```text
//! recordings/YYYY/MM/DD/<id>.wav, <id>.json   the recordings, each with its row beside it   (written by `recorder`)
//! recordings/events/*.log                     the event log: the truth                       [`log`]
//! recordings/index/                           sled: rows, bindings, wishes, checkpoints      [`database`]
//! recordings/journal/*.journal                what the core was told, for replay             [`journal_file`]
//! ```
//!
//! | what | truth | if it is lost |
//! |---|---|---|
//! | events | the log | nothing else has them |
//! | conversations, what they say about the service standards | the log | folded again at start |
//! | their SIP messages (ladders) | the index | they are gone |
//! | customers who are to be called back ([`callbacks`]) | the log | folded again at start |
//! | figures ([`figures`]) | the log | folded again at start, as far back as the log goes |
//! | contacts ([`contacts`]) | the index | gone, but for what was exported |
//! | how far each webhook is | the index | each begins anew, from then on |
//! | recordings | WAV and sidecar | `cordboard recordings rebuild` |
//! | registrations, wishes | the index | phones register again, agents set themselves ready |

pub mod callbacks;
pub mod contacts;
pub mod conversations;
pub mod database;
pub mod disk;
pub mod figures;
pub mod folds;
pub mod journal_file;
mod keeper;
pub mod ladders;
pub mod log;
mod projector;
pub mod recordings;
pub mod rfc3339;
pub mod thread;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use callbacks::Callbacks;
pub use contacts::Contacts;
pub use conversations::{Conversation, Conversations};
pub use figures::Figures;
pub use keeper::Keeper;
pub use ladders::Ladders;
pub use log::{Log, LogError, LogOptions, Stored};
pub use recordings::{Recording, Recordings};

use self::conversations::FoldError;
use self::database::{Database, DatabaseError, SledDatabase};
use self::disk::Disk;
use self::projector::Projector;
use self::recordings::{Folder, Kind as RecordingKind};
use crate::clock::System;
use crate::event::CallStarted;
use crate::ids::LegId;
use crate::switch::input::{FIGURES, Recovered, Repaired, UnloggedConversation};

/// Hears that a part is in trouble (what is wrong), or out of it again (`None`). Called from the part's own thread; must not wait.
pub type Health = Arc<dyn Fn(&'static str, Option<&str>) + Send + Sync>;

/// The index within the folder of recordings.
pub fn index_folder(root: &Path) -> PathBuf {
    root.join("index")
}

/// The log within the folder of recordings.
pub fn events_folder(root: &Path) -> PathBuf {
    root.join("events")
}

/// The journals within the folder of recordings.
pub fn journal_folder(root: &Path) -> PathBuf {
    root.join("journal")
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
}

impl From<FoldError> for StoreError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Log(error) => StoreError::Log(error),
            FoldError::Database(error) => StoreError::Database(error),
        }
    }
}

/// Everything that is open. Cheap to clone parts of; closed once, at the end.
pub struct Store {
    pub folder: Folder,
    pub database: Arc<dyn Database>,
    pub log: Log,
    pub recordings: Recordings,
    pub conversations: Conversations,
    pub ladders: Ladders,
    pub figures: Figures,
    pub callbacks: Callbacks,
    pub contacts: Contacts,
    pub keeper: Keeper,
    /// The index had to begin anew, or was left half rebuilt: the recordings are to be indexed again from their sidecars before
    /// anything else.
    pub index_is_new: bool,
    projector: Mutex<Option<Projector>>,
    clock: System,
}

impl Store {
    /// Opens what is under `root`, repairs the log's end, and folds conversations up to it.
    ///
    /// # Errors
    /// [`DatabaseError::Locked`] where another switch runs on the same folder; what the disk refuses.
    pub fn open(
        root: &Path,
        options: LogOptions,
        disk: Arc<dyn Disk>,
        clock: System,
        health: Health,
    ) -> Result<Store, StoreError> {
        let io = |error| StoreError::Io { path: root.to_owned(), error };
        disk.create_durable_folders(root).map_err(io)?;
        // First the index: its lock keeps a second switch from this folder's log too.
        let opened = SledDatabase::open(&index_folder(root), clock)?;
        let database: Arc<dyn Database> = Arc::new(opened.database);
        let log = Log::open(&events_folder(root), options, disk, clock, health.clone())?;
        let conversations = Conversations::open(database.clone())?;
        conversations.not_beyond(log.last());
        conversations.catch_up(&log)?;
        let figures = Figures::open(database.clone())?;
        figures.not_beyond(log.last());
        figures.catch_up(&log)?;
        let callbacks = Callbacks::open(database.clone())?;
        callbacks.not_beyond(log.last());
        callbacks.catch_up(&log)?;
        database.flush()?;
        let folds = vec![figures.fed(), callbacks.fed()];
        let (rows, fed) = (conversations.clone(), folds.clone());
        log.on_durable(move |events| {
            rows.take(events.iter().map(|stored| &**stored));
            fed.iter().for_each(|fold| fold.take(events));
        });
        // Kept from when the core's configuration is known.
        let ladders = Ladders::new(database.clone(), clock, ladders::Bounds::NONE);
        let projector =
            Projector::start(conversations.clone(), ladders.clone(), folds, log.clone(), health.clone()).map_err(io)?;
        let recordings = Recordings::new(database.clone());
        let index_is_new = opened.fresh || !recordings.is_whole()?;
        Ok(Store {
            folder: Folder::new(root),
            recordings,
            keeper: Keeper::start(database.clone(), health).map_err(io)?,
            conversations,
            ladders,
            figures,
            callbacks,
            contacts: Contacts::open(database.clone())?,
            database,
            log,
            index_is_new,
            projector: Mutex::new(Some(projector)),
            clock,
        })
    }

    /// The first input of a run. `repaired` is what the recorder found and mended.
    pub fn recovered(&self, repaired: Vec<Repaired>) -> Result<Recovered, StoreError> {
        let greetings = self.recordings.greetings()?;
        let unlogged = self.unlogged(&repaired)?;
        Ok(Recovered {
            registrations: keeper::registrations(&*self.database)?,
            wishes: keeper::wishes(&*self.database)?,
            phones: keeper::phones(&*self.database)?,
            subscriptions: keeper::subscriptions(&*self.database)?,
            minutes: keeper::minutes(&*self.database)?,
            news: keeper::news(&*self.database)?,
            messages: self.recordings.messages()?,
            untold: self.recordings.untold()?,
            greetings: greetings.kept,
            unkept: greetings.unkept,
            stays: self.conversations.queue_stays(self.clock.now().wall - FIGURES)?,
            callbacks: self.callbacks.all(),
            open: self.conversations.unended(),
            unlogged,
            repaired,
        })
    }

    /// Of calls only: a greeting may have come without one, and a prompt's take goes.
    fn unlogged(&self, repaired: &[Repaired]) -> Result<Vec<UnloggedConversation>, StoreError> {
        let mut unlogged = BTreeMap::new();
        for Repaired { conversation, finished, .. } in repaired {
            let Some(row) = self.recordings.row(finished.recording)? else { continue };
            let is_call = matches!(row.kind, RecordingKind::Conversation | RecordingKind::Voicemail | RecordingKind::Supervisor);
            if !is_call || unlogged.contains_key(conversation) || self.conversations.row(*conversation)?.is_some() {
                continue;
            }
            let started = CallStarted {
                direction: row.direction,
                leg: LegId::NOBODY,
                trunk: None,
                phone: None,
                customer_number: row.customer_number,
                called: row.called,
                customer_e164: row.customer_e164,
                called_e164: row.called_e164,
            };
            let (started_at, recorded_ms) = (row.started_at, row.duration_ms);
            unlogged
                .insert(*conversation, UnloggedConversation { conversation: *conversation, started_at, started, recorded_ms });
        }
        Ok(unlogged.into_values().collect())
    }

    /// The bindings that are remembered.
    pub fn registrations(&self) -> Result<Vec<(crate::ids::Number, crate::registrar::Binding)>, StoreError> {
        Ok(keeper::registrations(&*self.database)?)
    }

    /// Writes what waits and ends the threads. Call it last: after the core, and after the recorder.
    pub fn close(&self) {
        self.keeper.close();
        self.log.close();
        if let Some(projector) = self.projector.lock().unwrap_or_else(PoisonError::into_inner).take() {
            projector.close();
        }
        if let Err(error) = self.database.flush() {
            tracing::error!(%error, "the index can't be written at the end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::event::{CallEnded, CallStarted, Direction, Event, Kind};
    use crate::ids::ConversationId;
    use crate::route::{Cause, Side};

    fn open(root: &tempfile::TempDir) -> Result<Store, StoreError> {
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        Store::open(root.path(), options, Arc::new(disk::RealDisk), System::start(), Arc::new(|_, _| {}))
    }

    fn started(id: ConversationId) -> Event {
        let data = CallStarted {
            direction: Direction::Inbound,
            leg: crate::ids::LegId(1),
            trunk: None,
            phone: None,
            customer_number: "1".into(),
            called: "2".into(),
            customer_e164: None,
            called_e164: None,
        };
        Event { at: Wall::from_micros(9), conversation: Some(id), kind: Kind::CallStarted(data) }
    }

    fn ended(id: ConversationId) -> Event {
        let data =
            CallEnded { cause: Cause::Restart, status: None, by: Side::Switch, answered_ms: None, talk_ms: 0, legs: Vec::new() };
        Event { at: Wall::from_micros(10), conversation: Some(id), kind: Kind::CallEnded(data) }
    }

    fn unended(store: &Store) -> Vec<ConversationId> {
        store.recovered(vec![]).unwrap().open.iter().map(|o| o.conversation).collect()
    }

    #[test]
    fn conversations_that_a_kill_left_open_are_found_even_if_the_index_is_behind_the_log() {
        let root = tempfile::TempDir::new().unwrap();
        let id = ConversationId::from_parts(7, 7);
        let store = open(&root).unwrap();
        assert!(store.index_is_new);
        store.log.append([started(id)]);
        store.close();
        drop(store);
        std::fs::remove_dir_all(index_folder(root.path())).unwrap();

        let store = open(&root).unwrap();
        assert_eq!(unended(&store), [id]);
        assert!(matches!(open(&root), Err(StoreError::Database(DatabaseError::Locked { .. }))));
        store.close();
    }

    #[test]
    fn conversations_end_although_the_log_that_they_are_of_was_taken_away() {
        let root = tempfile::TempDir::new().unwrap();
        let (early, open_one) = (ConversationId::from_parts(7, 7), ConversationId::from_parts(8, 8));
        let store = open(&root).unwrap();
        store.log.append([started(early), ended(early), started(open_one)]);
        store.close();
        drop(store);
        std::fs::remove_dir_all(events_folder(root.path())).unwrap();

        let store = open(&root).unwrap();
        assert_eq!(unended(&store), [open_one]);
        store.log.append([ended(open_one)]);
        store.close();
        drop(store);
        let store = open(&root).unwrap();
        assert!(unended(&store).is_empty());
        assert_eq!(store.conversations.list(false, None, 0, None).unwrap().items.len(), 2);
        store.close();
    }

    #[test]
    fn a_rebuild_of_the_index_that_was_interrupted_is_to_be_done_again() {
        let root = tempfile::TempDir::new().unwrap();
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
        let open = || Store::open(root.path(), options, Arc::new(disk::RealDisk), System::start(), Arc::new(|_, _| {})).unwrap();
        // Each start goes this far, and is then killed.
        let begin: &dyn Fn(&Store) = &|store| store.recordings.clear().unwrap();
        let finish: &dyn Fn(&Store) = &|store| store.recordings.set_whole().unwrap();
        let nothing: &dyn Fn(&Store) = &|_| {};
        for (found_new, does) in
            [(true, begin), (true, nothing), (true, finish), (false, nothing), (false, begin), (true, finish)]
        {
            let store = open();
            assert_eq!(store.index_is_new, found_new);
            does(&store);
            store.close();
        }
    }
}
