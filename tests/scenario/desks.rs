//! Where agents work: several phones, logins elsewhere, and what that does to offers, calls and wrap-ups; and who is told to have commanded it.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{AgentLogin, AuditCommanded, AuditOutcome, By, Kind};
use cordboard::switch::command::{AgentView, WantedState};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};
use crate::voicemail::press;

const SECOND: Duration = Duration::from_secs(1);

/// 1001 has a second phone, 211; 1002 has a PIN, and 1003 no phone.
fn desks() -> Source {
    let mut source = centre();
    let text = &source.main.text;
    let text = text.replace("name = \"Olena\"\nphone = \"201\"", "name = \"Olena\"\nphone = \"201\"\nphones = [\"211\"]");
    let text = text.replace("name = \"Jonas\"\nphone = \"202\"", "name = \"Jonas\"\nphone = \"202\"\npin = \"2468\"");
    source.main.text = text.replace("name = \"Giulia\"\nphone = \"203\"", "name = \"Giulia\"");
    source
}

fn sim(seed: u8) -> Sim {
    let mut sim = Sim::with(seed, desks());
    sim.source = Some(desks());
    sim
}

fn call(sim: &mut Sim, trunk: SocketAddr) {
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
}

fn agent(sim: &mut Sim, staff_number: &str) -> AgentView {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    agents.into_iter().find(|a| a.staff_number == staff_number).expect("an agent")
}

fn log_in(sim: &mut Sim, agent: &str, phone: Option<&str>) -> Answer {
    sim.ask(Command::LogIn { agent: agent.into(), phone: phone.map(Into::into) })
}

fn logins(sim: &Sim) -> Vec<(&'static str, AgentLogin)> {
    let one = |e: &cordboard::event::Event| match &e.kind {
        Kind::AgentLoggedIn(data) => Some(("in", data.clone())),
        Kind::AgentLoggedOut(data) => Some(("out", data.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(one).collect()
}

fn audited(sim: &Sim) -> Vec<AuditCommanded> {
    let one = |e: &cordboard::event::Event| if let Kind::AuditCommanded(data) = &e.kind { Some(data.clone()) } else { None };
    sim.events.iter().filter_map(one).collect()
}

#[test]
fn both_phones_of_an_agent_ring_and_the_first_to_answer_has_the_caller() {
    let mut sim = sim(1);
    let (one, other, trunk) = (sim.phone("201"), sim.phone("211"), sim.trunk());
    sim.set(one, OnInvite::Ring);
    sim.set(other, OnInvite::Ring);
    call(&mut sim, trunk);
    sim.run_until("both ring", |s| s.ua(one).is_ringing() && s.ua(other).is_ringing());
    assert_eq!((sim.count("queue.offered"), agent(&mut sim, "1001").state.as_str()), (1, "ringing"));
    sim.act(other, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.ua(other).is_up() && s.ua(one).is_idle());
    sim.run_for(SECOND);
    sim.hear_each_other_only(trunk, other);
    assert_eq!(agent(&mut sim, "1001").state, "talking");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(agent(&mut sim, "1001").state, "wrapup");
    assert_eq!((sim.count("queue.unanswered"), sim.count("queue.answered")), (0, 1));
    sim.run_for(10 * SECOND);
    assert_eq!(agent(&mut sim, "1001").state, "ready");
    sim.assert_clean();
}

#[test]
fn an_agent_is_rung_at_the_phone_that_is_there_and_is_busy_while_either_is() {
    let mut sim = sim(2);
    let (other, trunk) = (sim.phone("211"), sim.trunk());
    sim.set(other, OnInvite::Ring);
    call(&mut sim, trunk);
    sim.run_until("it rings", |s| s.ua(other).is_ringing());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.phone("210");
    let home = sim.phone("201");
    sim.act(home, |p, now| {
        p.call("210", now);
    });
    sim.run_until("a call of the own", |s| s.ua(home).is_up());
    assert_eq!(agent(&mut sim, "1001").state, "busy");
    sim.act(home, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_login_at_another_desk_takes_the_phone_and_outlives_the_process() {
    let mut sim = sim(3);
    for phone in ["201", "202", "210"] {
        sim.phone(phone);
    }
    assert_eq!(log_in(&mut sim, "1002", Some("201")), Answer::Done);
    let told = logins(&sim);
    let [(first, olena), (second, jonas)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((*first, olena.agent.as_str(), olena.phones.as_slice()), ("in", "1001", &["211".into()][..]), "the other is left");
    assert_eq!(olena.taken_by, Some("1002".into()));
    assert_eq!((*second, jonas.agent.as_str(), jonas.phones.as_slice()), ("in", "1002", &["201".into()][..]));
    assert_eq!(log_in(&mut sim, "1003", Some("211")), Answer::Done);
    assert_eq!(logins(&sim)[2].0, "out");
    assert_eq!(agent(&mut sim, "1001").state, "offline");
    let recovered = cordboard::switch::input::Recovered::default();
    sim.restart_with(recovered);
    for (who, phones) in [("1001", vec![]), ("1002", vec!["201"]), ("1003", vec!["211"])] {
        assert_eq!(agent(&mut sim, who).phones, phones, "{who}");
    }
    assert_eq!(log_in(&mut sim, "1001", None), Answer::Done);
    for (who, phones) in [("1001", vec!["201", "211"]), ("1002", vec![]), ("1003", vec![])] {
        assert_eq!(agent(&mut sim, who).phones, phones, "{who}");
    }
    assert!(
        matches!(log_in(&mut sim, "1003", None), Answer::Refused(Refusal::BadValue(_))),
        "there is no own phone to go back to"
    );
    assert_eq!(log_in(&mut sim, "1003", Some("999")), Answer::Refused(Refusal::UnknownPhone("999".into())));
    sim.assert_clean();
}

#[test]
fn a_login_elsewhere_in_wrap_up_keeps_its_end_and_the_next_caller_rings_there() {
    let mut sim = sim(4);
    let (home, desk, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    call(&mut sim, trunk);
    sim.run_until("they talk", |s| s.ua(home).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    let before = agent(&mut sim, "1001");
    assert_eq!(log_in(&mut sim, "1001", Some("210")), Answer::Done);
    let after = agent(&mut sim, "1001");
    assert_eq!((after.state.as_str(), &after.until), ("wrapup", &before.until));
    sim.set(desk, OnInvite::Ring);
    call(&mut sim, trunk);
    sim.run_until("the desk rings", |s| s.ua(desk).is_ringing());
    assert!(sim.ua(home).is_idle());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_login_elsewhere_while_the_phone_rings_takes_the_offer_along() {
    let mut sim = sim(5);
    let (home, desk, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.set(home, OnInvite::Ring);
    sim.set(desk, OnInvite::Ring);
    call(&mut sim, trunk);
    sim.run_until("home rings", |s| s.ua(home).is_ringing());
    assert_eq!(log_in(&mut sim, "1001", Some("210")), Answer::Done);
    sim.run_until("the desk rings", |s| s.ua(desk).is_ringing() && s.ua(home).is_idle());
    assert_eq!((sim.count("queue.unanswered"), sim.count("queue.offered")), (0, 2), "no fault of the agent's");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_reload_that_takes_the_phone_away_in_a_call_leaves_the_call() {
    let mut sim = sim(6);
    let (desk, trunk) = (sim.phone("210"), sim.trunk());
    assert_eq!(log_in(&mut sim, "1001", Some("210")), Answer::Done);
    call(&mut sim, trunk);
    sim.run_until("they talk", |s| s.ua(desk).is_up());
    let mut without = desks();
    let phone = "[[phone]]\nnumber = \"210\"\nsecret = \"secret-210\"\ngroup = \"shop\"\ncaller = \"+4930555210\"\n";
    assert!(without.main.text.contains(phone));
    without.main.text = without.main.text.replace(phone, "");
    sim.reload(without);
    sim.run_for(SECOND);
    assert_eq!(agent(&mut sim, "1001").state, "talking");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(12 * SECOND);
    assert_eq!((agent(&mut sim, "1001").state.as_str(), agent(&mut sim, "1001").phones.len()), ("offline", 0));
    sim.assert_clean();
}

#[test]
fn a_login_by_code_asks_for_the_pin_and_keeps_no_key_of_it() {
    let mut sim = sim(7);
    let (desk, trunk) = (sim.phone("210"), sim.trunk());
    sim.act(desk, |p, now| {
        p.call("*241002", now);
    });
    sim.run_until("it is asked", |s| s.ua(desk).is_up());
    assert!(sim.said.iter().any(|clip| clip.contains("voicemail-pin")), "{:?}", sim.said);
    press(&mut sim, desk, "1111#");
    assert!(logins(&sim).is_empty() && sim.ua(desk).is_up());
    press(&mut sim, desk, "99*2468#");
    sim.run_until("it is said", |s| s.ua(desk).is_idle());
    let told = logins(&sim);
    assert_eq!((told.len(), told[0].1.agent.as_str(), &told[0].1.by), (1, "1002", &By::Phone));
    assert!(sim.keys.iter().all(|(_, hidden)| *hidden), "{:?}", sim.keys);
    let audit = audited(&sim).pop().expect("it is audited");
    assert_eq!((audit.command.as_str(), audit.outcome, audit.phone), ("log_in", AuditOutcome::Done, Some("210".into())));
    assert!(!audit.asked.to_string().contains("2468"));
    sim.set(desk, OnInvite::Ring);
    call(&mut sim, trunk);
    sim.run_until("the desk rings", |s| s.ua(desk).is_ringing());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.act(desk, |p, now| {
        p.call("*25", now);
    });
    sim.run_until("it is out", |s| logins(s).len() == 2 && s.ua(desk).is_idle());
    assert_eq!(agent(&mut sim, "1002").state, "offline");
    sim.assert_clean();
}

#[test]
fn at_another_phone_nobody_logs_in_without_the_pin_and_at_the_own_one_without_being_asked() {
    let mut sim = sim(8);
    let (desk, home) = (sim.phone("210"), sim.phone("201"));
    // 1001 has no PIN.
    sim.act(desk, |p, now| {
        p.call("*241001", now);
    });
    sim.run_until("403", |s| s.ua(desk).final_status() == Some(403));
    sim.act(desk, |p, now| {
        p.call("*241002", now);
    });
    sim.run_until("it is asked", |s| s.ua(desk).is_up());
    press(&mut sim, desk, "1#2#3#");
    sim.run_until("we hang up", |s| s.ua(desk).is_idle());
    assert!(logins(&sim).is_empty());
    assert_eq!(audited(&sim).iter().map(|a| a.outcome).collect::<Vec<_>>(), [AuditOutcome::Refused; 2]);
    for number in ["*25", "*24"] {
        sim.act(home, |p, now| {
            p.call(number, now);
        });
        let before = logins(&sim).len();
        sim.run_until("it is done", |s| logins(s).len() > before && s.ua(home).is_idle());
    }
    assert_eq!(agent(&mut sim, "1001").phones, ["201", "211"]);
    sim.assert_clean();
}

#[test]
fn a_pause_that_is_forced_while_the_agent_talks_begins_after_the_wrap_up_and_says_whose_it_was() {
    let mut sim = sim(9);
    let (home, trunk) = (sim.phone("201"), sim.trunk());
    call(&mut sim, trunk);
    sim.run_until("they talk", |s| s.ua(home).is_up());
    let pause =
        |reason: &str| Command::SetAgent { agent: "1001".into(), state: WantedState::Paused, reason: Some(reason.to_owned()) };
    assert_eq!(sim.ask(pause("siesta")), Answer::Refused(Refusal::NoReason("siesta".into())));
    assert_eq!(sim.ask(pause("training")), Answer::Done);
    assert_eq!(agent(&mut sim, "1001").state, "talking");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(15 * SECOND);
    assert_eq!(agent(&mut sim, "1001").reason.as_deref(), Some("training"));
    let paused = sim.events.iter().find_map(|e| if let Kind::AgentPaused(data) = &e.kind { Some(data.clone()) } else { None });
    assert!(matches!(paused.expect("it is told").by, Some(By::Api(_))));
    let audit = audited(&sim);
    let told: Vec<_> = audit.iter().map(|a| (a.command.as_str(), a.outcome, a.why.is_some())).collect();
    assert_eq!(told, [("set_agent", AuditOutcome::Refused, true), ("set_agent", AuditOutcome::Done, false)]);
    assert_eq!(audit[1].asked, serde_json::json!({"agent": "1001", "state": "paused", "reason": "training"}));
    sim.assert_clean();
}
