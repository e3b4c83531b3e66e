//! A file of nothing, there to be given back to a full disk.
//!
//! Its bytes are really written (zeros): a hole would reserve nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::disk::Disk;

const NAME: &str = "reserve";

/// Bytes written at once while it is made.
const STEP: usize = 1 << 20;

pub struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// Not on disk before [`Reserve::fill`].
    pub fn new(disk: Arc<dyn Disk>, folder: &Path, bytes: u64) -> Self {
        Reserve { disk, path: folder.join(NAME), bytes, held: false }
    }

    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Makes it whole; what a failed attempt wrote is given back at once.
    pub fn fill(&mut self) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        if self.disk.open(&self.path).and_then(|f| f.length()).is_ok_and(|len| len == self.bytes) {
            self.held = true;
            return Ok(());
        }
        let written = self.write();
        if written.is_err() {
            let _ = self.disk.remove(&self.path);
        }
        self.held = written.is_ok();
        written
    }

    /// Gives its space back. `false` when there was none.
    pub fn spend(&mut self) -> bool {
        let spent = std::mem::take(&mut self.held) && self.bytes > 0;
        spent && self.disk.remove(&self.path).is_ok()
    }

    fn write(&self) -> io::Result<()> {
        let file = self.disk.create(&self.path)?;
        let zeros = vec![0; STEP.min(usize::try_from(self.bytes).unwrap_or(STEP))];
        let mut at = 0;
        while at < self.bytes {
            let step = (self.bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        file.sync()
    }
}
