//! Everything that happens, as the log keeps it and the world sees it. This file is the one place where the types of events and their
//! `data` are documented, those of conferences and supervisors in `talk`, of recordings in `recording` and `measured`, of mailboxes in
//! `voicemail` and of media in `media` beside it; the API's schema is generated from them.
//!
//! On the wire an event is a CloudEvents 1.0 object whose `type` is `cordboard.` and the name given in `#[serde(rename)]` here, whose
//! `subject` is the conversation and whose `data` is the struct of its variant. A customer's number stands in `data` only.
//!
//! Fields are only ever added, and then with `#[serde(default)]`: a log of last year must still be read.

mod measured;
mod media;
mod recording;
mod talk;
mod voicemail;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::measured::{Overtalk, Part, RecordingMeasured, Silence, Sound};
pub use self::media::{MediaDegraded, MediaMissing, MediaQuality, MissingCause};
pub use self::recording::{
    PromptRecorded, RecordingDecided, RecordingFailed, RecordingFinished, RecordingGap, RecordingPaused, RecordingRefused,
    RecordingResumed, RecordingStarted,
};
pub use self::talk::{CallConferenced, CallMonitored, CallMuted, CallPlayed, ConferenceChange, MonitorChange, PlayChange};
pub use self::voicemail::{Greeting, MailFailed, Mailed, Voicemail, VoicemailLock, VoicemailUnlock};

use crate::clock::Wall;
use crate::ids::{ConversationId, LegId, MenuName, Number, QueueName, StaffNumber, TrunkName};
use crate::media::Quality;
use crate::route::Cause;
use crate::route::class::Denied;
pub use crate::route::{Direction, Side as By, TroubleKind};

/// One thing that happened. Its sequence number is given by the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the core's clock.
    pub at: Wall,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    #[serde(flatten)]
    pub kind: Kind,
}

/// The types. The name on the wire is in `rename`, without the prefix `cordboard.`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum Kind {
    #[serde(rename = "registration.added")]
    RegistrationAdded(Registration),
    #[serde(rename = "registration.removed")]
    RegistrationRemoved(Registration),
    #[serde(rename = "registration.expired")]
    RegistrationExpired(Registration),

    #[serde(rename = "trunk.up")]
    TrunkUp(Trunk),
    #[serde(rename = "trunk.down")]
    TrunkDown(TrunkDown),
    #[serde(rename = "trunk.registration_failed")]
    TrunkRegistrationFailed(TrunkFailure),

    #[serde(rename = "call.started")]
    CallStarted(CallStarted),
    #[serde(rename = "call.ringing")]
    CallRinging(CallProgress),
    #[serde(rename = "call.answered")]
    CallAnswered(CallProgress),
    #[serde(rename = "call.bridged")]
    CallBridged(Bridge),
    #[serde(rename = "call.unbridged")]
    CallUnbridged(Bridge),
    #[serde(rename = "call.held")]
    CallHeld(LegAction),
    #[serde(rename = "call.resumed")]
    CallResumed(LegAction),
    #[serde(rename = "call.transferred")]
    CallTransferred(Transfer),
    /// Somebody is rung to join a talk of more than two, is there, or is gone.
    #[serde(rename = "call.conferenced")]
    CallConferenced(CallConferenced),
    /// A supervisor is rung, hears, speaks, is gone. What becomes of it never changes the call, but for `took_over`.
    #[serde(rename = "call.monitored")]
    CallMonitored(CallMonitored),
    /// What a leg says is heard by nobody, or again.
    #[serde(rename = "call.muted")]
    CallMuted(CallMuted),
    /// Something is played into the call by command, to one leg.
    #[serde(rename = "call.played")]
    CallPlayed(CallPlayed),
    /// A phone did not take the call, and it goes elsewhere.
    #[serde(rename = "call.forwarded")]
    CallForwarded(CallForwarded),
    /// A consultation has become part of the conversation that it was about; told to both.
    #[serde(rename = "call.merged")]
    CallMerged(CallMerged),
    /// Another phone than the one that rang took the call. `call.bridged` follows.
    #[serde(rename = "call.picked_up")]
    CallPickedUp(CallPickedUp),
    /// A call waits in a park slot, with music.
    #[serde(rename = "call.parked")]
    CallParked(CallParked),
    /// Somebody has taken it out of there. `call.bridged` follows.
    #[serde(rename = "call.retrieved")]
    CallRetrieved(CallParked),
    /// Nobody has, in time: it rings at the phone that parked it; then what came of that.
    #[serde(rename = "call.park_returned")]
    CallParkReturned(CallParkReturned),
    /// An internal call has got an outside party: it is an outbound one from here on.
    #[serde(rename = "call.went_outside")]
    CallWentOutside(CallWentOutside),
    #[serde(rename = "call.ended")]
    CallEnded(CallEnded),

    #[serde(rename = "menu.entered")]
    MenuEntered(MenuEntered),
    #[serde(rename = "menu.digit")]
    MenuDigit(MenuDigit),
    #[serde(rename = "menu.left")]
    MenuLeft(MenuLeft),

    #[serde(rename = "queue.entered")]
    QueueEntered(QueueEntered),
    #[serde(rename = "queue.offered")]
    QueueOffered(QueueOffered),
    #[serde(rename = "queue.unanswered")]
    QueueUnanswered(QueueUnanswered),
    #[serde(rename = "queue.answered")]
    QueueAnswered(QueueAnswered),
    #[serde(rename = "queue.abandoned")]
    QueueAbandoned(QueueLeft),
    #[serde(rename = "queue.left")]
    QueueLeft(QueueLeft),

    #[serde(rename = "agent.ready")]
    AgentReady(AgentState),
    #[serde(rename = "agent.paused")]
    AgentPaused(AgentState),
    #[serde(rename = "agent.wrapup")]
    AgentWrapup(AgentState),
    #[serde(rename = "agent.offline")]
    AgentOffline(AgentState),
    /// Derived: an offer rings at the agent's phone.
    #[serde(rename = "agent.ringing")]
    AgentRinging(AgentState),
    /// Derived: the agent talks to a customer of a queue.
    #[serde(rename = "agent.talking")]
    AgentTalking(AgentState),
    /// Derived: the agent's phone is in a call that no queue gave it.
    #[serde(rename = "agent.busy")]
    AgentBusy(AgentState),
    /// Derived: rests after an offer that was not answered.
    #[serde(rename = "agent.unanswered")]
    AgentUnanswered(AgentState),
    /// Derived: wants to work, but the phone is not registered.
    #[serde(rename = "agent.unregistered")]
    AgentUnregistered(AgentState),

    #[serde(rename = "recording.decided")]
    RecordingDecided(RecordingDecided),
    #[serde(rename = "recording.started")]
    RecordingStarted(RecordingStarted),
    #[serde(rename = "recording.gap")]
    RecordingGap(RecordingGap),
    /// Silence on purpose begins in it.
    #[serde(rename = "recording.paused")]
    RecordingPaused(RecordingPaused),
    /// And ends; where the recording ends first, `recording.finished` tells instead.
    #[serde(rename = "recording.resumed")]
    RecordingResumed(RecordingResumed),
    /// The customer, who was told of it, does not want it: it ends here.
    #[serde(rename = "recording.refused")]
    RecordingRefused(RecordingRefused),
    /// Nothing of a refused one is there any more.
    #[serde(rename = "recording.discarded")]
    RecordingDiscarded(RecordingRefused),
    #[serde(rename = "recording.finished")]
    RecordingFinished(RecordingFinished),
    /// Found unfinished at start and made whole.
    #[serde(rename = "recording.repaired")]
    RecordingRepaired(RecordingFinished),
    /// What it sounds like: who talked when and how loud, and where nobody or both did.
    #[serde(rename = "recording.measured")]
    RecordingMeasured(RecordingMeasured),
    /// Decided, but it could not be written: the call goes on without.
    #[serde(rename = "recording.failed")]
    RecordingFailed(RecordingFailed),

    /// A prompt was recorded by phone, and is played from here on.
    #[serde(rename = "prompt.recorded")]
    PromptRecorded(PromptRecorded),

    /// A caller has left a message.
    #[serde(rename = "voicemail.left")]
    VoicemailLeft(Voicemail),
    /// Its owner has heard it, or says so.
    #[serde(rename = "voicemail.heard")]
    VoicemailHeard(Voicemail),
    #[serde(rename = "voicemail.deleted")]
    VoicemailDeleted(Voicemail),
    /// A mailbox has a greeting of its own, or has it no more.
    #[serde(rename = "voicemail.greeting")]
    VoicemailGreeting(Greeting),
    /// It was mailed to its owner.
    #[serde(rename = "voicemail.mailed")]
    VoicemailMailed(Mailed),
    /// It could not be, this time.
    #[serde(rename = "voicemail.mail_failed")]
    VoicemailMailFailed(MailFailed),
    /// PINs are tried: no more for a while.
    #[serde(rename = "voicemail.locked")]
    VoicemailLocked(VoicemailLock),
    /// They may be tried again: by time, or by somebody.
    #[serde(rename = "voicemail.unlocked")]
    VoicemailUnlocked(VoicemailUnlock),

    /// Nothing is heard of a leg that should be, or it does not hear what it is sent, with the likely cause.
    #[serde(rename = "media.missing")]
    MediaMissing(MediaMissing),
    /// What `media.missing` told of is over.
    #[serde(rename = "media.present")]
    MediaPresent(MediaMissing),
    /// What a leg's media was like, when the leg ends.
    #[serde(rename = "media.quality")]
    MediaQuality(MediaQuality),
    /// A leg sounds bad.
    #[serde(rename = "media.degraded")]
    MediaDegraded(MediaDegraded),
    /// It sounds good again, after `media.degraded`.
    #[serde(rename = "media.recovered")]
    MediaRecovered(MediaDegraded),

    /// A phone wanted what its class of service does not permit.
    #[serde(rename = "class.refused")]
    ClassRefused(ClassRefused),

    /// A source sent too much that was refused; it is not listened to for a while.
    #[serde(rename = "guard.banned")]
    GuardBanned(GuardBanned),
    /// It is listened to again: by time, or by somebody.
    #[serde(rename = "guard.lifted")]
    GuardLifted(GuardLifted),
    /// Somebody tries a user's passwords.
    #[serde(rename = "guard.alarm")]
    GuardAlarm(GuardAlarm),

    #[serde(rename = "log.lost")]
    LogLost(LogLost),
    #[serde(rename = "config.reloaded")]
    ConfigReloaded(ConfigReloaded),
    #[serde(rename = "system.started")]
    SystemStarted(SystemStarted),
    #[serde(rename = "system.degraded")]
    SystemDegraded(SystemDegraded),
    /// What was degraded works again.
    #[serde(rename = "system.recovered")]
    SystemRecovered(SystemDegraded),
    #[serde(rename = "system.stopping")]
    SystemStopping(SystemStopping),
}

impl Kind {
    /// Whether somebody waits for it: a screen that is to pop up, a lamp, an alarm. Phones that come and go are a matter of record.
    pub fn is_hurried(&self) -> bool {
        match self {
            Kind::RegistrationAdded(_) | Kind::RegistrationRemoved(_) => false,
            Kind::RegistrationExpired(registration) => registration.reason == Some(GoneBy::Silence),
            _ => true,
        }
    }
}

/// A phone's binding (RFC 3261 §10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    #[schema(value_type = String)]
    pub number: Number,
    /// Contact URI as the phone gave it.
    pub contact: String,
    /// `udp`, `tcp` …
    pub transport: String,
    pub user_agent: Option<String>,
    /// Address and port that the REGISTER came from.
    pub source: String,
    /// Of `registration.expired` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<GoneBy>,
}

/// Why a binding ended without its phone having said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoneBy {
    /// It was not renewed.
    Time,
    /// The phone answers nothing any more, not even OPTIONS; or its keep-alives have stayed out, and it did not answer then.
    Silence,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trunk {
    #[schema(value_type = String)]
    pub trunk: TrunkName,
}

/// A trunk whose probe has failed, or that we are no longer registered with. Told once, until it is up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrunkDown {
    #[schema(value_type = String)]
    pub trunk: TrunkName,
    #[serde(default)]
    pub reason: TroubleKind,
    /// SIP status of a refusal.
    #[serde(default)]
    pub status: Option<u16>,
    /// What the transport says, for people.
    #[serde(default)]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrunkFailure {
    #[schema(value_type = String)]
    pub trunk: TrunkName,
    /// SIP status of the refusal, or `null` where no answer came.
    pub status: Option<u16>,
    /// Seconds until the next attempt.
    pub retry_in_s: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClassRefused {
    #[schema(value_type = String)]
    pub phone: Number,
    pub denied: Denied,
    /// The number outside, as the trunk would have got it; where to, of a call or transfer inside.
    pub number: String,
    /// Of a call outside the customer's number in E.164 with its plus; absent where it has none.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The same: it is the one that is called.
    #[serde(default)]
    pub called_e164: Option<String>,
}

/// More than 20 refused or malformed messages a second came from there for 5 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardBanned {
    /// An IPv4 address, or the first one of an IPv6 network of 64 bits.
    pub address: String,
    /// RFC 3339.
    pub until: String,
    /// All of it came by UDP, where anybody may use the address: other transports are listened to, and of UDP a trickle, so that a phone
    /// can register from there.
    #[serde(default)]
    pub udp_only: bool,
    /// What the last of them was: `refused`, `password` (a wrong digest), `stray` (a response to nothing), `malformed`.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardLifted {
    pub address: String,
    /// `switch` where its time was over.
    pub by: By,
}

/// Wrong digests for a user that exists: one source has had 10 in a minute and must wait, or three sources have tried within ten minutes.
/// Told once in ten minutes for each of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GuardAlarm {
    /// As given in the credentials.
    pub user: String,
    /// Addresses, at most 16.
    pub sources: Vec<String>,
    /// Wrong digests in these ten minutes.
    pub failures: u32,
}

/// First INVITE of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallStarted {
    pub direction: Direction,
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub trunk: Option<TrunkName>,
    #[schema(value_type = Option<String>)]
    pub phone: Option<Number>,
    /// The outside party's number; on an internal call the caller's extension.
    pub customer_number: String,
    /// As the caller dialled it.
    pub called: String,
    /// The customer's number in E.164 with its plus; absent of an extension, and of what is no number of the network.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The number called, likewise; of an outbound call the one that goes to the trunk.
    #[serde(default)]
    pub called_e164: Option<String>,
}

/// 180/183 or 2xx on the customer's leg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallProgress {
    #[schema(value_type = u64)]
    pub leg: LegId,
}

/// Two legs hear each other from here, or no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bridge {
    /// The customer's leg first.
    #[schema(value_type = Vec<u64>)]
    pub legs: [LegId; 2],
    /// The phone of the second leg, where it is one.
    #[schema(value_type = Option<String>)]
    pub phone: Option<Number>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    /// The agent at the first leg: of an internal call, whose customer is a colleague.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_agent: Option<StaffNumber>,
}

/// A leg put the other on hold, or took it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegAction {
    /// The leg that held or resumed.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    /// The leg that transferred the other away.
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub by: By,
    /// Number or place.
    pub to: String,
    pub outcome: TransferOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferOutcome {
    /// The transferrer has let go; the target is being called.
    Started,
    Completed,
    /// The target did not take it, and `Started` is undone where the transferrer is still there; or the call ended before it could.
    Failed,
}

/// By call forwarding, or a 3xx of the phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallForwarded {
    /// The phone that was called.
    #[schema(value_type = String)]
    pub phone: Number,
    /// As dialled for it.
    pub to: String,
    pub reason: crate::route::Why,
}

/// An attended transfer is complete: whom the consultation was with is in the conversation that it was about. The consultation ends with
/// cause `transferred`; its recording, if it has one, is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallMerged {
    /// Goes on, with the legs of both but the transferrer's.
    #[schema(value_type = String)]
    pub parent: ConversationId,
    /// The consultation.
    #[schema(value_type = String)]
    pub child: ConversationId,
    /// The transferrer's leg in the parent.
    #[schema(value_type = u64)]
    pub leg: LegId,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallParked {
    /// The leg that waits.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub slot: Number,
    /// Who parked it, or who has it now.
    #[schema(value_type = String)]
    pub phone: Number,
}

/// A parked call that nobody has fetched, once for each step of its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallParkReturned {
    /// The leg that waits.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub slot: Number,
    /// Who parked it, and is rung; on `answered` who has it now.
    #[schema(value_type = String)]
    pub phone: Number,
    /// How often it has rung there since it was parked, this time included.
    pub returns: u32,
    pub outcome: ParkReturn,
    /// The place, on `overflow` and `overflow_failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why not, on `unanswered` and `overflow_failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParkReturn {
    /// At the phone that parked it. One of the next two follows, or `call.ended`.
    Ringing,
    /// By that phone, or who picked it up from there, or who dialled the slot meanwhile. `call.bridged` follows.
    Answered,
    /// It waits on in its slot, unless `overflow` follows at once.
    Unanswered,
    /// It goes to `[park] overflow`, and has its slot until it has been taken there.
    Overflow,
    /// Not taken there: it waits on in its slot.
    OverflowFailed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallPickedUp {
    /// The leg of who took it.
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// Who took it.
    #[schema(value_type = String)]
    pub phone: Number,
    /// The number that rang.
    #[schema(value_type = String)]
    pub from: Number,
}

/// A phone of an internal call was transferred to a number outside, and it answered there. A `recording.decided` follows: the outbound
/// rule's word counts from here on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallWentOutside {
    /// The customer's leg.
    #[schema(value_type = u64)]
    pub leg: LegId,
    #[schema(value_type = String)]
    pub trunk: TrunkName,
    /// The outside party's number.
    pub customer_number: String,
    /// The same in E.164, where it has that form.
    #[serde(default)]
    pub customer_e164: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallEnded {
    pub cause: Cause,
    /// The final SIP status on the customer's leg, where there was one.
    pub status: Option<u16>,
    /// Which side ended first (S9).
    pub by: By,
    /// From the customer's answer to the end; absent if never answered.
    pub answered_ms: Option<u64>,
    /// Sum of the bridges.
    pub talk_ms: u64,
    pub legs: Vec<LegSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegSummary {
    #[schema(value_type = u64)]
    pub leg: LegId,
    /// `phone:201` or `trunk:carrier`.
    pub peer: String,
    pub cause: Cause,
    /// The final status of its INVITE.
    pub status: Option<u16>,
    pub quality: Option<Quality>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuEntered {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    pub language: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuDigit {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    /// `x` where the menu masks it.
    pub digit: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuLeft {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    /// Where to: `queue:support`, `hangup`; `caller hung up` where the caller ended it.
    pub to: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueEntered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// 1 is next.
    pub position: u32,
    /// Of one who comes back from a transfer that nobody took: what it waited here before. It has its place by that time again, and
    /// `waited_ms` of what follows counts it.
    #[serde(default)]
    pub waited_before_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueOffered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    #[schema(value_type = String)]
    pub phone: Number,
    /// How long the caller has waited so far.
    pub waited_ms: u64,
    /// The offer ends by itself after this long.
    pub rings_for_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueUnanswered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    /// How long it rang.
    pub rang_ms: u64,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueAnswered {
    #[schema(value_type = String)]
    pub queue: QueueName,
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    pub waited_ms: u64,
    /// How long this offer rang (S1).
    pub rang_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueLeft {
    #[schema(value_type = String)]
    pub queue: QueueName,
    pub waited_ms: u64,
    /// Where to, on `queue.left`: `overflow hangup`, `transfer` …
    pub to: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentState {
    #[schema(value_type = String)]
    pub agent: StaffNumber,
    #[schema(value_type = String)]
    pub phone: Number,
    /// Why paused.
    pub reason: Option<String>,
    /// When wrap-up or rest ends by itself.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "rfc3339_option")]
    pub until: Option<Wall>,
}

/// Events that a full disk cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLost {
    pub events: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigReloaded {
    pub by: By,
    /// What differs, a line each: `phone 205 added`, `queue support changed`.
    pub changes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemStarted {
    pub version: String,
    /// Conversations that the last run left open and this one ended.
    pub recovered_conversations: u64,
    pub repaired_recordings: u64,
    pub registrations: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemDegraded {
    /// `recording`, `event_log`, `media`, `core`.
    pub part: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemStopping {
    pub live_conversations: u64,
    /// Live ones get this long.
    pub drain_ms: u64,
}

/// `Option<Wall>` as RFC 3339 text.
mod rfc3339_option {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Wall;

    pub fn serialize<S: Serializer>(at: &Option<Wall>, s: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => s.collect_str(at),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Wall>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|t| Wall::parse_rfc3339(&t).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))).transpose()
    }
}
