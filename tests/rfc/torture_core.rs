//! The torture messages through parser and core: raw bytes in, and what goes out is what the table says; nothing that goes on to another
//! leg is malformed or has a header twice.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::clock::{Mono, Now, Wall};
use cordboard::config::{Config, Source};
use cordboard::media::Lease;
use cordboard::registrar::Binding;
use cordboard::sip::{Flow, HeaderName, Message, Transport, parse_datagram};
use cordboard::switch::input::Recovered;
use cordboard::switch::output::{Resolved, Server};
use cordboard::switch::{Input, Output, Switch};

use super::torture::{Row, Verdict, rows};

const CENTRE: &str = r#"
[site]
name = "Torture"
domain = "example.com"
time_zone = "Europe/Berlin"
country = "DE"

[sip]
udp = ["192.0.2.1:5060"]

[[phone]]
number = "201"
secret = "a long secret"

[[trunk]]
name = "carrier"
peer = "192.0.2.9"
probe = "off"

[[inbound]]
trunk = "carrier"
number = "*"
to = "phone:201"
"#;

const US: &str = "192.0.2.1:5060";
const PHONE: &str = "192.0.2.20:5060";

fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn flow(remote: &str) -> Flow {
    Flow { transport: Transport::Udp, local: at(US), remote: at(remote), connection: None }
}

/// A switch with a registered phone, a trunk whose every call goes to it, and ports.
fn switch(now: Now) -> Switch {
    let config = Config::resolve(&Source::of(CENTRE)).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut switch = Switch::new([3; 32], config);
    let binding = Binding {
        contact: Bytes::from_static(b"sip:201@192.0.2.20:5060"),
        flow: flow(PHONE),
        user_agent: None,
        call_id: Bytes::from_static(b"r"),
        cseq: 1,
        expires_at: now.wall + std::time::Duration::from_secs(3_600),
        q: 1_000,
        path: Vec::new(),
        device: None,
        reported: None,
    };
    let recovered = Recovered { registrations: vec![("201".into(), binding)], ..Recovered::default() };
    let mut out = Vec::new();
    switch.handle(Input::Started(Box::new(recovered)), now, &mut out);
    let ports = (0..16).map(|n| Lease { worker: 0, port: 20_000 + 2 * n }).collect();
    switch.handle(Input::Ports(ports), now, &mut out);
    let asked: Vec<_> = out
        .iter()
        .filter_map(|o| match o {
            Output::Resolve { query, wanted } => Some((*query, wanted.host.clone(), wanted.port.unwrap_or(5060))),
            _ => None,
        })
        .collect();
    for (query, host, port) in asked {
        let addresses = vec![Resolved { remote: at(&format!("{host}:{port}")), local: at(US).ip(), connection: None }];
        let servers = vec![Server { transport: Transport::Udp, priority: 0, weight: 0, addresses }];
        switch.handle(Input::Resolved { query, servers, whole: true, ttl: Duration::from_secs(3_600) }, now, &mut out);
    }
    switch
}

/// What the switch sends within the time of all its timers, each read back.
fn sent(row: &Row, from: &str) -> Vec<(SocketAddr, Message)> {
    let mut now = Now { mono: Mono::from_millis(1_000), wall: Wall::from_micros(1_795_338_000_000_000) };
    let mut switch = switch(now);
    let mut out = Vec::new();
    match parse_datagram(&row.bytes) {
        Ok(message) => switch.handle(Input::Sip { flow: flow(from), message }, now, &mut out),
        Err(malformed) => {
            if let Some(reply) = malformed.reply {
                return vec![(at(from), Message::from(*reply))];
            }
        }
    }
    let limit = now.mono + std::time::Duration::from_secs(120);
    while let Some(next) = switch.deadline().filter(|next| *next < limit) {
        let ahead = next.since(now.mono);
        now = now + ahead;
        switch.handle(Input::Tick, now, &mut out);
    }
    out.into_iter()
        .filter_map(|output| match output {
            Output::Sip { to, bytes, .. } => Some((to.remote, bytes)),
            _ => None,
        })
        .map(|(to, bytes)| match parse_datagram(&bytes) {
            Ok(message) => (to, message),
            Err(why) => panic!("{}: what the switch sent is malformed: {why}\n{}", row.file, bytes.escape_ascii()),
        })
        .collect()
}

/// Final statuses of the responses to the message, the first first.
fn finals(sent: &[(SocketAddr, Message)]) -> Vec<u16> {
    let status = |m: &Message| match m {
        Message::Response(response) if response.status.is_final() => Some(response.status.code()),
        Message::Response(_) | Message::Request(_) => None,
    };
    sent.iter().filter_map(|(_, m)| status(m)).collect()
}

fn nothing_doubled(row: &Row, sent: &[(SocketAddr, Message)]) {
    for (_, message) in sent {
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq, HeaderName::MaxForwards] {
            assert!(message.headers().count(&name) <= 1, "{}: {name:?} twice in\n{message}", row.file);
        }
    }
}

#[test]
fn every_message_from_a_trunk_gets_the_verdict_of_the_table() {
    for row in rows() {
        let sent = sent(&row, "192.0.2.9:5060");
        nothing_doubled(&row, &sent);
        let first = finals(&sent).first().copied();
        match row.udp {
            Verdict::Accept => {
                assert!(!matches!(first, Some(400 | 416 | 500 | 505)), "{}: {first:?}, but: {}", row.file, row.expect)
            }
            Verdict::Reject => {
                assert!(
                    first.is_some_and(|s| (400..700).contains(&s) && s != 500),
                    "{}: {first:?}, but: {}",
                    row.file,
                    row.expect
                );
                let to_phone = sent.iter().any(|(to, _)| *to == at(PHONE));
                assert!(!to_phone, "{}: went on to the phone", row.file);
            }
            Verdict::Discard => assert!(sent.is_empty(), "{}: {sent:?}", row.file),
            Verdict::Wait | Verdict::Either | Verdict::Unused => {}
        }
    }
}

#[test]
fn no_message_of_a_stranger_reaches_a_phone() {
    for row in rows() {
        let sent = sent(&row, "203.0.113.5:5060");
        nothing_doubled(&row, &sent);
        assert!(sent.iter().all(|(to, _)| *to != at(PHONE)), "{}: a stranger's message went on", row.file);
        if row.udp == Verdict::Discard {
            assert!(sent.is_empty(), "{}: {sent:?}", row.file);
        }
    }
}

#[test]
fn an_invite_that_is_accepted_goes_on_to_the_phone_without_the_callers_oddities() {
    let mut went_on = 0;
    for row in rows().iter().filter(|r| r.udp == Verdict::Accept) {
        for (to, message) in sent(row, "192.0.2.9:5060") {
            if let Message::Request(request) = message
                && to == at(PHONE)
            {
                went_on += 1;
                for name in [HeaderName::Route, HeaderName::RecordRoute, HeaderName::Subject] {
                    assert!(!request.headers.contains(&name), "{}: {name:?} was copied", row.file);
                }
                assert_eq!(request.uri.to_string(), "sip:201@192.0.2.20:5060", "{}", row.file);
            }
        }
    }
    assert!(went_on > 3, "only {went_on} requests reached the phone: the test saw nothing");
}
