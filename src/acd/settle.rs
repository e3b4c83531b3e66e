//! One step of the acd: what is due ends, what the floor contradicts ends, then callers and agents are matched.

use std::collections::BTreeSet;

use super::agent::{Agent, AgentState, StateKind, Taken, Wanted, Work};
use super::line::{Acd, Elsewhere, Floor};
use super::offer::{Action, Offer, OfferEnd, OfferId, OverflowWhy};
use super::queue::Ticket;
use crate::clock::{Mono, Now};
use crate::ids::{ConversationId, Number, QueueName, StaffNumber};

impl Acd {
    /// Brings everything to where nothing more is due at `now`. To be called after every change here or on the floor that concerns a
    /// phone of an agent or a waiting caller, and at [`Acd::deadline`]; calling it more often changes nothing.
    pub fn settle(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        self.drop_vanished(floor, now);
        self.end_calls(floor, now);
        self.end_offers(floor, now);
        self.end_rests(floor, now);
        self.overflow(now);
        out.append(&mut self.pending);
        self.offer(floor, now, out);
        self.tell(floor, now, out);
        self.forget();
    }

    /// Callers whose conversation is gone without a word: a fault elsewhere must not leave a ghost in the line.
    fn drop_vanished(&mut self, floor: &impl Floor, now: Now) {
        let gone: Vec<ConversationId> = self.places.keys().copied().filter(|c| !floor.present(*c)).collect();
        for caller in gone {
            if let Some(left) = self.abandon(caller, now) {
                self.pending.push(Action::Vanished(left));
            }
        }
    }

    fn end_calls(&mut self, floor: &impl Floor, now: Now) {
        for agent in self.agents.values_mut() {
            if let Work::Talking { caller, queue, phone, wrap_up, .. } = &agent.work
                && !floor.talks(phone, *caller)
            {
                agent.work = Work::WrapUp { queue: queue.clone(), until: now.mono + *wrap_up };
            }
        }
    }

    fn end_offers(&mut self, floor: &impl Floor, now: Now) {
        let mut ended: Vec<(StaffNumber, OfferEnd)> = Vec::new();
        for agent in self.agents.values() {
            let Work::Offered { offer, .. } = &agent.work else { continue };
            let end = if floor.elsewhere(&offer.phone) == Elsewhere::Talks {
                OfferEnd::OtherCall
            } else if !floor.registered(&offer.phone) {
                OfferEnd::Unregistered
            } else if offer.until <= now.mono {
                OfferEnd::NoAnswer
            } else {
                continue;
            };
            ended.push((agent.staff_number.clone(), end));
        }
        for (agent, end) in ended {
            self.end_offer(&agent, end, now);
        }
    }

    /// Wrap-ups and rests that are over. An agent who comes back from another call, or whose phone comes back, is idle from now: the
    /// line of the idle is for those who stood in it.
    fn end_rests(&mut self, floor: &impl Floor, now: Now) {
        let taken = self.taken();
        for agent in self.agents.values_mut() {
            match &agent.work {
                Work::WrapUp { until, .. } | Work::Resting { until } if *until <= now.mono => {
                    agent.work = Work::Idle { since: *until };
                }
                Work::WrapUp { .. } | Work::Resting { .. } | Work::Idle { .. } | Work::Offered { .. } | Work::Talking { .. } => {}
            }
            let was_away = matches!(agent.told, AgentState::Busy | AgentState::NotRegistered);
            if was_away && matches!(agent.work, Work::Idle { .. }) && here(agent, floor, &taken) {
                agent.work = Work::Idle { since: now.mono };
            }
        }
    }

    /// Who has waited too long, or waits in a queue that is gone. A caller for whom a phone rings is left there until the offer ends:
    /// the agent may be reaching for it.
    fn overflow(&mut self, now: Now) {
        let offered = self.offered();
        let mut over: Vec<(ConversationId, OverflowWhy)> = Vec::new();
        for queue in self.queues.values() {
            for waiting in queue.waiting.values().filter(|w| !offered.contains(&w.caller)) {
                if queue.draining {
                    over.push((waiting.caller, OverflowWhy::QueueRemoved));
                } else if waiting.overflow_at.is_some_and(|at| at <= now.mono) {
                    over.push((waiting.caller, OverflowWhy::MaxWait));
                }
            }
        }
        for (caller, why) in over {
            let Some(left) = self.withdraw(caller, now) else { continue };
            let Some(to) = self.queues.get(&left.queue).map(|q| q.rules.overflow.clone()) else { continue };
            self.pending.push(Action::Overflow { caller, queue: left.queue, to, why, waited: left.waited });
        }
    }

    fn offer(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        let mut idle = self.idle(floor);
        if idle.is_empty() || self.places.is_empty() {
            return;
        }
        let offered = self.offered();
        let mut line: Vec<(Ticket, QueueName, ConversationId)> = Vec::new();
        for (name, queue) in &self.queues {
            line.extend(
                queue.waiting.iter().filter(|(_, w)| !offered.contains(&w.caller)).map(|(t, w)| (*t, name.clone(), w.caller)),
            );
        }
        line.sort_unstable_by_key(|(ticket, _, _)| *ticket);
        for (ticket, name, caller) in line {
            let Some(queue) = self.queues.get(&name) else { continue };
            let Some(at) = idle.iter().position(|(_, staff_number, _)| queue.agents.contains(staff_number)) else { continue };
            let (idle_since, staff_number, phone) = idle.remove(at);
            // Two agents may share a phone (shifts): one call at a time there.
            idle.retain(|(_, _, other)| *other != phone);
            let Some(waiting) = queue.waiting.get(&ticket) else { continue };
            let offer = Offer {
                id: OfferId(self.next_offer),
                caller,
                queue: name,
                title: queue.rules.title.clone(),
                agent: staff_number.clone(),
                phone,
                began: now.mono,
                until: now.mono + queue.rules.offer_lasts(),
                waited: waiting.waited(now),
            };
            self.next_offer += 1;
            if let Some(agent) = self.agents.get_mut(&staff_number) {
                agent.work = Work::Offered { offer: offer.clone(), idle_since };
            }
            out.push(Action::Offer(offer));
        }
    }

    /// Agents that can be offered something, the longest idle first.
    fn idle(&self, floor: &impl Floor) -> Vec<(Mono, StaffNumber, Number)> {
        let taken = self.taken();
        let mut idle: Vec<_> = self
            .agents
            .values()
            .filter(|a| !a.leaving && a.wanted == Wanted::Ready)
            .filter_map(|a| match &a.work {
                Work::Idle { since } => here(a, floor, &taken).then(|| (*since, a.staff_number.clone(), a.phone.clone())),
                Work::Offered { .. } | Work::Talking { .. } | Work::WrapUp { .. } | Work::Resting { .. } => None,
            })
            .collect();
        idle.sort_unstable();
        idle
    }

    pub(super) fn taken(&self) -> Taken {
        self.agents.values().filter_map(|a| Some((a.work.phone()?.clone(), a.staff_number.clone()))).collect()
    }

    /// Callers for whom a phone rings.
    pub(super) fn offered(&self) -> BTreeSet<ConversationId> {
        let caller = |a: &Agent| match &a.work {
            Work::Offered { offer, .. } => Some(offer.caller),
            Work::Idle { .. } | Work::Talking { .. } | Work::WrapUp { .. } | Work::Resting { .. } => None,
        };
        self.agents.values().filter_map(caller).collect()
    }

    fn tell(&mut self, floor: &impl Floor, now: Now, out: &mut Vec<Action>) {
        let taken = self.taken();
        for agent in self.agents.values_mut() {
            let state = if agent.is_done() { AgentState::Offline } else { agent.state(floor, &taken) };
            if state == agent.told {
                continue;
            }
            // Ready for another reason of the clock is not news.
            let news = state.kind() != agent.told.kind() || state.kind() != StateKind::Ready;
            let from = std::mem::replace(&mut agent.told, state.clone());
            if news {
                agent.told_at = now;
                out.push(Action::AgentChanged { agent: agent.staff_number.clone(), from, to: state });
            }
        }
    }

    /// Agents and queues that a reload took away and that have nothing left to do.
    fn forget(&mut self) {
        self.agents.retain(|_, a| !a.is_done());
        let agents = &self.agents;
        let in_use =
            |name: &QueueName| agents.values().any(|a| matches!(&a.work, Work::Offered { offer, .. } if offer.queue == *name));
        self.queues.retain(|name, q| !q.draining || !q.waiting.is_empty() || in_use(name));
    }
}

fn here(agent: &Agent, floor: &impl Floor, taken: &Taken) -> bool {
    floor.registered(&agent.phone) && !agent.is_elsewhere(floor, taken)
}

impl Agent {
    /// Taken away by a reload, and nothing runs any more.
    fn is_done(&self) -> bool {
        self.leaving
            && match &self.work {
                Work::Offered { .. } | Work::Talking { .. } => false,
                Work::Idle { .. } | Work::WrapUp { .. } | Work::Resting { .. } => true,
            }
    }
}
