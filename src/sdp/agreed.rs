//! What an offer and its answer agree on.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::codec::Codec;
use crate::rtp::srtp::Pair;

use super::browser::IceDtls;
use super::xr::Extended;

/// The outcome of one offer/answer exchange, from our side. `media::Session` is made from it (`From`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// Where to send. `None`: the peer gave 0.0.0.0, a name, or an address that we refuse (multicast, broadcast).
    pub remote: Option<SocketAddr>,
    /// Where RTCP goes: the port above, or what `a=rtcp` says (RFC 3605).
    pub remote_rtcp: Option<SocketAddr>,
    pub codec: Codec,
    /// Payload type that the peer listens for.
    pub payload_type: u8,
    /// What the peer may send, by the payload types that we told it; `codec` first.
    pub receives: ArrayVec<(u8, Codec), 5>,
    /// telephone-event that the peer listens for: payload type, and clock rate in Hz.
    pub telephone_event: Option<(u8, u32)>,
    /// And all that it may send.
    #[serde(default)]
    pub telephone_events_in: TelephoneEvents,
    /// We may send.
    pub send: bool,
    /// The peer may send.
    pub receive: bool,
    pub ptime_ms: u8,
    /// The peer asks that silence is not sent (`usedtx` of Opus, RFC 7587 §6.1).
    pub dtx: bool,
    /// The extended reports that the peer asks for.
    #[serde(default)]
    pub extended: Extended,
    /// RTP and RTCP are encrypted under these keys; `None`: plain.
    pub srtp: Option<Pair>,
    /// The leg is a browser: `remote` is nothing then, since ICE finds where to send.
    #[serde(default)]
    pub dtls: Option<Box<IceDtls>>,
}

/// Payload types of telephone-event, each with its clock rate in Hz: of the clocks that our codecs have, by our number and by the peer's.
pub type TelephoneEvents = ArrayVec<(u8, u32), 8>;

impl Agreed {
    /// The peer put us on hold (`sendonly`, `inactive` or 0.0.0.0): it does not listen.
    pub fn held_by_peer(&self) -> bool {
        !self.send
    }

    /// Sends nothing to an address that differs from where the peer's signalling came from; such a peer is heard first, and then
    /// answered where it sends from. For phones: behind NAT the address in the description is unreachable anyway, and a description
    /// that names a third party makes us flood nobody. Not for trunks, whose media often comes from another machine.
    pub fn distrust(&mut self, signalling: IpAddr) {
        if self.remote.is_some_and(|r| r.ip() != signalling) {
            self.remote = None;
            self.remote_rtcp = None;
        }
    }
}
