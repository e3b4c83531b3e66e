//! Blind transfer: by a phone's REFER and by command; to phones, queues, menus and outside; and when it comes to nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{Kind, TransferOutcome};
use cordboard::route::Cause;
use cordboard::switch::{Answer, Command};

use crate::sim::audio::MUSIC;
use crate::sim::ua::{Hold, OnInvite, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// A customer who talks to 201, with 210 standing by.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    (sim, phone, other, trunk)
}

fn outcomes(sim: &Sim) -> Vec<TransferOutcome> {
    sim.events.iter().filter_map(|e| if let Kind::CallTransferred(t) = &e.kind { Some(t.outcome) } else { None }).collect()
}

#[test]
fn a_phone_transfers_its_customer_to_another_and_the_recording_goes_on() {
    let (mut sim, phone, other, trunk) = talking(1);
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    assert_eq!(sim.ua(phone).last_status("REFER"), Some(202));
    assert!(sim.ua(phone).notifies.iter().any(|n| n.contains("100")), "{:?}", sim.ua(phone).notifies);
    assert!(sim.ua(phone).notifies.iter().any(|n| n.contains("180")), "{:?}", sim.ua(phone).notifies);
    assert_eq!(sim.ua(phone).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    assert!(sim.ua(phone).is_idle(), "{}", sim.story());
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Completed]);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (t, o) = (sim.ua(trunk).byte, sim.ua(other).byte);
    assert!(sim.ua(trunk).heard(o, since) > 80 && sim.ua(other).heard(t, since) > 80);
    assert_eq!(sim.ua(other).invites[0].number, "+493012345678", "the target sees the customer");
    assert_eq!(sim.ua(other).invites[0].referred_by.as_deref(), Some("201"), "and by whom it was sent on");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!((sim.recordings.len(), sim.ended().len()), (1, 1));
    assert_eq!(sim.count("call.bridged"), 2);
    assert_eq!(sim.count("call.unbridged"), 2);
    sim.assert_clean();
}

#[test]
fn a_transferrer_who_waits_for_our_bye_gets_it() {
    let (mut sim, phone, other, trunk) = talking(2);
    sim.act(phone, |p, now| {
        p.leaves_after_transfer = false;
        p.refer("210", now);
    });
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_for(5 * SECOND);
    assert!(sim.ua(phone).is_idle());
    assert_eq!(sim.ua(phone).byes, 1);
    assert!(sim.ua(trunk).is_up());
    sim.act(other, |o, now| o.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_target_that_is_busy_or_silent_brings_the_customer_back() {
    for (what, fragment) in [(OnInvite::Refuse(486), "486"), (OnInvite::Ring, "480")] {
        let (mut sim, phone, other, trunk) = talking(3);
        sim.set(other, what);
        sim.act(phone, |p, now| p.refer("210", now));
        sim.run_until("it failed", |s| outcomes(s).len() == 2);
        assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Failed]);
        sim.run_for(SECOND);
        assert!(sim.ua(phone).notifies.last().is_some_and(|n| n.contains(fragment)), "{:?}", sim.ua(phone).notifies);
        let since = sim.now.mono;
        sim.run_for(2 * SECOND);
        let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
        assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80, "{what:?}");
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_transfer_to_a_queue_or_a_menu_is_complete_at_once() {
    for (number, event) in [("601", "queue.entered"), ("600", "menu.entered")] {
        let (mut sim, phone, _, trunk) = talking(4);
        sim.act(phone, |p, now| p.refer(number, now));
        sim.run_until("there", |s| s.has(event));
        assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Completed]);
        sim.run_until("the transferrer has left", |s| s.ua(phone).is_idle());
        let since = sim.now.mono;
        sim.run_for(SECOND / 2);
        let expected = if number == "601" { MUSIC } else { crate::sim::audio::PROMPT };
        assert!(sim.ua(trunk).heard(expected, since) > 10, "{number}");
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_transferrer_may_hang_up_at_once_and_the_transfer_goes_on() {
    let (mut sim, phone, other, trunk) = talking(5);
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("taken", |s| s.ua(phone).last_status("REFER") == Some(202));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).is_up() && sim.ua(phone).is_idle());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_customer_whose_transferrer_has_hung_up_comes_back_to_its_phone() {
    let (mut sim, phone, other, trunk) = talking(6);
    sim.set(other, OnInvite::RefuseAfter(486, SECOND));
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("taken", |s| s.ua(phone).last_status("REFER") == Some(202));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("it rings there", |s| s.ua(phone).is_up());
    assert_eq!(sim.ua(phone).invites.last().map(|i| i.number.as_str()), Some("+493012345678"));
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80, "{}", sim.story());
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Failed]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!((sim.recordings.len(), sim.ended().len()), (1, 1), "one conversation, one recording");
    sim.assert_clean();
}

#[test]
fn a_customer_whom_its_transferrer_does_not_take_back_either_waits_in_its_queue_or_hears_so() {
    let (mut sim, phone, other, trunk) = talking(6);
    sim.set(other, OnInvite::RefuseAfter(486, SECOND));
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("taken", |s| s.ua(phone).last_status("REFER") == Some(202));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.set(phone, OnInvite::Refuse(486));
    let since = sim.now.mono;
    sim.run_until("over", |s| s.has("call.ended"));
    assert!(sim.ua(trunk).heard(crate::sim::audio::PROMPT, since) > 20, "an announcement\n{}", sim.story());
    assert_eq!(sim.ended()[0].cause, cordboard::route::Cause::Busy);
    sim.assert_clean();

    let mut sim = Sim::new(26);
    let (agent, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.set(other, OnInvite::RefuseAfter(486, SECOND));
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    sim.act(agent, |a, now| a.refer("210", now));
    sim.run_until("taken", |s| s.ua(agent).last_status("REFER") == Some(202));
    sim.act(agent, |a, now| a.hang_up(now));
    sim.set(agent, OnInvite::Refuse(486));
    sim.run_until("it waits in the queue again", |s| s.count("queue.entered") == 2);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).heard(MUSIC, since) > 30, "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_command_that_leads_nowhere_at_once_leaves_the_call_where_it_is() {
    let (mut sim, phone, other, trunk) = talking(27);
    sim.act(other, |o, now| o.unregister(now));
    sim.run_for(SECOND);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert_eq!(sim.ask(Command::Transfer { conversation, to: "210".into() }), Answer::Done);
    sim.run_for(SECOND);
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Failed]);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80, "{}", sim.story());
    assert_eq!(sim.ua(phone).invites.len(), 1, "it has not rung again");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// Who transfers need not be the called one: what rings next shows whom it will talk to.
#[test]
fn who_transfers_its_own_call_leaves_the_others_number_to_be_seen_and_has_its_side_back_if_nobody_answers() {
    let mut sim = Sim::new(28);
    let (caller, called, other) = (sim.phone("201"), sim.phone("210"), sim.phone("211"));
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(called).is_up());
    sim.set(other, OnInvite::RefuseAfter(486, SECOND));
    sim.act(caller, |c, now| c.refer("211", now));
    sim.run_until("it failed", |s| outcomes(s).len() == 2);
    assert_eq!(sim.ua(other).invites[0].number, "210");
    sim.act(caller, |c, now| c.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].by, cordboard::route::Side::Customer, "who called has its side again");
    sim.assert_clean();

    let mut sim = Sim::new(29);
    let (caller, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(caller, |c, now| {
        c.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(trunk).is_up());
    sim.act(caller, |c, now| c.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    let seen = &sim.ua(other).invites[0];
    assert_eq!((seen.number.as_str(), seen.display.as_deref()), ("4940123", None), "the outside party, without the phone's name");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// An interval of hold is one of a bridge.
#[test]
fn a_transfer_from_hold_ends_the_hold() {
    let (mut sim, phone, other, trunk) = talking(30);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    assert_eq!((sim.count("call.held"), sim.count("call.resumed")), (1, 1), "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();

    // And one that holds while it waits holds the bridge from its beginning.
    let mut sim = Sim::new(31);
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(agent, OnInvite::Answer(3 * SECOND));
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("it waits", |s| s.ua(agent).is_ringing());
    sim.act(trunk, |t, now| t.hold(Hold::Inactive, now));
    sim.run_until("they are connected", |s| s.has("call.bridged"));
    assert_eq!((sim.count("call.held"), sim.count("call.resumed")), (1, 0));
    sim.act(trunk, |t, now| t.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn two_devices_that_ring_are_one_ringing() {
    let mut sim = Sim::new(32);
    let (desk, trunk) = (sim.phone("201"), sim.trunk());
    let soft = sim.phone_at("201", [10, 1, 9, 9]);
    for device in [desk, soft] {
        sim.set(device, OnInvite::Ring);
    }
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("both ring", |s| s.ua(desk).is_ringing() && s.ua(soft).is_ringing());
    sim.run_for(SECOND);
    assert_eq!(sim.count("call.ringing"), 1);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_trunk_may_not_transfer_unless_the_configuration_says_so() {
    let (mut sim, phone, other, trunk) = talking(7);
    sim.act(trunk, |t, now| t.refer("210", now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).last_status("REFER"), Some(403));
    assert!(sim.ua(phone).is_up() && sim.ua(other).invites.is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(30 * SECOND);

    let partner = sim.add(Ua::trunk([10, 2, 0, 3].into()));
    sim.act(partner, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(partner).is_up() && s.ua(phone).is_up());
    sim.act(partner, |t, now| t.refer("210", now));
    sim.run_until("taken", |s| s.ua(partner).last_status("REFER") == Some(202));
    sim.run_until("the phones talk", |s| s.ua(other).is_up());
    sim.run_for(5 * SECOND);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    let (p, o) = (sim.ua(phone).byte, sim.ua(other).byte);
    assert!(sim.ua(phone).heard(o, since) > 40 && sim.ua(other).heard(p, since) > 40, "{}", sim.story());
    sim.act(other, |o, now| o.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_transfer_to_nowhere_is_refused_and_the_call_goes_on() {
    let (mut sim, phone, _, trunk) = talking(8);
    // 404 would end the phone's dialog (RFC 5057 §5.1). The last is an outside number: the trunk's callers may not go out again.
    for number in ["999", "*22", "0301234567"] {
        sim.act(phone, |p, now| p.refer(number, now));
        sim.run_for(SECOND);
        assert_eq!(sim.ua(phone).last_status("REFER"), Some(403), "{number}");
    }
    let since = sim.now.mono;
    sim.run_for(SECOND);
    let t = sim.ua(trunk).byte;
    assert!(sim.ua(phone).heard(t, since) > 40);
    assert!(outcomes(&sim).is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_command_transfers_and_lets_the_phone_go() {
    let (mut sim, phone, other, trunk) = talking(9);
    let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    assert!(matches!(sim.ask(Command::Transfer { conversation, to: "999".into() }), Answer::Refused(_)));
    assert_eq!(sim.ask(Command::Transfer { conversation, to: "210".into() }), Answer::Done);
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle() && sim.ua(trunk).is_up());
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Completed]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_agents_transfer_ends_the_agents_call_and_wrap_up_begins() {
    let mut sim = Sim::new(10);
    let (agent, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(agent).is_up());
    sim.run_for(SECOND);
    sim.act(agent, |a, now| a.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_until("wrap-up", |s| s.has("agent.wrapup"));
    assert!(sim.ua(trunk).is_up());
    sim.act(other, |o, now| o.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_customer_who_hangs_up_during_a_transfer_ends_all_of_it() {
    let (mut sim, phone, other, trunk) = talking(11);
    sim.set(other, OnInvite::Ring);
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("it rings", |s| s.ua(other).is_ringing());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle() && sim.ua(other).is_idle(), "{}", sim.story());
    assert_eq!(outcomes(&sim), [TransferOutcome::Started, TransferOutcome::Failed]);
    sim.assert_clean();
}

#[test]
fn a_phone_that_called_out_may_transfer_the_callee_inside() {
    let mut sim = Sim::new(12);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    sim.act(phone, |p, now| p.refer("210", now));
    sim.run_until("the target answers", |s| s.ua(other).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_idle() && sim.ua(trunk).is_up(), "{}", sim.story());
    let since = sim.now.mono;
    sim.run_for(SECOND);
    let (t, o) = (sim.ua(trunk).byte, sim.ua(other).byte);
    assert!(sim.ua(trunk).heard(o, since) > 40 && sim.ua(other).heard(t, since) > 40);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!(sim.recordings.len(), 1);
    sim.assert_clean();
}

/// Two phones that talk, and the second of them has sent the first to an outside number.
fn sent_outside(seed: u8, source: cordboard::config::Source) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::with(seed, source);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("210", now);
    });
    sim.run_until("the phones talk", |s| s.ua(phone).is_up() && s.ua(other).is_up());
    sim.run_for(5 * SECOND);
    sim.act(other, |o, now| o.refer("04940123", now));
    sim.run_until("the outside answers", |s| s.ua(trunk).is_up() && s.ua(other).is_idle());
    sim.run_for(5 * SECOND);
    (sim, phone, trunk)
}

#[test]
fn an_internal_call_that_is_transferred_outside_is_an_outbound_one_from_there_on() {
    let (mut sim, phone, trunk) = sent_outside(13, crate::sim::centre());
    let went = sim.events.iter().find_map(|e| if let Kind::CallWentOutside(w) = &e.kind { Some(w.clone()) } else { None });
    let went = went.expect("told");
    assert_eq!((went.customer_number.as_str(), went.trunk.as_str()), ("4940123", "carrier"));
    let rules: Vec<(bool, &str)> = sim
        .events
        .iter()
        .filter_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some((d.record, d.rule.as_str())) } else { None })
        .collect();
    assert_eq!(rules, [(false, "internal default"), (true, "outbound default")]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!(sim.ended()[0].by, cordboard::event::By::Customer);
    let recorded = sim.recordings.values().next().expect("a recording");
    assert_eq!(recorded.about.customer_number, "4940123");
    assert_eq!(recorded.about.direction, cordboard::event::Direction::Outbound);
    let said = |at| cordboard::codec::G711::Pcmu.decode(sim.ua(at).byte);
    assert_eq!(recorded.samples[8_000 * 2 * 2..][..2], [said(trunk), said(phone)], "left is the customer");
    sim.assert_clean();
}

#[test]
fn the_rule_of_the_outside_counts_for_its_party_and_not_the_one_of_the_inside() {
    let mut source = crate::sim::centre();
    let inside =
        source.main.text.replace("folder = \"recordings\"", "folder = \"recordings\"\ninternal = true\noutbound = false");
    source.main.text = inside;
    let (mut sim, _, trunk) = sent_outside(14, source);
    assert_eq!(sim.recordings.len(), 1);
    let recorded = sim.recordings.values().next().expect("the internal one");
    let seconds = recorded.samples.len() / 2 / 8_000;
    assert!(recorded.ended.is_some() && (5..15).contains(&seconds), "it ended where the customer came in: {seconds} s");
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_transfer_to_the_outside_that_is_not_answered_leaves_an_internal_call() {
    let mut sim = Sim::new(15);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("210"), sim.trunk());
    sim.set(trunk, OnInvite::Refuse(486));
    sim.act(phone, |p, now| {
        p.call("210", now);
    });
    sim.run_until("the phones talk", |s| s.ua(phone).is_up() && s.ua(other).is_up());
    sim.act(other, |o, now| o.refer("04940123", now));
    sim.run_until("it failed", |s| outcomes(s).len() == 2);
    sim.run_for(SECOND);
    assert!(sim.ua(phone).is_up() && sim.ua(other).is_up() && !sim.has("call.went_outside"));
    assert_eq!(sim.count("recording.decided"), 1);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// The centre with a key in its menu that leads outside.
fn with_a_way_out() -> Source {
    let mut source = centre();
    let menu = &mut source.menus[0].text;
    *menu = menu.replace("\"9\" = \"node:closed\"", "\"7\" = \"number:04940123\", \"9\" = \"node:closed\"");
    assert!(menu.contains("04940123"));
    source
}

#[test]
fn a_trunks_party_who_was_transferred_to_a_menu_does_not_leave_it_by_a_trunk() {
    // Also where a phone that may dial outside began the call: it is not the phone that presses the key.
    for called_out in [false, true] {
        let mut sim = Sim::with(13, with_a_way_out());
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        if called_out {
            sim.act(phone, |p, now| {
                p.call("04940123", now);
            });
        } else {
            sim.act(trunk, |t, now| {
                t.call("+4930555201", now);
            });
        }
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.run_for(SECOND);
        let asked = sim.ua(trunk).invites.len();
        sim.act(phone, |p, now| p.refer("600", now));
        sim.run_until("in the menu", |s| s.has("menu.entered") && s.ua(phone).is_idle());
        sim.act(trunk, |t, _| t.digit('7'));
        sim.run_until("over", |s| s.has("call.ended"));
        assert_eq!(sim.ended()[0].cause, Cause::Forbidden, "called out: {called_out}\n{}", sim.story());
        assert_eq!(sim.ua(trunk).invites.len(), asked);
        assert!(sim.ua(backup).invites.is_empty());
        sim.assert_clean();
    }
}

#[test]
fn a_phone_that_was_transferred_to_a_menu_leaves_it_by_its_own_right_and_not_its_callers() {
    let mut source = with_a_way_out();
    source.main.text = source.main.text.replace("transit = true\n", "");
    let mut sim = Sim::with(14, source);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    let partner = sim.add(Ua::trunk([10, 2, 0, 3].into()));
    sim.act(partner, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(partner).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    sim.act(partner, |t, now| t.refer("600", now));
    sim.run_until("in the menu", |s| s.has("menu.entered") && s.ua(partner).is_idle());
    sim.act(phone, |p, _| p.digit('7'));
    sim.run_until("they talk", |s| s.ua(trunk).is_up());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert!(sim.ua(trunk).heard(p, since) > 40 && sim.ua(phone).heard(t, since) > 40, "{}", sim.story());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// Whom the index finds the recording under.
fn agents_of(sim: &Sim) -> Vec<String> {
    let recorded = sim.recordings.values().next().expect("a recording");
    recorded.about.agents.iter().map(ToString::to_string).collect()
}

#[test]
fn a_conversation_has_every_agent_who_was_in_it_however_the_call_came_to_the_phone() {
    let mut source = centre();
    source.main.text = source.main.text.replace("[recording]\n", "[recording]\ninternal = true\n");
    // Who calls, what is dialled, whom the caller's partner transfers to, and who was in it.
    let inside = ("201", "202", None, vec!["1001", "1002"]);
    let outside = ("201", "04940123", None, vec!["1001"]);
    let brought_in = ("210", "201", None, vec!["1001"]);
    let nobody = ("210", "211", None, vec![]);
    let transferred = ("carrier", "+4930555201", Some("202"), vec!["1001", "1002"]);
    let to_a_phone_of_nobody = ("carrier", "+4930555201", Some("210"), vec!["1001"]);
    for (from, dialled, to, agents) in [inside, outside, brought_in, nobody, transferred, to_a_phone_of_nobody] {
        let mut sim = Sim::with(15, source.clone());
        let trunk = sim.trunk();
        let phones: BTreeMap<&str, SocketAddr> = ["201", "202", "210", "211"].into_iter().map(|n| (n, sim.phone(n))).collect();
        let caller = phones.get(from).copied().unwrap_or(trunk);
        let callee = match dialled {
            "04940123" => trunk,
            "+4930555201" => phones["201"],
            number => phones[number],
        };
        sim.act(caller, |c, now| {
            c.call(dialled, now);
        });
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        sim.run_for(SECOND);
        if let Some(to) = to {
            sim.act(callee, |c, now| c.refer(to, now));
            sim.run_until("the target answers", |s| s.ua(phones[to]).is_up());
            sim.run_for(SECOND);
        }
        assert_eq!(agents_of(&sim), agents, "{from} called {dialled}, transferred to {to:?}");
        sim.act(caller, |c, now| c.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_recorded_internal_call_goes_on_being_recorded_whichever_of_the_two_transfers_it() {
    for reversed in [false, true] {
        let mut source = centre();
        source.main.text = source.main.text.replace("folder = \"recordings\"", "folder = \"recordings\"\ninternal = true");
        let mut sim = Sim::with(40, source);
        let (caller, callee, third) = (sim.phone("201"), sim.phone("202"), sim.phone("210"));
        sim.act(caller, |p, now| {
            p.call("202", now);
        });
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        sim.run_for(2 * SECOND);
        if reversed {
            sim.act(callee, |p, now| p.refer("210", now));
        } else {
            sim.act(caller, |p, now| p.refer("210", now));
        }
        sim.run_until("the third answers", |s| s.ua(third).is_up());
        sim.run_for(4 * SECOND);
        let stays = if reversed { caller } else { callee };
        sim.act(third, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("recording.finished"));
        assert_eq!(sim.recordings.len(), 1);
        let recorded = sim.recordings.values().next().expect("a recording");
        let sound = |at: SocketAddr| cordboard::codec::G711::Pcmu.decode(sim.ua(at).byte);
        let end = recorded.samples.len() - 8_000 * 2;
        assert_eq!(recorded.samples[end..end + 2], [sound(stays), sound(third)], "left who stays, right the third");
        sim.assert_clean();
    }
}
