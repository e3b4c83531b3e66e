//! A TOML file being read: offsets to lines, and all its faults, not only the first.
//!
//! serde stops at the first fault of a table. [`Reader::read`] therefore takes the entry that it stopped at out of the table, notes
//! the fault, and reads again, until the table reads or nothing is left to take out. A file with a fault in its grammar is not read
//! further: what follows from that fault would hide it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::Problem;

/// After so many faults in one table the rest of it is not read: it is something else than a configuration, and reading again after each
/// fault takes time that grows with their square.
const MOST_FAULTS_IN_A_TABLE: usize = 50;

pub(crate) struct Reader {
    path: PathBuf,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
    problems: Vec<Problem>,
    cautions: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1)).collect();
        Reader { path: path.to_owned(), starts, problems: Vec::new(), cautions: Vec::new() }
    }

    /// The file's tables; `None` where its grammar is wrong.
    pub(crate) fn parse<'t>(&mut self, text: &'t str) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        for e in &errors {
            let at = e.span().map_or(0, |s| s.start);
            self.fault(at, Grammar(e.message()));
        }
        errors.is_empty().then(|| table.into_inner())
    }

    /// From 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|s| *s <= offset)).unwrap_or(u32::MAX)
    }

    pub(crate) fn fault(&mut self, offset: usize, what: impl std::fmt::Display) {
        let line = self.line(offset);
        self.problems.push(Problem::new(&self.path, line, what));
    }

    /// What is no fault, and yet hardly meant.
    pub(crate) fn caution(&mut self, offset: usize, what: impl std::fmt::Display) {
        let line = self.line(offset);
        self.cautions.push(Problem::new(&self.path, line, what));
    }

    pub(crate) fn take_cautions(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.cautions)
    }

    pub(crate) fn fault_in_line(&mut self, line: u32, what: impl std::fmt::Display) {
        self.problems.push(Problem::new(&self.path, line, what));
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A table as the struct that says what may stand in it. `None` where what must be there is not.
    pub(crate) fn read<'t, T: Deserialize<'t>>(&mut self, value: Spanned<DeValue<'t>>) -> Option<Spanned<T>> {
        let span = value.span();
        let mut table = match value.into_inner() {
            DeValue::Table(table) => table,
            other => {
                self.fault(span.start, NotATable(other.type_str()));
                return None;
            }
        };
        let mut taken: Vec<String> = Vec::new();
        loop {
            let attempt = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(attempt)) {
                Ok(read) => return Some(Spanned::new(span, read)),
                Err(error) => error,
            };
            let Some(key) = culprit(&table, &error) else {
                // Nothing to take out: an entry is missing, or the table as a whole is wrong.
                let follows = taken.iter().any(|k| error.message() == format!("missing field `{k}`"));
                if !follows {
                    self.fault(error.span().map_or(span.start, |s| s.start), error.message().trim_end());
                }
                return None;
            };
            let at = error.span().map_or(span.start, |s| s.start);
            self.fault(at, Entry { key: &key, message: error.message().trim_end() });
            table.remove(key.as_str());
            taken.push(key);
            if taken.len() >= MOST_FAULTS_IN_A_TABLE {
                return None;
            }
        }
    }

    /// The tables of `[[name]]`, each read by itself.
    pub(crate) fn read_all<'t, T: Deserialize<'t>>(&mut self, name: &str, value: Spanned<DeValue<'t>>) -> Vec<Spanned<T>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items) => items.into_iter().filter_map(|item| self.read(item)).collect(),
            DeValue::Table(_)
            | DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                self.fault(span.start, NotAnArray(name));
                Vec::new()
            }
        }
    }
}

/// The key of the entry that the error points into.
fn culprit(table: &DeTable<'_>, error: &Error) -> Option<String> {
    let at = error.span().filter(|s| !s.is_empty())?;
    let within = |outer: Range<usize>| outer.start <= at.start && at.end <= outer.end && !outer.is_empty();
    table.iter().find(|(k, v)| within(k.span()) || within(v.span())).map(|(k, _)| k.get_ref().clone().into_owned())
}

#[derive(Debug, thiserror::Error)]
#[error("not TOML: {0}")]
struct Grammar<'a>(&'a str);

#[derive(Debug, thiserror::Error)]
#[error("this is a table, not a {0}")]
struct NotATable(&'static str);

#[derive(Debug, thiserror::Error)]
#[error("there can be several of these: write [[{0}]]")]
struct NotAnArray<'a>(&'a str);

/// serde names the key itself where it does not know it.
#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    message: &'a str,
}

impl std::fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.starts_with("unknown field") {
            f.write_str(self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}
