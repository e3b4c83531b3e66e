//! One dialog's offer/answer (RFC 3264).
//!
//! The rules it keeps: an answer has the offer's `m=` lines in the offer's order, all but one audio line with port 0 (§6); a further
//! offer, ours or the peer's, never has fewer lines than the last (§8); payload types keep their meaning for the dialog's life
//! (§8.3.2); `o=` counts up exactly when the rest of the body changes (§8). A failed step changes nothing: what was agreed before
//! holds on. When to offer, and what a glare means for the dialog, is the dialog's.

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::Codec;

use super::agreed::Agreed;
use super::description::{Audio, Description, Transport};
use super::direction::Direction;
use super::webrtc::{DtlsRole, IceDtls, OurDtls, Setup, TheirDtls};
use super::write::Secured;
use super::{TELEPHONE_EVENT, write};

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
    #[error("no audio is offered over a transport that we have")]
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

/// An `m=` line as both sides have it, without what changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    pub kind: String,
    pub transport: String,
    pub formats: String,
    pub mid: Option<String>,
}

/// What we offered, as far as the answer needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    codecs: Vec<Codec>,
    direction: Direction,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Turn {
    /// The peer may offer, and so may we.
    Nobody,
    /// Our offer waits for its answer.
    Offered(Made),
    /// Answered; kept, because the answer of an 18x may come again, or otherwise, in the 2xx.
    Answered(Made),
}

/// Offer/answer of one dialog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiation {
    local: Local,
    /// Of `o=`, with the rest of the body that it counts for.
    version: u64,
    rest: String,
    lines: Vec<Shape>,
    audio_at: usize,
    /// What telephone-event is called in this dialog.
    event: u8,
    turn: Turn,
    agreed: Option<Agreed>,
    /// What we have for a browser; without it, lines over DTLS are refused.
    dtls: Option<OurDtls>,
    is_bundled: bool,
    /// ICE restarts of the peer's.
    restarts: u32,
}

impl Negotiation {
    pub fn new(local: Local) -> Self {
        Negotiation {
            local,
            version: 0,
            rest: String::new(),
            lines: vec![shape(Transport::Avp, None)],
            audio_at: 0,
            event: TELEPHONE_EVENT,
            turn: Turn::Nobody,
            agreed: None,
            dtls: None,
            is_bundled: false,
            restarts: 0,
        }
    }

    /// The peer may be a browser.
    pub fn with_dtls(self, ours: OurDtls) -> Self {
        Negotiation { dtls: Some(ours), ..self }
    }

    /// The peer is a browser, so our first offer is one that it can take.
    pub fn for_browser(self, ours: OurDtls) -> Self {
        let lines = vec![shape(Transport::DtlsSavpf, Some("0".to_owned()))];
        Negotiation { lines, is_bundled: true, ..self.with_dtls(ours) }
    }

    /// Our audio line is over DTLS.
    fn is_dtls(&self) -> bool {
        let names = [Transport::DtlsSavpf.name(), Transport::DtlsSavp.name()];
        self.lines.get(self.audio_at).is_some_and(|l| names.contains(&l.transport.as_str()))
    }

    fn secured(&self, setup: Setup) -> Option<Secured> {
        let ours = self.dtls.as_ref().filter(|_| self.is_dtls())?;
        Some(Secured { ice: ours.credentials(self.restarts), fingerprint: ours.fingerprint, setup, is_bundled: self.is_bundled })
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
        let numbered: Vec<_> = codecs.iter().map(|c| (c.payload_type(), *c)).collect();
        let ptime_ms = self.agreed.as_ref().map_or(20, |a| a.ptime_ms);
        let secured = self.secured(Setup::Actpass);
        let dtls = secured.as_ref();
        let audio = write::OurAudio { codecs: &numbered, telephone_event: Some(self.event), direction: wanted, ptime_ms, dtls };
        let rest = write::rest(&self.local, &self.lines, self.audio_at, &audio);
        self.turn = Turn::Offered(Made { codecs: codecs.to_vec(), direction: wanted });
        self.publish(rest)
    }

    /// Our offer was refused (488, 491, a failed INVITE): what held before holds on.
    pub fn withdraw(&mut self) {
        self.turn = Turn::Nobody;
    }

    /// An offer of ours waits for its answer.
    pub fn is_open(&self) -> bool {
        matches!(self.turn, Turn::Offered(_))
    }

    /// Answers the peer's offer. The codec is `prefer` (the other leg's, so that nothing is transcoded) where it is offered and
    /// allowed, else the one in use, else the first in the peer's order that is `allowed`. `wanted` is what we would do if the peer
    /// allows it.
    pub fn answer(
        &mut self,
        offer: &Description,
        allowed: &[Codec],
        prefer: Option<Codec>,
        wanted: Direction,
    ) -> Result<(Bytes, Agreed), Refusal> {
        if self.is_open() {
            return Err(Refusal::Glare);
        }
        let (audio_at, audio) = offer.audio().filter(|(_, a)| a.dtls.is_none() || self.dtls.is_some()).ok_or(Refusal::NoAudio)?;
        let in_use = self.agreed.as_ref().map(|a| a.codec);
        let (payload_type, codec) = choose(audio, allowed, &[prefer, in_use]).ok_or_else(|| no_common_codec(audio))?;
        let telephone_event = audio.telephone_event();
        let direction = wanted.and(offered_direction(audio).reversed());
        if let (Some(before), Some(theirs)) = (self.agreed.as_ref().and_then(|a| a.dtls.as_ref()), &audio.dtls)
            && before.theirs != theirs.ice
        {
            self.restarts += 1;
        }
        let agreed = Agreed {
            dtls: audio.dtls.as_ref().and_then(|theirs| self.ice_dtls(theirs)),
            remote: audio.remote,
            remote_rtcp: audio.remote_rtcp,
            codec,
            payload_type,
            telephone_event,
            telephone_event_in: telephone_event,
            send: direction.sends(),
            receive: direction.receives(),
            ptime_ms: audio.ptime_to_send(),
        };
        self.lines = offer
            .lines
            .iter()
            .map(|l| Shape {
                kind: l.kind.clone(),
                transport: l.transport.name().to_owned(),
                formats: l.formats.clone(),
                mid: l.mid.clone(),
            })
            .collect();
        self.audio_at = audio_at;
        self.is_bundled = offer.lines.get(audio_at).and_then(|l| l.mid.as_ref()).is_some_and(|mid| offer.bundle.contains(mid));
        self.event = telephone_event.unwrap_or_else(|| free_for_event(self.event, audio));
        self.turn = Turn::Nobody;
        let codecs = [(payload_type, codec)];
        let secured = agreed.dtls.as_ref().and_then(|d| self.secured(setup(d.role)));
        let dtls = secured.as_ref();
        let ours = write::OurAudio { codecs: &codecs, telephone_event, direction, ptime_ms: agreed.ptime_ms, dtls };
        let rest = write::rest(&self.local, &self.lines, audio_at, &ours);
        self.agreed = Some(agreed.clone());
        Ok((self.publish(rest), agreed))
    }

    /// Takes the peer's answer to our last offer. A second answer to the same offer (18x, then 2xx) is taken like the first.
    pub fn answered(&mut self, answer: &Description) -> Result<Agreed, Refusal> {
        let made = match &self.turn {
            Turn::Nobody => return Err(Refusal::Unasked),
            Turn::Offered(made) | Turn::Answered(made) => made.clone(),
        };
        // Some peers leave out refused lines, so the line is looked for where it should be, and then anywhere.
        let audio = answer.lines.get(self.audio_at).and_then(|l| l.audio.as_ref());
        let audio = audio.or_else(|| answer.audio().map(|(_, a)| a)).filter(|a| a.dtls.is_some() == self.is_dtls());
        let audio = audio.ok_or(Refusal::NoAudio)?;
        let (payload_type, codec) = choose(audio, &made.codecs, &[]).ok_or_else(|| no_common_codec(audio))?;
        let direction = made.direction.and(offered_direction(audio).reversed());
        let telephone_event = audio.telephone_event();
        let agreed = Agreed {
            dtls: audio.dtls.as_ref().and_then(|theirs| self.ice_dtls(theirs)),
            remote: audio.remote,
            remote_rtcp: audio.remote_rtcp,
            codec,
            payload_type,
            telephone_event,
            telephone_event_in: telephone_event.map(|_| self.event),
            send: direction.sends(),
            receive: direction.receives(),
            ptime_ms: audio.ptime_to_send(),
        };
        self.turn = Turn::Answered(made);
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    /// Roles once taken are kept for as long as the certificate is (RFC 8842 §5.5).
    fn ice_dtls(&self, theirs: &TheirDtls) -> Option<Box<IceDtls>> {
        let ours = self.dtls.as_ref()?.credentials(self.restarts);
        let before = self.agreed.as_ref().and_then(|a| a.dtls.as_ref()).filter(|d| d.fingerprint == theirs.fingerprint);
        let role = before.map_or(theirs.setup.ours(), |d| d.role);
        Some(Box::new(IceDtls { ours, theirs: theirs.ice.clone(), fingerprint: theirs.fingerprint, role }))
    }

    fn publish(&mut self, rest: String) -> Bytes {
        if rest != self.rest {
            self.version += 1;
            self.rest = rest;
        }
        write::body(&self.local, self.version, &self.rest)
    }
}

fn shape(transport: Transport, mid: Option<String>) -> Shape {
    Shape { kind: "audio".to_owned(), transport: transport.name().to_owned(), formats: String::new(), mid }
}

/// How an answer of ours says which part it takes.
fn setup(role: DtlsRole) -> Setup {
    match role {
        DtlsRole::Server => Setup::Passive,
        DtlsRole::Client => Setup::Active,
    }
}

/// What the peer does, from its side. One that gives 0.0.0.0 does not listen, whatever else it says.
fn offered_direction(audio: &Audio) -> Direction {
    if audio.zero_address { audio.direction.and(Direction::SendOnly) } else { audio.direction }
}

fn choose(audio: &Audio, allowed: &[Codec], preferred: &[Option<Codec>]) -> Option<(u8, Codec)> {
    let usable = || audio.formats.iter().filter_map(|f| f.codec.filter(|c| allowed.contains(c)).map(|c| (f.payload_type, c)));
    let wish = |wish: &Option<Codec>| usable().find(|(_, c)| Some(*c) == *wish);
    preferred.iter().find_map(wish).or_else(|| usable().next())
}

fn no_common_codec(audio: &Audio) -> Refusal {
    let name = |f: &super::Format| if f.name.is_empty() { f.payload_type.to_string() } else { f.name.clone() };
    Refusal::NoCommonCodec { offered: audio.formats.iter().map(name).collect() }
}

/// A payload type for telephone-event in our later offers that the peer has not given another meaning: `wish`, else the next.
fn free_for_event(wish: u8, audio: &Audio) -> u8 {
    let taken = |n: &u8| audio.formats.iter().any(|f| f.payload_type == *n);
    (wish..=127).chain(96..wish).find(|n| !taken(n)).unwrap_or(wish)
}
