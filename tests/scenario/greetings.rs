//! What mailboxes say to callers: recorded by phone or sent by the API, and kept or thrown away.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::ids::RecordingId;
use cordboard::recorder::measure::Measure;
use cordboard::recorder::timeline::Timeline;
use cordboard::switch::input::RecorderReport;
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::audio::PROMPT;
use crate::sim::{Recorded, Sim, centre};
use crate::voicemail::{listen, mailbox, only_recording, press, tone};

const SECOND: Duration = Duration::from_secs(1);

fn greeting(sim: &mut Sim) -> Option<RecordingId> {
    match sim.ask(Command::Greeting { number: "201".into() }) {
        Answer::Greeting(view) => view.recording,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_owner_records_a_greeting_that_callers_hear_and_takes_it_back() {
    let mut sim = Sim::new(22);
    let (owner, caller) = (sim.phone("201"), sim.phone("210"));
    let voice = sim.ua(owner).byte;
    listen(&mut sim, owner, "4711#");
    press(&mut sim, owner, "01");
    sim.run_until("the tone is over", |s| !s.recordings.is_empty());
    sim.run_for(3 * SECOND);
    press(&mut sim, owner, "#");
    sim.run_until("it is kept", |s| s.has("voicemail.greeting"));
    let first = greeting(&mut sim).expect("one");
    assert!(mailbox(&mut sim).is_empty() && !sim.has("voicemail.left"), "it is no message");
    let length = sim.recordings[&first].samples.len() / 16;
    assert!((3_300..=4_100).contains(&length), "{length}");
    // It is played to its owner.
    let since = sim.now.mono;
    press(&mut sim, owner, "2");
    sim.run_until("it is heard", |s| s.ua(owner).heard(voice, since) > 150);
    // A second one, which silence ends; the first one goes.
    press(&mut sim, owner, "1");
    sim.run_until("the tone is over", |s| s.recordings.len() == 2);
    sim.run_for(2 * SECOND);
    sim.act(owner, |p, _| p.mute = true);
    sim.run_until("it is kept", |s| s.count("voicemail.greeting") == 2);
    sim.act(owner, |p, _| p.mute = false);
    let second = greeting(&mut sim).expect("one");
    assert!(second != first && sim.recordings.len() == 1);
    let length = sim.recordings[&second].samples.len() / 16;
    assert!((2_200..=2_500).contains(&length), "{length}");
    // One that is broken off by hanging up is none.
    press(&mut sim, owner, "1");
    sim.run_until("the tone is over", |s| s.recordings.len() == 2);
    sim.run_for(3 * SECOND);
    sim.act(owner, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!((greeting(&mut sim), sim.recordings.len()), (Some(second), 1));

    let calls = |sim: &mut Sim| {
        let since = sim.now.mono;
        sim.act(caller, |p, now| {
            p.call("*98201", now);
        });
        tone(sim);
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(2 * SECOND);
        sim.ua(caller).heard(voice, since)
    };
    assert!(calls(&mut sim) > 100);
    // Over a restart too.
    sim.restart(Vec::new());
    for phone in [owner, caller] {
        sim.act(phone, |p, now| {
            p.register(now);
        });
    }
    sim.run_for(SECOND);
    assert!(greeting(&mut sim) == Some(second) && calls(&mut sim) > 100);

    listen(&mut sim, owner, "4711#");
    press(&mut sim, owner, "03");
    sim.run_until("it is gone", |s| s.count("voicemail.greeting") == 3);
    sim.act(owner, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!((greeting(&mut sim), sim.recordings.len(), calls(&mut sim)), (None, 0, 0));
    let other = Command::Greeting { number: "210".into() };
    assert_eq!(sim.ask(other), Answer::Refused(Refusal::NoMailbox("210".into())));
    sim.assert_clean();
}

/// The owner of 201 speaks after the tone, for some seconds.
fn speaks_a_greeting(sim: &mut Sim, owner: SocketAddr) {
    listen(sim, owner, "4711#");
    let before = sim.recordings.len();
    press(sim, owner, "01");
    sim.run_until("the tone is over", |s| s.recordings.len() > before);
    sim.run_for(3 * SECOND);
}

#[test]
fn a_greeting_that_the_end_of_the_process_cuts_short_is_none_and_the_old_one_stays() {
    // The process is asked to end, and what it still says to a slow disk is lost; or it is killed.
    for (seed, asked) in [(30, true), (31, false)] {
        let mut sim = Sim::new(seed);
        let owner = sim.phone("201");
        speaks_a_greeting(&mut sim, owner);
        press(&mut sim, owner, "#");
        sim.run_until("it is kept", |s| s.has("voicemail.greeting"));
        let first = greeting(&mut sim).expect("one");
        sim.act(owner, |p, now| p.hang_up(now));
        sim.run_for(SECOND);

        speaks_a_greeting(&mut sim, owner);
        sim.hung = true;
        if asked {
            sim.input(cordboard::switch::Input::Halt);
            sim.run_for(SECOND);
        }
        assert_eq!(sim.recordings.len(), 2);
        sim.hung = false;
        sim.restart(Vec::new());
        assert_eq!((greeting(&mut sim), sim.recordings.len()), (Some(first), 1), "asked: {asked}");
        assert!(mailbox(&mut sim).is_empty(), "nor is it a message");
        assert_eq!(sim.count("voicemail.greeting"), 1);
    }
}

#[test]
fn who_sends_a_greeting_is_answered_when_it_is_kept_and_no_change_of_the_configuration_loses_it() {
    let mut sim = Sim::new(32);
    let number = || "201".into();
    let owner = sim.phone("201");
    speaks_a_greeting(&mut sim, owner);
    let (_, taken) = sim.recordings.pop_last().expect("one");
    sim.act(owner, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    // As the recorder has it when it is written.
    let sent = |sim: &mut Sim, n: u64| {
        let (id, at) = (RecordingId::from_parts(n, 0), sim.now.mono);
        let recorded = Recorded {
            conversation: taken.conversation,
            began: at,
            ended: Some(at),
            timeline: Timeline::new(at, 8_000),
            measure: Measure::new(at, 8_000),
            samples: vec![0; 32_000],
            about: taken.about.clone(),
            heard: false,
            kept: false,
        };
        sim.recordings.insert(id, recorded);
        id
    };
    let id = sent(&mut sim, 1);
    sim.hung = true;
    assert_eq!(sim.ask_later(Command::SetGreeting { number: number(), recording: id }), None, "not before it is durable");
    assert_eq!(greeting(&mut sim), None);
    sim.hung = false;
    sim.restart(Vec::new());
    assert_eq!((greeting(&mut sim), sim.recordings.len()), (None, 0), "nobody was told that it counts");

    let id = sent(&mut sim, 2);
    assert_eq!(sim.ask(Command::SetGreeting { number: number(), recording: id }), Answer::Done);
    assert_eq!((greeting(&mut sim), sim.count("voicemail.greeting")), (Some(id), 1));
    let mut without = centre();
    without.main.text = without.main.text.replace("voicemail = true\npin = \"4711\"\n", "");
    sim.source = Some(without);
    sim.restart(Vec::new());
    assert_eq!(sim.recordings.len(), 1, "it waits for its mailbox");
    let other = sent(&mut sim, 3);
    let refused = sim.ask(Command::SetGreeting { number: number(), recording: other });
    assert_eq!((refused, sim.recordings.len()), (Answer::Refused(Refusal::NoMailbox(number())), 1), "there is none now");
    sim.source = None;
    sim.restart(Vec::new());
    assert_eq!(greeting(&mut sim), Some(id));
    assert_eq!(sim.ask(Command::DropGreeting { number: number() }), Answer::Done);
    assert!(sim.recordings.is_empty());
}

#[test]
fn an_owner_whose_greeting_can_not_be_written_hears_so_at_its_end_and_nothing_is_left_of_it() {
    let mut sim = Sim::new(37);
    let owner = sim.phone("201");
    speaks_a_greeting(&mut sim, owner);
    let recording = only_recording(&sim);
    let conversation = sim.recordings[&recording].conversation;
    let report = RecorderReport::Failed { conversation, recording, reason: "the disk is full".to_owned() };
    sim.input(cordboard::switch::Input::Recorder(report));
    // Nor does its end come.
    sim.recordings.remove(&recording);
    let since = sim.now.mono;
    press(&mut sim, owner, "#");
    sim.run_for(2 * SECOND);
    assert!(sim.ua(owner).heard(PROMPT, since) > 40, "that it was not kept");
    assert_eq!((greeting(&mut sim), sim.has("voicemail.greeting")), (None, false));
    sim.act(owner, |p, now| p.hang_up(now));
    sim.assert_clean();
}
