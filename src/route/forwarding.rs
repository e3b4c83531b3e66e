//! Where calls go that a phone does not take, as its user has set it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Cause;
use crate::ids::Number;

/// A phone rings for so long before `no_answer` applies, in seconds, where nothing else is set: four rings of the German cadence.
const RINGS: u16 = 20;

/// Calls of one caller are sent on so often at most: nobody forwards more often on purpose.
pub const MOST_FORWARDS: usize = 5;

/// A phone's call forwarding. Numbers are dialled as if from that phone, with its rights; `voicemail` is its own mailbox.
///
/// Calls that a queue offers to an agent at the phone are not forwarded, and ring in spite of do-not-disturb: an agent pauses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Forwarding {
    /// All calls, without ringing.
    pub always: Option<String>,
    /// The phone is busy, or wants not to be disturbed.
    pub busy: Option<String>,
    /// It rang for `no_answer_after_s`.
    pub no_answer: Option<String>,
    /// Seconds, 5 to 60.
    #[schema(minimum = 5, maximum = 60)]
    pub no_answer_after_s: u16,
    /// It is not registered, or does not respond.
    pub unregistered: Option<String>,
    /// It does not ring, and is busy to the caller.
    pub do_not_disturb: bool,
}

impl Default for Forwarding {
    fn default() -> Self {
        Forwarding {
            always: None,
            busy: None,
            no_answer: None,
            no_answer_after_s: RINGS,
            unregistered: None,
            do_not_disturb: false,
        }
    }
}

/// Which of the four a feature code sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Busy,
    NoAnswer,
    Unregistered,
}

/// Why a call was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Always,
    Busy,
    NoAnswer,
    Unregistered,
    DoNotDisturb,
    /// The phone answered 3xx: its user sent the call on, or it does so by itself.
    Redirected,
}

/// A station on a call's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverted {
    pub phone: Number,
    pub why: Why,
}

impl Forwarding {
    pub fn is_default(&self) -> bool {
        *self == Forwarding::default()
    }

    pub fn to(&self, when: When) -> Option<&str> {
        match when {
            When::Always => &self.always,
            When::Busy => &self.busy,
            When::NoAnswer => &self.no_answer,
            When::Unregistered => &self.unregistered,
        }
        .as_deref()
    }

    pub fn set(&mut self, when: When, to: Option<String>) {
        let place = match when {
            When::Always => &mut self.always,
            When::Busy => &mut self.busy,
            When::NoAnswer => &mut self.no_answer,
            When::Unregistered => &mut self.unregistered,
        };
        *place = to;
    }

    /// Every number that is set.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        [&self.always, &self.busy, &self.no_answer, &self.unregistered].into_iter().flatten().map(String::as_str)
    }

    /// Where a call goes that is not to ring at all.
    pub fn at_once(&self) -> Option<(Why, &str)> {
        match (&self.always, self.do_not_disturb, &self.busy) {
            (Some(to), ..) => Some((Why::Always, to)),
            (None, true, Some(to)) => Some((Why::DoNotDisturb, to)),
            (None, true, None) | (None, false, _) => None,
        }
    }

    /// Where a call goes that the phone did not take for this cause. Who declines a call wants it to end.
    pub fn after(&self, cause: Cause) -> Option<(Why, &str)> {
        let (why, when) = match cause {
            Cause::Busy => (Why::Busy, When::Busy),
            Cause::NoAnswer => (Why::NoAnswer, When::NoAnswer),
            Cause::Unavailable | Cause::Unreachable | Cause::Timeout => (Why::Unregistered, When::Unregistered),
            _ => return None,
        };
        self.to(when).map(|to| (why, to))
    }
}

impl Why {
    /// Of the Diversion header (RFC 5806 §4).
    pub fn reason(self) -> &'static str {
        match self {
            Why::Always => "unconditional",
            Why::Busy => "user-busy",
            Why::NoAnswer => "no-answer",
            Why::Unregistered => "unavailable",
            Why::DoNotDisturb => "do-not-disturb",
            Why::Redirected => "deflection",
        }
    }

    /// The cause of the next address in History-Info (RFC 4458 §2, RFC 7044 §5).
    pub fn cause(self) -> u16 {
        match self {
            Why::Always => 302,
            Why::Busy | Why::DoNotDisturb => 486,
            Why::NoAnswer => 408,
            Why::Unregistered => 503,
            Why::Redirected => 480,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_not_taking_a_call_has_its_own_place() {
        let all = Forwarding {
            always: None,
            busy: Some("1".into()),
            no_answer: Some("2".into()),
            unregistered: Some("3".into()),
            ..Forwarding::default()
        };
        for (cause, expected) in [
            (Cause::Busy, Some((Why::Busy, "1"))),
            (Cause::NoAnswer, Some((Why::NoAnswer, "2"))),
            (Cause::Unavailable, Some((Why::Unregistered, "3"))),
            (Cause::Unreachable, Some((Why::Unregistered, "3"))),
            (Cause::Timeout, Some((Why::Unregistered, "3"))),
            (Cause::Declined, None),
            (Cause::Normal, None),
        ] {
            assert_eq!(all.after(cause), expected, "{cause:?}");
            assert_eq!(Forwarding::default().after(cause), None);
        }
    }

    #[test]
    fn always_goes_before_do_not_disturb_which_is_busy() {
        let mut f = Forwarding { do_not_disturb: true, ..Forwarding::default() };
        assert_eq!(f.at_once(), None, "busy, without a place to go");
        f.set(When::Busy, Some("1".into()));
        assert_eq!(f.at_once(), Some((Why::DoNotDisturb, "1")));
        f.set(When::Always, Some("2".into()));
        assert_eq!(f.at_once(), Some((Why::Always, "2")));
        assert_eq!(f.numbers().collect::<Vec<_>>(), ["2", "1"]);
        f.do_not_disturb = false;
        f.set(When::Always, None);
        assert_eq!(f.at_once(), None);
    }

    #[test]
    fn what_is_left_out_is_the_default_and_what_is_unknown_is_refused() {
        let read = |text: &str| serde_json::from_str::<Forwarding>(text);
        assert!(read("{}").unwrap().is_default());
        assert_eq!(read("{\"busy\":\"202\"}").unwrap().no_answer_after_s, 20);
        assert!(read("{\"bussy\":\"202\"}").is_err());
    }
}
