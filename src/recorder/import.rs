//! A recording that was made elsewhere: written whole, as if it had been made here.

use std::io;
use std::path::PathBuf;

use super::clerk::{closed, describe, sync_day};
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
/// leaves half done the repair at the next start completes.
pub fn import(disk: &dyn Disk, folder: &Folder, table: &Recordings, about: &About, samples: &[i16]) -> Result<u64, ImportError> {
    let mut wav = lay(disk, folder, about)?;
    let both: Vec<i16> = samples.iter().flat_map(|said| [*said, 0]).collect();
    wav.append(&both)?;
    wav.checkpoint()?;
    let frames = wav.frames().min(MOST_FRAMES);
    wav.save_drawing(true);
    drop(wav);
    let (audio, drawing, rate) = (folder.audio(about.recording), folder.drawing(about.recording), about.sample_rate);
    let sealed = seal(disk, &Unsealed { audio, drawing, frames, rate, is_torn: false, is_in_doubt: false }).map_err(io::Error::from)?;
    let row = describe(disk, folder, &closed(about, frames, [0, 0], &sealed))?;
    sync_day(disk, folder, folder.day(about.recording), &mut PathBuf::new())?;
    table.put(&row, true)?;
    table.flush()?;
    Ok(frames_ms(frames, rate))
}
