//! The threads, on real time: short, and waiting for facts.

use super::*;
use crate::media::Side;
use crate::recorder::repair::repair;
use crate::recorder::rig::{about, frame, recording};
use crate::store::LogOptions;
use crate::store::disk::RealDisk;
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
    assert_eq!(repair(&store, &RealDisk).unwrap(), []);
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
    let (frames, queue) = sync_channel(2);
    let dropped = Arc::new(Dropped::default());
    let tap = Tap::new(frames, dropped.clone());
    for n in 0..5 {
        tap.offer(frame(recording(1), Mono::from_millis(n * 20), Side::Heard));
    }
    assert_eq!(dropped.take(), [(recording(1), [0, 3 * 160])].into());
    assert!(dropped.take().is_empty());
    drop(queue);
}
