//! A customer's whole stay with real clients, as `scripts/demo` shows it: SIPp calls by the trunk, presses a digit in the menu, waits in
//! the queue, talks to an agent at a baresip; then the recording, the index and the event stream are asked what they know.
//!
//! Each party has a tone of its own (440 Hz the customer, 1000 Hz the agent, 600 Hz the menu's prompt), so the recording tells who was
//! where. The test prints what it finds.

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use support::baresip::Baresip;
use support::caller::{CUSTOMER, Caller, MAIN_NUMBER, PROMPT_TONE, Stays, centre};
use support::cordboard::{Cordboard, Site, secret};
use support::stream::{Event, assert_gapless};
use support::tones::{Audio, Half};

const SOON: Duration = Duration::from_secs(20);
/// Customer, agent, prompt.
const TONES: [f64; 3] = [440.0, 1_000.0, PROMPT_TONE];

#[test]
fn a_customer_goes_through_menu_queue_and_agent_into_an_indexed_recording() {
    let site = centre("demo");
    let switch = site.start();
    let mut agent = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).tone(TONES[1]).start();
    switch.wait_for_registration("201", SOON);
    let ready = switch.post("/api/v1/agents/1024/state", &serde_json::json!({ "state": "ready" }));
    assert!(ready.status < 300, "{ready:?}");
    let story = switch.events("since=0");

    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let conversation = story.wait_for("call.started", SOON, |_| true).subject;
    let about = |event: &Event| event.subject == conversation;
    story.wait_for("menu.entered", SOON, about);
    support::process::wait_until("the customer hears two seconds of the menu", SOON, || caller.heard().samples.len() > 16_000);
    caller.press("1");
    story.wait_for("queue.entered", SOON, about);
    let first_part = story.cut(); // a wallboard loses its connection in the middle of the call

    agent.wait_for("CALL_INCOMING", SOON);
    support::process::wait_until("the customer waits two seconds more", SOON, || caller.heard().samples.len() > 40_000);
    agent.accept();
    agent.wait_for("CALL_ESTABLISHED", SOON);
    agent.wait_to_hear(Duration::from_secs(4), SOON);
    agent.hang_up();
    let (outcome, heard) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");

    let seen = first_part.last().map_or(0, |event| event.sequence);
    let resumed = switch.events(&format!("since={seen}"));
    resumed.wait_for("call.ended", SOON, about);
    resumed.wait_for("recording.finished", SOON, about);
    println!("what the customer heard (A customer, B agent, C prompt)\n{}", heard.audio().picture(&TONES));
    check_story(&switch, &conversation, &first_part, &resumed.events());
    check_recording(&site, &switch, &conversation);
}

/// The story is complete, in order, and the cut left neither gap nor repeat.
fn check_story(switch: &Cordboard, conversation: &str, before_the_cut: &[Event], after_it: &[Event]) {
    let together: Vec<Event> = before_the_cut.iter().chain(after_it).cloned().collect();
    assert_gapless(&together);
    let last = together.last().map_or(0, |event| event.sequence);
    let whole = switch.events("since=0");
    let whole = whole.wait_in_events("everything once more", SOON, |all| (all.last()?.sequence >= last).then(|| all.to_vec()));
    assert_eq!(whole[0].sequence, together[0].sequence);
    assert!(together.iter().zip(&whole).all(|(a, b)| a.cloud_event == b.cloud_event), "read twice, told differently");

    let told: Vec<&str> = together.iter().filter(|e| e.subject == conversation).map(|e| e.kind.as_str()).collect();
    println!("the story\n  {}", told.join("\n  "));
    let expected = [
        "call.started",
        "call.answered",
        "menu.entered",
        "menu.digit",
        "queue.entered",
        "queue.offered",
        "queue.answered",
        "call.bridged",
        "call.ended",
    ];
    let mut rest = told.iter();
    for kind in expected {
        assert!(rest.any(|told| *told == kind), "{kind} is missing or out of order in {told:?}");
    }
    for kind in ["recording.decided", "recording.started", "recording.finished"] {
        assert_eq!(told.iter().filter(|t| **t == kind).count(), 1, "{kind} in {told:?}");
    }
}

/// The row is found by agent, queue, number and time; left is the customer alone, right the prompt, the music, then the agent alone.
fn check_recording(site: &Site, switch: &Cordboard, conversation: &str) {
    let number = CUSTOMER.replace('+', "%2B");
    for query in
        ["agent=1024".to_owned(), "queue=support".to_owned(), format!("number={number}"), "from=2020-01-01T00:00:00Z".to_owned()]
    {
        let rows = switch.items(&format!("/api/v1/recordings?{query}"));
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        assert_eq!(rows[0]["conversation"], conversation, "{query}");
    }
    for query in ["agent=9999", "queue=other", "number=%2B1", "to=2020-01-01T00:00:00Z"] {
        assert_eq!(switch.items(&format!("/api/v1/recordings?{query}")).len(), 0, "{query}");
    }
    let row = switch.items("/api/v1/recordings?agent=1024").remove(0);
    assert_eq!((&row["state"], &row["channels"]), (&"finished".into(), &2.into()), "{row}");
    let answer = switch.get(&format!("/api/v1/recordings/{}/audio", row["id"].as_str().unwrap_or_default()));
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "audio/wav"));
    let audio = Audio::read(&site.folder().write("recording.wav", &answer.body));
    println!("the recording, {:.1} s (A customer, B agent, C prompt)\n{}", audio.seconds(), audio.picture(&TONES));
    assert!((audio.seconds() * 1_000.0 - row["duration_ms"].as_f64().unwrap_or(0.0)).abs() < 1.0, "{row}");

    let (left, right) = (audio.halves(0, &TONES), audio.halves(1, &TONES));
    assert!(left.iter().all(|half| half.is_silent() || half.tones == [0]), "left is not the customer alone");
    // While the customer presses the digit he does not speak, and a tone that starts and stops is not pure.
    let broken = left.iter().filter(|half| !half.is_only(0)).count();
    assert!(broken <= 2 && left.len() > 10, "left misses the customer in {broken} of {} halves", left.len());
    assert!(right.iter().all(|half| !half.tones.contains(&0)), "the customer hears himself on the right");
    let place = |likes: &dyn Fn(&Half) -> bool| right.iter().position(likes);
    let (prompt, agent) = (place(&|h| h.is_only(2)), place(&|h| h.is_only(1)));
    assert!(prompt.is_some() && prompt < agent, "right is not the prompt, then the agent");
    let talk = &right[agent.unwrap_or(0)..right.len() - 1];
    assert!(talk.len() >= 6 && talk.iter().all(|half| half.is_only(1)), "the agent is not alone on the right once he talks");
}
