//! Hold and resume, in every form that phones have for it, and by command.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{By, Kind};
use cordboard::route::Cause;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::audio::MUSIC;
use crate::sim::ua::Hold;

const SECOND: Duration = Duration::from_secs(1);

/// A customer and the phone that it talks to.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    (sim, phone, trunk)
}

/// A phone that holds, and a command that does the same: one interval.
#[test]
fn a_hold_by_both_phone_and_command_is_told_once() {
    let (mut sim, phone, trunk) = talking(40);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    assert_eq!(sim.ask(Command::Hold { conversation }), Answer::Done);
    sim.act(phone, |p, now| p.resume(now));
    sim.run_for(SECOND);
    assert_eq!((sim.count("call.held"), sim.count("call.resumed")), (1, 0), "the command holds still");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!((sim.count("call.held"), sim.count("call.resumed")), (1, 1));
    sim.assert_clean();
}

#[test]
fn a_held_customer_hears_music_and_a_resumed_one_the_phone_again() {
    for (nth, how) in [Hold::SendOnly, Hold::Inactive, Hold::ZeroAddress].into_iter().enumerate() {
        let (mut sim, phone, trunk) = talking(nth as u8);
        let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
        sim.act(phone, |p, now| p.hold(how, now));
        sim.run_until("held", |s| s.has("call.held"));
        // The music has come up by then.
        let since = sim.now.mono + SECOND / 4;
        // Longer than a dead leg lives: a held phone may be silent.
        sim.run_for(60 * SECOND);
        assert_eq!(sim.ua(trunk).hears(since).keys().copied().collect::<Vec<_>>(), [MUSIC], "{how:?}");
        assert_eq!(sim.ua(phone).heard(t, since), 0, "{how:?}: the phone hears nothing");
        assert!(sim.ua(phone).is_up() && sim.ua(trunk).is_up(), "{}", sim.story());
        sim.act(phone, |p, now| p.resume(now));
        sim.run_until("resumed", |s| s.has("call.resumed"));
        let since = sim.now.mono + SECOND / 10;
        sim.run_for(2 * SECOND);
        assert_eq!(sim.ua(trunk).hears(since).keys().copied().collect::<Vec<_>>(), [p], "{how:?}");
        assert!(sim.ua(phone).heard(t, since) > 80, "{how:?}");
        assert_eq!((sim.count("call.held"), sim.count("call.resumed")), (1, 1));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_late_offer_within_the_call_resumes_it() {
    let (mut sim, phone, trunk) = talking(4);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.resume_with_late_offer(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(SECOND);
    let p = sim.ua(phone).byte;
    assert!(sim.ua(trunk).heard(p, since) > 40);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_second_hold_before_the_first_is_acknowledged_gets_491_and_changes_nothing() {
    let (mut sim, phone, trunk) = talking(5);
    sim.act(phone, |p, now| {
        p.hold(Hold::SendOnly, now);
        p.hold(Hold::Inactive, now);
    });
    sim.run_for(SECOND);
    let statuses: Vec<u16> = sim.ua(phone).statuses.iter().filter(|(m, s)| m == "INVITE" && *s >= 200).map(|(_, s)| *s).collect();
    assert_eq!(statuses, [200, 491], "{}", sim.story());
    assert_eq!(sim.count("call.held"), 1);
    sim.act(phone, |p, now| p.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn both_sides_may_hold_and_each_takes_its_own_back() {
    let (mut sim, phone, trunk) = talking(6);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.act(trunk, |t, now| t.hold(Hold::Inactive, now));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.count("call.held"), 2);
    sim.act(phone, |p, now| p.resume(now));
    sim.run_for(5 * SECOND);
    sim.act(trunk, |t, now| t.resume(now));
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert!(sim.ua(trunk).heard(p, since) > 40 && sim.ua(phone).heard(t, since) > 40);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_command_holds_and_resumes_and_says_who_gave_it() {
    let (mut sim, phone, trunk) = talking(7);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(sim.ask(Command::Hold { conversation }), Answer::Done);
    assert!(matches!(sim.ask(Command::Hold { conversation }), Answer::Refused(_)), "twice is once");
    let since = sim.now.mono + SECOND / 4;
    sim.run_for(5 * SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert_eq!(sim.ua(trunk).hears(since).keys().copied().collect::<Vec<_>>(), [MUSIC]);
    assert_eq!(sim.ua(phone).heard(t, since), 0);
    assert_eq!(sim.ask(Command::Resume { conversation }), Answer::Done);
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80);
    let by = sim.events.iter().find_map(|e| if let Kind::CallHeld(d) = &e.kind { Some(d.by.clone()) } else { None });
    assert_eq!(by, Some(cordboard::event::By::Api("admin".into())));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(matches!(sim.ask(Command::Resume { conversation }), Answer::Refused(_)));
    sim.assert_clean();
}

#[test]
fn hanging_up_while_holding_ends_the_call_for_both() {
    let (mut sim, phone, trunk) = talking(8);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).is_idle());
    sim.assert_clean();
}

#[test]
fn a_phone_that_loses_its_power_while_it_holds_is_noticed_and_lets_everybody_go() {
    let (mut sim, phone, trunk) = talking(9);
    sim.act(phone, |p, now| p.hold(Hold::Inactive, now));
    // An hour of hold is nobody's fault.
    sim.run_for(3_600 * SECOND);
    assert!(sim.ua(trunk).is_up() && sim.ua(phone).is_up(), "{}", sim.story());
    let asked = sim.ua(phone).log.iter().filter(|l| l.ends_with("<- OPTIONS")).count();
    assert!((100..=120).contains(&asked), "{asked}");
    sim.act(phone, |p, _| p.dead = true);
    let died = sim.now.mono;
    sim.run_until("noticed", |s| s.ua(trunk).is_idle());
    let after = sim.now.mono.since(died);
    assert!(after <= 63 * SECOND, "{after:?}");
    sim.run_until("told", |s| s.has("recording.finished"));
    assert_eq!((sim.ended()[0].cause, sim.ended()[0].by.clone()), (Cause::Lost, By::Switch));
    sim.assert_clean();
}

#[test]
fn a_held_phone_is_asked_no_more_once_it_has_resumed_or_hung_up() {
    let (mut sim, phone, trunk) = talking(10);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_for(20 * SECOND);
    sim.act(phone, |p, now| p.resume(now));
    sim.run_for(60 * SECOND);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_for(20 * SECOND);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(60 * SECOND);
    assert!(!sim.ua(phone).log.iter().any(|l| l.ends_with("<- OPTIONS")), "{:?}", sim.ua(phone).log);
    assert!(sim.ua(trunk).is_idle());
    sim.assert_clean();
}

/// RFC 3261 §13.2.1, §17.1.1.3: an ACK has the CSeq number of its INVITE.
#[test]
fn an_ack_of_the_first_invite_that_comes_late_is_not_taken_for_that_of_a_reinvite() {
    let mut sim = Sim::new(10);
    let (a, b) = (sim.phone("210"), sim.phone("201"));
    sim.act(a, |a, now| {
        a.call("201", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    sim.act(a, |a, now| a.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.run_for(SECOND);
    // Our 2xx has the offer, and the ACK is to bring the answer: one without a body would end that exchange.
    sim.act(a, |a, now| {
        a.acks = false;
        a.resume_with_late_offer(now);
    });
    sim.run_until("answered", |s| s.ua(a).log.last().is_some_and(|l| l.contains("200 INVITE")));
    sim.act(a, |a, _| a.acknowledge_the_first_again());
    sim.run_for(SECOND / 10);
    assert!(!sim.has("call.resumed"));
    sim.act(a, |a, _| a.acknowledge());
    sim.run_until("resumed", |s| s.has("call.resumed"));
    let since = sim.now.mono + SECOND / 10;
    // Longer than a 2xx is repeated: nobody waits for an ACK any more.
    sim.run_for(60 * SECOND);
    let byte = sim.ua(a).byte;
    assert_eq!(sim.ua(b).hears(since).keys().copied().collect::<Vec<_>>(), [byte], "{}", sim.story());
    assert!(sim.ua(a).is_up() && sim.ua(b).is_up());
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_phone_on_hold_whose_network_is_away_for_a_moment_keeps_its_call() {
    for stays_away in [false, true] {
        let (mut sim, phone, trunk) = talking(11);
        sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
        sim.run_for(29 * SECOND);
        sim.unreachable.insert(phone);
        sim.run_for(5 * SECOND);
        assert!(sim.ua(trunk).is_up(), "one probe that finds no way says little");
        if !stays_away {
            sim.unreachable.clear();
        }
        sim.run_for(90 * SECOND);
        assert_eq!(sim.ua(trunk).is_up(), !stays_away, "{}", sim.story());
        sim.unreachable.clear();
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.act(phone, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}
