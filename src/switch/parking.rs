//! Park and retrieve: a call that is transferred to a slot waits there with music, until somebody dials the slot.
//!
//! Nothing of the conversation ends: the customer's leg, its recording and its media path stay, and who retrieves it becomes its next leg.
//! A call that nobody retrieves in time rings at the phone that parked it; unanswered there it goes on waiting in its slot, where it can
//! be retrieved all the time.

use super::event::{CallParked, Kind};
use super::hub::Cx;
use super::pickup::Joining;
use super::transfer::Notice;
use crate::conversation::{Conversation, Parked, Stage, Transferring};
use crate::ids::Number;
use crate::media::Audio;
use crate::route::Cause;
use crate::sip::Status;

impl Cx<'_> {
    /// A transfer to a slot. Whoever else is sent there by a configured place has nobody who parks it.
    pub fn parks_in(&mut self, conv: &mut Conversation, slot: Number, transfer: Option<Transferring>) {
        let Some(transfer) = transfer else { return self.fail(conv, Cause::NotFound, None) };
        let by = conv.leg(transfer.from).and_then(|leg| leg.peer.phone().cloned());
        match by {
            Some(by) if !self.hub.index.parked.contains_key(&slot) => {
                let data = CallParked { leg: conv.subject, slot: slot.clone(), phone: by.clone() };
                self.tell(Some(conv.id), Kind::CallParked(data));
                self.hub.index.parked.insert(slot.clone(), conv.id);
                self.hub.index.touched.insert(slot.clone());
                conv.parked = Some(Parked { slot, by });
                self.park_again(conv);
                self.transferred(conv, transfer, Notice::Completed);
            }
            // Somebody waits there already.
            Some(_) => self.transferred(conv, transfer, Notice::Failed(Status::BUSY_HERE)),
            None => self.transferred(conv, transfer, Notice::Failed(Status::FORBIDDEN)),
        }
    }

    /// Music, for another while; whether the call has a slot.
    pub fn park_again(&mut self, conv: &mut Conversation) -> bool {
        if conv.parked.is_none() {
            return false;
        }
        conv.stage = Stage::Parked { until: self.now.mono + self.hub.config.park.timeout };
        self.play(conv, conv.subject, Audio::Music);
        true
    }

    /// Nobody came for it.
    pub fn parked_too_long(&mut self, conv: &mut Conversation) {
        let Some(Parked { by, .. }) = conv.parked.clone() else { return };
        self.dial_phone(conv, &by, None);
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
