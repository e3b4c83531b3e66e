//! Crypto suites, and master keys of them as they are agreed on.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

/// A crypto suite that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// AES in counter mode with HMAC-SHA1, 80 bits of tag (RFC 4568 §6.2.1): what every phone with SRTP has.
    AesCm80,
    /// With 32 bits of tag, in SRTP alone (§6.2.2).
    AesCm32,
    /// RFC 7714.
    Aes128Gcm,
    Aes256Gcm,
}

/// Key and salt of the longest suite.
const LONGEST: usize = 44;

impl Suite {
    /// In the order in which we offer them: the one that every phone with SRTP has goes first.
    pub const ALL: [Suite; 4] = [Suite::AesCm80, Suite::Aes256Gcm, Suite::Aes128Gcm, Suite::AesCm32];

    /// As in `a=crypto`.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::Aes128Gcm => "AEAD_AES_128_GCM",
            Suite::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    pub fn named(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|s| s.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a master key.
    pub const fn key_length(self) -> usize {
        match self {
            Suite::AesCm80 | Suite::AesCm32 | Suite::Aes128Gcm => 16,
            Suite::Aes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub const fn salt_length(self) -> usize {
        match self {
            Suite::AesCm80 | Suite::AesCm32 => 14,
            Suite::Aes128Gcm | Suite::Aes256Gcm => 12,
        }
    }
}

/// A master key with its salt. Nothing shows it: it is written down as its suite alone, and read back as a stand-in of zeros, which is
/// the same for all.
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    suite: Suite,
    bytes: ArrayVec<u8, LONGEST>,
}

impl Master {
    /// Key and salt one after the other; `None` if they are not as long as the suite has them.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Master> {
        let whole = bytes.len() == suite.key_length() + suite.salt_length();
        whole.then(|| bytes.iter().copied().collect()).map(|bytes| Master { suite, bytes })
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, for `a=crypto`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn key_and_salt(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.suite.key_length())
    }
}

/// The keys of a session: each side has its own (RFC 4568 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What we send is under this.
    pub ours: Master,
    pub theirs: Master,
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl Serialize for Master {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.suite.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Master {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Master, D::Error> {
        let suite = Suite::deserialize(deserializer)?;
        Ok(Master { suite, bytes: std::iter::repeat_n(0, suite.key_length() + suite.salt_length()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_shown_nor_written_down() {
        let master = Master::new(Suite::AesCm80, &[0xab; 30]).unwrap();
        assert_eq!(format!("{master:?}"), "Master { suite: AesCm80, .. }");
        let written = serde_json::to_string(&master).unwrap();
        assert_eq!(written, "\"AesCm80\"");
        assert_eq!(serde_json::from_str::<Master>(&written).unwrap(), Master::new(Suite::AesCm80, &[0; 30]).unwrap());
        assert_eq!(Master::new(Suite::Aes128Gcm, &[0; 30]), None);
    }
}
