//! What comes from a peer under one master key.

use super::transform::{Keys, Part};
use super::window::Window;
use super::{ENCRYPTED, Header, Master, RTCP_HEADER, Refused, header, rtcp_ssrc};

/// Streams under one key of which it is known what has been: a phone begins a new one now and then, at a transfer or after a hold. The
/// one that was silent for longest is forgotten.
const MOST_STREAMS: usize = 8;
/// Longest first packet that is tried under two indices; an RTP packet over Ethernet is no longer.
const LONGEST_COPY: usize = 1_500;

/// What a peer sends under one master key.
#[derive(Debug)]
pub struct Inbound {
    keys: Keys,
    rtp: Streams,
    rtcp: Streams,
    /// Where streams stood under the key before this one: some peers count rollovers on when the key changes, some begin anew.
    before: Vec<(u32, u64)>,
}

impl Inbound {
    pub fn new(master: &Master) -> Inbound {
        Inbound { keys: Keys::derive(master), rtp: Streams::default(), rtcp: Streams::default(), before: Vec::new() }
    }

    /// The next key of the same peer.
    pub fn after(before: &Inbound, master: &Master) -> Inbound {
        let stood = before.rtp.0.iter().map(|s| (s.ssrc, s.window.newest())).collect();
        Inbound { before: stood, ..Inbound::new(master) }
    }

    /// Checks an SRTP packet and decrypts it where it lies. How long the RTP packet is, which begins where it began.
    pub fn rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let Header { length: header, sequence, ssrc } = header(packet).ok_or(Refused::Malformed)?;
        let part = |index| Part { header, ssrc, index, word: None };
        if let Some(at) = self.rtp.position(ssrc) {
            let window = self.rtp.window(at);
            let index = window.guess(sequence);
            if !window.is_new(index) {
                return Err(Refused::Replayed);
            }
            let length = self.keys.rtp.open(packet, &part(index))?;
            self.rtp.take(at, index);
            return Ok(length);
        }
        let stood = self.before.iter().find(|(s, index)| *s == ssrc && index >> 16 != 0);
        let carried_on = stood.map(|(_, index)| Window::starting(*index).guess(sequence));
        let carries_on = carried_on.filter(|index| self.is_right(packet, &part(*index)));
        let index = carries_on.unwrap_or(u64::from(sequence));
        let length = self.keys.rtp.open(packet, &part(index))?;
        self.rtp.begin(ssrc, index);
        Ok(length)
    }

    /// Whether a packet has this index, without a change to it.
    fn is_right(&self, packet: &[u8], part: &Part) -> bool {
        let mut copy = [0; LONGEST_COPY];
        let Some(copy) = copy.get_mut(..packet.len()) else { return false };
        copy.copy_from_slice(packet);
        self.keys.rtp.open(copy, part).is_ok()
    }

    /// Checks an SRTCP packet and decrypts it where it lies. How long the compound is. One that is not encrypted is none of a suite that we
    /// agree to.
    pub fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let ssrc = rtcp_ssrc(packet).ok_or(Refused::Malformed)?;
        let word = self.keys.rtcp.word(packet).ok_or(Refused::Malformed)?;
        if word & ENCRYPTED == 0 {
            return Err(Refused::Tag);
        }
        let index = u64::from(word & !ENCRYPTED);
        let part = Part { header: RTCP_HEADER, ssrc, index, word: Some(word) };
        let known = self.rtcp.position(ssrc);
        if known.is_some_and(|at| !self.rtcp.window(at).is_new(index)) {
            return Err(Refused::Replayed);
        }
        let length = self.keys.rtcp.open(packet, &part)?;
        match known {
            Some(at) => self.rtcp.take(at, index),
            None => self.rtcp.begin(ssrc, index),
        }
        Ok(length)
    }
}

/// A stream's state.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    window: Window,
}

/// The one that was heard last is the first.
#[derive(Debug, Default)]
struct Streams(Vec<Stream>);

impl Streams {
    fn position(&self, ssrc: u32) -> Option<usize> {
        self.0.iter().position(|s| s.ssrc == ssrc)
    }

    fn window(&self, at: usize) -> &Window {
        &self.0[at].window
    }

    fn take(&mut self, at: usize, index: u64) {
        self.0[at].window.take(index);
        self.0[..=at].rotate_right(1);
    }

    fn begin(&mut self, ssrc: u32, index: u64) {
        self.0.truncate(MOST_STREAMS - 1);
        self.0.insert(0, Stream { ssrc, window: Window::starting(index) });
    }
}
