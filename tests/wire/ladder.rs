//! A conversation's SIP messages: with a phone on UDP and one on TLS, read by tshark, and found after a restart.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);

/// Method or status, and Call-ID, of each packet, as tshark reads them; it also checks lengths and checksums.
fn read_by_tshark(site: &Site, switch: &Cordboard, path: &str) -> Vec<(String, String)> {
    let capture = switch.get(path);
    assert_eq!((capture.status, capture.content_type.as_str()), (200, "application/vnd.tcpdump.pcap"));
    let file = site.folder().write("capture.pcap", &capture.body);
    let run = |extra: &[&str]| {
        let mut command = Command::new("tshark");
        // A free port may be one that some other protocol has a claim to, and would be read as that.
        command.arg("-r").arg(&file).args(["-n", "-d", "udp.port==1-65535,sip"]);
        command.args(["-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]).args(extra);
        let output = command.env("HOME", site.folder().path()).output();
        let output = output.unwrap_or_else(|e| panic!("tshark does not start ({e}); scripts/setup test installs it"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let bad = run(&["-Y", "_ws.malformed or udp.checksum.status == Bad or ip.checksum.status == Bad or not sip"]);
    assert_eq!(bad, "", "packets that are no good SIP");
    let fields = ["-T", "fields", "-E", "separator=|", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.Call-ID"];
    let lines = run(&fields);
    let read = |line: &str| {
        let mut parts = line.split('|');
        let (method, status, call_id) = (parts.next()?, parts.next()?, parts.next()?);
        Some((format!("{method}{status}"), call_id.to_owned()))
    };
    lines.lines().map(|line| read(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn a_call_is_seen_as_json_as_a_ladder_and_as_a_capture_that_tshark_reads_and_also_after_a_restart() {
    let site = Site::new("ladder").phone("201").phone("202").secure();
    let mut switch = site.start();
    let mut alice = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    let mut bob = Baresip::phone(site.folder(), "202").over_tls().registrar(site.tls(), &secret("202")).start();
    for number in ["201", "202"] {
        switch.wait_for_registration(number, SOON);
    }
    let story = switch.events("since=0");
    alice.dial(&format!("sip:202@{}", switch.sip()));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    let call = story.wait_for("call.started", SOON, |_| true).subject;
    let path = format!("/api/v1/conversations/{call}/ladder");
    // While it lives.
    assert!(switch.items(&path).len() >= 8);
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    story.wait_for("call.ended", SOON, |_| true);
    // A phone that was not served within half a second sends its message again: that is one of them.
    let begins = |items: &[serde_json::Value], way: &str, with: &str| {
        let messages = items.iter().filter(|i| i["way"] == way).filter_map(|i| i["message"].as_str());
        messages.filter(|m| m.starts_with(with)).collect::<BTreeSet<_>>().len()
    };
    wait_until("bob's answer to the BYE is there", SOON, || {
        let items = switch.items(&path);
        begins(&items, "sent", "BYE") == 1 && items.last().is_some_and(|i| i["way"] == "received")
    });

    let items = switch.items(&path);
    // The first INVITE, its challenge, the one with credentials, and the one to bob.
    assert_eq!((begins(&items, "received", "INVITE"), begins(&items, "sent", "SIP/2.0 401")), (2, 1));
    assert_eq!((begins(&items, "sent", "INVITE"), begins(&items, "received", "BYE")), (1, 1));
    let of = |transport: &str| items.iter().filter(|i| i["transport"] == transport).count();
    assert!(of("UDP") >= 9 && of("TLS") >= 6 && of("UDP") + of("TLS") == items.len());
    assert!(items.is_sorted_by_key(|i| i["at"].as_str().map(str::to_owned)), "{items:#?}");
    let all = items.iter().filter_map(|i| i["message"].as_str()).collect::<String>();
    assert!(all.contains("Authorization: Digest …") && !all.contains("response="), "{all}");

    let text = switch.get(&format!("{path}?format=text"));
    assert_eq!(text.content_type, "text/plain; charset=utf-8");
    println!("{}", text.text());
    assert_eq!(text.text().lines().count(), items.len() + 3);
    assert!(text.text().contains("--- INVITE (SDP) ---") && text.text().contains("<-- 200 OK (INVITE, SDP) ---"));

    let read = read_by_tshark(&site, &switch, &format!("{path}.pcap"));
    assert_eq!(read.len(), items.len());
    for ((what, call_id), item) in read.iter().zip(&items) {
        let message = item["message"].as_str().unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        assert!(first.starts_with(what.as_str()) || first.starts_with(&format!("SIP/2.0 {what} ")), "{what}: {first}");
        assert!(message.contains(&format!("\r\nCall-ID: {call_id}\r\n")), "{call_id}: {message}");
    }
    assert_eq!(read.iter().map(|(_, call_id)| call_id).collect::<BTreeSet<_>>().len(), 2, "a dialog each");
    // What belongs to no conversation: here the registrations.
    let before = switch.items("/api/v1/signalling").len();
    let strays = read_by_tshark(&site, &switch, "/api/v1/signalling.pcap");
    assert!((before..=switch.items("/api/v1/signalling").len()).contains(&strays.len()), "a packet for each message");
    assert!(strays.iter().any(|(what, _)| what == "REGISTER") && strays.iter().all(|(what, _)| what != "INVITE"));

    switch.terminate();
    switch.wait_for_end(SOON);
    let switch = site.start();
    assert_eq!(switch.items(&path), items);
    assert_eq!(read_by_tshark(&site, &switch, &format!("{path}.pcap")), read);
    assert_eq!(switch.get("/api/v1/conversations/01ARZ3NDEKTSV4RRFFQ69G5FAV/ladder").status, 404);
}
