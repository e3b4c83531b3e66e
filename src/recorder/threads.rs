//! The recorder's four threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Reports;
use super::clerk::{Clerk, Job, Surroundings, ToSeal};
use super::layer::{Laid, Layer};
use super::tap::{Dropped, FRAMES, Reach, Tap};
use super::wav::seal;
use super::writer::{WRITE_EVERY, Writer};
use crate::clock::{Mono, System};
use crate::ids::{ConversationId, RecordingId};
use crate::media::Frame;
use crate::store::disk::Disk;
use crate::store::recordings::{Folder, Recordings};
use crate::store::thread::{PANICKED, watched};
use crate::store::{Health, Store};
use crate::switch::input::RecorderReport;
use crate::switch::output::{About, RecorderCommand};

/// Commands from the core that wait while the writer hangs on a disk: a few a call, so this is hours of a hundred agents. The core must
/// never wait for a disk; what comes beyond is lost, counted, and told.
pub const COMMANDS: usize = 65_536;

/// Of these, what may wait when another recording is begun, or a message changed. The rest is for those that run: one whose end is lost is
/// written on, and one whose pause or refusal is lost keeps what must not be kept.
const BEGINNINGS: usize = COMMANDS / 2;

/// Told of recordings whose beginning was lost.
const NO_ROOM: &str = "the recorder hung, and had no room for its beginning";

/// Jobs from writer and sealer to the clerk. When full they stay in the writer's own outbox.
const JOBS: usize = 1_024;

/// Recordings that wait for the layer, and files from it. When full the first stay in the writer's own outbox, and for the other the layer
/// waits: the writer looks often.
const LAYS: usize = 1_024;

/// Files that wait for their hash. When full they stay on the clerk's desk.
const SEALS: usize = 256;

/// The writer looks at its queues this often. Workers don't wake it: at 10,000 frames a second waking would cost more than the work.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// While nothing is recorded; a command wakes it.
const LOOK_IDLE: Duration = Duration::from_millis(200);

/// Frames taken before commands are looked at again.
const FRAMES_AT_ONCE: usize = 2_048;

/// The clerk looks again at what failed, and so does the layer.
const RETRY: Duration = Duration::from_secs(1);

/// Rounds in trouble after the recorder was told to stop, before what is left is left to the repair.
const LAST_TRIES: u32 = 5;

/// A worker that has read its sockets so shortly ago has all that there is.
const CURRENT: Duration = Duration::from_millis(50);

/// What a worker has not read after this long is not waited for: its thread hangs, and the other recordings go on. A worker takes what is
/// older for a new beginning of its source, and a time line has room for it.
pub const WAIT_FOR_WORKERS: Duration = Duration::from_secs(2);

/// Up to when a recording's time has passed, by what the workers have read.
fn horizon(now: Mono, reach: Option<Mono>) -> Mono {
    reach.map_or(now, |reach| now.min((reach + CURRENT).max(now - WAIT_FOR_WORKERS)))
}

/// The part that [`Health`] is told about.
const PART: &str = "recording";

/// A handle to the running recorder.
pub struct Recorder {
    commands: Arc<Commands>,
    health: Trouble,
    tap: Tap,
    dropped: Arc<Dropped>,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the recorder had no room for, since the start.
#[derive(Clone, Debug)]
pub struct Losses {
    commands: Arc<AtomicU64>,
    frames: Arc<Dropped>,
}

impl Losses {
    /// For `/metrics`: names without prefix, and totals.
    pub fn collect(&self) -> [(String, u64); 2] {
        [
            ("recorder_commands_lost_total".to_owned(), self.commands.load(Ordering::Relaxed)),
            ("media_frames_not_recorded_total".to_owned(), self.frames.frames()),
        ]
    }
}

/// Sends a report to the core's driver. Called from the recorder's threads; may wait a little.
pub type ReportTo = Arc<dyn Fn(RecorderReport) + Send + Sync>;

impl Recorder {
    /// Run [`super::repair::repair`] first. `clock` is the core's.
    pub fn start(
        store: &Store,
        disk: Arc<dyn Disk>,
        clock: System,
        report: ReportTo,
        health: Health,
    ) -> std::io::Result<Recorder> {
        Self::start_on(store.folder.clone(), store.recordings.clone(), disk, clock, report, health, FRAMES)
    }

    fn start_on(
        folder: Folder,
        table: Recordings,
        disk: Arc<dyn Disk>,
        clock: System,
        report: ReportTo,
        health: Health,
        room: usize,
    ) -> std::io::Result<Recorder> {
        let commands = Arc::new(Commands::default());
        let (frames, frame_queue) = tokio::sync::mpsc::channel(room);
        let (jobs, job_queue) = sync_channel(JOBS);
        let (to_lay, lay_queue) = sync_channel(LAYS);
        let (laid, laid_queue) = sync_channel(LAYS);
        let (seals, seal_queue) = sync_channel::<ToSeal>(SEALS);
        let dropped = Arc::new(Dropped::default());
        let reach = Arc::new(Reach::default());
        let stop = Arc::new(AtomicBool::new(false));
        let health = Trouble { health, parts: Arc::default() };
        let (ill, told) = (health.clone(), health.clone());

        let sealer = {
            let (disk, jobs) = (disk.clone(), jobs.clone());
            move || {
                while let Ok(ToSeal { recording, unsealed }) = seal_queue.recv() {
                    let result = seal(&*disk, &unsealed);
                    if jobs.send(Job::Hashed { recording, result }).is_err() {
                        return;
                    }
                }
            }
        };
        let layer = {
            let layer = Layer::new(disk.clone(), folder.clone());
            move || lay_all(layer, &lay_queue, &laid, clock)
        };
        let clerk = ClerkThread {
            clerk: Clerk::new(disk, folder, table),
            jobs: job_queue,
            around: Around { seals },
            report: report.clone(),
            clock,
            health: health.clone(),
            stop: stop.clone(),
        };
        let writer = WriterThread {
            writer: Writer::default(),
            commands: commands.clone(),
            frames: frame_queue,
            to_lay: Some(to_lay),
            laid: laid_queue,
            dropped: dropped.clone(),
            reach: reach.clone(),
            jobs,
            clock,
            report,
            health,
            stop: stop.clone(),
        };
        let spawn = |name: &'static str, run: Box<dyn FnOnce() + Send>| {
            let ill = ill.clone();
            watched(name, run, move || ill.say(name, Some(&format!("{name}: {PANICKED}"))))
        };
        let threads = vec![
            spawn("recorder", Box::new(move || writer.run()))?,
            spawn("recorder-layer", Box::new(layer))?,
            spawn("recorder-clerk", Box::new(move || clerk.run()))?,
            spawn("recorder-seal", Box::new(sealer))?,
        ];
        let tap = Tap::new(frames, dropped.clone(), reach);
        Ok(Recorder { commands, health: told, tap, dropped, stop, threads: Mutex::new(threads) })
    }

    /// For the driver of the core, in the order in which the core says it. Never waits.
    pub fn command(&self, command: RecorderCommand) {
        if !self.commands.push(command) {
            tracing::error!("the recorder hangs, and a command to it is lost");
            self.health.say("commands", Some("the recorder hangs, and commands to it are lost"));
        }
    }

    /// What was lost, for as long as somebody asks.
    pub fn losses(&self) -> Losses {
        Losses { commands: self.commands.lost.clone(), frames: self.dropped.clone() }
    }

    /// For media workers; clone it for each.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// Ends all recordings now, waits until they are durable as far as the disk takes them, and ends the threads. What a disk in
    /// trouble leaves undone, the repair at the next start does.
    pub fn close(&self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the recorder has panicked");
            }
        }
    }
}

/// A bounded queue that the core puts into without waiting.
#[derive(Default)]
struct Commands {
    waiting: Mutex<Waiting>,
    came: Condvar,
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<RecorderCommand>,
    /// Recordings whose beginning was lost: as many as there may be commands.
    not_begun: Vec<(ConversationId, RecordingId)>,
}

impl Commands {
    fn push(&self, command: RecorderCommand) -> bool {
        let room = match &command {
            RecorderCommand::Begin { .. } | RecorderCommand::Heard { .. } | RecorderCommand::Keep { .. } => BEGINNINGS,
            RecorderCommand::Describe(_)
            | RecorderCommand::Pause { .. }
            | RecorderCommand::Resume { .. }
            | RecorderCommand::Listen { .. }
            | RecorderCommand::End { .. }
            | RecorderCommand::Discard { .. }
            | RecorderCommand::Refuse { .. } => COMMANDS,
        };
        let mut waiting = self.lock();
        let taken = waiting.queue.len() < room;
        if taken {
            waiting.queue.push_back(command);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            if let RecorderCommand::Begin { about, .. } = command
                && waiting.not_begun.len() < COMMANDS
            {
                waiting.not_begun.push((about.conversation, about.recording));
            }
        }
        drop(waiting);
        self.came.notify_one();
        taken
    }

    /// Sleeps until there is one, for `patience` at most.
    fn wait(&self, patience: Duration) {
        drop(self.came.wait_timeout_while(self.lock(), patience, |waiting| waiting.queue.is_empty()));
    }

    fn pop(&self) -> Option<RecorderCommand> {
        self.lock().queue.pop_front()
    }

    /// Recordings that were to begin, and nobody was told to.
    fn not_begun(&self) -> Vec<(ConversationId, RecordingId)> {
        std::mem::take(&mut self.lock().not_begun)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After all frames that were there.
struct Drained {
    now: Mono,
    horizon: Mono,
}

struct WriterThread {
    writer: Writer,
    commands: Arc<Commands>,
    frames: tokio::sync::mpsc::Receiver<Frame>,
    /// `None` after the last one.
    to_lay: Option<SyncSender<About>>,
    laid: Receiver<Laid>,
    dropped: Arc<Dropped>,
    reach: Arc<Reach>,
    jobs: SyncSender<Job>,
    clock: System,
    report: ReportTo,
    health: Trouble,
    stop: Arc<AtomicBool>,
}

impl WriterThread {
    fn run(mut self) {
        let report = self.report.clone();
        let mut report = move |r| report(r);
        let mut next_tick = self.clock.mono() + WRITE_EVERY;
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            self.commands.wait(if self.writer.is_idle() { LOOK_IDLE } else { LOOK_EVERY });
            let Drained { now, horizon } = self.drain(&mut report);
            for (conversation, recording) in self.commands.not_begun() {
                report(RecorderReport::Failed { conversation, recording, reason: NO_ROOM.to_owned() });
            }
            self.health.say("commands", None);
            if now >= next_tick {
                next_tick = now + WRITE_EVERY;
                self.writer.dropped(self.dropped.take());
                self.writer.tick(horizon, &mut report);
                self.health.say("disk", self.writer.is_stalled().then_some("a recording can't be written"));
            }
            if stop {
                self.last_laid();
                self.writer.dropped(self.dropped.take());
                self.writer.finish_all(now, &mut report);
            }
            self.send();
            if stop && self.writer.outbox.is_empty() {
                let _ = self.jobs.send(Job::WriterEnded);
                return;
            }
        }
    }

    fn drain(&mut self, report: &mut Reports<'_>) -> Drained {
        loop {
            // Asked before the frames are taken: what was offered by then is among them.
            let reach = self.reach.of_all(self.clock.mono());
            while let Some(command) = self.commands.pop() {
                self.writer.command(command);
            }
            let mut taken = 0;
            while taken < FRAMES_AT_ONCE
                && let Ok(frame) = self.frames.try_recv()
            {
                self.writer.frame(&frame, report);
                taken += 1;
            }
            let now = self.clock.mono();
            // A call that just began has its file made while the frames of others are written.
            self.send_to_lay();
            while let Ok(laid) = self.laid.try_recv() {
                self.writer.laid(laid, now);
            }
            if taken < FRAMES_AT_ONCE {
                return Drained { now, horizon: horizon(now, reach) };
            }
        }
    }

    fn send_to_lay(&mut self) {
        let Some(to_lay) = &self.to_lay else { return };
        while let Some(about) = self.writer.to_lay.pop_front() {
            if let Err(TrySendError::Full(about)) = to_lay.try_send(about) {
                self.writer.to_lay.push_front(about);
                return;
            }
        }
    }

    /// What waits for its file gets it before the end, if the disk has one.
    fn last_laid(&mut self) {
        let Some(to_lay) = self.to_lay.take() else { return };
        let mut last = std::mem::take(&mut self.writer.to_lay);
        loop {
            // Both queues are bounded, so one is emptied while the other is filled.
            while let Ok(laid) = self.laid.try_recv() {
                self.writer.laid(laid, self.clock.mono());
            }
            let Some(about) = last.pop_front() else { break };
            match to_lay.try_send(about) {
                Ok(()) => {}
                Err(TrySendError::Full(about)) => {
                    last.push_front(about);
                    match self.laid.recv_timeout(RETRY) {
                        Ok(laid) => self.writer.laid(laid, self.clock.mono()),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        drop(to_lay);
        while let Ok(laid) = self.laid.recv() {
            self.writer.laid(laid, self.clock.mono());
        }
    }

    fn send(&mut self) {
        while let Some(job) = self.writer.outbox.pop_front() {
            match self.jobs.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => {
                    self.writer.outbox.push_front(job);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }
}

/// Until the writer asks for no more, and then once more for what has failed.
fn lay_all(mut layer: Layer, orders: &Receiver<About>, laid: &SyncSender<Laid>, clock: System) {
    // The writer empties this on each look, and after its end nobody needs the handle.
    let mut hand_over = |one| drop(laid.send(one));
    let mut next_try = Mono::ZERO;
    loop {
        let order = if layer.is_done() { orders.recv().map_err(RecvTimeoutError::from) } else { orders.recv_timeout(RETRY) };
        let is_end = matches!(order, Err(RecvTimeoutError::Disconnected));
        if let Ok(about) = order {
            layer.take(about);
        }
        // A disk in trouble is asked once in a while, not at each call.
        let again = is_end || clock.mono() >= next_try;
        layer.work(again, &mut hand_over);
        if is_end {
            return;
        }
        if again {
            next_try = clock.mono() + RETRY;
        }
    }
}

struct ClerkThread {
    clerk: Clerk,
    jobs: Receiver<Job>,
    around: Around,
    report: ReportTo,
    clock: System,
    health: Trouble,
    stop: Arc<AtomicBool>,
}

struct Around {
    seals: SyncSender<ToSeal>,
}

impl Surroundings for Around {
    fn seal(&mut self, order: ToSeal) -> bool {
        self.seals.try_send(order).is_ok()
    }
}

impl ClerkThread {
    fn run(mut self) {
        let to = self.report.clone();
        let mut report = move |r| to(r);
        let mut patience = LAST_TRIES;
        let mut next_loss = Mono::ZERO;
        let mut next_round = Mono::ZERO;
        loop {
            match self.jobs.recv_timeout(if self.clerk.has_more() { Duration::ZERO } else { RETRY }) {
                Ok(job) => self.clerk.take(job),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            while let Ok(job) = self.jobs.try_recv() {
                self.clerk.take(job);
            }
            // A disk in trouble is asked once in a while, not at each job; but what it still takes it is given.
            let now = self.clock.mono();
            if self.clerk.trouble().is_some() && !self.clerk.has_more() && now < next_round {
                continue;
            }
            next_round = now + RETRY;
            self.clerk.work(&mut self.around, &mut report);
            self.health.say("files and index", self.clerk.trouble());
            if self.stop.load(Ordering::Acquire) {
                // A writer that panicked never says that it has ended.
                if (self.clerk.trouble().is_some() || !self.clerk.writer_ended()) && now >= next_loss {
                    patience -= 1;
                    next_loss = now + RETRY;
                }
                if self.clerk.is_done() {
                    return;
                }
                if patience == 0 {
                    tracing::error!(recordings = self.clerk.open(), "recordings are left to the repair at the next start");
                    return;
                }
            }
        }
    }
}

/// Two threads speak for one part: it is well when both are.
#[derive(Clone)]
struct Trouble {
    health: Health,
    parts: Arc<Mutex<std::collections::BTreeMap<&'static str, String>>>,
}

impl Trouble {
    fn say(&self, who: &'static str, what: Option<&str>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.get(who).map(String::as_str) == what {
            return;
        }
        match what {
            Some(what) => drop(parts.insert(who, what.to_owned())),
            None => drop(parts.remove(who)),
        }
        let all: Vec<&str> = parts.values().map(String::as_str).collect();
        (self.health)(PART, (!all.is_empty()).then(|| all.join("; ")).as_deref());
    }
}

#[cfg(test)]
mod tests;
