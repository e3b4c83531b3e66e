//! Where the core's journal goes: `recordings/journal/<start>.journal`, one file a run, a few of them kept.
//!
//! The bytes are `switch::journal`'s; here they only reach the disk. A journal is for finding faults: it may end torn after a kill, it
//! stops at its bound, and nothing waits for it to be durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::clock::Wall;

const EXTENSION: &str = "journal";

/// Journals kept, this run's included.
pub const KEPT: usize = 8;

/// A journal ends here: a day or two of 100 agents. What comes after is not written, and the log says so once.
pub const MOST_BYTES: u64 = 1 << 30;

const BUFFER: usize = 256 << 10;

pub struct JournalFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    most: u64,
    stopped: bool,
}

impl JournalFile {
    /// Begins this run's journal and removes the oldest beyond [`KEPT`].
    pub fn create(folder: &Path, started: Wall) -> io::Result<JournalFile> {
        Self::with_bounds(folder, started, KEPT, MOST_BYTES)
    }

    /// As [`JournalFile::create`], with other bounds.
    pub fn with_bounds(folder: &Path, started: Wall, kept: usize, most: u64) -> io::Result<JournalFile> {
        fs::create_dir_all(folder)?;
        let mut old = list(folder)?;
        while old.len() >= kept.max(1) {
            fs::remove_file(old.remove(0))?;
        }
        // `2026-11-22T09-00-00.123Z`: sorted by name is sorted by time.
        let path = folder.join(format!("{}.{EXTENSION}", started.to_string().replace(':', "-")));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        Ok(JournalFile { path, file: BufWriter::with_capacity(BUFFER, file), bytes: 0, most, stopped: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a whole record, or nothing of it. `false` once the journal has ended, at its bound or at a disk that takes nothing.
    pub fn append(&mut self, record: &[u8]) -> bool {
        if self.stopped {
            return false;
        }
        let bytes = self.bytes + record.len() as u64;
        let written = if bytes > self.most { Err(io::ErrorKind::FileTooLarge.into()) } else { self.file.write_all(record) };
        match written {
            Ok(()) => self.bytes = bytes,
            Err(error) => {
                // After a failed write the end is unknown: another record behind it could not be read.
                tracing::warn!(path = %self.path.display(), %error, "the journal ends here");
                self.stopped = true;
            }
        }
        !self.stopped
    }

    /// Hands what is buffered to the operating system: it survives a kill of the process from here on.
    pub fn flush(&mut self) {
        if !self.stopped
            && let Err(error) = self.file.flush()
        {
            tracing::warn!(path = %self.path.display(), %error, "the journal ends here");
            self.stopped = true;
        }
    }
}

/// Journals in a folder, oldest first.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == EXTENSION) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_journals_go_and_records_are_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        for second in 0..5 {
            let mut journal = JournalFile::with_bounds(folder.path(), Wall::from_micros(second * 1_000_000), 3, 10).unwrap();
            assert!(journal.append(b"12345"));
            assert!(journal.append(b"6789"));
            assert!(!journal.append(b"too long"));
            assert!(!journal.append(b"1"), "nothing follows what is missing");
            journal.flush();
        }
        let kept = list(folder.path()).unwrap();
        assert_eq!(kept.len(), 3);
        assert!(kept[2].ends_with("1970-01-01T00-00-04.000Z.journal"));
        assert_eq!(std::fs::read(&kept[0]).unwrap(), b"123456789");
    }
}
