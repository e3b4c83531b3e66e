//! One dialog's offer/answer (RFC 3264).

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::Codec;

use super::agreed::Agreed;
use super::description::Description;
use super::direction::Direction;

/// Our side of a dialog's session: where the peer shall send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    pub address: IpAddr,
    pub port: u16,
    /// `<sess-id>` of `o=`: chance, for the dialog's life.
    pub session_id: u64,
}

/// Why a description cannot be agreed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no audio over plain RTP is offered")]
    NoAudio,
    #[error("no common codec (offered {offered:?})")]
    NoCommonCodec { offered: Vec<String> },
    /// The peer offered while our own offer is unanswered (RFC 3261 §14.2).
    #[error("an offer of ours is not answered yet")]
    Glare,
    /// An answer without an offer of ours.
    #[error("an answer to nothing")]
    Unasked,
}

impl Refusal {
    /// SIP status that says so to the peer.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NoAudio | Refusal::NoCommonCodec { .. } => 488,
            Refusal::Glare => 491,
            Refusal::Unasked => 400,
        }
    }
}

/// Offer/answer of one dialog. A failed step changes nothing: what was agreed before holds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiation {
    local: Local,
    version: u64,
    agreed: Option<Agreed>,
}

impl Negotiation {
    pub fn new(local: Local) -> Self {
        Negotiation { local, version: 1, agreed: None }
    }

    /// What holds now.
    pub fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Our offer, first or further: `codecs` in our order, telephone-event always. Replaces an unanswered offer of ours.
    pub fn offer(&mut self, codecs: &[Codec], wanted: Direction) -> Bytes {
        let _ = (codecs, wanted);
        Bytes::new()
    }

    /// Our offer was refused (488, 491, a failed INVITE): what held before holds on.
    pub fn withdraw(&mut self) {}

    /// An offer of ours waits for its answer.
    pub fn is_open(&self) -> bool {
        false
    }

    /// Answers the peer's offer. The codec is `prefer` (the other leg's, so that nothing is transcoded) where it is offered and
    /// allowed, else the first in the peer's order that is `allowed`. `wanted` is what we would do if the peer allows it.
    pub fn answer(
        &mut self,
        offer: &Description,
        allowed: &[Codec],
        prefer: Option<Codec>,
        wanted: Direction,
    ) -> Result<(Bytes, Agreed), Refusal> {
        let _ = (offer, allowed, prefer, wanted);
        Err(Refusal::NoAudio)
    }

    /// Takes the peer's answer to our last offer. A second answer to the same offer (18x, then 2xx) is taken like the first.
    pub fn answered(&mut self, answer: &Description) -> Result<Agreed, Refusal> {
        let _ = answer;
        Err(Refusal::Unasked)
    }
}
