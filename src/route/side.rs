//! Who did it.

use serde::{Deserialize, Serialize};

/// Who did something to a conversation: ended it, held it, transferred it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Customer,
    /// The agent or phone on the other side.
    Phone,
    /// A named user of the API.
    Api(String),
    /// The switch itself: a rule, a timer.
    Switch,
}
