//! A queue as resolved: who is rung for whom, how long callers wait, and what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Place, Record, Standards};
use crate::ids::{MenuName, Number, QueueName, StaffNumber};

/// Which of the free agents of a queue has the next caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    LongestIdle,
    /// Since the site's midnight, or the start of the switch where that was later.
    FewestCalls,
    /// Since the site's midnight, or the start of the switch where that was later.
    LeastTalk,
    /// In the order of the list, each in turn.
    RoundRobin,
    RingAll,
    /// One, and one more after each `ring_step`.
    Progressive,
    /// The first of the list who is free.
    Fixed,
    Random,
    /// In exact shares.
    Weighted,
}

impl Strategy {
    /// As the configuration writes it.
    pub const NAMES: [(&str, Strategy); 9] = [
        ("longest_idle", Strategy::LongestIdle),
        ("fewest_calls", Strategy::FewestCalls),
        ("least_talk", Strategy::LeastTalk),
        ("round_robin", Strategy::RoundRobin),
        ("ring_all", Strategy::RingAll),
        ("progressive", Strategy::Progressive),
        ("fixed", Strategy::Fixed),
        ("random", Strategy::Random),
        ("weighted", Strategy::Weighted),
    ];

    pub fn name(self) -> &'static str {
        Strategy::NAMES.iter().find(|(_, strategy)| *strategy == self).map_or("", |(name, _)| name)
    }
}

/// How an agent stands to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the queue at this agent, 1..=9: callers of one of the next rank stand back there as if they had come a minute later.
    pub rank: u8,
    /// Share of the queue's calls where the strategy is `weighted`, 1..=100.
    pub weight: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Standing { rank: 1, weight: 1 }
    }
}

/// After a wait of this length no more is required than these skills.
#[derive(Clone, Debug, PartialEq)]
pub struct RelaxStep {
    pub after: Duration,
    pub skills: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub name: QueueName,
    pub strategy: Strategy,
    pub agents: Vec<StaffNumber>,
    /// Of those of them whose standing is another than the default.
    pub standing: BTreeMap<StaffNumber, Standing>,
    /// Required of an agent: skill → level, 1..=5.
    pub skills: BTreeMap<String, u8>,
    /// Better had than not.
    pub prefer: BTreeMap<String, u8>,
    pub relax: Vec<RelaxStep>,
    /// -9..=9; each step is worth a minute of waiting.
    pub priority: i8,
    /// A phone may dial the queue by this number.
    pub number: Option<Number>,
    /// What the agent's phone shows as display name; default: `name`.
    pub title: String,
    /// Ring cycles that an offer lasts (one cycle is `ring_cycle`). S1: answer within three rings.
    pub rings: u32,
    /// Length of one ring cycle; default: [`Country::ring_cycle`].
    pub ring_cycle: Duration,
    /// `progressive`: one more agent is rung after each, while nobody answers. At least a second; default: `ring_cycle`.
    pub ring_step: Duration,
    pub wrap_up: Duration,
    /// No wrap-up lasts longer, whatever the agent asks for or owes; at least `wrap_up`.
    pub wrap_up_most: Duration,
    /// What may have come of a call.
    pub disposition: Vec<String>,
    /// The agent owes one of them.
    pub disposition_required: bool,
    /// The agent owes a note.
    pub notes_required: bool,
    /// Where the customer goes when the agent hangs up first: a menu.
    pub survey: Option<MenuName>,
    /// The recording goes on there.
    pub survey_recorded: bool,
    /// After so long on hold the agent is reminded of the customer.
    pub hold_reminder: Option<Duration>,
    /// S3: no hold is to last longer.
    pub hold_limit: Option<Duration>,
    /// An agent who let an offer pass is not offered another for this long.
    pub rest_after_unanswered: Duration,
    /// The caller goes to `overflow` after this long.
    pub max_wait: Option<Duration>,
    pub overflow: Place,
    /// So many wait at most; whoever comes then goes to `overflow_full` at once.
    pub max_length: Option<u32>,
    pub overflow_full: Place,
    /// Where callers go while none of the agents is logged in with a phone that is registered; `None`: they wait.
    pub overflow_no_agents: Option<Place>,
    /// A prompt that its callers hear over and over while they wait or are on hold; `None`: the site's music.
    pub music: Option<String>,
    /// What those who wait are told; `None`: they hear music alone.
    pub announce: Option<Announcements>,
    /// How its callers are called back who ask for that.
    pub callback: CallBack,
    /// Answered within this long counts for the service level.
    pub service_level: Duration,
    /// Abandoned sooner is a short abandon.
    pub short_abandon: Duration,
    /// What is asked of its agents.
    pub standards: Standards,
    /// Whether its callers are recorded from here on, whatever was decided before.
    pub record: Option<Record>,
}

impl Queue {
    /// How long an offer rings.
    pub fn offer_lasts(&self) -> Duration {
        self.ring_cycle * self.rings
    }

    /// Within what an offer is to be answered (S1).
    pub fn answer_within(&self) -> Duration {
        self.ring_cycle * self.standards.rings
    }
}

/// What a queue tells those who wait in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcements {
    /// From entering to the first.
    pub first: Duration,
    /// From the end of one to the next.
    pub every: Duration,
    /// The caller's place in the line.
    pub position: bool,
    /// The wait that is still to be expected, in minutes.
    pub expected: bool,
    /// Prompts, one an announcement, in turn.
    pub comfort: Vec<String>,
}

/// How a queue calls back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallBack {
    /// The key with which one who waits asks for it; `None`: no key does.
    pub digit: Option<char>,
    /// Who has waited so long is told of the key, once.
    pub offer_after: Duration,
    /// So often the customer is dialled at most.
    pub attempts: u32,
    /// From an attempt that came to nothing to the next; the last one stands for all that follow. Never empty.
    pub retry: Vec<Duration>,
    /// Given up so long after it was to be made.
    pub keep: Duration,
    /// Who asks is told the own number, and says that it is right.
    pub confirm: bool,
    /// A number that the caller keys may be of another country.
    pub abroad: bool,
    /// Dialled before the customer's number as the country dials it, where phones do so too; empty: as the network writes it.
    pub prefix: String,
    /// The number that the customer is shown; `None`: as of any call to the outside.
    pub caller: Option<String>,
}

impl Default for CallBack {
    fn default() -> Self {
        CallBack {
            digit: None,
            offer_after: Duration::from_secs(60),
            attempts: 3,
            retry: vec![Duration::from_secs(300), Duration::from_secs(1_800)],
            keep: Duration::from_secs(86_400),
            confirm: true,
            abroad: false,
            prefix: String::new(),
            caller: None,
        }
    }
}
