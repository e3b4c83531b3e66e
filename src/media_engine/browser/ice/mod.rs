//! ICE (RFC 8445) of one candidate, our own, as a lite agent or a full one, and consent (RFC 7675).
//!
//! | from whom | what is believed |
//! |---|---|
//! | anybody | nothing |
//! | who sent a check with our password | that it listens there: DTLS and media are taken from there |
//! | where to send | `lite`: where the peer nominates, or its checks come from; `full`: where it answered a check of ours |
//!
//! Ours, and not `rtc::ice`'s agent, because that (0.21.1) turns its role over on a message that nobody signed, keeps to the first pair that
//! was nominated when the browser has moved to another, and would send checks to whatever addresses a description names. It is the peer
//! in the tests.
//!
//! Pure: no socket and no clock. A driver brings datagrams and the time, sends what [`Ice::check`] yields, and asks it again at
//! [`Ice::deadline`].

mod checklist;
mod full;
mod lite;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use rtc::crypto::RTCCryptoProvider;

use crate::clock::Mono;
use crate::sdp::{Candidate, IceCredentials, IceDtls};

use super::stun::Message;
use full::Full;
use lite::Lite;

/// Consent ends so long after it was last given (RFC 7675 §5.1).
pub const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of one peer that checks came from: its interfaces, and what NATs make of them. The oldest gives way.
const ADDRESSES: usize = 8;

/// Where checks and their answers get hashes and chance.
pub type Provider<'a> = &'a dyn RTCCryptoProvider;

/// Our agent of one leg.
#[derive(Debug)]
pub enum Ice {
    Lite(Box<Lite>),
    Full(Box<Full>),
}

impl Ice {
    pub fn new(terms: &IceDtls, provider: Provider<'_>) -> Ice {
        match &terms.full {
            None => Ice::Lite(Box::new(Lite::new(terms))),
            Some(full) => Ice::Full(Box::new(Full::new(terms, full, provider))),
        }
    }

    /// Another offer and answer. New credentials are a restart.
    pub fn agree(&mut self, terms: &IceDtls, provider: Provider<'_>) {
        match (&mut *self, &terms.full) {
            (Ice::Lite(lite), None) => lite.agree(terms),
            (Ice::Full(agent), Some(full)) => agent.agree(terms, full),
            // A dialog keeps to one implementation, so this is another one's agreement: the agent begins anew.
            (Ice::Lite(_), Some(_)) | (Ice::Full(_), None) => *self = Ice::new(terms, provider),
        }
    }

    /// The peer has found more candidates (RFC 8838).
    pub fn trickle(&mut self, candidates: &[Candidate]) {
        match self {
            Ice::Lite(_) => {}
            Ice::Full(full) => full.trickle(candidates),
        }
    }

    /// A STUN message; the answer to it, which goes back to where it came from.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Mono, provider: Provider<'_>) -> Option<Vec<u8>> {
        let message = Message::parse(datagram)?;
        match self {
            Ice::Lite(lite) => lite.receive(from, &message, now, provider),
            Ice::Full(full) => full.receive(from, &message, now, provider),
        }
    }

    /// The check that is due, if one is, and where it goes; there may be another one as soon as this is sent ([`Ice::deadline`]).
    pub fn check(&mut self, now: Mono, provider: Provider<'_>) -> Option<(SocketAddr, Vec<u8>)> {
        match self {
            Ice::Lite(_) => None,
            Ice::Full(full) => full.check(now, provider),
        }
    }

    /// When [`Ice::check`] has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        match self {
            Ice::Lite(_) => None,
            Ice::Full(full) => full.deadline(),
        }
    }

    /// It has proved that it listens there.
    pub fn is_valid(&self, from: SocketAddr) -> bool {
        match self {
            Ice::Lite(lite) => lite.is_valid(from),
            Ice::Full(full) => full.is_valid(from),
        }
    }

    /// Where to send.
    pub fn target(&self) -> Option<SocketAddr> {
        match self {
            Ice::Lite(lite) => lite.target(),
            Ice::Full(full) => full.target(),
        }
    }

    /// When consent ends, if nothing comes that renews it. Before it is given, nothing is sent anyway.
    pub fn expires(&self) -> Option<Mono> {
        match self {
            Ice::Lite(lite) => lite.expires(),
            Ice::Full(full) => full.expires(),
        }
    }

    #[cfg(test)]
    pub fn is_of_one_generation(&self) -> bool {
        match self {
            Ice::Lite(lite) => lite.generations.0.len() == 1,
            Ice::Full(full) => full.generations.0.len() == 1,
        }
    }
}

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

/// The newest first. After a restart the one before counts until a check of the new one has come (RFC 8445 §9).
#[derive(Debug, Default)]
struct Generations(ArrayVec<Generation, 2>);

impl Generations {
    /// Whether these credentials are new.
    fn agree(&mut self, terms: &IceDtls) -> bool {
        if self.0.first().is_some_and(|g| g.ours == terms.ours && g.theirs == terms.theirs) {
            return false;
        }
        self.0.truncate(1);
        self.0.insert(0, Generation { ours: terms.ours.clone(), theirs: terms.theirs.clone() });
        true
    }

    /// The one that a request is of, if its sender knows the password; and whether it is the newest.
    fn authentic(&self, request: &Message<'_>, provider: Provider<'_>) -> Option<(&Generation, bool)> {
        let index = self.0.iter().position(|g| request.username.is_some_and(|name| g.is_named(name)))?;
        let generation = self.0.get(index)?;
        request.is_authentic(&generation.ours.pwd, provider.crypto()).then_some((generation, index == 0))
    }

    /// A check of the newest has come; whether there was one before.
    fn confirm(&mut self) -> bool {
        let is_new = self.0.len() > 1;
        self.0.truncate(1);
        is_new
    }
}

/// Where authentic requests came from, the newest last.
#[derive(Debug, Default)]
struct Sources(ArrayVec<SocketAddr, ADDRESSES>);

impl Sources {
    fn add(&mut self, from: SocketAddr) {
        if self.0.contains(&from) {
            return;
        }
        if self.0.is_full() {
            self.0.remove(0);
        }
        self.0.push(from);
    }

    fn has(&self, from: SocketAddr) -> bool {
        self.0.contains(&from)
    }
}
