//! Call forwarding, do-not-disturb and 3xx (RFC 3261 §21.3), with the history that the next one is shown (RFC 5806, RFC 7044).

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::event::{CallForwarded, Kind};
use cordboard::route::{Forwarding, Why};
use cordboard::switch::{Answer, Command, Refusal};

use crate::sim::audio::PROMPT;
use crate::sim::ua::{OnInvite, Ua};
use crate::sim::{Sim, centre};

const SECOND: Duration = Duration::from_secs(1);

/// 201, 202 and 210 are there; 210 calls.
fn office(seed: u8) -> (Sim, SocketAddr, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let phones = (sim.phone("210"), sim.phone("201"), sim.phone("202"));
    (sim, phones.0, phones.1, phones.2)
}

fn set(sim: &mut Sim, phone: &str, forwarding: Forwarding) {
    let done = sim.ask(Command::SetForwarding { phone: phone.into(), forwarding });
    assert_eq!(done, Answer::Done);
}

fn call(sim: &mut Sim, from: SocketAddr, number: &str) {
    sim.act(from, |p, now| {
        p.call(number, now);
    });
}

fn forwarded(sim: &Sim) -> Vec<(String, String, Why)> {
    let one = |e: &cordboard::event::Event| match &e.kind {
        Kind::CallForwarded(CallForwarded { phone, to, reason }) => Some((phone.to_string(), to.clone(), *reason)),
        _ => None,
    };
    sim.events.iter().filter_map(one).collect()
}

fn to(number: &str) -> Option<String> {
    Some(number.to_owned())
}

#[test]
fn each_way_of_not_taking_a_call_sends_it_where_the_user_said() {
    let always = Forwarding { always: to("202"), ..Forwarding::default() };
    let busy = Forwarding { busy: to("202"), ..Forwarding::default() };
    let quiet = Forwarding { busy: to("202"), do_not_disturb: true, ..Forwarding::default() };
    let no_answer = Forwarding { no_answer: to("202"), no_answer_after_s: 15, ..Forwarding::default() };
    let away = Forwarding { unregistered: to("202"), ..Forwarding::default() };
    for (forwarding, does, why, reason, rings) in [
        (always, OnInvite::Ring, Why::Always, "unconditional", 0),
        (busy, OnInvite::Refuse(486), Why::Busy, "user-busy", 1),
        (quiet, OnInvite::Ring, Why::DoNotDisturb, "do-not-disturb", 0),
        (no_answer, OnInvite::Ring, Why::NoAnswer, "no-answer", 1),
        (away.clone(), OnInvite::Refuse(480), Why::Unregistered, "unavailable", 1),
    ] {
        let (mut sim, caller, first, second) = office(1);
        set(&mut sim, "201", forwarding);
        sim.set(first, does);
        let began = sim.now.mono;
        call(&mut sim, caller, "201");
        sim.run_until("the second answers", |s| s.ua(second).is_up() && s.ua(caller).is_up());
        assert_eq!(sim.ua(first).invites.len(), rings, "{why:?}");
        assert!(sim.ua(first).is_idle());
        if why == Why::NoAnswer {
            let waited = sim.now.mono.since(began);
            assert!(waited >= 17 * SECOND && waited < 19 * SECOND, "{waited:?}");
        }
        assert_eq!(forwarded(&sim), [("201".to_owned(), "202".to_owned(), why)]);
        let seen = &sim.ua(second).invites[0];
        assert_eq!(seen.diversion, [format!("<sip:201@cordboard.example>;reason={reason};counter=1")]);
        let cause = why.cause();
        let history = format!(
            "<sip:201@cordboard.example?Reason=SIP%3Bcause%3D{cause}>;index=1, <sip:202@cordboard.example;cause={cause}>;index=1.1"
        );
        assert_eq!(seen.history, [history]);
        let since = sim.now.mono + SECOND / 5;
        sim.run_for(SECOND);
        assert!(sim.ua(caller).heard(sim.ua(second).byte, since) > 30);
        sim.act(caller, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
    // Nobody is registered there.
    let (mut sim, caller, _, second) = office(1);
    set(&mut sim, "203", away);
    call(&mut sim, caller, "203");
    sim.run_until("the second answers", |s| s.ua(second).is_up());
    assert_eq!(forwarded(&sim), [("203".to_owned(), "202".to_owned(), Why::Unregistered)]);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn who_wants_not_to_be_disturbed_is_busy_and_who_declines_is_not_sent_on() {
    let (mut sim, caller, first, second) = office(2);
    set(&mut sim, "201", Forwarding { do_not_disturb: true, ..Forwarding::default() });
    call(&mut sim, caller, "201");
    sim.run_until("refused", |s| s.ua(caller).final_status().is_some());
    assert_eq!((sim.ua(caller).final_status(), sim.ua(first).invites.len()), (Some(486), 0));

    let all = Forwarding { busy: to("202"), no_answer: to("202"), unregistered: to("202"), ..Forwarding::default() };
    set(&mut sim, "201", all);
    sim.set(first, OnInvite::Refuse(603));
    call(&mut sim, caller, "201");
    sim.run_until("refused", |s| s.ua(caller).final_status() == Some(603));
    assert!(sim.ua(second).invites.is_empty());
    sim.assert_clean();
}

#[test]
fn calls_that_go_in_a_circle_end_and_the_caller_learns_why() {
    let (mut sim, caller, first, second) = office(3);
    set(&mut sim, "201", Forwarding { always: to("202"), ..Forwarding::default() });
    set(&mut sim, "202", Forwarding { always: to("201"), ..Forwarding::default() });
    call(&mut sim, caller, "201");
    sim.run_until("refused", |s| s.ua(caller).final_status().is_some());
    assert_eq!(sim.ua(caller).final_status(), Some(482));
    assert!(sim.ua(first).invites.is_empty() && sim.ua(second).invites.is_empty());

    set(&mut sim, "201", Forwarding { busy: to("202"), ..Forwarding::default() });
    set(&mut sim, "202", Forwarding { busy: to("201"), ..Forwarding::default() });
    sim.set(first, OnInvite::Refuse(486));
    sim.set(second, OnInvite::Refuse(486));
    call(&mut sim, caller, "201");
    sim.run_until("busy", |s| s.ua(caller).final_status() == Some(486));
    assert_eq!((sim.ua(first).invites.len(), sim.ua(second).invites.len()), (1, 1));
    sim.assert_clean();
}

#[test]
fn forwarding_goes_on_over_several_phones_and_all_of_them_are_told() {
    let (mut sim, caller, _, _) = office(4);
    let last = sim.phone("204");
    for (phone, next) in [("201", "202"), ("202", "203"), ("203", "204")] {
        set(&mut sim, phone, Forwarding { always: to(next), ..Forwarding::default() });
    }
    call(&mut sim, caller, "201");
    sim.run_until("the last answers", |s| s.ua(last).is_up());
    let seen = &sim.ua(last).invites[0];
    let stations: Vec<&str> = seen.diversion.iter().map(|d| &d[5..8]).collect();
    assert_eq!(stations, ["203", "202", "201"], "the latest first");
    assert!(seen.history[0].ends_with("<sip:204@cordboard.example;cause=302>;index=1.1.1.1"), "{}", seen.history[0]);
    // The next call of the same caller has a history of its own.
    sim.act(caller, |p, now| p.hang_up(now));
    call(&mut sim, caller, "204");
    sim.run_until("the last answers", |s| s.ua(last).is_up() && s.ua(last).invites.len() == 2);
    assert!(sim.ua(last).invites[1].diversion.is_empty() && sim.ua(last).invites[1].history.is_empty());
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn a_customer_is_sent_outside_with_the_forwarding_phones_right_and_number() {
    for (phone, outside) in [("210", true), ("211", false)] {
        let mut sim = Sim::new(5);
        let (trunk, forwards) = (sim.trunk(), sim.phone(phone));
        let forwarding = Forwarding { no_answer: to("04940123"), ..Forwarding::default() };
        let done = sim.ask(Command::SetForwarding { phone: phone.into(), forwarding });
        if !outside {
            assert_eq!(done, Answer::Refused(Refusal::NotDiallable("04940123".into())));
            continue;
        }
        assert_eq!(done, Answer::Done);
        sim.set(forwards, OnInvite::Ring);
        let other = sim.phone("201");
        call(&mut sim, other, phone);
        sim.run_until("the mobile answers", |s| s.ua(trunk).is_up() && s.ua(other).is_up());
        let seen = &sim.ua(trunk).invites[0];
        assert_eq!((seen.number.as_str(), seen.diversion.len()), ("+4930555210", 1));
        sim.act(other, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

#[test]
fn a_phone_that_sends_a_call_on_by_302_is_obeyed_for_all_its_devices() {
    let (mut sim, caller, first, second) = office(6);
    let other = sim.phone_at("201", [10, 1, 7, 7]);
    sim.set(first, OnInvite::RefuseAfter(302, 3 * SECOND));
    sim.set(other, OnInvite::Ring);
    sim.act(first, |p, _| p.redirects_to = "<sip:999@10.0.0.1>;q=0.9, <sip:202@10.0.0.1>;q=0.5, <sip:204@10.0.0.1>;q=0.1".into());
    call(&mut sim, caller, "201");
    sim.run_until("the second answers", |s| s.ua(second).is_up() && s.ua(caller).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(other).is_idle() && sim.ua(first).is_idle());
    assert_eq!(forwarded(&sim), [("201".to_owned(), "202".to_owned(), Why::Redirected)], "the first that can be dialled");
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();

    // Nowhere to go, and 305 and 380 name no place for the call: it is not taken.
    for (status, contact) in
        [(302, "<sip:999@10.0.0.1>"), (302, "<sip:201@10.0.0.1>"), (305, "<sip:202@x>"), (380, "<sip:202@x>")]
    {
        let (mut sim, caller, first, second) = office(7);
        sim.set(first, OnInvite::Refuse(status));
        sim.act(first, |p, _| p.redirects_to = contact.into());
        call(&mut sim, caller, "201");
        sim.run_until("refused", |s| s.ua(caller).final_status().is_some());
        assert_eq!(sim.ua(caller).final_status(), Some(480), "{status} {contact}");
        assert!(sim.ua(second).invites.is_empty());
        sim.assert_clean();
    }
}

#[test]
fn a_carriers_302_is_followed_within_the_carrier_and_so_far() {
    let (mut sim, caller, _, _) = office(8);
    let carrier = sim.trunk();
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.act(carrier, |t, _| {
        t.script.push_back(OnInvite::Refuse(302));
        t.redirects_to = "<sip:4940999@10.2.0.1>".into();
    });
    call(&mut sim, caller, "04940123");
    sim.run_until("answered at the other number", |s| s.ua(carrier).is_up());
    assert!(sim.ua(carrier).invites[1].uri.starts_with("sip:4940999@10.2.0.1"), "{}", sim.ua(carrier).invites[1].uri);
    assert_eq!(sim.ua(carrier).invites[1].number, "+4930555210");
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_for(SECOND);

    // Elsewhere, or for ever: it is not.
    for contact in ["<sip:4940999@203.0.113.1>", "<sip:4940999@10.2.0.1>"] {
        sim.act(carrier, |t, _| t.redirects_to = contact.into());
        sim.set(carrier, OnInvite::Refuse(302));
        let before = sim.ua(carrier).invites.len();
        call(&mut sim, caller, "04940123");
        sim.run_until("given up", |s| s.ua(caller).is_idle());
        let tried = sim.ua(carrier).invites.len() - before;
        assert_eq!(tried, if contact.contains("10.2.0.1") { 4 } else { 1 });
    }
    assert!(sim.ua(backup).invites.is_empty(), "no failure of the trunk");
    sim.assert_clean();
}

/// RFC 3261 §8.1.3.4, §16.5: one after the other, the preferred first, until one takes it or says that nobody will.
#[test]
fn each_contact_of_a_carriers_302_has_its_turn() {
    const CONTACTS: &str = "<sip:4940111@10.2.0.1>;q=0.2, <sip:4940999@203.0.113.1>, <sip:4940222@10.2.0.1>;q=0.9";
    let two = ["4940222", "4940111"];
    for (refusals, dialled, caller_gets, by_backup) in [
        (&[486][..], &two[..], 200, false),
        (&[404], &two, 200, false),
        (&[503], &two, 200, false),
        // The most telling one; and what says nothing of the number is the trunk's failure, for which there is another one.
        (&[486, 404], &two, 486, false),
        (&[404, 503], &two, 404, false),
        (&[503, 500], &two, 200, true),
        // For all of them.
        (&[603], &two[..1], 603, false),
        // Five at most, of three that are followed: each of the two, and again from there.
        (&[302; 12], &["4940222", "4940222", "4940222", "4940111"], 480, false),
    ] {
        let (mut sim, caller, _, _) = office(13);
        let carrier = sim.trunk();
        let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        sim.act(carrier, |t, _| {
            t.script.push_back(OnInvite::Refuse(302));
            t.script.extend(refusals.iter().map(|status| OnInvite::Refuse(*status)));
            t.redirects_to = CONTACTS.into();
        });
        call(&mut sim, caller, "04940123");
        sim.run_until("it is over, or answered", |s| s.ua(caller).is_up() || s.ua(caller).final_status().is_some());
        let rung: Vec<String> = sim.ua(carrier).invites.iter().skip(1).map(|i| i.uri.clone()).collect();
        let expected: Vec<String> = dialled.iter().map(|number| format!("sip:{number}@10.2.0.1")).collect();
        assert!(
            rung.len() == expected.len() && rung.iter().zip(&expected).all(|(uri, e)| uri.starts_with(e)),
            "{refusals:?} {rung:?}"
        );
        assert_eq!(sim.ua(caller).final_status(), Some(caller_gets), "{refusals:?}");
        assert_eq!(sim.ua(backup).invites.len(), usize::from(by_backup), "{refusals:?}");
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
        sim.assert_clean();
    }
}

#[test]
fn a_carriers_302_to_another_port_of_its_own_host_is_followed_there() {
    let (mut sim, caller, _, _) = office(10);
    let carrier = sim.trunk();
    let mut other = Ua::trunk([10, 2, 0, 1].into());
    other.at.set_port(5_080);
    other.byte = 0x2f;
    let other = sim.add(other);
    sim.act(carrier, |t, _| {
        t.script.push_back(OnInvite::Refuse(302));
        t.redirects_to = "<sip:4940999@10.2.0.1:5080>".into();
    });
    call(&mut sim, caller, "04940123");
    sim.run_until("answered at the other port", |s| s.ua(other).is_up() && s.ua(caller).is_up());
    assert!(sim.ua(other).invites[0].uri.starts_with("sip:4940999@10.2.0.1:5080"), "{}", sim.ua(other).invites[0].uri);
    assert_eq!((sim.ua(carrier).invites.len(), sim.ua(other).invites.len()), (1, 1));
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_until("over", |s| s.ua(other).is_idle());
    // Back and forth is a loop like any other.
    sim.set(carrier, OnInvite::Refuse(302));
    sim.set(other, OnInvite::Refuse(302));
    sim.act(other, |t, _| t.redirects_to = "<sip:4940999@10.2.0.1:5060>".into());
    call(&mut sim, caller, "04940123");
    sim.run_until("given up", |s| s.ua(caller).is_idle());
    assert_eq!(sim.ua(carrier).invites.len() + sim.ua(other).invites.len(), 2 + 4);
    sim.assert_clean();
}

/// A call that a carrier sends on to another port of its own is one more call for the carrier's limits, as one to itself is.
#[test]
fn a_302_to_another_port_of_a_trunk_goes_past_none_of_its_limits() {
    for (limit, port, goes_on) in [
        ("max_calls_per_second = 1", ":5080", false),
        ("max_calls_per_second = 1", "", false),
        ("max_calls_per_second = 2", ":5080", true),
        ("max_calls = 1", ":5080", true),
    ] {
        let mut source = centre();
        source.main.text = source.main.text.replacen("peer = \"10.2.0.1\"\n", &format!("peer = \"10.2.0.1\"\n{limit}\n"), 1);
        let mut sim = Sim::with(11, source);
        let (caller, carrier) = (sim.phone("210"), sim.trunk());
        let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
        let mut other = Ua::trunk([10, 2, 0, 1].into());
        other.at.set_port(5_080);
        let other = sim.add(other);
        sim.act(carrier, |t, _| {
            t.script.push_back(OnInvite::Refuse(302));
            t.redirects_to = format!("<sip:4940999@10.2.0.1{port}>");
        });
        call(&mut sim, caller, "04940123");
        sim.run_until("answered somewhere", |s| s.ua(caller).is_up());
        let rung = [carrier, other, backup].map(|at| sim.ua(at).invites.len());
        assert_eq!(rung, if goes_on { [1, 1, 0] } else { [1, 0, 1] }, "{limit} {port}");
        sim.act(caller, |p, now| p.hang_up(now));
        sim.assert_clean();
    }
}

/// A refusal that ends the trying of trunks ends it too where another contact of the redirection is kept from its turn.
#[test]
fn a_limit_behind_a_302_hides_no_refusal() {
    let mut source = centre();
    source.main.text = source.main.text.replacen("peer = \"10.2.0.1\"\n", "peer = \"10.2.0.1\"\nmax_calls_per_second = 2\n", 1);
    let mut sim = Sim::with(14, source);
    let (caller, carrier) = (sim.phone("210"), sim.trunk());
    let backup = sim.add(Ua::trunk([10, 2, 0, 2].into()));
    sim.act(carrier, |t, _| {
        t.script.extend([OnInvite::Refuse(302), OnInvite::Refuse(486)]);
        t.redirects_to = "<sip:4940111@10.2.0.1>;q=0.9, <sip:4940222@10.2.0.1>;q=0.2".into();
    });
    call(&mut sim, caller, "04940123");
    sim.run_until("it is over, or answered", |s| s.ua(caller).is_up() || s.ua(caller).final_status().is_some());
    assert_eq!(sim.ua(caller).final_status(), Some(486), "{}", sim.story());
    assert_eq!([carrier, backup].map(|at| sim.ua(at).invites.len()), [2, 0]);
    sim.assert_clean();
}

/// RFC 3261 §8.1.3.4: it says where, and that is none of the others.
#[test]
fn a_302_to_another_address_of_a_trunk_goes_there() {
    let mut source = centre();
    source.main.text = source.main.text.replacen("peer = \"10.2.0.1\"\n", "peer = \"sip.carrier.example\"\n", 1);
    let mut sim = Sim::with(12, source);
    let carriers = [11, 12, 13].map(|last| sim.add(Ua::trunk([10, 2, 0, last].into())));
    let servers =
        carriers.map(|at| crate::sim::server(cordboard::sip::Transport::Udp, u32::from(at.ip() != carriers[0].ip()), 0, at));
    sim.names.insert("sip.carrier.example".into(), servers.to_vec());
    sim.run_for(120 * SECOND);
    let caller = sim.phone("210");
    for other in [1, 2] {
        sim.act(carriers[0], |t, _| {
            t.script.push_back(OnInvite::Refuse(302));
            t.redirects_to = format!("<sip:4940999@{}>", carriers[other].ip());
        });
        let before = sim.ua(carriers[other]).invites.len();
        call(&mut sim, caller, "04940123");
        sim.run_until("answered", |s| s.ua(caller).is_up());
        assert_eq!(sim.ua(carriers[other]).invites.len(), before + 1, "{other}\n{}", sim.story());
        assert!(sim.ua(carriers[other]).invites[before].uri.starts_with("sip:4940999@sip.carrier.example"));
        sim.act(caller, |p, now| p.hang_up(now));
        sim.run_for(SECOND);
    }
    sim.assert_clean();
}

#[test]
fn a_transfer_to_a_forwarded_phone_reaches_whom_it_is_forwarded_to() {
    let (mut sim, caller, first, second) = office(9);
    let trunk = sim.trunk();
    set(&mut sim, "210", Forwarding { always: to("202"), ..Forwarding::default() });
    call(&mut sim, trunk, "+4930555201");
    sim.run_until("they talk", |s| s.ua(first).is_up());
    sim.run_for(SECOND);
    sim.act(first, |p, now| p.refer("210", now));
    sim.run_until("the second answers", |s| s.ua(second).is_up());
    sim.run_for(SECOND);
    assert!(sim.ua(caller).invites.is_empty());
    assert_eq!(sim.ua(first).notifies.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn queues_ring_an_agents_phone_whatever_its_user_has_set() {
    let (mut sim, _, first, second) = office(10);
    let trunk = sim.trunk();
    set(&mut sim, "201", Forwarding { always: to("202"), do_not_disturb: true, ..Forwarding::default() });
    set(&mut sim, "202", Forwarding { do_not_disturb: true, ..Forwarding::default() });
    call(&mut sim, trunk, "+4930555600");
    sim.run_until("an agent answers", |s| s.ua(first).is_up() || s.ua(second).is_up());
    assert!(forwarded(&sim).is_empty());
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.assert_clean();
}

#[test]
fn the_phones_own_codes_set_and_end_it_and_it_outlives_a_restart() {
    let (mut sim, caller, first, second) = office(11);
    let own = |sim: &mut Sim| {
        let Answer::Phones(phones) = sim.ask(Command::Phones) else { panic!() };
        phones.into_iter().find(|p| p.number == "201").map(|p| p.forwarding).unwrap()
    };
    let dial = |sim: &mut Sim, code: &str| {
        let before = sim.ended().len();
        let since = sim.now.mono;
        call(sim, first, code);
        sim.run_until("said", |s| s.ended().len() > before);
        (sim.ua(first).final_status(), sim.ua(first).heard(PROMPT, since) > 0)
    };
    for code in ["*41202", "*41*202#"] {
        assert_eq!(dial(&mut sim, code), (Some(200), true));
        assert_eq!(own(&mut sim), Forwarding { always: to("202"), ..Forwarding::default() });
        assert_eq!(dial(&mut sim, "*41"), (Some(200), true));
        assert!(own(&mut sim).is_default());
    }
    for code in ["*42202", "*43202", "*44202", "*451"] {
        dial(&mut sim, code);
    }
    let all = Forwarding {
        busy: to("202"),
        no_answer: to("202"),
        unregistered: to("202"),
        do_not_disturb: true,
        ..Forwarding::default()
    };
    assert_eq!(own(&mut sim), all);
    sim.restart(Vec::new());
    assert_eq!(own(&mut sim), all);
    call(&mut sim, caller, "201");
    sim.run_until("the second answers", |s| s.ua(second).is_up());
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    dial(&mut sim, "*450");
    assert!(!own(&mut sim).do_not_disturb);
    sim.assert_clean();
}

#[test]
fn what_can_not_be_dialled_is_not_taken() {
    let (mut sim, _, first, _) = office(12);
    for number in ["201", "999", "*22", "", "04"] {
        let forwarding = Forwarding { busy: to(number), ..Forwarding::default() };
        let refused = sim.ask(Command::SetForwarding { phone: "201".into(), forwarding });
        if number == "04" {
            assert_eq!(refused, Answer::Done, "what the outside makes of a number is its own to say");
            continue;
        }
        assert_eq!(refused, Answer::Refused(Refusal::NotDiallable(number.into())), "{number}");
    }
    let late = Forwarding { no_answer_after_s: 61, ..Forwarding::default() };
    assert!(matches!(
        sim.ask(Command::SetForwarding { phone: "201".into(), forwarding: late }),
        Answer::Refused(Refusal::BadValue(_))
    ));
    let unknown = Command::SetForwarding { phone: "999".into(), forwarding: Forwarding::default() };
    assert_eq!(sim.ask(unknown), Answer::Refused(Refusal::UnknownPhone("999".into())));
    sim.act(first, |p, now| {
        p.call("*41999", now);
    });
    sim.run_until("refused", |s| s.ua(first).final_status() == Some(404));
    sim.assert_clean();
}

/// A menu that leads to a phone without a key pressed, and the phone back to the menu.
#[test]
fn a_circle_through_a_menu_ends_though_nobody_presses_a_key() {
    for unregistered in [false, true] {
        let mut source = crate::sim::centre();
        let menu = "name = \"round\"\nlanguage = \"en\"\nstart = \"on\"\n\n[node.on]\nkind = \"language\"\nset = \"en\"\nnext = \"phone:201\"\n";
        source.menus.push(cordboard::config::File { path: "menus/round.toml".into(), text: menu.into() });
        source.main.text.push_str("\n[[extension]]\nnumber = \"650\"\nto = \"menu:round\"\n");
        let mut sim = Sim::with(13, source);
        let caller = sim.phone("210");
        if !unregistered {
            sim.phone("201");
        }
        let forwarding = match unregistered {
            true => Forwarding { unregistered: to("650"), ..Forwarding::default() },
            false => Forwarding { always: to("650"), ..Forwarding::default() },
        };
        set(&mut sim, "201", forwarding);
        call(&mut sim, caller, "650");
        sim.run_until("it ends", |s| s.ended().len() == 1);
        assert!(forwarded(&sim).len() <= 5, "{}", sim.story());
        sim.assert_clean();
    }
}
