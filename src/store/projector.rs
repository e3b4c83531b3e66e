//! The thread that keeps the rows of conversations up with the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Health;
use super::conversations::{Conversations, FoldError};
use super::log::{Log, Reader};

/// The part that [`Health`] is told about.
const PART: &str = "conversations";

/// How long it sleeps at the end of the log when nothing comes; only bounds how late a stop is noticed.
const IDLE: Duration = Duration::from_millis(500);

pub struct Projector {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Projector {
    pub fn start(rows: Conversations, log: Log, health: Health) -> std::io::Result<Projector> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            let mut reader = None;
            let mut trouble = false;
            loop {
                let stop = stopped.load(Ordering::Acquire);
                match step(&rows, &log, &mut reader) {
                    Ok(0) if stop => return,
                    Ok(0) => {
                        let last = reader.as_ref().map_or(0, Reader::position);
                        log.wait_past(last, IDLE);
                    }
                    Ok(_) => {
                        if std::mem::take(&mut trouble) {
                            health(PART, None);
                        }
                    }
                    Err(error) => {
                        // The reader may stand beyond what was committed: begin again at the checkpoint.
                        reader = None;
                        if !std::mem::replace(&mut trouble, true) {
                            tracing::error!(%error, "conversations can't be folded");
                            health(PART, Some(&error.to_string()));
                        }
                        if stop {
                            return;
                        }
                        log.wait_past(u64::MAX, IDLE);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("projector".into()).spawn(run)?;
        Ok(Projector { stop, thread })
    }

    /// Folds what is durable, and ends.
    pub fn close(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the projector's thread has panicked");
        }
    }
}

fn step(rows: &Conversations, log: &Log, reader: &mut Option<Reader>) -> Result<usize, FoldError> {
    let reader = match reader {
        Some(reader) => reader,
        None => reader.insert(rows.reader(log)?),
    };
    rows.fold(reader)
}
