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
#[allow(clippy::large_enum_variant, reason = "taken apart at once, and nearly always a message")]
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

#[derive(Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Octets of `buffer` in which the end of the headers is known not to begin.
    searched: usize,
    /// The headers of a message whose body is still coming, with that body's length.
    waiting: Option<(Head, usize)>,
    /// The last thing given was a lone CRLF: one more makes it a ping.
    after_crlf: bool,
    broken: bool,
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
        self.waiting.is_some() || !self.buffer.is_empty()
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
        let (head, body) = match self.waiting.take() {
            Some(waiting) => waiting,
            None => {
                if let Some(frame) = self.keepalive() {
                    return Some(Ok(frame));
                }
                match self.head()? {
                    Ok(found) => found,
                    Err(malformed) => {
                        self.broken = true;
                        self.buffer = BytesMut::new();
                        return Some(Err(malformed));
                    }
                }
            }
        };
        if self.buffer.len() < body {
            self.waiting = Some((head, body));
            return None;
        }
        let body = self.buffer.split_to(body).freeze();
        Some(parse::finish(head, Ok(body)).map(Frame::Message))
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

    /// Finds the empty line, takes the head off the buffer, and reads Content-Length. `None` until it is there.
    fn head(&mut self) -> Option<Result<(Head, usize), Malformed>> {
        if self.buffer.is_empty() || self.buffer[..] == b"\r"[..] || self.buffer.starts_with(b"\r\n") {
            return None;
        }
        self.after_crlf = false;
        let found = memchr::memmem::find(&self.buffer[self.searched..], b"\r\n\r\n").map(|at| self.searched + at + 4);
        let length = match found {
            None if self.buffer.len() <= MAX_HEAD => {
                self.searched = self.buffer.len().saturating_sub(3);
                return None;
            }
            Some(length) if length <= MAX_HEAD => length,
            // What is there is scanned for the headers that the refusal echoes.
            None | Some(_) => {
                let head = Head::scan(self.buffer.split_to(MAX_HEAD).freeze());
                return Some(Err(refuse(&head, ParseError::HeadersTooLong { limit: MAX_HEAD })));
            }
        };
        self.searched = 0;
        let head = Head::scan(self.buffer.split_to(length).freeze());
        Some(match (&head.start, head.content_length, &head.fault) {
            // Not SIP at all.
            (Err(ParseError::StartLine), _, _) => Err(refuse(&head, ParseError::StartLine)),
            // A bad line may be what hides another Content-Length.
            (_, _, Some(fault)) => Err(refuse(&head, fault.clone())),
            (_, Some(body), None) if body <= MAX_BODY => Ok((head, body)),
            (_, Some(_), None) => Err(refuse(&head, ParseError::BodyTooLong { limit: MAX_BODY })),
            (_, None, None) => Err(refuse(&head, ParseError::Missing(HeaderName::ContentLength))),
        })
    }
}

fn refuse(head: &Head, why: ParseError) -> Malformed {
    Malformed { reply: refusal::reply(&why, &head.headers, &head.line), why, close: true }
}

impl std::fmt::Debug for StreamFramer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamFramer").field("buffered", &self.buffer.len()).field("broken", &self.broken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Status;

    const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nTo: <sip:a@b>\r\nFrom: <sip:c@d>;tag=1\r\n\
                           Call-ID: x\r\nCSeq: 1 OPTIONS\r\n";

    fn feed(text: &str) -> StreamFramer {
        let mut framer = StreamFramer::new();
        framer.feed(text.as_bytes());
        framer
    }

    fn refused(framer: &mut StreamFramer) -> Malformed {
        framer.next().expect("something").expect_err("refused")
    }

    #[test]
    fn messages_and_keepalives_come_out_in_their_order() {
        let one = format!("{OPTIONS}Content-Length: 3\r\n\r\nabc");
        let mut framer = feed(&format!("{one}\r\n\r\n{one}\r\n{one}"));
        for ping in [false, true, false] {
            match framer.next() {
                Some(Ok(Frame::Message(m))) if !ping => assert_eq!(m.body(), "abc"),
                Some(Ok(Frame::KeepalivePing)) if ping => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(framer.next(), Some(Ok(Frame::KeepalivePong)));
        assert!(matches!(framer.next(), Some(Ok(Frame::Message(_)))));
        assert_eq!(framer.next(), None);
        assert!(!framer.is_partial());
    }

    #[test]
    fn a_ping_that_comes_in_two_halves_is_a_ping() {
        let mut framer = feed("\r\n");
        assert_eq!(framer.next(), Some(Ok(Frame::KeepalivePong)));
        framer.feed(b"\r");
        assert_eq!(framer.next(), None);
        framer.feed(b"\n");
        assert_eq!(framer.next(), Some(Ok(Frame::KeepalivePing)));
        let mut odd = feed("\r\n\r");
        assert_eq!(odd.next(), None);
        odd.feed(b"\n");
        assert_eq!(odd.next(), Some(Ok(Frame::KeepalivePing)));
    }

    #[test]
    fn what_makes_the_frame_unsure_closes_the_connection() {
        for (headers, status) in [
            ("", Status::BAD_REQUEST),
            ("Content-Length: -1\r\n", Status::BAD_REQUEST),
            ("Content-Length: 0\r\nl: 5\r\n", Status::BAD_REQUEST),
            ("Content-Length: 0\r\n bad\r\n", Status::BAD_REQUEST),
            ("Content-Length : 4294967296\r\n", Status::BAD_REQUEST),
            ("Content-Length: 65537\r\n", Status::REQUEST_ENTITY_TOO_LARGE),
            ("X: a\nContent-Length: 5\r\nContent-Length: 0\r\n", Status::BAD_REQUEST),
        ] {
            let mut framer = feed(&format!("{OPTIONS}{headers}\r\n"));
            let malformed = refused(&mut framer);
            assert!(malformed.close && framer.is_broken(), "{headers}");
            assert_eq!(malformed.reply.map(|r| r.status), Some(status), "{headers}");
            framer.feed(format!("{OPTIONS}Content-Length: 0\r\n\r\n").as_bytes());
            assert_eq!(framer.next(), None);
        }
    }

    #[test]
    fn a_fault_inside_of_a_sure_frame_leaves_the_connection_open() {
        let bad = OPTIONS.replace("1 OPTIONS", "1 INVITE");
        let mut framer = feed(&format!("{bad}Content-Length: 1\r\n\r\nx{OPTIONS}Content-Length: 0\r\n\r\n"));
        assert!(!refused(&mut framer).close);
        assert!(matches!(framer.next(), Some(Ok(Frame::Message(_)))));
    }

    #[test]
    fn endless_headers_are_cut_off_with_an_answer() {
        let mut framer = feed(OPTIONS);
        assert_eq!(framer.next(), None);
        let line = format!("X: {}\r\n", "y".repeat(1000));
        let malformed = loop {
            framer.feed(line.as_bytes());
            if let Some(result) = framer.next() {
                break result.expect_err("refused");
            }
        };
        assert_eq!(malformed.why, ParseError::HeadersTooLong { limit: MAX_HEAD });
        assert_eq!(malformed.reply.map(|r| r.status), Some(Status::MESSAGE_TOO_LARGE));
        assert!(malformed.close);
    }

    #[test]
    fn another_protocol_is_not_answered() {
        let malformed = refused(&mut feed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((malformed.reply, malformed.close), (None, true));
    }
}
