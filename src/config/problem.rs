//! A fault in something that a person wrote, with the place to look at.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault, printed as `file:line: what is wrong`. All faults of a configuration are collected, never only the first.
///
/// The text is built from a module's own fault enum (`config::Fault`, `ivr::Fault`), so that this type stays one for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 1 also where the whole file is meant.
    pub line: u32,
    pub what: String,
}

impl Problem {
    /// A fault takes one line, whatever the text holds that it quotes: control characters are written as escapes.
    pub fn new(file: impl AsRef<Path>, line: u32, what: impl fmt::Display) -> Self {
        let mut text = String::new();
        for c in what.to_string().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        Problem { file: file.as_ref().to_owned(), line, what: text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}
