//! A recording that was made elsewhere: written whole, as if it had been made here.

use std::io;
use std::path::PathBuf;

use super::clerk::{closed, describe, remove_files, sync_day};
use super::layer::lay;
use super::wav::{MOST_FRAMES, Unsealed, frames_ms, seal};
use crate::store::database::DatabaseError;
use crate::store::disk::Disk;
use crate::store::recordings::{Folder, Recordings};
use crate::switch::output::About;

/// Why it is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Index(#[from] DatabaseError),
}

/// Writes samples of the rate that `about` names as what was said; nothing was heard. Durable when this returns; its length in ms is what comes back. What a kill
/// leaves half done the repair at the next start completes; of what fails nothing stays.
pub fn import(disk: &dyn Disk, folder: &Folder, table: &Recordings, about: &About, samples: &[i16]) -> Result<u64, ImportError> {
    let written = write(disk, folder, table, about, samples);
    if written.is_err() {
        // The row first, which may be there: one without files is found by nobody.
        let undone = table.remove(about.recording).and_then(|()| table.flush()).map_err(ImportError::from);
        if let Err(error) = undone.and_then(|()| Ok(remove_files(disk, folder, about.recording)?)) {
            tracing::error!(recording = %about.recording, %error, "what is left of an import can't be taken away before the next start");
        }
    }
    written
}

fn write(disk: &dyn Disk, folder: &Folder, table: &Recordings, about: &About, samples: &[i16]) -> Result<u64, ImportError> {
    let mut wav = lay(disk, folder, about)?;
    let both: Vec<i16> = samples.iter().flat_map(|said| [*said, 0]).collect();
    wav.append(&both)?;
    wav.checkpoint()?;
    let frames = wav.frames().min(MOST_FRAMES);
    wav.save_drawing(true);
    drop(wav);
    let (audio, drawing, rate) = (folder.audio(about.recording), folder.drawing(about.recording), about.sample_rate);
    let sealed =
        seal(disk, &Unsealed { audio, drawing, frames, rate, is_torn: false, is_in_doubt: false }).map_err(io::Error::from)?;
    let row = describe(disk, folder, &closed(about, frames, [0, 0], &sealed))?;
    sync_day(disk, folder, folder.day(about.recording), &mut PathBuf::new())?;
    table.put(&row, true)?;
    table.flush()?;
    Ok(frames_ms(frames, rate))
}

#[cfg(test)]
mod tests {
    use super::super::rig::{about, open_store, recording};
    use super::*;
    use crate::store::disk::faulty::FaultyDisk;

    #[test]
    fn of_an_import_that_fails_nothing_stays() {
        let root = tempfile::TempDir::new().unwrap();
        let disk = FaultyDisk::with_free(1 << 30);
        let store = open_store(root.path(), &disk);
        let (folder, table, id) = (&store.folder, &store.recordings, recording(1));
        // From no room for the first file to none for what comes last.
        for free in (0..40_000).step_by(500) {
            disk.set_free(free);
            let imported = import(&disk, folder, table, &about(1), &[1; 8_000]);
            let lies = [folder.audio(id), folder.drawing(id), folder.sidecar(id)].map(|path| path.exists());
            match imported {
                Ok(ms) => {
                    assert_eq!((ms, lies), (1_000, [true; 3]));
                    return store.close();
                }
                Err(_) => assert_eq!((lies, table.row(id).unwrap()), ([false; 3], None), "{free} bytes"),
            }
        }
        panic!("it never succeeds");
    }
}
