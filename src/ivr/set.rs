//! `kind = "set"`: stores values of expressions, for the nodes and menus that follow.
//!
//! All are worked out before any of them is stored. A value that is not there (a sum with a number that nothing has stored yet) takes away
//! what was stored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_spanned::Spanned;

use super::exit::{Exit, GivenExit};
use super::expression::Expression;
use super::fault::Fault;
use super::graph::Scope;
use super::node::Act;
use super::visit::{Around, Memory, Seen, Stored};

/// More at once than any menu wants; a bound for what one step does.
const MOST_VALUES: usize = 16;

#[derive(Debug)]
pub(super) struct Set {
    values: BTreeMap<String, Expression>,
    next: Exit,
}

impl Act for Set {
    fn exits(&self) -> Vec<&Exit> {
        vec![&self.next]
    }

    fn passes(&self, memory: &mut Memory, around: Around<'_>) -> Option<&Exit> {
        let seen = Seen { memory: &*memory, around };
        let stored = |expression: &Expression| {
            let value = expression.evaluate(&seen)?;
            Some(Stored { value, secret: seen.memory.is_secret(expression) })
        };
        let made: Vec<(&String, Option<Stored>)> = self.values.iter().map(|(name, e)| (name, stored(e))).collect();
        for (name, stored) in made {
            match stored {
                Some(stored) => memory.variables.0.insert(name.clone(), stored),
                None => memory.variables.0.remove(name),
            };
        }
        Some(&self.next)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenSet {
    values: Spanned<BTreeMap<String, Spanned<String>>>,
    next: Spanned<GivenExit>,
}

impl GivenSet {
    pub(super) fn resolve(self, scope: &mut Scope<'_>) -> Option<Set> {
        let given = self.values.get_ref().len();
        if !(1..=MOST_VALUES).contains(&given) {
            scope.fault(&self.values, Fault::Values { given, most: MOST_VALUES });
        }
        let mut values = BTreeMap::new();
        let mut whole = true;
        for (name, text) in self.values.into_inner() {
            scope.variable_name(&name, &text);
            match scope.expression(&text) {
                Some(expression) => {
                    scope.stores(&name, expression.kind(), &text);
                    values.insert(name, expression);
                }
                None => whole = false,
            }
        }
        let next = scope.exit(self.next)?;
        whole.then_some(Set { values, next })
    }
}
