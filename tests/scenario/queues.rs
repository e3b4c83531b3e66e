//! Queues and the phones of their agents: offers, refusals, crossings, overflow.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{By, Kind, LeftWhy};
use cordboard::route::Cause;
use cordboard::switch::command::WantedState;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::audio::MUSIC;
use crate::sim::ua::OnInvite;

const SECOND: Duration = Duration::from_secs(1);

fn call(sim: &mut Sim, trunk: SocketAddr, number: &str) {
    sim.act(trunk, |t, now| {
        t.call(number, now);
    });
}

pub fn state_of(sim: &mut Sim, staff_number: &str) -> String {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    agents.into_iter().find(|a| a.staff_number == staff_number).map(|a| a.state).expect("an agent")
}

#[test]
fn three_rings_without_an_answer_and_the_next_agent_is_rung_while_the_caller_keeps_its_place() {
    let mut sim = Sim::new(1);
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.set(one, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("the first rings", |s| s.ua(one).is_ringing());
    let rang = sim.now.mono;
    sim.run_until("the second rings", |s| s.ua(two).is_ringing());
    let gap = sim.now.mono.since(rang);
    assert!((15 * SECOND..15 * SECOND + SECOND / 10).contains(&gap), "three rings of 5 s, and not {gap:?}");
    assert_eq!(sim.ua(one).cancels, [None], "that one missed a call");
    assert_eq!(state_of(&mut sim, "1001"), "unanswered");
    sim.run_until("they talk", |s| s.ua(two).is_up());
    assert_eq!((sim.count("queue.unanswered"), sim.count("queue.entered")), (1, 1));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
    assert_eq!(state_of(&mut sim, "1001"), "ready", "comes back by itself");
}

#[test]
fn a_phone_that_refuses_gives_the_offer_back_at_once() {
    for (what, cause) in
        [(OnInvite::Refuse(486), Cause::Busy), (OnInvite::Refuse(603), Cause::Declined), (OnInvite::Refuse(480), Cause::NoAnswer)]
    {
        let mut sim = Sim::new(2);
        let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
        sim.set(one, what);
        call(&mut sim, trunk, "+4930555600");
        sim.run_until("they talk", |s| s.ua(two).is_up());
        let unanswered =
            sim.events.iter().find_map(|e| if let Kind::QueueUnanswered(u) = &e.kind { Some(u.cause) } else { None });
        assert_eq!(unanswered, Some(cause));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_caller_who_hangs_up_while_the_phone_rings_stops_it_without_a_missed_call() {
    let mut sim = Sim::new(3);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("it rings", |s| s.ua(agent).is_ringing());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(agent).is_idle(), "{}", sim.story());
    assert_eq!(sim.ua(agent).cancels.len(), 1);
    assert_eq!((sim.count("queue.abandoned"), sim.count("queue.unanswered")), (1, 0));
    assert_eq!(state_of(&mut sim, "1001"), "ready", "no fault of the agent's");
    sim.assert_clean();
}

#[test]
fn an_agent_who_answers_as_the_caller_leaves_is_let_go_and_is_ready_again() {
    // The two cross at every offset of a millisecond's tenth around the answer.
    for offset_us in (0..6_000).step_by(250) {
        let mut sim = Sim::new(4);
        let (agent, trunk) = (sim.phone("201"), sim.trunk());
        sim.set(agent, OnInvite::Ring);
        call(&mut sim, trunk, "+4930555600");
        sim.run_until("it rings", |s| s.ua(agent).is_ringing());
        sim.run_for(SECOND);
        if offset_us < 3_000 {
            sim.act(trunk, |t, now| t.hang_up(now));
            sim.run_for(Duration::from_micros(offset_us));
            sim.act(agent, |a, now| a.answer(now));
        } else {
            sim.act(agent, |a, now| a.answer(now));
            sim.run_for(Duration::from_micros(offset_us - 3_000));
            sim.act(trunk, |t, now| t.hang_up(now));
        }
        sim.run_for(3 * SECOND);
        assert!(sim.ua(agent).is_idle() && sim.ua(trunk).is_idle(), "{offset_us}\n{}", sim.story());
        assert_eq!(sim.ended().len(), 1, "{offset_us}");
        sim.run_for(15 * SECOND);
        assert_eq!(state_of(&mut sim, "1001"), "ready", "{offset_us}");
        sim.assert_clean();
    }
}

#[test]
fn an_agent_who_answers_and_hangs_up_at_once_has_had_the_call() {
    let mut sim = Sim::new(5);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::AnswerThenBye(SECOND));
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].by, cordboard::event::By::Phone);
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).is_idle());
    sim.assert_clean();
}

#[test]
fn an_agents_second_device_stops_ringing_when_the_first_answers() {
    let mut sim = Sim::new(6);
    let desk = sim.phone_at("201", [10, 1, 0, 10]);
    let soft = sim.phone_at("201", [10, 1, 0, 11]);
    let trunk = sim.trunk();
    sim.set(soft, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("they talk", |s| s.ua(desk).is_up());
    sim.run_for(SECOND);
    assert_eq!(sim.ua(soft).cancels, [Some(200)]);
    assert_eq!(sim.count("queue.offered"), 1);
    sim.act(desk, |d, now| d.hang_up(now));
    sim.assert_clean();
}

#[test]
fn one_device_that_refuses_does_not_end_the_offer_that_rings_on_the_other() {
    let mut sim = Sim::new(7);
    let desk = sim.phone_at("201", [10, 1, 0, 10]);
    let soft = sim.phone_at("201", [10, 1, 0, 11]);
    let trunk = sim.trunk();
    sim.set(soft, OnInvite::Refuse(486));
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("they talk", |s| s.ua(desk).is_up());
    assert_eq!(sim.count("queue.unanswered"), 0);
    sim.act(desk, |d, now| d.hang_up(now));
    sim.assert_clean();
}

#[test]
fn callers_are_served_in_the_order_of_their_arrival_as_agents_become_free() {
    let mut sim = Sim::new(8);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Answer(SECOND));
    let mut order = Vec::new();
    for _ in 0..3 {
        call(&mut sim, trunk, "+4930555600");
        sim.run_for(SECOND / 2);
    }
    for _ in 0..3 {
        sim.run_until("they talk", |s| s.ua(agent).is_up());
        let since = sim.now.mono;
        sim.run_for(SECOND);
        let a = sim.ua(agent).byte;
        let calls = &sim.ua(trunk).calls;
        let with = calls.iter().position(|c| c.heard.iter().any(|(at, _, b)| *at > since && *b == a)).expect("somebody talks");
        let waiting = calls.iter().filter(|c| c.heard.iter().any(|(at, _, b)| *at > since && *b == MUSIC)).count();
        assert_eq!(waiting, 2 - order.len());
        order.push(with);
        sim.act(agent, |a, now| a.hang_up(now));
        sim.run_for(SECOND);
    }
    assert_eq!(order, [0, 1, 2]);
    sim.assert_clean();
}

#[test]
fn a_caller_who_has_waited_too_long_overflows() {
    let mut sim = Sim::new(9);
    let trunk = sim.trunk();
    call(&mut sim, trunk, "+4930555700");
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    let entered = sim.now.mono;
    sim.run_until("overflow", |s| s.has("queue.left"));
    assert_eq!(sim.now.mono.since(entered), 30 * SECOND);
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!(sim.count("queue.abandoned"), 0);
    assert_eq!(left(&sim), (Some(LeftWhy::MaxWait), None));
    assert!(sim.said.iter().any(|prompt| prompt.ends_with("queue-no-agent")), "{:?}", sim.said);
    sim.assert_clean();
}

fn left(sim: &Sim) -> (Option<LeftWhy>, Option<By>) {
    let one = |kind: &Kind| if let Kind::QueueLeft(left) = kind { Some((left.why, left.by.clone())) } else { None };
    sim.events.iter().find_map(|e| one(&e.kind)).expect("somebody left")
}

/// The service level is of those who were not served in time, and not of those whom we sent away.
#[test]
fn whom_somebody_else_hangs_up_on_has_abandoned_nothing() {
    let mut sim = Sim::new(32);
    let trunk = sim.trunk();
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(sim.ask(Command::Hangup { conversation }), Answer::Done);
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!(sim.count("queue.abandoned"), 0);
    assert_eq!(left(&sim), (Some(LeftWhy::Ended), Some(By::Api("admin".into()))));
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    assert!(queues.iter().all(|q| (q.offered, q.abandoned) == (0, 0)), "{queues:?}");
    sim.assert_clean();
}

#[test]
fn an_agent_who_pauses_while_the_phone_rings_is_not_rung_on() {
    let mut sim = Sim::new(10);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("it rings", |s| s.ua(agent).is_ringing());
    let pause = Command::SetAgent { agent: "1001".into(), state: WantedState::Paused, reason: Some("break".into()) };
    assert_eq!(sim.ask(pause), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.ua(agent).is_idle());
    assert_eq!(state_of(&mut sim, "1001"), "paused");
    sim.run_for(60 * SECOND);
    assert!(sim.ua(agent).is_idle());
    let ready = Command::SetAgent { agent: "1001".into(), state: WantedState::Ready, reason: None };
    sim.ask(ready);
    sim.run_for(SECOND);
    assert!(sim.ua(agent).is_ringing(), "offered again");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_agent_whose_phone_unregisters_while_it_rings_frees_the_caller_for_the_next() {
    let mut sim = Sim::new(11);
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.set(one, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("it rings", |s| s.ua(one).is_ringing());
    sim.act(one, |o, now| o.unregister(now));
    sim.run_until("they talk", |s| s.ua(two).is_up());
    assert_eq!(state_of(&mut sim, "1001"), "unregistered");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_agent_on_a_call_of_its_own_is_offered_nothing_until_it_is_over() {
    let mut sim = Sim::new(12);
    let (agent, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(agent, |a, now| {
        a.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(other).is_up());
    assert_eq!(state_of(&mut sim, "1001"), "busy");
    call(&mut sim, trunk, "+4930555600");
    sim.run_for(30 * SECOND);
    assert!(sim.ua(agent).invites.is_empty());
    sim.act(agent, |a, now| a.hang_up(now));
    sim.run_until("offered", |s| s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn phones_dial_a_queue_by_its_number_and_are_not_recorded() {
    let mut sim = Sim::new(13);
    let (agent, other) = (sim.phone("201"), sim.phone("210"));
    sim.act(other, |o, now| {
        o.call("601", now);
    });
    sim.run_until("they talk", |s| s.ua(agent).is_up() && s.ua(other).is_up());
    assert_eq!(sim.ua(agent).invites[0].number, "210");
    assert!(sim.recordings.is_empty());
    sim.act(other, |o, now| o.hang_up(now));
    sim.assert_clean();
}

#[test]
fn the_board_counts_who_waits_and_who_was_answered() {
    let mut sim = Sim::new(14);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    call(&mut sim, trunk, "+4930555600");
    sim.run_for(7 * SECOND);
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    let support = queues.iter().find(|q| q.name.as_str() == "support").expect("support");
    assert_eq!((support.waiting, support.answered, support.abandoned), (1, 1, 0));
    assert!(support.longest_wait_ms > 6_000);
    sim.act(trunk, |t, now| t.end(1, now));
    sim.run_for(SECOND);
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    let support = queues.iter().find(|q| q.name.as_str() == "support").expect("support");
    assert_eq!((support.waiting, support.answered, support.abandoned), (0, 1, 1));
    sim.act(trunk, |t, now| t.end(0, now));
    sim.assert_clean();
}

#[test]
fn an_agent_who_declines_on_one_device_is_rung_on_none() {
    let mut sim = Sim::new(15);
    let desk = sim.phone_at("201", [10, 1, 0, 10]);
    let soft = sim.phone_at("201", [10, 1, 0, 11]);
    let (two, trunk) = (sim.phone("202"), sim.trunk());
    sim.set(desk, OnInvite::RefuseAfter(603, SECOND));
    sim.set(soft, OnInvite::Ring);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("it rings", |s| s.ua(desk).is_ringing() && s.ua(soft).is_ringing());
    let rang = sim.now.mono;
    sim.run_until("the next agent's phone rings", |s| s.ua(two).is_ringing());
    assert!(sim.now.mono.since(rang) < 2 * SECOND, "not when the other device has rung long enough");
    assert!(sim.ua(soft).is_idle(), "{}", sim.story());
    let unanswered: Vec<_> =
        sim.events.iter().filter_map(|e| if let Kind::QueueUnanswered(u) = &e.kind { Some(u) } else { None }).collect();
    assert_eq!((unanswered.len(), unanswered[0].agent.as_str(), unanswered[0].cause), (1, "1001", Cause::Declined));
    assert_eq!(state_of(&mut sim, "1001"), "unanswered", "and has a rest");
    sim.run_until("they talk", |s| s.ua(two).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// A transfer that nobody takes, and that the agent does not take back: the caller has waited before those who came meanwhile.
#[test]
fn a_caller_whom_a_queue_takes_back_has_its_place_and_its_wait() {
    let mut sim = Sim::new(31);
    let (trunk, other) = (sim.trunk(), sim.phone("210"));
    call(&mut sim, trunk, "+4930555600");
    sim.run_for(30 * SECOND);
    let agent = sim.phone("201");
    sim.run_until("an agent has it", |s| s.ua(agent).is_up());
    let first = sim.events.iter().find(|e| matches!(e.kind, Kind::CallStarted(_))).and_then(|e| e.conversation);
    sim.run_for(20 * SECOND);
    let state = |sim: &mut Sim, state| {
        assert_eq!(sim.ask(Command::SetAgent { agent: "1001".into(), state, reason: None }), Answer::Done);
    };
    state(&mut sim, WantedState::Paused);
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("a second caller waits", |s| s.count("queue.entered") == 2);
    sim.run_for(SECOND);
    sim.set(other, OnInvite::RefuseAfter(486, 3 * SECOND));
    sim.set(agent, OnInvite::RefuseAfter(486, 3 * SECOND));
    sim.act(agent, |p, now| p.refer("210", now));
    sim.run_for(SECOND);
    sim.act(agent, |p, now| p.hang_up(now));
    sim.run_until("neither has taken it", |s| s.count("queue.entered") == 3);
    let entered = sim.events.iter().rev().find_map(|e| if let Kind::QueueEntered(q) = &e.kind { Some(q.clone()) } else { None });
    let entered = entered.expect("entered");
    assert_eq!(entered.position, 1);
    assert!((30_000..36_000).contains(&entered.waited_before_ms), "{entered:?}");
    sim.set(agent, OnInvite::Answer(2 * SECOND));
    state(&mut sim, WantedState::Ready);
    sim.run_until("an agent has one of them", |s| s.count("queue.answered") == 2);
    let answered = sim.events.iter().rev().find_map(|e| match &e.kind {
        Kind::QueueAnswered(data) => Some((e.conversation, data.waited_ms)),
        _ => None,
    });
    let (who, waited) = answered.expect("answered");
    assert_eq!(who, first, "who came first");
    assert!((entered.waited_before_ms + 2_000..40_000).contains(&waited), "{waited}");
    sim.act(trunk, |t, now| {
        t.hang_up(now);
        t.hang_up(now);
    });
    sim.assert_clean();
}
