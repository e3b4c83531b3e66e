//! Keys that go on: to whoever hears the one who presses them, or to a leg by command.
//!
//! | pressed as | a listener with telephone-event | one that takes keys by INFO | any other |
//! |---|---|---|---|
//! | telephone-event | is sent it by its media worker | is sent an INFO | is sent a tone by its media worker |
//! | INFO | is sent telephone-event | is sent an INFO | is sent a tone |
//! | a tone in the sound | is sent telephone-event by its media worker instead | hears it | hears it |
//!
//! By INFO are told: peers that have no telephone-event and say in Allow that they take INFO, until they refuse it. No supervisor is; and
//! who is at a masked node of a menu, or in a mailbox, is heard by nobody at all.

use super::Refusal;
use super::command::Member;
use super::hub::{Cx, Purpose};
use super::playing::member;
use crate::conversation::{Conversation, Refused};
use crate::ids::LegId;
use crate::media::{Command, DigitVia, Key, Source};
use crate::rtp::Event;
use crate::sip::{HeaderName, Method, Status};

/// Keys of one command.
const MOST_KEYS: usize = 64;

/// How long a key of a command is pressed: what phones send at least.
const PRESSED_MS: u16 = 100;

/// How a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Media(DigitVia),
    Info,
}

impl Cx<'_> {
    /// A leg presses a key: those who hear it are told, as far as their media does not.
    pub fn pass_key(&mut self, conv: &mut Conversation, from: LegId, key: Key, via: Via) {
        let hears_it = |source: &Source| match source {
            Source::Leg(leg) => *leg == from,
            Source::Mix(legs) => legs.contains(&from),
            Source::Nothing | Source::Play(..) => false,
        };
        let listens = |leg: LegId| conv.guest_at(leg).is_none_or(|(_, guest)| !guest.supervises());
        let there = conv.legs.values().filter(|leg| leg.is_live() && hears_it(&leg.hears) && listens(leg.id));
        let listeners: Vec<(LegId, bool)> = there.map(|leg| (leg.id, leg.hears_keys_by_info())).collect();
        for (leg, by_info) in listeners {
            match (via, by_info) {
                // It is in the sound that they hear.
                (Via::Media(DigitVia::InBand), _) | (Via::Media(DigitVia::Rfc4733), false) => {}
                (Via::Media(DigitVia::Rfc4733) | Via::Info, true) => self.tell_key(conv, leg, key),
                (Via::Info, false) => self.media(conv.worker, Command::Press { leg, keys: vec![key] }),
            }
        }
    }

    /// Keys to the customer, or to another one in the call.
    pub fn press_by_command(&mut self, conv: &mut Conversation, who: Option<&Member>, digits: &str) -> Result<(), Refusal> {
        let is_fit = digits.chars().all(|digit| Event::code_of(digit).is_some()) && (1..=MOST_KEYS).contains(&digits.len());
        if !is_fit {
            return Err(Refusal::BadValue("digits are 1 to 64 of 0 to 9, *, #, A to D"));
        }
        let id = match who {
            Some(who) => member(conv, who).ok_or_else(|| Refusal::NoParty(who.to_string()))?,
            None => conv.customer().filter(|_| conv.second().is_some()).ok_or(Refusal::WrongState("nobody is connected"))?,
        };
        let key = |digit: char| Key { digit: digit.to_ascii_uppercase(), duration_ms: PRESSED_MS };
        let keys: Vec<Key> = digits.chars().map(key).collect();
        match conv.leg(id).is_some_and(|leg| leg.hears_keys_by_info()) {
            true => keys.into_iter().for_each(|key| self.tell_key(conv, id, key)),
            false => self.media(conv.worker, Command::Press { leg: id, keys }),
        }
        Ok(())
    }

    fn tell_key(&mut self, conv: &mut Conversation, id: LegId, key: Key) {
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.info.push(key);
        }
        self.tell_next_key(conv, id);
    }

    /// Those that came before its answer go with the answer.
    pub fn tell_next_key(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id).filter(|leg| leg.is_answered()) else { return };
        let Some((body, key)) = leg.info.to_tell() else { return };
        let Some((mut request, flow)) = leg.call.request(Method::Info) else { return leg.info.done() };
        request.headers.push(HeaderName::ContentType, body.content_type());
        request.body = body.of(key).into();
        self.request(request, flow, Purpose::Key(id));
    }

    /// What came of an INFO; `None`: nothing.
    pub fn key_told(&mut self, conv: &mut Conversation, id: LegId, status: Option<Status>) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let does_not_know =
            |status: Status| [400, 403, 404, 405, 406, 415, 420, 469, 488, 489, 501, 606].contains(&status.code());
        if !status.is_some_and(does_not_know) {
            leg.info.done();
            return self.tell_next_key(conv, id);
        }
        match leg.info.refused() {
            Refused::Otherwise => self.tell_next_key(conv, id),
            // From here on as tones.
            Refused::Ever(keys) => {
                let Some(agreed) = leg.negotiation.agreed().cloned().filter(|_| leg.is_answered()) else { return };
                let session = self.session(leg, leg.call.flow().map(|f| f.remote.ip()), agreed);
                self.media(conv.worker, Command::Agree { leg: id, session });
                self.media(conv.worker, Command::Press { leg: id, keys });
            }
        }
    }
}
