//! The row of a recording beside its WAV: what the index is rebuilt from.

use std::io;

use crate::ids::RecordingId;
use crate::store::disk::Disk;
use crate::store::recordings::{Folder, Recording};

/// Writes it as a whole. Its folder is not synced.
pub fn write(disk: &dyn Disk, folder: &Folder, row: &Recording) -> io::Result<()> {
    disk.replace(&folder.sidecar(row.id), &json(row)?)
}

/// The same without any sync.
pub fn lay(disk: &dyn Disk, folder: &Folder, row: &Recording) -> io::Result<()> {
    disk.place(&folder.sidecar(row.id), &json(row)?)
}

fn json(row: &Recording) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(row).map_err(io::Error::other)?;
    json.push(b'\n');
    Ok(json)
}

/// `Ok(None)`: there is none, or it is not whole.
pub fn read(folder: &Folder, id: RecordingId) -> io::Result<Option<Recording>> {
    let path = folder.sidecar(id);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    match serde_json::from_slice::<Recording>(&bytes) {
        Ok(row) if row.id == id => Ok(Some(row)),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a sidecar can't be read");
            Ok(None)
        }
    }
}
