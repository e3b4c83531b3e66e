//! The little of STUN (RFC 8489) that ICE needs: Binding requests read, checked and answered, or written, and what comes back.
//!
//! Ours and not the crate's, because whether a message is authentic has to be known before anything is done with it.

use std::net::{IpAddr, SocketAddr};

use rtc::crypto::{HmacAlgorithm, RTCCrypto};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// HMAC-SHA1.
const TAG: usize = 20;
/// What the CRC-32 is combined with (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// 487 Role Conflict (RFC 8445 §7.3.1.1).
pub const ROLE_CONFLICT: u16 = 487;

/// What tells answers apart: chance, so that nobody answers who has not heard the request.
pub type Transaction = [u8; 12];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Success,
    Error,
}

/// Who nominates (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Controlling,
    Controlled,
}

impl Role {
    pub fn other(self) -> Role {
        match self {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        }
    }
}

/// A message of the Binding method that is whole, not yet known to be authentic.
#[derive(Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    pub class: Class,
    pub transaction: Transaction,
    /// Each request has one.
    pub username: Option<&'a [u8]>,
    /// Where MESSAGE-INTEGRITY begins.
    integrity_at: usize,
    tag: &'a [u8; TAG],
    /// The peer nominates the pair that this came on.
    pub use_candidate: bool,
    /// What the sender takes itself for, and its tie-breaker.
    pub role: Option<(Role, u64)>,
    /// What the sender's candidate would have, were it new to us (RFC 8445 §7.1.1).
    pub priority: Option<u32>,
    /// Of an error: 300 to 699.
    pub error: Option<u16>,
}

/// Belongs to STUN by its first byte (RFC 7983 §7).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|b| *b < 4)
}

impl<'a> Message<'a> {
    /// `None`: none of the Binding method, damaged, or without integrity and fingerprint, which each check and its answer have (RFC 8445
    /// §7.1, §7.3).
    pub fn parse(bytes: &'a [u8]) -> Option<Message<'a>> {
        let word = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let class = match word(0)? {
            REQUEST => Class::Request,
            SUCCESS => Class::Success,
            ERROR => Class::Error,
            _ => return None,
        };
        if usize::from(word(2)?) + HEADER != bytes.len() || bytes.get(4..8)? != COOKIE {
            return None;
        }
        let transaction = *bytes.get(8..HEADER)?.first_chunk()?;
        let (mut username, mut integrity, mut role, mut priority, mut error) = (None, None, None, None, None);
        let (mut use_candidate, mut ends) = (false, false);
        let mut at = HEADER;
        while at < bytes.len() {
            let (kind, length) = (word(at)?, usize::from(word(at + 2)?));
            let value = bytes.get(at + 4..)?.get(..length)?;
            match kind {
                FINGERPRINT => {
                    let crc = crc32fast::hash(bytes.get(..at)?) ^ FINGERPRINT_XOR;
                    ends = value == crc.to_be_bytes() && at + 8 == bytes.len();
                }
                // What follows the integrity is not covered by it.
                _ if integrity.is_some() => {}
                USERNAME => username = Some(value),
                MESSAGE_INTEGRITY => integrity = Some((at, value.try_into().ok()?)),
                USE_CANDIDATE => use_candidate = true,
                ICE_CONTROLLED => role = Some((Role::Controlled, u64::from_be_bytes(value.try_into().ok()?))),
                ICE_CONTROLLING => role = Some((Role::Controlling, u64::from_be_bytes(value.try_into().ok()?))),
                PRIORITY => priority = Some(u32::from_be_bytes(value.try_into().ok()?)),
                // Its hundreds, and the rest (RFC 8489 §14.8).
                ERROR_CODE => {
                    let [_, _, hundreds, rest] = *value.first_chunk()?;
                    error = Some(u16::from(hundreds & 7) * 100 + u16::from(rest));
                }
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        let (integrity_at, tag) = integrity.filter(|_| ends)?;
        Some(Message { bytes, class, transaction, username, integrity_at, tag, use_candidate, role, priority, error })
    }

    /// Whoever sent it knows the password.
    pub fn is_authentic(&self, pwd: &str, crypto: &dyn RTCCrypto) -> bool {
        let Some((before, _)) = self.bytes.split_at_checked(self.integrity_at) else { return false };
        let Some((head, rest)) = before.split_at_checked(2) else { return false };
        // The length counts up to the integrity, whatever follows (RFC 8489 §14.5).
        let length = ((self.integrity_at + 4 + TAG - HEADER) as u16).to_be_bytes();
        let Some(rest) = rest.get(2..) else { return false };
        let mac = crypto.new_hmac(HmacAlgorithm::Sha1, pwd.as_bytes());
        mac.and_then(|mut mac| mac.verify(&[head, &length, rest], self.tag)).is_ok()
    }

    /// Success, with the address that the request came from.
    pub fn accepted(&self, from: SocketAddr, pwd: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        self.answer(SUCCESS, XOR_MAPPED_ADDRESS, &self.xor_address(from), pwd, crypto)
    }

    /// 487: its sender is to take the other role.
    pub fn role_conflict(&self, pwd: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        self.answer(ERROR, ERROR_CODE, b"\0\0\x04\x57Role Conflict", pwd, crypto)
    }

    fn xor_address(&self, address: SocketAddr) -> Vec<u8> {
        let port = address.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        // The cookie and the transaction's number lie side by side in the request.
        let mask = self.bytes.get(4..HEADER).unwrap_or_default();
        let (family, octets) = match address.ip().to_canonical() {
            IpAddr::V4(a) => (1, a.octets().to_vec()),
            IpAddr::V6(a) => (2, a.octets().to_vec()),
        };
        let mut out = vec![0, family];
        out.extend(port.to_be_bytes());
        out.extend(octets.iter().zip(mask).map(|(a, m)| a ^ m));
        out
    }

    fn answer(&self, kind: u16, attribute: u16, value: &[u8], pwd: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        let mut out = begun(kind, &self.transaction);
        push(&mut out, attribute, value);
        sealed(out, pwd, crypto)
    }
}

/// A request of ours: a connectivity check, or one for consent.
#[derive(Debug)]
pub struct Check<'a> {
    pub transaction: Transaction,
    /// Of the peer, then ours (RFC 8445 §7.2.2).
    pub ufrags: [&'a str; 2],
    pub priority: u32,
    pub role: Role,
    pub tie_breaker: u64,
    pub use_candidate: bool,
}

impl Check<'_> {
    /// As it is sent, signed with the peer's password.
    pub fn written(&self, pwd: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        let mut out = begun(REQUEST, &self.transaction);
        push(&mut out, USERNAME, self.ufrags.join(":").as_bytes());
        push(&mut out, PRIORITY, &self.priority.to_be_bytes());
        let role = match self.role {
            Role::Controlling => ICE_CONTROLLING,
            Role::Controlled => ICE_CONTROLLED,
        };
        push(&mut out, role, &self.tie_breaker.to_be_bytes());
        if self.use_candidate {
            push(&mut out, USE_CANDIDATE, &[]);
        }
        sealed(out, pwd, crypto)
    }
}

/// A header without its length.
fn begun(kind: u16, transaction: &Transaction) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend(kind.to_be_bytes());
    out.extend([0, 0]);
    out.extend(COOKIE);
    out.extend(transaction);
    out
}

/// With integrity and fingerprint behind it.
fn sealed(mut out: Vec<u8>, pwd: &str, crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
    set_length(&mut out, 4 + TAG);
    let mut tag = [0; TAG];
    crypto.new_hmac(HmacAlgorithm::Sha1, pwd.as_bytes()).and_then(|mut mac| mac.sign(&[&out], &mut tag)).ok()?;
    push(&mut out, MESSAGE_INTEGRITY, &tag);
    set_length(&mut out, 8);
    let crc = crc32fast::hash(&out) ^ FINGERPRINT_XOR;
    push(&mut out, FINGERPRINT, &crc.to_be_bytes());
    Some(out)
}

fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// As if `more` bytes followed.
fn set_length(out: &mut [u8], more: usize) {
    let length = (out.len() + more - HEADER) as u16;
    if let Some(field) = out.get_mut(2..4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.1.
    const SAMPLE: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn sample() -> Vec<u8> {
        hex::decode(SAMPLE.replace(char::is_whitespace, "")).unwrap()
    }

    fn provider() -> std::sync::Arc<dyn rtc::crypto::RTCCryptoProvider> {
        rtc::crypto::default_provider().unwrap()
    }

    #[test]
    fn the_sample_request_of_rfc_5769_is_authentic_with_its_password_only() {
        let (bytes, provider) = (sample(), provider());
        let request = Message::parse(&bytes).unwrap();
        assert_eq!((request.class, request.username), (Class::Request, Some(&b"evtj:h6vY"[..])));
        assert_eq!((request.role, request.priority), (Some((Role::Controlled, 0x932f_f9b1_5126_3b36)), Some(0x6e00_01ff)));
        assert!(!request.use_candidate);
        assert!(request.is_authentic(PASSWORD, provider.crypto()));
        assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBT", provider.crypto()));
    }

    #[test]
    fn a_changed_byte_anywhere_makes_it_nothing_or_unauthentic() {
        let provider = provider();
        for at in 0..sample().len() {
            let mut bytes = sample();
            bytes[at] ^= 1;
            let authentic = Message::parse(&bytes).is_some_and(|r| r.is_authentic(PASSWORD, provider.crypto()));
            assert!(!authentic, "byte {at}");
        }
    }

    /// RFC 5769 §2.2 has the same transaction; its answer also names its software, so only the address is compared.
    #[test]
    fn the_answer_has_the_address_of_rfc_5769_and_is_read_by_the_crate() {
        let (bytes, provider) = (sample(), provider());
        let request = Message::parse(&bytes).unwrap();
        for (from, expected) in [
            ("192.0.2.1:32853", "0001a147e112a643"),
            ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
        ] {
            let from: SocketAddr = from.parse().unwrap();
            let answer = request.accepted(from, PASSWORD, provider.crypto()).unwrap();
            let value = hex::decode(expected).unwrap();
            assert_eq!(answer[24..24 + value.len()], value[..]);
            let mut message = rtc::stun::message::Message { raw: answer, ..Default::default() };
            message.decode().unwrap();
            rtc::stun::integrity::MessageIntegrity::check(&mut message, PASSWORD.as_bytes(), provider.crypto()).unwrap();
            rtc::stun::fingerprint::FINGERPRINT.check(&message).unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120), whole: bool) {
            if whole && bytes.len() >= HEADER {
                bytes[..2].copy_from_slice(&REQUEST.to_be_bytes());
                let length = (bytes.len() - HEADER) as u16;
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[4..8].copy_from_slice(&COOKIE);
            }
            let _ = Message::parse(&bytes);
        }
    }
}
