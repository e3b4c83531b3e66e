//! Menus.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::MenuName;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuEntered {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    pub language: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuDigit {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    /// `x` where the menu masks it.
    pub digit: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuLeft {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    /// Where to: `queue:support`, `hangup`; `caller hung up` where the caller ended it.
    pub to: String,
}

/// A server was asked about the caller. Neither what was asked nor what was answered is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MenuLookedUp {
    #[schema(value_type = String)]
    pub menu: MenuName,
    pub node: String,
    /// `ok`, `timeout`, `status` (another than 2xx), `garbage` (no JSON, or too much), `unreachable`, `busy` (too many at once), `bad_url`.
    pub outcome: String,
    /// Until the answer, or until nobody waited for it any more.
    pub ms: u64,
}
