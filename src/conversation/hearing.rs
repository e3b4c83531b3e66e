//! Who hears whom: one function of who is there and how. Nothing else decides it, so that no way in or out of a call (transfer, hold,
//! conference, supervision) can leave a leg hearing what it should not.
//!
//! | seat | hears | is heard by |
//! |---|---|---|
//! | talks | the others who talk, and music where all of them hold | those, and who supervises |
//! | asks somebody else meanwhile | whom it asks; what it was given, until that one answers | that one, and who supervises |
//! | is asked | who asks; music, while that one talks with the others | who asks, and who supervises |
//! | is alone (menu, queue, ringing tone) | what its stage gives it | who supervises |
//! | is apart (rings, or is there for its signalling alone) | what it was given | nobody |
//! | supervises, listening | all who talk or are alone | nobody |
//! | supervises, whispering | the same | the one who is coached |
//! | supervises, barging in | the same | all who talk, and other supervisors |
//!
//! Who supervises is heard by the one who asks as by one who talks, and never by who is asked.
//!
//! A leg that holds is heard by nobody; nor is one that is held, which hears music, or one that is muted. A peer that holds and sends its
//! own music is heard where there is nobody else to hear. What is played to a leg by command goes before everything else.

use serde::{Deserialize, Serialize};

use crate::ids::LegId;
use crate::media::Source;

/// A leg, as far as hearing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat<'a> {
    pub leg: LegId,
    pub place: Place,
    /// A whisper is for it.
    pub is_coached: bool,
    pub is_muted: bool,
    /// Its peer does not listen: it has put us on hold.
    pub holds: bool,
    /// And sends while it does not listen.
    pub has_music: bool,
    /// Put on hold by a command.
    pub is_held: bool,
    /// What it hears where it does not talk.
    pub given: &'a Source,
    /// What it hears by command, whatever it would hear else.
    pub played: Option<&'a Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One of those who hear each other.
    Talks,
    /// Consults somebody, while the others wait.
    Asks,
    /// Is consulted.
    Asked,
    /// It is at something of its own.
    Alone,
    /// It rings, or is there for its signalling alone.
    Apart,
    Supervises(Supervision),
}

/// How much of itself a supervisor gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    Listen,
    Whisper,
    Barge,
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
    if let (Some(played), Place::Talks | Place::Asks | Place::Asked | Place::Supervises(_)) = (listener.played, listener.place) {
        return Hears::Given(played);
    }
    match listener.place {
        // Nobody has answered yet.
        Place::Asks if !seats.iter().any(|seat| seat.place == Place::Asked) => Hears::Given(listener.given),
        Place::Talks | Place::Asks | Place::Asked if is_held(listener, seats) => Hears::Music,
        Place::Talks | Place::Asks | Place::Asked => {
            let there = || voices(listener, seats).filter(|voice| !voice.is_muted);
            let speak: Vec<LegId> = there().filter(|voice| is_audible(voice, seats)).map(|voice| voice.leg).collect();
            match speak.is_empty() {
                true => Hears::Legs(
                    there().filter(|voice| voice.has_music && !is_held(voice, seats)).map(|voice| voice.leg).collect(),
                ),
                false => Hears::Legs(speak),
            }
        }
        Place::Supervises(_) => {
            let audible = voices(listener, seats).filter(|voice| is_audible(voice, seats));
            Hears::Legs(audible.map(|voice| voice.leg).collect())
        }
        Place::Alone | Place::Apart => Hears::Given(listener.given),
    }
}

/// Whom it would hear, did none of them hold.
fn voices<'s, 'a>(listener: &'s Seat<'a>, seats: &'s [Seat<'a>]) -> impl Iterator<Item = &'s Seat<'a>> {
    let supervises = matches!(listener.place, Place::Supervises(_));
    let speaks = move |voice: &Seat<'_>| match (listener.place, voice.place) {
        (Place::Asks, Place::Asked) | (Place::Asked, Place::Asks) => true,
        (Place::Asks, Place::Talks) | (Place::Asked, _) => false,
        (_, Place::Talks | Place::Supervises(Supervision::Barge)) => true,
        (_, Place::Supervises(Supervision::Whisper)) => listener.is_coached,
        (_, Place::Supervises(Supervision::Listen) | Place::Apart) => false,
        (_, Place::Alone | Place::Asks | Place::Asked) => supervises,
    };
    seats.iter().filter(move |seat| seat.leg != listener.leg && speaks(seat))
}

/// There is nobody for it but who holds.
fn is_held(talks: &Seat<'_>, seats: &[Seat<'_>]) -> bool {
    talks.is_held || voices(talks, seats).all(|voice| voice.holds && !voice.has_music)
}

fn is_audible(voice: &Seat<'_>, seats: &[Seat<'_>]) -> bool {
    let hears_music = || matches!(voice.place, Place::Talks | Place::Asks | Place::Asked) && is_held(voice, seats);
    !(voice.is_muted || voice.holds || hears_music())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::media::{Audio, PlayId};

    static GIVEN: Source = Source::Nothing;
    static PLAYED: Source = Source::Play(PlayId(7), Audio::Busy);

    fn seat(leg: u64, place: Place) -> Seat<'static> {
        Seat {
            leg: LegId(leg),
            place,
            is_coached: false,
            is_muted: false,
            holds: false,
            has_music: false,
            is_held: false,
            given: &GIVEN,
            played: None,
        }
    }

    /// A customer and an agent.
    fn pair() -> Vec<Seat<'static>> {
        vec![seat(1, Place::Talks), Seat { is_coached: true, ..seat(2, Place::Talks) }]
    }

    fn all(seats: &[Seat<'static>]) -> BTreeMap<LegId, Hears<'static>> {
        hearing(seats).into_iter().collect()
    }

    fn legs(of: &[u64]) -> Hears<'static> {
        Hears::Legs(of.iter().map(|leg| LegId(*leg)).collect())
    }

    #[test]
    fn two_hear_each_other_and_one_that_is_held_hears_music() {
        let mut seats = pair();
        assert_eq!((hearing(&seats)[0].1.clone(), hearing(&seats)[1].1.clone()), (legs(&[2]), legs(&[1])));
        seats[1].holds = true;
        assert_eq!(all(&seats)[&LegId(1)], Hears::Music);
        assert_eq!(all(&seats)[&LegId(2)], legs(&[]));
        // A trunk's own music.
        seats[1].has_music = true;
        assert_eq!(all(&seats)[&LegId(1)], legs(&[2]));
        let mut seats = pair();
        seats[0].is_held = true;
        assert_eq!((all(&seats)[&LegId(1)].clone(), all(&seats)[&LegId(2)].clone()), (Hears::Music, legs(&[])));
    }

    #[test]
    fn of_three_one_that_holds_is_not_heard_and_nobody_hears_music() {
        let mut seats = pair();
        seats.push(seat(3, Place::Talks));
        seats[2].holds = true;
        seats[2].has_music = true;
        assert_eq!((all(&seats)[&LegId(1)].clone(), all(&seats)[&LegId(2)].clone()), (legs(&[2]), legs(&[1])));
    }

    #[test]
    fn each_way_to_supervise() {
        for (how, customer, agent) in [
            (Supervision::Listen, vec![2], vec![1]),
            (Supervision::Whisper, vec![2], vec![1, 3]),
            (Supervision::Barge, vec![2, 3], vec![1, 3]),
        ] {
            let mut seats = pair();
            seats.push(seat(3, Place::Supervises(how)));
            let heard = all(&seats);
            assert_eq!(
                (&heard[&LegId(1)], &heard[&LegId(2)], &heard[&LegId(3)]),
                (&legs(&customer), &legs(&agent), &legs(&[1, 2]))
            );
        }
    }

    #[test]
    fn who_is_consulted_and_who_consults_hear_each_other_and_the_customer_music() {
        let mut seats = pair();
        seats[0].is_held = true;
        seats[1].place = Place::Asks;
        assert_eq!((all(&seats)[&LegId(1)].clone(), all(&seats)[&LegId(2)].clone()), (Hears::Music, Hears::Given(&GIVEN)));
        seats.push(seat(3, Place::Asked));
        let heard = all(&seats);
        assert_eq!((&heard[&LegId(1)], &heard[&LegId(2)], &heard[&LegId(3)]), (&Hears::Music, &legs(&[3]), &legs(&[2])));
        // A supervisor hears both, and is heard by the agent at most.
        seats.push(seat(4, Place::Supervises(Supervision::Barge)));
        let heard = all(&seats);
        assert_eq!((&heard[&LegId(2)], &heard[&LegId(3)], &heard[&LegId(4)]), (&legs(&[3, 4]), &legs(&[2]), &legs(&[2, 3])));
        seats.pop();
        // The agent is back with the customer.
        (seats[0].is_held, seats[1].place) = (false, Place::Talks);
        let heard = all(&seats);
        assert_eq!((&heard[&LegId(1)], &heard[&LegId(2)], &heard[&LegId(3)]), (&legs(&[2]), &legs(&[1]), &Hears::Music));
        // Whom it asks has put it on hold.
        (seats[0].is_held, seats[1].place, seats[2].holds) = (true, Place::Asks, true);
        assert_eq!((all(&seats)[&LegId(2)].clone(), all(&seats)[&LegId(3)].clone()), (Hears::Music, legs(&[])));
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// The agent consults, or talks again.
        Consults(bool),
        Joins(Place),
        Leaves(usize),
        Holds(usize, bool, bool),
        Held(usize, bool),
        Mutes(usize, bool),
        Plays(usize, bool),
        Turns(usize, Supervision),
    }

    fn supervision() -> impl Strategy<Value = Supervision> {
        prop_oneof![Just(Supervision::Listen), Just(Supervision::Whisper), Just(Supervision::Barge)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let place = prop_oneof![
            Just(Place::Talks),
            Just(Place::Asked),
            Just(Place::Alone),
            Just(Place::Apart),
            supervision().prop_map(Place::Supervises)
        ];
        prop_oneof![
            place.prop_map(Step::Joins),
            any::<bool>().prop_map(Step::Consults),
            any::<usize>().prop_map(Step::Leaves),
            (any::<usize>(), any::<bool>(), any::<bool>()).prop_map(|(who, holds, music)| Step::Holds(who, holds, music)),
            (any::<usize>(), any::<bool>()).prop_map(|(who, held)| Step::Held(who, held)),
            (any::<usize>(), any::<bool>()).prop_map(|(who, muted)| Step::Mutes(who, muted)),
            (any::<usize>(), any::<bool>()).prop_map(|(who, plays)| Step::Plays(who, plays)),
            (any::<usize>(), supervision()).prop_map(|(who, how)| Step::Turns(who, how)),
        ]
    }

    fn at<'s>(seats: &'s mut [Seat<'static>], nth: usize) -> &'s mut Seat<'static> {
        let len = seats.len();
        &mut seats[nth % len]
    }

    fn take(seats: &mut Vec<Seat<'static>>, step: &Step, next: &mut u64) {
        match *step {
            Step::Consults(asks) => seats[1].place = if asks { Place::Asks } else { Place::Talks },
            Step::Joins(place) => {
                *next += 1;
                seats.push(seat(*next, place));
            }
            // The customer and the agent stay.
            Step::Leaves(nth) if seats.len() > 2 => drop(seats.remove(2 + nth % (seats.len() - 2))),
            Step::Leaves(_) => {}
            Step::Holds(nth, holds, music) => {
                let seat = at(seats, nth);
                (seat.holds, seat.has_music) = (holds, holds && music);
            }
            Step::Held(nth, held) => at(seats, nth).is_held = held,
            Step::Mutes(nth, muted) => at(seats, nth).is_muted = muted,
            Step::Plays(nth, plays) => at(seats, nth).played = plays.then_some(&PLAYED),
            Step::Turns(nth, how) => {
                if let Place::Supervises(mode) = &mut at(seats, nth).place {
                    *mode = how;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_each_hears_only_whom_it_may(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut seats, mut next) = (pair(), 2);
            for step in &steps {
                take(&mut seats, step, &mut next);
                let heard = all(&seats);
                for listener in &seats {
                    let Hears::Legs(whom) = &heard[&listener.leg] else { continue };
                    prop_assert!(!whom.contains(&listener.leg), "nobody hears himself");
                    for voice in seats.iter().filter(|seat| whom.contains(&seat.leg)) {
                        prop_assert!(!voice.is_muted, "a muted leg is heard by nobody");
                        prop_assert!(!voice.holds || voice.has_music, "one that holds is heard by nobody");
                        let may_hold = matches!(voice.place, Place::Talks | Place::Asks | Place::Asked);
                        prop_assert!(!may_hold || heard[&voice.leg] != Hears::Music, "nor is one that is held");
                        let supervises = matches!(listener.place, Place::Supervises(_));
                        let may = match voice.place {
                            Place::Talks => listener.place == Place::Talks || supervises,
                            Place::Asks => listener.place == Place::Asked || supervises,
                            Place::Asked => listener.place == Place::Asks || supervises,
                            Place::Supervises(Supervision::Barge) => listener.place != Place::Asked,
                            Place::Supervises(Supervision::Whisper) => listener.is_coached,
                            Place::Supervises(Supervision::Listen) | Place::Apart => false,
                            Place::Alone => supervises,
                        };
                        prop_assert!(may, "{:?} hears {:?}", listener.place, voice.place);
                    }
                }
                for seat in seats.iter().filter(|seat| seat.is_held && seat.place == Place::Talks && seat.played.is_none()) {
                    prop_assert_eq!(&heard[&seat.leg], &Hears::Music);
                }
                // Without those who supervise, all the others hear what they heard before one came; a listener changes nothing at all.
                let (watching, watched): (Vec<_>, Vec<_>) = seats.iter().copied().partition(|seat| matches!(seat.place, Place::Supervises(_)));
                let silent = watching.iter().all(|seat| seat.place == Place::Supervises(Supervision::Listen));
                for (leg, hears) in hearing(&watched).into_iter().filter(|_| silent) {
                    prop_assert_eq!(&heard[&leg], &hears);
                }
                for how in [Supervision::Listen, Supervision::Whisper, Supervision::Barge] {
                    let mut with = seats.clone();
                    with.push(seat(1_000, Place::Supervises(how)));
                    let during = all(&with);
                    for seat in seats.iter().filter(|seat| how == Supervision::Listen || how == Supervision::Whisper && !seat.is_coached && !matches!(seat.place, Place::Supervises(_))) {
                        // Who whispers to one that everybody else left on hold takes that one off it.
                        let stays = how == Supervision::Listen || !is_held(&seats[1], &seats);
                        prop_assert!(!stays || during[&seat.leg] == heard[&seat.leg], "{:?}", seat);
                    }
                    with.pop();
                    prop_assert_eq!(all(&with), heard.clone(), "when it is gone all is as before");
                }
            }
        }
    }
}
