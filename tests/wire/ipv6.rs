//! Calls over IPv6: a trunk and a phone on ::1, by UDP, TCP and TLS.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Site, secret};
use super::support::ports;
use super::support::process::wait_until;
use super::support::sipp::{Sipp, kept};
use super::support::skip::skipped;

const SOON: Duration = Duration::from_secs(20);
const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const NUMBER: &str = "+4930600";

/// Whether this machine has IPv6 at all.
fn is_here() -> bool {
    let here = UdpSocket::bind((LOCALHOST, 0)).is_ok();
    if !here {
        skipped("IPv6", "this machine has no ::1");
    }
    here
}

/// A kept scenario whose descriptions name its address whatever family it is.
fn scenario(name: &str) -> String {
    kept(name).replace("IN IP4 [local_ip]", "IN IP[media_ip_type] [media_ip]")
}

#[test]
fn a_call_over_ipv6_comes_from_a_trunk_to_a_phone_and_one_goes_out() {
    if !is_here() {
        return;
    }
    let (from, to) = (ports::port(), ports::port());
    let site = Site::new("ipv6")
        .on_ipv6()
        .secure()
        .with("[[phone]]\nnumber = \"205\"\nsecret = \"secret-205\"\noutside = true\n")
        .trunk("carrier", format!("[::1]:{from}"))
        .trunk("far", format!("[::1]:{to}"))
        .inbound("carrier", NUMBER, "phone:205")
        .with("[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"far\"]\n");
    let switch = site.start();
    for transport in ["udp", "tcp", "tls"] {
        let phone = Baresip::phone(site.folder(), "205").on(LOCALHOST).tone(700.0);
        let phone = match transport {
            "tcp" => phone.over_tcp().registrar(switch.sip(), &secret("205")),
            "tls" => phone.over_tls().registrar(site.tls(), &secret("205")),
            _ => phone.registrar(switch.sip(), &secret("205")),
        };
        let mut phone = phone.start();
        wait_until("the phone is registered", SOON, || {
            switch.items("/api/v1/registrations").iter().any(|r| r["transport"] == transport)
        });
        let story = switch.events("types=call.ended");

        let customer = Sipp::scenario(site.folder().path(), &format!("customer-{transport}"), &scenario("uac"));
        let customer = customer.address("::1").port(from).key("audio_port", 9).key("from", "+493012345").service(NUMBER);
        let customer = customer.target(switch.sip()).start();
        phone.wait_for("CALL_INCOMING", SOON);
        phone.accept();
        let outcome = customer.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{transport}: {outcome:#?}");
        assert!(outcome.messages.contains("c=IN IP6 ::1"), "{}", outcome.messages);
        phone.wait_for("CALL_CLOSED", SOON);
        story.wait_for("call.ended", SOON, |e| e.data()["cause"] == "normal");

        let far = Sipp::scenario(site.folder().path(), &format!("far-{transport}"), &scenario("uas"));
        let far = far.address("::1").port(to).key("audio_port", 9).start();
        far.wait_until_bound();
        phone.dial(&format!("sip:0301234@{}", if transport == "tls" { site.tls() } else { switch.sip() }));
        phone.wait_for_nth("CALL_ESTABLISHED", 2, SOON);
        phone.hang_up();
        let outcome = far.finish(SOON);
        assert_eq!(outcome.code, Some(0), "{transport}: {outcome:#?}");
        assert!(outcome.messages.contains(&format!("INVITE sip:301234@[::1]:{to} SIP/2.0")), "{}", outcome.messages);
        wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
        drop(phone);
    }
}

#[test]
fn two_phones_on_ipv6_hear_each_other() {
    if !is_here() {
        return;
    }
    let site = Site::new("ipv6-phones").on_ipv6().phone("201").phone("202");
    let switch = site.start();
    let phone = |number: &str, hz: f64| {
        let phone = Baresip::phone(site.folder(), number).on(LOCALHOST).tone(hz);
        phone.registrar(switch.sip(), &secret(number)).start()
    };
    let (mut alice, mut bob) = (phone("201", 440.0), phone("202", 1_000.0));
    switch.wait_for_registration("201", SOON);
    switch.wait_for_registration("202", SOON);
    alice.dial(&format!("sip:202@{}", switch.sip()));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    alice.wait_to_hear(Duration::from_secs(2), SOON);
    bob.wait_to_hear(Duration::from_secs(2), SOON);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    for (phone, other) in [(&alice, 1), (&bob, 0)] {
        let heard = &phone.heard()[0];
        let tones = [440.0, 1_000.0];
        assert!(heard.halves(0, &tones)[2..4].iter().all(|half| half.is_only(other)), "{}", heard.picture(&tones));
    }
}
