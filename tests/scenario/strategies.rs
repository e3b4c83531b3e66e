//! Who of the agents has the next caller: strategies, several phones that ring at once, skills, ranks and priorities.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::Kind;
use cordboard::switch::{Answer, Command};

use crate::queues::state_of;
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const SUPPORT: &str = "+4930555600";
const SALES: &str = "+4930555700";
const AGENTS: &str = "agents = [\"1001\", \"1002\", \"1003\"]";

/// The centre with another text for each of these.
fn centre_with(changes: &[(&str, &str)]) -> Source {
    let mut source = centre();
    for (old, new) in changes {
        assert!(source.main.text.contains(old), "{old}");
        source.main.text = source.main.text.replacen(old, new, 1);
    }
    source
}

/// The centre whose queue `support` says this, too.
fn support(keys: &str) -> Source {
    centre_with(&[(AGENTS, &format!("{AGENTS}\n{keys}"))])
}

fn call(sim: &mut Sim, trunk: SocketAddr, number: &str) {
    sim.act(trunk, |t, now| {
        t.call(number, now);
    });
}

/// Who has had the callers, in that order.
fn answered(sim: &Sim) -> Vec<String> {
    let one = |kind: &Kind| match kind {
        Kind::QueueAnswered(data) => Some(data.agent.to_string()),
        _ => None,
    };
    sim.events.iter().filter_map(|e| one(&e.kind)).collect()
}

/// Callers one after another, who talk for so many seconds each while all are free again, and who had them.
fn served(seed: u8, source: Source, talks: &[u32]) -> Vec<String> {
    let mut sim = Sim::with(seed, source);
    for phone in ["201", "202", "203"] {
        let phone = sim.phone(phone);
        sim.set(phone, OnInvite::Answer(SECOND));
        sim.run_for(SECOND);
    }
    let trunk = sim.trunk();
    for (done, talk) in talks.iter().enumerate() {
        call(&mut sim, trunk, SUPPORT);
        sim.run_until("an agent has it", |s| s.count("queue.answered") > done);
        sim.run_for(*talk * SECOND);
        sim.act(trunk, |t, now| t.hang_up(now));
        // And its wrap-up.
        sim.run_for(15 * SECOND);
    }
    sim.assert_clean();
    answered(&sim)
}

#[test]
fn each_strategy_picks_by_its_own_measure() {
    let by = |strategy: &str, talks: &[u32]| served(1, support(&format!("strategy = \"{strategy}\"")), talks);
    assert_eq!(by("longest_idle", &[30, 5, 10, 2]), ["1001", "1002", "1003", "1001"]);
    assert_eq!(by("round_robin", &[30, 5, 10, 2]), ["1001", "1002", "1003", "1001"]);
    assert_eq!(by("fixed", &[5, 5, 5]), ["1001", "1001", "1001"]);
    assert_eq!(by("least_talk", &[30, 5, 10, 2, 20, 1]), ["1001", "1002", "1003", "1002", "1002", "1003"]);
}

/// Who was there alone for two calls is spared until the others have had as many.
#[test]
fn who_had_fewer_calls_today_has_the_next() {
    let mut sim = Sim::with(13, support("strategy = \"fewest_calls\""));
    let trunk = sim.trunk();
    for done in 0..6 {
        match done {
            0 => drop(sim.phone("201")),
            2 => drop((sim.phone("202"), sim.phone("203"))),
            _ => {}
        }
        sim.run_for(SECOND);
        call(&mut sim, trunk, SUPPORT);
        sim.run_until("an agent has it", |s| s.count("queue.answered") > done);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(15 * SECOND);
    }
    sim.assert_clean();
    let mut had = answered(&sim);
    assert_eq!(had.drain(..2).collect::<Vec<_>>(), ["1001", "1001"]);
    had.sort();
    assert_eq!(had, ["1002", "1002", "1003", "1003"]);
}

#[test]
fn a_weighted_queue_has_exact_shares_and_a_random_one_repeats_with_its_seed() {
    let weighted = "strategy = \"weighted\"\nagents = [{ staff_number = \"1001\", weight = 2 }, \"1002\", \"1003\"]";
    let had = served(2, centre_with(&[(AGENTS, weighted)]), &[3; 8]);
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for agent in &had {
        *shares.entry(agent).or_default() += 1;
    }
    assert_eq!(shares, BTreeMap::from([("1001", 4), ("1002", 2), ("1003", 2)]), "{had:?}");
    assert_eq!(had[..4].iter().filter(|agent| *agent == "1001").count(), 2, "and no run of one: {had:?}");

    let random = || served(3, support("strategy = \"random\""), &[3; 8]);
    let had = random();
    assert_eq!(had, random());
    assert!(had.iter().any(|agent| *agent != had[0]), "{had:?}");
}

#[test]
fn all_ring_and_the_first_to_answer_has_the_caller() {
    let mut sim = Sim::with(4, support("strategy = \"ring_all\""));
    let phones = [sim.phone("201"), sim.phone("202"), sim.phone("203")];
    let trunk = sim.trunk();
    for phone in phones {
        sim.set(phone, OnInvite::Ring);
    }
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("all ring", |s| phones.iter().all(|p| s.ua(*p).is_ringing()));
    sim.run_for(2 * SECOND);
    sim.act(phones[1], |p, now| p.answer(now));
    sim.run_for(SECOND);
    assert_eq!(
        (sim.ua(phones[0]).cancels.as_slice(), sim.ua(phones[2]).cancels.as_slice()),
        (&[Some(200)][..], &[Some(200)][..])
    );
    sim.hear_each_other_only(trunk, phones[1]);
    assert_eq!(["1001", "1002", "1003"].map(|agent| state_of(&mut sim, agent)), ["ready", "talking", "ready"]);
    assert_eq!((sim.count("queue.offered"), sim.count("queue.unanswered"), sim.count("queue.answered")), (3, 0, 1));
    let Answer::Queues(queues) = sim.ask(Command::Queues) else { panic!("queues") };
    assert!(queues.iter().any(|q| q.name.as_str() == "support" && q.strategy == "ring_all"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// Two answers that cross, 6 ms apart at most, either way round: one of them has the caller, the other is free at once.
#[test]
fn of_two_who_answer_at_once_one_has_the_caller_and_the_other_is_free() {
    for offset_us in (0..6_000).step_by(250) {
        let mut sim = Sim::with(5, support("strategy = \"ring_all\""));
        let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
        for phone in [one, two] {
            sim.set(phone, OnInvite::Ring);
        }
        call(&mut sim, trunk, SUPPORT);
        sim.run_until("both ring", |s| s.ua(one).is_ringing() && s.ua(two).is_ringing());
        sim.run_for(SECOND);
        sim.act(one, |p, now| p.answer(now));
        sim.run_for(Duration::from_micros(offset_us));
        sim.act(two, |p, now| p.answer(now));
        sim.run_for(2 * SECOND);
        assert!(sim.ua(one).is_up() != sim.ua(two).is_up(), "{offset_us}\n{}", sim.story());
        let mut states = ["1001", "1002"].map(|agent| state_of(&mut sim, agent));
        states.sort();
        assert_eq!(states, ["ready", "talking"], "{offset_us}");
        assert_eq!((sim.count("queue.answered"), sim.count("queue.unanswered")), (1, 0), "{offset_us}");
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn who_lets_a_ringing_together_pass_rests_when_all_did() {
    let mut sim = Sim::with(6, support("strategy = \"ring_all\""));
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.set(one, OnInvite::Ring);
    sim.set(two, OnInvite::RefuseAfter(486, 3 * SECOND));
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("one refuses", |s| s.count("queue.unanswered") == 1);
    assert!(sim.ua(one).is_ringing(), "the other rings on");
    assert_eq!(["1001", "1002"].map(|agent| state_of(&mut sim, agent)), ["ringing", "unanswered"]);
    sim.run_until("the other lets it pass", |s| s.count("queue.unanswered") == 2);
    sim.run_for(SECOND);
    assert_eq!(sim.ua(one).cancels, [None], "a missed call");
    sim.set(two, OnInvite::Answer(SECOND));
    sim.run_until("who is back first has it", |s| s.ua(two).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn one_more_rings_after_each_step() {
    let mut sim = Sim::with(7, support("strategy = \"progressive\"\nring_step = \"4s\""));
    let phones = [sim.phone("201"), sim.phone("202"), sim.phone("203")];
    let trunk = sim.trunk();
    for phone in phones {
        sim.set(phone, OnInvite::Ring);
    }
    call(&mut sim, trunk, SUPPORT);
    for ringing in 1..=3 {
        sim.run_until("one more rings", |s| phones.iter().filter(|p| s.ua(**p).is_ringing()).count() == ringing);
        let offered: Vec<u64> = sim
            .events
            .iter()
            .filter_map(|e| if let Kind::QueueOffered(o) = &e.kind { Some(o.waited_ms) } else { None })
            .collect();
        let steps: Vec<u64> = offered.iter().map(|waited| waited / 1_000).collect();
        assert_eq!(steps, [0, 4, 8][..ringing], "{offered:?}");
    }
    sim.act(phones[2], |p, now| p.answer(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phones[0]).is_idle() && sim.ua(phones[1]).is_idle());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// What rings goes on as it was; the next caller knows the new rules.
#[test]
fn an_agent_whom_a_reload_takes_out_of_the_queue_may_still_answer_what_rings() {
    let all = support("strategy = \"ring_all\"");
    let mut sim = Sim::with(8, all.clone());
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    for phone in [one, two] {
        sim.set(phone, OnInvite::Ring);
    }
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("both ring", |s| s.ua(one).is_ringing() && s.ua(two).is_ringing());
    let mut fewer = all;
    fewer.main.text = fewer.main.text.replacen(AGENTS, "agents = [\"1001\", \"1003\"]", 1);
    sim.reload(fewer);
    sim.run_for(SECOND);
    sim.act(two, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.ua(two).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(one).is_idle(), "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(15 * SECOND);
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("the one that is left rings", |s| s.ua(one).is_ringing());
    assert!(sim.ua(two).is_idle());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

const JONAS: &str = "name = \"Jonas\"\nphone = \"202\"";

#[test]
fn a_caller_waits_for_who_has_the_skill_and_then_for_anybody() {
    let skilled = format!("{JONAS}\nskills = {{ en = 3 }}");
    let wants = format!("{AGENTS}\nskills = {{ en = 3 }}\nrelax = [{{ after = \"20s\", skills = {{}} }}]");
    let source = centre_with(&[(JONAS, &skilled), (AGENTS, &wants)]);
    let mut sim = Sim::with(9, source.clone());
    let (one, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(one, OnInvite::Answer(SECOND));
    call(&mut sim, trunk, SUPPORT);
    sim.run_for(19 * SECOND);
    assert_eq!((sim.count("queue.offered"), state_of(&mut sim, "1001").as_str()), (0, "ready"));
    sim.run_until("then anybody", |s| s.ua(one).is_up());
    let offered = sim.events.iter().find_map(|e| if let Kind::QueueOffered(o) = &e.kind { Some(o.waited_ms) } else { None });
    assert!(offered.is_some_and(|waited| (20_000..20_100).contains(&waited)), "{offered:?}");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();

    let mut sim = Sim::with(10, source);
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.run_for(SECOND);
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("who has it is rung at once", |s| s.ua(two).is_up());
    assert!(sim.ua(one).invites.is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_has_what_is_preferred_is_rung_before_who_has_been_idle_longer() {
    let skilled = format!("{JONAS}\nskills = {{ en = 3 }}");
    let had = served(11, centre_with(&[(JONAS, &skilled), (AGENTS, &format!("{AGENTS}\nprefer = {{ en = 2 }}"))]), &[3, 3]);
    assert_eq!(had, ["1002", "1002"]);
}

/// Agent 1003 works for both. A step of priority is worth a minute of waiting: more is not overtaken.
#[test]
fn a_caller_of_a_queue_of_higher_priority_overtakes_who_came_less_than_a_minute_before() {
    let sales = "name = \"sales\"\nagents = [\"1003\", \"1004\"]";
    for (between, first) in [(30, "sales"), (90, "support")] {
        let source = centre_with(&[
            (sales, &format!("{sales}\npriority = 1")),
            ("max_wait = \"30s\"\noverflow = \"hangup\"", "max_wait = \"10m\"\noverflow = \"hangup\""),
        ]);
        let mut sim = Sim::with(12, source);
        let trunk = sim.trunk();
        call(&mut sim, trunk, SUPPORT);
        sim.run_for(between * SECOND);
        call(&mut sim, trunk, SALES);
        sim.run_for(SECOND);
        let agent = sim.phone("203");
        sim.set(agent, OnInvite::Answer(SECOND));
        sim.run_until("one of them is served", |s| s.has("queue.answered"));
        let queue =
            sim.events.iter().find_map(|e| if let Kind::QueueAnswered(q) = &e.kind { Some(q.queue.to_string()) } else { None });
        assert_eq!(queue.as_deref(), Some(first), "{between}");
        sim.act(agent, |a, now| a.hang_up(now));
        sim.run_until("and the other", |s| s.count("queue.answered") == 2);
        sim.act(agent, |a, now| a.hang_up(now));
        sim.assert_clean();
    }
}
