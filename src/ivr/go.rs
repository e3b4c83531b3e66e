//! `kind = "go"`: goes to a place; a name for it that several nodes can lead to.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::Scope;
use super::node::Act;
use super::visit::{Around, Memory};

#[derive(Debug)]
pub(super) struct Go {
    to: Exit,
}

impl Act for Go {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.to]
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        Some(&self.to)
    }
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
