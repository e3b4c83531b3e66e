//! Session timers (RFC 4028) as the one who is called: the peer refreshes, we grant, watch, and end what is not refreshed.
//!
//! We never refresh ourselves, and do not say that we support `timer` in requests of ours, so no peer may ask it of us (§7.1, Table 2). A
//! peer that wants us to refresh its INVITE gets no timer: that is its right to ask and ours to leave out (§9).

use std::time::Duration;

use crate::sip::{HeaderName, Refresher, Request, Response, SessionExpires};

/// Least interval that we agree to, in seconds; §4 recommends no less.
pub const MIN_SE: u32 = 90;

/// An interval is cut to this: what is dead longer is only found by its media.
const LONGEST: u32 = 1_800;

/// A session that its peer keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// Seconds.
    interval: u32,
}

/// What a request wants of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// 422 with [`MIN_SE`] in Min-SE.
    TooShort,
    Timer(SessionTimer),
}

impl Asked {
    /// Of an INVITE or UPDATE.
    pub fn by(request: &Request) -> Asked {
        let headers = &request.headers;
        // Without its support nobody would refresh; with headers that can't be read, nothing was asked.
        if !headers.lists(&HeaderName::Supported, "timer") && !headers.lists(&HeaderName::Require, "timer") {
            return Asked::Nothing;
        }
        let (Ok(Some(wanted)), Ok(least)) = (headers.session_expires(), headers.min_se()) else { return Asked::Nothing };
        match wanted.refresher {
            Some(Refresher::Uas) => Asked::Nothing,
            Some(Refresher::Uac) | None if wanted.interval < MIN_SE => Asked::TooShort,
            Some(Refresher::Uac) | None => {
                Asked::Timer(SessionTimer { interval: wanted.interval.min(LONGEST.max(least.unwrap_or(0))) })
            }
        }
    }
}

impl SessionTimer {
    /// Says in a 2xx what is granted.
    pub fn grant(self, response: &mut Response) {
        let granted = SessionExpires { interval: self.interval, refresher: Some(Refresher::Uac) };
        response.headers.push(HeaderName::Require, "timer");
        response.headers.push(HeaderName::SessionExpires, granted.to_string());
    }

    /// Without a refresh for so long the session is ended: a little before the peer would think that it lives (§10).
    pub fn patience(self) -> Duration {
        Duration::from_secs(u64::from(self.interval - (self.interval / 3).min(32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Host, Method, SipUri, Status};

    fn invite() -> Request {
        Request::new(Method::Invite, SipUri::new("1", Host::Ip([10, 0, 0, 1].into()), None))
    }

    fn asked(headers: &[(HeaderName, &'static str)]) -> Asked {
        let mut request = invite();
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        Asked::by(&request)
    }

    #[test]
    fn who_refreshes_by_itself_gets_what_it_asks_for_within_bounds() {
        use HeaderName::{MinSe, SessionExpires as Se, Supported};
        let timer = |interval| Asked::Timer(SessionTimer { interval });
        let supports = (Supported, "100rel, timer");
        for (headers, expected) in [
            (vec![(Se, "1800")], Asked::Nothing),
            (vec![supports.clone()], Asked::Nothing),
            (vec![supports.clone(), (Se, "600")], timer(600)),
            (vec![supports.clone(), (Se, "600;refresher=uac")], timer(600)),
            (vec![supports.clone(), (Se, "600;refresher=uas")], Asked::Nothing),
            (vec![supports.clone(), (Se, "7200")], timer(1_800)),
            (vec![supports.clone(), (Se, "7200"), (MinSe, "3600")], timer(3_600)),
            (vec![supports.clone(), (Se, "4294967295"), (MinSe, "4294967295")], timer(u32::MAX)),
            (vec![supports.clone(), (Se, "90")], timer(90)),
            (vec![supports.clone(), (Se, "89")], Asked::TooShort),
            (vec![supports.clone(), (Se, "x")], Asked::Nothing),
            (vec![(HeaderName::Require, "timer"), (Se, "600")], timer(600)),
        ] {
            assert_eq!(asked(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_is_granted_is_said_and_watched_until_shortly_before_its_end() {
        let timer = SessionTimer { interval: 1_800 };
        let mut response = invite().response(Status::OK);
        timer.grant(&mut response);
        let text = String::from_utf8_lossy(&response.to_bytes()).into_owned();
        assert!(text.contains("Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n"), "{text}");
        assert_eq!(timer.patience(), Duration::from_secs(1_768));
        assert_eq!(SessionTimer { interval: 90 }.patience(), Duration::from_secs(60));
    }
}
