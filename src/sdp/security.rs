//! Whether a session is encrypted, and under which keys (RFC 4568 §5 to §7).
//!
//! | wanted | offers of the peer that are taken | our first offer |
//! |---|---|---|
//! | off | plain; `a=crypto` on such a line is passed over | plain |
//! | preferred | any; encrypted where one of its lines can be | encrypted where we are told to try it; plain once that was refused |
//! | required | encrypted | encrypted |
//!
//! An answer without keys to such an offer is a plain one where that is allowed; it should have been a refusal (§5.1.2). A session that
//! was encrypted stays so: an offer or answer that would take it into the clear is refused. Our key of a suite is the same for the
//! dialog's life, so that a hold changes no key; the peer may change its own with each offer.

use serde::{Deserialize, Serialize};

use super::crypto::{Crypto, Security};
use super::description::{Audio, Description};
use super::negotiation::Refusal;
use crate::rtp::srtp::{Master, Pair, Suite};

/// The line of an offer that is taken; its keys, and what our answer says of them.
pub(super) type Taken<'a> = (usize, &'a Audio, Option<(Crypto, Pair)>);

/// A dialog's side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    wanted: Security,
    /// Our first offer is encrypted.
    offered: bool,
    /// One of each suite; none where nothing is encrypted.
    ours: Vec<Master>,
}

impl Keys {
    /// `offered`: our first offer is encrypted, where that is preferred. `draw` fills in what nobody can guess.
    pub fn new(wanted: Security, offered: bool, mut draw: impl FnMut(&mut [u8])) -> Keys {
        let mut master = |suite: Suite| {
            let mut bytes = vec![0; suite.key_length() + suite.salt_length()];
            draw(&mut bytes);
            Master::new(suite, &bytes)
        };
        let ours = match wanted {
            Security::Off => Vec::new(),
            Security::Preferred | Security::Required => Suite::ALL.into_iter().filter_map(&mut master).collect(),
        };
        Keys { wanted, offered: offered || wanted == Security::Required, ours }
    }

    /// What our offer holds: all that we have at first, then what is agreed on.
    pub(super) fn to_offer(&self, agreed: Option<Option<&Pair>>) -> Vec<Crypto> {
        let numbered = |(n, master): (u32, &Master)| Crypto { tag: n, master: master.clone() };
        match agreed {
            Some(Some(pair)) => vec![numbered((1, &pair.ours))],
            Some(None) => Vec::new(),
            None if self.offered => (1..).zip(&self.ours).map(numbered).collect(),
            None => Vec::new(),
        }
    }

    /// The next offer is plain, as far as that is wanted; whether it is.
    pub(super) fn go_plain(&mut self) -> bool {
        let changes = self.offered && self.wanted == Security::Preferred;
        self.offered &= !changes;
        changes
    }

    /// `is_encrypted`: the session was until now.
    pub(super) fn take<'a>(&self, offer: &'a Description, is_encrypted: bool) -> Result<Taken<'a>, Refusal> {
        // Those over DTLS have no keys in the description.
        let audios = || offer.audios().filter(|(_, a)| a.dtls.is_none());
        let encrypted = audios().find_map(|(at, audio)| {
            let crypto = audio.crypto.iter().find_map(|c| self.pair(c))?;
            Some((at, audio, Some(crypto)))
        });
        if let Some(taken) = encrypted {
            return Ok(taken);
        }
        let mut audios = audios().peekable();
        if audios.peek().is_none() {
            return Err(Refusal::NoAudio);
        }
        if is_encrypted || self.wanted == Security::Required {
            return Err(Refusal::Unencrypted);
        }
        let none = if self.wanted == Security::Off { Refusal::Encrypted } else { Refusal::NoAudio };
        audios.find(|(_, a)| !a.secure).map(|(at, audio)| (at, audio, None)).ok_or(none)
    }

    /// Our key beside the peer's.
    fn pair(&self, theirs: &Crypto) -> Option<(Crypto, Pair)> {
        let ours = self.ours.iter().find(|m| m.suite() == theirs.master.suite())?;
        let pair = Pair { ours: ours.clone(), theirs: theirs.master.clone() };
        Some((Crypto { tag: theirs.tag, master: ours.clone() }, pair))
    }

    /// What the answer to an offer of ours makes of the keys in it.
    pub(super) fn answered(&self, offered: &[Crypto], answer: &Audio, is_encrypted: bool) -> Result<Option<Pair>, Refusal> {
        let ours = |theirs: &Crypto| offered.iter().find(|c| c.tag == theirs.tag && c.master.suite() == theirs.master.suite());
        let pair = answer.crypto.iter().find_map(|theirs| {
            let ours = ours(theirs)?;
            Some(Pair { ours: ours.master.clone(), theirs: theirs.master.clone() })
        });
        match pair {
            Some(pair) => Ok(Some(pair)),
            None if is_encrypted || self.wanted == Security::Required => Err(Refusal::Unencrypted),
            // Keys for none of ours, or such as we cannot read: it will encrypt.
            None if !offered.is_empty() && answer.has_keys => Err(Refusal::Unencrypted),
            None if offered.is_empty() && answer.secure => Err(Refusal::Encrypted),
            // Some phones that know nothing of SRTP take an offer of it for one of RTP.
            None => Ok(None),
        }
    }
}
