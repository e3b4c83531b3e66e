//! `kind = "go"`: goes to a place; a name for it that several nodes can lead to.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::Scope;

#[derive(Debug)]
pub(super) struct Go {
    pub(super) to: Exit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenGo {
    to: Spanned<GivenExit>,
}

impl GivenGo {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Go> {
        Some(Go { to: scope.exit(self.to)? })
    }
}
