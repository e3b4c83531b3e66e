//! Trunks: which one is tried, what the caller's side gets, what is refused.

use std::time::Duration;

use cordboard::event::{Bridge, Kind};
use cordboard::route::Cause;
use cordboard::sip::{self, HeaderName, Message, Status, Transport};
use cordboard::switch::{Answer, Command};

use crate::sim::Sim;
use crate::sim::network::Parcel;
use crate::sim::ua::{OnInvite, Ua};

const SECOND: Duration = Duration::from_secs(1);

fn outside(seed: u8) -> (Sim, std::net::SocketAddr, std::net::SocketAddr, std::net::SocketAddr) {
    let mut sim = Sim::new(seed);
    let phone = sim.phone("210");
    let carrier = sim.trunk();
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    (sim, phone, carrier, backup)
}

#[test]
fn a_call_goes_out_with_the_phones_outside_number_and_is_recorded() {
    let (mut sim, phone, carrier, _) = outside(1);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    let invite = sim.ua(carrier).invites[0].clone();
    assert_eq!(invite.number, "+4930555210");
    assert!(invite.uri.starts_with("sip:4940123@10.2.0.1"), "{}", invite.uri);
    sim.run_for(3 * SECOND);
    sim.act(carrier, |c, now| c.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let started = sim.events.iter().find_map(|e| if let Kind::CallStarted(s) = &e.kind { Some(s.clone()) } else { None });
    assert_eq!(started.expect("started").customer_number, "4940123");
    assert_eq!(sim.ended()[0].by, cordboard::event::By::Customer);
    let recorded = sim.recordings.values().next().expect("a recording");
    let said = |at| cordboard::codec::G711::Pcmu.decode(sim.ua(at).byte);
    let (left, right) = (said(carrier), said(phone));
    let middle = &recorded.samples[8_000 * 2 * 2..][..2];
    assert_eq!(middle, [left, right], "left is what the callee said");
    sim.assert_clean();
}

#[test]
fn the_next_trunk_is_tried_after_503_and_500_and_after_no_answer_at_all() {
    for what in [OnInvite::Refuse(503), OnInvite::Refuse(500), OnInvite::Ignore, OnInvite::Refuse(408)] {
        let (mut sim, phone, carrier, backup) = outside(2);
        sim.set(carrier, what);
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(backup).is_up());
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        assert!(sim.ua(backup).is_idle());
        sim.assert_clean();
    }
}

#[test]
fn the_next_trunk_is_tried_at_once_when_the_first_cannot_be_reached() {
    let (mut sim, phone, carrier, backup) = outside(3);
    sim.unreachable.insert(carrier);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_for(SECOND);
    assert!(sim.ua(backup).is_ringing());
    sim.run_until("they talk", |s| s.ua(phone).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

#[test]
fn an_answer_about_the_callee_is_passed_on_and_no_other_trunk_is_tried() {
    for (status, cause) in [(404, Cause::NotFound), (486, Cause::Busy), (603, Cause::Declined), (480, Cause::Unavailable)] {
        let (mut sim, phone, carrier, backup) = outside(4);
        sim.set(carrier, OnInvite::Refuse(status));
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("over", |s| s.ua(phone).is_idle());
        assert_eq!(sim.ua(phone).final_status(), Some(status));
        assert_eq!(sim.ended()[0].cause, cause);
        assert!(sim.ua(backup).invites.is_empty(), "{status}");
        sim.assert_clean();
    }
}

#[test]
fn when_all_trunks_fail_the_caller_hears_it_once() {
    let (mut sim, phone, carrier, backup) = outside(5);
    sim.set(carrier, OnInvite::Refuse(503));
    sim.set(backup, OnInvite::Refuse(503));
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("over", |s| s.ua(phone).is_idle());
    assert_eq!(sim.ua(phone).final_status(), Some(503));
    assert_eq!(sim.ended().len(), 1);
    sim.assert_clean();
}

#[test]
fn a_phone_without_the_right_dials_nobody_outside() {
    let mut sim = Sim::new(6);
    let phone = sim.phone("211");
    let carrier = sim.trunk();
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("refused", |s| s.ua(phone).is_idle());
    assert_eq!(sim.ua(phone).final_status(), Some(403));
    assert!(sim.ua(carrier).invites.is_empty());
    sim.assert_clean();
}

#[test]
fn a_trunks_caller_reaches_another_trunk_only_where_the_configuration_says_so() {
    let mut sim = Sim::new(7);
    let carrier = sim.trunk();
    let partner = sim.add(Ua::trunk([10, 2, 0, 3].into()));
    sim.act(carrier, |c, now| {
        c.call("+4930555900", now);
    });
    sim.run_until("refused", |s| s.ua(carrier).is_idle());
    assert_eq!(sim.ua(carrier).final_status(), Some(403));
    assert!(sim.ua(carrier).invites.is_empty());
    sim.act(partner, |p, now| {
        p.call("+4930555900", now);
    });
    sim.run_until("they talk", |s| s.ua(partner).is_up() && s.ua(carrier).is_up());
    sim.act(partner, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

#[test]
fn an_unknown_number_of_a_trunk_is_not_found() {
    let mut sim = Sim::new(8);
    let carrier = sim.trunk();
    sim.act(carrier, |c, now| {
        c.call("+49305", now);
    });
    sim.run_until("refused", |s| s.ua(carrier).is_idle());
    assert_eq!(sim.ua(carrier).final_status(), Some(404));
    sim.assert_clean();
}

#[test]
fn a_caller_who_gives_up_while_it_rings_outside_stops_the_ringing_there() {
    let (mut sim, phone, carrier, _) = outside(10);
    sim.set(carrier, OnInvite::Ring);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("it rings", |s| s.ua(carrier).is_ringing());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(carrier).cancels.len(), 1);
    assert_eq!(sim.ua(phone).final_status(), Some(487));
    assert_eq!(sim.ended()[0].cause, Cause::Cancelled);
    sim.assert_clean();
}

#[test]
fn a_second_phone_that_a_carriers_fork_has_answered_is_hung_up_and_the_first_talks_on() {
    let (mut sim, phone, carrier, _) = outside(11);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    let invite = sim.trace.iter().find(|bytes| bytes.starts_with(b"INVITE sip:4940123@10.2.0.1")).expect("an INVITE").clone();
    let Ok(Message::Request(invite)) = sip::parse_datagram(&invite) else { panic!("an INVITE") };
    let mut second = invite.response_with_tag(Status::OK, "second");
    second.headers.push(HeaderName::Contact, "<sip:second@10.2.0.1>");
    // Lost once, so repeated: the ACK is repeated with it, the BYE is not.
    for _ in 0..2 {
        let parcel = Parcel::Sip { from: carrier, bytes: second.to_bytes(), transport: Transport::Udp };
        sim.network.send(carrier, crate::sim::switch(), parcel, sim.now.mono);
        sim.run_for(SECOND);
    }
    let sent = |method: &str| {
        let start = format!("{method} sip:second@10.2.0.1 ");
        sim.trace.iter().filter(|b| b.starts_with(start.as_bytes()) && String::from_utf8_lossy(b).contains("tag=second")).count()
    };
    assert_eq!((sent("ACK"), sent("BYE")), (2, 1), "{}", sim.story());
    assert!(sim.ua(phone).is_up() && sim.ua(carrier).is_up());
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert!(sim.ua(carrier).is_idle());
    sim.assert_clean();
}

#[test]
fn a_trunk_that_is_silent_costs_the_caller_five_seconds_and_one_that_cannot_decide_twenty() {
    // A CANCEL may not go to who has not said anything (RFC 3261 §9.1).
    for (what, patience, cancels) in [(OnInvite::Ignore, 5 * SECOND, 0), (OnInvite::Try, 20 * SECOND, 1)] {
        let (mut sim, phone, carrier, backup) = outside(11);
        sim.set(carrier, what);
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("the first is asked", |s| !s.ua(carrier).invites.is_empty());
        let asked = sim.now.mono;
        sim.run_until("the second rings", |s| s.ua(backup).is_ringing());
        let waited = sim.now.mono.since(asked);
        assert!((patience..patience + SECOND / 10).contains(&waited), "{what:?}: {waited:?}");
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(backup).is_up());
        sim.run_for(SECOND);
        assert_eq!(sim.ua(carrier).cancels.len(), cancels, "{what:?}");
        assert!(sim.ua(carrier).is_idle(), "{what:?}");
        sim.act(phone, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_trunk_that_rings_and_the_last_one_whatever_it_says_have_three_minutes() {
    for (first, second) in [(OnInvite::Ring, OnInvite::Answer(SECOND)), (OnInvite::Refuse(503), OnInvite::Try)] {
        let (mut sim, phone, carrier, backup) = outside(12);
        sim.set(carrier, first);
        sim.set(backup, second);
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        let called = sim.now.mono;
        sim.run_until("given up", |s| s.ua(phone).is_idle());
        let waited = sim.now.mono.since(called);
        assert!((180 * SECOND..181 * SECOND).contains(&waited), "{first:?}: {waited:?}");
        assert_eq!((sim.ua(phone).final_status(), sim.ended()[0].cause), (Some(480), Cause::NoAnswer), "{first:?}");
        assert_eq!(sim.ua(backup).invites.is_empty(), first == OnInvite::Ring, "{first:?}");
        sim.assert_clean();
    }
}

#[test]
fn a_trunk_that_answers_as_it_is_given_up_is_let_go_and_the_next_one_has_the_call() {
    let (mut sim, phone, carrier, backup) = outside(13);
    sim.set(carrier, OnInvite::Try);
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("a CANCEL is on its way", |s| s.trace.iter().any(|bytes| bytes.starts_with(b"CANCEL")));
    assert!(sim.ua(carrier).cancels.is_empty());
    sim.act(carrier, |c, now| c.answer(now));
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(backup).is_up());
    assert_eq!(sim.ua(carrier).byes, 1);
    assert!(sim.ua(carrier).is_idle());
    let since = sim.now.mono;
    sim.run_for(SECOND);
    let b = sim.ua(backup).byte;
    assert_eq!(sim.ua(phone).hears(since).keys().copied().collect::<Vec<_>>(), [b]);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_bridge_of_a_call_outside_ends_between_the_legs_that_it_began_between() {
    for who in ["carrier", "phone", "api"] {
        let mut sim = Sim::new(14);
        let (phone, carrier) = (sim.phone("201"), sim.trunk());
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
        sim.run_for(SECOND);
        match who {
            "carrier" => sim.act(carrier, |c, now| c.hang_up(now)),
            "phone" => sim.act(phone, |p, now| p.hang_up(now)),
            _ => {
                let conversation = sim.events.iter().find_map(|e| e.conversation).expect("a conversation");
                assert_eq!(sim.ask(Command::Hangup { conversation }), Answer::Done);
            }
        }
        sim.run_until("over", |s| s.has("call.ended"));
        let began = sim.events.iter().find_map(|e| if let Kind::CallBridged(b) = &e.kind { Some(b.clone()) } else { None });
        let ended = sim.events.iter().find_map(|e| if let Kind::CallUnbridged(b) = &e.kind { Some(b.clone()) } else { None });
        let leg_of = |peer: &str| sim.ended()[0].legs.iter().find(|l| l.peer == peer).expect("a leg").leg;
        let legs = [leg_of("trunk:carrier"), leg_of("phone:201")];
        let expected =
            Some(Bridge { legs, phone: Some("201".into()), agent: Some("1001".into()), customer_agent: None, limits: None });
        assert_eq!((began, ended), (expected.clone(), expected), "{who} hung up");
        sim.assert_clean();
    }
}

#[test]
fn what_a_carrier_says_before_the_answer_is_heard_and_the_call_goes_on_from_there() {
    let (mut sim, phone, carrier, _) = outside(12);
    sim.act(carrier, |c, _| c.early = true);
    // Longer than a leg may be silent once it is answered: the phone says nothing yet.
    sim.set(carrier, OnInvite::Answer(45 * SECOND));
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("it rings", |s| s.ua(carrier).is_ringing());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(40 * SECOND);
    let (c, p) = (sim.ua(carrier).byte, sim.ua(phone).byte);
    assert!(sim.ua(phone).heard(c, since) > 1_900, "{}", sim.story());
    let provisional: Vec<u16> =
        sim.ua(phone).statuses.iter().filter(|(m, s)| m == "INVITE" && *s < 200 && *s > 100).map(|(_, s)| *s).collect();
    assert_eq!(provisional, [183], "a 180 would have the phone ring over it");
    assert!(!sim.has("call.answered") && !sim.has("recording.started") && !sim.has("media.missing"));
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(phone).heard(c, since) > 80 && sim.ua(carrier).heard(p, since) > 80);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("recording.finished"));
    let length = sim.recordings.values().next().map(|r| r.samples.len() / 2 / 8_000);
    assert_eq!(length, Some(2), "recorded from the answer on");
    sim.assert_clean();
}

#[test]
fn an_announcement_that_ends_in_a_refusal_is_heard_and_the_refusal_passed_on() {
    let (mut sim, phone, carrier, backup) = outside(13);
    sim.act(carrier, |c, _| c.early = true);
    sim.set(carrier, OnInvite::RefuseAfter(404, 4 * SECOND));
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    let since = sim.now.mono;
    sim.run_until("over", |s| s.ua(phone).is_idle());
    let c = sim.ua(carrier).byte;
    assert!(sim.ua(phone).heard(c, since) > 150);
    assert_eq!(sim.ua(phone).final_status(), Some(404));
    assert!(sim.ua(backup).invites.is_empty());
    sim.assert_clean();
}

#[test]
fn after_the_announcement_of_a_trunk_that_fails_the_next_one_is_heard() {
    let (mut sim, phone, carrier, backup) = outside(14);
    for trunk in [carrier, backup] {
        sim.act(trunk, |t, _| t.early = true);
    }
    sim.set(carrier, OnInvite::RefuseAfter(503, 3 * SECOND));
    sim.set(backup, OnInvite::Answer(3 * SECOND));
    sim.act(phone, |p, now| {
        p.call("04940123", now);
    });
    sim.run_until("the next one rings", |s| s.ua(backup).is_ringing());
    let since = sim.now.mono + SECOND / 10;
    sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(backup).is_up());
    let (b, c) = (sim.ua(backup).byte, sim.ua(carrier).byte);
    assert!(sim.ua(phone).heard(b, since) > 130 && sim.ua(phone).heard(c, since) == 0, "{}", sim.story());
    sim.act(backup, |b, now| b.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}
