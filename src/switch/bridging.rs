//! Who hears whom: answers, bridges, hold.

use bytes::Bytes;

use super::hub::{ALLOW, Cx};
use super::sessions::granted;
use crate::conversation::{Conversation, Hears, Leg, Role, Stage, hearing};
use crate::event::{Bridge, By, CallProgress, Kind};
use crate::ids::LegId;
use crate::media::{Audio, ClipName, Command, PlayId, Session, Source};
use crate::route::Cause;
use crate::sdp::{Agreed, Description, Direction};
use crate::sip::{HeaderName, Status};

impl Cx<'_> {
    /// Answers the caller's INVITE, if that waits for it still. From here the caller's stay counts and is recorded.
    pub fn answer(&mut self, conv: &mut Conversation) -> bool {
        let waits = conv.leg(conv.subject).is_some_and(|l| l.call.is_invited());
        match self.answer_leg(conv, conv.subject) {
            Ok(answered) => {
                if answered && waits {
                    self.customer_answered(conv);
                }
                answered
            }
            Err(cause) => {
                self.end(conv, cause, By::Switch);
                false
            }
        }
    }

    /// Answers a leg's INVITE, if that waits for it still; whether the leg is answered.
    pub fn answer_leg(&mut self, conv: &mut Conversation, id: LegId) -> Result<bool, Cause> {
        let Some(leg) = conv.legs.get(&id) else { return Ok(false) };
        if !leg.call.is_invited() {
            return Ok(leg.is_answered());
        }
        let prefer =
            conv.legs.values().filter(|l| l.id != id && l.is_live()).find_map(|l| l.negotiation.agreed()).map(|a| a.codec);
        let Some(leg) = conv.legs.get_mut(&id) else { return Ok(false) };
        let offered = leg.offered.take();
        let body = match (leg.early.take(), &offered) {
            // Said in the 183 already; the time for its silence runs from here.
            (Some(body), _) => {
                if let Some(agreed) = leg.negotiation.agreed().cloned() {
                    let session = self.session(leg, leg.call.flow().map(|f| f.remote.ip()), agreed);
                    self.media(conv.worker, Command::Agree { leg: id, session });
                }
                body
            }
            (None, Some(offer)) => match leg.negotiation.answer(offer, &self.codecs_for(offer), prefer, Direction::SendRecv) {
                Ok((body, agreed)) => {
                    let session = self.session(leg, leg.call.flow().map(|f| f.remote.ip()), agreed);
                    self.media(conv.worker, Command::Agree { leg: id, session });
                    body
                }
                // Checked when the INVITE came.
                Err(refusal) => {
                    return Err(Cause::from_status(refusal.status()));
                }
            },
            // The offer is ours, the answer comes with the ACK (RFC 3261 §13.2.1).
            (None, None) => leg.negotiation.offer(&self.codecs(prefer), Direction::SendRecv),
        };
        match leg.call.answer(body) {
            Ok(Some((transaction, mut response))) => {
                leg.status = Some(200);
                // What the peer may send us from now on (§13.3.1.4).
                response.headers.push(HeaderName::Allow, ALLOW);
                response.headers.push(HeaderName::Supported, "timer, 100rel, replaces");
                leg.session = granted(leg.session_asked.take(), &mut response, self.now.mono);
                if let Some(response) = leg.provisionals.success(transaction, response) {
                    self.respond(transaction, &response);
                }
                Ok(true)
            }
            Ok(None) => Ok(leg.is_answered()),
            Err(_) => Err(Cause::Rejected),
        }
    }

    /// The customer's side has been answered, or has answered: once.
    pub fn customer_answered(&mut self, conv: &mut Conversation) {
        let Some(customer) = conv.customer().filter(|id| conv.leg(*id).is_some_and(|l| l.is_answered())) else { return };
        if conv.answered.is_some() {
            return;
        }
        conv.answered = Some(self.now.mono);
        conv.outside = customer;
        self.tell(Some(conv.id), Kind::CallAnswered(CallProgress { leg: customer }));
        self.record(conv, customer);
    }

    /// What a media worker is to know of an agreement. A phone's audio is sent where its signalling comes from, or not before it was
    /// heard: its description may name an address behind NAT, or a third party.
    pub fn session(&self, leg: &Leg, signalling: Option<std::net::IpAddr>, mut agreed: Agreed) -> Session {
        if let (false, Some(signalling)) = (leg.peer.is_trunk(), signalling) {
            agreed.distrust(signalling);
        }
        let session = Session::from(agreed);
        Session { keys_by_signalling: leg.info.is_taken() && session.telephone_event.is_none(), ..session }
    }

    /// Tells the worker what each leg hears by now, where that is not what it heard.
    pub fn tune(&mut self, conv: &mut Conversation) {
        let music = Audio::Music(self.music_of(conv));
        let anew = |(id, hears): (LegId, Hears<'_>)| {
            let heard = &conv.leg(id).filter(|leg| !leg.closed)?.hears;
            let source = match hears {
                Hears::Given(source) => (heard != source).then(|| source.clone()),
                Hears::Music if matches!(heard, Source::Play(_, audio) if *audio == music) => None,
                // It gets its number below.
                Hears::Music => Some(Source::Play(PlayId(0), music.clone())),
                Hears::Legs(legs) => Some(summed(legs)).filter(|source| source != heard),
            };
            source.map(|source| (id, source))
        };
        let changed: Vec<(LegId, Source)> = hearing(&conv.seats()).into_iter().filter_map(anew).collect();
        for (id, mut source) in changed {
            if let Source::Play(play @ PlayId(0), _) = &mut source {
                conv.plays += 1;
                *play = PlayId(conv.plays);
            }
            if let Some(leg) = conv.legs.get_mut(&id) {
                leg.hears = source.clone();
            }
            self.media(conv.worker, Command::Hear { leg: id, source });
        }
    }

    /// Plays to a leg from now on, until it talks; the id tells its end from the end of an earlier one.
    /// Who waits in a queue, or was served there, has its music; `None`: the site's.
    pub fn music_of(&self, conv: &Conversation) -> Option<ClipName> {
        let queue = self.hub.config.queues.get(conv.queue.as_ref()?)?;
        self.prompt(conv, queue.music.as_deref()?).ok()
    }

    pub fn play(&mut self, conv: &mut Conversation, leg: LegId, audio: Audio) -> PlayId {
        conv.plays += 1;
        let play = PlayId(conv.plays);
        self.give(conv, leg, Source::Play(play, audio));
        play
    }

    pub fn silence(&mut self, conv: &mut Conversation, leg: LegId) {
        self.give(conv, leg, Source::Nothing);
    }

    /// What a leg hears while it talks with nobody.
    pub fn give(&mut self, conv: &mut Conversation, leg: LegId, source: Source) {
        if let Some(leg) = conv.legs.get_mut(&leg) {
            leg.given = source;
        }
    }

    /// The subject and `with` hear each other from here.
    pub fn bridge(&mut self, conv: &mut Conversation, with: LegId) {
        let with = self.seats_customer(conv, with);
        conv.stage = Stage::Bridged { with, since: self.now.mono };
        conv.held_by_command = false;
        conv.diverted.clear();
        conv.forwards = 0;
        conv.steps_without_key = 0;
        self.unpark(conv);
        self.talks_after_survey(conv);
        let data = self.bridge_data(conv, with);
        let limits = data.agent.as_ref().and_then(|_| self.standards_of(conv)).map(Box::new);
        let kind = Kind::CallBridged(Bridge { limits, ..data });
        self.tell(Some(conv.id), kind);
        self.measure_talk(conv);
        self.tell_holders(conv, with, true);
        for id in [conv.subject, with] {
            self.silence(conv, id);
        }
        self.note_agents(conv, &[conv.subject, with]);
        self.announce_recording(conv);
        self.hub.stirred = true;
    }

    /// A conversation is found under each agent that was in it, by whatever way the call came to the phone.
    pub fn note_agents(&mut self, conv: &mut Conversation, legs: &[LegId]) {
        let mut came = false;
        for id in legs {
            let Some(agent) = conv.leg(*id).and_then(|leg| self.agent_of(leg)) else { continue };
            if !conv.agents.contains(&agent) {
                conv.agents.push(agent);
                came = true;
            }
        }
        if came {
            self.describe(conv);
        }
    }

    /// Whom an offer rang, or who works at the phone.
    pub fn agent_of(&self, leg: &crate::conversation::Leg) -> Option<crate::ids::StaffNumber> {
        leg.agent().or_else(|| self.hub.acd.agent_at(leg.peer.phone()?)).cloned()
    }

    /// The bridge is over, if there is one; its time is added.
    pub fn unbridge(&mut self, conv: &mut Conversation) {
        let Stage::Bridged { with, since } = conv.stage else { return };
        self.end_of_consultation(conv, &By::Switch);
        conv.talked += self.now.mono.since(since);
        let second = conv.second().unwrap_or(with);
        for id in conv.talkers() {
            self.stop_playing(conv, id, &By::Switch);
        }
        if conv.held_by_command && !conv.leg(second).is_some_and(Leg::is_holding) {
            self.tell_hold(conv, second, false, By::Switch);
        }
        self.tell_holders(conv, with, false);
        let kind = Kind::CallUnbridged(self.bridge_data(conv, with));
        conv.stage = Stage::Routing;
        conv.held_by_command = false;
        self.tell(Some(conv.id), kind);
        self.measure_talk(conv);
    }

    fn bridge_data(&self, conv: &Conversation, with: LegId) -> Bridge {
        let pair = [conv.subject, with];
        // The customer, where it is one of the two: it may have left a conference that goes on.
        let customer = conv.customer().filter(|leg| pair.contains(leg)).unwrap_or(conv.subject);
        let second = if customer == with { conv.subject } else { with };
        let leg = conv.leg(second);
        Bridge {
            legs: [customer, second],
            phone: leg.and_then(|l| l.peer.phone().cloned()),
            agent: leg.and_then(|l| self.agent_of(l)),
            limits: None,
            customer_agent: conv.leg(customer).and_then(|l| self.agent_of(l)),
        }
    }

    /// Who holds where a bridge begins or ends: an interval of hold is one of a bridge.
    fn tell_holders(&mut self, conv: &mut Conversation, with: LegId, held: bool) {
        for leg in [conv.subject, with] {
            if conv.leg(leg).is_some_and(Leg::is_holding) {
                let by = self.side(conv, leg);
                self.tell_hold(conv, leg, held, by);
            }
        }
    }

    /// A re-INVITE: hold, resume, a change of address, or nothing new.
    pub fn renegotiate(&mut self, conv: &mut Conversation, id: LegId, body: &[u8]) -> Result<Bytes, Refused> {
        let Some(leg) = conv.legs.get_mut(&id) else { return Err(Refused(Status::CALL_TRANSACTION_DOES_NOT_EXIST)) };
        let held = leg.is_holding();
        if body.is_empty() {
            // An INVITE without an offer asks for ours (§14.1); it takes hold back, as every phone means it.
            let codec = leg.negotiation.agreed().map(|a| a.codec);
            return Ok(leg.negotiation.offer(&self.codecs(codec), Direction::SendRecv));
        }
        let offer = Description::parse(body).map_err(|e| Refused(Status::new(e.status()).unwrap_or(Status::BAD_REQUEST)))?;
        let codec = leg.negotiation.agreed().map(|a| a.codec);
        let (answer, agreed) = leg
            .negotiation
            .answer(&offer, &self.codecs(codec), codec, Direction::SendRecv)
            .map_err(|e| Refused(Status::new(e.status()).unwrap_or(Status::NOT_ACCEPTABLE_HERE)))?;
        self.agreed(conv, id, agreed, held);
        Ok(answer)
    }

    /// An agreement is there: the worker learns it, and hold or resume is told if that is what it was.
    pub fn agreed(&mut self, conv: &mut Conversation, id: LegId, agreed: Agreed, was_held: bool) {
        let Some(leg) = conv.leg(id) else { return };
        let holds = !agreed.send;
        let session = self.session(leg, leg.call.flow().map(|f| f.remote.ip()), agreed);
        self.media(conv.worker, Command::Agree { leg: id, session });
        self.watch_hold(conv, id);
        if conv.other(id).is_none() {
            return;
        }
        let is_held_anyway = conv.held_by_command && conv.second() == Some(id);
        if holds != was_held && !is_held_anyway {
            let by = self.side(conv, id);
            self.tell_hold(conv, id, holds, by);
        }
    }

    /// Hold and resume by a command: the customer hears music ([`Conversation::waits`]), the other side nothing.
    pub fn hold_by_command(&mut self, conv: &mut Conversation, hold: bool, by: By) -> Result<(), super::Refusal> {
        let Stage::Bridged { with, .. } = conv.stage else {
            return Err(super::Refusal::WrongState("nobody is connected"));
        };
        if conv.asks().is_some() {
            return Err(super::Refusal::WrongState("somebody is being consulted, and the customer waits for that"));
        }
        if conv.held_by_command == hold {
            return Err(super::Refusal::WrongState(if hold { "already on hold" } else { "not on hold" }));
        }
        self.waits_by_command(conv, hold, conv.second().unwrap_or(with), by);
        Ok(())
    }

    /// The customer waits for `second`, or no more; told once.
    pub fn waits_by_command(&mut self, conv: &mut Conversation, hold: bool, second: LegId, by: By) {
        // Its phone holds, too: that is one hold, until neither does.
        if std::mem::replace(&mut conv.held_by_command, hold) != hold && !conv.leg(second).is_some_and(Leg::is_holding) {
            self.tell_hold(conv, second, hold, by);
        }
    }

    /// Whose doing it is when this leg does something.
    pub fn side(&self, conv: &Conversation, leg: LegId) -> By {
        let is_customer = match conv.customer() {
            Some(customer) => customer == leg,
            // Outbound, before the outside answers: its legs are the trunks'.
            None => conv.leg(leg).is_some_and(|l| l.peer.is_trunk() && l.role != Role::Caller),
        };
        if is_customer { By::Customer } else { By::Phone }
    }
}

/// One alone is relayed.
fn summed(legs: Vec<LegId>) -> Source {
    match legs[..] {
        [] => Source::Nothing,
        [leg] => Source::Leg(leg),
        _ => Source::Mix(legs),
    }
}

/// The status that a re-INVITE is refused with; the session goes on as it was (§14.2).
#[derive(Debug)]
pub(super) struct Refused(pub Status);
