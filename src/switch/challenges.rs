//! Requests of ours that come back and are sent once more: with the credentials that a peer asks for (RFC 3261 §22), or mended otherwise.
//!
//! Credentials go to the one that they are of and to nobody else: a trunk's to an address of that trunk, a phone's to where the phone is
//! heard. Both the place that the challenge says it is from, which may be forged, and the place that the request goes to must be one of
//! those: whoever has a call with us and names another place in its Contact gets no digest to guess at.

use super::hub::{Cx, Purpose};
use super::{Output, Switch};
use crate::clock::Now;
use crate::config::Secret;
use crate::conversation::Peer;
use crate::dialog::Call;
use crate::ids::LegId;
use crate::registrar::answer_challenge;
use crate::route;
use crate::sip::{Flow, HeaderName, Request, Response};
use crate::transaction::TransactionId;

/// Challenges that one request answers: the first, and two that only say that the nonce was old.
const MOST_ANSWERS: u8 = 3;

impl Purpose {
    /// The leg that a request is in the dialog of.
    fn leg(&self) -> Option<LegId> {
        match self {
            Purpose::Invite(leg)
            | Purpose::Told(leg)
            | Purpose::Key(leg)
            | Purpose::Refresh(leg)
            | Purpose::Probe(leg)
            | Purpose::Bye(leg) => Some(*leg),
            Purpose::InDialog
            | Purpose::Register(..)
            | Purpose::Withdraw(_)
            | Purpose::Options(..)
            | Purpose::Doubt(_)
            | Purpose::Notify(_)
            | Purpose::Message(_) => None,
        }
    }
}

impl Switch {
    /// A 401 or 407 to a request of a call: whether it is on its way again, with credentials. If not, it is a refusal like others.
    #[allow(clippy::too_many_arguments, reason = "the parts of a response, and what every input has")]
    pub(super) fn challenged(
        &mut self,
        id: TransactionId,
        sent: Request,
        purpose: Purpose,
        response: &Response,
        flow: Flow,
        now: Now,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(leg) = purpose.leg() else { return false };
        let answers = self.hub.answers.get(&id).copied().unwrap_or(0);
        let stale = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate]
            .iter()
            .any(|name| response.headers.challenges(name).iter().any(|challenge| challenge.stale));
        // A second one that is not for the nonce's age means that the credentials are wrong.
        if answers > 0 && !stale || answers >= MOST_ANSWERS {
            return false;
        }
        let again = match self.conversation_of(leg) {
            Some(conversation) => self.with(conversation, now, out, |cx, conv| {
                let leg = conv.legs.get_mut(&leg)?;
                let peer = leg.peer.clone();
                cx.answer_challenge(&peer, &mut leg.call, sent, purpose, response, flow)
            }),
            None => {
                let Some(mut departing) = self.hub.departing.remove(&leg) else { return false };
                let peer = departing.peer.clone();
                let again = self.cx(now, out).answer_challenge(&peer, &mut departing.call, sent, purpose, response, flow);
                self.hub.departing.insert(leg, departing);
                Some(again)
            }
        };
        let Some(again) = again.flatten() else { return false };
        self.hub.purposes.remove(&id);
        self.hub.answers.remove(&id);
        self.hub.answers.insert(again, answers + 1);
        true
    }
}

impl Cx<'_> {
    fn answer_challenge(
        &mut self,
        peer: &Peer,
        call: &mut Call,
        sent: Request,
        purpose: Purpose,
        response: &Response,
        heard_on: Flow,
    ) -> Option<TransactionId> {
        let config = self.config();
        let places = [heard_on.remote.ip(), call.goes_again_to(&sent)?.remote.ip()];
        let (user, secret): (&str, &Secret) = match peer {
            Peer::Trunk(name) => {
                let trunk = config.trunks.get(name)?;
                let are_its = places.iter().all(|place| route::has_address(trunk, *place, &self.hub.hosts));
                (trunk.user.as_deref().filter(|_| are_its)?, trunk.secret.as_ref()?)
            }
            Peer::Phone(number) => {
                let phone = config.phones.get(number)?;
                let its = call.flow()?.remote.ip().to_canonical();
                let are_its = places.iter().all(|place| place.to_canonical() == its);
                (number.as_str(), Some(&phone.secret).filter(|_| are_its)?)
            }
        };
        let cnonce = self.hub.chance.token();
        let again = self.again(call, sent, purpose, |again| answer_challenge(again, response, user, secret, &cnonce));
        if again.is_some() {
            self.count("sip_challenges_answered_total");
        }
        again
    }

    /// Sends a request of a call once more, as `mend` makes it; nothing where it can't be mended, or is of no use any more.
    pub fn again(
        &mut self,
        call: &mut Call,
        mut request: Request,
        purpose: Purpose,
        mend: impl FnOnce(&mut Request) -> bool,
    ) -> Option<TransactionId> {
        if !mend(&mut request) {
            return None;
        }
        let to = call.again(&mut request)?;
        let transaction = self.request(request.clone(), to, purpose);
        call.sent_again(transaction, request, to);
        Some(transaction)
    }
}
