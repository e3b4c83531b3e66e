//! Menus: the graph that a file describes, and a caller's session in it.
//!
//! A menu file is a graph of nodes, one file here a kind ([`play`], [`menu`], [`collect`], [`hours`], [`language`], [`go`],
//! [`condition`], [`set`], [`value`], [`lookup`], [`callback`], [`survey`], [`voicemail`], [`hangup`]). [`Graph::parse`] checks all that can be checked before a call: prompts in every language that a caller
//! can have there, exits, nodes that nobody reaches, loops that go round without the caller. A [`Session`] then never has to ask
//! whether something is there. It names configuration and time only; playing, dialling and queueing are the conversation's.
//!
//! | who owns | what |
//! |---|---|
//! | [`Graph`] | what the menu says; shared by its callers, replaced by a reload for those who come after |
//! | [`Session`] | where the caller is, what was keyed and stored, the prompts' language |
//! | the conversation | the session itself, what plays, what comes after `Go`; it hands language and values on to the next session |

mod ask;
mod callback;
mod check;
mod collect;
mod condition;
mod context;
mod exit;
pub mod expression;
mod fault;
mod found;
mod go;
mod graph;
mod hangup;
mod hours;
mod language;
mod lookup;
mod menu;
mod node;
mod play;
mod prompts;
pub mod say;
mod session;
mod set;
mod survey;
#[cfg(test)]
mod tests;
mod value;
mod variables;
mod visit;
mod voicemail;

pub use context::Context;
pub use found::{Form, Wanted, found};
pub use graph::Graph;
pub use lookup::{Outcome, Request};
pub use session::{Action, Arriving, Deposit, Event, Session};
pub use visit::Variables;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, Problem, Source};
use crate::ids::MenuName;

/// Every menu of a configuration, ready to run; or everything that is wrong with them.
pub fn graphs(config: &Config) -> Result<BTreeMap<MenuName, Arc<Graph>>, Vec<Problem>> {
    let context = Context::of(config);
    let mut graphs = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, text) in &config.menus {
        match Graph::parse(name, text, &context) {
            Ok(graph) => {
                graphs.insert(name.clone(), Arc::new(graph));
            }
            Err(more) => problems.extend(more),
        }
    }
    problems.extend(check::loops_between(&graphs, &context));
    problems.sort();
    if problems.is_empty() { Ok(graphs) } else { Err(problems) }
}

/// Everything that is wrong with a configuration and its menus: what `cordboard check` prints. Pure. Secrets that the first start would
/// generate may be missing.
pub fn check_all(source: &Source) -> Vec<Problem> {
    match Config::resolve_for_check(source) {
        Ok(config) => graphs(&config).err().unwrap_or_default(),
        Err(problems) => problems,
    }
}
