//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route, Refer-To … (RFC 3261 §20.10, §25.1).
//!
//! A display name is kept without quotes and control characters and always printed quoted, so that no name can close its quotes or end
//! its line. The URI is always printed in angle brackets. Without brackets in what is read, parameters belong to the header, and a comma
//! or question mark is refused as ambiguous (§20).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::error::Syntax;
use super::params::Params;
use super::text;
use super::uri::Uri;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameAddr {
    /// Unquoted, without control characters; not always UTF-8. `None` for none or an empty one.
    display: Option<Bytes>,
    pub uri: Uri,
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: impl Into<Uri>) -> NameAddr {
        NameAddr { display: None, uri: uri.into(), params: Params::default() }
    }

    pub fn parse(value: impl Into<Bytes>) -> Result<NameAddr, Syntax> {
        let src = value.into();
        NameAddr::parse_in(&src, &src)
    }

    /// A comma list.
    pub fn parse_list(value: &Bytes) -> Result<Vec<NameAddr>, Syntax> {
        text::split(value, b',').map(|part| NameAddr::parse_in(value, part)).collect()
    }

    /// `part` lies in `src`.
    pub(super) fn parse_in(src: &Bytes, part: &[u8]) -> Result<NameAddr, Syntax> {
        let Parts { display, is_quoted, uri, params } = Parts::of(part)?;
        let display = display.and_then(|name| clean(src, name, is_quoted));
        Ok(NameAddr { display, uri: Uri::parse_in(src, uri)?, params: Params::parse_header(src, params)? })
    }

    /// The parameters of one alone, whose URI is not looked at.
    pub(super) fn params_in(src: &Bytes) -> Result<Params, Syntax> {
        Params::parse_header(src, Parts::of(src)?.params)
    }

    pub fn display(&self) -> Option<&[u8]> {
        self.display.as_deref()
    }

    /// Bytes that are not UTF-8 become U+FFFD.
    pub fn display_text(&self) -> Option<Cow<'_, str>> {
        self.display.as_deref().map(String::from_utf8_lossy)
    }

    /// Control characters are left out.
    pub fn with_display(mut self, name: impl AsRef<[u8]>) -> NameAddr {
        let src = Bytes::copy_from_slice(name.as_ref());
        self.display = clean(&src, &src, false);
        self
    }

    pub fn without_display(mut self) -> NameAddr {
        self.display = None;
        self
    }

    /// Of a Contact (§20.10), in thousandths: `0.5` is 500; 1000 where it is absent or can't be read.
    pub fn q(&self) -> u16 {
        let read = |q: &[u8]| std::str::from_utf8(q).ok()?.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q));
        self.params.get("q").and_then(read).map_or(1_000, |q| (q * 1_000.0).round() as u16)
    }

    pub fn tag(&self) -> Option<&[u8]> {
        self.params.get("tag")
    }

    /// A new tag, or a peer's as [`tag`](NameAddr::tag) gave it.
    pub fn with_tag(mut self, tag: impl AsRef<[u8]>) -> NameAddr {
        self.params.set_as_written("tag", tag.as_ref());
        self
    }

    pub fn without_tag(mut self) -> NameAddr {
        self.params.remove("tag");
        self
    }

    pub fn with_param(mut self, name: &'static str, value: impl AsRef<[u8]>) -> NameAddr {
        self.params.set(name, value);
        self
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(display) = &self.display {
            text::write_quoted(out, display);
            out.push(b' ');
        }
        out.push(b'<');
        self.uri.write(out);
        out.push(b'>');
        self.params.write(out);
    }
}

/// Where what stands.
struct Parts<'a> {
    /// As it is written, without its quotes.
    display: Option<&'a [u8]>,
    is_quoted: bool,
    uri: &'a [u8],
    params: &'a [u8],
}

impl Parts<'_> {
    fn of(part: &[u8]) -> Result<Parts<'_>, Syntax> {
        let part = text::trim(part);
        let is_quoted = part.first() == Some(&b'"');
        let (display, rest) = if is_quoted {
            let end = text::quoted_end(part).ok_or(Syntax::Quote)?;
            let rest = text::trim(&part[end..]);
            if rest.first() != Some(&b'<') {
                return Err(Syntax::DisplayName);
            }
            (Some(&part[1..end - 1]), rest)
        } else {
            match memchr::memchr(b'<', part) {
                Some(open) => {
                    let name = text::trim(&part[..open]);
                    if !name.iter().all(|&b| is_bare_display(b)) {
                        return Err(Syntax::DisplayName);
                    }
                    (Some(name), &part[open..])
                }
                None => (None, part),
            }
        };
        let (uri, params) = match rest.first() {
            Some(b'<') => {
                let close = memchr::memchr(b'>', rest).ok_or(Syntax::AngleBracket)?;
                (&rest[1..close], &rest[close + 1..])
            }
            Some(_) => {
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                let uri = text::trim(&rest[..end]);
                if uri.iter().any(|b| b",?".contains(b)) {
                    return Err(Syntax::Ambiguous);
                }
                (uri, &rest[end..])
            }
            None => return Err(Syntax::Empty),
        };
        Ok(Parts { display, is_quoted, uri, params })
    }
}

/// More than the tokens of the grammar: what phones leave unquoted and cannot be mistaken for a delimiter.
fn is_bare_display(b: u8) -> bool {
    text::is(b, text::TOKEN) || b >= 0x80 || b" \t()[]{}/:@?=&$#^|".contains(&b)
}

fn clean(src: &Bytes, name: &[u8], quoted: bool) -> Option<Bytes> {
    let name = text::trim(name);
    let unquoted = if quoted { text::unquote(name) } else { Cow::Borrowed(name) };
    let cleaned = if unquoted.iter().any(u8::is_ascii_control) {
        // Trimmed again: a control character may have stood outside of a space.
        let kept: Vec<u8> = unquoted.iter().copied().filter(|b| !b.is_ascii_control()).collect();
        Bytes::copy_from_slice(text::trim(&kept))
    } else {
        match unquoted {
            Cow::Borrowed(name) => src.slice_ref(name),
            Cow::Owned(name) => Bytes::copy_from_slice(text::trim(&name)),
        }
    };
    (!cleaned.is_empty()).then_some(cleaned)
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(96);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As text where it is UTF-8 and base64 of the bytes where it is not, so that nothing is lost in a snapshot.
impl serde::Serialize for NameAddr {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = Vec::with_capacity(96);
        self.write(&mut out);
        super::journal::serialize(&out, s)
    }
}

impl<'de> serde::Deserialize<'de> for NameAddr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        NameAddr::parse(super::journal::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> NameAddr {
        NameAddr::parse(Bytes::from_static(text.as_bytes())).expect(text)
    }

    #[test]
    fn names_are_unquoted_and_printed_quoted() {
        for (text, display, printed) in [
            ("\"A. G. \\\"Bell\\\"\" <sip:a@b> ;tag=a48s", Some("A. G. \"Bell\""), "\"A. G. \\\"Bell\\\"\" <sip:a@b>;tag=a48s"),
            ("caller<sip:a@b>;tag=323", Some("caller"), "\"caller\" <sip:a@b>;tag=323"),
            ("J\u{fc}rgen (home)  <sip:a@b>", Some("J\u{fc}rgen (home)"), "\"J\u{fc}rgen (home)\" <sip:a@b>"),
            ("\"\" <sip:a@b>", None, "<sip:a@b>"),
            ("sip:+12125551212@server.phone2net.com;tag=887s", None, "<sip:+12125551212@server.phone2net.com>;tag=887s"),
            ("\"a\0b\\\n\" <sip:a@b>", Some("ab"), "\"ab\" <sip:a@b>"),
            ("\"x<sip:c@d>\" <sip:a@b>", Some("x<sip:c@d>"), "\"x<sip:c@d>\" <sip:a@b>"),
        ] {
            let n = read(text);
            assert_eq!(n.display_text().as_deref(), display);
            assert_eq!(n.to_string(), printed);
            assert_eq!(NameAddr::parse(printed.to_owned()).expect("again"), n);
        }
    }

    #[test]
    fn ambiguous_and_open_ones_are_refused() {
        for bad in [
            "",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@b>;tag=43",
            "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
            "< sip:user@example.com>",
            "<sip:user@example.com >",
            "<sip:a@b",
            "\"a\" sip:a@b",
            "<sip:a@b>x",
            "<sip:a@b>;;",
            "sip:a@b,sip:c@d",
        ] {
            assert!(NameAddr::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_display_name_made_of_anything_stays_in_its_quotes() {
        let n = read("<sip:a@b>").with_display("x\"\r\nVia: <sip:evil>\\").with_tag("a b\r\n");
        assert_eq!(n.to_string(), "\"x\\\"Via: <sip:evil>\\\\\" <sip:a@b>;tag=\"a b\"");
        assert_eq!(NameAddr::parse(n.to_string()).expect("again").display(), n.display());
    }

    #[test]
    fn a_parameter_outside_of_the_brackets_is_the_contacts_and_inside_the_uris() {
        let outside = read("sip:+19725552222@gw1.example.net;unknownparam");
        assert!(outside.params.has("unknownparam"));
        assert!(outside.uri.sip().is_some_and(|u| u.params().is_empty()));
        let inside = read("<sip:+19725552222@gw1.example.net;unknownparam>");
        assert!(inside.params.is_empty());
        assert!(inside.uri.sip().is_some_and(|u| u.params().has("unknownparam")));
    }

    #[test]
    fn lists_split_only_outside_of_quotes_and_brackets() {
        let list = NameAddr::parse_list(&Bytes::from_static(b"\"a,b\" <sip:x,y@z>;q=0.5, <sip:c@d>")).expect("list");
        assert_eq!(list.len(), 2);
        assert!(NameAddr::parse_list(&Bytes::from_static(b"<sip:c@d>,")).is_err());
    }

    #[test]
    fn serde_loses_no_byte() {
        let mut n = read("<sip:a@b>;x=1");
        for display in [&b"plain"[..], b"\xff\xfe", "\u{fc}".as_bytes()] {
            n = n.with_display(display);
            let json = serde_json::to_string(&n).expect("json");
            assert_eq!(serde_json::from_str::<NameAddr>(&json).expect("back"), n);
        }
    }
}
