//! Who is where: bindings of phones (RFC 3261 §10), the digest that guards them and every INVITE (RFC 7616, RFC 8760), and our own
//! registrations at trunks.
//!
//! The rules: nothing is stored for a peer that has not proved who it is; a binding is changed by its number's owner alone, by a whole
//! REGISTER or not at all; whoever has not proved anything can't tell a number that exists from one that does not.

mod binding;
mod bindings;
mod guard;
mod nonce;
mod outward;
mod register;
mod throttle;

#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::clock::{Mono, Now, Wall};
use crate::config::{Config, Secret};
use crate::ids::Number;
use crate::sip::{ConnectionId, Flow, Request, Response};

pub use binding::Binding;
pub use bindings::Change;
pub use guard::Verdict;
pub use outward::{Outward, Step, answer_challenge};

use bindings::Bindings;
use guard::Guard;
use register::Limits;

pub struct Registrar {
    guard: Guard,
    limits: Limits,
    bindings: Bindings,
}

impl Registrar {
    /// `key` signs nonces.
    pub fn new(config: &Config, key: [u8; 32]) -> Registrar {
        Registrar { guard: Guard::new(config, key), limits: Limits::of(config), bindings: Bindings::default() }
    }

    /// New rules. Bindings of numbers that are no more can't be refreshed, and are told as removed at the next
    /// [`expire`](Registrar::expire).
    pub fn reconfigure(&mut self, config: &Config) {
        self.guard.configure(config);
        self.limits = Limits::of(config);
        self.bindings.orphan(|number| !config.phones.contains_key(number));
    }

    /// Puts back what an earlier process knew. Its connections are gone; what expired meanwhile is told.
    pub fn restore(&mut self, bindings: Vec<(Number, Binding)>, now: Now, changes: &mut Vec<Change>) {
        for (number, binding) in bindings {
            self.bindings.restore(number, binding, now, changes);
        }
    }

    /// Whose secret the request proves. `users` finds the secret of a number; `tag` goes into the To of an answer.
    ///
    /// Proven means: a nonce of ours that is fresh, used in order, for this method and URI, in this realm, with an algorithm that was
    /// offered; and From (for REGISTER also To) is of the one who proved it.
    pub fn authenticate<'s>(
        &mut self,
        request: &Request,
        users: &dyn Fn(&str) -> Option<&'s Secret>,
        flow: &Flow,
        tag: &str,
        chance: &mut Chance,
        now: Now,
    ) -> Verdict {
        self.guard.authenticate(request, users, flow, tag, chance, now.mono)
    }

    /// Carries out a REGISTER of the number's owner (§10.3): all of it, or nothing with a status that says why.
    pub fn register(
        &mut self,
        number: &Number,
        request: &Request,
        flow: Flow,
        tag: &str,
        now: Now,
        changes: &mut Vec<Change>,
    ) -> Response {
        register::register(&mut self.bindings, &self.limits, number, request, flow, tag, now, changes)
    }

    /// Where the number can be reached, best first (q, then the newest). What has ended is gone by [`expire`](Registrar::expire), which
    /// goes by the monotonic clock: a step of the civil one, `now`, hides no phone.
    pub fn bindings(&self, number: &Number, _now: Wall) -> Vec<Binding> {
        self.bindings.of(number)
    }

    pub fn all(&self, _now: Wall) -> impl Iterator<Item = (&Number, &Binding)> {
        self.bindings.iter()
    }

    pub fn is_registered(&self, number: &Number) -> bool {
        self.bindings.has(number)
    }

    /// Bindings of all numbers.
    pub fn len(&self) -> usize {
        self.bindings.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.bindings.iter().next().is_none()
    }

    /// What came over this connection can't be reached any more.
    pub fn connection_closed(&mut self, connection: ConnectionId, _now: Now, changes: &mut Vec<Change>) {
        self.bindings.remove_where(|binding| binding.flow.connection == Some(connection), changes);
    }

    pub fn expire(&mut self, now: Now, changes: &mut Vec<Change>) {
        self.bindings.expire(now.mono, changes);
        self.guard.expire(now.mono);
    }

    /// When [`expire`](Registrar::expire) has something to do.
    pub fn deadline(&self) -> Option<Mono> {
        self.bindings.deadline()
    }
}
