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
