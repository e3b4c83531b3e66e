//! Phones with SRTP, among themselves and with phones that have none.

use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);
const TONES: [f64; 2] = [440.0, 1_000.0];

fn phone(site: &Site, switch: &Cordboard, number: &str, tone: f64, account: &str) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).tone(tone).account(account);
    let phone = phone.registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// `srtp` asks for encryption on a line that can do without, `srtp-mand` on one that can't.
#[test]
fn baresip_with_srtp_talks_to_one_without_and_to_one_that_insists() {
    for (name, of_alice, of_bob, wanted) in [
        ("srtp-wish", ";mediaenc=srtp", "", "preferred"),
        ("srtp-plain", ";mediaenc=srtp-mand", "", "preferred"),
        ("srtp-both", ";mediaenc=srtp-mand", ";mediaenc=srtp-mand", "required"),
    ] {
        let site = Site::new(name).phone("201").phone("202").media_key(&format!("srtp = \"{wanted}\""));
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
        for (number, account) in [("201", of_alice), ("202", of_bob)] {
            let told = story.wait_for("media.quality", SOON, |e| e.data()["peer"] == format!("phone:{number}"));
            assert_eq!(told.data()["quality"]["encrypted"], !account.is_empty(), "{name}: {number}");
        }
    }
}

#[test]
fn a_phone_without_srtp_is_refused_where_it_is_required() {
    let site = Site::new("srtp-required").phone("201").phone("202").media_key("srtp = \"required\"");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", TONES[0], "");
    alice.dial(&format!("sip:202@{}", switch.sip()));
    let closed = alice.wait_for("CALL_CLOSED", SOON);
    assert!(closed.to_string().contains("488"), "{closed}");
}
