//! Class of service: who is refused what, by phone, by transfer and by the API; and what nobody is refused.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::Kind;
use cordboard::route::class::Denied;
use cordboard::switch::command::WantedState;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// The centre with phone 210 in this class, the trunk, and a phone that has none. It is Sunday, ten o'clock.
fn centre_with(seed: u8, class: &str) -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut sim = Sim::with(seed, source_with(class));
    let (phone, other, trunk) = (sim.phone("210"), sim.phone("201"), sim.trunk());
    (sim, phone, other, trunk)
}

fn source_with(class: &str) -> Source {
    let mut source = centre();
    source.main.text = source.main.text.replace("secret = \"secret-210\"", "secret = \"secret-210\"\nclass = \"limited\"");
    source.main.text += &format!("\n[class.limited]\n{class}\n");
    source
}

/// What became of a call to this number.
fn dials(sim: &mut Sim, phone: SocketAddr, number: &str) -> u16 {
    let number = number.to_owned();
    sim.act(phone, |p, now| {
        p.call(&number, now);
    });
    sim.run_until("it is taken or refused", |s| s.ua(phone).is_up() || s.ua(phone).final_status().is_some_and(|s| s >= 300));
    if sim.ua(phone).is_up() { 200 } else { sim.ua(phone).final_status().unwrap_or(0) }
}

fn hangs_up(sim: &mut Sim, phone: SocketAddr) {
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("it is over", |s| s.ua(phone).is_idle());
    sim.run_for(SECOND);
}

fn refused(sim: &Sim) -> Vec<(String, Denied, String)> {
    let all = sim.events.iter().filter_map(|e| if let Kind::ClassRefused(r) = &e.kind { Some(r.clone()) } else { None });
    all.map(|r| (r.phone.to_string(), r.denied, r.number)).collect()
}

#[test]
fn a_phone_dials_only_the_prefixes_of_its_class_and_everybody_inside() {
    let (mut sim, phone, other, trunk) = centre_with(1, "allow = [\"+4940*\"]\ndeny = [\"+494099*\"]");
    for (number, status) in [("04940123", 200), ("0494099123", 403), ("04930123", 403), ("0112", 200), ("201", 200)] {
        assert_eq!(dials(&mut sim, phone, number), status, "{number}\n{}", sim.story());
        if status == 200 {
            hangs_up(&mut sim, phone);
        }
    }
    let expected = [("494099123", Denied::Prefix), ("4930123", Denied::Prefix)];
    assert_eq!(refused(&sim), expected.map(|(number, denied)| ("210".to_owned(), denied, number.to_owned())));
    assert_eq!(sim.ua(trunk).invites.len(), 2, "nothing else went out");
    // Who has no class is not limited.
    assert_eq!(dials(&mut sim, other, "04930123"), 200);
    hangs_up(&mut sim, other);
    sim.assert_clean();
}

#[test]
fn the_class_called_default_is_for_those_who_name_none() {
    let mut source: Source = centre();
    source.main.text += "\n[class.default]\ndeny = [\"+4940*\"]\n";
    let mut sim = Sim::with(2, source);
    let phone = sim.phone("201");
    sim.trunk();
    assert_eq!(dials(&mut sim, phone, "04940123"), 403);
}

#[test]
fn outside_is_open_at_the_hours_of_the_class() {
    let (mut sim, phone, _, _) = centre_with(3, "hours = \"11:00-12:00\"\ndays = [\"sat-sun\"]");
    assert_eq!(dials(&mut sim, phone, "04940123"), 403);
    sim.run_for(3_600 * SECOND);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200);
    // A call that goes on is not cut.
    sim.run_for(3_600 * SECOND);
    assert!(sim.ua(phone).is_up());
    hangs_up(&mut sim, phone);
    assert_eq!(dials(&mut sim, phone, "04940123"), 403);
    assert_eq!(refused(&sim).iter().map(|(_, denied, _)| *denied).collect::<Vec<_>>(), [Denied::Hours; 2]);
}

#[test]
fn minutes_outside_are_counted_with_the_call_that_goes_on_and_begin_anew_at_midnight() {
    let (mut sim, phone, _, _) = centre_with(4, "minutes = 2");
    assert_eq!(dials(&mut sim, phone, "04940123"), 200);
    sim.run_for(90 * SECOND);
    hangs_up(&mut sim, phone);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200);
    sim.run_for(600 * SECOND);
    assert!(sim.ua(phone).is_up(), "it is not cut");
    let second = sim.ask(Command::Originate { from: "210".into(), to: "04940123".into() });
    assert_eq!(second, Answer::Refused(Refusal::NotPermitted("phone:210".into(), Denied::Minutes)));
    hangs_up(&mut sim, phone);
    assert_eq!(dials(&mut sim, phone, "04940123"), 403);
    assert_eq!(dials(&mut sim, phone, "201"), 200, "inside costs nothing");
    hangs_up(&mut sim, phone);
    sim.run_for(14 * 3_600 * SECOND);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200);
    hangs_up(&mut sim, phone);
    sim.assert_clean();
}

#[test]
fn a_phone_is_in_so_many_calls_as_its_class_says() {
    let (mut sim, phone, other, _) = centre_with(5, "calls = 1");
    assert_eq!(dials(&mut sim, phone, "201"), 200);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("the second is refused", |s| s.ua(phone).final_status().is_some_and(|s| s >= 300));
    assert_eq!(sim.ua(phone).final_status(), Some(486));
    assert_eq!(refused(&sim), [("210".to_owned(), Denied::Calls, "4940123".to_owned())]);
    sim.act(phone, |p, now| {
        p.call("0112", now);
    });
    sim.run_until("help is called", |s| s.ua(phone).open_calls() == 2);
    for at in [phone, other] {
        while sim.ua(at).open_calls() > 0 {
            hangs_up_one(&mut sim, at);
        }
    }
    assert_eq!(dials(&mut sim, phone, "201"), 200);
}

/// It rings at both of its devices: one call.
#[test]
fn a_call_at_two_devices_of_a_phone_is_one() {
    let (mut sim, desk, other, _) = centre_with(9, "calls = 2");
    let soft = sim.phone_at("210", [10, 1, 0, 11]);
    for at in [desk, soft] {
        sim.set(at, OnInvite::Ring);
    }
    sim.act(other, |p, now| {
        p.call("210", now);
    });
    sim.run_until("both ring", |s| [desk, soft].iter().all(|at| !s.ua(*at).invites.is_empty()));
    sim.run_for(SECOND);
    sim.act(desk, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("the second is taken", |s| s.ua(desk).is_up());
    assert!(refused(&sim).is_empty());
    // That makes two.
    sim.act(soft, |p, now| {
        p.call("04940124", now);
    });
    sim.run_until("the third is not", |s| s.ua(soft).final_status().is_some_and(|s| s >= 300));
    assert_eq!(refused(&sim), [("210".to_owned(), Denied::Calls, "4940124".to_owned())]);
    for at in [other, desk] {
        sim.act(at, |p, now| p.hang_up(now));
    }
    sim.assert_clean();
}

/// An attended transfer of whom nobody has asked is a blind one. A park slot brings the call back, and is none.
#[test]
fn without_the_right_to_transfer_blind_only_who_talks_to_somebody_hands_a_call_over() {
    for (consulted, answers, merged) in
        [("202", true, true), ("202", false, false), ("601", false, false), ("600", false, false), ("*70", false, true)]
    {
        let (mut sim, phone, other, _) = centre_with(10, "transfer_blind = false");
        let third = sim.phone("202");
        sim.set(third, if answers { OnInvite::Answer(SECOND) } else { OnInvite::Ring });
        assert_eq!(dials(&mut sim, other, "210"), 200);
        if consulted == "601" {
            sim.ask(Command::SetAgent { agent: "1002".into(), state: WantedState::Paused, reason: None });
            sim.ask(Command::SetAgent { agent: "1001".into(), state: WantedState::Paused, reason: None });
        }
        sim.act(phone, |p, now| {
            p.call(consulted, now);
        });
        sim.run_for(5 * SECOND);
        sim.act(phone, |p, now| p.refer_call(0, 1, now));
        sim.run_for(3 * SECOND);
        assert_eq!(sim.ua(phone).last_status("REFER"), Some(202), "{consulted}");
        assert_eq!(sim.has("call.merged"), merged, "{consulted} {answers}\n{}", sim.story());
        if !merged {
            assert_eq!(refused(&sim), [("210".to_owned(), Denied::Transfer, consulted.to_owned())]);
            assert!(sim.ua(phone).notifies.last().is_some_and(|n| n.contains(" 403 ")), "{:?}", sim.ua(phone).notifies);
            assert!(sim.ua(other).is_up(), "the call goes on");
        }
    }
    let (mut sim, phone, other, _) = centre_with(11, "transfer_blind = false");
    assert_eq!(dials(&mut sim, other, "210"), 200);
    sim.act(phone, |p, now| p.refer("701", now));
    sim.run_until("it is parked", |s| s.has("call.parked"));
    assert!(refused(&sim).is_empty());
}

fn hangs_up_one(sim: &mut Sim, at: SocketAddr) {
    let before = sim.ua(at).open_calls();
    sim.act(at, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(at).open_calls() < before);
}

#[test]
fn a_transfer_takes_the_right_and_the_prefixes_of_who_transfers() {
    for (class, status, outcome) in [
        ("transfer_blind = false", 403, Some(Denied::Transfer)),
        ("deny = [\"+4940*\"]", 403, Some(Denied::Prefix)),
        ("deny = [\"+4930*\"]", 202, None),
    ] {
        let (mut sim, phone, other, trunk) = centre_with(6, class);
        assert_eq!(dials(&mut sim, other, "210"), 200);
        sim.set(trunk, OnInvite::Answer(SECOND));
        sim.act(phone, |p, now| p.refer("04940123", now));
        sim.run_for(3 * SECOND);
        assert_eq!(sim.ua(phone).last_status("REFER"), Some(status), "{class}");
        assert_eq!(refused(&sim).first().map(|(_, denied, _)| *denied), outcome);
        assert_eq!(sim.ua(trunk).is_up(), outcome.is_none());
        assert!(sim.ua(other).is_up(), "the call goes on");
        if outcome == Some(Denied::Transfer) {
            // The API is an operator's, who needs no phone's right for it.
            let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a call");
            assert_eq!(sim.ask(Command::Transfer { conversation, to: "04940123".into() }), Answer::Done, "{}", sim.story());
        }
        hangs_up(&mut sim, other);
        sim.run_for(5 * SECOND);
        sim.assert_clean();
    }
}

#[test]
fn the_api_dials_with_the_phones_class() {
    let (mut sim, _, _, trunk) = centre_with(7, "deny = [\"+4940*\"]");
    let asked = sim.ask(Command::Originate { from: "210".into(), to: "04940123".into() });
    assert_eq!(asked, Answer::Refused(Refusal::NotPermitted("phone:210".into(), Denied::Prefix)));
    sim.run_for(5 * SECOND);
    assert!(sim.ua(trunk).invites.is_empty());
    assert!(matches!(sim.ask(Command::Originate { from: "210".into(), to: "04930123".into() }), Answer::Started(_)));
}

#[test]
fn minutes_of_today_outlive_the_process_those_of_a_call_that_a_kill_ends_too() {
    let (mut sim, phone, _, trunk) = centre_with(8, "minutes = 5");
    sim.source = Some(source_with("minutes = 5"));
    assert_eq!(dials(&mut sim, phone, "04940123"), 200);
    sim.run_for(150 * SECOND);
    hangs_up(&mut sim, phone);
    let again = |sim: &mut Sim| {
        sim.restart(Vec::new());
        sim.act(phone, |p, now| {
            p.register(now);
        });
        sim.run_for(SECOND);
    };
    again(&mut sim);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200, "half of them are left");
    sim.run_for(170 * SECOND);
    // It goes on; the power fails.
    again(&mut sim);
    for party in [phone, trunk] {
        sim.act(party, |p, now| p.hang_up(now));
    }
    sim.run_for(40 * SECOND);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200, "of 320 s the last 50 were not kept");
    sim.run_for(40 * SECOND);
    hangs_up(&mut sim, phone);
    assert_eq!(dials(&mut sim, phone, "04940123"), 403);
    sim.run_for(14 * 3_600 * SECOND);
    again(&mut sim);
    assert_eq!(dials(&mut sim, phone, "04940123"), 200, "another day");
    hangs_up(&mut sim, phone);
}

#[test]
fn who_transfers_pays_for_the_second_trunk_too() {
    let (mut sim, phone, other, trunk) = centre_with(9, "minutes = 2");
    let backup = sim.add(crate::sim::ua::Ua::trunk([10, 2, 0, 2].into()));
    assert_eq!(dials(&mut sim, other, "210"), 200);
    // The first trunk says nothing; who transfers does not wait for that.
    sim.act(trunk, |t, _| t.dead = true);
    sim.set(backup, OnInvite::Answer(SECOND));
    sim.act(phone, |p, now| p.refer("04940123", now));
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle(), "{}", sim.story());
    sim.run_until("the second trunk has it", |s| s.ua(backup).is_up());
    sim.run_for(150 * SECOND);
    hangs_up(&mut sim, other);
    assert_eq!(dials(&mut sim, phone, "04940123"), 403, "its two minutes are used");
}
