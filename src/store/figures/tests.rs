//! Sums in an index, and what becomes of them when it, or the switch, has trouble.

use proptest::prelude::*;

use super::*;
use crate::event::{CallEnded, CallStarted, Direction, Event, Kind, QueueAnswered, QueueEntered};
use crate::ids::LegId;
use crate::report::METRICS;
use crate::route::{Cause, Side};
use crate::store::database::Memory;
use crate::store::disk::RealDisk;
use crate::store::log::{LogOptions, Stored};

/// Monday, 2026-11-23, 00:00 in Berlin.
const MIDNIGHT: i64 = 1_795_388_400_000_000;
const MINUTE: i64 = 60_000_000;

fn at(minutes: i64) -> Wall {
    Wall::from_micros(MIDNIGHT + minutes * MINUTE)
}

fn log(folder: &tempfile::TempDir) -> Log {
    let options = LogOptions { reserve_bytes: 0, ..LogOptions::default() };
    let clock = crate::clock::System::start();
    Log::open(&folder.path().join("events"), options, Arc::new(RealDisk), clock, Arc::new(|_, _| {})).unwrap()
}

/// One caller each ten minutes for so many days, answered after as many seconds as it is the nth.
fn calls(days: i64) -> Vec<Event> {
    let call = |n: i64| {
        let id = Some(ConversationId::from_parts(n as u64 + 1, 7));
        let started = CallStarted {
            direction: Direction::Inbound,
            leg: LegId(1),
            trunk: Some("carrier".into()),
            phone: None,
            customer_number: "1".into(),
            called: "2".into(),
            customer_e164: None,
            called_e164: None,
        };
        let (queue, waited_ms) = (["support", "sales"][n as usize % 2], n as u64 * 1_000);
        let answered = QueueAnswered {
            queue: queue.into(),
            agent: "1024".into(),
            waited_ms,
            rang_ms: 0,
            threshold_ms: Some(20_000),
            callback: None,
        };
        let ended =
            CallEnded { cause: Cause::Normal, status: None, by: Side::Customer, answered_ms: None, talk_ms: 0, legs: Vec::new() };
        let entered = QueueEntered { queue: queue.into(), position: 1, waited_before_ms: 0 };
        let kinds =
            [Kind::CallStarted(started), Kind::QueueEntered(entered), Kind::QueueAnswered(answered), Kind::CallEnded(ended)];
        kinds.map(|kind| Event { at: at(10 * n), conversation: id, kind })
    };
    (0..days * 144).flat_map(call).collect()
}

fn stored(events: &[Event]) -> Vec<Arc<Stored>> {
    (1..).zip(events).map(|(sequence, event)| Arc::new(Stored::new(sequence, event.clone()))).collect()
}

/// Empty, and whole.
fn figures(database: &Arc<Memory>) -> Figures {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let figures = Figures::open(database.clone()).unwrap();
    figures.catch_up(&log).unwrap();
    log.close();
    figures
}

fn all(figures: &Figures, period: Period) -> BTreeMap<(Dimension, String), Cell> {
    let of = |by| {
        figures.sums(by, None, period, Wall::from_micros(0)).unwrap().into_iter().map(move |(name, cell)| ((by, name), cell))
    };
    Dimension::ALL.into_iter().flat_map(of).collect()
}

#[test]
fn sums_of_any_time_are_those_of_its_quarters_and_those_of_its_conversations() {
    let figures = figures(&Arc::default());
    figures.fed().take(&stored(&calls(3)));
    for written in [false, true] {
        if written {
            figures.fed().commit().unwrap();
        }
        for (from, until) in [(0, 24 * 60), (15, 30), (60, 3 * 24 * 60), (-500, 6_000), (24 * 60 + 15, 3 * 24 * 60 - 45)] {
            let period = Period { from: at(from), until: at(until) };
            let mut by_quarters: BTreeMap<(Dimension, String), Cell> = BTreeMap::new();
            for quarter in period.quarters() {
                for (key, cell) in all(&figures, quarter.period()) {
                    by_quarters.entry(key).or_default().add(&cell);
                }
            }
            let sums = all(&figures, period);
            assert_eq!(sums, by_quarters, "{from} to {until}, written: {written}");
            for ((by, name), cell) in sums {
                for metric in METRICS {
                    let asked = Asked { by, name: &name, period, metric };
                    let (mut listed, mut cursor) = (Vec::new(), None);
                    loop {
                        let page = figures.behind(&asked, 50, cursor).unwrap();
                        assert!(page.items.len() <= 50);
                        listed.extend(page.items);
                        cursor = page.next;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    assert!(listed.is_sorted_by_key(|item| item.quarter));
                    let values = listed.iter().map(|item| item.value);
                    let sum = if *metric == "longest_wait_ms" { values.max().unwrap_or(0) } else { values.sum() };
                    assert_eq!(Some(sum), cell.metric(metric), "{by:?} {name} {metric}");
                }
            }
        }
    }
    let day = Period { from: at(0), until: at(24 * 60) };
    let one = figures.sums(Dimension::Queue, Some("sales"), day, at(0)).unwrap();
    assert_eq!(one.into_iter().map(|(name, cell)| (name, cell.answered)).collect::<Vec<_>>(), [("sales".to_owned(), 72)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn kills_wherever_they_come_change_nothing(cuts in prop::collection::vec((1..60_usize, any::<bool>()), 0..30)) {
        let events = stored(&calls(2));
        let whole = figures(&Arc::default());
        whole.fed().take(&events);
        let database = Arc::new(Memory::default());
        let mut cut = figures(&database);
        let mut cuts = cuts.into_iter();
        while cut.position() < events.len() as u64 {
            let done = cut.position() as usize;
            let (more, is_killed) = cuts.next().unwrap_or((events.len(), false));
            cut.fed().take(&events[done..events.len().min(done + more)]);
            if is_killed {
                // Nothing has been written yet: from the very first again.
                cut = match Figures::open(database.clone()).unwrap() {
                    opened if opened.position() == 0 => figures(&database),
                    opened => opened,
                };
            } else {
                cut.fed().commit().unwrap();
            }
        }
        let period = Period { from: at(-60), until: at(3 * 24 * 60) };
        prop_assert_eq!(all(&cut, period), all(&whole, period));
    }
}

#[test]
fn what_could_not_be_written_is_counted_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let database = Arc::new(Refusing::default());
    let figures = Figures::open(database.clone()).unwrap();
    let events = calls(1);
    let period = Period { from: at(0), until: at(24 * 60) };
    let append = |events: &[Event], last: usize| {
        log.append(events.to_vec());
        assert!(log.wait_past(last as u64 - 1, std::time::Duration::from_secs(10)));
    };
    let (early, late) = events.split_at(100);
    append(early, 100);
    figures.catch_up(&log).unwrap();
    append(late, events.len());
    // Before it is in the index, and when it is, though that is not known.
    for refuses in [Refuses::Commit, Refuses::Flush, Refuses::Nothing] {
        *database.refuses.lock().unwrap() = refuses;
        assert_eq!(figures.catch_up(&log).is_ok(), refuses == Refuses::Nothing, "{refuses:?}");
    }
    assert_eq!(figures.position(), events.len() as u64);
    let sums = figures.sums(Dimension::Agent, None, period, at(0)).unwrap();
    assert_eq!(sums["1024"].answered, 144);
    log.close();
}

#[test]
fn another_version_is_folded_anew_and_keeps_what_the_log_no_longer_reaches() {
    let events = calls(4);
    let database = Arc::new(Memory::default());
    let old = figures(&database);
    old.fed().take(&stored(&events));
    old.fed().commit().unwrap();
    // The log begins at the third day, and the fold is another one.
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let kept = events[2 * 144 * 4..].to_vec();
    log.append(kept.clone());
    assert!(log.wait_past(kept.len() as u64 - 1, std::time::Duration::from_secs(10)));
    let checkpoint = [&99_u32.to_be_bytes()[..], &7_u64.to_be_bytes()[..]].concat();
    database.commit(&[Change::Put(Tree::Checkpoints, b"figures".to_vec(), checkpoint)]).unwrap();
    let period = Period { from: at(-60), until: at(5 * 24 * 60) };
    let before = all(&old, period);

    let anew = Figures::open(database.clone()).unwrap();
    assert_eq!(anew.position(), 0);
    anew.catch_up(&log).unwrap();
    assert_eq!(anew.position(), kept.len() as u64);
    assert_eq!(all(&anew, period), before);
    for day in 0..4 {
        let day = Period { from: at(day * 24 * 60), until: at((day + 1) * 24 * 60) };
        assert_eq!(all(&anew, day)[&(Dimension::Agent, "1024".to_owned())].answered, 144);
        let asked = Asked { by: Dimension::Agent, name: "1024", period: day, metric: "answered" };
        assert_eq!(anew.behind(&asked, 1_000, None).unwrap().items.len(), 144);
    }
    log.close();
}

#[test]
fn what_is_gone_from_the_index_is_folded_anew() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = log(&folder);
    let events = calls(1);
    log.append(events.clone());
    assert!(log.wait_past(events.len() as u64 - 1, std::time::Duration::from_secs(10)));
    let database = Arc::new(Memory::default());
    let period = Period { from: at(-60), until: at(2 * 24 * 60) };
    let fold = || {
        let figures = Figures::open(database.clone()).unwrap();
        let position = figures.position();
        figures.catch_up(&log).unwrap();
        (position, all(&figures, period))
    };
    let (_, first) = fold();
    assert_eq!(fold(), (events.len() as u64, first.clone()), "nothing is to be done");
    // Its state is lost, and its sums are not.
    remove(&*database, Tree::FigureState, Vec::new(), |_| true).unwrap();
    assert_eq!(fold(), (0, first.clone()));
    // The other way round, with a row that nobody can read.
    let head = Change::Put(Tree::FigureState, HEAD.to_vec(), b"?".to_vec());
    remove(&*database, Tree::Figures, Vec::new(), |_| true).unwrap();
    database.commit(&[head]).unwrap();
    assert_eq!(fold(), (0, first));
    log.close();
}

#[test]
fn blocks_tile_the_quarters_and_are_few() {
    for (from, until) in [(0, 1), (5, 5), (15, 17), (0, 256), (1, 35_040), (255, 257), (17, 300)] {
        let blocks = blocks(from, until);
        let mut next = from;
        for (level, blocks) in &blocks {
            let span = SPANS[*level];
            assert_eq!(blocks.start * span, next);
            next = blocks.end * span;
        }
        assert_eq!(next, until.max(from));
        let rows: u64 = blocks.iter().map(|(_, blocks)| blocks.end - blocks.start).sum();
        assert!(rows <= (until - from) / 256 + 2 * 15 + 2 * 15, "{rows}");
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Refuses {
    #[default]
    Nothing,
    Commit,
    Flush,
}

/// An index that does not take everything.
#[derive(Default)]
struct Refusing {
    database: Memory,
    refuses: std::sync::Mutex<Refuses>,
}

impl Refusing {
    fn refuses(&self, what: Refuses) -> Result<(), DatabaseError> {
        if *self.refuses.lock().unwrap() == what { Err(DatabaseError::Closed) } else { Ok(()) }
    }
}

impl Database for Refusing {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, DatabaseError> {
        self.database.get(tree, key)
    }

    fn page(&self, tree: Tree, from: &[u8], to: Option<&[u8]>, order: Order, most: usize) -> Result<Vec<Entry>, DatabaseError> {
        self.database.page(tree, from, to, order, most)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), DatabaseError> {
        // Clearing what is not there is no writing.
        if !changes.is_empty() {
            self.refuses(Refuses::Commit)?;
        }
        self.database.commit(changes)
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        self.refuses(Refuses::Flush)
    }
}
