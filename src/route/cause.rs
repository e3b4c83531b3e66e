//! Why an attempt failed or a conversation ended: one word list for events, the API, the next trunk and the caller's status line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why it ended. In events and the API it is written in snake_case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody hung up after the answer.
    Normal,
    /// The caller hung up before the answer.
    Cancelled,
    Busy,
    /// It rang until our own deadline.
    NoAnswer,
    /// The peer did not respond in time: 408, 504, or no response at all.
    Timeout,
    Declined,
    NotFound,
    /// Too few digits.
    Incomplete,
    /// Nobody is registered there, or the peer says that it cannot be reached now.
    Unavailable,
    /// No codec or no transport in common.
    NotAcceptable,
    /// The caller has no right to this, or the peer refused us.
    Forbidden,
    /// No room: trunk limit, ports, a peer's 503.
    Congestion,
    /// The peer failed: 5xx other than 503 and 504.
    PeerFault,
    /// Nothing could be sent to the peer.
    Unreachable,
    /// The peer wants the call elsewhere, where it can't be sent.
    Moved,
    /// The call came back to us.
    Loop,
    /// Another refusal of the peer.
    Rejected,
    /// A leg sent neither RTP nor RTCP for too long.
    NoMedia,
    /// The session timer ran out (RFC 4028), or the peer no longer knows the dialog.
    Lost,
    /// A menu's or a place's `hangup`.
    Menu,
    /// Hung up through the API.
    Api,
    /// A transfer took the caller elsewhere.
    Transferred,
    /// Found open on the log after a restart.
    Restart,
    /// The switch is being stopped.
    Shutdown,
    /// A fault of ours.
    Fault,
}

impl Cause {
    pub const ALL: [Cause; 25] = [
        Cause::Normal,
        Cause::Cancelled,
        Cause::Busy,
        Cause::NoAnswer,
        Cause::Timeout,
        Cause::Declined,
        Cause::NotFound,
        Cause::Incomplete,
        Cause::Unavailable,
        Cause::NotAcceptable,
        Cause::Forbidden,
        Cause::Congestion,
        Cause::PeerFault,
        Cause::Unreachable,
        Cause::Moved,
        Cause::Loop,
        Cause::Rejected,
        Cause::NoMedia,
        Cause::Lost,
        Cause::Menu,
        Cause::Api,
        Cause::Transferred,
        Cause::Restart,
        Cause::Shutdown,
        Cause::Fault,
    ];

    /// What a final response other than 2xx means. Any number is taken: what is outside 300..=699 is a fault of the peer.
    pub fn from_status(status: u16) -> Cause {
        match status {
            300..=399 => Cause::Moved,
            401 | 403 | 407 => Cause::Forbidden,
            404 | 410 | 604 => Cause::NotFound,
            408 | 504 => Cause::Timeout,
            415 | 488 | 606 => Cause::NotAcceptable,
            480 | 430 => Cause::Unavailable,
            481 => Cause::Lost,
            482 | 483 => Cause::Loop,
            484 => Cause::Incomplete,
            486 | 600 => Cause::Busy,
            487 => Cause::Cancelled,
            400..=499 => Cause::Rejected,
            503 => Cause::Congestion,
            500..=599 => Cause::PeerFault,
            // 603, 607 unwanted (RFC 8197), 608 rejected (RFC 8688): a person or their screening said no.
            600..=699 => Cause::Declined,
            _ => Cause::PeerFault,
        }
    }

    /// The final response for a caller who is not answered yet.
    pub fn to_status(self) -> u16 {
        match self {
            Cause::Busy => 486,
            Cause::Declined => 603,
            Cause::NotFound => 404,
            Cause::Timeout => 408,
            Cause::Incomplete => 484,
            Cause::NotAcceptable => 488,
            Cause::Forbidden => 403,
            Cause::Cancelled => 487,
            Cause::Loop => 482,
            Cause::Congestion | Cause::Unreachable | Cause::Restart | Cause::Shutdown => 503,
            Cause::PeerFault | Cause::Rejected | Cause::Fault => 500,
            Cause::NoAnswer
            | Cause::Unavailable
            | Cause::Moved
            | Cause::Normal
            | Cause::NoMedia
            | Cause::Lost
            | Cause::Menu
            | Cause::Api
            | Cause::Transferred => 480,
        }
    }

    /// For a `Reason: Q.850` header on CANCEL, BYE and responses (RFC 3326; values of RFC 3398 §7.2.4.1 and §8.2.6.1).
    pub fn q850(self) -> u8 {
        match self {
            Cause::Normal | Cause::Cancelled | Cause::Menu | Cause::Api | Cause::Transferred => 16,
            Cause::Busy => 17,
            Cause::NoAnswer => 19,
            Cause::Unavailable => 20,
            Cause::Declined | Cause::Forbidden => 21,
            Cause::NotFound => 1,
            Cause::Incomplete => 28,
            Cause::NotAcceptable => 88,
            Cause::Moved => 23,
            Cause::Loop => 25,
            Cause::Congestion => 34,
            Cause::PeerFault | Cause::Unreachable | Cause::Restart | Cause::Shutdown | Cause::Fault => 41,
            Cause::Timeout | Cause::NoMedia | Cause::Lost => 102,
            Cause::Rejected => 127,
        }
    }

    /// After this, the next trunk of the rule is tried: 408, 5xx and transport errors. Never after a 404, 486 or 603, which are answers
    /// about the callee and not about the trunk.
    pub fn tries_next_trunk(self) -> bool {
        match self {
            Cause::Timeout | Cause::Congestion | Cause::PeerFault | Cause::Unreachable => true,
            Cause::Normal
            | Cause::Cancelled
            | Cause::Busy
            | Cause::NoAnswer
            | Cause::Declined
            | Cause::NotFound
            | Cause::Incomplete
            | Cause::Unavailable
            | Cause::NotAcceptable
            | Cause::Forbidden
            | Cause::Moved
            | Cause::Loop
            | Cause::Rejected
            | Cause::NoMedia
            | Cause::Lost
            | Cause::Menu
            | Cause::Api
            | Cause::Transferred
            | Cause::Restart
            | Cause::Shutdown
            | Cause::Fault => false,
        }
    }

    /// As in events and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Cause::Normal => "normal",
            Cause::Cancelled => "cancelled",
            Cause::Busy => "busy",
            Cause::NoAnswer => "no_answer",
            Cause::Timeout => "timeout",
            Cause::Declined => "declined",
            Cause::NotFound => "not_found",
            Cause::Incomplete => "incomplete",
            Cause::Unavailable => "unavailable",
            Cause::NotAcceptable => "not_acceptable",
            Cause::Forbidden => "forbidden",
            Cause::Congestion => "congestion",
            Cause::PeerFault => "peer_fault",
            Cause::Unreachable => "unreachable",
            Cause::Moved => "moved",
            Cause::Loop => "loop",
            Cause::Rejected => "rejected",
            Cause::NoMedia => "no_media",
            Cause::Lost => "lost",
            Cause::Menu => "menu",
            Cause::Api => "api",
            Cause::Transferred => "transferred",
            Cause::Restart => "restart",
            Cause::Shutdown => "shutdown",
            Cause::Fault => "fault",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_side_gets_the_callees_cause() {
        for status in [403, 404, 408, 480, 484, 486, 487, 488, 503, 603] {
            assert_eq!(Cause::from_status(status).to_status(), status);
        }
        assert_eq!(Cause::from_status(600).to_status(), 486);
        assert_eq!(Cause::from_status(604).to_status(), 404);
        assert_eq!(Cause::from_status(504).to_status(), 408);
        assert_eq!(
            Cause::from_status(401).to_status(),
            403,
            "a peer's challenge is not passed on to somebody without the secret"
        );
        assert_eq!(Cause::from_status(302).to_status(), 480);
    }

    #[test]
    fn every_status_gives_a_final_refusal() {
        for status in 0..=1_000 {
            let to = Cause::from_status(status).to_status();
            assert!((400..=699).contains(&to), "{status} became {to}");
        }
    }

    #[test]
    fn the_next_trunk_is_tried_after_408_and_5xx_and_never_after_an_answer_about_the_callee() {
        for status in [408, 500, 502, 503, 504, 513] {
            assert!(Cause::from_status(status).tries_next_trunk(), "{status}");
        }
        for status in [302, 401, 403, 404, 410, 480, 484, 486, 487, 488, 600, 603, 604, 606] {
            assert!(!Cause::from_status(status).tries_next_trunk(), "{status}");
        }
        assert!(Cause::Unreachable.tries_next_trunk());
        assert!(!Cause::NoAnswer.tries_next_trunk(), "it rang there: the trunk works");
    }

    #[test]
    fn labels_are_what_serde_writes() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.label());
        }
    }
}
