//! Phones and trunks that come and go, what is refused at the door, and the switch itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::ids::{Number, TrunkName};
use crate::route::TroubleKind;
use crate::route::class::Denied;

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
