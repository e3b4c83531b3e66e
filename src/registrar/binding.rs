//! One contact of a phone's number.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::sip::Flow;

/// A contact that a phone registered, and the flow that it did so on. Its key within its number is `contact`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Contact URI as given, printed (the Request-URI of calls to it).
    pub contact: Bytes,
    /// Where the REGISTER came from: calls go back there (symmetric, so NAT is no matter).
    pub flow: Flow,
    pub user_agent: Option<String>,
    /// Call-ID and CSeq of the last REGISTER: an older one of the same Call-ID is refused (§10.3 step 7).
    pub call_id: Bytes,
    pub cseq: u32,
    pub expires_at: Wall,
    /// 0 to 1000 (RFC 3261 `q`), higher first.
    pub q: u16,
    /// RFC 3327 Path, in order.
    pub path: Vec<Bytes>,
}
