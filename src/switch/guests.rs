//! Who comes into a conversation beside the two that are bridged: rung, there, gone again. What a guest is for is in `conference`,
//! `consulting` and `monitoring`; nothing that becomes of one touches the two, but that who has consulted it is back with the customer.

use std::time::Duration;

use super::dialling::{RINGS_OUTSIDE, SILENT};
use super::hub::Cx;
use crate::conversation::{Conversation, Guest, GuestId, GuestSeat, NextTrunks, Ringing, Role, Try, Way, Whereabouts};
use crate::event::{By, CallMuted, ConferenceChange, ConsultChange, Kind, MonitorChange};
use crate::ids::{LegId, Number};
use crate::route::{Cause, Outside};
use crate::sip::{Reason, Status};

/// A guest's phone rings so long.
const RINGS: Duration = Duration::from_secs(60);

/// Where somebody is to be found who is to join.
#[derive(Debug)]
pub(super) enum Found {
    Phone(Number),
    /// On this phone's account, if it is a phone that asks.
    Outside(Outside, Option<Number>),
}

impl Cx<'_> {
    /// Rings somebody who is to join; nothing, where there is no way to ring it at all.
    pub fn ring_guest(&mut self, conv: &mut Conversation, seat: GuestSeat, to: String, by: By, found: Found) -> Option<GuestId> {
        let id = GuestId(self.next_number());
        let mut ringing = Ringing {
            until: self.now.mono + RINGS,
            trunks: NextTrunks::default(),
            trying: None,
            payer: None,
            cause: Cause::Unavailable,
        };
        match found {
            Found::Phone(number) => {
                let (shows, name) = self.shown_to_phone(conv);
                conv.guests.insert(id, Guest { seat, to, by, outside: None, at: Whereabouts::Rings(Box::new(ringing)) });
                if !self.ring_phone(conv, &number, &Role::Guest(id), &shows, name.as_deref()) {
                    conv.guests.remove(&id);
                    return None;
                }
            }
            Found::Outside(outside, payer) => {
                ringing.payer = payer;
                let party = Some(self.party_outside(&outside));
                ringing.trunks = self.in_turn(outside.attempts);
                let at = Whereabouts::Rings(Box::new(ringing));
                conv.guests.insert(id, Guest { seat, to, by, outside: party, at });
                if !self.guest_by_next_trunk(conv, id) {
                    conv.guests.remove(&id);
                    return None;
                }
            }
        }
        self.guest_changed(conv, id, GuestChange::Asked);
        Some(id)
    }

    /// Whether there was one that takes the call.
    fn guest_by_next_trunk(&mut self, conv: &mut Conversation, id: GuestId) -> bool {
        let config = self.config();
        loop {
            let Some(Guest { at: Whereabouts::Rings(ringing), .. }) = conv.guests.get_mut(&id) else { return false };
            let Some(Try { attempt, by, .. }) = ringing.trunks.0.pop_front() else { return false };
            let payer = ringing.payer.clone();
            let Some(trunk) = config.trunks.get(&attempt.trunk) else { continue };
            let to = match by {
                Way::Next(to) | Way::Named(to, _) => to,
                Way::Any => match self.enter_trunk(trunk, attempt.emergency, None) {
                    Ok((first, others)) => {
                        for to in others.into_iter().rev() {
                            let other = Try { attempt: attempt.clone(), by: Way::Next(to), redirected: false };
                            ringing.trunks.0.push_front(other);
                        }
                        first
                    }
                    Err(why) => {
                        ringing.cause = why;
                        continue;
                    }
                },
            };
            ringing.trying = Some(attempt.clone());
            let invitation = self.outside_invitation(&attempt, trunk, to, None, false);
            if let Ok(leg) = self.invite(conv, super::outgoing::Invitation { role: Role::Guest(id), ..invitation }) {
                if let Some(payer) = payer {
                    self.hub.ledger.dialled(leg, payer);
                }
                self.give_guest_time(conv, id, SILENT);
                return true;
            }
        }
    }

    /// What is rung outside gets so long from now; the last of the trunks as long as one that rings.
    pub fn give_guest_time(&mut self, conv: &mut Conversation, id: GuestId, time: Duration) {
        if let Some(Guest { at: Whereabouts::Rings(ringing), .. }) = conv.guests.get_mut(&id) {
            let time = if ringing.trunks.0.is_empty() { RINGS_OUTSIDE } else { time };
            ringing.until = self.now.mono + time;
        }
    }

    /// A trunk did not get as far as ringing, and there is another: whether that one is tried.
    fn guest_given_up_by_trunk(&mut self, conv: &mut Conversation, id: GuestId) -> bool {
        let rings = |l: &&crate::conversation::Leg| l.is_ringing() && l.role == Role::Guest(id);
        let has_other = match conv.guests.get(&id).map(|guest| &guest.at) {
            Some(Whereabouts::Rings(ringing)) => !ringing.trunks.0.is_empty(),
            Some(Whereabouts::Here(_)) | None => false,
        };
        if !has_other || conv.legs.values().filter(rings).any(|leg| leg.rang) {
            return false;
        }
        for leg in conv.legs.values().filter(rings).filter(|leg| !leg.tried) {
            self.trunk_failed(leg, None);
        }
        self.stop_guest_ringing(conv, id, None);
        self.guest_by_next_trunk(conv, id)
    }

    /// A guest's leg has been answered.
    pub fn guest_answered(&mut self, conv: &mut Conversation, leg: LegId, id: GuestId) {
        let Some(guest) = conv.guests.get_mut(&id).filter(|guest| guest.leg().is_none()) else {
            return self.release(conv, leg, Cause::Cancelled, Status::REQUEST_TERMINATED, None);
        };
        guest.at = Whereabouts::Here(leg);
        let (seat, by) = (guest.seat, guest.by.clone());
        self.stop_guest_ringing(conv, id, Some(leg));
        match seat {
            GuestSeat::Party => {
                self.guest_changed(conv, id, GuestChange::Joined);
                if let Some(outside) = conv.guests.get_mut(&id).and_then(|guest| guest.outside.take()) {
                    self.party_from_outside(conv, leg, outside);
                }
                self.note_agents(conv, &[leg]);
            }
            GuestSeat::Consulted { .. } => {
                if let Some(asks) = conv.asks() {
                    self.silence(conv, asks);
                }
                self.guest_changed(conv, id, GuestChange::Joined);
            }
            GuestSeat::Supervisor(_) => self.guest_changed(conv, id, GuestChange::Joined),
            GuestSeat::Successor => self.succeeds(conv, id, by),
        }
    }

    /// One of its legs is out.
    pub fn guest_lost(&mut self, conv: &mut Conversation, id: GuestId, cause: Cause, for_all: bool) {
        let rings = |l: &crate::conversation::Leg| l.is_ringing() && l.role == Role::Guest(id);
        if !for_all && conv.legs.values().any(rings) {
            return;
        }
        let Some(Guest { at: Whereabouts::Rings(ringing), .. }) = conv.guests.get_mut(&id) else { return };
        ringing.cause = cause;
        if cause == Cause::PeerFault {
            ringing.trunks.leave_trunk();
        }
        let goes_on = !for_all && cause.tries_next_trunk() && self.guest_by_next_trunk(conv, id);
        if !goes_on {
            self.guest_fails(conv, id);
        }
    }

    /// Nobody has answered in time.
    pub fn guests_due(&mut self, conv: &mut Conversation) {
        let due = |guest: &Guest| guest.until().is_some_and(|until| until <= self.now.mono);
        let late: Vec<GuestId> = conv.guests.iter().filter(|(_, guest)| due(guest)).map(|(id, _)| *id).collect();
        for id in late {
            if self.guest_given_up_by_trunk(conv, id) {
                continue;
            }
            if let Some(Guest { at: Whereabouts::Rings(ringing), .. }) = conv.guests.get_mut(&id) {
                ringing.cause = Cause::NoAnswer;
            }
            self.guest_fails(conv, id);
        }
    }

    /// Parties who ring still are rung no more: there is nobody left who asked for them.
    pub fn nobody_joins(&mut self, conv: &mut Conversation) {
        let rings = |guest: &Guest| guest.is_party() && guest.leg().is_none();
        let ringing: Vec<GuestId> = conv.guests.iter().filter(|(_, guest)| rings(guest)).map(|(id, _)| *id).collect();
        for id in ringing {
            if let Some(Guest { at: Whereabouts::Rings(ringing), .. }) = conv.guests.get_mut(&id) {
                ringing.cause = Cause::Cancelled;
            }
            self.guest_fails(conv, id);
        }
    }

    fn guest_fails(&mut self, conv: &mut Conversation, id: GuestId) {
        self.stop_guest_ringing(conv, id, None);
        self.guest_changed(conv, id, GuestChange::Failed);
        self.guest_is_out(conv, id);
    }

    fn guest_is_out(&mut self, conv: &mut Conversation, id: GuestId) {
        if conv.guests.remove(&id).is_some_and(|guest| guest.seat == GuestSeat::Consulted { waits: false }) {
            self.back_with_customer(conv, By::Switch);
        }
    }

    pub fn stop_guest_ringing(&mut self, conv: &mut Conversation, id: GuestId, winner: Option<LegId>) {
        let reason = winner.map(|_| Reason::sip(Status::OK, "Call completed elsewhere"));
        let rings = |l: &&crate::conversation::Leg| l.is_ringing() && l.role == Role::Guest(id) && Some(l.id) != winner;
        let ringing: Vec<LegId> = conv.legs.values().filter(rings).map(|l| l.id).collect();
        for leg in ringing {
            self.release(conv, leg, Cause::Cancelled, Status::REQUEST_TERMINATED, reason.clone());
        }
    }

    /// A leg is over: if a guest was there by it, that one is gone.
    pub fn guest_gone(&mut self, conv: &mut Conversation, leg: LegId) {
        let Some((id, _)) = conv.guest_at(leg) else { return };
        self.guest_changed(conv, id, GuestChange::Left);
        self.guest_is_out(conv, id);
    }

    fn guest_changed(&mut self, conv: &mut Conversation, id: GuestId, change: GuestChange) {
        match change {
            GuestChange::Joined => self.record_supervisor(conv, id),
            GuestChange::Left => {
                if let Some(leg) = conv.guests.get(&id).and_then(Guest::leg) {
                    self.end_of_supervision(conv, Some(leg));
                }
            }
            GuestChange::Asked | GuestChange::Failed => {}
        }
        let Some(guest) = conv.guests.get(&id) else { return };
        match guest.seat {
            GuestSeat::Party => {
                let change = match change {
                    GuestChange::Asked => ConferenceChange::Ringing,
                    GuestChange::Joined => ConferenceChange::Joined,
                    GuestChange::Left => ConferenceChange::Left,
                    GuestChange::Failed => ConferenceChange::Failed,
                };
                self.conferenced(conv, guest, change);
            }
            GuestSeat::Consulted { .. } => {
                let by = match (change, guest.leg()) {
                    (GuestChange::Joined | GuestChange::Left, Some(leg)) => self.side(conv, leg),
                    (GuestChange::Failed, _) => By::Switch,
                    (_, _) => guest.by.clone(),
                };
                let change = match change {
                    GuestChange::Asked => ConsultChange::Ringing,
                    GuestChange::Joined => ConsultChange::Answered,
                    GuestChange::Left => ConsultChange::Cancelled,
                    GuestChange::Failed => ConsultChange::Failed,
                };
                self.consulted(conv, guest, change, by);
            }
            GuestSeat::Supervisor(_) | GuestSeat::Successor => {
                let change = match change {
                    GuestChange::Asked => MonitorChange::Ringing,
                    GuestChange::Joined => MonitorChange::Started,
                    GuestChange::Left => MonitorChange::Ended,
                    GuestChange::Failed => MonitorChange::Failed,
                };
                self.monitored(conv, guest, change);
            }
        }
    }

    /// Another leg has the place of one that goes, in the conversation and in its recording: what its partner is bridged with then.
    pub fn takes_place(&mut self, conv: &mut Conversation, old: LegId, new: LegId, partner: LegId) -> LegId {
        if conv.caller == old {
            conv.caller = new;
        }
        self.stays_muted(conv, old, new);
        if let (Some(recording), true) = (conv.recording, conv.tapped == old) {
            self.media(conv.worker, crate::media::Command::Untap { leg: old });
            self.media(conv.worker, crate::media::Command::Tap { leg: new, recording });
            conv.tapped = new;
        }
        match conv.subject == old {
            true => {
                conv.subject = new;
                partner
            }
            false => new,
        }
    }
}

impl Cx<'_> {
    /// Who was muted is so by another leg of the same phone, too.
    pub fn stays_muted(&mut self, conv: &mut Conversation, old: LegId, new: LegId) {
        let (Some(left), Some(leg)) = (conv.leg(old), conv.leg(new)) else { return };
        let is_same = left.peer == leg.peer && !leg.peer.is_trunk();
        if !is_same || !left.muted || leg.muted {
            return;
        }
        let agent = self.agent_of(left);
        for (id, muted) in [(old, false), (new, true)] {
            if let Some(leg) = conv.legs.get_mut(&id) {
                leg.muted = muted;
            }
            let data = CallMuted { leg: id, agent: agent.clone(), muted, by: By::Switch };
            self.tell(Some(conv.id), Kind::CallMuted(data));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GuestChange {
    Asked,
    Joined,
    Left,
    Failed,
}
