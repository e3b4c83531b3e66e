//! Keys that a peer is told by SIP INFO, for it has no telephone-event.

use std::collections::VecDeque;

use crate::media::Key;
use crate::sip::{HeaderName, Headers};

/// How a key stands in an INFO. Neither is a standard; desk phones and gateways know one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoBody {
    /// `application/dtmf-relay`: `Signal=5` and `Duration=160`, in ms.
    Relay,
    /// `application/dtmf`: `5`.
    Plain,
}

impl InfoBody {
    pub fn content_type(self) -> &'static str {
        match self {
            InfoBody::Relay => "application/dtmf-relay",
            InfoBody::Plain => "application/dtmf",
        }
    }

    pub fn of(self, key: Key) -> String {
        match self {
            InfoBody::Relay => format!("Signal={}\r\nDuration={}\r\n", key.digit, key.duration_ms),
            InfoBody::Plain => key.digit.to_string(),
        }
    }
}

/// Keys on their way to one peer, one INFO after another: a later one must not come first.
#[derive(Debug, Default)]
pub struct InfoKeys {
    /// What it takes; `None`: it takes no INFO, or has refused both.
    body: Option<InfoBody>,
    waiting: VecDeque<Key>,
    told: Option<Key>,
}

/// What a refusal of an INFO means.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is asked with the other body.
    Otherwise,
    /// No more INFO: these keys go another way.
    Ever(Vec<Key>),
}

impl InfoKeys {
    /// Keys that wait; what comes beyond is left out.
    const MOST: usize = 64;

    /// By what it says in Allow.
    pub fn of(headers: &Headers) -> InfoKeys {
        let takes = headers.lists(&HeaderName::Allow, "INFO");
        InfoKeys { body: takes.then_some(InfoBody::Relay), ..InfoKeys::default() }
    }

    pub fn is_taken(&self) -> bool {
        self.body.is_some()
    }

    pub fn push(&mut self, key: Key) {
        if self.waiting.len() < Self::MOST {
            self.waiting.push_back(key);
        }
    }

    /// The next one to be told, and how; nothing while one is on its way.
    pub fn to_tell(&mut self) -> Option<(InfoBody, Key)> {
        let body = self.body.filter(|_| self.told.is_none())?;
        let key = self.waiting.pop_front()?;
        self.told = Some(key);
        Some((body, key))
    }

    /// It has it, or will never say.
    pub fn done(&mut self) {
        self.told = None;
    }

    /// It does not know what it was sent.
    pub fn refused(&mut self) -> Refused {
        let told = self.told.take();
        if self.body == Some(InfoBody::Relay) {
            self.body = Some(InfoBody::Plain);
            told.into_iter().for_each(|key| self.waiting.push_front(key));
            return Refused::Otherwise;
        }
        self.body = None;
        Refused::Ever(told.into_iter().chain(self.waiting.drain(..)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: char) -> Key {
        Key { digit, duration_ms: 100 }
    }

    #[test]
    fn keys_go_one_after_another_by_the_body_that_is_taken() {
        let mut headers = Headers::new();
        assert!(!InfoKeys::of(&headers).is_taken());
        headers.push(HeaderName::Allow, "INVITE, ACK, INFO");
        let mut keys = InfoKeys::of(&headers);
        "12".chars().for_each(|digit| keys.push(key(digit)));
        let (body, one) = keys.to_tell().unwrap();
        assert_eq!((body.of(one), body.content_type()), ("Signal=1\r\nDuration=100\r\n".into(), "application/dtmf-relay"));
        assert_eq!(keys.to_tell(), None);
        assert_eq!(keys.refused(), Refused::Otherwise);
        let (body, one) = keys.to_tell().unwrap();
        assert_eq!((body.of(one), body.content_type()), ("1".into(), "application/dtmf"));
        keys.done();
        assert_eq!(keys.to_tell().map(|(_, key)| key.digit), Some('2'));
        keys.push(key('3'));
        assert_eq!(keys.refused(), Refused::Ever(vec![key('2'), key('3')]));
        assert!(!keys.is_taken() && keys.to_tell().is_none());
        let mut many = InfoKeys::of(&headers);
        (0..1_000).for_each(|_| many.push(key('1')));
        assert_eq!(many.waiting.len(), InfoKeys::MOST);
    }
}
