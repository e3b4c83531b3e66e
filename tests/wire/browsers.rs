//! Browsers over WebSocket: JsSIP and SIP.js in Chromium, whose audio is DTLS-SRTP by ICE.

#![allow(clippy::disallowed_methods, reason = "real programs write their files by the real clock")]

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::browser::{Browser, Settings};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);

/// What the browser says, and what the phone says.
const TONES: [f64; 2] = [700.0, 1_000.0];

fn browser(site: &Site, library: &str, over: &str, user: &str) -> Browser {
    let (page, at) = if over == "wss" { ("https", site.https()) } else { ("http", site.http()) };
    let settings = Settings {
        library,
        page: format!("{page}://{at}/"),
        url: format!("{over}://{at}/sip"),
        user,
        secret: &secret(user),
        tone: TONES[0],
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
    let mut browser = browser(&site, library, over, "201");
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
    let mut browser = browser(&site, library, over, "201");
    browser.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");

    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    both_hear(&mut browser, &desk);
    if library == "jssip" {
        // The desk hears music meanwhile, and the browser the desk again.
        browser.tell("hold", &[]);
        story.wait_for("call.held", SOON, |_| true);
        browser.tell("resume", &[]);
        story.wait_for("call.resumed", SOON, |_| true);
        both_hear(&mut browser, &desk);
    }
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

    // The page is closed in the middle of a call: nobody waits for its silence to be noticed.
    browser.tell("call", &["202"]);
    browser.wait_for("confirmed", SOON);
    drop(browser);
    desk.wait_for_nth("CALL_CLOSED", 3, Duration::from_secs(10));
}

fn both_hear(browser: &mut Browser, desk: &Baresip) {
    let begin = std::time::SystemTime::now();
    browser.wait_to_hear(TONES[1], SOON);
    wait_until("the desk hears the browser alone", SOON, || {
        let all = desk.all_since(begin);
        all.iter().any(|audio| audio.halves(0, &TONES).windows(2).any(|two| two.iter().all(|half| half.is_only(0))))
    });
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
