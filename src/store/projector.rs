//! The thread that writes the rows of conversations, their ladders and other folds of the log into the index, and catches up on what the log could not hand over.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Health;
use super::conversations::{Conversations, FoldError};
use super::folds::Fed;
use super::ladders::Ladders;
use super::log::Log;
use super::thread::{PANICKED, watched};

/// The part that [`Health`] is told about.
const PART: &str = "conversations";

/// Between two writes. A kill costs the next start the folding of so much; each write costs the index the same, however much is in it.
const EVERY: Duration = Duration::from_secs(1);

pub struct Projector {
    /// Dropped to stop it.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Projector {
    pub fn start(
        rows: Conversations,
        ladders: Ladders,
        folds: Vec<Arc<dyn Fed>>,
        log: Log,
        health: Health,
    ) -> std::io::Result<Projector> {
        let (stop, stopped) = sync_channel(1);
        let ill = health.clone();
        let run = move || {
            let mut trouble = false;
            loop {
                let end = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                match step(&rows, &ladders, &folds, &log) {
                    Ok(()) => {
                        if std::mem::take(&mut trouble) {
                            health(PART, None);
                        }
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut trouble, true) {
                            tracing::error!(%error, "conversations can't be written into the index");
                            health(PART, Some(&error.to_string()));
                        }
                    }
                }
                if end {
                    return;
                }
            }
        };
        let thread = watched("projector", run, move || ill(PART, Some(PANICKED)))?;
        Ok(Projector { stop, thread })
    }

    /// Folds what is durable, writes it, and ends.
    pub fn close(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the projector's thread has panicked");
        }
    }
}

fn step(rows: &Conversations, ladders: &Ladders, folds: &[Arc<dyn Fed>], log: &Log) -> Result<(), FoldError> {
    // Before the rows, whose sync makes them durable too.
    ladders.commit()?;
    rows.commit()?;
    rows.catch_up(log)?;
    for fold in folds {
        fold.commit()?;
        fold.catch_up(log)?;
    }
    Ok(())
}
