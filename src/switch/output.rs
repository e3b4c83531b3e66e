//! What the core wants done. The driver carries it out in order, part by part; nothing here is answered at once: what comes of it
//! returns as an `Input`.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::command::Answer;
use crate::clock::{Mono, Wall};
use crate::event::{Direction, Event};
use crate::ids::{ConversationId, LegId, Number, QueueName, RecordingId, StaffNumber};
use crate::ivr;
use crate::media;
use crate::registrar::Binding;
use crate::registrar::bans::Proof;
use crate::sip::{ConnectionId, Flow, Transport};
pub use crate::transaction::SendId;

#[derive(Clone, Debug, Serialize)]
pub enum Output {
    /// Send these bytes. Where `report` is set and it can't be done (connection refused, ICMP unreachable, resolver said no), an
    /// `Input::Undeliverable` with it comes back.
    Sip {
        to: Flow,
        bytes: Bytes,
        report: Option<SendId>,
    },
    /// Messages with this Call-ID, before and after, are of this conversation: what a trace of the signalling goes by.
    CallId {
        call_id: Bytes,
        conversation: ConversationId,
    },
    /// Find the servers of a host (RFC 3263), and the local address that routes to each.
    Resolve {
        query: QueryId,
        wanted: Wanted,
    },
    /// Nothing from these is to be listened to; all that there are, whatever was said before.
    Bans(Vec<Banned>),
    /// Where phones are registered from: told from strangers while there is room for few.
    Known(Known),
    /// A phone is registered by UDP from there, and has promised keep-alives: an `Input::Silent` is to say when they stay out.
    Watch(SocketAddr),
    Media {
        worker: u8,
        command: media::Command,
    },
    Recorder(RecorderCommand),
    /// Have what a recording has on its left ready for a leg, as the clip [`recorded`]; an `Input::Fetched` comes back.
    Fetch {
        worker: u8,
        leg: LegId,
        recording: RecordingId,
    },
    /// What a recording has on its left is to be a prompt (`<language>/<name>`), in place of what it was; an `Input::PromptKept` comes back.
    KeepPrompt {
        leg: LegId,
        prompt: String,
        recording: RecordingId,
    },
    /// Have a server asked; an `Input::LookedUp` comes back, if only to say that nobody was asked. What is asked may hold a secret, so it is
    /// in no digest.
    Lookup {
        conversation: ConversationId,
        /// Of this conversation.
        nth: u32,
        #[serde(skip)]
        request: Box<ivr::Request>,
    },
    Event(Event),
    /// To be durable: the bindings outlive the process.
    Registration(RegistrationChange),
    /// An agent's wish (ready, paused, offline) outlives the process.
    AgentWish {
        agent: StaffNumber,
        wish: Bytes,
    },
    /// A subscription that is to outlive the process, by its dialog; with nothing, it is over.
    Subscription {
        key: Bytes,
        kept: Bytes,
    },
    /// A phone's call forwarding likewise; empty is the default.
    PhoneSettings {
        phone: Number,
        settings: Bytes,
    },
    /// What those are told who wait in a queue, likewise; empty is nothing.
    QueueNews {
        queue: QueueName,
        news: Bytes,
    },
    /// What a phone has used of its minutes outside likewise.
    Minutes {
        phone: Number,
        spent: Bytes,
    },
    Reply {
        ticket: Ticket,
        answer: Answer,
    },
}

/// The clip that a fetched recording is played as.
pub fn recorded(recording: RecordingId) -> media::ClipName {
    media::ClipName(format!("recorded/{recording}").into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId(pub u64);

/// A source that is not listened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// As [`network`](crate::registrar::bans::network) gives it.
    pub address: IpAddr,
    /// What it holds for: datagrams alone, or connections too.
    pub proof: Proof,
    /// Where phones there are registered from: they are listened to.
    pub spared: Vec<SocketAddr>,
}

/// Addresses that bindings were made from, each as often as there are bindings. What changes is said alone, so that a REGISTER of one phone
/// costs nothing of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// In place of whatever was said before.
    All(Vec<SocketAddr>),
    Added(SocketAddr),
    Gone(SocketAddr),
}

/// Names a command of the API until its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// What is to be resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub host: String,
    /// With one, only the host's addresses are asked for.
    pub port: Option<u16>,
    /// That may be used, the preferred one first; never empty.
    pub transports: Vec<Transport>,
}

/// One SRV record, or what stands for it: the addresses of one host, to be tried in turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Server {
    pub transport: Transport,
    /// Lower is tried first: the place of its NAPTR record in the upper half, its own priority in the lower.
    pub priority: u32,
    /// RFC 2782.
    pub weight: u16,
    pub addresses: Vec<Resolved>,
}

/// An address that a host name stands for, and ours that routes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resolved {
    pub remote: std::net::SocketAddr,
    pub local: IpAddr,
    /// By TLS: what stands for a connection whose certificate was checked for the name that was asked for; others share the address.
    #[serde(default)]
    pub connection: Option<ConnectionId>,
}

/// One binding put or removed, keyed by number and contact.
#[derive(Clone, Debug, Serialize)]
pub enum RegistrationChange {
    Put(Number, Box<Binding>),
    /// The same contact, for longer: less is lost if this is.
    Refresh(Number, Box<Binding>),
    /// The key is the binding's contact URI as text.
    Remove(Number, String),
}

/// To the recorder. A recording is begun once, may be described again at any time, and is ended once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecorderCommand {
    /// File, row and sidecar exist, synced, from here on. Sample 0 is `at`.
    Begin { at: Mono, about: About },
    /// What is known now; replaces what was said before and the index with it.
    Describe(About),
    /// From `at` on both sides are silent in the file, whatever comes. Told again, it changes nothing.
    Pause { recording: RecordingId, at: Mono },
    /// Until `at` they are.
    Resume { recording: RecordingId, at: Mono },
    /// From `at` on an agent and the customer talk with each other, another agent where one did already; or none does. What it sounds like
    /// is measured while they do.
    Listen { recording: RecordingId, at: Mono, is_talk: bool },
    /// The last sample is `at`.
    End { recording: RecordingId, at: Mono },
    /// Of a message that is finished: its owner has heard it. `RecorderReport::Kept` follows, as it does after `Discard`.
    Heard { recording: RecordingId },
    /// Of a greeting that is finished: callers are to hear it, after a start too. `RecorderReport::Kept` follows.
    Keep { recording: RecordingId },
    /// Of a message, greeting or take: file, sidecar and row go, at its end if it is not finished. `told`: an event says so; for one that never was in a mailbox none does.
    Discard { recording: RecordingId, told: bool },
    /// The customer does not want one that has ended: it goes as others do. `RecorderReport::Discarded` follows.
    Refuse { conversation: ConversationId, recording: RecordingId },
}

/// What a recording is of: its row, its index entries, its sidecar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub recording: RecordingId,
    pub conversation: ConversationId,
    pub started_at: Wall,
    pub direction: Direction,
    pub customer_number: String,
    /// As dialled.
    pub called: String,
    /// In the order in which they came.
    pub agents: Vec<StaffNumber>,
    /// Both numbers in E.164, where they have that form.
    #[serde(default)]
    pub customer_e164: Option<String>,
    #[serde(default)]
    pub called_e164: Option<String>,
    /// The last queue.
    pub queue: Option<QueueName>,
    /// The rule that decided.
    pub rule: String,
    /// Of it, silent on purpose: pauses that are over.
    #[serde(default)]
    pub paused_ms: u64,
    /// Samples a second: 8,000 or 16,000.
    #[serde(default = "narrow")]
    pub sample_rate: u32,
    /// The customer does not want it: at its end nothing of it is kept, now or after a kill. `RecorderReport::Discarded` follows then.
    #[serde(default)]
    pub refused: bool,
    /// Left is a supervisor of the conversation, right what that one heard.
    #[serde(default)]
    pub supervises: bool,
    /// It is a take of a prompt: at the next start, if it is still there, it goes.
    #[serde(default)]
    pub prompt: bool,
    /// Of a message: where it is left.
    #[serde(default)]
    pub mailbox: Option<Number>,
    /// It is what that mailbox says to callers.
    #[serde(default)]
    pub greeting: bool,
}

/// Of recordings in journals that do not say.
fn narrow() -> u32 {
    8_000
}
