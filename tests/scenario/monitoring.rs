//! Supervisors: who hears them, what becomes of the call when they or others leave.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{Kind, MonitorChange};
use cordboard::ids::ConversationId;
use cordboard::route::Cause;
use cordboard::switch::command::MonitorMode::{self, Barge, Listen, TakeOver, Whisper};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::Sim;
use crate::sim::looking::Told;
use crate::sim::ua::{Hold, OnInvite};

const SECOND: Duration = Duration::from_secs(1);

/// A customer of the queue talks to 201; 210 is the supervisor's.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::new(seed);
    let (agent, boss, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, agent, boss, trunk, id)
}

fn monitor(sim: &mut Sim, conversation: ConversationId, who: &str, mode: MonitorMode) -> Answer {
    sim.ask(Command::Monitor { conversation, who: who.into(), mode })
}

/// And 210 is there in this mode.
fn monitored(seed: u8, mode: MonitorMode) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let (mut sim, agent, boss, trunk, id) = talking(seed);
    assert_eq!(monitor(&mut sim, id, "210", mode), Answer::Done);
    sim.run_until("it is there", |s| changes(s).contains(&(MonitorChange::Started, mode)));
    sim.run_for(SECOND);
    (sim, agent, boss, trunk, id)
}

fn changes(sim: &Sim) -> Vec<(MonitorChange, MonitorMode)> {
    let change = |e: &cordboard::event::Event| match &e.kind {
        Kind::CallMonitored(m) => Some((m.change, m.mode)),
        _ => None,
    };
    sim.events.iter().filter_map(change).collect()
}

#[test]
fn each_mode_is_heard_by_whom_it_is_for_and_they_change_while_it_is_there() {
    let (mut sim, agent, boss, trunk, id) = monitored(1, Listen);
    let told = |sim: &Sim| (sim.told(trunk), sim.told(agent), sim.told(boss));
    let both = Told::these([trunk, agent]);
    let listening = (Told::these([agent]), Told::these([trunk]), both.clone());
    assert_eq!(told(&sim), listening);
    sim.hear_each_other_only(trunk, agent);
    assert_eq!(monitor(&mut sim, id, "210", Whisper), Answer::Done);
    assert_eq!(told(&sim), (Told::these([agent]), Told::these([trunk, boss]), both.clone()));
    assert_eq!(monitor(&mut sim, id, "210", Barge), Answer::Done);
    assert_eq!(told(&sim), (Told::these([agent, boss]), Told::these([trunk, boss]), both));
    assert_eq!(monitor(&mut sim, id, "210", Listen), Answer::Done);
    assert_eq!(monitor(&mut sim, id, "210", Listen), Answer::Done, "twice is once");
    assert_eq!(told(&sim), listening);
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    use MonitorChange::{Changed, Ended, Ringing, Started};
    let all = [(Ringing, Listen), (Started, Listen), (Changed, Whisper), (Changed, Barge), (Changed, Listen), (Ended, Listen)];
    assert_eq!(changes(&sim), all, "{}", sim.story());
    sim.hear_each_other_only(trunk, agent);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!((sim.recordings.len(), sim.count("call.bridged")), (1, 1));
    sim.assert_clean();
}

#[test]
fn with_either_of_the_two_the_call_ends_for_the_supervisor_too() {
    for mode in [Listen, Whisper, Barge] {
        for by_customer in [true, false] {
            let (mut sim, agent, boss, trunk, _) = monitored(2, mode);
            sim.act(if by_customer { trunk } else { agent }, |ua, now| ua.hang_up(now));
            sim.run_for(SECOND);
            assert!([trunk, agent, boss].iter().all(|at| sim.ua(*at).is_idle()), "{}", sim.story());
            sim.assert_clean();
        }
    }
}

#[test]
fn a_supervisor_without_power_or_answer_is_never_noticed() {
    let (mut sim, agent, boss, trunk, id) = monitored(3, Barge);
    sim.act(boss, |b, _| b.dead = true);
    sim.run_until("it is missed", |s| changes(s).last() == Some(&(MonitorChange::Ended, Barge)));
    sim.hear_each_other_only(trunk, agent);
    sim.act(boss, |b, now| {
        b.dead = false;
        b.hang_up(now);
    });
    sim.run_for(40 * SECOND);
    for does in [OnInvite::Ring, OnInvite::Refuse(486), OnInvite::AnswerUnusably, OnInvite::AnswerThenBye(SECOND)] {
        sim.set(boss, does);
        let before = changes(&sim).len();
        assert_eq!(monitor(&mut sim, id, "210", Listen), Answer::Done, "{does:?}\n{}", sim.story());
        sim.run_until("it came to nothing", |s| {
            let (change, _) = changes(s)[changes(s).len() - 1];
            changes(s).len() > before + 1 && matches!(change, MonitorChange::Failed | MonitorChange::Ended)
        });
        sim.hear_each_other_only(trunk, agent);
    }
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_agents_phone_without_power_ends_it_for_all() {
    let (mut sim, agent, boss, trunk, _) = monitored(4, Listen);
    sim.act(agent, |a, _| a.dead = true);
    sim.run_until("noticed", |s| s.ua(trunk).is_idle() && s.ua(boss).is_idle());
    assert_eq!(sim.ended()[0].cause, Cause::NoMedia);
    sim.assert_clean();
}

#[test]
fn a_supervisor_who_takes_over_has_the_customer_and_the_agent_wraps_up() {
    for first in [Some(Whisper), None] {
        let (mut sim, agent, boss, trunk, id) = match first {
            Some(mode) => monitored(5, mode),
            None => talking(5),
        };
        assert_eq!(monitor(&mut sim, id, "210", TakeOver), Answer::Done);
        sim.run_until("taken over", |s| changes(s).contains(&(MonitorChange::TookOver, TakeOver)));
        sim.run_for(SECOND);
        assert!(sim.ua(agent).is_idle(), "{}", sim.story());
        let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
        assert_eq!(agents.iter().find(|a| a.staff_number == "1001").map(|a| a.state.as_str()), Some("wrapup"));
        sim.hear_each_other_only(trunk, boss);
        assert_eq!((sim.told(trunk), sim.told(boss)), (Told::these([boss]), Told::these([trunk])));
        assert!(!sim.has("recording.finished"), "the customer is recorded on");
        assert!(
            matches!(monitor(&mut sim, id, "210", Listen), Answer::Refused(Refusal::WrongState(_))),
            "it is the agent's side now"
        );
        // And holds as that.
        sim.act(boss, |b, now| b.hold(Hold::SendOnly, now));
        sim.run_until("held", |s| s.has("call.held"));
        assert_eq!(sim.told(trunk), Told::Music);
        sim.act(boss, |b, now| b.hang_up(now));
        sim.run_until("over", |s| s.ua(trunk).is_idle() && s.has("recording.finished"));
        assert_eq!((sim.recordings.len(), sim.ended().len()), (1, 1));
        sim.assert_clean();
    }
}

#[test]
fn an_outbound_call_can_be_taken_over_too() {
    let mut sim = Sim::new(6);
    let (agent, boss, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(agent, |a, now| {
        a.call("0049301234567", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(monitor(&mut sim, id, "210", Whisper), Answer::Done);
    sim.run_until("it is there", |s| changes(s).contains(&(MonitorChange::Started, Whisper)));
    assert_eq!((sim.told(trunk), sim.told(agent)), (Told::these([agent]), Told::these([trunk, boss])));
    assert_eq!(monitor(&mut sim, id, "210", TakeOver), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.ua(agent).is_idle(), "{}", sim.story());
    sim.hear_each_other_only(trunk, boss);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    sim.assert_clean();
}

#[test]
fn transfers_while_monitored_go_on_being_monitored() {
    let (mut sim, agent, boss, trunk, _) = monitored(7, Whisper);
    let next = sim.phone("202");
    sim.set(next, OnInvite::Ring);
    sim.act(agent, |a, now| a.refer("202", now));
    sim.run_until("it rings", |s| s.ua(next).is_ringing());
    sim.run_for(SECOND);
    // Nobody is whispered to, and the customer is heard.
    assert_eq!((sim.told(trunk), sim.told(boss)), (Told::Play, Told::these([trunk])), "{}", sim.story());
    sim.act(next, |n, now| n.answer(now));
    sim.run_for(5 * SECOND);
    assert!(sim.ua(agent).is_idle());
    assert_eq!(sim.told(trunk), Told::these([next]));
    assert_eq!((sim.told(next), sim.told(boss)), (Told::these([trunk, boss]), Told::these([trunk, next])), "{}", sim.story());
    // Attended, to 203.
    let last = sim.phone("203");
    sim.act(next, |n, now| n.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    assert_eq!((sim.told(trunk), sim.told(boss)), (Told::Music, Told::these([])), "what is held is heard by nobody");
    sim.act(next, |n, now| {
        n.call("203", now);
    });
    sim.run_until("the consulted one answers", |s| s.ua(last).is_up());
    sim.run_for(SECOND);
    sim.act(next, |n, now| n.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.told(trunk), Told::these([last]));
    assert_eq!((sim.told(last), sim.told(boss)), (Told::these([trunk, boss]), Told::these([trunk, last])), "{}", sim.story());
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    sim.hear_each_other_only(trunk, last);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn two_supervisors_hear_each_other_only_where_all_do() {
    let (mut sim, agent, boss, trunk, id) = monitored(8, Whisper);
    let other = sim.phone("204");
    assert_eq!(monitor(&mut sim, id, "1004", Listen), Answer::Done, "by the staff number");
    sim.run_until("it is there", |s| changes(s).contains(&(MonitorChange::Started, Listen)));
    assert_eq!((sim.told(boss), sim.told(other)), (Told::these([trunk, agent]), Told::these([trunk, agent])));
    assert_eq!(monitor(&mut sim, id, "210", Barge), Answer::Done);
    assert_eq!((sim.told(boss), sim.told(other)), (Told::these([trunk, agent]), Told::these([trunk, agent, boss])));
    assert_eq!(monitor(&mut sim, id, "204", Barge), Answer::Done);
    assert_eq!((sim.told(boss), sim.told(other)), (Told::these([trunk, agent, other]), Told::these([trunk, agent, boss])));
    assert_eq!(monitor(&mut sim, id, "204", TakeOver), Answer::Done);
    sim.run_for(SECOND);
    assert_eq!(
        (sim.told(trunk), sim.told(other), sim.told(boss)),
        (Told::these([other, boss]), Told::these([trunk, boss]), Told::these([trunk, other]))
    );
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    sim.hear_each_other_only(trunk, other);
    sim.act(other, |o, now| o.hang_up(now));
    sim.assert_clean();
}

#[test]
fn what_cannot_be_monitored_is_refused_with_its_reason() {
    let mut sim = Sim::new(9);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("it rings", |s| s.ua(agent).is_ringing());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert!(matches!(monitor(&mut sim, id, "210", Listen), Answer::Refused(Refusal::WrongState(_))), "nobody talks");
    sim.act(agent, |a, now| a.answer(now));
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    assert!(matches!(monitor(&mut sim, id, "999", Listen), Answer::Refused(Refusal::NoParty(_))));
    assert!(matches!(monitor(&mut sim, id, "210", Listen), Answer::Refused(Refusal::NoPhone(_))), "it is not registered");
    assert!(matches!(monitor(&mut sim, id, "1001", Listen), Answer::Refused(Refusal::WrongState(_))), "its own agent");
    let nowhere = ConversationId::from_parts(1, 1);
    assert_eq!(monitor(&mut sim, nowhere, "210", Listen), Answer::Refused(Refusal::NoConversation(nowhere)));
    for number in ["202", "203", "204", "210", "211"] {
        sim.phone(number);
        let answer = monitor(&mut sim, id, number, Listen);
        assert_eq!(matches!(answer, Answer::Refused(Refusal::TooMany(_))), number == "211", "{number}: {answer:?}");
    }
    sim.run_for(5 * SECOND);
    sim.hear_each_other_only(trunk, agent);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// By what reaches their ears, and not by what the media workers were told.
#[test]
fn by_ear_a_supervisor_is_heard_by_whom_each_mode_is_for() {
    let mut sim = Sim::new(10);
    let (agent, boss, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    for (at, hz) in [(trunk, 440.0), (agent, 700.0), (boss, 1_000.0)] {
        sim.act(at, |ua, _| ua.tone = Some(hz));
    }
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    let all = [trunk, agent, boss];
    for (mode, customer, coached) in [
        (Listen, &[agent][..], &[trunk][..]),
        (Whisper, &[agent], &[trunk, boss]),
        (Barge, &[agent, boss], &[trunk, boss]),
        (Listen, &[agent], &[trunk]),
    ] {
        assert_eq!(monitor(&mut sim, id, "210", mode), Answer::Done);
        sim.run_until("it is there", |s| matches!(changes(s).last(), Some((_, now)) if *now == mode) && s.ua(boss).is_up());
        sim.hears_tones_of(trunk, &all, customer);
        sim.hears_tones_of(agent, &all, coached);
        sim.hears_tones_of(boss, &all, &[trunk, agent]);
    }
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    sim.hears_tones_of(trunk, &all, &[agent]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    sim.assert_clean();
}
