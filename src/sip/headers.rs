//! The headers of a message: an ordered list of names and raw values.
//!
//! Two rules hold for whatever is put in. A value never holds a line end, and has no space around it, so that a message prints as exactly
//! the headers that are in its list. `Content-Length` is never in the list: it is a property of the body, checked by the parser and
//! written by the printer. Typed access is in `typed.rs`.

use std::fmt;

use bytes::Bytes;

use super::error::Syntax;
use super::header::HeaderName;
use super::name_addr::NameAddr;
use super::text;
use super::uri::Uri;
use super::via::Via;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, Bytes)>);

/// A value that can be printed: CR and LF have become spaces, and it is trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue(Bytes);

impl HeaderValue {
    fn new(bytes: Bytes) -> HeaderValue {
        let bytes = if memchr::memchr2(b'\r', b'\n', &bytes).is_some() {
            bytes.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }).collect()
        } else {
            bytes
        };
        let trimmed = text::trim(&bytes);
        if trimmed.len() == bytes.len() { HeaderValue(bytes) } else { HeaderValue(bytes.slice_ref(trimmed)) }
    }
}

impl From<Bytes> for HeaderValue {
    fn from(bytes: Bytes) -> Self {
        HeaderValue::new(bytes)
    }
}

impl From<&Bytes> for HeaderValue {
    fn from(bytes: &Bytes) -> Self {
        HeaderValue::new(bytes.clone())
    }
}

impl From<Vec<u8>> for HeaderValue {
    fn from(bytes: Vec<u8>) -> Self {
        HeaderValue::new(bytes.into())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        HeaderValue::new(text.into())
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        HeaderValue::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<u32> for HeaderValue {
    fn from(number: u32) -> Self {
        number.to_string().into()
    }
}

macro_rules! printed {
    ($($type:ty)*) => {
        $(impl From<&$type> for HeaderValue {
            fn from(value: &$type) -> Self {
                let mut out = Vec::with_capacity(128);
                value.write(&mut out);
                HeaderValue::new(out.into())
            }
        }

        impl From<$type> for HeaderValue {
            fn from(value: $type) -> Self {
                (&value).into()
            }
        })*
    };
}
printed!(NameAddr Via Uri super::values::CSeq super::values::Reason super::replaces::Replaces super::values::SubscriptionState
    super::authentication::Challenge super::authentication::Credentials);

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    pub fn with_capacity(n: usize) -> Headers {
        Headers(Vec::with_capacity(n))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of this name.
    pub fn get(&self, name: &HeaderName) -> Option<&Bytes> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn get_all(&self, name: &HeaderName) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    pub fn count(&self, name: &HeaderName) -> usize {
        self.get_all(name).count()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &Bytes)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// At the end.
    pub fn push(&mut self, name: HeaderName, value: impl Into<HeaderValue>) {
        if name != HeaderName::ContentLength {
            self.0.push((name, value.into().0));
        }
    }

    /// `value` is trimmed and has no line end.
    pub(super) fn push_clean(&mut self, name: HeaderName, value: Bytes) {
        self.0.push((name, value));
    }

    /// Before the others of this name; if there are none, before everything.
    pub fn insert_first(&mut self, name: HeaderName, value: impl Into<HeaderValue>) {
        if name != HeaderName::ContentLength {
            let at = self.0.iter().position(|(n, _)| *n == name).unwrap_or(0);
            self.0.insert(at, (name, value.into().0));
        }
    }

    /// In place of all of this name, at the place of the first.
    pub fn set(&mut self, name: HeaderName, value: impl Into<HeaderValue>) {
        let Some(at) = self.0.iter().position(|(n, _)| *n == name) else { return self.push(name, value) };
        self.0[at].1 = value.into().0;
        let mut index = 0;
        self.0.retain(|(n, _)| {
            index += 1;
            index - 1 <= at || *n != name
        });
    }

    /// All of this name; what is put in their place is trimmed and has no line end.
    pub(crate) fn values_mut(&mut self, name: &HeaderName) -> impl Iterator<Item = &mut Bytes> {
        self.0.iter_mut().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    /// All of this name.
    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(n, _)| n != name);
    }

    /// Copies all of this name from `other` behind what is here.
    pub fn copy(&mut self, name: &HeaderName, other: &Headers) {
        self.0.extend(other.0.iter().filter(|(n, _)| n == name).cloned());
    }

    /// What a request is let through with (RFC 3261 §22.1, §22.3), for the ACK to its 2xx: that can't be challenged, only dropped.
    pub fn copy_credentials(&mut self, other: &Headers) {
        self.copy(&HeaderName::Authorization, other);
        self.copy(&HeaderName::ProxyAuthorization, other);
    }

    /// The elements of a comma list that may be spread over several headers, in their order. Do not use it where a comma may stand
    /// in a value (Date, Authorization, User-Agent).
    pub fn elements(&self, name: &HeaderName) -> impl Iterator<Item = Bytes> {
        self.get_all(name).flat_map(|value| text::split(value, b',').map(|part| value.slice_ref(part)))
    }

    /// Replaces the first element of the first comma list of this name; `None` removes it.
    pub(super) fn replace_first_element(&mut self, name: &HeaderName, new: Option<HeaderValue>) {
        let Some(at) = self.0.iter().position(|(n, _)| n == name) else { return };
        let value = self.0[at].1.clone();
        let first_len = text::split_offset(&value, b',');
        let rest = value.get(first_len + 1..).map(text::trim).filter(|rest| !rest.is_empty());
        match (new, rest) {
            (Some(new), Some(rest)) => {
                let joined = [&new.0[..], b", ", rest].concat();
                self.0[at].1 = HeaderValue::new(joined.into()).0;
            }
            (Some(new), None) => self.0[at].1 = new.0,
            (None, Some(rest)) => self.0[at].1 = value.slice_ref(rest),
            (None, None) => {
                self.0.remove(at);
            }
        }
    }

    /// Octets that [`write`](Headers::write) adds.
    pub(super) fn printed_len(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len()).sum()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.0 {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn fault(name: HeaderName, why: Syntax) -> super::error::ParseError {
        super::error::ParseError::Header { name, why }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (name, value) in &self.0 {
            list.entry(&format_args!("{name}: {}", String::from_utf8_lossy(value)));
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_value_cannot_become_a_second_header() {
        let mut h = Headers::new();
        h.push(HeaderName::Subject, " a\r\nVia: b\n ");
        h.set(HeaderName::ContentLength, "7");
        assert_eq!(printed(&h), "Subject: a  Via: b\r\n");
    }

    #[test]
    fn set_replaces_all_at_the_place_of_the_first() {
        let mut h = Headers::new();
        for (name, value) in [(HeaderName::Via, "1"), (HeaderName::Route, "a"), (HeaderName::To, "t"), (HeaderName::Route, "b")] {
            h.push(name, value);
        }
        h.set(HeaderName::Route, "c");
        h.insert_first(HeaderName::Via, "0");
        h.insert_first(HeaderName::Require, "r");
        assert_eq!(printed(&h), "Require: r\r\nVia: 0\r\nVia: 1\r\nRoute: c\r\nTo: t\r\n");
        h.remove(&HeaderName::Via);
        assert_eq!(h.len(), 3);
    }

    #[test]
    fn elements_run_over_all_headers_of_the_name() {
        let mut h = Headers::new();
        h.push(HeaderName::Supported, "a, b");
        h.push(HeaderName::Supported, "c");
        let all: Vec<Bytes> = h.elements(&HeaderName::Supported).collect();
        assert_eq!(all, ["a", "b", "c"]);
        h.replace_first_element(&HeaderName::Supported, Some("x".into()));
        h.replace_first_element(&HeaderName::Supported, None);
        assert_eq!(printed(&h), "Supported: b\r\nSupported: c\r\n");
        h.replace_first_element(&HeaderName::Supported, None);
        assert_eq!(printed(&h), "Supported: c\r\n");
    }
}
