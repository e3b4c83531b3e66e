//! Registrations of ours that a reload ends: taken back (RFC 3261 §10.2.2), as at the end of the process, so that a carrier whose trunk is
//! gone from the configuration does not go on sending calls that nobody here takes.
//!
//! An account (user and host) that a trunk still registers is not taken back, although it may have another trunk's name, port or transport
//! now: both would say the same Contact, and whichever comes last at the registrar counts. It is inherited: where the new registration is
//! elsewhere, it takes the old one back by itself.

use std::collections::BTreeMap;

use super::hub::{Cx, Purpose};
use crate::config::{Config, Trunk};
use crate::ids::TrunkName;
use crate::registrar::{Outward, Step};
use crate::sip::{Flow, Response};

/// On its way out; gone when the carrier has said so, or says nothing.
pub(super) struct Withdrawn {
    outward: Outward,
    /// Where the trunk was when the reload came.
    to: Flow,
}

impl Cx<'_> {
    /// Takes back what the configuration has no more. What is left has new owners: the trunks that register the same account.
    pub fn withdraw_registrations(&mut self, old: &Config) -> BTreeMap<TrunkName, Outward> {
        let config = self.config();
        let stays = |name: &TrunkName| {
            let now = config.trunks.get(name);
            now.is_some_and(|trunk| trunk.register) && now == old.trunks.get(name)
        };
        let gone: Vec<TrunkName> = self.hub.outward.keys().filter(|name| !stays(name)).cloned().collect();
        let mut inherited = BTreeMap::new();
        for name in gone {
            let (Some(trunk), Some(outward)) = (old.trunks.get(&name), self.hub.outward.remove(&name)) else { continue };
            let to = self.way_to(trunk);
            let heir = config.trunks.values().find(|heir| heir.register && is_same_account(heir, trunk));
            match (heir, to) {
                (Some(heir), _) => {
                    self.registers_for(&name, &Purpose::InDialog);
                    inherited.insert(heir.name.clone(), outward);
                }
                (None, Some(to)) => self.withdraw(&name, outward, to),
                // Nothing can be sent there.
                (None, None) => self.registers_for(&name, &Purpose::InDialog),
            }
        }
        inherited
    }

    fn withdraw(&mut self, name: &TrunkName, mut outward: Outward, to: Flow) {
        let id = self.next_number();
        // An answer that is still out is its, and not that of a trunk with the same name.
        self.registers_for(name, &Purpose::Withdraw(id));
        let cnonce = self.hub.chance.token();
        let step = outward.stop(&cnonce);
        self.hub.withdrawn.insert(id, Withdrawn { outward, to });
        self.withdrawing(id, step);
    }

    /// What became of a request that takes a registration back, or of one that was out before.
    pub fn withdraw_answered(&mut self, id: u64, response: Option<&Response>) {
        let (cnonce, luck, now) = (self.hub.chance.token(), self.hub.chance.next_u64(), self.now.mono);
        let Some(withdrawn) = self.hub.withdrawn.get_mut(&id) else { return };
        let step = match response {
            Some(response) => withdrawn.outward.taken_back(response, &cnonce),
            None => withdrawn.outward.unanswered(luck, now),
        };
        self.withdrawing(id, step);
    }

    fn withdrawing(&mut self, id: u64, step: Step) {
        let Some(withdrawn) = self.hub.withdrawn.get(&id) else { return };
        let to = withdrawn.to;
        if withdrawn.outward.is_stopped() {
            self.hub.withdrawn.remove(&id);
        }
        if let Some(request) = step.send {
            self.request(request, to, Purpose::Withdraw(id));
        }
    }

    /// Whose the answers to registrations of a trunk are from here on.
    fn registers_for(&mut self, name: &TrunkName, whose: &Purpose) {
        for purpose in self.hub.purposes.values_mut() {
            if matches!(purpose, Purpose::Register(of, _) if of == name) {
                purpose.clone_from(whose);
            }
        }
    }
}

fn is_same_account(one: &Trunk, other: &Trunk) -> bool {
    one.user == other.user && one.peer.host.eq_ignore_ascii_case(&other.peer.host)
}
