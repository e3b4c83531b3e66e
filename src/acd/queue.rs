//! A queue: its rules, and the callers in it in the order in which they are served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::service_level::Tally;
use crate::clock::{Mono, Now};
use crate::config;
use crate::ids::{ConversationId, StaffNumber};

/// Order of service: who arrived first, and of two at the same moment who entered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    pub arrived: Mono,
    pub nth: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub caller: ConversationId,
    /// When this queue was entered.
    pub entered: Now,
    /// What it has waited here before, and brings when it comes back.
    pub before: Duration,
    /// When the caller goes to the overflow, by the rule that held at entering.
    pub overflow_at: Option<Mono>,
}

impl Waiting {
    /// So far, with what it brings.
    pub(super) fn waited(&self, now: Now) -> Duration {
        self.before + now.mono.since(self.entered.mono)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub rules: config::Queue,
    pub agents: BTreeSet<StaffNumber>,
    pub waiting: BTreeMap<Ticket, Waiting>,
    pub tally: Tally,
    /// A reload took the queue away: nobody enters, who waits goes to the overflow.
    pub draining: bool,
}

impl Queue {
    pub(super) fn new(rules: &config::Queue, tally: Tally) -> Self {
        Queue {
            rules: rules.clone(),
            agents: rules.agents.iter().cloned().collect(),
            waiting: BTreeMap::new(),
            tally,
            draining: false,
        }
    }

    pub(super) fn adopt(&mut self, rules: &config::Queue) {
        self.rules = rules.clone();
        self.agents = rules.agents.iter().cloned().collect();
        self.draining = false;
    }
}
