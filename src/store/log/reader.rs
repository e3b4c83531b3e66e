//! Reads the log from its files, from any number that is kept.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::frame::{self, HEAD, MAX_PAYLOAD, Parsed};
use super::segment::{Damage, MAGIC, Segment};
use super::{LogError, Shared, Stored};
use crate::event::Event;

/// Bytes fetched at once: some 600 events.
const CHUNK: usize = 256 << 10;

/// A place in the log. It holds one file open, so that what retention removes under it is still read to its end.
pub struct Reader {
    shared: Arc<Shared>,
    /// Sequence of the last event that was returned or passed over.
    last: u64,
    open: Option<Open>,
    damage: Vec<Damage>,
}

struct Open {
    segment: Segment,
    file: File,
    /// Where in the file `buffer` begins.
    start: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    at: usize,
}

impl Reader {
    pub(super) fn since(shared: Arc<Shared>, sequence: u64) -> Result<Reader, LogError> {
        let last = shared.durable.load(Ordering::Acquire);
        if sequence > last {
            return Err(LogError::Ahead { last });
        }
        let first_kept = shared.first_kept();
        if sequence + 1 < first_kept && sequence < last {
            return Err(LogError::Gone { first_kept });
        }
        Ok(Reader { shared, last: sequence, open: None, damage: Vec::new() })
    }

    /// Sequence of the last event that was read.
    pub fn position(&self) -> u64 {
        self.last
    }

    /// The next event that is durable, or `None` at the end of the log as it is now; a later call goes on there.
    ///
    /// # Errors
    /// [`LogError::Gone`] where retention has overtaken this reader; [`LogError::Io`].
    #[allow(clippy::should_implement_trait, reason = "each step can fail, and the end is only for now")]
    pub fn next(&mut self) -> Result<Option<Stored>, LogError> {
        loop {
            // Beyond this there may be half a batch in the file: it is not looked at.
            if self.last >= self.shared.durable.load(Ordering::Acquire) {
                return Ok(None);
            }
            let Some(open) = &mut self.open else {
                self.open = Some(self.segment_after(self.last)?);
                continue;
            };
            match open.parse() {
                Parsed::Frame(f) if f.sequence <= self.last => open.at += f.size(),
                Parsed::Frame(f) => {
                    let (sequence, size) = (f.sequence, f.size());
                    let event = serde_json::from_slice::<Event>(f.payload);
                    open.at += size;
                    self.last = sequence;
                    match event {
                        Ok(event) => return Ok(Some(Stored::new(sequence, event))),
                        // Written by a newer version, whose log an older one now reads: its number stays taken.
                        Err(error) => tracing::warn!(sequence, %error, "event of an unknown kind is passed over"),
                    }
                }
                Parsed::Short(wanted) => {
                    if !open.fill(wanted)? {
                        self.step_over_damage_or_segment()?;
                    }
                }
                Parsed::Bad => self.step_over_damage_or_segment()?,
            }
        }
    }

    /// What could not be read on the way, since last asked.
    pub fn damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// The frame at hand is not whole: its segment ends here, or something in it is broken.
    fn step_over_damage_or_segment(&mut self) -> Result<(), LogError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (next, _) = self.shared.around(open.segment.first);
        let before = next.as_ref().map_or(u64::MAX, |s| s.first);
        open.fill(HEAD + MAX_PAYLOAD)?;
        let rest = &open.buffer[open.at..];
        if let Some(skip) = frame::resync(rest, self.last, before) {
            let resumes = match frame::parse(&rest[skip..]) {
                Parsed::Frame(f) => f.sequence,
                Parsed::Short(_) | Parsed::Bad => self.last + 1,
            };
            self.damage.push(open.damage(skip, (self.last + 1, resumes - 1)));
            open.at += skip;
            return Ok(());
        }
        if rest.len() > HEAD + MAX_PAYLOAD / 2 {
            // No frame begins in a stretch longer than half of the largest: go on behind it.
            let skip = rest.len() - HEAD;
            self.damage.push(open.damage(skip, (self.last + 1, self.last + 1)));
            open.at += skip;
            return Ok(());
        }
        let left = rest.len();
        match next {
            Some(next) => {
                if next.first > self.last + 1 {
                    self.damage.push(open.damage(left, (self.last + 1, next.first - 1)));
                }
                self.last = self.last.max(next.first - 1);
                self.open = Some(Open::new(next)?);
            }
            None => {
                // What is durable must be in the last segment: it has been cut or damaged under us.
                let durable = self.shared.durable.load(Ordering::Acquire);
                self.damage.push(open.damage(left, (self.last + 1, durable)));
                self.last = durable;
                self.open = None;
            }
        }
        Ok(())
    }

    fn segment_after(&self, sequence: u64) -> Result<Open, LogError> {
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner).clone();
        match segments.iter().rev().find(|s| s.first <= sequence + 1) {
            Some(segment) => Open::new(segment.clone()),
            None => Err(LogError::Gone { first_kept: segments.first().map_or(1, |s| s.first) }),
        }
    }
}

impl Shared {
    /// The segment after the one that begins with `first`, and whether that one is still kept.
    fn around(&self, first: u64) -> (Option<Segment>, bool) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        (segments.iter().find(|s| s.first > first).cloned(), segments.iter().any(|s| s.first == first))
    }
}

impl Open {
    fn new(segment: Segment) -> Result<Open, LogError> {
        let file = File::open(&segment.path).map_err(|error| LogError::Io { path: segment.path.clone(), error })?;
        Ok(Open { segment, file, start: MAGIC.len() as u64, buffer: Vec::new(), at: 0 })
    }

    fn parse(&self) -> Parsed<'_> {
        frame::parse(&self.buffer[self.at..])
    }

    /// Makes `wanted` bytes from the current place available. `false`: the file has not so many.
    fn fill(&mut self, wanted: usize) -> Result<bool, LogError> {
        self.buffer.drain(..self.at);
        self.start += self.at as u64;
        self.at = 0;
        while self.buffer.len() < wanted {
            let had = self.buffer.len();
            self.buffer.resize(had + CHUNK, 0);
            let read = self.file.read_at(&mut self.buffer[had..], self.start + had as u64);
            self.buffer.truncate(had + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::Io { path: self.segment.path.clone(), error }),
            }
        }
        Ok(true)
    }

    fn damage(&self, bytes: usize, lost: (u64, u64)) -> Damage {
        let damage = Damage { path: self.segment.path.clone(), offset: self.start + self.at as u64, bytes: bytes as u64, lost };
        tracing::error!(path = %damage.path.display(), offset = damage.offset, bytes, from = lost.0, to = lost.1,
            "part of the event log can't be read");
        damage
    }
}
