//! Phones that sign over TLS, among themselves and with phones that do not.

use std::time::Duration;

use super::support::baresip::{Baresip, Builder};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);
const TONES: [f64; 3] = [440.0, 1_000.0, 700.0];

fn baresip(site: &Site, number: &str, tone: f64) -> Builder {
    Baresip::phone(site.folder(), number).tone(tone)
}

fn transport_of(switch: &Cordboard, number: &str) -> String {
    let all = switch.items("/api/v1/registrations");
    let found = all.iter().find(|r| r["number"] == number).unwrap_or_else(|| panic!("{number} is not registered"));
    found["transport"].as_str().unwrap_or_default().to_owned()
}

fn nobody_talks(switch: &Cordboard) {
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// RFC 3261 §26.2, RFC 5626 §5: each phone is reached by the connection that it registered on.
#[test]
fn a_phone_on_tls_is_called_and_calls_holds_resumes_and_transfers() {
    let site = Site::new("tls").phone("201").phone("202").phone("203").secure();
    let switch = site.start();
    let mut alice = baresip(&site, "201", TONES[0]).over_tls().registrar(site.tls(), &secret("201")).start();
    let mut bob = baresip(&site, "202", TONES[1]).registrar(switch.sip(), &secret("202")).start();
    let mut carol = baresip(&site, "203", TONES[2]).over_tls().registrar(site.tls(), &secret("203")).start();
    for number in ["201", "202", "203"] {
        switch.wait_for_registration(number, SOON);
    }
    assert_eq!((transport_of(&switch, "201"), transport_of(&switch, "202")), ("tls".to_owned(), "udp".to_owned()));
    let story = switch.events("since=0");

    bob.dial(&format!("sip:201@{}", switch.sip()));
    alice.wait_for("CALL_INCOMING", SOON);
    alice.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    alice.hold();
    story.wait_for("call.held", SOON, |_| true);
    alice.wait_for_nth("CALL_REMOTE_SDP", 2, SOON);
    alice.resume();
    story.wait_for("call.resumed", SOON, |_| true);
    alice.wait_for_nth("CALL_REMOTE_SDP", 3, SOON);
    alice.transfer(&format!("sip:203@{}", site.tls()));
    carol.wait_for("CALL_INCOMING", SOON);
    carol.accept();
    carol.wait_for("CALL_ESTABLISHED", SOON);
    story.wait_for("call.transferred", SOON, |event| event.data()["outcome"] == "completed");
    carol.wait_to_hear(Duration::from_secs(3), SOON);
    // The end comes to a phone on TLS, and from one.
    bob.hang_up();
    carol.wait_for("CALL_CLOSED", SOON);
    nobody_talks(&switch);
    let heard = &carol.heard()[0];
    assert!(heard.halves(0, &TONES)[2..5].iter().all(|half| half.is_only(1)), "{}", heard.picture(&TONES));

    alice.dial(&format!("sip:203@{}", site.tls()));
    carol.wait_for_nth("CALL_INCOMING", 2, SOON);
    carol.accept();
    carol.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
    carol.hang_up();
    alice.wait_for_nth("CALL_CLOSED", 2, SOON);
    nobody_talks(&switch);
}

#[test]
fn linphonec_registers_over_tls_and_calls_a_phone_on_udp() {
    let site = Site::new("linphone-tls").phone("201").phone("204").secure();
    let switch = site.start();
    let mut alice = baresip(&site, "201", TONES[0]).registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    let mut linphone = Linphone::start(site.folder(), "204", TONES[2]);
    linphone.register_over_tls("204", &site.tls().to_string(), &secret("204"));
    switch.wait_for_registration("204", SOON);
    assert_eq!(transport_of(&switch, "204"), "tls");

    linphone.say(&format!("call sip:201@{};transport=tls", site.tls()));
    alice.wait_for("CALL_INCOMING", SOON);
    alice.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    alice.wait_to_hear(Duration::from_secs(3), SOON);
    alice.hang_up();
    linphone.expect("ended", SOON);
    nobody_talks(&switch);
    let heard = &alice.heard()[0];
    assert!(heard.halves(0, &TONES)[3..5].iter().all(|half| half.is_only(2)), "{}", heard.picture(&TONES));
}
