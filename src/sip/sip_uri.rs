//! `sip:` and `sips:` URIs (RFC 3261 §19.1).
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
pub struct SipUri {
    pub secure: bool,
    user: Option<Ascii>,
    password: Option<Ascii>,
    pub host: Host,
    pub port: Option<u16>,
    params: Params,
    headers: Option<Ascii>,
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

    pub(super) fn parse(src: &Bytes, rest: &[u8], secure: bool) -> Result<SipUri, Syntax> {
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
            && self.params.equivalent(&other.params, &["user", "ttl", "method", "maddr", "transport"])
            && headers_equivalent(self.headers(), other.headers())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
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

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
