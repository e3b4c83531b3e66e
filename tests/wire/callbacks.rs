//! A customer who asks to be called back, by real clients: it presses the key while it waits, the switch is killed, the agent's phone rings
//! first after that, and then, by tones, only agent and customer hear each other.

use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::wait_until;
use super::support::rtp::Peer;
use super::support::sipp::{Sipp, kept};

const SOON: Duration = Duration::from_secs(30);
/// Where the carrier takes calls.
const OUT: &str = "127.0.0.7";
/// The customer, the agent, what the queue says.
const TONES: [f64; 3] = [440.0, 1_000.0, 2_000.0];

fn site(port: u16) -> Site {
    let mut site = Site::new("callback")
        .phone("201")
        .agent("1024", "Olena", "201")
        .with("[[queue]]\nname = \"support\"\nagents = [\"1024\"]\ncallback = { digit = \"1\", confirm = false }\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support")
        .with(&format!("[[trunk]]\nname = \"out\"\npeer = \"{OUT}:{port}\"\nprobe = \"off\"\n"))
        .with("[[outbound]]\npattern = \"+*\"\ntrunk = [\"out\"]\n");
    for prompt in ["callback-offer", "callback-confirm", "callback-options", "callback-number", "callback-accepted"] {
        site = site.prompt_of_tone("en", prompt, TONES[2], 1);
    }
    site
}

fn set(switch: &Cordboard, state: &str) {
    let answer = switch.post("/api/v1/agents/1024/state", &json!({ "state": state }));
    assert!(answer.status < 300, "{answer:?}");
}

#[test]
fn who_asked_for_it_is_called_back_after_a_kill_and_agent_and_customer_hear_each_other() {
    let port = ports::port();
    let site = site(port);
    let mut switch = site.start();
    let mut olena = Baresip::phone(site.folder(), "201").tone(TONES[1]).registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    set(&switch, "paused");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[0], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    let story = switch.events("since=0");
    story.wait_for("queue.entered", SOON, |_| true);
    caller.press("1");
    story.wait_for("queue.callback", SOON, |e| e.data()["change"] == "created" && e.data()["number"] == CUSTOMER);
    let (outcome, heard) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(heard.audio().halves(0, &TONES).iter().any(|half| half.is_only(2)), "it is told that it is accepted");
    switch.kill();

    let customer = Peer::at(OUT, TONES[0]);
    let carrier = Sipp::scenario(site.folder().path(), "carrier", &kept("uas"))
        .address(OUT)
        .port(port)
        .key("audio_port", customer.port())
        .start();
    carrier.wait_until_bound();
    let switch = site.start();
    let waiting = switch.items("/api/v1/callbacks");
    assert_eq!((waiting.len(), &waiting[0]["state"], &waiting[0]["number"]), (1, &json!("waiting"), &json!(CUSTOMER)));
    let story = switch.events("since=0");
    set(&switch, "ready");
    olena.wait_for("CALL_INCOMING", SOON);
    assert!(carrier.received().is_empty(), "the agent comes first");
    olena.accept();
    carrier.wait_for_received(&format!("INVITE sip:{CUSTOMER}@"), SOON);
    customer.send_to(carrier.wait_for_media_address(SOON));
    story.wait_for("queue.callback", SOON, |e| e.data()["change"] == "connected");
    wait_until("the customer hears the agent alone", SOON, || {
        let heard = customer.heard();
        heard.audio().halves(0, &TONES).iter().rev().take(3).filter(|half| half.is_only(1)).count() == 3
    });
    olena.hang_up();
    let outcome = carrier.finish(SOON);
    assert_eq!((outcome.code, outcome.successful), (Some(0), 1), "{outcome:#?}");
    story.wait_for("queue.callback", SOON, |e| e.data()["change"] == "done");
    let heard = olena.heard();
    let halves = heard.last().map(|audio| audio.halves(0, &TONES)).unwrap_or_default();
    assert!(halves.iter().filter(|half| half.is_only(0)).count() >= 2, "the agent hears the customer alone");
    assert!(switch.items("/api/v1/callbacks").is_empty());
    let row = switch.items("/api/v1/figures?by=queue&every=year&from=2020-01-01").remove(0);
    wait_until("it is counted", SOON, || {
        let row = switch.items("/api/v1/figures?by=queue&every=year&from=2020-01-01").remove(0);
        row["called_back"] == json!(1)
    });
    assert_eq!((&row["callbacks"], &row["answered"], &row["abandoned"]), (&json!(1), &json!(0), &json!(0)), "{row}");
}
