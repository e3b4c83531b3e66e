//! A disk that is full, broken, hangs, or loses its power, when a test wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use super::*;

/// Bytes that are free, over all files; removing or cutting a file gives its bytes back.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    free: Arc<AtomicI64>,
    broken: Arc<AtomicBool>,
    hangs: Arc<(Mutex<Hangs>, Condvar)>,
    waiting: Arc<AtomicUsize>,
    /// Files that are open.
    open: Arc<AtomicUsize>,
    platter: Arc<Mutex<Platter>>,
}

/// What a power cut leaves of files that were made through this disk.
#[derive(Default)]
struct Platter {
    inodes: Vec<Inode>,
    /// By their numbers, as who is running sees them.
    names: BTreeMap<PathBuf, usize>,
    /// As a power cut leaves them: those of folders as they were last synced.
    durable: BTreeMap<PathBuf, usize>,
    /// New folders, whose own name no sync of the one above has reached.
    fresh: BTreeSet<PathBuf>,
    /// The next sync of these fails.
    failing: BTreeSet<PathBuf>,
    /// These can't be removed.
    held: BTreeSet<PathBuf>,
}

/// As Linux has it: a sync that fails forgets what it was to write, and the next one succeeds without.
#[derive(Default)]
struct Inode {
    synced: Vec<u8>,
    dirty: Vec<Range<u64>>,
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

    /// The next sync of this file fails, and what was not synced is written to the disk only where it is written to the file again.
    pub fn fail_sync(&self, path: &Path) {
        self.platter().failing.insert(path.to_owned());
    }

    /// This file can't be removed from here on.
    pub fn hold(&self, path: &Path) {
        self.platter().held.insert(path.to_owned());
    }

    /// Files are, in content and name, what the syncs have made of them. Who has one open is gone by then.
    pub fn cut_power(&self) {
        let mut platter = self.platter();
        let known: BTreeSet<PathBuf> = platter.names.keys().chain(platter.durable.keys()).cloned().collect();
        for path in known {
            let is_found = !path.ancestors().skip(1).any(|folder| platter.fresh.contains(folder));
            match platter.durable.get(&path).filter(|_| is_found) {
                Some(number) => std::fs::write(&path, &platter.inodes[*number].synced).unwrap(),
                None => drop(std::fs::remove_file(&path)),
            }
        }
        platter.names = platter.durable.clone();
    }

    /// How many files were made. One that is replaced is made again.
    pub fn files_made(&self) -> usize {
        self.platter().inodes.len()
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap()
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

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        self.open.fetch_add(1, Ordering::SeqCst);
        let number = self.platter().names.get(path).copied();
        Arc::new(FaultyFile { disk: self.clone(), file, path: path.to_owned(), number })
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
        let mut platter = self.platter();
        match platter.names.get(path).copied() {
            Some(number) => platter.inodes[number].dirty.push(0..old),
            None => {
                platter.inodes.push(Inode::default());
                let number = platter.inodes.len() - 1;
                platter.names.insert(path.to_owned(), number);
            }
        }
        drop(platter);
        Ok(self.wrap(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, RealDisk.open(path)?))
    }

    fn create_folders(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.platter().fresh.extend(path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned));
        RealDisk.create_folders(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        let old = std::fs::metadata(to).map_or(0, |m| m.len());
        RealDisk.rename(from, to)?;
        let mut platter = self.platter();
        if let Some(number) = platter.names.remove(from) {
            platter.names.insert(to.to_owned(), number);
        }
        self.free.fetch_add(old as i64, Ordering::SeqCst);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.platter().held.contains(path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let old = std::fs::metadata(path).map_or(0, |m| m.len());
        RealDisk.remove(path)?;
        self.platter().names.remove(path);
        self.free.fetch_add(old as i64, Ordering::SeqCst);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.check_sync()?;
        RealDisk.sync_folder(path)?;
        let platter = &mut *self.platter();
        let lies_in = |one: &Path| one.parent() == Some(path);
        platter.durable.retain(|name, _| !lies_in(name));
        platter
            .durable
            .extend(platter.names.iter().filter(|(name, _)| lies_in(name)).map(|(name, number)| (name.clone(), *number)));
        platter.fresh.retain(|folder| !lies_in(folder));
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// None where it was made elsewhere.
    number: Option<usize>,
}

impl FaultyFile {
    fn dirty(&self, range: Range<u64>) {
        if let Some(number) = self.number {
            self.disk.platter().inodes[number].dirty.push(range);
        }
    }

    fn reach_platter(&self) -> io::Result<()> {
        let Some(number) = self.number else { return Ok(()) };
        let length = self.file.length()?;
        let mut platter = self.disk.platter();
        let inode = &mut platter.inodes[number];
        inode.synced.resize(length as usize, 0);
        for part in std::mem::take(&mut inode.dirty) {
            let (from, to) = (part.start.min(length), part.end.min(length));
            self.file.read_at(&mut inode.synced[from as usize..to as usize], from)?;
        }
        Ok(())
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        self.disk.open.fetch_sub(1, Ordering::SeqCst);
    }
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
        self.dirty(at..at + fits as u64);
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
        self.dirty(old.min(len)..old.max(len));
        if len < old {
            self.disk.free.fetch_add((old - len) as i64, Ordering::SeqCst);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let is_failing = self.disk.platter().failing.remove(&self.path);
        let checked = self.disk.check_sync();
        if is_failing || checked.is_err() {
            if let Some(number) = self.number {
                self.disk.platter().inodes[number].dirty.clear();
            }
            return checked.and(Err(io::Error::other("a sync that failed")));
        }
        self.file.sync()?;
        self.reach_platter()
    }
}
