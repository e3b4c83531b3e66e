//! The spine: a customer's call through menu and queue to an agent, recorded, told as it happened.

use std::collections::BTreeMap;
use std::time::Duration;

use cordboard::event::{By, Kind};
use cordboard::route::Cause;

use crate::sim::audio::{MUSIC, PROMPT};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, kind_name};

/// Bytes that a channel holds at a moment, as µ-law: silence is 0xff.
fn byte_at(sim: &Sim, channel: usize, at: Duration) -> u8 {
    let recorded = sim.recordings.values().next().expect("a recording");
    let sample = recorded.samples[at.as_micros() as usize * 8 / 1_000 * 2 + channel];
    if sample == 0 { 0xff } else { cordboard::codec::G711::Pcmu.encode(sample) }
}

#[test]
fn a_caller_goes_through_menu_and_queue_to_an_agent_and_all_of_it_is_recorded_and_told() {
    let mut sim = Sim::new(1);
    let agent = sim.phone("201");
    let trunk = sim.trunk();
    sim.set(agent, OnInvite::Answer(Duration::from_secs(4)));
    let began = sim.events.len();

    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu answers", |s| s.ua(trunk).is_up());
    let answered = sim.now.mono;
    sim.run_for(Duration::from_millis(500));
    assert!(sim.ua(trunk).heard(PROMPT, answered) > 10, "the prompt is heard");
    sim.act(trunk, |t, _| t.digit('1'));
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    let queued = sim.now.mono;
    sim.run_until("the phone rings", |s| s.ua(agent).is_ringing());
    sim.run_for(Duration::from_secs(2));
    assert!(sim.ua(trunk).heard(MUSIC, queued) > 80, "music while waiting");
    let shown = sim.ua(agent).invites[0].clone();
    assert_eq!(shown.display.as_deref(), Some("Support"), "the queue's title");
    assert_eq!(shown.number, "+493012345678", "the customer's number");
    sim.run_until("the agent answers", |s| s.ua(agent).is_up());
    let talking = sim.now.mono + Duration::from_millis(100);
    sim.run_for(Duration::from_secs(10));
    let (t, a) = (sim.ua(trunk).byte, sim.ua(agent).byte);
    assert_eq!(sim.ua(trunk).hears(talking).keys().copied().collect::<Vec<_>>(), [a], "the customer hears the agent alone");
    assert_eq!(sim.ua(agent).hears(talking).keys().copied().collect::<Vec<_>>(), [t]);
    assert!(sim.ua(trunk).heard(a, talking) >= 493, "{}", sim.ua(trunk).heard(a, talking));
    assert!(sim.ua(agent).heard(t, talking) >= 493);

    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("told", |s| s.has("recording.finished") && s.has("call.ended"));
    sim.run_until("the agent's phone is told", |s| s.ua(agent).is_idle());
    sim.run_until("wrap-up is over", |s| s.events.last().is_some_and(|e| kind_name(e) == "agent.ready"));

    let story: Vec<String> = sim.events[began..].iter().map(kind_name).filter(|k| k != "media.quality").collect();
    assert_eq!(
        story,
        [
            "call.started",
            "recording.decided",
            "call.answered",
            "menu.entered",
            "recording.started",
            "menu.digit",
            "menu.left",
            "queue.entered",
            "queue.offered",
            "agent.ringing",
            "queue.answered",
            "call.bridged",
            "agent.talking",
            "call.unbridged",
            "agent.wrapup",
            "call.ended",
            "recording.finished",
            "agent.ready",
        ],
        "{}",
        sim.story()
    );
    let ended = sim.ended()[0].clone();
    assert_eq!((ended.cause, ended.by, ended.status), (Cause::Normal, By::Customer, Some(200)));
    assert_eq!(ended.legs.len(), 2);
    assert!((10_000..10_300).contains(&ended.talk_ms), "{}", ended.talk_ms);
    let wrapup = sim.events.iter().find_map(|e| if let Kind::AgentWrapup(a) = &e.kind { Some((e.at, a.until)) } else { None });
    let (at, until) = wrapup.expect("wrap-up");
    assert_eq!(until.expect("until").since(at), Duration::from_secs(10));

    // The recording: as long as the clock says, left what the customer said, right what it heard.
    let recorded = sim.recordings.values().next().expect("a recording");
    let wall = recorded.ended.expect("ended").since(recorded.began);
    let length = Duration::from_micros(recorded.samples.len() as u64 / 2 * 125);
    assert!(wall.abs_diff(length) <= Duration::from_millis(20), "{wall:?} on the clock, {length:?} on the file");
    assert_eq!(ended.answered_ms, Some(wall.as_millis() as u64));
    assert_eq!(recorded.about.agents.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1001"]);
    assert_eq!(recorded.about.queue.as_ref().map(ToString::to_string).as_deref(), Some("support"));
    assert_eq!(recorded.about.customer_number, "+493012345678");
    let said: BTreeMap<u8, usize> = recorded.samples.chunks(2).map(|c| c[0]).fold(BTreeMap::new(), |mut all, sample| {
        *all.entry(if sample == 0 { 0xff } else { cordboard::codec::G711::Pcmu.encode(sample) }).or_default() += 1;
        all
    });
    assert!(said.keys().all(|b| [t, 0xff].contains(b)), "left is the customer alone: {said:x?}");
    assert_eq!(byte_at(&sim, 0, Duration::from_millis(400)), t);
    assert_eq!(byte_at(&sim, 1, Duration::from_millis(300)), PROMPT);
    let music_at = queued.since(answered) + Duration::from_secs(1);
    assert_eq!(byte_at(&sim, 1, music_at), MUSIC);
    assert_eq!(byte_at(&sim, 1, talking.since(answered) + Duration::from_secs(3)), a);
    assert_eq!(byte_at(&sim, 0, talking.since(answered) + Duration::from_secs(3)), t);
    sim.assert_clean();
}

#[test]
fn digits_by_info_choose_as_those_of_rfc_4733_do() {
    let mut sim = Sim::new(2);
    sim.phone("201");
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu answers", |s| s.ua(trunk).is_up());
    sim.act(trunk, |t, now| t.digit_by_info('1', now));
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    sim.run_until("acknowledged", |s| s.ua(trunk).last_status("INFO") == Some(200));
    assert_eq!(sim.count("menu.digit"), 1);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn collected_digits_are_masked_in_every_event() {
    let mut sim = Sim::new(3);
    sim.phone("201");
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu answers", |s| s.ua(trunk).is_up());
    sim.act(trunk, |t, _| "4".chars().for_each(|d| t.digit(d)));
    sim.run_for(Duration::from_secs(1));
    sim.act(trunk, |t, _| "7788".chars().for_each(|d| t.digit(d)));
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    let digits: Vec<String> =
        sim.events.iter().filter_map(|e| if let Kind::MenuDigit(d) = &e.kind { Some(d.digit.clone()) } else { None }).collect();
    assert_eq!(digits, ["4", "x", "x", "x", "x"], "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_menu_without_an_answer_asks_again_and_then_hangs_up() {
    let mut sim = Sim::new(4);
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("it is over", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].cause, Cause::Menu, "{}", sim.story());
    sim.run_until("the caller is told", |s| s.ua(trunk).byes == 1);
    sim.assert_clean();
}

#[test]
fn a_mailbox_that_is_not_there_says_so_and_hangs_up() {
    let mut sim = Sim::new(5);
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555000", now);
    });
    sim.run_until("the menu answers", |s| s.ua(trunk).is_up());
    sim.run_for(Duration::from_millis(300));
    sim.act(trunk, |t, _| t.digit('5'));
    sim.run_until("the menu is left", |s| s.has("menu.left"));
    let left = sim.now.mono;
    sim.run_until("it is over", |s| s.has("call.ended"));
    assert!(sim.ua(trunk).heard(PROMPT, left) > 40, "the announcement is heard to its end");
    sim.assert_clean();
}

#[test]
fn a_number_that_is_not_to_be_recorded_is_not_and_an_event_says_by_which_rule() {
    let mut sim = Sim::new(6);
    sim.phone("201");
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555299", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up());
    let decided = sim.events.iter().find_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some(d.clone()) } else { None });
    let decided = decided.expect("a decision");
    assert!(!decided.record && decided.rule.contains("record=false"), "{decided:?}");
    assert!(sim.recordings.is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn two_runs_with_one_seed_send_the_same_bytes_and_another_seed_sends_others() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        let agent = sim.phone("201");
        sim.phone("202");
        let trunk = sim.trunk();
        sim.set(agent, OnInvite::Refuse(486));
        sim.act(trunk, |t, now| {
            t.call("+4930555600", now);
        });
        sim.run_until("they talk", |s| s.has("call.bridged"));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(Duration::from_secs(60));
        (sim.trace, sim.events)
    };
    let (first, again, other) = (run(7), run(7), run(8));
    assert_eq!(first.0, again.0);
    assert_eq!(first.1, again.1);
    assert_ne!(first.0, other.0);
}
