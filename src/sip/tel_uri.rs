//! `tel:` URIs (RFC 3966): a telephone number with its visual separators, and parameters.

use bytes::Bytes;

use super::error::Syntax;
use super::params::Params;
use super::text::{self, Ascii};

/// `tel:+49-30-1234;phone-context=…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TelUri {
    number: Ascii,
    params: Params,
}

impl TelUri {
    /// Keeps what may stand in a telephone number (digits, `+`, `*`, `#`, A to F, visual separators), leaves out the rest. `None` if
    /// nothing is left.
    pub fn new(number: &str) -> Option<TelUri> {
        let kept: Vec<u8> = number.bytes().filter(|&b| is_phone_digit(b)).collect();
        if kept.is_empty() {
            return None;
        }
        Ascii::new(kept).map(|number| TelUri { number, params: Params::default() })
    }

    pub(super) fn parse(src: &Bytes, rest: &[u8]) -> Result<TelUri, Syntax> {
        let (number, params) = match text::split_once(rest, b';') {
            Some((number, params)) => (number, Params::parse_uri(src, params)?),
            None => (rest, Params::default()),
        };
        if number.is_empty() || !number.iter().all(|&b| is_phone_digit(b)) {
            return Err(Syntax::Telephone);
        }
        let number = Ascii::new(src.slice_ref(number)).ok_or(Syntax::Telephone)?;
        Ok(TelUri { number, params })
    }

    /// As written.
    pub fn number(&self) -> &str {
        self.number.as_str()
    }

    /// Without the visual separators.
    pub fn digits(&self) -> String {
        self.number.as_str().chars().filter(|c| !"-.()".contains(*c)).collect()
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    pub fn equivalent(&self, other: &TelUri) -> bool {
        self.digits().eq_ignore_ascii_case(&other.digits())
            && self.params.equivalent(&other.params, &["ext", "isub", "phone-context"])
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"tel:");
        out.extend_from_slice(self.number.as_bytes());
        self.params.write(out);
    }
}

fn is_phone_digit(b: u8) -> bool {
    b.is_ascii_hexdigit() || b"+*#-.()".contains(&b)
}
