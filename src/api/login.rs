//! Log-in with a user's password, and the session cookie that comes of it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Shared;
use super::guard::{COOKIE, Me, Peer, cookie, is_ours, slow_down};
use super::problem::Problem;
use super::rights::{May, Rights};
use super::session::{LASTS, fingerprint};
use crate::config::Role;
use crate::sip::Flow;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Identity {
    user: String,
    role: Role,
    /// Of a supervisor.
    teams: Vec<String>,
    /// Staff number of who the user is among the agents.
    agent: Option<String>,
}

impl Identity {
    fn new(user: &str, rights: &Rights) -> Identity {
        let teams = rights.teams.iter().map(ToString::to_string).collect();
        Identity { user: user.to_owned(), role: rights.role, teams, agent: rights.agent.as_ref().map(ToString::to_string) }
    }
}

/// Opens a session. Which of the two was wrong is not said, and a user who does not exist takes as long as one who does.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", request_body = Credentials, security(()), responses(
    (status = 200, body = Identity, description = "The session is in the cookie `cordboard_session`."),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "Too many failures; see Retry-After."),
))]
pub(super) async fn login(
    State(shared): State<Arc<Shared>>,
    Peer(address): Peer,
    flow: Option<Extension<Flow>>,
    headers: HeaderMap,
    Json(given): Json<Credentials>,
) -> Result<Response, Problem> {
    // A foreign page must not log a browser in either.
    if headers.contains_key(header::ORIGIN) && !is_ours(&headers) {
        return Err(Problem::new(403, "log in from this switch's own page"));
    }
    let now = shared.parts.clock.mono();
    shared.throttle.check(address, Some(&given.user), now).map_err(slow_down)?;
    let config = shared.parts.config.borrow().clone();
    let user = config.users.iter().find(|u| u.name == given.user);
    let wanted = fingerprint(user.map_or("", |u| u.password.expose()));
    let same = bool::from(wanted.ct_eq(&fingerprint(&given.password)));
    let Some(user) = user.filter(|u| same && !u.password.expose().is_empty()) else {
        shared.throttle.failed(address, Some(&given.user), now);
        tracing::warn!(%address, "a log-in failed");
        return Err(Problem::new(401, "the user or the password is wrong"));
    };
    let token = shared.sessions.begin(&user.name, wanted, now).map_err(|e| Problem::unavailable(e.to_string()))?;
    let cookie = set_cookie(&token, LASTS.as_secs(), is_https(&headers, flow.as_deref()))?;
    let rights = Rights::of(&user.name, config.clone()).ok_or_else(|| Problem::new(401, "the user is gone"))?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Identity::new(&user.name, &rights))).into_response())
}

/// Ends the session that the request came with.
#[utoipa::path(post, path = "/api/v1/logout", tag = "access", responses((status = 204, description = "Logged out.")))]
pub(super) async fn logout(
    State(shared): State<Arc<Shared>>,
    flow: Option<Extension<Flow>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = cookie(&headers) {
        shared.sessions.end(token);
    }
    let cookie = set_cookie("", 0, is_https(&headers, flow.as_deref()))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Who is logged in, and by which rights.
#[utoipa::path(get, path = "/api/v1/me", tag = "access", responses((status = 200, body = Identity)))]
pub(super) async fn me(Extension(who): Me, Extension(rights): May) -> Json<Identity> {
    Json(Identity::new(&who.0, &rights))
}

fn set_cookie(token: &str, seconds: u64, https: bool) -> Result<HeaderValue, Problem> {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).map_err(|_| Problem::new(500, "the cookie can't be written"))
}

/// Over TLS of our own, or behind a proxy that speaks it. Plain HTTP is for the loopback interface, where a browser would not send a
/// Secure cookie.
fn is_https(headers: &HeaderMap, flow: Option<&Flow>) -> bool {
    let own = flow.is_some_and(|flow| flow.transport.is_secure());
    own || headers.get("x-forwarded-proto").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn the_cookie_is_secure_wherever_the_browser_speaks_tls() {
        let at = "127.0.0.1:1".parse().unwrap();
        let flow = |transport| Flow { transport, local: at, remote: at, connection: None };
        let mut headers = HeaderMap::new();
        assert!(!is_https(&headers, None) && !is_https(&headers, Some(&flow(Transport::Ws))));
        assert!(is_https(&headers, Some(&flow(Transport::Wss))));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert!(is_https(&headers, Some(&flow(Transport::Ws))));
    }
}
