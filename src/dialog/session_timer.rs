//! Session timers (RFC 4028): who refreshes, how often, and until when a session lives that nobody refreshes.
//!
//! As the one who is called we grant what the caller asks for, within bounds, and refresh ourselves where it wants us to. As the one who
//! calls we ask for a timer without saying who is to refresh, and keep to what the 2xx says. Whoever refreshes does so after half of the
//! interval; who watches lets the session go a little before its end (§10).

use std::time::Duration;

use crate::clock::Mono;
use crate::sip::{HeaderName, Refresher, Request, Response, SessionExpires};

/// Least interval that we agree to, in seconds; §4 recommends no less.
pub const MIN_SE: u32 = 90;

/// An interval is cut to this: what is dead longer is only found by its media.
const LONGEST: u32 = 1_800;

/// A peer's least interval beyond this is not kept to: a day, and no timer is as good.
const MOST_ASKED: u32 = 86_400;

/// A session that is kept alive by refreshing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    /// Seconds.
    interval: u32,
    /// We refresh; else the peer does.
    ours: bool,
}

/// What a request wants of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// 422 with [`MIN_SE`] in Min-SE.
    TooShort,
    Timer(SessionTimer),
}

/// A timer that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub timer: SessionTimer,
    /// When we refresh; `None` while a refresh is under way, or where the peer does.
    pub refresh_at: Option<Mono>,
    /// The session is over then.
    pub until: Mono,
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
        if wanted.interval < MIN_SE {
            return Asked::TooShort;
        }
        let ours = match wanted.refresher {
            Some(Refresher::Uas) => true,
            Some(Refresher::Uac) | None => false,
        };
        Asked::Timer(SessionTimer { interval: wanted.interval.min(LONGEST.max(least.unwrap_or(0))), ours })
    }
}

impl SessionTimer {
    /// What our INVITE asks for at first: the peer may choose who refreshes (§7.1).
    pub fn ask(request: &mut Request) {
        SessionTimer::ask_for(request, LONGEST, MIN_SE);
    }

    /// Once more, after a 422 (§7.3); `None` where that is nothing to keep to, or was asked for already.
    pub fn ask_again(request: &mut Request, refusal: &Response) -> Option<()> {
        let least = refusal.headers.min_se().ok().flatten().filter(|least| (MIN_SE..=MOST_ASKED).contains(least))?;
        let asked = request.headers.session_expires().ok().flatten()?;
        if asked.interval >= least {
            return None;
        }
        SessionTimer::ask_for(request, least, least);
        Some(())
    }

    fn ask_for(request: &mut Request, interval: u32, least: u32) {
        request.headers.set(HeaderName::SessionExpires, SessionExpires { interval, refresher: None }.to_string());
        request.headers.set(HeaderName::MinSe, least);
    }

    /// What the 2xx to a request of ours grants; nothing where it says nothing, or more than can be kept to.
    pub fn granted_by(response: &Response) -> Option<SessionTimer> {
        let granted = response.headers.session_expires().ok().flatten()?;
        let ours = match granted.refresher {
            Some(Refresher::Uas) => false,
            Some(Refresher::Uac) | None => true,
        };
        (1..=u32::MAX / 2).contains(&granted.interval).then_some(SessionTimer { interval: granted.interval, ours })
    }

    /// Says in a 2xx what is granted.
    pub fn grant(self, response: &mut Response) {
        let refresher = if self.ours { Refresher::Uas } else { Refresher::Uac };
        let granted = SessionExpires { interval: self.interval, refresher: Some(refresher) };
        if !self.ours {
            response.headers.push(HeaderName::Require, "timer");
        }
        response.headers.push(HeaderName::SessionExpires, granted.to_string());
    }

    /// Says in a refresh of ours that we go on refreshing.
    pub fn refresh(self, request: &mut Request) {
        let wanted = SessionExpires { interval: self.interval, refresher: Some(Refresher::Uac) };
        request.headers.push(HeaderName::Supported, "timer");
        request.headers.push(HeaderName::SessionExpires, wanted.to_string());
        request.headers.push(HeaderName::MinSe, MIN_SE);
    }

    /// The refresh was refused with 422: not so often, then.
    pub fn slower(self, refusal: &Response) -> Option<SessionTimer> {
        let least = refusal.headers.min_se().ok().flatten().filter(|least| (self.interval + 1..=MOST_ASKED).contains(least))?;
        Some(SessionTimer { interval: least, ..self })
    }

    pub fn begin(self, now: Mono) -> Session {
        let whole = Duration::from_secs(self.interval.into());
        match self.ours {
            true => Session { timer: self, refresh_at: Some(now + whole / 2), until: now + whole },
            false => Session { timer: self, refresh_at: None, until: now + self.patience() },
        }
    }

    /// Without a refresh for so long the session is ended: a little before the peer would think that it lives (§10).
    fn patience(self) -> Duration {
        Duration::from_secs(u64::from(self.interval - (self.interval / 3).min(32)))
    }
}

impl Session {
    pub fn deadline(&self) -> Mono {
        self.refresh_at.unwrap_or(self.until).min(self.until)
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
        let timer = |interval| Asked::Timer(SessionTimer { interval, ours: false });
        let supports = (Supported, "100rel, timer");
        for (headers, expected) in [
            (vec![(Se, "1800")], Asked::Nothing),
            (vec![supports.clone()], Asked::Nothing),
            (vec![supports.clone(), (Se, "600")], timer(600)),
            (vec![supports.clone(), (Se, "600;refresher=uac")], timer(600)),
            (vec![supports.clone(), (Se, "600;refresher=uas")], Asked::Timer(SessionTimer { interval: 600, ours: true })),
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
        let timer = SessionTimer { interval: 1_800, ours: false };
        let mut response = invite().response(Status::OK);
        timer.grant(&mut response);
        let text = String::from_utf8_lossy(&response.to_bytes()).into_owned();
        assert!(text.contains("Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n"), "{text}");
        assert_eq!(timer.patience(), Duration::from_secs(1_768));
        assert_eq!(SessionTimer { interval: 90, ours: false }.patience(), Duration::from_secs(60));
    }

    #[test]
    fn what_we_ask_for_is_kept_to_as_the_answer_says_and_asked_for_again_after_a_422() {
        let mut request = invite();
        SessionTimer::ask(&mut request);
        let mut refusal = request.response(Status::SESSION_INTERVAL_TOO_SMALL);
        refusal.headers.push(HeaderName::MinSe, "3600");
        assert!(SessionTimer::ask_again(&mut request, &refusal).is_some());
        assert_eq!(request.headers.session_expires().unwrap().map(|s| s.interval), Some(3_600));
        assert_eq!(request.headers.min_se(), Ok(Some(3_600)));
        assert!(SessionTimer::ask_again(&mut request, &refusal).is_none(), "once is enough");
        for (granted, expected) in [
            ("600;refresher=uac", Some((600, true))),
            ("600", Some((600, true))),
            ("600;refresher=uas", Some((600, false))),
            ("0", None),
            ("x", None),
        ] {
            let mut response = request.response(Status::OK);
            response.headers.push(HeaderName::SessionExpires, granted);
            assert_eq!(SessionTimer::granted_by(&response).map(|t| (t.interval, t.ours)), expected, "{granted}");
        }
        assert_eq!(SessionTimer::granted_by(&request.response(Status::OK)), None);
        let now = Mono::from_millis(1_000);
        let ours = SessionTimer { interval: 600, ours: true };
        let session = ours.begin(now);
        assert_eq!((session.refresh_at, session.until), (Some(now + Duration::from_secs(300)), now + Duration::from_secs(600)));
        assert_eq!(ours.slower(&refusal).map(|t| t.interval), Some(3_600));
        assert_eq!(SessionTimer { interval: 3_600, ours: true }.slower(&refusal), None);
    }
}
