//! Conference: a conversation in which more than two talk.
//!
//! Two are bridged as in any call; further parties are guests beside them, and who hears whom follows from that
//! ([`hearing()`](crate::conversation::hearing())). Whoever leaves, the others go on: a party takes the place of one of the two, and the last
//! two are a bridge like any other. The recording is the customer's through all of it, and ends with the customer.
//!
//! Parties come in by a command that rings them, or with a consultation whose phone stays (`attended`). While the customer is sent
//! elsewhere, the parties wait with each other, or with music.

use super::guests::Found;
use super::hub::Cx;
use super::input::Actor;
use super::routing::caller;
use super::{Output, Refusal, Switch};
use crate::clock::Now;
use crate::conversation::{Conversation, Guest, GuestId, GuestSeat, OutsideParty, Role, Stage, Whereabouts};
use crate::event::{By, CallConferenced, ConferenceChange, Kind};
use crate::ids::{LegId, StaffNumber};
use crate::route::{self, Cause, Direction, Target};

/// Who talk with each other in one conversation, at most: chosen by feel. Each is decoded once and hears a sum of its own, so the work grows
/// with their number, and talk with more than a dozen has no order anyway.
pub(super) const MOST_PARTIES: usize = 16;

impl Switch {
    /// All of both calls of a phone talk with each other, if it has just pressed for that and has two.
    pub(super) fn confer_by_key(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some((conversation, leg)) = self.hub.conferring.take() else { return };
        let phone = self.conversations.get(&conversation).and_then(|conv| conv.leg(leg)?.peer.phone().cloned());
        let Some(phone) = phone else { return };
        let others = self.hub.index.of_phone(&phone).map(|(_, at)| at.conversation).filter(|other| *other != conversation);
        let talks = |conv: &Conversation| {
            conv.legs.values().any(|l| l.peer.phone() == Some(&phone) && l.is_holding() && conv.other(l.id).is_some())
        };
        let others: Vec<_> = others.filter(|other| self.conversations.get(other).is_some_and(talks)).collect();
        // Of more than two nobody could say which are meant.
        let [other] = others[..] else { return };
        if self.join_by_command(other, conversation, true, By::Phone, now, out).is_err() {
            self.cx(now, out).count("conferences_refused_total");
        }
    }
}

impl Cx<'_> {
    /// Adds a party by command, with the rights of the one whom the customer talks to.
    pub fn confer_by_command(&mut self, conv: &mut Conversation, to: String, by: &Actor) -> Result<(), Refusal> {
        let second = conv.second().ok_or(Refusal::WrongState("nobody is connected"))?;
        if conv.consulted().is_some() {
            return Err(Refusal::WrongState("somebody is being consulted"));
        }
        if conv.heads() >= MOST_PARTIES {
            return Err(Refusal::TooMany("parties in a conversation"));
        }
        let found = self.asked_in(conv, second, &to)?;
        match self.ring_guest(conv, GuestSeat::Party, to.clone(), By::Api(by.0.clone()), found) {
            Some(_) => Ok(()),
            None => Err(Refusal::Unreachable(to)),
        }
    }

    /// Where somebody is found who can be rung to come in, with the rights of this leg.
    pub fn asked_in(&mut self, conv: &Conversation, asks: LegId, to: &str) -> Result<Found, Refusal> {
        let found = self.party(conv, asks, to)?;
        if let Found::Phone(number) = &found {
            let is_there = |peer: &crate::conversation::Peer| peer.phone() == Some(number);
            if conv.legs.values().any(|leg| leg.is_live() && is_there(&leg.peer)) {
                return Err(Refusal::WrongState("that phone is in the conversation already"));
            }
            if !self.hub.registrar.is_registered(number) {
                return Err(Refusal::NoPhone(number.to_string()));
            }
        }
        Ok(found)
    }

    /// A number, a place of the configuration, or an agent by the staff number.
    fn party(&mut self, conv: &Conversation, asks: LegId, to: &str) -> Result<Found, Refusal> {
        let undiallable = || Refusal::NotDiallable(to.to_owned());
        let config = self.config();
        let leg = conv.leg(asks).ok_or_else(undiallable)?;
        let who = caller(&config, &leg.peer, &leg.shows).ok_or_else(undiallable)?;
        let found = match to.parse() {
            Ok(place) => route::go(&config, who, &place),
            Err(_) => route::dial(&config, who, to),
        };
        let agent = || self.hub.acd.phones_of(&StaffNumber::from(to)).first().cloned();
        let target = match found {
            Ok(target) => target,
            Err(_) => Target::Phone(agent().ok_or_else(undiallable)?),
        };
        self.may_reach(who, &target).map_err(|denied| Refusal::NotPermitted(leg.peer.to_string(), denied))?;
        match target {
            Target::Phone(number) => Ok(Found::Phone(number)),
            // Help is called by somebody who talks to it, and is not hung up on because others leave.
            Target::Outside(outside) if outside.is_emergency() => {
                Err(Refusal::WrongState("an emergency number is called, and not asked into a call"))
            }
            Target::Outside(_) if self.hub.is_bound_to_stay(conv, asks) => Err(undiallable()),
            Target::Outside(outside) => Ok(Found::Outside(outside, leg.peer.phone().cloned())),
            Target::Queue(_)
            | Target::Menu(_)
            | Target::Voicemail(_)
            | Target::Callback(_)
            | Target::Code(_)
            | Target::Slot(_)
            | Target::Hangup => Err(undiallable()),
        }
    }

    /// A leg that is there already is one more party.
    pub fn is_party(&mut self, conv: &mut Conversation, leg: LegId, to: String, by: By) {
        let id = GuestId(self.next_number());
        let guest = Guest { seat: GuestSeat::Party, to, by, outside: None, at: Whereabouts::Here(leg) };
        conv.guests.insert(id, guest);
        self.note_agents(conv, &[leg]);
        if let Some(guest) = conv.guests.get(&id) {
            self.conferenced(conv, guest, ConferenceChange::Joined);
        }
    }

    /// An internal call has an outside party now, who is the customer from here on.
    pub fn party_from_outside(&mut self, conv: &mut Conversation, leg: LegId, outside: OutsideParty) {
        if conv.direction != Direction::Internal {
            return;
        }
        if let Stage::Bridged { with, .. } = conv.stage {
            self.unbridge(conv);
            self.went_outside(conv, leg, outside);
            self.bridge(conv, with);
        } else {
            // Its place beside somebody it gets with the next bridge.
            self.went_outside(conv, leg, outside);
        }
    }

    /// The customer is one of the two who are to be bridged: one who came as a guest changes places with one of them. The subject's partner
    /// then.
    pub fn seats_customer(&mut self, conv: &mut Conversation, with: LegId) -> LegId {
        let customer = conv.customer().filter(|_| conv.direction == Direction::Outbound);
        let seat = customer.and_then(|leg| conv.guest_at(leg)).filter(|(_, guest)| guest.is_party()).map(|(id, _)| id);
        let (Some(customer), Some(seat)) = (customer, seat) else { return with };
        // An agent is not taken out of the place in which the queue has it, nor a phone for a trunk.
        let is_agents = conv.leg(with).is_some_and(|leg| leg.agent().is_some());
        let is_outside = conv.leg(conv.subject).is_some_and(|leg| leg.peer.is_trunk());
        let (stays, moves) = if is_agents || is_outside { (with, conv.subject) } else { (conv.subject, with) };
        if let Some(guest) = conv.guests.get_mut(&seat) {
            guest.at = Whereabouts::Here(moves);
            guest.to = conv.legs.get(&moves).map_or_else(String::new, |leg| leg.peer.to_string());
        }
        if let Some(leg) = conv.legs.get_mut(&customer) {
            leg.role = Role::Callee;
        }
        conv.subject = customer;
        stays
    }

    /// One of the two leaves and others are there: they go on, with a party in its place. Two trunks that may not be joined without a phone
    /// between them do not.
    pub fn carries_on(&mut self, conv: &mut Conversation, leaving: LegId, cause: Cause, by: By) {
        self.leaves_consultation(conv, leaving, cause, &by);
        let Some(partner) = conv.other(leaving).filter(|_| !conv.is_ending()) else { return };
        let there = |leg: LegId| conv.leg(leg).is_some_and(|leg| leg.is_answered());
        let is_phone = |leg: &LegId| conv.leg(*leg).is_some_and(|leg| !leg.peer.is_trunk());
        // A phone goes before a trunk, so that two trunks are a pair only when no phone is left.
        let heirs = conv.parties().filter(|(_, leg)| there(*leg));
        let Some((id, heir)) = heirs.min_by_key(|(id, leg)| (!is_phone(leg), *id)) else { return };
        let rest: Vec<LegId> = conv.talkers().into_iter().filter(|leg| *leg != leaving).collect();
        if !rest.iter().any(is_phone) && rest.iter().any(|leg| self.hub.is_bound_to_stay(conv, *leg)) {
            return;
        }
        let is_customer = conv.customer() == Some(leaving);
        self.unbridge(conv);
        // Left is the customer in every file.
        if is_customer && conv.direction != Direction::Internal {
            self.stop_recording(conv);
        }
        let to = conv.leg(leaving).map_or_else(String::new, |leg| leg.peer.to_string());
        // Whoever is asked for the customer from here on is not told of one who has left.
        if let Some(leg) = conv.legs.get_mut(&leaving) {
            leg.cause = Some(cause);
        }
        // Those who go on are no customers of the queue.
        if is_customer {
            conv.stay = None;
        }
        let with = self.takes_place(conv, leaving, heir, partner);
        conv.guests.remove(&id);
        if let Some(leg) = conv.legs.get_mut(&heir).filter(|leg| matches!(leg.role, Role::Guest(_))) {
            leg.role = Role::Callee;
        }
        self.bridge(conv, with);
        let legs = conv.talkers();
        let data = CallConferenced { change: ConferenceChange::Left, leg: Some(leaving), to, legs, by, cause: None };
        self.tell(Some(conv.id), Kind::CallConferenced(data));
    }

    pub fn conferenced(&mut self, conv: &Conversation, guest: &Guest, change: ConferenceChange) {
        let leaves = guest.leg().filter(|_| change == ConferenceChange::Left);
        let cause = match (&guest.at, change) {
            (Whereabouts::Rings(ringing), ConferenceChange::Failed) => Some(ringing.cause),
            (_, _) => None,
        };
        let data = CallConferenced {
            change,
            leg: guest.leg(),
            to: guest.to.clone(),
            legs: conv.talkers().into_iter().filter(|leg| Some(*leg) != leaves).collect(),
            by: match leaves {
                Some(leg) => self.side(conv, leg),
                None => guest.by.clone(),
            },
            cause,
        };
        self.tell(Some(conv.id), Kind::CallConferenced(data));
    }
}
