//! The way from the media workers to the recorder: bounded, and never waiting.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use super::timeline::NARROW;
use super::voice::samples_of;
use crate::ids::RecordingId;
use crate::media::{Frame, Side};

/// Frames between the workers and the recorder's thread: 0.8 s of 100 recordings, 8 s of ten, 4.6 MB; payloads that are longer than a
/// frame's own room come on top. When full, the frame is dropped, the recording has silence in its place, and a gap is counted and
/// reported.
pub const FRAMES: usize = 8_192;

/// A worker's end. Clones are the same tap.
#[derive(Clone)]
pub struct Tap {
    frames: SyncSender<Frame>,
    dropped: Arc<Dropped>,
}

impl Tap {
    pub fn new(frames: SyncSender<Frame>, dropped: Arc<Dropped>) -> Self {
        Tap { frames, dropped }
    }

    /// Never waits. No allocation unless frames are dropped.
    pub fn offer(&self, frame: Frame) {
        match self.frames.try_send(frame) {
            Ok(()) => {}
            Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) => self.dropped.count(&frame),
        }
    }
}

/// Audio that found the queue full, by recording. Touched only then.
#[derive(Debug, Default)]
pub struct Dropped(Mutex<BTreeMap<RecordingId, [u64; 2]>>);

impl Dropped {
    pub fn count(&self, frame: &Frame) {
        let side = match frame.side {
            Side::Said => 0,
            Side::Heard => 1,
        };
        let ticks = i32::try_from(frame.codec.ticks(&frame.payload)).unwrap_or(i32::MAX);
        let samples = samples_of(frame.codec, ticks, NARROW);
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(frame.recording).or_default()[side] += samples.unsigned_abs();
    }

    /// Samples of each side since last asked, as many as at [`NARROW`].
    pub fn take(&self) -> BTreeMap<RecordingId, [u64; 2]> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
