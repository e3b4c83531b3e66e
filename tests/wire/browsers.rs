//! Browsers over WebSocket: JsSIP and SIP.js in Chromium. Their audio is DTLS-SRTP, which the switch does not speak yet: they register,
//! are rung and ring, and what can't be is refused in a way that both sides understand.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::browser::{Browser, Settings};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(30);

fn browser(site: &Site, library: &str, over: &str, user: &str) -> Browser {
    let (page, at) = if over == "wss" { ("https", site.https()) } else { ("http", site.http()) };
    let settings =
        Settings { library, page: format!("{page}://{at}/"), url: format!("{over}://{at}/sip"), user, secret: &secret(user) };
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

    // Its audio is none of ours yet (RFC 3261 §21.4.26).
    browser.tell("call", &["202"]);
    assert_eq!(browser.wait_for("failed", SOON), 488);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());

    // Its connection ends, and with it the way to it.
    drop(browser);
    story.wait_for("registration.removed", SOON, |e| e.data()["number"] == "201");
}

#[test]
fn jssip_in_chromium_registers_rings_and_is_rung() {
    registers_rings_and_is_rung("jssip", "ws");
}

#[test]
fn sipjs_in_chromium_registers_rings_and_is_rung() {
    registers_rings_and_is_rung("sipjs", "wss");
}
