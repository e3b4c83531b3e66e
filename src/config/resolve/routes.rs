//! Places to go, extensions, trunks, inbound and outbound rules.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_spanned::Spanned;

use super::{Checking, Seen};
use crate::config::fault::{Caution, Fault};
use crate::config::units::{Goto, Name, is_telephone};
use crate::config::{CallerFormat, Carrier, Choice, Inbound, Outbound, Pattern, Place, Secret, Sip, Trunk, given};
use crate::ids::{Number, TrunkName};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Checking {
    /// Whether the place is there to go to.
    pub(super) fn place(&mut self, at: &Spanned<Goto>, outbound: &[Outbound]) {
        let (what, name, there) = match &at.get_ref().0 {
            Place::Menu(m) => ("menu", m.as_str(), self.menus.clone()),
            Place::Queue(q) | Place::Callback(q) => ("queue", q.as_str(), self.named.queues.clone()),
            Place::Phone(n) => ("phone", n.as_str(), self.named.phones.clone()),
            Place::Voicemail(n) => ("mailbox", n.as_str(), self.named.mailboxes.clone()),
            Place::Number(n) => {
                if !self.can_be_dialled(n, outbound) {
                    self.fault(at, Fault::NotDialled(n.clone()));
                }
                return;
            }
            Place::Hangup => return,
        };
        if !there.contains(name) {
            self.dangling(at, what, name, &there);
        }
    }

    fn can_be_dialled(&self, number: &str, outbound: &[Outbound]) -> bool {
        // A queue's own number is not among the names, so it is looked for where numbers were taken; queues come before this is asked
        // of inbound rules, and a queue that overflows to a number inside may name any phone or extension.
        let inside =
            self.inside.contains_key(number) || self.named.phones.contains(number) || self.named.extensions.contains(number);
        let outside = self.named.outbound_torn || outbound.iter().any(|o| o.pattern.matches(number).is_some());
        inside || (is_telephone(number) && outside)
    }

    pub(super) fn extensions(&mut self, given: Vec<Spanned<given::Extra>>, outbound: &[Outbound]) -> BTreeMap<Number, Place> {
        let mut extensions = BTreeMap::new();
        let mut given: Vec<given::Extra> = given.into_iter().map(Spanned::into_inner).collect();
        for extension in &given {
            self.take_number(&extension.number.get_ref().0, &extension.number);
            self.place(&extension.to, outbound);
            extensions.insert(Number::from(extension.number.get_ref().0.as_str()), extension.to.get_ref().0.clone());
        }
        given.retain(|e| leads_in_a_circle(&e.number.get_ref().0, &extensions));
        for extension in given {
            self.fault(&extension.to, Fault::LeadsToItself(extension.number.into_inner().0));
        }
        extensions
    }

    pub(super) fn trunks(&mut self, given: Vec<Spanned<given::Trunk>>, sip: &Sip) -> BTreeMap<TrunkName, Trunk> {
        let mut trunks: BTreeMap<TrunkName, Trunk> = BTreeMap::new();
        let mut seen = Seen::new("trunk");
        for given in given {
            let at = given.span().start;
            let trunk = given.into_inner();
            let name = trunk.name.get_ref().0.clone();
            seen.is_new(self, &name, &trunk.name);
            let secret = trunk.secret.or_else(|| self.secrets.trunk.get(&name).cloned());
            let register = trunk.register.as_ref().is_some_and(|r| *r.get_ref());
            let lacking = match (&trunk.user, &secret) {
                (None, _) => Some("user"),
                (Some(_), None) => Some("secret"),
                (Some(_), Some(_)) => None,
            };
            if let (true, Some(lacking)) = (register, lacking) {
                let at = trunk.register.as_ref().map_or(at, |r| r.span().start);
                self.reader.fault(at, Fault::CannotRegister(name.clone(), lacking));
            } else if trunk.user.is_some() && secret.is_none() {
                self.reader.fault(at, Fault::HalfCredentials(name.clone(), "user", "secret"));
            } else if trunk.user.is_none() && secret.is_some() {
                self.reader.fault(at, Fault::HalfCredentials(name.clone(), "secret", "user"));
            }
            let mut peer = trunk.peer.get_ref().0.clone();
            peer.transport = trunk.transport.map_or(Carrier::Auto, |t| t.0);
            let lacking = match peer.transport {
                Carrier::Udp => sip.udp.is_empty().then_some("udp"),
                Carrier::Tcp => sip.tcp.is_empty().then_some("tcp"),
                Carrier::Tls => sip.tls.is_empty().then_some("tls"),
                // By whatever there is.
                Carrier::Auto => None,
            };
            if let Some(transport) = lacking {
                self.fault(&trunk.peer, Fault::NoTrunkListener(name.clone(), transport));
            }
            if let Some(probe) = trunk.probe.as_ref().filter(|probe| probe.get_ref().0.is_none())
                && register
                && matches!(peer.transport, Carrier::Udp | Carrier::Auto)
            {
                self.reader.caution(probe.span().start, Caution::UnprobedRegistration(name.clone()));
            }
            if !register {
                let same = trunks.values().find(|t| {
                    !t.register
                        && t.peer.host == peer.host
                        && (t.peer.port == peer.port || t.peer.port.is_none() || peer.port.is_none())
                });
                if let Some(other) = same {
                    let fault = Fault::SamePeer { peer: peer.host.clone(), first: other.name.to_string(), second: name.clone() };
                    self.fault(&trunk.peer, fault);
                }
            }
            // Calls from there would be the trunk's, and its phones could not call.
            let address = peer.host.trim_start_matches('[').trim_end_matches(']').parse();
            if address.is_ok_and(|address| sip.is_proxy(address)) {
                self.fault(&trunk.peer, Fault::TrunkIsProxy(name.clone(), peer.host.clone()));
            }
            let name = TrunkName::from(name.as_str());
            let resolved = Trunk {
                name: name.clone(),
                peer,
                user: trunk.user.map(|u| u.0),
                secret: secret.map(|s| Secret::new(s.0)),
                register,
                refresh: self.time("refresh", trunk.refresh, 10 * MINUTE, MINUTE..=DAY),
                caller: trunk.caller.map(|c| c.0),
                record: trunk.record.map(|r| r.0),
                transit: trunk.transit.unwrap_or(false),
                refer: trunk.refer.unwrap_or(false),
                max_calls_per_second: trunk
                    .max_calls_per_second
                    .map(|given| self.count("max_calls_per_second", Some(given), 1, 1..=1_000)),
                probe: self.every("probe", trunk.probe, 30 * SECOND, 5 * SECOND..=HOUR),
                trust: trunk.trust.unwrap_or(false),
                srtp: trunk.srtp.map(|s| s.0),
                callers: trunk.callers.unwrap_or_default().into_iter().map(|pattern| pattern.into_inner().0).collect(),
                caller_format: trunk.caller_format.map_or(CallerFormat::AsIs, |f| f.0),
                max_calls: trunk.max_calls.map(|given| self.count("max_calls", Some(given), 1, 1..=10_000)),
            };
            trunks.insert(name, resolved);
        }
        trunks
    }

    /// A number of 16 bits, as DNS has them for the same.
    fn short(&mut self, key: &'static str, given: Option<Spanned<u64>>, default: u16) -> u16 {
        u16::try_from(self.count(key, given, default.into(), 0..=u16::MAX.into())).unwrap_or(default)
    }

    pub(super) fn trunk_exists(&mut self, at: &Spanned<Name>) {
        let name = at.get_ref().0.clone();
        if !self.named.trunks.contains(&name) {
            let there = self.named.trunks.clone();
            self.dangling(at, "trunk", &name, &there);
        }
    }

    pub(super) fn inbound(&mut self, given: Vec<Spanned<given::Inbound>>, outbound: &[Outbound]) -> Vec<Inbound> {
        let mut seen = Seen::new("inbound number");
        let mut rules = Vec::new();
        for rule in given.into_iter().map(Spanned::into_inner) {
            self.trunk_exists(&rule.trunk);
            self.place(&rule.to, outbound);
            let trunk = rule.trunk.get_ref().0.clone();
            let number = rule.number.get_ref().0.clone();
            seen.is_new(self, &format!("{number} on {trunk}"), &rule.number);
            let rejects_anonymous = rule.anonymous.is_some_and(|a| a.0);
            let to = rule.to.into_inner().0;
            rules.push(Inbound { trunk: trunk.as_str().into(), number, to, rejects_anonymous, record: rule.record.map(|r| r.0) });
        }
        rules
    }

    pub(super) fn outbound(&mut self, given: Vec<Spanned<given::Outbound>>) -> Vec<Outbound> {
        let mut seen = Seen::new("outbound pattern");
        let mut rules = Vec::new();
        for rule in given.into_iter().map(Spanned::into_inner) {
            let pattern = rule.pattern.get_ref().0.clone();
            seen.is_new(self, &pattern.to_string(), &rule.pattern);
            let strip = self.count("strip", rule.strip, 0, 0..=20) as usize;
            let prepend = rule.prepend.map_or(String::new(), |p| p.0);
            if let Pattern::Exact(number) = &pattern
                && strip >= number.len()
                && prepend.trim_start_matches('+').is_empty()
            {
                self.fault(&rule.pattern, Fault::NothingLeft { strip, number: number.clone() });
            }
            let mut twice = Seen::new("trunk");
            let mut trunks = Vec::new();
            if rule.trunk.get_ref().is_empty() {
                self.fault(&rule.trunk, Fault::Empty { key: "trunk", what: "trunk" });
            }
            for (place, pick) in (1..).zip(rule.trunk.into_inner()) {
                let span = pick.span();
                let pick = pick.into_inner();
                let name = Spanned::new(span, pick.name);
                self.trunk_exists(&name);
                let priority = self.short("priority", pick.priority, place);
                let weight = self.short("weight", pick.weight, 1);
                if twice.is_new(self, &name.get_ref().0, &name) {
                    trunks.push(Choice { trunk: TrunkName::from(name.get_ref().0.as_str()), priority, weight });
                }
            }
            rules.push(Outbound { pattern, strip, prepend, trunks, record: rule.record.map(|r| r.0) });
        }
        rules
    }
}

/// Whether who follows extensions from this one comes back to it. A circle further on is a fault of those that are on it.
fn leads_in_a_circle(number: &str, extensions: &BTreeMap<Number, Place>) -> bool {
    let mut at = number;
    for _ in 0..extensions.len() {
        match extensions.get(at) {
            Some(Place::Number(next)) if next == number => return true,
            Some(Place::Number(next)) => at = next,
            Some(
                Place::Menu(_) | Place::Queue(_) | Place::Phone(_) | Place::Voicemail(_) | Place::Callback(_) | Place::Hangup,
            )
            | None => {
                return false;
            }
        }
    }
    false
}
