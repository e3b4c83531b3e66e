//! What answers to requests of ours bring, and what their absence does.

use super::hub::Purpose;
use super::{Output, Switch};
use crate::clock::Now;
use crate::ids::LegId;
use crate::route::Cause;
use crate::sip::{Flow, Response, Status};
use crate::transaction::TransactionId;

impl Switch {
    pub(super) fn responded(&mut self, id: TransactionId, response: &Response, flow: Flow, now: Now, out: &mut Vec<Output>) {
        let Some(purpose) = self.hub.purposes.get(&id).cloned() else {
            // Its INVITE has its answer already, or it would have a purpose.
            return self.forked(id, response, flow, now, out);
        };
        if response.status.is_final() {
            self.hub.purposes.remove(&id);
            self.hub.answers.remove(&id);
        }
        match purpose {
            Purpose::Invite(leg) => match self.conversation_of(leg) {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.invite_answered(conv, leg, id, response, flow));
                }
                None => self.cx(now, out).departing_answered(leg, id, response, flow),
            },
            Purpose::Told(_) | Purpose::InDialog => {}
            Purpose::Key(leg) if response.status.is_final() => self.key_told(leg, Some(response.status), now, out),
            Purpose::Key(_) => {}
            Purpose::Notify(id) if response.status.is_final() => {
                let retry_after = response.headers.retry_after().ok().flatten();
                self.cx(now, out).notify_answered(id, response.status, retry_after);
            }
            Purpose::Notify(_) => {}
            Purpose::Message(sender) if response.status.is_final() => {
                self.cx(now, out).message_answered(sender, response.status);
            }
            Purpose::Message(_) => {}
            Purpose::Refresh(leg) => {
                if let Some(conversation) = self.conversation_of(leg) {
                    self.with(conversation, now, out, |cx, conv| cx.refresh_answered(conv, leg, id, response));
                }
            }
            Purpose::Probe(leg) => self.probed(leg, response.status, now, out),
            Purpose::Bye(leg) if response.status.is_final() => self.bye_done(leg, now, out),
            Purpose::Bye(_) => {}
            Purpose::Register(trunk, at) => self.cx(now, out).registered_there(&trunk, at, response, flow),
            Purpose::Withdraw(id) if response.status.is_final() => self.cx(now, out).withdraw_answered(id, Some(response)),
            Purpose::Withdraw(_) => {}
            Purpose::Options(trunk, at) => self.cx(now, out).trunk_answered(&trunk, at, response.status),
            Purpose::Doubt(name) => self.cx(now, out).doubt_answered(&name, response.status),
        }
    }

    /// Our BYE has its answer, or will have none.
    pub(super) fn bye_done(&mut self, leg: LegId, now: Now, out: &mut Vec<Output>) {
        if let Some(conversation) = self.conversation_of(leg) {
            self.with(conversation, now, out, |cx, conv| {
                if let Some(leg) = conv.legs.get_mut(&leg) {
                    leg.call.ended_by_peer();
                }
                cx.sweep(conv, leg);
            });
        } else if let Some(departing) = self.hub.departing.get_mut(&leg) {
            departing.call.ended_by_peer();
        }
    }

    pub(super) fn key_told(&mut self, leg: LegId, status: Option<Status>, now: Now, out: &mut Vec<Output>) {
        if let Some(conversation) = self.conversation_of(leg) {
            self.with(conversation, now, out, |cx, conv| cx.key_told(conv, leg, status));
        }
    }

    /// What came of a probe.
    pub(super) fn probed(&mut self, leg: LegId, status: Status, now: Now, out: &mut Vec<Output>) {
        if status.is_final()
            && let Some(conversation) = self.conversation_of(leg)
        {
            self.with(conversation, now, out, |cx, conv| cx.probed(conv, leg, status));
        }
    }

    /// A request of ours has no answer and will have none.
    pub(super) fn failed(&mut self, id: TransactionId, cause: Cause, why: Option<String>, now: Now, out: &mut Vec<Output>) {
        self.hub.answers.remove(&id);
        self.doubt_receiver(id, now, out);
        match self.hub.purposes.remove(&id) {
            Some(Purpose::Invite(leg)) => match self.conversation_of(leg) {
                Some(conversation) => {
                    self.with(conversation, now, out, |cx, conv| cx.invite_failed(conv, leg, cause));
                }
                None => {
                    if let Some(departing) = self.hub.departing.get_mut(&leg) {
                        departing.call.failed();
                    }
                }
            },
            Some(Purpose::Register(trunk, at)) => self.cx(now, out).unregistered_there(&trunk, at),
            Some(Purpose::Withdraw(id)) => self.cx(now, out).withdraw_answered(id, None),
            Some(Purpose::Options(trunk, at)) => self.cx(now, out).trunk_silent(&trunk, at, cause, why),
            Some(Purpose::Doubt(name)) => self.cx(now, out).doubt_unanswered(&name, cause),
            Some(Purpose::Bye(leg)) => self.bye_done(leg, now, out),
            Some(Purpose::Probe(leg)) => match (cause, self.conversation_of(leg)) {
                (Cause::Unreachable, Some(conversation)) => {
                    self.with(conversation, now, out, |cx, conv| cx.probe_found_no_way(conv, leg));
                }
                (_, _) => self.probed(leg, Status::REQUEST_TIMEOUT, now, out),
            },
            Some(Purpose::Notify(id)) if cause == Cause::Unreachable => self.cx(now, out).notify_found_no_way(id),
            Some(Purpose::Notify(id)) => self.cx(now, out).notify_answered(id, Status::REQUEST_TIMEOUT, None),
            Some(Purpose::Message(sender)) => self.cx(now, out).message_answered(sender, Status::REQUEST_TIMEOUT),
            Some(Purpose::Refresh(leg)) => {
                if let Some(conversation) = self.conversation_of(leg) {
                    self.with(conversation, now, out, |cx, conv| cx.refresh_failed(conv, leg, cause));
                }
            }
            Some(Purpose::Key(leg)) => self.key_told(leg, None, now, out),
            Some(Purpose::Told(_) | Purpose::InDialog) | None => {}
        }
    }

    pub(super) fn unacknowledged(&mut self, transaction: TransactionId, now: Now, out: &mut Vec<Output>) {
        let awaits = |call: &crate::dialog::Call| call.awaits_ack_of() == Some(transaction);
        let live = self.conversations.values().flat_map(|c| c.legs.values().map(move |l| (c.id, l)));
        let found = live.into_iter().find(|(_, l)| awaits(&l.call)).map(|(c, l)| (c, l.id));
        if let Some((conversation, leg)) = found {
            self.with(conversation, now, out, |cx, conv| cx.unacked(conv, leg));
            return;
        }
        let mut cx = self.cx(now, out);
        let departing = cx.hub.departing.iter_mut().find(|(_, d)| awaits(&d.call));
        if let Some((leg, (bye, to))) = departing.and_then(|(leg, d)| Some((*leg, d.call.unacked()?))) {
            cx.request(bye, to, Purpose::Bye(leg));
        }
    }
}
