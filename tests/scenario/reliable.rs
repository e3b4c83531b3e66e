//! Reliable provisional responses (RFC 3262), as the one who is called and as the one who calls.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use cordboard::sip::{HeaderName, Message, Method, Request, Response, Status, Transport};

use crate::sim::network::Parcel;
use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, switch};

const SECOND: Duration = Duration::from_secs(1);

/// 210 calls outside, and says this of 100rel; the carrier has an announcement.
fn announced(seed: u8, says: &'static str) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, carrier) = (sim.phone("210"), sim.trunk());
    sim.act(carrier, |c, _| c.early = true);
    sim.act(phone, |p, _| p.more.push((says, "100rel")));
    (sim, phone, carrier)
}

fn dial(sim: &mut Sim, from: SocketAddr, number: &str) {
    sim.act(from, |p, now| {
        p.call(number, now);
    });
}

fn provisional(sim: &Sim, at: SocketAddr) -> Vec<u16> {
    sim.ua(at).statuses.iter().filter(|(m, s)| m == "INVITE" && *s > 100 && *s < 200).map(|(_, s)| *s).collect()
}

#[test]
fn who_requires_it_gets_every_provisional_response_so_and_the_call_goes_on() {
    let mut sim = Sim::new(1);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.act(caller, |p, _| p.more.push(("Require", "100rel")));
    dial(&mut sim, caller, "201");
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
    assert_eq!((provisional(&sim, caller), sim.ua(caller).last_status("PRACK")), (vec![180], Some(200)));
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(caller).heard(sim.ua(callee).byte, since) > 30);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
    assert_eq!(sim.ua(caller).last_status("BYE"), Some(200));
}

#[test]
fn who_supports_it_gets_the_announcement_so_and_hears_it() {
    let (mut sim, phone, carrier) = announced(2, "Supported");
    dial(&mut sim, phone, "04940123");
    sim.run_until("it is announced", |s| s.ua(phone).last_status("PRACK") == Some(200));
    let since = sim.now.mono;
    sim.run_for(SECOND);
    assert!(sim.ua(phone).heard(sim.ua(carrier).byte, since) > 30);
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    assert_eq!(provisional(&sim, phone), [183]);
    sim.act(carrier, |c, now| c.hang_up(now));
    sim.assert_clean();
}

#[test]
fn what_nobody_acknowledges_is_repeated_and_the_call_refused_in_the_end() {
    let (mut sim, phone, carrier) = announced(3, "Supported");
    sim.set(carrier, OnInvite::Ring);
    sim.act(phone, |p, _| p.pracks = false);
    dial(&mut sim, phone, "04940123");
    let began = sim.now.mono;
    sim.run_until("refused", |s| s.ua(phone).is_idle());
    let waited = sim.now.mono.since(began);
    assert!(waited > 31 * SECOND && waited < 34 * SECOND, "{waited:?}");
    // After 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    assert_eq!((provisional(&sim, phone).len(), sim.ua(phone).final_status()), (7, Some(504)));
    sim.assert_clean();
}

#[test]
fn the_answer_waits_for_the_acknowledgement_of_what_was_described_before_it() {
    let (mut sim, phone, carrier) = announced(4, "Supported");
    sim.act(phone, |p, _| p.pracks = false);
    dial(&mut sim, phone, "04940123");
    sim.run_until("the carrier has answered", |s| s.ua(carrier).is_up());
    sim.run_for(SECOND);
    assert!(!sim.ua(phone).is_up(), "its 200 waits");
    let rseq = {
        let seen = sim.ua(phone).log.iter().rev().find_map(|line| line.split("rseq=").nth(1).map(str::to_owned));
        seen.and_then(|n| n.parse::<u32>().ok()).unwrap_or_else(|| panic!("no RSeq\n{}", sim.story()))
    };
    // Not its number: nothing.
    sim.act(phone, |p, now| p.prack(rseq + 5, now));
    sim.run_until("refused", |s| s.ua(phone).last_status("PRACK") == Some(481));
    sim.run_for(SECOND / 4);
    assert!(!sim.ua(phone).is_up());
    sim.act(phone, |p, now| p.prack(rseq, now));
    sim.run_until("answered", |s| s.ua(phone).is_up());
    assert_eq!(sim.ua(phone).last_status("PRACK"), Some(200));
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(carrier).heard(sim.ua(phone).byte, since) > 30);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_answer_that_waits_in_vain_goes_all_the_same_and_one_whose_call_ends_is_ended_by_bye() {
    let (mut sim, phone, _) = announced(5, "Supported");
    sim.act(phone, |p, _| p.pracks = false);
    dial(&mut sim, phone, "04940123");
    sim.run_until("answered late", |s| s.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();

    let (mut sim, phone, carrier) = announced(6, "Supported");
    sim.act(phone, |p, _| p.pracks = false);
    dial(&mut sim, phone, "04940123");
    sim.run_until("the carrier has answered", |s| s.ua(carrier).is_up());
    sim.run_for(SECOND / 2);
    sim.act(carrier, |c, now| c.hang_up(now));
    sim.run_until("told", |s| s.ua(phone).byes == 1);
    assert!(sim.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn a_carriers_reliable_responses_are_acknowledged_once_each_and_in_order() {
    let mut sim = Sim::new(7);
    let (phone, carrier) = (sim.phone("210"), sim.add(Ua::trunk([10, 2, 0, 1].into())));
    sim.act(carrier, |c, _| {
        c.early = true;
        c.rseq = Some(4_000);
    });
    dial(&mut sim, phone, "04940123");
    sim.run_until("acknowledged", |s| !s.ua(carrier).racks.is_empty());
    // Once more, and one whose predecessor is lost.
    for number in [4_000, 4_007] {
        sim.act(carrier, |c, _| {
            c.rseq = Some(number);
            c.ring_again();
        });
    }
    sim.run_for(SECOND / 2);
    assert_eq!(sim.ua(carrier).racks, ["4000 1 INVITE"]);
    sim.act(carrier, |c, _| {
        c.rseq = Some(4_001);
        c.ring_again();
    });
    sim.run_until("the next one", |s| s.ua(carrier).racks.len() == 2);
    assert_eq!(sim.ua(carrier).racks[1], "4001 1 INVITE");
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("the carrier is told", |s| s.ua(carrier).byes == 1);
    let bye = sim.ua(carrier).cseqs.iter().rfind(|(m, _)| m == "BYE").map(|(_, n)| *n);
    assert_eq!(bye, Some(4), "after INVITE, PRACK and PRACK");
    sim.assert_clean();
}

#[test]
fn a_caller_who_gives_up_while_an_acknowledgement_is_awaited_leaves_nothing_behind() {
    let (mut sim, phone, carrier) = announced(8, "Require");
    sim.act(phone, |p, _| p.pracks = false);
    sim.set(carrier, OnInvite::Ring);
    dial(&mut sim, phone, "04940123");
    sim.run_until("it is announced", |s| !provisional(s, phone).is_empty());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.ua(phone).is_idle() && s.ua(carrier).is_idle());
    assert_eq!(sim.ua(phone).final_status(), Some(487));
    sim.assert_clean();
}

#[test]
fn a_caller_who_leaves_while_the_answer_waits_for_its_acknowledgement_gets_487_and_nobody_is_left_alone() {
    for bye in [false, true] {
        let (mut sim, phone, carrier) = announced(9, "Supported");
        sim.act(phone, |p, _| p.pracks = false);
        dial(&mut sim, phone, "04940123");
        sim.run_until("the carrier has answered", |s| s.ua(carrier).is_up());
        sim.run_for(SECOND / 2);
        sim.act(phone, |p, now| match bye {
            true => p.bye_early(now),
            false => p.hang_up(now),
        });
        sim.run_until("over", |s| s.ua(phone).is_idle() && s.ua(carrier).is_idle());
        assert_eq!(sim.ua(phone).final_status(), Some(487), "bye: {bye}");
        sim.assert_clean();
    }
}

#[test]
fn a_bye_in_an_early_dialog_ends_the_call_as_a_cancel_does() {
    let mut sim = Sim::new(10);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.set(callee, OnInvite::Ring);
    dial(&mut sim, caller, "201");
    sim.run_until("it rings", |s| s.ua(callee).is_ringing() && !provisional(s, caller).is_empty());
    sim.act(caller, |p, now| p.update_early(now));
    sim.run_until("a sign of life", |s| s.ua(caller).last_status("UPDATE") == Some(200));
    // RFC 3311 §5.2: its first offer is not answered yet.
    sim.act(caller, |p, now| p.offer_early("sendrecv", now));
    sim.run_until("not yet", |s| s.ua(caller).last_status("UPDATE") == Some(500));
    assert!(sim.ua(callee).is_ringing());
    sim.act(caller, |p, now| p.bye_early(now));
    sim.run_until("over", |s| s.ua(caller).is_idle() && s.ua(callee).is_idle());
    assert_eq!((sim.ua(caller).final_status(), sim.ua(caller).last_status("BYE")), (Some(487), Some(200)));
    sim.assert_clean();
}

/// RFC 3311 §5.1, §5.2: a further offer, once the INVITE's own has its answer in a reliable provisional response.
#[test]
fn a_caller_whose_offer_is_answered_already_changes_it_before_the_call_is_answered() {
    let (mut sim, phone, carrier) = announced(11, "Supported");
    sim.set(carrier, OnInvite::Answer(6 * SECOND));
    dial(&mut sim, phone, "04940123");
    sim.run_until("it is announced", |s| s.ua(phone).last_status("PRACK") == Some(200));
    let (c, p) = (sim.ua(carrier).byte, sim.ua(phone).byte);
    sim.act(phone, |p, now| p.offer_early("inactive", now));
    sim.run_until("answered", |s| s.ua(phone).last_status("UPDATE").is_some());
    assert_eq!(sim.ua(phone).last_status("UPDATE"), Some(200), "{}", sim.story());
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert_eq!(sim.ua(phone).heard(c, since), 0, "it does not listen");
    sim.act(phone, |p, now| p.offer_early("sendrecv", now));
    sim.run_for(SECOND / 5);
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(phone).heard(c, since) > 30);
    // Longer than a leg without sound lives: before the answer nobody has to speak.
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(carrier).heard(p, since) > 30 && sim.ua(phone).heard(c, since) > 30);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_further_offer_before_the_first_one_is_through_collides_and_changes_nothing() {
    // The caller, to whom an answer is due: 500, and when to try again. The callee, whose answer is due to us: 491.
    let mut sim = Sim::new(12);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.set(callee, OnInvite::Answer(3 * SECOND));
    dial(&mut sim, caller, "201");
    sim.run_until("it rings", |s| s.ua(callee).is_ringing() && !provisional(s, caller).is_empty());
    sim.act(caller, |p, now| p.offer_early("sendonly", now));
    sim.act(callee, |p, now| p.offer_early("sendonly", now));
    sim.run_for(SECOND / 2);
    assert_eq!((sim.ua(caller).last_status("UPDATE"), sim.ua(callee).last_status("UPDATE")), (Some(500), Some(491)));
    let refused = sim.trace.iter().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok());
    let wait = refused.filter_map(|m| match m {
        Message::Response(r) if r.status.code() == 500 => r.headers.retry_after().ok().flatten(),
        _ => None,
    });
    assert!(wait.last().is_some_and(|seconds| seconds < 10));
    for ua in [caller, callee] {
        sim.act(ua, |p, _| p.calls.last_mut().expect("a call").direct("sendrecv"));
    }
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(caller).heard(sim.ua(callee).byte, since) > 30);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// RFC 3262 §5, RFC 3261 §13.2.1: the answer in a reliable 183 counts, and the 2xx need not have it; an UPDATE of the callee's changes it.
#[test]
fn a_callee_who_has_answered_in_a_reliable_response_may_offer_anew_before_it_picks_up() {
    for is_phone in [true, false] {
        let mut sim = Sim::new(13);
        let caller = sim.phone("210");
        let callee = if is_phone { sim.phone("201") } else { sim.trunk() };
        sim.act(callee, |c, _| {
            c.early = true;
            c.rseq = Some(7);
        });
        sim.set(callee, OnInvite::Answer(3 * SECOND));
        dial(&mut sim, caller, if is_phone { "201" } else { "04940123" });
        sim.run_until("acknowledged", |s| !s.ua(callee).racks.is_empty());
        sim.act(callee, |c, now| c.offer_early("sendrecv", now));
        sim.run_until("answered", |s| s.ua(callee).last_status("UPDATE").is_some());
        assert_eq!(sim.ua(callee).last_status("UPDATE"), Some(200), "phone: {is_phone}");
        sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
        let since = sim.now.mono + SECOND / 5;
        sim.run_for(SECOND);
        let (a, b) = (sim.ua(caller).byte, sim.ua(callee).byte);
        assert!(sim.ua(caller).heard(b, since) > 30 && sim.ua(callee).heard(a, since) > 30, "phone: {is_phone}");
        sim.act(caller, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

/// RFC 3261 §12.2.2: what comes out of order is refused before the answer as after it, and the count goes on from there.
#[test]
fn a_request_of_an_early_dialog_that_comes_out_of_order_changes_nothing() {
    let mut sim = Sim::new(14);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.set(callee, OnInvite::Ring);
    dial(&mut sim, caller, "201");
    sim.run_until("it rings", |s| s.ua(callee).is_ringing() && !provisional(s, caller).is_empty());
    let update = |sim: &mut Sim, by: i32| {
        let before = sim.ua(caller).statuses.len();
        sim.act(caller, |p, now| {
            p.count_on(by);
            p.update_early(now);
        });
        sim.run_until("answered", |s| s.ua(caller).statuses.len() > before);
        sim.ua(caller).last_status("UPDATE")
    };
    assert_eq!(update(&mut sim, 5), Some(200));
    // Below the last one, and the same number once more.
    assert_eq!(update(&mut sim, -3), Some(500));
    assert_eq!(update(&mut sim, 1), Some(500));
    let told = sim.trace.iter().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok());
    let refused = |m: Message| match m {
        Message::Response(r) if r.status.code() == 500 => r.headers.retry_after().ok().flatten(),
        _ => None,
    };
    assert_eq!(told.filter_map(refused).filter(|seconds| *seconds < 10).count(), 2);
    // A BYE that is old ends nothing.
    sim.act(caller, |p, now| {
        p.count_on(-3);
        p.bye_early(now);
    });
    sim.run_until("refused", |s| s.ua(caller).last_status("BYE") == Some(500));
    assert!(sim.ua(callee).is_ringing());
    // The dialog that comes of it has heard those before.
    sim.act(callee, |p, now| p.answer(now));
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
    sim.act(caller, |p, now| p.digit_by_info('5', now));
    sim.run_until("refused", |s| s.ua(caller).last_status("INFO") == Some(500));
    sim.act(caller, |p, now| {
        p.count_on(5);
        p.hang_up(now);
    });
    sim.run_until("over", |s| s.ua(caller).last_status("BYE") == Some(200));
    sim.assert_clean();
}

/// A callee's requests have an order too, which nothing is known of before the first of them.
#[test]
fn a_callees_requests_before_its_answer_are_in_order_with_those_after_it() {
    let mut sim = Sim::new(15);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.act(callee, |c, _| c.rseq = Some(7));
    sim.set(callee, OnInvite::Ring);
    dial(&mut sim, caller, "201");
    sim.run_until("acknowledged", |s| !s.ua(callee).racks.is_empty());
    for (by, status) in [(4, 491), (-1, 500)] {
        let before = sim.ua(callee).statuses.len();
        sim.act(callee, |c, now| {
            c.count_on(by);
            c.offer_early("sendrecv", now);
        });
        sim.run_until("answered", |s| s.ua(callee).statuses.len() > before);
        assert_eq!(sim.ua(callee).last_status("UPDATE"), Some(status), "{by}");
    }
    sim.act(callee, |c, now| c.answer(now));
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(callee).is_up());
    sim.act(callee, |c, now| {
        c.count_on(-1);
        c.request(Method::Options, now);
    });
    sim.run_until("refused", |s| s.ua(callee).last_status("OPTIONS") == Some(500));
    sim.act(callee, |c, now| {
        c.count_on(5);
        c.hang_up(now);
    });
    sim.run_until("over", |s| s.ua(callee).last_status("BYE") == Some(200));
    sim.assert_clean();
}

/// RFC 4028 §5, §9: an interval that is too short is refused in an early dialog too, and with the least that is taken.
#[test]
fn an_early_update_with_too_short_an_interval_gets_422() {
    let mut sim = Sim::new(16);
    let (caller, callee) = (sim.phone("210"), sim.phone("201"));
    sim.set(callee, OnInvite::Ring);
    dial(&mut sim, caller, "201");
    sim.run_until("it rings", |s| s.ua(callee).is_ringing() && !provisional(s, caller).is_empty());
    for (seconds, status) in [(89, 422), (90, 200)] {
        let before = sim.ua(caller).statuses.len();
        sim.act(caller, |p, now| {
            p.session_expires = Some(seconds);
            p.update_early(now);
        });
        sim.run_until("answered", |s| s.ua(caller).statuses.len() > before);
        assert_eq!(sim.ua(caller).last_status("UPDATE"), Some(status), "{seconds}");
    }
    assert_eq!(sim.ua(caller).sessions, ["90"], "Min-SE");
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// What a carrier says, in single messages.
fn says(sim: &mut Sim, carrier: SocketAddr, message: Bytes) {
    let parcel = Parcel::Sip { from: carrier, bytes: message, transport: Transport::Udp };
    sim.network.send(carrier, switch(), parcel, sim.now.mono);
    sim.run_for(SECOND / 10);
}

/// RFC 3261 §13.2.2.4, RFC 3262 §5: a carrier whose fork rings two phones; the second one answers, whose reliable response had its answer.
#[test]
fn each_fork_of_a_carriers_has_a_dialog_and_a_description_of_its_own() {
    let mut sim = Sim::new(17);
    let (phone, carrier) = (sim.phone("210"), sim.add(Ua::trunk([10, 2, 0, 1].into())));
    sim.set(carrier, OnInvite::Ignore);
    dial(&mut sim, phone, "04940123");
    sim.run_until("it is asked", |s| !s.ua(carrier).invites.is_empty());
    let sent = |sim: &Sim, method: Method| {
        let all = sim.trace.iter().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok());
        let its = |m| match m {
            Message::Request(r) if r.method == method && r.uri.to_string().contains("@10.2.0.1") => Some(r),
            _ => None,
        };
        all.filter_map(its).collect::<Vec<Request>>()
    };
    let invite = sent(&sim, Method::Invite).pop().expect("an INVITE");
    let of = |tag: &str, status: Status| {
        let mut response: Response = invite.response_with_tag(status, tag);
        response.headers.push(HeaderName::Contact, format!("<sip:{tag}@10.2.0.1>"));
        response
    };
    for (tag, last) in [("first", 8), ("second", 9)] {
        let mut response = of(tag, Status::SESSION_PROGRESS);
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, 1u32);
        response.headers.push(HeaderName::ContentType, "application/sdp");
        let at = format!("10.2.0.{last}");
        let body = format!("v=0\r\no=- 1 1 IN IP4 {at}\r\ns=-\r\nc=IN IP4 {at}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n");
        response.body = body.into();
        says(&mut sim, carrier, response.to_bytes());
    }
    assert_eq!(sent(&sim, Method::Prack).len(), 2, "each is acknowledged");

    // A sign of life of either; an offer of the one that nobody hears can't be taken; and whoever has another tag is nobody.
    let from = String::from_utf8_lossy(invite.headers.get(&HeaderName::From).expect("From")).into_owned();
    let call_id = String::from_utf8_lossy(invite.headers.call_id().expect("Call-ID")).into_owned();
    let update = |sim: &mut Sim, tag: &str, cseq: u32, body: &str| {
        let (to, via) = (from.clone(), format!("10.2.0.1:5060;branch=z9hG4bKu{tag}{}", sim.inputs));
        let text = format!(
            "UPDATE sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\nFrom: <sip:4940123@10.2.0.1>;tag={tag}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} UPDATE\r\nContact: <sip:{tag}@10.2.0.1>\r\n{}",
            crate::flows::with(body)
        );
        let since = sim.trace.len();
        says(sim, carrier, text.into());
        let told = sim.trace[since..].iter().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok());
        let its = |m| match m {
            Message::Response(r) if r.headers.cseq().is_ok_and(|c| c.method == Method::Update) => Some(r.status.code()),
            _ => None,
        };
        told.filter_map(its).next()
    };
    let told = [("first", 5, ""), ("second", 7, ""), ("second", 6, ""), ("second", 8, crate::flows::OFFER), ("third", 1, "")];
    let told = told.map(|(tag, cseq, body)| update(&mut sim, tag, cseq, body));
    assert_eq!(told, [Some(200), Some(200), Some(500), Some(488), Some(481)]);

    says(&mut sim, carrier, of("second", Status::OK).to_bytes());
    sim.run_until("it is answered", |s| s.ua(phone).is_up());
    let ack = sent(&sim, Method::Ack).pop().expect("an ACK");
    assert!(ack.uri.to_string().starts_with("sip:second@") && sent(&sim, Method::Bye).is_empty(), "{}", sim.story());
    sim.network.media_to.clear();
    sim.run_for(SECOND);
    let hears = |last: u8| sim.network.media_to.contains_key(&[10, 2, 0, last].into());
    assert!(hears(9) && !hears(8), "{:?}", sim.network.media_to);
    // The other one answers too: its BYE comes after the PRACK that it has had.
    says(&mut sim, carrier, of("first", Status::OK).to_bytes());
    let numbers = |method: Method| {
        let to = sent(&sim, method).into_iter().filter(|r| r.headers.to_tag().is_ok_and(|tag| tag.is_some_and(|t| t == "first")));
        to.map(|r| r.headers.cseq().map_or(0, |c| c.number)).collect::<Vec<u32>>()
    };
    let (pracks, byes) = (numbers(Method::Prack), numbers(Method::Bye));
    assert!(pracks.len() == 1 && byes.len() == 1 && byes[0] == pracks[0] + 1, "PRACK {pracks:?}, BYE {byes:?}");
    let bye = sent(&sim, Method::Bye).pop().expect("a BYE");
    says(&mut sim, carrier, bye.response(Status::OK).to_bytes());
    // Its dialog counts on.
    assert_eq!(update(&mut sim, "second", 8, ""), Some(500));
    assert_eq!(update(&mut sim, "second", 9, ""), Some(200));
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("it is told", |s| sent(s, Method::Bye).len() > 1);
    sim.assert_clean();
}
