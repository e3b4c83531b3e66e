//! A menu as a graph of nodes, and how its file is read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_spanned::Spanned;
use toml::de::DeValue;

use super::callback::GivenCallback;
use super::collect::GivenCollect;
use super::condition::GivenCondition;
use super::exit::{Exit, GivenExit, NodeId, To};
use super::expression::{Expression, Kind, Name, RESERVED};
use super::fault::Fault;
use super::go::GivenGo;
use super::hangup::{GivenHangup, Hangup};
use super::hours::GivenHours;
use super::language::GivenLanguage;
use super::lookup::GivenLookup;
use super::menu::GivenMenu;
use super::node::Act;
use super::play::GivenPlay;
use super::prompts::Prompts;
use super::set::GivenSet;
use super::survey::GivenSurvey;
use super::value::GivenValue;
use super::variables::{Known, Reading};
use super::voicemail::GivenVoicemail;
use super::{Context, check};
use crate::config::fault::There;
use crate::config::text::Reader;
use crate::config::units::{Time, is_name};
use crate::config::{MenuText, Place, Problem};
use crate::ids::MenuName;

/// More nodes than any menu that people can find their way in; a bound for the work of checking one.
const MOST_NODES: usize = 500;

/// A checked menu: every place exists, every prompt is there in every language that a caller can have, every node can be reached, none
/// spins.
#[derive(Debug)]
pub struct Graph {
    pub(super) name: MenuName,
    pub(super) path: PathBuf,
    /// Of callers who have not chosen one.
    pub(super) language: String,
    pub(super) start: NodeId,
    /// Sorted by name.
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) kind: Box<dyn Act>,
}

/// Prompts, and the line that names them.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    pub(super) prompts: Prompts,
    pub(super) line: u32,
}

/// The file without its nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: Spanned<String>,
    language: Spanned<String>,
    start: Spanned<GivenStart>,
}

/// `top` or `node:top`.
#[derive(Deserialize)]
#[serde(transparent)]
struct GivenStart(String);

impl Graph {
    /// Reads and checks a menu. `name` is that of its file. All faults are returned.
    pub fn parse(name: &MenuName, text: &MenuText, context: &Context) -> Result<Graph, Vec<Problem>> {
        let mut reader = Reader::new(&text.path, &text.text);
        let graph = read(&mut reader, name, text, context);
        let mut problems = reader.into_problems();
        problems.sort();
        problems.dedup();
        match graph {
            Some(graph) if problems.is_empty() => Ok(graph),
            Some(_) | None => Err(problems),
        }
    }

    /// As other menus and places name it.
    pub fn name(&self) -> &MenuName {
        &self.name
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }
}

fn read(reader: &mut Reader, name: &MenuName, text: &MenuText, context: &Context) -> Option<Graph> {
    let mut root = reader.parse(&text.text)?;
    let nodes = root.remove("node");
    let head: Option<Head> = reader.read(Spanned::new(0..0, DeValue::Table(root))).map(Spanned::into_inner);
    if let Some(head) = &head {
        if head.name.get_ref() != name.as_str() {
            let fault = Fault::OtherName { name: head.name.get_ref().clone(), file: name.to_string() };
            reader.fault(head.name.span().start, fault);
        }
        if let Err(fault) = context.language(head.language.get_ref()) {
            reader.fault(head.language.span().start, fault);
        }
    }
    let start = head.as_ref().map(|h| h.start.get_ref().0.trim_start_matches("node:").to_owned());
    let tables = match nodes.map(Spanned::into_inner) {
        Some(DeValue::Table(tables)) if !tables.is_empty() => tables,
        Some(_) | None => {
            reader.fault(0, Fault::NoNodes(start.unwrap_or_else(|| "start".to_owned())));
            return None;
        }
    };
    if tables.len() > MOST_NODES {
        reader.fault(0, Fault::TooManyNodes { nodes: tables.len(), most: MOST_NODES });
        return None;
    }
    let ids: BTreeMap<String, NodeId> =
        tables.keys().enumerate().map(|(i, key)| (key.get_ref().clone().into_owned(), NodeId(i))).collect();
    let known = context.known(name);
    let mut torn = false;
    let mut nodes = Vec::new();
    for (key, value) in tables {
        let mut scope =
            Scope { reader: &mut *reader, context, ids: &ids, known, node: key.get_ref(), at: key.span().start, torn: false };
        let kind = scope.kind(value);
        torn |= scope.torn || kind.is_none();
        let line = reader.line(key.span().start);
        // An unreadable node keeps its place among the numbers; `torn` says that the graph is not to be used.
        let kind = kind.unwrap_or_else(|| Box::new(Hangup { spoken: None }));
        nodes.push(Node { name: key.get_ref().clone().into_owned(), line, kind });
    }
    let (head, start) = (head?, start?);
    let Some(start) = ids.get(&start).copied() else {
        let there = There::of(ids.keys().map(String::as_str));
        reader.fault(head.start.span().start, Fault::Dangling { what: "node", name: start, there });
        return None;
    };
    let graph = Graph { name: name.clone(), path: text.path.clone(), language: head.language.into_inner(), start, nodes };
    check::graph(&graph, torn, context, reader);
    (!torn).then_some(graph)
}

fn boxed<N: Act + 'static>(node: Option<N>) -> Option<Box<dyn Act>> {
    Some(Box::new(node?))
}

/// A node being read: where faults are put, and what its exits may name.
pub(super) struct Scope<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) context: &'a Context,
    ids: &'a BTreeMap<String, NodeId>,
    known: &'a Known,
    node: &'a str,
    at: usize,
    /// An exit leads to a node that is not there, so what can be reached is not judged.
    torn: bool,
}

impl Scope<'_> {
    fn kind(&mut self, value: Spanned<DeValue<'_>>) -> Option<Box<dyn Act>> {
        if !is_name(self.node) {
            let fault = Fault::NodeName(self.node.to_owned());
            self.reader.fault(self.at, fault);
        }
        let span = value.span();
        let mut value = value.into_inner();
        let kind = match &mut value {
            DeValue::Table(table) => table.remove("kind"),
            _ => None,
        };
        let Some(kind) = kind else {
            self.reader.fault(self.at, Fault::NoKind(self.node.to_owned()));
            return None;
        };
        let value = Spanned::new(span, value);
        match kind.get_ref().as_str() {
            Some("play") => boxed(self.given::<GivenPlay>(value)?.resolve(self)),
            Some("menu") => boxed(self.given::<GivenMenu>(value)?.resolve(self)),
            Some("collect") => boxed(self.given::<GivenCollect>(value)?.resolve(self)),
            Some("hours") => boxed(self.given::<GivenHours>(value)?.resolve(self)),
            Some("language") => boxed(self.given::<GivenLanguage>(value)?.resolve(self)),
            Some("go") => boxed(self.given::<GivenGo>(value)?.resolve(self)),
            Some("if") => boxed(self.given::<GivenCondition>(value)?.resolve(self)),
            Some("set") => boxed(self.given::<GivenSet>(value)?.resolve(self)),
            Some("say") => boxed(self.given::<GivenValue>(value)?.resolve(self)),
            Some("lookup") => boxed(self.given::<GivenLookup>(value)?.resolve(self)),
            Some("callback") => boxed(self.given::<GivenCallback>(value)?.resolve(self)),
            Some("survey") => boxed(self.given::<GivenSurvey>(value)?.resolve(self)),
            Some("voicemail") => boxed(self.given::<GivenVoicemail>(value)?.resolve(self)),
            Some("hangup") => boxed(self.given::<GivenHangup>(value)?.resolve(self)),
            Some(other) => {
                self.fault(&kind, Fault::UnknownKind(other.to_owned()));
                None
            }
            None => {
                self.fault(&kind, Fault::UnknownKind(kind.get_ref().type_str().to_owned()));
                None
            }
        }
    }

    fn given<'t, T: Deserialize<'t>>(&mut self, value: Spanned<DeValue<'t>>) -> Option<T> {
        self.reader.read(value).map(Spanned::into_inner)
    }

    pub(super) fn fault<T>(&mut self, at: &Spanned<T>, what: Fault) {
        let fault = Fault::InNode { node: self.node.to_owned(), what: Box::new(what) };
        self.reader.fault(at.span().start, fault);
    }

    pub(super) fn line_of<T>(&self, given: &Spanned<T>) -> u32 {
        self.reader.line(given.span().start)
    }

    /// An expression whose value goes no further than into something else that is stored, or out with a lookup.
    pub(super) fn expression(&mut self, given: &Spanned<String>) -> Option<Expression> {
        let reading = Reading { known: self.known, queues: self.context.queues() };
        let expression = match Expression::parse(given.get_ref(), &reading) {
            Ok(expression) => expression,
            Err(bad) => {
                self.fault(given, Fault::Expression(bad));
                return None;
            }
        };
        let torn = |name: &&Name| matches!(name, Name::Variable(variable) if self.known.is_torn(variable));
        if let Some(name) = expression.names().into_iter().find(torn) {
            let fault = Fault::Torn(name.to_string());
            self.fault(given, fault);
        }
        if expression.names().contains(&&Name::CallerTags) {
            self.fault(given, Fault::NoTags);
        }
        Some(expression)
    }

    /// An expression whose value can be heard, or shows in the way that a caller takes: no secret is in it.
    pub(super) fn open_expression(&mut self, given: &Spanned<String>) -> Option<Expression> {
        let expression = self.expression(given)?;
        if let Some(secret) = self.known.secret_in(&expression) {
            self.fault(given, Fault::Secret(secret.to_owned()));
        }
        Some(expression)
    }

    /// Every node that stores something under a name stores the same kind.
    pub(super) fn stores<T>(&mut self, name: &str, here: Kind, at: &Spanned<T>) {
        if let Some(elsewhere) = self.known.variable(name).map(|v| v.kind).filter(|kind| *kind != here) {
            self.fault(at, Fault::TwoKinds { name: name.to_owned(), here, elsewhere });
        }
    }

    /// What it is called by expressions.
    pub(super) fn variable_name<T>(&mut self, name: &str, at: &Spanned<T>) {
        let mut bytes = name.bytes();
        let begins = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let is_word = begins && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_word || name.len() > 32 || RESERVED.contains(&name) {
            self.fault(at, Fault::VariableName(name.to_owned()));
        }
    }

    pub(super) fn node_line(&self) -> u32 {
        self.reader.line(self.at)
    }

    pub(super) fn spoken(&self, given: Spanned<Prompts>) -> Spoken {
        Spoken { line: self.reader.line(given.span().start), prompts: given.into_inner() }
    }

    /// `None`, with the fault noted, where the exit leads nowhere.
    pub(super) fn exit(&mut self, given: Spanned<GivenExit>) -> Option<Exit> {
        let to = match given.get_ref() {
            GivenExit::Node(name) => match self.ids.get(name) {
                Some(id) => Ok(To::Node(*id)),
                None => {
                    self.torn = true;
                    let there = There::of(self.ids.keys().map(String::as_str));
                    Err(Fault::Dangling { what: "node", name: name.clone(), there })
                }
            },
            GivenExit::Place(place) => self.context.place(place).map(|()| To::Leave(place.clone())),
            GivenExit::Dial(template) => match template
                .names()
                .find(|n| !self.known.variable(n).is_some_and(|v| matches!(v.kind, Kind::Text | Kind::Integer)))
            {
                Some(name) => Err(Fault::NothingStored(name.to_owned())),
                None => Ok(To::Dial(template.clone())),
            },
        };
        match to {
            Ok(to) => Some(Exit { to, line: self.reader.line(given.span().start) }),
            Err(fault) => {
                self.fault(&given, fault);
                None
            }
        }
    }

    /// The exit, or hanging up where none is given.
    pub(super) fn exit_or_hangup(&mut self, given: Option<Spanned<GivenExit>>) -> Option<Exit> {
        match given {
            Some(given) => self.exit(given),
            None => Some(Exit { to: To::Leave(Place::Hangup), line: self.node_line() }),
        }
    }

    /// A wait for a key: longer than nothing, and no longer than anybody holds the line for.
    pub(super) fn wait(&mut self, key: &'static str, given: Option<Spanned<Time>>, default: Duration) -> Duration {
        let Some(given) = given else { return default };
        let wait = given.get_ref().0;
        if wait.is_zero() || wait > Duration::from_secs(600) {
            self.fault(&given, Fault::Wait(key));
        }
        wait
    }

    pub(super) fn count(&mut self, key: &'static str, given: Option<Spanned<u64>>, default: u64, least: u64, most: u64) -> usize {
        let value = given.as_ref().map_or(default, |g| *g.get_ref());
        if let Some(given) = given
            && !(least..=most).contains(&value)
        {
            self.fault(&given, Fault::Range { key, given: value, least, most });
        }
        usize::try_from(value).unwrap_or(usize::MAX)
    }
}
