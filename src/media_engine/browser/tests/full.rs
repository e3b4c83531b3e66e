//! The same with a full agent of ours, against the crate's, which is one too: the other one controls, or we do.

use super::*;
use crate::sdp::{Candidate, FullIce};

fn host(address: SocketAddr) -> Candidate {
    Candidate { address, priority: 2_130_706_431 }
}

fn terms(of: &str, controlling: bool, candidates: &[Candidate], role: DtlsRole) -> IceDtls {
    let (theirs, fingerprint) = theirs(of);
    let full = Some(FullIce { controlling, candidates: candidates.to_vec() });
    IceDtls { ours: ours(1), theirs, fingerprint, role, full }
}

/// A description of ours without `a=ice-lite`.
fn fully_described(ours: &IceCredentials, identity: &Identity, setup: &str) -> String {
    let text = described(Codec::Pcmu, switch_at(), ours, identity.fingerprint(), setup);
    assert!(text.contains("a=ice-lite\r\n"));
    text.replace("a=ice-lite", "a=ice-options:ice2")
}

/// The page has called, so it controls.
fn incoming(candidates: &[Candidate]) -> Call {
    let (clock, identity) = (System::start(), identity());
    let at = clock.instant(Mono::ZERO);
    let mut page = Page::new(page_at(), at);
    let offer = page.offer(at);
    page.answered(at, fully_described(&ours(1), &identity, "passive"));
    let peer = Peer::new(&identity, clock, terms(&offer, false, candidates, DtlsRole::Server)).unwrap();
    Call::of(clock, page, peer)
}

/// We have called, so we control.
fn outgoing(answering: RTCDtlsRole, candidates: &[Candidate]) -> Call {
    let (clock, identity) = (System::start(), identity());
    let at = clock.instant(Mono::ZERO);
    let mut page = Page::with(page_at(), at, answering);
    let answer = page.answer(at, fully_described(&ours(1), &identity, "actpass"));
    let role = if answering == RTCDtlsRole::Server { DtlsRole::Client } else { DtlsRole::Server };
    let peer = Peer::new(&identity, clock, terms(&answer, true, candidates, role)).unwrap();
    Call::of(clock, page, peer)
}

#[test]
fn a_page_that_calls_is_heard_and_hears() {
    both_hear(incoming(&[host(page_at())]).connect());
}

#[test]
fn a_page_that_is_called_is_heard_and_hears() {
    for answering in [RTCDtlsRole::Client, RTCDtlsRole::Server] {
        both_hear(outgoing(answering, &[host(page_at())]).connect());
    }
}

/// Its candidates are names of mDNS, which are no candidates to us.
#[test]
fn a_page_without_candidates_is_found_by_its_checks() {
    both_hear(incoming(&[]).connect());
    both_hear(outgoing(RTCDtlsRole::Client, &[]).connect());
}

#[test]
fn candidates_that_a_page_tells_later_are_checked() {
    let mut call = outgoing(RTCDtlsRole::Client, &[]);
    call.peer.trickle(&[host(page_at())], call.now);
    assert!(call.peer.transmit().is_some_and(|(to, check)| to == page_at() && check[..2] == [0, 1]));
    both_hear(call.connect());
}

/// The page comes first with its ClientHello, while our own check is under way: it is answered as soon as there is an answer to that.
#[test]
fn a_client_hello_that_comes_before_our_check_is_answered_waits_for_it() {
    let mut call = incoming(&[]);
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    call.peer.receive(page_at(), &check(&username, &ours(1).pwd, &[]), call.now);
    let hello = Endpoint::client().poll_transmit().unwrap().message;
    call.peer.receive(page_at(), &hello, call.now);
    let sent: Vec<_> = std::iter::from_fn(|| call.peer.transmit()).map(|(_, bytes)| bytes).collect();
    assert_eq!(
        sent.iter().map(|bytes| bytes[..2].to_vec()).collect::<Vec<_>>(),
        [vec![1, 1], vec![0, 1]],
        "an answer and a check"
    );
    let pwd = call.peer.terms.theirs.pwd.clone();
    let answer = stun::Message::parse(&sent[1]).unwrap().accepted(switch_at(), &pwd, call.peer.identity.provider().crypto());
    call.peer.receive(page_at(), &answer.unwrap(), call.now);
    assert_eq!(call.peer.transmit().map(|(to, bytes)| (to, bytes[0])), Some((page_at(), 22)), "HelloVerifyRequest");
}

#[test]
fn a_page_that_never_comes_is_sent_a_few_checks() {
    let mut call = outgoing(RTCDtlsRole::Server, &[host(page_at())]);
    call.deaf = true;
    call.run(Duration::from_secs(60));
    assert_eq!((call.peer.broken(), call.peer.deadline(), call.sent), (None, None, 7), "its worker ends it");
}

/// RFC 7675 §5.1: the answers to our own requests are consent; the page's checks are none.
#[test]
fn nothing_is_sent_30_seconds_after_the_last_consent() {
    let mut call = incoming(&[host(page_at())]).connect();
    call.run(Duration::from_secs(120));
    assert_eq!(call.peer.broken(), None, "it answers");
    call.deaf = true;
    call.run(Duration::from_secs(23));
    assert!(call.seal(Port::Rtp, &packet(1, 1)).is_some());
    call.run(Duration::from_secs(7));
    assert!(call.seal(Port::Rtp, &packet(2, 1)).is_none());
    assert_eq!(call.peer.broken(), Some(Broken::Consent));
}

#[test]
fn an_ice_restart_goes_on_with_the_same_keys() {
    let mut call = incoming(&[host(page_at())]).connect();
    call.page.pc.restart_ice();
    let at = call.instant();
    let offer = call.page.pc.create_offer(None).unwrap();
    let again = IceDtls { ours: ours(2), ..terms(&offer.sdp, false, &[host(page_at())], DtlsRole::Server) };
    assert_ne!(again.theirs, call.peer.terms.theirs);
    call.peer.agree(again, call.now).unwrap();
    call.run(Duration::from_secs(3));
    assert!(call.peer.target().is_some());
    call.page.pc.set_local_description(at, offer).unwrap();
    call.page.listen();
    let answer = fully_described(&ours(2), &call.peer.identity.clone(), "passive");
    call.page.answered(at, answer);
    call.run(Duration::from_secs(40));
    assert_eq!((call.peer.broken(), call.peer.ice.is_of_one_generation()), (None, true));
    both_hear(call);
}

/// Who is not the page moves nothing: neither by checks nor by answers to ours.
#[test]
fn forged_messages_move_nothing_and_get_no_answer() {
    let mut call = incoming(&[host(page_at())]).connect();
    let username = format!("{}:{}", call.peer.terms.ours.ufrag, call.peer.terms.theirs.ufrag);
    let stranger: SocketAddr = "127.0.0.1:6666".parse().unwrap();
    for pwd in ["", &ours(2).pwd, &call.peer.terms.theirs.pwd.clone()] {
        call.peer.receive(stranger, &check(&username, pwd, &[(0x25, &[])]), call.now);
        let mut answer = check(&username, pwd, &[]);
        answer[0] = 1;
        call.peer.receive(page_at(), &answer, call.now);
    }
    assert_eq!((call.peer.transmit(), call.peer.ice.target()), (None, Some(page_at())));
}
