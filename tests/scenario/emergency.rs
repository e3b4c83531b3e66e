//! Emergency numbers go out from every phone, whatever else holds, and by any trunk that takes them.

use std::time::Duration;

use cordboard::config::Config;
use cordboard::event::Kind;
use cordboard::switch::{Answer, Command, Input, Refusal};

use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_phone_that_may_not_dial_outside_reaches_help() {
    for (seed, dialled, asked) in [(110, "112", "112"), (111, "110", "110"), (112, "0112", "112"), (113, "11 2", "112")] {
        let mut sim = Sim::new(seed);
        let trunk = sim.trunk();
        let phone = sim.phone("211");
        sim.act(phone, |ua, now| {
            ua.call(dialled, now);
        });
        sim.run_until("help answers", |sim| sim.ua(phone).is_up() && sim.ua(trunk).is_up());
        assert!(sim.ua(trunk).invites[0].uri.starts_with(&format!("sip:{asked}@")), "{:?}", sim.ua(trunk).invites);
        let decided = sim.events.iter().find_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some(d) } else { None });
        assert_eq!(decided.map(|d| d.rule.as_str()), Some("emergency"));
        sim.act(phone, |ua, now| ua.hang_up(now));
        // And no other number.
        sim.act(phone, |ua, now| {
            ua.call("0301234", now);
        });
        sim.run_until("403", |sim| sim.ua(phone).final_status() == Some(403));
        sim.assert_clean();
    }
}

#[test]
fn whatever_one_trunk_says_the_next_one_is_asked() {
    for (seed, says) in [(114, OnInvite::Refuse(404)), (115, OnInvite::Refuse(486)), (116, OnInvite::Refuse(603))] {
        let mut sim = Sim::new(seed);
        let carrier = sim.trunk();
        let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        let phone = sim.phone("201");
        sim.set(carrier, says);
        sim.act(phone, |ua, now| {
            ua.call("112", now);
        });
        sim.run_until("the second one answers", |sim| sim.ua(phone).is_up() && sim.ua(backup).is_up());
        assert_eq!(sim.ua(carrier).invites.len(), 1);
        sim.act(phone, |ua, now| ua.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn neither_a_full_trunk_nor_a_switch_that_stops_keeps_a_call_for_help() {
    let mut source = centre();
    source.main.text = source.main.text.replace("peer = \"10.2.0.1\"\n", "peer = \"10.2.0.1\"\nmax_calls = 1\n");
    let mut sim = Sim::with(117, source);
    let trunk = sim.trunk();
    let customer = sim.phone("210");
    let phone = sim.phone("201");
    sim.act(customer, |ua, now| {
        ua.call("0301234", now);
    });
    sim.run_until("the trunk is full", |sim| sim.ua(customer).is_up());
    sim.act(phone, |ua, now| {
        ua.call("112", now);
    });
    sim.run_until("help answers", |sim| sim.ua(phone).is_up());
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.act(customer, |ua, now| ua.hang_up(now));
    sim.run_for(SECOND);
    sim.input(Input::Drain);
    sim.act(customer, |ua, now| {
        ua.call("0301234", now);
    });
    sim.run_until("503", |sim| sim.ua(customer).final_status() == Some(503));
    sim.act(phone, |ua, now| {
        ua.call("110", now);
    });
    sim.run_until("help answers", |sim| sim.ua(phone).is_up());
    assert_eq!(sim.ua(trunk).invites.len(), 3);
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

/// Somebody who came in by a trunk calls his own.
#[test]
fn a_trunks_caller_does_not_reach_our_emergency_trunk() {
    let mut source = centre();
    source.main.text = source.main.text.replace("to = \"number:04940123\"", "to = \"number:0112\"");
    let mut sim = Sim::with(118, source);
    let trunk = sim.trunk();
    sim.act(trunk, |ua, now| {
        ua.call("+4930555900", now);
    });
    sim.run_until("403", |sim| sim.ua(trunk).final_status() == Some(403));
    sim.assert_clean();
}

/// Where help is short of people it rings for long: neither the switch nor a trunk behind takes the call from there. The caller may, and so
/// may a failure.
#[test]
fn a_call_for_help_rings_until_its_caller_hangs_up_or_help_answers() {
    for (seed, first) in [(119, OnInvite::Ring), (120, OnInvite::Refuse(503))] {
        let mut sim = Sim::new(seed);
        let carrier = sim.trunk();
        let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        let phone = sim.phone("201");
        sim.set(carrier, first);
        sim.set(backup, OnInvite::Ring);
        let asked = if first == OnInvite::Ring { carrier } else { backup };
        for answers in [true, false] {
            sim.act(phone, |ua, now| {
                ua.call("112", now);
            });
            sim.run_until("it rings", |sim| sim.ua(asked).is_ringing());
            sim.run_for(900 * SECOND);
            assert!(sim.ua(asked).is_ringing() && sim.ua(asked).cancels.is_empty(), "after a quarter of an hour");
            if answers {
                sim.act(asked, |ua, now| ua.answer(now));
                sim.run_until("help answers", |sim| sim.ua(phone).is_up() && sim.ua(asked).is_up());
            }
            sim.act(phone, |ua, now| ua.hang_up(now));
            sim.run_until("it is over", |sim| sim.ua(asked).is_idle() && sim.ua(phone).is_idle());
        }
        assert_eq!(sim.ua(asked).cancels.len(), 1);
        sim.assert_clean();
    }
}

/// Of each worker's ports the last ones are for calls for help.
#[test]
fn a_call_for_help_has_audio_when_other_calls_have_used_up_all_ports() {
    // Ten of each worker, of which eight are kept.
    let mut sim = Sim::with_pairs(118, centre(), 20);
    let trunk = sim.trunk();
    let (talker, callee) = (sim.phone("201"), sim.phone("202"));
    let others = ["203", "204"].map(|number| sim.phone(number));
    let (caller, second) = (sim.phone("210"), sim.phone("211"));
    sim.act(talker, |ua, now| {
        ua.call("202", now);
    });
    sim.run_until("two talk", |sim| sim.ua(talker).is_up() && sim.ua(callee).is_up());
    for other in others {
        sim.act(other, |ua, now| {
            ua.call("600", now);
        });
    }
    sim.run_for(SECOND);
    let refused = |sim: &mut Sim, number: &str| {
        sim.act(caller, |ua, now| {
            ua.call(number, now);
        });
        sim.run_until("it has come to something", |sim| sim.ua(caller).is_idle() || sim.ua(caller).is_up());
        let is_refused = sim.ua(caller).is_idle() && sim.ua(caller).final_status() == Some(503);
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        is_refused
    };
    assert!(refused(&mut sim, "600") && refused(&mut sim, "0301234"), "{}", sim.story());
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    assert_eq!(status.free_ports, 16);
    sim.act(caller, |ua, now| {
        ua.call("112", now);
    });
    sim.run_until("help answers", |sim| sim.ua(caller).is_up() && sim.ua(trunk).is_up());
    let (since, c, t) = (sim.now.mono, sim.ua(caller).byte, sim.ua(trunk).byte);
    sim.run_for(2 * SECOND);
    assert!(sim.ua(caller).heard(t, since) > 80 && sim.ua(trunk).heard(c, since) > 80, "{}", sim.story());
    // A second one, that the API dials for a phone.
    let answer = sim.ask(Command::Originate { from: "211".into(), to: "112".into() });
    assert!(matches!(answer, Answer::Started(_)), "{answer:?}");
    sim.run_until("help answers", |sim| sim.ua(second).is_up() && sim.ua(trunk).open_calls() == 2);
    // They make no room for others.
    assert!(matches!(sim.ask(Command::Originate { from: "204".into(), to: "203".into() }), Answer::Refused(Refusal::NoPort)));
    for up in [caller, second, talker] {
        sim.act(up, |ua, now| ua.hang_up(now));
    }
    sim.run_for(SECOND);
    assert!(!refused(&mut sim, "600"), "there is room again");
    for other in others {
        sim.act(other, |ua, now| ua.hang_up(now));
    }
    sim.assert_clean();
}

/// So that a small range is of use for any call.
#[test]
fn what_is_kept_for_help_is_an_eighth_of_a_small_range() {
    let kept = |ports: &str, workers: u8| {
        let mut source = centre();
        source.main.text = source.main.text.replace("20000-23999", ports);
        Config::resolve(&source).unwrap_or_else(|_| panic!("{ports}")).media.kept_for_help(workers.into())
    };
    for (ports, workers, most) in [
        ("20000-29999", 4, 8),
        ("20000-20255", 2, 8),
        ("20000-20099", 1, 6),
        ("20000-20099", 2, 2),
        ("20000-20059", 2, 0),
        ("20000-20015", 1, 0),
    ] {
        assert_eq!(kept(ports, workers), most, "{ports} {workers}");
    }
}
