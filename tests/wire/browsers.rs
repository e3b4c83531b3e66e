//! Browsers over WebSocket: JsSIP and SIP.js in Chromium, whose audio is DTLS-SRTP by ICE.

#![allow(clippy::disallowed_methods, reason = "real programs write their files by the real clock")]

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::browser::{Browser, Settings};
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, TRUNK};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;
use super::support::tones::{Audio, Half};

const SOON: Duration = Duration::from_secs(30);

/// What the browser says, the phone, and a third.
const TONES: [f64; 3] = [700.0, 1_000.0, 1_500.0];

/// A page that registers.
pub fn browser(site: &Site, library: &str, over: &str, user: &str, tone: f64) -> Browser {
    let (page, at) = if over == "wss" { ("https", site.https()) } else { ("http", site.http()) };
    let settings = Settings {
        library,
        page: format!("{page}://{at}/"),
        url: format!("{over}://{at}/sip"),
        user,
        secret: &secret(user),
        tone,
    };
    Browser::start(site.folder(), &settings)
}

fn transport_of(switch: &Cordboard, number: &str) -> String {
    let all = switch.items("/api/v1/registrations");
    let found = all.iter().find(|r| r["number"] == number).unwrap_or_else(|| panic!("{number} is not registered"));
    found["transport"].as_str().unwrap_or_default().to_owned()
}

/// RFC 7118: registration, a call that comes and one that goes, and the end of the connection.
fn registers_rings_and_is_rung(library: &str, over: &str) {
    let site = Site::new(library).phone("201").phone("202").secure();
    let switch = site.start();
    let mut desk = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).start();
    switch.wait_for_registration("202", SOON);
    let mut browser = browser(&site, library, over, "201", TONES[0]);
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    assert_eq!(transport_of(&switch, "201"), over);
    let story = switch.events("since=0");

    desk.dial(&format!("sip:201@{}", switch.sip()));
    assert_eq!(browser.wait_for("incoming", SOON), "202");
    desk.wait_for("CALL_RINGING", SOON);
    browser.tell("hangup", &[]);
    desk.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |_| true);
    assert_eq!(ended.data()["status"], 480);

    desk.dial(&format!("sip:201@{}", switch.sip()));
    assert_eq!(browser.wait_for("incoming", SOON), "202");
    desk.hang_up();
    browser.wait_for(if library == "jssip" { "failed" } else { "ended" }, SOON);

    // Its connection ends, and with it the way to it.
    drop(browser);
    story.wait_for("registration.removed", SOON, |e| e.data()["number"] == "201");
}

/// Both ways round, with the phone's tone in the browser and the browser's in the phone.
fn talks(library: &str, over: &str) {
    let site = Site::new(&format!("{library}-talks")).phone("201").phone("202").secure();
    let switch = site.start();
    let mut desk = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).tone(TONES[1]).answers().start();
    switch.wait_for_registration("202", SOON);
    let mut browser = browser(&site, library, over, "201", TONES[0]);
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");

    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    // The desk hears music meanwhile, and the browser the desk again.
    browser.tell("hold", &[]);
    story.wait_for("call.held", SOON, |_| true);
    let begin = std::time::SystemTime::now();
    wait_until("the desk hears something else", SOON, || heard_at_last(&desk, begin, |half| !half.tones.contains(&0)));
    browser.tell("resume", &[]);
    story.wait_for("call.resumed", SOON, |_| true);
    both_hear(&mut browser, &desk);
    browser.tell("press", &["5"]);
    assert_eq!(desk.wait_for("CALL_DTMF_START", SOON)["param"], "5");
    browser.tell("restart", &[]);
    browser.wait_for("restarted", SOON);
    both_hear(&mut browser, &desk);
    browser.tell("hangup", &[]);
    desk.wait_for_nth("CALL_CLOSED", 1, SOON);
    story.wait_for("call.ended", SOON, |e| e.data()["cause"] == "normal");

    desk.dial(&format!("sip:201@{}", switch.sip()));
    assert_eq!(browser.wait_for("incoming", SOON), "202");
    browser.tell("answer", &[]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    desk.hang_up();
    browser.wait_for("ended", SOON);

    // It closes its end without a BYE: nobody waits for its silence to be noticed.
    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    browser.wait_to_hear(TONES[1], SOON);
    browser.tell("close", &[]);
    desk.wait_for_nth("CALL_CLOSED", 3, Duration::from_secs(10));
    browser.wait_for("ended", SOON);

    // It is gone without a word: consent ends (RFC 7675).
    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    browser.wait_to_hear(TONES[1], SOON);
    drop(browser);
    desk.wait_for_nth("CALL_CLOSED", 4, Duration::from_secs(60));
}

fn both_hear(browser: &mut Browser, desk: &Baresip) {
    let begin = std::time::SystemTime::now();
    browser.wait_to_hear(TONES[1], SOON);
    wait_until("the desk hears the browser alone", SOON, || hears_alone(desk, begin, 0));
}

/// By a full ICE agent of the switch's, beside the page's, which is one, too: the page controls where it calls, the switch where it does.
fn talks_by_full_ice(library: &str, over: &str) {
    let site = Site::new(&format!("{library}-ice")).phone("201").phone("202").secure().media_key("ice = \"full\"");
    let switch = site.start();
    let mut desk = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).tone(TONES[1]).answers().start();
    switch.wait_for_registration("202", SOON);
    let mut browser = browser(&site, library, over, "201", TONES[0]);
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);

    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    browser.tell("restart", &[]);
    browser.wait_for("restarted", SOON);
    both_hear(&mut browser, &desk);
    browser.tell("hangup", &[]);
    desk.wait_for_nth("CALL_CLOSED", 1, SOON);

    desk.dial(&format!("sip:201@{}", switch.sip()));
    assert_eq!(browser.wait_for("incoming", SOON), "202");
    browser.tell("answer", &[]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    // By a controlling switch, a restart of the page's: who controls is settled between them.
    browser.tell("restart", &[]);
    browser.wait_for("restarted", SOON);
    both_hear(&mut browser, &desk);
    desk.hang_up();
    browser.wait_for("ended", SOON);

    // It is gone without a word: nothing answers our requests for consent.
    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    browser.wait_to_hear(TONES[1], SOON);
    drop(browser);
    desk.wait_for_nth("CALL_CLOSED", 3, Duration::from_secs(60));
}

/// The call of a page with one desk goes on between that one and another.
fn transfers(library: &str) {
    let site = Site::new(&format!("{library}-transfers")).phone("201").phone("202").phone("203");
    let switch = site.start();
    let desk = |number: &str, tone: f64| {
        let desk = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).tone(tone).answers().start();
        switch.wait_for_registration(number, SOON);
        desk
    };
    let (one, other) = (desk("202", TONES[1]), desk("203", TONES[2]));
    let mut browser = browser(&site, library, "ws", "201", TONES[0]);
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);

    for (nth, is_attended) in [(1, false), (2, true)] {
        browser.tell("call", &["202"]);
        browser.wait_for("confirmed", SOON);
        both_hear(&mut browser, &one);
        if is_attended {
            browser.tell("hold", &[]);
            browser.tell("call", &["203"]);
            browser.wait_for("confirmed", SOON);
            browser.wait_to_hear(TONES[2], SOON);
            browser.tell("attend", &[]);
        } else {
            browser.tell("refer", &["203"]);
        }
        let begin = std::time::SystemTime::now();
        for (desk, says) in [(&one, 2), (&other, 1)] {
            wait_until(&format!("{} hears the other desk alone", says), SOON, || hears_alone(desk, begin, says));
        }
        for row in switch.items("/api/v1/conversations?state=live") {
            switch.post(
                &format!("/api/v1/conversations/{}/hangup", row["id"].as_str().unwrap_or_default()),
                &serde_json::json!({}),
            );
        }
        wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
        one.wait_for_nth("CALL_CLOSED", nth, SOON);
    }
}

/// At last, for a second and a half.
fn hears_alone(desk: &Baresip, since: std::time::SystemTime, tone: usize) -> bool {
    heard_at_last(desk, since, |half| half.is_only(tone))
}

fn heard_at_last(desk: &Baresip, since: std::time::SystemTime, is: impl Fn(&Half) -> bool) -> bool {
    desk.all_since(since).iter().any(|audio| {
        let halves = audio.halves(0, &TONES);
        halves.len() >= 3 && halves.iter().rev().take(3).all(&is)
    })
}

#[test]
fn jssip_in_chromium_transfers_blind_and_attended() {
    transfers("jssip");
}

#[test]
fn sipjs_in_chromium_transfers_blind_and_attended() {
    transfers("sipjs");
}

#[test]
fn two_browsers_talk() {
    let site = Site::new("two-browsers").phone("201").phone("202").secure();
    let switch = site.start();
    let mut one = browser(&site, "jssip", "ws", "201", TONES[0]);
    let mut other = browser(&site, "sipjs", "wss", "202", TONES[1]);
    for (page, number) in [(&mut one, "201"), (&mut other, "202")] {
        page.wait_for("registered", SOON);
        switch.wait_for_registration(number, SOON);
    }
    one.tell("call", &["202"]);
    assert_eq!(other.wait_for("incoming", SOON), "201");
    other.tell("answer", &[]);
    one.wait_for("confirmed", SOON);
    one.wait_to_hear(TONES[1], SOON);
    other.wait_to_hear(TONES[0], SOON);
    one.tell("hangup", &[]);
    other.wait_for("ended", SOON);
}

/// Two kinds of encryption, keys by SDP and by DTLS; and Opus, which the desk has not.
#[test]
fn a_desk_phone_with_srtp_calls_a_browser_with_opus() {
    let site = Site::new("srtp-browser").phone("201").phone("202").media_key("srtp = \"required\"");
    let site = site.media_key("codecs = [\"opus\", \"PCMA\", \"PCMU\"]");
    let switch = site.start();
    let desk = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).tone(TONES[1]);
    let mut desk = desk.account(";mediaenc=srtp-mand").start();
    switch.wait_for_registration("202", SOON);
    let mut browser = browser(&site, "jssip", "ws", "201", TONES[0]);
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");
    desk.dial(&format!("sip:201@{}", switch.sip()));
    assert_eq!(browser.wait_for("incoming", SOON), "202");
    browser.tell("answer", &[]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    browser.tell("press", &["7"]);
    assert_eq!(desk.wait_for("CALL_DTMF_START", SOON)["param"], "7");
    desk.hang_up();
    browser.wait_for("ended", SOON);
    for number in ["201", "202"] {
        let told = story.wait_for("media.quality", SOON, |e| e.data()["peer"] == format!("phone:{number}"));
        assert_eq!(told.data()["quality"]["encrypted"], true, "{number}");
    }
}

/// A queue rings an agent's page: the customer is on the left of the recording, the agent on the right, each alone.
#[test]
fn a_queue_rings_a_browser_and_the_call_is_recorded() {
    let site = Site::new("browser-agent")
        .phone("201")
        .agent("1024", "Olena", "201")
        .with("[[queue]]\nname = \"support\"\nstrategy = \"longest_idle\"\nagents = [\"1024\"]\n")
        .trunk("carrier", TRUNK)
        .inbound("carrier", MAIN_NUMBER, "queue:support");
    let switch = site.start();
    let mut agent = browser(&site, "jssip", "ws", "201", TONES[0]);
    agent.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    let ready = switch.post("/api/v1/agents/1024/state", &serde_json::json!({ "state": "ready" }));
    assert!(ready.status < 300, "{ready:?}");
    let story = switch.events("since=0");
    let caller = Caller::call(site.folder().path(), "customer", &switch, CUSTOMER, MAIN_NUMBER, TONES[1], Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    agent.wait_for("incoming", SOON);
    agent.tell("answer", &[]);
    agent.wait_for("confirmed", SOON);
    story.wait_for("call.bridged", SOON, |_| true);
    agent.wait_to_hear(TONES[1], SOON);
    agent.tell("press", &["9"]);
    wait_until("the customer hears the agent's key, and the agent for three seconds", SOON, || {
        let heard = caller.heard();
        let halves = heard.audio().halves(0, &TONES);
        heard.digits == "9" && halves.iter().rev().take(6).filter(|half| half.is_only(0)).count() == 6
    });
    agent.tell("hangup", &[]);
    let (outcome, _) = caller.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    story.wait_for("recording.finished", SOON, |_| true);
    let row = switch.items("/api/v1/recordings?agent=1024").remove(0);
    let wav = switch.get(&format!("/api/v1/recordings/{}/audio", row["id"].as_str().unwrap_or_default()));
    let audio = Audio::read(&site.folder().write("recording.wav", &wav.body));
    println!("{}", audio.picture(&TONES));
    let (left, right) = (audio.halves(0, &TONES), audio.halves(1, &TONES));
    assert!(left.iter().all(|half| half.is_silent() || half.tones == [1]), "left is not the customer alone");
    assert!(right.iter().all(|half| !half.tones.contains(&1)), "the customer hears himself on the right");
    // How purely a page plays its tone on a busy machine is not looked at here.
    assert!(right.windows(5).any(|five| five.iter().all(|half| half.tones == [0])), "the agent is not on the right");
}

#[test]
fn jssip_in_chromium_talks_by_full_ice() {
    talks_by_full_ice("jssip", "ws");
}

#[test]
fn sipjs_in_chromium_talks_by_full_ice() {
    talks_by_full_ice("sipjs", "wss");
}

#[test]
fn jssip_in_chromium_talks_with_a_desk_phone() {
    talks("jssip", "ws");
}

#[test]
fn sipjs_in_chromium_talks_with_a_desk_phone() {
    talks("sipjs", "wss");
}

#[test]
fn jssip_in_chromium_registers_rings_and_is_rung() {
    registers_rings_and_is_rung("jssip", "ws");
}

#[test]
fn sipjs_in_chromium_registers_rings_and_is_rung() {
    registers_rings_and_is_rung("sipjs", "wss");
}
