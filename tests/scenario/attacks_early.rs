//! Attacks on calls that ring, or are just answered: who has overheard an early dialog, and is somebody else. Those on calls that talk are
//! in `attacks`.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::sip::{Flow, HeaderName, Login, Message, Method, Request, Response, Status, Transport, intake};
use cordboard::switch::Input;

use crate::attacks::{sent, text, within};
use crate::guarding_the_door::{STRANGER, send, status};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, switch};

const SECOND: Duration = Duration::from_secs(1);

/// 201 rings for this one, who has said that it wants to acknowledge so.
fn rings_for(sim: &mut Sim, caller: SocketAddr, number: &str) -> SocketAddr {
    let callee = sim.phone("201");
    sim.set(callee, OnInvite::Ring);
    sim.act(caller, |ua, now| {
        ua.pracks = false;
        ua.more.push(("Require", "100rel"));
        ua.call(number, now);
    });
    sim.run_until("it rings", |s| s.ua(callee).is_ringing() && s.ua(caller).statuses.iter().any(|(_, status)| *status == 180));
    callee
}

/// What we have said last that is so.
fn last_response(sim: &Sim, wanted: Status) -> Response {
    let is_wanted = |m: Message| match m {
        Message::Response(response) => Some(response).filter(|r| r.status == wanted),
        Message::Request(_) => None,
    };
    sent(sim).find_map(is_wanted).expect("a response")
}

/// The early dialog that our 180 has made, as somebody who has overheard it would go on in it; and its RAck.
fn overheard(sim: &Sim) -> ([String; 3], u32, String) {
    let ringing = last_response(sim, Status::RINGING);
    let dialog = [&HeaderName::From, &HeaderName::To, &HeaderName::CallId].map(|name| text(ringing.headers.get(name)));
    let rseq = text(ringing.headers.get(&HeaderName::RSeq));
    let cseq = text(ringing.headers.get(&HeaderName::CSeq));
    (dialog, rseq.parse().expect("a number"), format!("RAck: {rseq} {cseq}\r\n"))
}

fn has_wrong_tag(dialog: &[String; 3]) -> [String; 3] {
    let [from, to, call_id] = dialog.clone();
    [from.replace("tag=", "tag=x"), to, call_id]
}

const METHODS: [&str; 6] = ["PRACK", "UPDATE", "BYE", "INVITE", "INFO", "REFER"];

/// RFC 3262 §3, RFC 3311 §5.2: numbers that somebody else has used up would have the caller's own requests refused.
#[test]
fn who_has_overheard_a_call_that_rings_neither_ends_nor_changes_it_under_its_callers_name() {
    for (is_trunk, refusal) in [(true, 403), (false, 401)] {
        let mut sim = Sim::new(60);
        let caller = if is_trunk { sim.trunk() } else { sim.phone("210") };
        let callee = rings_for(&mut sim, caller, if is_trunk { "+4930555201" } else { "201" });
        let (dialog, rseq, rack) = overheard(&sim);
        for method in METHODS {
            let answer = send(&mut sim, STRANGER, within(&dialog, method, 900_000) + &rack);
            assert_eq!(status(&answer), refusal, "{method}, trunk: {is_trunk}");
            let answer = send(&mut sim, STRANGER, within(&has_wrong_tag(&dialog), method, 900_001) + &rack);
            assert_eq!(status(&answer), 481, "{method}, trunk: {is_trunk}");
        }
        assert!(sim.ua(callee).is_ringing() && sim.ended().is_empty(), "{}", sim.story());
        // Its own count as if nothing had been. A PRACK of something else is none, and uses up no number.
        sim.act(caller, |ua, now| {
            ua.count_on(1_000);
            ua.prack(rseq + 5, now);
            ua.count_on(-1_001);
            ua.prack(rseq, now);
        });
        sim.run_until("200 to PRACK", |s| s.ua(caller).last_status("PRACK") == Some(200));
        assert!(sim.ua(caller).statuses.contains(&("PRACK".to_owned(), 481)));
        sim.act(caller, |ua, now| ua.update_early(now));
        sim.run_until("200 to UPDATE", |s| s.ua(caller).last_status("UPDATE") == Some(200));
        sim.act(callee, |ua, now| ua.answer(now));
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        let since = sim.now.mono;
        sim.run_for(SECOND);
        let (a, b) = (sim.ua(caller).byte, sim.ua(callee).byte);
        assert!(sim.ua(caller).heard(b, since) > 40 && sim.ua(callee).heard(a, since) > 40, "{}", sim.story());
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.assert_clean();
        assert_eq!(sim.ua(caller).last_status("BYE"), Some(200));
    }
}

#[test]
fn who_has_overheard_a_call_that_rings_changes_nothing_under_the_name_of_who_is_called() {
    for (is_trunk, refusal) in [(true, 403), (false, 401)] {
        let mut sim = Sim::new(61);
        let (caller, callee) = (sim.phone("210"), if is_trunk { sim.trunk() } else { sim.phone("201") });
        sim.set(callee, OnInvite::Ring);
        sim.act(caller, |ua, now| {
            ua.call(if is_trunk { "04940123" } else { "201" }, now);
        });
        sim.run_until("it rings", |s| {
            s.ua(callee).is_ringing() && s.ua(caller).statuses.iter().any(|(_, status)| *status == 180)
        });
        let is_invite = |m: Message| match m {
            Message::Request(request) => Some(request).filter(|r: &Request| r.method == Method::Invite),
            Message::Response(_) => None,
        };
        let invite = sent(&sim).find_map(is_invite).expect("an INVITE");
        let [us, whom, call_id] =
            [&HeaderName::From, &HeaderName::To, &HeaderName::CallId].map(|name| text(invite.headers.get(name)));
        let (own, _) = sim.ua(callee).last().expect("a call").tags();
        let dialog = [format!("{whom};tag={}", String::from_utf8_lossy(&own)), us, call_id];
        for method in METHODS {
            let answer = send(&mut sim, STRANGER, within(&dialog, method, 900_000));
            assert_eq!(status(&answer), refusal, "{method}, trunk: {is_trunk}");
            let answer = send(&mut sim, STRANGER, within(&has_wrong_tag(&dialog), method, 900_001));
            assert_eq!(status(&answer), 481, "{method}, trunk: {is_trunk}");
        }
        assert!(sim.ua(callee).is_ringing() && sim.ended().is_empty(), "{}", sim.story());
        // Its offer collides with ours: it is not out of order (500).
        sim.act(callee, |ua, now| ua.offer_early("sendrecv", now));
        sim.run_until("491 to UPDATE", |s| s.ua(callee).last_status("UPDATE") == Some(491));
        sim.act(callee, |ua, now| ua.answer(now));
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        sim.act(callee, |ua, now| ua.hang_up(now));
        sim.assert_clean();
        assert_eq!(sim.ua(callee).last_status("BYE"), Some(200));
    }
}

/// RFC 3261 §12.1: the proxy of a carrier need not stay in the dialog that its gateway has named itself in.
#[test]
fn a_carriers_gateway_speaks_before_the_answer_too() {
    for inbound in [true, false] {
        let mut sim = Sim::new(62);
        let (trunk, gateway) = (sim.trunk(), SocketAddr::from(([10, 2, 0, 77], 5_060)));
        sim.act(trunk, |ua, _| ua.names = Some(gateway));
        match inbound {
            true => {
                let callee = rings_for(&mut sim, trunk, "+4930555201");
                let (_, rseq, _) = overheard(&sim);
                sim.behind.insert(trunk, gateway);
                sim.act(trunk, |ua, now| ua.prack(rseq, now));
                sim.run_until("200 to PRACK", |s| s.ua(trunk).last_status("PRACK") == Some(200));
                sim.act(trunk, |ua, now| ua.bye_early(now));
                sim.run_until("200 to BYE", |s| s.ua(trunk).last_status("BYE") == Some(200) && s.ua(callee).is_idle());
            }
            false => {
                let caller = sim.phone("210");
                sim.set(trunk, OnInvite::Ring);
                sim.act(caller, |ua, now| {
                    ua.call("04940123", now);
                });
                sim.run_until("it rings", |s| s.ua(caller).statuses.iter().any(|(_, status)| *status == 180));
                sim.behind.insert(trunk, gateway);
                sim.act(trunk, |ua, now| ua.offer_early("sendrecv", now));
                sim.run_until("491 to UPDATE", |s| s.ua(trunk).last_status("UPDATE") == Some(491));
                sim.behind.clear();
                sim.act(caller, |ua, now| ua.hang_up(now));
            }
        }
        sim.behind.clear();
        sim.assert_clean();
    }
}

/// RFC 3261 §13.2.2.4: the answer to an offer in our 2xx comes in an ACK, which nobody can be challenged for.
#[test]
fn who_acknowledges_for_another_gets_no_audio() {
    for is_trunk in [true, false] {
        let mut sim = Sim::new(64);
        let caller = if is_trunk { sim.trunk() } else { sim.phone("210") };
        let callee = sim.phone("201");
        sim.act(caller, |ua, now| {
            ua.acks = false;
            ua.call_with_late_offer(if is_trunk { "+4930555201" } else { "201" }, now);
        });
        sim.run_until("it is answered", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        let answer = last_response(&sim, Status::OK);
        let dialog = [&HeaderName::From, &HeaderName::To, &HeaderName::CallId].map(|name| text(answer.headers.get(name)));
        let cseq = answer.headers.cseq().expect("a CSeq").number;
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
        let ack = within(&dialog, "ACK", cseq)
            + &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
        let remote: SocketAddr = STRANGER.parse().expect("an address");
        let flow = Flow { transport: Transport::Udp, local: switch(), remote, connection: None };
        sim.input(Input::Sip { flow, message: intake(Bytes::from(ack)).expect("valid") });
        sim.run_for(SECOND);
        assert!(!sim.network.media_to.contains_key(&remote.ip()), "trunk: {is_trunk}\n{}", sim.story());
        sim.act(caller, |ua, _| {
            ua.acks = true;
            ua.acknowledge();
        });
        sim.run_for(SECOND);
        let since = sim.now.mono;
        sim.run_for(SECOND);
        let (a, b) = (sim.ua(caller).byte, sim.ua(callee).byte);
        assert!(sim.ua(caller).heard(b, since) > 40 && sim.ua(callee).heard(a, since) > 40, "{}", sim.story());
        sim.act(caller, |ua, now| ua.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_phone_that_has_come_to_another_network_proves_itself_before_the_answer_too() {
    let mut sim = Sim::new(63);
    let caller = sim.phone("210");
    let callee = rings_for(&mut sim, caller, "201");
    let (dialog, _, rack) = overheard(&sim);
    let Some(Message::Response(challenge)) = send(&mut sim, STRANGER, within(&dialog, "PRACK", 900_000) + &rack) else {
        panic!("no challenge");
    };
    let signed = |method: Method, user: &str, count: u32| {
        let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
        let (uri, password) = (Bytes::from_static(b"sip:10.0.0.1:5060"), format!("secret-{user}"));
        let credentials = challenges[0].answer(&Login { username: user, password: &password }, &method, &uri, count, b"c");
        let mut request = Request::new(method.clone(), cordboard::sip::Uri::parse(uri).expect("a URI"));
        request.headers.push(HeaderName::Authorization, &credentials);
        let value = text(request.headers.get(&HeaderName::Authorization));
        within(&dialog, method.as_str(), 900_000 + count) + &rack + &format!("Authorization: {value}\r\n")
    };
    let (others, own, last) = (signed(Method::Prack, "202", 1), signed(Method::Prack, "210", 2), signed(Method::Bye, "210", 3));
    assert_eq!(status(&send(&mut sim, STRANGER, others)), 403);
    assert_eq!(status(&send(&mut sim, STRANGER, own)), 200);
    assert!(sim.ua(callee).is_ringing());
    assert_eq!(status(&send(&mut sim, STRANGER, last)), 200);
    sim.run_until("the other is let go", |s| s.ua(callee).is_idle());
    sim.act(caller, |ua, _| ua.forget());
    assert_eq!(sim.ended().len(), 1);
}
