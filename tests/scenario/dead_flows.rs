//! Phones that lose their power, or their network, and say nothing of it (RFC 5626 §4.4, RFC 3261 §8.1.3.1).

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::config::Source;
use cordboard::event::{GoneBy, Kind};
use cordboard::sip::{Flow, Method, Request, Status, Transport};
use cordboard::switch::Input;

use crate::flows::{Line, requests};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre, kind_name, switch};

const SECOND: Duration = Duration::from_secs(1);

/// Numbers whose bindings have ended because nobody answered there.
fn lost(sim: &Sim) -> Vec<String> {
    let lost = |kind: &Kind| match kind {
        Kind::RegistrationExpired(r) if r.reason == Some(GoneBy::Silence) => Some(r.number.to_string()),
        _ => None,
    };
    sim.events.iter().filter_map(|e| lost(&e.kind)).collect()
}

fn probes(sim: &Sim, since: usize, to: SocketAddr) -> Vec<Request> {
    let its = |(flow, request): (Flow, Request)| (flow.remote == to && request.method == Method::Options).then_some(request);
    requests(sim, since).filter_map(its).collect()
}

fn dial(sim: &mut Sim, from: SocketAddr, number: &str) {
    sim.act(from, |p, now| {
        p.call(number, now);
    });
}

/// So long; and another phone is heard meanwhile, which shows that ours is not the network that is dead.
fn goes_on(sim: &mut Sim, other: SocketAddr, seconds: u32) {
    for _ in 0..seconds / 5 {
        sim.act(other, |phone, now| phone.register(now));
        sim.run_for(5 * SECOND);
    }
}

/// 201 is an agent's phone.
#[test]
fn an_unplugged_phone_is_registered_no_more_and_its_agent_is_not_there_two_minutes_after_the_first_call() {
    let mut sim = Sim::new(1);
    let (caller, phone) = (sim.phone("210"), sim.phone("201"));
    sim.act(phone, |p, _| p.dead = true);
    dial(&mut sim, caller, "201");
    // Timer B, and timer F of each of two probes, with half a minute between.
    goes_on(&mut sim, caller, 125);
    assert!(lost(&sim).is_empty());
    goes_on(&mut sim, caller, 5);
    assert_eq!(lost(&sim), ["201"]);
    assert_eq!(sim.events.last().map(kind_name).as_deref(), Some("agent.unregistered"), "{}", sim.story());
    assert!(sim.registrations.keys().all(|(number, _)| number != "201"), "after a restart neither");
    // It comes back as any phone does.
    sim.act(phone, |p, now| {
        p.dead = false;
        p.register(now);
    });
    sim.run_until("it is back", |s| s.count("registration.added") == 3);
    sim.assert_clean();
    assert_eq!(sim.count("registration.expired"), 1);
}

/// Any answer to OPTIONS will do; many a phone knows it not.
#[test]
fn a_phone_that_lets_an_invite_go_unanswered_but_answers_a_probe_stays() {
    for status in [200, 405, 481] {
        let mut sim = Sim::new(2);
        let (caller, phone) = (sim.phone("210"), sim.phone("201"));
        sim.set(phone, OnInvite::Ignore);
        sim.act(phone, |p, _| p.on_options = status);
        dial(&mut sim, caller, "201");
        sim.run_for(200 * SECOND);
        assert_eq!((sim.ua(phone).options, sim.count("registration.expired")), (1, 0), "{status}");
        sim.assert_clean();
    }
}

/// ICMP may be of a router that starts anew.
#[test]
fn a_phone_whose_host_refuses_is_asked_three_times_in_twenty_seconds() {
    let mut sim = Sim::new(3);
    let (caller, phone) = (sim.phone("210"), sim.phone("201"));
    sim.unreachable.insert(phone);
    let since = sim.trace.len();
    dial(&mut sim, caller, "201");
    goes_on(&mut sim, caller, 15);
    assert_eq!((probes(&sim, since, phone).len(), lost(&sim).len()), (2, 0));
    goes_on(&mut sim, caller, 10);
    assert_eq!((probes(&sim, since, phone).len(), lost(&sim)), (3, vec!["201".to_owned()]));
    sim.assert_clean();

    // Back after a moment.
    let mut sim = Sim::new(4);
    let (caller, phone) = (sim.phone("210"), sim.phone("201"));
    sim.unreachable.insert(phone);
    dial(&mut sim, caller, "201");
    goes_on(&mut sim, caller, 15);
    sim.unreachable.clear();
    goes_on(&mut sim, caller, 100);
    assert!(lost(&sim).is_empty(), "{}", sim.story());
    sim.assert_clean();
}

#[test]
fn when_nobody_at_all_is_heard_it_is_our_network_that_is_dead() {
    let mut sim = Sim::new(5);
    let (caller, phone) = (sim.phone("210"), sim.phone("201"));
    sim.act(phone, |p, _| p.dead = true);
    dial(&mut sim, caller, "201");
    sim.run_for(SECOND);
    sim.act(caller, |p, _| p.dead = true);
    let since = sim.trace.len();
    sim.run_for(400 * SECOND);
    assert!(lost(&sim).is_empty(), "{}", sim.story());
    // Each time once, with its repeats.
    let mut asked: Vec<_> = probes(&sim, since, phone).iter().map(|r| r.headers.call_id().expect("Call-ID").clone()).collect();
    asked.dedup();
    assert!((4..=7).contains(&asked.len()), "{}", asked.len());
    // The network is back, and the phone with it.
    for phone in [phone, caller] {
        sim.act(phone, |p, _| p.dead = false);
    }
    goes_on(&mut sim, caller, 200);
    assert!(lost(&sim).is_empty());
    sim.assert_clean();
}

#[test]
fn a_phone_that_does_not_answer_a_notify_is_asked_and_its_subscriptions_go_with_it() {
    let mut sim = Sim::new(6);
    let (watcher, phone) = (sim.phone("202"), sim.phone("210"));
    sim.act(watcher, |w, now| {
        w.watch("dialog", "210", Some(600), now);
    });
    sim.run_until("it is told", |s| !s.ua(watcher).notified.is_empty());
    sim.act(watcher, |w, _| w.dead = true);
    dial(&mut sim, phone, "600");
    goes_on(&mut sim, phone, 135);
    assert_eq!(lost(&sim), ["202"], "{}", sim.story());
    sim.assert_clean();
    assert!(sim.subscriptions.is_empty());
}

const DEVICES: [&str; 2] = [
    ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";reg-id=1",
    ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e129>\";reg-id=1",
];

/// A phone by UDP that keeps its flow.
fn keeps_flow(number: &'static str, last: u8, device: usize) -> Line {
    let contact: &'static str = Box::leak(format!("sip:{number}@192.168.7.{last}").into_boxed_str());
    let mut line = Line::new(number, contact, u64::from(last));
    line.flow = Flow { transport: Transport::Udp, connection: None, ..line.flow };
    (line.device, line.more) = (DEVICES[device], "Supported: outbound, path\r\n");
    line
}

/// RFC 5626 §4.4.2: nothing comes within the Flow-Timer.
#[test]
fn a_flow_whose_keep_alives_stay_out_is_asked_and_dropped() {
    let mut sim = Sim::new(7);
    let other = sim.phone("210");
    assert!(sim.watched.is_empty(), "it has promised nothing");
    let mut line = keeps_flow("201", 1, 0);
    assert_eq!(line.register(&mut sim).status, Status::OK);
    assert_eq!(sim.watched, [line.flow.remote]);
    let mut second = keeps_flow("202", 2, 1);
    assert_eq!(second.register(&mut sim).status, Status::OK);
    let (since, began) = (sim.trace.len(), sim.now.mono);
    sim.input(Input::Silent { remotes: vec![line.flow.remote, second.flow.remote, other] });
    sim.run_for(SECOND / 100);
    // One after another; and who promised nothing is not asked.
    let asked = [line.flow.remote, second.flow.remote].map(|at| probes(&sim, since, at).len());
    assert_eq!(asked.iter().sum::<usize>(), 1, "{asked:?}");
    sim.run_for(SECOND / 10);
    let mut probe = probes(&sim, since, second.flow.remote);
    assert_eq!(probe.len(), 1);
    assert_eq!((probes(&sim, since, line.flow.remote).len(), sim.ua(other).options), (1, 0));
    // The second one answers, and is awaited again; the first never does.
    let watched = sim.watched.len();
    let answer = probe.remove(0).response_with_tag(Status::OK, "t");
    let message = cordboard::sip::intake(answer.to_bytes()).expect("valid");
    sim.input(Input::Sip { flow: second.flow, message });
    assert_eq!(sim.watched[watched..], [second.flow.remote]);
    while lost(&sim).is_empty() && sim.now.mono.since(began) < 200 * SECOND {
        goes_on(&mut sim, other, 5);
    }
    assert_eq!(lost(&sim), ["201"]);
    let took = sim.now.mono.since(began);
    assert!(90 * SECOND < took && took <= 100 * SECOND, "{took:?}");
    assert_eq!(switch(), line.flow.local);
}

/// It registers anew while it is asked: whoever says nothing to OPTIONS then is heard all the same.
#[test]
fn a_phone_that_registers_while_it_is_asked_stays() {
    let mut sim = Sim::new(8);
    sim.phone("210");
    let mut line = keeps_flow("201", 1, 0);
    line.register(&mut sim);
    sim.input(Input::Silent { remotes: vec![line.flow.remote] });
    sim.run_for(5 * SECOND);
    line.register(&mut sim);
    sim.run_for(60 * SECOND);
    assert!(lost(&sim).is_empty());
}

/// Many a phone says nothing to OPTIONS, and something else in time.
#[test]
fn a_phone_that_speaks_while_it_is_asked_stays() {
    let mut sim = Sim::new(10);
    let other = sim.phone("210");
    let mut line = keeps_flow("201", 1, 0);
    line.register(&mut sim);
    sim.input(Input::Silent { remotes: vec![line.flow.remote] });
    goes_on(&mut sim, other, 10);
    let text = format!(
        "OPTIONS sip:cordboard.example SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bKspeaks\r\nFrom: <sip:201@cordboard.example>;tag=a\r\n\
         To: <sip:cordboard.example>\r\nCall-ID: speaks\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        at = line.flow.remote
    );
    sim.input(Input::Sip { flow: line.flow, message: cordboard::sip::intake(text.into()).expect("valid") });
    goes_on(&mut sim, other, 200);
    assert!(lost(&sim).is_empty(), "{}", sim.story());
}

/// Of a phone behind an edge proxy the proxy says that it is gone (430, or 408); its own silence is its own.
#[test]
fn behind_a_proxy_the_proxys_word_counts_and_its_silence_does_not() {
    let proxied: fn() -> Source = || {
        let mut source = centre();
        source.main.text = source.main.text.replacen("[sip]\n", "[sip]\nproxies = [\"10.0.5.0/24\"]\n", 1);
        source
    };
    for (status, dropped) in [(Some(430), 1), (Some(408), 1), (Some(404), 0), (None, 0)] {
        let mut sim = Sim::with(9, proxied());
        let caller = sim.phone("210");
        let mut line = Line::new("201", "sip:phone@192.168.1.2:5060", 0);
        let proxy: SocketAddr = "10.0.5.5:5060".parse().expect("address");
        line.flow = Flow { transport: Transport::Udp, local: switch(), remote: proxy, connection: None };
        line.behind = Some("10.7.0.1:5060".parse().expect("address"));
        line.more = "Supported: path\r\nPath: <sip:10.0.5.5:5060;lr;received=sip:10.7.0.1%3A5060>\r\n";
        assert_eq!(line.register(&mut sim).status, Status::OK);
        let since = sim.trace.len();
        dial(&mut sim, caller, "201");
        sim.run_for(33 * SECOND);
        let probe = probes(&sim, since, proxy).pop().expect("it is asked");
        assert!(probe.headers.contains(&cordboard::sip::HeaderName::Route), "by its own way");
        if let Some(status) = status {
            let answer = probe.response_with_tag(Status::new(status).expect("a status"), "t");
            let message = cordboard::sip::intake(answer.to_bytes()).expect("valid");
            sim.input(Input::Sip { flow: line.flow, message });
        }
        sim.run_for(40 * SECOND);
        assert_eq!(lost(&sim).len(), dropped, "{status:?}\n{}", sim.story());
    }
}
