//! Calls for help when there is no room for others: baresip calls, SIPp is the carrier and the crowd.

use std::time::Duration;

use super::matrix::script::{self, Player};
use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::wait_until;
use super::support::sipp::{Builder, Sipp, kept};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);
const TRUNK: &str = "127.0.0.2";
const HELP: &str = "127.0.0.4";
/// Of the site's 100 pairs of ports, those that are not kept for emergency calls.
const CROWD: u32 = 92;

const MENU: &str = "name = \"main\"\nlanguage = \"en\"\nstart = \"top\"\n\n[node.top]\nkind = \"menu\"\nprompt = \"long\"\ntimeout = \"60s\"\ndigits = { \"1\" = \"hangup\" }\n";

fn customer(site: &Site, switch: &Cordboard, name: &str, text: &str) -> Builder {
    let xml = script::xml(text, &Player { number: "+49301111", secret: "" });
    let sipp = Sipp::scenario(site.folder().path(), name, &xml).argument("-recv_timeout").argument(LONG.as_millis());
    sipp.address(TRUNK).target(switch.sip())
}

fn free_ports(switch: &Cordboard) -> u64 {
    let metrics = switch.get("/metrics").text();
    let value = metrics.lines().find_map(|line| line.strip_prefix("cordboard_media_ports_free "));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}

#[test]
fn a_phone_reaches_help_when_a_crowd_has_all_other_ports() {
    let port = ports::port();
    let site = Site::new("help-ports").phone("201").media_key("workers = 1\ndead_after = \"5m\"");
    let site = site.trunk("carrier", TRUNK).inbound("carrier", "+4930602", "menu:main").menu("main", MENU);
    let site = site.prompt_of_tone("en", "long", 600.0, 30).with(&format!(
        "[[trunk]]\nname = \"help\"\npeer = \"{HELP}:{port}\"\nprobe = \"off\"\n[[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"help\"]\n"
    ));
    let help = Sipp::scenario(site.folder().path(), "help", &kept("uas")).address(HELP).port(port).key("audio_port", 9).start();
    help.wait_until_bound();
    let switch = site.start();
    let mut phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);

    let calls = "> INVITE +4930602 | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200";
    let _crowd =
        customer(&site, &switch, "crowd", calls).calls(CROWD).argument("-l").argument(CROWD).argument("-r").argument(30).start();
    wait_until("the crowd is in the menu", LONG, || {
        switch.items("/api/v1/conversations?state=live&limit=200").len() >= CROWD as usize
    });
    let outcome = customer(&site, &switch, "late", "> INVITE +4930602 | sdp\n< 503\n> ACK").start().finish(SOON);
    assert_eq!(outcome.code, Some(0), "{}\n{}\n{}", outcome.errors, outcome.messages, switch.output());
    assert_eq!(free_ports(&switch), 8);

    phone.dial(&format!("sip:112@{}", switch.sip()));
    phone.wait_for("CALL_ESTABLISHED", SOON);
    let invite = help.wait_for_received("INVITE sip:112@", SOON);
    assert!(invite.contains("m=audio "), "{invite}");
    phone.hang_up();
    help.wait_for_received("BYE sip:", SOON);
}
