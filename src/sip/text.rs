//! The alphabets of RFC 3261 §25.1 and the two kinds of text that messages are made of.
//!
//! The rule kept here: a value of [`Token`] or [`Ascii`] cannot hold a line end, a space or a control character, whoever made it, so
//! that what is printed with them cannot grow a header. Everything is a slice of the datagram that it came in, not a copy.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// `token` of RFC 3261.
pub(super) const TOKEN: u8 = 1;
/// What may stand unescaped in the user part: `unreserved / user-unreserved`.
pub(super) const USER: u8 = 2;
/// What may stand unescaped in a URI parameter: `param-unreserved / unreserved`.
pub(super) const PARAM: u8 = 4;
/// Letters, digits, `-`, `.` and, because networks have them, `_`.
pub(super) const HOST: u8 = 8;
/// Printable ASCII that cannot end a URI or be taken for its delimiter (`<`, `>`, `"`, space, `\`).
pub(super) const URI: u8 = 16;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut t = [0u8; 256];
    t = mark(t, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", TOKEN | USER | PARAM | HOST | URI);
    t = mark(t, b"-.!%*_+`'~", TOKEN);
    t = mark(t, b"-_.!~*'()", USER | PARAM);
    t = mark(t, b"&=+$,;?/", USER);
    t = mark(t, b"[]/:&+$", PARAM);
    t = mark(t, b"-._", HOST);
    mark(t, b"!#$%&'()*+,-./:;=?@[]^_`{|}~", URI)
}

const fn mark(mut t: [u8; 256], set: &[u8], class: u8) -> [u8; 256] {
    let mut i = 0;
    while i < set.len() {
        t[set[i] as usize] |= class;
        i += 1;
    }
    t
}

pub(super) fn is(b: u8, class: u8) -> bool {
    CLASS[b as usize] & class != 0
}

pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|&b| is(b, class))
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// A non-empty `token`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Bytes);

impl Token {
    pub fn new(bytes: impl Into<Bytes>) -> Option<Token> {
        let bytes = bytes.into();
        is_token(&bytes).then_some(Token(bytes))
    }

    /// A word of our own. What would be no token in it (a mistake of ours) becomes `_`.
    pub(super) fn literal(word: &'static str) -> Token {
        if is_token(word.as_bytes()) {
            return Token(Bytes::from_static(word.as_bytes()));
        }
        debug_assert!(false, "{word:?} is no token");
        Token(Bytes::from_static(b"_"))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Printable ASCII without a space: the raw (still escaped) parts of a URI, names of hosts and parameters.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ascii(Bytes);

impl Ascii {
    pub(super) fn new(bytes: impl Into<Bytes>) -> Option<Ascii> {
        let bytes = bytes.into();
        bytes.iter().all(u8::is_ascii_graphic).then_some(Ascii(bytes))
    }

    /// A name of our own; what may not stand in it (a mistake of ours) is escaped.
    pub(super) fn literal(name: &'static str) -> Ascii {
        match is_token(name.as_bytes()) {
            true => Ascii(Bytes::from_static(name.as_bytes())),
            false => Ascii::escaped(name.as_bytes(), TOKEN),
        }
    }

    /// Never fails: what may not stand in the class (`%` included) is written as `%XX`.
    pub(super) fn escaped(raw: &[u8], class: u8) -> Ascii {
        let mut out = Vec::with_capacity(raw.len());
        for &b in raw {
            if is(b, class) && b != b'%' {
                out.push(b);
            } else {
                push_escape(&mut out, b);
            }
        }
        Ascii(out.into())
    }

    /// Reads text that should be escaped already. Bytes outside ASCII and the few characters that phones leave bare (`#` above all, in
    /// feature codes) get the escape that they lack; anything else outside `class` and a `%` without two digits is an error.
    pub(super) fn mended(src: &Bytes, part: &[u8], class: u8) -> Option<Ascii> {
        let mut mend = false;
        let mut i = 0;
        while let Some(&b) = part.get(i) {
            if b == b'%' {
                if !part.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return None;
                }
                i += 3;
                continue;
            }
            if !is(b, class) {
                if b < 0x80 && !b"#^`{|}".contains(&b) {
                    return None;
                }
                mend = true;
            }
            i += 1;
        }
        if !mend {
            return Some(Ascii(src.slice_ref(part)));
        }
        let mut out = Vec::with_capacity(part.len() + 8);
        for &b in part {
            if is(b, class) || b == b'%' {
                out.push(b);
            } else {
                push_escape(&mut out, b);
            }
        }
        Some(Ascii(out.into()))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The bytes that the `%XX` stand for. Whoever prints them must escape them again.
    pub fn unescaped(&self) -> Cow<'_, [u8]> {
        unescape(&self.0)
    }
}

fn push_escape(out: &mut Vec<u8>, b: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
}

/// `%XX` to bytes; a `%` that is no escape stays.
pub(super) fn unescape(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let digit = |at: usize| bytes.get(at).and_then(|&d| char::from(d).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (b, digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                i += 3;
            }
            _ => {
                out.push(b);
                i += 1;
            }
        }
    }
    Cow::Owned(out)
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_bytes() == other.as_bytes()
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_bytes() == other.as_bytes()
            }
        }
    };
}
text!(Token);
text!(Ascii);

/// Without the spaces and tabs around it.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `bytes` at the first `at`: what is before and after it.
pub(super) fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = memchr::memchr(at, bytes)?;
    Some((&bytes[..i], &bytes[i + 1..]))
}

/// In decimal, without the detours of `write!`: several of them stand in each message.
pub(super) fn write_number(out: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        // The remainder is a digit.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Digits only. `None` if empty, not digits, or over `u32`.
pub(super) fn number(bytes: &[u8]) -> Option<u32> {
    number_wide(bytes).and_then(|n| u32::try_from(n).ok())
}

/// As [`number`], but what is too large is the largest: for counters of seconds and hops, where that means the same.
pub(super) fn number_clamped(bytes: &[u8]) -> Option<u32> {
    number_wide(bytes).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

fn number_wide(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0u64, |n, &d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
}

/// Where the quoted string that starts at the beginning of `bytes` (a `"`) ends: the index after its closing quote.
pub(super) fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut i = 1;
    loop {
        i += memchr::memchr2(b'"', b'\\', bytes.get(i..)?)?;
        match bytes.get(i)? {
            b'"' => return Some(i + 1),
            _ => i += 2,
        }
    }
}

/// The content of a quoted string whose quotes are off already: `\x` to `x`.
pub(super) fn unquote(inner: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&b) = bytes.next() {
        out.push(if b == b'\\' { bytes.next().copied().unwrap_or(b) } else { b });
    }
    Cow::Owned(out)
}

/// A quoted string, whatever it is given: quotes and backslashes are escaped, control characters left out.
pub(super) fn write_quoted(out: &mut Vec<u8>, content: &[u8]) {
    out.push(b'"');
    if content.iter().all(|&b| !matches!(b, b'"' | b'\\' | 0..=31 | 127)) {
        out.extend_from_slice(content);
    } else {
        for &b in content {
            match b {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
                0..=31 | 127 => {}
                _ => out.push(b),
            }
        }
    }
    out.push(b'"');
}

/// Iterates over the parts between `separator`, trimmed, leaving quoted strings and `<…>` whole. An open quote or bracket swallows the
/// rest, which the parser of the part will refuse.
pub(super) struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

pub(super) fn split(bytes: &[u8], separator: u8) -> Split<'_> {
    Split { rest: Some(bytes), separator }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest.take()?;
        let end = split_offset(bytes, self.separator);
        self.rest = bytes.get(end + 1..);
        Some(trim(&bytes[..end]))
    }
}

/// Where the first separator outside of quotes and brackets is; the length if there is none.
pub(super) fn split_offset(bytes: &[u8], separator: u8) -> usize {
    let mut i = 0;
    while let Some(n) = memchr::memchr3(separator, b'"', b'<', &bytes[i..]) {
        let rest = &bytes[i + n..];
        let whole = match rest.first() {
            Some(b'"') => quoted_end(rest),
            Some(b'<') => memchr::memchr(b'>', rest).map(|end| end + 1),
            Some(_) | None => return i + n,
        };
        match whole {
            Some(length) => i += n + length,
            None => return bytes.len(),
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_leaves_quotes_and_angle_brackets_whole() {
        let parts: Vec<&[u8]> = split(br#""a, \" b" <sip:x,y@z>;q=1 , <sip:q>"#, b',').collect();
        assert_eq!(parts, [&br#""a, \" b" <sip:x,y@z>;q=1"#[..], b"<sip:q>"]);
        assert_eq!(split(b"\"open, quote", b',').count(), 1);
        assert_eq!(split(b"", b',').count(), 1);
    }

    #[test]
    fn numbers_over_the_range_are_refused_or_clamped() {
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        assert_eq!(number(b"4294967296"), None);
        assert_eq!(number_clamped(b"99999999999999999999999999"), Some(u32::MAX));
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b""), None);
    }

    #[test]
    fn numbers_are_printed_as_they_are() {
        for number in [0, 7, 10, 5060, 65_535, 4_294_967_295] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out), Ok(number.to_string()));
        }
    }

    #[test]
    fn escapes_are_made_mended_and_read() {
        assert_eq!(Ascii::escaped(b"a b%\r\n", USER), "a%20b%25%0D%0A");
        let src = Bytes::from_static("*21#\u{e9}%41".as_bytes());
        let mended = Ascii::mended(&src, &src, USER).expect("mends");
        assert_eq!(mended, "*21%23%C3%A9%41");
        assert_eq!(mended.unescaped().as_ref(), "*21#\u{e9}A".as_bytes());
        assert_eq!(Ascii::mended(&src, b"", USER), Some(Ascii::default()));
        for bad in [&b"%4"[..], b"%zz", b"a b", b"a\"b", b"a\0b"] {
            let src = Bytes::copy_from_slice(bad);
            assert_eq!(Ascii::mended(&src, &src, USER), None, "{bad:?}");
        }
    }
}
