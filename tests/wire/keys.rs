//! Keys over real sockets: whoever presses one, and however, the other phone gets it as telephone-event.

use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);

fn phone(site: &Site, switch: &Cordboard, number: &str, codec: &str, account: &str) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).codecs(codec).account(account);
    let phone = phone.registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// The keys that it was told of.
fn keys(phone: &Baresip) -> String {
    let events = phone.events();
    let begun = events.iter().filter(|event| event["type"] == "CALL_DTMF_START");
    begun.filter_map(|event| event["param"].as_str()).collect()
}

#[test]
fn baresips_get_keys_of_each_other_and_of_the_api() {
    for (name, codecs, account) in [
        ("same-codec", ["pcma", "pcma"], ""),
        ("other-codec", ["opus", "pcma"], ""),
        ("info", ["pcma", "pcma"], ";dtmfmode=info"),
    ] {
        let site =
            Site::new(&format!("keys-{name}")).phone("201").phone("202").media_key("codecs = [\"PCMA\", \"PCMU\", \"opus\"]");
        let switch = site.start();
        let mut alice = phone(&site, &switch, "201", codecs[0], account);
        let mut bob = phone(&site, &switch, "202", codecs[1], "");
        alice.dial(&format!("sip:202@{}", switch.sip()));
        bob.wait_for("CALL_INCOMING", SOON);
        bob.accept();
        alice.wait_for("CALL_ESTABLISHED", SOON);
        bob.wait_to_hear(Duration::from_secs(1), SOON);
        for (nth, digit) in ["5", "#"].into_iter().enumerate() {
            alice.press(digit);
            bob.wait_for_nth("CALL_DTMF_END", nth + 1, SOON);
        }
        assert_eq!(keys(&bob), "5#", "{name}");
        bob.press("9");
        alice.wait_for("CALL_DTMF_END", SOON);
        assert_eq!(keys(&alice), "9", "{name}");
        let conversation = switch.items("/api/v1/conversations?state=live")[0]["id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/api/v1/conversations/{conversation}/digits");
        assert_eq!(switch.post(&path, &json!({"digits": "10*", "number": "202"})).status, 204);
        assert_eq!(switch.post(&path, &json!({"digits": "x", "number": "202"})).status, 422);
        bob.wait_for_nth("CALL_DTMF_END", 5, SOON);
        assert_eq!(keys(&bob), "5#10*", "{name}");
        alice.hang_up();
        bob.wait_for("CALL_CLOSED", SOON);
        wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
    }
}
