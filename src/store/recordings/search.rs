//! Search: the index that promises the fewest rows is walked from the newest down, and each row is held against the whole filter.

use super::{Kind, Recording, digits, id_at_end, number, read, same_number};
use crate::clock::Wall;
use crate::ids::{QueueName, RecordingId, StaffNumber};
use crate::route::Direction;
use crate::store::database::{Database, DatabaseError, Descending, Order, Tree, behind, named};

/// What is wanted; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub agent: Option<StaffNumber>,
    /// The last queue.
    pub queue: Option<QueueName>,
    /// Customer's number, as given or in E.164, in any spelling, or its last digits; see [`same_number`].
    pub number: Option<String>,
    pub direction: Option<Direction>,
    pub kind: Option<Kind>,
    /// Began at or after.
    pub from: Option<Wall>,
    /// Began before.
    pub to: Option<Wall>,
    /// Length in seconds, both inclusive. A recording that is still running has none, and does not match a minimum above 0.
    pub min_s: Option<u64>,
    pub max_s: Option<u64>,
    /// Items a page; at most [`MOST_PER_PAGE`], and 50 where it is 0.
    pub limit: usize,
    /// Only what is older than this one: the `next` of the page before.
    pub cursor: Option<RecordingId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Newest first.
    pub items: Vec<Recording>,
    /// Cursor of the next page, or `None` at the end. A page may be short, or empty, and still have a next one: a search that finds
    /// little stops after [`MOST_ROWS`] rows and is taken up there.
    pub next: Option<RecordingId>,
}

pub const MOST_PER_PAGE: usize = 1_000;

const PER_PAGE: usize = 50;

/// Rows that one page reads at most: some 50 ms.
const MOST_ROWS: usize = 10_000;

/// Distinct numbers that a search by last digits follows one by one; beyond, rows are looked through by time.
const MOST_NUMBERS: usize = 64;

/// An id's time and the row's start may differ by this much (the clock was set back between them) without a row being missed.
const SLACK_MS: u64 = 24 * 3_600 * 1_000;

impl Filter {
    pub fn matches(&self, row: &Recording) -> bool {
        self.agent.as_ref().is_none_or(|a| row.agents.contains(a))
            && self.queue.as_ref().is_none_or(|q| row.queue.as_ref() == Some(q))
            && self.number.as_ref().is_none_or(|n| has_number(row, n))
            && self.direction.is_none_or(|d| row.direction == d)
            && self.kind.is_none_or(|k| row.kind == k)
            && self.from.is_none_or(|from| row.started_at >= from)
            && self.to.is_none_or(|to| row.started_at < to)
            && self.min_s.is_none_or(|s| row.duration_ms >= s.saturating_mul(1_000))
            && self.max_s.is_none_or(|s| row.duration_ms <= s.saturating_mul(1_000))
    }

    pub fn per_page(&self) -> usize {
        if self.limit == 0 { PER_PAGE } else { self.limit.min(MOST_PER_PAGE) }
    }
}

fn has_number(row: &Recording, wanted: &str) -> bool {
    same_number(&row.customer_number, wanted) || row.customer_e164.as_ref().is_some_and(|number| same_number(number, wanted))
}

pub fn search(database: &dyn Database, filter: &Filter) -> Result<Page, DatabaseError> {
    let mut walk = Walk::begin(database, filter)?;
    let mut items = Vec::new();
    let mut last = None;
    let mut rows = 0;
    while let Some(id) = walk.next()? {
        if items.len() == filter.per_page() || rows == MOST_ROWS {
            return Ok(Page { items, next: last });
        }
        rows += 1;
        last = Some(id);
        let Some(bytes) = database.get(Tree::Recordings, &id.to_bytes())? else { continue };
        match read(&bytes) {
            Ok(row) if filter.matches(&row) => items.push(row),
            Ok(_) => {}
            // One bad row must not hide the others; `verify` names it.
            Err(error) => tracing::error!(recording = %id, %error, "row can't be read"),
        }
    }
    Ok(Page { items, next: None })
}

/// Ids from the newest down, out of one index range or several.
struct Walk<'a> {
    ranges: Vec<(Descending<'a>, Option<RecordingId>)>,
}

impl<'a> Walk<'a> {
    fn begin(database: &'a dyn Database, filter: &Filter) -> Result<Self, DatabaseError> {
        let prefixes: Vec<(Tree, Vec<u8>)> = match (numbers(database, filter)?, &filter.agent, &filter.queue) {
            (Some(numbers), _, _) => numbers.iter().map(|n| (Tree::RecordingsByNumber, named(n))).collect(),
            (None, Some(agent), _) => vec![(Tree::RecordingsByAgent, named(agent.as_str()))],
            (None, None, Some(queue)) => vec![(Tree::RecordingsByQueue, named(queue.as_str()))],
            (None, None, None) => vec![(Tree::Recordings, Vec::new())],
        };
        let lowest = filter.from.map(|from| id_floor(ms(from).saturating_sub(SLACK_MS)));
        let latest = filter.to.map(|to| id_floor(ms(to).saturating_add(SLACK_MS)));
        // Exclusive, as the cursor is.
        let highest = match (latest, filter.cursor) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let with = |prefix: &[u8], id: RecordingId| [prefix, &id.to_bytes()[..]].concat();
        let mut walk = Walk { ranges: Vec::with_capacity(prefixes.len()) };
        for (tree, prefix) in prefixes {
            let from = lowest.map_or_else(|| prefix.clone(), |id| with(&prefix, id));
            let to = highest.map(|id| with(&prefix, id)).or_else(|| behind(&prefix));
            let mut range = Descending::new(database, tree, from, to);
            let head = range.next()?.and_then(|(key, _)| id_at_end(&key));
            walk.ranges.push((range, head));
        }
        Ok(walk)
    }

    fn next(&mut self) -> Result<Option<RecordingId>, DatabaseError> {
        let Some(id) = self.ranges.iter().filter_map(|(_, head)| *head).max() else { return Ok(None) };
        // A row stands in two of them where its number as given and its E.164 are both found.
        for (range, head) in self.ranges.iter_mut().filter(|(_, head)| *head == Some(id)) {
            *head = range.next()?.and_then(|(key, _)| id_at_end(&key));
        }
        Ok(Some(id))
    }
}

/// The indexed numbers that the filter's number finds, or `None` where there is no filter by number or too many are found.
fn numbers(database: &dyn Database, filter: &Filter) -> Result<Option<Vec<String>>, DatabaseError> {
    let Some(wanted) = &filter.number else { return Ok(None) };
    let wanted = digits(wanted);
    if wanted.is_empty() {
        return Ok(None);
    }
    let prefix = number::reversed(&wanted);
    let found = database.page(Tree::Numbers, &prefix, behind(&prefix).as_deref(), Order::Ascending, MOST_NUMBERS + 1)?;
    if found.len() > MOST_NUMBERS {
        return Ok(None);
    }
    let forward = |mut key: Vec<u8>| {
        key.reverse();
        String::from_utf8(key).ok()
    };
    let mut numbers: Vec<String> = found.into_iter().filter_map(|(key, _)| forward(key)).collect();
    // Shorter spellings of the same: without country or area code.
    if number::is_digits(&wanted) {
        for cut in 1..wanted.len().saturating_sub(number::SHARED_DIGITS - 1) {
            let shorter = &wanted[cut..];
            if database.get(Tree::Numbers, &number::reversed(shorter))?.is_some() {
                numbers.push(shorter.to_owned());
            }
        }
    }
    Ok(Some(numbers))
}

/// The lowest id of a millisecond.
fn id_floor(ms: u64) -> RecordingId {
    RecordingId::from_parts(ms.min((1 << 48) - 1), 0)
}

fn ms(at: Wall) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}
