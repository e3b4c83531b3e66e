//! `a=rtcp-xr` (RFC 3611 §5.1): which extended reports somebody wants to get.

use serde::{Deserialize, Serialize};

/// The extended reports that a peer asks for, of those that we send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// Round trip without being a sender: reference times and the delays since them.
    pub rcvr_rtt: bool,
    pub voip_metrics: bool,
}

/// What we ask for.
pub const OURS: &str = "a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n";

impl Extended {
    /// Of an attribute's value; formats that we do not send are passed over.
    pub fn parse(text: &str) -> Extended {
        let name = |word: &str| word.split(['=', ':']).next().unwrap_or_default().to_ascii_lowercase();
        let asks = |what: &str| text.split_ascii_whitespace().any(|word| name(word) == what);
        Extended { rcvr_rtt: asks("rcvr-rtt"), voip_metrics: asks("voip-metrics") }
    }
}
