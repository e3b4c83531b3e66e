//! Writer and clerk together, on virtual time and on disks in trouble.

use super::super::rig::{Rig, about, recording};
use super::super::verify::{self, How};
use super::*;
use crate::event::RecordingFinished;
use crate::ids::StaffNumber;
use crate::store::recordings::{Filter, Kind};
use crate::switch::output::RecorderCommand;

const STRICT: How = How { hash: true, live: false };

fn finished(reports: &[RecorderReport]) -> Vec<&RecordingFinished> {
    reports
        .iter()
        .filter_map(|r| match r {
            RecorderReport::Finished { finished, .. } => Some(finished),
            _ => None,
        })
        .collect()
}

#[test]
fn a_recording_exists_whole_before_it_is_reported_and_is_closed_at_the_exact_sample() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.round();
    assert!(matches!(rig.reports[..], [RecorderReport::Started { recording: id, .. }] if id == recording(1)));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert_eq!(row.state, State::Recording);
    assert!(verify::row(&rig.folder(), &row, How { hash: true, live: true }).is_empty());

    rig.run(3_020);
    rig.writer.command(RecorderCommand::Describe(About {
        agents: vec![StaffNumber::from("1024")],
        queue: Some("support".into()),
        ..about(1)
    }));
    rig.run(1_000);
    let by_agent = Filter { agent: Some("1024".into()), ..Filter::default() };
    assert_eq!(rig.store.recordings.search(&by_agent).unwrap().items.len(), 1);
    rig.end(1);
    rig.run(1_000);

    let done = finished(&rig.reports);
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].duration_ms, done[0].bytes, done[0].lost_ms), (4_020, 44 + 4_020 * 32, [0, 0]));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert_eq!((row.finished().as_ref(), row.agents.len()), (Some(done[0]), 1));
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
    let drawn = std::fs::read(rig.folder().drawing(recording(1))).unwrap();
    let waveform = crate::store::recordings::peaks::Waveform::read(&drawn).unwrap();
    assert_eq!((waveform.length, waveform.data.iter().any(|peak| *peak != 0)), (402, true), "drawn while it was written");
    assert_eq!((rig.clerk.open(), rig.reports.len()), (0, 2));
}

#[test]
fn a_rush_of_calls_is_made_durable_in_batches_and_each_has_its_file_before() {
    let mut rig = Rig::new();
    for n in 0..100 {
        rig.begin(n);
    }
    rig.lay();
    assert!((0..100).all(|n| rig.folder().audio(recording(n)).exists() && rig.folder().sidecar(recording(n)).exists()));
    let mut rounds = Vec::new();
    loop {
        rig.round();
        rounds.push(rig.reports.len());
        if !rig.clerk.has_more() {
            break;
        }
    }
    assert_eq!(rounds, [2 * BATCH, 100], "a round of the rig is two of the clerk");
    assert!(rig.reports.iter().all(|r| matches!(r, RecorderReport::Started { .. })));
    for n in 0..100 {
        let row = rig.store.recordings.row(recording(n)).unwrap().unwrap();
        assert!(verify::row(&rig.folder(), &row, How { hash: true, live: true }).is_empty());
    }
}

#[test]
fn a_call_that_ends_before_its_file_is_made_is_as_long_as_it_was() {
    let mut rig = Rig::new();
    rig.disk.set_free(0);
    rig.begin(1);
    rig.run(1_000);
    rig.end(1);
    rig.run(1_000);
    rig.disk.set_free(1 << 30);
    rig.run(1_000);
    let done = finished(&rig.reports);
    assert_eq!((done.len(), done[0].duration_ms, rig.clerk.open()), (1, 1_000, 0));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
}

#[test]
fn a_full_disk_fails_the_beginning_aloud_and_the_recording_begins_when_there_is_room() {
    let mut rig = Rig::new();
    rig.disk.set_free(0);
    rig.begin(1);
    rig.run(3_000);
    assert!(matches!(rig.reports[..], [RecorderReport::Failed { .. }]), "told once: {:?}", rig.reports);
    assert!(rig.clerk.trouble().is_some());
    rig.disk.set_free(1 << 30);
    rig.run(3_000);
    assert!(rig.clerk.trouble().is_none() && !rig.writer.is_stalled());
    rig.end(1);
    rig.run(1_000);
    let done = finished(&rig.reports);
    assert_eq!((done.len(), done[0].duration_ms), (1, 6_000));
    let gaps: Vec<u64> = rig
        .reports
        .iter()
        .filter_map(|r| match r {
            RecorderReport::Gap { gap_ms, reason, .. } if reason == "disk" => Some(*gap_ms),
            _ => None,
        })
        .collect();
    assert!(gaps.len() == 1 && (2_500..3_500).contains(&gaps[0]), "{gaps:?}");
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
}

#[test]
fn a_call_that_ends_on_a_broken_disk_is_closed_when_the_disk_is_back() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.run(2_000);
    rig.disk.set_broken(true);
    rig.run(1_000);
    rig.end(1);
    rig.run(2_000);
    assert!(finished(&rig.reports).is_empty() && rig.clerk.open() == 1);
    rig.disk.set_broken(false);
    rig.run(1_000);
    let done = finished(&rig.reports);
    assert_eq!((done.len(), done[0].duration_ms), (1, 3_000));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
}

#[test]
fn a_file_that_somebody_removes_during_the_call_is_told_and_stops_nothing() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.begin(2);
    rig.run(1_000);
    std::fs::remove_file(rig.folder().audio(recording(1))).unwrap();
    rig.run(1_000);
    rig.end(1);
    rig.end(2);
    rig.run(1_000);
    assert!(rig.reports.iter().any(|r| matches!(r, RecorderReport::Failed { recording: id, .. } if *id == recording(1))));
    assert_eq!((finished(&rig.reports).len(), rig.clerk.open()), (1, 0));
}

#[test]
fn frames_that_found_the_queue_full_are_told_as_a_gap() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.run(1_000);
    rig.writer.dropped([(recording(1), [1_600, 800])].into());
    rig.end(1);
    rig.run(1_000);
    assert!(rig.reports.iter().any(|r| matches!(r, RecorderReport::Gap { reason, gap_ms: 200, .. } if reason == "queue_full")));
}

#[test]
fn an_end_that_is_told_late_cuts_the_file_to_it() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.run(3_000);
    rig.writer.command(RecorderCommand::End { recording: recording(1), at: crate::clock::Mono::from_millis(1_500) });
    rig.run(1_000);
    let done = finished(&rig.reports);
    assert_eq!((done[0].duration_ms, done[0].bytes), (1_500, 44 + 1_500 * 32));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
}

#[test]
fn a_message_is_marked_as_heard_and_taken_away_with_all_that_belongs_to_it() {
    let mut rig = Rig::new();
    let mailbox = crate::ids::Number::from("201");
    rig.writer.command(RecorderCommand::Begin {
        at: crate::clock::Mono::from_millis(0),
        about: About { mailbox: Some(mailbox.clone()), ..about(1) },
    });
    rig.run(3_000);
    assert!(rig.store.recordings.messages().unwrap().is_empty(), "it is not finished");
    rig.end(1);
    rig.run(1_000);
    let messages = || rig.store.recordings.messages().unwrap();
    let all = messages();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].0, all[0].1.recording, all[0].1.heard), (&mailbox, recording(1), false));
    let of = |kind| rig.store.recordings.search(&Filter { kind: Some(kind), ..Filter::default() }).unwrap().items.len();
    assert_eq!((of(Kind::Voicemail), of(Kind::Conversation)), (1, 0));

    rig.writer.command(RecorderCommand::Heard { recording: recording(1) });
    // What fails is not told, and tried again.
    rig.disk.set_broken(true);
    rig.run(400);
    let kept = |rig: &Rig, gone| rig.reports.contains(&RecorderReport::Kept { recording: recording(1), gone });
    assert!(!kept(&rig, false));
    rig.disk.set_broken(false);
    rig.run(1_000);
    assert!(kept(&rig, false) && !kept(&rig, true));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(row.heard && rig.store.recordings.messages().unwrap()[0].1.heard);
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty(), "the sidecar says so too");
    assert_eq!(rig.store.recordings.unannounced().unwrap(), [recording(1)], "the log has not heard of it by that");

    rig.writer.command(RecorderCommand::Discard { recording: recording(1), told: true });
    // Twice is no fault.
    rig.writer.command(RecorderCommand::Discard { recording: recording(1), told: true });
    rig.run(1_000);
    assert!(kept(&rig, true));
    assert_eq!(rig.store.recordings.row(recording(1)).unwrap(), None);
    assert!(rig.store.recordings.messages().unwrap().is_empty());
    let untold: Vec<bool> = rig.store.recordings.untold().unwrap().iter().map(|u| u.gone).collect();
    assert_eq!(untold, [false, true], "nor of this, both times");
    assert!(!rig.folder().audio(recording(1)).exists() && !rig.folder().sidecar(recording(1)).exists());
}

#[test]
fn a_greeting_counts_only_once_it_is_kept_and_a_lost_index_knows_that_too() {
    let mut rig = Rig::new();
    let mailbox = crate::ids::Number::from("201");
    for n in [1, 2] {
        let about = About { mailbox: Some(mailbox.clone()), greeting: true, ..about(n) };
        rig.writer.command(RecorderCommand::Begin { at: rig.now, about });
        rig.run(3_000);
        rig.end(n);
        rig.run(1_000);
    }
    let all = |rig: &Rig| rig.store.recordings.greetings().unwrap();
    assert_eq!((all(&rig).kept, all(&rig).unkept), (vec![], vec![recording(1), recording(2)]));
    rig.disk.set_broken(true);
    rig.writer.command(RecorderCommand::Keep { recording: recording(1) });
    rig.run(400);
    let told = |rig: &Rig| rig.reports.contains(&RecorderReport::Kept { recording: recording(1), gone: false });
    assert!(!told(&rig) && all(&rig).kept.is_empty());
    rig.disk.set_broken(false);
    rig.run(1_000);
    assert!(told(&rig));
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty(), "the sidecar says so too");
    let (folder, disk) = (rig.folder(), rig.disk.clone());
    crate::recorder::repair::rebuild(&folder, &rig.store.recordings, &rig.store.conversations, &disk).unwrap();
    assert_eq!((all(&rig).kept, all(&rig).unkept), (vec![(mailbox, recording(1))], vec![recording(2)]));
    let json = serde_json::to_string(&row).unwrap();
    assert!(
        !json.contains("kept") && serde_json::from_str::<Recording>(&json).unwrap() == row,
        "one of before there were marks counts"
    );
}

#[test]
fn of_a_refused_recording_nothing_is_left_on_disk_and_in_the_index_also_after_a_kill() {
    let refused = |n: u64| RecorderCommand::Describe(About { refused: true, ..about(n) });
    let lies = |folder: &Folder, n: u64| {
        let id = recording(n);
        [folder.audio(id), folder.drawing(id), folder.sidecar(id)].iter().any(|path| path.exists())
    };
    let mut rig = Rig::new();
    for n in 1..=3 {
        rig.begin(n);
    }
    rig.run(2_000);
    rig.writer.command(refused(1));
    rig.end(1);
    rig.disk.set_broken(true);
    rig.run(1_000);
    let gone = |r: &RecorderReport| matches!(r, RecorderReport::Discarded { recording: id, .. } if *id == recording(1));
    assert!(rig.clerk.trouble().is_some() && !rig.reports.iter().any(gone), "told when it is durable");
    rig.disk.set_broken(false);
    rig.run(1_000);
    assert_eq!((rig.reports.iter().filter(|r| gone(r)).count(), finished(&rig.reports).len()), (1, 0));
    assert!(rig.store.recordings.row(recording(1)).unwrap().is_none() && !lies(&rig.folder(), 1));
    // It is known as refused when the power fails.
    rig.writer.command(refused(2));
    rig.run(200);
    assert!(rig.store.recordings.row(recording(2)).unwrap().unwrap().refused, "the row says so");
    let (root, disk, _) = rig.kill();
    let store = super::super::rig::open_store(root.path(), &disk);
    assert!(store.recordings.row(recording(2)).unwrap().unwrap().refused, "and still does");
    let repaired = crate::recorder::repair::repair(&store, &disk).unwrap();
    assert_eq!(repaired.iter().map(|r| r.finished.recording).collect::<Vec<_>>(), [recording(3)]);
    assert!(store.recordings.row(recording(2)).unwrap().is_none() && !lies(&store.folder, 2) && lies(&store.folder, 3));
    store.close();
}

#[test]
fn what_is_refused_when_it_has_ended_goes_too_whether_it_is_closed_or_not() {
    let mut rig = Rig::new();
    for n in 1..=2 {
        rig.begin(n);
    }
    rig.run(1_000);
    rig.end(1);
    rig.run(1_000);
    assert_eq!(finished(&rig.reports).len(), 1);
    rig.end(2);
    for n in 1..=2 {
        let refuse = RecorderCommand::Refuse { conversation: about(n).conversation, recording: recording(n) };
        rig.writer.command(refuse.clone());
        rig.writer.command(refuse);
    }
    rig.run(1_000);
    for n in 1..=2 {
        let told = RecorderReport::Discarded { conversation: about(n).conversation, recording: recording(n) };
        assert!(rig.reports.contains(&told));
        assert!(rig.store.recordings.row(recording(n)).unwrap().is_none());
        assert!(!rig.folder().audio(recording(n)).exists() && !rig.folder().sidecar(recording(n)).exists());
    }
    assert_eq!((finished(&rig.reports).len(), rig.clerk.open()), (1, 0));
}
