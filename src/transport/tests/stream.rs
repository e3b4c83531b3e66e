//! RFC 3261 §18 over TCP: framing, keep-alives, which connection a message takes.

use tokio::net::TcpListener;

use super::*;
use crate::sip::{PING, PONG};

#[tokio::test]
async fn a_message_in_pieces_and_two_in_one_segment_come_whole_and_in_order() {
    let mut rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    peer.set_nodelay(true).expect("option");
    for octet in request("OPTIONS", 1).as_bytes().chunks(7) {
        peer.write_all(octet).await.expect("written");
        tokio::task::yield_now().await;
    }
    write(&mut peer, &(request("OPTIONS", 2) + &request("MESSAGE", 3))).await;
    let mut flows = Vec::new();
    for n in 1..=3 {
        let (flow, message) = rig.message().await;
        assert_eq!(number(&message), n);
        flows.push(flow);
    }
    assert!(flows[0].connection.is_some() && flows.iter().all(|flow| *flow == flows[0]));
    assert_eq!(flows[0].remote, peer.local_addr().expect("address"));
    assert_eq!(flows[0].local, rig.transport.addresses().tcp[0]);
    let mut other = rig.connect().await;
    write(&mut other, &request("OPTIONS", 4)).await;
    assert_ne!(rig.message().await.0.connection, flows[0].connection);
}

/// RFC 5626 §4.4.1.
#[tokio::test]
async fn a_ping_gets_a_pong_and_the_core_hears_nothing_of_it() {
    let mut rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    peer.write_all(PING).await.expect("written");
    expect(&mut peer, std::str::from_utf8(PONG).expect("text")).await;
    write(&mut peer, &request("OPTIONS", 2)).await;
    for n in 1..=2 {
        assert_eq!(number(&rig.message().await.1), n);
    }
}

#[tokio::test]
async fn answers_go_back_on_the_connection_that_the_request_came_on() {
    let mut rig = tcp_rig(settings()).await;
    let mut peers = [rig.connect().await, rig.connect().await];
    let mut flows = Vec::new();
    for (n, peer) in peers.iter_mut().enumerate() {
        write(peer, &request("OPTIONS", n as u32)).await;
        flows.push(rig.message().await.0);
    }
    for (n, flow) in flows.iter().enumerate().rev() {
        rig.transport.send(*flow, Bytes::from(response("200 OK", "OPTIONS", n as u32)), None);
    }
    for (n, peer) in peers.iter_mut().enumerate() {
        expect(peer, &response("200 OK", "OPTIONS", n as u32)).await;
    }
}

#[tokio::test]
async fn a_connection_is_opened_once_used_again_and_its_end_is_told() {
    let mut rig = tcp_rig(settings()).await;
    let far = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let to = tcp_flow("127.0.0.7:5060", far.local_addr().expect("address"));
    for n in 1..=2 {
        rig.transport.send(to, Bytes::from(request("INVITE", n)), Some(SendId(u64::from(n))));
    }
    let (mut peer, from) = timeout(DEADLINE, far.accept()).await.expect("in time").expect("accepted");
    assert_eq!(from.ip(), to.local.ip(), "the flow's local address");
    expect(&mut peer, &(request("INVITE", 1) + &request("INVITE", 2))).await;
    write(&mut peer, &response("200 OK", "INVITE", 1)).await;
    let (flow, _) = rig.message().await;
    let connection = flow.connection.expect("connection");
    assert_eq!((flow.local, flow.remote), (to.local, to.remote), "the port that we listen on, not the one of chance");
    rig.transport.send(flow, Bytes::from(request("ACK", 1)), None);
    expect(&mut peer, &request("ACK", 1)).await;
    drop(peer);
    assert_eq!(rig.closed().await, connection);
    rig.transport.send(flow, Bytes::from(request("BYE", 3)), Some(SendId(3)));
    assert_eq!(rig.undeliverable().await, SendId(3), "that connection and no other");
    rig.transport.send(to, Bytes::from(request("INVITE", 4)), None);
    let (mut peer, _) = timeout(DEADLINE, far.accept()).await.expect("in time").expect("accepted");
    expect(&mut peer, &request("INVITE", 4)).await;
}

#[tokio::test]
async fn a_request_to_the_peers_own_address_uses_the_connection_that_it_opened() {
    let mut rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    rig.transport.send(Flow { connection: None, ..flow }, Bytes::from(request("INVITE", 2)), None);
    expect(&mut peer, &request("INVITE", 2)).await;
}

/// RFC 3261 §18.2.2.
#[tokio::test]
async fn an_answer_whose_connection_is_gone_goes_to_the_address_of_its_flow() {
    let mut rig = tcp_rig(settings()).await;
    let far = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    drop(peer);
    rig.closed().await;
    let to = Flow { remote: far.local_addr().expect("address"), ..flow };
    rig.transport.send(to, Bytes::from(response("200 OK", "OPTIONS", 1)), None);
    let (mut peer, _) = timeout(DEADLINE, far.accept()).await.expect("in time").expect("accepted");
    expect(&mut peer, &response("200 OK", "OPTIONS", 1)).await;
}

#[tokio::test]
async fn a_connect_that_fails_makes_all_that_waited_for_it_undeliverable() {
    let mut rig = tcp_rig(settings()).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("address");
    for n in 1..=3 {
        rig.transport.send(tcp_flow("127.0.0.1:5060", gone), Bytes::from(request("INVITE", n)), Some(SendId(u64::from(n))));
    }
    for n in 1..=3 {
        assert_eq!(rig.undeliverable().await, SendId(n));
    }
    rig.transport.send(tcp_flow("192.0.2.77:5060", gone), Bytes::from(request("INVITE", 4)), Some(SendId(4)));
    assert_eq!(rig.undeliverable().await, SendId(4), "not an address of ours");
    assert!(rig.inputs.try_recv().is_err(), "no end of a connection that never was");
}

#[tokio::test]
async fn while_the_core_is_full_connections_wait_and_nothing_is_lost() {
    let mut rig = rig(&[], &["127.0.0.1:0"], settings(), 2).await;
    let mut peer = rig.connect().await;
    let all: String = (0..500).map(|n| request("BYE", n)).collect();
    let (mut reading, mut writing) = peer.split();
    let write = async { writing.write_all(all.as_bytes()).await.expect("written") };
    let drain = async {
        for n in 0..500 {
            assert_eq!(number(&rig.message().await.1), n);
        }
    };
    tokio::join!(write, drain);
    writing.write_all(PING).await.expect("written");
    let mut pong = [0; 2];
    timeout(DEADLINE, reading.read_exact(&mut pong)).await.expect("in time").expect("pong");
}

#[tokio::test]
async fn a_new_call_is_shed_on_its_connection() {
    let mut rig = rig(&[], &["127.0.0.1:0"], settings(), 16).await;
    let mut peer = rig.connect().await;
    rig.fill_core(3);
    write(&mut peer, &(request("INVITE", 1) + &request("BYE", 2))).await;
    rig.until_counted("shed", 1).await;
    for _ in 0..13 {
        assert!(matches!(rig.input().await, Input::Tick));
    }
    assert_eq!(number(&rig.message().await.1), 2);
    peer.shutdown().await.expect("half closed");
    let answer = rest(&mut peer).await;
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
}
