//! Servers of STUN and TURN for pages: what `RTCPeerConnection` takes as `iceServers`.

use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha1::Sha1;

use super::guard::Me;
use super::{Api, List};
use crate::clock::Wall;
use crate::config::{Turn, TurnCredentials};

/// As W3C WebRTC has it (RTCIceServer).
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(super) struct IceServer {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

/// What `[turn]` says, with credentials for who asks, where they are made for each; none where there is no `[turn]`.
#[utoipa::path(get, path = "/api/v1/ice-servers", tag = "phones", responses((status = 200, body = List<IceServer>)))]
pub(super) async fn list(State(shared): Api, Extension(who): Me) -> Json<List<IceServer>> {
    let turn = shared.parts.config.borrow().turn.clone();
    Json(List::whole(turn.iter().map(|turn| server(turn, &who.0, shared.parts.clock.now().wall)).collect()))
}

fn server(turn: &Turn, who: &str, now: Wall) -> IceServer {
    let (username, credential) = match &turn.credentials {
        TurnCredentials::None => (None, None),
        TurnCredentials::Fixed { user, password } => (Some(user.clone()), Some(password.expose().to_owned())),
        TurnCredentials::Shared { secret, lifetime } => {
            let username = format!("{}:{who}", (now + *lifetime).as_secs());
            let credential = signed(secret.expose(), &username);
            (Some(username), credential)
        }
    };
    IceServer { urls: turn.urls.clone(), username, credential }
}

/// `base64(HMAC-SHA1(secret, username))`. There is no key that the hash cannot take.
fn signed(secret: &str, username: &str) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(username.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Secret;

    fn turn(credentials: TurnCredentials) -> Turn {
        Turn { urls: vec!["turn:t.example".to_owned()], credentials }
    }

    /// The expected HMAC is of another program (`openssl dgst -sha1 -hmac`).
    #[test]
    fn a_page_gets_a_name_that_expires_and_its_signature() {
        let shared = turn(TurnCredentials::Shared { secret: Secret::new("north"), lifetime: Duration::from_secs(3_600) });
        let given = server(&shared, "olena", Wall::from_micros(1_699_996_400_000_000));
        assert_eq!(given.username.as_deref(), Some("1700000000:olena"));
        assert_eq!(given.credential.as_deref(), Some("O1EfEvsjsrSE4eoKyTd4EMYj+Y0="));
    }

    #[test]
    fn what_is_fixed_is_told_as_it_is_and_what_is_not_there_is_left_out() {
        let fixed = turn(TurnCredentials::Fixed { user: "u".to_owned(), password: Secret::new("p") });
        let json = serde_json::to_string(&server(&fixed, "olena", Wall::default())).unwrap();
        assert_eq!(json, r#"{"urls":["turn:t.example"],"username":"u","credential":"p"}"#);
        let json = serde_json::to_string(&server(&turn(TurnCredentials::None), "olena", Wall::default())).unwrap();
        assert_eq!(json, r#"{"urls":["turn:t.example"]}"#);
    }
}
