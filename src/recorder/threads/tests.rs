//! The threads, on real time: short, and waiting for facts.

use super::*;
use crate::clock::Wall;
use crate::codec::Codec;
use crate::media::{Payload, Side};
use crate::recorder::repair::repair;
use crate::recorder::rig::{about, frame, recording};
use crate::store::LogOptions;
use crate::store::disk::RealDisk;
use crate::store::disk::faulty::FaultyDisk;
use crate::store::recordings::State;

fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let clock = System::start();
    while !fact() {
        assert!(clock.mono() < Mono::from_millis(20_000), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_call_is_recorded_and_what_still_runs_at_the_end_is_closed() {
    let root = tempfile::TempDir::new().unwrap();
    let clock = System::start();
    let deaf: Health = Arc::new(|_, _| {});
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let store = Store::open(root.path(), options, Arc::new(RealDisk), clock, deaf.clone()).unwrap();
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let into = reports.clone();
    let report: ReportTo = Arc::new(move |r| into.lock().unwrap().push(r));
    let recorder = Recorder::start(&store, Arc::new(RealDisk), clock, report, deaf).unwrap();

    let begun = clock.mono();
    for n in 1..3 {
        recorder.command(RecorderCommand::Begin { at: begun, about: about(n) });
    }
    let tap = recorder.tap();
    let mut at = begun;
    until("half a second of audio", || {
        while at < clock.mono() {
            for n in 1..3 {
                tap.offer(frame(recording(n), at, Side::Said));
                tap.offer(frame(recording(n), at, Side::Heard));
            }
            at += Duration::from_millis(20);
        }
        at.since(begun) >= Duration::from_millis(500)
    });
    recorder.command(RecorderCommand::End { recording: recording(1), at });
    let finished = |reports: &[RecorderReport]| reports.iter().filter(|r| matches!(r, RecorderReport::Finished { .. })).count();
    until("finished", || finished(&reports.lock().unwrap()) == 1);
    recorder.close();
    assert_eq!(finished(&reports.lock().unwrap()), 2, "the other is closed with the recorder");
    let row = store.recordings.row(recording(1)).unwrap().unwrap();
    assert_eq!((row.state, row.duration_ms), (State::Finished, at.since(begun).as_millis() as u64));
    assert_eq!(store.recordings.row(recording(2)).unwrap().unwrap().state, State::Finished);
    store.close();
}

#[test]
fn a_full_queue_drops_frames_and_counts_them() {
    let (frames, queue) = tokio::sync::mpsc::channel(2);
    let dropped = Arc::new(Dropped::default());
    let tap = Tap::new(frames, dropped.clone(), Arc::default());
    for n in 0..5 {
        tap.offer(frame(recording(1), Mono::from_millis(n * 20), Side::Heard));
    }
    assert_eq!(dropped.take(), [(recording(1), [0, 3 * 160])].into());
    assert!(dropped.take().is_empty());
    assert_eq!(dropped.frames(), 3);
    drop(queue);
}

#[test]
fn time_goes_on_as_the_slowest_worker_reads() {
    let at = Mono::from_millis;
    let (frames, _queue) = tokio::sync::mpsc::channel(1);
    let reach = Arc::new(Reach::default());
    let tap = Tap::new(frames, Arc::default(), reach.clone());
    let time = |ms| horizon(at(ms), reach.of_all(at(ms)));
    assert_eq!(reach.of_all(at(10_000)), None);
    assert_eq!(time(10_000), at(10_000), "nobody records");
    tap.read_until(0, Some(at(9_990)));
    tap.read_until(1, Some(at(9_970)));
    assert_eq!(time(10_000), at(10_000), "both are current");
    assert_eq!(time(10_300), at(10_020), "one stands still: what it has not read is to come");
    assert_eq!(time(15_000), at(13_000), "but not forever");
    tap.read_until(0, Some(at(21_000)));
    assert_eq!(time(21_000), at(21_000), "and who reads nothing at all is given up");
    tap.read_until(0, Some(at(10_020)));
    tap.read_until(1, None);
    assert_eq!(time(10_030), at(10_030));
    tap.read_until(200, Some(at(1)));
    assert_eq!(time(10_030), at(10_030), "a worker that there is no room for has no say");
}

/// The machine stands still for a second: packets wait in the sockets, and the writer wakes first.
#[test]
fn what_a_worker_reads_late_is_in_its_place() {
    let root = tempfile::TempDir::new().unwrap();
    let clock = System::start();
    let deaf: Health = Arc::new(|_, _| {});
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let store = Store::open(root.path(), options, Arc::new(RealDisk), clock, deaf.clone()).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let into = reports.clone();
    let report: ReportTo = Arc::new(move |r| into.lock().unwrap().push(r));
    let recorder = Recorder::start(&store, Arc::new(RealDisk), clock, report, deaf).unwrap();
    let tap = recorder.tap();
    let begun = clock.mono();
    recorder.command(RecorderCommand::Begin { at: begun, about: about(1) });
    let mut sent = 0u64;
    let mut read = |is_late: bool| {
        let now = clock.mono();
        while begun + Duration::from_millis(sent * 20) < now {
            let due = begun + Duration::from_millis(sent * 20);
            for side in [Side::Said, Side::Heard] {
                // What lay in the socket has the time at which it is read.
                let at = if is_late { now } else { due };
                let (sequence, timestamp) = (sent as u16, (sent * 160) as u32);
                let payload = Payload::from(&[0x12; 160][..]);
                tap.offer(Frame { recording: recording(1), side, at, ssrc: 1, sequence, timestamp, codec: Codec::Pcmu, payload });
            }
            sent += 1;
        }
        tap.read_until(0, Some(now));
        now.since(begun)
    };
    until("half a second", || read(false) > Duration::from_millis(500));
    until("a second in which nothing is read", || clock.mono().since(begun) > Duration::from_millis(1_500));
    read(true);
    until("half a second more", || read(false) > Duration::from_millis(2_000));
    let end = begun + Duration::from_millis(sent * 20);
    recorder.command(RecorderCommand::End { recording: recording(1), at: end });
    tap.read_until(0, None);
    until("finished", || reports.lock().unwrap().iter().any(|r| matches!(r, RecorderReport::Finished { .. })));
    recorder.close();
    assert_eq!(store.recordings.row(recording(1)).unwrap().unwrap().lost_ms, [0, 0]);
    let samples: Vec<i16> =
        hound::WavReader::open(store.folder.audio(recording(1))).unwrap().samples::<i16>().map(Result::unwrap).collect();
    let wanted = crate::codec::G711::Pcmu.decode(0x12);
    assert_eq!((samples.len() as u64, samples.iter().filter(|s| **s != wanted).count()), (sent * 320, 0));
    store.close();
}

/// While the disk hangs the workers' side never waits; what finds the queue full is silence of its length, counted; and behind it every
/// sample is where it belongs.
#[test]
fn a_disk_that_hangs_costs_what_the_queue_does_not_hold_and_nothing_moves() {
    let root = tempfile::TempDir::new().unwrap();
    let clock = System::start();
    let deaf: Health = Arc::new(|_, _| {});
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let store = Store::open(root.path(), options, Arc::new(RealDisk), clock, deaf.clone()).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let into = reports.clone();
    let report: ReportTo = Arc::new(move |r| into.lock().unwrap().push(r));
    let disk = FaultyDisk::with_free(1 << 30);
    let (folder, table) = (store.folder.clone(), store.recordings.clone());
    let recorder = Recorder::start_on(folder, table, Arc::new(disk.clone()), clock, report, deaf, 64).unwrap();
    let tap = recorder.tap();

    let id = recording(1);
    let begun = clock.mono();
    recorder.command(RecorderCommand::Begin { at: begun, about: about(1) });
    // Each packet is of one level, its number's.
    let byte = |n: u64| 0x80 + (n % 100) as u8;
    let mut sent = 0;
    let mut speak_until = |what: &str, fact: &mut dyn FnMut(u64) -> bool| {
        until(what, || {
            while begun + Duration::from_millis(sent * 20) < clock.mono() {
                let at = begun + Duration::from_millis(sent * 20);
                for side in [Side::Said, Side::Heard] {
                    let payload = Payload::from(&[byte(sent); 160][..]);
                    let (sequence, timestamp) = (sent as u16, (sent * 160) as u32);
                    tap.offer(Frame { recording: id, side, at, ssrc: 1, sequence, timestamp, codec: Codec::Pcmu, payload });
                }
                sent += 1;
            }
            fact(sent)
        });
    };
    speak_until("half a second", &mut |sent| sent >= 25);
    disk.set_hanging(true);
    let mut hung = None;
    // The whole second passes while a thread waits for the disk.
    speak_until("a second on a disk that hangs", &mut |sent| {
        if hung.is_none() && disk.waiting() > 0 {
            hung = Some(sent);
        }
        hung.is_some_and(|hung| sent >= hung + 100)
    });
    disk.set_hanging(false);
    let mut after = None;
    speak_until("a second more", &mut |sent| sent >= *after.get_or_insert(sent) + 50);
    let end = begun + Duration::from_millis(sent * 20);
    recorder.command(RecorderCommand::End { recording: id, at: end });
    until("finished", || reports.lock().unwrap().iter().any(|r| matches!(r, RecorderReport::Finished { .. })));
    recorder.close();

    let row = store.recordings.row(id).unwrap().unwrap();
    let samples: Vec<i16> =
        hound::WavReader::open(store.folder.audio(id)).unwrap().samples::<i16>().map(Result::unwrap).collect();
    assert_eq!((samples.len() as u64, row.duration_ms), (sent * 320, sent * 20));
    let mut silent = [0; 2];
    for (n, packet) in (0..).zip(samples.chunks(320)) {
        let level = crate::codec::G711::Pcmu.decode(byte(n));
        for (side, silent) in silent.iter_mut().enumerate() {
            let all = |wanted: i16| packet.iter().skip(side).step_by(2).all(|sample| *sample == wanted);
            assert!(all(level) || all(0), "packet {n} is not whole, or not in its place");
            *silent += if all(level) { 0 } else { 20 };
        }
    }
    assert!(silent[0] > 0 && silent[1] > 0, "{silent:?}");
    assert_eq!(row.lost_ms, silent);
    let gaps = |r: &RecorderReport| match r {
        RecorderReport::Gap { gap_ms, reason, .. } if reason == "queue_full" => *gap_ms,
        _ => 0,
    };
    // Told is that of the side that lost more, each time.
    let told = reports.lock().unwrap().iter().map(gaps).sum::<u64>();
    assert!((silent[0].max(silent[1])..=silent[0] + silent[1]).contains(&told), "{told} of {silent:?}");
    store.close();
}

/// Syncs that take long keep no call from its file: what is spoken is there for the next start if the process is killed now.
#[test]
fn what_is_spoken_is_in_its_file_while_the_disk_hangs_in_a_sync() {
    let root = tempfile::TempDir::new().unwrap();
    let clock = System::start();
    let deaf: Health = Arc::new(|_, _| {});
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let store = Store::open(root.path(), options, Arc::new(RealDisk), clock, deaf.clone()).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let into = reports.clone();
    let report: ReportTo = Arc::new(move |r| into.lock().unwrap().push(r));
    let disk = FaultyDisk::with_free(1 << 30);
    let recorder = Recorder::start(&store, Arc::new(disk.clone()), clock, report, deaf).unwrap();
    let tap = recorder.tap();
    disk.set_syncs_hanging(true);
    recorder.command(RecorderCommand::Begin { at: clock.mono(), about: about(1) });
    until("the clerk hangs", || disk.waiting() > 0);
    // This one comes when the clerk can do nothing.
    let begun = clock.mono();
    recorder.command(RecorderCommand::Begin { at: begun, about: about(2) });
    let mut at = begun;
    let half_a_second = crate::recorder::wav::HEADER + 4_000 * crate::recorder::wav::FRAME;
    until("half a second in the file", || {
        while at < clock.mono() {
            tap.offer(frame(recording(2), at, Side::Said));
            at += Duration::from_millis(20);
        }
        std::fs::metadata(store.folder.audio(recording(2))).is_ok_and(|file| file.len() >= half_a_second)
    });
    assert!(store.folder.sidecar(recording(2)).exists() && reports.lock().unwrap().is_empty());
    disk.set_syncs_hanging(false);
    recorder.close();
    let finished = |r: &&RecorderReport| matches!(r, RecorderReport::Finished { .. });
    assert_eq!(reports.lock().unwrap().iter().filter(finished).count(), 2);
    store.close();
}

#[test]
fn a_queue_that_takes_no_beginnings_still_takes_ends() {
    let commands = Commands::default();
    let begin = |n| RecorderCommand::Begin { at: Mono::ZERO, about: about(n) };
    let end = || RecorderCommand::End { recording: recording(1), at: Mono::ZERO };
    for _ in 0..BEGINNINGS {
        assert!(commands.push(RecorderCommand::Heard { recording: recording(1) }));
    }
    assert!(!commands.push(begin(1)) && !commands.push(begin(2)));
    for _ in BEGINNINGS..COMMANDS {
        assert!(commands.push(end()));
    }
    assert!(!commands.push(end()));
    assert_eq!(commands.lost.load(Ordering::Relaxed), 3);
    assert_eq!(commands.not_begun(), [1, 2].map(|n| (about(n).conversation, recording(n))));
    assert_eq!(commands.not_begun(), []);
}

#[test]
fn commands_that_are_lost_while_the_writer_hangs_are_told() {
    let root = tempfile::TempDir::new().unwrap();
    let clock = System::start();
    let deaf: Health = Arc::new(|_, _| {});
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let store = Store::open(root.path(), options, Arc::new(RealDisk), clock, deaf).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let into = reports.clone();
    let report: ReportTo = Arc::new(move |r| into.lock().unwrap().push(r));
    let trouble = Arc::new(Mutex::new(None));
    let into = trouble.clone();
    let health: Health = Arc::new(move |_, what| *into.lock().unwrap() = what.map(str::to_owned));
    let disk = FaultyDisk::with_free(1 << 30);
    let recorder = Recorder::start(&store, Arc::new(disk.clone()), clock, report, health).unwrap();
    recorder.command(RecorderCommand::Begin { at: clock.mono(), about: about(1) });
    until("begun", || reports.lock().unwrap().iter().any(|r| matches!(r, RecorderReport::Started { .. })));
    disk.set_hanging(true);
    until("lost", || {
        // Of none that it knows.
        recorder.command(RecorderCommand::Pause { recording: recording(9), at: clock.mono() });
        recorder.losses().collect()[0].1 > 0
    });
    recorder.command(RecorderCommand::Begin { at: clock.mono(), about: about(2) });
    assert!(trouble.lock().unwrap().as_ref().is_some_and(|what| what.contains("commands to it are lost")));
    disk.set_hanging(false);
    let failed = |r: &RecorderReport| matches!(r, RecorderReport::Failed { recording: id, .. } if *id == recording(2));
    until("told", || reports.lock().unwrap().iter().any(failed) && trouble.lock().unwrap().is_none());
    recorder.close();
    store.close();
}
