//! Phones that have no codec in common hear each other.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);
const ALL: &str = "codecs = [\"PCMA\", \"PCMU\", \"G722\", \"opus\"]";
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
        let site = Site::new(&name).phone("201").phone("202").media_key(ALL);
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
