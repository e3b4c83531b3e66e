//! What is in a recording: who stands left and right whatever becomes of the call, silence on purpose, and whether there is one at all.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{By, ConferenceChange, Kind};
use cordboard::ids::ConversationId;
use cordboard::switch::command::{MonitorMode, RecordAction};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::ua::Hold;
use crate::sim::{Recorded, Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

pub fn with(more: &[(&str, &str)]) -> Source {
    let mut source = centre();
    for (old, new) in more {
        assert!(source.main.text.contains(old), "{old}");
        source.main.text = source.main.text.replacen(old, new, 1);
    }
    source
}

/// A customer talks to 201, by its own number.
pub fn talking(seed: u8, source: Source) -> (Sim, SocketAddr, SocketAddr, ConversationId) {
    let mut sim = Sim::with(seed, source);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    (sim, phone, trunk, id)
}

pub fn press(sim: &mut Sim, at: SocketAddr, keys: &str) {
    for key in keys.chars() {
        sim.act(at, |ua, _| ua.digit(key));
        sim.run_for(SECOND / 2);
    }
}

pub fn action(sim: &mut Sim, conversation: ConversationId, action: RecordAction) -> Answer {
    sim.ask(Command::Record { conversation, action })
}

fn recorded(sim: &Sim) -> &Recorded {
    sim.recordings.values().next().expect("a recording")
}

/// Where a recording is now, in samples.
fn mark(sim: &Sim) -> usize {
    sim.now.mono.since(recorded(sim).began).as_micros() as usize * 8 / 1_000
}

/// How many samples of either side are not silent.
fn sounds(recorded: &Recorded, from: usize, to: usize) -> usize {
    recorded.samples[from * 2..to * 2].iter().filter(|sample| **sample != 0).count()
}

/// Of the pauses: whose they were, and how long.
fn pauses(sim: &Sim) -> Vec<(By, By, u64)> {
    let paused = sim.events.iter().filter_map(|e| if let Kind::RecordingPaused(p) = &e.kind { Some(p.by.clone()) } else { None });
    let resumed = sim
        .events
        .iter()
        .filter_map(|e| if let Kind::RecordingResumed(r) = &e.kind { Some((r.by.clone(), r.paused_ms)) } else { None });
    paused.zip(resumed).map(|(began, (ended, ms))| (began, ended, ms)).collect()
}

#[test]
fn a_pause_is_silence_to_the_sample_and_ends_by_key_by_command_and_by_itself() {
    let (mut sim, phone, trunk, id) =
        talking(1, with(&[("folder = \"recordings\"", "folder = \"recordings\"\nlongest_pause = \"20s\"")]));
    let mut silent = Vec::new();
    for ends in ["key", "command", "itself"] {
        let wait = |s: &mut Sim, kind: &str, n: usize| s.run_until(kind, |s| s.count(kind) == n);
        let n = silent.len() + 1;
        match ends {
            "key" => press(&mut sim, phone, "*72"),
            _ => assert_eq!(action(&mut sim, id, RecordAction::Pause), Answer::Done),
        }
        wait(&mut sim, "recording.paused", n);
        assert_eq!(action(&mut sim, id, RecordAction::Pause), Answer::Done, "twice is once");
        let at = |sim: &Sim, kind: &str| {
            let event = sim.events.iter().rev().find(|e| crate::sim::kind_name(e) == kind).expect("told");
            event.at.since(recorded(sim).about.started_at).as_micros() as usize * 8 / 1_000
        };
        let from = at(&sim, "recording.paused");
        sim.run_for(5 * SECOND);
        match ends {
            "key" => press(&mut sim, phone, "*73"),
            "command" => assert_eq!(action(&mut sim, id, RecordAction::Resume), Answer::Done),
            _ => {}
        }
        wait(&mut sim, "recording.resumed", n);
        silent.push((from, at(&sim, "recording.resumed")));
        sim.run_for(3 * SECOND);
    }
    assert_eq!(action(&mut sim, id, RecordAction::Resume), Answer::Done, "it runs");
    let end = mark(&sim);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let all = pauses(&sim);
    let who: Vec<_> = all.iter().map(|(began, ended, _)| (began.clone(), ended.clone())).collect();
    let api = || By::Api("admin".into());
    assert_eq!(who, [(By::Phone, By::Phone), (api(), api()), (api(), By::Switch)]);
    assert_eq!(all[2].2, 20_000);
    let file = recorded(&sim);
    assert_eq!(file.about.paused_ms, all.iter().map(|(.., ms)| ms).sum::<u64>());
    for (from, to) in &silent {
        assert_eq!(sounds(file, *from, *to), 0);
        // Both speak before and after; a key is no sound, and a beep on one side hides nothing on the other.
        for (from, to) in [(from - 160, *from), (*to, to + 160)] {
            assert!(sounds(file, from, to) >= 160, "{} of 320", sounds(file, from, to));
        }
    }
    assert!(file.samples.len() / 2 >= end, "as long as the call");
    sim.assert_clean();
}

#[test]
fn a_call_that_ends_while_it_is_silent_is_silent_to_its_end() {
    let (mut sim, _, trunk, id) = talking(2, centre());
    assert_eq!(action(&mut sim, id, RecordAction::Pause), Answer::Done);
    let from = mark(&sim);
    sim.run_for(7 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let file = recorded(&sim);
    let end = file.samples.len() / 2;
    assert!(end >= from + 7 * 8_000 && (7_000..7_300).contains(&file.about.paused_ms), "{}", file.about.paused_ms);
    assert_eq!((sounds(file, from, end), sim.has("recording.resumed")), (0, false));
    let answer = action(&mut sim, id, RecordAction::Resume);
    assert!(matches!(answer, Answer::Refused(Refusal::NoConversation(_))), "{answer:?}");
    sim.assert_clean();
}

#[test]
fn what_is_recorded_on_demand_begins_when_somebody_asks() {
    for by_key in [true, false] {
        let (mut sim, phone, trunk, id) =
            talking(3, with(&[("name = \"carrier\"", "name = \"carrier\"\nrecord = \"on_demand\"")]));
        sim.run_for(SECOND);
        assert!(sim.recordings.is_empty());
        assert!(matches!(action(&mut sim, id, RecordAction::Pause), Answer::Refused(Refusal::WrongState(_))));
        if by_key {
            press(&mut sim, trunk, "*73");
            sim.run_for(SECOND);
            assert!(sim.recordings.is_empty(), "a customer's keys are no codes");
            // A wrong beginning does no harm.
            press(&mut sim, phone, "*7*73");
        } else {
            assert_eq!(action(&mut sim, id, RecordAction::Start), Answer::Done);
        }
        sim.run_until("it has begun", |s| s.has("recording.started"));
        assert_eq!(action(&mut sim, id, RecordAction::Start), Answer::Done, "twice is once");
        sim.run_for(3 * SECOND);
        // To a queue and back: it goes on.
        let began = recorded(&sim).began;
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("recording.finished"));
        let rules: Vec<_> = sim
            .events
            .iter()
            .filter_map(|e| {
                if let Kind::RecordingDecided(d) = &e.kind { Some((d.record, d.on_demand, d.rule.as_str())) } else { None }
            })
            .collect();
        let rule = "trunk carrier record=on_demand";
        assert_eq!(rules, [(false, true, rule), (true, true, &format!("{rule}, on demand"))]);
        let file = recorded(&sim);
        assert_eq!(file.began, began);
        assert!(sounds(file, 8_000, 16_000) > 15_000, "both sides");
        sim.assert_clean();
    }
}

#[test]
fn what_is_never_recorded_is_not_on_demand_either() {
    let (mut sim, phone, trunk, id) =
        talking(4, with(&[("number = \"+4930555201\"", "number = \"+4930555201\"\nrecord = false")]));
    press(&mut sim, phone, "*73");
    sim.run_for(SECOND);
    assert!(matches!(action(&mut sim, id, RecordAction::Start), Answer::Refused(Refusal::WrongState(_))));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    assert!(sim.recordings.is_empty());
    sim.assert_clean();
}

#[test]
fn a_queue_decides_for_those_who_wait_in_it() {
    // The number's own word is false, the queue's true; and the other way round.
    for (number, queue) in [("false", "true"), ("true", "false")] {
        let number = format!("number = \"+4930555600\"\nrecord = {number}");
        let queue_too = format!("number = \"601\"\nrecord = {queue}");
        let mut sim = Sim::with(5, with(&[("number = \"+4930555600\"", &number), ("number = \"601\"", &queue_too)]));
        let (agent, trunk) = (sim.phone("201"), sim.trunk());
        sim.act(trunk, |t, now| {
            t.call("+4930555600", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
        sim.run_for(3 * SECOND);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended"));
        let rule = sim.events.iter().rev().find_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some(d) } else { None });
        assert_eq!(rule.map(|d| (d.record, d.rule.clone())), Some((queue == "true", format!("queue support record={queue}"))));
        sim.run_for(SECOND);
        let talk = sim.recordings.values().map(|r| r.samples.len() / 2).max().unwrap_or(0);
        assert_eq!(talk > 3 * 8_000, queue == "true", "{talk} samples\n{}", sim.story());
        sim.assert_clean();
    }
}

/// Amplitude of a tone in one channel.
fn level(samples: &[i16], channel: usize, hz: f64) -> f64 {
    let (mut re, mut im, mut count) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().skip(channel).step_by(2).enumerate() {
        let turn = n as f64 * hz / 8_000.0 * std::f64::consts::TAU;
        re += f64::from(*sample) * turn.cos();
        im += f64::from(*sample) * turn.sin();
        count += 1.0;
    }
    2.0 * f64::hypot(re, im) / f64::max(count, 1.0)
}

/// Each says a tone of its own; what a stretch of the recording has of them, left and right.
struct Roles {
    sim: Sim,
    tones: Vec<(&'static str, f64)>,
    stretches: Vec<(&'static str, usize, usize, Vec<&'static str>)>,
}

impl Roles {
    fn add(&mut self, name: &'static str, hz: f64) -> SocketAddr {
        let at = if name == "customer" { self.sim.trunk() } else { self.sim.phone(name) };
        self.sim.act(at, |ua, _| ua.tone = Some(hz));
        self.tones.push((name, hz));
        at
    }

    /// For two seconds from here the customer hears these and nobody else.
    fn hears(&mut self, what: &'static str, these: &[&'static str]) {
        self.sim.run_for(SECOND / 2);
        let from = mark(&self.sim);
        self.sim.run_for(2 * SECOND);
        self.stretches.push((what, from, mark(&self.sim), these.to_vec()));
    }

    fn check(&self) {
        let file = recorded(&self.sim);
        for (what, from, to, right) in &self.stretches {
            let samples = &file.samples[from * 2..to * 2];
            for (name, hz) in &self.tones {
                let [left, heard] = [0, 1].map(|channel| level(samples, channel, *hz));
                let (says, is_heard) = (*name == "customer", right.contains(name));
                assert!(if says { left > 1_000.0 } else { left < 40.0 }, "{what}: {name} {left:.0} on the left");
                assert!(if is_heard { heard > 1_000.0 } else { heard < 40.0 }, "{what}: {name} {heard:.0} on the right");
            }
        }
    }
}

/// Left is the customer and right what the customer heard, through a queue, a supervisor in every mode, a consultation, an attended and a
/// blind transfer, a conference and a take-over; of what is whispered there is never anything.
#[test]
fn left_and_right_keep_their_roles_whatever_becomes_of_the_call() {
    let mut all = Roles { sim: Sim::new(6), tones: Vec::new(), stretches: Vec::new() };
    let trunk = all.add("customer", 430.0);
    let agent = all.add("201", 710.0);
    let boss = all.add("210", 1_710.0);
    all.sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    all.sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(agent).is_up());
    let id = all.sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
    all.hears("the agent", &["201"]);
    let monitor = |all: &mut Roles, mode| {
        let command = Command::Monitor { conversation: id, who: "210".into(), mode };
        assert_eq!(all.sim.ask(command), Answer::Done);
        all.sim.run_until("it is there", |s| s.ua(boss).is_up());
    };
    for (mode, hears) in [
        (MonitorMode::Listen, &["201"][..]),
        (MonitorMode::Whisper, &["201"]),
        (MonitorMode::Barge, &["201", "210"]),
        (MonitorMode::Whisper, &["201"]),
    ] {
        monitor(&mut all, mode);
        all.hears("a supervisor", hears);
    }
    let second = all.add("202", 1_010.0);
    all.sim.act(agent, |a, now| a.hold(Hold::SendOnly, now));
    all.sim.run_until("held", |s| s.has("call.held"));
    all.sim.act(agent, |a, now| {
        a.call("202", now);
    });
    all.sim.run_until("the consulted one answers", |s| s.ua(second).is_up());
    all.hears("music", &[]);
    all.sim.act(agent, |a, now| a.refer_call(0, 1, now));
    all.sim.run_until("joined", |s| s.has("call.merged"));
    all.hears("the second", &["202"]);
    let third = all.add("211", 2_090.0);
    assert_eq!(all.sim.ask(Command::Confer { conversation: id, to: "211".into() }), Answer::Done);
    let joined =
        |s: &Sim| s.events.iter().any(|e| matches!(&e.kind, Kind::CallConferenced(c) if c.change == ConferenceChange::Joined));
    all.sim.run_until("it has joined", joined);
    all.hears("a conference", &["202", "211"]);
    all.sim.act(third, |t, now| t.hang_up(now));
    all.hears("two again", &["202"]);
    let last = all.add("203", 1_330.0);
    all.sim.act(second, |s, now| s.refer("203", now));
    all.sim.run_until("transferred", |s| s.ua(last).is_up() && s.ua(second).is_idle());
    all.hears("the third", &["203"]);
    monitor(&mut all, MonitorMode::TakeOver);
    all.sim.run_until("taken over", |s| s.ua(last).is_idle());
    all.hears("the supervisor", &["210"]);
    all.sim.act(trunk, |t, now| t.hang_up(now));
    all.sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!(all.sim.recordings.len(), 1);
    all.check();
    all.sim.assert_clean();
}

/// With an announcement, and a key that refuses.
pub fn announced() -> Source {
    let mut source = with(&[("folder = \"recordings\"", "folder = \"recordings\"\nannouncement = \"recorded\"\nrefuse = \"9\"")]);
    source.prompts.push("en/recorded".into());
    source
}

pub fn announcements(sim: &Sim) -> usize {
    sim.said.iter().filter(|said| *said == "en/recorded").count()
}

#[test]
fn who_is_recorded_hears_so_once_and_what_is_refused_leaves_nothing() {
    for outbound in [false, true] {
        let mut sim = Sim::with(7, announced());
        let (phone, trunk) = (sim.phone("201"), sim.trunk());
        let (caller, number) = if outbound { (phone, "0049301234567") } else { (trunk, "+4930555201") };
        sim.act(caller, |ua, now| {
            ua.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.run_for(5 * SECOND);
        assert_eq!(announcements(&sim), 2, "both hear it: {:?}", sim.said);
        sim.hear_each_other_only(trunk, phone);
        // Who is not asked can't refuse.
        press(&mut sim, phone, "9");
        press(&mut sim, trunk, "8");
        assert!(!sim.has("recording.refused"));
        press(&mut sim, trunk, "9");
        sim.run_until("it is gone", |s| s.has("recording.discarded"));
        assert!(sim.has("recording.refused") && sim.recordings.is_empty(), "{}", sim.story());
        let id = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
        assert!(matches!(action(&mut sim, id, RecordAction::Start), Answer::Refused(Refusal::WrongState(_))));
        let last = sim.events.iter().rev().find_map(|e| if let Kind::RecordingDecided(d) = &e.kind { Some(d) } else { None });
        assert_eq!(last.map(|d| (d.record, d.rule.ends_with(", refused"))), Some((false, true)));
        // Elsewhere it is not recorded either.
        let next = sim.phone("202");
        sim.act(phone, |p, now| p.refer("202", now));
        sim.run_until("transferred", |s| s.ua(next).is_up() && s.ua(phone).is_idle());
        sim.run_for(3 * SECOND);
        sim.hear_each_other_only(trunk, next);
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_until("over", |s| s.has("call.ended"));
        assert!(sim.recordings.is_empty() && !sim.has("recording.finished"));
        assert_eq!(announcements(&sim), 2);
        sim.assert_clean();
    }
}

#[test]
fn who_does_not_refuse_in_time_is_recorded_through_all_transfers_and_told_once() {
    let (mut sim, phone, trunk, _) = talking(8, announced());
    sim.run_for(25 * SECOND);
    press(&mut sim, trunk, "9");
    let next = sim.phone("202");
    sim.act(phone, |p, now| p.refer("202", now));
    sim.run_until("transferred", |s| s.ua(next).is_up() && s.ua(phone).is_idle());
    sim.run_for(5 * SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    assert_eq!((announcements(&sim), sim.recordings.len(), sim.has("recording.refused")), (2, 1, false));
    sim.assert_clean();
}

#[test]
fn calls_inside_and_calls_that_are_not_recorded_are_not_announced() {
    let mut source = announced();
    source.main.text = source.main.text.replacen("refuse = \"9\"", "refuse = \"9\"\ninternal = true\noutbound = false", 1);
    let mut sim = Sim::with(9, source);
    let (phone, other, trunk) = (sim.phone("201"), sim.phone("202"), sim.trunk());
    for (number, called) in [("202", other), ("0049301234567", trunk)] {
        sim.act(phone, |p, now| {
            p.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(called).is_up());
        press(&mut sim, called, "9");
        sim.run_for(2 * SECOND);
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_until("over", |s| s.ua(phone).is_idle() && s.ua(called).is_idle());
        sim.run_for(SECOND);
    }
    assert_eq!((announcements(&sim), sim.has("recording.refused"), sim.recordings.len()), (0, false, 1));
    sim.assert_clean();
}

#[test]
fn a_supervisors_own_recording_has_what_is_whispered() {
    let source = with(&[("folder = \"recordings\"", "folder = \"recordings\"\nsupervisors = true")]);
    let (mut sim, agent, trunk, id) = talking(10, source);
    let boss = sim.phone("210");
    for (at, hz) in [(trunk, 430.0), (agent, 710.0), (boss, 1_710.0)] {
        sim.act(at, |ua, _| ua.tone = Some(hz));
    }
    assert_eq!(sim.ask(Command::Monitor { conversation: id, who: "210".into(), mode: MonitorMode::Whisper }), Answer::Done);
    sim.run_until("it is there", |s| s.ua(boss).is_up());
    sim.run_for(4 * SECOND);
    assert_eq!(sim.ask(Command::Monitor { conversation: id, who: "210".into(), mode: MonitorMode::Listen }), Answer::Done);
    sim.run_for(SECOND);
    sim.act(boss, |b, now| b.hang_up(now));
    sim.run_until("it is closed", |s| s.count("recording.finished") == 1);
    sim.run_for(SECOND);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.count("recording.finished") == 2);
    let (own, call): (Vec<_>, Vec<_>) = sim.recordings.values().partition(|r| r.about.supervises);
    let ([own], [call]) = (&own[..], &call[..]) else { panic!("{} recordings", sim.recordings.len()) };
    assert_eq!((own.conversation, call.conversation), (id, id));
    let middle = &own.samples[8_000 * 2 * 2..8_000 * 2 * 3];
    let levels = [430.0, 710.0, 1_710.0].map(|hz| [0, 1].map(|channel| level(middle, channel, hz) > 3_000.0));
    assert_eq!(levels, [[false, true], [false, true], [true, false]], "left what it said, right the two others");
    assert!(
        call.samples.chunks_exact(8_000 * 2).skip(2).all(|second| (0..2).all(|channel| level(second, channel, 1_710.0) < 40.0))
    );
    sim.assert_clean();
}
