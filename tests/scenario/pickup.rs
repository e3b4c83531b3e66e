//! A call that rings at one phone is taken at another: by lamp key (RFC 3891) and by code.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{CallPickedUp, Kind};
use cordboard::switch::{Answer, Command};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn picked(sim: &Sim) -> Vec<&CallPickedUp> {
    sim.events.iter().filter_map(|e| if let Kind::CallPickedUp(p) = &e.kind { Some(p) } else { None }).collect()
}

/// The two hear each other, and the phone that rang shows no missed call.
#[track_caller]
fn talk(sim: &mut Sim, a: SocketAddr, b: SocketAddr, rang: SocketAddr) {
    sim.run_until("the two are up", |sim| sim.ua(a).is_up() && sim.ua(b).is_up());
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(a).heard(sim.ua(b).byte, since) > 90, "{}", sim.story());
    assert!(sim.ua(b).heard(sim.ua(a).byte, since) > 90, "{}", sim.story());
    assert!(sim.ua(rang).is_idle());
    assert_eq!(sim.ua(rang).cancels, [Some(200)]);
}

#[test]
fn a_customers_call_is_picked_up_by_lamp_key() {
    // As dialog-info says the tags, and the other way round, as some phones write them.
    for (seed, swapped) in [(80, false), (81, true)] {
        let mut sim = Sim::new(seed);
        let trunk = sim.trunk();
        let line = sim.phone("201");
        let picker = sim.phone("210");
        sim.set(line, OnInvite::Ring);
        sim.act(picker, |ua, now| {
            ua.watch("dialog", "201", None, now);
        });
        sim.run_until("watching", |sim| sim.ua(picker).seen(0).is_some());
        sim.act(trunk, |ua, now| {
            ua.call("+4930555201", now);
        });
        sim.run_until("the lamp blinks", |sim| sim.ua(picker).lamp(0) == ["early"]);
        let seen = sim.ua(picker).seen(0).expect("one").clone();
        let (to, from) = if swapped { ("remote-tag", "local-tag") } else { ("local-tag", "remote-tag") };
        let replaces =
            format!("{};to-tag={};from-tag={};early-only", seen.attribute("call-id"), seen.attribute(to), seen.attribute(from));
        sim.act(picker, |ua, now| {
            ua.replaces = Some(replaces);
            ua.call("201", now);
        });
        talk(&mut sim, trunk, picker, line);
        let picked = picked(&sim);
        assert_eq!(picked.len(), 1);
        assert_eq!((picked[0].phone.as_str(), picked[0].from.as_str()), ("210", "201"));
        assert_eq!(sim.count("call.started"), 1, "it is the customer's one conversation");
        assert_eq!(sim.count("recording.started"), 1);
        assert_eq!(sim.ua(line).invites.len(), 1, "nobody is called a second time");
        sim.run_until("the lamp is out", |sim| sim.ua(picker).lamp(0) == ["terminated"]);
        sim.act(picker, |ua, now| ua.hang_up(now));
        sim.run_until("the customer is released", |sim| sim.ua(trunk).is_idle());
        sim.act(picker, |ua, now| ua.watch_again(0, Some(0), now));
        sim.assert_clean();
    }
}

#[test]
fn a_call_is_picked_up_by_the_number_that_rings_and_both_its_devices_stop() {
    let mut sim = Sim::new(82);
    let caller = sim.phone("203");
    let line = sim.phone("201");
    let second = sim.phone_at("201", [10, 1, 1, 1]);
    let picker = sim.phone("204");
    sim.set(line, OnInvite::Ring);
    sim.set(second, OnInvite::Ring);
    sim.act(caller, |ua, now| {
        ua.call("201", now);
    });
    sim.run_until("both ring", |sim| sim.ua(line).is_ringing() && sim.ua(second).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8201", now);
    });
    talk(&mut sim, caller, picker, line);
    assert_eq!(sim.ua(second).cancels, [Some(200)]);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_until("the picker is released", |sim| sim.ua(picker).is_idle());
    sim.assert_clean();
}

#[test]
fn the_code_alone_takes_a_call_of_the_own_group_and_of_no_other() {
    let mut sim = Sim::new(83);
    let caller = sim.phone("203");
    let elsewhere = sim.phone("201");
    let line = sim.phone("211");
    let picker = sim.phone("210");
    sim.set(elsewhere, OnInvite::Ring);
    sim.set(line, OnInvite::Ring);
    sim.act(caller, |ua, now| {
        ua.call("201", now);
    });
    sim.run_until("another group's phone rings", |sim| sim.ua(elsewhere).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8", now);
    });
    sim.run_until("refused", |sim| sim.ua(picker).final_status() == Some(404));
    assert!(sim.ua(elsewhere).is_ringing());
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.run_until("quiet", |sim| sim.ua(elsewhere).is_idle() && sim.ua(caller).is_idle());
    sim.act(caller, |ua, now| {
        ua.call("211", now);
    });
    sim.run_until("the group's phone rings", |sim| sim.ua(line).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8", now);
    });
    talk(&mut sim, caller, picker, line);
    sim.act(picker, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

#[test]
fn there_may_be_nothing_to_pick_up() {
    let mut sim = Sim::new(84);
    let trunk = sim.trunk();
    let caller = sim.phone("204");
    let line = sim.phone("210");
    let picker = sim.phone("211");
    // Nothing rings, there.
    sim.act(picker, |ua, now| {
        ua.call("*8210", now);
    });
    sim.run_until("404", |sim| sim.ua(picker).final_status() == Some(404));
    // A dialog that there is not: not a call to the number instead.
    sim.act(picker, |ua, now| {
        ua.replaces = Some("nobody@nowhere;to-tag=a;from-tag=b".into());
        ua.call("210", now);
    });
    sim.run_until("481", |sim| sim.ua(picker).final_status() == Some(481));
    assert!(sim.ua(line).invites.is_empty());
    // One that was answered meanwhile.
    sim.set(line, OnInvite::Ring);
    sim.act(caller, |ua, now| {
        ua.call("210", now);
    });
    sim.run_until("it rings", |sim| sim.ua(line).is_ringing());
    let call = sim.ua(line).last().expect("a call");
    let (local, remote) = call.tags();
    let text = |tag: Vec<u8>| String::from_utf8_lossy(&tag).into_owned();
    let replaces = format!("{};to-tag={};from-tag={};early-only", call.call_id, text(local), text(remote));
    sim.act(line, |ua, now| ua.answer(now));
    sim.run_until("they talk", |sim| sim.ua(caller).is_up());
    sim.act(picker, |ua, now| {
        ua.replaces = Some(replaces);
        ua.call("210", now);
    });
    sim.run_until("486", |sim| sim.ua(picker).final_status() == Some(486));
    assert!(sim.ua(caller).is_up() && sim.ua(line).is_up());
    sim.act(caller, |ua, now| ua.hang_up(now));
    // An offer of a queue is its agent's, and a colleague's.
    let agent = sim.phone("201");
    sim.set(agent, OnInvite::Ring);
    sim.act(trunk, |ua, now| {
        ua.call("+4930555600", now);
    });
    sim.run_until("the agent's phone rings", |sim| sim.ua(agent).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8201", now);
    });
    sim.run_until("403", |sim| sim.ua(picker).calls.len() == 4 && sim.ua(picker).final_status() == Some(403));
    assert!(sim.ua(agent).is_ringing());
    assert!(picked(&sim).is_empty());
    // A trunk's Replaces takes no phone's call, and is no call of its own either.
    let call = sim.ua(agent).last().expect("a call");
    let (local, remote) = call.tags();
    let text = |tag: Vec<u8>| String::from_utf8_lossy(&tag).into_owned();
    let known = format!("{};to-tag={};from-tag={}", call.call_id, text(local), text(remote));
    let carrier = sim.add(crate::sim::ua::Ua::trunk([10, 2, 0, 3].into()));
    for (replaces, status) in [(known, 403), ("nobody@nowhere;to-tag=a;from-tag=b".into(), 481)] {
        sim.act(carrier, |ua, now| {
            ua.replaces = Some(replaces);
            ua.call("+4930555201", now);
        });
        sim.run_until("refused", |sim| sim.ua(carrier).final_status() == Some(status));
    }
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_call_that_is_not_for_the_picker_hides_none_that_is() {
    let mut sim = Sim::new(92);
    let (trunk, own, line, picker) = (sim.trunk(), sim.phone("210"), sim.phone("201"), sim.phone("204"));
    for phone in [own, line] {
        sim.set(phone, OnInvite::Ring);
    }
    // A phone that a command rings first is nobody else's, and has rung longest.
    let started = sim.ask(cordboard::switch::Command::Originate { from: "210".into(), to: "211".into() });
    assert!(matches!(started, cordboard::switch::Answer::Started(_)));
    sim.run_until("it rings", |sim| sim.ua(own).is_ringing());
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("the other rings", |sim| sim.ua(line).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8", now);
    });
    talk(&mut sim, trunk, picker, line);
    assert!(sim.ua(own).is_ringing());
    sim.act(picker, |ua, now| ua.hang_up(now));
    sim.act(own, |ua, now| ua.answer(now));
    sim.run_for(2 * SECOND);
    sim.act(own, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

/// The two INVITEs of two pickers meet: one of them has the call.
#[test]
fn two_pick_up_at_once_and_one_has_it() {
    let mut sim = Sim::new(85);
    let caller = sim.phone("203");
    let line = sim.phone("201");
    let (one, other) = (sim.phone("204"), sim.phone("202"));
    sim.set(line, OnInvite::Ring);
    sim.act(caller, |ua, now| {
        ua.call("201", now);
    });
    sim.run_until("it rings", |sim| sim.ua(line).is_ringing());
    for picker in [one, other] {
        sim.act(picker, |ua, now| {
            ua.call("*8201", now);
        });
    }
    let last = |sim: &Sim, at| sim.ua(at).final_status();
    sim.run_until("both have an answer", |sim| last(sim, one).is_some() && last(sim, other).is_some());
    let mut finals = [last(&sim, one), last(&sim, other)];
    finals.sort();
    assert_eq!(finals, [Some(200), Some(404)]);
    assert_eq!(picked(&sim).len(), 1);
    sim.act(caller, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

/// A blind transfer that rings is picked up: complete for the one who transferred.
#[test]
fn a_transferred_call_is_picked_up() {
    let mut sim = Sim::new(86);
    let trunk = sim.trunk();
    let agent = sim.phone("201");
    let line = sim.phone("203");
    let picker = sim.phone("204");
    sim.set(line, OnInvite::Ring);
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("they talk", |sim| sim.ua(agent).is_up());
    sim.run_for(SECOND);
    sim.act(agent, |ua, now| ua.refer("203", now));
    sim.run_until("it rings", |sim| sim.ua(line).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8203", now);
    });
    talk(&mut sim, trunk, picker, line);
    assert_eq!(sim.ua(agent).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    assert!(sim.ua(agent).is_idle());
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.assert_clean();
}

/// What the acd says of an agent.
fn state(sim: &mut Sim, staff_number: &str) -> String {
    let Answer::Agents(all) = sim.ask(Command::Agents) else { panic!("agents") };
    all.iter().find(|a| a.staff_number == staff_number).map(|a| a.state.clone()).unwrap_or_else(|| panic!("{staff_number}"))
}

#[test]
fn an_offer_of_a_queue_is_picked_up_by_an_agent_of_it_who_has_answered_it_then() {
    for by_lamp in [false, true] {
        let mut sim = Sim::new(87);
        let (trunk, agent, colleague) = (sim.trunk(), sim.phone("201"), sim.phone("202"));
        sim.set(agent, OnInvite::Ring);
        sim.act(colleague, |ua, now| {
            ua.watch("dialog", "201", None, now);
        });
        // Idle since later: the queue rings the first one.
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| {
            ua.call("+4930555600", now);
        });
        sim.run_until("the agent's phone rings", |sim| sim.ua(agent).is_ringing() && sim.ua(colleague).lamp(0) == ["early"]);
        sim.run_for(2 * SECOND);
        let seen = sim.ua(colleague).seen(0).expect("one").clone();
        sim.act(colleague, |ua, now| {
            if by_lamp {
                let (to, from) = (seen.attribute("local-tag"), seen.attribute("remote-tag"));
                ua.replaces = Some(format!("{};to-tag={to};from-tag={from};early-only", seen.attribute("call-id")));
            }
            ua.call(if by_lamp { "201" } else { "*8201" }, now);
        });
        talk(&mut sim, trunk, colleague, agent);
        let answered = sim.events.iter().find_map(|e| if let Kind::QueueAnswered(a) = &e.kind { Some(a.clone()) } else { None });
        let answered = answered.expect("answered");
        assert_eq!((answered.agent.as_str(), answered.queue.as_str()), ("1002", "support"));
        assert!((2_000..4_000).contains(&answered.rang_ms), "{answered:?}");
        assert_eq!((sim.count("queue.unanswered"), sim.count("queue.answered"), picked(&sim).len()), (0, 1, 1));
        assert_eq!((state(&mut sim, "1001"), state(&mut sim, "1002")), ("ready".to_owned(), "talking".to_owned()));
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("the colleague is free of it", |sim| sim.ua(colleague).is_idle());
        assert_eq!(state(&mut sim, "1002"), "wrapup");
        sim.act(colleague, |ua, now| ua.watch_again(0, Some(0), now));
        sim.assert_clean();
    }
}

#[test]
fn an_offer_is_picked_up_in_the_group_by_who_is_no_agent_and_the_caller_has_left_the_queue() {
    let mut source = centre();
    source.main.text = source.main.text.replacen("secret = \"secret-202\"\n", "secret = \"secret-202\"\ngroup = \"shop\"\n", 1);
    let mut sim = Sim::with(88, source);
    let (trunk, agent, picker) = (sim.trunk(), sim.phone("202"), sim.phone("210"));
    sim.set(agent, OnInvite::Ring);
    sim.act(trunk, |ua, now| {
        ua.call("+4930555600", now);
    });
    sim.run_until("the agent's phone rings", |sim| sim.ua(agent).is_ringing());
    sim.act(picker, |ua, now| {
        ua.call("*8", now);
    });
    talk(&mut sim, trunk, picker, agent);
    let left = sim.events.iter().find_map(|e| if let Kind::QueueLeft(l) = &e.kind { Some(l.clone()) } else { None });
    assert_eq!(left.and_then(|l| l.to).as_deref(), Some("picked up by phone:210"));
    assert_eq!((sim.count("queue.answered"), sim.count("queue.unanswered"), sim.count("queue.abandoned")), (0, 0, 0));
    assert_eq!(state(&mut sim, "1002"), "ready");
    sim.act(picker, |ua, now| ua.hang_up(now));
    sim.run_until("over", |sim| sim.ua(trunk).is_idle());
    sim.assert_clean();
}
