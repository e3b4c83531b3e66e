//! One call a standard, and its near miss.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Outcome::{Kept, Unknown, Violated};
use super::*;
use crate::clock::Wall;
use crate::event::{Event, Kind, StandardLimits};
use crate::ids::ConversationId;

const QUEUE: &str = "support";
const AGENT: &str = "1024";
const RECORDING: &str = "01HF7YAT00AAAAAAAAAAAAAAAA";

fn id() -> ConversationId {
    ConversationId::from_parts(1_795_338_000_000, 7)
}

fn wall(ms: u64) -> Wall {
    Wall::from_micros(1_795_338_000_000_000 + ms as i64 * 1_000)
}

/// Events at their milliseconds; each one's number is its place, from 1.
#[derive(Clone, Default)]
struct Story(Vec<Event>);

impl Story {
    fn at(mut self, ms: u64, kind: &str, data: Value) -> Story {
        let kind: Kind = serde_json::from_value(json!({ "type": kind, "data": data })).unwrap_or_else(|e| panic!("{kind}: {e}"));
        self.0.push(Event { at: wall(ms), conversation: Some(id()), kind });
        self
    }

    /// An inbound call that the agent has from 10 s on.
    fn answered(direction: &str) -> Story {
        Story::default()
            .at(0, "call.started", started(direction))
            .at(1_000, "queue.entered", json!({ "queue": QUEUE, "position": 1 }))
            .at(1_000, "queue.offered", offered())
            .at(10_000, "queue.answered", json!({ "queue": QUEUE, "agent": AGENT, "waited_ms": 9_000, "rang_ms": 9_000 }))
            .at(10_000, "call.bridged", bridge(2, AGENT))
    }

    fn ended(self, ms: u64, by: &str, cause: &str) -> Story {
        let ended = json!({ "cause": cause, "status": 200, "by": by, "answered_ms": ms, "talk_ms": ms - 10_000, "legs": [] });
        self.at(ms, "call.unbridged", bridge(2, AGENT)).at(ms + 20, "call.ended", ended)
    }

    /// Measured from 10 s on, where the recording begins.
    fn measured(self, ms: u64, sound: Value) -> Story {
        self.at(ms, "recording.finished", finished(100_000)).at(
            ms,
            "recording.measured",
            json!({ "recording": RECORDING, "started_at": wall(10_000).to_string(), "sound": sound }),
        )
    }

    fn trial(&self) -> Trial {
        let mut trial = Trial::default();
        for (n, event) in self.0.iter().enumerate() {
            trial.take(n as u64 + 1, event);
        }
        trial
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.trial().verdicts()
    }

    #[track_caller]
    fn gives(&self, rule: Rule, expected: &[(Outcome, Option<f64>)]) -> Vec<Verdict> {
        let found: Vec<Verdict> = self.verdicts().into_iter().filter(|v| v.rule == rule).collect();
        assert_eq!(found.iter().map(|v| (v.outcome, v.value)).collect::<Vec<_>>(), expected, "{found:#?}");
        assert!(found.iter().all(|v| v.agent.as_ref().is_some_and(|a| a.as_str() == AGENT)));
        assert!(found.iter().all(|v| v.standard == rule.standard() && !v.evidence.sequences.is_empty()));
        found
    }
}

fn started(direction: &str) -> Value {
    json!({ "direction": direction, "leg": 1, "trunk": "carrier", "phone": null, "customer_number": "030123", "called": "600" })
}

fn offered() -> Value {
    json!({ "queue": QUEUE, "agent": AGENT, "phone": "201", "waited_ms": 0, "rings_for_ms": 15_000, "answer_within_ms": 15_000 })
}

fn bridge(leg: u64, agent: &str) -> Value {
    json!({ "legs": [1, leg], "phone": "201", "agent": agent })
}

fn leg(leg: u64) -> Value {
    json!({ "leg": leg, "agent": AGENT, "by": if leg == 1 { "customer" } else { "phone" } })
}

fn muted(muted: bool) -> Value {
    json!({ "leg": 2, "agent": AGENT, "muted": muted, "by": "phone" })
}

fn transfer(outcome: &str) -> Value {
    json!({ "leg": 2, "by": "phone", "to": "205", "outcome": outcome })
}

fn finished(ms: u64) -> Value {
    json!({ "recording": RECORDING, "duration_ms": ms, "bytes": 1, "sha256": "", "lost_ms": [0, 0] })
}

fn part(at_ms: u64, length_ms: u64, talk_ms: [u64; 2], level: [f32; 2]) -> Value {
    json!({ "at_ms": at_ms, "length_ms": length_ms, "talk_ms": talk_ms, "overtalk_ms": 0, "level_dbfs": level,
        "first_ms": [at_ms + 2_000, at_ms + 700] })
}

/// Of one part with these silences and overtalks.
fn sound(length_ms: u64, silences: &[(u64, u64)], overtalks: &[(u64, u64, Option<&str>)]) -> Value {
    json!({
        "parts": [part(0, length_ms, [20_000, 20_000], [-26.0, -24.0])],
        "silences": silences.iter().map(|(at, length)| json!({ "at_ms": at, "length_ms": length })).collect::<Vec<_>>(),
        "silences_count": silences.len(),
        "overtalks": overtalks.iter().map(|(at, length, by)| json!({ "at_ms": at, "length_ms": length, "by": by })).collect::<Vec<_>>(),
        "overtalks_count": overtalks.len(),
    })
}

#[test]
fn s1_an_answer_within_three_rings_and_one_after() {
    let offered = |rang_ms: u64, kind: &str, cause: Value| {
        let ended = json!({ "queue": QUEUE, "agent": AGENT, "waited_ms": rang_ms, "rang_ms": rang_ms, "cause": cause });
        Story::default().at(0, "call.started", started("inbound")).at(0, "queue.offered", offered()).at(rang_ms, kind, ended)
    };
    let kept = offered(15_000, "queue.answered", Value::Null).gives(Rule::Answer, &[(Kept, Some(15_000.0))]);
    assert_eq!((kept[0].evidence.sequences.clone(), kept[0].most), (vec![2, 3], Some(15_000.0)));
    assert_eq!(kept[0].queue.as_ref().map(QueueName::as_str), Some(QUEUE));
    offered(15_001, "queue.answered", Value::Null).gives(Rule::Answer, &[(Violated, Some(15_001.0))]);
    offered(15_000, "queue.unanswered", json!("no_answer")).gives(Rule::Answer, &[(Violated, Some(15_000.0))]);
    offered(900, "queue.unanswered", json!("declined")).gives(Rule::Answer, &[(Violated, Some(900.0))]);
    offered(0, "queue.unanswered", json!("unreachable")).gives(Rule::Answer, &[(Unknown, Some(0.0))]);
}

#[test]
fn s2_the_agents_first_words_are_marked() {
    let story = Story::answered("inbound").ended(70_000, "customer", "normal").measured(70_100, sound(60_000, &[], &[]));
    let found = story.gives(Rule::Greeting, &[(Unknown, Some(700.0))]);
    assert_eq!(found[0].evidence.at_ms, [700]);
    assert_eq!(found[0].evidence.recording.map(|r| r.to_string()).as_deref(), Some(RECORDING));
}

#[test]
fn s3_a_hold_of_a_minute_and_one_that_is_longer() {
    let held = |ms: u64| {
        Story::answered("inbound")
            .at(30_000, "call.held", leg(2))
            .at(30_000 + ms, "call.resumed", leg(2))
            .ended(200_000, "customer", "normal")
            .measured(200_100, sound(20_000, &[], &[]))
    };
    held(60_000).gives(Rule::Hold, &[(Kept, Some(60_000.0))]);
    let found = held(60_001).gives(Rule::Hold, &[(Violated, Some(60_001.0))]);
    assert_eq!((&found[0].evidence.at_ms[..], &found[0].evidence.sequences[..]), (&[20_000][..], &[6, 7][..]));
    // S4: ten seconds before it, and its end.
    let words = held(60_001).gives(Rule::HoldWords, &[(Unknown, Some(60_001.0))]);
    assert_eq!(words[0].evidence.at_ms, [10_000, 80_001]);
}

#[test]
fn s3_a_hold_that_the_end_of_the_call_ends_counts_and_the_customers_own_does_not() {
    let story = Story::answered("inbound").at(30_000, "call.held", leg(2)).ended(95_000, "customer", "normal");
    story.gives(Rule::Hold, &[(Violated, Some(65_000.0))]);
    Story::answered("inbound").at(30_000, "call.held", leg(1)).ended(95_000, "customer", "normal").gives(Rule::Hold, &[]);
    // While it lasts nothing is said about it.
    Story::answered("inbound").at(30_000, "call.held", leg(2)).gives(Rule::Hold, &[]);
}

#[test]
fn s5_a_mute_in_place_of_a_hold_and_one_within_a_hold() {
    let story = |from, to| {
        Story::answered("inbound")
            .at(from, "call.muted", muted(true))
            .at(to, "call.muted", muted(false))
            .ended(95_000, "customer", "normal")
    };
    story(20_000, 30_000).gives(Rule::Mute, &[(Kept, Some(10_000.0))]);
    story(20_000, 30_001).gives(Rule::Mute, &[(Violated, Some(10_001.0))]);
    Story::answered("inbound")
        .at(20_000, "call.muted", muted(true))
        .at(23_000, "call.held", leg(2))
        .at(60_000, "call.resumed", leg(2))
        .at(65_000, "call.muted", muted(false))
        .ended(95_000, "customer", "normal")
        .gives(Rule::Mute, &[(Kept, Some(5_000.0))]);
}

#[test]
fn s7_a_transfer_that_was_let_go_before_the_answer_and_one_after() {
    let moved = |story: Story| story.ended(95_000, "customer", "normal");
    let begins = || Story::answered("inbound").at(40_000, "call.unbridged", bridge(2, AGENT));
    let started = || begins().at(40_000, "call.transferred", transfer("started"));
    let merged = json!({ "parent": id().to_string(), "child": RECORDING, "leg": 2, "by": "phone" });

    let attended = begins().at(40_000, "call.merged", merged).at(40_000, "call.transferred", transfer("started"));
    let attended = attended.at(40_000, "call.bridged", bridge(3, "1025")).at(40_000, "call.transferred", transfer("completed"));
    let found = moved(attended).gives(Rule::Transfer, &[(Kept, Some(0.0))]);
    assert_eq!(found[0].evidence.sequences, [8, 9]);

    let blind = started().at(46_000, "call.bridged", bridge(3, "1025")).at(46_000, "call.transferred", transfer("completed"));
    moved(blind.clone()).gives(Rule::Transfer, &[(Violated, Some(6_000.0))]);
    let words = moved(blind).measured(95_100, sound(80_000, &[], &[])).gives(Rule::TransferWords, &[(Unknown, None)]);
    assert_eq!(words[0].evidence.at_ms, [20_000]);

    let back = started().at(60_000, "call.transferred", transfer("failed")).at(60_000, "call.bridged", bridge(2, AGENT));
    moved(back).gives(Rule::Transfer, &[(Violated, Some(20_000.0))]);

    let queue = started().at(40_000, "queue.entered", json!({ "queue": "sales", "position": 1 }));
    moved(queue.at(40_000, "call.transferred", transfer("completed"))).gives(Rule::Transfer, &[]);
    // To a phone that forwards to a queue when nobody answers there.
    let late = started().at(55_000, "queue.entered", json!({ "queue": "sales", "position": 1 }));
    moved(late.at(55_000, "call.transferred", transfer("completed"))).gives(Rule::Transfer, &[(Violated, Some(15_000.0))]);
}

#[test]
fn s9_the_customer_hangs_up_first_and_does_not() {
    Story::answered("inbound").ended(95_000, "customer", "normal").gives(Rule::HangUp, &[(Kept, None)]);
    let found = Story::answered("outbound").ended(95_000, "phone", "normal").gives(Rule::HangUp, &[(Violated, None)]);
    assert_eq!(found[0].evidence.sequences, [7]);
    Story::answered("inbound").ended(95_000, "switch", "no_media").gives(Rule::HangUp, &[(Unknown, None)]);
    // The agent has left the customer to a queue: who hangs up there leaves no agent.
    Story::answered("inbound")
        .at(40_000, "call.unbridged", bridge(2, AGENT))
        .at(40_000, "call.transferred", transfer("started"))
        .at(40_000, "queue.entered", json!({ "queue": "sales", "position": 1 }))
        .at(40_000, "call.transferred", transfer("completed"))
        .ended(95_000, "customer", "normal")
        .gives(Rule::HangUp, &[]);
    // To a survey, as the queue wants it.
    let entered = |menu: &str| json!({ "menu": menu, "node": "start", "language": "en" });
    let found = Story::answered("inbound")
        .at(40_000, "call.unbridged", bridge(2, AGENT))
        .at(40_000, "menu.entered", entered("csat"))
        .at(50_000, "menu.entered", entered("bye"))
        .ended(95_000, "customer", "normal")
        .gives(Rule::HangUp, &[(Unknown, None)]);
    assert_eq!(found[0].why, Some(Why::LeftToSurvey));
    // It has left the agent with a colleague, and what they do then is judged by nobody.
    let left = json!({ "change": "left", "leg": 1, "to": "trunk:carrier", "legs": [3, 2], "by": "customer", "cause": null });
    let on = json!({ "legs": [3, 2], "phone": "201", "agent": AGENT });
    let story = Story::answered("inbound")
        .at(40_000, "call.unbridged", bridge(2, AGENT))
        .at(40_000, "call.bridged", on)
        .at(40_000, "call.conferenced", left)
        .at(41_000, "call.held", leg(2))
        .ended(195_000, "phone", "normal");
    assert_eq!(story.gives(Rule::HangUp, &[(Kept, None)])[0].evidence.sequences, [8]);
    story.gives(Rule::Hold, &[]);
}

#[test]
fn s11_silences_within_the_talk_count_and_those_of_holds_pauses_and_prompts_do_not() {
    let story = |silences: &[(u64, u64)]| {
        Story::answered("inbound")
            .at(30_000, "call.held", leg(2))
            .at(50_000, "call.resumed", leg(2))
            .at(60_000, "recording.paused", json!({ "recording": RECORDING, "by": "phone", "until": null }))
            .at(70_000, "recording.resumed", json!({ "recording": RECORDING, "by": "phone", "paused_ms": 10_000 }))
            .at(75_000, "call.played", json!({ "leg": 1, "change": "started", "sound": "en/welcome", "by": "phone" }))
            .at(85_000, "call.played", json!({ "leg": 1, "change": "ended", "sound": "en/welcome", "by": "phone" }))
            .ended(110_000, "customer", "normal")
            .measured(110_100, sound(100_000, silences, &[]))
    };
    story(&[]).gives(Rule::Silence, &[(Kept, Some(0.0))]);
    story(&[(2_000, 8_000)]).gives(Rule::Silence, &[(Kept, Some(8_000.0))]);
    let found = story(&[(2_000, 8_001)]).gives(Rule::Silence, &[(Violated, Some(8_001.0))]);
    assert_eq!((found[0].evidence.at_ms.clone(), found[0].evidence.sequences.clone()), (vec![2_000], vec![5, 15]));
    // 3 s before the hold, 3 s behind it; the pause; the prompt; after the call.
    story(&[(17_000, 26_000), (49_000, 12_000), (64_000, 12_000), (98_000, 30_000)])
        .gives(Rule::Silence, &[(Kept, Some(3_000.0))]);
    story(&[(85_000, 30_000), (76_000, 8_500)]).gives(Rule::Silence, &[(Violated, Some(15_000.0)), (Violated, Some(8_500.0))]);
}

#[test]
fn s11_an_interruption_counts_where_the_agent_began_it() {
    let story = |overtalks: &[(u64, u64, Option<&str>)]| {
        let story = Story::answered("inbound").ended(110_000, "customer", "normal");
        story.measured(110_100, sound(100_000, &[], overtalks))
    };
    story(&[(5_000, 2_000, Some("phone"))]).gives(Rule::Overtalk, &[(Kept, Some(2_000.0))]);
    story(&[(5_000, 2_020, Some("phone"))]).gives(Rule::Overtalk, &[(Violated, Some(2_020.0))]);
    story(&[(5_000, 9_000, Some("customer")), (20_000, 9_000, None)]).gives(Rule::Overtalk, &[(Kept, Some(0.0))]);
}

#[test]
fn s11_a_list_that_left_out_long_ones_proves_nothing() {
    let mut heard = sound(100_000, &[(98_000, 12_000)], &[]);
    heard["silences_count"] = json!(2);
    let story = Story::answered("inbound").ended(100_000, "customer", "normal").measured(110_100, heard);
    story.gives(Rule::Silence, &[(Unknown, Some(0.0))]);
}

#[test]
fn s12_the_level_of_the_agent_and_not_the_customers() {
    let story = |parts: Value| {
        let mut heard = sound(0, &[], &[]);
        heard["parts"] = parts;
        Story::answered("inbound").ended(110_000, "customer", "normal").measured(110_100, heard)
    };
    let level = |db: f32| story(json!([part(0, 100_000, [20_000, 20_000], [-60.0, db])]));
    level(-35.0).gives(Rule::Level, &[(Kept, Some(-35.0))]);
    for db in [-35.5, -9.5] {
        level(db).gives(Rule::Level, &[(Violated, Some(f64::from(db)))]);
    }
    story(json!([part(0, 100_000, [20_000, 2_900], [-26.0, -50.0])])).gives(Rule::Level, &[(Unknown, Some(-50.0))]);
    // What is not this agent's talk is not weighed: here more than half of the second part is after it.
    let parts = json!([part(0, 80_000, [0, 20_000], [-26.0, -20.0]), part(80_000, 60_000, [0, 50_000], [-26.0, -50.0])]);
    let found = story(parts).verdicts();
    assert!(found.iter().any(|v| v.rule == Rule::Level && v.outcome == Kept && (v.value.unwrap() + 20.0).abs() < 1e-6));
}

#[test]
fn s12_the_share_of_talk_where_somebody_wants_to_know() {
    let mut heard = sound(0, &[], &[]);
    heard["parts"] = json!([part(0, 100_000, [6_000, 18_000], [-26.0, -26.0])]);
    let judge = |share| {
        let limits = StandardLimits { talk_share: share, ..StandardLimits::default() };
        let mut story = Story::answered("inbound");
        story.0.pop();
        let mut bridge = bridge(2, AGENT);
        bridge["limits"] = serde_json::to_value(limits).unwrap();
        let story =
            story.at(10_000, "call.bridged", bridge).ended(110_000, "customer", "normal").measured(110_100, heard.clone());
        story.verdicts().into_iter().find(|v| v.rule == Rule::TalkShare).map(|v| (v.outcome, v.value))
    };
    assert_eq!(judge(None), None);
    assert_eq!(judge(Some([0.2, 0.75])), Some((Kept, Some(0.75))));
    assert_eq!(judge(Some([0.2, 0.7])), Some((Violated, Some(0.75))));
}

#[test]
fn each_agent_answers_for_the_own_talk_and_by_the_own_queue() {
    let mut heard = sound(0, &[(3_000, 9_000), (40_000, 11_000)], &[]);
    heard["parts"] =
        json!([part(0, 30_000, [9_000, 9_000], [-26.0, -20.0]), part(30_000, 60_000, [9_000, 9_000], [-26.0, -40.0])]);
    let mut story = Story::answered("inbound");
    story.0.pop();
    let mut relaxed = bridge(2, AGENT);
    relaxed["limits"] = serde_json::to_value(StandardLimits { silence_ms: 10_000, ..StandardLimits::default() }).unwrap();
    let story = story
        .at(10_000, "call.bridged", relaxed)
        .at(40_000, "call.unbridged", bridge(2, AGENT))
        .at(40_000, "call.transferred", transfer("started"))
        .at(40_000, "call.bridged", bridge(3, "1025"))
        .at(40_000, "call.transferred", transfer("completed"))
        .ended(100_000, "customer", "normal")
        .measured(100_100, heard);
    let found = story.verdicts();
    let of = |agent: &str, rule| {
        let found = found.iter().find(|v| v.rule == rule && v.agent.as_ref().is_some_and(|a| a.as_str() == agent));
        found.map(|v| (v.outcome, v.most))
    };
    assert_eq!(of(AGENT, Rule::Silence), Some((Kept, Some(10_000.0))));
    assert_eq!(of("1025", Rule::Silence), Some((Violated, Some(8_000.0))));
    assert_eq!((of(AGENT, Rule::Level).map(|v| v.0), of("1025", Rule::Level).map(|v| v.0)), (Some(Kept), Some(Violated)));
    assert_eq!((of(AGENT, Rule::HangUp), of("1025", Rule::HangUp).map(|v| v.0)), (None, Some(Kept)));
}

#[test]
fn calls_among_colleagues_and_consultations_that_were_joined_are_not_judged() {
    let held = |direction| Story::answered(direction).at(30_000, "call.held", leg(2)).ended(195_000, "phone", "normal");
    assert!(held("internal").verdicts().is_empty());
    let merged = json!({ "parent": RECORDING, "child": id().to_string(), "leg": 2, "by": "phone" });
    assert!(held("inbound").at(196_000, "call.merged", merged).verdicts().is_empty());
    assert!(!held("inbound").verdicts().is_empty());
}

#[test]
fn a_recording_that_the_customer_did_not_want_says_nothing() {
    let story = Story::answered("inbound").ended(110_000, "customer", "normal");
    let story = story.measured(110_100, sound(100_000, &[(0, 50_000)], &[]));
    assert!(story.verdicts().iter().any(|v| v.rule == Rule::Silence));
    let story = story.at(111_000, "recording.discarded", json!({ "recording": RECORDING }));
    let found = story.verdicts();
    assert!(found.iter().all(|v| v.evidence.recording.is_none()));
    // Nor does one that never was.
    for story in [story, Story::answered("inbound").ended(110_000, "customer", "normal")] {
        let found = story.gives(Rule::Silence, &[(Unknown, None)]);
        assert_eq!((found[0].why, &found[0].evidence.sequences[..]), (Some(Why::NotMeasured), &[5][..]));
    }
}

#[test]
fn where_others_are_heard_nobody_is_judged_by_the_sound() {
    let sound = || sound(100_000, &[(30_000, 20_000)], &[(60_000, 9_000, Some("phone"))]);
    let party = |change: &str| json!({ "change": change, "leg": 7, "to": "205", "legs": [1, 2, 7], "by": "phone" });
    let barge =
        |change: &str| json!({ "change": change, "mode": "barge", "leg": 8, "phone": "209", "supervisor": null, "by": "phone" });
    let story = Story::answered("inbound")
        .at(38_000, "call.conferenced", party("joined"))
        .at(62_000, "call.conferenced", party("left"))
        .at(68_000, "call.monitored", barge("started"))
        .at(90_000, "call.monitored", barge("ended"))
        .ended(110_000, "customer", "normal")
        .measured(110_100, sound());
    story.gives(Rule::Silence, &[(Kept, Some(0.0))]);
    story.gives(Rule::Overtalk, &[(Kept, Some(0.0))]);
    let alone = Story::answered("inbound").ended(110_000, "customer", "normal").measured(110_100, sound());
    alone.gives(Rule::Silence, &[(Violated, Some(20_000.0))]);
}

const ALL: [Rule; 12] = [
    Rule::Answer,
    Rule::Greeting,
    Rule::Hold,
    Rule::HoldWords,
    Rule::Mute,
    Rule::TransferWords,
    Rule::Transfer,
    Rule::HangUp,
    Rule::Silence,
    Rule::Overtalk,
    Rule::Level,
    Rule::TalkShare,
];

#[test]
fn every_rule_has_its_standard_and_its_name() {
    let names: Vec<String> = ALL.iter().map(|rule| serde_json::to_string(rule).unwrap()).collect();
    let header = include_str!("../standards.rs");
    for (rule, name) in ALL.iter().zip(names) {
        let row = format!("| `{}` |", name.trim_matches('"'));
        let row = header.lines().find(|line| line.contains(&row)).unwrap_or_else(|| panic!("no row for {name}"));
        assert!(row.contains(&format!("| {:?} ", rule.standard())), "{row}");
    }
}

/// Any of the kinds above, in any order.
fn happening() -> impl Strategy<Value = (u64, &'static str, Value)> {
    let kinds = vec![
        ("call.started", started("inbound")),
        ("queue.entered", json!({ "queue": QUEUE, "position": 1 })),
        ("queue.offered", offered()),
        ("queue.answered", json!({ "queue": QUEUE, "agent": AGENT, "waited_ms": 9, "rang_ms": 9 })),
        ("queue.unanswered", json!({ "queue": QUEUE, "agent": AGENT, "rang_ms": 9, "cause": "no_answer" })),
        ("call.bridged", bridge(2, AGENT)),
        ("call.bridged", bridge(3, "1025")),
        ("call.unbridged", bridge(2, AGENT)),
        ("call.held", leg(2)),
        ("call.held", leg(1)),
        ("call.resumed", leg(2)),
        ("call.muted", muted(true)),
        ("call.muted", muted(false)),
        ("call.transferred", transfer("started")),
        ("call.transferred", transfer("completed")),
        ("call.transferred", transfer("failed")),
        ("recording.paused", json!({ "recording": RECORDING, "by": "phone", "until": null })),
        ("recording.finished", finished(50_000)),
        (
            "recording.measured",
            json!({ "recording": RECORDING, "started_at": wall(9_000).to_string(),
                "sound": sound(90_000, &[(1_000, 40_000), (60_000, 20_000)], &[(0, 90_000, Some("phone"))]) }),
        ),
        ("call.ended", json!({ "cause": "normal", "status": 200, "by": "phone", "answered_ms": 1, "talk_ms": 1, "legs": [] })),
    ];
    // Clocks may be set back.
    (0..100_000u64, prop::sample::select(kinds)).prop_map(|(at, (kind, data))| (at, kind, data))
}

proptest! {
    #[test]
    fn in_whatever_order_it_comes_it_is_judged_the_same_after_a_restart(
        happenings in prop::collection::vec(happening(), 0..60),
        cut in 0..60usize,
    ) {
        let story = happenings.into_iter().fold(Story::default(), |story, (at, kind, data)| story.at(at, kind, data));
        let whole = story.trial();
        let mut resumed = Story(story.0.iter().take(cut).cloned().collect()).trial();
        resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
        // What it had before it has again.
        for (n, event) in story.0.iter().enumerate() {
            resumed.take(n as u64 + 1, event);
        }
        prop_assert_eq!(&resumed, &whole);
        for verdict in whole.verdicts() {
            prop_assert_eq!(verdict.why.is_some(), verdict.outcome == Unknown);
            prop_assert!(verdict.evidence.sequences.iter().all(|n| (1..=story.0.len() as u64).contains(n)));
            prop_assert!(verdict.value.is_none_or(f64::is_finite));
            prop_assert_eq!(verdict.standard, verdict.rule.standard());
        }
    }

    #[test]
    fn what_is_gathered_has_a_bound(rounds in 1..600usize) {
        let story = (0..rounds).fold(Story::answered("inbound"), |story, n| {
            let at = 20_000 + n as u64 * 10;
            story.at(at, "queue.offered", offered()).at(at, "call.held", leg(2)).at(at, "call.resumed", leg(2))
        });
        prop_assert!(story.trial().holds.len() <= 400 && serde_json::to_string(&story.trial()).unwrap().len() < 100_000);
    }
}
