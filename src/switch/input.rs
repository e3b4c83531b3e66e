//! What reaches the core. Every input can be written to the journal and read back to the same value.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::output::{QueryId, SendId, Server, Ticket};
use crate::acd::{Callback, PastStay};
use crate::clock::Wall;
use crate::config::Source;
use crate::ids::{ConversationId, LegId, Number, QueueName, RecordingId, StaffNumber};
use crate::ivr;
use crate::media;
use crate::registrar::Binding;
use crate::registrar::bans::Proof;
use crate::sdp;
use crate::sip::{ConnectionId, Flow, Message as SipMessage};
use crate::voicemail::Message;

#[allow(
    clippy::large_enum_variant,
    reason = "most inputs are messages; a box around each would cost more than the room that a tick leaves unused"
)]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// What the last run left; the first input of every run.
    Started(Box<Recovered>),
    Sip {
        flow: Flow,
        message: SipMessage,
    },
    /// How many messages the transports have refused as malformed since they said so last, by source.
    Malformed {
        sources: Vec<(IpAddr, Proof, u32)>,
    },
    /// Nothing at all has come from these for a while, whose keep-alives `Output::Watch` awaits; said once.
    Silent {
        remotes: Vec<SocketAddr>,
    },
    /// A request could not be sent.
    Undeliverable {
        report: SendId,
        /// For people.
        why: Option<String>,
    },
    /// A connection is gone: what was reachable through it is not.
    ConnectionClosed {
        connection: ConnectionId,
    },
    /// No servers: the name can't be resolved.
    Resolved {
        query: QueryId,
        servers: Vec<Server>,
        /// Every question of the chain had an answer, be it that there is no such record. Else there may be more servers, or others.
        whole: bool,
        /// How long they are good for.
        ttl: Duration,
    },
    /// Ports that workers have bound and wait for legs on.
    Ports(Vec<media::Lease>),
    /// The certificate that the legs of browsers show; before it is known, none is taken.
    Certificate(sdp::Fingerprint),
    Media(media::Report),
    Recorder(RecorderReport),
    Command {
        ticket: Ticket,
        by: Actor,
        command: Command,
    },
    /// The configuration was read anew and found whole.
    Configured {
        by: Actor,
        source: Box<Source>,
    },
    /// A part of the machine is in trouble, or out of it again.
    Health {
        part: String,
        trouble: Option<String>,
    },
    /// What came of `Output::Fetch`.
    Fetched {
        leg: LegId,
        recording: RecordingId,
        /// It can be played to the leg.
        there: bool,
    },
    /// What came of `Output::Lookup`.
    LookedUp {
        conversation: ConversationId,
        nth: u32,
        outcome: ivr::Outcome,
    },
    /// What came of `Output::KeepPrompt`; the configuration of the sounds is in force.
    PromptKept {
        leg: LegId,
        prompt: String,
        recording: RecordingId,
        kept: bool,
    },
    /// A message was mailed.
    Mailed {
        mailed: crate::event::Mailed,
        /// It goes with that.
        delete: bool,
        /// The log has it already: a kill kept the message from going.
        told: bool,
    },
    /// It was not.
    MailFailed(crate::event::MailFailed),
    /// No new calls from here on; live ones end by themselves or by `Halt`.
    Drain,
    /// Everything ends now: BYE to all.
    Halt,
    /// Time has passed.
    Tick,
}

/// Who gave a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor(pub String);

/// The longest day there is, in which the clocks go back, and an hour for calls that began before it.
pub const FIGURES: Duration = Duration::from_secs(26 * 3_600);

/// State that outlives the process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recovered {
    pub registrations: Vec<(Number, Binding)>,
    /// As `Output::AgentWish` gave them.
    pub wishes: Vec<(StaffNumber, bytes::Bytes)>,
    /// As `Output::PhoneSettings` gave them.
    #[serde(default)]
    pub phones: Vec<(Number, bytes::Bytes)>,
    /// As `Output::Subscription` gave them.
    #[serde(default)]
    pub subscriptions: Vec<bytes::Bytes>,
    /// As `Output::Minutes` gave them.
    #[serde(default)]
    pub minutes: Vec<(Number, bytes::Bytes)>,
    /// As `Output::QueueNews` gave them.
    #[serde(default)]
    pub news: Vec<(QueueName, bytes::Bytes)>,
    /// All that are in mailboxes, oldest first in each.
    #[serde(default)]
    pub messages: Vec<(Number, Message)>,
    /// What mailboxes say to callers; of several the last one.
    #[serde(default)]
    pub greetings: Vec<(Number, RecordingId)>,
    /// Greetings that were begun, and never kept.
    #[serde(default)]
    pub unkept: Vec<RecordingId>,
    /// What was done with messages and never told.
    #[serde(default)]
    pub untold: Vec<Untold>,
    /// How callers fared in queues in the last [`FIGURES`], for the figures of the day.
    #[serde(default)]
    pub stays: Vec<PastStay>,
    /// Customers who are to be called back, as the log has them.
    #[serde(default)]
    pub callbacks: Vec<Callback>,
    /// Conversations without an end in the log, by their first event.
    pub open: Vec<OpenConversation>,
    /// Conversations of repaired recordings that the log knows nothing of.
    #[serde(default)]
    pub unlogged: Vec<UnloggedConversation>,
    pub repaired: Vec<Repaired>,
}

/// A message that was heard, or is gone, before a kill kept the log from hearing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    pub gone: bool,
    pub message: crate::event::Voicemail,
}

/// A conversation that a kill left open in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenConversation {
    pub conversation: ConversationId,
    pub started_at: Wall,
    pub answered_at: Option<Wall>,
    pub talk_ms: u64,
    /// The last thing that the log knows of it.
    pub last_at: Wall,
}

/// A conversation whose recording a kill left, but not its first event: files survive one at once, events when they are synced. What is
/// known of it is what lay beside the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnloggedConversation {
    pub conversation: ConversationId,
    /// When the recording began.
    pub started_at: Wall,
    pub started: crate::event::CallStarted,
    pub recorded_ms: u64,
}

/// A recording that a kill left unfinished, made whole. Its row is already durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repaired {
    pub conversation: ConversationId,
    pub finished: crate::event::RecordingFinished,
    /// Of one that was finished before the kill.
    #[serde(default)]
    pub measured: Option<Box<crate::event::RecordingMeasured>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecorderReport {
    /// File, row and sidecar exist and are synced.
    Started { conversation: ConversationId, recording: RecordingId },
    /// Frames were dropped, or a write failed for a while.
    Gap { conversation: ConversationId, recording: RecordingId, reason: String, gap_ms: u64 },
    /// What it sounds like; `Finished` follows.
    Measured { conversation: ConversationId, measured: Box<crate::event::RecordingMeasured> },
    /// Synced, row and index durable.
    Finished { conversation: ConversationId, finished: crate::event::RecordingFinished },
    /// What was wished of a message or greeting is durable: it is marked as heard or kept, or is gone.
    Kept { recording: RecordingId, gone: bool },
    /// It was refused, and nothing of it is there any more.
    Discarded { conversation: ConversationId, recording: RecordingId },
    /// It cannot be written. The conversation goes on.
    Failed { conversation: ConversationId, recording: RecordingId, reason: String },
}
