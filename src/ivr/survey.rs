//! `kind = "survey"`: asks for a score, one key from 1 to `scale`, and tells it (`call.surveyed`) as the answer to `question`. It is stored
//! under that name too, as a number, for what follows. Without `next` the call ends there.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::ask::{Ask, Failure, GivenAsk};
use super::exit::{Exit, GivenExit};
use super::expression::{Kind, Value};
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::{Action, Question, Step};
use super::visit::{Around, Memory, Stored, Visit};
use crate::config::units::Time;

/// What satisfaction is asked by, usually.
const SCALE: u64 = 5;

#[derive(Debug)]
pub(super) struct Survey {
    ask: Ask,
    question: String,
    scale: u8,
    next: Exit,
}

impl Act for Survey {
    fn exits(&self) -> Vec<&Exit> {
        self.ask.exits().chain([&self.next]).collect()
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.ask.spoken().collect()
    }

    fn ask(&self) -> Option<&Ask> {
        Some(&self.ask)
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        None
    }

    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        visit.ask(self, &self.ask, ahead)
    }

    fn keyed(&self, visit: &mut Visit<'_>, question: Question, key: char) -> Step {
        let score = key.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).filter(|score| (1..=self.scale).contains(score));
        let Some(score) = score else {
            return visit.failed(&self.ask, question.tries, Failure::WrongKey);
        };
        visit.out.push(Action::Surveyed { question: self.question.clone(), score, scale: self.scale });
        let stored = Stored { value: Value::Integer(score.into()), secret: false };
        visit.memory.variables.0.insert(self.question.clone(), stored);
        visit.on(&self.next, None)
    }

    fn waited(&self, visit: &mut Visit<'_>, question: Question) -> Step {
        visit.failed(&self.ask, question.tries, Failure::NoKey)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenSurvey {
    question: Spanned<String>,
    prompt: Spanned<Prompts>,
    scale: Option<Spanned<u64>>,
    next: Option<Spanned<GivenExit>>,
    invalid_prompt: Option<Spanned<Prompts>>,
    barge_in: Option<bool>,
    timeout: Option<Spanned<Time>>,
    retries: Option<Spanned<u64>>,
    on_timeout: Option<Spanned<GivenExit>>,
    on_invalid: Option<Spanned<GivenExit>>,
    on_retries_used: Option<Spanned<GivenExit>>,
}

impl GivenSurvey {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Survey> {
        let question = self.question.get_ref().clone();
        scope.variable_name(&question, &self.question);
        scope.stores(&question, Kind::Integer, &self.question);
        let scale = scope.count("scale", self.scale, SCALE, 2, 9);
        let next = scope.exit_or_hangup(self.next);
        let ask = GivenAsk {
            prompt: self.prompt,
            invalid_prompt: self.invalid_prompt,
            barge_in: self.barge_in,
            timeout: self.timeout,
            retries: self.retries,
            on_timeout: self.on_timeout,
            on_invalid: self.on_invalid,
            on_retries_used: self.on_retries_used,
        };
        let ask = ask.resolve(scope)?;
        Some(Survey { ask, question, scale: u8::try_from(scale).unwrap_or(9), next: next? })
    }
}
