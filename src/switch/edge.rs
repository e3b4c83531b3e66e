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
//! Its connections come and go without its phones: what has to go by one that is closed goes by the proxy's newest of that transport,
//! else to where the first Route says that it listens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::hub::{Cx, Hub};
use crate::registrar::{From, bans};
use crate::sip::{ConnectionId, Flow, Headers, Host, Method, Request, Status, Transport};
use crate::transaction::TransactionId;

/// Connections of proxies.
#[derive(Debug, Default)]
pub(super) struct Ways {
    open: BTreeSet<ConnectionId>,
    newest: BTreeMap<(IpAddr, Transport), Flow>,
}

impl Ways {
    pub fn closed(&mut self, connection: ConnectionId) {
        if self.open.remove(&connection) {
            self.newest.retain(|_, flow| flow.connection != Some(connection));
        }
    }
}

impl Hub {
    pub fn is_proxy(&self, flow: &Flow) -> bool {
        self.config.sip.is_proxy(flow.remote.ip())
    }

    /// Something came by this flow.
    pub fn note_way(&mut self, flow: &Flow) {
        if let Some(connection) = flow.connection
            && self.is_proxy(flow)
        {
            self.ways.open.insert(connection);
            self.ways.newest.insert((flow.remote.ip(), flow.transport), *flow);
        }
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
        let is_open = to.connection.is_some_and(|connection| self.ways.open.contains(&connection));
        if to.transport == Transport::Udp || is_open || !self.is_proxy(&to) {
            return to;
        }
        if let Some(newest) = self.ways.newest.get(&(to.remote.ip(), to.transport)) {
            return *newest;
        }
        let route = request.headers.route().unwrap_or_default().into_iter().next();
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
}

impl Cx<'_> {
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
