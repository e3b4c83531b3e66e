//! Attacks on the switch's real sockets, each with its safe outcome; the list of all is in `tests/scenario/attacks.rs`. While they go on,
//! real clients are served.

#![allow(clippy::disallowed_methods, reason = "sockets of the test's own, on the real clock")]

mod media;
mod web;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::json;

use super::matrix::register;
use super::matrix::script::{self, Player};
use super::support::baresip::Baresip;
use super::support::cordboard::{Cordboard, Site, TOKEN, secret};
use super::support::ports;
use super::support::process::{read_lossy, wait_for, wait_until};
use super::support::sipp::{Builder, Sipp};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(100);
const TRUNK: &str = "127.0.0.2";
/// Neither a phone's address nor a trunk's.
const STRANGER: &str = "127.0.0.66";
const TAKES: &str = "< INVITE\n> 180\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200";

const MENU: &str = "name = \"main\"\nlanguage = \"en\"\nstart = \"top\"\n\n[node.top]\nkind = \"menu\"\nprompt = \"long\"\ntimeout = \"60s\"\ndigits = { \"1\" = \"hangup\" }\n";

fn site(test: &str) -> Site {
    let site = Site::new(test).phone("201").phone("202").trunk("carrier", TRUNK).media_key("dead_after = \"5m\"");
    let site = site.inbound("carrier", "+4930600", "phone:201").inbound("carrier", "+4930601", "phone:202");
    let site = site.inbound("carrier", "+4930602", "menu:main").with("[[extension]]\nnumber = \"600\"\nto = \"menu:main\"\n");
    site.menu("main", MENU).prompt_of_tone("en", "long", 600.0, 30)
}

fn sipp(site: &Site, name: &str, number: &str, text: &str) -> Builder {
    let key = secret(number);
    let xml = script::xml(text, &Player { number, secret: &key });
    let sipp = Sipp::scenario(site.folder().path(), name, &xml).argument("-recv_timeout").argument(LONG.as_millis());
    match script::authorized_target(text) {
        Some(target) => sipp.argument("-auth_uri").argument(format!("{target}@{}", site.sip())),
        None => sipp,
    }
}

#[track_caller]
fn good(switch: &Cordboard, sipp: Sipp) {
    let outcome = sipp.finish(SOON);
    assert_eq!(outcome.code, Some(0), "{}\n{}\n{}", outcome.errors, outcome.messages, switch.output());
}

/// A registered phone that takes a call.
fn callee(site: &Site, switch: &Cordboard, number: &str) -> Sipp {
    let port = ports::port();
    register(switch, number, port);
    let callee = sipp(site, &format!("callee{number}"), number, TAKES).port(port).start();
    callee.wait_until_bound();
    callee
}

/// A customer talks to 201. Whatever either of them hears beside its end is a fault.
struct Live {
    customer: Sipp,
    phone: Sipp,
}

impl Live {
    fn begin(site: &Site, switch: &Cordboard) -> Live {
        let phone = callee(site, switch, "201");
        let calls = "> INVITE +4930600 | sdp\n<? 180\n< 200\n> ACK\n< BYE\n> 200";
        let customer = sipp(site, "customer", "+49301111", calls).address(TRUNK).target(switch.sip()).start();
        phone.wait_for_received("ACK sip:", SOON);
        Live { customer, phone }
    }

    #[track_caller]
    fn ends_well(self, switch: &Cordboard) {
        // Another one may be ending still.
        let live = wait_for("this call is the only one", SOON, || {
            let live = switch.items("/api/v1/conversations?state=live");
            (live.len() == 1).then(|| live[0].clone())
        });
        assert_eq!(live["customer_number"], "+49301111", "{live}");
        assert_eq!(live["customer_e164"], "+49301111", "{live}");
        let id = live["id"].as_str().expect("an id");
        assert!(switch.post(&format!("/api/v1/conversations/{id}/hangup"), &json!({})).status < 300);
        good(switch, self.customer);
        good(switch, self.phone);
    }
}

/// A customer calls 202, who answers, and hangs up.
#[track_caller]
fn another_call_goes_through(site: &Site, switch: &Cordboard, name: &str) {
    let phone = callee(site, switch, "202");
    let calls = "> INVITE +4930601 | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200";
    good(switch, sipp(site, name, "+49302222", calls).address(TRUNK).target(switch.sip()).start());
    good(switch, phone);
}

/// A socket at this address that asks the switch.
struct Asker {
    socket: UdpSocket,
    switch: SocketAddr,
    count: u32,
}

impl Asker {
    fn new(address: &str, switch: &Cordboard) -> Asker {
        let socket = UdpSocket::bind((address, ports::port())).expect("a port");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Asker { socket, switch: switch.sip(), count: 0 }
    }

    fn via(&mut self) -> String {
        self.count += 1;
        let at = self.socket.local_addr().expect("its address");
        format!("Via: SIP/2.0/UDP {at};rport;branch=z9hG4bKa{}x{}\r\n", at.port(), self.count)
    }

    /// One answer to this request, whose first line and Via are put before these headers.
    #[track_caller]
    fn ask(&mut self, first: &str, headers: &str) -> String {
        let request = format!("{first} SIP/2.0\r\n{}Max-Forwards: 70\r\n{headers}Content-Length: 0\r\n\r\n", self.via());
        self.socket.send_to(request.as_bytes(), self.switch).expect("sent");
        self.hear()
    }

    #[track_caller]
    fn hear(&self) -> String {
        let mut buffer = vec![0; 66_000];
        let read = self.socket.recv(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    /// The switch lives and answers.
    #[track_caller]
    fn is_answered(&mut self) {
        let number = self.count;
        let options = "From: <sip:x@x>;tag=x\r\nTo: <sip:x@x>\r\n";
        let answer = self.ask("OPTIONS sip:x@x", &format!("{options}Call-ID: alive{number}\r\nCSeq: 1 OPTIONS\r\n"));
        assert!(answer.starts_with("SIP/2.0 ") && answer.contains(&format!("alive{number}")), "{answer}");
    }
}

fn status(answer: &str) -> u16 {
    answer
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// What 201's Authorization is for this challenge.
fn authorization(challenge: &str, method: &str, uri: &str) -> String {
    let value = |name: &str| {
        challenge.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest.split('"').next().unwrap_or_default())
    };
    let (realm, nonce) = (value("realm"), value("nonce"));
    let (one, two) = (hash(&format!("201:{realm}:{}", secret("201"))), hash(&format!("{method}:{uri}")));
    let response = hash(&format!("{one}:{nonce}:00000001:x:auth:{two}"));
    format!(
        "Authorization: Digest username=\"201\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm=MD5, qop=auth, cnonce=\"x\", nc=00000001\r\n"
    )
}

/// RFC 3261 §18.3, §21.4.11: bounded, whatever it says of its own length.
#[test]
fn what_is_too_long_is_refused_and_costs_no_memory() {
    let site = site("attack-long");
    let switch = site.start();
    let live = Live::begin(&site, &switch);
    let head = |extra: &str| {
        format!(
            "INVITE sip:201@x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.66;rport;branch=z9hG4bKl\r\nMax-Forwards: 70\r\nFrom: <sip:x@x>;tag=x\r\n\
             To: <sip:x@x>\r\nCall-ID: long\r\nCSeq: 1 INVITE\r\n{extra}"
        )
    };
    let many = "X-Header: x\r\n".repeat(10_000);
    let wide = format!("Subject: {}\r\n", "x".repeat(1 << 20));
    let body = "x".repeat(60_000);
    let mut asker = Asker::new(STRANGER, &switch);
    // By datagrams: 64 kB, of headers and of body, and of nothing at all.
    for text in [
        head(&format!("Subject: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(64_000))),
        head(&format!("{}Content-Length: 0\r\n\r\n", "X: x\r\n".repeat(10_000))),
        head(&format!("Content-Length: 2147483648\r\n\r\n{body}")),
        head(&format!("Content-Type: application/sdp\r\nContent-Length: 60000\r\n\r\n{body}")),
        "\0".repeat(65_000),
    ] {
        asker.socket.send_to(text.as_bytes(), switch.sip()).expect("sent");
        if text.starts_with('I') {
            assert!(matches!(status(&asker.hear()), 400 | 401 | 413 | 415 | 513), "{}", &text[..300]);
        }
        asker.is_answered();
    }
    let before = switch.resident_kb();
    for round in 0..20 {
        for text in [
            head(&format!("{many}Content-Length: 0\r\n\r\n")),
            head(&format!("{wide}Content-Length: 0\r\n\r\n")),
            head(&format!("Content-Length: 2147483648\r\n\r\n{body}{body}")),
            head(&format!("Content-Length: 18446744073709551616\r\n\r\n{body}{body}")),
            head(&format!("Content-Length: -1\r\n\r\n{body}")),
            format!("INVITE sip:{} SIP/2.0\r\n", "x".repeat(1 << 20)),
            "\r\n".repeat(200_000),
        ] {
            let mut stream = TcpStream::connect(switch.sip()).expect("a connection");
            stream.set_read_timeout(Some(SOON)).expect("a timeout");
            // It may be cut while it still speaks.
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let end = stream.read_to_end(&mut answer);
            assert!(
                !end.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
                "{round}: it is not let go"
            );
            let answer = String::from_utf8_lossy(&answer);
            let answer = answer.trim_start_matches("\r\n");
            assert!(answer.is_empty() || matches!(status(answer), 400 | 413 | 513), "{answer}");
        }
    }
    let grown = switch.resident_kb().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KB more");
    asker.is_answered();
    another_call_goes_through(&site, &switch, "after");
    live.ends_well(&switch);
}

const CONNECTIONS: usize = 2_000;

/// Raises this process's soft limit of open files, for as many sockets and what else is open here.
fn raise_descriptors() {
    let wanted = CONNECTIONS + 500;
    let limits = read_lossy("/proc/self/limits".as_ref());
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let soft = line.split_whitespace().nth(3).map_or(0, |soft| soft.parse::<usize>().unwrap_or(usize::MAX));
    if soft < wanted {
        let own = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &own, &format!("--nofile={wanted}:")]).output().expect("prlimit");
        assert!(raised.status.success(), "{wanted} open files are needed: {}", String::from_utf8_lossy(&raised.stderr));
    }
}

/// Slow loris, by plain connections and by TLS that begins and goes no further.
#[test]
fn two_thousand_silent_connections_keep_nobody_out() {
    let site = site("attack-slow").secure();
    let switch = site.start();
    let live = Live::begin(&site, &switch);
    let (plain, tls) = (site.sip(), site.tls());
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (opened, told) = std::sync::mpsc::channel();
    let attack = std::thread::spawn(move || {
        runtime.block_on(async move {
            let mut open = Vec::new();
            for n in 0..CONNECTIONS {
                // From twenty addresses, since one may have a few hundred.
                let from = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 20 + 1).unwrap_or(1));
                let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
                socket.bind((from, 0).into()).expect("an address");
                let half = n % 10 == 0;
                let Ok(stream) = socket.connect(if half { tls } else { plain }).await else { continue };
                // The beginning of a ClientHello, or of a request line.
                let first: &[u8] = if half { b"\x16\x03\x01\x02\x00\x01\x00" } else { b"O" };
                let _ = stream.try_write(first);
                open.push(stream);
            }
            let _ = opened.send(open.len());
            let drips = open.into_iter().map(|stream| async move {
                let mut buffer = [0; 64];
                loop {
                    tokio::select! {
                        readable = stream.readable() => match readable.and_then(|()| stream.try_read(&mut buffer)) {
                            Ok(0) => break,
                            Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                            Ok(_) | Err(_) => {}
                        },
                        // The attack's own pace: an octet in ten seconds.
                        () = tokio::time::sleep(Duration::from_secs(10)) => {
                            if stream.try_write(b"P").is_err_and(|e| e.kind() != ErrorKind::WouldBlock) {
                                break;
                            }
                        }
                    }
                }
            });
            let closed = futures_util::future::join_all(drips);
            tokio::time::timeout(Duration::from_secs(60), closed).await.map(|closed| closed.len())
        })
    });
    let open = told.recv_timeout(SOON).expect("they are open");
    assert_eq!(open, CONNECTIONS);
    // Meanwhile: a phone by TLS, one by TCP, one by UDP, and calls.
    let phone = Baresip::phone(site.folder(), "202").over_tls().registrar(site.tls(), &secret("202")).start();
    switch.wait_for_registration("202", SOON);
    drop(phone);
    let registers = ">> REGISTER - | Expires: 60\n< 200";
    good(&switch, sipp(&site, "tcp", "202", registers).over_tcp().target(switch.sip()).start());
    another_call_goes_through(&site, &switch, "meanwhile");
    let closed = attack.join().expect("the attack ends");
    assert_eq!(closed.ok(), Some(open), "all of them are let go");
    live.ends_well(&switch);
}

/// RFC 3261 §26.1.5: 500 a second, by SIPp.
#[test]
fn a_flood_of_invites_harms_no_call() {
    let site = site("attack-flood");
    let switch = site.start();
    let live = Live::begin(&site, &switch);
    let flood = sipp(&site, "flood", "201", "> INVITE 201 | sdp\n< 401\n> ACK").address(STRANGER).target(switch.sip());
    let flood = flood.calls(3_000).argument("-r").argument(500).argument("-l").argument(4_000).start();
    flood.wait_for_received("401", SOON);
    another_call_goes_through(&site, &switch, "meanwhile");
    let outcome = flood.finish(SOON);
    assert_eq!((outcome.code, outcome.successful), (Some(0), 3_000), "each is challenged: {}", outcome.errors);
    live.ends_well(&switch);
}

/// RFC 3261 §26.1.3: who knows all of a dialog, and is somebody else.
#[test]
fn who_has_overheard_a_call_does_not_end_it() {
    let site = site("attack-spoof");
    let switch = site.start();
    let live = Live::begin(&site, &switch);
    let dialog = |messages: &[String], kind: &str| -> [String; 3] {
        let message = messages.iter().rfind(|m| m.starts_with(kind)).expect("a message of the dialog");
        ["From", "To", "Call-ID"].map(|name| {
            let line = message.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
            line.expect("a header").trim().to_owned()
        })
    };
    let [us, phone, at_phone] = dialog(&live.phone.received(), "ACK");
    let [customer, we, at_trunk] = dialog(&live.customer.received(), "SIP/2.0 200");
    let mut stranger = Asker::new(STRANGER, &switch);
    for method in ["BYE", "INVITE", "UPDATE", "REFER", "INFO", "CANCEL"] {
        for (from, to, call_id, refusal) in [(&phone, &us, &at_phone, 401), (&customer, &we, &at_trunk, 403)] {
            let refusal = if method == "CANCEL" { 481 } else { refusal };
            let headers = format!(
                "From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 900 {method}\r\nContact: <sip:x@{STRANGER}>\r\nRefer-To: <sip:202@x>\r\n"
            );
            let answer = stranger.ask(&format!("{method} sip:{}", switch.sip()), &headers);
            assert_eq!(status(&answer), refusal, "{method}: {answer}");
            let wrong = headers.replace("tag=", "tag=x");
            let answer = stranger.ask(&format!("{method} sip:{}", switch.sip()), &wrong);
            assert_eq!(status(&answer), 481, "{method}: {answer}");
            if method == "INVITE" {
                // It would be repeated until it is acknowledged.
                let headers = headers.replace("INVITE", "ACK");
                let ack = format!("ACK sip:{} SIP/2.0\r\n{}{headers}Content-Length: 0\r\n\r\n", switch.sip(), stranger.via());
                stranger.socket.send_to(ack.as_bytes(), switch.sip()).expect("sent");
            }
        }
    }
    live.ends_well(&switch);
}

/// RFC 3262 §3, RFC 3311 §5.2: the same before the answer. What a stranger asks for uses up no number of the customer's.
#[test]
fn who_has_overheard_a_call_that_rings_does_not_end_it() {
    let site = site("attack-early");
    let switch = site.start();
    let port = ports::port();
    register(&switch, "201", port);
    // The phone rings for as long as the attack takes.
    let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("the phone's port");
    phone.set_read_timeout(Some(SOON)).expect("a timeout");
    let hears = |method: &str| loop {
        let mut buffer = [0; 4_096];
        let read = phone.recv(&mut buffer).unwrap_or_else(|e| panic!("{method}: {e}"));
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if text.starts_with(method) {
            break text;
        }
    };
    let lines = |message: &str, names: &[&str]| -> String {
        let is_one = |line: &&str| names.iter().any(|name| line.starts_with(&format!("{name}:")));
        message.lines().filter(is_one).map(|line| format!("{}\r\n", line.trim())).collect()
    };
    let says = |status: &str, request: &str, body: &str| {
        let head = lines(request, &["Via", "From", "To", "Call-ID", "CSeq"]);
        let tagged: String = head
            .lines()
            .map(|line| match line.strip_prefix("To:").filter(|to| !to.contains(";tag=")) {
                Some(_) => format!("{line};tag=phone\r\n"),
                None => format!("{line}\r\n"),
            })
            .collect();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {status}\r\n{tagged}Contact: <sip:201@127.0.0.1:{port}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        phone.send_to(text.as_bytes(), switch.sip()).expect("sent");
        tagged
    };
    let calls = "> INVITE +4930600 | sdp | Require: 100rel\n< 180 | Require ~ 100rel | RSeq => rseq [0-9]+\n\
                 > PRACK | RAck: [$rseq] 1 INVITE\n< 200 of PRACK\n< 200 of INVITE\n> ACK\n> BYE\n< 200 of BYE";
    let customer = sipp(&site, "customer", "+49301111", calls).address(TRUNK).target(switch.sip()).start();
    let invite = hears("INVITE");
    let ringing = says("180 Ringing", &invite, "");
    customer.wait_for_received("SIP/2.0 200", SOON);

    let header = |message: &str, name: &str| {
        let line = message.lines().find_map(|line| line.strip_prefix(&format!("{name}:")).map(str::trim));
        line.unwrap_or_else(|| panic!("{name}: {message}")).to_owned()
    };
    let at_trunk = customer.received().into_iter().find(|m| m.starts_with("SIP/2.0 180")).expect("a 180");
    let rack = format!("RAck: {} 1 INVITE\r\n", header(&at_trunk, "RSeq"));
    let of = |message: &str, from: &str, to: &str| [header(message, from), header(message, to), header(message, "Call-ID")];
    let mut stranger = Asker::new(STRANGER, &switch);
    for ([from, to, call_id], refusal) in [(of(&at_trunk, "From", "To"), 403), (of(&ringing, "To", "From"), 401)] {
        for method in ["PRACK", "UPDATE", "BYE", "INFO"] {
            let headers = format!(
                "From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 900 {method}\r\nContact: <sip:x@{STRANGER}>\r\n{rack}"
            );
            let answer = stranger.ask(&format!("{method} sip:{}", switch.sip()), &headers);
            assert_eq!(status(&answer), refusal, "{method}: {answer}");
        }
    }
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";
    says("200 OK", &invite, sdp);
    hears("ACK");
    says("200 OK", &hears("BYE"), "");
    good(&switch, customer);
}

/// RFC 7616 §3.4.6, §5.5.
#[test]
fn a_digest_that_was_overheard_is_good_for_nothing() {
    let site = site("attack-replay");
    let switch = site.start();
    let mut phone = Asker::new("127.0.0.1", &switch);
    let at = phone.socket.local_addr().expect("its address");
    let uri = format!("sip:{}", switch.sip());
    let own = "From: <sip:201@cordboard.test>;tag=x\r\nTo: <sip:201@cordboard.test>\r\n";
    let headers = |cseq: u32, method: &str, contact: &str| {
        format!("{own}Call-ID: replay\r\nCSeq: {cseq} {method}\r\nContact: <sip:201@{contact}>\r\nExpires: 300\r\n")
    };
    let register = format!("REGISTER {uri}");
    let challenge = phone.ask(&register, &headers(1, "REGISTER", &at.to_string()));
    assert_eq!(status(&challenge), 401);
    let signed = authorization(&challenge, "REGISTER", &uri);
    assert_eq!(status(&phone.ask(&register, &(headers(2, "REGISTER", &at.to_string()) + &signed))), 200);
    let bound = || switch.items("/api/v1/registrations").iter().map(|r| r["contact"].to_string()).collect::<Vec<_>>();
    let before = bound();

    let mut stranger = Asker::new(STRANGER, &switch);
    let there = stranger.socket.local_addr().expect("its address").to_string();
    let fresh = stranger.ask(&register, &headers(3, "REGISTER", &there));
    let tries = [
        ("the same again", register.clone(), "REGISTER", signed.clone()),
        ("with the next count", register.clone(), "REGISTER", signed.replace("nc=00000001", "nc=00000002")),
        ("for another request", format!("INVITE {uri}"), "INVITE", signed.clone()),
        ("for another address", "REGISTER sip:cordboard.test".to_owned(), "REGISTER", authorization(&fresh, "REGISTER", &uri)),
        ("in another realm", register.clone(), "REGISTER", signed.replace("realm=\"cordboard.test\"", "realm=\"elsewhere\"")),
        ("by an algorithm that was not offered", register.clone(), "REGISTER", signed.replace("MD5", "SHA-256")),
        ("without qop", register.clone(), "REGISTER", signed.replace(" qop=auth,", "")),
        ("with a qop that was not offered", register.clone(), "REGISTER", signed.replace("qop=auth", "qop=auth-int")),
        ("with a nonce of its own", register.clone(), "REGISTER", signed.replace("nonce=\"", "nonce=\"0")),
    ];
    for (n, (what, first, method, authorization)) in tries.into_iter().enumerate() {
        let headers = headers(10 + u32::try_from(n).unwrap_or(0), method, &there)
            .replace("Call-ID: replay", &format!("Call-ID: replay{n}"));
        let answer = stranger.ask(&first, &(headers + &authorization));
        assert!(matches!(status(&answer), 400 | 401), "{what}: {answer}");
    }
    assert_eq!(bound(), before);
    assert!(switch.items("/api/v1/conversations?state=live").is_empty());
}

/// RFC 3261 §10.3 step 6.
#[test]
fn a_thousand_contacts_are_refused() {
    let site = site("attack-contacts");
    let switch = site.start();
    let uri = format!("sip:{}", switch.sip());
    for (contacts, statuses) in [(6, &[403][..]), (200, &[403]), (1_000, &[400, 413, 513])] {
        let mut asker = Asker::new("127.0.0.1", &switch);
        let list: Vec<String> = (0..contacts).map(|n| format!("<sip:201@127.0.0.1:{}>", 2_000 + n)).collect();
        let headers = |cseq: u32| {
            format!(
                "From: <sip:201@cordboard.test>;tag=x\r\nTo: <sip:201@cordboard.test>\r\nCall-ID: many{contacts}\r\nCSeq: {cseq} REGISTER\r\n\
                 Contact: {}\r\nExpires: 300\r\n",
                list.join(", ")
            )
        };
        let mut answer = asker.ask(&format!("REGISTER {uri}"), &headers(1));
        if status(&answer) == 401 {
            let signed = authorization(&answer, "REGISTER", &uri);
            answer = asker.ask(&format!("REGISTER {uri}"), &(headers(2) + &signed));
        }
        assert!(statuses.contains(&status(&answer)), "{contacts}: {}", &answer[..answer.len().min(300)]);
    }
    assert!(switch.items("/api/v1/registrations").is_empty());
}

/// What a forged address gets in the name of whoever has it.
#[test]
fn a_stranger_is_not_answered_with_much_more_than_it_sent() {
    let site = site("attack-echo");
    let switch = site.start();
    let mut stranger = Asker::new(STRANGER, &switch);
    let mut worst = 0.0_f64;
    for (n, (method, headers)) in [
        ("OPTIONS", ""),
        ("REGISTER", "Contact: <sip:x@127.0.0.66>\r\n"),
        ("INVITE", "Contact: <sip:x@127.0.0.66>\r\n"),
        ("SUBSCRIBE", "Event: dialog\r\n"),
        ("MESSAGE", ""),
        ("BYE", ""),
        ("JUMP", ""),
        ("INVITE", "Require: nonsense\r\n"),
        ("INVITE", "Max-Forwards: x\r\n"),
        ("OPTIONS", "Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = format!(
            "{method} sip:x@{at} SIP/2.0\r\n{via}From: <sip:x@x>;tag=x\r\nTo: <sip:x@x>\r\nCall-ID: echo{n}\r\nCSeq: 1 {method}\r\n\
             User-Agent: friendly-scanner\r\n{headers}Content-Length: 0\r\n\r\n",
            at = switch.sip(),
            via = stranger.via(),
        );
        stranger.socket.send_to(sent.as_bytes(), switch.sip()).expect("sent");
        let answer = stranger.hear();
        assert!(answer.contains(&format!("echo{n}")), "one answer each, and none again: {answer}");
        let grown = answer.len() as f64 / sent.len() as f64;
        worst = worst.max(grown);
        assert!(answer.len() <= sent.len() + 300, "{method} {headers:?}: {} for {}\n{answer}", answer.len(), sent.len());
    }
    // As short as can be (RFC 3261 §7.3.3): a 200 without lists, and the challenges that there must be, whose number is bounded.
    for (n, (method, most)) in [("OPTIONS", 2.0), ("REGISTER", 3.5), ("INVITE", 3.5), ("JUMP", 2.0)].into_iter().enumerate() {
        let sent = format!(
            "{method} sip:x SIP/2.0\r\nv:SIP/2.0/UDP x;rport;branch=z9hG4bK{n}\r\nf:<sip:x@x>;tag=a\r\nt:<sip:x@x>\r\ni:short{n}\r\n\
             CSeq:1 {method}\r\nm:<sip:x>\r\nl:0\r\n\r\n"
        );
        stranger.socket.send_to(sent.as_bytes(), switch.sip()).expect("sent");
        let answer = stranger.hear();
        assert!(answer.contains(&format!("short{n}")), "{answer}");
        let grown = answer.len() as f64 / sent.len() as f64;
        worst = worst.max(grown);
        assert!(grown <= most, "{method}: {grown:.1} times: {} for {}\n{answer}", answer.len(), sent.len());
    }
    // Nothing is repeated to who has proven nothing: what comes next is the answer to this.
    stranger.is_answered();
    println!("a stranger gets at most {worst:.1} times what it sent");
}

/// A description is what a phone says; who it is says where it is heard from.
#[test]
fn audio_does_not_go_where_a_phone_points_it() {
    let site = site("attack-audio");
    let switch = site.start();
    let victim = UdpSocket::bind(("127.0.0.7", ports::port())).expect("a port");
    victim.set_nonblocking(true).expect("not blocking");
    let port = victim.local_addr().expect("its address").port();
    let sdp = format!(
        "body application/sdp v=0\\no=- 1 1 IN IP4 127.0.0.7\\ns=-\\nc=IN IP4 127.0.0.7\\nt=0 0\\nm=audio {port} RTP/AVP 0\\na=rtpmap:0 PCMU/8000\\n"
    );
    let heard = || {
        let mut buffer = [0; 2_000];
        std::iter::from_fn(|| victim.recv(&mut buffer).ok()).count()
    };
    let phone = format!(">> INVITE 600 | {sdp}\n< 200\n> ACK\nwait 1500\n> BYE\n< 200");
    good(&switch, sipp(&site, "phone", "201", &phone).target(switch.sip()).start());
    assert_eq!(heard(), 0, "a phone points at somebody else");
    // A carrier may: its audio often comes from another machine.
    let carrier = format!("> INVITE +4930602 | {sdp}\n< 200\n> ACK\nwait 1000\n> BYE\n< 200");
    good(&switch, sipp(&site, "carrier", "+49301111", &carrier).address(TRUNK).target(switch.sip()).start());
    assert!(heard() > 20, "this ear is not deaf");
}

#[test]
fn no_secret_is_told() {
    let account =
        "[[trunk]]\nname = \"account\"\npeer = \"127.0.0.4\"\nprobe = \"off\"\nuser = \"us\"\nsecret = \"word-of-the-trunk\"\n";
    let user = "[[user]]\nname = \"boss\"\npassword = \"word-of-the-boss\"\ntoken = \"token-of-the-boss-0123456789\"\n";
    let mailbox = "[[phone]]\nnumber = \"203\"\nsecret = \"secret-203\"\nvoicemail = true\npin = \"47114711\"\n";
    let far = ports::port();
    let outside = format!(
        "[[trunk]]\nname = \"far\"\npeer = \"127.0.0.3:{far}\"\nprobe = \"off\"\nuser = \"us\"\nsecret = \"word-of-the-far\"\n\
         [[outbound]]\npattern = \"0*\"\nstrip = 1\ntrunk = [\"far\"]\n"
    );
    let site = site("attack-secrets").verbose().with(account).with(user).with(mailbox).with(&outside);
    let mut switch = site.start();
    let story = switch.events("since=0");
    // Right and wrong digests, ours to a carrier, a menu's and a mailbox's digits.
    let registers = "> REGISTER - | Expires: 60\n< 401 | auth\n> REGISTER - | Expires: 60 | as 202 word-that-is-wrong\n< 401";
    good(&switch, sipp(&site, "wrong", "202", registers).target(switch.sip()).start());
    let carrier = "< INVITE\n> 407 | Proxy-Authenticate: Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n< ACK\n\
                   < INVITE | Proxy-Authorization ~ us\n> 200 of INVITE | sdp\n< ACK\n< BYE\n> 200";
    let carrier = sipp(&site, "far", "uas", carrier).address("127.0.0.3").port(far).start();
    carrier.wait_until_bound();
    let dials = ">> INVITE 01234 | sdp\n<? 180\n< 200\n> ACK\n> BYE\n< 200";
    let dials = sipp(&site, "dials", "201", dials).target(switch.sip()).start();
    wait_until("it is told", SOON, || story.events().iter().any(|e| e.kind == "call.ended"));
    let mut digests = Vec::new();
    for party in [&carrier, &dials] {
        let messages = party.messages();
        digests.extend(messages.split("response=\"").skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
    }
    good(&switch, dials);
    good(&switch, carrier);
    assert!(digests.len() >= 2, "{digests:?}");
    let pin = "> INVITE *97 | sdp\n< 401 | auth\n> ACK\n> INVITE *97 | sdp | as 203 secret-203\n< 200\n> ACK\n\
               > INFO | body application/dtmf-relay Signal=4\\nDuration=160\\n\n< 200\n> BYE\n< 200";
    let pin = sipp(&site, "pin", "203", pin).argument("-auth_uri").argument(format!("*97@{}", switch.sip()));
    good(&switch, pin.target(switch.sip()).start());
    let login = switch.request("POST", "/api/v1/login", Some(&json!({"name": "boss", "password": "word-of-the-boss"})), &[]);
    drop(login);

    let mut said = Vec::new();
    let ids: Vec<String> = wait_for("all calls are in the list", SOON, || {
        let ids = switch.items("/api/v1/conversations");
        (ids.len() >= 2).then(|| ids.iter().filter_map(|c| c["id"].as_str().map(str::to_owned)).collect())
    });
    let mut paths: Vec<String> = [
        "/metrics",
        "/readyz",
        "/healthz",
        "/api/v1/me",
        "/api/v1/openapi.json",
        "/api/v1/phones",
        "/api/v1/phones/201/forwarding",
        "/api/v1/registrations",
        "/api/v1/trunks",
        "/api/v1/agents",
        "/api/v1/queues",
        "/api/v1/bans",
        "/api/v1/conversations",
        "/api/v1/conversations?state=live",
        "/api/v1/recordings",
        "/api/v1/voicemail/203",
        "/api/v1/signalling",
        "/api/v1/signalling.pcap",
    ]
    .map(str::to_owned)
    .into();
    for id in &ids {
        paths.extend(
            ["", "/ladder", "/ladder?format=text", "/ladder.pcap"].map(|rest| format!("/api/v1/conversations/{id}{rest}")),
        );
    }
    for path in &paths {
        said.push((path.clone(), switch.get(path).text()));
    }
    for event in story.events() {
        said.push((format!("event {}", event.kind), event.cloud_event.to_string()));
    }
    switch.terminate();
    switch.wait_for_end(SOON);
    said.push(("the log".to_owned(), switch.output()));
    let mut folders = vec![site.recordings()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => said.push((path.display().to_string(), read_lossy(&path))),
            }
        }
    }
    assert!(said.iter().any(|(_, text)| text.contains("INVITE sip:")), "there is something to see");
    let words = ["secret-20", "word-of-the", "token-of-the-boss", "47114711", "word-that-is-wrong", TOKEN];
    for (place, text) in &said {
        let found = words.iter().copied().chain(digests.iter().map(String::as_str)).find(|word| text.contains(word));
        if let Some(word) = found {
            let at = text.find(word).unwrap_or(0);
            let around: String = text.chars().skip(text[..at].chars().count().saturating_sub(150)).take(300).collect();
            panic!("{word:?} in {place}: {around}");
        }
    }
}

/// What ends a call that there is not, again and again.
const STRAYS: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="strays">
  <send><![CDATA[
BYE sip:201@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:x@[local_ip]>;tag=[call_number]
To: <sip:201@[remote_ip]>;tag=nobody
Call-ID: [call_id]
CSeq: 1 BYE
Authorization: Digest username="201", realm="cordboard.test", nonce="[call_number]", uri="sip:x", response="0"
Content-Length: 0

]]></send>
</scenario>
"#;

/// The flood has the phone's address, as if it were forged: SIPp sends, from the moment of the ban on, what no transport lets through. A
/// phone that is new there registers by UDP all the same, and is called.
#[test]
fn a_new_phone_registers_from_an_address_that_a_flood_has_got_banned() {
    let site = Site::new("ban-udp").phone("201").phone("202");
    let switch = site.start();
    let story = switch.events("since=0");
    let mut caller = Baresip::phone(site.folder(), "202").registrar(switch.sip(), &secret("202")).start();
    switch.wait_for_registration("202", SOON);
    let flood = Sipp::scenario(site.folder().path(), "flood", STRAYS).target(switch.sip()).calls(60_000);
    let mut flood = flood.argument("-r").argument(400).start();
    let ban = story.wait_for("guard.banned", SOON, |_| true);
    assert_eq!(ban.data()["udp_only"], true, "{}", ban.cloud_event);
    let mut phone = Baresip::phone(site.folder(), "201").registrar(switch.sip(), &secret("201")).start();
    switch.wait_for_registration("201", 2 * SOON);
    caller.dial(&format!("sip:201@{}", switch.sip()));
    phone.wait_for("CALL_INCOMING", SOON);
    phone.accept();
    caller.wait_for("CALL_ESTABLISHED", SOON);
    caller.hang_up();
    phone.wait_for("CALL_CLOSED", SOON);
    assert_eq!(flood.code(), None, "the flood has gone on all the time");
    assert_eq!(switch.items("/api/v1/bans").len(), 1);
}
