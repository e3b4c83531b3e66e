//! Bytes in journals and snapshots. In a format that people read: text where they are UTF-8, base64 where they are not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serializer};

/// No message, name-addr or URI begins with it: the first character of each is a token's, a quote or a bracket.
const BINARY: &str = "\u{1}";

pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    if !s.is_human_readable() {
        return s.serialize_bytes(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => s.serialize_str(text),
        Err(_) => s.collect_str(&format_args!("{BINARY}{}", STANDARD.encode(bytes))),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
    if !d.is_human_readable() {
        return Bytes::deserialize(d);
    }
    let text = String::deserialize(d)?;
    match text.strip_prefix(BINARY) {
        Some(encoded) => STANDARD.decode(encoded).map(Bytes::from).map_err(serde::de::Error::custom),
        None => Ok(Bytes::from(text)),
    }
}
