//! What a node does, whatever its kind: the one interface between a kind's file and those who read, check and walk a graph.
//!
//! A kind answers for itself what leads out of it, what it says, whether it waits for the caller, and what comes of a visit. States and
//! the walk from node to node are the [`session`](super::session)'s; a new kind is a file and its line in the table of
//! [`graph`](super::graph).

use std::fmt;

use super::ask::Ask;
use super::exit::{Exit, To};
use super::graph::Spoken;
use super::lookup::Outcome;
use super::session::{Question, State, Step};
use super::visit::{Around, Memory, Visit};
use crate::config::{Place, StandIns};

pub(super) trait Act: fmt::Debug + Send + Sync {
    /// Every way out, in no order that matters.
    fn exits(&self) -> Vec<&Exit>;

    fn spoken(&self) -> Vec<&Spoken> {
        Vec::new()
    }

    /// The language that it sets, for all that follows.
    fn language(&self) -> Option<&str> {
        None
    }

    /// The line that says which value it says, in whatever language the caller has.
    fn says(&self) -> Option<u32> {
        None
    }

    /// What it asks, if it waits for the caller's keys.
    fn ask(&self) -> Option<&Ask> {
        None
    }

    /// What may be kept of keys that are pressed at it, where that is not the keys.
    fn mask(&self) -> Option<&StandIns> {
        None
    }

    /// Where it leads without asking anybody anything, whatever it says before; with what that leaves behind in memory.
    fn passes(&self, memory: &mut Memory, around: Around<'_>) -> Option<&Exit>;

    /// The caller comes to it, with a key perhaps that was pressed ahead of a question.
    fn enter(&self, visit: &mut Visit<'_>, ahead: Option<char>) -> Step {
        match self.passes(visit.memory, visit.around) {
            Some(exit) => visit.on(exit, ahead),
            None => Step::Stay(State::Ended),
        }
    }

    /// A key ends what it announces, and is kept for the next question.
    fn is_cut_short(&self) -> bool {
        false
    }

    /// What it announced, or what the caller did in a mailbox, is over.
    fn announced(&self) -> To {
        To::Leave(Place::Hangup)
    }

    /// Where the caller goes whose mailbox takes no more.
    fn full(&self) -> Option<&Exit> {
        None
    }

    /// What came of what it had looked up.
    fn looked_up(&self, visit: &mut Visit<'_>, _outcome: Outcome) -> Step {
        visit.hang_up()
    }

    /// A key at its question.
    fn keyed(&self, _visit: &mut Visit<'_>, _question: Question, _key: char) -> Step {
        Step::Stay(State::Ended)
    }

    /// The time for a key is over.
    fn waited(&self, _visit: &mut Visit<'_>, _question: Question) -> Step {
        Step::Stay(State::Ended)
    }
}
