//! Configuration in two stages: as given (TOML text, in [`Source`]) and as resolved ([`Config`]).
//!
//! [`Source`] is everything that was read from disk, as text: it is what the journal keeps, and resolving it again gives the same
//! [`Config`]. Reading files happens in [`load`] alone; resolving is pure. Every fault is a [`Problem`] with file and line; all of them
//! are reported, not the first. Names are what other parts of the file refer to, so a dangling reference is a fault here and never a
//! surprise at run time.

mod place;
mod problem;
mod resolved;
mod source;

pub use place::{BadPlace, Place};
pub use problem::Problem;
pub use resolved::*;
pub use source::{File, LoadError, Source, load};

impl Config {
    /// Reads, checks and completes a configuration; every fault that there is, sorted by file and line.
    pub fn resolve(source: &Source) -> Result<Config, Vec<Problem>> {
        Err(vec![Problem::new(&source.main.path, 1, "resolving is not written yet")])
    }
}
