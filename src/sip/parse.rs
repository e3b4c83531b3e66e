//! One message from bytes: start line, headers unfolded, body cut to Content-Length (RFC 3261 §7, §18.3).
//!
//! The bytes are walked once; header values are slices of them, copied only where a line was folded. Lines end in CRLF and nothing else:
//! a lone CR or LF is refused, because the next hop may see a header there. [`intake`] also checks what every message must have
//! (`validate.rs`) and, for a request that fails, prepares the answer, so that the transport needs one call. The end of a datagram's
//! message is that of the datagram; streams are cut by `framing.rs`.

use bytes::Bytes;

use super::error::{ParseError, Syntax};
use super::framing::{MAX_BODY, MAX_HEAD, MAX_HEADERS};
use super::header::HeaderName;
use super::headers::Headers;
use super::message::{Message, Request, Response};
use super::method::Method;
use super::refusal::{self, Malformed};
use super::status::Status;
use super::text;
use super::uri::Uri;
use super::validate;

/// A datagram (or a WebSocket message): §18.3. Octets beyond Content-Length are ignored; without Content-Length the body is all the
/// rest; too short a body is an error.
pub fn parse_datagram(bytes: &[u8]) -> Result<Message, Malformed> {
    intake(Bytes::copy_from_slice(bytes))
}

/// [`parse_datagram`] without the copy.
pub fn intake(bytes: Bytes) -> Result<Message, Malformed> {
    let start = bytes.iter().position(|b| !b"\r\n".contains(b)).unwrap_or(bytes.len());
    // A lone NUL is what some phones keep their NAT open with.
    if bytes[start..].iter().all(|&b| b == 0) {
        return Err(Malformed { why: ParseError::Empty, reply: None, close: false });
    }
    let head = Head::scan(bytes.slice(start..));
    let rest = head.rest.clone();
    let body = match head.content_length {
        None => Ok(rest),
        Some(says) if says <= rest.len() => Ok(rest.slice(..says)),
        Some(says) => Err(ParseError::BodyTooShort { says, has: rest.len() }),
    };
    finish(head, body)
}

/// Head and body to a checked message.
pub(super) fn finish(head: Head, body: Result<Bytes, ParseError>) -> Result<Message, Malformed> {
    let refuse =
        |why, headers: &Headers, line: &Bytes| Malformed { reply: refusal::reply(&why, headers, line), why, close: false };
    let Head { start, headers, fault, line, .. } = head;
    let checked = match (start, fault, body) {
        (Err(why), _, _) | (Ok(_), Some(why), _) | (Ok(_), None, Err(why)) => Err(why),
        (Ok(start), None, Ok(body)) if body.len() <= MAX_BODY => Ok((start, body)),
        (Ok(_), None, Ok(_)) => Err(ParseError::BodyTooLong { limit: MAX_BODY }),
    };
    let (start, body) = checked.map_err(|why| refuse(why, &headers, &line))?;
    let message = start.message(headers, body);
    match validate::validate(&message) {
        Ok(()) => Ok(message),
        Err(why) => Err(refuse(why, message.headers(), &line)),
    }
}

/// Structure alone, without limits: for what we printed ourselves.
pub(super) fn unchecked(bytes: Bytes) -> Result<Message, ParseError> {
    let head = Head::scan_within(bytes, usize::MAX, usize::MAX);
    if let Some(fault) = head.fault {
        return Err(fault);
    }
    let has = head.rest.len();
    let says = head.content_length.unwrap_or(has);
    let body = head.rest.get(..says).ok_or(ParseError::BodyTooShort { says, has })?;
    Ok(head.start?.message(head.headers, head.rest.slice_ref(body)))
}

/// All up to the empty line. Scanning goes on behind a fault, so that the refusal can echo the headers that are whole.
pub(super) struct Head {
    pub start: Result<Start, ParseError>,
    pub headers: Headers,
    /// The first one.
    pub fault: Option<ParseError>,
    pub content_length: Option<usize>,
    /// The first line, without its line end.
    pub line: Bytes,
    /// What follows the empty line.
    pub rest: Bytes,
}

#[derive(Clone)]
pub(super) enum Start {
    Request(Method, Uri),
    Response(Status, Bytes),
}

impl Start {
    fn message(self, headers: Headers, body: Bytes) -> Message {
        match self {
            Start::Request(method, uri) => Message::Request(Request { method, uri, headers, body }),
            Start::Response(status, reason) => Message::Response(Response { status, reason, headers, body }),
        }
    }
}

impl Head {
    /// `src` begins with the first line.
    pub fn scan(src: Bytes) -> Head {
        Head::scan_within(src, MAX_HEAD, MAX_HEADERS)
    }

    fn scan_within(src: Bytes, max_head: usize, max_headers: usize) -> Head {
        let mut lines = Lines { src: &src, at: 0, stray: false };
        let line = lines.next().map(|l| src.slice_ref(l)).unwrap_or_default();
        let start = if lines.stray { Err(ParseError::HeaderLine { line: 1 }) } else { start_line(&line) };
        let mut head =
            Head { start, headers: Headers::with_capacity(20), fault: None, content_length: None, line, rest: Bytes::new() };
        let mut number = 1;
        loop {
            let Some(line) = lines.next() else {
                head.fail(ParseError::NoEndOfHeaders);
                return head;
            };
            number += 1;
            if line.is_empty() && !lines.stray {
                break;
            }
            if lines.at > max_head {
                head.fail(ParseError::HeadersTooLong { limit: max_head });
                return head;
            }
            if head.headers.len() >= max_headers {
                head.fail(ParseError::TooManyHeaders { limit: max_headers });
                return head;
            }
            let stray = lines.stray;
            let folded = if lines.continues() { Some(unfold(line, &mut lines)) } else { None };
            let parsed = match (&folded, stray || lines.stray) {
                (_, true) => None,
                (Some(owned), false) => header(owned, owned),
                (None, false) => header(&src, line),
            };
            match parsed {
                Some((HeaderName::ContentLength, value)) => head.length(&value),
                Some((name, value)) => head.headers.push_clean(name, value),
                None => head.fail(ParseError::HeaderLine { line: number }),
            }
        }
        head.rest = src.slice(lines.at..);
        head
    }

    fn length(&mut self, value: &[u8]) {
        let name = HeaderName::ContentLength;
        match (self.content_length, text::number(value)) {
            (None, Some(n)) => self.content_length = Some(usize::try_from(n).unwrap_or(usize::MAX)),
            (Some(_), _) => self.fail(ParseError::Repeated(name)),
            (None, None) => self.fail(Headers::fault(name, Syntax::Number)),
        }
    }

    fn fail(&mut self, why: ParseError) {
        self.fault.get_or_insert(why);
    }
}

/// Lines without their CRLF. `stray` is set while the last one held a CR or LF of its own.
struct Lines<'a> {
    src: &'a Bytes,
    at: usize,
    stray: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.src.get(self.at..)?;
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        let (line, strict) = match &rest[..end] {
            [line @ .., b'\r'] => (line, true),
            line => (line, false),
        };
        self.stray = !strict || memchr::memchr(b'\r', line).is_some();
        Some(line)
    }

    /// The next line begins with a space: it belongs to the last one (§7.3.1).
    fn continues(&self) -> bool {
        matches!(self.src.get(self.at), Some(b' ' | b'\t'))
    }
}

/// Joins continuation lines with single spaces, which is what they mean. Sets `stray` if one of them is bad.
fn unfold(first: &[u8], lines: &mut Lines<'_>) -> Bytes {
    let mut joined = text::trim(first).to_vec();
    let mut stray = lines.stray;
    while lines.continues() {
        let Some(line) = lines.next() else { break };
        stray |= lines.stray;
        let line = text::trim(line);
        if !line.is_empty() {
            joined.push(b' ');
            joined.extend_from_slice(line);
        }
    }
    lines.stray = stray;
    joined.into()
}

/// `name HCOLON value`. `line` lies in `src`.
fn header(src: &Bytes, line: &[u8]) -> Option<(HeaderName, Bytes)> {
    let (name, value) = text::split_once(line, b':')?;
    let name = match name {
        [start @ .., b' ' | b'\t'] => text::trim(start),
        name => name,
    };
    Some((HeaderName::parse_in(src, name)?, src.slice_ref(text::trim(value))))
}

/// `METHOD SP URI SP SIP/2.0` or `SIP/2.0 SP code SP reason` (§7.1, §7.2), with single spaces: a proxy before or behind us may cut the
/// line at others.
fn start_line(line: &Bytes) -> Result<Start, ParseError> {
    let (first, rest) = text::split_once(line, b' ').ok_or(ParseError::StartLine)?;
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        if !first.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(ParseError::Version);
        }
        let (code, reason) = text::split_once(rest, b' ').unwrap_or((rest, &[]));
        let code = text::number(code).filter(|_| code.len() == 3).ok_or(ParseError::StatusCode)?;
        let status = u16::try_from(code).ok().and_then(Status::new).ok_or(ParseError::StatusCode)?;
        return Ok(Start::Response(status, line.slice_ref(reason)));
    }
    let space = memchr::memrchr(b' ', rest).ok_or(ParseError::StartLine)?;
    let (uri, version) = (&rest[..space], &rest[space + 1..]);
    if !version.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        return Err(ParseError::StartLine);
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Err(ParseError::Version);
    }
    let method = Method::parse(line.slice_ref(first)).ok_or(ParseError::Method)?;
    let uri = Uri::parse_in(line, uri).map_err(ParseError::RequestUri)?;
    Ok(Start::Request(method, uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        "Via: SIP/2.0/UDP c:5070;branch=z9hG4bK1\r\nTo: <sip:a@b>\r\nFrom: <sip:c@d>;tag=1\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";

    fn with(line: &str, headers: &str, body: &str) -> Result<Message, Malformed> {
        parse_datagram(format!("{line}\r\n{REST}{headers}\r\n{body}").as_bytes())
    }

    fn options(headers: &str, body: &str) -> Result<Message, Malformed> {
        with("OPTIONS sip:a@b SIP/2.0", headers, body)
    }

    fn status(result: Result<Message, Malformed>) -> Option<Status> {
        result.expect_err("malformed").reply.map(|r| r.status)
    }

    #[test]
    fn folded_lines_are_joined_by_one_space_and_others_are_not_copied() {
        let bytes = Bytes::from(format!("OPTIONS sip:a@b SIP/2.0\r\n{REST}Subject : a\r\n \t b\r\n\t\r\n c  \r\nX:y\r\n\r\n"));
        let message = intake(bytes.clone()).expect("parses");
        assert_eq!(message.headers().get(&HeaderName::Subject).map(|b| &b[..]), Some(&b"a b c"[..]));
        let call_id = message.headers().call_id().expect("call-id");
        assert!(bytes.as_ptr_range().contains(&call_id.as_ptr()));
    }

    #[test]
    fn the_body_of_a_datagram_is_cut_to_content_length() {
        assert_eq!(options("l: 2\r\n", "abcd").expect("parses").body(), "ab");
        assert_eq!(options("", "abcd").expect("parses").body(), "abcd");
        let short = options("Content-Length: 5\r\n", "abcd").expect_err("short");
        assert_eq!(short.why, ParseError::BodyTooShort { says: 5, has: 4 });
        assert_eq!(status(options("Content-Length: 1\r\nl: 1\r\n", "a")), Some(Status::BAD_REQUEST));
        assert_eq!(status(options("", &"x".repeat(MAX_BODY + 1))), Some(Status::REQUEST_ENTITY_TOO_LARGE));
    }

    #[test]
    fn stray_line_ends_are_refused() {
        for headers in [
            "Subject: a\rb\r\n",
            "Subject: a\nVia: b\r\n",
            "Subject: a\r\r\n",
            "Subject: a\r\n b\n c\r\n",
            "\rX: y\r\n",
            " X: y\r\n\n",
        ] {
            assert!(options(headers, "").is_err(), "{headers:?}");
        }
        assert!(parse_datagram(format!("OPTIONS sip:a@b SIP/2.0\r\n{REST}").replace("\r\n", "\n").as_bytes()).is_err());
    }

    #[test]
    fn lines_that_are_no_headers_are_refused() {
        for headers in ["nocolon\r\n", ": x\r\n", "a b: c\r\n", "\u{fc}: c\r\n"] {
            assert_eq!(options(headers, "").expect_err("refused").why, ParseError::HeaderLine { line: 7 }, "{headers:?}");
        }
    }

    #[test]
    fn too_many_headers_are_refused() {
        let many = "X: y\r\n".repeat(MAX_HEADERS);
        assert_eq!(status(options(&many, "")), Some(Status::MESSAGE_TOO_LARGE));
        let long = format!("X: {}\r\n", "y".repeat(MAX_HEAD));
        assert_eq!(status(options(&long, "")), Some(Status::MESSAGE_TOO_LARGE));
    }

    #[test]
    fn the_request_line_has_exactly_three_words() {
        for (line, expected) in [
            ("OPTIONS  sip:a@b SIP/2.0", Status::BAD_REQUEST),
            ("OPTIONS sip:a@b  SIP/2.0", Status::BAD_REQUEST),
            ("OPTIONS sip:a@b SIP/2.0 ", Status::BAD_REQUEST),
            ("OPTIONS\tsip:a@b SIP/2.0", Status::BAD_REQUEST),
            ("OPTIONS sip:a@b SIP/3.0", Status::VERSION_NOT_SUPPORTED),
            ("OPTI(NS sip:a@b SIP/2.0", Status::BAD_REQUEST),
            ("INVITE sip:a@b SIP/2.0", Status::BAD_REQUEST),
            ("FROB sip:a@b SIP/2.0", Status::NOT_IMPLEMENTED),
            ("OPTIONS sip:a@b?Subject=x SIP/2.0", Status::BAD_REQUEST),
        ] {
            assert_eq!(status(with(line, "", "")), Some(expected), "{line}");
        }
        assert!(with("OPTIONS sip:a@b sip/2.0", "", "").is_ok());
    }

    #[test]
    fn what_cannot_be_answered_is_discarded() {
        for line in [
            "SIP/2.0 99 x",
            "SIP/2.0 700 x",
            "SIP/2.0 0200 x",
            "SIP/2.0",
            "SIP/3.0 200 OK",
            "ACK sip:a@b SIP/3.0",
            "hello",
            "",
            "GET / HTTP/1.1",
        ] {
            let refused = with(line, "", "").expect_err("malformed");
            assert_eq!((refused.reply, refused.close), (None, false), "{line}");
        }
        assert_eq!(parse_datagram(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n").expect_err("no Via").reply, None);
        for nothing in [&b""[..], b"\r\n\r\n", b"\0"] {
            assert_eq!(parse_datagram(nothing).expect_err("nothing").why, ParseError::Empty);
        }
    }

    #[test]
    fn a_refusal_goes_to_the_source_with_a_tag_that_a_repetition_gets_too() {
        let mut first = with("FROB sip:a@b SIP/2.0", "", "").expect_err("mismatch").reply.expect("reply");
        let second = with("FROB sip:a@b SIP/2.0", "", "").expect_err("mismatch").reply.expect("reply");
        assert_eq!(first, second);
        assert_eq!(first.headers.to().expect("to").tag().map(<[u8]>::len), Some(16));
        let source = "192.0.2.9:1234".parse().expect("address");
        assert_eq!(first.headers.stamp_source(source), "192.0.2.9:5070".parse::<std::net::SocketAddr>().expect("address"));
        assert_eq!(first.headers.via().expect("via").received(), Some(source.ip()));
    }

    #[test]
    fn only_the_first_of_repeated_headers_is_echoed() {
        let reply = options("To: <sip:second@b>\r\n", "").expect_err("two").reply.expect("reply");
        assert_eq!(reply.headers.count(&HeaderName::To), 1);
        assert_eq!(reply.status, Status::BAD_REQUEST);
    }
}
