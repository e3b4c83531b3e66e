//! The few things that the log and the recorder ask of a file system, as a trait, so that a test can run out of space at any byte.
//!
//! Writes go to a stated position: a write that failed half way is simply repeated at the same place, and nothing depends on where
//! a file's cursor stands.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

pub trait Disk: Send + Sync {
    /// A new file, or an old one made empty. Readable and writable.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A file that is there.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    fn create_folders(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a folder durable: a new file is there after a power cut only when its folder was synced too.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// A folder, with those above it that are missing, whose own names survive a power cut: without that, what is synced in it does not.
    fn create_durable_folders(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
        self.create_folders(path)?;
        for above in missing.iter().filter_map(|folder| folder.parent()) {
            self.sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
        }
        Ok(())
    }

    /// Replaces a file as a whole: after a kill at any moment it is the old or the new one, never half of either. The folder is
    /// not synced here, so that a caller with several files in it syncs once.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_by(path, bytes, &|file| file.sync())
    }

    /// The same for a kill only: a power cut may leave an empty file, until one that is synced takes its place.
    fn place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.replace_by(path, bytes, &|_| Ok(()))
    }

    /// `settle` comes between the last byte and the name.
    fn replace_by(&self, path: &Path, bytes: &[u8], settle: &dyn Fn(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(TEMPORARY);
        let temporary = Path::new(&name);
        let file = self.create(temporary)?;
        let written = file.write_all_at(bytes, 0).and_then(|()| settle(&*file)).and_then(|()| self.rename(temporary, path));
        if written.is_err() {
            let _ = self.remove(temporary);
        }
        written
    }
}

/// Appended to the name of a file that is not whole yet. What is left of them after a kill is removed by the repair at start.
pub const TEMPORARY: &str = ".new";

pub trait DiskFile: Send + Sync {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Fewer than asked only at the end of the file.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;
    fn length(&self) -> io::Result<u64>;
    /// Cuts, or extends by a hole that reads as zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// fdatasync: content and length survive a power cut from here on.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create_folders(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match FileExt::read_at(self, &mut into[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
pub mod faulty;
