//! Conferences: more than two talk, come and go, and the last two are a call like any other.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::ConferenceChange::{self, Failed, Joined, Left, Ringing};
use cordboard::event::Kind;
use cordboard::ids::ConversationId;
use cordboard::route::Cause;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::Sim;
use crate::sim::looking::Told;
use crate::sim::ua::{Hold, OnInvite, Ua};

const SECOND: Duration = Duration::from_secs(1);

fn conversation(sim: &Sim) -> ConversationId {
    sim.events.iter().find_map(|e| e.conversation).expect("a conversation")
}

/// A customer talks to 201.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = conversation(&sim);
    (sim, phone, trunk, id)
}

/// And 210 has joined.
fn three(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let (mut sim, phone, trunk, id) = talking(seed);
    let third = sim.phone("210");
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "210".into() }), Answer::Done);
    sim.run_until("it has joined", |s| changes(s).contains(&Joined));
    sim.run_for(SECOND);
    (sim, phone, trunk, third, id)
}

fn changes(sim: &Sim) -> Vec<ConferenceChange> {
    sim.events.iter().filter_map(|e| if let Kind::CallConferenced(c) = &e.kind { Some(c.change) } else { None }).collect()
}

#[track_caller]
fn hear_each_other(sim: &Sim, all: &[SocketAddr]) {
    for hears in all {
        let others = all.iter().copied().filter(|at| at != hears).collect();
        assert_eq!(sim.told(*hears), Told::These(others), "{hears}\n{}", sim.story());
    }
}

#[test]
fn whoever_leaves_the_others_go_on_as_a_call_like_any_other() {
    for leaves in 0..3 {
        let (mut sim, phone, trunk, third, _) = three(1);
        let mut all = vec![trunk, phone, third];
        hear_each_other(&sim, &all);
        assert_eq!(changes(&sim), [Ringing, Joined]);
        let gone = all.remove(leaves);
        sim.act(gone, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        assert!(sim.ua(gone).is_idle() && all.iter().all(|at| sim.ua(*at).is_up()), "{}", sim.story());
        assert_eq!(changes(&sim), [Ringing, Joined, Left], "{}", sim.story());
        hear_each_other(&sim, &all);
        sim.hear_each_other_only(all[0], all[1]);
        // The customer's recording ends with the customer.
        assert_eq!(sim.has("recording.finished"), gone == trunk, "{}", sim.story());
        let ends = sim.now.mono;
        sim.act(all[0], |ua, now| ua.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended") && s.has("recording.finished"));
        sim.run_for(SECOND);
        assert!(sim.ua(all[1]).is_idle());
        assert_eq!((sim.ended().len(), sim.ended()[0].cause), (1, Cause::Normal));
        let recorded = sim.recordings.values().next().expect("a recording");
        assert_eq!(recorded.ended.is_some_and(|at| at >= ends), gone != trunk);
        let (bridged, unbridged) = (sim.count("call.bridged"), sim.count("call.unbridged"));
        assert_eq!((bridged, unbridged), if gone == third { (1, 1) } else { (2, 2) });
        sim.assert_clean();
    }
}

#[test]
fn one_who_does_not_come_changes_nothing() {
    let (mut sim, phone, trunk, id) = talking(2);
    let third = sim.phone("210");
    for (nth, (does, cause)) in [
        (OnInvite::Refuse(486), Cause::Busy),
        (OnInvite::Ring, Cause::NoAnswer),
        (OnInvite::AnswerUnusably, Cause::NotAcceptable),
    ]
    .into_iter()
    .enumerate()
    {
        sim.set(third, does);
        assert_eq!(sim.ask(Command::Confer { conversation: id, to: "210".into() }), Answer::Done);
        sim.run_until("it failed", |s| changes(s).iter().filter(|c| **c == Failed).count() == nth + 1);
        let last = sim.events.iter().rev().find_map(|e| if let Kind::CallConferenced(c) = &e.kind { c.cause } else { None });
        assert_eq!(last, Some(cause), "{}", sim.story());
        sim.run_for(SECOND);
    }
    sim.hear_each_other_only(trunk, phone);
    // It rings still when the call ends.
    sim.set(third, OnInvite::Ring);
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "210".into() }), Answer::Done);
    sim.run_for(SECOND);
    assert!(sim.ua(third).is_ringing());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(third).is_idle() && sim.ua(trunk).is_idle());
    sim.assert_clean();
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut sim = Sim::new(3);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(phone, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("it rings", |s| s.ua(phone).is_ringing());
    let id = conversation(&sim);
    let confer = |sim: &mut Sim, to: &str| sim.ask(Command::Confer { conversation: id, to: to.into() });
    assert!(matches!(confer(&mut sim, "210"), Answer::Refused(Refusal::WrongState(_))), "nobody talks");
    sim.act(phone, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.ua(trunk).is_up());
    assert!(matches!(confer(&mut sim, "201"), Answer::Refused(Refusal::WrongState(_))), "it is there");
    assert!(matches!(confer(&mut sim, "210"), Answer::Refused(Refusal::NoPhone(_))), "it is not registered");
    assert!(matches!(confer(&mut sim, "999"), Answer::Refused(Refusal::NotDiallable(_))));
    assert!(matches!(confer(&mut sim, "queue:support"), Answer::Refused(Refusal::NotDiallable(_))));
    let nowhere = ConversationId::from_parts(1, 1);
    let answer = sim.ask(Command::Confer { conversation: nowhere, to: "210".into() });
    assert_eq!(answer, Answer::Refused(Refusal::NoConversation(nowhere)));
    // Two, and fourteen outside.
    let outside = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.set(trunk, OnInvite::Refuse(503));
    for nth in 0..14 {
        assert_eq!(confer(&mut sim, &format!("00491701000{nth:02}")), Answer::Done, "{nth}");
        sim.run_until("it has joined", |s| changes(s).iter().filter(|c| **c == Joined).count() == nth + 1);
    }
    assert!(matches!(confer(&mut sim, "0049170100099"), Answer::Refused(Refusal::TooMany(_))));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_up() && sim.ua(outside).open_calls() == 14, "{}", sim.story());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(outside).open_calls(), 0, "trunks alone are not joined\n{}", sim.story());
    sim.assert_clean();
}

#[test]
fn the_customer_of_an_outbound_call_leaves_and_those_inside_can_hold() {
    let mut sim = Sim::new(12);
    let (phone, third, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    let second = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.act(phone, |p, now| {
        p.call("0049301234567", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    let id = conversation(&sim);
    sim.set(trunk, OnInvite::Refuse(503));
    for to in ["0049170100000", "210"] {
        let joined = changes(&sim).iter().filter(|c| **c == Joined).count();
        assert_eq!(sim.ask(Command::Confer { conversation: id, to: to.into() }), Answer::Done);
        sim.run_until("it has joined", |s| changes(s).iter().filter(|c| **c == Joined).count() > joined);
    }
    hear_each_other(&sim, &[trunk, second, phone, third]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.has("recording.finished"), "with the customer");
    hear_each_other(&sim, &[second, phone, third]);
    sim.act(second, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.hear_each_other_only(phone, third);
    // Nobody is a customer any more: who has that one's place waits.
    assert_eq!(sim.ask(Command::Hold { conversation: id }), Answer::Done);
    assert_eq!((sim.told(third), sim.told(phone)), (Told::Music, Told::These([].into())), "{}", sim.story());
    assert_eq!(sim.ask(Command::Resume { conversation: id }), Answer::Done);
    sim.hear_each_other_only(phone, third);
    sim.act(third, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn an_outside_party_who_answers_while_nobody_is_bridged_is_the_customer_all_the_same() {
    for fails in [false, true] {
        let mut sim = Sim::new(13);
        let (a, b, c, trunk) = (sim.phone("201"), sim.phone("210"), sim.phone("202"), sim.trunk());
        sim.act(a, |a, now| {
            a.call("210", now);
        });
        sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
        let id = conversation(&sim);
        sim.set(trunk, OnInvite::Ring);
        assert_eq!(sim.ask(Command::Confer { conversation: id, to: "0049301234567".into() }), Answer::Done);
        sim.run_until("it rings", |s| s.ua(trunk).is_ringing());
        sim.set(c, OnInvite::Ring);
        sim.act(a, |a, now| a.refer("202", now));
        sim.run_until("the other one rings", |s| s.ua(c).is_ringing());
        sim.act(trunk, |t, now| t.answer(now));
        sim.run_until("it has joined", |s| changes(s).contains(&Joined));
        sim.run_for(SECOND);
        assert!(sim.has("call.went_outside") && sim.has("recording.started"), "{}", sim.story());
        if fails {
            // Who comes in goes before the others are a pair.
            sim.act(trunk, |t, now| t.hang_up(now));
            sim.run_for(SECOND);
            assert!(sim.has("recording.finished"), "{}", sim.story());
        }
        sim.act(c, |c, now| c.answer(now));
        sim.run_for(5 * SECOND);
        assert!(sim.ua(a).is_idle(), "{}", sim.story());
        if fails {
            sim.hear_each_other_only(b, c);
        } else {
            hear_each_other(&sim, &[b, c, trunk]);
            assert!(!sim.has("recording.finished"));
            let bridged =
                sim.events.iter().rev().find_map(|e| if let Kind::CallBridged(b) = &e.kind { b.phone.clone() } else { None });
            assert_eq!(bridged.as_ref().map(|p| p.as_str()), Some("210"), "the customer is one of the two\n{}", sim.story());
        }
        sim.act(c, |c, now| c.hang_up(now));
        sim.run_for(SECOND);
        sim.act(b, |b, now| b.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended") && s.has("recording.finished"));
        assert_eq!(sim.recordings.len(), 1);
        sim.assert_clean();
    }
}

#[test]
fn a_silent_trunk_is_given_up_for_the_next_one() {
    for says in [OnInvite::Ignore, OnInvite::Try] {
        let (mut sim, phone, trunk, id) = talking(14);
        let second = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        sim.set(trunk, says);
        let asked = sim.now.mono;
        assert_eq!(sim.ask(Command::Confer { conversation: id, to: "0049301234567".into() }), Answer::Done);
        sim.run_until("it has joined", |s| changes(s).contains(&Joined));
        let took = sim.now.mono.since(asked);
        assert!(took < if says == OnInvite::Try { 25 * SECOND } else { 10 * SECOND }, "{took:?}");
        hear_each_other(&sim, &[trunk, phone, second]);
        sim.act(trunk, |t, now| t.end(0, now));
        sim.run_for(SECOND);
        sim.act(phone, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn an_emergency_number_is_no_party_and_its_call_no_conference() {
    let (mut sim, phone, trunk, id) = talking(15);
    let second = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.set(trunk, OnInvite::Refuse(503));
    for to in ["112", "0112", "110"] {
        let answer = sim.ask(Command::Confer { conversation: id, to: to.into() });
        assert!(matches!(answer, Answer::Refused(Refusal::WrongState(_))), "{answer:?}");
    }
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call("112", now);
    });
    sim.run_until("help answers", |s| s.ua(second).is_up());
    sim.run_for(SECOND);
    let help = sim.events.iter().rev().find_map(|e| if let Kind::CallStarted(_) = e.kind { e.conversation } else { None });
    let help = help.expect("a call for help");
    for (conversation, consultation) in [(id, help), (help, id)] {
        let answer = sim.ask(Command::ConferWith { conversation, consultation });
        assert!(matches!(answer, Answer::Refused(Refusal::WrongState(_))), "{answer:?}");
    }
    for key in "*71".chars() {
        sim.act(phone, |p, now| p.digit_by_info(key, now));
        sim.run_for(SECOND);
    }
    assert!(changes(&sim).is_empty() && sim.ua(second).is_up() && sim.ua(phone).open_calls() == 2, "{}", sim.story());
    sim.hear_each_other_only(phone, second);
    sim.act(phone, |p, now| p.end(1, now));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_play_to_all_ends_for_all_with_the_bridge() {
    use cordboard::switch::command::{PlayTo, Sound, Tone};
    let (mut sim, phone, trunk, third, id) = three(16);
    let fourth = sim.phone("202");
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "202".into() }), Answer::Done);
    sim.run_until("it has joined", |s| changes(s).iter().filter(|c| **c == Joined).count() == 2);
    let sound = Sound::Tone(Tone::Music);
    assert_eq!(sim.ask(Command::Play { conversation: id, sound, to: PlayTo::Both }), Answer::Done);
    assert!([phone, trunk, third, fourth].iter().all(|at| sim.told(*at) == Told::Music));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    hear_each_other(&sim, &[trunk, third, fourth]);
    assert!(matches!(sim.ask(Command::StopPlay { conversation: id }), Answer::Refused(_)), "nothing is played");
    for at in [trunk, third] {
        sim.act(at, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.assert_clean();
}

#[test]
fn an_agent_who_leaves_wraps_up_and_the_customer_talks_on() {
    let mut sim = Sim::new(4);
    let (agent, third, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    let id = conversation(&sim);
    // By the staff number.
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "1002".into() }), Answer::Done);
    sim.run_until("it has joined", |s| changes(s).contains(&Joined));
    hear_each_other(&sim, &[trunk, agent, third]);
    let state = |sim: &mut Sim, staff_number: &str| {
        let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!("agents") };
        agents.into_iter().find(|a| a.staff_number == staff_number).map(|a| a.state)
    };
    assert_eq!((state(&mut sim, "1001"), state(&mut sim, "1002")), (Some("talking".into()), Some("busy".into())));
    sim.act(agent, |a, now| a.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!((state(&mut sim, "1001"), state(&mut sim, "1002")), (Some("wrapup".into()), Some("busy".into())));
    sim.hear_each_other_only(trunk, third);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let about = &sim.recordings.values().next().expect("a recording").about;
    assert_eq!(about.agents.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1001", "1002"]);
    sim.assert_clean();
}

#[test]
fn an_outside_party_makes_an_internal_call_one_with_a_customer_who_is_recorded() {
    for leaves in 0..3 {
        let mut sim = Sim::new(5);
        let (a, b, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
        sim.act(a, |a, now| {
            a.call("210", now);
        });
        sim.run_until("they talk", |s| s.ua(a).is_up() && s.ua(b).is_up());
        sim.run_for(SECOND);
        assert!(sim.recordings.is_empty());
        let id = conversation(&sim);
        assert_eq!(sim.ask(Command::Confer { conversation: id, to: "0049301234567".into() }), Answer::Done);
        sim.run_until("it has joined", |s| s.has("call.went_outside"));
        sim.run_for(SECOND);
        hear_each_other(&sim, &[a, b, trunk]);
        assert!(sim.has("recording.started"), "{}", sim.story());
        let mut all = vec![a, b, trunk];
        let gone = all.remove(leaves);
        sim.act(gone, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        sim.hear_each_other_only(all[0], all[1]);
        sim.act(all[1], |ua, now| ua.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended") && s.has("recording.finished"));
        assert_eq!(sim.recordings.len(), 1);
        sim.assert_clean();
    }
}

/// A customer talks to 201, who holds and has called 210; the conversations.
fn consulting(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr, [ConversationId; 2]) {
    let (mut sim, phone, trunk, id) = talking(seed);
    let third = sim.phone("210");
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call("210", now);
    });
    sim.run_until("the consulted one answers", |s| s.ua(third).is_up());
    sim.run_for(SECOND);
    let consultation =
        sim.events.iter().rev().find_map(|e| if let Kind::CallStarted(_) = e.kind { e.conversation } else { None });
    let consultation = consultation.expect("a consultation");
    (sim, phone, trunk, third, [id, consultation])
}

#[test]
fn a_phone_joins_its_two_calls_by_a_key() {
    let (mut sim, phone, trunk, third, _) = consulting(11);
    // What begins like it is not it.
    for key in "5*7*70*71".chars() {
        assert!(!sim.has("call.conferenced"), "{key}");
        sim.act(phone, |p, now| p.digit_by_info(key, now));
        sim.run_for(SECOND);
    }
    hear_each_other(&sim, &[trunk, phone, third]);
    assert_eq!((changes(&sim), sim.ua(phone).open_calls()), (vec![Joined], 1), "{}", sim.story());
    // With one call alone it means nothing.
    for key in "*71".chars() {
        sim.act(phone, |p, now| p.digit_by_info(key, now));
        sim.run_for(SECOND);
    }
    assert_eq!(changes(&sim), [Joined]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.act(third, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// The phone is between the two from outside; without it they are parted.
#[test]
fn a_phone_joins_a_customer_with_somebody_outside_as_long_as_it_stays() {
    let (mut sim, phone, trunk, _) = talking(17);
    let second = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.set(trunk, OnInvite::Refuse(503));
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call("0049301234567", now);
    });
    sim.run_until("the consulted one answers", |s| s.ua(second).is_up());
    sim.run_for(SECOND);
    for key in "*71".chars() {
        sim.act(phone, |p, now| p.digit_by_info(key, now));
        sim.run_for(SECOND);
    }
    hear_each_other(&sim, &[trunk, phone, second]);
    let last = sim.ua(phone).calls.len() - 1;
    sim.act(phone, |p, now| p.end(last, now));
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).is_idle() && sim.ua(second).is_idle(), "{}", sim.story());
    sim.assert_clean();
}

#[test]
fn a_phone_that_is_muted_is_so_in_the_conference() {
    use cordboard::switch::command::Member;
    for first in [true, false] {
        let (mut sim, phone, trunk, third, [id, consultation]) = consulting(18);
        let conversation = if first { id } else { consultation };
        let who = || Member::Number("201".into());
        assert_eq!(sim.ask(Command::Mute { conversation, who: who(), muted: true }), Answer::Done);
        assert_eq!(sim.ask(Command::ConferWith { conversation: id, consultation }), Answer::Done);
        sim.run_for(SECOND);
        assert_eq!((sim.told(trunk), sim.told(third)), (Told::these([third]), Told::these([trunk])), "{}", sim.story());
        assert_eq!(sim.told(phone), Told::these([trunk, third]));
        assert_eq!(sim.ask(Command::Mute { conversation: id, who: who(), muted: false }), Answer::Done);
        hear_each_other(&sim, &[trunk, phone, third]);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
        sim.act(third, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn two_calls_that_are_too_many_together_are_not_joined_though_some_ring_still() {
    let (mut sim, phone, trunk, third, [id, consultation]) = consulting(19);
    sim.set(trunk, OnInvite::Ring);
    for nth in 0..14 {
        let to = format!("00491701000{nth:02}");
        assert_eq!(sim.ask(Command::Confer { conversation: id, to }), Answer::Done, "{nth}");
    }
    let refused = Answer::Refused(Refusal::TooMany("parties in a conversation"));
    assert_eq!(sim.ask(Command::ConferWith { conversation: id, consultation }), refused);
    sim.act(trunk, |t, now| t.end(0, now));
    sim.run_for(SECOND);
    sim.act(third, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle(), "{}", sim.story());
    sim.assert_clean();
}

#[test]
fn a_consultation_becomes_a_conference_and_the_phone_stays() {
    let (mut sim, phone, trunk, third, [id, consultation]) = consulting(6);
    assert_eq!(sim.ask(Command::ConferWith { conversation: id, consultation }), Answer::Done);
    sim.run_for(SECOND);
    hear_each_other(&sim, &[trunk, phone, third]);
    assert_eq!((sim.ua(phone).open_calls(), sim.count("call.merged")), (1, 2), "{}", sim.story());
    assert_eq!((sim.ended().len(), sim.ended()[0].cause), (1, Cause::Transferred));
    assert!(!sim.has("recording.finished"), "the customer is recorded on");
    assert!(matches!(sim.ask(Command::ConferWith { conversation: id, consultation }), Answer::Refused(_)));
    let last = sim.ua(phone).calls.len() - 1;
    sim.act(phone, |p, now| p.end(last, now));
    sim.hear_each_other_only(trunk, third);
    sim.act(third, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    sim.assert_clean();
}

#[test]
fn a_party_waits_with_music_while_the_customer_is_sent_on_and_talks_again_then() {
    let (mut sim, phone, trunk, third, _) = three(7);
    let fourth = sim.phone("202");
    sim.set(fourth, OnInvite::Ring);
    sim.act(phone, |p, now| p.refer("202", now));
    sim.run_until("it rings", |s| s.ua(fourth).is_ringing());
    sim.run_for(SECOND);
    assert_eq!((sim.told(trunk), sim.told(third)), (Told::Play, Told::Music), "{}", sim.story());
    sim.act(fourth, |f, now| f.answer(now));
    sim.run_for(5 * SECOND);
    hear_each_other(&sim, &[trunk, fourth, third]);
    assert!(sim.ua(phone).is_idle());
    sim.act(fourth, |f, now| f.hang_up(now));
    sim.hear_each_other_only(trunk, third);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn one_of_three_that_holds_is_not_heard_and_the_others_talk_on() {
    let (mut sim, phone, trunk, third, id) = three(8);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    assert_eq!((sim.told(trunk), sim.told(third)), (Told::these([third]), Told::these([trunk])));
    sim.hear_each_other_only(trunk, third);
    sim.act(phone, |p, now| p.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    hear_each_other(&sim, &[trunk, phone, third]);
    // By command it is the customer who waits.
    assert_eq!(sim.ask(Command::Hold { conversation: id }), Answer::Done);
    assert_eq!(sim.told(trunk), Told::Music);
    hear_each_other(&sim, &[phone, third]);
    assert_eq!(sim.ask(Command::Resume { conversation: id }), Answer::Done);
    hear_each_other(&sim, &[trunk, phone, third]);
    sim.act(third, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_party_without_power_is_gone_after_a_while_and_the_others_talk_on() {
    let (mut sim, phone, trunk, third, _) = three(9);
    sim.act(third, |t, _| t.dead = true);
    sim.run_until("it is missed", |s| changes(s).contains(&Left));
    sim.hear_each_other_only(trunk, phone);
    let (mut sim2, phone2, trunk2, third2, _) = three(9);
    sim2.act(phone2, |p, _| p.dead = true);
    sim2.run_until("it is missed", |s| changes(s).contains(&Left));
    sim2.hear_each_other_only(trunk2, third2);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim2.act(trunk2, |t, now| t.hang_up(now));
    sim.assert_clean();
    sim2.assert_clean();
}

#[test]
fn a_restart_leaves_nothing_of_a_conference() {
    let (mut sim, phone, trunk, third, _) = three(10);
    sim.restart(Vec::new());
    for at in [phone, trunk, third] {
        sim.act(at, |ua, now| ua.hang_up(now));
    }
    sim.run_for(SECOND);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.hear_each_other_only(trunk, phone);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// By what reaches their ears, and not by what the media workers were told.
#[test]
fn by_ear_each_hears_the_others_whoever_comes_mutes_holds_and_leaves() {
    use cordboard::switch::command::Member;
    let mut sim = Sim::new(20);
    let (phone, third, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    for (at, hz) in [(trunk, 440.0), (phone, 700.0), (third, 1_000.0)] {
        sim.act(at, |ua, _| ua.tone = Some(hz));
    }
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    let id = conversation(&sim);
    let all = [trunk, phone, third];
    sim.hears_tones_of(trunk, &all, &[phone]);
    assert_eq!(sim.ask(Command::Confer { conversation: id, to: "210".into() }), Answer::Done);
    sim.run_until("it has joined", |s| changes(s).contains(&Joined));
    for at in all {
        let others: Vec<SocketAddr> = all.into_iter().filter(|other| *other != at).collect();
        sim.hears_tones_of(at, &all, &others);
    }
    let mute = |muted| Command::Mute { conversation: id, who: Member::Number("201".into()), muted };
    assert_eq!(sim.ask(mute(true)), Answer::Done);
    sim.hears_tones_of(trunk, &all, &[third]);
    sim.hears_tones_of(third, &all, &[trunk]);
    sim.hears_tones_of(phone, &all, &[trunk, third]);
    assert_eq!(sim.ask(mute(false)), Answer::Done);
    sim.act(third, |t, now| t.hold(Hold::SendOnly, now));
    sim.run_for(SECOND);
    sim.hears_tones_of(trunk, &all, &[phone]);
    sim.act(third, |t, now| t.resume(now));
    sim.run_for(SECOND);
    sim.hears_tones_of(trunk, &all, &[phone, third]);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    sim.hears_tones_of(trunk, &all, &[third]);
    sim.hears_tones_of(third, &all, &[trunk]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    sim.assert_clean();
}
