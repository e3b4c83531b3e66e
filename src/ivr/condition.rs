//! `kind = "if"`: goes one way where a condition holds, and the other where it does not.
//!
//! What is keyed at a masked node cannot be asked for: by the way that a caller takes its digits would be told.

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::expression::{Expression, Kind};
use super::fault::Fault;
use super::graph::Scope;
use super::node::Act;
use super::visit::{Around, Memory, Seen};

#[derive(Debug)]
pub(super) struct Condition {
    holds: Expression,
    then: Exit,
    otherwise: Exit,
}

impl Act for Condition {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.then, &self.otherwise]
    }

    fn passes(&self, memory: &mut Memory, around: Around<'_>) -> Option<&Exit> {
        // The check refuses it; by a transfer or a keyed number a caller may come here with a secret that it could not know of.
        let holds = !memory.is_secret(&self.holds) && self.holds.holds(&Seen { memory, around });
        Some(if holds { &self.then } else { &self.otherwise })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenCondition {
    condition: Spanned<String>,
    then: Spanned<GivenExit>,
    #[serde(rename = "else")]
    otherwise: Spanned<GivenExit>,
}

impl GivenCondition {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Condition> {
        let holds = scope.open_expression(&self.condition);
        if let Some(expression) = &holds
            && expression.kind() != Kind::Truth
        {
            scope.fault(&self.condition, Fault::NoCondition(expression.kind()));
        }
        let then = scope.exit(self.then);
        let otherwise = scope.exit(self.otherwise);
        Some(Condition { holds: holds?, then: then?, otherwise: otherwise? })
    }
}
