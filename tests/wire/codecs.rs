//! Phones that have no codec in common hear each other, and so do those that have one beside G.711.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::process::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
const TONES: [f64; 2] = [440.0, 1_000.0];

fn phone(site: &Site, switch: &Cordboard, number: &str, tone: f64, codec: &str) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).tone(tone).codecs(codec);
    let phone = phone.registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// Each pair of codecs, and one that both have.
#[test]
fn baresips_without_a_codec_in_common_hear_each_other() {
    for (of_alice, of_bob) in [("pcma", "g722"), ("opus", "pcmu"), ("g722", "opus"), ("g722", "g722,pcma"), ("opus", "opus")] {
        let name = format!("codecs-{}-{}", of_alice, of_bob.replace(',', "-"));
        let site = Site::new(&name).phone("201").phone("202");
        let switch = site.start();
        let story = switch.events("since=0");
        let mut alice = phone(&site, &switch, "201", TONES[0], of_alice);
        let mut bob = phone(&site, &switch, "202", TONES[1], of_bob);
        alice.dial(&format!("sip:202@{}", switch.sip()));
        bob.wait_for("CALL_INCOMING", SOON);
        bob.accept();
        alice.wait_for("CALL_ESTABLISHED", SOON);
        alice.wait_to_hear(Duration::from_secs(3), SOON);
        bob.wait_to_hear(Duration::from_secs(3), SOON);
        alice.hang_up();
        bob.wait_for("CALL_CLOSED", SOON);
        wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
        for (at, hears) in [(&alice, 1), (&bob, 0)] {
            let heard = &at.heard()[0];
            assert!(heard.halves(0, &TONES)[3..5].iter().all(|h| h.is_only(hears)), "{name}: {}", heard.picture(&TONES));
        }
        for number in ["201", "202"] {
            let told = story.wait_for("media.quality", SOON, |e| e.data()["peer"] == format!("phone:{number}"));
            assert_eq!(told.data()["quality"]["packets_lost"], 0, "{name}: {number}");
        }
    }
}

/// RFC 7587: what linphonec offers first, and all that the switch takes here.
#[test]
fn linphones_hear_each_other_by_opus() {
    let site = Site::new("linphone-opus").phone("201").phone("202").media_key("codecs = [\"opus\"]");
    let switch = site.start();
    let [mut alice, mut bob] = ["201", "202"].map(|number| {
        let tone = TONES[usize::from(number == "202")];
        let mut phone = Linphone::start(site.folder(), number, tone);
        phone.register(number, &switch.sip().to_string(), &secret(number));
        switch.wait_for_registration(number, SOON);
        phone
    });
    alice.say(&format!("call sip:202@{}", switch.sip()));
    bob.expect("Receiving new incoming call", SOON);
    bob.say("answer");
    alice.expect("connected.", SOON);
    for (phone, other) in [(&alice, 1), (&bob, 0)] {
        wait_for(&format!("tone {other} is heard for two seconds"), SOON, || {
            let halves = phone.hears_in("heard.wav", &TONES)?.halves(0, &TONES);
            (halves.iter().filter(|half| half.is_only(other)).count() >= 4).then_some(())
        });
    }
    alice.say("terminate");
    bob.expect(" ended", SOON);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
}
