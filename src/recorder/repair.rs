//! What a kill left: made whole at start, before anything else runs. And the index, made anew from the files.
//!
//! Three things are brought together: rows in the index, files with their sidecars, and what the event log has heard. Every step can be
//! repeated, so a kill in the middle of the repair is repaired by the next.
//!
//! | found | done |
//! |---|---|
//! | row or sidecar in state *recording* | file mended by its length, hashed; sidecar and row closed as *repaired*; told |
//! | row closed, but the log has not heard | told again |
//! | file or sidecar without a row, in the newest days | as a rebuild does, told |
//! | row or sidecar of one that the customer refused (by its own word or the log's), or of a prompt's take | row removed, then the files |
//! | half-written files of ours | removed |

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::clerk::remove_files;
use super::sidecar;
use super::timeline::NARROW;
use super::wav::{Unsealed, WavFile, frames_by_length, frames_ms, rate_of, seal};
use crate::clock::Wall;
use crate::ids::{ConversationId, RecordingId};
use crate::route::Direction;
use crate::store::conversations::{Conversation, RecordingOutcome};
use crate::store::database::DatabaseError;
use crate::store::disk::Disk;
use crate::store::recordings::row::CHANNELS;
use crate::store::recordings::{Folder, Kind, Recording, Recordings, State};
use crate::store::{Conversations, Store};
use crate::switch::input::Repaired;

/// Folders of days that are searched for files without a row. The row follows the files as fast as the disk syncs, so a kill can only
/// leave such a file on the last day that the switch ran; the others are for clocks that were set. As many again are searched that are later
/// than today: a clock that once was years ahead must not hide what is left of the last run.
const DAYS: usize = 3;

#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Index(#[from] DatabaseError),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// Repairs what the last run left. A recording that can't be repaired (its disk refuses) is logged and tried again at the next start;
/// the switch starts without. `today`: any time of it.
///
/// # Errors
/// Where index or folder can't be read at all.
pub fn repair(store: &Store, disk: &dyn Disk, today: Wall) -> Result<Vec<Repaired>, RepairError> {
    if store.index_is_new {
        let rebuilt = rebuild(&store.folder, &store.recordings, &store.conversations, disk)?;
        if rebuilt.rows > 0 || !rebuilt.faults.is_empty() {
            tracing::info!(
                rows = rebuilt.rows,
                repaired = rebuilt.repaired,
                faults = rebuilt.faults.len(),
                "the index is rebuilt"
            );
        }
    }
    let mender = Mender { folder: &store.folder, table: &store.recordings, conversations: &store.conversations, disk };
    let mut ids: BTreeSet<RecordingId> = store.recordings.unannounced()?.into_iter().collect();
    for day in newest(&store.folder, store.folder.days().map_err(at(&store.folder))?, today) {
        mender.tidy(&day);
        for found in store.folder.in_day(&day).map_err(at(&store.folder))? {
            let is_due = match store.recordings.row(found.id) {
                Ok(None) | Err(DatabaseError::Row { .. }) => true,
                Ok(Some(row)) => mender.is_unwanted(&row),
                Err(_) => false,
            };
            if is_due {
                ids.insert(found.id);
            }
        }
    }
    let mut repaired = Vec::new();
    for id in ids {
        match mender.remove_unwanted(id) {
            Ok(true) => continue,
            Ok(false) => {}
            // It is tried again at the next start, and closed never.
            Err(error) => {
                tracing::error!(recording = %id, %error, "a recording that nobody wants can't be taken away");
                continue;
            }
        }
        match mender.close(id) {
            Ok(row) => repaired.extend(row.finished().map(|finished| Repaired {
                conversation: row.conversation,
                finished,
                measured: row.measured().map(Box::new),
            })),
            Err(error) => tracing::error!(recording = %id, %error, "a recording can't be repaired"),
        }
    }
    store.recordings.flush()?;
    Ok(repaired)
}

/// Of folders of days, newest first, those to be searched.
fn newest(folder: &Folder, days: Vec<PathBuf>, today: Wall) -> impl Iterator<Item = PathBuf> {
    let ms = u64::try_from(today.as_micros() / 1_000).unwrap_or(0);
    let today = folder.day(RecordingId::from_parts(ms, 0));
    let (later, until_today): (Vec<_>, Vec<_>) = days.into_iter().partition(|day| *day > today);
    later.into_iter().take(DAYS).chain(until_today.into_iter().take(DAYS))
}

/// What a rebuild did.
#[derive(Debug, Default)]
pub struct Rebuilt {
    pub rows: u64,
    /// Of these, files that were unfinished or had no sidecar.
    pub repaired: u64,
    pub faults: Vec<(RecordingId, String)>,
}

/// Makes the index of recordings anew from WAV files and sidecars. A WAV without a sidecar gets one, as far as the log knows what it is.
/// Not while a switch runs (its lock on the index sees to that).
pub fn rebuild(
    folder: &Folder,
    table: &Recordings,
    conversations: &Conversations,
    disk: &dyn Disk,
) -> Result<Rebuilt, RepairError> {
    let mender = Mender { folder, table, conversations, disk };
    // What the log has not heard of is still to be told after the rebuild.
    let unannounced: BTreeSet<RecordingId> = table.unannounced()?.into_iter().collect();
    table.clear()?;
    let mut rebuilt = Rebuilt::default();
    for day in folder.days().map_err(at(folder))? {
        mender.tidy(&day);
        for found in folder.in_day(&day).map_err(at(folder))? {
            match mender.remove_unwanted(found.id) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    rebuilt.faults.push((found.id, error.to_string()));
                    continue;
                }
            }
            let done = sidecar::read(folder, found.id).map_err(at(folder)).and_then(|row| match row {
                Some(row) if row.state != State::Recording && found.has_audio => {
                    table.put(&row, !unannounced.contains(&row.id))?;
                    Ok(row)
                }
                // A sidecar whose file is gone stays out of the index: nothing could be played.
                Some(row) if row.state != State::Recording => {
                    Err(RepairError::Io { path: folder.audio(row.id), error: io::ErrorKind::NotFound.into() })
                }
                Some(_) | None => {
                    rebuilt.repaired += 1;
                    mender.close(found.id)
                }
            });
            match done {
                Ok(_) => rebuilt.rows += 1,
                Err(error) => rebuilt.faults.push((found.id, error.to_string())),
            }
        }
        table.flush()?;
    }
    table.set_whole()?;
    Ok(rebuilt)
}

/// What the log knows of it.
fn was_refused(conversation: &Conversation, id: RecordingId) -> bool {
    conversation.recordings.iter().any(|r| r.id == id && r.state == RecordingOutcome::Refused)
}

struct Mender<'a> {
    folder: &'a Folder,
    table: &'a Recordings,
    conversations: &'a Conversations,
    disk: &'a dyn Disk,
}

impl Mender<'_> {
    /// Refused by the customer, also after its end; or a take of a prompt that nobody decides on any more.
    fn is_unwanted(&self, row: &Recording) -> bool {
        let told = || self.conversations.row(row.conversation).ok().flatten();
        row.refused || row.kind == Kind::Prompt || told().is_some_and(|told| was_refused(&told, row.id))
    }

    /// A kill came before it was gone; whether it was to go.
    fn remove_unwanted(&self, id: RecordingId) -> Result<bool, RepairError> {
        let row = self.table.row(id).ok().flatten();
        // Either may have been the last that was written.
        let beside = sidecar::read(self.folder, id).ok().flatten();
        let is_unwanted = match (&row, &beside) {
            (None, None) => self.conversations.of_recording(id)?.is_some_and(|told| was_refused(&told, id)),
            (row, beside) => [row, beside].into_iter().flatten().any(|known| self.is_unwanted(known)),
        };
        if !is_unwanted {
            return Ok(false);
        }
        // The row first: files without one are found at the next start, a row without files is not.
        self.table.remove(id)?;
        self.table.flush()?;
        remove_files(self.disk, self.folder, id).map_err(|error| RepairError::Io { path: self.folder.audio(id), error })?;
        Ok(true)
    }

    /// Makes file, sidecar and row agree and be closed. Leaves alone what is.
    fn close(&self, id: RecordingId) -> Result<Recording, RepairError> {
        let row = match self.table.row(id) {
            Ok(row) => row,
            Err(DatabaseError::Row { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(row) = &row
            && row.state != State::Recording
        {
            return Ok(row.clone());
        }
        let beside = sidecar::read(self.folder, id).map_err(at(self.folder))?;
        if let Some(beside) = &beside
            && beside.state != State::Recording
        {
            // Killed between the sidecar and the row.
            self.table.put(beside, false)?;
            return Ok(beside.clone());
        }
        let known = match row.or(beside) {
            Some(row) => row,
            None => self.told_by_log(id)?,
        };
        let (frames, rate) =
            self.mend(id, known.sample_rate).map_err(|error| RepairError::Io { path: self.folder.audio(id), error })?;
        let (audio, drawing) = (self.folder.audio(id), self.folder.drawing(id));
        // Whether a sync of it had failed, nobody knows any more.
        let sealed = seal(self.disk, &Unsealed { audio, drawing, frames, rate, is_torn: true, is_in_doubt: true })
            .map_err(|error| RepairError::Io { path: self.folder.audio(id), error: error.into() })?;
        let row = Recording {
            duration_ms: frames_ms(frames, rate),
            sample_rate: rate,
            bytes: sealed.bytes,
            sha256: Some(sealed.sha256),
            state: State::Repaired,
            ..known
        };
        sidecar::write(self.disk, self.folder, &row)
            .and_then(|()| self.disk.sync_folder(&self.folder.day(id)))
            .map_err(|error| RepairError::Io { path: self.folder.sidecar(id), error })?;
        self.table.put(&row, false)?;
        Ok(row)
    }

    /// Whole frames in the file by its length, and its rate, which its own header knows best; a file that is not there is made, empty.
    fn mend(&self, id: RecordingId, rate: u32) -> io::Result<(u64, u32)> {
        let path = self.folder.audio(id);
        match self.disk.open(&path) {
            Ok(file) => Ok((frames_by_length(&*file)?, rate_of(&*file).unwrap_or(rate))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.disk.create_folders(&self.folder.day(id))?;
                WavFile::create(self.disk, &path, rate).map(|_| (0, rate))
            }
            Err(e) => Err(e),
        }
    }

    /// What the log knows of a recording that has neither row nor sidecar.
    fn told_by_log(&self, id: RecordingId) -> Result<Recording, RepairError> {
        let told = self.conversations.of_recording(id)?;
        let started_at = Wall::from_micros(i64::try_from(id.timestamp_ms()).unwrap_or(0).saturating_mul(1_000));
        let mut row = Recording {
            id,
            // A conversation of its own, where nothing is known.
            conversation: ConversationId::from_bytes(id.to_bytes()),
            started_at,
            duration_ms: 0,
            direction: Direction::Inbound,
            customer_number: String::new(),
            called: String::new(),
            customer_e164: None,
            called_e164: None,
            agents: Vec::new(),
            queue: None,
            channels: CHANNELS,
            sample_rate: NARROW,
            bytes: 0,
            sha256: None,
            state: State::Recording,
            rule: "found without its sidecar".to_owned(),
            lost_ms: [0, 0],
            paused_ms: 0,
            refused: false,
            kind: Kind::Conversation,
            mailbox: None,
            heard: false,
            kept: true,
            sound: None,
        };
        if let Some(told) = told {
            row.conversation = told.id;
            row.direction = told.direction;
            row.customer_number = told.customer_number;
            row.called = told.called;
            row.customer_e164 = told.customer_e164;
            row.called_e164 = told.called_e164;
            row.agents = told.agents;
            row.queue = told.queues.last().cloned();
            row.rule = told.recorded.map_or(row.rule, |r| r.rule);
        }
        Ok(row)
    }

    fn tidy(&self, day: &std::path::Path) {
        for path in self.folder.leftovers(day).unwrap_or_default() {
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a half-written file can't be removed");
            }
        }
    }
}

fn at(folder: &Folder) -> impl Fn(io::Error) -> RepairError {
    let path = folder.root().to_owned();
    move |error| RepairError::Io { path: path.clone(), error }
}

#[cfg(test)]
mod tests;
