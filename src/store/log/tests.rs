//! The log as a whole, on real files and on a disk that runs full.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::clock::Wall;
use crate::event::{Kind, LogLost, SystemStopping};
use crate::store::disk::RealDisk;
use crate::store::disk::faulty::FaultyDisk;

const SMALL: LogOptions =
    LogOptions { segment_bytes: 2_000, retain_bytes: 1 << 30, reserve_bytes: 0, backlog: 1_000, retry: Duration::from_millis(2) };

fn event(n: u64) -> Event {
    Event {
        at: Wall::from_micros(n as i64),
        conversation: None,
        kind: Kind::SystemStopping(SystemStopping { live_conversations: n, drain_ms: 0 }),
    }
}

/// What [`event`] was made of.
fn number(stored: &Stored) -> Option<u64> {
    match &stored.event.kind {
        Kind::SystemStopping(s) => Some(s.live_conversations),
        _ => None,
    }
}

fn deaf() -> Health {
    Arc::new(|_, _| {})
}

fn open(folder: &TempDir, options: LogOptions) -> Log {
    Log::open(folder.path(), options, Arc::new(RealDisk), System::start(), deaf()).unwrap()
}

#[test]
fn the_first_events_survive_a_power_cut_with_the_folders_that_were_made_for_them() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("data/events");
    let disk = Arc::new(FaultyDisk::with_free(1 << 30));
    let log = Log::open(&folder, SMALL, disk.clone(), System::start(), deaf()).unwrap();
    for n in 1..=7 {
        log.append([event(n)]);
    }
    log.close();
    disk.cut_power();
    let log = Log::open(&folder, SMALL, Arc::new(RealDisk), System::start(), deaf()).unwrap();
    assert_eq!(log.last(), 7);
}

fn read_all(log: &Log, since: u64) -> Vec<Stored> {
    let mut reader = log.since(since).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// Waits for a fact; the deadline is only there for a broken build.
fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let clock = System::start();
    while !fact() {
        assert!(clock.mono() < crate::clock::Mono::from_millis(20_000), "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn numbers_go_on_over_restarts_and_segments_without_gap() {
    let folder = TempDir::new().unwrap();
    for round in 0..5 {
        let log = open(&folder, SMALL);
        assert_eq!(log.last(), round * 40);
        for n in 0..40 {
            log.append([event(round * 40 + n + 1)]);
        }
        log.close();
        assert_eq!(log.last(), (round + 1) * 40);
    }
    let log = open(&folder, SMALL);
    for since in [0, 1, 39, 40, 41, 199, 200] {
        let read = read_all(&log, since);
        assert!(read.iter().map(|s| s.sequence).eq(since + 1..=200), "since {since}");
        assert!(read.iter().all(|s| number(s) == Some(s.sequence)));
    }
    assert!(matches!(log.since(201), Err(LogError::Ahead { last: 200 })));
    assert!(segment::list(folder.path()).unwrap().len() >= 5);
}

#[test]
fn retention_removes_the_oldest_segments_and_an_old_reader_hears_what_is_kept() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions { retain_bytes: 6_000, ..SMALL });
    for n in 1..=300 {
        log.append([event(n)]);
        until("durable", || log.last() == n);
    }
    let first = log.first_kept();
    assert!(first > 200, "{first}");
    let Err(LogError::Gone { first_kept }) = log.since(3) else { panic!("kept too long") };
    assert_eq!(first_kept, first);
    assert!(read_all(&log, first - 1).iter().map(|s| s.sequence).eq(first..=300));
    let bytes: u64 = segment::list(folder.path()).unwrap().iter().map(|s| s.bytes).sum();
    assert!(bytes < 10_000, "{bytes}");
}

#[test]
fn damage_in_an_old_segment_is_stepped_over_and_reported() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, SMALL);
    for n in 1..=100 {
        log.append([event(n)]);
        until("durable", || log.last() == n);
    }
    log.close();
    let segments = segment::list(folder.path()).unwrap();
    let hurt = &segments[1];
    let mut bytes = std::fs::read(&hurt.path).unwrap();
    bytes[300] ^= 0x40;
    std::fs::write(&hurt.path, bytes).unwrap();
    // And one cut short in the middle.
    let cut = &segments[3];
    std::fs::OpenOptions::new().write(true).open(&cut.path).unwrap().set_len(cut.bytes / 2).unwrap();

    let log = open(&folder, SMALL);
    assert_eq!(log.last(), 100);
    let mut reader = log.since(0).unwrap();
    let read: Vec<Stored> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    assert!(read.iter().all(|s| number(s) == Some(s.sequence)));
    let damage = reader.damage();
    let lost: u64 = damage.iter().map(|d| d.lost.1 - d.lost.0 + 1).sum();
    assert_eq!(read.len() as u64 + lost, 100);
    assert_eq!((damage.len(), damage[0].path.clone(), damage[1].path.clone()), (2, hurt.path.clone(), cut.path.clone()));
}

/// What health heard.
fn listening() -> (Health, Arc<Mutex<Vec<Option<String>>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = heard.clone();
    (Arc::new(move |_, trouble| into.lock().unwrap().push(trouble.map(str::to_owned))), heard)
}

#[test]
fn a_full_disk_uses_the_reserve_then_waits_then_counts_what_it_lost() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::with_free(20_000);
    let (health, heard) = listening();
    let options = LogOptions { reserve_bytes: 10_000, backlog: 50, segment_bytes: 1 << 20, ..SMALL };
    let log = Log::open(folder.path(), options, Arc::new(disk.clone()), System::start(), health).unwrap();
    let mut sent = 0;
    let mut send = |log: &Log| {
        sent += 1;
        log.append([event(sent)]);
        sent
    };
    // Up to the reserve and on into it.
    while heard.lock().unwrap().is_empty() {
        let n = send(&log);
        until("durable", || log.last() == n);
    }
    assert!(heard.lock().unwrap()[0].as_ref().unwrap().contains("reserve"), "{heard:?}");
    // Until nothing fits any more and the backlog is full.
    let mut stuck_at = 0;
    for _ in 0..400 {
        let n = send(&log);
        stuck_at = n;
        until("durable or waiting", || log.last() == n || log.waiting() > 0);
    }
    assert!(log.last() < stuck_at);
    let before = log.last();
    disk.set_free(1 << 20);
    until("the disk is back", || log.waiting() == 0 && heard.lock().unwrap().last().unwrap().is_none());
    let next = send(&log);
    until("the new event", || read_all(&log, 0).last().and_then(number) == Some(next));
    log.close();

    let read = read_all(&log, 0);
    assert!(read.iter().map(|s| s.sequence).eq(1..=log.last()), "the numbers have no gap");
    assert!(log.last() > before);
    let lost: Vec<(usize, u64)> = read
        .iter()
        .enumerate()
        .filter_map(|(i, s)| match s.event.kind {
            Kind::LogLost(LogLost { events }) => Some((i, events)),
            _ => None,
        })
        .collect();
    let [(place, events)] = lost[..] else { panic!("one event for all that was lost: {lost:?}") };
    // It stands exactly where they are missing.
    assert_eq!(number(&read[place - 1]).unwrap() + events + 1, number(&read[place + 1]).unwrap());
    assert_eq!(read.len() as u64 - 1 + events, next);
}

#[test]
fn a_broken_disk_loses_nothing_while_the_backlog_has_room() {
    let folder = TempDir::new().unwrap();
    let disk = FaultyDisk::with_free(1 << 20);
    let (health, heard) = listening();
    let log = Log::open(folder.path(), SMALL, Arc::new(disk.clone()), System::start(), health).unwrap();
    log.append((1..=10).map(event));
    until("durable", || log.last() == 10);
    disk.set_broken(true);
    log.append((11..=60).map(event));
    until("trouble", || !heard.lock().unwrap().is_empty());
    assert_eq!(log.last(), 10);
    disk.set_broken(false);
    until("all of it", || log.last() == 60);
    log.close();
    assert!(read_all(&log, 0).iter().all(|s| number(s) == Some(s.sequence)));
    assert_eq!(heard.lock().unwrap().last(), Some(&None));
}

#[tokio::test]
async fn a_follower_sees_old_and_new_events_once_each_and_in_order() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, SMALL);
    log.append((1..=700).map(event));
    until("durable", || log.last() == 700);
    let mut old = log.follow(Some(0)).unwrap();
    let mut new = log.follow(None).unwrap();
    let appender = {
        let log = log.clone();
        std::thread::Builder::new().spawn(move || (701..=1_500).for_each(|n| log.append([event(n)]))).unwrap()
    };
    for n in 1..=1_500 {
        assert_eq!(old.next().await.unwrap().sequence, n);
        if n > 700 {
            assert_eq!(new.next().await.unwrap().sequence, n);
        }
    }
    appender.join().unwrap();
}

#[tokio::test]
async fn a_follower_that_is_too_slow_is_cut_and_resumes_by_number() {
    let folder = TempDir::new().unwrap();
    let log = open(&folder, LogOptions { backlog: 100_000, segment_bytes: 1 << 20, ..SMALL });
    let mut slow = log.follow(None).unwrap();
    let all = LIVE as u64 + 10;
    log.append((1..=all).map(event));
    until("durable", || log.last() == all);
    assert!(matches!(slow.next().await, Err(LogError::TooSlow)));
    assert!(matches!(slow.next().await, Err(LogError::Closed)));
    let mut again = log.follow(Some(slow.position())).unwrap();
    for n in 1..=all {
        assert_eq!(again.next().await.unwrap().sequence, n);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The oracle: whatever was durable before the kill and lies before the cut is there after it, and numbers neither repeat nor skip.
    #[test]
    fn a_log_cut_anywhere_at_its_end_loses_only_what_was_cut(rounds in prop::collection::vec((1u64..60, 0u64..600), 1..5)) {
        let folder = TempDir::new().unwrap();
        let mut last = 0;
        for (events, cut) in rounds {
            let log = open(&folder, SMALL);
            prop_assert_eq!(log.last(), last);
            for n in 1..=events {
                log.append([event(last + n)]);
            }
            log.close();
            let active = segment::list(folder.path()).unwrap().pop().unwrap();
            let bytes = std::fs::read(&active.path).unwrap();
            let kept = bytes.len().saturating_sub(cut as usize);
            std::fs::write(&active.path, &bytes[..kept]).unwrap();
            last = segment::tail(&active.path, active.first, &bytes[..kept]).last;

            let log = open(&folder, SMALL);
            let read = read_all(&log, 0);
            prop_assert!(read.iter().map(|s| s.sequence).eq(1..=last));
            prop_assert!(read.iter().all(|s| number(s) == Some(s.sequence)));
            log.append([event(last + 1)]);
            log.close();
            last += 1;
            prop_assert_eq!(log.last(), last);
        }
    }
}
