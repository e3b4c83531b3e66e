//! Parked calls that nobody fetches: rung back, sent on, and never lost on the way.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{Kind, ParkReturn};
use cordboard::route::{Cause, Forwarding};
use cordboard::switch::{Answer, Command};

use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn overflowing(to: &str) -> Source {
    let mut source = centre();
    source.main.text = source.main.text.replace("slots = \"701-703\"", &format!("slots = \"701-703\"\n{to}"));
    source
}

/// A customer has been parked in 701 by 201, which answers no more. 203 watches the slot.
fn parked(seed: u8, park: &str) -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut sim = Sim::with(seed, overflowing(park));
    let (trunk, parker, watcher) = (sim.trunk(), sim.phone("201"), sim.phone("203"));
    sim.act(watcher, |ua, now| {
        ua.watch("dialog", "701", None, now);
    });
    sim.act(trunk, |ua, now| {
        ua.call("+4930555201", now);
    });
    sim.run_until("they talk", |sim| sim.ua(parker).is_up());
    sim.run_for(SECOND);
    sim.act(parker, |ua, now| ua.refer("701", now));
    sim.run_until("it is parked", |sim| sim.has("call.parked") && sim.ua(parker).is_idle());
    sim.set(parker, OnInvite::Ring);
    (sim, trunk, parker, watcher)
}

/// What was told of it, with the number of the return, and the cause.
fn returns(sim: &Sim) -> Vec<(ParkReturn, u32, Option<Cause>)> {
    let told = |kind: &Kind| match kind {
        Kind::CallParkReturned(data) => Some((data.outcome, data.returns, data.cause)),
        _ => None,
    };
    sim.events.iter().filter_map(|event| told(&event.kind)).collect()
}

const RINGS: (ParkReturn, u32, Option<Cause>) = (ParkReturn::Ringing, 1, None);
const IN_VAIN: (ParkReturn, u32, Option<Cause>) = (ParkReturn::Unanswered, 1, Some(Cause::NoAnswer));
const SENT_ON: (ParkReturn, u32, Option<Cause>) = (ParkReturn::Overflow, 1, None);

/// The customer is there, and hears this.
#[track_caller]
fn hears(sim: &mut Sim, trunk: SocketAddr, byte: u8) {
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).heard(byte, since) > 40, "{:?}\n{}", sim.ua(trunk).hears(since), sim.story());
}

fn slot_is_free(sim: &mut Sim) -> bool {
    let asks = sim.phone("202");
    sim.act(asks, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("it is said", |sim| sim.ua(asks).final_status().is_some());
    sim.ua(asks).final_status() == Some(404)
}

fn over(mut sim: Sim, trunk: SocketAddr, watcher: SocketAddr) {
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.act(watcher, |ua, now| ua.watch_again(0, Some(0), now));
    sim.assert_clean();
}

#[test]
fn a_parked_call_that_nobody_takes_goes_to_the_overflow_and_its_slot_is_free() {
    let (mut sim, trunk, parker, watcher) = parked(1, "overflow = \"queue:sales\"");
    sim.run_until("it rings at the parker", |sim| sim.ua(parker).is_ringing());
    assert_eq!(returns(&sim), [RINGS]);
    assert_eq!(sim.ua(watcher).lamp(0), ["confirmed"]);
    sim.run_until("it waits in the queue", |sim| sim.has("queue.entered"));
    assert_eq!(returns(&sim), [RINGS, IN_VAIN, SENT_ON]);
    sim.run_until("the lamp is out", |sim| sim.ua(watcher).lamp(0) == ["terminated"] && sim.ua(parker).is_idle());
    assert!(slot_is_free(&mut sim));
    sim.run_until("an agent has it", |sim| sim.ua(watcher).is_up());
    let byte = sim.ua(watcher).byte;
    hears(&mut sim, trunk, byte);
    assert_eq!((sim.count("call.started"), sim.count("recording.started")), (1, 1), "one stay, one recording");
    over(sim, trunk, watcher);
}

#[test]
fn it_rings_at_the_parker_as_often_as_the_configuration_says_and_for_ever_without_an_overflow() {
    let (mut sim, trunk, parker, watcher) = parked(2, "ring_backs = 3\noverflow = \"menu:main\"");
    sim.run_until("the menu has it", |sim| sim.has("menu.entered"));
    assert_eq!(sim.ua(parker).invites.len(), 1 + 3);
    let outcomes: Vec<_> = returns(&sim).into_iter().map(|(outcome, nth, _)| (outcome, nth)).collect();
    let round = |nth| [(ParkReturn::Ringing, nth), (ParkReturn::Unanswered, nth)];
    let mut expected: Vec<_> = (1..=3).flat_map(round).collect();
    expected.push((ParkReturn::Overflow, 3));
    assert_eq!(outcomes, expected);
    let since = sim.now.mono;
    sim.run_for(SECOND / 2);
    assert!(sim.ua(trunk).heard(PROMPT, since) > 10);
    over(sim, trunk, watcher);

    let (mut sim, trunk, parker, watcher) = parked(3, "ring_backs = 1");
    sim.run_until("a third time", |sim| sim.ua(parker).invites.len() == 4);
    assert!(returns(&sim).iter().all(|(outcome, ..)| matches!(outcome, ParkReturn::Ringing | ParkReturn::Unanswered)));
    // At last.
    sim.act(parker, |ua, now| ua.answer(now));
    sim.run_until("they talk", |sim| sim.ua(parker).is_up() && sim.count("call.bridged") == 2);
    assert_eq!(returns(&sim).last(), Some(&(ParkReturn::Answered, 3, None)));
    over(sim, trunk, watcher);
}

/// Whether that is a phone which is not there, one that is busy, or one that nobody answers; the next time it may be taken.
#[test]
fn a_call_that_the_overflow_does_not_take_waits_on_in_its_slot() {
    for (on_invite, cause) in [
        (None, Cause::Unavailable),
        (Some(OnInvite::Refuse(486)), Cause::Busy),
        (Some(OnInvite::Refuse(603)), Cause::Declined),
        (Some(OnInvite::Ring), Cause::NoAnswer),
    ] {
        let (mut sim, trunk, _, watcher) = parked(4, "overflow = \"number:210\"");
        let there = on_invite.map(|on_invite| {
            let there = sim.phone("210");
            sim.set(there, on_invite);
            there
        });
        sim.run_until("not taken", |sim| returns(sim).len() == 4);
        assert_eq!(returns(&sim), [RINGS, IN_VAIN, SENT_ON, (ParkReturn::OverflowFailed, 1, Some(cause))]);
        hears(&mut sim, trunk, MUSIC);
        assert_eq!(sim.ua(watcher).lamp(0), ["confirmed"]);
        let there = there.unwrap_or_else(|| sim.phone("210"));
        sim.set(there, OnInvite::Answer(2 * SECOND));
        sim.run_until("taken the next time", |sim| sim.ua(there).is_up());
        assert_eq!(returns(&sim).last(), Some(&(ParkReturn::Overflow, 2, None)));
        let byte = sim.ua(there).byte;
        hears(&mut sim, trunk, byte);
        assert!(slot_is_free(&mut sim));
        over(sim, trunk, watcher);
    }
}

/// Each round is a call of its own: it is no loop that it comes by there again.
#[test]
fn an_overflow_that_is_forwarded_is_forwarded_in_each_round() {
    let (mut sim, trunk, parker, watcher) = parked(5, "overflow = \"number:210\"");
    let (_, there) = (sim.phone("210"), sim.phone("202"));
    sim.set(there, OnInvite::Refuse(486));
    let forwarding = Forwarding { always: Some("202".into()), ..Forwarding::default() };
    assert_eq!(sim.ask(Command::SetForwarding { phone: "210".into(), forwarding }), Answer::Done);
    sim.run_until("not taken", |sim| sim.has("call.forwarded") && returns(sim).len() == 4);
    sim.run_until("rung back", |sim| sim.ua(parker).is_ringing());
    let rung = sim.ua(parker).invites.last().expect("an INVITE");
    assert!(rung.history.is_empty(), "nobody has sent on this one: {:?}", rung.history);
    sim.set(there, OnInvite::Answer(2 * SECOND));
    sim.run_until("taken the next time", |sim| sim.ua(there).is_up());
    over(sim, trunk, watcher);
}

#[test]
fn what_rings_at_the_overflow_is_retrieved_from_its_slot_all_the_same() {
    let (mut sim, trunk, _, watcher) = parked(5, "overflow = \"phone:210\"");
    let there = sim.phone("210");
    sim.set(there, OnInvite::Ring);
    sim.run_until("it rings there", |sim| sim.ua(there).is_ringing());
    sim.act(watcher, |ua, now| {
        ua.call("701", now);
    });
    sim.run_until("retrieved", |sim| sim.ua(watcher).is_up() && sim.ua(there).is_idle());
    assert!(sim.has("call.retrieved"));
    let byte = sim.ua(watcher).byte;
    hears(&mut sim, trunk, byte);
    assert!(slot_is_free(&mut sim));
    over(sim, trunk, watcher);
}

#[test]
fn a_mailbox_or_the_end_is_an_overflow_too() {
    let (mut sim, trunk, _, watcher) = parked(6, "overflow = \"voicemail:201\"");
    sim.run_until("a message", |sim| sim.has("call.park_returned") && sim.said.iter().any(|said| said.contains("voicemail")));
    assert!(slot_is_free(&mut sim));
    sim.run_for(5 * SECOND);
    sim.act(trunk, |ua, now| ua.hang_up(now));
    sim.run_until("it is left", |sim| sim.has("voicemail.left"));
    over(sim, trunk, watcher);

    let (mut sim, trunk, _, watcher) = parked(7, "overflow = \"hangup\"");
    sim.run_until("it ends", |sim| sim.ua(trunk).is_idle());
    assert_eq!(returns(&sim), [RINGS, IN_VAIN, SENT_ON]);
    assert!(sim.said.iter().any(|said| said == "en/unavailable"), "not without a word: {:?}", sim.said);
    over(sim, trunk, watcher);
}

/// Each order of hanging up, at each step.
#[test]
fn who_hangs_up_on_the_way_frees_the_slot() {
    for step in [ParkReturn::Ringing, ParkReturn::Overflow] {
        let (mut sim, trunk, parker, watcher) = parked(8, "overflow = \"phone:210\"");
        let there = sim.phone("210");
        sim.set(there, OnInvite::Ring);
        sim.run_until("on its way", |sim| returns(sim).last().is_some_and(|(outcome, ..)| *outcome == step));
        sim.run_for(3 * SECOND);
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("over", |sim| sim.ua(parker).is_idle() && sim.ua(there).is_idle() && sim.has("call.ended"));
        assert!(slot_is_free(&mut sim));
        sim.run_until("the lamp is out", |sim| sim.ua(watcher).lamp(0) == ["terminated"]);
        over(sim, trunk, watcher);
    }
}
