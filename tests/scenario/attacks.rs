//! Attacks on calls that live, and on what a phone may say of itself. Floods, guessing and bans are in `guarding_the_door`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::sip::{HeaderName, Login, Message, Method, NameAddr, Request, Response};

use crate::guarding_the_door::{STRANGER, send, status};
use crate::sim::Sim;

const SECOND: Duration = Duration::from_secs(1);

/// A customer who talks to 201.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    (sim, phone, trunk)
}

fn sent(sim: &Sim) -> impl Iterator<Item = Message> {
    sim.trace.iter().rev().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok())
}

/// The dialog with the phone, as somebody who has overheard it would go on in it: From, To, Call-ID.
fn overheard_at_phone(sim: &Sim) -> [String; 3] {
    let is_ack =
        |m: Message| if let Message::Request(r) = m { Some(r).filter(|r: &Request| r.method == Method::Ack) } else { None };
    let ack = sent(sim).find_map(is_ack).expect("an ACK to the phone");
    [&HeaderName::To, &HeaderName::From, &HeaderName::CallId].map(|name| text(ack.headers.get(name)))
}

/// The same with the trunk, who called us.
fn overheard_at_trunk(sim: &Sim) -> [String; 3] {
    let is_answer = |m: Message| match m {
        Message::Response(r) if r.headers.cseq().is_ok_and(|c| c.method == Method::Invite) => {
            Some(r).filter(|r: &Response| r.status.is_success())
        }
        Message::Response(_) | Message::Request(_) => None,
    };
    let answer = sent(sim).find_map(is_answer).expect("an answer to the trunk");
    [&HeaderName::From, &HeaderName::To, &HeaderName::CallId].map(|name| text(answer.headers.get(name)))
}

fn text(value: Option<&Bytes>) -> String {
    String::from_utf8_lossy(value.expect("a header")).into_owned()
}

fn within(dialog: &[String; 3], method: &str, cseq: u32) -> String {
    let [from, to, call_id] = dialog;
    format!(
        "{method} sip:10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:evil@192.0.2.66>\r\n"
    )
}

#[test]
fn who_has_overheard_a_dialog_neither_ends_nor_takes_it_from_elsewhere() {
    let (mut sim, phone, trunk) = talking(1);
    for (dialog, refusal) in [(overheard_at_phone(&sim), 401), (overheard_at_trunk(&sim), 403)] {
        for method in ["BYE", "INVITE", "UPDATE", "REFER", "INFO"] {
            let answer = send(&mut sim, STRANGER, within(&dialog, method, 900_000));
            assert_eq!(status(&answer), refusal, "{method}");
        }
        let mut wrong = dialog.clone();
        wrong[0] = wrong[0].replace("tag=", "tag=x");
        assert_eq!(status(&send(&mut sim, STRANGER, within(&wrong, "BYE", 900_001))), 481);
    }
    assert!(sim.ua(phone).is_up() && sim.ua(trunk).is_up() && sim.ended().is_empty());
    // They go on as if nothing had been: later numbers were not used up, and nothing goes to the stranger.
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (p, t) = (sim.ua(phone).byte, sim.ua(trunk).byte);
    assert!(sim.ua(phone).heard(t, since) > 80 && sim.ua(trunk).heard(p, since) > 80);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn a_phone_in_another_network_proves_itself_and_ends_its_call() {
    let (mut sim, phone, trunk) = talking(2);
    let dialog = overheard_at_phone(&sim);
    let text = within(&dialog, "BYE", 900_000);
    let Some(Message::Response(challenge)) = send(&mut sim, STRANGER, text) else { panic!("no challenge") };
    let signed = |user: &str, password: &str, cseq: u32| {
        let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
        let uri = Bytes::from_static(b"sip:10.0.0.1:5060");
        let credentials = challenges[0].answer(&Login { username: user, password }, &Method::Bye, &uri, cseq - 900_000, b"c");
        let value = {
            let mut request = Request::new(Method::Bye, cordboard::sip::Uri::parse(uri).expect("uri"));
            request.headers.push(HeaderName::Authorization, &credentials);
            String::from_utf8_lossy(request.headers.get(&HeaderName::Authorization).expect("it")).into_owned()
        };
        within(&dialog, "BYE", cseq) + &format!("Authorization: {value}\r\n")
    };
    let (wrong, others, own) =
        (signed("201", "guessed", 900_001), signed("202", "secret-202", 900_002), signed("201", "secret-201", 900_003));
    assert_eq!(status(&send(&mut sim, STRANGER, wrong)), 401);
    assert_eq!(status(&send(&mut sim, STRANGER, others)), 403, "a colleague ends no other's call");
    assert!(sim.ended().is_empty());
    assert_eq!(status(&send(&mut sim, STRANGER, own)), 200);
    sim.run_until("the customer is let go", |s| s.ua(trunk).is_idle());
    sim.act(phone, |p, _| p.forget());
    assert_eq!(sim.ended().len(), 1);
}

#[test]
fn five_hundred_invites_a_second_harm_no_call() {
    let (mut sim, phone, trunk) = talking(3);
    let since = sim.now.mono;
    for n in 0..2_000 {
        let text = format!(
            "INVITE sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK-f{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:201@10.0.0.1>;tag=s{n}\r\nTo: <sip:201@10.0.0.1>\r\nCall-ID: flood-{n}\r\nCSeq: 1 INVITE\r\n"
        );
        assert_eq!(status(&send(&mut sim, STRANGER, text)), 401);
        sim.run_for(SECOND / 500);
    }
    let (p, t) = (sim.ua(phone).byte, sim.ua(trunk).byte);
    assert!(sim.ua(phone).heard(t, since) > 180 && sim.ua(trunk).heard(p, since) > 180);
    assert_eq!(sim.ended().len(), 0);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// RFC 3261 §8.2.6, §16.3.
#[test]
fn a_request_that_has_no_hop_left_goes_nowhere() {
    let mut sim = Sim::new(4);
    let phone = sim.phone("201");
    for method in ["INVITE", "OPTIONS", "MESSAGE"] {
        let text = format!(
            "{method} sip:+4930555201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1;rport;branch=z9hG4bK-{method}\r\nMax-Forwards: 0\r\n\
             From: <sip:1@10.2.0.1>;tag=s\r\nTo: <sip:201@10.0.0.1>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\n"
        );
        assert_eq!(status(&send(&mut sim, "10.2.0.1:5060", text)), 483);
    }
    assert!(sim.ua(phone).invites.is_empty());
}

/// RFC 3325 §5: a phone is not trusted to say who it is. And escaped line ends in it become no header on the other leg.
#[test]
fn what_a_trunk_or_phone_puts_into_headers_does_not_come_out_on_the_other_leg() {
    let mut sim = Sim::new(5);
    let phone = sim.phone("201");
    let sdp = "v=0\r\no=- 1 1 IN IP4 10.2.0.1\r\ns=-\r\nc=IN IP4 10.2.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let invite = format!(
        "INVITE sip:+4930555201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1;rport;branch=z9hG4bK-x\r\nMax-Forwards: 70\r\n\
         From: \"x%0d%0aEvil: 1\" <sip:4930%0d%0aEvil:%202@10.2.0.1>;tag=s\r\nTo: <sip:+4930555201@10.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:c@10.2.0.1>\r\nRemote-Party-ID: <sip:110@evil>\r\nDiversion: <sip:112@evil>\r\nHistory-Info: <sip:evil@evil>;index=1\r\n\
         P-Charging-Vector: evil\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    let flow = cordboard::sip::Flow {
        transport: cordboard::sip::Transport::Udp,
        local: crate::sim::switch(),
        remote: "10.2.0.1:5060".parse().expect("address"),
        connection: None,
    };
    let message = cordboard::sip::intake(Bytes::from(invite)).expect("valid");
    sim.input(cordboard::switch::Input::Sip { flow, message });
    sim.run_until("it rings", |s| !s.ua(phone).invites.is_empty());
    let is_invite =
        |m: Message| if let Message::Request(r) = m { Some(r).filter(|r: &Request| r.method == Method::Invite) } else { None };
    let other = sent(&sim).find_map(is_invite).expect("an INVITE to the phone");
    let printed = String::from_utf8_lossy(&other.to_bytes()).into_owned();
    assert!(!printed.to_ascii_lowercase().contains("\r\nevil"), "{printed}");
    for name in ["Remote-Party-ID", "Diversion", "History-Info", "P-Charging-Vector", "P-Asserted-Identity"] {
        assert!(!printed.contains(&format!("\r\n{name}:")), "{printed}");
    }
    assert!(NameAddr::parse(other.headers.get(&HeaderName::From).expect("From").clone()).is_ok());
}
