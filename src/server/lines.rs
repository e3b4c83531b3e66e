//! The process's own log on its way out.
//!
//! Who has a line to say never waits, whoever reads it: a reader that stalls or dies must not stop a call. Lines wait in memory, as many as
//! [`MOST`] octets; what is over that is dropped, and how many lines that were is said in their place. One thread writes them a
//! moment later, many at once: a line that woke a thread of its own cost more than all else that is written about a call.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Octets that wait: several thousand lines.
const MOST: usize = 1 << 20;
/// How long a first line waits for company; a kill takes so much of the log.
const LINGER: Duration = Duration::from_millis(100);
/// What waits at the end of the process is written in this time, or not at all.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes lines; clones are the same log.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

/// While this lives the lines are written; when it is dropped, those that wait still are.
pub struct Written {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    dropped: u64,
    closed: bool,
    /// All is written, and nobody will write again.
    over: bool,
}

impl Lines {
    pub fn to(out: impl Write + Send + 'static) -> io::Result<(Lines, Written)> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = Builder::new().name("lines".into()).spawn(move || own.run(out))?;
        Ok((Lines(shared.clone()), Written { shared, thread: Some(thread) }))
    }
}

impl Write for Lines {
    /// One line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > MOST {
            state.dropped += 1;
            return Ok(line.len());
        }
        let first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if first {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        self.clone()
    }
}

impl Shared {
    fn run(&self, mut out: impl Write) {
        loop {
            let idle = |s: &mut State| s.waiting.is_empty() && !s.closed;
            let state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let open = |s: &mut State| !s.closed;
            let waited = self.changed.wait_timeout_while(state, LINGER, open);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let (lines, dropped) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.dropped));
            let closed = state.closed;
            drop(state);
            // There is nobody who could be told that the log can't be written.
            let _ = out.write_all(&lines);
            if dropped > 0 {
                let _ = writeln!(out, "{dropped} lines of the log were dropped here: they were not read in time");
            }
            let _ = out.flush();
            if closed && lines.is_empty() {
                self.lock().over = true;
                self.changed.notify_all();
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let waiting = |s: &mut State| !s.over;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), LAST_WORDS, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let over = state.over;
        drop(state);
        // A thread that a reader holds up ends with the process.
        if let Some(thread) = self.thread.take().filter(|_| over) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Says what was written, and waits for leave before the next.
    struct Reader {
        told: SyncSender<Vec<u8>>,
        leave: Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.told.send(bytes.to_vec());
            let _ = self.leave.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_their_order_and_the_last_ones_at_the_end() {
        let (told, tells) = sync_channel(1_000);
        let (permit, leave) = sync_channel(1);
        drop(permit);
        let (mut lines, written) = Lines::to(Reader { told, leave }).unwrap();
        for n in 0..1_000 {
            writeln!(lines, "line {n}").unwrap();
        }
        drop(written);
        let all = tells.iter().flatten().collect::<Vec<u8>>();
        let expected: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time_and_is_told_how_many() {
        let (told, tells) = sync_channel(1_000);
        let (permit, leave) = sync_channel(1);
        let (mut lines, written) = Lines::to(Reader { told, leave }).unwrap();
        lines.write_all(b"first\n").unwrap();
        assert_eq!(tells.recv().unwrap(), b"first\n", "it is being written, and the reader stalls");
        let line = [b'x'; 1_024];
        for _ in 0..MOST / line.len() + 3 {
            lines.write_all(&line).unwrap();
        }
        assert_eq!(lines.0.lock().waiting.len(), MOST);
        drop(permit);
        drop(written);
        let rest = tells.iter().flatten().collect::<Vec<u8>>();
        let end = "\n3 lines of the log were dropped here: they were not read in time\n";
        assert_eq!(rest.len(), MOST + end.len() - 1);
        assert!(rest.ends_with(&end.as_bytes()[1..]));
    }
}
