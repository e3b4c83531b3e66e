//! A caller's stay in one menu.
//!
//! ```text
//!             ┌────────────── next node that says nothing: passed at once ─────────────┐
//!   start ──▶ enter ──▶ Announcing ── prompt ended, key (barge-in) ──────────────────▶ │
//!               │                                                                      ▼
//!               └─────▶ Asking ── prompt ended ──▶ Awaiting ── key, timeout ─────▶ enter, or Ended
//!                         │  ▲                        │ (collect: more keys)           ▲
//!                         │  └──── asked again ───────┘                                │
//!                         └── key (barge-in) ── as in Awaiting ────────────────────────┘
//! ```
//!
//! A node that looks something up waits in `LookingUp` for the answer, or for its own deadline; keys are passed over meanwhile.
//!
//! Every state but `Ended` has a deadline, so nobody is forgotten where media never reports the end of a prompt. A key that cuts an
//! announcement short is kept for the next node that asks (callers who know the way key ahead). Keys pressed while a prompt plays that
//! may not be cut short are passed over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Graph;
use super::exit::{NodeId, To};
use super::expression::World;
use super::graph::Node;
use super::lookup::{Outcome, Request};
use super::menu::is_key;
use super::visit::{Around, Memory, Stored, Variables, Visit};
use crate::clock::{Mono, Now};
use crate::config::Place;
use crate::ids::Number;

/// What happened to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key: `0`–`9`, `*`, `#`, `A`–`D`; anything else is passed over.
    Digit(char),
    /// The last `Play` came to its end (at once, where a clip is missing). The end of a play that was stopped or replaced is not passed
    /// in; where it is all the same, it is ignored unless another play runs.
    PlayEnded,
    /// What came of [`Action::Deposit`].
    Deposited(Deposit),
    /// What came of the last [`Action::Lookup`]; one that nobody waits for any more is passed over.
    LookedUp(Outcome),
    /// [`Session::deadline`] has come. Ignored before it.
    Deadline,
}

/// What came of a caller's stay in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// It is over, whether something was said or not. `by_key`: the caller has ended it so, and is there; noise on a line passes for speech.
    Over { by_key: bool },
    /// The mailbox takes no more.
    Full,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Play these, one after another, in place of what plays now; `<language>/<prompt>` each. `Event::PlayEnded` follows.
    Play { prompts: Vec<String> },
    /// Play this prompt of the system's own, in the language of the prompts or another that it is there in. `Event::PlayEnded` follows.
    Announce { prompt: &'static str },
    /// Stop what plays; no `PlayEnded` follows.
    StopPlay,
    /// The caller is at a node: `menu.entered`.
    Entered { node: String },
    /// A key was taken: `menu.digit`. At a masked node `digit` is `None`: what was keyed stays out of logs and events.
    Digit { node: String, digit: Option<char> },
    /// The caller moved on: `menu.left`. `to` is a place or `node:x`; a number made of what was keyed at a masked node is shown as the
    /// menu file writes it (`number:{digits}`).
    Left { node: String, to: String },
    /// The prompts' language from here on; the next menu is started with it.
    Language(String),
    /// The caller is to leave a message: after these clips (`<language>/<prompt>`), or after the mailbox's own greeting where there are
    /// none. With `back`, `Event::Deposited` follows, and nothing else until then; without, the session is over.
    Deposit { mailbox: Number, greeting: Vec<String>, back: bool },
    /// Ask a server. `Event::LookedUp` follows, unless the session's deadline comes before it.
    Lookup { request: Box<Request> },
    /// What came of it, and how long that took: `menu.looked_up`.
    LookedUp { node: String, outcome: &'static str, took: Duration },
    /// The caller has answered a question of a survey: `call.surveyed`.
    Surveyed { question: String, score: u8, scale: u8 },
    /// The session is over: send the caller there.
    Go(Place),
    /// The session is over, because it went round without the caller: hang up with a cause, and tell the operator.
    Stuck { node: String },
}

/// Nodes that a caller may pass between two keys, over all menus. One that is made well passes a handful; this many silent timeouts in a row
/// are a forgotten handset or a loop that leads over a clock, a mailbox or another menu.
const MOST_STEPS_WITHOUT_KEY: u32 = 100;

/// Said where a mailbox takes no more and the menu says nothing of that.
const NO_ROOM: &str = "no-voicemail";

/// No prompt is longer. Where media says nothing for so long after it began, it has failed, and the caller goes on.
pub(super) const LONGEST_PLAY: Duration = Duration::from_secs(600);

/// What a caller brings from the menus before: nothing, in the first one.
#[derive(Clone, Debug, Default)]
pub struct Arriving {
    /// Of the prompts; without it the menu's own is used.
    pub language: Option<String>,
    /// What [`Session::steps_without_key`] said there.
    pub steps_without_key: u32,
    pub variables: Variables,
}

/// A caller's stay in one menu. The owner keeps it with the conversation, feeds it events, and calls [`Session::handle`] with
/// `Event::Deadline` when `deadline()` has come. After `Go` or `Stuck` it is over: it has no deadline and answers nothing.
#[derive(Clone, Debug)]
pub struct Session {
    graph: Arc<Graph>,
    memory: Memory,
    steps_without_key: u32,
    state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// Something is said; then the caller goes on.
    Announcing {
        node: NodeId,
        gives_up: Mono,
    },
    /// A question is said for the `tries`th time after the first.
    Asking {
        node: NodeId,
        tries: usize,
        gives_up: Mono,
    },
    /// It was said, or cut short by a key.
    Awaiting {
        node: NodeId,
        question: Question,
        until: Mono,
    },
    /// A server is asked.
    LookingUp {
        node: NodeId,
        began: Mono,
        gives_up: Mono,
    },
    /// Leaves a message, for as long as that may last.
    Depositing {
        node: NodeId,
    },
    Ended,
}

/// How far the caller is with a question.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    /// How often it was asked again.
    pub(super) tries: usize,
    /// What was keyed so far (collect only).
    pub(super) digits: String,
}

/// What comes after an announcement.
enum Ahead {
    Question(NodeId),
    /// Nobody can say what follows this node.
    Unknown(NodeId),
    /// Nobody asks anything more.
    None,
}

/// What may be kept of a key that is passed over.
fn hidden(key: char) -> char {
    if key.is_ascii_digit() { '0' } else { key }
}

/// Where the caller goes next, while one event is handled.
pub(super) enum Step {
    /// Waits for the next event.
    Stay(State),
    /// On from this node; a key that is kept for the next question goes along.
    To { from: NodeId, to: To, ahead: Option<char> },
}

impl Session {
    /// Enters the menu, as a caller who was in `arriving` so far.
    pub fn start(graph: Arc<Graph>, arriving: Arriving, now: Now, world: &dyn World, out: &mut Vec<Action>) -> Session {
        let Arriving { language, steps_without_key, variables } = arriving;
        let language = language.unwrap_or_else(|| graph.language.clone());
        let start = graph.start;
        let memory = Memory { language, variables };
        let mut session = Session { graph, memory, steps_without_key, state: State::Ended };
        let around = Around { now, world };
        let step = session.enter(start, None, around, out);
        session.run(step, around, out);
        session
    }

    pub fn handle(&mut self, event: Event, now: Now, world: &dyn World, out: &mut Vec<Action>) {
        let event = match event {
            Event::Digit(c) if !is_key(c.to_ascii_uppercase()) => return,
            Event::Digit(c) => Event::Digit(c.to_ascii_uppercase()),
            Event::Deadline if self.deadline().is_none_or(|at| now.mono < at) => return,
            Event::PlayEnded | Event::Deadline | Event::Deposited(_) | Event::LookedUp(_) => event,
        };
        if matches!(event, Event::Digit(_)) {
            self.steps_without_key = 0;
        }
        let around = Around { now, world };
        let state = std::mem::replace(&mut self.state, State::Ended);
        let step = self.step(state, event, around, out);
        self.run(step, around, out);
    }

    /// When it wants to hear `Event::Deadline`. `None` only when it is over, or waits for `Event::Deposited`.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Announcing { gives_up, .. } | State::Asking { gives_up, .. } | State::LookingUp { gives_up, .. } => {
                Some(*gives_up)
            }
            State::Awaiting { until, .. } => Some(*until),
            State::Depositing { .. } | State::Ended => None,
        }
    }

    /// Waits for `Event::LookedUp`.
    pub fn is_looking_up(&self) -> bool {
        matches!(self.state, State::LookingUp { .. })
    }

    pub fn ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Nodes that the caller has passed since the last key.
    pub fn steps_without_key(&self) -> u32 {
        self.steps_without_key
    }

    /// What was stored so far, which goes along to the next menu.
    pub fn variables(&self) -> &Variables {
        &self.memory.variables
    }

    /// Language of the prompts now.
    pub fn language(&self) -> &str {
        &self.memory.language
    }

    /// What may be kept of a key that is about to be pressed, if that is not the key: at a masked node, or ahead of one. A session that is
    /// given it instead does the same, but for numbers that are dialled as they were keyed.
    pub fn stands_for(&self, key: char, now: Now, world: &dyn World) -> Option<char> {
        let around = Around { now, world };
        let (node, digits) = match &self.state {
            State::Announcing { node, .. } => match self.next_question(*node, around) {
                Ahead::Question(node) => (node, ""),
                // The key is passed over there, whichever it is.
                Ahead::Unknown(node) => return self.may_mask(node).then(|| hidden(key)),
                Ahead::None => return None,
            },
            State::LookingUp { node, .. } => return self.may_mask(*node).then(|| hidden(key)),
            State::Asking { node, .. } => (*node, ""),
            State::Awaiting { node, question, .. } => (*node, question.digits.as_str()),
            State::Depositing { .. } | State::Ended => return None,
        };
        Some(self.graph.node(node)?.kind.mask()?.key(digits, key))
    }

    /// A masked node asks, or may ask next: nobody is to listen in.
    pub fn may_be_secret(&self) -> bool {
        let is_masked = |node: &Node| node.kind.mask().is_some();
        match &self.state {
            State::Announcing { .. } | State::LookingUp { .. } => self.graph.nodes.iter().any(is_masked),
            State::Asking { node, .. } | State::Awaiting { node, .. } => self.graph.node(*node).is_some_and(is_masked),
            State::Depositing { .. } | State::Ended => false,
        }
    }

    /// The node that asks after an announcement, whatever is said before it does.
    fn next_question(&self, mut id: NodeId, around: Around<'_>) -> Ahead {
        let mut memory = self.memory.clone();
        for _ in 0..self.graph.nodes.len() {
            let Some(node) = self.graph.node(id) else { return Ahead::None };
            if node.kind.ask().is_some() {
                return Ahead::Question(id);
            }
            match node.kind.passes(&mut memory, around).map(|exit| &exit.to) {
                Some(To::Node(next)) => id = *next,
                Some(To::Leave(_) | To::Dial(_)) => return Ahead::None,
                None if node.kind.exits().is_empty() => return Ahead::None,
                None => return Ahead::Unknown(id),
            }
        }
        Ahead::None
    }

    /// A masked node can ask next, on whatever way out of this one.
    fn may_mask(&self, from: NodeId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            let Some(node) = self.graph.node(id).filter(|_| seen.insert(id)) else { continue };
            if node.kind.mask().is_some() {
                return true;
            }
            if node.kind.ask().is_none() {
                let next = node.kind.exits().into_iter().filter_map(|exit| match exit.to {
                    To::Node(id) => Some(id),
                    To::Leave(_) | To::Dial(_) => None,
                });
                open.extend(next);
            }
        }
        false
    }

    fn step(&mut self, state: State, event: Event, around: Around<'_>, out: &mut Vec<Action>) -> Step {
        let graph = Arc::clone(&self.graph);
        match (state, event) {
            (State::Announcing { node, .. }, Event::PlayEnded) => announced(&graph, node, None),
            (State::Announcing { node, .. }, Event::Deadline) => {
                out.push(Action::StopPlay);
                announced(&graph, node, None)
            }
            (State::Announcing { node, gives_up }, Event::Digit(key)) => match graph.node(node) {
                Some(at) if at.kind.is_cut_short() => {
                    out.push(Action::StopPlay);
                    announced(&graph, node, Some(key))
                }
                Some(_) | None => Step::Stay(State::Announcing { node, gives_up }),
            },
            (State::Asking { node, tries, .. }, Event::PlayEnded) => asked(&graph, node, tries, around),
            (State::Asking { node, tries, .. }, Event::Deadline) => {
                out.push(Action::StopPlay);
                asked(&graph, node, tries, around)
            }
            (State::Asking { node, tries, gives_up }, Event::Digit(key)) => match graph.node(node).and_then(|n| n.kind.ask()) {
                Some(ask) if ask.barge_in => {
                    out.push(Action::StopPlay);
                    self.keyed(&graph, node, Question { tries, digits: String::new() }, key, around, out)
                }
                Some(_) | None => Step::Stay(State::Asking { node, tries, gives_up }),
            },
            (State::Awaiting { node, question, .. }, Event::Digit(key)) => self.keyed(&graph, node, question, key, around, out),
            (State::Awaiting { node, question, .. }, Event::Deadline) => match graph.node(node) {
                Some(at) => at.kind.waited(&mut self.visit(node, at, around, out), question),
                None => Step::Stay(State::Ended),
            },
            // The end of a prompt that a key cut short, on its way while we stopped it.
            (State::Awaiting { node, question, until }, Event::PlayEnded) => {
                Step::Stay(State::Awaiting { node, question, until })
            }
            (State::Depositing { node }, Event::Deposited(Deposit::Over { by_key })) => {
                self.steps_without_key = if by_key { 0 } else { self.steps_without_key };
                announced(&graph, node, None)
            }
            (State::Depositing { node }, Event::Deposited(Deposit::Full)) => match graph.node(node).and_then(|n| n.kind.full()) {
                Some(full) => Step::To { from: node, to: full.to.clone(), ahead: None },
                // Nobody is sent on, or away, without a word.
                None => {
                    out.push(Action::Announce { prompt: NO_ROOM });
                    Step::Stay(State::Announcing { node, gives_up: around.now.mono + LONGEST_PLAY })
                }
            },
            (State::Depositing { node }, Event::PlayEnded | Event::Deadline | Event::Digit(_)) => {
                Step::Stay(State::Depositing { node })
            }
            (State::LookingUp { node, began, .. }, Event::LookedUp(outcome)) => {
                self.looked_up(&graph, node, began, outcome, around, out)
            }
            (State::LookingUp { node, began, .. }, Event::Deadline) => {
                self.looked_up(&graph, node, began, Outcome::TimedOut, around, out)
            }
            // What is said meanwhile has ended, and nobody listens to keys.
            (State::LookingUp { node, began, gives_up }, Event::PlayEnded | Event::Digit(_)) => {
                Step::Stay(State::LookingUp { node, began, gives_up })
            }
            (state, Event::Deposited(_) | Event::LookedUp(_)) => Step::Stay(state),
            (State::Ended, Event::PlayEnded | Event::Deadline | Event::Digit(_)) => Step::Stay(State::Ended),
        }
    }

    /// Goes on until the caller has something to hear or to do, or is out of the menu.
    fn run(&mut self, mut step: Step, around: Around<'_>, out: &mut Vec<Action>) {
        loop {
            step = match step {
                Step::Stay(state) => {
                    self.state = state;
                    return;
                }
                Step::To { from, to, ahead } => self.follow(from, to, ahead, around, out),
            };
        }
    }

    fn follow(&mut self, from: NodeId, to: To, ahead: Option<char>, around: Around<'_>, out: &mut Vec<Action>) -> Step {
        let node = self.name(from);
        let left = |to: String| Action::Left { node: node.clone(), to };
        match to {
            To::Node(id) => {
                out.push(left(format!("node:{}", self.name(id))));
                self.enter(id, ahead, around, out)
            }
            To::Leave(place) => {
                out.push(left(place.to_string()));
                out.push(Action::Go(place));
                Step::Stay(State::Ended)
            }
            To::Dial(template) => {
                let variables = &self.memory.variables.0;
                let digits = |stored: &Stored| Some(stored.text()).filter(|text| is_dialled(text));
                let stored = variables.iter().filter_map(|(name, stored)| Some((name.clone(), digits(stored)?))).collect();
                let masked = template.names().any(|n| variables.get(n).is_some_and(|stored| stored.secret));
                let Some(number) = template.fill(&stored) else {
                    out.push(Action::Stuck { node });
                    return Step::Stay(State::Ended);
                };
                let place = Place::Number(number);
                out.push(left(if masked { template.to_string() } else { place.to_string() }));
                out.push(Action::Go(place));
                Step::Stay(State::Ended)
            }
        }
    }

    fn enter(&mut self, id: NodeId, ahead: Option<char>, around: Around<'_>, out: &mut Vec<Action>) -> Step {
        let graph = Arc::clone(&self.graph);
        self.steps_without_key += 1;
        let Some(node) = graph.node(id).filter(|_| self.steps_without_key <= MOST_STEPS_WITHOUT_KEY) else {
            out.push(Action::Stuck { node: self.name(id) });
            return Step::Stay(State::Ended);
        };
        out.push(Action::Entered { node: node.name.clone() });
        node.kind.enter(&mut self.visit(id, node, around, out), ahead)
    }

    fn keyed(
        &mut self,
        graph: &Graph,
        id: NodeId,
        question: Question,
        key: char,
        around: Around<'_>,
        out: &mut Vec<Action>,
    ) -> Step {
        let Some(node) = graph.node(id) else { return Step::Stay(State::Ended) };
        self.visit(id, node, around, out).key(&*node.kind, question, key)
    }

    fn looked_up(
        &mut self,
        graph: &Graph,
        id: NodeId,
        began: Mono,
        outcome: Outcome,
        around: Around<'_>,
        out: &mut Vec<Action>,
    ) -> Step {
        let Some(node) = graph.node(id) else { return Step::Stay(State::Ended) };
        let took = around.now.mono.since(began);
        out.push(Action::LookedUp { node: node.name.clone(), outcome: outcome.label(), took });
        node.kind.looked_up(&mut self.visit(id, node, around, out), outcome)
    }

    fn visit<'a>(&'a mut self, id: NodeId, node: &'a Node, around: Around<'a>, out: &'a mut Vec<Action>) -> Visit<'a> {
        Visit { id, name: &node.name, memory: &mut self.memory, around, out }
    }

    fn name(&self, id: NodeId) -> String {
        self.graph.node(id).map_or_else(String::new, |n: &Node| n.name.clone())
    }
}

/// What a server has answered may be anything.
fn is_dialled(text: &str) -> bool {
    text.strip_prefix('+').unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
}

/// An announcement, or what is done in a mailbox, is over.
fn announced(graph: &Graph, id: NodeId, ahead: Option<char>) -> Step {
    let to = graph.node(id).map_or(To::Leave(Place::Hangup), |node| node.kind.announced());
    Step::To { from: id, to, ahead }
}

/// The question was said: the caller's time begins.
fn asked(graph: &Graph, id: NodeId, tries: usize, around: Around<'_>) -> Step {
    let timeout = graph.node(id).and_then(|node| node.kind.ask()).map_or(Duration::ZERO, |ask| ask.timeout);
    let question = Question { tries, digits: String::new() };
    Step::Stay(State::Awaiting { node: id, question, until: around.now.mono + timeout })
}
