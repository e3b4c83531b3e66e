//! Everything that happens, as the log keeps it and the world sees it. Here and in the files beside it is the one place where the types of
//! events and their `data` are documented; the API's schema is generated from them.
//!
//! On the wire an event is a CloudEvents 1.0 object whose `type` is `cordboard.` and the name given in `#[serde(rename)]` here, whose
//! `subject` is the conversation and whose `data` is the struct of its variant. A customer's number stands in `data` only.
//!
//! Fields are only ever added, and then with `#[serde(default)]`: a log of last year must still be read.

mod after;
mod agent;
mod audit;
mod call;
mod callback;
mod measured;
mod media;
mod menu;
mod queue;
mod recording;
mod standards;
mod system;
mod talk;
mod voicemail;
mod webhook;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::after::{CallDisposed, CallMarked, CallNoted, CallSurveyed, CallTagged};
pub use self::agent::{AgentLogin, AgentQueues, Membership};
pub use self::audit::{AuditCommanded, AuditOutcome};
pub use self::call::{
    Bridge, CallEnded, CallForwarded, CallHeldLong, CallMerged, CallParkReturned, CallParked, CallPickedUp, CallProgress,
    CallStarted, CallWentOutside, LegAction, LegSummary, ParkReturn, Transfer, TransferOutcome,
};
pub use self::callback::{CallbackChange, QueueCallback};
pub use self::measured::{Overtalk, Part, RecordingMeasured, Silence, Sound};
pub use self::media::{MediaDegraded, MediaMissing, MediaQuality, MissingCause};
pub use self::menu::{MenuDigit, MenuEntered, MenuLeft, MenuLookedUp};
pub use self::queue::{AgentState, LeftWhy, QueueAnswered, QueueEntered, QueueLeft, QueueOffered, QueueUnanswered};
pub use self::recording::{
    PromptRecorded, RecordingDecided, RecordingFailed, RecordingFinished, RecordingGap, RecordingNotAnnounced, RecordingPaused,
    RecordingRefused, RecordingResumed, RecordingStarted,
};
pub use self::standards::StandardLimits;
pub use self::system::{
    ClassRefused, ConfigReloaded, GoneBy, GuardAlarm, GuardBanned, GuardLifted, LogLost, Registration, SystemDegraded,
    SystemStarted, SystemStopping, Trunk, TrunkDown, TrunkFailure,
};
pub use self::talk::{
    CallConferenced, CallConsulted, CallMonitored, CallMuted, CallPlayed, ConferenceChange, ConsultChange, MonitorChange,
    MonitorMode, PlayChange,
};
pub use self::voicemail::{Greeting, MailFailed, Mailed, Voicemail, VoicemailLock, VoicemailUnlock};
pub use self::webhook::{WebhookLost, WebhookOff, WebhookResumed};

use crate::clock::Wall;
use crate::ids::ConversationId;
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
    /// The customer of a queue waits for its agent: it is time to go back.
    #[serde(rename = "call.hold_reminder")]
    CallHoldReminder(CallHeldLong),
    /// It waits longer than the queue wants.
    #[serde(rename = "call.hold_overdue")]
    CallHoldOverdue(CallHeldLong),
    #[serde(rename = "call.transferred")]
    CallTransferred(Transfer),
    /// Somebody is rung to join a talk of more than two, is there, or is gone.
    #[serde(rename = "call.conferenced")]
    CallConferenced(CallConferenced),
    /// Whom the customer talks to asks somebody else, whom the customer does not hear.
    #[serde(rename = "call.consulted")]
    CallConsulted(CallConsulted),
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
    /// Also after the end.
    #[serde(rename = "call.disposed")]
    CallDisposed(CallDisposed),
    /// Also after the end.
    #[serde(rename = "call.noted")]
    CallNoted(CallNoted),
    /// Also after the end.
    #[serde(rename = "call.tagged")]
    CallTagged(CallTagged),
    #[serde(rename = "call.marked")]
    CallMarked(CallMarked),
    /// The customer has answered a question of a survey.
    #[serde(rename = "call.surveyed")]
    CallSurveyed(CallSurveyed),
    #[serde(rename = "call.ended")]
    CallEnded(CallEnded),

    #[serde(rename = "menu.entered")]
    MenuEntered(MenuEntered),
    #[serde(rename = "menu.digit")]
    MenuDigit(MenuDigit),
    #[serde(rename = "menu.left")]
    MenuLeft(MenuLeft),
    #[serde(rename = "menu.looked_up")]
    MenuLookedUp(MenuLookedUp),

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
    /// Somebody is to be called back, and what becomes of it. Of a conversation where it was wished for in one, or the customer is dialled.
    #[serde(rename = "queue.callback")]
    QueueCallback(QueueCallback),

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

    /// Works at other phones from here on: by a login, or because somebody else has logged in at some of them.
    #[serde(rename = "agent.logged_in")]
    AgentLoggedIn(AgentLogin),
    /// Works nowhere.
    #[serde(rename = "agent.logged_out")]
    AgentLoggedOut(AgentLogin),
    /// Works for these queues from here on: put into them by somebody, or for those of the configuration again.
    #[serde(rename = "agent.queues")]
    AgentQueues(AgentQueues),

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
    /// The announcement that the customer is recorded has no sound: without it nobody is, and it ends here. Nothing of it is kept.
    #[serde(rename = "recording.not_announced")]
    RecordingNotAnnounced(RecordingNotAnnounced),
    /// Nothing of one that was refused, or not announced, is there any more.
    #[serde(rename = "recording.discarded")]
    RecordingDiscarded(RecordingRefused),
    #[serde(rename = "recording.finished")]
    RecordingFinished(RecordingFinished),
    /// Found unfinished at start and made whole.
    #[serde(rename = "recording.repaired")]
    RecordingRepaired(RecordingFinished),
    /// What the talks of agents in it sound like: who talked when and how loud, and where nobody or both did.
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

    /// Who commanded what, and what came of it.
    #[serde(rename = "audit.commanded")]
    AuditCommanded(AuditCommanded),

    /// Events were deleted before their receiver took them. Sent there whichever types are.
    #[serde(rename = "webhook.lost")]
    WebhookLost(WebhookLost),
    /// The receiver has said that it is gone: nothing is sent there any more.
    #[serde(rename = "webhook.off")]
    WebhookOff(WebhookOff),
    /// Somebody has it go on, from another place of the log perhaps.
    #[serde(rename = "webhook.resumed")]
    WebhookResumed(WebhookResumed),

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
