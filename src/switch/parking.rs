//! Park and retrieve: a call that is transferred to a slot waits there with music, until somebody dials the slot.
//!
//! Who does not care which slot transfers to the park code (`*70`). How that one gets to know the slot depends on how it is done:
//!
//! | at the phone | who parks |
//! |---|---|
//! | attended: calls the code, then transfers | hears the slot, which is kept meanwhile, and goes when that is enough |
//! | blind: the phone drops its own leg | is rung back for [`RINGS_BACK`] by a call that shows the slot, and says it to who answers |
//! | by command | the event `call.parked` tells who gave it |
//!
//! Nothing of the conversation ends: the customer's leg, its recording and its media path stay, and who retrieves it becomes its next leg.
//! A call that nobody retrieves in time rings at the phone that parked it. Unanswered there it goes on waiting in its slot, or, after
//! `ring_backs` of them, to `overflow`. It has its slot, where it can be retrieved, until somebody or something has taken it: a place that
//! does not (a phone that nobody answers, a full mailbox) leaves it there for another while. Each step is an event
//! (`call.park_returned`), so that no call goes round unseen.

use std::time::Duration;

use super::hub::{Cx, For};
use super::pickup::Joining;
use super::transfer::Notice;
use super::{Output, Switch};
use crate::clock::Now;
use crate::config::Place;
use crate::conversation::{Conversation, Otherwise, Parked, Peer, Role, Stage, Transferring};
use crate::event::{CallParkReturned, CallParked, Kind, ParkReturn};
use crate::ids::{LegId, Number};
use crate::media::{Audio, PlayId};
use crate::route::{Cause, Decision, Direction, tidy};
use crate::sip::Status;

/// Who asks for a slot has so long to transfer a call there.
const KEPT: Duration = Duration::from_secs(60);
/// A slot is said so many times more: some 30 s.
const SAID_AGAIN: u8 = 9;
/// Who has parked a call blindly is rung so long: four rings, as a phone that shows who calls needs no answer.
const RINGS_BACK: Duration = Duration::from_secs(15);
/// And the slot is said to who answers in no more than this.
const TOLD: Duration = Duration::from_secs(30);

impl Cx<'_> {
    /// A transfer to a slot. Whoever else is sent there by a configured place has nobody who parks it.
    pub fn parks_in(&mut self, conv: &mut Conversation, slot: Number, transfer: Option<Transferring>) {
        let Some(transfer) = transfer else { return self.fail(conv, Cause::NotFound, None) };
        let by = conv.leg(transfer.from).and_then(|leg| leg.peer.phone().cloned());
        match by {
            Some(by) if !self.hub.index.parked.contains_key(&slot) => {
                // By the code: which one it is nobody has said. A command's event does.
                let by_code = transfer.refer.is_some() && tidy(&transfer.to) == self.hub.config.codes.park;
                let tells = by_code.then_some(transfer.from);
                self.put_in_slot(conv, slot, by, tells);
                self.transferred(conv, transfer, Notice::Completed);
            }
            // Somebody waits there already.
            Some(_) => self.transferred(conv, transfer, Notice::Failed(Status::BUSY_HERE)),
            None => self.transferred(conv, transfer, Notice::Failed(Status::FORBIDDEN)),
        }
    }

    /// The subject waits there from now on.
    pub fn put_in_slot(&mut self, conv: &mut Conversation, slot: Number, by: Number, tells: Option<LegId>) {
        let data = CallParked { leg: conv.subject, slot: slot.clone(), phone: by.clone() };
        self.tell(Some(conv.id), Kind::CallParked(data));
        self.keep_slot(conv, slot, by, tells);
        self.park_again(conv);
    }

    fn keep_slot(&mut self, conv: &mut Conversation, slot: Number, by: Number, tells: Option<LegId>) {
        self.unpark(conv);
        self.hub.index.parked.insert(slot.clone(), conv.id);
        self.hub.index.touched.insert(slot.clone());
        conv.parked = Some(Parked { slot, by, tells, returns: 0 });
    }

    /// The first one in which nobody waits, and which is kept for nobody.
    pub fn free_slot(&self) -> Option<Number> {
        self.hub.config.park.slots.iter().find(|slot| !self.hub.index.parked.contains_key(*slot)).cloned()
    }

    /// A phone asks where it may park a call, and hears it until it transfers the call there, or hangs up.
    pub fn offer_slot(&mut self, conv: &mut Conversation, phone: Number) {
        let Some(slot) = self.free_slot() else { return self.fail(conv, Cause::Busy, None) };
        self.keep_slot(conv, slot.clone(), phone, None);
        if self.answer(conv) {
            let play = self.say_slots(conv, &slot, 1);
            conv.stage = Stage::Offering { play, again: SAID_AGAIN, until: self.now.mono + KEPT };
        }
    }

    /// And again; then it waits in silence.
    pub fn slot_said(&mut self, conv: &mut Conversation) {
        let slot = conv.parked.as_ref().map(|parked| parked.slot.clone());
        let (Stage::Offering { again: 1.., .. }, Some(slot)) = (&conv.stage, slot) else { return };
        let said = self.say_slots(conv, &slot, 1);
        if let Stage::Offering { play, again, .. } = &mut conv.stage {
            (*play, *again) = (said, *again - 1);
        }
    }

    /// To who has answered the call back.
    pub fn tell_slot(&mut self, conv: &mut Conversation, slot: &Number) {
        if !self.hub.index.parked.contains_key(slot) {
            return self.fail(conv, Cause::NotFound, None);
        }
        if self.answer(conv) {
            let play = self.say_slots(conv, slot, 2);
            conv.stage = Stage::Announcing { play, until: self.now.mono + TOLD, then: Place::Hangup, cause: Cause::Normal };
        }
    }

    fn say_slots(&mut self, conv: &mut Conversation, slot: &Number, times: usize) -> PlayId {
        let digits = slot.as_str().chars().filter(char::is_ascii_digit).map(|digit| format!("digit-{digit}"));
        let once: Vec<String> = std::iter::once("parked".to_owned()).chain(digits).collect();
        let all: Vec<&str> = (0..times).flat_map(|_| once.iter().map(String::as_str)).collect();
        let clips = self.clips(conv, &all);
        self.play(conv, conv.subject, Audio::Prompt(clips))
    }

    /// A leg is over: if it was that of who parked the call by code, it can be rung now.
    pub fn parker_gone(&mut self, conv: &mut Conversation, leg: LegId) {
        if let Some(parked) = conv.parked.as_mut().filter(|parked| parked.tells == Some(leg)) {
            parked.tells = None;
            self.hub.to_tell.push((parked.by.clone(), parked.slot.clone()));
        }
    }

    /// Music, for another while. Whoever has sent the call on until now may do so again: each round is a new dialling, and the slot's timer
    /// keeps them apart.
    fn park_again(&mut self, conv: &mut Conversation) {
        conv.diverted.clear();
        conv.forwards = 0;
        conv.stage = Stage::Parked { until: self.now.mono + self.hub.config.park.timeout };
        self.play(conv, conv.subject, Audio::Music(self.music_of(conv)));
    }

    /// Nobody came for it.
    pub fn parked_too_long(&mut self, conv: &mut Conversation) {
        let Some(parked) = &mut conv.parked else { return };
        parked.returns = parked.returns.saturating_add(1);
        let by = parked.by.clone();
        self.park_returned(conv, ParkReturn::Ringing, None, None);
        self.ring_back(conv, &by, Otherwise::Slot);
    }

    /// It has rung at who parked it, and somebody has it now.
    pub fn parker_has_it(&mut self, conv: &Conversation, taker: LegId) {
        let phone = conv.leg(taker).and_then(|leg| leg.peer.phone().cloned());
        self.park_returned(conv, ParkReturn::Answered, phone, None);
    }

    /// Or nobody, so it goes elsewhere.
    pub fn not_fetched(&mut self, conv: &mut Conversation, cause: Cause) {
        self.park_returned(conv, ParkReturn::Unanswered, None, Some(cause));
        let park = &self.hub.config.park;
        let is_due = conv.parked.as_ref().is_some_and(|parked| parked.returns >= park.ring_backs);
        match park.overflow.clone().filter(|_| is_due) {
            Some(place) => {
                self.park_returned(conv, ParkReturn::Overflow, None, None);
                match place {
                    // As where a queue overflows: not without a word.
                    Place::Hangup => {
                        self.unpark(conv);
                        self.announce(conv, "unavailable", Place::Hangup, Cause::NoAnswer);
                    }
                    place => self.go(conv, &place),
                }
            }
            None => self.park_again(conv),
        }
    }

    /// Where it was to go does not take it: it has its slot still, and waits there. Whether that was so.
    pub fn stays_in_slot(&mut self, conv: &mut Conversation, cause: Cause) -> bool {
        let waits = conv.parked.is_some() && !matches!(conv.stage, Stage::Offering { .. } | Stage::Ending);
        if waits {
            self.park_returned(conv, ParkReturn::OverflowFailed, None, Some(cause));
            self.count("park_overflow_failed_total");
            self.park_again(conv);
        }
        waits
    }

    /// `phone`: who has taken it, if anybody has.
    fn park_returned(&mut self, conv: &Conversation, outcome: ParkReturn, phone: Option<Number>, cause: Option<Cause>) {
        let Some(Parked { slot, by, returns, .. }) = conv.parked.clone() else { return };
        let to = match outcome {
            ParkReturn::Overflow | ParkReturn::OverflowFailed => self.hub.config.park.overflow.as_ref().map(Place::to_string),
            ParkReturn::Ringing | ParkReturn::Answered | ParkReturn::Unanswered => None,
        };
        let phone = phone.unwrap_or(by);
        let data = CallParkReturned { leg: conv.subject, slot, phone, returns, outcome, to, cause };
        self.tell(Some(conv.id), Kind::CallParkReturned(data));
    }

    /// The slot is free again, if the call has one.
    pub fn unpark(&mut self, conv: &mut Conversation) {
        if let Some(Parked { slot, .. }) = conv.parked.take() {
            self.hub.index.parked.remove(&slot);
            self.hub.index.touched.insert(slot);
        }
    }

    /// A phone has dialled the slot.
    pub fn retrieve(&mut self, conv: &mut Conversation, joining: &Joining) -> Result<(), u16> {
        let Some(Parked { slot, .. }) = conv.parked.clone() else { return Err(404) };
        if let Stage::Offering { .. } = conv.stage {
            return Err(404);
        }
        match conv.leg(conv.subject) {
            Some(leg) if leg.peer.phone() == Some(&joining.phone) => return Err(486),
            Some(leg) if leg.is_answered() => {}
            Some(_) | None => return Err(404),
        }
        let Some(id) = self.joins(conv, joining)? else { return Ok(()) };
        let data = CallParked { leg: conv.subject, slot, phone: joining.phone.clone() };
        self.tell(Some(conv.id), Kind::CallRetrieved(data));
        match conv.stage {
            // The one who parked it is rung at the moment.
            Stage::Dialling(_) => self.callee_taken(conv, id),
            _ => self.bridge(conv, id),
        }
        Ok(())
    }
}

impl Switch {
    /// Rings who has parked a call without hearing where: the number that calls is the slot.
    pub(super) fn tell_parkers(&mut self, now: Now, out: &mut Vec<Output>) {
        for (phone, slot) in std::mem::take(&mut self.hub.to_tell) {
            let mut cx = self.cx(now, out);
            let Some(worker) = cx.idlest_worker(For::AnyCall) else { continue };
            let id = cx.hub.chance.conversation(now.wall);
            let mut conv = Conversation::new(id, Direction::Internal, Peer::Phone(phone.clone()), worker);
            let to = format!("{}{slot}", cx.hub.config.codes.park);
            conv.customer_number = phone.to_string();
            conv.called.clone_from(&to);
            conv.rule = Decision::never("park".to_owned());
            conv.stage = Stage::Originating { to, until: now.mono + RINGS_BACK };
            if !cx.ring_phone(&mut conv, &phone, &Role::Caller, slot.as_str(), Some(&format!("Park {slot}"))) {
                continue;
            }
            if let Some(first) = conv.legs.keys().next().copied() {
                conv.caller = first;
                conv.subject = first;
            }
            cx.begin(&mut conv);
            self.adopt(conv, now, out);
        }
    }
}
