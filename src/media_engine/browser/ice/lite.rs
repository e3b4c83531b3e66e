//! A lite agent (RFC 8445 §2.5): enough for a switch that is reachable by its phones.
//!
//! Media goes where the peer nominates, and before it has nominated, to where a check came from. A lite agent asks for no consent of its
//! own (RFC 7675 §4): a browser's checks, which come every few seconds for as long as it wants to hear us, are that consent, and it ends
//! 30 s after the last.

use std::net::SocketAddr;

use crate::clock::Mono;
use crate::sdp::IceDtls;

use super::super::stun::{Class, Message, Role};
use super::{CONSENT, Generations, Provider, Sources};

#[derive(Debug)]
pub struct Lite {
    pub(super) generations: Generations,
    valid: Sources,
    target: Option<SocketAddr>,
    nominated: bool,
    /// The last check that was signed.
    heard: Option<Mono>,
}

impl Lite {
    pub fn new(terms: &IceDtls) -> Lite {
        let (generations, valid) = (Generations::default(), Sources::default());
        let mut lite = Lite { generations, valid, target: None, nominated: false, heard: None };
        lite.agree(terms);
        lite
    }

    pub fn agree(&mut self, terms: &IceDtls) {
        self.generations.agree(terms);
    }

    pub fn receive(&mut self, from: SocketAddr, message: &Message<'_>, now: Mono, provider: Provider<'_>) -> Option<Vec<u8>> {
        if message.class != Class::Request {
            return None;
        }
        let (generation, of_now) = self.generations.authentic(message, provider)?;
        let pwd = &generation.ours.pwd;
        if matches!(message.role, Some((Role::Controlled, _))) {
            return message.role_conflict(pwd, provider.crypto());
        }
        let answer = message.accepted(from, pwd, provider.crypto())?;
        self.heard = Some(now);
        if of_now && self.generations.confirm() {
            self.nominated = false;
        }
        self.valid.add(from);
        if (message.use_candidate && of_now) || !self.nominated {
            self.target = Some(from);
            self.nominated = message.use_candidate;
        }
        Some(answer)
    }

    pub fn is_valid(&self, from: SocketAddr) -> bool {
        self.target == Some(from) || self.valid.has(from)
    }

    pub fn target(&self) -> Option<SocketAddr> {
        self.target
    }

    pub fn expires(&self) -> Option<Mono> {
        self.heard.map(|at| at + CONSENT)
    }
}
