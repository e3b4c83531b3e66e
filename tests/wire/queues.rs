//! Queues by real clients: a caller who waits is told its place, the phones of several agents ring, one of them answers, and by tones
//! only those two hear each other; and what a queue has no room for.

use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);
/// The customer, two agents, what the queue says.
const TONES: [f64; 4] = [440.0, 1_000.0, 1_400.0, 2_000.0];

fn site(name: &str, queue: &str) -> Site {
    Site::new(name)
        .phone("201")
        .phone("202")
        .agent("1024", "Olena", "201")
        .agent("1025", "Jonas", "202")
        .with(&format!("[[queue]]\nname = \"support\"\nagents = [\"1024\", \"1025\"]\n{queue}\n"))
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support")
        .prompt_of_tone("en", "queue-position", TONES[3], 1)
        .prompt_of_tone("en", "say-1", TONES[3], 1)
}

fn agent(site: &Site, switch: &Cordboard, number: &str, tone: f64) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).tone(tone).registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

fn call(site: &Site, switch: &Cordboard) -> Caller {
    let caller = Caller::call(site.folder().path(), "customer", switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    caller
}

/// The customer hears this tone and no other, for a second and a half.
fn wait_until_only(caller: &Caller, tone: usize) {
    wait_until("the customer hears only that", SOON, || {
        let heard = caller.heard();
        heard.audio().halves(0, &TONES).iter().rev().take(3).filter(|half| half.is_only(tone)).count() == 3
    });
}

#[test]
fn a_caller_is_told_its_place_then_all_phones_ring_and_who_answers_first_has_it() {
    let site = site("queue-ring-all", "strategy = \"ring_all\"\nannounce = { first = \"1s\", every = \"5s\", position = true }");
    let switch = site.start();
    let story = switch.events("since=0");
    let olena = agent(&site, &switch, "201", TONES[1]);
    let mut jonas = agent(&site, &switch, "202", TONES[2]);
    let set = |state: &str| {
        for number in ["1024", "1025"] {
            let answer = switch.post(&format!("/api/v1/agents/{number}/state"), &json!({ "state": state }));
            assert!(answer.status < 300, "{answer:?}");
        }
    };
    set("paused");
    let caller = call(&site, &switch);
    wait_until_only(&caller, 3);
    set("ready");
    for phone in [&olena, &jonas] {
        phone.wait_for("CALL_INCOMING", SOON);
    }
    jonas.accept();
    story.wait_for("queue.answered", SOON, |e| e.data()["agent"] == "1025");
    olena.wait_for("CALL_CLOSED", SOON);
    wait_until_only(&caller, 2);
    let states: Vec<_> = switch.items("/api/v1/agents").into_iter().map(|agent| agent["state"].clone()).collect();
    assert_eq!(states, [json!("ready"), json!("talking")]);
    let queue = switch.items("/api/v1/queues").remove(0);
    assert_eq!((&queue["strategy"], &queue["answered"]), (&json!("ring_all"), &json!(1)));
    jonas.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let unanswered = switch.items("/api/v1/conversations").remove(0)["intervals"]
        .as_array()
        .map(|spans| spans.iter().filter(|span| span["outcome"] == "unanswered").count());
    assert_eq!(unanswered, Some(0));
}

/// The figures of the day are there after a restart, by signal and by kill.
#[test]
fn a_queues_figures_outlive_the_process() {
    let site = site("queue-figures", "short_abandon = \"0s\"");
    let mut switch = site.start();
    let mut olena = agent(&site, &switch, "201", TONES[1]);
    let caller = call(&site, &switch);
    olena.wait_for("CALL_INCOMING", SOON);
    olena.accept();
    wait_until_only(&caller, 1);
    olena.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let counts = |switch: &Cordboard| {
        let queue = switch.items("/api/v1/queues").remove(0);
        (queue["offered"].clone(), queue["answered"].clone(), queue["abandoned"].clone())
    };
    let before = counts(&switch);
    assert_eq!(before, (json!(1), json!(1), json!(0)));
    let row = |switch: &Cordboard| switch.items("/api/v1/figures?by=queue&every=year&from=2020-01-01").remove(0);
    let folded = |switch: &Cordboard| {
        let row = row(switch);
        let behind = "/api/v1/figures/conversations?by=queue&name=support&metric=talk_ms&from=2020-01-01";
        let talk: u64 = switch.items(behind).iter().filter_map(|part| part["value"].as_u64()).sum();
        assert_eq!(row["talk_ms"], json!(talk), "{row}");
        ["name", "entered", "answered", "abandoned", "talk_ms", "waited_ms", "service_level"].map(|figure| row[figure].clone())
    };
    wait_until("the talk is counted", SOON, || row(&switch)["talk_ms"] != json!(0));
    let figures = folded(&switch);
    assert_eq!(figures[..4], [json!("support"), json!(1), json!(1), json!(0)]);
    let board = switch.json("/api/v1/wallboard");
    assert_eq!((&board["queues"][0]["name"], board["agents"].as_array().map(Vec::len) > Some(0)), (&json!("support"), true));
    switch.kill();
    let switch = site.start();
    assert_eq!(counts(&switch), before);
    assert_eq!(folded(&switch), figures);
}
