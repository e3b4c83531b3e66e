//! The values of single headers that are not addresses: CSeq, Reason, Event, Subscription-State, media types, session timers.

use std::fmt;
use std::io::Write;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::Syntax;
use super::method::Method;
use super::params::Params;
use super::text::{self, Token};

/// RFC 3261 §20.16.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub fn new(number: u32, method: Method) -> CSeq {
        CSeq { number, method }
    }

    pub(super) fn parse(value: &Bytes) -> Result<CSeq, Syntax> {
        let end = value.iter().position(|b| b" \t".contains(b)).ok_or(Syntax::Number)?;
        let number = text::number(&value[..end]).ok_or(Syntax::Number)?;
        let method = Method::parse(value.slice_ref(text::trim(&value[end..]))).ok_or(Syntax::Token)?;
        Ok(CSeq { number, method })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{} {}", self.number, self.method);
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// `type/subtype;params` of Content-Type and Accept. Type and subtype compare in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    kind: Token,
    subtype: Token,
    pub params: Params,
}

impl MediaType {
    /// `value` is a whole value or an element of a list.
    pub fn parse(value: impl Into<Bytes>) -> Result<MediaType, Syntax> {
        let value = value.into();
        let end = memchr::memchr(b';', &value).unwrap_or(value.len());
        let (kind, subtype) = text::split_once(&value[..end], b'/').ok_or(Syntax::Token)?;
        Ok(MediaType {
            kind: Token::new(value.slice_ref(text::trim(kind))).ok_or(Syntax::Token)?,
            subtype: Token::new(value.slice_ref(text::trim(subtype))).ok_or(Syntax::Token)?,
            params: Params::parse_header(&value, &value[end..])?,
        })
    }

    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.as_str().eq_ignore_ascii_case(kind) && self.subtype.as_str().eq_ignore_ascii_case(subtype)
    }

    pub fn is_sdp(&self) -> bool {
        self.is("application", "sdp")
    }

    /// An Accept of `*/*` or `application/*` covers what is asked.
    pub fn covers(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == "*" || self.kind.as_str().eq_ignore_ascii_case(kind))
            && (self.subtype == "*" || self.subtype.as_str().eq_ignore_ascii_case(subtype))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{:?}", self.kind, self.subtype, self.params)
    }
}

/// RFC 3326: why a request was sent, as `SIP;cause=200;text="Call completed elsewhere"` or `Q.850;cause=16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    protocol: Token,
    pub params: Params,
}

impl Reason {
    /// A SIP status as the reason.
    pub fn sip(status: super::status::Status, text: &str) -> Reason {
        Reason::new("SIP", status.code(), text)
    }

    /// An ITU-T Q.850 cause, 1 to 127.
    pub fn q850(cause: u16, text: &str) -> Reason {
        Reason::new("Q.850", cause, text)
    }

    fn new(protocol: &'static str, cause: u16, phrase: &str) -> Reason {
        let mut params = Params::default();
        params.set("cause", cause.to_string());
        if !phrase.is_empty() {
            let mut quoted = Vec::with_capacity(phrase.len() + 2);
            text::write_quoted(&mut quoted, phrase.as_bytes());
            params.put("text", Some(quoted.into()));
        }
        Reason { protocol: Token::literal(protocol), params }
    }

    pub(super) fn parse(value: &Bytes) -> Result<Reason, Syntax> {
        let (protocol, params) = token_and_params(value)?;
        Ok(Reason { protocol, params })
    }

    pub fn protocol(&self) -> &str {
        self.protocol.as_str()
    }

    pub fn cause(&self) -> Option<u16> {
        self.params.number("cause").and_then(|n| u16::try_from(n).ok())
    }

    pub fn text(&self) -> Option<String> {
        self.params.text("text")
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.protocol.as_bytes());
        self.params.write(out);
    }
}

/// RFC 6665 §8.2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    package: Token,
    pub params: Params,
}

impl Event {
    pub(super) fn parse(value: &Bytes) -> Result<Event, Syntax> {
        let (package, params) = token_and_params(value)?;
        Ok(Event { package, params })
    }

    pub fn package(&self) -> &str {
        self.package.as_str()
    }

    pub fn id(&self) -> Option<&[u8]> {
        self.params.get("id")
    }
}

/// RFC 6665 §8.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    state: Token,
    pub params: Params,
}

impl SubscriptionState {
    /// `expires` in seconds.
    pub fn active(expires: u32) -> SubscriptionState {
        let mut params = Params::default();
        params.set("expires", expires.to_string());
        SubscriptionState { state: Token::literal("active"), params }
    }

    /// `reason` as RFC 6665 §4.1.3 lists them: `noresource` when a transfer is over.
    pub fn terminated(reason: &'static str) -> SubscriptionState {
        let mut params = Params::default();
        params.set("reason", reason);
        SubscriptionState { state: Token::literal("terminated"), params }
    }

    pub(super) fn parse(value: &Bytes) -> Result<SubscriptionState, Syntax> {
        let (state, params) = token_and_params(value)?;
        Ok(SubscriptionState { state, params })
    }

    pub fn state(&self) -> &str {
        self.state.as_str()
    }

    pub fn is_terminated(&self) -> bool {
        self.state.as_str().eq_ignore_ascii_case("terminated")
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.state.as_bytes());
        self.params.write(out);
    }
}

/// RFC 4028 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    pub refresher: Option<Refresher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    Uas,
}

impl SessionExpires {
    pub(super) fn parse(value: &Bytes) -> Result<SessionExpires, Syntax> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let interval = text::number_clamped(text::trim(&value[..end])).ok_or(Syntax::Number)?;
        let params = Params::parse_header(value, &value[end..])?;
        let refresher = match params.get("refresher") {
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return Err(Syntax::Parameter),
            None => None,
        };
        Ok(SessionExpires { interval, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refresher {
            Some(Refresher::Uac) => write!(f, "{};refresher=uac", self.interval),
            Some(Refresher::Uas) => write!(f, "{};refresher=uas", self.interval),
            None => write!(f, "{}", self.interval),
        }
    }
}

fn token_and_params(value: &Bytes) -> Result<(Token, Params), Syntax> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let token = Token::new(value.slice_ref(text::trim(&value[..end]))).ok_or(Syntax::Token)?;
    Ok((token, Params::parse_header(value, &value[end..])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::status::Status;

    #[test]
    fn cseq_reads_long_numbers_and_refuses_longer_ones() {
        let read = |s: &'static str| CSeq::parse(&Bytes::from_static(s.as_bytes()));
        assert_eq!(read("0009\t  INVITE"), Ok(CSeq::new(9, Method::Invite)));
        assert_eq!(read("36893488147419103232 REGISTER"), Err(Syntax::Number));
        assert_eq!(read("1"), Err(Syntax::Number));
        assert_eq!(read("1 IN VITE"), Err(Syntax::Token));
    }

    #[test]
    fn a_reason_prints_what_a_phone_needs_to_show_no_missed_call() {
        let mut out = Vec::new();
        Reason::sip(Status::OK, "Call completed \"elsewhere\"\r\n").write(&mut out);
        let out = Bytes::from(out);
        assert_eq!(out, "SIP;cause=200;text=\"Call completed \\\"elsewhere\\\"\"");
        let back = Reason::parse(&out).expect("parses");
        assert_eq!((back.protocol(), back.cause()), ("SIP", Some(200)));
        assert_eq!(back.text().as_deref(), Some("Call completed \"elsewhere\""));
    }

    #[test]
    fn media_types_compare_in_any_case() {
        let m = MediaType::parse("Application / SDP;charset=\"utf-8\"").expect("parses");
        assert!(m.is_sdp());
        assert!(MediaType::parse("application/*").expect("parses").covers("application", "sdp"));
        assert!(MediaType::parse("text").is_err());
    }

    #[test]
    fn session_expires_names_who_refreshes() {
        let read = |s: &'static str| SessionExpires::parse(&Bytes::from_static(s.as_bytes()));
        let s = read("4000;Refresher=UAC").expect("parses");
        assert_eq!(s, SessionExpires { interval: 4000, refresher: Some(Refresher::Uac) });
        assert_eq!(s.to_string(), "4000;refresher=uac");
        assert!(read("x").is_err());
    }
}
