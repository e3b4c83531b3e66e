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
