//! Sessions that a peer keeps alive by refreshing them (RFC 4028), and that end when it does not.

use super::hub::Cx;
use crate::clock::Mono;
use crate::conversation::Conversation;
use crate::dialog::{Asked, MIN_SE, SessionTimer};
use crate::ids::LegId;
use crate::route::Cause;
use crate::sip::{HeaderName, Request, Response, Status};

impl Cx<'_> {
    /// A re-INVITE or UPDATE that was taken: the time runs anew, or no more if it asks for none (§10).
    pub fn refreshed(&mut self, conv: &mut Conversation, id: LegId, request: &Request, response: &mut Response) {
        let timer = match Asked::by(request) {
            Asked::Timer(timer) => Some(timer),
            Asked::Nothing | Asked::TooShort => None,
        };
        if let Some(leg) = conv.legs.get_mut(&id) {
            leg.session_until = granted(timer, response, self.now.mono);
        }
    }

    /// The refusal of an interval that is too short, with the shortest that we take (§6).
    pub fn too_short(&self, mut response: Response) -> Response {
        debug_assert_eq!(response.status, Status::SESSION_INTERVAL_TOO_SMALL);
        response.headers.push(HeaderName::MinSe, MIN_SE);
        response
    }

    /// Peers that did not refresh in time are gone, as far as they said themselves.
    pub fn sessions_due(&mut self, conv: &mut Conversation) {
        let now = self.now.mono;
        let due: Vec<LegId> = conv.legs.values().filter(|l| l.session_until.is_some_and(|at| at <= now)).map(|l| l.id).collect();
        for id in due {
            let Some(leg) = conv.legs.get_mut(&id) else { continue };
            leg.session_until = None;
            if leg.is_answered() {
                self.count("sip_sessions_expired_total");
                self.leg_fails(conv, id, Cause::Lost);
            }
        }
    }
}

/// Says in a 2xx what is granted, and gives the time until which a refresh must come.
pub(super) fn granted(timer: Option<SessionTimer>, response: &mut Response, now: Mono) -> Option<Mono> {
    let timer = timer?;
    timer.grant(response);
    Some(now + timer.patience())
}
