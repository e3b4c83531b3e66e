//! Trunks from our side: their names' addresses, our registrations there; and what changes in bindings of phones, told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Output;
use super::event::{self, Kind, Registration};
use super::hub::{Cx, Purpose};
use super::output::{QueryId, RegistrationChange, Resolved};
use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::{Config, Trunk};
use crate::ids::TrunkName;
use crate::registrar::{Change, News, Outward, Step};
use crate::sip::{Response, SipUri, Uri};

/// Names are asked for again so often: what carriers give as TTL for their proxies. A first failure is tried again sooner.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);

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
            self.count("names_unresolved_total");
            return;
        }
        let ips: Vec<IpAddr> = addresses.iter().map(|a| a.remote.ip()).collect();
        for address in addresses {
            self.hub.routes.insert(address.remote.ip(), address.local);
        }
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
            None => outward.unanswered(now),
        };
        if let (Some(request), Some(to)) = (step.send, to) {
            self.request(request, to, Purpose::Register(name.clone()));
        }
        match step.news {
            None => {}
            Some(News::Up) => self.tell(None, Kind::TrunkUp(event::Trunk { trunk: name.clone() })),
            Some(News::Down) => self.tell(None, Kind::TrunkDown(event::Trunk { trunk: name.clone() })),
            Some(News::Failed(status)) => {
                let status = status.map(crate::sip::Status::code);
                let next = self.hub.outward.get(name).and_then(Outward::deadline);
                let retry_in = next.map_or(std::time::Duration::ZERO, |at| at.since(now));
                let data = event::TrunkFailure { trunk: name.clone(), status, retry_in_s: retry_in.as_secs() };
                self.tell(None, Kind::TrunkRegistrationFailed(data));
            }
        }
    }

    pub fn registered_there(&mut self, name: &TrunkName, response: &Response) {
        self.outward(name, |outward, contact, cnonce, now| outward.answered(response, contact, cnonce, now));
    }

    pub fn unregistered_there(&mut self, name: &TrunkName) {
        self.outward(name, |outward, _, _, now| outward.unanswered(now));
    }

    /// Takes our registrations back, at the end.
    pub fn leave_trunks(&mut self) {
        let names: Vec<TrunkName> = self.hub.outward.keys().cloned().collect();
        for name in names {
            self.outward(&name, |outward, contact, cnonce, _| outward.stop(contact, cnonce));
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
