//! Who did it.

use std::fmt;

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

/// `customer`, `api admin`.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Side::Customer => f.write_str("customer"),
            Side::Phone => f.write_str("phone"),
            Side::Api(user) => write!(f, "api {user}"),
            Side::Switch => f.write_str("switch"),
        }
    }
}
