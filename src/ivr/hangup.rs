//! `kind = "hangup"`: takes leave, if it has a prompt, and hangs up.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::Exit;
use super::graph::{Scope, Spoken};
use super::node::Act;
use super::prompts::Prompts;
use super::session::Step;
use super::visit::{Around, Memory, Visit};

#[derive(Debug)]
pub(super) struct Hangup {
    pub(super) spoken: Option<Spoken>,
}

impl Act for Hangup {
    fn exits(&self) -> Vec<&Exit> {
        Vec::new()
    }

    fn spoken(&self) -> Vec<&Spoken> {
        self.spoken.iter().collect()
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        None
    }

    fn enter(&self, visit: &mut Visit<'_>, _: Option<char>) -> Step {
        match &self.spoken {
            Some(spoken) => visit.announce(spoken),
            None => visit.hang_up(),
        }
    }
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
