//! The durable side of the recorder: syncs files, makes sidecars and rows durable, and says so only then.
//!
//! The clerk keeps a desk for each recording with what is wanted of it, and works until disk and index agree. What fails stays on the
//! desk and is tried again; what is asked meanwhile replaces what was asked before. All rows of a round share a sync of their folder and
//! one flush of the index; a round takes no more than [`BATCH`] of them, so that what is asked meanwhile is not kept waiting.
//!
//! | step | order on disk |
//! |---|---|
//! | begin | the layer made sidecar and WAV; sidecar, WAV (synced), folders (synced), row (flushed), then `Started` |
//! | describe | sidecar, folder, row |
//! | sync | the WAV, every ten seconds; after one that failed, which the kernel does not repeat, the WAV is written anew at its end |
//! | finish | length and header, sync, hash, what the waveform lacks; sidecar, folder, row (flushed), then `Finished` |
//! | finish of a refused one | as of one that is refused when it is closed |
//! | refuse; discard of what was in no mailbox | sidecar says *refused*, folder; row goes (flushed); WAV, waveform, sidecar go, folder, then `Discarded` or `Kept` |
//! | discard of a message | WAV, waveform, sidecar go, folder; row goes (flushed), then `Kept`: a message that is half gone can still be deleted |
//! | heard, keep | sidecar, folder, row (flushed), then `Kept` |
//!
//! A kill between any two leaves what the repair at start completes, with two exceptions, neither of which was reported to anybody: what was
//! heard or kept and stands in the sidecar alone stays so until it is asked again, or the index is rebuilt; and the row of a message whose files
//! are gone stays until it is deleted again. The hash is taken by reading the file back at its end, because its
//! first bytes, the header, are the last to be known; that is some 0.3 s for an hour, from the page cache, in a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::wav::{NotSealed, Sealed, Unsealed, frames_ms, rewrite_header};
use super::writer::SYNC_EVERY;
use super::{Reports, sidecar};
use crate::event::Sound;
use crate::ids::{ConversationId, RecordingId};
use crate::store::database::DatabaseError;
use crate::store::disk::{Disk, DiskFile};
use crate::store::recordings::{Folder, Recording, Recordings, State};
use crate::switch::input::RecorderReport;
use crate::switch::output::About;

/// What a round syncs at most, of sidecars with their rows, and of files that are being written. Chosen by feel: large enough that the
/// sync of the folder and the flush of the index are few, small enough that a round on a slow disk does not last for seconds.
const BATCH: usize = 32;

/// To the clerk.
pub enum Job {
    Begin(About),
    /// Its files are there, unsynced; or can't be made for now.
    Laid {
        recording: RecordingId,
        result: io::Result<()>,
    },
    Describe(About),
    /// The message was heard.
    Heard(RecordingId),
    /// The greeting counts.
    Keep(RecordingId),
    /// The message, greeting or take goes, whether it is closed yet or not.
    Discard {
        recording: RecordingId,
        told: bool,
    },
    /// The customer does not want it, whether it is closed yet or not.
    Refuse {
        conversation: ConversationId,
        recording: RecordingId,
    },
    /// Make what was written survive a power cut. A file that is closed by then is synced whole when it is sealed, so this holds none open.
    Sync {
        recording: RecordingId,
        file: Weak<dyn DiskFile>,
    },
    /// No more samples come; the file is to have this length.
    Finish {
        recording: RecordingId,
        frames: u64,
        lost_ms: [u64; 2],
        sound: Option<Box<Sound>>,
    },
    /// From the thread that hashes.
    Hashed {
        recording: RecordingId,
        result: Result<Sealed, NotSealed>,
    },
    /// Nothing more comes from the writer.
    WriterEnded,
}

/// Why a recording stays as it is for now.
#[derive(Debug, thiserror::Error)]
enum Unkept {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Index(#[from] DatabaseError),
}

/// To the thread that hashes.
pub struct ToSeal {
    pub recording: RecordingId,
    pub unsealed: Unsealed,
}

pub struct Clerk {
    disk: Arc<dyn Disk>,
    folder: Folder,
    table: Recordings,
    desks: BTreeMap<RecordingId, Desk>,
    /// What is still to be done with recordings that are finished; no more than there are.
    messages: BTreeMap<RecordingId, Wish>,
    /// Files with samples that are not synced; a recording's once, however often it was asked.
    unsynced: BTreeMap<RecordingId, Weak<dyn DiskFile>>,
    /// The last round left something for the next.
    has_more: bool,
    /// And it made something durable.
    has_moved: bool,
    /// The last day's folder that was synced with all above it.
    synced_day: PathBuf,
    /// What failed in the last round.
    trouble: Option<String>,
    /// What failed since, outside of a round.
    failed: Option<String>,
    writer_ended: bool,
}

/// What is wished of a recording that is finished: by the owner of a mailbox, of a message or a greeting; of a take; by the customer.
#[derive(Clone, Copy)]
enum Wish {
    Heard,
    Keep,
    Discard {
        told: bool,
    },
    /// Of no mailbox: the customer's doing.
    Refuse {
        conversation: ConversationId,
    },
}

struct Desk {
    about: About,
    stage: Stage,
    /// The index or the sidecar does not say yet what `about` says.
    stale: bool,
    /// The sidecar says this and is durable, and the index does not say it yet.
    beside: Option<Recording>,
    /// How much of it was to be made durable by syncs that failed: what was not on the disk by then may never get there, and the next sync
    /// succeeds all the same. The file is written anew when it is sealed, and this is told at the end, since some of it may have been
    /// lost from the page cache too.
    doubt: Duration,
    /// Who asked that it goes, if the description does not say so.
    goes: Option<Wish>,
    /// What was measured while it was written; there when it ends.
    sound: Option<Box<Sound>>,
}

impl Desk {
    /// Of one that nobody wants.
    fn last_wish(&self) -> Wish {
        self.goes.unwrap_or(Wish::Refuse { conversation: self.about.conversation })
    }
}

enum Stage {
    /// There are no files yet.
    Beginning {
        end: Option<End>,
        failed: Option<Unlaid>,
    },
    /// File and sidecar are there, and a power cut may take them.
    Laid {
        end: Option<End>,
    },
    /// File and sidecar are durable, the row is not yet.
    Unindexed {
        end: Option<End>,
    },
    Running,
    /// Waiting for the hash, or for somebody to take the order.
    Sealing {
        end: End,
        ordered: bool,
    },
    /// Only sidecar and row are missing.
    Closing {
        end: End,
        sealed: Sealed,
    },
    /// The file is no longer there.
    Vanished,
}

/// Why there are no files, and whether that was reported.
struct Unlaid {
    reason: String,
    told: bool,
}

#[derive(Clone, Copy)]
struct End {
    frames: u64,
    lost_ms: [u64; 2],
}

/// What a round asks of its surroundings.
pub trait Surroundings {
    /// `false`: not now.
    fn seal(&mut self, order: ToSeal) -> bool;
}

impl Clerk {
    pub fn new(disk: Arc<dyn Disk>, folder: Folder, table: Recordings) -> Self {
        Clerk {
            disk,
            folder,
            table,
            desks: BTreeMap::new(),
            messages: BTreeMap::new(),
            unsynced: BTreeMap::new(),
            has_more: false,
            has_moved: false,
            synced_day: PathBuf::new(),
            trouble: None,
            failed: None,
            writer_ended: false,
        }
    }

    /// All that was ever asked is durable, and nothing more will be asked.
    pub fn is_done(&self) -> bool {
        self.writer_ended && self.desks.is_empty() && self.messages.is_empty()
    }

    pub fn writer_ended(&self) -> bool {
        self.writer_ended
    }

    /// Recordings that are not closed.
    pub fn open(&self) -> usize {
        self.desks.len()
    }

    /// The next round need not wait for a job. In trouble with all it does it waits: a disk is not asked again at once. But one recording
    /// that can't be helped does not keep the others waiting.
    pub fn has_more(&self) -> bool {
        self.has_more && (self.has_moved || self.trouble.is_none())
    }

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub fn take(&mut self, job: Job) {
        match job {
            Job::Begin(about) => {
                let stage = Stage::Beginning { end: None, failed: None };
                self.desks.entry(about.recording).or_insert(Desk {
                    about,
                    stage,
                    stale: true,
                    beside: None,
                    doubt: Duration::ZERO,
                    goes: None,
                    sound: None,
                });
            }
            Job::Laid { recording, result } => {
                let Some(desk) = self.desks.get_mut(&recording) else { return };
                let Stage::Beginning { end, failed } = &mut desk.stage else { return };
                match result {
                    Ok(()) => desk.stage = Stage::Laid { end: *end },
                    Err(error) => *failed = Some(Unlaid { reason: error.to_string(), told: false }),
                }
            }
            Job::Describe(about) => {
                if let Some(desk) = self.desks.get_mut(&about.recording) {
                    let about = About { refused: about.refused || desk.goes.is_some(), ..about };
                    desk.stale |= desk.about != about;
                    desk.about = about;
                }
            }
            Job::Heard(recording) => drop(self.messages.entry(recording).or_insert(Wish::Heard)),
            Job::Keep(recording) => drop(self.messages.entry(recording).or_insert(Wish::Keep)),
            Job::Discard { recording, told } => self.unwanted(recording, Wish::Discard { told }),
            Job::Refuse { conversation, recording } => self.unwanted(recording, Wish::Refuse { conversation }),
            Job::Sync { recording, file } => drop(self.unsynced.insert(recording, file)),
            Job::Finish { recording, frames, lost_ms, sound } => {
                // Sealing syncs it whole.
                self.unsynced.remove(&recording);
                if let Some(desk) = self.desks.get_mut(&recording) {
                    let given = End { frames, lost_ms };
                    desk.sound = sound;
                    match &mut desk.stage {
                        Stage::Beginning { end, .. } | Stage::Laid { end } | Stage::Unindexed { end } => *end = Some(given),
                        Stage::Running => desk.stage = Stage::Sealing { end: given, ordered: false },
                        Stage::Sealing { .. } | Stage::Closing { .. } | Stage::Vanished => {}
                    }
                }
            }
            Job::Hashed { recording, result } => {
                let Some(desk) = self.desks.get_mut(&recording) else { return };
                let Stage::Sealing { end, ordered } = &mut desk.stage else { return };
                match result {
                    Ok(sealed) => desk.stage = Stage::Closing { end: *end, sealed },
                    // Somebody removed it. The row still says that it is being recorded; the repair at the next start closes it.
                    Err(NotSealed::Disk(error)) if error.kind() == io::ErrorKind::NotFound => desk.stage = Stage::Vanished,
                    Err(error) => {
                        *ordered = false;
                        if let NotSealed::Unsynced(_) = error {
                            desk.doubt = desk.doubt.max(SYNC_EVERY);
                        }
                        tracing::error!(%recording, %error, "a recording can't be closed");
                        self.failed = Some(error.to_string());
                    }
                }
            }
            Job::WriterEnded => self.writer_ended = true,
        }
    }

    /// It goes; one that is not closed yet when it is, whatever is described meanwhile.
    fn unwanted(&mut self, recording: RecordingId, wish: Wish) {
        match self.desks.get_mut(&recording) {
            Some(desk) => {
                desk.goes = Some(wish);
                desk.stale |= !std::mem::replace(&mut desk.about.refused, true);
            }
            None => drop(self.messages.insert(recording, wish)),
        }
    }

    /// One round over all desks with something to do. What fails stays, to be tried in a later round.
    pub fn work(&mut self, around: &mut dyn Surroundings, report: &mut Reports<'_>) {
        self.trouble = self.failed.take();
        self.tell_vanished(report);
        self.take_refused();
        self.messages_wished(report);
        (self.has_more, self.has_moved) = (false, false);
        let mut rows = self.written_sidecars(around, report);
        self.sync_days(&mut rows);
        for (id, row) in &rows {
            let Some(desk) = self.desks.get_mut(id) else { continue };
            desk.beside = Some(row.clone());
            if let Stage::Laid { end } = desk.stage {
                desk.stage = Stage::Unindexed { end };
            }
        }
        if !rows.is_empty() {
            let written = rows.values().try_for_each(|row| self.table.put(row, false)).and_then(|()| self.table.flush());
            match written {
                Ok(()) => {
                    self.has_moved = true;
                    self.written(rows.values(), report);
                }
                Err(error) => self.not_written(error),
            }
        }
        self.sync_files();
    }

    /// A pass over all desks: writes the sidecars that are due, and what else is to be on disk before their rows. Their folders are not
    /// synced.
    fn written_sidecars(&mut self, around: &mut dyn Surroundings, report: &mut Reports<'_>) -> BTreeMap<RecordingId, Recording> {
        let mut rows = BTreeMap::new();
        for (id, desk) in &mut self.desks {
            let mut is_new = false;
            let row = match &mut desk.stage {
                Stage::Vanished => continue,
                Stage::Beginning { failed: None, .. } => {
                    if self.writer_ended {
                        self.trouble.get_or_insert_with(|| "a recording has no file at the end".to_owned());
                    }
                    continue;
                }
                Stage::Beginning { failed: Some(Unlaid { reason, told }), .. } => {
                    if !std::mem::replace(told, true) {
                        report(RecorderReport::Failed {
                            conversation: desk.about.conversation,
                            recording: *id,
                            reason: reason.clone(),
                        });
                    }
                    self.trouble.get_or_insert_with(|| reason.clone());
                    continue;
                }
                Stage::Running | Stage::Unindexed { .. } if !desk.stale => continue,
                Stage::Running | Stage::Unindexed { .. } => Recording::begun(&desk.about),
                Stage::Laid { .. } => {
                    is_new = true;
                    Recording::begun(&desk.about)
                }
                // It goes, as soon as the disk lets it.
                Stage::Sealing { .. } | Stage::Closing { .. } if desk.about.refused => continue,
                Stage::Sealing { end, ordered } => {
                    if !*ordered {
                        let (frames, rate) = (end.frames, desk.about.sample_rate);
                        let (audio, drawing) = (self.folder.audio(*id), self.folder.drawing(*id));
                        let is_in_doubt = !desk.doubt.is_zero();
                        let unsealed = Unsealed { audio, drawing, frames, rate, is_torn: false, is_in_doubt };
                        *ordered = around.seal(ToSeal { recording: *id, unsealed });
                    }
                    continue;
                }
                Stage::Closing { end, sealed } => {
                    Recording { sound: desk.sound.as_deref().cloned(), ..closed(&desk.about, end.frames, end.lost_ms, sealed) }
                }
            };
            if rows.len() >= BATCH {
                self.has_more = true;
                continue;
            }
            if desk.beside.as_ref() == Some(&row) {
                // Only the index was in trouble.
                rows.insert(*id, row);
                continue;
            }
            let written = sidecar::write(&*self.disk, &self.folder, &row)
                .and_then(|()| if is_new { sync_audio(&*self.disk, &self.folder, *id, &mut desk.doubt) } else { Ok(()) });
            match written {
                Ok(()) => drop(rows.insert(*id, row)),
                Err(error) => drop(self.trouble.get_or_insert_with(|| error.to_string())),
            }
        }
        rows
    }

    /// One sync for each folder, of which there is more than one only around midnight. What lies in one that can't be synced waits.
    fn sync_days(&mut self, rows: &mut BTreeMap<RecordingId, Recording>) {
        let days: BTreeSet<PathBuf> = rows.keys().map(|id| self.folder.day(*id)).collect();
        for day in days {
            if let Err(error) = sync_day(&*self.disk, &self.folder, day.clone(), &mut self.synced_day) {
                self.trouble.get_or_insert_with(|| error.to_string());
                rows.retain(|id, _| self.folder.day(*id) != day);
            }
        }
    }

    /// The recordings that are being written, last, since somebody waits for the others.
    fn sync_files(&mut self) {
        for _ in 0..BATCH {
            let Some((recording, file)) = self.unsynced.pop_first() else { return };
            let Some(file) = file.upgrade() else { continue };
            match file.sync() {
                Ok(()) => self.has_moved = true,
                Err(error) => {
                    tracing::error!(%recording, %error, "a recording can't be synced");
                    if let Some(desk) = self.desks.get_mut(&recording) {
                        desk.doubt += SYNC_EVERY;
                    }
                    self.trouble.get_or_insert_with(|| error.to_string());
                }
            }
        }
        self.has_more |= !self.unsynced.is_empty();
    }

    /// All of these rows are durable.
    fn written<'a>(&mut self, rows: impl Iterator<Item = &'a Recording>, report: &mut Reports<'_>) {
        for row in rows {
            let Some(desk) = self.desks.get_mut(&row.id) else { continue };
            (desk.stale, desk.beside) = (false, None);
            let conversation = desk.about.conversation;
            match (row.finished(), &desk.stage) {
                (Some(finished), _) => {
                    let gap_ms = u64::try_from(desk.doubt.as_millis()).unwrap_or(u64::MAX).min(finished.duration_ms);
                    if gap_ms > 0 {
                        report(RecorderReport::Gap { conversation, recording: row.id, reason: "disk".to_owned(), gap_ms });
                    }
                    self.desks.remove(&row.id);
                    // Before its end, which is what a start after a kill asks for.
                    if let Some(measured) = row.measured() {
                        report(RecorderReport::Measured { conversation, measured: Box::new(measured) });
                    }
                    report(RecorderReport::Finished { conversation, finished });
                }
                (None, Stage::Unindexed { end }) => {
                    desk.stage = match *end {
                        Some(end) => Stage::Sealing { end, ordered: false },
                        None => Stage::Running,
                    };
                    report(RecorderReport::Started { conversation, recording: row.id });
                }
                (
                    None,
                    Stage::Beginning { .. }
                    | Stage::Laid { .. }
                    | Stage::Running
                    | Stage::Sealing { .. }
                    | Stage::Closing { .. }
                    | Stage::Vanished,
                ) => {}
            }
        }
    }

    /// Each can be repeated.
    fn messages_wished(&mut self, report: &mut Reports<'_>) {
        if self.messages.is_empty() {
            return;
        }
        let wished = std::mem::take(&mut self.messages);
        let (mut undone, mut done_now) = (BTreeMap::new(), BTreeMap::new());
        for (id, wish) in wished {
            let done = match wish {
                Wish::Heard => self.heard(id),
                Wish::Keep => self.keep(id),
                Wish::Discard { told: true } => self.delete(id),
                Wish::Discard { told: false } | Wish::Refuse { .. } => self.take_out(id),
            };
            match done {
                Ok(()) => drop(done_now.insert(id, wish)),
                Err(error) => {
                    self.not_changed(id, &error);
                    undone.insert(id, wish);
                }
            }
        }
        match self.table.flush() {
            Ok(()) => {
                for (recording, wish) in done_now {
                    let files_go = matches!(wish, Wish::Discard { told: false } | Wish::Refuse { .. });
                    if files_go && let Err(error) = remove_files(&*self.disk, &self.folder, recording) {
                        self.not_changed(recording, &error.into());
                        undone.insert(recording, wish);
                        continue;
                    }
                    report(match wish {
                        Wish::Heard | Wish::Keep => RecorderReport::Kept { recording, gone: false },
                        Wish::Discard { .. } => RecorderReport::Kept { recording, gone: true },
                        Wish::Refuse { conversation } => RecorderReport::Discarded { conversation, recording },
                    });
                }
            }
            Err(error) => {
                self.not_written(error);
                undone.extend(done_now);
            }
        }
        self.messages = undone;
    }

    /// A row that can't be read is written anew from what lies beside the file.
    fn known(&self, id: RecordingId) -> Result<Option<Recording>, Unkept> {
        match self.table.row(id) {
            Err(DatabaseError::Row { .. }) => Ok(sidecar::read(&self.folder, id)?),
            row => Ok(row?),
        }
    }

    fn heard(&self, id: RecordingId) -> Result<(), Unkept> {
        let Some(row) = self.known(id)?.filter(|row| !row.heard) else { return Ok(()) };
        let row = describe(&*self.disk, &self.folder, &Recording { heard: true, ..row })?;
        let announced = !self.table.unannounced()?.contains(&id);
        Ok(self.table.hear(&row, announced)?)
    }

    fn keep(&self, id: RecordingId) -> Result<(), Unkept> {
        let Some(row) = self.known(id)?.filter(|row| !row.kept) else { return Ok(()) };
        let row = describe(&*self.disk, &self.folder, &Recording { kept: true, ..row })?;
        let announced = !self.table.unannounced()?.contains(&id);
        Ok(self.table.put(&row, announced)?)
    }

    fn delete(&self, id: RecordingId) -> Result<(), Unkept> {
        remove_files(&*self.disk, &self.folder, id)?;
        Ok(self.table.delete(id)?)
    }

    /// The row of what nobody wants; the files go when that is durable. Its sidecar says so before, for a kill in between leaves files without a
    /// row, which the repair takes in otherwise.
    fn take_out(&self, id: RecordingId) -> Result<(), Unkept> {
        let known = match self.known(id)? {
            None => sidecar::read(&self.folder, id)?,
            known => known,
        };
        if let Some(row) = known.filter(|row| !row.refused) {
            let refused = Recording { refused: true, ..row };
            match describe(&*self.disk, &self.folder, &refused) {
                // Somebody removed the folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Full, or over a quota, or sick: the sound goes in any case.
                Err(_) => {
                    remove(&*self.disk, &self.folder.audio(id))?;
                    describe(&*self.disk, &self.folder, &refused)?;
                }
                Ok(_) => {}
            }
        }
        Ok(self.table.remove(id)?)
    }

    /// What nobody wants, and is complete, goes as if that had been said now.
    fn take_refused(&mut self) {
        let is_closed = |stage: &Stage| matches!(stage, Stage::Sealing { ordered: false, .. } | Stage::Closing { .. });
        let is_due = |desk: &Desk| desk.about.refused && is_closed(&desk.stage);
        let due: Vec<RecordingId> = self.desks.iter().filter(|(_, desk)| is_due(desk)).map(|(id, _)| *id).collect();
        for recording in due {
            if let Some(desk) = self.desks.remove(&recording) {
                self.messages.insert(recording, desk.last_wish());
            }
        }
    }

    fn tell_vanished(&mut self, report: &mut Reports<'_>) {
        let vanished = |(id, desk): (&RecordingId, &Desk)| matches!(desk.stage, Stage::Vanished).then_some(*id);
        let ids: Vec<RecordingId> = self.desks.iter().filter_map(vanished).collect();
        for recording in ids {
            if let Some(desk) = self.desks.remove(&recording) {
                if desk.about.refused {
                    self.messages.insert(recording, desk.last_wish());
                    continue;
                }
                let reason = "the file was removed while it was being recorded".to_owned();
                report(RecorderReport::Failed { conversation: desk.about.conversation, recording, reason });
            }
        }
    }

    fn not_changed(&mut self, recording: RecordingId, error: &Unkept) {
        tracing::error!(%recording, %error, "what is wished of a recording can't be done");
        self.trouble.get_or_insert_with(|| error.to_string());
    }

    fn not_written(&mut self, error: DatabaseError) {
        tracing::error!(%error, "recordings can't be indexed");
        self.trouble.get_or_insert_with(|| error.to_string());
    }
}

/// What the layer made. A file that somebody took away meanwhile is found missing at its end.
fn sync_audio(disk: &dyn Disk, folder: &Folder, id: RecordingId, doubt: &mut Duration) -> io::Result<()> {
    let file = match disk.open(&folder.audio(id)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !doubt.is_zero() {
        rewrite_header(&*file)?;
    }
    file.sync().inspect_err(|_| *doubt = SYNC_EVERY.max(*doubt))
}

/// The names in a day's folder; and, where it is not the one that was synced last, the names of it and of all above it.
pub(super) fn sync_day(disk: &dyn Disk, folder: &Folder, day: PathBuf, synced_day: &mut PathBuf) -> io::Result<()> {
    disk.sync_folder(&day)?;
    if day != *synced_day {
        for parent in day.ancestors().skip(1).take_while(|p| p.starts_with(folder.root())) {
            disk.sync_folder(parent)?;
        }
        *synced_day = day;
    }
    Ok(())
}

/// All that lies on disk of a recording; can be repeated.
pub(super) fn remove_files(disk: &dyn Disk, folder: &Folder, id: RecordingId) -> io::Result<()> {
    for path in [folder.audio(id), folder.drawing(id), folder.sidecar(id)] {
        remove(disk, &path)?;
    }
    match disk.sync_folder(&folder.day(id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn describe(disk: &dyn Disk, folder: &Folder, row: &Recording) -> io::Result<Recording> {
    sidecar::write(disk, folder, row)?;
    disk.sync_folder(&folder.day(row.id))?;
    Ok(row.clone())
}

pub(super) fn closed(about: &About, frames: u64, lost_ms: [u64; 2], sealed: &Sealed) -> Recording {
    Recording {
        duration_ms: frames_ms(frames, about.sample_rate),
        bytes: sealed.bytes,
        sha256: Some(sealed.sha256.clone()),
        state: State::Finished,
        lost_ms,
        ..Recording::begun(about)
    }
}

#[cfg(test)]
mod tests;
