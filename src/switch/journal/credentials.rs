//! Inputs as a journal may keep them: without secrets, and such that the core answers them alike when the configuration has pseudonyms.
//!
//! | in a request that came | becomes |
//! |---|---|
//! | a digest | zeros: nothing to guess a password from. Beside the outputs stands whether it was right; then a replay puts the digest in its place that is right under the pseudonym |
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

/// Puts digests back that a [`Redactor`] has taken out.
pub struct Signer(Phones);

impl Signer {
    /// With the configuration of the journal, which has pseudonyms.
    pub fn new(config: &Config) -> Signer {
        Signer(Phones::of(config))
    }

    /// An input whose digest, if it has one, was right or not.
    pub fn signed(&mut self, mut input: Input, right: bool) -> Input {
        match &mut input {
            Input::Sip { message: Message::Request(request), .. } if right => {
                let method = request.method.clone();
                for value in request.headers.values_mut(&HeaderName::Authorization) {
                    if let Ok(Some(credentials)) = read(value)
                        && let Some(signed) = self.0.signed(&credentials, &method)
                    {
                        *value = with_response(value, &credentials, signed.as_bytes());
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

pub struct Redactor(Redaction);

impl Redactor {
    pub fn new(redaction: Redaction) -> Redactor {
        Redactor(redaction)
    }

    pub fn redacted<'a>(&self, input: &'a Input) -> Cow<'a, Input> {
        match input {
            Input::Sip { flow, message: Message::Request(request) } if has_credentials(&request.headers) => {
                let mut request = request.clone();
                hide_credentials(&mut request.headers);
                Cow::Owned(Input::Sip { flow: *flow, message: Message::Request(request) })
            }
            Input::Configured { by, source } => {
                Cow::Owned(Input::Configured { by: by.clone(), source: Box::new(source.redacted(&self.0)) })
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
}

fn hide_credentials(headers: &mut Headers) {
    headers.remove(&HeaderName::ProxyAuthorization);
    for value in headers.values_mut(&HeaderName::Authorization) {
        *value = match read(value) {
            Ok(Some(credentials)) => with_response(value, &credentials, &vec![b'0'; credentials.response.len()]),
            // Another scheme, or an algorithm that we lack: passed over, as this is.
            Ok(None) => Bytes::from_static(b"Other left-out"),
            // Refused as unreadable, as this is.
            Err(Unreadable) => Bytes::from_static(b"Digest unreadable"),
        };
    }
}

struct Unreadable;

fn read(value: &Bytes) -> Result<Option<Credentials>, Unreadable> {
    let mut alone = Headers::new();
    alone.push(HeaderName::Authorization, value);
    Ok(alone.authorizations().map_err(|_| Unreadable)?.into_iter().next())
}

/// The same credentials with another response, which is as long.
fn with_response(value: &Bytes, credentials: &Credentials, response: &[u8]) -> Bytes {
    let at = (credentials.response.as_ptr() as usize).wrapping_sub(value.as_ptr() as usize);
    let mut with = value.to_vec();
    // Where it was written plainly it lies in the value.
    if let Some(place) = at.checked_add(response.len()).and_then(|end| with.get_mut(at..end))
        && *place == *credentials.response
    {
        place.copy_from_slice(response);
        return with.into();
    }
    let credentials = Credentials { response: Bytes::copy_from_slice(response), ..credentials.clone() };
    let mut printed = Headers::new();
    printed.push(HeaderName::Authorization, &credentials);
    printed.get(&HeaderName::Authorization).cloned().unwrap_or_default()
}

fn has_credentials(headers: &Headers) -> bool {
    headers.contains(&HeaderName::Authorization) || headers.contains(&HeaderName::ProxyAuthorization)
}
