//! A [`Peer`] against the crate's whole peer connection, which stands for the browser: two stacks that share only what is below DTLS.
//! Time is virtual; datagrams go straight from one to the other.
//!
//! What is to be known of the crate's connection when one drives it, and the test of what is done about it:
//!
//! | trap | test |
//! |---|---|
//! | 1 telephone-event of another clock, and codecs that nobody asked for | `sdp::browser::tests::a_browsers_keys_have_the_clock_of_its_codec` |
//! | 2 the active part; 7 a second candidate | `sdp::browser::tests::a_browsers_offer_is_answered_with_one_candidate_and_the_passive_part` |
//! | 3 DTLS before a nomination | `a_client_hello_that_comes_before_the_nomination_is_answered` |
//! | 4 a close_notify that nobody is told of | `a_page_that_closes_ends_the_leg_at_once` |
//! | 5 no RTCP | `reports_go_both_ways_on_the_one_port` |
//! | 6 a hold answered with sendrecv | `sdp::browser::tests::a_browsers_hold_is_answered_with_the_mirrored_direction_and_the_same_credentials` |
//! | 8 errors that are swallowed, and filled logs | `an_alert_amid_the_handshake_ends_the_leg_at_once`; `strangers_who_flood_a_browsers_call_change_nothing` in `tests/wire` |
//! | 9 header extensions, foreign numbers and sources | `media::tests::a_header_extension_goes_no_further_than_here` |
//! | 10 methods of a trait that must be named | `the_crates_connection_is_driven_by_its_trait_and_nothing_else` |
//! | an address that is believed before its check is | `a_forged_check_moves_nothing_and_gets_no_answer` |
//! | a look at all peers at each wake-up | `the_next_deadline_is_known_without_asking_all` |

mod full;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::sansio::Protocol;
use rtc::shared::TransportProtocol;

use super::page::{PAGE_SSRC, Page, described, theirs, value};
use super::*;
use crate::codec::Codec;
use crate::rtp::srtp::{GROWTH, Inbound, Outbound};
use crate::sdp::{DtlsRole, Fingerprint, IceCredentials};

const PAGE: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);
const SWITCH: ([u8; 4], u16) = ([127, 0, 0, 1], 30_000);
const OUR_SSRC: u32 = 0x2222_2222;

fn page_at() -> SocketAddr {
    PAGE.into()
}

fn switch_at() -> SocketAddr {
    SWITCH.into()
}

fn identity() -> Arc<Identity> {
    Arc::new(Identity::new().unwrap())
}

fn ours(n: u8) -> IceCredentials {
    IceCredentials::of_chance(&[n; 24])
}

/// A page and a leg of ours with nothing between them.
struct Call {
    clock: System,
    now: Mono,
    page: Page,
    peer: Peer,
    /// The worker's part of it.
    keyed: Option<(Outbound, Inbound)>,
    /// What the leg was brought as media.
    heard: Vec<(Port, Vec<u8>)>,
    /// What the page sent last, as it was on the wire.
    wire: VecDeque<Vec<u8>>,
    /// Packets that our leg sent.
    sent: usize,
    /// Neither hears the other.
    deaf: bool,
    /// Handshake messages of ours, by type (RFC 5246 §7.4), and 20 for the ChangeCipherSpec before a Finished: a datagram that begins with
    /// one is lost, once.
    losing: Vec<u8>,
}

impl Call {
    /// The page has called.
    fn incoming() -> Call {
        Call::incoming_of(|f| f)
    }

    /// `doctor` changes the fingerprint that we are told.
    fn incoming_of(doctor: impl Fn(Fingerprint) -> Fingerprint) -> Call {
        let (clock, identity) = (System::start(), identity());
        let mut page = Page::new(page_at(), clock.instant(Mono::ZERO));
        let offer = page.offer(clock.instant(Mono::ZERO));
        let (ice, fingerprint) = theirs(&offer);
        page.answered(
            clock.instant(Mono::ZERO),
            described(Codec::Pcmu, switch_at(), &ours(1), identity.fingerprint(), "passive"),
        );
        let terms = IceDtls { ours: ours(1), theirs: ice, fingerprint: doctor(fingerprint), role: DtlsRole::Server, full: None };
        let peer = Peer::new(&identity, clock, terms).unwrap();
        Call::of(clock, page, peer)
    }

    /// We have called; `answering` is what the page makes itself in its answer.
    fn outgoing(answering: RTCDtlsRole) -> Call {
        let (clock, identity) = (System::start(), identity());
        let mut page = Page::with(page_at(), clock.instant(Mono::ZERO), answering);
        let answer = page
            .answer(clock.instant(Mono::ZERO), described(Codec::Pcmu, switch_at(), &ours(1), identity.fingerprint(), "actpass"));
        let (ice, fingerprint) = theirs(&answer);
        let role = if value(&answer, "setup") == "passive" { DtlsRole::Client } else { DtlsRole::Server };
        assert_eq!(role == DtlsRole::Client, answering == RTCDtlsRole::Server);
        let terms = IceDtls { ours: ours(1), theirs: ice, fingerprint, role, full: None };
        let peer = Peer::new(&identity, clock, terms).unwrap();
        Call::of(clock, page, peer)
    }

    fn of(clock: System, page: Page, peer: Peer) -> Call {
        let (heard, wire) = (Vec::new(), VecDeque::new());
        Call { clock, now: Mono::ZERO, page, peer, keyed: None, heard, wire, sent: 0, deaf: false, losing: Vec::new() }
    }

    fn instant(&self) -> Instant {
        self.clock.instant(self.now)
    }

    /// All that can be exchanged now.
    fn exchange(&mut self) {
        let at = self.instant();
        loop {
            let mut quiet = true;
            while let Some(t) = self.page.pc.poll_write() {
                quiet = false;
                self.wire.push_back(t.message.to_vec());
                self.wire.truncate(64);
                if !self.deaf {
                    if let Some(port) = self.peer.receive(page_at(), &t.message, self.now) {
                        let heard = self.open(port, &t.message).unwrap();
                        self.heard.push((port, heard));
                    }
                    if let Some(keys) = self.peer.new_keys() {
                        self.keyed = Some((Outbound::new(&keys.ours), Inbound::new(&keys.theirs)));
                    }
                }
            }
            while let Some((to, bytes)) = self.peer.transmit() {
                quiet = false;
                self.sent += 1;
                assert_eq!(to, page_at());
                if !self.deaf && !self.loses(&bytes) {
                    self.page.hear(switch_at(), at, &bytes);
                }
            }
            self.page.notice();
            if quiet {
                break;
            }
        }
    }

    fn loses(&mut self, datagram: &[u8]) -> bool {
        let kind = if datagram[0] == 20 { Some(&20) } else { datagram.get(13).filter(|_| datagram[0] == 22) };
        let lost = kind.and_then(|kind| self.losing.iter().position(|losing| losing == kind));
        lost.map(|at| self.losing.remove(at)).is_some()
    }

    /// Goes on for so long, from one deadline to the next.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.exchange();
        while self.now < end {
            let started = self.clock.instant(Mono::ZERO);
            let page = self.page.pc.poll_timeout().map(|at| Mono::from_micros((at - started).as_micros() as u64));
            let next = [page, self.peer.deadline(), Some(end)].into_iter().flatten().min().unwrap();
            self.now = next.max(self.now + Duration::from_millis(1)).min(end);
            let at = self.instant();
            self.page.pc.handle_timeout(at).unwrap();
            self.peer.tick(self.now);
            self.exchange();
        }
    }

    fn connect(mut self) -> Call {
        self.run(Duration::from_secs(2));
        assert!(self.page.is_connected(), "{:?}", self.page.state);
        assert!(self.seal(Port::Rtp, &packet(0, 0)).is_some());
        self
    }

    fn open(&mut self, port: Port, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = datagram.to_vec();
        let (_, inbound) = self.keyed.as_mut()?;
        let length = if port == Port::Rtp { inbound.rtp(&mut bytes) } else { inbound.rtcp(&mut bytes) };
        bytes.truncate(length.ok()?);
        Some(bytes)
    }

    /// A packet as it is sent, and to where.
    fn seal(&mut self, port: Port, packet: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let to = self.peer.target()?;
        let mut bytes = [packet, &[0; GROWTH]].concat();
        let (outbound, _) = self.keyed.as_mut()?;
        let seal = |o: &mut Outbound, bytes: &mut [u8]| match port {
            Port::Rtp => o.rtp(bytes, packet.len()),
            Port::Rtcp => o.rtcp(bytes, packet.len()),
        };
        let length = seal(outbound, &mut bytes).unwrap();
        bytes.truncate(length);
        Some((to, bytes))
    }

    /// Our 20 ms.
    fn say(&mut self, sequence: u16, byte: u8) {
        if let Some((to, bytes)) = self.seal(Port::Rtp, &packet(sequence, byte)) {
            assert_eq!(to, page_at());
            let at = self.instant();
            self.page.hear(switch_at(), at, &bytes);
        }
    }
}

fn packet(sequence: u16, byte: u8) -> Vec<u8> {
    let mut out = vec![0x80, 0];
    out.extend(sequence.to_be_bytes());
    out.extend((u32::from(sequence) * 160).to_be_bytes());
    out.extend(OUR_SSRC.to_be_bytes());
    out.extend([byte; 160]);
    out
}

/// Both hear each other.
fn both_hear(mut call: Call) {
    for n in 1..=5 {
        call.page.say(call.clock.instant(call.now), n);
        call.exchange();
        call.say(u16::from(n), n);
    }
    let said: Vec<u8> = call.heard.iter().filter(|(port, _)| *port == Port::Rtp).map(|(_, p)| p[12]).collect();
    assert_eq!(said, [1, 2, 3, 4, 5]);
    assert!(call.heard.iter().all(|(port, p)| *port == Port::Rtcp || (p.len() == 172 && p[8..12] == PAGE_SSRC.to_be_bytes())));
    assert_eq!(call.page.heard.iter().map(|p| p.payload[0]).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_page_that_calls_is_heard_and_hears() {
    both_hear(Call::incoming().connect());
}

#[test]
fn a_page_that_is_called_is_heard_and_hears() {
    both_hear(Call::outgoing(RTCDtlsRole::Client).connect());
}

#[test]
fn a_page_that_waits_for_our_client_hello_is_sent_one() {
    both_hear(Call::outgoing(RTCDtlsRole::Server).connect());
}

/// HelloVerifyRequest, ServerHello, and the end, where the page begins; ClientHello and our certificate, where we do.
#[test]
fn a_flight_of_ours_that_is_lost_is_sent_again_soon() {
    for (mut call, losing) in [
        (Call::incoming(), vec![2]),
        (Call::incoming(), vec![3, 2, 2]),
        (Call::incoming(), vec![20]),
        (Call::outgoing(RTCDtlsRole::Server), vec![1, 1]),
        (Call::outgoing(RTCDtlsRole::Server), vec![11, 11]),
    ] {
        call.losing = losing.clone();
        let mut ms = 0;
        while !(call.page.is_connected() && call.peer.target().is_some()) {
            call.run(Duration::from_millis(10));
            ms += 10;
            assert!(ms < 2_500, "{losing:?}");
        }
        assert!(call.losing.is_empty(), "{losing:?}");
        both_hear(call);
    }
}

/// A DTLS client whose timer is shorter than ours, as browsers have it, repeats its ClientHello: the crate's timer is off from there on.
/// What is lost is sent again all the same, and ever more seldom.
#[test]
fn a_lost_server_flight_is_sent_again_after_the_client_has_repeated_its_hello() {
    let mut call = Call::incoming();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[]), call.now);
    let is_server_hello = |d: &[u8]| d[0] == 22 && d[13] == 2;
    let mut client = Endpoint::client();
    let (mut lost, mut ms, mut times) = (None, 0, Vec::new());
    // The cookie, then the flight.
    for _ in 0..8 {
        while let Some(hello) = client.poll_transmit() {
            call.peer.receive(page_at(), &hello.message, call.now);
        }
        while let Some((_, sent)) = call.peer.transmit() {
            match is_server_hello(&sent) {
                true => lost = Some(sent),
                false => {
                    let _ = client.read(call.instant(), switch_at(), None, bytes::BytesMut::from(&sent[..]));
                }
            }
        }
    }
    // At 50 ms: the same hello as another record.
    let at = call.clock.instant(Mono::from_millis(60_000));
    client.handle_timeout(switch_at(), at).unwrap();
    call.now = Mono::from_millis(50);
    let hello = client.poll_transmit().unwrap().message;
    assert_eq!((hello[0], hello[13]), (22, 1));
    call.peer.receive(page_at(), &hello, call.now);
    while ms < 20_000 {
        ms += 10;
        call.now = Mono::from_millis(ms);
        call.peer.tick(call.now);
        while let Some((_, sent)) = call.peer.transmit() {
            if is_server_hello(&sent) {
                assert_eq!(Some(&sent), lost.as_ref());
                times.push(ms);
            }
        }
    }
    assert_eq!((&times[..5], times.len()), (&[100, 300, 700, 1_500, 3_100][..], 13));
    assert_eq!((call.peer.broken(), call.peer.keys().is_none()), (None, true));
}

/// Trap: DTLS that comes before a pair is nominated is dropped by the crate's connection, and comes again after a second.
#[test]
fn a_client_hello_that_comes_before_the_nomination_is_answered() {
    let mut call = Call::incoming();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    let check = check(&username, &ours(1).pwd, &[]);
    assert_eq!(call.peer.receive(page_at(), &check, call.now), None);
    assert_eq!(call.peer.transmit().map(|(to, answer)| (to, answer[..2].to_vec())), Some((page_at(), vec![1, 1])));
    assert!(call.peer.ice.target() == Some(page_at()), "nobody is nominated, so it is the only one");
    let mut client = Endpoint::client();
    let hello = client.poll_transmit().unwrap().message;
    assert_eq!(call.peer.receive(page_at(), &hello, call.now), None);
    assert_eq!(call.peer.transmit().unwrap().1[0], 22, "HelloVerifyRequest");
}

/// Records, numbered from `first` on, with so many pieces each of one handshake message: nothing in them, and each fits the one before.
fn in_pieces(first: u64, count: u64, pieces: u64) -> impl Iterator<Item = Vec<u8>> {
    (first..first + count).map(move |n| {
        let places = (n * pieces..(n + 1) * pieces).map(|at| (at as u32).to_be_bytes());
        let body: Vec<u8> = places.flat_map(|[_, a, b, c]| [1, 0, 0, 0, 0, 0, a, b, c, 0, 0, 1]).collect();
        [&[22, 254, 253, 0, 0][..], &n.to_be_bytes()[2..], &(body.len() as u16).to_be_bytes(), &body].concat()
    })
}

/// The crate joins pieces by a recursion that is as deep as there are pieces: where the stack ended, so would the process.
#[test]
fn a_handshake_in_thousands_of_pieces_ends_its_leg_and_nothing_else() {
    let mut call = Call::incoming();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[]), call.now);
    for record in in_pieces(0, 250, 160) {
        call.peer.receive(page_at(), &record, call.now);
    }
    assert_eq!(call.peer.broken(), Some(Broken::Handshake));
}

/// In the page's name, once it has keys.
#[test]
fn what_is_plain_after_the_handshake_is_nobodys() {
    let mut call = Call::incoming().connect();
    let alerts = [[2, 40], [1, 0]].map(|alert| [&[21, 254, 253, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2][..], &alert].concat());
    let hello = Endpoint::client().poll_transmit().unwrap().message.to_vec();
    for plain in in_pieces(1_000, 2_000, 100).chain(alerts).chain([hello]) {
        assert_eq!(call.peer.receive(page_at(), &plain, call.now), None);
    }
    assert_eq!((call.peer.transmit(), call.peer.broken()), (None, None));
    both_hear(call);
}

/// Trap: the crate's connection swallows errors. Before there are keys anybody in the page's place may end it (RFC 6347 §4.1.2.7).
#[test]
fn an_alert_amid_the_handshake_ends_the_leg_at_once() {
    let mut call = Call::incoming();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[]), call.now);
    let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40];
    assert_eq!(call.peer.receive(page_at(), &alert, call.now), None);
    assert_eq!(call.peer.broken(), Some(Broken::Handshake));
}

/// Trap: what drives the crate's connection are methods of a trait, without which it has none: no socket, thread or clock of its own.
#[test]
fn the_crates_connection_is_driven_by_its_trait_and_nothing_else() {
    let clock = System::start();
    let at = clock.instant(Mono::ZERO);
    let mut pages = [page_at(), switch_at()].map(|local| Page::new(local, at));
    let offer = pages[0].offer(at);
    let answer = pages[1].answer(at, offer);
    pages[0].answered(at, answer);
    let mut ms = 0;
    while !pages.iter().all(Page::is_connected) {
        ms += 10;
        assert!(ms < 5_000, "{:?}", [0, 1].map(|n| pages[n].state));
        let at = clock.instant(Mono::from_millis(ms));
        for (of, to, from) in [(0, 1, page_at()), (1, 0, switch_at())] {
            pages[of].pc.handle_timeout(at).unwrap();
            while let Some(sent) = pages[of].pc.poll_write() {
                pages[to].hear(from, at, &sent.message);
            }
            pages[of].notice();
        }
    }
    assert!(pages.iter_mut().all(|page| page.pc.poll_timeout().is_some()), "it waits to be told of the time");
}

/// Trap: hundreds of legs would be asked for their next deadline by each datagram of one.
#[test]
fn the_next_deadline_is_known_without_asking_all() {
    let (clock, identity) = (System::start(), identity());
    let mut peers = Peers::new(identity.clone(), clock);
    let theirs = IceCredentials::of_chance(&[9; 24]);
    let slot = |index: u32| crate::media::Slot { index, generation: 1 };
    for index in 0..100 {
        let ours = ours(index as u8);
        let terms =
            IceDtls { ours, theirs: theirs.clone(), fingerprint: Fingerprint([0; 32]), role: DtlsRole::Server, full: None };
        peers.put(slot(index), crate::ids::LegId(index.into()), Box::new(Peer::new(&identity, clock, terms).unwrap()));
    }
    assert_eq!(peers.deadline(), None, "nobody has come");
    for index in 0..100 {
        let check = check(&format!("{}:{}", ours(index as u8).ufrag, theirs.ufrag), &ours(index as u8).pwd, &[]);
        peers.receive(slot(index), page_at(), &check, Mono::from_millis(1_000 * u64::from(100 - index)));
        assert_eq!(peers.doings(slot(index)).unwrap().send.len(), 1);
    }
    // The last one came first.
    let first = Mono::from_millis(31_000);
    assert_eq!(peers.deadline(), Some(first));
    assert!(peers.tick(Mono::from_millis(30_999)).is_empty());
    let done = peers.tick(first);
    assert_eq!(done.iter().map(|d| (d.slot, d.broken)).collect::<Vec<_>>(), [(slot(99), Some(Broken::Consent))]);
    assert_eq!(peers.deadline(), Some(Mono::from_millis(32_000)));
}

/// Who has sent no check is answered nothing.
#[test]
fn dtls_and_media_from_an_address_that_no_check_came_from_are_dropped() {
    let mut call = Call::incoming().connect();
    let stranger: SocketAddr = "127.0.0.1:6666".parse().unwrap();
    call.page.say(call.clock.instant(call.now), 1);
    let sent = call.page.pc.poll_write().unwrap().message.to_vec();
    assert_eq!(call.peer.receive(stranger, &sent, call.now), None);
    let hello = Endpoint::client().poll_transmit().unwrap().message;
    assert_eq!(call.peer.receive(stranger, &hello, call.now), None);
    assert_eq!(call.peer.transmit(), None);
    assert_eq!(call.peer.receive(page_at(), &sent, call.now), Some(Port::Rtp));
}

/// Trap: a check with a known user name is no proof; only the password is.
#[test]
fn a_forged_check_moves_nothing_and_gets_no_answer() {
    let mut call = Call::incoming().connect();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    let stranger: SocketAddr = "127.0.0.1:6666".parse().unwrap();
    for pwd in ["", &ours(2).pwd, &call.peer.terms.theirs.pwd.clone()] {
        let forged = check(&username, pwd, &[(0x25, &[])]);
        call.peer.receive(stranger, &forged, call.now);
    }
    let other = check("somebody:else", &ours(1).pwd, &[(0x25, &[])]);
    call.peer.receive(stranger, &other, call.now);
    assert_eq!((call.peer.transmit(), call.peer.ice.target()), (None, Some(page_at())));
}

/// The page has gone from one network to another, and nominates its new address: media follows it.
#[test]
fn a_new_nomination_moves_media() {
    let mut call = Call::incoming().connect();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    let elsewhere: SocketAddr = "127.0.0.1:41000".parse().unwrap();
    call.peer.receive(elsewhere, &check(&username, &ours(1).pwd, &[]), call.now);
    assert_eq!(call.peer.ice.target(), Some(page_at()));
    call.peer.receive(elsewhere, &check(&username, &ours(1).pwd, &[(0x25, &[])]), call.now);
    assert_eq!(call.seal(Port::Rtp, &packet(1, 1)).unwrap().0, elsewhere);
}

/// Trap: an agent that believes the other one nominates is told so, and nothing that it says about itself turns us round.
#[test]
fn a_check_of_a_controlled_agent_is_a_role_conflict() {
    let mut call = Call::incoming().connect();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[(0x8029, &[0; 8])]), call.now);
    let (_, answer) = call.peer.transmit().unwrap();
    assert_eq!((&answer[..2], &answer[24..28]), (&[1, 0x11][..], &[0, 0, 4, 87][..]));
}

#[test]
fn another_certificate_than_described_ends_the_leg_and_is_told_once() {
    let mut call = Call::incoming_of(|mut f| {
        f.0[0] ^= 1;
        f
    });
    call.run(Duration::from_secs(2));
    assert_eq!(call.peer.broken(), Some(Broken::Fingerprint));
    assert_eq!((call.peer.broken(), call.peer.deadline()), (None, None));
    assert!(call.seal(Port::Rtp, &packet(1, 1)).is_none() && !call.page.is_connected());
}

/// Trap: the crate's connection tells nobody of a close_notify; ours ends with the datagram.
#[test]
fn a_page_that_closes_ends_the_leg_at_once() {
    let mut call = Call::incoming().connect();
    let before = call.now;
    call.page.pc.close().unwrap();
    call.exchange();
    assert_eq!((call.now, call.peer.broken()), (before, Some(Broken::Closed)));
}

#[test]
fn a_page_is_told_at_once_that_we_have_closed() {
    let mut call = Call::incoming().connect();
    call.peer.close(call.now);
    let sent = call.sent;
    call.exchange();
    assert!(call.sent == sent + 1 && call.page.was_told_goodbye());
    assert!(call.seal(Port::Rtp, &packet(1, 1)).is_none() && call.peer.deadline().is_none());
}

/// RFC 7675 §5.1.
#[test]
fn nothing_is_sent_30_seconds_after_the_last_consent() {
    let mut call = Call::incoming().connect();
    call.run(Duration::from_secs(120));
    assert_eq!(call.peer.broken(), None, "its checks are consent");
    call.deaf = true;
    call.run(Duration::from_secs(24));
    assert!(call.seal(Port::Rtp, &packet(1, 1)).is_some());
    call.run(Duration::from_secs(6));
    assert!(call.seal(Port::Rtp, &packet(2, 1)).is_none());
    assert_eq!(call.peer.broken(), Some(Broken::Consent));
}

#[test]
fn to_a_page_that_never_comes_nothing_is_sent() {
    let mut call = Call::outgoing(RTCDtlsRole::Server);
    call.deaf = true;
    call.run(Duration::from_secs(60));
    assert_eq!((call.peer.broken(), call.peer.deadline(), call.sent), (None, None, 0), "its worker ends it");
}

/// It checks, but says nothing in DTLS.
#[test]
fn a_page_that_brings_no_handshake_to_an_end_is_given_up() {
    let mut call = Call::incoming();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    for second in 0..=30 {
        call.now = Mono::from_millis(second * 1_000);
        call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[(0x25, &[])]), call.now);
        call.peer.tick(call.now);
    }
    assert_eq!(call.peer.broken(), Some(Broken::Handshake));
}

#[test]
fn an_ice_restart_goes_on_with_the_same_keys() {
    let mut call = Call::incoming().connect();
    call.page.pc.restart_ice();
    let at = call.instant();
    let offer = call.page.pc.create_offer(None).unwrap();
    let (ice, fingerprint) = theirs(&offer.sdp);
    assert_ne!(ice, call.peer.terms.theirs);
    let terms = IceDtls { ours: ours(2), theirs: ice, fingerprint, role: DtlsRole::Server, full: None };
    let certificate = call.peer.identity.fingerprint();
    call.peer.agree(terms, call.now).unwrap();
    // Until it has our answer, its checks are of before; so is what we send.
    call.run(Duration::from_secs(3));
    assert!(call.peer.target().is_some());
    call.page.pc.set_local_description(at, offer).unwrap();
    call.page.listen();
    call.page.answered(at, described(Codec::Pcmu, switch_at(), &ours(2), certificate, "passive"));
    call.run(Duration::from_secs(40));
    assert_eq!((call.peer.broken(), call.peer.ice.is_of_one_generation()), (None, true));
    both_hear(call);
}

/// Trap: no SR or RR unless asked for, and none shown. Ours go through the same worker as any leg's.
#[test]
fn reports_go_both_ways_on_the_one_port() {
    let mut call = Call::incoming().connect();
    for n in 1..=100 {
        call.page.say(call.clock.instant(call.now), 1);
        call.say(n, 1);
        call.run(Duration::from_millis(20));
    }
    let kinds: Vec<u8> = call.heard.iter().filter(|(port, _)| *port == Port::Rtcp).map(|(_, p)| p[1]).collect();
    assert!(kinds.contains(&200) && kinds.contains(&201), "{kinds:?}");
    // A receiver report of ours about the page's sound.
    let mut report = vec![0x81, 201, 0, 7];
    report.extend(OUR_SSRC.to_be_bytes());
    report.extend(PAGE_SSRC.to_be_bytes());
    report.extend([0; 20]);
    let (_, sealed) = call.seal(Port::Rtcp, &report).unwrap();
    assert!(sealed[1] == 201 && sealed.len() > report.len());
}

/// A Binding request with these further attributes.
fn check(username: &str, pwd: &str, more: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    out.extend([7; 12]);
    let push = |out: &mut Vec<u8>, kind: u16, value: &[u8], after: usize| {
        out.extend(kind.to_be_bytes());
        out.extend((value.len() as u16).to_be_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        let length = (out.len() + after - 20) as u16;
        out[2..4].copy_from_slice(&length.to_be_bytes());
    };
    for (kind, value) in more {
        push(&mut out, *kind, value, 0);
    }
    push(&mut out, 0x0006, username.as_bytes(), 24);
    let mut tag = [0; 20];
    let provider = rtc::crypto::default_provider().unwrap();
    provider.crypto().new_hmac(rtc::crypto::HmacAlgorithm::Sha1, pwd.as_bytes()).unwrap().sign(&[&out], &mut tag).unwrap();
    push(&mut out, 0x0008, &tag, 8);
    let crc = crc32fast::hash(&out) ^ 0x5354_554e;
    push(&mut out, 0x8028, &crc.to_be_bytes(), 0);
    out
}

/// A DTLS client that has just said hello.
struct Endpoint;

impl Endpoint {
    fn client() -> rtc::dtls::endpoint::Endpoint {
        let provider = rtc::crypto::default_provider().unwrap();
        let config = rtc::dtls::config::ConfigBuilder::default().with_crypto_provider(provider).with_insecure_skip_verify(true);
        let mut client = rtc::dtls::endpoint::Endpoint::new(page_at(), TransportProtocol::UDP, None);
        client
            .connect(System::start().instant(Mono::ZERO), switch_at(), Arc::new(config.build(true, None).unwrap()), None)
            .unwrap();
        client
    }
}

proptest::proptest! {
    /// Bytes that look like each of the protocols, from a stranger and from the page's own address, before and after the keys.
    #[test]
    fn garbage_on_the_port_is_dropped(
        datagrams in proptest::collection::vec((0u8..5, proptest::collection::vec(proptest::num::u8::ANY, 0..200)), 1..20),
        from_page: bool,
        connected: bool,
    ) {
        let mut call = if connected { Call::incoming().connect() } else { Call::incoming() };
        if !connected {
            let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
            call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[]), call.now);
        }
        let from = if from_page { page_at() } else { "127.0.0.1:6666".parse().unwrap() };
        for (kind, mut bytes) in datagrams {
            let head: &[u8] = match kind {
                0 => &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
                1 => &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 100],
                2 => &[0x80, 0],
                3 => &[0x80, 200, 0, 6],
                _ => &[],
            };
            for (to, from) in bytes.iter_mut().zip(head) {
                *to = *from;
            }
            if let Some(port) = call.peer.receive(from, &bytes, call.now) {
                proptest::prop_assert!(connected && from_page && call.open(port, &bytes).is_none());
            }
        }
        if connected {
            both_hear(Call { heard: Vec::new(), ..call });
        }
    }
}
