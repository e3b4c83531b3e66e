//! Bytes in journals, snapshots and the index. In a format that people read: text where they are UTF-8, base64 where they are not. An array
//! of octets is read too: that is how the index had them once.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

/// No message, name-addr, URI or Call-ID begins with it: the first character of each is a word's, a quote or a bracket.
const BINARY: &str = "\u{1}";

pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    if !s.is_human_readable() {
        return s.serialize_bytes(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => s.serialize_str(text),
        Err(_) => s.collect_str(&format_args!("{BINARY}{}", STANDARD.encode(bytes))),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
    if !d.is_human_readable() {
        return Bytes::deserialize(d);
    }
    d.deserialize_any(TextOrOctets)
}

struct TextOrOctets;

impl<'de> Visitor<'de> for TextOrOctets {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or an array of octets")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        match text.strip_prefix(BINARY) {
            Some(encoded) => STANDARD.decode(encoded).map(Bytes::from).map_err(E::custom),
            None => Ok(Bytes::copy_from_slice(text.as_bytes())),
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut octets: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(octet) = octets.next_element()? {
            bytes.push(octet);
        }
        Ok(bytes.into())
    }
}
