//! What a peer gets for a message that the parser refuses.

use md5::{Digest, Md5};

use super::error::ParseError;
use super::header::HeaderName;
use super::headers::Headers;
use super::message::Response;
use super::text;

/// Bytes that are no message that we take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Malformed {
    pub why: ParseError,
    /// Ready to send to where the bytes came from, once [`Headers::stamp_source`] has seen it. `None` for what must be discarded: a
    /// response, an ACK, something without a Via. To, From, Call-ID and CSeq are in it as far as they were there.
    pub reply: Option<Box<Response>>,
    /// On a stream: the end of this message cannot be known, so the connection must be closed after the reply.
    pub close: bool,
}

pub(super) fn reply(why: &ParseError, headers: &Headers, line: &[u8]) -> Option<Box<Response>> {
    let (method, rest) = text::split_once(line, b' ')?;
    let is_request =
        memchr::memmem::find(rest, b"SIP/").is_some() && !method.get(..4).is_some_and(|m| m.eq_ignore_ascii_case(b"SIP/"));
    if !is_request || method == b"ACK" || !headers.contains(&HeaderName::Via) {
        return None;
    }
    let status = why.status();
    let mut reply =
        Response { status, reason: status.reason().into(), headers: Headers::with_capacity(8), body: Default::default() };
    reply.headers.copy(&HeaderName::Via, headers);
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        // The first alone where there are several: the reply must not repeat the fault.
        if let Some(value) = headers.get(&name) {
            reply.headers.push(name, value);
        }
    }
    let tag = tag(headers);
    reply.add_to_tag(tag);
    Some(Box::new(reply))
}

/// A stateless server answers the repeated request with the same tag (§8.2.7), so it is a digest of what identifies the request.
fn tag(headers: &Headers) -> String {
    let mut hash = Md5::new();
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        hash.update(headers.get(&name).map_or(&b""[..], |v| v));
        hash.update([0]);
    }
    let mut tag = hex::encode(hash.finalize());
    tag.truncate(16);
    tag
}
