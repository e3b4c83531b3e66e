//! What is let through of datagrams from a source that is banned for datagrams. Their address may be forged, so somebody who is really there
//! must get through: a phone that is new there is challenged, answers, and is then spared by the core.
//!
//! | a datagram | is let through |
//! |---|---|
//! | with a nonce that a challenge of ours took to this very source | always, with its repetitions: whoever forges the address has not heard it |
//! | another message | [`PLACES`] of each share of ports in each interval: a flood from one port takes that port's share alone |
//! | STUN | the same, of places of its own |
//! | the rest (CRLF) | never: nobody waits for an answer to it |
//!
//! Shares are drawn anew in each interval, so that nobody shares one with a flood for long. A flood from all ports at once takes them all;
//! then a phone needs luck for its first request, and none for the one that answers the challenge.
//!
//! All of this comes before the parser and costs less than it: a look for `nonce` in the first octets, and a few numbers.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use memchr::memchr_iter;

use super::udp::stun;

/// Shares of a source's ports.
const SHARES: usize = 16;
/// Messages, and STUN requests, of a share in an interval of a quarter of a second: of all shares 64 a second, some 1 % of a core.
const PLACES: u8 = 1;
/// Challenges of a source that are remembered: eight seconds' of those that the places allow, longer than any phone thinks.
const NONCES: usize = 512;
/// How often each may come back: a REGISTER and its repetitions over UDP (RFC 3261 §17.1.2.2).
const USES: u8 = 12;
/// In how many different messages: a phone's request, and the one that it sends with the same nonce after that. Who guesses needs more.
const ANSWERS: u8 = 2;
/// Octets of a datagram that a nonce is looked for in: headers of a request, however many Vias it has.
const LOOKED_AT: usize = 8_192;
/// Headers with credentials in a request, and a nonce in each, that are looked at.
const MOST_NONCES: usize = 8;

#[derive(Debug, Default)]
pub struct Trickle {
    sources: BTreeMap<IpAddr, Source>,
    /// Nobody outside knows which ports share, nor which nonces look alike.
    keys: RandomState,
    interval: u64,
}

#[derive(Debug, Default)]
struct Source {
    /// Of each share: messages, and STUN.
    taken: [[u8; 2]; SHARES],
    nonces: VecDeque<Issued>,
}

/// A nonce of ours, and what came back with it.
#[derive(Debug)]
struct Issued {
    hash: u64,
    uses: u8,
    /// The last message's hash, and how many different ones there were.
    last: u64,
    answers: u8,
}

impl Trickle {
    /// Whether this one is let through.
    pub fn takes(&mut self, source: IpAddr, from: SocketAddr, datagram: &[u8]) -> bool {
        let Trickle { sources, keys, interval } = self;
        let of_source = sources.entry(source).or_default();
        if of_source.answers(keys, datagram) {
            return true;
        }
        let kind = match datagram.iter().find(|octet| !octet.is_ascii_whitespace()) {
            None | Some(0) if !stun::is_stun(datagram) => return false,
            Some(_) | None => usize::from(stun::is_stun(datagram)),
        };
        let share = usize::try_from(keys.hash_one((*interval, from.port())) % SHARES as u64).unwrap_or(0);
        let Some(taken) = of_source.taken.get_mut(share).and_then(|kinds| kinds.get_mut(kind)) else { return false };
        let has_room = *taken < PLACES;
        *taken += u8::from(has_room);
        has_room
    }

    /// We send this to a source that is banned: a challenge in it is remembered.
    pub fn sent(&mut self, source: IpAddr, message: &[u8]) {
        if !message.starts_with(b"SIP/2.0 401") && !message.starts_with(b"SIP/2.0 407") {
            return;
        }
        let of_source = self.sources.entry(source).or_default();
        for nonce in nonces(message) {
            let hash = self.keys.hash_one(nonce);
            // One challenge for each algorithm, with one nonce.
            if of_source.nonces.back().is_some_and(|last| last.hash == hash) {
                continue;
            }
            if of_source.nonces.len() == NONCES {
                of_source.nonces.pop_front();
            }
            of_source.nonces.push_back(Issued { hash, uses: 0, last: 0, answers: 0 });
        }
    }

    /// An interval is over.
    pub fn renew(&mut self) {
        self.interval = self.interval.wrapping_add(1);
        for source in self.sources.values_mut() {
            source.taken = Default::default();
        }
    }

    /// Of no others anything needs to be known.
    pub fn keep(&mut self, is_banned: impl Fn(&IpAddr) -> bool) {
        self.sources.retain(|source, _| is_banned(source));
    }
}

impl Source {
    fn answers(&mut self, keys: &RandomState, datagram: &[u8]) -> bool {
        if self.nonces.is_empty() {
            return false;
        }
        nonces(datagram).any(|nonce| {
            let hash = keys.hash_one(nonce);
            let Some(issued) = self.nonces.iter_mut().rev().find(|issued| issued.hash == hash) else { return false };
            let message = keys.hash_one(datagram);
            let is_another = issued.answers == 0 || issued.last != message;
            if issued.uses == USES || (is_another && issued.answers == ANSWERS) {
                return false;
            }
            issued.uses += 1;
            issued.answers += u8::from(is_another);
            issued.last = message;
            true
        })
    }
}

/// Values of `nonce=` in a message's headers, whatever headers they are, however spelled, folded and spaced (RFC 3261 §7.3.1, §25.1): cheaper
/// than to read them, and nothing is believed of it.
pub(super) fn nonces(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = message.get(..LOOKED_AT).unwrap_or(message);
    let values = memchr_iter(b'=', head).filter_map(|equals| {
        let (before, after) = head.split_at(equals);
        let (before, after) = (before.trim_ascii_end(), after.get(1..)?.trim_ascii_start());
        let (front, name) = before.split_at_checked(before.len().checked_sub(5)?)?;
        // `cnonce` and `nextnonce` are others.
        let begins = front.last().is_some_and(|octet| matches!(octet, b',' | b' ' | b'\t' | b'\n'));
        if !begins || !name.eq_ignore_ascii_case(b"nonce") {
            return None;
        }
        let value = after.strip_prefix(b"\"")?;
        value.get(..memchr::memchr(b'"', value)?).filter(|value| !value.is_empty())
    });
    values.take(MOST_NONCES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> IpAddr {
        [192, 0, 2, 66].into()
    }

    fn from(port: u16) -> SocketAddr {
        (source(), port).into()
    }

    fn challenge(nonce: &str) -> Vec<u8> {
        format!("SIP/2.0 401 Unauthorized\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"{nonce}\", qop=\"auth\"\r\n\r\n")
            .into_bytes()
    }

    fn answer(header: &str) -> Vec<u8> {
        format!("REGISTER sip:a SIP/2.0\r\nCSeq: 2 REGISTER\r\n{header}\r\n\r\n").into_bytes()
    }

    const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\n\r\n";
    const STUN: &[u8] = b"\x00\x01\x00\x00\x21\x12\xa4\x42123456789012";

    #[test]
    fn a_flood_from_one_port_leaves_the_places_of_most_others() {
        let mut trickle = Trickle::default();
        let mut passed = 0;
        for _ in 0..1_000 {
            passed += usize::from(trickle.takes(source(), from(6_666), OPTIONS));
        }
        assert_eq!(passed, usize::from(PLACES));
        // In some intervals a port shares with the flood, in most it does not: a phone's first few tries are enough.
        for port in 10_000..10_200 {
            let tries = (0..20).position(|_| {
                trickle.renew();
                for _ in 0..50 {
                    trickle.takes(source(), from(6_666), OPTIONS);
                }
                trickle.takes(source(), from(port), OPTIONS)
            });
            assert!(tries.is_some(), "{port}");
        }
        trickle.renew();
        let all = (1..=u16::MAX).filter(|port| trickle.takes(source(), from(*port), OPTIONS)).count();
        assert_eq!(all, SHARES * usize::from(PLACES));
    }

    #[test]
    fn an_answer_to_a_challenge_passes_whatever_the_flood_and_a_made_up_one_does_not() {
        let fill = |trickle: &mut Trickle| (1..=u16::MAX).filter(|port| trickle.takes(source(), from(*port), OPTIONS)).count();
        let challenged = || {
            let mut trickle = Trickle::default();
            fill(&mut trickle);
            trickle.sent(source(), &challenge("abc"));
            trickle
        };
        let spelled = [
            "Authorization: Digest username=\"1\", nonce=\"abc\", cnonce=\"x\"",
            "authorization: digest NONCE=\"abc\"",
            "AUTHORIZATION : Digest cnonce=\"x\",nonce = \"abc\"",
            "Proxy-Authorization: Digest cnonce=\"x\",\r\n nonce=\"abc\"",
            "Authorization: Digest nonce=\"of-another\"\r\nAuthorization: Digest realm=\"a\",\tnonce=\"abc\"",
        ];
        for spelled in spelled {
            assert!(challenged().takes(source(), from(5_060), &answer(spelled)), "{spelled}");
        }
        let mut trickle = challenged();
        let forged = [
            "Authorization: Digest nonce=\"abd\"",
            "Authorization: Digest cnonce=\"abc\"",
            "Authorization: Digest nonce=abc",
            "Authorization: Digest nonce=\"abc",
            "Authorization: Digest nonce=\"\"",
            "nonce=",
        ];
        for forged in forged {
            assert!(!trickle.takes(source(), from(5_060), &answer(forged)), "{forged}");
        }
        // A challenge for one source is no use under the address of another.
        let other: IpAddr = [192, 0, 2, 67].into();
        while trickle.takes(other, (other, 1).into(), OPTIONS) {}
        assert!(!trickle.takes(other, (other, 1).into(), &answer(spelled[0])));
        // Repetitions, but not for ever.
        let more = (0..100).filter(|_| trickle.takes(source(), from(5_060), &answer(spelled[0]))).count();
        assert_eq!(more, usize::from(USES));
        // And not for every guess.
        let mut trickle = challenged();
        let guesses =
            (0..100).filter(|n| trickle.takes(source(), from(5_060), &answer(&format!("X: {n}\r\n{}", spelled[0])))).count();
        assert_eq!(guesses, usize::from(ANSWERS));
    }

    #[test]
    fn keep_alives_take_no_message_s_place() {
        let mut trickle = Trickle::default();
        for _ in 0..100 {
            assert!(!trickle.takes(source(), from(5_060), b"\r\n\r\n"));
            assert!(!trickle.takes(source(), from(5_060), b""));
            assert!(!trickle.takes(source(), from(5_060), b"\0"));
        }
        assert_eq!((0..100).filter(|_| trickle.takes(source(), from(5_060), STUN)).count(), usize::from(PLACES));
        assert!(trickle.takes(source(), from(5_060), OPTIONS));
        assert!(!trickle.takes(source(), from(5_060), OPTIONS));
    }

    #[test]
    fn memory_is_bounded_and_ends_with_the_ban() {
        let mut trickle = Trickle::default();
        for n in 0..3 * NONCES {
            trickle.sent(source(), &challenge(&n.to_string()));
            trickle.sent(source(), &answer("Authorization: Digest nonce=\"not-a-challenge\""));
        }
        assert_eq!(trickle.sources[&source()].nonces.len(), NONCES);
        let last = format!("Authorization: Digest nonce=\"{}\"", 3 * NONCES - 1);
        assert!(trickle.takes(source(), from(1), &answer(&last)));
        let many = "nonce=\"1\", ".repeat(10_000);
        assert!(nonces(many.as_bytes()).count() <= MOST_NONCES);
        trickle.keep(|_| false);
        assert!(trickle.sources.is_empty());
    }
}
