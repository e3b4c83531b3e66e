//! Digest challenges and credentials as headers (RFC 3261 §20.7, §20.44; RFC 7616; RFC 8760).
//!
//! Who is challenged, which nonces are good and how often one may be used is the registrar's. Here no secret is kept or printed. `-sess`
//! algorithms, `auth-int` and unknown schemes are left alone: a peer that offers only those gets no answer from us.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::digest::{Algorithm, response, response_from_ha1, same};
use super::error::Syntax;
use super::method::Method;
use super::text;

/// WWW-Authenticate or Proxy-Authenticate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    pub realm: Bytes,
    pub nonce: Bytes,
    pub algorithm: Algorithm,
    /// `qop="auth"` is offered.
    pub qop_auth: bool,
    pub stale: bool,
    pub opaque: Option<Bytes>,
}

/// Authorization or Proxy-Authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub username: Bytes,
    pub realm: Bytes,
    pub nonce: Bytes,
    /// As the client wrote it, which is what its hash is over.
    pub uri: Bytes,
    /// Hex as it came; compare with [`Credentials::verify`].
    pub response: Bytes,
    pub algorithm: Algorithm,
    /// `None` is the RFC 2069 form, without qop.
    pub qop: Option<QopAuth>,
    pub opaque: Option<Bytes>,
}

/// What comes with `qop=auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QopAuth {
    pub cnonce: Bytes,
    /// Printed as eight hex digits.
    pub nc: u32,
}

impl Challenge {
    /// The Digest challenges of one header that can be answered. One header may hold several, with commas between them as between their
    /// parameters (RFC 7235 §4.1).
    pub fn parse_list(value: &Bytes) -> Vec<Challenge> {
        let mut found = Vec::new();
        let mut current: Option<Fields> = None;
        for part in text::split(value, b',') {
            let (scheme, field) = scheme(part);
            if let Some(scheme) = scheme {
                found.extend(current.take().and_then(|f| f.challenge().ok()));
                current = scheme.eq_ignore_ascii_case(b"Digest").then(Fields::default);
            }
            if let Some(fields) = &mut current
                && fields.add(value, field).is_err()
            {
                current = None;
            }
        }
        found.extend(current.and_then(|f| f.challenge().ok()));
        found
    }

    /// What answers it: credentials for `method` and `uri` with the password's owner. `nc` counts the uses of this nonce from 1.
    pub fn answer(&self, who: &Login<'_>, method: &Method, uri: &[u8], nc: u32, cnonce: &[u8]) -> Credentials {
        let qop = self.qop_auth.then(|| QopAuth { cnonce: Bytes::copy_from_slice(cnonce), nc });
        let response = response(
            self.algorithm,
            who.username.as_bytes(),
            &self.realm,
            who.password.as_bytes(),
            method,
            uri,
            &self.nonce,
            qop.as_ref().map(|q| ("auth", q.nc, &q.cnonce[..])),
        );
        Credentials {
            username: Bytes::copy_from_slice(who.username.as_bytes()),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: Bytes::copy_from_slice(uri),
            response: response.into(),
            algorithm: self.algorithm,
            qop,
            opaque: self.opaque.clone(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut p = Printer::new(out);
        p.quoted("realm", &self.realm);
        p.quoted("nonce", &self.nonce);
        if let Some(opaque) = &self.opaque {
            p.quoted("opaque", opaque);
        }
        if self.stale {
            p.bare("stale", "true");
        }
        p.bare("algorithm", self.algorithm.as_str());
        if self.qop_auth {
            p.quoted("qop", b"auth");
        }
    }
}

/// A user of somebody else's registrar: a trunk's.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub username: &'a str,
    pub password: &'a str,
}

impl Credentials {
    /// `Ok(None)` for a scheme that is not Digest or an algorithm that we lack.
    pub(super) fn parse(value: &Bytes) -> Result<Option<Credentials>, Syntax> {
        let mut fields = Fields::default();
        for (i, part) in text::split(value, b',').enumerate() {
            let field = if i == 0 {
                match scheme(part) {
                    (Some(name), field) if name.eq_ignore_ascii_case(b"Digest") => field,
                    (Some(_), _) => return Ok(None),
                    (None, _) => return Err(Syntax::Authentication),
                }
            } else {
                part
            };
            fields.add(value, field)?;
        }
        fields.credentials()
    }

    /// Whether the response is that of `ha1` (hex of the hash of `username:realm:password`), in constant time.
    pub fn verify(&self, ha1: &str, method: &Method) -> bool {
        same(self.right_response(ha1, method).as_bytes(), &self.response.to_ascii_lowercase())
    }

    /// The response that [`verify`](Credentials::verify) takes.
    pub fn right_response(&self, ha1: &str, method: &Method) -> String {
        let qop = self.qop.as_ref().map(|q| ("auth", q.nc, &q.cnonce[..]));
        response_from_ha1(self.algorithm, ha1, method, &self.uri, &self.nonce, qop)
    }

    /// The user in this domain: some phones put it behind the number.
    pub fn user(&self, domain: &str) -> String {
        let name = String::from_utf8_lossy(&self.username).into_owned();
        match name.split_once('@') {
            Some((user, own)) if own.eq_ignore_ascii_case(domain) => user.to_owned(),
            Some(_) | None => name,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut p = Printer::new(out);
        p.quoted("username", &self.username);
        p.quoted("realm", &self.realm);
        p.quoted("nonce", &self.nonce);
        p.quoted("uri", &self.uri);
        p.quoted("response", &self.response);
        p.bare("algorithm", self.algorithm.as_str());
        if let Some(opaque) = &self.opaque {
            p.quoted("opaque", opaque);
        }
        if let Some(QopAuth { cnonce, nc }) = &self.qop {
            p.quoted("cnonce", cnonce);
            p.bare("qop", "auth");
            p.bare("nc", &format!("{nc:08x}"));
        }
    }
}

/// `Digest realm="…"` to `Digest` and `realm="…"`; a part without a scheme to itself.
fn scheme(part: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = part.iter().position(|&b| !text::is(b, text::TOKEN)).unwrap_or(part.len());
    let rest = text::trim(&part[end..]);
    match rest.first() {
        // `name = value`: space around the equals sign is legal.
        Some(b'=') => (None, part),
        _ if end == 0 => (None, part),
        _ => (Some(&part[..end]), rest),
    }
}

/// The parameters of either header, unquoted.
#[derive(Default)]
struct Fields {
    username: Option<Bytes>,
    realm: Option<Bytes>,
    nonce: Option<Bytes>,
    uri: Option<Bytes>,
    response: Option<Bytes>,
    algorithm: Option<Bytes>,
    cnonce: Option<Bytes>,
    opaque: Option<Bytes>,
    qop: Option<Bytes>,
    nc: Option<Bytes>,
    stale: Option<Bytes>,
}

impl Fields {
    /// `name=value`; unknown names are ignored, repeated ones refused.
    fn add(&mut self, src: &Bytes, field: &[u8]) -> Result<(), Syntax> {
        if field.is_empty() {
            return Ok(());
        }
        let (name, raw) = text::split_once(field, b'=').ok_or(Syntax::Authentication)?;
        let (name, raw) = (text::trim(name), text::trim(raw));
        let value = match raw {
            [b'"', ..] => {
                if text::quoted_end(raw) != Some(raw.len()) {
                    return Err(Syntax::Quote);
                }
                match text::unquote(&raw[1..raw.len() - 1]) {
                    Cow::Borrowed(inner) => src.slice_ref(inner),
                    Cow::Owned(inner) => inner.into(),
                }
            }
            _ => src.slice_ref(raw),
        };
        let is = |known: &[u8]| known.eq_ignore_ascii_case(name);
        let slot = match name {
            _ if is(b"username") => &mut self.username,
            _ if is(b"realm") => &mut self.realm,
            _ if is(b"nonce") => &mut self.nonce,
            _ if is(b"uri") => &mut self.uri,
            _ if is(b"response") => &mut self.response,
            _ if is(b"algorithm") => &mut self.algorithm,
            _ if is(b"cnonce") => &mut self.cnonce,
            _ if is(b"opaque") => &mut self.opaque,
            _ if is(b"qop") => &mut self.qop,
            _ if is(b"nc") => &mut self.nc,
            _ if is(b"stale") => &mut self.stale,
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() { Err(Syntax::Authentication) } else { Ok(()) }
    }

    /// Without one it is MD5 (RFC 7616 §3.3).
    fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm.as_deref().map_or(Some(Algorithm::Md5), Algorithm::parse)
    }

    fn challenge(self) -> Result<Challenge, Syntax> {
        let algorithm = self.algorithm().ok_or(Syntax::Authentication)?;
        let qop_auth = match &self.qop {
            None => false,
            Some(list) if list.split(|&b| b == b',').any(|q| text::trim(q).eq_ignore_ascii_case(b"auth")) => true,
            // Only auth-int.
            Some(_) => return Err(Syntax::Authentication),
        };
        Ok(Challenge {
            realm: self.realm.ok_or(Syntax::Authentication)?,
            nonce: self.nonce.ok_or(Syntax::Authentication)?,
            algorithm,
            qop_auth,
            stale: self.stale.is_some_and(|s| s.eq_ignore_ascii_case(b"true")),
            opaque: self.opaque,
        })
    }

    fn credentials(self) -> Result<Option<Credentials>, Syntax> {
        let Some(algorithm) = self.algorithm() else { return Ok(None) };
        let missing = Syntax::Authentication;
        let qop = match &self.qop {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
                Some(QopAuth { cnonce: self.cnonce.ok_or(missing)?, nc: nonce_count(&self.nc.ok_or(missing)?)? })
            }
            Some(_) => return Err(missing),
        };
        Ok(Some(Credentials {
            username: self.username.ok_or(missing)?,
            realm: self.realm.ok_or(missing)?,
            nonce: self.nonce.ok_or(missing)?,
            uri: self.uri.ok_or(missing)?,
            response: self.response.ok_or(missing)?,
            algorithm,
            qop,
            opaque: self.opaque,
        }))
    }
}

/// Eight hex digits.
fn nonce_count(digits: &[u8]) -> Result<u32, Syntax> {
    if digits.len() != 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Syntax::Number);
    }
    std::str::from_utf8(digits).ok().and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or(Syntax::Number)
}

struct Printer<'a> {
    out: &'a mut Vec<u8>,
    separator: &'static str,
}

impl<'a> Printer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Printer<'a> {
        Printer { out, separator: "Digest " }
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(self.separator.as_bytes());
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
        self.separator = ", ";
    }

    fn quoted(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        text::write_quoted(self.out, value);
    }

    fn bare(&mut self, name: &str, word: &str) {
        self.name(name);
        self.out.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::ha1;

    fn read(text: &'static str) -> Option<Credentials> {
        Credentials::parse(&Bytes::from_static(text.as_bytes())).expect(text)
    }

    fn printed(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    /// RFC 8760 §2.4: several challenges, the server's favourite first.
    #[test]
    fn challenges_are_read_in_their_order_and_only_those_that_can_be_answered() {
        let list = Challenge::parse_list(&Bytes::from_static(
            b"NoOneKnowsThisScheme opaque-data=here, Digest realm=\"atlanta, inc\", domain=\"sip:boxesbybob.com\", qop=\"auth-int,auth\", \
              nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=SHA-256, \
              Digest realm=\"b\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\", Digest realm=\"c\", nonce=\"n\", algorithm=MD5-sess, \
              Digest realm=\"i\", nonce=\"n\", qop=\"auth-int\", Digest realm = d , nonce=\"m\", stale=true",
        ));
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].realm, "atlanta, inc");
        assert_eq!((list[0].algorithm, list[0].qop_auth, list[0].stale), (Algorithm::Sha256, true, false));
        assert_eq!(list[0].opaque.as_deref(), Some(&b""[..]));
        assert_eq!(list[1].realm, "d");
        assert_eq!((list[1].algorithm, list[1].qop_auth, list[1].stale), (Algorithm::Md5, false, true));
        assert!(Challenge::parse_list(&Bytes::from_static(b"Basic realm=\"x\"")).is_empty());
        assert!(Challenge::parse_list(&Bytes::from_static(b"Digest realm=\"x")).is_empty());
    }

    #[test]
    fn a_nonce_count_is_eight_hex_digits() {
        let text = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:x\", response=\"00\", cnonce=\"c\", qop=auth, nc=0000000a";
        assert_eq!(read(text).and_then(|c| c.qop).map(|q| q.nc), Some(10));
        for bad in ["nc=a", "nc=000000010", "nc=+000000a", "nc=-0000001", "nc=\"\"", "nc=0000000g"] {
            let text = text.replace("nc=0000000a", bad);
            assert!(Credentials::parse(&text.into()).is_err(), "{bad}");
        }
        let quoted =
            Credentials::parse(&text.replace("qop=auth", "qop=\"auth\"").into()).expect("many quote it").expect("digest");
        assert!(quoted.qop.is_some());
    }

    #[test]
    fn schemes_and_algorithms_that_we_lack_are_no_credentials_and_no_error() {
        assert_eq!(read("NoOneKnowsThisScheme opaque-data=here"), None);
        assert_eq!(read("Digest username=\"a\", algorithm=MD5-sess"), None);
        for bad in
            ["", "Digest", "Digest username=\"a\"", "Digest username=\"a\", username=\"b\"", "Digest a", "Digest realm=\"a"]
        {
            assert!(Credentials::parse(&Bytes::from_static(bad.as_bytes())).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_verifies_and_reads_back() {
        let challenge = Challenge {
            realm: "a \"b\\".into(),
            nonce: "n".into(),
            algorithm: Algorithm::Sha256,
            qop_auth: true,
            stale: true,
            opaque: Some("o".into()),
        };
        let text = printed(|out| challenge.write(out));
        assert_eq!(Challenge::parse_list(&text.into()).first(), Some(&challenge));
        let who = Login { username: "us\"er", password: "pass" };
        let credentials = challenge.answer(&who, &Method::Register, b"sip:example.com", 0x1f, b"c\"n");
        let text = printed(|out| credentials.write(out));
        assert!(text.ends_with("qop=auth, nc=0000001f"), "{text}");
        let back = Credentials::parse(&text.into()).expect("parses").expect("digest");
        assert_eq!(back, credentials);
        let secret = ha1(Algorithm::Sha256, b"us\"er", b"a \"b\\", b"pass");
        assert!(back.verify(&secret, &Method::Register));
        assert!(!back.verify(&secret, &Method::Invite));
        assert!(!back.verify(&ha1(Algorithm::Sha256, b"us\"er", b"a \"b\\", b"wrong"), &Method::Register));
        let shouted = Credentials { response: back.response.to_ascii_uppercase().into(), ..back };
        assert!(shouted.verify(&secret, &Method::Register));
    }
}
