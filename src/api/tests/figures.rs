//! Figures, the conversations behind them, and the wallboard.

use futures_util::StreamExt;

use super::*;
use crate::event::{By, CallEnded, CallStarted, Event, Kind, QueueAnswered, QueueEntered, QueueLeft};
use crate::ids::LegId;
use crate::route::Cause;
use crate::store::log::Stored;
use crate::switch::command::QueueView;

/// 2026-11-23, 09:00 in Berlin.
const NINE: i64 = 1_795_420_800_000;

fn id(n: u64) -> ConversationId {
    ConversationId::from_parts(NINE as u64 + n, u128::from(n))
}

/// Callers of `queue`, one a minute: the first `answered` of them after 3 s, the others give up after 30 s.
fn callers(site: &Site, queue: &str, count: u64, answered: u64) {
    let from = site.history.position();
    let mut events = Vec::new();
    for n in 0..count {
        let at = |ms: i64| Wall::from_micros((NINE + n as i64 * 60_000 + ms) * 1_000);
        let started = CallStarted {
            direction: Direction::Inbound,
            leg: LegId(1),
            trunk: Some("carrier".into()),
            phone: None,
            customer_number: "1".into(),
            called: "2".into(),
            customer_e164: None,
            called_e164: None,
        };
        let entered = QueueEntered { queue: queue.into(), position: 1, waited_before_ms: 0 };
        let end = if n < answered {
            let threshold_ms = Some(20_000);
            let agent = "1024".into();
            let answer = QueueAnswered { queue: queue.into(), agent, waited_ms: 3_000, rang_ms: 0, threshold_ms, callback: None };
            (3_000, Kind::QueueAnswered(answer))
        } else {
            (30_000, Kind::QueueAbandoned(QueueLeft::of(queue.into(), 30_000)))
        };
        let (cause, by) = (Cause::Normal, By::Customer);
        let ended = CallEnded { cause, status: None, by, answered_ms: None, talk_ms: 0, legs: Vec::new() };
        let all =
            [(0, Kind::CallStarted(started)), (0, Kind::QueueEntered(entered)), (end.0, end.1), (40_000, Kind::CallEnded(ended))];
        events.extend(all.map(|(ms, kind)| Event { at: at(ms), conversation: Some(id(from + n)), kind }));
    }
    let stored = (from + 1..).zip(events).map(|(sequence, event)| Arc::new(Stored::new(sequence, event)));
    site.history.fed().take(&stored.collect::<Vec<_>>());
}

const DAY: &str = "from=2026-11-23&to=2026-11-24";

#[tokio::test]
async fn figures_are_given_by_name_and_period_with_every_formula() {
    let site = Site::new();
    callers(&site, "support", 20, 15);
    callers(&site, "sales", 2, 0);
    let reply = site.get(&format!("/api/v1/figures?by=queue&every=day&{DAY}")).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let report = reply.json();
    assert_eq!((&report["by"], &report["every"], &report["zone"]), (&json!("queue"), &json!("day"), &json!("Europe/Berlin")));
    assert_eq!(report["formulas"][2], "F3 answered≤T / (answered + abandoned)");
    let names: Vec<_> = report["items"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["sales", "support"]);
    let support = &report["items"][1];
    assert_eq!((&support["from"], &support["until"]), (&json!("2026-11-23T00:00:00+01:00"), &json!("2026-11-24T00:00:00+01:00")));
    assert_eq!((&support["entered"], &support["answered"], &support["abandoned"]), (&json!(20), &json!(15), &json!(5)));
    assert_eq!(support["service_level"], json!({"F1": 0.75, "F2": 1.0, "F3": 0.75, "F4": 0.75, "F5": 0.75}));
    assert_eq!((&support["asa_ms"], &support["abandonment"]), (&json!(3_000), &json!(0.25)));

    let path = format!("/api/v1/figures?by=queue&name=support&every=15m&{DAY}");
    let quarters = site.get(&path).await.json();
    let of: Vec<_> =
        quarters["items"].as_array().unwrap().iter().map(|row| (row["from"].clone(), row["entered"].clone())).collect();
    assert_eq!(of, [(json!("2026-11-23T09:00:00+01:00"), json!(15)), (json!("2026-11-23T09:15:00+01:00"), json!(5))]);
    let elsewhere = site.get(&format!("/api/v1/figures?by=trunk&every=year&{DAY}&zone=Asia/Kathmandu")).await.json();
    assert_eq!((&elsewhere["items"][0]["name"], &elsewhere["items"][0]["inbound"]), (&json!("carrier"), &json!(22)));
    assert_eq!(elsewhere["items"][0]["from"], "2026-01-01T00:00:00+05:45");

    let csv = site.get(&format!("/api/v1/figures?by=queue&format=csv&{DAY}")).await;
    assert_eq!(csv.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let text = String::from_utf8(csv.body).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0][..5], ["queue", "from", "until", "entered", "answered"]);
    assert_eq!(lines[2][..5], ["support", "2026-11-23T00:00:00+01:00", "2026-11-24T00:00:00+01:00", "20", "15"]);
    assert!(lines.len() == 3 && lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
}

#[tokio::test]
async fn every_figure_lists_its_conversations_a_page_at_a_time() {
    let site = Site::new();
    callers(&site, "support", 20, 15);
    let path = format!("/api/v1/figures/conversations?by=queue&name=support&metric=waited_ms&limit=6&{DAY}");
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = site.get(&format!("{path}&cursor={cursor}")).await.json();
        listed.extend(page["items"].as_array().unwrap().clone());
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((listed.len(), pages), (15, 3));
    assert_eq!(listed[0], json!({"conversation": id(0).to_string(), "from": "2026-11-23T09:00:00+01:00", "value": 3_000}));
    assert_eq!(listed.iter().map(|part| part["value"].as_u64().unwrap()).sum::<u64>(), 45_000);
    let nobody = site.get(&format!("/api/v1/figures/conversations?by=agent&name=9&metric=answered&{DAY}")).await;
    assert_eq!(nobody.json(), json!({"items": [], "next": null}));
}

#[tokio::test]
async fn what_figures_cannot_be_asked_for_is_said() {
    let site = Site::new();
    for (query, says) in [
        ("every=day", "by"),
        ("by=team", "queue, agent or trunk"),
        ("by=queue&every=minute", "15m"),
        ("by=queue&from=yesterday", "RFC 3339"),
        ("by=queue&from=2026-11-24&to=2026-11-23", "later"),
        ("by=queue&zone=Moon/Base", "time zone"),
        ("by=queue&format=xml", "json or csv"),
        ("by=queue&every=15m&from=2020-01-01&to=2026-01-01", "periods"),
    ] {
        let problem = site.get(&format!("/api/v1/figures?{query}")).await.problem(400);
        assert!(problem.contains(says), "{query}: {problem}");
    }
    for (query, says) in [
        ("by=queue&name=support&metric=ready_ms", "listed for"),
        ("by=queue&name=support&metric=answered&cursor=x", "cursor"),
        ("by=queue&name=support&metric=answered&limit=0", "limit"),
    ] {
        let problem = site.get(&format!("/api/v1/figures/conversations?{query}")).await.problem(400);
        assert!(problem.contains(says), "{query}: {problem}");
    }
    site.get("/api/v1/agents/9999/figures").await.problem(404);
    site.send(empty(Request::get("/api/v1/figures?by=queue"))).await.problem(401);
}

fn board() -> Vec<Answer> {
    let queue = QueueView {
        name: "support".into(),
        strategy: "longest_idle".to_owned(),
        waiting: 2,
        longest_wait_ms: 7_000,
        callbacks: 0,
        agents: [("ready".to_owned(), 1)].into(),
        offered: 0,
        answered: 0,
        abandoned: 0,
        service_level: None,
        service_level_formula: String::new(),
        announcement: None,
    };
    vec![Answer::Queues(vec![queue]), Answer::Agents(Vec::new())]
}

#[tokio::test]
async fn all_who_look_at_the_wallboard_are_one_question() {
    let mut site = Site::new();
    let (reply, asked) = site.served(empty(as_ann(Request::get("/api/v1/wallboard"))), board()).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(asked, [("wallboard".to_owned(), Command::Queues), ("wallboard".to_owned(), Command::Agents)]);
    let shown = reply.json();
    assert_eq!((&shown["queues"][0]["name"], &shown["queues"][0]["waiting"]), (&json!("support"), &json!(2)));
    assert_eq!(shown["queues"][0]["today"]["answered"], 0);
    // Within a second nobody is asked: there is nobody who would answer.
    let stream = site.router.clone().oneshot(empty(as_ann(Request::get("/api/v1/wallboard/stream")))).await.unwrap();
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = stream.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    assert_eq!(first, format!("data: {}\n\n", String::from_utf8_lossy(&reply.body)).as_bytes());
    site.stop.send_replace(true);
    assert!(body.next().await.is_none(), "a stop lets them go");
}

#[tokio::test]
async fn a_stream_ends_when_what_its_reader_may_see_has_changed() {
    const BOB: &str = r#"
[[phone]]
number = "201"
secret = "s"

[[agent]]
staff_number = "1"
name = "Olga"
phone = "201"

[[team]]
name = "north"
agents = ["1"]

[[user]]
name = "bob"
password = "battery-horse-correct"
token = "token-of-bob-0123456789"
role = "supervisor"
teams = ["north"]
"#;
    let mut site = Site::of(&format!("{CENTRE}{BOB}"));
    site.served(empty(as_ann(Request::get("/api/v1/wallboard"))), board()).await;
    let as_bob = Request::get("/api/v1/wallboard/stream").header("authorization", "Bearer token-of-bob-0123456789");
    let of_bob = site.router.clone().oneshot(empty(as_bob)).await.unwrap();
    let of_ann = site.router.clone().oneshot(empty(as_ann(Request::get("/api/v1/wallboard/stream")))).await.unwrap();
    let (mut of_bob, mut of_ann) = (of_bob.into_body().into_data_stream(), of_ann.into_body().into_data_stream());
    assert!(of_bob.next().await.is_some() && of_ann.next().await.is_some());
    let reload = |text: &str| site.config.send_replace(Arc::new(Config::resolve(&Source::of(text)).unwrap()));
    reload(&format!("{CENTRE}{BOB}"));
    assert!(of_bob.next().await.is_none(), "his teams may have others now");
    reload(&CENTRE.replace("token-of-ann-0123456789", "a-new-token-of-ann-01234"));
    // Beats that were made before she was let go of may still come.
    while let Some(Ok(_)) = of_ann.next().await {}
}
