//! Inputs as a journal may keep them: without secrets, and such that the core answers them alike when the configuration has pseudonyms.
//!
//! | in a request that came | becomes |
//! |---|---|
//! | a digest that is right under the phone's secret | the digest that would be right under its pseudonym |
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

pub struct Resigner {
    redaction: Redaction,
    realm: String,
    secrets: BTreeMap<Number, Secret>,
}

impl Resigner {
    pub fn new(redaction: Redaction, config: &Config) -> Resigner {
        let mut resigner = Resigner { redaction, realm: String::new(), secrets: BTreeMap::new() };
        resigner.learn(config);
        resigner
    }

    fn learn(&mut self, config: &Config) {
        self.realm.clone_from(&config.site.domain);
        self.secrets = config.phones.iter().map(|(number, phone)| (number.clone(), phone.secret.clone())).collect();
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
                    self.learn(&config);
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
        let mut alone = Headers::new();
        alone.push(HeaderName::Authorization, value);
        let parsed = match alone.authorizations() {
            Ok(list) => list.into_iter().next(),
            // Refused as unreadable, as this is.
            Err(_) => return Bytes::from_static(b"Digest unreadable"),
        };
        match parsed {
            Some(credentials) => {
                let signed = self.signed(&credentials, method);
                let mut with = credentials;
                with.response = signed;
                let mut printed = Headers::new();
                printed.push(HeaderName::Authorization, &with);
                printed.get(&HeaderName::Authorization).cloned().unwrap_or_default()
            }
            // Another scheme, or an algorithm that we lack: passed over, as this is.
            None => Bytes::from_static(b"Other left-out"),
        }
    }

    fn signed(&self, credentials: &Credentials, method: &Method) -> Bytes {
        let name = String::from_utf8_lossy(&credentials.username);
        // As the registrar reads it.
        let number = match name.split_once('@') {
            Some((user, domain)) if domain.eq_ignore_ascii_case(&self.realm) => user,
            Some(_) | None => &name,
        };
        let hash = |password: &str| ha1(credentials.algorithm, &credentials.username, &credentials.realm, password.as_bytes());
        match self.secrets.get(number) {
            Some(secret) if credentials.verify(&hash(secret.expose()), method) => {
                let qop = credentials.qop.as_ref().map(|q| ("auth", q.nc, &q.cnonce[..]));
                let hash = hash(&self.redaction.pseudonym(secret.expose()));
                response_from_ha1(credentials.algorithm, &hash, method, &credentials.uri, &credentials.nonce, qop).into()
            }
            Some(_) | None => Bytes::from(vec![b'0'; credentials.response.len()]),
        }
    }
}

fn has_credentials(headers: &Headers) -> bool {
    headers.contains(&HeaderName::Authorization) || headers.contains(&HeaderName::ProxyAuthorization)
}
