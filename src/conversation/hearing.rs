//! Who hears whom: one function of who is there and how. Nothing else decides it, so that no way in or out of a call (transfer, hold,
//! conference, supervision) can leave a leg hearing what it should not.
//!
//! | seat | hears | is heard by |
//! |---|---|---|
//! | talks | the others who talk, and music where all of them hold | those |
//! | is apart (menu, queue, rings, or is there for its signalling alone) | what it was given | nobody |
//!
//! A leg that holds is heard by nobody; nor is one that is held, which hears music. A peer that holds and sends its own music is heard
//! where there is nobody else to hear.

use crate::ids::LegId;
use crate::media::Source;

/// A leg, as far as hearing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat<'a> {
    pub leg: LegId,
    pub place: Place,
    /// Its peer does not listen: it has put us on hold.
    pub holds: bool,
    /// And sends while it does not listen.
    pub has_music: bool,
    /// Put on hold by a command.
    pub is_held: bool,
    /// What it hears where it does not talk.
    pub given: &'a Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of those who hear each other.
    Talks,
    /// It is at something of its own (a menu, a queue), rings, or is there for its signalling alone.
    Apart,
}

/// What a leg hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hears<'a> {
    /// What it was given.
    Given(&'a Source),
    /// Music on hold.
    Music,
    /// What these say, in the order of their ids; nothing, of nobody.
    Legs(Vec<LegId>),
}

/// What each leg hears, in the order of the seats.
pub fn hearing<'a>(seats: &[Seat<'a>]) -> Vec<(LegId, Hears<'a>)> {
    seats.iter().map(|seat| (seat.leg, hears(seat, seats))).collect()
}

fn hears<'a>(listener: &Seat<'a>, seats: &[Seat<'a>]) -> Hears<'a> {
    match listener.place {
        Place::Talks if is_held(listener, seats) => Hears::Music,
        Place::Talks => {
            let there = || voices(listener, seats);
            let speaks: Vec<LegId> = there().filter(|voice| is_audible(voice, seats)).map(|voice| voice.leg).collect();
            match speaks.is_empty() {
                true => Hears::Legs(there().filter(|voice| voice.has_music).map(|voice| voice.leg).collect()),
                false => Hears::Legs(speaks),
            }
        }
        Place::Apart => Hears::Given(listener.given),
    }
}

/// Whom it would hear, did none of them hold.
fn voices<'s, 'a>(listener: &Seat<'a>, seats: &'s [Seat<'a>]) -> impl Iterator<Item = &'s Seat<'a>> {
    let own = listener.leg;
    seats.iter().filter(move |seat| seat.leg != own && seat.place == Place::Talks)
}

/// There is nobody for it but who holds.
fn is_held(listener: &Seat<'_>, seats: &[Seat<'_>]) -> bool {
    listener.is_held || voices(listener, seats).all(|voice| voice.holds && !voice.has_music)
}

fn is_audible(seat: &Seat<'_>, seats: &[Seat<'_>]) -> bool {
    !seat.holds && !is_held(seat, seats)
}
