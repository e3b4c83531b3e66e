//! Phones that went without a word: who does not answer is asked whether it is there, and is registered no more if it says nothing.
//!
//! A binding is doubted when a request to it had no answer or no way, and when the keep-alives that it has promised (RFC 5626 §4.4) stay
//! out: the transports count those and tell the core of silence alone. Then it is sent OPTIONS, by its own way. Whatever comes back,
//! it lives; without an answer (timer F) the binding ends before its time, with an event, and with it what hangs on it.
//!
//! A part of the network may be gone for a minute, and phones do not register anew because of it: two probes have to go unanswered, and
//! whatever else comes from there is as good as an answer. What is dead may be our own network. So silence counts only if somebody else has
//! been heard since the probe went out: for a phone behind a proxy of ours the proxy, which also may say itself that its phone's flow is gone
//! (430, RFC 5626 §5.3; 408). Probes go out one after another at a pace, one a binding at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::hub::{AGENT, Cx, Purpose};
use super::outgoing::host;
use super::{Output, Switch};
use crate::clock::{Mono, Now};
use crate::ids::{LegId, Number};
use crate::registrar::Binding;
use crate::route::Cause;
use crate::sip::{CSeq, Flow, HeaderName, Method, NameAddr, Request, SipUri, Status, Transport, Uri};
use crate::transaction::TransactionId;

/// Between two probes: when ten thousand phones are silent at once, their OPTIONS are no storm.
const PACE: Duration = Duration::from_millis(20);

/// Refused by a router or our own network card: it may be down for a moment, so it is asked so often …
const REFUSALS: u8 = 3;
/// … with so long between.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// Silent: asked so often …
const SILENCES: u8 = 2;
/// … with so long between. Likewise while nobody is heard at all …
const AFTER_SILENCE: Duration = Duration::from_secs(30);
/// … but not for ever; the next call begins anew.
const MOST_TRIES: u8 = 10;

/// Names a binding: its number and [`Binding::key`].
pub(super) type Name = (Number, String);

#[derive(Debug, Default)]
pub(super) struct Doubts {
    all: BTreeMap<Name, Doubt>,
    /// Who is to be asked, and since when.
    due: BTreeSet<(Mono, Name)>,
    /// No probe goes out before.
    next: Mono,
    /// The last two whom we have heard, while anybody is doubted.
    heard: [Option<(SocketAddr, Mono)>; 2],
    /// Where the doubted ones are, with how many, and when we have heard them.
    own: BTreeMap<SocketAddr, (usize, Option<Mono>)>,
}

#[derive(Debug)]
struct Doubt {
    /// As it was registered then: one that has been renewed is beyond doubt.
    binding: Binding,
    /// When it was asked last.
    asked: Mono,
    /// And when before that; at first, when the doubt came up.
    before: Mono,
    tries: u8,
}

impl Doubts {
    pub fn deadline(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| (*at).max(self.next))
    }

    /// Something came from there.
    pub fn heard(&mut self, from: SocketAddr, now: Mono) {
        if self.all.is_empty() {
            return;
        }
        if let Some((_, at)) = self.own.get_mut(&from) {
            *at = Some(now);
        }
        match &mut self.heard {
            [Some((last, at)), _] if *last == from => *at = now,
            [last, before] => (*before, *last) = (*last, Some((from, now))),
        }
    }

    /// Whether our own network lives, as far as the silence of this binding goes: somebody else was heard since it was asked, or where that
    /// was refused at once, since it was asked before. This machine's own programs say nothing of it.
    fn is_alone(&self, doubt: &Doubt, refused: bool) -> bool {
        let own = doubt.binding.flow.remote;
        let is_proxied = doubt.binding.reported.is_some();
        let is_local = |at: SocketAddr| at.ip().to_canonical().is_loopback();
        let tells = |from: SocketAddr| match is_proxied {
            true => from.ip() == own.ip(),
            false => from != own && is_local(from) == is_local(own),
        };
        self.heard.iter().flatten().any(|(from, at)| *at > if refused { doubt.before } else { doubt.asked } && tells(*from))
    }

    /// Whether the phone itself was heard since it was asked; behind a proxy that is the proxy, or another phone.
    fn has_spoken(&self, doubt: &Doubt) -> bool {
        let heard = self.own.get(&doubt.binding.flow.remote).and_then(|(_, at)| *at);
        !doubt.is_proxied() && heard.is_some_and(|at| at > doubt.asked)
    }

    fn begin(&mut self, number: &Number, binding: Binding, now: Mono) {
        let name = (number.clone(), binding.key());
        if self.all.get(&name).is_some_and(|known| known.binding == binding) {
            return;
        }
        // The one that was doubted has been renewed since.
        if self.end(&name).is_some() {
            self.due.retain(|(_, due)| *due != name);
        }
        self.own.entry(binding.flow.remote).or_default().0 += 1;
        self.due.insert((now, name.clone()));
        self.all.insert(name, Doubt { binding, asked: now, before: now, tries: 0 });
    }

    fn end(&mut self, name: &Name) -> Option<Doubt> {
        let doubt = self.all.remove(name)?;
        let remote = doubt.binding.flow.remote;
        if let Some((count, _)) = self.own.get_mut(&remote) {
            *count -= 1;
            if *count == 0 {
                self.own.remove(&remote);
            }
        }
        Some(doubt)
    }
}

impl Doubt {
    fn is_proxied(&self) -> bool {
        self.binding.reported.is_some() || !self.binding.path.is_empty()
    }
}

/// It has promised to be heard every 25 s, by us and nobody between (RFC 5626 §4.4.2).
fn keeps_alive(binding: &Binding) -> bool {
    binding.flow.transport == Transport::Udp
        && binding.reported.is_none()
        && binding.path.is_empty()
        && binding.device_of_flows().is_some()
}

impl Switch {
    /// A request of ours has no answer: is its phone there still?
    pub(super) fn doubt_receiver(&mut self, id: TransactionId, now: Now, out: &mut Vec<Output>) {
        let found = match self.hub.purposes.get(&id) {
            Some(Purpose::Invite(leg) | Purpose::Bye(leg) | Purpose::Refresh(leg) | Purpose::Probe(leg)) => self.reached_by(*leg),
            Some(Purpose::Notify(id)) => self.hub.presence.told_by(*id),
            Some(
                Purpose::Told(_)
                | Purpose::Key(_)
                | Purpose::InDialog
                | Purpose::Register(..)
                | Purpose::Withdraw(_)
                | Purpose::Options(..)
                | Purpose::Message(_)
                | Purpose::Doubt(_),
            )
            | None => None,
        };
        let Some((number, flow)) = found else { return };
        let cx = self.cx(now, out);
        for binding in cx.hub.registrar.bindings(&number, now).into_iter().filter(|binding| binding.flow == flow) {
            cx.hub.doubts.begin(&number, binding, now.mono);
        }
    }

    fn reached_by(&self, leg: LegId) -> Option<(Number, Flow)> {
        let conversation = self.conversation_of(leg).and_then(|id| self.conversations.get(&id));
        let (peer, call) = match conversation.and_then(|conv| conv.leg(leg)) {
            Some(leg) => (&leg.peer, &leg.call),
            None => self.hub.departing.get(&leg).map(|departing| (&departing.peer, &departing.call))?,
        };
        Some((peer.phone()?.clone(), *call.flow()?))
    }
}

impl Cx<'_> {
    /// The keep-alives of these have stayed out.
    pub fn fell_silent_on(&mut self, remotes: &[SocketAddr]) {
        let remotes: BTreeSet<&SocketAddr> = remotes.iter().collect();
        let silent = |(_, binding): &(&Number, &Binding)| keeps_alive(binding) && remotes.contains(&binding.flow.remote);
        let silent: Vec<(Number, Binding)> =
            self.hub.registrar.all().filter(silent).map(|(number, binding)| (number.clone(), binding.clone())).collect();
        for (number, binding) in silent {
            self.count("sip_silent_flows_total");
            self.hub.doubts.begin(&number, binding, self.now.mono);
        }
    }

    /// Its keep-alives are awaited from here on, if it sends any.
    pub fn watch_flow(&mut self, binding: &Binding) {
        if keeps_alive(binding) {
            self.out.push(Output::Watch(binding.flow.remote));
        }
    }

    /// After a start: phones have not been told that we were away.
    pub fn watch_flows(&mut self) {
        let all: Vec<Binding> =
            self.hub.registrar.all().map(|(_, binding)| binding).filter(|b| keeps_alive(b)).cloned().collect();
        for binding in all {
            self.watch_flow(&binding);
        }
    }

    /// Asks the next one, if it is time.
    pub fn doubts_due(&mut self) {
        let now = self.now.mono;
        while self.hub.doubts.deadline().is_some_and(|at| at <= now)
            && let Some((_, name)) = self.hub.doubts.due.pop_first()
        {
            let Some(doubt) = self.hub.doubts.all.get(&name) else { continue };
            let held = self.hub.registrar.bindings(&name.0, self.now);
            match held.contains(&doubt.binding).then(|| doubt.binding.clone()) {
                Some(binding) => {
                    self.hub.doubts.next = now + PACE;
                    if let Some(doubt) = self.hub.doubts.all.get_mut(&name) {
                        (doubt.before, doubt.asked) = (doubt.asked, now);
                    }
                    self.ask_whether_there(name, &binding);
                }
                None => {
                    self.hub.doubts.end(&name);
                }
            }
        }
    }

    fn ask_whether_there(&mut self, name: Name, binding: &Binding) {
        let Ok(target) = Uri::parse(binding.contact.clone()) else { return };
        let domain = self.hub.config.site.domain.clone();
        let from = NameAddr::new(SipUri::new(name.0.as_str(), host(&domain), None));
        let mut request = Request::new(Method::Options, target.clone());
        for hop in &binding.path {
            request.headers.push(HeaderName::Route, hop.clone());
        }
        request.headers.push(HeaderName::MaxForwards, 70u32);
        request.headers.push(HeaderName::From, from.with_tag(self.hub.chance.token()));
        request.headers.push(HeaderName::To, NameAddr::new(target));
        request.headers.push(HeaderName::CallId, format!("{}@{domain}", self.hub.chance.token()));
        request.headers.push(HeaderName::CSeq, CSeq::new(1, Method::Options));
        request.headers.push(HeaderName::Contact, self.contact(name.0.as_str(), &binding.flow));
        request.headers.push(HeaderName::UserAgent, AGENT);
        self.count("sip_flows_probed_total");
        self.request(request, binding.flow, Purpose::Doubt(name));
    }

    /// Something came back. What a proxy says of its own is no sign of its phone.
    pub fn doubt_answered(&mut self, name: &Name, status: Status) {
        let Some(doubt) = self.hub.doubts.all.get(name) else { return };
        let is_proxied = doubt.is_proxied();
        match status {
            Status::REQUEST_TIMEOUT | Status::FLOW_FAILED if is_proxied => self.drop_silent(name),
            _ if is_proxied && status.is_provisional() => {}
            _ => self.is_there_still(name),
        }
    }

    fn is_there_still(&mut self, name: &Name) {
        if let Some(doubt) = self.hub.doubts.end(name) {
            self.watch_flow(&doubt.binding);
        }
    }

    /// Nothing came back, or nothing could be sent.
    pub fn doubt_unanswered(&mut self, name: &Name, cause: Cause) {
        let doubts = &mut self.hub.doubts;
        let Some(doubt) = doubts.all.get_mut(name) else { return };
        doubt.tries = doubt.tries.saturating_add(1);
        let tries = doubt.tries;
        let refused = cause == Cause::Unreachable;
        let (alone, has_spoken) =
            doubts.all.get(name).map_or((false, false), |d| (doubts.is_alone(d, refused), doubts.has_spoken(d)));
        let enough = if refused { REFUSALS } else { SILENCES };
        match () {
            () if has_spoken => self.is_there_still(name),
            () if alone && tries >= enough => self.drop_silent(name),
            () if tries >= MOST_TRIES => self.is_there_still(name),
            () => {
                let wait = if refused && tries < REFUSALS { AFTER_REFUSAL } else { AFTER_SILENCE };
                self.hub.doubts.due.insert((self.now.mono + wait, name.clone()));
            }
        }
    }

    fn drop_silent(&mut self, name: &Name) {
        let Some(doubt) = self.hub.doubts.end(name) else { return };
        let mut changes = Vec::new();
        self.hub.registrar.lose(&name.0, &doubt.binding, &mut changes);
        if !changes.is_empty() {
            self.count("sip_flows_dead_total");
        }
        self.bindings_changed(changes);
    }
}
