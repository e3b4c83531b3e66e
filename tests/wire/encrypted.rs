//! Phones with SRTP, among themselves and with phones that have none.

use super::support::cordboard::Site;
use super::talk::{SOON, phone, two_hear_each_other};

/// `srtp` asks for encryption on a line that can do without, `srtp-mand` on one that can't.
#[test]
fn baresip_with_srtp_talks_to_one_without_and_to_one_that_insists() {
    for (name, alice, bob, wanted) in [
        ("srtp-wish", ";mediaenc=srtp", "", "preferred"),
        ("srtp-plain", ";mediaenc=srtp-mand", "", "preferred"),
        ("srtp-both", ";mediaenc=srtp-mand", ";mediaenc=srtp-mand", "required"),
    ] {
        let media = format!("srtp = \"{wanted}\"");
        let qualities = two_hear_each_other(name, &media, [&|phone| phone.account(alice), &|phone| phone.account(bob)]);
        for (quality, account) in qualities.iter().zip([alice, bob]) {
            assert_eq!(quality["encrypted"], !account.is_empty(), "{name}: {account:?}");
        }
    }
}

#[test]
fn a_phone_without_srtp_is_refused_where_it_is_required() {
    let site = Site::new("srtp-required").phone("201").phone("202").media_key("srtp = \"required\"");
    let switch = site.start();
    let mut alice = phone(&site, &switch, "201", &|phone| phone);
    alice.dial(&format!("sip:202@{}", switch.sip()));
    let closed = alice.wait_for("CALL_CLOSED", SOON);
    assert!(closed.to_string().contains("488"), "{closed}");
}
