//! Words at the start, and the one route that is the server's own.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};

use super::driver::Order;
use crate::config::{Config, Peer};
use crate::switch::input::Recovered;
use crate::transport::Addresses;

pub fn tell_recovered(recovered: &Recovered) {
    if !recovered.open.is_empty() || !recovered.repaired.is_empty() {
        tracing::warn!(
            conversations = recovered.open.len() + recovered.unlogged.len(),
            recordings = recovered.repaired.len(),
            "the last run did not end in order: its conversations are closed, its recordings made whole"
        );
    }
}

/// What a person wants to know first: whether it is up, what to open, what to dial.
pub fn tell_up(config: &Config, addresses: &Addresses) {
    let list = |all: &[std::net::SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    println!("Cordboard is up: {}", config.site.name);
    let sip = [("udp", &addresses.udp), ("tcp", &addresses.tcp), ("tls", &addresses.tls)];
    let sip: Vec<String> = sip.iter().filter(|(_, l)| !l.is_empty()).map(|(name, l)| format!("{name} {}", list(l))).collect();
    println!("  SIP          {}", sip.join("; "));
    println!("  Browsers     ws://{}/sip", config.http.listen);
    println!("  Console      http://{}/", config.http.listen);
    if let Some(secure) = config.http.secure {
        println!("  With TLS     wss://{secure}/sip and https://{secure}/");
    }
    println!("  Recordings   {}", tidy(&config.recording.folder).display());
    let phones: Vec<&str> = config.phones.keys().map(crate::ids::Number::as_str).collect();
    println!("  Phones       {} (realm {})", phones.join(", "), config.site.domain);
    for queue in config.queues.values() {
        if let Some(number) = &queue.number {
            println!("  Dial         {number} for the queue {}", queue.name);
        }
    }
    for (number, place) in &config.extensions {
        println!("  Dial         {number} for {place}");
    }
    for rule in &config.inbound {
        let number = match &rule.number {
            crate::config::Pattern::Exact(number) => number.clone(),
            crate::config::Pattern::Prefix(prefix) => format!("{prefix}*"),
        };
        let peer = config.trunks.get(&rule.trunk).map_or_else(String::new, |t| peer_of(&t.peer));
        println!("  From {}  {number} leads to {}{peer}", rule.trunk, rule.to);
    }
}

/// Without the `..` of a path that is relative to the configuration.
fn tidy(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

fn peer_of(peer: &Peer) -> String {
    format!(" (calls from {})", peer.host)
}

/// What a reload cannot change, because sockets, threads and files run on the old value.
pub fn only_at_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut all = Vec::new();
    let mut fixed = |same: bool, what| {
        if !same {
            all.push(what);
        }
    };
    fixed(old.site.domain == new.site.domain, "a change of [site] domain");
    fixed(old.site.country == new.site.country, "a change of [site] country");
    let sip = |c: &Config| (c.sip.udp.clone(), c.sip.tcp.clone(), c.sip.tls.clone());
    fixed(sip(old) == sip(new), "a change of [sip] udp, tcp or tls");
    fixed(old.sip.nameservers == new.sip.nameservers, "a change of [sip] nameservers");
    fixed(old.tls == new.tls, "a change of [tls]");
    fixed(old.sip.max_expires == new.sip.max_expires, "a change of [sip] max_expires");
    let media = |c: &Config| {
        (
            c.media.listen,
            c.media.ports.clone(),
            c.media.workers,
            c.media.missing_after,
            c.media.dead_after,
            c.media.degraded_below,
            c.media.tones,
        )
    };
    fixed(
        media(old) == media(new),
        "a change of [media] listen, ports, workers, missing_after, dead_after, degraded_below or tones",
    );
    let http = |c: &Config| (c.http.listen, c.http.secure);
    fixed(http(old) == http(new), "a change of [http] listen or secure");
    fixed(old.recording.folder == new.recording.folder, "a change of [recording] folder");
    all
}

/// `POST /api/v1/config/reload`: 204, or 422 with all faults, each with file and line.
pub fn reload_route(orders: mpsc::Sender<Order>) -> Router {
    Router::new().route("/api/v1/config/reload", post(reload)).with_state(orders)
}

async fn reload(State(orders): State<mpsc::Sender<Order>>) -> Response {
    let (done, result) = oneshot::channel();
    let order = Order::Reload { by: "api".to_owned(), done: Some(done) };
    if orders.send(order).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match result.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(problems)) => {
            let faults: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let body = serde_json::json!({
                "type": "about:blank",
                "title": "the configuration was not taken",
                "status": 422,
                "detail": format!("{} faults; nothing was changed", faults.len()),
                "faults": faults,
            });
            let headers = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
            (StatusCode::UNPROCESSABLE_ENTITY, headers, body.to_string()).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::config::Problem;

    /// The route's answer where the driver says this of the reload.
    async fn answer(result: Result<(), Vec<Problem>>) -> (u16, String) {
        let (orders, mut ordered) = mpsc::channel(1);
        let driver = async {
            let Some(Order::Reload { done: Some(done), .. }) = ordered.recv().await else { panic!("no reload was ordered") };
            done.send(result).unwrap();
        };
        let request = Request::post("/api/v1/config/reload").body(Body::empty()).unwrap();
        let (response, ()) = tokio::join!(reload_route(orders).oneshot(request), driver);
        let (parts, body) = response.unwrap().into_parts();
        (parts.status.as_u16(), String::from_utf8(to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_reload_that_was_refused_is_answered_with_every_fault_and_its_place() {
        assert_eq!(answer(Ok(())).await, (204, String::new()));
        let fault = |line, what| Problem::new("cordboard.toml", line, what);
        let (status, body) = answer(Err(vec![fault(1, "a change of [http] needs a restart"), fault(7, "no such key")])).await;
        let told: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &told["status"]), (422, &422.into()));
        let faults = ["cordboard.toml:1: a change of [http] needs a restart", "cordboard.toml:7: no such key"];
        assert_eq!(told["faults"], serde_json::json!(faults));
    }
}
