//! Edge proxies of our own (`[sip] proxies`): whom they speak for, and how they are reached.
//!
//! | of a proxy is believed | because |
//! |---|---|
//! | where a phone is: `received` and `rport` in the Via below its own (RFC 3261 §18.2.1, RFC 3581) | it has written them itself over what the phone says |
//! | Path (RFC 3327) | it is how it is found again; from anybody else it is refused (403) |
//! | nothing else: not P-Asserted-Identity, not From | phones prove by digest who they are; identities are a trunk's to assert (`trust`) |
//!
//! So a flood or a guesser behind it counts against what it reports, and never against the proxy, behind which everybody else is. A proxy
//! that reports nobody (a request of its own, a name in the Via) is counted by user alone.
//!
//! Its connections come and go without its phones: what has to go by one that is closed goes by the one of that transport that the proxy
//! was heard on last, else to where the first Route says that it listens, or for a response the Via. What is under way when one closes is
//! said again there: the proxy knows it by its branch.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::hub::{Cx, Hub};
use crate::config::Sip;
use crate::registrar::{From, bans};
use crate::sip::{ConnectionId, Flow, Headers, Host, Method, Request, Status, Transport};
use crate::transaction::{SendId, TransactionId};

/// Connections of proxies, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Of each proxy by each transport, with the number of what was heard on it last.
    open: BTreeMap<(IpAddr, Transport), BTreeMap<ConnectionId, (u64, Flow)>>,
    heard: u64,
}

impl Ways {
    /// Something came by this flow; whether by a connection that was not known.
    fn heard_on(&mut self, connection: ConnectionId, flow: &Flow) -> bool {
        self.heard += 1;
        let all = self.open.entry((flow.remote.ip(), flow.transport)).or_default();
        all.insert(connection, (self.heard, *flow)).is_none()
    }

    /// Whether it was known.
    fn closed(&mut self, connection: ConnectionId) -> bool {
        let was_known = self.open.values_mut().any(|all| all.remove(&connection).is_some());
        self.open.retain(|_, all| !all.is_empty());
        was_known
    }

    fn is_open(&self, flow: &Flow) -> bool {
        let all = self.open.get(&(flow.remote.ip(), flow.transport));
        all.zip(flow.connection).is_some_and(|(all, connection)| all.contains_key(&connection))
    }

    /// The one that the proxy was heard on last.
    fn newest(&self, of: &Flow) -> Option<Flow> {
        let all = self.open.get(&(of.remote.ip(), of.transport))?;
        all.values().max_by_key(|(heard, _)| *heard).map(|(_, flow)| *flow)
    }

    /// The way of a request with these headers to where it is to go.
    fn way(&self, sip: &Sip, headers: &Headers, to: Flow) -> Flow {
        if to.transport == Transport::Udp || self.is_open(&to) || !sip.is_proxy(to.remote.ip()) {
            return to;
        }
        if let Some(newest) = self.newest(&to) {
            return newest;
        }
        let route = headers.route().unwrap_or_default().into_iter().next();
        let listens = route.as_ref().and_then(|route| route.uri.sip()).filter(|uri| match uri.host {
            Host::Ip(ip) => ip == to.remote.ip(),
            Host::Name(_) => false,
        });
        match listens {
            Some(uri) => {
                let port = uri.port.unwrap_or_else(|| to.transport.default_port());
                Flow { remote: SocketAddr::new(to.remote.ip(), port), connection: None, ..to }
            }
            None => to,
        }
    }

    /// That of a response, whose connection is gone: the proxy's own port, where it is not behind another (RFC 3261 §18.2.2).
    fn way_back(&self, sip: &Sip, to: Flow) -> Option<Flow> {
        if !sip.is_proxy(to.remote.ip()) {
            return None;
        }
        let new = Flow { connection: None, ..to };
        self.newest(&to).or_else(|| (to.transport == Transport::Tcp).then_some(new))
    }
}

impl Hub {
    pub fn is_proxy(&self, flow: &Flow) -> bool {
        self.config.sip.is_proxy(flow.remote.ip())
    }

    /// Who sent what came by this flow, by its Vias: those of a request, or of our response to it.
    pub fn from(&self, headers: &Headers, flow: Flow) -> From {
        if !self.is_proxy(&flow) {
            return From { flow, is_proxied: false, reported: None };
        }
        let mut reported = None;
        // The first is the proxy's own; further ones of ours may stand behind it.
        for via in headers.vias().unwrap_or_default().iter().skip(1) {
            let said = match via.sent_by.host {
                Host::Ip(ip) => Some(ip),
                Host::Name(_) => None,
            };
            let Some(ip) = via.received().or(said) else { break };
            let port = via.rport().flatten().or(via.sent_by.port).unwrap_or(5060);
            reported = Some(SocketAddr::new(ip, port));
            if !self.config.sip.is_proxy(ip) {
                break;
            }
        }
        From { flow, is_proxied: true, reported }
    }

    /// The way that a request takes to where it is to go.
    pub fn way(&self, request: &Request, to: Flow) -> Flow {
        self.ways.way(&self.config.sip, &request.headers, to)
    }
}

impl Cx<'_> {
    /// Something came by this flow. What waits for a proxy all of whose connections were gone goes by it.
    pub fn note_way(&mut self, flow: &Flow) {
        if let Some(connection) = flow.connection
            && self.hub.is_proxy(flow)
            && self.hub.ways.heard_on(connection, flow)
        {
            let mut sends = Vec::new();
            self.hub.transactions.way_opened(*flow, self.now.mono, &mut sends);
            self.sends(sends);
        }
    }

    /// A connection is gone. If it was a proxy's, what is on it goes on by the proxy's newest, or where it listens.
    pub fn way_lost(&mut self, connection: ConnectionId) {
        self.hub.ways.closed(connection);
        let Hub { ways, config, transactions, .. } = &mut *self.hub;
        let request = |headers: &Headers, to: Flow| Some(ways.way(&config.sip, headers, to)).filter(|way| *way != to);
        let response = |to: Flow| ways.way_back(&config.sip, to);
        let mut sends = Vec::new();
        let is_gone = |flow: &Flow| flow.connection == Some(connection);
        transactions.rerouted(&is_gone, &request, &response, self.now.mono, &mut sends);
        self.sends(sends);
    }

    /// The driver could not send something: by a connection that is a proxy's, it was lost before it is said to be closed.
    pub fn way_failed(&mut self, report: SendId) {
        if let Some(connection) = self.hub.transactions.connection_of(report)
            && self.hub.ways.closed(connection)
        {
            self.way_lost(connection);
        }
    }

    /// A request from behind a proxy whose sender is banned: the transports can't tell it from its neighbours. Whether it is answered.
    pub fn is_shut_out(&mut self, transaction: TransactionId, request: &Request, flow: Flow) -> bool {
        // A phone that is new behind a forged address proves itself by registering; who guesses passwords so is slowed by the throttle.
        if self.hub.bans.is_empty() || request.method == Method::Register {
            return false;
        }
        let from = self.hub.from(&request.headers, flow);
        let Some(reported) = from.reported else { return false };
        if !self.hub.bans.is_banned(bans::network(reported.ip()), bans::Proof::Datagram) || self.holds_a_binding(&from) {
            return false;
        }
        self.count("guard_banned_behind_proxies_total");
        // No 503: the proxy would believe that we are down.
        let response = request.response_with_tag(Status::FORBIDDEN, self.hub.transactions.tag(transaction));
        let mut sends = Vec::new();
        self.hub.transactions.respond_stateless(transaction, &response, &mut sends);
        self.sends(sends);
        true
    }
}
