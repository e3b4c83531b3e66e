//! Customers who are called back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::By;
use crate::clock::Wall;
use crate::ids::{CallbackId, ConversationId, QueueName, StaffNumber};
use crate::route::Cause;

/// What has become of a callback. Each change says all that there is to know of it, so that the last one is its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueCallback {
    #[schema(value_type = String)]
    pub callback: CallbackId,
    pub change: CallbackChange,
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// As the customer or the network wrote it.
    pub number: String,
    /// It in E.164 with its plus; absent of what is no number of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_e164: Option<String>,
    /// When it was wished for.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub created_at: Option<Wall>,
    /// It has the place in the queue of who came then.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub arrived_at: Option<Wall>,
    /// Not to be made before; absent: as soon as it is its turn.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub due_at: Option<Wall>,
    /// Of `created` and `retry`: it waits until then.
    #[schema(value_type = Option<String>)]
    #[serde(default, with = "super::rfc3339_option")]
    pub next_at: Option<Wall>,
    /// Whose it is for a while, before it is everybody's.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<StaffNumber>,
    /// How often the customer was dialled.
    #[serde(default)]
    pub attempts: u32,
    /// In which the customer is dialled, or was.
    #[schema(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// Of `retry` and `gave_up`: why the last attempt came to nothing, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    pub by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackChange {
    Created,
    /// Its time has come: it waits for an agent.
    Due,
    /// An agent is there, and the customer is dialled.
    Dialling,
    Connected,
    /// The customer was not reached; `next_at` says when it is tried again.
    Retry,
    /// The talk is over.
    Done,
    /// Too many attempts, too long ago, or its queue is gone.
    GaveUp,
    Cancelled,
    /// The customer has called, and waits in its place.
    TakenByCall,
}
