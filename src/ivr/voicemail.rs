//! `kind = "voicemail"`: the caller leaves a message in a mailbox (`mailbox = "201"`, or `"queue:support"`). With `next` the caller goes on
//! there when the message is left (by a hash, by silence, by its length); without, it hears goodbye. `full` is where it goes when the
//! mailbox takes no more; without, it hears that, and goes on as if it had left a message. `prompt` is heard instead of the mailbox's greeting.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::{Scope, Spoken};
use super::prompts::Prompts;
use crate::ids::Number;

#[derive(Debug)]
pub(super) struct Voicemail {
    pub(super) mailbox: Number,
    pub(super) greeting: Option<Spoken>,
    pub(super) next: Option<Exit>,
    pub(super) full: Option<Exit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenVoicemail {
    mailbox: Spanned<String>,
    prompt: Option<Spanned<Prompts>>,
    next: Option<Spanned<GivenExit>>,
    full: Option<Spanned<GivenExit>>,
}

impl GivenVoicemail {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Voicemail> {
        let mailbox = match scope.context.mailbox(self.mailbox.get_ref()) {
            Ok(number) => Some(number),
            Err(fault) => {
                scope.fault(&self.mailbox, fault);
                None
            }
        };
        let (gives_next, gives_full) = (self.next.is_some(), self.full.is_some());
        let next = self.next.and_then(|next| scope.exit(next));
        let full = self.full.and_then(|full| scope.exit(full));
        // A fault was noted where an exit leads nowhere.
        let whole = gives_next == next.is_some() && gives_full == full.is_some();
        let greeting = self.prompt.map(|prompt| scope.spoken(prompt));
        mailbox.filter(|_| whole).map(|mailbox| Voicemail { mailbox, greeting, next, full })
    }
}
