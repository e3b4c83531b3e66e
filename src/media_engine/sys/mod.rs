//! The system calls that the standard library has not: datagrams by epoll or by io_uring, eventfd, the limit of open files.
//!
//! [`Network`] is what a worker's thread knows: sockets are watched under tokens, a wait brings tokens of sockets that have a datagram,
//! and datagrams go out. With io_uring what goes out is handed over by the next wait at the latest.
//!
//! `unsafe` is allowed here. Each block says why it is sound; the rule they share: every pointer that is
//! handed to the kernel points into a value that is borrowed for the whole call, with the length that the value has (`ring` says what
//! holds beyond a call), and file descriptors are owned (`OwnedFd`) or borrowed (`BorrowedFd`) so that none is closed while it is used.

mod epoll;
mod ring;

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::media::Datagram;

use epoll::Epoll;
use ring::Ring;

/// Names the wake-up. Tokens of sockets are below 2^62.
const WAKE: u64 = u64::MAX;
/// Longest datagram; what is longer is cut, and dropped as cut.
pub const LONGEST: usize = 1_600;
/// Room behind a datagram, for what encryption adds.
const ROOM: usize = 32;
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Datagrams that went out since somebody asked, and those that the kernel had no room for, or no way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub sent: u64,
    pub dropped: u64,
}

impl Tally {
    fn add(&mut self, is_sent: bool) {
        let count = if is_sent { &mut self.sent } else { &mut self.dropped };
        *count += 1;
    }
}

/// Why io_uring is not to be had here.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the kernel or the sandbox refuses it: {0}")]
    Call(#[from] io::Error),
    #[error("a datagram that was sent to ourselves by it did not come")]
    Lost,
}

/// What a thread reads and writes its sockets by.
pub struct Network {
    way: Way,
    woken: bool,
    tally: Tally,
}

enum Way {
    Epoll(Epoll),
    Ring(Box<Ring>),
}

impl Network {
    pub fn epoll() -> io::Result<Network> {
        Ok(Network { way: Way::Epoll(Epoll::new()?), woken: false, tally: Tally::default() })
    }

    pub fn ring() -> io::Result<Network> {
        Ok(Network { way: Way::Ring(Box::new(Ring::new()?)), woken: false, tally: Tally::default() })
    }

    /// Whether io_uring does all that is needed here: a datagram is sent and comes.
    pub fn try_ring() -> Result<(), Refused> {
        // On a thread of its own: what is left of a ring interrupts calls of the thread that had it.
        std::thread::Builder::new().spawn(Network::try_ring_here)?.join().unwrap_or(Err(Refused::Lost))
    }

    fn try_ring_here() -> Result<(), Refused> {
        let mut network = Network::ring()?;
        network.begin(&Wake::new()?)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let own = socket.local_addr()?;
        network.watch(&socket, 0)?;
        network.send(socket.as_fd(), own, b"io_uring");
        let mut inbox = Inbox::new();
        for _ in 0..10 {
            network.wait(Duration::from_millis(50));
            while network.next(&mut inbox).is_some() {
                if inbox.get().is_some_and(|(from, datagram)| from == own && datagram.buffer.starts_with(b"io_uring")) {
                    network.unwatch(&socket, 0);
                    return Ok(());
                }
            }
        }
        Err(Refused::Lost)
    }

    /// From here on it is this thread's; `wake` ends its waits.
    pub fn begin(&mut self, wake: &Wake) -> io::Result<()> {
        match &mut self.way {
            Way::Epoll(epoll) => epoll.watch(wake, WAKE),
            Way::Ring(ring) => ring.begin(wake.as_fd()),
        }
    }

    /// Datagrams of a socket come from here on, under a token that no other socket has had shortly before.
    pub fn watch(&mut self, socket: impl AsFd, token: u64) -> io::Result<()> {
        match &mut self.way {
            Way::Epoll(epoll) => epoll.watch(socket, token),
            Way::Ring(ring) => ring.watch(socket.as_fd(), token),
        }
    }

    /// No more of this socket, which stays open. What has come until now may still be among what [`Network::next`] gives.
    pub fn unwatch(&mut self, socket: impl AsFd, token: u64) {
        match &mut self.way {
            // It was watched; were it not, there would be nothing to end.
            Way::Epoll(epoll) => drop(epoll.unwatch(socket)),
            Way::Ring(ring) => ring.unwatch(token),
        }
    }

    /// Waits for a datagram or to be woken, at most for `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        match &mut self.way {
            Way::Epoll(epoll) => epoll.wait(timeout),
            Way::Ring(ring) => ring.wait(timeout),
        }
    }

    /// The token of a socket that has a datagram: to be [`read`](Network::read) before the next one is asked for.
    pub fn next(&mut self, inbox: &mut Inbox) -> Option<u64> {
        match &mut self.way {
            Way::Epoll(epoll) => {
                let mut next = epoll.next();
                if next == Some(WAKE) {
                    self.woken = true;
                    next = epoll.next();
                }
                next
            }
            Way::Ring(ring) => ring.next(inbox),
        }
    }

    /// Though [`Network::next`] gives none, there are datagrams that the last wait had no room for.
    pub fn has_more(&self) -> bool {
        match &self.way {
            Way::Epoll(epoll) => epoll.was_full,
            Way::Ring(ring) => ring.has_idle(),
        }
    }

    /// The datagram is in the inbox; `false`: there is none after all.
    pub fn read(&self, socket: impl AsFd, inbox: &mut Inbox) -> bool {
        match &self.way {
            Way::Epoll(_) => inbox.receive(socket.as_fd()),
            Way::Ring(_) => true,
        }
    }

    /// It was woken since somebody asked.
    pub fn woken(&mut self) -> bool {
        let woken = match &mut self.way {
            Way::Epoll(_) => &mut self.woken,
            Way::Ring(ring) => &mut ring.woken,
        };
        std::mem::take(woken)
    }

    pub fn send(&mut self, socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) {
        match &mut self.way {
            Way::Epoll(_) => self.tally.add(send(socket, to, bytes)),
            Way::Ring(ring) => ring.send(socket, to, bytes),
        }
    }

    pub fn tally(&mut self) -> Tally {
        let tally = match &mut self.way {
            Way::Epoll(_) => &mut self.tally,
            Way::Ring(ring) => &mut ring.tally,
        };
        std::mem::take(tally)
    }
}

/// A counter that wakes a [`Network`].
pub struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: takes no pointer; the descriptor it returns is new, and owned from here on.
        Ok(Wake(unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?) }))
    }

    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: reads 8 bytes of `one`. It fails only when the counter is full, and then the other side is awake already.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: writes at most 8 bytes into `count`. It fails only when nobody woke us.
        let _ = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Room for a datagram.
pub struct Inbox {
    bytes: Box<[u8; LONGEST + ROOM]>,
    from: Option<SocketAddr>,
    length: usize,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox { bytes: Box::new([0; LONGEST + ROOM]), from: None, length: 0 }
    }

    /// Reads the next datagram of a socket; `false`: there is none.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> bool {
        // SAFETY: all-zero bytes are a valid value of this plain C struct.
        let mut name: libc::sockaddr_storage = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut name_length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        // SAFETY: the buffer is writable for LONGEST bytes, the name for the length that is said with it; both outlive the call.
        let n = unsafe {
            libc::recvfrom(
                socket.as_raw_fd(),
                self.bytes.as_mut_ptr().cast(),
                LONGEST,
                // With MSG_TRUNC it tells how long the datagram was, not how much of it fitted.
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                (&raw mut name).cast(),
                &raw mut name_length,
            )
        };
        let Ok(length) = usize::try_from(n) else { return false };
        self.from = address(&name).filter(|_| length <= LONGEST);
        self.length = length.min(LONGEST);
        true
    }

    /// A datagram that was read already, with its sender as the kernel writes it; `None`: it was cut.
    fn put(&mut self, name: &[u8], datagram: Option<&[u8]>) {
        self.from = None;
        self.length = 0;
        // SAFETY: all-zero bytes are a valid value of this plain C struct.
        let mut storage: libc::sockaddr_storage = unsafe { MaybeUninit::zeroed().assume_init() };
        let length = name.len().min(size_of::<libc::sockaddr_storage>());
        // SAFETY: both are valid for `length` bytes, and any bytes are a valid storage.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), (&raw mut storage).cast(), length) };
        if let Some(datagram) = datagram.filter(|datagram| datagram.len() <= LONGEST) {
            self.bytes[..datagram.len()].copy_from_slice(datagram);
            self.length = datagram.len();
            self.from = address(&storage);
        }
    }

    /// The datagram that was read last; `None` if it was cut.
    pub fn get(&mut self) -> Option<(SocketAddr, Datagram<'_>)> {
        Some((self.from?, Datagram { buffer: &mut self.bytes[..], length: self.length }))
    }

    /// Part of its buffer, as the worker left it.
    pub fn part(&self, start: usize, length: usize) -> &[u8] {
        start.checked_add(length).and_then(|end| self.bytes.get(start..end)).unwrap_or_default()
    }
}

/// An IPv4 address in IPv6 clothes is undressed: descriptions name it bare.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote a `sockaddr_in` where the family is AF_INET; the storage is large enough and aligned for it.
            let v4 = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: likewise a `sockaddr_in6`.
            let v6 = unsafe { &*std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
            Some(match ip.to_ipv4_mapped() {
                Some(ip) => SocketAddrV4::new(ip, port).into(),
                None => SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}

/// Sends a datagram; `false`: the kernel had no room for it, or no way.
fn send(socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) -> bool {
    let name = socket2::SockAddr::from(to);
    // SAFETY: bytes and name are readable for the lengths that are said with them, and outlive the call, which only reads them.
    let n = unsafe {
        libc::sendto(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT, name.as_ptr().cast(), name.len())
    };
    usize::try_from(n).is_ok()
}

/// Lets the process open as many files as it may: each leg has two sockets, and the usual soft limit of 1,024 is 400 legs.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable, and readable in the second call. Failing leaves the limit as it was.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            let _ = libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

#[cfg(test)]
mod tests;
