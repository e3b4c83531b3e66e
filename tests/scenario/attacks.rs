//! Attacks on signalling, each with the tests that run it ([`ATTACKS`]); here those on calls that live and on what a phone may say of
//! itself. Floods, guessing and bans are in `guarding_the_door`, sockets in `tests/wire/attacks.rs`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cordboard::sip::{Flow, HeaderName, Login, Message, Method, NameAddr, Request, Response, Transport, intake};
use cordboard::switch::Input;

use crate::guarding_the_door::{STRANGER, send, status};
use crate::sim::ua::OnInvite;
use crate::sim::{Sim, centre, switch};

const SECOND: Duration = Duration::from_secs(1);

/// What is tried, what comes of it, and the tests that show it: `file` and then, indented, its tests.
const ATTACKS: &[(&str, &str, &str)] = &[
    (
        "REGISTER, INVITE, OPTIONS for users that there are and that there are not",
        "the same answer",
        "tests/scenario/attacks.rs known_and_unknown_users_get_the_same_answers
         src/registrar/tests.rs known_and_unknown_numbers_get_the_same_bytes_but_for_chance
         src/registrar/tests.rs known_and_unknown_numbers_take_the_same_work
         tests/scenario/calls_inside.rs a_stranger_is_not_told_who_exists
         tests/wire/trunk.rs a_wrong_password_and_an_unknown_number_are_refused_alike
         tests/wire/sipvicious.rs svmap_gets_little_and_svwar_cannot_tell_who_is_there",
    ),
    (
        "guessing passwords",
        "slowed by source and by user, an alarm; the real phone goes on",
        "tests/scenario/guarding_the_door.rs guessing_is_slowed_by_source_and_by_user_and_told_while_the_real_phone_is_served
         src/registrar/tests.rs guessing_is_slowed_by_source_and_user_and_the_real_phone_goes_on
         tests/wire/sipvicious.rs svcrack_is_slowed_and_banned_and_finds_nothing_while_the_phones_go_on",
    ),
    (
        "a scanner's sweep; amplification to a forged address",
        "little is said, once, and not much longer than what was asked",
        "tests/wire/sipvicious.rs svmap_gets_little_and_svwar_cannot_tell_who_is_there
         tests/scenario/faults_of_peers.rs a_flood_of_strangers_fills_no_table_and_a_forged_address_gets_one_answer_at_most
         src/transport/tests/udp.rs malformed_requests_are_answered_and_counted_and_never_with_much_more
         tests/wire/attacks.rs a_stranger_is_not_answered_with_much_more_than_it_sent",
    ),
    (
        "a flood under a forged address, to have its owner banned",
        "a ban for datagrams alone, in which a new phone there is challenged and let in",
        "tests/scenario/guarding_the_door.rs a_flood_of_datagrams_is_no_ban_for_connections_and_who_registers_is_spared
         src/transport/tests/door.rs a_ban_for_datagrams_lets_connections_in_and_a_phone_that_is_new_there
         src/transport/trickle.rs an_answer_to_a_challenge_passes_whatever_the_flood_and_a_made_up_one_does_not
         tests/wire/attacks.rs a_new_phone_registers_from_an_address_that_a_flood_has_got_banned",
    ),
    (
        "a digest again with its nonce and count; for another URI, method or realm; an algorithm that was not offered; a forged nonce",
        "401, and nothing is done",
        "src/registrar/tests.rs a_count_is_good_once_and_may_come_out_of_order
         src/registrar/tests.rs a_digest_for_another_method_uri_or_realm_proves_nothing
         src/registrar/tests.rs an_algorithm_that_was_not_offered_is_challenged
         src/registrar/tests.rs a_nonce_that_is_old_or_of_another_process_is_stale_and_a_forged_one_no_better
         tests/wire/attacks.rs a_digest_that_was_overheard_is_good_for_nothing",
    ),
    (
        "a phone's digest under another's name; registering for another; a thousand contacts",
        "403",
        "src/registrar/tests.rs the_digest_of_one_is_not_good_for_the_name_of_another
         src/registrar/tests.rs a_thousand_contacts_are_forbidden_and_a_restarted_phone_is_let_in
         src/registrar/tests.rs a_star_removes_all_and_only_with_expires_0
         tests/scenario/messages.rs nobody_writes_under_anothers_number_or_without_a_secret
         tests/wire/attacks.rs a_thousand_contacts_are_refused",
    ),
    (
        "a datagram of 64 kB, 10,000 headers, a header of 1 MB, Content-Length 2^31 over TCP",
        "400, 413, 513 or the connection's end; bounded memory",
        "tests/wire/attacks.rs what_is_too_long_is_refused_and_costs_no_memory
         src/transport/tests/stream_limits.rs a_message_that_is_too_long_is_answered_and_ends_the_connection
         src/transport/tests/stream_limits.rs one_refused_message_after_the_other_ends_the_connection
         tests/rfc/torture.rs every_stream_gets_the_verdict_of_the_table",
    ),
    (
        "2,000 connections that say next to nothing; half a TLS handshake",
        "closed in time; others are served",
        "tests/wire/attacks.rs two_thousand_silent_connections_keep_nobody_out
         src/transport/tests/stream_limits.rs who_says_nothing_valid_is_cut_however_busily_it_says_it
         src/transport/tests/stream_limits.rs strangers_who_speak_sip_hold_no_place_against_newcomers
         src/transport/tests/secure.rs who_does_not_greet_is_let_go_and_the_core_never_hears_of_it",
    ),
    (
        "500 INVITEs a second, half-open dialogs",
        "challenged without state, shed under load; live calls unharmed",
        "tests/scenario/attacks.rs five_hundred_invites_a_second_harm_no_call
         tests/wire/attacks.rs a_flood_of_invites_harms_no_call
         src/transport/tests/udp.rs new_calls_are_shed_first_and_then_everything
         tests/scenario/faults_of_peers.rs an_answer_that_is_never_acknowledged_is_taken_back_by_bye",
    ),
    (
        "calls to 112 from ever new forged addresses, when the switch sheds calls",
        "places are left for registered phones, and for who answers a challenge",
        "src/transport/tests/door.rs a_flood_of_calls_for_help_from_everywhere_leaves_places_to_phones_and_to_who_answers_a_challenge
         src/transport/help.rs a_flood_from_everywhere_leaves_places_to_phones_and_to_who_answers
         tests/scenario/guarding_the_door.rs the_transports_know_where_phones_are_and_hear_what_changes_alone",
    ),
    (
        "calls that use up all RTP ports, or all room for calls",
        "503; a call for help has audio all the same",
        "tests/scenario/emergency.rs a_call_for_help_has_audio_when_other_calls_have_used_up_all_ports
         tests/scenario/emergency.rs neither_a_full_trunk_nor_a_switch_that_stops_keeps_a_call_for_help",
    ),
    (
        "BYE, CANCEL, re-INVITE, REFER of a call by somebody else: wrong tags, or right ones from elsewhere",
        "481, 403 or a challenge; the call lives",
        "tests/scenario/attacks.rs who_has_overheard_a_dialog_neither_ends_nor_takes_it_from_elsewhere
         tests/scenario/attacks.rs who_has_overheard_an_invite_does_not_cancel_it_from_elsewhere
         tests/scenario/attacks.rs a_phone_in_another_network_proves_itself_and_ends_its_call
         tests/scenario/faults_of_peers.rs a_bye_from_a_stranger_ends_nothing
         tests/wire/attacks.rs who_has_overheard_a_call_does_not_end_it",
    ),
    (
        "PRACK, UPDATE, BYE of a call that rings by somebody else, to change or end it or to use up its numbers",
        "403 or a challenge, 481 with wrong tags; whoever calls and is called goes on",
        "tests/scenario/attacks_early.rs who_has_overheard_a_call_that_rings_neither_ends_nor_changes_it_under_its_callers_name
         tests/scenario/attacks_early.rs who_has_overheard_a_call_that_rings_changes_nothing_under_the_name_of_who_is_called
         tests/scenario/attacks_early.rs a_carriers_gateway_speaks_before_the_answer_too
         tests/scenario/attacks_early.rs a_phone_that_has_come_to_another_network_proves_itself_before_the_answer_too
         tests/wire/attacks.rs who_has_overheard_a_call_that_rings_does_not_end_it",
    ),
    (
        "an ACK of somebody else, with an answer that points at him",
        "no audio goes there; the right one counts",
        "tests/scenario/attacks_early.rs who_acknowledges_for_another_gets_no_audio",
    ),
    (
        "loops through ourselves, merged requests, Max-Forwards 0",
        "482, 482, 483; a spiral passes",
        "tests/scenario/loops.rs a_call_that_comes_back_to_go_the_same_way_again_is_a_loop
         tests/scenario/loops.rs a_call_that_comes_back_for_somebody_here_is_a_spiral_and_rings_there
         tests/scenario/loops.rs a_loop_through_a_carrier_that_hides_it_runs_out_of_hops
         tests/scenario/attacks.rs a_request_that_has_no_hop_left_goes_nowhere
         tests/wire/kamailio.rs a_call_that_a_carrier_sends_back_to_us_ends_at_once
         tests/wire/matrix/calls.rs calls",
    ),
    (
        "302 and REFER in circles or to expensive prefixes; INVITE from anywhere to a trunk's prefix",
        "refused by class of service and limits; nothing goes out",
        "tests/scenario/attacks.rs redirections_in_circles_and_to_expensive_numbers_go_nowhere
         tests/scenario/attacks.rs an_expensive_number_is_refused_in_whatever_way_it_is_written
         tests/scenario/attacks.rs nobody_but_a_phone_dials_outside
         tests/scenario/class_of_service.rs a_transfer_takes_the_right_and_the_prefixes_of_who_transfers
         tests/scenario/forwarding.rs a_carriers_302_is_followed_within_the_carrier_and_so_far
         tests/scenario/forwarding.rs calls_that_go_in_a_circle_end_and_the_caller_learns_why
         tests/scenario/calls_outside.rs a_trunks_caller_reaches_another_trunk_only_where_the_configuration_says_so",
    ),
    (
        "P-Asserted-Identity, Remote-Party-ID, Diversion of a phone or of a trunk that is not trusted",
        "stripped",
        "tests/scenario/attacks.rs what_a_phone_says_of_itself_does_not_go_out
         tests/scenario/attacks.rs what_a_trunk_or_phone_puts_into_headers_does_not_come_out_on_the_other_leg
         tests/scenario/identity.rs a_trusted_trunk_says_who_calls_and_another_one_does_not",
    ),
    (
        "%0d%0a in a user part or display name",
        "no header of the other leg",
        "tests/scenario/attacks.rs what_a_trunk_or_phone_puts_into_headers_does_not_come_out_on_the_other_leg
         tests/scenario/attacks.rs line_ends_in_what_a_phone_dials_become_no_header",
    ),
    (
        "a description that points at multicast, broadcast, a third party",
        "no RTP is sent there",
        "tests/scenario/attacks.rs audio_goes_to_no_third_party_whatever_a_description_says
         src/sdp/address.rs only_addresses_of_one_host_are_fit
         tests/wire/attacks.rs audio_does_not_go_where_a_phone_points_it",
    ),
    (
        "a WebSocket of a foreign page, without the subprotocol; frames that are huge or not masked",
        "403, 400; closed by 1009 and 1002",
        "tests/wire/attacks/web.rs a_websocket_that_is_not_as_it_should_be_is_turned_away
         src/transport/tests/web.rs other_protocols_and_pages_of_strangers_are_turned_away",
    ),
    (
        "secrets in logs, events, API",
        "absent",
        "tests/wire/attacks.rs no_secret_is_told
         tests/wire/journal.rs the_journal_of_a_run_plays_to_the_same_digest_and_one_changed_input_to_another",
    ),
];

#[test]
fn every_attack_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (attack, outcome, tests) in ATTACKS {
        assert!(!outcome.is_empty() && !tests.is_empty(), "{attack}");
        for line in tests.lines() {
            let (file, test) = line.trim().split_once(' ').unwrap_or_else(|| panic!("{attack}: {line:?}"));
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            // The attribute stands right before it.
            let is_test = text.split_once(&format!("fn {test}()")).is_some_and(|(before, _)| {
                let before = before.trim_end_matches("async ").trim_end();
                before.ends_with("test]")
            });
            if !is_test {
                missing.push(format!("{file}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A customer who talks to 201.
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

pub fn sent(sim: &Sim) -> impl Iterator<Item = Message> {
    sim.trace.iter().rev().filter_map(|bytes| Message::from_bytes(bytes.clone()).ok())
}

/// The dialog with the phone, as somebody who has overheard it would go on in it: From, To, Call-ID.
fn overheard_at_phone(sim: &Sim) -> [String; 3] {
    let is_ack =
        |m: Message| if let Message::Request(r) = m { Some(r).filter(|r: &Request| r.method == Method::Ack) } else { None };
    let ack = sent(sim).find_map(is_ack).expect("an ACK to the phone");
    [&HeaderName::To, &HeaderName::From, &HeaderName::CallId].map(|name| text(ack.headers.get(name)))
}

/// The same with the trunk, who called us.
fn overheard_at_trunk(sim: &Sim) -> [String; 3] {
    let is_answer = |m: Message| match m {
        Message::Response(r) if r.headers.cseq().is_ok_and(|c| c.method == Method::Invite) => {
            Some(r).filter(|r: &Response| r.status.is_success())
        }
        Message::Response(_) | Message::Request(_) => None,
    };
    let answer = sent(sim).find_map(is_answer).expect("an answer to the trunk");
    [&HeaderName::From, &HeaderName::To, &HeaderName::CallId].map(|name| text(answer.headers.get(name)))
}

pub fn text(value: Option<&Bytes>) -> String {
    String::from_utf8_lossy(value.expect("a header")).into_owned()
}

pub fn within(dialog: &[String; 3], method: &str, cseq: u32) -> String {
    let [from, to, call_id] = dialog;
    format!(
        "{method} sip:10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
         From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:evil@192.0.2.66>\r\n"
    )
}

#[test]
fn who_has_overheard_a_dialog_neither_ends_nor_takes_it_from_elsewhere() {
    let (mut sim, phone, trunk) = talking(1);
    for (dialog, refusal) in [(overheard_at_phone(&sim), 401), (overheard_at_trunk(&sim), 403)] {
        for method in ["BYE", "INVITE", "UPDATE", "REFER", "INFO"] {
            let answer = send(&mut sim, STRANGER, within(&dialog, method, 900_000));
            assert_eq!(status(&answer), refusal, "{method}");
        }
        let mut wrong = dialog.clone();
        wrong[0] = wrong[0].replace("tag=", "tag=x");
        assert_eq!(status(&send(&mut sim, STRANGER, within(&wrong, "BYE", 900_001))), 481);
    }
    assert!(sim.ua(phone).is_up() && sim.ua(trunk).is_up() && sim.ended().is_empty());
    // They go on as if nothing had been: later numbers were not used up, and nothing goes to the stranger.
    let since = sim.now.mono;
    sim.run_for(2 * SECOND);
    let (p, t) = (sim.ua(phone).byte, sim.ua(trunk).byte);
    assert!(sim.ua(phone).heard(t, since) > 80 && sim.ua(trunk).heard(p, since) > 80);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.ua(phone).is_idle());
    sim.assert_clean();
}

#[test]
fn a_phone_in_another_network_proves_itself_and_ends_its_call() {
    let (mut sim, phone, trunk) = talking(2);
    let dialog = overheard_at_phone(&sim);
    let text = within(&dialog, "BYE", 900_000);
    let Some(Message::Response(challenge)) = send(&mut sim, STRANGER, text) else { panic!("no challenge") };
    let signed = |user: &str, password: &str, cseq: u32| {
        let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
        let uri = Bytes::from_static(b"sip:10.0.0.1:5060");
        let credentials = challenges[0].answer(&Login { username: user, password }, &Method::Bye, &uri, cseq - 900_000, b"c");
        let value = {
            let mut request = Request::new(Method::Bye, cordboard::sip::Uri::parse(uri).expect("uri"));
            request.headers.push(HeaderName::Authorization, &credentials);
            String::from_utf8_lossy(request.headers.get(&HeaderName::Authorization).expect("it")).into_owned()
        };
        within(&dialog, "BYE", cseq) + &format!("Authorization: {value}\r\n")
    };
    let (wrong, others, own) =
        (signed("201", "guessed", 900_001), signed("202", "secret-202", 900_002), signed("201", "secret-201", 900_003));
    assert_eq!(status(&send(&mut sim, STRANGER, wrong)), 401);
    assert_eq!(status(&send(&mut sim, STRANGER, others)), 403, "a colleague ends no other's call");
    assert!(sim.ended().is_empty());
    assert_eq!(status(&send(&mut sim, STRANGER, own)), 200);
    sim.run_until("the customer is let go", |s| s.ua(trunk).is_idle());
    sim.act(phone, |p, _| p.forget());
    assert_eq!(sim.ended().len(), 1);
}

#[test]
fn five_hundred_invites_a_second_harm_no_call() {
    let (mut sim, phone, trunk) = talking(3);
    let since = sim.now.mono;
    for n in 0..2_000 {
        let text = format!(
            "INVITE sip:201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK-f{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:201@10.0.0.1>;tag=s{n}\r\nTo: <sip:201@10.0.0.1>\r\nCall-ID: flood-{n}\r\nCSeq: 1 INVITE\r\n"
        );
        // In time it gets no more challenges: the address may be a victim's.
        let answer = send(&mut sim, STRANGER, text);
        assert!(if n < 200 { status(&answer) == 401 } else { answer.is_none_or(|a| status(&Some(a)) == 401) }, "{n}");
        sim.run_for(SECOND / 500);
    }
    let (p, t) = (sim.ua(phone).byte, sim.ua(trunk).byte);
    assert!(sim.ua(phone).heard(t, since) > 180 && sim.ua(trunk).heard(p, since) > 180);
    assert_eq!(sim.ended().len(), 0);
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_for(SECOND);
    sim.assert_clean();
}

/// RFC 3261 §8.2.6, §16.3.
#[test]
fn a_request_that_has_no_hop_left_goes_nowhere() {
    let mut sim = Sim::new(4);
    let phone = sim.phone("201");
    for method in ["INVITE", "OPTIONS", "MESSAGE"] {
        let text = format!(
            "{method} sip:+4930555201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1;rport;branch=z9hG4bK-{method}\r\nMax-Forwards: 0\r\n\
             From: <sip:1@10.2.0.1>;tag=s\r\nTo: <sip:201@10.0.0.1>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\n"
        );
        assert_eq!(status(&send(&mut sim, "10.2.0.1:5060", text)), 483);
    }
    assert!(sim.ua(phone).invites.is_empty());
}

/// RFC 3325 §5: a phone is not trusted to say who it is. And escaped line ends in it become no header on the other leg.
#[test]
fn what_a_trunk_or_phone_puts_into_headers_does_not_come_out_on_the_other_leg() {
    let mut sim = Sim::new(5);
    let phone = sim.phone("201");
    let sdp = "v=0\r\no=- 1 1 IN IP4 10.2.0.1\r\ns=-\r\nc=IN IP4 10.2.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let invite = format!(
        "INVITE sip:+4930555201@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.2.0.1;rport;branch=z9hG4bK-x\r\nMax-Forwards: 70\r\n\
         From: \"x%0d%0aEvil: 1\" <sip:4930%0d%0aEvil:%202@10.2.0.1>;tag=s\r\nTo: <sip:+4930555201@10.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:c@10.2.0.1>\r\nRemote-Party-ID: <sip:110@evil>\r\nDiversion: <sip:112@evil>\r\nHistory-Info: <sip:evil@evil>;index=1\r\n\
         P-Charging-Vector: evil\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    let flow =
        Flow { transport: Transport::Udp, local: switch(), remote: "10.2.0.1:5060".parse().expect("address"), connection: None };
    let message = intake(Bytes::from(invite)).expect("valid");
    sim.input(Input::Sip { flow, message });
    sim.run_until("it rings", |s| !s.ua(phone).invites.is_empty());
    let is_invite =
        |m: Message| if let Message::Request(r) = m { Some(r).filter(|r: &Request| r.method == Method::Invite) } else { None };
    let other = sent(&sim).find_map(is_invite).expect("an INVITE to the phone");
    let printed = String::from_utf8_lossy(&other.to_bytes()).into_owned();
    assert!(!printed.to_ascii_lowercase().contains("\r\nevil"), "{printed}");
    for name in ["Remote-Party-ID", "Diversion", "History-Info", "P-Charging-Vector", "P-Asserted-Identity"] {
        assert!(!printed.contains(&format!("\r\n{name}:")), "{printed}");
    }
    assert!(NameAddr::parse(other.headers.get(&HeaderName::From).expect("From").clone()).is_ok());
}

/// RFC 7616 §3.3: who is there is nobody's business.
#[test]
fn known_and_unknown_users_get_the_same_answers() {
    let answers = |method: &str, number: &str| -> Vec<String> {
        let mut sim = Sim::new(6);
        sim.phone("201");
        let before = sim.trace.len();
        let text = |n: u32| {
            format!(
                "{method} sip:{number}@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;rport;branch=z9hG4bK-k{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{number}@10.0.0.1>;tag=s\r\nTo: <sip:{number}@10.0.0.1>\r\nCall-ID: k\r\nCSeq: {n} {method}\r\n\
                 Contact: <sip:{number}@192.0.2.66>\r\nEvent: dialog\r\n"
            )
        };
        let Some(Message::Response(challenge)) = send(&mut sim, STRANGER, text(1)) else { panic!("no answer to {method}") };
        // Guessed, twelve times: the last ones have to wait. Then with a nonce that nobody gave.
        let challenge = challenge.headers.challenges(&HeaderName::WwwAuthenticate).into_iter().next();
        let uri = Bytes::from(format!("sip:{number}@10.0.0.1"));
        let login = Login { username: number, password: "guess" };
        for n in 2..15 {
            let Some(mut challenge) = challenge.clone() else { break };
            if n == 14 {
                challenge.nonce = Bytes::from_static(b"made-up");
            }
            let credentials = challenge.answer(&login, &Method::parse(method.to_owned()).expect("a method"), &uri, n - 1, b"c");
            let mut signed = intake(Bytes::from(text(n) + "Content-Length: 0\r\n\r\n")).expect("valid");
            signed.headers_mut().push(HeaderName::Authorization, &credentials);
            let text = String::from_utf8_lossy(&signed.to_bytes()).replace("Content-Length: 0\r\n\r\n", "");
            send(&mut sim, STRANGER, text);
        }
        sim.run_for(SECOND);
        sim.trace[before..].iter().map(|bytes| String::from_utf8_lossy(bytes).replace(number, "NUMBER")).collect()
    };
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "REFER", "PUBLISH"] {
        let known = answers(method, "201");
        // What nobody can do is refused without asking who it is.
        let is_asked = known[0].starts_with("SIP/2.0 401");
        assert_eq!(known.len(), if is_asked { 14 } else { 1 }, "{method}");
        assert_eq!(is_asked, !matches!(method, "OPTIONS" | "PUBLISH" | "REFER"), "{method}");
        let code = |n: usize| &known[n][8..11];
        assert!(!is_asked || (code(1) == "401" && code(12) == "503"), "{method}: {known:#?}");
        for number in ["299", "600", "601", "999"] {
            assert_eq!(answers(method, number), known, "{method} {number}");
        }
    }
}

/// RFC 3261 §9.2: a CANCEL is matched by its branch, which whoever sees the INVITE knows.
#[test]
fn who_has_overheard_an_invite_does_not_cancel_it_from_elsewhere() {
    let mut sim = Sim::new(7);
    let (phone, trunk) = (sim.phone("201"), sim.trunk());
    sim.set(phone, OnInvite::Ring);
    sim.act(trunk, |t, now| {
        t.call("+4930555201", now);
    });
    sim.run_until("it rings", |s| s.ua(phone).is_ringing() && s.ua(trunk).statuses.iter().any(|(_, status)| *status == 180));
    let is_ringing = |m: Message| match m {
        Message::Response(r) => Some(r).filter(|r: &Response| r.status.code() == 180),
        Message::Request(_) => None,
    };
    let ringing = sent(&sim).find_map(is_ringing).expect("a 180 to the trunk");
    let line = |name: &HeaderName| text(ringing.headers.get(name));
    let (via, from, call_id) = (line(&HeaderName::Via), line(&HeaderName::From), line(&HeaderName::CallId));
    let bare_via = via.split(";received").next().unwrap_or_default();
    for (via, to) in [
        (bare_via.to_owned(), "<sip:+4930555201@10.0.0.1:5060>".to_owned()),
        (bare_via.to_owned(), line(&HeaderName::To)),
        (bare_via.replace("branch=z9hG4bK", "branch=z9hG4bKx"), "<sip:+4930555201@10.0.0.1:5060>".to_owned()),
    ] {
        let cancel = format!(
            "CANCEL sip:+4930555201@10.0.0.1:5060 SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 CANCEL\r\n"
        );
        assert_eq!(status(&send(&mut sim, STRANGER, cancel)), 481, "{via} {to}");
        sim.run_for(SECOND);
        assert!(sim.ua(phone).is_ringing() && sim.ended().is_empty(), "{via} {to}");
    }
    // Who called may still give up.
    sim.act(trunk, |t, now| t.hang_up(now));
    sim.run_until("over", |s| s.ua(phone).is_idle() && s.ua(trunk).is_idle());
    assert_eq!(sim.ua(trunk).final_status(), Some(487));
    sim.assert_clean();
}

/// An INVITE of this phone from its own address, with credentials: what came of it, 100 aside.
fn dials(sim: &mut Sim, phone: SocketAddr, uri: &str, more: &str, sdp: &str) {
    let number = sim.ua(phone).number.clone();
    let n = sim.inputs;
    let flow = Flow { transport: Transport::Udp, local: switch(), remote: phone, connection: None };
    let invite = |cseq: u32| {
        format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {phone};rport;branch=z9hG4bK-d{n}x{cseq}\r\nMax-Forwards: 70\r\n\
             From: \"x%0d%0aEvil: 1\" <sip:{number}@10.0.0.1>;tag=d{n}\r\nTo: <{uri}>\r\nCall-ID: dials-{n}\r\nCSeq: {cseq} INVITE\r\n\
             Contact: <sip:{number}@{phone}>\r\n{more}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    };
    let before = sim.trace.len();
    sim.input(Input::Sip { flow, message: intake(Bytes::from(invite(1))).expect("valid") });
    let answer = Message::from_bytes(sim.trace[before].clone()).expect("ours");
    let Message::Response(challenge) = answer else { panic!("no challenge") };
    let challenges = challenge.headers.challenges(&HeaderName::WwwAuthenticate);
    let login = Login { username: &number, password: &format!("secret-{number}") };
    let credentials = challenges[0].answer(&login, &Method::Invite, &Bytes::from(uri.to_owned()), 1, b"c");
    let mut signed = intake(Bytes::from(invite(2))).expect("valid");
    signed.headers_mut().push(HeaderName::Authorization, &credentials);
    sim.input(Input::Sip { flow, message: signed });
}

fn description(address: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n")
}

#[test]
fn line_ends_in_what_a_phone_dials_become_no_header() {
    let mut sim = Sim::new(8);
    let (phone, trunk) = (sim.phone("210"), sim.trunk());
    for uri in ["sip:04940123%0d%0aEvil:%202@10.0.0.1", "sip:04940123;x=%0d%0aEvil:%202@10.0.0.1", "sip:04940123%0AEvil@10.0.0.1"]
    {
        dials(&mut sim, phone, uri, "Subject: x%0d%0aEvil: 3\r\n", &description("10.1.0.210"));
        sim.run_for(SECOND);
    }
    // Whatever of it was dialled, it is one line.
    for bytes in &sim.trace {
        let printed = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        assert!(!printed.contains("\nevil"), "{printed}");
    }
    assert!(sim.ua(trunk).invites.is_empty(), "and no number: {:?}", sim.ua(trunk).invites);
}

/// RFC 3261 §19.1.6: a carrier may read a number where we have seen none.
#[test]
fn an_expensive_number_is_refused_in_whatever_way_it_is_written() {
    let mut source = centre();
    source.main.text = source.main.text.replace("secret = \"secret-210\"", "secret = \"secret-210\"\nclass = \"limited\"");
    source.main.text += "\n[class.limited]\ndeny = [\"+49900*\"]\n";
    let mut sim = Sim::with(13, source);
    let (phone, trunk) = (sim.phone("210"), sim.trunk());
    for written in [
        "00900123456",
        "0-0900-123456",
        "0%200900123456",
        "0(0900)123456",
        "0%2B49900123456",
        "00049900123456",
        "0%30900123456",
        "00900123456;isub=1",
        "00900123456;phone-context=x",
        "00900123456%0d",
        "00900123456%00",
        "00900123456x1",
        "0;0900123456",
        "00900%c2%a0123456",
        "0%d9%a0900123456",
        "00900-1-2-3-4-5-6-7-8-9-0-1-2-3-4-5-6-7-8-9-0-1-2-3-4-5-6-7-8-9-0-1-2-3-4-5-6",
    ] {
        dials(&mut sim, phone, &format!("sip:{written}@10.0.0.1"), "", &description("10.1.0.210"));
        sim.run_for(SECOND);
        assert!(sim.ua(trunk).invites.is_empty(), "{written}: {:?}", sim.ua(trunk).invites);
    }
    dials(&mut sim, phone, "sip:0-0800-123456@10.0.0.1", "", &description("10.1.0.210"));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).invites.len(), 1, "another one is dialled");
}

/// RFC 3325 §5, RFC 5806 §6.
#[test]
fn what_a_phone_says_of_itself_does_not_go_out() {
    let mut sim = Sim::new(9);
    let (phone, trunk) = (sim.phone("210"), sim.trunk());
    sim.act(phone, |p, now| {
        p.asserted = Some("<sip:110@10.0.0.1>".into());
        p.more.push(("Remote-Party-ID", "<sip:110@10.0.0.1>;party=calling"));
        p.more.push(("Diversion", "<sip:112@10.0.0.1>;reason=unconditional"));
        p.more.push(("History-Info", "<sip:112@10.0.0.1>;index=1"));
        p.more.push(("Identity", "forged"));
        p.call("04940123", now);
    });
    sim.run_until("it is at the carrier", |s| !s.ua(trunk).invites.is_empty());
    let seen = &sim.ua(trunk).invites[0];
    assert_eq!(seen.number, "+4930555210");
    assert!(seen.diversion.is_empty() && seen.history.is_empty(), "{seen:?}");
    let said = seen.who.iter().flatten().cloned().collect::<String>();
    assert!(!said.contains("110") && !said.contains("forged"), "{said}");
    sim.act(phone, |p, now| p.hang_up(now));
    sim.assert_clean();
}

/// RFC 3261 §21.3: whoever says 302 or REFER makes others pay.
#[test]
fn redirections_in_circles_and_to_expensive_numbers_go_nowhere() {
    let mut source = centre();
    source.main.text = source.main.text.replace("secret = \"secret-201\"", "secret = \"secret-201\"\nclass = \"limited\"");
    source.main.text += "\n[class.limited]\ndeny = [\"+49900*\"]\n";
    let mut sim = Sim::with(10, source);
    let (caller, first, second, trunk) = (sim.phone("210"), sim.phone("201"), sim.phone("202"), sim.trunk());
    let many: Vec<String> = (0..50).map(|n| format!("<sip:00900{n:04}@10.0.0.1>")).collect();
    let many = many.join(", ");
    // Neither all at once nor one after the other.
    sim.set(first, OnInvite::Refuse(302));
    sim.act(first, |p, _| p.redirects_to = many.clone());
    sim.act(caller, |p, now| {
        p.call("201", now);
    });
    sim.run_until("refused", |s| s.ua(caller).is_idle());
    assert!(sim.ua(trunk).invites.is_empty(), "{}", sim.story());
    // Who may dial there sends one call there, and no more.
    sim.set(second, OnInvite::Refuse(302));
    sim.act(second, |p, _| p.redirects_to = many);
    sim.act(caller, |p, now| {
        p.call("202", now);
    });
    sim.run_until("it is outside", |s| s.ua(trunk).is_up());
    sim.act(caller, |p, now| p.hang_up(now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(trunk).invites.len(), 1);
    // A carrier that sends the call on makes nobody pay for what it may not dial.
    sim.act(trunk, |t, _| t.redirects_to = "<sip:+49900123456@10.2.0.1>".into());
    for (phone, more) in [(first, 1), (caller, 2)] {
        sim.act(trunk, |t, _| t.script.push_back(OnInvite::Refuse(302)));
        let before = sim.ua(trunk).invites.len();
        sim.act(phone, |p, now| {
            p.call("04940123", now);
        });
        sim.run_until("it has come to something", |s| s.ua(phone).is_idle() || s.ua(phone).is_up());
        assert_eq!(sim.ua(trunk).invites.len() - before, more, "{}", sim.story());
        sim.act(phone, |p, now| p.hang_up(now));
        sim.run_until("it is over", |s| s.ua(phone).is_idle());
    }
    let outside = sim.ua(trunk).invites.len();
    // Each sends it to the other.
    sim.act(first, |p, _| p.redirects_to = "<sip:202@10.0.0.1>".into());
    sim.act(second, |p, _| p.redirects_to = "<sip:201@10.0.0.1>".into());
    let before = sim.ua(first).invites.len() + sim.ua(second).invites.len();
    sim.act(caller, |p, now| {
        p.call("201", now);
    });
    sim.run_until("it ends", |s| s.ua(caller).is_idle());
    assert_eq!(sim.ua(first).invites.len() + sim.ua(second).invites.len() - before, 2, "each once");
    // A transfer to such a number.
    sim.set(first, OnInvite::Answer(SECOND));
    sim.act(caller, |p, now| {
        p.call("201", now);
    });
    sim.run_until("they talk", |s| s.ua(caller).is_up() && s.ua(first).is_up());
    sim.act(first, |p, now| p.refer("00900123", now));
    sim.run_for(SECOND);
    assert_eq!(sim.ua(first).last_status("REFER"), Some(403));
    assert_eq!(sim.ua(trunk).invites.len(), outside);
    sim.act(caller, |p, now| p.hang_up(now));
    sim.assert_clean();
}

#[test]
fn nobody_but_a_phone_dials_outside() {
    let mut sim = Sim::new(11);
    let trunk = sim.trunk();
    for (from, refusal) in [(STRANGER, 401), ("10.2.0.1:5060", 404)] {
        for number in ["04940123", "+4940123", "004940123", "0112", "112"] {
            let n = sim.inputs;
            let text = format!(
                "INVITE sip:{number}@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK-o{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:1@10.0.0.1>;tag=s\r\nTo: <sip:{number}@10.0.0.1>\r\nCall-ID: o{n}\r\nCSeq: 1 INVITE\r\nContact: <sip:1@{from}>\r\n"
            );
            assert_eq!(status(&send(&mut sim, from, text)), refusal, "{from} {number}");
        }
    }
    sim.run_for(SECOND);
    assert!(sim.ua(trunk).invites.is_empty() && !sim.has("call.started"));
}

/// A phone is sent audio where it is heard from; a description that names others makes us flood nobody.
#[test]
fn audio_goes_to_no_third_party_whatever_a_description_says() {
    for (address, from_phone) in [
        ("239.1.2.3", true),
        ("255.255.255.255", true),
        ("203.0.113.9", true),
        ("239.1.2.3", false),
        ("255.255.255.255", false),
        ("203.0.113.9", false),
    ] {
        let mut sim = Sim::new(12);
        let (phone, trunk) = (sim.phone("210"), sim.trunk());
        match from_phone {
            true => dials(&mut sim, phone, "sip:600@10.0.0.1", "", &description(address)),
            false => {
                let text = format!(
                    "INVITE sip:+4930555000@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {trunk};rport;branch=z9hG4bK-m\r\nMax-Forwards: 70\r\n\
                     From: <sip:1@10.2.0.1>;tag=s\r\nTo: <sip:+4930555000@10.0.0.1>\r\nCall-ID: m\r\nCSeq: 1 INVITE\r\n\
                     Contact: <sip:1@{trunk}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
                    description(address).len(),
                    description(address)
                );
                let flow = Flow { transport: Transport::Udp, local: switch(), remote: trunk, connection: None };
                sim.input(Input::Sip { flow, message: intake(Bytes::from(text)).expect("valid") });
            }
        }
        sim.run_for(5 * SECOND);
        assert!(sim.has("menu.entered"), "it is answered and hears a prompt\n{}", sim.story());
        let victim: IpAddr = address.parse().expect("address");
        let sent = sim.network.media_to.contains_key(&victim);
        // A carrier's audio often comes from another machine; who is one says the configuration.
        assert_eq!(sent, !from_phone && address.starts_with("203."), "{address} {from_phone}");
    }
}
