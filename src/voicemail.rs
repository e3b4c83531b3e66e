//! Messages that callers leave for a number: what is in each mailbox, how many of it are new, and how its owner listens to them.
//!
//! A message is a recording of what the caller said. This is the switch's list of them; audio and rows are the recorder's.

mod locks;
mod session;
pub mod studio;

pub use locks::{Lock, Locks, Rules, Whom};
pub use session::{Action, Event, Session, is_same};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::ids::{ConversationId, Number, RecordingId};

/// Messages that one mailbox takes; then callers hear that there is no room. Everybody can leave messages, and each is a file.
pub const MOST_MESSAGES: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub recording: RecordingId,
    pub conversation: ConversationId,
    /// Empty, if hidden.
    pub caller: String,
    /// The caller's number in E.164, and the one that was called, where they have that form.
    #[serde(default)]
    pub customer_e164: Option<String>,
    #[serde(default)]
    pub called_e164: Option<String>,
    pub started_at: Wall,
    pub duration_ms: u64,
    pub heard: bool,
}

/// Who tries a mailbox's PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trier {
    pub mailbox: Number,
    /// As [`Whom::Source`] has it.
    pub source: String,
    /// From the mailbox's own phone.
    pub own: bool,
}

/// Every mailbox with something in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailboxes(BTreeMap<Number, Vec<Message>>);

impl Mailboxes {
    /// With what is there, oldest first in each mailbox.
    pub fn new(messages: impl IntoIterator<Item = (Number, Message)>) -> Mailboxes {
        let mut mailboxes = Mailboxes::default();
        for (number, message) in messages {
            mailboxes.put(number, message);
        }
        mailboxes
    }

    /// The messages for a number, oldest first.
    pub fn of(&self, number: &Number) -> &[Message] {
        self.0.get(number).map_or(&[], Vec::as_slice)
    }

    pub fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.0.keys()
    }

    pub fn put(&mut self, number: Number, message: Message) {
        self.0.entry(number).or_default().push(message);
    }

    /// Marks a message as heard. `None`: there is no such message.
    pub fn hear(&mut self, number: &Number, recording: RecordingId) -> Option<Message> {
        let message = self.0.get_mut(number)?.iter_mut().find(|m| m.recording == recording)?;
        message.heard = true;
        Some(message.clone())
    }

    /// Takes a message out.
    pub fn remove(&mut self, number: &Number, recording: RecordingId) -> Option<Message> {
        let messages = self.0.get_mut(number)?;
        let at = messages.iter().position(|m| m.recording == recording)?;
        let message = messages.remove(at);
        if messages.is_empty() {
            self.0.remove(number);
        }
        Some(message)
    }

    /// How many are new, and how many were heard (RFC 3842 §3.5: new and old).
    pub fn counts(&self, number: &Number) -> (u32, u32) {
        let all = self.of(number);
        let old = all.iter().filter(|m| m.heard).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(all.len() - old), count(old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u64) -> Message {
        Message {
            recording: RecordingId::from_parts(n, 0),
            conversation: ConversationId::from_parts(n, 0),
            caller: format!("20{n}"),
            customer_e164: None,
            called_e164: None,
            started_at: Wall::from_micros(0),
            duration_ms: 2_000,
            heard: false,
        }
    }

    #[test]
    fn new_messages_become_old_ones_and_go() {
        let number = Number::from("201");
        let mut boxes = Mailboxes::new([(number.clone(), message(1)), (number.clone(), message(2))]);
        assert_eq!(boxes.counts(&number), (2, 0));
        assert!(boxes.hear(&number, message(1).recording).unwrap().heard);
        assert!(boxes.hear(&number, message(1).recording).is_some(), "twice is no fault");
        assert_eq!(boxes.counts(&number), (1, 1));
        assert_eq!(boxes.hear(&number, message(3).recording), None);
        assert_eq!(boxes.hear(&"202".into(), message(1).recording), None, "another's");
        assert_eq!(boxes.remove(&number, message(2).recording), Some(message(2)));
        assert!(boxes.remove(&number, message(1).recording).is_some());
        assert_eq!((boxes.counts(&number), boxes.numbers().count()), ((0, 0), 0));
        assert_eq!(boxes.remove(&number, message(1).recording), None);
    }
}
