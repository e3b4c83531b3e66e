//! Text from phone to phone (RFC 3428), and calls that a phone is asked to answer by itself.

use std::time::Duration;

use crate::sim::Sim;
use crate::sim::ua::OnInvite;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn answered(sim: &mut Sim, at: std::net::SocketAddr, text: &str, to: &str) -> u16 {
    sim.act(at, |ua, now| {
        ua.statuses.clear();
        let from = ua.number.clone();
        ua.message(to, &from, text, now);
    });
    sim.run_until("an answer", |sim| sim.ua(at).last_status("MESSAGE").is_some_and(|s| s != 401));
    sim.ua(at).last_status("MESSAGE").expect("one")
}

#[test]
fn a_text_reaches_every_device_under_the_senders_own_number() {
    let mut sim = Sim::new(100);
    let sender = sim.phone("201");
    let receiver = sim.phone("202");
    let second = sim.phone_at("202", [10, 1, 1, 2]);
    assert_eq!(answered(&mut sim, sender, "Grüße\r\n.", "202"), 200);
    sim.run_for(SECOND);
    for device in [receiver, second] {
        let expected = ("\"Olena\" <sip:201@cordboard.example>", "text/plain;charset=UTF-8", "Grüße\r\n.");
        let messages = &sim.ua(device).messages;
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].0.as_str(), messages[0].1.as_str(), messages[0].2.as_str()), expected);
    }
    sim.assert_clean();
}

#[test]
fn what_cannot_be_delivered_is_said() {
    let mut sim = Sim::new(101);
    let sender = sim.phone("201");
    let receiver = sim.phone("202");
    assert_eq!(answered(&mut sim, sender, "x", "299"), 404);
    assert_eq!(answered(&mut sim, sender, "x", "601"), 404, "a queue reads nothing");
    assert_eq!(answered(&mut sim, sender, "x", "203"), 480, "it is not registered");
    assert_eq!(answered(&mut sim, sender, &"x".repeat(1_301), "202"), 413);
    assert_eq!(answered(&mut sim, sender, &"x".repeat(1_300), "202"), 200);
    sim.act(receiver, |ua, _| ua.on_message = Some(415));
    assert_eq!(answered(&mut sim, sender, "x", "202"), 415);
    // Two devices: one takes it, whatever the other says first.
    let second = sim.phone_at("202", [10, 1, 1, 2]);
    assert_eq!(answered(&mut sim, sender, "x", "202"), 200);
    sim.act(second, |ua, _| ua.on_message = None);
    sim.act(receiver, |ua, _| ua.on_message = None);
    assert_eq!(answered(&mut sim, sender, "x", "202"), 480, "nobody says anything");
    sim.assert_clean();
}

#[test]
fn nobody_writes_under_anothers_number_or_without_a_secret() {
    let mut sim = Sim::new(102);
    let sender = sim.phone("201");
    let receiver = sim.phone("202");
    sim.act(sender, |ua, now| ua.message("202", "203", "x", now));
    sim.run_until("403", |sim| sim.ua(sender).last_status("MESSAGE") == Some(403));
    sim.act(sender, |ua, _| ua.secret = "wrong".into());
    sim.act(sender, |ua, now| {
        ua.statuses.clear();
        ua.message("202", "201", "x", now);
    });
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(sender).last_status("MESSAGE"), Some(401));
    assert!(sim.ua(receiver).messages.is_empty());
    sim.assert_clean();
}

#[test]
fn a_phone_that_floods_is_slowed_and_another_one_is_not() {
    let mut sim = Sim::new(103);
    let sender = sim.phone("201");
    let other = sim.phone("203");
    let receiver = sim.phone("202");
    let finals: Vec<u16> = (0..62).map(|_| answered(&mut sim, sender, "x", "202")).collect();
    assert_eq!((finals[59], finals[60], finals[61]), (200, 503, 503));
    assert_eq!(sim.ua(receiver).messages.len(), 60);
    assert_eq!(answered(&mut sim, other, "x", "202"), 200);
    sim.run_for(60 * SECOND);
    assert_eq!(answered(&mut sim, sender, "x", "202"), 200);
    sim.assert_clean();
}

#[test]
fn the_intercom_asks_a_phone_to_answer_by_itself_and_an_ordinary_call_does_not() {
    let mut sim = Sim::new(104);
    let caller = sim.phone("201");
    let callee = sim.phone("202");
    let third = sim.phone("203");
    sim.set(callee, OnInvite::Answer(Duration::ZERO));
    sim.act(caller, |ua, now| {
        ua.call("*80202", now);
    });
    sim.run_until("they talk", |sim| sim.ua(caller).is_up() && sim.ua(callee).is_up());
    assert_eq!(sim.ua(callee).invites[0].by_itself, [true; 3]);
    sim.run_for(SECOND);
    // Whom the call is transferred to is called as ever.
    sim.act(callee, |ua, now| ua.refer("203", now));
    sim.run_until("it is transferred", |sim| sim.ua(third).is_up());
    assert_eq!(sim.ua(third).invites[0].by_itself, [false; 3]);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_until("quiet", |sim| sim.ua(third).is_idle() && sim.ua(caller).is_idle());
    let guarded = sim.phone("211");
    for (number, status) in [("*80211", 403), ("*80299", 404), ("*80601", 404)] {
        sim.act(caller, |ua, now| {
            ua.call(number, now);
        });
        sim.run_until("an answer", |sim| sim.ua(caller).is_idle());
        assert_eq!(sim.ua(caller).final_status(), Some(status), "{number}");
    }
    assert!(sim.ua(guarded).invites.is_empty());
    sim.assert_clean();
}
