//! `kind = "menu"`: asks, and goes where the key says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_spanned::Spanned;

use super::ask::{Ask, Failure, GivenAsk};
use super::exit::{Exit, GivenExit};
use super::fault::Fault;
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::{Question, Step};
use super::visit::{Around, Memory, Visit};
use crate::config::units::Time;

#[derive(Debug)]
pub(super) struct Menu {
    ask: Ask,
    digits: BTreeMap<char, Exit>,
}

impl Act for Menu {
    fn exits(&self) -> Vec<&Exit> {
        self.ask.exits().chain(self.digits.values()).collect()
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
        match self.digits.get(&key) {
            Some(exit) => visit.on(exit, None),
            None => visit.failed(&self.ask, question.tries, Failure::WrongKey),
        }
    }

    fn waited(&self, visit: &mut Visit<'_>, question: Question) -> Step {
        visit.failed(&self.ask, question.tries, Failure::NoKey)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenMenu {
    prompt: Spanned<Prompts>,
    digits: Spanned<BTreeMap<String, Spanned<GivenExit>>>,
    invalid_prompt: Option<Spanned<Prompts>>,
    barge_in: Option<bool>,
    timeout: Option<Spanned<Time>>,
    retries: Option<Spanned<u64>>,
    on_timeout: Option<Spanned<GivenExit>>,
    on_invalid: Option<Spanned<GivenExit>>,
    on_retries_used: Option<Spanned<GivenExit>>,
}

/// A key of a telephone (RFC 4733 events 0 to 15), capitals for A to D.
pub(super) fn key(text: &str) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Some(c.to_ascii_uppercase()).filter(|c| is_key(*c)),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

pub(super) fn is_key(c: char) -> bool {
    matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')
}

impl GivenMenu {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Menu> {
        if self.digits.get_ref().is_empty() {
            scope.fault(&self.digits, Fault::NoDigits);
        }
        let mut digits = BTreeMap::new();
        let mut whole = true;
        for (text, exit) in self.digits.into_inner() {
            let Some(key) = key(&text) else {
                scope.fault(&exit, Fault::NotAKey(text));
                continue;
            };
            match scope.exit(exit) {
                Some(exit) => {
                    digits.insert(key, exit);
                }
                None => whole = false,
            }
        }
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
        whole.then_some(Menu { ask, digits })
    }
}
