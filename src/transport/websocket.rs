//! SIP over WebSocket (RFC 7118): the way in by HTTP. What goes on in the connection is `stream/`.
//!
//! A page of any site may open a WebSocket to us from an agent's browser, so the browser's word on whose page it is counts: our own host's,
//! or one that the configuration lists. A client that says no origin is no browser; whoever it is, it has to log in by digest.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{mpsc, watch};

use super::stream::{Incoming, Order};
use crate::config::Config;
use crate::sip::{Flow, MAX_BODY, MAX_HEAD};

/// The subprotocol (RFC 7118 §3).
const SIP: &str = "sip";

/// One message: the largest that any transport takes.
const LARGEST: usize = MAX_HEAD + MAX_BODY;

/// What a socket costs before it has said anything; its library would take 128 KiB.
const BUFFER: usize = 8 * 1024;

#[derive(Clone)]
struct Door {
    orders: mpsc::Sender<Order>,
    config: watch::Receiver<Arc<Config>>,
}

/// `/sip`, for the HTTP service. Each request needs a [`Flow`] in its extensions that says where it comes from.
pub(super) fn router(orders: mpsc::Sender<Order>, config: watch::Receiver<Arc<Config>>) -> Router {
    Router::new().route("/sip", get(upgrade)).with_state(Door { orders, config })
}

async fn upgrade(
    State(door): State<Door>,
    flow: Option<Extension<Flow>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(Extension(flow)) = flow else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if !speaks_sip(&headers) {
        return (StatusCode::BAD_REQUEST, "the WebSocket must be asked for with the subprotocol sip").into_response();
    }
    if !is_welcome(&headers, &door.config.borrow().http.origins) {
        return (StatusCode::FORBIDDEN, "pages of that origin may not connect; [http] origins lists those that may")
            .into_response();
    }
    upgrade
        .protocols([SIP])
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * LARGEST)
        // Where the owner of the connections is gone, the socket is closed with it.
        .on_upgrade(move |socket| async move {
            let _ = door.orders.send(Order::Accepted { incoming: Incoming::Web(Box::new(socket)), flow }).await;
        })
}

fn speaks_sip(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|h| h.to_str().ok());
    asked.flat_map(|h| h.split(',')).any(|name| name.trim().eq_ignore_ascii_case(SIP))
}

fn is_welcome(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let own = host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, o)| o.eq_ignore_ascii_case(host)));
    own || allowed.iter().any(|a| a.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(list: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn pages_of_our_own_host_and_listed_ones_may_connect_and_others_may_not() {
        let allowed = ["https://crm.example".to_owned()];
        let from = |origin| headers(&[(header::HOST, "pbx.example:8443"), (header::ORIGIN, origin)]);
        for origin in ["https://pbx.example:8443", "https://PBX.example:8443", "https://crm.example"] {
            assert!(is_welcome(&from(origin), &allowed), "{origin}");
        }
        for origin in ["https://evil.example", "https://pbx.example", "null", "https://crm.example.evil.example", ""] {
            assert!(!is_welcome(&from(origin), &allowed), "{origin}");
        }
        assert!(is_welcome(&headers(&[(header::HOST, "x")]), &[]), "no browser");
    }

    #[test]
    fn the_subprotocol_has_to_be_sip() {
        let asked = |value| headers(&[(header::SEC_WEBSOCKET_PROTOCOL, value)]);
        assert!(speaks_sip(&asked("sip")) && speaks_sip(&asked("xmpp, SIP")));
        assert!(!speaks_sip(&asked("sips")) && !speaks_sip(&headers(&[])));
    }
}
