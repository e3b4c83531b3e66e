//! What is heard, and how well.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::conversation::MissingCause;
use crate::ids::LegId;
pub use crate::media::{Quality, Way};

/// For the operator.
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
