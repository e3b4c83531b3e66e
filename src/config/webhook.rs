//! Who is sent events: where to, which, and what the requests are signed with.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Secret;

#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// `http` or `https`, without a user's name. May be a secret.
    pub url: String,
    /// That each request is signed with, the newest first; [`signing_key`] reads them. Two while a receiver changes from one to the other.
    pub secrets: Vec<Secret>,
    /// Empty: all events.
    pub types: Vec<EventPattern>,
    /// Most events of a request.
    pub batch: usize,
    /// For an answer.
    pub timeout: Duration,
}

impl Webhook {
    /// Whether events of this type, without the prefix `cordboard.`, are sent there.
    pub fn wants(&self, name: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted.matches(name))
    }

    /// Host and port, for people: what follows may be a secret.
    pub fn server(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }
}

/// Stands before a key in text.
const PREFIX: &str = "whsec_";

/// A key as Standard Webhooks writes it: Base64 of 24 to 64 octets, `whsec_` in front or not.
pub fn signing_key(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix(PREFIX).unwrap_or(text).trim_end_matches('=');
    STANDARD_NO_PAD.decode(text).ok().filter(|key| (24..=64).contains(&key.len()))
}

/// A type of events, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPattern {
    Exact(String),
    /// `call.*`: all that begins with `call.`
    Under(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of event, such as call.ended, and no group of them, such as call.*")]
pub struct NoType(String);

impl FromStr for EventPattern {
    type Err = NoType;

    /// With or without `cordboard.` in front. A well-formed type that does not exist matches nothing, so that what was written for a later
    /// version is still read.
    fn from_str(text: &str) -> Result<EventPattern, NoType> {
        let bare = text.strip_prefix("cordboard.").unwrap_or(text);
        let name = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        let bad = || NoType(text.chars().take(64).collect());
        match bare.strip_suffix('*') {
            Some(under) if under.is_empty() || (under.ends_with('.') && name(under)) => Ok(EventPattern::Under(under.to_owned())),
            Some(_) => Err(bad()),
            None if !bare.is_empty() && name(bare) => Ok(EventPattern::Exact(bare.to_owned())),
            None => Err(bad()),
        }
    }
}

impl EventPattern {
    /// `name` is without the prefix.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            EventPattern::Exact(exact) => name == exact,
            EventPattern::Under(under) => name.starts_with(under.as_str()),
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventPattern::Exact(exact) => f.write_str(exact),
            EventPattern::Under(under) => write!(f, "{under}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> EventPattern {
        text.parse().unwrap()
    }

    #[test]
    fn groups_and_names_match_with_and_without_the_prefix() {
        assert!(wanted("call.*").matches("call.ended") && !wanted("call.*").matches("queue.entered"));
        assert!(wanted("*").matches("log.lost") && wanted("cordboard.call.ended").matches("call.ended"));
        assert!(!wanted("call.end").matches("call.ended"));
        for text in ["call.*", "*", "call.ended"] {
            assert_eq!(wanted(text).to_string(), text);
        }
        for bad in ["", "call*", "Call.ended", "call.*.x", "a b", "<script>", "**"] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_long_enough_and_base64() {
        let key = |length: usize| base64::prelude::BASE64_STANDARD.encode(vec![7; length]);
        for (text, length) in [(key(32), Some(32)), (format!("whsec_{}", key(24)), Some(24)), (key(23), None), (key(65), None)] {
            assert_eq!(signing_key(&text).map(|key| key.len()), length, "{text}");
        }
        assert_eq!(signing_key("whsec_not base64, and long enough"), None);
        // A pseudonym of a secret in a journal.
        assert!(signing_key("0123456789abcdef0123456789abcdef").is_some());
    }

    #[test]
    fn people_are_shown_the_server_alone() {
        let of = |url: &str| {
            let (secrets, types) = (Vec::new(), Vec::new());
            Webhook { url: url.to_owned(), secrets, types, batch: 1, timeout: Duration::ZERO }.server().to_owned()
        };
        assert_eq!(of("https://crm.example:8443/hooks/key?k=1"), "crm.example:8443");
        assert_eq!(of("http://[::1]?k=1"), "[::1]");
    }
}
