//! Whose a message is: the leg, and the call of ours that has come back.

use bytes::Bytes;

use super::Switch;
use super::incoming::Returned;
use crate::conversation::Leg;
use crate::dialog::Key;
use crate::ids::LegId;
use crate::sip::Request;
use crate::transaction::TransactionId;

impl Switch {
    /// The call of ours that an INVITE is, where it has come back.
    pub(super) fn returned(&self, request: &Request) -> Option<Returned> {
        let call_id = request.headers.call_id().ok()?.clone();
        let tag = request.headers.from_tag().ok()??;
        let leg = *self.hub.index.keys.get(&Key { call_id, tag })?;
        let conversation = self.conversations.get(&self.conversation_of(leg)?)?;
        let sent = conversation.leg(leg)?.call.invite()?;
        Some(Returned { number: sent.uri.dialled()?, diverted: conversation.diverted.clone() })
    }

    /// The leg that a request within a dialog belongs to: by Call-ID and our tag.
    pub(super) fn leg_of(&self, request: &Request) -> Option<LegId> {
        let call_id = request.headers.call_id().ok()?.clone();
        let tag = request.headers.to_tag().ok()??;
        self.hub.index.keys.get(&Key { call_id, tag }).copied()
    }

    /// The leg whose INVITE this transaction is. The CANCEL has its Call-ID, but not our tag yet.
    pub(super) fn leg_invited_in(&self, invite: TransactionId, cancel: &Request) -> Option<LegId> {
        let call_id = cancel.headers.call_id().ok()?.clone();
        let from = Key { call_id: call_id.clone(), tag: Bytes::new() };
        let candidates = self.hub.index.keys.range(from..).take_while(|(key, _)| key.call_id == call_id);
        candidates.map(|(_, leg)| *leg).find(|leg| {
            let conversation = self.conversation_of(*leg).and_then(|c| self.conversations.get(&c));
            let unanswered = |l: &Leg| {
                l.call.is_invited_in(invite) || l.call.awaits_ack_of() == Some(invite) && l.provisionals.holds_success()
            };
            conversation.and_then(|c| c.leg(*leg)).is_some_and(unanswered)
        })
    }
}
