//! The system calls that the standard library has not: epoll, eventfd, recvmmsg, sendmmsg, the limit of open files.
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

/// Datagrams of one receiving call. A leg sends one every 20 ms; more are there only after a stall.
pub const BATCH: usize = 8;
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

/// Room for the datagrams of one receiving call.
pub struct Inbox {
    bytes: Box<[[u8; LONGEST + ROOM]; BATCH]>,
    from: [Option<SocketAddr>; BATCH],
    lengths: [usize; BATCH],
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox { bytes: Box::new([[0; LONGEST + ROOM]; BATCH]), from: [None; BATCH], lengths: [0; BATCH] }
    }

    /// Reads what has come, at most [`BATCH`] datagrams; how many there are now.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> usize {
        // SAFETY: all-zero bytes are valid values of these plain C structs.
        let mut names: [libc::sockaddr_storage; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: as above; null pointers and zero lengths.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        for i in 0..BATCH {
            parts[i] = libc::iovec { iov_base: self.bytes[i].as_mut_ptr().cast(), iov_len: LONGEST };
            messages[i].msg_hdr.msg_name = (&raw mut names[i]).cast();
            messages[i].msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            messages[i].msg_hdr.msg_iov = &raw mut parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each header points to a name, one part and a buffer of this function's and `self`'s, with their lengths; none moves
        // before the call returns. The timeout is null.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let n = usize::try_from(n).unwrap_or(0).min(BATCH);
        for i in 0..n {
            let whole = messages[i].msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            self.from[i] = address(&names[i]).filter(|_| whole);
            self.lengths[i] = (messages[i].msg_len as usize).min(LONGEST);
        }
        n
    }

    /// The `i`th datagram of the last call; `None` if it was cut.
    pub fn get(&mut self, i: usize) -> Option<(SocketAddr, Datagram<'_>)> {
        let from = (*self.from.get(i)?)?;
        Some((from, Datagram { buffer: &mut self.bytes[i][..], length: self.lengths[i] }))
    }

    /// Part of the `i`th datagram's buffer, as the worker left it.
    pub fn part(&self, i: usize, start: usize, len: usize) -> &[u8] {
        self.bytes.get(i).and_then(|b| b.get(start..start + len)).unwrap_or_default()
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

/// A datagram to send.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    pub to: SocketAddr,
    pub bytes: &'a [u8],
}

/// Sends datagrams from one socket in one call, at most [`BATCH`]; how many the kernel took.
pub fn send(socket: BorrowedFd<'_>, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
    let count = datagrams.len().min(BATCH);
    let mut names: [Option<socket2::SockAddr>; BATCH] = [const { None }; BATCH];
    // SAFETY: all-zero bytes are valid values of this plain C struct.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    for (i, datagram) in datagrams.iter().take(count).enumerate() {
        let name = names[i].insert(datagram.to.into());
        parts[i] = libc::iovec { iov_base: datagram.bytes.as_ptr().cast_mut().cast(), iov_len: datagram.bytes.len() };
        messages[i].msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
        messages[i].msg_hdr.msg_namelen = name.len();
        messages[i].msg_hdr.msg_iov = &raw mut parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: each of the `count` headers points to a name and one part of this function's and to bytes that the caller lends, with
    // their lengths; sending only reads them, though the C structs have no const pointers.
    let n = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count as libc::c_uint, libc::MSG_DONTWAIT as _) };
    Ok(usize::try_from(check(n)?).unwrap_or(0))
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
    fn datagrams_go_and_come_in_batches_with_their_addresses() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = b.local_addr().unwrap();
        let sent: Vec<Vec<u8>> = (0..5u8).map(|i| vec![i; 100 + usize::from(i)]).collect();
        let datagrams: Vec<_> = sent.iter().map(|bytes| Outgoing { to, bytes }).collect();
        assert_eq!(send(a.as_fd(), &datagrams).unwrap(), 5);
        a.send_to(&[9; LONGEST + 1], to).unwrap();
        let mut poll = Poll::new().unwrap();
        poll.add(&b, 7).unwrap();
        assert_eq!(poll.wait(Some(Duration::from_secs(5))).collect::<Vec<_>>(), [7]);
        let mut inbox = Inbox::new();
        assert_eq!(inbox.receive(b.as_fd()), 6);
        for (i, bytes) in sent.iter().enumerate() {
            assert_eq!(
                inbox.get(i).map(|(f, d)| (f, d.buffer[..d.length].to_vec())),
                Some((a.local_addr().unwrap(), bytes.clone()))
            );
        }
        assert!(inbox.get(5).is_none(), "cut, so dropped");
        assert_eq!(inbox.part(1, 99, 2), [1, 1]);
        assert_eq!(inbox.receive(b.as_fd()), 0);
        assert_eq!((inbox.part(0, LONGEST, ROOM + 1), inbox.part(8, 0, 1)), (&[][..], &[][..]));
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
