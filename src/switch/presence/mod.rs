//! Who watches what: lamps for lines (RFC 4235), for messages (RFC 3842) and registrations (RFC 3680), by SUBSCRIBE and NOTIFY (RFC 6665).
//!
//! A lamp is a fold: after each input, what the lines that the input has touched are at is computed from the conversations and compared
//! with what was told last. So no step of a call has to remember a lamp. A phone's subscriptions end with the flow that they came by and
//! with its registration; only a phone that has proven who it is has any. They outlive the process, which may be killed: each is kept with
//! numbers that its successor may go on from.

mod document;
mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::hub::{AGENT, Cx, Hub, Purpose};
use super::{Output, Switch};
use crate::clock::{Mono, Now, Wall};
use crate::conversation::Stage;
use crate::dialog::{Ending, Kept as KeptSubscription, Key, MIN_EXPIRES, Moved, Own, Subscription, Then, Wish};
use crate::ids::Number;
use crate::registrar::Binding;
use crate::sip::{ConnectionId, Flow, HeaderName, Request, Status, Transport, Uri};
use crate::transaction::TransactionId;

use line::Dialog;

/// The packages that there are, for Allow-Events (RFC 6665 §8.2.2).
pub(super) const ALLOW_EVENTS: &str = "dialog, message-summary, reg";

/// Subscriptions of one phone at once: the largest desk phones have 60 keys on three side boards.
const MOST_OF_A_PHONE: usize = 256;

/// And of all phones together: a hundred of them with 60 lamps each, three times over.
const MOST: usize = 20_000;

/// Names a subscription while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriptionId(u64);

/// NOTIFYs that may go out before a subscription is kept again: a lamp of a busy line has some hundred in a day.
const KEPT_AHEAD: u32 = 1_000;

/// What is kept of a subscription over a restart. Numbers go on from here: those of requests (RFC 3261 §12.2.1.1) and of documents
/// (RFC 4235 §4.1).
#[derive(Serialize, Deserialize)]
struct Kept {
    subscription: KeptSubscription,
    phone: Number,
    package: Package,
    number: Number,
    version: u32,
    expires_at: Wall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Package {
    Dialog,
    MessageSummary,
    Reg,
}

impl Package {
    fn of(name: &str) -> Option<Package> {
        // Event packages compare byte for byte (RFC 6665 §8.2.1).
        match name {
            "dialog" => Some(Package::Dialog),
            "message-summary" => Some(Package::MessageSummary),
            "reg" => Some(Package::Reg),
            _ => None,
        }
    }

    /// What its documents are.
    fn content_type(self) -> (&'static str, &'static str) {
        match self {
            Package::Dialog => ("application", "dialog-info+xml"),
            Package::MessageSummary => ("application", "simple-message-summary"),
            Package::Reg => ("application", "reginfo+xml"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Watched {
    package: Package,
    number: Number,
}

/// What a watched thing is at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Line(Vec<Dialog>),
    Messages { new: u32, old: u32 },
    Registration(Vec<Contact>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Contact {
    uri: String,
    expires_at: Wall,
}

#[derive(Debug)]
struct Held {
    subscription: Subscription,
    /// Whose it is.
    phone: Number,
    watched: Watched,
    version: u32,
    /// Dialogs of the last document.
    told: Vec<Dialog>,
    /// It is kept for requests of ours up to this number.
    kept_to: u32,
    /// The way of the last NOTIFY.
    told_by: Option<Flow>,
    /// Its device is not reached: its connection is gone, with a restart or by itself, or its binding. It is told when it is back, and the
    /// subscription lasts no longer than was granted.
    is_away: bool,
}

#[derive(Debug, Default)]
pub(super) struct Presence {
    held: BTreeMap<SubscriptionId, Held>,
    keys: BTreeMap<Key, SubscriptionId>,
    of_phone: BTreeMap<Number, BTreeSet<SubscriptionId>>,
    watching: BTreeMap<Watched, BTreeSet<SubscriptionId>>,
    due: BTreeSet<(Mono, SubscriptionId)>,
    /// To be told again, as they did not take it.
    again: BTreeSet<(Mono, SubscriptionId)>,
    /// As it was told last, of everything that is watched.
    states: BTreeMap<Watched, State>,
    /// To be looked at when the input is through.
    touched: BTreeSet<Watched>,
    /// Their first NOTIFY, or the one that a refresh brings, is due when the input is through.
    fresh: BTreeSet<SubscriptionId>,
    /// To be kept, or forgotten, when the input is through.
    to_keep: BTreeSet<SubscriptionId>,
    to_forget: Vec<Bytes>,
    next: u64,
}

/// What a subscription is kept by.
fn kept_key(key: &Key) -> Bytes {
    [&key.call_id[..], &key.tag[..]].join(&b' ').into()
}

impl Presence {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn deadline(&self) -> Option<Mono> {
        [self.due.first(), self.again.first()].into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Everything is looked at anew: a reload, a fault.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.watching.keys().cloned());
    }

    fn touch(&mut self, package: Package, number: &Number) {
        let watched = Watched { package, number: number.clone() };
        if self.watching.contains_key(&watched) {
            self.touched.insert(watched);
        }
    }

    fn insert(&mut self, held: Held) -> SubscriptionId {
        let id = SubscriptionId(self.next);
        self.next += 1;
        self.keys.insert(held.subscription.key().clone(), id);
        self.of_phone.entry(held.phone.clone()).or_default().insert(id);
        self.watching.entry(held.watched.clone()).or_default().insert(id);
        self.due.insert((held.subscription.until(), id));
        self.held.insert(id, held);
        id
    }

    fn remove(&mut self, id: SubscriptionId) {
        let Some(held) = self.held.remove(&id) else { return };
        self.keys.remove(held.subscription.key());
        self.to_keep.remove(&id);
        if held.kept_to > 0 {
            self.to_forget.push(kept_key(held.subscription.key()));
        }
        self.due.remove(&(held.subscription.until(), id));
        self.fresh.remove(&id);
        if let Some(all) = self.of_phone.get_mut(&held.phone) {
            all.remove(&id);
            if all.is_empty() {
                self.of_phone.remove(&held.phone);
            }
        }
        if let Some(all) = self.watching.get_mut(&held.watched) {
            all.remove(&id);
            if all.is_empty() {
                self.watching.remove(&held.watched);
                self.states.remove(&held.watched);
                self.touched.remove(&held.watched);
            }
        }
    }

    /// Changes how long one lasts, with what hangs on it.
    fn last(&mut self, id: SubscriptionId, seconds: u32, now: Mono) {
        if let Some(held) = self.held.get_mut(&id) {
            self.due.remove(&(held.subscription.until(), id));
            held.subscription.last(seconds, now);
            self.due.insert((held.subscription.until(), id));
            self.to_keep.insert(id);
        }
    }

    fn of(&self, phone: &Number) -> Vec<SubscriptionId> {
        self.of_phone.get(phone).into_iter().flatten().copied().collect()
    }

    pub fn has_phone(&self, phone: &Number) -> bool {
        self.of_phone.contains_key(phone)
    }

    pub fn device_moved(&mut self, phone: &Number, moved: &Moved) {
        for id in self.of(phone) {
            if let Some(held) = self.held.get_mut(&id)
                && held.subscription.device_moved(moved)
            {
                self.to_keep.insert(id);
                if std::mem::take(&mut held.is_away) {
                    self.fresh.insert(id);
                }
            }
        }
    }

    /// Whose subscription it is, and the way of its last NOTIFY.
    pub fn told_by(&self, id: SubscriptionId) -> Option<(Number, Flow)> {
        let held = self.held.get(&id)?;
        Some((held.phone.clone(), held.told_by?))
    }

    /// Phones that are told by such a flow.
    pub fn phones_on(&self, is_on: impl Fn(&Flow) -> bool) -> impl Iterator<Item = &Number> {
        self.held.values().filter(move |held| is_on(held.subscription.flow())).map(|held| &held.phone)
    }

    /// Nobody can be told until the device is back, but by a proxy of ours, which has other connections.
    pub fn connection_closed(&mut self, connection: ConnectionId, is_proxy: impl Fn(IpAddr) -> bool) {
        let lost = |held: &Held| {
            let flow = held.subscription.flow();
            flow.connection == Some(connection) && !is_proxy(flow.remote.ip())
        };
        let lost: Vec<SubscriptionId> = self.held.iter().filter(|(_, held)| lost(held)).map(|(id, _)| *id).collect();
        for id in lost {
            self.away(id);
        }
    }

    fn away(&mut self, id: SubscriptionId) {
        match self.held.get_mut(&id) {
            Some(held) if !held.subscription.is_ending() => held.is_away = true,
            Some(_) | None => self.remove(id),
        }
    }

    /// The oldest subscription of a device that is away, of this phone or of any.
    fn forget_away(&mut self, phone: Option<&Number>) {
        let is_it = |held: &Held| held.is_away && phone.is_none_or(|phone| held.phone == *phone);
        let oldest = self.held.iter().find(|(_, held)| is_it(held)).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.remove(id);
        }
    }

    pub fn mailbox_changed(&mut self, number: &Number) {
        self.touch(Package::MessageSummary, number);
    }

    pub fn binding_changed(&mut self, number: &Number) {
        self.touch(Package::Reg, number);
    }

    /// A phone's device has gone. Its subscriptions end with a last word if it went by itself; where it was not heard of, they wait.
    pub fn binding_gone(&mut self, number: &Number, binding: &Binding, is_reachable: bool) {
        for id in self.of(number) {
            let Some(held) = self.held.get_mut(&id) else { continue };
            let flow = held.subscription.flow();
            if (flow.transport, flow.remote, flow.connection)
                != (binding.flow.transport, binding.flow.remote, binding.flow.connection)
            {
                continue;
            }
            if held.is_away {
                continue;
            }
            if is_reachable {
                held.subscription.end(Ending::Deactivated);
                self.fresh.insert(id);
            } else {
                self.away(id);
            }
        }
    }

    pub fn find(&self, request: &Request) -> Option<SubscriptionId> {
        let call_id = request.headers.call_id().ok()?.clone();
        let tag = request.headers.to_tag().ok()??;
        self.keys.get(&Key { call_id, tag }).copied()
    }
}

impl Hub {
    /// Lines are everybody's to see; messages and devices their owner's, and messages of a queue its agents'. The code that mailboxes are
    /// called by is the phone's own, or with a number that one.
    fn watchable(&self, package: Package, phone: &Number, dialled: &str) -> Result<Number, Status> {
        let config = &self.config;
        if package == Package::MessageSummary {
            let number = match dialled.strip_prefix(config.codes.voicemail.as_str()) {
                Some("") => phone.as_str(),
                Some(number) => number,
                None => dialled,
            };
            let queue = config.queues.values().find(|queue| queue.number.as_ref().is_some_and(|own| own.as_str() == number));
            return match (config.phones.get_key_value(number), queue.filter(|_| config.mailboxes.contains_key(number))) {
                (Some((number, _)), _) if number == phone => Ok(number.clone()),
                (None, Some(queue)) if self.acd.serves_at(phone, &queue.name) => Ok(Number::from(number)),
                (Some(_), _) | (None, Some(_)) => Err(Status::FORBIDDEN),
                (None, None) => Err(Status::NOT_FOUND),
            };
        }
        if let (Package::Dialog, Some(slot)) = (package, config.park.slots.get(dialled)) {
            return Ok(slot.clone());
        }
        let Some((number, _)) = config.phones.get_key_value(dialled) else { return Err(Status::NOT_FOUND) };
        match package {
            Package::Dialog => Ok(number.clone()),
            Package::Reg if number == phone => Ok(number.clone()),
            Package::Reg | Package::MessageSummary => Err(Status::FORBIDDEN),
        }
    }
}

impl Cx<'_> {
    /// A SUBSCRIBE outside of a dialog.
    pub fn subscribed(&mut self, transaction: TransactionId, request: &Request, flow: Flow) {
        let Some(phone) = self.authenticate(transaction, request, flow) else { return };
        match self.subscription(&phone, request, flow) {
            Ok((id, seconds)) => {
                self.hub.presence.fresh.insert(id);
                if let Some(held) = self.hub.presence.held.get(&id) {
                    let response = held.subscription.accept(request, seconds);
                    self.respond(transaction, &response);
                }
            }
            Err(status) => self.refuse_subscription(transaction, request, status),
        }
    }

    fn refuse_subscription(&mut self, transaction: TransactionId, request: &Request, status: Status) {
        let mut response = request.response_with_tag(status, self.hub.transactions.tag(transaction));
        match status {
            Status::BAD_EVENT => response.headers.push(HeaderName::AllowEvents, ALLOW_EVENTS),
            Status::INTERVAL_TOO_BRIEF => response.headers.push(HeaderName::MinExpires, MIN_EXPIRES),
            Status::SERVICE_UNAVAILABLE => response.headers.push(HeaderName::RetryAfter, 60u32),
            _ => {}
        }
        self.count(format!("sip_subscriptions_refused_total{{status=\"{}\"}}", status.code()));
        self.respond(transaction, &response);
    }

    fn subscription(&mut self, phone: &Number, request: &Request, flow: Flow) -> Result<(SubscriptionId, u32), Status> {
        let event = request.headers.event().map_err(|_| Status::BAD_EVENT)?;
        let package = event.and_then(|e| Package::of(e.package())).ok_or(Status::BAD_EVENT)?;
        let dialled = request.uri.dialled().unwrap_or_default();
        let number = self.hub.watchable(package, phone, &dialled)?;
        let (kind, subtype) = package.content_type();
        let accepts = request.headers.accept().map_err(|_| Status::BAD_REQUEST)?;
        if !accepts.is_empty() && !accepts.iter().any(|accepted| accepted.covers(kind, subtype)) {
            return Err(Status::NOT_ACCEPTABLE);
        }
        let seconds = match Wish::of(request)? {
            Wish::For(seconds) => seconds,
            Wish::TooBrief => return Err(Status::INTERVAL_TOO_BRIEF),
        };
        let own = Own { tag: self.hub.chance.token(), contact: self.contact(&dialled, &flow) };
        let subscription = Subscription::accepted(request, own, flow, seconds, self.now.mono).map_err(|_| Status::BAD_REQUEST)?;
        let watched = Watched { package, number };
        let presence = &mut self.hub.presence;
        for id in presence.of(phone) {
            let repeated = |held: &Held| held.watched == watched && held.subscription.is_repeated_by(&subscription);
            if presence.held.get(&id).is_some_and(repeated) {
                presence.remove(id);
            }
        }
        // Who is away makes room for who is there: a browser is another device each time that its page is loaded.
        if presence.of(phone).len() >= MOST_OF_A_PHONE {
            presence.forget_away(Some(phone));
        }
        if presence.len() >= MOST {
            presence.forget_away(None);
        }
        if presence.of(phone).len() >= MOST_OF_A_PHONE || presence.len() >= MOST {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        let (phone, told) = (phone.clone(), Vec::new());
        let id =
            presence.insert(Held { subscription, phone, watched, version: 0, told, kept_to: 0, told_by: None, is_away: false });
        if seconds > 0 {
            presence.to_keep.insert(id);
        }
        Ok((id, seconds))
    }

    /// A SUBSCRIBE in a dialog that one has made: longer, or no more.
    pub fn resubscribed(&mut self, id: SubscriptionId, transaction: TransactionId, request: &Request, flow: Flow) {
        let Some(held) = self.hub.presence.held.get(&id) else { return };
        // Call-ID and tags can be overheard: whoever comes from somewhere new proves who it is.
        let phone = held.phone.clone();
        let there = |own: &Flow| own.remote.ip().to_canonical() == flow.remote.ip().to_canonical();
        let is_known = there(held.subscription.flow())
            || self.hub.registrar.bindings(&phone, self.now).iter().any(|binding| there(&binding.flow));
        if !is_known {
            match self.authenticate(transaction, request, flow) {
                Some(proven) if proven == phone => {}
                Some(_) => return self.refuse_subscription(transaction, request, Status::FORBIDDEN),
                None => return,
            }
        }
        let Some(held) = self.hub.presence.held.get_mut(&id) else { return };
        let seconds = match held.subscription.receive(request, flow) {
            Ok(Wish::For(seconds)) => seconds,
            Ok(Wish::TooBrief) => return self.refuse_subscription(transaction, request, Status::INTERVAL_TOO_BRIEF),
            Err(status) => return self.refuse_subscription(transaction, request, status),
        };
        held.is_away = false;
        held.subscription.rested();
        let response = held.subscription.accept(request, seconds);
        self.respond(transaction, &response);
        self.hub.presence.last(id, seconds, self.now.mono);
        self.hub.presence.fresh.insert(id);
    }

    /// Tells a subscriber how it is now; what ends with it is forgotten.
    fn notify_subscriber(&mut self, id: SubscriptionId) {
        let now = self.now;
        let presence = &mut self.hub.presence;
        let Some(held) = presence.held.get_mut(&id) else { return };
        let Some(state) = presence.states.get(&held.watched) else { return };
        if held.is_away && !held.subscription.is_ending() {
            return;
        }
        if !held.subscription.may_notify() {
            return;
        }
        let (entity, host) = match held.subscription.resource() {
            Uri::Sip(uri) => (uri.address_of_record().to_string(), uri.host_port().to_string()),
            Uri::Tel(_) | Uri::Other(_) => {
                let domain = self.hub.config.site.domain.clone();
                (format!("sip:{}@{domain}", held.watched.number), domain)
            }
        };
        let by_datagram = held.subscription.flow().transport == Transport::Udp;
        let told = document::Told { entity, host, now: now.wall, version: held.version, before: &held.told, by_datagram };
        let body = document::body(state, &told);
        held.version = held.version.wrapping_add(1);
        if let State::Line(dialogs) = state {
            held.told.clone_from(dialogs);
        }
        let (mut request, to) = held.subscription.notify(document::content_type(state), body.into(), now.mono);
        request.headers.push(HeaderName::UserAgent, AGENT);
        held.told_by = Some(to);
        let over = held.subscription.is_ending();
        if over {
            presence.remove(id);
        } else if held.kept_to > 0 && held.subscription.cseq() >= held.kept_to {
            presence.to_keep.insert(id);
        }
        self.request(request, to, if over { Purpose::InDialog } else { Purpose::Notify(id) });
    }

    /// The final answer to a NOTIFY, with its Retry-After, or that there will be none.
    pub fn notify_answered(&mut self, id: SubscriptionId, status: Status, retry_after: Option<u32>) {
        let Some(held) = self.hub.presence.held.get_mut(&id) else { return };
        match held.subscription.answered(status, retry_after) {
            Then::Nothing => {}
            Then::Later(rest) => {
                self.hub.presence.again.insert((self.now.mono + rest, id));
                self.count("sip_notifies_put_off_total");
            }
            Then::Again => self.notify_subscriber(id),
            Then::Over => {
                self.count("sip_subscriptions_lost_total");
                self.hub.presence.remove(id);
            }
        }
    }

    /// A NOTIFY found no way: its subscriber may have another one since.
    pub fn notify_found_no_way(&mut self, id: SubscriptionId) {
        let Some(held) = self.hub.presence.held.get(&id) else { return };
        let flow = *held.subscription.flow();
        let is_lost = held.told_by == Some(flow);
        if is_lost && (!flow.transport.is_reliable() || self.hub.is_proxy(&flow)) {
            return self.notify_answered(id, Status::REQUEST_TIMEOUT, None);
        }
        let Some(held) = self.hub.presence.held.get_mut(&id) else { return };
        held.subscription.not_sent();
        match is_lost {
            // That its connection is gone may be noticed by this alone.
            true => self.hub.presence.away(id),
            false => self.notify_subscriber(id),
        }
    }

    /// Subscriptions that were not refreshed, and those that are to be told again.
    pub fn presence_due(&mut self) {
        while self.hub.presence.again.first().is_some_and(|(at, _)| *at <= self.now.mono)
            && let Some((_, id)) = self.hub.presence.again.pop_first()
        {
            if self.hub.presence.held.get_mut(&id).is_some_and(|held| held.subscription.rested()) {
                self.hub.presence.fresh.insert(id);
            }
        }
        while let Some((at, id)) = self.hub.presence.due.first().copied().filter(|(at, _)| *at <= self.now.mono) {
            self.hub.presence.due.remove(&(at, id));
            if let Some(held) = self.hub.presence.held.get_mut(&id) {
                held.subscription.end(Ending::Timeout);
                self.hub.presence.fresh.insert(id);
            }
        }
    }

    /// What an earlier process has left: lamps go on, with what is so now. Calls have ended with that process.
    pub fn restore_subscriptions(&mut self, kept: Vec<Bytes>) {
        for kept in kept {
            let Ok(Kept { subscription, phone, package, number, version, expires_at }) = serde_json::from_slice::<Kept>(&kept)
            else {
                self.count("sip_subscriptions_unreadable_total");
                continue;
            };
            let left = expires_at.since(self.now.wall);
            let subscription = Subscription::restored(subscription, left, self.now.mono);
            let is_whole = self.hub.config.phones.contains_key(&phone)
                && self.hub.watchable(package, &phone, number.as_str()).is_ok()
                && self.hub.presence.len() < MOST;
            if left.is_zero() || !is_whole {
                self.hub.presence.to_forget.push(kept_key(subscription.key()));
                continue;
            }
            let is_away = subscription.flow().transport.is_reliable() && !self.hub.is_proxy(subscription.flow());
            let (watched, told, kept_to) = (Watched { package, number }, Vec::new(), subscription.cseq());
            let presence = &mut self.hub.presence;
            let id = presence.insert(Held { subscription, phone, watched, version, told, kept_to, told_by: None, is_away });
            presence.to_keep.insert(id);
            presence.fresh.insert(id);
        }
    }

    /// Subscriptions that are new, last longer, or have used up their numbers, and those that are over.
    fn keep_subscriptions(&mut self) {
        for key in std::mem::take(&mut self.hub.presence.to_forget) {
            self.out.push(Output::Subscription { key, kept: Bytes::new() });
        }
        for id in std::mem::take(&mut self.hub.presence.to_keep) {
            let Some(held) = self.hub.presence.held.get_mut(&id) else { continue };
            held.kept_to = held.subscription.cseq().saturating_add(KEPT_AHEAD);
            let kept = Kept {
                subscription: held.subscription.keep(KEPT_AHEAD),
                phone: held.phone.clone(),
                package: held.watched.package,
                number: held.watched.number.clone(),
                version: held.version.wrapping_add(KEPT_AHEAD),
                expires_at: self.now.wall + held.subscription.until().since(self.now.mono),
            };
            // It is made of strings and numbers.
            let kept = serde_json::to_vec(&kept).unwrap_or_default();
            let key = kept_key(held.subscription.key());
            self.out.push(Output::Subscription { key, kept: kept.into() });
        }
    }

    /// We stop: phones come back later, and not when an hour is over.
    pub fn leave_subscribers(&mut self) {
        let presence = &mut self.hub.presence;
        for (id, held) in &mut presence.held {
            held.subscription.end(Ending::Probation);
            presence.fresh.insert(*id);
        }
    }
}

impl Switch {
    /// Lamps follow what the input has changed.
    pub(super) fn lamps(&mut self, now: Now, out: &mut Vec<Output>) {
        let lines = std::mem::take(&mut self.hub.index.touched);
        if self.hub.presence.is_empty() {
            return self.cx(now, out).keep_subscriptions();
        }
        for number in lines {
            self.hub.presence.touch(Package::Dialog, &number);
        }
        let presence = &mut self.hub.presence;
        let mut tell = std::mem::take(&mut presence.fresh);
        let mut touched = std::mem::take(&mut presence.touched);
        touched.extend(tell.iter().filter_map(|id| presence.held.get(id)).map(|held| held.watched.clone()));
        for watched in touched {
            let state = self.state_of(&watched, now);
            // A reload may have taken it away, or the right to see it.
            let hub = &self.hub;
            let may = |held: &Held| hub.watchable(watched.package, &held.phone, watched.number.as_str()).is_ok();
            let watchers: Vec<SubscriptionId> = hub.presence.watching.get(&watched).into_iter().flatten().copied().collect();
            let gone: Vec<SubscriptionId> =
                watchers.iter().filter(|id| hub.presence.held.get(id).is_some_and(|held| !may(held))).copied().collect();
            let presence = &mut self.hub.presence;
            for id in &gone {
                if let Some(held) = presence.held.get_mut(id) {
                    held.subscription.end(Ending::NoResource);
                }
            }
            tell.extend(gone);
            if presence.states.get(&watched) != Some(&state) {
                tell.extend(watchers);
                presence.states.insert(watched, state);
            }
        }
        let mut cx = self.cx(now, out);
        for id in tell {
            cx.notify_subscriber(id);
        }
        cx.keep_subscriptions();
    }

    fn state_of(&self, watched: &Watched, now: Now) -> State {
        let number = &watched.number;
        match watched.package {
            Package::Dialog => State::Line(self.line(number)),
            Package::MessageSummary => {
                let (new, old) = self.hub.mailboxes.counts(number);
                State::Messages { new, old }
            }
            Package::Reg => {
                let bindings = self.hub.registrar.bindings(number, now);
                let contact =
                    |b: Binding| Contact { uri: String::from_utf8_lossy(&b.contact).into_owned(), expires_at: b.expires_at };
                State::Registration(bindings.into_iter().map(contact).collect())
            }
        }
    }

    fn line(&self, number: &Number) -> Vec<Dialog> {
        let legs = self.hub.index.of_phone(number);
        let dialog = |(leg, at): (crate::ids::LegId, &super::hub::At)| {
            let conv = self.conversations.get(&at.conversation)?;
            Dialog::of(&self.hub.config, conv, conv.leg(leg)?)
        };
        let parked = self.hub.index.parked.get(number).and_then(|id| self.conversations.get(id));
        // A slot that is only kept for somebody is dark.
        let parked = parked.filter(|conv| !matches!(conv.stage, Stage::Offering { .. }));
        let parked = parked.and_then(|conv| Some(Dialog::parked(conv, conv.leg(conv.subject)?)));
        legs.filter_map(dialog).chain(parked).collect()
    }
}
