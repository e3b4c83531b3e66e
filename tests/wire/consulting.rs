//! Within a call: an agent with one line asks a colleague, and gives the customer to her; and what the customer thinks of it.

#![allow(clippy::disallowed_methods, reason = "real programs write their files by the real clock")]

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK, centre};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;
use super::support::tones::Audio;

const SOON: Duration = Duration::from_secs(30);
/// The customer, the agent, who is asked.
const TONES: [f64; 3] = [440.0, 1_000.0, 1_700.0];

/// In its last second and a half, exactly these.
fn hears(audio: Option<Audio>, all: &[usize]) -> bool {
    let Some(audio) = audio else { return false };
    let halves = audio.halves(0, &TONES);
    halves.len() > 4 && halves.iter().rev().skip(1).take(3).all(|half| half.tones == all)
}

fn phone(site: &Site, switch: &Cordboard, number: &str, tone: f64) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).tone(tone).answers();
    let phone = phone.registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

#[test]
fn a_consultation_by_api_and_keys_is_heard_by_whom_it_is_for() {
    let begin = SystemTime::now();
    let site =
        Site::new("consulting").phone("201").phone("202").trunk("carrier", TRUNK).inbound("carrier", MAIN_NUMBER, "phone:201");
    let switch = site.start();
    let mut agent = phone(&site, &switch, "201", TONES[1]);
    let asked = phone(&site, &switch, "202", TONES[2]);
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let customer = || Some(caller.heard().audio());
    wait_until("customer and agent talk", SOON, || hears(customer(), &[1]) && hears(agent.hears_since(begin), &[0]));
    let id = switch.items("/api/v1/conversations?state=live")[0]["id"].as_str().unwrap_or_default().to_owned();
    let step = |verb: &str, body| switch.post(&format!("/api/v1/conversations/{id}/{verb}"), &body).status;

    assert_eq!(step("consult", json!({"to": "202"})), 204);
    story.wait_for("call.consulted", SOON, |e| e.data()["change"] == "answered");
    wait_until("who asks and who is asked talk", SOON, || {
        hears(agent.hears_since(begin), &[2]) && hears(asked.hears_since(begin), &[1])
    });
    wait_until("the customer hears neither", SOON, || {
        let heard = caller.heard().audio();
        let last = heard.halves(0, &TONES);
        last.iter().rev().take(3).all(|half| !half.is_silent() && !half.tones.contains(&1) && !half.tones.contains(&2))
    });

    agent.press("*77");
    story.wait_for("call.consulted", SOON, |e| e.data()["change"] == "swapped");
    wait_until("the customer has the agent back", SOON, || hears(customer(), &[1]) && hears(agent.hears_since(begin), &[0]));

    agent.press("*71");
    story.wait_for("call.consulted", SOON, |e| e.data()["change"] == "joined");
    wait_until("all three talk", SOON, || {
        hears(customer(), &[1, 2]) && hears(agent.hears_since(begin), &[0, 2]) && hears(asked.hears_since(begin), &[0, 1])
    });
    agent.hang_up();
    wait_until("the two go on", SOON, || hears(customer(), &[2]) && hears(asked.hears_since(begin), &[0]));
    let row = switch.json(&format!("/api/v1/conversations/{id}"));
    let intervals = row["intervals"].as_array().cloned().unwrap_or_default();
    let asked_in = intervals.iter().find(|interval| interval["kind"] == "consultation").cloned().unwrap_or_default();
    assert_eq!((&asked_in["outcome"], &asked_in["to_place"]), (&json!("joined"), &json!("202")), "{row:#}");
    assert_eq!(step("hangup", json!({})), 204);
    caller.finish(SOON);
}

#[test]
fn who_was_asked_gets_the_customer_when_the_agent_completes() {
    let begin = SystemTime::now();
    let site =
        Site::new("completing").phone("201").phone("202").trunk("carrier", TRUNK).inbound("carrier", MAIN_NUMBER, "phone:201");
    let switch = site.start();
    let mut agent = phone(&site, &switch, "201", TONES[1]);
    let mut asked = phone(&site, &switch, "202", TONES[2]);
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    agent.wait_to_hear(Duration::from_secs(1), SOON);
    agent.press("*76202#");
    story.wait_for("call.consulted", SOON, |e| e.data()["change"] == "answered");
    wait_until("who asks and who is asked talk", SOON, || {
        hears(agent.hears_since(begin), &[2]) && hears(asked.hears_since(begin), &[1])
    });
    agent.press("*78");
    agent.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.transferred", SOON, |e| e.data()["outcome"] == "completed");
    let customer = || Some(caller.heard().audio());
    wait_until("the customer has her", SOON, || hears(customer(), &[2]) && hears(asked.hears_since(begin), &[0]));
    asked.hang_up();
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

const CSAT: &str = r#"
name = "csat"
language = "en"
start = "rate"

[node.rate]
kind = "survey"
prompt = "survey"
question = "satisfied"
"#;

#[test]
fn a_customer_whose_agent_hangs_up_first_answers_the_survey_by_keys() {
    let survey = "[[queue]]\nname = \"asks\"\nagents = [\"1024\"]\nsurvey = \"menu:csat\"\n";
    let site = centre("surveys").with(survey).menu("csat", CSAT).prompt_of_tone("en", "survey", 2_000.0, 3).inbound(
        "carrier",
        "+4930555099",
        "queue:asks",
    );
    let switch = site.start();
    let mut agent = phone(&site, &switch, "201", TONES[1]);
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, "+4930555099", TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let customer = || Some(caller.heard().audio());
    wait_until("the customer hears the agent", SOON, || hears(customer(), &[1]));
    agent.hang_up();
    story.wait_for("menu.entered", SOON, |e| e.data()["menu"] == "csat");
    caller.press("4");
    let told = story.wait_for("call.surveyed", SOON, |_| true);
    assert_eq!((&told.data()["score"], &told.data()["agent"]), (&json!(4), &json!("1024")));
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    wait_until("the row has it", SOON, || {
        let rows = switch.items("/api/v1/conversations");
        rows.first().is_some_and(|row| row["surveys"][0]["score"] == 4)
    });
}
