//! Requests and responses, and how they are printed (RFC 3261 §7).
//!
//! What is printed has exactly the headers of the list, one `Content-Length` that is right, and the body, whatever the values hold: line
//! ends cannot enter a header's value ([`Headers`]), a URI, a method ([`Method`](super::Method)) or a reason phrase. So [`Message`] reads
//! back as it was printed, and the journal stores it that way.

use std::fmt;

use bytes::Bytes;

use super::error::ParseError;
use super::header::HeaderName;
use super::headers::Headers;
use super::method::Method;
use super::parse;
use super::status::Status;
use super::text;
use super::uri::Uri;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: Status,
    /// For people; not always UTF-8. Line ends in it are printed as spaces.
    pub reason: Bytes,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Request {
    pub fn new(method: Method, uri: impl Into<Uri>) -> Request {
        Request { method, uri: uri.into(), headers: Headers::with_capacity(16), body: Bytes::new() }
    }

    /// A response as §8.2.6.2 builds it: Vias, From, To, Call-ID and CSeq are the request's, byte for byte; Record-Route too where the
    /// response may make a dialog (§12.1.1), and Timestamp in a 100 (§8.2.6.1).
    pub fn response(&self, status: Status) -> Response {
        let mut headers = Headers::with_capacity(12);
        headers.copy(&HeaderName::Via, &self.headers);
        if status != Status::TRYING && !status.is_failure() {
            headers.copy(&HeaderName::RecordRoute, &self.headers);
        }
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            headers.copy(&name, &self.headers);
        }
        if status == Status::TRYING {
            headers.copy(&HeaderName::Timestamp, &self.headers);
        }
        Response { status, reason: Bytes::from_static(status.reason().as_bytes()), headers, body: Bytes::new() }
    }

    /// As [`response`](Request::response), with this tag in To where the request has none and the response is not a 100.
    pub fn response_with_tag(&self, status: Status, tag: impl AsRef<[u8]>) -> Response {
        let mut response = self.response(status);
        if status != Status::TRYING {
            response.add_to_tag(tag);
        }
        response
    }

    /// The fewest octets that its sender can have put it into: every name in a form of one letter (§7.3.3), and no space that need not be.
    pub fn least_len(&self) -> usize {
        let mut uri = Vec::with_capacity(64);
        self.uri.write(&mut uri);
        let is_counted = |name: &HeaderName| !matches!(name, HeaderName::Authorization | HeaderName::ProxyAuthorization);
        let counted = self.headers.iter().filter(|(name, _)| is_counted(name));
        let headers: usize = counted.map(|(_, value)| value.len() + "v:\r\n".len()).sum();
        self.method.as_str().len() + uri.len() + "  SIP/2.0\r\n\r\n".len() + headers + self.body.len()
    }

    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(128 + rest_len(&self.headers, &self.body));
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        self.uri.write(&mut out);
        out.extend_from_slice(b" SIP/2.0\r\n");
        finish(out, &self.headers, &self.body)
    }
}

impl Response {
    /// Adds a tag to a To that has none; leaves a To whose parameters cannot be read as it is.
    pub fn add_to_tag(&mut self, tag: impl AsRef<[u8]>) {
        let Some(raw) = self.headers.get(&HeaderName::To) else { return };
        if self.headers.to_tag() == Ok(None) {
            // Behind the raw value: a display name with odd bytes has to come back as it was sent (RFC 4475 §3.1.1.2).
            let mut value = raw.to_vec();
            let mut param = super::params::Params::default();
            param.set_as_written("tag", tag.as_ref());
            param.write(&mut value);
            self.headers.set(HeaderName::To, value);
        }
    }

    pub fn with_reason(mut self, phrase: impl Into<Bytes>) -> Response {
        self.reason = phrase.into();
        self
    }

    pub fn to_bytes(&self) -> Bytes {
        let line = "SIP/2.0 200 \r\n".len() + self.reason.len();
        let mut out = Vec::with_capacity(line + rest_len(&self.headers, &self.body));
        out.extend_from_slice(b"SIP/2.0 ");
        text::write_number(&mut out, self.status.code().into());
        out.push(b' ');
        out.extend(self.reason.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
        out.extend_from_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

const CONTENT_LENGTH: &str = "Content-Length: ";

/// What [`finish`] adds: a response is kept for half a minute, and with room to spare it would be so for ten thousand phones at once.
fn rest_len(headers: &Headers, body: &Bytes) -> usize {
    let digits = body.len().checked_ilog10().map_or(1, |log| log as usize + 1);
    headers.printed_len() + CONTENT_LENGTH.len() + digits + "\r\n\r\n".len() + body.len()
}

fn finish(mut out: Vec<u8>, headers: &Headers, body: &Bytes) -> Bytes {
    headers.write(&mut out);
    out.extend_from_slice(CONTENT_LENGTH.as_bytes());
    text::write_number(&mut out, u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out.into()
}

impl Message {
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }

    pub fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Message::Request(request) => &mut request.headers,
            Message::Response(response) => &mut response.headers,
        }
    }

    pub fn body(&self) -> &Bytes {
        match self {
            Message::Request(request) => &request.body,
            Message::Response(response) => &response.body,
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }

    /// Reads what [`to_bytes`](Message::to_bytes) printed. For bytes from a peer use [`intake`](super::intake), which also checks them.
    pub fn from_bytes(bytes: Bytes) -> Result<Message, ParseError> {
        parse::unchecked(bytes)
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Message {
        Message::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Message {
        Message::Response(response)
    }
}

/// The first line, for a log.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Request(request) => write!(f, "{} {}", request.method, request.uri),
            Message::Response(response) => response.status.fmt(f),
        }
    }
}

macro_rules! serde_as_printed {
    ($($name:ident: $variant:pat => $value:expr;)*) => {
        $(impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                super::journal::serialize(&self.to_bytes(), s)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                match Message::from_bytes(super::journal::deserialize(d)?).map_err(serde::de::Error::custom)? {
                    $variant => Ok($value),
                    #[allow(unreachable_patterns, reason = "Message itself takes both")]
                    _ => Err(serde::de::Error::custom(concat!("not a SIP ", stringify!($name)))),
                }
            }
        })*
    };
}
serde_as_printed! {
    Message: message => message;
    Request: Message::Request(request) => request;
    Response: Message::Response(response) => response;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{CSeq, Host, SipUri};

    fn request() -> Request {
        let mut r = Request::new(Method::Invite, SipUri::new("201", Host::new("example.com").expect("host"), None));
        r.headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1");
        r.headers.push(HeaderName::Via, "SIP/2.0/UDP b;branch=z9hG4bK2");
        r.headers.push(HeaderName::RecordRoute, "<sip:p;lr>");
        r.headers.push(HeaderName::From, "\"\\\0\" <sip:c@d>;tag=1");
        r.headers.push(HeaderName::To, "sip:201@example.com");
        r.headers.push(HeaderName::CallId, "x");
        r.headers.push(HeaderName::CSeq, CSeq::new(7, Method::Invite));
        r.headers.push(HeaderName::Timestamp, "54");
        r.body = Bytes::from_static(b"\xff\r\n\r\n");
        r
    }

    #[test]
    fn room_for_what_is_printed_is_neither_short_nor_to_spare() {
        for length in [0, 9, 10, 999, 1_000] {
            let mut headers = Headers::new();
            headers.push(HeaderName::CallId, "a");
            headers.push(HeaderName::Via, "SIP/2.0/UDP a");
            let body = Bytes::from(vec![b'x'; length]);
            assert_eq!(finish(Vec::new(), &headers, &body).len(), rest_len(&headers, &body), "{length}");
        }
    }

    /// RFC 3261 §8.2.6.
    #[test]
    fn a_response_echoes_what_the_rfc_says() {
        let r = request();
        let ringing = r.response_with_tag(Status::RINGING, "t1");
        assert_eq!(ringing.headers.count(&HeaderName::Via), 2);
        assert_eq!(ringing.headers.get(&HeaderName::From), r.headers.get(&HeaderName::From));
        assert_eq!(ringing.headers.get(&HeaderName::To).map(|b| &b[..]), Some(&b"sip:201@example.com;tag=t1"[..]));
        assert!(ringing.headers.contains(&HeaderName::RecordRoute) && !ringing.headers.contains(&HeaderName::Timestamp));
        let trying = r.response_with_tag(Status::TRYING, "t1");
        assert_eq!(trying.headers.to().expect("to").tag(), None);
        assert!(trying.headers.contains(&HeaderName::Timestamp) && !trying.headers.contains(&HeaderName::RecordRoute));
        assert!(!r.response(Status::BUSY_HERE).headers.contains(&HeaderName::RecordRoute));
        let mut in_dialog = r.clone();
        in_dialog.headers.set(HeaderName::To, "<sip:201@example.com>;tag=old");
        assert_eq!(in_dialog.response_with_tag(Status::OK, "new").headers.to().expect("to").tag(), Some(&b"old"[..]));
    }

    #[test]
    fn messages_go_through_serde_whole() {
        for message in [Message::from(request()), Message::from(request().response(Status::OK).with_reason("\u{fc}"))] {
            let json = serde_json::to_string(&message).expect("json");
            assert_eq!(serde_json::from_str::<Message>(&json).expect("back"), message);
        }
        let json = serde_json::to_string(&request()).expect("json");
        assert_eq!(serde_json::from_str::<Request>(&json).expect("back"), request());
        assert!(serde_json::from_str::<Response>(&json).is_err());
    }

    #[test]
    fn a_reason_phrase_cannot_become_a_header() {
        let response = request().response(Status::OK).with_reason("a\r\nVia: evil");
        let text = response.to_bytes();
        assert!(text.starts_with(b"SIP/2.0 200 a  Via: evil\r\nVia: SIP/2.0/UDP a;"));
        assert!(text.ends_with(b"\r\nContent-Length: 0\r\n\r\n"));
    }
}
