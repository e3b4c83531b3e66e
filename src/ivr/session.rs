//! A caller's position in a menu.

use std::sync::Arc;

use super::Graph;
use crate::clock::{Mono, Now};
use crate::config::Place;

/// What happened to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key: `0`–`9`, `*`, `#`, `A`–`D`; anything else is passed over.
    Digit(char),
    /// The last `Play` came to its end (at once, where a clip is missing). The end of a play that was stopped or replaced is not passed
    /// in; where it is all the same, it is ignored unless another play runs.
    PlayEnded,
    /// [`Session::deadline`] has come.
    Deadline,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Play these, one after another, in place of what plays now; `<language>/<prompt>` each. `Event::PlayEnded` follows.
    Play { prompts: Vec<String> },
    /// Stop what plays; no `PlayEnded` follows.
    StopPlay,
    /// The caller is at a node: `menu.entered`.
    Entered { node: String },
    /// A key was taken: `menu.digit`. A masked node's `digit` is `None`: what was keyed stays out of logs and events.
    Digit { node: String, digit: Option<char> },
    /// The caller moved on: `menu.left`. `to` is a place or `node:x`.
    Left { node: String, to: String },
    /// The prompts' language from here on; the next menu is started with it.
    Language(String),
    /// The session is over: send the caller there.
    Go(Place),
    /// The session is over, because it went round without the caller: hang up with a cause, and tell the operator.
    Stuck { node: String },
}

/// A caller's stay in one menu. The owner keeps it with the conversation, feeds it events, and calls [`Session::handle`] with
/// `Event::Deadline` when `deadline()` has come. After `Go` or `Stuck` it is over: it has no deadline and answers nothing.
#[derive(Clone, Debug)]
pub struct Session {
    graph: Arc<Graph>,
    language: String,
}

impl Session {
    /// Enters the menu. `language` is what the caller chose in an earlier menu; without it the menu's own is used.
    pub fn start(graph: Arc<Graph>, language: Option<&str>, now: Now, out: &mut Vec<Action>) -> Session {
        let language = language.unwrap_or(&graph.language).to_owned();
        let _ = (now, &graph);
        out.push(Action::Go(Place::Hangup));
        Session { graph, language }
    }

    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        let _ = (event, now, out, &self.graph);
    }

    pub fn deadline(&self) -> Option<Mono> {
        None
    }

    pub fn ended(&self) -> bool {
        true
    }

    /// Language of the prompts now.
    pub fn language(&self) -> &str {
        &self.language
    }
}
