//! What of a leg's media is missing, with the cause that was found for it when it was told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::media::Absence;

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

/// What is told to be missing of one leg.
#[derive(Debug, Default)]
pub struct Missing(Vec<(Absence, MissingCause)>);

impl Missing {
    /// One that has been told already is there once.
    pub fn put(&mut self, absence: Absence, cause: MissingCause) {
        self.0.retain(|(known, _)| std::mem::discriminant(known) != std::mem::discriminant(&absence));
        self.0.push((absence, cause));
    }

    /// It is there again: with which cause it was told, if it was.
    pub fn take(&mut self, absence: Absence) -> Option<MissingCause> {
        let at = self.0.iter().position(|(known, _)| *known == absence)?;
        Some(self.0.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_back_was_missing_with_the_cause_that_was_told() {
        let mut missing = Missing::default();
        missing.put(Absence::NeverCame, MissingCause::ItsAddressIsPrivate);
        missing.put(Absence::Silence, MissingCause::Silence);
        missing.put(Absence::NeverCame, MissingCause::NeverCame);
        assert_eq!(missing.take(Absence::Stopped), None);
        assert_eq!(missing.take(Absence::NeverCame), Some(MissingCause::NeverCame));
        assert_eq!(missing.take(Absence::NeverCame), None);
        assert_eq!(missing.take(Absence::Silence), Some(MissingCause::Silence));
    }
}
