//! Menus: the graph and a caller's session in it.

mod graph;
mod session;

pub use graph::{Context, Graph};
pub use session::{Action, Event, Session};

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
    if problems.is_empty() { Ok(graphs) } else { Err(problems) }
}

/// Everything that is wrong with a configuration and its menus: what `cordboard check` prints. Pure.
pub fn check_all(source: &Source) -> Vec<Problem> {
    match Config::resolve_for_check(source) {
        Ok(config) => graphs(&config).err().unwrap_or_default(),
        Err(problems) => problems,
    }
}
