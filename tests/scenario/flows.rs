//! Connections that come and go under a phone's calls, and the flows of a device (RFC 5626).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::sip::{self, ConnectionId, Flow, HeaderName, Login, Message, Request, Response, Transport};
use cordboard::switch::Input;

use crate::sim::ua::OnInvite;
use crate::sim::{Sim, switch};

const SECOND: Duration = Duration::from_secs(1);

/// A phone by TCP, in single messages.
pub struct Line {
    pub number: &'static str,
    /// As it says it, without angle brackets.
    pub contact: &'static str,
    /// Parameters of its Contact in REGISTER: `;+sip.instance=…`.
    pub device: &'static str,
    pub more: &'static str,
    pub flow: Flow,
    pub secret: Option<String>,
    /// By a proxy, which says that it is there.
    pub behind: Option<SocketAddr>,
    cseq: u32,
}

impl Line {
    pub fn new(number: &'static str, contact: &'static str, connection: u64) -> Line {
        Line { number, contact, device: "", more: "", flow: by(connection), secret: None, behind: None, cseq: 0 }
    }

    /// On another connection from here on.
    pub fn by(&mut self, connection: u64) {
        self.flow = by(connection);
    }

    fn text(&self, method: &str, to: &str, call_id: &str, cseq: u32) -> String {
        let Line { number, contact, device, more, behind, .. } = self;
        let via = match behind {
            // What the phone says of itself is of no use to anybody.
            Some(at) => {
                let (ip, port) = (at.ip(), at.port());
                format!("\r\nVia: SIP/2.0/UDP 192.168.1.2:5060;received={ip};rport={port};branch=z9hG4bKp{call_id}{method}{cseq}")
            }
            None => String::new(),
        };
        let device = if method == "REGISTER" { device } else { "" };
        let at = self.flow.remote;
        // Nobody else's, though the number be the same.
        let branch =
            format!("{at}-{}-{call_id}{method}{cseq}", behind.map_or(String::new(), |at| at.to_string())).replace(':', "p");
        format!(
            "{method} sip:{to}@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {at};rport;branch=z9hG4bK{branch}{via}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{number}@10.0.0.1>;tag=f{call_id}\r\nTo: <sip:{to}@10.0.0.1>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <{contact}>{device}\r\n{more}"
        )
    }

    /// Says it, with its credentials when it is asked for them; what comes back at once, if anything does.
    pub fn say(&mut self, sim: &mut Sim, method: &str, to: &str, call_id: &str, body: &str) -> Option<Response> {
        self.cseq += 1;
        let text = self.text(method, to, call_id, self.cseq);
        let first = self.send(sim, text + body, None)?;
        if first.status.code() != 401 {
            return Some(first);
        }
        self.cseq += 1;
        let text = self.text(method, to, call_id, self.cseq);
        self.send(sim, text + body, Some(&first))
    }

    /// One that nobody has proven.
    pub fn say_once(&mut self, sim: &mut Sim, method: &str, to: &str, call_id: &str) -> Option<Response> {
        self.cseq += 1;
        let text = self.text(method, to, call_id, self.cseq);
        self.send(sim, text, None)
    }

    fn send(&self, sim: &mut Sim, text: String, challenge: Option<&Response>) -> Option<Response> {
        let text = if text.contains("\r\n\r\n") { text } else { text + "Content-Length: 0\r\n\r\n" };
        let Ok(Message::Request(mut request)) = Message::from_bytes(Bytes::from(text)) else { panic!("no request") };
        if let Some(challenge) = challenge {
            let secret = self.secret.clone().unwrap_or_else(|| format!("secret-{}", self.number));
            let login = Login { username: self.number, password: &secret };
            let uri = request.uri.to_string();
            let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
            request
                .headers
                .push(HeaderName::Authorization, challenges[0].answer(&login, &request.method, uri.as_bytes(), 1, b"c"));
        }
        let method = request.method.clone();
        let message = sip::intake(request.to_bytes()).expect("valid");
        let before = sim.trace.len();
        sim.input(Input::Sip { flow: self.flow, message });
        let its = |response: &Response| response.headers.cseq().is_ok_and(|cseq| cseq.method == method);
        responses(sim, before).map(|(_, response)| response).find(its)
    }

    pub fn register(&mut self, sim: &mut Sim) -> Response {
        let number = self.number;
        let call_id = format!("reg-{number}-{}", self.behind.map_or(String::new(), |at| at.to_string()));
        let answer = self.say(sim, "REGISTER", number, &call_id, "Expires: 600\r\n");
        answer.unwrap_or_else(|| panic!("no answer\n{}", sim.story()))
    }
}

pub fn by(connection: u64) -> Flow {
    let remote = format!("10.1.9.9:{}", 40_000 + connection).parse().expect("address");
    Flow { transport: Transport::Tcp, local: switch(), remote, connection: Some(ConnectionId(connection)) }
}

pub fn responses(sim: &Sim, since: usize) -> impl Iterator<Item = (Flow, Response)> {
    let all = sim.ways[since..].iter().zip(&sim.trace[since..]);
    all.filter_map(|(way, bytes)| match Message::from_bytes(bytes.clone()) {
        Ok(Message::Response(response)) => Some((*way, response)),
        _ => None,
    })
}

pub fn requests(sim: &Sim, since: usize) -> impl Iterator<Item = (Flow, Request)> {
    let all = sim.ways[since..].iter().zip(&sim.trace[since..]);
    all.filter_map(|(way, bytes)| match Message::from_bytes(bytes.clone()) {
        Ok(Message::Request(request)) => Some((*way, request)),
        _ => None,
    })
}

pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.1.9.9\r\ns=-\r\nc=IN IP4 10.1.9.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// The rest of a message with this body.
pub fn with(body: &str) -> String {
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A phone by TCP that has called 201, where it rings; how many messages there were before it moves.
fn calling(seed: u8) -> (Sim, Line, SocketAddr) {
    let mut sim = Sim::new(seed);
    let callee = sim.phone("201");
    sim.set(callee, OnInvite::Ring);
    let mut line = device(&mut sim);
    line.say(&mut sim, "INVITE", "201", "call", &with(OFFER));
    sim.run_until("it rings", |s| s.ua(callee).is_ringing());
    sim.run_for(SECOND);
    (sim, line, callee)
}

/// RFC 3261 §18.2.2: what is said to an INVITE goes by its connection, and when that is gone by the one that the same device has now.
#[test]
fn the_answer_to_a_call_goes_by_the_new_connection_of_its_phone() {
    // The old connection is noticed to be gone before, or after the phone has come by another one; with the same contact, or another.
    for (closed_first, contact) in [
        (true, "sip:210@10.1.9.9:40001;transport=tcp"),
        (false, "sip:210@10.1.9.9:40001;transport=tcp"),
        (false, "sip:210@10.1.9.9:40002;transport=tcp"),
    ] {
        let (mut sim, mut line, callee) = calling(1);
        let since = sim.trace.len();
        if closed_first {
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        line.by(2);
        line.contact = contact;
        assert_eq!(line.register(&mut sim).status.code(), 200);
        if !closed_first {
            // It may be alive yet: nothing that was said is said twice.
            assert!(responses(&sim, since).all(|(_, r)| r.headers.cseq().is_ok_and(|c| c.method == sip::Method::Register)));
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        let to_invite = |(way, r): &(Flow, Response)| {
            let of = r.headers.cseq().is_ok_and(|c| c.method == sip::Method::Invite);
            of.then_some((way.connection, r.status.code()))
        };
        let told: Vec<_> = responses(&sim, since).filter_map(|r| to_invite(&r)).collect();
        assert_eq!(told, [(Some(ConnectionId(2)), 180)], "what may have been lost is said again");
        let since = sim.trace.len();
        sim.act(callee, |c, now| c.answer(now));
        sim.run_for(SECOND / 4);
        let told: Vec<_> = responses(&sim, since).filter_map(|r| to_invite(&r)).collect();
        assert_eq!(told, [(Some(ConnectionId(2)), 200)], "closed first: {closed_first}");
        // What follows in the dialog goes there too: nobody acknowledges it, so it ends.
        let since = sim.trace.len();
        sim.run_for(40 * SECOND);
        let byes: Vec<_> =
            requests(&sim, since).filter(|(_, r)| r.method == sip::Method::Bye).map(|(way, _)| way.connection).collect();
        assert!(byes.contains(&Some(ConnectionId(2))), "{byes:?}");
        // Else it would be asked whether it is there.
        sim.input(Input::ConnectionClosed { connection: ConnectionId(2) });
        sim.assert_clean();
    }
}

/// The phone at which it rings has moved: it is told there that it need not ring any more.
#[test]
fn a_cancel_goes_by_the_new_connection_of_the_phone_that_rings() {
    let mut sim = Sim::new(2);
    let caller = sim.phone("201");
    let mut line = Line::new("210", "sip:210@10.1.9.9:40001;transport=tcp", 1);
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let since = sim.trace.len();
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
    let (way, invite) = requests(&sim, since).find(|(_, r)| r.method == sip::Method::Invite).expect("an INVITE");
    assert_eq!(way.connection, Some(ConnectionId(1)));
    let ringing = invite.response_with_tag(sip::Status::RINGING, "t").to_bytes();
    sim.input(Input::Sip { flow: by(1), message: sip::intake(ringing).expect("valid") });
    line.by(2);
    assert_eq!(line.register(&mut sim).status.code(), 200);
    sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
    let since = sim.trace.len();
    sim.act(caller, |c, now| c.hang_up(now));
    sim.run_for(SECOND / 4);
    let (way, _) = requests(&sim, since).find(|(_, r)| r.method == sip::Method::Cancel).expect("a CANCEL");
    assert_eq!(way.connection, Some(ConnectionId(2)));
    sim.assert_clean();
}

const DEVICE: &str = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";reg-id=1";
const OUTBOUND: &str = "Supported: path, outbound\r\n";

pub fn invites(sim: &Sim, since: usize) -> Vec<(Option<ConnectionId>, Request)> {
    let all = requests(sim, since).filter(|(_, r)| r.method == sip::Method::Invite);
    all.map(|(way, r)| (way.connection, r)).collect()
}

fn answer(sim: &mut Sim, line: &Line, invite: &Request, code: u16) {
    let status = sip::Status::new(code).expect("a status");
    let mut response = invite.response_with_tag(status, "t");
    if code == 200 {
        response.headers.push(HeaderName::Contact, format!("<{}>", line.contact));
        response.headers.push(HeaderName::ContentType, "application/sdp");
        response.body = Bytes::from(OFFER);
    }
    sim.input(Input::Sip { flow: line.flow, message: sip::intake(response.to_bytes()).expect("valid") });
}

/// RFC 5626 §4.2, §6: a phone that was switched off and on again has another address, and is the same phone.
#[test]
fn a_phone_that_starts_anew_with_another_address_rings_once() {
    let mut sim = Sim::new(3);
    let caller = sim.phone("201");
    let mut line = Line::new("210", "sip:210@10.1.9.9:40001;transport=tcp;ob", 1);
    (line.device, line.more) = (DEVICE, OUTBOUND);
    let first = line.register(&mut sim);
    assert!(first.headers.lists(&HeaderName::Require, "outbound"));
    assert_eq!(first.headers.get(&HeaderName::FlowTimer).map(|v| &v[..]), Some(&b"120"[..]));
    line.by(2);
    line.contact = "sip:210@10.1.9.9:40002;transport=tcp;ob";
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let cordboard::switch::Answer::Registrations(all) = sim.ask(cordboard::switch::Command::Registrations) else { panic!() };
    let own: Vec<_> = all.iter().filter(|r| r.number == "210").map(|r| (r.contact.as_str(), r.reg_id)).collect();
    assert_eq!(own, [(line.contact, Some(1))]);
    assert!(all.iter().any(|r| r.instance.as_deref() == Some("<urn:uuid:00000000-0000-1000-8000-000a95a0e128>")));
    assert_eq!((sim.count("registration.removed"), sim.registrations.len()), (1, 2));
    let since = sim.trace.len();
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
    let rung = invites(&sim, since);
    assert_eq!(rung.iter().map(|(way, _)| *way).collect::<Vec<_>>(), [Some(ConnectionId(2))]);
    answer(&mut sim, &line, &rung[0].1, 486);
    sim.run_until("refused", |s| s.ua(caller).is_idle());
    assert_eq!(sim.ua(caller).final_status(), Some(486));
    sim.assert_clean();
}

/// RFC 5626 §5.3: one device, however many flows it has, and the next one when the first is gone.
#[test]
fn a_device_with_two_flows_rings_by_one_and_by_the_other_when_that_fails() {
    // By what the first flow fails, and whether the other is tried for it.
    for (failure, goes_on) in [(Some(430), true), (None, true), (Some(486), false)] {
        let mut sim = Sim::new(4);
        let caller = sim.phone("201");
        let mut lines = [1, 2].map(|n| {
            let mut line = Line::new("210", "sip:210@10.1.9.9;transport=tcp;ob", n);
            line.device =
                if n == 1 { DEVICE } else { ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";reg-id=2" };
            line.more = OUTBOUND;
            line
        });
        for line in &mut lines {
            assert_eq!(line.register(&mut sim).status.code(), 200);
            sim.run_for(SECOND);
        }
        let since = sim.trace.len();
        if failure.is_none() {
            sim.unreachable.insert(lines[1].flow.remote);
        }
        sim.act(caller, |c, now| {
            c.call("210", now);
        });
        sim.run_for(SECOND / 4);
        let rung = invites(&sim, since);
        assert_eq!(rung[0].0, Some(ConnectionId(2)), "the newest first, and that one alone");
        if let Some(failure) = failure {
            assert_eq!(rung.len(), 1);
            answer(&mut sim, &lines[1], &rung[0].1, failure);
        }
        let rung = invites(&sim, since);
        assert_eq!(rung.len(), if goes_on { 2 } else { 1 }, "{failure:?}");
        if goes_on {
            assert_eq!(rung[1].0, Some(ConnectionId(1)));
            answer(&mut sim, &lines[0], &rung[1].1, 180);
            sim.run_for(SECOND / 4);
            assert!(sim.ua(caller).last().is_some_and(|call| call.rang()));
            // That was the last one.
            answer(&mut sim, &lines[0], &rung[1].1, 430);
        }
        sim.run_until("refused", |s| s.ua(caller).is_idle());
        assert_eq!(sim.ua(caller).final_status(), Some(if goes_on { 480 } else { 486 }), "{failure:?}");
        sim.assert_clean();
    }
}

/// After a restart there is no connection to a phone that makes its own: its lamps wait until it has one.
#[test]
fn a_lamp_of_a_phone_by_tcp_goes_on_when_the_phone_is_back() {
    let mut sim = Sim::new(5);
    sim.phone("201");
    let mut line = Line::new("210", "sip:210@10.1.9.9:40001;transport=tcp", 1);
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let ok = line.say(&mut sim, "SUBSCRIBE", "201", "lamp", "Event: dialog\r\nExpires: 600\r\n");
    assert_eq!(ok.map(|r| r.status.code()), Some(200));
    let since = sim.trace.len();
    sim.restart(Vec::new());
    sim.run_for(5 * SECOND);
    let notifies = |sim: &Sim, since: usize| {
        let all = requests(sim, since).filter(|(_, r)| r.method == sip::Method::Notify);
        all.map(|(way, r)| (way.connection, r.headers.cseq().map_or(0, |c| c.number))).collect::<Vec<_>>()
    };
    assert!(notifies(&sim, since).is_empty(), "nobody is there");
    line.by(2);
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let told = notifies(&sim, since);
    assert!(matches!(told[..], [(Some(ConnectionId(2)), 1_001..)]), "{told:?}");
}

fn lamps(sim: &Sim, since: usize) -> Vec<(Option<ConnectionId>, bool)> {
    let all = requests(sim, since).filter(|(_, r)| r.method == sip::Method::Notify);
    all.map(|(way, r)| (way.connection, String::from_utf8_lossy(&r.body).contains(">early<"))).collect()
}

/// Its connection is gone, and the binding that stood on it: the lamp waits for the device, which may have another contact then.
#[test]
fn a_lamp_waits_for_its_device_when_a_connection_is_gone() {
    // The NOTIFY may be on its way, and find out.
    for (contact, is_answered) in [(CONTACTS[0], true), (CONTACTS[1], true), (CONTACTS[0], false)] {
        let mut sim = Sim::new(15);
        let (watched, trunk) = (sim.phone("201"), sim.trunk());
        sim.set(watched, OnInvite::Ring);
        let mut line = device(&mut sim);
        line.say(&mut sim, "SUBSCRIBE", "201", "lamp", "Event: dialog\r\nExpires: 600\r\n");
        let (_, notify) = requests(&sim, 0).filter(|(_, r)| r.method == sip::Method::Notify).last().expect("one");
        if is_answered {
            answer(&mut sim, &line, &notify, 200);
        }
        sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        let since = sim.trace.len();
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_for(5 * SECOND);
        assert!(lamps(&sim, since).is_empty(), "nobody is there\n{}", sim.story());
        line.by(2);
        line.contact = contact;
        assert_eq!(line.register(&mut sim).status.code(), 200);
        assert_eq!(lamps(&sim, since), [(on(2), true)], "{contact}: what has happened meanwhile");
        sim.act(trunk, |t, now| t.hang_up(now));
        // And no longer than was granted.
        sim.run_for(700 * SECOND);
    }
}

/// A browser is another device each time that its page is loaded: what it leaves behind keeps it from nothing.
#[test]
fn lamps_of_devices_that_never_come_back_make_room() {
    let mut sim = Sim::new(17);
    sim.phone("201");
    for connection in 1..=300 {
        let contact: &'static str = Box::leak(format!("sip:x{connection}@example.invalid").into_boxed_str());
        let mut line = Line::new("210", contact, connection);
        let call_id = format!("lamp{connection}");
        let ok = line.say(&mut sim, "SUBSCRIBE", "201", &call_id, "Event: dialog\r\nExpires: 600\r\n");
        assert_eq!(ok.map(|r| r.status.code()), Some(200), "{connection}");
        sim.input(Input::ConnectionClosed { connection: ConnectionId(connection) });
    }
    sim.run_for(700 * SECOND);
    sim.assert_clean();
}

/// Two phones of one number behind a proxy that keeps one connection: what one leaves behind is not the other's.
#[test]
fn a_lamp_goes_on_when_another_device_on_the_same_flow_is_gone() {
    let mut sim = Sim::new(16);
    let (watched, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(watched, OnInvite::Ring);
    let mut soft = Line::new("210", CONTACTS[1], 1);
    let ok = soft.say(&mut sim, "REGISTER", "210", "soft", "Expires: 60\r\n");
    assert_eq!(ok.map(|r| r.status.code()), Some(200));
    let mut desk = Line::new("210", CONTACTS[0], 1);
    assert_eq!(desk.register(&mut sim).status.code(), 200);
    desk.say(&mut sim, "SUBSCRIBE", "201", "lamp", "Event: dialog\r\nExpires: 600\r\n");
    let (_, notify) = requests(&sim, 0).filter(|(_, r)| r.method == sip::Method::Notify).last().expect("one");
    answer(&mut sim, &desk, &notify, 200);
    sim.run_until("the other one is gone", |s| s.has("registration.expired"));
    let since = sim.trace.len();
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_for(SECOND / 4);
    assert!(!lamps(&sim, since).is_empty(), "{}", sim.story());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(700 * SECOND);
}

/// A call of a line to 201 that is up: its answer, from which an ACK is made.
fn up(sim: &mut Sim, line: &mut Line, callee: SocketAddr) -> Response {
    sim.set(callee, OnInvite::Answer(Duration::ZERO));
    let since = sim.trace.len();
    line.say(sim, "INVITE", "201", "call", &with(OFFER));
    sim.run_for(SECOND / 4);
    let is_ok = |r: &Response| r.status.code() == 200 && r.headers.cseq().is_ok_and(|c| c.method == sip::Method::Invite);
    let ok = responses(sim, since).map(|(_, r)| r).find(is_ok).expect("an answer");
    acknowledge(sim, line, &ok);
    ok
}

fn acknowledge(sim: &mut Sim, line: &Line, ok: &Response) {
    let text = |name: HeaderName| String::from_utf8_lossy(ok.headers.get(&name).expect("a header")).into_owned();
    let (from, to, cseq) = (text(HeaderName::From), text(HeaderName::To), ok.headers.cseq().expect("CSeq").number);
    let at = line.flow.remote;
    let ack = format!(
        "ACK sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {at};branch=z9hG4bKack{cseq}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: call\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n"
    );
    sim.input(Input::Sip { flow: line.flow, message: sip::intake(ack.into()).expect("valid") });
}

/// The requests of this method since then: by which connection, to which URI.
fn told(sim: &Sim, since: usize, method: sip::Method) -> Vec<(Option<ConnectionId>, String)> {
    let its = requests(sim, since).filter(|(way, r)| r.method == method && way.connection.is_some());
    its.map(|(way, r)| (way.connection, r.uri.to_string())).collect()
}

fn on(connection: u64) -> Option<ConnectionId> {
    Some(ConnectionId(connection))
}

/// RFC 5626 §5.3: a flow's calls are its own while it is there, and the device's other flow has them when it is gone.
#[test]
fn a_call_stays_on_its_flow_when_the_device_refreshes_another_one_and_goes_there_when_it_closes() {
    let contact = "sip:210@10.1.9.9;transport=tcp;ob";
    let second = ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";reg-id=2";
    // The other flow is added, refreshed as it was, and refreshed by another connection; then the call's own is gone.
    for closes in [false, true] {
        let mut sim = Sim::new(6);
        let callee = sim.phone("201");
        let (mut line, mut other) = (Line::new("210", contact, 1), Line::new("210", contact, 2));
        (line.device, line.more) = (DEVICE, OUTBOUND);
        (other.device, other.more) = (second, OUTBOUND);
        assert_eq!(line.register(&mut sim).status.code(), 200);
        line.more = "";
        up(&mut sim, &mut line, callee);
        let ok = line.say(&mut sim, "SUBSCRIBE", "201", "lamp", "Event: dialog\r\nExpires: 600\r\n");
        assert_eq!(ok.map(|r| r.status.code()), Some(200));
        for connection in [2, 2, 3] {
            other.by(connection);
            assert_eq!(other.register(&mut sim).status.code(), 200);
        }
        if closes {
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        // The lamp too: what nobody has answered is told again.
        let notified: Vec<_> = told(&sim, 0, sip::Method::Notify).into_iter().map(|(way, _)| way).collect();
        assert_eq!(notified, if closes { vec![on(1), on(3)] } else { vec![on(1)] });
        let since = sim.trace.len();
        sim.act(callee, |c, now| c.hang_up(now));
        sim.run_for(SECOND / 4);
        assert_eq!(told(&sim, since, sip::Method::Bye), [(on(if closes { 3 } else { 1 }), contact.to_owned())]);
        sim.run_for(600 * SECOND);
        sim.assert_clean();
    }
}

const CONTACTS: [&str; 4] = [
    "sip:210@10.1.9.9:40001;transport=tcp",
    "sip:210@10.1.9.9:40002;transport=tcp",
    "sip:210@10.1.9.9:40003;transport=tcp",
    "sip:210@10.1.9.9:40004;transport=tcp",
];

/// A device that says which it is, at the first of them.
fn device(sim: &mut Sim) -> Line {
    let mut line = Line::new("210", CONTACTS[0], 1);
    line.device = ";+sip.instance=\"<urn:uuid:0001>\"";
    assert_eq!(line.register(sim).status.code(), 200);
    line
}

/// It goes on to each of the others, by a connection of its own; the one before closes first, or behind it.
fn moves_on(sim: &mut Sim, line: &mut Line, closed_first: bool) {
    for (connection, contact) in (1..).zip(&CONTACTS[1..]) {
        let before = Input::ConnectionClosed { connection: ConnectionId(connection) };
        if closed_first {
            sim.input(before.clone());
        }
        line.by(connection + 1);
        line.contact = contact;
        assert_eq!(line.register(sim).status.code(), 200);
        if !closed_first {
            sim.input(before);
        }
    }
}

/// A phone that changes its network again and again, each time noticed before the old connection is gone, or after.
#[test]
fn a_call_and_a_lamp_follow_their_phone_through_any_number_of_contacts() {
    for closed_first in [false, true] {
        let mut sim = Sim::new(7);
        let callee = sim.phone("201");
        let mut line = device(&mut sim);
        up(&mut sim, &mut line, callee);
        if !closed_first {
            // Nobody keeps a lamp for a phone that is not there.
            let ok = line.say(&mut sim, "SUBSCRIBE", "201", "lamp", "Event: dialog\r\nExpires: 600\r\n");
            assert_eq!(ok.map(|r| r.status.code()), Some(200));
        }
        moves_on(&mut sim, &mut line, closed_first);
        // A NOTIFY that nobody has answered goes with the phone, as the request that it was.
        let ways: Vec<_> = (1..=4).map(|connection| (on(connection), CONTACTS[0].to_owned())).collect();
        assert_eq!(told(&sim, 0, sip::Method::Notify), if closed_first { Vec::new() } else { ways });
        if let Some((_, notify)) = requests(&sim, 0).filter(|(_, r)| r.method == sip::Method::Notify).last() {
            answer(&mut sim, &line, &notify, 202);
        }
        let since = sim.trace.len();
        sim.act(callee, |c, now| c.hang_up(now));
        sim.run_for(SECOND / 4);
        let there = (on(4), CONTACTS[3].to_owned());
        assert_eq!(told(&sim, since, sip::Method::Bye), std::slice::from_ref(&there), "closed first: {closed_first}");
        assert_eq!(told(&sim, since, sip::Method::Notify), if closed_first { Vec::new() } else { vec![there] });
        sim.run_for(700 * SECOND);
    }
}

/// The same of calls that are not answered yet: what its INVITE says of it, and where it is rung.
#[test]
fn a_call_that_rings_follows_its_phone_through_any_number_of_contacts() {
    let (mut sim, mut line, callee) = calling(8);
    moves_on(&mut sim, &mut line, false);
    let since = sim.trace.len();
    sim.act(callee, |c, now| c.answer(now));
    sim.run_for(SECOND / 4);
    let is_ok = |r: &Response| r.status.code() == 200 && r.headers.cseq().is_ok_and(|c| c.method == sip::Method::Invite);
    let (way, ok) = responses(&sim, since).find(|(_, r)| is_ok(r)).expect("an answer");
    assert_eq!(way.connection, on(4));
    acknowledge(&mut sim, &line, &ok);
    sim.act(callee, |c, now| c.hang_up(now));
    sim.run_for(SECOND / 4);
    assert_eq!(told(&sim, since, sip::Method::Bye), [(on(4), CONTACTS[3].to_owned())]);
    sim.assert_clean();

    let mut sim = Sim::new(9);
    let caller = sim.phone("201");
    let mut line = device(&mut sim);
    let since = sim.trace.len();
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
    let invite = invites(&sim, since).remove(0).1;
    answer(&mut sim, &line, &invite, 180);
    moves_on(&mut sim, &mut line, false);
    let since = sim.trace.len();
    sim.act(caller, |c, now| c.hang_up(now));
    sim.run_for(SECOND / 4);
    // A CANCEL has the Request-URI of its INVITE (RFC 3261 §9.1).
    assert_eq!(told(&sim, since, sip::Method::Cancel), [(on(4), CONTACTS[0].to_owned())]);
    sim.assert_clean();
}

/// RFC 3261 §13.3.1.4: the answer is repeated until it is acknowledged, and by the connection that the phone has then.
#[test]
fn an_answer_that_is_not_acknowledged_yet_is_repeated_by_the_new_connection() {
    for closed_first in [false, true] {
        let (mut sim, mut line, callee) = calling(10);
        sim.act(callee, |c, now| c.answer(now));
        sim.run_for(SECOND / 4);
        if closed_first {
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        line.by(2);
        assert_eq!(line.register(&mut sim).status.code(), 200);
        if !closed_first {
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        let since = sim.trace.len();
        sim.run_for(5 * SECOND);
        let is_ok = |r: &Response| r.status.code() == 200 && r.headers.cseq().is_ok_and(|c| c.method == sip::Method::Invite);
        let (way, ok) = responses(&sim, since).find(|(_, r)| is_ok(r)).expect("once more");
        assert_eq!(way.connection, on(2), "closed first: {closed_first}");
        acknowledge(&mut sim, &line, &ok);
        sim.run_for(60 * SECOND / 4);
        sim.act(callee, |c, now| c.hang_up(now));
        sim.assert_clean();
    }
}

/// Some phones have another contact in their calls than they register: what is on the flow that a device has left goes with it.
#[test]
fn a_call_with_a_contact_of_its_own_follows_its_phone_by_the_flow() {
    for closed_first in [false, true] {
        let mut sim = Sim::new(11);
        let callee = sim.phone("201");
        let mut line = device(&mut sim);
        line.contact = "sip:call-1@10.1.9.9;transport=tcp";
        up(&mut sim, &mut line, callee);
        moves_on(&mut sim, &mut line, closed_first);
        let since = sim.trace.len();
        sim.act(callee, |c, now| c.hang_up(now));
        sim.run_for(SECOND / 4);
        let there = (on(4), "sip:call-1@10.1.9.9;transport=tcp".to_owned());
        assert_eq!(told(&sim, since, sip::Method::Bye), [there], "closed first: {closed_first}");
        sim.assert_clean();
    }
}

/// RFC 3581, RFC 3261 §9.1: a NAT that forgets a phone while it rings there, or somewhere for it.
#[test]
fn what_is_said_to_a_call_that_rings_goes_to_the_port_that_the_phones_nat_has_then() {
    for calls in [true, false] {
        let mut sim = Sim::new(12);
        let (phone, other) = (SocketAddr::from(([10, 1, 0, 210], 5_060)), sim.phone("201"));
        let seen = |port: u16| SocketAddr::from(([198, 51, 100, 7], port));
        sim.behind.insert(phone, seen(6_000));
        assert_eq!(sim.phone("210"), phone);
        let (caller, callee) = if calls { (phone, other) } else { (other, phone) };
        sim.set(callee, OnInvite::Ring);
        sim.act(caller, |p, now| {
            p.call(if calls { "201" } else { "210" }, now);
        });
        sim.run_until("it rings", |s| s.ua(callee).is_ringing());
        sim.run_for(SECOND);
        sim.behind.insert(phone, seen(7_000));
        sim.act(phone, |p, now| p.register(now));
        sim.run_for(SECOND);
        match calls {
            true => {
                sim.act(callee, |c, now| c.answer(now));
                sim.run_for(SECOND);
                assert!(sim.ua(phone).is_up(), "{}", sim.story());
                sim.act(phone, |p, now| p.hang_up(now));
            }
            false => {
                sim.act(caller, |c, now| c.hang_up(now));
                sim.run_for(SECOND);
                assert!(sim.ua(phone).is_idle(), "{}", sim.story());
            }
        }
        sim.assert_clean();
    }
}

/// RFC 5626 §5.3: a phone that changes its network has another connection before anybody knows that the old one is dead; what was sent there
/// meanwhile is sent to where it is.
#[test]
fn what_was_sent_by_a_flow_that_its_phone_has_left_is_sent_again_by_the_new_one() {
    let mut sim = Sim::new(13);
    let other = sim.phone("201");
    let mut line = device(&mut sim);
    up(&mut sim, &mut line, other);
    let branches = |sim: &Sim, since: usize, method: sip::Method| {
        let its = requests(sim, since).filter(|(way, r)| r.method == method && way.connection.is_some());
        let branch = |r: &Request| r.headers.via().ok().and_then(|via| via.branch().map(<[u8]>::to_vec));
        its.map(|(way, r)| (way.connection, branch(&r))).collect::<Vec<_>>()
    };
    let again = |sim: &Sim, since: usize, method: sip::Method, by: [u64; 2]| {
        let sent = branches(sim, since, method);
        assert_eq!(sent.iter().map(|(way, _)| *way).collect::<Vec<_>>(), by.map(on));
        assert_eq!(sent[0].1, sent[1].1, "the same transaction");
    };
    // A BYE, without which it would believe that it talks.
    let since = sim.trace.len();
    sim.act(other, |c, now| c.hang_up(now));
    sim.run_for(SECOND);
    line.by(2);
    line.contact = CONTACTS[1];
    assert_eq!(line.register(&mut sim).status.code(), 200);
    again(&sim, since, sip::Method::Bye, [1, 2]);
    let (_, bye) = requests(&sim, since).filter(|(_, r)| r.method == sip::Method::Bye).last().expect("a BYE");
    answer(&mut sim, &line, &bye, 487);
    // A call that it has not heard of; and that of the dead connection is told later.
    let since = sim.trace.len();
    sim.act(other, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND);
    line.by(3);
    line.contact = CONTACTS[2];
    assert_eq!(line.register(&mut sim).status.code(), 200);
    again(&sim, since, sip::Method::Invite, [2, 3]);
    sim.input(Input::ConnectionClosed { connection: ConnectionId(2) });
    let invite = invites(&sim, since).remove(0).1;
    answer(&mut sim, &line, &invite, 180);
    sim.run_for(SECOND);
    assert!(sim.ua(other).last().is_some_and(|call| call.rang()), "{}", sim.story());
    answer(&mut sim, &line, &invite, 486);
    sim.run_for(SECOND);
    assert_eq!(sim.ua(other).final_status(), Some(486));
    sim.assert_clean();
}

/// Behind a proxy that nobody has told us of, or on a phone with two lines, several have one flow: one that leaves takes nothing of another's.
#[test]
fn what_is_on_a_flow_that_others_have_stays_there_when_one_of_them_leaves() {
    let mut sim = Sim::new(14);
    let other = sim.phone("201");
    let mut lines = ["210", "211"].map(|number| Line::new(number, CONTACTS[0], 1));
    lines[1].contact = "sip:211@10.1.9.9;transport=tcp";
    for line in &mut lines {
        assert_eq!(line.register(&mut sim).status.code(), 200);
    }
    sim.act(other, |c, now| {
        c.call("211", now);
    });
    sim.run_for(SECOND);
    let since = sim.trace.len();
    lines[0].by(2);
    assert_eq!(lines[0].register(&mut sim).status.code(), 200);
    assert_eq!(invites(&sim, since).len(), 0, "the other's call");
    // The last one of them takes along what is left.
    lines[1].by(3);
    assert_eq!(lines[1].register(&mut sim).status.code(), 200);
    let rung = invites(&sim, since);
    assert_eq!(rung.iter().map(|(way, _)| *way).collect::<Vec<_>>(), [on(3)]);
    answer(&mut sim, &lines[1], &rung[0].1, 486);
    sim.run_until("refused", |s| s.ua(other).is_idle());
    sim.assert_clean();
}
