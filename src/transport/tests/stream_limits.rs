//! Who may hold a connection, and for how long.

use tokio::net::TcpListener;

use super::*;
use crate::sip::PING;

#[tokio::test]
async fn a_message_that_is_too_long_is_answered_and_ends_the_connection() {
    let mut rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    write(&mut peer, &request("MESSAGE", 2).replace("Content-Length: 0", "Content-Length: 2147483648")).await;
    assert!(rest(&mut peer).await.starts_with("SIP/2.0 413 "));
    assert_eq!(Some(rig.closed().await), flow.connection);
    let mut peer = rig.connect().await;
    write(&mut peer, &request("MESSAGE", 2).replace("\r\n\r\n", &format!("\r\nX: {}", "y".repeat(20_000)))).await;
    assert!(rest(&mut peer).await.starts_with("SIP/2.0 513 "));
}

#[tokio::test]
async fn another_protocol_is_closed_without_a_word() {
    let rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    write(&mut peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(rest(&mut peer).await, "");
}

#[tokio::test]
async fn one_refused_message_after_the_other_ends_the_connection() {
    let rig = tcp_rig(settings()).await;
    let mut peer = rig.connect().await;
    let bad = request("OPTIONS", 1).replace("1 OPTIONS", "1 INVITE");
    write(&mut peer, &bad.repeat(settings::MAX_MALFORMED as usize)).await;
    let answers = rest(&mut peer).await;
    assert_eq!(answers.matches("SIP/2.0 400 ").count(), settings::MAX_MALFORMED as usize);
}

#[tokio::test]
async fn who_says_nothing_valid_is_cut_however_busily_it_says_it() {
    let mut rig = tcp_rig(Settings { prove_within: SHORT, ..settings() }).await;
    let mut good = rig.connect().await;
    write(&mut good, &request("OPTIONS", 1)).await;
    rig.message().await;
    let (mut slow, mut pinging) = (rig.connect().await, rig.connect().await);
    let text = request("OPTIONS", 2);
    let mut octets = text.as_bytes().chunks(1).cycle();
    let drip = async {
        // Until it is cut. Far fewer octets at a time than the message has, so that it never is whole.
        while slow.write_all(octets.next().expect("endless")).await.is_ok() && rig.counter("tcp_timed_out") == 0 {
            tokio::task::yield_now().await;
            if slow.write_all(b"X").await.is_err() {
                break;
            }
        }
    };
    let ping = async {
        while pinging.write_all(PING).await.is_ok() && rig.counter("tcp_timed_out") < 2 {
            let mut pong = [0; 2];
            if pinging.read_exact(&mut pong).await.is_err() {
                break;
            }
        }
    };
    timeout(DEADLINE, async { tokio::join!(drip, ping) }).await.expect("cut");
    rest(&mut slow).await;
    rest(&mut pinging).await;
    good.write_all(PING).await.expect("written");
    expect(&mut good, "\r\n").await;
}

#[tokio::test]
async fn a_message_that_has_begun_must_end() {
    let mut rig = tcp_rig(Settings { message_within: SHORT, ..settings() }).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &(request("OPTIONS", 1) + "OPTIONS sip:")).await;
    rig.message().await;
    assert_eq!(rest(&mut peer).await, "");
    rig.closed().await;
    assert_eq!(rig.counter("tcp_timed_out"), 1);
}

#[tokio::test]
async fn silence_is_borne_longer_where_the_switch_took_a_registration() {
    let mut rig = tcp_rig(Settings { idle: SHORT, ..settings() }).await;
    let (mut registered, mut scanner) = (rig.connect().await, rig.connect().await);
    write(&mut registered, &request("REGISTER", 1)).await;
    let (flow, _) = rig.message().await;
    rig.transport.send(flow, Bytes::from(response("200 OK", "REGISTER", 1)), None);
    expect(&mut registered, &response("200 OK", "REGISTER", 1)).await;
    write(&mut scanner, &request("OPTIONS", 2)).await;
    let (other, _) = rig.message().await;
    rig.transport.send(other, Bytes::from(response("200 OK", "OPTIONS", 2)), None);
    assert_eq!(Some(rig.closed().await), other.connection);
    assert_eq!(rest(&mut scanner).await, response("200 OK", "OPTIONS", 2));
    // Its own silence is as long by now; another scanner's goes by besides.
    let mut another = rig.connect().await;
    write(&mut another, &request("OPTIONS", 3)).await;
    rig.message().await;
    rig.closed().await;
    registered.write_all(PING).await.expect("written");
    expect(&mut registered, "\r\n").await;
}

/// From here on the switch has taken something on it.
async fn register(rig: &mut Rig, peer: &mut TcpStream, n: u32) {
    write(peer, &request("REGISTER", n)).await;
    let (flow, _) = rig.message().await;
    let taken = response("200 OK", "REGISTER", n);
    rig.transport.send(flow, Bytes::from(taken.clone()), None);
    expect(peer, &taken).await;
}

#[tokio::test]
async fn strangers_who_speak_sip_hold_no_place_against_newcomers() {
    let mut rig = tcp_rig(Settings { max_per_source: 1, ..settings() }).await;
    let mut phone = rig.connect().await;
    register(&mut rig, &mut phone, 1).await;
    let mut stranger = rig.connect().await;
    write(&mut stranger, &request("OPTIONS", 2)).await;
    rig.message().await;
    let mut second = rig.connect().await;
    assert_eq!(rest(&mut stranger).await, "", "it made room");
    rig.closed().await;
    register(&mut rig, &mut second, 3).await;
    write(&mut phone, &request("OPTIONS", 4)).await;
    assert_eq!(number(&rig.message().await.1), 4, "the phone is still there");
    assert_eq!(rig.counter("tcp_evicted"), 1);
}

#[tokio::test]
async fn a_source_has_so_many_strangers_and_new_ones_take_the_place_of_silent_ones() {
    let mut rig = tcp_rig(Settings { max_per_source: 2, ..settings() }).await;
    let mut silent = rig.connect().await;
    rig.until_counted("tcp_accepted", 1).await;
    let mut phones = Vec::new();
    for n in 1..=3 {
        let mut peer = rig.connect().await;
        register(&mut rig, &mut peer, n).await;
        phones.push(peer);
    }
    assert_eq!(rig.counter("tcp_evicted"), 0, "phones that are registered take no stranger's place");
    let mut second = rig.connect().await;
    rig.until_counted("tcp_accepted", 5).await;
    let mut third = rig.connect().await;
    assert_eq!(rest(&mut silent).await, "", "it made room");
    write(&mut second, &request("OPTIONS", 4)).await;
    assert_eq!(number(&rig.message().await.1), 4);
    write(&mut third, &request("OPTIONS", 5)).await;
    assert_eq!(number(&rig.message().await.1), 5);
    for (phone, n) in phones.iter_mut().zip(6..) {
        write(phone, &request("OPTIONS", n)).await;
        assert_eq!(number(&rig.message().await.1), n, "a phone that is registered stays");
    }
    assert_eq!((rig.counter("tcp_evicted"), rig.counter("tcp_refused")), (1, 0));
}

#[tokio::test]
async fn one_source_has_a_part_of_all_places_and_loses_its_oldest_connection_beyond() {
    let mut rig = tcp_rig(Settings { max_of_one_source: 2, ..settings() }).await;
    let mut phones = Vec::new();
    for n in 1..=2 {
        let mut peer = rig.connect().await;
        register(&mut rig, &mut peer, n).await;
        phones.push(peer);
    }
    let mut third = rig.connect().await;
    assert_eq!(rest(&mut phones[0]).await, "", "it made room");
    rig.closed().await;
    register(&mut rig, &mut third, 3).await;
    phones.push(third);
    for (phone, n) in phones.iter_mut().skip(1).zip(4..) {
        write(phone, &request("OPTIONS", n)).await;
        assert_eq!(number(&rig.message().await.1), n);
    }
}

#[tokio::test]
async fn strangers_from_many_sources_are_limited_together() {
    let mut rig = tcp_rig(Settings { max_strangers: 1, ..settings() }).await;
    let mut phone = rig.connect().await;
    register(&mut rig, &mut phone, 1).await;
    let mut stranger = rig.connect().await;
    rig.until_counted("tcp_accepted", 2).await;
    let elsewhere = tokio::net::TcpSocket::new_v4().expect("socket");
    elsewhere.bind("127.0.0.44:0".parse().expect("address")).expect("bound");
    let mut elsewhere = elsewhere.connect(rig.transport.addresses().tcp[0]).await.expect("connected");
    assert_eq!(rest(&mut stranger).await, "", "it made room");
    write(&mut elsewhere, &request("OPTIONS", 2)).await;
    assert_eq!(number(&rig.message().await.1), 2);
    write(&mut phone, &request("OPTIONS", 3)).await;
    assert_eq!(number(&rig.message().await.1), 3, "the phone is still there");
}

#[tokio::test]
async fn all_places_together_are_limited_too() {
    let mut rig = tcp_rig(Settings { max_connections: 1, ..settings() }).await;
    let mut peer = rig.connect().await;
    register(&mut rig, &mut peer, 1).await;
    let far = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let to = tcp_flow("127.0.0.1:5060", far.local_addr().expect("address"));
    rig.transport.send(to, Bytes::from(request("INVITE", 2)), Some(SendId(2)));
    assert_eq!(rig.undeliverable().await, SendId(2));
    let mut refused = rig.connect().await;
    assert_eq!(rest(&mut refused).await, "", "nobody here makes room");
    assert_eq!(rig.counter("tcp_refused"), 2);
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_what_waited_is_reported() {
    let mut rig = tcp_rig(Settings { write_queue: 4, ..settings() }).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    let long = request("MESSAGE", 2).replace("Content-Length: 0", "Content-Length: 60000") + &"x".repeat(60_000);
    let (mut sent, mut back, mut closed) = (0, 0, false);
    while !closed {
        assert!(sent < 10_000, "never cut");
        rig.transport.send(flow, Bytes::from(long.clone()), Some(SendId(sent)));
        sent += 1;
        tokio::task::yield_now().await;
        while let Ok(input) = rig.inputs.try_recv() {
            match input {
                Input::Undeliverable { .. } => back += 1,
                Input::ConnectionClosed { connection } => closed = Some(connection) == flow.connection,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(back > 4, "{back} of {sent}");
    assert_eq!(rig.counter("tcp_too_slow"), 1);
}

#[tokio::test]
async fn a_write_that_takes_too_long_ends_the_connection() {
    let mut rig = tcp_rig(Settings { write_within: SHORT, write_queue: 10_000, ..settings() }).await;
    let mut peer = rig.connect().await;
    write(&mut peer, &request("OPTIONS", 1)).await;
    let (flow, _) = rig.message().await;
    let long = Bytes::from(request("MESSAGE", 2) + &"x".repeat(60_000));
    for _ in 0..500 {
        rig.transport.send(flow, long.clone(), None);
    }
    assert_eq!(Some(rig.closed().await), flow.connection);
    assert_eq!(rig.counter("tcp_too_slow"), 1);
}
