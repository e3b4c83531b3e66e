//! What can be found wrong with a whole graph: prompts that are missing in a language somebody can have there, nodes that nobody
//! reaches, circles in which nobody is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Context;
use super::exit::{Exit, NodeId, To};
use super::fault::Fault;
use super::graph::{Graph, Node};
use super::prompts::Prompt;
use super::say;
use crate::config::Problem;
use crate::config::text::Reader;
use crate::ids::MenuName;

/// `torn`: some node or exit could not be read, so that what seems unreachable may not be.
pub(super) fn graph(graph: &Graph, torn: bool, context: &Context, reader: &mut Reader) {
    let heard = languages(graph, context);
    for (id, node) in numbered(graph) {
        let here = heard.get(&id);
        if !torn && here.is_none() {
            reader.fault_in_line(node.line, within(node, Fault::Unreachable));
        }
        for language in here.into_iter().flatten().filter(|_| node.kind.says().is_some()) {
            if let Some(fault) = unsaid(language, context) {
                reader.fault_in_line(node.kind.says().unwrap_or(node.line), within(node, fault));
            }
        }
        for spoken in node.kind.spoken() {
            for prompt in &spoken.prompts.0 {
                for (language, prompt) in missing(prompt, here, context) {
                    reader.fault_in_line(spoken.line, within(node, Fault::NoPrompt { prompt, language }));
                }
            }
        }
    }
    let next = |id: &NodeId| match graph.node(*id) {
        Some(node) if node.kind.ask().is_none() => node.kind.exits().into_iter().filter_map(node_of).collect(),
        Some(_) | None => Vec::new(),
    };
    for circle in circles(numbered(graph).map(|(id, _)| id), next) {
        let names: Vec<&str> = circle.iter().filter_map(|id| graph.node(*id)).map(|n| n.name.as_str()).collect();
        if let Some(node) = circle.first().and_then(|id| graph.node(*id)) {
            reader.fault_in_line(node.line, within(node, Fault::Loop(names.join(", "))));
        }
    }
}

/// Circles that go through several menus, or leave a menu and come back into it.
pub(super) fn loops_between(graphs: &BTreeMap<MenuName, Arc<Graph>>, context: &Context) -> Vec<Problem> {
    let next = |(menu, id): &(MenuName, NodeId)| -> Vec<(MenuName, NodeId)> {
        let Some(node) = graphs.get(menu).and_then(|g| g.node(*id)).filter(|n| n.kind.ask().is_none()) else {
            return Vec::new();
        };
        let step = |exit: &Exit| match &exit.to {
            To::Node(to) => Some((menu.clone(), *to)),
            To::Leave(place) => context.menu_at(place).and_then(|m| graphs.get(m)).map(|g| (g.name.clone(), g.start)),
            To::Dial(_) => None,
        };
        node.kind.exits().into_iter().filter_map(step).collect()
    };
    let all = graphs.iter().flat_map(|(name, graph)| numbered(graph).map(|(id, _)| (name.clone(), id)));
    let mut problems = Vec::new();
    for circle in circles(all, next) {
        let named = |(menu, id): &(MenuName, NodeId)| Some(format!("{menu}/{}", graphs.get(menu)?.node(*id)?.name));
        let names: Vec<String> = circle.iter().filter_map(named).collect();
        if let Some((graph, node)) = circle.first().and_then(|(menu, id)| graphs.get(menu).and_then(|g| Some((g, g.node(*id)?))))
        {
            problems.push(Problem::new(&graph.path, node.line, within(node, Fault::Loop(names.join(", ")))));
        }
    }
    problems
}

fn within(node: &Node, fault: Fault) -> Fault {
    Fault::InNode { node: node.name.clone(), what: Box::new(fault) }
}

fn numbered(graph: &Graph) -> impl Iterator<Item = (NodeId, &Node)> {
    graph.nodes.iter().enumerate().map(|(i, node)| (NodeId(i), node))
}

fn node_of(exit: &Exit) -> Option<NodeId> {
    match exit.to {
        To::Node(id) => Some(id),
        To::Leave(_) | To::Dial(_) => None,
    }
}

/// The languages that a caller can have at each node; a node that is missing here is one that nobody reaches.
fn languages<'g>(graph: &'g Graph, context: &'g Context) -> BTreeMap<NodeId, BTreeSet<&'g str>> {
    let mut heard: BTreeMap<NodeId, BTreeSet<&str>> = BTreeMap::new();
    let arriving = context.arriving(&graph.name).map(String::as_str);
    let mut open: Vec<(NodeId, &str)> = [graph.language.as_str()].into_iter().chain(arriving).map(|l| (graph.start, l)).collect();
    while let Some((id, language)) = open.pop() {
        if !heard.entry(id).or_default().insert(language) {
            continue;
        }
        let Some(node) = graph.node(id) else { continue };
        let language = node.kind.language().unwrap_or(language);
        open.extend(node.kind.exits().into_iter().filter_map(node_of).map(|next| (next, language)));
    }
    heard
}

/// Language and name of the prompt's clips that are not there. A language without any prompt is a fault of its own and not repeated.
fn missing(prompt: &Prompt, heard: Option<&BTreeSet<&str>>, context: &Context) -> Vec<(String, String)> {
    match prompt {
        Prompt::Pinned { language, prompt: name } => {
            let there = context.has_prompt(&prompt.clip(language));
            if there { Vec::new() } else { vec![(language.clone(), name.clone())] }
        }
        Prompt::Spoken(name) => heard
            .into_iter()
            .flatten()
            .filter(|language| context.language(language).is_ok() && !context.has_prompt(&prompt.clip(language)))
            .map(|language| ((*language).to_owned(), name.clone()))
            .collect(),
    }
}

/// Why values cannot be said in a language.
fn unsaid(language: &str, context: &Context) -> Option<Fault> {
    let Some(tongue) = say::Language::of(language) else { return Some(Fault::CannotSay(language.to_owned())) };
    let is_missing = |clip: &String| !context.has_prompt(&format!("{language}/{clip}"));
    let missing: Vec<String> = say::vocabulary(tongue).into_iter().filter(is_missing).collect();
    let first = missing.first()?.clone();
    Some(Fault::NoClips { language: language.to_owned(), first, clips: missing.len() })
}

/// Circles in a graph, each once, beginning with its least member: what cannot be on a circle is cut off until nothing more can.
fn circles<T: Ord + Clone>(nodes: impl Iterator<Item = T>, next: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    let mut ways: BTreeMap<T, Vec<T>> = nodes.map(|n| (n.clone(), next(&n))).collect();
    let mut found = Vec::new();
    loop {
        prune(&mut ways);
        let Some(first) = ways.keys().next().cloned() else { return found };
        // Everything left has a way on, so this walk must come to where it was.
        let mut path: Vec<T> = vec![first];
        let circle = loop {
            let Some(to) = path.last().and_then(|at| ways.get(at)).and_then(|w| w.first()) else { return found };
            if let Some(begin) = path.iter().position(|p| p == to) {
                break path.split_off(begin);
            }
            path.push(to.clone());
        };
        for node in &circle {
            ways.remove(node);
        }
        let least = circle.iter().min().cloned();
        let turn = circle.iter().position(|n| Some(n) == least.as_ref()).unwrap_or(0);
        let mut circle = circle;
        circle.rotate_left(turn);
        found.push(circle);
    }
}

/// Takes out nodes without a way on to one that is left.
fn prune<T: Ord + Clone>(ways: &mut BTreeMap<T, Vec<T>>) {
    loop {
        let left: BTreeSet<T> = ways.keys().cloned().collect();
        for to in ways.values_mut() {
            to.retain(|n| left.contains(n));
        }
        ways.retain(|_, to| !to.is_empty());
        if ways.len() == left.len() {
            return;
        }
    }
}
