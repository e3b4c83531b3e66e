//! Answers to INVITEs of ours that nobody waits for any more: of a call that is over, and of a fork that came second.

use super::Switch;
use super::hub::{Cx, Purpose};
use crate::clock::Now;
use crate::dialog::{Dialog, Key, Progress, Reach};
use crate::ids::LegId;
use crate::route;
use crate::sip::{Flow, Method, Response};
use crate::switch::Output;
use crate::transaction::TransactionId;

impl Switch {
    /// One 2xx too many: some proxy rang several phones, and a second one was picked up before the proxy could stop it (RFC 3261
    /// §13.2.2.4). Acknowledged and ended, so that nobody sits there with a dead call.
    pub(super) fn forked(
        &mut self,
        transaction: TransactionId,
        response: &Response,
        flow: Flow,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if !response.status.is_success() || response.headers.cseq().is_ok_and(|c| c.method != Method::Invite) {
            return;
        }
        let counted = self.counted_to(response);
        let mut cx = self.cx(now, out);
        cx.count("sip_forked_answers_total");
        let trunk = route::identify(&cx.hub.config, flow.remote, flow.transport.is_reliable(), &cx.hub.hosts).is_some();
        let reach = if trunk { Reach::Target } else { Reach::Flow };
        let Ok(mut dialog) = Dialog::forked(response, flow, reach) else { return };
        let (mut ack, to) = (dialog.ack(dialog.local_cseq()), dialog.next_hop());
        if let Some(first) = cx.hub.transactions.acknowledged_by(transaction) {
            ack.headers.copy_credentials(&first.headers);
        }
        cx.ack(transaction, &ack, to);
        if let Some(counted) = counted {
            dialog.count_from(counted);
        }
        cx.request(dialog.request(Method::Bye), to, Purpose::InDialog);
    }

    /// The number of our last request to the fork that this answer is of: it may have had PRACKs.
    fn counted_to(&self, response: &Response) -> Option<u32> {
        let headers = &response.headers;
        let key = Key { call_id: headers.call_id().ok()?.clone(), tag: headers.from_tag().ok()?? };
        let fork = headers.to_tag().ok()??;
        let leg = *self.hub.index.keys.get(&key)?;
        let conversation = self.conversation_of(leg).and_then(|id| self.conversations.get(&id));
        match conversation.and_then(|conv| conv.leg(leg)) {
            Some(leg) => leg.call.fork_counted_to(&fork),
            None => self.hub.departing.get(&leg)?.call.fork_counted_to(&fork),
        }
    }
}

impl Cx<'_> {
    /// An answer to the INVITE of a leg whose conversation is over.
    pub fn departing_answered(&mut self, leg: LegId, transaction: TransactionId, response: &Response, flow: Flow) {
        if response.status.is_provisional() {
            return;
        }
        let Some(departing) = self.hub.departing.get_mut(&leg) else { return };
        if !response.status.is_success() {
            departing.call.failed();
            return;
        }
        match departing.call.established(response, flow) {
            Progress::TooLate { ack, bye, to } => {
                self.ack(transaction, &ack, to);
                self.request(bye, to, Purpose::Bye(leg));
            }
            Progress::Established { .. } | Progress::Unusable(_) | Progress::Ignored => {}
        }
    }
}
