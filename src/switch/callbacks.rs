//! Customers who are called back: their places in queues, the calls to them, and what comes of these.
//!
//! The agent comes first: a phone rings for the place of the customer, and when somebody has answered there the customer is dialled, so
//! that nobody is called by silence. Rules kept:
//! - One callback a customer, beside appointments: a second wish is the first one, or takes it along to another queue. Nobody is dialled, nor is an agent
//!   rung for it, while any other conversation with that number lives.
//! - A customer who calls into the same queue meanwhile has its own place again, and the callback is over with the answer; an appointment
//!   stays.
//! - Each attempt ends in a talk, in another attempt later, or in the callback's end; `attempts` and `keep` of its queue bound it. What
//!   comes to nothing by our own fault (trunks, the agent, a restart) is no attempt.
//! - No agent is rung where there is no way to the customer, nor again and again where agents leave it ringing.
//! - While the switch drains nobody is called back.
//!
//! What is known of each is what its events say ([`Book`]): every change is told first, and the book takes it from there. In the line it is
//! the acd's ([`Entry::Callback`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::command::{Answer, CallbackView, Refusal};
use super::hub::{Cx, For};
use super::input::Actor;
use super::queueing::millis;
use super::{Output, Switch};
use crate::acd::{self, Arrival, Arriving, Book, Callback, CallbackState, Entry, OfferEnd, Pin, Wants, Why};
use crate::clock::{Mono, Now, Wall};
use crate::config::{CallBack, Config};
use crate::conversation::{CallingBack, CallingStep, Conversation, Peer, Role, Stage};
use crate::event::{By, CallbackChange, Direction, Kind, QueueAnswered, QueueCallback, QueueOffered};
use crate::ids::{CallbackId, ConversationId, LegId, QueueName, StaffNumber};
use crate::route::class::may_call_outside;
use crate::route::{self, Caller, Cause, Outside, State, Target};
use crate::sip::Status;

/// All at once. By feel: nobody has that many agents, and what waits longer is given up anyway.
const MOST: usize = 1_000;

/// An owner has it alone for so long from when it is due.
const OWNED: Duration = Duration::from_secs(15 * 60);

/// So far ahead one may be planned.
const LATEST: Duration = Duration::from_secs(30 * 86_400);

/// What a lease of an agent lasts longer than, whatever becomes of it; only in case that it is never told to be over.
const SLACK: Duration = Duration::from_secs(60);

/// What came to nothing by our own fault is tried again after so long.
const PAUSE: Duration = Duration::from_secs(60);

/// Agents in a row who left it ringing, before it is held back as after an attempt: an empty room is not rung all night.
const MOST_UNANSWERED: u8 = 3;

/// A call that nobody has the end of is looked for so often.
const LOOKS: Duration = Duration::from_secs(60);

/// The callbacks of the switch.
#[derive(Debug, Default)]
pub struct Callbacks {
    pub book: Book,
    /// When each is looked at: as it is due, and as it is too old.
    timers: BTreeSet<(Mono, CallbackId)>,
    armed: BTreeMap<CallbackId, (Mono, Next)>,
    /// Calls of this input whose agent is there: the customer is dialled, unless it is in another call meanwhile.
    ready: Vec<ConversationId>,
    /// Calls of this input to customers who have called themselves.
    needless: Vec<ConversationId>,
    /// How many agents in a row have left one ringing.
    unanswered: BTreeMap<CallbackId, u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Due,
    Looks,
}

impl Callbacks {
    pub fn deadline(&self) -> Option<Mono> {
        let now = (!self.ready.is_empty() || !self.needless.is_empty()).then_some(Mono::ZERO);
        now.or_else(|| self.timers.first().map(|(at, _)| *at))
    }

    fn arm(&mut self, id: CallbackId, next: Option<(Mono, Next)>) {
        if let Some((at, _)) = self.armed.remove(&id) {
            self.timers.remove(&(at, id));
        }
        if let Some(next) = next {
            self.armed.insert(id, next);
            self.timers.insert((next.0, id));
        }
    }

    fn next_due(&mut self, now: Mono) -> Option<(CallbackId, Next)> {
        let (at, id) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&(at, id));
        self.armed.remove(&id).map(|(_, next)| (id, next))
    }
}

/// Somebody wishes to be called back, or another one wishes it for them.
pub struct Wished {
    pub queue: QueueName,
    pub number: String,
    pub e164: Option<String>,
    /// Since when the place in the queue counts.
    pub arrived_at: Wall,
    pub due_at: Option<Wall>,
    pub owner: Option<StaffNumber>,
    pub conversation: Option<ConversationId>,
    pub by: By,
}

/// What two numbers of one customer have in common.
fn key_of(number: &str, e164: Option<&String>) -> String {
    e164.map_or(number, String::as_str).to_owned()
}

fn key(conv: &Conversation) -> String {
    key_of(&conv.customer_number, conv.customer_e164.as_ref())
}

/// Customers who are in calls, and which callback it is, if it is one.
pub type Customers = BTreeSet<(String, Option<CallbackId>)>;

pub fn customers<'a>(all: impl Iterator<Item = &'a Conversation>, book: &Book) -> Customers {
    let is_with_customer =
        |conv: &&Conversation| !conv.is_ending() && !conv.customer_number.is_empty() && conv.direction != Direction::Internal;
    let one = |conv: &Conversation| match conv.callback.as_ref().map(|calling| calling.callback) {
        // As it was wished for, whatever was dialled for it.
        Some(id) => (book.get(id).map_or_else(|| key(conv), |callback| callback.key().to_owned()), Some(id)),
        None => (key(conv), None),
    };
    all.filter(is_with_customer).map(one).collect()
}

/// Whether its customer is in another call than its own.
pub fn is_elsewhere(callback: &Callback, customers: &Customers) -> bool {
    let of_customer = customers.range((callback.key().to_owned(), None)..).take_while(|(key, _)| key == callback.key());
    of_customer.into_iter().any(|(_, id)| *id != Some(callback.id))
}

/// A customer's number as this queue has it dialled.
fn dialled(config: &Config, phone: &crate::config::Phone, customer: (&str, Option<&String>), rules: &CallBack) -> String {
    let (number, e164) = customer;
    if !rules.prefix.is_empty() {
        return format!("{}{}", rules.prefix, route::national(e164.map_or(number, String::as_str), config.site.country));
    }
    let leads_outside = |number: &&String| matches!(route::dial(config, Caller::Phone(phone), number), Ok(Target::Outside(_)));
    e164.filter(leads_outside).cloned().unwrap_or_else(|| number.to_owned())
}

/// The way to a customer, if there is one, from that phone and as this queue calls.
fn outside(
    config: &Config,
    phone: &crate::config::Phone,
    customer: (&str, Option<&String>),
    rules: &CallBack,
) -> Option<Outside> {
    // By the right of the queue, whoever's phone it is.
    let phone = &crate::config::Phone { outside: true, ..phone.clone() };
    let number = dialled(config, phone, customer, rules);
    let Ok(Target::Outside(mut outside)) = route::dial(config, Caller::Phone(phone), &number) else { return None };
    if outside.is_emergency() {
        return None;
    }
    for attempt in &mut outside.attempts {
        attempt.caller = rules.caller.clone().or(attempt.caller.take());
    }
    Some(outside)
}

/// Whether a caller may ask to be called back at this number, which may be a stranger's.
pub fn may_be_keyed(config: &Config, number: &str, queue: &QueueName) -> bool {
    let abroad = config.queues.get(queue).is_some_and(|queue| queue.callback.abroad);
    let e164 = route::normal(number, config.site.country);
    let is_ordinary = e164.as_ref().is_some_and(|e164| route::is_ordinary(e164, config.site.country, abroad));
    is_ordinary && can_be_called(config, (number, e164.as_ref()), queue)
}

/// Whether anybody here could call this customer for that queue.
pub fn can_be_called(config: &Config, customer: (&str, Option<&String>), queue: &QueueName) -> bool {
    let rules = config.queues.get(queue).map(|queue| queue.callback.clone()).unwrap_or_default();
    let phone = config.phones.values().next();
    !customer.0.is_empty() && phone.is_some_and(|phone| outside(config, phone, customer, &rules).is_some())
}

impl Cx<'_> {
    fn rules_of(&self, queue: &QueueName) -> CallBack {
        self.hub.config.queues.get(queue).map_or_else(CallBack::default, |queue| queue.callback.clone())
    }

    /// Tells a change, and makes it so.
    fn changed(&mut self, conversation: Option<ConversationId>, told: QueueCallback) {
        self.hub.callbacks.book.apply(self.now.wall, &told);
        self.tell(conversation, Kind::QueueCallback(told));
        self.hub.stirred = true;
    }

    /// A change of one that is there, but for what it changes.
    fn change_of(callback: &Callback, change: CallbackChange, by: By) -> QueueCallback {
        let conversation = match callback.state {
            CallbackState::Waits { .. } => None,
            CallbackState::Dials { conversation } | CallbackState::Talks { conversation } => Some(conversation),
        };
        QueueCallback {
            callback: callback.id,
            change,
            queue: callback.queue.clone(),
            number: callback.number.clone(),
            number_e164: callback.e164.clone(),
            created_at: Some(callback.created_at),
            arrived_at: Some(callback.arrived_at),
            due_at: callback.due_at,
            next_at: None,
            owner: callback.owner.clone(),
            attempts: callback.attempts,
            conversation,
            cause: None,
            by,
        }
    }

    /// A new one, or the one that this customer has already.
    pub fn wish_callback(&mut self, mut wished: Wished) -> Result<CallbackId, Refusal> {
        let config = self.config();
        let key = key_of(&wished.number, wished.e164.as_ref());
        wished.due_at = wished.due_at.filter(|at| *at > self.now.wall);
        let book = &self.hub.callbacks.book;
        let there = match wished.due_at {
            Some(due_at) => book.appointment(&key, &wished.queue, due_at),
            None => book.of_number(&key),
        };
        let there = there.cloned();
        if let Some(there) = there.as_ref().filter(|there| there.queue == wished.queue) {
            return Ok(there.id);
        }
        let may_move = wished.by == By::Customer && there.as_ref().is_none_or(|t| matches!(t.state, CallbackState::Waits { .. }));
        if there.is_some() && !may_move {
            return Err(Refusal::WrongState("another queue is to call this customer back"));
        }
        if !config.queues.contains_key(&wished.queue) {
            return Err(Refusal::NoQueue(wished.queue));
        }
        if !can_be_called(&config, (&wished.number, wished.e164.as_ref()), &wished.queue) {
            return Err(Refusal::NotDiallable(wished.number));
        }
        if self.hub.callbacks.book.len() >= MOST {
            return Err(Refusal::TooMany("callbacks"));
        }
        let Wished { queue, number, e164, mut arrived_at, due_at, owner, conversation, by } = wished;
        if let Some(there) = there {
            arrived_at = arrived_at.min(there.arrived_at);
            self.over(there.id, CallbackChange::Cancelled, conversation, None, by.clone());
        }
        let callback = Callback {
            id: self.hub.chance.callback(self.now.wall),
            queue,
            number,
            e164,
            created_at: self.now.wall,
            arrived_at,
            due_at,
            owner,
            attempts: 0,
            state: CallbackState::Waits { until: due_at },
        };
        let told = QueueCallback { next_at: due_at, conversation, ..Self::change_of(&callback, CallbackChange::Created, by) };
        self.changed(conversation, told);
        self.enter_callback(&callback, due_at);
        Ok(callback.id)
    }

    /// In the line, from `until` on.
    fn enter_callback(&mut self, callback: &Callback, until: Option<Wall>) {
        let due = self.now.mono + until.map_or(Duration::ZERO, |at| at.since(self.now.wall));
        // Of an agent whom a reload has taken out of the queue it is no more, nor once it was tried.
        let is_its = |owner: &StaffNumber| callback.attempts == 0 && self.hub.acd.serves(owner, &callback.queue);
        let owner = callback.owner.clone().filter(is_its);
        let pinned = owner.map(|agent| Pin { agent, until: due + OWNED });
        let who = Arriving {
            wants: Wants { pinned, ..Wants::default() },
            not_before: until.map(|_| due),
            ..Arriving::new(
                callback.id,
                Arrival::at_wall(callback.due_at.map_or(callback.arrived_at, |due| due.max(callback.arrived_at)), self.now),
            )
        };
        if self.hub.acd.enter(&callback.queue, who, self.now).is_err() {
            return self.give_up(callback.id, None, None);
        }
        let next = if until.is_some() { Next::Due } else { Next::Looks };
        let at = if until.is_some() { due } else { self.now.mono + self.keeps(callback) };
        self.hub.callbacks.arm(callback.id, Some((at, next)));
        self.hub.stirred = true;
    }

    /// How long it is good for from now.
    fn keeps(&self, callback: &Callback) -> Duration {
        self.given_up_at(callback).since(self.now.wall)
    }

    fn given_up_at(&self, callback: &Callback) -> Wall {
        let from = callback.due_at.map_or(callback.created_at, |due| due.max(callback.created_at));
        from + self.rules_of(&callback.queue).keep
    }

    fn give_up(&mut self, id: CallbackId, conversation: Option<ConversationId>, cause: Option<Cause>) {
        self.over(id, CallbackChange::GaveUp, conversation, cause, By::Switch);
    }

    fn over(
        &mut self,
        id: CallbackId,
        change: CallbackChange,
        conversation: Option<ConversationId>,
        cause: Option<Cause>,
        by: By,
    ) {
        let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { return };
        self.hub.acd.withdraw(id, self.now);
        self.hub.callbacks.arm(id, None);
        self.hub.callbacks.unanswered.remove(&id);
        let mut told = QueueCallback { cause, ..Self::change_of(&callback, change, by) };
        told.conversation = told.conversation.or(conversation);
        self.changed(conversation, told);
    }

    /// The customer was not reached: once more later, if it may be.
    fn not_reached(&mut self, id: CallbackId, conversation: Option<ConversationId>, cause: Cause) {
        let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { return };
        let rules = self.rules_of(&callback.queue);
        let nth = usize::try_from(callback.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let (attempts, wait) = match is_the_customers(cause) {
            true => (callback.attempts, rules.retry.get(nth).or(rules.retry.last()).copied().unwrap_or_default()),
            false => (callback.attempts.saturating_sub(1), PAUSE),
        };
        let next_at = self.now.wall + wait;
        if attempts >= rules.attempts || next_at >= self.given_up_at(&callback) {
            return self.give_up(id, conversation, Some(cause));
        }
        let callback = Callback { attempts, ..callback };
        let mut told = QueueCallback {
            next_at: Some(next_at),
            cause: Some(cause),
            ..Self::change_of(&callback, CallbackChange::Retry, By::Switch)
        };
        told.conversation = conversation.or(told.conversation);
        self.changed(conversation, told);
        self.enter_callback(&callback, Some(next_at));
    }

    /// Nobody was dialled: it waits on as if nothing had been.
    fn not_dialled(&mut self, id: CallbackId) {
        let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { return };
        self.enter_callback(&callback, None);
    }

    /// Nobody is rung for it for so long.
    fn held_back(&mut self, id: CallbackId, time: Duration) {
        let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { return };
        self.hub.callbacks.unanswered.remove(&id);
        self.enter_callback(&callback, Some(self.now.wall + time));
    }

    /// Whether there is a way to the customer now, from that phone.
    fn has_way(&mut self, outside: &Outside, phone: &crate::config::Phone) -> bool {
        let config = self.config();
        let used = self.hub.ledger.used(&phone.number, self.now.wall, &config.site.time_zone);
        let number = outside.attempts.first().map_or("", |attempt| attempt.number.as_str());
        let is_up = |trunk| self.hub.conditions.get(trunk).is_none_or(|condition| !matches!(condition.state(), State::Down(_)));
        may_call_outside(&config, phone, number, self.now.wall, used).is_ok()
            && outside.attempts.iter().any(|attempt| is_up(&attempt.trunk))
    }

    /// An agent has a caller who was to be called back: it need not be any more.
    pub fn has_called_itself(&mut self, conv: &mut Conversation) {
        let Some(id) = conv.own_callback.take() else { return };
        if self.hub.callbacks.book.get(id).is_some_and(|callback| matches!(callback.state, CallbackState::Waits { .. })) {
            self.over(id, CallbackChange::TakenByCall, Some(conv.id), None, By::Customer);
        }
    }

    /// A caller enters a queue in which it was to be called back: since when its place there counts.
    pub fn called_back_itself(&mut self, conv: &mut Conversation, queue: &QueueName) -> Option<Wall> {
        if conv.direction != Direction::Inbound || conv.customer_number.is_empty() {
            return None;
        }
        let callback = self.hub.callbacks.book.of_number(&key(conv)).filter(|callback| callback.queue == *queue)?.clone();
        match callback.state {
            // It talks with an agent, and calls by another line.
            CallbackState::Talks { .. } => return None,
            CallbackState::Dials { conversation } => self.hub.callbacks.needless.push(conversation),
            CallbackState::Waits { .. } => {}
        }
        conv.own_callback = Some(callback.id);
        Some(callback.arrived_at)
    }

    /// An agent has answered for it: the lease becomes the agent's call, and the customer is dialled next.
    pub fn agent_is_there(&mut self, conv: &mut Conversation, id: LegId, agent: &StaffNumber, calling: &CallingBack) {
        let phone = conv.leg(id).and_then(|leg| leg.peer.phone()).cloned();
        let rings = calling.step == CallingStep::RingsAgent;
        let answered = phone.filter(|_| rings).and_then(|phone| self.hub.acd.answered(calling.offer, &phone, conv.id, self.now));
        let Some(answered) = answered else {
            return self.release(conv, id, Cause::Cancelled, Status::REQUEST_TERMINATED, None);
        };
        self.hub.stirred = true;
        self.stop_ringing(conv, Some(id));
        let data = QueueAnswered {
            queue: answered.offer.queue.clone(),
            agent: agent.clone(),
            waited_ms: millis(answered.stay.waited),
            rang_ms: millis(answered.rang),
            threshold_ms: None,
            callback: Some(calling.callback),
        };
        self.tell(Some(conv.id), Kind::QueueAnswered(data));
        conv.stay = Some(Box::new(answered.stay));
        self.hub.callbacks.unanswered.remove(&calling.callback);
        // On whose account the customer is dialled.
        conv.origin = conv.leg(id).map_or_else(|| conv.origin.clone(), |leg| leg.peer.clone());
        (conv.caller, conv.subject) = (id, id);
        conv.stage = Stage::Routing;
        self.note_agents(conv, &[id]);
        conv.callback = Some(CallingBack { step: CallingStep::AgentThere, ..calling.clone() });
        self.hub.callbacks.ready.push(conv.id);
    }

    fn dial_customer(&mut self, conv: &mut Conversation) {
        let Some(calling) = conv.callback.clone().filter(|c| c.step == CallingStep::AgentThere && !conv.is_ending()) else {
            return;
        };
        let Some(callback) = self.hub.callbacks.book.get(calling.callback).cloned() else {
            return self.end(conv, Cause::Cancelled, By::Switch);
        };
        conv.callback = Some(CallingBack { step: CallingStep::DialsCustomer, ..calling });
        let mut told = Self::change_of(&callback, CallbackChange::Dialling, By::Switch);
        (told.conversation, told.attempts) = (Some(conv.id), callback.attempts.saturating_add(1));
        self.changed(Some(conv.id), told);
        self.hub.callbacks.arm(callback.id, Some((self.now.mono + LOOKS, Next::Looks)));
        let (config, rules) = (self.config(), self.rules_of(&callback.queue));
        let phone = conv.origin.phone().and_then(|phone| config.phones.get(phone));
        let target =
            phone.and_then(|phone| Some((phone, Target::Outside(outside(&config, phone, callback.customer(), &rules)?))));
        match target {
            Some((phone, target)) => match self.may_reach(Caller::Phone(phone), &target) {
                Ok(()) => self.to(conv, target, None),
                Err(denied) => self.fail(conv, denied.cause(), None),
            },
            None => self.fail(conv, Cause::NotFound, None),
        }
    }

    /// Customer and agent talk.
    pub fn customer_is_there(&mut self, conv: &mut Conversation) {
        let Some(calling) = conv.callback.as_mut().filter(|calling| calling.step == CallingStep::DialsCustomer) else { return };
        calling.step = CallingStep::Talks;
        let id = calling.callback;
        let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { return };
        let told = Self::change_of(&callback, CallbackChange::Connected, By::Switch);
        self.changed(Some(conv.id), told);
    }

    /// The call ends: what becomes of the callback.
    pub fn callback_ends(&mut self, conv: &mut Conversation, cause: Cause) {
        let Some(CallingBack { callback, offer, step }) = conv.callback.take() else { return };
        let is_its = |callback: &Callback| match callback.state {
            CallbackState::Waits { .. } => false,
            CallbackState::Dials { conversation } | CallbackState::Talks { conversation } => conversation == conv.id,
        };
        match step {
            // Somebody else ended it while the agent's phone rang; after a lease that is over it says nothing.
            CallingStep::RingsAgent => {
                self.hub.acd.declined(offer, Why::Declined, self.now);
                self.hub.stirred = true;
            }
            CallingStep::AgentThere => self.not_dialled(callback),
            CallingStep::DialsCustomer | CallingStep::Talks if !self.hub.callbacks.book.get(callback).is_some_and(is_its) => {}
            CallingStep::DialsCustomer => self.not_reached(callback, Some(conv.id), cause),
            CallingStep::Talks => self.over(callback, CallbackChange::Done, Some(conv.id), None, By::Switch),
        }
    }

    /// By the API: with the due time a place as if the customer came now.
    pub fn call_back_by_command(
        &mut self,
        queue: QueueName,
        number: String,
        due_at: Option<Wall>,
        owner: Option<StaffNumber>,
        conversation: Option<ConversationId>,
        by: &Actor,
    ) -> Answer {
        if self.hub.draining {
            return Answer::Refused(Refusal::Stopping);
        }
        if let Some(owner) = owner.as_ref().filter(|owner| !self.hub.config.agents.contains_key(*owner)) {
            return Answer::Refused(Refusal::NoAgent(owner.clone()));
        }
        let has_queue = self.hub.config.queues.contains_key(&queue);
        if let Some(owner) = owner.as_ref().filter(|owner| has_queue && !self.hub.acd.serves(owner, &queue)) {
            return Answer::Refused(Refusal::NoMember(owner.clone(), queue));
        }
        if due_at.is_some_and(|due| due > self.now.wall + LATEST) {
            return Answer::Refused(Refusal::BadValue("due_at is within 30 days"));
        }
        let (arrived_at, by) = (self.now.wall, By::Api(by.0.clone()));
        let e164 = route::normal(&number, self.hub.config.site.country);
        match self.wish_callback(Wished { queue, number, e164, arrived_at, due_at, owner, conversation, by }) {
            Ok(id) => {
                let view = self.callback_views().into_iter().find(|view| view.id == id.to_string());
                view.map_or(Answer::Refused(Refusal::NoCallback(id)), |view| Answer::Callback(Box::new(view)))
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    pub fn cancel_callback(&mut self, id: CallbackId, by: By) -> Result<(), Refusal> {
        match self.hub.callbacks.book.get(id).map(|callback| callback.state) {
            None => Err(Refusal::NoCallback(id)),
            Some(CallbackState::Waits { .. }) => {
                self.over(id, CallbackChange::Cancelled, None, None, by);
                Ok(())
            }
            Some(CallbackState::Dials { .. } | CallbackState::Talks { .. }) => {
                Err(Refusal::WrongState("the customer is being called; end that conversation"))
            }
        }
    }

    pub fn callback_views(&self) -> Vec<CallbackView> {
        let one = |callback: &Callback| {
            let (state, next_at, conversation) = match callback.state {
                CallbackState::Waits { until } => ("waiting", until, None),
                CallbackState::Dials { conversation } => ("dialling", None, Some(conversation)),
                CallbackState::Talks { conversation } => ("talking", None, Some(conversation)),
            };
            CallbackView {
                id: callback.id.to_string(),
                queue: callback.queue.clone(),
                number: callback.number.clone(),
                number_e164: callback.e164.clone(),
                created_at: callback.created_at.to_string(),
                arrived_at: callback.arrived_at.to_string(),
                due_at: callback.due_at.map(|at| at.to_string()),
                next_at: next_at.map(|at| at.to_string()),
                owner: callback.owner.as_ref().map(ToString::to_string),
                attempts: callback.attempts,
                state: state.to_owned(),
                conversation: conversation.map(|id| id.to_string()),
            }
        };
        self.hub.callbacks.book.all().map(one).collect()
    }

    /// What the last run left. Who was being dialled then is dialled again, who talked counts as called back.
    pub fn restore_callbacks(&mut self, kept: Vec<Callback>) {
        for callback in kept {
            self.hub.callbacks.book.put(callback.clone());
            match callback.state {
                CallbackState::Waits { until } => self.enter_callback(&callback, until.filter(|at| *at > self.now.wall)),
                CallbackState::Dials { conversation } => self.not_reached(callback.id, Some(conversation), Cause::Restart),
                CallbackState::Talks { conversation } => {
                    self.over(callback.id, CallbackChange::Done, Some(conversation), None, By::Switch);
                }
            }
        }
    }
}

impl Switch {
    /// An agent is leased for a customer who is to be called back: the agent's phone rings.
    pub(super) fn call_back(&mut self, offer: &acd::Offer, callback: CallbackId, now: Now, out: &mut Vec<Output>) {
        if !self.can_be_reached(offer, callback, now, out) {
            return self.cx(now, out).held_back(callback, PAUSE);
        }
        let called = self.ring_agent(offer, callback, now, out);
        match called {
            Some(conv) => self.adopt(conv, now, out),
            None => {
                self.hub.acd.declined(offer.id, Why::Unreachable, now);
                self.hub.stirred = true;
            }
        }
    }

    /// Whether there is a way to the customer, so that no agent is rung in vain.
    fn can_be_reached(&mut self, offer: &acd::Offer, id: CallbackId, now: Now, out: &mut Vec<Output>) -> bool {
        let mut cx = self.cx(now, out);
        let (config, Some(callback)) = (cx.config(), cx.hub.callbacks.book.get(id)) else { return false };
        let phone = offer.phones.first().and_then(|phone| config.phones.get(phone));
        let outside = phone.and_then(|phone| outside(&config, phone, callback.customer(), &cx.rules_of(&callback.queue)));
        phone.zip(outside).is_some_and(|(phone, outside)| cx.has_way(&outside, phone))
    }

    fn ring_agent(&mut self, offer: &acd::Offer, id: CallbackId, now: Now, out: &mut Vec<Output>) -> Option<Conversation> {
        let mut cx = self.cx(now, out);
        let config = cx.config();
        let callback = cx.hub.callbacks.book.get(id)?.clone();
        let phone = config.phones.get(offer.phones.first()?)?;
        let rules = cx.rules_of(&callback.queue);
        let outside = outside(&config, phone, callback.customer(), &rules);
        let worker = cx.idlest_worker(For::AnyCall)?;
        let conversation = cx.hub.chance.conversation(now.wall);
        let mut conv = Conversation::new(conversation, Direction::Outbound, Peer::Phone(phone.number.clone()), worker);
        let dialled = outside.as_ref().and_then(|outside| outside.attempts.first()).map(|attempt| attempt.number.clone());
        conv.customer_number = dialled.unwrap_or_else(|| callback.number.clone());
        conv.called = callback.number.clone();
        conv.queue = Some(callback.queue.clone());
        if let Some(outside) = &outside {
            conv.rule = route::recording(&config, outside.rule(&config));
        }
        conv.callback = Some(CallingBack { callback: id, offer: offer.id, step: CallingStep::RingsAgent });
        conv.stage = Stage::Originating { to: callback.number.clone(), until: offer.until + SLACK };
        let role = Role::Agent { agent: offer.agent.clone(), offer: offer.id };
        let title = format!("Callback {}", callback.key());
        let mut rings = false;
        for phone in &offer.phones {
            rings |= cx.ring_phone(&mut conv, phone, &role, callback.key(), Some(&title));
        }
        if !rings {
            return None;
        }
        let first = conv.legs.keys().next().copied()?;
        (conv.caller, conv.subject) = (first, first);
        cx.begin(&mut conv);
        let data = QueueOffered {
            queue: offer.queue.clone(),
            agent: offer.agent.clone(),
            phone: phone.number.clone(),
            phones: offer.phones.clone(),
            waited_ms: millis(offer.waited),
            rings_for_ms: millis(offer.until.since(offer.began)),
            callback: Some(id),
            answer_within_ms: config.queues.get(&offer.queue).map(|queue| millis(queue.answer_within())),
        };
        cx.tell(Some(conv.id), Kind::QueueOffered(data));
        Some(conv)
    }

    /// The lease is over without an answer, and the call with it.
    pub(super) fn not_called_back(&mut self, offer: &acd::Offer, end: OfferEnd, rang: Duration, now: Now, out: &mut Vec<Output>) {
        let is_its = |conv: &&Conversation| conv.callback.as_ref().is_some_and(|calling| calling.offer == offer.id);
        let its = self.conversations.values().find(is_its);
        let Some((id, callback)) = its.and_then(|conv| Some((conv.id, conv.callback.as_ref()?.callback))) else { return };
        self.with(id, now, out, |cx, conv| {
            cx.offer_ended(conv, offer, end, rang);
            cx.end(conv, if end.unanswered() { Cause::NoAnswer } else { Cause::Cancelled }, By::Switch);
        });
        if end.unanswered() {
            let left = self.hub.callbacks.unanswered.entry(callback).or_default();
            *left += 1;
            if *left >= MOST_UNANSWERED {
                let mut cx = self.cx(now, out);
                let queue = cx.hub.callbacks.book.get(callback).map(|callback| callback.queue.clone());
                let wait = queue.and_then(|queue| cx.rules_of(&queue).retry.first().copied()).unwrap_or(PAUSE);
                cx.held_back(callback, wait);
            }
        }
    }

    /// Its queue is gone.
    pub(super) fn callback_has_no_queue(&mut self, entry: Entry, now: Now, out: &mut Vec<Output>) {
        if let Entry::Callback(id) = entry {
            self.cx(now, out).give_up(id, None, None);
        }
    }

    /// Customers whose agents are there are dialled; calls that nobody needs any more end.
    pub(super) fn call_customers(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(id) = self.hub.callbacks.needless.pop() {
            self.with(id, now, out, |cx, conv| cx.end(conv, Cause::Cancelled, By::Customer));
        }
        while let Some(id) = self.hub.callbacks.ready.pop() {
            let calling = self.conversations.get(&id).and_then(|conv| conv.callback.clone());
            let callback = calling.and_then(|calling| self.hub.callbacks.book.get(calling.callback));
            let customers = customers(self.conversations.values(), &self.hub.callbacks.book);
            let is_elsewhere = callback.is_some_and(|callback| is_elsewhere(callback, &customers));
            self.with(id, now, out, |cx, conv| match is_elsewhere {
                true => cx.end(conv, Cause::Busy, By::Switch),
                false => cx.dial_customer(conv),
            });
        }
    }

    /// What time brings.
    pub(super) fn callbacks_due(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some((id, next)) = self.hub.callbacks.next_due(now.mono) {
            let Some(callback) = self.hub.callbacks.book.get(id).cloned() else { continue };
            let lives = |conversation: &ConversationId| self.conversations.contains_key(conversation);
            let (waits, is_lost) = match &callback.state {
                CallbackState::Waits { .. } => (true, false),
                CallbackState::Dials { conversation } | CallbackState::Talks { conversation } => (false, !lives(conversation)),
            };
            let mut cx = self.cx(now, out);
            match next {
                Next::Due if waits => {
                    let told = Cx::change_of(&callback, CallbackChange::Due, By::Switch);
                    cx.changed(None, told);
                    let at = now.mono + cx.keeps(&callback);
                    cx.hub.callbacks.arm(id, Some((at, Next::Looks)));
                }
                Next::Looks if waits => cx.give_up(id, None, None),
                Next::Looks if is_lost => cx.not_reached(id, None, Cause::Fault),
                Next::Due | Next::Looks => cx.hub.callbacks.arm(id, Some((now.mono + LOOKS, Next::Looks))),
            }
        }
    }
}

/// Whether it was the customer who was not reached, and no fault of ours.
fn is_the_customers(cause: Cause) -> bool {
    use Cause::{Busy, Declined, Forbidden, Incomplete, NoAnswer, NotFound, Rejected, Unavailable};
    matches!(cause, Busy | Declined | Forbidden | Incomplete | NoAnswer | NotFound | Rejected | Unavailable)
}
