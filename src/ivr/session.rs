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
//! Every state but `Ended` has a deadline, so nobody is forgotten where media never reports the end of a prompt. A key that cuts an
//! announcement short is kept for the next node that asks (callers who know the way key ahead). Keys pressed while a prompt plays that
//! may not be cut short are passed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Graph;
use super::ask::Ask;
use super::collect::{Collect, DIGITS};
use super::exit::{Exit, NodeId, To};
use super::graph::{Kind, Node, Spoken};
use super::menu::is_key;
use super::voicemail::Voicemail;
use crate::clock::{Mono, Now};
use crate::config::Place;
use crate::ids::Number;

/// What happened to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key: `0`–`9`, `*`, `#`, `A`–`D`; anything else is passed over.
    Digit(char),
    /// The last `Play` came to its end (at once, where a clip is missing). The end of a play that was stopped or replaced is not passed
    /// in; where it is all the same, it is ignored unless another play runs.
    PlayEnded,
    /// What came of [`Action::Deposit`].
    Deposited(Deposit),
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
const LONGEST_PLAY: Duration = Duration::from_secs(600);

/// A caller's stay in one menu. The owner keeps it with the conversation, feeds it events, and calls [`Session::handle`] with
/// `Event::Deadline` when `deadline()` has come. After `Go` or `Stuck` it is over: it has no deadline and answers nothing.
#[derive(Clone, Debug)]
pub struct Session {
    graph: Arc<Graph>,
    language: String,
    stored: BTreeMap<String, Stored>,
    steps_without_key: u32,
    state: State,
}

#[derive(Clone, Debug)]
struct Stored {
    digits: String,
    masked: bool,
}

#[derive(Clone, Debug)]
enum State {
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
    /// It was said, or cut short by a key. `digits` is what was keyed so far (collect only).
    Awaiting {
        node: NodeId,
        tries: usize,
        digits: String,
        until: Mono,
    },
    /// Leaves a message, for as long as that may last.
    Depositing {
        node: NodeId,
    },
    Ended,
}

/// Why a question has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    NoKey,
    WrongKey,
}

/// Where the caller goes next, while one event is handled.
enum Step {
    /// Waits for the next event.
    Stay(State),
    /// On from this node; a key that is kept for the next question goes along.
    To { from: NodeId, to: To, ahead: Option<char> },
}

impl Session {
    /// Enters the menu. `language` is what the caller has from an earlier menu; without it the menu's own is used. `steps_without_key` is
    /// what [`Session::steps_without_key`] said there, or 0.
    pub fn start(graph: Arc<Graph>, language: Option<&str>, steps_without_key: u32, now: Now, out: &mut Vec<Action>) -> Session {
        let language = language.unwrap_or(&graph.language).to_owned();
        let start = graph.start;
        let mut session = Session { graph, language, stored: BTreeMap::new(), steps_without_key, state: State::Ended };
        let step = session.enter(start, None, now, out);
        session.run(step, now, out);
        session
    }

    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        let event = match event {
            Event::Digit(c) if !is_key(c.to_ascii_uppercase()) => return,
            Event::Digit(c) => Event::Digit(c.to_ascii_uppercase()),
            Event::Deadline if self.deadline().is_none_or(|at| now.mono < at) => return,
            Event::PlayEnded | Event::Deadline | Event::Deposited(_) => event,
        };
        if matches!(event, Event::Digit(_)) {
            self.steps_without_key = 0;
        }
        let state = std::mem::replace(&mut self.state, State::Ended);
        let step = self.step(state, event, now, out);
        self.run(step, now, out);
    }

    /// When it wants to hear `Event::Deadline`. `None` only when it is over, or waits for `Event::Deposited`.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Announcing { gives_up, .. } | State::Asking { gives_up, .. } => Some(*gives_up),
            State::Awaiting { until, .. } => Some(*until),
            State::Depositing { .. } | State::Ended => None,
        }
    }

    pub fn ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Nodes that the caller has passed since the last key.
    pub fn steps_without_key(&self) -> u32 {
        self.steps_without_key
    }

    /// Language of the prompts now.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// What may be kept of a key that is about to be pressed, if that is not the key: at a masked node, or ahead of one. A session that is
    /// given it instead does the same, but for numbers that are dialled as they were keyed.
    pub fn stands_for(&self, key: char, now: Now) -> Option<char> {
        let (node, digits) = match &self.state {
            State::Announcing { node, .. } => (self.next_question(*node, now)?, ""),
            State::Asking { node, .. } => (*node, ""),
            State::Awaiting { node, digits, .. } => (*node, digits.as_str()),
            State::Depositing { .. } | State::Ended => return None,
        };
        match &self.graph.node(node)?.kind {
            Kind::Collect(collect) => Some(collect.mask.as_ref()?.key(digits, key)),
            Kind::Menu(_)
            | Kind::Play(_)
            | Kind::Hours(_)
            | Kind::Language(_)
            | Kind::Go(_)
            | Kind::Voicemail(_)
            | Kind::Hangup(_) => None,
        }
    }

    /// A masked node asks, or may ask next: nobody is to listen in.
    pub fn may_be_secret(&self) -> bool {
        let is_masked = |node: &Node| matches!(&node.kind, Kind::Collect(collect) if collect.mask.is_some());
        match &self.state {
            State::Announcing { .. } => self.graph.nodes.iter().any(is_masked),
            State::Asking { node, .. } | State::Awaiting { node, .. } => self.graph.node(*node).is_some_and(is_masked),
            State::Depositing { .. } | State::Ended => false,
        }
    }

    /// The node that asks after an announcement, whatever is said before it does.
    fn next_question(&self, mut id: NodeId, now: Now) -> Option<NodeId> {
        for _ in 0..self.graph.nodes.len() {
            let exit = match &self.graph.node(id)?.kind {
                Kind::Menu(_) | Kind::Collect(_) => return Some(id),
                Kind::Play(play) => &play.next,
                Kind::Hours(hours) => hours.at(now.wall),
                Kind::Language(language) => &language.next,
                Kind::Go(go) => &go.to,
                Kind::Voicemail(_) | Kind::Hangup(_) => return None,
            };
            let To::Node(next) = &exit.to else { return None };
            id = *next;
        }
        None
    }

    fn step(&mut self, state: State, event: Event, now: Now, out: &mut Vec<Action>) -> Step {
        let graph = Arc::clone(&self.graph);
        match (state, event) {
            (State::Announcing { node, .. }, Event::PlayEnded) => self.announced(&graph, node, None),
            (State::Announcing { node, .. }, Event::Deadline) => {
                out.push(Action::StopPlay);
                self.announced(&graph, node, None)
            }
            (State::Announcing { node, gives_up }, Event::Digit(key)) => match graph.node(node).map(|n| &n.kind) {
                Some(Kind::Play(play)) if play.barge_in => {
                    out.push(Action::StopPlay);
                    self.announced(&graph, node, Some(key))
                }
                Some(_) | None => Step::Stay(State::Announcing { node, gives_up }),
            },
            (State::Asking { node, tries, .. }, Event::PlayEnded) => Step::Stay(self.asked(&graph, node, tries, now)),
            (State::Asking { node, tries, .. }, Event::Deadline) => {
                out.push(Action::StopPlay);
                Step::Stay(self.asked(&graph, node, tries, now))
            }
            (State::Asking { node, tries, gives_up }, Event::Digit(key)) => match ask_of(&graph, node) {
                Some(ask) if ask.barge_in => {
                    out.push(Action::StopPlay);
                    self.keyed(&graph, node, tries, String::new(), key, now, out)
                }
                Some(_) | None => Step::Stay(State::Asking { node, tries, gives_up }),
            },
            (State::Awaiting { node, tries, digits, .. }, Event::Digit(key)) => {
                self.keyed(&graph, node, tries, digits, key, now, out)
            }
            (State::Awaiting { node, tries, digits, .. }, Event::Deadline) => self.waited(&graph, node, tries, digits, now, out),
            // The end of a prompt that a key cut short, on its way while we stopped it.
            (State::Awaiting { node, tries, digits, until }, Event::PlayEnded) => {
                Step::Stay(State::Awaiting { node, tries, digits, until })
            }
            (State::Depositing { node }, Event::Deposited(Deposit::Over { by_key })) => {
                self.steps_without_key = if by_key { 0 } else { self.steps_without_key };
                self.announced(&graph, node, None)
            }
            (State::Depositing { node }, Event::Deposited(Deposit::Full)) => match graph.node(node).map(|n| &n.kind) {
                Some(Kind::Voicemail(Voicemail { full: Some(full), .. })) => {
                    Step::To { from: node, to: full.to.clone(), ahead: None }
                }
                // Nobody is sent on, or away, without a word.
                Some(_) | None => {
                    out.push(Action::Announce { prompt: NO_ROOM });
                    Step::Stay(State::Announcing { node, gives_up: now.mono + LONGEST_PLAY })
                }
            },
            (State::Depositing { node }, Event::PlayEnded | Event::Deadline | Event::Digit(_)) => {
                Step::Stay(State::Depositing { node })
            }
            (state, Event::Deposited(_)) => Step::Stay(state),
            (State::Ended, Event::PlayEnded | Event::Deadline | Event::Digit(_)) => Step::Stay(State::Ended),
        }
    }

    /// Goes on until the caller has something to hear or to do, or is out of the menu.
    fn run(&mut self, mut step: Step, now: Now, out: &mut Vec<Action>) {
        loop {
            step = match step {
                Step::Stay(state) => {
                    self.state = state;
                    return;
                }
                Step::To { from, to, ahead } => self.follow(from, to, ahead, now, out),
            };
        }
    }

    fn follow(&mut self, from: NodeId, to: To, ahead: Option<char>, now: Now, out: &mut Vec<Action>) -> Step {
        let node = self.name(from);
        let left = |to: String| Action::Left { node: node.clone(), to };
        match to {
            To::Node(id) => {
                out.push(left(format!("node:{}", self.name(id))));
                self.enter(id, ahead, now, out)
            }
            To::Leave(place) => {
                out.push(left(place.to_string()));
                out.push(Action::Go(place));
                Step::Stay(State::Ended)
            }
            To::Dial(template) => {
                let stored = self.stored.iter().map(|(name, s)| (name.clone(), s.digits.clone())).collect();
                let masked = template.names().any(|n| self.stored.get(n).is_some_and(|s| s.masked));
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

    fn enter(&mut self, id: NodeId, ahead: Option<char>, now: Now, out: &mut Vec<Action>) -> Step {
        let graph = Arc::clone(&self.graph);
        self.steps_without_key += 1;
        let Some(node) = graph.node(id).filter(|_| self.steps_without_key <= MOST_STEPS_WITHOUT_KEY) else {
            out.push(Action::Stuck { node: self.name(id) });
            return Step::Stay(State::Ended);
        };
        out.push(Action::Entered { node: node.name.clone() });
        let gives_up = now.mono + LONGEST_PLAY;
        let on = |to: &Exit, ahead| Step::To { from: id, to: to.to.clone(), ahead };
        match &node.kind {
            Kind::Play(play) if play.barge_in && ahead.is_some() => on(&play.next, ahead),
            Kind::Play(play) => self.announce(id, &play.spoken, gives_up, out),
            Kind::Voicemail(voicemail) => {
                let greeting = voicemail.greeting.iter().flat_map(|spoken| spoken.prompts.clips(&self.language)).collect();
                let back = voicemail.next.is_some() || voicemail.full.is_some();
                let mailbox = voicemail.mailbox.clone();
                if !back {
                    out.push(Action::Left { node: node.name.clone(), to: Place::Voicemail(mailbox.clone()).to_string() });
                }
                out.push(Action::Deposit { mailbox, greeting, back });
                Step::Stay(if back { State::Depositing { node: id } } else { State::Ended })
            }
            Kind::Hangup(hangup) => match &hangup.spoken {
                Some(spoken) => self.announce(id, spoken, gives_up, out),
                None => Step::To { from: id, to: To::Leave(Place::Hangup), ahead: None },
            },
            Kind::Menu(menu) => self.ask(&graph, id, &menu.ask, ahead, now, out),
            Kind::Collect(collect) => self.ask(&graph, id, &collect.ask, ahead, now, out),
            Kind::Hours(hours) => on(hours.at(now.wall), ahead),
            Kind::Language(language) => {
                if self.language != language.set {
                    self.language.clone_from(&language.set);
                    out.push(Action::Language(language.set.clone()));
                }
                on(&language.next, ahead)
            }
            Kind::Go(go) => on(&go.to, ahead),
        }
    }

    fn announce(&self, node: NodeId, spoken: &Spoken, gives_up: Mono, out: &mut Vec<Action>) -> Step {
        out.push(Action::Play { prompts: spoken.prompts.clips(&self.language).collect() });
        Step::Stay(State::Announcing { node, gives_up })
    }

    /// An announcement, or what is done in a mailbox, is over.
    fn announced(&self, graph: &Graph, id: NodeId, ahead: Option<char>) -> Step {
        let to = match graph.node(id).map(|n| &n.kind) {
            Some(Kind::Play(play)) => play.next.to.clone(),
            Some(Kind::Voicemail(Voicemail { next: Some(next), .. })) => next.to.clone(),
            Some(Kind::Hangup(_) | Kind::Voicemail(_)) => To::Leave(Place::Hangup),
            // These announce nothing.
            Some(Kind::Menu(_) | Kind::Collect(_) | Kind::Hours(_) | Kind::Language(_) | Kind::Go(_)) | None => {
                To::Leave(Place::Hangup)
            }
        };
        Step::To { from: id, to, ahead }
    }

    /// Comes to a question. A key that was pressed ahead answers it before it is said.
    fn ask(&mut self, graph: &Graph, id: NodeId, ask: &Ask, ahead: Option<char>, now: Now, out: &mut Vec<Action>) -> Step {
        match ahead.filter(|_| ask.barge_in) {
            Some(key) => self.keyed(graph, id, 0, String::new(), key, now, out),
            None => {
                out.push(Action::Play { prompts: ask.question.prompts.clips(&self.language).collect() });
                Step::Stay(State::Asking { node: id, tries: 0, gives_up: now.mono + LONGEST_PLAY })
            }
        }
    }

    /// The question was said: the caller's time begins.
    fn asked(&self, graph: &Graph, id: NodeId, tries: usize, now: Now) -> State {
        let timeout = ask_of(graph, id).map_or(Duration::ZERO, |a| a.timeout);
        State::Awaiting { node: id, tries, digits: String::new(), until: now.mono + timeout }
    }

    #[allow(clippy::too_many_arguments, reason = "the state's fields, taken apart by the match")]
    fn keyed(
        &mut self,
        graph: &Graph,
        id: NodeId,
        tries: usize,
        digits: String,
        key: char,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Step {
        let Some(node) = graph.node(id) else { return Step::Stay(State::Ended) };
        let masked = matches!(&node.kind, Kind::Collect(collect) if collect.mask.is_some());
        out.push(Action::Digit { node: node.name.clone(), digit: (!masked).then_some(key) });
        match &node.kind {
            Kind::Menu(menu) => match menu.digits.get(&key) {
                Some(exit) => Step::To { from: id, to: exit.to.clone(), ahead: None },
                None => self.failed(id, &menu.ask, tries, Failure::WrongKey, now, out),
            },
            Kind::Collect(collect) => self.collected(id, collect, tries, digits, key, now, out),
            Kind::Play(_) | Kind::Hours(_) | Kind::Language(_) | Kind::Go(_) | Kind::Voicemail(_) | Kind::Hangup(_) => {
                Step::Stay(State::Ended)
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the state's fields, taken apart by the match")]
    fn collected(
        &mut self,
        id: NodeId,
        collect: &Collect,
        tries: usize,
        mut digits: String,
        key: char,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Step {
        if collect.terminator == Some(key) {
            return self.finished(id, collect, tries, digits, now, out);
        }
        match key {
            '*' => digits.clear(),
            '0'..='9' => digits.push(key),
            _ => {}
        }
        if digits.len() >= collect.max {
            return self.finished(id, collect, tries, digits, now, out);
        }
        let patience = if digits.is_empty() { collect.ask.timeout } else { collect.inter_digit };
        Step::Stay(State::Awaiting { node: id, tries, digits, until: now.mono + patience })
    }

    /// The digits are complete.
    fn finished(&mut self, id: NodeId, collect: &Collect, tries: usize, digits: String, now: Now, out: &mut Vec<Action>) -> Step {
        let exit = collect.exact.get(&digits).or(collect.goto.as_ref()).filter(|_| digits.len() >= collect.min);
        let Some(exit) = exit else {
            return self.failed(id, &collect.ask, tries, Failure::WrongKey, now, out);
        };
        let stored = Stored { digits, masked: collect.mask.is_some() };
        if let Some(name) = &collect.store {
            self.stored.insert(name.clone(), stored.clone());
        }
        self.stored.insert(DIGITS.to_owned(), stored);
        Step::To { from: id, to: exit.to.clone(), ahead: None }
    }

    /// The caller's time is over.
    fn waited(&mut self, graph: &Graph, id: NodeId, tries: usize, digits: String, now: Now, out: &mut Vec<Action>) -> Step {
        match graph.node(id).map(|n| &n.kind) {
            Some(Kind::Collect(collect)) if !digits.is_empty() => self.finished(id, collect, tries, digits, now, out),
            Some(Kind::Collect(collect)) => self.failed(id, &collect.ask, tries, Failure::NoKey, now, out),
            Some(Kind::Menu(menu)) => self.failed(id, &menu.ask, tries, Failure::NoKey, now, out),
            Some(Kind::Play(_) | Kind::Hours(_) | Kind::Language(_) | Kind::Go(_) | Kind::Voicemail(_) | Kind::Hangup(_))
            | None => Step::Stay(State::Ended),
        }
    }

    /// No good answer: where the menu says, or asked again, or enough of it.
    fn failed(&mut self, id: NodeId, ask: &Ask, tries: usize, failure: Failure, now: Now, out: &mut Vec<Action>) -> Step {
        let at_once = match failure {
            Failure::NoKey => &ask.on_timeout,
            Failure::WrongKey => &ask.on_invalid,
        };
        let on = |exit: &Exit| Step::To { from: id, to: exit.to.clone(), ahead: None };
        if let Some(exit) = at_once {
            return on(exit);
        }
        if tries >= ask.retries {
            return on(&ask.on_retries_used);
        }
        let sorry = ask.invalid.iter().filter(|_| failure == Failure::WrongKey);
        let prompts = sorry.chain([&ask.question]).flat_map(|spoken| spoken.prompts.clips(&self.language)).collect();
        out.push(Action::Play { prompts });
        Step::Stay(State::Asking { node: id, tries: tries + 1, gives_up: now.mono + LONGEST_PLAY })
    }

    fn name(&self, id: NodeId) -> String {
        self.graph.node(id).map_or_else(String::new, |n: &Node| n.name.clone())
    }
}

fn ask_of(graph: &Graph, id: NodeId) -> Option<&Ask> {
    match &graph.node(id)?.kind {
        Kind::Menu(menu) => Some(&menu.ask),
        Kind::Collect(collect) => Some(&collect.ask),
        Kind::Play(_) | Kind::Hours(_) | Kind::Language(_) | Kind::Go(_) | Kind::Voicemail(_) | Kind::Hangup(_) => None,
    }
}
