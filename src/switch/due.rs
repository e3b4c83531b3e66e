//! What time brings: of the switch as a whole, and of one conversation.

use super::hub::Cx;
use super::{Output, Switch};
use crate::clock::{Mono, Now};
use crate::conversation::{Conversation, Stage};
use crate::event::By;
use crate::ids::LegId;
use crate::ivr;
use crate::route::Cause;
use crate::transaction::{Expired, Expiry};
use crate::voicemail;

impl Switch {
    /// When it wants to be called next, if nothing happens before.
    pub fn deadline(&self) -> Option<Mono> {
        // What a fault has interrupted goes on at once.
        let interrupted = !(self.actions.is_empty() && self.expired.is_empty() && self.unreachable.is_empty());
        let conversations = self.timers.first().map(|(at, _)| *at);
        let departing = self.hub.departing.values().map(|d| d.until).min();
        [
            conversations,
            departing,
            self.hub.transactions.deadline(),
            self.hub.registrar.deadline(),
            self.hub.bans.deadline(),
            self.hub.doubts.deadline(),
            self.hub.locks.deadline(),
            self.hub.minutes_at,
            self.hub.presence.deadline(),
            self.hub.messages_relayed.deadline(),
            self.hub.outward.values().filter_map(|o| o.deadline()).min(),
            self.hub.conditions.values().filter_map(|c| c.deadline()).min(),
            self.hub.acd.deadline(),
            self.hub.callbacks.deadline(),
            self.hub.lookups.values().map(|l| l.at).min(),
            self.hub.unresolved.values().map(|waiting| waiting.until).min(),
            interrupted.then_some(Mono::ZERO),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whatever time has brought.
    pub(super) fn due(&mut self, now: Now, out: &mut Vec<Output>) {
        let (mut expired, mut sends) = (Vec::new(), Vec::new());
        self.hub.transactions.tick(now.mono, &mut expired, &mut sends);
        self.cx(now, out).sends(sends);
        self.expired.extend(expired);
        self.whole = out.len();
        while let Some(id) = self.unreachable.pop_front() {
            self.failed(id, Cause::Unreachable, None, now, out);
            self.whole = out.len();
        }
        while let Some(Expired { id, what }) = self.expired.pop_front() {
            match what {
                Expiry::NoResponse => self.failed(id, Cause::Timeout, None, now, out),
                Expiry::NoAckToSuccess => self.unacknowledged(id, now, out),
                Expiry::NoAckToFailure => self.cx(now, out).count("sip_unacknowledged_total"),
            }
            self.whole = out.len();
        }
        let mut changes = Vec::new();
        self.hub.registrar.expire(now, &mut changes);
        self.cx(now, out).bindings_changed(changes);
        self.cx(now, out).trunks_due();
        self.cx(now, out).bans_due();
        self.cx(now, out).doubts_due();
        self.cx(now, out).mailbox_locks_due();
        self.cx(now, out).minutes_due();
        self.cx(now, out).presence_due();
        self.cx(now, out).messages_due();
        self.callbacks_due(now, out);
        self.names_due(now, out);
        // Expired bindings and trunks: no conversation's, and said once.
        self.whole = out.len();
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, id));
            self.armed.remove(&id);
            self.with(id, now, out, |cx, conv| cx.deadline_came(conv));
        }
        let over: Vec<LegId> =
            self.hub.departing.iter().filter(|(_, d)| d.until <= now.mono || d.call.is_over()).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(departing) = self.hub.departing.remove(&id) {
                self.hub.index.forget(id, departing.call.key());
            }
        }
    }
}

impl Cx<'_> {
    /// A conversation's deadline has come.
    fn deadline_came(&mut self, conv: &mut Conversation) {
        self.pause_is_over(conv);
        self.lets_go(conv);
        self.probe(conv);
        self.sessions_due(conv);
        self.provisionals_due(conv);
        self.guests_due(conv);
        self.hold_due(conv);
        if conv.is_ending() {
            return;
        }
        let now = self.now.mono;
        match &conv.stage {
            Stage::Menu { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.menu_event(conv, ivr::Event::Deadline);
            }
            Stage::Dialling(dialling) if dialling.until.is_some_and(|at| at <= now) => self.dialling_expired(conv),
            Stage::Announcing { until, .. } if *until <= now => self.announced(conv),
            Stage::Parked { until } if *until <= now => self.parked_too_long(conv),
            Stage::Offering { until, .. } if *until <= now => self.end(conv, Cause::Normal, By::Switch),
            Stage::Leaving { until, .. } if *until <= now => self.leaving_expired(conv),
            Stage::Listening { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.listening_event(conv, voicemail::Event::Deadline);
            }
            Stage::Studio { session, .. } if session.deadline().is_some_and(|at| at <= now) => {
                self.studio_event(conv, voicemail::studio::Event::Deadline);
            }
            Stage::Queue { offers_at: Some(at), play: None, .. } if *at <= now => self.offer_callback(conv),
            Stage::Queue { announcer: Some(announcer), play: None, .. } if announcer.deadline().is_some_and(|at| at <= now) => {
                self.announce_in_queue(conv);
            }
            Stage::LoggingIn { until, .. } if *until <= now => self.pin_keyed(conv),
            Stage::Arranging(arranging) if arranging.until <= now => self.arranging_expired(conv),
            Stage::Originating { until, .. } if *until <= now => self.end(conv, Cause::NoAnswer, By::Switch),
            Stage::Menu { .. }
            | Stage::Dialling(_)
            | Stage::Announcing { .. }
            | Stage::Originating { .. }
            | Stage::Parked { .. }
            | Stage::Offering { .. }
            | Stage::Leaving { .. }
            | Stage::Listening { .. }
            | Stage::Studio { .. }
            | Stage::LoggingIn { .. }
            | Stage::Arranging(_)
            | Stage::Routing
            | Stage::Queue { .. }
            | Stage::Bridged { .. }
            | Stage::Ending => {}
        }
    }
}
