//! Inputs as a journal may keep them: without secrets, and such that the core answers them alike when the configuration has pseudonyms.
//!
//! | in a request that came | becomes |
//! |---|---|
//! | a digest | zeros: nothing to guess a password from. Whether it was right stands beside the outputs, and a replay signs again |
//! | credentials of another scheme, or unreadable ones | the same in what they are refused for, without what they hold |
//! | Proxy-Authorization | left out: nobody here reads it |
//! | keys of SRTP | other ones, the same for the same: a replay sees the same change |
//! | digits that the API sends into a call | zeros |
//! | a new configuration | redacted, and its secrets are those from here on |

use std::borrow::Cow;

use bytes::Bytes;

use super::super::{Command, Input, keys};
use crate::config::{Config, Redaction};
use crate::media::Report;
use crate::sdp;
use crate::sip::{Credentials, HeaderName, Headers, Message, Method, ha1};

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

/// Puts digests back that a [`Redactor`] has taken out, where they were right: such as are by this configuration, which has pseudonyms.
pub fn signed(mut input: Input, right: bool, config: &Config) -> Input {
    if let Input::Sip { message: Message::Request(request), .. } = &mut input
        && right
    {
        let method = request.method.clone();
        for value in request.headers.values_mut(&HeaderName::Authorization) {
            if let Ok(Some(credentials)) = read(value)
                && let Some(response) = response(&credentials, &method, config)
            {
                *value = printed(Credentials { response: response.into(), ..credentials });
            }
        }
    }
    input
}

fn response(credentials: &Credentials, method: &Method, config: &Config) -> Option<String> {
    let password = config.phones.get(credentials.user(&config.site.domain).as_str())?.secret.expose();
    let hash = ha1(credentials.algorithm, &credentials.username, &credentials.realm, password.as_bytes());
    Some(credentials.right_response(&hash, method))
}

pub struct Redactor(Redaction);

impl Redactor {
    pub fn new(redaction: Redaction) -> Redactor {
        Redactor(redaction)
    }

    pub fn redacted<'a>(&self, input: &'a Input) -> Cow<'a, Input> {
        match input {
            Input::Sip { flow, message } => match self.message(message) {
                Some(message) => Cow::Owned(Input::Sip { flow: *flow, message }),
                None => Cow::Borrowed(input),
            },
            Input::Configured { by, source } => {
                Cow::Owned(Input::Configured { by: by.clone(), source: Box::new(source.redacted(&self.0)) })
            }
            // What is keyed for somebody may be a PIN.
            Input::Command { ticket, by, command: Command::Press { conversation, who, digits } } => {
                let digits = keys::without_digits(digits);
                let command = Command::Press { conversation: *conversation, who: who.clone(), digits };
                Cow::Owned(Input::Command { ticket: *ticket, by: by.clone(), command })
            }
            Input::Started(_)
            | Input::Malformed { .. }
            | Input::Silent { .. }
            | Input::Undeliverable { .. }
            | Input::ConnectionClosed { .. }
            | Input::Resolved { .. }
            | Input::Ports(_)
            | Input::Certificate(_)
            | Input::Media(_)
            | Input::Recorder(_)
            | Input::Command { .. }
            | Input::Health { .. }
            | Input::Mailed { .. }
            | Input::MailFailed(_)
            | Input::Fetched { .. }
            | Input::LookedUp { .. }
            | Input::PromptKept { .. }
            | Input::Drain
            | Input::Halt
            | Input::Tick => Cow::Borrowed(input),
        }
    }
}

impl Redactor {
    /// Nothing where it has no secrets.
    fn message(&self, message: &Message) -> Option<Message> {
        let body = match message {
            Message::Request(request) => &request.body,
            Message::Response(response) => &response.body,
        };
        let body = sdp::with_other_keys(body, |key| self.0.bytes(key));
        match message {
            Message::Request(request) if body.is_some() || has_credentials(&request.headers) => {
                let mut request = request.clone();
                hide_credentials(&mut request.headers);
                request.body = body.map_or(request.body, Bytes::from);
                Some(Message::Request(request))
            }
            Message::Response(response) => {
                let mut response = response.clone();
                response.body = body?.into();
                Some(Message::Response(response))
            }
            Message::Request(_) => None,
        }
    }
}

fn hide_credentials(headers: &mut Headers) {
    headers.remove(&HeaderName::ProxyAuthorization);
    for value in headers.values_mut(&HeaderName::Authorization) {
        *value = match read(value) {
            Ok(Some(credentials)) => {
                let response = vec![b'0'; credentials.response.len()].into();
                printed(Credentials { response, ..credentials })
            }
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

/// Anew, so that nothing is kept of what nobody reads.
fn printed(credentials: Credentials) -> Bytes {
    let mut headers = Headers::new();
    headers.push(HeaderName::Authorization, credentials);
    headers.get(&HeaderName::Authorization).cloned().unwrap_or_default()
}

fn has_credentials(headers: &Headers) -> bool {
    headers.contains(&HeaderName::Authorization) || headers.contains(&HeaderName::ProxyAuthorization)
}
