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

/// Runs a tool to its end, and gives what it printed.
fn run(site: &Site, tool: &str, arguments: &[&str]) -> String {
    let port = site.sip().port().to_string();
    let own = ports::port().to_string();
    let mut command = Command::new(tool);
    command.args(["-p", &port, "-P", &own, "-b", "127.0.0.1", "-x", "127.0.0.1"]).args(arguments).arg("127.0.0.1");
    command.env("HOME", site.folder().path()).env("TERM", "dumb").current_dir(site.folder().path());
    let mut process = Process::start(tool, &mut command, site.folder().path());
    process.wait(LONGEST);
    process.output()
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
    let site = Site::new("svmap-svwar").phone("201").phone("202");
    let switch = site.start();
    let _alice = phone(&site, &switch, "201");
    println!("{}", run(&site, "svmap", &[]));
    let items = switch.items("/api/v1/signalling");
    let text = |i: &serde_json::Value| i["message"].as_str().unwrap_or_default().to_owned();
    let asked = items.iter().filter(|i| i["way"] == "received").map(text).find(|m| m.starts_with("OPTIONS")).expect("svmap asks");
    assert!(asked.contains("friendly-scanner") || asked.contains("sipvicious"), "{asked}");
    let answered = items.iter().filter(|i| i["way"] == "sent").map(text).find(|m| m.contains(" OPTIONS\r\n"));
    if let Some(answer) = answered {
        assert!(answer.len() <= asked.len() + 200, "no amplification: {} for {}", answer.len(), asked.len());
        assert!(!answer.contains("sip:201"), "{answer}");
    }

    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        let found = run(&site, "svwar", &["--force", "-m", method, "-e", "195-210"]);
        println!("{method}\n{found}");
        // Each extension that it lists, with what it takes it for.
        let listed: Vec<(&str, &str)> = found
            .lines()
            .filter_map(|l| {
                let mut cells = l.split('|').map(str::trim).filter(|c| !c.is_empty());
                let extension = cells.next().filter(|e| e.len() == 3 && e.bytes().all(|b| b.is_ascii_digit()))?;
                Some((extension, cells.next()?))
            })
            .collect();
        let kinds: std::collections::BTreeSet<&str> = listed.iter().map(|(_, kind)| *kind).collect();
        assert!(kinds.len() <= 1, "one is told from another: {listed:?}");
        assert!(listed.is_empty() || listed.len() == 16, "some are there and others not: {listed:?}");
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
