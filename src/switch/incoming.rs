//! Requests outside of dialogs: INVITE above all.

use super::door::Strike;
use super::encryption::NotTaken;
use super::hub::{AGENT, ALLOW, Cx, For};
use super::identity::{caller_number, wants_to_be_hidden};
use super::pickup::{Joining, Replaced, Ringing, Wanted};
use super::presence::ALLOW_EVENTS;
use super::routing::caller;
use crate::conversation::{Conversation, InfoKeys, Leg, Peer, Role};
use crate::dialog::{Asked, Call, MAX_FORWARDS, Own, Provisionals, Reach};
use crate::event::{By, CallStarted, Direction, Kind};
use crate::ids::{LegId, Number};
use crate::media::Command;
use crate::registrar::Verdict;
use crate::route::{self, Cause, Code, Diverted, Rule, Target};
use crate::sdp::{Description, Local, Negotiation, Security};
use crate::sip::{Contacts, Flow, HeaderName, Method, Request, Response, Status, Transport, Uri};
use crate::transaction::TransactionId;

/// Who sent a request, as far as it is proven.
enum Sender {
    Phone(Number),
    Trunk(crate::ids::TrunkName),
}

/// A call of ours that a proxy outside has sent back to us: the INVITE that came has the Call-ID and the tag of one that we sent.
pub(super) struct Returned {
    /// As we sent it.
    pub number: String,
    /// The phones that had sent it on already.
    pub diverted: Vec<Diverted>,
}

/// Max-Forwards of what goes on because of this request (RFC 3261 §16.6 step 3, RFC 7332 §3).
pub(super) fn hops_left(request: &Request) -> u32 {
    let came_with = request.headers.max_forwards().ok().flatten().unwrap_or(MAX_FORWARDS);
    came_with.min(MAX_FORWARDS).saturating_sub(1)
}

/// A place that requests of the dialog can be sent to. A peer of RFC 2543 need not name one: it is where its From says.
fn has_contact(request: &Request) -> bool {
    match request.headers.contacts() {
        Ok(Contacts::List(contacts)) if contacts.is_empty() => request.headers.via().is_ok_and(|via| !via.has_unique_branch()),
        Ok(Contacts::List(contacts)) => contacts.first().is_some_and(|contact| contact.uri.sip().is_some()),
        Ok(Contacts::Star) | Err(_) => false,
    }
}

impl Cx<'_> {
    /// A refusal to a peer that may be anybody: said once, without state. The INVITE of a peer that is known gets a transaction's.
    fn refuse(&mut self, transaction: TransactionId, request: &Request, status: Status) {
        let response = self.response(transaction, request, status);
        self.respond_stateless(transaction, &response);
    }

    /// A response that ends a request's transaction, with a tag where it has none.
    fn reply(&mut self, transaction: TransactionId, request: &Request, status: Status) {
        let response = self.response(transaction, request, status);
        self.respond(transaction, &response);
    }

    fn response(&self, transaction: TransactionId, request: &Request, status: Status) -> Response {
        let mut response = request.response_with_tag(status, self.hub.transactions.tag(transaction));
        if status == Status::UNSUPPORTED_MEDIA_TYPE {
            response.headers.push(HeaderName::Accept, "application/sdp");
        }
        response
    }

    /// Extensions that the peer insists on (§8.2.2.3), beside those that we have.
    fn refused_extension(&mut self, transaction: TransactionId, request: &Request) -> bool {
        let mut required = request.headers.require().unwrap_or_default();
        let own: &[&str] =
            if request.method == Method::Register { &["path", "outbound"] } else { &["timer", "replaces", "100rel"] };
        required.retain(|extension| !own.iter().any(|own| extension.as_str().eq_ignore_ascii_case(own)));
        if required.is_empty() {
            return false;
        }
        let mut response = self.response(transaction, request, Status::BAD_EXTENSION);
        let list: Vec<&str> = required.iter().map(crate::sip::Token::as_str).collect();
        response.headers.push(HeaderName::Unsupported, list.join(", "));
        self.respond_stateless(transaction, &response);
        true
    }

    /// A request that belongs to no dialog. An INVITE may begin a conversation.
    pub fn out_of_dialog(
        &mut self,
        transaction: TransactionId,
        request: Request,
        flow: Flow,
        returns: Option<Returned>,
    ) -> Option<Conversation> {
        match &request.uri {
            Uri::Sip(_) | Uri::Tel(_) => {}
            Uri::Other(_) => {
                self.refuse(transaction, &request, Status::UNSUPPORTED_URI_SCHEME);
                return None;
            }
        }
        if request.headers.max_forwards().ok().flatten() == Some(0) && request.method != Method::Register {
            self.refuse(transaction, &request, Status::TOO_MANY_HOPS);
            return None;
        }
        if request.method != Method::Cancel && self.refused_extension(transaction, &request) {
            return None;
        }
        match request.method {
            Method::Invite => return self.invited(transaction, request, flow, returns),
            Method::Register => self.register(transaction, &request, flow),
            Method::Options => {
                let mut response = self.response(transaction, &request, Status::OK);
                // RFC 3261 §11.2 only recommends what we can; in the name of somebody else it is asked for to have him flooded.
                if flow.transport.is_reliable() || self.knows(&request.headers, &flow) {
                    response.headers.push(HeaderName::Allow, ALLOW);
                    response.headers.push(HeaderName::Accept, "application/sdp");
                    response.headers.push(HeaderName::AllowEvents, ALLOW_EVENTS);
                    response.headers.push(HeaderName::UserAgent, AGENT);
                }
                self.respond_stateless(transaction, &response);
            }
            Method::Bye | Method::Info | Method::Notify | Method::Refer | Method::Update | Method::Prack => {
                self.refuse(transaction, &request, Status::CALL_TRANSACTION_DOES_NOT_EXIST);
            }
            Method::Subscribe => self.subscribed(transaction, &request, flow),
            Method::Message => self.message(transaction, request, flow),
            Method::Publish | Method::Other(_) | Method::Ack | Method::Cancel => {
                let status = if request.method.is_known() { Status::METHOD_NOT_ALLOWED } else { Status::NOT_IMPLEMENTED };
                let mut response = self.response(transaction, &request, status);
                // Only a 405 has to have it (§21.4.6).
                let is_known = flow.transport.is_reliable() || self.knows(&request.headers, &flow);
                if status == Status::METHOD_NOT_ALLOWED || is_known {
                    response.headers.push(HeaderName::Allow, ALLOW);
                }
                self.respond_stateless(transaction, &response);
            }
        }
        None
    }

    fn register(&mut self, transaction: TransactionId, request: &Request, flow: Flow) {
        let number = match self.authenticate(transaction, request, flow) {
            Some(number) => number,
            None => return,
        };
        // RFC 3327 §5.3 leaves it to the registrar's policy. Whether the phone says that it supports it is no matter: the proxy is ours.
        if request.headers.contains(&HeaderName::Path) && !self.hub.is_proxy(&flow) {
            self.count("sip_paths_refused_total");
            return self.reply(transaction, request, Status::FORBIDDEN);
        }
        let tag = self.hub.chance.token();
        let mut changes = Vec::new();
        let from = self.hub.from(&request.headers, flow);
        let response = self.hub.registrar.register(&number, request, from, &tag, self.now, &mut changes);
        self.respond(transaction, &response);
        self.bindings_changed(changes);
    }

    /// The number whose secret the request proves; else it is answered here.
    pub fn authenticate(&mut self, transaction: TransactionId, request: &Request, flow: Flow) -> Option<Number> {
        let config = self.config();
        let users = |number: &str| config.phones.get(number).map(|p| &p.secret);
        let tag = self.hub.transactions.tag(transaction);
        let from = self.hub.from(&request.headers, flow);
        let verdict = self.hub.registrar.authenticate(request, &users, &from, &tag, &mut self.hub.chance, self.now);
        for alarm in self.hub.registrar.alarms() {
            self.alarmed(alarm);
        }
        match verdict {
            Verdict::Proven(number) => Some(number),
            Verdict::Refused(response) => {
                self.count(format!("sip_auth_answers_total{{status=\"{}\"}}", response.status.code()));
                if response.status == Status::UNAUTHORIZED {
                    self.strike(&from, Strike::Password);
                }
                self.respond_stateless(transaction, &response);
                None
            }
            Verdict::Answer(response) => {
                self.count(format!("sip_auth_answers_total{{status=\"{}\"}}", response.status.code()));
                self.respond_stateless(transaction, &response);
                None
            }
        }
    }

    fn invited(
        &mut self,
        transaction: TransactionId,
        request: Request,
        flow: Flow,
        returns: Option<Returned>,
    ) -> Option<Conversation> {
        let config = self.config();
        let over_tcp = flow.transport.is_reliable();
        let mut called = request.uri.dialled().unwrap_or_default();
        // No trunk is a browser; and all browsers behind a proxy of the web have its address.
        let trunk = match flow.transport {
            Transport::Ws | Transport::Wss => None,
            Transport::Udp | Transport::Tcp | Transport::Tls => {
                route::is_called(&config, flow.remote, over_tcp, &self.hub.hosts, &called)
            }
        };
        let sender = match trunk.filter(|_| !self.is_registered_by(&request, &flow)) {
            Some(trunk) => Sender::Trunk(trunk.name.clone()),
            None => Sender::Phone(self.authenticate(transaction, &request, flow)?),
        };
        // §8.1.1.8: nothing could be sent in the dialog, not even a BYE.
        if !has_contact(&request) {
            self.reply(transaction, &request, Status::BAD_REQUEST);
            return None;
        }
        let mut anonymous = matches!(sender, Sender::Phone(_)) && wants_to_be_hidden(&request);
        if let (Sender::Phone(_), Some(behind)) = (&sender, route::hidden(&config, &called)) {
            (called, anonymous) = (behind, true);
        }
        let emergency = matches!(sender, Sender::Phone(_)) && route::emergency(&config, &called).is_some();
        if self.hub.draining && !emergency {
            self.busy_now(transaction, &request, 60);
            return None;
        }
        let (peer, number, rule, target) = match &sender {
            Sender::Trunk(name) => {
                let trunk = config.trunks.get(name)?;
                let number = caller_number(&request, trunk.trust).unwrap_or_default();
                if let Err(full) = self.admits(trunk) {
                    self.busy_now(transaction, &request, full.retry_after());
                    return None;
                }
                let Some(rule) = route::inbound(&config, trunk, &called) else {
                    self.reply(transaction, &request, Status::NOT_FOUND);
                    return None;
                };
                if number.is_empty() && rule.rejects_anonymous {
                    // RFC 5079: the caller may try again with its number.
                    self.count("calls_refused_total{cause=\"anonymous\"}");
                    self.reply(transaction, &request, Status::ANONYMITY_DISALLOWED);
                    return None;
                }
                let who = caller(&config, &Peer::Trunk(name.clone()), &number)?;
                let target = route::go(&config, who, &rule.to).map_err(route::Refusal::cause);
                (Peer::Trunk(name.clone()), number.clone(), Rule::Inbound(rule), target)
            }
            Sender::Phone(number) => {
                let peer = Peer::Phone(number.clone());
                let who = caller(&config, &peer, number.as_str())?;
                let target = route::dial(&config, who, &called).map_err(route::Refusal::cause);
                let target = target.and_then(|target| match self.may_begin(number, &target) {
                    Ok(()) => Ok(target),
                    Err(denied) => Err(denied.cause()),
                });
                let rule = match &target {
                    Ok(Target::Outside(outside)) => outside.rule(&config),
                    Ok(_) | Err(_) => Rule::Internal,
                };
                (peer, number.to_string(), rule, target)
            }
        };
        // Where it would go is where it comes from: a loop. Anywhere else it is a spiral, and may (RFC 3261 §16.3).
        let goes_round = |target: &Target| {
            let (Target::Outside(outside), Some(returned)) = (target, &returns) else { return false };
            outside.attempts.iter().any(|attempt| attempt.number == returned.number)
        };
        let target = if target.as_ref().is_ok_and(goes_round) { Err(Cause::Loop) } else { target };
        let wanted = match self.wanted(&sender, &request, target.as_ref().ok()) {
            Ok(wanted) => wanted,
            Err(status) => {
                self.reply(transaction, &request, status);
                return None;
            }
        };
        let target = match target {
            Ok(target) => target,
            Err(_) if wanted.is_some() => Target::Hangup,
            Err(cause) => {
                self.count(format!("calls_refused_total{{cause=\"{cause}\"}}"));
                self.reply(transaction, &request, Status::new(cause.to_status()).unwrap_or(Status::NOT_FOUND));
                return None;
            }
        };
        let offered = match self.offer_of(&request, self.security(&peer)) {
            Ok(offered) => offered,
            Err(refused) => {
                let response = self.response(transaction, &request, refused.status);
                self.respond(transaction, &refused.said_in(response, &config.site.domain));
                return None;
            }
        };
        let session_asked = match Asked::by(&request) {
            Asked::Nothing => None,
            Asked::Timer(timer) => Some(timer),
            Asked::TooShort => {
                let response = self.too_short(
                    request.response_with_tag(Status::SESSION_INTERVAL_TOO_SMALL, self.hub.transactions.tag(transaction)),
                );
                self.respond(transaction, &response);
                return None;
            }
        };
        if let (Some(wanted), Peer::Phone(phone)) = (wanted, &peer) {
            let phone = phone.clone();
            self.hub.joining = Some(Joining { transaction, request, flow, phone, offered, session_asked, wanted });
            return None;
        }
        let purpose = For::call(emergency);
        let worker = self.idlest_worker(purpose);
        let Some(lease) = worker.and_then(|w| self.lease(w, purpose)) else {
            self.count("media_ports_exhausted_total");
            self.busy_now(transaction, &request, 5);
            return None;
        };

        let id = self.next_leg();
        let takes_update = request.headers.lists(&HeaderName::Allow, "UPDATE");
        let info = InfoKeys::of(&request.headers);
        let reported = self.hub.from(&request.headers, flow).reported;
        let provisionals = Provisionals::of(&request, self.hub.chance.next_u64() as u32);
        let hops = hops_left(&request);
        let direction = rule.direction();
        let own = Own { tag: self.hub.chance.token(), contact: self.contact(&called, &flow) };
        let reach = if peer.is_trunk() { Reach::Target } else { Reach::Flow };
        let session_id = self.hub.chance.next_u64() >> 1;
        let local = Local { address: self.media_address(&flow), port: lease.port, session_id };
        let negotiation = self.negotiation(local, &peer, &flow, offered.as_ref());
        let call = Call::invited(transaction, request, flow, reach, own);
        let leg = Leg::new(id, peer.clone(), Role::Caller, call, lease, negotiation, number.clone());
        let reported = reported.map(|at| at.ip());
        let leg = Leg { offered, provisionals, session_asked, takes_update, reported, info, ..leg };
        let customer_number = match (direction, &target) {
            (Direction::Outbound, Target::Outside(outside)) => {
                outside.attempts.first().map_or(called.clone(), |a| a.number.clone())
            }
            (Direction::Inbound | Direction::Internal | Direction::Outbound, _) => number,
        };
        let mut conv = Conversation::new(self.hub.chance.conversation(self.now.wall), direction, peer, lease.worker);
        conv.caller = id;
        conv.subject = id;
        conv.legs.insert(id, leg);
        conv.customer_number = customer_number;
        conv.called = called;
        conv.anonymous = anonymous;
        conv.hops = hops;
        conv.diverted = returns.map(|returned| returned.diverted).unwrap_or_default();
        conv.rule = route::recording(&config, rule);
        self.begin(&mut conv);
        self.media(conv.worker, Command::Open { leg: id, lease });
        self.to(&mut conv, target, None);
        Some(conv)
    }

    /// Who calls is a phone that has registered by this very connection, though a trunk has its address.
    fn is_registered_by(&self, request: &Request, flow: &Flow) -> bool {
        let number = request.headers.from().ok().and_then(|from| from.uri.dialled()).map(|number| Number::from(number.as_str()));
        let bindings = number.filter(|_| flow.connection.is_some()).map(|number| self.hub.registrar.bindings(&number, self.now));
        bindings.is_some_and(|all| all.iter().any(|binding| binding.flow.connection == flow.connection))
    }

    /// The call that is there already, which a phone's INVITE is for; most are for none.
    fn wanted(&self, sender: &Sender, request: &Request, target: Option<&Target>) -> Result<Option<Wanted>, Status> {
        let replaces = request.headers.replaces().map_err(|_| Status::BAD_REQUEST)?;
        let Sender::Phone(number) = sender else {
            return match replaces.map(|replaces| self.hub.index.replaced(&replaces)) {
                // It would take our phones' calls away (RFC 3891 §3: who may not is refused; it is never a call of its own).
                Some(Replaced::Early(_) | Replaced::Other(_)) => Err(Status::FORBIDDEN),
                Some(Replaced::Unknown) => Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST),
                None => Ok(None),
            };
        };
        if let Some(replaces) = replaces {
            return match self.hub.index.replaced(&replaces) {
                Replaced::Early(leg) => Ok(Some(Wanted::Ringing(Ringing::By(leg)))),
                Replaced::Other(leg) if self.is_own(leg, number) && !replaces.early_only => Ok(Some(Wanted::Own(leg))),
                // It was answered meanwhile (RFC 3891 §3); a call that somebody else is in is not taken.
                Replaced::Other(_) => Err(Status::BUSY_HERE),
                Replaced::Unknown => Err(Status::CALL_TRANSACTION_DOES_NOT_EXIST),
            };
        }
        Ok(match target {
            Some(Target::Code(Code::Pickup(Some(number)))) => Some(Wanted::Ringing(Ringing::At(number.clone()))),
            Some(Target::Code(Code::Pickup(None))) => Some(Wanted::Ringing(Ringing::InGroup)),
            Some(Target::Slot(slot)) => Some(Wanted::Parked(slot.clone())),
            Some(_) | None => None,
        })
    }

    fn is_own(&self, leg: LegId, phone: &Number) -> bool {
        self.hub.index.legs.get(&leg).is_some_and(|at| at.peer == Peer::Phone(phone.clone()))
    }

    /// First words of a conversation.
    pub fn begin(&mut self, conv: &mut Conversation) {
        let country = self.hub.config.site.country;
        let customer = || route::on_trunk(&conv.customer_number, country);
        (conv.customer_e164, conv.called_e164) = match conv.direction {
            Direction::Internal => (None, None),
            Direction::Inbound => (customer(), route::on_trunk(&conv.called, country)),
            // What was dialled may have a prefix that leads outside.
            Direction::Outbound => {
                let both = customer();
                (both.clone(), both)
            }
        };
        let started = CallStarted {
            direction: conv.direction,
            leg: conv.caller,
            trunk: match &conv.origin {
                Peer::Trunk(name) => Some(name.clone()),
                Peer::Phone(_) => None,
            },
            phone: conv.origin.phone().cloned(),
            customer_number: conv.customer_number.clone(),
            called: conv.called.clone(),
            customer_e164: conv.customer_e164.clone(),
            called_e164: conv.called_e164.clone(),
        };
        self.tell(Some(conv.id), Kind::CallStarted(started));
        self.decided(conv);
        if let Some(leg) = conv.leg(conv.caller) {
            self.put(conv.id, leg);
        }
        self.hub.stirred = true;
    }

    /// The description that an INVITE offers; none is a late offer.
    fn offer_of(&self, request: &Request, wanted: Security) -> Result<Option<Description>, NotTaken> {
        // No Accept means SDP (§20.1); one without it could not read our answer.
        let accepts = request.headers.accept().map_err(|_| Status::BAD_REQUEST)?;
        if request.headers.contains(&HeaderName::Accept) && !accepts.iter().any(|kind| kind.covers("application", "sdp")) {
            return Err(Status::NOT_ACCEPTABLE.into());
        }
        if request.body.is_empty() {
            return Ok(None);
        }
        match request.headers.content_type() {
            Ok(Some(kind)) if !kind.is_sdp() => return Err(Status::UNSUPPORTED_MEDIA_TYPE.into()),
            Ok(_) => {}
            Err(_) => return Err(Status::BAD_REQUEST.into()),
        }
        let offer = Description::parse(&request.body).map_err(|e| Status::new(e.status()).unwrap_or(Status::BAD_REQUEST))?;
        // Whether anything in it can be agreed on is known now; the answer waits until somebody is there.
        Negotiation::fits(&offer, &self.codecs(None), wanted, self.hub.certificate.is_some())?;
        Ok(Some(offer))
    }

    fn busy_now(&mut self, transaction: TransactionId, request: &Request, seconds: u32) {
        let mut response = self.response(transaction, request, Status::SERVICE_UNAVAILABLE);
        response.headers.push(HeaderName::RetryAfter, seconds);
        self.respond(transaction, &response);
    }

    /// The peer's CANCEL of an INVITE that has no final response.
    pub fn cancelled(&mut self, conv: &mut Conversation, id: crate::ids::LegId) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        // A 2xx that waits for a PRACK was not sent: it is not too late.
        let held = if leg.call.is_invited() { None } else { leg.provisionals.stop() };
        let undone = held.map(|(transaction, held)| (transaction, super::ending::terminated(held)));
        let Some((transaction, response)) = leg.call.cancelled().or(undone) else { return };
        leg.status = Some(response.status.code());
        self.respond(transaction, &response);
        let by = self.side(conv, id);
        self.ended_by_peer(conv, id, Cause::Cancelled);
        self.end(conv, Cause::Cancelled, if conv.caller == id && conv.direction != Direction::Inbound { By::Phone } else { by });
    }
}
