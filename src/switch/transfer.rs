//! Blind transfer (RFC 3515, RFC 5589 §5): by a phone's REFER or by a command.
//!
//! The transferrer is let go as soon as the transfer begins and hears nothing from then on; a phone is told by NOTIFY how it goes, and
//! takes the other party back if nobody answers and it is still there. The conversation, its recording and the customer's media path
//! stay as they are.

use std::time::Duration;

use super::hub::{Cx, Hub, Purpose};
use super::routing::caller;
use super::{Output, Refusal, Switch};
use crate::clock::Now;
use crate::conversation::{Conversation, Otherwise, Peer, Refer, Stage, Transferring};
use crate::event::{Kind, Transfer, TransferOutcome};
use crate::ids::{ConversationId, LegId};
use crate::route::class::{Denied, may_transfer_blind};
use crate::route::{self, Cause};
use crate::sip::{HeaderName, Method, Status, SubscriptionState};

/// A phone whose transfer is complete hangs up by itself; some wait for the BYE of the other side.
const LETS_GO: Duration = Duration::from_secs(3);

/// How long a subscription to a REFER may last, in seconds from the last NOTIFY: longer than anything rings, which is three minutes outside,
/// and a phone that forwards after that.
const SUBSCRIPTION: u32 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Trying,
    Ringing,
    Completed,
    Failed(Status),
}

impl Notice {
    fn status(self) -> Status {
        match self {
            Notice::Trying => Status::TRYING,
            Notice::Ringing => Status::RINGING,
            Notice::Completed => Status::OK,
            Notice::Failed(status) => status,
        }
    }
}

impl Hub {
    /// A trunk's caller who may not go out by a trunk again, on our account (`transit`), whoever sends him there.
    pub fn is_bound_to_stay(&self, conv: &Conversation, leg: LegId) -> bool {
        match conv.leg(leg).map(|l| &l.peer) {
            Some(Peer::Trunk(name)) => !self.config.trunks.get(name).is_some_and(|t| t.transit),
            Some(Peer::Phone(_)) | None => false,
        }
    }
}

impl Switch {
    /// Whether a phone may leave its consultation to the other call. One in which nobody talks, but rings or waits in a queue or menu, is a
    /// blind transfer by another way, and takes the right to those; a park slot is none.
    pub(super) fn may_hand_over(
        &mut self,
        consultation: ConversationId,
        leg: LegId,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), (Status, Refusal)> {
        let Some(conv) = self.conversations.get(&consultation) else { return Ok(()) };
        if conv.other(leg).is_some() || matches!(conv.stage, Stage::Offering { .. }) {
            return Ok(());
        }
        let (called, peer) = (conv.called.clone(), conv.leg(leg).map(|l| l.peer.clone()));
        let mut cx = self.cx(now, out);
        let config = cx.config();
        let Some(phone) = peer.as_ref().and_then(Peer::phone).and_then(|number| config.phones.get(number)) else { return Ok(()) };
        cx.told(phone, &called, may_transfer_blind(&config, phone))
            .map_err(|denied| (Status::FORBIDDEN, Refusal::NotPermitted(format!("phone:{}", phone.number), denied)))
    }
}

impl Cx<'_> {
    /// Whether `from` may send its partner to `to`: the target, and the partner.
    pub fn may_transfer(
        &mut self,
        conv: &Conversation,
        from: LegId,
        to: &str,
        by_refer: bool,
    ) -> Result<(route::Target, LegId), (Status, super::Refusal)> {
        // Neither status ends the dialog, as 481 or 404 would (RFC 5057 §5.1): the phone keeps its call.
        let gone = || (Status::REQUEST_PENDING, super::Refusal::WrongState("nobody is connected"));
        let undiallable = || super::Refusal::NotDiallable(to.to_owned());
        let other = conv.other(from).ok_or_else(gone)?;
        let leg = conv.leg(from).ok_or_else(gone)?;
        let config = &self.config();
        if by_refer && !self.is_obeyed(conv, from) {
            return Err((Status::FORBIDDEN, undiallable()));
        }
        let who = caller(config, &leg.peer, &leg.shows).ok_or_else(|| (Status::FORBIDDEN, undiallable()))?;
        let denied = |denied: Denied| (Status::FORBIDDEN, super::Refusal::NotPermitted(leg.peer.to_string(), denied));
        // The API knows the places of the configuration by name; a phone, whatever its user types, has numbers.
        let place = to.parse().ok().filter(|_| !by_refer);
        let found = match &place {
            Some(place) => route::go(config, who, place),
            None => route::dial(config, who, to),
        };
        // Whatever waits in a slot comes back to who has put it there.
        let parks = matches!(found, Ok(route::Target::Slot(_) | route::Target::Code(route::Code::Park)));
        if by_refer
            && !parks
            && let route::Caller::Phone(phone) = who
        {
            self.told(phone, to, may_transfer_blind(config, phone)).map_err(denied)?;
        }
        match found {
            Ok(route::Target::Outside(_)) if self.hub.is_bound_to_stay(conv, other) => Err((Status::FORBIDDEN, undiallable())),
            Ok(route::Target::Code(route::Code::Park)) => match self.free_slot() {
                Some(slot) => Ok((route::Target::Slot(slot), other)),
                None => Err((Status::BUSY_HERE, super::Refusal::WrongState("somebody waits in every park slot"))),
            },
            Ok(route::Target::Code(_) | route::Target::Hangup) | Err(_) => Err((Status::FORBIDDEN, undiallable())),
            Ok(route::Target::Slot(slot)) if self.hub.index.parked.contains_key(&slot) => {
                Err((Status::BUSY_HERE, super::Refusal::WrongState("somebody waits in that park slot")))
            }
            Ok(route::Target::Voicemail(number)) if !self.takes_messages(&number) => {
                Err((Status::TEMPORARILY_UNAVAILABLE, super::Refusal::WrongState("the mailbox takes no message now")))
            }
            Ok(target) => self.may_reach(who, &target).map(|()| (target, other)).map_err(denied),
        }
    }

    /// A trunk's REFER would be a way to dial on our account; obeyed only where the configuration says so.
    pub fn is_obeyed(&self, conv: &Conversation, from: LegId) -> bool {
        match conv.leg(from).map(|l| &l.peer) {
            Some(Peer::Trunk(name)) => self.hub.config.trunks.get(name).is_some_and(|t| t.refer),
            Some(Peer::Phone(_)) => true,
            None => false,
        }
    }

    /// `other` is on its way to `target`.
    pub fn transfer(&mut self, conv: &mut Conversation, other: LegId, target: route::Target, transfer: Transferring) {
        let (from, refer) = (transfer.from, transfer.refer);
        self.unbridge(conv);
        conv.subject = other;
        self.record_without(conv, from);
        self.silence(conv, from);
        let data = Transfer { leg: from, by: transfer.by.clone(), to: transfer.to.clone(), outcome: TransferOutcome::Started };
        self.tell(Some(conv.id), Kind::CallTransferred(data));
        self.notify(conv, refer, Notice::Trying);
        self.to(conv, target, Some(transfer));
        // By command the other party is let go at once, unless it has the call again already: nobody is there.
        if refer.is_none() && conv.other(from).is_none() {
            self.release(conv, from, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        }
    }

    /// A transfer has come to its end, one way or the other.
    pub fn transferred(&mut self, conv: &mut Conversation, transfer: Transferring, notice: Notice) {
        let aside = transfer.aside();
        let Transferring { from, phone, stay, was_caller, refer, by, to } = transfer;
        self.notify(conv, refer, notice);
        let outcome = if notice == Notice::Completed { TransferOutcome::Completed } else { TransferOutcome::Failed };
        self.tell(Some(conv.id), Kind::CallTransferred(Transfer { leg: from, by, to, outcome }));
        // Whom that one was to be about has not been reached: it has nobody any more.
        if let (Notice::Failed(status), Some(aside)) = (notice, aside) {
            self.release(conv, aside, Cause::from_status(status.code()), status, None);
        }
        let still_there = conv.leg(from).is_some_and(|l| l.is_answered());
        match notice {
            Notice::Completed | Notice::Trying | Notice::Ringing => {
                for id in [Some(from), aside].into_iter().flatten() {
                    if let Some(leg) = conv.legs.get_mut(&id).filter(|l| l.is_live()) {
                        leg.lets_go_at = Some(self.now.mono + LETS_GO);
                    }
                }
            }
            Notice::Failed(_) if still_there => {
                if was_caller {
                    self.record_with(conv, from);
                }
                self.bridge(conv, from);
            }
            Notice::Failed(status) => {
                conv.stage = Stage::Routing;
                match phone {
                    Some(phone) => self.ring_back(conv, &phone, stay.map_or(Otherwise::Nowhere, Otherwise::Queue)),
                    None => self.fail(conv, Cause::from_status(status.code()), None),
                }
            }
        }
    }

    /// The transferrer did not hang up by itself.
    pub fn lets_go(&mut self, conv: &mut Conversation) {
        let due = |at: Option<crate::clock::Mono>| at.is_some_and(|at| at <= self.now.mono);
        let legs: Vec<LegId> = conv.legs.values().filter(|l| due(l.lets_go_at)).map(|l| l.id).collect();
        for id in legs {
            if let Some(leg) = conv.legs.get_mut(&id) {
                leg.lets_go_at = None;
            }
            self.release(conv, id, Cause::Transferred, Status::TEMPORARILY_UNAVAILABLE, None);
        }
    }

    /// NOTIFY with a fragment of the response that the target gave (RFC 3515 §2.4.5).
    pub fn notify(&mut self, conv: &mut Conversation, refer: Option<Refer>, notice: Notice) {
        let Some(Refer { on, cseq }) = refer else { return };
        let Some(leg) = conv.legs.get_mut(&on).filter(|l| l.is_live()) else { return };
        let Some((mut request, flow)) = leg.call.request(Method::Notify) else { return };
        let status = notice.status();
        let state =
            if status.is_final() { SubscriptionState::terminated("noresource") } else { SubscriptionState::active(SUBSCRIPTION) };
        request.headers.push(HeaderName::Event, format!("refer;id={cseq}"));
        request.headers.push(HeaderName::SubscriptionState, &state);
        request.headers.push(HeaderName::ContentType, "message/sipfrag;version=2.0");
        request.body = format!("SIP/2.0 {} {}\r\n", status.code(), status.reason()).into();
        self.request(request, flow, Purpose::Told(on));
    }
}
