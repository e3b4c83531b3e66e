//! One recording on the writer's side: its time line, and what of it has reached the file.
//!
//! ```text
//!             opened                 a write fails
//! Opening ───────────────> Open ──────────────────────> Stalled { missing }
//!    │ (samples wait,       │  <──────────────────────      │
//!    │  then count as       │   silence of that length      │
//!    │  missing)            │ 2 GiB                         │
//!    │                      v                               │
//!    │                     Full { missing }                 │
//!    └──────────────────────┴── end: exact length ──────────┘
//! ```
//! Whatever happens to the disk, the file's length stays the time that has passed: what could not be written is silence, as a hole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::measure::Measure;
use super::threads::WAIT_FOR_WORKERS;
use super::timeline::{HOLD_BACK, NARROW, Timeline};
use super::wav::{MOST_FRAMES, WavFile, frames_ms};
use crate::clock::Mono;
use crate::event::Sound;
use crate::ids::{ConversationId, RecordingId};
use crate::media::{Frame, Side};
use crate::store::disk::DiskFile;
use crate::switch::output::About;

/// Samples that wait for their file to be made, in frames: 2 s, 64 KB, at 8 kHz. Making a file takes some ms; a disk that needs longer costs
/// the recording's beginning.
const WAIT_FOR_FILE: usize = 16_000;

/// Room for samples that is kept from tick to tick, in samples. After a hang there was more.
const ROOM: usize = 2 * WAIT_FOR_FILE;

/// Silence of so many frames at once is a hole in the file: what a hang left out takes no space, and no time to write.
const HOLE: usize = 16_000;

/// Between two attempts at a disk that takes nothing.
const RETRY: Duration = Duration::from_secs(1);

pub struct Session {
    pub recording: RecordingId,
    pub conversation: ConversationId,
    began: Mono,
    rate: u32,
    timeline: Timeline,
    /// Of a conversation's.
    measure: Option<Measure>,
    /// Complete, interleaved, and not in the file yet.
    pending: Vec<i16>,
    file: File,
    /// Silence in the file, in frames, that stands for what could not be written, and was not told yet.
    untold: u64,
    /// Samples that found the queue to the recorder full, and were not told yet.
    dropped: [u64; 2],
    pub end: Option<Mono>,
    pub last_sync: Mono,
}

enum File {
    Opening {
        missing: u64,
    },
    Open(WavFile),
    Stalled {
        wav: WavFile,
        missing: u64,
        retry_at: Mono,
    },
    /// At its bound of 2 GiB.
    Full {
        frames: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Disk,
    TooLong,
}

impl Why {
    /// As `recording.gap` gives it.
    pub fn reason(self) -> &'static str {
        match self {
            Why::Disk => "disk",
            Why::TooLong => "too_long",
        }
    }
}

/// What came of a tick.
#[derive(Debug)]
pub enum Progress {
    Fine,
    /// A write failed just now.
    Fell(io::Error),
    /// It works again; so much is silence.
    Back {
        gap_ms: u64,
    },
    /// The file has reached its bound.
    Full,
}

/// How a recording ended, as far as the writer goes.
#[derive(Debug)]
pub struct Ending {
    /// Length that the file has to have.
    pub frames: u64,
    pub lost_ms: [u64; 2],
    /// What could not be written, and was not told yet.
    pub gap: Option<(Why, u64)>,
    /// What agents and customer sounded like, where they talked.
    pub sound: Option<Sound>,
}

impl Session {
    pub fn begin(about: &About, at: Mono) -> Self {
        let rate = about.sample_rate;
        let is_a_conversation = about.mailbox.is_none() && !about.greeting && !about.prompt && !about.supervises;
        Session {
            recording: about.recording,
            conversation: about.conversation,
            began: at,
            rate,
            timeline: Timeline::new(at, rate),
            measure: is_a_conversation.then(|| Measure::new(at, rate)),
            pending: Vec::new(),
            file: File::Opening { missing: 0 },
            untold: 0,
            dropped: [0; 2],
            end: None,
            last_sync: at,
        }
    }

    /// Takes a frame. Whoever has one for which the recording [is behind](Session::is_behind) ticks to it first.
    pub fn push(&mut self, frame: &Frame) {
        if !self.is_over(frame.at) {
            self.timeline.push(frame);
        }
    }

    /// The writer was blocked for long: what is complete by `at` is to go to the file before a frame of then is taken, in pieces, so that
    /// memory stays bounded. A tick to `at` makes this untrue, or brings it nearer.
    pub fn is_behind(&self, at: Mono) -> bool {
        !self.is_over(at) && self.timeline.is_behind(at)
    }

    /// What is read then came after its end.
    fn is_over(&self, at: Mono) -> bool {
        self.end.is_some_and(|end| at > end + WAIT_FOR_WORKERS + HOLD_BACK)
    }

    /// Silence on purpose begins.
    pub fn pause(&mut self, at: Mono) {
        self.timeline.hush(at);
        if let Some(measure) = &mut self.measure {
            measure.pause(at, true);
        }
    }

    /// And ends.
    pub fn resume(&mut self, at: Mono) {
        self.timeline.unhush(at);
        if let Some(measure) = &mut self.measure {
            measure.pause(at, false);
        }
    }

    /// An agent and the customer talk, or do so no more.
    pub fn talk(&mut self, at: Mono, is_talk: bool) {
        if let Some(measure) = &mut self.measure {
            measure.talk(at, is_talk);
        }
    }

    pub fn count_dropped(&mut self, samples: [u64; 2]) {
        self.dropped[0] += samples[0];
        self.dropped[1] += samples[1];
    }

    /// What the full queue cost since last asked, in ms of the side that lost more.
    pub fn take_dropped_ms(&mut self) -> u64 {
        let [said, heard] = std::mem::take(&mut self.dropped);
        frames_ms(said.max(heard), NARROW)
    }

    /// Its file is there.
    pub fn opened(&mut self, wav: WavFile, now: Mono) {
        if let File::Opening { missing } = self.file {
            // The first tick puts the silence before what waits.
            self.file = if missing == 0 { File::Open(wav) } else { File::Stalled { wav, missing, retry_at: now } };
        }
    }

    pub fn is_stalled(&self) -> bool {
        match &self.file {
            File::Stalled { .. } => true,
            File::Opening { missing } => *missing > 0,
            File::Open(_) | File::Full { .. } => false,
        }
    }

    /// Moves what is complete at `now` into the file, and makes its header say so.
    pub fn tick(&mut self, now: Mono) -> Progress {
        // Between its end and its finish no more than up to the end is complete.
        let until = self.end.map_or(now, |end| now.min(end + HOLD_BACK));
        while self.drain(until) {
            // After a long stall there is more than one call gives; it goes on in pieces, so that memory stays bounded.
            match self.write(now) {
                Progress::Fine => {}
                other => return other,
            }
        }
        self.write(now)
    }

    /// `true`: there is more than one call gives.
    fn drain(&mut self, until: Mono) -> bool {
        let before = self.pending.len();
        let is_more = self.timeline.drain(until, &mut self.pending);
        self.measure_from(before);
        is_more
    }

    /// What has come since there were so many.
    fn measure_from(&mut self, before: usize) {
        if let (Some(measure), Some(fresh)) = (&mut self.measure, self.pending.get(before..)) {
            measure.push(fresh);
        }
    }

    /// The handle that a sync needs.
    pub fn file(&self) -> Option<Arc<dyn DiskFile>> {
        match &self.file {
            File::Open(wav) => Some(wav.file()),
            File::Opening { .. } | File::Stalled { .. } | File::Full { .. } => None,
        }
    }

    /// What there is of the waveform goes to its file.
    pub fn save_drawing(&mut self) {
        if let File::Open(wav) = &mut self.file {
            wav.save_drawing(false);
        }
    }

    /// Ends it: its last sample is at `at`.
    pub fn finish(mut self, at: Mono) -> Ending {
        let mut back_ms = 0;
        let mut note = |progress: Progress| match progress {
            Progress::Back { gap_ms } => back_ms += gap_ms,
            Progress::Fine | Progress::Fell(_) | Progress::Full => {}
        };
        // What a hang has left is not taken at once.
        while self.timeline.is_behind(at) {
            note(self.tick(at));
        }
        let before = self.pending.len();
        self.timeline.finish(at, &mut self.pending);
        self.measure_from(before);
        if let File::Stalled { retry_at, .. } = &mut self.file {
            *retry_at = at;
        }
        note(self.write(at));
        if let File::Open(wav) = &mut self.file {
            wav.save_drawing(true);
        }
        let lost = |side| self.timeline.losses(side).concealed_ms;
        let lost_ms = [lost(Side::Said), lost(Side::Heard)];
        // An end that was told late may lie before what is written already: the file is cut to it.
        let exact = u64::try_from(at.since(self.began).as_micros() * u128::from(self.rate) / 1_000_000).unwrap_or(u64::MAX);
        let total = self.timeline.samples();
        let (frames, missing, why) = match &self.file {
            File::Open(wav) => (wav.frames(), 0, Why::Disk),
            // What waits for the file is lost when the file comes only now.
            File::Opening { missing } => (total, *missing + self.pending.len() as u64 / 2, Why::Disk),
            File::Stalled { missing, .. } => (total, *missing, Why::Disk),
            File::Full { frames } => (*frames, total.saturating_sub(*frames), Why::TooLong),
        };
        let gap_ms = back_ms + frames_ms(missing + self.untold, self.rate);
        let sound = self.measure.and_then(Measure::finish);
        Ending { frames: frames.min(exact).min(MOST_FRAMES), lost_ms, gap: (gap_ms > 0).then_some((why, gap_ms)), sound }
    }

    fn write(&mut self, now: Mono) -> Progress {
        let count = self.pending.len() as u64 / 2;
        let state = std::mem::replace(&mut self.file, File::Opening { missing: 0 });
        let (next, progress) = match state {
            File::Opening { missing: 0 } if self.pending.len() / 2 <= WAIT_FOR_FILE => return Progress::Fine,
            File::Opening { missing } => (File::Opening { missing: missing + count }, Progress::Fine),
            File::Open(wav) => append(wav, &self.pending, now),
            File::Stalled { wav, missing, retry_at } if now < retry_at => {
                (File::Stalled { wav, missing: missing + count, retry_at }, Progress::Fine)
            }
            File::Stalled { wav, missing, .. } => self.fill(wav, missing, now),
            File::Full { frames } => (File::Full { frames }, Progress::Fine),
        };
        self.file = next;
        self.pending.clear();
        self.pending.shrink_to(ROOM);
        progress
    }

    fn fill(&mut self, mut wav: WavFile, missing: u64, now: Mono) -> (File, Progress) {
        let count = self.pending.len() as u64 / 2;
        let before = wav.frames();
        let room = MOST_FRAMES.saturating_sub(before);
        let filled = wav.silence(missing.min(room));
        let silent = wav.frames() - before;
        self.untold += silent;
        let missing = missing - silent;
        if filled.is_err() {
            return (File::Stalled { wav, missing: missing + count, retry_at: now + RETRY }, Progress::Fine);
        }
        if missing > 0 {
            return (File::Full { frames: wav.frames() }, Progress::Full);
        }
        match append(wav, &self.pending, now) {
            (file @ File::Open(_), Progress::Fine) => {
                (file, Progress::Back { gap_ms: frames_ms(std::mem::take(&mut self.untold), self.rate) })
            }
            (file, Progress::Fell(_)) => (file, Progress::Fine),
            other => other,
        }
    }
}

fn append(mut wav: WavFile, pending: &[i16], now: Mono) -> (File, Progress) {
    if pending.is_empty() {
        return (File::Open(wav), Progress::Fine);
    }
    let room = MOST_FRAMES.saturating_sub(wav.frames()) as usize * 2;
    let fits = &pending[..pending.len().min(room)];
    let before = wav.frames();
    let written = if fits.len() >= 2 * HOLE && fits.iter().all(|sample| *sample == 0) {
        wav.silence(fits.len() as u64 / 2)
    } else {
        wav.append(fits).and_then(|()| wav.checkpoint())
    };
    match written {
        Ok(()) if fits.len() < pending.len() => (File::Full { frames: wav.frames() }, Progress::Full),
        Ok(()) => (File::Open(wav), Progress::Fine),
        Err(error) => {
            // All of it or nothing, as hound counts: a failure in the header leaves the samples in.
            let missing = pending.len() as u64 / 2 - (wav.frames() - before);
            (File::Stalled { wav, missing, retry_at: now + RETRY }, Progress::Fell(error))
        }
    }
}

#[cfg(test)]
mod tests;
