//! An agent who logs in at another phone, by code and keyed PIN, or is put into another queue: the next caller rings there, and after a
//! kill the agent is there still.

use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);
/// The customer, the agent at the other desk, what the switch says itself.
const TONES: [f64; 3] = [440.0, 1_000.0, 2_000.0];

#[test]
fn an_agent_logs_in_at_another_phone_by_code_and_pin_and_has_the_next_caller_there() {
    let mut site = Site::new("desks")
        .phone("201")
        .phone("202")
        .with("[[agent]]\nstaff_number = \"1024\"\nname = \"Olena\"\nphone = \"201\"\npin = \"2468\"\n")
        .with("[[queue]]\nname = \"support\"\nagents = [\"1024\"]\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support");
    for prompt in ["voicemail-pin", "invalid", "agent-ready"] {
        site = site.prompt_of_tone("en", prompt, TONES[2], 1);
    }
    let mut switch = site.start();
    let mut desk = Baresip::phone(site.folder(), "202").tone(TONES[1]).registrar(switch.sip(), &secret("202")).start();
    switch.wait_for_registration("202", SOON);
    let story = switch.events("since=0");
    desk.dial(&format!("sip:*241024@{}", switch.sip()));
    desk.wait_for("CALL_ESTABLISHED", SOON);
    desk.press("2468#");
    let told = story.wait_for("agent.logged_in", SOON, |_| true);
    assert_eq!((&told.data()["agent"], &told.data()["phones"]), (&json!("1024"), &json!(["202"])));
    desk.wait_for("CALL_CLOSED", SOON);
    let audit = story.wait_for("audit.commanded", SOON, |e| e.data()["command"] == "log_in");
    assert!(!audit.data().to_string().contains("2468"), "{}", audit.data());

    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    desk.wait_for("CALL_INCOMING", SOON);
    desk.accept();
    story.wait_for("queue.answered", SOON, |e| e.data()["agent"] == "1024");
    wait_until("the customer hears the agent", SOON, || {
        let heard = caller.heard();
        heard.audio().halves(0, &TONES).iter().rev().take(3).filter(|half| half.is_only(1)).count() == 3
    });
    desk.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    switch.kill();
    let switch = site.start();
    assert_eq!(switch.items("/api/v1/agents")[0]["phones"], json!(["202"]));
}

#[test]
fn an_agent_who_is_put_into_a_queue_has_who_waits_there_and_is_there_after_a_kill() {
    let site = Site::new("memberships")
        .phone("201")
        .agent("1024", "Olena", "201")
        .with("[[queue]]\nname = \"sales\"\nagents = [\"1024\"]\n[[queue]]\nname = \"support\"\nagents = []\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support");
    let mut switch = site.start();
    let mut phone = Baresip::phone(site.folder(), "201").tone(TONES[1]).registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    story.wait_for("queue.entered", SOON, |_| true);

    let path = "/api/v1/agents/1024/queues";
    let put =
        |queues: serde_json::Value| switch.put(path, "application/json", json!({ "queues": queues }).to_string().as_bytes());
    for (bad, status) in [
        (json!([{"queue": "nights"}]), 404),
        (json!([{"queue": "support", "rank": 0}]), 422),
        (json!([{"queue": "support"}, {"queue": "support"}]), 422),
        (json!([{"queue": "support", "level": 1}]), 422),
    ] {
        assert_eq!(put(bad.clone()), status, "{bad}");
    }
    assert_eq!(put(json!([{"queue": "support", "rank": 2}, {"queue": "sales"}])), 200);
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    story.wait_for("queue.answered", SOON, |e| e.data()["agent"] == "1024");
    wait_until("the customer hears the agent", SOON, || {
        let heard = caller.heard();
        heard.audio().halves(0, &TONES).iter().rev().take(3).filter(|half| half.is_only(1)).count() == 3
    });
    phone.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    switch.kill();
    let switch = site.start();
    assert_eq!(switch.items("/api/v1/agents")[0]["queues"], json!(["sales", "support"]));
    let back = switch.request("DELETE", path, None, &[]).expect("an answer");
    assert_eq!((back.status, &back.json()["queues"]), (200, &json!(["sales"])));
}
