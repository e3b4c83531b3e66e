//! After the call: an agent who hangs up first leaves the customer to the queue's survey.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::{File, Source};
use cordboard::event::{CallSurveyed, Kind};
use cordboard::ids::ConversationId;
use cordboard::switch::{Answer, Command};

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

const MENU: &str = r#"
name = "csat"
language = "en"
start = "friendly"

[node.friendly]
kind = "survey"
prompt = "welcome"
question = "friendly"
next = "node:again"

[node.again]
kind = "if"
condition = "friendly > 3"
then = "node:solved"
else = "hangup"

[node.solved]
kind = "survey"
prompt = "closed"
question = "solved"
scale = 2
retries = 0
"#;

fn asking(more: &str) -> Source {
    let mut source = centre();
    let was = "title = \"Support\"\n";
    assert!(source.main.text.contains(was));
    source.main.text = source.main.text.replace(was, &format!("{was}survey = \"menu:csat\"\n{more}"));
    source.menus.push(File { path: "menus/csat.toml".into(), text: MENU.into() });
    source
}

/// A customer talks to 1001 at 201, by the queue.
fn talking(seed: u8, source: Source) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::with(seed, source);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    sim.run_for(5 * SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

fn answers(sim: &Sim) -> Vec<CallSurveyed> {
    sim.events.iter().filter_map(|e| if let Kind::CallSurveyed(s) = &e.kind { Some(s.clone()) } else { None }).collect()
}

fn state(sim: &mut Sim) -> String {
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
    agents.into_iter().find(|a| a.staff_number == "1001").expect("an agent").state
}

fn presses(sim: &mut Sim, at: SocketAddr, key: char) {
    sim.act(at, |ua, now| ua.digit_by_info(key, now));
    sim.run_for(SECOND);
}

#[test]
fn an_agent_who_hangs_up_first_leaves_the_customer_to_the_survey() {
    let (mut sim, phone, trunk, _) = talking(1, asking(""));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle() && sim.ua(trunk).is_up(), "{}", sim.story());
    assert_eq!((state(&mut sim), sim.count("call.unbridged"), sim.count("menu.entered")), ("wrapup".into(), 1, 1));
    // Not on the scale.
    presses(&mut sim, trunk, '9');
    assert!(answers(&sim).is_empty());
    presses(&mut sim, trunk, '4');
    let first = CallSurveyed {
        survey: "csat".into(),
        question: "friendly".into(),
        score: 4,
        scale: 5,
        agent: Some("1001".into()),
        queue: Some("support".into()),
    };
    assert_eq!(answers(&sim), [first], "{}", sim.story());
    presses(&mut sim, trunk, '2');
    let told = answers(&sim);
    let second = told.last().map(|s| (s.question.as_str(), s.score, s.scale));
    assert_eq!((told.len(), second), (2, Some(("solved", 2, 2))));
    sim.run_until("it is over", |s| s.has("call.ended") && s.has("recording.finished"));
    assert!(sim.ua(trunk).is_idle());
    let talk_ms = sim.ended()[0].talk_ms;
    assert!((5_000..9_000).contains(&talk_ms), "{talk_ms} ms: it ends with the bridge");
    let recorded = sim.recordings.values().next().expect("a recording");
    assert!(recorded.about.agents == ["1001".into()] && sim.recordings.len() == 1, "to its end");
    sim.assert_clean();
}

#[test]
fn who_hangs_up_before_the_agent_is_asked_nothing() {
    for crossing_us in [None, Some(0), Some(300), Some(5_000)] {
        let (mut sim, phone, trunk, _) = talking(2, asking(""));
        if let Some(us) = crossing_us {
            sim.act(phone, |p, now| p.hang_up(now));
            sim.run_for(Duration::from_micros(us));
        }
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("it is over", |s| s.has("call.ended"));
        sim.run_for(SECOND);
        assert!(answers(&sim).is_empty() && sim.ua(phone).is_idle() && sim.ua(trunk).is_idle(), "{}", sim.story());
        assert_eq!(state(&mut sim), "wrapup");
        sim.assert_clean();
    }
}

#[test]
fn who_answers_nothing_or_badly_goes() {
    let (mut sim, phone, trunk, _) = talking(3, asking("survey_recorded = false\n"));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.has("recording.finished") && sim.ua(trunk).is_up(), "the queue wants it so\n{}", sim.story());
    presses(&mut sim, trunk, '1');
    sim.run_until("it is over", |s| s.has("call.ended"));
    assert_eq!(answers(&sim).len(), 1, "a bad score is asked no more");
    sim.run_for(SECOND);
    sim.assert_clean();
    let (mut sim, phone, trunk, _) = talking(4, asking(""));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("it is over", |s| s.has("call.ended"));
    assert!(answers(&sim).is_empty());
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).is_idle());
    sim.assert_clean();
}

#[test]
fn calls_that_end_otherwise_have_no_survey() {
    for how in ["command", "drain", "no queue"] {
        let mut sim = Sim::with(5, asking(""));
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        let number = if how == "no queue" { "+4930555201" } else { "+4930555600" };
        sim.act(trunk, |t, now| {
            t.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
        sim.run_for(SECOND);
        let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
        if how == "command" {
            assert_eq!(sim.ask(Command::Hangup { conversation: id }), Answer::Done);
        } else {
            if how == "drain" {
                sim.input(cordboard::switch::Input::Drain);
            }
            sim.act(phone, |p, now| p.hang_up(now));
        }
        sim.run_for(2 * SECOND);
        assert!(sim.ua(trunk).is_idle() && sim.has("call.ended") && !sim.has("menu.entered"), "{how}\n{}", sim.story());
        sim.assert_clean();
    }
}

/// Whoever has the customer last is what it is asked about.
#[test]
fn a_customer_who_was_handed_over_is_asked_about_the_last_agent() {
    let (mut sim, phone, trunk, id) = talking(6, asking(""));
    let other = sim.phone("202");
    assert_eq!(sim.ask(Command::Transfer { conversation: id, to: "202".into() }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle() && !sim.has("menu.entered"));
    sim.act(other, |o, now| o.hang_up(now));
    sim.run_for(SECOND);
    presses(&mut sim, trunk, '5');
    assert_eq!(answers(&sim)[0].agent, Some("1002".into()), "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// A colleague who was asked is no customer, though the two go on when the customer has left.
#[test]
fn who_is_left_when_the_customer_has_gone_is_asked_nothing() {
    let (mut sim, phone, trunk, id) = talking(7, asking(""));
    let other = sim.phone("210");
    sim.set(other, OnInvite::Answer(SECOND));
    assert_eq!(sim.ask(Command::Consult { conversation: id, to: "210".into() }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(2 * SECOND);
    assert!(sim.ua(phone).is_up() && sim.ua(other).is_up(), "{}", sim.story());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    assert!(!sim.has("menu.entered") && sim.has("call.ended") && sim.ua(other).is_idle(), "{}", sim.story());
    sim.assert_clean();
}

/// What the survey is not, the talk after it is: recorded. Whoever is rung meanwhile for the talk that is over is rung no more.
#[test]
fn a_survey_that_leads_to_an_agent_again_is_over_there() {
    let mut source = asking("survey_recorded = false\n");
    let menu = &mut source.menus.last_mut().expect("a menu").text;
    *menu = menu.replace("else = \"hangup\"", "else = \"queue:support\"");
    let (mut sim, phone, trunk, id) = talking(8, source);
    let (other, asked) = (sim.phone("202"), sim.phone("210"));
    sim.set(asked, OnInvite::Ring);
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "210".into() }), Answer::Done);
    sim.run_until("it rings", |s| s.ua(asked).is_ringing());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.has("menu.entered") && sim.ua(asked).is_idle(), "{}", sim.story());
    presses(&mut sim, trunk, '1');
    sim.run_until("somebody else has it", |s| s.ua(other).is_up());
    sim.run_for(3 * SECOND);
    assert_eq!((answers(&sim).len(), sim.count("recording.started"), sim.count("recording.finished")), (1, 2, 1));
    sim.act(other, |o, now| o.hang_up(now));
    sim.run_for(2 * SECOND);
    assert!(sim.ua(trunk).is_idle() && sim.count("recording.finished") == 2, "asked once\n{}", sim.story());
    sim.assert_clean();
}
