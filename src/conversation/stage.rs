//! What the subject of a conversation is at.

use std::collections::{BTreeMap, VecDeque};

use super::Conversation;
use crate::acd::{Announcer, OfferId, Stay};
use crate::clock::Mono;
use crate::config::Place;
use crate::ids::{CallbackId, LegId, MenuName, Number, QueueName, StaffNumber, TrunkName};
use crate::ivr;
use crate::media::PlayId;
use crate::route::{Attempt, Cause, Decision};
use crate::sip::Flow;
use crate::voicemail;

#[derive(Debug)]
pub enum Stage {
    /// Just born, or between two stages.
    Routing,
    Menu {
        menu: MenuName,
        node: String,
        session: ivr::Session,
        play: PlayId,
    },
    /// Waits; legs with `Role::Agent` ring for it.
    Queue {
        queue: QueueName,
        /// Where the queue tells those who wait something.
        announcer: Option<Box<Announcer>>,
        /// What it is being told.
        play: Option<PlayId>,
        /// When it is told of the key with which it is called back.
        offers_at: Option<Mono>,
    },
    /// Is asked where it is to be called back.
    Arranging(Arranging),
    /// Legs with `Role::Callee` ring for it.
    Dialling(Dialling),
    /// Waits in a park slot ([`Conversation::parked`](super::Conversation::parked)) with music.
    Parked {
        /// Then who parked it is rung.
        until: Mono,
    },
    /// A phone hears which slot it may park a call in; the slot is kept for it ([`Conversation::parked`](super::Conversation::parked)).
    Offering {
        play: PlayId,
        /// How often it is said again.
        again: u8,
        until: Mono,
    },
    Bridged {
        with: LegId,
        since: Mono,
    },
    /// A command's phone rings; when it answers, it dials.
    Originating {
        to: String,
        until: Mono,
    },
    /// Hears a last prompt, then goes.
    Announcing {
        play: PlayId,
        /// In case that the prompt's end is never reported.
        until: Mono,
        then: Place,
        cause: Cause,
    },
    /// Leaves a message.
    Leaving {
        mailbox: Number,
        said: Said,
        /// The menu that the caller goes on in when it is left.
        back: Option<Box<Back>>,
        /// The greeting is over by then, or the message is as long as one may be.
        until: Mono,
    },
    /// Listens to its messages.
    Listening {
        mailbox: Number,
        session: voicemail::Session,
        play: PlayId,
    },
    /// Records a prompt, `<language>/<name>`.
    Studio {
        prompt: String,
        session: voicemail::studio::Studio,
        play: PlayId,
    },
    /// Keys the PIN with which an agent logs in at the phone.
    LoggingIn {
        agent: StaffNumber,
        keyed: String,
        /// Wrong PINs so far.
        wrong: u8,
        /// Nothing was keyed by then.
        until: Mono,
    },
    /// Nothing more is done but tidying up.
    Ending,
}

/// A caller who is to be called back.
#[derive(Debug)]
pub struct Arranging {
    pub queue: QueueName,
    /// It has a place in that queue, which is kept for it meanwhile, and goes back there if nothing comes of it.
    pub waits: bool,
    pub asked: Asked,
    /// Nothing was keyed by then.
    pub until: Mono,
}

#[derive(Debug)]
pub enum Asked {
    /// Whether this number is right.
    Whether(String),
    /// Which number.
    Which { keyed: String, wrong: u8 },
}

/// A call to a customer who wished for it: an agent is rung first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingBack {
    pub callback: CallbackId,
    /// The agent's.
    pub offer: OfferId,
    pub step: CallingStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallingStep {
    RingsAgent,
    /// The agent is there.
    AgentThere,
    DialsCustomer,
    Talks,
}

/// A menu that waits while its caller leaves a message.
#[derive(Debug)]
pub struct Back {
    pub menu: MenuName,
    pub node: String,
    pub session: ivr::Session,
}

/// How far somebody is who leaves a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Waits until the greeting of the mailbox's own can be played.
    Waiting,
    /// Hears the greeting.
    Nothing { play: PlayId },
    /// Is recorded.
    Something,
}

/// The slot that a call has, from when it is parked until it is bridged again; while the one who parked it is rung, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub slot: Number,
    /// The phone that put it there.
    pub by: Number,
    /// The leg of who has parked it and does not know where: told when it is gone.
    pub tells: Option<LegId>,
    /// How often it has rung at that phone since it was parked.
    pub returns: u32,
}

/// One call to one place: a phone with all its contacts at once, or trunks one after another.
#[derive(Debug)]
pub struct Dialling {
    pub place: String,
    /// The phone, where it is one.
    pub phone: Option<Number>,
    /// Rings no longer than this; a call for help as long as its caller likes.
    pub until: Option<Mono>,
    pub trunks: NextTrunks,
    /// What the trunk that is tried now was asked for.
    pub trying: Option<Attempt>,
    /// Redirections by trunks that were followed.
    pub redirects: u8,
    /// On whose account it is, once a leg outside was dialled: who transferred may be gone when the next trunk is tried.
    pub payer: Option<Number>,
    /// On a call to the outside.
    pub outside: Option<OutsideParty>,
    /// The best refusal so far, of several contacts.
    pub worst: Option<(Cause, u16)>,
    pub transfer: Option<Transferring>,
    /// A call that comes back to who sent it on: it rings there and goes nowhere else.
    pub comes_back: Option<Otherwise>,
}

/// Where a call that comes back goes if who sent it on does not take it back either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// On in its park slot, or where calls go that nobody takes out of there.
    Slot,
    /// Waits again in the queue of the agent who had it, in the place that it had.
    Queue(Box<Stay>),
    /// It hears that nobody is there.
    Nowhere,
}

impl Dialling {
    pub fn new(place: String, until: Option<Mono>) -> Dialling {
        Dialling {
            place,
            phone: None,
            until,
            trunks: NextTrunks::default(),
            trying: None,
            redirects: 0,
            payer: None,
            outside: None,
            worst: None,
            transfer: None,
            comes_back: None,
        }
    }

    pub fn phone(number: &Number, until: Mono) -> Dialling {
        Dialling { phone: Some(number.clone()), ..Dialling::new(format!("phone:{number}"), Some(until)) }
    }
}

/// What an internal conversation becomes when the outside answers.
#[derive(Clone, Debug)]
pub struct OutsideParty {
    pub number: String,
    /// Whether it is recorded, by each of the trunks that may have it.
    pub rules: BTreeMap<TrunkName, Decision>,
}

/// Trunks that are still to be tried, and further addresses of the one that is.
#[derive(Debug, Default)]
pub struct NextTrunks(pub VecDeque<Try>);

#[derive(Clone, Debug)]
pub struct Try {
    pub attempt: Attempt,
    pub by: Way,
    /// A 3xx has named it, maybe among others: it has its turn after any refusal of those before it (RFC 3261 §8.1.3.4, §16.5).
    pub redirected: bool,
}

/// Where an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To whichever address of a trunk that has not been tried yet: its limits are looked at first.
    Any,
    /// The next address of the trunk that is being tried, which has admitted the call.
    Next(Flow),
    /// Another place of the trunk's own, which a 3xx has named, maybe with its port: a new call for its limits.
    Named(Flow, Option<u16>),
}

impl NextTrunks {
    /// No further address of the trunk that is being tried.
    pub fn leave_trunk(&mut self) {
        while self.0.front().is_some_and(|next| matches!(next.by, Way::Next(_))) {
            self.0.pop_front();
        }
    }

    /// Whether a 3xx has named another place, after the further addresses of the one that is being tried.
    pub fn has_redirected(&self) -> bool {
        self.0.iter().find(|next| !matches!(next.by, Way::Next(_))).is_some_and(|next| next.redirected)
    }
}

/// A transfer that the dialling is for.
#[derive(Debug)]
pub struct Transferring {
    /// Who transferred, and hears how it goes by NOTIFY while there.
    pub from: LegId,
    /// Its phone, which is rung if nobody takes the call and it is not there any more.
    pub phone: Option<Number>,
    /// It had the call as an agent, after this stay in a queue: there the customer waits again if it does not take it back either.
    pub stay: Option<Box<Stay>>,
    /// It had the caller's side of the conversation, and of its recording: it has that again if it gets the call back.
    pub was_caller: bool,
    /// The REFER that asked for it; a command has none.
    pub refer: Option<Refer>,
    pub by: crate::route::Side,
    /// As asked for.
    pub to: String,
}

/// A REFER, whose sender hears by NOTIFY how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refer {
    /// The leg that it came on: the one that transfers, or that of the consultation, which is there for the NOTIFYs then.
    pub on: LegId,
    /// Its CSeq is the `id` of the event (RFC 3515 §2.4.6).
    pub cseq: u32,
}

impl Transferring {
    /// The leg that is there for the NOTIFYs alone, if there is one.
    pub fn aside(&self) -> Option<LegId> {
        self.refer.map(|refer| refer.on).filter(|on| *on != self.from)
    }

    /// While `from` still has its place in the conversation.
    pub fn of(conv: &Conversation, from: LegId, refer: Option<Refer>, by: crate::route::Side, to: String) -> Transferring {
        let leg = conv.leg(from);
        let phone = leg.and_then(|leg| leg.peer.phone()).cloned();
        let stay = leg.and_then(|leg| leg.agent()).and(conv.stay.clone());
        Transferring { from, phone, stay, was_caller: conv.caller == from, refer, by, to }
    }
}
