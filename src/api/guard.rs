//! Who comes in: a bearer token, or a browser's session from a page of ours; `rights` then says whether to what is asked for.
//!
//! A cookie is sent by the browser whoever made the page, so a request with a cookie that changes something, or opens a WebSocket, must
//! show that it comes from a page of this very host (`Sec-Fetch-Site`, else `Origin`), or carry a header that no foreign form can set.
//! A bearer token is never sent by itself and needs no such proof.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio::time::interval;

use super::Shared;
use super::problem::Problem;
use super::rights::{self, Rights};
use super::session::fingerprint;

/// Set by our own page and by programs that use a session; its value does not matter.
const OURS: HeaderName = HeaderName::from_static("x-cordboard");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) const COOKIE: &str = "cordboard_session";

/// Longest path and query. The longest real one, a search with all filters, has some 300 characters.
const LONGEST_URL: usize = 4_096;

/// Largest request body; the largest real one is a transfer's few dozen bytes.
const LARGEST_BODY: usize = 16 * 1024;

/// For all of a body to come.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// What is answered for as long as somebody listens.
const STREAMS: [&str; 3] = ["/api/v1/events", "/api/v1/events/ws", "/api/v1/wallboard/stream"];

/// How often it is looked whether who listens still has a token or session; after a reload at once.
const STANDING: Duration = Duration::from_secs(30);

/// Who asks: a user's name, or `admin` for the token of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who(pub String);

/// The peer's address, or none in a test without one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(peer(parts.extensions.get::<ConnectInfo<SocketAddr>>()))
    }
}

fn peer(info: Option<&ConnectInfo<SocketAddr>>) -> Peer {
    Peer(info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip()))
}

/// Lets in, or answers 401, 403, 429.
pub(super) async fn admit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let Peer(address) = peer(parts.extensions.get());
    let (who, rights) = match who(&shared, &parts, address) {
        Ok(known) => known,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = rights::check(&shared, &rights, &mut parts).await {
        return problem.into_response();
    }
    if STREAMS.contains(&parts.uri.path()) {
        parts.extensions.insert(let_go(&shared, &parts.headers, &who, &rights));
    }
    parts.extensions.insert(who);
    parts.extensions.insert(rights);
    next.run(Request::from_parts(parts, body)).await
}

fn who(shared: &Shared, request: &Parts, address: IpAddr) -> Result<(Who, Rights), Problem> {
    let headers = &request.headers;
    let known = known(shared, headers);
    if headers.contains_key(header::AUTHORIZATION) {
        // A token can't be guessed, so a right one is let in whatever others behind the same proxy have tried.
        if let Some(known) = known {
            return Ok(known);
        }
        let now = shared.parts.clock.mono();
        shared.throttle.check(address, None, now).map_err(slow_down)?;
        shared.throttle.failed(address, None, now);
        return Err(Problem::new(401, "the token is not known"));
    }
    cookie(headers).ok_or_else(|| Problem::new(401, "log in, or send a bearer token"))?;
    let known = known.ok_or_else(|| Problem::new(401, "the session has ended"))?;
    let safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) && !headers.contains_key(header::UPGRADE);
    if safe || is_ours(headers) {
        Ok(known)
    } else {
        Err(Problem::new(403, "a request with a session must come from this switch's own page, or carry the header X-Cordboard"))
    }
}

/// Whose token or session these headers have, with the rights of this moment.
fn known(shared: &Shared, headers: &HeaderMap) -> Option<(Who, Rights)> {
    if let Some(given) = headers.get(header::AUTHORIZATION) {
        return bearer(given).and_then(|token| token_of(shared, token));
    }
    let config = shared.parts.config.borrow().clone();
    let password_of = |name: &str| config.users.iter().find(|u| u.name == name).map(|u| fingerprint(u.password.expose()));
    let user = shared.sessions.user(cookie(headers)?, password_of, shared.parts.clock.mono())?;
    let rights = Rights::of(&user, config.clone())?;
    Some((Who(user), rights))
}

/// Becomes true when whoever listens to a stream is to be let go of: what let them in is no longer known, or what they see has changed.
/// They come again, and are asked anew.
fn let_go(shared: &Arc<Shared>, headers: &HeaderMap, who: &Who, rights: &Rights) -> watch::Receiver<bool> {
    let (tell, told) = watch::channel(false);
    let (shared, headers, who, rights) = (shared.clone(), headers.clone(), who.clone(), rights.clone());
    let mut config = shared.parts.config.clone();
    #[allow(clippy::disallowed_methods, reason = "a task a stream, which ends with it")]
    tokio::spawn(async move {
        let mut beats = interval(STANDING);
        loop {
            let stays = known(&shared, &headers).is_some_and(|(now, has)| now == who && has.sees_what(&rights));
            if !stays {
                let _ = tell.send(true);
                return;
            }
            tokio::select! {
                () = tell.closed() => return,
                _ = beats.tick() => {}
                changed = config.changed() => if changed.is_err() { return },
            }
        }
    });
    told
}

pub(super) fn slow_down(left: Duration) -> Problem {
    Problem::too_many("too many wrong passwords or tokens came from there", left.as_secs().max(1))
}

/// Whether the request comes from a page of this host.
pub(super) fn is_ours(headers: &HeaderMap) -> bool {
    if headers.contains_key(&OURS) {
        // Setting it across origins needs a preflight, which is never answered with leave.
        return true;
    }
    match headers.get(&FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => true,
        Some(_) => false,
        None => {
            let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
            let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()).and_then(|o| o.split_once("://"));
            host.is_some_and(|host| origin.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)))
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Every known token is compared, each in constant time.
fn token_of(shared: &Shared, token: &str) -> Option<(Who, Rights)> {
    let given = fingerprint(token);
    let is = |secret: &crate::config::Secret| {
        // An empty secret opens nothing.
        !secret.expose().is_empty() && bool::from(fingerprint(secret.expose()).ct_eq(&given))
    };
    let config = shared.parts.config.borrow().clone();
    let of_environment = shared.parts.admin_token.as_ref().filter(|t| is(t));
    let mut found = of_environment.map(|_| (Who("admin".to_owned()), Rights::of_admin(config.clone())));
    for user in &config.users {
        if user.token.as_ref().is_some_and(is) && found.is_none() {
            found = Rights::of(&user.name, config.clone()).map(|rights| (Who(user.name.clone()), rights));
        }
    }
    found
}

pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|h| h.to_str().ok()).flat_map(|h| h.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// What holds for every address: the length of what is asked, and headers on what is answered.
pub(super) async fn limit_and_label(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|p| p.as_str().len() > LONGEST_URL) {
        return Problem::new(414, "the address is too long").into_response();
    }
    let mut response = match whole(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // JSON and audio are no pages; the console's page says what it needs itself.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"));
    response
}

/// A request with all of its body, which is small and comes in one go; nobody waits for one that trickles in.
async fn whole(request: Request) -> Result<Request, Problem> {
    // A greeting is longer than all else, and so is a list of contacts: read by who has let its sender in.
    let is_a_greeting = *request.method() == Method::PUT && request.uri().path().ends_with("/greeting");
    let is_a_list = request.uri().path() == "/api/v1/contacts/import";
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_a_greeting || is_a_list {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(LONGEST_BODY, axum::body::to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, bytes.into())),
        Ok(Err(_)) => Err(Problem::new(413, "the body is too large, or broke off")),
        Err(_) => Err(Problem::new(408, "the body took too long")),
    }
}

/// The one who was let in.
pub(super) type Me = Extension<Who>;
