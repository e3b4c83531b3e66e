//! Trunks from our side: their names' addresses, our registrations there, whether they are up; and what changes in bindings of phones, told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Output;
use super::hub::{Cx, Lookup, Purpose};
use super::output::{QueryId, RegistrationChange, Resolved, Server, Wanted};
use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::{Carrier, Config, Trunk};
use crate::conversation::{Leg, NextTrunks, Peer, Try, Way};
use crate::event::{self, GoneBy, Kind, Registration};
use crate::ids::TrunkName;
use crate::registrar::{Change, News, Outward, Step};
use crate::route::{self, Attempt, Cause, Condition, Conditions, PROBED_REST, SILENT_REST, Trouble, TroubleKind};
use crate::sip::{
    CSeq, ConnectionId, Flow, HeaderName, HostPort, Method, NameAddr, Request, Response, SipUri, Status, Transport,
};

/// However short a record says that it is good for: some zones say 0.
const SHORTEST_TTL: Duration = Duration::from_secs(30);
/// However long: a carrier that moves is found within an hour.
const LONGEST_TTL: Duration = Duration::from_secs(3_600);
/// A name that has no servers is asked for again, later and later.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// A question without an answer is forgotten: longer than any resolver takes.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);
/// An address that a trunk's name stood for, and does not any more, may call for so long: carriers give their addresses in turn, and a call
/// may come from one that has just left the list. So long, too, is what was known better than what a look-up found that failed in part.
const GRACE: Duration = Duration::from_secs(3_600);
/// Addresses of one trunk that calls come from: twice what a look-up finds at most. Those that have gone first are forgotten first.
const MOST_SOURCES: usize = 256;
/// Addresses of one trunk that a call tries: each may cost the caller five seconds.
const MOST_WAYS: usize = 8;

/// Why a trunk takes no further call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// `max_calls`.
    Calls,
    /// `max_calls_per_second`.
    Rate,
}

impl Full {
    /// Seconds, for Retry-After.
    pub fn retry_after(self) -> u32 {
        match self {
            Full::Calls => 5,
            Full::Rate => 1,
        }
    }
}

pub(super) fn outward(config: &Config, chance: &mut Chance) -> BTreeMap<TrunkName, Outward> {
    let mut all = BTreeMap::new();
    for trunk in config.trunks.values().filter(|t| t.register) {
        all.extend(fresh(trunk, config, chance, Mono::ZERO).map(|o| (trunk.name.clone(), o)));
    }
    all
}

fn fresh(trunk: &Trunk, config: &Config, chance: &mut Chance, now: Mono) -> Option<Outward> {
    let call_id = format!("{}@{}", chance.token(), config.site.domain);
    Outward::new(trunk, call_id, chance.token(), now)
}

pub(super) fn conditions(config: &Config) -> Conditions {
    config.trunks.values().map(|trunk| (trunk.name.clone(), Condition::new(trunk, Mono::ZERO))).collect()
}

pub(super) fn lookups(config: &Config) -> BTreeMap<TrunkName, Lookup> {
    config.trunks.keys().map(|name| (name.clone(), Lookup::default())).collect()
}

/// By which a trunk's requests may go: where it is left to its records, whatever we listen on.
fn transports(trunk: &Trunk, config: &Config) -> Vec<Transport> {
    match trunk.peer.transport {
        Carrier::Udp => vec![Transport::Udp],
        Carrier::Tcp => vec![Transport::Tcp],
        Carrier::Tls => vec![Transport::Tls],
        Carrier::Auto => {
            let sip = &config.sip;
            let all = [(Transport::Udp, &sip.udp), (Transport::Tcp, &sip.tcp), (Transport::Tls, &sip.tls)];
            all.into_iter().filter(|(_, listeners)| !listeners.is_empty()).map(|(transport, _)| transport).collect()
        }
    }
}

fn host(trunk: &Trunk) -> &str {
    trunk.peer.host.trim_start_matches('[').trim_end_matches(']')
}

impl Cx<'_> {
    /// Asks for names and refreshes registrations, as far as that is due.
    pub fn trunks_due(&mut self) {
        let now = self.now.mono;
        let due: Vec<TrunkName> = self.hub.lookups.iter().filter(|(_, l)| l.at <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.resolve(&name);
        }
        let due: Vec<TrunkName> = self
            .hub
            .outward
            .iter()
            .filter(|(_, o)| o.deadline().is_some_and(|at| at <= self.now.mono))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.outward(&name, |outward, contact, cnonce, now| outward.tick(contact, cnonce, now));
        }
        self.probe_trunks();
    }

    /// Asks the trunks that it is time to ask whether they are there (RFC 3261 §11).
    fn probe_trunks(&mut self) {
        let now = self.now.mono;
        let due = self.hub.conditions.iter_mut().filter_map(|(name, c)| c.begin_probe(now).then(|| name.clone()));
        for name in due.collect::<Vec<_>>() {
            self.probe_trunk(&name);
        }
    }

    fn probe_trunk(&mut self, name: &TrunkName) {
        let config = self.config();
        let now = self.now.mono;
        let Some(trunk) = config.trunks.get(name) else { return };
        let Some(to) = self.way_to(trunk) else {
            let Some(condition) = self.hub.conditions.get_mut(name) else { return };
            if self.hub.lookups.get(name).is_some_and(|l| l.failures > 0) {
                condition.probe_ended(Err(Trouble::of(TroubleKind::Unresolved)), now);
            } else {
                condition.postpone(now);
            }
            return self.tell_trunk(name);
        };
        let user = trunk.user.as_deref().unwrap_or("probe");
        let from = NameAddr::new(SipUri::new(user, super::outgoing::host(&config.site.domain), None));
        let peer = SipUri::of_host(HostPort { host: super::outgoing::host(host(trunk)), port: trunk.peer.port });
        let mut request = Request::new(Method::Options, peer.clone());
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, from.with_tag(self.hub.chance.token()));
        request.headers.push(HeaderName::To, NameAddr::new(peer));
        request.headers.push(HeaderName::CallId, format!("{}@{}", self.hub.chance.token(), config.site.domain));
        request.headers.push(HeaderName::CSeq, CSeq::new(1, Method::Options));
        request.headers.push(HeaderName::Contact, self.contact(user, &to));
        request.headers.push(HeaderName::Accept, "application/sdp");
        request.headers.push(HeaderName::UserAgent, super::hub::AGENT);
        self.request(request, to, Purpose::Options(name.clone(), to.remote));
    }

    /// A trunk's answer to a probe.
    pub fn trunk_answered(&mut self, name: &TrunkName, at: SocketAddr, status: Status) {
        if !status.is_provisional() {
            self.probe_ended(name, at, Condition::judge(status.code()));
        }
    }

    /// A probe had no answer, or could not be sent.
    pub fn trunk_silent(&mut self, name: &TrunkName, at: SocketAddr, cause: Cause, detail: Option<String>) {
        let kind = if cause == Cause::Unreachable { TroubleKind::Unreachable } else { TroubleKind::Timeout };
        self.probe_ended(name, at, Err(Trouble { detail, ..Trouble::of(kind) }));
    }

    fn probe_ended(&mut self, name: &TrunkName, at: SocketAddr, found: Result<(), Trouble>) {
        let now = self.now.mono;
        let addresses: usize = self.hub.servers.get(name).into_iter().flatten().map(|s| s.addresses.len()).sum();
        let Some(condition) = self.hub.conditions.get_mut(name) else { return };
        if found.is_err() {
            condition.rest(at, PROBED_REST, false, now);
            if condition.has_another(addresses.min(MOST_WAYS)) {
                return self.probe_trunk(name);
            }
        } else {
            condition.is_awake(at);
        }
        // What it knew of us may have gone with what it came back from.
        if found.is_ok()
            && condition.is_silent()
            && let Some(outward) = self.hub.outward.get_mut(name)
        {
            outward.hurry(self.hub.chance.next_u64(), now);
        }
        condition.probe_ended(found, now);
        self.tell_trunk(name);
    }

    fn registration_is(&mut self, name: &TrunkName, found: Result<(), Trouble>) {
        if let Some(condition) = self.hub.conditions.get_mut(name) {
            condition.registration(found);
            self.tell_trunk(name);
        }
    }

    /// That it has come up or gone down, once.
    fn tell_trunk(&mut self, name: &TrunkName) {
        let news = self.hub.conditions.get_mut(name).and_then(|c| c.news(self.now.wall));
        match news {
            None => {}
            Some(Ok(())) => self.tell(None, Kind::TrunkUp(event::Trunk { trunk: name.clone() })),
            Some(Err(Trouble { kind, status, detail })) => {
                let data = event::TrunkDown { trunk: name.clone(), reason: kind, status, detail };
                self.tell(None, Kind::TrunkDown(data));
            }
        }
    }

    /// Asks for the servers of a trunk (RFC 3263).
    fn resolve(&mut self, name: &TrunkName) {
        let config = self.config();
        let query = QueryId(self.next_number());
        let (Some(trunk), Some(lookup)) = (config.trunks.get(name), self.hub.lookups.get_mut(name)) else { return };
        // Until the answer sets it; one that gets lost is asked for again.
        *lookup = Lookup { query: Some(query), at: self.now.mono + LONGEST_QUESTION, ..*lookup };
        let wanted = Wanted { host: host(trunk).to_owned(), port: trunk.peer.port, transports: transports(trunk, &config) };
        self.out.push(Output::Resolve { query, wanted });
    }

    /// A failed look-up leaves what was known: a name server that is down must not cut off a carrier that is up. So does one that has
    /// failed in part, where it is not all there is or all there has been for long (RFC 3263 §4.1, §4.2: what stands in for a record
    /// does so where there is none).
    pub fn resolved(&mut self, query: QueryId, servers: Vec<Server>, whole: bool, ttl: Duration) {
        let now = self.now.mono;
        let Some((name, lookup)) = self.hub.lookups.iter_mut().find(|(_, l)| l.query == Some(query)) else { return };
        let name = name.clone();
        lookup.query = None;
        if servers.is_empty() || !whole {
            lookup.at = now + FIRST_RETRY.saturating_mul(1 << lookup.failures.min(5)).min(LAST_RETRY);
            lookup.failures = lookup.failures.saturating_add(1);
            let is_better = !servers.is_empty() && (!self.hub.servers.contains_key(&name) || now.since(lookup.found) >= GRACE);
            self.count("names_unresolved_total");
            self.comes_from(&name, &servers, false);
            if is_better {
                self.take_servers(name, servers);
            }
            return;
        }
        lookup.at = now + ttl.clamp(SHORTEST_TTL, LONGEST_TTL);
        if std::mem::take(&mut lookup.failures) > 0
            && let Some(condition) = self.hub.conditions.get_mut(&name)
        {
            condition.hurry(self.now.mono);
        }
        self.comes_from(&name, &servers, true);
        self.take_servers(name, servers);
    }

    fn take_servers(&mut self, name: TrunkName, servers: Vec<Server>) {
        if let Some(lookup) = self.hub.lookups.get_mut(&name) {
            lookup.found = self.now.mono;
        }
        let sorted = |all: &[Server]| {
            let mut all = all.to_vec();
            all.sort();
            all
        };
        // What has not changed keeps its order: a registration stays where it is.
        if self.hub.servers.get(&name).is_none_or(|known| sorted(known) != sorted(&servers)) {
            let drawn = route::order(servers, |s| (s.priority, s.weight), &mut self.hub.chance);
            self.hub.servers.insert(name.clone(), drawn);
        }
        self.look_for_us(&name);
    }

    /// Calls of the trunk may come from these; and if that is all that there are, from others for a while yet.
    fn comes_from(&mut self, name: &TrunkName, servers: &[Server], whole: bool) {
        let now = self.now.mono;
        let ips: BTreeSet<IpAddr> = servers.iter().flat_map(|s| &s.addresses).map(|a| a.remote.ip().to_canonical()).collect();
        let known = self.hub.sources.entry(name.clone()).or_default();
        if whole {
            for (_, gone) in known.iter_mut().filter(|(ip, _)| !ips.contains(ip)) {
                gone.get_or_insert(now);
            }
            known.retain(|_, gone| gone.is_none_or(|at| now.since(at) < GRACE));
        }
        known.extend(ips.into_iter().map(|ip| (ip, None)));
        while known.len() > MOST_SOURCES {
            let first = known.iter().filter_map(|(ip, gone)| gone.map(|at| (at, *ip))).min();
            let Some((_, ip)) = first.or_else(|| known.keys().next().map(|ip| (now, *ip))) else { break };
            known.remove(&ip);
        }
        // What is another one's by now is that one's.
        let sources = &self.hub.sources;
        let is_listed = |ip: &IpAddr| sources.values().any(|all| all.get(ip) == Some(&None));
        let of = |all: &BTreeMap<IpAddr, Option<Mono>>| {
            let sources = all.iter().filter(|(ip, gone)| gone.is_none() || !is_listed(ip));
            sources.map(|(ip, _)| *ip).collect()
        };
        self.hub.hosts = sources.iter().map(|(name, all)| (name.clone(), of(all))).collect();
    }

    /// Where a trunk is to reach us may have changed: another network, another `advertise`.
    fn look_for_us(&mut self, name: &TrunkName) {
        let (config, now) = (self.config(), self.now.mono);
        let Some(trunk) = config.trunks.get(name).filter(|_| self.hub.outward.contains_key(name)) else { return };
        let Some(to) = self.way_to(trunk) else { return };
        let contact = self.contact(trunk.user.as_deref().unwrap_or(name.as_str()), &to);
        let luck = self.hub.chance.next_u64();
        if let (Some(outward), Some(contact)) = (self.hub.outward.get_mut(name), contact.uri.sip()) {
            outward.is_at(contact, luck, now);
        }
    }

    /// What came to us by this connection comes no more: a trunk that we were registered with by it is told anew where we are, and its
    /// name asked for first.
    pub fn trunk_connection_lost(&mut self, connection: ConnectionId) {
        let now = self.now.mono;
        for (name, outward) in &mut self.hub.outward {
            if outward.lost(connection, self.hub.chance.next_u64(), now)
                && let Some(lookup) = self.hub.lookups.get_mut(name).filter(|lookup| lookup.query.is_none())
            {
                lookup.at = lookup.at.min(now);
            }
        }
    }

    /// Where a trunk's requests may go now, in an order drawn anew for one call (RFC 3263 §4.3, RFC 2782), what rests last.
    pub fn ways_to(&mut self, trunk: &Trunk) -> Vec<Flow> {
        let servers = self.hub.servers.get(&trunk.name).cloned().unwrap_or_default();
        let drawn = route::order(servers, |s| (s.priority, s.weight), &mut self.hub.chance);
        self.flows(&trunk.name, &drawn)
    }

    /// Where a trunk's requests go that are not for a call; nothing while its name does not resolve.
    pub fn way_to(&self, trunk: &Trunk) -> Option<Flow> {
        self.flows(&trunk.name, self.hub.servers.get(&trunk.name)?).into_iter().next()
    }

    fn flows(&self, name: &TrunkName, servers: &[Server]) -> Vec<Flow> {
        let all = servers.iter().flat_map(|s| s.addresses.iter().map(|a| self.flow_to(s.transport, a)));
        let (ready, rest): (Vec<_>, Vec<_>) = all.partition(|to| !self.rests(name, to.remote));
        ready.into_iter().chain(rest).take(MOST_WAYS).collect()
    }

    fn rests(&self, name: &TrunkName, address: SocketAddr) -> bool {
        self.hub.conditions.get(name).is_some_and(|c| c.rests(address, self.now.mono))
    }

    fn flow_to(&self, transport: Transport, at: &Resolved) -> Flow {
        let sip = &self.hub.config.sip;
        let listeners: &[SocketAddr] = match transport {
            Transport::Udp => &sip.udp,
            Transport::Tcp => &sip.tcp,
            Transport::Tls => &sip.tls,
            Transport::Ws | Transport::Wss => &[],
        };
        let fits = |l: &&SocketAddr| l.ip() == at.local || (l.ip().is_unspecified() && l.is_ipv4() == at.local.is_ipv4());
        let port = listeners.iter().find(fits).map_or(0, SocketAddr::port);
        Flow { transport, local: SocketAddr::new(at.local, port), remote: at.remote, connection: at.connection }
    }

    /// Lets a registration of ours take a step, and does what it says.
    fn outward(&mut self, name: &TrunkName, act: impl FnOnce(&mut Outward, &SipUri, &str, Mono) -> Step) {
        let config = self.config();
        let Some(trunk) = config.trunks.get(name) else { return };
        // Without an address nothing can be sent: as good as no answer, so that it is tried again, later each time.
        let to = self.way_to(trunk);
        let now = self.now.mono;
        let cnonce = self.hub.chance.token();
        let contact = to.map(|to| self.contact(trunk.user.as_deref().unwrap_or(name.as_str()), &to));
        let Some(outward) = self.hub.outward.get_mut(name) else { return };
        let step = match contact.as_ref().and_then(|c| c.uri.sip()) {
            Some(contact) => act(outward, contact, &cnonce, now),
            None => outward.unanswered(0, now),
        };
        if let (Some(request), Some(to)) = (step.send, to) {
            self.request(request, to, Purpose::Register(name.clone(), to.remote));
        }
        match step.news {
            None => {}
            Some(News::Up) => self.registration_is(name, Ok(())),
            Some(News::Down) => {
                let kind = if self.hub.draining { TroubleKind::Stopping } else { TroubleKind::Registration };
                self.registration_is(name, Err(Trouble::of(kind)));
            }
            Some(News::Failed(status)) => {
                let status = status.map(crate::sip::Status::code);
                let next = self.hub.outward.get(name).and_then(Outward::due);
                let retry_in = next.map_or(std::time::Duration::ZERO, |at| at.since(now));
                let data = event::TrunkFailure { trunk: name.clone(), status, retry_in_s: retry_in.as_secs() };
                self.tell(None, Kind::TrunkRegistrationFailed(data));
                if self.hub.outward.get(name).is_some_and(|o| !o.is_up()) {
                    self.registration_is(name, Err(Trouble { status, ..Trouble::of(TroubleKind::Registration) }));
                }
            }
        }
    }

    pub fn registered_there(&mut self, name: &TrunkName, at: SocketAddr, response: &Response, flow: Flow) {
        if response.status.is_provisional() {
            return;
        }
        if let Some(outward) = self.hub.outward.get_mut(name) {
            outward.came_by(flow.connection);
        }
        if Condition::judge(response.status.code()).is_err() {
            self.rest(name, at);
        }
        let luck = self.hub.chance.next_u64();
        self.outward(name, |outward, contact, cnonce, now| outward.answered(response, contact, cnonce, luck, now));
    }

    pub fn unregistered_there(&mut self, name: &TrunkName, at: SocketAddr) {
        self.rest(name, at);
        let luck = self.hub.chance.next_u64();
        self.outward(name, |outward, _, _, now| outward.unanswered(luck, now));
    }

    /// The trunks of a rule as they are to be tried: by priority and weight, those that are down or rest after the others.
    pub fn in_turn(&mut self, attempts: Vec<Attempt>) -> NextTrunks {
        let drawn = route::order(attempts, |a| (a.priority.into(), a.weight), &mut self.hub.chance);
        let (up, down): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|attempt| self.is_ready(&attempt.trunk));
        NextTrunks(up.into_iter().chain(down).map(|attempt| Try { attempt, by: Way::Any, redirected: false }).collect())
    }

    fn is_ready(&self, name: &TrunkName) -> bool {
        let (Some(condition), Some(trunk)) = (self.hub.conditions.get(name), self.hub.config.trunks.get(name)) else {
            return false;
        };
        // The first of its addresses rests only if all do.
        let rests = self.way_to(trunk).is_some_and(|to| condition.rests(to.remote, self.now.mono));
        !condition.is_down() && !rests
    }

    /// Whether a call may begin on the trunk, both ways: the number at once, and those of a second.
    pub fn admits(&mut self, trunk: &Trunk) -> Result<(), Full> {
        if !route::has_room(trunk, self.hub.index.calls_on(&trunk.name)) {
            return Err(Full::Calls);
        }
        let admitted = self.hub.conditions.get_mut(&trunk.name).is_none_or(|c| c.admits(self.now.mono));
        if admitted { Ok(()) } else { Err(Full::Rate) }
    }

    /// For a call that goes out by it: where to, and where to after that; `named` is the one place where that is said already. The call
    /// counts from here on; limits hold for all but an emergency.
    pub fn enter_trunk(&mut self, trunk: &Trunk, emergency: bool, named: Option<Flow>) -> Result<(Flow, Vec<Flow>), Cause> {
        let mut ways = named.map_or_else(|| self.ways_to(trunk), |named| vec![named]).into_iter();
        let first = ways.next().ok_or(Cause::Unreachable)?;
        let admitted = self.admits(trunk);
        if !emergency {
            admitted.map_err(|_| Cause::Congestion)?;
        }
        Ok((first, ways.collect()))
    }

    /// A trunk's address has refused an INVITE, or had nothing to say to it.
    pub fn trunk_failed(&mut self, leg: &Leg, refusal: Option<&Response>) {
        let Peer::Trunk(name) = &leg.peer else { return };
        let (Some(condition), Some(to)) = (self.hub.conditions.get_mut(name), leg.call.flow()) else { return };
        let time = match refusal {
            None => Some(SILENT_REST),
            Some(response) if response.status == Status::SERVICE_UNAVAILABLE => {
                response.headers.retry_after().ok().flatten().map(|seconds| Duration::from_secs(seconds.into()))
            }
            Some(_) => None,
        };
        if let Some(time) = time {
            condition.rest(to.remote, time, refusal.is_some(), self.now.mono);
        }
    }

    /// The next attempt goes to another server, if there is one.
    fn rest(&mut self, name: &TrunkName, at: SocketAddr) {
        if let Some(condition) = self.hub.conditions.get_mut(name) {
            condition.rest(at, PROBED_REST, false, self.now.mono);
        }
    }

    /// Takes our registrations back, at the end.
    pub fn leave_trunks(&mut self) {
        let names: Vec<TrunkName> = self.hub.outward.keys().cloned().collect();
        for name in names {
            self.outward(&name, |outward, _, cnonce, _| outward.stop(cnonce));
        }
        // Where no address is known there was nothing to send.
        for outward in self.hub.outward.values_mut() {
            outward.rest();
        }
        for condition in self.hub.conditions.values_mut() {
            condition.stop();
        }
    }

    /// After a reload: trunks that are new begin, those that are gone are left and forgotten, those that are as they were go on.
    pub fn trunks_reconfigured(&mut self, old: &Config) {
        let config = self.config();
        let mut inherited = self.withdraw_registrations(old);
        for trunk in config.trunks.values().filter(|t| t.register) {
            if !self.hub.outward.contains_key(&trunk.name)
                && let Some(mut new) = fresh(trunk, &config, &mut self.hub.chance, self.now.mono)
            {
                if let Some(old) = inherited.remove(&trunk.name) {
                    new.inherit(old);
                }
                self.hub.outward.insert(trunk.name.clone(), new);
            }
        }
        self.hub.conditions.retain(|name, _| config.trunks.get(name).is_some_and(|t| old.trunks.get(name) == Some(t)));
        for trunk in config.trunks.values() {
            let condition = self.hub.conditions.entry(trunk.name.clone()).or_insert_with(|| Condition::new(trunk, self.now.mono));
            if self.hub.draining {
                condition.stop();
            }
        }
        self.hub.lookups.retain(|name, _| config.trunks.contains_key(name));
        // Where a peer is stays known until it is asked for anew: calls of it that come meanwhile are still its.
        let same = |name: &TrunkName| config.trunks.get(name).map(|t| &t.peer) == old.trunks.get(name).map(|t| &t.peer);
        self.hub.servers.retain(|name, _| same(name));
        self.hub.hosts.retain(|name, _| same(name));
        self.hub.sources.retain(|name, _| same(name));
        for trunk in config.trunks.values() {
            let found = self.hub.lookups.get(&trunk.name).map_or(Mono::ZERO, |lookup| lookup.found);
            self.hub.lookups.insert(trunk.name.clone(), Lookup { at: self.now.mono, found, ..Lookup::default() });
        }
    }

    /// Bindings of phones that came, went or were refreshed: kept on disk, and told where something changed.
    pub fn bindings_changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            // One that lasts on makes nobody reachable who was not.
            self.hub.stirred |= !matches!(change, Change::Refreshed(..));
            self.device_moved(&change);
            let (Change::Added(number, binding)
            | Change::Refreshed(number, _, binding)
            | Change::Replaced(number, _, binding)
            | Change::Removed(number, binding)
            | Change::Expired(number, binding)
            | Change::Lost(number, binding)) = &change;
            self.hub.presence.binding_changed(number);
            self.binding_moved(&binding.flow);
            self.known_changed(&change);
            match &change {
                Change::Added(..) | Change::Refreshed(..) | Change::Replaced(..) => self.watch_flow(binding),
                Change::Removed(..) | Change::Expired(..) | Change::Lost(..) => {}
            }
            match change {
                Change::Added(number, binding) => self.binding_added(number, binding),
                Change::Refreshed(number, _, binding) => {
                    self.out.push(Output::Registration(RegistrationChange::Refresh(number, Box::new(binding))))
                }
                Change::Replaced(number, old, binding) => {
                    self.binding_moved(&old.flow);
                    self.tell(None, Kind::RegistrationRemoved(registration(&number, &old)));
                    self.forget_binding(number.clone(), &old);
                    self.binding_added(number, binding);
                }
                Change::Removed(number, binding) => {
                    self.tell(None, Kind::RegistrationRemoved(registration(&number, &binding)));
                    self.subscriber_gone(&number, &binding, true);
                    self.forget_binding(number, &binding);
                }
                Change::Expired(number, binding) => {
                    let gone = Registration { reason: Some(GoneBy::Time), ..registration(&number, &binding) };
                    self.tell(None, Kind::RegistrationExpired(gone));
                    self.subscriber_gone(&number, &binding, false);
                    self.forget_binding(number, &binding);
                }
                Change::Lost(number, binding) => {
                    let gone = Registration { reason: Some(GoneBy::Silence), ..registration(&number, &binding) };
                    self.tell(None, Kind::RegistrationExpired(gone));
                    self.subscriber_gone(&number, &binding, false);
                    self.forget_binding(number, &binding);
                }
            }
        }
    }

    /// What another device has subscribed to by the same flow (behind one proxy), or the same one that has a new contact there, goes on.
    fn subscriber_gone(&mut self, number: &crate::ids::Number, binding: &crate::registrar::Binding, is_reachable: bool) {
        let left = self.hub.registrar.bindings(number, self.now);
        if !left.iter().any(|other| other.flow == binding.flow) {
            self.hub.presence.binding_gone(number, binding, is_reachable);
        }
    }

    fn binding_added(&mut self, number: crate::ids::Number, binding: crate::registrar::Binding) {
        self.tell(None, Kind::RegistrationAdded(registration(&number, &binding)));
        self.out.push(Output::Registration(RegistrationChange::Put(number, Box::new(binding))));
    }

    fn forget_binding(&mut self, number: crate::ids::Number, binding: &crate::registrar::Binding) {
        self.out.push(Output::Registration(RegistrationChange::Remove(number, binding.key())));
    }
}

fn registration(number: &crate::ids::Number, binding: &crate::registrar::Binding) -> Registration {
    Registration {
        number: number.clone(),
        contact: String::from_utf8_lossy(&binding.contact).into_owned(),
        transport: binding.flow.transport.as_str().to_ascii_lowercase(),
        user_agent: binding.user_agent.clone(),
        source: binding.source().to_string(),
        reason: None,
    }
}
