//! The digest of all outputs of a run, in their order.
//!
//! The canonical form of an output is its MessagePack, without names; bytes of SIP go in as they are. Left out is what
//! depends on a secret: the `response` in credentials that we send, keys of SRTP, and digits that go on to another leg, which a journal
//! may hide where they were pressed.

use sha2::{Digest as _, Sha256};

use super::super::Output;
use crate::media;
use crate::sdp;

/// As a journal has it: the first half of the digest.
pub const SHORT: usize = 16;

#[derive(Clone, Default)]
pub struct OutputsDigest {
    hash: Sha256,
    /// An output, put together before it is hashed: it comes in crumbs.
    packed: Vec<u8>,
}

impl OutputsDigest {
    /// Adds an output in its canonical form, with an end that no output holds.
    pub fn add(&mut self, output: &Output) {
        self.packed.clear();
        // Writing to memory cannot fail, and each type that is in an output can be written.
        let packed = match output {
            Output::Sip { to, bytes, report } => {
                let keyless = sdp::with_other_keys(bytes, |key| vec![0; key.len()]).or_else(|| without_key(bytes));
                without_digests(keyless.as_deref().unwrap_or(bytes), |part| self.hash.update(part));
                rmp_serde::encode::write(&mut self.packed, &(to, report, bytes.len()))
            }
            Output::Media { worker, command: media::Command::Press { leg, keys } } => {
                let keys =
                    keys.iter().map(|key| media::Key { digit: if key.digit.is_ascii_digit() { '0' } else { key.digit }, ..*key });
                let command = media::Command::Press { leg: *leg, keys: keys.collect() };
                rmp_serde::encode::write(&mut self.packed, &Output::Media { worker: *worker, command })
            }
            Output::CallId { .. }
            | Output::Resolve { .. }
            | Output::Bans(_)
            | Output::Known(_)
            | Output::Watch(_)
            | Output::Media { .. }
            | Output::Recorder(_)
            | Output::Fetch { .. }
            | Output::KeepPrompt { .. }
            | Output::Lookup { .. }
            | Output::Event(_)
            | Output::Registration(_)
            | Output::AgentWish { .. }
            | Output::Subscription { .. }
            | Output::PhoneSettings { .. }
            | Output::QueueNews { .. }
            | Output::Minutes { .. }
            | Output::Reply { .. } => rmp_serde::encode::write(&mut self.packed, output),
        };
        debug_assert!(packed.is_ok(), "{packed:?}: {output:?}");
        // With its length behind it, no output runs into the next.
        self.hash.update(&self.packed);
        self.hash.update((self.packed.len() as u64).to_le_bytes());
    }

    /// Of all so far.
    pub fn value(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    pub fn short(&self) -> [u8; SHORT] {
        *self.value().first_chunk().unwrap_or(&[0; SHORT])
    }
}

/// An INFO of ours with zeros for its digits; nothing of any other message.
fn without_key(message: &[u8]) -> Option<Vec<u8>> {
    let body = memchr::memmem::find(message, b"\r\n\r\n").filter(|_| message.starts_with(b"INFO "))? + 4;
    let mut message = message.to_vec();
    message.iter_mut().skip(body).filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'0');
    Some(message)
}

/// The message in parts, without the values of `response="…"` in Authorization and Proxy-Authorization. We print both names so, each
/// header on one line, and hex in the quotes.
fn without_digests(message: &[u8], mut take: impl FnMut(&[u8])) {
    // Only requests have credentials, and most have none.
    if message.starts_with(b"SIP/2.0 ") || memchr::memmem::find(message, b"uthorization:").is_none() {
        return take(message);
    }
    let head = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len());
    let (head, body) = message.split_at(head);
    for line in head.split_inclusive(|&b| b == b'\n') {
        let credentials = line.starts_with(b"Authorization:") || line.starts_with(b"Proxy-Authorization:");
        const FIELD: &[u8] = b"response=\"";
        match memchr::memmem::find(line, FIELD).filter(|_| credentials) {
            Some(at) => {
                let (front, rest) = line.split_at(at + FIELD.len());
                take(front);
                let end = rest.iter().position(|&b| b == b'"').unwrap_or(0);
                take(&rest[end..]);
            }
            None => take(line),
        }
    }
    take(body);
}
