//! One SIP message as it went over the wire: in memory as it was, elsewhere without its secrets.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Wall;
use crate::sip::{self, Flow, Transport};
use crate::store::rfc3339;

/// Octets that are kept of one message: several times a long INVITE with its description. What is behind is counted.
pub const MOST_OCTETS: usize = 8 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By the switch, from the peer.
    Received,
    /// By the switch, to the peer.
    Sent,
}

/// As it is kept in memory.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub at: Wall,
    pub way: Way,
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub bytes: Bytes,
    /// Octets that were behind those.
    pub cut: u32,
}

impl Kept {
    pub fn new(at: Wall, way: Way, flow: &Flow, bytes: Bytes) -> Kept {
        let cut = bytes.len().saturating_sub(MOST_OCTETS);
        // A copy, or the rest would stay in memory behind it.
        let bytes = if cut == 0 { bytes } else { Bytes::copy_from_slice(bytes.get(..MOST_OCTETS).unwrap_or_default()) };
        let cut = u32::try_from(cut).unwrap_or(u32::MAX);
        Kept { at, way, transport: flow.transport, local: flow.local, remote: flow.remote, bytes, cut }
    }

    /// What it counts in the bounds: its octets, and what stands around them.
    pub fn size(&self) -> usize {
        self.bytes.len() + std::mem::size_of::<Kept>()
    }

    pub fn shown(&self) -> Message {
        let bytes = sip::redacted(&self.bytes);
        let (message, message_base64) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(STANDARD.encode(error.as_bytes()))),
        };
        Message {
            at: self.at,
            way: self.way,
            transport: self.transport.as_str().to_owned(),
            local: self.local,
            remote: self.remote,
            message,
            message_base64,
            cut_octets: self.cut,
            left_out_before: 0,
        }
    }
}

/// A SIP message without secrets: `…` stands for what was taken out of its head, `x` for what was taken out of its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// RFC 3339, UTC, microseconds: when the switch took it up, or gave it to be sent.
    #[serde(with = "rfc3339::micros")]
    #[schema(value_type = String)]
    pub at: Wall,
    pub way: Way,
    /// `UDP`, `TCP`, `TLS`, `WS`, `WSS`.
    pub transport: String,
    /// The switch's address.
    #[schema(value_type = String)]
    pub local: SocketAddr,
    /// The peer's address.
    #[schema(value_type = String)]
    pub remote: SocketAddr,
    /// Header names are in their full spelling, whatever the peer wrote. Where the message is not UTF-8, with U+FFFD for what is not.
    pub message: String,
    /// The octets of a message that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_base64: Option<String>,
    /// Octets at the end of it that were too many to be kept.
    #[serde(default)]
    pub cut_octets: u32,
    /// Messages between the one before and this one that were too many to be kept.
    #[serde(default)]
    pub left_out_before: u64,
}

impl Message {
    /// Its octets, as far as they are kept.
    pub fn octets(&self) -> Vec<u8> {
        let binary = self.message_base64.as_ref().and_then(|text| STANDARD.decode(text).ok());
        binary.unwrap_or_else(|| self.message.clone().into_bytes())
    }
}
