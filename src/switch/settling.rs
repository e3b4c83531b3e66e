//! What the acd makes of what has changed.

use std::cell::OnceCell;

use super::hub::View;
use super::{Output, Switch};
use crate::acd::{self, Entry};
use crate::clock::Now;

impl Switch {
    /// What the acd makes of what has changed, until nothing changes any more.
    pub(super) fn settle(&mut self, now: Now, out: &mut Vec<Output>) {
        // Each round ends an offer or begins one, and both are finite: an agent rests after each that came to nothing. The bound only
        // keeps a fault from becoming a hang.
        for _ in 0..10_000 {
            while let Some(action) = self.actions.pop_front() {
                match action {
                    acd::Action::Offer(offer) => match offer.entry {
                        Entry::Caller(caller) => {
                            self.with(caller, now, out, |cx, conv| cx.offer(conv, &offer));
                        }
                        Entry::Callback(callback) => self.call_back(&offer, callback, now, out),
                    },
                    acd::Action::OfferEnded { offer, end, rang } => match offer.entry {
                        Entry::Caller(caller) => {
                            self.with(caller, now, out, |cx, conv| cx.offer_ended(conv, &offer, end, rang));
                        }
                        Entry::Callback(_) => self.not_called_back(&offer, end, rang, now, out),
                    },
                    acd::Action::Overflow { entry, queue, to, why, waited } => match entry {
                        Entry::Caller(caller) => {
                            self.with(caller, now, out, |cx, conv| cx.overflow(conv, queue, &to, why, waited));
                        }
                        Entry::Callback(_) => self.callback_has_no_queue(entry, now, out),
                    },
                    acd::Action::Vanished(_) => self.cx(now, out).count("acd_vanished_total"),
                    acd::Action::Owing { agent } => self.cx(now, out).owing(&agent),
                    acd::Action::AgentChanged { agent, to, .. } => self.cx(now, out).agent_changed(agent, to),
                }
                self.whole = out.len();
            }
            let due = self.hub.acd.deadline().is_some_and(|at| at <= now.mono);
            if !std::mem::take(&mut self.hub.stirred) && !due {
                return;
            }
            let mut actions = Vec::new();
            let view = View {
                index: &self.hub.index,
                registrar: &self.hub.registrar,
                conversations: &self.conversations,
                callbacks: &self.hub.callbacks,
                draining: self.hub.draining,
                customers: OnceCell::new(),
            };
            self.hub.acd.settle(&view, now, &mut actions);
            self.actions.extend(actions);
        }
        *self.hub.counters.entry("acd_unsettled_total".to_owned()).or_insert(0) += 1;
    }
}
