//! One recording: its row in the index, its sidecar beside the WAV, and its item in the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Wall;
use crate::event::{RecordingFinished, RecordingMeasured, Sound};
use crate::ids::{ConversationId, Number, QueueName, RecordingId, StaffNumber};
use crate::route::Direction;
use crate::store::rfc3339;
use crate::switch::output::About;
use crate::voicemail::Message;

/// Fields are only ever added, and then with `#[serde(default)]`: sidecars of last year must still be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recording {
    #[schema(value_type = String)]
    pub id: RecordingId,
    #[schema(value_type = String)]
    pub conversation: ConversationId,
    /// Moment of the first sample, RFC 3339, to the millisecond.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub started_at: Wall,
    /// 0 while it is being recorded.
    pub duration_ms: u64,
    pub direction: Direction,
    pub customer_number: String,
    /// As dialled.
    #[serde(default)]
    pub called: String,
    /// The customer's number in E.164 with its plus; absent of an extension, and of what is no number of the network.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The number called, likewise; of an outbound call the one that goes to the trunk.
    #[serde(default)]
    pub called_e164: Option<String>,
    /// In the order in which they came.
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<StaffNumber>,
    /// The last queue.
    #[schema(value_type = Option<String>)]
    pub queue: Option<QueueName>,
    /// 2: left is what the customer said, right is what the customer heard.
    pub channels: u16,
    /// In Hz.
    pub sample_rate: u32,
    /// Length of the WAV file; 0 while it is being recorded.
    pub bytes: u64,
    /// Of the whole file, in hexadecimal; absent while it is being recorded.
    pub sha256: Option<String>,
    pub state: State,
    /// The rule that decided to record.
    #[serde(default)]
    pub rule: String,
    /// Silence that stands for packets which never came, left and right, in ms.
    #[serde(default)]
    pub lost_ms: [u64; 2],
    /// Silence on purpose in it, in ms.
    #[serde(default)]
    pub paused_ms: u64,
    /// The customer did not want it: it goes as soon as it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub refused: bool,
    #[serde(default)]
    pub kind: Kind,
    /// Whose mailbox a message is in.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub mailbox: Option<Number>,
    /// The owner of the mailbox has heard the message.
    #[serde(default)]
    pub heard: bool,
    /// False only of a greeting that is being made: callers hear one when it is kept, and a start throws away what never was.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    #[schema(required = false)]
    pub kept: bool,
    /// How an agent and the customer talked; absent while it is being recorded, and where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_true(kept: &bool) -> bool {
    *kept
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RecordingKind)]
pub enum Kind {
    #[default]
    Conversation,
    /// A message in a mailbox.
    Voicemail,
    /// What a mailbox says to callers.
    Greeting,
    /// A take of a prompt, while it is spoken and heard.
    Prompt,
    /// Left what a supervisor of a conversation said, right what the supervisor heard.
    Supervisor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Recording,
    Finished,
    /// Found unfinished at start and made whole.
    Repaired,
}

/// Both sides of a conversation.
pub const CHANNELS: u16 = 2;

impl Recording {
    /// A recording that begins.
    pub fn begun(about: &About) -> Recording {
        Recording {
            id: about.recording,
            conversation: about.conversation,
            started_at: Wall::from_micros(about.started_at.as_millis() * 1_000),
            duration_ms: 0,
            direction: about.direction,
            customer_number: about.customer_number.clone(),
            called: about.called.clone(),
            customer_e164: about.customer_e164.clone(),
            called_e164: about.called_e164.clone(),
            agents: about.agents.clone(),
            queue: about.queue.clone(),
            channels: CHANNELS,
            sample_rate: about.sample_rate,
            bytes: 0,
            sha256: None,
            state: State::Recording,
            rule: about.rule.clone(),
            lost_ms: [0, 0],
            paused_ms: about.paused_ms,
            refused: about.refused,
            kind: match (&about.mailbox, about.greeting) {
                (Some(_), true) => Kind::Greeting,
                (Some(_), false) => Kind::Voicemail,
                (None, _) if about.supervises => Kind::Supervisor,
                (None, _) if about.prompt => Kind::Prompt,
                (None, _) => Kind::Conversation,
            },
            mailbox: about.mailbox.clone(),
            heard: false,
            kept: !about.greeting,
            sound: None,
        }
    }

    /// What is known of it now; its length and state stay.
    pub fn describe(&mut self, about: &About) {
        let fresh = Recording::begun(about);
        *self = Recording {
            id: self.id,
            duration_ms: self.duration_ms,
            bytes: self.bytes,
            sha256: self.sha256.take(),
            state: self.state,
            lost_ms: self.lost_ms,
            heard: self.heard,
            kept: self.kept,
            sound: self.sound.take(),
            ..fresh
        };
    }

    /// As its mailbox has it; `None` while it is being recorded, and of anything but a message.
    pub fn message(&self) -> Option<(Number, Message)> {
        if self.kind != Kind::Voicemail {
            return None;
        }
        let message = Message {
            recording: self.id,
            conversation: self.conversation,
            caller: self.customer_number.clone(),
            customer_e164: self.customer_e164.clone(),
            called_e164: self.called_e164.clone(),
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            heard: self.heard,
        };
        self.finished().and(self.mailbox.clone()).map(|mailbox| (mailbox, message))
    }

    /// The facts of its end, for the event; `None` while it is being recorded.
    pub fn finished(&self) -> Option<RecordingFinished> {
        match self.state {
            State::Recording => None,
            State::Finished | State::Repaired => Some(RecordingFinished {
                recording: self.id,
                duration_ms: self.duration_ms,
                bytes: self.bytes,
                sha256: self.sha256.clone().unwrap_or_default(),
                lost_ms: self.lost_ms,
            }),
        }
    }

    /// What it sounds like, for the event; `None` while it is being recorded, and where no agent talked.
    pub fn measured(&self) -> Option<RecordingMeasured> {
        let sound = self.sound.clone()?;
        Some(RecordingMeasured { recording: self.id, started_at: self.started_at, sound })
    }
}
