//! Who is in a conversation beside the two that are bridged: further parties of a conference, whom an agent consults, and supervisors.

use super::OutsideParty;
use super::hearing::Supervision;
use super::stage::NextTrunks;
use crate::clock::Mono;
use crate::ids::{LegId, Number};
use crate::route::{Attempt, Cause, Side};

/// In the order in which they were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestId(pub u64);

#[derive(Debug)]
pub struct Guest {
    pub seat: GuestSeat,
    /// As asked for.
    pub to: String,
    pub by: Side,
    /// What an internal conversation becomes when it talks with the others.
    pub outside: Option<OutsideParty>,
    pub at: Whereabouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestSeat {
    /// Talks with all the others.
    Party,
    /// Is consulted by the one whom the customer talks to, and hears nobody else.
    Consulted {
        /// That one is back with the customer.
        waits: bool,
    },
    Supervisor(Supervision),
    /// Is rung to take the agent's place at once.
    Successor,
}

#[derive(Debug)]
pub enum Whereabouts {
    /// Its legs ring; those of a phone all at once, those outside one after another.
    Rings(Box<Ringing>),
    Here(LegId),
}

/// How it is being reached.
#[derive(Debug)]
pub struct Ringing {
    pub until: Mono,
    pub trunks: NextTrunks,
    /// What the trunk that is tried now was asked for.
    pub trying: Option<Attempt>,
    /// Whose rights and minutes it goes on, where it is outside.
    pub payer: Option<Number>,
    /// The last refusal.
    pub cause: Cause,
}

impl Guest {
    /// Its leg, once it has answered.
    pub fn leg(&self) -> Option<LegId> {
        match self.at {
            Whereabouts::Here(leg) => Some(leg),
            Whereabouts::Rings(_) => None,
        }
    }

    pub fn until(&self) -> Option<Mono> {
        match &self.at {
            Whereabouts::Rings(ringing) => Some(ringing.until),
            Whereabouts::Here(_) => None,
        }
    }

    pub fn is_party(&self) -> bool {
        match self.seat {
            GuestSeat::Party => true,
            GuestSeat::Consulted { .. } | GuestSeat::Supervisor(_) | GuestSeat::Successor => false,
        }
    }

    pub fn is_consulted(&self) -> bool {
        matches!(self.seat, GuestSeat::Consulted { .. })
    }

    /// Supervises, or is rung to take the agent's place.
    pub fn supervises(&self) -> bool {
        matches!(self.seat, GuestSeat::Supervisor(_) | GuestSeat::Successor)
    }
}
