//! What every node that waits for the caller has: a question, patience, and ways out when there is no good answer.

use std::time::Duration;

use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::{Scope, Spoken};
use super::prompts::Prompts;
use crate::config::units::Time;

/// Time for the first key after the prompt's end, where none is given.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often the question is asked again.
const RETRIES: u64 = 3;

/// Why a question has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoKey,
    WrongKey,
}

#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) question: Spoken,
    /// Said before the question is asked again after a wrong key.
    pub(super) invalid: Option<Spoken>,
    /// A key stops the prompt and counts. Otherwise keys are passed over until the prompt has ended.
    pub(super) barge_in: bool,
    /// From the end of the prompt.
    pub(super) timeout: Duration,
    /// How often the question is asked again after no key or a wrong one.
    pub(super) retries: usize,
    /// Where to go at once after no key. `None`: the question is asked again while there are retries.
    pub(super) on_timeout: Option<Exit>,
    /// Where to go at once after a wrong key. `None`: the question is asked again while there are retries.
    pub(super) on_invalid: Option<Exit>,
    pub(super) on_retries_used: Exit,
}

pub(super) struct GivenAsk {
    pub(super) prompt: Spanned<Prompts>,
    pub(super) invalid_prompt: Option<Spanned<Prompts>>,
    pub(super) barge_in: Option<bool>,
    pub(super) timeout: Option<Spanned<Time>>,
    pub(super) retries: Option<Spanned<u64>>,
    pub(super) on_timeout: Option<Spanned<GivenExit>>,
    pub(super) on_invalid: Option<Spanned<GivenExit>>,
    pub(super) on_retries_used: Option<Spanned<GivenExit>>,
}

impl GivenAsk {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Ask> {
        let question = scope.spoken(self.prompt);
        let invalid = self.invalid_prompt.map(|p| scope.spoken(p));
        let timeout = scope.wait("timeout", self.timeout, TIMEOUT);
        let retries = scope.count("retries", self.retries, RETRIES, 0, 10);
        // All three are read before any of them ends this, so that every fault is found.
        let on_timeout = self.on_timeout.map(|e| scope.exit(e));
        let on_invalid = self.on_invalid.map(|e| scope.exit(e));
        let on_retries_used = scope.exit_or_hangup(self.on_retries_used);
        Some(Ask {
            question,
            invalid,
            barge_in: self.barge_in.unwrap_or(true),
            timeout,
            retries,
            on_timeout: transpose(on_timeout)?,
            on_invalid: transpose(on_invalid)?,
            on_retries_used: on_retries_used?,
        })
    }
}

/// Given but wrong is `None`; not given is `Some(None)`.
fn transpose(exit: Option<Option<Exit>>) -> Option<Option<Exit>> {
    match exit {
        Some(None) => None,
        Some(Some(exit)) => Some(Some(exit)),
        None => Some(None),
    }
}

impl Ask {
    pub(super) fn exits(&self) -> impl Iterator<Item = &Exit> {
        self.on_timeout.iter().chain(&self.on_invalid).chain([&self.on_retries_used])
    }

    pub(super) fn spoken(&self) -> impl Iterator<Item = &Spoken> {
        [&self.question].into_iter().chain(&self.invalid)
    }
}
