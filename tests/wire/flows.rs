//! The flows of a device (RFC 5626), with phones that have them: baresip by two ways at once, JsSIP and linphonec by one.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::Value;

use super::support::baresip::Baresip;
use super::support::browser::{Browser, Settings};
use super::support::cordboard::{Cordboard, Site, secret};
use super::support::linphone::Linphone;
use super::support::ports;
use super::support::process::{Folder, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A phone that registers by TCP and by UDP, as two flows.
fn with_two_flows(folder: &Folder, switch: SocketAddr, number: &str) -> Baresip {
    let second = format!(";sipnat=outbound;outbound2=\"sip:{switch};transport=udp\"");
    let phone = Baresip::phone(folder, number).registrar(switch, &secret(number)).domain("cordboard.test");
    phone.over_tcp().account(&second).register_every(600).start()
}

fn registrations(switch: &Cordboard, number: &str) -> Vec<Value> {
    switch.items("/api/v1/registrations").into_iter().filter(|r| r["number"] == number).collect()
}

fn flows(switch: &Cordboard, number: &str) -> Vec<(u64, String)> {
    let flow = |r: &Value| Some((r["reg_id"].as_u64()?, r["transport"].as_str()?.to_owned()));
    let mut all: Vec<_> = registrations(switch, number).iter().filter_map(flow).collect();
    all.sort();
    all
}

/// RFC 5626 §4.2, §5.3, §6.
#[test]
fn a_phone_with_two_flows_rings_once_and_is_one_phone_when_it_starts_anew() {
    let site = Site::new("flows").phone("201").phone("202");
    let switch = site.start();
    let both = [(1, "tcp".to_owned()), (2, "udp".to_owned())];
    let phone = with_two_flows(site.folder(), switch.sip(), "202");
    wait_until("both flows are there", SOON, || flows(&switch, "202") == both);
    let before = registrations(&switch, "202");
    assert!(before.iter().all(|r| r["instance"].as_str().is_some_and(|i| i.contains("urn:uuid:"))), "{before:?}");
    // As when somebody pulls its plug: nothing is taken back.
    drop(phone);
    let mut phone = with_two_flows(site.folder(), switch.sip(), "202");
    wait_until("it is there with new addresses", SOON, || {
        let now = registrations(&switch, "202");
        flows(&switch, "202") == both && now.iter().all(|r| before.iter().all(|b| b["source"] != r["source"]))
    });

    let mut caller = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", SOON);
    let story = switch.events("since=0");
    caller.dial(&format!("sip:202@{}", switch.sip()));
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    caller.wait_for("CALL_ESTABLISHED", SOON);
    let call = story.wait_for("call.bridged", SOON, |_| true).subject;
    phone.hang_up();
    caller.wait_for("CALL_CLOSED", SOON);
    let ended = story.wait_for("call.ended", SOON, |e| e.subject == call);
    assert_eq!(ended.data()["legs"].as_array().map(Vec::len), Some(2), "one INVITE to the phone: {}", ended.cloud_event);
}

#[test]
fn browsers_and_soft_clients_say_which_device_they_are() {
    let site = Site::new("devices").phone("201").phone("202");
    let switch = site.start();
    let url = format!("ws://{}/sip", site.http());
    let page = format!("http://{}/", site.http());
    let settings = Settings { library: "jssip", page, url, user: "201", secret: &secret("201"), tone: 700.0 };
    let mut browser = Browser::start(site.folder(), &settings);
    browser.wait_for("registered", SOON);
    let mut linphone = Linphone::start(site.folder(), "202", 440.0);
    linphone.register_over_tcp("202", &switch.sip().to_string(), &secret("202"));
    switch.wait_for_registration("202", SOON);
    assert_eq!(flows(&switch, "201"), [(1, "ws".to_owned())]);
    for number in ["201", "202"] {
        let all = registrations(&switch, number);
        assert!(all.iter().all(|r| r["instance"].as_str().is_some_and(|i| i.contains("urn:uuid:"))), "{all:?}");
    }
}

/// RFC 5626 §4.4, §8.1.3.1 of RFC 3261: phones whose process hangs, by UDP and by a TCP connection that stays open. Two are called, the third
/// has promised keep-alives, which stay out.
#[test]
fn phones_that_hang_are_registered_no_more_while_those_that_live_stay() {
    let site = ["201", "202", "203", "204", "205"].iter().fold(Site::new("hanging"), |site, number| site.phone(number));
    let site = site.agent("1002", "Bohdan", "202");
    let switch = site.start();
    // Longer than the test, so that no registration ends by itself.
    let phone = |number: &str| Baresip::phone(site.folder(), number).registrar(switch.sip(), &secret(number)).register_every(600);
    let hanging = [phone("202").start(), phone("203").over_tcp().start(), with_two_flows(site.folder(), switch.sip(), "205")];
    let mut callers = [phone("201").start(), phone("204").start()];
    for number in ["201", "202", "203", "204", "205"] {
        switch.wait_for_registration(number, SOON);
    }
    wait_until("one keeps its flows", SOON, || flows(&switch, "205").len() == 2);
    let story = switch.events("since=0");
    for phone in &hanging {
        phone.process().signal("STOP");
    }
    for (caller, number) in callers.iter_mut().zip(["202", "203"]) {
        caller.dial(&format!("sip:{number}@{}", switch.sip()));
    }
    // Timer B, or a minute of silence; timer F of two probes, with half a minute between.
    let long = Duration::from_secs(200);
    std::thread::scope(|scope| {
        // Somebody has to be heard all the time: else it is our network that is dead.
        let (until_here, ended) = sync_channel::<()>(0);
        let sip = switch.sip();
        scope.spawn(move || {
            let socket = UdpSocket::bind(("127.0.0.9", ports::port())).expect("a port");
            let at = socket.local_addr().expect("its address");
            for n in 0.. {
                let asks = format!(
                    "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKheard{n}\r\nFrom: <sip:heard@{at}>;tag={n}\r\n\
                     To: <sip:{sip}>\r\nCall-ID: heard{n}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                );
                let _ = socket.send_to(asks.as_bytes(), sip);
                if ended.recv_timeout(Duration::from_secs(1)) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        for number in ["202", "203", "205"] {
            let gone = story.wait_for("registration.expired", long, |e| e.data()["number"] == number);
            // The other flow of the third is a connection, which is open.
            assert_eq!(gone.data()["transport"], if number == "203" { "tcp" } else { "udp" });
            assert_eq!(gone.data()["reason"], "silence", "{}", gone.cloud_event);
        }
        drop(until_here);
    });
    let agent = switch.items("/api/v1/agents").into_iter().find(|agent| agent["staff_number"] == "1002");
    assert_eq!(agent.map(|agent| agent["state"].clone()), Some("unregistered".into()));
    let left: Vec<Value> = switch.items("/api/v1/registrations").into_iter().map(|r| r["number"].clone()).collect();
    assert_eq!(left, ["201", "204", "205"]);
}
