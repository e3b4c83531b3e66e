//! Who a request is from: digest authentication (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! | the peer sends | gets |
//! |---|---|
//! | no credentials for our realm, or with an algorithm that we did not offer | 401 with a challenge for each algorithm, in the order of the configuration |
//! | a nonce that is old or strange, or a count that was used | 401, `stale=true`: the phone answers anew by itself |
//! | a wrong digest, an unknown user, a digest for another URI | 401: the same bytes and the same work for each |
//! | too many wrong digests in a minute | 503 with Retry-After, whether this one is right or not |
//! | credentials that can't be read, or a message whose From or To can't | 400 |
//! | the digest of one user with From (or To of a REGISTER) of another | 403 |

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::clock::Mono;
use crate::config::{Config, DigestAlgorithm, Secret};
use crate::ids::Number;
use crate::sip::{Algorithm, Challenge, Credentials, HeaderName, Host, Method, NameAddr, Request, Response, Status, Uri, ha1};

use super::From;
use super::nonce::{Freshness, Nonces};
use super::throttle::{Alarm, Source, Throttle};

/// What came of asking who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Proven(Number),
    /// Not yet: send this challenge.
    Answer(Response),
    /// Not, and it was tried: send this.
    Refused(Response),
}

pub(super) struct Guard {
    realm: String,
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    throttle: Throttle,
    alarms: Vec<Alarm>,
    /// A digest was, since it was asked last.
    was_right: bool,
    /// Stands in for the secret of a user that there is not: as long as most secrets are, so that it takes as long to hash.
    nobody: Secret,
}

impl Guard {
    pub fn new(config: &Config, chance: &mut Chance) -> Guard {
        let nobody = Secret::new(chance.token());
        let mut guard = Guard {
            realm: String::new(),
            algorithms: Vec::new(),
            nonces: Nonces::new(chance),
            throttle: Throttle::default(),
            alarms: Vec::new(),
            was_right: false,
            nobody,
        };
        guard.configure(config);
        guard
    }

    pub fn configure(&mut self, config: &Config) {
        self.realm.clone_from(&config.site.domain);
        self.algorithms = config.sip.digest.iter().map(algorithm).collect();
        let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
        for phone in config.phones.values() {
            *lengths.entry(phone.secret.expose().len()).or_default() += 1;
        }
        let most = lengths.into_iter().max_by_key(|(_, phones)| *phones).map_or(0, |(length, _)| length);
        let chance = self.nobody.expose().bytes().cycle().map(char::from);
        self.nobody = Secret::new(chance.take(most).collect::<String>());
    }

    pub fn alarms(&mut self) -> Vec<Alarm> {
        std::mem::take(&mut self.alarms)
    }

    pub fn digest_was_right(&mut self) -> bool {
        std::mem::take(&mut self.was_right)
    }

    pub fn expire(&mut self, now: Mono) {
        self.nonces.expire(now);
    }

    #[allow(clippy::too_many_arguments, reason = "the core hands in what it owns")]
    pub fn authenticate<'a>(
        &mut self,
        request: &Request,
        users: &dyn Fn(&str) -> Option<&'a Secret>,
        holds: &dyn Fn(&str) -> bool,
        from: &From,
        tag: &str,
        chance: &mut Chance,
        now: Mono,
    ) -> Verdict {
        let refuse = |status: Status| Verdict::Refused(request.response_with_tag(status, tag));
        let Ok(credentials) = request.headers.authorizations() else { return refuse(Status::BAD_REQUEST) };
        let ours = |c: &&Credentials| c.realm == self.realm.as_bytes() && self.algorithms.contains(&c.algorithm);
        let Some(credentials) = credentials.iter().find(ours) else {
            return self.challenge(request, tag, false, chance, now);
        };

        let user = credentials.user(&self.realm);
        let source = Source::of(from, holds(&user));
        if let Some(wait) = self.throttle.wait(source, &credentials.username, now) {
            let mut response = request.response_with_tag(Status::SERVICE_UNAVAILABLE, tag);
            response.headers.push(HeaderName::RetryAfter, u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX));
            return Verdict::Refused(response);
        }
        let secret = users(&user);
        let password = secret.unwrap_or(&self.nobody).expose();
        let hash = ha1(credentials.algorithm, &credentials.username, self.realm.as_bytes(), password.as_bytes());
        // Not `&&`: each of them takes its time whatever the others say.
        let right = credentials.verify(&hash, &request.method) & secret.is_some() & is_for(credentials, request);
        self.was_right |= right;
        // Who has not heard a challenge of ours may stand under another's address: neither counted nor told whether it was right, so that
        // nobody is locked out by a stranger and no password is tried for nothing.
        match self.nonces.check(&credentials.nonce, now) {
            Freshness::Fresh => {}
            Freshness::Old | Freshness::Strange => return self.challenge(request, tag, true, chance, now),
        }
        if !right {
            let alarm = self.throttle.failed(source, &credentials.username, now);
            // Names that nobody has are tried by every scanner.
            self.alarms.extend(alarm.filter(|_| secret.is_some()));
            return match self.challenge(request, tag, false, chance, now) {
                Verdict::Answer(response) | Verdict::Refused(response) => Verdict::Refused(response),
                proven @ Verdict::Proven(_) => proven,
            };
        }
        if !self.nonces.spend(&credentials.nonce, credentials.qop.as_ref().map(|q| q.nc)) {
            return self.challenge(request, tag, true, chance, now);
        }

        self.throttle.proven(source, &credentials.username);
        let number = Number::new(user);
        let headers = &request.headers;
        let (Ok(from), Ok(to)) = (headers.from(), headers.to()) else { return refuse(Status::BAD_REQUEST) };
        let own = match request.method {
            Method::Register => is_of(&from, &number) && is_of(&to, &number),
            _ => is_of(&from, &number) || is_anonymous(&from),
        };
        if own { Verdict::Proven(number) } else { refuse(Status::FORBIDDEN) }
    }

    fn challenge(&self, request: &Request, tag: &str, stale: bool, chance: &mut Chance, now: Mono) -> Verdict {
        let mut response = request.response_with_tag(Status::UNAUTHORIZED, tag);
        let nonce = self.nonces.issue(chance, now);
        for &algorithm in &self.algorithms {
            let realm = self.realm.clone().into();
            let challenge = Challenge { realm, nonce: nonce.clone(), algorithm, qop_auth: true, stale, opaque: None };
            response.headers.push(HeaderName::WwwAuthenticate, challenge);
        }
        Verdict::Answer(response)
    }
}

fn algorithm(configured: &DigestAlgorithm) -> Algorithm {
    match configured {
        DigestAlgorithm::Md5 => Algorithm::Md5,
        DigestAlgorithm::Sha256 => Algorithm::Sha256,
    }
}

/// Whether the digest's URI is that of the request. Ports and parameters may differ: phones leave out of the one what they put in the
/// other (RFC 7616 §3.4.6 lets the server judge). User and host may not.
fn is_for(credentials: &Credentials, request: &Request) -> bool {
    match (Uri::parse(credentials.uri.clone()), &request.uri) {
        (Ok(Uri::Sip(a)), Uri::Sip(b)) => {
            a.user_unescaped() == b.user_unescaped() && a.host_port().host.equivalent(&b.host_port().host)
        }
        (Ok(a), b) => a.equivalent(b),
        (Err(_), _) => false,
    }
}

/// Whether an address is of this number, in whatever domain the phone believes us to be.
fn is_of(address: &NameAddr, number: &Number) -> bool {
    match &address.uri {
        Uri::Sip(uri) => uri.user_unescaped().is_some_and(|user| *user == *number.as_str().as_bytes()),
        Uri::Tel(uri) => uri.number() == number.as_str(),
        Uri::Other(_) => false,
    }
}

/// RFC 3323 §4.1.1.3: the phone hides its number from the callee. We know who it is by the digest.
fn is_anonymous(address: &NameAddr) -> bool {
    match &address.uri {
        Uri::Sip(uri) => {
            uri.user().is_some_and(|user| user.eq_ignore_ascii_case("anonymous"))
                && Host::new("anonymous.invalid").is_some_and(|host| uri.host_port().host.equivalent(&host))
        }
        Uri::Tel(_) | Uri::Other(_) => false,
    }
}
