//! What the API and the wallboard see.

use std::collections::BTreeMap;
use std::time::Duration;

use super::agent::{Agent, AgentState, StateKind, Wanted, Work};
use super::announcer::Seen;
use super::entry::Entry;
use super::expected::{Staff, expected_wait};
use super::line::{Acd, Floor, NoSuchQueue};
use super::queue::Queue;
use super::service_level::Tally;
use crate::clock::{Now, Wall};
use crate::config::Standing;
use crate::ids::{Number, QueueName, StaffNumber};

/// A longer wait is not said: so far ahead the pace of a quarter of an hour tells nothing.
const LONGEST_SAID: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    pub staff_number: StaffNumber,
    pub name: String,
    /// Where the agent works now; none: logged out.
    pub phones: Vec<Number>,
    pub state: AgentState,
    /// Since when the state is so.
    pub since: Wall,
    pub wanted: Wanted,
    pub queues: Vec<QueueName>,
    /// The queues that a supervisor has put the agent into, instead of those of the configuration.
    pub put_into: Option<BTreeMap<QueueName, Standing>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WaitingView {
    pub entry: Entry,
    pub entered: Wall,
    pub waited: Duration,
    /// Whose phones ring for it.
    pub offered_to: Vec<StaffNumber>,
    /// Each step is worth a minute of waiting.
    pub priority: i8,
    /// For whom alone it waits, for a while.
    pub agent: Option<StaffNumber>,
}

impl WaitingView {
    /// At the phone.
    pub fn is_caller(&self) -> bool {
        matches!(self.entry, Entry::Caller(_))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    pub name: QueueName,
    pub title: String,
    /// In the order of service; callbacks, due or not, among them.
    pub waiting: Vec<WaitingView>,
    /// Of those who wait at the phone.
    pub longest_wait: Option<Duration>,
    /// How many of the queue's agents are in each state; states that nobody is in are left out.
    pub agents: BTreeMap<StateKind, usize>,
    /// T of the service level.
    pub threshold: Duration,
    /// Abandoned within this long is a short abandon.
    pub short: Duration,
    /// Since the site's midnight.
    pub tally: Tally,
}

impl Acd {
    pub fn agent_state(&self, agent: &StaffNumber, floor: &impl Floor) -> Option<AgentState> {
        self.agents.get(agent).map(|a| a.state(floor, &self.taken()))
    }

    /// Has a call of a queue.
    pub fn is_talking(&self, agent: &StaffNumber) -> bool {
        self.agents.get(agent).is_some_and(|agent| matches!(agent.work, Work::Talking { .. }))
    }

    /// The agent who works at a phone, for feature codes. Of several the one whose call it is, else the first by staff number.
    pub fn agent_at(&self, phone: &Number) -> Option<&StaffNumber> {
        let at = || self.agents.values().filter(|a| !a.leaving);
        let has = || at().find(|a| a.work.phones().contains(phone));
        has().or_else(|| at().find(|a| a.phones().contains(phone))).map(|a| &a.staff_number)
    }

    /// Where an agent works now; none: logged out, or there is no such agent.
    pub fn phones_of(&self, agent: &StaffNumber) -> &[Number] {
        self.agents.get(agent).map(Agent::phones).unwrap_or_default()
    }

    pub fn wanted_of(&self, agent: &StaffNumber) -> Option<&Wanted> {
        self.agents.get(agent).map(|a| &a.wanted)
    }

    /// Where an agent works instead of where the configuration says.
    pub fn desk_of(&self, agent: &StaffNumber) -> Option<&[Number]> {
        self.agents.get(agent)?.desk.as_deref()
    }

    /// The queues that the agent was put into, instead of those of the configuration.
    pub fn put_into_of(&self, agent: &StaffNumber) -> Option<&BTreeMap<QueueName, Standing>> {
        self.agents.get(agent)?.put_into.as_ref()
    }

    /// The queues that the agent works for.
    pub fn standings_of(&self, agent: &StaffNumber) -> BTreeMap<QueueName, Standing> {
        let of = |queue: &Queue| {
            let member = queue.members.get(agent)?;
            Some((queue.rules.name.clone(), Standing { rank: member.rank, weight: member.weight }))
        };
        self.queues.values().filter(|queue| !queue.draining).filter_map(of).collect()
    }

    pub fn agents(&self, floor: &impl Floor) -> Vec<AgentView> {
        let taken = self.taken();
        let view = |a: &Agent| AgentView {
            staff_number: a.staff_number.clone(),
            name: a.name.clone(),
            phones: a.phones().to_vec(),
            state: a.state(floor, &taken),
            since: a.told_at.wall,
            wanted: a.wanted.clone(),
            queues: self
                .queues
                .values()
                .filter(|q| q.members.contains_key(&a.staff_number))
                .map(|q| q.rules.name.clone())
                .collect(),
            put_into: a.put_into.clone(),
        };
        self.agents.values().map(view).collect()
    }

    pub fn queue(&self, name: &QueueName, floor: &impl Floor, now: Now) -> Result<QueueView, NoSuchQueue> {
        let queue = self.queues.get(name).ok_or_else(|| NoSuchQueue(name.clone()))?;
        let waiting: Vec<WaitingView> = queue
            .line()
            .into_iter()
            .map(|w| WaitingView {
                entry: w.entry,
                entered: w.entered.wall,
                waited: w.waited(now),
                offered_to: self.rung_for(w.entry),
                priority: w.wants.priority,
                agent: w.wants.pin_at(now.mono).map(|pin| pin.agent.clone()),
            })
            .collect();
        let taken = self.taken();
        let mut agents = BTreeMap::new();
        for agent in queue.members.keys().filter_map(|a| self.agents.get(a)) {
            *agents.entry(agent.state(floor, &taken).kind()).or_insert(0) += 1;
        }
        let mut tally = queue.tally.clone();
        tally.turn_to(self.today(now));
        Ok(QueueView {
            name: name.clone(),
            title: queue.rules.title.clone(),
            longest_wait: waiting.iter().filter(|w| w.is_caller()).map(|w| w.waited).max(),
            waiting,
            agents,
            threshold: queue.rules.service_level,
            short: queue.rules.short_abandon,
            tally,
        })
    }

    pub fn queues(&self, floor: &impl Floor, now: Now) -> Vec<QueueView> {
        self.queues.keys().filter_map(|name| self.queue(name, floor, now).ok()).collect()
    }

    /// What a caller who waits can be told of its wait.
    pub fn seen(&self, entry: impl Into<Entry>, now: Now) -> Option<Seen> {
        let (name, ticket) = self.places.get(&entry.into())?;
        let queue = self.queues.get(name)?;
        let position = u32::try_from(queue.position_at(*ticket, now.mono)?).unwrap_or(u32::MAX);
        let expected = expected_wait(position, &queue.pace, self.staff(queue, now), now.mono);
        // Nobody waits longer than that, or believes it.
        let most = queue.rules.max_wait.unwrap_or(LONGEST_SAID).min(LONGEST_SAID);
        Some(Seen { position, expected: expected.filter(|wait| *wait <= most) })
    }

    /// Who of a queue's agents works, as it was told last, and how long a call of theirs takes, with all the calls of their day.
    fn staff(&self, queue: &Queue, now: Now) -> Staff {
        let today = self.today(now);
        let (mut working, mut calls, mut talk) = (0, 0, Duration::ZERO);
        for agent in queue.members.keys().filter_map(|member| self.agents.get(member)) {
            let works =
                matches!(agent.told.kind(), StateKind::Ready | StateKind::Offered | StateKind::Talking | StateKind::WrapUp);
            working += u32::from(works);
            let (had, talked) = agent.today.ended(today);
            (calls, talk) = (calls + had, talk + talked);
        }
        Staff { working, handling: talk.checked_div(calls).filter(|talk| !talk.is_zero()).map(|talk| talk + queue.rules.wrap_up) }
    }

    /// Where an entry stands: the queue, and the place in its order of service (1 is next).
    pub fn position(&self, entry: impl Into<Entry>) -> Option<(&QueueName, usize)> {
        let (name, ticket) = self.places.get(&entry.into())?;
        Some((name, self.queues.get(name)?.position(*ticket)?))
    }
}
