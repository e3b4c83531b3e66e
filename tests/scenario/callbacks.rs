//! Customers who are called back: how they ask for it, whom it rings, and what comes of it.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::acd::{Book, Callback, CallbackState};
use cordboard::chance::Chance;
use cordboard::config::Source;
use cordboard::event::{CallbackChange, Kind, LeftWhy, QueueCallback};
use cordboard::ivr::say::{Language, vocabulary};
use cordboard::switch::command::{CallbackView, Refusal, WantedState};
use cordboard::switch::input::Recovered;
use cordboard::switch::{Answer, Command, Input};

use crate::queues::state_of;
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const SUPPORT: &str = "+4930555600";
const SALES: &str = "+4930555700";
/// The trunk's caller.
const CUSTOMER: &str = "+493012345678";
const KEYS: &str = "callback = { digit = \"1\", prefix = \"0\", attempts = 2, retry = [\"5m\"] }";

/// The centre whose queue support says this, too.
fn centre_with(keys: &str) -> Source {
    let mut source = centre();
    let agents = "agents = [\"1001\", \"1002\", \"1003\"]";
    source.main.text = source.main.text.replacen(agents, &format!("{agents}\n{keys}"), 1);
    let prompts = ["callback-offer", "callback-confirm", "callback-options", "callback-number", "callback-accepted"];
    source.prompts.extend(prompts.iter().map(|prompt| format!("en/{prompt}")));
    source.prompts.extend(vocabulary(Language::English).into_iter().map(|clip| format!("en/{clip}")));
    source
}

/// A trunk, and agent 1001 at phone 201, who is paused.
fn paused(seed: u8, keys: &str) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::with(seed, centre_with(keys));
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    wants(&mut sim, "1001", WantedState::Paused);
    (sim, agent, trunk)
}

fn wants(sim: &mut Sim, agent: &str, state: WantedState) {
    assert_eq!(sim.ask(Command::SetAgent { agent: agent.into(), state, reason: None }), Answer::Done);
}

fn call(sim: &mut Sim, trunk: SocketAddr, number: &str) {
    sim.act(trunk, |t, now| {
        t.call(number, now);
    });
    sim.run_for(SECOND);
}

fn press(sim: &mut Sim, trunk: SocketAddr, digits: &str) {
    for digit in digits.chars() {
        sim.act(trunk, |t, _| t.digit(digit));
        sim.run_for(SECOND);
    }
}

/// Calls, asks for it, and is let go.
fn wish(sim: &mut Sim, trunk: SocketAddr) {
    call(sim, trunk, SUPPORT);
    press(sim, trunk, "11");
    sim.run_until("let go", |s| s.ua(trunk).is_idle());
    sim.run_for(3 * SECOND);
}

fn told(sim: &Sim) -> Vec<QueueCallback> {
    let one = |kind: &Kind| if let Kind::QueueCallback(told) = kind { Some(told.clone()) } else { None };
    sim.events.iter().filter_map(|e| one(&e.kind)).collect()
}

fn changes(sim: &Sim) -> Vec<CallbackChange> {
    told(sim).iter().map(|told| told.change).collect()
}

fn views(sim: &mut Sim) -> Vec<CallbackView> {
    let Answer::Callbacks(all) = sim.ask(Command::Callbacks) else { panic!("callbacks") };
    all
}

/// What the log makes of them.
fn book(sim: &Sim) -> Book {
    let mut book = Book::default();
    for event in &sim.events {
        if let Kind::QueueCallback(told) = &event.kind {
            book.apply(event.at, told);
        }
    }
    book
}

fn invited(sim: &Sim, trunk: SocketAddr) -> Vec<String> {
    sim.ua(trunk).invites.iter().map(|invite| invite.uri.clone()).collect()
}

use CallbackChange::{Cancelled, Connected, Created, Dialling, Done, Due, GaveUp, Retry, TakenByCall};

#[test]
fn who_presses_the_key_is_called_back_when_it_is_its_turn_by_the_agent_who_is_rung_first() {
    let (mut sim, agent, trunk) = paused(1, KEYS);
    call(&mut sim, trunk, SUPPORT);
    press(&mut sim, trunk, "1");
    let asked = "en/callback-confirm en/say-plus";
    assert!(
        sim.said.last().is_some_and(|said| said.starts_with(asked) && said.ends_with("en/callback-options")),
        "{:?}",
        sim.said
    );
    press(&mut sim, trunk, "1");
    assert_eq!(sim.said.last().map(String::as_str), Some("en/callback-accepted"));
    sim.run_until("let go", |s| s.ua(trunk).is_idle());
    let left = sim.events.iter().find_map(|e| if let Kind::QueueLeft(left) = &e.kind { left.why } else { None });
    assert_eq!((left, sim.has("queue.abandoned")), (Some(LeftWhy::Callback), false));
    let view = views(&mut sim).remove(0);
    assert_eq!((view.number_e164.as_deref(), view.state.as_str()), (Some(CUSTOMER), "waiting"));

    sim.set(agent, OnInvite::Ring);
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("the agent rings", |s| s.ua(agent).is_ringing());
    let shown = sim.ua(agent).invites[0].clone();
    assert_eq!((shown.display.as_deref(), shown.number.as_str()), (Some("Callback +493012345678"), CUSTOMER));
    sim.run_for(2 * SECOND);
    assert!(invited(&sim, trunk).is_empty(), "nobody is called before an agent is there");
    assert_eq!(state_of(&mut sim, "1001"), "ringing");
    sim.act(agent, |a, now| a.answer(now));
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    assert!(invited(&sim, trunk)[0].starts_with("sip:03012345678@10.2.0.1"), "{:?}", invited(&sim, trunk));
    sim.hear_each_other_only(trunk, agent);
    assert_eq!((state_of(&mut sim, "1001"), views(&mut sim)[0].state.as_str()), ("talking".to_owned(), "talking"));
    sim.run_for(5 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("wrap-up", |s| s.has("agent.wrapup"));
    assert_eq!(changes(&sim), [Created, Dialling, Connected, Done]);
    assert_eq!((views(&mut sim), book(&sim).len()), (Vec::new(), 0));
    sim.run_until("recorded", |s| s.count("recording.finished") == 2);
    assert_eq!(
        sim.recordings.values().filter(|r| r.about.rule.contains("outbound")).count(),
        1,
        "by the rule of the outbound call"
    );
    sim.assert_clean();
}

#[test]
fn who_has_waited_long_enough_is_told_of_the_key_and_goes_on_waiting_if_it_does_not_care() {
    let keys = "callback = { digit = \"1\", offer_after = \"20s\", prefix = \"0\" }\nannounce = { first = \"30s\", comfort = [\"welcome\"] }";
    let (mut sim, agent, trunk) = paused(2, keys);
    call(&mut sim, trunk, SUPPORT);
    sim.run_for(18 * SECOND);
    assert!(sim.said.is_empty());
    sim.run_for(2 * SECOND);
    assert_eq!(sim.said, ["en/callback-offer en/digit-1"]);
    sim.run_for(12 * SECOND);
    assert_eq!(sim.said.last().map(String::as_str), Some("en/welcome"), "what else there is to say is said after it");
    sim.run_for(2 * SECOND);
    // It asks, does not answer, and has its place again.
    press(&mut sim, trunk, "1");
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_for(20 * SECOND);
    assert!(!sim.ua(agent).is_ringing() && !sim.has("queue.offered"), "nobody is rung for one who is being asked");
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    assert_eq!((changes(&sim), sim.count("queue.entered")), (vec![], 1));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn another_number_can_be_keyed_and_one_that_leads_nowhere_is_asked_for_again() {
    let (mut sim, agent, trunk) = paused(3, KEYS);
    call(&mut sim, trunk, SUPPORT);
    press(&mut sim, trunk, "12");
    assert_eq!(sim.said.last().map(String::as_str), Some("en/callback-number"));
    press(&mut sim, trunk, "#");
    assert_eq!(sim.said.last().map(String::as_str), Some("en/invalid en/callback-number"));
    // Another country's.
    press(&mut sim, trunk, "00380441234567#");
    assert_eq!(sim.said.last().map(String::as_str), Some("en/invalid en/callback-number"));
    press(&mut sim, trunk, "03012345999#");
    assert!(sim.said.last().is_some_and(|said| said.starts_with("en/callback-confirm")), "{:?}", sim.said);
    press(&mut sim, trunk, "1");
    assert_eq!(sim.said.last().map(String::as_str), Some("en/callback-accepted"));
    sim.run_until("let go", |s| s.ua(trunk).is_idle());
    assert_eq!(told(&sim)[0].number, "03012345999");
    sim.set(agent, OnInvite::Answer(SECOND));
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("they talk", |s| s.ua(trunk).is_up());
    assert!(invited(&sim, trunk)[0].starts_with("sip:03012345999@"), "{:?}", invited(&sim, trunk));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_caller_who_hangs_up_while_it_is_asked_has_abandoned() {
    let (mut sim, _, trunk) = paused(4, KEYS);
    call(&mut sim, trunk, SUPPORT);
    press(&mut sim, trunk, "1");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!((sim.count("queue.abandoned"), changes(&sim)), (1, vec![]));
    sim.assert_clean();
}

#[test]
fn a_customer_who_is_not_reached_is_tried_again_later_and_given_up_at_last() {
    for what in [OnInvite::Refuse(486), OnInvite::RefuseAfter(480, 20 * SECOND), OnInvite::Refuse(603)] {
        let (mut sim, agent, trunk) = paused(5, KEYS);
        wish(&mut sim, trunk);
        sim.set(trunk, what);
        sim.set(agent, OnInvite::Answer(SECOND));
        wants(&mut sim, "1001", WantedState::Ready);
        sim.run_until("not reached", |s| changes(s).contains(&Retry));
        let retry = told(&sim).pop().expect("told");
        assert_eq!((retry.attempts, retry.cause.is_some()), (1, true));
        sim.run_until("the agent is free", |s| s.ua(agent).is_idle());
        sim.run_for(4 * MINUTE);
        assert_eq!((sim.ua(trunk).invites.len(), sim.ua(agent).invites.len()), (1, 1), "in peace meanwhile");
        sim.run_until("given up", |s| changes(s).contains(&GaveUp));
        assert_eq!(changes(&sim), [Created, Dialling, Retry, Due, Dialling, GaveUp]);
        sim.run_for(10 * MINUTE);
        assert_eq!((sim.ua(trunk).invites.len(), views(&mut sim).len()), (2, 0));
        assert_eq!(state_of(&mut sim, "1001"), "ready");
        sim.assert_clean();
    }
}

#[test]
fn an_agent_who_refuses_is_spared_and_the_next_one_has_it_and_the_customer_knows_of_nothing() {
    let (mut sim, one, trunk) = paused(6, KEYS);
    wish(&mut sim, trunk);
    sim.set(one, OnInvite::Refuse(603));
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("refused", |s| s.has("queue.unanswered"));
    assert_eq!(state_of(&mut sim, "1001"), "unanswered");
    let two = sim.phone("202");
    sim.set(two, OnInvite::Answer(SECOND));
    sim.run_until("they talk", |s| s.ua(two).is_up() && s.ua(trunk).is_up());
    assert_eq!((changes(&sim), sim.ua(trunk).invites.len()), (vec![Created, Dialling, Connected], 1));
    sim.act(two, |a, now| a.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_customer_who_calls_again_has_its_place_and_is_called_no_more() {
    let (mut sim, agent, trunk) = paused(7, KEYS);
    wish(&mut sim, trunk);
    let other = sim.phone("210");
    sim.act(other, |p, now| {
        p.call("601", now);
    });
    sim.run_for(30 * SECOND);
    // To hear how it stands: nothing is lost by that.
    call(&mut sim, trunk, SUPPORT);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(5 * SECOND);
    assert_eq!((changes(&sim), views(&mut sim).len()), (vec![Created], 1));
    call(&mut sim, trunk, SUPPORT);
    sim.set(agent, OnInvite::Answer(SECOND));
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("somebody talks", |s| s.ua(agent).is_up());
    assert_eq!(changes(&sim), [Created, TakenByCall]);
    assert!(sim.ua(trunk).is_up() && sim.has("queue.answered"));
    sim.hear_each_other_only(trunk, agent);
    assert_eq!(sim.ua(trunk).invites.len(), 0);
    for ua in [trunk, other] {
        sim.act(ua, |t, now| t.hang_up(now));
    }
    sim.assert_clean();
}

#[test]
fn nobody_is_called_back_who_talks_to_somebody_here_already() {
    let (mut sim, agent, trunk) = paused(8, KEYS);
    wish(&mut sim, trunk);
    sim.set(agent, OnInvite::Answer(SECOND));
    // In a menu, in another queue.
    call(&mut sim, trunk, SALES);
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_for(20 * SECOND);
    assert_eq!((sim.ua(agent).invites.len(), changes(&sim)), (0, vec![Created]));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("they talk", |s| s.ua(agent).is_up() && s.ua(trunk).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_customer_who_calls_while_an_agent_is_rung_for_it_is_put_through_and_the_ringing_ends() {
    let (mut sim, agent, trunk) = paused(9, KEYS);
    wish(&mut sim, trunk);
    sim.set(agent, OnInvite::Ring);
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("the agent rings", |s| s.ua(agent).is_ringing());
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("rung for the call", |s| s.ua(agent).invites.len() == 2);
    sim.act(agent, |a, now| a.answer(now));
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    assert_eq!(changes(&sim), [Created, TakenByCall]);
    sim.hear_each_other_only(trunk, agent);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_second_wish_is_the_first_and_a_place_can_ask_for_it_too() {
    let keys = "callback = { confirm = false, prefix = \"0\" }\nmax_wait = \"30s\"\noverflow = \"callback:support\"";
    let (mut sim, _, trunk) = paused(10, keys);
    for _ in 0..2 {
        call(&mut sim, trunk, SUPPORT);
        sim.run_until("let go", |s| s.ua(trunk).is_idle());
        sim.run_for(3 * SECOND);
    }
    // The second time it had its place, waited as long as one may, and asked once more.
    assert_eq!(changes(&sim), [Created]);
    let all = told(&sim);
    assert!(sim.said.iter().filter(|said| *said == "en/callback-accepted").count() == 2);
    let again =
        Command::CallBack { queue: "support".into(), number: CUSTOMER.into(), due_at: None, owner: None, conversation: None };
    let Answer::Callback(view) = sim.ask(again) else { panic!("a callback") };
    assert_eq!((view.id, changes(&sim).len()), (all[0].callback.to_string(), 1));
    sim.assert_clean();
}

#[test]
fn one_that_is_due_later_is_its_owners_for_a_while_and_then_everybodys() {
    let mut sim = Sim::with(11, centre_with(KEYS));
    let (one, two, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.set(one, OnInvite::Answer(SECOND));
    sim.set(two, OnInvite::Answer(SECOND));
    let due_at = sim.now.wall + 60 * MINUTE;
    let command = |number: &str, owner: &str| Command::CallBack {
        queue: "support".into(),
        number: number.into(),
        due_at: Some(due_at),
        owner: Some(owner.into()),
        conversation: None,
    };
    assert_eq!(sim.ask(command("+4930111", "9")), Answer::Refused(Refusal::NoAgent("9".into())));
    assert!(matches!(sim.ask(command("112", "1002")), Answer::Refused(Refusal::NotDiallable(_))));
    assert!(matches!(sim.ask(command(CUSTOMER, "1002")), Answer::Callback(_)));
    wants(&mut sim, "1002", WantedState::Paused);
    sim.run_for(59 * MINUTE);
    assert_eq!(changes(&sim), [Created]);
    sim.run_for(14 * MINUTE);
    assert_eq!((changes(&sim), sim.ua(one).invites.len()), (vec![Created, Due], 0), "its owner's, who is paused");
    sim.run_until("they talk", |s| s.ua(one).is_up() && s.ua(trunk).is_up());
    assert!(sim.now.wall >= due_at + 15 * MINUTE && !sim.ua(two).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(matches!(sim.ask(command(CUSTOMER, "1002")), Answer::Callback(_)));
    let id = views(&mut sim)[0].id.parse().expect("an id");
    assert_eq!(sim.ask(Command::CancelCallback { id }), Answer::Done);
    assert_eq!(sim.ask(Command::CancelCallback { id }), Answer::Refused(Refusal::NoCallback(id)));
    assert_eq!(changes(&sim)[5..], [Created, Cancelled]);
    sim.assert_clean();
}

#[test]
fn one_that_nobody_gets_to_is_given_up_when_it_is_too_old_or_its_queue_goes() {
    let (mut sim, _, trunk) = paused(12, "callback = { digit = \"1\", prefix = \"0\", keep = \"1h\" }");
    wish(&mut sim, trunk);
    sim.run_for(58 * MINUTE);
    assert_eq!(changes(&sim), [Created]);
    sim.run_for(3 * MINUTE);
    assert_eq!(changes(&sim), [Created, GaveUp]);
    wish(&mut sim, trunk);
    let mut source = centre_with(KEYS);
    source.main.text =
        source.main.text.replacen("name = \"support\"", "name = \"other\"", 1).replace("queue:support", "queue:other");
    for menu in &mut source.menus {
        menu.text = menu.text.replace("queue:support", "queue:other");
    }
    sim.reload(source);
    sim.run_for(SECOND);
    assert_eq!((changes(&sim), views(&mut sim).len()), (vec![Created, GaveUp, Created, GaveUp], 0));
    sim.assert_clean();
}

#[test]
fn while_the_switch_drains_nobody_is_called_back() {
    let (mut sim, agent, trunk) = paused(13, KEYS);
    wish(&mut sim, trunk);
    sim.input(Input::Drain);
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_for(5 * MINUTE);
    assert_eq!((sim.ua(agent).invites.len(), changes(&sim)), (0, vec![Created]));
}

/// In each state that it can be in.
#[test]
fn a_kill_loses_no_callback_and_none_its_place() {
    for talks in [None, Some(false), Some(true)] {
        let (mut sim, agent, trunk) = paused(14, KEYS);
        wish(&mut sim, trunk);
        let customer = sim.phone("210");
        if let Some(talks) = talks {
            sim.set(trunk, if talks { OnInvite::Answer(SECOND) } else { OnInvite::Ring });
            sim.set(agent, OnInvite::Answer(SECOND));
            wants(&mut sim, "1001", WantedState::Ready);
            sim.run_until("it is called", |s| changes(s).last() == Some(if talks { &Connected } else { &Dialling }));
            sim.run_for(SECOND);
        }
        let kept: Vec<Callback> = book(&sim).all().cloned().collect();
        assert_eq!(kept.len(), 1);
        for ua in [agent, trunk, customer] {
            sim.act(ua, |u, _| u.forget());
        }
        sim.source = Some(centre_with(KEYS));
        sim.restart_with(Recovered { callbacks: kept.clone(), ..Recovered::default() });
        sim.set(trunk, OnInvite::Answer(SECOND));
        sim.set(agent, OnInvite::Answer(SECOND));
        sim.run_for(SECOND);
        match talks {
            None => {
                // Who came before the kill is served before who comes after it.
                sim.act(customer, |p, now| {
                    p.call("601", now);
                });
                sim.run_for(SECOND);
                wants(&mut sim, "1001", WantedState::Ready);
                sim.run_until("called back", |s| s.ua(trunk).is_up());
                assert_eq!(told(&sim).pop().map(|t| (t.change, t.arrived_at)), Some((Connected, Some(kept[0].arrived_at))));
            }
            Some(false) => {
                assert_eq!(changes(&sim).last(), Some(&Retry));
                sim.run_until("called back", |s| s.ua(trunk).is_up());
                assert_eq!(told(&sim).pop().map(|t| (t.change, t.attempts)), Some((Connected, 1)));
            }
            Some(true) => assert_eq!((changes(&sim).last(), views(&mut sim).len()), (Some(&Done), 0)),
        }
        for ua in [agent, trunk, customer] {
            sim.act(ua, |u, now| u.hang_up(now));
        }
        sim.run_for(MINUTE);
    }
}

/// Whatever happens, in whatever order.
#[test]
fn the_log_says_the_same_of_them_as_the_core() {
    for seed in 0..12 {
        let mut chance = Chance::seeded([seed; 32]);
        let (mut sim, agent, trunk) =
            paused(seed, "callback = { digit = \"1\", prefix = \"0\", attempts = 3, retry = [\"10s\", \"1m\"], keep = \"10m\" }");
        for _ in 0..40 {
            match chance.next_u64() % 9 {
                0 | 1 if sim.ua(trunk).is_idle() => call(&mut sim, trunk, SUPPORT),
                2 => press(&mut sim, trunk, "11"),
                3 => sim.act(trunk, |t, now| t.hang_up(now)),
                4 => wants(&mut sim, "1001", [WantedState::Ready, WantedState::Paused][chance.next_u64() as usize % 2]),
                5 => {
                    let all =
                        [OnInvite::Answer(SECOND), OnInvite::Refuse(486), OnInvite::RefuseAfter(480, 5 * SECOND), OnInvite::Ring];
                    let ua = [agent, trunk][chance.next_u64() as usize % 2];
                    sim.set(ua, all[chance.next_u64() as usize % all.len()]);
                }
                6 => {
                    let number = format!("+4930{}", 100_000 + chance.next_u64() % 3);
                    let due_at = chance.next_u64().is_multiple_of(2).then(|| sim.now.wall + 20 * SECOND);
                    sim.ask(Command::CallBack { queue: "support".into(), number, due_at, owner: None, conversation: None });
                }
                7 => {
                    if let Some(view) = views(&mut sim).first() {
                        let id = view.id.parse().expect("an id");
                        sim.ask(Command::CancelCallback { id });
                    }
                }
                _ => sim.act(agent, |a, now| a.hang_up(now)),
            }
            sim.run_for(Duration::from_millis(500 + chance.next_u64() % 8_000));
            let of_log: Vec<(String, &str, u32)> = book(&sim)
                .all()
                .map(|callback| {
                    let state = match callback.state {
                        CallbackState::Waits { .. } => "waiting",
                        CallbackState::Dials { .. } => "dialling",
                        CallbackState::Talks { .. } => "talking",
                    };
                    (callback.id.to_string(), state, callback.attempts)
                })
                .collect();
            let of_core = views(&mut sim);
            let of_core: Vec<_> = of_core.iter().map(|view| (view.id.clone(), view.state.as_str(), view.attempts)).collect();
            assert_eq!(of_log, of_core, "seed {seed}: {:?}", changes(&sim));
            let open = |callback: &Callback| callback.due_at.is_none() && !matches!(callback.state, CallbackState::Talks { .. });
            let numbers: Vec<_> = book(&sim).all().filter(|c| open(c)).map(|callback| callback.key().to_owned()).collect();
            let each: std::collections::BTreeSet<_> = numbers.iter().collect();
            assert_eq!(numbers.len(), each.len(), "one a customer, beside appointments");
        }
    }
}

/// "Call me again tomorrow", said in the call back: neither the end of that one nor a call on another matter takes it away.
#[test]
fn an_appointment_stands_beside_the_callback_that_it_is_made_in() {
    let (mut sim, agent, trunk) = paused(20, KEYS);
    wish(&mut sim, trunk);
    sim.set(agent, OnInvite::Answer(SECOND));
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("they talk", |s| changes(s).contains(&Connected));
    let due_at = sim.now.wall + 60 * MINUTE;
    let plans =
        |due_at| Command::CallBack { queue: "support".into(), number: CUSTOMER.into(), due_at, owner: None, conversation: None };
    let Answer::Callback(planned) = sim.ask(plans(Some(due_at))) else { panic!("an appointment") };
    let Answer::Callback(again) = sim.ask(plans(Some(due_at))) else { panic!("an appointment") };
    // Whatever else there is to say goes into the call.
    let Answer::Callback(other) = sim.ask(plans(None)) else { panic!("a callback") };
    assert!(planned.id == again.id && planned.id != other.id && views(&mut sim).len() == 3);
    sim.run_for(30 * SECOND);
    assert_eq!(sim.ua(agent).invites.len(), 1, "nobody is rung for who talks");
    let id = other.id.parse().expect("an id");
    assert_eq!(sim.ask(Command::CancelCallback { id }), Answer::Done);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(MINUTE);
    // A call in between is one of its own.
    call(&mut sim, trunk, SUPPORT);
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(MINUTE);
    assert_eq!(views(&mut sim).iter().map(|view| &view.id).collect::<Vec<_>>(), [&planned.id]);
    sim.run_for(56 * MINUTE);
    sim.run_until("they talk", |s| s.ua(agent).is_up() && s.ua(trunk).is_up());
    assert!(sim.now.wall >= due_at && sim.now.wall < due_at + 10 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(MINUTE);
    assert!(views(&mut sim).is_empty());
    sim.assert_clean();
}

/// Not from when it was planned, but from when it is due.
#[test]
fn an_appointment_comes_after_who_waits_already_when_it_is_due() {
    let (mut sim, agent, trunk) = paused(21, KEYS);
    let number = "+4930777001".to_owned();
    let due_at = Some(sim.now.wall + 10 * MINUTE);
    let plan = Command::CallBack { queue: "support".into(), number, due_at, owner: None, conversation: None };
    assert!(matches!(sim.ask(plan), Answer::Callback(_)));
    sim.run_for(9 * MINUTE);
    call(&mut sim, trunk, SUPPORT);
    sim.run_for(3 * MINUTE);
    sim.set(agent, OnInvite::Answer(SECOND));
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("somebody talks", |s| s.ua(agent).is_up());
    assert!(sim.ua(trunk).is_up() && sim.ua(trunk).invites.is_empty(), "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
}

/// Who waits in another queue and asks there is that queue's from then on, with the place of who came first.
#[test]
fn a_wish_in_another_queue_takes_the_first_one_along() {
    let mut source = centre_with(KEYS);
    let sales = "agents = [\"1003\", \"1004\"]";
    source.main.text = source.main.text.replacen(sales, &format!("{sales}\n{KEYS}"), 1);
    let mut sim = Sim::with(22, source);
    let trunk = sim.trunk();
    wish(&mut sim, trunk);
    sim.run_for(MINUTE);
    call(&mut sim, trunk, SALES);
    press(&mut sim, trunk, "11");
    sim.run_until("let go", |s| s.ua(trunk).is_idle());
    assert_eq!(changes(&sim), [Created, Cancelled, Created]);
    let all = told(&sim);
    assert_eq!((all[2].queue.as_str(), all[2].arrived_at), ("sales", all[0].arrived_at));
    let again =
        Command::CallBack { queue: "support".into(), number: CUSTOMER.into(), due_at: None, owner: None, conversation: None };
    assert!(matches!(sim.ask(again), Answer::Refused(Refusal::WrongState(_))));
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// Neither an agent who hangs up before the customer answers nor a trunk that is gone is an attempt, and for a trunk that is known to be
/// gone no agent is rung.
#[test]
fn what_is_our_own_fault_is_no_attempt() {
    let (mut sim, agent, trunk) = paused(23, KEYS);
    wish(&mut sim, trunk);
    sim.set(trunk, OnInvite::Ring);
    sim.set(agent, OnInvite::AnswerThenBye(SECOND));
    wants(&mut sim, "1001", WantedState::Ready);
    for _ in 0..4 {
        let before = changes(&sim).iter().filter(|change| **change == Retry).count();
        sim.run_until("once more", move |s| changes(s).iter().filter(|change| **change == Retry).count() > before);
        let retry = told(&sim).pop().expect("told");
        assert_eq!(retry.attempts, 0, "{:?}", changes(&sim));
        let pause = retry.next_at.expect("a time").since(sim.now.wall);
        assert!(pause <= MINUTE, "{pause:?}");
    }
    sim.set(trunk, OnInvite::Answer(SECOND));
    sim.set(agent, OnInvite::Answer(SECOND));
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(MINUTE);
    sim.assert_clean();
}

/// An empty room is not rung all night.
#[test]
fn one_that_agents_leave_ringing_is_held_back_for_a_while() {
    let (mut sim, agent, trunk) = paused(24, KEYS);
    wish(&mut sim, trunk);
    sim.set(agent, OnInvite::Ring);
    wants(&mut sim, "1001", WantedState::Ready);
    sim.run_until("left ringing", |s| s.count("queue.unanswered") == 3);
    let rung = sim.ua(agent).invites.len();
    sim.run_for(4 * MINUTE);
    assert_eq!((rung, sim.ua(agent).invites.len(), views(&mut sim)[0].attempts), (3, 3, 0));
    sim.set(agent, OnInvite::Answer(SECOND));
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(MINUTE);
    sim.assert_clean();
}

#[test]
fn an_owner_is_one_of_the_queue() {
    let (mut sim, _, _) = paused(25, KEYS);
    let plan = Command::CallBack {
        queue: "support".into(),
        number: CUSTOMER.into(),
        due_at: Some(sim.now.wall + MINUTE),
        owner: Some("1004".into()),
        conversation: None,
    };
    assert_eq!(sim.ask(plan), Answer::Refused(Refusal::NoMember("1004".into(), "support".into())));
}
