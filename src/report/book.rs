//! Events to facts: what is open in conversations and at agents, and what of it comes to an end with an event.
//!
//! Pure, and the same whether events come live or a year later. What is open is small, and is kept beside the sums, so that the fold goes on
//! where a process ended. A conversation whose beginning is not known counts for nothing, as it has no row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Of, State, What};
use super::period::{Period, Quarter};
use crate::clock::Wall;
use crate::event::{
    AgentState, Bridge, CallEnded, CallStarted, CallbackChange, ConferenceChange, Direction, Event, Kind, LeftWhy, QueueAnswered,
    QueueLeft, TransferOutcome,
};
use crate::ids::{ConversationId, LegId, QueueName, StaffNumber, TrunkName};
use crate::route::Cause;

/// Thresholds of events from before these were told with them: the defaults of a queue.
const THRESHOLD_MS: u64 = 20_000;
const SHORT_MS: u64 = 5_000;

/// A longer time in one state counts with its end alone: a clock that was set from 1970 to today must not make millions of quarters.
const LONGEST_STATE: Duration = Duration::from_secs(31 * 86_400);

/// What is open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    head: Head,
    stays: BTreeMap<ConversationId, Stay>,
    shifts: BTreeMap<StaffNumber, Shift>,
    changed_stays: BTreeSet<ConversationId>,
    changed_shifts: BTreeSet<StaffNumber>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last that was heard.
    heard: Wall,
    /// The last that was heard of the run before this one.
    stopped: Wall,
}

/// A conversation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    started: Wall,
    trunk: Option<TrunkName>,
    connected: bool,
    waiting: Option<Waiting>,
    /// Agents who have had it, each since when and by which queue.
    turns: BTreeMap<StaffNumber, Turn>,
    bridge: Option<Bridged>,
    /// Who was first bridged as the customer, until it leaves others who go on.
    #[serde(default)]
    customer: Option<LegId>,
    holds: BTreeSet<LegId>,
    /// Talk and hold are counted up to here.
    counted_to: Wall,
    /// Whose legs were in bridges.
    agents: BTreeMap<LegId, StaffNumber>,
    /// It waited there as it became part of another conversation.
    gives: Option<QueueName>,
    /// A conversation that waited there became part of it at that moment, and its place is this one's.
    inherits: Option<(QueueName, Wall)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    queue: QueueName,
    /// Counted with an earlier answer.
    before_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    at: Wall,
    queue: Option<QueueName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bridged {
    agent: Option<StaffNumber>,
    customer_agent: Option<StaffNumber>,
}

/// What an agent does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    state: Option<(State, Wall)>,
    /// The state is counted up to here.
    #[serde(default)]
    counted_to: Wall,
    /// The last call that a queue gave.
    had: Option<Had>,
    /// The one that is wrapped up.
    wraps_up: Option<Had>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Had {
    at: Wall,
    conversation: ConversationId,
    queue: QueueName,
    trunk: Option<TrunkName>,
}

/// What has changed, to be kept: a stay that is over is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keep {
    pub head: Head,
    pub stays: Vec<(ConversationId, Option<Stay>)>,
    pub shifts: Vec<(StaffNumber, Shift)>,
}

impl Book {
    /// As it was kept.
    pub fn open(head: Head, stays: BTreeMap<ConversationId, Stay>, shifts: BTreeMap<StaffNumber, Shift>) -> Book {
        Book { head, stays, shifts, ..Book::default() }
    }

    /// What has changed since this was asked last.
    pub fn keep(&mut self) -> Keep {
        let stays = std::mem::take(&mut self.changed_stays).into_iter();
        let shifts = std::mem::take(&mut self.changed_shifts).into_iter();
        Keep {
            head: self.head,
            stays: stays.map(|id| (id, self.stays.get(&id).cloned())).collect(),
            shifts: shifts.filter_map(|agent| Some((agent.clone(), self.shifts.get(&agent)?.clone()))).collect(),
        }
    }

    /// Takes the next event; what it brings to an end is added to `facts`.
    pub fn take(&mut self, event: &Event, facts: &mut Vec<Fact>) {
        // Bindings that ran out while nobody was there are told before a start says that it is one.
        let of_this_run = !matches!(event.kind, Kind::RegistrationExpired(_));
        if let Kind::SystemStarted(_) = event.kind {
            self.began_anew(facts);
        } else if of_this_run {
            self.turn_to(event.at, facts);
        }
        if let Some((state, data)) = state_of(&event.kind) {
            self.agent_is(&data.agent, Some(state), event.at, facts);
        } else if let Some(id) = event.conversation {
            self.told_of(id, event, facts);
        }
        if of_this_run {
            self.head.heard = self.head.heard.max(event.at);
        }
    }

    /// What agents (this one, if one is named) have been within a time in the states that last until `now`. Nothing is changed.
    pub fn running(&self, within: Period, now: Wall, only: Option<&str>) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (agent, shift) in self.shifts.iter().filter(|(agent, _)| only.is_none_or(|only| only == agent.as_str())) {
            if let Some((state, since)) = shift.state {
                let from = since.max(shift.counted_to).max(within.from);
                in_state(agent, state, from, now.min(within.until), &mut facts);
            }
        }
        facts
    }

    /// With each quarter of an hour states are counted up to its beginning: sums of what lies back are whole, however long a state lasts,
    /// and an end, or that of all states with a start, is little work.
    fn turn_to(&mut self, at: Wall, facts: &mut Vec<Fact>) {
        let quarter = Quarter::of(at);
        if quarter <= Quarter::of(self.head.heard) {
            return;
        }
        let begins = quarter.begins();
        for (agent, shift) in &mut self.shifts {
            let Some((state, since)) = shift.state else { continue };
            let from = since.max(shift.counted_to);
            if from < begins {
                in_state(agent, state, from, begins, facts);
                shift.counted_to = begins;
                self.changed_shifts.insert(agent.clone());
            }
        }
    }

    /// Nothing lasts from one run to the next but conversations, whose ends are told.
    fn began_anew(&mut self, facts: &mut Vec<Fact>) {
        self.head.stopped = self.head.heard;
        let agents: Vec<StaffNumber> = self.shifts.keys().cloned().collect();
        for agent in agents {
            self.agent_is(&agent, None, self.head.stopped, facts);
        }
    }

    fn agent_is(&mut self, agent: &StaffNumber, state: Option<State>, at: Wall, facts: &mut Vec<Fact>) {
        let shift = self.shifts.entry(agent.clone()).or_default();
        if let Some((was, since)) = shift.state {
            in_state(agent, was, since.max(shift.counted_to), at, facts);
            if was == State::WrapUp
                && let Some(had) = &shift.wraps_up
            {
                let (queue, trunk) = (Some(had.queue.clone()), had.trunk.clone());
                let of = Of { conversation: Some(had.conversation), queue, agent: Some(agent.clone()), trunk };
                facts.push(Fact { at: had.at, of, what: What::WrapUp { ms: between(since, at) } });
            }
        }
        let goes_on = state == Some(State::WrapUp) && shift.state.is_some_and(|(was, _)| was == State::WrapUp);
        if !goes_on {
            shift.wraps_up = shift.had.clone().filter(|_| state == Some(State::WrapUp));
        }
        (shift.state, shift.counted_to) = (state.map(|state| (state, at)), at);
        self.changed_shifts.insert(agent.clone());
    }

    fn told_of(&mut self, id: ConversationId, event: &Event, facts: &mut Vec<Fact>) {
        let at = event.at;
        match &event.kind {
            Kind::CallStarted(started) => {
                let stay = Stay::new(at, started);
                let outbound = started.direction == Direction::Outbound;
                if stay.trunk.is_some() {
                    facts.push(Fact { at, of: stay.of(id), what: What::Call { outbound } });
                }
                self.stays.insert(id, stay);
                self.changed_stays.insert(id);
            }
            Kind::CallEnded(ended) => {
                if let Some(stay) = self.stays.remove(&id) {
                    stay.ended(id, at, self.head.stopped, ended, facts);
                    self.changed_stays.insert(id);
                }
            }
            Kind::CallMerged(merged) => self.merged(at, merged.child, merged.parent),
            kind => {
                let Some(stay) = self.stays.get_mut(&id) else { return };
                if !stay.take(id, at, kind, facts) {
                    return;
                }
                self.changed_stays.insert(id);
                if let Kind::QueueAnswered(q) = kind {
                    let trunk = stay.trunk.clone();
                    let shift = self.shifts.entry(q.agent.clone()).or_default();
                    shift.had = Some(Had { at, conversation: id, queue: q.queue.clone(), trunk });
                    self.changed_shifts.insert(q.agent.clone());
                }
            }
        }
    }

    /// Told of both, while both live: what the child had goes on in the parent.
    fn merged(&mut self, at: Wall, child: ConversationId, parent: ConversationId) {
        let Some(from) = self.stays.get_mut(&child) else { return };
        let (gives, turns) = (from.gives.take(), from.turns.clone());
        let Some(to) = self.stays.get_mut(&parent) else { return };
        if let Some(queue) = gives {
            to.inherits = Some((queue, at));
        }
        for (agent, turn) in turns {
            to.turns.entry(agent).or_insert(turn);
        }
        self.changed_stays.extend([child, parent]);
    }
}

impl Stay {
    fn new(at: Wall, started: &CallStarted) -> Stay {
        Stay {
            started: at,
            trunk: started.trunk.clone(),
            connected: false,
            waiting: None,
            turns: BTreeMap::new(),
            bridge: None,
            customer: None,
            holds: BTreeSet::new(),
            counted_to: at,
            agents: BTreeMap::new(),
            gives: None,
            inherits: None,
        }
    }

    fn of(&self, id: ConversationId) -> Of {
        Of { conversation: Some(id), trunk: self.trunk.clone(), ..Of::default() }
    }

    /// Whether it is another one now.
    fn take(&mut self, id: ConversationId, at: Wall, kind: &Kind, facts: &mut Vec<Fact>) -> bool {
        let mut tell = |of: Of, what: What| facts.push(Fact { at, of, what });
        match kind {
            Kind::CallAnswered(_) if !self.connected => {
                self.connected = true;
                tell(self.of(id), What::Connected);
            }
            Kind::CallWentOutside(went) => {
                self.trunk = Some(went.trunk.clone());
                tell(self.of(id), What::Call { outbound: true });
                if self.connected {
                    tell(self.of(id), What::Connected);
                }
            }
            Kind::CallBridged(bridge) => {
                self.count(id, at, facts);
                self.bridged(id, at, bridge, facts);
            }
            Kind::CallUnbridged(_) => {
                self.count(id, at, facts);
                self.bridge = None;
            }
            Kind::CallHeld(hold) => {
                self.count(id, at, facts);
                self.holds.insert(hold.leg);
            }
            Kind::CallResumed(hold) => {
                self.count(id, at, facts);
                self.holds.remove(&hold.leg);
            }
            Kind::CallTransferred(transfer) if transfer.outcome == TransferOutcome::Completed => {
                let Some(agent) = self.agents.get(&transfer.leg) else { return false };
                tell(self.of_agent(id, agent), What::Transfer);
            }
            Kind::CallConferenced(party)
                if party.change == ConferenceChange::Left && party.leg.is_some() && party.leg == self.customer =>
            {
                self.customer_leaves(id, at, facts);
            }
            Kind::CallSurveyed(s) => {
                let of = Of { queue: s.queue.clone(), agent: s.agent.clone(), ..self.of(id) };
                tell(of, What::Surveyed { score: s.score });
            }
            Kind::QueueEntered(q) => {
                let inherited = self.inherits.take().is_some_and(|(queue, when)| queue == q.queue && when == at);
                self.waiting = Some(Waiting { queue: q.queue.clone(), before_ms: q.waited_before_ms });
                if !inherited {
                    tell(Of { queue: Some(q.queue.clone()), ..self.of(id) }, What::Entered);
                }
            }
            Kind::QueueOffered(q) => {
                tell(Of { queue: Some(q.queue.clone()), agent: Some(q.agent.clone()), ..self.of(id) }, What::Rung);
            }
            Kind::QueueUnanswered(q) => {
                tell(Of { queue: Some(q.queue.clone()), agent: Some(q.agent.clone()), ..self.of(id) }, What::Unanswered);
            }
            Kind::QueueAnswered(q) if q.callback.is_some() => {
                self.turns.insert(q.agent.clone(), Turn { at, queue: Some(q.queue.clone()) });
            }
            Kind::QueueAnswered(q) => self.answered(id, at, q, facts),
            Kind::QueueCallback(q) => {
                let what = match q.change {
                    CallbackChange::Created => What::Callback,
                    CallbackChange::Connected => What::CalledBack,
                    CallbackChange::Due
                    | CallbackChange::Dialling
                    | CallbackChange::Retry
                    | CallbackChange::Done
                    | CallbackChange::GaveUp
                    | CallbackChange::Cancelled
                    | CallbackChange::TakenByCall => return false,
                };
                tell(Of { queue: Some(q.queue.clone()), ..self.of(id) }, what);
            }
            Kind::QueueAbandoned(q) => {
                self.waiting = None;
                let in_time = q.waited_ms <= q.threshold_ms.unwrap_or(THRESHOLD_MS);
                let short = q.waited_ms <= q.short_ms.unwrap_or(SHORT_MS);
                let what = What::Abandoned { waited_ms: q.waited_ms, in_time, short };
                tell(Of { queue: Some(q.queue.clone()), ..self.of(id) }, what);
            }
            Kind::QueueLeft(q) => self.left(id, at, q, facts),
            _ => return false,
        }
        true
    }

    fn answered(&mut self, id: ConversationId, at: Wall, q: &QueueAnswered, facts: &mut Vec<Fact>) {
        let before_ms = self.waiting.take().map_or(0, |waiting| waiting.before_ms);
        let in_time = q.waited_ms <= q.threshold_ms.unwrap_or(THRESHOLD_MS);
        let what = What::Answered { waited_ms: q.waited_ms, before_ms, in_time };
        let of = Of { queue: Some(q.queue.clone()), agent: Some(q.agent.clone()), ..self.of(id) };
        facts.push(Fact { at, of, what });
        self.turns.insert(q.agent.clone(), Turn { at, queue: Some(q.queue.clone()) });
    }

    fn left(&mut self, id: ConversationId, at: Wall, q: &QueueLeft, facts: &mut Vec<Fact>) {
        let waited = self.waiting.take().is_some();
        let what = match q.why {
            // It waits on, as another.
            Some(LeftWhy::Merged) => {
                self.gives = Some(q.queue.clone());
                return;
            }
            Some(LeftWhy::Length | LeftWhy::NoAgents) if !waited => What::TurnedAway,
            // Counted as what it is, and neither as lost to the queue nor as served.
            Some(LeftWhy::Callback) => return,
            _ => What::Left { waited_ms: q.waited_ms },
        };
        facts.push(Fact { at, of: Of { queue: Some(q.queue.clone()), ..self.of(id) }, what });
    }

    fn bridged(&mut self, id: ConversationId, at: Wall, bridge: &Bridge, facts: &mut Vec<Fact>) {
        let [customer, second] = bridge.legs;
        self.customer.get_or_insert(customer);
        // The trunk has had the call once, however many agents are in it.
        let sides = [(second, &bridge.agent, self.trunk.clone()), (customer, &bridge.customer_agent, None)];
        for (leg, agent, trunk) in sides {
            let Some(agent) = agent else { continue };
            self.agents.insert(leg, agent.clone());
            if !self.turns.contains_key(agent) {
                self.turns.insert(agent.clone(), Turn { at, queue: None });
                let of = Of { conversation: Some(id), queue: None, agent: Some(agent.clone()), trunk };
                facts.push(Fact { at, of, what: What::Direct });
            }
        }
        self.bridge = Some(Bridged { agent: bridge.agent.clone(), customer_agent: bridge.customer_agent.clone() });
    }

    /// Those who go on talk with each other: neither for the queue nor over the trunk.
    fn customer_leaves(&mut self, id: ConversationId, at: Wall, facts: &mut Vec<Fact>) {
        self.count(id, at, facts);
        self.line_ends(id, at, facts);
        self.trunk = None;
        for turn in self.turns.values_mut() {
            turn.queue = None;
        }
    }

    fn line_ends(&self, id: ConversationId, at: Wall, facts: &mut Vec<Fact>) {
        if self.trunk.is_some() {
            let ms = between(self.started, at);
            facts.push(Fact { at: self.started, of: self.of(id), what: What::Line { ms } });
        }
    }

    /// Talk or hold up to now.
    fn count(&mut self, id: ConversationId, at: Wall, facts: &mut Vec<Fact>) {
        let from = self.counted_to;
        self.counted_to = from.max(at);
        let Some(bridge) = &self.bridge else { return };
        let ms = between(from, at);
        if ms == 0 {
            return;
        }
        let what = if self.holds.is_empty() { What::Talk { ms } } else { What::Hold { ms } };
        let agents = bridge.agent.as_ref();
        let first = agents.map_or_else(|| (from, self.of(id)), |agent| (self.took(agent, from), self.of_agent(id, agent)));
        let second = bridge.customer_agent.as_ref();
        let second = second.map(|agent| (self.took(agent, from), Of { trunk: None, ..self.of_agent(id, agent) }));
        facts.extend([Some(first), second].into_iter().flatten().map(|(at, of)| Fact { at, of, what }));
    }

    fn took(&self, agent: &StaffNumber, or: Wall) -> Wall {
        self.turns.get(agent).map_or(or, |turn| turn.at)
    }

    fn of_agent(&self, id: ConversationId, agent: &StaffNumber) -> Of {
        let queue = self.turns.get(agent).and_then(|turn| turn.queue.clone());
        Of { queue, agent: Some(agent.clone()), ..self.of(id) }
    }

    /// `stopped`: what a kill ended, ended with the last that was heard of that run.
    fn ended(mut self, id: ConversationId, at: Wall, stopped: Wall, ended: &CallEnded, facts: &mut Vec<Fact>) {
        let at = if ended.cause == Cause::Restart { at.min(stopped.max(self.started)) } else { at };
        self.count(id, at, facts);
        if let Some(waiting) = self.waiting.take() {
            facts.push(Fact { at, of: Of { queue: Some(waiting.queue), ..self.of(id) }, what: What::Lost });
        }
        self.line_ends(id, at, facts);
    }
}

/// In whole milliseconds of the clock, so that pieces add up to what they are pieces of.
fn between(from: Wall, to: Wall) -> u64 {
    u64::try_from(to.as_millis().saturating_sub(from.as_millis())).unwrap_or(0)
}

/// A piece for each quarter of an hour.
fn in_state(agent: &StaffNumber, state: State, since: Wall, until: Wall, facts: &mut Vec<Fact>) {
    if until <= since {
        return;
    }
    let since = since.max(until - LONGEST_STATE);
    for quarter in (Period { from: since, until }).quarters() {
        let whole = quarter.period();
        let (from, to) = (since.max(whole.from), until.min(whole.until));
        let of = Of { agent: Some(agent.clone()), ..Of::default() };
        facts.push(Fact { at: whole.from, of, what: What::State { state, ms: between(from, to) } });
    }
}

fn state_of(kind: &Kind) -> Option<(State, &AgentState)> {
    match kind {
        Kind::AgentReady(data) => Some((State::Ready, data)),
        Kind::AgentRinging(data) => Some((State::Ringing, data)),
        Kind::AgentTalking(data) => Some((State::Talking, data)),
        Kind::AgentWrapup(data) => Some((State::WrapUp, data)),
        Kind::AgentBusy(data) => Some((State::Busy, data)),
        Kind::AgentPaused(data) => Some((State::Paused, data)),
        Kind::AgentUnanswered(data) => Some((State::Unanswered, data)),
        Kind::AgentUnregistered(data) => Some((State::Unregistered, data)),
        Kind::AgentOffline(data) => Some((State::Offline, data)),
        _ => None,
    }
}
