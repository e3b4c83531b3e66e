//! Makes a recording's files at once, so that what is spoken has where to go, and syncs none of them.
//!
//! What reached the page cache survives a kill of the process, so a recording is safe from one as soon as its files have names. Making
//! them stands in a thread of its own, because whoever syncs (the clerk) may be seconds behind under load, and what has no file by then
//! would be lost with the process. Sidecar first: a WAV is never there without what says whose it is.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::sidecar;
use super::wav::WavFile;
use crate::ids::RecordingId;
use crate::store::disk::Disk;
use crate::store::recordings::{Folder, Recording};
use crate::switch::output::About;

/// To the writer. An error is told once for each recording, however often it is tried.
pub struct Laid {
    pub recording: RecordingId,
    pub result: io::Result<WavFile>,
}

pub struct Layer {
    disk: Arc<dyn Disk>,
    folder: Folder,
    /// Without files; no more than there are recordings.
    waiting: BTreeMap<RecordingId, Waiting>,
}

struct Waiting {
    about: About,
    told: bool,
}

impl Layer {
    pub fn new(disk: Arc<dyn Disk>, folder: Folder) -> Self {
        Layer { disk, folder, waiting: BTreeMap::new() }
    }

    pub fn take(&mut self, about: About) {
        self.waiting.entry(about.recording).or_insert(Waiting { about, told: false });
    }

    pub fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Makes the files of what was asked for since; and, `again`, of what failed. What fails stays.
    pub fn work(&mut self, again: bool, laid: &mut dyn FnMut(Laid)) {
        let (disk, folder) = (&*self.disk, &self.folder);
        self.waiting.retain(|recording, waiting| {
            if waiting.told && !again {
                return true;
            }
            let result = lay(disk, folder, &waiting.about);
            let failed = result.is_err();
            if !failed || !std::mem::replace(&mut waiting.told, true) {
                laid(Laid { recording: *recording, result });
            }
            failed
        });
    }
}

/// Sidecar, WAV and waveform. Can be repeated: nothing was written to the file before this has succeeded.
pub fn lay(disk: &dyn Disk, folder: &Folder, about: &About) -> io::Result<WavFile> {
    disk.create_folders(&folder.day(about.recording))?;
    sidecar::lay(disk, folder, &Recording::begun(about))?;
    let mut wav = WavFile::create(disk, &folder.audio(about.recording), about.sample_rate)?;
    // Nobody's call waits for a waveform, and what is not there is drawn at the end.
    if let Err(error) = disk.create(&folder.drawing(about.recording)).and_then(|file| wav.draw_into(file)) {
        tracing::warn!(recording = %about.recording, %error, "a waveform can't be begun");
    }
    Ok(wav)
}
