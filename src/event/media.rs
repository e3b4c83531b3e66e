//! What is heard, and how well.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::LegId;
pub use crate::media::{Quality, Way};

/// For the operator.
/// Why nothing is heard, most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingCause {
    /// No packet has ever come: a firewall, or a NAT that needs to be spoken through first.
    NeverCame,
    /// The same, and the address that we gave is private while the peer is on the public network: `[media] advertise` is wrong.
    OurAddressIsPrivate,
    /// The same, and the address that the peer gave is private while it calls from the public network.
    ItsAddressIsPrivate,
    /// Packets came, and then no more: the network, or the phone's power.
    Stopped,
    /// Packets come, from an address that is not believed (`seen_from`).
    Stranger,
    /// Packets come of a `payload_type` that was not agreed.
    PayloadType,
    /// What comes is no RTP.
    Malformed,
    /// What comes cannot be decrypted, or is not authentic.
    Undecryptable,
    /// The peer's RTCP said that it leaves.
    Goodbye,
    /// RTCP comes, RTP does not: it is muted, or its RTP port is blocked.
    OnlyReports,
    /// Packets come, and hold nothing but silence since the first: a muted or broken microphone, or a line that is dead behind it.
    Silence,
    /// The other way round: by its reports the peer gets nothing of what it is sent.
    Unheard,
    /// A browser has another certificate than its description vouched for, so that somebody else may be on the way. The leg is ended.
    Fingerprint,
    /// A browser was reached, and its DTLS came to no end. The leg is ended.
    Handshake,
    /// No check of a browser's for 30 s (RFC 7675): its page or its network is gone. The leg is ended.
    Consent,
}

impl MissingCause {
    /// As in the event and in the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            MissingCause::NeverCame => "never_came",
            MissingCause::OurAddressIsPrivate => "our_address_is_private",
            MissingCause::ItsAddressIsPrivate => "its_address_is_private",
            MissingCause::Stopped => "stopped",
            MissingCause::Stranger => "stranger",
            MissingCause::PayloadType => "payload_type",
            MissingCause::Malformed => "malformed",
            MissingCause::Undecryptable => "undecryptable",
            MissingCause::Goodbye => "goodbye",
            MissingCause::OnlyReports => "only_reports",
            MissingCause::Silence => "silence",
            MissingCause::Unheard => "unheard",
            MissingCause::Fingerprint => "fingerprint",
            MissingCause::Handshake => "handshake",
            MissingCause::Consent => "consent",
        }
    }
}

impl fmt::Display for MissingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MissingCause::NeverCame => "no packet has ever come; a firewall or NAT may be in the way",
            MissingCause::OurAddressIsPrivate => {
                "no packet has ever come; our description names a private address to a peer on the public network: see [media] advertise"
            }
            MissingCause::ItsAddressIsPrivate => {
                "no packet has ever come; its description names a private address, so it is behind NAT and has sent nothing through it"
            }
            MissingCause::Stopped => "packets came, and then no more",
            MissingCause::Stranger => "packets come from an address that is not believed",
            MissingCause::PayloadType => "packets come of a payload type that was not agreed",
            MissingCause::Malformed => "what comes is no RTP",
            MissingCause::Undecryptable => "what comes cannot be decrypted",
            MissingCause::Goodbye => "its RTCP said goodbye",
            MissingCause::OnlyReports => "RTCP comes, and no RTP: it is muted, or its RTP is blocked",
            MissingCause::Silence => "it has sent nothing but silence: a muted or broken microphone",
            MissingCause::Unheard => "by its reports it gets nothing of what it is sent",
            MissingCause::Fingerprint => "its certificate is not the one that its description has the fingerprint of",
            MissingCause::Handshake => "its DTLS handshake came to no end",
            MissingCause::Consent => "no ICE check of the browser has come for 30 s",
        })
    }
}

/// `media.present` has the cause that `media.missing` had: a leg may miss two things at once (`silence` or `unheard`, and one of the
/// others).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MediaMissing {
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// `phone:201` or `trunk:carrier`.
    pub peer: String,
    /// Where its media should come from.
    pub expected_from: Option<String>,
    /// Absent in logs from before causes were told.
    #[serde(default)]
    pub cause: Option<MissingCause>,
    /// Of `stranger`: where the packets came from that were refused.
    #[serde(default)]
    pub seen_from: Option<String>,
    /// Of `payload_type`: the one that came.
    #[serde(default)]
    pub payload_type: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MediaQuality {
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub peer: String,
    pub quality: Quality,
}

/// A leg's mean opinion score fell below `[media] degraded_below` within a report interval (about 5 s), or is well above it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MediaDegraded {
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// `phone:201` or `trunk:carrier`.
    pub peer: String,
    /// Of that interval, 1 to 4.5 (MOS-CQE of ITU-T G.107).
    pub mos: f32,
    /// Which of its directions is bad. Absent of `media.recovered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Since the leg began.
    pub quality: Quality,
}
