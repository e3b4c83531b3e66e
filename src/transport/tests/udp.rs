//! RFC 3261 §18 over UDP.

use tokio::net::UdpSocket;

use super::*;
use crate::sip::Status;

pub(super) async fn socket(address: &str) -> UdpSocket {
    UdpSocket::bind(address).await.expect("bound")
}

pub(super) async fn heard(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut buffer = vec![0; 65_535];
    let (length, from) = timeout(DEADLINE, socket.recv_from(&mut buffer)).await.expect("in time").expect("received");
    (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
}

fn status(text: &str) -> Status {
    match crate::sip::parse_datagram(text.as_bytes()) {
        Ok(Message::Response(response)) => response.status,
        other => panic!("{other:?}"),
    }
}

/// RFC 3261 §18.2.2, RFC 3581 §4.
#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_written_to() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    let peer = socket("127.0.0.3:0").await;
    let ours = SocketAddr::from(([127, 0, 0, 2], rig.udp().port()));
    peer.send_to(request("OPTIONS", 1).as_bytes(), ours).await.expect("sent");
    let (flow, message) = rig.message().await;
    let from = peer.local_addr().expect("address");
    assert_eq!(flow, Flow { transport: Over::Udp, local: ours, remote: from, connection: None });
    assert_eq!(number(&message), 1);
    let answer = response("200 OK", "OPTIONS", 1);
    rig.transport.send(flow, Bytes::from(answer.clone()), None);
    assert_eq!(heard(&peer).await, (answer, ours));
}

#[tokio::test]
async fn ipv6_and_ipv4_listen_side_by_side_on_one_port() {
    let Ok(free) = UdpSocket::bind("[::1]:0").await else { return };
    let port = free.local_addr().expect("address").port();
    drop(free);
    let (core, inputs) = mpsc::channel(8);
    let both = sip(&[&format!("0.0.0.0:{port}"), &format!("[::]:{port}")], &[]);
    // Somebody else may have taken the port meanwhile.
    let Ok(transport) = start(&both, None, core.clone()).await else { return };
    let mut rig = Rig { transport, inputs, core };
    for (from, to) in [("[::1]:0", format!("[::1]:{port}")), ("127.0.0.1:0", format!("127.0.0.1:{port}"))] {
        let peer = socket(from).await;
        peer.send_to(request("OPTIONS", 1).as_bytes(), &to).await.expect("sent");
        let (flow, _) = rig.message().await;
        assert_eq!(flow.local.to_string(), to);
        rig.transport.send(flow, Bytes::from(response("200 OK", "OPTIONS", 1)), None);
        assert_eq!(heard(&peer).await.1.to_string(), to);
    }
}

/// RFC 3261 §18.4.
#[tokio::test]
async fn a_request_to_a_closed_port_comes_back_at_once() {
    let mut rig = udp_rig("0.0.0.0:0").await;
    let gone = socket("127.0.0.1:0").await.local_addr().expect("address");
    let live = socket("127.0.0.1:0").await;
    let to = |remote| Flow {
        transport: Over::Udp,
        local: SocketAddr::from(([127, 0, 0, 1], rig.udp().port())),
        remote,
        connection: None,
    };
    let (to_gone, to_live) = (to(gone), to(live.local_addr().expect("address")));
    for n in 0..20 {
        rig.transport.send(to_gone, Bytes::from(request("INVITE", n)), Some(SendId(u64::from(n))));
        rig.transport.send(to_live, Bytes::from(request("INVITE", 100 + n)), Some(SendId(u64::from(100 + n))));
    }
    for n in 0..20 {
        assert_eq!(heard(&live).await.0, request("INVITE", 100 + n), "what is not meant goes on");
    }
    let mut back = Vec::new();
    while back.len() < 20 {
        // The kernel may tell of one only when it is sent to again, and limits its errors; the timers send again too.
        match timeout(SHORT, rig.inputs.recv()).await {
            Ok(Some(Input::Undeliverable { report, .. })) => back.push(report.0),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {
                let missing = (0..20).find(|n| !back.contains(n)).expect("one is missing");
                rig.transport.send(to_gone, Bytes::from(request("INVITE", missing as u32)), Some(SendId(missing)));
            }
        }
        back.sort_unstable();
        back.dedup();
    }
    assert_eq!(back, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_no_listener_can_send_is_undeliverable() {
    let mut rig = udp_rig("127.0.0.1:0").await;
    let flow = |local: &str, remote: &str, transport| Flow {
        transport,
        local: local.parse().expect("address"),
        remote: remote.parse().expect("address"),
        connection: None,
    };
    let hopeless = [
        flow("[::1]:5060", "[::1]:5060", Over::Udp),
        flow("127.0.0.9:5060", "127.0.0.1:5060", Over::Udp),
        flow("127.0.0.1:5060", "127.0.0.1:0", Over::Udp),
        flow("127.0.0.1:5061", "127.0.0.1:5061", Over::Tls),
    ];
    for (n, flow) in hopeless.into_iter().enumerate() {
        rig.transport.send(flow, Bytes::from(request("INVITE", 1)), Some(SendId(n as u64)));
        assert_eq!(rig.undeliverable().await, SendId(n as u64), "{flow}");
    }
}

/// RFC 3261 §18.1.1: up to the longest datagram.
#[tokio::test]
async fn long_messages_go_both_ways() {
    let mut rig = udp_rig("127.0.0.1:0").await;
    let peer = socket("127.0.0.1:0").await;
    let body = "x".repeat(60_000);
    let long = request("INFO", 1).replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: 60000\r\n\r\n{body}"));
    peer.send_to(long.as_bytes(), rig.udp()).await.expect("sent");
    let (flow, message) = rig.message().await;
    assert_eq!(message.body().len(), 60_000);
    rig.transport.send(flow, Bytes::from(long.clone()), None);
    assert_eq!(heard(&peer).await.0, long);
}

#[tokio::test]
async fn malformed_requests_are_answered_and_counted_and_never_with_much_more() {
    let mut rig = udp_rig("127.0.0.1:0").await;
    let peer = socket("127.0.0.1:0").await;
    let bad = request("OPTIONS", 1).replace("1 OPTIONS", "1 INVITE");
    peer.send_to(bad.as_bytes(), rig.udp()).await.expect("sent");
    let (answer, _) = heard(&peer).await;
    assert_eq!(status(&answer), Status::BAD_REQUEST);
    assert!(answer.len() <= bad.len() + settings::MAX_REPLY_GROWTH);
    let endless = bad.replace("Max-Forwards: 70", &"X: y\r\n".repeat(10_000));
    peer.send_to(endless.as_bytes(), rig.udp()).await.expect("sent");
    assert_eq!(status(&heard(&peer).await.0), Status::MESSAGE_TOO_LARGE);
    for silent in ["\r\n\r\n", "\0", "SIP/2.0 999 no\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        peer.send_to(silent.as_bytes(), rig.udp()).await.expect("sent");
    }
    peer.send_to(request("OPTIONS", 2).as_bytes(), rig.udp()).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 2);
    assert_eq!(rig.counter("keepalives"), 2);
    let malformed: Vec<_> = rig.transport.meter().counters().filter(|(n, _)| n.starts_with("transport_malformed")).collect();
    assert_eq!(malformed.iter().map(|(_, n)| n).sum::<u64>(), 4, "{malformed:?}");
    assert!(malformed.contains(&("transport_malformed_total{reason=\"cseq_mismatch\"}".to_owned(), 1)));
    rig.transport.send(
        Flow { transport: Over::Udp, local: rig.udp(), remote: peer.local_addr().expect("address"), connection: None },
        Bytes::from_static(b"last"),
        None,
    );
    assert_eq!(heard(&peer).await.0, "last", "nothing was answered in between");
}

#[tokio::test]
async fn new_calls_are_shed_first_and_then_everything() {
    let mut rig = rig(&["127.0.0.1:0"], &[], settings(), 16).await;
    let peer = socket("127.0.0.1:0").await;
    rig.fill_core(2);
    peer.send_to(request("INVITE", 1).as_bytes(), rig.udp()).await.expect("sent");
    let (answer, _) = heard(&peer).await;
    assert_eq!(status(&answer), Status::SERVICE_UNAVAILABLE);
    assert!(answer.contains("\r\nRetry-After: "));
    for n in 2..=5 {
        peer.send_to(request("BYE", n).as_bytes(), rig.udp()).await.expect("sent");
    }
    rig.until_counted("udp_dropped", 2).await;
    assert_eq!(rig.counter("shed"), 1);
    for _ in 0..14 {
        assert!(matches!(rig.input().await, Input::Tick));
    }
    for n in 2..=3 {
        assert_eq!(number(&rig.message().await.1), n);
    }
    peer.send_to(request("BYE", 4).as_bytes(), rig.udp()).await.expect("sent");
    assert_eq!(number(&rig.message().await.1), 4, "its repetition finds room");
}

/// Two thousand datagrams come in order and whole while the core keeps up.
#[tokio::test]
async fn a_burst_is_taken_in_batches_without_loss_of_order() {
    let mut rig = rig(&["127.0.0.1:0"], &[], settings(), 4_096).await;
    let peer = socket("127.0.0.1:0").await;
    for round in 0..20 {
        for n in 0..100 {
            peer.send_to(request("OPTIONS", round * 100 + n).as_bytes(), rig.udp()).await.expect("sent");
        }
        for n in 0..100 {
            assert_eq!(number(&rig.message().await.1), round * 100 + n);
        }
    }
}
