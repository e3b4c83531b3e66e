//! The audio side of the recorder: all sessions, driven by time that is given to it.
//!
//! It touches the disk only by writes to the page cache, and never waits for a sync; what must be durable goes to the clerk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Reports;
use super::clerk::Job;
use super::layer::Laid;
use super::session::{Progress, Session};
use crate::clock::Mono;
use crate::ids::RecordingId;
use crate::media::Frame;
use crate::switch::input::RecorderReport;
use crate::switch::output::{About, RecorderCommand};

/// Samples go to the file, and its header is put right, this often. With what the time line holds back (200 ms), a kill costs at most
/// 0.4 s; for 100 recordings it is 1,500 small writes a second.
pub const WRITE_EVERY: Duration = Duration::from_millis(200);

/// An fdatasync a recording: what a power cut costs at most. Gaps of a full queue are told as often, not frame by frame.
pub const SYNC_EVERY: Duration = Duration::from_secs(10);

/// Frames may still be in the queue when the end is told.
pub const END_GRACE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub struct Writer {
    sessions: BTreeMap<RecordingId, Session>,
    /// For the clerk, in order; bounded by what the core asks and a sync each [`SYNC_EVERY`].
    pub outbox: VecDeque<Job>,
    /// For the layer, in order; one a recording.
    pub to_lay: VecDeque<About>,
    /// Frames of recordings that have not begun, or have ended.
    pub strays: u64,
}

impl Writer {
    pub fn command(&mut self, command: RecorderCommand) {
        match command {
            RecorderCommand::Begin { at, about } => {
                let session = Session::begin(&about, at);
                self.sessions.entry(about.recording).or_insert(session);
                self.to_lay.push_back(about.clone());
                self.outbox.push_back(Job::Begin(about));
            }
            RecorderCommand::Describe(about) => self.outbox.push_back(Job::Describe(about)),
            RecorderCommand::Pause { recording, at } => {
                if let Some(session) = self.sessions.get_mut(&recording) {
                    session.pause(at);
                }
            }
            RecorderCommand::Resume { recording, at } => {
                if let Some(session) = self.sessions.get_mut(&recording) {
                    session.resume(at);
                }
            }
            RecorderCommand::Listen { recording, at, is_talk } => {
                if let Some(session) = self.sessions.get_mut(&recording) {
                    session.talk(at, is_talk);
                }
            }
            RecorderCommand::End { recording, at } => {
                if let Some(session) = self.sessions.get_mut(&recording) {
                    session.end.get_or_insert(at);
                }
            }
            RecorderCommand::Heard { recording } => self.outbox.push_back(Job::Heard(recording)),
            RecorderCommand::Keep { recording } => self.outbox.push_back(Job::Keep(recording)),
            RecorderCommand::Discard { recording, told } => self.outbox.push_back(Job::Discard { recording, told }),
            RecorderCommand::Refuse { conversation, recording } => {
                self.outbox.push_back(Job::Refuse { conversation, recording });
            }
        }
    }

    pub fn frame(&mut self, frame: &Frame, report: &mut Reports<'_>) {
        let Some(session) = self.sessions.get_mut(&frame.recording) else { return self.strays += 1 };
        while session.is_behind(frame.at) {
            tick(session, frame.at, report);
        }
        session.push(frame);
    }

    /// The clerk hears of it after `Begin`, and once a file that came too late is let go: that writes a header once more.
    pub fn laid(&mut self, laid: Laid, now: Mono) {
        let Laid { recording, result } = laid;
        let result = result.map(|wav| {
            if let Some(session) = self.sessions.get_mut(&recording) {
                session.opened(wav, now);
            }
        });
        self.outbox.push_back(Job::Laid { recording, result });
    }

    pub fn dropped(&mut self, dropped: BTreeMap<RecordingId, [u64; 2]>) {
        for (id, samples) in dropped {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.count_dropped(samples);
            }
        }
    }

    /// Every [`WRITE_EVERY`]: writes, asks for syncs, ends what is due. All frames that came before `now` have been given.
    pub fn tick(&mut self, now: Mono, report: &mut Reports<'_>) {
        for session in self.sessions.values_mut() {
            tick(session, now, report);
            if now.since(session.last_sync) >= SYNC_EVERY {
                session.last_sync = now;
                session.save_drawing();
                self.outbox
                    .extend(session.file().map(|file| Job::Sync { recording: session.recording, file: Arc::downgrade(&file) }));
                let dropped_ms = session.take_dropped_ms();
                if dropped_ms > 0 {
                    report(gap(session, "queue_full", dropped_ms));
                }
            }
        }
        let ended = |s: &Session| s.end.is_some_and(|at| now >= at + END_GRACE);
        let due: Vec<RecordingId> = self.sessions.iter().filter(|(_, s)| ended(s)).map(|(id, _)| *id).collect();
        for id in due {
            self.finish(id, now, report);
        }
    }

    /// Ends everything: those without an end are ended now.
    pub fn finish_all(&mut self, now: Mono, report: &mut Reports<'_>) {
        while let Some(id) = self.sessions.keys().next().copied() {
            self.finish(id, now, report);
        }
    }

    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.outbox.is_empty() && self.to_lay.is_empty()
    }

    pub fn is_stalled(&self) -> bool {
        self.sessions.values().any(Session::is_stalled)
    }

    fn finish(&mut self, id: RecordingId, now: Mono, report: &mut Reports<'_>) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        let dropped_ms = session.take_dropped_ms();
        if dropped_ms > 0 {
            report(gap(&session, "queue_full", dropped_ms));
        }
        let (recording, conversation) = (session.recording, session.conversation);
        let at = session.end.unwrap_or(now);
        let ending = session.finish(at);
        if let Some((why, gap_ms)) = ending.gap {
            report(RecorderReport::Gap { conversation, recording, reason: why.reason().to_owned(), gap_ms });
        }
        self.outbox.push_back(Job::Finish {
            recording,
            frames: ending.frames,
            lost_ms: ending.lost_ms,
            sound: ending.sound.map(Box::new),
        });
    }
}

fn tick(session: &mut Session, now: Mono, report: &mut Reports<'_>) {
    match session.tick(now) {
        Progress::Fine => {}
        Progress::Fell(error) => {
            tracing::error!(recording = %session.recording, %error, "a recording can't be written");
        }
        Progress::Back { gap_ms } => report(gap(session, "disk", gap_ms)),
        Progress::Full => tracing::error!(recording = %session.recording, "a recording has reached 2 GiB"),
    }
}

fn gap(session: &Session, reason: &str, gap_ms: u64) -> RecorderReport {
    RecorderReport::Gap { conversation: session.conversation, recording: session.recording, reason: reason.to_owned(), gap_ms }
}
