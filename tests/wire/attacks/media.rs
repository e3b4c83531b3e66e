//! Strangers at the media ports of a live call.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::support::baresip::Baresip;
use super::super::support::cordboard::{Cordboard, Site, secret};
use super::super::support::process::wait_until;
use super::super::support::rtp::Voice;
use super::super::support::tones::Audio;
use super::{SOON, STRANGER};

/// Of the two phones, and of the strangers.
const TONES: [f64; 3] = [440.0, 1_000.0, 700.0];

fn phone(site: &Site, switch: &Cordboard, number: &str, tone: f64) -> Baresip {
    let phone = Baresip::phone(site.folder(), number).tone(tone).registrar(switch.sip(), &secret(number)).start();
    switch.wait_for_registration(number, SOON);
    phone
}

/// RFC 3550 §6.6: "I leave", in the name of anybody.
const GOODBYE: [u8; 16] = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7];
/// RFC 5389 §6: a binding request.
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// A tone, goodbyes and questions to every media port, 2,000 datagrams a second. What comes back is counted.
fn flood(from: &str, ports: &[u16], calling: &AtomicBool, answers: &AtomicU64) {
    let socket = UdpSocket::bind((from, 0)).expect("a port");
    let mut voice = Voice::new(TONES[2], 666);
    let mut buffer = [0; 2_048];
    let mut next = ports.iter().cycle();
    while calling.load(Ordering::Relaxed) {
        let sound = voice.tick();
        for port in next.by_ref().take(40) {
            let rtcp = port % 2 == 1;
            let first = sound.first().map_or(&[][..], Vec::as_slice);
            for datagram in if rtcp { [&GOODBYE[..], &BINDING[..]] } else { [first, &BINDING[..]] } {
                // Nobody may listen there.
                let _ = socket.send_to(datagram, ("127.0.0.1", *port));
            }
        }
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        if socket.recv(&mut buffer).is_ok() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// From another host, and from the phones' own.
#[test]
fn strangers_who_flood_a_recorded_call_are_not_heard_and_hear_nothing() {
    let site = Site::new("attack-media").with("internal = true\n").phone("201").phone("202");
    let switch = site.start();
    let story = switch.events("since=0");
    let mut alice = phone(&site, &switch, "201", TONES[0]);
    let mut bob = phone(&site, &switch, "202", TONES[1]);
    let ports: Vec<u16> = site.media_ports().collect();
    let (calling, answers) = (AtomicBool::new(true), AtomicU64::new(0));
    std::thread::scope(|threads| {
        alice.dial(&format!("sip:202@{}", switch.sip()));
        bob.wait_for("CALL_INCOMING", SOON);
        bob.accept();
        alice.wait_for("CALL_ESTABLISHED", SOON);
        // Who speaks first is another story: it is told where a latch is.
        alice.wait_to_hear(Duration::from_millis(500), SOON);
        bob.wait_to_hear(Duration::from_millis(500), SOON);
        for from in [STRANGER, "127.0.0.1"] {
            let (ports, calling, answers) = (&ports, &calling, &answers);
            threads.spawn(move || flood(from, ports, calling, answers));
        }
        // A thread that panics here would leave the others at it.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            alice.wait_to_hear(Duration::from_secs(6), SOON);
            bob.wait_to_hear(Duration::from_secs(6), SOON);
        }));
        calling.store(false, Ordering::Relaxed);
        outcome.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
    alice.hang_up();
    bob.wait_for("CALL_CLOSED", SOON);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());

    assert_eq!(answers.load(Ordering::Relaxed), 0, "something came back");
    for (at, hears) in [(&alice, 1), (&bob, 0)] {
        let heard = &at.heard()[0];
        let halves = heard.halves(0, &TONES);
        assert!(halves.iter().all(|h| !h.tones.contains(&2)), "{}", heard.picture(&TONES));
        assert!(halves[3..11].iter().all(|h| h.is_only(hears)), "{}", heard.picture(&TONES));
    }
    for number in ["201", "202"] {
        let told = story.wait_for("media.quality", SOON, |e| e.data()["peer"] == format!("phone:{number}"));
        assert!(told.data()["quality"]["refused"].as_u64() > Some(10), "{number}: {}", told.data());
    }
    let finished = || switch.items("/api/v1/recordings").into_iter().find(|r| r["state"] == "finished");
    wait_until("the recording is finished", SOON, || finished().is_some());
    let id = finished().and_then(|r| r["id"].as_str().map(str::to_owned)).expect("a recording");
    let path = site.folder().path().join("recording.wav");
    std::fs::write(&path, switch.get(&format!("/api/v1/recordings/{id}/audio")).body).expect("written");
    let recording = Audio::read(&path);
    // Left the caller, right whom he heard.
    for side in [0, 1] {
        let halves = recording.halves(side, &TONES);
        assert!(halves.iter().all(|h| !h.tones.contains(&2)), "{}", recording.picture(&TONES));
        assert!(halves[3..11].iter().all(|h| h.is_only(side)), "{}", recording.picture(&TONES));
    }
}
