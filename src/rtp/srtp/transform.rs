//! One packet encrypted and tagged, or checked and decrypted, under keys derived from a master key (RFC 3711 §4, RFC 7714).

use aes::cipher::{Block, BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::{Master, Refused, Suite};

/// Of AES-GCM: all 128 bits (RFC 7714 §13.1: no shorter ones).
const GCM_TAG: usize = 16;
const HMAC_KEY: usize = 20;
const BLOCK: usize = 16;
/// Blocks of key stream made in one go: what the processor has pipelines for.
const STRIDE: usize = 8;

/// Session keys of one direction. No suite that SDP names derives them anew along the way.
#[derive(Debug)]
pub struct Keys {
    pub rtp: Transform,
    pub rtcp: Transform,
}

/// Where a packet stands, and what of it is plain.
pub struct Part {
    /// Bytes at the front that stay plain, but are part of the tag.
    pub header: usize,
    pub ssrc: u32,
    pub index: u64,
    /// Of SRTCP: the index with the bit that says that it is encrypted.
    pub word: Option<u32>,
}

#[allow(clippy::large_enum_variant, reason = "most have the larger one, and it spares them a look elsewhere a packet")]
pub enum Transform {
    Counter { cipher: Aes128Enc, mac: Hmac<Sha1>, salt: [u8; 14], tag: usize },
    Gcm { key: Box<LessSafeKey>, salt: [u8; 12] },
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transform")
    }
}

impl Keys {
    /// RFC 3711 §4.3: labels 0 to 2 for SRTP, 3 to 5 for SRTCP.
    pub fn derive(master: &Master) -> Keys {
        Keys { rtp: Transform::derive(master, 0), rtcp: Transform::derive(master, 3) }
    }
}

impl Transform {
    fn derive(master: &Master, label: u8) -> Transform {
        let suite = master.suite();
        let (key, salt) = master.key_and_salt();
        let mut session_key = [0; 32];
        let session_key = &mut session_key[..key.len()];
        derive(key, salt, label, session_key);
        match suite {
            Suite::AesCm80 | Suite::AesCm32 => {
                let mut mac_key = [0; HMAC_KEY];
                derive(key, salt, label + 1, &mut mac_key);
                let mut session_salt = [0; 14];
                derive(key, salt, label + 2, &mut session_salt);
                // §6.2.2 of RFC 4568: SRTCP has the long tag in either.
                let tag = if suite == Suite::AesCm32 && label == 0 { 4 } else { 10 };
                Transform::counter(session_key, &mac_key, session_salt, tag)
            }
            Suite::Aes128Gcm | Suite::Aes256Gcm => {
                let mut session_salt = [0; 12];
                derive(key, salt, label + 2, &mut session_salt);
                Transform::gcm(session_key, session_salt)
            }
        }
    }

    fn counter(key: &[u8], mac_key: &[u8; HMAC_KEY], salt: [u8; 14], tag: usize) -> Transform {
        let mut block = [0; BLOCK];
        block.copy_from_slice(key);
        let mut padded = hmac::digest::Key::<Hmac<Sha1>>::default();
        padded[..HMAC_KEY].copy_from_slice(mac_key);
        Transform::Counter { cipher: Aes128Enc::new(&block.into()), mac: <Hmac<Sha1> as Mac>::new(&padded), salt, tag }
    }

    #[allow(clippy::expect_used, reason = "the key has one of the two lengths that there are")]
    pub(super) fn gcm(key: &[u8], salt: [u8; 12]) -> Transform {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key).expect("a key of the algorithm's length");
        Transform::Gcm { key: Box::new(LessSafeKey::new(key)), salt }
    }

    /// Bytes that a packet has more: the tag, and the word of SRTCP.
    pub fn growth(&self, part: &Part) -> usize {
        let word = if part.word.is_some() { 4 } else { 0 };
        word + match self {
            Transform::Counter { tag, .. } => *tag,
            Transform::Gcm { .. } => GCM_TAG,
        }
    }

    /// The word that an SRTCP packet has behind what is encrypted.
    pub fn word(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Transform::Counter { tag, .. } => *tag,
            Transform::Gcm { .. } => 0,
        };
        packet[..packet.len().checked_sub(behind)?].last_chunk().map(|word| u32::from_be_bytes(*word))
    }

    /// Encrypts `buffer[..length]` and puts behind it what belongs there. How long it is then.
    pub fn seal(&self, buffer: &mut [u8], length: usize, part: &Part) -> Result<usize, Refused> {
        let whole = length + self.growth(part);
        let packet = buffer.get_mut(..whole).filter(|_| part.header <= length).ok_or(Refused::Malformed)?;
        let (packet, behind) = packet.split_at_mut(length);
        let word = part.word.map(u32::to_be_bytes);
        match self {
            Transform::Counter { cipher, mac, salt, .. } => {
                apply_key_stream(cipher, counter_block(salt, part), &mut packet[part.header..]);
                let tag = tag_of(mac, packet, &word.unwrap_or_else(|| rollover(part)));
                let at = word.map_or(0, |w| w.len());
                behind[..at].copy_from_slice(word.as_ref().map_or(&[], |w| &w[..]));
                let length = behind.len() - at;
                behind[at..].copy_from_slice(&tag[..length]);
            }
            Transform::Gcm { key, salt } => {
                let (header, sound) = packet.split_at_mut(part.header);
                let nonce = Nonce::assume_unique_for_key(nonce(salt, part));
                let tag = match word {
                    None => key.seal_in_place_separate_tag(nonce, Aad::from(&*header), sound),
                    Some(word) => key.seal_in_place_separate_tag(nonce, Aad::from(with_word(header, word)), sound),
                };
                let tag = tag.map_err(|_| Refused::Malformed)?;
                behind[..GCM_TAG].copy_from_slice(tag.as_ref());
                behind[GCM_TAG..].copy_from_slice(word.as_ref().map_or(&[], |w| &w[..]));
            }
        }
        Ok(whole)
    }

    /// Checks the tag of a whole packet and decrypts it. How long it is then. What lies in `packet` after an error is of no use.
    pub fn open(&self, packet: &mut [u8], part: &Part) -> Result<usize, Refused> {
        let length = packet.len().checked_sub(self.growth(part)).filter(|l| part.header <= *l).ok_or(Refused::Malformed)?;
        let (packet, behind) = packet.split_at_mut(length);
        let word = part.word.map(u32::to_be_bytes);
        match self {
            Transform::Counter { cipher, mac, salt, .. } => {
                let tag = &behind[word.map_or(0, |w| w.len())..];
                let right = tag_of(mac, packet, &word.unwrap_or_else(|| rollover(part)));
                if !bool::from(right[..tag.len()].ct_eq(tag)) {
                    return Err(Refused::Tag);
                }
                apply_key_stream(cipher, counter_block(salt, part), &mut packet[part.header..]);
            }
            Transform::Gcm { key, salt } => {
                let (header, sound) = packet.split_at_mut(part.header);
                let nonce = Nonce::assume_unique_for_key(nonce(salt, part));
                let tag = behind.first_chunk::<GCM_TAG>().ok_or(Refused::Malformed)?;
                let tag = Tag::from(*tag);
                let opened = match word {
                    None => key.open_in_place_separate_tag(nonce, Aad::from(&*header), tag, sound, 0..).map(|_| ()),
                    Some(word) => {
                        key.open_in_place_separate_tag(nonce, Aad::from(with_word(header, word)), tag, sound, 0..).map(|_| ())
                    }
                };
                opened.map_err(|_| Refused::Tag)?;
            }
        }
        Ok(length)
    }
}

/// RFC 3711 §4.3.1 and §4.3.3, with AES of the master key's length (RFC 7714 §11). A salt of 12 bytes stands in the first 12 of 14.
fn derive(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) {
    let mut block = [0; BLOCK];
    for (b, s) in block.iter_mut().zip(salt) {
        *b = *s;
    }
    block[7] ^= label;
    out.fill(0);
    match (key.first_chunk::<32>(), key.first_chunk::<16>()) {
        (Some(key), _) => apply_key_stream(&Aes256Enc::new(key.into()), block, out),
        (None, Some(key)) => apply_key_stream(&Aes128Enc::new(key.into()), block, out),
        (None, None) => {}
    }
}

/// AES in counter mode from this block on: its last two bytes count.
fn apply_key_stream<C: BlockEncrypt<BlockSize = aes::cipher::consts::U16>>(cipher: &C, first: [u8; BLOCK], bytes: &mut [u8]) {
    let mut count = 0u16;
    for stretch in bytes.chunks_mut(BLOCK * STRIDE) {
        let blocks = stretch.len().div_ceil(BLOCK);
        let mut stream = [Block::<C>::from(first); STRIDE];
        for block in &mut stream[..blocks] {
            block[14..].copy_from_slice(&count.to_be_bytes());
            count = count.wrapping_add(1);
        }
        cipher.encrypt_blocks(&mut stream[..blocks]);
        for (bytes, stream) in stretch.chunks_mut(BLOCK).zip(&stream) {
            for (b, s) in bytes.iter_mut().zip(stream) {
                *b ^= s;
            }
        }
    }
}

/// RFC 3711 §4.1.1.
fn counter_block(salt: &[u8; 14], part: &Part) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[4..8].copy_from_slice(&part.ssrc.to_be_bytes());
    block[8..14].copy_from_slice(&part.index.to_be_bytes()[2..]);
    for (b, s) in block.iter_mut().zip(salt) {
        *b ^= s;
    }
    block
}

/// RFC 7714 §8.1 and §9.1.
fn nonce(salt: &[u8; 12], part: &Part) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&part.ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&part.index.to_be_bytes()[2..]);
    for (b, s) in nonce.iter_mut().zip(salt) {
        *b ^= s;
    }
    nonce
}

/// How often the sequence number has gone round.
fn rollover(part: &Part) -> [u8; 4] {
    ((part.index >> 16) as u32).to_be_bytes()
}

/// RFC 3711 §4.2.1: over the packet, and the rollover counter or the SRTCP word behind it.
fn tag_of(mac: &Hmac<Sha1>, packet: &[u8], behind: &[u8; 4]) -> [u8; 20] {
    let mut mac = mac.clone();
    mac.update(packet);
    mac.update(behind);
    mac.finalize().into_bytes().into()
}

/// RFC 7714 §9.2: what the tag of an SRTCP packet covers beside what is encrypted.
fn with_word(header: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut both = [0; 12];
    for (b, h) in both.iter_mut().zip(header) {
        *b = *h;
    }
    both[8..].copy_from_slice(&word);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_those_of_the_rfc() {
        let (key, salt) = (bytes("e1f97a0d3e018be0d64fa32c06de4139"), bytes("0ec675ad498afeebb6960b3aabe6"));
        let derived = |label, length| {
            let mut out = vec![0; length];
            derive(&key, &salt, label, &mut out);
            hex::encode(out)
        };
        assert_eq!(derived(0, 16), "c61e7a93744f39ee10734afe3ff7a087");
        assert_eq!(derived(2, 14), "30cbbc08863d8c85d49db34a9ae1");
        assert_eq!(
            derived(1, 96),
            "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef72270986371c10c9a369ac2f94a8\
             c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2dc68"
        );
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_is_that_of_the_rfc() {
        let cipher = Aes128Enc::new_from_slice(&bytes("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let mut first = [0; BLOCK];
        first[..14].copy_from_slice(&bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
        let mut stream = [0; 0xff02 * BLOCK];
        apply_key_stream(&cipher, first, &mut stream);
        for (block, expected) in [
            (0x0000, "e03ead0935c95e80e166b16dd92b4eb4"),
            (0x0001, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (0x0002, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(hex::encode(&stream[block * BLOCK..][..BLOCK]), expected, "block {block:x}");
        }
    }

    /// RFC 7714 §16.1.1, §16.2.1.
    #[test]
    fn packets_under_aes_gcm_are_those_of_the_rfc() {
        let plain = bytes(
            "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573",
        );
        let salt: [u8; 12] = bytes("517569642070726f2071756f").try_into().unwrap();
        for (key, sealed) in [
            (
                "000102030405060708090a0b0c0d0e0f",
                "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d \
                 7f27beb1 6a9152cf 765ee439 0cce",
            ),
            (
                "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 \
                 db36dfff d6b0f9bb 7878d7a7 6c13",
            ),
        ] {
            let transform = Transform::gcm(&bytes(key), salt);
            let part = Part { header: 12, ssrc: 0x5501_a0b2, index: 0xf17b, word: None };
            let mut buffer = plain.clone();
            buffer.extend([0; GCM_TAG]);
            assert_eq!(transform.seal(&mut buffer, plain.len(), &part), Ok(plain.len() + GCM_TAG));
            assert_eq!(hex::encode(&buffer), sealed.replace(' ', ""));
            assert_eq!(transform.open(&mut buffer, &part), Ok(plain.len()));
            assert_eq!(buffer[..plain.len()], plain);
        }
    }
}
