//! One SIP dialog with its media.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;

use super::guest::GuestId;
use super::info_keys::InfoKeys;
use super::missing::Missing;
use crate::acd::OfferId;
use crate::clock::Mono;
use crate::dialog::{Call, Provisionals, Session, SessionTimer};
use crate::ids::{LegId, Number, StaffNumber, TrunkName};
use crate::media::{Lease, Quality, Source};
use crate::route::{Cause, Side};
use crate::sdp::{Description, Negotiation};
use crate::sip::{Flow, Uri};

#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    pub peer: Peer,
    pub role: Role,
    pub call: Call,
    pub lease: Lease,
    pub negotiation: Negotiation,
    /// The peer's offer that our answer is due to (in our 2xx).
    pub offered: Option<Description>,
    /// The peer's media runs before the answer (RFC 3960): of one that calls, our answer to its offer, which the 2xx repeats; of one that
    /// is called, nothing.
    pub early: Option<Bytes>,
    /// One that is called has answered our offer in a reliable provisional response (RFC 3262 §5): its 2xx need not say it again.
    pub agreed_early: bool,
    /// What the peer shows as its number, for the other side's display.
    pub shows: String,
    /// Has said 180 or 183, or we have to it.
    pub rang: bool,
    /// Final status of its INVITE.
    pub status: Option<u16>,
    /// Why it ended; `None` while it lives.
    pub cause: Option<Cause>,
    /// Its peer has hung up, and was that then.
    pub hung_up_by: Option<Side>,
    /// Its media's report, when that is closed.
    pub quality: Option<Quality>,
    /// What of its media is told to be missing, and with which cause: both may be judged otherwise when it is back.
    pub missing: Missing,
    /// Its media sounds bad at present.
    pub degraded: bool,
    /// What it hears where it talks with nobody.
    pub given: Source,
    /// What a command has it hear, until that ends.
    pub played: Option<Source>,
    /// What it says is heard by nobody.
    pub muted: bool,
    /// What it has pressed so far of a code that counts within a call.
    pub code_pressed: String,
    /// When the last key of it was pressed.
    pub code_pressed_at: Mono,
    /// What its media worker was told last that it hears.
    pub hears: Source,
    /// The media was told to close.
    pub closed: bool,
    /// It transferred the other away and should hang up by itself; then, we do.
    pub lets_go_at: Option<Mono>,
    /// It holds, so its silence says nothing: it is asked then whether it is there.
    pub probe_at: Option<Mono>,
    /// The last probe found no way to it.
    pub lost_way: bool,
    /// Behind an edge proxy of our own, whose address it shares with others: where that says that it is.
    pub reported: Option<IpAddr>,
    /// Further flows of the device that it rings at (RFC 5626 §5.3), for when this one fails.
    pub flows: VecDeque<OtherFlow>,
    /// Its INVITE of ours has a provisional response, if only 100.
    pub tried: bool,
    /// Provisional responses that we have sent it.
    pub provisionals: Provisionals,
    /// What its INVITE asked for (RFC 4028), until our 2xx grants it.
    pub session_asked: Option<SessionTimer>,
    /// The timer that its session has.
    pub session: Option<Session>,
    /// The peer takes UPDATE (its Allow said so): a refresh needs no INVITE.
    pub takes_update: bool,
    /// Keys that it is told by INFO.
    pub info: InfoKeys,
}

/// Another way to a device.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherFlow {
    pub contact: Uri,
    pub flow: Flow,
    pub path: Vec<Bytes>,
    /// Where an edge proxy says that it is.
    pub reported: Option<IpAddr>,
    /// What its display shows beside the number.
    pub title: Option<String>,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    Phone(Number),
    Trunk(TrunkName),
}

impl Peer {
    pub fn is_trunk(&self) -> bool {
        match self {
            Peer::Trunk(_) => true,
            Peer::Phone(_) => false,
        }
    }

    pub fn phone(&self) -> Option<&Number> {
        match self {
            Peer::Phone(number) => Some(number),
            Peer::Trunk(_) => None,
        }
    }
}

/// `phone:201`, `trunk:carrier`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Phone(number) => write!(f, "phone:{number}"),
            Peer::Trunk(name) => write!(f, "trunk:{name}"),
        }
    }
}

/// Why the leg is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Began the conversation.
    Caller,
    /// Is rung, or talks, because the subject was sent to it.
    Callee,
    /// Is rung, or is there, to talk or listen beside the two who are bridged.
    Guest(GuestId),
    /// Is rung, or talks, on an offer of a queue.
    Agent { agent: StaffNumber, offer: OfferId },
}

impl Leg {
    /// One that has just begun.
    pub fn new(id: LegId, peer: Peer, role: Role, call: Call, lease: Lease, negotiation: Negotiation, shows: String) -> Leg {
        Leg {
            id,
            peer,
            role,
            call,
            lease,
            negotiation,
            offered: None,
            early: None,
            agreed_early: false,
            shows,
            rang: false,
            status: None,
            cause: None,
            hung_up_by: None,
            quality: None,
            missing: Missing::default(),
            degraded: false,
            given: Source::Nothing,
            played: None,
            muted: false,
            code_pressed: String::new(),
            code_pressed_at: Mono::default(),
            hears: Source::Nothing,
            closed: false,
            lets_go_at: None,
            probe_at: None,
            lost_way: false,
            reported: None,
            flows: VecDeque::new(),
            tried: false,
            provisionals: Provisionals::default(),
            session_asked: None,
            session: None,
            takes_update: false,
            info: InfoKeys::default(),
        }
    }

    /// Still of use: not over, and nobody has decided to end it.
    pub fn is_live(&self) -> bool {
        self.cause.is_none()
    }

    /// Rung by us, without an answer yet.
    pub fn is_ringing(&self) -> bool {
        self.is_live() && self.call.is_inviting()
    }

    pub fn is_answered(&self) -> bool {
        self.is_live() && self.call.is_answered()
    }

    /// A 2xx has passed, whether it is over since or not.
    pub fn was_answered(&self) -> bool {
        self.call.is_answered() || self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The INVITE's offer has its answer, reliably, although there is no 2xx yet.
    pub fn has_described(&self) -> bool {
        self.agreed_early || self.provisionals.have_described()
    }

    /// The peer does not listen: it put us on hold.
    pub fn is_holding(&self) -> bool {
        self.negotiation.agreed().is_some_and(|a| !a.send)
    }

    /// It holds, and sends all the same: a trunk's own music is what is meant to be heard. A phone's is not; there the centre has its own.
    pub fn has_music(&self) -> bool {
        self.peer.is_trunk() && self.negotiation.agreed().is_some_and(|a| !a.send && a.receive)
    }

    /// It has no telephone-event, and takes INFO.
    pub fn hears_keys_by_info(&self) -> bool {
        self.info.is_taken() && self.negotiation.agreed().is_some_and(|agreed| agreed.telephone_event.is_none())
    }

    pub fn agent(&self) -> Option<&StaffNumber> {
        match &self.role {
            Role::Agent { agent, .. } => Some(agent),
            Role::Caller | Role::Callee | Role::Guest(_) => None,
        }
    }
}

/// What is remembered of a leg that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    pub leg: LegId,
    pub peer: Peer,
    pub cause: Cause,
    pub status: Option<u16>,
    pub quality: Option<Quality>,
    pub by: Option<Side>,
}

impl Gone {
    pub fn of(leg: &Leg) -> Gone {
        Gone {
            leg: leg.id,
            peer: leg.peer.clone(),
            cause: leg.cause.unwrap_or(Cause::Normal),
            status: leg.status,
            quality: leg.quality,
            by: leg.hung_up_by.clone(),
        }
    }
}
