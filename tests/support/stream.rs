//! A reader of the switch's event stream (SSE), as an outside program would be: it keeps what came, in order, and can be cut and
//! resumed from the last event seen.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One event as it came: its `id:` line, and the CloudEvents object of its `data:` lines.
#[derive(Clone, Debug)]
pub struct Event {
    pub sequence: u64,
    /// Without `cordboard.`: `call.started`.
    pub kind: String,
    /// Conversation id, empty if the event belongs to none.
    pub subject: String,
    pub cloud_event: Value,
}

impl Event {
    pub fn data(&self) -> &Value {
        &self.cloud_event["data"]
    }
}

pub struct EventStream {
    socket: TcpStream,
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    /// Why the stream is over, once it is.
    ended: Option<String>,
}

impl EventStream {
    /// `query` is what stands behind `?`: `since=0&types=call.*`. Returns when the server has answered 200.
    #[track_caller]
    pub fn open(server: SocketAddr, token: &str, query: &str) -> EventStream {
        EventStream::try_open(server, token, query).unwrap_or_else(|e| panic!("event stream ?{query}: {e}"))
    }

    /// An answer other than 200 is an error with its status line.
    pub fn try_open(server: SocketAddr, token: &str, query: &str) -> io::Result<EventStream> {
        let mut socket = TcpStream::connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let path = if query.is_empty() { "/api/v1/events".to_owned() } else { format!("/api/v1/events?{query}") };
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
        )?;
        let mut reader = BufReader::new(socket.try_clone()?);
        let status = line(&mut reader)?;
        if status.split(' ').nth(1) != Some("200") {
            return Err(io::Error::other(status));
        }
        let mut chunked = false;
        loop {
            let header = line(&mut reader)?.to_ascii_lowercase();
            chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
            if header.is_empty() {
                break;
            }
        }
        socket.set_read_timeout(None)?;
        let inbox = Arc::new(Inbox::default());
        let kept = inbox.clone();
        std::thread::spawn(move || {
            let ended =
                if chunked { read(BufReader::new(Chunks { inner: reader, left: 0 }), &kept) } else { read(reader, &kept) };
            let reason = ended.err().map_or_else(|| "the server ended it".to_owned(), |e| e.to_string());
            kept.state.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(reason);
            kept.news.notify_all();
        });
        Ok(EventStream { socket, inbox })
    }

    /// The first event of this kind that the predicate likes, whether it came already or comes within the time.
    #[track_caller]
    pub fn wait_for(&self, kind: &str, within: Duration, likes: impl Fn(&Event) -> bool) -> Event {
        self.wait_in_events(&format!("event {kind}"), within, |events| {
            events.iter().find(|e| e.kind == kind && likes(e)).cloned()
        })
    }

    /// Waits until `find` sees what it wants in all events so far.
    #[track_caller]
    pub fn wait_in_events<T>(&self, what: &str, within: Duration, find: impl Fn(&[Event]) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        let mut state = self.inbox.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&state.events) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended.is_some() {
                let ended = state.ended.clone().unwrap_or_else(|| format!("{within:?} passed"));
                let story: Vec<String> = state.events.iter().map(|e| format!("{} {} {}", e.sequence, e.kind, e.data())).collect();
                drop(state);
                panic!("no {what} ({ended}); the stream told:\n{}", story.join("\n"));
            }
            state = self.inbox.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything that came so far, in the order in which it came.
    pub fn events(&self) -> Vec<Event> {
        self.inbox.state.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    /// Cuts the connection; gives what it had told until then.
    pub fn cut(self) -> Vec<Event> {
        let _ = self.socket.shutdown(Shutdown::Both);
        self.events()
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Panics unless each event follows the one before it by exactly one.
#[track_caller]
pub fn assert_gapless(events: &[Event]) {
    for pair in events.windows(2) {
        assert_eq!(pair[0].sequence + 1, pair[1].sequence, "gap or repeat between {:?} and {:?}", pair[0], pair[1]);
    }
}

/// Reads blocks of `field: value` lines (WHATWG HTML §9.2.6) until the stream ends.
fn read(mut from: impl BufRead, inbox: &Inbox) -> io::Result<()> {
    let (mut id, mut data) = (None, String::new());
    loop {
        let text = line(&mut from)?;
        if text.is_empty() {
            if let Ok(cloud_event) = serde_json::from_str::<Value>(&data) {
                let said = cloud_event["sequence"].as_str().and_then(|s| s.parse().ok());
                let field = |name: &str| cloud_event[name].as_str().unwrap_or_default().to_owned();
                let kind = field("type").trim_start_matches("cordboard.").to_owned();
                let subject = field("subject");
                assert_eq!(id, said, "the id line and the sequence of {cloud_event}");
                let event = Event { sequence: id.unwrap_or_default(), kind, subject, cloud_event };
                inbox.state.lock().unwrap_or_else(PoisonError::into_inner).events.push(event);
                inbox.news.notify_all();
            }
            (id, data) = (None, String::new());
            continue;
        }
        match text.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("id", value)) => id = value.parse().ok(),
            Some(("data", value)) => data.push_str(value),
            _ => {} // a comment that keeps the connection alive, or a field that we do not need
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The bytes inside HTTP's chunked coding (RFC 9112 §7.1).
struct Chunks<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut size = line(&mut self.inner)?;
            if size.is_empty() {
                size = line(&mut self.inner)?; // the end of the chunk before
            }
            let digits = size.split(';').next().unwrap_or_default().trim();
            self.left = usize::from_str_radix(digits, 16).map_err(|_| io::Error::other(format!("chunk of size {size:?}")))?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let wanted = buffer.len().min(self.left);
        let got = self.inner.read(&mut buffer[..wanted])?;
        self.left -= got;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_across_chunks_and_comments_are_skipped() {
        let wire = "9\r\n: hello\n\r\n1\r\n\n\r\n2f\r\nid: 7\ndata: {\"type\":\"cordboard.call.started\",\"s\r\n\
                    28\r\nubject\":\"c\",\"sequence\":\"7\",\"data\":{}}\n\n\r\n0\r\n\r\n";
        let inbox = Inbox::default();
        let end = read(BufReader::new(Chunks { inner: BufReader::new(wire.as_bytes()), left: 0 }), &inbox);
        assert!(end.is_err());
        let events = &inbox.state.lock().unwrap_or_else(PoisonError::into_inner).events;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].sequence, events[0].kind.as_str(), events[0].subject.as_str()), (7, "call.started", "c"));
    }
}
