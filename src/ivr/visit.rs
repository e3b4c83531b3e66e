//! What a node has at hand while a caller is at it.

use std::collections::BTreeMap;

use super::ask::{Ask, Failure};
use super::exit::{Exit, NodeId, To};
use super::graph::Spoken;
use super::node::Act;
use super::session::{Action, LONGEST_PLAY, Question, State, Step};
use crate::clock::Now;
use crate::config::Place;

/// What a session remembers of its caller.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// Of the prompts.
    pub(super) language: String,
    pub(super) stored: BTreeMap<String, Stored>,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) digits: String,
    pub(super) masked: bool,
}

pub(super) struct Visit<'a> {
    pub(super) id: NodeId,
    pub(super) name: &'a str,
    pub(super) memory: &'a mut Memory,
    pub(super) now: Now,
    pub(super) out: &'a mut Vec<Action>,
}

impl Visit<'_> {
    pub(super) fn on(&self, exit: &Exit, ahead: Option<char>) -> Step {
        Step::To { from: self.id, to: exit.to.clone(), ahead }
    }

    pub(super) fn hang_up(&self) -> Step {
        Step::To { from: self.id, to: To::Leave(Place::Hangup), ahead: None }
    }

    pub(super) fn announce(&mut self, spoken: &Spoken) -> Step {
        self.out.push(Action::Play { prompts: spoken.prompts.clips(&self.memory.language).collect() });
        self.announcing()
    }

    /// Until what plays now has ended.
    pub(super) fn announcing(&self) -> Step {
        Step::Stay(State::Announcing { node: self.id, gives_up: self.now.mono + LONGEST_PLAY })
    }

    /// Comes to a question. A key that was pressed ahead answers it before it is said.
    pub(super) fn ask(&mut self, node: &dyn Act, ask: &Ask, ahead: Option<char>) -> Step {
        match ahead.filter(|_| ask.barge_in) {
            Some(key) => self.key(node, Question::default(), key),
            None => {
                self.out.push(Action::Play { prompts: ask.question.prompts.clips(&self.memory.language).collect() });
                self.asking(0)
            }
        }
    }

    /// A key at the question.
    pub(super) fn key(&mut self, node: &dyn Act, question: Question, key: char) -> Step {
        let digit = node.mask().is_none().then_some(key);
        self.out.push(Action::Digit { node: self.name.to_owned(), digit });
        node.keyed(self, question, key)
    }

    /// No good answer: where the menu says, or asked again, or enough of it.
    pub(super) fn failed(&mut self, ask: &Ask, tries: usize, failure: Failure) -> Step {
        let at_once = match failure {
            Failure::NoKey => &ask.on_timeout,
            Failure::WrongKey => &ask.on_invalid,
        };
        if let Some(exit) = at_once {
            return self.on(exit, None);
        }
        if tries >= ask.retries {
            return self.on(&ask.on_retries_used, None);
        }
        let sorry = ask.invalid.iter().filter(|_| failure == Failure::WrongKey);
        let prompts = sorry.chain([&ask.question]).flat_map(|spoken| spoken.prompts.clips(&self.memory.language)).collect();
        self.out.push(Action::Play { prompts });
        self.asking(tries + 1)
    }

    fn asking(&self, tries: usize) -> Step {
        Step::Stay(State::Asking { node: self.id, tries, gives_up: self.now.mono + LONGEST_PLAY })
    }
}
