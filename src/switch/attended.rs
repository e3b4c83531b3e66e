//! Attended transfer (RFC 5589 §7): the transferrer's two calls become one conversation.
//!
//! A phone asks for it by a REFER in one of its calls whose Refer-To names the dialog of its other one (Replaces, RFC 3891); no INVITE
//! follows, for both dialogs are ours. A command names the two conversations. The consultation, until then a conversation of its own,
//! gives its legs away and ends; the one that it was about goes on with its id, its recording and the customer's media path:
//!
//! | the consultation | what becomes of the customer |
//! |---|---|
//! | talks | hears the one who was consulted |
//! | rings | hears the ringing, and comes back to the transferrer if nobody answers |
//! | waits in a queue | takes the transferrer's place in it, with the time that was waited |
//! | is in a menu | hears the menu from its beginning |
//! | hears which park slot is free | waits in that slot |
//!
//! Of two calls that talk the older one goes on, unless only the other has a party outside.
//!
//! The last NOTIFY tells what has come of it (RFC 3515 §2.4.5), and a phone that hears 200 hangs up. Where that is not known yet, because
//! the one who was consulted still rings, the leg that the REFER came on is there until it is: the transferrer's own in the customer's
//! conversation, as in any transfer, or that of the consultation, which goes to the customer's conversation with the rest and hears
//! nothing. Then both are let go, or the customer is back at the first and the second has ended. Each may hang up before.

use std::collections::BTreeMap;

use super::conference::MOST_PARTIES;
use super::hub::Cx;
use super::queueing::millis;
use super::transfer::Notice;
use super::{Output, Refusal, Switch};
use crate::clock::Now;
use crate::conversation::{
    Conversation, Dialling, Guest, GuestId, Leg, Parked, Pause, Peer, Refer, Role, Stage, Transferring, Unrecorded,
};
use crate::event::{By, CallMerged, Kind, LeftWhy, MenuLeft, QueueEntered, QueueLeft, Transfer, TransferOutcome};
use crate::ids::{ConversationId, LegId, MenuName, QueueName};
use crate::media::{Command, Source};
use crate::route::{Cause, Direction};
use crate::sip::{Replaces, Status};

/// A phone's wish to join two calls of its own.
#[derive(Debug)]
pub(super) struct Attended {
    pub refer: Refer,
    pub replaces: Replaces,
}

/// The transferrer's leg in a conversation.
#[derive(Clone, Copy, Debug)]
struct End {
    conversation: ConversationId,
    leg: LegId,
}

/// Two calls that become one.
#[derive(Debug)]
struct Join {
    parent: End,
    child: End,
    by: By,
    /// A conference: the phone that is in both stays, by one of its two legs.
    stays: bool,
    /// The REFER that asked for it.
    refer: Option<Refer>,
}

impl Join {
    /// Whether it was asked for on this leg.
    fn asked_on(&self, leg: LegId) -> bool {
        self.refer.is_some_and(|refer| refer.on == leg)
    }
}

/// What the consultation is at without the transferrer.
#[derive(Debug)]
enum Consulted {
    Talks(LegId),
    Rings(Box<Dialling>),
    Waits(QueueName),
    Chooses(MenuName),
    Parks(Parked),
}

/// What the consultation gives away.
#[derive(Debug)]
struct Moved {
    legs: Vec<Leg>,
    guests: BTreeMap<GuestId, Guest>,
    at: Consulted,
    to: String,
    /// It went to an emergency number.
    for_help: bool,
    consent: Consent,
}

/// What was asked for in the consultation about recording it: it holds for all who are joined.
#[derive(Debug)]
struct Consent {
    unrecorded: Option<Unrecorded>,
    pause: Option<Pause>,
}

impl Switch {
    /// A REFER that names another call of its sender; it was accepted, and hears by NOTIFY what comes of it.
    pub(super) fn attended(&mut self, conversation: ConversationId, wish: Attended, now: Now, out: &mut Vec<Output>) {
        let Attended { refer, replaces } = wish;
        let first = End { conversation, leg: refer.on };
        let joined = match self.named(&replaces) {
            Some(second) => self.may_join(first, second, false).map(|(parent, child)| {
                let by = self.conversations.get(&conversation).map_or(By::Phone, |c| self.side_of(c, refer.on));
                Join { parent, child, by, stays: false, refer: Some(refer) }
            }),
            None => Err((Status::CALL_TRANSACTION_DOES_NOT_EXIST, Refusal::WrongState("there is no such call to join with"))),
        };
        let joined = joined.and_then(|join| self.may_hand_over(join.child.conversation, join.child.leg, now, out).map(|()| join));
        match joined {
            Ok(join) => self.merge(join, now, out),
            Err((status, _)) => {
                self.with(conversation, now, out, |cx, conv| cx.notify(conv, Some(refer), Notice::Failed(status)));
            }
        }
    }

    /// By command or key: the phone that is in both conversations is let go; or it stays, and all of them talk.
    pub(super) fn join_by_command(
        &mut self,
        conversation: ConversationId,
        consultation: ConversationId,
        stays: bool,
        by: By,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let live = |id| self.conversations.get(&id).filter(|c| !c.is_ending()).ok_or(Refusal::NoConversation(id));
        let (first, second) = (live(conversation)?, live(consultation)?);
        // Nobody but its caller ends it.
        if stays && (first.for_help || second.for_help) {
            return Err(Refusal::WrongState("a call to an emergency number is no conference"));
        }
        if stays && (first.consulted().is_some() || second.consulted().is_some()) {
            return Err(Refusal::WrongState("somebody is being consulted in one of the calls"));
        }
        let pairs = first.legs.values().flat_map(|a| second.legs.values().map(move |b| (a, b)));
        let both = |(a, b): &(&Leg, &Leg)| a.is_live() && b.is_live() && a.peer.phone().is_some() && a.peer == b.peer;
        let mut none = Refusal::WrongState("no phone is in both conversations");
        for (a, b) in pairs.filter(both) {
            match self.may_join(End { conversation, leg: a.id }, End { conversation: consultation, leg: b.id }, stays) {
                Ok(_) if stays && (first.other(a.id).is_none() || second.other(b.id).is_none()) => {
                    none = Refusal::WrongState("one of the calls has nobody who talks");
                }
                Ok((parent, child)) => {
                    self.merge(Join { parent, child, by, stays, refer: None }, now, out);
                    return Ok(());
                }
                Err((_, why)) => none = why,
            }
        }
        Err(none)
    }

    /// The leg of a dialog of ours, if the other tag is its peer's too.
    fn named(&self, replaces: &Replaces) -> Option<End> {
        let leg = self.hub.index.named(replaces)?;
        let conversation = self.conversation_of(leg)?;
        let call = &self.conversations.get(&conversation)?.leg(leg)?.call;
        let remote = call.peer_tag()?;
        (remote == replaces.from_tag || remote == replaces.to_tag).then_some(End { conversation, leg })
    }

    /// Parent and child, if the two may be joined; `phone_stays`: as a conference, whose phone is between all others as long as it is there.
    fn may_join(&self, first: End, second: End, phone_stays: bool) -> Result<(End, End), (Status, Refusal)> {
        let wrong = |why| (Status::REQUEST_PENDING, Refusal::WrongState(why));
        let gone = || wrong("one of the calls is over");
        if first.conversation == second.conversation {
            return Err(wrong("it is one call already"));
        }
        let (a, b) = match (self.conversations.get(&first.conversation), self.conversations.get(&second.conversation)) {
            (Some(a), Some(b)) if !a.is_ending() && !b.is_ending() => (a, b),
            _ => return Err(gone()),
        };
        let (one, other) = a.leg(first.leg).zip(b.leg(second.leg)).ok_or_else(gone)?;
        if !one.is_live() || !other.is_live() {
            return Err(gone());
        }
        // Who knows the names of a dialog has not yet the right to it (RFC 3891 §5).
        if one.peer != other.peer {
            return Err((Status::FORBIDDEN, Refusal::WrongState("the calls are not of one phone")));
        }
        let talks = (a.other(first.leg), b.other(second.leg));
        let fits = |conv: &Conversation, end: End| conv.subject == end.leg && can_be_taken_over(&conv.stage);
        let outside = |conv: &Conversation, end: End| {
            conv.direction != Direction::Internal
                || conv.legs.values().any(|l| l.id != end.leg && l.is_live() && l.peer.is_trunk())
        };
        // One of the phone's two legs goes, or both.
        if a.heads() + b.heads() - if phone_stays { 1 } else { 2 } > MOST_PARTIES {
            return Err((Status::BUSY_HERE, Refusal::TooMany("parties in a conversation")));
        }
        let (parent, child) = match talks {
            (Some(_), Some(_)) => match (outside(a, first), outside(b, second)) {
                (true, false) => (first, second),
                (false, true) => (second, first),
                (true, true) | (false, false) if a.id <= b.id => (first, second),
                (true, true) | (false, false) => (second, first),
            },
            (Some(_), None) if fits(b, second) => (first, second),
            (None, Some(_)) if fits(a, first) => (second, first),
            (Some(_), None) | (None, Some(_)) | (None, None) => return Err(wrong("there is nobody to be joined with")),
        };
        let (kept, came) = if parent.leg == first.leg { (a, b) } else { (b, a) };
        let stays = kept.other(parent.leg);
        let trunks: Vec<LegId> =
            came.legs.values().filter(|l| l.id != child.leg && l.is_live() && l.peer.is_trunk()).map(|l| l.id).collect();
        // A trunk's caller has to have the right to reach another trunk, on whichever side of the join.
        let is_refused = !phone_stays
            && !trunks.is_empty()
            && stays.is_some_and(|leg| {
                let outside = kept.leg(leg).is_some_and(|l| l.peer.is_trunk());
                self.hub.is_bound_to_stay(kept, leg)
                    || outside
                        && trunks
                            .iter()
                            .any(|l| came.leg(*l).is_some_and(|l| l.role == Role::Caller) && self.hub.is_bound_to_stay(came, *l))
            });
        if is_refused {
            return Err((Status::FORBIDDEN, Refusal::WrongState("a caller from a trunk may not reach another trunk")));
        }
        Ok((parent, child))
    }

    fn side_of(&self, conv: &Conversation, leg: LegId) -> By {
        if conv.customer() == Some(leg) { By::Customer } else { By::Phone }
    }

    fn merge(&mut self, join: Join, now: Now, out: &mut Vec<Output>) {
        let worker = self.conversations.get(&join.parent.conversation).map(|c| c.worker);
        let moved = match worker {
            Some(worker) => self.with(join.child.conversation, now, out, |cx, conv| cx.give_away(conv, &join, worker)),
            None => None,
        };
        let Some(Some(moved)) = moved else { return };
        self.with(join.parent.conversation, now, out, |cx, conv| match join.stays {
            true => cx.confer(conv, &join, moved),
            false => cx.take_over(conv, &join, moved),
        });
    }
}

/// What the subject is at can be gone on with by another leg.
fn can_be_taken_over(stage: &Stage) -> bool {
    match stage {
        Stage::Dialling(dialling) => dialling.transfer.is_none(),
        Stage::Queue { .. } | Stage::Menu { .. } | Stage::Offering { .. } => true,
        Stage::Routing
        | Stage::Bridged { .. }
        | Stage::Originating { .. }
        | Stage::Announcing { .. }
        | Stage::Parked { .. }
        | Stage::Leaving { .. }
        | Stage::Listening { .. }
        | Stage::Studio { .. }
        | Stage::LoggingIn { .. }
        | Stage::Arranging(_)
        | Stage::Ending => false,
    }
}

impl Cx<'_> {
    /// The consultation ends; all that lives in it but the transferrer's leg goes to the parent, on whose worker.
    fn give_away(&mut self, conv: &mut Conversation, join: &Join, worker: u8) -> Option<Moved> {
        let leg = join.child.leg;
        let other = conv.other(leg);
        self.unbridge(conv);
        let (at, to) = match std::mem::replace(&mut conv.stage, Stage::Routing) {
            Stage::Routing => {
                let other = other?;
                (Consulted::Talks(other), self.reached(conv, other))
            }
            Stage::Dialling(dialling) => (Consulted::Rings(Box::new(dialling)), conv.called.clone()),
            Stage::Queue { queue, .. } => {
                let waited_ms = self.hub.acd.waited(conv.id, self.now).map_or(0, millis);
                let to = Some(format!("conversation {}", join.parent.conversation));
                let data = QueueLeft { to, why: Some(LeftWhy::Merged), ..QueueLeft::of(queue.clone(), waited_ms) };
                self.tell(Some(conv.id), Kind::QueueLeft(data));
                let to = format!("queue:{queue}");
                (Consulted::Waits(queue), to)
            }
            Stage::Menu { menu, node, .. } => {
                let to = format!("conversation {}", join.parent.conversation);
                self.tell(Some(conv.id), Kind::MenuLeft(MenuLeft { menu: menu.clone(), node, to }));
                let to = format!("menu:{menu}");
                (Consulted::Chooses(menu), to)
            }
            Stage::Offering { .. } => {
                let parked = conv.parked.take()?;
                let slot = parked.slot.to_string();
                (Consulted::Parks(parked), slot)
            }
            other @ (Stage::Bridged { .. }
            | Stage::Originating { .. }
            | Stage::Announcing { .. }
            | Stage::Parked { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::LoggingIn { .. }
            | Stage::Arranging(_)
            | Stage::Ending) => {
                conv.stage = other;
                return None;
            }
        };
        let consent = Consent { unrecorded: conv.unrecorded, pause: conv.pause };
        // Supervisors', too, before their legs go.
        self.stop_recording(conv);
        // What comes of it, it is told there.
        let waits = join.asked_on(leg) && matches!(at, Consulted::Rings(_));
        let moving: Vec<LegId> =
            conv.legs.values().filter(|l| (waits || join.stays || l.id != leg) && l.is_live()).map(|l| l.id).collect();
        let mut legs = Vec::with_capacity(moving.len());
        for id in moving {
            // Until it is known what it hears there.
            self.media(conv.worker, Command::Hear { leg: id, source: Source::Nothing });
            if conv.worker != worker {
                self.media(worker, Command::Expect { leg: id });
                self.media(conv.worker, Command::HandOver { leg: id, to: worker });
            }
            if let Some(mut leg) = conv.legs.remove(&id) {
                leg.lease.worker = worker;
                (leg.given, leg.hears) = (Source::Nothing, Source::Nothing);
                legs.push(leg);
            }
        }
        let guests = std::mem::take(&mut conv.guests);
        self.merged(conv.id, join);
        if join.asked_on(leg) && !waits {
            self.notify(conv, join.refer, Notice::Completed);
        }
        self.end(conv, Cause::Transferred, join.by.clone());
        Some(Moved { legs, guests, at, to, for_help: conv.for_help, consent })
    }

    /// What came from the consultation.
    fn take_in(&mut self, conv: &mut Conversation, legs: Vec<Leg>, mut guests: BTreeMap<GuestId, Guest>, consent: &Consent) {
        for mut leg in legs {
            // Whoever began the consultation, the conversation has a caller of its own.
            if leg.role == Role::Caller {
                leg.role = Role::Callee;
            }
            self.put(conv.id, &leg);
            conv.legs.insert(leg.id, leg);
        }
        conv.guests.append(&mut guests);
        if let Some(why) = consent.unrecorded.filter(|_| conv.unrecorded.is_none()) {
            // What this one has up to here has nothing of who is not recorded in the other, and is kept.
            self.stop_recording(conv);
            self.never_again(conv, why);
        }
        self.stays_paused(conv, consent.pause);
        self.record_supervisors(conv);
    }

    /// All of both talk with each other. The phone that was in both goes on by the leg on which it does not hold: its user has the other
    /// call at the ear and is to press nothing.
    fn confer(&mut self, conv: &mut Conversation, join: &Join, moved: Moved) {
        let Moved { legs, guests, at, to, for_help: _, consent } = moved;
        let Consulted::Talks(consulted) = at else { return };
        self.take_in(conv, legs, guests, &consent);
        self.hub.acd.merged(join.child.conversation, conv.id, self.now);
        self.hub.stirred = true;
        self.merged(conv.id, join);
        let (first, second) = (join.parent.leg, join.child.leg);
        let holds = |id: LegId| conv.leg(id).is_some_and(Leg::is_holding);
        let goes = match conv.other(first).filter(|_| holds(first) || !holds(second)) {
            Some(partner) => {
                self.unbridge(conv);
                let role = conv.leg(first).map(|leg| leg.role.clone());
                if let (Some(role), Some(leg)) = (role, conv.legs.get_mut(&second)) {
                    leg.role = role;
                    self.hub.index.put(conv.id, leg);
                }
                let with = self.takes_place(conv, first, second, partner);
                self.bridge(conv, with);
                first
            }
            None => {
                self.stays_muted(conv, second, first);
                second
            }
        };
        self.release(conv, goes, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        self.is_party(conv, consulted, to, join.by.clone());
    }

    fn take_over(&mut self, conv: &mut Conversation, join: &Join, moved: Moved) {
        let Moved { legs, guests, at, to, for_help, consent } = moved;
        conv.for_help |= for_help;
        self.take_in(conv, legs, guests, &consent);
        let leg = join.parent.leg;
        let other = conv.other(leg).unwrap_or(conv.subject);
        // That of a consultation which talks has been told already.
        let refer = join.refer.filter(|_| join.asked_on(leg) || matches!(at, Consulted::Rings(_)));
        let transfer = Transferring::of(conv, leg, refer, join.by.clone(), to.clone());
        self.unbridge(conv);
        conv.subject = other;
        self.record_without(conv, leg);
        self.silence(conv, leg);
        self.hub.acd.merged(join.child.conversation, conv.id, self.now);
        self.hub.stirred = true;
        self.merged(conv.id, join);
        let data = Transfer { leg, by: join.by.clone(), to, outcome: TransferOutcome::Started };
        self.tell(Some(conv.id), Kind::CallTransferred(data));
        if join.refer.is_none() {
            self.release(conv, leg, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        }
        match at {
            Consulted::Talks(with) => self.bridge(conv, with),
            Consulted::Rings(dialling) => {
                let rings = conv.legs.values().any(|l| l.is_ringing() && l.rang);
                conv.stage = Stage::Dialling(Dialling { transfer: Some(transfer), ..*dialling });
                self.ringback(conv);
                return self.notify(conv, refer, if rings { Notice::Ringing } else { Notice::Trying });
            }
            Consulted::Waits(queue) => {
                let position = self.hub.acd.position(conv.id).map_or(1, |(_, position)| position);
                let position = u32::try_from(position).unwrap_or(u32::MAX);
                self.waits(conv, &queue);
                self.tell(
                    Some(conv.id),
                    Kind::QueueEntered(QueueEntered { queue: queue.clone(), position, waited_before_ms: 0 }),
                );
                self.describe(conv);
                self.queue_decides(conv, &queue);
            }
            Consulted::Chooses(menu) => self.enter_menu(conv, &menu),
            Consulted::Parks(Parked { slot, by, .. }) => self.put_in_slot(conv, slot, by, None),
        }
        self.transferred(conv, transfer, Notice::Completed);
    }

    fn merged(&mut self, told: ConversationId, join: &Join) {
        let (parent, child) = (join.parent.conversation, join.child.conversation);
        self.tell(Some(told), Kind::CallMerged(CallMerged { parent, child, leg: join.parent.leg, by: join.by.clone() }));
    }

    /// The number of whom the consultation was with.
    fn reached(&self, conv: &Conversation, leg: LegId) -> String {
        match conv.leg(leg).map(|l| &l.peer) {
            Some(Peer::Phone(number)) => number.to_string(),
            Some(Peer::Trunk(_)) | None => conv.customer_number.clone(),
        }
    }
}
