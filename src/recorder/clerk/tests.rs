//! Writer and clerk together, on virtual time and on disks in trouble.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::repair::repair;
use super::super::rig::{Rig, about, frame, open_store, recording};
use super::super::verify::{self, How};
use super::*;
use crate::clock::Wall;
use crate::ids::StaffNumber;
use crate::media::Side;
use crate::store::database::{Change, Database, Entry, Memory, Order, Tree};
use crate::store::disk::RealDisk;
use crate::store::recordings::{Filter, Kind};
use crate::switch::event::RecordingFinished;
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
fn one_that_cannot_be_helped_does_not_keep_the_others_waiting() {
    let mut rig = Rig::new();
    // A file that can't be removed.
    let stuck = rig.folder().audio(recording(500));
    std::fs::create_dir_all(&stuck).unwrap();
    rig.writer.command(RecorderCommand::Discard { recording: recording(500), told: true });
    for n in 0..100 {
        rig.begin(n);
    }
    let mut rounds = 0;
    loop {
        rig.round();
        rounds += 1;
        assert!(rig.clerk.trouble().is_some());
        if !rig.clerk.has_more() {
            break;
        }
    }
    assert_eq!((rounds, rig.reports.len()), (2, 100));
    std::fs::remove_dir(&stuck).unwrap();
    rig.round();
    assert!(rig.clerk.trouble().is_none());
}

/// An index that can be in trouble, and knows what it was told to keep.
#[derive(Default)]
struct Index {
    rows: Memory,
    broken: AtomicBool,
    unflushed: AtomicUsize,
}

impl Database for Index {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.rows.get(tree, key)
    }

    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        self.rows.page(tree, from, to, order, most)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(DatabaseError::Closed);
        }
        self.unflushed.fetch_add(1, Ordering::SeqCst);
        self.rows.commit(changes)
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        self.unflushed.store(0, Ordering::SeqCst);
        Ok(())
    }
}

fn rig_on(index: &Arc<Index>) -> Rig {
    let mut rig = Rig::new();
    rig.clerk = Clerk::new(Arc::new(rig.disk.clone()), rig.folder(), Recordings::new(index.clone()));
    rig
}

#[test]
fn while_the_index_is_in_trouble_no_sidecar_is_written_twice() {
    let index = Arc::new(Index::default());
    let mut rig = rig_on(&index);
    rig.begin(2);
    rig.run(1_000);
    rig.end(2);
    index.broken.store(true, Ordering::SeqCst);
    rig.begin(1);
    rig.run(1_000);
    let before = rig.disk.files_made();
    rig.run(2_000);
    assert_eq!(rig.disk.files_made(), before);
    assert!(rig.clerk.trouble().is_some() && rig.reports.len() == 1);
    // What is known meanwhile is written.
    rig.writer.command(RecorderCommand::Describe(About { queue: Some("support".into()), ..about(1) }));
    rig.run(1_000);
    assert_eq!(rig.disk.files_made(), before + 1);
    index.broken.store(false, Ordering::SeqCst);
    rig.run(400);
    assert_eq!((finished(&rig.reports).len(), rig.reports.len(), rig.clerk.trouble()), (1, 3, None));
    let row = Recordings::new(index.clone()).row(recording(1)).unwrap().unwrap();
    assert_eq!(row.queue, Some("support".into()));
    assert_eq!(index.unflushed.load(Ordering::SeqCst), 0);
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
fn no_file_of_a_call_that_has_ended_stays_open_while_the_clerk_is_behind() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.run(1_000);
    let open = rig.disk.open_files();
    rig.clerk_is_behind = true;
    rig.begin(2);
    rig.run(11_000);
    assert!(rig.writer.outbox.iter().any(|job| matches!(job, Job::Sync { recording: id, .. } if *id == recording(2))));
    rig.end(2);
    rig.run(1_000);
    assert_eq!(rig.disk.open_files(), open);
    rig.clerk_is_behind = false;
    rig.run(400);
    assert_eq!((finished(&rig.reports).len(), rig.clerk.trouble()), (1, None));
}

#[test]
fn the_first_frame_after_a_hang_finds_in_the_file_what_the_hang_left_out() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.run(1_000);
    rig.now += std::time::Duration::from_secs(300);
    rig.writer.frame(&frame(recording(1), rig.now, Side::Said), &mut |_| {});
    let length = std::fs::metadata(rig.folder().audio(recording(1))).unwrap().len();
    assert!(length > 300_000 * 32, "{length}");
    rig.end(1);
    rig.run(1_000);
    assert_eq!(finished(&rig.reports)[0].duration_ms, 301_000);
    let row = rig.store.recordings.row(recording(1)).unwrap().unwrap();
    assert!(verify::row(&rig.folder(), &row, STRICT).is_empty());
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
    let store = open_store(root.path(), &disk);
    assert!(store.recordings.row(recording(2)).unwrap().unwrap().refused, "and still does");
    let repaired = repair(&store, &disk, Wall::default()).unwrap();
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

/// What is reported outlives a power cut; and the cut takes what was not synced, or this would say nothing.
#[test]
fn what_is_reported_outlives_a_power_cut_and_of_a_running_one_what_was_synced() {
    let cut = |rig: Rig| {
        let (root, disk, _) = rig.kill();
        disk.cut_power();
        let store = open_store(root.path(), &disk);
        (root, disk, store)
    };
    let mut rig = Rig::new();
    rig.clerk_is_behind = true;
    rig.begin(1);
    rig.run(1_000);
    assert!(rig.folder().audio(recording(1)).exists() && rig.folder().sidecar(recording(1)).exists());
    let (_root, _, store) = cut(rig);
    assert!(!store.folder.audio(recording(1)).exists() && !store.folder.sidecar(recording(1)).exists());
    store.close();

    let mut rig = Rig::new();
    rig.begin(1);
    rig.round();
    assert!(matches!(rig.reports[..], [RecorderReport::Started { .. }]));
    let (_root, _, store) = cut(rig);
    let row = store.recordings.row(recording(1)).unwrap().unwrap();
    let faults = verify::row(&store.folder, &row, How { hash: true, live: true });
    assert!(faults.is_empty(), "{faults:?}");
    store.close();

    let mut rig = Rig::new();
    rig.begin(1);
    rig.begin(2);
    rig.run(12_000);
    rig.end(1);
    rig.run(1_000);
    assert_eq!(finished(&rig.reports).len(), 1);
    let (_root, disk, store) = cut(rig);
    let row = store.recordings.row(recording(1)).unwrap().unwrap();
    let faults = verify::row(&store.folder, &row, STRICT);
    assert!(faults.is_empty(), "{faults:?}");
    let repaired = repair(&store, &disk, Wall::default()).unwrap();
    let lasts = repaired.iter().find(|r| r.finished.recording == recording(2)).unwrap().finished.duration_ms;
    assert!((9_500..11_000).contains(&lasts), "{lasts}");
    store.close();
}

#[test]
fn what_is_refused_when_it_is_closed_goes_with_its_row_first_and_a_kill_brings_nothing_back() {
    let refuse = |n| RecorderCommand::Refuse { conversation: about(n).conversation, recording: recording(n) };
    let mut rig = Rig::new();
    for n in 1..=4 {
        rig.begin(n);
    }
    rig.run(1_000);
    (1..=3).for_each(|n| rig.end(n));
    rig.run(1_000);
    assert_eq!(finished(&rig.reports).len(), 3);
    // Of a full disk too.
    rig.disk.set_free(0);
    rig.writer.command(refuse(3));
    rig.round();
    assert!(rig.reports.iter().any(|r| matches!(r, RecorderReport::Discarded { .. })), "{:?}", rig.clerk.trouble());
    rig.disk.set_free(1 << 30);
    // One is refused when it is closed, the other with its end; and of neither the sound can be removed.
    for n in [1, 4] {
        rig.disk.hold(&rig.folder().audio(recording(n)));
        rig.writer.command(refuse(n));
    }
    rig.end(4);
    rig.run(1_000);
    assert!(rig.clerk.trouble().is_some());
    assert_eq!(rig.reports.iter().filter(|r| matches!(r, RecorderReport::Discarded { .. })).count(), 1);
    let (root, disk, _) = rig.kill();
    let store = open_store(root.path(), &disk);
    for n in [1, 4] {
        assert!(store.recordings.row(recording(n)).unwrap().is_none() && store.folder.audio(recording(n)).exists());
    }
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    assert_eq!(repaired.iter().map(|r| r.finished.recording).collect::<Vec<_>>(), [recording(2)]);
    for n in [1, 3, 4] {
        assert!(store.recordings.row(recording(n)).unwrap().is_none());
        assert!(!store.folder.audio(recording(n)).exists() && !store.folder.sidecar(recording(n)).exists());
    }
    store.close();
}

/// A take that could not be begun is discarded as failed, and begins when there is room.
#[test]
fn what_is_discarded_before_it_is_closed_goes_at_its_end() {
    let mut rig = Rig::new();
    rig.disk.set_free(0);
    rig.writer.command(RecorderCommand::Begin { at: rig.now, about: About { prompt: true, ..about(1) } });
    rig.run(400);
    assert!(matches!(rig.reports[..], [RecorderReport::Failed { .. }]));
    rig.writer.command(RecorderCommand::Discard { recording: recording(1), told: false });
    rig.run(400);
    rig.disk.set_free(1 << 30);
    rig.run(2_000);
    assert!(rig.folder().audio(recording(1)).exists());
    rig.writer.command(RecorderCommand::Describe(About { prompt: true, ..about(1) }));
    rig.end(1);
    rig.run(1_000);
    let gone = RecorderReport::Kept { recording: recording(1), gone: true };
    assert!(rig.reports.contains(&gone) && finished(&rig.reports).is_empty(), "{:?}", rig.reports);
    assert!(rig.store.recordings.row(recording(1)).unwrap().is_none());
    assert!(!rig.folder().audio(recording(1)).exists() && !rig.folder().sidecar(recording(1)).exists());
}

/// As Linux has it, the next sync succeeds without what the one that failed was to write.
#[test]
fn what_a_failed_sync_may_have_lost_is_written_anew_and_told() {
    let mut rig = Rig::new();
    // Of the first its beginning fails, of the second a sync while it runs, of the third the last one.
    let audio = |n| rig.folder().audio(recording(n));
    let (first, second, third) = (audio(1), audio(2), audio(3));
    rig.disk.fail_sync(&first);
    (1..=4).for_each(|n| rig.begin(n));
    rig.run(1_000);
    assert_eq!(rig.reports.len(), 4, "begun: {:?}", rig.reports);
    rig.disk.fail_sync(&second);
    rig.run(10_000);
    rig.disk.fail_sync(&third);
    (1..=4).for_each(|n| rig.end(n));
    rig.run(1_000);
    let gaps: BTreeMap<RecordingId, u64> = rig
        .reports
        .iter()
        .filter_map(|r| match r {
            RecorderReport::Gap { recording, reason, gap_ms, .. } if reason == "disk" => Some((*recording, *gap_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, (1..=3).map(|n| (recording(n), 10_000)).collect());
    assert_eq!((finished(&rig.reports).len(), rig.clerk.trouble()), (4, None));
    let (root, disk, _) = rig.kill();
    disk.cut_power();
    let store = open_store(root.path(), &disk);
    for n in 1..=4 {
        let row = store.recordings.row(recording(n)).unwrap().unwrap();
        let faults = verify::row(&store.folder, &row, STRICT);
        assert!(faults.is_empty(), "{n}: {faults:?}");
    }
    store.close();
}
