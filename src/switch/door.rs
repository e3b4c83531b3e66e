//! Who is shut out: counts what is refused by source, bans, and tells the transports whom not to listen to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::command::BanView;
use super::hub::Cx;
use super::output::{Banned, Known, Output};
use crate::conversation::{Conversation, Leg, Peer};
use crate::event::{By, GuardAlarm, GuardBanned, GuardLifted, Kind};
use crate::ids::{LegId, Number};
use crate::registrar::bans::Proof;
use crate::registrar::{Alarm, Binding, Change, From, bans};
use crate::route;
use crate::sip::{Algorithm, Flow, HeaderName, Headers, Request, Response, Status};
use crate::transaction::{Sending, TransactionId};

/// Why a message came to nothing, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// A request that was answered with a failure before anybody had proven who sent it; a challenge is none.
    Refused,
    /// A digest that was wrong, or came from who had to wait.
    Password,
    /// A response to nothing.
    Stray,
    Malformed,
}

impl Strike {
    const fn label(self) -> &'static str {
        match self {
            Strike::Refused => "refused",
            Strike::Password => "password",
            Strike::Stray => "stray",
            Strike::Malformed => "malformed",
        }
    }
}

impl Cx<'_> {
    pub fn strike(&mut self, from: &From, why: Strike) {
        let source = match (from.is_proxied, from.reported) {
            (false, _) => bans::source(&from.flow),
            (true, Some(reported)) => Some(bans::network(reported.ip())),
            (true, None) => None,
        };
        let Some(source) = source else { return };
        // A registered phone that goes mad is a nuisance, and no reason to shut out its office.
        // What a proxy reports was a datagram's, for all that we know.
        let proof = if from.is_proxied { Proof::Datagram } else { bans::proof(&from.flow) };
        if self.hub.bans.is_over(source, proof) && self.holds_a_binding(from) {
            return;
        }
        self.struck(source, proof, 1, why);
    }

    /// Whether a request within a dialog, early or not, comes from where its leg is: Call-ID and tags can be overheard, and whoever is heard
    /// takes the dialog over. A phone that comes from somewhere new without having registered there proves itself by digest (401). For a trunk there
    /// speaks who is at an address of a trunk, or where the dialog's Contact and routes are: a carrier's gateway need not be the proxy that
    /// its calls come from. Where these are names that nobody has asked for yet (`resolved` is nothing), the request waits for what they
    /// stand for. From elsewhere that is 403. Tags that are wrong are left to the dialog (481).
    pub fn is_of_the_leg(
        &mut self,
        conv: &Conversation,
        leg: LegId,
        transaction: TransactionId,
        request: &Request,
        flow: Flow,
        resolved: Option<&BTreeSet<IpAddr>>,
    ) -> bool {
        let Some(leg) = conv.leg(leg) else { return true };
        let nothing = BTreeSet::new();
        let is_its = leg.call.owns(request) || leg.call.owns_early(request);
        if !is_its || self.is_there(leg, request, flow, resolved.unwrap_or(&nothing)) {
            return true;
        }
        let number = match &leg.peer {
            Peer::Trunk(_) if resolved.is_none() && self.waits_for_names(leg, transaction, request, flow) => return false,
            Peer::Trunk(_) => None,
            Peer::Phone(number) => match self.authenticate(transaction, request, flow) {
                Some(proven) if proven == *number => return true,
                Some(other) => Some(other),
                // Answered.
                None => return false,
            },
        };
        self.count(format!("sip_foreign_requests_total{{proven=\"{}\"}}", number.is_some()));
        let response = request.response(Status::FORBIDDEN);
        self.respond_stateless(transaction, &response);
        false
    }

    /// Whether the leg's peer is where this comes from, as far as is known without asking; `resolved` is what its names stand for.
    pub fn is_there(&self, leg: &Leg, request: &Request, flow: Flow, resolved: &BTreeSet<IpAddr>) -> bool {
        let there = flow.remote.ip().to_canonical();
        // Behind a proxy of ours everybody has its address.
        let from = self.hub.from(&request.headers, flow);
        let reported = from.reported.map(|at| at.ip());
        let is_neighbour = from.is_proxied && leg.reported.is_some() && reported != leg.reported;
        if leg.call.flow().is_none_or(|own| own.remote.ip().to_canonical() == there) && !is_neighbour {
            return true;
        }
        match &leg.peer {
            Peer::Trunk(_) => self.is_a_trunks(there) || leg.call.names(there, resolved),
            Peer::Phone(number) => {
                let is_its = |binding: &Binding| match from.is_proxied {
                    true => binding.reported.map(|at| at.ip()) == reported && reported.is_some(),
                    false => binding.flow.remote.ip().to_canonical() == there,
                };
                self.hub.registrar.bindings(number, self.now).iter().any(is_its)
            }
        }
    }

    /// Whether an answer may go out that is longer than its request, to who has proven nothing. A datagram's address may be forged, but for
    /// that of this machine. Whoever is known where it goes to is answered whatever others have had there.
    pub fn may_grow(&mut self, sending: &Sending, response: &Response) -> bool {
        let Sending { to, bytes, .. } = sending;
        let growth = bytes.len().saturating_sub(self.hub.asked);
        if to.transport.is_reliable() || growth == 0 || to.remote.ip().to_canonical().is_loopback() {
            return true;
        }
        // Whoever is known leaves what there is to those who are not yet.
        self.knows(&response.headers, to) || self.hub.grown.may_grow(bans::network(to.remote.ip()), growth, self.now.mono)
    }

    /// An answer that may not grow, made to one that does not: of a challenge with several algorithms the one that every phone has,
    /// which whoever wants none of it leaves out of the configuration. So a whole office behind one address gets in, however many have been
    /// challenged there. False if it would be longer even so.
    pub fn shortened(&mut self, sending: &mut Sending, response: &Response) -> bool {
        let challenges: Vec<_> = response.headers.challenges(&HeaderName::WwwAuthenticate);
        let common = challenges.iter().find(|challenge| challenge.algorithm == Algorithm::Md5).or(challenges.first());
        if let Some(challenge) = common {
            let mut short = response.clone();
            short.headers.set(HeaderName::WwwAuthenticate, challenge);
            let bytes = short.to_bytes();
            if bytes.len() <= self.hub.asked {
                sending.bytes = bytes;
                return true;
            }
        }
        self.count("sip_answers_withheld_total");
        false
    }

    /// A trunk or a proxy of ours is there, or the phone that From names is registered from there.
    pub fn knows(&self, headers: &Headers, flow: &Flow) -> bool {
        let number = headers.from().ok().and_then(|from| from.uri.dialled()).map(|number| Number::from(number.as_str()));
        let held = |number: Number| self.hub.registrar.bindings(&number, self.now);
        self.hub.is_proxy(flow)
            || self.is_a_trunks(flow.remote.ip().to_canonical())
            || number.is_some_and(|number| held(number).iter().any(|binding| binding.flow.remote == flow.remote))
    }

    pub fn is_a_trunks(&self, ip: IpAddr) -> bool {
        route::addresses(&self.hub.config, &self.hub.hosts).any(|address| address == ip)
    }

    /// What the transports have refused by themselves, by source.
    pub fn malformed(&mut self, sources: Vec<(IpAddr, Proof, u32)>) {
        for (source, proof, count) in sources {
            self.struck(bans::network(source), proof, count, Strike::Malformed);
        }
    }

    fn struck(&mut self, source: IpAddr, proof: Proof, count: u32, why: Strike) {
        let label = format!("guard_strikes_total{{reason=\"{}\"}}", why.label());
        *self.hub.counters.entry(label).or_insert(0) += u64::from(count);
        let length = self.hub.config.guard.ban;
        let is_due = self.hub.bans.refused(source, proof, count, self.now.mono);
        if !is_due || length.is_zero() || self.hub.bans.is_banned(source, proof) || self.is_spared(source) {
            return;
        }
        let ended = self.hub.bans.ban(source, proof, length, self.now);
        self.count("guard_bans_total");
        if let Some(ended) = ended {
            self.tell_lifted(ended, By::Switch);
        }
        let until = self.now.wall + length;
        let data = GuardBanned {
            address: source.to_string(),
            until: until.to_string(),
            reason: why.label().to_owned(),
            udp_only: proof == Proof::Datagram,
        };
        self.tell(None, Kind::GuardBanned(data));
        self.bans_changed();
    }

    pub fn lift(&mut self, address: IpAddr, by: By) -> bool {
        let source = bans::network(address);
        let lifted = self.hub.bans.lift(source);
        if lifted {
            self.tell_lifted(source, by);
            self.bans_changed();
        }
        lifted
    }

    /// Those whose time is over.
    pub fn bans_due(&mut self) {
        let over = self.hub.bans.expire(self.now.mono);
        if over.is_empty() {
            return;
        }
        for address in over {
            self.tell_lifted(address, By::Switch);
        }
        self.bans_changed();
    }

    /// A reload or a name has made an address one of a trunk's, or of a proxy of ours.
    pub fn trunks_are_not_banned(&mut self) {
        let wrong: Vec<IpAddr> = self.hub.bans.all().map(|(address, _)| address).filter(|a| self.is_spared(*a)).collect();
        for address in wrong {
            self.lift(address, By::Switch);
        }
    }

    /// Someone at a banned address has registered, or is no longer.
    pub fn binding_moved(&mut self, flow: &Flow) {
        if !self.hub.bans.is_empty() && bans::source(flow).is_some_and(|source| self.hub.bans.is_listed(source)) {
            self.bans_changed();
        }
    }

    /// The transports know where phones are registered from.
    pub fn known_changed(&mut self, change: &Change) {
        let (gone, added) = match change {
            Change::Added(_, binding) => (None, Some(binding.flow.remote)),
            Change::Refreshed(_, was, binding) => (Some(was.remote), Some(binding.flow.remote)),
            Change::Replaced(_, old, binding) => (Some(old.flow.remote), Some(binding.flow.remote)),
            Change::Removed(_, binding) | Change::Expired(_, binding) | Change::Lost(_, binding) => {
                (Some(binding.flow.remote), None)
            }
        };
        if gone != added {
            self.out.extend(gone.map(|address| Output::Known(Known::Gone(address))));
            self.out.extend(added.map(|address| Output::Known(Known::Added(address))));
        }
    }

    /// All of it: at the start, and after a fault, which may have lost a change.
    pub fn tell_known(&mut self) {
        let all = self.hub.registrar.all().map(|(_, binding)| binding.flow.remote).collect();
        self.out.push(Output::Known(Known::All(all)));
    }

    pub fn banned(&self) -> Vec<BanView> {
        let view = |(address, ban): (IpAddr, &bans::Ban)| BanView {
            address: address.to_string(),
            since: ban.since.to_string(),
            until: ban.until.to_string(),
            udp_only: ban.proof == Proof::Datagram,
        };
        self.hub.bans.all().map(view).collect()
    }

    /// Somebody tries passwords.
    pub fn alarmed(&mut self, alarm: Alarm) {
        self.count("guard_alarms_total");
        let sources = alarm.sources.iter().map(ToString::to_string).collect();
        self.tell(None, Kind::GuardAlarm(GuardAlarm { user: alarm.user, sources, failures: alarm.failures }));
    }

    /// All of them anew: they change seldom.
    fn bans_changed(&mut self) {
        let mut spared: BTreeMap<IpAddr, Vec<SocketAddr>> =
            self.hub.bans.all().map(|(address, _)| (address, Vec::new())).collect();
        for (_, binding) in self.hub.registrar.all() {
            if let Some(flows) = bans::source(&binding.flow).and_then(|source| spared.get_mut(&source)) {
                flows.push(binding.flow.remote);
            }
        }
        let proofs: BTreeMap<IpAddr, Proof> = self.hub.bans.all().map(|(address, ban)| (address, ban.proof)).collect();
        let of = |address: &IpAddr| proofs.get(address).copied().unwrap_or(Proof::Datagram);
        let all = spared.into_iter().map(|(address, spared)| Banned { proof: of(&address), address, spared }).collect();
        self.out.push(Output::Bans(all));
    }

    fn tell_lifted(&mut self, address: IpAddr, by: By) {
        self.tell(None, Kind::GuardLifted(GuardLifted { address: address.to_string(), by }));
    }

    pub fn holds_a_binding(&self, from: &From) -> bool {
        self.hub.registrar.all().any(|(_, binding)| from.is_of(binding))
    }

    /// A trunk is there, or an edge proxy of our own: all who are behind it would be shut out with it.
    fn is_spared(&self, source: IpAddr) -> bool {
        let config = &self.hub.config;
        config.sip.proxies.iter().any(|proxy| proxy.contains(source) || bans::network(proxy.address()) == source)
            || route::addresses(config, &self.hub.hosts).any(|address| bans::network(address) == source)
    }
}
