//! `kind = "voicemail"`: says that no message can be left, and goes on. Where one can, a menu names the mailbox as a place
//! (`voicemail:201`).

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::{Scope, Spoken};
use super::prompts::{Prompt, Prompts};

/// The prompt, where none is given.
const PROMPT: &str = "no-voicemail";

#[derive(Debug)]
pub(super) struct Voicemail {
    pub(super) spoken: Spoken,
    pub(super) next: Exit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenVoicemail {
    prompt: Option<Spanned<Prompts>>,
    next: Option<Spanned<GivenExit>>,
}

impl GivenVoicemail {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Voicemail> {
        let next = scope.exit_or_hangup(self.next)?;
        let spoken = match self.prompt {
            Some(prompt) => scope.spoken(prompt),
            None => Spoken { prompts: Prompts(vec![Prompt::Spoken(PROMPT.to_owned())]), line: scope.node_line() },
        };
        Some(Voicemail { spoken, next })
    }
}
