//! Phones that have no codec in common hear each other, and so do those that have one beside G.711.

use super::support::cordboard::{Site, secret};
use super::support::linphone::Linphone;
use super::support::process::{wait_for, wait_until};
use super::talk::{SOON, TONES, two_hear_each_other};

/// Each pair of codecs, and one that both have.
#[test]
fn baresips_without_a_codec_in_common_hear_each_other() {
    for (alice, bob) in [("pcma", "g722"), ("opus", "pcmu"), ("g722", "opus"), ("g722", "g722,pcma"), ("opus", "opus")] {
        let name = format!("codecs-{alice}-{}", bob.replace(',', "-"));
        for quality in two_hear_each_other(&name, "", [&|phone| phone.codecs(alice), &|phone| phone.codecs(bob)]) {
            assert_eq!(quality["packets_lost"], 0, "{name}: {quality}");
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
