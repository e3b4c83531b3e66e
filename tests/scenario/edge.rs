//! Phones behind an edge proxy of our own (`[sip] proxies`): how they are reached, and who is slowed and shut out for whom.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::sip::{ConnectionId, Flow, HeaderName, Method, Transport};
use cordboard::switch::{Answer, Command, Input};

use crate::flows::{Line, OFFER, invites, requests, responses, with};
use crate::sim::{Sim, centre, switch};

const SECOND: Duration = Duration::from_secs(1);
const PROXY: &str = "10.0.5.5:5060";
const PATH: &str = "Supported: path\r\nPath: <sip:10.0.5.5:5060;lr;received=sip:10.7.0.1%3A5060>\r\n";

fn behind_proxies() -> Source {
    let mut source = centre();
    source.main.text = source.main.text.replacen("[sip]\n", "[sip]\nproxies = [\"10.0.5.0/24\"]\n", 1);
    source
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

/// Where the proxy listens for connections.
const PATH_BY_TCP: &str = "Supported: path\r\nPath: <sip:10.0.5.5:5070;transport=tcp;lr>\r\n";

/// A connection of the proxy's.
fn by(connection: u64) -> Flow {
    let remote = at(&format!("10.0.5.5:{}", 40_000 + connection));
    Flow { transport: Transport::Tcp, local: switch(), remote, connection: Some(ConnectionId(connection)) }
}

fn by_udp(from: &str) -> Flow {
    Flow { transport: Transport::Udp, local: switch(), remote: at(from), connection: None }
}

/// A phone at home, which the proxy reports at this address.
fn phone(number: &'static str, reported: &str) -> Line {
    let mut line = Line::new(number, "sip:phone@192.168.1.2:5060", 0);
    (line.flow, line.behind, line.more) = (by_udp(PROXY), Some(at(reported)), PATH);
    line
}

/// RFC 3327 §5.3.
#[test]
fn a_path_is_taken_from_a_proxy_of_ours_alone_and_from_a_reload_on() {
    let mut sim = Sim::new(1);
    let mut line = phone("210", "10.7.0.1:5060");
    assert_eq!(line.register(&mut sim).status.code(), 403);
    assert!(sim.registrations.is_empty());
    sim.reload(behind_proxies());
    let ok = line.register(&mut sim);
    assert_eq!(ok.status.code(), 200);
    assert!(ok.headers.contains(&HeaderName::Path));
    let Answer::Registrations(all) = sim.ask(Command::Registrations) else { panic!("a list") };
    assert_eq!(all[0].source, "10.7.0.1:5060");

    let caller = sim.phone("201");
    let since = sim.trace.len();
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
    let (way, invite) = requests(&sim, since).find(|(_, r)| r.method == Method::Invite).expect("an INVITE");
    assert_eq!(way.remote, at(PROXY));
    assert!(invite.headers.get(&HeaderName::Route).is_some_and(|route| route.starts_with(b"<sip:10.0.5.5:5060;lr")));
    sim.act(caller, |c, now| c.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_guesses_behind_a_proxy_waits_and_his_neighbours_do_not() {
    let mut sim = Sim::with(2, behind_proxies());
    let mut own = phone("201", "10.7.0.1:5060");
    assert_eq!(own.register(&mut sim).status.code(), 200);
    let mut guesser = phone("201", "10.7.0.66:5060");
    guesser.secret = Some("guessed".into());
    let mut statuses: Vec<u16> = (0..12).map(|_| guesser.register(&mut sim).status.code()).collect();
    statuses.dedup();
    assert_eq!(statuses, [401, 503], "ten for one user, and then a minute's wait");
    // Neither the same user elsewhere nor others there.
    own.more = PATH;
    assert_eq!(own.register(&mut sim).status.code(), 200);
    for (number, address) in [("202", "10.7.0.2:5060"), ("203", "10.7.0.66:5070")] {
        assert_eq!(phone(number, address).register(&mut sim).status.code(), 200, "{number}");
    }
    // Whoever guesses for many users is slowed altogether, by his address.
    for _ in 0..21 {
        for number in ["202", "203", "204", "210", "211", "301", "302", "303", "304", "305"] {
            let mut guesser = phone(number, "10.7.0.99:5060");
            guesser.secret = Some("guessed".into());
            let call_id = format!("g{}", sim.inputs);
            guesser.say(&mut sim, "REGISTER", number, &call_id, "Expires: 600\r\n");
        }
        sim.run_for(SECOND * 2);
    }
    let mut right = phone("204", "10.7.0.99:5061");
    assert_eq!(right.register(&mut sim).status.code(), 503);
    assert_eq!(phone("204", "10.7.0.4:5061").register(&mut sim).status.code(), 200);
    let alarms: Vec<String> = sim.events.iter().map(|e| format!("{:?}", e.kind)).filter(|k| k.contains("GuardAlarm")).collect();
    assert!(!alarms.is_empty() && alarms.iter().all(|a| a.contains("10.7.0.") && !a.contains("10.0.5.5")), "{alarms:?}");
}

#[test]
fn a_flood_behind_a_proxy_shuts_out_whom_that_reports_and_nobody_else() {
    let mut sim = Sim::with(3, behind_proxies());
    let mut own = phone("201", "10.7.0.1:5060");
    assert_eq!(own.register(&mut sim).status.code(), 200);
    let mut flood = phone("201", "10.7.0.66:5060");
    for n in 0..600 {
        flood.say_once(&mut sim, "BYE", "201", &format!("flood{n}"));
        sim.run_for(SECOND / 100);
    }
    let Answer::Bans(bans) = sim.ask(Command::Bans) else { panic!("bans") };
    assert_eq!(bans.iter().map(|ban| ban.address.as_str()).collect::<Vec<_>>(), ["10.7.0.66"]);
    assert!(sim.bans.iter().all(|ban| ban.address.to_string() == "10.7.0.66"), "the proxy is heard: {:?}", sim.bans);
    let shut_out = flood.say_once(&mut sim, "OPTIONS", "201", "again").map(|r| r.status.code());
    assert_eq!((shut_out, own.register(&mut sim).status.code()), (Some(403), 200));
    assert_eq!(phone("202", "10.7.0.2:5060").register(&mut sim).status.code(), 200);

    // What the proxy says of itself, or does not say of whom, is nobody's.
    let mut nobodys = phone("201", "10.7.0.67:5060");
    nobodys.behind = None;
    for n in 0..600 {
        nobodys.say_once(&mut sim, "BYE", "201", &format!("nobody{n}"));
        sim.run_for(SECOND / 100);
    }
    sim.input(Input::Malformed { sources: vec![(at(PROXY).ip(), cordboard::registrar::bans::Proof::Datagram, 10_000); 1] });
    sim.run_for(SECOND);
    let Answer::Bans(bans) = sim.ask(Command::Bans) else { panic!("bans") };
    assert_eq!(bans.len(), 1, "{bans:?}");
    // Nor can somebody elsewhere have another shut out by Vias of his own.
    let mut liar = phone("201", "10.7.0.2:5060");
    liar.flow = by_udp("192.0.2.9:5060");
    for n in 0..600 {
        liar.say_once(&mut sim, "BYE", "201", &format!("liar{n}"));
        sim.run_for(SECOND / 100);
    }
    let Answer::Bans(bans) = sim.ask(Command::Bans) else { panic!("bans") };
    assert!(bans.iter().any(|ban| ban.address == "192.0.2.9") && bans.len() == 2, "{bans:?}");
}

/// RFC 3325 §5: an identity is believed of a trunk that is trusted, and a proxy of ours is none.
#[test]
fn what_a_phone_asserts_of_itself_is_not_believed_because_a_proxy_passes_it_on() {
    let mut sim = Sim::with(4, behind_proxies());
    let callee = sim.phone("201");
    let mut line = phone("210", "10.7.0.1:5060");
    assert_eq!(line.register(&mut sim).status.code(), 200);
    line.more = "P-Asserted-Identity: <sip:+4930999999@cordboard.example>\r\n";
    line.say(&mut sim, "INVITE", "201", "call", &with(OFFER));
    sim.run_until("it rings", |s| !s.ua(callee).invites.is_empty());
    assert_eq!(sim.ua(callee).invites[0].number, "210");
    sim.run_for(120 * SECOND);
}

/// The connections of a proxy are not those of its phones: one that ends takes no registration with it.
#[test]
fn a_phone_behind_a_proxy_is_reached_by_the_proxys_next_connection_or_a_new_one() {
    let mut sim = Sim::with(5, behind_proxies());
    let caller = sim.phone("201");
    let mut line = phone("210", "10.7.0.1:5060");
    (line.more, line.flow) = (PATH_BY_TCP, by(1));
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let rings_by = |sim: &mut Sim| {
        let since = sim.trace.len();
        sim.act(caller, |c, now| {
            c.call("210", now);
        });
        sim.run_for(SECOND / 4);
        let rung = invites(sim, since);
        let way = requests(sim, since).find(|(_, r)| r.method == Method::Invite).map(|(way, _)| way.remote.port());
        sim.act(caller, |c, now| c.hang_up(now));
        sim.run_for(60 * SECOND);
        (rung[0].0, way)
    };
    assert_eq!(rings_by(&mut sim), (Some(ConnectionId(1)), Some(40_001)));
    sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
    assert!(!sim.has("registration.removed"));
    assert_eq!(rings_by(&mut sim), (None, Some(5_070)), "where its Path says that it listens");
    // Somebody else's request has come by another one.
    let mut other = phone("202", "10.7.0.2:5060");
    other.flow = by(2);
    assert_eq!(other.register(&mut sim).status.code(), 200);
    assert_eq!(rings_by(&mut sim), (Some(ConnectionId(2)), Some(40_002)));
    // And after a restart nothing is left of either.
    sim.restart(Vec::new());
}

/// Everybody behind the proxy has its address: tags that somebody has overheard there are no proof.
#[test]
fn a_neighbour_behind_the_proxy_ends_nobodys_call() {
    let mut sim = Sim::with(6, behind_proxies());
    let callee = sim.phone("201");
    let mut line = phone("210", "10.7.0.1:5060");
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let since = sim.trace.len();
    line.say(&mut sim, "INVITE", "201", "call", &with(OFFER));
    sim.run_until("answered", |s| s.ua(callee).open_calls() == 1);
    sim.run_for(3 * SECOND);
    let ok = responses(&sim, since).map(|(_, r)| r).find(|r| r.status.code() == 200).expect("an answer");
    let to = String::from_utf8_lossy(ok.headers.get(&HeaderName::To).expect("To")).into_owned();
    let bye = |sim: &mut Sim, reported: &str, cseq: u32| {
        let text = format!(
            "BYE sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PROXY};branch=z9hG4bKq{cseq}\r\n\
             Via: SIP/2.0/UDP 192.168.1.2;received={reported};rport=5060;branch=z9hG4bKr{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:210@10.0.0.1>;tag=fcall\r\nTo: {to}\r\nCall-ID: call\r\nCSeq: {cseq} BYE\r\nContent-Length: 0\r\n\r\n"
        );
        let message = cordboard::sip::intake(text.into()).expect("valid");
        let before = sim.trace.len();
        sim.input(Input::Sip { flow: by_udp(PROXY), message });
        let its = |r: &cordboard::sip::Response| r.headers.cseq().is_ok_and(|c| c.method == Method::Bye);
        responses(sim, before).map(|(_, r)| r).find(its).map(|r| r.status.code())
    };
    assert_eq!(bye(&mut sim, "10.7.0.66", 900), Some(401));
    assert!(sim.ended().is_empty());
    assert_eq!(bye(&mut sim, "10.7.0.1", 901), Some(200));
    sim.run_until("over", |s| s.ua(callee).is_idle());
    sim.assert_clean();
}

fn closes(sim: &mut Sim, connection: u64) {
    sim.input(Input::ConnectionClosed { connection: ConnectionId(connection) });
}

/// Requests of this method since then: by which connection, or to which port.
fn sent(sim: &Sim, since: usize, method: Method) -> Vec<(Option<u64>, u16)> {
    let its = requests(sim, since).filter(|(way, r)| r.method == method && way.remote.ip() == at(PROXY).ip());
    its.map(|(way, _)| (way.connection.map(|c| c.0), way.remote.port())).collect()
}

/// 210 is registered by the proxy's first connection; others have been heard by its further ones, the last one last.
fn behind_connections(seed: u8, connections: u64) -> (Sim, Line, SocketAddr) {
    let mut sim = Sim::with(seed, behind_proxies());
    let colleague = sim.phone("201");
    let mut line = phone("210", "10.7.0.1:5060");
    (line.more, line.flow) = (PATH_BY_TCP, by(1));
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let mut other = phone("202", "10.7.0.2:5060");
    for connection in 2..=connections {
        other.flow = by(connection);
        assert_eq!(other.register(&mut sim).status.code(), 200);
    }
    line.more = "";
    (sim, line, colleague)
}

/// 201 calls it: its INVITE.
fn rung(sim: &mut Sim, caller: SocketAddr) -> cordboard::sip::Request {
    let since = sim.trace.len();
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
    let (way, invite) = requests(sim, since).filter(|(_, r)| r.method == Method::Invite).last().expect("an INVITE");
    assert_eq!(way.connection, Some(ConnectionId(1)), "by its own");
    invite
}

fn says(sim: &mut Sim, connection: u64, response: cordboard::sip::Response) {
    let message = cordboard::sip::intake(response.to_bytes()).expect("valid");
    sim.input(Input::Sip { flow: by(connection), message });
    sim.run_for(SECOND / 10);
}

/// What is sent for a call that rings when the connection that it rings by is gone, and all that is left is this.
#[test]
fn a_cancel_goes_by_a_connection_that_the_proxy_has_left_or_where_it_listens() {
    for (connections, way) in [(3, (Some(3), 40_003)), (1, (None, 5_070))] {
        let (mut sim, _, caller) = behind_connections(7, connections);
        let invite = rung(&mut sim, caller);
        says(&mut sim, 1, invite.response_with_tag(cordboard::sip::Status::RINGING, "t"));
        closes(&mut sim, 1);
        let since = sim.trace.len();
        sim.act(caller, |c, now| c.hang_up(now));
        sim.run_for(SECOND / 4);
        assert_eq!(sent(&sim, since, Method::Cancel), [way]);
        // That one ends too, before anybody has said anything to it.
        if connections == 3 {
            closes(&mut sim, 3);
            assert_eq!(sent(&sim, since, Method::Cancel)[1..], [(Some(2), 40_002)], "the newest that is left");
        }
        let terminated = invite.response_with_tag(cordboard::sip::Status::REQUEST_TERMINATED, "t");
        says(&mut sim, 2, terminated);
        assert_eq!(sent(&sim, since, Method::Ack).len(), 1);
        assert!(sim.ua(caller).is_idle());
        sim.assert_clean();
    }
}

/// One that may never have arrived is repeated, and is the same request to who has it already.
#[test]
fn a_request_that_nobody_has_answered_is_repeated_by_the_proxys_next_connection() {
    // The driver notices that it can't write, or that the connection is closed.
    for unwritten in [false, true] {
        let (mut sim, _, caller) = behind_connections(8, 2);
        if unwritten {
            sim.unreachable.insert(by(1).remote);
        }
        let since = sim.trace.len();
        rung_or_not(&mut sim, caller);
        if !unwritten {
            closes(&mut sim, 1);
        }
        assert_eq!(sent(&sim, since, Method::Invite), [(Some(1), 40_001), (Some(2), 40_002)], "unwritten: {unwritten}");
        let both: Vec<_> = requests(&sim, since).filter(|(_, r)| r.method == Method::Invite).map(|(_, r)| r).collect();
        let own = |r: &cordboard::sip::Request| r.headers.via().ok().and_then(|via| via.branch().map(<[u8]>::to_vec));
        let (first, again) = (&both[both.len() - 2], &both[both.len() - 1]);
        assert_eq!((own(first), first.headers.cseq()), (own(again), again.headers.cseq()));
        closes(&mut sim, 1);
        says(&mut sim, 2, again.response_with_tag(cordboard::sip::Status::BUSY_HERE, "t"));
        assert_eq!(sim.ua(caller).final_status(), Some(486));
        // And without any there is an end to it.
        closes(&mut sim, 2);
        sim.unreachable.extend([by(1).remote, at("10.0.5.5:5070")]);
        rung_or_not(&mut sim, caller);
        sim.run_until("given up", |s| s.ua(caller).is_idle());
        assert_eq!(sim.ua(caller).final_status(), Some(503));
        sim.assert_clean();
    }
}

fn rung_or_not(sim: &mut Sim, caller: SocketAddr) {
    sim.act(caller, |c, now| {
        c.call("210", now);
    });
    sim.run_for(SECOND / 4);
}

/// RFC 3261 §18.2.2: what is said to an INVITE of a phone behind the proxy.
#[test]
fn the_answer_to_a_call_from_behind_a_proxy_goes_by_a_connection_that_is_left() {
    // Its other connection, or a new one to the port that its Via names; then another one of its own.
    for (connections, way) in [(2, (Some(ConnectionId(2)), 40_002)), (1, (None, 40_001))] {
        let (mut sim, mut line, callee) = behind_connections(9, connections);
        sim.set(callee, crate::sim::ua::OnInvite::Ring);
        line.say(&mut sim, "INVITE", "201", "call", &with(OFFER));
        sim.run_for(SECOND / 4);
        let since = sim.trace.len();
        closes(&mut sim, 1);
        let of_invite = |sim: &Sim| {
            let its = |r: &cordboard::sip::Response| r.headers.cseq().is_ok_and(|c| c.method == Method::Invite);
            let all = responses(sim, since).filter(|(way, r)| its(r) && way.remote.ip() == at(PROXY).ip());
            all.map(|(way, r)| ((way.connection, way.remote.port()), r.status.code())).collect::<Vec<_>>()
        };
        assert_eq!(of_invite(&sim), [(way, 180)], "what may have been lost is said again");
        sim.act(callee, |c, now| c.answer(now));
        sim.run_for(SECOND / 4);
        assert_eq!(of_invite(&sim).last(), Some(&(way, 200)));
        sim.assert_clean();
    }
}

/// The ACK to a 2xx is repeated with it, by the connection that there is then.
#[test]
fn an_ack_is_repeated_by_the_proxys_next_connection() {
    let (mut sim, _, caller) = behind_connections(10, 2);
    let invite = rung(&mut sim, caller);
    let mut ok = invite.response_with_tag(cordboard::sip::Status::OK, "t");
    ok.headers.push(HeaderName::Contact, "<sip:phone@192.168.1.2:5060>");
    ok.headers.push(HeaderName::RecordRoute, "<sip:10.0.5.5:5070;transport=tcp;lr>");
    ok.headers.push(HeaderName::ContentType, "application/sdp");
    ok.body = OFFER.into();
    let since = sim.trace.len();
    says(&mut sim, 1, ok.clone());
    closes(&mut sim, 1);
    says(&mut sim, 2, ok.clone());
    closes(&mut sim, 2);
    says(&mut sim, 3, ok);
    let acks = sent(&sim, since, Method::Ack);
    // In between it had no connection at all.
    assert_eq!(acks, [(Some(1), 40_001), (Some(2), 40_002), (Some(3), 40_003)]);
    sim.act(caller, |c, now| c.hang_up(now));
    sim.run_for(SECOND / 4);
    assert_eq!(sent(&sim, since, Method::Bye), [(Some(3), 40_003)]);
    sim.assert_clean();
}
