//! What a node has at hand while a caller is at it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ask::{Ask, Failure};
use super::exit::{Exit, NodeId, To};
use super::expression::{Expression, Name, Value, World};
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
    pub(super) variables: Variables,
}

impl Memory {
    /// Whether a value of this expression tells of a secret.
    pub(super) fn is_secret(&self, expression: &Expression) -> bool {
        expression.names().into_iter().any(|name| match name {
            Name::Variable(variable) => self.variables.0.get(variable).is_some_and(|stored| stored.secret),
            _ => false,
        })
    }
}

/// What was stored on the way: a caller takes it along from menu to menu.
#[derive(Clone, Debug, Default)]
pub struct Variables(pub(super) BTreeMap<String, Stored>);

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Value,
    /// It was keyed at a masked node, or is made of what was: it stays out of events, logs and journals.
    pub(super) secret: bool,
}

impl Stored {
    /// As it stands in a number, an address or a body.
    pub(super) fn text(&self) -> String {
        match &self.value {
            Value::Integer(n) => n.to_string(),
            Value::Text(text) => text.clone(),
            Value::Truth(truth) => truth.to_string(),
            Value::Time(time) => format!("{:02}:{:02}", time.hour(), time.minute()),
            Value::Date(date) => date.to_string(),
            Value::Texts(texts) => texts.join(","),
        }
    }
}

/// Time, and what else there is beside the menu.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) now: Now,
    pub(super) world: &'a dyn World,
}

/// What an expression asks of: what was stored, and the world around.
pub(super) struct Seen<'a> {
    pub(super) memory: &'a Memory,
    pub(super) around: Around<'a>,
}

impl World for Seen<'_> {
    fn value(&self, name: &Name) -> Option<Value> {
        match name {
            Name::Variable(variable) => self.memory.variables.0.get(variable).map(|stored| stored.value.clone()),
            Name::CallerNumber | Name::CallerTags | Name::Called | Name::Trunk | Name::Queue { .. } | Name::Time | Name::Date => {
                self.around.world.value(name)
            }
        }
    }
}

pub(super) struct Visit<'a> {
    pub(super) id: NodeId,
    pub(super) name: &'a str,
    pub(super) memory: &'a mut Memory,
    pub(super) around: Around<'a>,
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
        let clips = spoken.prompts.clips(&self.memory.language).collect();
        self.play(clips)
    }

    pub(super) fn play(&mut self, prompts: Vec<String>) -> Step {
        self.out.push(Action::Play { prompts });
        self.announcing()
    }

    /// Until somebody says what came of it.
    pub(super) fn looking_up(&self, timeout: Duration) -> Step {
        let began = self.around.now.mono;
        Step::Stay(State::LookingUp { node: self.id, began, gives_up: began + timeout })
    }

    /// Until what plays now has ended.
    fn announcing(&self) -> Step {
        Step::Stay(State::Announcing { node: self.id, gives_up: self.around.now.mono + LONGEST_PLAY })
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
        Step::Stay(State::Asking { node: self.id, tries, gives_up: self.around.now.mono + LONGEST_PLAY })
    }
}
