//! epoll, and a system call a datagram: what every kernel and every sandbox has.
//!
//! A datagram is one call in and one out. A leg sends one every 20 ms, so a call for many (recvmmsg) finds one, and looks for the second
//! in vain; what a stall has piled up comes with the next rounds, a datagram of each socket in turn.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::check;

/// Events of one wait.
const EVENTS: usize = 128;

/// The kernel does not know the call, or a sandbox that is older than the call does not let it through.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// An epoll instance with room for the events of one wait. Level-triggered: what is not read now comes again.
pub struct Epoll {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event; EVENTS]>,
    /// Of the last wait, those that have not been taken.
    left: std::ops::Range<usize>,
    /// It had no room for more.
    pub(super) was_full: bool,
    /// The kernel is older than 5.11, or somebody between us and it does not know the call: waits are as fine as `epoll_wait` has them.
    pub(super) coarse: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointer; the descriptor it returns is new, and owned from here on.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Epoll {
            epoll,
            events: Box::new([libc::epoll_event { events: 0, u64: 0 }; EVENTS]),
            left: 0..0,
            was_full: false,
            coarse: false,
        })
    }

    /// Watches a descriptor for input; `token` names it. Closing it ends the watch.
    pub fn watch(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: both descriptors are open for the call (owned, borrowed); the kernel copies `event` before it returns.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// No more of this descriptor, which stays open.
    pub fn unwatch(&self, fd: impl AsFd) -> io::Result<()> {
        // SAFETY: both descriptors are open for the call (owned, borrowed); no event is read for a removal (Linux 2.6.9 and later).
        check(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_fd().as_raw_fd(), std::ptr::null_mut())
        })?;
        Ok(())
    }

    /// Waits for input, at most for `timeout` (to the microsecond, where the kernel can).
    pub fn wait(&mut self, timeout: Duration) {
        let mut n = if self.coarse { self.wait_coarsely(timeout) } else { self.wait_finely(timeout) };
        if !self.coarse && n.as_ref().is_err_and(is_unknown) {
            self.coarse = true;
            n = self.wait_coarsely(timeout);
        }
        // A signal interrupted it, or nothing came: either way the caller looks at its clock again.
        self.left = 0..n.unwrap_or(0).min(EVENTS);
        self.was_full = self.left.end == EVENTS;
    }

    /// The next one that has input, of the last wait.
    pub fn next(&mut self) -> Option<u64> {
        self.left.next().map(|at| self.events[at].u64)
    }

    fn wait_finely(&mut self, timeout: Duration) -> io::Result<usize> {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        // SAFETY: `events` is writable for EVENTS entries; `limit` lives until the end of this function; the signal mask is null
        // (none), so its size is not looked at.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as libc::c_int,
                &raw const limit,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    /// To the millisecond, rounded up: a wait that ends early would only be made again.
    fn wait_coarsely(&mut self, timeout: Duration) -> io::Result<usize> {
        let limit = libc::c_int::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(libc::c_int::MAX);
        // SAFETY: `events` is writable for EVENTS entries.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS as libc::c_int, limit) };
        Ok(usize::try_from(check(n)?).unwrap_or(0))
    }
}
