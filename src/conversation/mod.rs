//! A customer's whole stay: its legs, what it is at, who hears whom.
//!
//! | what | where it is kept | derived from it |
//! |---|---|---|
//! | SIP state of a leg | `leg.call` | ringing, answered, over |
//! | media agreement | `leg.negotiation` | whether the peer holds, which codec |
//! | what the subject is at | `stage` | what it hears |
//! | bridges | `bridges` (closed ones as a sum) | talk time |
//! | who hears whom | nowhere: [`hearing()`] | what media workers are told |
//!
//! The *subject* is the leg whose stay it is at this moment: it is in the menu, waits, is transferred. The *customer* is the outside
//! party, whose side is recorded; on an internal call the caller. What is done with all this is the switch's.

mod guest;
mod hearing;
mod info_keys;
mod leg;
mod missing;
mod stage;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use guest::{Guest, GuestId, GuestSeat, Ringing, Whereabouts};
pub use hearing::{Hears, Place, Seat, Supervision, hearing};
pub use info_keys::{InfoKeys, Refused};
pub use leg::{Gone, Leg, OtherFlow, Peer, Role};
pub use missing::Missing;
pub use stage::{
    Arranging, Asked, Back, CallingBack, CallingStep, Dialling, NextTrunks, Otherwise, OutsideParty, Parked, Refer, Said, Stage,
    Transferring, Try, Way,
};

use crate::clock::Mono;
use crate::codec::Codec;
use crate::dialog::MAX_FORWARDS;
use crate::ids::{CallbackId, ConversationId, LegId, Number, QueueName, RecordingId, StaffNumber};
use crate::media::{PlayId, Source};
use crate::route::{Cause, Direction, Diverted};

/// Samples a second of a recording, where nothing else is asked for, and of every message.
pub const NARROW: u32 = 8_000;

#[derive(Debug)]
pub struct Conversation {
    pub id: ConversationId,
    pub direction: Direction,
    /// The worker that has all its legs' ports.
    pub worker: u8,
    /// Who began it; their rights and names count for where it may go.
    pub origin: Peer,
    /// The first leg: who called, or whom a command rang first.
    pub caller: LegId,
    /// The leg whose stay it is now.
    pub subject: LegId,
    /// The outside party's number; on an internal call the caller's.
    pub customer_number: String,
    /// The caller does not want to be known to who is called.
    pub anonymous: bool,
    /// As dialled.
    pub called: String,
    /// Both in E.164, worked out once: when the conversation begins, and when it gets an outside party.
    pub customer_e164: Option<String>,
    pub called_e164: Option<String>,
    pub legs: BTreeMap<LegId, Leg>,
    /// Who is there beside the two that are bridged, or is rung to be.
    pub guests: BTreeMap<GuestId, Guest>,
    /// Legs that are over, oldest first.
    pub gone: Vec<Gone>,
    pub stage: Stage,
    /// Language that the caller chose, for every prompt from then on.
    pub language: String,
    /// What menus stored on the way, while it is in none.
    pub variables: crate::ivr::Variables,
    /// How often a menu has had something looked up: a late answer is known by it.
    pub lookups: u32,
    /// The decision to record, made once, when the call is routed.
    pub rule: crate::route::Decision,
    /// Of an outbound one: the leg that is its customer, as long as that is there.
    pub outside: LegId,
    /// The recording that runs, or ran.
    pub recording: Option<RecordingId>,
    /// The leg whose audio it has.
    pub tapped: LegId,
    /// The recording is a message for this number.
    pub mailbox: Option<Number>,
    /// What is keyed may be a PIN, asked for or not: from when a mailbox is called until it is open, and from a key at a masked node of a
    /// menu to one at another.
    pub keys_are_secret: bool,
    /// Sample 0 of the recording.
    pub recording_from: Option<crate::clock::Wall>,
    /// Its samples a second.
    pub recording_rate: u32,
    pub announced: Option<Announced>,
    /// It calls a customer back.
    pub callback: Option<CallingBack>,
    /// When it came to the last queue.
    pub came_at: Option<crate::clock::Wall>,
    /// Queues in a row that did not take it.
    pub turned_away: u8,
    /// It is not recorded any more, whatever another rule or anybody says.
    pub unrecorded: Option<Unrecorded>,
    /// Recordings that the customer is in and that have ended, supervisors' among them: they go, too, if it refuses.
    pub recorded: Vec<RecordingId>,
    /// What supervisors say and hear, by their legs.
    pub supervised: BTreeMap<LegId, Supervised>,
    /// The recording is silent for now.
    pub pause: Option<Pause>,
    /// Sum of its pauses that are over.
    pub paused: Duration,
    /// When the customer's leg was first answered, by whom ever.
    pub answered: Option<Mono>,
    /// Sum of the bridges that are over.
    pub talked: Duration,
    /// Agents who took it, in order.
    pub agents: Vec<StaffNumber>,
    pub queue: Option<QueueName>,
    /// The last one in a queue, if an agent answered it.
    pub stay: Option<Box<crate::acd::Stay>>,
    /// It was to be called back by the queue in which it waits.
    pub own_callback: Option<CallbackId>,
    /// What its queue had to tell and it has heard last: in which queue, and which of all.
    pub heard_news: Option<(QueueName, u64)>,
    /// Once the customer has been left to a survey.
    pub surveyed: Option<Surveyed>,
    /// The phones that have sent the call on which is being made, the first one first.
    pub diverted: Vec<Diverted>,
    /// Max-Forwards of our INVITEs in it: one less than that of the INVITE that began it (RFC 7332 §3), so that a call that is sent back to
    /// us again and again ends.
    pub hops: u32,
    pub parked: Option<Parked>,
    /// Phones that are rung now are to answer by themselves.
    pub intercom: bool,
    /// It goes to an emergency number: its legs get ports that are kept for such calls.
    pub for_help: bool,
    /// How often it was sent on since somebody pressed a key or talked: what goes round in silence has to end.
    pub forwards: usize,
    /// Nodes of menus that the caller has passed since a key or a talk: likewise.
    pub steps_without_key: u32,
    /// Held by a command, not by a leg's SDP.
    pub held_by_command: bool,
    /// How long the customer of a queue has been on hold, where that is to be told.
    pub hold: Option<Hold>,
    /// It was told that it rings.
    pub rang: bool,
    /// Counts what was played, over all legs.
    pub plays: u64,
    /// `Some` as soon as it is ending: the first cause stands.
    pub end: Option<End>,
}

/// Why nothing of a conversation is recorded any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecorded {
    /// The customer does not want it.
    Refused,
    /// The customer could not be told.
    NotAnnounced,
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unrecorded::Refused => "refused",
            Unrecorded::NotAnnounced => "not announced",
        })
    }
}

/// The recording that the customer is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    pub recording: RecordingId,
    /// Until then it can be refused.
    pub until: Mono,
    /// What tells the customer, as long as that has not been heard to its end.
    pub play: Option<PlayId>,
}

/// A stretch of the recording that is silent, whatever is said: a card number, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: Mono,
    /// Then it goes on by itself.
    pub until: Mono,
}

/// A hold that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Who holds.
    pub leg: LegId,
    pub since: Mono,
    pub reminds_at: Option<Mono>,
    pub overdue_at: Option<Mono>,
    /// As the queue has it.
    pub limit: Option<Duration>,
}

/// The customer has been left to a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Whose talk it is about, until somebody talks to the customer again.
    pub about: Option<(StaffNumber, QueueName)>,
    /// The survey is not to be recorded, and what comes after it is.
    pub stopped_recording: bool,
}

/// A recording of what a supervisor says and hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervised {
    pub recording: RecordingId,
    pub since: crate::clock::Wall,
    pub supervisor: Option<StaffNumber>,
}

/// How it ended. Decided once; what follows is tidying up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub cause: Cause,
    pub by: crate::route::Side,
    /// Final SIP status on the customer's leg, where there was one.
    pub status: Option<u16>,
    /// Legs that have not reported their media's end by then are told without it.
    pub gives_up: Mono,
    pub at: Mono,
}

impl Conversation {
    /// Born without legs; its first one becomes caller and subject.
    pub fn new(id: ConversationId, direction: Direction, origin: Peer, worker: u8) -> Conversation {
        Conversation {
            id,
            direction,
            worker,
            origin,
            caller: LegId::NOBODY,
            subject: LegId::NOBODY,
            customer_number: String::new(),
            anonymous: false,
            called: String::new(),
            customer_e164: None,
            called_e164: None,
            legs: BTreeMap::new(),
            guests: BTreeMap::new(),
            gone: Vec::new(),
            stage: Stage::Routing,
            language: String::new(),
            variables: crate::ivr::Variables::default(),
            lookups: 0,
            rule: crate::route::Decision::never(String::new()),
            outside: LegId::NOBODY,
            recording: None,
            tapped: LegId::NOBODY,
            mailbox: None,
            keys_are_secret: false,
            recording_from: None,
            recording_rate: NARROW,
            announced: None,
            callback: None,
            came_at: None,
            turned_away: 0,
            unrecorded: None,
            recorded: Vec::new(),
            supervised: BTreeMap::new(),
            pause: None,
            paused: Duration::ZERO,
            answered: None,
            talked: Duration::ZERO,
            agents: Vec::new(),
            queue: None,
            stay: None,
            own_callback: None,
            heard_news: None,
            surveyed: None,
            diverted: Vec::new(),
            forwards: 0,
            steps_without_key: 0,
            hops: MAX_FORWARDS,
            parked: None,
            intercom: false,
            for_help: false,
            held_by_command: false,
            hold: None,
            rang: false,
            plays: 0,
            end: None,
        }
    }

    /// The customer's leg: the outside party, once there is one.
    pub fn customer(&self) -> Option<LegId> {
        match self.direction {
            Direction::Inbound | Direction::Internal => {
                Some(if self.legs.contains_key(&self.caller) { self.caller } else { self.subject })
            }
            // Of two outside the one that is there still.
            Direction::Outbound => {
                let outside = self.legs.values().filter(|l| l.peer.is_trunk() && l.was_answered());
                outside.min_by_key(|l| (!l.is_live(), l.id != self.outside, l.id)).map(|l| l.id)
            }
        }
    }

    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.get(&id)
    }

    /// The leg that is bridged with this one.
    pub fn other(&self, leg: LegId) -> Option<LegId> {
        match &self.stage {
            Stage::Bridged { with, .. } if *with == leg => Some(self.subject),
            Stage::Bridged { with, .. } if self.subject == leg => Some(*with),
            Stage::Bridged { .. }
            | Stage::Routing
            | Stage::Menu { .. }
            | Stage::Queue { .. }
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Dialling(_)
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::LoggingIn { .. }
            | Stage::Arranging(_)
            | Stage::Ending => None,
        }
    }

    /// Whether the customer was told of this recording, or hears it now.
    pub fn is_told_of(&self, recording: RecordingId) -> bool {
        let hears = |play: PlayId| {
            let played = self.customer().and_then(|id| self.leg(id)).and_then(|leg| leg.played.as_ref());
            matches!(played, Some(Source::Play(current, _)) if *current == play)
        };
        self.announced.is_some_and(|told| told.recording == recording && told.play.is_none_or(hears))
    }

    /// Keeps the id of a recording that has ended.
    pub fn has_recorded(&mut self, recording: RecordingId) {
        /// More than any call has; who goes to and fro between queues for days is not to fill the memory.
        const MOST: usize = 256;
        if self.unrecorded.is_none() && self.recorded.len() < MOST {
            self.recorded.push(recording);
        }
    }

    /// Of two that are bridged, who is not the customer.
    pub fn second(&self) -> Option<LegId> {
        let Stage::Bridged { with, .. } = self.stage else { return None };
        Some(if self.customer() == Some(with) { self.subject } else { with })
    }

    /// The queue whose agent the customer talks to, or talked to last.
    pub fn served_by(&self) -> Option<&QueueName> {
        self.queue.as_ref().filter(|queue| self.stay.as_ref().is_some_and(|stay| stay.queue == **queue))
    }

    /// Of two that are bridged, who waits while a command has the call on hold: the customer, or, where that has left, who has its place.
    pub fn waits(&self) -> Option<LegId> {
        let talkers = self.talkers();
        let customer = self.customer().filter(|leg| talkers.contains(leg));
        customer.or_else(|| self.second().and_then(|second| self.other(second)))
    }

    /// How many talk with each other, when all are there who are rung for that; two, where nobody was asked in.
    pub fn heads(&self) -> usize {
        2 + self.guests.values().filter(|guest| guest.is_party()).count()
    }

    /// The guest who is there by this leg.
    pub fn guest_at(&self, leg: LegId) -> Option<(GuestId, &Guest)> {
        self.guests.iter().find(|(_, guest)| guest.leg() == Some(leg)).map(|(id, guest)| (*id, guest))
    }

    /// Who is consulted, or rung for that: one at a time.
    pub fn consulted(&self) -> Option<(GuestId, &Guest)> {
        self.guests.iter().find(|(_, guest)| guest.is_consulted()).map(|(id, guest)| (*id, guest))
    }

    /// Who consults now, and is away from the customer.
    pub fn asks(&self) -> Option<LegId> {
        let (_, guest) = self.consulted()?;
        self.second().filter(|_| guest.seat == GuestSeat::Consulted { waits: false })
    }

    /// Further parties who are there, in the order in which they were asked for.
    pub fn parties(&self) -> impl Iterator<Item = (GuestId, LegId)> {
        let there = self.guests.iter().filter(|(_, guest)| guest.is_party());
        there.filter_map(|(id, guest)| Some((*id, guest.leg()?)))
    }

    /// All who talk with each other, the customer first.
    pub fn talkers(&self) -> Vec<LegId> {
        let pair = match self.stage {
            Stage::Bridged { with, .. } => vec![self.subject, with],
            Stage::Routing
            | Stage::Menu { .. }
            | Stage::Queue { .. }
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Dialling(_)
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::LoggingIn { .. }
            | Stage::Arranging(_)
            | Stage::Ending => Vec::new(),
        };
        let mut all: Vec<LegId> = pair.into_iter().chain(self.parties().map(|(_, leg)| leg)).collect();
        all.sort_by_key(|leg| Some(*leg) != self.customer());
        all
    }

    /// Its legs, as far as hearing goes.
    pub fn seats(&self) -> Vec<Seat<'_>> {
        let held = self.waits().filter(|_| self.held_by_command);
        let coached = self.second();
        let live = self.legs.values().filter(|leg| leg.is_live());
        live.map(|leg| Seat {
            leg: leg.id,
            place: self.place(leg),
            // A number outside that the customer was given to has nobody to be coached by.
            is_coached: coached == Some(leg.id) && !leg.peer.is_trunk(),
            is_muted: leg.muted,
            holds: leg.is_holding(),
            has_music: leg.has_music(),
            is_held: held == Some(leg.id),
            given: &leg.given,
            played: leg.played.as_ref(),
        })
        .collect()
    }

    fn place(&self, leg: &Leg) -> Place {
        let is_subject = leg.id == self.subject;
        match (self.guest_at(leg.id).map(|(_, guest)| guest.seat), &self.stage) {
            (_, Stage::Ending) => Place::Apart,
            (Some(GuestSeat::Party), _) => Place::Talks,
            (Some(GuestSeat::Supervisor(how)), _) => Place::Supervises(how),
            (Some(GuestSeat::Successor), _) => Place::Apart,
            (Some(GuestSeat::Consulted { .. }), Stage::Bridged { .. }) => Place::Asked,
            (Some(GuestSeat::Consulted { .. }), _) => Place::Apart,
            (None, Stage::Bridged { .. }) if self.asks() == Some(leg.id) => Place::Asks,
            (None, Stage::Bridged { with, .. }) if is_subject || leg.id == *with => Place::Talks,
            (None, Stage::Bridged { .. }) => Place::Apart,
            (None, Stage::Menu { session, .. }) if session.may_be_secret() => Place::Apart,
            (
                None,
                Stage::Routing
                | Stage::Menu { .. }
                | Stage::Queue { .. }
                | Stage::Parked { .. }
                | Stage::Offering { .. }
                | Stage::Dialling(_)
                | Stage::Announcing { .. }
                | Stage::Originating { .. }
                | Stage::Leaving { .. }
                | Stage::Listening { .. }
                | Stage::Studio { .. }
                | Stage::Arranging(_)
                | Stage::LoggingIn { .. },
            ) => match is_subject && leg.is_answered() && !self.keys_are_secret {
                true => Place::Alone,
                false => Place::Apart,
            },
        }
    }

    /// Of these codecs the one that the subject's unanswered INVITE prefers.
    pub fn first_offered(&self, of: &[Codec]) -> Option<Codec> {
        let offer = self.leg(self.subject)?.offered.as_ref()?;
        offer.audio()?.1.formats.iter().find_map(|f| f.codec.filter(|c| of.contains(c)))
    }

    /// Keeps what `call.ended` will tell of a leg. A caller who waits for hours while phones ring in vain has many; the customer's own
    /// and the last ones are kept.
    pub fn remember(&mut self, gone: Gone) {
        const MOST: usize = 64;
        if self.gone.len() >= MOST {
            self.gone.remove(1);
        }
        self.gone.push(gone);
    }

    /// Talk time so far.
    pub fn talk(&self, now: Mono) -> Duration {
        let running = match &self.stage {
            Stage::Bridged { since, .. } => now.since(*since),
            Stage::Routing
            | Stage::Menu { .. }
            | Stage::Queue { .. }
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Dialling(_)
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::LoggingIn { .. }
            | Stage::Arranging(_)
            | Stage::Ending => Duration::ZERO,
        };
        self.talked + running
    }

    pub fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// When it wants to be looked at, if nothing happens before.
    pub fn deadline(&self) -> Option<Mono> {
        let stage = match (&self.end, &self.stage) {
            (Some(end), _) => Some(end.gives_up),
            (None, Stage::Menu { session, .. }) => session.deadline(),
            (None, Stage::Listening { session, .. }) => session.deadline(),
            (None, Stage::Studio { session, .. }) => session.deadline(),
            (None, Stage::Dialling(d)) => d.until,
            (
                None,
                Stage::Announcing { until, .. }
                | Stage::Originating { until, .. }
                | Stage::Parked { until }
                | Stage::Offering { until, .. }
                | Stage::Leaving { until, .. }
                | Stage::LoggingIn { until, .. },
            ) => Some(*until),
            // What it is told now ends by itself.
            (None, Stage::Queue { play: Some(_), .. }) => None,
            (None, Stage::Queue { announcer, offers_at, .. }) => {
                announcer.as_ref().and_then(|announcer| announcer.deadline()).into_iter().chain(*offers_at).min()
            }
            (None, Stage::Arranging(arranging)) => Some(arranging.until),
            (None, Stage::Routing | Stage::Bridged { .. } | Stage::Ending) => None,
        };
        let times = |l: &Leg| [l.lets_go_at, l.probe_at, l.session.map(|s| s.deadline()), l.provisionals.deadline()];
        let legs = self.legs.values().flat_map(times).flatten();
        let pause = self.pause.filter(|_| self.end.is_none()).map(|pause| pause.until);
        let hold = self.hold.filter(|_| self.end.is_none()).into_iter().flat_map(|hold| [hold.reminds_at, hold.overdue_at]);
        stage
            .into_iter()
            .chain(legs)
            .chain(pause)
            .chain(hold.flatten())
            .chain(self.guests.values().filter_map(Guest::until))
            .min()
    }
}
