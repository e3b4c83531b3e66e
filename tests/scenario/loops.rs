//! Calls of ours that come back to us (RFC 3261 §16.3, RFC 7332): the loop ends, the spiral passes. The carrier that sends them back is
//! played here, message by message.

use std::net::SocketAddr;
use std::time::Duration;

use cordboard::route::Forwarding;
use cordboard::sip::{Flow, HeaderName, HostPort, Message, Method, NameAddr, Request, SipUri, Transport, Via};
use cordboard::switch::{Answer, Command, Input};

use crate::sim::Sim;
use crate::sim::switch;
use crate::sim::ua::{OnInvite, Ua};

const SECOND: Duration = Duration::from_secs(1);
const CARRIER: &str = "10.2.0.1:5060";
/// A trunk whose callers may go out again.
const PARTNER: &str = "10.2.0.3:5060";

const NOTHING: [u16; 0] = [];

/// What the carrier is between us and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Proxy,
    /// A user agent on both sides, which carries over nothing but Max-Forwards.
    BackToBack,
}

/// 210 calls by the carrier, where it only rings.
fn calling(seed: u8, number: &str) -> (Sim, SocketAddr, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (caller, carrier) = (sim.phone("210"), sim.trunk());
    sim.add(Ua::trunk([10, 2, 0, 3].into()));
    sim.set(carrier, OnInvite::Ring);
    call(&mut sim, caller, number);
    sim.run_until("it is at the carrier", |s| !s.ua(carrier).invites.is_empty());
    (sim, caller, carrier)
}

fn call(sim: &mut Sim, from: SocketAddr, number: &str) {
    sim.act(from, |p, now| {
        p.call(number, now);
    });
}

/// The INVITEs that we have sent, oldest first.
fn sent(sim: &Sim) -> Vec<Request> {
    let invite = |bytes: &bytes::Bytes| match Message::from_bytes(bytes.clone()) {
        Ok(Message::Request(request)) if request.method == Method::Invite => Some(request),
        Ok(_) | Err(_) => None,
    };
    sim.trace.iter().filter_map(invite).collect()
}

fn hops(invite: &Request) -> u32 {
    invite.headers.max_forwards().ok().flatten().expect("Max-Forwards")
}

/// Our newest INVITE comes back, from that trunk and for that number. What we say to it at once, beside 100.
fn send_back(sim: &mut Sim, from: &str, number: &str, carrier: As) -> Vec<u16> {
    let from: SocketAddr = from.parse().expect("address");
    let at = |ip: SocketAddr| HostPort { host: cordboard::sip::Host::Ip(ip.ip()), port: Some(ip.port()) };
    let mut invite = sent(sim).pop().expect("an INVITE of ours");
    let n = sim.inputs;
    invite.uri = SipUri::new(number, at(switch()).host, Some(5060)).into();
    let left = hops(&invite) - 1;
    invite.headers.set(HeaderName::MaxForwards, left);
    if carrier == As::BackToBack {
        invite.headers.remove(&HeaderName::Via);
        invite.headers.set(HeaderName::CallId, format!("carriers-own-{n}"));
        let caller = NameAddr::new(SipUri::new("+4930123", at(from).host, None)).with_tag(format!("own-{n}"));
        invite.headers.set(HeaderName::From, caller);
    }
    invite.headers.push_via(&Via::new(Transport::Udp, at(from), format!("z9hG4bK-back-{n}").as_bytes()));
    let flow = Flow { transport: Transport::Udp, local: switch(), remote: from, connection: None };
    let before = sim.trace.len();
    sim.input(Input::Sip { flow, message: Message::Request(invite) });
    let said = |bytes: &bytes::Bytes| match Message::from_bytes(bytes.clone()) {
        Ok(Message::Response(response)) => Some(response.status.code()).filter(|status| *status != 100),
        Ok(Message::Request(_)) | Err(_) => None,
    };
    sim.trace[before..].iter().filter_map(said).collect()
}

/// 210 calls 201, who sends all calls on to its own number outside.
fn forwarded_to_itself(seed: u8) -> (Sim, SocketAddr) {
    let mut sim = Sim::new(seed);
    let (caller, carrier) = (sim.phone("210"), sim.trunk());
    sim.phone("201");
    sim.set(carrier, OnInvite::Ring);
    let forwarding = Forwarding { always: Some("04930555201".to_owned()), ..Forwarding::default() };
    assert_eq!(sim.ask(Command::SetForwarding { phone: "201".into(), forwarding }), Answer::Done);
    call(&mut sim, caller, "201");
    sim.run_until("it is at the carrier", |s| !sent(s).is_empty());
    (sim, caller)
}

#[track_caller]
fn ends_clean(mut sim: Sim, caller: SocketAddr) {
    sim.act(caller, |p, now| p.hang_up(now));
    // What has come back rings outside, and nobody hangs it up.
    sim.run_for(180 * SECOND);
    sim.assert_clean();
}

/// RFC 3261 §16.3 step 4: it would go where it has been.
#[test]
fn a_call_that_comes_back_to_go_the_same_way_again_is_a_loop() {
    let (mut sim, caller, _) = calling(1, "04940123");
    assert_eq!(send_back(&mut sim, PARTNER, "+4930555900", As::Proxy), [482]);
    assert_eq!((sent(&sim).len(), sim.count("call.started")), (1, 1));
    // A call that is none of ours may go there.
    assert_eq!(send_back(&mut sim, PARTNER, "+4930555900", As::BackToBack), NOTHING);
    sim.run_for(SECOND);
    assert_eq!((sent(&sim).len(), sim.count("call.started")), (2, 2));
    ends_clean(sim, caller);
}

/// RFC 3261 §16.3: a spiral has another Request-URI, and is no loop.
#[test]
fn a_call_that_comes_back_for_somebody_here_is_a_spiral_and_rings_there() {
    let (mut sim, caller, _) = calling(2, "04930555201");
    let phone = sim.phone("201");
    assert_eq!(send_back(&mut sim, CARRIER, "+4930555201", As::Proxy), NOTHING);
    sim.run_until("201 rings", |s| s.ua(phone).invites.len() == 1);
    // The phone's own 70, less one of ours, one of the carrier's and one of ours.
    assert_eq!(sent(&sim).iter().map(hops).collect::<Vec<_>>(), [69, 67]);
    ends_clean(sim, caller);
}

#[test]
fn a_phone_that_is_forwarded_to_its_own_number_outside_does_not_forward_the_same_call_twice() {
    let (mut sim, caller) = forwarded_to_itself(3);
    assert_eq!(send_back(&mut sim, CARRIER, "+4930555201", As::Proxy), [482]);
    assert_eq!((sent(&sim).len(), sim.count("call.forwarded")), (1, 1));
    ends_clean(sim, caller);
}

/// RFC 7332 §3, RFC 3261 §16.3 step 3: a carrier that gives each call a new name carries Max-Forwards over at least.
#[test]
fn a_loop_through_a_carrier_that_hides_it_runs_out_of_hops() {
    let (mut sim, caller) = forwarded_to_itself(4);
    let mut rounds = 1;
    loop {
        let said = send_back(&mut sim, CARRIER, "+4930555201", As::BackToBack);
        if !said.is_empty() {
            assert_eq!(said, [483]);
            break;
        }
        rounds += 1;
        assert_eq!(sent(&sim).len(), rounds);
        assert!(rounds <= 35, "it goes on and on");
    }
    assert_eq!(rounds, 35, "70 hops, one here and one at the carrier each time");
    // The last one went out with no hop left.
    let all = sent(&sim);
    let left: Vec<u32> = all.iter().map(hops).collect();
    assert!(left.iter().copied().eq((0..35).map(|n| 69 - 2 * n)), "{left:?}");
    ends_clean(sim, caller);
}
