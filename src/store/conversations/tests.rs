//! A customer's stay, told by events, as one row.

use std::time::Duration;

use super::*;
use crate::acd::PastEnd;
use crate::clock::Wall;
use crate::event::*;
use crate::ids::{LegId, QueueName, RecordingId, StaffNumber};
use crate::media::{Quality, Way};
use crate::route::Cause;
use crate::store::database::{Entry, Memory};
use crate::store::disk::RealDisk;
use crate::store::log::LogOptions;

fn id() -> ConversationId {
    ConversationId::from_parts(1_000, 1)
}

fn story() -> Vec<(u64, Kind)> {
    let bridge = Bridge {
        legs: [LegId(1), LegId(2)],
        phone: Some("201".into()),
        agent: Some("1024".into()),
        customer_agent: None,
        limits: None,
    };
    let recording = RecordingId::from_parts(1_100, 2);
    let hold = LegAction { leg: LegId(2), agent: Some("1024".into()), by: By::Phone };
    vec![
        (
            0,
            Kind::CallStarted(CallStarted {
                direction: Direction::Inbound,
                leg: LegId(1),
                trunk: Some("carrier".into()),
                phone: None,
                customer_number: "+4930123456".into(),
                called: "100".into(),
                customer_e164: Some("+4930123456".into()),
                called_e164: None,
            }),
        ),
        (100, Kind::CallAnswered(CallProgress { leg: LegId(1) })),
        (100, Kind::RecordingDecided(RecordingDecided { record: true, on_demand: false, rule: "inbound default".into() })),
        (110, Kind::RecordingStarted(RecordingStarted { recording })),
        (100, Kind::MenuEntered(MenuEntered { menu: "main".into(), node: "top".into(), language: "en".into() })),
        (900, Kind::MenuDigit(MenuDigit { menu: "main".into(), node: "top".into(), digit: "1".into() })),
        (900, Kind::MenuLeft(MenuLeft { menu: "main".into(), node: "top".into(), to: "queue:support".into() })),
        (900, Kind::QueueEntered(QueueEntered { queue: "support".into(), position: 1, waited_before_ms: 0 })),
        (
            1_000,
            Kind::QueueOffered(QueueOffered {
                queue: "support".into(),
                agent: "1024".into(),
                phone: "201".into(),
                phones: vec!["201".into()],
                waited_ms: 100,
                rings_for_ms: 15_000,
                callback: None,
                answer_within_ms: None,
            }),
        ),
        (
            3_000,
            Kind::QueueAnswered(QueueAnswered {
                queue: "support".into(),
                agent: "1024".into(),
                waited_ms: 2_100,
                rang_ms: 2_000,
                threshold_ms: Some(20_000),
                callback: None,
            }),
        ),
        (3_000, Kind::CallBridged(bridge.clone())),
        (5_000, Kind::CallHeld(hold.clone())),
        (6_000, Kind::CallResumed(hold)),
        (9_000, Kind::CallUnbridged(bridge)),
        (
            9_000,
            Kind::CallEnded(CallEnded {
                cause: Cause::Normal,
                status: Some(200),
                by: By::Customer,
                answered_ms: Some(8_900),
                talk_ms: 6_000,
                legs: vec![LegSummary {
                    leg: LegId(2),
                    peer: "phone:201".into(),
                    cause: Cause::Normal,
                    status: Some(200),
                    quality: None,
                    by: None,
                }],
            }),
        ),
        (
            9_050,
            Kind::RecordingFinished(RecordingFinished {
                recording,
                duration_ms: 8_900,
                bytes: 9,
                sha256: "a".into(),
                lost_ms: [0, 0],
            }),
        ),
    ]
}

fn events() -> Vec<Event> {
    let at = |ms: u64| Wall::from_micros((1_000 + ms) as i64 * 1_000);
    story().into_iter().map(|(ms, kind)| Event { at: at(ms), conversation: Some(id()), kind }).collect()
}

fn stored() -> Vec<Stored> {
    (1..).zip(events()).map(|(sequence, event)| Stored::new(sequence, event)).collect()
}

#[test]
fn a_whole_stay_becomes_one_row() {
    let row = stored().iter().fold(None, apply).unwrap();
    assert_eq!(
        (row.agents.as_slice(), row.queues.as_slice()),
        (&[StaffNumber::from("1024")][..], &[QueueName::from("support")][..])
    );
    assert_eq!((row.talk_ms, row.is_live(), row.intervals.len()), (6_000, false, 5));
    let lasted = |n: usize| row.intervals[n].to.unwrap().since(row.intervals[n].from).as_millis();
    assert!(
        matches!(&row.intervals[0].span, Span::Menu { digits, left_to: Some(to), .. } if digits == "1" && to == "queue:support")
    );
    assert!(matches!(&row.intervals[1].span, Span::Queue { outcome: QueueOutcome::Answered, waited_ms: Some(2_100), .. }));
    assert!(matches!(&row.intervals[2].span, Span::Offer { outcome: OfferOutcome::Answered, rang_ms: Some(2_000), .. }));
    assert!(matches!(&row.intervals[3].span, Span::Bridge { .. }) && lasted(3) == 6_000);
    assert!(matches!(&row.intervals[4].span, Span::Hold { .. }) && lasted(4) == 1_000);
    assert_eq!(row.recordings[0].state, RecordingOutcome::Finished);
    assert_eq!(row.legs.len(), 2);
    let json = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Conversation>(&json).unwrap(), row);
}

#[test]
fn stays_in_queues_are_found_by_when_their_calls_began() {
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    rows.take(&stored());
    let stays = rows.queue_stays(Wall::default()).unwrap();
    let told: Vec<_> = stays.iter().map(|stay| (stay.queue.as_str(), stay.how, stay.waited)).collect();
    assert_eq!(told, [("support", PastEnd::Answered, Duration::from_millis(2_100))]);
    assert_eq!(rows.queue_stays(Wall::from_micros(i64::MAX)).unwrap(), []);
}

#[test]
fn a_caller_whom_everybody_let_ring_for_hours_has_its_talk_told_all_the_same() {
    let (queue, agent) = (QueueName::from("support"), StaffNumber::from("1024"));
    let offered = QueueOffered {
        queue: queue.clone(),
        agent: agent.clone(),
        phone: "201".into(),
        phones: Vec::new(),
        waited_ms: 0,
        rings_for_ms: 20_000,
        callback: None,
        answer_within_ms: None,
    };
    let passed = QueueUnanswered { queue, agent, rang_ms: 20_000, cause: Cause::NoAnswer };
    let began = stored().into_iter().next().unwrap();
    let mut row = fold::apply(None, &began).unwrap();
    let mut sequence = began.sequence;
    let mut tell = |row, kind| {
        sequence += 1;
        let event = Event { at: Wall::from_micros(2_000_000), conversation: Some(id()), kind };
        fold::apply(Some(row), &Stored::new(sequence, event)).unwrap()
    };
    for _ in 0..500 {
        row = tell(row, Kind::QueueOffered(offered.clone()));
        row = tell(row, Kind::QueueUnanswered(passed.clone()));
    }
    assert_eq!(row.intervals.len() as u64 + row.intervals_dropped, 500);
    let talk = Bridge {
        legs: [LegId(1), LegId(2)],
        phone: Some("201".into()),
        agent: Some("1024".into()),
        customer_agent: None,
        limits: None,
    };
    row = tell(row, Kind::CallBridged(talk));
    assert!(matches!(row.intervals.last().unwrap().span, Span::Bridge { .. }));
}

/// The recorder is behind the log: what was on its way when the customer refused is told after it.
#[test]
fn a_refused_recording_stays_refused_whatever_is_told_of_it_later() {
    let recording = RecordingId::from_parts(1, 1);
    let refused = Kind::RecordingRefused(RecordingRefused { recording });
    let began = stored().into_iter().next().unwrap();
    let mut row = fold::apply(None, &began).unwrap();
    for (sequence, kind) in (began.sequence + 1..).zip([refused, Kind::RecordingStarted(RecordingStarted { recording })]) {
        let event = Event { at: Wall::from_micros(2_000_000), conversation: Some(id()), kind };
        row = fold::apply(Some(row), &Stored::new(sequence, event)).unwrap();
    }
    assert_eq!(row.recordings.iter().map(|r| r.state).collect::<Vec<_>>(), [RecordingOutcome::Refused]);
}

#[test]
fn what_a_leg_suffers_from_is_an_interval_each_and_ends_with_the_leg() {
    let missing = |leg, cause| MediaMissing {
        leg: LegId(leg),
        peer: "phone:201".into(),
        expected_from: None,
        cause: Some(cause),
        seen_from: None,
        payload_type: None,
    };
    let quality = |mos| Quality { mos: Some(mos), ..Quality::default() };
    let degraded = |mos, way| MediaDegraded { leg: LegId(2), peer: "phone:201".into(), mos, way, quality: quality(mos) };
    let suffering = [
        Kind::MediaMissing(missing(2, MissingCause::Silence)),
        Kind::MediaMissing(missing(2, MissingCause::Unheard)),
        Kind::MediaMissing(missing(1, MissingCause::Unheard)),
        Kind::MediaPresent(missing(2, MissingCause::Silence)),
        Kind::MediaDegraded(degraded(2.5, Some(Way::ToPeer))),
        Kind::MediaRecovered(degraded(4.1, None)),
        Kind::MediaDegraded(degraded(2.0, Some(Way::FromPeer))),
        Kind::MediaQuality(MediaQuality { leg: LegId(2), peer: "phone:201".into(), quality: quality(3.5) }),
    ];
    let began = stored().into_iter().next().unwrap();
    let mut row = fold::apply(None, &began).unwrap();
    let mut states = Vec::new();
    for (n, kind) in suffering.into_iter().enumerate() {
        let event = Event { at: Wall::from_micros(1_000_000 * (100 + n as i64)), conversation: Some(id()), kind };
        row = fold::apply(Some(row), &Stored::new(began.sequence + 1 + n as u64, event)).unwrap();
        let open = row.intervals.iter().filter(|i| i.to.is_none()).count();
        states.push((row.intervals.len(), open, row.legs.iter().find(|l| l.leg == LegId(2)).and_then(|l| l.quality?.mos)));
    }
    let expected = [
        (1, 1, None),
        (2, 2, None),
        (3, 3, None),
        (3, 2, None),
        (4, 3, Some(2.5)),
        (4, 2, Some(4.1)),
        (5, 3, Some(2.0)),
        (5, 1, Some(3.5)),
    ];
    assert_eq!(states, expected);
}

/// A log of last year.
#[test]
fn events_from_before_causes_and_scores_are_read() {
    let missing = r#"{"type":"media.missing","data":{"leg":1,"peer":"phone:201","expected_from":null}}"#;
    let Ok(Kind::MediaMissing(missing)) = serde_json::from_str(missing) else { panic!() };
    assert_eq!((missing.cause, missing.payload_type), (None, None));
    let quality = r#"{"type":"media.quality","data":{"leg":1,"peer":"phone:201","quality":{"packets_received":1,"packets_sent":2,
        "packets_lost":0,"jitter_ms":1.5,"remote_loss":null,"round_trip_ms":null,"refused":0}}}"#;
    let Ok(Kind::MediaQuality(quality)) = serde_json::from_str(quality) else { panic!() };
    assert_eq!((quality.quality.packets_sent, quality.quality.mos, quality.quality.burst_ms), (2, None, 0.0));
}

#[test]
fn parties_supervisors_and_mutes_are_intervals() {
    let conferenced = |change| {
        let legs = vec![LegId(1), LegId(2), LegId(3)];
        Kind::CallConferenced(CallConferenced { change, leg: Some(LegId(3)), to: "202".into(), legs, by: By::Phone, cause: None })
    };
    let monitored = |change, mode| {
        let (leg, phone, supervisor) = (Some(LegId(4)), "210".into(), None);
        Kind::CallMonitored(CallMonitored { change, mode, leg, phone, supervisor, by: By::Api("ann".into()), cause: None })
    };
    let muted = |muted| Kind::CallMuted(CallMuted { leg: LegId(2), agent: None, muted, by: By::Switch });
    let happens = [
        conferenced(ConferenceChange::Ringing),
        conferenced(ConferenceChange::Joined),
        monitored(MonitorChange::Started, MonitorMode::Listen),
        monitored(MonitorChange::Changed, MonitorMode::Whisper),
        muted(true),
        conferenced(ConferenceChange::Left),
        monitored(MonitorChange::Ended, MonitorMode::Whisper),
        muted(false),
    ];
    let start = stored().remove(0);
    let at = |n: u64| Wall::from_micros((2_000 + n * 1_000) as i64 * 1_000);
    let later = (2..)
        .zip(happens)
        .map(|(sequence, kind)| Stored::new(sequence, Event { at: at(sequence), conversation: Some(id()), kind }));
    let row = std::iter::once(start).chain(later).fold(None, |row, stored| apply(row, &stored)).unwrap();
    let lasted: Vec<(&Span, u128)> = row.intervals.iter().map(|i| (&i.span, i.to.unwrap().since(i.from).as_millis())).collect();
    assert!(matches!(lasted[0], (Span::Conference { leg: LegId(3), .. }, 4_000)), "{lasted:?}");
    assert!(matches!(lasted[1], (Span::Monitor { mode: MonitorMode::Listen, .. }, 1_000)), "{lasted:?}");
    assert!(matches!(lasted[2], (Span::Monitor { mode: MonitorMode::Whisper, .. }, 3_000)), "{lasted:?}");
    assert!(matches!(lasted[3], (Span::Mute { leg: LegId(2), .. }, 3_000)), "{lasted:?}");
    let json = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Conversation>(&json).unwrap(), row);
}

#[test]
fn an_end_closes_everything_that_was_open() {
    let mut events = stored();
    events.retain(|s| !matches!(s.event.kind, Kind::CallUnbridged(_) | Kind::CallResumed(_) | Kind::QueueAnswered(_)));
    let row = events.iter().fold(None, apply).unwrap();
    assert!(row.intervals.iter().all(|i| i.to.is_some()));
    assert!(row.intervals.iter().any(|i| matches!(i.span, Span::Offer { outcome: OfferOutcome::Withdrawn, .. })));
}

#[test]
fn events_without_a_beginning_make_no_row() {
    assert_eq!(stored()[1..].iter().fold(None, apply), None);
}

#[test]
fn folding_twice_from_an_older_place_changes_nothing() {
    let once = stored().iter().fold(None, apply);
    let twice = stored()[3..].iter().fold(once.clone(), apply);
    assert_eq!(once, twice);
}

fn log(folder: &tempfile::TempDir) -> Log {
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    Log::open(folder.path(), options, Arc::new(RealDisk), crate::clock::System::start(), Arc::new(|_, _| {})).unwrap()
}

#[test]
fn a_fold_goes_on_at_its_checkpoint_and_knows_what_is_open() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let database = Arc::new(Memory::default());
    let rows = Conversations::open(database.clone()).unwrap();
    let all = events();

    log.append(all[..13].to_vec());
    assert!(log.wait_past(12, Duration::from_secs(20)));
    rows.catch_up(&log).unwrap();
    assert_eq!((rows.position(), checkpoint(&*database).unwrap()), (13, 13));
    let open = rows.unended();
    // Bridged at 3 s, last heard of at 6 s.
    assert_eq!((open.len(), open[0].talk_ms, open[0].last_at), (1, 3_000, Wall::from_micros(7_000_000)));
    assert_eq!(rows.list(true, None, 0, None).unwrap().items.len(), 1);
    let recording = RecordingId::from_parts(1_100, 2);
    assert_eq!(rows.of_recording(recording).unwrap().map(|r| r.id), Some(id()));

    log.append(all[13..].to_vec());
    assert!(log.wait_past(15, Duration::from_secs(20)));
    let rows = Conversations::open(database.clone()).unwrap();
    assert_eq!(rows.unended().len(), 1, "as the index was left");
    rows.catch_up(&log).unwrap();
    assert_eq!((checkpoint(&*database).unwrap(), rows.unended().len()), (16, 0));
    assert_eq!(rows.list(true, None, 0, None).unwrap().items.len(), 0);
    let direct = stored().iter().fold(None, apply);
    assert_eq!(rows.row(id()).unwrap(), direct);
    log.close();
}

#[test]
fn a_row_has_an_event_before_a_follower_hears_of_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    let taken = rows.clone();
    log.on_durable(move |events| taken.take(events.iter().map(|stored| &**stored)));
    for (n, event) in (0..).zip(events()) {
        log.append([event]);
        assert!(log.wait_past(n, Duration::from_secs(20)));
        assert_eq!(rows.row(id()).unwrap().map(|row| row.sequence), Some(n + 1));
    }
    log.close();
}

#[test]
fn what_an_index_does_not_take_stays_in_memory_and_is_written_later() {
    let database = Arc::new(Memory::default());
    let rows = Conversations::open(database.clone()).unwrap();
    let stored = stored();
    rows.take(&stored[..14]);
    rows.commit().unwrap();
    assert_eq!(rows.row(id()).unwrap().unwrap().sequence, 14);
    rows.take(&stored[14..15]);
    rows.take(&stored[14..]);
    let whole = stored.iter().fold(None, apply);
    assert_eq!((rows.row(id()).unwrap(), rows.position()), (whole.clone(), 16));
    assert_eq!(Conversations::open(database.clone()).unwrap().row(id()).unwrap().unwrap().sequence, 14);
    rows.commit().unwrap();
    assert_eq!((rows.row(id()).unwrap(), rows.ahead().rows.len()), (whole.clone(), 0));
    assert_eq!(Conversations::open(database).unwrap().row(id()).unwrap(), whole);
}

#[test]
fn events_that_do_not_follow_are_left_to_be_caught_up_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    log.append(events());
    assert!(log.wait_past(15, Duration::from_secs(20)));
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    rows.take(&stored()[4..]);
    assert_eq!((rows.position(), rows.row(id()).unwrap()), (0, None));
    rows.catch_up(&log).unwrap();
    assert_eq!(rows.row(id()).unwrap(), stored().iter().fold(None, apply));
    log.close();
}

#[test]
fn a_list_is_newest_first_and_goes_on_at_its_cursor() {
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    let events: Vec<Stored> = (0..10u64)
        .map(|n| {
            let (_, kind) = story().swap_remove(0);
            let event = Event { at: Wall::from_micros(n as i64), conversation: Some(ConversationId::from_parts(n, 0)), kind };
            Stored::new(n + 1, event)
        })
        .collect();
    // Some only in memory, some in both.
    for (n, stored) in events.iter().enumerate() {
        rows.take([stored]);
        if n == 6 {
            rows.commit().unwrap();
        }
    }
    let first = rows.list(false, None, 4, None).unwrap();
    let second = rows.list(true, None, 4, first.next).unwrap();
    let third = rows.list(false, None, 4, second.next).unwrap();
    let ids: Vec<u64> = [first.items, second.items, third.items].concat().iter().map(|c| c.id.timestamp_ms()).collect();
    assert_eq!((ids, third.next), ((0..10).rev().collect(), None));
}

/// Given as a carrier wrote it, wanted as a person does; whether in memory, in the index, or in both.
#[test]
fn conversations_are_found_by_their_customers_number_in_any_spelling() {
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    for n in 0..30u64 {
        let (_, mut kind) = story().swap_remove(0);
        if let Kind::CallStarted(started) = &mut kind {
            let (number, e164) = [("84951234567", Some("+74951234567")), ("201", None), ("+4930123456", None)][n as usize % 3];
            (started.customer_number, started.customer_e164) = (number.to_owned(), e164.map(str::to_owned));
        }
        let event = Event { at: Wall::from_micros(n as i64), conversation: Some(ConversationId::from_parts(n, 0)), kind };
        rows.take([&Stored::new(n + 1, event)]);
        if n == 20 {
            rows.commit().unwrap();
        }
    }
    for wanted in ["+74951234567", "84951234567", "1234567"] {
        let first = rows.list(false, Some(wanted), 7, None).unwrap();
        let second = rows.list(false, Some(wanted), 7, first.next).unwrap();
        let ids: Vec<u64> = [first.items, second.items].concat().iter().map(|c| c.id.timestamp_ms()).collect();
        assert_eq!((ids, second.next), ((0..30).rev().filter(|n| n % 3 == 0).collect(), None), "{wanted}");
    }
    assert_eq!(rows.list(false, Some("4711"), 7, None).unwrap(), Page { items: Vec::new(), next: None });
}

/// A page that has looked long enough is short; the next ones go on where it stopped, with what memory knows, and miss nothing.
#[test]
fn a_rare_number_among_many_rows_is_found_over_short_pages() {
    let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
    let most = MOST_ROWS as u64;
    for n in 0..most + 100 {
        let (_, mut kind) = story().swap_remove(0);
        // The newest, which only memory knows; in the first page, at its very end, and behind it.
        let is_rare = [5, 99, 100, 5_000, most + 99].contains(&n);
        if let Kind::CallStarted(started) = &mut kind {
            started.customer_number = if is_rare { "030777888" } else { "030123456" }.to_owned();
            started.customer_e164 = None;
        }
        let event = Event { at: Wall::from_micros(n as i64), conversation: Some(ConversationId::from_parts(n, 0)), kind };
        rows.take([&Stored::new(n + 1, event)]);
        if n % 5_000 == 0 {
            rows.commit().unwrap();
        }
    }
    let (mut found, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = rows.list(false, Some("777888"), 50, cursor).unwrap();
        found.extend(page.items.iter().map(|row| row.id.timestamp_ms()));
        pages += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!((found, pages), (vec![most + 99, 5_000, 100, 99, 5], 2));
}

#[test]
fn a_consultation_that_was_merged_is_found_by_its_parent_and_not_in_the_list() {
    let ids = [1, 2].map(|n| ConversationId::from_parts(n, 0));
    let started = story().swap_remove(0).1;
    let merged = CallMerged { parent: ids[0], child: ids[1], leg: LegId(2), by: By::Phone };
    let told = |of: usize| (ids[of], Kind::CallMerged(merged.clone()));
    let events = [(ids[0], started.clone()), (ids[1], started), told(1), told(0)];
    let stored: Vec<Stored> = (1..)
        .zip(events)
        .map(|(sequence, (id, kind))| Stored::new(sequence, Event { at: Wall::from_micros(1), conversation: Some(id), kind }))
        .collect();
    // Written before it was merged, or after, or never.
    for written in [2, 4, 5] {
        let rows = Conversations::open(Arc::new(Memory::default())).unwrap();
        for stored in &stored {
            rows.take([stored]);
            if stored.sequence == written {
                rows.commit().unwrap();
            }
        }
        for live in [false, true] {
            let page = rows.list(live, None, 1, None).unwrap();
            assert_eq!(
                (page.items.iter().map(|r| r.id).collect::<Vec<_>>(), page.next),
                (vec![ids[0]], None),
                "{written} {live}"
            );
        }
        assert_eq!(rows.row(ids[0]).unwrap().unwrap().children, [ids[1]]);
        assert_eq!(rows.row(ids[1]).unwrap().unwrap().merged_into, Some(ids[0]));
    }
}

/// An index on a disk with moods. What was committed is lost where it can't be flushed.
#[derive(Default)]
struct Moody {
    durable: Memory,
    committed: Mutex<Vec<Change>>,
    refuses: Mutex<Option<Refuses>>,
    /// Happens while the disk is busy.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuses {
    Get,
    Commit,
    Flush,
}

impl Moody {
    fn refuse(&self, what: Option<Refuses>) {
        *self.refuses.lock().unwrap() = what;
    }

    fn takes(&self, what: Refuses) -> Result<(), DatabaseError> {
        if *self.refuses.lock().unwrap() == Some(what) { Err(DatabaseError::Closed) } else { Ok(()) }
    }
}

impl Database for Moody {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.takes(Refuses::Get)?;
        self.durable.get(tree, key)
    }

    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        self.durable.page(tree, from, to, order, most)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        self.takes(Refuses::Commit)?;
        self.committed.lock().unwrap().extend_from_slice(changes);
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        let committed = std::mem::take(&mut *self.committed.lock().unwrap());
        self.takes(Refuses::Flush)?;
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().take() {
            meanwhile();
        }
        self.durable.commit(&committed)
    }
}

#[test]
fn an_event_whose_row_the_index_does_not_give_is_folded_later_and_none_is_skipped() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let other = ConversationId::from_parts(2_000, 2);
    let mut events = events();
    events.push(Event { conversation: Some(other), ..events[0].clone() });
    let stored: Vec<Stored> = (1..).zip(events.clone()).map(|(sequence, event)| Stored::new(sequence, event)).collect();
    log.append(events);
    assert!(log.wait_past(16, Duration::from_secs(20)));

    let database = Arc::new(Moody::default());
    let rows = Conversations::open(database.clone()).unwrap();
    rows.take(&stored[..15]);
    rows.commit().unwrap();
    assert_eq!(rows.ahead().rows.len(), 0, "its end is written: only the index has it");
    // The end of its recording comes after that, and then somebody else calls.
    database.refuse(Some(Refuses::Get));
    rows.take(&stored[15..]);
    assert_eq!((rows.position(), rows.ahead().rows.len()), (15, 0));
    rows.commit().unwrap();
    assert!(matches!(rows.catch_up(&log), Err(FoldError::Database(DatabaseError::Closed))));
    assert_eq!(rows.position(), 15);
    database.refuse(None);
    rows.catch_up(&log).unwrap();
    assert_eq!((rows.position(), checkpoint(&*database).unwrap()), (17, 17));
    assert_eq!(rows.row(id()).unwrap(), stored[..16].iter().fold(None, apply));
    assert_eq!(rows.row(other).unwrap().map(|row| row.sequence), Some(17));
    log.close();
}

#[test]
fn a_row_is_forgotten_when_it_is_durable_and_not_before() {
    let database = Arc::new(Moody::default());
    let rows = Conversations::open(database.clone()).unwrap();
    rows.take(&stored());
    let whole = stored().iter().fold(None, apply);
    for what in [Refuses::Commit, Refuses::Flush] {
        database.refuse(Some(what));
        assert!(rows.commit().is_err());
        assert_eq!(rows.row(id()).unwrap(), whole, "{what:?}");
    }
    database.refuse(None);
    assert_eq!(checkpoint(&*database).unwrap(), 0);
    rows.commit().unwrap();
    assert_eq!((checkpoint(&*database).unwrap(), rows.ahead().rows.len()), (16, 0));
    assert_eq!(rows.row(id()).unwrap(), whole);
}

#[test]
fn what_comes_while_a_row_is_written_is_written_with_the_next() {
    let database = Arc::new(Moody::default());
    let rows = Conversations::open(database.clone()).unwrap();
    rows.take(&stored()[..15]);
    let later = rows.clone();
    *database.meanwhile.lock().unwrap() = Some(Box::new(move || later.take(&stored()[15..])));
    rows.commit().unwrap();
    let whole = stored().iter().fold(None, apply);
    assert_eq!(rows.row(id()).unwrap(), whole);
    rows.commit().unwrap();
    assert_eq!((checkpoint(&*database).unwrap(), rows.ahead().rows.len()), (16, 0));
    assert_eq!(rows.row(id()).unwrap(), whole);
}
