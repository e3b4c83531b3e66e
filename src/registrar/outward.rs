//! Our own registration at a trunk (RFC 3261 §10.2), and the answer to a challenge of one (§22.2).
//!
//! ```text
//! Due ──tick──▶ InFlight ──2xx──▶ Due (before it ends)
//!                  ├─401/407 with something new, 423─▶ InFlight (at once, with what was asked for)
//!                  └─anything else, nothing─▶ Due (later and later)
//! Due ──hurry──▶ Due (soon)
//! any ──stop──▶ Leaving (where there is something to take back) ──2xx, no answer, a second challenge──▶ Stopped
//! ```
//!
//! It is hurried when what the registration stands on has changed: its connection is gone, we are to be reached elsewhere, the trunk has
//! come back. The first time within seconds, by chance (RFC 5626 §4.5); each further one within a quarter of an hour later and later, so
//! that a connection that flaps is no flood for the carrier.
//!
//! Chance (`luck`) is any number, drawn anew each time.
//!
//! Beside it stands until when the trunk believes us: `Up` and `Down` are told when that begins and ends, not for each refresh. The core
//! resolves the peer's name, sends what comes out in a transaction, and hands back its end.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::Mono;
use crate::config::{Secret, Trunk};
use crate::sip::{
    CSeq, Challenge, ConnectionId, Contacts, HeaderName, Host, Login, Method, NameAddr, Request, Response, SipUri, Status, Uri,
};

/// Bound of the first pause after a failure; of each further one it is twice as long, up to `SLOWEST`. The pause is drawn from its upper
/// half (RFC 5626 §4.5), so that not all customers of a carrier come back in the same second.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// A carrier's outage ends without us; a wrong password does not end by trying.
const SLOWEST: Duration = Duration::from_secs(900);
/// Bound of the delay of a registration that is hurried.
const SOON: Duration = Duration::from_secs(2);
/// Without a hurry for so long, the next one is the first again.
const CALM: Duration = SLOWEST;
/// Until a look-up that is under way may have ended.
const NO_ADDRESS_PAUSE: Duration = Duration::from_secs(1);
/// However long the peer's Retry-After says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// Challenges answered in one attempt: the first, and those that say `stale`. A second plain one means that the secret is wrong.
const MAX_ANSWERS: u8 = 3;
/// However soon the peer lets it end.
const SHORTEST_REFRESH: Duration = Duration::from_secs(5);

pub struct Outward {
    host: String,
    port: Option<u16>,
    user: String,
    secret: Secret,
    call_id: String,
    tag: String,
    cseq: u32,
    /// Seconds to ask for.
    asks: u32,
    challenge: Option<Standing>,
    phase: Phase,
    up_until: Option<Mono>,
    failures: u32,
    /// The last failure was a word of the peer's, which no hurry overrides.
    refused: bool,
    /// Contact of the last REGISTER.
    asked: Option<SipUri>,
    /// The contact that the trunk has.
    held: Option<SipUri>,
    /// By which connection the last answer came.
    connection: Option<ConnectionId>,
    /// In a row, and when the last one was to be sent.
    hurries: u32,
    hurried: Mono,
}

/// A challenge that is answered in advance until the peer makes a new one.
struct Standing {
    challenge: Challenge,
    header: HeaderName,
    nc: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Due {
        at: Mono,
    },
    InFlight {
        answers: u8,
        lengthened: bool,
    },
    /// Nothing more is registered. `awaits`: the answer to a registration is still out, and nothing may be sent before it (RFC 3261
    /// §10.2); else that to the one which takes it back.
    Leaving {
        answers: u8,
        awaits: bool,
    },
    Stopped,
}

/// What to do and to tell.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    pub send: Option<Request>,
    pub news: Option<News>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Up,
    /// What the trunk believed of us has ended.
    Down,
    /// It said no (with the status), or nothing. While an earlier registration still holds, the trunk is up all the same.
    Failed(Option<Status>),
}

impl Outward {
    /// `None` for a trunk that has no user and secret. `call_id` and `tag` are chance.
    pub fn new(trunk: &Trunk, call_id: String, tag: String, now: Mono) -> Option<Outward> {
        Some(Outward {
            host: trunk.peer.host.clone(),
            port: trunk.peer.port,
            user: trunk.user.clone()?,
            secret: trunk.secret.clone()?,
            call_id,
            tag,
            cseq: 0,
            asks: u32::try_from(trunk.refresh.as_secs()).unwrap_or(u32::MAX),
            challenge: None,
            phase: Phase::Due { at: now },
            up_until: None,
            failures: 0,
            refused: false,
            asked: None,
            held: None,
            connection: None,
            hurries: 0,
            hurried: now,
        })
    }

    pub fn is_up(&self) -> bool {
        self.up_until.is_some()
    }

    /// When it registers next.
    pub fn due(&self) -> Option<Mono> {
        match self.phase {
            Phase::Due { at } => Some(at),
            Phase::InFlight { .. } | Phase::Leaving { .. } | Phase::Stopped => None,
        }
    }

    pub fn deadline(&self) -> Option<Mono> {
        [self.due(), self.up_until].into_iter().flatten().min()
    }

    /// Registers when it is time to. `contact` is where the trunk is to send calls, as it sees us now.
    pub fn tick(&mut self, contact: &SipUri, cnonce: &str, now: Mono) -> Step {
        let mut step = Step { news: self.lapse(now), send: None };
        match self.phase {
            Phase::Due { at } if at <= now => {
                self.phase = Phase::InFlight { answers: 0, lengthened: false };
                step.send = self.register(contact, self.asks, cnonce);
            }
            Phase::Due { .. } | Phase::InFlight { .. } | Phase::Leaving { .. } | Phase::Stopped => {}
        }
        step
    }

    /// Registers soon instead of when it is due.
    pub fn hurry(&mut self, luck: u64, now: Mono) {
        let Phase::Due { at } = self.phase else { return };
        if self.refused {
            return;
        }
        if now.since(self.hurried) >= CALM {
            self.hurries = 0;
        }
        let mut soon = now + part_of(SOON, luck);
        if let Some(times) = self.hurries.checked_sub(1) {
            let bound = FIRST_PAUSE.saturating_mul(1 << times.min(10)).min(SLOWEST);
            soon = soon.max(self.hurried + bound / 2 + part_of(bound / 2, luck));
        }
        if soon < at {
            self.phase = Phase::Due { at: soon };
            self.hurries = self.hurries.saturating_add(1);
            self.hurried = soon;
        }
    }

    /// The trunk is to reach us there from now on.
    pub fn is_at(&mut self, contact: &SipUri, luck: u64, now: Mono) {
        let elsewhere = |known: &SipUri| !known.host.equivalent(&contact.host) || known.port != contact.port;
        if self.asked.as_ref().is_some_and(elsewhere) {
            self.hurry(luck, now);
        }
    }

    /// An answer came by this connection; none over UDP.
    pub fn came_by(&mut self, connection: Option<ConnectionId>) {
        self.connection = connection;
    }

    /// The connection is gone. Whether that was the one that it was registered by.
    pub fn lost(&mut self, connection: ConnectionId, luck: u64, now: Mono) -> bool {
        let was_ours = self.connection.take_if(|known| *known == connection).is_some();
        if was_ours {
            self.hurry(luck, now);
        }
        was_ours
    }

    /// The final response to what was sent.
    pub fn answered(&mut self, response: &Response, contact: &SipUri, cnonce: &str, luck: u64, now: Mono) -> Step {
        let (answers, lengthened) = match self.phase {
            Phase::InFlight { answers, lengthened } => (answers, lengthened),
            Phase::Leaving { answers, awaits } => return self.answered_at_the_end(answers, awaits, response, cnonce),
            Phase::Due { .. } | Phase::Stopped => return Step::default(),
        };
        let status = response.status;
        if status.is_success() {
            return self.registered(response, contact, luck, now);
        }
        if matches!(status, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED)
            && let Some((header, challenge)) = pick(response)
            && (answers == 0 || challenge.stale && answers < MAX_ANSWERS)
        {
            self.challenge = Some(Standing { challenge, header, nc: 0 });
            self.phase = Phase::InFlight { answers: answers + 1, lengthened };
            return Step { send: self.register(contact, self.asks, cnonce), news: None };
        }
        if status == Status::INTERVAL_TOO_BRIEF
            && !lengthened
            && let Ok(Some(least)) = response.headers.min_expires()
            && least > self.asks
        {
            self.asks = least;
            self.phase = Phase::InFlight { answers, lengthened: true };
            return Step { send: self.register(contact, self.asks, cnonce), news: None };
        }
        self.challenge = None;
        let retry_after = response.headers.retry_after().ok().flatten().map(|s| Duration::from_secs(s.into()));
        self.fail(Some(status), retry_after, luck, now)
    }

    /// No final response came: a timeout, or no way there. One that is due but can't be made, because the peer's address is not known
    /// yet, is put off a little and is no failure.
    pub fn unanswered(&mut self, luck: u64, now: Mono) -> Step {
        match self.phase {
            Phase::InFlight { .. } => self.fail(None, None, luck, now),
            Phase::Due { at } => {
                self.phase = Phase::Due { at: at.max(now + NO_ADDRESS_PAUSE) };
                Step { send: None, news: self.lapse(now) }
            }
            Phase::Leaving { .. } => {
                self.phase = Phase::Stopped;
                Step::default()
            }
            Phase::Stopped => Step::default(),
        }
    }

    /// Takes the registration back, if there is one; and one that is being made, when it is.
    pub fn stop(&mut self, cnonce: &str) -> Step {
        match self.phase {
            Phase::Leaving { .. } | Phase::Stopped => return Step::default(),
            Phase::Due { .. } | Phase::InFlight { .. } => {}
        }
        let news = self.up_until.take().map(|_| News::Down);
        if matches!(self.phase, Phase::InFlight { .. }) {
            self.phase = Phase::Leaving { answers: 0, awaits: true };
            return Step { send: None, news };
        }
        Step { send: self.leave(0, cnonce), news }
    }

    /// The final response to what was sent since [`Outward::stop`].
    pub fn taken_back(&mut self, response: &Response, cnonce: &str) -> Step {
        match self.phase {
            Phase::Leaving { answers, awaits } => self.answered_at_the_end(answers, awaits, response, cnonce),
            Phase::Due { .. } | Phase::InFlight { .. } | Phase::Stopped => Step::default(),
        }
    }

    /// It has said its last word, and heard the answer.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// It goes on for one of the same account, whose configuration has changed: what that has registered is its to take back.
    pub fn inherit(&mut self, other: Outward) {
        self.held = other.held;
    }

    /// Nothing more is to be sent of its own accord.
    pub fn rest(&mut self) {
        if matches!(self.phase, Phase::Due { .. }) {
            self.phase = Phase::Stopped;
        }
    }

    /// Takes back what the trunk has, in answer to that many challenges.
    fn leave(&mut self, answers: u8, cnonce: &str) -> Option<Request> {
        let Some(held) = self.held.clone() else {
            self.phase = Phase::Stopped;
            return None;
        };
        self.phase = Phase::Leaving { answers, awaits: false };
        self.register(&held, 0, cnonce)
    }

    fn answered_at_the_end(&mut self, answers: u8, awaits: bool, response: &Response, cnonce: &str) -> Step {
        let send = match pick(response) {
            // By now the nonce of the last registration is old: some carriers take each one once.
            Some((header, challenge)) if answers == 0 || challenge.stale && answers < MAX_ANSWERS => {
                self.challenge = Some(Standing { challenge, header, nc: 0 });
                self.leave(answers + 1, cnonce)
            }
            _ if awaits => {
                if response.status.is_success() {
                    self.held.clone_from(&self.asked);
                }
                self.leave(answers, cnonce)
            }
            _ => {
                self.phase = Phase::Stopped;
                None
            }
        };
        Step { send, news: None }
    }

    fn registered(&mut self, response: &Response, contact: &SipUri, luck: u64, now: Mono) -> Step {
        // RFC 3261 §10.3: the registrar may make it shorter, and no longer.
        let granted = granted(response, contact).unwrap_or(self.asks).min(self.asks);
        if granted == 0 {
            return self.fail(Some(response.status), None, luck, now);
        }
        let lasts = Duration::from_secs(granted.into());
        // Time for the repeats of a lost request before it ends: a tenth of it, at least timer F where it is long enough for that.
        let early = (lasts / 10).max(Duration::from_secs(32)).min(lasts / 2);
        // Not over before the refresh has had its chance, however soon the peer lets it end.
        let was_down = self.up_until.replace(now + lasts.max(SHORTEST_REFRESH * 2)).is_none();
        self.failures = 0;
        self.refused = false;
        self.held.clone_from(&self.asked);
        self.phase = Phase::Due { at: now + (lasts - early).max(SHORTEST_REFRESH) };
        // It may have moved meanwhile.
        self.is_at(contact, luck, now);
        Step { send: None, news: was_down.then_some(News::Up) }
    }

    fn fail(&mut self, status: Option<Status>, retry_after: Option<Duration>, luck: u64, now: Mono) -> Step {
        let bound = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(SLOWEST);
        let pause = match retry_after {
            // Not sooner than it says (RFC 3261 §20.33), and not all at that moment.
            Some(wanted) => {
                let wanted = wanted.clamp(FIRST_PAUSE / 2, LONGEST_RETRY_AFTER);
                wanted + part_of(wanted / 10, luck)
            }
            None => {
                let pause = bound / 2 + part_of(bound / 2, luck);
                // Nobody has said no: there is another server, or the same one again, before the trunk forgets us.
                match (status, self.up_until) {
                    (None, Some(until)) => pause.min((until.since(now) / 2).max(SHORTEST_REFRESH)),
                    (_, _) => pause,
                }
            }
        };
        self.failures = self.failures.saturating_add(1);
        let is_silence = |status: Status| status == Status::REQUEST_TIMEOUT || status.code() >= 500;
        self.refused = retry_after.is_some() || status.is_some_and(|status| !is_silence(status));
        self.phase = Phase::Due { at: now + pause };
        Step { send: None, news: Some(News::Failed(status)) }
    }

    fn lapse(&mut self, now: Mono) -> Option<News> {
        self.up_until.take_if(|until| *until <= now).map(|_| {
            self.held = None;
            News::Down
        })
    }

    fn register(&mut self, contact: &SipUri, expires: u32, cnonce: &str) -> Option<Request> {
        let host = Host::new(&self.host)?;
        let registrar = SipUri::of_host(crate::sip::HostPort { host: host.clone(), port: self.port });
        let own = SipUri::new(&self.user, host, None);
        self.cseq = self.cseq.saturating_add(1);
        let mut request = Request::new(Method::Register, registrar);
        request.headers.push(HeaderName::From, NameAddr::new(own.clone()).with_tag(&self.tag));
        request.headers.push(HeaderName::To, NameAddr::new(own));
        request.headers.push(HeaderName::CallId, self.call_id.as_str());
        request.headers.push(HeaderName::CSeq, CSeq::new(self.cseq, Method::Register));
        request.headers.push(HeaderName::MaxForwards, 70);
        request.headers.push(HeaderName::Contact, NameAddr::new(contact.clone()));
        // Where we are no more, calls must not ring. Behind the new one: some registrars read no more than the first.
        if let Some(old) = self.held.clone().filter(|old| expires > 0 && !old.equivalent(contact)) {
            request.headers.push(HeaderName::Contact, NameAddr::new(old).with_param("expires", "0"));
        }
        request.headers.push(HeaderName::Expires, expires);
        self.asked = Some(contact.clone());
        if let Some(standing) = &mut self.challenge {
            standing.nc += 1;
            let uri = Bytes::from(request.uri.to_string());
            let login = Login { username: &self.user, password: self.secret.expose() };
            let credentials = standing.challenge.answer(&login, &Method::Register, &uri, standing.nc, cnonce.as_bytes());
            request.headers.push(standing.header.clone(), credentials);
        }
        Some(request)
    }
}

/// A length of time up to `whole`, by chance.
fn part_of(whole: Duration, luck: u64) -> Duration {
    let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(luck % ms.saturating_add(1))
}

/// What the peer granted to our contact (RFC 3261 §10.2.4): its `expires`, else the Expires header. Many a registrar lists the contact as it
/// sees us, with the address of a NAT between, without a port or with a parameter more; so ours is the one that is nearest to it.
fn granted(response: &Response, contact: &SipUri) -> Option<u32> {
    let listed = match response.headers.contacts() {
        Ok(Contacts::List(list)) => list,
        Ok(Contacts::Star) | Err(_) => Vec::new(),
    };
    let near = listed.iter().map(|c| (nearness(&c.uri, contact), c.params.number("expires")));
    let nearest = near.clone().map(|(nearness, _)| nearness).max();
    let ours = near.filter(|(nearness, _)| Some(*nearness) == nearest).map(|(_, expires)| expires);
    // Where several are as near, the one that ends first; but for what is only told to be gone.
    let (left, gone): (Vec<_>, Vec<_>) = ours.partition(|expires| *expires != Some(0));
    let granted = if left.is_empty() { gone } else { left }.into_iter().flatten().min();
    granted.or_else(|| response.headers.expires().ok().flatten())
}

/// How likely a listed contact is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Other,
    SameUser,
    /// The user at the same place; parameters apart.
    SamePlace,
    Equivalent,
}

fn nearness(listed: &Uri, contact: &SipUri) -> Nearness {
    let Uri::Sip(listed) = listed else { return Nearness::Other };
    let port = |uri: &SipUri| uri.port.unwrap_or(if uri.secure { 5061 } else { 5060 });
    if listed.equivalent(contact) {
        Nearness::Equivalent
    } else if listed.user_unescaped() != contact.user_unescaped() {
        Nearness::Other
    } else if listed.host.equivalent(&contact.host) && port(listed) == port(contact) {
        Nearness::SamePlace
    } else {
        Nearness::SameUser
    }
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
