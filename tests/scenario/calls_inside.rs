//! Calls from phone to phone, and everything that can come to nothing.

use std::time::Duration;

use cordboard::event::Kind;
use cordboard::route::Cause;
use cordboard::switch::{Answer, Command};

use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, switch};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_phones_call_each_other_by_number_and_are_not_recorded() {
    let mut sim = Sim::new(1);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    assert!(sim.ua(a).last().is_some_and(|c| c.rang()), "180 is passed on");
    assert_eq!(sim.ua(b).invites[0].number, "201");
    assert_eq!(sim.ua(b).invites[0].display.as_deref(), Some("Olena"));
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(5 * SECOND);
    let (byte_a, byte_b) = (sim.ua(a).byte, sim.ua(b).byte);
    assert!(sim.ua(a).heard(byte_b, since) > 240 && sim.ua(b).heard(byte_a, since) > 240);
    assert!(sim.recordings.is_empty());
    sim.act(b, |b, now| b.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.run_until("the caller is told", |s| s.ua(a).byes == 1);
    sim.assert_clean();
}

#[test]
fn a_callers_side_gets_the_cause_of_the_callees() {
    for (status, expected, cause) in
        [(486, 486, Cause::Busy), (603, 603, Cause::Declined), (480, 480, Cause::Unavailable), (404, 404, Cause::NotFound)]
    {
        let mut sim = Sim::new(2);
        let (a, b) = (sim.phone("201"), sim.phone("210"));
        sim.set(b, OnInvite::RefuseAfter(status, SECOND));
        sim.act(a, |a, now| {
            a.call("210", now);
        });
        sim.run_until("over", |s| s.ua(a).final_status().is_some());
        assert_eq!(sim.ua(a).final_status(), Some(expected), "{status}");
        assert_eq!(sim.ended()[0].cause, cause);
        assert_eq!(sim.ended()[0].status, Some(expected));
        sim.assert_clean();
    }
}

#[test]
fn a_phone_that_nobody_answers_is_given_up_after_a_minute() {
    let mut sim = Sim::new(3);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.set(b, OnInvite::Ring);
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("over", |s| s.ua(a).final_status().is_some());
    assert_eq!(sim.ua(a).final_status(), Some(480));
    assert_eq!(sim.ended()[0].cause, Cause::NoAnswer);
    sim.run_for(SECOND);
    assert_eq!(sim.ua(b).cancels, [None], "a missed call, so no reason");
    sim.assert_clean();
}

#[test]
fn a_phone_that_is_not_registered_is_unavailable_and_a_number_that_is_none_not_found() {
    let mut sim = Sim::new(4);
    let a = sim.phone("201");
    for (number, status) in [("202", 480), ("999", 404)] {
        sim.act(a, |a, now| {
            a.call(number, now);
        });
        sim.run_until("refused", |s| s.ua(a).is_idle());
        assert_eq!(sim.ua(a).final_status(), Some(status), "{number}");
    }
    sim.assert_clean();
}

#[test]
fn a_phone_that_has_gone_dark_times_out_and_the_caller_is_told() {
    let mut sim = Sim::new(5);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(b, |b, _| b.dead = true);
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("over", |s| s.ua(a).is_idle());
    assert_eq!(sim.ua(a).final_status(), Some(408));
    sim.assert_clean();
}

#[test]
fn a_wrong_password_registers_nobody_and_calls_nobody() {
    let mut sim = Sim::new(6);
    let at = sim.add(Ua::phone("201", [10, 1, 0, 201].into()));
    sim.act(at, |a, now| {
        a.secret = "guess".into();
        a.register(now);
    });
    sim.run_until("refused", |s| s.ua(at).last_status("REGISTER").is_some());
    assert_eq!(sim.ua(at).last_status("REGISTER"), Some(401));
    sim.act(at, |a, now| {
        a.call("210", now);
    });
    sim.run_until("refused", |s| s.ua(at).is_idle());
    assert_eq!(sim.ua(at).final_status(), Some(401));
    assert!(!sim.has("registration.added") && !sim.has("call.started"));
    sim.assert_clean();
}

#[test]
fn a_caller_may_give_up_at_every_moment() {
    // Virtual time from the INVITE: before 100, before 180, while it rings, as it is answered, and after.
    for wait_us in
        [0, 500, 1_500, 2_500, 3_500, 4_500, 5_500, 1_000_000, 2_002_000, 2_003_000, 2_004_000, 2_005_000, 2_006_000, 2_010_000]
    {
        let mut sim = Sim::new(7);
        let (a, b) = (sim.phone("201"), sim.phone("210"));
        sim.act(a, |a, now| {
            a.call("210", now);
        });
        sim.run_for(Duration::from_micros(wait_us));
        sim.act(a, |a, now| a.hang_up(now));
        sim.run_for(3 * SECOND);
        // A 200 that crossed with the CANCEL is a call: the phone hangs up then.
        sim.act(a, |a, now| a.hang_up(now));
        sim.run_for(SECOND);
        assert!(sim.ua(a).is_idle() && sim.ua(b).is_idle(), "after {wait_us} us\n{}", sim.story());
        assert_eq!(sim.count("call.started"), sim.count("call.ended"), "after {wait_us} us\n{}", sim.story());
        sim.assert_clean();
    }
}

#[test]
fn of_a_numbers_devices_one_answers_and_the_others_show_no_missed_call() {
    let mut sim = Sim::new(8);
    let a = sim.phone("201");
    let desk = sim.phone_at("210", [10, 1, 0, 10]);
    let soft = sim.phone_at("210", [10, 1, 0, 11]);
    let busy = sim.phone_at("210", [10, 1, 0, 12]);
    sim.set(soft, OnInvite::Ring);
    sim.set(busy, OnInvite::Refuse(486));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(desk).is_up());
    sim.run_for(SECOND);
    assert_eq!(sim.ua(soft).cancels, [Some(200)]);
    assert!(sim.ua(soft).is_idle());
    sim.act(a, |a, now| a.hang_up(now));
    sim.run_until("over", |s| s.ua(desk).is_idle());
    sim.assert_clean();
}

#[test]
fn two_devices_that_answer_at_once_leave_one_call() {
    let mut sim = Sim::new(9);
    let a = sim.phone("201");
    let one = sim.phone_at("210", [10, 1, 0, 10]);
    let two = sim.phone_at("210", [10, 1, 0, 11]);
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up());
    sim.run_for(2 * SECOND);
    assert_eq!(usize::from(sim.ua(one).is_up()) + usize::from(sim.ua(two).is_up()), 1, "{}", sim.story());
    sim.act(a, |a, now| a.hang_up(now));
    sim.run_for(2 * SECOND);
    assert!(sim.ua(one).is_idle() && sim.ua(two).is_idle());
    sim.assert_clean();
}

#[test]
fn when_all_devices_refuse_the_most_telling_refusal_stands() {
    let mut sim = Sim::new(10);
    let a = sim.phone("201");
    let one = sim.phone_at("210", [10, 1, 0, 10]);
    let two = sim.phone_at("210", [10, 1, 0, 11]);
    sim.set(one, OnInvite::Refuse(486));
    sim.set(two, OnInvite::RefuseAfter(480, SECOND));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("over", |s| s.ua(a).is_idle());
    assert_eq!(sim.ua(a).final_status(), Some(486));
    sim.assert_clean();
}

#[test]
fn a_late_offer_is_answered_with_ours_and_its_answer_counts() {
    let mut sim = Sim::new(11);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(a, |a, now| {
        a.call_with_late_offer("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    let (byte_a, byte_b) = (sim.ua(a).byte, sim.ua(b).byte);
    assert!(sim.ua(a).heard(byte_b, since) > 80 && sim.ua(b).heard(byte_a, since) > 80);
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_phone_that_talks_a_law_alone_and_one_that_talks_mu_law_hear_each_other() {
    let mut sim = Sim::new(12);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(a, |a, _| a.codecs = vec![8]);
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(a).hears(since).values().sum::<usize>() > 80, "{}", sim.story());
    assert!(sim.ua(b).hears(since).values().sum::<usize>() > 80);
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_callee_whose_answer_cannot_be_used_is_let_go_and_the_caller_told() {
    let mut sim = Sim::new(13);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.set(b, OnInvite::AnswerUnusably);
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("over", |s| s.ua(a).is_idle());
    assert_eq!(sim.ua(a).final_status(), Some(488));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(b).byes, 1);
    sim.assert_clean();
}

#[test]
fn feature_codes_set_the_agent_who_works_at_the_phone() {
    let mut sim = Sim::new(14);
    let a = sim.phone("201");
    let state = |sim: &mut Sim| {
        let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
        (agents[0].state.clone(), agents[0].reason.clone())
    };
    for (code, expected, reason) in
        [("*22", "paused", None), ("*221", "paused", Some("break")), ("*23", "offline", None), ("*21", "ready", None)]
    {
        sim.act(a, |a, now| {
            a.call(code, now);
        });
        sim.run_until("the announcement", |s| s.ua(a).is_up());
        let since = sim.now.mono;
        sim.run_until("over", |s| s.ua(a).is_idle());
        assert!(sim.ua(a).heard(crate::sim::audio::PROMPT, since) > 40, "{code} is confirmed");
        sim.run_for(SECOND);
        assert_eq!(state(&mut sim), (expected.to_owned(), reason.map(str::to_owned)), "{code}");
    }
    // No agent works there.
    let b = sim.phone("210");
    sim.act(b, |b, now| {
        b.call("*22", now);
    });
    sim.run_until("refused", |s| s.ua(b).is_idle());
    assert_eq!(sim.ua(b).final_status(), Some(404));
    sim.assert_clean();
}

#[test]
fn a_command_rings_a_phone_and_dials_for_it() {
    let mut sim = Sim::new(15);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    let Answer::Started(id) = sim.ask(Command::Originate { from: "201".into(), to: "210".into() }) else { panic!("started") };
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    let (byte_a, byte_b) = (sim.ua(a).byte, sim.ua(b).byte);
    assert!(sim.ua(a).heard(byte_b, since) > 80 && sim.ua(b).heard(byte_a, since) > 80);
    assert_eq!(sim.ask(Command::Hangup { conversation: id }), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.ua(a).is_idle() && sim.ua(b).is_idle());
    assert_eq!(sim.ended()[0].cause, Cause::Api);
    sim.assert_clean();
}

#[test]
fn a_commands_phone_that_does_not_answer_ends_it() {
    for (what, cause) in [(OnInvite::Ring, Cause::NoAnswer), (OnInvite::Refuse(486), Cause::Busy)] {
        let mut sim = Sim::new(16);
        let a = sim.phone("201");
        sim.set(a, what);
        assert!(matches!(sim.ask(Command::Originate { from: "201".into(), to: "210".into() }), Answer::Started(_)));
        sim.run_until("over", |s| s.has("call.ended"));
        assert_eq!(sim.ended()[0].cause, cause);
        sim.assert_clean();
    }
}

#[test]
fn a_command_dials_outside_and_the_callee_is_the_customer() {
    let mut sim = Sim::new(17);
    let (a, trunk) = (sim.phone("201"), sim.trunk());
    assert!(matches!(sim.ask(Command::Originate { from: "201".into(), to: "04940123".into() }), Answer::Started(_)));
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(trunk).is_up());
    sim.run_for(2 * SECOND);
    sim.act(a, |a, now| a.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let recorded = sim.recordings.values().next().expect("a recording");
    assert_eq!(recorded.about.customer_number, "4940123");
    let left: Vec<i16> = recorded.samples.chunks(2).map(|c| c[0]).collect();
    let byte = cordboard::codec::G711::Pcmu.decode(sim.ua(trunk).byte);
    assert!(left.iter().filter(|s| **s == byte).count() > left.len() / 2, "left is the callee");
    sim.assert_clean();
}

#[test]
fn a_stranger_is_not_told_who_exists() {
    let mut sim = Sim::new(18);
    let stranger = sim.add(Ua::phone("299", [10, 9, 9, 9].into()));
    for number in ["201", "299", "+4930555000"] {
        sim.act(stranger, |s, now| {
            s.call(number, now);
        });
        sim.run_until("refused", |s| s.ua(stranger).is_idle());
        assert_eq!(sim.ua(stranger).final_status(), Some(401), "{number}");
    }
    sim.assert_clean();
}

#[test]
fn what_a_phone_asks_within_a_call_is_answered() {
    use cordboard::sip::Method;
    let mut sim = Sim::new(19);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
    for (method, status) in
        [(Method::Options, 200), (Method::Info, 200), (Method::Update, 200), (Method::Message, 405), (Method::Refer, 400)]
    {
        let name = method.to_string();
        sim.act(a, |a, now| a.request(method, now));
        sim.run_for(SECOND / 10);
        assert_eq!(sim.ua(a).last_status(&name), Some(status), "{name}");
    }
    assert!(sim.ua(a).is_up() && sim.ua(b).is_up());
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn registrations_come_and_go_with_events_and_a_refresh_is_none() {
    let mut sim = Sim::new(20);
    let a = sim.phone("201");
    assert_eq!(sim.count("registration.added"), 1);
    sim.act(a, |a, now| a.register(now));
    sim.run_for(SECOND);
    assert_eq!(sim.count("registration.added"), 1);
    sim.act(a, |a, now| a.unregister(now));
    sim.run_until("gone", |s| s.has("registration.removed"));
    sim.act(a, |a, now| a.register(now));
    sim.run_for(SECOND);
    sim.act(a, |a, _| a.dead = true);
    let before = sim.now.mono;
    while !sim.has("registration.expired") {
        sim.run_for(Duration::from_secs(60));
        assert!(sim.now.mono.since(before) < Duration::from_secs(4_000));
    }
    assert!(sim.registrations.is_empty());
    assert!(sim.events.iter().any(|e| matches!(&e.kind, Kind::RegistrationExpired(r) if r.source == "10.1.0.201:5060")));
    assert_eq!(switch().port(), 5060);
}

/// RFC 3261 §21.6
#[test]
fn who_declines_on_one_device_declines_on_all() {
    // Every 6xx is for all of them (RFC 3261 §21.6), whatever it says else.
    for (refusal, status, cause) in
        [(603, 603, Cause::Declined), (600, 486, Cause::Busy), (604, 404, Cause::NotFound), (606, 488, Cause::NotAcceptable)]
    {
        let mut sim = Sim::new(21);
        let a = sim.phone("201");
        let desk = sim.phone_at("210", [10, 1, 0, 10]);
        let soft = sim.phone_at("210", [10, 1, 0, 11]);
        sim.set(desk, OnInvite::RefuseAfter(refusal, SECOND));
        sim.set(soft, OnInvite::Ring);
        let called = sim.now.mono;
        sim.act(a, |a, now| {
            a.call("210", now);
        });
        sim.run_until("over", |s| s.ua(a).is_idle());
        assert!(sim.now.mono.since(called) < 2 * SECOND, "{refusal}: not when the other device has rung long enough");
        assert_eq!((sim.ua(a).final_status(), sim.ended()[0].cause), (Some(status), cause), "{refusal}");
        sim.run_for(SECOND);
        assert_eq!(sim.ua(soft).cancels.len(), 1);
        assert!(sim.ua(soft).is_idle(), "{}", sim.story());
        sim.assert_clean();
    }
}
