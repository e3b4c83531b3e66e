//! What a line is at, folded from the legs that it has: its dialogs in its own view (RFC 4235 §3.7).

use crate::config::Config;
use crate::conversation::{Conversation, Leg, Peer, Role};
use crate::ids::{LegId, Number};

/// One dialog of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::switch) struct Dialog {
    pub leg: LegId,
    pub call_id: String,
    /// The line's tag; none while a phone that rings has not said it.
    pub local_tag: String,
    pub remote_tag: String,
    /// The line called.
    pub initiator: bool,
    pub state: DialogState,
    /// Number of the other party; `anonymous` or nothing where it is not shown.
    pub remote: String,
    pub remote_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum DialogState {
    /// An INVITE is out, and nothing has come back that rings.
    Trying,
    Early,
    Confirmed,
}

impl Dialog {
    /// A call in a park slot: the slot talks to who waits in it.
    pub fn parked(conv: &Conversation, leg: &Leg) -> Dialog {
        let remote = match &leg.peer {
            Peer::Phone(number) => number.to_string(),
            Peer::Trunk(_) => conv.customer_number.clone(),
        };
        Dialog {
            leg: leg.id,
            call_id: format!("parked-{}", conv.id),
            local_tag: String::new(),
            remote_tag: String::new(),
            initiator: false,
            state: DialogState::Confirmed,
            remote,
            remote_name: None,
        }
    }

    /// A leg as its phone's dialog; nothing of one that is over.
    pub fn of(config: &Config, conv: &Conversation, leg: &Leg) -> Option<Dialog> {
        if !leg.is_live() {
            return None;
        }
        let state = if leg.call.is_answered() {
            DialogState::Confirmed
        } else if leg.rang {
            DialogState::Early
        } else {
            DialogState::Trying
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (remote, remote_name) = remote(config, conv, leg);
        Some(Dialog {
            leg: leg.id,
            call_id: text(&leg.call.key().call_id),
            local_tag: leg.call.peer_tag().map(|tag| text(&tag)).unwrap_or_default(),
            remote_tag: text(&leg.call.key().tag),
            initiator: leg.call.is_callers(),
            state,
            remote,
            remote_name,
        })
    }
}

/// Whom the line's display shows: who it talks to, else who it calls or is called by.
fn remote(config: &Config, conv: &Conversation, leg: &Leg) -> (String, Option<String>) {
    let named = |number: &Number| {
        let name = config.phones.get(number).and_then(|p| p.name.clone());
        (number.to_string(), name)
    };
    if let Some(other) = conv.other(leg.id).and_then(|id| conv.leg(id)) {
        if conv.anonymous && other.id == conv.caller {
            return (String::new(), None);
        }
        return match &other.peer {
            Peer::Phone(number) => named(number),
            Peer::Trunk(_) => (conv.customer_number.clone(), None),
        };
    }
    match leg.role {
        Role::Caller => named(&Number::from(conv.called.as_str())),
        Role::Callee | Role::Guest(_) | Role::Agent { .. } => named(&Number::from(leg.shows.as_str())),
    }
}
