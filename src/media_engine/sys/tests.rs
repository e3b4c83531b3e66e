use super::*;

/// epoll, and io_uring where there is any.
fn ways() -> Vec<Network> {
    let mut ways = vec![Network::epoll().unwrap()];
    match Network::try_ring() {
        Ok(()) => ways.push(Network::ring().unwrap()),
        Err(why) => println!("without io_uring: {why}"),
    }
    ways
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// The next datagram of the one socket that is watched, by its token.
fn next(network: &mut Network, socket: &UdpSocket, inbox: &mut Inbox) -> Option<u64> {
    for _ in 0..100 {
        if let Some(token) = network.next(inbox) {
            assert!(network.read(socket, inbox));
            return Some(token);
        }
        network.wait(Duration::from_millis(50));
    }
    None
}

#[test]
fn datagrams_go_and_come_with_their_addresses() {
    for mut network in ways() {
        let (a, b, wake) = (socket(), socket(), Wake::new().unwrap());
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let mut inbox = Inbox::new();
        network.begin(&wake).unwrap();
        // More than lie in slots at once.
        let sent: Vec<Vec<u8>> = (0..300u16).map(|i| vec![i as u8; 100 + usize::from(i)]).collect();
        for bunch in sent.chunks(30) {
            bunch.iter().for_each(|bytes| network.send(a.as_fd(), to, bytes));
            network.wait(Duration::ZERO);
            let came = bunch.iter().map(|_| {
                assert!(inbox.receive(b.as_fd()));
                inbox.get().map(|(f, d)| (f, d.buffer[..d.length].to_vec()))
            });
            assert!(came.eq(bunch.iter().map(|bytes| Some((from, bytes.clone())))));
        }
        a.send_to(&[7; 3], to).unwrap();
        network.watch(&b, 7).unwrap();
        a.send_to(&[9; LONGEST + 1], to).unwrap();
        a.send_to(&[8; LONGEST], to).unwrap();
        assert_eq!(next(&mut network, &b, &mut inbox), Some(7));
        assert_eq!(inbox.get().map(|(f, d)| (f, d.buffer[..d.length].to_vec())), Some((from, vec![7; 3])));
        assert_eq!(next(&mut network, &b, &mut inbox), Some(7));
        assert!(inbox.get().is_none(), "cut, so dropped");
        assert_eq!(next(&mut network, &b, &mut inbox), Some(7));
        assert_eq!(inbox.get().map(|(_, d)| d.length), Some(LONGEST));
        assert_eq!(inbox.part(LONGEST - 1, 1), [8]);
        assert_eq!((inbox.part(LONGEST, ROOM + 1), inbox.part(usize::MAX, 2)), (&[][..], &[][..]));
        network.send(a.as_fd(), "[::1]:9".parse().unwrap(), &[1]);
        network.wait(Duration::ZERO);
        assert_eq!(network.tally(), Tally { sent: 300, dropped: 1 }, "no way from one family to the other");
        assert_eq!(network.tally(), Tally::default());
        network.unwatch(&b, 7);
    }
}

#[test]
fn what_more_than_fills_the_buffers_comes_in_order_and_whole() {
    for mut network in ways() {
        let (a, b, wake) = (socket(), socket(), Wake::new().unwrap());
        let mut inbox = Inbox::new();
        network.begin(&wake).unwrap();
        network.watch(&b, 1).unwrap();
        socket2::SockRef::from(&b).set_recv_buffer_size(8 << 20).unwrap();
        // In bunches that a socket has room for, all of them before the first is looked at.
        let (mut given, mut taken) = (0u32, 0u32);
        for _ in 0..30 {
            for _ in 0..50 {
                a.send_to(&given.to_be_bytes(), b.local_addr().unwrap()).unwrap();
                given += 1;
            }
            network.wait(Duration::from_millis(1));
        }
        while taken < given {
            assert_eq!(next(&mut network, &b, &mut inbox), Some(1), "{taken} of {given}");
            assert_eq!(inbox.get().map(|(_, d)| d.buffer[..d.length].to_vec()), Some(taken.to_be_bytes().to_vec()));
            taken += 1;
        }
    }
}

#[test]
fn a_socket_that_is_let_go_of_can_be_read_elsewhere_and_loses_nothing() {
    for (mut first, mut second) in ways().into_iter().zip(ways()) {
        let (a, b) = (socket(), socket());
        let (mut inbox, wake) = (Inbox::new(), Wake::new().unwrap());
        first.begin(&wake).unwrap();
        second.begin(&wake).unwrap();
        first.watch(&b, 1).unwrap();
        let to = b.local_addr().unwrap();
        let mut came = Vec::new();
        a.send_to(&[0], to).unwrap();
        first.unwatch(&b, 1);
        a.send_to(&[1], to).unwrap();
        while first.next(&mut inbox).is_some() {
            came.extend(inbox.get().map(|(_, d)| d.buffer[0]));
        }
        second.watch(&b, 2).unwrap();
        while came.len() < 2 {
            assert_eq!(next(&mut second, &b, &mut inbox), Some(2));
            came.extend(inbox.get().map(|(_, d)| d.buffer[0]));
        }
        assert_eq!(came, [0, 1]);
        // Its port is free as soon as it is let go of.
        second.unwatch(&b, 2);
        drop(b);
        UdpSocket::bind(to).unwrap();
    }
}

#[test]
fn a_wait_ends_by_waking_or_by_time_on_an_old_kernel_too() {
    let mut epoll = Epoll::new().unwrap();
    epoll.coarse = true;
    let coarse = Network { way: Way::Epoll(epoll), ..Network::epoll().unwrap() };
    for network in ways().into_iter().chain([coarse]) {
        ends_by_waking_or_by_time(network);
    }
}

fn ends_by_waking_or_by_time(mut network: Network) {
    let (wake, mut inbox) = (Wake::new().unwrap(), Inbox::new());
    network.begin(&wake).unwrap();
    network.wait(Duration::from_micros(300));
    assert!(network.next(&mut inbox).is_none() && !network.woken());
    for _ in 0..2 {
        wake.wake();
        wake.wake();
        network.wait(Duration::from_secs(60));
        assert!(network.next(&mut inbox).is_none() && network.woken());
        wake.clear();
        network.wait(Duration::ZERO);
        assert!(network.next(&mut inbox).is_none() && !network.woken());
    }
}
