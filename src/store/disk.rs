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
pub mod faulty {
    //! A disk that is full, broken, or hangs, when a test wants it.

    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Bytes that are free, over all files; removing or cutting a file gives its bytes back.
    #[derive(Clone, Default)]
    pub struct FaultyDisk {
        free: Arc<AtomicI64>,
        broken: Arc<AtomicBool>,
        hangs: Arc<(Mutex<Hangs>, Condvar)>,
        waiting: Arc<AtomicUsize>,
    }

    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    enum Hangs {
        #[default]
        Nothing,
        Syncs,
        All,
    }

    impl FaultyDisk {
        pub fn with_free(bytes: i64) -> Self {
            FaultyDisk { free: Arc::new(AtomicI64::new(bytes)), ..FaultyDisk::default() }
        }

        pub fn set_free(&self, bytes: i64) {
            self.free.store(bytes, Ordering::SeqCst);
        }

        pub fn free(&self) -> i64 {
            self.free.load(Ordering::SeqCst)
        }

        /// Every write and sync fails from here on.
        pub fn set_broken(&self, broken: bool) {
            self.broken.store(broken, Ordering::SeqCst);
        }

        /// From here on who writes or syncs waits until it hangs no more.
        pub fn set_hanging(&self, hangs: bool) {
            self.hang(if hangs { Hangs::All } else { Hangs::Nothing });
        }

        /// From here on who syncs waits, and who writes does not: a disk that is busy.
        pub fn set_syncs_hanging(&self, hangs: bool) {
            self.hang(if hangs { Hangs::Syncs } else { Hangs::Nothing });
        }

        fn hang(&self, what: Hangs) {
            *self.hangs.0.lock().unwrap() = what;
            self.hangs.1.notify_all();
        }

        /// How many threads wait for it.
        pub fn waiting(&self) -> usize {
            self.waiting.load(Ordering::SeqCst)
        }

        fn check(&self) -> io::Result<()> {
            self.wait_while(|hangs| hangs == Hangs::All)
        }

        fn check_sync(&self) -> io::Result<()> {
            self.wait_while(|hangs| hangs != Hangs::Nothing)
        }

        fn wait_while(&self, waits: impl Fn(Hangs) -> bool) -> io::Result<()> {
            let hangs = self.hangs.0.lock().unwrap();
            if waits(*hangs) {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                drop(self.hangs.1.wait_while(hangs, |hangs| waits(*hangs)));
                self.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            if self.broken.load(Ordering::SeqCst) { Err(io::Error::other("broken disk")) } else { Ok(()) }
        }

        fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
            Arc::new(FaultyFile { disk: self.clone(), file })
        }
    }

    impl Disk for FaultyDisk {
        fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            self.check()?;
            if self.free() <= 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let old = std::fs::metadata(path).map_or(0, |m| m.len());
            let file = RealDisk.create(path)?;
            self.free.fetch_add(old as i64, Ordering::SeqCst);
            Ok(self.wrap(file))
        }

        fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            Ok(self.wrap(RealDisk.open(path)?))
        }

        fn create_folders(&self, path: &Path) -> io::Result<()> {
            self.check()?;
            RealDisk.create_folders(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.check()?;
            let old = std::fs::metadata(to).map_or(0, |m| m.len());
            RealDisk.rename(from, to)?;
            self.free.fetch_add(old as i64, Ordering::SeqCst);
            Ok(())
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            let old = std::fs::metadata(path).map_or(0, |m| m.len());
            RealDisk.remove(path)?;
            self.free.fetch_add(old as i64, Ordering::SeqCst);
            Ok(())
        }

        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.check_sync()?;
            RealDisk.sync_folder(path)
        }
    }

    struct FaultyFile {
        disk: FaultyDisk,
        file: Arc<dyn DiskFile>,
    }

    impl DiskFile for FaultyFile {
        /// Writes what there is room for, then fails: as a full disk does.
        fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            self.disk.check()?;
            let len = self.file.length()?;
            let growth = (at + bytes.len() as u64).saturating_sub(len.max(at)) as i64;
            let room = self.disk.free().max(0);
            let taken = growth.min(room);
            self.disk.free.fetch_sub(taken, Ordering::SeqCst);
            let fits = bytes.len() - usize::try_from(growth - taken).unwrap_or(0);
            self.file.write_all_at(&bytes[..fits], at)?;
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
            self.file.read_at(into, at)
        }

        fn length(&self) -> io::Result<u64> {
            self.file.length()
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.disk.check()?;
            let old = self.file.length()?;
            self.file.set_len(len)?;
            if len < old {
                self.disk.free.fetch_add((old - len) as i64, Ordering::SeqCst);
            }
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            self.disk.check_sync()?;
            self.file.sync()
        }
    }
}
