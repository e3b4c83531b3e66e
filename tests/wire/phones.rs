//! Desk phones among themselves, by number: baresip and linphonec registered at the switch.

use std::time::Duration;

use serde_json::Value;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::process::wait_until;

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

fn nobody_talks(switch: &Cordboard) {
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}

/// RFC 3261 §12, RFC 3264 §8.4, RFC 3515.
#[test]
fn two_phones_talk_hold_resume_and_one_transfers_the_other_to_a_third() {
    let site = Site::new("phones").phone("201").phone("202").phone("203");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut bob = phone(&site, &switch, "202", TONES[1]);
    let mut carol = phone(&site, &switch, "203", TONES[2]);
    let story = switch.events("since=0");

    alice.dial(&dialled(&switch, "202"));
    bob.wait_for("CALL_INCOMING", SOON);
    alice.wait_for("CALL_RINGING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let call = story.wait_for("call.bridged", SOON, |_| true).subject;
    let mine = |event: &super::support::stream::Event| event.subject == call;
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    bob.wait_to_hear(Duration::from_secs(2), SOON);

    alice.hold();
    story.wait_for("call.held", SOON, mine);
    alice.wait_for_nth("CALL_REMOTE_SDP", 2, SOON);
    alice.resume();
    story.wait_for("call.resumed", SOON, mine);
    alice.wait_for_nth("CALL_REMOTE_SDP", 3, SOON);

    alice.transfer(&dialled(&switch, "203"));
    carol.wait_for("CALL_INCOMING", SOON);
    carol.accept();
    carol.wait_for("CALL_ESTABLISHED", SOON);
    let completed = |data: &Value| data["outcome"] == "completed";
    story.wait_for("call.transferred", SOON, |event| mine(event) && completed(event.data()));
    carol.wait_to_hear(Duration::from_secs(3), SOON);
    carol.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    alice.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.ended", SOON, mine);
    nobody_talks(&switch);

    let heard = &carol.heard()[0];
    println!("carol heard\n{}", heard.picture(&TONES));
    let halves = heard.halves(0, &TONES);
    assert!(halves[2..5].iter().all(|half| half.is_only(1)), "carol does not hear bob alone: {}", heard.picture(&TONES));
    let heard = &bob.heard()[0];
    println!("bob heard\n{}", heard.picture(&TONES));
    let halves = heard.halves(0, &TONES);
    let (first, last) = (halves.iter().position(|h| h.is_only(0)), halves.iter().rposition(|h| h.is_only(2)));
    assert!(first.is_some() && first < last, "bob does not hear alice, then carol: {}", heard.picture(&TONES));
}

#[test]
fn linphonec_registers_with_digest_and_calls_a_baresip_by_number() {
    let site = Site::new("linphone").phone("201").phone("204");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut linphone = Linphone::start(site.folder(), "204", TONES[2]);
    linphone.register("204", &switch.sip().to_string(), &secret("204"));
    switch.wait_for_registration("204", SOON);

    linphone.say(&format!("call {}", dialled(&switch, "201")));
    alice.wait_for("CALL_INCOMING", SOON);
    alice.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    alice.wait_to_hear(Duration::from_secs(3), SOON);
    linphone.say("terminate");
    alice.wait_for("CALL_CLOSED", SOON);
    nobody_talks(&switch);
    let heard = &alice.heard()[0];
    assert!(heard.halves(0, &TONES)[3..5].iter().all(|half| half.is_only(2)), "{}", heard.picture(&TONES));
}
