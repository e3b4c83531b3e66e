//! Kills, and what the next start makes of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::catalogue::ApiAccess;
use super::super::command_line::{Command, Format, Outcome, Which, run};
use super::super::rig::{Rig, START_MS, open_store, recording};
use super::super::verify::{self, How};
use super::*;
use crate::clock::Mono;
use crate::event::{CallStarted, Event, Kind, RecordingRefused};
use crate::ids::LegId;
use crate::store::disk::RealDisk;
use crate::store::index_folder;
use crate::store::recordings::Filter;
use crate::switch::input::RecorderReport;

const STRICT: How = How { hash: true, live: false };

fn api() -> ApiAccess {
    ApiAccess { base: "http://127.0.0.1:9".into(), token: None }
}

/// Row, sidecar and file of all recordings agree, all are closed, and hound reads each to its end.
fn all_is_well(store: &Store) {
    let rows = store.recordings.search(&Filter { limit: 1_000, ..Filter::default() }).unwrap().items;
    for row in &rows {
        let faults = verify::row(&store.folder, row, STRICT);
        assert!(faults.is_empty(), "{} {:?}: {faults:?}", row.id, row.state);
        let mut wav = hound::WavReader::open(store.folder.audio(row.id)).unwrap();
        assert!(wav.samples::<i16>().all(|s| s.is_ok()));
    }
    let seen = rows.iter().map(|r| r.id).collect();
    assert_eq!(verify::strays(&store.folder, &seen).unwrap(), []);
}

fn tell(store: &Store, repaired: &[Repaired]) {
    let told = |r: &Repaired| Event {
        at: Wall::default(),
        conversation: Some(r.conversation),
        kind: Kind::RecordingRepaired(r.finished.clone()),
    };
    let last = store.log.last() + repaired.len() as u64;
    store.log.append(repaired.iter().map(told));
    store.log.wait_past(last - 1, std::time::Duration::from_secs(20));
}

#[test]
fn a_kill_costs_at_most_half_a_second_and_is_told_until_the_log_has_it() {
    let mut rig = Rig::new();
    for n in 0..25 {
        rig.begin(n);
    }
    rig.run(2_980);
    rig.end(3);
    rig.run(1_000);
    let (root, disk, reports) = rig.kill();
    let done: Vec<_> = reports.iter().filter(|r| matches!(r, RecorderReport::Finished { .. })).collect();
    assert_eq!(done.len(), 1);

    for round in 0..2 {
        let store = open_store(root.path(), &disk);
        let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
        assert_eq!(repaired.len(), 25, "round {round}: nobody has told the log");
        for r in &repaired {
            let least = if r.finished.recording == recording(3) { 2_980 } else { 3_980 - 500 };
            assert!(r.finished.duration_ms >= least && r.finished.duration_ms <= 3_980, "{}", r.finished.duration_ms);
        }
        all_is_well(&store);
        if round == 1 {
            tell(&store, &repaired);
        }
        store.close();
    }
    let store = open_store(root.path(), &disk);
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    store.close();
}

#[test]
fn a_kill_while_the_clerk_is_behind_costs_no_more_and_the_log_gets_to_know_the_calls() {
    let mut rig = Rig::new();
    rig.clerk_is_behind = true;
    for n in 0..25 {
        rig.begin(n);
    }
    rig.run(1_980);
    let (root, disk, reports) = rig.kill();
    assert_eq!(reports, []);
    let store = open_store(root.path(), &disk);
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    assert_eq!(repaired.len(), 25);
    assert!(repaired.iter().all(|r| (1_480..=1_980).contains(&r.finished.duration_ms)), "{repaired:?}");
    all_is_well(&store);
    let recovered = store.recovered(repaired.clone()).unwrap();
    let told: Vec<_> = recovered.unlogged.iter().map(|u| (u.conversation, u.started.customer_number.clone())).collect();
    let abouts = (0..25).map(super::super::rig::about);
    assert_eq!(told, abouts.map(|about| (about.conversation, about.customer_number)).collect::<Vec<_>>());
    // Killed again after the first of them.
    let first = recovered.unlogged[0].clone();
    let last = store.log.last() + 1;
    let kind = Kind::CallStarted(first.started);
    store.log.append([Event { at: Wall::default(), conversation: Some(first.conversation), kind }]);
    store.log.wait_past(last - 1, std::time::Duration::from_secs(20));
    store.close();
    drop(store);
    let store = open_store(root.path(), &disk);
    let recovered = store.recovered(repair(&store, &RealDisk, Wall::default()).unwrap()).unwrap();
    assert_eq!((recovered.repaired.len(), recovered.unlogged.len()), (25, 24));
    assert_eq!(recovered.open.iter().map(|open| open.conversation).collect::<Vec<_>>(), [first.conversation]);
    store.close();
}

/// Everything that a kill between two steps of its beginning leaves, and what of it a power cut leaves.
#[test]
fn whatever_is_there_of_a_beginning_is_made_whole() {
    let remove = |paths: &[PathBuf]| paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let cut = |path: &PathBuf, len: u64| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
    let about = super::super::rig::about(1);
    let unknown = ConversationId::from_bytes(recording(1).to_bytes());
    // What is there; whether the row is; whose it is then.
    let states = [
        ("a sidecar", false, about.conversation),
        ("a sidecar and a WAV without its header", false, about.conversation),
        ("a sidecar and a WAV without samples", false, about.conversation),
        ("all files", false, about.conversation),
        ("a WAV", false, unknown),
        ("a WAV and an empty sidecar", false, unknown),
        ("an empty sidecar", false, unknown),
        ("nothing", true, about.conversation),
        ("a sidecar", true, about.conversation),
        ("a WAV", true, about.conversation),
        ("all files", true, about.conversation),
    ];
    for (there, has_row, conversation) in states {
        let mut rig = Rig::new();
        // As after any start: the index is not made anew at the next.
        rig.store.recordings.set_whole().unwrap();
        rig.clerk_is_behind = !has_row;
        rig.begin(1);
        rig.run(1_000);
        let (root, disk, _) = rig.kill();
        let store = open_store(root.path(), &disk);
        let (audio, drawing) = (store.folder.audio(recording(1)), store.folder.drawing(recording(1)));
        let sidecar = store.folder.sidecar(recording(1));
        let half = sidecar.with_extension("json.new");
        std::fs::write(&half, b"{").unwrap();
        match there {
            "nothing" => remove(&[audio, drawing, sidecar]),
            "a sidecar" => remove(&[audio, drawing]),
            "a sidecar and a WAV without its header" => cut(&audio, 7),
            "a sidecar and a WAV without samples" => cut(&audio, 44),
            "a WAV" => remove(&[drawing, sidecar]),
            "a WAV and an empty sidecar" => cut(&sidecar, 0),
            "an empty sidecar" => {
                cut(&sidecar, 0);
                remove(&[audio, drawing]);
            }
            _ => {}
        }
        let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
        assert_eq!(repaired.iter().map(|r| r.conversation).collect::<Vec<_>>(), [conversation], "{there}, row {has_row}");
        all_is_well(&store);
        assert!(!half.exists());
        assert_eq!(store.recovered(repaired.clone()).unwrap().unlogged.len(), 1, "{there}, row {has_row}");
        tell(&store, &repaired);
        store.close();
        drop(store);
        let store = open_store(root.path(), &disk);
        assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), [], "{there}, row {has_row}");
        store.close();
    }
}

#[test]
fn a_clock_that_was_years_ahead_hides_nothing() {
    let mut rig = Rig::new();
    rig.store.recordings.set_whole().unwrap();
    rig.clerk_is_behind = true;
    rig.begin(1);
    rig.run(1_000);
    let (root, disk, _) = rig.kill();
    let store = open_store(root.path(), &disk);
    for day in ["01", "02", "03"] {
        std::fs::create_dir_all(store.folder.root().join("2090/01").join(day)).unwrap();
    }
    let today = Wall::from_micros(START_MS as i64 * 1_000);
    let repaired = repair(&store, &RealDisk, today).unwrap();
    assert_eq!(repaired.iter().map(|r| r.finished.recording).collect::<Vec<_>>(), [recording(1)]);
    all_is_well(&store);
    store.close();
}

#[test]
fn what_was_not_laid_whole_is_no_recording() {
    let (root, disk, _) = Rig::new().kill();
    let store = open_store(root.path(), &disk);
    let half = store.folder.sidecar(recording(1)).with_extension("json.new");
    std::fs::create_dir_all(half.parent().unwrap()).unwrap();
    std::fs::write(&half, b"{").unwrap();
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    assert!(!half.exists());
    store.close();
}

#[test]
fn a_lost_index_is_made_anew_from_the_files() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.begin(n);
    }
    rig.run(1_000);
    for n in 0..4 {
        rig.end(n);
    }
    rig.run(1_000);
    let folder = rig.folder();
    let filter = Filter { limit: 100, ..Filter::default() };
    let mut before = rig.store.recordings.search(&filter).unwrap().items;
    let (root, disk, _) = rig.kill();
    std::fs::remove_dir_all(index_folder(root.path())).unwrap();
    // And one has lost its sidecar, another has half of it.
    std::fs::remove_file(folder.sidecar(recording(0))).unwrap();
    std::fs::write(folder.sidecar(recording(1)), b"{\"id\":").unwrap();
    std::fs::write(folder.day(recording(1)).join("x.json.new"), b"{").unwrap();

    let store = open_store(root.path(), &disk);
    assert!(store.index_is_new);
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    let ids: BTreeSet<_> = repaired.iter().map(|r| r.finished.recording).collect();
    assert_eq!(ids, [recording(0), recording(1), recording(4)].into());
    all_is_well(&store);
    let mut after = store.recordings.search(&filter).unwrap().items;
    let whole = |r: &Recording| r.id != recording(0) && r.id != recording(1) && r.id != recording(4);
    before.retain(whole);
    after.retain(whole);
    assert_eq!((after.len(), after), (2, before));
    assert!(!folder.day(recording(1)).join("x.json.new").exists());
    store.close();
}

#[test]
fn what_the_log_knows_as_refused_goes_also_where_its_row_is_closed() {
    let mut rig = Rig::new();
    for n in 1..=2 {
        rig.begin(n);
    }
    rig.run(1_000);
    for n in 1..=2 {
        rig.end(n);
    }
    rig.run(1_000);
    let (root, disk, _) = rig.kill();
    let store = open_store(root.path(), &disk);
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    assert_eq!(repaired.len(), 2);
    tell(&store, &repaired);
    // The power fails between the refusal and the end of the file.
    let started = CallStarted {
        direction: Direction::Inbound,
        leg: LegId::NOBODY,
        trunk: None,
        phone: None,
        customer_number: String::new(),
        called: String::new(),
        customer_e164: None,
        called_e164: None,
    };
    let refused = RecordingRefused { recording: recording(1) };
    let kinds = [Kind::CallStarted(started), Kind::RecordingRefused(refused)];
    let conversation = Some(super::super::rig::about(1).conversation);
    let last = store.log.last() + 2;
    store.log.append(kinds.map(|kind| Event { at: Wall::default(), conversation, kind }));
    store.log.wait_past(last - 1, std::time::Duration::from_secs(20));
    store.close();
    drop(store);
    let store = open_store(root.path(), &disk);
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    let left = |n| (store.recordings.row(recording(n)).unwrap().is_some(), store.folder.audio(recording(n)).exists());
    assert_eq!((left(1), left(2)), ((false, false), (true, true)));
    all_is_well(&store);
    store.close();
}

#[test]
fn a_rebuild_that_was_interrupted_is_begun_anew_and_nothing_is_told_twice() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.begin(n);
    }
    rig.run(1_000);
    for n in 0..5 {
        rig.end(n);
    }
    rig.run(1_000);
    let (root, disk, _) = rig.kill();
    let store = open_store(root.path(), &disk);
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    assert_eq!(repaired.len(), 5, "the log has not heard of them");
    tell(&store, &repaired);
    store.close();
    drop(store);

    let store = open_store(root.path(), &disk);
    assert!(!store.index_is_new);
    let one = store.recordings.row(recording(2)).unwrap().unwrap();
    // As far as this it comes.
    store.recordings.clear().unwrap();
    store.recordings.put(&one, true).unwrap();
    store.close();
    drop(store);

    let store = open_store(root.path(), &disk);
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    let found = store.recordings.search(&Filter { limit: 100, ..Filter::default() }).unwrap().items;
    assert_eq!(found.iter().map(|r| r.id).collect::<Vec<_>>(), [4, 3, 2, 1, 0].map(recording));
    all_is_well(&store);
    store.close();
    drop(store);
    assert!(!open_store(root.path(), &disk).index_is_new);
}

#[test]
fn a_rebuild_that_was_interrupted_tells_the_log_what_it_had_not_heard_of() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.begin(n);
    }
    rig.run(1_000);
    for n in 0..5 {
        rig.end(n);
    }
    rig.run(1_000);
    let (root, disk, _) = rig.kill();
    let store = open_store(root.path(), &disk);
    store.recordings.clear().unwrap();
    store.close();
    drop(store);

    let store = open_store(root.path(), &disk);
    let repaired = repair(&store, &RealDisk, Wall::default()).unwrap();
    assert_eq!(repaired.len(), 5);
    tell(&store, &repaired);
    store.close();
    drop(store);
    let store = open_store(root.path(), &disk);
    assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), []);
    store.close();
}

#[test]
fn the_command_line_lists_shows_verifies_exports_and_rebuilds() {
    let mut rig = Rig::new();
    rig.begin(1);
    rig.begin(2);
    rig.run(1_000);
    rig.end(1);
    rig.end(2);
    rig.run(1_000);
    let folder = rig.folder();
    let (root, ..) = rig.kill();
    let go = |command: Command| {
        let mut out = Vec::new();
        let outcome = run(&command, root.path(), &api(), &mut out);
        (outcome, String::from_utf8(out).unwrap())
    };
    let which = Which::default;
    let (outcome, list) = go(Command::List { which: which(), limit: 50, json: false });
    assert!(matches!(outcome, Ok(Outcome::Fine)));
    let places: Vec<_> = [2, 1].map(|n| list.find(&recording(n).to_string())).to_vec();
    assert!(places[0].is_some() && places[0] < places[1], "newest first:\n{list}");
    let number = Which { number: Some("0301234001".into()), ..which() };
    let (_, json) = go(Command::List { which: number.clone(), limit: 50, json: true });
    assert_eq!(json.lines().count(), 1);
    let (_, shown) = go(Command::Show { id: recording(1).to_string() });
    assert!(shown.contains("\"duration_ms\": 1000") && shown.trim_end().ends_with(".wav"));
    assert!(go(Command::Show { id: "../../etc/passwd".into() }).0.is_err());
    let (_, csv) = go(Command::Export { which: which(), format: Format::Csv });
    assert_eq!(csv.lines().count(), 3);
    assert!(matches!(go(Command::Verify { which: which(), quick: false }).0, Ok(Outcome::Fine)));

    // A flipped bit, a missing file, a stranger.
    let path = folder.audio(recording(1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::rename(folder.audio(recording(2)), folder.audio(recording(3))).unwrap();
    let (outcome, said) = go(Command::Verify { which: which(), quick: false });
    assert!(matches!(outcome, Ok(Outcome::Faults)));
    assert!(said.contains("SHA-256") && said.contains("WAV file is missing") && said.contains("not in the index"), "{said}");

    let (outcome, said) = go(Command::Rebuild);
    assert!(matches!(outcome, Ok(Outcome::Faults)) && said.contains("2 recordings indexed"), "{said}");

    let store = open_store(root.path(), &crate::store::disk::faulty::FaultyDisk::with_free(1 << 30));
    let (outcome, _) = go(Command::Rebuild);
    assert!(outcome.is_err_and(|e| e.to_string().contains("no switch is running")));
    let (outcome, _) = go(Command::List { which: which(), limit: 1, json: true });
    assert!(outcome.is_err_and(|e| e.to_string().contains("token")));
    store.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Kill at any moment, cut files anywhere, damage sidecars: the next start makes all of it whole, and the one after it changes nothing.
    #[test]
    fn whatever_a_kill_leaves_is_made_whole(
        calls in prop::collection::vec((0u64..2_000, prop::option::of(0u64..2_000)), 1..6),
        length in 0u64..3_000,
        cuts in prop::collection::vec((0usize..6, 0u64..20_000), 0..4),
        sidecars in prop::collection::vec((0usize..6, 0usize..400), 0..3),
        lose_index in any::<bool>(),
    ) {
        let mut rig = Rig::new();
        for ms in (0..length).step_by(20) {
            for (n, (begins, lasts)) in calls.iter().enumerate() {
                if ms <= *begins && *begins < ms + 20 {
                    rig.begin(n as u64);
                }
                if lasts.is_some_and(|l| ms <= begins + l && begins + l < ms + 20) {
                    rig.end(n as u64);
                }
            }
            rig.run(20);
        }
        let folder = rig.folder();
        prop_assert!(rig.now >= Mono::ZERO);
        let open: Vec<bool> = (0..calls.len())
            .map(|n| rig.store.recordings.row(recording(n as u64)).unwrap().is_some_and(|r| r.state == State::Recording))
            .collect();
        let (root, disk, _) = rig.kill();
        for (n, cut) in cuts {
            // Only files that were being written can be torn.
            if open.get(n) == Some(&true) {
                let path = folder.audio(recording(n as u64));
                let len = std::fs::metadata(&path).unwrap().len();
                std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len.min(cut)).unwrap();
            }
        }
        for (n, cut) in sidecars {
            if open.get(n) == Some(&true) {
                let path = folder.sidecar(recording(n as u64));
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len().min(cut)]).unwrap();
            }
        }
        if lose_index {
            std::fs::remove_dir_all(index_folder(root.path())).unwrap();
        }
        let store = open_store(root.path(), &disk);
        let first = repair(&store, &RealDisk, Wall::default()).unwrap();
        all_is_well(&store);
        let rows = store.recordings.search(&Filter::default()).unwrap().items;
        prop_assert!(rows.iter().all(|r| r.state != State::Recording));
        prop_assert_eq!(repair(&store, &RealDisk, Wall::default()).unwrap(), first);
        prop_assert_eq!(store.recordings.search(&Filter::default()).unwrap().items, rows);
        store.close();
    }
}
