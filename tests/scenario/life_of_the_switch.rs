//! Drain, halt, reload, restart.

use std::time::Duration;

use cordboard::event::{CallStarted, Direction, Kind, RecordingFinished};
use cordboard::ids::{ConversationId, LegId, RecordingId};
use cordboard::media::Lease;
use cordboard::route::Cause;
use cordboard::switch::input::{OpenConversation, Recovered, Repaired, UnloggedConversation};
use cordboard::switch::{Answer, Command, Input};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_switch_that_drains_refuses_new_calls_and_lets_live_ones_end_by_themselves() {
    let mut sim = Sim::new(1);
    let (a, b, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(b).is_up());
    sim.input(Input::Drain);
    sim.input(Input::Drain);
    assert_eq!(sim.count("system.stopping"), 1);
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("refused", |s| s.ua(trunk).is_idle());
    assert_eq!(sim.ua(trunk).final_status(), Some(503));
    assert!(matches!(sim.ask(Command::Originate { from: "201".into(), to: "210".into() }), Answer::Refused(_)));
    sim.run_for(10 * SECOND);
    assert!(sim.ua(a).is_up());
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_halt_ends_every_call_whatever_it_is_at_and_says_so() {
    let mut sim = Sim::new(2);
    let (a, b, agent, trunk) = (sim.phone("210"), sim.phone("211"), sim.phone("201"), sim.trunk());
    sim.set(agent, crate::sim::ua::OnInvite::Ring);
    sim.act(a, |a, now| {
        a.call("211", now);
    });
    for number in ["+4930555000", "+4930555600", "+4930555700", "+4930555201"] {
        sim.act(trunk, |t, now| {
            t.call(number, now);
        });
    }
    sim.run_until("they talk", |s| s.ua(b).is_up());
    sim.run_for(SECOND);
    assert_eq!(sim.switch.live(), 5);
    sim.input(Input::Halt);
    sim.run_for(3 * SECOND);
    assert_eq!(sim.switch.live(), 0);
    assert_eq!(sim.ended().len(), 5);
    assert!(sim.ended().iter().all(|e| e.cause == Cause::Shutdown));
    assert!([a, b, agent, trunk].iter().all(|at| sim.ua(*at).is_idle()), "{}", sim.story());
    assert_eq!(sim.count("recording.finished"), 3);
    sim.assert_clean();
}

#[test]
fn a_reload_touches_no_call_that_runs() {
    let mut sim = Sim::new(3);
    let (a, b, agent, trunk) = (sim.phone("210"), sim.phone("211"), sim.phone("201"), sim.trunk());
    sim.act(a, |a, now| {
        a.call("211", now);
    });
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.act(trunk, |t, now| {
        t.call("+4930555700", now);
    });
    sim.run_until("they talk", |s| s.ua(b).is_up() && s.ua(agent).is_up());
    // 210 and 211, the queue that somebody waits in and the trunk's numbers are gone.
    let mut source = centre();
    let text = &source.main.text;
    let keep: Vec<&str> = text
        .split("\n\n")
        .filter(|t| {
            !t.contains("number = \"210\"")
                && !t.contains("number = \"211\"")
                && !t.contains("name = \"sales\"")
                && !t.contains("to = \"queue:sales\"")
        })
        .collect();
    source.main.text = keep.join("\n\n");
    source.menus[0].text = source.menus[0].text.replace("\"2\" = \"queue:sales\", ", "");
    sim.reload(source);
    assert_eq!(sim.count("config.reloaded"), 1);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(a).is_up() && sim.ua(b).is_up() && sim.ua(agent).is_up());
    let byte_b = sim.ua(b).byte;
    assert!(sim.ua(a).heard(byte_b, since) > 80);
    assert_eq!(sim.count("registration.removed"), 2);
    assert_eq!(sim.count("queue.left"), 1, "whoever waited in the queue that is gone goes to its overflow\n{}", sim.story());
    sim.act(a, |a, now| a.hang_up(now));
    sim.run_for(SECOND);
    sim.act(a, |a, now| {
        a.call("201", now);
    });
    sim.run_until("refused", |s| s.ua(a).is_idle());
    assert_eq!(sim.ua(a).final_status(), Some(401));
    sim.act(trunk, |t, now| t.end(0, now));
    sim.assert_clean();
}

#[test]
fn a_configuration_that_does_not_resolve_changes_nothing() {
    let mut sim = Sim::new(4);
    let mut source = centre();
    source.main.text.push_str("\n[nonsense]\n");
    sim.reload(source);
    assert_eq!(sim.count("config.reloaded"), 0);
    sim.assert_clean();
}

#[test]
fn after_a_restart_phones_are_reached_and_open_conversations_have_their_end() {
    let mut sim = Sim::new(5);
    let (a, b) = (sim.phone("201"), sim.phone("210"));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(b).is_up());
    sim.run_for(2 * SECOND);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    let started_at = sim.events.iter().find(|e| e.conversation.is_some()).expect("an event").at;
    let open =
        OpenConversation { conversation, started_at, answered_at: Some(started_at), talk_ms: 1_000, last_at: sim.now.wall };
    sim.restart(vec![open]);
    assert!(sim.ended().iter().any(|e| e.cause == Cause::Restart));
    let started = sim.events.iter().rev().find_map(|e| if let Kind::SystemStarted(s) = &e.kind { Some(s.clone()) } else { None });
    let started = started.expect("started");
    assert_eq!((started.registrations, started.recovered_conversations), (2, 1));
    // What the phones still hold of the old call is nothing here.
    sim.act(a, |a, now| a.hang_up(now));
    sim.act(b, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(a).last_status("BYE"), Some(481));
    sim.act(a, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk again", |s| s.ua(b).is_up());
    sim.act(a, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_conversation_that_only_its_recording_tells_of_begins_and_ends_in_the_log() {
    let mut sim = Sim::new(7);
    let conversation = ConversationId::from_parts(7, 7);
    let started_at = sim.now.wall;
    sim.run_for(2 * SECOND);
    let started = CallStarted {
        direction: Direction::Inbound,
        leg: LegId::NOBODY,
        trunk: None,
        phone: None,
        customer_number: "+4930123".into(),
        called: "600".into(),
        customer_e164: None,
        called_e164: None,
    };
    let finished = RecordingFinished {
        recording: RecordingId::from_parts(7, 8),
        duration_ms: 480,
        bytes: 15_404,
        sha256: String::new(),
        lost_ms: [0, 0],
    };
    sim.restart_with(Recovered {
        unlogged: vec![UnloggedConversation { conversation, started_at, started, recorded_ms: 480 }],
        repaired: vec![Repaired { conversation, finished, measured: None }],
        ..Recovered::default()
    });
    let told: Vec<_> = sim.events.iter().filter(|e| e.conversation == Some(conversation)).collect();
    let [begun, repaired, ended] = told[..] else { panic!("{}", sim.story()) };
    assert!(matches!(begun.kind, Kind::CallStarted(_)) && begun.at == started_at);
    assert!(matches!(repaired.kind, Kind::RecordingRepaired(_)));
    let Kind::CallEnded(end) = &ended.kind else { panic!("{}", sim.story()) };
    assert_eq!((end.cause, end.answered_ms, ended.at), (Cause::Restart, Some(480), sim.now.wall));
    sim.assert_clean();
}

#[test]
fn an_agents_wish_outlives_the_process() {
    use cordboard::switch::command::WantedState;
    let mut sim = Sim::new(6);
    sim.phone("201");
    sim.ask(Command::SetAgent { agent: "1001".into(), state: WantedState::Paused, reason: Some("break".into()) });
    sim.restart(Vec::new());
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    assert_eq!((agents[0].state.as_str(), agents[0].reason.as_deref()), ("paused", Some("break")));
    sim.assert_clean();
}

#[test]
fn a_caller_who_rings_while_codecs_are_taken_away_is_answered_all_the_same() {
    let mut sim = Sim::new(57);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(phone, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("it rings", |s| s.ua(phone).is_ringing());
    let mut source = centre();
    source.main.text = source.main.text.replace("ports = \"20000-23999\"", "ports = \"20000-23999\"\ncodecs = [\"G722\"]");
    sim.reload(source);
    sim.act(phone, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.hear_each_other_only(trunk, phone);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(Duration::from_secs(1));
    // The next one has no codec.
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("488", |s| s.ua(trunk).final_status() == Some(488));
    sim.assert_clean();
}

/// Legs of both workers while six callers hear the menu, where the first worker has so many more ports in waiting.
fn spread(more: u16) -> Vec<usize> {
    let mut sim = Sim::new(58);
    let leases = (0..more).map(|n| Lease { worker: 0, port: 40_000 + 2 * n }).collect();
    sim.input(Input::Ports(leases));
    let trunk = sim.trunk();
    for calls in 1..=6 {
        sim.act(trunk, |t, now| {
            t.call("+4930555000", now);
        });
        sim.run_until("the menu", |s| s.legs_of_workers().iter().sum::<usize>() == calls);
    }
    sim.legs_of_workers()
}

#[test]
fn calls_are_shared_by_the_workers_that_have_ports_enough() {
    assert_eq!(spread(20), [3, 3]);
    // The second one seems to bind no new ones.
    assert_eq!(spread(10_000), [6, 0]);
}
