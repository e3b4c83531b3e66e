//! `kind = "callback"`: the caller is asked where to be called back by a queue (`queue = "support"`), and is let go; what `go` does with
//! `to = "callback:support"`.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::graph::Scope;
use super::node::Act;
use super::visit::{Around, Memory};
use crate::config::Place;
use crate::ids::QueueName;

#[derive(Debug)]
pub(super) struct Callback {
    to: Exit,
}

impl Act for Callback {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.to]
    }

    fn passes(&self, _: &mut Memory, _: Around<'_>) -> Option<&Exit> {
        Some(&self.to)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenCallback {
    queue: Spanned<String>,
}

impl GivenCallback {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Callback> {
        let span = self.queue.span();
        let to = GivenExit::Place(Place::Callback(QueueName::new(self.queue.into_inner())));
        Some(Callback { to: scope.exit(Spanned::new(span, to))? })
    }
}
