//! A journal played to a fresh switch: the same inputs at the same times, and whether the same came of them.

use super::credentials;
use super::digest::OutputsDigest;
use super::frame::{self, Next};
use super::{Ended, FORMAT, Record};
use crate::config::{Config, Problem};
use crate::switch::{Switch, guarded};

/// A journal that was played to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub inputs: u64,
    /// Panics that were caught, as they were in the run.
    pub faults: u64,
    /// Of all outputs.
    pub digest: [u8; 32],
    /// `None`: torn, by a kill.
    pub ended: Option<Ended>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("not a journal")]
    NotAJournal,
    #[error("format {found}, this program reads {FORMAT}")]
    Format { found: u32 },
    #[error("written by version {found}, and this is {}: play it with that one", env!("CARGO_PKG_VERSION"))]
    Version { found: String },
    #[error("the configuration in it has faults, the first of them: {first:?}")]
    Configuration { first: Option<Problem> },
    #[error("byte {at}: damaged")]
    Rotten { at: usize },
    #[error("byte {at}: {error}")]
    Unreadable { at: usize, error: rmp_serde::decode::Error },
    #[error("byte {at}: a record out of its place")]
    Misplaced { at: usize },
    #[error("input {input}, before byte {at}: outputs had the digest {recorded}, now {replayed}")]
    Diverged { input: u64, at: usize, recorded: String, replayed: String },
}

/// Plays a journal. A last input without its outputs (the process died in it) is played too; there is nothing to compare it with.
pub fn replay(journal: &[u8]) -> Result<Replayed, ReplayError> {
    let mut records = Records { journal, at: 0 };
    let Some(Record::Header { format, version, seed, source }) = records.next()? else {
        return Err(ReplayError::NotAJournal);
    };
    if format != FORMAT {
        return Err(ReplayError::Format { found: format });
    }
    if version != env!("CARGO_PKG_VERSION") {
        return Err(ReplayError::Version { found: version });
    }
    let config =
        Config::resolve(&source).map_err(|problems| ReplayError::Configuration { first: problems.into_iter().next() })?;
    let mut switch = Switch::new(seed, config);
    let mut outputs = OutputsDigest::default();
    let (mut inputs, mut faults) = (0, 0);
    let mut out = Vec::new();
    loop {
        let at = records.at;
        match records.next()? {
            Some(Record::Input { now, input }) => {
                inputs += 1;
                let right = match records.peek()? {
                    Some(Record::Outputs { right, .. }) => right,
                    // The process died in it: as far as anybody knows.
                    None => true,
                    Some(Record::Header { .. } | Record::Input { .. } | Record::End(_)) => false,
                };
                let input = credentials::signed(input.into_owned(), right, &switch.hub.config);
                faults += u64::from(guarded(&mut switch, input, now, &mut out).is_err());
                out.drain(..).for_each(|output| outputs.add(&output));
            }
            Some(Record::Outputs { digest: recorded, right: _ }) => {
                let replayed = outputs.short();
                if recorded != replayed {
                    return Err(ReplayError::Diverged {
                        input: inputs,
                        at,
                        recorded: hex::encode(recorded),
                        replayed: hex::encode(replayed),
                    });
                }
            }
            Some(Record::End(why)) => return Ok(Replayed { inputs, faults, digest: outputs.value(), ended: Some(why) }),
            Some(Record::Header { .. }) => return Err(ReplayError::Misplaced { at }),
            None => return Ok(Replayed { inputs, faults, digest: outputs.value(), ended: None }),
        }
    }
}

struct Records<'a> {
    journal: &'a [u8],
    at: usize,
}

impl Records<'_> {
    /// What is next, without taking it.
    fn peek(&self) -> Result<Option<Record<'static>>, ReplayError> {
        Records { journal: self.journal, at: self.at }.next()
    }

    /// `None` at the end, or where the journal is torn.
    fn next(&mut self) -> Result<Option<Record<'static>>, ReplayError> {
        let at = self.at;
        match frame::decode(self.journal.get(at..).unwrap_or_default()) {
            Next::Record(record, length) => {
                self.at += length;
                Ok(Some(*record))
            }
            Next::Torn => Ok(None),
            Next::Rotten => Err(ReplayError::Rotten { at }),
            Next::Unreadable(error) => Err(ReplayError::Unreadable { at, error }),
        }
    }
}
