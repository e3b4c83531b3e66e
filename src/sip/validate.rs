//! What every message must have before the core sees it (RFC 3261 §8.1.1, §8.2, §20; the demands of RFC 4475 and RFC 5118).
//!
//! Here: what can be said from the message alone and means 400 (501 where the method is unknown besides). Left to the core: schemes
//! (416), methods (405, 501), extensions (420), bodies (415), Max-Forwards (483), authentication, dialogs. RFC 2543 is let through: no
//! Max-Forwards, no tag in From, no magic cookie. Headers that nobody here reads (Date, Warning …) are never a reason to refuse.

use super::error::{ParseError, Syntax};
use super::header::HeaderName;
use super::headers::Headers;
use super::message::Message;
use super::uri::Uri;

/// Headers that may stand only once.
const SINGLE: &[HeaderName] = &[
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentType,
    HeaderName::Expires,
];

pub fn validate(message: &Message) -> Result<(), ParseError> {
    let headers = message.headers();
    once(headers)?;
    headers.vias()?;
    if !headers.contains(&HeaderName::Via) {
        return Err(ParseError::Missing(HeaderName::Via));
    }
    headers.from()?;
    headers.to()?;
    if headers.call_id()?.iter().any(|b| b.is_ascii_control() || *b == b' ') {
        return Err(Headers::fault(HeaderName::CallId, Syntax::Token));
    }
    let cseq = headers.cseq()?;
    match message {
        Message::Request(request) => {
            if cseq.method != request.method {
                return Err(ParseError::CSeqMismatch { method_known: request.method.is_known() });
            }
            match &request.uri {
                // RFC 3261 §19.1.1: headers have no place in a Request-URI, and must not reach the outgoing leg.
                Uri::Sip(sip) if sip.headers().is_some() => return Err(ParseError::RequestUri(Syntax::UriHeaders)),
                Uri::Sip(_) | Uri::Tel(_) | Uri::Other(_) => {}
            }
            headers.max_forwards()?;
            headers.contacts()?;
            headers.route()?;
        }
        Message::Response(_) => {}
    }
    headers.record_route()?;
    Ok(())
}

fn once(headers: &Headers) -> Result<(), ParseError> {
    // A bit for each of SINGLE.
    let mut seen = 0u32;
    for (name, _) in headers.iter() {
        if let Some(at) = SINGLE.iter().position(|single| single == name) {
            if seen & (1 << at) != 0 {
                return Err(ParseError::Repeated(name.clone()));
            }
            seen |= 1 << at;
        }
    }
    Ok(())
}
