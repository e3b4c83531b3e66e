//! Peers that lose their power, forget their ACK, say nothing, or hang up in the same moment.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::route::Cause;
use cordboard::sip::Transport;
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::network::Parcel;
use crate::sim::ua::Ua;

const SECOND: Duration = Duration::from_secs(1);

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

#[test]
fn a_phone_that_lost_its_power_ends_the_call_after_half_a_minute() {
    let (mut sim, phone, trunk) = talking(1);
    sim.act(phone, |p, _| p.dead = true);
    let died = sim.now.mono;
    sim.run_until("said", |s| s.has("media.missing"));
    let after = sim.now.mono.since(died);
    assert!((3 * SECOND - SECOND / 10..4 * SECOND).contains(&after), "{after:?}");
    sim.run_until("ended", |s| s.ua(trunk).is_idle());
    let after = sim.now.mono.since(died);
    assert!((29 * SECOND..32 * SECOND).contains(&after), "{after:?}");
    sim.run_until("told", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].cause, Cause::NoMedia);
    assert!(sim.has("recording.finished"));
    sim.assert_clean();
}

#[test]
fn a_customer_who_lost_its_power_in_the_queue_leaves_it() {
    let mut sim = Sim::new(2);
    let trunk = sim.trunk();
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("in the queue", |s| s.has("queue.entered"));
    sim.run_for(SECOND);
    sim.act(trunk, |t, _| t.dead = true);
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].cause, Cause::NoMedia);
    assert_eq!(sim.count("queue.abandoned"), 1);
    sim.assert_clean();
}

#[test]
fn missing_sound_is_told_and_so_is_its_return() {
    let (mut sim, phone, trunk) = talking(3);
    sim.act(phone, |p, _| p.mute = true);
    sim.run_for(10 * SECOND);
    assert_eq!((sim.count("media.missing"), sim.count("media.present")), (1, 0));
    sim.act(phone, |p, _| p.mute = false);
    sim.run_for(SECOND);
    assert_eq!((sim.count("media.missing"), sim.count("media.present")), (1, 1));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn an_answer_that_is_never_acknowledged_is_taken_back_by_bye() {
    let mut sim = Sim::new(4);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.acks = false;
        t.call("+4930555201", now);
    });
    sim.run_until("answered", |s| s.has("call.answered"));
    let answered = sim.now.mono;
    sim.run_until("over", |s| s.has("call.ended"));
    assert!((31 * SECOND..34 * SECOND).contains(&sim.now.mono.since(answered)));
    assert_eq!(sim.ended()[0].cause, Cause::Lost);
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).byes, 1);
    assert!(sim.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn a_call_that_ends_before_its_ack_waits_for_it_with_the_bye() {
    let mut sim = Sim::new(5);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.acks = false;
        t.call("+4930555201", now);
    });
    sim.run_until("answered", |s| s.ua(phone).is_up() && s.ua(trunk).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(2 * SECOND);
    assert_eq!(sim.ua(trunk).byes, 0, "§15: no BYE before the ACK");
    sim.act(trunk, |t, _| t.acks = true);
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(trunk).byes, 0, "its ACK was never made, so there is none to repeat");
    sim.run_for(40 * SECOND);
    assert_eq!(sim.ua(trunk).byes, 1);
    sim.assert_clean();
}

#[test]
fn two_byes_that_cross_are_both_answered_with_200() {
    let (mut sim, phone, trunk) = talking(6);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(phone).last_status("BYE"), Some(200));
    assert_eq!(sim.ua(trunk).last_status("BYE"), Some(200), "{}", sim.story());
    assert_eq!(sim.ended().len(), 1);
    sim.assert_clean();
}

#[test]
fn a_bye_from_a_stranger_ends_nothing() {
    use cordboard::sip::Method;
    let (mut sim, phone, trunk) = talking(7);
    // The dialog of one call, asked for by another party that knows its Call-ID but not its tags.
    sim.act(trunk, |t, now| {
        t.forge_tag(b"guessed");
        t.request(Method::Bye, now);
    });
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).last_status("BYE"), Some(481));
    assert!(sim.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_phone_whose_sound_comes_from_another_port_is_heard_and_hears() {
    let (mut sim, phone, trunk) = talking(8);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(20 * SECOND);
    sim.act(phone, |p, _| p.rtp_shift = 100);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    sim.run_for(SECOND);
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_flood_of_strangers_fills_no_table_and_a_forged_address_gets_one_answer_at_most() {
    let mut sim = Sim::new(20);
    let stranger: SocketAddr = "198.51.100.7:5060".parse().expect("an address");
    let before = sim.trace.len();
    for n in 0..1_000 {
        for (method, to) in [("INVITE", ""), ("REGISTER", ""), ("BYE", ";tag=x"), ("OPTIONS", ""), ("FETCH", "")] {
            let text = format!(
                "{method} sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{method}{n}\r\n\
                 From: <sip:201@10.0.0.1>;tag={n}\r\nTo: <sip:201@10.0.0.1>{to}\r\nCall-ID: {method}{n}\r\nCSeq: 1 {method}\r\n\
                 Max-Forwards: 70\r\nContact: <sip:201@198.51.100.7>\r\nContent-Length: 0\r\n\r\n"
            );
            let parcel = Parcel::Sip { from: stranger, bytes: text.into(), transport: Transport::Udp };
            sim.network.send(stranger, crate::sim::switch(), parcel, sim.now.mono);
        }
    }
    // Less than any of them would be remembered, or its answer repeated.
    sim.run_for(SECOND / 10);
    let Answer::Status(status) = sim.ask(Command::Status) else { panic!("status") };
    assert_eq!(status.transactions, 0);
    sim.run_for(60 * SECOND);
    let answers = &sim.trace[before..];
    let id = |bytes: &bytes::Bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Call-ID: ").map(str::to_owned)).unwrap_or_default()
    };
    let answered: std::collections::BTreeSet<String> = answers.iter().map(id).collect();
    assert_eq!(answered.len(), answers.len(), "one answer each");
    // And none to so many at once that are shorter than what there is to say.
    assert!((500..5_000).contains(&answers.len()), "{}", answers.len());
    sim.assert_clean();
}

#[test]
fn a_call_goes_with_its_phone_when_the_nat_gives_it_another_port() {
    for moves in [false, true] {
        let mut sim = Sim::new(21);
        let trunk = sim.trunk();
        let phone = sim.add(Ua::phone("201", [10, 1, 0, 201].into()));
        sim.behind.insert(phone, "203.0.113.9:40000".parse().expect("an address"));
        sim.act(phone, |p, now| p.register(now));
        sim.run_until("registered", |s| s.ua(phone).registered);
        sim.act(trunk, |t, now| {
            t.call("+4930555201", now);
        });
        sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
        sim.run_for(SECOND);
        if moves {
            sim.behind.insert(phone, "203.0.113.9:40001".parse().expect("an address"));
            sim.act(phone, |p, now| p.register(now));
            sim.run_for(SECOND);
        }
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.run_for(SECOND);
        assert!(sim.ua(phone).is_idle(), "moved: {moves}\n{}", sim.story());
        assert_eq!(sim.count("registration.added"), 1);
        sim.assert_clean();
    }
}

/// RFC 3261 §8.1.1.8: a dialog needs a place to send to.
#[test]
fn an_invite_without_a_contact_is_refused_and_costs_its_phone_nothing_else() {
    let mut sim = Sim::new(90);
    let (phone, callee, trunk) = (sim.phone("210"), sim.phone("201"), sim.trunk());
    for (from, number) in [(phone, "201"), (trunk, "+4930555201")] {
        sim.act(from, |p, _| p.unreachable = true);
        for _ in 0..130 {
            sim.act(from, |p, now| {
                p.call(number, now);
            });
            sim.run_for(SECOND / 25);
        }
        sim.run_until("refused", |s| s.ua(from).is_idle());
        assert_eq!(sim.ua(from).final_status(), Some(400));
        sim.act(from, |p, _| p.unreachable = false);
        sim.act(from, |p, now| {
            p.call(number, now);
        });
        sim.run_until("they talk", |s| s.ua(from).is_up() && s.ua(callee).is_up());
        sim.act(from, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
    }
    assert_eq!(sim.ua(callee).invites.len(), 2);
    assert!(sim.bans.is_empty() && !sim.has("guard.banned"));
    sim.assert_clean();
}
