//! The clock of a hold: a queue's agent is reminded of the customer, and told when it is too late.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{CallHeldLong, Kind};
use cordboard::ids::ConversationId;
use cordboard::switch::{Answer, Command};

use crate::sim::looking::Told;
use crate::sim::ua::Hold;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn limited() -> Source {
    let mut source = centre();
    let was = "title = \"Support\"\n";
    assert!(source.main.text.contains(was));
    source.main.text = source.main.text.replace(was, &format!("{was}hold_reminder = \"45s\"\nhold_limit = \"60s\"\n"));
    source
}

fn talking(seed: u8, number: &str) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::with(seed, limited());
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call(number, now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

/// Whether it was too late, and what was told.
fn told(sim: &Sim) -> Vec<(bool, CallHeldLong)> {
    let of = |e: &cordboard::event::Event| match &e.kind {
        Kind::CallHoldReminder(data) => Some((false, data.clone())),
        Kind::CallHoldOverdue(data) => Some((true, data.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(of).collect()
}

#[test]
fn a_hold_by_command_reminds_and_beeps_and_is_told_when_it_is_too_long() {
    let (mut sim, phone, trunk, id) = talking(1, "+4930555600");
    assert_eq!(sim.ask(Command::Hold { conversation: id }), Answer::Done);
    sim.run_for(44 * SECOND);
    assert!(told(&sim).is_empty());
    sim.run_for(SECOND + SECOND / 10);
    let [(false, reminder)] = &told(&sim)[..] else { panic!("{}", sim.story()) };
    assert_eq!((reminder.held_ms, reminder.limit_ms), (45_000, Some(60_000)));
    assert_eq!((reminder.agent.clone(), reminder.queue.clone()), (Some("1001".into()), Some("support".into())));
    assert_eq!((sim.told(phone), sim.told(trunk)), (Told::Play, Told::Music), "a beep, and not for the customer");
    sim.run_for(120 * SECOND);
    let all = told(&sim);
    assert_eq!((all.len(), all[1].0, all[1].1.held_ms), (2, true, 60_000), "once each");
    assert_eq!(sim.ask(Command::Resume { conversation: id }), Answer::Done);
    // Anew with each hold; and none that ends before.
    assert_eq!(sim.ask(Command::Hold { conversation: id }), Answer::Done);
    sim.run_for(40 * SECOND);
    assert_eq!(sim.ask(Command::Resume { conversation: id }), Answer::Done);
    sim.run_for(40 * SECOND);
    assert_eq!(told(&sim).len(), 2);
    assert_eq!(sim.ask(Command::Hold { conversation: id }), Answer::Done);
    sim.run_for(30 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(40 * SECOND);
    assert_eq!(told(&sim).len(), 2);
    sim.assert_clean();
}

#[test]
fn a_phone_that_holds_by_itself_is_not_beeped_at() {
    let (mut sim, phone, trunk, _) = talking(2, "+4930555600");
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.run_for(61 * SECOND);
    assert_eq!((told(&sim).len(), sim.count("call.played")), (2, 0), "{}", sim.story());
    // The customer's own hold is nobody's fault.
    sim.act(phone, |p, now| p.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    sim.act(trunk, |t, now| t.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.count("call.held") == 2);
    sim.run_for(61 * SECOND);
    assert_eq!(told(&sim).len(), 2);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_waits_for_a_consultation_waits_by_the_same_clock_and_a_call_of_no_queue_by_none() {
    for (number, times) in [("+4930555600", 2), ("+4930555201", 0)] {
        let (mut sim, phone, trunk, id) = talking(3, number);
        let other = sim.phone("210");
        assert_eq!(sim.ask(Command::Consult { conversation: id, to: "210".into() }), Answer::Done);
        sim.run_until("it has answered", |s| s.ua(other).is_up());
        sim.run_for(61 * SECOND);
        assert_eq!(told(&sim).len(), times, "{}", sim.story());
        sim.hear_each_other_only(phone, other);
        for at in [trunk, phone] {
            sim.act(at, |ua, now| ua.hang_up(now));
            sim.run_for(SECOND);
        }
        sim.assert_clean();
    }
}
