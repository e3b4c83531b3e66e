//! Two tables with a network between them, on virtual time: what is lost, doubled or late, and what the timers make of it.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::clock::Mono;
use crate::sip::{
    CSeq, Flow, HeaderName, HostPort, Message, Method, NameAddr, Reason, Request, Response, SipUri, Status, Transport,
};

const A: &str = "192.0.2.1:5060";
const B: &str = "192.0.2.2:5060";

fn flow(transport: Transport, local: &str, remote: &str) -> Flow {
    Flow { transport, local: local.parse().expect("address"), remote: remote.parse().expect("address"), connection: None }
}

fn target(transport: Transport) -> Target {
    Target { flow: flow(transport, A, B), sent_by: HostPort::from(A.parse::<std::net::SocketAddr>().expect("address")) }
}

fn request(method: Method) -> Request {
    let uri = SipUri::new("bob", "192.0.2.2".parse::<std::net::IpAddr>().expect("address"), None);
    let mut request = Request::new(method.clone(), uri.clone());
    let alice = SipUri::new("alice", "192.0.2.1".parse::<std::net::IpAddr>().expect("address"), None);
    request.headers.push(HeaderName::From, NameAddr::new(alice).with_tag("a"));
    request.headers.push(HeaderName::To, NameAddr::new(uri));
    request.headers.push(HeaderName::CallId, "call-1");
    request.headers.push(HeaderName::CSeq, CSeq::new(1, method));
    request.headers.push(HeaderName::MaxForwards, 70);
    request
}

fn read_request(bytes: &Bytes) -> Request {
    match Message::from_bytes(bytes.clone()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn first_line(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned()
}

fn ms(at: Mono) -> u64 {
    at.as_micros() / 1_000
}

/// What a datagram meets: at these delays after it was sent, a copy arrives.
type Fate<'a> = &'a dyn Fn(usize) -> Vec<Duration>;

/// A caller with one request, a callee with one answer.
struct Pair<'a> {
    now: Mono,
    caller: Transactions,
    callee: Transactions,
    /// In flight: when it arrives, in order of sending, whether at the callee, bytes.
    air: Vec<(Mono, usize, bool, Bytes)>,
    sent: usize,
    fate: Fate<'a>,
    answer: Status,
    requests: usize,
    acks: usize,
    finals: Vec<Status>,
    expired: Vec<(bool, Expiry)>,
    invite: Option<TransactionId>,
    log: Vec<(u64, String)>,
}

impl<'a> Pair<'a> {
    fn new(answer: Status, fate: Fate<'a>) -> Self {
        Pair {
            now: Mono::from_millis(1_000),
            caller: Transactions::new(),
            callee: Transactions::new(),
            air: Vec::new(),
            sent: 0,
            fate,
            answer,
            requests: 0,
            acks: 0,
            finals: Vec::new(),
            expired: Vec::new(),
            invite: None,
            log: Vec::new(),
        }
    }

    fn send(&mut self, to_callee: bool, sends: Vec<Sending>) {
        for send in sends {
            self.log.push((ms(self.now) - 1_000, first_line(&send.bytes)));
            for delay in (self.fate)(self.sent) {
                self.air.push((self.now + delay, self.sent, to_callee, send.bytes.clone()));
            }
            self.sent += 1;
        }
    }

    fn call(&mut self, method: Method) -> TransactionId {
        let mut out = Vec::new();
        let id = self.caller.request(request(method), target(Transport::Udp), None, "z9hG4bKone", self.now, &mut out);
        self.send(true, out);
        id
    }

    /// Until nothing is left anywhere.
    fn run(&mut self) {
        loop {
            let arrival = self.air.iter().map(|(at, n, ..)| (*at, *n)).min();
            let next = [arrival.map(|a| a.0), self.caller.deadline(), self.callee.deadline()].into_iter().flatten().min();
            let Some(next) = next else { return };
            self.now = self.now.max(next);
            let arrived = self.air.iter().position(|(at, n, ..)| arrival == Some((*at, *n)) && *at <= self.now);
            if let Some(index) = arrived {
                let (_, _, at_callee, bytes) = self.air.remove(index);
                if at_callee { self.at_callee(bytes) } else { self.at_caller(bytes) }
            }
            let (mut expired, mut out) = (Vec::new(), Vec::new());
            self.caller.tick(self.now, &mut expired, &mut out);
            self.send(true, std::mem::take(&mut out));
            self.expired.extend(expired.drain(..).map(|e| (true, e.what)));
            self.callee.tick(self.now, &mut expired, &mut out);
            self.send(false, out);
            self.expired.extend(expired.into_iter().map(|e| (false, e.what)));
        }
    }

    fn at_callee(&mut self, bytes: Bytes) {
        let mut out = Vec::new();
        match self.callee.receive_request(read_request(&bytes), flow(Transport::Udp, B, A), self.now, &mut out) {
            Received::New { id, request, .. } => {
                self.requests += 1;
                if request.method == Method::Invite {
                    self.callee.respond(id, &request.response_with_tag(Status::RINGING, "b"), self.now, &mut out);
                }
                self.callee.respond(id, &request.response_with_tag(self.answer, "b"), self.now, &mut out);
            }
            Received::Ack { invite, .. } => {
                self.acks += 1;
                assert!(invite.is_some());
            }
            Received::Absorbed => {}
            other => panic!("{other:?}"),
        }
        self.send(false, out);
    }

    fn at_caller(&mut self, bytes: Bytes) {
        let Ok(Message::Response(response)) = Message::from_bytes(bytes) else { panic!("not a response") };
        let mut out = Vec::new();
        match self.caller.receive_response(response, flow(Transport::Udp, A, B), self.now, &mut out) {
            Received::Response { id, response, .. } if response.status.is_final() => {
                self.finals.push(response.status);
                if response.headers.cseq().expect("cseq").method == Method::Invite && response.status.is_success() {
                    let mut ack = request(Method::Ack);
                    ack.headers.set(HeaderName::To, response.headers.get(&HeaderName::To).expect("to"));
                    self.caller.ack(id, &ack, &target(Transport::Udp), "z9hG4bKack", self.now, &mut out);
                    self.invite = Some(id);
                }
            }
            Received::Response { .. } | Received::Absorbed | Received::Stray { .. } => {}
            other => panic!("{other:?}"),
        }
        self.send(true, out);
    }

    #[track_caller]
    fn assert_once(&self, acked: bool, what: &str) {
        assert_eq!(self.requests, 1, "{what}: the request reaches the core once\n{:#?}", self.log);
        assert_eq!(self.finals, [self.answer], "{what}: so does the final response\n{:#?}", self.log);
        assert_eq!(self.expired, [], "{what}\n{:#?}", self.log);
        assert!(!acked || self.acks >= 1, "{what}: the ACK arrives\n{:#?}", self.log);
        assert!(self.caller.is_empty() && self.callee.is_empty(), "{what}: nothing is left");
    }
}

const CASES: [(Method, Status, bool); 3] =
    [(Method::Invite, Status::OK, true), (Method::Invite, Status::BUSY_HERE, false), (Method::Options, Status::OK, false)];

const SOON: Duration = Duration::from_millis(20);

#[test]
fn each_single_message_may_be_lost() {
    for (method, answer, acked) in CASES {
        for lost in 0..6 {
            let fate = move |n: usize| if n == lost { vec![] } else { vec![SOON] };
            let mut pair = Pair::new(answer, &fate);
            pair.call(method.clone());
            pair.run();
            pair.assert_once(acked, &format!("{method} {answer} without message {lost}"));
        }
    }
}

#[test]
fn each_single_message_may_come_twice() {
    for (method, answer, acked) in CASES {
        for doubled in 0..6 {
            let fate = move |n: usize| if n == doubled { vec![SOON, SOON * 3] } else { vec![SOON] };
            let mut pair = Pair::new(answer, &fate);
            pair.call(method.clone());
            pair.run();
            pair.assert_once(acked, &format!("{method} {answer} with message {doubled} twice"));
        }
    }
}

#[test]
fn each_single_message_may_come_late_and_behind_others() {
    for (method, answer, acked) in CASES {
        for late in 0..6 {
            let fate = move |n: usize| vec![if n == late { Duration::from_millis(2_700) } else { SOON }];
            let mut pair = Pair::new(answer, &fate);
            pair.call(method.clone());
            pair.run();
            pair.assert_once(acked, &format!("{method} {answer} with message {late} late"));
        }
    }
}

#[test]
fn a_third_of_all_messages_may_be_lost_and_the_others_come_in_any_order() {
    for (method, answer, acked) in CASES {
        for seed in 0..50 {
            let fate = move |n: usize| {
                let chance = scrambled(seed * 1_000 + n as u64);
                if chance.is_multiple_of(3) { vec![] } else { vec![Duration::from_millis(chance % 1_500)] }
            };
            let mut pair = Pair::new(answer, &fate);
            pair.call(method.clone());
            pair.run();
            pair.assert_once(acked, &format!("{method} {answer}, seed {seed}"));
        }
    }
}

/// SplitMix64.
fn scrambled(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) >> 8
}

fn times(pair: &Pair<'_>) -> Vec<u64> {
    pair.log.iter().map(|(at, _)| *at).collect()
}

/// Timers A and B.
#[test]
fn an_invite_to_nobody_is_repeated_with_doubling_gaps_and_given_up_after_32_seconds() {
    let fate = |_| vec![];
    let mut pair = Pair::new(Status::OK, &fate);
    pair.call(Method::Invite);
    pair.run();
    assert_eq!(times(&pair), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!((ms(pair.now) - 1_000, &pair.expired[..]), (32_000, &[(true, Expiry::NoResponse)][..]));
}

/// Timers E and F.
#[test]
fn another_request_to_nobody_is_repeated_every_4_seconds_at_last() {
    let fate = |_| vec![];
    let mut pair = Pair::new(Status::OK, &fate);
    pair.call(Method::Options);
    pair.run();
    assert_eq!(times(&pair), [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!((ms(pair.now) - 1_000, &pair.expired[..]), (32_000, &[(true, Expiry::NoResponse)][..]));
}

/// Timers G and H; §13.3.1.4 for the 2xx.
#[test]
fn a_final_response_that_nobody_acknowledges_is_repeated_for_32_seconds() {
    for (answer, expiry) in [(Status::BUSY_HERE, Expiry::NoAckToFailure), (Status::OK, Expiry::NoAckToSuccess)] {
        // Only the first INVITE arrives, and nothing comes back.
        let fate = |n| if n == 0 { vec![Duration::ZERO] } else { vec![] };
        let mut pair = Pair::new(answer, &fate);
        pair.call(Method::Invite);
        pair.run();
        let line = format!("SIP/2.0 {} {}", answer.code(), answer.reason());
        let at: Vec<u64> = pair.log.iter().filter(|(_, l)| *l == line).map(|(at, _)| *at).collect();
        assert_eq!(at, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert!(pair.expired.contains(&(false, expiry)));
        assert!(pair.callee.is_empty());
    }
}

/// A table with one client INVITE that rings.
fn ringing(provisional: bool) -> (Transactions, TransactionId, Request, Vec<Sending>) {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let id = table.request(request(Method::Invite), target(Transport::Udp), None, "z9hG4bKone", Mono::ZERO, &mut out);
    let sent = read_request(&out[0].bytes);
    out.clear();
    if provisional {
        receive(&mut table, sent.response_with_tag(Status::RINGING, "b"), &mut out);
    }
    (table, id, sent, out)
}

fn receive(table: &mut Transactions, response: Response, out: &mut Vec<Sending>) -> Received {
    table.receive_response(response, flow(Transport::Udp, A, B), Mono::from_millis(100), out)
}

/// §9.1.
#[test]
fn a_cancel_waits_for_the_first_provisional_response_and_looks_like_its_invite() {
    let (mut table, id, invite, mut out) = ringing(false);
    table.cancel(id, Some(Reason::sip(Status::OK, "elsewhere")), Mono::ZERO, &mut out);
    assert_eq!(out, []);
    receive(&mut table, invite.response(Status::TRYING), &mut out);
    assert_eq!(out.len(), 1);
    let cancel = read_request(&out[0].bytes);
    assert_eq!((&cancel.method, &cancel.uri), (&Method::Cancel, &invite.uri));
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        assert_eq!(cancel.headers.get(&name), invite.headers.get(&name), "{name}");
    }
    assert_eq!(cancel.headers.cseq().expect("cseq"), CSeq::new(1, Method::Cancel));
    assert_eq!(cancel.headers.get(&HeaderName::Reason), Some(&Bytes::from_static(b"SIP;cause=200;text=\"elsewhere\"")));

    assert_eq!(receive(&mut table, cancel.response(Status::OK), &mut out), Received::Absorbed, "nobody waits for it");
    let ended = receive(&mut table, invite.response_with_tag(Status::REQUEST_TERMINATED, "b"), &mut out);
    assert!(matches!(ended, Received::Response { response, .. } if response.status == Status::REQUEST_TERMINATED));
    assert!(first_line(&out.last().expect("ACK").bytes).starts_with("ACK sip:bob"));
}

#[test]
fn a_cancelled_invite_without_final_response_expires_after_32_seconds() {
    let (mut table, id, _, mut out) = ringing(true);
    let (mut expired, at) = (Vec::new(), Mono::from_millis(60_000));
    assert_eq!(table.deadline(), None, "how long it may ring is the core's affair");
    table.cancel(id, None, at, &mut out);
    assert_eq!(out.len(), 1);
    table.cancel(id, None, at, &mut out);
    assert_eq!(out.len(), 1, "once is enough");
    while let Some(next) = table.deadline() {
        table.tick(next, &mut expired, &mut out);
        assert!(next <= at + GIVE_UP);
    }
    assert_eq!(expired, [Expired { id, what: Expiry::NoResponse }]);
}

#[test]
fn a_cancel_after_the_final_response_sends_nothing() {
    for status in [Status::OK, Status::BUSY_HERE] {
        let (mut table, id, invite, mut out) = ringing(true);
        receive(&mut table, invite.response_with_tag(status, "b"), &mut out);
        out.clear();
        table.cancel(id, None, Mono::from_millis(200), &mut out);
        assert_eq!(out, []);
    }
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_delivered() {
    let (mut table, id, invite, mut out) = ringing(true);
    table.cancel(id, None, Mono::from_millis(150), &mut out);
    let crossed = receive(&mut table, invite.response_with_tag(Status::OK, "b"), &mut out);
    assert!(matches!(crossed, Received::Response { id: of, .. } if of == id));
}

/// §17.1.1.3 and RFC 6026.
#[test]
fn each_fork_gets_its_own_ack_again_for_each_repeat_of_its_2xx() {
    let (mut table, id, invite, mut out) = ringing(true);
    for tag in ["b", "c"] {
        let ok = invite.response_with_tag(Status::OK, tag);
        assert!(matches!(receive(&mut table, ok.clone(), &mut out), Received::Response { .. }), "a callee of its own");
        assert_eq!(receive(&mut table, ok.clone(), &mut out), Received::Absorbed);
        assert_eq!(out, [], "no ACK is known yet");
        let mut ack = request(Method::Ack);
        ack.headers.set(HeaderName::To, ok.headers.get(&HeaderName::To).expect("to"));
        table.ack(id, &ack, &target(Transport::Udp), &format!("z9hG4bKack{tag}"), Mono::from_millis(200), &mut out);
        assert_eq!(receive(&mut table, ok, &mut out), Received::Absorbed);
        assert_eq!(out.len(), 2);
        assert_eq!(out[0].bytes, out[1].bytes);
        assert!(read_request(&out[0].bytes).headers.to().expect("to").tag() == Some(tag.as_bytes()));
        out.clear();
    }
}

/// §18.1.1.
#[test]
fn a_long_request_goes_by_tcp_and_by_udp_after_all_if_that_fails() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let mut long = request(Method::Invite);
    long.body = Bytes::from(vec![b'x'; 1_400]);
    let id =
        table.request(long.clone(), target(Transport::Udp), Some(target(Transport::Tcp)), "z9hG4bKone", Mono::ZERO, &mut out);
    let by_tcp = out.remove(0);
    assert_eq!(by_tcp.to.transport, Transport::Tcp);
    assert!(first_line(&by_tcp.bytes).starts_with("INVITE"));
    assert!(read_request(&by_tcp.bytes).headers.via().expect("via").to_string().starts_with("SIP/2.0/TCP 192.0.2.1:5060;"));

    let report = by_tcp.report.expect("reported on");
    assert_eq!(table.undeliverable(report, Mono::from_millis(10), &mut out), None);
    let by_udp = out.remove(0);
    assert_eq!(by_udp.to.transport, Transport::Udp);
    let via = read_request(&by_udp.bytes).headers.via().expect("via");
    assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone;rport");
    assert_eq!(table.deadline(), Some(Mono::from_millis(510)), "timer A runs now");

    assert_eq!(table.undeliverable(report, Mono::from_millis(20), &mut out), None, "the first attempt is over");
    let report = by_udp.report.expect("reported on");
    assert_eq!(table.undeliverable(report, Mono::from_millis(30), &mut out), Some(Undelivered { id }));
    assert!(table.is_empty() && out.is_empty());

    let mut short = request(Method::Options);
    short.body = Bytes::from_static(b"x");
    table.request(short, target(Transport::Udp), Some(target(Transport::Tcp)), "z9hG4bKtwo", Mono::ZERO, &mut out);
    assert_eq!(out[0].to.transport, Transport::Udp);
}

#[test]
fn a_closed_connection_ends_the_requests_that_were_not_heard_of() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let connection = Some(crate::sip::ConnectionId(7));
    let mut to = target(Transport::Tcp);
    to.flow.connection = connection;
    let unheard = table.request(request(Method::Options), to.clone(), None, "z9hG4bKone", Mono::ZERO, &mut out);
    table.request(request(Method::Invite), to, None, "z9hG4bKtwo", Mono::ZERO, &mut out);
    let ringing = read_request(&out[1].bytes).response_with_tag(Status::RINGING, "b");
    receive(&mut table, ringing, &mut out);
    let lost = table.connection_closed(crate::sip::ConnectionId(7), Mono::from_millis(10), &mut out);
    assert_eq!(lost, [Undelivered { id: unheard }]);
    assert_eq!(table.len(), 1);
}

/// A request as a peer sends it, with this Via.
fn incoming(method: Method, via: &str) -> Request {
    let mut request = request(method);
    request.headers.insert_first(HeaderName::Via, via);
    request
}

const VIA: &str = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpeer;rport";

fn take(table: &mut Transactions, request: Request, out: &mut Vec<Sending>) -> Received {
    table.receive_request(request, flow(Transport::Udp, B, "192.0.2.1:40000"), Mono::from_millis(5), out)
}

#[track_caller]
fn new_id(received: Received) -> (TransactionId, Request) {
    match received {
        Received::New { id, request, .. } => (id, request),
        other => panic!("{other:?}"),
    }
}

/// §17.2.1.
#[test]
fn silence_of_the_core_becomes_a_100_after_200_ms() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let (id, invite) = new_id(take(&mut table, incoming(Method::Invite, VIA), &mut out));
    assert_eq!(take(&mut table, incoming(Method::Invite, VIA), &mut out), Received::Absorbed);
    assert_eq!(out, [], "nothing to repeat yet");
    assert_eq!(table.deadline(), Some(Mono::from_millis(205)));
    table.tick(Mono::from_millis(205), &mut Vec::new(), &mut out);
    assert_eq!(first_line(&out[0].bytes), "SIP/2.0 100 Trying");
    assert_eq!(table.deadline(), None);
    out.clear();
    table.respond(id, &invite.response_with_tag(Status::RINGING, "b"), Mono::from_millis(300), &mut out);
    assert_eq!(take(&mut table, incoming(Method::Invite, VIA), &mut out), Received::Absorbed);
    assert_eq!(out[0], out[1]);
    assert!(table.is_unanswered(id));
}

/// §18.2.2 and RFC 3581.
#[test]
fn responses_go_where_the_request_came_from() {
    for (via, transport, connection, remote) in [
        (VIA, Transport::Udp, None, "192.0.2.1:40000"),
        ("SIP/2.0/UDP 198.51.100.9:5062;branch=z9hG4bKpeer", Transport::Udp, None, "192.0.2.1:5062"),
        // Behind a NAT.
        ("SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKpeer", Transport::Udp, None, "192.0.2.1:40000"),
        ("SIP/2.0/UDP host.example;branch=z9hG4bKpeer", Transport::Udp, None, "192.0.2.1:5060"),
        (
            "SIP/2.0/TCP 10.0.0.9:5062;branch=z9hG4bKpeer;rport",
            Transport::Tcp,
            Some(crate::sip::ConnectionId(3)),
            "192.0.2.1:5062",
        ),
    ] {
        let (mut table, mut out) = (Transactions::new(), Vec::new());
        let came = Flow { connection, ..flow(transport, B, "192.0.2.1:40000") };
        let (id, request) = new_id(table.receive_request(incoming(Method::Options, via), came, Mono::ZERO, &mut out));
        table.respond(id, &request.response_with_tag(Status::OK, "b"), Mono::ZERO, &mut out);
        assert_eq!(out[0].to, Flow { remote: remote.parse().expect("address"), ..came }, "{via}");
    }
}

/// §9.2.
#[test]
fn a_cancel_finds_its_invite_and_a_strangers_does_not() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let (id, invite) = new_id(take(&mut table, incoming(Method::Invite, VIA), &mut out));
    table.respond(id, &invite.response_with_tag(Status::RINGING, "ours"), Mono::from_millis(6), &mut out);
    out.clear();

    let elsewhere = flow(Transport::Udp, B, "198.51.100.66:40000");
    let guess = table.receive_request(incoming(Method::Cancel, VIA), elsewhere, Mono::from_millis(7), &mut out);
    assert_eq!(guess, Received::Answered(Status::CALL_TRANSACTION_DOES_NOT_EXIST));
    out.clear();

    // The stranger's CANCEL must not swallow the real one, which has the same branch.
    let real = take(&mut table, incoming(Method::Cancel, VIA), &mut out);
    assert!(matches!(real, Received::Cancel { invite, .. } if invite == id), "{real:?}");
    assert_eq!(first_line(&out[0].bytes), "SIP/2.0 200 OK");
    assert!(String::from_utf8_lossy(&out[0].bytes).contains("tag=ours"));
    table.respond(id, &invite.response_with_tag(Status::REQUEST_TERMINATED, "ours"), Mono::from_millis(8), &mut out);
    assert!(!table.is_unanswered(id));
}

#[test]
fn a_cancel_after_the_answer_is_answered_and_means_nothing() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let (id, invite) = new_id(take(&mut table, incoming(Method::Invite, VIA), &mut out));
    table.respond(id, &invite.response_with_tag(Status::OK, "ours"), Mono::from_millis(6), &mut out);
    out.clear();
    assert_eq!(take(&mut table, incoming(Method::Cancel, VIA), &mut out), Received::Absorbed);
    assert_eq!(first_line(&out[0].bytes), "SIP/2.0 200 OK");
}

/// §8.2.2.2.
#[test]
fn a_request_that_comes_by_two_ways_is_answered_482_the_second_time() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    new_id(take(&mut table, incoming(Method::Invite, VIA), &mut out));
    let other = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKother;rport";
    let merged = take(&mut table, incoming(Method::Invite, other), &mut out);
    assert_eq!(merged, Received::Answered(Status::LOOP_DETECTED));
    assert_eq!(first_line(&out[0].bytes), "SIP/2.0 482 Loop Detected");
}

#[test]
fn a_request_that_was_challenged_may_come_again_with_the_same_cseq() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let (id, register) = new_id(take(&mut table, incoming(Method::Register, VIA), &mut out));
    table.respond(id, &register.response_with_tag(Status::UNAUTHORIZED, "b"), Mono::from_millis(6), &mut out);
    let other = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKother;rport";
    new_id(take(&mut table, incoming(Method::Register, other), &mut out));
}

/// §17.2.3, second half.
#[test]
fn peers_of_rfc_2543_are_matched_without_a_branch() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let via = "SIP/2.0/UDP 192.0.2.1:5060";
    let (id, invite) = new_id(take(&mut table, incoming(Method::Invite, via), &mut out));
    assert_eq!(take(&mut table, incoming(Method::Invite, via), &mut out), Received::Absorbed);
    table.respond(id, &invite.response_with_tag(Status::BUSY_HERE, "ours"), Mono::from_millis(6), &mut out);
    let mut ack = incoming(Method::Ack, via);
    ack.headers.set(HeaderName::CSeq, CSeq::new(1, Method::Ack));
    ack.headers
        .set(HeaderName::To, invite.response_with_tag(Status::BUSY_HERE, "ours").headers.get(&HeaderName::To).expect("to"));
    assert_eq!(take(&mut table, ack, &mut out), Received::Absorbed);
    let mut next = incoming(Method::Invite, via);
    next.headers.set(HeaderName::CSeq, CSeq::new(2, Method::Invite));
    new_id(take(&mut table, next, &mut out));
}

#[test]
fn an_ack_to_a_2xx_is_found_by_its_dialog_and_a_stray_one_says_so() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    let (id, invite) = new_id(take(&mut table, incoming(Method::Invite, VIA), &mut out));
    let ok = invite.response_with_tag(Status::OK, "ours");
    table.respond(id, &ok, Mono::from_millis(6), &mut out);
    let mut ack = incoming(Method::Ack, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKack");
    ack.headers.set(HeaderName::To, ok.headers.get(&HeaderName::To).expect("to"));
    for _ in 0..2 {
        assert!(matches!(take(&mut table, ack.clone(), &mut out), Received::Ack { invite: Some(of), .. } if of == id));
    }
    let least = Mono::from_millis(6) + GIVE_UP;
    let only = table.deadline().expect("a timer");
    assert!(least <= only && only < least + T1, "only timer L runs: {only:?}");
    ack.headers.set(HeaderName::CSeq, CSeq::new(9, Method::Ack));
    assert!(matches!(take(&mut table, ack, &mut out), Received::Ack { invite: None, .. }));
}

#[test]
fn beyond_the_bound_new_requests_get_503_and_calls_can_still_end() {
    let (mut table, mut out) = (Transactions::new(), Vec::new());
    for n in 0..table::MAX_INITIAL {
        let mut options = incoming(Method::Options, &format!("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{n}"));
        options.headers.set(HeaderName::CallId, n.to_string());
        new_id(take(&mut table, options, &mut out));
    }
    let refused = take(&mut table, incoming(Method::Invite, VIA), &mut out);
    assert_eq!(refused, Received::Answered(Status::SERVICE_UNAVAILABLE));
    assert!(String::from_utf8_lossy(&out[0].bytes).contains("Retry-After: 32"));
    assert_eq!(table.len(), table::MAX_INITIAL);
    assert!(table.is_full());
    let help = table.receive_urgent(
        incoming(Method::Invite, VIA),
        flow(Transport::Udp, B, "192.0.2.1:40000"),
        Mono::from_millis(5),
        &mut out,
    );
    assert!(matches!(help, Received::New { .. }), "{help:?}");
    let mut bye = incoming(Method::Bye, VIA);
    let to = bye.headers.to().expect("to").with_tag("ours");
    bye.headers.set(HeaderName::To, to);
    new_id(take(&mut table, bye, &mut out));
}

#[test]
fn responses_to_nothing_are_strays_and_forged_ones_for_others_too() {
    let (mut table, _, invite, mut out) = ringing(true);
    let mut two_vias = invite.response_with_tag(Status::OK, "b");
    two_vias.headers.push(HeaderName::Via, "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx");
    assert!(matches!(receive(&mut table, two_vias, &mut out), Received::Stray { .. }));
    let other = incoming(Method::Invite, VIA).response_with_tag(Status::OK, "b");
    assert!(matches!(receive(&mut table, other, &mut out), Received::Stray { .. }));
}
