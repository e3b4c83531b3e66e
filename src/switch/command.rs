//! What the API asks of the core, and what it answers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Wall;
use crate::config::Place;
pub use crate::event::MonitorMode;
use crate::event::{By, Direction, Membership, TroubleKind};
use crate::ids::{CallbackId, ConversationId, LegId, Number, QueueName, RecordingId, StaffNumber, TrunkName};
use crate::route::Forwarding;
use crate::route::class::Denied;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Rings `from` (a phone), and when it answers dials `to` as if from it.
    Originate {
        from: String,
        to: String,
    },
    Hangup {
        conversation: ConversationId,
    },
    /// The customer hears music until `Resume`.
    Hold {
        conversation: ConversationId,
    },
    Resume {
        conversation: ConversationId,
    },
    /// Blind: the customer's other party is let go, `to` is dialled.
    Transfer {
        conversation: ConversationId,
        to: String,
    },
    /// Attended: whom the phone that is in both conversations has in them hear each other, and the phone is let go.
    Join {
        conversation: ConversationId,
        consultation: ConversationId,
    },
    /// Rings somebody who is to talk with the others.
    Confer {
        conversation: ConversationId,
        to: String,
    },
    /// Rings somebody whom only the one hears whom the customer talks to; the customer waits with music.
    Consult {
        conversation: ConversationId,
        to: String,
    },
    /// What becomes of who is consulted.
    Consultation {
        conversation: ConversationId,
        step: ConsultStep,
    },
    /// As `Join`, and the phone stays: all talk with each other.
    ConferWith {
        conversation: ConversationId,
        consultation: ConversationId,
    },
    /// Rings a supervisor; of one who is there, it changes the mode.
    Monitor {
        conversation: ConversationId,
        /// A phone's number, or a staff number.
        who: String,
        mode: MonitorMode,
    },
    Mute {
        conversation: ConversationId,
        who: Member,
        muted: bool,
    },
    Play {
        conversation: ConversationId,
        sound: Sound,
        to: PlayTo,
    },
    StopPlay {
        conversation: ConversationId,
    },
    /// Sends keys to one in the call; to the customer, where nobody is named.
    Press {
        conversation: ConversationId,
        who: Option<Member>,
        digits: String,
    },
    Record {
        conversation: ConversationId,
        action: RecordAction,
    },
    SetAgent {
        agent: StaffNumber,
        state: WantedState,
        reason: Option<String>,
    },
    /// The agent's wrap-up ends so much later, as far as the queue lets it.
    ExtendWrapUp {
        agent: StaffNumber,
        seconds: u32,
    },
    /// What came of a call, also after its end.
    Dispose {
        conversation: ConversationId,
        /// Who says so, of several who have had it.
        agent: Option<StaffNumber>,
        disposition: String,
    },
    Note {
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        text: String,
    },
    /// Those who wait in a queue, and who come, hear this prompt once; `None`: no more.
    Announce {
        queue: QueueName,
        prompt: Option<String>,
        until: Option<Wall>,
    },
    /// Those who wait in a queue.
    Callers {
        queue: QueueName,
    },
    /// A caller who waits goes elsewhere, sooner or later, or to one agent.
    MoveCaller {
        conversation: ConversationId,
        to: Option<Place>,
        priority: Option<i8>,
        agent: Option<StaffNumber>,
    },
    /// Words on the whole call, also after its end.
    Tag {
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        tags: Vec<String>,
    },
    /// A marker at this moment of the call.
    Mark {
        conversation: ConversationId,
        agent: Option<StaffNumber>,
        text: Option<String>,
    },
    /// The agent works at this phone from here on, or at the own ones; who worked there does no more.
    LogIn {
        agent: StaffNumber,
        phone: Option<Number>,
    },
    /// The agent works nowhere, until the next login.
    LogOut {
        agent: StaffNumber,
    },
    /// The agent works for these queues, or (`None`) for those of the configuration.
    PutInto {
        agent: StaffNumber,
        queues: Option<Vec<Membership>>,
    },
    /// What becomes of a phone's calls that it does not take.
    SetForwarding {
        phone: Number,
        forwarding: Forwarding,
    },
    Phones,
    /// The messages for a number.
    Mailbox {
        number: Number,
    },
    /// Marks a message as heard.
    HearMessage {
        number: Number,
        recording: RecordingId,
    },
    DeleteMessage {
        number: Number,
        recording: RecordingId,
    },
    /// What a mailbox says to callers.
    Greeting {
        number: Number,
    },
    /// From here on it is this recording, which lies there already; answered when that is durable.
    SetGreeting {
        number: Number,
        recording: RecordingId,
    },
    /// From here on it is the standard one.
    DropGreeting {
        number: Number,
    },
    /// Who may not try PINs for a while.
    MailboxLocks,
    LiftMailboxLock {
        /// As it is listed.
        locked: String,
    },
    Registrations,
    Bans,
    /// From here on messages from there are listened to again.
    LiftBan {
        address: IpAddr,
    },
    /// Customers who are to be called back.
    Callbacks,
    /// Somebody is to be called back; of a customer who is already, that one stands.
    CallBack {
        queue: QueueName,
        number: String,
        due_at: Option<Wall>,
        /// Whose it is for a while before it is everybody's.
        owner: Option<StaffNumber>,
        /// It is about this one.
        conversation: Option<ConversationId>,
    },
    CancelCallback {
        id: CallbackId,
    },
    Agents,
    Queues,
    Trunks,
    /// Counters and gauges for /metrics and /readyz.
    Status,
}

/// Of a consultation within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsultStep {
    /// From whom it asks to the customer, or back.
    Swap,
    /// All talk with each other.
    Join,
    /// Whom it asks gets the customer.
    Complete,
    /// Whom it asks is let go.
    Cancel,
}

/// What becomes of a conversation's recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordAction {
    /// It begins, where the rule leaves that to people.
    Start,
    /// It is silent from here on.
    Pause,
    /// Until here.
    Resume,
}

/// Somebody in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Member {
    Leg(LegId),
    /// A phone's number, a staff number, or the customer's number.
    Number(String),
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Member::Leg(leg) => write!(f, "{leg}"),
            Member::Number(number) => f.write_str(number),
        }
    }
}

/// What is played into a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sound {
    /// `welcome`, in the language of the call; `de/welcome` in that one.
    Prompt(String),
    Tone(Tone),
}

/// Each goes on until something else is played, or it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Music on hold.
    Music,
    Ringback,
    Busy,
}

/// Who hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlayTo {
    /// All who talk.
    Both,
    Customer,
    /// Whom the customer talks to.
    Agent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedState {
    Ready,
    Paused,
    Offline,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Answer {
    Done,
    /// Not yet: what was done is on its way to the disk, and another answer follows when it is durable.
    Later,
    /// The conversation that a command began.
    Started(ConversationId),
    Phones(Vec<PhoneView>),
    /// Oldest first.
    Messages(Vec<MessageView>),
    Greeting(GreetingView),
    MailboxLocks(Vec<MailboxLockView>),
    Registrations(Vec<RegistrationView>),
    Bans(Vec<BanView>),
    Agents(Vec<AgentView>),
    Queues(Vec<QueueView>),
    Callers(Vec<CallerView>),
    Callbacks(Vec<CallbackView>),
    Callback(Box<CallbackView>),
    Trunks(Vec<TrunkView>),
    Status(Box<Status>),
    Refused(Refusal),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Refusal {
    #[error("there is no live conversation {0}")]
    NoConversation(ConversationId),
    #[error("there is no agent {0}")]
    NoAgent(StaffNumber),
    #[error("there is no queue {0}")]
    NoQueue(QueueName),
    #[error("agent {0} is none of queue {1}")]
    NoMember(StaffNumber, QueueName),
    #[error("there is no callback {0}")]
    NoCallback(CallbackId),
    #[error("{0} is not the number of a registered phone")]
    NoPhone(String),
    #[error("there is no phone {0}")]
    UnknownPhone(Number),
    #[error("`{0}` is none of the reasons that a pause may have ([codes] pause_reasons)")]
    NoReason(String),
    #[error("`{0}` is none of the queue's dispositions")]
    NoDisposition(String),
    #[error("{0} has no mailbox")]
    NoMailbox(Number),
    #[error("there is no message {0} there")]
    NoMessage(RecordingId),
    #[error("{0}")]
    BadValue(&'static str),
    #[error("{0} can't be dialled from there")]
    NotDiallable(String),
    #[error("the conversation is not in a state for that: {0}")]
    WrongState(&'static str),
    #[error("{0} is nobody in this conversation, no phone and no agent")]
    NoParty(String),
    #[error("there is no prompt {0}")]
    NoPrompt(String),
    #[error("there are as many {0} as there may be")]
    TooMany(&'static str),
    #[error("there is no way to {0} now")]
    Unreachable(String),
    #[error("the switch is stopping")]
    Stopping,
    #[error("the class of {0} does not permit {1}")]
    NotPermitted(String, Denied),
    #[error("{0} is not locked")]
    NotLocked(String),
    #[error("{0} is not banned")]
    NotBanned(IpAddr),
    #[error("no media port is free")]
    NoPort,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationView {
    pub number: String,
    pub contact: String,
    pub transport: String,
    pub user_agent: Option<String>,
    /// Address and port; of a phone behind an edge proxy of one's own, as that reports it.
    pub source: String,
    /// What the device calls itself (`+sip.instance`, RFC 5626), usually `<urn:uuid:…>`.
    pub instance: Option<String>,
    /// Which of the device's flows it is (`reg-id`): they ring one after the other, and never together.
    pub reg_id: Option<u32>,
    /// RFC 3339.
    pub expires_at: String,
}

/// A source that is not listened to for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanView {
    /// An IPv4 address, or the first one of an IPv6 network of 64 bits.
    pub address: String,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339.
    pub until: String,
    /// Other transports are listened to, and of UDP a trickle.
    #[serde(default)]
    pub udp_only: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PhoneView {
    pub number: String,
    pub name: Option<String>,
    pub registered: bool,
    pub forwarding: Forwarding,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// Of its recording: the audio is at `/api/v1/recordings/{id}/audio`.
    #[schema(value_type = String)]
    pub id: RecordingId,
    #[schema(value_type = String)]
    pub conversation: ConversationId,
    /// The caller's number; empty, if hidden.
    pub caller: String,
    /// RFC 3339.
    pub started_at: String,
    pub duration_ms: u64,
    pub heard: bool,
}

/// What a mailbox says to callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GreetingView {
    /// Its own; the audio is at `/api/v1/recordings/{id}/audio`. Absent: the standard one.
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
}

/// A mailbox, or a source, that PINs were tried at or from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailboxLockView {
    /// `mailbox:201` for all but its own phone; `phone:210` or `trunk:carrier/+4930123456` for every mailbox.
    pub locked: String,
    /// Wrong PINs.
    pub failures: u32,
    /// RFC 3339.
    pub since: String,
    /// RFC 3339.
    pub until: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    pub staff_number: String,
    pub name: String,
    /// The first of `phones`; empty where the agent is logged out.
    pub phone: String,
    /// Where the agent works: the phones of the configuration, or where the login was.
    #[serde(default)]
    pub phones: Vec<String>,
    #[serde(default)]
    pub team: Option<String>,
    /// `ready`, `paused`, `offline`, `unregistered`, `ringing`, `talking`, `busy`, `wrapup`, `unanswered`.
    pub state: String,
    pub reason: Option<String>,
    /// In this state since, RFC 3339.
    pub since: Option<String>,
    /// RFC 3339, where the state ends by itself.
    pub until: Option<String>,
    pub queues: Vec<String>,
    /// The same with rank and weight, where a supervisor has put the agent into them, instead of where the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_into: Option<Vec<Membership>>,
    /// Of the call that is offered, talked in or wrapped up.
    pub conversation: Option<String>,
    /// What the wrap-up waits for: `disposition`, `note`.
    #[serde(default)]
    pub owes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    #[schema(value_type = String)]
    pub name: QueueName,
    /// Who of the free agents has the next caller, as the configuration names it.
    #[serde(default)]
    pub strategy: String,
    pub waiting: u32,
    pub longest_wait_ms: u64,
    /// Customers who are to be called back, due or not.
    #[serde(default)]
    pub callbacks: u32,
    /// State → how many agents of this queue are in it.
    pub agents: std::collections::BTreeMap<String, u32>,
    /// Since the site's midnight.
    pub offered: u64,
    pub answered: u64,
    pub abandoned: u64,
    /// 0 to 1; absent while nothing was offered.
    pub service_level: Option<f64>,
    /// The definition that `service_level` uses, threshold included.
    pub service_level_formula: String,
    /// What a supervisor has those told who wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<NewsView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewsView {
    pub prompt: String,
    /// RFC 3339; absent: until it is taken back.
    pub until: Option<String>,
    pub by: By,
}

/// Somebody who waits in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerView {
    /// 1 is the next to be served.
    pub position: u32,
    /// Of who waits at the phone.
    #[schema(value_type = Option<String>)]
    pub conversation: Option<ConversationId>,
    /// Of who is to be called back.
    #[schema(value_type = Option<String>)]
    pub callback: Option<CallbackId>,
    /// As the network wrote it.
    pub number: String,
    /// With that of stays before.
    pub waited_ms: u64,
    /// -9 to 9; each step is worth a minute of waiting.
    pub priority: i8,
    /// Staff number of whom alone it waits for, for a while.
    #[schema(value_type = Option<String>)]
    pub agent: Option<StaffNumber>,
    /// Whose phones ring for it.
    #[schema(value_type = Vec<String>)]
    pub offered_to: Vec<StaffNumber>,
}

/// A customer who is to be called back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallbackView {
    pub id: String,
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// As the customer or the network wrote it.
    pub number: String,
    pub number_e164: Option<String>,
    /// When it was wished for, RFC 3339.
    pub created_at: String,
    /// It has the place in the queue of who came then, RFC 3339.
    pub arrived_at: String,
    /// Not to be made before, RFC 3339.
    pub due_at: Option<String>,
    /// It waits until then, RFC 3339; absent: for an agent.
    pub next_at: Option<String>,
    /// Staff number of whose it is for a quarter of an hour, before it is everybody's.
    pub owner: Option<String>,
    /// How often the customer was dialled.
    pub attempts: u32,
    /// `waiting`, `dialling`, `talking`.
    pub state: String,
    /// In which the customer is dialled, or talks.
    pub conversation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrunkView {
    #[schema(value_type = String)]
    pub name: TrunkName,
    /// `up`, `down`, or `unknown`: neither probed nor registered with, or without an answer yet.
    pub state: String,
    /// In this state since, RFC 3339; absent while it is unknown.
    pub since: Option<String>,
    /// Why it is down.
    pub reason: Option<TroubleKind>,
    /// The same for people.
    pub detail: Option<String>,
    /// Absent where we don't register.
    pub registered: Option<bool>,
    /// Live, both directions.
    pub calls: u32,
}

/// For readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Part → what is wrong with it; empty is healthy.
    pub degraded: std::collections::BTreeMap<String, String>,
    pub draining: bool,
    pub live_conversations: u64,
    pub legs: u64,
    /// Of them, those whose media sounds bad at present.
    pub legs_degraded: u64,
    pub transactions: u64,
    pub registrations: u64,
    pub free_ports: u64,
    /// Monotonic counters by name (`sip_requests_total{method="INVITE"}` …), in Prometheus's own spelling without the prefix.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// By name.
    pub trunks: Vec<TrunkView>,
    /// By direction, live.
    pub live_by_direction: std::collections::BTreeMap<Direction, u64>,
}
