//! Supervisors and those who wait: who is there, sent elsewhere, served sooner, given to one agent.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Place;
use cordboard::event::{By, Kind, LeftWhy};
use cordboard::ids::ConversationId;
use cordboard::switch::command::CallerView;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::Sim;
use crate::sim::ua::OnInvite;

const SECOND: Duration = Duration::from_secs(1);

/// One more who waits in `support`.
fn waits(sim: &mut Sim, trunk: SocketAddr) -> ConversationId {
    let before = sim.count("queue.entered");
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("it waits", move |s| s.count("queue.entered") > before);
    sim.run_for(SECOND);
    let entered = sim.events.iter().rev().find(|e| matches!(e.kind, Kind::QueueEntered(_)));
    entered.and_then(|e| e.conversation).expect("a conversation")
}

fn line(sim: &mut Sim, queue: &str) -> Vec<CallerView> {
    match sim.ask(Command::Callers { queue: queue.into() }) {
        Answer::Callers(callers) => callers,
        other => panic!("{other:?}"),
    }
}

fn ids(sim: &mut Sim, queue: &str) -> Vec<ConversationId> {
    line(sim, queue).into_iter().filter_map(|caller| caller.conversation).collect()
}

fn moved(conversation: ConversationId) -> Command {
    Command::MoveCaller { conversation, to: None, priority: None, agent: None }
}

fn to(conversation: ConversationId, place: &str) -> Command {
    let place: Place = place.parse().expect("a place");
    Command::MoveCaller { conversation, to: Some(place), priority: None, agent: None }
}

fn sooner(conversation: ConversationId, by: i8) -> Command {
    Command::MoveCaller { conversation, to: None, priority: Some(by), agent: None }
}

fn only_for(conversation: ConversationId, number: &str) -> Command {
    Command::MoveCaller { conversation, to: None, priority: None, agent: Some(number.into()) }
}

fn leave(sim: &mut Sim, trunk: SocketAddr) {
    while !sim.ua(trunk).is_idle() {
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.run_for(20 * SECOND);
    sim.assert_clean();
}

#[test]
fn the_line_is_shown_and_served_otherwise() {
    let mut sim = Sim::new(1);
    let trunk = sim.trunk();
    let [one, two, three] = [(); 3].map(|()| waits(&mut sim, trunk));
    assert_eq!(ids(&mut sim, "support"), [one, two, three]);
    assert_eq!(sim.ask(sooner(three, 9)), Answer::Done);
    assert_eq!(ids(&mut sim, "support"), [three, one, two]);
    sim.run_for(60 * SECOND);
    assert_eq!(sim.ask(to(one, "queue:sales")), Answer::Done);
    assert_eq!((ids(&mut sim, "support"), ids(&mut sim, "sales")), (vec![three, two], vec![one]));
    let there = line(&mut sim, "sales").remove(0);
    assert!(there.waited_ms >= 60_000 && there.position == 1 && there.priority == 0, "{there:?}");
    let left = sim.events.iter().find_map(|e| if let Kind::QueueLeft(left) = &e.kind { Some(left.clone()) } else { None });
    let left = left.expect("queue.left");
    assert_eq!(
        (left.to.as_deref(), left.why, left.by),
        (Some("queue:sales"), Some(LeftWhy::Moved), Some(By::Api("admin".into())))
    );
    // Who came to sales later stands behind, though it entered before.
    let agent = sim.phone("204");
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    let answered = sim.events.iter().find_map(|e| match &e.kind {
        Kind::QueueAnswered(answered) => Some((e.conversation, answered.queue.to_string(), answered.waited_ms >= 60_000)),
        _ => None,
    });
    assert_eq!(answered, Some((Some(one), "sales".to_owned(), true)));
    assert!(matches!(sim.ask(sooner(one, 1)), Answer::Refused(Refusal::WrongState(_))));
    leave(&mut sim, trunk);
}

#[test]
fn a_caller_is_one_agents_for_five_minutes_and_then_everybodys() {
    let mut sim = Sim::new(2);
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    for phone in [one, two] {
        sim.set(phone, OnInvite::Ring);
    }
    let caller = waits(&mut sim, trunk);
    sim.run_until("the first rings", |s| s.ua(one).is_ringing());
    assert_eq!(line(&mut sim, "support")[0].offered_to, ["1001".into()]);
    let since = sim.now.mono;
    assert_eq!(sim.ask(only_for(caller, "1002")), Answer::Done);
    sim.run_until("the second rings", |s| s.ua(two).is_ringing());
    assert!(!sim.ua(one).is_ringing() && sim.now.mono.since(since) < SECOND, "{}", sim.story());
    assert_eq!(line(&mut sim, "support")[0].agent, Some("1002".into()));
    sim.run_until("the first rings again", |s| s.ua(one).is_ringing());
    let alone = sim.now.mono.since(since);
    assert!((300 * SECOND..320 * SECOND).contains(&alone), "{alone:?}");
    assert_eq!(line(&mut sim, "support")[0].agent, None);
    leave(&mut sim, trunk);
}

#[test]
fn who_is_sent_to_a_phone_that_does_not_answer_has_its_place_again() {
    let mut sim = Sim::new(3);
    let (chief, trunk) = (sim.phone("210"), sim.trunk());
    sim.set(chief, OnInvite::Ring);
    let [one, two] = [(); 2].map(|()| waits(&mut sim, trunk));
    assert_eq!(sim.ask(to(one, "phone:210")), Answer::Done);
    sim.run_until("it rings", |s| s.ua(chief).is_ringing());
    assert_eq!(ids(&mut sim, "support"), [two]);
    sim.run_until("it waits again", |s| s.count("queue.entered") == 3);
    assert_eq!(ids(&mut sim, "support"), [one, two], "{}", sim.story());
    sim.set(chief, OnInvite::Answer(SECOND));
    assert_eq!(sim.ask(to(two, "phone:210")), Answer::Done);
    sim.run_until("they talk", |s| s.ua(chief).is_up());
    sim.run_for(SECOND);
    leave(&mut sim, trunk);
}

#[test]
fn what_can_not_be_is_refused_and_changes_nothing() {
    let mut sim = Sim::new(4);
    let trunk = sim.trunk();
    let [one, two] = [(); 2].map(|()| waits(&mut sim, trunk));
    let before = line(&mut sim, "support");
    let both = Command::MoveCaller { conversation: two, to: Some(Place::Phone("210".into())), priority: Some(1), agent: None };
    for (command, is_right) in [
        (sooner(two, 10), |r: &Refusal| matches!(r, Refusal::BadValue(_))),
        (only_for(two, "1004"), |r: &Refusal| matches!(r, Refusal::NoMember(..))),
        (only_for(two, "9"), |r: &Refusal| matches!(r, Refusal::NoMember(..))),
        (to(two, "queue:nobody"), |r: &Refusal| matches!(r, Refusal::NoQueue(_))),
        (to(two, "phone:210"), |r: &Refusal| matches!(r, Refusal::NoPhone(_))),
        (to(two, "menu:nothing"), |r: &Refusal| matches!(r, Refusal::NotDiallable(_))),
        (to(two, "number:0900123"), |r: &Refusal| matches!(r, Refusal::BadValue(_))),
        (to(two, "hangup"), |r: &Refusal| matches!(r, Refusal::BadValue(_))),
        (both, |r: &Refusal| matches!(r, Refusal::BadValue(_))),
    ] as [(Command, fn(&Refusal) -> bool); 9]
    {
        match sim.ask(command.clone()) {
            Answer::Refused(refusal) => assert!(is_right(&refusal), "{command:?}: {refusal}"),
            other => panic!("{command:?}: {other:?}"),
        }
    }
    let nobody = ConversationId::from_parts(1, 1);
    assert!(matches!(sim.ask(moved(nobody)), Answer::Refused(Refusal::NoConversation(_))));
    assert!(matches!(sim.ask(Command::Callers { queue: "nobody".into() }), Answer::Refused(Refusal::NoQueue(_))));
    let after: Vec<u32> = line(&mut sim, "support").iter().map(|caller| caller.position).collect();
    assert_eq!((after, ids(&mut sim, "support")), (vec![1, 2], vec![one, two]));
    assert_eq!(before.len(), 2);
    leave(&mut sim, trunk);
}

/// What was said of it, and to how many.
fn told(sim: &Sim) -> usize {
    sim.said.iter().filter(|said| *said == "en/closed").count()
}

fn announce(prompt: Option<&str>, until: Option<cordboard::clock::Wall>) -> Command {
    Command::Announce { queue: "support".into(), prompt: prompt.map(str::to_owned), until }
}

#[test]
fn who_waits_and_who_comes_hears_once_what_a_supervisor_has_told_the_queue() {
    let mut sim = Sim::new(5);
    let trunk = sim.trunk();
    waits(&mut sim, trunk);
    assert_eq!(sim.ask(announce(Some("closed"), Some(sim.now.wall + 600 * SECOND))), Answer::Done);
    sim.run_for(60 * SECOND);
    assert_eq!(told(&sim), 1, "{:?}", sim.said);
    waits(&mut sim, trunk);
    assert_eq!(told(&sim), 2, "first of all");
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    let there = queues.iter().find(|queue| queue.name.as_str() == "support").and_then(|queue| queue.announcement.clone());
    assert_eq!(there.map(|news| (news.prompt, news.by)), Some(("closed".to_owned(), By::Api("admin".into()))));
    for (bad, is_right) in [
        (announce(Some("nothing"), None), |r: &Refusal| matches!(r, Refusal::NoPrompt(_))),
        (announce(Some("closed"), Some(sim.now.wall)), |r: &Refusal| matches!(r, Refusal::BadValue(_))),
        (Command::Announce { queue: "x".into(), prompt: None, until: None }, |r: &Refusal| matches!(r, Refusal::NoQueue(_))),
    ] as [(Command, fn(&Refusal) -> bool); 3]
    {
        assert!(matches!(sim.ask(bad.clone()), Answer::Refused(refusal) if is_right(&refusal)), "{bad:?}");
    }
    // Another one is news again, and is taken back.
    assert_eq!(sim.ask(announce(Some("closed"), None)), Answer::Done);
    sim.run_for(5 * SECOND);
    assert_eq!(told(&sim), 4);
    assert_eq!(sim.ask(announce(None, None)), Answer::Done);
    waits(&mut sim, trunk);
    sim.run_for(5 * SECOND);
    assert_eq!(told(&sim), 4);
    leave(&mut sim, trunk);
}

#[test]
fn what_a_queue_is_told_outlives_the_process_until_its_time() {
    let mut sim = Sim::new(6);
    let trunk = sim.trunk();
    assert_eq!(sim.ask(announce(Some("closed"), Some(sim.now.wall + 600 * SECOND))), Answer::Done);
    sim.restart(Vec::new());
    waits(&mut sim, trunk);
    assert_eq!(told(&sim), 1);
    sim.run_for(600 * SECOND);
    waits(&mut sim, trunk);
    assert_eq!(told(&sim), 1, "its time is over");
    leave(&mut sim, trunk);
}
