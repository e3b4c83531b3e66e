//! A reader that goes on: first through the files, then live.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::reader::Reader;
use super::{LogError, Shared, Stored};

/// Events fetched from the files at once.
const PAGE: usize = 512;

/// Every event after a place, in order, each once. Follows as long as it is asked.
pub struct Follow {
    state: State,
    /// Sequence of the last event that was given out.
    last: u64,
}

enum State {
    Behind(Box<Behind>),
    Live(broadcast::Receiver<Arc<Stored>>),
    Ended,
}

struct Behind {
    shared: Arc<Shared>,
    reader: Reader,
    page: std::vec::IntoIter<Stored>,
    /// Subscribed only when the end of the files is reached, so that a long way through them does not overflow it.
    live: Option<broadcast::Receiver<Arc<Stored>>>,
}

impl Follow {
    pub(super) fn new(shared: Arc<Shared>, sequence: Option<u64>) -> Result<Follow, LogError> {
        // Subscribed before the end is looked at: what becomes durable in between is in the queue, and passed over by number.
        let live = shared.live.subscribe();
        let durable = shared.durable.load(Ordering::Acquire);
        match sequence {
            Some(n) if n != durable => {
                let reader = Reader::since(shared.clone(), n)?;
                Ok(Follow {
                    state: State::Behind(Box::new(Behind { shared, reader, page: Vec::new().into_iter(), live: None })),
                    last: n,
                })
            }
            Some(_) | None => Ok(Follow { state: State::Live(live), last: durable }),
        }
    }

    /// The next event, as soon as there is one. Safe to drop and call again.
    ///
    /// # Errors
    /// [`LogError::TooSlow`] when more than [`super::LIVE`] events became durable since the last call; [`LogError::Closed`] at the
    /// end; [`LogError::Gone`] where retention overtook it. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Arc<Stored>, LogError> {
        loop {
            let next = match &mut self.state {
                State::Ended => Err(LogError::Closed),
                State::Behind(behind) => match behind.next() {
                    Ok(Some(stored)) => Ok(stored),
                    Ok(None) => {
                        self.state = behind.live.take().map_or(State::Ended, State::Live);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                State::Live(live) => live.recv().await.map_err(|e| match e {
                    RecvError::Lagged(_) => LogError::TooSlow,
                    RecvError::Closed => LogError::Closed,
                }),
            };
            match next {
                Ok(stored) if stored.sequence <= self.last => {}
                Ok(stored) => {
                    self.last = stored.sequence;
                    return Ok(stored);
                }
                Err(error) => {
                    self.state = State::Ended;
                    return Err(error);
                }
            }
        }
    }

    /// Sequence of the last event that was given out.
    pub fn position(&self) -> u64 {
        self.last
    }
}

impl Behind {
    /// From the files. `None`: at their end, and `live` holds what comes after it.
    ///
    /// They are read in place and not on a blocking thread: a page is small and almost always in the page cache, and a future that is
    /// dropped half way loses nothing.
    fn next(&mut self) -> Result<Option<Arc<Stored>>, LogError> {
        loop {
            if let Some(stored) = self.page.next() {
                return Ok(Some(Arc::new(stored)));
            }
            let mut page = Vec::with_capacity(PAGE);
            while page.len() < PAGE {
                match self.reader.next()? {
                    Some(stored) => page.push(stored),
                    None => break,
                }
            }
            match (page.is_empty(), &self.live) {
                (true, Some(_)) => return Ok(None),
                // The end for now: subscribe, and look once more for what came in between.
                (true, None) => self.live = Some(self.shared.live.subscribe()),
                (false, Some(_) | None) => self.page = page.into_iter(),
            }
        }
    }
}
