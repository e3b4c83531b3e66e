//! Devices that come by another way: a new connection, another port of their NAT, another contact. Calls and subscriptions go with them.
//!
//! | a device | its calls are found by |
//! |---|---|
//! | registers by another flow, maybe under another contact | the contact that they know, unless they are on a flow by which another binding with it is reached; else the flow that it had |
//! | comes back under a new contact when its connection has gone | the same of the instance that it says that it is (RFC 5626 §4.1) |
//! | has two flows, and one is gone | the contact, on the one that is left (§5.3) |
//!
//! A trunk is no device, and listens: when a connection is gone that calls of it are on, they go on without (RFC 3261 §18.1.1). By TCP to
//! where its Route or Contact says that it is, if that is an address. By TLS that is so only for an address of its own, where its name is
//! to be shown; whoever has connected to us has shown none. Else they go where the trunk's new calls go, which knows the way on.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;

use super::hub::{Cx, Hub, Index};
use super::presence::Presence;
use super::{Output, Switch};
use crate::clock::Now;
use crate::conversation::Peer;
use crate::dialog::{Call, Key, Moved, Pending};
use crate::ids::{ConversationId, LegId, Number, TrunkName};
use crate::registrar::{Binding, Change};
use crate::sip::{ConnectionId, Flow, Headers, Transport, Uri};

/// Contacts that are remembered, of all phones.
const MOST_GONE: usize = 16_384;

impl Switch {
    /// What is sent in the dialogs of a device goes by its new flow (RFC 5626 §5.3), and so does what is said to INVITEs that wait.
    pub(super) fn follow(&mut self, now: Now, out: &mut Vec<Output>) {
        for (number, moved) in std::mem::take(&mut self.hub.moved) {
            self.hub.presence.device_moved(&number, &moved);
            let calls: Vec<(LegId, ConversationId)> =
                self.hub.index.of_phone(&number).map(|(leg, at)| (leg, at.conversation)).collect();
            for (leg, conversation) in calls {
                let Some(leg) = self.conversations.get_mut(&conversation).and_then(|c| c.legs.get_mut(&leg)) else { continue };
                let mut sends = Vec::new();
                for pending in leg.call.device_moved(&moved) {
                    match pending {
                        Pending::Theirs(invite) => {
                            self.hub.transactions.sender_moved(invite, moved.flow, now.mono, &mut sends);
                        }
                        Pending::Ours(invite) => self.hub.transactions.receiver_moved(invite, moved.flow),
                    }
                }
                self.cx(now, out).sends(sends);
            }
            self.left_behind(&moved, now, out);
        }
    }

    /// What is on its way by the flow that a device has left, to whatever of it: said again by the new one, where nothing has come back. A
    /// response waits for the end of its connection, which may have brought it; by UDP it goes where its NAT knows it (RFC 3581).
    fn left_behind(&mut self, moved: &Moved, now: Now, out: &mut Vec<Output>) {
        let Some(was) = moved.was.filter(|was| *was != moved.flow) else { return };
        let is_gone = |flow: &Flow| match was.connection {
            Some(connection) => flow.connection == Some(connection),
            None => *flow == was,
        };
        let response = |_| was.connection.is_none().then_some(moved.flow);
        let mut sends = Vec::new();
        self.hub.transactions.rerouted(&is_gone, &|_, _| Some(moved.flow), &response, now.mono, &mut sends);
        self.cx(now, out).sends(sends);
    }

    /// A connection is gone: what is on it goes on by another flow of its device, if there is one.
    pub(super) fn flow_lost(&mut self, connection: ConnectionId, now: Now, out: &mut Vec<Output>) {
        // A proxy's goes on by the proxy's others.
        let is_on = |flow: &Flow| flow.connection == Some(connection) && !self.hub.is_proxy(flow);
        let legs = self.conversations.values().flat_map(|conv| conv.legs.values());
        let legs = legs.filter(|leg| leg.call.flow().is_some_and(is_on));
        let mut phones: Vec<Number> = legs.filter_map(|leg| leg.peer.phone().cloned()).collect();
        phones.extend(self.hub.presence.phones_on(is_on).cloned());
        phones.sort();
        phones.dedup();
        for number in phones {
            let mut cx = self.cx(now, out);
            // The best first: what has gone by one does not go by the next, which is one of its `others`.
            for binding in cx.hub.registrar.bindings(&number, now) {
                cx.moved(&number, &binding.contact, None, &binding);
            }
        }
        self.follow(now, out);
    }

    /// A connection is gone: calls of trunks that are on it go on by another way, and what was lost with it is said again there.
    pub(super) fn trunks_lose(&mut self, connection: ConnectionId, now: Now, out: &mut Vec<Output>) {
        let live = self.conversations.values().flat_map(|conv| conv.legs.values()).map(|leg| (leg.id, &leg.peer, &leg.call));
        let departing = self.hub.departing.iter().map(|(id, departing)| (*id, &departing.peer, &departing.call));
        let lost = |(leg, peer, call): (LegId, &Peer, &Call)| {
            let Peer::Trunk(name) = peer else { return None };
            let was = call.flow().filter(|flow| flow.connection == Some(connection))?;
            Some((leg, name.clone(), call.key().clone(), *was, call.place()?))
        };
        let lost: Vec<_> = live.chain(departing).filter_map(lost).collect();
        let mut ways: BTreeMap<Key, Flow> = BTreeMap::new();
        for (leg, trunk, key, was, place) in lost {
            // The same once more would fail once more.
            let is_other = |way: &Flow| (way.remote, way.connection) != (was.remote, was.connection);
            let Some(way) = self.cx(now, out).trunk_without(&trunk, was, place).filter(is_other) else { continue };
            let conversation = self.conversation_of(leg).and_then(|id| self.conversations.get_mut(&id));
            match (conversation.and_then(|conv| conv.legs.get_mut(&leg)), self.hub.departing.get_mut(&leg)) {
                (Some(leg), _) => leg.call.goes_by(way),
                (None, Some(departing)) => departing.call.goes_by(way),
                (None, None) => {}
            }
            ways.insert(key, way);
        }
        if ways.is_empty() {
            return;
        }
        // What is said again keeps its Via and its timers: both are the transport's.
        let request = |headers: &Headers, was: Flow| {
            let key = Key { call_id: headers.call_id().ok()?.clone(), tag: headers.from_tag().ok()?? };
            ways.get(&key).copied().filter(|way| way.transport == was.transport)
        };
        let mut sends = Vec::new();
        // A response finds its own way (§18.2.2).
        let is_gone = |flow: &Flow| flow.connection == Some(connection);
        self.hub.transactions.rerouted(&is_gone, &request, &|_| None, now.mono, &mut sends);
        let mut cx = self.cx(now, out);
        cx.count("sip_trunk_ways_lost_total");
        cx.sends(sends);
    }
}

impl Cx<'_> {
    /// The way to a trunk's peer whose connection is gone.
    fn trunk_without(&self, name: &TrunkName, was: Flow, place: Option<SocketAddr>) -> Option<Flow> {
        if let (Transport::Tcp, Some(remote)) = (was.transport, place) {
            return Some(Flow { remote, connection: None, ..was });
        }
        let trunk = self.hub.config.trunks.get(name)?;
        let servers = self.hub.servers.get(name).into_iter().flatten().filter(|server| server.transport == was.transport);
        let own: Vec<_> = servers.flat_map(|server| &server.addresses).collect();
        let at = |wanted: SocketAddr| own.iter().find(|at| at.remote == wanted);
        let there = place.and_then(at).or_else(|| at(was.remote));
        let flow =
            there.map(|at| Flow { local: SocketAddr::new(at.local, 0), remote: at.remote, connection: at.connection, ..was });
        flow.or_else(|| self.way_to(trunk))
    }

    /// What a change of bindings means for the calls and subscriptions of their phone.
    pub fn device_moved(&mut self, change: &Change) {
        match change {
            Change::Refreshed(_, flow, binding) if *flow == binding.flow => {}
            Change::Refreshed(number, flow, binding) => self.moved(number, &binding.contact, Some(*flow), binding),
            Change::Replaced(number, old, binding) => self.moved(number, &old.contact, Some(old.flow), binding),
            Change::Added(number, binding) => {
                self.moved(number, &binding.contact, None, binding);
                if let Some(device) = &binding.device {
                    for (contact, flow) in self.known_as(number, &device.instance) {
                        self.moved(number, &contact, Some(flow), binding);
                    }
                }
            }
            Change::Removed(number, binding) | Change::Expired(number, binding) | Change::Lost(number, binding) => {
                if let Some(device) = &binding.device
                    && is_in_use(&self.hub.index, &self.hub.presence, number)
                {
                    let key = (number.clone(), device.instance.clone(), binding.contact.clone());
                    self.remember(key, binding.flow);
                }
            }
        }
    }

    /// Who comes and goes under ever new contacts, in a call, is followed no further than the bound.
    fn remember(&mut self, key: (Number, String, Bytes), flow: Flow) {
        // Seldom, as it looks at all: when there are twice as many, and where there is no room.
        if self.hub.gone.len() >= 1_024 && self.hub.gone.len().is_power_of_two() {
            let Hub { gone, index, presence, .. } = &mut *self.hub;
            gone.retain(|(number, _, _), _| is_in_use(index, presence, number));
        }
        if self.hub.gone.len() < MOST_GONE {
            self.hub.gone.insert(key, flow);
        }
    }

    /// How a device was known and reached when it was registered last.
    fn known_as(&mut self, number: &Number, instance: &str) -> Vec<(Bytes, Flow)> {
        let first = (number.clone(), instance.to_owned(), Bytes::new());
        let is_its = |((of, device, _), _): &(&(Number, String, Bytes), &Flow)| of == number && device == instance;
        let known: Vec<_> = self.hub.gone.range(first..).take_while(is_its).map(|(key, flow)| (key.clone(), *flow)).collect();
        for (key, _) in &known {
            self.hub.gone.remove(key);
        }
        known.into_iter().map(|((_, _, contact), flow)| (contact, flow)).collect()
    }

    /// A device that dialogs know by this contact, and that was reached by this flow, is reached so now.
    fn moved(&mut self, number: &Number, from: &Bytes, was: Option<Flow>, binding: &Binding) {
        // A BYE may be on its way when its call is none any more.
        let leaves = was.is_some_and(|was| was != binding.flow);
        if !leaves && !is_in_use(&self.hub.index, &self.hub.presence, number) {
            return;
        }
        let (Ok(from), Ok(to)) = (Uri::parse(from.clone()), Uri::parse(binding.contact.clone())) else { return };
        let all = self.hub.registrar.bindings(number, self.now);
        let has_it = |other: &&Binding| Uri::parse(other.contact.clone()).is_ok_and(|contact| contact.equivalent(&from));
        let others = all.iter().filter(|other| other.flow != binding.flow).filter(has_it).map(|other| other.flow).collect();
        // Behind a proxy many have one flow, and so they have behind one that nobody has told us of: what is on it may be a stranger's.
        let is_shared = |flow: &Flow| self.hub.is_proxy(flow) || self.hub.registrar.all().any(|(_, other)| other.flow == *flow);
        let was = was.filter(|flow| *flow != binding.flow && !is_shared(flow));
        self.hub.moved.push((number.clone(), Moved { from, to, was, flow: binding.flow, others }));
    }
}

/// It has calls or subscriptions.
fn is_in_use(index: &Index, presence: &Presence, number: &Number) -> bool {
    index.has_phone(number) || presence.has_phone(number)
}
