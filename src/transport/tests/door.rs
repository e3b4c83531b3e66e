//! Who is banned, over sockets.

use super::udp::{heard, socket};
use super::*;
use crate::registrar::bans::Proof;
use crate::switch::output::Banned;

fn banned(spared: Vec<SocketAddr>) -> Vec<Banned> {
    banned_for(Proof::Connection, spared)
}

fn banned_for(proof: Proof, spared: Vec<SocketAddr>) -> Vec<Banned> {
    vec![Banned { address: "127.0.0.1".parse().expect("address"), proof, spared }]
}

#[tokio::test]
async fn datagrams_of_a_banned_source_are_dropped_but_those_of_a_phone_that_is_registered_there() {
    let mut rig = udp_rig("127.0.0.1:0").await;
    let (phone, scanner) = (socket("127.0.0.1:0").await, socket("127.0.0.1:0").await);
    rig.transport.ban(banned(vec![phone.local_addr().expect("address")]));
    scanner.send_to(request("OPTIONS", 1).as_bytes(), rig.udp()).await.expect("sent");
    scanner.send_to(b"\x00\x01\x00\x00\x21\x12\xa4\x42123456789012", rig.udp()).await.expect("sent");
    rig.until_counted("banned", 2).await;
    phone.send_to(request("OPTIONS", 2).as_bytes(), rig.udp()).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 2, "nothing of the scanner came");
    rig.transport.ban(Vec::new());
    scanner.send_to(request("OPTIONS", 3).as_bytes(), rig.udp()).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 3);
}

#[tokio::test]
async fn connections_of_a_banned_source_are_cut_at_their_next_word_and_new_ones_not_taken() {
    let mut rig = tcp_rig(settings()).await;
    let (mut phone, mut scanner) = (rig.connect().await, rig.connect().await);
    for (n, peer) in [(1, &mut phone), (2, &mut scanner)] {
        write(peer, &request("OPTIONS", n)).await;
        assert_eq!(number(&rig.message().await.1), n);
    }
    rig.transport.ban(banned(vec![phone.local_addr().expect("address")]));
    write(&mut scanner, &request("OPTIONS", 3)).await;
    rig.closed().await;
    let mut late = rig.connect().await;
    rig.until_counted("banned", 2).await;
    let mut rest = Vec::new();
    let end = timeout(DEADLINE, late.read_to_end(&mut rest)).await.expect("closed in time");
    assert!(end.is_err() || rest.is_empty());
    write(&mut phone, &request("OPTIONS", 4)).await;
    assert_eq!(number(&rig.message().await.1), 4);
}

#[tokio::test]
async fn malformed_messages_are_counted_for_the_core_by_source() {
    let mut rig = udp_rig("127.0.0.1:0").await;
    let peer = socket("127.0.0.1:0").await;
    for _ in 0..30 {
        peer.send_to(b"GET / HTTP/1.1\r\n\r\n", rig.udp()).await.expect("sent");
    }
    let mut counted = 0;
    while counted < 30 {
        match timeout(Duration::from_secs(10), rig.inputs.recv()).await.expect("in time") {
            Some(Input::Malformed { sources }) => {
                assert!(sources.iter().all(|(address, proof, _)| *proof == Proof::Datagram && address.is_loopback()));
                counted += sources.iter().map(|(_, _, count)| count).sum::<u32>();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counted, 30);
}

/// The address of a datagram proves nothing: a ban for it lets connections in, and a trickle, in which a phone that is new has a share of its
/// own, and what answers a challenge of ours passes.
#[tokio::test]
async fn a_ban_for_datagrams_lets_connections_in_and_a_phone_that_is_new_there() {
    let mut rig = tcp_rig(settings()).await;
    rig.transport.ban(banned_for(Proof::Datagram, Vec::new()));
    let mut phone = rig.connect().await;
    write(&mut phone, &request("OPTIONS", 1)).await;
    assert_eq!(number(&rig.message().await.1), 1);

    let mut rig = udp_rig("127.0.0.1:0").await;
    rig.transport.ban(banned_for(Proof::Datagram, Vec::new()));
    let (flood, phone) = (socket("127.0.0.1:0").await, socket("127.0.0.1:0").await);
    let udp = rig.udp();
    let signed = |nonce: &str| format!("AUTHORIZATION : Digest username=\"201\", nonce = \"{nonce}\"\r\nCSeq:");
    let forged = signed("made-up");
    let (mut before, mut tries) = (0, 0);
    // As a phone does, until it is heard: it meets the flood's share by chance only.
    let first = 'heard: loop {
        tries += 1;
        assert!(tries < 200, "the phone is not heard");
        for n in 0..200 {
            flood.send_to(request("OPTIONS", n).replace("CSeq:", &forged).as_bytes(), udp).await.expect("sent");
            flood.send_to(b"\r\n\r\n", udp).await.expect("sent");
        }
        phone.send_to(request("REGISTER", 1_000).as_bytes(), udp).await.expect("sent");
        while let Ok(Some(input)) = timeout(SHORT, rig.inputs.recv()).await {
            match input {
                Input::Sip { flow, message } if number(&message) == 1_000 => break 'heard flow,
                _ => before += 1,
            }
        }
    };
    assert!(before < 100, "{before} were heard before");
    let challenge = response("401 Unauthorized", "REGISTER", 1_000);
    let challenge = challenge.replace("CSeq:", "WWW-Authenticate: Digest realm=\"a\", nonce=\"n1\"\r\nCSeq:");
    rig.transport.send(first, Bytes::from(challenge), None);
    for n in 0..200 {
        flood.send_to(request("OPTIONS", n).as_bytes(), udp).await.expect("sent");
    }
    // From that very port too.
    for n in 1_001..1_005 {
        phone.send_to(request("OPTIONS", n).as_bytes(), udp).await.expect("sent");
    }
    phone.send_to(request("REGISTER", 2_000).replace("CSeq:", &signed("n1")).as_bytes(), udp).await.expect("sent");
    while number(&rig.message().await.1) != 2_000 {}
    rig.until_counted("banned", 300).await;
}

const HELP: &str = "[site]\nname = \"Help\"\ndomain = \"cordboard.example\"\ntime_zone = \"Europe/Berlin\"\ncountry = \"DE\"\n";

fn for_help(n: u32, nonce: Option<&str>) -> String {
    let proof = nonce.map_or_else(String::new, |nonce| format!("Authorization: Digest username=\"1\", nonce=\"{nonce}\"\r\n"));
    request("INVITE", n).replace("sip:100@", "sip:112@").replace("Max-Forwards", &format!("{proof}Max-Forwards"))
}

#[tokio::test]
async fn a_flood_of_calls_for_help_from_everywhere_leaves_places_to_phones_and_to_who_answers_a_challenge() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    let config = crate::config::Config::resolve(&crate::config::Source::of(HELP.to_owned())).expect("a configuration");
    rig.transport.heed(std::sync::Arc::new(config));
    rig.transport.set_queue_delay(Duration::from_secs(5));
    let switch = SocketAddr::from(([127, 0, 0, 1], rig.udp().port()));
    let (phone, new) = (socket("127.0.2.1:0").await, socket("127.0.2.2:0").await);
    rig.transport.know(crate::switch::output::Known::Added(phone.local_addr().expect("address")));
    // In each of its windows: the first one is somewhere within one.
    for round in 0..3 {
        let first = round * 1_000;
        new.send_to(for_help(first, None).as_bytes(), switch).await.expect("sent");
        let (flow, asked) = rig.message().await;
        assert_eq!(number(&asked), first);
        let nonce = format!("nonce{round}");
        let challenge =
            "SIP/2.0 401 Unauthorized\r\nCSeq: 1 INVITE\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"NONCE\"\r\n\r\n";
        rig.transport.send(flow, Bytes::from(challenge.replace("NONCE", &nonce)), None);
        heard(&new).await;
        let mut refused = 0;
        for n in 1..=100 {
            let forger = socket(&format!("127.0.1.{n}:0")).await;
            forger.send_to(for_help(first + n, Some("forged")).as_bytes(), switch).await.expect("sent");
            tokio::select! {
                _ = heard(&forger) => refused += 1,
                (_, taken) = rig.message() => assert_eq!(number(&taken), first + n),
            }
        }
        assert!(refused > 20, "{refused}");
        phone.send_to(for_help(first + 200, None).as_bytes(), switch).await.expect("sent");
        assert_eq!(number(&rig.message().await.1), first + 200);
        new.send_to(for_help(first + 201, Some(&nonce)).as_bytes(), switch).await.expect("sent");
        assert_eq!(number(&rig.message().await.1), first + 201);
        // No test waits for two seconds.
        (0..8).for_each(|_| rig.transport.door.renew());
    }
}
