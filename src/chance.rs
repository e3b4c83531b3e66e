//! Chance as a value: one generator, seeded once, so that the same seed and the same inputs give the same bytes out.
//!
//! ChaCha12, because tags, branches and nonces must not be guessable by who sees earlier ones. The seed comes from the operating system
//! in a real run and from the test in a test.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

use crate::clock::Wall;
use crate::ids::{CallbackId, ConversationId, RecordingId};

#[derive(Clone, Debug)]
pub struct Chance(ChaCha12Rng);

impl Chance {
    pub fn seeded(seed: [u8; 32]) -> Self {
        Chance(ChaCha12Rng::from_seed(seed))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Less than `bound`, which is not 0. The bias of the remainder is below 2⁻³² for the small bounds of jitter and ports.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// 80 bits in 16 characters that are a token in SIP (§25.1), for tags, branches and Call-IDs. RFC 3261 §19.3 asks for 32 bits.
    pub fn token(&mut self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bytes: [u8; 16] = self.bytes();
        bytes.iter().map(|b| ALPHABET[usize::from(b & 31)] as char).collect()
    }

    /// With the cookie that marks it as unique (§8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }

    pub fn conversation(&mut self, at: Wall) -> ConversationId {
        ConversationId::from_parts(millis(at), self.random128())
    }

    pub fn recording(&mut self, at: Wall) -> RecordingId {
        RecordingId::from_parts(millis(at), self.random128())
    }

    pub fn callback(&mut self, at: Wall) -> CallbackId {
        CallbackId::from_parts(millis(at), self.random128())
    }

    fn random128(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }
}

fn millis(at: Wall) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}

/// A seed from the operating system, for a real run.
pub fn from_system() -> [u8; 32] {
    let mut rng = ChaCha12Rng::from_os_rng();
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let (mut a, mut b) = (Chance::seeded([7; 32]), Chance::seeded([7; 32]));
        assert_eq!(a.token(), b.token());
        assert_eq!(a.token().len(), 16);
        assert_ne!(a.token(), a.token());
    }
}
