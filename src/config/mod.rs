//! Configuration in two stages: as given (TOML text, in [`Source`]) and as resolved ([`Config`]).
//!
//! [`Source`] is everything that was read from disk, as text: it is what the journal keeps, and resolving it again gives the same
//! [`Config`]. Reading files happens in [`load`] alone; resolving is pure. Every fault is a [`Problem`] with file and line; all of them
//! are reported, not the first. Names are what other parts of the file refer to, so a dangling reference is a fault here and never a
//! surprise at run time.

mod place;
mod resolved;

pub use place::Place;
pub use resolved::*;
