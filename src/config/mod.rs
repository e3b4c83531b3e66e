//! Configuration in two stages: as given (TOML text, in [`Source`]) and as resolved ([`Config`]).
//!
//! [`Source`] is everything that was read from disk, as text: it is what the journal keeps, and resolving it again gives the same
//! [`Config`]. Reading files happens in [`load`] alone; resolving is pure. Every fault is a [`Problem`] with file and line; all of them
//! are reported, not the first. Names are what other parts of the file refer to, so a dangling reference is a fault here and never a
//! surprise at run time.

mod advertise;
mod country;
mod differences;
pub(crate) mod fault;
mod given;
mod place;
mod problem;
mod queue;
mod redact;
mod resolve;
mod resolved;
mod secrets;
mod source;
mod stand_ins;
mod standards;
pub(crate) mod text;
mod tones;
pub(crate) mod units;
mod webhook;

pub use advertise::{Advertise, Advertised, Network};
pub use country::{Country, UnknownCountry};
pub use differences::differences;
pub use place::{BadPlace, Place};
pub use problem::Problem;
pub use queue::{Announcements, CallBack, Queue, RelaxStep, Standing, Strategy};
pub use redact::Redaction;
pub use resolved::*;
pub use secrets::{GenerateError, Missing, generate, load_or_generate, missing_secrets};
pub use source::{File, LoadError, Source, load, scenarios};
pub use stand_ins::StandIns;
pub use standards::Standards;
pub use tones::{Sound, Tone, Tones};
pub use webhook::{EventPattern, NoType, Webhook, signing_key};

use resolve::Secretless;

impl Config {
    /// Reads, checks and completes a configuration; every fault that there is, sorted by file and line. Pure.
    pub fn resolve(source: &Source) -> Result<Config, Vec<Problem>> {
        resolve::resolve(source, Secretless::Refused).map(|(config, _)| config)
    }

    /// As [`Config::resolve`], but what the first start would generate may be missing. For checking: what comes out has empty secrets.
    pub fn resolve_for_check(source: &Source) -> Result<Config, Vec<Problem>> {
        resolve::resolve(source, Secretless::Passed).map(|(config, _)| config)
    }
}

/// What is no fault of a configuration, and yet hardly meant, with file and line; nothing of one that has a fault. Pure.
pub fn cautions(source: &Source) -> Vec<Problem> {
    resolve::resolve(source, Secretless::Passed).map_or_else(|_| Vec::new(), |(_, cautions)| cautions)
}
