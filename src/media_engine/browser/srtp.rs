//! Media in and out of one DTLS association (RFC 5764): SRTP and SRTCP with the keys that its handshake agreed on.
//!
//! One context of the crate for each source that the peer has proved to have: the crate makes a source's state before it has looked at
//! the tag, so that a context which met strangers would grow by each SSRC that they think of.

use arrayvec::ArrayVec;
use bytes::BytesMut;
use rtc::crypto::RTCCrypto;
use rtc::shared::error::Error;
use rtc::srtp::config::Config;
use rtc::srtp::context::Context;
use rtc::srtp::option::{srtcp_replay_protection, srtp_replay_protection};

/// Packets behind the newest that may still come (RFC 3711 §3.3.2 asks for 64 at least).
const REPLAY_WINDOW: usize = 128;
/// Sources of one peer: its sound, and the one that its receiver reports come from. The oldest gives way.
const SOURCES: usize = 4;

pub struct Srtp {
    config: Config,
    local: Context,
    remote: ArrayVec<(u32, Context), SOURCES>,
}

impl Srtp {
    /// `config` has the keys.
    pub fn new(config: Config, crypto: &dyn RTCCrypto) -> Result<Srtp, Error> {
        let (key, salt) = (&config.keys.local_master_key, &config.keys.local_master_salt);
        let local = Context::new(key, salt, config.profile, None, None, crypto)?;
        Ok(Srtp { config, local, remote: ArrayVec::new() })
    }

    /// Decrypts in place; how long the packet is then. `None`: forged, repeated or damaged.
    pub fn open(&mut self, datagram: &mut [u8], is_control: bool, crypto: &dyn RTCCrypto) -> Option<usize> {
        let at = if is_control { 4 } else { 8 };
        let ssrc = u32::from_be_bytes(*datagram.get(at..)?.first_chunk()?);
        let plain = match self.remote.iter_mut().find(|(source, _)| *source == ssrc) {
            Some((_, context)) => open(context, datagram, is_control)?,
            None => {
                let mut context = self.stranger(crypto)?;
                let plain = open(&mut context, datagram, is_control)?;
                if self.remote.is_full() {
                    self.remote.remove(0);
                }
                self.remote.push((ssrc, context));
                plain
            }
        };
        datagram.get_mut(..plain.len())?.copy_from_slice(&plain);
        Some(plain.len())
    }

    fn stranger(&self, crypto: &dyn RTCCrypto) -> Option<Context> {
        let (key, salt) = (&self.config.keys.remote_master_key, &self.config.keys.remote_master_salt);
        let replay = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
        Context::new(key, salt, self.config.profile, Some(replay.0), Some(replay.1), crypto).ok()
    }

    #[cfg(test)]
    pub fn sources(&self) -> usize {
        self.remote.len()
    }

    pub fn seal(&mut self, packet: &[u8], is_control: bool) -> Option<BytesMut> {
        if is_control { self.local.encrypt_rtcp(packet).ok() } else { self.local.encrypt_rtp(packet).ok() }
    }
}

fn open(context: &mut Context, datagram: &[u8], is_control: bool) -> Option<BytesMut> {
    if is_control { context.decrypt_rtcp(datagram).ok() } else { context.decrypt_rtp(datagram).ok() }
}
