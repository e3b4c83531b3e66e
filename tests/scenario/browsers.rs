//! Phones that are pages: called and calling, on hold, closed. What is below RTP is for the engine's own tests and for `wire`.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{By, Kind, MissingCause};
use cordboard::media::{Broken, Report};
use cordboard::route::Cause;
use cordboard::sdp::Fingerprint;
use cordboard::sip::Transport;
use cordboard::switch::Input;

use crate::sim::audio::MUSIC;
use crate::sim::ua::{Hold, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

fn page(sim: &mut Sim) -> SocketAddr {
    sim.input(Input::Certificate(Fingerprint([9; 32])));
    let mut phone = Ua::phone("201", [10, 1, 0, 201].into());
    (phone.browser, phone.transport) = (true, Transport::Ws);
    let at = sim.add(phone);
    sim.act(at, |ua, now| ua.register(now));
    sim.run_until("the page is registered", |s| s.ua(at).registered);
    at
}

/// A customer and the page that it talks to.
fn talking(seed: u8) -> (Sim, SocketAddr, SocketAddr) {
    talking_in(Sim::new(seed))
}

fn talking_in(mut sim: Sim) -> (Sim, SocketAddr, SocketAddr) {
    let (page, trunk) = (page(&mut sim), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(page).is_up());
    sim.run_for(SECOND);
    (sim, page, trunk)
}

/// They hear each other for five seconds.
fn both_hear(sim: &mut Sim, a: SocketAddr, b: SocketAddr) {
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(5 * SECOND);
    let (byte_a, byte_b) = (sim.ua(a).byte, sim.ua(b).byte);
    assert!(sim.ua(a).heard(byte_b, since) > 240 && sim.ua(b).heard(byte_a, since) > 240);
}

#[test]
fn a_page_that_is_called_is_offered_what_it_can_take() {
    let (mut sim, page, trunk) = talking(1);
    both_hear(&mut sim, page, trunk);
    sim.act(page, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn a_page_that_calls_a_desk_phone_is_answered_as_it_offered() {
    let mut sim = Sim::new(2);
    let (page, desk) = (page(&mut sim), sim.phone("210"));
    sim.act(page, |p, now| {
        p.call("210", now);
    });
    sim.run_until("they talk", |s| s.ua(page).is_up() && s.ua(desk).is_up());
    both_hear(&mut sim, page, desk);
    sim.act(desk, |d, now| d.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

#[test]
fn a_page_holds_and_resumes() {
    let (mut sim, page, trunk) = talking(3);
    sim.act(page, |p, now| p.hold(Hold::SendOnly, now));
    sim.run_until("held", |s| s.has("call.held"));
    // The music has come up by then.
    let since = sim.now.mono + SECOND / 4;
    sim.run_for(5 * SECOND);
    assert_eq!(sim.ua(trunk).hears(since).keys().copied().collect::<Vec<_>>(), [MUSIC]);
    sim.act(page, |p, now| p.resume(now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    both_hear(&mut sim, page, trunk);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

/// Without a BYE, or before it has come: the media is what tells.
#[test]
fn a_page_that_is_closed_has_hung_up() {
    let (mut sim, page, trunk) = talking(4);
    let leg = sim.leg_of(page);
    sim.input(Input::Media(Report::Broken { leg, why: Broken::Closed }));
    sim.run_until("over", |s| s.has("call.ended"));
    assert_eq!((sim.ended()[0].cause, sim.ended()[0].by.clone()), (Cause::Normal, By::Phone));
    sim.run_until("both are told", |s| s.ua(trunk).byes == 1 && s.ua(page).byes == 1);
    sim.assert_clean();
}

#[test]
fn a_page_that_cannot_be_heard_any_more_ends_the_call() {
    let whys = [
        (Broken::Fingerprint, MissingCause::Fingerprint),
        (Broken::Handshake, MissingCause::Handshake),
        (Broken::Consent, MissingCause::Consent),
    ];
    for (nth, (why, told)) in whys.into_iter().enumerate() {
        let (mut sim, page, _) = talking(5 + nth as u8);
        let leg = sim.leg_of(page);
        sim.input(Input::Media(Report::Broken { leg, why }));
        sim.run_until("over", |s| s.has("call.ended"));
        assert_eq!((sim.ended()[0].cause, sim.ended()[0].by.clone()), (Cause::NoMedia, By::Switch));
        let missing = |kind: &Kind| matches!(kind, Kind::MediaMissing(m) if m.cause == Some(told) && m.peer == "phone:201");
        assert!(sim.events.iter().any(|e| missing(&e.kind)), "{told}");
        sim.run_for(SECOND);
        sim.assert_clean();
    }
}

/// Who offers is the switch, by a queue's doing.
#[test]
fn a_queue_rings_a_page() {
    let mut sim = Sim::new(9);
    let (page, trunk) = (page(&mut sim), sim.trunk());
    sim.act(trunk, |t, now| {
        t.call("+4930555600", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(page).is_up());
    assert_eq!(sim.count("queue.answered"), 1);
    sim.run_for(SECOND);
    both_hear(&mut sim, page, trunk);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

/// RFC 8840: further candidates are taken, and none is needed.
#[test]
fn a_page_tells_of_candidates_as_it_finds_them() {
    let (mut sim, page, trunk) = talking(10);
    sim.act(page, |p, now| p.trickle("a=ice-ufrag:aaaa\r\na=candidate:1 1 udp 2113937151 4d0c.local 51000 typ host\r\n", now));
    sim.run_until("it is answered", |s| s.ua(page).last_status("INFO").is_some());
    sim.act(page, |p, now| p.trickle("a=end-of-candidates\r\n", now));
    sim.run_for(SECOND);
    assert_eq!((sim.ua(page).last_status("INFO"), sim.trickled.len()), (Some(200), 0));
    both_hear(&mut sim, page, trunk);
    sim.act(page, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}

/// A full agent is told of them, as far as they are places for checks.
#[test]
fn a_full_agent_is_told_of_candidates_that_a_page_finds() {
    let mut source = centre();
    source.main.text = source.main.text.replace("[media]\n", "[media]\nice = \"full\"\n");
    let (mut sim, page, trunk) = talking_in(Sim::with(12, source));
    let fragment = "a=ice-ufrag:aaaa\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2113937151 4d0c.local 51000 typ host\r\n\
        a=candidate:2 1 udp 1677729535 10.1.0.201 51001 typ srflx raddr 0.0.0.0 rport 0\r\na=candidate:3 1 udp 9 127.0.0.1 9 typ host\r\n";
    for _ in 0..2 {
        sim.act(page, |p, now| p.trickle(fragment, now));
        sim.run_for(SECOND);
    }
    sim.act(page, |p, now| p.trickle("a=ice-ufrag:bbbb\r\na=candidate:4 1 udp 9 10.1.0.202 9 typ host\r\n", now));
    sim.run_for(SECOND);
    let told: Vec<String> = sim.trickled.iter().map(|candidate| candidate.address.to_string()).collect();
    assert_eq!((told, sim.ua(page).last_status("INFO")), (vec!["10.1.0.201:51001".to_owned()], Some(200)));
    both_hear(&mut sim, page, trunk);
    sim.act(page, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.has("call.ended"));
    sim.assert_clean();
}
