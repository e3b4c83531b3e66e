//! io_uring (Linux 6.1 and later, where a sandbox lets it through): datagrams come without a call for each, and those that go out are
//! handed to the kernel many at once, together with the next wait.
//!
//! Each watched socket has one multishot request, which the kernel answers for every datagram with a buffer of a common pool; the buffer
//! goes back as soon as the datagram is copied out. A datagram that goes out lies in a slot of its own until the kernel has told that it
//! is done with it.
//!
//! Every pointer that is handed to the kernel points into one of two blocks of memory ([`Pool`], [`Slots`]) or at the boxed `name`, which
//! is read when a request is handed over and not later. The blocks live as long as the ring, and are let go of only when no request is
//! under way any more ([`Drop`]). What the kernel may write to, the pool, is read only in the one buffer that it has just given back.
//! Whoever owns sockets that are watched or sent by has them longer than the ring, or takes them off it ([`Ring::unwatch`]) before they
//! are closed: requests know descriptors by number.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::SockAddr;

use super::{Inbox, LONGEST, ROOM, Tally, WAKE, send};

/// Datagrams that may have come and not be looked at yet; more stay with their sockets. A power of two.
const BUFFERS: u16 = 1_024;
/// A datagram with what io_uring writes before it: the header of `recvmsg`, 16 bytes, and the sender's address.
const BUFFER: usize = 1_664;
const GROUP: u16 = 0;
/// Datagrams that go out at once at most; they are handed over in bunches, so that the first of a busy round does not wait for its last.
const SLOTS: usize = 256;
const BUNCH: usize = 32;
/// Requests that can be queued before the kernel is called.
const QUEUE: u32 = 512;
/// More than there can be buffers and slots; what the rest does not fit in, ends of requests, the kernel keeps until there is room.
const COMPLETIONS: u32 = 4_096;
/// Marks the completions of what has gone out, and of the end of a watch; tokens of watches are smaller.
const SENT: u64 = 1 << 62;
const ENDED: u64 = 1 << 63;
/// The end of a watch takes one call, or two. Longer than this it cannot be waited for.
const ATTEMPTS: usize = 100;
const PATIENCE: Duration = Duration::from_millis(10);
/// A socket that cannot be read is asked again after so long, or with what comes of the others.
const AFTER_TROUBLE: Duration = Duration::from_millis(1);

const _: () = assert!(BUFFER > 16 + size_of::<libc::sockaddr_in6>() + LONGEST && BUFFERS.is_power_of_two());

/// Buffers for datagrams that come, with the ring in which they are offered to the kernel.
struct Pool {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    tail: u16,
}

impl Pool {
    const ENTRIES: usize = BUFFERS as usize * size_of::<BufRingEntry>();

    /// The kernel wants the ring to begin on a page; the largest there are have 64 KB.
    fn layout() -> Option<Layout> {
        Layout::from_size_align(Pool::ENTRIES + BUFFERS as usize * BUFFER, 65_536).ok()
    }

    fn new() -> Option<Pool> {
        let layout = Pool::layout()?;
        // SAFETY: the layout is not empty.
        let entries = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: inside the block.
        let bytes = unsafe { entries.add(Pool::ENTRIES) };
        let mut pool = Pool { entries: entries.cast(), bytes, tail: 0 };
        (0..BUFFERS).for_each(|id| pool.give(id));
        Some(pool)
    }

    fn buffer(&self, id: u16) -> NonNull<u8> {
        // SAFETY: inside the block, since ids are below BUFFERS.
        unsafe { self.bytes.add(usize::from(id % BUFFERS) * BUFFER) }
    }

    /// The kernel may write to it from here on.
    fn give(&mut self, id: u16) {
        let at = usize::from(self.tail % BUFFERS);
        // SAFETY: inside the ring; the kernel reads no entry at or behind the tail. Zeroes are a valid entry.
        let entry = unsafe { self.entries.add(at).as_mut() };
        entry.set_addr(self.buffer(id).as_ptr() as u64);
        entry.set_len(BUFFER as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, in a field that `set_*` leave alone; it is aligned, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    /// What the kernel has written to a buffer that is not given back yet.
    fn written(&self, id: u16, length: usize) -> &[u8] {
        // SAFETY: inside the block and initialized (zeroed, or written by the kernel), and the kernel has done with it until it is given
        // again, for which `self` has to be borrowed mutably.
        unsafe { std::slice::from_raw_parts(self.buffer(id).as_ptr(), length.min(BUFFER)) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(layout) = Pool::layout() {
            // SAFETY: allocated with this layout; the ring lets go of it only when the kernel has ([`Ring`]'s `Drop`).
            unsafe { dealloc(self.entries.as_ptr().cast(), layout) };
        }
    }
}

/// Datagrams on their way out.
struct Slots {
    slots: NonNull<OutSlot>,
    free: Vec<u16>,
}

struct OutSlot {
    bytes: [u8; LONGEST + ROOM],
    name: libc::sockaddr_storage,
}

impl Slots {
    fn new() -> Option<Slots> {
        let layout = Layout::array::<OutSlot>(SLOTS).ok()?;
        // SAFETY: the layout is not empty.
        let slots = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Some(Slots { slots: slots.cast(), free: (0..SLOTS as u16).collect() })
    }

    /// A datagram is laid into a free slot; the slot and a request to send it.
    fn fill(&mut self, socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) -> Option<(u16, squeue::Entry)> {
        if bytes.len() > LONGEST + ROOM {
            return None;
        }
        let number = self.free.pop()?;
        // SAFETY: inside the block; zeroes are a valid slot. It was free: neither the kernel nor anybody else looks at it.
        let slot = unsafe { self.slots.add(usize::from(number)).as_mut() };
        slot.bytes[..bytes.len()].copy_from_slice(bytes);
        let name = SockAddr::from(to);
        // SAFETY: both are readable and writable for the length that the name has, at most a whole storage.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr().cast::<u8>(), (&raw mut slot.name).cast(), name.len() as usize) };
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), slot.bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr((&raw const slot.name).cast())
            .dest_addr_len(name.len())
            .build();
        Some((number, entry.user_data(SENT | u64::from(number))))
    }

    fn under_way(&self) -> usize {
        SLOTS.saturating_sub(self.free.len())
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if let Ok(layout) = Layout::array::<OutSlot>(SLOTS) {
            // SAFETY: allocated with this layout, and let go of by the kernel, as the pool. A slot has nothing to drop.
            unsafe { dealloc(self.slots.as_ptr().cast(), layout) };
        }
    }
}

/// A datagram that lies in a buffer of the pool.
struct Came {
    token: u64,
    buffer: u16,
    length: usize,
}

/// One thread's ring. It belongs to the thread that calls [`Ring::begin`].
pub struct Ring {
    ring: ManuallyDrop<IoUring>,
    pool: ManuallyDrop<Pool>,
    slots: ManuallyDrop<Slots>,
    /// How much of a sender's address a datagram comes with; read by the kernel when a request is queued.
    name: Box<libc::msghdr>,
    watched: BTreeMap<u64, RawFd>,
    /// Of these, whose request has come to its end (the pool was empty): they are asked for again with the next wait.
    idle: Vec<u64>,
    /// Requests that the kernel still answers.
    live: usize,
    ending: Option<u64>,
    /// The kernel has been told so, and has not said that it does not find the request: it was just being answered.
    cancelled: bool,
    came: VecDeque<Came>,
    pub woken: bool,
    /// A request has come to its end by an error that may come again at once.
    troubled: bool,
    pub tally: Tally,
}

// SAFETY: its pointers are into memory that it alone owns; nothing of it is bound to a thread before `begin`.
unsafe impl Send for Ring {}

impl Ring {
    pub fn new() -> io::Result<Ring> {
        let no_room = || io::Error::from(io::ErrorKind::OutOfMemory);
        let ring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .build(QUEUE)?;
        let (pool, slots) = (Pool::new().ok_or_else(no_room)?, Slots::new().ok_or_else(no_room)?);
        // SAFETY: the ring of buffers lives until this one is dropped, as the module says.
        unsafe { ring.submitter().register_buf_ring_with_flags(pool.entries.as_ptr() as u64, BUFFERS, GROUP, 0)? };
        // SAFETY: all-zero bytes are a valid value of this plain C struct.
        let mut name: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        name.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        Ok(Ring {
            ring: ManuallyDrop::new(ring),
            pool: ManuallyDrop::new(pool),
            slots: ManuallyDrop::new(slots),
            name,
            watched: BTreeMap::new(),
            idle: Vec::new(),
            live: 0,
            ending: None,
            cancelled: false,
            came: VecDeque::new(),
            woken: false,
            troubled: false,
            tally: Tally::default(),
        })
    }

    /// From here on it is this thread's; `wake` ends a wait.
    pub fn begin(&mut self, wake: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()?;
        self.watch(wake, WAKE)
    }

    /// Datagrams of a socket come from here on, under `token`; also those that wait already.
    pub fn watch(&mut self, socket: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.watched.insert(token, socket.as_raw_fd());
        if self.ask(token) {
            return Ok(());
        }
        self.watched.remove(&token);
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// No more of this socket. What has come of it until now is among what [`Ring::next`] gives; what was to go out by it has gone.
    pub fn unwatch(&mut self, token: u64) {
        self.submit();
        if self.watched.remove(&token).is_none() {
            return;
        }
        if let Some(at) = self.idle.iter().position(|idle| *idle == token) {
            self.idle.swap_remove(at);
            return;
        }
        self.ending = Some(token);
        self.cancelled = false;
        for _ in 0..ATTEMPTS {
            if !self.cancelled && self.push(&opcode::AsyncCancel::new(token).build().user_data(ENDED)) {
                self.cancelled = true;
                self.live += 1;
            }
            self.enter(PATIENCE);
            if self.ending.is_none() {
                return;
            }
        }
        tracing::error!("io_uring does not let go of a socket");
    }

    /// Hands over what is to go out, and waits for a datagram or to be woken.
    pub fn wait(&mut self, timeout: Duration) {
        let troubled = std::mem::take(&mut self.troubled);
        // A socket that fails at once would use up the core: the others are waited for first.
        let asked_again = if troubled { Vec::new() } else { std::mem::take(&mut self.idle) };
        for token in asked_again {
            if self.watched.contains_key(&token) && !self.ask(token) {
                self.idle.push(token);
            }
        }
        let timeout = if troubled { AFTER_TROUBLE } else { timeout };
        let is_idle = self.came.is_empty() && !self.woken;
        self.enter(if is_idle { timeout } else { Duration::ZERO });
    }

    /// The next datagram, laid into the inbox; the token of its socket.
    pub fn next(&mut self, inbox: &mut Inbox) -> Option<u64> {
        let Came { token, buffer, length } = self.came.pop_front()?;
        match RecvMsgOut::parse(self.pool.written(buffer, length), &self.name) {
            Ok(datagram) => {
                let payload = if datagram.is_payload_truncated() { None } else { Some(datagram.payload_data()) };
                inbox.put(datagram.name_data(), payload);
            }
            Err(()) => inbox.put(&[], None),
        }
        self.pool.give(buffer);
        Some(token)
    }

    /// Sockets are to be asked again: there was no room for what they have.
    pub fn has_idle(&self) -> bool {
        !self.idle.is_empty() && !self.troubled
    }

    /// The datagram goes with the next bunch, or the next wait.
    pub fn send(&mut self, socket: BorrowedFd<'_>, to: SocketAddr, bytes: &[u8]) {
        if self.slots.free.is_empty() {
            self.submit();
        }
        // None is free: it goes by itself, behind those that have been handed over.
        let Some((slot, entry)) = self.slots.fill(socket, to, bytes) else { return self.tally.add(send(socket, to, bytes)) };
        if !self.push(&entry) {
            self.slots.free.push(slot);
            self.tally.add(false);
        } else if self.ring.submission().len() >= BUNCH {
            self.submit();
        }
    }

    fn ask(&mut self, token: u64) -> bool {
        let Some(fd) = self.watched.get(&token).copied() else { return false };
        let entry = if token == WAKE {
            opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).multi(true).build()
        } else {
            opcode::RecvMsgMulti::new(Fd(fd), &raw const *self.name, GROUP).build()
        };
        let is_asked = self.push(&entry.user_data(token));
        self.live += usize::from(is_asked);
        is_asked
    }

    fn push(&mut self, entry: &squeue::Entry) -> bool {
        for _ in 0..2 {
            // SAFETY: what the entry points at lives as long as the ring, and its descriptor is open until it has been handed over, as the
            // module says.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return true;
            }
            self.submit();
        }
        false
    }

    /// Hands over what is queued, without a wait.
    fn submit(&mut self) {
        if !self.ring.submission().is_empty() {
            // What could not be handed over stays queued for the next time.
            let _ = self.ring.submit();
            self.harvest();
        }
    }

    /// Hands over what is queued, and waits.
    fn enter(&mut self, timeout: Duration) {
        let limit = Timespec::new().sec(timeout.as_secs()).nsec(timeout.subsec_nanos());
        // What goes out is done with at once, and is not what is waited for.
        let wanted = self.slots.under_way() + 1;
        // Interrupted or too late or full: what is there is looked at in any case.
        let _ = self.ring.submitter().submit_with_args(wanted, &SubmitArgs::new().timespec(&limit));
        self.harvest();
    }

    fn harvest(&mut self) {
        loop {
            let next = self.ring.completion().next();
            let Some(done) = next else { return };
            let token = done.user_data();
            if token == WAKE {
                self.woken = true;
            } else if token & ENDED != 0 {
                self.live = self.live.saturating_sub(1);
                self.cancelled = done.result() >= 0;
                continue;
            } else if token & SENT != 0 {
                self.slots.free.push((token & !SENT) as u16);
                self.tally.add(done.result() >= 0);
                continue;
            } else if let Some(buffer) = cqueue::buffer_select(done.flags()) {
                match usize::try_from(done.result()) {
                    Ok(length) => self.came.push_back(Came { token, buffer, length }),
                    Err(_) => self.pool.give(buffer),
                }
            }
            if !cqueue::more(done.flags()) {
                self.come_to_an_end(token, done.result());
            }
        }
    }

    /// A request that is not answered any more.
    fn come_to_an_end(&mut self, token: u64, result: i32) {
        self.live = self.live.saturating_sub(1);
        if self.ending == Some(token) {
            self.ending = None;
        } else if matches!(-result, libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EOPNOTSUPP) {
            tracing::error!(error = %io::Error::from_raw_os_error(-result), "io_uring does not read a socket");
            self.watched.remove(&token);
        } else if self.watched.contains_key(&token) {
            self.troubled |= result < 0 && result != -libc::ENOBUFS;
            self.idle.push(token);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.watched.clear();
        if self.live > 0 && self.push(&opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(ENDED)) {
            self.live += 1;
        }
        let mut attempts = 0;
        while self.live + self.slots.under_way() > 0 && attempts < ATTEMPTS {
            self.enter(PATIENCE);
            attempts += 1;
        }
        let is_quiet = self.live + self.slots.under_way() == 0;
        // SAFETY: each is dropped once, here, and not used after it. The memory is let go of only when the kernel has no request that
        // names it; else it stays allocated.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            if is_quiet {
                ManuallyDrop::drop(&mut self.pool);
                ManuallyDrop::drop(&mut self.slots);
            }
        }
    }
}
