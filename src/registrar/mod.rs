//! Who is where: bindings of phones (RFC 3261 §10), the digest that guards them and every INVITE (RFC 7616, RFC 8760), and our own
//! registrations at trunks.
//!
//! The rules: nothing is stored for a peer that has not proved who it is; a binding is changed by its number's owner alone, by a whole
//! REGISTER or not at all; whoever has not proved anything can't tell a number that exists from one that does not.

pub mod answers;
pub mod bans;
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
use crate::clock::{Mono, Now};
use crate::config::{Config, Secret};
use crate::ids::Number;
use crate::sip::{ConnectionId, Request, Response};

pub use binding::{Binding, Device};
pub use bindings::Change;
pub use guard::Verdict;
pub use outward::{News, Outward, Step, answer_challenge};

use bindings::Bindings;
use guard::Guard;
pub use register::From;
use register::Limits;
pub use throttle::Alarm;

pub struct Registrar {
    guard: Guard,
    limits: Limits,
    bindings: Bindings,
}

impl Registrar {
    pub fn new(config: &Config, chance: &mut Chance) -> Registrar {
        Registrar { guard: Guard::new(config, chance), limits: Limits::of(config), bindings: Bindings::default() }
    }

    /// A new configuration: bindings of numbers that are no more are removed, all others stay.
    pub fn configure(&mut self, config: &Config, changes: &mut Vec<Change>) {
        self.guard.configure(config);
        self.limits = Limits::of(config);
        self.bindings.retain(|number| config.phones.contains_key(number), changes);
    }

    /// Puts back what an earlier process knew. Connections of that process are gone; what expired meanwhile is told as a change.
    pub fn restore(&mut self, number: Number, binding: Binding, now: Now, changes: &mut Vec<Change>) {
        self.bindings.restore(number, binding, now, changes);
    }

    /// Whose secret the request proves. `users` finds the secret of a number; `tag` goes into the To of an answer.
    ///
    /// Proven means: a nonce of ours that is fresh, used in order, for this method and URI, in this realm, with an algorithm that was
    /// offered; and From (for REGISTER also To) is of the one who proved it.
    pub fn authenticate<'a>(
        &mut self,
        request: &Request,
        users: &dyn Fn(&str) -> Option<&'a Secret>,
        from: &From,
        tag: &str,
        chance: &mut Chance,
        now: Now,
    ) -> Verdict {
        let bindings = &self.bindings;
        let holds = |number: &str| bindings.held(&Number::new(number)).iter().any(|held| from.is_of(&held.binding));
        self.guard.authenticate(request, users, &holds, from, tag, chance, now.mono)
    }

    /// Whether a digest was right, since this was asked last.
    pub fn digest_was_right(&mut self) -> bool {
        self.guard.digest_was_right()
    }

    /// Passwords that are being tried, since this was asked last.
    pub fn alarms(&mut self) -> Vec<Alarm> {
        self.guard.alarms()
    }

    /// Carries out a REGISTER of the number's owner (§10.3): all of it, or nothing with a status that says why.
    pub fn register(
        &mut self,
        number: &Number,
        request: &Request,
        from: From,
        tag: &str,
        now: Now,
        changes: &mut Vec<Change>,
    ) -> Response {
        register::register(&mut self.bindings, &self.limits, number, request, from, tag, now, changes)
    }

    /// Where the number can be reached, best first (q, then the newest).
    pub fn bindings(&self, number: &Number, now: Now) -> Vec<Binding> {
        self.bindings.of(number, now.mono)
    }

    /// Where a call to the number is to ring, best first: a device with several flows once (RFC 5626 §5.3), with the others to try after it.
    pub fn targets(&self, number: &Number, now: Now) -> Vec<Vec<Binding>> {
        self.bindings.targets(number, now.mono)
    }

    pub fn all(&self) -> impl Iterator<Item = (&Number, &Binding)> {
        self.bindings.iter()
    }

    pub fn is_registered(&self, number: &Number) -> bool {
        self.bindings.has(number)
    }

    /// What came over this connection can't be reached any more; but for what a proxy of our own has brought, which has others.
    pub fn connection_closed(&mut self, connection: ConnectionId, changes: &mut Vec<Change>) {
        let lost = |binding: &Binding| binding.flow.connection == Some(connection) && binding.reported.is_none();
        self.bindings.remove_where(lost, changes);
    }

    /// The phone of this binding does not answer any more. Nothing, if the binding was renewed since.
    pub fn lose(&mut self, number: &Number, lost: &Binding, changes: &mut Vec<Change>) {
        self.bindings.lose(number, lost, changes);
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
