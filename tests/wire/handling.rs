//! A supervisor and a caller who waits, by real clients: the caller is told of an outage at once, and is sent to the supervisor's phone,
//! where, by tones, they hear each other and nobody else.

use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);
/// The customer, the supervisor, what the queue is told.
const TONES: [f64; 3] = [440.0, 1_000.0, 2_000.0];

#[test]
fn a_caller_who_waits_is_told_of_an_outage_and_sent_to_a_supervisor() {
    let site = Site::new("handling")
        .phone("201")
        .phone("210")
        .agent("1024", "Olena", "201")
        .with("[[queue]]\nname = \"support\"\nagents = [\"1024\"]\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support")
        .prompt_of_tone("en", "outage", TONES[2], 2);
    let switch = site.start();
    let mut chief = Baresip::phone(site.folder(), "210").tone(TONES[1]).registrar(switch.sip(), &secret("210")).start();
    switch.wait_for_registration("210", SOON);
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    story.wait_for("queue.entered", SOON, |_| true);
    let waiting = switch.items("/api/v1/queues/support/callers");
    assert_eq!((waiting.len(), &waiting[0]["position"], &waiting[0]["number"]), (1, &json!(1), &json!(CUSTOMER)));

    let news = json!({ "prompt": "outage" }).to_string();
    assert_eq!(switch.put("/api/v1/queues/support/announcement", "application/json", news.as_bytes()), 204);
    wait_until("the caller hears it", SOON, || {
        caller.heard().audio().halves(0, &TONES).iter().filter(|half| half.is_only(2)).count() >= 3
    });
    let queue = switch.items("/api/v1/queues").remove(0);
    assert_eq!(queue["announcement"]["prompt"], json!("outage"), "{queue}");

    let conversation = waiting[0]["conversation"].as_str().unwrap_or_default();
    let path = format!("/api/v1/conversations/{conversation}/move");
    assert_eq!(switch.post(&path, &json!({ "to": "phone:299" })).status, 409);
    assert_eq!(switch.post(&path, &json!({ "to": "nowhere" })).status, 422);
    let sent = switch.post(&path, &json!({ "to": "phone:210" }));
    assert_eq!(sent.status, 204, "{sent:?}");
    story.wait_for("queue.left", SOON, |e| e.data()["why"] == "moved" && e.data()["to"] == "phone:210");
    chief.wait_for("CALL_INCOMING", SOON);
    chief.accept();
    wait_until("the caller hears the supervisor alone", SOON, || {
        caller.heard().audio().halves(0, &TONES).iter().rev().take(3).filter(|half| half.is_only(1)).count() == 3
    });
    chief.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let heard = chief.heard();
    let halves = heard.last().map(|audio| audio.halves(0, &TONES)).unwrap_or_default();
    assert!(halves.iter().filter(|half| half.is_only(0)).count() >= 2, "the supervisor hears the customer alone");
    story.wait_for("audit.commanded", SOON, |e| e.data()["command"] == "move_caller" && e.data()["outcome"] == "done");
}
