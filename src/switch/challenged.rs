//! Carriers that want to know who speaks (RFC 3261 §22.2, §22.3): the request again, with the trunk's account, once. An unsigned BYE would
//! leave the call up over there, and its charge running; an unsigned refresh would end it.

use super::hub::{Cx, Purpose};
use crate::conversation::{Conversation, Peer};
use crate::ids::{LegId, TrunkName};
use crate::sip::{Request, Response, Status};

/// 401 or 407.
pub(super) fn is_challenge(response: &Response) -> bool {
    matches!(response.status, Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED)
}

impl Cx<'_> {
    /// Puts credentials into a request to this trunk; false where there are none for what is asked.
    pub fn sign(&mut self, trunk: &TrunkName, request: &mut Request, challenge: &Response) -> bool {
        let config = self.config();
        let account = config.trunks.get(trunk).and_then(|trunk| Some((trunk.user.as_ref()?, trunk.secret.as_ref()?)));
        let Some((user, secret)) = account else { return false };
        let cnonce = self.hub.chance.token();
        crate::registrar::answer_challenge(request, challenge, user, secret, &cnonce)
    }

    /// As [`Cx::sign`], where the leg's peer is a trunk.
    pub fn sign_for(&mut self, conv: &Conversation, id: LegId, request: &mut Request, challenge: &Response) -> bool {
        match conv.leg(id).map(|leg| leg.peer.clone()) {
            Some(Peer::Trunk(trunk)) => self.sign(&trunk, request, challenge),
            Some(Peer::Phone(_)) | None => false,
        }
    }

    /// Our BYE of a leg that is still the conversation's is challenged. Whether it is on its way again.
    pub fn bye_challenged(&mut self, conv: &mut Conversation, id: LegId, challenge: &Response) -> bool {
        let Some((mut bye, to)) = conv.legs.get_mut(&id).and_then(|leg| leg.call.bye_again()) else { return false };
        if !self.sign_for(conv, id, &mut bye, challenge) {
            return false;
        }
        self.request(bye, to, Purpose::SignedBye(id));
        true
    }

    /// The same of a leg that has lost its conversation.
    pub fn departing_bye_challenged(&mut self, id: LegId, challenge: &Response) -> bool {
        let Some(departing) = self.hub.departing.get_mut(&id) else { return false };
        let (Some(trunk), Some((mut bye, to))) = (departing.trunk.clone(), departing.call.bye_again()) else { return false };
        if !self.sign(&trunk, &mut bye, challenge) {
            return false;
        }
        self.request(bye, to, Purpose::SignedBye(id));
        true
    }
}
