//! Sessions of browsers: a random number in a cookie, known here by its digest only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::{OsRng, TryRngCore};
use sha2::{Digest, Sha256};

use crate::clock::Mono;

/// A shift, and some.
pub(super) const LASTS: Duration = Duration::from_secs(12 * 3_600);

/// Sessions at once; beyond, the one that ends first makes room. Far more than a centre has browsers.
const MOST: usize = 2_000;

/// SHA-256 of what is secret: equal digests are equal secrets, and comparing digests tells a listener nothing.
pub(super) type Fingerprint = [u8; 32];

pub(super) fn fingerprint(secret: &str) -> Fingerprint {
    Sha256::digest(secret.as_bytes()).into()
}

struct Session {
    user: String,
    /// Of the password that opened it: a changed password ends its sessions.
    password: Fingerprint,
    ends: Mono,
}

#[derive(Default)]
pub(super) struct Sessions(Mutex<BTreeMap<Fingerprint, Session>>);

/// No bytes of chance from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers")]
pub(super) struct NoChance;

impl Sessions {
    /// Begins a session; the token goes into the cookie. Always a new one, so that nobody can have fixed it before.
    pub fn begin(&self, user: &str, password: Fingerprint, now: Mono) -> Result<String, NoChance> {
        let mut bytes = [0; 32];
        OsRng.try_fill_bytes(&mut bytes).map_err(|_| NoChance)?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let mut sessions = self.lock();
        sessions.retain(|_, s| s.ends > now);
        if sessions.len() >= MOST
            && let Some(first) = sessions.iter().min_by_key(|(_, s)| s.ends).map(|(k, _)| *k)
        {
            sessions.remove(&first);
        }
        sessions.insert(fingerprint(&token), Session { user: user.to_owned(), password, ends: now + LASTS });
        Ok(token)
    }

    /// Whose session this is, if that user still has that password.
    pub fn user(&self, token: &str, password_of: impl Fn(&str) -> Option<Fingerprint>, now: Mono) -> Option<String> {
        let sessions = self.lock();
        let session = sessions.get(&fingerprint(token)).filter(|s| s.ends > now)?;
        (password_of(&session.user)? == session.password).then(|| session.user.clone())
    }

    pub fn end(&self, token: &str) {
        self.lock().remove(&fingerprint(token));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Mono {
        Mono::from_millis(s * 1_000)
    }

    #[test]
    fn a_session_ends_by_time_by_logout_and_with_its_password() {
        let sessions = Sessions::default();
        let (old, new) = (fingerprint("old"), fingerprint("new"));
        let token = sessions.begin("ann", old, at(0)).unwrap();
        assert_eq!(token.len(), 43);
        assert_eq!(sessions.user(&token, |_| Some(old), at(1)).as_deref(), Some("ann"));
        assert_eq!(sessions.user(&token, |_| Some(new), at(1)), None);
        assert_eq!(sessions.user(&token, |_| None, at(1)), None, "the user is gone");
        assert_eq!(sessions.user(&token, |_| Some(old), at(12 * 3_600)), None);
        assert_eq!(sessions.user("guess", |_| Some(old), at(1)), None);
        sessions.end(&token);
        assert_eq!(sessions.user(&token, |_| Some(old), at(1)), None);
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin("a", [0; 32], at(0)).unwrap();
        for s in 1..=MOST as u64 {
            sessions.begin("b", [0; 32], at(s)).unwrap();
        }
        assert_eq!(sessions.lock().len(), MOST);
        assert_eq!(sessions.user(&first, |_| Some([0; 32]), at(1)), None);
    }
}
