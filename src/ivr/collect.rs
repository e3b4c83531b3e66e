//! `kind = "collect"`: takes several digits, an account number or an extension, and goes where they say.
//!
//! Digits end with the terminator, with `max` of them, or when none comes for `inter_digit`. `*` begins anew; other keys are passed
//! over. What was keyed is stored as `digits`, and under `store` too, for what follows. With `mask` it stays out of
//! events, logs and journals.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_spanned::Spanned;

use super::ask::{Ask, Failure, GivenAsk};
use super::exit::{Exit, GivenExit};
use super::expression::{Kind, Value};
use super::fault::Fault;
use super::graph::{Scope, Spoken};
use super::menu::is_key;
use super::node::Act;
use super::prompts::Prompts;
use super::session::{Question, State, Step};
use super::visit::{Around, Memory, Stored, Visit};
use crate::config::StandIns;
use crate::config::units::Time;

/// What the digits that were keyed last are stored as.
pub(super) const DIGITS: &str = "digits";

/// Longer than any number; a bound for what a caller can make us keep.
pub(super) const MOST_DIGITS: u64 = 32;
const INTER_DIGIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Collect {
    ask: Ask,
    min: usize,
    max: usize,
    terminator: Option<char>,
    inter_digit: Duration,
    /// Masked: what may be kept of what is keyed.
    mask: Option<StandIns>,
    store: Option<String>,
    /// Where exactly these digits lead; before `goto`.
    exact: BTreeMap<String, Exit>,
    /// Where other digits lead; `None`: they are wrong.
    goto: Option<Exit>,
}

impl Act for Collect {
    fn exits(&self) -> Vec<&Exit> {
        self.ask.exits().chain(self.exact.values()).chain(&self.goto).collect()
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.ask.spoken().collect()
    }

    fn ask(&self) -> Option<&Ask> {
        Some(&self.ask)
    }

    fn mask(&self) -> Option<&StandIns> {
        self.mask.as_ref()
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        None
    }

    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        visit.ask(self, &self.ask, ahead)
    }

    fn keyed(&self, visit: &mut Visit<'_>, question: Question, key: char) -> Step {
        let Question { tries, mut digits } = question;
        if self.terminator == Some(key) {
            return self.finished(visit, tries, digits);
        }
        match key {
            '*' => digits.clear(),
            '0'..='9' => digits.push(key),
            _ => {}
        }
        if digits.len() >= self.max {
            return self.finished(visit, tries, digits);
        }
        let patience = if digits.is_empty() { self.ask.timeout } else { self.inter_digit };
        Step::Stay(State::Awaiting {
            node: visit.id,
            question: Question { tries, digits },
            until: visit.around.now.mono + patience,
        })
    }

    fn waited(&self, visit: &mut Visit<'_>, question: Question) -> Step {
        if question.digits.is_empty() {
            return visit.failed(&self.ask, question.tries, Failure::NoKey);
        }
        self.finished(visit, question.tries, question.digits)
    }
}

impl Collect {
    /// The digits are complete.
    fn finished(&self, visit: &mut Visit<'_>, tries: usize, digits: String) -> Step {
        let exit = self.exact.get(&digits).or(self.goto.as_ref()).filter(|_| digits.len() >= self.min);
        let Some(exit) = exit else {
            return visit.failed(&self.ask, tries, Failure::WrongKey);
        };
        let stored = Stored { value: Value::Text(digits), secret: self.mask.is_some() };
        if let Some(name) = &self.store {
            visit.memory.variables.0.insert(name.clone(), stored.clone());
        }
        visit.memory.variables.0.insert(DIGITS.to_owned(), stored);
        visit.on(exit, None)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenCollect {
    prompt: Spanned<Prompts>,
    min: Option<Spanned<u64>>,
    max: Option<Spanned<u64>>,
    terminator: Option<Spanned<String>>,
    inter_digit: Option<Spanned<Time>>,
    mask: Option<bool>,
    store: Option<Spanned<String>>,
    exact: Option<Spanned<BTreeMap<String, Spanned<GivenExit>>>>,
    goto: Option<Spanned<GivenExit>>,
    invalid_prompt: Option<Spanned<Prompts>>,
    barge_in: Option<bool>,
    timeout: Option<Spanned<Time>>,
    retries: Option<Spanned<u64>>,
    on_timeout: Option<Spanned<GivenExit>>,
    on_invalid: Option<Spanned<GivenExit>>,
    on_retries_used: Option<Spanned<GivenExit>>,
}

impl GivenCollect {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Collect> {
        if self.goto.is_none() && self.exact.as_ref().is_none_or(|e| e.get_ref().is_empty()) {
            scope.fault(&self.prompt, Fault::LeadsNowhere);
        }
        let order_at = self.max.clone().or_else(|| self.min.clone());
        let min = scope.count("min", self.min, 1, 1, MOST_DIGITS);
        let max = scope.count("max", self.max, MOST_DIGITS, 1, MOST_DIGITS);
        if let Some(at) = order_at.filter(|_| min > max) {
            scope.fault(&at, Fault::MinMax { min, max });
        }
        let inter_digit = scope.wait("inter_digit", self.inter_digit, INTER_DIGIT);
        let terminator = terminator(self.terminator, scope);
        if let Some(store) = &self.store
            && !(1..=32).contains(&store.get_ref().len())
        {
            scope.fault(store, Fault::StoreName(store.get_ref().clone()));
        } else if let Some(store) = &self.store
            && !store.get_ref().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            scope.fault(store, Fault::StoreName(store.get_ref().clone()));
        }
        if let Some(store) = &self.store {
            scope.stores(store.get_ref(), Kind::Text, store);
        }
        let mut exact = BTreeMap::new();
        let mut whole = true;
        for (digits, exit) in self.exact.map(Spanned::into_inner).unwrap_or_default() {
            if !digits.bytes().all(|b| b.is_ascii_digit()) || !(min..=max).contains(&digits.len()) {
                scope.fault(&exit, Fault::NeverKeyed(digits.clone()));
            }
            match scope.exit(exit) {
                Some(exit) => {
                    exact.insert(digits, exit);
                }
                None => whole = false,
            }
        }
        let goto = match self.goto {
            Some(goto) => {
                let goto = scope.exit(goto);
                whole &= goto.is_some();
                goto
            }
            None => None,
        };
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
        let store = self.store.map(Spanned::into_inner);
        let mask = self.mask.unwrap_or(false).then(|| StandIns::of(exact.keys().map(String::as_str)));
        let collect = Collect { ask, min, max, terminator, inter_digit, mask, store, exact, goto };
        whole.then_some(collect)
    }
}

/// `#`, where nothing is said; none, where it is "".
fn terminator(given: Option<Spanned<String>>, scope: &mut Scope<'_>) -> Option<char> {
    let Some(given) = given else { return Some('#') };
    let mut chars = given.get_ref().chars();
    match (chars.next(), chars.next()) {
        (None, _) => None,
        (Some(c), None) if is_key(c) && !c.is_ascii_digit() => Some(c),
        (Some(_), _) => {
            let text = given.get_ref().clone();
            scope.fault(&given, Fault::NotATerminator(text));
            None
        }
    }
}
