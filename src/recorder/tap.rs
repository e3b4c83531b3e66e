//! The way from the media workers to the recorder: bounded, and never waiting.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::timeline::NARROW;
use super::voice::samples_of;
use crate::clock::Mono;
use crate::ids::RecordingId;
use crate::media::{Frame, Side};

/// Frames between the workers and the recorder's thread: 6 s of 100 recordings, 0.6 s of a thousand. Memory is used for those that wait
/// (37 MB when it is full; payloads that are longer than a frame's own room come on top). When full, the frame is dropped, the recording has
/// silence in its place, and a gap is counted and reported.
pub const FRAMES: usize = 65_536;

/// Workers that can say how far they have read. More than that have no say.
const WORKERS: usize = 64;

/// A worker's end. Clones are the same tap.
#[derive(Clone)]
pub struct Tap {
    frames: Sender<Frame>,
    dropped: Arc<Dropped>,
    reach: Arc<Reach>,
}

impl Tap {
    pub fn new(frames: Sender<Frame>, dropped: Arc<Dropped>, reach: Arc<Reach>) -> Self {
        Tap { frames, dropped, reach }
    }

    /// All that came to this worker's recordings before `until` has been [offered](Tap::offer); `None`: it has no recordings.
    pub fn read_until(&self, worker: u8, until: Option<Mono>) {
        self.reach.set(worker, until);
    }

    /// Never waits. Allocates a block for each 32 frames that wait, and uses it again.
    pub fn offer(&self, frame: Frame) {
        match self.frames.try_send(frame) {
            Ok(()) => {}
            Err(TrySendError::Full(frame) | TrySendError::Closed(frame)) => self.dropped.count(&frame),
        }
    }
}

/// Audio that found the queue full, by recording. Touched only then.
#[derive(Debug, Default)]
pub struct Dropped {
    samples: Mutex<BTreeMap<RecordingId, [u64; 2]>>,
    /// Since the start.
    frames: AtomicU64,
}

impl Dropped {
    pub fn count(&self, frame: &Frame) {
        let side = match frame.side {
            Side::Said => 0,
            Side::Heard => 1,
        };
        let ticks = i32::try_from(frame.codec.ticks(&frame.payload)).unwrap_or(i32::MAX);
        let samples = samples_of(frame.codec, ticks, NARROW);
        self.frames.fetch_add(1, Ordering::Relaxed);
        let mut map = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(frame.recording).or_default()[side] += samples.unsigned_abs();
    }

    /// Frames since the start.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Samples of each side since last asked, as many as at [`NARROW`].
    pub fn take(&self) -> BTreeMap<RecordingId, [u64; 2]> {
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far the workers have read. A machine that stands still for a moment leaves packets in sockets; whoever wakes first has to know that
/// they are there.
#[derive(Debug)]
pub struct Reach([AtomicU64; WORKERS]);

/// Of a worker that has no recordings.
const ALL: u64 = u64::MAX;

/// Nobody waits for a worker that has read nothing for so long: it reads no more, and the others' recordings are not to be late for ever.
const GIVEN_UP: Duration = Duration::from_secs(10);

impl Default for Reach {
    fn default() -> Self {
        Reach([const { AtomicU64::new(ALL) }; WORKERS])
    }
}

impl Reach {
    fn set(&self, worker: u8, until: Option<Mono>) {
        if let Some(reach) = self.0.get(usize::from(worker)) {
            // Whoever sees it sees the frames that were offered before.
            reach.store(until.map_or(ALL, Mono::as_micros), Ordering::Release);
        }
    }

    /// What came before this, by whichever worker, has been offered; `None`: nothing is recorded by any that reads.
    pub fn of_all(&self, now: Mono) -> Option<Mono> {
        let reads = |us: &u64| *us != ALL && now.since(Mono::from_micros(*us)) <= GIVEN_UP;
        self.0.iter().map(|reach| reach.load(Ordering::Acquire)).filter(reads).min().map(Mono::from_micros)
    }
}
