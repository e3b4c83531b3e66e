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
        // More than can be under way at once, before there is a wait.
        let others: Vec<UdpSocket> = (0..10).map(|_| socket()).collect();
        for n in 0..300u16 {
            network.send(a.as_fd(), others[usize::from(n) % 10].local_addr().unwrap(), &n.to_be_bytes().repeat(50));
        }
        network.wait(Duration::ZERO);
        for n in 0..300u16 {
            assert!(inbox.receive(others[usize::from(n) % 10].as_fd()));
            assert_eq!(inbox.get().map(|(f, d)| (f, d.buffer[..d.length].to_vec())), Some((from, n.to_be_bytes().repeat(50))));
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
    const SOCKETS: usize = 50;
    const EACH: u16 = 40;
    for mut network in ways() {
        let (a, wake, mut inbox) = (socket(), Wake::new().unwrap(), Inbox::new());
        let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| socket()).collect();
        for socket in &sockets {
            let to = socket.local_addr().unwrap();
            for n in 0..EACH {
                a.send_to(&n.to_be_bytes(), to).unwrap();
            }
        }
        network.begin(&wake).unwrap();
        sockets.iter().enumerate().for_each(|(token, socket)| network.watch(socket, token as u64).unwrap());
        let mut came = vec![0; SOCKETS];
        for _ in 0..10_000 {
            network.wait(Duration::from_millis(1));
            while let Some(token) = network.next(&mut inbox) {
                let at = token as usize;
                assert!(network.read(&sockets[at], &mut inbox));
                assert_eq!(inbox.get().map(|(_, d)| d.buffer[..d.length].to_vec()), Some(u16::to_be_bytes(came[at]).to_vec()));
                came[at] += 1;
            }
            if came.iter().all(|n| *n == EACH) {
                break;
            }
        }
        assert_eq!(came, [EACH; SOCKETS]);
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
