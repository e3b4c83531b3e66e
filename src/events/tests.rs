//! Readers against a real log in a temporary folder.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::clock::{System, Wall};
use crate::event::{CallProgress, Event, Kind, LogLost};
use crate::ids::{ConversationId, LegId};
use crate::store::disk::RealDisk;
use crate::store::log::{Log, LogOptions};

fn open(folder: &TempDir, options: LogOptions) -> Log {
    let options = LogOptions { reserve_bytes: 0, ..options };
    Log::open(folder.path(), options, Arc::new(RealDisk), System::start(), Arc::new(|_, _| {})).unwrap()
}

/// Routes that are never told to stop.
fn routes(log: &Log) -> Router {
    stoppable(log).0
}

fn stoppable(log: &Log) -> (Router, tokio::sync::watch::Sender<bool>) {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let keep = stop.clone();
    let router = router(log.clone(), "cordboard.example", stopped).layer(axum::Extension(Arc::new(keep)));
    (router, stop)
}

fn conversation(n: u64) -> ConversationId {
    ConversationId::from_parts(n, 0)
}

/// Odd numbers are `call.ringing` of conversation n % 4, even ones `log.lost`.
fn event(n: u64) -> Event {
    let (kind, of) = match n % 2 {
        1 => (Kind::CallRinging(CallProgress { leg: LegId(n) }), Some(conversation(n % 4))),
        _ => (Kind::LogLost(LogLost { events: n }), None),
    };
    Event { at: Wall::from_micros(1_795_338_000_000_000), conversation: of, kind }
}

/// Appends and waits until readers may see it; the deadline is only there for a broken build.
fn append(log: &Log, numbers: std::ops::RangeInclusive<u64>) {
    let last = *numbers.end();
    log.append(numbers.map(event));
    assert!(log.wait_past(last - 1, std::time::Duration::from_secs(20)), "the log writes nothing");
}

async fn get(router: &Router, path: &str, last_seen: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(id) = last_seen {
        request = request.header("last-event-id", id);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Ids of the first events of a stream.
async fn ids(response: Response, most: usize) -> Vec<u64> {
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let (mut text, mut ids) = (String::new(), Vec::new());
    while ids.len() < most {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            ids.extend(block.lines().find_map(|l| l.strip_prefix("id:")).map(|id| id.trim().parse::<u64>().unwrap()));
            text = rest.to_owned();
        }
    }
    ids
}

async fn problem(response: Response, status: StatusCode) -> serde_json::Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_reader_goes_on_after_the_event_that_it_has_seen() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=6);
    let router = routes(&log);
    assert_eq!(ids(get(&router, "/api/v1/events?since=0", None).await, 6).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(ids(get(&router, "/api/v1/events?since=4", None).await, 2).await, [5, 6]);
    assert_eq!(ids(get(&router, "/api/v1/events?since=0", Some("5")).await, 1).await, [6], "Last-Event-ID wins");
    let live = get(&router, "/api/v1/events", None).await;
    append(&log, 7..=8);
    assert_eq!(ids(live, 2).await, [7, 8], "without either: from now on");
    log.close();
}

#[tokio::test]
async fn a_cut_stream_resumes_without_gap_or_repeat() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    let router = routes(&log);
    let mut seen = Vec::new();
    for round in 0..5 {
        append(&log, round * 10 + 1..=round * 10 + 10);
        let last = seen.last().copied().unwrap_or(0).to_string();
        let enough = if round == 4 { 50 - seen.len() } else { 7 };
        seen.extend(ids(get(&router, "/api/v1/events", Some(&last)).await, enough).await.into_iter().take(enough));
    }
    assert!(seen.into_iter().eq(1..=50));
    log.close();
}

#[tokio::test]
async fn a_filter_passes_types_and_a_conversation() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=12);
    let router = routes(&log);
    let wanted = |query: &str| format!("/api/v1/events?since=0&{query}");
    assert_eq!(ids(get(&router, &wanted("types=call.*"), None).await, 6).await, [1, 3, 5, 7, 9, 11]);
    assert_eq!(ids(get(&router, &wanted("types=log.lost"), None).await, 6).await, [2, 4, 6, 8, 10, 12]);
    let of_one = wanted(&format!("types=call.*,log.lost&conversation={}", conversation(3)));
    assert_eq!(ids(get(&router, &of_one, None).await, 3).await, [3, 7, 11]);
    log.close();
}

#[tokio::test]
async fn a_number_that_is_no_longer_kept_is_gone_and_says_which_is_the_first() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions { segment_bytes: 1_000, retain_bytes: 4_000, ..LogOptions::default() });
    for n in 1..=120 {
        append(&log, n..=n);
    }
    let router = routes(&log);
    for path in ["/api/v1/events?since=2", "/api/v1/events?since=0"] {
        let said = problem(get(&router, path, None).await, StatusCode::GONE).await;
        assert_eq!(said["first"], log.first_kept());
        assert_eq!(said["status"], 410);
    }
    let first = log.first_kept();
    assert_eq!(ids(get(&router, &format!("/api/v1/events?since={}", first - 1), None).await, 1).await[0], first);
    log.close();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=2);
    let router = routes(&log);
    for query in ["since=x", "since=-1", "since=99", "types=CALL", "conversation=7"] {
        problem(get(&router, &format!("/api/v1/events?{query}"), None).await, StatusCode::BAD_REQUEST).await;
    }
    problem(get(&router, "/api/v1/events", Some("x")).await, StatusCode::BAD_REQUEST).await;
    log.close();
}

#[tokio::test]
async fn readers_are_counted_and_leave_their_seats() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    let router = routes(&log);
    let mut readers = Vec::new();
    for _ in 0..MOST_READERS {
        readers.push(get(&router, "/api/v1/events", None).await);
    }
    problem(get(&router, "/api/v1/events", None).await, StatusCode::SERVICE_UNAVAILABLE).await;
    readers.pop();
    assert_eq!(get(&router, "/api/v1/events", None).await.status(), StatusCode::OK);
    log.close();
}

#[tokio::test]
async fn a_stream_ends_at_the_stop_with_all_that_was_durable() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=3);
    let (router, stop) = stoppable(&log);
    let response = get(&router, "/api/v1/events?since=0", None).await;
    append(&log, 4..=5);
    stop.send_replace(true);
    let text = to_bytes(response.into_body(), 100_000).await.unwrap();
    assert_eq!(std::str::from_utf8(&text).unwrap().lines().filter(|l| l.starts_with("id:")).count(), 5);
    log.close();
}

#[tokio::test]
async fn a_reader_is_let_go_of_when_whoever_let_it_in_says_so() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=3);
    let (tell, told) = tokio::sync::watch::channel(false);
    let router = routes(&log).layer(axum::Extension(told));
    let response = get(&router, "/api/v1/events?since=0", None).await;
    tell.send_replace(true);
    let text = to_bytes(response.into_body(), 100_000).await.unwrap();
    assert!(!std::str::from_utf8(&text).unwrap().contains("id:"), "nothing more is read");
    log.close();
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_and_resumes_without_a_gap() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    let router = routes(&log);
    append(&log, 1..=1);
    let slow = get(&router, "/api/v1/events", None).await;
    append(&log, 2..=6_000);
    let text = to_bytes(slow.into_body(), 1_000_000).await.unwrap();
    assert!(!std::str::from_utf8(&text).unwrap().contains("id:"), "cut, not given a part");
    let rest = ids(get(&router, "/api/v1/events", Some("1")).await, 5_999).await;
    assert!(rest.into_iter().eq(2..=6_000));
    log.close();
}

/// Reads up to `last`, and comes again after each `stay` events.
async fn reading(router: &Router, last: u64, stay: usize) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    while seen.last() != Some(&last) {
        let after = seen.last().copied().unwrap_or(0);
        let most = stay.min(usize::try_from(last - after).unwrap());
        seen.extend(ids(get(router, "/api/v1/events?since=0", Some(&after.to_string())).await, most).await);
    }
    seen
}

#[tokio::test]
async fn readers_who_stall_or_come_and_go_cost_the_others_and_the_log_nothing() {
    const LAST: u64 = 2_000;
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    let routes = routes(&log);
    append(&log, 1..=1);
    // Connected, and never reads.
    let stalled = get(&routes, "/api/v1/events", None).await;
    let writing = async {
        for from in (2..=LAST).step_by(100) {
            append(&log, from..=LAST.min(from + 99));
            tokio::task::yield_now().await;
        }
    };
    let steady = futures_util::future::join_all((0..8).map(|_| reading(&routes, LAST, usize::MAX)));
    let (steady, fleeting, ()) = tokio::join!(steady, reading(&routes, LAST, 50), writing);
    for seen in steady.iter().chain([&fleeting]) {
        assert!(seen.iter().copied().eq(1..=LAST), "a gap, or a repeat");
    }
    drop(stalled);
    log.close();
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a server to connect to")]
async fn over_websocket_the_same_events_come_as_messages() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions::default());
    append(&log, 1..=4);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, routes(&log)).into_future());
    let url = |query: &str| format!("ws://{address}/api/v1/events/ws?{query}");

    let (mut socket, _) = tokio_tungstenite::connect_async(url("since=2&types=call.*,log.*")).await.unwrap();
    append(&log, 5..=5);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let tokio_tungstenite::tungstenite::Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["specversion"], "1.0");
            assert_eq!(value["source"], "/cordboard/cordboard.example");
            seen.push(value["sequence"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen, ["3", "4", "5"]);

    let refused = tokio_tungstenite::connect_async(url("since=99")).await.unwrap_err();
    assert!(matches!(refused, tokio_tungstenite::tungstenite::Error::Http(r) if r.status() == 400), "refused before the upgrade");
    server.abort();
    log.close();
}
