//! Who is recorded is told and may refuse, and what was asked for goes with the customer, whatever becomes of the call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{Kind, RecordingDecided};
use cordboard::ids::{ConversationId, RecordingId};
use cordboard::switch::command::{MonitorMode, RecordAction};
use cordboard::switch::journal::{Ended, replay};
use cordboard::switch::{Answer, Command, Refusal};

use crate::recording::{action, announced, announcements, press, talking, with};
use crate::sim::audio::clips;
use crate::sim::ua::{Hold, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn more(mut source: Source, old: &str, new: &str) -> Source {
    assert!(source.main.text.contains(old), "{old}");
    source.main.text = source.main.text.replacen(old, new, 1);
    source
}

fn decided(sim: &Sim) -> Vec<RecordingDecided> {
    sim.events.iter().filter_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some(d.clone()) } else { None }).collect()
}

fn conversations(sim: &Sim) -> Vec<ConversationId> {
    sim.events.iter().filter(|e| matches!(e.kind, Kind::CallStarted(_))).filter_map(|e| e.conversation).collect()
}

/// Of supervisors' recordings: how many there are, and how many have ended.
fn supervisors(sim: &Sim) -> (usize, usize) {
    let theirs: Vec<_> = sim.recordings.values().filter(|r| r.about.supervises).collect();
    (theirs.len(), theirs.iter().filter(|r| r.ended.is_some()).count())
}

/// One customer, whom 201 has on hold, and another, whom it has called: the phone, both customers, and the two conversations.
fn between_two(seed: u8, source: Source) -> (Sim, SocketAddr, SocketAddr, SocketAddr, [ConversationId; 2]) {
    let mut sim = Sim::with(seed, source);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    let partner = sim.add(Ua::trunk([10, 2, 0, 3].into()));
    sim.act(partner, |p, now| {
        p.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(partner).is_up() && s.ua(phone).is_up());
    sim.run_for(25 * SECOND);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call("0049301234567", now);
    });
    sim.run_until("the second one answers", |s| s.ua(trunk).is_up());
    sim.run_for(2 * SECOND);
    let ids = conversations(&sim);
    let [first, second] = ids[..] else { panic!("{ids:?}") };
    (sim, phone, partner, trunk, [first, second])
}

fn join(sim: &mut Sim, phone: SocketAddr) {
    sim.act(phone, |p, now| p.refer_call(0, 1, now));
    sim.run_until("joined", |s| s.has("call.merged"));
    sim.run_for(2 * SECOND);
}

#[test]
fn a_call_for_help_is_interrupted_by_nothing() {
    let mut sim = Sim::with(1, announced());
    let (phone, trunk) = (sim.phone("211"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("112", now);
    });
    sim.run_until("help answers", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    press(&mut sim, trunk, "9");
    sim.run_for(3 * SECOND);
    assert_eq!((announcements(&sim), sim.has("recording.refused")), (0, false));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn who_has_refused_is_not_recorded_with_another_customer_either() {
    let (mut sim, phone, partner, trunk, [first, _]) = between_two(2, announced());
    press(&mut sim, trunk, "9");
    sim.run_until("it is gone", |s| s.has("recording.discarded"));
    join(&mut sim, phone);
    sim.hear_each_other_only(partner, trunk);
    assert!(decided(&sim).last().is_some_and(|d| !d.record && d.rule.ends_with(", refused")), "{}", sim.story());
    // What the other has said before is another's recording.
    assert_eq!(sim.recordings.len(), 1);
    assert!(sim.recordings.values().all(|r| r.ended.is_some() && r.conversation == first));
    assert!(matches!(action(&mut sim, first, RecordAction::Start), Answer::Refused(Refusal::WrongState(_))));
    sim.act(partner, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    assert_eq!((sim.recordings.len(), sim.count("recording.discarded")), (1, 1));
    sim.assert_clean();
}

#[test]
fn a_pause_in_one_of_two_calls_holds_when_they_are_joined() {
    let (mut sim, phone, partner, _, [first, second]) = between_two(3, centre());
    assert_eq!(action(&mut sim, second, RecordAction::Pause), Answer::Done);
    join(&mut sim, phone);
    let paused = sim.events.iter().rev().find(|e| matches!(e.kind, Kind::RecordingPaused(_))).and_then(|e| e.conversation);
    assert_eq!((sim.count("recording.paused"), paused), (2, Some(first)));
    assert_eq!(action(&mut sim, first, RecordAction::Resume), Answer::Done);
    assert_eq!(sim.count("recording.resumed"), 1);
    sim.act(partner, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    sim.assert_clean();
}

#[test]
fn a_supervisors_recording_begins_and_ends_with_the_customers_and_goes_with_it() {
    let source = more(announced(), "refuse = \"9\"", "refuse = \"9\"\nsupervisors = true");
    let source = more(source, "name = \"carrier\"", "name = \"carrier\"\nrecord = \"on_demand\"");
    let (mut sim, _, trunk, id) = talking(4, source);
    let boss = sim.phone("210");
    assert_eq!(sim.ask(Command::Monitor { conversation: id, who: "210".into(), mode: MonitorMode::Listen }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(boss).is_up());
    assert!(sim.recordings.is_empty());
    assert_eq!(action(&mut sim, id, RecordAction::Start), Answer::Done);
    sim.run_for(2 * SECOND);
    assert_eq!((sim.recordings.len(), supervisors(&sim)), (2, (1, 0)));
    // The supervisor leaves; its recording is complete, and has the customer.
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_until("it is closed", |s| s.has("recording.finished"));
    press(&mut sim, trunk, "9");
    sim.run_until("both are gone", |s| s.count("recording.discarded") == 2);
    assert!(sim.recordings.is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

/// The log says so of each, for a kill before the recorder has come to it.
#[test]
fn who_refuses_while_a_supervisor_listens_refuses_that_recording_too() {
    let source = more(announced(), "refuse = \"9\"", "refuse = \"9\"\nsupervisors = true");
    let source = more(source, "name = \"carrier\"", "name = \"carrier\"\nrecord = \"on_demand\"");
    let (mut sim, _, trunk, id) = talking(6, source);
    let boss = sim.phone("210");
    assert_eq!(sim.ask(Command::Monitor { conversation: id, who: "210".into(), mode: MonitorMode::Listen }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(boss).is_up());
    assert_eq!(action(&mut sim, id, RecordAction::Start), Answer::Done);
    sim.run_for(2 * SECOND);
    assert_eq!((sim.recordings.len(), supervisors(&sim)), (2, (1, 0)));
    press(&mut sim, trunk, "9");
    sim.run_until("both are gone", |s| s.count("recording.discarded") == 2);
    let of = |kind: &Kind| match kind {
        Kind::RecordingRefused(refused) => Some((refused.recording, true)),
        Kind::RecordingDiscarded(discarded) => Some((discarded.recording, false)),
        _ => None,
    };
    let (refused, discarded): (Vec<_>, Vec<_>) = sim.events.iter().filter_map(|e| of(&e.kind)).partition(|(_, refused)| *refused);
    let ids = |told: Vec<(RecordingId, bool)>| told.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
    assert_eq!(ids(refused), ids(discarded));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn a_supervisor_of_a_consultation_is_recorded_in_the_joined_call() {
    let source = with(&[("folder = \"recordings\"", "folder = \"recordings\"\nsupervisors = true")]);
    let (mut sim, phone, partner, _, [first, second]) = between_two(5, source);
    let boss = sim.phone("210");
    assert_eq!(sim.ask(Command::Monitor { conversation: second, who: "210".into(), mode: MonitorMode::Listen }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(boss).is_up());
    sim.run_for(SECOND);
    assert_eq!(supervisors(&sim), (1, 0));
    join(&mut sim, phone);
    assert_eq!(supervisors(&sim), (2, 1), "one for each of the two calls");
    sim.act(partner, |p, now| p.hang_up(now));
    sim.run_until("all are closed", |s| s.count("recording.finished") == 4);
    let lengths = |id| {
        let of = sim.recordings.values().filter(move |r| r.about.supervises && r.conversation == id);
        of.map(|r| r.samples.len() / 16_000).collect::<Vec<_>>()
    };
    assert!(lengths(first)[0] >= 1 && lengths(second)[0] >= 1, "{:?} {:?}", lengths(first), lengths(second));
    sim.assert_clean();
}

#[test]
fn a_queue_decides_also_for_whom_a_transfer_brings_there_and_before_anything_is_recorded() {
    let no = ("number = \"601\"", "number = \"601\"\nrecord = false");
    let (mut sim, phone, trunk, _) = talking(6, with(&[no]));
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, now| {
        p.call("601", now);
    });
    sim.run_until("it waits", |s| s.count("queue.entered") == 1);
    sim.run_for(SECOND);
    join(&mut sim, phone);
    assert_eq!(decided(&sim).last().map(|d| (d.record, d.rule.as_str())), Some((false, "queue support record=false")));
    assert!(sim.recordings.values().all(|r| r.ended.is_some()));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.count("call.ended") == 2);
    sim.assert_clean();
    // Straight into it.
    let mut sim = Sim::with(7, with(&[no]));
    let (agent, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    assert!(sim.recordings.is_empty());
    sim.assert_clean();
}

#[test]
fn a_pause_outlasts_the_way_outside() {
    let source = with(&[("folder = \"recordings\"", "folder = \"recordings\"\ninternal = true\nlongest_pause = \"30s\"")]);
    let mut sim = Sim::with(8, source);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    sim.act(phone, |p, now| {
        p.call("202", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(other).is_up());
    sim.run_for(SECOND);
    let id = conversations(&sim)[0];
    assert_eq!(action(&mut sim, id, RecordAction::Pause), Answer::Done);
    let began = sim.now.mono;
    sim.run_for(5 * SECOND);
    sim.act(other, |o, now| o.refer("0049301234567", now));
    sim.run_until("transferred", |s| s.ua(trunk).is_up() && s.ua(other).is_idle());
    sim.run_for(SECOND);
    assert_eq!((sim.count("recording.started"), sim.count("recording.paused")), (2, 2));
    sim.run_until("it goes on by itself", |s| s.has("recording.resumed"));
    assert!((30..32).contains(&sim.now.mono.since(began).as_secs()), "when it was to");
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn what_was_recorded_before_goes_with_a_refusal() {
    let source = more(announced(), "number = \"601\"", "number = \"601\"\nrecord = false");
    let mut sim = Sim::with(9, more(source, "number = \"602\"", "number = \"602\"\nrecord = true"));
    let (first, second, trunk) = (sim.phone("201"), sim.phone("204"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu is heard", |s| s.has("recording.started"));
    sim.run_for(2 * SECOND);
    press(&mut sim, trunk, "1");
    sim.run_until("they talk", |s| s.ua(first).is_up());
    sim.run_until("the menu's part is closed", |s| s.has("recording.finished"));
    sim.act(first, |f, now| f.refer("602", now));
    sim.run_until("they talk", |s| s.ua(second).is_up() && s.ua(first).is_idle());
    assert_eq!((sim.recordings.len(), announcements(&sim)), (2, 2));
    press(&mut sim, trunk, "9");
    sim.run_until("both are gone", |s| s.count("recording.discarded") == 2);
    assert!(sim.recordings.is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn who_was_parted_before_the_announcement_was_over_hears_it_again() {
    let (mut sim, phone, trunk) = {
        let mut sim = Sim::with(10, announced());
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("it is told", |s| announcements(s) == 2);
        (sim, phone, trunk)
    };
    let next = sim.phone("202");
    sim.act(phone, |p, now| p.refer("202", now));
    sim.run_until("transferred", |s| s.ua(next).is_up() && s.ua(phone).is_idle());
    sim.run_for(5 * SECOND);
    assert_eq!(announcements(&sim), 4, "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    sim.assert_clean();
}

#[test]
fn a_refusal_in_a_pause_plays_again_from_the_journal() {
    for (key, other) in [('9', '5'), ('0', '5')] {
        let source = more(announced(), "refuse = \"9\"", &format!("refuse = \"{key}\""));
        let mut sim = Sim::with_journal(11, source);
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        let id = conversations(&sim)[0];
        sim.run_for(2 * SECOND);
        assert_eq!(action(&mut sim, id, RecordAction::Pause), Answer::Done);
        press(&mut sim, trunk, &other.to_string());
        assert!(!sim.has("recording.refused"));
        press(&mut sim, trunk, &key.to_string());
        sim.run_until("it is gone", |s| s.has("recording.discarded"));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(40 * SECOND);
        let played = replay(&sim.journal()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((played.faults, played.ended), (0, Some(Ended::Stopped)));
    }
}

#[test]
fn a_take_of_a_prompt_is_no_recording_of_the_call() {
    let mut sim = Sim::new(12);
    let phone = sim.phone("201");
    sim.act(phone, |p, now| {
        p.call("*7510", now);
    });
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    let id = conversations(&sim)[0];
    for what in [RecordAction::Pause, RecordAction::Resume, RecordAction::Start] {
        assert!(matches!(action(&mut sim, id, what), Answer::Refused(Refusal::WrongState(_))));
    }
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

/// The prompt is there by name, and its file can't be read.
#[test]
fn who_cannot_be_told_is_not_recorded() {
    for outbound in [false, true] {
        let mut sim = Sim::with(12, announced());
        sim.clips = clips(&centre().prompts);
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        let (caller, number) = if outbound { (phone, "0049301234567") } else { (trunk, "+4930555201") };
        sim.act(caller, |ua, now| {
            ua.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.run_until("it is gone", |s| s.has("recording.discarded"));
        sim.run_for(2 * SECOND);
        sim.hear_each_other_only(trunk, phone);
        assert_eq!((sim.count("recording.not_announced"), sim.recordings.len()), (1, 0), "{}", sim.story());
        assert!(
            decided(&sim).last().is_some_and(|d| !d.record && d.rule.ends_with(" default, not announced")),
            "{}",
            sim.story()
        );
        let id = conversations(&sim)[0];
        assert!(matches!(action(&mut sim, id, RecordAction::Start), Answer::Refused(Refusal::WrongState(_))));
        let next = sim.phone("202");
        sim.act(phone, |p, now| p.refer("202", now));
        sim.run_until("transferred", |s| s.ua(next).is_up() && s.ua(phone).is_idle());
        sim.run_for(2 * SECOND);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended"));
        assert_eq!((sim.recordings.len(), sim.count("recording.not_announced")), (0, 1));
        sim.assert_clean();
    }
}
