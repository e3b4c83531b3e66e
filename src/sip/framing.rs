//! Messages out of a stream (RFC 3261 §7.5, §18.3), with the keep-alives of RFC 5626 §3.5.1 and §4.4.1 between them.
//!
//! A stream that has lost its frame is never resynchronised: where Content-Length is missing, repeated, unreadable or too large, the
//! error says `close`, and the framer gives nothing more. Memory is bounded by [`MAX_HEAD`] + [`MAX_BODY`] and one `feed`, as long as
//! [`next`](StreamFramer::next) is called until it gives `None`. A peer that stops in the middle is the transport's to time out.

use bytes::{Buf, BytesMut};

use super::error::ParseError;
use super::header::HeaderName;
use super::message::Message;
use super::parse::{self, Head};
use super::refusal::{self, Malformed};

/// Start line and headers. Real INVITEs with a dozen Vias and Identity headers stay under 8 KiB; RFC 4475's longest is 3.5.
pub const MAX_HEAD: usize = 16 * 1024;
/// Lines of headers. A long route set has about 40; chosen by feel.
pub const MAX_HEADERS: usize = 128;
/// A body: SDP with WebRTC's candidates is under 16 KiB; no datagram can hold more than this.
pub const MAX_BODY: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Message(Message),
    /// CRLFCRLF: answer with [`PONG`].
    KeepalivePing,
    /// CRLF: the answer to a ping, or idle noise.
    KeepalivePong,
}

/// What a ping is answered with.
pub const PONG: &[u8] = b"\r\n";
/// What a client sends to keep a flow alive.
pub const PING: &[u8] = b"\r\n\r\n";

#[derive(Debug, Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Octets of `buffer` in which the end of the headers is known not to begin.
    searched: usize,
    /// The headers of a message whose body is still coming.
    waiting: Option<Waiting>,
    /// The last thing given was a lone CRLF: one more makes it a ping.
    after_crlf: bool,
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    head: usize,
    body: usize,
}

impl StreamFramer {
    pub fn new() -> StreamFramer {
        StreamFramer::default()
    }

    /// Takes what was read. Nothing is kept once the stream is broken.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// A message has begun and is not whole yet: the transport's timer runs.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// An error said `close`.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The next whole thing, or `None` until more is fed.
    #[allow(clippy::should_implement_trait, reason = "None is not the end")]
    pub fn next(&mut self) -> Option<Result<Frame, Malformed>> {
        if self.broken {
            return None;
        }
        if self.waiting.is_none() {
            if let Some(frame) = self.keepalive() {
                return Some(Ok(frame));
            }
            match self.head() {
                Ok(found) => self.waiting = found,
                Err(malformed) => return Some(Err(self.fail(malformed))),
            }
        }
        let Waiting { head, body } = self.waiting?;
        if self.buffer.len() < head + body {
            return None;
        }
        self.waiting = None;
        self.searched = 0;
        let message = self.buffer.split_to(head + body).freeze();
        let scanned = Head::scan(message.clone());
        let result = parse::finish(scanned, Ok(message.slice(head..)));
        Some(match result {
            Ok(message) => Ok(Frame::Message(message)),
            // Not SIP at all: no reason to believe the rest.
            Err(malformed) if malformed.why == ParseError::StartLine => Err(self.fail(malformed)),
            Err(malformed) => Err(malformed),
        })
    }

    fn keepalive(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(PING) {
            self.buffer.advance(PING.len());
            self.after_crlf = false;
            return Some(Frame::KeepalivePing);
        }
        // CRLF and the CR of another one: wait for its LF.
        if self.buffer.starts_with(PONG) && self.buffer[..] != b"\r\n\r"[..] {
            self.buffer.advance(PONG.len());
            self.after_crlf = !self.after_crlf;
            return Some(if self.after_crlf { Frame::KeepalivePong } else { Frame::KeepalivePing });
        }
        None
    }

    /// Finds the empty line and reads Content-Length. `Ok(None)` until it is there.
    fn head(&mut self) -> Result<Option<Waiting>, Malformed> {
        if self.buffer.is_empty() || self.buffer[..] == b"\r"[..] || self.buffer.starts_with(b"\r\n") {
            return Ok(None);
        }
        self.after_crlf = false;
        let Some(end) = memchr::memmem::find(&self.buffer[self.searched..], b"\r\n\r\n") else {
            self.searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(self.refuse(Some(ParseError::HeadersTooLong { limit: MAX_HEAD })));
            }
            return Ok(None);
        };
        let head = self.searched + end + 4;
        if head > MAX_HEAD {
            return Err(self.refuse(Some(ParseError::HeadersTooLong { limit: MAX_HEAD })));
        }
        let scanned = Head::scan(self.buffer[..head].to_vec().into());
        match (scanned.content_length, &scanned.fault) {
            (Some(body), None) if body <= MAX_BODY => Ok(Some(Waiting { head, body })),
            (Some(_), None) => Err(self.refuse(Some(ParseError::BodyTooLong { limit: MAX_BODY }))),
            (None, None) => Err(self.refuse(Some(ParseError::Missing(HeaderName::ContentLength)))),
            // A bad line may be what hides another Content-Length.
            (_, Some(_)) => Err(self.refuse(None)),
        }
    }

    /// The refusal of the head that is in the buffer, for `why` or for its own fault.
    fn refuse(&self, why: Option<ParseError>) -> Malformed {
        let end = self.buffer.len().min(MAX_HEAD);
        let head = Head::scan(self.buffer[..end].to_vec().into());
        let why = why.or(head.fault).or(head.start.err()).unwrap_or(ParseError::StartLine);
        Malformed { reply: refusal::reply(&why, &head.headers, &head.line), why, close: true }
    }

    fn fail(&mut self, malformed: Malformed) -> Malformed {
        self.broken = true;
        self.buffer = BytesMut::new();
        Malformed { close: true, ..malformed }
    }
}
