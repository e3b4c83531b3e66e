//! Codecs: one file each and one row in a table.

use serde::{Deserialize, Serialize};

/// A codec that a leg can speak. Its static payload type (RFC 3551 §6) is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
}
