//! `kind = "voicemail"`: the caller leaves a message in a mailbox (`mailbox = "201"`, or `"queue:support"`). With `next` the caller goes on
//! there when the message is left (by a hash, by silence, by its length); without, it hears goodbye. `full` is where it goes when the
//! mailbox takes no more; without, it hears that, and goes on as if it had left a message. `prompt` is heard instead of the mailbox's greeting.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit, To};
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::{Action, State, Step};
use super::visit::{Around, Memory, Visit};
use crate::config::Place;
use crate::ids::Number;

#[derive(Debug)]
pub(super) struct Voicemail {
    mailbox: Number,
    greeting: Option<Spoken>,
    next: Option<Exit>,
    full: Option<Exit>,
}

impl Act for Voicemail {
    fn exits(&self) -> Vec<&Exit> {
        self.next.iter().chain(&self.full).collect()
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.greeting.iter().collect()
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        None
    }

    fn enter(&self, visit: &mut Visit<'_>, _: Option<char>) -> Step {
        let greeting = self.greeting.iter().flat_map(|spoken| spoken.prompts.clips(&visit.memory.language)).collect();
        let back = self.next.is_some() || self.full.is_some();
        let mailbox = self.mailbox.clone();
        if !back {
            let to = Place::Voicemail(mailbox.clone()).to_string();
            visit.out.push(Action::Left { node: visit.name.to_owned(), to });
        }
        visit.out.push(Action::Deposit { mailbox, greeting, back });
        Step::Stay(if back { State::Depositing { node: visit.id } } else { State::Ended })
    }

    fn announced(&self) -> To {
        self.next.as_ref().map_or(To::Leave(Place::Hangup), |next| next.to.clone())
    }

    fn full(&self) -> Option<&Exit> {
        self.full.as_ref()
    }
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
