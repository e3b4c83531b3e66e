//! Trunks from our side: their names' addresses, our registrations there, whether they are up; and what changes in bindings of phones, told.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::Output;
use super::event::{self, Kind, Registration};
use super::hub::{Cx, Purpose};
use super::output::{QueryId, RegistrationChange, Resolved};
use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::{Config, Trunk};
use crate::conversation::{Leg, Peer};
use crate::ids::TrunkName;
use crate::registrar::{Change, News, Outward, Step};
use crate::route::{self, Attempt, Cause, Condition, Conditions, SILENT_REST, Trouble, TroubleKind};
use crate::sip::{CSeq, HeaderName, HostPort, Method, NameAddr, Request, Response, SipUri, Status, Uri};

/// Names are asked for again so often: what carriers give as TTL for their proxies. A first failure is tried again sooner.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);

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

fn host(trunk: &Trunk) -> &str {
    trunk.peer.host.trim_start_matches('[').trim_end_matches(']')
}

impl Cx<'_> {
    /// Asks for names and refreshes registrations, as far as that is due.
    pub fn trunks_due(&mut self) {
        if self.hub.resolves_at <= self.now.mono {
            self.hub.resolves_at = self.now.mono + RESOLVE_EVERY;
            self.resolve_all();
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
            if self.hub.unresolved.contains(host(trunk)) {
                condition.unanswered(Trouble::of(TroubleKind::Unresolved), now);
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
        self.request(request, to, Purpose::Options(name.clone()));
    }

    /// A trunk's answer to a probe.
    pub fn trunk_answered(&mut self, name: &TrunkName, status: Status) {
        if status.is_provisional() {
            return;
        }
        if let Some(condition) = self.hub.conditions.get_mut(name) {
            condition.answered(status.code(), self.now.mono);
            self.tell_trunk(name);
        }
    }

    /// A probe had no answer, or could not be sent.
    pub fn trunk_silent(&mut self, name: &TrunkName, cause: Cause) {
        let kind = if cause == Cause::Unreachable { TroubleKind::Unreachable } else { TroubleKind::Timeout };
        if let Some(condition) = self.hub.conditions.get_mut(name) {
            condition.unanswered(Trouble::of(kind), self.now.mono);
            self.tell_trunk(name);
        }
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

    fn resolve_all(&mut self) {
        self.hub.queries.clear();
        let config = self.config();
        for trunk in config.trunks.values() {
            let query = QueryId(self.next_number());
            let port = trunk.peer.port.unwrap_or(5060);
            self.hub.queries.insert(query, host(trunk).to_owned());
            self.out.push(Output::Resolve { query, host: host(trunk).to_owned(), port });
        }
    }

    /// A failed look-up leaves what was known: a name server that is down must not cut off a carrier that is up.
    pub fn resolved(&mut self, query: QueryId, addresses: Vec<Resolved>) {
        let Some(host) = self.hub.queries.remove(&query) else { return };
        if addresses.is_empty() {
            self.hub.unresolved.insert(host);
            self.count("names_unresolved_total");
            return;
        }
        let ips: Vec<IpAddr> = addresses.iter().map(|a| a.remote.ip()).collect();
        for address in addresses {
            self.hub.routes.insert(address.remote.ip(), address.local);
        }
        self.hub.unresolved.remove(&host);
        self.hub.hosts.insert(host, ips);
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
            self.request(request, to, Purpose::Register(name.clone()));
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

    pub fn registered_there(&mut self, name: &TrunkName, response: &Response) {
        let luck = self.hub.chance.next_u64();
        self.outward(name, |outward, contact, cnonce, now| outward.answered(response, contact, cnonce, luck, now));
    }

    pub fn unregistered_there(&mut self, name: &TrunkName) {
        let luck = self.hub.chance.next_u64();
        self.outward(name, |outward, _, _, now| outward.unanswered(luck, now));
    }

    /// The trunks of a rule as they are to be tried: by priority and weight, those that are down or rest after the others.
    pub fn in_turn(&mut self, attempts: Vec<Attempt>) -> VecDeque<Attempt> {
        let drawn = route::order(attempts, |a| (a.priority.into(), a.weight), &mut self.hub.chance);
        let (up, down): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|attempt| self.is_ready(&attempt.trunk));
        up.into_iter().chain(down).collect()
    }

    fn is_ready(&self, name: &TrunkName) -> bool {
        let (Some(condition), Some(trunk)) = (self.hub.conditions.get(name), self.hub.config.trunks.get(name)) else {
            return false;
        };
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
            condition.rest(to.remote, time, self.now.mono);
        }
    }

    /// Takes our registrations back, at the end.
    pub fn leave_trunks(&mut self) {
        let names: Vec<TrunkName> = self.hub.outward.keys().cloned().collect();
        for name in names {
            self.outward(&name, |outward, contact, cnonce, _| outward.stop(contact, cnonce));
        }
        for condition in self.hub.conditions.values_mut() {
            condition.stop();
        }
    }

    /// After a reload: trunks that are new begin, those that are gone are forgotten, those that are as they were go on.
    pub fn trunks_reconfigured(&mut self, old: &Config) {
        let config = self.config();
        self.hub.outward.retain(|name, _| {
            let was = old.trunks.get(name);
            config.trunks.get(name).is_some_and(|t| t.register && was == Some(t))
        });
        for trunk in config.trunks.values().filter(|t| t.register) {
            if !self.hub.outward.contains_key(&trunk.name)
                && let Some(new) = fresh(trunk, &config, &mut self.hub.chance, self.now.mono)
            {
                self.hub.outward.insert(trunk.name.clone(), new);
            }
        }
        self.hub.conditions.retain(|name, _| config.trunks.get(name).is_some_and(|t| old.trunks.get(name) == Some(t)));
        for trunk in config.trunks.values() {
            self.hub.conditions.entry(trunk.name.clone()).or_insert_with(|| Condition::new(trunk, self.now.mono));
        }
        self.hub.resolves_at = self.now.mono;
    }

    /// Bindings of phones that came, went or were refreshed: kept on disk, and told where something changed.
    pub fn bindings_changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.hub.stirred = true;
            if let Change::Added(number, binding) | Change::Refreshed(number, binding) = &change
                && self.hub.index.of_phone(number).next().is_some()
                && let Ok(contact) = Uri::parse(binding.contact.clone())
            {
                self.hub.moved.push((number.clone(), contact, binding.flow));
            }
            match change {
                Change::Added(number, binding) => {
                    self.tell(None, Kind::RegistrationAdded(registration(&number, &binding)));
                    self.out.push(Output::Registration(RegistrationChange::Put(number, Box::new(binding))));
                }
                Change::Refreshed(number, binding) => {
                    self.out.push(Output::Registration(RegistrationChange::Put(number, Box::new(binding))))
                }
                Change::Removed(number, binding) => {
                    self.tell(None, Kind::RegistrationRemoved(registration(&number, &binding)));
                    self.forget_binding(number, &binding);
                }
                Change::Expired(number, binding) => {
                    self.tell(None, Kind::RegistrationExpired(registration(&number, &binding)));
                    self.forget_binding(number, &binding);
                }
            }
        }
    }

    fn forget_binding(&mut self, number: crate::ids::Number, binding: &crate::registrar::Binding) {
        let key = String::from_utf8_lossy(&binding.contact).into_owned();
        self.out.push(Output::Registration(RegistrationChange::Remove(number, key)));
    }
}

fn registration(number: &crate::ids::Number, binding: &crate::registrar::Binding) -> Registration {
    Registration {
        number: number.clone(),
        contact: String::from_utf8_lossy(&binding.contact).into_owned(),
        transport: binding.flow.transport.as_str().to_ascii_lowercase(),
        user_agent: binding.user_agent.clone(),
        source: binding.flow.remote.to_string(),
    }
}
