//! What callers hear who wait in a queue, and where they go who may not.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{Kind, LeftWhy};
use cordboard::switch::command::WantedState;
use cordboard::switch::{Answer, Command};

use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const SUPPORT: &str = "+4930555600";
const AGENTS: &str = "agents = [\"1001\", \"1002\", \"1003\"]";
const SALES: &str = "agents = [\"1003\", \"1004\"]";

/// The centre whose queues say this, too, and that has these prompts of English.
fn centre_with(support: &str, sales: &str, prompts: &[&str]) -> Source {
    let mut source = centre();
    for (agents, keys) in [(AGENTS, support), (SALES, sales)] {
        assert!(source.main.text.contains(agents));
        source.main.text = source.main.text.replacen(agents, &format!("{agents}\n{keys}"), 1);
    }
    source.prompts.extend(prompts.iter().map(|prompt| format!("en/{prompt}")));
    source
}

fn call(sim: &mut Sim, trunk: SocketAddr) {
    sim.act(trunk, |t, now| {
        t.call(SUPPORT, now);
    });
}

/// What the caller hears in the next half second.
fn hears(sim: &mut Sim, trunk: SocketAddr) -> Vec<u8> {
    let since = sim.now.mono;
    sim.run_for(SECOND / 2);
    sim.ua(trunk).hears(since).into_keys().collect()
}

/// All callers hang up.
fn leave(sim: &mut Sim, trunk: SocketAddr) {
    while !sim.ua(trunk).is_idle() {
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.assert_clean();
}

fn left(sim: &Sim) -> Vec<(String, Option<LeftWhy>, Option<String>)> {
    let one = |kind: &Kind| match kind {
        Kind::QueueLeft(left) => Some((left.queue.to_string(), left.why, left.to.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(|e| one(&e.kind)).collect()
}

#[test]
fn who_waits_is_told_its_place_between_the_music() {
    let announce = "announce = { first = \"15s\", every = \"45s\", position = true, comfort = [\"please-wait\"] }";
    let mut sim = Sim::with(1, centre_with(announce, "", &["please-wait", "queue-position", "say-1"]));
    let trunk = sim.trunk();
    call(&mut sim, trunk);
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    sim.run_for(14 * SECOND);
    assert_eq!((hears(&mut sim, trunk), sim.said.len()), (vec![MUSIC], 0));
    sim.run_for(SECOND);
    let said = "en/queue-position en/say-1 en/please-wait".to_owned();
    assert_eq!((hears(&mut sim, trunk), sim.said.clone()), (vec![PROMPT], vec![said]));
    // Three clips of a second.
    sim.run_for(3 * SECOND);
    assert_eq!(hears(&mut sim, trunk), [MUSIC]);
    sim.run_for(40 * SECOND);
    assert_eq!((hears(&mut sim, trunk), sim.said.len()), (vec![MUSIC], 1));
    sim.run_for(4 * SECOND);
    assert_eq!(sim.said.len(), 2, "again, so long after the end of the first");
    // Whoever answers in the middle of it is heard.
    let agent = sim.phone("201");
    sim.set(agent, OnInvite::Answer(SECOND / 10));
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    sim.hear_each_other_only(trunk, agent);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_waits_already_is_told_its_place_once_a_reload_wants_that() {
    let announce = "announce = { first = \"15s\", every = \"45s\", position = true }";
    let prompts = ["queue-position", "say-1"];
    let mut sim = Sim::with(4, centre_with("", "", &prompts));
    let trunk = sim.trunk();
    call(&mut sim, trunk);
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    sim.run_for(60 * SECOND);
    sim.reload(centre_with(announce, "", &prompts));
    sim.run_for(14 * SECOND);
    assert!(sim.said.is_empty());
    sim.run_for(SECOND);
    assert_eq!(sim.said, ["en/queue-position en/say-1"]);
    sim.reload(centre_with("", "", &prompts));
    sim.run_for(100 * SECOND);
    assert_eq!(sim.said.len(), 1, "nor any more");
    leave(&mut sim, trunk);
}

#[test]
fn the_wait_to_expect_is_said_as_soon_as_it_is_known() {
    let announce = "announce = { first = \"10s\", every = \"10s\", expected = true }\nwrap_up = \"0s\"";
    let mut source = centre_with("", "", &["queue-wait", "say-1", "say-2", "say-3", "say-minute-one", "say-minute-many"]);
    source.main.text =
        source.main.text.replacen("title = \"Support\"\nwrap_up = \"10s\"", &format!("title = \"Support\"\n{announce}"), 1);
    let mut sim = Sim::with(2, source);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Answer(SECOND));
    for _ in 0..3 {
        call(&mut sim, trunk);
        sim.run_for(SECOND);
    }
    // The first was served at once: a caller in some twenty seconds so far.
    sim.run_for(20 * SECOND);
    let minute = "en/queue-wait en/say-1 en/say-minute-one";
    assert_eq!(sim.said.iter().filter(|said| *said == minute).count(), sim.said.len(), "{:?}", sim.said);
    assert!(!sim.said.is_empty());
    sim.run_for(60 * SECOND);
    assert_eq!(
        sim.said.last().map(String::as_str),
        Some("en/queue-wait en/say-3 en/say-minute-many"),
        "nobody was since: {:?}",
        sim.said
    );
    leave(&mut sim, trunk);
}

#[test]
fn of_what_has_no_words_nothing_is_said_and_the_music_goes_on() {
    let announce = "announce = { first = \"5s\", every = \"10s\", position = true }";
    let mut sim = Sim::with(3, centre_with(announce, "", &["queue-position"]));
    let trunk = sim.trunk();
    call(&mut sim, trunk);
    sim.run_for(30 * SECOND);
    assert!(sim.said.is_empty(), "{:?}", sim.said);
    assert_eq!(hears(&mut sim, trunk), [MUSIC]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn whom_a_full_queue_has_no_room_for_goes_elsewhere_at_once() {
    let mut sim = Sim::with(4, centre_with("max_length = 1\noverflow_full = \"phone:210\"", "", &[]));
    let (other, trunk) = (sim.phone("210"), sim.trunk());
    call(&mut sim, trunk);
    sim.run_until("one waits", |s| s.has("queue.entered"));
    assert!(sim.ua(other).is_idle());
    call(&mut sim, trunk);
    sim.run_until("the other does not", |s| s.ua(other).is_up());
    assert_eq!(left(&sim), [("support".to_owned(), Some(LeftWhy::Length), Some("overflow phone:210".to_owned()))]);
    assert_eq!((sim.count("queue.entered"), sim.count("queue.abandoned")), (1, 0));
    leave(&mut sim, trunk);
}

#[test]
fn while_nobody_is_logged_in_callers_go_elsewhere_and_those_who_wait_too() {
    let mut sim = Sim::with(5, centre_with("overflow_no_agents = \"phone:210\"", "", &[]));
    let (other, agent, trunk) = (sim.phone("210"), sim.phone("201"), sim.trunk());
    let set = |sim: &mut Sim, state| {
        assert_eq!(sim.ask(Command::SetAgent { agent: "1001".into(), state, reason: None }), Answer::Done);
    };
    set(&mut sim, WantedState::Paused);
    sim.run_for(15 * SECOND);
    call(&mut sim, trunk);
    sim.run_for(15 * SECOND);
    assert!(sim.ua(other).is_idle() && sim.ua(agent).is_idle(), "a pause is no end of work");
    set(&mut sim, WantedState::Offline);
    sim.run_for(9 * SECOND);
    assert!(sim.ua(other).is_idle(), "a moment without anybody is none, either");
    sim.run_until("the caller is sent on", |s| s.ua(other).is_up());
    call(&mut sim, trunk);
    sim.run_for(SECOND);
    assert_eq!(sim.count("queue.entered"), 1, "who comes now does not wait at all");
    let why: Vec<_> = left(&sim).into_iter().map(|(_, why, _)| why).collect();
    assert_eq!(why, [Some(LeftWhy::NoAgents); 2]);
    leave(&mut sim, trunk);
}

#[test]
fn queues_that_send_a_caller_in_a_circle_are_left_at_last() {
    let mut sim =
        Sim::with(6, centre_with("overflow_no_agents = \"queue:sales\"", "overflow_no_agents = \"queue:support\"", &[]));
    let trunk = sim.trunk();
    sim.run_for(15 * SECOND);
    call(&mut sim, trunk);
    sim.run_until("over", |s| s.has("call.ended"));
    assert!(sim.said.iter().any(|prompt| prompt.ends_with("queue-no-agent")), "{:?}", sim.said);
    assert_eq!((sim.count("queue.entered"), left(&sim).len()), (0, 9));
    sim.assert_clean();
}

#[test]
fn a_queue_has_music_of_its_own_for_who_waits_and_who_is_on_hold() {
    let mut sim = Sim::with(21, centre_with("music = \"jazz\"", "", &["jazz"]));
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(phone, OnInvite::Answer(10 * SECOND));
    call(&mut sim, trunk);
    sim.run_for(2 * SECOND);
    for _ in 0..3 {
        assert_eq!(hears(&mut sim, trunk), [PROMPT], "a clip of a second, over and over");
    }
    sim.run_until("they talk", |s| s.has("queue.answered"));
    sim.run_for(SECOND);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a call");
    assert_eq!(sim.ask(Command::Hold { conversation }), Answer::Done);
    sim.run_for(SECOND);
    assert_eq!(hears(&mut sim, trunk), [PROMPT]);
    leave(&mut sim, trunk);
    // Elsewhere it is the site's.
    sim.act(trunk, |t, now| {
        t.call("+4930555700", now);
    });
    sim.run_for(2 * SECOND);
    assert_eq!(hears(&mut sim, trunk), [MUSIC]);
    leave(&mut sim, trunk);
}
