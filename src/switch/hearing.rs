//! What media workers say of how legs hear and are heard: told, counted, and with the cause that only signalling knows.

use super::hub::Cx;
use crate::conversation::{Conversation, Leg};
use crate::event::{Kind, MediaDegraded, MediaMissing, MediaQuality, MissingCause};
use crate::ids::LegId;
use crate::media::{Absence, Broken, Quality, Way};
use crate::route::Cause;
use crate::sip::is_private;

impl Cx<'_> {
    /// Something is not heard that should be, or again.
    pub fn absent(&mut self, conv: &mut Conversation, id: LegId, absence: Absence, is_missing: bool) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let cause = match is_missing {
            // Before the answer nobody has to say anything.
            true => Some(cause(leg, absence)).filter(|_| leg.is_answered()),
            // What has changed meanwhile changes nothing about why it was missing.
            false => leg.missing.take(absence),
        };
        let Some(cause) = cause else { return };
        if is_missing {
            leg.missing.put(absence, cause);
        }
        let data = MediaMissing {
            seen_from: if let Absence::Stranger { from } = absence { Some(from.to_string()) } else { None },
            payload_type: if let Absence::PayloadType { payload_type } = absence { Some(payload_type) } else { None },
            ..missing(leg, cause)
        };
        if is_missing {
            self.miss(conv, data);
        } else {
            self.tell(Some(conv.id), Kind::MediaPresent(data));
        }
    }

    fn miss(&mut self, conv: &Conversation, data: MediaMissing) {
        let cause = data.cause.map_or("", MissingCause::label);
        self.count(format!("media_missing_total{{cause=\"{cause}\"}}"));
        self.tell(Some(conv.id), Kind::MediaMissing(data));
    }

    /// A browser's leg has no media any more. One whose page has closed it has hung up, whether its BYE comes or not.
    pub fn browser_lost(&mut self, conv: &mut Conversation, id: LegId, why: Broken) {
        let cause = match why {
            Broken::Closed => {
                let by = self.side(conv, id);
                return self.leg_ends(conv, id, Cause::Normal, by);
            }
            Broken::Fingerprint => MissingCause::Fingerprint,
            Broken::Handshake => MissingCause::Handshake,
            Broken::Consent => MissingCause::Consent,
        };
        if let Some(leg) = conv.leg(id) {
            self.miss(conv, missing(leg, cause));
        }
        self.leg_fails(conv, id, Cause::NoMedia);
    }

    /// A leg's score fell (`way` says which) or is good again.
    pub fn scored(&mut self, conv: &mut Conversation, id: LegId, mos: f32, way: Option<Way>, quality: Quality) {
        let conversation = Some(conv.id);
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.degraded = way.is_some();
        let data = MediaDegraded { leg: id, peer: leg.peer.to_string(), mos, way, quality };
        if way.is_some() {
            self.count("media_degraded_total");
            self.tell(conversation, Kind::MediaDegraded(data));
        } else {
            self.tell(conversation, Kind::MediaRecovered(data));
        }
    }

    /// What a leg's media was like, at its end.
    pub fn measured(&mut self, conv: &Conversation, leg: &Leg, quality: Quality) {
        if quality.packets_received + quality.packets_sent == 0 {
            return;
        }
        for (name, packets) in [
            ("media_packets_received_total", quality.packets_received),
            ("media_packets_sent_total", quality.packets_sent),
            ("media_packets_lost_total", u64::try_from(quality.packets_lost).unwrap_or(0)),
            ("media_packets_discarded_total", quality.packets_discarded),
            ("media_packets_refused_total", quality.refused),
        ] {
            self.count_many(name, packets);
        }
        if let Some(mos) = quality.mos {
            self.count("media_legs_rated_total");
            self.count_many("media_mos_hundredths_total", (mos * 100.0).round() as u64);
        }
        let data = MediaQuality { leg: leg.id, peer: leg.peer.to_string(), quality };
        self.tell(Some(conv.id), Kind::MediaQuality(data));
    }
}

fn missing(leg: &Leg, cause: MissingCause) -> MediaMissing {
    MediaMissing {
        leg: leg.id,
        peer: leg.peer.to_string(),
        expected_from: leg.negotiation.agreed().and_then(|a| a.remote).map(|r| r.to_string()),
        cause: Some(cause),
        seen_from: None,
        payload_type: None,
    }
}

/// The media's view, and what the descriptions say of it.
fn cause(leg: &Leg, absence: Absence) -> MissingCause {
    match absence {
        Absence::NeverCame => {
            let is_public = leg.call.flow().is_some_and(|f| !is_private(f.remote.ip()));
            let remote = leg.negotiation.agreed().and_then(|a| a.remote);
            if is_public && is_private(leg.negotiation.local().address) {
                MissingCause::OurAddressIsPrivate
            } else if is_public && remote.is_some_and(|r| is_private(r.ip())) {
                MissingCause::ItsAddressIsPrivate
            } else {
                MissingCause::NeverCame
            }
        }
        Absence::Stopped => MissingCause::Stopped,
        Absence::Stranger { .. } => MissingCause::Stranger,
        Absence::PayloadType { .. } => MissingCause::PayloadType,
        Absence::Malformed => MissingCause::Malformed,
        Absence::Undecryptable => MissingCause::Undecryptable,
        Absence::Goodbye => MissingCause::Goodbye,
        Absence::OnlyReports => MissingCause::OnlyReports,
        Absence::Silence => MissingCause::Silence,
        Absence::Unheard => MissingCause::Unheard,
    }
}
