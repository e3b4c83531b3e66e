//! Verdicts by conversation, and over a time.

use super::*;
use crate::event::{Event, Kind};
use crate::store::log::Stored;

/// 2026-11-23, 09:00 in Berlin.
const NINE: u64 = 1_795_420_800_000;

fn id(n: u64) -> ConversationId {
    ConversationId::from_parts(NINE + n * 60_000, u128::from(n))
}

/// A call a minute whose agent lets it ring for `rang_ms`, holds for `held_ms`, and hangs up first.
fn call(site: &Site, n: u64, agent: &str, rang_ms: u64, held_ms: u64) {
    let told = [
        (
            0,
            "call.started",
            json!({ "direction": "inbound", "leg": 1, "trunk": "carrier", "phone": null, "customer_number": "1",
            "called": "2" }),
        ),
        (
            0,
            "queue.offered",
            json!({ "queue": "support", "agent": agent, "phone": "201", "waited_ms": 0, "rings_for_ms": 15_000,
            "answer_within_ms": 10_000 }),
        ),
        (rang_ms, "queue.answered", json!({ "queue": "support", "agent": agent, "waited_ms": rang_ms, "rang_ms": rang_ms })),
        (rang_ms, "call.bridged", json!({ "legs": [1, 2], "phone": "201", "agent": agent })),
        (rang_ms + 1_000, "call.held", json!({ "leg": 2, "agent": agent, "by": "phone" })),
        (rang_ms + 1_000 + held_ms, "call.resumed", json!({ "leg": 2, "agent": agent, "by": "phone" })),
        (rang_ms + 90_000, "call.unbridged", json!({ "legs": [1, 2], "phone": "201", "agent": agent })),
        (
            rang_ms + 90_000,
            "call.ended",
            json!({ "cause": "normal", "status": 200, "by": "phone", "answered_ms": 1, "talk_ms": 1,
            "legs": [] }),
        ),
    ];
    let from = site.conversations.position();
    let stored = (from + 1..).zip(told).map(|(sequence, (ms, kind, data))| {
        let kind: Kind = serde_json::from_value(json!({ "type": kind, "data": data })).unwrap();
        let at = Wall::from_micros((NINE + n * 60_000 + ms) as i64 * 1_000);
        Stored::new(sequence, Event { at, conversation: Some(id(n)), kind })
    });
    site.conversations.take(&stored.collect::<Vec<_>>());
}

const DAY: &str = "from=2026-11-23&to=2026-11-24";

fn count(page: &Value, rule: &str) -> [u64; 3] {
    let count = page["counts"].as_array().unwrap().iter().find(|count| count["rule"] == rule);
    ["kept", "violated", "unknown"].map(|outcome| count.map_or(0, |count| count[outcome].as_u64().unwrap()))
}

#[tokio::test]
async fn a_conversation_tells_what_was_kept_and_shows_it() {
    let site = Site::new();
    call(&site, 1, "1024", 9_000, 61_000);
    let path = format!("/api/v1/conversations/{}/standards", id(1));
    for written in [false, true] {
        if written {
            site.conversations.commit().unwrap();
        }
        let judged = site.get(&path).await.json();
        assert_eq!((&judged["conversation"], &judged["tolerance_ms"]), (&json!(id(1).to_string()), &json!(150)));
        let of = |rule: &str| judged["verdicts"].as_array().unwrap().iter().find(|v| v["rule"] == rule).unwrap().clone();
        let answer = of("answer");
        assert_eq!((&answer["standard"], &answer["outcome"]), (&json!("S1"), &json!("kept")));
        assert_eq!((&answer["value"], &answer["most"], &answer["queue"]), (&json!(9_000.0), &json!(10_000.0), &json!("support")));
        let hold = of("hold");
        assert_eq!((&hold["outcome"], &hold["value"], &hold["agent"]), (&json!("violated"), &json!(61_000.0), &json!("1024")));
        assert_eq!(hold["evidence"]["sequences"], json!([5, 6]));
        assert_eq!(of("hang_up")["outcome"], "violated");
        assert_eq!((&of("silence")["outcome"], &of("silence")["why"]), (&json!("unknown"), &json!("not_measured")));
        assert!(judged["unjudged"].as_array().unwrap().iter().any(|other| other["standard"] == "S13"));
    }
    site.get(&format!("/api/v1/conversations/{}/standards", id(9))).await.problem(404);
}

#[tokio::test]
async fn verdicts_are_listed_and_counted_by_agent_standard_outcome_and_time() {
    let site = Site::new();
    for n in 0..30 {
        let agent = if n % 3 == 0 { "1025" } else { "1024" };
        call(&site, n, agent, if n % 5 == 0 { 11_000 } else { 3_000 }, 30_000);
        // Some of them are in the index alone, some in memory, the last before it in both.
        if n == 20 {
            site.conversations.commit().unwrap();
        }
    }
    let all = site.get(&format!("/api/v1/standards?limit=1000&{DAY}")).await.json();
    assert_eq!((count(&all, "answer"), count(&all, "hold"), &all["conversations"]), ([24, 6, 0], [30, 0, 0], &json!(30)));
    assert_eq!(all["next"], Value::Null);
    let late = site.get(&format!("/api/v1/standards?rule=answer&outcome=violated&agent=1025&{DAY}")).await.json();
    let calls: Vec<Value> = late["items"].as_array().unwrap().iter().map(|item| item["conversation"].clone()).collect();
    assert_eq!(calls, [15, 0].map(|n| json!(id(n).to_string())), "newest first");
    assert_eq!(count(&late, "answer"), [8, 2, 0], "whatever outcome is asked for");
    assert_eq!(late["items"][1]["began_at"], "2026-11-23T08:00:00.000Z");

    let (mut seen, mut counted, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = site.get(&format!("/api/v1/standards?standard=S1&limit=7&{DAY}&cursor={cursor}")).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["conversation"].as_str().unwrap().to_owned()));
        counted += count(&page, "answer").iter().sum::<u64>();
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((seen, counted), ((0..30).rev().map(|n| id(n).to_string()).collect::<Vec<_>>(), 30));

    let some = "from=2026-11-23T08:10:00Z&to=2026-11-23T08:12:00Z";
    assert_eq!(site.get(&format!("/api/v1/standards?{some}")).await.json()["conversations"], 2);
    assert_eq!(site.get(&format!("/api/v1/standards?queue=sales&{DAY}")).await.json()["items"], json!([]));
    for wrong in ["standard=S99", "rule=smile", "outcome=maybe", "cursor=x", "limit=0", "from=yesterday"] {
        site.get(&format!("/api/v1/standards?{wrong}")).await.problem(400);
    }
}
