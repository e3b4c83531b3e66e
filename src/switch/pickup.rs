//! Call pickup: a phone takes the call that rings at another one, by its lamp key (INVITE with Replaces of an early dialog, RFC 3891) or by
//! a code. The one who takes it becomes a leg of the conversation that rings; nobody is called a second time.
//!
//! What a lamp key names is the dialog as dialog-info has shown it. Phones differ in which of the two tags they write as whose, so the
//! one that is ours is looked for in both places; it is unique.
//!
//! An offer of a queue is picked up by a colleague with the right to it: an agent of that queue, or somebody at a phone of the same
//! `group`. An agent has answered it for the queue; who is none takes the caller out of it. The agent whose phone rang is ready as before.

use std::time::Duration;

use super::hub::{Cx, For, Index};
use super::queueing::millis;
use super::{Output, Switch};
use crate::acd::OfferId;
use crate::clock::Now;
use crate::conversation::{Conversation, InfoKeys, Leg, Peer, Role, Stage};
use crate::dialog::{Call, Key, Own, Reach, SessionTimer};
use crate::event::{CallPickedUp, Kind, LeftWhy, QueueAnswered, QueueLeft};
use crate::ids::{ConversationId, LegId, Number, StaffNumber};
use crate::media::Command;
use crate::route::Cause;
use crate::sdp::{Description, Local};
use crate::sip::{Flow, HeaderName, Replaces, Request, Status};
use crate::transaction::TransactionId;

/// A phone's INVITE that is for a call which is there already.
#[derive(Debug)]
pub(super) struct Joining {
    pub transaction: TransactionId,
    pub request: Request,
    pub flow: Flow,
    pub phone: Number,
    pub offered: Option<Description>,
    pub session_asked: Option<SessionTimer>,
    pub wanted: Wanted,
}

/// Which call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One that rings.
    Ringing(Ringing),
    /// The one in this park slot.
    Parked(Number),
    /// The one that the phone itself has by this leg, on another device: it goes on here.
    Own(LegId),
}

/// Which of those that ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ringing {
    /// The one that this leg rings for.
    By(LegId),
    /// One that rings at this number.
    At(Number),
    /// One that rings at a phone of the same group.
    InGroup,
}

/// The dialog that a Replaces names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// A phone rings by it.
    Early(LegId),
    /// It is answered; or it is a caller's, whom nobody has answered.
    Other(LegId),
    Unknown,
}

impl Index {
    /// The leg of a dialog of ours, named as RFC 3891 §3 has it: our tag as its receiver's, or, as some phones write it, the other way
    /// round.
    pub fn named(&self, replaces: &Replaces) -> Option<LegId> {
        let by = |tag: &bytes::Bytes| self.keys.get(&Key { call_id: replaces.call_id.clone(), tag: tag.clone() });
        by(&replaces.to_tag).or_else(|| by(&replaces.from_tag)).copied()
    }

    pub fn replaced(&self, replaces: &Replaces) -> Replaced {
        let Some(leg) = self.named(replaces) else { return Replaced::Unknown };
        match self.legs.get(&leg) {
            Some(at) if !at.over && at.rings => Replaced::Early(leg),
            Some(at) if !at.over => Replaced::Other(leg),
            Some(_) | None => Replaced::Unknown,
        }
    }
}

impl Switch {
    /// Carries out what [`Cx::invited`](Cx) has found to be for another call.
    pub(super) fn join(&mut self, joining: Joining, now: Now, out: &mut Vec<Output>) {
        let taken = match &joining.wanted {
            Wanted::Parked(slot) => match self.hub.index.parked.get(slot).copied() {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.retrieve(conv, &joining)).unwrap_or(Err(404))
                }
                None => Err(404),
            },
            Wanted::Own(leg) => match self.conversation_of(*leg) {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.move_here(conv, *leg, &joining)).unwrap_or(Err(481))
                }
                None => Err(481),
            },
            Wanted::Ringing(ringing) => self.picks_up(ringing, &joining, now, out),
        };
        if let Err(status) = taken {
            let mut cx = self.cx(now, out);
            let status = Status::new(status).unwrap_or(Status::NOT_FOUND);
            let response = joining.request.response_with_tag(status, cx.hub.transactions.tag(joining.transaction));
            cx.respond(joining.transaction, &response);
        }
    }

    fn picks_up(&mut self, ringing: &Ringing, joining: &Joining, now: Now, out: &mut Vec<Output>) -> Result<(), u16> {
        let found = match ringing {
            Ringing::By(leg) => vec![(*leg, self.conversation_of(*leg).ok_or(481u16)?)],
            Ringing::At(number) => self.rings_at(std::iter::once(number), &joining.phone),
            Ringing::InGroup => {
                let config = self.hub.config.clone();
                let group = config.phones.get(&joining.phone).and_then(|p| p.group.as_ref());
                let same = config.phones.values().filter(|p| group.is_none() || p.group.as_ref() == group);
                self.rings_at(same.map(|p| &p.number), &joining.phone)
            }
        };
        // One that is not for this phone must not hide another one that is.
        let mut taken = Err(404);
        for (leg, conversation) in found {
            taken = self.with(conversation, now, out, |cx, conv| cx.pick_up(conv, leg, joining)).unwrap_or(Err(481));
            if taken.is_ok() {
                break;
            }
        }
        taken
    }

    /// The calls at one of these numbers, by how long they have rung. Of one's own phone there is nothing to pick up.
    fn rings_at<'a>(&self, numbers: impl Iterator<Item = &'a Number>, picker: &Number) -> Vec<(LegId, ConversationId)> {
        let legs = numbers.filter(|number| *number != picker).flat_map(|number| self.hub.index.of_phone(number));
        let mut ringing: Vec<(bool, LegId, ConversationId)> =
            legs.filter(|(_, at)| at.rings).map(|(leg, at)| (at.offered, leg, at.conversation)).collect();
        // Offers of queues last: for those there is somebody.
        ringing.sort_unstable();
        ringing.into_iter().map(|(_, leg, conversation)| (leg, conversation)).collect()
    }
}

impl Cx<'_> {
    /// The leg of `joining` takes the place of one that rings.
    fn pick_up(&mut self, conv: &mut Conversation, ringing: LegId, joining: &Joining) -> Result<(), u16> {
        let Some(rung) = conv.leg(ringing).filter(|l| l.is_ringing()) else { return Err(481) };
        if let Role::Agent { offer, .. } = &rung.role {
            return self.pick_up_offer(conv, ringing, *offer, joining);
        }
        // Of a command that rings its own phone first: busy for everybody else.
        if rung.role != Role::Callee || !matches!(conv.stage, Stage::Dialling(_)) {
            return Err(486);
        }
        let Some(from) = rung.peer.phone().cloned() else { return Err(486) };
        let subject = conv.leg(conv.subject).map(|l| &l.peer);
        if subject == Some(&Peer::Phone(joining.phone.clone())) {
            return Err(486);
        }
        let Some(id) = self.joins(conv, joining)? else { return Ok(()) };
        let data = CallPickedUp { leg: id, phone: joining.phone.clone(), from };
        self.tell(Some(conv.id), Kind::CallPickedUp(data));
        self.callee_taken(conv, id);
        Ok(())
    }

    /// Likewise one that rings on an offer of a queue.
    fn pick_up_offer(&mut self, conv: &mut Conversation, ringing: LegId, offer: OfferId, joining: &Joining) -> Result<(), u16> {
        let (Stage::Queue { queue, .. }, Some(from)) = (&conv.stage, conv.leg(ringing).and_then(|l| l.peer.phone().cloned()))
        else {
            return Err(486);
        };
        let (queue, phone, config) = (queue.clone(), &joining.phone, self.config());
        let agent = self.hub.acd.agent_at(phone).cloned();
        let group = |phone: &Number| config.phones.get(phone).and_then(|p| p.group.as_ref());
        let are_colleagues = group(phone).is_some() && group(phone) == group(&from);
        let serves = |agent: &StaffNumber| self.hub.acd.serves(agent, &queue);
        if !are_colleagues && !agent.as_ref().is_some_and(serves) {
            return Err(403);
        }
        if from == *phone || agent.as_ref().is_some_and(|agent| self.hub.acd.is_talking(agent)) {
            return Err(486);
        }
        let Some(id) = self.joins(conv, joining)? else { return Ok(()) };
        self.hub.stirred = true;
        match agent {
            Some(agent) => {
                let Some(answered) = self.hub.acd.picked_up(offer, &agent, phone, conv.id, self.now) else {
                    self.release(conv, id, Cause::Cancelled, Status::TEMPORARILY_UNAVAILABLE, None);
                    return Ok(());
                };
                if let Some(leg) = conv.legs.get_mut(&id) {
                    leg.role = Role::Agent { agent: agent.clone(), offer };
                    self.hub.index.put(conv.id, leg);
                }
                let (waited_ms, rang_ms) = (millis(answered.stay.waited), millis(answered.rang));
                conv.stay = Some(Box::new(answered.stay));
                let threshold_ms = self.threshold_ms(&queue);
                let data = QueueAnswered { queue, agent, waited_ms, rang_ms, threshold_ms, callback: None };
                self.tell(Some(conv.id), Kind::QueueAnswered(data));
                self.has_called_itself(conv);
            }
            None => {
                let waited = self.hub.acd.withdraw(conv.id, self.now).map_or(Duration::ZERO, |left| left.waited);
                let to = Some(format!("picked up by phone:{phone}"));
                let data = QueueLeft { to, why: Some(LeftWhy::PickedUp), ..QueueLeft::of(queue, millis(waited)) };
                self.tell(Some(conv.id), Kind::QueueLeft(data));
            }
        }
        self.stop_ringing(conv, Some(id));
        let data = CallPickedUp { leg: id, phone: phone.clone(), from };
        self.tell(Some(conv.id), Kind::CallPickedUp(data));
        self.bridge(conv, id);
        self.describe(conv);
        Ok(())
    }

    /// A phone takes its own call over to another device (RFC 3891 §1): the new leg has the old one's place.
    fn move_here(&mut self, conv: &mut Conversation, old: LegId, joining: &Joining) -> Result<(), u16> {
        let other = conv.other(old).ok_or(486_u16)?;
        let Some(id) = self.joins(conv, joining)? else { return Ok(()) };
        self.unbridge(conv);
        let role = conv.leg(old).map(|l| l.role.clone());
        if let (Some(role), Some(leg)) = (role, conv.legs.get_mut(&id)) {
            leg.role = role;
        }
        if let Some(leg) = conv.leg(id) {
            self.hub.index.put(conv.id, leg);
        }
        let with = self.takes_place(conv, old, id, other);
        let data = CallPickedUp { leg: id, phone: joining.phone.clone(), from: joining.phone.clone() };
        self.tell(Some(conv.id), Kind::CallPickedUp(data));
        self.bridge(conv, with);
        self.release(conv, old, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        Ok(())
    }

    /// A phone that called us becomes a leg of this conversation, answered at once; nothing where it has been refused meanwhile.
    pub fn joins(&mut self, conv: &mut Conversation, joining: &Joining) -> Result<Option<LegId>, u16> {
        let Some(lease) = self.lease(conv.worker, For::AnyCall) else {
            self.count("media_ports_exhausted_total");
            return Err(503);
        };
        let id = self.next_leg();
        let Joining { transaction, request, flow, phone, offered, session_asked, wanted: _ } = joining;
        let called = request.uri.dialled().unwrap_or_default();
        let own = Own { tag: self.hub.chance.token(), contact: self.contact(&called, flow) };
        let session_id = self.hub.chance.next_u64() >> 1;
        let local = Local { address: self.media_address(flow), port: lease.port, session_id };
        let call = Call::invited(*transaction, request.clone(), *flow, Reach::Flow, own);
        let peer = Peer::Phone(phone.clone());
        let negotiation = self.negotiation(local, &peer, flow, offered.as_ref());
        let leg = Leg {
            offered: offered.clone(),
            session_asked: *session_asked,
            takes_update: request.headers.lists(&HeaderName::Allow, "UPDATE"),
            info: InfoKeys::of(&request.headers),
            reported: self.hub.from(&request.headers, *flow).reported.map(|at| at.ip()),
            ..Leg::new(id, peer, Role::Callee, call, lease, negotiation, phone.to_string())
        };
        self.put(conv.id, &leg);
        conv.legs.insert(id, leg);
        self.media(conv.worker, Command::Open { leg: id, lease });
        self.hub.stirred = true;
        match self.answer_leg(conv, id) {
            Ok(true) => Ok(Some(id)),
            // Checked when the INVITE came.
            Ok(false) | Err(_) => {
                self.release(conv, id, Cause::NotAcceptable, Status::NOT_ACCEPTABLE_HERE, None);
                Ok(None)
            }
        }
    }
}
