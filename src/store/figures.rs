//! Figures of the past in the index: sums by queue, agent and trunk, and what each conversation has of them.
//!
//! Sums stand at quarters of an hour of UTC, and at blocks of 16 and of 256 of them, so that a year is some hundreds of rows a name, and any
//! civil day is put together of whole ones, whatever the time zone. Behind each sum stand rows of the conversations that it is of, which add
//! up to it. Some 60 octets each; they go on for ever, as the rows of conversations do.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `figures` | level, dimension, number of the block, name | [`Cell`] as JSON |
//! | `figure_conversations` | dimension, name, number of the quarter, conversation | [`Cell`] as JSON |
//! | `figure_state` | `h`; `s` and a conversation; `a` and a staff number | what is open, as JSON |

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::conversations::FoldError;
use super::database::{Change, Database, DatabaseError, Entry, Order, Tree, behind, named};
use super::folds::{Fed, Fold, Host};
use super::log::Log;
use crate::clock::Wall;
use crate::event::Event;
use crate::ids::{ConversationId, StaffNumber};
use crate::report::period::{Period, Quarter};
use crate::report::{Book, Cell, Dimension, Head, Keep, Shift, Stay};

/// Quarters in a block of each level.
const SPANS: [u64; 3] = [1, 16, 256];

/// Rows fetched at once.
const PAGE: usize = 1_000;

/// Rows that one page of conversations looks through at most: some 100 ms.
const MOST_LOOKED: usize = 20_000;

/// Octets of a key of `figure_conversations` behind dimension and name.
const PLACE: usize = 24;

/// A handle; clones are the same figures.
#[derive(Clone)]
pub struct Figures(Host<Sums>);

/// One figure of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    pub conversation: ConversationId,
    pub quarter: Quarter,
    pub value: u64,
}

/// In the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub items: Vec<Behind>,
    /// Cursor of the next page, or `None` at the end.
    pub next: Option<Cursor>,
}

/// Behind which item a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub [u8; PLACE]);

/// Which conversations are asked for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub by: Dimension,
    pub name: &'a str,
    pub period: Period,
    /// One of [`METRICS`](crate::report::METRICS); those that have none of it are left out.
    pub metric: &'a str,
}

impl Figures {
    pub fn open(database: Arc<dyn Database>) -> Result<Figures, DatabaseError> {
        Host::open(database).map(Figures)
    }

    /// For the store to feed.
    pub fn fed(&self) -> Arc<dyn Fed> {
        Arc::new(self.0.clone())
    }

    /// See [`Host::not_beyond`].
    pub fn not_beyond(&self, last: u64) {
        self.0.not_beyond(last);
    }

    /// Folds what the log has beyond the index.
    pub fn catch_up(&self, log: &Log) -> Result<(), FoldError> {
        self.0.catch_up(log)
    }

    /// Last number that is folded.
    pub fn position(&self) -> u64 {
        self.0.position()
    }

    /// The sums of a time, a name each; with `only`, of that one. States that agents are in last until `now`.
    pub fn sums(
        &self,
        by: Dimension,
        only: Option<&str>,
        period: Period,
        now: Wall,
    ) -> Result<BTreeMap<String, Cell>, DatabaseError> {
        let (first, end) = (first(period), end(period));
        let mut sums: BTreeMap<String, Cell> = BTreeMap::new();
        let mut add = |name: &[u8], cell: &Cell| {
            let Ok(name) = std::str::from_utf8(name) else { return };
            if only.is_none_or(|only| only == name) {
                sums.entry(name.to_owned()).or_default().add(cell);
            }
        };
        let ranges: Vec<Range<Vec<u8>>> = blocks(first, end)
            .into_iter()
            .map(|(level, blocks)| cell_key(level, by, blocks.start, "")..cell_key(level, by, blocks.end, ""))
            .collect();
        let (running, _unwritten) = self.0.with(|sums| {
            for range in &ranges {
                for deltas in [&sums.fresh, &*sums.writing] {
                    deltas.cells.range(range.clone()).for_each(|(key, cell)| add(name_of(key), cell));
                }
            }
            let whole = || Some(Period { from: Quarter::numbered(first)?.begins(), until: Quarter::numbered(end)?.begins() });
            let within = whole().filter(|_| by == Dimension::Agent);
            within.map(|within| sums.book.running(within, now, only)).unwrap_or_default()
        });
        for fact in running {
            if (first..end).contains(&Quarter::of(fact.at).number())
                && let Some(name) = fact.of.name(by)
            {
                let mut cell = Cell::default();
                cell.count(&fact);
                add(name.as_bytes(), &cell);
            }
        }
        for range in ranges {
            each(self.0.database(), Tree::Figures, range, |key, cell| add(name_of(key), &cell))?;
        }
        Ok(sums)
    }

    /// The conversations behind a figure, each with what it has of it: they add up to it. A page is short where many have nothing of it.
    pub fn behind(&self, asked: &Asked<'_>, limit: usize, after: Option<Cursor>) -> Result<Page, DatabaseError> {
        let place = |quarter: u64| [list_prefix(asked.by, asked.name), quarter.to_be_bytes().to_vec()].concat();
        let (mut from, to) = (place(first(asked.period)), place(end(asked.period)));
        if let Some(Cursor(after)) = after {
            from = from.max([list_prefix(asked.by, asked.name), after.to_vec(), vec![0]].concat());
        }
        if from >= to {
            return Ok(Page::default());
        }
        let (mut unwritten, _guard) = self.0.with(|sums| {
            let mut lists: BTreeMap<Vec<u8>, Cell> = BTreeMap::new();
            for deltas in [&sums.fresh, &*sums.writing] {
                for (key, cell) in deltas.lists.range(from.clone()..to.clone()) {
                    lists.entry(key.clone()).or_default().add(cell);
                }
            }
            lists
        });
        let (mut items, mut looked, mut last) = (Vec::new(), 0, None);
        let most = limit.saturating_add(1).clamp(64, PAGE);
        loop {
            let page = self.0.database().page(Tree::FigureConversations, &from, Some(&to), Order::Ascending, most)?;
            let ends = if page.len() < most { None } else { page.last().map(|(key, _)| [&key[..], &[0]].concat()) };
            let later = ends.as_ref().map(|ends| unwritten.split_off(ends)).unwrap_or_default();
            let mut rows = std::mem::replace(&mut unwritten, later);
            for (key, value) in page {
                rows.entry(key).or_default().add(&read::<Cell>(&value).unwrap_or_default());
            }
            for (key, cell) in rows {
                looked += 1;
                let Some((quarter, conversation)) = place_of(&key) else { continue };
                let value = cell.metric(asked.metric).unwrap_or(0);
                if value > 0 && items.len() == limit {
                    return Ok(Page { items, next: last });
                }
                last = key.last_chunk().copied().map(Cursor);
                if value > 0 {
                    items.push(Behind { conversation, quarter, value });
                }
            }
            match ends {
                Some(ends) if looked < MOST_LOOKED => from = ends,
                Some(_) => return Ok(Page { items, next: last }),
                None => return Ok(Page { items, next: None }),
            }
        }
    }
}

/// The fold.
#[derive(Default)]
struct Sums {
    book: Book,
    /// To be added to what the index has.
    fresh: Deltas,
    /// On its way there.
    writing: Arc<Deltas>,
}

#[derive(Default)]
struct Deltas {
    cells: BTreeMap<Vec<u8>, Cell>,
    lists: BTreeMap<Vec<u8>, Cell>,
}

const HEAD: &[u8] = b"h";
const STAYS: &[u8] = b"s";
const SHIFTS: &[u8] = b"a";

impl Fold for Sums {
    const NAME: &'static str = "figures";
    const VERSION: u32 = 1;

    fn load(database: &dyn Database) -> Result<Option<Self>, DatabaseError> {
        let Some(head) = database.get(Tree::FigureState, HEAD)?.and_then(|bytes| read::<Head>(&bytes)) else { return Ok(None) };
        let (mut stays, mut shifts) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in all(database, STAYS)? {
            let id = key.last_chunk::<16>().map(|id| ConversationId::from_bytes(*id));
            let (Some(id), Some(stay)) = (id, read::<Stay>(&value)) else { return Ok(None) };
            stays.insert(id, stay);
        }
        for (key, value) in all(database, SHIFTS)? {
            let agent = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
            let (Some(agent), Some(shift)) = (agent, read::<Shift>(&value)) else { return Ok(None) };
            shifts.insert(StaffNumber::from(agent), shift);
        }
        Ok(Some(Sums { book: Book::open(head, stays, shifts), ..Sums::default() }))
    }

    fn clear(database: &dyn Database, from: Option<Wall>) -> Result<(), DatabaseError> {
        remove(database, Tree::FigureState, Vec::new(), |_| true)?;
        let Some(from) = from.map(|at| Quarter::of(at).number()) else { return Ok(()) };
        for by in Dimension::ALL {
            for (level, span) in SPANS.into_iter().enumerate() {
                // The block that it lies in has what came before.
                let block = from / span;
                let mut kept: BTreeMap<Vec<u8>, Cell> = BTreeMap::new();
                each(database, Tree::Figures, cell_key(0, by, block * span, "")..cell_key(0, by, from, ""), |key, cell| {
                    kept.entry(name_of(key).to_vec()).or_default().add(&cell);
                })?;
                let prefix = cell_key(level, by, 0, "")[..2].to_vec();
                remove(database, Tree::Figures, prefix, |key| block_of(key) >= Some(block))?;
                let puts: Vec<Change> = kept
                    .iter()
                    .map(|(name, cell)| {
                        let key = [&cell_key(level, by, block, "")[..], name].concat();
                        put(Tree::Figures, key, cell)
                    })
                    .collect::<Result<_, _>>()?;
                database.commit(&puts)?;
            }
        }
        remove(database, Tree::FigureConversations, Vec::new(), |key| {
            place_of(key).is_none_or(|(quarter, _)| quarter.number() >= from)
        })?;
        database.flush()
    }

    fn take(&mut self, event: &Event) {
        let mut facts = Vec::new();
        self.book.take(event, &mut facts);
        for fact in facts {
            let quarter = Quarter::of(fact.at).number();
            for by in Dimension::ALL {
                let Some(name) = fact.of.name(by) else { continue };
                for (level, span) in SPANS.into_iter().enumerate() {
                    self.fresh.cells.entry(cell_key(level, by, quarter / span, name)).or_default().count(&fact);
                }
                if let Some(conversation) = fact.of.conversation {
                    self.fresh.lists.entry(list_key(by, name, quarter, conversation)).or_default().count(&fact);
                }
            }
        }
    }

    fn waiting(&self) -> usize {
        self.fresh.cells.len() + self.fresh.lists.len() + self.writing.cells.len() + self.writing.lists.len()
    }

    type Outgoing = (Arc<Deltas>, Keep);

    fn outgoing(&mut self) -> Option<Self::Outgoing> {
        let keep = self.book.keep();
        if self.waiting() == 0 && keep.stays.is_empty() && keep.shifts.is_empty() {
            return None;
        }
        self.writing = Arc::new(std::mem::take(&mut self.fresh));
        Some((self.writing.clone(), keep))
    }

    fn changes((deltas, keep): &Self::Outgoing, database: &dyn Database) -> Result<Vec<Change>, DatabaseError> {
        let Keep { head, stays, shifts } = keep;
        let mut changes = vec![put(Tree::FigureState, HEAD.to_vec(), head)?];
        for (tree, deltas) in [(Tree::Figures, &deltas.cells), (Tree::FigureConversations, &deltas.lists)] {
            for (key, delta) in deltas {
                // One bad row must not stop the others.
                let mut cell = database.get(tree, key)?.and_then(|bytes| read::<Cell>(&bytes)).unwrap_or_default();
                cell.add(delta);
                changes.push(put(tree, key.clone(), &cell)?);
            }
        }
        for (id, stay) in stays {
            let key = [STAYS, &id.to_bytes()].concat();
            changes.push(match stay {
                Some(stay) => put(Tree::FigureState, key, stay)?,
                None => Change::Remove(Tree::FigureState, key),
            });
        }
        for (agent, shift) in shifts {
            changes.push(put(Tree::FigureState, [SHIFTS, agent.as_str().as_bytes()].concat(), shift)?);
        }
        Ok(changes)
    }

    fn written(&mut self) {
        self.writing = Arc::default();
    }
}

fn first(period: Period) -> u64 {
    Quarter::of(period.from).number()
}

/// The first quarter that is not in it: one that has a part in it is.
fn end(period: Period) -> u64 {
    let last = Wall::from_micros(period.until.as_micros().saturating_sub(1));
    if period.until <= period.from { first(period) } else { Quarter::of(last).number() + 1 }
}

/// The fewest blocks that quarters are put together of, with their levels.
fn blocks(from: u64, until: u64) -> Vec<(usize, Range<u64>)> {
    let mut all = Vec::new();
    cover(&SPANS, from, until, &mut all);
    all
}

fn cover(spans: &[u64], from: u64, until: u64, into: &mut Vec<(usize, Range<u64>)>) {
    let Some((span, lower)) = spans.split_last().filter(|_| from < until) else { return };
    let (first, end) = (from.div_ceil(*span), until / span);
    if first < end {
        cover(lower, from, first * span, into);
        into.push((lower.len(), first..end));
        cover(lower, end * span, until, into);
    } else {
        cover(lower, from, until, into);
    }
}

fn cell_key(level: usize, by: Dimension, block: u64, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(10 + name.len());
    key.extend([u8::try_from(level).unwrap_or(u8::MAX), octet(by)]);
    key.extend(block.to_be_bytes());
    key.extend(name.as_bytes());
    key
}

fn name_of(key: &[u8]) -> &[u8] {
    key.get(10..).unwrap_or_default()
}

fn block_of(key: &[u8]) -> Option<u64> {
    key.get(2..10)?.first_chunk().map(|block| u64::from_be_bytes(*block))
}

fn list_prefix(by: Dimension, name: &str) -> Vec<u8> {
    [vec![octet(by)], named(name)].concat()
}

fn list_key(by: Dimension, name: &str, quarter: u64, conversation: ConversationId) -> Vec<u8> {
    [list_prefix(by, name), quarter.to_be_bytes().to_vec(), conversation.to_bytes().to_vec()].concat()
}

fn place_of(key: &[u8]) -> Option<(Quarter, ConversationId)> {
    let place: &[u8; PLACE] = key.last_chunk()?;
    let (quarter, id) = place.split_first_chunk::<8>()?;
    let id = <[u8; 16]>::try_from(id).ok()?;
    Some((Quarter::numbered(u64::from_be_bytes(*quarter))?, ConversationId::from_bytes(id)))
}

/// On disk: never changed.
fn octet(by: Dimension) -> u8 {
    match by {
        Dimension::Queue => 1,
        Dimension::Agent => 2,
        Dimension::Trunk => 3,
    }
}

fn put<T: Serialize>(tree: Tree, key: Vec<u8>, value: &T) -> Result<Change, DatabaseError> {
    let value = serde_json::to_vec(value).map_err(|error| DatabaseError::Row { tree: tree.name(), error })?;
    Ok(Change::Put(tree, key, value))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).map_err(|error| tracing::warn!(%error, "a row of figures can't be read")).ok()
}

/// What is open of one kind.
fn all(database: &dyn Database, prefix: &[u8]) -> Result<Vec<Entry>, DatabaseError> {
    database.page(Tree::FigureState, prefix, behind(prefix).as_deref(), Order::Ascending, usize::MAX)
}

/// A page at a time.
fn each(
    database: &dyn Database,
    tree: Tree,
    range: Range<Vec<u8>>,
    mut with: impl FnMut(&[u8], Cell),
) -> Result<(), DatabaseError> {
    let mut from = range.start;
    loop {
        let page = database.page(tree, &from, Some(&range.end), Order::Ascending, PAGE)?;
        for (key, value) in &page {
            with(key, read(value).unwrap_or_default());
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => from = [&key[..], &[0]].concat(),
            Some(_) | None => return Ok(()),
        }
    }
}

/// Removes the rows under `prefix` that `goes` says so of, a page at a time.
fn remove(database: &dyn Database, tree: Tree, prefix: Vec<u8>, goes: impl Fn(&[u8]) -> bool) -> Result<(), DatabaseError> {
    let to = behind(&prefix);
    let mut from = prefix;
    loop {
        let page = database.page(tree, &from, to.as_deref(), Order::Ascending, PAGE)?;
        let gone = page.iter().filter(|(key, _)| goes(key)).map(|(key, _)| Change::Remove(tree, key.clone()));
        database.commit(&gone.collect::<Vec<_>>())?;
        match page.last() {
            Some((key, _)) if page.len() == PAGE => from = [&key[..], &[0]].concat(),
            Some(_) | None => return Ok(()),
        }
    }
}
