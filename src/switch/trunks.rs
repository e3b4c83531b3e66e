//! Trunks from our side: their names' addresses, our registrations there; and what changes in bindings of phones, told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::event::{self, Kind, Registration};
use super::hub::{Cx, Purpose};
use super::output::{QueryId, RegistrationChange, Resolved};
use super::{Output, trunks};
use crate::chance::Chance;
use crate::config::{Config, Trunk};
use crate::ids::TrunkName;
use crate::registrar::{Change, Outward, Step};
use crate::sip::{self, Response};

/// Names are asked for again so often: what carriers give as TTL for their proxies. A first failure is tried again sooner.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);

pub(super) fn outward(config: &Config, chance: &mut Chance) -> BTreeMap<TrunkName, Outward> {
    let registering = config.trunks.values().filter(|t| t.register);
    registering.map(|t| (t.name.clone(), Outward::new(t, &config.site.domain, chance))).collect()
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
            self.outward(&name, |outward, chance, now| outward.due(now, chance));
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
        self.hub.hosts.insert(host.clone(), ips);
        let config = self.config();
        for trunk in config.trunks.values().filter(|t| t.register && trunks::host(t) == host) {
            self.outward(&trunk.name, |outward, chance, now| outward.due(now, chance));
        }
    }

    /// Lets a registration of ours take a step, and does what it says.
    fn outward(&mut self, name: &TrunkName, act: impl FnOnce(&mut Outward, &mut Chance, crate::clock::Mono) -> Vec<Step>) {
        let config = self.config();
        let Some(trunk) = config.trunks.get(name) else { return };
        // Without an address nothing can be sent; the look-up's answer comes back here.
        let Some(to) = self.way_to(trunk) else { return };
        let contact = self.contact(trunk.user.as_deref().unwrap_or(name.as_str()), &to);
        let now = self.now.mono;
        let Some(outward) = self.hub.outward.get_mut(name) else { return };
        outward.reach_at(contact);
        let steps = act(outward, &mut self.hub.chance, now);
        for step in steps {
            match step {
                Step::Send(request) => {
                    self.request(request, to, Purpose::Register(name.clone()));
                }
                Step::Up => self.tell(None, Kind::TrunkUp(event::Trunk { trunk: name.clone() })),
                Step::Down => self.tell(None, Kind::TrunkDown(event::Trunk { trunk: name.clone() })),
                Step::Failed { status, retry_in } => {
                    let data = event::TrunkFailure {
                        trunk: name.clone(),
                        status: status.map(sip::Status::code),
                        retry_in_s: retry_in.as_secs(),
                    };
                    self.tell(None, Kind::TrunkRegistrationFailed(data));
                }
            }
        }
    }

    pub fn registered_there(&mut self, name: &TrunkName, response: &Response) {
        self.outward(name, |outward, chance, now| outward.answered(response, now, chance));
    }

    pub fn unregistered_there(&mut self, name: &TrunkName) {
        self.outward(name, |outward, _, now| outward.unanswered(now));
    }

    /// Takes our registrations back, at the end.
    pub fn leave_trunks(&mut self) {
        let names: Vec<TrunkName> = self.hub.outward.keys().cloned().collect();
        for name in names {
            self.outward(&name, |outward, chance, now| outward.leave(now, chance));
        }
    }

    /// After a reload: trunks that are new begin, those that are gone are forgotten, those that are as they were go on.
    pub fn trunks_reconfigured(&mut self) {
        let config = self.config();
        self.hub.outward.retain(|name, outward| config.trunks.get(name).is_some_and(|t| t.register && outward.is_for(t)));
        for trunk in config.trunks.values().filter(|t| t.register) {
            if !self.hub.outward.contains_key(&trunk.name) {
                let new = Outward::new(trunk, &config.site.domain, &mut self.hub.chance);
                self.hub.outward.insert(trunk.name.clone(), new);
            }
        }
        self.hub.resolves_at = self.now.mono;
    }

    /// Bindings of phones that came, went or were refreshed: kept on disk, and told where something changed.
    pub fn bindings_changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.hub.stirred = true;
            match change {
                Change::Added(number, binding) => {
                    self.tell(None, Kind::RegistrationAdded(registration(&number, &binding)));
                    self.out.push(Output::Registration(RegistrationChange::Put(number, binding)));
                }
                Change::Refreshed(number, binding) => {
                    self.out.push(Output::Registration(RegistrationChange::Put(number, binding)))
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
