//! The log's one writer: numbers a batch, writes it, makes it durable, then shows it.
//!
//! A batch that could not be written is kept as it is and tried again at the same place, with the same numbers; meanwhile the inbox
//! is the backlog. After a failed fdatasync the whole batch is written anew, because the kernel may have dropped the dirty pages.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::frame::{self, Frame, MAX_PAYLOAD};
use super::inbox::Entry;
use super::reserve::Reserve;
use super::segment::{self, MAGIC, Segment};
use super::{LogError, LogOptions, Shared, Stored};
use crate::clock::System;
use crate::event::{Event, Kind, LogLost};
use crate::store::Health;
use crate::store::disk::{Disk, DiskFile};

/// The part that [`Health`] is told about.
const PART: &str = "event_log";

/// How long the thread sleeps when there is nothing to do. Only bounds how late it notices what nobody told it.
const IDLE: Duration = Duration::from_secs(60);

/// How long a first event waits for company: one sync for what a call's answer sets off (three to six events) instead of one for each.
const LINGER: Duration = Duration::from_millis(5);

/// Syncs begin no closer together than this, which is what bounds their cost when many calls come at once. An event is heard of so much
/// later at most, and only then: after a quiet moment it waits no longer than [`LINGER`].
const PACE: Duration = Duration::from_millis(100);

/// After trouble the reserve is made again at the earliest this many batches later, so that a disk at its brim is not filled by it
/// again and again.
const REFILL_AFTER: u32 = 64;

pub struct Writer {
    folder: PathBuf,
    options: LogOptions,
    disk: Arc<dyn Disk>,
    clock: System,
    health: Health,
    shared: Arc<Shared>,
    reserve: Reserve,
    active: Active,
    trouble: Option<String>,
    good_batches: u32,
}

struct Active {
    first: u64,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl Writer {
    pub fn open(
        folder: &Path,
        options: LogOptions,
        disk: Arc<dyn Disk>,
        clock: System,
        health: Health,
        shared: Arc<Shared>,
    ) -> Result<Writer, LogError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| LogError::Io { path, error }
        };
        let mut reserve = Reserve::new(disk.clone(), folder, options.reserve_bytes);
        disk.create_durable_folders(folder).map_err(at(folder))?;
        let mut segments = segment::list(folder).map_err(at(folder))?;
        let last = match segments.last() {
            Some(s) => s.clone(),
            None => Segment { first: 1, path: segment::path(folder, 1), bytes: 0 },
        };
        let (active, durable) = match repair(&*disk, &last) {
            // A full disk must not keep the switch from starting: the reserve is what it is for.
            Err(e) if e.kind() == io::ErrorKind::StorageFull && reserve.fill().is_ok() && reserve.spend() => {
                repair(&*disk, &last).map_err(at(&last.path))?
            }
            other => other.map_err(at(&last.path))?,
        };
        disk.sync_folder(folder).map_err(at(folder))?;
        if segments.is_empty() {
            segments.push(last);
        }
        *shared.segments.write().unwrap_or_else(PoisonError::into_inner) = segments;
        shared.durable.store(durable, Ordering::Release);
        let folder = folder.to_owned();
        let mut writer = Writer { folder, options, disk, clock, health, shared, reserve, active, trouble: None, good_batches: 0 };
        if let Err(error) = writer.reserve.fill() {
            writer.report(Some(format!("no room for its reserve: {error}")));
        }
        writer.retain();
        Ok(writer)
    }

    pub fn run(mut self) {
        let mut batch = Vec::new();
        let mut next = self.clock.mono();
        loop {
            let company = || next.since(self.clock.mono()).max(LINGER);
            // What could not be written yet goes first, alone: its numbers are decided by its place.
            if batch.is_empty() && !self.shared.inbox.take(&mut batch, IDLE, company) {
                return;
            }
            if batch.is_empty() {
                continue;
            }
            next = self.clock.mono() + PACE;
            match self.write(&batch) {
                Ok(events) => {
                    batch.clear();
                    self.show(events);
                    self.after_success();
                }
                Err(error) => {
                    let spent = self.reserve.spend();
                    self.good_batches = 0;
                    self.report(Some(if spent { format!("{error}; the reserve is in use") } else { error.to_string() }));
                    if spent {
                        continue;
                    }
                    if self.shared.inbox.is_closed() {
                        tracing::error!(batch = batch.len(), waiting = self.shared.inbox.len(), %error, "events are lost at the end");
                        return;
                    }
                    self.shared.inbox.rest(self.options.retry);
                }
            }
        }
    }

    /// Writes and syncs; on failure the file is as it was, or will be overwritten at the same place.
    fn write(&mut self, batch: &[Entry]) -> io::Result<Vec<Arc<Stored>>> {
        if self.active.end >= self.options.segment_bytes {
            self.roll()?;
        }
        let durable = self.shared.durable.load(Ordering::Acquire);
        let mut events = Vec::with_capacity(batch.len());
        let mut bytes = Vec::with_capacity(batch.len() * 384);
        let mut lost = 0;
        for entry in batch {
            let event = match entry {
                Entry::Event(event) => event.clone(),
                Entry::Lost(n) => self.lost(*n),
            };
            let sequence = durable + 1 + events.len() as u64;
            match serde_json::to_vec(&event) {
                Ok(payload) if payload.len() <= MAX_PAYLOAD => {
                    frame::append(&mut bytes, Frame { sequence, durable, payload: &payload });
                    events.push(Arc::new(Stored::new(sequence, event)));
                }
                Ok(_) | Err(_) => lost += 1,
            }
        }
        if lost > 0 {
            let event = self.lost(lost);
            let sequence = durable + 1 + events.len() as u64;
            let payload = serde_json::to_vec(&event).map_err(io::Error::other)?;
            frame::append(&mut bytes, Frame { sequence, durable, payload: &payload });
            events.push(Arc::new(Stored::new(sequence, event)));
        }
        let written = self.active.file.write_all_at(&bytes, self.active.end).and_then(|()| self.active.file.sync());
        if let Err(error) = written {
            let _ = self.active.file.set_len(self.active.end);
            return Err(error);
        }
        self.active.end += bytes.len() as u64;
        Ok(events)
    }

    fn lost(&self, events: u64) -> Event {
        Event { at: self.clock.now().wall, conversation: None, kind: Kind::LogLost(LogLost { events }) }
    }

    fn show(&self, events: Vec<Arc<Stored>>) {
        if let Some(fold) = self.shared.fold.get()
            && catch_unwind(AssertUnwindSafe(|| fold(&events))).is_err()
        {
            // The events are safe, and whoever folds them can have them from the log again.
            tracing::error!("the fold of the event log has panicked");
        }
        if let Some(last) = events.last() {
            self.shared.durable.store(last.sequence, Ordering::Release);
        }
        for event in events {
            let _ = self.shared.live.send(event); // Nobody listening is fine.
        }
        self.shared.wake();
    }

    /// Begins the next segment. The old one is whole and synced.
    fn roll(&mut self) -> io::Result<()> {
        let first = self.shared.durable.load(Ordering::Acquire) + 1;
        if first == self.active.first {
            return Ok(()); // Nothing in it yet, however large its bound.
        }
        let path = segment::path(&self.folder, first);
        let created = create(&*self.disk, &path).and_then(|file| self.disk.sync_folder(&self.folder).map(|()| file));
        let file = match created {
            Ok(file) => file,
            Err(error) => {
                let _ = self.disk.remove(&path);
                return Err(error);
            }
        };
        let mut segments = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = segments.last_mut() {
            old.bytes = self.active.end;
        }
        segments.push(Segment { first, path, bytes: 0 });
        drop(segments);
        self.active = Active { first, file, end: MAGIC.len() as u64 };
        self.retain();
        Ok(())
    }

    /// Removes the oldest segments beyond the bound, never the active one.
    fn retain(&self) {
        loop {
            let oldest = {
                let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
                let closed = &segments[..segments.len().saturating_sub(1)];
                let total = closed.iter().map(|s| s.bytes).sum::<u64>() + self.active.end;
                if total <= self.options.retain_bytes { None } else { closed.first().cloned() }
            };
            let Some(oldest) = oldest else { return };
            // Off the list first: a reader must not be sent to a file that is gone.
            self.shared.segments.write().unwrap_or_else(PoisonError::into_inner).retain(|s| s.first != oldest.first);
            match self.disk.remove(&oldest.path) {
                Ok(()) => tracing::info!(path = %oldest.path.display(), "the oldest events are removed"),
                Err(error) => tracing::warn!(path = %oldest.path.display(), %error, "old events can't be removed"),
            }
        }
    }

    fn after_success(&mut self) {
        self.good_batches = self.good_batches.saturating_add(1);
        if self.trouble.is_none() {
            return;
        }
        // While the reserve is missing the disk is as good as full, and that is what is said.
        if !self.reserve.is_held()
            && (self.good_batches >= REFILL_AFTER || self.shared.inbox.len() == 0)
            && let Err(error) = self.reserve.fill()
        {
            self.good_batches = 0;
            self.report(Some(format!("no room for its reserve: {error}")));
        }
        if self.reserve.is_held() {
            self.report(None);
        }
    }

    fn report(&mut self, trouble: Option<String>) {
        if self.trouble == trouble {
            return;
        }
        match &trouble {
            Some(trouble) => tracing::error!(%trouble, "the event log is in trouble"),
            None => tracing::info!("the event log works again"),
        }
        (self.health)(PART, trouble.as_deref());
        self.trouble = trouble;
    }
}

/// Opens the last segment, cuts what is torn off it, and says which number is the last in use.
fn repair(disk: &dyn Disk, last: &Segment) -> io::Result<(Active, u64)> {
    let file = match disk.open(&last.path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => create(disk, &last.path)?,
        Err(e) => return Err(e),
    };
    let len = file.length()?;
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    if !bytes.starts_with(&MAGIC) {
        tracing::warn!(path = %last.path.display(), "the head of the last event segment is written anew");
        file.write_all_at(&MAGIC, 0)?;
        file.sync()?;
    }
    let tail = segment::tail(&last.path, last.first, &bytes);
    for damage in &tail.damage {
        tracing::error!(path = %damage.path.display(), offset = damage.offset, bytes = damage.bytes,
            from = damage.lost.0, to = damage.lost.1, "part of the event log can't be read");
    }
    if tail.end < len {
        tracing::warn!(path = %last.path.display(), bytes = len - tail.end, "a torn end is cut off the event log");
        file.set_len(tail.end)?;
        file.sync()?;
    }
    Ok((Active { first: last.first, file, end: tail.end }, tail.last))
}

fn create(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(path)?;
    file.write_all_at(&MAGIC, 0)?;
    file.sync()?;
    Ok(file)
}
