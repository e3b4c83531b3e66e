//! `;name=value` lists of headers and URIs, in their order.
//!
//! Values are kept as they were written (quoted or escaped), so that they print back unchanged. [`set`](Params::set) is the flavour of
//! headers (quotes what is no token); URIs keep their lists private and escape instead. A name that stands twice is refused (§7.3.1,
//! §19.1.1): of two tags, the next hop might take the other.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::error::Syntax;
use super::text::{self, Ascii};

/// In one list. RFC 4475's longest has 20; without a bound, looking for names that stand twice takes quadratic time.
const MOST: usize = 64;

#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Params(Vec<Param>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Param {
    name: Ascii,
    /// Raw: never a line end, a control character only inside of quotes.
    value: Option<Bytes>,
}

impl Params {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value as written. `None` if it is not there or is a flag without a value.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name)?.value.as_deref()
    }

    /// The value without its quotes.
    pub fn unquoted(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        Some(match self.get(name)? {
            [b'"', inner @ .., b'"'] => text::unquote(inner),
            raw => Cow::Borrowed(raw),
        })
    }

    /// The value without its quotes as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self, name: &str) -> Option<String> {
        self.unquoted(name).map(|v| String::from_utf8_lossy(&v).into_owned())
    }

    /// The value as a decimal number. `None` too if it is none or over `u32`.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.get(name).and_then(text::number)
    }

    /// Names and values as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        self.0.iter().map(|p| (p.name.as_str(), p.value.as_deref()))
    }

    /// Replaces the first of this name or adds it. What cannot stand bare is quoted; control characters are left out.
    pub fn set(&mut self, name: &'static str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let raw = if !value.is_empty() && value.iter().all(|&b| is_bare(b)) {
            Bytes::copy_from_slice(value)
        } else {
            let mut out = Vec::with_capacity(value.len() + 2);
            text::write_quoted(&mut out, value);
            out.into()
        };
        self.put(name, Some(raw));
    }

    /// As [`set`](Params::set), for what [`get`](Params::get) gave: a peer's tag goes back as it was written, quotes and all.
    pub fn set_as_written(&mut self, name: &'static str, raw: &[u8]) {
        let quoted =
            raw.first() == Some(&b'"') && text::quoted_end(raw) == Some(raw.len()) && !raw.iter().any(u8::is_ascii_control);
        if quoted {
            self.put(name, Some(Bytes::copy_from_slice(raw)));
        } else {
            self.set(name, raw);
        }
    }

    /// A parameter without a value, as `rport` or `lr`.
    pub fn set_flag(&mut self, name: &'static str) {
        self.put(name, None);
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|p| !p.is(name));
    }

    /// `value` must be safe as it is.
    pub(super) fn put(&mut self, name: &'static str, value: Option<Bytes>) {
        let name = Ascii::literal(name);
        match self.0.iter_mut().find(|p| p.is(name.as_str())) {
            Some(p) => p.value = value,
            None => self.0.push(Param { name, value }),
        }
    }

    fn add(&mut self, name: Ascii, value: Option<Bytes>) -> Result<(), Syntax> {
        if self.0.len() >= MOST || self.has(name.as_str()) {
            return Err(Syntax::Parameter);
        }
        self.0.push(Param { name, value });
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|p| p.is(name))
    }

    /// §19.1.4, for URIs: a parameter in both must match in any case; one of `significant` in only one of them makes a difference, any
    /// other does not.
    pub(super) fn equivalent(&self, other: &Params, significant: &[&str]) -> bool {
        let covers = |a: &Params, b: &Params| {
            a.iter().all(|(name, value)| {
                if !b.has(name) {
                    return !significant.iter().any(|s| s.eq_ignore_ascii_case(name));
                }
                let mine = value.map(text::unescape).unwrap_or_default();
                let theirs = b.get(name).map(text::unescape).unwrap_or_default();
                mine.eq_ignore_ascii_case(&theirs)
            })
        };
        covers(self, other) && covers(other, self)
    }

    /// `rest` is empty or starts with a `;`, and lies in `src`. Values are tokens, addresses or quoted strings; other printable
    /// characters that cannot be mistaken for a delimiter are let through, since branches and tags of many makes hold them.
    pub(super) fn parse_header(src: &Bytes, rest: &[u8]) -> Result<Params, Syntax> {
        let mut params = Params::default();
        let mut rest = text::trim(rest);
        while let Some((&first, after)) = rest.split_first() {
            if first != b';' {
                return Err(Syntax::Parameter);
            }
            let after = text::trim(after);
            let name_end = after.iter().position(|b| b";= \t".contains(b)).unwrap_or(after.len());
            let (name, tail) = after_space(after, name_end)?;
            if !text::is_token(name) {
                return Err(Syntax::Parameter);
            }
            let name = Ascii::new(src.slice_ref(name)).ok_or(Syntax::Parameter)?;
            let value = if let [b'=', tail @ ..] = tail {
                let tail = text::trim(tail);
                let value_end = match tail.first() {
                    Some(b'"') => text::quoted_end(tail).ok_or(Syntax::Quote)?,
                    _ => tail.iter().position(|&b| !is_bare(b)).unwrap_or(tail.len()),
                };
                let value = &tail[..value_end];
                if value.is_empty() || memchr::memchr2(b'\r', b'\n', value).is_some() {
                    return Err(Syntax::Parameter);
                }
                rest = text::trim(&tail[value_end..]);
                Some(src.slice_ref(value))
            } else {
                rest = tail;
                None
            };
            params.add(name, value)?;
        }
        Ok(params)
    }

    /// `rest` is what follows the first `;` of a URI. Empty elements are dropped: phones print them.
    pub(super) fn parse_uri(src: &Bytes, rest: &[u8]) -> Result<Params, Syntax> {
        let mut params = Params::default();
        for element in rest.split(|&b| b == b';').filter(|e| !e.is_empty()) {
            let (name, value) = match text::split_once(element, b'=') {
                Some((name, value)) => (name, Some(value)),
                None => (element, None),
            };
            let name = Ascii::mended(src, name, text::PARAM).filter(|n| !n.as_bytes().is_empty()).ok_or(Syntax::Parameter)?;
            let value = match value {
                Some(v) => {
                    let v = Ascii::mended(src, v, text::URI).ok_or(Syntax::Parameter)?;
                    Some(v.into_bytes())
                }
                None => None,
            };
            params.add(name, value)?;
        }
        Ok(params)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for param in &self.0 {
            out.push(b';');
            out.extend_from_slice(param.name.as_bytes());
            if let Some(value) = &param.value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }
}

impl Param {
    fn is(&self, name: &str) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// May stand in a value without quotes.
fn is_bare(b: u8) -> bool {
    b.is_ascii_graphic() && !b";\"<>,".contains(&b)
}

/// What is before `end`, and what is after it without the space at its beginning.
fn after_space(bytes: &[u8], end: usize) -> Result<(&[u8], &[u8]), Syntax> {
    let (name, tail) = bytes.split_at_checked(end).ok_or(Syntax::Parameter)?;
    Ok((name, text::trim(tail)))
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &'static str) -> Result<Params, Syntax> {
        let src = Bytes::from_static(text.as_bytes());
        Params::parse_header(&src, &src)
    }

    #[test]
    fn header_parameters_keep_quotes_and_read_without_them() {
        let p = header("; Tag = abc ;lr; x=\"a;\\\"b\" ;received=2001:db8::9:255;y=[::1]").expect("parses");
        assert_eq!(p.get("tag"), Some(&b"abc"[..]));
        assert!(p.has("LR") && p.get("lr").is_none());
        assert_eq!(p.text("x").as_deref(), Some("a;\"b"));
        assert_eq!(p.get("received"), Some(&b"2001:db8::9:255"[..]));
        assert_eq!(format!("{p:?}"), ";Tag=abc;lr;x=\"a;\\\"b\";received=2001:db8::9:255;y=[::1]");
    }

    #[test]
    fn empty_or_open_parameters_are_refused() {
        for bad in [";;", ";", ";a=", ";a=\"b", "a", ";a b", ";a=b c", ";a=\"b\"c", ";a=<b>", ";a=b,c", ";tag=1;Tag=2"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_peer_wrote_goes_back_unchanged() {
        for text in [";tag=a=b@c", ";tag=\"x \\\" y\"", ";tag=[::1]"] {
            let mut p = Params::default();
            p.set_as_written("tag", header(text).expect(text).get("tag").expect("tag"));
            assert_eq!(format!("{p:?}"), text);
        }
    }

    #[test]
    fn set_quotes_what_is_no_token_and_never_prints_a_line_end() {
        let mut p = Params::default();
        p.set("a", "tok.en");
        p.set("b", "x\r\nVia: y\"\\;");
        p.set("a", "other");
        assert_eq!(format!("{p:?}"), ";a=other;b=\"xVia: y\\\"\\\\;\"");
    }
}
