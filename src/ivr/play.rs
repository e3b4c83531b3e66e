//! `kind = "play"`: says something and goes on.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit, To};
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::Step;
use super::visit::{Around, Memory, Visit};

#[derive(Debug)]
pub(super) struct Play {
    spoken: Spoken,
    /// A key ends the prompt, and is taken by the next node that asks. Otherwise keys are passed over.
    barge_in: bool,
    next: Exit,
}

impl Act for Play {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.next]
    }

    fn spoken(&self) -> Vec<&Spoken> {
        vec![&self.spoken]
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        Some(&self.next)
    }

    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        if self.barge_in && ahead.is_some() {
            return visit.on(&self.next, ahead);
        }
        visit.announce(&self.spoken)
    }

    fn is_cut_short(&self) -> bool {
        self.barge_in
    }

    fn announced(&self) -> To {
        self.next.to.clone()
    }
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
