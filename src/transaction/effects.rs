//! What comes out of a machine's `handle` beside its next state.

use bytes::Bytes;

/// Bytes for the peer (to where this transaction sends), and a notice for the owner; `N` is the machine's own enum of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<N> {
    pub send: Option<Bytes>,
    pub tell: Option<N>,
}

impl<N> Effects<N> {
    pub fn none() -> Self {
        Effects { send: None, tell: None }
    }

    pub fn send(bytes: Bytes) -> Self {
        Effects { send: Some(bytes), tell: None }
    }

    pub fn tell(notice: N) -> Self {
        Effects { send: None, tell: Some(notice) }
    }

    pub fn both(bytes: Bytes, notice: N) -> Self {
        Effects { send: Some(bytes), tell: Some(notice) }
    }
}
