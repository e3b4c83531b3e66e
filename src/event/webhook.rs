//! Programs that are sent events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookLost {
    /// Its name.
    pub webhook: String,
    /// Sequence of the first event that is gone.
    pub first: u64,
    /// And of the last. How many of those between would have been sent nobody knows.
    pub last: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookOff {
    /// Its name.
    pub webhook: String,
    /// What it answered.
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WebhookResumed {
    /// Its name.
    pub webhook: String,
    /// It goes on behind this sequence.
    pub after: u64,
    pub by: By,
}
