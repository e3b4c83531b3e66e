//! The bindings of all numbers, by number and contact, and when each ends.
//!
//! Two clocks: `expires_at` of a [`Binding`] is civil time, so that it outlives the process; what ends it while we run is the monotonic
//! deadline kept beside it, so that a step of the civil clock logs no phone off.

use std::collections::BTreeMap;

use super::Binding;
use crate::clock::{Mono, Now};
use crate::ids::Number;
use crate::sip::Uri;

/// What happened to a binding. All are to be made durable; a refresh is no event.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(Number, Box<Binding>),
    /// The same contact, with a later end and maybe another flow.
    Refreshed(Number, Box<Binding>),
    Removed(Number, Box<Binding>),
    Expired(Number, Box<Binding>),
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub binding: Binding,
    pub until: Mono,
    /// `+sip.instance` (RFC 5626): the device, whatever contact it has today. Not known after a restart, until it registers again.
    pub instance: Option<String>,
}

impl Held {
    /// The same contact (§10.3: compared as URIs), or the same device with another one (RFC 5626 §4.1).
    pub fn is_same(&self, contact: &Uri, instance: Option<&str>) -> bool {
        let same_device = instance.is_some() && self.instance.as_deref() == instance;
        same_device || Uri::parse(self.binding.contact.clone()).is_ok_and(|uri| uri.equivalent(contact))
    }
}

#[derive(Default)]
pub(super) struct Bindings {
    /// Numbers without a binding are not in it.
    by_number: BTreeMap<Number, Vec<Held>>,
    /// Of all; found anew after each change.
    next: Option<Mono>,
}

impl Bindings {
    pub fn held(&self, number: &Number) -> &[Held] {
        self.by_number.get(number).map_or(&[], Vec::as_slice)
    }

    /// Puts a whole new list in place of the old one.
    pub fn replace(&mut self, number: &Number, held: Vec<Held>) {
        if held.is_empty() {
            self.by_number.remove(number);
        } else {
            self.by_number.insert(number.clone(), held);
        }
        self.find_next();
    }

    pub fn of(&self, number: &Number) -> Vec<Binding> {
        let mut list: Vec<&Held> = self.held(number).iter().collect();
        list.sort_by_key(|h| std::cmp::Reverse((h.binding.q, h.until)));
        list.into_iter().map(|h| h.binding.clone()).collect()
    }

    pub fn has(&self, number: &Number) -> bool {
        self.by_number.contains_key(number)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Number, &Binding)> {
        self.by_number.iter().flat_map(|(number, list)| list.iter().map(move |h| (number, &h.binding)))
    }

    pub fn restore(&mut self, number: Number, mut binding: Binding, now: Now, changes: &mut Vec<Change>) {
        let left = binding.expires_at.since(now.wall);
        if left.is_zero() {
            changes.push(Change::Expired(number, Box::new(binding)));
            return;
        }
        binding.flow.connection = None;
        let list = self.by_number.entry(number).or_default();
        list.retain(|h| h.binding.contact != binding.contact);
        list.push(Held { binding, until: now.mono + left, instance: None });
        self.find_next();
    }

    pub fn expire(&mut self, now: Mono, changes: &mut Vec<Change>) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        self.take(
            |held| held.until <= now,
            |number, held| {
                let (until, binding) = (held.until, Box::new(held.binding.clone()));
                changes.push(if until == Mono::ZERO {
                    Change::Removed(number, binding)
                } else {
                    Change::Expired(number, binding)
                });
            },
        );
    }

    /// Those of such numbers end now.
    pub fn orphan(&mut self, is_gone: impl Fn(&Number) -> bool) {
        for (_, list) in self.by_number.iter_mut().filter(|(number, _)| is_gone(number)) {
            for held in list {
                held.until = Mono::ZERO;
            }
        }
        self.find_next();
    }

    pub fn remove_where(&mut self, gone: impl Fn(&Binding) -> bool, changes: &mut Vec<Change>) {
        self.take(
            |held| gone(&held.binding),
            |number, held| {
                changes.push(Change::Removed(number, Box::new(held.binding.clone())));
            },
        );
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.next
    }

    fn take(&mut self, goes: impl Fn(&Held) -> bool, mut told: impl FnMut(Number, &Held)) {
        self.by_number.retain(|number, list| {
            list.retain(|held| {
                let gone = goes(held);
                if gone {
                    told(number.clone(), held);
                }
                !gone
            });
            !list.is_empty()
        });
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.by_number.values().flatten().map(|h| h.until).min();
    }
}
