//! A carrier's gateways that are known by name: who speaks in a call need not be who has set it up, and may have said no address
//! (`Contact: <sip:gw3.carrier.example>`).
//!
//! What such a name stands for (RFC 3263) is asked for when a request comes from where nobody of the trunk is known to be, and not for each
//! call: most carriers stay where they are, and the resolver keeps answers for as long as they are good for. Until the answer the request
//! waits, and what comes behind it from such a place in the same dialog too, in order; then it is judged as any other. No answer is the
//! answer that the name stands for nothing. Who has to know Call-ID and both tags to be asked for makes us ask no flood of questions.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::hub::Cx;
use super::output::{QueryId, Server, Wanted};
use super::{Output, Switch};
use crate::clock::{Mono, Now};
use crate::conversation::Leg;
use crate::ids::LegId;
use crate::sip::{Flow, Host, Request, SipUri, Transport};
use crate::transaction::TransactionId;

/// Names of one dialog that are asked for; more hosts than any call passes between us and a gateway.
const MOST_NAMES: usize = 8;
/// Requests of one dialog that wait. A further one is judged without the names.
const MOST_REQUESTS: usize = 8;
/// Dialogs of which something waits, likewise.
const MOST_DIALOGS: usize = 256;
/// An answer that got lost: longer than a look-up takes, and shorter than who asks waits for us (timer F, RFC 3261 §17.1.2.2).
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Requests within one dialog that wait for what its names stand for.
pub(super) struct Unresolved {
    requests: Vec<(TransactionId, Request, Flow)>,
    asked: BTreeSet<QueryId>,
    found: BTreeSet<IpAddr>,
    pub until: Mono,
}

impl Cx<'_> {
    /// Lets a request wait until the names of its dialog are resolved. False where there is none, or no room.
    pub fn waits_for_names(&mut self, leg: &Leg, transaction: TransactionId, request: &Request, flow: Flow) -> bool {
        let waiting = (transaction, request.clone(), flow);
        if let Some(others) = self.hub.unresolved.get_mut(&leg.id) {
            let has_room = others.requests.len() < MOST_REQUESTS;
            if has_room {
                others.requests.push(waiting);
            }
            return has_room;
        }
        let by = leg.call.flow().map_or(flow.transport, |own| own.transport);
        let mut names: Vec<Wanted> = Vec::new();
        for wanted in leg.call.hosts().iter().filter_map(|uri| wanted(uri, by)) {
            if !names.contains(&wanted) {
                names.push(wanted);
            }
        }
        names.truncate(MOST_NAMES);
        if names.is_empty() || self.hub.unresolved.len() >= MOST_DIALOGS {
            return false;
        }
        let mut asked = BTreeSet::new();
        for wanted in names {
            let query = QueryId(self.next_number());
            asked.insert(query);
            self.out.push(Output::Resolve { query, wanted });
        }
        let until = self.now.mono + LONGEST_WAIT;
        self.hub.unresolved.insert(leg.id, Unresolved { requests: vec![waiting], asked, found: BTreeSet::new(), until });
        true
    }
}

impl Switch {
    /// An answer to a question of ours; false if it is to another one.
    pub(super) fn host_resolved(&mut self, query: QueryId, servers: &[Server], now: Now, out: &mut Vec<Output>) -> bool {
        let Some((leg, waiting)) = self.hub.unresolved.iter_mut().find(|(_, waiting)| waiting.asked.contains(&query)) else {
            return false;
        };
        let leg = *leg;
        waiting.asked.remove(&query);
        waiting.found.extend(servers.iter().flat_map(|server| &server.addresses).map(|at| at.remote.ip().to_canonical()));
        if waiting.asked.is_empty() {
            self.judge(leg, now, out);
        }
        true
    }

    /// What has waited for long enough.
    pub(super) fn names_due(&mut self, now: Now, out: &mut Vec<Output>) {
        let due: Vec<LegId> =
            self.hub.unresolved.iter().filter(|(_, waiting)| waiting.until <= now.mono).map(|(leg, _)| *leg).collect();
        for leg in due {
            self.judge(leg, now, out);
        }
    }

    fn judge(&mut self, leg: LegId, now: Now, out: &mut Vec<Output>) {
        let Some(Unresolved { requests, found, .. }) = self.hub.unresolved.remove(&leg) else { return };
        for (transaction, request, flow) in requests {
            self.within_dialog(transaction, request, flow, Some(&found), now, out);
        }
    }
}

/// What a request to this URI would be sent to (RFC 3263 §4.1): by the transport that it says, else by that of the dialog first.
fn wanted(uri: &SipUri, by: Transport) -> Option<Wanted> {
    let Host::Name(name) = &uri.host else { return None };
    let transports = match uri.transport() {
        _ if uri.secure => vec![Transport::Tls],
        Some(said) => vec![said],
        None => match by {
            Transport::Udp => vec![Transport::Udp, Transport::Tcp],
            Transport::Tcp => vec![Transport::Tcp, Transport::Udp],
            Transport::Tls | Transport::Ws | Transport::Wss => vec![by],
        },
    };
    Some(Wanted { host: name.as_str().to_owned(), port: uri.port, transports })
}
