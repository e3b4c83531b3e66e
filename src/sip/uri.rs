//! URIs: `sip:`, `sips:`, `tel:`, and any other scheme kept whole (RFC 3261 §19.1, RFC 3966).
//!
//! A URI is printable ASCII without spaces by construction, so it prints as one word wherever it is put.

use std::fmt;

use bytes::Bytes;

use super::error::Syntax;
use super::sip_uri::SipUri;
use super::tel_uri::TelUri;
use super::text::{self, Ascii};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uri {
    /// `sips:` is this too, with [`secure`](SipUri::secure).
    Sip(SipUri),
    Tel(TelUri),
    /// A scheme that we do not speak (answered 416 as a request's URI), as written.
    Other(OtherUri),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherUri(Ascii);

impl Uri {
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Uri, Syntax> {
        let src = bytes.into();
        Uri::parse_in(&src, &src)
    }

    /// `part` lies in `src`.
    pub(super) fn parse_in(src: &Bytes, part: &[u8]) -> Result<Uri, Syntax> {
        let (scheme, rest) = text::split_once(part, b':').ok_or(Syntax::Scheme)?;
        if scheme.eq_ignore_ascii_case(b"sip") {
            SipUri::parse(src, rest, false).map(Uri::Sip)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            SipUri::parse(src, rest, true).map(Uri::Sip)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            TelUri::parse(src, rest).map(Uri::Tel)
        } else {
            let [first, others @ ..] = scheme else { return Err(Syntax::Scheme) };
            if !first.is_ascii_alphabetic() || !others.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)) {
                return Err(Syntax::Scheme);
            }
            if rest.is_empty() || !text::all(rest, text::URI) {
                return Err(Syntax::UriCharacter);
            }
            Ascii::new(src.slice_ref(part)).map(|a| Uri::Other(OtherUri(a))).ok_or(Syntax::UriCharacter)
        }
    }

    /// The SIP or SIPS URI.
    pub fn sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(sip) => Some(sip),
            Uri::Tel(_) | Uri::Other(_) => None,
        }
    }

    /// What is dialled by it: the unescaped user, or the telephone number without its visual separators, where that is text.
    pub fn dialled(&self) -> Option<String> {
        match self {
            Uri::Sip(sip) => String::from_utf8(sip.user_unescaped()?.into_owned()).ok(),
            Uri::Tel(tel) => Some(tel.digits()),
            Uri::Other(_) => None,
        }
    }

    /// RFC 3261 §19.1.4 for sip and sips, RFC 3966 §4 for tel, byte for byte otherwise.
    pub fn equivalent(&self, other: &Uri) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.equivalent(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.equivalent(b),
            (Uri::Other(a), Uri::Other(b)) => a == b,
            (Uri::Sip(_), Uri::Tel(_) | Uri::Other(_))
            | (Uri::Tel(_), Uri::Sip(_) | Uri::Other(_))
            | (Uri::Other(_), Uri::Sip(_) | Uri::Tel(_)) => false,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Uri::Sip(sip) => sip.write(out),
            Uri::Tel(tel) => tel.write(out),
            Uri::Other(other) => out.extend_from_slice(other.0.as_bytes()),
        }
    }
}

impl OtherUri {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn scheme(&self) -> &str {
        self.0.as_str().split(':').next().unwrap_or_default()
    }
}

impl From<SipUri> for Uri {
    fn from(sip: SipUri) -> Uri {
        Uri::Sip(sip)
    }
}

impl From<TelUri> for Uri {
    fn from(tel: TelUri) -> Uri {
        Uri::Tel(tel)
    }
}

impl std::str::FromStr for Uri {
    type Err = Syntax;

    fn from_str(s: &str) -> Result<Uri, Syntax> {
        Uri::parse(Bytes::copy_from_slice(s.as_bytes()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

macro_rules! debug_as_printed {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&Uri::from(self.clone()).to_string())
            }
        })*
    };
}
debug_as_printed!(SipUri TelUri OtherUri Uri);

impl From<OtherUri> for Uri {
    fn from(other: OtherUri) -> Uri {
        Uri::Other(other)
    }
}

/// A URI is ASCII by construction, so its text is the whole of it.
impl serde::Serialize for Uri {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Uri {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Host;

    fn uri(text: &str) -> Uri {
        text.parse().expect(text)
    }

    #[test]
    fn every_uri_prints_as_it_was_read() {
        for text in [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:j.doe.x@[2001:db8::10]:5070;lr",
            "sip:sips%3Auser%40example.com@example.net",
            "sip:null-%00-null@example.com",
            "tel:+1-201-555-0123;phone-context=example.com",
            "nobodyKnowsThisScheme:totallyopaquecontent",
            "soap.beep://192.0.2.103:3002",
        ] {
            assert_eq!(uri(text).to_string(), text);
        }
    }

    #[test]
    fn a_dotted_or_semicoloned_user_is_the_user() {
        let u = uri("sip:user;par=u%40example.net@example.com");
        assert_eq!(u.dialled().as_deref(), Some("user;par=u@example.net"));
        assert_eq!(uri("sip:first.last@x").dialled().as_deref(), Some("first.last"));
        assert_eq!(uri("sip:*97#@x").dialled().as_deref(), Some("*97#"));
        assert_eq!(uri("sip:*97#@x").to_string(), "sip:*97%23@x");
        assert_eq!(uri("tel:+49(30)12-34").dialled().as_deref(), Some("+49301234"));
    }

    #[test]
    fn bad_uris_are_refused() {
        for bad in [
            "",
            "sip",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a@b:",
            "sip:a@b:x",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "<sip:a@b>",
            " sip:a@b",
            "sip:a@b ",
            "sip:a b@c",
            "sip:a@b; lr=true",
            "sip:a%zz@b",
            "sip:a@b;=x",
            "sip:a\"b@c",
            "tel:",
            "tel:abc/x",
            ":x",
            "1x:y",
            "x y:z",
            "http:",
            "sip:a\r\n@b",
            "sip:a@b?x y",
            "sip:a@b;x=\r\ny",
        ] {
            assert!(bad.parse::<Uri>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_user_made_of_anything_prints_as_one_user() {
        let made = Uri::from(SipUri::new("a\r\nVia: x@y;z", Host::new("example.com").expect("host"), Some(5060)));
        assert_eq!(made.to_string(), "sip:a%0D%0AVia%3A%20x%40y;z@example.com:5060");
        assert_eq!(uri(&made.to_string()), made);
        assert_eq!(made.dialled().as_deref(), Some("a\r\nVia: x@y;z"));
    }

    /// RFC 3261 §19.1.4, its examples.
    #[test]
    fn equality_is_that_of_the_rfc() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("tel:+1-201-555-0123", "tel:+12015550123"),
        ] {
            assert!(uri(a).equivalent(&uri(b)) && uri(b).equivalent(&uri(a)), "{a} = {b}");
        }
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:a@b", "sips:a@b"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ] {
            assert!(!uri(a).equivalent(&uri(b)) && !uri(b).equivalent(&uri(a)), "{a} != {b}");
        }
    }

    #[test]
    fn headers_of_a_uri_can_be_taken_off() {
        let Uri::Sip(sip) = uri("sip:a@b;lr?Route=%3Csip:evil%3E") else { panic!("sip") };
        assert_eq!(sip.headers(), Some("Route=%3Csip:evil%3E"));
        assert_eq!(sip.without_headers().to_string(), "sip:a@b;lr");
    }

    #[test]
    fn serde_keeps_the_text() {
        let u = uri("sip:null-%00-null@[::1]:1;a=b?c=d");
        let json = serde_json::to_string(&u).expect("json");
        assert_eq!(json, "\"sip:null-%00-null@[::1]:1;a=b?c=d\"");
        assert_eq!(serde_json::from_str::<Uri>(&json).expect("back"), u);
    }
}
