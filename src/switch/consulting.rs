//! Consultation within a call: whom the customer talks to asks somebody else, and the customer waits with music.
//!
//! It is for phones with one line, and for programs: a phone with two has its own way ([`attended`](super::attended)). Whom it asks is a
//! guest of the conversation that nobody else hears; one at a time. What becomes of it:
//!
//! | step | the one who asks | whom it asks | the customer |
//! |---|---|---|---|
//! | asked | hears the ringing | rings | music |
//! | answered | both hear each other | | music |
//! | swapped | is back with the customer | music | hears who asked |
//! | joined | all talk with each other | | |
//! | completed | is let go | has its place | hears who was asked |
//! | cancelled, failed, hung up | is back with the customer | is let go | hears who asked |
//!
//! Nobody is left with nobody. Where the one who asks hangs up, the customer gets whom it has asked; where the customer does, the two go on.
//! To complete before the answer is a blind transfer and takes the right to those; if nobody answers, the customer comes back. The
//! consultation ends with the bridge that it is in, whatever ends that.

use super::Refusal;
use super::command::ConsultStep;
use super::conference::MOST_PARTIES;
use super::hub::Cx;
use super::transfer::Notice;
use crate::conversation::{Conversation, Dialling, Guest, GuestId, GuestSeat, Leg, Peer, Role, Stage, Transferring, Whereabouts};
use crate::event::{By, CallConsulted, ConferenceChange, ConsultChange, Direction, Kind, Transfer, TransferOutcome};
use crate::ids::{LegId, Number};
use crate::media::Audio;
use crate::route::Cause;
use crate::route::class::may_transfer_blind;
use crate::sip::Status;

const NOBODY: Refusal = Refusal::WrongState("nobody is being consulted");

impl Cx<'_> {
    /// Rings `to`, with the rights of the one whom the customer talks to, who hears it ring.
    pub fn consult(&mut self, conv: &mut Conversation, to: String, by: By) -> Result<(), Refusal> {
        let asks = conv.second().ok_or(Refusal::WrongState("nobody is connected"))?;
        if conv.leg(asks).is_none_or(|leg| leg.peer.is_trunk()) {
            return Err(Refusal::WrongState("the customer talks to a number outside, and that consults nobody"));
        }
        if conv.consulted().is_some() {
            return Err(Refusal::WrongState("somebody is being consulted already"));
        }
        if conv.heads() > 2 {
            return Err(Refusal::WrongState("more than two talk: ask somebody in, and nobody apart"));
        }
        if conv.for_help {
            return Err(Refusal::WrongState("a call to an emergency number does not wait"));
        }
        let found = self.asked_in(conv, asks, &to)?;
        if self.ring_guest(conv, GuestSeat::Consulted { waits: false }, to.clone(), by.clone(), found).is_none() {
            return Err(Refusal::Unreachable(to));
        }
        self.play(conv, asks, Audio::Ringback);
        self.waits_by_command(conv, true, asks, by);
        Ok(())
    }

    pub fn consultation_step(&mut self, conv: &mut Conversation, step: ConsultStep, by: By) -> Result<(), Refusal> {
        match step {
            ConsultStep::Swap => self.swap(conv, by),
            ConsultStep::Join => self.joins_consulted(conv, by),
            ConsultStep::Complete => {
                self.may_complete(conv)?;
                self.completes(conv, by).ok_or(NOBODY)
            }
            ConsultStep::Cancel => {
                conv.consulted().ok_or(NOBODY)?;
                let is_away = conv.asks().is_some();
                self.end_of_consultation(conv, &by);
                if is_away {
                    self.back_with_customer(conv, by);
                }
                Ok(())
            }
        }
    }

    /// From the one to the other.
    fn swap(&mut self, conv: &mut Conversation, by: By) -> Result<(), Refusal> {
        let (id, waits) = match conv.consulted().ok_or(NOBODY)? {
            (id, Guest { seat: GuestSeat::Consulted { waits }, at: Whereabouts::Here(_), .. }) => (id, *waits),
            (_, _) => return Err(Refusal::WrongState("nobody has answered yet")),
        };
        if let Some(guest) = conv.guests.get_mut(&id) {
            guest.seat = GuestSeat::Consulted { waits: !waits };
        }
        if let Some(second) = conv.second() {
            self.waits_by_command(conv, waits, second, by.clone());
        }
        if let Some(guest) = conv.guests.get(&id) {
            self.consulted(conv, guest, ConsultChange::Swapped, by);
        }
        Ok(())
    }

    /// All talk with each other.
    fn joins_consulted(&mut self, conv: &mut Conversation, by: By) -> Result<(), Refusal> {
        let (id, leg) = match conv.consulted().ok_or(NOBODY)? {
            (id, Guest { at: Whereabouts::Here(leg), .. }) => (id, *leg),
            (_, _) => return Err(Refusal::WrongState("nobody has answered yet")),
        };
        if conv.heads() >= MOST_PARTIES {
            return Err(Refusal::TooMany("parties in a conversation"));
        }
        if let Some(second) = conv.second() {
            self.waits_by_command(conv, false, second, by.clone());
        }
        if let Some(guest) = conv.guests.get(&id) {
            self.consulted(conv, guest, ConsultChange::Joined, by);
        }
        let Some(guest) = conv.guests.get_mut(&id) else { return Ok(()) };
        guest.seat = GuestSeat::Party;
        let outside = guest.outside.take();
        if let Some(guest) = conv.guests.get(&id) {
            self.conferenced(conv, guest, ConferenceChange::Joined);
        }
        if let Some(outside) = outside {
            self.party_from_outside(conv, leg, outside);
        }
        self.note_agents(conv, &[leg]);
        Ok(())
    }

    fn may_complete(&mut self, conv: &Conversation) -> Result<(), Refusal> {
        let (id, guest) = conv.consulted().ok_or(NOBODY)?;
        let asks = conv.second().ok_or(NOBODY)?;
        let config = self.config();
        let reaches = |leg: &&Leg| leg.is_live() && (guest.leg() == Some(leg.id) || leg.role == Role::Guest(id));
        let outside = conv.legs.values().filter(reaches).any(|leg| leg.peer.is_trunk());
        if outside && conv.other(asks).is_some_and(|customer| self.hub.is_bound_to_stay(conv, customer)) {
            return Err(Refusal::WrongState("a caller from a trunk may not reach another trunk"));
        }
        let phone = conv.leg(asks).and_then(|leg| leg.peer.phone()).and_then(|number| config.phones.get(number));
        match phone.filter(|_| guest.leg().is_none()) {
            Some(phone) => self
                .told(phone, &guest.to, may_transfer_blind(&config, phone))
                .map_err(|denied| Refusal::NotPermitted(format!("phone:{}", phone.number), denied)),
            None => Ok(()),
        }
    }

    /// Whom it asks has the place of the one who asks, or rings for the customer from here on; `None`: there is nobody.
    fn completes(&mut self, conv: &mut Conversation, by: By) -> Option<()> {
        let asks = conv.second()?;
        let customer = conv.other(asks)?;
        let (id, guest) = conv.consulted()?;
        self.consulted(conv, guest, ConsultChange::Completed, by.clone());
        let Guest { to, at, outside, .. } = conv.guests.remove(&id)?;
        let transfer = Transferring::of(conv, asks, None, by.clone(), to.clone());
        self.unbridge(conv);
        conv.subject = customer;
        self.record_without(conv, asks);
        self.silence(conv, asks);
        let data = Transfer { leg: asks, by, to: to.clone(), outcome: TransferOutcome::Started };
        self.tell(Some(conv.id), Kind::CallTransferred(data));
        if conv.leg(asks).is_some_and(Leg::is_live) {
            self.release(conv, asks, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        }
        match at {
            Whereabouts::Here(leg) => {
                if let Some(leg) = conv.legs.get_mut(&leg) {
                    leg.role = Role::Callee;
                }
                if let Some(outside) = outside {
                    self.went_outside(conv, leg, outside);
                }
                self.bridge(conv, leg);
                self.transferred(conv, transfer, Notice::Completed);
            }
            Whereabouts::Rings(ringing) => {
                let rings = conv.legs.values_mut().filter(|leg| leg.is_ringing() && leg.role == Role::Guest(id));
                let mut phone: Option<Number> = None;
                for leg in rings {
                    leg.role = Role::Callee;
                    phone = leg.peer.phone().cloned();
                }
                let place = match &phone {
                    Some(number) => format!("phone:{number}"),
                    None => format!("number:{to}"),
                };
                conv.stage = Stage::Dialling(Dialling {
                    phone,
                    trunks: ringing.trunks,
                    trying: ringing.trying,
                    payer: ringing.payer,
                    outside,
                    transfer: Some(transfer),
                    ..Dialling::new(place, Some(ringing.until))
                });
                self.ringback(conv);
            }
        }
        Some(())
    }

    /// One of the two who are bridged is gone while somebody is consulted.
    pub fn leaves_consultation(&mut self, conv: &mut Conversation, leaving: LegId, cause: Cause, by: &By) {
        let Some((_, guest)) = conv.consulted().filter(|_| !conv.is_ending()) else { return };
        let has_answered = guest.leg().is_some_and(|leg| conv.leg(leg).is_some_and(Leg::is_answered));
        // A phone that was lost has not wanted to send anybody on.
        let is_meant = has_answered || cause == Cause::Normal;
        if conv.second() == Some(leaving) {
            if is_meant && self.may_complete(conv).is_ok() {
                if let Some(leg) = conv.legs.get_mut(&leaving) {
                    leg.cause = Some(cause);
                }
                self.completes(conv, by.clone());
            }
        } else if has_answered && conv.other(leaving).is_some() {
            // Whom it asks is no part of what was recorded with the customer.
            if conv.customer() == Some(leaving) && conv.direction != Direction::Internal {
                self.stop_recording(conv);
            }
            // They go on as a conference does; where there are too many, the consultation ends with the bridge.
            let _: Result<(), Refusal> = self.joins_consulted(conv, by.clone());
        }
    }

    /// Who is consulted is let go.
    pub fn end_of_consultation(&mut self, conv: &mut Conversation, by: &By) {
        let Some((id, guest)) = conv.consulted() else { return };
        self.consulted(conv, guest, ConsultChange::Cancelled, by.clone());
        let Some(guest) = conv.guests.remove(&id) else { return };
        self.stop_guest_ringing(conv, id, None);
        if let Some(leg) = guest.leg() {
            self.release(conv, leg, Cause::Normal, Status::TEMPORARILY_UNAVAILABLE, None);
        }
    }

    /// Who has consulted hears the customer again, and a beep before: neither of them has done anything for it.
    pub fn back_with_customer(&mut self, conv: &mut Conversation, by: By) {
        let Some(second) = conv.second() else { return };
        self.silence(conv, second);
        let is_asked_for = by != By::Switch;
        self.waits_by_command(conv, false, second, by);
        if !is_asked_for {
            self.beep(conv, second);
        }
    }

    /// Tells a step.
    pub fn consulted(&mut self, conv: &Conversation, guest: &Guest, change: ConsultChange, by: By) {
        let asks = conv.second();
        let rung = |id: GuestId| conv.legs.values().find(|leg| leg.is_live() && leg.role == Role::Guest(id));
        let id = conv.consulted().map(|(id, _)| id);
        let leg = guest.leg().and_then(|leg| conv.leg(leg)).or_else(|| rung(id?));
        let phone = leg.and_then(|leg| match &leg.peer {
            Peer::Phone(number) => Some(number.clone()),
            Peer::Trunk(_) => None,
        });
        let cause = match (&guest.at, change) {
            (Whereabouts::Rings(ringing), ConsultChange::Failed) => Some(ringing.cause),
            (_, _) => None,
        };
        let data = CallConsulted {
            change,
            leg: guest.leg(),
            to: guest.to.clone(),
            asks: asks.unwrap_or(LegId::NOBODY),
            agent: asks.and_then(|leg| conv.leg(leg)).and_then(|leg| self.agent_of(leg)),
            consulted: phone.and_then(|phone| self.hub.acd.agent_at(&phone).cloned()),
            by,
            cause,
        };
        self.tell(Some(conv.id), Kind::CallConsulted(data));
    }
}
