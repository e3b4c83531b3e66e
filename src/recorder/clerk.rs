//! The durable side of the recorder: makes files, sidecars and rows, syncs them, and says so only then.
//!
//! The clerk keeps a desk for each recording with what is wanted of it, and works until disk and index agree. What fails stays on the
//! desk and is tried again; what is asked meanwhile replaces what was asked before. All rows of a round share one flush of the index.
//!
//! | step | order on disk |
//! |---|---|
//! | begin | sidecar, WAV (synced), folders (synced), row (flushed), then `Started` |
//! | describe | sidecar, folder, row |
//! | finish | length and header, sync, hash, what the waveform lacks; sidecar, folder, row (flushed), then `Finished` |
//! | finish of a refused one | WAV, waveform, sidecar go, folder, row (flushed), then `Discarded` |
//! | heard, keep, discard | sidecar; or WAV, sidecar, folder, row; all rows flushed, then `Kept` |
//!
//! A kill between any two leaves what the repair at start completes. The hash is taken by reading the file back at its end, because its
//! first bytes, the header, are the last to be known; that is some 0.3 s for an hour, from the page cache, in a thread of its own.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::wav::{Sealed, Unsealed, WavFile, frames_ms};
use super::{Reports, sidecar};
use crate::ids::{ConversationId, RecordingId};
use crate::store::database::DatabaseError;
use crate::store::disk::{Disk, DiskFile};
use crate::store::recordings::{Folder, Recording, Recordings, State};
use crate::switch::input::RecorderReport;
use crate::switch::output::About;

/// To the clerk.
pub enum Job {
    Begin(About),
    Describe(About),
    /// The message was heard.
    Heard(RecordingId),
    /// The greeting counts.
    Keep(RecordingId),
    /// The message or greeting goes.
    Discard {
        recording: RecordingId,
        told: bool,
    },
    /// The customer does not want it, whether it is closed yet or not.
    Refuse {
        conversation: ConversationId,
        recording: RecordingId,
    },
    /// Make what was written survive a power cut.
    Sync(Arc<dyn DiskFile>),
    /// No more samples come; the file is to have this length.
    Finish {
        recording: RecordingId,
        frames: u64,
        lost_ms: [u64; 2],
    },
    /// From the thread that hashes.
    Hashed {
        recording: RecordingId,
        result: io::Result<Sealed>,
    },
    /// Nothing more comes from the writer.
    WriterEnded,
}

/// Why a message stays as it is for now.
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

/// To the writer.
pub struct Opened {
    pub recording: RecordingId,
    pub wav: WavFile,
}

pub struct Clerk {
    disk: Arc<dyn Disk>,
    folder: Folder,
    table: Recordings,
    desks: BTreeMap<RecordingId, Desk>,
    /// What is still to be done with messages that are finished; no more than there are messages.
    messages: BTreeMap<RecordingId, Wish>,
    /// The last day's folder that was synced with all above it.
    synced_day: PathBuf,
    /// What failed in the last round.
    trouble: Option<String>,
    /// What failed since, outside of a round.
    failed: Option<String>,
    writer_ended: bool,
}

/// What the owner of a mailbox has done with a message, or a greeting.
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
}

enum Stage {
    /// Nothing is durable yet. `told`: that it can't be written was reported.
    Beginning {
        end: Option<End>,
        told: bool,
    },
    /// File and sidecar are there, the row is not yet.
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

#[derive(Clone, Copy)]
struct End {
    frames: u64,
    lost_ms: [u64; 2],
}

/// What a round asks of its surroundings.
pub trait Surroundings {
    fn opened(&mut self, opened: Opened);
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

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub fn take(&mut self, job: Job) {
        match job {
            Job::Begin(about) => {
                let stage = Stage::Beginning { end: None, told: false };
                self.desks.entry(about.recording).or_insert(Desk { about, stage, stale: true });
            }
            Job::Describe(about) => {
                if let Some(desk) = self.desks.get_mut(&about.recording)
                    && desk.about != about
                {
                    desk.about = about;
                    desk.stale = true;
                }
            }
            Job::Heard(recording) => drop(self.messages.entry(recording).or_insert(Wish::Heard)),
            Job::Keep(recording) => drop(self.messages.entry(recording).or_insert(Wish::Keep)),
            Job::Discard { recording, told } => drop(self.messages.insert(recording, Wish::Discard { told })),
            Job::Refuse { conversation, recording } => match self.desks.get_mut(&recording) {
                Some(desk) => {
                    desk.about.refused = true;
                    desk.stale = true;
                }
                None => drop(self.messages.insert(recording, Wish::Refuse { conversation })),
            },
            Job::Sync(file) => {
                if let Err(error) = file.sync() {
                    tracing::error!(%error, "a recording can't be synced");
                    self.failed = Some(error.to_string());
                }
            }
            Job::Finish { recording, frames, lost_ms } => {
                if let Some(desk) = self.desks.get_mut(&recording) {
                    let given = End { frames, lost_ms };
                    match &mut desk.stage {
                        Stage::Beginning { end, .. } | Stage::Unindexed { end } => *end = Some(given),
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
                    Err(error) if error.kind() == io::ErrorKind::NotFound => desk.stage = Stage::Vanished,
                    Err(error) => {
                        *ordered = false;
                        tracing::error!(%recording, %error, "a recording can't be closed");
                        self.failed = Some(error.to_string());
                    }
                }
            }
            Job::WriterEnded => self.writer_ended = true,
        }
    }

    /// One round over all desks with something to do. What fails stays, to be tried in a later round.
    pub fn work(&mut self, around: &mut dyn Surroundings, report: &mut Reports<'_>) {
        self.trouble = self.failed.take();
        self.tell_vanished(report);
        self.messages_wished(report);
        self.discard_refused(report);
        let mut rows = Vec::new();
        for (id, desk) in &mut self.desks {
            let done = match &mut desk.stage {
                Stage::Beginning { told, end } => match begin(&*self.disk, &self.folder, &desk.about, &mut self.synced_day) {
                    Ok(wav) => {
                        // Audio does not wait for an index in trouble.
                        around.opened(Opened { recording: *id, wav });
                        desk.stage = Stage::Unindexed { end: *end };
                        rows.push(Recording::begun(&desk.about));
                        Ok(())
                    }
                    Err(error) => {
                        if !std::mem::replace(told, true) {
                            report(RecorderReport::Failed {
                                conversation: desk.about.conversation,
                                recording: *id,
                                reason: error.to_string(),
                            });
                        }
                        Err(error)
                    }
                },
                Stage::Running | Stage::Unindexed { .. } if desk.stale => {
                    describe(&*self.disk, &self.folder, &Recording::begun(&desk.about)).map(|row| rows.push(row))
                }
                Stage::Unindexed { .. } => {
                    rows.push(Recording::begun(&desk.about));
                    Ok(())
                }
                Stage::Running | Stage::Vanished => Ok(()),
                // It goes, as soon as the disk lets it.
                Stage::Sealing { .. } | Stage::Closing { .. } if desk.about.refused => Ok(()),
                Stage::Sealing { end, ordered } => {
                    if !*ordered {
                        let (frames, rate) = (end.frames, desk.about.sample_rate);
                        let (audio, drawing) = (self.folder.audio(*id), self.folder.drawing(*id));
                        let unsealed = Unsealed { audio, drawing, frames, rate, is_torn: false };
                        *ordered = around.seal(ToSeal { recording: *id, unsealed });
                    }
                    Ok(())
                }
                Stage::Closing { end, sealed } => {
                    let row = closed(&desk.about, end.frames, end.lost_ms, sealed);
                    describe(&*self.disk, &self.folder, &row).map(|row| rows.push(row))
                }
            };
            if let Err(error) = done {
                self.trouble.get_or_insert_with(|| error.to_string());
            }
        }
        if rows.is_empty() {
            return;
        }
        let written = rows.iter().try_for_each(|row| self.table.put(row, false)).and_then(|()| self.table.flush());
        match written {
            Ok(()) => self.written(&rows, report),
            Err(error) => self.not_written(error),
        }
    }

    /// All of these rows are durable.
    fn written(&mut self, rows: &[Recording], report: &mut Reports<'_>) {
        for row in rows {
            let Some(desk) = self.desks.get_mut(&row.id) else { continue };
            desk.stale = false;
            let conversation = desk.about.conversation;
            match (row.finished(), &desk.stage) {
                (Some(finished), _) => {
                    self.desks.remove(&row.id);
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
                    Stage::Beginning { .. } | Stage::Running | Stage::Sealing { .. } | Stage::Closing { .. } | Stage::Vanished,
                ) => {}
            }
        }
    }

    /// Each can be repeated: a row goes last, so that what is left of a message can still be discarded.
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
                Wish::Discard { told } => self.discard(id, told),
                Wish::Refuse { .. } => self.discard(id, false),
            };
            match done {
                Ok(()) => drop(done_now.insert(id, wish)),
                Err(error) => {
                    tracing::error!(recording = %id, %error, "a message can't be changed");
                    self.trouble.get_or_insert_with(|| error.to_string());
                    undone.insert(id, wish);
                }
            }
        }
        match self.table.flush() {
            Ok(()) => {
                for (recording, wish) in done_now {
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

    fn heard(&self, id: RecordingId) -> Result<(), Unkept> {
        let Some(row) = self.table.row(id)?.filter(|row| !row.heard) else { return Ok(()) };
        let row = describe(&*self.disk, &self.folder, &Recording { heard: true, ..row })?;
        let announced = !self.table.unannounced()?.contains(&id);
        Ok(self.table.hear(&row, announced)?)
    }

    fn keep(&self, id: RecordingId) -> Result<(), Unkept> {
        let Some(row) = self.table.row(id)?.filter(|row| !row.kept) else { return Ok(()) };
        let row = describe(&*self.disk, &self.folder, &Recording { kept: true, ..row })?;
        let announced = !self.table.unannounced()?.contains(&id);
        Ok(self.table.put(&row, announced)?)
    }

    fn discard(&self, id: RecordingId, told: bool) -> Result<(), Unkept> {
        remove_files(&*self.disk, &self.folder, id)?;
        Ok(if told { self.table.delete(id) } else { self.table.remove(id) }?)
    }

    /// What the customer did not want, and is complete.
    fn discard_refused(&mut self, report: &mut Reports<'_>) {
        let is_closed = |stage: &Stage| matches!(stage, Stage::Sealing { ordered: false, .. } | Stage::Closing { .. });
        let is_due = |desk: &Desk| desk.about.refused && is_closed(&desk.stage);
        let due: Vec<RecordingId> = self.desks.iter().filter(|(_, desk)| is_due(desk)).map(|(id, _)| *id).collect();
        for recording in due {
            let gone = self.discard(recording, false).and_then(|()| Ok(self.table.flush()?));
            match gone {
                Ok(()) => {
                    if let Some(desk) = self.desks.remove(&recording) {
                        report(RecorderReport::Discarded { conversation: desk.about.conversation, recording });
                    }
                }
                Err(error) => {
                    tracing::error!(%recording, %error, "a refused recording can't be taken away");
                    self.trouble.get_or_insert_with(|| error.to_string());
                }
            }
        }
    }

    fn tell_vanished(&mut self, report: &mut Reports<'_>) {
        let vanished = |(id, desk): (&RecordingId, &Desk)| matches!(desk.stage, Stage::Vanished).then_some(*id);
        let ids: Vec<RecordingId> = self.desks.iter().filter_map(vanished).collect();
        for recording in ids {
            if let Some(desk) = self.desks.remove(&recording) {
                let reason = "the file was removed while it was being recorded".to_owned();
                report(RecorderReport::Failed { conversation: desk.about.conversation, recording, reason });
            }
        }
    }

    fn not_written(&mut self, error: DatabaseError) {
        tracing::error!(%error, "recordings can't be indexed");
        self.trouble.get_or_insert_with(|| error.to_string());
    }
}

/// Sidecar and WAV, synced with their folders. Can be repeated: nothing was written to the file before this has succeeded.
pub(super) fn begin(disk: &dyn Disk, folder: &Folder, about: &About, synced_day: &mut PathBuf) -> io::Result<WavFile> {
    let day = folder.day(about.recording);
    disk.create_folders(&day)?;
    sidecar::write(disk, folder, &Recording::begun(about))?;
    let mut wav = WavFile::create(disk, &folder.audio(about.recording), about.sample_rate)?;
    wav.file().sync()?;
    // Nobody's call waits for a waveform, and what is not there is drawn at the end.
    if let Err(error) = disk.create(&folder.drawing(about.recording)).and_then(|file| wav.draw_into(file)) {
        tracing::warn!(recording = %about.recording, %error, "a waveform can't be begun");
    }
    disk.sync_folder(&day)?;
    if day != *synced_day {
        for parent in day.ancestors().skip(1).take_while(|p| p.starts_with(folder.root())) {
            disk.sync_folder(parent)?;
        }
        *synced_day = day;
    }
    Ok(wav)
}

/// All that lies on disk of a recording; can be repeated.
pub(super) fn remove_files(disk: &dyn Disk, folder: &Folder, id: RecordingId) -> io::Result<()> {
    for path in [folder.audio(id), folder.drawing(id), folder.sidecar(id)] {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    match disk.sync_folder(&folder.day(id)) {
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
