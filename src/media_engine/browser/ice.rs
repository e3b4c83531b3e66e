//! An ICE-lite agent (RFC 8445 §2.5) of one candidate, and consent (RFC 7675).
//!
//! | from whom | what is believed |
//! |---|---|
//! | anybody | nothing |
//! | who sent a check with our password | that it listens there: DTLS and media are taken from there, and sent there if nobody is nominated |
//! | the same, with USE-CANDIDATE | that media goes there from now on |
//!
//! Lite, and not `rtc::ice`'s agent, because a switch is reachable by its phones or it is none, and because that agent (0.21.1) turns
//! its role over on a message that nobody signed, keeps to the first pair that was nominated when the browser has moved to another, and
//! would send checks to whatever addresses a description names. A lite agent asks for no consent of its own (RFC 7675 §4): a browser's
//! checks, which come every few seconds for as long as it wants to hear us, are that consent, and it ends 30 s after the last.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rtc::crypto::RTCCrypto;

use crate::clock::Mono;
use crate::sdp::{IceCredentials, IceDtls};

use super::stun::Request;

/// Consent ends so long after it was last given (RFC 7675 §5.1).
pub const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of one peer that checks came from: its interfaces, and what NATs make of them. The oldest gives way.
const ADDRESSES: usize = 8;

/// Both sides' credentials, from one offer and answer to the next that changes them.
#[derive(Debug)]
struct Generation {
    ours: IceCredentials,
    theirs: IceCredentials,
}

impl Generation {
    /// Who signs for whom (RFC 8445 §7.2.2).
    fn is_named(&self, username: &[u8]) -> bool {
        let named = username.strip_prefix(self.ours.ufrag.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
        named == Some(self.theirs.ufrag.as_bytes())
    }
}

#[derive(Debug)]
pub struct Ice {
    /// The newest first. After a restart the one before counts until a check of the new one has come (RFC 8445 §9).
    generations: ArrayVec<Generation, 2>,
    /// The newest last.
    valid: ArrayVec<SocketAddr, ADDRESSES>,
    target: Option<SocketAddr>,
    nominated: bool,
    /// The last check that was signed.
    heard: Option<Mono>,
}

impl Ice {
    pub fn new(terms: &IceDtls) -> Ice {
        let mut ice = Ice { generations: ArrayVec::new(), valid: ArrayVec::new(), target: None, nominated: false, heard: None };
        ice.agree(terms);
        ice
    }

    /// Another offer and answer. New credentials are a restart.
    pub fn agree(&mut self, terms: &IceDtls) {
        if self.generations.first().is_some_and(|g| g.ours == terms.ours && g.theirs == terms.theirs) {
            return;
        }
        self.generations.truncate(1);
        self.generations.insert(0, Generation { ours: terms.ours.clone(), theirs: terms.theirs.clone() });
    }

    /// A STUN message; the answer to it.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Mono, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        let request = Request::parse(datagram)?;
        let index = self.generations.iter().position(|g| g.is_named(request.username))?;
        let pwd = &self.generations.get(index)?.ours.pwd;
        if !request.is_authentic(pwd, crypto) {
            return None;
        }
        if request.controlled {
            return request.role_conflict(pwd, crypto);
        }
        let answer = request.accepted(from, pwd, crypto)?;
        self.heard = Some(now);
        let of_now = index == 0;
        if of_now && self.generations.len() > 1 {
            self.generations.truncate(1);
            self.nominated = false;
        }
        if !self.valid.contains(&from) {
            if self.valid.is_full() {
                self.valid.remove(0);
            }
            self.valid.push(from);
        }
        if (request.use_candidate && of_now) || !self.nominated {
            self.target = Some(from);
            self.nominated = request.use_candidate;
        }
        Some(answer)
    }

    /// It has proved that it listens there.
    pub fn is_valid(&self, from: SocketAddr) -> bool {
        self.target == Some(from) || self.valid.contains(&from)
    }

    /// Where to send.
    pub fn target(&self) -> Option<SocketAddr> {
        self.target
    }

    /// When consent ends, if no check comes. Before the first one, nothing is sent anyway.
    pub fn expires(&self) -> Option<Mono> {
        self.heard.map(|at| at + CONSENT)
    }
    #[cfg(test)]
    pub fn is_of_one_generation(&self) -> bool {
        self.generations.len() == 1
    }
}
