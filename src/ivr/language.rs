//! `kind = "language"`: sets the language of the prompts from here on, in the menus and queues that follow too.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::Scope;
use super::node::Act;
use super::session::{Action, Step};
use super::visit::{Around, Memory, Visit};

#[derive(Debug)]
pub(super) struct Language {
    set: String,
    next: Exit,
}

impl Act for Language {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.next]
    }

    fn language(&self) -> Option<&str> {
        Some(&self.set)
    }

    fn passes(&self, memory: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        memory.language.clone_from(&self.set);
        Some(&self.next)
    }

    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        if visit.memory.language != self.set {
            visit.memory.language.clone_from(&self.set);
            visit.out.push(Action::Language(self.set.clone()));
        }
        visit.on(&self.next, ahead)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenLanguage {
    set: Spanned<String>,
    next: Spanned<GivenExit>,
}

impl GivenLanguage {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Language> {
        if let Err(fault) = scope.context.language(self.set.get_ref()) {
            scope.fault(&self.set, fault);
        }
        Some(Language { set: self.set.into_inner(), next: scope.exit(self.next)? })
    }
}
