//! SRTP and SRTCP (RFC 3711) with the suites that SDP can agree on by key (RFC 4568 §6.2, RFC 7714 §14.1).
//!
//! | what | whose |
//! |---|---|
//! | a suite, its lengths; a master key as it is agreed | `suite` |
//! | session keys, encryption and tag of one packet | `transform` |
//! | which packets have been: index, rollover, replay | `window` |
//! | a direction: [`Outbound`], [`Inbound`] | here, `inbound` |
//!
//! Packets are changed where they lie, and nothing is allocated for one. A packet that comes in changes no state before its tag is right;
//! one that goes out never has an index that another one had, since two packets under one index would give both away.
//!
//! Not `rtc-srtp`: that allocates a buffer for each packet.

mod inbound;
mod suite;
mod transform;
mod window;

pub use inbound::Inbound;
pub use suite::{Master, Pair, Suite};

use transform::{Keys, Part};
use window::Window;

/// Most bytes by which a packet grows: tag and index of an SRTCP packet under AES-GCM.
pub const GROWTH: usize = 20;

/// Plain at the front of an SRTCP packet: the first word and the sender's SSRC (RFC 3711 §3.4).
const RTCP_HEADER: usize = 8;
/// In the word with the SRTCP index: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// A packet that is not sent, or not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("not a packet, or no room for its tag")]
    Malformed,
    #[error("tag is wrong")]
    Tag,
    #[error("packet was there before, or is too old to tell")]
    Replayed,
    #[error("key is used up")]
    UsedUp,
}

/// What one side sends under one master key: a single RTP stream and its RTCP.
#[derive(Debug)]
pub struct Outbound {
    keys: Keys,
    /// Of SRTP, by index. Nothing until the first packet.
    sent: Option<Window>,
    /// The next of SRTCP.
    rtcp_index: u32,
}

impl Outbound {
    pub fn new(master: &Master) -> Outbound {
        Outbound { keys: Keys::derive(master), sent: None, rtcp_index: 0 }
    }

    /// Encrypts the RTP packet in `buffer[..length]` and puts its tag behind. How long it is then.
    pub fn rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        let packet = buffer.get(..length).ok_or(Refused::Malformed)?;
        let Header { length: header, sequence, ssrc } = header(packet).ok_or(Refused::Malformed)?;
        let index = self.sent.as_ref().map_or(u64::from(sequence), |w| w.guess(sequence));
        if self.sent.as_ref().is_some_and(|w| !w.is_new(index)) {
            return Err(Refused::Replayed);
        }
        if index >> 48 != 0 {
            return Err(Refused::UsedUp);
        }
        let length = self.keys.rtp.seal(buffer, length, &Part { header, ssrc, index, word: None })?;
        match &mut self.sent {
            Some(window) => window.take(index),
            none => *none = Some(Window::starting(index)),
        }
        Ok(length)
    }

    /// Encrypts the RTCP compound in `buffer[..length]`; puts index and tag behind. How long it is then.
    pub fn rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Refused> {
        let ssrc = rtcp_ssrc(buffer.get(..length).ok_or(Refused::Malformed)?).ok_or(Refused::Malformed)?;
        if self.rtcp_index & ENCRYPTED != 0 {
            return Err(Refused::UsedUp);
        }
        let index = u64::from(self.rtcp_index);
        let part = Part { header: RTCP_HEADER, ssrc, index, word: Some(self.rtcp_index | ENCRYPTED) };
        let length = self.keys.rtcp.seal(buffer, length, &part)?;
        self.rtcp_index += 1;
        Ok(length)
    }
}

/// What the transforms need of an RTP header.
struct Header {
    /// With contributing sources and extension: up to what is encrypted.
    length: usize,
    sequence: u16,
    ssrc: u32,
}

fn header(packet: &[u8]) -> Option<Header> {
    let b = packet.first_chunk::<12>()?;
    if b[0] >> 6 != 2 {
        return None;
    }
    let mut length = 12 + usize::from(b[0] & 0x0f) * 4;
    if b[0] & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    let header =
        Header { length, sequence: u16::from_be_bytes([b[2], b[3]]), ssrc: u32::from_be_bytes([b[8], b[9], b[10], b[11]]) };
    (length <= packet.len()).then_some(header)
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let b = packet.first_chunk::<RTCP_HEADER>()?;
    (b[0] >> 6 == 2).then(|| u32::from_be_bytes([b[4], b[5], b[6], b[7]]))
}

#[cfg(test)]
mod tests;
