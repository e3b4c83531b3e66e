//! Keys: how SIP INFO tells of them, and which of them nothing may keep.
//!
//! | pressed | kept of a digit |
//! |---|---|
//! | in a mailbox, until its PIN was right | 0 |
//! | at a masked node of a menu, or ahead of one | what stands for it there ([`StandIns`](crate::config::StandIns)): mostly 0 |
//! | behind those, where nothing listens to digits | 0 |
//! | by an outside party, while the recording is paused | 0 |
//! | of these, one that refuses the recording | itself, or nothing could be replayed; 1 for another where 0 refuses |
//!
//! `*`, `#` and letters are kept: they say nothing.

use super::consent::refused;
use super::menu::Surroundings;
use super::{Input, Switch};
use crate::clock::Now;
use crate::conversation::{Conversation, Stage};
use crate::ids::LegId;
use crate::media::Report;
use crate::sip::{Message, Method, Request};

impl Switch {
    /// What is to be kept instead of the key that an input tells of, where that may be a secret, also where nobody listens to it.
    pub fn hidden_key(&self, input: &Input, now: Now) -> Option<char> {
        let (leg, key) = match input {
            Input::Media(Report::Digit { leg, digit, .. }) => (*leg, Some(*digit)),
            Input::Sip { message: Message::Request(request), .. } if request.method == Method::Info => {
                // Nothing comes of a repetition, and what it repeats may have been a secret.
                if self.hub.transactions.has_begun(request) {
                    return Some(keyed(request).filter(|key| !key.is_ascii_digit()).unwrap_or('0'));
                }
                (self.leg_of(request)?, keyed(request))
            }
            _ => return None,
        };
        let conv = self.conversation_of(leg).and_then(|id| self.conversations.get(&id))?;
        let refuse = self.hub.config.recording.refuse;
        let refuses = |key: char| refused(conv, leg, key, refuse, now.mono).is_some();
        if key.is_some_and(refuses) {
            return None;
        }
        let hidden = if refuses('0') { '1' } else { '0' };
        let asked = match &conv.stage {
            Stage::Menu { session, .. } if conv.subject == leg => {
                let world = Surroundings::of(conv, &self.hub, now);
                return session.stands_for(key.unwrap_or('0'), now, &world);
            }
            _ => conv.keys_are_secret || is_paused(conv, leg),
        };
        asked.then(|| key.filter(|key| !key.is_ascii_digit()).unwrap_or(hidden))
    }
}

/// A recording is silent while a card number is told, by keys perhaps. Keys of phones are codes, and without these nothing could be replayed.
fn is_paused(conv: &Conversation, leg: LegId) -> bool {
    conv.pause.is_some() && conv.leg(leg).is_some_and(|leg| leg.peer.is_trunk())
}

/// The key that an INFO tells of; nothing where it tells of none, or of none that there is.
pub(super) fn keyed(request: &Request) -> Option<char> {
    let kind = request.headers.content_type().ok().flatten()?;
    if kind.is("application", "dtmf-relay") {
        signal(&request.body)
    } else if kind.is("application", "dtmf") {
        key(std::str::from_utf8(&request.body).ok()?.trim())
    } else {
        None
    }
}

/// How long it was pressed, in ms, as far as the INFO says so.
pub(super) fn duration(request: &Request) -> u16 {
    field(&request.body, "Duration").and_then(|ms| ms.parse().ok()).unwrap_or(USUAL_MS)
}

/// A key press that does not say how long it was.
const USUAL_MS: u16 = 100;

/// `Signal=5`.
fn signal(body: &[u8]) -> Option<char> {
    key(field(body, "Signal")?)
}

fn field<'b>(body: &'b [u8], name: &str) -> Option<&'b str> {
    let text = std::str::from_utf8(body).ok()?;
    let line = text.lines().find_map(|l| l.trim().strip_prefix(name).and_then(|l| l.trim_start().strip_prefix('=')))?;
    Some(line.trim())
}

/// A key by its name; some phones write `10` and `11` for `*` and `#`, as RFC 4733 numbers them.
fn key(name: &str) -> Option<char> {
    match name {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut chars = name.chars();
            let c = chars.next()?.to_ascii_uppercase();
            (chars.next().is_none() && matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(c)
        }
    }
}

/// The body of an INFO with another digit, as long as it was. One that tells of no digit is only rid of those that it has.
pub(super) fn with_key(request: &Request, instead: char) -> Vec<u8> {
    let body = &request.body;
    let told = keyed(request);
    if told.is_some_and(|key| !key.is_ascii_digit()) {
        return body.to_vec();
    }
    let mut body: Vec<u8> = body.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect();
    // The first digit behind `Signal`, or the only one.
    let from = memchr::memmem::find(&body, b"Signal").unwrap_or(0);
    let place = body.iter_mut().skip(from).find(|b| b.is_ascii_digit());
    if let (Some(place), Some(_), Ok(instead)) = (place, told, u8::try_from(instead)) {
        *place = instead;
    }
    body
}

/// As many zeros as there are digits among keys.
pub(super) fn without_digits(keys: &str) -> String {
    keys.chars().map(|key| if key.is_ascii_digit() { '0' } else { key }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{HeaderName, Uri};

    #[test]
    fn an_info_keeps_its_length_and_its_keys_that_are_no_digits() {
        for (kind, body, instead, kept, key) in [
            ("dtmf-relay", "Signal=5\r\nDuration=160\r\n", '3', "Signal=3\r\nDuration=000\r\n", Some('3')),
            ("dtmf-relay", "Duration=160\r\nSignal= 5", '0', "Duration=000\r\nSignal= 0", Some('0')),
            ("dtmf-relay", "Signal=11\r\nDuration=160", '#', "Signal=11\r\nDuration=160", Some('#')),
            ("dtmf", "7", '2', "2", Some('2')),
            ("dtmf", "10", '*', "10", Some('*')),
            ("dtmf", "4711", '1', "0000", None),
            ("x-keys", "4711", '1', "0000", None),
        ] {
            let mut request = Request::new(Method::Info, Uri::parse("sip:a").expect("a URI"));
            request.headers.push(HeaderName::ContentType, format!("application/{kind}"));
            request.body = body.into();
            let masked = with_key(&request, instead);
            assert_eq!(String::from_utf8_lossy(&masked), kept);
            request.body = masked.into();
            assert_eq!(keyed(&request), key, "{kept}");
        }
    }
}
