//! Calls for help under overload: how many are let in, and of whom. A datagram's address may be forged, so a flood of `INVITE 112` from
//! ever new ones must not use up the places of phones that call for help.
//!
//! | who asks | is known by | places of its own in each [`WINDOW`] | of one at most |
//! |---|---|---|---|
//! | a registered phone, a proxy of ours | the flow, as the core tells ([`Known`]); the configuration | 24 | 4 of a flow; a proxy has no limit of its own |
//! | who answers a challenge | a nonce that we sent to this very network for such a call: who forges the address has not heard it | 16 | 8 of a network |
//! | anybody else | – | 8 | 8 of a network |
//!
//! Sixteen more are for whoever comes first. Whose places are used up costs a look at the counters and no more: the number that is called is
//! read after that. A trunk's calls are none for help: emergency numbers are a phone's to dial.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use memchr::memmem;

use super::trickle::nonces;
use crate::registrar::bans;
use crate::sip::{HeaderName, Request};
use crate::switch::output::Known;

/// Renewals, of a quarter of a second, in which the places hold: two seconds.
const WINDOW: u64 = 8;
/// Own places of strangers, known ones, and those who answer; by [`Standing`].
const OWN: [u32; 3] = [8, 24, 16];
/// For whoever comes first. So 32 a second are let in, which is some 2 % of a core.
const SHARED: u32 = 16;
/// Of a network, which may be an office; each call with its challenge is two.
const OF_A_NETWORK: u32 = 8;
/// Of a flow, which is a phone.
const OF_A_FLOW: u32 = 4;
/// Renewals in which an answer to a challenge is waited for: 32 s, as long as a transaction lives.
const PATIENCE: u64 = 128;
/// What a challenge is good for: its answer, and one more, as when that was stale.
const ANSWERS: u8 = 2;
/// Challenges that are noted for a call that is let in: those of other calls there may go out before its own.
const OWED: u32 = 8;
/// Networks of which a challenge is due, and challenges: more than are let in while they are remembered. Beyond it none is noted.
const MOST_NOTED: usize = 2_048;

#[derive(Debug, Default)]
pub struct Help {
    /// Addresses that phones are registered from, with how many bindings.
    known: BTreeMap<SocketAddr, u32>,
    renewals: u64,
    taken: [u32; OWN.len()],
    of_one: BTreeMap<Asker, u32>,
    /// Nobody outside knows which nonces look alike.
    keys: RandomState,
    /// Networks whose calls were let in and are not challenged yet: when that was last, and how many.
    due: BTreeMap<IpAddr, (u64, u32)>,
    challenges: BTreeMap<u64, Challenge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Stranger = 0,
    Known = 1,
    Answers = 2,
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    Stranger(IpAddr),
    Flow(SocketAddr),
    Proxy,
    /// With the nonce that it knows.
    Answers(IpAddr, u64),
}

#[derive(Debug)]
struct Challenge {
    since: u64,
    answers: u8,
}

impl Asker {
    fn standing(&self) -> Standing {
        match self {
            Asker::Stranger(_) => Standing::Stranger,
            Asker::Flow(_) | Asker::Proxy => Standing::Known,
            Asker::Answers(..) => Standing::Answers,
        }
    }

    /// What it is counted as, and how many it may have.
    fn limit(self) -> Option<(Asker, u32)> {
        match self {
            Asker::Stranger(_) => Some((self, OF_A_NETWORK)),
            Asker::Flow(_) => Some((self, OF_A_FLOW)),
            Asker::Proxy => None,
            Asker::Answers(network, _) => Some((Asker::Answers(network, 0), OF_A_NETWORK)),
        }
    }
}

impl Help {
    pub fn known(&mut self, known: Known) {
        match known {
            Known::All(all) => {
                self.known.clear();
                for address in all {
                    *self.known.entry(address).or_default() += 1;
                }
            }
            Known::Added(address) => *self.known.entry(address).or_default() += 1,
            Known::Gone(address) => {
                let left = self.known.get_mut(&address).map(|bindings| {
                    *bindings = bindings.saturating_sub(1);
                    *bindings
                });
                if left == Some(0) {
                    self.known.remove(&address);
                }
            }
        }
    }

    /// Who sends this request, as far as is known. Who is known in two ways is counted where there is room: a phone that answers a challenge
    /// as either.
    pub fn asker(&self, request: &Request, source: SocketAddr, is_proxy: bool) -> Asker {
        let network = bans::network(source.ip());
        let of = |name| request.headers.get_all(name).flat_map(|value| nonces(value));
        let mut answered = of(&HeaderName::Authorization).chain(of(&HeaderName::ProxyAuthorization));
        let ours = |nonce: &[u8]| {
            let key = self.keys.hash_one((network, nonce));
            self.challenges.get(&key).is_some_and(|challenge| challenge.answers < ANSWERS).then_some(key)
        };
        let by_flow = match is_proxy {
            true => Some(Asker::Proxy),
            false => self.known.contains_key(&source).then_some(Asker::Flow(source)),
        };
        let has_room = |asker: &Asker| self.has_room(*asker);
        let answers = || answered.find_map(ours).map(|key| Asker::Answers(network, key));
        by_flow.filter(has_room).or_else(answers).or(by_flow).unwrap_or(Asker::Stranger(network))
    }

    pub fn has_room(&self, asker: Asker) -> bool {
        let of_one = asker.limit().is_none_or(|(one, limit)| self.of_one.get(&one).is_none_or(|taken| *taken < limit));
        let shared: u32 = self.taken.iter().zip(OWN).map(|(taken, own)| taken.saturating_sub(own)).sum();
        let of_standing = self.taken.iter().zip(OWN).nth(asker.standing() as usize);
        of_one && (shared < SHARED || of_standing.is_some_and(|(taken, own)| *taken < own))
    }

    /// Takes a place, if there is one.
    pub fn let_in(&mut self, asker: Asker, source: SocketAddr) -> bool {
        if !self.has_room(asker) {
            return false;
        }
        if let Some(taken) = self.taken.get_mut(asker.standing() as usize) {
            *taken += 1;
        }
        if let Some((one, _)) = asker.limit() {
            *self.of_one.entry(one).or_default() += 1;
        }
        if let Asker::Answers(_, key) = asker
            && let Some(challenge) = self.challenges.get_mut(&key)
        {
            challenge.answers += 1;
        }
        let network = bans::network(source.ip());
        if self.due.len() < MOST_NOTED || self.due.contains_key(&network) {
            let (since, calls) = self.due.entry(network).or_default();
            (*since, *calls) = (self.renewals, *calls + OWED);
        }
        true
    }

    /// Nothing that is sent needs to be looked at.
    pub fn waits_for_none(&self) -> bool {
        self.due.is_empty()
    }

    /// We send this there: the challenge of a call that was let in is remembered.
    pub fn sent(&mut self, to: SocketAddr, message: &[u8]) {
        let network = bans::network(to.ip());
        let challenges = message.starts_with(b"SIP/2.0 401") || message.starts_with(b"SIP/2.0 407");
        if !challenges || !self.due.contains_key(&network) || memmem::find(message, b" INVITE\r\n").is_none() {
            return;
        }
        for nonce in nonces(message) {
            if self.challenges.len() < MOST_NOTED {
                let challenge = Challenge { since: self.renewals, answers: 0 };
                self.challenges.entry(self.keys.hash_one((network, nonce))).or_insert(challenge);
            }
        }
        // The challenges of other calls from there are none of these.
        if let Some((_, calls)) = self.due.get_mut(&network) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                self.due.remove(&network);
            }
        }
    }

    /// A quarter of a second is over.
    pub fn renew(&mut self) {
        self.renewals += 1;
        if !self.renewals.is_multiple_of(WINDOW) {
            return;
        }
        self.taken = Default::default();
        self.of_one.clear();
        let oldest = self.renewals.saturating_sub(PATIENCE);
        self.due.retain(|_, (since, _)| *since >= oldest);
        self.challenges.retain(|_, challenge| challenge.since >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::Message;

    fn invite(nonce: Option<&str>) -> Request {
        let proof =
            nonce.map_or_else(String::new, |nonce| format!("Authorization: Digest username=\"1\", nonce=\"{nonce}\"\r\n"));
        let text = format!(
            "INVITE sip:112@a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nFrom: <sip:1@b>;tag=f\r\nTo: <sip:112@a>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{proof}\r\n"
        );
        match crate::sip::intake(Bytes::from(text)) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn challenge(method: &str, nonce: &str) -> Vec<u8> {
        format!("SIP/2.0 401 Unauthorized\r\nCSeq: 1 {method}\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"{nonce}\"\r\n\r\n")
            .into_bytes()
    }

    fn at(n: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(0x0a00_0000 + n), 5060).into()
    }

    fn asks(help: &mut Help, source: SocketAddr, nonce: Option<&str>) -> bool {
        let asker = help.asker(&invite(nonce), source, false);
        help.let_in(asker, source)
    }

    fn count(help: &mut Help, sources: std::ops::Range<u32>) -> u32 {
        sources.filter(|n| asks(help, at(*n), None)).count() as u32
    }

    #[test]
    fn a_flood_from_everywhere_leaves_places_to_phones_and_to_who_answers() {
        let mut help = Help::default();
        help.known(Known::All((1..=10).map(at).collect()));
        assert!(asks(&mut help, at(500), None));
        help.sent(at(500), &challenge("INVITE", "ours"));
        assert_eq!(count(&mut help, 1_000..3_000), OWN[0] + SHARED - 1);
        assert!(!asks(&mut help, at(600), Some("made up")), "credentials alone are no proof");
        assert!(!asks(&mut help, at(600), Some("ours")), "nor is the challenge of another");
        assert!(asks(&mut help, at(500), Some("ours")));
        // A phone has some, and all of them have theirs.
        assert_eq!((0..100).filter(|_| asks(&mut help, at(1), None)).count() as u32, OF_A_FLOW);
        let other_port = SocketAddr::new(at(2).ip(), 5061);
        assert!(!asks(&mut help, other_port, None), "the address of a phone is none of its flows");
        let all: u32 = (2..=10).map(|n| (0..100).filter(|_| asks(&mut help, at(n), None)).count() as u32).sum();
        assert_eq!(all + OF_A_FLOW, OWN[1]);
        assert!(asks(&mut help, at(500), Some("ours")), "when those are used up too");
        assert!(!asks(&mut help, at(500), Some("ours")), "but not for ever");
        (0..WINDOW).for_each(|_| help.renew());
        assert!(asks(&mut help, at(700), None) && asks(&mut help, at(1), None));
    }

    #[test]
    fn a_phone_that_answers_its_challenge_has_the_places_of_its_flow() {
        let mut help = Help::default();
        help.known(Known::All(vec![at(1)]));
        assert!(asks(&mut help, at(1), None));
        help.sent(at(1), &challenge("INVITE", "its"));
        // Bots that have addresses of their own answer too, and all others come first.
        for n in 100..110 {
            assert!(asks(&mut help, at(n), None) || n > 107);
            help.sent(at(n), &challenge("INVITE", &n.to_string()));
        }
        for n in 100..110 {
            (0..4).for_each(|_| {
                asks(&mut help, at(n), Some(&n.to_string()));
            });
        }
        count(&mut help, 1_000..3_000);
        assert!(!asks(&mut help, at(107), Some("107")), "these are used up");
        assert!(asks(&mut help, at(1), Some("its")));
    }

    #[test]
    fn challenges_are_noted_of_the_calls_that_were_let_in_alone() {
        let mut help = Help::default();
        assert!(asks(&mut help, at(1), None));
        (0..100).for_each(|n| help.sent(at(1), &challenge("INVITE", &n.to_string())));
        assert_eq!(help.challenges.len(), OWED as usize);
        assert!(help.waits_for_none());
    }

    #[test]
    fn who_is_known_goes_by_bindings() {
        let mut help = Help::default();
        let is_known = |help: &Help, n| help.asker(&invite(None), at(n), false) == Asker::Flow(at(n));
        // Two phones behind one NAT.
        for known in [Known::Added(at(1)), Known::Added(at(1)), Known::Gone(at(1)), Known::Gone(at(2))] {
            help.known(known);
        }
        assert!(is_known(&help, 1) && !is_known(&help, 2));
        help.known(Known::Gone(at(1)));
        assert!(!is_known(&help, 1) && help.known.is_empty());
        help.known(Known::All(vec![at(3), at(3)]));
        help.known(Known::Gone(at(3)));
        assert!(is_known(&help, 3));
    }

    #[test]
    fn a_v6_host_is_its_network() {
        let mut help = Help::default();
        let host = |n: u128| SocketAddr::from((std::net::Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | n), 5060));
        assert_eq!((1..100).filter(|n| asks(&mut help, host(*n), None)).count() as u32, OF_A_NETWORK);
        assert!(asks(&mut help, host(1 << 64), None), "another one");
    }

    #[test]
    fn a_proxy_of_ours_speaks_for_many() {
        let mut help = Help::default();
        let taken = (0..100).filter(|_| {
            let asker = help.asker(&invite(None), at(1), true);
            help.let_in(asker, at(1))
        });
        assert_eq!(taken.count() as u32, OWN[1] + SHARED);
    }

    #[test]
    fn memory_is_bounded_and_ends() {
        let mut help = Help::default();
        for n in 0..3 * MOST_NOTED as u32 {
            asks(&mut help, at(n), None);
            help.sent(at(n), &challenge("INVITE", &n.to_string()));
            help.sent(at(n), &challenge("REGISTER", &format!("r{n}")));
            if n % 4 == 0 {
                help.renew();
            }
        }
        assert!(help.due.len() <= MOST_NOTED && help.challenges.len() <= MOST_NOTED && !help.challenges.is_empty());
        (0..2 * PATIENCE).for_each(|_| help.renew());
        assert!(help.waits_for_none() && help.challenges.is_empty() && help.of_one.is_empty());
    }
}
