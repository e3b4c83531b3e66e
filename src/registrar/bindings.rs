//! The bindings of all numbers, by number and contact, and when each ends.
//!
//! Two clocks: `expires_at` of a [`Binding`] is civil time, so that it outlives the process; what ends it while we run is the monotonic
//! deadline kept beside it, so that a step of the civil clock logs no phone off.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binding, Device};
use crate::clock::{Mono, Now};
use crate::ids::Number;
use crate::sip::{Flow, Transport, Uri};

/// What happened to a binding. All are to be made durable; a refresh is no event.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(Number, Binding),
    /// The same contact, with a later end, and the flow that it was reached by before.
    Refreshed(Number, Flow, Binding),
    /// The same device, or the same of its flows, with another contact: the old binding, and the new one in its place.
    Replaced(Number, Box<Binding>, Binding),
    Removed(Number, Binding),
    Expired(Number, Binding),
    /// It has time left, but its phone does not answer any more.
    Lost(Number, Binding),
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub binding: Binding,
    pub until: Mono,
}

impl Held {
    /// How far it is from being this device's: 0 its own to the letter, 1 another of the same device, 2 somebody's.
    pub fn distance(&self, device: Option<&Device>) -> u8 {
        let own = self.binding.device.as_ref();
        match own.zip(device).is_some_and(|(own, device)| own.is_same_flow(device)) {
            _ if own == device => 0,
            true => 1,
            false => 2,
        }
    }

    /// The same contact (§10.3: compared as URIs), or the same device with another one. Where the device tells its flows apart, these count
    /// and the contact does not (RFC 5626 §6).
    pub fn is_same(&self, contact: &Uri, device: Option<&Device>) -> bool {
        let own = self.binding.device.as_ref();
        if let (Some(own), Some(device)) = (own, device)
            && (own.is_same_flow(device) || own.reg_id.is_some() && device.reg_id.is_some())
        {
            return own.is_same_flow(device);
        }
        Uri::parse(self.binding.contact.clone()).is_ok_and(|uri| uri.equivalent(contact))
    }
}

#[derive(Default)]
pub(super) struct Bindings {
    /// Numbers without a binding are not in it.
    by_number: BTreeMap<Number, Vec<Held>>,
    /// When the first binding of each number ends.
    due: BTreeSet<(Mono, Number)>,
}

impl Bindings {
    pub fn held(&self, number: &Number) -> &[Held] {
        self.by_number.get(number).map_or(&[], Vec::as_slice)
    }

    /// Puts a whole new list in place of the old one.
    pub fn replace(&mut self, number: &Number, held: Vec<Held>) {
        let (first, was) = (first_end(&held), first_end(self.held(number)));
        if held.is_empty() {
            self.by_number.remove(number);
        } else {
            self.by_number.insert(number.clone(), held);
        }
        moved(&mut self.due, number, was, first);
    }

    pub fn of(&self, number: &Number, now: Mono) -> Vec<Binding> {
        let mut live: Vec<&Held> = self.held(number).iter().filter(|h| h.until > now).collect();
        live.sort_by_key(|h| std::cmp::Reverse((h.binding.q, h.until)));
        live.into_iter().map(|h| h.binding.clone()).collect()
    }

    /// Where a call to the number is to ring: each device once, with its flows, the best first.
    pub fn targets(&self, number: &Number, now: Mono) -> Vec<Vec<Binding>> {
        let mut targets: Vec<Vec<Binding>> = Vec::new();
        for binding in self.of(number, now) {
            let device = binding.device_of_flows();
            let known =
                targets.iter_mut().find(|flows| device.is_some() && flows.first().and_then(Binding::device_of_flows) == device);
            match known {
                Some(flows) => flows.push(binding),
                None => targets.push(vec![binding]),
            }
        }
        targets
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
            changes.push(Change::Expired(number, binding));
            return;
        }
        // Its connection is gone, and no such one can be made from our side: it registers again when it has noticed.
        // A proxy of our own makes them.
        if matches!(binding.flow.transport, Transport::Tls | Transport::Ws | Transport::Wss) && binding.reported.is_none() {
            changes.push(Change::Removed(number, binding));
            return;
        }
        binding.flow.connection = None;
        let mut list = self.held(&number).to_vec();
        list.retain(|h| h.binding.key() != binding.key());
        list.push(Held { binding, until: now.mono + left });
        self.replace(&number, list);
    }

    pub fn expire(&mut self, now: Mono, changes: &mut Vec<Change>) {
        while self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, number)) = self.due.pop_first()
        {
            let (gone, left): (Vec<Held>, Vec<Held>) = self.held(&number).iter().cloned().partition(|held| held.until <= now);
            changes.extend(gone.into_iter().map(|held| Change::Expired(number.clone(), held.binding)));
            self.replace(&number, left);
        }
    }

    /// Ends what is as it was then; a binding that was renewed since lives.
    pub fn lose(&mut self, number: &Number, lost: &Binding, changes: &mut Vec<Change>) {
        let (gone, left): (Vec<Held>, Vec<Held>) = self.held(number).iter().cloned().partition(|held| held.binding == *lost);
        changes.extend(gone.into_iter().map(|held| Change::Lost(number.clone(), held.binding)));
        self.replace(number, left);
    }

    pub fn retain(&mut self, keep: impl Fn(&Number) -> bool, changes: &mut Vec<Change>) {
        self.take(|number, _| !keep(number), |number, binding| changes.push(Change::Removed(number, binding)));
    }

    pub fn remove_where(&mut self, gone: impl Fn(&Binding) -> bool, changes: &mut Vec<Change>) {
        self.take(|_, held| gone(&held.binding), |number, binding| changes.push(Change::Removed(number, binding)));
    }

    pub fn deadline(&self) -> Option<Mono> {
        self.due.first().map(|(at, _)| *at)
    }

    fn take(&mut self, goes: impl Fn(&Number, &Held) -> bool, mut told: impl FnMut(Number, Binding)) {
        let due = &mut self.due;
        self.by_number.retain(|number, list| {
            let was = first_end(list);
            list.retain(|held| {
                let gone = goes(number, held);
                if gone {
                    told(number.clone(), held.binding.clone());
                }
                !gone
            });
            moved(due, number, was, first_end(list));
            !list.is_empty()
        });
    }
}

fn first_end(list: &[Held]) -> Option<Mono> {
    list.iter().map(|held| held.until).min()
}

/// A number's first end was one time, and is another.
fn moved(due: &mut BTreeSet<(Mono, Number)>, number: &Number, was: Option<Mono>, is: Option<Mono>) {
    if was == is {
        return;
    }
    if let Some(was) = was {
        due.remove(&(was, number.clone()));
    }
    if let Some(is) = is {
        due.insert((is, number.clone()));
    }
}
