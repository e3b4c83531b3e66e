//! A call between two baresips that each say a tone, and what must be heard of it.

use std::time::Duration;

use serde_json::Value;

use super::support::baresip::{Baresip, Builder};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

pub const SOON: Duration = Duration::from_secs(20);
pub const TONES: [f64; 2] = [440.0, 1_000.0];

/// Phone 201 or 202, registered, which is as `like` makes it.
pub fn phone(site: &Site, switch: &Cordboard, number: &str, like: &dyn Fn(Builder) -> Builder) -> Baresip {
    let tone = TONES[usize::from(number == "202")];
    let phone = like(Baresip::phone(site.folder(), number).tone(tone));
    let phone = phone.registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// 201 calls 202; each hears the other and nothing else. What was measured of the two legs' audio. `media` stands under `[media]`.
pub fn two_hear_each_other(name: &str, media: &str, like: [&dyn Fn(Builder) -> Builder; 2]) -> [Value; 2] {
    let site = Site::new(name).phone("201").phone("202").media_key(media);
    let switch = site.start();
    let story = switch.events("since=0");
    let mut alice = phone(&site, &switch, "201", like[0]);
    let mut bob = phone(&site, &switch, "202", like[1]);
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
    ["201", "202"].map(|number| {
        let told = story.wait_for("media.quality", SOON, |e| e.data()["peer"] == format!("phone:{number}"));
        told.data()["quality"].clone()
    })
}
