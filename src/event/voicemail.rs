//! What happens in mailboxes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{Number, RecordingId};

/// A message in a mailbox. Only `voicemail.left` has a conversation: the one in which it was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Voicemail {
    /// The number that it is for.
    #[schema(value_type = String)]
    pub mailbox: Number,
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// The caller's number; empty, if hidden.
    pub caller: String,
    /// It in E.164 with its plus; absent of an extension, and of what is no number of the network.
    #[serde(default)]
    pub customer_e164: Option<String>,
    /// The number that the caller called, likewise.
    #[serde(default)]
    pub called_e164: Option<String>,
    pub duration_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Greeting {
    #[schema(value_type = String)]
    pub mailbox: Number,
    /// What callers hear; absent: the standard greeting.
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    pub by: By,
}

/// A mail server has taken a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mailed {
    #[schema(value_type = String)]
    pub mailbox: Number,
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// Mail address.
    pub to: String,
    /// With its audio; without where that is too long for a mail, or is not wanted.
    #[serde(default)]
    pub attached: bool,
}

/// A mail server has not taken a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailFailed {
    #[schema(value_type = String)]
    pub mailbox: Number,
    #[schema(value_type = String)]
    pub recording: RecordingId,
    /// Mail address.
    pub to: String,
    /// For people.
    pub reason: String,
    /// So far.
    pub attempts: u32,
    /// It is not tried again.
    pub gives_up: bool,
}

/// Too many wrong PINs, over all calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoicemailLock {
    /// `mailbox:201`, for all but its own phone; or where they came from, for every mailbox: `phone:210`, `trunk:carrier/+4930123456`.
    pub locked: String,
    /// Whose PIN was tried last.
    #[schema(value_type = String)]
    pub mailbox: Number,
    /// Where the last one came from.
    pub source: String,
    pub failures: u32,
    /// RFC 3339.
    pub until: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoicemailUnlock {
    /// As in `voicemail.locked`.
    pub locked: String,
    /// `switch` where its time was over.
    pub by: By,
}
