//! Sessions with a timer (RFC 4028), and UPDATE (RFC 3311).

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::route::Cause;

use crate::sim::audio::MUSIC;
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// A customer with this Session-Expires, who talks to 201.
fn talking(seed: u8, expires: Option<u32>) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.session_expires = expires;
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    (sim, phone, trunk)
}

#[test]
fn a_session_that_its_peer_refreshes_lives_and_one_that_it_does_not_ends_before_its_time() {
    let (mut sim, phone, trunk) = talking(1, Some(600));
    assert_eq!(sim.ua(trunk).sessions, ["600;refresher=uac"]);
    for refresh in ["update", "reinvite", "update"] {
        sim.run_for(300 * SECOND);
        sim.act(trunk, |t, now| match refresh {
            "update" => t.update(None, now),
            _ => t.resume(now),
        });
    }
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).sessions.len(), 4, "each refresh is granted anew");
    let refreshed = sim.now.mono;
    sim.run_until("it ends", |s| s.ua(trunk).is_idle() && s.ua(phone).is_idle());
    let after = sim.now.mono.since(refreshed);
    assert!((566 * SECOND..569 * SECOND).contains(&after), "{after:?}");
    sim.run_until("told", |s| s.has("call.ended"));
    assert_eq!(sim.ended()[0].cause, Cause::Lost);
    sim.assert_clean();
}

#[test]
fn an_interval_that_is_too_short_gets_422_and_a_refresh_with_one_leaves_the_session_as_it_is() {
    let mut sim = Sim::new(2);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.session_expires = Some(30);
        t.call("+4930555201", now);
    });
    sim.run_until("refused", |s| s.ua(trunk).is_idle());
    assert_eq!((sim.ua(trunk).final_status(), sim.ua(trunk).sessions.as_slice()), (Some(422), &["90".to_owned()][..]));
    assert!(sim.ua(phone).invites.is_empty() && !sim.has("call.started"));

    sim.act(trunk, |t, now| {
        t.session_expires = Some(90);
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    let began = sim.now.mono;
    sim.act(trunk, |t, now| {
        t.session_expires = Some(89);
        t.update(None, now);
    });
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).last_status("UPDATE"), Some(422));
    sim.run_until("it ends when the first grant does", |s| s.ua(phone).is_idle());
    assert!(sim.now.mono.since(began) < 62 * SECOND);
    sim.assert_clean();
}

#[test]
fn a_session_without_a_timer_and_one_whose_refresh_asks_for_none_live_on() {
    for expires in [None, Some(90)] {
        let (mut sim, phone, trunk) = talking(3, expires);
        sim.act(trunk, |t, now| {
            t.session_expires = None;
            t.update(None, now);
        });
        sim.run_for(300 * SECOND);
        assert!(sim.ua(phone).is_up() && sim.ua(trunk).is_up(), "{}", sim.story());
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn an_update_holds_and_resumes_as_a_reinvite_does() {
    let (mut sim, phone, trunk) = talking(4, None);
    let (t, p) = (sim.ua(trunk).byte, sim.ua(phone).byte);
    sim.act(phone, |p, now| p.update(Some("sendonly"), now));
    sim.run_until("held", |s| s.has("call.held"));
    let since = sim.now.mono + SECOND / 4;
    sim.run_for(2 * SECOND);
    assert_eq!(sim.ua(trunk).hears(since).keys().copied().collect::<Vec<_>>(), [MUSIC]);
    sim.act(phone, |p, now| p.update(Some("sendrecv"), now));
    sim.run_until("resumed", |s| s.has("call.resumed"));
    let since = sim.now.mono + SECOND / 10;
    sim.run_for(2 * SECOND);
    assert!(sim.ua(trunk).heard(p, since) > 80 && sim.ua(phone).heard(t, since) > 80);
    // While an INVITE of its own waits for its ACK, its offer collides.
    sim.act(phone, |p, now| {
        p.resume(now);
        p.update(Some("inactive"), now);
    });
    sim.run_for(SECOND);
    assert_eq!(sim.ua(phone).last_status("UPDATE"), Some(491));
    assert_eq!(sim.count("call.held"), 1);
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// A customer talks to 201, whose phone grants this.
fn granted(seed: u8, grants: &'static str, allows_update: bool) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(phone, |p, _| {
        p.grants = Some(grants);
        p.allows_update = allows_update;
    });
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    (sim, phone, trunk)
}

#[test]
fn a_session_that_is_ours_to_refresh_is_refreshed_at_half_time_by_update_or_by_invite() {
    for (allows, expected) in [(true, "UPDATE"), (false, "INVITE sendrecv")] {
        let (mut sim, phone, trunk) = granted(11, "600;refresher=uac", allows);
        sim.run_for(1_520 * SECOND);
        assert_eq!(sim.ua(phone).refreshes, [expected; 5], "every 300 s");
        let since = sim.now.mono;
        sim.run_for(SECOND);
        assert!(sim.ua(trunk).heard(sim.ua(phone).byte, since) > 40 && sim.ua(phone).heard(sim.ua(trunk).byte, since) > 40);
        assert!(!sim.has("call.held"));
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_refresh_of_who_holds_does_not_take_the_hold_back() {
    let (mut sim, phone, trunk) = granted(12, "600;refresher=uac", false);
    sim.act(phone, |p, now| {
        // Without it there would be no timer any more (RFC 4028 §9).
        p.wants = Some("600;refresher=uas");
        p.hold(crate::sim::ua::Hold::SendOnly, now);
    });
    sim.run_until("held", |s| s.has("call.held"));
    sim.act(phone, |p, _| p.refreshes.clear());
    sim.run_until("refreshed", |s| !s.ua(phone).refreshes.is_empty());
    assert_eq!(sim.ua(phone).refreshes, ["INVITE recvonly"]);
    let since = sim.now.mono + SECOND / 5;
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).hears(since).keys().eq([&MUSIC]));
    assert!(!sim.has("call.resumed"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_refresh_that_is_refused_is_tried_again_or_ends_the_call_as_the_refusal_says() {
    // What the refreshes get; how many there are in 350 s; whether the call lives.
    for (statuses, refreshes, lives) in [
        (vec![491], vec!["UPDATE", "UPDATE"], true),
        (vec![500], vec!["UPDATE"], true),
        // With a Retry-After of 7 s.
        (vec![500, 500], vec!["UPDATE"; 3], true),
        (vec![501], vec!["UPDATE", "INVITE sendrecv"], true),
        (vec![405, 491], vec!["UPDATE", "INVITE sendrecv", "INVITE sendrecv"], true),
        (vec![481], vec!["UPDATE"], false),
        (vec![408], vec!["UPDATE"], false),
    ] {
        let (mut sim, phone, trunk) = granted(13, "600;refresher=uac", true);
        sim.act(phone, |p, _| {
            p.retry_after = (statuses.len() == 2 && statuses[1] == 500).then_some(7);
            p.on_refresh.extend(statuses.clone());
        });
        sim.run_for(350 * SECOND);
        assert_eq!(sim.ua(phone).refreshes, refreshes, "{statuses:?}");
        assert_eq!(sim.ua(trunk).is_up(), lives, "{statuses:?}");
        sim.act(trunk, |t, now| t.hang_up(now));
        sim.assert_clean();
        assert_eq!(sim.ended()[0].cause, if lives { Cause::Normal } else { Cause::Lost });
    }
    // Nothing comes at all: the phone is gone.
    let (mut sim, phone, trunk) = granted(14, "600;refresher=uac", true);
    sim.act(phone, |p, _| p.on_refresh.extend([0; 20]));
    sim.run_until("given up", |s| s.ua(trunk).is_idle());
    sim.assert_clean();
    assert_eq!(sim.ended()[0].cause, Cause::Lost);
}

#[test]
fn a_session_that_the_one_we_called_is_to_refresh_ends_when_it_does_not() {
    let (mut sim, phone, trunk) = granted(15, "600;refresher=uas", true);
    let began = sim.now.mono;
    sim.run_until("ended", |s| s.ua(trunk).is_idle());
    let lasted = sim.now.mono.since(began);
    assert!((565 * SECOND..570 * SECOND).contains(&lasted), "{lasted:?}");
    assert!(sim.ua(phone).refreshes.is_empty() && sim.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn a_peer_that_wants_a_longer_interval_than_ours_gets_it_once() {
    let mut sim = Sim::new(16);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(phone, |p, _| p.min_se = Some(3_600));
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    assert_eq!(sim.ua(phone).sessions, ["asked 1800", "asked 3600"]);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
    // One that can't be pleased is a refusal like others.
    sim.act(phone, |p, _| p.min_se = Some(100_000));
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("refused", |s| s.ua(trunk).is_idle());
    assert_eq!(sim.ua(phone).sessions.len(), 3);
    sim.assert_clean();
}

#[test]
fn a_caller_who_wants_us_to_refresh_is_refreshed() {
    let mut sim = Sim::new(17);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.act(trunk, |t, now| {
        t.more.push(("Supported", "timer"));
        t.more.push(("Session-Expires", "600;refresher=uas"));
        t.more.push(("Allow", "INVITE, UPDATE"));
        t.allows_update = true;
        t.grants = Some("600;refresher=uac");
        t.call("+4930555201", now);
    });
    sim.run_until("they talk", |s| s.ua(trunk).is_up() && s.ua(phone).is_up());
    assert_eq!(sim.ua(trunk).sessions, ["600;refresher=uas"]);
    sim.run_for(920 * SECOND);
    assert_eq!(sim.ua(trunk).refreshes, ["UPDATE"; 3]);
    assert!(sim.ua(trunk).is_up());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

/// RFC 3261 §22.3: a BYE that stays unsigned would leave the call up at the carrier.
#[test]
fn a_carrier_that_challenges_a_refresh_or_a_bye_gets_it_with_the_account_once() {
    for (account, challenges, signed) in [(true, 1, vec!["UPDATE", "BYE"]), (true, 2, vec!["UPDATE", "BYE"]), (false, 1, vec![])]
    {
        let mut source = centre();
        if account {
            let own = "peer = \"10.2.0.1\"\nuser = \"490301\"\nsecret = \"s\"";
            source.main.text = source.main.text.replace("peer = \"10.2.0.1\"", own);
        }
        let mut sim = Sim::with(18, source);
        let (phone, carrier) = (sim.phone("210"), sim.trunk());
        sim.act(carrier, |c, _| {
            c.grants = Some("600;refresher=uac");
            c.allows_update = true;
            c.on_refresh.extend(vec![407; challenges]);
            c.on_bye.extend(vec![407; challenges]);
        });
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("they talk", |s| s.ua(phone).is_up() && s.ua(carrier).is_up());
        sim.run_for(350 * SECOND);
        assert!(sim.ua(phone).is_up(), "{}", sim.story());
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        assert_eq!(sim.ua(carrier).signed, signed);
        assert_eq!(sim.ua(carrier).is_idle(), account && challenges == 1, "its BYE was taken");
        sim.act(carrier, |c, _| c.forget());
        sim.assert_clean();
    }
}
