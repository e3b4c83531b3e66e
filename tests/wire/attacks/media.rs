//! Strangers at the media ports of a live call, of desk phones and of a browser.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::browsers::browser;
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

/// The only one, when it is finished.
fn recording(site: &Site, switch: &Cordboard) -> Audio {
    let finished = || switch.items("/api/v1/recordings").into_iter().find(|r| r["state"] == "finished");
    wait_until("the recording is finished", SOON, || finished().is_some());
    let id = finished().and_then(|r| r["id"].as_str().map(str::to_owned)).expect("a recording");
    let path = site.folder().path().join("recording.wav");
    std::fs::write(&path, switch.get(&format!("/api/v1/recordings/{id}/audio")).body).expect("written");
    Audio::read(&path)
}

/// RFC 3550 §6.6: "I leave", in the name of anybody.
const GOODBYE: [u8; 16] = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7];
/// RFC 5389 §6: a binding request.
const BINDING: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// RFC 6347 §4.2.2: a client that would begin.
fn client_hello() -> Vec<u8> {
    let body = [&[0xfe, 0xfd][..], &[9; 32], &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let length = body.len() as u8;
    let handshake = [&[1, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length][..], &body].concat();
    record(22, 0, &handshake)
}

fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9, 0, body.len() as u8][..], body].concat()
}

/// A check of ICE (RFC 8445 §7.1) that is whole, and nobody's.
fn check() -> Vec<u8> {
    let mut out =
        [&[0, 1, 0, 52][..], &BINDING[4..], &[0, 6, 0, 9], b"abcd:efgh\0\0\0", &[0, 0x25, 0, 0, 0, 8, 0, 20], &[0; 20]].concat();
    out[3] = (out.len() - 20 + 8) as u8;
    let crc = crc32fast::hash(&out) ^ 0x5354_554e;
    out.extend([0x80, 0x28, 0, 4]);
    out.extend(crc.to_be_bytes());
    out
}

/// What is no sound and no report: STUN; DTLS that would begin, that is a fatal alert, a goodbye, and of a later epoch; and nothing at all.
fn others() -> Vec<Vec<u8>> {
    let dtls =
        [client_hello(), record(21, 0, &[2, 40]), record(21, 0, &[1, 0]), record(22, 1, &[7; 40]), record(23, 1, &[7; 40])];
    [vec![BINDING.to_vec(), check()], dtls.into(), vec![vec![0xff; 100], vec![22]]].concat()
}

/// A tone, goodbyes, questions and handshakes to every media port, 2,000 datagrams a second. What comes back is counted.
fn flood(from: &str, ports: &[u16], calling: &AtomicBool, answers: &AtomicU64) {
    let socket = UdpSocket::bind((from, 0)).expect("a port");
    let mut voice = Voice::new(TONES[2], 666);
    let mut buffer = [0; 2_048];
    let (mut next, others) = (ports.iter().cycle(), others());
    let mut others = others.iter().cycle();
    while calling.load(Ordering::Relaxed) {
        let sound = voice.tick();
        for port in next.by_ref().take(40) {
            let rtcp = port % 2 == 1;
            let first = sound.first().map_or(&[][..], Vec::as_slice);
            for datagram in [if rtcp { &GOODBYE[..] } else { first }, others.next().map_or(&[][..], Vec::as_slice)] {
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
    let recording = recording(&site, &switch);
    // Left the caller, right whom he heard.
    for side in [0, 1] {
        let halves = recording.halves(side, &TONES);
        assert!(halves.iter().all(|h| !h.tones.contains(&2)), "{}", recording.picture(&TONES));
        assert!(halves[3..11].iter().all(|h| h.is_only(side)), "{}", recording.picture(&TONES));
    }
}

/// The same for a page, whose port takes STUN and DTLS too, and whose call ends where either of them says so.
#[test]
fn strangers_who_flood_a_browsers_call_change_nothing() {
    let site = Site::new("attack-browser").with("internal = true\n").phone("201").phone("202");
    let switch = site.start();
    let mut desk = phone(&site, &switch, "202", TONES[1]);
    let mut page = browser(&site, "jssip", "ws", "201", TONES[0]);
    page.wait_for("registered", SOON);
    switch.wait_for_registration("201", SOON);
    let ports: Vec<u16> = site.media_ports().collect();
    let (calling, answers) = (AtomicBool::new(true), AtomicU64::new(0));
    page.tell("call", &["202"]);
    desk.wait_for("CALL_INCOMING", SOON);
    desk.accept();
    page.wait_for("confirmed", SOON);
    page.wait_to_hear(TONES[1], SOON);
    desk.wait_to_hear(Duration::from_millis(500), SOON);
    std::thread::scope(|threads| {
        for from in [STRANGER, "127.0.0.1"] {
            let (ports, calling, answers) = (&ports, &calling, &answers);
            threads.spawn(move || flood(from, ports, calling, answers));
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            desk.wait_to_hear(Duration::from_secs(6), SOON);
            page.wait_to_hear(TONES[1], SOON);
        }));
        calling.store(false, Ordering::Relaxed);
        outcome.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
    assert_eq!(switch.items("/api/v1/conversations?state=live").len(), 1, "the call has not lived");
    page.tell("hangup", &[]);
    desk.wait_for("CALL_CLOSED", SOON);
    wait_until("no conversation is left", SOON, || switch.items("/api/v1/conversations?state=live").is_empty());

    assert_eq!(answers.load(Ordering::Relaxed), 0, "something came back");
    assert!(!switch.output().contains("rtc_"), "strangers fill the log:\n{}", switch.output());
    // How purely a page plays its tone on a busy machine is not looked at; who is heard is.
    let is_heard = |audio: &Audio, side: usize, tone: usize| {
        let halves = audio.halves(side, &TONES);
        assert!(halves.iter().all(|half| !half.tones.contains(&2)), "{}", audio.picture(&TONES));
        assert!(halves.windows(5).any(|five| five.iter().all(|half| half.tones == [tone])), "{}", audio.picture(&TONES));
    };
    is_heard(&desk.heard()[0], 0, 0);
    // Left the page, who called, right the desk.
    let recording = recording(&site, &switch);
    is_heard(&recording, 0, 0);
    is_heard(&recording, 1, 1);
}
