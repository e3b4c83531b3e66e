//! Whether a phone that holds is there still.
//!
//! A phone that sends audio and stops is found dead by its media. One that holds may send none for an hour, and if it loses power then,
//! its partner would hear music for ever and an agent would never be free. So it is asked, in the dialog, from time to time.

use std::time::Duration;

use super::hub::{Cx, Purpose};
use crate::conversation::Conversation;
use crate::ids::LegId;
use crate::route::Cause;
use crate::sip::{HeaderName, Method, Status};

/// With the 32 s that a request waits for its answer, a dead phone is noticed a minute after it put somebody on hold, at the latest.
const EVERY: Duration = Duration::from_secs(30);

impl Cx<'_> {
    /// From the moment that a leg holds until it does no more.
    pub fn watch_hold(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id) else { return };
        leg.probe_at = match (leg.is_holding(), leg.probe_at) {
            (true, None) => Some(self.now.mono + EVERY),
            (true, due) => due,
            (false, _) => None,
        };
    }

    /// Asks whom it is time to ask.
    pub fn probe(&mut self, conv: &mut Conversation) {
        let now = self.now.mono;
        let due: Vec<LegId> = conv.legs.values().filter(|l| l.probe_at.is_some_and(|at| at <= now)).map(|l| l.id).collect();
        for id in due {
            let Some(leg) = conv.legs.get_mut(&id) else { continue };
            // The answer sets the next time.
            leg.probe_at = None;
            if !leg.is_answered() {
                continue;
            }
            if let Some((mut request, to)) = leg.call.request(Method::Options) {
                request.headers.push(HeaderName::Accept, "application/sdp");
                self.request(request, to, Purpose::Probe(id));
            }
        }
    }

    /// The connection is gone. A browser or a phone on a bad network makes a new one within seconds, and its call goes with it; the next
    /// probe decides.
    pub fn probe_found_no_way(&mut self, conv: &mut Conversation, id: LegId) {
        let Some(leg) = conv.legs.get_mut(&id).filter(|l| l.is_answered()) else { return };
        if std::mem::replace(&mut leg.lost_way, true) {
            self.probed(conv, id, Status::REQUEST_TIMEOUT);
        } else {
            self.watch_hold(conv, id);
        }
    }

    /// The final answer to a probe; none at all comes as 408. Both that and 481 end a dialog (RFC 3261 §12.2.1.2); whatever else a phone
    /// says to OPTIONS, it is there.
    pub fn probed(&mut self, conv: &mut Conversation, id: LegId, status: Status) {
        if !conv.leg(id).is_some_and(|l| l.is_answered()) {
            return;
        }
        match status {
            Status::REQUEST_TIMEOUT | Status::CALL_TRANSACTION_DOES_NOT_EXIST => {
                self.count("sip_dead_while_holding_total");
                self.leg_fails(conv, id, Cause::Lost);
            }
            _ => {
                if let Some(leg) = conv.legs.get_mut(&id) {
                    leg.lost_way = false;
                }
                self.watch_hold(conv, id);
            }
        }
    }
}
