//! Calls to a phone (all its contacts at once) and to the outside (one trunk after another), and what comes of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::hub::{Cx, Purpose};
use super::identity::Shown;
use super::outgoing::Invitation;
use super::transfer::Notice;
use crate::conversation::{
    Conversation, Dialling, OtherFlow, Otherwise, OutsideParty, Peer, Role, Stage, Transferring, Try, Way,
};
use crate::dialog::reliable::rseq;
use crate::dialog::{Progress, Reach};
use crate::event::{By, CallProgress, CallWentOutside, Kind};
use crate::ids::{LegId, Number};
use crate::media::{Audio, Command, Source};
use crate::route::{self, Attempt, Cause, Direction, Forwarding, Outside};
use crate::sdp::Direction::SendRecv;
use crate::sdp::{Description, Refusal};
use crate::sip::{Flow, Reason, Response, SipUri, Status, Uri};
use crate::transaction::TransactionId;

/// Nobody answers: a call to a phone is given up. A person gives up after a minute.
const RING: Duration = Duration::from_secs(60);

/// One to the outside. Networks let it ring for 2 to 3 minutes, as a proxy does (timer C, RFC 3261 §16.6): it is theirs to say that nobody
/// answers. A call for help rings on until its caller hangs up or the other side says that it is over.
pub(super) const RINGS_OUTSIDE: Duration = Duration::from_secs(180);

/// A trunk that says nothing at all to an INVITE is given up for the next one. A live one says 100 within a round trip or two.
pub(super) const SILENT: Duration = Duration::from_secs(5);

/// And one that said 100, but not that it rings: mobile networks take up to ten seconds to find a handset.
const UNDECIDED: Duration = Duration::from_secs(20);

impl Cx<'_> {
    pub fn dial_phone(&mut self, conv: &mut Conversation, number: &Number, transfer: Option<Transferring>) {
        let forwarding = self.forwarding(number);
        let transfer = match forwarding.at_once() {
            Some(sent_on) => match self.forward(conv, number, sent_on, transfer) {
                Ok(()) => return,
                Err(transfer) => transfer,
            },
            None => transfer,
        };
        let rings = match forwarding.no_answer {
            Some(_) => Duration::from_secs(forwarding.no_answer_after_s.into()),
            None => RING,
        };
        conv.stage = Stage::Dialling(Dialling { transfer, ..Dialling::phone(number, self.now.mono + rings) });
        match forwarding {
            Forwarding { always: Some(_), .. } => return self.not_taken(conv, Cause::Loop, Status::LOOP_DETECTED),
            Forwarding { do_not_disturb: true, .. } => return self.not_taken(conv, Cause::Busy, Status::BUSY_HERE),
            Forwarding { .. } => {}
        }
        self.rings(conv, number);
    }

    /// What nobody took, or fetched, rings at the phone that sent it on, wherever else its calls go.
    pub fn ring_back(&mut self, conv: &mut Conversation, number: &Number, otherwise: Otherwise) {
        let dialling = Dialling::phone(number, self.now.mono + RING);
        conv.stage = Stage::Dialling(Dialling { comes_back: Some(otherwise), ..dialling });
        self.rings(conv, number);
    }

    fn rings(&mut self, conv: &mut Conversation, number: &Number) {
        self.ringback(conv);
        let (shows, name) = self.shown_to_phone(conv);
        if !self.ring_phone(conv, number, &Role::Callee, &shows, name.as_deref()) {
            self.not_taken(conv, Cause::Unavailable, Status::TEMPORARILY_UNAVAILABLE);
        }
    }

    /// An INVITE to each contact of a phone; whether there was any.
    pub fn ring_phone(
        &mut self,
        conv: &mut Conversation,
        number: &Number,
        role: &Role,
        shows: &str,
        title: Option<&str>,
    ) -> bool {
        let targets = self.hub.registrar.targets(number, self.now);
        let mut any = false;
        for flows in targets {
            let ways = flows.into_iter().filter_map(|binding| {
                let contact = Uri::parse(binding.contact.clone()).ok()?;
                let reported = binding.reported.map(|at| at.ip());
                Some(OtherFlow { contact, flow: binding.flow, path: binding.path, reported, title: title.map(str::to_owned) })
            });
            any |= self.ring_device(conv, &Peer::Phone(number.clone()), role, shows, ways.collect());
        }
        any
    }

    /// An INVITE to a device by the first of its flows that takes one; the others are for when that fails.
    fn ring_device(
        &mut self,
        conv: &mut Conversation,
        peer: &Peer,
        role: &Role,
        shows: &str,
        mut flows: VecDeque<OtherFlow>,
    ) -> bool {
        let Some(OtherFlow { contact, flow, path, reported, title }) = flows.pop_front() else { return false };
        let invitation = Invitation {
            peer: peer.clone(),
            role: role.clone(),
            target: contact,
            to: flow,
            reach: Reach::Flow,
            path,
            shows: shows.to_owned(),
            title,
            user: shows.to_owned(),
            identity: None,
        };
        let Ok(id) = self.invite(conv, invitation) else { return false };
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.flows = flows;
            leg.reported = reported;
        }
        true
    }

    /// The flow is gone that a leg was to ring by (430, no way, no word at all): the device's next one, if it has another (RFC 5626 §5.3).
    fn next_flow(&mut self, conv: &mut Conversation, id: LegId) -> bool {
        let Some(leg) = conv.legs.get_mut(&id).filter(|leg| leg.is_live() && !leg.rang) else { return false };
        let flows = std::mem::take(&mut leg.flows);
        let (peer, role, shows) = (leg.peer.clone(), leg.role.clone(), leg.shows.clone());
        if flows.is_empty() {
            return false;
        }
        self.ended_by_peer(conv, id, Cause::Unreachable);
        let rings = self.ring_device(conv, &peer, &role, &shows, flows);
        self.count(format!("sip_next_flows_total{{rings=\"{rings}\"}}"));
        rings
    }

    /// The number and name that the callee's phone shows, of whom it will talk to: the customer, who has no name, or an extension. After a
    /// transfer that is not who began the conversation.
    pub fn shown_to_phone(&self, conv: &Conversation) -> (String, Option<String>) {
        let hidden = || ("anonymous".to_owned(), None);
        match conv.leg(conv.subject).map_or(&conv.origin, |leg| &leg.peer) {
            peer @ Peer::Phone(_) if conv.anonymous && *peer == conv.origin => hidden(),
            Peer::Phone(number) => {
                let name = self.hub.config.phones.get(number).and_then(|phone| phone.name.clone());
                (number.to_string(), name)
            }
            Peer::Trunk(_) if conv.customer_number.is_empty() => hidden(),
            Peer::Trunk(_) => (conv.customer_number.clone(), None),
        }
    }

    pub fn dial_outside(&mut self, conv: &mut Conversation, outside: Outside, transfer: Option<Transferring>) {
        conv.for_help = outside.is_emergency();
        let party = self.party_outside(&outside);
        let number = party.number.clone();
        conv.stage = Stage::Dialling(Dialling {
            trunks: self.in_turn(outside.attempts),
            outside: Some(party),
            transfer,
            ..Dialling::new(format!("number:{number}"), None)
        });
        self.ringback(conv);
        self.next_trunk(conv, Cause::Unreachable, Status::SERVICE_UNAVAILABLE);
    }

    pub fn party_outside(&self, outside: &Outside) -> OutsideParty {
        let number = outside.attempts.first().map_or_else(String::new, |a| a.number.clone());
        let config = &self.hub.config;
        let rule = |trunk| route::recording_by(config, outside.rule(config), trunk);
        let rules = outside.attempts.iter().map(|attempt| (attempt.trunk.clone(), rule(&attempt.trunk))).collect();
        OutsideParty { number, rules }
    }

    /// An answered subject hears that it rings somewhere; an unanswered one gets 180 when it does.
    pub fn ringback(&mut self, conv: &mut Conversation) {
        if conv.leg(conv.subject).is_some_and(|l| l.is_answered()) {
            self.play(conv, conv.subject, Audio::Ringback);
        }
    }

    /// Tries the next trunk; `cause` and `status` are the last one's, for when there is none.
    pub fn next_trunk(&mut self, conv: &mut Conversation, mut cause: Cause, mut status: Status) {
        let config = self.config();
        let again = conv.legs.values().any(|l| l.early.is_some() && l.role == Role::Callee);
        // One that fails has failed for all its addresses; one that can't be had now, or does not answer, may have others.
        if let (Stage::Dialling(dialling), Cause::PeerFault) = (&mut conv.stage, cause) {
            dialling.trunks.leave_trunk();
        }
        loop {
            let Stage::Dialling(dialling) = &mut conv.stage else { return };
            let Some(Try { attempt, by, redirected }) = dialling.trunks.0.pop_front() else {
                return self.not_taken(conv, cause, status);
            };
            let Some(trunk) = config.trunks.get(&attempt.trunk) else { continue };
            let (named, port) = match by {
                Way::Named(to, port) => (Some(to), port),
                Way::Any | Way::Next(_) => (None, None),
            };
            let to = match by {
                Way::Next(to) => to,
                Way::Any | Way::Named(..) => match self.enter_trunk(trunk, attempt.emergency, named) {
                    Ok((first, others)) => {
                        // The other addresses come before the next trunk (RFC 3263 §4.3).
                        for to in others.into_iter().rev() {
                            dialling.trunks.0.push_front(Try { attempt: attempt.clone(), by: Way::Next(to), redirected: false });
                        }
                        first
                    }
                    // Another contact of a redirection has refused already, and that ended the trying of trunks: it still does.
                    Err(_)
                        if redirected && !attempt.emergency && dialling.worst.is_some_and(|(why, _)| !why.tries_next_trunk()) =>
                    {
                        if dialling.trunks.has_redirected() {
                            continue;
                        }
                        return self.not_taken(conv, cause, status);
                    }
                    Err(why) => {
                        (cause, status) = (why, Status::SERVICE_UNAVAILABLE);
                        continue;
                    }
                },
            };
            dialling.trying = Some(attempt.clone());
            if let Ok(leg) = self.invite(conv, self.outside_invitation(&attempt, trunk, to, port, conv.anonymous)) {
                self.pays(conv, leg);
                // What the last one had to say is over.
                if again {
                    self.ringback(conv);
                }
                self.give_time(conv, SILENT);
                return;
            }
            (cause, status) = (Cause::Congestion, Status::SERVICE_UNAVAILABLE);
        }
    }

    /// What is being dialled outside gets so long from now; the last of the trunks as long as one that rings.
    fn give_time(&mut self, conv: &mut Conversation, time: Duration) {
        if let Stage::Dialling(dialling) = &mut conv.stage {
            let time = if dialling.trunks.0.is_empty() { RINGS_OUTSIDE } else { time };
            let is_for_help = dialling.trying.as_ref().is_some_and(|attempt| attempt.emergency);
            dialling.until = (time < RINGS_OUTSIDE || !is_for_help).then(|| self.now.mono + time);
        }
    }

    pub fn outside_invitation(
        &self,
        attempt: &Attempt,
        trunk: &crate::config::Trunk,
        to: Flow,
        port: Option<u16>,
        anonymous: bool,
    ) -> Invitation {
        let host = super::outgoing::host(trunk.peer.host.trim_start_matches('[').trim_end_matches(']'));
        let shows = attempt.caller.clone().filter(|_| !anonymous).unwrap_or_else(|| "anonymous".to_owned());
        Invitation {
            peer: Peer::Trunk(trunk.name.clone()),
            role: Role::Callee,
            target: SipUri::new(&attempt.number, host, port.or(trunk.peer.port)).into(),
            to,
            reach: Reach::Target,
            path: Vec::new(),
            user: trunk.user.clone().unwrap_or_else(|| shows.clone()),
            shows,
            title: None,
            // Help is to know who calls.
            identity: Some(Shown {
                number: attempt.caller.clone(),
                hidden: anonymous && !attempt.emergency,
                trusted: trunk.trust,
            }),
        }
    }

    /// A response to an INVITE of ours.
    pub fn invite_answered(
        &mut self,
        conv: &mut Conversation,
        id: LegId,
        transaction: TransactionId,
        response: &Response,
        flow: Flow,
    ) {
        if response.status.is_provisional() {
            if let Some(leg) = conv.legs.get_mut(&id) {
                leg.tried = true;
            }
            if let Some(leg) = conv.leg(id).filter(|l| l.peer.is_trunk() && l.is_ringing() && !l.rang) {
                let time = if response.status == Status::TRYING { UNDECIDED } else { RINGS_OUTSIDE };
                match leg.role {
                    Role::Callee => self.give_time(conv, time),
                    Role::Guest(guest) => self.give_guest_time(conv, guest, time),
                    Role::Caller | Role::Agent { .. } => {}
                }
            }
            if response.status != Status::TRYING && self.provisional_came(conv, id, response, flow) {
                if let Some(leg) = conv.legs.get_mut(&id) {
                    leg.call.rings(response);
                }
                self.early_media(conv, id, response, flow);
                self.answered_early(conv, id, response);
                self.callee_rings(conv, id);
            }
        } else if response.status.is_success() {
            self.callee_answered(conv, id, transaction, response, flow);
        } else {
            self.callee_refused(conv, id, response);
        }
    }

    /// A carrier's announcement or tone before the answer (RFC 3960 §3.2): the subject hears it, and may press keys in it. Of phones it is
    /// not taken: several may ring, and each would be heard.
    fn early_media(&mut self, conv: &mut Conversation, id: LegId, response: &Response, flow: Flow) {
        let subject = conv.subject;
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if response.body.is_empty()
            || leg.early.is_some()
            || leg.role != Role::Callee
            || !leg.peer.is_trunk()
            || !leg.is_ringing()
        {
            return;
        }
        let Ok(answer) = Description::parse(&response.body) else { return };
        let Ok(agreed) = leg.negotiation.answered(&answer) else { return };
        let codec = agreed.codec;
        leg.early = Some(bytes::Bytes::new());
        let session = self.session(leg, Some(flow.remote.ip()), agreed);
        self.media(conv.worker, Command::Agree { leg: id, session });
        let Some(caller) = conv.legs.get_mut(&subject) else { return };
        if caller.call.is_invited() {
            if caller.early.is_none() {
                // One that wants our offer has nothing to hear with yet.
                let Some(offer) = &caller.offered else { return };
                let answered = caller.negotiation.answer(offer, &self.codecs_for(offer), Some(codec), SendRecv);
                let Ok((body, agreed)) = answered else { return };
                caller.early = Some(body);
                let session = self.session(caller, caller.call.flow().map(|f| f.remote.ip()), agreed);
                self.media(conv.worker, Command::Agree { leg: subject, session });
            }
            let Some(caller) = conv.legs.get_mut(&subject) else { return };
            // A 180 after it would have the phone ring over what is to be heard.
            caller.rang = true;
            if let Some((transaction, response)) = caller.early.clone().and_then(|body| caller.call.progress(body)) {
                self.provisional(conv, subject, transaction, response);
            }
        }
        self.give(conv, subject, Source::Leg(id));
        self.give(conv, id, Source::Leg(subject));
    }

    /// A reliable provisional response's description is the answer to our offer (RFC 3262 §5), whether anybody is to hear it yet or not.
    fn answered_early(&mut self, conv: &mut Conversation, id: LegId, response: &Response) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let is_its = response.headers.to_tag().is_ok_and(|tag| tag == leg.call.peer_tag());
        if !leg.is_ringing() || leg.agreed_early || response.body.is_empty() || rseq(response).is_none() || !is_its {
            return;
        }
        let answered = |leg: &mut crate::conversation::Leg| {
            let answer = Description::parse(&response.body).ok()?;
            leg.negotiation.answered(&answer).ok()
        };
        leg.agreed_early = leg.early.is_some() || answered(leg).is_some();
    }

    fn callee_rings(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        if !leg.is_ringing() || std::mem::replace(&mut leg.rang, true) || leg.role != Role::Callee {
            return;
        }
        let callee_is_trunk = leg.peer.is_trunk();
        let Some(subject) = conv.legs.get_mut(&conv.subject) else { return };
        if let Some((transaction, response)) = subject.call.provisional(Status::RINGING)
            && !std::mem::replace(&mut subject.rang, true)
        {
            self.provisional(conv, conv.subject, transaction, response);
        }
        let customer = match conv.direction {
            Direction::Outbound if callee_is_trunk => id,
            Direction::Inbound | Direction::Outbound | Direction::Internal => conv.subject,
        };
        if conv.answered.is_none() && !std::mem::replace(&mut conv.rang, true) {
            self.tell(Some(conv.id), Kind::CallRinging(CallProgress { leg: customer }));
        }
        if let Stage::Dialling(Dialling { transfer: Some(transfer), .. }) = &conv.stage {
            let refer = transfer.refer;
            self.notify(conv, refer, Notice::Ringing);
        }
    }

    fn callee_answered(
        &mut self,
        conv: &mut Conversation,
        id: LegId,
        transaction: TransactionId,
        response: &Response,
        flow: Flow,
    ) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        let said = leg.call.answer_of_another_fork(response).filter(|_| response.body.is_empty());
        let progress = leg.call.established(response, flow);
        match progress {
            Progress::Established { ack, to } => self.ack(transaction, &ack, to),
            Progress::TooLate { ack, bye, to } => {
                self.ack(transaction, &ack, to);
                self.request(bye, to, Purpose::Bye(id));
                return self.sweep(conv, id);
            }
            Progress::Unusable(_) => {
                leg.cause = Some(Cause::PeerFault);
                return self.callee_lost(conv, id, Cause::PeerFault, Status::BAD_GATEWAY);
            }
            Progress::Ignored => return,
        }
        self.session_begins(conv, id, response);
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.status = Some(response.status.code());
        self.hub.index.answered(id);
        self.costs(id);
        let is_early = leg.early.take().is_some() || leg.agreed_early;
        let early = leg.negotiation.agreed().cloned().filter(|_| is_early);
        let body = said.as_ref().unwrap_or(&response.body);
        let agreed = match Description::parse(body) {
            // Some say it in the 183 only.
            Err(_) if body.is_empty() && early.is_some() => early.ok_or(()),
            Ok(answer) => match (leg.negotiation.answered(&answer), early) {
                // An UPDATE has changed it since: what the 2xx repeats is to be ignored (RFC 3261 §13.2.1).
                (Err(Refusal::Unasked), Some(early)) => Ok(early),
                (agreed, _) => agreed.map_err(|_| ()),
            },
            Err(_) => Err(()),
        };
        let Ok(agreed) = agreed else {
            // Answered with something that we can't hear: ended at once, and treated as refused.
            self.release(conv, id, Cause::NotAcceptable, Status::NOT_ACCEPTABLE_HERE, None);
            return self.callee_lost(conv, id, Cause::NotAcceptable, Status::NOT_ACCEPTABLE_HERE);
        };
        let role = leg.role.clone();
        let session = self.session(leg, Some(flow.remote.ip()), agreed);
        self.media(conv.worker, Command::Agree { leg: id, session });
        self.tell_next_key(conv, id);
        match role {
            Role::Agent { agent, offer } => self.agent_answered(conv, id, &agent, offer),
            Role::Callee => self.callee_taken(conv, id),
            Role::Caller => self.originated(conv, id),
            Role::Guest(guest) => self.guest_answered(conv, id, guest),
        }
    }

    pub fn callee_taken(&mut self, conv: &mut Conversation, id: LegId) {
        let (transfer, outside, comes_back) = match &mut conv.stage {
            Stage::Dialling(dialling) => (dialling.transfer.take(), dialling.outside.take(), dialling.comes_back.take()),
            _ => {
                return self.release(conv, id, Cause::Cancelled, Status::REQUEST_TERMINATED, None);
            }
        };
        self.stop_ringing(conv, Some(id));
        if comes_back == Some(Otherwise::Slot) {
            self.parker_has_it(conv, id);
        }
        if let Some(outside) = outside {
            self.went_outside(conv, id, outside);
        }
        if !self.answer(conv) {
            return;
        }
        self.customer_answered(conv);
        self.bridge(conv, id);
        self.customer_is_there(conv);
        if let Some(transfer) = transfer {
            self.transferred(conv, transfer, Notice::Completed);
        }
    }

    /// An internal call has an outside party now: direction, customer and the decision to record are that party's from here on. A call
    /// that had one keeps it, and its recording; one to the outside is decided by the trunk that has it now.
    pub fn went_outside(&mut self, conv: &mut Conversation, id: LegId, mut outside: OutsideParty) {
        let Some(Peer::Trunk(trunk)) = conv.leg(id).map(|l| l.peer.clone()) else { return };
        let rule = outside.rules.remove(&trunk);
        if conv.direction != Direction::Internal {
            if let Some(rule) = rule.filter(|_| conv.direction == Direction::Outbound && conv.answered.is_none()) {
                self.decide_anew(conv, rule);
            }
            return;
        }
        let pause = conv.pause;
        self.stop_recording(conv);
        // What was recorded before is of a call inside, and not this customer's to refuse.
        conv.recorded.clear();
        conv.direction = Direction::Outbound;
        conv.customer_number.clone_from(&outside.number);
        conv.customer_e164 = route::on_trunk(&outside.number, self.hub.config.site.country);
        conv.called_e164.clone_from(&conv.customer_e164);
        conv.outside = id;
        if let Some(rule) = rule.filter(|_| conv.unrecorded.is_none()) {
            conv.rule = rule;
        }
        let data = CallWentOutside { leg: id, trunk, customer_number: outside.number, customer_e164: conv.customer_e164.clone() };
        self.tell(Some(conv.id), Kind::CallWentOutside(data));
        self.decided(conv);
        if conv.answered.is_some() {
            self.record(conv, id);
            self.stays_paused(conv, pause);
        }
    }

    /// The losers of a fork, told so that they show no missed call (RFC 3326); all of them, without a winner.
    pub fn stop_ringing(&mut self, conv: &mut Conversation, winner: Option<LegId>) {
        let reason = winner.map(|_| Reason::sip(Status::OK, "Call completed elsewhere"));
        let ringing: Vec<LegId> = conv.legs.values().filter(|l| l.is_ringing() && Some(l.id) != winner).map(|l| l.id).collect();
        for id in ringing {
            if conv.leg(id).is_some_and(|l| !matches!(l.role, Role::Caller | Role::Guest(_))) {
                self.release(conv, id, Cause::Cancelled, Status::REQUEST_TERMINATED, reason.clone());
            }
        }
    }

    fn callee_refused(&mut self, conv: &mut Conversation, id: LegId, response: &Response) {
        if response.status == Status::SESSION_INTERVAL_TOO_SMALL && self.asks_again(conv, id, response) {
            return;
        }
        if self.asks_plainly(conv, id, response.status) {
            return;
        }
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.status = Some(response.status.code());
        self.trunk_failed(leg, Some(response));
        leg.call.failed();
        if leg.cause.is_some() {
            // We had given it up: the 487, most likely.
            return self.sweep(conv, id);
        }
        let redirects = matches!(response.status.code(), 300..=399) && leg.role == Role::Callee;
        if response.status == Status::FLOW_FAILED && self.next_flow(conv, id) {
            return;
        }
        if redirects {
            self.ended_by_peer(conv, id, Cause::Moved);
            if self.redirected(conv, id, response) {
                return;
            }
        }
        self.callee_lost(conv, id, Cause::from_status(response.status.code()), response.status);
    }

    /// Nothing came of an INVITE: no answer at all, or it could not be sent.
    pub fn invite_failed(&mut self, conv: &mut Conversation, id: LegId, cause: Cause) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        self.trunk_failed(leg, None);
        if !leg.call.failed() {
            return;
        }
        if leg.cause.is_some() {
            return self.sweep(conv, id);
        }
        if self.next_flow(conv, id) {
            return;
        }
        let status = Status::new(cause.to_status()).unwrap_or(Status::REQUEST_TIMEOUT);
        self.callee_lost(conv, id, cause, status);
    }

    /// A rung leg is out. If it was the last of its attempt, the next trunk, or the end of dialling.
    fn callee_lost(&mut self, conv: &mut Conversation, id: LegId, cause: Cause, status: Status) {
        let Some(leg) = conv.legs.get(&id) else { return };
        let role = leg.role.clone();
        let was_trunk = leg.peer.is_trunk();
        self.ended_by_peer(conv, id, cause);
        match role {
            Role::Agent { offer, .. } => self.offer_refused(conv, offer, cause, is_for_all(status)),
            Role::Guest(guest) => self.guest_lost(conv, guest, cause, is_for_all(status)),
            Role::Caller => {
                if !conv.legs.values().any(|l| l.is_ringing()) {
                    self.end(conv, cause, By::Phone);
                }
            }
            Role::Callee => {
                let still = conv.legs.values().any(|l| l.is_ringing() && l.role == Role::Callee);
                let Stage::Dialling(dialling) = &mut conv.stage else { return };
                // Of several contacts the most telling refusal stands: a busy one over one that is switched off.
                let worst = match dialling.worst {
                    Some(known) if rank(known.0) >= rank(cause) => known,
                    Some(_) | None => (cause, status.code()),
                };
                dialling.worst = Some(worst);
                if still && !is_for_all(status) {
                    return;
                }
                let worst = if is_for_all(status) { (cause, status.code()) } else { worst };
                let status = Status::new(worst.1).unwrap_or(status);
                let emergency = dialling.trunks.0.front().is_some_and(|next| next.attempt.emergency);
                if was_trunk && !is_for_all(status) && dialling.trunks.has_redirected() {
                    // Another address would say the same of the number; another place need not.
                    if !cause.tries_next_trunk() {
                        dialling.trunks.leave_trunk();
                    }
                    self.next_trunk(conv, worst.0, status);
                } else if was_trunk && (worst.0.tries_next_trunk() || emergency) {
                    dialling.worst = None;
                    self.next_trunk(conv, cause, status);
                } else {
                    self.not_taken(conv, worst.0, status);
                }
            }
        }
    }

    /// The dialling has come to nothing.
    pub fn not_taken(&mut self, conv: &mut Conversation, cause: Cause, status: Status) {
        let Dialling { phone, transfer, comes_back, .. } = match std::mem::replace(&mut conv.stage, Stage::Routing) {
            Stage::Dialling(dialling) => dialling,
            other => {
                conv.stage = other;
                return;
            }
        };
        self.stop_ringing(conv, None);
        if let Some(otherwise) = comes_back {
            return self.stays_out(conv, otherwise, cause);
        }
        let transfer = match phone.map(|phone| (self.forwarding(&phone), phone)) {
            Some((forwarding, phone)) => match forwarding.after(cause) {
                Some(sent_on) => match self.forward(conv, &phone, sent_on, transfer) {
                    Ok(()) => return,
                    Err(transfer) => transfer,
                },
                None => transfer,
            },
            None => transfer,
        };
        conv.diverted.clear();
        match transfer {
            Some(transfer) => self.transferred(conv, transfer, Notice::Failed(status)),
            // A 3xx that is not followed, and a peer's challenge is not passed on: the cause's own status says it better.
            None if status.code() < 400 || matches!(status.code(), 401 | 407) => self.fail(conv, cause, None),
            None => {
                let mapped = Status::new(cause.to_status());
                self.fail(conv, cause, mapped);
            }
        }
    }

    /// Nor does who sent the call on take it back.
    fn stays_out(&mut self, conv: &mut Conversation, otherwise: Otherwise, cause: Cause) {
        match otherwise {
            Otherwise::Slot => self.not_fetched(conv, cause),
            Otherwise::Queue(stay) => self.enter_queue_again(conv, &stay),
            Otherwise::Nowhere => self.fail(conv, cause, Status::new(cause.to_status())),
        }
    }

    /// It rang long enough; or a trunk did not get as far as that, and there is another.
    pub fn dialling_expired(&mut self, conv: &mut Conversation) {
        let rings = |l: &crate::conversation::Leg| l.is_ringing() && l.role == Role::Callee && l.rang;
        if let Stage::Dialling(dialling) = &conv.stage
            && !dialling.trunks.0.is_empty()
            && !conv.legs.values().any(rings)
        {
            for leg in conv.legs.values().filter(|l| l.is_ringing() && l.role == Role::Callee && !l.tried) {
                self.trunk_failed(leg, None);
            }
            self.stop_ringing(conv, None);
            return self.next_trunk(conv, Cause::Timeout, Status::REQUEST_TIMEOUT);
        }
        self.not_taken(conv, Cause::NoAnswer, Status::TEMPORARILY_UNAVAILABLE);
    }
}

/// A 6xx is said for all of a callee's devices (RFC 3261 §21.6).
fn is_for_all(status: Status) -> bool {
    status.code() >= 600
}

/// How telling a refusal is.
fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::Declined => 4,
        Cause::Busy => 3,
        Cause::NoAnswer => 2,
        Cause::Unavailable | Cause::NotFound => 1,
        _ => 0,
    }
}
