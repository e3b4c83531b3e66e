//! URIs: `sip:`, `sips:`, `tel:`, and any other scheme kept whole (RFC 3261 §19.1, RFC 3966).
//!
//! The user part stays escaped as it came: `sip:sips%3Auser%40example.com@example.net` must not become another address by being read.
//! Whoever compares or dials takes [`user_unescaped`](SipUri::user_unescaped); whoever makes a URI gives plain bytes to
//! [`SipUri::new`], which escapes them. So no user part, however odd, prints as more than a user part.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::error::Syntax;
use super::flow::Transport;
use super::host::{Host, HostPort};
use super::params::Params;
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
pub struct SipUri {
    pub secure: bool,
    user: Option<Ascii>,
    password: Option<Ascii>,
    pub host: Host,
    pub port: Option<u16>,
    params: Params,
    headers: Option<Ascii>,
}

/// `tel:+49-30-1234;phone-context=…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TelUri {
    number: Ascii,
    params: Params,
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
            Uri::Tel(tel) => {
                out.extend_from_slice(b"tel:");
                out.extend_from_slice(tel.number.as_bytes());
                tel.params.write(out);
            }
            Uri::Other(other) => out.extend_from_slice(other.0.as_bytes()),
        }
    }
}

impl SipUri {
    /// `user` is plain bytes (not escaped); an empty one is none.
    pub fn new(user: impl AsRef<[u8]>, host: impl Into<Host>, port: Option<u16>) -> SipUri {
        let user = user.as_ref();
        SipUri {
            secure: false,
            user: (!user.is_empty()).then(|| Ascii::escaped(user, text::USER)),
            password: None,
            host: host.into(),
            port,
            params: Params::default(),
            headers: None,
        }
    }

    /// `sip:host[:port]`.
    pub fn of_host(at: impl Into<HostPort>) -> SipUri {
        let at = at.into();
        SipUri::new("", at.host, at.port)
    }

    fn parse(src: &Bytes, rest: &[u8], secure: bool) -> Result<SipUri, Syntax> {
        let (user, password, rest) = match text::split_once(rest, b'@') {
            None => (None, None, rest),
            Some((userinfo, rest)) => {
                let (user, password) = match text::split_once(userinfo, b':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                if user.is_empty() {
                    return Err(Syntax::User);
                }
                let user = Ascii::mended(src, user, text::USER).ok_or(Syntax::User)?;
                let password = match password {
                    Some(p) => Some(Ascii::mended(src, p, text::USER).ok_or(Syntax::User)?),
                    None => None,
                };
                (Some(user), password, rest)
            }
        };
        let (rest, headers) = match text::split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(Ascii::mended(src, headers, text::URI).ok_or(Syntax::UriHeaders)?)),
            None => (rest, None),
        };
        let (host_port, params) = match text::split_once(rest, b';') {
            Some((host_port, params)) => (host_port, Params::parse_uri(src, params)?),
            None => (rest, Params::default()),
        };
        // LWS around the colon is for Via only: the request line would not survive it.
        if host_port.iter().any(|b| b" \t".contains(b)) {
            return Err(Syntax::Host);
        }
        let HostPort { host, port } = HostPort::parse(src, host_port)?;
        Ok(SipUri { secure, user, password, host, port, params, headers })
    }

    /// As written, still escaped.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(Ascii::as_str)
    }

    /// The bytes meant: `%23` is `#`. They may hold anything, NUL and line ends included.
    pub fn user_unescaped(&self) -> Option<Cow<'_, [u8]>> {
        self.user.as_ref().map(Ascii::unescaped)
    }

    /// As written. Only kept to be printed back.
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(Ascii::as_str)
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What follows the `?`, as written.
    pub fn headers(&self) -> Option<&str> {
        self.headers.as_ref().map(Ascii::as_str)
    }

    /// The `transport` parameter, if it is one that we have.
    pub fn transport(&self) -> Option<Transport> {
        self.params.get("transport").and_then(Transport::parse)
    }

    /// Loose router (§19.1.1).
    pub fn is_loose(&self) -> bool {
        self.params.has("lr")
    }

    pub fn host_port(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.port }
    }

    /// Sets a parameter to plain bytes, which are escaped.
    pub fn with_param(mut self, name: &'static str, value: impl AsRef<[u8]>) -> SipUri {
        self.params.put(name, Some(Ascii::escaped(value.as_ref(), text::PARAM).into_bytes()));
        self
    }

    pub fn with_flag(mut self, name: &'static str) -> SipUri {
        self.params.set_flag(name);
        self
    }

    pub fn without_param(mut self, name: &str) -> SipUri {
        self.params.remove(name);
        self
    }

    /// `transport=…`, or none for UDP, which is what none means.
    pub fn with_transport(self, transport: Transport) -> SipUri {
        match transport {
            Transport::Udp => self.without_param("transport"),
            // RFC 7118 §5: `wss` is not a value of the parameter; `sips` or the resolved route says it.
            Transport::Ws | Transport::Wss => self.with_param("transport", "ws"),
            Transport::Tls => self.with_param("transport", "tls"),
            Transport::Tcp => self.with_param("transport", "tcp"),
        }
    }

    /// Without the `?headers`, which must never reach another leg (RFC 4475 §3.1.2.11).
    pub fn without_headers(mut self) -> SipUri {
        self.headers = None;
        self
    }

    /// Scheme, user and host alone: an address of record (§10.3: without parameters, the user unescaped by whoever compares).
    pub fn address_of_record(&self) -> SipUri {
        SipUri {
            secure: self.secure,
            user: self.user.clone(),
            password: None,
            host: self.host.clone(),
            port: self.port,
            params: Params::default(),
            headers: None,
        }
    }

    /// RFC 3261 §19.1.4.
    pub fn equivalent(&self, other: &SipUri) -> bool {
        fn same_text(a: Option<&Ascii>, b: Option<&Ascii>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => a.unescaped() == b.unescaped(),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
        }
        self.secure == other.secure
            && same_text(self.user.as_ref(), other.user.as_ref())
            && same_text(self.password.as_ref(), other.password.as_ref())
            && self.host.equivalent(&other.host)
            && self.port == other.port
            && params_equivalent(&self.params, &other.params, &["user", "ttl", "method", "maddr", "transport"])
            && headers_equivalent(self.headers(), other.headers())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.secure { b"sips:" } else { b"sip:" });
        if let Some(user) = &self.user {
            out.extend_from_slice(user.as_bytes());
            if let Some(password) = &self.password {
                out.push(b':');
                out.extend_from_slice(password.as_bytes());
            }
            out.push(b'@');
        }
        HostPort { host: self.host.clone(), port: self.port }.write(out);
        self.params.write(out);
        if let Some(headers) = &self.headers {
            out.push(b'?');
            out.extend_from_slice(headers.as_bytes());
        }
    }
}

/// A parameter in both must match; one of `significant` in only one of them makes the URIs differ, any other does not.
fn params_equivalent(a: &Params, b: &Params, significant: &[&str]) -> bool {
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
    covers(a, b) && covers(b, a)
}

/// Headers are never ignored, but their order is.
fn headers_equivalent(a: Option<&str>, b: Option<&str>) -> bool {
    fn sorted(headers: Option<&str>) -> Vec<(String, Vec<u8>)> {
        let mut list: Vec<_> = headers
            .unwrap_or_default()
            .split('&')
            .filter(|h| !h.is_empty())
            .map(|h| {
                let (name, value) = h.split_once('=').unwrap_or((h, ""));
                (name.to_ascii_lowercase(), text::unescape(value.as_bytes()).into_owned())
            })
            .collect();
        list.sort();
        list
    }
    sorted(a) == sorted(b)
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

    fn parse(src: &Bytes, rest: &[u8]) -> Result<TelUri, Syntax> {
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
            && params_equivalent(&self.params, &other.params, &["ext", "isub", "phone-context"])
    }
}

fn is_phone_digit(b: u8) -> bool {
    b.is_ascii_hexdigit() || b"+*#-.()".contains(&b)
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

impl fmt::Display for SipUri {
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
