//! The things that safe wrappers do not give: letting the IP layer cut long datagrams, watching a socket for some of what may happen to it,
//! and reading a buffer that the kernel filled.
//!
//! `quinn-udp` forbids fragments, because QUIC probes the path itself. SIP does not: a 200 to an INVITE with a long route set, or a
//! request to a peer without TCP, may exceed the path's MTU and has to arrive all the same (RFC 3261 §18.1.1).

#![allow(unsafe_code, reason = "setsockopt, AsyncFd and MaybeUninit, each with its reason below")]

use std::io;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// To be called after `UdpSocketState::new`, which sets the opposite.
pub fn allow_fragments(socket: &impl AsFd, is_v4: bool) -> io::Result<()> {
    // An IPv6 socket has the IPv4 option too (for mapped addresses, which ours has none of).
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
    if !is_v4 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0)?;
    }
    Ok(())
}

fn set(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, because it is borrowed; the pointer is to a c_int that outlives the call, and `length` is its size;
    // the kernel copies it and keeps nothing.
    let done = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, std::ptr::from_ref(&value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket of which the runtime tells some of what happens to it.
pub struct Watched(AsyncFd<UdpSocket>);

impl Watched {
    /// Tells of `interest`, and of nothing else.
    pub fn new(socket: UdpSocket, interest: Interest) -> io::Result<Watched> {
        // SAFETY: the socket owns its descriptor, names the same one each time that it is asked, and closes it only when it is dropped;
        // the watch owns the socket and ends before it, and nobody can put another in its place: it is lent for reading only.
        unsafe { AsyncFd::register_with_interest(socket, interest) }.map(Watched).map_err(io::Error::from)
    }

    pub fn socket(&self) -> &UdpSocket {
        self.0.get_ref()
    }

    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, UdpSocket>> {
        self.0.ready(interest).await
    }
}

/// A buffer for `recvmsg`, zeroed, in the type that `socket2` wants.
pub struct Octets<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> Octets<N> {
    pub fn zeroed() -> Self {
        Octets([MaybeUninit::new(0); N])
    }

    pub fn for_kernel(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }

    /// The first `length` of them.
    pub fn read(&self, length: usize) -> Vec<u8> {
        // SAFETY: `zeroed` wrote every octet; of what `for_kernel` hands out, `recvmsg` writes whole octets and makes none undefined.
        self.0.iter().take(length).map(|octet| unsafe { octet.assume_init() }).collect()
    }
}
