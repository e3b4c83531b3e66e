//! Lamps, pickup, park slots and text over real sockets: SIPp as the watcher, baresip and linphonec as phones.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::process::wait_until;
use super::support::sipp::{Sipp, kept};

const SOON: Duration = Duration::from_secs(20);
const TONES: [f64; 3] = [440.0, 1_000.0, 700.0];

fn phone(site: &Site, switch: &Cordboard, number: &str, tone: f64) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).tone(tone).start();
    switch.wait_for_registration(number, SOON);
    phone
}

fn dialled(switch: &Cordboard, number: &str) -> String {
    format!("sip:{number}@{}", switch.sip())
}

fn watcher(site: &Site, switch: &Cordboard, scenario: &str) -> Sipp {
    // SIPp takes no keys inside of [authentication …], and its digest is for the bare address unless it is told the URI.
    let scenario = kept(scenario).replace("[number]", "203").replace("[secret]", &secret("203"));
    Sipp::scenario(site.folder().path(), "watcher", &scenario)
        .service("201")
        .argument("-auth_uri")
        .argument(format!("201@{}", switch.sip()))
        .target(switch.sip())
        .start()
}

/// RFC 6665 §4, RFC 4235: SIPp sees a line ring, talk and hang up; the subscription is refreshed and given back.
#[test]
fn a_lamp_shows_a_line_that_rings_and_talks() {
    let site = Site::new("lamp").phone("201").phone("202").phone("203");
    let switch = site.start();
    let mut line = phone(&site, &switch, "201", TONES[0]);
    let mut caller = phone(&site, &switch, "202", TONES[1]);
    let watcher = watcher(&site, &switch, "watcher");
    watcher.wait_for_received("dialog-info", SOON);
    caller.dial(&dialled(&switch, "201"));
    line.wait_for("CALL_INCOMING", SOON);
    watcher.wait_for_received("<state>early</state>", SOON);
    line.accept();
    watcher.wait_for_received("<state>confirmed</state>", SOON);
    caller.wait_for("CALL_ESTABLISHED", SOON);
    caller.hang_up();
    let outcome = watcher.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

/// RFC 6665 §4.4.1: a process that is killed tells nobody that its calls are gone, so its successor does, in the dialog that there is.
#[test]
fn a_lamp_that_was_on_when_the_switch_was_killed_goes_out_without_a_new_subscription() {
    let site = Site::new("lamp-killed").phone("201").phone("202").phone("203");
    let mut switch = site.start();
    let mut line = phone(&site, &switch, "201", TONES[0]);
    let mut caller = phone(&site, &switch, "202", TONES[1]);
    let scenario =
        kept("lamp").replace("[number]", "203").replace("[secret]", &secret("203")).replace("[until]", "nothing ends it");
    let watcher = Sipp::scenario(site.folder().path(), "watcher", &scenario)
        .service("201")
        .argument("-auth_uri")
        .argument(format!("201@{}", switch.sip()))
        .target(switch.sip())
        .start();
    watcher.wait_for_received("dialog-info", SOON);
    caller.dial(&dialled(&switch, "201"));
    line.wait_for("CALL_INCOMING", SOON);
    watcher.wait_for_received("<state>early</state>", SOON);
    line.accept();
    watcher.wait_for_received("<state>confirmed</state>", SOON);
    let told = watcher.received().len();
    switch.kill();
    let switch = site.start();
    let after = || watcher.received().split_off(told);
    wait_until("the watcher is told", SOON, || !after().is_empty());
    let first = after().swap_remove(0);
    assert!(first.starts_with("NOTIFY ") && first.contains("state=\"full\""), "{first}");
    assert!(
        ["trying", "early", "confirmed"].iter().all(|state| !first.contains(&format!("<state>{state}"))),
        "it is out: {first}"
    );
    // The phones know nothing of it; the next call shows that the lamp is alive.
    for phone in [&mut line, &mut caller] {
        phone.hang_up();
        phone.wait_for("CALL_CLOSED", SOON);
    }
    caller.dial(&dialled(&switch, "201"));
    line.wait_for_nth("CALL_INCOMING", 2, SOON);
    wait_until("it is lit again", SOON, || after().iter().any(|m| m.contains("<state>early</state>")));
    assert_eq!(watcher.messages().matches("\nSUBSCRIBE ").count(), 2, "asked, and asked with credentials");
}

/// RFC 6665 §7.2.1, §4.2.1.1.
#[test]
fn what_cannot_be_watched_is_refused_with_what_could_be() {
    let site = Site::new("unwatchable").phone("201").phone("203");
    let switch = site.start();
    let outcome = watcher(&site, &switch, "unwatchable").finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

/// RFC 3842, with baresip as the subscriber.
#[test]
fn a_baresip_subscribes_to_its_messages_and_has_none() {
    let site = Site::new("mwi").phone("201");
    let switch = site.start();
    let mut phone = Baresip::phone(site.folder(), "visitor").config("module_app mwi.so").start();
    // Only now: what it is told before somebody listens at its control port is lost.
    let account = format!("<sip:201@{}>;auth_user=201;auth_pass={};regint=60;mwi=yes", switch.sip(), secret("201"));
    phone.command("uanew", &account);
    switch.wait_for_registration("201", SOON);
    let told = phone.wait_for("MWI_NOTIFY", SOON);
    assert!(told["param"].as_str().is_some_and(|text| text.contains("Messages-Waiting: no")), "{told}");
}

#[test]
fn a_ringing_call_is_picked_up_by_code_and_a_parked_one_is_retrieved() {
    let site = Site::new("pickup").phone("201").phone("202").phone("203").with("[park]\nslots = \"701-709\"\n");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let bob = phone(&site, &switch, "202", TONES[1]);
    let mut carol = phone(&site, &switch, "203", TONES[2]);
    let story = switch.events("since=0");
    alice.dial(&dialled(&switch, "202"));
    bob.wait_for("CALL_INCOMING", SOON);
    carol.dial(&dialled(&switch, "*8202"));
    carol.wait_for("CALL_ESTABLISHED", SOON);
    alice.wait_for("CALL_ESTABLISHED", SOON);
    bob.wait_for("CALL_CLOSED", SOON);
    let picked = story.wait_for("call.picked_up", SOON, |_| true);
    assert_eq!((&picked.data()["phone"], &picked.data()["from"]), (&"203".into(), &"202".into()));
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    carol.wait_to_hear(Duration::from_secs(2), SOON);

    carol.transfer(&dialled(&switch, "701"));
    story.wait_for("call.parked", SOON, |event| event.data()["slot"] == "701");
    carol.wait_for("CALL_CLOSED", SOON);
    let mut bob = bob;
    bob.dial(&dialled(&switch, "701"));
    bob.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.retrieved", SOON, |event| event.data()["phone"] == "202");
    bob.wait_to_hear(Duration::from_secs(2), SOON);
    alice.hang_up();
    bob.wait_for_nth("CALL_CLOSED", 2, SOON);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
    assert_eq!(story.events().iter().filter(|e| e.kind == "call.started").count(), 1);

    // Carol's tone first, then the music, then Bob's: nobody heard a stranger.
    let heard = alice.heard();
    let halves = heard[0].halves(0, &TONES);
    assert!(halves.iter().any(|half| half.is_only(2)), "{}", heard[0].picture(&TONES));
    assert!(halves.iter().rev().take(4).any(|half| half.is_only(1)), "{}", heard[0].picture(&TONES));
}

/// linphonec holds, calls the code, hears the slot and joins the two calls; baresip transfers blindly and is rung back by the slot.
#[test]
fn a_call_is_parked_by_code_and_who_parks_hears_where() {
    let site = Site::new("park-code").phone("201").phone("202").phone("203").with("[park]\nslots = \"701-709\"\n");
    // Tones for words: which is heard when is for the scenarios.
    let words = ["parked", "digit-7", "digit-0", "digit-1", "digit-2"];
    let site = words.iter().fold(site, |site, word| site.prompt_of_tone("en", word, TONES[2], 1));
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut bob = phone(&site, &switch, "202", TONES[1]);
    let mut linphone = Linphone::start(site.folder(), "203", 550.0);
    linphone.register("203", &switch.sip().to_string(), &secret("203"));
    switch.wait_for_registration("203", SOON);
    let story = switch.events("since=0");
    alice.dial(&dialled(&switch, "203"));
    linphone.expect("Receiving new incoming call", SOON);
    let first = linphone.expect_number("assigned id ", SOON);
    linphone.say(&format!("answer {first}"));
    alice.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.bridged", SOON, |_| true);
    linphone.say("pause");
    linphone.expect("is now paused", SOON);
    linphone.say(&format!("call {}", dialled(&switch, "*70")));
    let second = linphone.expect_number("assigned id ", SOON);
    let asked = story.wait_for("call.started", SOON, |event| event.data()["called"] == "*70").subject;
    story.wait_for("call.answered", SOON, |event| event.subject == asked);
    linphone.expect(&format!("established with sip:*70@{} for call {second}", switch.sip()), SOON);
    linphone.say(&format!("transfer {first} --to-call {second}"));
    story.wait_for("call.parked", SOON, |event| event.data()["slot"] == "701" && event.data()["phone"] == "203");
    bob.dial(&dialled(&switch, "701"));
    bob.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.retrieved", SOON, |event| event.data()["phone"] == "202");
    bob.wait_to_hear(Duration::from_secs(1), SOON);

    bob.transfer(&dialled(&switch, "*70"));
    story.wait_for("call.parked", SOON, |event| event.data()["phone"] == "202");
    let ringing = bob.wait_for("CALL_INCOMING", SOON);
    assert!(ringing["peeruri"].as_str().is_some_and(|uri| uri.contains("701@")), "{ringing}");
    bob.accept();
    bob.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    // It says so twice and hangs up.
    bob.wait_for_nth("CALL_CLOSED", 2, SOON);
    alice.hang_up();
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
    let heard = bob.heard();
    let told = heard.last().expect("a second call");
    assert!(told.halves(0, &TONES).iter().filter(|half| half.is_only(2)).count() >= 8, "{}", told.picture(&TONES));
}

/// RFC 3428, between two linphonec.
#[test]
fn a_linphone_writes_to_another() {
    let site = Site::new("chat").phone("201").phone("202");
    let switch = site.start();
    let mut one = Linphone::start(site.folder(), "one", TONES[0]);
    one.register("201", &switch.sip().to_string(), &secret("201"));
    switch.wait_for_registration("201", SOON);
    let mut other = Linphone::start(site.folder(), "other", TONES[1]);
    other.register("202", &switch.sip().to_string(), &secret("202"));
    switch.wait_for_registration("202", SOON);
    one.say(&format!("chat {} \"five o'clock\"", dialled(&switch, "202")));
    other.expect("five o'clock", SOON);
}

/// Rung back it refuses, and so does the phone that parked calls overflow to, at first. Nobody's call is lost on the way.
#[test]
fn a_parked_call_that_nobody_fetches_goes_where_the_configuration_says() {
    let park = "[park]\nslots = \"701-709\"\ntimeout = \"10s\"\noverflow = \"phone:203\"\n";
    let site = Site::new("park-overflow").phone("201").phone("202").phone("203").with(park);
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut bob = phone(&site, &switch, "202", TONES[1]);
    let mut carol = phone(&site, &switch, "203", TONES[2]);
    let story = switch.events("since=0");
    let told = |outcome: &'static str, nth: u64| {
        story.wait_for("call.park_returned", SOON, move |event| {
            event.data()["outcome"] == outcome && event.data()["returns"] == nth && event.data()["slot"] == "701"
        })
    };
    alice.dial(&dialled(&switch, "202"));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    bob.transfer(&dialled(&switch, "701"));
    story.wait_for("call.parked", SOON, |event| event.data()["slot"] == "701");
    bob.wait_for("CALL_CLOSED", SOON);

    bob.wait_for_nth("CALL_INCOMING", 2, SOON);
    told("ringing", 1);
    bob.hang_up();
    assert_eq!(told("unanswered", 1).data()["cause"], "busy");
    carol.wait_for("CALL_INCOMING", SOON);
    assert_eq!(told("overflow", 1).data()["to"], "phone:203");
    carol.hang_up();
    told("overflow_failed", 1);
    assert_eq!(alice.count("CALL_CLOSED"), 0, "it waits on in its slot");

    bob.wait_for_nth("CALL_INCOMING", 3, SOON);
    bob.hang_up();
    carol.wait_for_nth("CALL_INCOMING", 2, SOON);
    carol.accept();
    carol.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.bridged", SOON, |event| event.data()["phone"] == "203");
    carol.wait_to_hear(Duration::from_secs(2), SOON);
    // The slot is free.
    bob.dial(&dialled(&switch, "701"));
    let closed = bob.wait_for_nth("CALL_CLOSED", 4, SOON);
    assert!(closed["param"].as_str().is_some_and(|why| why.contains("404")), "{closed}");
    alice.hang_up();
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
    let heard = alice.heard();
    let halves = heard[0].halves(0, &TONES);
    assert!(halves.iter().rev().take(4).any(|half| half.is_only(2)), "{}", heard[0].picture(&TONES));
}
