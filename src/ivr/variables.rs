//! What menus store, and of what kind it is: worked out over all menus before any of them is read in earnest.
//!
//! A caller takes what was stored along from menu to menu, through queues too, so a menu may use what those before it store. Which kind a
//! `set` node stores follows from its expression, which may name what other nodes store: whatever has a kind by then is read, until
//! nothing more gets one. What never gets one is found where the node itself is read, with its line.
//!
//! What a masked node takes is a **secret**, and so is all that is made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Expression, Kind, Name, Names};
use crate::ids::MenuName;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) kind: Kind,
    pub(super) secret: bool,
}

/// What can be stored when a caller comes to a node of a menu.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    variables: BTreeMap<String, Variable>,
    /// Stored as different kinds by different nodes.
    torn: BTreeSet<String>,
}

impl Known {
    pub(super) fn variable(&self, name: &str) -> Option<Variable> {
        self.variables.get(name).copied()
    }

    pub(super) fn is_torn(&self, name: &str) -> bool {
        self.torn.contains(name)
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|variable| variable.secret)
    }

    /// The secret that an expression is made of.
    pub(super) fn secret_in<'e>(&self, expression: &'e Expression) -> Option<&'e str> {
        expression.names().into_iter().find_map(|name| match name {
            Name::Variable(variable) if self.is_secret(variable) => Some(variable.as_str()),
            _ => None,
        })
    }

    /// Whether anything is new by that.
    fn add(&mut self, name: &str, new: Variable) -> bool {
        match self.variables.get_mut(name) {
            None => {
                self.variables.insert(name.to_owned(), new);
                true
            }
            Some(old) => {
                if old.kind != new.kind {
                    self.torn.insert(name.to_owned());
                }
                let was_open = !old.secret && new.secret;
                old.secret |= new.secret;
                was_open
            }
        }
    }
}

/// How an expression of a menu is read.
pub(super) struct Reading<'a> {
    pub(super) known: &'a Known,
    pub(super) queues: &'a BTreeSet<String>,
}

impl Names for Reading<'_> {
    fn variable(&self, name: &str) -> Option<Kind> {
        Some(self.known.variable(name)?.kind)
    }

    fn has_queue(&self, name: &str) -> bool {
        self.queues.contains(name)
    }
}

/// A node stores something under this name.
#[derive(Clone, Debug)]
pub(super) struct Storing {
    pub(super) name: String,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Keyed {
        masked: bool,
    },
    /// The value of this expression.
    Made(String),
    Found(Kind),
}

/// For each menu what it and those before it store. `leads` are the menus that each leads to.
pub(super) fn known(
    stored: &BTreeMap<&MenuName, &[Storing]>,
    leads: &BTreeMap<MenuName, BTreeSet<MenuName>>,
    queues: &BTreeSet<String>,
) -> BTreeMap<MenuName, Known> {
    let of = |menu: &MenuName| {
        let before = stored.keys().filter(|other| **other == menu || leads_to(leads, other, menu));
        let all: Vec<&Storing> = before.filter_map(|other| stored.get(*other)).flat_map(|storing| storing.iter()).collect();
        (menu.clone(), kinds(&all, queues))
    };
    stored.keys().map(|menu| of(menu)).collect()
}

fn leads_to(leads: &BTreeMap<MenuName, BTreeSet<MenuName>>, from: &MenuName, to: &MenuName) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(menu) = open.pop() {
        for next in leads.get(menu).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

fn kinds(all: &[&Storing], queues: &BTreeSet<String>) -> Known {
    let mut known = Known::default();
    loop {
        let mut is_new = false;
        for storing in all {
            let variable = match &storing.what {
                What::Keyed { masked } => Some(Variable { kind: Kind::Text, secret: *masked }),
                What::Found(kind) => Some(Variable { kind: *kind, secret: false }),
                What::Made(text) => {
                    let made = Expression::parse(text, &Reading { known: &known, queues }).ok();
                    made.map(|made| Variable { kind: made.kind(), secret: known.secret_in(&made).is_some() })
                }
            };
            is_new |= variable.is_some_and(|variable| known.add(&storing.name, variable));
        }
        if !is_new {
            return known;
        }
    }
}
