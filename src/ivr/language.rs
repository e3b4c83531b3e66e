//! `kind = "language"`: sets the language of the prompts from here on, in the menus and queues that follow too.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::Scope;

#[derive(Debug)]
pub(super) struct Language {
    pub(super) set: String,
    pub(super) next: Exit,
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
