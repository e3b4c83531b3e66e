//! `kind = "play"`: says something and goes on.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::{Scope, Spoken};
use super::prompts::Prompts;

#[derive(Debug)]
pub(super) struct Play {
    pub(super) spoken: Spoken,
    /// A key ends the prompt, and is taken by the next node that asks. Otherwise keys are passed over.
    pub(super) barge_in: bool,
    pub(super) next: Exit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenPlay {
    prompt: Spanned<Prompts>,
    barge_in: Option<bool>,
    next: Spanned<GivenExit>,
}

impl GivenPlay {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Play> {
        let spoken = scope.spoken(self.prompt);
        Some(Play { spoken, barge_in: self.barge_in.unwrap_or(false), next: scope.exit(self.next)? })
    }
}
