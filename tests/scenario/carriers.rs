//! Carriers that are more than one address and port: gateways beside the proxy, several accounts, connections that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::config::Source;
use cordboard::event::{CallStarted, Kind};
use cordboard::sip::{self, ConnectionId, Flow, HeaderName, Message, Method, Request, Response, Status, Transport};
use cordboard::switch::output::{Resolved, Server};
use cordboard::switch::{Answer, Command, Input};

use crate::flows::{OFFER, requests, responses, with};
use crate::sim::ua::{Hold, OnInvite, Ua};
use crate::sim::{Sim, centre, server, switch};

const SECOND: Duration = Duration::from_secs(1);

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn centre_with(old: &str, new: &str) -> Source {
    let mut source = centre();
    assert!(source.main.text.contains(old), "{old}");
    source.main.text = source.main.text.replace(old, new);
    source
}

fn strikes(sim: &mut Sim) -> u64 {
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("no status") };
    status.counters.iter().filter(|(name, _)| name.starts_with("guard_strikes_total")).map(|(_, count)| count).sum()
}

/// RFC 3261 §12.2: a proxy that sets calls up need not stay in them. Its gateway's requests come from where the Contact says.
#[test]
fn a_carriers_gateway_speaks_for_the_call_that_its_proxy_has_set_up() {
    for inbound in [true, false] {
        let mut sim = Sim::new(140);
        let (trunk, phone) = (sim.trunk(), sim.phone("201"));
        let gateway = at("10.2.0.77:5060");
        sim.act(trunk, |ua, _| ua.names = Some(gateway));
        match inbound {
            true => sim.act(trunk, |ua, now| {
                ua.call("+4930555201", now);
            }),
            false => sim.act(phone, |ua, now| {
                ua.call("04940123", now);
            }),
        }
        sim.run_until("it is answered", |sim| sim.ua(phone).is_up());
        // From here on it is there, and what is sent to its Contact arrives.
        sim.behind.insert(trunk, gateway);
        sim.run_until("they talk", |sim| sim.ua(phone).is_up() && sim.ua(trunk).is_up());
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.hold(Hold::SendOnly, now));
        sim.run_until("held", |sim| sim.ua(trunk).last_status("INVITE") == Some(200) && sim.has("call.held"));
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.resume(now));
        sim.run_until("resumed", |sim| sim.has("call.resumed"));
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.update(None, now));
        sim.run_until("200 to UPDATE", |sim| sim.ua(trunk).last_status("UPDATE") == Some(200));
        sim.act(trunk, |ua, now| ua.digit_by_info('5', now));
        sim.run_until("200 to INFO", |sim| sim.ua(trunk).last_status("INFO") == Some(200));
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("200 to BYE", |sim| sim.ua(trunk).last_status("BYE") == Some(200));
        sim.run_until("the phone is let go", |sim| sim.ua(phone).is_idle());
        assert_eq!(strikes(&mut sim), 0, "inbound: {inbound}");
        sim.assert_clean();
    }
}

/// The same where the Contact says no address: RFC 3263 says what its name stands for.
#[test]
fn a_gateway_that_is_known_by_name_speaks_for_its_call() {
    for inbound in [true, false] {
        let (mut sim, trunk, phone) = talks_to_a_gateway(148, inbound, "10.2.0.77:5060");
        let asked = sim.asked.len();
        sim.act(trunk, |ua, now| ua.hold(Hold::SendOnly, now));
        sim.run_until("held", |sim| sim.ua(trunk).last_status("INVITE") == Some(200) && sim.has("call.held"));
        let wanted: Vec<&str> = sim.asked[asked..].iter().map(|wanted| &*wanted.host).collect();
        assert_eq!(wanted, [GATEWAY], "asked for when it has something to say, and once");
        sim.run_for(SECOND);
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("200 to BYE", |sim| sim.ua(trunk).last_status("BYE") == Some(200));
        sim.run_until("the phone is let go", |sim| sim.ua(phone).is_idle());
        assert_eq!(strikes(&mut sim), 0, "inbound: {inbound}");
        sim.assert_clean();
    }
}

/// Who is not where the name is has no say, whether the name stands for somebody else, for nobody, or nobody says.
#[test]
fn who_is_not_where_the_gateways_name_is_is_refused() {
    for (what, silent) in [("10.2.0.78:5060", false), ("", false), ("", true)] {
        let (mut sim, trunk, phone) = talks_to_a_gateway(149, true, what);
        sim.dns_hangs = silent;
        sim.act(trunk, |ua, now| ua.hang_up(now));
        sim.run_until("403 to BYE", |sim| sim.ua(trunk).last_status("BYE") == Some(403));
        sim.run_for(SECOND);
        assert!(sim.ua(phone).is_up(), "{what}: the call goes on");
        assert_eq!(strikes(&mut sim), 1, "{what}");
        sim.act(phone, |ua, now| ua.hang_up(now));
        sim.run_for(60 * SECOND);
        assert_eq!(sim.switch.residue(), 0, "{what}");
    }
}

/// A request in a dialog whose peer has gone while it waited.
#[test]
fn what_waits_for_a_name_when_its_call_ends_is_told_that_it_is_over() {
    let (mut sim, trunk, phone) = talks_to_a_gateway(150, true, "10.2.0.77:5060");
    sim.dns_hangs = true;
    sim.act(trunk, |ua, now| ua.update(None, now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).last_status("UPDATE"), None, "it waits");
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.run_until("481 to UPDATE", |sim| sim.ua(trunk).last_status("UPDATE") == Some(481));
    sim.run_for(60 * SECOND);
    assert_eq!(sim.switch.residue(), 0);
}

const GATEWAY: &str = "gw3.carrier.example";

/// A call of 201 with the carrier, whose Contact is a name for `place`; from then on it speaks from 10.2.0.77.
fn talks_to_a_gateway(seed: u8, inbound: bool, place: &str) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    if !place.is_empty() {
        sim.names.insert(GATEWAY.to_owned(), vec![server(Transport::Udp, 0, 0, at(place))]);
    }
    let (trunk, phone) = (sim.trunk(), sim.phone("201"));
    sim.act(trunk, |ua, _| ua.host_name = Some(GATEWAY));
    match inbound {
        true => sim.act(trunk, |ua, now| {
            ua.call("+4930555201", now);
        }),
        false => sim.act(phone, |ua, now| {
            ua.call("04940123", now);
        }),
    }
    sim.run_until("they talk", |sim| sim.ua(phone).is_up() && sim.ua(trunk).is_up());
    sim.run_for(SECOND);
    sim.behind.insert(trunk, at("10.2.0.77:5060"));
    (sim, trunk, phone)
}

/// Two accounts at one carrier, which has a rule for any number each, and for some one of the two.
fn accounts() -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut source = centre();
    for (name, user) in [("one", "490301"), ("other", "490302")] {
        source.main.text += &format!(
            "\n[[trunk]]\nname = \"{name}\"\npeer = \"10.2.0.9\"\nprobe = \"off\"\nuser = \"{user}\"\nsecret = \"s\"\nregister = true\n"
        );
    }
    for (name, number, to) in [
        ("one", "490301", "201"),
        ("other", "490302", "202"),
        ("one", "+4930777*", "201"),
        ("other", "+4930888*", "202"),
        ("one", "+49305550*", "201"),
        ("other", "+49305550*", "202"),
    ] {
        source.main.text += &format!("\n[[inbound]]\ntrunk = \"{name}\"\nnumber = \"{number}\"\nto = \"phone:{to}\"\n");
    }
    let mut sim = Sim::with(141, source);
    let carrier = sim.add(Ua::trunk([10, 2, 0, 9].into()));
    let (first, second) = (sim.phone("201"), sim.phone("202"));
    (sim, carrier, first, second)
}

/// RFC 3261 §16.5: the Request-URI of a call to an account is the Contact that it has registered.
#[test]
fn each_account_at_a_carrier_has_its_own_calls() {
    let (mut sim, carrier, first, second) = accounts();
    for (called, phone, trunk) in [
        ("490301", first, "one"),
        ("490302", second, "other"),
        ("+4930777123", first, "one"),
        ("+4930888123", second, "other"),
        ("+49305550", first, "one"),
    ] {
        let before = sim.ua(phone).invites.len();
        sim.act(carrier, |ua, now| {
            ua.call(called, now);
        });
        sim.run_until(&format!("{called} rings"), |sim| sim.ua(phone).invites.len() > before);
        let started = sim.events.iter().rev().find_map(|e| if let Kind::CallStarted(s) = &e.kind { Some(s) } else { None });
        let CallStarted { trunk: by, .. } = started.expect("a call");
        assert_eq!(by.as_ref().map(|name| name.as_str()), Some(trunk), "{called}");
        sim.act(carrier, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.act(carrier, |ua, now| {
        ua.call("490303", now);
    });
    sim.run_until("nobody's", |sim| sim.ua(carrier).final_status() == Some(404));
    sim.assert_clean();
}

/// A carrier by TCP or TLS, in single messages.
struct Carrier {
    flow: Flow,
    contact: &'static str,
    /// Record-Route of its INVITE, with its name and line end.
    route: &'static str,
    more: &'static str,
    cseq: u32,
}

impl Carrier {
    fn new(transport: Transport, contact: &'static str) -> Carrier {
        let flow = Flow { transport, local: switch(), remote: at("10.2.0.1:49152"), connection: Some(ConnectionId(1)) };
        Carrier { flow, contact, route: "", more: "", cseq: 0 }
    }

    fn says(&mut self, sim: &mut Sim, method: &str, to_tag: &str, body: &str) -> Option<Response> {
        if method != "ACK" {
            self.cseq += 1;
        }
        let Carrier { flow, contact, route, more, cseq } = self;
        let route = if to_tag.is_empty() { *route } else { "" };
        let text = format!(
            "{method} sip:+4930555201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{} 10.2.0.1;rport;branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+493012345678@10.2.0.1>;tag=c\r\nTo: <sip:+4930555201@10.0.0.1>{to_tag}\r\nCall-ID: carried\r\n\
             CSeq: {cseq} {method}\r\nContact: <{contact}>\r\n{route}{more}{}",
            flow.transport,
            if body.is_empty() { "Content-Length: 0\r\n\r\n".to_owned() } else { with(body) }
        );
        let message = sip::intake(Bytes::from(text)).expect("valid");
        let before = sim.trace.len();
        sim.input(Input::Sip { flow: *flow, message });
        responses(sim, before).map(|(_, response)| response).last()
    }

    /// Calls 201, which answers.
    #[track_caller]
    fn talks(&mut self, sim: &mut Sim, phone: SocketAddr) {
        // Nothing is heard of it, and that is not what this is about.
        sim.deaf = true;
        let before = sim.trace.len();
        self.says(sim, "INVITE", "", OFFER);
        sim.run_until("it is answered", |sim| sim.ua(phone).is_up());
        let ok = responses(sim, before)
            .map(|(_, r)| r)
            .find(|r| r.status.is_success() && r.headers.from_tag().is_ok_and(|tag| tag.as_deref() == Some(b"c")));
        let tag = ok.expect("200").headers.to_tag().expect("To").expect("a tag");
        self.says(sim, "ACK", &format!(";tag={}", String::from_utf8_lossy(&tag)), "");
        sim.run_for(SECOND);
    }
}

/// A request of ours to the carrier since then, and its way.
#[track_caller]
fn sent(sim: &Sim, since: usize, method: Method) -> (Flow, Request) {
    let all: Vec<_> =
        requests(sim, since).filter(|(_, r)| r.method == method && r.headers.call_id().is_ok_and(|id| id == "carried")).collect();
    all.last().cloned().unwrap_or_else(|| panic!("no {method}\n{}", sim.story()))
}

fn way(flow: &Flow) -> (Transport, String, Option<u64>) {
    (flow.transport, flow.remote.to_string(), flow.connection.map(|ConnectionId(id)| id))
}

/// That carrier, at a name by TLS or where else, with what DNS says of it.
fn by_name(seed: u8, transport: &str, servers: &[(Transport, &str, Option<u64>)]) -> Sim {
    let name = format!("peer = \"sip.carrier.example\"\ntransport = \"{transport}\"\n");
    let mut source = centre_with("peer = \"10.2.0.1\"\n", &name);
    source.main.text =
        source.main.text.replace("tcp = [\"10.0.0.1:5060\"]", "tcp = [\"10.0.0.1:5060\"]\ntls = [\"10.0.0.1:5061\"]");
    source.main.text += "\n[tls]\nself_signed = true\n";
    let mut sim = Sim::with(seed, source);
    let servers = servers.iter().enumerate().map(|(n, (transport, remote, name))| {
        let Server { addresses, .. } = server(*transport, 0, 0, at(remote));
        let addresses = addresses.into_iter().map(|at| Resolved { connection: name.map(ConnectionId), ..at }).collect();
        Server { addresses, ..server(*transport, n as u32, 0, at(remote)) }
    });
    sim.names.insert("sip.carrier.example".into(), servers.collect());
    // It was looked up before there was anything to find.
    sim.run_for(120 * SECOND);
    sim
}

/// RFC 3261 §18.1.1, RFC 5923: the connection is not the dialog.
#[test]
fn what_ends_a_call_by_tcp_goes_to_the_contact_or_route_when_the_connection_is_gone() {
    for (contact, route, place) in [
        ("sip:gw@10.2.0.1:5062;transport=tcp", "", "10.2.0.1:5062"),
        ("sip:gw@10.2.0.1;transport=tcp", "", "10.2.0.1:5060"),
        ("sip:gw@gw.carrier.example", "Record-Route: <sip:10.2.0.1:5070;lr;transport=tcp>\r\n", "10.2.0.1:5070"),
        ("sip:gw@gw.carrier.example", "", "10.2.0.1:5060"),
        // On the very port of the connection that is gone.
        ("sip:gw@10.2.0.1:49152;transport=tcp", "", "10.2.0.1:49152"),
    ] {
        let mut sim = by_name(142, "tcp", &[(Transport::Tcp, "10.2.0.1:5060", None)]);
        let phone = sim.phone("201");
        let mut carrier = Carrier::new(Transport::Tcp, contact);
        carrier.route = route;
        carrier.talks(&mut sim, phone);
        sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        let before = sim.trace.len();
        sim.act(phone, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        let (flow, _) = sent(&sim, before, Method::Bye);
        assert_eq!(way(&flow), (Transport::Tcp, place.to_owned(), None), "{contact}");
    }
}

#[test]
fn a_bye_that_was_lost_with_its_connection_is_said_again_by_a_new_one() {
    for by_report in [false, true] {
        let mut sim = by_name(143, "tcp", &[(Transport::Tcp, "10.2.0.1:5060", None)]);
        let phone = sim.phone("201");
        Carrier::new(Transport::Tcp, "sip:gw@gw.carrier.example").talks(&mut sim, phone);
        if by_report {
            sim.unreachable.insert(at("10.2.0.1:49152"));
        }
        let before = sim.trace.len();
        sim.act(phone, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        let (flow, first) = requests(&sim, before)
            .find(|(_, r)| r.method == Method::Bye && r.headers.call_id().is_ok_and(|id| id == "carried"))
            .expect("BYE");
        assert_eq!(flow.connection, Some(ConnectionId(1)));
        if !by_report {
            sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        }
        let (flow, again) = sent(&sim, before, Method::Bye);
        assert_eq!(way(&flow), (Transport::Tcp, "10.2.0.1:5060".to_owned(), None), "by report: {by_report}");
        assert_eq!(again.to_bytes(), first.to_bytes(), "the same transaction");
    }
}

/// RFC 4028: by the connection that is gone it would have ended the call after half an hour.
#[test]
fn a_session_is_refreshed_by_a_new_connection() {
    let mut sim = by_name(144, "tcp", &[(Transport::Tcp, "10.2.0.1:5060", None)]);
    let phone = sim.phone("201");
    let mut carrier = Carrier::new(Transport::Tcp, "sip:gw@gw.carrier.example");
    carrier.more = "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";
    carrier.talks(&mut sim, phone);
    sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
    let before = sim.trace.len();
    sim.run_for(950 * SECOND);
    let (flow, _) = sent(&sim, before, Method::Update);
    assert_eq!(way(&flow), (Transport::Tcp, "10.2.0.1:5060".to_owned(), None));
}

/// Who connects to us by TLS has shown no name: it is called back where its trunk's certificate is checked.
#[test]
fn by_tls_a_carrier_that_has_closed_its_connection_is_called_where_its_name_is() {
    let servers = [(Transport::Tls, "10.2.0.1:5061", Some(71)), (Transport::Tls, "10.2.0.2:5061", Some(72))];
    for (contact, place, name) in [
        ("sip:gw@10.2.0.2:5061;transport=tls", "10.2.0.2:5061", 72),
        ("sips:gw@10.2.0.2", "10.2.0.2:5061", 72),
        ("sip:gw@10.2.0.55:5061;transport=tls", "10.2.0.1:5061", 71),
        ("sip:gw@gw.carrier.example;transport=tls", "10.2.0.1:5061", 71),
    ] {
        let mut sim = by_name(145, "tls", &servers);
        let phone = sim.phone("201");
        Carrier::new(Transport::Tls, contact).talks(&mut sim, phone);
        sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
        let before = sim.trace.len();
        sim.act(phone, |ua, now| ua.hang_up(now));
        sim.run_for(SECOND);
        let (flow, bye) = sent(&sim, before, Method::Bye);
        assert_eq!(way(&flow), (Transport::Tls, place.to_owned(), Some(name)), "{contact}");
        assert_eq!(bye.uri.to_string(), contact);
        assert!(!bye.headers.contains(&HeaderName::Route));
    }
    // One of a server that can't be had is given up.
    let mut sim = by_name(146, "tls", &servers);
    let phone = sim.phone("201");
    Carrier::new(Transport::Tls, "sip:gw@10.2.0.2:5061;transport=tls").talks(&mut sim, phone);
    sim.input(Input::ConnectionClosed { connection: ConnectionId(1) });
    sim.unreachable.insert(at("10.2.0.2:5061"));
    sim.act(phone, |ua, now| ua.hang_up(now));
    sim.run_for(60 * SECOND);
    assert!(sim.ua(phone).is_idle() && sim.ended().len() == 1);
}

/// RFC 3261 §18: by TCP and TLS a call comes from a port of chance.
#[test]
fn a_trunk_with_a_port_is_known_by_tcp_from_any_unless_it_is_one_by_udp() {
    for (transport, is_known) in [("", true), ("transport = \"auto\"\n", true), ("transport = \"udp\"\n", false)] {
        let mut sim = Sim::with(147, centre_with("peer = \"10.2.0.1\"\n", &format!("peer = \"10.2.0.1:5060\"\n{transport}")));
        let phone = sim.phone("201");
        sim.set(phone, OnInvite::Ring);
        let mut carrier = Carrier::new(Transport::Tcp, "sip:gw@10.2.0.1:5060;transport=tcp");
        let answer = carrier.says(&mut sim, "INVITE", "", OFFER);
        assert_eq!(answer.is_some_and(|answer| answer.status.code() == 401), !is_known, "{transport}");
        sim.run_for(SECOND);
        assert_eq!(sim.ua(phone).is_ringing(), is_known, "{transport}");
    }
}

/// RFC 3261 §9.1, §18.1.1: to where the INVITE went, by a new connection where that one is gone. Else the callee would ring on for nobody.
#[test]
fn a_cancel_finds_a_carrier_whose_connection_is_gone() {
    let servers = [("tcp", (Transport::Tcp, "10.2.0.1:5060", None)), ("tls", (Transport::Tls, "10.2.0.1:5061", Some(71)))];
    for (transport, server) in servers {
        // Gone before it; lost with it, of which either tells; and after its answer.
        for (case, expected) in [("before", 1), ("closed", 2), ("undeliverable", 2), ("answered", 1)] {
            let mut sim = by_name(148, transport, &[server]);
            let phone = sim.phone("201");
            let before = sim.trace.len();
            sim.act(phone, |ua, now| {
                ua.call("04940123", now);
            });
            sim.run_for(SECOND);
            let outward = |sim: &Sim, method: Method| -> Vec<(Flow, Request)> {
                requests(sim, before).filter(|(flow, r)| r.method == method && flow.remote == at(server.1)).collect()
            };
            let (flow, invite) = outward(&sim, Method::Invite).pop().expect("INVITE");
            assert_eq!(way(&flow), (server.0, server.1.to_owned(), server.2));
            let came_by = Flow { connection: Some(ConnectionId(5)), ..flow };
            let says = |sim: &mut Sim, to: &Request, status| {
                let message = Message::Response(to.response_with_tag(status, "b"));
                sim.input(Input::Sip { flow: came_by, message });
            };
            says(&mut sim, &invite, Status::RINGING);
            sim.run_for(SECOND);
            match case {
                "before" => sim.input(Input::ConnectionClosed { connection: ConnectionId(5) }),
                "undeliverable" => {
                    sim.unreachable.insert(at(server.1));
                }
                _ => {}
            }
            sim.act(phone, |ua, now| ua.hang_up(now));
            sim.run_for(SECOND);
            let (_, cancel) = outward(&sim, Method::Cancel).pop().expect("CANCEL");
            if case == "answered" {
                says(&mut sim, &cancel, Status::OK);
            }
            if case != "before" {
                sim.input(Input::ConnectionClosed { connection: ConnectionId(5) });
            }
            sim.run_for(5 * SECOND);
            let sent = outward(&sim, Method::Cancel);
            assert_eq!(sent.len(), expected, "{transport} {case}");
            assert!(sent.iter().all(|(flow, again)| {
                way(flow) == (server.0, server.1.to_owned(), server.2) && again.to_bytes() == cancel.to_bytes()
            }));
            says(&mut sim, &invite, Status::REQUEST_TERMINATED);
            sim.run_for(60 * SECOND);
            assert!(sim.ua(phone).is_idle() && sim.ended().len() == 1, "{transport} {case}");
        }
    }
}
