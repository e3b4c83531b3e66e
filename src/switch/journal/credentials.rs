//! Inputs as a journal may keep them: without secrets, and such that the core answers them alike when the configuration has pseudonyms.
//!
//! | in a request that came | becomes |
//! |---|---|
//! | a digest that is right under the phone's secret | [`RIGHT`] in each place; a replay puts the digest there that is right under the pseudonym |
//! | any other digest | zeros: wrong before and after, and nothing to guess a mistyped password from |
//! | credentials of another scheme, or unreadable ones | the same in what they are refused for, without what they hold |
//! | Proxy-Authorization | left out: nobody here reads it |
//! | a new configuration | redacted, and its secrets are those from here on |

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::{Input, keys};
use crate::config::{Config, Redaction, Secret};
use crate::ids::Number;
use crate::media::Report;
use crate::sip::{Credentials, HeaderName, Headers, Message, Method, ha1, response_from_ha1};

/// The same with another digit for the one that it tells of.
pub fn with_key(input: &Input, instead: char) -> Input {
    match input {
        Input::Media(Report::Digit { leg, duration_ms, via, digit: '0'..='9' }) => {
            Input::Media(Report::Digit { leg: *leg, digit: instead, duration_ms: *duration_ms, via: *via })
        }
        Input::Sip { flow, message: Message::Request(request) } => {
            let mut request = request.clone();
            request.body = keys::with_key(&request, instead).into();
            Input::Sip { flow: *flow, message: Message::Request(request) }
        }
        other => other.clone(),
    }
}

/// No digest has it: they are hexadecimal.
const RIGHT: u8 = b'r';
const WRONG: u8 = b'0';

/// Who could have signed what comes.
struct Phones {
    realm: String,
    secrets: BTreeMap<Number, Secret>,
}

impl Phones {
    fn of(config: &Config) -> Phones {
        let secrets = config.phones.iter().map(|(number, phone)| (number.clone(), phone.secret.clone())).collect();
        Phones { realm: config.site.domain.clone(), secrets }
    }

    fn ha1(&self, credentials: &Credentials) -> Option<String> {
        let name = String::from_utf8_lossy(&credentials.username);
        // As the registrar reads it.
        let number = match name.split_once('@') {
            Some((user, domain)) if domain.eq_ignore_ascii_case(&self.realm) => user,
            Some(_) | None => &name,
        };
        let password = self.secrets.get(number)?.expose();
        Some(ha1(credentials.algorithm, &credentials.username, &credentials.realm, password.as_bytes()))
    }

    fn signed(&self, credentials: &Credentials, method: &Method) -> Option<String> {
        let qop = credentials.qop.as_ref().map(|q| ("auth", q.nc, &q.cnonce[..]));
        let hash = self.ha1(credentials)?;
        Some(response_from_ha1(credentials.algorithm, &hash, method, &credentials.uri, &credentials.nonce, qop))
    }
}

/// What a replay makes of inputs that a [`Resigner`] has taken the digests out of.
pub struct Signer(Phones);

impl Signer {
    /// With the configuration of the journal, which has pseudonyms.
    pub fn new(config: &Config) -> Signer {
        Signer(Phones::of(config))
    }

    pub fn signed(&mut self, mut input: Input) -> Input {
        match &mut input {
            Input::Sip { message: Message::Request(request), .. } => {
                let method = request.method.clone();
                for value in request.headers.values_mut(&HeaderName::Authorization) {
                    let credentials = credentials(value).ok().flatten();
                    let marked = credentials.filter(|c| !c.response.is_empty() && c.response.iter().all(|octet| *octet == RIGHT));
                    if let Some(credentials) = marked
                        && let Some(signed) = self.0.signed(&credentials, &method)
                    {
                        *value = with_response(credentials, &signed);
                    }
                }
            }
            Input::Configured { source, .. } => {
                if let Ok(config) = Config::resolve(source) {
                    self.0 = Phones::of(&config);
                }
            }
            _ => {}
        }
        input
    }
}

pub struct Resigner {
    redaction: Redaction,
    phones: Phones,
}

impl Resigner {
    pub fn new(redaction: Redaction, config: &Config) -> Resigner {
        Resigner { redaction, phones: Phones::of(config) }
    }

    pub fn redacted<'a>(&mut self, input: &'a Input) -> Cow<'a, Input> {
        match input {
            Input::Sip { flow, message: Message::Request(request) } if has_credentials(&request.headers) => {
                let mut request = request.clone();
                request.headers = self.headers(&request.headers, &request.method);
                Cow::Owned(Input::Sip { flow: *flow, message: Message::Request(request) })
            }
            Input::Configured { by, source } => {
                if let Ok(config) = Config::resolve(source) {
                    self.phones = Phones::of(&config);
                }
                Cow::Owned(Input::Configured { by: by.clone(), source: Box::new(source.redacted(&self.redaction)) })
            }
            Input::Started(_)
            | Input::Sip { .. }
            | Input::Malformed { .. }
            | Input::Silent { .. }
            | Input::Undeliverable { .. }
            | Input::ConnectionClosed { .. }
            | Input::Resolved { .. }
            | Input::Ports(_)
            | Input::Media(_)
            | Input::Recorder(_)
            | Input::Command { .. }
            | Input::Health { .. }
            | Input::Mailed { .. }
            | Input::MailFailed(_)
            | Input::Fetched { .. }
            | Input::Drain
            | Input::Halt
            | Input::Tick => Cow::Borrowed(input),
        }
    }

    fn headers(&self, headers: &Headers, method: &Method) -> Headers {
        let mut kept = headers.clone();
        kept.remove(&HeaderName::ProxyAuthorization);
        for value in kept.values_mut(&HeaderName::Authorization) {
            *value = self.credentials(value, method);
        }
        kept
    }

    fn credentials(&self, value: &Bytes, method: &Method) -> Bytes {
        match credentials(value) {
            Ok(Some(credentials)) => {
                let is_right = self.phones.ha1(&credentials).is_some_and(|ha1| credentials.verify(&ha1, method));
                let mark = if is_right { RIGHT } else { WRONG };
                let marks = char::from(mark).to_string().repeat(credentials.response.len());
                with_response(credentials, &marks)
            }
            // Another scheme, or an algorithm that we lack: passed over, as this is.
            Ok(None) => Bytes::from_static(b"Other left-out"),
            // Refused as unreadable, as this is.
            Err(Unreadable) => Bytes::from_static(b"Digest unreadable"),
        }
    }
}

struct Unreadable;

fn credentials(value: &Bytes) -> Result<Option<Credentials>, Unreadable> {
    let mut alone = Headers::new();
    alone.push(HeaderName::Authorization, value);
    Ok(alone.authorizations().map_err(|_| Unreadable)?.into_iter().next())
}

/// The same credentials with another response. Printed anew, so that nothing is kept of what nobody reads.
fn with_response(mut credentials: Credentials, response: &str) -> Bytes {
    credentials.response = Bytes::copy_from_slice(response.as_bytes());
    let mut printed = Headers::new();
    printed.push(HeaderName::Authorization, &credentials);
    printed.get(&HeaderName::Authorization).cloned().unwrap_or_default()
}

fn has_credentials(headers: &Headers) -> bool {
    headers.contains(&HeaderName::Authorization) || headers.contains(&HeaderName::ProxyAuthorization)
}
