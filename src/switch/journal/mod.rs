//! The journal of a run: everything that reached the core, and a running digest of all that it said, so that a fault can be had again.
//!
//! A journal is a sequence of [frames](frame): one [`Record::Header`], then for each input a [`Record::Input`] (before it is handled: what
//! made it panic is in it) and, if anything came of it, a [`Record::Outputs`] (after). It ends with a [`Record::End`], or torn where the process was killed.
//! Within its bound it stops by itself with [`Ended::Full`]; the switch goes on without one, and a new journal begins at the next start.
//!
//! Pure: bytes come out of [`Journal`], which a driver appends to a file, and [`replay`] takes bytes. Replaying needs the same build.
//!
//! No secret is in it: the configuration has pseudonyms in their place ([`Redaction`]), and of a digest that came in only whether it was
//! right, so that a replay makes the one that is right under the pseudonym ([`credentials`]). What a journal does hold are numbers, names
//! and the seed that nonces and tags come from: it is as private as a call log.

mod credentials;
mod digest;
mod frame;
mod replay;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Input, Output};
use crate::clock::Now;
use crate::config::{Redaction, Source};
use credentials::Redactor;
pub use digest::OutputsDigest;
use digest::SHORT;
pub use replay::{ReplayError, Replayed, replay};

/// Of the format, not of the program.
pub const FORMAT: u32 = 5;

/// A journal says that it is full and stops before it is longer: a quarter of a million plain calls (4 KB each).
pub const MOST_BYTES: u64 = (1 << 30) - 4_096;

/// Left free for the frame that says so.
const END_ROOM: u64 = 256;

/// What stands in one frame.
#[allow(clippy::large_enum_variant, reason = "most records are inputs, and none is kept")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record<'a> {
    Header {
        format: u32,
        /// Of the program: another one may answer the same inputs otherwise.
        version: String,
        seed: [u8; 32],
        source: Box<Source>,
    },
    Input {
        now: Now,
        input: Cow<'a, Input>,
    },
    /// Where an input had any outputs.
    Outputs {
        /// Of all outputs so far.
        digest: [u8; SHORT],
        /// The input had a digest of a phone, and it was right.
        right: bool,
    },
    End(Ended),
}

/// Why a journal ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// The switch stopped in order.
    Stopped,
    /// It would be longer than its bound.
    Full,
    /// An input could not be written down.
    Unwritable { why: String },
}

/// Makes a journal, frame by frame. After its end it makes nothing.
pub struct Journal {
    redactor: Redactor,
    outputs: OutputsDigest,
    bytes: u64,
    most: u64,
    ended: bool,
}

impl Journal {
    /// The journal of a `Switch::new(seed, Config::resolve(source))`, and its first frame. `salt` is chance that is kept nowhere.
    pub fn begin(seed: [u8; 32], source: &Source, salt: [u8; 32]) -> (Journal, Vec<u8>) {
        Journal::within(MOST_BYTES, seed, source, salt)
    }

    /// As [`begin`](Journal::begin), with another bound.
    pub fn within(most: u64, seed: [u8; 32], source: &Source, salt: [u8; 32]) -> (Journal, Vec<u8>) {
        let redaction = Redaction::new(salt);
        let header = Record::Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            source: Box::new(source.redacted(&redaction)),
        };
        let redactor = Redactor::new(redaction);
        let mut journal = Journal { redactor, outputs: OutputsDigest::default(), bytes: 0, most, ended: false };
        let frame = journal.frame(&header);
        (journal, frame)
    }

    /// An input that is about to be handled. Empty once the journal has ended.
    pub fn input(&mut self, now: Now, input: &Input) -> Vec<u8> {
        if self.ended {
            return Vec::new();
        }
        let input = self.redactor.redacted(input);
        self.frame(&Record::Input { now, input })
    }

    /// As [`input`](Journal::input), of a key that may be a secret, with what [`Switch::hidden_key`](super::Switch::hidden_key) says
    /// instead: that it was pressed is kept, and not which it was. A replay goes on from there as after a wrong PIN, and out of a masked
    /// node of a menu as the run did, but for a number that is dialled as it was keyed.
    pub fn hidden_key(&mut self, now: Now, input: &Input, instead: char) -> Vec<u8> {
        self.input(now, &credentials::with_key(input, instead))
    }

    /// What came of the input, in its order; and whether it had [a digest that was right](super::Switch::digest_was_right).
    pub fn outputs(&mut self, outputs: &[Output], right: bool) -> Vec<u8> {
        if self.ended || (outputs.is_empty() && !right) {
            return Vec::new();
        }
        for output in outputs {
            self.outputs.add(output);
        }
        self.frame(&Record::Outputs { digest: self.outputs.short(), right })
    }

    /// Nothing follows.
    pub fn end(&mut self, why: Ended) -> Vec<u8> {
        if self.ended {
            return Vec::new();
        }
        self.ended = true;
        frame::encode(&Record::End(why)).unwrap_or_default()
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn frame(&mut self, record: &Record<'_>) -> Vec<u8> {
        match frame::encode(record) {
            Ok(frame) if self.bytes + frame.len() as u64 + END_ROOM <= self.most => {
                self.bytes += frame.len() as u64;
                frame
            }
            Ok(_) => self.end(Ended::Full),
            Err(error) => self.end(Ended::Unwritable { why: error.to_string().chars().take(100).collect() }),
        }
    }
}
