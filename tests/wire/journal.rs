//! The journal of a run with real clients, played in a process of its own.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;

use super::support::baresip::Baresip;
use super::support::caller::{CUSTOMER, Caller, MAIN_NUMBER, Stays, centre};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::process::wait_until;

const SOON: Duration = Duration::from_secs(20);
/// Menu, queue, reload in the middle of the call, blind transfer by the agent's phone, hang-up by the second phone; then a caller who
/// hangs up in the menu.
fn run(site: Site) -> Site {
    let mut switch = site.start();
    let mut agent = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    let mut second = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).start();
    switch.wait_for_registration("201", SOON);
    switch.wait_for_registration("202", SOON);
    assert!(switch.post("/api/v1/agents/1024/state", &json!({ "state": "ready" })).status < 300);
    let story = switch.events("since=0");

    let caller = call(&site, &switch, "customer", Stays::UntilHungUp);
    caller.wait_for_answer(SOON);
    story.wait_for("menu.entered", SOON, |_| true);
    caller.press("1");
    agent.wait_for("CALL_INCOMING", SOON);
    agent.accept();
    let talk = story.wait_for("call.bridged", SOON, |_| true).subject;

    let site = site.phone("203");
    site.write_config();
    switch.reload();
    story.wait_for("config.reloaded", SOON, |_| true);

    agent.transfer(&format!("sip:202@{}", switch.sip()));
    second.wait_for("CALL_INCOMING", SOON);
    second.accept();
    story.wait_for("call.transferred", SOON, |event| event.subject == talk && event.data()["outcome"] == "completed");
    second.hang_up();
    assert_eq!(caller.finish(SOON).0.code, Some(0));
    story.wait_for("call.ended", SOON, |event| event.subject == talk);

    let caller = call(&site, &switch, "impatient", Stays::For(Duration::from_millis(500)));
    assert_eq!(caller.finish(SOON).0.code, Some(0));
    story.wait_for("call.ended", SOON, |event| event.subject != talk);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());
    switch.terminate();
    assert!(switch.wait_for_end(SOON).success(), "{}", switch.output());
    site
}

fn call(site: &Site, switch: &Cordboard, name: &str, stays: Stays) -> Caller {
    Caller::call(site.folder().path(), name, switch, CUSTOMER, MAIN_NUMBER, 440.0, stays)
}

fn replay(journal: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cordboard")).arg("replay").arg(journal).output().expect("runs")
}

/// The journal with one digit of the caller's number changed in the INVITE, and the frame's sum made right: nothing but the content
/// tells it from the original. Frames are length, CRC-32, CRC-32 of these two, and payload.
fn with_another_caller(journal: &[u8]) -> Vec<u8> {
    let mut changed = journal.to_vec();
    let mut at = 0;
    while let Some(length) = journal.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let payload = &mut changed[at + 12..at + 12 + length];
        let number = format!("<sip:{CUSTOMER}@");
        if payload.windows(7).any(|w| w == b"INVITE ")
            && let Some(place) = payload.windows(number.len()).position(|w| w == number.as_bytes())
        {
            payload[place + number.len() - 2] ^= 1;
            let sum = crc32fast::hash(payload);
            changed[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
            let sum = crc32fast::hash(&changed[at..at + 8]);
            changed[at + 8..at + 12].copy_from_slice(&sum.to_le_bytes());
            return changed;
        }
        at += 12 + length;
    }
    panic!("no INVITE of the customer in the journal");
}

#[test]
fn the_journal_of_a_run_plays_to_the_same_digest_and_one_changed_input_to_another() {
    let site = run(centre("journal").phone("202"));

    let folder = site.recordings().join("journal");
    let journals: Vec<_> = std::fs::read_dir(&folder).expect("a journal").map(|e| e.expect("entry").path()).collect();
    let [journal] = &journals[..] else { panic!("{journals:?}") };
    let played = replay(journal);
    let said = String::from_utf8_lossy(&played.stdout).into_owned();
    assert!(played.status.success(), "{said}{}", String::from_utf8_lossy(&played.stderr));
    assert!(said.contains(" 0 faults, ended (Stopped): the same"), "{said}");
    println!("{said}");
    assert_eq!(replay(journal).stdout, played.stdout);

    let bytes = std::fs::read(journal).expect("readable");
    for hidden in ["201", "202", "203"].map(secret) {
        assert!(!bytes.windows(hidden.len()).any(|w| w == hidden.as_bytes()), "{hidden} is in the journal");
    }
    let other = folder.join("changed.journal");
    std::fs::write(&other, with_another_caller(&bytes)).expect("writable");
    let played = replay(&other);
    let said = String::from_utf8_lossy(&played.stderr).into_owned();
    assert!(!played.status.success() && said.contains("outputs had the digest"), "{said}");
    println!("{said}");
}
