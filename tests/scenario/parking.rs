//! Park and retrieve: the customer waits in a slot with music, and whoever dials the slot has the call.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::Kind;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::invariants::live;
use crate::sim::ua::{Hold, OnInvite};

const SECOND: Duration = Duration::from_secs(1);

/// A customer talks to 201, who is told to park the call in a slot.
#[track_caller]
fn parked(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let trunk = sim.trunk();
    let parker = sim.phone("201");
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("they talk", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    sim.act(parker, |ua, now| ua.refer("701", now));
    sim.run_until("it is parked", |sim| sim.has("call.parked") && sim.ua(parker).is_idle());
    (sim, trunk, parker)
}

#[test]
fn a_parked_customer_hears_music_and_is_retrieved_by_another_phone() {
    let mut sim = Sim::new(90);
    let trunk = sim.trunk();
    let parker = sim.phone("201");
    let taker = sim.phone("210");
    sim.act(taker, |ua, now| {
        ua.watch("dialog", "701", None, now);
    });
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("they talk", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    sim.act(parker, |ua, now| ua.refer("701", now));
    sim.run_until("the slot's lamp is lit", |sim| sim.ua(taker).lamp(0) == ["confirmed"]);
    sim.run_until("the parker is released", |sim| sim.ua(parker).is_idle());
    assert_eq!(sim.ua(parker).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(5 * SECOND);
    let heard = sim.ua(trunk).hears(since);
    assert!(heard.values().sum::<usize>() > 200, "music: {heard:?}");
    assert!(!heard.contains_key(&sim.ua(parker).byte), "{heard:?}");
    sim.act(taker, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("it is retrieved", |sim| sim.ua(taker).is_up());
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(trunk).heard(sim.ua(taker).byte, since) > 90 && sim.ua(taker).heard(sim.ua(trunk).byte, since) > 90);
    sim.run_until("the lamp is out", |sim| sim.ua(taker).lamp(0) == ["terminated"]);
    assert_eq!((sim.count("call.parked"), sim.count("call.retrieved"), sim.count("call.started")), (1, 1, 1));
    assert_eq!(sim.count("recording.started"), 1, "one recording goes through all of it");
    // Nobody is there any more.
    let other = sim.phone("203");
    sim.act(other, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("404", |sim| sim.ua(other).final_status() == Some(404));
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_until("the end", |sim| sim.ua(taker).is_idle());
    sim.act(taker, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_call_that_nobody_retrieves_rings_at_the_parker_and_goes_back_into_its_slot() {
    let (mut sim, trunk, parker) = parked(91);
    sim.set(parker, OnInvite::Ring);
    sim.run_for(55 * SECOND);
    assert_eq!(sim.ua(parker).invites.len(), 1);
    sim.run_until("it rings at the parker", |sim| sim.ua(parker).is_ringing());
    sim.run_until("it is given up", |sim| sim.ua(parker).is_idle());
    assert!(sim.ua(trunk).is_up());
    sim.set(parker, OnInvite::Answer(SECOND));
    sim.run_until("it rings a second time, and is answered", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).heard(sim.ua(parker).byte, since) > 40);
    // The slot is free.
    let other = sim.phone("203");
    sim.act(other, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("404", |sim| sim.ua(other).final_status() == Some(404));
    sim.act(parker, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

#[test]
fn it_can_be_retrieved_while_the_parkers_phone_rings() {
    let (mut sim, trunk, parker) = parked(92);
    let taker = sim.phone("203");
    sim.set(parker, OnInvite::Ring);
    sim.run_until("it rings at the parker", |sim| sim.ua(parker).is_ringing());
    sim.act(taker, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("it is retrieved", |sim| sim.ua(taker).is_up() && sim.ua(parker).is_idle());
    assert_eq!(sim.ua(parker).cancels, [Some(200)]);
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_parked_customer_who_hangs_up_frees_the_slot() {
    let (mut sim, trunk, _) = parked(93);
    sim.run_for(SECOND);
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_until("it ends", |sim| sim.has("call.ended"));
    let other = sim.phone("203");
    sim.act(other, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("404", |sim| sim.ua(other).final_status() == Some(404));
    sim.assert_clean();
}

/// One call a slot; who finds it taken keeps the call.
#[test]
fn a_slot_that_is_taken_is_refused_and_another_one_is_not() {
    let (mut sim, first, _) = parked(94);
    let second = sim.phone("203");
    let parker = sim.phone("204");
    sim.act(second, |ua, now| {
        ua.call("204", now);
    });
    sim.run_until("they talk", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    sim.act(parker, |ua, now| ua.refer("701", now));
    sim.run_until("refused", |sim| sim.ua(parker).last_status("REFER") == Some(486));
    sim.run_for(SECOND);
    assert!(sim.ua(parker).is_up() && sim.ua(second).is_up());
    // By a command, into another one.
    let conversation = *live(&sim).last().expect("one");
    let answer = sim.ask(Command::Transfer { conversation, to: "702".into() });
    assert!(matches!(answer, Answer::Done), "{answer:?}");
    sim.run_until("parked", |sim| sim.count("call.parked") == 2 && sim.ua(parker).is_idle());
    // Not by the one who waits there himself.
    sim.act(second, |ua, now| {
        ua.call("702", now);
    });
    sim.run_until("486", |sim| sim.ua(second).final_status() == Some(486));
    sim.act(first, |ua, now| ua.hang_up(now));
    sim.act(second, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_call_that_comes_back_to_its_parker_goes_nowhere_else_whatever_that_one_forwards() {
    for forwarding in [
        cordboard::route::Forwarding { always: Some("601".into()), ..Default::default() },
        cordboard::route::Forwarding { busy: Some("601".into()), do_not_disturb: true, ..Default::default() },
        cordboard::route::Forwarding { no_answer: Some("601".into()), no_answer_after_s: 5, ..Default::default() },
    ] {
        let (mut sim, trunk, parker) = parked(97);
        let set = Command::SetForwarding { phone: "201".into(), forwarding };
        assert_eq!(sim.ask(set), Answer::Done);
        sim.set(parker, OnInvite::Ring);
        sim.run_until("its parker is rung", |sim| sim.ua(parker).is_ringing());
        sim.run_for(90 * SECOND);
        assert!(!sim.has("call.forwarded") && !sim.has("queue.entered"), "{}", sim.story());
        assert!(sim.ua(trunk).is_up());
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.assert_clean();
    }
}

const SLOT_701: &str = "en/parked en/digit-7 en/digit-0 en/digit-1";

fn slots(sim: &Sim) -> Vec<String> {
    sim.events.iter().filter_map(|e| if let Kind::CallParked(p) = &e.kind { Some(p.slot.to_string()) } else { None }).collect()
}

/// A customer talks to 201.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (trunk, parker) = (sim.trunk(), sim.phone("201"));
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("they talk", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    (sim, trunk, parker)
}

/// RFC 5589 §7, with a feature for its target.
#[test]
fn who_asks_for_a_slot_hears_it_and_an_attended_transfer_parks_the_call_there() {
    let (mut sim, trunk, parker) = talking(101);
    let (watcher, taker) = (sim.phone("210"), sim.phone("203"));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "701", None, now);
    });
    sim.act(parker, |ua, now| {
        ua.hold(Hold::SendOnly, now);
    });
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(parker, |ua, now| {
        ua.call("*70", now);
    });
    let since = sim.now.mono;
    sim.run_for(5 * SECOND);
    assert!(sim.ua(parker).heard(PROMPT, since) > 50 && sim.ua(trunk).heard(PROMPT, since) == 0);
    assert!(sim.said.len() > 1 && sim.said.iter().all(|said| said == SLOT_701), "again and again: {:?}", sim.said);
    // Kept for him: dark, nobody's to take, and not the next one's to hear.
    assert_ne!(sim.ua(watcher).lamp(0), ["confirmed"]);
    sim.act(taker, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("404", |sim| sim.ua(taker).final_status() == Some(404));
    sim.said.clear();
    sim.act(taker, |ua, now| {
        ua.call("*70", now);
    });
    sim.run_until("another one", |sim| sim.said.iter().any(|said| said == "en/parked en/digit-7 en/digit-0 en/digit-2"));
    sim.act(taker, |ua, now| ua.hang_up(now));
    sim.act(parker, |ua, now| ua.refer_call(0, 1, now));
    sim.run_until("parked", |sim| sim.has("call.parked") && sim.ua(parker).is_idle());
    assert_eq!(slots(&sim), ["701"]);
    assert_eq!(sim.ua(parker).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    sim.run_until("lit", |sim| sim.ua(watcher).lamp(0) == ["confirmed"]);
    let since = sim.now.mono;
    sim.run_for(20 * SECOND);
    assert!(sim.ua(trunk).heard(MUSIC, since) > 900);
    assert_eq!(sim.ua(parker).invites.len(), 1, "who has heard it is not rung back");
    sim.act(taker, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("taken", |sim| sim.ua(taker).is_up() && sim.has("call.retrieved"));
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_until("over", |sim| sim.ua(taker).is_idle());
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_slot_that_was_asked_for_is_free_again_when_nobody_comes() {
    let (mut sim, trunk, parker) = talking(102);
    let other = sim.phone("203");
    // Hung up; and left lying.
    for after in [2, 70] {
        sim.said.clear();
        sim.act(other, |ua, now| {
            ua.call("*70", now);
        });
        sim.run_for(after * SECOND);
        assert!(sim.said.len() < 20 && sim.said.first().is_some_and(|said| said == SLOT_701), "{:?}", sim.said);
        assert_eq!(sim.ua(other).is_up(), after == 2, "a minute is enough");
        sim.act(other, |ua, now| ua.hang_up(now));
        sim.run_until("it is over", |sim| sim.ua(other).is_idle());
    }
    // Three slots, three who ask, and a fourth.
    let mut all = vec![sim.phone("202"), other, sim.phone("204")];
    for phone in &all {
        sim.act(*phone, |ua, now| {
            ua.call("*70", now);
        });
    }
    sim.run_for(2 * SECOND);
    let late = sim.phone("210");
    sim.act(late, |ua, now| {
        ua.call("*70", now);
    });
    sim.run_until("busy", |sim| sim.ua(late).final_status() == Some(486));
    // He keeps his call, too.
    sim.act(parker, |ua, now| ua.refer("*70", now));
    sim.run_until("refused", |sim| sim.ua(parker).last_status("REFER") == Some(486));
    sim.run_for(SECOND);
    assert!(sim.ua(parker).is_up() && sim.ua(trunk).is_up());
    all.push(trunk);
    for phone in all {
        sim.act(phone, |ua, now| ua.hang_up(now));
    }
    sim.assert_clean();
}

#[test]
fn who_parks_blindly_by_code_is_rung_back_by_the_slot_and_told_where() {
    for answers in [true, false] {
        let (mut sim, trunk, parker) = talking(103);
        sim.set(parker, if answers { OnInvite::Answer(2 * SECOND) } else { OnInvite::Ring });
        sim.act(parker, |ua, now| ua.refer("*70", now));
        sim.run_until("it is parked, and the parker rung", |sim| sim.has("call.parked") && sim.ua(parker).is_ringing());
        assert_eq!(slots(&sim), ["701"]);
        let shown = sim.ua(parker).invites.last().cloned().expect("an INVITE");
        assert_eq!((shown.number.as_str(), shown.display.as_deref()), ("701", Some("Park 701")));
        if answers {
            sim.run_until("he answers", |sim| sim.ua(parker).is_up());
            let since = sim.now.mono;
            sim.run_until("he is let go", |sim| sim.ua(parker).is_idle());
            assert!(sim.ua(parker).heard(PROMPT, since) > 50);
            assert_eq!(sim.said, [format!("{SLOT_701} {SLOT_701}")]);
        } else {
            sim.run_until("it is given up", |sim| sim.ua(parker).is_idle());
            assert!(sim.said.is_empty());
        }
        sim.run_for(20 * SECOND);
        assert_eq!(sim.ua(parker).invites.len(), 2, "once");
        assert!(sim.ua(trunk).is_up());
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.assert_clean();
    }
    // The customer has hung up meanwhile: there is nothing to be told.
    let (mut sim, trunk, parker) = talking(104);
    sim.set(parker, OnInvite::Ring);
    sim.act(parker, |ua, now| ua.refer("*70", now));
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_for(5 * SECOND);
    sim.run_until("it ends", |sim| sim.has("call.ended") && sim.ua(parker).is_idle());
    sim.assert_clean();
}
