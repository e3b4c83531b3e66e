//! Our own registration at a trunk (RFC 3261 §10.2), and the answer to a challenge of one (§22.2).
//!
//! ```text
//! Due ──due───▶ InFlight ──2xx──▶ Due (before it ends)
//!                  ├─401/407 with something new, 423─▶ InFlight (at once, with what was asked for)
//!                  └─anything else, nothing─▶ Due (later and later)
//! any ──leave──▶ Stopped
//! ```
//!
//! Beside it stands until when the trunk believes us: `Up` and `Down` are told when that begins and ends, not for each refresh. The core
//! resolves the peer's name, sends what comes out in a transaction, and hands back its end.

use std::time::Duration;

use bytes::Bytes;

use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::{Peer, Secret, Trunk};
use crate::sip::{
    CSeq, Challenge, Contacts, HeaderName, Host, HostPort, Login, Method, NameAddr, Request, Response, SipUri, Status,
};

/// First pause after a failure; each further one is twice as long, up to `SLOWEST`. RFC 5626 §4.5 has 30 s for this.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// A carrier's outage ends without us; a wrong password does not end by trying.
const SLOWEST: Duration = Duration::from_secs(900);
/// However long the peer's Retry-After says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// Challenges answered in one attempt: the first, and those that say `stale`. A second plain one means that the secret is wrong.
const MAX_ANSWERS: u8 = 3;
/// However soon the peer lets it end.
const SHORTEST_REFRESH: Duration = Duration::from_secs(5);

pub struct Outward {
    peer: Peer,
    user: Option<String>,
    secret: Option<Secret>,
    refresh: Duration,
    /// The trunk's, in the place of a user that there is not.
    name: String,
    call_id: String,
    tag: String,
    contact: Option<NameAddr>,
    cseq: u32,
    /// Seconds to ask for.
    asks: u32,
    challenge: Option<Standing>,
    phase: Phase,
    up_until: Option<Mono>,
    failures: u32,
}

/// A challenge that is answered in advance until the peer makes a new one.
struct Standing {
    challenge: Challenge,
    header: HeaderName,
    nc: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Due { at: Mono },
    InFlight { answers: u8, lengthened: bool },
    Stopped,
}

/// What to do, or to tell.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// In a client transaction, to the trunk's address.
    Send(Request),
    Up,
    /// What the trunk believed of us has ended.
    Down,
    /// It said no (with the status), or nothing. While an earlier registration still holds, the trunk is up all the same.
    Failed {
        status: Option<Status>,
        retry_in: Duration,
    },
}

impl Outward {
    /// A trunk without user and secret is asked without: some know us by our address. The Call-ID is ours for as long as this lives.
    pub fn new(trunk: &Trunk, domain: &str, chance: &mut Chance) -> Outward {
        Outward {
            peer: trunk.peer.clone(),
            user: trunk.user.clone(),
            secret: trunk.secret.clone(),
            refresh: trunk.refresh,
            name: trunk.name.as_str().to_owned(),
            call_id: format!("{}@{domain}", chance.token()),
            tag: chance.token(),
            contact: None,
            cseq: 0,
            asks: seconds(trunk.refresh),
            challenge: None,
            phase: Phase::Due { at: Mono::ZERO },
            up_until: None,
            failures: 0,
        }
    }

    /// Whether this is still the same registration after a reload.
    pub fn is_for(&self, trunk: &Trunk) -> bool {
        self.peer == trunk.peer && self.user == trunk.user && self.secret == trunk.secret && self.refresh == trunk.refresh
    }

    /// Our Contact, as the trunk reaches us. Nothing is due before it is known.
    pub fn reach_at(&mut self, contact: NameAddr) {
        self.contact = Some(contact);
    }

    pub fn is_up(&self) -> bool {
        self.up_until.is_some()
    }

    pub fn deadline(&self) -> Option<Mono> {
        let due = match self.phase {
            Phase::Due { at } if self.contact.is_some() => Some(at),
            Phase::Due { .. } | Phase::InFlight { .. } | Phase::Stopped => None,
        };
        [due, self.up_until].into_iter().flatten().min()
    }

    /// Registers if that is due. Does nothing while a REGISTER is under way.
    pub fn due(&mut self, now: Mono, chance: &mut Chance) -> Vec<Step> {
        let mut steps: Vec<Step> = self.up_until.take_if(|until| *until <= now).map(|_| Step::Down).into_iter().collect();
        match self.phase {
            Phase::Due { at } if at <= now && self.contact.is_some() => {
                self.phase = Phase::InFlight { answers: 0, lengthened: false };
                steps.extend(self.register(self.asks, chance));
            }
            Phase::Due { .. } | Phase::InFlight { .. } | Phase::Stopped => {}
        }
        steps
    }

    /// The final response to what was sent.
    pub fn answered(&mut self, response: &Response, now: Mono, chance: &mut Chance) -> Vec<Step> {
        let Phase::InFlight { answers, lengthened } = self.phase else { return Vec::new() };
        let status = response.status;
        if status.is_provisional() {
            return Vec::new();
        }
        if status.is_success() {
            return self.registered(response, now);
        }
        if matches!(status, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED)
            && self.secret.is_some()
            && let Some((header, challenge)) = pick(response)
            && (answers == 0 || challenge.stale && answers < MAX_ANSWERS)
        {
            self.challenge = Some(Standing { challenge, header, nc: 0 });
            self.phase = Phase::InFlight { answers: answers + 1, lengthened };
            return self.register(self.asks, chance).into_iter().collect();
        }
        if status == Status::INTERVAL_TOO_BRIEF
            && !lengthened
            && let Ok(Some(least)) = response.headers.min_expires()
            && least > self.asks
        {
            self.asks = least;
            self.phase = Phase::InFlight { answers, lengthened: true };
            return self.register(self.asks, chance).into_iter().collect();
        }
        self.challenge = None;
        let retry_after = response.headers.retry_after().ok().flatten().map(|s| Duration::from_secs(s.into()));
        vec![self.fail(Some(status), retry_after, now)]
    }

    /// No answer came, or it could not be sent.
    pub fn unanswered(&mut self, now: Mono) -> Vec<Step> {
        match self.phase {
            Phase::InFlight { .. } => vec![self.fail(None, None, now)],
            Phase::Due { .. } | Phase::Stopped => Vec::new(),
        }
    }

    /// Takes the registration back (Expires: 0), once.
    pub fn leave(&mut self, _now: Mono, chance: &mut Chance) -> Vec<Step> {
        self.phase = Phase::Stopped;
        match self.up_until.take() {
            Some(_) => self.register(0, chance).into_iter().chain([Step::Down]).collect(),
            None => Vec::new(),
        }
    }

    fn registered(&mut self, response: &Response, now: Mono) -> Vec<Step> {
        let granted = self.granted(response).unwrap_or(self.asks);
        if granted == 0 {
            return vec![self.fail(Some(response.status), None, now)];
        }
        let lasts = Duration::from_secs(granted.into());
        // Time for the repeats of a lost request before it ends: a tenth of it, at least timer F where it is long enough for that.
        let early = (lasts / 10).max(Duration::from_secs(32)).min(lasts / 2);
        let was_down = self.up_until.replace(now + lasts).is_none();
        self.failures = 0;
        self.phase = Phase::Due { at: now + (lasts - early).max(SHORTEST_REFRESH) };
        if was_down { vec![Step::Up] } else { Vec::new() }
    }

    fn fail(&mut self, status: Option<Status>, retry_after: Option<Duration>, now: Mono) -> Step {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(SLOWEST);
        let retry_in = retry_after.map_or(pause, |wanted| wanted.clamp(FIRST_PAUSE, LONGEST_RETRY_AFTER));
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Due { at: now + retry_in };
        Step::Failed { status, retry_in }
    }

    fn register(&mut self, expires: u32, chance: &mut Chance) -> Option<Step> {
        let host = Host::new(&self.peer.host)?;
        let registrar = SipUri::of_host(HostPort { host: host.clone(), port: self.peer.port });
        let own = SipUri::new(self.user.as_deref().unwrap_or(&self.name), host, None);
        self.cseq = self.cseq.saturating_add(1);
        let mut request = Request::new(Method::Register, registrar);
        request.headers.push(HeaderName::From, NameAddr::new(own.clone()).with_tag(&self.tag));
        request.headers.push(HeaderName::To, NameAddr::new(own));
        request.headers.push(HeaderName::CallId, self.call_id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(self.cseq, Method::Register));
        request.headers.push(HeaderName::MaxForwards, 70);
        request.headers.push(HeaderName::Contact, self.contact.as_ref()?);
        request.headers.push(HeaderName::Expires, expires);
        if let (Some(standing), Some(user), Some(secret)) = (&mut self.challenge, &self.user, &self.secret) {
            standing.nc += 1;
            let uri = Bytes::from(request.uri.to_string());
            let login = Login { username: user, password: secret.expose() };
            let cnonce = chance.token();
            let credentials = standing.challenge.answer(&login, &Method::Register, &uri, standing.nc, cnonce.as_bytes());
            request.headers.push(standing.header.clone(), credentials);
        }
        Some(Step::Send(request))
    }

    /// What the peer granted to our contact: its `expires`, else the Expires header.
    fn granted(&self, response: &Response) -> Option<u32> {
        let ours = &self.contact.as_ref()?.uri;
        let listed = match response.headers.contacts() {
            Ok(Contacts::List(list)) => list.iter().find(|c| c.uri.equivalent(ours)).and_then(|c| c.params.number("expires")),
            Ok(Contacts::Star) | Err(_) => None,
        };
        listed.or_else(|| response.headers.expires().ok().flatten())
    }
}

fn seconds(lasts: Duration) -> u32 {
    u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX)
}

/// The first challenge that we can answer (RFC 8760 §2.4: the server lists them by preference), and the header that the answer goes in.
fn pick(response: &Response) -> Option<(HeaderName, Challenge)> {
    let (asked, answer) = match response.status {
        Status::UNAUTHORIZED => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
        Status::PROXY_AUTHENTICATION_REQUIRED => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        _ => return None,
    };
    response.headers.challenges(&asked).into_iter().next().map(|challenge| (answer, challenge))
}

/// Puts the credentials that a 401 or 407 asks for into a request that is to be sent again (its CSeq already counted up). False if there
/// is nothing in it that we can answer.
pub fn answer_challenge(request: &mut Request, response: &Response, user: &str, secret: &Secret, cnonce: &str) -> bool {
    let Some((header, challenge)) = pick(response) else { return false };
    let uri = Bytes::from(request.uri.to_string());
    let login = Login { username: user, password: secret.expose() };
    let credentials = challenge.answer(&login, &request.method, &uri, 1, cnonce.as_bytes());
    request.headers.set(header, credentials);
    true
}
