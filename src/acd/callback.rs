//! Customers who are to be called back: what is known of each, as its events say it.
//!
//! The book is what its events make of it, here and after a restart: [`Book::apply`] is the only way in which it changes. That one of it
//! waits, since when and for whom, is the [`Acd`](super::Acd)'s, as of any other entry; what stands here is what the acd is told.
//!
//! ```text
//!   created ──> Waits ──dialling──> Dials ──connected──> Talks ──done──> gone
//!                 ^                   |
//!                 +──── retry ────────+   gave_up, cancelled, taken_by_call: gone, from wherever it is
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::event::{CallbackChange, QueueCallback};
use crate::ids::{CallbackId, ConversationId, QueueName, StaffNumber};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    pub id: CallbackId,
    pub queue: QueueName,
    /// As the customer or the network wrote it.
    pub number: String,
    pub e164: Option<String>,
    pub created_at: Wall,
    /// It has the place in the queue of who came then.
    pub arrived_at: Wall,
    /// Not to be made before.
    pub due_at: Option<Wall>,
    pub owner: Option<StaffNumber>,
    /// How often the customer was dialled.
    pub attempts: u32,
    pub state: CallbackState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// For an agent; until then for its time.
    Waits {
        until: Option<Wall>,
    },
    Dials {
        conversation: ConversationId,
    },
    Talks {
        conversation: ConversationId,
    },
}

impl Callback {
    /// As it was written, and its normal form.
    pub fn customer(&self) -> (&str, Option<&String>) {
        (&self.number, self.e164.as_ref())
    }

    /// Of which a customer has one: an appointment stands beside it, and what is talked about already is no answer to a further wish.
    fn is_the_one(&self) -> bool {
        self.due_at.is_none() && !matches!(self.state, CallbackState::Talks { .. })
    }

    /// Two with the same are of one customer.
    pub fn key(&self) -> &str {
        self.e164.as_deref().unwrap_or(&self.number)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    all: BTreeMap<CallbackId, Callback>,
    by_number: BTreeMap<String, CallbackId>,
}

impl Book {
    /// Takes what has become of one.
    pub fn apply(&mut self, at: Wall, told: &QueueCallback) {
        let state = match (told.change, told.conversation) {
            (CallbackChange::Created | CallbackChange::Retry, _) => CallbackState::Waits { until: told.next_at },
            (CallbackChange::Due, _) => CallbackState::Waits { until: None },
            (CallbackChange::Dialling, Some(conversation)) => CallbackState::Dials { conversation },
            (CallbackChange::Connected, Some(conversation)) => CallbackState::Talks { conversation },
            // Without it nobody would know when it is over.
            (CallbackChange::Dialling | CallbackChange::Connected, None) => CallbackState::Waits { until: None },
            (CallbackChange::Done | CallbackChange::GaveUp | CallbackChange::Cancelled | CallbackChange::TakenByCall, _) => {
                return self.forget(told.callback);
            }
        };
        self.forget(told.callback);
        let callback = Callback {
            id: told.callback,
            queue: told.queue.clone(),
            number: told.number.clone(),
            e164: told.number_e164.clone(),
            created_at: told.created_at.unwrap_or(at),
            arrived_at: told.arrived_at.unwrap_or(at),
            due_at: told.due_at,
            owner: told.owner.clone(),
            attempts: told.attempts,
            state,
        };
        self.put(callback);
    }

    /// One as it was kept.
    pub fn put(&mut self, callback: Callback) {
        if callback.is_the_one() {
            self.by_number.insert(callback.key().to_owned(), callback.id);
        }
        self.all.insert(callback.id, callback);
    }

    fn forget(&mut self, id: CallbackId) {
        if let Some(gone) = self.all.remove(&id)
            && self.by_number.get(gone.key()) == Some(&id)
        {
            self.by_number.remove(gone.key());
        }
    }

    pub fn get(&self, id: CallbackId) -> Option<&Callback> {
        self.all.get(&id)
    }

    /// An appointment with a customer at that time.
    pub fn appointment(&self, key: &str, queue: &QueueName, due_at: Wall) -> Option<&Callback> {
        self.all.values().find(|one| one.due_at == Some(due_at) && one.queue == *queue && one.key() == key)
    }

    /// The one of a customer that is no appointment, by the number in E.164 or as it is dialled.
    pub fn of_number(&self, key: &str) -> Option<&Callback> {
        self.by_number.get(key).and_then(|id| self.all.get(id))
    }

    /// In the order in which they were wished for.
    pub fn all(&self) -> impl Iterator<Item = &Callback> {
        self.all.values()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Side;

    fn told(n: u128, change: CallbackChange, number: &str) -> QueueCallback {
        QueueCallback {
            callback: CallbackId::from_parts(1, n),
            change,
            queue: "support".into(),
            number: number.to_owned(),
            number_e164: None,
            created_at: Some(Wall::from_micros(5)),
            arrived_at: Some(Wall::from_micros(3)),
            due_at: None,
            next_at: Some(Wall::from_micros(9)),
            owner: None,
            attempts: 1,
            conversation: Some(ConversationId::from_parts(2, n)),
            cause: None,
            by: Side::Customer,
        }
    }

    #[test]
    fn the_last_event_of_one_is_its_state_whatever_came_before() {
        use CallbackChange::*;
        let conversation = ConversationId::from_parts(2, 1);
        let waits = |until| Some(CallbackState::Waits { until });
        let after = [
            (Created, waits(Some(Wall::from_micros(9)))),
            (Due, waits(None)),
            (Dialling, Some(CallbackState::Dials { conversation })),
            (Connected, Some(CallbackState::Talks { conversation })),
            (Retry, waits(Some(Wall::from_micros(9)))),
            (Done, None),
            (GaveUp, None),
            (Cancelled, None),
            (TakenByCall, None),
        ];
        for (before, _) in after {
            for (change, state) in after {
                let mut book = Book::default();
                book.apply(Wall::from_micros(7), &told(1, before, "1"));
                book.apply(Wall::from_micros(7), &told(1, change, "1"));
                assert_eq!(book.get(CallbackId::from_parts(1, 1)).map(|c| c.state), state, "{before:?}, then {change:?}");
                let talks = matches!(state, Some(CallbackState::Talks { .. }));
                assert_eq!((book.of_number("1").is_some(), book.is_empty()), (state.is_some() && !talks, state.is_none()));
            }
        }
    }

    #[test]
    fn a_customer_is_found_by_the_number_and_another_by_another() {
        let mut book = Book::default();
        book.apply(Wall::from_micros(7), &told(1, CallbackChange::Created, "1"));
        book.apply(Wall::from_micros(7), &told(2, CallbackChange::Created, "2"));
        book.apply(Wall::from_micros(8), &told(1, CallbackChange::Cancelled, "1"));
        assert_eq!((book.of_number("1"), book.len()), (None, 1));
        assert_eq!(book.of_number("2").map(|c| (c.id, c.arrived_at)), Some((CallbackId::from_parts(1, 2), Wall::from_micros(3))));
    }
}
