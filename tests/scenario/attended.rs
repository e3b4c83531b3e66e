//! Attended transfer: the transferrer's two calls become one conversation (RFC 5589 §7, RFC 3891).

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{CallMerged, Kind, TransferOutcome};
use cordboard::ids::ConversationId;
use cordboard::route::Cause;
use cordboard::switch::command::WantedState;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::Sim;
use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::ua::{Hold, OnInvite, Ua};

const SECOND: Duration = Duration::from_secs(1);

/// A customer talks to 201, who holds and calls `consulted`; the customer's conversation.
fn consulting(seed: u8, consulted: &str) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::new(seed);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = started(&sim)[0];
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call(consulted, now);
    });
    (sim, phone, other, trunk, id)
}

/// As `consulting`, and 210 has answered.
fn consulted(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let (mut sim, phone, other, trunk, id) = consulting(seed, "210");
    sim.run_until("the consulted one answers", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    (sim, phone, other, trunk, id)
}

fn started(sim: &Sim) -> Vec<ConversationId> {
    sim.events.iter().filter(|e| matches!(e.kind, Kind::CallStarted(_))).filter_map(|e| e.conversation).collect()
}

fn merged(sim: &Sim) -> Vec<(Option<ConversationId>, CallMerged)> {
    let merged = |e: &cordboard::event::Event| match &e.kind {
        Kind::CallMerged(data) => Some((e.conversation, data.clone())),
        _ => None,
    };
    sim.events.iter().filter_map(merged).collect()
}

fn outcomes(sim: &Sim) -> Vec<TransferOutcome> {
    sim.events.iter().filter_map(|e| if let Kind::CallTransferred(t) = &e.kind { Some(t.outcome) } else { None }).collect()
}

fn end_of(sim: &Sim, id: ConversationId) -> Option<Cause> {
    let of = sim.events.iter().filter(|e| e.conversation == Some(id));
    of.filter_map(|e| if let Kind::CallEnded(ended) = &e.kind { Some(ended.cause) } else { None }).next()
}

#[test]
fn a_customer_goes_from_the_transferrer_to_the_one_who_was_asked_and_the_recording_goes_on() {
    for reversed in [false, true] {
        let (mut sim, phone, other, trunk, id) = consulted(1);
        let since = sim.now.mono - SECOND / 2;
        assert!(sim.ua(trunk).hears(since).keys().eq([&MUSIC]), "the customer waits with music");
        assert!(sim.ua(other).hears(since).keys().eq([&sim.ua(phone).byte]));
        let (on, named) = if reversed { (1, 0) } else { (0, 1) };
        sim.act(phone, |p, now| p.refer_call(on, named, now));
        sim.run_until("joined", |s| s.has("call.merged"));
        sim.hear_each_other_only(trunk, other);
        sim.run_for(2 * SECOND);
        assert!(sim.ua(phone).is_idle(), "{}", sim.story());
        assert_eq!(sim.ua(phone).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
        assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Completed]);
        let child = started(&sim)[1];
        let told: Vec<_> = merged(&sim).into_iter().map(|(subject, m)| (subject, m.parent, m.child)).collect();
        assert_eq!(told, [(Some(child), id, child), (Some(id), id, child)]);
        assert_eq!(end_of(&sim, child), Some(Cause::Transferred));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("recording.finished"));
        assert_eq!(sim.recordings.len(), 1, "one recording, the customer's");
        assert_eq!(end_of(&sim, id), Some(Cause::Normal));
        let recorded = sim.recordings.values().next().map(|r| (r.conversation, r.samples.len() / 2)).unwrap();
        assert_eq!(recorded.0, id);
        let lasted = sim.recordings.values().next().and_then(|r| Some(r.ended?.since(r.began))).unwrap();
        assert!(recorded.1.abs_diff(lasted.as_millis() as usize * 8) <= 160, "{} samples in {lasted:?}", recorded.1);
        sim.assert_clean();
    }
}

#[test]
fn a_transferrer_who_hangs_up_both_calls_at_once_or_never_changes_nothing() {
    for leaves in [Some((0, 1)), Some((1, 0)), None] {
        let (mut sim, phone, other, trunk, _) = consulted(2);
        sim.act(phone, |p, now| {
            p.leaves_after_transfer = false;
            p.refer_call(0, 1, now);
            if let Some((first, second)) = leaves {
                p.end(first, now);
                p.end(second, now);
            }
        });
        sim.run_for(5 * SECOND);
        assert!(sim.ua(phone).is_idle(), "{leaves:?}");
        if leaves != Some((0, 1)) && leaves != Some((1, 0)) {
            assert!(sim.ua(trunk).is_up() && sim.ua(other).is_up(), "{}", sim.story());
        }
        sim.hear_each_other_only(trunk, other);
        sim.act(other, |o, now| o.hang_up(now));
        sim.run_until("the customer's call ends with it", |s| s.ua(trunk).is_idle());
        sim.assert_clean();
    }
}

#[test]
fn while_the_other_rings_the_customer_hears_it_and_gets_whoever_answers() {
    let (mut sim, phone, other, trunk, id) = consulting(3, "210");
    sim.set(other, OnInvite::Ring);
    sim.run_until("it rings", |s| s.ua(other).is_ringing() && s.ua(phone).last().is_some_and(|c| c.rang()));
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    assert!(sim.ua(other).is_ringing(), "it was not rung anew");
    sim.run_for(3 * SECOND);
    assert_eq!(sim.ua(phone).open_calls(), 1, "the call that rang is its no more, the customer's is until somebody answers");
    sim.act(other, |o, now| o.answer(now));
    sim.run_until("answered", |s| outcomes(s).len() == 2);
    sim.hear_each_other_only(trunk, other);
    sim.run_for(3 * SECOND);
    assert!(sim.ua(phone).is_idle());
    assert!(sim.ua(phone).notifies.iter().any(|n| n.contains("180")), "{:?}", sim.ua(phone).notifies);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
    assert_eq!(end_of(&sim, id), Some(Cause::Normal));
}

#[test]
fn who_was_to_be_asked_and_does_not_answer_brings_the_customer_back() {
    let (mut sim, phone, other, trunk, _) = consulting(4, "210");
    sim.set(other, OnInvite::Ring);
    sim.run_until("it rings", |s| s.ua(phone).last().is_some_and(|c| c.rang()));
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("failed", |s| outcomes(s).ends_with(&[TransferOutcome::Failed]));
    sim.act(phone, |p, now| p.resume(now));
    sim.run_for(SECOND);
    sim.hear_each_other_only(trunk, phone);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn the_customer_takes_the_transferrers_place_in_a_queue() {
    let (mut sim, phone, _, trunk, id) = consulting(5, "601");
    // Who has transferred is free for the queue at once.
    let pause = Command::SetAgent { agent: "1001".into(), state: WantedState::Paused, reason: None };
    assert_eq!(sim.ask(pause), Answer::Done);
    sim.run_until("it waits", |s| s.count("queue.entered") == 1);
    sim.run_for(20 * SECOND);
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.count("queue.entered") == 2);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).hears(since).keys().eq([&MUSIC]));
    let agent = sim.phone("202");
    sim.run_until("an agent takes it", |s| s.ua(agent).is_up());
    sim.hear_each_other_only(trunk, agent);
    let answered = sim.events.iter().find_map(|e| match &e.kind {
        Kind::QueueAnswered(data) => Some((e.conversation, data.waited_ms)),
        _ => None,
    });
    let (conversation, waited) = answered.unwrap();
    assert_eq!(conversation, Some(id));
    assert!(waited > 20_000, "the time that the transferrer waited counts: {waited}");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("the agent wraps up", |s| s.has("agent.wrapup"));
    sim.assert_clean();
}

#[test]
fn an_agent_whom_a_queue_gave_to_the_transferrer_goes_on_with_the_customer() {
    let (mut sim, phone, _, trunk, id) = consulting(6, "602");
    let agent = sim.phone("204");
    sim.run_until("the agent answers", |s| s.ua(agent).is_up());
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    sim.hear_each_other_only(trunk, agent);
    sim.run_for(20 * SECOND);
    let wraps = |s: &Sim| {
        let agent = |e: &cordboard::event::Event| matches!(&e.kind, Kind::AgentWrapup(a) if a.agent.as_str() == "1004");
        s.events.iter().any(agent)
    };
    assert!(!wraps(&sim), "the agent talks");
    let Answer::Agents(agents) = sim.ask(Command::Agents) else { panic!() };
    let shown = agents.iter().find(|a| a.staff_number == "1004").unwrap();
    assert_eq!((shown.state.as_str(), shown.conversation.clone()), ("talking", Some(id.to_string())));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("wrap-up", wraps);
    sim.assert_clean();
}

#[test]
fn a_customer_who_is_joined_with_a_menu_hears_it_from_its_beginning() {
    let (mut sim, phone, _, trunk, id) = consulting(7, "600");
    sim.run_until("in the menu", |s| s.count("menu.entered") == 1);
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.events.iter().any(|e| matches!(e.kind, Kind::MenuEntered(_)) && e.conversation == Some(id)));
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).hears(since).keys().eq([&PROMPT]));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn nobody_is_joined_with_a_call_that_is_not_there_or_is_anothers() {
    let (mut sim, phone, other, trunk, _) = consulted(8);
    let (third, fourth) = (sim.phone("202"), sim.phone("203"));
    sim.act(third, |p, now| {
        p.call("203", now);
    });
    sim.run_until("two others talk", |s| s.ua(third).is_up() && s.ua(fourth).is_up());
    sim.run_for(SECOND);
    let (call_id, to, from) = sim.ua(third).names_of(0);
    for (call_id, to, from, expected) in [
        ("nothing@nowhere", "a", "b", "481"),
        (call_id.as_str(), to.as_str(), "wrong", "481"),
        (call_id.as_str(), to.as_str(), from.as_str(), "403"),
    ] {
        sim.act(phone, |p, now| p.refer_dialog(0, call_id, to, from, now));
        sim.run_until("told", |s| s.ua(phone).notifies.last().is_some_and(|n| n.contains(expected)));
        assert_eq!(sim.ua(phone).last_status("REFER"), Some(202));
    }
    // The call itself is no other call.
    let (call_id, to, from) = sim.ua(phone).names_of(0);
    sim.act(phone, |p, now| p.refer_dialog(0, &call_id, &to, &from, now));
    sim.run_until("told", |s| s.ua(phone).notifies.last().is_some_and(|n| n.contains("491")));
    assert!(!sim.has("call.merged"));
    sim.hear_each_other_only(third, fourth);
    assert!(sim.ua(trunk).is_up() && sim.ua(other).is_up() && sim.ua(phone).open_calls() == 2);
    for ua in [trunk, other, third] {
        sim.act(ua, |u, now| u.hang_up(now));
    }
    sim.assert_clean();
}

#[test]
fn who_hangs_up_before_the_transfer_leaves_the_other_call_alone() {
    let (mut sim, phone, other, trunk, _) = consulted(9);
    sim.act(other, |o, now| o.hang_up(now));
    sim.run_until("the consultation is over", |s| s.ua(phone).open_calls() == 1);
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("told", |s| s.ua(phone).notifies.last().is_some_and(|n| n.contains("481") || n.contains("491")));
    sim.act(phone, |p, now| p.resume(now));
    sim.run_for(SECOND);
    sim.hear_each_other_only(trunk, phone);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();

    let (mut sim, phone, other, trunk, _) = consulted(9);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("the customer is gone", |s| s.ua(phone).open_calls() == 1);
    sim.hear_each_other_only(phone, other);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_trunks_caller_is_not_joined_with_the_outside_unless_the_configuration_says_so() {
    for (from, allowed) in [([10, 2, 0, 1], false), ([10, 2, 0, 3], true)] {
        let mut sim = Sim::new(10);
        let (phone, trunk) = (sim.phone("201"), sim.add(Ua::trunk(from.into())));
        let outside = if allowed { sim.trunk() } else { trunk };
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("the outside answers", |s| {
            s.ua(outside).calls.iter().any(|c| !c.outgoing) && s.ua(phone).open_calls() == 2
        });
        sim.run_for(3 * SECOND);
        sim.act(phone, |p, now| p.refer_call(0, 1, now));
        let expected = if allowed { "200" } else { "403" };
        sim.run_until("told", |s| s.ua(phone).notifies.last().is_some_and(|n| n.contains(expected)));
        if allowed {
            sim.hear_each_other_only(trunk, outside);
            let ids = started(&sim);
            assert_eq!(merged(&sim)[0].1.parent, ids[0], "the older one goes on");
            sim.run_until("its recording has ended", |s| s.has("recording.finished"));
            assert_eq!(sim.recordings.len(), 2, "the consultation was outbound and has a recording of its own");
        }
        sim.act(trunk, |t, now| {
            t.hang_up(now);
            t.hang_up(now);
        });
        sim.assert_clean();
    }
}

#[test]
fn of_an_internal_call_and_a_customers_the_customers_goes_on_whichever_is_older() {
    let mut sim = Sim::new(11);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("210", now);
    });
    sim.run_until("colleagues talk", |s| s.ua(other).is_up());
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("the customer answers", |s| s.ua(trunk).is_up());
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    let ids = started(&sim);
    assert_eq!((merged(&sim)[0].1.parent, merged(&sim)[0].1.child), (ids[1], ids[0]));
    sim.hear_each_other_only(trunk, other);
    sim.run_for(4 * SECOND);
    assert!(sim.ua(phone).is_idle());
    sim.act(other, |o, now| o.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!(sim.recordings.len(), 1);
    sim.assert_clean();
}

#[test]
fn a_command_joins_the_two_calls_of_a_phone() {
    let (mut sim, phone, other, trunk, conversation) = consulted(12);
    let consultation = started(&sim)[1];
    let nobody: ConversationId = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
    assert_eq!(sim.ask(Command::Join { conversation, consultation: nobody }), Answer::Refused(Refusal::NoConversation(nobody)));
    assert!(matches!(
        sim.ask(Command::Join { conversation, consultation: conversation }),
        Answer::Refused(Refusal::WrongState(_))
    ));
    assert_eq!(sim.ask(Command::Join { conversation, consultation }), Answer::Done);
    sim.hear_each_other_only(trunk, other);
    assert!(sim.ua(phone).is_idle(), "let go at once\n{}", sim.story());
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Completed]);
    assert!(matches!(
        sim.ask(Command::Join { conversation, consultation }),
        Answer::Refused(Refusal::NoConversation(id)) if id == consultation
    ));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_command_transfers_to_the_places_of_the_configuration() {
    for (to, event) in [("queue:sales", "queue.entered"), ("menu:main", "menu.entered"), ("phone:210", "call.bridged")] {
        let mut sim = Sim::new(13);
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        sim.phone("210");
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        let conversation = started(&sim)[0];
        for bad in ["queue:none", "menu:none", "hangup", "node:x", "phone:999"] {
            let refused = sim.ask(Command::Transfer { conversation, to: bad.into() });
            assert!(matches!(refused, Answer::Refused(Refusal::NotDiallable(_))), "{bad}: {refused:?}");
        }
        let before = sim.count(event);
        assert_eq!(sim.ask(Command::Transfer { conversation, to: to.into() }), Answer::Done);
        sim.run_until("there", |s| s.count(event) > before);
        assert!(outcomes(&sim).ends_with(&[TransferOutcome::Completed]));
        sim.run_for(SECOND);
        assert!(sim.ua(phone).is_idle());
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_phone_takes_its_own_call_over_to_another_of_its_devices_and_nobody_elses() {
    for outward in [false, true] {
        let mut sim = Sim::new(14);
        let (desk, trunk) = (sim.phone("201"), sim.trunk());
        let (caller, number) = if outward { (desk, "04940123") } else { (trunk, "+4930555201") };
        sim.act(caller, |u, now| {
            u.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(desk).is_up());
        sim.run_for(SECOND);
        let names = sim.ua(desk).names_of(0);
        let stranger = sim.phone("202");
        sim.act(stranger, |u, now| {
            u.replacing(&names);
            u.call("201", now);
        });
        sim.run_until("refused", |s| s.ua(stranger).final_status() == Some(486));
        let softphone = sim.phone_at("201", [10, 1, 7, 7]);
        sim.act(softphone, |u, now| {
            u.replacing(&names);
            u.call("201", now);
        });
        sim.run_until("moved", |s| s.ua(softphone).is_up() && s.ua(desk).is_idle());
        sim.hear_each_other_only(trunk, softphone);
        assert_eq!((sim.ua(desk).byes, sim.count("call.picked_up"), started(&sim).len()), (1, 1, 1), "one conversation");
        sim.act(softphone, |u, now| u.hang_up(now));
        sim.run_until("over", |s| s.has("recording.finished"));
        assert_eq!(sim.recordings.len(), 1);
        sim.assert_clean();
    }
}

/// As `consulting`, by a command: the phone's call for it is answered while 210 rings. The transfer is asked for on that one (its second),
/// and what it is told has to be true there, too.
fn joined_by_the_consultation(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::new(seed);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.set(other, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = started(&sim)[0];
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    let Answer::Started(consultation) = sim.ask(Command::Originate { from: "201".into(), to: "210".into() }) else { panic!() };
    sim.run_until("it rings", |s| s.ua(phone).open_calls() == 2 && s.ua(other).is_ringing());
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.refer_call(1, 0, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    sim.run_for(3 * SECOND);
    assert_eq!(sim.ua(phone).notifies, ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing"], "nobody has answered");
    assert_eq!(sim.ua(phone).open_calls(), 2, "and a phone that waits has its calls");
    assert_eq!(end_of(&sim, consultation), Some(Cause::Transferred));
    (sim, phone, other, trunk, id)
}

/// RFC 3515 §2.4.5: the last NOTIFY says what has come of it.
#[test]
fn a_phone_that_asks_on_its_consultation_is_told_200_when_somebody_has_answered() {
    let (mut sim, phone, other, trunk, id) = joined_by_the_consultation(21);
    sim.act(other, |o, now| o.answer(now));
    sim.hear_each_other_only(trunk, other);
    assert_eq!(sim.ua(phone).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    sim.run_for(3 * SECOND);
    assert!(sim.ua(phone).is_idle(), "both of its calls are over");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
    assert_eq!(end_of(&sim, id), Some(Cause::Normal));
    assert_eq!(sim.recordings.len(), 1);
}

#[test]
fn a_phone_that_asks_on_its_consultation_has_the_customer_back_when_nobody_answers() {
    for (declines, told) in [(true, "SIP/2.0 603 Decline"), (false, "SIP/2.0 480 Temporarily Unavailable")] {
        let (mut sim, phone, other, trunk, _) = joined_by_the_consultation(22);
        if declines {
            sim.act(other, |o, now| o.hang_up(now));
        }
        sim.run_until("it has failed", |s| outcomes(s).ends_with(&[TransferOutcome::Failed]));
        sim.run_for(SECOND);
        assert_eq!(sim.ua(phone).notifies.last().map(String::as_str), Some(told));
        assert_eq!(sim.ua(phone).open_calls(), 1, "the consultation is over");
        sim.act(phone, |p, now| p.resume(now));
        sim.run_for(SECOND);
        sim.hear_each_other_only(trunk, phone);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

/// Whichever of its two calls the phone ends first, or both, or the customer's patience does: nobody is left behind.
#[test]
fn both_calls_of_a_phone_that_waits_for_an_answer_may_end_in_any_order() {
    for (first, second) in [(0, 1), (1, 0)] {
        // It waits no longer; somebody answers.
        let (mut sim, phone, other, trunk, _) = joined_by_the_consultation(23);
        for call in [first, second] {
            sim.act(phone, |p, now| p.end(call, now));
            sim.run_for(SECOND);
        }
        sim.act(other, |o, now| o.answer(now));
        sim.hear_each_other_only(trunk, other);
        sim.act(other, |o, now| o.hang_up(now));
        sim.assert_clean();

        // One of them is enough for either end.
        let (mut sim, phone, other, trunk, _) = joined_by_the_consultation(24);
        sim.act(phone, |p, now| p.end(first, now));
        sim.run_for(SECOND);
        sim.act(other, |o, now| o.answer(now));
        sim.hear_each_other_only(trunk, other);
        sim.run_for(3 * SECOND);
        assert!(sim.ua(phone).is_idle());
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
    // Nobody answers, and the customer's call is gone at the phone: it rings.
    let (mut sim, phone, other, trunk, _) = joined_by_the_consultation(25);
    sim.act(phone, |p, now| p.end(0, now));
    sim.act(other, |o, now| o.hang_up(now));
    sim.run_until("it is rung back", |s| s.ua(phone).invites.len() == 3 && s.ua(phone).open_calls() == 1);
    sim.run_until("and answers", |s| s.ua(phone).is_up() && s.count("call.bridged") == 2);
    sim.hear_each_other_only(trunk, phone);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
    // The customer does not wait.
    let (mut sim, phone, other, trunk, _) = joined_by_the_consultation(26);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("all is over", |s| s.ua(phone).is_idle() && s.ua(other).is_idle());
    assert_eq!(sim.ua(phone).notifies.last().map(String::as_str), Some("SIP/2.0 487 Request Terminated"));
    sim.assert_clean();
}
