//! The digest of all outputs of a run, in their order.
//!
//! The canonical form of an output is what `Debug` prints of it, which names every field and is the same in each process of one build;
//! bytes of SIP go in as they are. Left out is the one thing that depends on a secret: the `response` in credentials that we send.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use super::super::Output;

#[derive(Clone, Default)]
pub struct OutputsDigest(Sha256);

impl OutputsDigest {
    pub fn add(&mut self, output: &Output) {
        digest_output(output, &mut self.0);
    }

    /// Of all so far.
    pub fn value(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    pub fn short(&self) -> String {
        self.value().iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}

/// Adds an output in its canonical form, with an end that no output holds.
pub fn digest_output(output: &Output, hash: &mut Sha256) {
    match output {
        Output::Sip { to, bytes, report } => {
            // Writing to a hash cannot fail.
            let _ = writeln!(Hashed(hash), "Sip {to:?} {report:?} {}", bytes.len());
            without_digests(bytes, |part| hash.update(part));
        }
        Output::Resolve { .. }
        | Output::Media { .. }
        | Output::Recorder(_)
        | Output::Event(_)
        | Output::Registration(_)
        | Output::AgentWish { .. }
        | Output::Reply { .. } => {
            let _ = write!(Hashed(hash), "{output:?}");
        }
    }
    hash.update([0]);
}

struct Hashed<'a>(&'a mut Sha256);

impl fmt::Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The message in parts, without the values of `response="…"` in Authorization and Proxy-Authorization. We print both names so, each
/// header on one line, and hex in the quotes.
fn without_digests(message: &[u8], mut take: impl FnMut(&[u8])) {
    let head = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len());
    let (head, body) = message.split_at(head);
    for line in head.split_inclusive(|&b| b == b'\n') {
        let credentials = line.starts_with(b"Authorization:") || line.starts_with(b"Proxy-Authorization:");
        const FIELD: &[u8] = b"response=\"";
        match memchr::memmem::find(line, FIELD) {
            Some(at) if credentials => {
                let (front, rest) = line.split_at(at + FIELD.len());
                take(front);
                let end = rest.iter().position(|&b| b == b'"').unwrap_or(0);
                take(&rest[end..]);
            }
            Some(_) | None => take(line),
        }
    }
    take(body);
}
