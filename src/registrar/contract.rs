//! The registrar's signatures as the core calls them, for its author to fill in.

use std::time::Duration;

use super::Binding;
use crate::chance::Chance;
use crate::clock::{Mono, Now, Wall};
use crate::config::{Config, Secret, Trunk};
use crate::ids::Number;
use crate::sip::{ConnectionId, Flow, NameAddr, Request, Response, Status};

/// Whose a request is.
#[derive(Debug)]
pub enum Verdict {
    Proven(Number),
    /// To be sent as it is: 401 with challenges, 403, 400 …
    Answer(Response),
}

/// What happened to a binding. All but `Refreshed` are told as events; all are to be kept on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(Number, Box<Binding>),
    Refreshed(Number, Box<Binding>),
    Removed(Number, Box<Binding>),
    Expired(Number, Box<Binding>),
}

pub struct Registrar {}

impl Registrar {
    /// `key` signs nonces.
    pub fn new(config: &Config, key: [u8; 32]) -> Registrar {
        let _ = (config, key);
        Registrar {}
    }

    /// New rules (algorithms, expiry bounds); phones that the configuration no longer has lose their bindings at their next expiry.
    pub fn reconfigure(&mut self, config: &Config) {
        let _ = config;
    }

    pub fn authenticate<'s>(
        &mut self,
        request: &Request,
        users: &dyn Fn(&str) -> Option<&'s Secret>,
        flow: &Flow,
        tag: &str,
        chance: &mut Chance,
        now: Now,
    ) -> Verdict {
        let _ = (users, flow, chance, now);
        Verdict::Answer(request.response_with_tag(Status::SERVICE_UNAVAILABLE, tag))
    }

    /// A REGISTER whose sender is proven to be `number`: the response, and what changed.
    pub fn register(
        &mut self,
        number: &Number,
        request: &Request,
        flow: Flow,
        tag: &str,
        now: Now,
        changes: &mut Vec<Change>,
    ) -> Response {
        let _ = (number, flow, now, changes);
        request.response_with_tag(Status::SERVICE_UNAVAILABLE, tag)
    }

    /// Live bindings, the best `q` first.
    pub fn bindings(&self, number: &Number, now: Wall) -> Vec<Binding> {
        let _ = (number, now);
        Vec::new()
    }

    pub fn is_registered(&self, number: &Number) -> bool {
        let _ = number;
        false
    }

    pub fn all(&self, now: Wall) -> impl Iterator<Item = (&Number, &Binding)> {
        let _ = now;
        std::iter::empty()
    }

    pub fn len(&self) -> usize {
        0
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What outlived the process; what has expired meanwhile is told as `Expired`.
    pub fn restore(&mut self, bindings: Vec<(Number, Binding)>, now: Now, changes: &mut Vec<Change>) {
        let _ = (bindings, now, changes);
    }

    /// The connection that bindings were reached through is gone: over TCP such a binding can't be reached any more and is removed.
    pub fn connection_closed(&mut self, connection: ConnectionId, now: Now, changes: &mut Vec<Change>) {
        let _ = (connection, now, changes);
    }

    pub fn expire(&mut self, now: Now, changes: &mut Vec<Change>) {
        let _ = (now, changes);
    }

    /// When the next binding expires, on the monotonic clock.
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
}

/// Puts the credentials that a 401 or 407 asks for on a request; false if it offers nothing that we can do.
pub fn answer_challenge(request: &mut Request, challenge: &Response, user: &str, secret: &Secret, cnonce: &str) -> bool {
    let _ = (request, challenge, user, secret, cnonce);
    false
}

/// Our registration at a trunk: a machine that asks for REGISTERs to be sent and is told what came of them.
pub struct Outward {}

#[derive(Debug)]
pub enum Step {
    /// In a client transaction, to the trunk's address.
    Send(Request),
    Up,
    Down,
    Failed {
        status: Option<Status>,
        retry_in: Duration,
    },
}

impl Outward {
    pub fn new(trunk: &Trunk, domain: &str, chance: &mut Chance) -> Outward {
        let _ = (trunk, domain, chance);
        Outward {}
    }

    /// Whether this is still the same registration after a reload.
    pub fn is_for(&self, trunk: &Trunk) -> bool {
        let _ = trunk;
        true
    }

    /// Our Contact, as the trunk reaches us.
    pub fn reach_at(&mut self, contact: NameAddr) {
        let _ = contact;
    }

    /// Its deadline has come, or its address is known now: registers if that is due. Does nothing while a REGISTER is under way.
    pub fn due(&mut self, now: Mono, chance: &mut Chance) -> Vec<Step> {
        let _ = (now, chance);
        Vec::new()
    }

    pub fn answered(&mut self, response: &Response, now: Mono, chance: &mut Chance) -> Vec<Step> {
        let _ = (response, now, chance);
        Vec::new()
    }

    /// No answer came, or it could not be sent.
    pub fn unanswered(&mut self, now: Mono) -> Vec<Step> {
        let _ = now;
        Vec::new()
    }

    /// Takes the registration back (Expires: 0), once.
    pub fn leave(&mut self, now: Mono, chance: &mut Chance) -> Vec<Step> {
        let _ = (now, chance);
        Vec::new()
    }

    pub fn deadline(&self) -> Option<Mono> {
        None
    }
}
