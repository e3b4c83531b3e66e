//! The scanner's tools that every switch on the internet meets (svmap, svwar, svcrack) against one that has phones registered.

use std::process::Command;
use std::time::Duration;

use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::ports;
use super::support::process::{Process, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// Each tool gives up by itself; one that does not is ended by the test's own end.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs a tool to its end, which has to be a good one, and gives what it printed.
fn run(site: &Site, tool: &str, arguments: &[&str]) -> String {
    let port = site.sip().port().to_string();
    let own = ports::port().to_string();
    let mut command = Command::new(tool);
    command.args(["-p", &port, "-P", &own, "-b", "127.0.0.1", "-x", "127.0.0.1"]).args(arguments).arg("127.0.0.1");
    command.env("HOME", site.folder().path()).env("TERM", "dumb").current_dir(site.folder().path());
    let mut process = Process::start(tool, &mut command, site.folder().path());
    let ended = process.wait(LONGEST);
    assert!(ended.success(), "{tool} {arguments:?}: {ended}\n{}", process.output());
    process.output()
}

/// Whether the switch was asked for this extension by this method, by one of the tools.
fn was_asked_for(switch: &Cordboard, method: &str, extension: &str) -> bool {
    let (begins, to) = (format!("{method} "), format!("\r\nTo: \"{extension}\"<sip:{extension}@"));
    let items = switch.items("/api/v1/signalling");
    let mut received = items.iter().filter(|i| i["way"] == "received").filter_map(|i| i["message"].as_str());
    received.any(|m| m.starts_with(&begins) && m.contains("User-Agent: friendly-scanner") && m.contains(&to))
}

fn number(switch: &Cordboard, metric: &str) -> u64 {
    let text = switch.get("/metrics").text();
    let line = text.lines().find(|l| l.starts_with(&format!("cordboard_{metric} ")));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

fn phone(site: &Site, switch: &Cordboard, number: &str) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

#[test]
fn svmap_gets_little_and_svwar_cannot_tell_who_is_there() {
    let site = Site::new("svmap-svwar").phone("201").phone("202").sip_key("ladder = 1000");
    let switch = site.start();
    let _alice = phone(&site, &switch, "201");
    println!("{}", run(&site, "svmap", &[]));
    let items = switch.items("/api/v1/signalling");
    let text = |i: &serde_json::Value| i["message"].as_str().unwrap_or_default().to_owned();
    let asked = items.iter().filter(|i| i["way"] == "received").map(text).find(|m| m.starts_with("OPTIONS")).expect("svmap asks");
    assert!(asked.contains("friendly-scanner") || asked.contains("sipvicious"), "{asked}");
    let answered = items.iter().filter(|i| i["way"] == "sent").map(text).find(|m| m.contains(" OPTIONS\r\n"));
    if let Some(answer) = answered {
        assert!(answer.len() <= asked.len(), "no amplification: {} for {}", answer.len(), asked.len());
        assert!(!answer.contains("sip:201"), "{answer}");
    }

    // It gives up after the first one that is answered as nobody's is: so each has a run of its own.
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        // There, configured but not there, and nobody's.
        let kinds = ["201", "202", "209"].map(|extension| {
            let found = run(&site, "svwar", &["--force", "-m", method, "-e", extension]);
            println!("{method}\n{found}");
            // A scanner that asks nothing learns nothing.
            wait_until(&format!("{method} for {extension} comes"), SOON, || was_asked_for(&switch, method, extension));
            // What it takes the extension for, where it lists it.
            let cells =
                |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).filter(|c| !c.is_empty()).collect::<Vec<_>>();
            let listed = found.lines().map(cells).find(|cells| cells.first().is_some_and(|first| first == extension));
            listed.and_then(|cells| cells.get(1).cloned())
        });
        assert!(kinds.iter().all(|kind| *kind == kinds[0]), "{method}: one is told from another: {kinds:?}");
    }
}

#[test]
fn svcrack_is_slowed_and_banned_and_finds_nothing_while_the_phones_go_on() {
    let site = Site::new("svcrack").phone("201").phone("202");
    let switch = site.start();
    let (mut alice, mut bob) = (phone(&site, &switch, "201"), phone(&site, &switch, "202"));
    let story = switch.events("since=0");
    // The right one is late in the list: ten thousand guesses.
    let mut passwords: String = (0..10_000).map(|n| format!("guess-{n}\n")).collect();
    passwords.push_str(&secret("201"));
    let list = site.folder().write("passwords.txt", passwords);
    let list = list.to_string_lossy().into_owned();
    let found = run(&site, "svcrack", &["-u", "201", "-d", &list, "--maximumtime", "4"]);
    println!("{found}");
    assert!(!found.contains(&secret("201")), "{found}");
    let alarm = story.wait_for("guard.alarm", SOON, |_| true);
    assert_eq!(alarm.data()["user"], "201");
    let refused = number(&switch, "guard_strikes_total{reason=\"password\"}");
    assert!((10..=60).contains(&refused), "{refused} passwords were looked at");

    // Whether it is shut out depends on how fast it goes; so let something that floods stand beside it.
    let flood = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    wait_until("the flood is banned", SOON, || {
        for n in 0..20 {
            let message = format!("NONSENSE {n}\r\n\r\n");
            flood.send_to(message.as_bytes(), site.sip()).expect("sent");
        }
        switch.items("/api/v1/bans").iter().any(|ban| ban["address"] == "127.0.0.1")
    });
    story.wait_for("guard.banned", SOON, |_| true);
    let before = number(&switch, "transport_banned_total");
    let nothing = run(&site, "svcrack", &["-u", "201", "-d", &list, "--maximumtime", "2"]);
    assert!(!nothing.contains(&secret("201")), "{nothing}");
    wait_until("what comes from there is dropped", SOON, || {
        for n in 0..20 {
            flood.send_to(format!("NONSENSE {n}\r\n\r\n").as_bytes(), site.sip()).expect("sent");
        }
        number(&switch, "transport_banned_total") > before
    });

    // The phones share the address, and are heard on their own flows.
    alice.dial(&format!("sip:202@{}", switch.sip()));
    bob.wait_for("CALL_INCOMING", SOON);
    bob.accept();
    alice.wait_for("CALL_ESTABLISHED", SOON);
    bob.hang_up();
    alice.wait_for("CALL_CLOSED", SOON);

    assert_eq!(switch.request("DELETE", "/api/v1/bans/127.0.0.1", None, &[]).map(|a| a.status), Some(204));
    story.wait_for("guard.lifted", SOON, |_| true);
    assert!(switch.items("/api/v1/bans").is_empty());
}
