//! The system calls that the standard library has not: epoll, eventfd, receiving and sending that never wait, the limit of open files.
//!
//! A datagram is one call in and one out. A leg sends one every 20 ms, so a call for many (recvmmsg) finds one, and looks for the second
//! in vain; what a stall has piled up comes with the next rounds, a datagram of each socket in turn.
//!
//! The one module of the crate that is allowed `unsafe`. Each block says why it is sound; the rule they share: every pointer that is
//! handed to the kernel points into a value that is borrowed for the whole call, with the length that the value has, and file
//! descriptors are owned (`OwnedFd`) or borrowed (`BorrowedFd`) so that none is closed while it is used.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::media::Datagram;

/// Longest datagram; what is longer is cut, and dropped as cut.
pub const LONGEST: usize = 1_600;
/// Room behind a datagram, for what encryption adds.
const ROOM: usize = 32;
/// Events of one wait.
const EVENTS: usize = 128;

/// The kernel does not know the call, or a sandbox that is older than the call does not let it through.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// An epoll instance with room for the events of one wait. Level-triggered: what is not read now comes again.
pub struct Poll {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event; EVENTS]>,
    /// The kernel is older than 5.11, or somebody between us and it does not know the call: waits are as fine as `epoll_wait` has them.
    coarse: bool,
}

impl Poll {
    pub fn new() -> io::Result<Poll> {
        // SAFETY: takes no pointer; the descriptor it returns is new, and owned from here on.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Poll { epoll, events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]), coarse: false })
    }

    /// Watches a descriptor for input; `token` names it. Closing it ends the watch.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: both descriptors are open for the call (owned, borrowed); the kernel copies `event` before it returns.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// No more of this descriptor, which stays open.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        // SAFETY: both descriptors are open for the call (owned, borrowed); no event is read for a removal (Linux 2.6.9 and later).
        check(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_fd().as_raw_fd(), std::ptr::null_mut())
        })?;
        Ok(())
    }

    /// Waits for input, at most for `timeout` (to the microsecond, where the kernel can). The tokens that have some.
    pub fn wait(&mut self, timeout: Option<Duration>) -> impl Iterator<Item = u64> + use<> {
        let mut n = if self.coarse { self.wait_coarsely(timeout) } else { self.wait_finely(timeout) };
        if !self.coarse && n.as_ref().is_err_and(is_unknown) {
            self.coarse = true;
            n = self.wait_coarsely(timeout);
        }
        // A signal interrupted it, or nothing came: either way the caller looks at its clock again.
        let n = n.unwrap_or(0).min(EVENTS);
        let mut tokens = [0; EVENTS];
        for (token, event) in tokens.iter_mut().zip(&self.events[..n]) {
            *token = event.u64;
        }
        tokens.into_iter().take(n)
    }

    fn wait_finely(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let limit = timeout.map(|t| libc::timespec {
            tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(t.subsec_nanos() as i32),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), |l| l as *const libc::timespec);
        // SAFETY: `events` is writable for EVENTS entries; `limit` is null or points to a value that lives until the end of this
        // function; the signal mask is null (none), so its size is not looked at.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as libc::c_int,
                limit,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    /// To the millisecond, rounded up: a wait that ends early would only be made again.
    fn wait_coarsely(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let limit = timeout.map_or(-1, |t| libc::c_int::try_from(t.as_micros().div_ceil(1_000)).unwrap_or(libc::c_int::MAX));
        // SAFETY: `events` is writable for EVENTS entries.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as libc::c_int, limit) };
        Ok(usize::try_from(check(n)?).unwrap_or(0))
    }
}

/// A counter that wakes a [`Poll`].
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
pub fn send(socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) -> bool {
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
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn datagrams_go_and_come_with_their_addresses() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        let sent: Vec<Vec<u8>> = (0..3u8).map(|i| vec![i; 100 + usize::from(i)]).collect();
        assert!(sent.iter().all(|bytes| send(a.as_fd(), to, bytes)));
        a.send_to(&[9; LONGEST + 1], to).unwrap();
        a.send_to(&[8; LONGEST], to).unwrap();
        let mut poll = Poll::new().unwrap();
        poll.add(&b, 7).unwrap();
        let mut inbox = Inbox::new();
        for bytes in &sent {
            assert_eq!(poll.wait(Some(Duration::from_secs(5))).collect::<Vec<_>>(), [7]);
            assert!(inbox.receive(b.as_fd()));
            assert_eq!(inbox.get().map(|(f, d)| (f, d.buffer[..d.length].to_vec())), Some((from, bytes.clone())));
        }
        assert!(inbox.receive(b.as_fd()));
        assert!(inbox.get().is_none(), "cut, so dropped");
        assert!(inbox.receive(b.as_fd()));
        assert_eq!(inbox.get().map(|(_, d)| d.length), Some(LONGEST));
        assert_eq!(inbox.part(LONGEST - 1, 1), [8]);
        assert!(!inbox.receive(b.as_fd()));
        assert_eq!((inbox.part(LONGEST, ROOM + 1), inbox.part(usize::MAX, 2)), (&[][..], &[][..]));
        assert!(!send(a.as_fd(), "[::1]:9".parse().unwrap(), &[1]), "no way from one family to the other");
    }

    #[test]
    fn a_wait_ends_by_waking_or_by_time_on_an_old_kernel_too() {
        for coarse in [false, true] {
            ends_by_waking_or_by_time(Poll { coarse, ..Poll::new().unwrap() });
        }
    }

    fn ends_by_waking_or_by_time(mut poll: Poll) {
        let wake = Wake::new().unwrap();
        poll.add(&wake, 1).unwrap();
        assert_eq!(poll.wait(Some(Duration::from_micros(300))).count(), 0);
        wake.wake();
        wake.wake();
        assert_eq!(poll.wait(None).collect::<Vec<_>>(), [1]);
        wake.clear();
        assert_eq!(poll.wait(Some(Duration::ZERO)).count(), 0);
    }
}
