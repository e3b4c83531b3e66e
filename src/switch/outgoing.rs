//! New legs: an INVITE of ours to a phone's contact or to a trunk.

use bytes::Bytes;

use super::hub::{AGENT, ALLOW, Cx, For, Purpose};
use super::identity::{Shown, signed_callers, wants_to_be_hidden};
use crate::codec::Codec;
use crate::config::MediaIce;
use crate::conversation::{Conversation, Dialling, Leg, Peer, Role, Stage, Transferring};
use crate::dialog::{Call, Own, Reach, SessionTimer};
use crate::ids::LegId;
use crate::media;
use crate::route;
use crate::sdp::{Description, Direction, IceAgent, Local, Negotiation, OurDtls};
use crate::sip::{Flow, HeaderName, Method, NameAddr, Request, SipUri, Transport, Uri};

/// What the callee's phone shows, and where the INVITE goes.
pub(super) struct Invitation {
    pub peer: Peer,
    pub role: Role,
    pub target: Uri,
    pub to: Flow,
    pub reach: Reach,
    /// RFC 3327 Path of the binding.
    pub path: Vec<Bytes>,
    /// User part of From.
    pub shows: String,
    /// Display name of From.
    pub title: Option<String>,
    /// User part of Contact: how the callee would call us.
    pub user: String,
    /// To a trunk: who calls, instead of `shows`.
    pub identity: Option<Shown>,
}

/// No port was free.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Cx<'_> {
    /// In our order of preference; the other leg's codec goes first, and the other law of G.711 behind it, so that nothing has to be
    /// decoded.
    pub fn codecs(&self, prefer: Option<Codec>) -> Vec<Codec> {
        let allowed = self.hub.config.media.codecs.iter().map(|c| Codec::from(*c));
        let mut codecs: Vec<Codec> = allowed.collect();
        // What a call has, it keeps, though the configuration has been read anew.
        codecs.extend(prefer.filter(|prefer| !codecs.contains(prefer)));
        let rank = |codec: &Codec| match prefer {
            Some(prefer) if prefer == *codec => 0,
            Some(prefer) if prefer.g711().is_some() && codec.g711().is_some() => 1,
            Some(_) | None => 2,
        };
        codecs.sort_by_key(rank);
        codecs
    }

    /// To answer an offer that was checked when it came: where the configuration has been read anew since and has none of its codecs any
    /// more, the first one of it that there is.
    pub fn codecs_for(&self, offer: &Description) -> Vec<Codec> {
        let mut codecs = self.codecs(None);
        let formats = offer.audios().flat_map(|(_, audio)| &audio.formats);
        let offered: Vec<Codec> = formats.filter_map(|format| format.codec).collect();
        if !offered.iter().any(|codec| codecs.contains(codec)) {
            codecs.extend(offered.first());
        }
        codecs
    }

    /// Of a first offer: what the subject has, or has offered, goes first.
    pub fn first_codecs(&self, conv: &Conversation) -> Vec<Codec> {
        let prefer = conv.leg(conv.subject).and_then(|l| l.negotiation.agreed()).map(|a| a.codec);
        self.codecs(prefer.or_else(|| conv.first_offered(&self.codecs(None))))
    }

    /// Offer and answer of a new leg that is reached on this flow: with a browser where it offers as one, or speaks SIP over WebSocket
    /// and offers nothing, which only browsers do. Theirs is always encrypted, so that nothing else is asked of it.
    pub fn negotiation(&mut self, local: Local, peer: &Peer, flow: &Flow, offered: Option<&Description>) -> Negotiation {
        let is_browser = match offered {
            Some(offer) => offer.audios().any(|(_, audio)| audio.dtls.is_some()),
            None => matches!(flow.transport, Transport::Ws | Transport::Wss),
        };
        match self.hub.certificate.filter(|_| is_browser) {
            None => Negotiation::new(local).with_keys(self.keys(peer, flow)),
            Some(fingerprint) => {
                let agent = match self.hub.config.media.ice {
                    MediaIce::Lite => IceAgent::Lite,
                    MediaIce::Full => IceAgent::Full,
                };
                let ours = OurDtls { fingerprint, seed: self.hub.chance.bytes(), agent };
                let plain = Negotiation::new(local);
                if offered.is_some() { plain.with_dtls(ours) } else { plain.for_browser(ours) }
            }
        }
    }

    /// Rings somebody for a conversation.
    pub fn invite(&mut self, conv: &mut Conversation, invitation: Invitation) -> Result<LegId, Exhausted> {
        let Some(lease) = self.lease(conv.worker, For::call(conv.for_help)) else {
            self.count("media_ports_exhausted_total");
            return Err(Exhausted);
        };
        let id = self.next_leg();
        let Invitation { peer, role, target, to, reach, path, shows, title, user, identity } = invitation;
        let own = Own { tag: self.hub.chance.token(), contact: self.contact(&user, &to) };
        let session_id = self.hub.chance.next_u64() >> 1;
        let local = Local { address: self.media_address(&to), port: lease.port, session_id };
        let mut negotiation = self.negotiation(local, &peer, &to, None);
        let offer = negotiation.offer(&self.first_codecs(conv), Direction::SendRecv);

        let domain = self.hub.config.site.domain.clone();
        let mut from = NameAddr::new(SipUri::new(&shows, host(&domain), None));
        if let Some(title) = &title {
            from = from.with_display(title);
        }
        if let Some(identity) = &identity {
            from = identity.from(&domain);
        }
        let mut request = Request::new(Method::Invite, target.clone());
        for hop in &path {
            request.headers.push(HeaderName::Route, hop.clone());
        }
        request.headers.push(HeaderName::MaxForwards, conv.hops);
        request.headers.push(HeaderName::From, from.with_tag(&own.tag));
        request.headers.push(HeaderName::To, NameAddr::new(target));
        let call_id = format!("{}@{}", self.hub.chance.token(), domain);
        request.headers.push(HeaderName::CallId, call_id);
        request.headers.push(HeaderName::CSeq, crate::sip::CSeq::new(1, Method::Invite));
        request.headers.push(HeaderName::Contact, &own.contact);
        request.headers.push(HeaderName::Allow, ALLOW);
        request.headers.push(HeaderName::Supported, "100rel, timer");
        SessionTimer::ask(&mut request);
        request.headers.push(HeaderName::UserAgent, AGENT);
        if role == Role::Callee {
            let target = request.uri.dialled().unwrap_or_default();
            self.tell_history(conv, &mut request, &target);
        }
        if identity.as_ref().is_none_or(|identity| identity.trusted) {
            tell_referrer(conv, &mut request, &domain);
        }
        if let Some(identity) = &identity {
            identity.write(&mut request, &domain);
        }
        if let Some(identity) = &identity {
            self.pass_identity(conv, identity, &mut request);
        }
        if conv.intercom && !peer.is_trunk() {
            answer_by_itself(&mut request, &domain);
        }
        request.headers.push(HeaderName::ContentType, "application/sdp");
        request.body = offer;

        let transaction = self.request(request.clone(), to, Purpose::Invite(id));
        self.media(conv.worker, media::Command::Open { leg: id, lease });
        let call = Call::inviting(transaction, request, to, reach, own);
        let leg = Leg::new(id, peer, role, call, lease, negotiation, user);
        self.put(conv.id, &leg);
        self.hub.stirred = true;
        conv.legs.insert(id, leg);
        Ok(id)
    }

    /// A call that goes from trunk to trunk keeps the signature of who called (RFC 8224), with the Date that it is over. It names both
    /// numbers, so it goes with no others (§6.2 would have it refused), and tells a hidden caller's to nobody who is not trusted
    /// (RFC 3325 §7).
    fn pass_identity(&self, conv: &Conversation, shown: &Shown, request: &mut Request) {
        let Some(came) = conv.leg(conv.subject).filter(|leg| leg.peer.is_trunk()) else { return };
        let Some(invite) = came.call.invite().filter(|invite| invite.headers.contains(&HeaderName::Identity)) else { return };
        let country = self.hub.config.site.country;
        let same =
            |a: &str, b: &str| a == b || route::on_trunk(a, country).is_some_and(|a| Some(a) == route::on_trunk(b, country));
        let says_who =
            shown.number.as_deref().is_some_and(|shown| signed_callers(invite).iter().any(|caller| same(caller, shown)));
        let says_whom = match (invite.uri.dialled(), request.uri.dialled()) {
            (Some(came), Some(goes)) => same(&came, &goes),
            (_, _) => false,
        };
        let is_hidden = shown.hidden || wants_to_be_hidden(invite);
        if !says_who || !says_whom || (is_hidden && !shown.trusted) {
            return;
        }
        for name in [HeaderName::Identity, HeaderName::Date] {
            request.headers.copy(&name, &invite.headers);
        }
    }
}

/// To who may know extensions: which one sent the call on, as its phone has proven and not as it says (RFC 3892 §2.2).
fn tell_referrer(conv: &Conversation, request: &mut Request, domain: &str) {
    let Stage::Dialling(Dialling { transfer: Some(Transferring { phone: Some(phone), .. }), .. }) = &conv.stage else { return };
    request.headers.push(HeaderName::ReferredBy, NameAddr::new(SipUri::new(phone.as_str(), host(domain), None)));
}

/// Three ways to ask a phone to answer by itself: RFC 5373, and the two that desk phones had before it (Polycom, Yealink and Grandstream
/// read Alert-Info, Snom and many soft clients Call-Info). A phone takes the one that it knows.
fn answer_by_itself(request: &mut Request, domain: &str) {
    request.headers.push(HeaderName::AlertInfo, "<http://localhost>;info=alert-autoanswer;delay=0");
    request.headers.push(HeaderName::CallInfo, format!("<sip:{domain}>;answer-after=0"));
    request.headers.push(HeaderName::AnswerMode, "Auto");
}

/// The configured domain is checked to be a host name; were it not, an address that leads nowhere is better than none.
pub(super) fn host(domain: &str) -> crate::sip::Host {
    crate::sip::Host::new(domain).unwrap_or(crate::sip::Host::Ip([0, 0, 0, 0].into()))
}
