//! Liveness, readiness, metrics: open to everybody who reaches the listener, and free of names and numbers of people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;

use super::problem::Problem;
use super::{Api, Measured, Shared};
use crate::clock::Mono;
use crate::switch::command::Status;
use crate::switch::{Answer, Command};

/// The process runs and answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = str, content_type = "text/plain")))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    /// `ready`, `degraded` (calls go on, something else does not) or `draining`.
    status: &'static str,
    /// Part → what is wrong with it.
    degraded: BTreeMap<String, String>,
}

/// Whether calls are taken. Degraded is 200 with what is wrong: calls go on. Draining, or a core that does not answer, is 503.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn ready(State(shared): Api) -> Result<Response, Problem> {
    let status = status(&shared).await?;
    let (code, word) = match (status.draining, status.degraded.is_empty()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "ready"),
        (false, false) => (StatusCode::OK, "degraded"),
    };
    let body = Readiness { status: word, degraded: status.degraded };
    Ok((code, Json(body)).into_response())
}

/// Prometheus text format 0.0.4.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()), responses((status = 200, body = str, content_type = "text/plain")))]
pub(super) async fn metrics(State(shared): Api) -> Result<Response, Problem> {
    let mut status = status(&shared).await?;
    let mut measured = (shared.parts.figures)();
    status.counters.extend(measured.totals.drain(..));
    let text = exposition(&status, &measured, shared.parts.log.last(), shared.parts.log.waiting());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// What the core said last, and when. These addresses are open to everybody, and the core writes each question into its journal: so it
/// is asked once in a while, however often they are.
#[derive(Default)]
pub(super) struct Heard(Mutex<Option<(Mono, Box<Status>)>>);

/// An answer as old as this still does. Prometheus asks every 15 s, a load balancer every second.
const FRESH: Duration = Duration::from_millis(500);

async fn status(shared: &Arc<Shared>) -> Result<Box<Status>, Problem> {
    // Held while the core is asked, so that many who come at once are one question.
    let mut heard = shared.heard.0.lock().await;
    if let Some((at, status)) = &*heard
        && shared.parts.clock.mono().since(*at) < FRESH
    {
        return Ok(status.clone());
    }
    match shared.parts.core.ask("health", Command::Status).await? {
        Answer::Status(status) => {
            *heard = Some((shared.parts.clock.mono(), status.clone()));
            Ok(status)
        }
        _ => Err(Problem::mismatch()),
    }
}

fn exposition(status: &Status, measured: &Measured, log_last: u64, log_waiting: usize) -> String {
    let mut text = String::with_capacity(4_096);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let _ = write!(text, "# HELP cordboard_{name} {help}\n# TYPE cordboard_{name} gauge\ncordboard_{name} {value}\n");
    };
    gauge("conversations", "Live conversations.", status.live_conversations);
    gauge("legs", "Live legs.", status.legs);
    gauge("media_legs_degraded", "Live legs whose opinion score is below [media] degraded_below.", status.legs_degraded);
    gauge("sip_transactions", "Live SIP transactions.", status.transactions);
    gauge("registrations", "Bindings of phones.", status.registrations);
    gauge(
        "media_ports_free",
        "RTP ports that are leased and wait for a leg; the last ones of each worker for that of an emergency call.",
        status.free_ports,
    );
    let delay = u64::try_from(measured.queue_delay.as_micros()).unwrap_or(u64::MAX);
    gauge("core_queue_delay_microseconds", "How long an input waits for the core; new requests are shed from 200 ms.", delay);
    gauge("draining", "1 while the switch is being stopped.", u64::from(status.draining));
    gauge("event_log_waiting", "Events that are not durable yet.", log_waiting as u64);
    let _ = write!(text, "# HELP cordboard_events_total Events in the log.\n# TYPE cordboard_events_total counter\n");
    let _ = writeln!(text, "cordboard_events_total {log_last}");
    text.push_str(
        "# HELP cordboard_media_worker_legs Open legs of each media worker.\n# TYPE cordboard_media_worker_legs gauge\n",
    );
    for (worker, legs) in measured.legs_of_workers.iter().enumerate() {
        let _ = writeln!(text, "cordboard_media_worker_legs{{worker=\"{worker}\"}} {legs}");
    }
    if !measured.webhooks_behind.is_empty() {
        text.push_str("# HELP cordboard_webhook_behind Events of the log that a webhook has not delivered or passed over yet.\n");
        text.push_str("# TYPE cordboard_webhook_behind gauge\n");
    }
    for (webhook, behind) in &measured.webhooks_behind {
        let _ = writeln!(text, "cordboard_webhook_behind{{webhook=\"{}\"}} {behind}", label(webhook));
    }
    text.push_str("# HELP cordboard_conversations_by_direction Live conversations by direction.\n");
    text.push_str("# TYPE cordboard_conversations_by_direction gauge\n");
    for (direction, count) in &status.live_by_direction {
        let name = format!("{direction:?}").to_ascii_lowercase();
        let _ = writeln!(text, "cordboard_conversations_by_direction{{direction=\"{name}\"}} {count}");
    }
    text.push_str("# HELP cordboard_degraded 1 for each part that is in trouble.\n# TYPE cordboard_degraded gauge\n");
    for part in status.degraded.keys() {
        let _ = writeln!(text, "cordboard_degraded{{part=\"{}\"}} 1", label(part));
    }
    text.push_str(
        "# HELP cordboard_trunk_up 1 for a trunk that answers, 0 for one that is down; absent while that is not known.\n",
    );
    text.push_str("# TYPE cordboard_trunk_up gauge\n");
    for trunk in &status.trunks {
        match trunk.state.as_str() {
            "up" => drop(writeln!(text, "cordboard_trunk_up{{trunk=\"{}\"}} 1", label(trunk.name.as_str()))),
            "down" => drop(writeln!(text, "cordboard_trunk_up{{trunk=\"{}\"}} 0", label(trunk.name.as_str()))),
            _ => {}
        }
    }
    text.push_str("# HELP cordboard_trunk_calls Live calls of a trunk, both directions.\n# TYPE cordboard_trunk_calls gauge\n");
    for trunk in &status.trunks {
        let _ = writeln!(text, "cordboard_trunk_calls{{trunk=\"{}\"}} {}", label(trunk.name.as_str()), trunk.calls);
    }
    // The map is sorted, and `{` sorts behind every letter: but a longer name may stand between two of one base, so gather first.
    let mut counters: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for (name, value) in &status.counters {
        let (base, labels) = name.find('{').map_or((name.as_str(), ""), |at| name.split_at(at));
        counters.entry(base).or_default().push((labels, *value));
    }
    for (base, values) in counters {
        let _ = writeln!(text, "# TYPE cordboard_{base} counter");
        for (labels, value) in values {
            let _ = writeln!(text, "cordboard_{base}{labels} {value}");
        }
    }
    text
}

/// A label's value, escaped as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Direction;

    #[test]
    fn each_metric_has_its_type_once_and_its_values_together() {
        let mut status = Status { live_conversations: 3, ..Status::default() };
        for (name, value) in
            [("sip_requests_total{method=\"INVITE\"}", 5), ("sip_requests_total{method=\"BYE\"}", 4), ("sip_requests_totals", 1)]
        {
            status.counters.insert(name.to_owned(), value);
        }
        status.degraded.insert("a\"b".into(), "x".into());
        status.live_by_direction.insert(Direction::Inbound, 2);
        let measured = Measured {
            queue_delay: Duration::from_millis(2),
            totals: Vec::new(),
            legs_of_workers: vec![2, 3],
            ..Measured::default()
        };
        let text = exposition(&status, &measured, 7, 0);
        assert!(text.contains("cordboard_media_worker_legs{worker=\"0\"} 2\ncordboard_media_worker_legs{worker=\"1\"} 3\n"));
        assert!(
            text.contains("cordboard_conversations 3\n")
                && text.contains("cordboard_core_queue_delay_microseconds 2000\n")
                && text.contains("cordboard_events_total 7\n")
        );
        assert!(text.contains("cordboard_degraded{part=\"a\\\"b\"} 1\n"));
        assert!(text.contains("cordboard_conversations_by_direction{direction=\"inbound\"} 2\n"));
        assert_eq!(text.matches("# TYPE cordboard_sip_requests_total counter").count(), 1);
        assert!(
            text.contains("cordboard_sip_requests_total{method=\"BYE\"} 4\ncordboard_sip_requests_total{method=\"INVITE\"} 5\n")
        );
        assert!(text.lines().all(|l| l.starts_with("# ") || l.split(' ').count() == 2));
    }
}
