//! Requests of ours within a call that are challenged (RFC 3261 §22): answered with the credentials of who asks, and with nobody else's.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::sip::{HeaderName, Message, Method, Request, Response, Status, Transport};

use crate::sim::network::Parcel;
use crate::sim::ua::{Hold, OnInvite, Ua};
use crate::sim::{Sim, centre, switch};

const SECOND: Duration = Duration::from_secs(1);

/// 201 talks to a carrier that has given us a user and a secret. Both sides refresh the session when we do not.
fn talking(seed: u8, challenges: &[&'static str]) -> (Sim, SocketAddr, SocketAddr) {
    let mut source = centre();
    let carrier = "name = \"carrier\"\npeer = \"10.2.0.1\"\n";
    source.main.text = source.main.text.replacen(carrier, &format!("{carrier}user = \"cord\"\nsecret = \"board-secret\"\n"), 1);
    let mut sim = Sim::with(seed, source);
    let (phone, carrier) = (sim.phone("210"), sim.trunk());
    sim.act(carrier, |c, _| {
        c.takes = ("cord".into(), "board-secret".into());
        c.grants = Some("600;refresher=uac");
    });
    for ua in [phone, carrier] {
        sim.act(ua, |ua, _| ua.challenges.extend(challenges));
    }
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    (sim, phone, carrier)
}

#[test]
fn a_refresh_is_sent_again_with_the_trunks_credentials_by_update_and_by_invite() {
    for (allows, expected) in [(true, "UPDATE"), (false, "INVITE sendrecv")] {
        let (mut sim, phone, carrier) = talking(1, &["UPDATE", "INVITE"]);
        sim.act(carrier, |c, _| c.allows_update = allows);
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
        sim.run_for(920 * SECOND);
        assert_eq!(sim.ua(carrier).refreshes, [expected; 3], "each is challenged, and let through the second time");
        assert_eq!(sim.ua(carrier).challenged, 3);
        // An ACK can't be challenged: it comes with what its INVITE was let through with (§22.1).
        let signed: &[&str] = if allows { &["UPDATE"; 3] } else { &["INVITE", "ACK", "INVITE", "ACK", "INVITE", "ACK"] };
        assert_eq!(sim.ua(carrier).signed, signed);
        let since = sim.now.mono;
        sim.run_for(SECOND);
        assert!(sim.ua(carrier).heard(sim.ua(phone).byte, since) > 30);
        sim.act(phone, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

/// RFC 3261 §13.2.2.4, §22.1: each 2xx of a fork has its own ACK, and all of them the credentials of the one INVITE.
#[test]
fn every_ack_of_a_fork_has_the_credentials_that_its_invite_had() {
    let mut source = centre();
    let carrier = "name = \"carrier\"\npeer = \"10.2.0.1\"\n";
    source.main.text = source.main.text.replacen(carrier, &format!("{carrier}user = \"cord\"\nsecret = \"board-secret\"\n"), 1);
    let mut sim = Sim::with(9, source);
    let (phone, carrier) = (sim.phone("210"), sim.trunk());
    sim.set(carrier, OnInvite::Ignore);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("it is asked", |s| !s.ua(carrier).invites.is_empty());
    let sent = |sim: &Sim, method: Method| {
        let all = sim.trace.iter().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok());
        let its = |m| match m {
            Message::Request(r) if r.method == method && r.uri.to_string().contains("@10.2.0.1") => Some(r),
            _ => None,
        };
        all.filter_map(its).collect::<Vec<Request>>()
    };
    let say = |sim: &mut Sim, response: Response| {
        let parcel = Parcel::Sip { from: carrier, bytes: response.to_bytes(), transport: Transport::Udp };
        sim.network.send(carrier, switch(), parcel, sim.now.mono);
        sim.run_for(SECOND / 10);
    };
    let mut challenge = sent(&sim, Method::Invite)[0].response_with_tag(Status::UNAUTHORIZED, "c");
    challenge.headers.push(HeaderName::WwwAuthenticate, "Digest realm=\"carrier\", nonce=\"n\", algorithm=MD5, qop=\"auth\"");
    say(&mut sim, challenge);
    let invite = sent(&sim, Method::Invite).pop().expect("once more");
    let credentials = invite.headers.get(&HeaderName::Authorization).expect("credentials").clone();
    for tag in ["first", "second"] {
        let mut ok = invite.response_with_tag(Status::OK, tag);
        ok.headers.push(HeaderName::Contact, format!("<sip:{tag}@10.2.0.1>"));
        ok.headers.push(HeaderName::ContentType, "application/sdp");
        ok.body = crate::flows::OFFER.into();
        say(&mut sim, ok);
    }
    let acks = sent(&sim, Method::Ack);
    let of = |tag: &str| acks.iter().find(|ack| ack.uri.to_string().starts_with(&format!("sip:{tag}@"))).expect("an ACK");
    for tag in ["first", "second"] {
        assert_eq!(of(tag).headers.get(&HeaderName::Authorization), Some(&credentials), "{tag}");
    }
    assert!(sim.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_bye_is_sent_again_to_trunk_and_phone_although_the_conversation_is_over() {
    for phone_leaves in [true, false] {
        let (mut sim, phone, carrier) = talking(2, &["BYE"]);
        let (leaves, stays) = if phone_leaves { (phone, carrier) } else { (carrier, phone) };
        sim.act(leaves, |ua, now| ua.hang_up(now));
        sim.run_until("it is let go", |s| s.ua(stays).is_idle());
        assert_eq!((sim.ua(stays).challenged, sim.ua(stays).byes), (1, 1));
        sim.assert_clean();
    }
}

#[test]
fn a_phone_that_transfers_is_told_so_although_it_asks_who_we_are() {
    let mut sim = Sim::new(3);
    let (customer, phone, other) = (sim.trunk(), sim.phone("201"), sim.phone("202"));
    sim.act(phone, |p, _| p.challenges.push("NOTIFY"));
    sim.act(customer, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(customer).is_up() && s.ua(phone).is_up());
    sim.act(phone, |p, now| p.refer("202", now));
    sim.run_until("it is told", |s| s.ua(phone).notifies.iter().any(|n| n.contains("200 OK")));
    assert!(sim.ua(phone).challenged >= 2);
    sim.run_until("they talk", |s| s.ua(other).is_up());
    sim.act(customer, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_nonce_that_has_grown_old_is_answered_anew_and_a_wrong_secret_once() {
    // How often it says that the nonce was old; how often it is asked; whether it lets go at last.
    for (stale, asked, over) in [(1, 2, true), (2, 3, true), (9, 4, false)] {
        let (mut sim, phone, carrier) = talking(4, &["BYE"]);
        sim.act(carrier, |c, _| c.stale = stale);
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        assert_eq!((sim.ua(carrier).challenged, sim.ua(carrier).is_idle()), (asked, over), "{stale}");
        sim.act(carrier, |c, now| {
            c.challenges.clear();
            c.hang_up(now);
        });
        sim.assert_clean();
    }
    let (mut sim, phone, carrier) = talking(5, &["BYE"]);
    sim.act(carrier, |c, _| c.takes.1 = "another".into());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!((sim.ua(carrier).challenged, sim.ua(carrier).byes), (2, 0));
    sim.act(carrier, |c, now| {
        c.challenges.clear();
        c.hang_up(now);
    });
    sim.assert_clean();
}

/// The digest of a trunk is of use to who guesses secrets: a caller who names a place of its own in Contact does not get it.
#[test]
fn a_trunks_credentials_go_to_none_of_the_places_that_its_callers_name() {
    let (mut sim, phone, _) = talking(6, &[]);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    let thief = sim.add(Ua::trunk([10, 9, 9, 9].into()));
    let carrier = "10.2.0.1:5060".parse().expect("address");
    sim.act(carrier, |c, now| {
        c.names = Some(thief);
        c.call("+4930555201", now);
    });
    let callee = sim.phone("201");
    sim.act(carrier, |c, now| {
        c.hang_up(now);
    });
    sim.run_for(SECOND);
    sim.act(carrier, |c, now| {
        c.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(carrier).is_up() && s.ua(callee).is_up());
    sim.act(thief, |t, _| t.challenges.push("BYE"));
    sim.act(thief, |t, _| t.takes = ("cord".into(), "board-secret".into()));
    sim.act(callee, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    let byes = |sim: &Sim| sim.ua(thief).log.iter().filter(|l| l.ends_with("<- BYE")).count();
    assert_eq!((sim.ua(thief).challenged, byes(&sim)), (1, 1));
    // And not although its challenge looks as if the carrier had sent it.
    sim.act(carrier, |c, now| {
        c.hang_up(now);
        c.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(carrier).is_up() && s.ua(callee).is_up());
    sim.forges.insert(thief, carrier);
    sim.act(callee, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    assert_eq!((sim.ua(thief).challenged, byes(&sim)), (2, 2));
    sim.act(carrier, |c, now| c.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_held_phone_that_challenges_the_question_whether_it_is_there_is_there() {
    let (mut sim, phone, carrier) = talking(7, &["OPTIONS"]);
    sim.act(phone, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_for(100 * SECOND);
    assert!(sim.ua(phone).challenged >= 2 && sim.ua(phone).is_up() && sim.ua(carrier).is_up());
    sim.act(carrier, |c, now| c.hang_up(now));
    sim.assert_clean();
}
