//! What is wanted of encryption of audio, and what keys are drawn from.
//!
//! Keys come from a generator of their own, because the journal has the seed of the other one. Nothing that a run does hangs on what they
//! are: a replay draws others, and the digest of its outputs leaves them out.

use super::hub::{Cx, Purpose};
use crate::chance::Chance;
use crate::config::Srtp;
use crate::conversation::{Conversation, Peer};
use crate::ids::LegId;
use crate::sdp::{Direction, Keys, Refusal, Security};
use crate::sip::{Flow, HeaderName, Response, Status};

use super::Switch;

impl Switch {
    /// Draws keys of SRTP from here on from this seed, which is to be chance that is kept nowhere. Without it they come from the seed of
    /// everything else.
    pub fn with_secret_keys(mut self, seed: [u8; 32]) -> Switch {
        self.hub.keys = Chance::seeded(seed);
        self
    }
}

impl Cx<'_> {
    /// What is wanted with a peer.
    pub fn security(&self, peer: &Peer) -> Security {
        match self.own_srtp(peer).unwrap_or(self.hub.config.media.srtp) {
            Srtp::Off => Security::Off,
            Srtp::Preferred => Security::Preferred,
            Srtp::Required => Security::Required,
        }
    }

    fn own_srtp(&self, peer: &Peer) -> Option<Srtp> {
        match peer {
            Peer::Phone(number) => self.hub.config.phones.get(number).and_then(|phone| phone.srtp),
            Peer::Trunk(name) => self.hub.config.trunks.get(name).and_then(|trunk| trunk.srtp),
        }
    }

    /// Keys for a leg whose signalling goes by this flow. Unless they are required they are offered only to a peer that is said to have
    /// SRTP, for others refuse such an offer first; and only where nobody reads them on their way.
    pub fn keys(&mut self, peer: &Peer, flow: &Flow) -> Keys {
        let wanted = self.security(peer);
        let asks = flow.transport.is_secure() && self.own_srtp(peer).is_some();
        Keys::new(wanted, asks, |key| self.hub.keys.fill(key))
    }

    /// Our INVITE was refused, it may be because of its encryption: once more without, where that is allowed. Whether it is on its way.
    pub fn asks_plainly(&mut self, conv: &mut Conversation, id: LegId, refusal: Status) -> bool {
        const OF_MEDIA: [Status; 4] =
            [Status::NOT_ACCEPTABLE_HERE, Status::NOT_ACCEPTABLE, Status::UNSUPPORTED_MEDIA_TYPE, Status::NOT_ACCEPTABLE_GLOBAL];
        if !OF_MEDIA.contains(&refusal) {
            return false;
        }
        let codecs = self.first_codecs(conv);
        let Some(leg) = conv.legs.get_mut(&id).filter(|leg| leg.is_ringing()) else { return false };
        let Some(sent) = leg.call.invite().cloned() else { return false };
        if !leg.negotiation.go_plain() {
            return false;
        }
        let body = leg.negotiation.offer(&codecs, Direction::SendRecv);
        let plain = |again: &mut crate::sip::Request| {
            again.body = body;
            true
        };
        let goes = self.again(&mut leg.call, sent, Purpose::Invite(id), plain).is_some();
        if goes {
            self.count("srtp_offers_refused_total");
        }
        goes
    }
}

/// Why an offer is not taken.
#[derive(Debug)]
pub(super) struct NotTaken {
    pub status: Status,
    /// For people, in a Warning (RFC 3261 §20.43).
    warning: Option<&'static str>,
}

impl NotTaken {
    pub fn said_in(&self, mut response: Response, domain: &str) -> Response {
        if let Some(warning) = self.warning {
            response.headers.push(HeaderName::Warning, format!("399 {domain} \"{warning}\""));
        }
        response
    }
}

impl From<Status> for NotTaken {
    fn from(status: Status) -> NotTaken {
        NotTaken { status, warning: None }
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> NotTaken {
        let warning = match refusal {
            Refusal::Unencrypted => Some("Audio must be encrypted (SRTP, RTP/SAVP)"),
            Refusal::Encrypted => Some("Audio must not be encrypted (RTP/AVP)"),
            Refusal::NoAudio | Refusal::NoCommonCodec { .. } | Refusal::Glare | Refusal::Unasked => None,
        };
        NotTaken { status: Status::new(refusal.status()).unwrap_or(Status::NOT_ACCEPTABLE_HERE), warning }
    }
}
