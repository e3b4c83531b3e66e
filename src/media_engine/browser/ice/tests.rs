//! Full agents against each other and against what is written by hand, on virtual time.

use std::sync::Arc;

use rtc::crypto::RTCCryptoProvider;

use super::super::stun::{Check, Class, Role};
use super::*;
use crate::sdp::{DtlsRole, Fingerprint, FullIce};

const HOST: u32 = 2_130_706_431;

fn provider() -> Arc<dyn RTCCryptoProvider> {
    rtc::crypto::default_provider().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn a() -> SocketAddr {
    at("192.0.2.1:1000")
}

fn b() -> SocketAddr {
    at("192.0.2.2:2000")
}

fn credentials(n: u8) -> IceCredentials {
    IceCredentials::of_chance(&[n; 24])
}

fn host(address: SocketAddr) -> Candidate {
    Candidate { address, priority: HOST }
}

/// Of the agent that has the credentials `ours`.
fn terms([ours, theirs]: [u8; 2], controlling: bool, candidates: &[Candidate]) -> IceDtls {
    let full = Some(FullIce { controlling, candidates: candidates.to_vec() });
    let (ours, theirs) = (credentials(ours), credentials(theirs));
    IceDtls { ours, theirs, fingerprint: Fingerprint([0; 32]), role: DtlsRole::Server, full }
}

fn agent(ours_and_theirs: [u8; 2], controlling: bool, candidates: &[Candidate]) -> Ice {
    Ice::new(&terms(ours_and_theirs, controlling, candidates), &*provider())
}

fn full(ice: &Ice) -> &Full {
    match ice {
        Ice::Full(full) => full,
        Ice::Lite(_) => panic!("a lite agent"),
    }
}

fn is_controlling(ice: &Ice) -> bool {
    full(ice).is_controlling()
}

/// Two agents, at `a()` and at `b()`.
struct Net {
    now: Mono,
    agents: [Ice; 2],
    /// Datagrams that are lost, each of each side's.
    losing: usize,
    /// Nothing reaches this one any more.
    deaf: Option<usize>,
    /// When who sent a request where.
    asked: Vec<(Mono, usize, SocketAddr)>,
}

impl Net {
    fn of(agents: [Ice; 2]) -> Net {
        Net { now: Mono::ZERO, agents, losing: 0, deaf: None, asked: Vec::new() }
    }

    fn new(controlling: [bool; 2]) -> Net {
        let one = agent([1, 2], controlling[0], &[host(b())]);
        Net::of([one, agent([2, 1], controlling[1], &[host(a())])])
    }

    fn run(&mut self, time: Duration) {
        let (end, provider) = (self.now + time, provider());
        loop {
            let mut wires = Vec::new();
            for (who, agent) in self.agents.iter_mut().enumerate() {
                let check = agent.check(self.now, &*provider);
                self.asked.extend(check.iter().map(|(to, _)| (self.now, who, *to)));
                wires.extend(check.map(|(to, bytes)| (who, to, bytes)));
                assert!(agent.deadline().is_none_or(|due| due > self.now), "it would be asked for ever");
            }
            while let Some((from, to, bytes)) = wires.pop() {
                let Some(who) = [a(), b()].iter().position(|at| *at == to) else { continue };
                if self.losing > 0 {
                    self.losing -= 1;
                } else if self.deaf != Some(who) {
                    let source = [a(), b()][from];
                    let answer = self.agents[who].receive(source, &bytes, self.now, &*provider);
                    wires.extend(answer.map(|bytes| (who, source, bytes)));
                }
            }
            let next = self.agents.iter().filter_map(Ice::deadline).min().unwrap_or(end);
            if self.now >= end {
                return;
            }
            self.now = next.max(self.now + Duration::from_millis(1)).min(end);
        }
    }

    fn selected(&self) -> [Option<SocketAddr>; 2] {
        [0, 1].map(|n| full(&self.agents[n]).selected())
    }
}

fn both() -> [Option<SocketAddr>; 2] {
    [Some(b()), Some(a())]
}

#[test]
fn the_one_that_controls_nominates_and_both_select_the_pair() {
    for controlling in [[true, false], [false, true]] {
        let mut net = Net::new(controlling);
        net.run(Duration::from_millis(200));
        assert_eq!(net.selected(), both());
        assert_eq!([0, 1].map(|n| is_controlling(&net.agents[n])), controlling);
    }
}

/// RFC 8445 §7.3.1.1 and §7.2.5.1.
#[test]
fn a_role_conflict_leaves_one_of_each() {
    // Chance says which.
    for controlling in [true, false, true, false, true, false] {
        let mut net = Net::new([controlling, controlling]);
        net.run(Duration::from_secs(2));
        let roles = [0, 1].map(|n| is_controlling(&net.agents[n]));
        assert_ne!(roles[0], roles[1]);
        assert_eq!(net.selected(), both());
    }
}

#[test]
fn lost_checks_are_sent_again() {
    for losing in 1..6 {
        let mut net = Net::new([true, false]);
        net.losing = losing;
        net.run(Duration::from_secs(8));
        assert_eq!(net.selected(), both(), "{losing} lost");
    }
}

/// RFC 8489 §6.2.1 with RTO of 500 ms, and nothing after it.
#[test]
fn who_never_answers_is_asked_seven_times() {
    let nobody = at("192.0.2.77:7000");
    let mut net = Net::of([agent([1, 2], true, &[host(nobody)]), agent([2, 3], false, &[])]);
    net.run(Duration::from_secs(120));
    let times: Vec<u64> = net.asked.iter().map(|(at, _, _)| at.as_micros() / 1_000).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!((net.agents[0].deadline(), net.agents[0].target(), net.agents[0].expires()), (None, None, None));
}

/// The peer's candidates lead nowhere, as where they are names of mDNS or behind a NAT: its checks show where it is.
#[test]
fn a_peer_reflexive_candidate_is_enough() {
    let useless = [host(at("10.9.9.9:9")), host(at("192.0.2.3:2000"))];
    for candidates in [&useless[..], &[]] {
        for controlling in [true, false] {
            let switch = agent([1, 2], controlling, candidates);
            let mut net = Net::of([switch, agent([2, 1], !controlling, &[host(a())])]);
            net.run(Duration::from_secs(2));
            assert_eq!(net.selected(), both());
        }
    }
}

#[test]
fn candidates_that_come_later_are_checked() {
    let mut net = Net::of([agent([1, 2], true, &[]), agent([2, 1], false, &[])]);
    net.run(Duration::from_secs(1));
    assert_eq!((net.asked.len(), net.agents[0].deadline()), (0, None));
    net.agents[0].trickle(&[host(b())]);
    net.run(Duration::from_secs(1));
    assert_eq!(net.selected(), both());
}

/// RFC 7675 §5.1.
#[test]
fn consent_is_asked_for_every_five_seconds_and_ends_after_thirty() {
    let mut net = Net::new([true, false]);
    net.run(Duration::from_secs(100));
    let times: Vec<Mono> =
        net.asked.iter().filter(|(at, who, _)| *who == 0 && *at > Mono::from_millis(1_000)).map(|a| a.0).collect();
    assert!((18..=25).contains(&times.len()), "{}", times.len());
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.iter().all(|gap| (4_000..=6_050).contains(&gap.as_millis())), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "with a spread");

    net.deaf = Some(1);
    let until = net.agents[0].expires().unwrap();
    assert!(until > net.now + Duration::from_secs(23) && until <= net.now + CONSENT);
    net.run(Duration::from_secs(29));
    assert_eq!(net.agents[0].expires(), Some(until), "what is not answered is no consent");
}

/// The agent under test, and its peer by hand.
struct Hand {
    ice: Ice,
    now: Mono,
    provider: Arc<dyn RTCCryptoProvider>,
    n: u8,
}

impl Hand {
    fn new(controlling: bool, candidates: &[Candidate]) -> Hand {
        Hand { ice: agent([1, 2], controlling, candidates), now: Mono::ZERO, provider: provider(), n: 0 }
    }

    /// What the agent asks until then, each with its bytes.
    fn asks(&mut self, time: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
        let (end, mut all) = (self.now + time, Vec::new());
        loop {
            all.extend(self.ice.check(self.now, &*self.provider));
            match self.ice.deadline().filter(|due| *due <= end) {
                Some(due) => {
                    assert!(due > self.now, "it would be asked for ever");
                    self.now = due;
                }
                None => {
                    self.now = end;
                    return all;
                }
            }
        }
    }

    /// A check of the peer's.
    fn checks(&mut self, from: SocketAddr, use_candidate: bool) -> Option<Vec<u8>> {
        self.checks_as(from, use_candidate, Role::Controlling, 1)
    }

    fn checks_as(&mut self, from: SocketAddr, use_candidate: bool, role: Role, tie_breaker: u64) -> Option<Vec<u8>> {
        self.n = self.n.wrapping_add(1);
        let (ours, theirs) = (credentials(1), credentials(2));
        let ufrags = [&*ours.ufrag, &*theirs.ufrag];
        let check = Check { transaction: [self.n; 12], ufrags, priority: 1_862_270_975, role, tie_breaker, use_candidate };
        let bytes = check.written(&ours.pwd, self.provider.crypto()).unwrap();
        self.ice.receive(from, &bytes, self.now, &*self.provider)
    }

    /// The peer answers this.
    fn answers(&mut self, from: SocketAddr, request: &[u8]) {
        let answer = self.answer_of(request, &credentials(2).pwd);
        assert_eq!(self.ice.receive(from, &answer, self.now, &*self.provider), None);
    }

    fn answer_of(&self, request: &[u8], pwd: &str) -> Vec<u8> {
        Message::parse(request).unwrap().accepted(a(), pwd, self.provider.crypto()).unwrap()
    }

    fn selected(&self) -> Option<SocketAddr> {
        full(&self.ice).selected()
    }
}

#[test]
fn a_check_of_ours_says_who_we_are_and_is_signed_with_the_peers_password() {
    let mut hand = Hand::new(true, &[host(b())]);
    let (to, bytes) = hand.asks(Duration::ZERO).remove(0);
    let request = Message::parse(&bytes).unwrap();
    let name = format!("{}:{}", credentials(2).ufrag, credentials(1).ufrag);
    assert_eq!((to, request.class, request.username), (b(), Class::Request, Some(name.as_bytes())));
    assert!(request.is_authentic(&credentials(2).pwd, hand.provider.crypto()) && !request.use_candidate);
    assert!(matches!(request.role, Some((Role::Controlling, _))) && request.priority == Some(1_862_270_975));
    hand.answers(b(), &bytes);
    // And once more, as the nomination.
    let nomination = hand.asks(Duration::from_millis(100)).remove(0).1;
    assert!(Message::parse(&nomination).unwrap().use_candidate && hand.selected().is_none());
    assert_eq!(hand.ice.target(), Some(b()), "it is the only one that answered");
    hand.answers(b(), &nomination);
    assert_eq!(hand.selected(), Some(b()));
}

/// Forged, damaged, from elsewhere, in another's name, and late: they change nothing.
#[test]
fn what_is_no_answer_to_a_check_of_ours_makes_no_pair_valid() {
    let mut hand = Hand::new(true, &[host(b())]);
    let (_, request) = hand.asks(Duration::ZERO).remove(0);
    let stranger = at("192.0.2.66:6666");
    let good = hand.answer_of(&request, &credentials(2).pwd);
    let mut other = request.clone();
    other[8] ^= 1;
    let mut damaged = good.clone();
    damaged[30] ^= 1;
    let unsigned = [&good[..2], &[0, 12], &good[4..32]].concat();
    let conflict =
        Message::parse(&request).unwrap().role_conflict("somebody's password of sorts", hand.provider.crypto()).unwrap();
    for (from, answer) in [
        (stranger, good.clone()),
        (b(), hand.answer_of(&request, &credentials(1).pwd)),
        (b(), damaged),
        (b(), unsigned),
        (b(), conflict),
        (b(), {
            let mut forged = other;
            forged[0] = 1;
            forged
        }),
    ] {
        assert_eq!(hand.ice.receive(from, &answer, hand.now, &*hand.provider), None);
        assert_eq!((hand.ice.target(), is_controlling(&hand.ice), hand.ice.is_valid(from)), (None, true, false));
    }
    // When the check has failed, its answer is late.
    hand.asks(Duration::from_secs(60));
    assert_eq!(hand.ice.receive(b(), &good, hand.now, &*hand.provider), None);
    assert_eq!((hand.ice.target(), hand.ice.deadline()), (None, None));
}

/// An answer is good once: what is sent again later is no consent.
#[test]
fn an_answer_that_comes_twice_is_no_consent() {
    let mut hand = Hand::new(false, &[host(b())]);
    let (_, request) = hand.asks(Duration::ZERO).remove(0);
    hand.answers(b(), &request);
    let until = hand.ice.expires();
    hand.asks(Duration::from_secs(3));
    hand.answers(b(), &request);
    assert_eq!(hand.ice.expires(), until);
}

/// RFC 8445 §7.3.1.5: the nomination counts when a check of ours has succeeded.
#[test]
fn a_nomination_waits_for_our_own_check() {
    let mut hand = Hand::new(false, &[]);
    assert!(hand.checks(b(), true).is_some());
    assert_eq!((hand.selected(), hand.ice.target()), (None, None), "nothing is sent to who has not answered");
    assert!(hand.ice.is_valid(b()), "but what it sends is taken: its check is signed");
    let triggered = hand.asks(Duration::ZERO);
    assert_eq!(triggered.len(), 1);
    hand.answers(b(), &triggered[0].1);
    assert_eq!(hand.selected(), Some(b()));
}

/// Browsers nominate every pair that they check: the best of them counts, until nothing comes by it any more.
#[test]
fn a_worse_pair_takes_over_when_the_selected_one_is_silent() {
    let better = Candidate { address: b(), priority: HOST };
    let mut hand = Hand::new(false, &[better]);
    let other = at("192.0.2.2:2001");
    hand.checks(b(), true);
    hand.checks(other, true);
    for (to, request) in hand.asks(Duration::from_millis(200)) {
        hand.answers(to, &request);
    }
    assert_eq!(hand.selected(), Some(b()));
    for _ in 0..5 {
        for (to, request) in hand.asks(Duration::from_millis(2_500)) {
            if to == other {
                hand.answers(to, &request);
            }
        }
        hand.checks(other, true);
    }
    assert_eq!(hand.selected(), Some(other));
    assert!(hand.ice.expires().unwrap() > hand.now);
}

#[test]
fn a_conflict_is_settled_by_the_larger_tie_breaker() {
    for (controlling, theirs, turns) in [(true, 0, false), (true, u64::MAX, true), (false, 0, true), (false, u64::MAX, false)] {
        let mut hand = Hand::new(controlling, &[]);
        let role = if controlling { Role::Controlling } else { Role::Controlled };
        let answer = hand.checks_as(b(), false, role, theirs).unwrap();
        let answer = Message::parse(&answer).unwrap();
        assert_eq!((answer.class, answer.error), if turns { (Class::Success, None) } else { (Class::Error, Some(487)) });
        assert_eq!(is_controlling(&hand.ice), controlling != turns);
    }
}

#[test]
fn who_is_told_of_a_conflict_takes_the_other_role_and_asks_again() {
    for controlling in [true, false] {
        let mut hand = Hand::new(controlling, &[host(b())]);
        let (_, request) = hand.asks(Duration::ZERO).remove(0);
        let before = Message::parse(&request).unwrap().role.unwrap();
        let conflict = Message::parse(&request).unwrap().role_conflict(&credentials(2).pwd, hand.provider.crypto()).unwrap();
        for _ in 0..2 {
            // The second one answers nothing.
            assert_eq!(hand.ice.receive(b(), &conflict, hand.now, &*hand.provider), None);
        }
        let (_, again) = hand.asks(Duration::from_millis(60)).remove(0);
        let after = Message::parse(&again).unwrap().role.unwrap();
        assert_eq!((after.0, is_controlling(&hand.ice)), (before.0.other(), !controlling));
        assert_ne!(after.1, before.1, "with another tie-breaker (§7.1.3)");
    }
}

/// RFC 8445 §9: media goes on as before, until the new checks have found something.
#[test]
fn after_a_restart_all_is_checked_anew() {
    let mut net = Net::new([true, false]);
    net.run(Duration::from_secs(10));
    let until = net.agents[0].expires();
    net.agents[0].agree(&terms([3, 4], true, &[host(b())]), &*provider());
    assert_eq!((net.agents[0].target(), net.agents[0].expires()), (Some(b()), until));
    // The peer has not heard of it yet: its checks of before are answered, ours are not.
    net.run(Duration::from_secs(3));
    assert_eq!((net.agents[0].target(), net.agents[0].expires()), (Some(b()), until));
    net.agents[1].agree(&terms([4, 3], false, &[host(a())]), &*provider());
    net.run(Duration::from_secs(40));
    assert_eq!(net.selected(), both());
    assert!(net.agents.iter().all(|agent| agent.is_of_one_generation() && agent.expires().unwrap() > net.now));
}

#[test]
fn a_restart_that_finds_nobody_ends_with_the_consent_of_before() {
    let mut net = Net::new([true, false]);
    net.run(Duration::from_secs(10));
    let until = net.agents[0].expires();
    net.agents[0].agree(&terms([3, 4], true, &[host(b())]), &*provider());
    net.run(Duration::from_secs(29));
    assert_eq!(net.agents[0].expires(), until);
}

/// What a description, an INFO and a peer that checks from everywhere can have us send.
#[test]
fn floods_of_candidates_are_bounded() {
    let victims: Vec<Candidate> = (1..=500).map(|port| host(at(&format!("198.51.100.7:{port}")))).collect();
    let mut hand = Hand::new(true, &victims);
    hand.ice.trickle(&victims);
    let asked = hand.asks(Duration::from_secs(300));
    let mut places: Vec<SocketAddr> = asked.iter().map(|(to, _)| *to).collect();
    places.sort();
    places.dedup();
    assert_eq!((places.len(), asked.len()), (Candidate::MOST, Candidate::MOST * 7));
    assert_eq!(hand.ice.deadline(), None);

    let mut per_second = 0;
    for n in 0..2_000_u64 {
        let from = SocketAddr::new([203, 0, 113, (n % 250) as u8].into(), 1_000 + n as u16);
        hand.checks_as(from, true, Role::Controlled, 0);
        per_second += hand.asks(Duration::from_micros(500)).len();
    }
    assert!(per_second <= 21, "{per_second}");
}

proptest::proptest! {
    /// Anything that anybody can send, signed and not; nothing is asked more often than Ta allows, and a deadline always leads on.
    #[test]
    fn nothing_makes_it_panic_or_send_more_than_20_a_second(
        controlling: bool,
        steps in proptest::collection::vec((0u8..8, 0u8..6, 0u64..400, proptest::num::u8::ANY), 1..200),
        garbage in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
    ) {
        let places: Vec<SocketAddr> = (0..6).map(|n| at(&format!("192.0.2.{}:{}", 2 + n % 3, 2_000 + n))).collect();
        let mut hand = Hand::new(controlling, &[host(places[0]), host(places[1])]);
        let (mut asked, mut times): (Vec<(SocketAddr, Vec<u8>)>, Vec<Mono>) = (Vec::new(), Vec::new());
        for (what, place, ms, byte) in steps {
            let from = places[usize::from(place)];
            match what {
                0 => drop(hand.checks(from, byte & 1 == 1)),
                1 => drop(hand.checks_as(from, byte & 1 == 1, if byte & 2 == 2 { Role::Controlling } else { Role::Controlled }, if byte & 4 == 4 { u64::MAX } else { 0 })),
                2 | 3 => {
                    if let Some((to, request)) = asked.iter().rev().nth(usize::from(byte % 8)).cloned() {
                        hand.answers(if what == 2 { to } else { from }, &request);
                    }
                }
                4 => {
                    if let Some((to, request)) = asked.iter().rev().nth(usize::from(byte % 8)) {
                        let conflict = Message::parse(request).unwrap().role_conflict(&credentials(2).pwd, hand.provider.crypto()).unwrap();
                        hand.ice.receive(*to, &conflict, hand.now, &*hand.provider);
                    }
                }
                5 => drop(hand.ice.receive(from, &garbage, hand.now, &*hand.provider)),
                6 => hand.ice.trickle(&[host(SocketAddr::new([10, 0, 0, byte].into(), 9))]),
                _ => {
                    let theirs = if byte % 8 == 0 { 5 } else { 2 };
                    hand.ice.agree(&terms([1, theirs], byte & 1 == 1, &[host(from)]), &*hand.provider);
                }
            }
            let end = hand.now + Duration::from_millis(ms);
            loop {
                let check = hand.ice.check(hand.now, &*hand.provider);
                times.extend(check.iter().map(|_| hand.now));
                asked.extend(check);
                let due = hand.ice.deadline();
                proptest::prop_assert!(due.is_none_or(|due| due > hand.now));
                match due.filter(|due| *due <= end) {
                    Some(due) => hand.now = due,
                    None => break,
                }
            }
            hand.now = end;
        }
        proptest::prop_assert!(times.windows(21).all(|w| w[20].since(w[0]) >= Duration::from_secs(1)));
    }
}
