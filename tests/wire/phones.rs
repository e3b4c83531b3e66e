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

/// RFC 5589 §7, RFC 3891: the REFER names the other call, and no INVITE follows.
#[test]
fn linphonec_asks_a_third_and_joins_it_with_its_caller() {
    let site = Site::new("attended").phone("201").phone("202").phone("204");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut bob = phone(&site, &switch, "202", TONES[1]);
    let mut linphone = Linphone::start(site.folder(), "204", TONES[2]);
    linphone.register("204", &switch.sip().to_string(), &secret("204"));
    switch.wait_for_registration("204", SOON);
    let story = switch.events("since=0");

    alice.dial(&dialled(&switch, "204"));
    linphone.expect("Receiving new incoming call", SOON);
    linphone.say("answer");
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let first = story.wait_for("call.bridged", SOON, |_| true).subject;
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    linphone.say("pause");
    story.wait_for("call.held", SOON, |_| true);
    linphone.expect("is now paused", SOON);
    linphone.say(&format!("call {}", dialled(&switch, "202")));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    bob.wait_for("CALL_ESTABLISHED", SOON);
    let second = story.wait_for("call.bridged", SOON, |event| event.subject != first).subject;
    bob.wait_to_hear(Duration::from_secs(2), SOON);
    linphone.say("transfer 1 --to-call 2");
    let merged = story.wait_for("call.merged", SOON, |event| event.subject == first);
    assert_eq!(
        (merged.data()["parent"].as_str(), merged.data()["child"].as_str()),
        (Some(first.as_str()), Some(second.as_str()))
    );
    story.wait_for("call.ended", SOON, |event| event.subject == second);
    bob.wait_to_hear(Duration::from_secs(5), SOON);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.ended", SOON, |event| event.subject == first);
    nobody_talks(&switch);
    let rows = switch.items("/api/v1/conversations");
    assert_eq!(
        rows.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(),
        [Some(first.as_str())],
        "the consultation is hidden"
    );

    let heard = &bob.heard()[0];
    let halves = heard.halves(0, &TONES);
    let (asked, joined) = (halves.iter().rposition(|h| h.is_only(2)), halves.iter().position(|h| h.is_only(0)));
    assert!(asked.is_some() && asked < joined, "bob does not hear linphonec, then alice: {}", heard.picture(&TONES));
    let heard = &alice.heard()[0];
    let halves = heard.halves(0, &TONES);
    let (before, after) = (halves.iter().position(|h| h.is_only(2)), halves.iter().rposition(|h| h.is_only(1)));
    assert!(before.is_some() && before < after, "alice does not hear linphonec, then bob: {}", heard.picture(&TONES));
}
