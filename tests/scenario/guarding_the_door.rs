//! Strangers that flood and guess: who is banned, who is not, and who goes on to be served.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cordboard::event::Kind;
use cordboard::registrar::bans::Proof;
use cordboard::sip::{self, Flow, HeaderName, Login, Message, Method, Transport, Uri};
use cordboard::switch::{Answer, Command, Input};

use crate::sim::{Sim, centre, switch};

const SECOND: Duration = Duration::from_secs(1);
pub const STRANGER: &str = "192.0.2.66:5060";

/// A request of somebody without a dialog or a credential.
fn request(method: &str, n: u64) -> String {
    format!(
        "{method} sip:201@cordboard.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK-{method}-{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:201@cordboard.example>;tag=s{n}\r\nTo: <sip:201@cordboard.example>\r\nCall-ID: stranger-{n}\r\nCSeq: 1 {method}\r\n"
    )
}

pub fn send(sim: &mut Sim, from: &str, text: String) -> Option<Message> {
    let flow = Flow { transport: Transport::Udp, local: switch(), remote: from.parse().expect("address"), connection: None };
    let message = sip::intake(Bytes::from(text + "Content-Length: 0\r\n\r\n")).expect("valid");
    let before = sim.trace.len();
    sim.input(Input::Sip { flow, message });
    sim.trace.get(before).map(|bytes| Message::from_bytes(bytes.clone()).expect("ours"))
}

pub fn status(answer: &Option<Message>) -> u16 {
    match answer {
        Some(Message::Response(response)) => response.status.code(),
        other => panic!("{other:?}"),
    }
}

/// So many a second, for so many seconds.
fn flood(sim: &mut Sim, from: &str, method: &str, rate: u64, seconds: u64) {
    for n in 0..rate * seconds {
        let n = n + sim.inputs * 1_000;
        send(sim, from, request(method, n));
        sim.run_for(SECOND / rate as u32);
    }
}

/// A REGISTER with this password, in answer to a challenge of its own.
fn guess(sim: &mut Sim, from: &str, user: &str, password: &str) -> u16 {
    let n = sim.inputs;
    let text = request("REGISTER", n).replace("201@", &format!("{user}@"));
    let Some(Message::Response(challenge)) = send(sim, from, text.clone()) else { panic!("no challenge") };
    assert_eq!(challenge.status.code(), 401);
    let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
    let uri = Bytes::from_static(b"sip:201@cordboard.example");
    let uri = Bytes::from(String::from_utf8_lossy(&uri).replace("201@", &format!("{user}@")));
    assert!(Uri::parse(uri.clone()).is_ok());
    let login = Login { username: user, password };
    let credentials = challenges[0].answer(&login, &Method::Register, &uri, 1, b"c");
    let text = text.replace("z9hG4bK", "z9hG4bK-again").replace("CSeq: 1", "CSeq: 2");
    let mut signed = sip::intake(Bytes::from(text + "Content-Length: 0\r\n\r\n")).expect("valid");
    signed.headers_mut().push(HeaderName::Authorization, &credentials);
    let text = String::from_utf8_lossy(&signed.to_bytes()).replace("Content-Length: 0\r\n\r\n", "");
    status(&send(sim, from, text))
}

fn banned(sim: &Sim) -> Vec<IpAddr> {
    sim.bans.iter().map(|ban| ban.address).collect()
}

fn stranger() -> IpAddr {
    STRANGER.parse::<SocketAddr>().expect("address").ip()
}

#[test]
fn a_flood_of_refused_requests_is_banned_and_the_ban_ends_by_itself() {
    let mut sim = Sim::new(1);
    flood(&mut sim, STRANGER, "BYE", 18, 20);
    assert!(sim.bans.is_empty(), "below the rate");
    flood(&mut sim, STRANGER, "BYE", 40, 4);
    assert!(sim.bans.is_empty(), "not for long enough");
    flood(&mut sim, STRANGER, "BYE", 40, 3);
    assert_eq!(banned(&sim), [stranger()]);
    let until =
        sim.events.iter().find_map(|e| if let Kind::GuardBanned(ban) = &e.kind { Some((e.at, ban.clone())) } else { None });
    let (at, ban) = until.expect("told");
    assert_eq!((ban.address.as_str(), ban.reason.as_str()), ("192.0.2.66", "refused"));
    assert_eq!(ban.until, (at + 600 * SECOND).to_string());
    let Answer::Bans(listed) = sim.ask(Command::Bans) else { panic!() };
    assert_eq!((listed.len(), listed[0].address.as_str(), &listed[0].until), (1, "192.0.2.66", &ban.until));

    sim.run_for(590 * SECOND);
    assert_eq!((sim.bans.len(), sim.count("guard.lifted")), (1, 0));
    sim.run_for(11 * SECOND);
    assert_eq!((sim.bans.len(), sim.count("guard.banned"), sim.count("guard.lifted")), (0, 1, 1));
    sim.assert_clean();
}

#[test]
fn a_ban_is_lifted_by_the_api_once() {
    let mut sim = Sim::new(2);
    flood(&mut sim, STRANGER, "BYE", 40, 6);
    assert_eq!(banned(&sim), [stranger()]);
    assert_eq!(sim.ask(Command::LiftBan { address: stranger() }), Answer::Done);
    assert!(sim.bans.is_empty());
    let by =
        sim.events.iter().find_map(|e| if let Kind::GuardLifted(lifted) = &e.kind { Some(lifted.by.to_string()) } else { None });
    assert!(by.is_some_and(|by| by.starts_with("api")), "{}", sim.story());
    assert!(matches!(sim.ask(Command::LiftBan { address: stranger() }), Answer::Refused(_)));
    flood(&mut sim, STRANGER, "BYE", 40, 6);
    assert_eq!(banned(&sim), [stranger()], "who goes on is banned anew");
}

#[test]
fn a_challenge_is_no_refusal_and_a_question_is_none() {
    let mut sim = Sim::new(3);
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        flood(&mut sim, STRANGER, method, 100, 8);
    }
    assert!(sim.bans.is_empty(), "{}", sim.story());
}

#[test]
fn what_the_transports_find_malformed_counts() {
    let mut sim = Sim::new(4);
    for _ in 0..24 {
        let sources = [(stranger(), 10), ("192.0.2.67".parse().expect("address"), 4)];
        let sources = sources.map(|(address, count)| (address, Proof::Connection, count)).to_vec();
        sim.input(Input::Malformed { sources });
        sim.run_for(SECOND / 4);
    }
    assert_eq!(banned(&sim), [stranger()]);
    assert_eq!(sim.bans[0].proof, Proof::Connection, "who has connected is who it is");
}

/// A datagram's address may be forged: what comes of it must not shut out who is really there.
#[test]
fn a_flood_of_datagrams_is_no_ban_for_connections_and_who_registers_is_spared() {
    let mut sim = Sim::new(10);
    flood(&mut sim, STRANGER, "BYE", 40, 6);
    assert_eq!((banned(&sim), sim.bans[0].proof), (vec![stranger()], Proof::Datagram));
    let told = sim.events.iter().find_map(|e| if let Kind::GuardBanned(ban) = &e.kind { Some(ban.udp_only) } else { None });
    assert_eq!(told, Some(true));
    // What the trickle lets through is challenged, and once it has answered it is spared.
    let phone = sim.phone_at("201", [192, 0, 2, 66]);
    assert_eq!(sim.bans[0].spared, [phone]);
    // By connections it is banned for all.
    for _ in 0..24 {
        sim.input(Input::Malformed { sources: vec![(stranger(), Proof::Connection, 10)] });
        sim.run_for(SECOND / 4);
    }
    assert_eq!((sim.bans.len(), sim.bans[0].proof), (1, Proof::Connection));
}

#[test]
fn a_registered_phone_keeps_its_own_flow_and_a_trunk_is_never_banned() {
    let mut sim = Sim::new(5);
    let phone = sim.phone("201");
    let trunk = sim.trunk();
    let neighbour = SocketAddr::new(phone.ip(), 6_666).to_string();
    flood(&mut sim, &neighbour, "BYE", 40, 6);
    assert_eq!(banned(&sim), [phone.ip()]);
    assert_eq!(sim.bans[0].spared, [phone]);
    flood(&mut sim, &trunk.to_string(), "BYE", 40, 6);
    let elsewhere = SocketAddr::new(trunk.ip(), 6_666).to_string();
    flood(&mut sim, &elsewhere, "BYE", 40, 6);
    assert_eq!(banned(&sim), [phone.ip()]);
    // Who has gone is spared no more.
    sim.act(phone, |p, now| p.unregister(now));
    sim.run_until("it is gone", |s| s.bans[0].spared.is_empty());

    // A registered phone that goes mad by itself is no reason either.
    let mut sim = Sim::new(6);
    let phone = sim.phone("201").to_string();
    flood(&mut sim, &phone, "BYE", 40, 8);
    assert!(sim.bans.is_empty());
}

#[test]
fn an_address_that_becomes_a_trunks_is_listened_to_and_nobody_is_banned_where_none_is_to_be() {
    let mut sim = Sim::new(7);
    flood(&mut sim, STRANGER, "BYE", 40, 6);
    let mut source = centre();
    source.main.text = format!("{}\n[[trunk]]\nname = \"new\"\npeer = \"192.0.2.66\"\n", source.main.text);
    sim.reload(source.clone());
    assert!(sim.bans.is_empty() && sim.has("guard.lifted"));

    let mut sim = Sim::new(8);
    source.main.text = format!("{}\n[guard]\nban = \"0s\"\n", centre().main.text);
    sim.reload(source);
    flood(&mut sim, STRANGER, "BYE", 40, 20);
    assert!(sim.bans.is_empty() && !sim.has("guard.banned"));
}

#[test]
fn guessing_is_slowed_by_source_and_by_user_and_told_while_the_real_phone_is_served() {
    let mut sim = Sim::new(9);
    let phone = sim.phone("201");
    let alarms = |sim: &Sim| -> Vec<(usize, u32)> {
        let all = sim.events.iter().filter_map(|e| if let Kind::GuardAlarm(a) = &e.kind { Some(a) } else { None });
        all.map(|a| (a.sources.len(), a.failures)).collect()
    };
    // One source: ten guesses, then it waits, whether it has found the password or not.
    for n in 0..10 {
        assert_eq!(guess(&mut sim, STRANGER, "201", &format!("wrong-{n}")), 401);
    }
    assert_eq!(alarms(&sim), [(1, 10)]);
    assert_eq!(guess(&mut sim, STRANGER, "201", "secret-201"), 503);
    // Who guesses behind the phone's own address does not keep it from calling.
    let neighbour = SocketAddr::new(phone.ip(), 6_666).to_string();
    while guess(&mut sim, &neighbour, "201", "wrong") == 401 {}
    sim.act(phone, |p, now| {
        p.call("600", now);
    });
    sim.run_until("the phone calls", |s| s.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(11 * SECOND);
    // A user that there is not fares the same, and nobody is told.
    for n in 0..10 {
        assert_eq!(guess(&mut sim, "192.0.2.90:5060", "299", &format!("wrong-{n}")), 401);
    }
    assert_eq!(guess(&mut sim, "192.0.2.90:5060", "299", "wrong"), 503);
    let before = alarms(&sim).len();
    // Several sources: told again, and slowed together.
    for n in 0..60 {
        let from = format!("192.0.2.{}:5060", 100 + n);
        assert!(matches!(guess(&mut sim, &from, "201", "wrong"), 401 | 503));
    }
    assert_eq!((before, alarms(&sim)), (1, vec![(1, 10), (3, 21)]));
    assert_eq!(guess(&mut sim, "192.0.2.250:5060", "201", "secret-201"), 503, "from nowhere new for a minute");
    sim.act(phone, |p, now| p.register(now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(phone).last_status("REGISTER"), Some(200), "the phone is where it was");
    sim.run_for(61 * SECOND);
    assert_eq!(guess(&mut sim, STRANGER, "201", "wrong"), 401, "and nobody is shut out for good");
    // Slow guessing is no flood.
    assert!(sim.bans.is_empty());
}

#[test]
fn the_transports_know_where_phones_are_and_hear_what_changes_alone() {
    let mut sim = Sim::new(20);
    let (first, second) = (sim.phone("201"), sim.phone("202"));
    let again = sim.phone_at("201", [10, 1, 0, 9]);
    let known = |sim: &Sim| sim.known.keys().copied().collect::<Vec<_>>();
    let all = {
        let mut all = vec![first, second, again];
        all.sort();
        all
    };
    assert_eq!(known(&sim), all);
    // A refresh is none, nor is a stranger's try.
    let before = sim.known_changes;
    sim.act(first, |phone, now| phone.register(now));
    sim.run_for(SECOND);
    assert_eq!(guess(&mut sim, STRANGER, "201", "guessed"), 401);
    assert_eq!(sim.known_changes, before);
    // Its NAT gives it another port.
    let (inside, seen) = (second, SocketAddr::from(([203, 0, 113, 9], 6_000)));
    sim.behind.insert(inside, seen);
    sim.act(second, |phone, now| phone.register(now));
    sim.run_for(SECOND);
    assert!(sim.known.contains_key(&seen) && !sim.known.contains_key(&second), "{:?} {}", sim.known, sim.story());
    assert_eq!(sim.known_changes, before + 2);
    // The next process knows as much.
    sim.known.clear();
    sim.restart(Vec::new());
    assert_eq!(known(&sim).len(), 3, "{:?}", sim.known);
    // Whose number is no more is no phone.
    let mut source = centre();
    source.main.text = source.main.text.replace("\"202\"", "\"298\"");
    sim.reload(source);
    assert!(!sim.known.contains_key(&seen), "{:?}", sim.known);
    sim.run_for(7_200 * SECOND);
    let left: Vec<_> = sim.registrations.values().map(|binding| binding.flow.remote).collect();
    assert!(known(&sim).iter().all(|known| left.contains(known)), "{:?} {left:?}", sim.known);
}

/// As short as a request can be written (RFC 3261 §7.3.3).
fn compact(method: &str, number: &str, n: u64) -> String {
    format!(
        "{method} sip:x SIP/2.0\r\nv:SIP/2.0/UDP x;rport;branch=z9hG4bK{n}\r\nf:<sip:{number}@x>;tag=a\r\nt:<sip:{number}@x>\r\n\
         i:{n}\r\nCSeq:1 {method}\r\n"
    )
}

/// Octets sent and answered.
fn weigh(sim: &mut Sim, from: &str, text: String) -> (usize, usize) {
    let (sent, before) = (text.len() + "l:0\r\n\r\n".len(), sim.trace.len());
    send(sim, from, text);
    (sent, sim.trace[before..].iter().map(Bytes::len).sum())
}

/// The address of a datagram may be forged: its owner gets little of what others ask for in its name.
#[test]
fn by_udp_a_stranger_gets_no_lists_and_challenges_at_a_rate_that_floods_nobody() {
    let mut sim = Sim::new(21);
    let phone = sim.phone("210");
    let (sent, got) = weigh(&mut sim, STRANGER, compact("OPTIONS", "201", 1));
    assert!(sent < 130 && got > 0 && got < 2 * sent, "{got} for {sent}");
    // Who is known where it asks from is told everything.
    let (sent, got) = weigh(&mut sim, &phone.to_string(), compact("OPTIONS", "210", 2));
    assert!(got > 2 * sent, "{got} for {sent}");

    let (mut sent, mut got, began) = (0, 0, sim.now.mono);
    for n in 0..20_000 {
        let (one, answer) = weigh(&mut sim, STRANGER, compact("REGISTER", "201", 10 + n));
        (sent, got) = (sent + one, got + answer);
        sim.run_for(SECOND / 2_000);
    }
    assert!(sim.bans.is_empty(), "a challenge is no refusal");
    let seconds = sim.now.mono.since(began).as_secs() + 1;
    println!("{got} octets for {sent} in {seconds} s");
    assert!(got < sent / 3, "a flood gets less than it sends: {got} for {sent}");
    // By now its sender's share is used up, and nobody else's.
    assert_eq!(weigh(&mut sim, STRANGER, compact("REGISTER", "201", 1)).1, 0);
    assert!(weigh(&mut sim, "192.0.2.67:5060", compact("REGISTER", "201", 2)).1 > 0);
    // By TCP it has shown that it is there.
    let flow = Flow { transport: Transport::Tcp, local: switch(), remote: stranger_at(), connection: None };
    let message = sip::intake(Bytes::from(compact("REGISTER", "201", 3).replace("UDP", "TCP") + "l:0\r\n\r\n")).expect("valid");
    let before = sim.trace.len();
    sim.input(Input::Sip { flow, message });
    assert_eq!(sim.trace.len(), before + 1);
    // A minute later it is as any.
    sim.run_for(60 * SECOND);
    assert!(weigh(&mut sim, STRANGER, compact("REGISTER", "201", 4)).1 > 0);
}

/// A challenge with two algorithms is longer than what this phone says, and one with one is not: a flood in the name of its office's address
/// does not keep it out.
#[test]
fn where_a_flood_has_used_up_what_answers_may_grow_by_a_phone_is_challenged_with_one_algorithm() {
    let mut source = centre();
    assert!(source.main.text.contains("[sip]\n"));
    source.main.text = source.main.text.replacen("[sip]\n", "[sip]\ndigest = [\"SHA-256\", \"MD5\"]\n", 1);
    let mut sim = Sim::with(23, source);
    for n in 0..1_000 {
        weigh(&mut sim, STRANGER, compact("REGISTER", "201", 10 + n));
    }
    assert_eq!(weigh(&mut sim, STRANGER, compact("REGISTER", "201", 1)).1, 0, "its share is used up");
    // As long as what desk phones say of themselves.
    let contact = format!("sip:210@192.168.1.2;model={}", "x".repeat(210));
    let mut line = crate::flows::Line::new("210", Box::leak(contact.into_boxed_str()), 0);
    let remote = SocketAddr::new(stranger_at().ip(), 40_000);
    line.flow = Flow { transport: Transport::Udp, local: switch(), remote, connection: None };
    let before = sim.trace.len();
    assert_eq!(line.register(&mut sim).status.code(), 200);
    let challenges = |text: &Bytes| String::from_utf8_lossy(text).matches("WWW-Authenticate").count();
    assert_eq!(challenges(&sim.trace[before]), 1, "{}", sim.story());
    // Anybody else has the choice.
    let (at, before) = ("192.0.2.67:5060", sim.trace.len());
    weigh(&mut sim, at, compact("REGISTER", "201", 2));
    assert_eq!(challenges(&sim.trace[before]), 2);
}

fn stranger_at() -> SocketAddr {
    STRANGER.parse().expect("address")
}

/// After a power cut; and the phones of half the office write as shortly as can be.
#[test]
fn a_hundred_phones_behind_one_address_register_at_once() {
    let mut source = centre();
    for n in 500..600 {
        source.main.text.push_str(&format!("\n[[phone]]\nnumber = \"{n}\"\nsecret = \"secret-{n}\"\n"));
    }
    let mut sim = Sim::with(22, source);
    // Each tries three times before it hears anything.
    for n in 0..300u64 {
        let from = format!("192.0.2.66:{}", 1_000 + n % 100);
        assert!(weigh(&mut sim, &from, compact("REGISTER", &(500 + n % 100).to_string(), 1_000 + n)).1 > 0, "{n}");
    }
    for n in 0..100 {
        let number: &'static str = Box::leak(format!("{}", 500 + n).into_boxed_str());
        let mut line = crate::flows::Line::new(number, "sip:phone@192.168.1.2", 0);
        let remote = format!("192.0.2.66:{}", 1_000 + n).parse().expect("address");
        line.flow = Flow { transport: Transport::Udp, local: switch(), remote, connection: None };
        assert_eq!(line.register(&mut sim).status.code(), 200, "{n}");
    }
    assert!(sim.bans.is_empty());
}
