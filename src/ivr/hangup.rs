//! `kind = "hangup"`: takes leave, if it has a prompt, and hangs up.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::graph::{Scope, Spoken};
use super::prompts::Prompts;

#[derive(Debug)]
pub(super) struct Hangup {
    pub(super) spoken: Option<Spoken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenHangup {
    prompt: Option<Spanned<Prompts>>,
}

impl GivenHangup {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Hangup> {
        Some(Hangup { spoken: self.prompt.map(|p| scope.spoken(p)) })
    }
}
