//! Where the core's journal goes: `recordings/journal/<start>.journal`, one file a run, a few of them kept.
//!
//! The bytes are `switch::journal`'s; here they only reach the disk. A journal is for finding faults: it may end torn after a kill, it
//! stops at its bound, and nothing waits for it: a thread writes what the core's has put together.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::clock::Wall;

const EXTENSION: &str = "journal";

/// Journals kept, this run's included.
pub const KEPT: usize = 8;

/// A journal ends here, whatever it says of itself. What comes after is not written, and the log says so once.
pub const MOST_BYTES: u64 = 1 << 30;

/// Flushes that wait for the disk.
const FLUSHES: usize = 16;

/// Bytes that wait beyond them before the journal is given up.
const MOST_HELD: usize = 16 << 20;

pub struct JournalFile {
    path: PathBuf,
    held: Vec<u8>,
    writer: Writer,
    bytes: u64,
    most: u64,
    ended: bool,
}

struct Writer {
    flushes: SyncSender<Vec<u8>>,
    failed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
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
        // It holds what tags and nonces come from.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let writer = Writer::start(file, path.clone())?;
        Ok(JournalFile { path, held: Vec::new(), writer, bytes: 0, most, ended: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a whole record, or nothing of it. `false` once the journal has ended: at its bound, at a disk that takes nothing or hangs.
    pub fn append(&mut self, record: &[u8]) -> bool {
        let bytes = self.bytes + record.len() as u64;
        let full = bytes > self.most || self.held.len() > MOST_HELD || self.writer.failed.load(Ordering::Acquire);
        if full && !self.ended {
            tracing::warn!(path = %self.path.display(), bytes = self.bytes, "the journal ends here");
        }
        // Nothing may follow what is missing.
        self.ended |= full;
        if self.ended {
            return false;
        }
        self.bytes = bytes;
        self.held.extend_from_slice(record);
        true
    }

    /// Hands what was appended to the thread that writes. Never waits.
    pub fn flush(&mut self) {
        if self.held.is_empty() {
            return;
        }
        match self.writer.flushes.try_send(std::mem::take(&mut self.held)) {
            Ok(()) => {}
            // Goes with the next flush.
            Err(TrySendError::Full(held)) => self.held = held,
            Err(TrySendError::Disconnected(_)) => self.writer.failed.store(true, Ordering::Release),
        }
    }

    /// Waits until what was appended is with the operating system, and ends.
    pub fn close(self) {
        let Writer { flushes, thread, .. } = self.writer;
        let _ = flushes.send(self.held);
        drop(flushes);
        if thread.join().is_err() {
            tracing::error!("the journal's thread has panicked");
        }
    }
}

impl Writer {
    fn start(mut file: File, path: PathBuf) -> io::Result<Writer> {
        let (flushes, queue) = sync_channel::<Vec<u8>>(FLUSHES);
        let failed = Arc::new(AtomicBool::new(false));
        let told = failed.clone();
        let run = move || {
            while let Ok(bytes) = queue.recv() {
                // After a failed write the end is unknown: another record behind it could not be read.
                if let Err(error) = file.write_all(&bytes) {
                    tracing::warn!(path = %path.display(), %error, "the journal can't be written");
                    told.store(true, Ordering::Release);
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(run)?;
        Ok(Writer { flushes, failed, thread })
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
            journal.close();
        }
        let kept = list(folder.path()).unwrap();
        assert_eq!(kept.len(), 3);
        assert!(kept[2].ends_with("1970-01-01T00-00-04.000Z.journal"));
        assert_eq!(std::fs::read(&kept[0]).unwrap(), b"123456789");
    }
}
