//! After a call: what came of it, what is owed, and how long a wrap-up lasts.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{By, CallDisposed, Kind};
use cordboard::ids::ConversationId;
use cordboard::switch::command::{AgentView, WantedState};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// Support wraps up for 10 s, at most for 60 s, and wants a disposition.
fn asking(more: &str) -> Source {
    let mut source = centre();
    let was = "title = \"Support\"\nwrap_up = \"10s\"\n";
    assert!(source.main.text.contains(was));
    source.main.text =
        source.main.text.replace(was, &format!("{was}wrap_up_most = \"60s\"\ndisposition = [\"solved\", \"open\"]\n{more}"));
    source
}

fn sim(seed: u8, more: &str) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::with(seed, asking(more));
    sim.source = Some(asking(more));
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    (sim, phone, trunk)
}

/// A call of 1001's that has just ended.
fn after_a_call(sim: &mut Sim, phone: SocketAddr, trunk: SocketAddr) -> ConversationId {
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    let started = sim.events.iter().rev().find(|e| matches!(e.kind, Kind::CallStarted(_))).expect("a call");
    started.conversation.expect("its id")
}

fn agent(sim: &mut Sim) -> AgentView {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    agents.into_iter().find(|a| a.staff_number == "1001").expect("an agent")
}

fn state(sim: &mut Sim) -> String {
    agent(sim).state
}

fn dispose(conversation: ConversationId, disposition: &str) -> Command {
    Command::Dispose { conversation, agent: None, disposition: disposition.into() }
}

#[test]
fn a_wrap_up_that_owes_a_disposition_lasts_until_it_is_given() {
    let (mut sim, phone, trunk) = sim(1, "disposition_required = true\n");
    let call = after_a_call(&mut sim, phone, trunk);
    sim.run_for(20 * SECOND);
    let wrapping = agent(&mut sim);
    assert_eq!(
        (wrapping.state.as_str(), wrapping.owes.as_slice()),
        ("wrapup", &["disposition".to_owned()][..]),
        "longer than 10 s"
    );
    assert_eq!(wrapping.conversation, Some(call.to_string()));
    assert_eq!(sim.ask(dispose(call, "lost")), Answer::Refused(Refusal::NoDisposition("lost".into())));
    assert_eq!(state(&mut sim), "wrapup");
    assert_eq!(sim.ask(dispose(call, "solved")), Answer::Done);
    assert_eq!(state(&mut sim), "ready");
    let told = sim.events.iter().find_map(|e| match &e.kind {
        Kind::CallDisposed(data) => Some((e.conversation, data.clone())),
        _ => None,
    });
    let data = CallDisposed {
        disposition: "solved".into(),
        agent: Some("1001".into()),
        queue: Some("support".into()),
        by: By::Api("admin".into()),
    };
    assert_eq!(told, Some((Some(call), data)));
    sim.assert_clean();
}

#[test]
fn what_was_given_in_the_call_is_not_owed_after_it() {
    let (mut sim, phone, trunk) = sim(2, "disposition_required = true\nnotes_required = true\n");
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    let call = sim.events.iter().find_map(|e| e.conversation).expect("a call");
    assert_eq!(sim.ask(dispose(call, "open")), Answer::Done);
    assert!(matches!(
        sim.ask(Command::Note { conversation: call, agent: None, text: " ".into() }),
        Answer::Refused(Refusal::BadValue(_))
    ));
    assert_eq!(sim.ask(Command::Note { conversation: call, agent: None, text: "calls again".into() }), Answer::Done);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(state(&mut sim), "wrapup");
    sim.run_for(10 * SECOND);
    assert_eq!(state(&mut sim), "ready");
    sim.assert_clean();
}

#[test]
fn what_is_owed_at_the_end_is_a_pause_that_outlives_the_process() {
    let (mut sim, phone, trunk) = sim(3, "disposition_required = true\n");
    let call = after_a_call(&mut sim, phone, trunk);
    // To want to be ready pays nothing.
    sim.ask(Command::SetAgent { agent: "1001".into(), state: WantedState::Ready, reason: None });
    sim.run_for(55 * SECOND);
    assert_eq!(state(&mut sim), "wrapup");
    sim.run_for(6 * SECOND);
    let paused = agent(&mut sim);
    assert_eq!((paused.state.as_str(), paused.reason.as_deref()), ("paused", Some("disposition")));
    let by = sim.events.iter().find_map(|e| if let Kind::AgentPaused(data) = &e.kind { data.by.clone() } else { None });
    assert_eq!(by, Some(By::Switch));
    sim.restart(Vec::new());
    assert_eq!(agent(&mut sim).reason.as_deref(), Some("disposition"));
    assert_eq!(sim.ask(dispose(call, "solved")), Answer::Done, "also of a call of another run");
    sim.assert_clean();
}

#[test]
fn a_wrap_up_is_made_longer_as_far_as_the_queue_lets_it() {
    let (mut sim, phone, trunk) = sim(4, "");
    let longer = |seconds| Command::ExtendWrapUp { agent: "1001".into(), seconds };
    assert!(matches!(sim.ask(longer(30)), Answer::Refused(Refusal::WrongState(_))));
    after_a_call(&mut sim, phone, trunk);
    assert_eq!(sim.ask(longer(30)), Answer::Done);
    sim.run_for(30 * SECOND);
    assert_eq!(state(&mut sim), "wrapup");
    assert_eq!(sim.ask(longer(600)), Answer::Done);
    assert!(matches!(sim.ask(longer(1)), Answer::Refused(Refusal::WrongState(_))));
    sim.run_for(26 * SECOND);
    assert_eq!(state(&mut sim), "wrapup");
    sim.run_for(4 * SECOND);
    assert_eq!(state(&mut sim), "ready");
    sim.assert_clean();
}

#[test]
fn a_restart_in_wrap_up_keeps_its_end() {
    let (mut sim, phone, trunk) = sim(5, "");
    after_a_call(&mut sim, phone, trunk);
    let before = agent(&mut sim);
    sim.run_for(3 * SECOND);
    sim.restart(Vec::new());
    let after = agent(&mut sim);
    assert_eq!((after.state.as_str(), &after.until), ("wrapup", &before.until));
    sim.run_for(7 * SECOND);
    assert_eq!(state(&mut sim), "ready");
    sim.assert_clean();
}
