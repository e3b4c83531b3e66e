//! One dialog's offer/answer (RFC 3264).
//!
//! The rules it keeps: an answer has the offer's `m=` lines in the offer's order, all but one audio line with port 0 (§6); a further
//! offer, ours or the peer's, never has fewer lines than the last (§8); payload types keep their meaning for the dialog's life
//! (§8.3.2); `o=` counts up exactly when the rest of the body changes (§8). A failed step changes nothing: what was agreed before
//! holds on. When to offer, and what a glare means for the dialog, is the dialog's.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::Codec;

use super::agreed::{Agreed, TelephoneEvents};
use super::browser::{FullIce, IceAgent, IceDtls, OurDtls, Setup, TheirDtls};
use super::candidate::{self, Candidate, Candidates, Fragment};
use super::crypto::{Crypto, Security};
use super::description::{Audio, Description, Transport};
use super::direction::Direction;
use super::security::{Keys, Taken};
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
    #[error("no audio that we can take is offered")]
    NoAudio,
    /// Encryption is required, or was agreed on before.
    #[error("audio is not encrypted")]
    Unencrypted,
    /// Encryption is off.
    #[error("audio is encrypted only")]
    Encrypted,
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
            Refusal::NoAudio | Refusal::NoCommonCodec { .. } | Refusal::Unencrypted | Refusal::Encrypted => 488,
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
    codecs: ArrayVec<(u8, Codec), 5>,
    /// telephone-event: payload type and clock rate.
    events: Vec<(u8, u32)>,
    direction: Direction,
    crypto: Vec<Crypto>,
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
    numbers: Numbers,
    keys: Keys,
    turn: Turn,
    agreed: Option<Agreed>,
    /// What we have for a browser; without it, lines over DTLS are refused.
    #[serde(default)]
    dtls: Option<OurDtls>,
    #[serde(default)]
    is_bundled: bool,
    /// ICE restarts of the peer's.
    #[serde(default)]
    restarts: u32,
    /// Candidates that the peer told of before there was an agreement.
    #[serde(default)]
    early: Option<Fragment>,
}

impl Negotiation {
    pub fn new(local: Local) -> Self {
        Negotiation {
            local,
            version: 0,
            rest: String::new(),
            lines: vec![shape(Transport::Avp, None)],
            audio_at: 0,
            numbers: Numbers::default(),
            keys: Keys::default(),
            turn: Turn::Nobody,
            agreed: None,
            dtls: None,
            is_bundled: false,
            restarts: 0,
            early: None,
        }
    }

    /// With keys, for one that may be encrypted.
    pub fn with_keys(self, keys: Keys) -> Self {
        Negotiation { keys, ..self }
    }

    /// The peer is a browser, and has offered as one.
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
        let ice = ours.credentials(self.restarts);
        Some(Secured { agent: ours.agent, ice, fingerprint: ours.fingerprint, setup, is_bundled: self.is_bundled })
    }

    /// Whether anything of an offer could be agreed to; if not, why. `browsers`: one over DTLS could, whatever is wanted of keys in
    /// descriptions.
    pub fn fits(offer: &Description, allowed: &[Codec], wanted: Security, browsers: bool) -> Result<(), Refusal> {
        let keys = Keys::new(wanted, false, |key| key.fill(0));
        let (_, audio, _) = take(&keys, offer, browsers, false)?;
        choose(audio, allowed, &[]).map(|_| ()).ok_or_else(|| no_common_codec(audio))
    }

    /// Our first offer was refused, it may be because of its encryption: the next is plain, where that is allowed. Whether it is.
    pub fn go_plain(&mut self) -> bool {
        self.agreed.is_none() && self.keys.go_plain()
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
        let numbered: ArrayVec<_, 5> = codecs.iter().take(5).map(|c| (self.numbers.of(*c), *c)).collect();
        let mut clocks: Vec<u32> = numbered.iter().map(|(_, c)| c.clock_rate()).collect();
        clocks.sort_unstable();
        clocks.dedup();
        let events: Vec<_> = clocks.into_iter().map(|clock| (self.numbers.of_event(clock), clock)).collect();
        let ptime_ms = self.agreed.as_ref().map_or(20, |a| a.ptime_ms);
        let secured = self.secured(Setup::Actpass);
        let crypto = self.keys.to_offer(self.agreed.as_ref().map(|a| a.srtp.as_ref()));
        if let (None, None, Some(line)) = (&self.agreed, &secured, self.lines.get_mut(self.audio_at)) {
            let transport = if crypto.is_empty() { Transport::Avp } else { Transport::Savp };
            line.transport = transport.name().to_owned();
        }
        let audio = write::OurAudio {
            codecs: &numbered,
            events: &events,
            direction: wanted,
            ptime_ms,
            extended: true,
            crypto: &crypto,
            dtls: secured.as_ref(),
        };
        let rest = write::rest(&self.local, &self.lines, self.audio_at, &audio);
        self.turn = Turn::Offered(Made { codecs: numbered, events, direction: wanted, crypto });
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
    /// allowed, else the one in use, else the first in our order that is offered; which of the two G.711 is the peer's choice, for both
    /// cost the same. `wanted` is what we would do if the peer allows it.
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
        let (audio_at, audio, encrypted) = take(&self.keys, offer, self.dtls.is_some(), self.is_encrypted())?;
        if self.agreed.as_ref().is_some_and(|a| a.dtls.is_some()) && audio.dtls.is_none() {
            return Err(Refusal::NoAudio);
        }
        let in_use = self.agreed.as_ref().map(|a| a.codec);
        let (payload_type, codec) = choose(audio, allowed, &[prefer, in_use]).ok_or_else(|| no_common_codec(audio))?;
        let telephone_event = audio.telephone_event(codec.clock_rate());
        let direction = wanted.and(offered_direction(audio).reversed());
        if let (Some(before), Some(theirs)) = (self.agreed.as_ref().and_then(|a| a.dtls.as_ref()), &audio.dtls)
            && before.theirs != theirs.ice
        {
            self.restarts += 1;
        }
        let agreed = Agreed {
            remote: audio.remote,
            remote_rtcp: audio.remote_rtcp,
            codec,
            payload_type,
            receives: std::iter::once((payload_type, codec)).collect(),
            telephone_event,
            telephone_events_in: audio.telephone_events().take(8).collect(),
            send: direction.sends(),
            receive: direction.receives(),
            ptime_ms: audio.ptime_to_send(),
            dtx: audio.asks_for_dtx(payload_type),
            extended: audio.extended.unwrap_or_default(),
            srtp: encrypted.as_ref().map(|(_, pair)| pair.clone()),
            dtls: audio.dtls.as_ref().and_then(|theirs| self.ice_dtls(theirs, false)),
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
        self.numbers.learn(audio);
        self.turn = Turn::Nobody;
        let codecs = [(payload_type, codec)];
        let crypto: Vec<Crypto> = encrypted.into_iter().map(|(crypto, _)| crypto).collect();
        let secured = agreed.dtls.as_ref().and_then(|d| self.secured(Setup::of(d.role)));
        let ours = write::OurAudio {
            codecs: &codecs,
            events: telephone_event.as_slice(),
            direction,
            ptime_ms: agreed.ptime_ms,
            extended: audio.extended.is_some(),
            crypto: &crypto,
            dtls: secured.as_ref(),
        };
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
        let srtp = match &audio.dtls {
            Some(_) => None,
            None => self.keys.answered(&made.crypto, audio, self.is_encrypted())?,
        };
        let allowed: ArrayVec<Codec, 5> = made.codecs.iter().map(|(_, c)| *c).collect();
        // Of an answer the peer's first is meant (§6.1).
        let (payload_type, codec) = usable(audio, &allowed).next().ok_or_else(|| no_common_codec(audio))?;
        let direction = made.direction.and(offered_direction(audio).reversed());
        let telephone_event = audio.telephone_event(codec.clock_rate());
        // By our number, and by its own, which some answer with. Of clocks that we have not offered there is nothing to be sent.
        let has = |(_, clock): &&(u8, u32)| audio.telephone_events().any(|(_, theirs)| theirs == *clock);
        let named = made.events.iter().filter(has).copied();
        let mut telephone_events_in: TelephoneEvents = named.clone().take(4).collect();
        for event in audio.telephone_events().filter(|(_, clock)| made.events.iter().any(|(_, ours)| ours == clock)).take(4) {
            if !telephone_events_in.contains(&event) {
                telephone_events_in.push(event);
            }
        }
        // The peer may send each codec of its answer, by the number that we gave it; the first is what it prefers.
        let mut receives: ArrayVec<_, 5> =
            made.codecs.iter().copied().filter(|(_, c)| audio.formats.iter().any(|f| f.codec == Some(*c))).collect();
        if let Some(first) = receives.iter().position(|(_, c)| *c == codec) {
            receives.swap(0, first);
        }
        let agreed = Agreed {
            remote: audio.remote,
            remote_rtcp: audio.remote_rtcp,
            codec,
            payload_type,
            receives,
            telephone_event,
            telephone_events_in,
            send: direction.sends(),
            receive: direction.receives(),
            ptime_ms: audio.ptime_to_send(),
            dtx: audio.asks_for_dtx(payload_type),
            extended: audio.extended.unwrap_or_default(),
            srtp,
            dtls: audio.dtls.as_ref().and_then(|theirs| self.ice_dtls(theirs, true)),
        };
        self.turn = Turn::Answered(made);
        self.agreed = Some(agreed.clone());
        Ok(agreed)
    }

    /// What was agreed on is encrypted, and so is all that comes.
    fn is_encrypted(&self) -> bool {
        self.agreed.as_ref().is_some_and(|a| a.srtp.is_some() || a.dtls.is_some())
    }

    /// Candidates that a browser has found since (RFC 8840): the body of its INFO. Those that are new to a full agent of ours.
    pub fn trickle(&mut self, body: &[u8]) -> Vec<Candidate> {
        if self.dtls.as_ref().is_none_or(|ours| ours.agent == IceAgent::Lite) {
            return Vec::new();
        }
        let mid = self.lines.get(self.audio_at).and_then(|l| l.mid.as_deref()).filter(|_| !self.is_bundled);
        let fragment = Fragment::parse(body, mid);
        let address = self.local.address;
        let Some(dtls) = self.agreed.as_mut().and_then(|a| a.dtls.as_mut()) else {
            match self.early.as_mut().filter(|early| early.ufrag == fragment.ufrag) {
                Some(early) => drop(candidate::add(&mut early.candidates, fragment.candidates)),
                None => self.early = Some(fragment),
            }
            return Vec::new();
        };
        // Those of another generation belong to an offer that is not agreed on (RFC 8838 §12).
        let is_of_now = fragment.ufrag.is_none_or(|ufrag| ufrag == dtls.theirs.ufrag);
        let Some(full) = dtls.full.as_mut().filter(|_| is_of_now) else { return Vec::new() };
        let mut all: Candidates = full.candidates.iter().copied().take(Candidate::MOST).collect();
        let new = candidate::add(&mut all, fragment.candidates.into_iter().filter(|c| c.pairs_with(address)));
        full.candidates = all.to_vec();
        new
    }

    /// DTLS roles once taken are kept for as long as the certificate is (RFC 8842 §5.5), ICE's for the session (RFC 8445 §6.1.1).
    /// `is_ours`: the offer.
    fn ice_dtls(&mut self, theirs: &TheirDtls, is_ours: bool) -> Option<Box<IceDtls>> {
        let ours = self.dtls.as_ref()?;
        let before = self.agreed.as_ref().and_then(|a| a.dtls.as_ref());
        let role = before.filter(|d| d.fingerprint == theirs.fingerprint).map_or(theirs.setup.ours(), |d| d.role);
        let full = match ours.agent {
            IceAgent::Lite => None,
            IceAgent::Full => {
                let kept = before.and_then(|d| d.full.as_ref()).map(|full| full.controlling);
                let early = self.early.take().filter(|early| early.ufrag.as_ref().is_none_or(|ufrag| *ufrag == theirs.ice.ufrag));
                let mut candidates = Candidates::new();
                let told = theirs.candidates.iter().copied().chain(early.into_iter().flat_map(|early| early.candidates));
                candidate::add(&mut candidates, told.filter(|c| c.pairs_with(self.local.address)));
                Some(FullIce { controlling: kept.unwrap_or(is_ours) || theirs.is_lite, candidates: candidates.to_vec() })
            }
        };
        let ours = ours.credentials(self.restarts);
        Some(Box::new(IceDtls { ours, theirs: theirs.ice.clone(), fingerprint: theirs.fingerprint, role, full }))
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
    Shape { kind: "audio".into(), transport: transport.name().into(), formats: String::new(), mid }
}

/// The line of an offer that is taken: one over DTLS from a browser, else what the keys say.
fn take<'a>(keys: &Keys, offer: &'a Description, browsers: bool, is_encrypted: bool) -> Result<Taken<'a>, Refusal> {
    match offer.audios().find(|(_, a)| browsers && a.dtls.is_some()) {
        Some((at, audio)) => Ok((at, audio, None)),
        None => keys.take(offer, is_encrypted),
    }
}

/// What the peer does, from its side. One that gives 0.0.0.0 does not listen, whatever else it says.
fn offered_direction(audio: &Audio) -> Direction {
    if audio.zero_address { audio.direction.and(Direction::SendOnly) } else { audio.direction }
}

/// What the peer has of `allowed`, in its order.
fn usable(audio: &Audio, allowed: &[Codec]) -> impl Iterator<Item = (u8, Codec)> {
    audio.formats.iter().filter_map(|f| f.codec.filter(|c| allowed.contains(c)).map(|c| (f.payload_type, c)))
}

/// One of the preferred as it is, else the first of the allowed, where both G.711 are one.
fn choose(audio: &Audio, allowed: &[Codec], preferred: &[Option<Codec>]) -> Option<(u8, Codec)> {
    let wish = |wish: &Option<Codec>| usable(audio, allowed).find(|(_, c)| Some(*c) == *wish);
    let alike = |a: Codec, b: Codec| a == b || (a.g711().is_some() && b.g711().is_some());
    let ours = |codec: &Codec| usable(audio, allowed).find(|(_, c)| alike(*c, *codec));
    preferred.iter().find_map(wish).or_else(|| allowed.iter().find_map(ours))
}

fn no_common_codec(audio: &Audio) -> Refusal {
    let name = |f: &super::Format| if f.name.is_empty() { f.payload_type.to_string() } else { f.name.clone() };
    Refusal::NoCommonCodec { offered: audio.formats.iter().map(name).collect() }
}

/// What payload types mean in a dialog, for our offers: as the peer has said, for a type that has a meaning keeps it (§8.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Numbers {
    codecs: Vec<(Codec, u8)>,
    /// telephone-event by clock rate.
    events: Vec<(u32, u8)>,
    /// Types that the peer means something by, of ours or not.
    taken: Vec<u8>,
}

impl Numbers {
    /// Takes in an offer of the peer's.
    fn learn(&mut self, audio: &Audio) {
        for format in &audio.formats {
            let known = match format.codec {
                Some(codec) => self.codecs.iter().any(|(c, _)| *c == codec),
                None => format.telephone_event && self.events.iter().any(|(clock, _)| *clock == format.clock_rate),
            };
            match format.codec {
                _ if known => {}
                Some(codec) => self.codecs.push((codec, format.payload_type)),
                None if format.telephone_event => self.events.push((format.clock_rate, format.payload_type)),
                None => {}
            }
            if !self.taken.contains(&format.payload_type) {
                self.taken.push(format.payload_type);
            }
        }
    }

    fn of(&mut self, codec: Codec) -> u8 {
        if let Some((_, number)) = self.codecs.iter().find(|(c, _)| *c == codec) {
            return *number;
        }
        let number = self.free(codec.payload_type());
        self.codecs.push((codec, number));
        number
    }

    fn of_event(&mut self, clock_rate: u32) -> u8 {
        if let Some((_, number)) = self.events.iter().find(|(c, _)| *c == clock_rate) {
            return *number;
        }
        let number = self.free(TELEPHONE_EVENT);
        self.events.push((clock_rate, number));
        number
    }

    /// `wish`, or the next dynamic type that means nothing yet.
    fn free(&mut self, wish: u8) -> u8 {
        let used = |n: &u8| self.taken.contains(n);
        // A dialog names a few of the 32 dynamic types; a peer that uses up all of them gets what it asked for.
        let number = std::iter::once(wish).chain(wish.max(96)..=127).chain(96..=127).find(|n| !used(n)).unwrap_or(wish);
        self.taken.push(number);
        number
    }
}
